/* SPDX-License-Identifier: MIT
 *
 * cli/mount_private.h - what mount.c and mount_ops.c share.
 */
#ifndef CLI_MOUNT_PRIVATE_H
#define CLI_MOUNT_PRIVATE_H

#define FUSE_USE_VERSION 34
#include <fuse3/fuse_lowlevel.h>

#include "cli/mount.h"

/* The frames of one call, and where they go. */
struct cli_mount {
    const struct cli_mount_options *options;
    uint64_t root; /* node that FUSE calls 1 */
    uint16_t tag;
    uint32_t uid, gid; /* ours: seen where the tree says 0 */
    struct buf request;
    uint8_t *reply; /* V86FS_FRAME_MAX */
    /* of the last call */
    struct v86fs_answer answer;
    struct bytes tail;
};

/* Send a request and wait for its reply: a status; EIO for a broken reply. */
uint32_t cli_mount_ask(struct cli_mount *mount, uint8_t type,
                       const struct v86fs_ask *ask);

extern const struct fuse_lowlevel_ops cli_mount_ops;

#endif
