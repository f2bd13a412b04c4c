/* SPDX-License-Identifier: MIT
 *
 * replay/slice.h - the state of a guest at a place in a trace, as the beginning of
 * another trace (trace-replay.md 2.9).  Private to replay/.
 *
 * Such a trace has the events that set the guest up, a BASE checkpoint, and events with
 * the numbers and clocks that go on from there.
 */
#ifndef REPLAY_SLICE_H
#define REPLAY_SLICE_H

#include "replay/checkpoint.h"
#include "replay/pc.h"

#define SLICE_MEMORY ((size_t)1 << 30)
#define SLICE_EVENT_MEMORY ((size_t)256 << 20) /* of one event */

struct slice {
    const struct trace_source *source;
    bool (*interrupted)(void);
    const struct replay_pc_follow_options *pc; /* how to replay a pc; NULL: not */
    struct replay_engine engine;               /* of a kernel's replay */
    enum trace_guest guest;
    bool kernel;     /* a session of the capability kernel */
    uint64_t icount; /* that was asked for */
    struct checkpoint checkpoint;
    uint64_t first_seq;        /* of the event that comes next */
    struct trace_clock from;   /* of the guest */
    struct trace_clock before; /* of the event before `first_seq` */
    /* Why it could not be taken. */
    enum replay_class class;
    char detail[160];
};

/* Replay the trace to the last place at or before a position where a run can be taken
 * up, and take the state there.  An error leaves class and detail. */
ERR_MUST_CHECK enum err replay_slice_take(struct slice *slice,
                                          const struct replay_position *at);
void replay_slice_fini(struct slice *slice);

/* The same of a pc trace that is open, with `to` set; the session goes on living. */
struct pc_follow;
ERR_MUST_CHECK enum err replay_slice_take_pc(struct slice *slice, struct pc_follow *f);

/* Copy the events that set the guest up; `reader`, which stands at its beginning, then
 * stands at event `first_seq`.  A NULL writer: only pass over them. */
ERR_MUST_CHECK enum err replay_slice_put_setup(struct slice *slice,
                                               struct trace_reader *reader,
                                               struct trace_writer *writer);

/* The checkpoint; or one without the state, only its hash. */
ERR_MUST_CHECK enum err replay_slice_put_base(const struct slice *slice,
                                              struct trace_writer *writer);
ERR_MUST_CHECK enum err replay_slice_put_reference(const struct slice *slice,
                                                   struct trace_writer *writer);

/* Write one event of a reader again. */
ERR_MUST_CHECK enum err replay_slice_copy_event(struct trace_reader *reader,
                                                const struct trace_record *record,
                                                struct trace_writer *writer);

/* Say why, unless something has been said. */
void replay_slice_say(struct slice *slice, enum replay_class class, const char *text);

#endif
