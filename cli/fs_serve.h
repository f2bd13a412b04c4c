/* SPDX-License-Identifier: MIT
 *
 * cli/fs_serve.h - serving frames to a process behind a Unix socket (v86fs.md 4.6, in
 * the role of the remote).
 */
#ifndef CLI_FS_SERVE_H
#define CLI_FS_SERVE_H

#include "cli/fs_service.h"
#include "hostfs/bridge.h"

struct cli_fs_peer {
    struct hostfs_channel channel;
    struct hostfs_hello hello;
    int listen_fd;
    const char *listen_path; /* to be removed; NULL */
};

/* Wait for a client at `listen`, or connect to one at `connect` (one of them is NULL),
 * and say hello, offering `features`.  CLI_YES, or a status after a message; close in
 * either case. */
int cli_fs_peer_open(struct cli *cli, const char *listen, const char *connect,
                     uint32_t features, struct cli_fs_peer *peer);

/* Serve until the client leaves or an interrupt comes.  Notifications of mounts are not
 * passed on: the client need not have allowed them.  ERR_ok; ERR_interrupted;
 * ERR_v86fs_bridge: the client broke the protocol. */
ERR_MUST_CHECK enum err cli_fs_peer_serve(struct cli_fs_peer *peer,
                                          const struct cli_fs_service *service);

void cli_fs_peer_close(struct cli_fs_peer *peer);

#endif
