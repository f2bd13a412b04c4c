/* SPDX-License-Identifier: MIT
 *
 * What the walls cost: the handoff to a sandboxed worker, and its life (wall time,
 * since another process works).
 */
#include "base/os.h"
#include "base/os_worker.h"
#include "bench/bench.h"

#include <string.h>

enum {
    MEMORY_SIZE = 1 << 20,
    TOUCHED_SIZE = 64 << 10,
    CALL_GOAL_NS = 1000,
    INSTANCE_GOAL_US = 10,
};

struct worker_run {
    struct os_worker *worker;
    struct os_code code;
    int memory_fd;
    void *memory;
};

/* 0: ret; 16: mov rcx, rsi; xor eax, eax; rep stosb; ret. */
static const uint8_t code_bytes[] = {0xc3, [16] = 0x48, 0x89, 0xf1, 0x31,
                                     0xc0, 0xf3,        0xaa, 0xc3};
enum { CODE_RETURN = 0, CODE_TOUCH = 16 };

static void must(enum err err)
{
    if (err)
        bench_die("worker: %s", err_text(err));
}

static void map_code(struct worker_run *run)
{
    must(os_worker_map(run->worker,
                       &(struct os_worker_mapping){.fd = run->code.fd,
                                                   .address = run->code.data,
                                                   .size = run->code.size,
                                                   .access = OS_WORKER_RX}));
}

static void run_open(struct worker_run *run)
{
    must(os_code_create(sizeof code_bytes, true, &run->code));
    memcpy(run->code.data, code_bytes, sizeof code_bytes);
    must(os_code_seal(&run->code, sizeof code_bytes));
    must(os_object_create(MEMORY_SIZE, &run->memory_fd));
    must(os_object_map(run->memory_fd, 0, MEMORY_SIZE, NULL, &run->memory));
    must(os_worker_open(NULL, &run->worker));
    map_code(run);
    must(os_worker_map(run->worker,
                       &(struct os_worker_mapping){.fd = run->memory_fd,
                                                   .address = run->memory,
                                                   .size = MEMORY_SIZE,
                                                   .access = OS_WORKER_RW}));
}

static void run_close(struct worker_run *run)
{
    os_worker_close(run->worker);
    os_unmap(run->memory, MEMORY_SIZE);
    os_close(run->memory_fd);
    os_code_free(&run->code);
}

static void call_once(struct worker_run *run, unsigned offset,
                      const struct os_worker_range *ranges, size_t range_count)
{
    struct os_worker_call call = {
        .entry = (uint64_t)run->code.data + offset,
        .args = {(uint64_t)run->memory, TOUCHED_SIZE},
        .ranges = ranges,
        .range_count = range_count,
    };
    struct os_worker_result result;
    must(os_worker_call(run->worker, &call, &result));
}

/* ---- what is measured ---- */

static void measure_call(struct worker_run *run)
{
    call_once(run, CODE_RETURN, NULL, 0);
}

static void measure_protect(struct worker_run *run)
{
    struct os_worker_range range = {run->memory, 4096, OS_WORKER_RW};
    call_once(run, CODE_RETURN, &range, 1);
}

static void measure_map(struct worker_run *run)
{
    must(os_worker_unmap(run->worker, run->code.data, run->code.size));
    map_code(run);
}

/* Fresh memory for the next run of a program that is mapped already. */
static void measure_instance(struct worker_run *run)
{
    must(os_object_discard(run->memory_fd, 0, MEMORY_SIZE));
    call_once(run, CODE_RETURN, NULL, 0);
}

static void measure_pages(struct worker_run *run)
{
    must(os_object_discard(run->memory_fd, 0, MEMORY_SIZE));
    call_once(run, CODE_TOUCH, NULL, 0);
}

static void measure_start(struct worker_run *run)
{
    struct os_worker *worker;
    (void)run;
    must(os_worker_open(NULL, &worker));
    os_worker_close(worker);
}

struct worker_row {
    const char *workload, *what;
    void (*measure)(struct worker_run *run);
    unsigned count;
    double unit_ns;
    const char *unit;
    double goal;
};

static void say(struct bench *bench, const struct worker_row *row,
                struct worker_run *run)
{
    struct bench_series series = {.count = bench->rounds};
    unsigned count = bench->quick ? row->count / 10 : row->count;
    for (unsigned round = 0; round < bench->rounds; round++) {
        uint64_t start = os_clock_monotonic_ns();
        for (unsigned i = 0; i < count; i++)
            row->measure(run);
        series.ns[round] = os_clock_monotonic_ns() - start;
    }
    double per = count * row->unit_ns;
    bench_say(bench,
              &(struct bench_figure){.workload = row->workload,
                                     .what = row->what,
                                     .value = (double)bench_median(&series) / per,
                                     .unit = row->unit,
                                     .least = (double)bench_least(&series) / per,
                                     .most = (double)bench_most(&series) / per,
                                     .goal = row->goal,
                                     .at_most = true});
}

void bench_worker(struct bench *bench)
{
    static const struct worker_row rows[] = {
        {"two cores", "call", measure_call, 50000, 1, "ns", CALL_GOAL_NS},
        {"two cores", "call + rights of a page", measure_protect, 20000, 1, "ns", 0},
        {"two cores", "unmap + map", measure_map, 5000, 1000, "us", 0},
        {"two cores", "fresh memory", measure_instance, 5000, 1000, "us",
         INSTANCE_GOAL_US},
        {"two cores", "fresh memory, 16 pages stored", measure_pages, 2000, 1000, "us",
         0},
        {"two cores", "start + stop", measure_start, 200, 1000, "us", 0},
    };
    static const struct worker_row one_core = {
        "one core", "call", measure_call, 20000, 1, "ns", 0};
    struct worker_run run;
    if (bench->only)
        return;
    run_open(&run); /* where bench.c has pinned us: both sides on one core */
    say(bench, &one_core, &run);
    run_close(&run);
    bench_allow_cores(true);
    run_open(&run);
    for (size_t i = 0; i < countof(rows); i++)
        say(bench, &rows[i], &run);
    run_close(&run);
    bench_allow_cores(false);
}
