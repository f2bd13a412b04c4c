/* SPDX-License-Identifier: MIT
 *
 * cli/case_file.h - case files (analysis/case.h), and what commands on them share.
 */
#ifndef CLI_CASE_FILE_H
#define CLI_CASE_FILE_H

#include "analysis/reduce.h"
#include "cli/cli.h"

/* Read a case.  CLI_YES, or CLI_UNKNOWN after a message. */
int cli_case_read(struct cli *cli, const char *path, struct analysis_case *ret_case);

/* Write one, whole or not at all, with lines of remarks at its end; each ends with a
 * newline.  As os_file_write(). */
ERR_MUST_CHECK enum err cli_case_write(const char *path, const struct analysis_case *c,
                                       const char *remarks);

/* What a check of a case showed: nothing, or how engines differ, with the program if it
 * is short; with --json one object in any case. */
void cli_case_print(struct cli *cli, const char *path, const struct analysis_case *c,
                    const struct analysis_verdict *verdict);

/* Record a run of its program by the interpreter, without a world around it, as a
 * trace.  ERR_limit: it has more gas than a trace can tell. */
ERR_MUST_CHECK enum err cli_case_record(const char *path,
                                        const struct analysis_case *c);

/* Two of interp, recomp and other with a comma between them.  CLI_YES, or CLI_USAGE, or
 * CLI_UNKNOWN where there is no recompiler, after a message. */
int cli_engines_read(struct cli *cli, const char *text,
                     enum analysis_engine ret_engine[2]);

#define CLI_ENGINES_OPTION(type)                                                       \
    CLI_STRING(type, engines, "engines", 0, "A,B",                                     \
               "two of interp, recomp, other (default interp,recomp)")

#endif
