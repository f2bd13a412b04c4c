/* SPDX-License-Identifier: MIT
 *
 * Reading an object: symbols and relocations.
 */
#include "link/elf.h"

#include <inttypes.h>
#include <string.h>

struct symbol_tables {
    const struct link_section *symbols, *names;
    struct bytes index; /* SYMTAB_SHNDX: u32 per symbol; empty if there is none */
};

/* Find the one symbol table and what belongs to it; false with a problem. */
static bool find_tables(struct link *link, struct link_object *object,
                        struct symbol_tables *ret_tables)
{
    struct symbol_tables tables = {0};
    for (uint32_t i = 1; i < object->section_count; i++) {
        const struct link_section *section = &object->section[i];
        if (section->type != ELF_SHT_SYMTAB)
            continue;
        if (tables.symbols)
            return link_elf_bad(link, object, "two symbol tables");
        if (section->entry_size != ELF_SYMBOL_SIZE || section->size % ELF_SYMBOL_SIZE ||
            section->link >= object->section_count ||
            object->section[section->link].type != ELF_SHT_STRTAB)
            return link_elf_bad(link, object, "symbol table");
        tables.symbols = section;
        tables.names = &object->section[section->link];
    }
    for (uint32_t i = 1; tables.symbols && i < object->section_count; i++) {
        const struct link_section *section = &object->section[i];
        if (section->type == ELF_SHT_SYMTAB_SHNDX &&
            section->link == tables.symbols->index)
            tables.index = section->content;
    }
    *ret_tables = tables;
    return true;
}

/* Where a symbol is defined; false if its section index makes no sense. */
static bool place_symbol(struct link_object *object, struct link_symbol *symbol,
                         uint32_t shndx, struct bytes index)
{
    if (shndx == ELF_SHN_XINDEX) {
        if (index.size / 4 <= symbol->index)
            return false;
        shndx = (uint32_t)link_get(index.data + (size_t)symbol->index * 4, 4);
    } else if (shndx == ELF_SHN_ABS) {
        symbol->place = LINK_PLACE_ABSOLUTE;
        return true;
    } else if (shndx == ELF_SHN_COMMON) {
        symbol->place = LINK_PLACE_COMMON;
        bool power = symbol->value && !(symbol->value & (symbol->value - 1));
        return power && symbol->value <= LINK_ALIGN_MAX && symbol->size <= UINT32_MAX &&
               symbol->bind != LINK_BIND_LOCAL;
    } else if (shndx >= ELF_SHN_LOW_SPECIAL) {
        return false;
    }
    if (shndx == ELF_SHN_UNDEF)
        return true;
    if (shndx >= object->section_count)
        return false;
    symbol->place = LINK_PLACE_SECTION;
    symbol->section = &object->section[shndx];
    return true;
}

static bool read_symbol(struct link *link, struct link_object *object,
                        struct link_symbol *symbol, const uint8_t *at,
                        const struct symbol_tables *tables)
{
    symbol->object = object;
    symbol->name = link_elf_string(tables->names, link_get(at, 4));
    symbol->type = at[4] & 15;
    symbol->bind = at[4] >> 4;
    symbol->value = link_get(at + 8, 8);
    symbol->size = link_get(at + 16, 8);
    if (!symbol->name)
        return link_elf_bad(link, object, "name of a symbol");
    if (symbol->bind > LINK_BIND_WEAK || symbol->type > LINK_TYPE_TLS) {
        link_problem(link, ERR_link_symbol, object, NULL, 0,
                     "symbol %.200s: binding %u, type %u is not supported; "
                     "leave ifunc and unique out",
                     symbol->name, symbol->bind, symbol->type);
        return false;
    }
    if (!place_symbol(object, symbol, (uint32_t)link_get(at + 6, 2), tables->index))
        return link_elf_bad(link, object, "section of a symbol");
    if (symbol->bind == LINK_BIND_LOCAL && symbol->place == LINK_PLACE_UNDEFINED)
        return link_elf_bad(link, object, "undefined local symbol");
    return true;
}

enum err link_read_symbols(struct link *link, struct link_object *object)
{
    struct symbol_tables tables = {0};
    if (!find_tables(link, object, &tables))
        return ERR_ok;
    uint64_t count = tables.symbols ? tables.symbols->size / ELF_SYMBOL_SIZE : 0;
    if (count > UINT32_MAX / 2) {
        (void)link_elf_bad(link, object, "number of symbols");
        return ERR_ok;
    }
    /* One at least: index 0 is the symbol without a name, whose value is 0. */
    object->symbol =
        arena_new_array(link->arena, struct link_symbol, count ? count : 1);
    if (!object->symbol)
        return ERR_nomem;
    object->symbol_count = count ? (uint32_t)count : 1;
    object->symbol[0] = (struct link_symbol){
        .name = "", .object = object, .place = LINK_PLACE_ABSOLUTE};
    for (uint32_t i = 1; i < object->symbol_count; i++) {
        const uint8_t *at = tables.symbols->content.data + (size_t)i * ELF_SYMBOL_SIZE;
        object->symbol[i].index = i;
        if (!read_symbol(link, object, &object->symbol[i], at, &tables))
            return ERR_ok;
    }
    return ERR_ok;
}

static int by_offset(const void *a, const void *b)
{
    const struct link_reloc *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* One RELA section into its target. */
static enum err read_rela(struct link *link, struct link_object *object,
                          const struct link_section *rela)
{
    struct link_section *target = &object->section[rela->info];
    uint64_t count = rela->size / ELF_RELA_SIZE;
    if (rela->entry_size != ELF_RELA_SIZE || rela->size % ELF_RELA_SIZE ||
        rela->link >= object->section_count ||
        object->section[rela->link].type != ELF_SHT_SYMTAB || target->reloc ||
        target->type == ELF_SHT_NOBITS || count > UINT32_MAX / 2) {
        (void)link_elf_bad(link, object, "relocation section");
        return ERR_ok;
    }
    if (!count)
        return ERR_ok;
    target->reloc = arena_new_array(link->arena, struct link_reloc, count);
    if (!target->reloc)
        return ERR_nomem;
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *at = rela->content.data + i * ELF_RELA_SIZE;
        uint32_t symbol = (uint32_t)link_get(at + 12, 4);
        struct link_reloc *reloc = &target->reloc[i];
        reloc->offset = link_get(at, 8);
        reloc->type = (uint32_t)link_get(at + 8, 4);
        reloc->addend = (int64_t)link_get(at + 16, 8);
        uint64_t width = link_reloc_info(reloc->type)->width;
        if (symbol >= object->symbol_count) {
            (void)link_elf_bad(link, object, "symbol of a relocation");
            return ERR_ok;
        }
        if (reloc->offset > target->size || width > target->size - reloc->offset) {
            (void)link_elf_bad(link, object,
                               "a relocation lies outside of its section");
            return ERR_ok;
        }
        reloc->symbol = &object->symbol[symbol];
    }
    target->reloc_count = (uint32_t)count;
    return link_sort(link->arena, target->reloc, count, sizeof *target->reloc,
                     by_offset);
}

enum err link_read_relocs(struct link *link, struct link_object *object)
{
    uint32_t before = link->problems->count;
    for (uint32_t i = 1; i < object->section_count; i++) {
        const struct link_section *section = &object->section[i];
        bool rela = section->type == ELF_SHT_RELA;
        if (!rela && section->type != ELF_SHT_REL && section->type != ELF_SHT_CREL)
            continue;
        if (section->info == 0 || section->info >= object->section_count) {
            (void)link_elf_bad(link, object, "target of a relocation section");
            return ERR_ok;
        }
        enum link_section_kind kind = object->section[section->info].kind;
        if (kind == LINK_SECTION_DROP)
            continue;
        if (!rela) {
            (void)link_elf_bad(link, object, "relocations are not RELA");
            return ERR_ok;
        }
        TRY(read_rela(link, object, section));
        if (link->problems->count > before)
            return ERR_ok;
    }
    return ERR_ok;
}
