/* SPDX-License-Identifier: MIT
 *
 * cli/record_kernel.h - lockstep record kernel MANIFEST.
 */
#ifndef CLI_RECORD_KERNEL_H
#define CLI_RECORD_KERNEL_H

#include "cli/cli.h"
#include "replay/kernel.h"

struct cli_record_kernel {
    const char *manifest, *output;
    const struct cli_list *invoke; /* empty: what the manifest says */
    uint64_t gas;                  /* where nothing else says */
    enum pvm_gas_log gas_log;
    bool log_reads, log_writes, log_caps;
    struct trace_writer_options writer;
    bool require;
    uint64_t checkpoint; /* instructions between two of them; 0: none */
    struct replay_engine engine;
};

/* Record; answers the exit status: CLI_NO when an answer is not the expected one. */
int cli_record_kernel(struct cli *cli, const struct cli_record_kernel *how);

#endif
