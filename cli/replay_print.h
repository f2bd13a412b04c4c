/* SPDX-License-Identifier: MIT
 *
 * cli/replay_print.h - how a replay went, as text and as JSON (trace-replay.md 7.3).
 */
#ifndef CLI_REPLAY_PRINT_H
#define CLI_REPLAY_PRINT_H

#include "cli/cli.h"
#include "replay/replay.h"

/* The exit status for how a replay ended (trace-replay.md 7.3). */
int cli_replay_status(enum replay_class class);

/* Print one report; `open_err`: the file could not be opened, there is no report.
 * `talk`: stdout is the guest's, good news goes to stderr.  Answers the exit status. */
int cli_replay_print(struct cli *cli, const char *path, enum err open_err,
                     const struct replay_report *report, bool talk);

#endif
