/* SPDX-License-Identifier: MIT
 *
 * analysis/operands.h - which registers a PVM instruction reads and writes.
 *
 * Follows from the format and the flags of pvm/opcodes.def.  What a host's handler does
 * to registers is not part of the instruction.
 */
#ifndef ANALYSIS_OPERANDS_H
#define ANALYSIS_OPERANDS_H

#include "pvm/pvm.h"

struct analysis_operands {
    uint16_t read, written; /* bit n: register n */
};

/* `insn` is decoded. */
struct analysis_operands analysis_insn_operands(const struct pvm_insn *insn);

/* The last instruction from `from` on and before `pc`, in a straight line, that writes
 * `reg`.  False: none, the value is from before `from`. */
bool analysis_last_writer(const struct pvm_code *code, enum pvm_profile profile,
                          uint32_t from, uint32_t pc, unsigned reg, uint32_t *ret_pc);

#endif
