/* SPDX-License-Identifier: MIT */
#include "tests/unit/link/object.h"

#include <string.h>

enum { FILE_MAX = 1 << 24, REL_64 = 2 };

static void put(struct buf *buf, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        buf_byte(buf, (uint8_t)(value >> (8 * i)));
}

void object_init(struct object *object)
{
    *object = (struct object){.e_flags = 8, .section_count = 1};
    buf_init(&object->symbols, FILE_MAX);
    buf_init(&object->strings, FILE_MAX);
    buf_byte(&object->strings, 0);
    (void)buf_extend(&object->symbols, 24);
    object->symbol_count = 1;
}

void object_fini(struct object *object)
{
    for (uint32_t i = 1; i < object->section_count; i++) {
        buf_fini(&object->section[i].content);
        buf_fini(&object->section[i].relocs);
    }
    buf_fini(&object->symbols);
    buf_fini(&object->strings);
}

uint32_t object_section(struct object *object, const char *name, uint32_t type,
                        uint64_t flags, uint64_t align)
{
    check(object->section_count < OBJECT_PART_MAX);
    struct object_section *section = &object->section[object->section_count];
    *section = (struct object_section){
        .name = name, .type = type, .flags = flags, .align = align};
    buf_init(&section->content, FILE_MAX);
    buf_init(&section->relocs, FILE_MAX);
    return object->section_count++;
}

uint32_t object_symbol(struct object *object, const char *name, unsigned bind,
                       unsigned type, uint32_t section, uint64_t value, uint64_t size)
{
    put(&object->symbols, object->strings.size, 4);
    put(&object->symbols, bind << 4 | type, 1);
    put(&object->symbols, 0, 1);
    put(&object->symbols, section, 2);
    put(&object->symbols, value, 8);
    put(&object->symbols, size, 8);
    buf_put(&object->strings, name, strlen(name) + 1);
    return object->symbol_count++;
}

void object_reloc(struct object *object, uint32_t section, uint64_t offset,
                  uint32_t type, uint32_t symbol, int64_t addend)
{
    struct buf *relocs = &object->section[section].relocs;
    put(relocs, offset, 8);
    put(relocs, type, 4);
    put(relocs, symbol, 4);
    put(relocs, (uint64_t)addend, 8);
}

uint64_t object_u32(struct object *object, uint32_t section, uint32_t value)
{
    uint64_t at = object->section[section].content.size;
    put(&object->section[section].content, value, 4);
    return at;
}

uint64_t object_u64(struct object *object, uint32_t section, uint64_t value)
{
    uint64_t at = object->section[section].content.size;
    put(&object->section[section].content, value, 8);
    return at;
}

void object_export(struct object *object, uint32_t symbol, uint32_t number)
{
    uint32_t section = 0;
    for (uint32_t i = 1; i < object->section_count; i++) {
        if (strcmp(object->section[i].name, "pvm_exports") == 0)
            section = i;
    }
    if (!section)
        section = object_section(object, "pvm_exports", SHT_PROGBITS, SHF_A, 8);
    uint64_t at = object_u64(object, section, 0);
    object_u32(object, section, number);
    object_u32(object, section, 0);
    object_reloc(object, section, at, REL_64, symbol, 0);
}

/* One section header and what stands in the file. */
struct header {
    uint32_t name, type;
    uint64_t flags, offset, size;
    uint32_t link, info;
    uint64_t align, entry_size;
};

static uint32_t name_put(struct buf *names, const char *prefix, const char *name)
{
    uint32_t at = (uint32_t)names->size;
    buf_text(names, prefix);
    buf_put(names, name, strlen(name) + 1);
    return at;
}

static struct header body_put(struct buf *file, struct buf *names, const char *prefix,
                              const char *name, const struct buf *body)
{
    while (file->size % 8)
        buf_byte(file, 0);
    uint32_t at = name_put(names, prefix, name); /* `body` may be the names */
    struct header header = {
        .name = at, .offset = file->size, .size = body->size, .align = 8};
    buf_put(file, body->data, body->size);
    return header;
}

static void headers_put(struct buf *file, const struct header *header, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        put(file, header[i].name, 4);
        put(file, header[i].type, 4);
        put(file, header[i].flags, 8);
        put(file, 0, 8);
        put(file, header[i].offset, 8);
        put(file, header[i].size, 8);
        put(file, header[i].link, 4);
        put(file, header[i].info, 4);
        put(file, header[i].align, 8);
        put(file, header[i].entry_size, 8);
    }
}

static void elf_header_put(struct object *object, struct buf *file)
{
    static const uint8_t ident[16] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    buf_put(file, ident, 16);
    put(file, 1, 2);
    put(file, 243, 2);
    put(file, 1, 4);
    put(file, 0, 8);
    put(file, 0, 8);
    put(file, 0, 8); /* section headers: set at the end */
    put(file, object->e_flags, 4);
    put(file, 64, 2);
    put(file, 0, 4);
    put(file, 64, 2);
    put(file, 0, 4); /* their number and names: set at the end */
}

void object_finish(struct object *object, struct buf *file)
{
    struct header header[2 * OBJECT_PART_MAX + 4] = {{0}};
    struct buf names;
    buf_init(&names, FILE_MAX);
    buf_byte(&names, 0);
    elf_header_put(object, file);
    uint32_t count = object->section_count, symtab = count, strtab = count + 1;
    for (uint32_t i = 1; i < object->section_count; i++) {
        struct object_section *section = &object->section[i];
        header[i] = body_put(file, &names, "", section->name, &section->content);
        header[i].type = section->type;
        header[i].flags = section->flags;
        header[i].align = section->align;
        header[i].info = section->info;
        header[i].link = section->type == SHT_GROUP ? symtab : section->link;
        if (section->type == SHT_NOBITS)
            header[i].size = section->size;
    }
    header[symtab] = body_put(file, &names, "", ".symtab", &object->symbols);
    header[symtab].type = 2;
    header[symtab].link = strtab;
    header[symtab].info = 1;
    header[symtab].entry_size = 24;
    header[strtab] = body_put(file, &names, "", ".strtab", &object->strings);
    header[strtab].type = 3;
    count += 2;
    for (uint32_t i = 1; i < object->section_count; i++) {
        struct object_section *section = &object->section[i];
        if (!section->relocs.size)
            continue;
        header[count] =
            body_put(file, &names, ".rela", section->name, &section->relocs);
        header[count].type = 4;
        header[count].link = symtab;
        header[count].info = i;
        header[count++].entry_size = 24;
    }
    uint32_t shstrtab = count++;
    header[shstrtab] = body_put(file, &names, "", ".shstrtab", &names);
    header[shstrtab].type = 3;
    while (file->size % 8)
        buf_byte(file, 0);
    uint64_t table = file->size;
    headers_put(file, header, count);
    for (unsigned i = 0; i < 8; i++)
        file->data[40 + i] = (uint8_t)(table >> (8 * i));
    file->data[60] = (uint8_t)count;
    file->data[62] = (uint8_t)shstrtab;
    buf_fini(&names);
    check(!file->err);
}
