/* SPDX-License-Identifier: MIT
 *
 * replay/pc_setup.h - configuration and images of a pc session, as events.  Private to
 * replay/.
 */
#ifndef REPLAY_PC_SETUP_H
#define REPLAY_PC_SETUP_H

#include "replay/fs_setup.h"
#include "replay/pc.h"

/* Emit session.begin, session.config and input.file. */
ERR_MUST_CHECK enum err replay_pc_setup_emit(const struct replay_pc_setup *setup,
                                             struct trace *trace);

/* Read the same, into `arena`; images that are not embedded are read from their paths.
 * *ret_next is the event behind it.  ERR_trace_event with *ret_refusal. */
ERR_MUST_CHECK enum err replay_pc_setup_read(struct arena *arena,
                                             struct trace_reader *reader,
                                             struct replay_pc_setup *ret_setup,
                                             struct trace_record *ret_next,
                                             struct replay_refusal *ret_refusal);

#endif
