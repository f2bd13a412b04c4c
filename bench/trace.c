/* SPDX-License-Identifier: MIT
 *
 * The trace library alone: encoding small host-call events, verifying what came out,
 * and expanding a gas ledger.
 */
#include "bench/bench.h"

#include "analysis/analysis.h"
#include "base/os.h"
#include "trace/trace.h"

#include <stdlib.h>
#include <string.h>

enum { EVENTS = 1000000, A0 = 7, EXTRA_MAX = 2048 };
#define FILE_SIZE_MAX ((size_t)1 << 31)

#define GOAL_EXPAND 50.0

static void must(enum err err, const char *what)
{
    if (err)
        bench_die("%s: %s", what, err_text(err));
}

/* ---- encode and verify ---- */

struct file_run {
    struct trace_memory memory;
    unsigned zstd_level;
    uint64_t event_count;
    uint64_t raw_size;
};

/* A read of 16 bytes: what a small host call is. */
static void put_event(struct trace_writer *writer, uint64_t i)
{
    uint8_t bytes[16];
    for (unsigned b = 0; b < sizeof bytes; b++)
        bytes[b] = (uint8_t)(i * (b + 1) >> (b % 8));
    const uint64_t in[] = {3, 0x20000 + 16 * (i & 0xfff), 16};
    const struct trace_uu out = {A0, 16}, range = {in[1], 16};
    trace_put_pvm_ecall(
        writer, &(struct trace_clock){.icount = 40 * i, .gas = 47 * i},
        &(struct trace_pvm_ecall){.pc = 0x1a2c + (i & 1) * 0x80,
                                  .op = 67,
                                  .in = {in, 3},
                                  .origin = 1,
                                  .out = {&out, 1},
                                  .writes = {&range, 1},
                                  .wdig = hash_xxh3(bytes, sizeof bytes),
                                  .wbytes = {bytes, sizeof bytes}});
}

static void run_encode(void *self, uint64_t *ret_ns)
{
    struct file_run *run = self;
    struct arena arena;
    struct trace_writer *writer;
    arena_init(&arena, FILE_SIZE_MAX);
    trace_memory_fini(&run->memory);
    trace_memory_init(&run->memory, FILE_SIZE_MAX);
    struct trace_sink sink = trace_memory_sink(&run->memory);
    uint64_t start = os_clock_cpu_ns();
    must(trace_writer_create(
             &arena, &sink,
             &(struct trace_writer_options){.guest = TRACE_GUEST_PVM,
                                            .zstd_level = run->zstd_level},
             &writer),
         "writer");
    for (uint64_t i = 0; i < run->event_count; i++)
        put_event(writer, i);
    must(trace_writer_finish(writer, NULL), "writer");
    *ret_ns = os_clock_cpu_ns() - start;
    arena_fini(&arena);
}

static void run_verify(void *self, uint64_t *ret_ns)
{
    struct file_run *run = self;
    struct arena arena;
    struct trace_summary summary;
    struct bytes bytes = buf_bytes(&run->memory.file);
    struct trace_source source = trace_bytes_source(&bytes);
    arena_init(&arena, FILE_SIZE_MAX);
    uint64_t start = os_clock_cpu_ns();
    must(trace_verify(&arena, &source, &(struct trace_verify_options){0}, NULL, NULL,
                      &summary),
         "verify");
    *ret_ns = os_clock_cpu_ns() - start;
    if (summary.event_count != run->event_count)
        bench_die("verify saw %llu events", (unsigned long long)summary.event_count);
    run->raw_size = summary.raw_size;
    arena_fini(&arena);
}

static void say_per(struct bench *bench, const char *workload, const char *what,
                    const struct bench_variant *variant, double count, const char *unit)
{
    bench_say(bench, &(struct bench_figure){
                         .workload = workload,
                         .what = what,
                         .value = (double)bench_median(&variant->series) / count,
                         .unit = unit,
                         .least = (double)bench_least(&variant->series) / count,
                         .most = (double)bench_most(&variant->series) / count});
}

static void bench_events(struct bench *bench)
{
    static const char *const name[] = {"raw", "zstd-1"};
    struct file_run run[2];
    struct bench_variant variant[4];
    memset(variant, 0, sizeof variant);
    memset(run, 0, sizeof run);
    for (unsigned i = 0; i < 2; i++) {
        run[i].zstd_level = i;
        run[i].event_count = bench->quick ? EVENTS / 10 : EVENTS;
        variant[2 * i] = (struct bench_variant){.run = run_encode, .self = &run[i]};
        variant[2 * i + 1] = (struct bench_variant){.run = run_verify, .self = &run[i]};
    }
    bench_turns(bench, variant, 4);
    for (unsigned i = 0; i < 2; i++) {
        double count = (double)run[i].event_count;
        double file = (double)run[i].memory.file.size;
        double raw = (double)run[i].raw_size;
        double verify = (double)bench_median(&variant[2 * i + 1].series);
        say_per(bench, name[i], "encode", &variant[2 * i], count, "ns/event");
        say_per(bench, name[i], "verify", &variant[2 * i + 1], count, "ns/event");
        bench_say(bench, &(struct bench_figure){.workload = name[i],
                                                .what = "verify, raw bytes",
                                                .value = raw * 1000 / verify,
                                                .unit = "MB/s"});
        bench_say(bench, &(struct bench_figure){.workload = name[i],
                                                .what = "file",
                                                .value = file / count,
                                                .unit = "B/event"});
        trace_memory_fini(&run[i].memory);
    }
}

/* ---- the gas ledger ---- */

struct ledger_run {
    struct bench_machine machine;
    struct trace_writer *writer;
    struct trace_memory memory;
    struct trace_uuuuu extra[EXTRA_MAX];
    uint64_t charge_count;
    bool list; /* each charge is told to somebody */
    struct ledger_run *recorded;
};

static void on_segment(void *self, const struct pvm_state *state,
                       const struct pvm_segment *s)
{
    struct ledger_run *run = self;
    struct trace_clock clock = {.icount = state->icount,
                                .gas = ((uint64_t)1 << 60) - state->gas};
    for (uint32_t i = 0; i < s->extra_count; i++)
        run->extra[i] =
            (struct trace_uuuuu){s->extra[i].dn, s->extra[i].dpc, s->extra[i].kind,
                                 s->extra[i].where, s->extra[i].cost};
    trace_put_pvm_segment(
        run->writer, &clock,
        &(struct trace_pvm_segment){.pc = s->pc,
                                    .start = s->start,
                                    .n = s->n,
                                    .gas = s->gas,
                                    .end = s->end,
                                    .end_pc = s->end_pc,
                                    .nbits = s->nbits,
                                    .bits = s->bits,
                                    .targets = s->targets,
                                    .extra = {run->extra, s->extra_count}});
}

/* Record one run of the machine into memory. */
static void record(struct ledger_run *run, struct arena *arena)
{
    struct buf table;
    struct bench_machine *m = &run->machine;
    const struct trace_clock zero = {0};
    buf_init(&table, FILE_SIZE_MAX);
    trace_memory_init(&run->memory, FILE_SIZE_MAX);
    struct trace_sink sink = trace_memory_sink(&run->memory);
    must(trace_writer_create(
             arena, &sink,
             &(struct trace_writer_options){.guest = TRACE_GUEST_PVM, .zstd_level = 1},
             &run->writer),
         "writer");
    pvm_program_put_blocks(m->program, 0, &table);
    trace_put_session_begin(run->writer, &zero,
                            &(struct trace_session_begin){.spec = TRACE_SPEC});
    trace_put_pvm_program(run->writer, &zero,
                          &(struct trace_pvm_program){.code = m->row->container.raw,
                                                      .blocks = buf_bytes(&table)});
    trace_put_pvm_start(run->writer, &zero, &(struct trace_pvm_start){0});
    bench_machine_reset(m);
    struct pvm_observer observer = {
        .self = run, .segment = on_segment, .gas_stop = PVM_GAS_STOP_NEVER};
    struct pvm_outcome outcome =
        pvm_run(m->engine, m->program, &m->state, NULL, &observer);
    if (outcome.exit != PVM_EXIT_HALT)
        bench_die("%s ended with %s", m->row->name, pvm_exit_name(outcome.exit));
    must(trace_writer_finish(run->writer, NULL), "writer");
    buf_fini(&table);
}

static bool count_charge(void *self, const struct analysis_charge *charge)
{
    uint64_t *sum = self;
    *sum += charge->cost;
    return true;
}

static void run_expand(void *self, uint64_t *ret_ns)
{
    struct ledger_run *run = self;
    struct arena arena;
    struct trace_reader *reader;
    struct analysis_gas_totals totals;
    struct analysis_gas_fault fault;
    uint64_t sum = 0;
    struct bytes bytes = buf_bytes(&run->recorded->memory.file);
    struct trace_source source = trace_bytes_source(&bytes);
    struct analysis_gas_options options = {.list = true};
    options.visitor.self = &sum;
    options.visitor.charge = count_charge;
    arena_init(&arena, FILE_SIZE_MAX);
    uint64_t start = os_clock_cpu_ns();
    must(trace_reader_open(&arena, &source, &(struct trace_reader_options){0}, NULL,
                           &reader),
         "reader");
    must(analysis_gas_walk(&arena, reader, &options, &totals, &fault), "ledger");
    *ret_ns = os_clock_cpu_ns() - start;
    trace_reader_close(reader);
    arena_fini(&arena);
    run->charge_count = totals.block_count;
    if (sum != totals.gas)
        bench_die("the charges do not add up");
}

static void bench_ledger(struct bench *bench)
{
    static struct ledger_run run, expand;
    struct bench_program row[BENCH_PROGRAM_MAX];
    struct bench_mean mean = {0};
    struct arena arena;
    arena_init(&arena, FILE_SIZE_MAX);
    size_t count = bench_programs(bench, &arena, row);
    for (size_t i = 0; i < count; i++) {
        if (!row[i].counts)
            continue;
        run.machine = bench_machine_create(
            &arena, &row[i], &(struct bench_way){.log = PVM_GAS_LOG_LEDGER});
        record(&run, &arena);
        expand.recorded = &run;
        struct bench_variant variant = {.run = run_expand, .self = &expand};
        bench_turns(bench, &variant, 1);
        double value =
            (double)expand.charge_count * 1000 / (double)bench_median(&variant.series);
        bench_mean_add(&mean, value);
        bench_say(bench, &(struct bench_figure){.workload = row[i].name,
                                                .what = "expand",
                                                .value = value,
                                                .unit = "M charges/s"});
        trace_memory_fini(&run.memory);
        bench_machine_close(&run.machine);
    }
    bench_say(bench, &(struct bench_figure){.workload = "geometric mean",
                                            .what = "expand",
                                            .value = bench_mean_value(&mean),
                                            .unit = "M charges/s",
                                            .goal = GOAL_EXPAND});
    arena_fini(&arena);
}

void bench_trace(struct bench *bench)
{
    if (!bench->only)
        bench_events(bench);
    bench_ledger(bench);
}
