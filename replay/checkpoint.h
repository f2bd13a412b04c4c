/* SPDX-License-Identifier: MIT
 *
 * replay/checkpoint.h - the state of a PVM program as a checkpoint (trace-replay.md
 * 2.9), and back.  Private to replay/.
 */
#ifndef REPLAY_CHECKPOINT_H
#define REPLAY_CHECKPOINT_H

#include "replay/session.h"

/* Take the machine's state, which must be that between two of its instructions with
 * nothing left to be written to the trace.  `state` is the engine's while it runs. */
ERR_MUST_CHECK enum err replay_checkpoint_take(struct replay_session *s,
                                               const struct pvm_state *state,
                                               struct checkpoint *ret_checkpoint);

/* Take the next one of the session's series and hand it over. */
ERR_MUST_CHECK enum err replay_checkpoint_next(struct replay_session *s,
                                               const struct pvm_state *state);

/* Give the session the state in front of event `seq` of a trace, behind which events go
 * on.  ERR_trace_event when the checkpoint makes no sense, and
 * trace_checkpoint_read's. */
ERR_MUST_CHECK enum err replay_checkpoint_restore(struct replay_session *s,
                                                  const struct trace_source *source,
                                                  uint64_t seq);

/* Give it the state of checkpoint `index` of the trace's list. */
ERR_MUST_CHECK enum err
replay_checkpoint_restore_at(struct replay_session *s,
                             const struct trace_source *source,
                             const struct trace_checkpoint_list *list, size_t index);

/* Runs of pages with equal access, as a checkpoint has them: page by page.  `mode` is
 * an enum pvm_access.  ERR_trace_event. */
ERR_MUST_CHECK enum err
replay_access_each(struct bytes runs,
                   enum err (*each)(void *self, uint32_t first, uint32_t count,
                                    unsigned mode, bool written),
                   void *self);

/* Registers of a checkpoint into a state; `gas` is the session's.  ERR_trace_event. */
ERR_MUST_CHECK enum err
replay_checkpoint_registers(const struct trace_checkpoint *checkpoint,
                            const struct trace_pvm_machine *machine, uint64_t gas,
                            struct pvm_state *state);

#endif
