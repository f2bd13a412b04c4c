/* SPDX-License-Identifier: MIT
 *
 * tests/diff/progen.h - random PVM programs and machines for differential tests.
 *
 * Half of what it makes is structured (valid instructions, edge operands, jumps that
 * land on block starts, memory accesses near page edges), the rest is damaged or
 * random bytes: engines must agree on all of it.
 */
#ifndef TESTS_DIFF_PROGEN_H
#define TESTS_DIFF_PROGEN_H

#include "pvm/pvm.h"

enum { PROGEN_CODE_MAX = 4096, PROGEN_JUMP_MAX = 64, PROGEN_REGION_MAX = 3 };

struct progen {
    uint64_t random;
    bool tight; /* few registers, and idioms that a recompiler emits as one */
    uint8_t code[PROGEN_CODE_MAX];
    uint8_t bitmask[PROGEN_CODE_MAX / 8];
    uint8_t jump[PROGEN_JUMP_MAX * 4];
    struct pvm_code program; /* of the arrays above */
    struct pvm_config config;
    struct pvm_region region[PROGEN_REGION_MAX];
    uint32_t region_count;
    uint8_t initial[PVM_PAGE_SIZE];
    struct pvm_state start; /* without memory */
};

/* Fill `p` from a seed. */
void progen_make(struct progen *p, uint64_t seed);

/* A fresh address space with the program's regions; unmaps what was mapped before. */
void progen_map(const struct progen *p, struct pvm_mem *mem);

#endif
