/* SPDX-License-Identifier: MIT
 *
 * replay/pc_follow.h - one replay of a pc trace with all it needs.  Private to replay/.
 */
#ifndef REPLAY_PC_FOLLOW_H
#define REPLAY_PC_FOLLOW_H

#include "replay/pc_private.h"

struct pc_follow {
    const struct trace_source *source;
    const struct replay_pc_follow_options *options;
    struct replay_pc_report *report;
    struct arena arena;
    struct trace_reader *ahead, *reader;
    struct trace *trace, *copy;
    struct trace_record next;
    struct replay_pc_setup setup;
    struct v86fs_server *server;
    struct replay_pc *session;
    struct emu_host host;
    bool interrupted;
    uint64_t gap_size; /* events that the trace has left out */
};

/* Open the trace and make a session of it.  An error leaves class and detail in the
 * report.  Close in either case. */
ERR_MUST_CHECK enum err replay_pc_follow_open(struct pc_follow *f);
void replay_pc_follow_close(struct pc_follow *f);

/* Run to the end, or to what stops the session, and fill the report. */
void replay_pc_follow_run(struct pc_follow *f);

/* Words for the report. */
void replay_pc_follow_say(struct replay_pc_report *report, enum replay_class class,
                          const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The place that a position means in this trace; *ret_end: behind its last event, all
 * of it is meant.  ERR_usage: a gas clock. */
ERR_MUST_CHECK enum err replay_pc_find_place(const struct trace_source *source,
                                             const struct replay_position *position,
                                             struct emu_place *ret_place,
                                             bool *ret_end);

#endif
