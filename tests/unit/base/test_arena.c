/* SPDX-License-Identifier: MIT */
#include "base/arena.h"

#include "tests/test.h"

#include <string.h>

static void test_alignment_and_zero(void **unused)
{
    (void)unused;
    struct arena arena;
    uint64_t seed = test_seed(1);
    arena_init(&arena, (size_t)1 << 20);
    for (unsigned i = 0; i < 2000; i++) {
        size_t align = (size_t)1 << (test_random(&seed) % 7);
        size_t size = test_random(&seed) % 300;
        uint8_t *data = arena_alloc(&arena, size, align);
        assert_non_null(data);
        assert_int_equal((uintptr_t)data % align, 0);
        for (size_t j = 0; j < size; j++)
            assert_int_equal(data[j], 0);
        memset(data, 0xa5, size);
    }
    arena_fini(&arena);
}

/* Allocations never overlap: each is filled with its own number, all checked later. */
static void test_no_overlap(void **unused)
{
    (void)unused;
    enum { COUNT = 500 };
    struct arena arena;
    uint8_t *data[COUNT];
    size_t size[COUNT];
    uint64_t seed = test_seed(2);
    arena_init(&arena, (size_t)64 << 20);
    for (unsigned i = 0; i < COUNT; i++) {
        size[i] = test_random(&seed) % (i % 50 == 0 ? 200000 : 700);
        data[i] = arena_alloc(&arena, size[i], 8);
        assert_non_null(data[i]);
        memset(data[i], (int)(i & 0xff), size[i]);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        for (size_t j = 0; j < size[i]; j++)
            assert_int_equal(data[i][j], i & 0xff);
    }
    arena_fini(&arena);
}

/* With every limit from 0: what was handed out never exceeds it, and a failed call
 * changes nothing that a smaller one could feel. */
static void test_every_limit(void **unused)
{
    (void)unused;
    for (size_t limit = 0; limit < 4000; limit++) {
        struct arena arena;
        size_t sum = 0;
        arena_init(&arena, limit);
        while (arena_alloc(&arena, 7, 1))
            sum += 7;
        assert_true(sum <= limit && arena.used <= limit);
        assert_true(sum + 7 > limit); /* align 1 wastes nothing */
        size_t rest = limit - sum;
        if (rest)
            assert_non_null(arena_alloc(&arena, rest, 1));
        assert_null(arena_alloc(&arena, 1, 1));
        assert_int_equal(arena.used, limit);
        arena_fini(&arena);
    }
}

/* A caller that keeps asking for too much must not make the process grow. */
static void test_failures_do_not_grow(void **unused)
{
    (void)unused;
    struct arena arena;
    arena_init(&arena, 100000);
    assert_non_null(arena_alloc(&arena, 99990, 1));
    while (arena_alloc(&arena, 5, 64)) { /* whether one fits depends on malloc */
    }
    const struct arena_block *block = arena.block;
    for (unsigned i = 0; i < 1000; i++) {
        assert_null(arena_alloc(&arena, 5, 64));
        assert_ptr_equal(arena.block, block);
    }
    arena_fini(&arena);
}

static void test_overflow(void **unused)
{
    (void)unused;
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    assert_null(arena_alloc_array(&arena, SIZE_MAX / 2, 3, 8));
    assert_null(arena_alloc_array(&arena, SIZE_MAX, SIZE_MAX, 8));
    assert_null(arena_alloc(&arena, SIZE_MAX, 8));
    assert_null(arena_alloc(&arena, SIZE_MAX - 64, 64));
    assert_null(arena_alloc(&arena, SIZE_MAX - 200, 64));
    assert_non_null(arena_alloc_array(&arena, 0, SIZE_MAX, 8));
    assert_non_null(arena_new_array(&arena, uint64_t, 3));
    arena_fini(&arena);
}

static void test_copy(void **unused)
{
    (void)unused;
    struct arena arena;
    arena_init(&arena, 10);
    assert_memory_equal(arena_copy(&arena, "lockstep", 9), "lockstep", 9);
    assert_non_null(arena_copy(&arena, NULL, 0));
    assert_null(arena_copy(&arena, "x", 1));
    arena_fini(&arena);
    struct arena zero = {0};
    arena_fini(&zero);
    assert_null(arena_alloc(&zero, 1, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alignment_and_zero),
        cmocka_unit_test(test_no_overlap),
        cmocka_unit_test(test_every_limit),
        cmocka_unit_test(test_failures_do_not_grow),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
