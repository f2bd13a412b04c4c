/* SPDX-License-Identifier: MIT
 *
 * cli/command_line.h - the command line that gives a command the options it has.
 */
#ifndef CLI_COMMAND_LINE_H
#define CLI_COMMAND_LINE_H

#include "cli/cli.h"

/* Append "lockstep check --gas=5 …": what differs from the command's defaults, in order
 * of its table, quoted for a shell.  Positional arguments are the caller's.  `options`
 * is the struct of the command's table. */
void cli_command_put(const struct cli_command *command, const void *options,
                     struct buf *buf);

/* Append a space and one argument, quoted where a shell needs it. */
void cli_command_put_word(const char *word, struct buf *buf);

#endif
