/* SPDX-License-Identifier: MIT
 *
 * Lengths in RISC-V bytes that the assembler folded: where neither call nor lui lies
 * between two labels, DW_AT_high_pc and the pairs of location and range lists are
 * constants without a relocation (guest-toolchain.md chapter 9).  This walk finds them
 * and writes pos(base + length) - pos(base).
 *
 * DWARF 2 to 4, 32-bit format, hostile: every read is bounded, and the steps of all
 * walks together too.
 */
#include "link/dbg.h"

#include <string.h>

enum {
    DW_AT_location = 0x02,
    DW_AT_low_pc = 0x11,
    DW_AT_high_pc = 0x12,
    DW_AT_string_length = 0x19,
    DW_AT_return_addr = 0x2a,
    DW_AT_data_member_location = 0x38,
    DW_AT_frame_base = 0x40,
    DW_AT_segment = 0x46,
    DW_AT_static_link = 0x48,
    DW_AT_use_location = 0x4a,
    DW_AT_vtable_elem_location = 0x4d,
    DW_AT_ranges = 0x55,
};

enum {
    DW_FORM_addr = 0x01,
    DW_FORM_block2 = 0x03,
    DW_FORM_block4 = 0x04,
    DW_FORM_data2 = 0x05,
    DW_FORM_data4 = 0x06,
    DW_FORM_data8 = 0x07,
    DW_FORM_string = 0x08,
    DW_FORM_block = 0x09,
    DW_FORM_block1 = 0x0a,
    DW_FORM_data1 = 0x0b,
    DW_FORM_flag = 0x0c,
    DW_FORM_sdata = 0x0d,
    DW_FORM_strp = 0x0e,
    DW_FORM_udata = 0x0f,
    DW_FORM_ref_addr = 0x10,
    DW_FORM_ref1 = 0x11,
    DW_FORM_ref2 = 0x12,
    DW_FORM_ref4 = 0x13,
    DW_FORM_ref8 = 0x14,
    DW_FORM_ref_udata = 0x15,
    DW_FORM_sec_offset = 0x17,
    DW_FORM_exprloc = 0x18,
    DW_FORM_flag_present = 0x19,
    DW_FORM_ref_sig8 = 0x20,
};

enum { UNIT_HEADER_SIZE = 11, ADDRESS_SIZE = 8 };

/* A place in code that a length starts from; section NULL: none. */
struct place {
    const struct link_section *section;
    uint64_t offset;
};

struct abbrev {
    uint64_t code;
    uint64_t attributes; /* offset of its first (name, form) pair in .debug_abbrev */
    bool children;
};

struct walk {
    struct link_dbg *dbg;
    const struct link_section *info;
    struct bytes abbrevs;
    struct abbrev *table; /* of the unit, by code */
    size_t table_count;
    uint64_t table_at;
    uint64_t at, end; /* in info->content */
    unsigned version;
    struct place base;                                  /* of the unit */
    const struct link_section *lists[LINK_DWARF_COUNT]; /* .debug_loc, .debug_ranges */
};

static bool step(struct walk *walk)
{
    if (!walk->dbg->budget)
        return false;
    walk->dbg->budget--;
    return true;
}

/* ---- places ---- */

static struct place place_of(const struct link_reloc *reloc)
{
    struct place place = {0};
    struct link_section *section =
        reloc && reloc->type == R_RISCV_64 ? link_section_of(reloc->symbol) : NULL;
    if (section && section->kind == LINK_SECTION_CODE) {
        place.section = section;
        place.offset = link_definition(reloc->symbol)->value + (uint64_t)reloc->addend;
    }
    return place;
}

/* pos(base + length) - pos(base). */
static uint64_t moved(const struct walk *walk, struct place base, uint64_t length)
{
    const struct link *link = walk->dbg->link;
    if (!base.section)
        return length;
    return (uint64_t)link_pc(link, base.section, base.offset + length) -
           link_pc(link, base.section, base.offset);
}

static uint8_t *output_at(struct walk *walk, enum link_dwarf part,
                          const struct link_section *section, uint64_t offset)
{
    return walk->dbg->part[part].data + section->address + offset;
}

/* ---- lists ---- */

/* One field of a pair. */
static void fix_field(struct walk *walk, enum link_dwarf part,
                      const struct link_section *section, uint64_t at,
                      struct place base)
{
    if (!base.section || !base.section->live || link_dwarf_reloc(section, at))
        return;
    uint64_t length = link_get(section->content.data + at, ADDRESS_SIZE);
    link_set(output_at(walk, part, section, at), ADDRESS_SIZE,
             moved(walk, base, length));
}

/* A location or range list: pairs from `base` on, up to two zeros.  Constants are read
 * from the object, so a list that two entries share comes out right. */
static bool walk_list(struct walk *walk, enum link_dwarf part, uint64_t offset)
{
    const struct link_section *section = walk->lists[part];
    struct place base = walk->base;
    if (!section || offset < section->address ||
        offset - section->address >= section->size)
        return false;
    const uint8_t *data = section->content.data;
    uint64_t at = offset - section->address, size = section->content.size;
    while (size - at >= 2 * ADDRESS_SIZE && step(walk)) {
        const struct link_reloc *first = link_dwarf_reloc(section, at);
        const struct link_reloc *second = link_dwarf_reloc(section, at + ADDRESS_SIZE);
        uint64_t begin = link_get(data + at, ADDRESS_SIZE);
        uint64_t end = link_get(data + at + ADDRESS_SIZE, ADDRESS_SIZE);
        if (!first && !second && !begin && !end)
            return true;
        if (!first && begin == UINT64_MAX) {
            base = place_of(second);
            at += 2 * ADDRESS_SIZE;
            continue;
        }
        fix_field(walk, part, section, at, base);
        fix_field(walk, part, section, at + ADDRESS_SIZE, base);
        at += 2 * ADDRESS_SIZE;
        if (part == LINK_DWARF_RANGES)
            continue;
        if (size - at < 2)
            return false;
        uint64_t expression = link_get(data + at, 2);
        if (size - at - 2 < expression)
            return false;
        at += 2 + expression;
    }
    return false;
}

/* ---- abbreviations ---- */

static int by_code(const void *a, const void *b)
{
    const struct abbrev *x = a, *y = b;
    return (x->code > y->code) - (x->code < y->code);
}

/* One declaration; false at the end of the table, *ret_bad where it is malformed. */
static bool read_abbrev(struct walk *walk, uint64_t *at, struct abbrev *ret_abbrev,
                        bool *ret_bad)
{
    uint64_t tag, name = 1, form = 1;
    *ret_bad = true;
    if (!step(walk) || !link_dwarf_leb(walk->abbrevs, at, &ret_abbrev->code))
        return false;
    *ret_bad = ret_abbrev->code != 0;
    if (!ret_abbrev->code || !link_dwarf_leb(walk->abbrevs, at, &tag) ||
        *at >= walk->abbrevs.size)
        return false;
    ret_abbrev->children = walk->abbrevs.data[(*at)++] != 0;
    ret_abbrev->attributes = *at;
    while (name || form) {
        if (!step(walk) || !link_dwarf_leb(walk->abbrevs, at, &name) ||
            !link_dwarf_leb(walk->abbrevs, at, &form))
            return false;
    }
    *ret_bad = false;
    return true;
}

static bool read_table(struct walk *walk, uint64_t offset)
{
    struct abbrev abbrev;
    bool bad = false;
    if (walk->table && walk->table_at == offset)
        return true;
    size_t count = 0;
    for (uint64_t at = offset; read_abbrev(walk, &at, &abbrev, &bad);)
        count++;
    if (bad)
        return false;
    walk->table = arena_new_array(walk->dbg->link->arena, struct abbrev, count + 1);
    if (!walk->table)
        return false;
    walk->table_count = count;
    walk->table_at = offset;
    uint64_t at = offset;
    for (size_t i = 0; i < count; i++) {
        if (!read_abbrev(walk, &at, &walk->table[i], &bad))
            return false;
    }
    return link_sort(walk->dbg->link->arena, walk->table, count, sizeof *walk->table,
                     by_code) == ERR_ok;
}

static const struct abbrev *find_abbrev(const struct walk *walk, uint64_t code)
{
    size_t low = 0, high = walk->table_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (walk->table[middle].code < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < walk->table_count && walk->table[low].code == code ? &walk->table[low]
                                                                    : NULL;
}

/* ---- attributes ---- */

static bool skip(struct walk *walk, uint64_t size)
{
    if (size > walk->end - walk->at)
        return false;
    walk->at += size;
    return true;
}

static bool skip_block(struct walk *walk, unsigned length_size)
{
    uint64_t size;
    struct bytes unit = {.data = walk->info->content.data, .size = walk->end};
    if (!length_size)
        return link_dwarf_leb(unit, &walk->at, &size) && skip(walk, size);
    if (walk->end - walk->at < length_size)
        return false;
    size = link_get(unit.data + walk->at, length_size);
    return skip(walk, length_size + size);
}

/* Bytes of a form with a fixed size; 0xff: it has none, or is unknown. */
static unsigned fixed_size(uint64_t form, unsigned version)
{
    switch (form) {
    case DW_FORM_flag_present:
        return 0;
    case DW_FORM_data1:
    case DW_FORM_flag:
    case DW_FORM_ref1:
        return 1;
    case DW_FORM_data2:
    case DW_FORM_ref2:
        return 2;
    case DW_FORM_data4:
    case DW_FORM_ref4:
    case DW_FORM_strp:
    case DW_FORM_sec_offset:
        return 4;
    case DW_FORM_ref_addr:
        return version == 2 ? ADDRESS_SIZE : 4;
    case DW_FORM_addr:
    case DW_FORM_data8:
    case DW_FORM_ref8:
    case DW_FORM_ref_sig8:
        return 8;
    default:
        return 0xff;
    }
}

static bool skip_form(struct walk *walk, uint64_t form)
{
    uint64_t ignored;
    struct bytes unit = {.data = walk->info->content.data, .size = walk->end};
    unsigned size = fixed_size(form, walk->version);
    if (size != 0xff)
        return skip(walk, size);
    switch (form) {
    case DW_FORM_string:
        while (walk->at < walk->end && unit.data[walk->at])
            walk->at++;
        return skip(walk, 1);
    case DW_FORM_sdata:
    case DW_FORM_udata:
    case DW_FORM_ref_udata:
        return link_dwarf_leb(unit, &walk->at, &ignored);
    case DW_FORM_block1:
        return skip_block(walk, 1);
    case DW_FORM_block2:
        return skip_block(walk, 2);
    case DW_FORM_block4:
        return skip_block(walk, 4);
    case DW_FORM_block:
    case DW_FORM_exprloc:
        return skip_block(walk, 0);
    default:
        return false;
    }
}

static bool is_list(uint64_t name)
{
    static const uint8_t list[] = {
        DW_AT_location,
        DW_AT_string_length,
        DW_AT_return_addr,
        DW_AT_data_member_location,
        DW_AT_frame_base,
        DW_AT_segment,
        DW_AT_static_link,
        DW_AT_use_location,
        DW_AT_vtable_elem_location,
    };
    for (size_t i = 0; i < countof(list); i++) {
        if (list[i] == name)
            return true;
    }
    return false;
}

/* An attribute that refers to a list, whose offset is relocated already. */
static bool walk_reference(struct walk *walk, uint64_t name, uint64_t form, uint64_t at)
{
    bool offset =
        form == DW_FORM_sec_offset || (form == DW_FORM_data4 && walk->version < 4 &&
                                       name != DW_AT_data_member_location);
    if (!offset || (name != DW_AT_ranges && !is_list(name)))
        return true;
    return walk_list(walk, name == DW_AT_ranges ? LINK_DWARF_RANGES : LINK_DWARF_LOC,
                     link_get(output_at(walk, LINK_DWARF_INFO, walk->info, at), 4));
}

/* DW_AT_high_pc as a length: recompute it unless relocations did. */
static bool fix_length(struct walk *walk, struct place low, uint64_t form, uint64_t at)
{
    unsigned size = fixed_size(form, walk->version);
    if (form == DW_FORM_addr || !low.section || link_dwarf_reloc(walk->info, at))
        return true;
    if (size == 0 || size == 0xff)
        return false; /* a LEB128 could change its size; clang writes none */
    uint64_t value = moved(walk, low, link_get(walk->info->content.data + at, size));
    link_set(output_at(walk, LINK_DWARF_INFO, walk->info, at), size, value);
    return size == 8 || value >> (8 * size) == 0;
}

/* One entry; `top`: the unit's own. */
static bool walk_entry(struct walk *walk, const struct abbrev *abbrev, bool top)
{
    uint64_t attributes = abbrev->attributes, name, form;
    uint64_t high_at = 0, high_form = 0;
    struct place low = {0};
    for (;;) {
        if (!step(walk) || !link_dwarf_leb(walk->abbrevs, &attributes, &name) ||
            !link_dwarf_leb(walk->abbrevs, &attributes, &form))
            return false;
        if (!name && !form)
            break;
        uint64_t at = walk->at;
        if (!skip_form(walk, form))
            return false;
        if (name == DW_AT_low_pc && form == DW_FORM_addr)
            low = place_of(link_dwarf_reloc(walk->info, at));
        if (top && name == DW_AT_low_pc)
            walk->base = low; /* clang writes it before the ranges that need it */
        if (name == DW_AT_high_pc) {
            high_at = at;
            high_form = form;
        }
        if (!top && !walk_reference(walk, name, form, at))
            return false;
    }
    return !high_form || fix_length(walk, low, high_form, high_at);
}

/* The unit's own lists, once its base is known. */
static bool walk_top_lists(struct walk *walk, const struct abbrev *abbrev, uint64_t at)
{
    uint64_t attributes = abbrev->attributes, name, form, end = walk->at;
    walk->at = at;
    for (;;) {
        if (!link_dwarf_leb(walk->abbrevs, &attributes, &name) ||
            !link_dwarf_leb(walk->abbrevs, &attributes, &form))
            return false;
        if (!name && !form)
            break;
        uint64_t field = walk->at;
        if (!skip_form(walk, form) || !walk_reference(walk, name, form, field))
            return false;
    }
    return walk->at == end;
}

static bool walk_entries(struct walk *walk)
{
    struct bytes unit = {.data = walk->info->content.data, .size = walk->end};
    bool top = true;
    while (walk->at < walk->end) {
        uint64_t code;
        if (!step(walk) || !link_dwarf_leb(unit, &walk->at, &code))
            return false;
        if (!code)
            continue; /* the end of a list of children */
        const struct abbrev *abbrev = find_abbrev(walk, code);
        uint64_t at = walk->at;
        if (!abbrev || !walk_entry(walk, abbrev, top))
            return false;
        if (top && !walk_top_lists(walk, abbrev, at))
            return false;
        top = false;
    }
    return true;
}

/* The object's lists; false when it has two sections of them, which C never has. */
static bool find_lists(struct walk *walk)
{
    const struct link_object *object = walk->info->object;
    for (uint32_t s = 1; s < object->section_count; s++) {
        enum link_dwarf part = link_dwarf_part(&object->section[s]);
        if (part != LINK_DWARF_LOC && part != LINK_DWARF_RANGES)
            continue;
        if (walk->lists[part])
            return false;
        walk->lists[part] = &object->section[s];
    }
    return true;
}

bool link_dwarf_walk(struct link_dbg *dbg, const struct link_section *info)
{
    struct walk walk = {.dbg = dbg, .info = info};
    const struct buf *output = &dbg->part[LINK_DWARF_INFO];
    const uint8_t *data = info->content.data;
    uint64_t size = info->content.size;
    for (unsigned part = 0; part < LINK_DWARF_COUNT; part++) {
        if (dbg->part[part].err)
            return false;
    }
    if (!find_lists(&walk))
        return false;
    walk.abbrevs = buf_bytes(&dbg->part[LINK_DWARF_ABBREV]);
    for (uint64_t at = 0; at < size; at = walk.end) {
        if (size - at < UNIT_HEADER_SIZE)
            return false;
        uint64_t length = link_get(data + at, 4);
        if (length < UNIT_HEADER_SIZE - 4 || length > size - at - 4)
            return false;
        walk.version = (unsigned)link_get(data + at + 4, 2);
        if (walk.version < 2 || walk.version > 4 || data[at + 10] != ADDRESS_SIZE)
            return false;
        walk.base = (struct place){0};
        walk.end = at + 4 + length;
        walk.at = at + UNIT_HEADER_SIZE;
        uint64_t abbrevs = link_get(output->data + info->address + at + 6, 4);
        if (!read_table(&walk, abbrevs) || !walk_entries(&walk))
            return false;
    }
    return true;
}
