/* SPDX-License-Identifier: MIT
 *
 * Decoding the kept code, finding every place that something jumps to or takes the
 * address of (guest-toolchain.md 4.2, chapter 5), and numbering the jump table.
 */
#include "link/elf.h"

#include <inttypes.h>

static const char *const abi_name[32] = {
    "zero", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
    "a1",   "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
    "s6",   "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
};

/* ---- decoding ---- */

static bool register_fits(struct link *link, struct link_section *section,
                          uint64_t offset, unsigned reg)
{
    if (reg < 16 && reg != 3 && reg != 4)
        return true;
    link_problem(link, ERR_link_insn, section->object, section, offset,
                 "register x%u (%s); %s", reg, abi_name[reg],
                 reg < 16 ? "leave gp and tp alone" : "compile with -march=rv64em");
    return false;
}

/* Is the form one that this relocation belongs to? */
static bool form_fits(enum link_form form, uint32_t type)
{
    switch (type) {
    case R_RISCV_HI20:
        return form == LINK_FORM_LUI;
    case R_RISCV_CALL:
    case R_RISCV_CALL_PLT:
    case R_RISCV_PCREL_HI20:
    case R_RISCV_GOT_HI20:
        return form == LINK_FORM_AUIPC;
    case R_RISCV_LO12_I:
    case R_RISCV_PCREL_LO12_I:
        return form == LINK_FORM_I || form == LINK_FORM_LOAD || form == LINK_FORM_JALR;
    case R_RISCV_LO12_S:
    case R_RISCV_PCREL_LO12_S:
        return form == LINK_FORM_STORE;
    case R_RISCV_BRANCH:
        return form == LINK_FORM_BRANCH;
    default:
        return type == R_RISCV_JAL && form == LINK_FORM_JAL;
    }
}

/* The relocation of the word at `offset`; *next_reloc moves behind it. */
static const struct link_reloc *word_reloc(struct link *link,
                                           struct link_section *section,
                                           uint64_t offset, uint32_t *next_reloc)
{
    const struct link_reloc *found = NULL;
    for (; *next_reloc < section->reloc_count; ++*next_reloc) {
        const struct link_reloc *reloc = &section->reloc[*next_reloc];
        if (reloc->offset >= offset + 4)
            break;
        if (link_reloc_info(reloc->type)->where == LINK_RELOC_NOTE)
            continue;
        if (reloc->offset != offset || found)
            link_problem(link, ERR_link_reloc, section->object, section, reloc->offset,
                         "relocation %s does not belong to an instruction of its own; "
                         "use the flags of docs/guest-c.md",
                         link_reloc_info(reloc->type)->name);
        found = reloc;
    }
    return found;
}

static void refuse_word(struct link *link, struct link_section *section,
                        uint64_t offset, uint32_t bits)
{
    if (bits == 0x00000073)
        link_problem(link, ERR_link_insn, section->object, section, offset,
                     "ecall: use pvm_ecalli");
    else
        link_problem(link, ERR_link_insn, section->object, section, offset,
                     "0x%08" PRIx32 " is not RV64EM_Zbb_XTheadCondMov; check -march",
                     bits);
}

static void decode_word(struct link *link, struct link_section *section,
                        uint64_t offset, struct link_word *word,
                        const struct link_reloc *reloc)
{
    uint32_t bits = (uint32_t)link_get(section->content.data + offset, 4);
    *word = (struct link_word){.target = LINK_NONE, .reloc = reloc};
    if (!link_rv_decode(bits, word)) {
        refuse_word(link, section, offset, bits);
        return;
    }
    enum link_form form = (enum link_form)link_rv_info[word->row].form;
    if (!register_fits(link, section, offset, word->rd) ||
        !register_fits(link, section, offset, word->rs1) ||
        !register_fits(link, section, offset, word->rs2))
        return;
    if (reloc && !form_fits(form, reloc->type))
        link_problem(link, ERR_link_reloc, section->object, section, offset,
                     "relocation %s on %s; use the flags of docs/guest-c.md",
                     link_reloc_info(reloc->type)->name, link_rv_info[word->row].name);
    else if (form == LINK_FORM_JALR && word->rs1 == 0)
        link_problem(link, ERR_link_insn, section->object, section, offset,
                     "jalr through zero: code has no fixed addresses; call a function");
    else if (word->row == LINK_RV_pvm_ecall &&
             link->options->profile != PVM_PROFILE_JAVM)
        link_problem(link, ERR_link_insn, section->object, section, offset,
                     "ecall with a number in a register; give --profile=javm");
}

/* Join an auipc with the jalr behind it, where the two are one call or jump. */
static void pair_word(struct link *link, struct link_section *section, uint64_t offset,
                      struct link_word *word)
{
    const struct link_reloc *reloc = word->reloc;
    bool call =
        reloc && (reloc->type == R_RISCV_CALL || reloc->type == R_RISCV_CALL_PLT);
    if (word->row != LINK_RV_auipc || (reloc && !call))
        return;
    bool last = offset + 8 > section->size;
    if (last || word[1].row != LINK_RV_jalr || word[1].rs1 != word->rd ||
        word[1].reloc || word->rd == 0) {
        link_problem(link, ERR_link_insn, section->object, section, offset,
                     "auipc %s; use the flags of docs/guest-c.md",
                     call ? "of a call without its jalr" : "without a relocation");
        return;
    }
    word->flags |= LINK_WORD_CALL;
    word[1].flags |= LINK_WORD_TAIL;
}

static void decode_section(struct link *link, struct link_section *section)
{
    struct link_word *word = link->word + section->word_start;
    uint32_t next_reloc = 0;
    uint32_t before = link->problems->count;
    for (uint32_t i = 0; i < section->word_count && !link_problems_full(link); i++) {
        const struct link_reloc *reloc =
            word_reloc(link, section, (uint64_t)i * 4, &next_reloc);
        decode_word(link, section, (uint64_t)i * 4, &word[i], reloc);
    }
    word[section->word_count] =
        (struct link_word){.row = LINK_RV_END, .target = LINK_NONE};
    if (link->problems->count > before)
        return; /* rows of refused words are not to be trusted */
    for (uint32_t i = 0; i < section->word_count; i++)
        pair_word(link, section, (uint64_t)i * 4, &word[i]);
}

/* ---- places ---- */

static uint32_t bad_place(struct link *link, struct link_section *section,
                          uint64_t offset, struct link_symbol *symbol, int64_t addend,
                          const char *what)
{
    link_problem(link, ERR_link_symbol, section->object, section, offset,
                 "%.200s%+" PRId64 " is %s", symbol->name[0] ? symbol->name : "section",
                 addend, what);
    return LINK_NONE;
}

uint32_t link_locate(struct link *link, struct link_section *section, uint64_t offset,
                     struct link_symbol *symbol, int64_t addend)
{
    const struct link_section *code = link_section_of(symbol);
    if (!code || code->kind != LINK_SECTION_CODE)
        return bad_place(link, section, offset, symbol, addend,
                         "not code; jump to functions and labels only");
    uint64_t at = link_definition(symbol)->value + (uint64_t)addend;
    if (at > code->size)
        return bad_place(link, section, offset, symbol, addend,
                         "outside of its section; jump to functions and labels only");
    uint32_t index = code->word_start + (uint32_t)(at / 4);
    if (at % 4)
        return bad_place(link, section, offset, symbol, addend,
                         "inside an instruction; code pointers have no tags");
    if (link->word[index].flags & LINK_WORD_TAIL)
        return bad_place(link, section, offset, symbol, addend,
                         "between the two words of a call; jump to its start");
    return index;
}

static void flag(struct link *link, uint32_t index, unsigned flags)
{
    if (index != LINK_NONE)
        link->word[index].flags |= (uint8_t)flags;
}

/* The target of a branch or jump without a relocation. */
static uint32_t local_target(struct link *link, struct link_section *section,
                             uint64_t offset, int64_t distance)
{
    int64_t at = (int64_t)offset + distance;
    bool inside = at >= 0 && (uint64_t)at <= section->size && at % 4 == 0;
    uint32_t index = inside ? section->word_start + (uint32_t)(at / 4) : LINK_NONE;
    if (inside && !(link->word[index].flags & LINK_WORD_TAIL))
        return index;
    link_problem(link, ERR_link_insn, section->object, section, offset,
                 "jumps to no instruction of its section (%+" PRId64
                 "); use labels and functions",
                 distance);
    return LINK_NONE;
}

static void find_target(struct link *link, struct link_section *section,
                        uint64_t offset, struct link_word *word)
{
    enum link_form form = (enum link_form)link_rv_info[word->row].form;
    const struct link_reloc *reloc = word->reloc;
    bool call = word->flags & LINK_WORD_CALL;
    if (form != LINK_FORM_BRANCH && form != LINK_FORM_JAL && !call)
        return;
    if (!reloc) {
        int64_t distance = word->imm + (call ? word[1].imm : 0);
        word->target = local_target(link, section, offset, distance);
    } else if (link_definition(reloc->symbol)) {
        word->target = link_locate(link, section, offset, reloc->symbol, reloc->addend);
    } else if (form == LINK_FORM_BRANCH) {
        link_problem(link, ERR_link_symbol, section->object, section, offset,
                     "branch to undefined weak symbol %.200s; test its address first",
                     reloc->symbol->name);
    } else {
        word->flags |= LINK_WORD_LOST;
    }
    flag(link, word->target, LINK_WORD_START);
}

/* A call returns to the place behind it. */
static void find_return(struct link *link, uint32_t index)
{
    const struct link_word *word = &link->word[index];
    enum link_form form = (enum link_form)link_rv_info[word->row].form;
    bool pair = word->flags & LINK_WORD_CALL;
    bool jump = pair || form == LINK_FORM_JAL ||
                (form == LINK_FORM_JALR && !(word->flags & LINK_WORD_TAIL));
    unsigned rd = pair ? word[1].rd : word->rd;
    if (jump && rd && !(word->flags & LINK_WORD_LOST))
        flag(link, index + (pair ? 2 : 1), LINK_WORD_START | LINK_WORD_ENTRY);
}

/* %pcrel_lo names the auipc whose value it belongs to. */
static void check_pcrel_lo(struct link *link, struct link_section *section,
                           const struct link_reloc *reloc)
{
    const struct link_section *code = link_section_of(reloc->symbol);
    uint64_t at = code ? link_definition(reloc->symbol)->value : 0;
    if (code == section && reloc->addend == 0 && at % 4 == 0 && at < section->size) {
        const struct link_word *high = &link->word[section->word_start + at / 4];
        if (high->reloc && (high->reloc->type == R_RISCV_PCREL_HI20 ||
                            high->reloc->type == R_RISCV_GOT_HI20))
            return;
    }
    link_problem(link, ERR_link_reloc, section->object, section, reloc->offset,
                 "relocation %s does not name an auipc of this section; "
                 "use the flags of docs/guest-c.md",
                 link_reloc_info(reloc->type)->name);
}

/* Does a value take part that is a place in code?  Then the place gets an entry. */
static void find_value(struct link *link, struct link_section *section,
                       const struct link_reloc *reloc)
{
    switch (reloc->type) {
    case R_RISCV_PCREL_LO12_I:
    case R_RISCV_PCREL_LO12_S:
        check_pcrel_lo(link, section, reloc);
        return;
    case R_RISCV_CALL:
    case R_RISCV_CALL_PLT:
    case R_RISCV_BRANCH:
    case R_RISCV_JAL:
        return;
    default:
        break;
    }
    const struct link_section *code = link_section_of(reloc->symbol);
    if (!code || code->kind != LINK_SECTION_CODE)
        return;
    flag(link, link_locate(link, section, reloc->offset, reloc->symbol, reloc->addend),
         LINK_WORD_START | LINK_WORD_ENTRY);
}

static void find_places(struct link *link, struct link_section *section)
{
    for (uint32_t i = 0; i < section->word_count && !link_problems_full(link); i++)
        find_target(link, section, (uint64_t)i * 4,
                    &link->word[section->word_start + i]);
    for (uint32_t i = 0; i < section->word_count; i++)
        find_return(link, section->word_start + i);
}

/* ---- the pass ---- */

/* Call `visit` for each kept section that holds or refers to code. */
static void each_section(struct link *link, bool code,
                         void (*visit)(struct link *link, struct link_section *section))
{
    for (uint32_t i = 0; i < link->object_count; i++) {
        for (uint32_t s = 1; s < link->object[i].section_count; s++) {
            struct link_section *section = &link->object[i].section[s];
            if (section->live && (!code || section->kind == LINK_SECTION_CODE) &&
                !link_problems_full(link))
                visit(link, section);
        }
    }
}

static void count_words(struct link *link, struct link_section *section)
{
    if (section->size % 4)
        link_problem(link, ERR_link_insn, section->object, section, section->size,
                     "code size is not a multiple of 4; leave c out of -march");
    section->word_start = link->word_count;
    section->word_count = (uint32_t)(section->size / 4);
    link->word_count += section->word_count + 1;
}

static void find_values(struct link *link, struct link_section *section)
{
    for (uint32_t r = 0; r < section->reloc_count && !link_problems_full(link); r++) {
        if (link_reloc_info(section->reloc[r].type)->where != LINK_RELOC_NOTE)
            find_value(link, section, &section->reloc[r]);
    }
}

static void find_roots(struct link *link)
{
    for (uint32_t i = 0; i < link->root_count; i++) {
        struct link_root *root = &link->root[i];
        struct link_section *section = link_section_of(root->symbol);
        if (root->section) {
            root->target = link_locate(link, root->section, root->offset, root->symbol,
                                       root->addend);
        } else if (!section || section->kind != LINK_SECTION_CODE) {
            link_problem(link, ERR_link_export, NULL, NULL, 0,
                         "--export %.200s: not a function; export functions only",
                         root->name);
            continue;
        } else {
            root->target = link_locate(link, section, root->symbol->value, root->symbol,
                                       root->addend);
        }
        flag(link, root->target, LINK_WORD_START);
    }
}

static enum err number_entries(struct link *link)
{
    bool stubs = link->options->profile == PVM_PROFILE_JAVM;
    uint64_t count = stubs ? link->root_count : 0;
    for (uint32_t i = 0; i < link->word_count; i++)
        count += (link->word[i].flags & LINK_WORD_ENTRY) != 0;
    if (count > PVM_JUMP_COUNT_MAX) {
        link_problem(link, ERR_link_limit, NULL, NULL, 0,
                     "jump table of %" PRIu64 " entries; the limit is %d", count,
                     PVM_JUMP_COUNT_MAX);
        return ERR_ok;
    }
    link->entry_word = arena_new_array(link->arena, uint32_t, count ? count : 1);
    if (!link->entry_word)
        return ERR_nomem;
    for (uint32_t i = 0; stubs && i < link->root_count; i++) {
        link->root[i].entry = link->entry_count;
        link->entry_word[link->entry_count++] = LINK_NONE;
    }
    for (uint32_t i = 0; i < link->word_count; i++) {
        if (!(link->word[i].flags & LINK_WORD_ENTRY))
            continue;
        link->word[i].entry = link->entry_count;
        link->entry_word[link->entry_count++] = i;
    }
    return ERR_ok;
}

enum err link_scan(struct link *link)
{
    each_section(link, true, count_words);
    link->word = arena_new_array(link->arena, struct link_word, link->word_count + 1);
    if (!link->word)
        return ERR_nomem;
    each_section(link, true, decode_section);
    if (link->problems->count)
        return ERR_ok;
    find_roots(link);
    each_section(link, true, find_places);
    each_section(link, false, find_values);
    return link->problems->count ? ERR_ok : number_entries(link);
}
