/* SPDX-License-Identifier: MIT
 *
 * A program's disassembly as its source: the listing, and an ELF whose line table leads
 * from each instruction to its line (trace-replay.md 9.6).
 */
#include "link/dbg.h"

#include <string.h>

/* DWARF 2, as far as it is needed. */
enum {
    DW_TAG_compile_unit = 0x11,
    DW_AT_name = 0x03,
    DW_AT_stmt_list = 0x10,
    DW_AT_low_pc = 0x11,
    DW_AT_high_pc = 0x12,
    DW_AT_language = 0x13,
    DW_FORM_addr = 0x01,
    DW_FORM_data2 = 0x05,
    DW_FORM_data4 = 0x06,
    DW_FORM_string = 0x08,
    DW_LANG_Mips_Assembler = 0x8001,
    DW_LNS_copy = 1,
    DW_LNS_advance_pc = 2,
    DW_LNS_advance_line = 3,
    DW_LNE_end_sequence = 1,
    DW_LNE_set_address = 2,
    OPCODE_BASE = 10,
    STT_FUNC = 2,
    STB_GLOBAL = 1,
};

struct listing {
    const struct pvm_code *code;
    enum pvm_profile profile;
    const char *name;
    struct buf *text;
    struct buf abbrev, info, line, frame;
    uint32_t line_number, row_line, row_pc;
};

static void put_leb(struct buf *buf, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        buf_byte(buf, (uint8_t)(value | 0x80));
    buf_byte(buf, (uint8_t)value);
}

static void patch_u32(struct buf *buf, size_t at, uint64_t value)
{
    for (unsigned i = 0; !buf->err && i < 4; i++)
        buf->data[at + i] = (uint8_t)(value >> (8 * i));
}

/* ---- the line table, row by row ---- */

static void begin_lines(struct listing *l)
{
    static const uint8_t lengths[OPCODE_BASE - 1] = {0, 1, 1, 1, 1, 0, 0, 0, 1};
    struct buf *buf = &l->line;
    link_dwarf_put(buf, 0, 4); /* size of the table, later */
    link_dwarf_put(buf, 2, 2); /* version */
    size_t header = buf->size;
    link_dwarf_put(buf, 0, 4); /* size of the header, later */
    buf_byte(buf, 1);          /* least instruction */
    buf_byte(buf, 1);          /* rows are statements */
    buf_byte(buf, 0);          /* special opcodes are not used */
    buf_byte(buf, 1);
    buf_byte(buf, OPCODE_BASE);
    buf_put(buf, lengths, sizeof lengths);
    buf_byte(buf, 0); /* no folders */
    buf_put(buf, l->name, strlen(l->name) + 1);
    link_dwarf_put(buf, 0, 3); /* folder, time, size */
    buf_byte(buf, 0);
    patch_u32(buf, header, buf->size - header - 4);
    buf_byte(buf, 0);
    put_leb(buf, 9);
    buf_byte(buf, DW_LNE_set_address);
    link_dwarf_put(buf, LINK_CODE_BASE, 8);
    l->row_line = 1;
}

static void put_row(struct listing *l, uint32_t pc)
{
    buf_byte(&l->line, DW_LNS_advance_pc);
    put_leb(&l->line, pc - l->row_pc);
    buf_byte(&l->line, DW_LNS_advance_line);
    /* Signed; lines ascend. */
    uint64_t lines = l->line_number - l->row_line;
    for (; lines >= 0x40; lines >>= 7)
        buf_byte(&l->line, (uint8_t)(lines | 0x80));
    buf_byte(&l->line, (uint8_t)lines);
    buf_byte(&l->line, DW_LNS_copy);
    l->row_pc = pc;
    l->row_line = l->line_number;
}

static void end_lines(struct listing *l)
{
    buf_byte(&l->line, DW_LNS_advance_pc);
    put_leb(&l->line, l->code->code.size - l->row_pc);
    buf_byte(&l->line, 0);
    put_leb(&l->line, 1);
    buf_byte(&l->line, DW_LNE_end_sequence);
    patch_u32(&l->line, 0, l->line.size - 4);
}

/* ---- the listing ---- */

/* The target of a jump to an instruction that begins a block gets an empty line in
 * front, so that blocks can be seen. */
static void put_listing(struct listing *l)
{
    bool ended = false;
    uint32_t pc = 0;
    begin_lines(l);
    while (pc < l->code->code.size && !l->text->err) {
        struct pvm_insn insn;
        bool decoded = pvm_insn_decode(l->code, l->profile, pc, &insn);
        if (ended) {
            buf_byte(l->text, '\n');
            l->line_number++;
        }
        l->line_number++;
        if (decoded)
            put_row(l, pc);
        ended = decoded && pvm_op_terminates(l->profile, insn.op);
        pc = pvm_disasm_line(l->code, l->profile, pc, l->text);
    }
    end_lines(l);
}

static void put_unit(struct listing *l)
{
    static const uint8_t abbrev[] = {1,
                                     DW_TAG_compile_unit,
                                     0,
                                     DW_AT_name,
                                     DW_FORM_string,
                                     DW_AT_stmt_list,
                                     DW_FORM_data4,
                                     DW_AT_low_pc,
                                     DW_FORM_addr,
                                     DW_AT_high_pc,
                                     DW_FORM_addr,
                                     DW_AT_language,
                                     DW_FORM_data2,
                                     0,
                                     0,
                                     0};
    struct buf *buf = &l->info;
    buf_put(&l->abbrev, abbrev, sizeof abbrev);
    link_dwarf_put(buf, 0, 4);
    link_dwarf_put(buf, 2, 2);
    link_dwarf_put(buf, 0, 4);
    buf_byte(buf, 8);
    buf_byte(buf, 1);
    buf_put(buf, l->name, strlen(l->name) + 1);
    link_dwarf_put(buf, 0, 4);
    link_dwarf_put(buf, LINK_CODE_BASE, 8);
    link_dwarf_put(buf, LINK_CODE_BASE + l->code->code.size, 8);
    link_dwarf_put(buf, DW_LANG_Mips_Assembler, 2);
    patch_u32(buf, 0, buf->size - 4);
}

/* ---- the file ---- */

static void add(struct link_elf_file *file, const char *name, const struct buf *content)
{
    link_elf_add(file, (struct link_elf_part){
                           .name = name, .type = ELF_SHT_PROGBITS, .content = content});
}

static void put_elf(struct listing *l, struct link_elf_file *file, struct buf *elf)
{
    file->part_count = 1;
    link_elf_add_memory(file, ".text", ELF_SHF_ALLOC | ELF_SHF_EXECINSTR,
                        LINK_CODE_BASE, l->code->code.size);
    add(file, ".debug_abbrev", &l->abbrev);
    add(file, ".debug_info", &l->info);
    add(file, ".debug_line", &l->line);
    add(file, ".debug_frame", &l->frame);
    buf_byte(&file->strings, 0);
    link_dwarf_put(&file->symbols, 0, ELF_SYMBOL_SIZE);
    link_elf_put_symbol(&file->symbols, &file->strings, "program",
                        STB_GLOBAL << 4 | STT_FUNC, LINK_ELF_TEXT, LINK_CODE_BASE,
                        l->code->code.size);
    link_elf_add(file, (struct link_elf_part){.name = ".symtab",
                                              .type = ELF_SHT_SYMTAB,
                                              .content = &file->symbols,
                                              .link = file->part_count + 1,
                                              .info = 1,
                                              .entry_size = ELF_SYMBOL_SIZE});
    link_elf_add(file, (struct link_elf_part){.name = ".strtab",
                                              .type = ELF_SHT_STRTAB,
                                              .content = &file->strings});
    link_elf_add(file, (struct link_elf_part){.name = ".shstrtab",
                                              .type = ELF_SHT_STRTAB,
                                              .content = &file->names});
    link_elf_put(elf, file);
}

enum err link_listing(const struct pvm_code *code, enum pvm_profile profile,
                      const char *name, struct buf *listing, struct buf *elf)
{
    struct listing l = {
        .code = code, .profile = profile, .name = name, .text = listing};
    struct link_elf_file file = {0};
    struct buf *const own[] = {&l.abbrev,     &l.info,       &l.line,    &l.frame,
                               &file.symbols, &file.strings, &file.names};
    for (size_t i = 0; i < countof(own); i++)
        buf_init(own[i], elf->size_max);
    put_listing(&l);
    put_unit(&l);
    link_elf_put_frames(&l.frame, code->code.size);
    put_elf(&l, &file, elf);
    enum err err = listing->err ? listing->err : elf->err;
    for (size_t i = 0; i < countof(own); i++) {
        if (!err)
            err = own[i]->err;
        buf_fini(own[i]);
    }
    return err;
}
