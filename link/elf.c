/* SPDX-License-Identifier: MIT
 *
 * Reading an object: header and sections (guest-toolchain.md 4.1).  Every number of
 * the file is checked here or in elf_tables.c before anybody uses it.
 */
#include "link/elf.h"

#include <inttypes.h>
#include <string.h>

uint64_t link_get(const uint8_t *at, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

void link_set(uint8_t *at, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static bool starts(struct bytes content, const char *magic, size_t size)
{
    return content.size >= size && memcmp(content.data, magic, size) == 0;
}

static const char *not_an_object(struct bytes content)
{
    static const char bitcode[] = {'B', 'C', '\xc0', '\xde'};
    static const char wrapper[] = {'\xde', '\xc0', '\x17', '\x0b'};
    if (starts(content, "!<arch>\n", 8) || starts(content, "!<thin>\n", 8))
        return "archive; join its objects with ld.lld-19 -r";
    if (starts(content, bitcode, 4) || starts(content, wrapper, 4))
        return "LLVM bitcode; compile without -flto";
    if (!starts(content, "\177ELF", 4) || content.size < ELF_HEADER_SIZE)
        return "not an ELF object; give what clang-19 -c writes";
    if (content.data[4] != 2 || content.data[5] != 1)
        return "not 64-bit little-endian ELF; compile with "
               "--target=riscv64-unknown-none-elf";
    switch (link_get(content.data + 16, 2)) {
    case 1:
        return NULL;
    case 2:
        return "executable (ET_EXEC); link the objects themselves";
    case 3:
        return "shared object (ET_DYN); link the objects themselves";
    default:
        return "not a relocatable object (ET_REL); give what clang-19 -c writes";
    }
}

/* e_machine and e_flags; false with problems. */
static bool right_machine(struct link *link, const struct link_object *object)
{
    static const char *const abi[4] = {"lp64", "lp64f", "lp64d", "lp64q"};
    const uint8_t *header = object->content.data;
    uint32_t machine = (uint32_t)link_get(header + 18, 2);
    uint32_t flags = (uint32_t)link_get(header + 48, 4);
    if (machine != ELF_MACHINE_RISCV) {
        link_problem(link, ERR_link_abi, object, NULL, 0,
                     "machine %" PRIu32
                     " is not RISC-V; compile with --target=riscv64-unknown-none-elf",
                     machine);
        return false;
    }
    bool right = true;
    if ((flags & ELF_FLAG_FLOAT) || !(flags & ELF_FLAG_RVE)) {
        link_problem(link, ERR_link_abi, object, NULL, 0,
                     "built for %s%s (e_flags 0x%" PRIx32 "); compile with -mabi=lp64e",
                     abi[(flags & ELF_FLAG_FLOAT) >> 1],
                     flags & ELF_FLAG_RVE ? " with rv64e" : "", flags);
        right = false;
    }
    if (flags & ELF_FLAG_RVC) {
        link_problem(link, ERR_link_abi, object, NULL, 0,
                     "compressed instructions; leave c out of -march");
        right = false;
    }
    if (flags & ELF_FLAG_TSO) {
        link_problem(link, ERR_link_abi, object, NULL, 0,
                     "built for total store order (e_flags 0x%" PRIx32
                     "); leave ztso out of -march",
                     flags);
        right = false;
    }
    return right;
}

bool link_elf_bad(struct link *link, const struct link_object *object, const char *what)
{
    link_problem(link, ERR_link_elf, object, NULL, 0, "malformed object: %s", what);
    return false;
}

const char *link_elf_string(const struct link_section *table, uint64_t offset)
{
    if (offset >= table->content.size)
        return NULL;
    const char *name = (const char *)table->content.data + offset;
    size_t left = table->content.size - (size_t)offset;
    size_t limit = left < LINK_NAME_SIZE_MAX + 1 ? left : LINK_NAME_SIZE_MAX + 1;
    return memchr(name, 0, limit) ? name : NULL;
}

/* The raw fields of one section header, checked for themselves. */
static bool read_section(struct link *link, struct link_object *object,
                         struct link_section *section, const uint8_t *at,
                         uint64_t *budget)
{
    uint64_t offset = link_get(at + 24, 8);
    section->object = object;
    section->index = (uint32_t)(section - object->section);
    section->name = "";
    section->type = (uint32_t)link_get(at + 4, 4);
    section->flags = link_get(at + 8, 8);
    section->size = link_get(at + 32, 8);
    section->link = (uint32_t)link_get(at + 40, 4);
    section->info = (uint32_t)link_get(at + 44, 4);
    section->align = link_get(at + 48, 8);
    section->entry_size = link_get(at + 56, 8);
    if (!section->align)
        section->align = 1;
    if (section->index == 0 || section->type == ELF_SHT_NULL) {
        section->size = 0;
        return true;
    }
    if (section->align > LINK_ALIGN_MAX || (section->align & (section->align - 1)))
        return link_elf_bad(link, object, "alignment of a section");
    if (section->type == ELF_SHT_NOBITS) {
        if (section->size > UINT32_MAX)
            return link_elf_bad(link, object, "size of a section");
        return true;
    }
    if (offset > object->content.size || section->size > object->content.size - offset)
        return link_elf_bad(link, object, "a section lies outside of the file");
    /* Sections do not share bytes; so memory stays in proportion to the file. */
    if (section->size > *budget)
        return link_elf_bad(link, object, "sections overlap");
    *budget -= section->size;
    section->content = bytes_of(object->content.data + offset, section->size);
    return true;
}

static bool name_is(const char *name, const char *prefix)
{
    size_t size = strlen(prefix);
    return strncmp(name, prefix, size) == 0 && (name[size] == 0 || name[size] == '.');
}

/* What to do with a section, by type, name and flags (4.1). */
static enum link_section_kind kind_of(const struct link_section *section)
{
    const char *name = section->name;
    bool progbits = section->type == ELF_SHT_PROGBITS;
    if (strncmp(name, ".debug_", 7) == 0)
        return progbits && !(section->flags & ELF_SHF_ALLOC) ? LINK_SECTION_DEBUG
                                                             : LINK_SECTION_DROP;
    if (name_is(name, ".eh_frame") || name_is(name, ".comment") ||
        strncmp(name, ".note", 5) == 0 || name_is(name, ".riscv.attributes") ||
        name_is(name, ".llvm_addrsig"))
        return LINK_SECTION_DROP;
    if (!(section->flags & ELF_SHF_ALLOC) || (section->flags & ELF_SHF_EXCLUDE))
        return LINK_SECTION_DROP;
    if (section->flags & ELF_SHF_TLS)
        return LINK_SECTION_TLS;
    if (section->type == ELF_SHT_NOBITS)
        return LINK_SECTION_BSS;
    if (!progbits)
        return LINK_SECTION_DROP;
    if (section->flags & ELF_SHF_EXECINSTR)
        return LINK_SECTION_CODE;
    if (strcmp(name, "pvm_exports") == 0)
        return LINK_SECTION_EXPORTS;
    bool read_only = !(section->flags & ELF_SHF_WRITE) || name_is(name, ".data.rel.ro");
    return read_only ? LINK_SECTION_RO : LINK_SECTION_RW;
}

/* Sections that must not be dropped silently; their kind stays as it is. */
static void refuse_section(struct link *link, const struct link_section *section)
{
    const struct link_object *object = section->object;
    const char *name = section->name;
    uint32_t type = section->type;
    if (!(section->flags & ELF_SHF_ALLOC) || section->kind == LINK_SECTION_DEBUG)
        return;
    bool array = type >= ELF_SHT_INIT_ARRAY && type <= ELF_SHT_PREINIT_ARRAY;
    if (section->size && (array || name_is(name, ".init_array") ||
                          name_is(name, ".fini_array") || name_is(name, ".ctors") ||
                          name_is(name, ".preinit_array") || name_is(name, ".dtors")))
        link_problem(link, ERR_link_elf, object, section, 0,
                     "constructors and destructors are not run; call such functions "
                     "yourself");
    else if ((section->flags & ELF_SHF_EXECINSTR) && (section->flags & ELF_SHF_WRITE))
        link_problem(link, ERR_link_elf, object, section, 0,
                     "writable code; keep code and data apart");
    else if ((section->flags & ELF_SHF_EXECINSTR) && type == ELF_SHT_NOBITS)
        link_problem(link, ERR_link_elf, object, section, 0,
                     "code without bytes; keep code and data apart");
    else if (section->kind == LINK_SECTION_DROP && type != ELF_SHT_NOTE &&
             type != ELF_SHT_PROGBITS && type != ELF_SHT_NOBITS &&
             type < ELF_SHT_LOW_SPECIAL)
        link_problem(link, ERR_link_elf, object, section, 0,
                     "section type %" PRIu32 " is not supported; leave it out", type);
}

static bool name_sections(struct link *link, struct link_object *object, uint32_t names)
{
    if (names >= object->section_count || object->section[names].type != ELF_SHT_STRTAB)
        return link_elf_bad(link, object, "table of section names");
    for (uint32_t i = 1; i < object->section_count; i++) {
        struct link_section *section = &object->section[i];
        const uint8_t *at = link_elf_header(object, i);
        const char *name = link_elf_string(&object->section[names], link_get(at, 4));
        if (!name)
            return link_elf_bad(link, object, "name of a section");
        section->name = name;
        section->kind = kind_of(section);
        refuse_section(link, section);
    }
    return true;
}

const uint8_t *link_elf_header(const struct link_object *object, uint32_t index)
{
    uint64_t table = link_get(object->content.data + 40, 8);
    return object->content.data + table + (size_t)index * ELF_SECTION_SIZE;
}

/* The section headers lie in the file; their number and that of the name table. */
static bool find_headers(struct link *link, const struct link_object *object,
                         uint64_t *ret_count, uint32_t *ret_names)
{
    const uint8_t *header = object->content.data;
    uint64_t table = link_get(header + 40, 8);
    uint64_t count = link_get(header + 60, 2);
    uint32_t names = (uint32_t)link_get(header + 62, 2);
    if (table < ELF_HEADER_SIZE || table > object->content.size ||
        object->content.size - table < ELF_SECTION_SIZE ||
        link_get(header + 58, 2) != ELF_SECTION_SIZE)
        return link_elf_bad(link, object, "section headers");
    if (count == 0) /* too many for the header: the first section holds the number */
        count = link_get(header + table + 32, 8);
    if (names == ELF_SHN_XINDEX)
        names = (uint32_t)link_get(header + table + 40, 4);
    if (count == 0 || count > (object->content.size - table) / ELF_SECTION_SIZE)
        return link_elf_bad(link, object, "number of sections");
    *ret_count = count;
    *ret_names = names;
    return true;
}

enum err link_read(struct link *link, struct link_object *object)
{
    const char *wrong = not_an_object(object->content);
    if (wrong) {
        link_problem(link, ERR_link_elf, object, NULL, 0, "%s", wrong);
        return ERR_ok;
    }
    uint64_t count = 0;
    uint32_t names = 0;
    if (!right_machine(link, object) || !find_headers(link, object, &count, &names))
        return ERR_ok;
    object->section = arena_new_array(link->arena, struct link_section, count);
    if (!object->section)
        return ERR_nomem;
    object->section_count = (uint32_t)count;
    uint64_t budget = object->content.size;
    for (uint32_t i = 0; i < object->section_count; i++) {
        if (!read_section(link, object, &object->section[i], link_elf_header(object, i),
                          &budget))
            return ERR_ok;
    }
    uint32_t before = link->problems->count;
    if (!name_sections(link, object, names) || link->problems->count > before)
        return ERR_ok;
    TRY(link_read_symbols(link, object));
    return link->problems->count > before ? ERR_ok : link_read_relocs(link, object);
}
