/* SPDX-License-Identifier: MIT
 *
 * What an instruction accesses, read out of the table that defines its effect.
 */
#include "pvm/arith.h"
#include "pvm/pvm.h"

#define A reg[insn->a]
#define B reg[insn->b]
#define X ((uint64_t)insn->x)
#define Y ((uint64_t)insn->y)

struct pvm_insn_access pvm_insn_touches(const struct pvm_insn *insn,
                                        const uint64_t reg[PVM_REG_COUNT])
{
    switch (insn->op) {
#define LOAD_(name, type, address)                                                     \
    case PVM_OP_##name:                                                                \
        return (struct pvm_insn_access){(uint32_t)(address), sizeof(type), false};
#define STORE_(name, type, address, value)                                             \
    case PVM_OP_##name:                                                                \
        return (struct pvm_insn_access){(uint32_t)(address), sizeof(type), true};
#include "pvm/effects.def"
    default:
        return (struct pvm_insn_access){0};
    }
}
