/* SPDX-License-Identifier: MIT
 *
 * The ELF for gdb (guest-toolchain.md chapter 9, trace-replay.md 9.6): .text without
 * bytes at LINK_CODE_BASE, symbols, the DWARF of the objects, and a frame section that
 * keeps gdb from decoding bytecode as RISC-V.
 */
#include "link/dbg.h"

#include <string.h>

enum {
    BUDGET_PER_BYTE = 16,
    BUDGET_LEAST = 1 << 16,
    SECTION_MAX = LINK_DWARF_COUNT + 7,
    SHF_ALLOC_EXEC = ELF_SHF_ALLOC | ELF_SHF_EXECINSTR,
    SHF_ALLOC_WRITE = ELF_SHF_ALLOC | ELF_SHF_WRITE,
    TEXT_INDEX = 1,
    SHN_ABS = ELF_SHN_ABS,
};

/* ---- frames ---- */

enum {
    DW_CFA_def_cfa = 0x0c,
    DW_CFA_undefined = 0x07,
    REG_RA = 1,
    REG_SP = 2,
    CIE_SIZE = 20,
    FDE_SIZE = 20,
};

/* CFA = sp + 0, ra undefined, for all of the code: one frame, which is outermost.
 * Saved return addresses are dynamic addresses, which gdb cannot follow. */
static void put_frames(const struct link *link, struct buf *buf)
{
    static const uint8_t rules[] = {DW_CFA_def_cfa, REG_SP, 0, DW_CFA_undefined,
                                    REG_RA};
    link_dwarf_put(buf, CIE_SIZE, 4);
    link_dwarf_put(buf, UINT32_MAX, 4); /* a CIE */
    link_dwarf_put(buf, 3, 1);          /* version */
    link_dwarf_put(buf, 0, 1);          /* augmentation */
    link_dwarf_put(buf, 1, 1);          /* code and data alignment */
    link_dwarf_put(buf, 1, 1);
    link_dwarf_put(buf, REG_RA, 1);
    buf_put(buf, rules, sizeof rules);
    link_dwarf_put(buf, 0, CIE_SIZE - 4 - 5 - sizeof rules);
    link_dwarf_put(buf, FDE_SIZE, 4);
    link_dwarf_put(buf, 0, 4); /* its CIE */
    link_dwarf_put(buf, LINK_CODE_BASE, 8);
    link_dwarf_put(buf, link->program.code.size, 8);
}

/* ---- symbols ---- */

static void put_symbol(struct buf *symbols, struct buf *names, const char *name,
                       unsigned info, unsigned section, uint64_t value, uint64_t size)
{
    link_dwarf_put(symbols, names->size, 4);
    link_dwarf_put(symbols, info, 1);
    link_dwarf_put(symbols, 0, 1);
    link_dwarf_put(symbols, section, 2);
    link_dwarf_put(symbols, value, 8);
    link_dwarf_put(symbols, size, 8);
    buf_put(names, name, strlen(name) + 1);
}

/* A symbol of an object, if it is part of the program. */
static void put_object_symbol(const struct link *link, struct link_symbol *symbol,
                              struct buf *symbols, struct buf *names)
{
    unsigned info = (unsigned)(symbol->bind << 4 | symbol->type);
    struct link_section *section = symbol->section;
    bool local = symbol->bind == LINK_BIND_LOCAL;
    if (!symbol->name[0] || (!local && symbol->definition != symbol))
        return;
    if (symbol->place == LINK_PLACE_COMMON && symbol->live)
        put_symbol(symbols, names, symbol->name, info, SHN_ABS, symbol->address,
                   symbol->size);
    if (symbol->place != LINK_PLACE_SECTION || !section->live ||
        symbol->value > section->size)
        return;
    if (section->kind == LINK_SECTION_CODE && symbol->type == LINK_TYPE_FUNC) {
        uint64_t left = section->size - symbol->value;
        uint64_t size = symbol->size < left ? symbol->size : left;
        uint32_t pc = link_pc(link, section, symbol->value);
        put_symbol(symbols, names, symbol->name, info, TEXT_INDEX,
                   LINK_CODE_BASE + (uint64_t)pc,
                   link_pc(link, section, symbol->value + size) - pc);
    } else if (section->kind != LINK_SECTION_CODE && symbol->type == LINK_TYPE_OBJECT) {
        put_symbol(symbols, names, symbol->name, info, SHN_ABS,
                   section->address + symbol->value, symbol->size);
    }
}

/* Local symbols first, as ELF wants it; answers how many. */
static uint32_t put_symbols(const struct link *link, struct buf *symbols,
                            struct buf *names)
{
    uint32_t local_count = 0;
    buf_byte(names, 0);
    link_dwarf_put(symbols, 0, 24);
    for (unsigned global = 0; global < 2; global++) {
        if (global)
            local_count = (uint32_t)(symbols->size / ELF_SYMBOL_SIZE);
        for (uint32_t i = 0; i < link->object_count; i++) {
            for (uint32_t s = 0; s < link->object[i].symbol_count; s++) {
                struct link_symbol *symbol = &link->object[i].symbol[s];
                if ((symbol->bind != LINK_BIND_LOCAL) == (global != 0))
                    put_object_symbol(link, symbol, symbols, names);
            }
        }
    }
    return local_count;
}

/* ---- the file ---- */

struct part {
    const char *name;
    uint32_t type;
    uint64_t flags, address, size; /* size: NOBITS only */
    const struct buf *content;
    uint32_t link, info;
    uint64_t entry_size;
};

struct file {
    struct part part[SECTION_MAX];
    uint32_t part_count;
    struct buf symbols, strings, names;
};

static void add_part(struct file *file, struct part part)
{
    check(file->part_count < SECTION_MAX);
    file->part[file->part_count++] = part;
}

static void add_memory(struct file *file, const char *name, uint64_t flags,
                       uint64_t address, uint64_t size)
{
    add_part(file, (struct part){.name = name,
                                 .type = ELF_SHT_NOBITS,
                                 .flags = flags,
                                 .address = address,
                                 .size = size});
}

static void add_parts(struct link_dbg *dbg, struct file *file)
{
    const struct link *link = dbg->link;
    const struct link_layout *layout = &link->layout;
    file->part_count = 1;
    add_memory(file, ".text", SHF_ALLOC_EXEC, LINK_CODE_BASE, link->program.code.size);
    if (layout->ro_size)
        add_memory(file, ".rodata", ELF_SHF_ALLOC, layout->ro_base, layout->ro_size);
    if (layout->heap_end > layout->rw_base)
        add_memory(file, ".data", SHF_ALLOC_WRITE, layout->rw_base,
                   layout->heap_end - layout->rw_base);
    for (unsigned part = 0; part < LINK_DWARF_COUNT; part++) {
        if (dbg->part[part].size)
            add_part(file, (struct part){.name = link_dwarf_name[part],
                                         .type = ELF_SHT_PROGBITS,
                                         .content = &dbg->part[part]});
    }
    uint32_t local_count = put_symbols(link, &file->symbols, &file->strings);
    add_part(file, (struct part){.name = ".symtab",
                                 .type = ELF_SHT_SYMTAB,
                                 .content = &file->symbols,
                                 .link = file->part_count + 1,
                                 .info = local_count,
                                 .entry_size = ELF_SYMBOL_SIZE});
    add_part(file, (struct part){.name = ".strtab",
                                 .type = ELF_SHT_STRTAB,
                                 .content = &file->strings});
    add_part(file, (struct part){.name = ".shstrtab",
                                 .type = ELF_SHT_STRTAB,
                                 .content = &file->names});
}

static void put_header(struct buf *buf, const struct file *file, uint64_t table)
{
    static const uint8_t ident[16] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    buf_put(buf, ident, sizeof ident);
    link_dwarf_put(buf, 2, 2); /* ET_EXEC */
    link_dwarf_put(buf, ELF_MACHINE_RISCV, 2);
    link_dwarf_put(buf, 1, 4);
    link_dwarf_put(buf, LINK_CODE_BASE, 8);
    link_dwarf_put(buf, 0, 8); /* no program headers */
    link_dwarf_put(buf, table, 8);
    link_dwarf_put(buf, 0, 4); /* e_flags 0: RVE makes gdb 13 refuse the file */
    link_dwarf_put(buf, ELF_HEADER_SIZE, 2);
    link_dwarf_put(buf, 0, 4);
    link_dwarf_put(buf, ELF_SECTION_SIZE, 2);
    link_dwarf_put(buf, file->part_count, 2);
    link_dwarf_put(buf, file->part_count - 1, 2);
}

static void put_file(struct buf *buf, struct file *file)
{
    uint64_t offset[SECTION_MAX], name[SECTION_MAX] = {0};
    uint64_t cursor = ELF_HEADER_SIZE;
    buf_byte(&file->names, 0);
    for (uint32_t i = 1; i < file->part_count; i++) {
        name[i] = file->names.size;
        buf_put(&file->names, file->part[i].name, strlen(file->part[i].name) + 1);
    }
    for (uint32_t i = 1; i < file->part_count; i++) {
        offset[i] = cursor;
        cursor += file->part[i].content ? file->part[i].content->size : 0;
    }
    put_header(buf, file, cursor);
    for (uint32_t i = 1; i < file->part_count; i++) {
        if (file->part[i].content)
            buf_put(buf, file->part[i].content->data, file->part[i].content->size);
    }
    link_dwarf_put(buf, 0, ELF_SECTION_SIZE);
    for (uint32_t i = 1; i < file->part_count; i++) {
        const struct part *part = &file->part[i];
        link_dwarf_put(buf, name[i], 4);
        link_dwarf_put(buf, part->type, 4);
        link_dwarf_put(buf, part->flags, 8);
        link_dwarf_put(buf, part->address, 8);
        link_dwarf_put(buf, offset[i], 8);
        link_dwarf_put(buf, part->content ? part->content->size : part->size, 8);
        link_dwarf_put(buf, part->link, 4);
        link_dwarf_put(buf, part->info, 4);
        link_dwarf_put(buf, 1, 8);
        link_dwarf_put(buf, part->entry_size, 8);
    }
}

static uint64_t budget(const struct link *link)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < link->object_count; i++)
        size += link->object[i].content.size;
    return BUDGET_LEAST + BUDGET_PER_BYTE * size;
}

enum err link_write_debug(struct link *link, struct buf *buf)
{
    struct link_dbg dbg = {.link = link, .budget = budget(link)};
    struct file file = {.part_count = 0};
    for (unsigned part = 0; part < LINK_DWARF_COUNT; part++)
        buf_init(&dbg.part[part], buf->size_max);
    buf_init(&file.symbols, buf->size_max);
    buf_init(&file.strings, buf->size_max);
    buf_init(&file.names, buf->size_max);
    link_dwarf_collect(&dbg);
    put_frames(link, &dbg.part[LINK_DWARF_FRAME]);
    add_parts(&dbg, &file);
    put_file(buf, &file);
    enum err err = buf->err;
    for (uint32_t i = 1; i < file.part_count; i++) {
        if (!err && file.part[i].content)
            err = file.part[i].content->err;
    }
    for (unsigned part = 0; part < LINK_DWARF_COUNT; part++) {
        if (!err)
            err = dbg.part[part].err;
        buf_fini(&dbg.part[part]);
    }
    buf_fini(&file.symbols);
    buf_fini(&file.strings);
    buf_fini(&file.names);
    return err;
}
