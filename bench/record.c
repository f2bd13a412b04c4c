/* SPDX-License-Identifier: MIT
 *
 * What recording costs: the same session with and without a trace, to a real file with
 * the defaults of `lockstep record`; and what replaying that file costs.
 */
#include "bench/bench.h"

#include "base/os.h"
#include "replay/replay.h"
#include "replay/sink_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { A0 = 7, EACH_SHARE = 100, ECALLS = 1000000 };
#define WORK_SIZE_MAX ((size_t)1 << 31)

#define GOAL_LEDGER 1.15
#define GOAL_SUMMARY 1.03
#define GOAL_ECALL_NS 400.0
#define GOAL_REPLAY 1.0

/* What runs: a program, and how many ecalls or instructions it has. */
struct work {
    enum replay_engine_kind engine;
    const char *name;
    struct pvm_container container;
    uint64_t n; /* a0 */
    int stdin_fd;
};

/* One way of running it. */
struct session_run {
    const struct work *work;
    enum pvm_gas_log log; /* NONE: no trace */
    char path[64];        /* of the trace */
    struct replay_result result;
    uint64_t file_size;
    uint64_t charge_count; /* blocks, of a replay's trace */
};

static void must(enum err err, const char *what)
{
    if (err)
        bench_die("%s: %s %s", what, err_text(err), os_error_text());
}

/* ---- record ---- */

static enum err make_setup(struct arena *arena, const struct session_run *run,
                           struct replay_setup *ret_setup)
{
    struct replay_setup setup;
    TRY(replay_setup_container(arena, &run->work->container, &setup));
    setup.config = pvm_config_default(PVM_PROFILE_VECTORS);
    setup.gas = REPLAY_GAS_DEFAULT;
    setup.reg[A0] = run->work->n;
    setup.gas_log = run->log;
    setup.hash_every = REPLAY_HASH_EVERY;
    setup.digest_every = REPLAY_DIGEST_EVERY;
    *ret_setup = setup;
    return ERR_ok;
}

static enum err open_trace(struct arena *arena, struct session_run *run,
                           struct replay_sink_file *file, struct trace_writer **writer,
                           struct trace **trace)
{
    const struct trace_writer_options how = {.guest = TRACE_GUEST_PVM, .zstd_level = 1};
    TRY(replay_sink_file_open(file, run->path, false));
    struct trace_sink sink = replay_sink_file(file);
    TRY(trace_writer_create(arena, &sink, &how, writer));
    return trace_record_create(arena, *writer, true, trace);
}

static enum err run_with(struct arena *arena, struct session_run *run,
                         struct trace *trace)
{
    struct replay_setup setup;
    struct replay_live *live;
    struct replay_session *session;
    TRY(make_setup(arena, run, &setup));
    TRY(replay_live_create(
        arena,
        &(struct replay_live_options){
            .stdin_fd = run->work->stdin_fd, .stdout_fd = -1, .stderr_fd = -1},
        &live));
    struct replay_host host = replay_live_host(live);
    TRY(replay_session_create(
        arena, &setup,
        &(struct replay_session_options){
            .trace = trace,
            .host = &host,
            .limit = REPLAY_NO_LIMIT,
            .engine = {.kind = run->work->engine, .in_process = true}},
        &session));
    enum err err = replay_session_run(session, &run->result);
    replay_session_close(session);
    replay_live_close(live);
    return err;
}

/* Everything is measured: predecoding, mapping, the run, compressing, the index. */
static void run_session(void *self, uint64_t *ret_ns)
{
    struct session_run *run = self;
    struct arena arena;
    struct replay_sink_file file = {.fd = -1};
    struct trace_writer *writer = NULL;
    struct trace *trace = NULL;
    arena_init(&arena, WORK_SIZE_MAX);
    (void)remove(run->path); /* freeing an old trace is not part of recording */
    uint64_t start = os_clock_cpu_ns();
    if (run->log != PVM_GAS_LOG_NONE)
        must(open_trace(&arena, run, &file, &writer, &trace), run->path);
    must(run_with(&arena, run, trace), run->work->name);
    trace_close(trace);
    if (writer)
        must(trace_writer_finish(writer, NULL), run->path);
    *ret_ns = os_clock_cpu_ns() - start;
    if (writer)
        must(os_size(file.fd, &run->file_size), run->path);
    replay_sink_file_close(&file);
    arena_fini(&arena);
    if (run->result.end != REPLAY_END_GUEST ||
        run->result.outcome.exit != PVM_EXIT_HALT)
        bench_die("%s did not halt", run->work->name);
}

static void run_replay(void *self, uint64_t *ret_ns)
{
    struct session_run *run = self;
    struct replay_source_file file;
    struct replay_report report;
    must(replay_source_file_open(&file, run->path), run->path);
    struct trace_source source = replay_source_file(&file);
    uint64_t start = os_clock_cpu_ns();
    const struct replay_options options = {
        .engine = {.kind = run->work->engine, .in_process = true}};
    replay_trace(&source, &options, &report);
    *ret_ns = os_clock_cpu_ns() - start;
    replay_source_file_close(&file);
    if (report.class != REPLAY_SAME)
        bench_die("%s: the replay is not the same: %s", run->path, report.detail);
}

static void trace_path(struct session_run *run, const char *folder, const char *name)
{
    (void)snprintf(run->path, sizeof run->path, "%s/%s.lks", folder, name);
}

/* Blocks charged: from the sums that the file's own walk gives. */
static uint64_t count_charges(const char *path)
{
    struct arena arena;
    struct replay_source_file file;
    struct trace_summary summary;
    arena_init(&arena, WORK_SIZE_MAX);
    must(replay_source_file_open(&file, path), path);
    struct trace_source source = replay_source_file(&file);
    must(trace_verify(&arena, &source, &(struct trace_verify_options){.quick = true},
                      NULL, NULL, &summary),
         path);
    replay_source_file_close(&file);
    arena_fini(&arena);
    return summary.charge_count;
}

/* ---- compute-bound programs ---- */

enum { OFF, LEDGER, SUMMARY, REPLAY, VARIANTS };

static void say_size(struct bench *bench, const char *name, const char *what,
                     uint64_t size, uint64_t count, const char *unit)
{
    if (count)
        bench_say(bench, &(struct bench_figure){.workload = name,
                                                .what = what,
                                                .value = (double)size / (double)count,
                                                .unit = unit});
}

static const char *const ratio_name[][VARIANTS] = {
    [REPLAY_ENGINE_INTERP] = {[LEDGER] = "ledger/off",
                              [SUMMARY] = "summary/off",
                              [REPLAY] = "replay/record"},
    [REPLAY_ENGINE_RECOMP] = {[LEDGER] = "recompiled: ledger/off",
                              [SUMMARY] = "recompiled: summary/off",
                              [REPLAY] = "recompiled: replay/record"},
};

static void bench_one(struct bench *bench, const struct work *work, const char *folder,
                      struct bench_mean mean[VARIANTS])
{
    static const enum pvm_gas_log log[] = {PVM_GAS_LOG_NONE, PVM_GAS_LOG_LEDGER,
                                           PVM_GAS_LOG_SUMMARY};
    struct session_run run[VARIANTS];
    struct bench_variant variant[VARIANTS];
    memset(run, 0, sizeof run);
    memset(variant, 0, sizeof variant);
    for (size_t i = OFF; i < REPLAY; i++) {
        run[i].work = work;
        run[i].log = log[i];
        trace_path(&run[i], folder, i == LEDGER ? "ledger" : "summary");
        variant[i].run = run_session;
        variant[i].self = &run[i];
    }
    run[REPLAY].work = work;
    trace_path(&run[REPLAY], folder, "ledger");
    variant[REPLAY].run = run_replay;
    variant[REPLAY].self = &run[REPLAY];
    bench_turns(bench, variant, VARIANTS);
    const struct bench_series *off = &variant[OFF].series,
                              *ledger = &variant[LEDGER].series;
    bench_mean_add(&mean[LEDGER],
                   bench_say_ratio(bench, work->name, ratio_name[work->engine][LEDGER],
                                   ledger, off, 0));
    bench_mean_add(&mean[SUMMARY],
                   bench_say_ratio(bench, work->name, ratio_name[work->engine][SUMMARY],
                                   &variant[SUMMARY].series, off, 0));
    bench_mean_add(&mean[REPLAY],
                   bench_say_ratio(bench, work->name, ratio_name[work->engine][REPLAY],
                                   &variant[REPLAY].series, ledger, 0));
    say_size(bench, work->name, "file/charge", run[LEDGER].file_size,
             count_charges(run[LEDGER].path), "B");
}

static void say_mean(struct bench *bench, const char *what,
                     const struct bench_mean *mean, double goal)
{
    bench_say(bench, &(struct bench_figure){.workload = "geometric mean",
                                            .what = what,
                                            .value = bench_mean_value(mean),
                                            .unit = "x",
                                            .goal = goal,
                                            .at_most = true});
}

/* --gas-log=each writes an event per charge: a hundredth of the work will do. */
static void bench_each(struct bench *bench, const struct work *work, const char *folder)
{
    struct work less = *work;
    less.n = work->n / EACH_SHARE;
    struct session_run run[2] = {{.work = &less},
                                 {.work = &less, .log = PVM_GAS_LOG_EACH}};
    struct bench_variant variant[2] = {{.run = run_session, .self = &run[0]},
                                       {.run = run_session, .self = &run[1]}};
    trace_path(&run[1], folder, "each");
    bench_turns(bench, variant, 2);
    (void)bench_say_ratio(bench, work->name, "each/off", &variant[1].series,
                          &variant[0].series, 0);
}

static void say_adds(struct bench *bench, const char *name,
                     const struct bench_series *on, const struct bench_series *off,
                     uint64_t count, const char *unit, double goal)
{
    double plain = (double)bench_median(off), n = (double)count;
    bench_say(bench, &(struct bench_figure){
                         .workload = name,
                         .what = "recording adds",
                         .value = ((double)bench_median(on) - plain) / n,
                         .unit = unit,
                         .least = ((double)bench_least(on) - plain) / n,
                         .most = ((double)bench_most(on) - plain) / n,
                         .goal = goal,
                         .at_most = goal > 0,
                     });
}

/* What a recording costs before the first and behind the last instruction. */
static void bench_fixed(struct bench *bench, const struct work *work,
                        const char *folder)
{
    struct session_run run[] = {{.work = work},
                                {.work = work, .log = PVM_GAS_LOG_LEDGER}};
    struct bench_variant variant[] = {{.run = run_session, .self = &run[0]},
                                      {.run = run_session, .self = &run[1]}};
    trace_path(&run[1], folder, work->name);
    bench_turns(bench, variant, countof(variant));
    say_adds(bench, work->name, &variant[1].series, &variant[0].series, 1, "ns/session",
             0);
}

static void bench_programs_recorded(struct bench *bench, const char *folder,
                                    enum replay_engine_kind engine)
{
    struct bench_program row[BENCH_PROGRAM_MAX];
    struct bench_mean mean[VARIANTS] = {{0}};
    struct arena arena;
    arena_init(&arena, WORK_SIZE_MAX);
    size_t count = bench_programs(bench, &arena, row);
    for (size_t i = 0; i < count; i++) {
        struct work work = {.engine = engine,
                            .name = row[i].name,
                            .container = row[i].container,
                            .n = row[i].n,
                            .stdin_fd = -1};
        if (strcmp(row[i].name, "empty") == 0)
            bench_fixed(bench, &work, folder);
        if (!row[i].counts)
            continue;
        bench_one(bench, &work, folder, mean);
        if (engine == REPLAY_ENGINE_RECOMP)
            continue;
        if (strcmp(row[i].name, "keccak") == 0 || strcmp(row[i].name, "interp") == 0)
            bench_each(bench, &work, folder);
    }
    if (mean[LEDGER].count) {
        const char *const *name = ratio_name[engine];
        say_mean(bench, name[LEDGER], &mean[LEDGER], GOAL_LEDGER);
        say_mean(bench, name[SUMMARY], &mean[SUMMARY], GOAL_SUMMARY);
        say_mean(bench, name[REPLAY], &mean[REPLAY], GOAL_REPLAY);
    }
    arena_fini(&arena);
}

/* ---- host calls ---- */

static const char clock_text[] = "    move_reg s0, a0\n"
                                 "    fallthrough\n"
                                 "loop:\n"
                                 "    load_imm a0, 1\n"
                                 "    ecalli 72\n"
                                 "    add_imm_64 s0, s0, -1\n"
                                 "    branch_ne_imm s0, 0, loop\n"
                                 "    ecalli 0\n";
static const char read_text[] = "    move_reg s0, a0\n"
                                "    fallthrough\n"
                                "loop:\n"
                                "    load_imm a0, 0\n"
                                "    load_imm a1, 0x20000\n"
                                "    load_imm a2, 16\n"
                                "    ecalli 67\n"
                                "    add_imm_64 s0, s0, -1\n"
                                "    branch_ne_imm s0, 0, loop\n"
                                "    ecalli 0\n";

static void bench_calls(struct bench *bench, const char *name, const char *text,
                        int stdin_fd, const char *folder)
{
    struct arena arena;
    struct buf blob;
    struct pvm_asm_error error;
    buf_init(&blob, 1 << 16);
    arena_init(&arena, WORK_SIZE_MAX);
    must(pvm_asm(bytes_of(text, strlen(text)), &blob, &error), error.message);
    struct work work = {
        .name = name, .n = bench->quick ? ECALLS / 10 : ECALLS, .stdin_fd = stdin_fd};
    must(pvm_container_load(&arena, PVM_CONTAINER_RAW, PVM_PROFILE_VECTORS,
                            buf_bytes(&blob), bytes_of(NULL, 0), &work.container),
         name);
    work.container.region_count = 1;
    work.container.region[0] =
        (struct pvm_region){.start = 0x20000, .size = 4096, .access = PVM_ACCESS_RW};
    struct session_run run[3] = {
        {.work = &work}, {.work = &work, .log = PVM_GAS_LOG_LEDGER}, {.work = &work}};
    struct bench_variant variant[3] = {{.run = run_session, .self = &run[0]},
                                       {.run = run_session, .self = &run[1]},
                                       {.run = run_replay, .self = &run[2]}};
    trace_path(&run[1], folder, name);
    trace_path(&run[2], folder, name);
    bench_turns(bench, variant, countof(variant));
    bench_say(bench,
              &(struct bench_figure){.workload = name,
                                     .what = "live",
                                     .value = (double)bench_median(&variant[0].series) /
                                              (double)work.n,
                                     .unit = "ns/ecall"});
    say_adds(bench, name, &variant[1].series, &variant[0].series, work.n, "ns/ecall",
             GOAL_ECALL_NS);
    say_size(bench, name, "file/ecall", run[1].file_size, work.n, "B");
    (void)bench_say_ratio(bench, name, "replay/record", &variant[2].series,
                          &variant[1].series, GOAL_REPLAY);
    arena_fini(&arena);
    buf_fini(&blob);
}

/* ---- the benchmark ---- */

static const char *const trace_name[] = {"ledger", "summary", "each",
                                         "clock",  "read",    "empty"};

void bench_record(struct bench *bench)
{
    char folder[] = "/tmp/lockstep-bench.XXXXXX", path[80];
    int zero;
    if (!mkdtemp(folder))
        bench_die("/tmp: no folder can be made there");
    must(os_open("/dev/zero", OS_OPEN_READ, &zero), "/dev/zero");
    if (!bench->only || strcmp(bench->only, "clock") == 0)
        bench_calls(bench, "clock", clock_text, -1, folder);
    if (!bench->only || strcmp(bench->only, "read") == 0)
        bench_calls(bench, "read", read_text, zero, folder);
    if (!bench->only ||
        (strcmp(bench->only, "clock") != 0 && strcmp(bench->only, "read") != 0)) {
        bench_programs_recorded(bench, folder, REPLAY_ENGINE_INTERP);
        if (pvm_recomp_available())
            bench_programs_recorded(bench, folder, REPLAY_ENGINE_RECOMP);
    }
    os_close(zero);
    for (size_t i = 0; i < countof(trace_name); i++) {
        (void)snprintf(path, sizeof path, "%s/%s.lks", folder, trace_name[i]);
        (void)remove(path);
    }
    (void)remove(folder);
}
