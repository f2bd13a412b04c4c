/* SPDX-License-Identifier: MIT
 *
 * cli/native.h - the recompiler's code for single PVM instructions, as text.
 *
 * Offsets count from the beginning of the native code, and jumps show offsets too: no
 * listing has an address of this process in it, but for those that are immediates.
 */
#ifndef CLI_NATIVE_H
#define CLI_NATIVE_H

#include "analysis/x86.h"
#include "cli/cli.h"
#include "pvm/pvm.h"

struct cli_native {
    struct pvm_program *program;
    struct analysis_x86 *x86;
    struct bytes code;
};

/* Recompile; never runs anything.  `code` stays borrowed.  ERR_unsupported where there
 * is no recompiler, the errors of pvm_program_recompile() and analysis_x86_open(). */
ERR_MUST_CHECK enum err cli_native_open(struct arena *arena,
                                        const struct pvm_code *code,
                                        const struct pvm_config *config,
                                        enum pvm_gas_log log,
                                        const struct pvm_recomp_options *options,
                                        struct cli_native *ret_native);

/* All zero and half open are fine. */
void cli_native_close(struct cli_native *native);

/* One native instruction after the other. */
struct cli_native_line {
    uint32_t offset;
    struct bytes bytes;
    char text[ANALYSIS_X86_TEXT_SIZE];
    uint32_t end; /* private: where the PVM instruction's code ends */
};

/* Stand before the code of the PVM instruction at `pc`; the code of a block's first one
 * begins with the gas check.  False: it was not compiled. */
bool cli_native_find(const struct cli_native *native, uint32_t pc,
                     struct cli_native_line *ret_line);

/* False: no more of it.  An instruction that was emitted as one with those before it
 * has no code of its own. */
bool cli_native_next(const struct cli_native *native, struct cli_native_line *line);

/* The array "native" of the current object: offset, bytes, text. */
void cli_native_json(struct cli *cli, const struct cli_native *native, uint32_t pc);

#endif
