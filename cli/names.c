/* SPDX-License-Identifier: MIT */
#include "cli/names.h"

#include "cli/elf64.h"

#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE_MAX = 1024, TEXT_SIZE_MAX = 1 << 26, LIST_SIZE_MAX = 1 << 26 };
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
}

void cli_names_free(struct cli_names *names)
{
    arena_fini(&names->arena);
    buf_fini(&names->list);
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

static enum err add_symbol(struct cli_names *names, const Elf64_Sym *symbol,
                           struct bytes strings, uint64_t shift)
{
    struct function function = {.address = symbol->st_value + shift,
                                .size = symbol->st_size,
                                .order = names->list.size};
    size_t size = name_size(strings, symbol->st_name);
    if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || !size ||
        symbol->st_value < CODE_BASE || function.address < shift)
        return ERR_ok;
    function.name = arena_copy(&names->arena, strings.data + symbol->st_name, size);
    if (!function.name)
        return ERR_limit;
    buf_put(&names->list, &function, sizeof function);
    return names->list.err;
}

static int by_address(const void *a, const void *b)
{
    const struct function *x = a, *y = b;
    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
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
    if (names->list.size)
        qsort(names->list.data, names->list.size / sizeof(struct function),
              sizeof(struct function), by_address);
    return err;
}

bool cli_names_put(const struct cli_names *names, uint64_t pc, bool is_caller,
                   struct buf *text)
{
    const struct function *function =
        (const struct function *)(const void *)names->list.data;
    size_t low = 0, high = names->list.size / sizeof *function;
    uint64_t at = pc - is_caller;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (function[middle].address <= at)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low)
        return false;
    function += low - 1;
    if ((function->size && at - function->address >= function->size) ||
        at / CODE_BASE != function->address / CODE_BASE)
        return false;
    buf_text(text, function->name);
    if (pc != function->address)
        buf_printf(text, "+0x%" PRIx64, pc - function->address);
    return true;
}
