/* SPDX-License-Identifier: MIT
 *
 * The modules of a Linux kernel, found in a piece of memory that is made up here, with
 * the layouts of several versions, and with lies of every kind.
 */
#include "tests/test.h"

#include "replay/linux_modules.h"

#include <string.h>

#define BASE UINT32_C(0xf8000000)
#define HEAD (BASE + 0x100)
enum { SIZE = 1 << 18, LISTED = 4, NAMED = 12 };

/* Where the kernel has what; the tables are those of include/linux/sysfs.h. */
struct layout {
    const char *version;
    uint32_t table;               /* in struct module, the pointer to the sections */
    uint32_t first, stride;       /* in the table */
    uint32_t address, name_again; /* in an entry; 0: the name is there once */
};
static const struct layout layouts[] = {
    {"4.19: module_attribute, name, address", 300, 24, 36, 32, 28},
    {"6.1: bin_attribute, address", 436, 24, 36, 32, 0},
    {"6.14: bin_attribute with the address in it", 520, 20, 32, 12, 0},
};
static const char *const sections[] = {".text", "__param", ".data",
                                       ".gnu.linkonce.this_module", ".bss"};

static uint8_t bytes[SIZE];
static uint32_t text_end; /* the next name goes there */
static uint64_t read_count;
static struct arena arena;

static size_t read_bytes(void *self, uint64_t address, uint8_t *data, size_t size)
{
    (void)self;
    read_count++;
    if (address < BASE || address - BASE >= SIZE)
        return 0;
    size_t there = SIZE - (size_t)(address - BASE);
    size = size < there ? size : there;
    memcpy(data, bytes + (address - BASE), size);
    return size;
}

static void put(uint32_t address, uint32_t word)
{
    for (unsigned i = 0; i < 4; i++)
        bytes[address - BASE + i] = (uint8_t)(word >> (8 * i));
}

static uint32_t put_text(const char *text)
{
    uint32_t at = text_end;
    memcpy(bytes + (at - BASE), text, strlen(text) + 1);
    text_end += (uint32_t)strlen(text) + 1;
    return at;
}

static void put_table(uint32_t address, uint32_t module, const struct layout *layout)
{
    for (uint32_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        uint32_t entry = address + layout->first + i * layout->stride;
        uint32_t name = put_text(sections[i]);
        bool own = strcmp(sections[i], ".gnu.linkonce.this_module") == 0;
        put(entry, name);
        if (layout->name_again)
            put(entry + layout->name_again, name);
        put(entry + layout->address, own ? module : module - 0x800 + 0x100 * i);
    }
}

static void link_to(uint32_t from, uint32_t to)
{
    put(from + LISTED, to + LISTED);
    put(to + LISTED + 4, from + LISTED);
}

static uint32_t place_of(unsigned index)
{
    return BASE + 0x4000 + 0x4000 * index + 0x840;
}

/* `count` modules, the first one at the head's right side. */
static void build(unsigned count, const struct layout *layout)
{
    char name[8] = "mod_0";
    uint32_t before = HEAD - LISTED;
    memset(bytes, 0, sizeof bytes);
    text_end = BASE + 0x800;
    for (unsigned i = 0; i < count; i++) {
        uint32_t module = place_of(i);
        name[4] = (char)('0' + i);
        put(module, i ? 0 : 1);
        memcpy(bytes + (module + NAMED - BASE), name, sizeof name);
        put(module + 256, module & ~0xfffu);
        put(module + 260, 0x3000);
        put(module + layout->table, module + 0x1000);
        put_table(module + 0x1000, module, layout);
        link_to(before, module);
        before = module;
    }
    link_to(before, HEAD - LISTED);
}

static struct replay_module_list find(void)
{
    const struct replay_linux_memory memory = {read_bytes, NULL, BASE};
    struct replay_module_list list;
    arena_clear(&arena);
    read_count = 0;
    assert_int_equal(replay_linux_modules(&memory, &arena, &list), ERR_ok);
    return list;
}

static void all_are_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
        build(3, &layouts[i]);
        struct replay_module_list list = find();
        if (list.count != 3)
            fail_msg("%s: %zu modules", layouts[i].version, list.count);
        for (unsigned k = 0; k < 3; k++) {
            const struct replay_module *module = &list.item[k];
            assert_int_equal(module->address, place_of(k));
            assert_int_equal(module->name[4], '0' + k);
            assert_int_equal(module->state, k ? 0 : 1);
            assert_int_equal(module->base, place_of(k) & ~0xfffu);
            assert_int_equal(module->size, 0x3000);
            assert_int_equal(module->section_count, 5);
            assert_string_equal(module->section[2].name, ".data");
            assert_int_equal(module->section[2].address, place_of(k) - 0x600);
        }
    }
}

static void what_is_not_ready_is_left_out(void **state)
{
    (void)state;
    build(3, &layouts[1]);
    put(place_of(1) + layouts[1].table, 0); /* no sections yet */
    assert_int_equal(find().count, 2);
    assert_string_equal(find().item[1].name, "mod_2");
    build(0, &layouts[1]);
    assert_int_equal(find().count, 0);
}

/* Each time one lie, and what is left. */
static void lies_are_not_believed(void **state)
{
    (void)state;
    const struct layout *l = &layouts[1];
    uint32_t module = place_of(1);
    build(3, l);
    put(module + LISTED, BASE + 0x3000); /* leads away */
    assert_true(find().count <= 2);
    build(3, l);
    put(module + LISTED, module + LISTED); /* to itself */
    assert_true(find().count <= 2);
    build(3, l);
    link_to(place_of(2), module); /* back into the list, not to its head */
    assert_true(find().count <= 3);
    build(3, l);
    put(module + l->table, 0xfffffffc); /* a table at the end of memory */
    assert_int_equal(find().count, 2);
    build(3, l);
    put(module + 0x1000 + l->first + 3 * l->stride + l->address, module + 4);
    assert_int_equal(find().count, 2); /* another module's sections */
    build(3, l);
    memset(bytes + (module + NAMED - BASE), 'a', 60); /* a name without end */
    assert_true(find().count <= 2);
    build(3, l);
    bytes[module + NAMED - BASE] = '\n';
    assert_true(find().count <= 2);
}

/* Things that look like modules everywhere, whose tables are all the same endless one.
 */
static void suspects_are_counted(void **state)
{
    (void)state;
    memset(bytes, 0, sizeof bytes);
    text_end = BASE + 8;
    uint32_t name = put_text(".text");
    for (uint32_t at = BASE + 0x1000; at < BASE + SIZE; at += 32) {
        link_to(at, at);
        bytes[at + NAMED - BASE] = 'x';
        put(at + NAMED + 4, name);
        put(at + NAMED + 8, BASE + 0x1000);
    }
    assert_int_equal(find().count, 0);
    assert_true(read_count < 20000000);
}

/* A module that is one of 2,000: the list is cut. */
static void long_lists_are_cut(void **state)
{
    (void)state;
    const struct layout *l = &layouts[1];
    uint32_t table = BASE + 0x400, before = HEAD - LISTED;
    build(0, l);
    put_table(table, 0, l);
    assert_true(text_end < BASE + 0x1000);
    for (uint32_t at = BASE + 0x1000; at + 96 < BASE + SIZE; at += 96) {
        bytes[at + NAMED - BASE] = 'x';
        link_to(before, at);
        before = at;
    }
    link_to(before, HEAD - LISTED);
    uint32_t module = BASE + 0x1000; /* the only one whose table is good */
    put(module + 72, table);
    put(table + l->first + 3 * l->stride + l->address, module);
    struct replay_module_list list = find();
    assert_int_equal(list.count, 1);
    assert_int_equal(list.item[0].address, module);
}

static void noise_does_no_harm(void **state)
{
    (void)state;
    uint64_t seed = test_seed(11);
    for (unsigned round = 0; round < 60; round++) {
        build(3, &layouts[round % 3]);
        for (unsigned i = 0; i < 40; i++) {
            uint32_t at = place_of((unsigned)(test_random(&seed) % 3));
            at += (uint32_t)(test_random(&seed) % 0x1100) & ~3u;
            put(at, test_random(&seed) % 2 ? (uint32_t)test_random(&seed)
                                           : at + (uint32_t)test_random(&seed) % 256);
        }
        if (find().count > 3)
            test_reproduce("replay_linux_modules", test_seed(11));
        assert_true(find().count <= 3);
    }
}

static void without_memory_there_is_an_error(void **state)
{
    (void)state;
    const struct replay_linux_memory memory = {read_bytes, NULL, BASE};
    struct replay_module_list list;
    enum err err = ERR_nomem;
    build(3, &layouts[1]);
    for (size_t size = 0; err; size += 20000) {
        struct arena small;
        assert_true(size < 4000000);
        arena_init(&small, size);
        err = replay_linux_modules(&memory, &small, &list);
        assert_true(err == ERR_ok || err == ERR_nomem);
        arena_fini(&small);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_found),
        cmocka_unit_test(what_is_not_ready_is_left_out),
        cmocka_unit_test(lies_are_not_believed),
        cmocka_unit_test(suspects_are_counted),
        cmocka_unit_test(long_lists_are_cut),
        cmocka_unit_test(noise_does_no_harm),
        cmocka_unit_test(without_memory_there_is_an_error),
    };
    arena_init(&arena, (size_t)64 << 20);
    int status = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&arena);
    return status;
}
