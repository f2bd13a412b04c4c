/* SPDX-License-Identifier: MIT
 *
 * Items to bytes: sizes of offsets, positions, bitmask and jump table
 * (guest-toolchain.md 7.1), and the linker's checks of its own output.
 */
#include "link/internal.h"

#include <inttypes.h>
#include <string.h>

enum {
    ROUND_COUNT_MAX = 64, /* 2 to 4 in practice */
    OFFSET_SIZE_MAX = 4,
};

/* ---- sizes ---- */

/* Set the sizes of immediates; an offset starts with none. */
static void size_immediates(struct link_item *item)
{
    switch ((enum pvm_format)pvm_op_info[item->op].format) {
    case PVM_FORMAT_A_X64:
        item->x_size = 8;
        return;
    case PVM_FORMAT_X:
    case PVM_FORMAT_A_X:
    case PVM_FORMAT_A_X_T:
    case PVM_FORMAT_A_B_X:
        item->x_size = (uint8_t)pvm_imm_size(item->x);
        return;
    case PVM_FORMAT_X_Y:
    case PVM_FORMAT_A_X_Y:
    case PVM_FORMAT_A_B_X_Y:
        item->x_size = (uint8_t)pvm_imm_size(item->x);
        item->y_size = (uint8_t)pvm_imm_size(item->y);
        return;
    case PVM_FORMAT_NONE:
    case PVM_FORMAT_T:
    case PVM_FORMAT_D_A:
    case PVM_FORMAT_A_B_T:
    case PVM_FORMAT_D_A_B:
        return;
    }
}

/* The size of an item's offset, NULL if it has no target. */
static uint8_t *offset_size(struct link_item *item)
{
    switch ((enum pvm_format)pvm_op_info[item->op].format) {
    case PVM_FORMAT_T:
    case PVM_FORMAT_A_B_T:
        return &item->x_size;
    case PVM_FORMAT_A_X_T:
        return &item->y_size;
    case PVM_FORMAT_NONE:
    case PVM_FORMAT_X:
    case PVM_FORMAT_A_X64:
    case PVM_FORMAT_X_Y:
    case PVM_FORMAT_A_X:
    case PVM_FORMAT_A_X_Y:
    case PVM_FORMAT_D_A:
    case PVM_FORMAT_A_B_X:
    case PVM_FORMAT_A_B_X_Y:
    case PVM_FORMAT_D_A_B:
        return NULL;
    }
    return NULL;
}

static uint32_t item_size(const struct link_item *item)
{
    static const uint8_t fixed[] = {
        [PVM_FORMAT_NONE] = 1,  [PVM_FORMAT_X] = 1,     [PVM_FORMAT_A_X64] = 2,
        [PVM_FORMAT_X_Y] = 2,   [PVM_FORMAT_T] = 1,     [PVM_FORMAT_A_X] = 2,
        [PVM_FORMAT_A_X_Y] = 2, [PVM_FORMAT_A_X_T] = 2, [PVM_FORMAT_D_A] = 2,
        [PVM_FORMAT_A_B_X] = 2, [PVM_FORMAT_A_B_T] = 2, [PVM_FORMAT_A_B_X_Y] = 3,
        [PVM_FORMAT_D_A_B] = 3,
    };
    return fixed[pvm_op_info[item->op].format] + (uint32_t)item->x_size + item->y_size;
}

/* Positions from sizes; false when the code is larger than any program. */
static bool position(struct link *link, uint64_t *ret_size)
{
    uint64_t pc = 0;
    for (uint32_t i = 0; i < link->item_count; i++) {
        link->item[i].pc = (uint32_t)pc;
        pc += item_size(&link->item[i]);
        if (pc > UINT32_MAX)
            return false;
    }
    *ret_size = pc;
    return true;
}

/* Lengthen the offsets that do not fit; true if one was.  Sizes only grow, so this
 * ends; a program that needs more than `round` rounds gets its longest ones. */
static bool lengthen(struct link *link, unsigned round)
{
    bool changed = false;
    for (uint32_t i = 0; i < link->item_count; i++) {
        struct link_item *item = &link->item[i];
        uint8_t *size = offset_size(item);
        if (!size || item->fixed)
            continue;
        check(item->target < link->item_count);
        int64_t offset = (int64_t)link->item[item->target].pc - item->pc;
        unsigned need = pvm_imm_size(offset);
        if (need <= *size)
            continue;
        *size = round < ROUND_COUNT_MAX ? (uint8_t)need : OFFSET_SIZE_MAX;
        changed = true;
    }
    return changed;
}

static bool find_positions(struct link *link, uint64_t *ret_size)
{
    for (uint32_t i = 0; i < link->item_count; i++) {
        if (!link->item[i].fixed)
            size_immediates(&link->item[i]);
    }
    unsigned round = 0;
    do {
        if (!position(link, ret_size))
            return false;
    } while (lengthen(link, round++));
    return true;
}

/* ---- bytes ---- */

static void encode(struct link *link, uint8_t *code)
{
    for (uint32_t i = 0; i < link->item_count; i++) {
        struct link_item *item = &link->item[i];
        struct pvm_insn insn = {.pc = item->pc,
                                .op = item->op,
                                .a = item->a,
                                .b = item->b,
                                .d = item->d,
                                .x = item->x,
                                .y = item->y};
        if (offset_size(item))
            insn.target = link->item[item->target].pc;
        uint8_t bytes[PVM_INSN_SIZE_MAX];
        size_t size = pvm_insn_encode(&insn, item->x_size, item->y_size, bytes);
        check(size == item_size(item));
        memcpy(code + item->pc, bytes, size);
        link->bitmask[item->pc >> 3] |= (uint8_t)(1u << (item->pc & 7));
    }
}

static uint32_t entry_pc(const struct link *link, uint32_t entry)
{
    uint32_t word = link->entry_word[entry];
    /* Stubs come first, in order; the return site is behind the stub's call. */
    uint32_t item =
        word == LINK_NONE ? link->root[entry].item + 1 : link->word[word].item;
    return link->item[item].pc;
}

static enum err make_table(struct link *link)
{
    uint32_t count = link->entry_count;
    uint32_t largest = count ? entry_pc(link, count - 1) : 0;
    uint8_t width = count ? 1 : 0;
    while (width && width < 4 && largest >> (8 * width))
        width++;
    link->jump =
        arena_alloc_array(link->arena, count ? count : 1, width ? width : 1, 1);
    if (!link->jump)
        return ERR_nomem;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t pc = entry_pc(link, i);
        for (uint8_t b = 0; b < width; b++)
            link->jump[(size_t)i * width + b] = (uint8_t)(pc >> (8 * b));
    }
    link->program.jump = link->jump;
    link->program.jump_count = count;
    link->program.jump_width = width;
    return ERR_ok;
}

/* ---- checks ---- */

/* Mark the block starts of VECTORS, which are block starts in JAVM too [4.1]. */
static void mark_starts(const struct link *link, uint8_t *starts)
{
    bool start = true;
    for (uint32_t i = 0; i < link->item_count; i++) {
        const struct link_item *item = &link->item[i];
        if (start)
            starts[item->pc >> 3] |= (uint8_t)(1u << (item->pc & 7));
        start = pvm_op_terminates(PVM_PROFILE_VECTORS, item->op);
    }
}

static bool starts_block(const struct link *link, const uint8_t *starts, uint64_t pc)
{
    return pc < link->program.code.size && (starts[pc >> 3] >> (pc & 7) & 1);
}

/* What a program of ours always is; decoded anew from the bytes. */
static enum err check_program(struct link *link)
{
    const struct pvm_code *code = &link->program;
    enum pvm_profile profile = link->options->profile;
    uint8_t *starts = arena_alloc_array(link->arena, code->code.size / 8 + 1, 1, 1);
    if (!starts)
        return ERR_nomem;
    mark_starts(link, starts);
    check(pvm_code_valid(code, profile));
    for (uint32_t pc = 0; pc < code->code.size; pc += 1 + pvm_code_skip(code, pc)) {
        struct pvm_insn insn;
        check(pvm_insn_decode(code, profile, pc, &insn));
        if (pvm_op_info[insn.op].flags & (PVM_OP_COND | PVM_OP_JUMP))
            check(insn.target >= 0 &&
                  starts_block(link, starts, (uint64_t)insn.target));
    }
    for (uint32_t i = 0; i < code->jump_count; i++)
        check(starts_block(link, starts, pvm_code_jump(code, i)));
    for (uint32_t i = 0; i < link->root_count; i++)
        check(starts_block(link, starts, 5 * (uint64_t)link->root[i].number));
    return ERR_ok;
}

enum err link_emit(struct link *link)
{
    uint64_t size = 0;
    bool fits = find_positions(link, &size);
    if (!fits || size > PVM_CODE_SIZE_MAX) {
        link_problem(link, ERR_link_limit, NULL, NULL, 0,
                     "code of %" PRIu64 " bytes; the limit is %d",
                     fits ? size : UINT32_MAX, PVM_CODE_SIZE_MAX);
        return ERR_ok;
    }
    uint8_t *code = arena_alloc_array(link->arena, size, 1, 1);
    link->bitmask = arena_alloc_array(link->arena, (size + 7) / 8, 1, 1);
    if (!code || !link->bitmask)
        return ERR_nomem;
    encode(link, code);
    link->program.code = bytes_of(code, size);
    link->program.bitmask = link->bitmask;
    TRY(make_table(link));
    return check_program(link);
}

uint32_t link_pc(const struct link *link, const struct link_section *section,
                 uint64_t offset)
{
    if (section->kind != LINK_SECTION_CODE || !section->live)
        return 0;
    uint64_t index = offset < section->size ? offset / 4 : section->word_count;
    uint32_t item = link->word[section->word_start + index].item;
    return item < link->item_count ? link->item[item].pc
                                   : (uint32_t)link->program.code.size;
}
