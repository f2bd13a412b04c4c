/* SPDX-License-Identifier: MIT
 *
 * One request to a capability kernel: in this process, and across the boundary to a
 * worker on the same core and on another one (wall time, since two processes work).
 */
#include "base/os.h"
#include "bench/bench.h"
#include "kernel/cap.h"
#include "nub/nub.h"
#include "replay/kernel.h"

#include <string.h>

enum { DATA_SIZE = 1 << 20 };

static void must(enum err err)
{
    if (err)
        bench_die("nub: %s", err_text(err));
}

/* ---- requests ---- */

struct run {
    struct nub *nub;
    struct hash256 instance;
    void (*request)(struct run *run);
    unsigned count;
    uint8_t *data; /* a cap of DATA_SIZE bytes */
};

static void ask_smoke(struct run *run)
{
    struct bytes answer;
    must(nub_call(run->nub, NUB_FN_smoke, bytes_of("", 0), &answer));
}

static void ask_invoke(struct run *run)
{
    struct kernel_result result;
    const struct nub_invoke invoke = {.instance = run->instance, .gas = 1000};
    must(nub_invoke(run->nub, &invoke, &result));
    if (result.exit_reason != KERNEL_EXIT_HALT)
        bench_die("nub: the guest does not halt");
}

/* The same cap again is hashed and found, so that the directory does not fill up. */
static void ask_put(struct run *run)
{
    struct hash256 hash;
    must(nub_put(run->nub, bytes_of(run->data, 5 + DATA_SIZE), &hash));
}

static void run_requests(void *self, uint64_t *ret_ns)
{
    struct run *run = self;
    uint64_t start = os_clock_monotonic_ns();
    for (unsigned i = 0; i < run->count; i++)
        run->request(run);
    *ret_ns = os_clock_monotonic_ns() - start;
}

static void run_sha256(void *self, uint64_t *ret_ns)
{
    const struct run *run = self;
    uint64_t start = os_clock_monotonic_ns();
    for (unsigned i = 0; i < run->count; i++)
        (void)hash_sha256(run->data, 5 + DATA_SIZE);
    *ret_ns = os_clock_monotonic_ns() - start;
}

/* ---- recording ---- */

/* A second kernel that is told each request and writes the trace, as `lockstep serve
 * --record` has one. */
struct recorder {
    struct arena arena;
    struct trace_memory memory;
    struct trace_writer *writer;
    struct trace *trace;
    struct replay_kernel *session;
    struct buf request;
    struct nub_observer observer;
};

static void on_request(void *self, struct bytes frame)
{
    struct recorder *r = self;
    buf_clear(&r->request);
    buf_put(&r->request, frame.data, frame.size);
    must(r->request.err);
}

static void on_response(void *self, struct bytes frame)
{
    struct recorder *r = self;
    struct nub_header header;
    struct nub_invoke invoke;
    struct kernel_result result;
    enum kernel_status status;
    struct hash256 hash;
    (void)frame;
    if (!nub_header_decode(r->request.data, &header))
        bench_die("nub: a bad header");
    struct bytes payload = bytes_of(r->request.data + NUB_HEADER_SIZE, header.size);
    if (header.fn == NUB_FN_put_cap) {
        must(replay_kernel_put(r->session, payload, &status, &hash));
    } else if (header.fn == NUB_FN_invoke && nub_invoke_decode(payload, &invoke)) {
        struct replay_kernel_invocation invocation = {.instance = invoke.instance,
                                                      .gas = invoke.gas};
        must(replay_kernel_invoke(r->session, &invocation, &result));
    }
}

static void record(struct recorder *r)
{
    const struct trace_writer_options how = {.guest = TRACE_GUEST_PVM, .zstd_level = 1};
    const struct replay_kernel_setup setup = replay_kernel_setup_default();
    *r = (struct recorder){
        .observer = {.self = r, .request = on_request, .response = on_response}};
    arena_init(&r->arena, (size_t)1 << 31);
    buf_init(&r->request, NUB_FRAME_MAX);
    trace_memory_init(&r->memory, (size_t)1 << 31);
    struct trace_sink sink = trace_memory_sink(&r->memory);
    must(trace_writer_create(&r->arena, &sink, &how, &r->writer));
    must(trace_record_create(&r->arena, r->writer, true, &r->trace));
    const struct replay_kernel_options options = {
        .trace = r->trace, .engine = {.kind = REPLAY_ENGINE_INTERP}};
    must(replay_kernel_create(&r->arena, &setup, &options, &r->session));
}

static void record_end(struct recorder *r)
{
    must(replay_kernel_finish(r->session, 0));
    replay_kernel_close(r->session);
    trace_close(r->trace);
    must(trace_writer_finish(r->writer, NULL));
    trace_memory_fini(&r->memory);
    buf_fini(&r->request);
    arena_fini(&r->arena);
}

/* ---- kernels ---- */

static void put_file(struct nub *nub, const char *path, struct hash256 *ret_hash)
{
    struct buf file;
    buf_init(&file, 1 << 20);
    must(os_file_read(path, &file));
    must(nub_put(nub, buf_bytes(&file), ret_hash));
    buf_fini(&file);
}

static struct run run_open(bool worker, struct recorder *recorder)
{
    struct run run = {.nub = NULL};
    struct kernel_config config = kernel_config_default();
    const struct nub_options options = {.config = &config, .timeout_ns = 10000000000};
    config.engine = KERNEL_ENGINE_RECOMP;
    must((worker ? nub_open_worker : nub_open)(&options, &run.nub));
    if (recorder) {
        record(recorder);
        nub_observe(run.nub, &recorder->observer);
    }
    put_file(run.nub, "corpus/kernel/load42/image.cap", &run.instance);
    put_file(run.nub, "corpus/kernel/load42/cnode.cap", &run.instance);
    put_file(run.nub, "corpus/kernel/load42/instance.cap", &run.instance);
    return run;
}

static void say(struct bench *bench, const char *workload,
                const struct bench_variant *variant, unsigned count)
{
    const struct bench_series *series = &variant->series;
    double per = count * 1000.0;
    bench_say(bench, &(struct bench_figure){.workload = workload,
                                            .what = variant->name,
                                            .value = (double)bench_median(series) / per,
                                            .unit = "us",
                                            .least = (double)bench_least(series) / per,
                                            .most = (double)bench_most(series) / per});
}

enum { IN_PROCESS, ONE_CORE, TWO_CORES, RECORDED, SHA256, WAY_COUNT };

static void measure(struct bench *bench, struct run run[WAY_COUNT],
                    const char *workload, void (*request)(struct run *run),
                    unsigned count)
{
    struct bench_variant variant[WAY_COUNT] = {
        {.name = "in process", .run = run_requests},
        {.name = "worker, one core", .run = run_requests},
        {.name = "worker, two cores", .run = run_requests},
        {.name = "in process, recorded", .run = run_requests},
        {.name = "plain SHA-256", .run = run_sha256},
    };
    static const char *const ratio[] = {
        [ONE_CORE] = "one core / in process",
        [TWO_CORES] = "two cores / in process",
        [RECORDED] = "recorded / not",
    };
    size_t ways = request == ask_put ? WAY_COUNT : SHA256;
    if (bench->quick)
        count /= 10;
    for (size_t i = 0; i < ways; i++) {
        run[i].request = request;
        run[i].count = count;
        variant[i].self = &run[i];
    }
    bench_turns(bench, variant, ways);
    for (size_t i = 0; i < ways; i++)
        say(bench, workload, &variant[i], count);
    for (size_t i = ONE_CORE; i <= RECORDED; i++)
        (void)bench_say_ratio(bench, workload, ratio[i], &variant[i].series,
                              &variant[IN_PROCESS].series, 0);
    if (ways > SHA256)
        (void)bench_say_ratio(bench, workload, "in process / SHA-256",
                              &variant[IN_PROCESS].series, &variant[SHA256].series, 0);
}

void bench_nub(struct bench *bench)
{
    static uint8_t data[5 + DATA_SIZE];
    struct run run[WAY_COUNT];
    struct recorder recorder;
    if (bench->only)
        return;
    data[0] = KERNEL_KIND_DATA;
    kernel_u32_put(data + 1, 4);
    for (size_t i = 5; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 131 >> 3);
    run[IN_PROCESS] = run_open(false, NULL);
    run[ONE_CORE] = run_open(true, NULL); /* where bench.c has pinned us */
    bench_allow_cores(true);
    run[TWO_CORES] = run_open(true, NULL);
    bench_allow_cores(false);
    run[RECORDED] = run_open(false, &recorder);
    run[SHA256] = (struct run){.nub = NULL};
    for (size_t i = 0; i < WAY_COUNT; i++)
        run[i].data = data;
    measure(bench, run, "smoke", ask_smoke, 20000);
    measure(bench, run, "invoke", ask_invoke, 2000);
    measure(bench, run, "put 1 MiB", ask_put, 20);
    for (size_t i = 0; i < WAY_COUNT; i++)
        nub_close(run[i].nub);
    record_end(&recorder);
}
