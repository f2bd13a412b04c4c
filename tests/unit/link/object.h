/* SPDX-License-Identifier: MIT
 *
 * A relocatable object made by hand, for tests of the linker.
 */
#ifndef TESTS_UNIT_LINK_OBJECT_H
#define TESTS_UNIT_LINK_OBJECT_H

#include "base/buf.h"

#include <stdint.h>

enum { OBJECT_PART_MAX = 24 };

enum {
    SHT_PROGBITS = 1,
    SHT_NOBITS = 8,
    SHT_GROUP = 17,
    SHF_W = 1,
    SHF_A = 2,
    SHF_X = 4,
    STB_LOCAL = 0,
    STB_GLOBAL = 1,
    STB_WEAK = 2,
    STT_NOTYPE = 0,
    STT_OBJECT = 1,
    STT_FUNC = 2,
    SHN_UNDEF = 0,
    SHN_ABS = 0xfff1,
    SHN_COMMON = 0xfff2,
};

struct object_section {
    const char *name;
    uint32_t type;
    uint64_t flags, align;
    uint64_t size; /* NOBITS only */
    uint32_t link, info;
    struct buf content, relocs;
};

struct object {
    uint32_t e_flags;
    struct object_section section[OBJECT_PART_MAX];
    uint32_t section_count; /* section 0 is the null section */
    struct buf symbols, strings;
    uint32_t symbol_count;
};

void object_init(struct object *object);
void object_fini(struct object *object);

/* New parts; answer their index in the file. */
uint32_t object_section(struct object *object, const char *name, uint32_t type,
                        uint64_t flags, uint64_t align);
uint32_t object_symbol(struct object *object, const char *name, unsigned bind,
                       unsigned type, uint32_t section, uint64_t value, uint64_t size);
void object_reloc(struct object *object, uint32_t section, uint64_t offset,
                  uint32_t type, uint32_t symbol, int64_t addend);

/* Append to a section; answer the offset where it starts. */
uint64_t object_u32(struct object *object, uint32_t section, uint32_t value);
uint64_t object_u64(struct object *object, uint32_t section, uint64_t value);

/* An export record for a symbol, in a section pvm_exports made on demand. */
void object_export(struct object *object, uint32_t symbol, uint32_t number);

/* The file, appended to `file`. */
void object_finish(struct object *object, struct buf *file);

#endif
