/* SPDX-License-Identifier: MIT
 *
 * Writing an ELF file for gdb: sections, symbols, and the frame section that keeps gdb
 * from decoding bytecode as RISC-V (guest-toolchain.md chapter 9).
 */
#include "link/dbg.h"

#include <string.h>

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
void link_elf_put_frames(struct buf *buf, uint64_t code_size)
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
    link_dwarf_put(buf, code_size, 8);
}

/* ---- symbols ---- */

void link_elf_put_symbol(struct buf *symbols, struct buf *names, const char *name,
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

/* ---- the file ---- */

void link_elf_add(struct link_elf_file *file, struct link_elf_part part)
{
    check(file->part_count < LINK_ELF_PART_MAX);
    file->part[file->part_count++] = part;
}

void link_elf_add_memory(struct link_elf_file *file, const char *name, uint64_t flags,
                         uint64_t address, uint64_t size)
{
    link_elf_add(file, (struct link_elf_part){.name = name,
                                              .type = ELF_SHT_NOBITS,
                                              .flags = flags,
                                              .address = address,
                                              .size = size});
}

static void put_header(struct buf *buf, const struct link_elf_file *file,
                       uint64_t table)
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

void link_elf_put(struct buf *buf, struct link_elf_file *file)
{
    uint64_t offset[LINK_ELF_PART_MAX], name[LINK_ELF_PART_MAX] = {0};
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
        const struct link_elf_part *part = &file->part[i];
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
