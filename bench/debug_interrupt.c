/* SPDX-License-Identifier: MIT
 *
 * How long Ctrl-C takes while a recorded run is debugged: the client wants the guest to
 * stop at a random moment, and what counts is the CPU time from there until the
 * operation has come back.
 */
#include "bench/bench.h"

#include "base/os.h"
#include "replay/pc.h"
#include "replay/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRY_COUNT = 200, QUICK_COUNT = 40, WAIT_NS = 60000000 };
#define GOAL_MS 50.0
#define BOOT_INSNS UINT64_C(150000000)
#define BOOT_INSNS_QUICK UINT64_C(40000000)
#define FILE_SIZE_MAX ((size_t)1 << 30)

struct subject {
    const char *workload;
    struct replay_debug debug;
    struct replay_timeline *timeline;
    struct replay_query query;
    uint64_t random, deadline_ns;
    uint64_t never; /* an address that is never written or run */
    uint64_t often; /* one that is written all the time */
};

static void must(enum err err, const char *what)
{
    if (err)
        bench_die("%s: %s", what, err_text(err));
}

/* SplitMix64. */
static uint64_t next_random(struct subject *s)
{
    uint64_t z = (s->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static bool interrupted(void *self)
{
    const struct subject *s = self;
    return s->deadline_ns && os_clock_cpu_ns() >= s->deadline_ns;
}

/* ---- what may be under way; true: it was interrupted ---- */

static bool run(struct subject *s, bool backward)
{
    const struct replay_run how = {.limit = backward ? (struct replay_time){0}
                                                     : REPLAY_TIME_NEVER};
    struct replay_stop stop;
    enum replay_end_kind end;
    must((backward ? replay_timeline_backward
                   : replay_timeline_forward)(s->timeline, &how, &end, &stop),
         "run");
    return end == REPLAY_AT_BROKEN;
}

static bool go_on(struct subject *s)
{
    return run(s, false);
}

static bool go_back(struct subject *s)
{
    return run(s, true);
}

/* Stop after stop, as for a breakpoint whose condition gdb evaluates. */
static bool meet_often(struct subject *s)
{
    while (!run(s, true)) {
        if (replay_timeline_now(s->timeline).icount == 0)
            return false;
    }
    return true;
}

/* Question after question, about the stack. */
static bool ask(struct subject *s)
{
    struct replay_answer answer;
    enum err err = ERR_ok;
    while (!err) {
        uint64_t address = s->often - next_random(s) % 4096;
        err = replay_query_last_write(&s->query, address, 1, &answer);
    }
    if (err != ERR_interrupted)
        must(err, "last-write");
    return true;
}

static bool seek(struct subject *s)
{
    uint64_t end = s->debug.guest.end.icount;
    bool there = replay_timeline_now(s->timeline).icount > end / 2;
    const struct replay_time to = {.icount = there ? next_random(s) % (end / 2)
                                                   : end / 2 + end / 3};
    return replay_timeline_seek(s->timeline, to) == ERR_interrupted;
}

static const struct operation {
    const char *what;
    bool (*run)(struct subject *s);
    bool from_end;
    bool watches_often;
} operation[] = {
    {"continue", go_on, false, false},
    {"reverse-continue", go_back, true, false},
    {"reverse-continue, from stop to stop", meet_often, true, true},
    {"last-write", ask, true, false},
    {"seeks", seek, false, false},
};

/* ---- measuring ---- */

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void say(struct bench *bench, const struct subject *s, const char *what,
                uint64_t *ns, size_t count)
{
    char text[96];
    qsort(ns, count, sizeof *ns, compare);
    (void)snprintf(text, sizeof text, "Ctrl-C during %s", what);
    struct bench_figure figure = {
        .workload = s->workload,
        .what = text,
        .value = (double)ns[count / 2] / 1e6,
        .unit = "ms",
        .least = (double)ns[0] / 1e6,
        .most = (double)ns[count - 1] / 1e6,
    };
    bench_say(bench, &figure);
    figure.what = "the same, 99 of 100";
    figure.value = (double)ns[count * 99 / 100] / 1e6;
    figure.least = figure.most = 0;
    figure.goal = GOAL_MS;
    figure.at_most = true;
    bench_say(bench, &figure);
}

static void measure(struct bench *bench, struct subject *s, const struct operation *op)
{
    static uint64_t ns[TRY_COUNT];
    size_t wanted = bench->quick ? QUICK_COUNT : TRY_COUNT, count = 0;
    const struct replay_watch watch = {op->watches_often ? s->often : s->never, 4,
                                       REPLAY_WATCH_WRITE};
    for (size_t tries = 0; count < wanted && tries < 4 * wanted; tries++) {
        s->deadline_ns = 0;
        must(replay_timeline_seek(s->timeline, op->from_end ? REPLAY_TIME_NEVER
                                                            : (struct replay_time){0}),
             "seek");
        must(replay_timeline_set_stops(s->timeline, &s->never, !op->watches_often,
                                       &watch, 1),
             "stops");
        s->deadline_ns = os_clock_cpu_ns() + next_random(s) % WAIT_NS;
        bool broken = op->run(s);
        uint64_t now = os_clock_cpu_ns();
        if (broken)
            ns[count++] = now - s->deadline_ns;
    }
    if (count)
        say(bench, s, op->what, ns, count);
    else
        bench_note(bench, "%s: %s is over too soon", s->workload, op->what);
}

/* Below the stack of the end: what calls and interrupts use. */
static void find_often(struct subject *s)
{
    const struct replay_guest *guest = &s->debug.guest;
    uint8_t bytes[16] = {0};
    must(replay_timeline_seek(s->timeline, REPLAY_TIME_NEVER), "seek");
    guest->ops->register_get(guest->self, guest->ops->sp_reg, bytes);
    for (unsigned i = 8; i-- > 0;)
        s->often = s->often << 8 | bytes[i];
    s->often -= 8;
}

static void measure_all(struct bench *bench, struct subject *s,
                        const struct trace_source *source)
{
    char message[REPLAY_DEBUG_MESSAGE_SIZE];
    const struct replay_timeline_options how = {.interrupted = interrupted,
                                                .interrupted_self = s};
    if (replay_debug_open(source, &s->debug, message))
        bench_die("%s", message);
    must(replay_timeline_create(&s->debug.guest, &how, &s->timeline), "time line");
    must(replay_query_init(&s->query, source, &s->debug, s->timeline), "query");
    find_often(s);
    for (size_t i = 0; i < countof(operation); i++)
        measure(bench, s, &operation[i]);
    replay_query_fini(&s->query);
    replay_timeline_close(s->timeline);
    replay_debug_close(&s->debug);
}

void bench_interrupt_program(struct bench *bench, const char *workload,
                             const struct trace_source *source)
{
    struct subject s = {
        .workload = workload, .random = 1, .never = UINT32_C(0xf0000000)};
    measure_all(bench, &s, source);
}

/* ---- a boot of Linux ---- */

static void console_out(void *self, uint32_t dev, uint8_t byte)
{
    (void)self, (void)dev, (void)byte;
}

static bool no_input(void *self, struct emu_place here, struct emu_place *ret_next,
                     struct emu_input *ret_input)
{
    (void)self, (void)here, (void)ret_next, (void)ret_input;
    return false;
}

static bool idle(void *self, uint64_t now, uint64_t deadline, uint64_t *ret_vns)
{
    (void)self, (void)now;
    *ret_vns = deadline;
    return deadline != EMU_NEVER;
}

static void record_boot(struct arena *arena, struct trace_memory *memory,
                        struct bytes kernel, struct bytes initrd, uint64_t limit)
{
    const struct trace_writer_options how = {.guest = TRACE_GUEST_PC, .zstd_level = 1};
    static const char line[] = "console=ttyS0 cryptomgr.notests=1 noisapnp quiet";
    const struct emu_host host = {NULL, console_out, no_input, idle, NULL};
    struct replay_pc_setup setup = {.kernel_name = "vmlinuz", .embed = true};
    struct trace_sink sink = trace_memory_sink(memory);
    struct replay_pc_options options = {.host = &host};
    struct emu_boot_problem problem;
    struct trace_writer *writer;
    struct replay_pc *session;
    emu_pc_config_init(&setup.config);
    setup.boot.kind = EMU_BOOT_LINUX;
    setup.boot.kernel = kernel;
    setup.boot.initrd = initrd;
    setup.boot.cmdline = bytes_of(line, sizeof line - 1);
    must(trace_writer_create(arena, &sink, &how, &writer), "trace");
    must(trace_record_create(arena, writer, true, &options.trace), "trace");
    must(replay_pc_create(arena, &setup, &options, &session, &problem), "boot");
    must(replay_pc_end(session, replay_pc_run(session, limit)), "boot");
    replay_pc_close(session);
    trace_close(options.trace);
    must(trace_writer_finish(writer, NULL), "trace");
    trace_memory_flush(memory);
}

void bench_interrupt_boot(struct bench *bench)
{
    struct subject s = {.workload = "boot", .random = 1, .never = UINT32_C(0x7ffff000)};
    struct trace_memory memory;
    struct arena arena;
    struct buf kernel, initrd;
    buf_init(&kernel, FILE_SIZE_MAX);
    buf_init(&initrd, FILE_SIZE_MAX);
    if (os_file_read("build/guest/vmlinuz", &kernel) ||
        os_file_read("build/guest/initramfs.cpio", &initrd)) {
        bench_note(bench, "no boot: there is no Linux guest (./dev guest)");
    } else {
        arena_init(&arena, (size_t)8 << 30);
        trace_memory_init(&memory, FILE_SIZE_MAX);
        record_boot(&arena, &memory, buf_bytes(&kernel), buf_bytes(&initrd),
                    bench->quick ? BOOT_INSNS_QUICK : BOOT_INSNS);
        struct bytes file = buf_bytes(&memory.file);
        struct trace_source source = trace_bytes_source(&file);
        measure_all(bench, &s, &source);
        trace_memory_fini(&memory);
        arena_fini(&arena);
    }
    buf_fini(&kernel);
    buf_fini(&initrd);
}
