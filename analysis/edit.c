/* SPDX-License-Identifier: MIT */
#include "analysis/edit.h"

#include <string.h>

enum { OFFSET_SIZE = 2 }; /* enough for any distance in a case */

/* ---- taking apart ---- */

static bool has_target(const struct edit_item *item)
{
    return item->insn.size &&
           pvm_op_info[item->insn.op].flags & (PVM_OP_COND | PVM_OP_JUMP);
}

/* The item at each pc, EDIT_NOWHERE inside of one. */
struct places {
    int32_t at[ANALYSIS_CASE_CODE_MAX + 1];
    uint32_t size;
};

static int32_t place_of(const struct places *places, uint64_t pc)
{
    return pc <= places->size ? places->at[pc] : EDIT_NOWHERE;
}

void analysis_edit_load(struct edit *edit, const struct analysis_case *c)
{
    static const struct pvm_insn none;
    const struct pvm_code code = analysis_case_code(c);
    struct places places = {.size = c->code_size};
    edit->count = 0;
    for (uint32_t pc = 0; pc < c->code_size;) {
        struct edit_item *item = &edit->item[edit->count];
        *item = (struct edit_item){.size = 1, .target = EDIT_NOWHERE};
        item->marked = pvm_code_marked(&code, pc);
        item->insn = none;
        if (pvm_insn_decode(&code, c->config.profile, pc, &item->insn) &&
            pc + item->insn.size <= c->code_size)
            item->size = item->insn.size;
        else
            item->insn = none;
        memcpy(item->bytes, c->code + pc, item->size);
        for (uint32_t k = 1; k < item->size; k++)
            places.at[pc + k] = EDIT_NOWHERE;
        places.at[pc] = (int32_t)edit->count++;
        pc += item->size;
    }
    places.at[c->code_size] = (int32_t)edit->count;
    for (uint32_t i = 0; i < edit->count; i++) {
        struct edit_item *item = &edit->item[i];
        if (has_target(item) && item->insn.target >= 0)
            item->target = place_of(&places, (uint64_t)item->insn.target);
    }
    edit->jump_count = c->jump_count;
    for (uint32_t i = 0; i < c->jump_count; i++) {
        edit->jump_value[i] = pvm_code_jump(&code, i);
        edit->jump[i] = place_of(&places, (uint32_t)edit->jump_value[i]);
    }
    edit->start = place_of(&places, c->pc);
}

/* ---- laying out ---- */

static uint32_t encode(const struct edit_item *item, uint32_t pc, int64_t target,
                       uint8_t bytes[PVM_INSN_SIZE_MAX])
{
    struct pvm_insn insn = item->insn;
    unsigned format = pvm_op_info[insn.op].format;
    unsigned x_size = pvm_imm_size(insn.x), y_size = pvm_imm_size(insn.y);
    insn.pc = pc;
    insn.target = target;
    if (format == PVM_FORMAT_A_X64)
        x_size = 8;
    else if (format == PVM_FORMAT_T || format == PVM_FORMAT_A_B_T)
        x_size = OFFSET_SIZE;
    if (format == PVM_FORMAT_A_X_T)
        y_size = OFFSET_SIZE;
    size_t size = 0;
    for (unsigned k = 0; !size && k < 4; k++) /* formats without X or Y want 0 */
        size = pvm_insn_encode(&insn, k & 1 ? 0 : x_size, k & 2 ? 0 : y_size, bytes);
    return (uint32_t)size;
}

/* How items are written: as they were wherever that is possible (spellings that no
 * encoder makes count for some programs), or those with a target in the usual way. */
enum spelling { AS_THEY_WERE, USUAL };

/* An item's bytes and their number, with its target at `target`; 0: it cannot be
 * written. */
static uint32_t item_bytes(const struct edit_item *item, enum spelling spelling,
                           uint32_t pc, int64_t target,
                           uint8_t bytes[PVM_INSN_SIZE_MAX])
{
    bool follows = has_target(item) && item->target != EDIT_NOWHERE;
    bool moves = target - (int64_t)pc != item->insn.target - (int64_t)item->insn.pc;
    if (item->changed || (follows && (moves || spelling == USUAL)))
        return encode(item, pc, target, bytes);
    memcpy(bytes, item->bytes, item->size);
    return item->size;
}

static uint32_t item_size(const struct edit_item *item, enum spelling spelling)
{
    uint8_t bytes[PVM_INSN_SIZE_MAX];
    if (spelling == AS_THEY_WERE && !item->changed)
        return item->size;
    return item_bytes(item, spelling, 0, 0, bytes); /* targets do not change it */
}

static int64_t target_of(const struct edit_item *item, const uint32_t *pcs, uint32_t pc)
{
    if (item->target != EDIT_NOWHERE)
        return pcs[item->target];
    /* As far away as it was. */
    return (int64_t)pc + item->insn.target - (int64_t)item->insn.pc;
}

static bool store_table(const struct edit *edit, const uint32_t *pcs,
                        struct analysis_case *c)
{
    memset(c->jump, 0, sizeof c->jump);
    c->jump_count = edit->jump_count;
    for (uint32_t i = 0; i < edit->jump_count; i++) {
        uint64_t value = edit->jump_value[i];
        if (edit->jump[i] != EDIT_NOWHERE) /* a wrong upper half stays */
            value = (value & ~(uint64_t)UINT32_MAX) | pcs[edit->jump[i]];
        if (c->jump_width < 8 && value >> 8 * c->jump_width)
            return false;
        for (uint32_t k = 0; k < c->jump_width; k++)
            c->jump[i * c->jump_width + k] = (uint8_t)(value >> 8 * k);
    }
    return true;
}

static bool store(const struct edit *edit, enum spelling spelling,
                  struct analysis_case *c)
{
    uint32_t pcs[ANALYSIS_CASE_CODE_MAX + 1], pc = 0;
    for (uint32_t i = 0; i < edit->count; i++) {
        pcs[i] = pc;
        uint32_t size = item_size(&edit->item[i], spelling);
        if (!size || pc + size > ANALYSIS_CASE_CODE_MAX)
            return false;
        pc += size;
    }
    pcs[edit->count] = pc;
    memset(c->code, 0, sizeof c->code);
    memset(c->bitmask, 0, sizeof c->bitmask);
    c->code_size = pc;
    for (uint32_t i = 0; i < edit->count; i++) {
        const struct edit_item *item = &edit->item[i];
        uint8_t bytes[PVM_INSN_SIZE_MAX];
        int64_t target = target_of(item, pcs, pcs[i]);
        uint32_t size = item_bytes(item, spelling, pcs[i], target, bytes);
        if (size != pcs[i + 1] - pcs[i])
            return false;
        memcpy(c->code + pcs[i], bytes, size);
        if (item->marked)
            c->bitmask[pcs[i] / 8] |= (uint8_t)(1u << pcs[i] % 8);
    }
    if (edit->start != EDIT_NOWHERE)
        c->pc = pcs[edit->start];
    return store_table(edit, pcs, c);
}

bool analysis_edit_store(const struct edit *edit, struct analysis_case *c)
{
    return store(edit, AS_THEY_WERE, c) || store(edit, USUAL, c);
}

/* ---- changes ---- */

static int32_t moved(int32_t target, uint32_t first, uint32_t count)
{
    if (target == EDIT_NOWHERE || target < (int32_t)first)
        return target;
    return target < (int32_t)(first + count) ? (int32_t)first : target - (int32_t)count;
}

void analysis_edit_remove(struct edit *edit, uint32_t first, uint32_t count)
{
    memmove(edit->item + first, edit->item + first + count,
            (edit->count - first - count) * sizeof *edit->item);
    edit->count -= count;
    for (uint32_t i = 0; i < edit->count; i++)
        edit->item[i].target = moved(edit->item[i].target, first, count);
    for (uint32_t i = 0; i < edit->jump_count; i++)
        edit->jump[i] = moved(edit->jump[i], first, count);
    edit->start = moved(edit->start, first, count);
}

static int32_t shifted(int32_t target, uint32_t at, uint32_t count)
{
    return target >= (int32_t)at ? target + (int32_t)count : target;
}

bool analysis_edit_insert(struct edit *edit, uint32_t at, uint32_t count)
{
    if (edit->count + count > ANALYSIS_CASE_CODE_MAX)
        return false;
    memmove(edit->item + at + count, edit->item + at,
            (edit->count - at) * sizeof *edit->item);
    edit->count += count;
    for (uint32_t i = 0; i < count; i++)
        edit->item[at + i] = (struct edit_item){
            .insn = {.op = PVM_OP_fallthrough, .size = 1},
            .marked = true,
            .changed = true,
            .target = EDIT_NOWHERE,
        };
    for (uint32_t i = 0; i < edit->count; i++) {
        if (i < at || i >= at + count)
            edit->item[i].target = shifted(edit->item[i].target, at, count);
    }
    for (uint32_t i = 0; i < edit->jump_count; i++)
        edit->jump[i] = shifted(edit->jump[i], at, count);
    edit->start = shifted(edit->start, at, count);
    return true;
}
