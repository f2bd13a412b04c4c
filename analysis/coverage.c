/* SPDX-License-Identifier: MIT */
#include "analysis/coverage.h"

static uint32_t add(struct coverage *coverage, uint64_t feature)
{
    uint64_t hash = feature * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t bit = (uint32_t)(hash >> 32) % COVERAGE_BITS;
    uint64_t mask = (uint64_t)1 << bit % 64;
    uint32_t fresh = !(coverage->set[bit / 64] & mask);
    coverage->set[bit / 64] |= mask;
    coverage->count += fresh;
    return fresh;
}

enum feature { FEATURE_PAIR, FEATURE_OPERANDS, FEATURE_EXIT };

static uint64_t feature(enum feature kind, unsigned a, unsigned b, unsigned c)
{
    return (uint64_t)kind << 48 | (uint64_t)a << 32 | (uint64_t)b << 16 | c;
}

/* Where values change sides: sign, size in bytes, and the smallest ones. */
static unsigned value_class(int64_t value)
{
    if (value >= 0 && value <= 2)
        return (unsigned)value;
    if (value == -1)
        return 3;
    return 4 + pvm_imm_size(value) * 2 + (value < 0);
}

static unsigned alias_class(const struct pvm_insn *insn)
{
    return (insn->a == insn->b) | (unsigned)(insn->a == insn->d) << 1 |
           (unsigned)(insn->b == insn->d) << 2;
}

static uint8_t result_of(const struct pvm_insn *insn)
{
    return pvm_op_info[insn->op].format == PVM_FORMAT_D_A_B ||
                   pvm_op_info[insn->op].format == PVM_FORMAT_D_A
               ? insn->d
               : insn->a;
}

static uint32_t add_block(struct coverage *coverage, const struct analysis_case *c,
                          uint32_t pc)
{
    const struct pvm_code code = analysis_case_code(c);
    const enum pvm_profile profile = c->config.profile;
    struct pvm_insn insn, last = {0};
    uint32_t fresh = 0;
    for (; pvm_insn_decode(&code, profile, pc, &insn); pc += insn.size) {
        unsigned takes = (unsigned)(result_of(&last) == insn.a) |
                         (unsigned)(result_of(&last) == insn.b) << 1;
        fresh += add(coverage, feature(FEATURE_PAIR, last.op, insn.op, takes));
        fresh += add(coverage, feature(FEATURE_OPERANDS, insn.op, value_class(insn.x),
                                       alias_class(&insn)));
        if (pvm_op_terminates(profile, insn.op))
            break;
        last = insn;
    }
    return fresh;
}

uint32_t analysis_coverage_add(struct coverage *coverage,
                               const struct analysis_pair *pair,
                               const struct analysis_case *c,
                               const struct analysis_pair_report *report)
{
    uint32_t count, fresh = 0;
    const uint32_t *block = analysis_pair_blocks(pair, &count);
    for (uint32_t i = 0; i < count; i++)
        fresh += add_block(coverage, c, block[i]);
    unsigned op = report->pc < c->code_size ? c->code[report->pc] : 256;
    unsigned setting = (unsigned)c->config.profile | (unsigned)c->way.log << 1 |
                       (unsigned)(c->config.model >> 8) << 3;
    return fresh +
           add(coverage, feature(FEATURE_EXIT, op, report->outcome.exit, setting));
}
