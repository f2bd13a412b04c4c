/* SPDX-License-Identifier: MIT
 *
 * cli/serve_record.h - the trace of a served kernel.
 *
 * Segments, charges and ecalls happen inside the worker, which has nothing to write a
 * trace with.  So the recorder is a second kernel, interpreted here, that is told every
 * request the worker has answered; its answers must be the worker's, which makes each
 * recording a check of the worker's engine.
 */
#ifndef CLI_SERVE_RECORD_H
#define CLI_SERVE_RECORD_H

#include "cli/cli.h"
#include "nub/nub.h"

struct cli_serve_record;

/* Begin a trace at `path` of all that `nub` is asked from now on; it has not been asked
 * for anything that ends the time of CONFIGURE.  CLI_YES, or the exit status after a
 * message. */
int cli_serve_record_open(struct cli *cli, const char *path, struct nub *nub,
                          struct cli_serve_record **ret_record);

/* Finish the trace.  CLI_YES; CLI_NO when an answer was another than the worker's,
 * CLI_UNKNOWN when the trace could not be written, after a message.  NULL is fine. */
int cli_serve_record_close(struct cli_serve_record *record);

#endif
