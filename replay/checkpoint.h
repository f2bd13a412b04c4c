/* SPDX-License-Identifier: MIT
 *
 * replay/checkpoint.h - a session's state as a checkpoint, and back.  Private to
 * replay/.
 */
#ifndef REPLAY_CHECKPOINT_H
#define REPLAY_CHECKPOINT_H

#include "replay/session.h"
#include "trace/checkpoint.h"

enum { CHECKPOINT_PART_SIZE = 32 << 20, CHECKPOINT_PART_COUNT = 256 };

/* The payloads of a checkpoint, in order. */
struct checkpoint {
    struct buf part[CHECKPOINT_PART_COUNT];
    uint32_t record_count[CHECKPOINT_PART_COUNT];
    size_t part_count;
};
void replay_checkpoint_fini(struct checkpoint *checkpoint);

/* Take the machine's state, which must be that between two of its instructions with
 * nothing left to be written to the trace.  `state` is the engine's while it runs. */
ERR_MUST_CHECK enum err replay_checkpoint_take(struct replay_session *s,
                                               const struct pvm_state *state,
                                               struct checkpoint *ret_checkpoint);

/* Give the session the state in front of event `seq` of a trace.  ERR_trace_event when
 * the checkpoint makes no sense, and trace_checkpoint_read's. */
ERR_MUST_CHECK enum err replay_checkpoint_restore(struct replay_session *s,
                                                  const struct trace_source *source,
                                                  uint64_t seq);

#endif
