/* SPDX-License-Identifier: MIT */
#include "analysis/operands.h"

/* A destination that keeps its value when the condition fails is a source, too. */
static bool keeps_destination(uint8_t op)
{
    return op == PVM_OP_cmov_iz || op == PVM_OP_cmov_nz || op == PVM_OP_cmov_iz_imm ||
           op == PVM_OP_cmov_nz_imm;
}

static uint16_t bit(unsigned reg)
{
    return (uint16_t)(1u << reg);
}

/* A is the only register. */
static struct analysis_operands only_a(const struct pvm_insn *insn, unsigned flags)
{
    bool reads = (flags & (PVM_OP_STORE | PVM_OP_COND | PVM_OP_DYN)) != 0;
    return reads ? (struct analysis_operands){.read = bit(insn->a)}
                 : (struct analysis_operands){.written = bit(insn->a)};
}

struct analysis_operands analysis_insn_operands(const struct pvm_insn *insn)
{
    const struct pvm_op_info *info = &pvm_op_info[insn->op];
    const uint16_t a = bit(insn->a), b = bit(insn->b), d = bit(insn->d);
    struct analysis_operands it = {0};
    switch ((enum pvm_format)info->format) {
    case PVM_FORMAT_NONE: /* the number of an ecall is in a4 */
        it.read = insn->op == PVM_OP_ecall ? bit(11) : 0;
        break;
    case PVM_FORMAT_X:
    case PVM_FORMAT_X_Y:
    case PVM_FORMAT_T:
        break;
    case PVM_FORMAT_A_X64:
    case PVM_FORMAT_A_X:
    case PVM_FORMAT_A_X_Y:
    case PVM_FORMAT_A_X_T:
        it = only_a(insn, info->flags);
        break;
    case PVM_FORMAT_D_A:
        it = (struct analysis_operands){.read = a, .written = d};
        if (insn->op == PVM_OP_sbrk) /* panics */
            it = (struct analysis_operands){0};
        break;
    case PVM_FORMAT_A_B_T:
        it.read = a | b;
        break;
    case PVM_FORMAT_A_B_X:
    case PVM_FORMAT_A_B_X_Y:
        it = (struct analysis_operands){.read = b, .written = a};
        if (info->flags & PVM_OP_STORE)
            it = (struct analysis_operands){.read = a | b};
        break;
    case PVM_FORMAT_D_A_B:
        it = (struct analysis_operands){.read = a | b, .written = d};
        break;
    }
    if (keeps_destination(insn->op))
        it.read |= it.written;
    return it;
}

bool analysis_last_writer(const struct pvm_code *code, enum pvm_profile profile,
                          uint32_t from, uint32_t pc, unsigned reg, uint32_t *ret_pc)
{
    struct pvm_insn insn;
    bool found = false;
    for (; from < pc && pvm_insn_decode(code, profile, from, &insn);
         from += insn.size) {
        if (!(analysis_insn_operands(&insn).written >> reg & 1))
            continue;
        *ret_pc = from;
        found = true;
    }
    return found;
}
