/* SPDX-License-Identifier: MIT
 *
 * cli/record_fs.h - lockstep record v86fs.
 */
#ifndef CLI_RECORD_FS_H
#define CLI_RECORD_FS_H

#include "cli/fs_record.h"

struct cli_record_fs_options {
    struct cli_list fs;
    const char *listen, *connect;
    struct cli_fs_record_options fs_record; /* `path` is the caller's */
};

/* Record one session of the file server with a client behind a socket.  The exit
 * status. */
int cli_record_fs(struct cli *cli, const struct cli_record_fs_options *options,
                  const char *path, unsigned zstd_level);

#endif
