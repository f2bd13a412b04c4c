/* SPDX-License-Identifier: MIT
 *
 * cli/record_kernel.h - lockstep record kernel MANIFEST.
 */
#ifndef CLI_RECORD_KERNEL_H
#define CLI_RECORD_KERNEL_H

#include "cli/cli.h"
#include "replay/branch.h"
#include "replay/kernel.h"

struct cli_record_kernel {
    const char *manifest, *output;
    const struct cli_list *invoke; /* empty: what the manifest says */
    uint64_t gas;                  /* where nothing else says */
    enum pvm_gas_log gas_log;
    bool log_reads, log_writes, log_caps;
    struct trace_writer_options writer;
    bool require;
    uint64_t ring_size;  /* keep about so many bytes; 0: all */
    uint64_t checkpoint; /* instructions between two of them; 0: none */
    struct replay_engine engine;
};

/* Record; answers the exit status: CLI_NO when an answer is not the expected one. */
int cli_record_kernel(struct cli *cli, const struct cli_record_kernel *how);

/* Branch a kernel's trace: the host goes on with what `invoke` says, or the manifest's
 * run.  `manifest` may be NULL: then instances are named by their hashes. */
struct cli_branch_kernel {
    const char *manifest;
    const struct cli_list *invoke;
    uint64_t gas; /* of an invocation that says none */
};

/* *ret_report is replay_branch()'s; CLI_NO when an answer is not the expected one. */
int cli_branch_kernel(struct cli *cli, const struct cli_branch_kernel *how,
                      const struct trace_source *source, const struct trace_sink *sink,
                      struct replay_branch_options *branch,
                      struct replay_branch_report *ret_report);

#endif
