/* SPDX-License-Identifier: MIT
 *
 * cli/debug_open.h - a trace file with its time line, for `debug` and `query`.
 */
#ifndef CLI_DEBUG_OPEN_H
#define CLI_DEBUG_OPEN_H

#include "cli/cli.h"
#include "cli/family.h"
#include "replay/query.h"
#include "replay/sink_file.h"

struct cli_debug {
    struct cli *cli;
    const char *path;
    struct replay_source_file file;
    struct trace_source source;
    struct cli_family family; /* of a child that needs its parent */
    struct replay_debug debug;
    struct replay_timeline *timeline;
    struct replay_query query;
};

/* Open all of it, a child with its parent (cli/family.h); answers CLI_YES, or a status
 * after the error was printed.  Close it in any case.  `d` is where it stays. */
int cli_debug_open(struct cli *cli, struct cli_debug *d, const char *path,
                   const char *parent, const struct replay_timeline_options *options);
void cli_debug_close(struct cli_debug *d);

/* Go to a position, or say why not; CLI_YES, CLI_USAGE or CLI_UNKNOWN. */
int cli_debug_go(struct cli_debug *d, const char *position);

#endif
