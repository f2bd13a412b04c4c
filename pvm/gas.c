/* SPDX-License-Identifier: MIT
 *
 * Gas models 0 (flat block) and 1 (single pass), page gas, and the walk they price [7].
 */
#include "pvm/gas.h"

enum { SRC_A = 1, SRC_B = 2, SRC_D = 4 };
enum { CYCLES_MEM = 253, CYCLES_BRANCH = 254 };

/* A row's slots: one number, or two and the rule that chooses between them. */
enum { SLOTS_OVERLAP = 1 << 8, SLOTS_SHIFT = 2 << 8 };

struct cost_row {
    uint8_t cycles;
    uint8_t src;
    uint16_t slots;
    bool dst;
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
#define ROW(first, last, cycles_, slots_, src_, dst_)                                  \
    [first...                                                                          \
        last] = {.cycles = cycles_, .slots = slots_, .src = src_, .dst = (dst_) != 0},
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

static uint8_t code_byte(const struct pvm_code *code, uint64_t at)
{
    return at < code->code.size ? code->code.data[at] : 0;
}

static unsigned reg_of(unsigned nibble)
{
    return nibble < 12 ? nibble : 12;
}

/* Only the byte at the target counts: trap or unlikely makes the branch cheap. */
static uint64_t branch_cycles(const struct pvm_code *code, const struct pvm_insn *insn)
{
    if (insn->target < 0 || (uint64_t)insn->target >= code->code.size)
        return 20;
    uint32_t target = (uint32_t)insn->target;
    uint8_t byte = code->code.data[target];
    bool cold = byte == PVM_OP_trap || byte == PVM_OP_unlikely;
    return pvm_code_marked(code, target) && cold ? 1 : 20;
}

static uint64_t row_cycles(const struct gas_meter *meter, const struct cost_row *row,
                           const struct pvm_code *code, const struct pvm_insn *insn)
{
    if (row->cycles == CYCLES_MEM)
        return meter->mem_cycles;
    return row->cycles == CYCLES_BRANCH ? branch_cycles(code, insn) : row->cycles;
}

static unsigned row_slots(const struct cost_row *row, uint8_t regs, bool overlap)
{
    unsigned first = row->slots >> 4 & 15, second = row->slots & 15;
    if (row->slots & SLOTS_OVERLAP)
        return overlap ? first : second;
    if (row->slots & SLOTS_SHIFT)
        return (regs & 15) == regs >> 4 ? first : second;
    return second;
}

static void take_slots(struct gas_meter *meter, unsigned slots)
{
    if (meter->used >= 4) {
        meter->cycle += 1;
        meter->used = slots;
    } else {
        meter->used += slots;
    }
}

static void visit_single_pass(struct gas_meter *meter, const struct pvm_code *code,
                              const struct pvm_insn *insn)
{
    uint8_t regs = insn ? code_byte(code, (uint64_t)insn->pc + 1) : 0;
    unsigned a = reg_of(regs & 15), b = reg_of(regs >> 4);
    if (insn && insn->op == PVM_OP_move_reg) { /* renames: ready when its source is */
        take_slots(meter, 1);
        meter->done[a] = meter->done[b];
        return;
    }
    const struct cost_row *row = &single_pass[insn ? insn->op : PVM_OP_trap];
    unsigned d = 0;
    bool src_a = row->src & SRC_A, src_b = row->src & SRC_B, src_d = row->src & SRC_D;
    if (src_d)
        d = reg_of(code_byte(code, (uint64_t)insn->pc + 2) & 15);
    bool overlap = src_a || (src_b && a == b) || (src_d && a == d);
    take_slots(meter, row_slots(row, regs, overlap));

    uint64_t end = meter->cycle;
    if (src_a && meter->done[a] > end)
        end = meter->done[a];
    if (src_b && meter->done[b] > end)
        end = meter->done[b];
    if (src_d && meter->done[d] > end)
        end = meter->done[d];
    end += row_cycles(meter, row, code, insn);
    if (row->dst)
        meter->done[a] = end;
    if (end > meter->last)
        meter->last = end;
}

void pvm_gas_meter_visit(struct gas_meter *meter, const struct pvm_code *code,
                         const struct pvm_insn *insn)
{
    meter->visits++;
    if (meter->model == 1)
        visit_single_pass(meter, code, insn);
}

uint64_t pvm_gas_meter_need(const struct gas_meter *meter)
{
    if (meter->model == 1)
        return meter->last > 3 ? meter->last - 3 : 1;
    return meter->visits;
}

uint64_t pvm_gas_reserve(const struct pvm_config *config, uint64_t store_count)
{
    return gas_charges_pages(config) ? 2 * (uint64_t)PVM_GAS_COW * store_count : 0;
}

struct pvm_walk pvm_code_walk(const struct pvm_code *code,
                              const struct pvm_config *config, uint32_t pc)
{
    struct pvm_walk walk = {.end = pc};
    struct gas_meter meter;
    struct pvm_insn insn;
    pvm_gas_meter_begin(&meter, config);
    for (;;) {
        walk.visit_count++;
        if (!pvm_insn_decode(code, config->profile, pc, &insn)) {
            pvm_gas_meter_visit(&meter, code, NULL);
            break;
        }
        pvm_gas_meter_visit(&meter, code, &insn);
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
