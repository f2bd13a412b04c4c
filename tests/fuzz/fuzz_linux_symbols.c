/* SPDX-License-Identifier: MIT
 *
 * Hostile memory of a guest: the input is a piece of it.  Whatever is taken for the
 * kernel's symbols has names that fit, ascends, and becomes a file of a size that its
 * parts say.
 */
#include "cli/debug_symbols.h"
#include "cli/names.h"

#include "base/err.h"
#include "tests/fuzz/linux_piece.h"

#include <elf.h>
#include <string.h>

#define BASE UINT32_C(0xff000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const struct replay_symbol_list *list, size_t index)
{
    const struct replay_symbol *symbol = &list->item[index];
    size_t length = strnlen(symbol->name, REPLAY_SYMBOL_NAME_SIZE);
    check(length && length < REPLAY_SYMBOL_NAME_SIZE);
    check(symbol->address >= BASE);
    check(!index || symbol->address >= symbol[-1].address);
    for (size_t i = 0; i < length; i++)
        check(symbol->name[i] > ' ' && symbol->name[i] <= '~');
}

/* Each symbol of the file is in its section. */
static void check_file(struct bytes file, size_t count)
{
    Elf32_Ehdr elf;
    check(file.size >= sizeof elf);
    memcpy(&elf, file.data, sizeof elf);
    Elf32_Shdr section[6];
    check(elf.e_shnum == countof(section));
    memcpy(section, file.data + elf.e_shoff, sizeof section);
    const Elf32_Shdr *table = &section[3], *names = &section[4];
    check(table->sh_size == (count + 1) * sizeof(Elf32_Sym));
    check((uint64_t)section[5].sh_offset + section[5].sh_size == file.size);
    for (size_t i = 0; i <= count; i++) {
        Elf32_Sym symbol;
        memcpy(&symbol, file.data + table->sh_offset + i * sizeof symbol,
               sizeof symbol);
        check(symbol.st_name < names->sh_size);
        if (!i || symbol.st_shndx == SHN_ABS)
            continue;
        const Elf32_Shdr *own = &section[symbol.st_shndx];
        check(symbol.st_value >= own->sh_addr);
        check(symbol.st_value - own->sh_addr <= own->sh_size);
        check(symbol.st_size <= own->sh_size - (symbol.st_value - own->sh_addr));
    }
}

/* Whatever is a function has a name. */
static void check_names(const struct replay_symbol_list *list)
{
    const struct cli_symbol_ranges ranges = cli_symbols_ranges(list);
    struct cli_names names;
    cli_names_init(&names);
    enum err err = cli_names_add_kernel(&names, list);
    for (size_t i = 0; !err && i < list->count; i++) {
        struct buf text;
        uint64_t start;
        size_t at = 0;
        uint32_t function_size;
        bool is_code = cli_symbols_code(list, i, &ranges, &function_size) != 0;
        buf_init(&text, 1 << 12);
        if (is_code && function_size) {
            check(cli_names_start(&names, list->item[i].address, &start));
            check(start == list->item[i].address);
            check(cli_names_put(&names, start, false, &text));
            check(cli_names_find(&names, buf_string(&text), &at, &start));
        }
        buf_fini(&text);
    }
    cli_names_free(&names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct linux_piece own = {BASE, bytes_of(data, size)};
    const struct replay_linux_memory memory = {linux_piece_read, &own, BASE};
    struct replay_symbol_list list;
    struct arena arena;
    struct buf file;
    arena_init(&arena, (size_t)64 << 20);
    buf_init(&file, (size_t)64 << 20);
    if (!replay_linux_symbols(&memory, &arena, &list) && list.count) {
        check(list.count <= REPLAY_SYMBOL_MAX);
        for (size_t i = 0; i < list.count; i++)
            look(&list, i);
        check_names(&list);
        if (!cli_symbols_put(&list, &file))
            check_file(buf_bytes(&file), list.count);
    }
    buf_fini(&file);
    arena_fini(&arena);
    return 0;
}
