/* SPDX-License-Identifier: MIT
 *
 * pvm/gas.h - what a block costs, one visited position at a time [7].
 * Private to pvm/: program.c adds visits while it predecodes, pvm_code_walk() while it
 * walks.
 */
#ifndef PVM_GAS_H
#define PVM_GAS_H

#include "pvm/mutant.h"
#include "pvm/pvm.h"

/* Where A, B and D are in a word, with a byte each; no register is GAS_NO_REG. */
enum { GAS_A = 8, GAS_B = 16, GAS_D = 24, GAS_NO_REG = 15 };

/* What can be equal to the register A, in the byte that is left: D, B, and B's nibble
 * to A's. */
enum { GAS_IS_D = 1, GAS_IS_B = 2, GAS_NIBBLE_IS_B = 4 };

/* What a row of model 1 says, prepared for a walk that asks nothing a CPU would have to
 * foresee.  `absent`: of a word that has A, B and D in its upper three bytes, those
 * that are no source have all bits of GAS_NO_REG set, and so has the low one where
 * there is no result. */
struct gas_row {
    uint32_t absent;
    uint8_t second; /* where the source besides B is, if any; and GAS_BRANCHES */
    uint8_t cycles;
    int8_t memory; /* -1: mem_cycles come to the cycles; 0 */
    int8_t timed;  /* -1; 0: it renames, and neither waits for a slot nor takes time */
    uint8_t slots[8]; /* by what is the same */
};
extern const struct gas_row pvm_gas_row[256];

/* What a branch's target says comes to the cycles. */
enum { GAS_BRANCHES = 128 };

static inline bool gas_branches(const struct gas_row *row)
{
    return row->second & GAS_BRANCHES;
}

/* What each visit of model 1 changes; `last` is the specification's max. */
struct gas_pace {
    uint64_t cycle, used, last;
};

struct gas_meter {
    uint32_t model; /* gas model only, without page gas */
    uint32_t mem_cycles;
    uint64_t visits;
    struct gas_pace pace;
    uint64_t done[16]; /* of registers; that of GAS_NO_REG is 0 */
};

static inline void pvm_gas_meter_begin(struct gas_meter *meter,
                                       const struct pvm_config *config)
{
    *meter = (struct gas_meter){.model = config->model & 255,
                                .mem_cycles = config->mem_cycles};
}

/* Visit a position, given its first three bytes (decode.h), 0 for one that is not ok,
 * and its target if it is a branch. */
void pvm_gas_meter_visit(struct gas_meter *meter, const struct pvm_code *code,
                         uint32_t head, int64_t target);

/* What a branch's target makes it cost, in cycles.  Only the byte there counts: trap or
 * unlikely makes the branch cheap. */
static inline uint64_t gas_branch(const struct pvm_code *code, int64_t target)
{
    if (target < 0 || (uint64_t)target >= code->code.size)
        return 20;
    uint8_t byte = code->code.data[target];
    bool cold = byte == PVM_OP_trap || byte == PVM_OP_unlikely ||
                MUTANT(gas_branch_unassigned, !pvm_op_info[byte].name, false);
    return cold && MUTANT(gas_branch_unmarked, true,
                          pvm_code_marked(code, (uint32_t)target))
               ? 1
               : 20;
}

static inline uint64_t gas_later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline const struct gas_row *gas_row_of(uint8_t op)
{
    return &pvm_gas_row[MUTANT(gas_trap_unlikely, op ? op : PVM_OP_unlikely, op)];
}

/* The fixed part of a row's cycles. */
static inline uint64_t gas_cycles(const struct gas_row *row)
{
    if (MUTANT(gas_row_ecall, row == &pvm_gas_row[PVM_OP_ecall], false))
        return 1;
    if (MUTANT(gas_row_unlikely, row == &pvm_gas_row[PVM_OP_unlikely], false))
        return 2;
    return row->cycles;
}

/* The equal ones of two nibbles behind an opcode, and of the registers they name. */
#define GAS_SAME(reg, high, low)                                                       \
    ((reg(high) == reg(low)) * GAS_IS_B | ((high) == (low)) * GAS_NIBBLE_IS_B)

static inline void gas_take_slots(struct gas_pace *pace, uint64_t slots)
{
    /* At most 7, so this is 1 from 4 on, else 0. */
    uint64_t full =
        MUTANT(gas_slots_over, pace->used > 4,
               MUTANT(gas_slots_fit, pace->used + slots > 4, pace->used / 4));
    pace->cycle += full;
    pace->used = (pace->used & (full - 1)) + slots;
}

/* The other one of two rules: what it would look at. */
static inline unsigned gas_same_swapped(unsigned same)
{
    return (same & GAS_NIBBLE_IS_B ? GAS_IS_B : 0u) |
           (same & (GAS_IS_B | GAS_IS_D) ? GAS_NIBBLE_IS_B : 0u);
}

/* How many, by what is the same. */
static inline uint64_t gas_slots(const struct gas_row *row, unsigned same)
{
    same =
        MUTANT(gas_ov_nibbles, (same & GAS_IS_D) | (same & GAS_NIBBLE_IS_B) / 2, same);
    same = MUTANT(gas_sh_clamped, (same & GAS_IS_B) * 2, same);
    same = MUTANT(gas_rules_swapped, gas_same_swapped(same), same);
    uint64_t slots = row->slots[same];
    return MUTANT(gas_slots_swapped, row->slots[0] + row->slots[7] - slots, slots) -
           MUTANT(gas_move_free, !row->timed, 0u);
}

/* Model 1: visit the instruction of `row`, with the registers A, B and D of its raw
 * nibbles, in whatever numbers below GAS_NO_REG, and in the low byte GAS_IS_B and
 * GAS_NIBBLE_IS_B.  `memory`, `branch`: what comes to the cycles of those that are. */
static inline void gas_visit(struct gas_pace *pace, uint64_t done[16],
                             const struct gas_row *row, uint32_t registers,
                             uint64_t memory, uint64_t branch)
{
    unsigned a = registers >> GAS_A & 255, d = registers >> GAS_D;
    unsigned is_d = d == a ? (unsigned)GAS_IS_D : 0;
    gas_take_slots(pace, gas_slots(row, (registers & 255) | is_d));

    uint32_t used = registers | row->absent;
    uint64_t timed = (uint64_t)(int64_t)row->timed;
    uint64_t waits = (uint64_t)(int64_t)row->memory;
    uint64_t end = gas_later(pace->cycle & timed, done[used >> GAS_B & 255]);
    end = gas_later(end, done[used >> (row->second & 31) & 255]);
    end += gas_cycles(row) + branch + MUTANT(gas_move_cycle, !row->timed, 0u);
    end += (memory + MUTANT(gas_row_memory, 1u, 0u)) & waits;
    unsigned result = MUTANT(gas_true_operands, row->second == GAS_D ? d : a, a);
    done[result | (row->absent & 255)] = end;
    done[GAS_NO_REG] = 0;
    end = MUTANT(gas_move_max, end + !row->timed, end & timed);
    pace->last = gas_later(MUTANT(gas_last_end, 0u, pace->last), end);
}

/* need(i) of the visits so far; at least one. */
static inline uint64_t pvm_gas_meter_need(const struct gas_meter *meter)
{
    if (meter->model == 1)
        return meter->pace.last > 3 ? meter->pace.last - MUTANT(gas_need_more, 2, 3)
                                    : 1;
    return meter->visits - MUTANT(gas_trap_free, 1, 0);
}

static inline bool gas_charges_pages(const struct pvm_config *config)
{
    return config->model >> 8 == 1;
}

/* The reserve of a block with so many stores [7.6]. */
static inline uint64_t pvm_gas_reserve(const struct pvm_config *config,
                                       uint64_t store_count)
{
    if (!gas_charges_pages(config))
        return 0;
    return MUTANT(reserve_half, 1, 2) * (uint64_t)PVM_GAS_COW *
           MUTANT(reserve_per_block, store_count != 0, store_count);
}

#endif
