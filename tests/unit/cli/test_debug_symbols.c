/* SPDX-License-Identifier: MIT
 *
 * The file that gdb gets for the kernel's own symbols.
 */
#include "tests/test.h"

#include "cli/debug_symbols.h"

#include <elf.h>
#include <string.h>

static struct buf file;

static Elf32_Shdr section(unsigned index)
{
    Elf32_Ehdr elf;
    Elf32_Shdr header;
    memcpy(&elf, file.data, sizeof elf);
    assert_true(index < elf.e_shnum);
    memcpy(&header, file.data + elf.e_shoff + index * sizeof header, sizeof header);
    return header;
}

static const char *section_name(unsigned index)
{
    Elf32_Ehdr elf;
    memcpy(&elf, file.data, sizeof elf);
    return (const char *)file.data + section(elf.e_shstrndx).sh_offset +
           section(index).sh_name;
}

static unsigned section_of(const char *name)
{
    unsigned index = 1;
    while (strcmp(section_name(index), name) != 0)
        index++;
    return index;
}

static void make(const struct replay_symbol *symbol, size_t count)
{
    const struct replay_symbol_list list = {symbol, count, 0};
    buf_clear(&file);
    assert_int_equal(cli_symbols_put(&list, &file), ERR_ok);
}

/* The symbol of a name; each has one. */
static Elf32_Sym symbol_of(const char *name)
{
    Elf32_Shdr table = section(section_of(".symtab")), names = section(table.sh_link);
    Elf32_Sym symbol = {0};
    for (uint32_t at = 0; at < table.sh_size; at += sizeof symbol) {
        memcpy(&symbol, file.data + table.sh_offset + at, sizeof symbol);
        bool local = ELF32_ST_BIND(symbol.st_info) == STB_LOCAL;
        assert_int_equal(local, at / sizeof symbol < table.sh_info);
        if (!strcmp((const char *)file.data + names.sh_offset + symbol.st_name, name))
            return symbol;
    }
    fail_msg("no %s", name);
    return symbol;
}

static void is(const char *name, unsigned bind, const char *in, uint32_t size)
{
    Elf32_Sym symbol = symbol_of(name);
    assert_int_equal(ELF32_ST_BIND(symbol.st_info), bind);
    assert_int_equal(symbol.st_size, size);
    if (!in) {
        assert_int_equal(symbol.st_shndx, SHN_ABS);
        return;
    }
    assert_int_equal(ELF32_ST_TYPE(symbol.st_info), STT_FUNC);
    assert_string_equal(section_name(symbol.st_shndx), in);
}

static void each_is_in_its_range(void **state)
{
    static const struct replay_symbol symbol[] = {
        {"_stext", 0xc1000000, 'T'},     {"_text", 0xc1000000, 'T'},
        {"one", 0xc1000040, 't'},        {"two", 0xc1000070, 'W'},
        {"_etext", 0xc1002000, 'T'},     {"__init_begin", 0xc1800000, 'D'},
        {"_sinittext", 0xc1800000, 'T'}, {"begin", 0xc1800010, 't'},
        {"_einittext", 0xc1800020, 'T'},
    };
    (void)state;
    make(symbol, countof(symbol));
    is("_stext", STB_GLOBAL, ".text", 0x40);
    is("_text", STB_GLOBAL, ".text", 0x40);
    is("one", STB_LOCAL, ".text", 0x30);
    is("two", STB_WEAK, ".text", 0x1f90);
    is("_etext", STB_GLOBAL, ".text", 0);
    is("__init_begin", STB_GLOBAL, NULL, 0);
    is("_sinittext", STB_GLOBAL, ".init.text", 0x10);
    is("begin", STB_LOCAL, ".init.text", 0x10);
    is("_einittext", STB_GLOBAL, ".init.text", 0);
    Elf32_Shdr text = section(section_of(".text"));
    assert_int_equal(text.sh_addr, 0xc1000000);
    assert_int_equal(text.sh_size, 0x2000);
    assert_int_equal(section(section_of(".init.text")).sh_addr, 0xc1800000);
    assert_int_equal(section(section_of(".init.text")).sh_size, 0x20);
}

/* Without an end the last one has a size that is large enough. */
static void a_last_one_ends_somewhere(void **state)
{
    static const struct replay_symbol symbol[] = {{"_text", 0xc1000000, 'T'},
                                                  {"last", 0xffffff00, 't'}};
    (void)state;
    make(symbol, countof(symbol));
    is("_text", STB_GLOBAL, ".text", 0x3effff00);
    is("last", STB_LOCAL, ".text", 0xff);
    make(symbol, 1);
    is("_text", STB_GLOBAL, ".text", 4096);
}

static void too_much_is_an_error(void **state)
{
    static const struct replay_symbol symbol = {"_text", 0xc1000000, 'T'};
    const struct replay_symbol_list list = {&symbol, 1, 0};
    struct buf small;
    (void)state;
    buf_init(&small, 100);
    assert_int_not_equal(cli_symbols_put(&list, &small), ERR_ok);
    buf_fini(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_in_its_range),
        cmocka_unit_test(a_last_one_ends_somewhere),
        cmocka_unit_test(too_much_is_an_error),
    };
    buf_init(&file, 1 << 20);
    int status = cmocka_run_group_tests(tests, NULL, NULL);
    buf_fini(&file);
    return status;
}
