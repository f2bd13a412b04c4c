/* SPDX-License-Identifier: MIT
 *
 * A host directory in ordinary use: every operation, times, cookies, descriptors.
 */
#define _GNU_SOURCE
#include "tests/unit/hostfs/world.h"

#include <string.h>
#include <sys/stat.h>

#define CREATE(w, parent, called)                                                      \
    ask(w, CREATE, .node = (parent), .name = text(called), .mode = 0644)
#define WRITE(w, file, at, string)                                                     \
    ask(w, WRITE, .node = (file), .offset = (at), .count = (uint32_t)strlen(string),   \
        .data = text(string))

static void assert_text(struct bytes bytes, const char *string)
{
    assert_int_equal(bytes.size, strlen(string));
    assert_memory_equal(bytes.data, string, bytes.size);
}

static void test_files(void **state)
{
    struct world *w = *state;
    assert_int_equal(CREATE(w, w->root, "a"), 0);
    assert_int_equal(w->answer.attr.mode, 0100644);
    uint64_t a = w->answer.attr.node;
    assert_int_equal(CREATE(w, w->root, "a"), V86FS_EEXIST);
    assert_int_equal(WRITE(w, a, 0, "hello"), 0);
    assert_int_equal(WRITE(w, a, 8, "!"), 0);
    assert_string_equal(world_content(w, "root/a"), "hello");
    assert_int_equal(ask(w, READ, .node = a, .count = 100), 0);
    assert_int_equal(w->tail.size, 9);
    assert_memory_equal(w->tail.data, "hello\0\0\0!", 9);
    assert_int_equal(ask(w, SETATTR, .node = a, .valid = V86FS_SET_SIZE, .size = 3), 0);
    assert_string_equal(world_content(w, "root/a"), "hel");
    assert_int_equal(ask(w, LOOKUP, .node = w->root, .name = text("a")), 0);
    assert_int_equal(w->answer.attr.node, a);
    assert_int_equal(w->answer.attr.size, 3);
    assert_int_equal(ask(w, FSYNC, .node = a), 0);
    assert_int_equal(ask(w, FSYNC, .node = w->root), 0);
    assert_int_equal(ask(w, STATFS, .node = 0), 0);
    assert_true(w->answer.statfs.blocks > 0);
}

static void test_directories(void **state)
{
    struct world *w = *state;
    assert_int_equal(ask(w, MKDIR, .node = w->root, .name = text("d"), .mode = 0755),
                     0);
    uint64_t d = w->answer.attr.node;
    assert_int_equal(CREATE(w, d, "x"), 0);
    assert_int_equal(ask(w, SYMLINK, .node = d, .name = text("l"),
                         .target = text("../../etc/passwd")),
                     0);
    uint64_t l = w->answer.attr.node;
    assert_int_equal(w->answer.attr.mode, 0120777);
    assert_int_equal(ask(w, READLINK, .node = l), 0);
    assert_text(w->tail, "../../etc/passwd");
    assert_int_equal(ask(w, READLINK, .node = d), V86FS_ENOENT);
    assert_string_equal(world_list(w, d, 0), "l x");
    assert_int_equal(
        ask(w, UNLINK, .node = w->root, .name = text("d"), .flags = V86FS_REMOVEDIR),
        V86FS_ENOTEMPTY);
    assert_int_equal(ask(w, UNLINK, .node = w->root, .name = text("d")), V86FS_EISDIR);
    assert_int_equal(
        ask(w, UNLINK, .node = d, .name = text("x"), .flags = V86FS_REMOVEDIR),
        V86FS_ENOTDIR);
    assert_int_equal(ask(w, UNLINK, .node = d, .name = text("x")), 0);
    assert_int_equal(ask(w, UNLINK, .node = d, .name = text("l")), 0);
    assert_int_equal(ask(w, UNLINK, .node = d, .name = text("l")), V86FS_ENOENT);
    assert_int_equal(
        ask(w, UNLINK, .node = w->root, .name = text("d"), .flags = V86FS_REMOVEDIR),
        0);
    assert_int_equal(ask(w, GETATTR, .node = d), V86FS_ESTALE);
    assert_int_equal(CREATE(w, d, "x"), V86FS_ESTALE);
}

static void test_rename(void **state)
{
    struct world *w = *state;
    world_shell(w, "cd root; mkdir d e e/f; echo a >d/a; echo b >e/b");
    uint64_t d = world_node(w, "d"), e = world_node(w, "e"), a = world_node(w, "d/a");
    uint64_t b = world_node(w, "e/b"), f = world_node(w, "e/f");
#define MOVE(from, old, to, new, bits)                                                 \
    ask(w, RENAME, .node = (from), .name = text(old), .new_parent = (to),              \
        .new_name = text(new), .flags = (bits))
    assert_int_equal(MOVE(d, "a", e, "b", V86FS_RENAME_NOREPLACE), V86FS_EEXIST);
    assert_int_equal(MOVE(d, "a", e, "f", 0), V86FS_EISDIR);
    assert_int_equal(MOVE(w->root, "e", f, "x", 0), V86FS_EINVAL);
    assert_int_equal(MOVE(w->root, "d", w->root, "e", 0), V86FS_ENOTEMPTY);
    assert_int_equal(MOVE(d, "none", e, "x", 0), V86FS_ENOENT);
    assert_int_equal(MOVE(d, "a", e, "b", V86FS_RENAME_EXCHANGE), 0);
    assert_string_equal(world_content(w, "root/d/a"), "b\n");
    assert_int_equal(world_node(w, "d/a"), b);
    assert_int_equal(world_node(w, "e/b"), a);
    assert_int_equal(MOVE(e, "b", d, "a", 0), 0);
    assert_int_equal(world_node(w, "d/a"), a);
    assert_int_equal(ask(w, GETATTR, .node = b), V86FS_ESTALE);
    assert_int_equal(MOVE(w->root, "d", e, "d2", 0), 0);
    assert_int_equal(world_node(w, "e/d2/a"), a);
    assert_string_equal(world_content(w, "root/e/d2/a"), "a\n");
}

/* An unlinked open file lives until its last CLOSE. */
static void test_unlinked_open(void **state)
{
    struct world *w = *state;
    assert_int_equal(CREATE(w, w->root, "a"), 0);
    uint64_t a = w->answer.attr.node;
    assert_int_equal(WRITE(w, a, 0, "kept"), 0);
    assert_int_equal(ask(w, OPEN, .node = a, .flags = 2), 0);
    uint64_t handle = w->answer.opaque;
    assert_int_equal(ask(w, UNLINK, .node = w->root, .name = text("a")), 0);
    assert_int_equal(ask(w, LOOKUP, .node = w->root, .name = text("a")), V86FS_ENOENT);
    assert_int_equal(ask(w, READ, .node = handle, .count = 9), 0);
    assert_text(w->tail, "kept");
    assert_int_equal(WRITE(w, a, 4, "!"), 0);
    assert_int_equal(ask(w, GETATTR, .node = a), 0);
    assert_int_equal(w->answer.attr.size, 5);
    assert_int_equal(w->answer.attr.nlink, 0);
    assert_int_equal(ask(w, CLOSE, .node = handle), 0);
    assert_int_equal(ask(w, READ, .node = a, .count = 9), V86FS_ESTALE);
    assert_int_equal(ask(w, GETATTR, .node = a), V86FS_ESTALE);
}

static void assert_now(const struct world *w, struct v86fs_time time)
{
    assert_int_equal(time.s, w->now_ns / 1000000000);
    assert_int_equal(time.ns, w->now_ns % 1000000000);
}

static void test_times(void **state)
{
    struct world *w = *state;
    assert_int_equal(CREATE(w, w->root, "a"), 0);
    uint64_t a = w->answer.attr.node;
    assert_int_equal(ask(w, GETATTR, .node = a), 0);
    assert_now(w, w->answer.attr.mtime);
    assert_now(w, w->answer.attr.atime);
    assert_int_equal(ask(w, GETATTR, .node = w->root), 0);
    assert_now(w, w->answer.attr.mtime);
    w->now_ns += 5000000001;
    assert_int_equal(WRITE(w, a, 0, "x"), 0);
    assert_int_equal(ask(w, GETATTR, .node = a), 0);
    assert_now(w, w->answer.attr.mtime);
    w->now_ns += 5000000001;
    assert_int_equal(ask(w, SETATTR, .node = a, .valid = V86FS_SET_SIZE, .size = 0), 0);
    assert_int_equal(ask(w, GETATTR, .node = a), 0);
    assert_now(w, w->answer.attr.mtime);
    assert_int_equal(ask(w, SETATTR, .node = a,
                         .valid = V86FS_SET_MTIME | V86FS_SET_MTIME_TO,
                         .mtime = {.s = 1234567890, .ns = 5}),
                     0);
    assert_int_equal(ask(w, GETATTR, .node = a), 0);
    assert_int_equal(w->answer.attr.mtime.s, 1234567890);
    assert_int_equal(w->answer.attr.mtime.ns, 5);
    w->now_ns += 5000000001;
    assert_int_equal(ask(w, UNLINK, .node = w->root, .name = text("a")), 0);
    assert_int_equal(ask(w, GETATTR, .node = w->root), 0);
    assert_now(w, w->answer.attr.mtime);
}

/* Owner and the bits 07000 are not the guest's to give. */
static void test_modes(void **state)
{
    struct world *w = *state;
    assert_int_equal(ask(w, CREATE, .node = w->root, .name = text("a"), .mode = 06755),
                     0);
    assert_int_equal(w->answer.attr.mode, 0100755);
    uint64_t a = w->answer.attr.node;
    assert_int_equal(ask(w, SETATTR, .node = a, .valid = V86FS_SET_MODE, .mode = 07711),
                     0);
    assert_int_equal(ask(w, GETATTR, .node = a), 0);
    assert_int_equal(w->answer.attr.mode, 0100711);
    assert_int_equal(w->answer.attr.uid, 0);
    assert_int_equal(ask(w, SETATTR, .node = a, .valid = V86FS_SET_UID, .uid = 0), 0);
    assert_int_equal(ask(w, SETATTR, .node = a, .valid = V86FS_SET_UID, .uid = 1),
                     V86FS_EPERM);
    assert_int_equal(ask(w, CREATE, .node = w->root, .name = text("b"), .mode = 0666),
                     0);
    assert_int_equal(w->answer.attr.mode, 0100644); /* umask */
    assert_int_equal(
        ask(w, SYMLINK, .node = w->root, .name = text("l"), .target = text("a")), 0);
    assert_int_equal(ask(w, SETATTR, .node = w->answer.attr.node,
                         .valid = V86FS_SET_MODE, .mode = 0600),
                     V86FS_EOPNOTSUPP);
}

/* Cookies hold while names come and go. */
static void test_cookies(void **state)
{
    struct world *w = *state;
    world_shell(w, "cd root; touch b d f h");
    assert_string_equal(world_list(w, w->root, 0), "b d f h");
    assert_string_equal(world_list(w, w->root, 2), "f h");
    world_shell(w, "cd root; rm b f; touch a e");
    assert_string_equal(world_list(w, w->root, 2), "h a e");
    assert_string_equal(world_list(w, w->root, 4), "a e");
    assert_string_equal(world_list(w, w->root, 0), "d h a e");
    assert_string_equal(world_list(w, w->root, 6), "");
}

/* Many directories between two pages of one listing. */
static void test_listings_evicted(void **state)
{
    struct world *w = *state;
    world_shell(w, "cd root; for i in 1 2 3 4 5 6 7 8 9; do mkdir d$i d1$i d2$i; done");
    const char *all = "d1 d11 d12 d13 d14 d15 d16 d17 d18 d19 d2";
    assert_memory_equal(world_list(w, w->root, 0), all, strlen(all));
    for (unsigned i = 11; i <= 29; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "d%u", i == 20 ? 2 : i);
        assert_string_equal(world_list(w, world_node(w, name), 0), "");
    }
    assert_memory_equal(world_list(w, w->root, 1), all + 3, strlen(all + 3));
}

/* What the host changes behind the guest's back. */
static void test_host_changes(void **state)
{
    struct world *w = *state;
    world_shell(w, "cd root; mkdir d; echo one >d/a; echo two >b");
    uint64_t d = world_node(w, "d"), a = world_node(w, "d/a"), b = world_node(w, "b");
    world_shell(w, "cd root; mv d e; rm b; echo new >b");
    assert_int_equal(ask(w, GETATTR, .node = b), V86FS_ESTALE);
    assert_true(world_node(w, "b") != b);
    assert_int_equal(world_node(w, "e"), d); /* it is still that directory */
    assert_int_equal(world_node(w, "e/a"), a);
    world_shell(w, "rm -r root/e");
    assert_int_equal(ask(w, LOOKUP, .node = d, .name = text("a")), V86FS_ENOENT);
    assert_int_equal(ask(w, READ, .node = a, .count = 1), V86FS_ESTALE);
}

/* More files and depth than descriptors. */
static void test_few_descriptors(void **state)
{
    (void)state;
    struct world world, *w = &world;
    struct hostfs_dir_options options;
    hostfs_dir_options_init(&options);
    options.node_count_max = 2000;
    options.fd_count_max = 16;
    world_init(w, &options);
    uint64_t node[100], parent = w->root;
    for (unsigned i = 0; i < 100; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "f%u", i);
        assert_int_equal(ask(w, MKDIR, .node = parent, .name = text("d"), .mode = 0755),
                         0);
        parent = w->answer.attr.node;
        assert_int_equal(CREATE(w, parent, name), 0);
        node[i] = w->answer.attr.node;
        assert_true(hostfs_dir_fd_count(w->dir) <= 17);
    }
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(WRITE(w, node[(i * 37) % 100], 0, "x"), 0);
    unsigned opened = 0;
    uint32_t status = 0;
    while (!status && opened < 100)
        status = ask(w, OPEN, .node = node[opened++]);
    assert_int_equal(status, V86FS_ENFILE);
    assert_true(opened > 4);
    assert_int_equal(ask(w, READ, .node = node[0], .count = 1), 0);
    assert_text(w->tail, "x");
    world_fini(w);
}

/* A full node table is ENFILE, and what is known stays usable. */
static void test_node_limit(void **state)
{
    (void)state;
    struct world world, *w = &world;
    struct hostfs_dir_options options;
    hostfs_dir_options_init(&options);
    options.node_count_max = 3;
    options.entry_count_max = 4;
    world_init(w, &options);
    world_shell(w, "cd root; touch a b c d");
    uint64_t a = world_node(w, "a");
    (void)world_node(w, "b");
    assert_int_equal(ask(w, LOOKUP, .node = w->root, .name = text("c")), V86FS_ENFILE);
    assert_int_equal(ask(w, READDIR, .node = w->root), V86FS_ENFILE);
    assert_int_equal(ask(w, UNLINK, .node = w->root, .name = text("a")), 0);
    (void)world_node(w, "c");
    assert_int_equal(ask(w, GETATTR, .node = a), V86FS_ESTALE);
    world_shell(w, "touch root/e root/f");
    assert_int_equal(ask(w, READDIR, .node = w->root), V86FS_ENFILE);
    world_fini(w);
}

static void test_hard_links(void **state)
{
    struct world *w = *state;
    world_shell(w, "cd root; echo x >a; ln a b; mkdir d");
    uint64_t a = world_node(w, "a");
    assert_int_equal(world_node(w, "b"), a);
    assert_int_equal(world_node(w, "a"), a);
    assert_int_equal(ask(w, UNLINK, .node = w->root, .name = text("a")), 0);
    assert_int_equal(ask(w, GETATTR, .node = a), 0); /* it has another name */
    assert_int_equal(world_node(w, "b"), a);
    struct v86fs_tree tree = hostfs_dir_tree(w->dir);
    struct v86fs_call call = {
        .in = {.node = a, .new_parent = world_node(w, "d"), .new_name = text("c")}};
    assert_int_equal(tree.ops->link(tree.self, &call), 0);
    assert_int_equal(call.out.attr.nlink, 2);
    assert_int_equal(world_node(w, "d/c"), a);
    assert_int_equal(ask(w, RENAME, .node = w->root, .name = text("b"),
                         .new_parent = world_node(w, "d"), .new_name = text("c")),
                     0);
    assert_string_equal(world_content(w, "root/d/c"), "x\n");
}

/* A file that is made read-only can be written by who has it open. */
static void test_read_only_file(void **state)
{
    struct world *w = *state;
    assert_int_equal(ask(w, CREATE, .node = w->root, .name = text("ro"), .mode = 0444),
                     0);
    uint64_t node = w->answer.attr.node;
    assert_int_equal(ask(w, OPEN, .node = node, .flags = 2), 0);
    assert_int_equal(WRITE(w, node, 0, "object"), 0);
    assert_string_equal(world_content(w, "root/ro"), "object");
    assert_int_equal(WRITE(w, node, UINT64_C(1) << 63, "x"), V86FS_EFBIG);
}

static int setup(void **state)
{
    *state = malloc(sizeof(struct world));
    if (!*state)
        return -1;
    world_init(*state, NULL);
    return 0;
}

static int teardown(void **state)
{
    world_fini(*state);
    free(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_files),
        TEST(test_directories),
        TEST(test_rename),
        TEST(test_unlinked_open),
        TEST(test_times),
        TEST(test_modes),
        TEST(test_cookies),
        TEST(test_listings_evicted),
        TEST(test_host_changes),
        cmocka_unit_test(test_few_descriptors),
        cmocka_unit_test(test_node_limit),
        TEST(test_hard_links),
        TEST(test_read_only_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
