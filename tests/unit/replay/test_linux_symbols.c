/* SPDX-License-Identifier: MIT
 *
 * The symbols of a Linux kernel, found in a piece of memory that is made up here, with
 * the layouts of several versions, and with lies of every kind.
 */
#include "tests/test.h"

#include "base/err.h"
#include "replay/linux_symbols.h"

#include <stdio.h>
#include <string.h>

#define BASE UINT32_C(0xff000000)
enum { SIZE = 1 << 16, COUNT = 600, LONG = 300, LONG_SIZE = 400 };

/* What scripts/kallsyms.c has written in some version. */
struct layout {
    const char *version;
    bool offsets; /* and a base; else words */
    bool last;    /* addresses are behind the tokens */
    bool order;   /* there is the order of names */
};
static const struct layout layouts[] = {
    {"4.6 without a base", false, false, false}, {"4.6", true, false, false},
    {"6.1 of Debian", true, false, true},        {"6.4", true, true, true},
    {"6.4 without a base", false, true, false},
};

/* Where the parts are. */
static uint32_t number, names, markers, tokens, offsets, addresses, base_at;
static uint8_t bytes[SIZE];
static uint32_t end;
static struct arena arena;

static size_t read_bytes(void *self, uint64_t address, uint8_t *data, size_t size)
{
    (void)self;
    if (address < BASE || address - BASE >= SIZE)
        return 0;
    size_t there = SIZE - (size_t)(address - BASE);
    size = size < there ? size : there;
    memcpy(data, bytes + (address - BASE), size);
    return size;
}

static void set(uint32_t at, uint32_t word, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        bytes[at + i] = (uint8_t)(word >> (8 * i));
}

static void put(uint32_t word, unsigned size)
{
    set(end, word, size);
    end += size;
}

static void align(void)
{
    end = (end + 3) & ~3u;
}

/* ---- the kernel ---- */

static uint32_t address_of(unsigned index)
{
    return BASE + (index < 2 ? 0 : index / 2 * 16);
}

/* The letter of its type, and its name. */
static void name_symbol(unsigned index, char *ret_name)
{
    if (index < 2)
        (void)sprintf(ret_name, "T%s", index ? "_stext" : "_text");
    else
        (void)sprintf(ret_name, "%cfn_%u", index % 2 ? 't' : 'T', index);
    if (index == LONG)
        memset(ret_name + 1, 'x', LONG_SIZE);
    if (index == LONG)
        ret_name[1 + LONG_SIZE] = 0;
}

/* The tokens are all letters and digits, "fn_" and some that nobody uses. */
static void put_tokens(void)
{
    uint32_t offset[256];
    align();
    tokens = end;
    for (unsigned i = 0; i < 256; i++) {
        offset[i] = end - tokens;
        if (i == 1)
            end += (uint32_t)sprintf((char *)bytes + end, "fn_");
        else if (i > ' ' && i <= '~')
            put(i, 1);
        else if (i >= 128 && i < 200)
            end += (uint32_t)sprintf((char *)bytes + end, "no_%u", i);
        put(0, 1);
    }
    align();
    offsets = end;
    for (unsigned i = 0; i < 256; i++)
        put(offset[i], 2);
}

static void put_name(unsigned index)
{
    char name[LONG_SIZE + 8], *from = name;
    uint8_t token[LONG_SIZE + 8];
    uint32_t count = 0;
    name_symbol(index, name);
    for (; *from; count++) {
        bool is_fn = strncmp(from, "fn_", 3) == 0;
        token[count] = is_fn ? 1 : (uint8_t)*from;
        from += is_fn ? 3 : 1;
    }
    put(count < 128 ? count : (count & 0x7f) | 0x80, 1);
    if (count >= 128)
        put(count >> 7, 1);
    memcpy(bytes + end, token, count);
    end += count;
}

static void put_names(bool order)
{
    uint32_t marker[COUNT / 256 + 1];
    align();
    number = end;
    put(COUNT, 4);
    names = end;
    for (unsigned i = 0; i < COUNT; i++) {
        if (i % 256 == 0)
            marker[i / 256] = end - names;
        put_name(i);
    }
    align();
    markers = end;
    for (unsigned i = 0; i < COUNT / 256 + 1; i++)
        put(marker[i], 4);
    for (unsigned i = 0; order && i < COUNT; i++)
        put(i * 11 % COUNT << 8, 3);
}

static void put_addresses(const struct layout *layout)
{
    align();
    addresses = end;
    for (unsigned i = 0; i < COUNT; i++)
        put(address_of(i) - (layout->offsets ? BASE : 0), 4);
    base_at = end;
    if (layout->offsets)
        put(BASE, 4);
}

static void build(const struct layout *layout)
{
    memset(bytes, 0, sizeof bytes);
    end = 0x1234;
    /* Ten digits that are no tokens. */
    memcpy(bytes + 0x100, "0\0001\0002\0003\0004\0005\0006\0007\0008\0009", 20);
    if (!layout->last)
        put_addresses(layout);
    put_names(layout->order);
    put_tokens();
    if (layout->last)
        put_addresses(layout);
    assert_true(end < SIZE);
}

/* ---- finding it ---- */

static struct replay_symbol_list find(void)
{
    const struct replay_linux_memory memory = {read_bytes, NULL, BASE};
    struct replay_symbol_list list;
    arena_fini(&arena);
    arena_init(&arena, (size_t)64 << 20);
    assert_int_equal(replay_linux_symbols(&memory, &arena, &list), ERR_ok);
    return list;
}

static void all_are_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(layouts); i++) {
        build(&layouts[i]);
        struct replay_symbol_list list = find();
        if (list.count != COUNT)
            fail_msg("%s: %zu symbols", layouts[i].version, list.count);
        assert_int_equal(list.tokens, BASE + tokens);
        for (unsigned k = 0; k < COUNT; k++) {
            char name[LONG_SIZE + 8];
            name_symbol(k, name);
            assert_int_equal(list.item[k].address, address_of(k));
            assert_int_equal(list.item[k].type, name[0]);
            assert_string_equal(list.item[k].name, name + 1);
        }
    }
}

static void numbers_are_no_symbols(void **state)
{
    (void)state;
    build(&layouts[0]);
    set(addresses, 0x1000, 4); /* the linker's, below the kernel */
    struct replay_symbol_list list = find();
    assert_int_equal(list.count, COUNT - 1);
    assert_string_equal(list.item[0].name, "_stext");
}

/* One byte is another, and the tables do not agree. */
static void what_lies_is_not_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(layouts); i++) {
        for (size_t k = 0; k < 7; k++) {
            build(&layouts[i]);
            const uint32_t place[] = {number,           names,  markers + 4,
                                      markers + 8,      tokens, offsets + 2 * 'a',
                                      offsets + 2 * 255};
            bytes[place[k]] ^= 3;
            if (find().count)
                fail_msg("%s: lie %zu", layouts[i].version, k);
        }
        build(&layouts[i]);
        bytes[tokens + 1] = ' '; /* a blank in a name */
        assert_int_equal(find().count, 0);
    }
}

static void addresses_ascend_from_a_base(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(layouts); i++) {
        build(&layouts[i]);
        set(addresses + 4 * 300, 0xffffff00, 4);
        assert_int_equal(find().count, 0);
    }
    build(&layouts[2]);
    set(base_at, BASE + 8, 4); /* no page */
    assert_int_equal(find().count, 0);
    set(base_at, 0x1000, 4); /* not in the kernel */
    assert_int_equal(find().count, 0);
    set(base_at, 0xfffff000, 4); /* too high for the last */
    assert_int_equal(find().count, 0);
    set(base_at, BASE + 0x1000, 4); /* moved as a whole */
    assert_int_equal(find().count, COUNT);
    assert_int_equal(find().item[5].address, address_of(5) + 0x1000);
}

static void a_kernel_has_a_start(void **state)
{
    (void)state;
    build(&layouts[1]);
    memcpy(bytes + names, "\6T_texu\7T_stexu", 15);
    assert_int_equal(find().count, 0);
    memcpy(bytes + names, "\6T_texu\7T_stext", 15);
    assert_int_equal(find().count, COUNT);
}

/* A name of tokens that expand to more than a name may have. */
static void names_are_short(void **state)
{
    (void)state;
    build(&layouts[1]);
    struct replay_symbol_list list = find();
    assert_int_equal(strlen(list.item[LONG].name), LONG_SIZE);
    uint32_t at = names;
    while (memcmp(bytes + at, "xxxxxxxx", 8) != 0)
        at++;
    memset(bytes + at, 1, LONG_SIZE); /* "fn_" each */
    assert_int_equal(find().count, 0);
}

static void check_list(struct replay_symbol_list list)
{
    for (size_t i = 0; i < list.count; i++) {
        size_t size = strlen(list.item[i].name);
        assert_in_range(size, 1, REPLAY_SYMBOL_NAME_SIZE - 1);
        assert_true(!i || list.item[i].address >= list.item[i - 1].address);
    }
}

static void noise_does_no_harm(void **state)
{
    (void)state;
    uint64_t seed = test_seed(12);
    for (unsigned round = 0; round < 300; round++) {
        build(&layouts[round % countof(layouts)]);
        for (unsigned i = 0; i < 1 + round % 4; i++) {
            uint32_t at = (uint32_t)(test_random(&seed) % end);
            bytes[at] = (uint8_t)test_random(&seed);
        }
        check_list(find());
    }
}

/* Zeros in front of the tokens, each of which could be where the markers begin. */
static void a_search_ends(void **state)
{
    (void)state;
    build(&layouts[1]);
    for (uint32_t at = 0; at + 12 <= markers; at += 12) {
        set(at, 0, 4);
        set(at + 4, 1000, 4);
        set(at + 8, 2000, 4);
    }
    assert_int_equal(find().count, 0);
}

static void without_memory_there_is_an_error(void **state)
{
    (void)state;
    const struct replay_linux_memory memory = {read_bytes, NULL, BASE};
    struct replay_symbol_list list;
    enum err err = ERR_nomem;
    build(&layouts[1]);
    for (size_t size = 0; err; size += 1 << 20) {
        struct arena small;
        assert_true(size < (size_t)64 << 20);
        arena_init(&small, size);
        err = replay_linux_symbols(&memory, &small, &list);
        assert_true(err == ERR_ok || err == ERR_nomem);
        arena_fini(&small);
    }
    assert_int_equal(list.count, COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_found),
        cmocka_unit_test(numbers_are_no_symbols),
        cmocka_unit_test(what_lies_is_not_taken),
        cmocka_unit_test(addresses_ascend_from_a_base),
        cmocka_unit_test(a_kernel_has_a_start),
        cmocka_unit_test(names_are_short),
        cmocka_unit_test(noise_does_no_harm),
        cmocka_unit_test(a_search_ends),
        cmocka_unit_test(without_memory_there_is_an_error),
    };
    int status = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&arena);
    return status;
}
