/* SPDX-License-Identifier: MIT
 *
 * cli/nub_print.h - what lockstep nub says about a kernel.
 */
#ifndef CLI_NUB_PRINT_H
#define CLI_NUB_PRINT_H

#include "cli/cli.h"
#include "nub/nub.h"

/* How an invocation ended, and what there is to know of it. */
void cli_nub_print_outcome(struct cli *cli, const struct kernel_result *result,
                           const struct kernel_outcome *outcome);

void cli_nub_print_stats(struct cli *cli, const struct kernel_config *config,
                         const struct nub_state *state,
                         const struct kernel_outcome *outcome);

void cli_nub_print_boot_info(struct cli *cli, const struct nub_boot_info *info);

/* "halt", "page fault", …; "?" for a number without a name. */
const char *cli_nub_exit_name(uint32_t exit_reason);

#endif
