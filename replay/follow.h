/* SPDX-License-Identifier: MIT
 *
 * replay/follow.h - one replay of a trace with all it needs.  Private to replay/.
 */
#ifndef REPLAY_FOLLOW_H
#define REPLAY_FOLLOW_H

#include "replay/replay.h"
#include "trace/checkpoint.h"

struct follow {
    const struct trace_source *source;
    const struct replay_options *options;
    struct replay_report *report;
    struct arena arena;
    struct trace_reader *reader;
    struct replay_setup setup;
    struct trace *trace;
    struct trace *copy;
    struct replay_session *session;
    struct replay_checkpoints checkpoints; /* to be taken */
    struct trace_checkpoint_list stored;   /* those of the trace */
};

/* Where to stop: run to a boundary of the trace, then step to an icount. */
struct follow_stop {
    struct replay_limit limit;
    uint64_t icount; /* UINT64_MAX: do not step */
};

/* Open the trace and make a session of it.  `quiet`: no output, no copy.  An error
 * leaves class and detail in the report. */
ERR_MUST_CHECK enum err
replay_follow_open(struct follow *f, const struct replay_limit *limit, bool quiet);
void replay_follow_close(struct follow *f);

/* Run what was opened to the end of the trace, and judge. */
void replay_follow_run(struct follow *f);

/* The last place at or before `icount` where a session can stop, by reading the trace
 * up to event `seq_max`. */
ERR_MUST_CHECK enum err replay_follow_find_stop(struct follow *f, uint64_t icount,
                                                uint64_t seq_max,
                                                struct follow_stop *ret_stop);

/* Words for an end that is not "same". */
void replay_follow_say(struct replay_report *report, enum replay_class class,
                       const char *format, ...) __attribute__((format(printf, 3, 4)));

/* An error of reading the trace, or of what it describes. */
void replay_follow_say_error(struct follow *f, enum err err);

/* A reader of its own; an error leaves class and detail in the report. */
ERR_MUST_CHECK enum err replay_follow_open_reader(struct follow *f,
                                                  struct trace_reader **ret_reader);

/* Behind ERR_trace_end: take over session.end, which a recording that was stopped has;
 * ERR_trace_end when it is not there. */
ERR_MUST_CHECK enum err replay_follow_copy_end(struct follow *f);

/* Report a divergence: the trace's, or `own` where it has none. */
void replay_follow_diverged(struct follow *f, const struct trace_divergence *own);

/* Replay a kernel's session (kernel_follow.c): all of it, with the options and into the
 * report of `f`. */
void replay_follow_kernel(struct follow *f);

/* The same up to event `seq`, one of replay_kernel_find_place(); the state there. */
struct checkpoint;
ERR_MUST_CHECK enum err replay_follow_kernel_take(struct follow *f, uint64_t seq,
                                                  struct checkpoint *ret_checkpoint);

/* A part of a trace has a checkpoint in the middle, which nobody would write again:
 * refuse to copy it, with words in the report.  The reader is open. */
ERR_MUST_CHECK enum err replay_follow_check_copy(struct follow *f);

/* After a divergence: look for its first instruction; fills report->place. */
void replay_follow_locate(const struct follow *diverged);

#endif
