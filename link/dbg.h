/* SPDX-License-Identifier: MIT
 *
 * link/dbg.h - what the files of the debug output share.  Not for other folders.
 *
 * DWARF of the objects passes through: each section that is known is copied behind
 * those of the objects before, and its relocations are applied with code addresses
 * LINK_CODE_BASE + pc (guest-toolchain.md chapter 9).  What the assembler folded to a
 * constant in RISC-V bytes is found and recomputed (dwarf_walk.c).
 */
#ifndef LINK_DBG_H
#define LINK_DBG_H

#include "link/elf.h"

#define LINK_CODE_BASE 0x100000000u /* trace-replay.md 9.6 */

enum link_dwarf {
    LINK_DWARF_ABBREV,
    LINK_DWARF_INFO,
    LINK_DWARF_LINE,
    LINK_DWARF_STR,
    LINK_DWARF_LOC,
    LINK_DWARF_RANGES,
    LINK_DWARF_FRAME, /* the linker's own; those of objects are dropped: */
    LINK_DWARF_ARANGES,
    LINK_DWARF_COUNT,
};

struct link_dbg {
    struct link *link;
    struct buf part[LINK_DWARF_COUNT];
    uint64_t budget; /* steps that walks may still take: hostile DWARF refers to the
                        same bytes again and again */
};

extern const char *const link_dwarf_name[LINK_DWARF_COUNT];

/* Which part a section belongs to; LINK_DWARF_COUNT: none that passes through. */
enum link_dwarf link_dwarf_part(const struct link_section *section);

/* Copy and relocate the DWARF of all objects (dwarf.c). */
void link_dwarf_collect(struct link_dbg *dbg);

/* Recompute what is folded in one relocated .debug_info and the lists that it refers
 * to (dwarf_walk.c).  False if this is no DWARF 2 to 4: then it must not be used. */
bool link_dwarf_walk(struct link_dbg *dbg, const struct link_section *info);

/* ---- an ELF file that is being made (elf_write.c) ---- */

enum { LINK_ELF_PART_MAX = LINK_DWARF_COUNT + 7, LINK_ELF_TEXT = 1 };

struct link_elf_part {
    const char *name;
    uint32_t type;
    uint64_t flags, address, size; /* size: NOBITS only */
    const struct buf *content;
    uint32_t link, info;
    uint64_t entry_size;
};

/* Sections; the first is the empty one. */
struct link_elf_file {
    struct link_elf_part part[LINK_ELF_PART_MAX];
    uint32_t part_count;
    struct buf symbols, strings, names;
};

void link_elf_add(struct link_elf_file *file, struct link_elf_part part);
void link_elf_add_memory(struct link_elf_file *file, const char *name, uint64_t flags,
                         uint64_t address, uint64_t size);
/* Append the whole file. */
void link_elf_put(struct buf *buf, struct link_elf_file *file);
void link_elf_put_frames(struct buf *buf, uint64_t code_size);
void link_elf_put_symbol(struct buf *symbols, struct buf *names, const char *name,
                         unsigned info, unsigned section, uint64_t value,
                         uint64_t size);

/* The relocation of a field, NULL if there is none: then it is a constant. */
const struct link_reloc *link_dwarf_reloc(const struct link_section *section,
                                          uint64_t offset);

/* Little-endian fields, zeros behind 8 bytes, and LEB128. */
void link_dwarf_put(struct buf *buf, uint64_t value, unsigned size);
bool link_dwarf_leb(struct bytes data, uint64_t *at, uint64_t *ret_value);

#endif
