/* SPDX-License-Identifier: MIT */
#include "replay/linux_modules.h"

#include <stdbool.h>
#include <string.h>

enum {
    PAGE = 4096,
    ALIGN = 32, /* of a struct module: the smallest cache line */
    NEXT = 4,   /* offsets in struct module */
    PREV = 8,
    NAME = 12,
    HEADER_SIZE = NAME + REPLAY_MODULE_NAME_SIZE,
    STRUCT_SIZE = 2048,   /* of a struct module, that is looked at */
    FIRST_NAME_SIZE = 96, /* where a table has the name of its first section */
    STRIDE_MIN = 8,       /* from one section of a table to the next */
    STRIDE_MAX = 128,
    SUSPECT_MAX = 4096, /* places in the list of something, that are looked at */
    LAYOUT_SIZE_MAX = 1 << 28,
    STATE_COUNT = 4,
};

struct walk {
    const struct replay_linux_memory *memory;
    struct arena *arena;
    uint8_t table[REPLAY_SECTION_MAX * STRIDE_MAX];
    struct replay_module_section section[REPLAY_SECTION_MAX];
    struct replay_module module[REPLAY_MODULE_MAX];
    size_t count;
};

/* ---- reading ---- */

static size_t read_some(const struct walk *w, uint32_t address, void *data, size_t size)
{
    return w->memory->read(w->memory->self, address, data, size);
}

static bool read_all(const struct walk *w, uint32_t address, void *data, size_t size)
{
    return read_some(w, address, data, size) == size;
}

static bool read_word(const struct walk *w, uint32_t address, uint32_t *ret_word)
{
    uint8_t bytes[4];
    if (!read_all(w, address, bytes, sizeof bytes))
        return false;
    *ret_word = replay_linux_word(bytes);
    return true;
}

static bool is_pointer(const struct walk *w, uint32_t word)
{
    return word >= w->memory->first && word % 4 == 0;
}

static bool is_name_byte(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte == '-';
}

/* ---- a table of sections ---- */

/* ".text", "__param": at `address`, with its NUL. */
static bool section_name(const struct walk *w, uint32_t address, char *ret_name)
{
    uint8_t text[REPLAY_SECTION_NAME_SIZE];
    size_t size = 0, there;
    if (address < w->memory->first)
        return false;
    there = read_some(w, address, text, sizeof text);
    while (size < there &&
           (is_name_byte(text[size]) || text[size] == '.' || text[size] == '$'))
        size++;
    if (size < 2 || size == there || text[size] || (text[0] != '.' && text[0] != '_'))
        return false;
    memcpy(ret_name, text, size + 1);
    return true;
}

/* The layout of a table, whose entries point to their names. */
struct table {
    size_t first, stride; /* of the pointers to names */
    size_t address;       /* from there to the word with the section's address */
    size_t size;          /* bytes that can be read */
};

/* Where the next name behind `from` is; an entry may point to its own name twice. */
static size_t next_name(const struct walk *w, size_t from, size_t end, uint32_t but)
{
    char name[REPLAY_SECTION_NAME_SIZE];
    for (size_t at = from; at + 4 <= end; at += 4) {
        uint32_t word = replay_linux_word(w->table + at);
        if (word != but && section_name(w, word, name))
            return at;
    }
    return end;
}

static bool find_names(const struct walk *w, struct table *table)
{
    table->first = next_name(w, 0, FIRST_NAME_SIZE, 0);
    if (table->first == FIRST_NAME_SIZE)
        return false;
    size_t end = table->first + STRIDE_MAX + 4;
    end = end < table->size ? end : table->size;
    size_t next = next_name(w, table->first + STRIDE_MIN, end,
                            replay_linux_word(w->table + table->first));
    table->stride = next - table->first;
    return next < end;
}

/* Take the names; answers how many there are. */
static size_t take_names(struct walk *w, const struct table *table)
{
    size_t count = 0;
    for (size_t at = table->first;
         count < REPLAY_SECTION_MAX && at + table->stride <= table->size;
         at += table->stride, count++) {
        if (!section_name(w, replay_linux_word(w->table + at), w->section[count].name))
            break;
    }
    return count;
}

/* Which word of an entry is its address: that which leads from the module's own section
 * to the module. */
static bool find_addresses(const struct walk *w, struct table *table, size_t count,
                           uint32_t module)
{
    size_t own = 0;
    while (own < count &&
           strcmp(w->section[own].name, ".gnu.linkonce.this_module") != 0)
        own++;
    const uint8_t *entry = w->table + table->first + own * table->stride;
    for (size_t i = 4; own < count && i < table->stride; i += 4) {
        table->address = i;
        if (replay_linux_word(entry + i) == module)
            return true;
    }
    return false;
}

/* Is there a table of the sections of `module` at `address`?  Answers their number. */
static size_t read_table(struct walk *w, uint32_t address, uint32_t module)
{
    struct table table = {0};
    if (!read_all(w, address, w->table, FIRST_NAME_SIZE) ||
        next_name(w, 0, FIRST_NAME_SIZE, 0) == FIRST_NAME_SIZE)
        return 0; /* as nearly all are */
    table.size = read_some(w, address, w->table, sizeof w->table);
    if (table.size < FIRST_NAME_SIZE || !find_names(w, &table))
        return 0;
    size_t count = take_names(w, &table);
    if (!find_addresses(w, &table, count, module))
        return 0;
    for (size_t i = 0; i < count; i++)
        w->section[i].address = replay_linux_word(w->table + table.first +
                                                  i * table.stride + table.address);
    return count;
}

/* ---- a module ---- */

static bool has_shape(const struct walk *w, const uint8_t *header)
{
    const uint8_t *name = header + NAME;
    size_t size = 0;
    if (replay_linux_word(header) >= STATE_COUNT ||
        !is_pointer(w, replay_linux_word(header + NEXT)) ||
        !is_pointer(w, replay_linux_word(header + PREV)))
        return false;
    while (size < REPLAY_MODULE_NAME_SIZE && is_name_byte(name[size]))
        size++;
    return size && size < REPLAY_MODULE_NAME_SIZE && !name[size];
}

/* Do the neighbours in the list point back? */
static bool is_linked(const struct walk *w, uint32_t address, const uint8_t *header)
{
    uint32_t word, list = address + NEXT;
    return read_word(w, replay_linux_word(header + NEXT) + (PREV - NEXT), &word) &&
           word == list && read_word(w, replay_linux_word(header + PREV), &word) &&
           word == list;
}

/* The allocation that the struct lies in: its address, and behind that its size. */
static void find_layout(const struct walk *w, const uint8_t *bytes, size_t size,
                        struct replay_module *module)
{
    for (size_t at = HEADER_SIZE; at + 8 <= size; at += 4) {
        uint32_t base = replay_linux_word(bytes + at),
                 length = replay_linux_word(bytes + at + 4);
        if (base % PAGE == 0 && base >= w->memory->first && length <= LAYOUT_SIZE_MAX &&
            base <= module->address && module->address - base < length) {
            module->base = base;
            module->size = length;
            return;
        }
    }
}

/* Is there a module at `address`?  Its sections are then in w->section. */
static bool look(struct walk *w, uint32_t address, struct replay_module *ret_module,
                 size_t *ret_section_count)
{
    uint8_t bytes[STRUCT_SIZE];
    struct replay_module module = {.address = address};
    size_t size = read_some(w, address, bytes, sizeof bytes), count = 0;
    if (size < HEADER_SIZE || !has_shape(w, bytes) || !is_linked(w, address, bytes))
        return false;
    for (size_t at = HEADER_SIZE; !count && at + 4 <= size; at += 4) {
        uint32_t word = replay_linux_word(bytes + at);
        if (is_pointer(w, word))
            count = read_table(w, word, address);
    }
    if (!count)
        return false;
    module.state = replay_linux_word(bytes);
    memcpy(module.name, bytes + NAME, sizeof module.name);
    find_layout(w, bytes, size, &module);
    *ret_module = module;
    *ret_section_count = count;
    return true;
}

/* ---- all of them ---- */

/* A module somewhere.  From above: modules are behind the memory that is mapped one to
 * one, and so there is little to look at. */
static bool find_one(struct walk *w, uint32_t *ret_address)
{
    uint8_t page[PAGE], header[HEADER_SIZE];
    struct replay_module module;
    size_t sections;
    unsigned suspects = 0;
    uint32_t pages = (UINT32_MAX - w->memory->first) / PAGE + 1;
    for (uint32_t i = 1; i <= pages; i++) {
        uint32_t base = 0 - i * PAGE;
        if (!read_all(w, base, page, PAGE))
            continue;
        for (uint32_t at = 0; at < PAGE; at += ALIGN) {
            const uint8_t *start = page + at;
            if (replay_linux_word(start) >= STATE_COUNT ||
                !is_pointer(w, replay_linux_word(start + NEXT)) ||
                !is_pointer(w, replay_linux_word(start + PREV)) ||
                !read_all(w, base + at, header, HEADER_SIZE) || !has_shape(w, header) ||
                !is_linked(w, base + at, header))
                continue;
            *ret_address = base + at;
            if (look(w, base + at, &module, &sections))
                return true;
            if (++suspects == SUSPECT_MAX)
                return false;
        }
    }
    return false;
}

static enum err keep(struct walk *w, struct replay_module module, size_t section_count)
{
    module.section_count = section_count;
    module.section =
        arena_copy(w->arena, w->section, section_count * sizeof w->section[0]);
    if (!module.section)
        return ERR_nomem;
    w->module[w->count++] = module;
    return ERR_ok;
}

/* Once around the list from one of its modules; *ret_head: as many are in front of its
 * head, which is the one element that has not a module's shape. */
static enum err go_around(struct walk *w, uint32_t first, size_t *ret_head)
{
    uint32_t at = first, next, back;
    for (unsigned i = 0; i < REPLAY_MODULE_MAX; i++) {
        uint8_t header[HEADER_SIZE];
        struct replay_module module;
        size_t sections;
        if (look(w, at, &module, &sections))
            TRY(keep(w, module, sections));
        else if (!read_all(w, at, header, HEADER_SIZE) || !has_shape(w, header))
            *ret_head = w->count;
        if (!read_word(w, at + NEXT, &next) || !is_pointer(w, next) ||
            !read_word(w, next + (PREV - NEXT), &back) || back != at + NEXT)
            return ERR_ok;
        at = next - NEXT;
        if (at == first)
            return ERR_ok;
    }
    return ERR_ok;
}

static enum err list_modules(struct walk *w, struct replay_module_list *ret_list)
{
    uint32_t first;
    size_t head = 0;
    if (!find_one(w, &first))
        return ERR_ok;
    TRY(go_around(w, first, &head));
    struct replay_module *list =
        arena_new_array(w->arena, struct replay_module, w->count + 1);
    if (!list)
        return ERR_nomem;
    for (size_t i = 0; i < w->count; i++)
        list[i] = w->module[(head + i) % w->count];
    *ret_list = (struct replay_module_list){list, w->count};
    return ERR_ok;
}

enum err replay_linux_modules(const struct replay_linux_memory *memory,
                              struct arena *arena, struct replay_module_list *ret_list)
{
    struct walk *w = arena_new(arena, struct walk);
    if (!w)
        return ERR_nomem;
    w->memory = memory;
    w->arena = arena;
    w->count = 0;
    *ret_list = (struct replay_module_list){0};
    return list_modules(w, ret_list);
}
