/* SPDX-License-Identifier: MIT
 *
 * The names of a Linux guest: a kernel's table as
 * tests/unit/replay/test_linux_symbols.c makes it up (corpus/fuzz/linux_symbols/),
 * which is in memory from some instruction on, and a module whose file is written here,
 * which comes, moves and makes way.
 */
#include "tests/test.h"

#include "cli/debug_symbols.h"
#include "cli/linux_names.h"

#include "base/os.h"
#include "tests/fuzz/linux_piece.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#define BASE UINT32_C(0xff000000)
#define MAPPED_AT ((uint64_t)3 << 20) /* instructions: found by the third look */
#define UNPACKED_AT ((uint64_t)1000 << 20)
#define TEXT UINT32_C(0xf8000000)
#define INIT UINT32_C(0xf8010000)

/* ---- a guest that does nothing but count ---- */

static struct guest {
    struct buf kernel;
    struct linux_piece piece;
    uint64_t icount, most; /* instructions, and at the most */
    uint64_t mapped_at;
    struct replay_module_list modules;
} machine;

static struct replay_time now(void *self)
{
    (void)self;
    return (struct replay_time){machine.icount, 0};
}

static size_t memory_read(void *self, uint64_t address, uint8_t *data, size_t size)
{
    (void)self;
    return machine.icount < machine.mapped_at
               ? 0
               : linux_piece_read(&machine.piece, address, data, size);
}

static enum err symbols(void *self, struct arena *arena,
                        struct replay_symbol_list *ret_list)
{
    const struct replay_linux_memory memory = {memory_read, self, BASE};
    return replay_linux_symbols(&memory, arena, ret_list);
}

static enum err modules(void *self, struct arena *arena,
                        struct replay_module_list *ret_list)
{
    (void)self, (void)arena;
    *ret_list = machine.modules;
    return ERR_ok;
}

static enum err set_stops(void *self, const uint64_t *address, size_t count,
                          const struct replay_watch *watch, size_t watch_count)
{
    (void)self, (void)address, (void)count, (void)watch, (void)watch_count;
    return ERR_ok;
}

static enum err run(void *self, const struct replay_until *until,
                    struct replay_stop *ret_stop)
{
    (void)self;
    machine.icount = until->time.icount;
    if (machine.most < machine.icount)
        machine.most = machine.icount;
    *ret_stop = (struct replay_stop){.kind = REPLAY_STOP_TIME, .time = until->time};
    return ERR_ok;
}

static enum err save(void *self, struct replay_snapshot **ret_snapshot,
                     struct replay_page_list *ret_written)
{
    uint64_t *kept = malloc(sizeof *kept);
    (void)self;
    assert_non_null(kept);
    *kept = machine.icount;
    *ret_snapshot = (struct replay_snapshot *)(void *)kept;
    *ret_written = (struct replay_page_list){0};
    return ERR_ok;
}

static void load(void *self, const struct replay_snapshot *snapshot)
{
    (void)self;
    memcpy(&machine.icount, snapshot, sizeof machine.icount);
}

static void drop(void *self, struct replay_snapshot *snapshot)
{
    (void)self;
    free(snapshot);
}

static uint64_t snapshot_memory(void *self)
{
    (void)self;
    return 0;
}

static const struct replay_guest_ops ops = {.memory_read = memory_read,
                                            .time = now,
                                            .symbols = symbols,
                                            .modules = modules,
                                            .set_stops = set_stops,
                                            .run = run,
                                            .save = save,
                                            .load = load,
                                            .drop = drop,
                                            .snapshot_memory = snapshot_memory};
static struct replay_guest guest = {.ops = &ops, .end = {UINT64_MAX, 0}};
static struct replay_timeline *timeline;
static struct cli_linux_names names;
static char folder[] = "/tmp/lockstep-names-XXXXXX";
static char path[64];

/* ---- a module's file ---- */

enum { SECTION_COUNT = 6 };

static void write_module(void)
{
    static const char text[] = "\0.text\0.init.text\0.symtab\0.strtab\0";
    static const char strings[] = "\0probe\0start\0init_module\0counter\0away";
    struct {
        Elf32_Ehdr elf;
        Elf32_Shdr section[SECTION_COUNT];
        Elf32_Sym symbol[6];
        char strings[sizeof strings], text[sizeof text];
    } file = {.elf = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32},
                      .e_shoff = offsetof(__typeof__(file), section),
                      .e_shnum = SECTION_COUNT,
                      .e_shstrndx = 5}};
    file.section[1].sh_name = 1;
    file.section[2].sh_name = 7;
    file.section[3] = (Elf32_Shdr){.sh_name = 18,
                                   .sh_offset = offsetof(__typeof__(file), symbol),
                                   .sh_size = sizeof file.symbol};
    file.section[4] = (Elf32_Shdr){.sh_name = 26,
                                   .sh_offset = offsetof(__typeof__(file), strings),
                                   .sh_size = sizeof strings};
    file.section[5] = (Elf32_Shdr){.sh_offset = offsetof(__typeof__(file), text),
                                   .sh_size = sizeof text};
    file.symbol[1] = (Elf32_Sym){1, 0x10, 0x20, ELF32_ST_INFO(0, STT_FUNC), 0, 1};
    file.symbol[2] = (Elf32_Sym){7, 0, 0x40, ELF32_ST_INFO(0, STT_FUNC), 0, 2};
    file.symbol[3] = (Elf32_Sym){13, 0, 0x40, ELF32_ST_INFO(1, STT_FUNC), 0, 2};
    file.symbol[4] = (Elf32_Sym){25, 0x80, 4, ELF32_ST_INFO(1, STT_OBJECT), 0, 1};
    file.symbol[5] = (Elf32_Sym){33, 0, 4, ELF32_ST_INFO(1, STT_FUNC), 0, SHN_UNDEF};
    memcpy(file.strings, strings, sizeof strings);
    memcpy(file.text, text, sizeof text);
    assert_int_equal(os_file_write(path, bytes_of(&file, sizeof file)), ERR_ok);
}

static int set_up(void **state)
{
    const struct replay_timeline_options how = {.spacing = 1 << 20};
    (void)state;
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    assert_int_equal(os_folder_create_private(folder), ERR_ok);
    (void)snprintf(path, sizeof path, "%s/my-mod.ko", folder);
    write_module();
    machine = (struct guest){.mapped_at = MAPPED_AT};
    buf_init(&machine.kernel, 1 << 20);
    assert_int_equal(os_file_read("corpus/fuzz/linux_symbols/v6_1", &machine.kernel),
                     ERR_ok);
    machine.piece = (struct linux_piece){BASE, buf_bytes(&machine.kernel)};
    guest.symbols_after = (uint64_t)1 << 24;
    assert_int_equal(replay_timeline_create(&guest, &how, &timeline), ERR_ok);
    cli_linux_names_init(&names);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cli_linux_names_free(&names);
    replay_timeline_close(timeline);
    buf_fini(&machine.kernel);
    (void)!os_unlink(path);
    (void)!os_folder_remove(folder);
    return 0;
}

static void is_named(uint64_t pc, bool is_caller, const char *want)
{
    struct buf text;
    buf_init(&text, 4096);
    assert_int_equal(cli_linux_names_put(&names, pc, is_caller, &text), want != NULL);
    assert_string_equal(buf_string(&text), want ? want : "");
    buf_fini(&text);
}

static void is_at(const char *text, uint64_t want)
{
    uint64_t address = 0;
    assert_int_equal(cli_linux_names_address(&names, text, &address), want != 0);
    assert_int_equal(address, want);
}

static void go(uint64_t icount)
{
    const struct replay_time to = {icount, 0};
    assert_int_equal(replay_timeline_seek(timeline, to), ERR_ok);
}

/* ---- tests ---- */

/* Found behind the beginning, where the guest then still is. */
static void the_kernel_names_itself(void **state)
{
    uint64_t start = 0;
    (void)state;
    assert_int_equal(cli_linux_names_open(&names, timeline, NULL, true), ERR_ok);
    assert_int_equal(replay_timeline_now(timeline).icount, 0);
    is_named(BASE, false, "_text");
    is_named(BASE + 0x10, false, "fn_2");
    is_named(BASE + 0x1c, false, "fn_2+0xc");
    is_named(BASE + 0x20, true, "fn_2+0x10");
    is_named(BASE - 1, false, NULL);
    is_named(BASE + 0x10 + ((uint64_t)1 << 32), false, NULL);
    is_at("fn_4", BASE + 0x20);
    is_at("&fn_5", BASE + 0x20);
    is_at("fn_4+0x3", BASE + 0x23);
    is_at("fn_4+", 0);
    is_at("+1", 0);
    is_at("", 0);
    is_at("kernel:fn_4", 0);
    is_at("no_such_name", 0);
    assert_true(cli_linux_names_start(&names, BASE + 0x1c, &start));
    assert_int_equal(start, BASE + 0x10);
}

/* Code has two ranges; between and behind them nothing has the name of a function, and
 * data has an address only. */
static void names_end(void **state)
{
    (void)state;
    assert_int_equal(cli_linux_names_open(&names, timeline, NULL, true), ERR_ok);
    is_named(BASE + 0x63f, false, "fn_198+0xf");
    is_named(BASE + 0x640, false, NULL);
    is_named(BASE + 0x1640, false, NULL);
    is_named(BASE + 0x1650, false, "_sinittext");
    is_named(BASE + 0x194f, false, "fn_296+0xf");
    is_named(BASE + 0x1950, false, NULL);
    is_at("__init_begin", BASE + 0x1640);
}

/* A kernel that unpacks itself is not waited for much longer than it takes. */
static void a_kernel_can_unpack_itself(void **state)
{
    const struct replay_timeline_options how = {.spacing = 1 << 26};
    (void)state;
    guest.symbols_after = (uint64_t)1 << 32;
    machine.mapped_at = UNPACKED_AT;
    replay_timeline_close(timeline);
    assert_int_equal(replay_timeline_create(&guest, &how, &timeline), ERR_ok);
    assert_true(cli_symbols_far(timeline));
    assert_int_equal(cli_linux_names_open(&names, timeline, NULL, true), ERR_ok);
    is_named(BASE, false, "_text");
    assert_true(machine.most <= UNPACKED_AT + UNPACKED_AT / 8);
    go(UNPACKED_AT);
    assert_false(cli_symbols_far(timeline));
    guest.symbols_after = (uint64_t)1 << 24;
}

/* Not before its memory is there; `again` looks where the guest is. */
static void a_kernel_can_come_late(void **state)
{
    (void)state;
    guest.symbols_after = (uint64_t)1 << 21;
    replay_timeline_close(timeline);
    const struct replay_timeline_options how = {.spacing = 1 << 20};
    assert_int_equal(replay_timeline_create(&guest, &how, &timeline), ERR_ok);
    assert_int_equal(cli_linux_names_open(&names, timeline, NULL, true), ERR_ok);
    is_named(BASE, false, NULL);
    go(MAPPED_AT);
    assert_false(cli_linux_names_look(&names, false));
    is_named(BASE, false, NULL);
    assert_true(cli_linux_names_look(&names, true));
    is_named(BASE, false, "_text");
    assert_false(cli_linux_names_look(&names, true));
}

static void names_can_be_unwanted(void **state)
{
    (void)state;
    assert_int_equal(cli_linux_names_open(&names, timeline, NULL, false), ERR_ok);
    go(MAPPED_AT);
    assert_false(cli_linux_names_look(&names, true));
    is_named(BASE, false, NULL);
}

static void modules_come_and_go(void **state)
{
    const struct replay_module_section here[] = {{".text", TEXT}, {".init.text", INIT}};
    const struct replay_module_section there[] = {{".text", TEXT + 0x8000}};
    const struct replay_module first = {"my_mod", 0, TEXT + 0x900, TEXT, 0x1000,
                                        here,     2};
    const struct replay_module moved = {
        "my_mod", 0, TEXT + 0x8900, TEXT + 0x8000, 0x1000, there, 1};
    const struct replay_module other = {
        "other", 0, TEXT + 0x8940, TEXT + 0x8000, 0x1000, there, 1};
    (void)state;
    assert_int_equal(cli_linux_names_open(&names, timeline, folder, true), ERR_ok);
    assert_false(cli_linux_names_look(&names, false));
    is_at("probe", 0);
    machine.modules = (struct replay_module_list){&first, 1};
    assert_false(cli_linux_names_look(&names, false)); /* it has been here */
    go(10);
    assert_true(cli_linux_names_look(&names, false));
    is_named(TEXT + 0x12, false, "probe+0x2 [my_mod]");
    is_named(TEXT + 0x30, true, "probe+0x20 [my_mod]");
    is_named(TEXT + 0x30, false, NULL);
    is_named(INIT, false, "start [my_mod]");
    is_at("init_module", INIT);
    is_at("counter", TEXT + 0x80);
    is_at("my_mod:probe", TEXT + 0x10);
    is_at("my_mod:fn_4", 0);
    is_at("mod:probe", 0);
    is_at("away", 0);
    machine.modules.count = 0; /* before it was loaded: its names stay */
    go(5);
    assert_false(cli_linux_names_look(&names, false));
    is_at("probe", TEXT + 0x10);
    machine.modules = (struct replay_module_list){&moved, 1};
    go(20);
    assert_true(cli_linux_names_look(&names, false));
    is_at("probe", TEXT + 0x8010);
    is_at("start", 0);
    machine.modules = (struct replay_module_list){&other, 1};
    go(30);
    assert_true(cli_linux_names_look(&names, false));
    is_at("probe", 0);
    assert_int_equal(names.complaints.size, 0);
}

static void other_guests_have_none(void **state)
{
    static const struct replay_guest_ops plain = {.time = now,
                                                  .save = save,
                                                  .load = load,
                                                  .drop = drop,
                                                  .snapshot_memory = snapshot_memory};
    const struct replay_guest bare = {.ops = &plain};
    const struct replay_timeline_options how = {.spacing = 1 << 20};
    struct replay_timeline *line;
    (void)state;
    assert_int_equal(replay_timeline_create(&bare, &how, &line), ERR_ok);
    assert_int_equal(cli_linux_names_open(&names, line, NULL, true), ERR_ok);
    assert_false(cli_linux_names_look(&names, true));
    assert_int_equal(cli_linux_names_open(&names, line, folder, true), ERR_unsupported);
    assert_int_equal(cli_linux_names_open(&names, line, NULL, false), ERR_unsupported);
    assert_int_equal(cli_linux_names_open(&names, timeline, "/no/such/folder", true),
                     ERR_not_found);
    replay_timeline_close(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_kernel_names_itself, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_kernel_can_unpack_itself, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_kernel_can_come_late, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_can_be_unwanted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(modules_come_and_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_guests_have_none, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
