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
    SHF_ALLOC_EXEC = ELF_SHF_ALLOC | ELF_SHF_EXECINSTR,
    SHF_ALLOC_WRITE = ELF_SHF_ALLOC | ELF_SHF_WRITE,
    SHN_ABS = ELF_SHN_ABS,
};

/* ---- symbols ---- */

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
        link_elf_put_symbol(symbols, names, symbol->name, info, SHN_ABS,
                            symbol->address, symbol->size);
    if (symbol->place != LINK_PLACE_SECTION || !section->live ||
        symbol->value > section->size)
        return;
    if (section->kind == LINK_SECTION_CODE && symbol->type == LINK_TYPE_FUNC) {
        uint64_t left = section->size - symbol->value;
        uint64_t size = symbol->size < left ? symbol->size : left;
        uint32_t pc = link_pc(link, section, symbol->value);
        link_elf_put_symbol(symbols, names, symbol->name, info, LINK_ELF_TEXT,
                            LINK_CODE_BASE + (uint64_t)pc,
                            link_pc(link, section, symbol->value + size) - pc);
    } else if (section->kind != LINK_SECTION_CODE && symbol->type == LINK_TYPE_OBJECT) {
        link_elf_put_symbol(symbols, names, symbol->name, info, SHN_ABS,
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

static void add_parts(struct link_dbg *dbg, struct link_elf_file *file)
{
    const struct link *link = dbg->link;
    const struct link_layout *layout = &link->layout;
    file->part_count = 1;
    link_elf_add_memory(file, ".text", SHF_ALLOC_EXEC, LINK_CODE_BASE,
                        link->program.code.size);
    if (layout->ro_size)
        link_elf_add_memory(file, ".rodata", ELF_SHF_ALLOC, layout->ro_base,
                            layout->ro_size);
    if (layout->heap_end > layout->rw_base)
        link_elf_add_memory(file, ".data", SHF_ALLOC_WRITE, layout->rw_base,
                            layout->heap_end - layout->rw_base);
    for (unsigned part = 0; part < LINK_DWARF_COUNT; part++) {
        if (dbg->part[part].size)
            link_elf_add(file, (struct link_elf_part){.name = link_dwarf_name[part],
                                                      .type = ELF_SHT_PROGBITS,
                                                      .content = &dbg->part[part]});
    }
    uint32_t local_count = put_symbols(link, &file->symbols, &file->strings);
    link_elf_add(file, (struct link_elf_part){.name = ".symtab",
                                              .type = ELF_SHT_SYMTAB,
                                              .content = &file->symbols,
                                              .link = file->part_count + 1,
                                              .info = local_count,
                                              .entry_size = ELF_SYMBOL_SIZE});
    link_elf_add(file, (struct link_elf_part){.name = ".strtab",
                                              .type = ELF_SHT_STRTAB,
                                              .content = &file->strings});
    link_elf_add(file, (struct link_elf_part){.name = ".shstrtab",
                                              .type = ELF_SHT_STRTAB,
                                              .content = &file->names});
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
    struct link_elf_file file = {.part_count = 0};
    for (unsigned part = 0; part < LINK_DWARF_COUNT; part++)
        buf_init(&dbg.part[part], buf->size_max);
    buf_init(&file.symbols, buf->size_max);
    buf_init(&file.strings, buf->size_max);
    buf_init(&file.names, buf->size_max);
    link_dwarf_collect(&dbg);
    link_elf_put_frames(&dbg.part[LINK_DWARF_FRAME], link->program.code.size);
    add_parts(&dbg, &file);
    link_elf_put(buf, &file);
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
