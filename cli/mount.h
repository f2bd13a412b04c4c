/* SPDX-License-Identifier: MIT
 *
 * cli/mount.h - a file server as a directory of this host, through FUSE.
 *
 * What programs do below the directory becomes frames of the wire protocol (v86fs.md
 * chapter 2, extensions F0, F1, F4, F5); the mount knows no tree and no server.  What
 * others change in the tree is invalidated in the kernel's caches.
 */
#ifndef CLI_MOUNT_H
#define CLI_MOUNT_H

#include "cli/fs_service.h"
#include "v86fs/proto.h"

struct cli_mount_options {
    const char *export; /* the name to mount */
    bool foreground;
    bool allow_other; /* other users may use it too */
    bool read_only;
    bool cache; /* nobody else changes the tree: keep pages between opens */
    struct cli_fs_service service;
    /* Called when the mount stands, by the process that serves it, which may give up
     * its rights then; CLI_YES, or a status after a message.  NULL: it does not. */
    int (*confine)(void *self);
};

/*
 * Mount at `folder` and serve until it is unmounted or a signal (INT, TERM, HUP) comes;
 * then unmount.  Without `foreground` the caller's process ends with status 0 once the
 * mount stands, and this returns in a child process.  CLI_YES, or a status after a
 * message.
 */
int cli_mount_run(struct cli *cli, const struct cli_mount_options *options,
                  const char *folder);

#endif
