/* SPDX-License-Identifier: MIT
 *
 * Going through a recorded run under a debugger: seeks, steps and searches backwards,
 * each against the plain replay of the same trace with the same engine.
 */
#include "bench/bench.h"

#include "base/os.h"
#include "replay/query.h"
#include "replay/replay.h"

#include <stdlib.h>
#include <string.h>

enum {
    A0 = 7,
    WATCH_COUNT = 100,
    SEEK_COUNT = 200,
    STEP_COUNT = 10000,
    ASK_COUNT = 50
};
#define WORK_SIZE_MAX ((size_t)1 << 31)

#define GOAL_SEEK_MS 250.0
#define GOAL_STEP_MS 5.0
#define GOAL_STEP_P99_MS 20.0
#define GOAL_SCAN 2.0
#define GOAL_LAST_WRITE_MS 50.0
#define GOAL_INTERRUPT_MS 50.0

struct work {
    struct arena arena;
    struct trace_memory memory;
    struct bytes file;
    struct trace_source source;
    struct replay_debug debug;
    struct replay_timeline *timeline;
    struct replay_query query;
    uint64_t random;
    /* When Ctrl-C was looked for last, and the longest time without. */
    uint64_t looked_ns, deaf_ns;
};

static void must(enum err err, const char *what)
{
    if (err)
        bench_die("%s: %s", what, err_text(err));
}

/* SplitMix64. */
static uint64_t next_random(struct work *w)
{
    uint64_t z = (w->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void record(struct work *w, const struct bench_program *program)
{
    const struct trace_writer_options options = {.guest = TRACE_GUEST_PVM,
                                                 .zstd_level = 1};
    struct replay_session_options how = {.limit = REPLAY_NO_LIMIT};
    struct replay_setup setup;
    struct trace_writer *writer;
    struct replay_session *session;
    struct replay_result result;
    must(replay_setup_container(&w->arena, &program->container, &setup), program->name);
    setup.config = pvm_config_default(PVM_PROFILE_VECTORS);
    setup.gas = REPLAY_GAS_DEFAULT;
    setup.reg[A0] = program->n;
    setup.gas_log = PVM_GAS_LOG_LEDGER;
    trace_memory_init(&w->memory, WORK_SIZE_MAX);
    struct trace_sink sink = trace_memory_sink(&w->memory);
    must(trace_writer_create(&w->arena, &sink, &options, &writer), "trace");
    must(trace_record_create(&w->arena, writer, true, &how.trace), "trace");
    must(replay_session_create(&w->arena, &setup, &how, &session), program->name);
    must(replay_session_run(session, &result), program->name);
    replay_session_close(session);
    trace_close(how.trace);
    must(trace_writer_finish(writer, NULL), "trace");
    w->file = buf_bytes(&w->memory.file);
    w->source = trace_bytes_source(&w->file);
}

static void run_replay(void *self, uint64_t *ret_ns)
{
    struct work *w = self;
    struct replay_report report;
    const struct replay_options options = {.engine = {.kind = REPLAY_ENGINE_INTERP}};
    uint64_t start = os_clock_cpu_ns();
    replay_trace(&w->source, &options, &report);
    *ret_ns = os_clock_cpu_ns() - start;
    if (report.class != REPLAY_SAME)
        bench_die("the replay is not the same");
}

static void close_work(struct work *w)
{
    if (!w->timeline)
        return;
    replay_query_fini(&w->query);
    replay_timeline_close(w->timeline);
    replay_debug_close(&w->debug);
    w->timeline = NULL;
}

static bool look_for_interrupt(void *self)
{
    struct work *w = self;
    uint64_t now = os_clock_cpu_ns();
    if (w->looked_ns && now - w->looked_ns > w->deaf_ns)
        w->deaf_ns = now - w->looked_ns;
    w->looked_ns = now;
    return false;
}

static void open_work(struct work *w)
{
    char message[REPLAY_DEBUG_MESSAGE_SIZE];
    const struct replay_timeline_options how = {.interrupted = look_for_interrupt,
                                                .interrupted_self = w};
    if (replay_debug_open(&w->source, &w->debug, message))
        bench_die("%s", message);
    must(replay_timeline_create(&w->debug.guest, &how, &w->timeline), "time line");
    must(replay_query_init(&w->query, &w->source, &w->debug, w->timeline), "query");
}

/* Open the trace and go to its end for the first time, taking snapshots. */
static void run_first_pass(void *self, uint64_t *ret_ns)
{
    struct work *w = self;
    close_work(w);
    uint64_t start = os_clock_cpu_ns();
    w->looked_ns = 0;
    open_work(w);
    must(replay_timeline_seek(w->timeline, REPLAY_TIME_NEVER), "seek");
    *ret_ns = os_clock_cpu_ns() - start;
}

/* Look backwards for what is not there, from end to start, with 100 watchpoints that
 * no list of written pages can rule out. */
static void run_scan(void *self, uint64_t *ret_ns)
{
    struct work *w = self;
    struct replay_watch watch[WATCH_COUNT];
    struct replay_stop stop;
    enum replay_end_kind end;
    for (unsigned i = 0; i < WATCH_COUNT; i++)
        watch[i] = (struct replay_watch){0xf0000000u + i * 5000u, 1 + i * 7,
                                         REPLAY_WATCH_READ | REPLAY_WATCH_WRITE};
    must(replay_timeline_seek(w->timeline, REPLAY_TIME_NEVER), "seek");
    must(replay_timeline_set_stops(w->timeline, NULL, 0, watch, WATCH_COUNT), "watch");
    uint64_t start = os_clock_cpu_ns();
    w->looked_ns = 0;
    must(replay_timeline_backward(w->timeline, &(struct replay_run){0}, &end, &stop),
         "backwards");
    *ret_ns = os_clock_cpu_ns() - start;
    must(replay_timeline_set_stops(w->timeline, NULL, 0, NULL, 0), "watch");
    if (end != REPLAY_AT_EDGE)
        bench_die("a watchpoint was met");
}

/* ---- single operations: median and 99 of 100 ---- */

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void say_times(struct bench *bench, const char *what, uint64_t *ns, size_t count,
                      double goal, double goal_p99)
{
    qsort(ns, count, sizeof *ns, compare);
    struct bench_figure figure = {
        .workload = "lz",
        .what = what,
        .value = (double)ns[count / 2] / 1e6,
        .unit = "ms",
        .least = (double)ns[0] / 1e6,
        .most = (double)ns[count - 1] / 1e6,
        .goal = goal,
        .at_most = true,
    };
    bench_say(bench, &figure);
    if (goal_p99 == 0)
        return;
    figure.what = "the same, 99 of 100";
    figure.value = (double)ns[count * 99 / 100] / 1e6;
    figure.least = figure.most = 0;
    figure.goal = goal_p99;
    bench_say(bench, &figure);
}

static void seeks(struct bench *bench, struct work *w)
{
    uint64_t ns[SEEK_COUNT];
    for (unsigned i = 0; i < SEEK_COUNT; i++) {
        const struct replay_time to = {.icount =
                                           next_random(w) % w->debug.guest.end.icount};
        uint64_t start = os_clock_cpu_ns();
        must(replay_timeline_seek(w->timeline, to), "seek");
        ns[i] = os_clock_cpu_ns() - start;
    }
    say_times(bench, "seek anywhere", ns, SEEK_COUNT, GOAL_SEEK_MS, 0);
}

static void steps(struct bench *bench, struct work *w)
{
    static uint64_t ns[STEP_COUNT];
    must(replay_timeline_seek(w->timeline, REPLAY_TIME_NEVER), "seek");
    for (unsigned i = 0; i < STEP_COUNT; i++) {
        bool moved;
        uint64_t start = os_clock_cpu_ns();
        must(replay_timeline_step_back(w->timeline, &moved), "step");
        ns[i] = os_clock_cpu_ns() - start;
    }
    say_times(bench, "one step back", ns, STEP_COUNT, GOAL_STEP_MS, GOAL_STEP_P99_MS);
}

static void questions(struct bench *bench, struct work *w)
{
    uint64_t ns[ASK_COUNT];
    must(replay_timeline_seek(w->timeline, REPLAY_TIME_NEVER), "seek");
    for (unsigned i = 0; i < ASK_COUNT; i++) {
        struct replay_answer answer;
        uint64_t address = 0x30000 + next_random(w) % 0x20000;
        uint64_t start = os_clock_cpu_ns();
        must(replay_query_last_write(&w->query, address, 1, &answer), "last-write");
        ns[i] = os_clock_cpu_ns() - start;
    }
    say_times(bench, "last-write of a byte", ns, ASK_COUNT, GOAL_LAST_WRITE_MS, 0);
}

void bench_debug(struct bench *bench)
{
    struct work w = {.random = 1};
    arena_init(&w.arena, WORK_SIZE_MAX);
    struct bench_program program =
        bench_program_load(&w.arena, "lz", bench->quick ? 80 : 800);
    record(&w, &program);
    struct bench_variant variant[] = {
        {.name = "replay", .run = run_replay, .self = &w},
        {.name = "first pass", .run = run_first_pass, .self = &w},
        {.name = "scan", .run = run_scan, .self = &w},
    };
    bench_turns(bench, variant, countof(variant));
    bench_note(bench, "%llu instructions, %llu snapshots of %llu KiB",
               (unsigned long long)w.debug.guest.end.icount,
               (unsigned long long)replay_timeline_stats(w.timeline).snapshot_count,
               (unsigned long long)replay_timeline_stats(w.timeline).snapshot_memory /
                   1024);
    (void)bench_say_ratio(bench, "lz", "first pass, with snapshots / replay",
                          &variant[1].series, &variant[0].series, 0);
    (void)bench_say_ratio(bench, "lz", "backwards, 100 watchpoints / replay",
                          &variant[2].series, &variant[0].series, GOAL_SCAN);
    bench_say(bench, &(struct bench_figure){
                         .workload = "lz",
                         .what = "longest time without a look for Ctrl-C",
                         .value = (double)w.deaf_ns / 1e6,
                         .unit = "ms",
                         .goal = GOAL_INTERRUPT_MS,
                         .at_most = true,
                     });
    seeks(bench, &w);
    steps(bench, &w);
    questions(bench, &w);
    close_work(&w);
    bench_interrupt_program(bench, "lz", &w.source);
    bench_interrupt_boot(bench);
    trace_memory_fini(&w.memory);
    arena_fini(&w.arena);
}
