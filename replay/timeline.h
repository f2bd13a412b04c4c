/* SPDX-License-Identifier: MIT
 *
 * replay/timeline.h - a replayed guest with all its time: go to any position, run
 * forwards and backwards (trace-replay.md 8).
 *
 * Snapshots are taken as the guest passes; a seek goes on from the nearest one before.
 * Going backwards is running forwards over stretches that lie further and further back.
 *
 * Threads: a time line belongs to one.
 */
#ifndef REPLAY_TIMELINE_H
#define REPLAY_TIMELINE_H

#include "replay/debug.h"
#include "replay/position.h"
#include "trace/trace.h"

enum { REPLAY_DEBUG_MESSAGE_SIZE = 160 };

/* ---- a trace, opened for debugging ---- */

struct replay_debug {
    struct replay_guest guest;
    uint64_t setup_count; /* events in front of the first instruction */
    uint64_t last_seq;    /* number of the last event that can be reached */
    bool finished;        /* the trace has its session.end and index */
    enum err damage;      /* why it ends before; ERR_ok: it does not */
    void (*close)(void *self);
};

/* Open a trace of whatever guest; `source` stays borrowed.  An error leaves one line in
 * `message`, REPLAY_DEBUG_MESSAGE_SIZE bytes. */
ERR_MUST_CHECK enum err replay_debug_open(const struct trace_source *source,
                                          struct replay_debug *ret_debug,
                                          char *message);
void replay_debug_close(struct replay_debug *debug);

/* ---- the time line ---- */

struct replay_timeline_options {
    uint64_t memory_max; /* for snapshots; 0: 512 MiB */
    uint64_t spacing;    /* instructions between snapshots; 0: 2 million */
    /* Polled while the guest runs; NULL: never. */
    bool (*interrupted)(void *self);
    void *interrupted_self;
};

struct replay_timeline;

/* The guest stays borrowed and stands at its start.  ERR_nomem. */
ERR_MUST_CHECK enum err
replay_timeline_create(const struct replay_guest *guest,
                       const struct replay_timeline_options *options,
                       struct replay_timeline **ret_timeline);
void replay_timeline_close(struct replay_timeline *timeline);

const struct replay_guest *replay_timeline_guest(const struct replay_timeline *t);
struct replay_time replay_timeline_now(const struct replay_timeline *t);
/* The last position: where the trace ends, or cannot be replayed any further. */
struct replay_time replay_timeline_end(const struct replay_timeline *t);

/* Go to a position, cut to what there is.  ERR_interrupted: it stands somewhere on the
 * way; errors of the guest: in front of what cannot be replayed. */
ERR_MUST_CHECK enum err replay_timeline_seek(struct replay_timeline *t,
                                             struct replay_time to);
/* The first block entry with this gas clock. */
ERR_MUST_CHECK enum err replay_timeline_seek_gas(struct replay_timeline *t,
                                                 uint64_t gas);

/* Breakpoints and watchpoints, copied; as replay_guest_ops.set_stops. */
ERR_MUST_CHECK enum err replay_timeline_set_stops(struct replay_timeline *t,
                                                  const uint64_t *break_address,
                                                  size_t break_count,
                                                  const struct replay_watch *watch,
                                                  size_t watch_count);

/* How a run ended. */
enum replay_end_kind {
    REPLAY_AT_STOP,   /* a breakpoint or watchpoint: *ret_stop */
    REPLAY_AT_LIMIT,  /* the limit that was given */
    REPLAY_AT_EDGE,   /* the end of the trace, or its beginning */
    REPLAY_AT_BROKEN, /* interrupted */
};

struct replay_run {
    struct replay_time limit; /* do not pass it; forwards NEVER, backwards {0, 0} */
    /* Of the first instruction, going forwards: an access has been reported here. */
    bool pass_watch;
    /* Is this breakpoint to be heeded?  The guest stands there.  NULL: each is. */
    bool (*accept)(void *self, const struct replay_stop *stop);
    void *accept_self;
};

/* Forwards, from the position behind now.  A watchpoint is reported on the side that
 * the guest's watch_before says. */
ERR_MUST_CHECK enum err replay_timeline_forward(struct replay_timeline *t,
                                                const struct replay_run *run,
                                                enum replay_end_kind *ret_end,
                                                struct replay_stop *ret_stop);
/* Backwards: to the last stop before now. */
ERR_MUST_CHECK enum err replay_timeline_backward(struct replay_timeline *t,
                                                 const struct replay_run *run,
                                                 enum replay_end_kind *ret_end,
                                                 struct replay_stop *ret_stop);

/* Take a snapshot here, and come back to it whatever the client wants: for a question
 * that must not move the guest.  ERR_nomem; as replay_timeline_seek(). */
ERR_MUST_CHECK enum err replay_timeline_mark(struct replay_timeline *t);
ERR_MUST_CHECK enum err replay_timeline_return(struct replay_timeline *t,
                                               struct replay_time to);

/* Does the client want what is under way to end? */
bool replay_timeline_interrupted(const struct replay_timeline *t);

/* One position forwards or backwards, heeding nothing.  False: there is none.
 * ERR_interrupted: it is somewhere on the way. */
ERR_MUST_CHECK enum err replay_timeline_step(struct replay_timeline *t,
                                             bool *ret_moved);
ERR_MUST_CHECK enum err replay_timeline_step_back(struct replay_timeline *t,
                                                  bool *ret_moved);

/* Keep a snapshot of now that is never dropped. */
ERR_MUST_CHECK enum err replay_timeline_keep(struct replay_timeline *t);

struct replay_timeline_stats {
    uint64_t snapshot_count, snapshot_memory;
    uint64_t dropped_count;
    uint64_t instruction_count; /* executed in all */
    uint64_t seek_count, load_count, skipped_count;
    uint64_t stored_count; /* checkpoints of the trace that were looked at */
};
struct replay_timeline_stats replay_timeline_stats(const struct replay_timeline *t);

#endif
