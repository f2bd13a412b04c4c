/* SPDX-License-Identifier: MIT
 *
 * Random code: instructions, how they are spelled, and where jumps lead.
 */
#include "analysis/progen_private.h"

#include "base/err.h"

#include <string.h>

enum {
    OFFSET_SIZE = 2, /* of targets, so that they can be mended in place */
    PAD_MAX = 28,    /* bytes that a long skip adds */
    REACH = 100,     /* of targets that nobody has mended */
    TRIES = 8,
};

/* ---- instructions ---- */

int64_t analysis_progen_table_address(struct progen *p)
{
    uint64_t count = p->c->jump_count;
    uint64_t index = chance(p, 10)            ? count - 1 + below(p, 3)
                     : count && chance(p, 80) ? below(p, count)
                                              : below(p, ANALYSIS_CASE_JUMP_MAX);
    return 2 + 2 * (int64_t)index;
}

/* One that the profile does not have. */
static uint8_t pick_unassigned(struct progen *p)
{
    for (;;) {
        uint8_t op = (uint8_t)next(p);
        if (!pvm_op_assigned(p->c->config.profile, op))
            return op;
    }
}

static bool ends_run(uint8_t op)
{
    return pvm_op_terminates(PVM_PROFILE_JAVM, op) ||
           (pvm_op_info[op].flags & PVM_OP_SINK);
}

static uint8_t pick_any_op(struct progen *p)
{
    if (p->palette_count && chance(p, 80))
        return p->palette[below(p, p->palette_count)];
    if (chance(p, 4))
        return PVM_OP_jump_ind;
    if (chance(p, p->loose ? 6 : 2))
        return pick_unassigned(p);
    for (;;) {
        uint8_t op = (uint8_t)below(p, 231);
        unsigned flags = pvm_op_info[op].flags;
        if (!pvm_op_info[op].name)
            continue;
        if ((flags & (PVM_OP_SINK | PVM_OP_DYN | PVM_OP_CALL)) && chance(p, 60))
            continue; /* or programs would be short */
        return op;
    }
}

static uint8_t pick_op(struct progen *p)
{
    uint8_t op = pick_any_op(p);
    for (unsigned k = 0; k < TRIES && p->calm; k++) {
        if (pvm_op_info[op].name && !ends_run(op))
            break;
        op = chance(p, 5) ? op : pick_any_op(p);
    }
    return op;
}

static uint8_t pick_reg(struct progen *p)
{
    if (p->loose && chance(p, 30))
        return PROGEN_REG_ODD;
    return (uint8_t)(p->tight ? pick_pool(p, 3) : below(p, PVM_REG_COUNT));
}

static void pick_operands(struct progen *p, struct pvm_insn *insn)
{
    unsigned flags = pvm_op_info[insn->op].flags;
    bool wide = insn->op == PVM_OP_load_imm_64;
    uint64_t x = analysis_progen_value(p);
    if (flags & (PVM_OP_LOAD | PVM_OP_STORE))
        x = chance(p, 50) ? analysis_progen_address(p) : below(p, 32) - 16;
    insn->x = wide ? (int64_t)x : (int32_t)x;
    insn->y = (int32_t)analysis_progen_value(p);
    if (flags & PVM_OP_DYN) {
        if (chance(p, 80))
            insn->x = analysis_progen_table_address(p);
        if (chance(p, 80))
            insn->y = analysis_progen_table_address(p);
        if (chance(p, 20)) /* return */
            insn->x = insn->y = 0;
    }
}

/* Let an access go ahead, and sp stay. */
static void calm_down(struct progen *p, struct pvm_insn *insn)
{
    const struct analysis_case_region *region =
        &p->c->region[below(p, p->c->region_count)];
    unsigned format = pvm_op_info[insn->op].format;
    if (insn->a == PROGEN_REG_SP)
        insn->a = (uint8_t)pick_pool(p, 3);
    if (insn->d == PROGEN_REG_SP)
        insn->d = (uint8_t)pick_pool(p, 3);
    if (!(pvm_op_info[insn->op].flags & (PVM_OP_LOAD | PVM_OP_STORE)))
        return;
    insn->x = 8 * (int64_t)below(p, 4) - 8;
    if (format == PVM_FORMAT_A_B_X)
        insn->b = PROGEN_REG_SP;
    else if (format == PVM_FORMAT_A_X_Y)
        insn->a = PROGEN_REG_SP;
    else
        insn->x = (int32_t)(region->start + below(p, PVM_PAGE_SIZE - 8));
    if (format == PVM_FORMAT_A_B_X && chance(p, 50)) {
        insn->a = (uint8_t)below(p, PVM_REG_COUNT);
        if (insn->a == PROGEN_REG_SP)
            insn->a = PROGEN_REG_ODD;
    }
}

struct pvm_insn analysis_progen_insn(struct progen *p, uint32_t pc)
{
    struct pvm_insn insn = {.pc = pc,
                            .op = pick_op(p),
                            .a = pick_reg(p),
                            .b = pick_reg(p),
                            .d = pick_reg(p)};
    if (chance(p, 30)) /* aliases */
        insn.b = insn.a;
    if (chance(p, 30))
        insn.d = insn.a;
    pick_operands(p, &insn);
    insn.target = (int64_t)pc + (int64_t)below(p, 2 * REACH) - REACH;
    if (p->calm && chance(p, 95))
        calm_down(p, &insn);
    return insn;
}

/* ---- their bytes ---- */

static void spell_nibble(struct progen *p, uint8_t *byte, unsigned shift, bool is_reg)
{
    unsigned v = *byte >> shift & 15;
    if (!is_reg)
        v = (unsigned)below(p, 16);
    else if (v == PROGEN_REG_ODD)
        v += (unsigned)below(p, 16 - PROGEN_REG_ODD);
    *byte = (uint8_t)((*byte & ~(15u << shift)) | v << shift);
}

/* The size of an immediate, of which three bits count, and 4 to 7 are one. */
static void spell_size(struct progen *p, uint8_t *byte, unsigned shift, uint8_t unused)
{
    if ((*byte >> shift & 7) == 4)
        *byte = (uint8_t)(*byte + (below(p, 4) << shift));
    *byte |= (uint8_t)(next(p) & unused);
}

/* The same instruction in other bytes: all nibbles from 12 on are one register, and
 * there are bits that do not count, but for the price. */
static void spell(struct progen *p, uint8_t *bytes)
{
    switch ((enum pvm_format)pvm_op_info[bytes[0]].format) {
    case PVM_FORMAT_NONE:
    case PVM_FORMAT_X:
    case PVM_FORMAT_T:
        return;
    case PVM_FORMAT_X_Y:
        spell_size(p, &bytes[1], 0, 0xf8);
        return;
    case PVM_FORMAT_A_X64:
    case PVM_FORMAT_A_X:
        spell_nibble(p, &bytes[1], 4, false);
        break;
    case PVM_FORMAT_A_X_Y:
    case PVM_FORMAT_A_X_T:
        spell_size(p, &bytes[1], 4, 0x80);
        break;
    case PVM_FORMAT_D_A_B:
        if (bytes[2] == PROGEN_REG_ODD)
            bytes[2] = (uint8_t)(bytes[2] + below(p, 256 - PROGEN_REG_ODD));
        spell_nibble(p, &bytes[1], 4, true);
        break;
    case PVM_FORMAT_A_B_X_Y:
        spell_size(p, &bytes[2], 0, 0xf8);
        spell_nibble(p, &bytes[1], 4, true);
        break;
    case PVM_FORMAT_D_A:
    case PVM_FORMAT_A_B_X:
    case PVM_FORMAT_A_B_T:
        spell_nibble(p, &bytes[1], 4, true);
        break;
    }
    spell_nibble(p, &bytes[1], 0, true);
}

/* With offsets of two bytes; with four for all that may have them when `long_skip`. */
static uint32_t encode(const struct pvm_insn *insn, bool long_skip,
                       uint8_t ret_bytes[PVM_INSN_SIZE_MAX])
{
    unsigned x_size = pvm_imm_size(insn->x), y_size = pvm_imm_size(insn->y);
    unsigned format = pvm_op_info[insn->op].format;
    if (format == PVM_FORMAT_T || format == PVM_FORMAT_A_B_T)
        x_size = OFFSET_SIZE;
    if (format == PVM_FORMAT_A_X_T)
        y_size = OFFSET_SIZE;
    if (long_skip)
        x_size = y_size = 4;
    if (format == PVM_FORMAT_A_X64)
        x_size = 8;
    size_t size = 0;
    /* Formats without X or Y want size 0 for it. */
    for (unsigned k = 0; !size && k < 4; k++)
        size = pvm_insn_encode(insn, k & 1 ? 0 : x_size, k & 2 ? 0 : y_size, ret_bytes);
    return (uint32_t)size;
}

uint32_t analysis_progen_append(struct progen *p, const struct pvm_insn *insn,
                                uint32_t pc)
{
    uint8_t bytes[PVM_INSN_SIZE_MAX + PAD_MAX] = {insn->op};
    struct pvm_insn here = *insn;
    here.pc = pc;
    bool long_skip = p->loose && chance(p, 10);
    uint32_t size = pvm_op_info[insn->op].name ? encode(&here, long_skip, bytes) : 1;
    if (p->loose && size > 1 && chance(p, 50))
        spell(p, bytes);
    if (long_skip) { /* what ends a block may be cut by the cap */
        bool ends = pvm_op_terminates(p->c->config.profile, insn->op);
        uint32_t end = size + (uint32_t)below(p, PAD_MAX);
        if (ends)
            end = PVM_INSN_SIZE_MAX - 1 + (uint32_t)below(p, 4);
        else if (end > PVM_INSN_SIZE_MAX)
            end = PVM_INSN_SIZE_MAX;
        while (size && size < end)
            bytes[size++] = (uint8_t)(chance(p, 50) ? 0 : next(p));
    }
    if (!size || pc + size > ANALYSIS_CASE_CODE_MAX - 8)
        return 0;
    memcpy(p->c->code + pc, bytes, size);
    p->c->bitmask[pc >> 3] |= (uint8_t)(1u << (pc & 7));
    return size;
}

/* ---- where jumps lead ---- */

static bool is_jump(uint8_t op)
{
    return (pvm_op_info[op].flags & (PVM_OP_COND | PVM_OP_JUMP)) != 0;
}

void analysis_progen_aim(struct progen *p, uint32_t pc, int64_t target)
{
    struct analysis_case *c = p->c;
    const struct pvm_code code = analysis_case_code(c);
    unsigned head = 2;
    if (pvm_op_info[c->code[pc]].format == PVM_FORMAT_T)
        head = 1;
    else if (pvm_op_info[c->code[pc]].format == PVM_FORMAT_A_X_T) {
        unsigned x_size = c->code[pc + 1] >> 4 & 7;
        head += x_size < 4 ? x_size : 4;
    }
    uint64_t offset = (uint64_t)(target - (int64_t)pc);
    for (unsigned k = 0; k < 4; k++) {
        uint32_t at = pc + head + k;
        if (at >= c->code_size || pvm_code_marked(&code, at))
            break;
        c->code[at] = (uint8_t)(offset >> 8 * k);
    }
}

/* Places of a program. */
struct places {
    uint32_t start[ANALYSIS_CASE_CODE_MAX], start_count;
    uint32_t insn[ANALYSIS_CASE_CODE_MAX], insn_count;
    /* Behind the end of a block, where none starts, and marks without an instruction.
     */
    uint32_t hole[ANALYSIS_CASE_CODE_MAX + 1], hole_count;
};

static void find_places(const struct progen *p, struct places *ret_places)
{
    const struct analysis_case *c = p->c;
    const struct pvm_code code = analysis_case_code(c);
    const enum pvm_profile profile = c->config.profile;
    struct pvm_insn insn;
    ret_places->start[0] = 0;
    ret_places->start_count = 1;
    ret_places->insn_count = ret_places->hole_count = 0;
    for (uint32_t pc = 0; pc < c->code_size; pc++) {
        if (!pvm_code_marked(&code, pc))
            continue;
        if (!pvm_insn_decode(&code, profile, pc, &insn)) {
            ret_places->hole[ret_places->hole_count++] = pc;
            continue;
        }
        ret_places->insn[ret_places->insn_count++] = pc;
        uint32_t behind = pc + insn.size;
        if (!pvm_op_terminates(profile, insn.op))
            continue;
        if (pvm_code_ok(&code, profile, behind))
            ret_places->start[ret_places->start_count++] = behind;
        else
            ret_places->hole[ret_places->hole_count++] = behind;
    }
}

/* Let most jumps land on block starts. */
static void mend_targets(struct progen *p, const struct places *places)
{
    struct analysis_case *c = p->c;
    for (uint32_t i = 0; i < places->insn_count; i++) {
        uint32_t pc = places->insn[i];
        bool kept = p->kept[pc / 8] >> pc % 8 & 1;
        if (is_jump(c->code[pc]) && !kept && !chance(p, 5))
            analysis_progen_aim(p, pc, places->start[below(p, places->start_count)]);
    }
    for (uint32_t i = 0; i < ANALYSIS_CASE_JUMP_MAX; i++) {
        uint32_t target = chance(p, 95) ? places->start[below(p, places->start_count)]
                                        : (uint32_t)analysis_progen_value(p);
        memcpy(c->jump + 4 * (size_t)i, &target, 4);
    }
}

/* Let most of the addresses that calls put into ra be those behind them. */
static void mend_calls(struct progen *p, const struct places *places)
{
    struct analysis_case *c = p->c;
    const struct pvm_code code = analysis_case_code(c);
    struct pvm_insn insn;
    for (uint32_t i = 0; i < places->insn_count; i++) {
        if (!pvm_insn_decode(&code, c->config.profile, places->insn[i], &insn) ||
            insn.a != PROGEN_REG_RA ||
            (insn.op != PVM_OP_load_imm_jump && insn.op != PVM_OP_load_imm_jump_ind))
            continue;
        uint64_t index = (uint64_t)insn.x / 2 - 1;
        uint32_t behind = insn.pc + insn.size;
        if (index < ANALYSIS_CASE_JUMP_MAX && chance(p, 90))
            memcpy(c->jump + 4 * (size_t)index, &behind, 4);
    }
    for (uint32_t i = 0; i < p->entry_count; i++)
        if (p->entry[i].index < ANALYSIS_CASE_JUMP_MAX)
            memcpy(c->jump + 4 * (size_t)p->entry[i].index, &p->entry[i].pc, 4);
}

/* A byte inside an instruction, mostly one that would be cold as an opcode. */
static uint32_t find_operand(struct progen *p)
{
    const struct pvm_code code = analysis_case_code(p->c);
    uint32_t at = 0;
    for (unsigned k = 0; k < TRIES; k++) {
        at = (uint32_t)below(p, p->c->code_size);
        uint8_t op = p->c->code[at];
        if (!pvm_code_marked(&code, at) && (op == PVM_OP_trap || op == PVM_OP_unlikely))
            break;
    }
    return at;
}

static int64_t find_odd_target(struct progen *p, const struct places *places)
{
    switch (below(p, 6)) {
    case 0:
    case 1:
        if (places->hole_count) /* what follows it may be marked */
            return (int64_t)places->hole[below(p, places->hole_count)] + chance(p, 30);
        return places->start[below(p, places->start_count)] + 1;
    case 2:
        return places->insn_count ? places->insn[below(p, places->insn_count)] : 1;
    case 3:
        return (int64_t)p->c->code_size - 1 + (int64_t)below(p, 3);
    case 4:
        return (int64_t)below(p, 2 * REACH) - REACH;
    default:
        return find_operand(p);
    }
}

void analysis_progen_astray(struct progen *p)
{
    struct analysis_case *c = p->c;
    struct places places;
    if (!c->code_size)
        return;
    find_places(p, &places);
    for (uint32_t i = 0; i < places.insn_count; i++)
        if (is_jump(c->code[places.insn[i]]) && chance(p, 35))
            analysis_progen_aim(p, places.insn[i], find_odd_target(p, &places));
    for (uint32_t i = 0; i < c->jump_count; i++) {
        uint32_t target = (uint32_t)find_odd_target(p, &places);
        if (chance(p, 15))
            memcpy(c->jump + 4 * (size_t)i, &target, 4);
    }
}

/* ---- all of it ---- */

static uint32_t append_piece(struct progen *p, uint32_t pc)
{
    if (p->calls && chance(p, 30))
        return analysis_progen_function(p, pc);
    if (p->tight && chance(p, p->calm ? 75 : 60))
        return analysis_progen_idiom(p, pc);
    struct pvm_insn insn = analysis_progen_insn(p, pc);
    return analysis_progen_append(p, &insn, pc);
}

void analysis_progen_code(struct progen *p)
{
    struct analysis_case *c = p->c;
    uint32_t size = 0, want = 1 + (uint32_t)below(p, chance(p, 5) ? 300
                                                     : p->calm    ? 90
                                                                  : 40);
    struct places places;
    c->jump_count = (uint32_t)below(p, ANALYSIS_CASE_JUMP_MAX + 1);
    c->jump_width = 4;
    if (p->calls && chance(p, 70)) /* where it is executed for certain */
        size += analysis_progen_function(p, size);
    if (p->runs)
        size += analysis_progen_run(p, size);
    for (uint32_t i = 0; i < want; i++)
        size += append_piece(p, size);
    c->code_size = size;
    find_places(p, &places);
    mend_targets(p, &places);
    mend_calls(p, &places);
}
