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

/* Parts of it for a pc with such a device: its keys, which sort before "pc.", and its
 * images. */
ERR_MUST_CHECK enum err replay_fs_setup_emit_config(const struct replay_fs_setup *setup,
                                                    struct trace *trace);
ERR_MUST_CHECK enum err replay_fs_setup_emit_images(const struct replay_fs_setup *setup,
                                                    struct trace *trace);

/* Who reads the keys "pc." and the files that are no images of trees.  A key is not
 * known: false. */
struct replay_fs_more {
    void *self;
    bool (*key)(void *self, const char *key, const char *value);
    enum err (*file)(void *self, const struct trace_input_file *file);
};

/* Read the same, into `arena`.  `more` is NULL for a session of a file server;
 * otherwise the setup ends with the first event that is none of it.  *ret_next (may be
 * NULL) is the event behind it.  ERR_trace_event with *ret_refusal. */
ERR_MUST_CHECK enum err replay_fs_setup_read(struct arena *arena,
                                             struct trace_reader *reader,
                                             const struct replay_fs_more *more,
                                             struct replay_fs_setup *ret_setup,
                                             struct trace_record *ret_next,
                                             struct replay_refusal *ret_refusal);

#endif
