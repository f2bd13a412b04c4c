/* SPDX-License-Identifier: MIT
 *
 * cli/mount_private.h - what mount.c and mount_ops.c share.
 */
#ifndef CLI_MOUNT_PRIVATE_H
#define CLI_MOUNT_PRIVATE_H

#define FUSE_USE_VERSION 34
#include <fuse3/fuse_lowlevel.h>

#include "base/os_jobs.h"
#include "cli/mount.h"

enum {
    CLI_MOUNT_NAME_COUNT = 1024,
    CLI_MOUNT_TIMEOUT_NS = 1000000000, /* that the kernel trusts what it was told */
};

/* What the kernel is told of its own accord; see mount_notes.c. */
struct cli_mount_message {
    uint64_t node; /* FUSE's number */
    uint64_t offset, size;
    char name[V86FS_NAME_MAX + 1]; /* "": the node itself, else this name in it */
};

/* A name that the kernel has heard of a moment ago. */
struct cli_mount_name {
    uint64_t parent; /* FUSE's number */
    uint64_t given_ns;
    char name[V86FS_NAME_MAX + 1];
};

struct cli_mount_notes {
    struct os_job job;
    int stream; /* to the job, -1 before it is needed */
    struct cli_mount_message message;
    size_t message_at; /* bytes of it that have been sent; all: it is free */
    uint64_t folder;   /* whose names are next; 0: none */
    unsigned name_at;
    unsigned next; /* where the next name goes */
    struct cli_mount_name *names;
};

/* The frames of one call, and where they go. */
struct cli_mount {
    const struct cli_mount_options *options;
    uint64_t root; /* node that FUSE calls 1 */
    uint16_t tag;
    uint32_t uid, gid; /* ours: seen where the tree says 0 */
    struct buf request;
    uint8_t *reply; /* V86FS_FRAME_MAX */
    struct fuse_session *session;
    struct cli_mount_notes notes;
    struct cli_mount_listing *listings; /* of open directories; see mount_ops.c */
    /* of the last call */
    struct v86fs_answer answer;
    struct bytes tail;
};

/* Send a request and wait for its reply: a status; EIO for a broken reply. */
uint32_t cli_mount_ask(struct cli_mount *mount, uint8_t type,
                       const struct v86fs_ask *ask);

/* The kernel is about to hear of a name: how many seconds it may trust in it. */
double cli_mount_name_timeout(struct cli_mount *mount, fuse_ino_t parent,
                              const char *name);

/* Pass on what has changed, as far as the kernel takes it now.  True: there is more,
 * and somebody should wait until `notes.stream` takes it. */
bool cli_mount_notes_pass(struct cli *cli, struct cli_mount *mount);
void cli_mount_notes_fini(struct cli_mount *mount);

/* FUSE's number of a node. */
static inline fuse_ino_t cli_mount_ino(const struct cli_mount *mount, uint64_t node)
{
    return node == mount->root ? FUSE_ROOT_ID : node;
}

extern const struct fuse_lowlevel_ops cli_mount_ops;

/* After an unmount: the kernel gives open directories back later, or never. */
void cli_mount_ops_fini(struct cli_mount *mount);

#endif
