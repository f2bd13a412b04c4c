/* SPDX-License-Identifier: MIT
 *
 * The DWARF of the objects: which sections pass through, their relocations, and compile
 * units for line tables that have none (guest-toolchain.md chapter 9).
 */
#include "link/dbg.h"

#include <inttypes.h>
#include <string.h>

const char *const link_dwarf_name[LINK_DWARF_COUNT] = {
    [LINK_DWARF_ABBREV] = ".debug_abbrev", [LINK_DWARF_INFO] = ".debug_info",
    [LINK_DWARF_LINE] = ".debug_line",     [LINK_DWARF_STR] = ".debug_str",
    [LINK_DWARF_LOC] = ".debug_loc",       [LINK_DWARF_RANGES] = ".debug_ranges",
    [LINK_DWARF_FRAME] = ".debug_frame",   [LINK_DWARF_ARANGES] = ".debug_aranges",
};

enum { LINE_HEADER_SIZE = 6 };

enum link_dwarf link_dwarf_part(const struct link_section *section)
{
    unsigned part = 0;
    if (section->kind != LINK_SECTION_DEBUG || section->discarded)
        return LINK_DWARF_COUNT;
    while (part < LINK_DWARF_FRAME && strcmp(section->name, link_dwarf_name[part]) != 0)
        part++;
    return part < LINK_DWARF_FRAME ? (enum link_dwarf)part : LINK_DWARF_COUNT;
}

void link_dwarf_put(struct buf *buf, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        buf_byte(buf, i < 8 ? (uint8_t)(value >> (8 * i)) : 0);
}

bool link_dwarf_leb(struct bytes data, uint64_t *at, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; *at < data.size; shift += 7) {
        uint8_t byte = data.data[(*at)++];
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

const struct link_reloc *link_dwarf_reloc(const struct link_section *section,
                                          uint64_t offset)
{
    uint32_t low = 0, high = section->reloc_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (section->reloc[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < section->reloc_count && section->reloc[low].offset == offset; low++) {
        if (link_reloc_info(section->reloc[low].type)->where != LINK_RELOC_NOTE)
            return &section->reloc[low];
    }
    return NULL;
}

/* ---- what may pass ---- */

/* A line table of DWARF 5 refers to sections that do not pass through. */
static bool old_lines(const struct link_section *section)
{
    return section->content.size < LINE_HEADER_SIZE ||
           link_get(section->content.data + 4, 2) < 5;
}

static bool can_pass(const struct link_section *section)
{
    enum link_dwarf part = link_dwarf_part(section);
    if (section->kind != LINK_SECTION_DEBUG)
        return true;
    if (section->flags & ELF_SHF_COMPRESSED)
        return false;
    if (part == LINK_DWARF_LINE && !old_lines(section))
        return false;
    for (uint32_t r = 0; r < section->reloc_count; r++) {
        enum link_reloc_where where =
            (enum link_reloc_where)link_reloc_info(section->reloc[r].type)->where;
        uint32_t type = section->reloc[r].type;
        if (type == R_RISCV_SET_ULEB128 || type == R_RISCV_SUB_ULEB128)
            return false;
        if (part != LINK_DWARF_COUNT && where != LINK_RELOC_NOTE &&
            where != LINK_RELOC_DATA && where != LINK_RELOC_DEBUG)
            return false;
    }
    return true;
}

static void warn_dropped(struct link *link, const struct link_object *object)
{
    struct buf *text = link_problem_open(link, object, NULL, 0);
    buf_text(text, "debug information is dropped; use -gdwarf-4, not compressed");
    link_warning_close(link);
}

/* ---- relocation ---- */

/* A place in dropped code is at 0.  In a list, where two zeros are the end, distances
 * stay what they were, and an address is 1. */
static uint64_t value_of_dropped(enum link_dwarf part, const struct link_reloc *reloc,
                                 uint64_t offset)
{
    if (part != LINK_DWARF_LOC && part != LINK_DWARF_RANGES)
        return 0;
    return reloc->type == R_RISCV_64 ? 1 : offset;
}

/* V for debug sections. */
static uint64_t value_of(const struct link_dbg *dbg, enum link_dwarf part,
                         const struct link_reloc *reloc)
{
    const struct link *link = dbg->link;
    const struct link_symbol *definition = link_definition(reloc->symbol);
    struct link_section *section = link_section_of(reloc->symbol);
    if (!section) /* absolute, or undefined: its COMDAT group lost */
        return definition ? link_value(link, reloc->symbol, reloc->addend)
                          : value_of_dropped(part, reloc, 0);
    uint64_t offset = definition->value + (uint64_t)reloc->addend;
    if (section->kind == LINK_SECTION_DEBUG)
        return section->address + offset;
    if (!section->live)
        return value_of_dropped(part, reloc, offset);
    if (section->kind == LINK_SECTION_CODE)
        return LINK_CODE_BASE + (uint64_t)link_pc(link, section, offset);
    return section->address + offset;
}

static void copy_section(struct link_dbg *dbg, struct link_section *section)
{
    enum link_dwarf part = link_dwarf_part(section);
    struct buf *buf = &dbg->part[part];
    section->address = buf->size;
    buf_put(buf, section->content.data, section->content.size);
}

static void relocate_section(struct link_dbg *dbg, struct link_section *section)
{
    enum link_dwarf part = link_dwarf_part(section);
    struct buf *buf = &dbg->part[part];
    if (buf->err)
        return;
    for (uint32_t r = 0; r < section->reloc_count; r++) {
        const struct link_reloc *reloc = &section->reloc[r];
        if (link_reloc_info(reloc->type)->where == LINK_RELOC_NOTE)
            continue;
        /* Overflow: an advance of a line table that got longer than 64 KiB.  Its rows
         * are wrong then, and only they. */
        (void)link_apply(buf->data + section->address + reloc->offset, reloc->type,
                         value_of(dbg, part, reloc));
    }
}

/* ---- compile units of our own ---- */

enum { /* DWARF 2 */
       DW_TAG_compile_unit = 0x11,
       DW_AT_name = 0x03,
       DW_AT_stmt_list = 0x10,
       DW_AT_low_pc = 0x11,
       DW_AT_language = 0x13,
       DW_AT_ranges = 0x55,
       DW_FORM_addr = 0x01,
       DW_FORM_data2 = 0x05,
       DW_FORM_data4 = 0x06,
       DW_FORM_string = 0x08,
       DW_LANG_Mips_Assembler = 0x8001,
       UNIT_VERSION = 3,
       ARANGES_VERSION = 2,
       ADDRESS_SIZE = 8,
};

static uint64_t put_unit_abbrev(struct buf *abbrev)
{
    static const uint16_t attribute[][2] = {
        {DW_AT_stmt_list, DW_FORM_data4}, {DW_AT_ranges, DW_FORM_data4},
        {DW_AT_low_pc, DW_FORM_addr},     {DW_AT_name, DW_FORM_string},
        {DW_AT_language, DW_FORM_data2},  {0, 0},
    };
    uint64_t at = abbrev->size;
    buf_byte(abbrev, 1);
    buf_byte(abbrev, DW_TAG_compile_unit);
    buf_byte(abbrev, 0); /* no children */
    for (size_t i = 0; i < countof(attribute); i++) {
        buf_byte(abbrev, (uint8_t)attribute[i][0]);
        buf_byte(abbrev, (uint8_t)attribute[i][1]);
    }
    buf_byte(abbrev, 0);
    return at;
}

/* All code of the object as a range list. */
static uint64_t put_unit_ranges(struct link_dbg *dbg, const struct link_object *object)
{
    struct buf *ranges = &dbg->part[LINK_DWARF_RANGES];
    uint64_t at = ranges->size;
    for (uint32_t s = 1; s < object->section_count; s++) {
        const struct link_section *section = &object->section[s];
        if (section->kind != LINK_SECTION_CODE || !section->live)
            continue;
        uint64_t start = link_pc(dbg->link, section, 0);
        uint64_t end = link_pc(dbg->link, section, section->size);
        link_dwarf_put(ranges, LINK_CODE_BASE + start, 8);
        link_dwarf_put(ranges, LINK_CODE_BASE + end, 8);
    }
    link_dwarf_put(ranges, 0, 8);
    link_dwarf_put(ranges, 0, 8);
    return at;
}

static const char *unit_name(const struct link_object *object)
{
    for (uint32_t i = 1; i < object->symbol_count; i++) {
        if (object->symbol[i].type == LINK_TYPE_FILE && object->symbol[i].name[0])
            return object->symbol[i].name;
    }
    return object->name;
}

/* One unit per line table, so that gdb finds it. */
static void put_units(struct link_dbg *dbg, const struct link_section *line)
{
    struct buf *info = &dbg->part[LINK_DWARF_INFO];
    const char *name = unit_name(line->object);
    struct bytes data = line->content;
    uint64_t abbrev = put_unit_abbrev(&dbg->part[LINK_DWARF_ABBREV]);
    uint64_t ranges = put_unit_ranges(dbg, line->object);
    for (uint64_t at = 0;
         data.size >= LINE_HEADER_SIZE && at <= data.size - LINE_HEADER_SIZE;) {
        uint64_t size = link_get(data.data + at, 4);
        link_dwarf_put(info, 7 + 1 + 4 + 4 + 8 + strlen(name) + 1 + 2, 4);
        link_dwarf_put(info, UNIT_VERSION, 2);
        link_dwarf_put(info, abbrev, 4);
        link_dwarf_put(info, ADDRESS_SIZE, 1);
        link_dwarf_put(info, 1, 1);
        link_dwarf_put(info, line->address + at, 4);
        link_dwarf_put(info, ranges, 4);
        link_dwarf_put(info, 0, 8);
        buf_put(info, name, strlen(name) + 1);
        link_dwarf_put(info, DW_LANG_Mips_Assembler, 2);
        at += 4 + size;
    }
}

/* ---- which code a unit has ---- */

/*
 * Without this table gdb 13 takes the addresses of variables for code of a unit whose
 * code is a list of ranges, finds none there, and warns whenever it shows a pointer to
 * them.  The code of an object with one unit is that unit's.
 */
static void put_aranges(struct link_dbg *dbg, const struct link_object *object,
                        uint64_t info)
{
    const struct buf *infos = &dbg->part[LINK_DWARF_INFO];
    struct buf *buf = &dbg->part[LINK_DWARF_ARANGES];
    uint64_t size = infos->size - info, start = buf->size;
    if (infos->err || size < 4 || link_get(infos->data + info, 4) != size - 4)
        return;
    link_dwarf_put(buf, 0, 4); /* its length, below */
    link_dwarf_put(buf, ARANGES_VERSION, 2);
    link_dwarf_put(buf, info, 4);
    link_dwarf_put(buf, ADDRESS_SIZE, 1);
    link_dwarf_put(buf, 0, 1);
    link_dwarf_put(buf, 0, 4); /* to a multiple of two addresses */
    for (uint32_t s = 1; s < object->section_count; s++) {
        const struct link_section *section = &object->section[s];
        if (section->kind != LINK_SECTION_CODE || !section->live || !section->size)
            continue;
        uint64_t pc = link_pc(dbg->link, section, 0);
        link_dwarf_put(buf, LINK_CODE_BASE + pc, 8);
        link_dwarf_put(buf, link_pc(dbg->link, section, section->size) - pc, 8);
    }
    link_dwarf_put(buf, 0, 8);
    link_dwarf_put(buf, 0, 8);
    if (!buf->err)
        link_set(buf->data + start, 4, buf->size - start - 4);
}

/* ---- objects ---- */

/* Cut `part` back to where this object's contribution starts. */
static void cut(struct link_dbg *dbg, const uint64_t start[LINK_DWARF_COUNT],
                enum link_dwarf part)
{
    struct buf *buf = &dbg->part[part];
    if (!buf->err)
        buf->size = start[part];
}

static void each_part(struct link_dbg *dbg, struct link_object *object,
                      void (*visit)(struct link_dbg *dbg, struct link_section *section))
{
    for (uint32_t s = 1; s < object->section_count; s++) {
        if (link_dwarf_part(&object->section[s]) != LINK_DWARF_COUNT)
            visit(dbg, &object->section[s]);
    }
}

static bool walk_object(struct link_dbg *dbg, struct link_object *object,
                        bool *ret_has_info)
{
    for (uint32_t s = 1; s < object->section_count; s++) {
        const struct link_section *section = &object->section[s];
        if (link_dwarf_part(section) != LINK_DWARF_INFO)
            continue;
        *ret_has_info = true;
        if (!link_dwarf_walk(dbg, section))
            return false;
    }
    return true;
}

static void collect_object(struct link_dbg *dbg, struct link_object *object)
{
    uint64_t start[LINK_DWARF_COUNT];
    bool has_info = false, passes = true;
    for (unsigned part = 0; part < LINK_DWARF_COUNT; part++)
        start[part] = dbg->part[part].size;
    for (uint32_t s = 1; s < object->section_count; s++)
        passes = passes && can_pass(&object->section[s]);
    if (!passes) {
        warn_dropped(dbg->link, object);
        return;
    }
    each_part(dbg, object, copy_section);
    each_part(dbg, object, relocate_section);
    bool walked = walk_object(dbg, object, &has_info);
    if (!walked)
        warn_dropped(dbg->link, object);
    else if (has_info)
        put_aranges(dbg, object, start[LINK_DWARF_INFO]);
    for (unsigned part = 0; !walked && part < LINK_DWARF_COUNT; part++) {
        if (part != LINK_DWARF_LINE)
            cut(dbg, start, (enum link_dwarf)part);
    }
    for (uint32_t s = 1; (!has_info || !walked) && s < object->section_count; s++) {
        if (link_dwarf_part(&object->section[s]) == LINK_DWARF_LINE)
            put_units(dbg, &object->section[s]);
    }
}

void link_dwarf_collect(struct link_dbg *dbg)
{
    for (uint32_t i = 0; i < dbg->link->object_count; i++)
        collect_object(dbg, &dbg->link->object[i]);
}
