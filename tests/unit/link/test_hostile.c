/* SPDX-License-Identifier: MIT
 *
 * Damaged objects: every truncation and many changes of every byte of three of them
 * (guest-toolchain.md 11.5).  The linker answers with a problem or with a program; its
 * own check of each program is part of linking.
 */
#include "tests/test.h"

#include "tests/unit/link/world.h"

#include <string.h>

static const char *const file[] = {"align", "norelax", "got"};

static void read_object(const char *name, struct world *world)
{
    char path[64];
    world_init(world);
    snprintf(path, sizeof path, "corpus/link/%s.o", name);
    world_add_file(world, path, name);
    world_add_file(world, "corpus/link/values.o", "values.o");
    world->options.format = LINK_FORMAT_SPI;
    world->options.map = true;
    world->options.debug = true;
}

static enum err link_bytes(struct world *world, struct bytes content)
{
    struct arena arena;
    struct link_problems problems;
    struct link_result result;
    struct link_input input[2] = {world->input[0], world->input[1]};
    input[0].content = content;
    arena_init(&arena, (size_t)1 << 28);
    enum err err = link_objects(&arena, input, 2, &world->options, &problems, &result);
    if (err)
        assert_true(problems.count > 0);
    for (uint32_t i = 0; i < problems.count; i++) {
        for (const char *c = problems.list[i].text; *c; c++)
            assert_true(*c >= ' ' && *c <= '~');
    }
    arena_fini(&arena);
    return err;
}

static void test_truncations(void **state)
{
    (void)state;
    for (size_t f = 0; f < countof(file); f++) {
        struct world world;
        read_object(file[f], &world);
        struct bytes whole = world.input[0].content;
        assert_int_equal(link_bytes(&world, whole), ERR_ok);
        for (size_t size = 0; size < whole.size; size++) {
            /* A copy of its own size, so that a sanitizer sees reads behind it. */
            uint8_t *copy = malloc(size ? size : 1);
            assert_non_null(copy);
            memcpy(copy, whole.data, size);
            assert_int_not_equal(link_bytes(&world, bytes_of(copy, size)), ERR_ok);
            free(copy);
        }
        world_fini(&world);
    }
}

static void test_changes(void **state)
{
    (void)state;
    for (size_t f = 0; f < countof(file); f++) {
        struct world world;
        read_object(file[f], &world);
        struct bytes whole = world.input[0].content;
        uint8_t *copy = malloc(whole.size);
        assert_non_null(copy);
        memcpy(copy, whole.data, whole.size);
        for (size_t at = 0; at < whole.size; at++) {
            for (unsigned change = 0; change < 12; change++) {
                static const uint8_t other[] = {0, 0xff, 0x80, 0x7f};
                copy[at] = change < 8 ? (uint8_t)(whole.data[at] ^ 1u << change)
                                      : other[change - 8];
                (void)link_bytes(&world, bytes_of(copy, whole.size));
            }
            copy[at] = whole.data[at];
        }
        free(copy);
        world_fini(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncations),
        cmocka_unit_test(test_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
