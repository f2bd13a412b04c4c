/* SPDX-License-Identifier: MIT
 *
 * tests/diff/fpu_cases.h - cases for the x87: a state, one instruction, its operand.
 *
 * A case is a function of row, number and seed.  Numbers 0 to FPU_CASES_ALL - 1 walk
 * all pairs of operand classes under all precisions, roundings and kinds of masks; what
 * a class leaves open is random, and later numbers walk again with other values.
 */
#ifndef TESTS_DIFF_FPU_CASES_H
#define TESTS_DIFF_FPU_CASES_H

#include "emu/fpu.h"

enum { FPU_CLASSES = 9, FPU_CASES_ALL = FPU_CLASSES * FPU_CLASSES * 4 * 4 * 4 };

/* An instruction of emu/fpu.def; `modrm` of a register row is that of ST(0). */
struct fpu_case_row {
    const char *name;
    uint8_t opcode, modrm;
    bool memory;       /* the operand is in memory; else: */
    bool any_register; /* ST(0) to ST(7) */
    bool waits;
};

extern const struct fpu_case_row fpu_case_rows[];
extern const unsigned fpu_case_row_count;

/* Are its results compared within a tolerance? */
bool fpu_case_is_transcendental(const struct fpu_case_row *row);

struct fpu_case {
    uint8_t image[108]; /* of FRSTOR, 32-bit protected format; nothing is pending */
    uint8_t opcode, modrm;
    bool operand16;
    uint32_t eflags; /* only flags of arithmetic */
    uint16_t ax;
    uint8_t memory[108];
};

void fpu_case_make(struct fpu_case *c, const struct fpu_case_row *row, uint64_t number,
                   uint64_t seed);

/* What is left of a case: everything that an instruction can change. */
struct fpu_result {
    uint8_t image[108]; /* of FNSAVE */
    uint32_t eflags;
    uint16_t ax;
    uint8_t memory[108];
};

/* Run a case on the emulator; `ip` and `address` are those of instruction and operand.
 */
void fpu_case_emulate(const struct fpu_case *c, uint32_t ip, uint32_t address,
                      struct fpu_result *ret_result);

#endif
