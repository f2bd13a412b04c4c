/* SPDX-License-Identifier: MIT
 *
 * Gas models 0 (flat block) and 1 (single pass), page gas, and the walk they price [7].
 */
#include "pvm/gas.h"
#include "pvm/mutant.h"

#include "pvm/decode.h"

/* Cycles that are no number. */
enum { CYCLES_MEM = 253, CYCLES_BRANCH = 254 };

/* Sources, as bytes of struct gas_row's word. */
#define SRC_A ((uint32_t)GAS_NO_REG << GAS_A)
#define SRC_B ((uint32_t)GAS_NO_REG << GAS_B)
#define SRC_D ((uint32_t)GAS_NO_REG << GAS_D)

/* Rules that choose the first of two numbers of slots, which is one less: the one looks
 * for the result among the sources, the other at raw nibbles. */
#define SLOTS_OVERLAP 0x100u
#define SLOTS_SHIFT 0x200u
#define ONE_LESS(x, y) (y) / ((x) + 1 == (y))
#define RULE(slots, src)                                                               \
    ((slots)&SLOTS_OVERLAP                                                             \
         ? ((src)&SRC_B ? GAS_IS_B : 0u) | ((src)&SRC_D ? GAS_IS_D : 0u)               \
     : (slots)&SLOTS_SHIFT ? (unsigned)GAS_NIBBLE_IS_B                                 \
                           : 0u)
#define SLOTS(slots, src, same) (((slots)&15) - ((RULE(slots, src) & (same)) != 0))

/* Rows are ranges of opcodes, which ISO C cannot spread over an array. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
const struct gas_row pvm_gas_row[256] = {
#define MEM CYCLES_MEM
#define BR CYCLES_BRANCH
#define RA SRC_A
#define RB SRC_B
#define RD SRC_D
#define OV(x, y) (SLOTS_OVERLAP | ONE_LESS(x, y))
#define SH(x, y) (SLOTS_SHIFT | ONE_LESS(x, y))
#define ROW(first, last, cycles_, slots_, src, dst)                                    \
    [first... last] = {                                                                \
        .absent = ((SRC_A | SRC_B | SRC_D) & ~(uint32_t)(src)) |                       \
                  ((dst) ? 0u : (uint32_t)GAS_NO_REG),                                 \
        .second = ((src)&SRC_D ? (unsigned)GAS_D : (unsigned)GAS_A) |                  \
                  ((cycles_) == CYCLES_BRANCH ? (unsigned)GAS_BRANCHES : 0u),          \
        .cycles = (cycles_) < CYCLES_MEM ? (cycles_) : 0,                              \
        .memory = (cycles_) == CYCLES_MEM ? -1 : 0,                                    \
        .timed = -1,                                                                   \
        .slots = {SLOTS(slots_, src, 0u), SLOTS(slots_, src, 1u),                      \
                  SLOTS(slots_, src, 2u), SLOTS(slots_, src, 3u),                      \
                  SLOTS(slots_, src, 4u), SLOTS(slots_, src, 5u),                      \
                  SLOTS(slots_, src, 6u), SLOTS(slots_, src, 7u)},                     \
    },
#include "pvm/gas_single_pass.def"
    /* It is ready when its source is. */
    [PVM_OP_move_reg] = {.absent = SRC_A | SRC_D,
                         .second = GAS_A,
                         .slots = {1, 1, 1, 1, 1, 1, 1, 1}},
#undef MEM
#undef BR
#undef RA
#undef RB
#undef RD
#undef OV
#undef SH
};
#pragma GCC diagnostic pop

struct pvm_config pvm_config_default(enum pvm_profile profile)
{
    if (profile == PVM_PROFILE_JAVM)
        return (struct pvm_config){.profile = profile, .model = 1, .mem_cycles = 25};
    return (struct pvm_config){.profile = profile};
}

enum err pvm_config_check(const struct pvm_config *config)
{
    uint32_t gas = config->model & 255, page = config->model >> 8;
    if (gas > 1 || page > 1)
        return ERR_unsupported;
    if (page && config->profile != PVM_PROFILE_JAVM)
        return ERR_usage;
    if (gas == 1 && (config->mem_cycles < 1 || config->mem_cycles > 1000))
        return ERR_usage;
    return ERR_ok;
}

/* By the byte behind an opcode: A and B, and below them what is the same. */
#define REG(nibble) ((nibble) < 12u ? (nibble) : 12u)
#define PAIR(high, low)                                                                \
    (REG(low) << GAS_A | REG(high) << GAS_B | GAS_SAME(REG, high, low))
static const uint32_t reg_pair[256] = {PVM_NIBBLES(PAIR)};

void pvm_gas_meter_visit(struct gas_meter *meter, const struct pvm_code *code,
                         uint32_t head, int64_t target)
{
    const struct gas_row *row = gas_row_of((uint8_t)head);
    uint32_t byte = head >> 8 & 255, pair = reg_pair[byte];
    meter->visits++;
    if (meter->model != 1)
        return;
    pair = MUTANT(decode_reg_mod_13,
                  (pair & 255) | (byte & 15) % 13 << GAS_A | (byte >> 4) % 13 << GAS_B,
                  pair);
    gas_visit(&meter->pace, meter->done, row,
              pair | (uint32_t)insn_reg(head >> 16 & 15) << GAS_D, meter->mem_cycles,
              gas_branches(row) ? gas_branch(code, target) : 0);
}

/* The first three bytes at a position that is ok; 0 elsewhere. */
static uint32_t head_at(const struct pvm_code *code, uint32_t pc, bool ok)
{
    uint8_t window[DECODE_WINDOW];
    if (!ok)
        return 0;
    const uint8_t *bytes = code_bytes(code, pc, window);
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16;
}

/* Only what ends a block can have a target that matters. */
struct pvm_walk pvm_code_walk(const struct pvm_code *code,
                              const struct pvm_config *config, uint32_t pc)
{
    struct pvm_walk walk = {.end = pc, .last = pc};
    struct gas_meter meter;
    bool ok = true, ended = false;
    pvm_gas_meter_begin(&meter, config);
    while (ok && !ended) {
        struct pvm_insn insn = {.target = 0};
        ok = pvm_code_ok(code, config->profile, pc);
        uint32_t head = head_at(code, pc, ok);
        walk.visit_count++;
        walk.last = pc;
        ended = ok && pvm_op_ends(config->profile, (uint8_t)head);
        if (ended)
            (void)pvm_insn_decode(code, config->profile, pc, &insn);
        pvm_gas_meter_visit(&meter, code, head, insn.target);
        if (ok) {
            pc += 1 + code_skip(code, pc);
            walk.end = pc;
            walk.store_count += pvm_op_class[head & 255].stores;
        }
    }
    walk.need = pvm_gas_meter_need(&meter);
    return walk;
}

bool pvm_state_debit(struct pvm_state *state, uint64_t cost)
{
    if (state->gas < cost)
        return false;
    state->gas -= cost;
    return true;
}
