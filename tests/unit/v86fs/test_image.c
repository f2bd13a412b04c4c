/* SPDX-License-Identifier: MIT
 *
 * The canonical list of an image, its digest and what it refuses.
 */
#include "tests/unit/v86fs/world.h"

#include <string.h>

#define DIR(name)                                                                      \
    {                                                                                  \
        .path = {(const uint8_t *)(name), sizeof(name) - 1}, .mode = 040700,           \
        .mtime = {                                                                     \
            5,                                                                         \
            6                                                                          \
        }                                                                              \
    }
#define FILE_OF(name, text)                                                            \
    {                                                                                  \
        .path = {(const uint8_t *)(name), sizeof(name) - 1}, .mode = 0100640,          \
        .mtime = {-1, 2}, .data = {                                                    \
            (const uint8_t *)(text),                                                   \
            sizeof(text) - 1                                                           \
        }                                                                              \
    }
#define LINK(name, text)                                                               \
    {                                                                                  \
        .path = {(const uint8_t *)(name), sizeof(name) - 1}, .mode = 0120777,          \
        .data = {                                                                      \
            (const uint8_t *)(text),                                                   \
            sizeof(text) - 1                                                           \
        }                                                                              \
    }

static struct world world;

static int setup(void **unused)
{
    (void)unused;
    world_init(&world, NULL, NULL);
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    world_fini(&world);
    return 0;
}

static enum err load(const struct v86fs_image_entry *entries, size_t count,
                     uint64_t *ret_root, struct hash256 *ret_digest)
{
    return v86fs_image_load(world.mem, entries, count, ret_root, ret_digest);
}

static void test_good(void **unused)
{
    (void)unused;
    static const struct v86fs_image_entry entries[] = {
        DIR(""), DIR("a"), FILE_OF("a/f", "text"), FILE_OF("a.b", ""),
        LINK("l", "a/f")};
    uint64_t root, first = world.ids.next;
    struct hash256 digest, again;
    assert_int_equal(load(entries, countof(entries), &root, &digest), ERR_ok);
    assert_int_equal(root, first);
    struct v86fs_tree tree = v86fs_mem_tree(world.mem);
    assert_int_equal(v86fs_server_export(world.server, text("img"), tree, root, true),
                     ERR_ok);
    world_features(&world, V86FS_F1_ATTR2);
    assert_int_equal(ask(&world, LOOKUP, .node = root, .name = text("a")), 0);
    assert_int_equal(world.answer.attr.node, first + 1);
    assert_int_equal(ask(&world, GETATTR, .node = first + 1), 0);
    assert_int_equal(world.answer.attr.mtime.s, 5); /* not touched by its child */
    assert_int_equal(world.answer.attr.mode, 040700);
    assert_int_equal(ask(&world, GETATTR, .node = first + 2), 0);
    assert_int_equal(world.answer.attr.ctime.s, -1);
    assert_int_equal(ask(&world, READ, .node = first + 2, .count = 9), 0);
    assert_memory_equal(world.tail.data, "text", 4);
    assert_int_equal(
        ask(&world, WRITE, .node = first + 2, .count = 1, .data = text("x")),
        V86FS_EROFS);
    assert_int_equal(load(entries, countof(entries), &root, &again), ERR_ok);
    assert_true(hash256_equal(&digest, &again));
}

/* The digest, computed here from the words of the specification. */
static void test_digest(void **unused)
{
    (void)unused;
    static const struct v86fs_image_entry entries[] = {FILE_OF("f", "ab"),
                                                       LINK("l", "f")};
    static const uint8_t head[] = "V86FSIMG1\n"
                                  "\x08\xa0\x81\0\0\xff\xff\xff\xff\xff\xff\xff\xff"
                                  "\2\0\0\0\2\0\0\0\0\0\0\0\1\0f";
    static const uint8_t tail[] = "\x0a\xff\xa1\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                  "\1\0\0\0\0\0\0\0\1\0l\1\0f";
    uint64_t root;
    struct hash256 digest, content = hash256_of("ab", 2);
    struct bytes pieces[] = {bytes_of(head, sizeof head - 1),
                             bytes_of(content.byte, 32),
                             bytes_of(tail, sizeof tail - 1)};
    struct hash256 want = hash256_of_pieces(pieces, 3);
    assert_int_equal(load(entries, 2, &root, &digest), ERR_ok);
    assert_memory_equal(digest.byte, want.byte, 32);
}

static void refuse(const struct v86fs_image_entry *entries, size_t count)
{
    uint64_t root = 77;
    struct hash256 digest;
    assert_int_equal(load(entries, count, &root, &digest), ERR_v86fs_image);
    assert_int_equal(root, 77);
}

static void test_refuse(void **unused)
{
    (void)unused;
    static const struct v86fs_image_entry pairs[][2] = {
        {FILE_OF("a", ""), FILE_OF("a", "")},
        {FILE_OF("b", ""), FILE_OF("a", "")},
        {FILE_OF("a", ""), FILE_OF("a/b", "")},
        {DIR("a"), DIR("")},
        {DIR("a"), FILE_OF("a/", "")},
        {DIR("a"), FILE_OF("a//b", "")},
        {DIR("a"), FILE_OF("a/..", "")},
        {DIR("a"), FILE_OF("a/../b", "")},
        {DIR("a"), FILE_OF("b/c", "")},
        {DIR("a"), FILE_OF("/b", "")},
        {DIR("a"), FILE_OF("b\0c", "")},
        {DIR("a"), LINK("b", "")},
        {FILE_OF("", ""), DIR("a")},
        {DIR("a"), FILE_OF(".", "")},
        {LINK("a", "x"), FILE_OF("a/b", "")}};
    for (size_t i = 0; i < countof(pairs); i++)
        refuse(pairs[i], 2);
    struct v86fs_image_entry odd = FILE_OF("a", "");
    odd.mode = 0020644; /* a device */
    refuse(&odd, 1);
    odd.mode = 01100644;
    refuse(&odd, 1);
    odd.mode = 0100644;
    odd.mtime.ns = 1000000000;
    refuse(&odd, 1);
    odd = (struct v86fs_image_entry)DIR("a");
    odd.data = text("x");
    refuse(&odd, 1);
}

static void test_limits(void **unused)
{
    (void)unused;
    static uint8_t path[1024], data[17 << 20];
    struct v86fs_image_entry entries[257];
    uint64_t root;
    struct hash256 digest;
    for (size_t i = 0; i < sizeof path; i++)
        path[i] = i % 2 ? '/' : 'd';
    for (size_t i = 0; i < countof(entries); i++)
        entries[i] = (struct v86fs_image_entry){.path = bytes_of(path, 2 * i + 1),
                                                .mode = 040755};
    assert_int_equal(load(entries, 255, &root, &digest), ERR_ok);
    refuse(entries, 256);
    entries[0].mode = 0100644;
    entries[0].data = bytes_of(data, sizeof data); /* the quota is 16 MiB */
    assert_int_equal(load(entries, 1, &root, &digest), ERR_limit);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(good),
        TEST(digest),
        TEST(refuse),
        TEST(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
