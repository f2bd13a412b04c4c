/* SPDX-License-Identifier: MIT
 *
 * Checkpoints for a trace that has been recorded (trace-replay.md 2.9).
 */
#include "replay/follow.h"
#include "replay/kernel.h"
#include "replay/pc.h"

#include <stdio.h>

struct adding {
    struct follow follow;
    struct replay_add_report *report;
    const struct replay_pc_follow_options *pc;
    struct arena arena; /* of the copier */
    struct trace_copier *copier;
};

static enum err put(void *self, uint64_t seq, const struct trace_clock *clock,
                    const struct trace_base_part *part, size_t part_count)
{
    struct adding *a = self;
    a->report->checkpoint_count++;
    return trace_copier_put(a->copier, seq, clock, part, part_count);
}

static void refuse(struct adding *a, enum err err, const char *text)
{
    a->report->replay.err = err;
    replay_follow_say(&a->report->replay, REPLAY_FAILED, "%s",
                      text ? text : err_text(err));
}

/* Replay all of it; checkpoints go out as they are taken. */
static void replay_all(struct adding *a)
{
    struct follow *f = &a->follow;
    const struct replay_limit none = REPLAY_NO_LIMIT;
    struct replay_report *report = &a->report->replay;
    enum err err = replay_follow_open(f, &none, true);
    if (err)
        report->err = err;
    else
        replay_follow_run(f);
    replay_follow_close(f);
}

static void replay_all_of_pc(struct adding *a)
{
    struct replay_pc_report report;
    struct replay_report *to = &a->report->replay;
    struct replay_pc_follow_options how = *a->pc;
    how.checkpoints = a->follow.checkpoints;
    replay_pc_trace(a->follow.source, &how, &report);
    to->class = report.class;
    to->err = report.err;
    to->event_count = report.event_count;
    to->finished = report.finished;
    to->identity = report.identity;
    if (report.detail[0] || report.class == REPLAY_DIVERGED)
        (void)snprintf(to->detail, sizeof to->detail, "%.159s",
                       report.detail[0] ? report.detail : "its replay diverges");
}

static void add(struct adding *a)
{
    bool pc = a->pc && replay_pc_is_session(a->follow.source);
    struct replay_report *report = &a->report->replay;
    if (a->follow.checkpoints.every && pc)
        replay_all_of_pc(a);
    else if (a->follow.checkpoints.every && replay_kernel_is(a->follow.source))
        replay_follow_kernel(&a->follow);
    else if (a->follow.checkpoints.every)
        replay_all(a);
    if (report->class != REPLAY_SAME)
        return;
    enum err err = trace_copier_finish(a->copier);
    if (err)
        refuse(a, err, NULL);
}

void replay_add_checkpoints(const struct trace_source *source,
                            const struct trace_sink *sink,
                            const struct replay_add_options *options,
                            struct replay_add_report *ret_report)
{
    const struct replay_options how = {.engine = options->engine,
                                       .interrupted = options->interrupted};
    struct adding a = {
        .follow = {.source = source,
                   .options = &how,
                   .report = &ret_report->replay,
                   .checkpoints = {.every = options->every, .put = put, .self = &a}},
        .report = ret_report,
        .pc = options->pc};
    *ret_report = (struct replay_add_report){0};
    arena_init(&a.arena, (size_t)64 << 20);
    enum err err = trace_copier_open(&a.arena, source, sink, &a.copier);
    if (err == ERR_trace_truncated)
        refuse(&a, err, "the trace is not finished; recover it first");
    else if (err == ERR_unsupported)
        refuse(&a, err, "what is left of a ring, whose checkpoints are a part of it");
    else if (err)
        refuse(&a, err, NULL);
    else
        add(&a);
    trace_copier_close(a.copier);
    arena_fini(&a.arena);
}
