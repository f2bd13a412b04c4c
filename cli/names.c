/* SPDX-License-Identifier: MIT */
#include "cli/names.h"

#include "cli/debug_symbols.h"
#include "cli/elf32.h"
#include "cli/elf64.h"
#include "cli/modules.h"

#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE_MAX = 1024, TEXT_SIZE_MAX = 1 << 26, LIST_SIZE_MAX = 1 << 26 };
enum { SIZE_UNKNOWN = 4096 };         /* up to the next one, but no more than this */
#define CODE_BASE ((uint64_t)1 << 32) /* of program 0; data is below */

struct function {
    uint64_t address, size; /* size 0: up to the next one */
    const char *name;
    uint64_t order; /* among those at one address */
};

void cli_names_init(struct cli_names *names)
{
    arena_init(&names->arena, TEXT_SIZE_MAX);
    buf_init(&names->list, LIST_SIZE_MAX);
    buf_init(&names->data, LIST_SIZE_MAX);
    names->module[0] = 0;
}

void cli_names_free(struct cli_names *names)
{
    arena_fini(&names->arena);
    buf_fini(&names->list);
    buf_fini(&names->data);
}

/* The size of the name at `at` with its end; 0: it is none for people. */
static size_t name_size(struct bytes strings, uint64_t at)
{
    for (uint64_t i = at; i < strings.size && i - at < NAME_SIZE_MAX; i++) {
        uint8_t byte = strings.data[i];
        if (!byte)
            return i > at ? (size_t)(i - at + 1) : 0;
        if (byte <= ' ' || byte > '~')
            return 0;
    }
    return 0;
}

/* `order`: the last of those at one address gives it its name. */
static enum err add(struct cli_names *names, bool is_code, struct function function,
                    const void *name, size_t size)
{
    struct buf *list = is_code ? &names->list : &names->data;
    function.name = arena_copy(&names->arena, name, size);
    if (!function.name)
        return ERR_limit;
    buf_put(list, &function, sizeof function);
    return list->err;
}

static enum err add_symbol(struct cli_names *names, const Elf64_Sym *symbol,
                           struct bytes strings, uint64_t shift)
{
    const struct function function = {.address = symbol->st_value + shift,
                                      .size = symbol->st_size,
                                      .order = names->list.size};
    size_t size = name_size(strings, symbol->st_name);
    if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || !size ||
        symbol->st_value < CODE_BASE || function.address < shift)
        return ERR_ok;
    return add(names, true, function, strings.data + symbol->st_name, size);
}

static int by_address(const void *a, const void *b)
{
    const struct function *x = a, *y = b;
    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static void sort_all(struct cli_names *names)
{
    if (names->list.size)
        qsort(names->list.data, names->list.size / sizeof(struct function),
              sizeof(struct function), by_address);
}

enum err cli_names_add(struct cli_names *names, struct bytes elf, uint32_t program)
{
    struct bytes symbols, strings;
    enum err err = ERR_ok;
    Elf64_Sym symbol;
    TRY(cli_elf64_section(elf, ".symtab", &symbols));
    TRY(cli_elf64_section(elf, ".strtab", &strings));
    for (size_t at = 0; !err && symbols.size - at >= sizeof symbol;
         at += sizeof symbol) {
        memcpy(&symbol, symbols.data + at, sizeof symbol);
        err = add_symbol(names, &symbol, strings, (uint64_t)program * CODE_BASE);
    }
    sort_all(names);
    return err;
}

/* ---- of a kernel ---- */

/* As the kernel itself has it: the first of its symbols at an address names it. */
static uint64_t first_wins(const struct cli_names *names)
{
    return UINT64_MAX - names->list.size;
}

enum err cli_names_add_kernel(struct cli_names *names,
                              const struct replay_symbol_list *list)
{
    struct cli_symbol_ranges ranges = cli_symbols_ranges(list);
    enum err err = ERR_ok;
    for (size_t i = 0; i < list->count && !err; i++) {
        const struct replay_symbol *symbol = &list->item[i];
        uint32_t size;
        bool is_code = cli_symbols_code(list, i, &ranges, &size);
        const struct function function = {
            .address = symbol->address, .size = size, .order = first_wins(names)};
        if (!is_code || size)
            err = add(names, is_code, function, symbol->name, strlen(symbol->name) + 1);
    }
    sort_all(names);
    return err;
}

/* Where a section of a file is in the guest, once somebody has asked. */
struct section_place {
    bool asked, there;
    uint32_t address;
};

struct module_file {
    const struct replay_module_list *list;
    size_t index;
    struct bytes elf, strings;
    struct section_place *place; /* by the section's number, below SHN_LORESERVE */
};

static struct section_place find_section(const struct module_file *file,
                                         uint32_t section)
{
    const struct replay_module *module = &file->list->item[file->index];
    const char *name = cli_elf32_section_name(file->elf, section);
    for (size_t i = 0; name && i < module->section_count; i++) {
        if (strcmp(module->section[i].name, name) == 0)
            return (struct section_place){
                .asked = true,
                .there = cli_modules_section(file->list, file->index, i),
                .address = module->section[i].address};
    }
    return (struct section_place){.asked = true};
}

static const struct section_place *place_of(const struct module_file *file,
                                            uint32_t section)
{
    struct section_place *place = &file->place[section];
    if (!place->asked)
        *place = find_section(file, section);
    return place;
}

static enum err add_module_symbol(struct cli_names *names,
                                  const struct module_file *file,
                                  const Elf32_Sym *symbol)
{
    size_t size = name_size(file->strings, symbol->st_name);
    unsigned type = ELF32_ST_TYPE(symbol->st_info);
    if (!size || (type != STT_FUNC && type != STT_OBJECT) ||
        symbol->st_shndx == SHN_UNDEF || symbol->st_shndx >= SHN_LORESERVE)
        return ERR_ok;
    const struct section_place *place = place_of(file, symbol->st_shndx);
    if (!place->there || symbol->st_value > UINT32_MAX - place->address)
        return ERR_ok;
    /* What is written in assembler may have no size. */
    const struct function function = {.address = place->address + symbol->st_value,
                                      .size = symbol->st_size ? symbol->st_size
                                                              : SIZE_UNKNOWN,
                                      .order = first_wins(names)};
    return add(names, type == STT_FUNC, function, file->strings.data + symbol->st_name,
               size);
}

enum err cli_names_add_module(struct cli_names *names,
                              const struct replay_module_list *list, size_t index,
                              struct bytes elf)
{
    const struct module_file file = {
        .list = list,
        .index = index,
        .elf = elf,
        .strings = cli_elf32_section(elf, ".strtab"),
        .place = calloc(SHN_LORESERVE, sizeof(struct section_place)),
    };
    struct bytes symbols = cli_elf32_section(elf, ".symtab");
    enum err err = file.place ? ERR_ok : ERR_nomem;
    Elf32_Sym symbol;
    memcpy(names->module, list->item[index].name, sizeof names->module);
    for (size_t at = 0; !err && symbols.size - at >= sizeof symbol;
         at += sizeof symbol) {
        memcpy(&symbol, symbols.data + at, sizeof symbol);
        err = add_module_symbol(names, &file, &symbol);
    }
    free(file.place);
    sort_all(names);
    return err;
}

/* ---- looking up ---- */

static const struct function *functions(const struct buf *list)
{
    return (const struct function *)(const void *)list->data;
}

/* The function that holds `at`; NULL: none. */
static const struct function *function_at(const struct cli_names *names, uint64_t at)
{
    const struct function *function = functions(&names->list);
    size_t low = 0, high = names->list.size / sizeof *function;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (function[middle].address <= at)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low)
        return NULL;
    function += low - 1;
    bool is_past = function->size && at - function->address >= function->size;
    return is_past || at / CODE_BASE != function->address / CODE_BASE ? NULL : function;
}

bool cli_names_put(const struct cli_names *names, uint64_t pc, bool is_caller,
                   struct buf *text)
{
    const struct function *function = function_at(names, pc - is_caller);
    if (!function)
        return false;
    buf_text(text, function->name);
    if (pc != function->address)
        buf_printf(text, "+0x%" PRIx64, pc - function->address);
    if (names->module[0])
        buf_printf(text, " [%s]", names->module);
    return true;
}

bool cli_names_start(const struct cli_names *names, uint64_t pc, uint64_t *ret_start)
{
    const struct function *function = function_at(names, pc);
    if (function)
        *ret_start = function->address;
    return function != NULL;
}

bool cli_names_find(const struct cli_names *names, const char *name, size_t *at,
                    uint64_t *ret_address)
{
    size_t count = names->list.size / sizeof(struct function);
    size_t all = count + names->data.size / sizeof(struct function);
    while (*at < all) {
        size_t i = (*at)++;
        const struct function *found = i < count ? &functions(&names->list)[i]
                                                 : &functions(&names->data)[i - count];
        if (strcmp(found->name, name) == 0) {
            *ret_address = found->address;
            return true;
        }
    }
    return false;
}
