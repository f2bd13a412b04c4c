/* SPDX-License-Identifier: MIT
 *
 * Gas models 0 (flat block) and 1 (single pass), page gas, and the walk they price [7].
 */
#include "pvm/gas.h"
#include "pvm/mutant.h"

#include "pvm/decode.h"

enum { NO_REG = 15 };
enum { CYCLES_MEM = 253, CYCLES_BRANCH = 254 };

/* Sources. */
enum { SRC_A = 1, SRC_B = 2, SRC_D = 4 };

/* What may be equal to the register A, and rules that choose the first of two numbers
 * of slots: the one looks for the result among the sources, the other at raw nibbles.
 */
enum { IS_B = 1, NIBBLE_IS_B = 2, IS_D = 4 };
enum { SLOTS_OVERLAP = 1 << 8, SLOTS_SHIFT = 2 << 8 };
#define RULE(slots, src)                                                               \
    ((slots)&SLOTS_OVERLAP ? ((src)&SRC_B ? IS_B : 0) | ((src)&SRC_D ? IS_D : 0)       \
     : (slots)&SLOTS_SHIFT ? NIBBLE_IS_B                                               \
                           : 0)

/* Register numbers become NO_REG where a row does not have that source or result. */
struct cost_row {
    uint32_t memory; /* all bits: mem_cycles come to the cycles */
    bool branch;     /* and so does what its target says */
    uint8_t cycles;
    uint8_t no_a, no_b, no_d, no_dst; /* NO_REG, or 0 */
    uint8_t rule;
    uint8_t slots[2];
};

/* Rows are ranges of opcodes, which ISO C cannot spread over an array. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
static const struct cost_row single_pass[256] = {
#define MEM CYCLES_MEM
#define BR CYCLES_BRANCH
#define RA SRC_A
#define RB SRC_B
#define RD SRC_D
#define OV(x, y) (SLOTS_OVERLAP | (x) << 4 | (y))
#define SH(x, y) (SLOTS_SHIFT | (x) << 4 | (y))
#define ROW(first, last, cycles_, slots_, src, dst)                                    \
    [first... last] = {                                                                \
        .memory = (cycles_) == CYCLES_MEM ? UINT32_MAX : 0,                            \
        .branch = (cycles_) == CYCLES_BRANCH,                                          \
        .cycles = (cycles_) < CYCLES_MEM ? (cycles_) : 0,                              \
        .no_a = (src)&SRC_A ? 0 : NO_REG,                                              \
        .no_b = (src)&SRC_B ? 0 : NO_REG,                                              \
        .no_d = (src)&SRC_D ? 0 : NO_REG,                                              \
        .no_dst = (dst) ? 0 : NO_REG,                                                  \
        .rule = RULE(slots_, src),                                                     \
        .slots = {(slots_)&15, (slots_) >> 4 & 15},                                    \
    },
#include "pvm/gas_single_pass.def"
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

void pvm_gas_meter_begin(struct gas_meter *meter, const struct pvm_config *config)
{
    *meter = (struct gas_meter){.model = config->model & 255,
                                .mem_cycles = config->mem_cycles};
}

/* Only the byte at the target counts: trap or unlikely makes the branch cheap. */
static uint64_t branch_cycles(const struct pvm_code *code, int64_t target)
{
    if (target < 0 || (uint64_t)target >= code->code.size)
        return 20;
    uint8_t byte = code->code.data[target];
    bool cold = byte == PVM_OP_trap || byte == PVM_OP_unlikely ||
                MUTANT(gas_branch_unassigned, !pvm_op_info[byte].name, false);
    bool marked =
        MUTANT(gas_branch_unmarked, true, pvm_code_marked(code, (uint32_t)target));
    return marked && cold ? 1 : 20;
}

static inline uint64_t row_cycles(const struct gas_meter *meter,
                                  const struct cost_row *row)
{
    if (MUTANT(gas_row_ecall, row == &single_pass[PVM_OP_ecall], false))
        return 1;
    if (MUTANT(gas_row_unlikely, row == &single_pass[PVM_OP_unlikely], false))
        return 2;
    return row->cycles +
           ((meter->mem_cycles + MUTANT(gas_row_memory, 1, 0)) & row->memory);
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The part of a meter that changes with each visit. */
struct pace {
    uint64_t cycle, used, last;
};

static inline void take_slots(struct pace *pace, unsigned slots)
{
    bool full = MUTANT(gas_slots_over, pace->used > 4,
                       MUTANT(gas_slots_fit, pace->used + slots > 4, pace->used >= 4));
    pace->cycle += full;
    pace->used = (full ? 0 : pace->used) + slots;
}

/* insn_reg() of a nibble. */
static inline unsigned nibble_reg(uint32_t nibble)
{
    static const uint8_t reg[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                    8, 9, 10, 11, 12, 12, 12, 12};
    return MUTANT(decode_reg_mod_13, insn_reg(nibble), reg[nibble]);
}

/* The two registers of a byte, one in each byte, and above them IS_B and NIBBLE_IS_B.
 */
enum { PAIR_IS = 16 };
#define REG(nibble) ((nibble) < 12 ? (nibble) : 12)
#define PAIR(high, low)                                                                \
    (REG(low) | REG(high) << 8 |                                                       \
     ((REG(low) == REG(high)) * IS_B | ((low) == (high)) * NIBBLE_IS_B) << PAIR_IS)
#define PAIRS(high)                                                                    \
    PAIR(high, 0), PAIR(high, 1), PAIR(high, 2), PAIR(high, 3), PAIR(high, 4),         \
        PAIR(high, 5), PAIR(high, 6), PAIR(high, 7), PAIR(high, 8), PAIR(high, 9),     \
        PAIR(high, 10), PAIR(high, 11), PAIR(high, 12), PAIR(high, 13),                \
        PAIR(high, 14), PAIR(high, 15)
static const uint32_t reg_pair[256] = {
    PAIRS(0),  PAIRS(1),  PAIRS(2),  PAIRS(3),  PAIRS(4),  PAIRS(5),
    PAIRS(6),  PAIRS(7),  PAIRS(8),  PAIRS(9),  PAIRS(10), PAIRS(11),
    PAIRS(12), PAIRS(13), PAIRS(14), PAIRS(15),
};

static inline uint32_t pair_of(uint32_t byte)
{
    return MUTANT(decode_reg_mod_13,
                  (byte & 15) % 13 | (byte >> 4) % 13 << 8 |
                      reg_pair[byte] >> PAIR_IS << PAIR_IS,
                  reg_pair[byte]);
}

/* Does the row's rule choose the first number of slots? */
static inline bool takes_first(const struct cost_row *row, unsigned is)
{
    is = MUTANT(gas_ov_nibbles, (is & ~(unsigned)IS_B) | (is & NIBBLE_IS_B) / 2, is);
    is = MUTANT(gas_sh_clamped, (is & ~(unsigned)NIBBLE_IS_B) | (is & IS_B) * 2, is);
    unsigned rule = MUTANT(gas_rules_swapped,
                           row->rule == NIBBLE_IS_B ? IS_B | IS_D
                           : row->rule              ? NIBBLE_IS_B
                                                    : 0,
                           row->rule);
    return (is & rule) != 0;
}

/* Without branches on the instruction, as far as that goes: see decode.h.  `branch`:
 * what its target says. */
static inline void visit_single_pass(struct gas_meter *meter, struct pace *pace,
                                     uint32_t head, uint64_t branch)
{
    uint32_t pair = pair_of(head >> 8 & 255);
    unsigned a = pair & 255, b = pair >> 8 & 255;
    if ((head & 255) == PVM_OP_move_reg) { /* renames: ready when its source is */
        take_slots(pace, MUTANT(gas_move_free, 0, 1));
        meter->done[a] = meter->done[b] + MUTANT(gas_move_cycle, 1, 0);
        pace->last = later(pace->last, MUTANT(gas_move_max, meter->done[a] + 1, 0));
        return;
    }
    const struct cost_row *row = &single_pass[MUTANT(
        gas_trap_unlikely, head & 255 ? head & 255 : PVM_OP_unlikely, head & 255)];
    unsigned d = nibble_reg(head >> 16 & 15);
    bool first = takes_first(row, pair >> PAIR_IS | (unsigned)(d == a) * IS_D);
    take_slots(pace, row->slots[MUTANT(gas_slots_swapped, row->rule && !first, first)]);

    uint64_t end = later(pace->cycle, meter->done[a | row->no_a]);
    end = later(end, later(meter->done[b | row->no_b], meter->done[d | row->no_d]));
    end += row_cycles(meter, row) + branch;
    meter->done[MUTANT(gas_true_operands, row->no_d ? a : d, a) | row->no_dst] = end;
    meter->done[NO_REG] = 0;
    pace->last = later(MUTANT(gas_last_end, 0, pace->last), end);
}

void pvm_gas_meter_visit(struct gas_meter *meter, const struct pvm_code *code,
                         const uint32_t *head, uint32_t count, int64_t target)
{
    meter->visits += count;
    if (meter->model != 1 || !count)
        return;
    struct pace pace = {meter->cycle, meter->used, meter->last};
    for (uint32_t k = 0; k + 1 < count; k++)
        visit_single_pass(meter, &pace, head[k], 0);
    uint32_t last = head[count - 1];
    visit_single_pass(meter, &pace, last,
                      single_pass[last & 255].branch ? branch_cycles(code, target) : 0);
    meter->cycle = pace.cycle;
    meter->used = pace.used;
    meter->last = pace.last;
}

uint64_t pvm_gas_meter_need(const struct gas_meter *meter)
{
    if (meter->model == 1)
        return meter->last > 3 ? meter->last - MUTANT(gas_need_more, 2, 3) : 1;
    return meter->visits - MUTANT(gas_trap_free, 1, 0);
}

uint64_t pvm_gas_reserve(const struct pvm_config *config, uint64_t store_count)
{
    return gas_charges_pages(config)
               ? MUTANT(reserve_half, 1, 2) * (uint64_t)PVM_GAS_COW *
                     MUTANT(reserve_per_block, store_count != 0, store_count)
               : 0;
}

struct pvm_walk pvm_code_walk(const struct pvm_code *code,
                              const struct pvm_config *config, uint32_t pc)
{
    struct pvm_walk walk = {.end = pc};
    struct gas_meter meter;
    struct pvm_insn insn;
    uint32_t head = 0;
    pvm_gas_meter_begin(&meter, config);
    for (;;) {
        walk.visit_count++;
        if (!insn_decode(code, config->profile, pc, &insn, &head)) {
            head = 0;
            pvm_gas_meter_visit(&meter, code, &head, 1, 0);
            break;
        }
        pvm_gas_meter_visit(&meter, code, &head, 1, insn.target);
        pc += insn.size;
        walk.end = pc;
        if (pvm_op_info[insn.op].flags & PVM_OP_STORE)
            walk.store_count++;
        if (pvm_op_terminates(config->profile, insn.op))
            break;
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
