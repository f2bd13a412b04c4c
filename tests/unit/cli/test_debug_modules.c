/* SPDX-License-Identifier: MIT
 *
 * What gdb is told as modules come, move and make way for others.
 */
#include "tests/test.h"

#include "cli/debug_modules.h"

#include "base/os.h"

#include <elf.h>
#include <string.h>

#define ID_ADDRESS UINT32_C(0xf8001000)
enum { ID_SIZE = 8 };

static char folder[] = "/tmp/lockstep-modules-XXXXXX";
static char script[64], one[64], two[64], below[64];
static struct cli_modules modules;

static size_t memory_read(void *self, uint64_t address, uint8_t *data, size_t size)
{
    (void)self;
    if (address != ID_ADDRESS || size != ID_SIZE)
        return 0;
    memcpy(data, "build  1", ID_SIZE);
    return size;
}

static const struct replay_guest_ops ops = {.memory_read = memory_read};
static const struct replay_guest guest = {.ops = &ops};

/* An ELF file with a build id. */
static void write_module(const char *path, const char *id)
{
    static const char names[] = "\0.note.gnu.build-id\0.shstrtab";
    struct {
        Elf32_Ehdr elf;
        Elf32_Shdr section[3];
        char id[ID_SIZE], names[sizeof names];
    } file = {.elf = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32},
                      .e_shoff = sizeof file.elf,
                      .e_shnum = 3,
                      .e_shstrndx = 2}};
    file.section[1] = (Elf32_Shdr){.sh_name = 1,
                                   .sh_offset = sizeof file.elf + sizeof file.section,
                                   .sh_size = ID_SIZE};
    file.section[2] =
        (Elf32_Shdr){.sh_name = 20,
                     .sh_offset = sizeof file.elf + sizeof file.section + ID_SIZE,
                     .sh_size = sizeof names};
    memcpy(file.id, id, ID_SIZE);
    memcpy(file.names, names, sizeof names);
    assert_int_equal(os_file_write(path, bytes_of(&file, sizeof file)), ERR_ok);
}

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(os_folder_create_private(folder), ERR_ok);
    (void)snprintf(script, sizeof script, "%s/script", folder);
    (void)snprintf(one, sizeof one, "%s/mod-one.ko", folder);
    (void)snprintf(below, sizeof below, "%s/sub", folder);
    (void)snprintf(two, sizeof two, "%s/sub/two.ko", folder);
    assert_int_equal(os_folder_create(below), ERR_ok);
    write_module(one, "build  1");
    write_module(two, "build  2");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)!os_unlink(one);
    (void)!os_unlink(two);
    (void)!os_unlink(script);
    (void)!os_folder_remove(below);
    (void)!os_folder_remove(folder);
    return 0;
}

/* What is written for these modules, and said. */
static void load(const struct replay_module *list, size_t count, const char *want,
                 const char *want_text)
{
    const struct replay_module_list all = {list, count};
    struct buf text, got;
    buf_init(&text, 4096);
    buf_init(&got, 4096);
    assert_int_equal(cli_modules_load(&modules, &guest, &all, script, &text), ERR_ok);
    assert_int_equal(os_file_read(script, &got), ERR_ok);
    assert_string_equal(buf_string(&got), want);
    assert_string_equal(buf_string(&text), want_text);
    buf_fini(&text);
    buf_fini(&got);
}

static void symbols_follow_the_modules(void **state)
{
    (void)state;
    const struct replay_module_section here[] = {{".text", 0xf8000000},
                                                 {".init.text", 0xf8010000},
                                                 {".symtab", 0xf8011000},
                                                 {".note.gnu.build-id", ID_ADDRESS}};
    const struct replay_module_section there[] = {{".text", 0xf8020000}};
    const struct replay_module_section over[] = {{".text", 0xf8000040}};
    const struct replay_module first = {"mod_one", 0,    0xf8000900, 0xf8000000,
                                        0x1000,    here, 4};
    const struct replay_module moved = {"mod_one", 0,     0xf8020900, 0xf8020000,
                                        0x1000,    there, 1};
    const struct replay_module other = {"other", 0,    0xf8020940, 0xf8020000,
                                        0x1000,  over, 1};
    const struct replay_module newer[] = {
        {"other", 0, 0xf8010900, 0xf8010000, 0x1000,
         &(const struct replay_module_section){".text", 0xf8010080}, 1},
        first};
    char add[300], again[600], removed[200];
    (void)snprintf(add, sizeof add,
                   "add-symbol-file \"%s\" -s .text 0xf8000000 -s .init.text "
                   "0xf8010000 -s .note.gnu.build-id 0xf8001000\n",
                   one);
    (void)snprintf(removed, sizeof removed, "remove-symbol-file \"%s\"\n", one);
    (void)snprintf(again, sizeof again,
                   "%sadd-symbol-file \"%s\" -s .text 0xf8020000\n", removed, one);
    assert_int_equal(cli_modules_open(folder, &modules), ERR_ok);
    load(NULL, 0, "", "");
    load(&first, 1, add, "");
    load(&first, 1, "", "");
    load(NULL, 0, "", ""); /* before it was loaded: its names stay */
    load(&moved, 1, again, "");
    load(&other, 1, removed, "");
    /* What only its start needed has been given to the one that came later. */
    (void)snprintf(add, sizeof add,
                   "add-symbol-file \"%s\" -s .text 0xf8000000 -s "
                   ".note.gnu.build-id 0xf8001000\n",
                   one);
    load(newer, 2, add, "");
    cli_modules_close(&modules);
}

static void another_build_is_refused_once(void **state)
{
    (void)state;
    const struct replay_module_section here[] = {{".note.gnu.build-id", ID_ADDRESS}};
    const struct replay_module module = {"two",  0,    0xf8000900, 0xf8000000,
                                         0x1000, here, 1};
    char text[200];
    (void)snprintf(text, sizeof text,
                   "%s is not what the guest has loaded: another build\n", two);
    assert_int_equal(cli_modules_open(folder, &modules), ERR_ok);
    load(&module, 1, "", text);
    load(&module, 1, "", "");
    cli_modules_close(&modules);
    assert_int_equal(cli_modules_open("/no/such/folder", &modules), ERR_not_found);
    cli_modules_close(&modules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(symbols_follow_the_modules),
        cmocka_unit_test(another_build_is_refused_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
