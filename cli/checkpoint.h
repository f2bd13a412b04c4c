/* SPDX-License-Identifier: MIT
 *
 * cli/checkpoint.h - adding checkpoints to a trace, for two commands.
 */
#ifndef CLI_CHECKPOINT_H
#define CLI_CHECKPOINT_H

#include "cli/cli.h"
#include "replay/replay.h"

/* A quarter of a second of the interpreter, about. */
enum { CLI_CHECKPOINT_EVERY = 50000000 };

/* Write `path` with other checkpoints to `output`, or, if that is NULL, replace it.
 * Says what became of it; the exit status. */
int cli_checkpoint(struct cli *cli, const char *path, const char *output,
                   const struct replay_add_options *how);

#endif
