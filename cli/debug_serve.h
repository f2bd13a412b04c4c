/* SPDX-License-Identifier: MIT
 *
 * cli/debug_serve.h - the gdb stub behind a socket.
 */
#ifndef CLI_DEBUG_SERVE_H
#define CLI_DEBUG_SERVE_H

#include "base/buf.h"
#include "replay/gdb.h"

struct cli_serve {
    int fd;                /* of the client; -1: none */
    struct buf pending;    /* came while the guest ran */
    bool interrupted;      /* by byte 0x03, or because the client is gone */
    bool (*stopped)(void); /* is it time to end?  polled */
};

/* Asked while the guest runs (struct replay_timeline_options). */
bool cli_serve_interrupted(void *self);

/* Serve one client until it leaves or `stopped`.  Closes its descriptor. */
void cli_serve_client(struct cli_serve *serve, int fd, struct replay_gdb *gdb);

#endif
