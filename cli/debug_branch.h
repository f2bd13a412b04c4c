/* SPDX-License-Identifier: MIT
 *
 * cli/debug_branch.h - going live from where a debugger stands.
 */
#ifndef CLI_DEBUG_BRANCH_H
#define CLI_DEBUG_BRANCH_H

#include "cli/cli.h"
#include "trace/trace.h"

/* Record a child of a PVM program's trace from `icount` on into a new file, with the
 * real world but nothing on standard input; what the guest writes is shown nowhere.
 * What became of it is appended to `text`. */
enum err cli_debug_branch(struct cli *cli, const struct trace_source *source,
                          uint64_t icount, const char *path, struct buf *text);

#endif
