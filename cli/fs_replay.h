/* SPDX-License-Identifier: MIT
 *
 * cli/fs_replay.h - replay of file-server sessions, as lockstep replay prints it.
 */
#ifndef CLI_FS_REPLAY_H
#define CLI_FS_REPLAY_H

#include "cli/fs.h"

/* Trees for replay_fs_options.open; `self` is a struct cli_fs, all zero before and to
 * be closed after. */
enum err cli_fs_replay_open(void *self, const struct replay_fs_setup *setup,
                            struct v86fs_server **ret_server, char ret_detail[120]);

/* Print one report; the exit status. */
int cli_fs_replay_print(struct cli *cli, const char *path,
                        const struct replay_fs_report *report);

#endif
