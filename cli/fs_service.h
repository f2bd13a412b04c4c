/* SPDX-License-Identifier: MIT
 *
 * cli/fs_service.h - a file server for those who bring requests to it: a mount, a peer.
 */
#ifndef CLI_FS_SERVICE_H
#define CLI_FS_SERVICE_H

#include "cli/fs.h"

struct cli_fs_service {
    void *self;
    /* Serve one request; the reply's size, 0 for none. */
    size_t (*serve)(void *self, struct bytes request, uint8_t *reply,
                    size_t reply_size_max);
    /* The oldest notification that waits, size 0 if none does; and it was taken.  Look
     * before waiting, after each request, and when one of `descriptors` is readable. */
    struct bytes (*note)(void *self);
    void (*note_taken)(void *self);
    /* NULL: nothing comes of its own accord. */
    size_t (*descriptors)(void *self, int ret_fds[CLI_FS_WAIT_MAX]);
};

#endif
