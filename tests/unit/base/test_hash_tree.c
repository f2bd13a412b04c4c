/* SPDX-License-Identifier: MIT
 *
 * The incremental tree against the definition of trace-replay.md 7.2, for trees of all
 * heights.
 */
#include "base/hash_tree.h"
#include "tests/test.h"

#include <string.h>

enum { PAGES_MAX = 1 << 13 };

static struct hash256 leaf[PAGES_MAX], node[PAGES_MAX];

/* All of it, from the leaves. */
static struct hash256 definition(unsigned levels)
{
    memcpy(node, leaf, sizeof node);
    for (unsigned count = (1u << levels) / 2; count; count /= 2) {
        for (unsigned i = 0; i < count; i++)
            node[i] = hash256_of(&node[2 * i], 2 * sizeof *node);
    }
    return node[0];
}

static uint32_t random_state = 1;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)random_state * limit >> 32);
}

static void agrees(unsigned levels)
{
    struct arena arena;
    struct hash256_tree *tree;
    arena_init(&arena, 16 << 20);
    assert_int_equal(hash256_tree_create(&arena, levels, &tree), ERR_ok);
    for (unsigned i = 0; i < PAGES_MAX; i++)
        leaf[i] = *hash256_tree_zero(tree);
    for (unsigned round = 0; round < 6; round++) {
        struct hash256 expected = definition(levels), found = hash256_tree_root(tree);
        assert_true(hash256_equal(&expected, &found));
        for (unsigned count = random_below(40); count; count--) {
            uint32_t page = random_below(1u << levels);
            leaf[page] = hash256_of(&random_state, sizeof random_state);
            assert_int_equal(hash256_tree_reserve(tree, page), ERR_ok);
            hash256_tree_set(tree, page, &leaf[page]);
            assert_true(hash256_equal(hash256_tree_get(tree, page), &leaf[page]));
        }
    }
    arena_fini(&arena);
}

static void heights_agree(void **state)
{
    (void)state;
    for (unsigned levels = 0; levels <= 13; levels++)
        agrees(levels);
}

/* A tree of full height over zeros, by doubling. */
static void zeros_are_known(void **state)
{
    static const uint8_t zeros[HASH256_TREE_PAGE_SIZE];
    struct arena arena;
    struct hash256_tree *tree;
    (void)state;
    arena_init(&arena, 16 << 20);
    assert_int_equal(hash256_tree_create(&arena, HASH256_TREE_LEVELS_MAX, &tree),
                     ERR_ok);
    struct hash256 pair[2] = {hash256_of(zeros, sizeof zeros)};
    for (unsigned i = 0; i < HASH256_TREE_LEVELS_MAX; i++) {
        pair[1] = pair[0];
        pair[0] = hash256_of(pair, sizeof pair);
    }
    struct hash256 root = hash256_tree_root(tree);
    assert_true(hash256_equal(&root, &pair[0]));
    arena_fini(&arena);
}

static void memory_is_bounded(void **state)
{
    struct arena arena;
    struct hash256_tree *tree;
    (void)state;
    arena_init(&arena, 100000);
    assert_int_equal(hash256_tree_create(&arena, 20, &tree), ERR_ok);
    struct hash256 before = hash256_tree_root(tree);
    assert_int_equal(hash256_tree_reserve(tree, 5), ERR_nomem);
    struct hash256 after = hash256_tree_root(tree);
    assert_true(hash256_equal(&before, &after));
    arena_fini(&arena);
    arena_init(&arena, 1000);
    assert_int_equal(hash256_tree_create(&arena, 20, &tree), ERR_nomem);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heights_agree),
        cmocka_unit_test(zeros_are_known),
        cmocka_unit_test(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
