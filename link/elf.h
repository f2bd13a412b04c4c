/* SPDX-License-Identifier: MIT
 *
 * link/elf.h - ELF64 as far as the linker needs it.  Not for other folders.
 */
#ifndef LINK_ELF_H
#define LINK_ELF_H

#include "link/internal.h"

enum {
    ELF_HEADER_SIZE = 64,
    ELF_SECTION_SIZE = 64,
    ELF_SYMBOL_SIZE = 24,
    ELF_RELA_SIZE = 24,
    ELF_MACHINE_RISCV = 243,
    ELF_FLAG_RVC = 1,
    ELF_FLAG_FLOAT = 6,
    ELF_FLAG_RVE = 8,
    ELF_FLAG_TSO = 16,
    ELF_SHT_NULL = 0,
    ELF_SHT_PROGBITS = 1,
    ELF_SHT_SYMTAB = 2,
    ELF_SHT_STRTAB = 3,
    ELF_SHT_RELA = 4,
    ELF_SHT_NOTE = 7,
    ELF_SHT_NOBITS = 8,
    ELF_SHT_REL = 9,
    ELF_SHT_INIT_ARRAY = 14,
    ELF_SHT_PREINIT_ARRAY = 16,
    ELF_SHT_GROUP = 17,
    ELF_SHT_SYMTAB_SHNDX = 18,
    ELF_SHT_LOW_SPECIAL = 0x60000000,
    ELF_SHT_CREL = 0x40000014,
    ELF_SHF_WRITE = 1,
    ELF_SHF_ALLOC = 2,
    ELF_SHF_EXECINSTR = 4,
    ELF_SHF_TLS = 0x400,
    ELF_SHF_COMPRESSED = 0x800,
    ELF_SHN_UNDEF = 0,
    ELF_SHN_LOW_SPECIAL = 0xff00,
    ELF_SHN_ABS = 0xfff1,
    ELF_SHN_COMMON = 0xfff2,
    ELF_SHN_XINDEX = 0xffff,
    ELF_GROUP_COMDAT = 1,
};
#define ELF_SHF_EXCLUDE 0x80000000u

/* Little-endian fields of 1..8 bytes. */
uint64_t link_get(const uint8_t *at, unsigned size);
void link_set(uint8_t *at, unsigned size, uint64_t value);

/* Header `index`, which must be below section_count. */
const uint8_t *link_elf_header(const struct link_object *object, uint32_t index);

/* The string at an offset of a string table; NULL when it does not end there or is
 * longer than LINK_NAME_SIZE_MAX. */
const char *link_elf_string(const struct link_section *table, uint64_t offset);

/* Report a malformed object; false, for `return`. */
bool link_elf_bad(struct link *link, const struct link_object *object,
                  const char *what);

#endif
