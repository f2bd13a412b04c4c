/* SPDX-License-Identifier: MIT
 *
 * Names of functions for frames: which symbols count, and which one an address has.
 */
#include "tests/test.h"

#include "cli/names.h"

#include <elf.h>
#include <string.h>

#define BASE ((uint64_t)1 << 32)

/* An ELF file with the symbols that a test adds. */
struct file {
    Elf64_Ehdr header;
    Elf64_Shdr section[4]; /* 0, .symtab, .strtab, names of sections */
    Elf64_Sym symbol[8];
    char string[128], name[32];
};
static struct file file;
static size_t symbol_count, string_size;
static struct cli_names names;

static void put_section(unsigned index, uint32_t name, const void *data, size_t size)
{
    file.section[index].sh_name = name;
    file.section[index].sh_offset =
        (uint64_t)((const char *)data - (const char *)&file);
    file.section[index].sh_size = size;
}

static void put_symbol(const char *name, unsigned type, uint64_t address, uint64_t size)
{
    file.symbol[symbol_count++] = (Elf64_Sym){.st_name = (uint32_t)string_size,
                                              .st_info = ELF64_ST_INFO(1, type),
                                              .st_value = address,
                                              .st_size = size};
    memcpy(file.string + string_size, name, strlen(name) + 1);
    string_size += strlen(name) + 1;
}

static int begin(void **state)
{
    (void)state;
    static const char section_names[] = "\0.symtab\0.strtab";
    memset(&file, 0, sizeof file);
    memcpy(file.header.e_ident, ELFMAG, SELFMAG);
    file.header.e_ident[EI_CLASS] = ELFCLASS64;
    file.header.e_ident[EI_DATA] = ELFDATA2LSB;
    file.header.e_shoff = offsetof(struct file, section);
    file.header.e_shnum = 4;
    file.header.e_shstrndx = 3;
    memcpy(file.name, section_names, sizeof section_names);
    put_section(1, 1, file.symbol, sizeof file.symbol);
    put_section(2, 9, file.string, sizeof file.string);
    put_section(3, 0, file.name, sizeof file.name);
    symbol_count = string_size = 1;
    cli_names_init(&names);
    return 0;
}

static int end(void **state)
{
    (void)state;
    cli_names_free(&names);
    return 0;
}

static enum err add(uint32_t program)
{
    return cli_names_add(&names, bytes_of(&file, sizeof file), program);
}

static void expect(uint64_t pc, bool is_caller, const char *want)
{
    struct buf text;
    buf_init(&text, 2048);
    assert_int_equal(cli_names_put(&names, pc, is_caller, &text), want != NULL);
    assert_string_equal(buf_string(&text), want ? want : "");
    buf_fini(&text);
}

static void addresses_have_names(void **state)
{
    (void)state;
    put_symbol("second", STT_FUNC, BASE + 0x20, 0x10);
    put_symbol("first", STT_FUNC, BASE + 0x10, 0x10);
    put_symbol("open", STT_FUNC, BASE + 0x40, 0);
    put_symbol("table", STT_OBJECT, BASE + 0x14, 8);
    assert_int_equal(add(0), ERR_ok);
    expect(BASE + 0xf, false, NULL);
    expect(BASE + 0x10, false, "first");
    expect(BASE + 0x1f, false, "first+0xf");
    expect(BASE + 0x30, false, NULL);
    expect(BASE + 0x4000, false, "open+0x3fc0");
    expect(2 * BASE + 0x10, false, NULL);
    /* A call that is the last instruction: behind it begins another function. */
    expect(BASE + 0x20, true, "first+0x10");
    expect(BASE + 0x20, false, "second");
    expect(BASE + 0x30, true, "second+0x10");
}

static void programs_are_apart(void **state)
{
    (void)state;
    put_symbol("here", STT_FUNC, BASE + 4, 4);
    assert_int_equal(add(2), ERR_ok);
    expect(BASE + 4, false, NULL);
    expect(3 * BASE + 5, false, "here+0x1");
}

static void strange_symbols_are_passed_over(void **state)
{
    (void)state;
    put_symbol("escape\x1b[2J", STT_FUNC, BASE, 4);
    put_symbol("", STT_FUNC, BASE + 4, 4);
    put_symbol("data", STT_FUNC, 0x20000, 4);
    put_symbol("far", STT_FUNC, UINT64_MAX, 4);
    put_symbol("no end", STT_FUNC, BASE + 8, 4);
    file.symbol[symbol_count - 1].st_name = sizeof file.string;
    assert_int_equal(add(1), ERR_ok);
    for (uint64_t pc = 0; pc < 16; pc++)
        expect(2 * BASE + pc, false, NULL);
    expect(BASE + 0x20000, false, NULL);
    expect(BASE - 1, false, NULL);
}

static void files_without_names(void **state)
{
    (void)state;
    assert_int_equal(cli_names_add(&names, bytes_of("", 0), 0), ERR_usage);
    for (size_t size = 0; size < sizeof file; size += 7)
        assert_int_not_equal(cli_names_add(&names, bytes_of(&file, size), 0), ERR_ok);
    file.section[1].sh_size = UINT64_MAX;
    assert_int_equal(add(0), ERR_usage);
    file.section[1].sh_name = 0;
    assert_int_equal(add(0), ERR_not_found);
    file.header.e_shstrndx = 0xfff0;
    assert_int_equal(add(0), ERR_usage);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        T(addresses_have_names),
        T(programs_are_apart),
        T(strange_symbols_are_passed_over),
        T(files_without_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
