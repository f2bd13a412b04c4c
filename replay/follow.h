/* SPDX-License-Identifier: MIT
 *
 * replay/follow.h - one replay of a trace with all it needs.  Private to replay/.
 */
#ifndef REPLAY_FOLLOW_H
#define REPLAY_FOLLOW_H

#include "replay/replay.h"

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

/* The last place at or before `icount` where a session can stop, by reading the trace
 * up to event `seq_max`. */
ERR_MUST_CHECK enum err replay_follow_find_stop(struct follow *f, uint64_t icount,
                                                uint64_t seq_max,
                                                struct follow_stop *ret_stop);

/* After a divergence: look for its first instruction; fills report->place. */
void replay_follow_locate(const struct follow *diverged);

#endif
