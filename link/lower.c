/* SPDX-License-Identifier: MIT
 *
 * RISC-V words to PVM items (guest-toolchain.md chapters 6 and 7), one row of rv64.def
 * at a time; zero.c has what becomes of `zero` operands.
 */
#include "link/lower.h"

#include <inttypes.h>
#include <string.h>

/* ---- items ---- */

struct link_item *link_item_put(struct link *link, struct link_item item)
{
    if (link->item_count == link->item_capacity) {
        uint32_t capacity = link->item_capacity ? link->item_capacity * 2 : 1024;
        struct link_item *grown =
            arena_new_array(link->arena, struct link_item, capacity);
        if (!grown) {
            link->item_failed = true;
            link->item_count = 0; /* keep the memory, drop what cannot be used */
            if (!link->item)
                return &link->item_spare;
        } else {
            if (link->item)
                memcpy(grown, link->item, link->item_count * sizeof *grown);
            link->item = grown;
            link->item_capacity = capacity;
        }
    }
    struct link_item *put = &link->item[link->item_count++];
    *put = item;
    return put;
}

static bool ends_block(const struct link *link)
{
    /* T of VECTORS also in JAVM: one code is valid in both profiles (7.1). */
    return link->item_count == 0 ||
           pvm_op_terminates(PVM_PROFILE_VECTORS, link->item[link->item_count - 1].op);
}

static void put_jump(struct link *link, uint32_t target)
{
    link_item_put(link, (struct link_item){.op = PVM_OP_jump,
                                           .target = target,
                                           .target_is_word = true});
}

/* ---- immediates ---- */

static void overflow(struct link *link, struct link_section *section,
                     const struct link_reloc *reloc, uint64_t value, uint64_t limit)
{
    link_problem(link, ERR_link_reloc, section->object, section, reloc->offset,
                 "value 0x%" PRIx64 " of %.200s%+" PRId64
                 " does not fit %s; the limit is 0x%" PRIx64,
                 value, reloc->symbol->name, reloc->addend,
                 link_reloc_info(reloc->type)->name, limit);
}

/* The stack lies above 2^31, where no other address is (8); its two symbols are
 * loaded in full, so that C can compare them with sp. */
static bool is_stack_symbol(const struct link *link, struct link_symbol *symbol)
{
    const struct link_symbol *definition = link_definition(symbol);
    return definition == &link->own[LINK_OWN_STACK_LOW] ||
           definition == &link->own[LINK_OWN_STACK_HIGH];
}

static uint64_t high_part(uint64_t value)
{
    return (value + 0x800) & ~(uint64_t)0xfff;
}

/* The immediate of a word, relocated. */
static int64_t immediate(struct link *link, struct link_section *section,
                         const struct link_word *word)
{
    const struct link_reloc *reloc = word->reloc;
    if (!reloc)
        return word->imm;
    if (reloc->type == R_RISCV_PCREL_LO12_I || reloc->type == R_RISCV_PCREL_LO12_S)
        return 0; /* the auipc has all of it; the symbol is only the auipc's label */
    uint64_t value = link_value(link, reloc->symbol, reloc->addend);
    switch (reloc->type) {
    case R_RISCV_HI20:
    case R_RISCV_PCREL_HI20: {
        bool high = reloc->type == R_RISCV_HI20;
        uint64_t part = high ? high_part(value) : value;
        if ((uint64_t)(int64_t)(int32_t)(uint32_t)part != part &&
            !is_stack_symbol(link, reloc->symbol))
            overflow(link, section, reloc, value,
                     high ? LINK_STATIC_END - 1 : INT32_MAX);
        return (int64_t)part;
    }
    case R_RISCV_GOT_HI20:
        return (int64_t)(link->layout.got + 8 * (uint64_t)word->got);
    case R_RISCV_LO12_I:
    case R_RISCV_LO12_S:
        return (int64_t)(value - high_part(value));
    default:
        return word->imm;
    }
}

/* ---- rows ---- */

/* rd is loaded though nobody wants it: a volatile read, or a test for a fault. */
static void lower_load(struct link *link, const struct link_word *word,
                       const struct link_rv_info *info, int64_t x)
{
    uint8_t base = link_phi(word->rs1);
    uint8_t a = word->rd ? link_phi(word->rd) : link_spare(link, word, 0);
    if (!word->rd)
        link_spare_save(link, a, 0);
    if (word->rs1)
        link_item_put(link,
                      (struct link_item){.op = info->op, .a = a, .b = base, .x = x});
    else
        link_item_put(link, (struct link_item){.op = info->z1.op, .a = a, .x = x});
    if (!word->rd)
        link_spare_restore(link, a, 0);
}

static void lower_store(struct link *link, const struct link_word *word,
                        const struct link_rv_info *info, int64_t x)
{
    uint8_t value = link_phi(word->rs2), base = link_phi(word->rs1);
    struct link_item item = {.op = info->op, .a = value, .b = base, .x = x};
    if (!word->rs1 && !word->rs2)
        item = (struct link_item){.op = info->zz.op, .x = x};
    else if (!word->rs1)
        item = (struct link_item){.op = info->z1.op, .a = value, .x = x};
    else if (!word->rs2)
        item = (struct link_item){.op = info->z2.op, .a = base, .x = x};
    link_item_put(link, item);
}

static void lower_branch(struct link *link, const struct link_word *word,
                         const struct link_rv_info *info)
{
    struct link_item item = {.op = info->op,
                             .a = link_phi(word->rs1),
                             .b = link_phi(word->rs2),
                             .target = word->target,
                             .target_is_word = true};
    if (!word->rs1 || !word->rs2) {
        const struct link_zero *zero = link_zero_of(word, info);
        if (zero->kind == LINK_ZERO_NEVER)
            return;
        if (zero->kind == LINK_ZERO_ALWAYS) {
            put_jump(link, word->target);
            return;
        }
        item.op = zero->op;
        item.a = link_phi(word->rs1 ? word->rs1 : word->rs2);
        item.b = 0;
    }
    link_item_put(link, item);
}

/* A jump to a fixed place; with rd it is a call that returns to `next`. */
static void lower_jump(struct link *link, const struct link_word *word, unsigned rd,
                       const struct link_word *next)
{
    if (word->flags & LINK_WORD_LOST) {
        link_item_put(link, (struct link_item){.op = PVM_OP_trap});
    } else if (!rd) {
        put_jump(link, word->target);
    } else {
        link_item_put(link, (struct link_item){.op = PVM_OP_load_imm_jump,
                                               .a = link_phi(rd),
                                               .x = 2 * ((int64_t)next->entry + 1),
                                               .target = word->target,
                                               .target_is_word = true});
    }
}

static void lower_jalr(struct link *link, const struct link_word *word, int64_t x)
{
    if (word->rd)
        link_item_put(link, (struct link_item){.op = PVM_OP_load_imm_jump_ind,
                                               .a = link_phi(word->rd),
                                               .b = link_phi(word->rs1),
                                               .x = 2 * ((int64_t)word[1].entry + 1),
                                               .y = x});
    else
        link_item_put(link, (struct link_item){.op = PVM_OP_jump_ind,
                                               .a = link_phi(word->rs1),
                                               .x = x});
}

static void lower_host(struct link *link, const struct link_word *word,
                       const struct link_rv_info *info)
{
    if (word->row == LINK_RV_pvm_unlikely && link->options->profile != PVM_PROFILE_JAVM)
        return;
    if (word->row == LINK_RV_pvm_ecalli) {
        if (word->imm > link->ecalli_max)
            link->ecalli_max = word->imm;
        if (word->imm < link->ecalli_min)
            link->ecalli_min = word->imm;
    }
    bool number = word->row == LINK_RV_pvm_ecalli;
    link_item_put(link,
                  (struct link_item){.op = info->op, .x = number ? word->imm : 0});
}

static void lower_imm(struct link *link, const struct link_word *word,
                      const struct link_rv_info *info, int64_t x)
{
    uint8_t rd = link_phi(word->rd), rs1 = link_phi(word->rs1);
    if (!word->rd)
        return;
    if (!word->rs1)
        link_zero_put(link, word, &info->z1, x);
    else if (word->row != LINK_RV_addi || x || word->reloc)
        link_item_put(link,
                      (struct link_item){.op = info->op, .a = rd, .b = rs1, .x = x});
    else if (rd != rs1)
        link_item_put(link,
                      (struct link_item){.op = PVM_OP_move_reg, .d = rd, .a = rs1});
}

static void lower_regs(struct link *link, const struct link_word *word,
                       const struct link_rv_info *info)
{
    if (!word->rd)
        return;
    unsigned operands = link_form_operands((enum link_form)info->form);
    if (!word->rs1 || ((operands & 4) && !word->rs2))
        link_zero_put(link, word, link_zero_of(word, info), 0);
    else if (info->form == LINK_FORM_ORC_B)
        link_orc_b_put(link, word);
    else
        link_item_put(link, (struct link_item){.op = info->op,
                                               .d = link_phi(word->rd),
                                               .a = link_phi(word->rs1),
                                               .b = link_phi(word->rs2)});
}

static void lower_upper(struct link *link, const struct link_word *word, int64_t x)
{
    if (!word->rd)
        return;
    bool wide = pvm_imm_size(x) > 4;
    link_item_put(link,
                  (struct link_item){.op = wide ? PVM_OP_load_imm_64 : PVM_OP_load_imm,
                                     .a = link_phi(word->rd),
                                     .x = x});
}

static void lower_word(struct link *link, struct link_section *section,
                       const struct link_word *word)
{
    const struct link_rv_info *info = &link_rv_info[word->row];
    switch ((enum link_form)info->form) {
    case LINK_FORM_R3:
    case LINK_FORM_CMOV:
    case LINK_FORM_R2:
    case LINK_FORM_ORC_B:
        lower_regs(link, word, info);
        return;
    case LINK_FORM_I:
    case LINK_FORM_SH5:
    case LINK_FORM_SH6:
        lower_imm(link, word, info, immediate(link, section, word));
        return;
    case LINK_FORM_LOAD:
        lower_load(link, word, info, immediate(link, section, word));
        return;
    case LINK_FORM_STORE:
        lower_store(link, word, info, immediate(link, section, word));
        return;
    case LINK_FORM_BRANCH:
        lower_branch(link, word, info);
        return;
    case LINK_FORM_LUI:
        lower_upper(link, word, immediate(link, section, word));
        return;
    case LINK_FORM_AUIPC:
        if (word->flags & LINK_WORD_CALL)
            lower_jump(link, word, word[1].rd, word + 2);
        else
            lower_upper(link, word, immediate(link, section, word));
        return;
    case LINK_FORM_JAL:
        lower_jump(link, word, word->rd, word + 1);
        return;
    case LINK_FORM_JALR:
        lower_jalr(link, word, immediate(link, section, word));
        return;
    case LINK_FORM_HOST:
        lower_host(link, word, info);
        return;
    case LINK_FORM_NONE:
        if (word->row != LINK_RV_fence)
            link_item_put(link, (struct link_item){.op = PVM_OP_trap});
        return;
    }
}

/* ---- sections and the entry ---- */

/* Begin a word: what is jumped to starts a block (7.1). */
static void begin_word(struct link *link, struct link_word *word)
{
    if ((word->flags & LINK_WORD_START) && !ends_block(link))
        link_item_put(link, (struct link_item){.op = PVM_OP_fallthrough});
    word->item = link->item_count;
}

static void lower_end(struct link *link, struct link_word *end, uint32_t first_item)
{
    bool empty = link->item_count == first_item;
    uint8_t last = empty ? PVM_OP_fallthrough : link->item[link->item_count - 1].op;
    bool closed = last == PVM_OP_jump || last == PVM_OP_jump_ind || last == PVM_OP_trap;
    begin_word(link, end);
    if ((end->flags & LINK_WORD_START) || !closed)
        link_item_put(link, (struct link_item){.op = PVM_OP_trap});
}

static void lower_section(struct link *link, struct link_section *section)
{
    struct link_word *word = link->word + section->word_start;
    uint32_t first_item = link->item_count;
    for (uint32_t i = 0; i < section->word_count && !link_problems_full(link); i++) {
        if (word[i].flags & LINK_WORD_TAIL) {
            word[i].item = link->item_count;
            continue;
        }
        begin_word(link, &word[i]);
        lower_word(link, section, &word[i]);
        /* Two entries never have one pc, so that two labels are never equal (5). */
        if ((word[i].flags & LINK_WORD_ENTRY) && word[i].item == link->item_count)
            link_item_put(link, (struct link_item){.op = PVM_OP_fallthrough});
    }
    struct link_word *end = word + section->word_count;
    if (section->word_count || (end->flags & LINK_WORD_START))
        lower_end(link, end, first_item);
    else
        end->item = link->item_count;
}

/* The dispatch row, and in JAVM the stubs that answer with REPLY (7.2). */
static void lower_entry(struct link *link)
{
    bool stubs = link->options->profile == PVM_PROFILE_JAVM;
    uint32_t slot_count = link->root[link->root_count - 1].number + 1;
    /* A slot that is a jump is one item, an empty one five; a stub is three. */
    uint32_t first_stub = link->root_count + 5 * (slot_count - link->root_count);
    for (uint32_t n = 0, r = 0; n < slot_count; n++) {
        if (link->root[r].number != n) {
            for (unsigned i = 0; i < 5; i++)
                link_item_put(link, (struct link_item){.op = PVM_OP_trap});
            continue;
        }
        link_item_put(link, (struct link_item){.op = PVM_OP_jump,
                                               .x_size = 4,
                                               .fixed = true,
                                               .target = stubs ? first_stub + 3 * r
                                                               : link->root[r].target,
                                               .target_is_word = !stubs});
        r++;
    }
    for (uint32_t r = 0; stubs && r < link->root_count; r++) {
        link->root[r].item = link->item_count;
        link_item_put(link,
                      (struct link_item){.op = PVM_OP_load_imm_jump,
                                         .x = 2 * ((int64_t)link->root[r].entry + 1),
                                         .target = link->root[r].target,
                                         .target_is_word = true});
        link_item_put(link, (struct link_item){.op = PVM_OP_ecalli});
        link_item_put(link, (struct link_item){.op = PVM_OP_trap});
    }
}

enum err link_lower(struct link *link)
{
    link->ecalli_max = -1;
    link->ecalli_min = 0;
    lower_entry(link);
    for (uint32_t i = 0; i < link->object_count; i++) {
        for (uint32_t s = 1; s < link->object[i].section_count; s++) {
            struct link_section *section = &link->object[i].section[s];
            if (section->live && section->kind == LINK_SECTION_CODE)
                lower_section(link, section);
        }
    }
    for (uint32_t i = 0; i < link->item_count; i++) {
        struct link_item *item = &link->item[i];
        if (item->target_is_word)
            item->target = link->word[item->target].item;
        item->target_is_word = false;
    }
    return link->item_failed ? ERR_nomem : ERR_ok;
}
