/* SPDX-License-Identifier: MIT
 *
 * Replay a trace of a kernel and say how it went.
 */
#include "replay/follow.h"
#include "replay/kernel.h"

#define MEMORY_DEFAULT ((size_t)1 << 30)
#define EVENT_MEMORY ((size_t)96 << 20)

struct kernel_follow {
    struct follow *f;
    struct replay_kernel_setup setup;
    struct replay_kernel *session;
};

static enum err read_setup(struct kernel_follow *k)
{
    struct follow *f = k->f;
    struct replay_refusal refusal = {0};
    TRY(replay_follow_open_reader(f, &f->reader));
    enum err err = replay_kernel_setup_read(&f->arena, f->reader, &k->setup, &refusal);
    trace_reader_close(f->reader);
    f->reader = NULL;
    if (err == ERR_trace_event && refusal.text[0])
        replay_follow_say(f->report, (enum replay_class)refusal.class, "%s",
                          refusal.text);
    else if (err)
        replay_follow_say(f->report,
                          err == ERR_trace_end ? REPLAY_OPEN : REPLAY_DAMAGED, "%s",
                          err_text(err));
    return err;
}

static enum err open(struct kernel_follow *k)
{
    struct follow *f = k->f;
    const struct trace_replay_options how = {.memory_max = EVENT_MEMORY};
    TRY(read_setup(k));
    TRY(replay_follow_open_reader(f, &f->reader));
    enum err err = trace_replay_create(&f->arena, f->reader, &how, &f->trace);
    if (!err && f->options->copy)
        err = trace_record_create(&f->arena, f->options->copy, true, &f->copy);
    const struct replay_kernel_options options = {.trace = f->trace,
                                                  .copy = f->copy,
                                                  .engine = f->options->engine,
                                                  .gas_max = f->options->gas_max,
                                                  .interrupted =
                                                      f->options->interrupted};
    if (!err)
        err = replay_kernel_create(&f->arena, &k->setup, &options, &k->session);
    if (err)
        replay_follow_say_error(f, err);
    return err;
}

static void judge(struct kernel_follow *k, enum err err)
{
    struct follow *f = k->f;
    struct replay_report *report = f->report;
    if (err == ERR_trace_end)
        err = replay_follow_copy_end(f);
    if (err == ERR_trace_diverged && trace_divergence(f->trace) &&
        !trace_divergence(f->trace)->recorded_name)
        err = ERR_trace_end; /* a recovered file: closed, but cut off */
    bool closed = trace_reader_state(f->reader) == TRACE_READER_CLOSED;
    report->err = err;
    report->identity = trace_reader_chain(f->reader);
    if (err == ERR_trace_diverged) {
        replay_follow_diverged(f, replay_kernel_divergence(k->session));
    } else if (err == ERR_trace_end) {
        replay_follow_say(report, REPLAY_OPEN, "%s",
                          closed ? "the trace was cut off here"
                                 : "its recording is not finished");
    } else if (err) {
        replay_follow_say_error(f, err);
    } else {
        report->finished = closed;
        report->class = closed ? REPLAY_SAME : REPLAY_OPEN;
    }
}

void replay_follow_kernel(struct follow *f)
{
    struct kernel_follow k = {.f = f};
    struct replay_report *report = f->report;
    size_t memory_max = f->options->memory_max;
    arena_init(&f->arena, memory_max ? memory_max : MEMORY_DEFAULT);
    enum err err = ERR_unsupported;
    if (f->options->to.kind != REPLAY_AT_END)
        replay_follow_say(report, REPLAY_FAILED,
                          "the replay of a kernel stops at its end only");
    else
        err = open(&k);
    if (err) {
        report->err = err;
    } else {
        err = replay_kernel_follow(k.session);
        struct replay_kernel_totals totals = replay_kernel_totals(k.session);
        report->event_count = trace_seq(f->trace);
        report->result.clock = totals.clock;
        report->result.ecall_count = totals.ecall_count;
        judge(&k, err);
    }
    replay_kernel_close(k.session);
    replay_follow_close(f);
}
