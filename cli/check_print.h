/* SPDX-License-Identifier: MIT
 *
 * cli/check_print.h - what `lockstep check` found out about a program, as text and
 * JSON.
 */
#ifndef CLI_CHECK_PRINT_H
#define CLI_CHECK_PRINT_H

#include "analysis/check.h"
#include "cli/cli.h"

/* Which check it was; all borrowed. */
struct cli_check_case {
    const char *path;
    const struct pvm_code *code;
    struct pvm_config config;
    const char *engine[2];
    const struct pvm_recomp_options *recomp; /* whose native code to show; NULL: none */
    const char *command;                     /* a command line that does it again */
};

/* Equal ends are an object with --json, one line with -v, else nothing. */
void cli_check_print(struct cli *cli, const struct cli_check_case *it,
                     const struct analysis_check_report *report);

#endif
