/* SPDX-License-Identifier: MIT
 *
 * replay/fs_setup.h - session.config and images of a file-server session.  Private to
 * replay/.
 */
#ifndef REPLAY_FS_SETUP_H
#define REPLAY_FS_SETUP_H

#include "replay/fs.h"

/* Emit session.begin to virtio.ready. */
ERR_MUST_CHECK enum err replay_fs_setup_emit(const struct replay_fs_setup *setup,
                                             struct trace *trace);

/* Read the same, into `arena`.  ERR_trace_event with *ret_refusal. */
ERR_MUST_CHECK enum err replay_fs_setup_read(struct arena *arena,
                                             struct trace_reader *reader,
                                             struct replay_fs_setup *ret_setup,
                                             struct replay_refusal *ret_refusal);

#endif
