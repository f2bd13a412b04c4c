/* SPDX-License-Identifier: MIT
 *
 * Semantics that no row of the error table shows: lives of nodes, times, cookies,
 * several mounts, late answers, hard links, files with a position.
 */
#include "tests/unit/v86fs/world.h"

#include <string.h>

#define SECOND UINT64_C(1000000000)

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

static uint64_t create(uint64_t parent, const char *name)
{
    assert_int_equal(ask(&world, CREATE, .node = parent, .name = text(name)), 0);
    return world.answer.attr.node;
}

static const struct v86fs_attr *getattr(uint64_t node)
{
    assert_int_equal(ask(&world, GETATTR, .node = node), 0);
    return &world.answer.attr;
}

static void test_unlinked_open_file(void **unused)
{
    (void)unused;
    assert_int_equal(ask(&world, OPEN, .node = WORLD_HELLO), 0);
    uint64_t one = world.answer.opaque;
    assert_int_equal(ask(&world, OPEN, .node = WORLD_HELLO), 0);
    uint64_t two = world.answer.opaque;
    assert_int_equal(ask(&world, UNLINK, .node = 1, .name = text("hello.txt")), 0);
    assert_int_equal(ask(&world, CLOSE, .node = one), 0);
    assert_int_equal(
        ask(&world, WRITE, .node = WORLD_HELLO, .count = 1, .data = text("J")), 0);
    assert_int_equal(ask(&world, READ, .node = two, .count = 100), 0);
    assert_memory_equal(world.tail.data, "Jello world\n", 12);
    world_features(&world, V86FS_F1_ATTR2);
    assert_int_equal(getattr(WORLD_HELLO)->nlink, 0);
    world_features(&world, 0);
    assert_int_equal(ask(&world, CLOSE, .node = two), 0);
    assert_int_equal(ask(&world, GETATTR, .node = WORLD_HELLO), V86FS_ESTALE);
    assert_int_equal(v86fs_mem_used(world.mem), 64);
}

static void test_reset(void **unused)
{
    (void)unused;
    world_features(&world, V86FS_FEATURES);
    assert_int_equal(ask(&world, OPEN, .node = WORLD_HELLO), 0);
    uint64_t handle = world.answer.opaque;
    uint64_t other = create(1, "other");
    assert_int_equal(ask(&world, OPEN, .node = other), 0);
    world_features(&world, 0);
    assert_int_equal(ask(&world, UNLINK, .node = 1, .name = text("other")), 0);
    assert_int_equal(v86fs_server_handle_count(world.server), 2);
    v86fs_server_reset(world.server);
    assert_int_equal(v86fs_server_handle_count(world.server), 0);
    assert_int_equal(ask(&world, READ, .node = handle), V86FS_EBADF);
    assert_int_equal(ask(&world, GETATTR, .node = other), V86FS_ESTALE);
    assert_int_equal(getattr(WORLD_HELLO)->size, 12);
    assert_int_equal(ask(&world, OPEN, .node = WORLD_HELLO), 0);
    assert_int_equal(world.answer.opaque, handle + 2);
}

static void test_removed_open_directory(void **unused)
{
    (void)unused;
    assert_int_equal(
        ask(&world, OPEN, .node = WORLD_SUBDIR, .flags = V86FS_OPEN_DIRECTORY), 0);
    uint64_t handle = world.answer.opaque;
    assert_int_equal(ask(&world, UNLINK, .node = 1, .name = text("subdir")), 0);
    assert_int_equal(ask(&world, READDIR, .node = WORLD_SUBDIR), V86FS_ESTALE);
    assert_int_equal(ask(&world, READ, .node = handle), V86FS_ESTALE);
    assert_int_equal(ask(&world, CLOSE, .node = handle), 0);
}

/* Which of the three times of a node are `now`: 1 atime, 2 mtime, 4 ctime. */
static unsigned touched(uint64_t node)
{
    const struct v86fs_attr *attr = getattr(node);
    int64_t now = (int64_t)(world.now_ns / SECOND);
    return (attr->atime.s == now ? 1u : 0) | (attr->mtime.s == now ? 2u : 0) |
           (attr->ctime.s == now ? 4u : 0);
}

static void check_setattr(uint32_t valid, unsigned want)
{
    world.now_ns += SECOND;
    struct v86fs_ask in = {
        .node = WORLD_HELLO, .valid = valid, .mode = 0600, .size = 3};
    assert_int_equal(world_ask(&world, V86FS_MSG_SETATTR, &in), 0);
    world_features(&world, V86FS_F1_ATTR2);
    assert_int_equal(touched(WORLD_HELLO), want);
    world_features(&world, 0);
}

static void test_times(void **unused)
{
    (void)unused;
    world_features(&world, V86FS_F1_ATTR2);
    uint64_t file = create(WORLD_SUBDIR, "f");
    assert_int_equal(touched(file), 7);
    assert_int_equal(touched(WORLD_SUBDIR), 6);
    assert_int_equal(touched(1), 0);
    world.now_ns += SECOND;
    assert_int_equal(ask(&world, READ, .node = file, .count = 1), 0);
    assert_int_equal(ask(&world, READDIR, .node = WORLD_SUBDIR), 0);
    assert_int_equal(ask(&world, LOOKUP, .node = WORLD_SUBDIR, .name = text("f")), 0);
    assert_int_equal(touched(file) | touched(WORLD_SUBDIR), 0);
    assert_int_equal(ask(&world, WRITE, .node = file, .count = 1, .data = text("x")),
                     0);
    assert_int_equal(touched(file), 6);
    world.now_ns += SECOND;
    assert_int_equal(ask(&world, RENAME, .node = WORLD_SUBDIR, .name = text("f"),
                         .new_parent = 1, .new_name = text("hello.txt")),
                     0);
    assert_int_equal(touched(file), 4);
    assert_int_equal(touched(WORLD_SUBDIR), 6);
    assert_int_equal(touched(1), 6);
    world.now_ns += SECOND;
    assert_int_equal(ask(&world, UNLINK, .node = 1, .name = text("hello.txt")), 0);
    assert_int_equal(touched(1), 6);
    assert_int_equal(touched(WORLD_SUBDIR), 0);
}

static void test_setattr_times(void **unused)
{
    (void)unused;
    check_setattr(V86FS_SET_MODE, 4);
    check_setattr(V86FS_SET_SIZE, 6);
    check_setattr(V86FS_SET_MTIME, 6);
    check_setattr(V86FS_SET_ATIME, 5);
    check_setattr(V86FS_SET_UID | V86FS_SET_GID, 4);
    check_setattr(V86FS_SET_MTIME | V86FS_SET_MTIME_TO, 4); /* comes without a value */
    check_setattr(0x2000, 0);
    assert_int_equal(getattr(WORLD_HELLO)->mode, V86FS_REGULAR | 0600);
    world_features(&world, V86FS_F1_ATTR2);
    struct v86fs_ask in = {
        .node = WORLD_HELLO, .valid = V86FS_SET_MTIME_TO, .mtime = {-5, 1000000000}};
    assert_int_equal(world_ask(&world, V86FS_MSG_SETATTR, &in), V86FS_EINVAL);
    in.mtime.ns--;
    assert_int_equal(world_ask(&world, V86FS_MSG_SETATTR, &in), 0);
    assert_int_equal(getattr(WORLD_HELLO)->mtime.s, -5);
    assert_int_equal(world.answer.attr.mtime.ns, 999999999);
}

/* Page through the root, one entry a page; what is removed and added meanwhile moves
 * nothing else. */
static void test_cookies(void **unused)
{
    (void)unused;
    char seen[64] = "";
    world_features(&world, V86FS_F0_READDIR_PAGED);
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    for (size_t i = 0; i < countof(names); i++)
        (void)create(1, names[i]);
    world.capacity = 23 + 11 + 9;
    uint64_t cookie = 0;
    do {
        struct v86fs_dirent entry;
        assert_int_equal(ask(&world, READDIR, .node = 1, .cookie = cookie), 0);
        cookie = world.answer.cookie;
        struct bytes entries = world.tail;
        while (v86fs_dirent_decode(&entries, &entry)) {
            strncat(seen, (const char *)entry.name.data, entry.name.size);
            strcat(seen, " ");
        }
        if (cookie == 4) { /* b: it goes with its neighbours, a new one comes */
            assert_int_equal(ask(&world, UNLINK, .node = 1, .name = text("a")), 0);
            assert_int_equal(ask(&world, UNLINK, .node = 1, .name = text("b")), 0);
            assert_int_equal(ask(&world, UNLINK, .node = 1, .name = text("c")), 0);
            (void)create(1, "new");
        }
    } while (cookie);
    assert_string_equal(seen, "hello.txt subdir a b d e new ");
    world_features(&world, 0);
    assert_int_equal(ask(&world, READDIR, .node = 1), 0);
    assert_int_equal(v86fs_server_counters(world.server)->truncated, 1);
}

static void test_link_counts(void **unused)
{
    (void)unused;
    struct v86fs_tree tree = v86fs_mem_tree(world.mem);
    struct v86fs_call call = {.in = {.node = WORLD_HELLO,
                                     .new_parent = WORLD_SUBDIR,
                                     .new_name = text("again")}};
    world_features(&world, V86FS_F1_ATTR2 | V86FS_F5_RMDIR);
    assert_int_equal(tree.ops->link(tree.self, &call), 0);
    assert_int_equal(tree.ops->link(tree.self, &call), V86FS_EEXIST);
    assert_int_equal(getattr(WORLD_HELLO)->nlink, 2);
    call.in.node = WORLD_SUBDIR;
    assert_int_equal(tree.ops->link(tree.self, &call), V86FS_EPERM);
    assert_int_equal(getattr(1)->nlink, 3);
    assert_int_equal(ask(&world, MKDIR, .node = WORLD_SUBDIR, .name = text("d")), 0);
    assert_int_equal(getattr(WORLD_SUBDIR)->nlink, 3);
    assert_int_equal(ask(&world, RENAME, .node = WORLD_SUBDIR, .name = text("d"),
                         .new_parent = 1, .new_name = text("d")),
                     0);
    assert_int_equal(getattr(WORLD_SUBDIR)->nlink, 2);
    assert_int_equal(getattr(1)->nlink, 4);
    /* Two names of one file: a rename onto the other does nothing. */
    assert_int_equal(ask(&world, RENAME, .node = 1, .name = text("hello.txt"),
                         .new_parent = WORLD_SUBDIR, .new_name = text("again")),
                     0);
    assert_int_equal(getattr(WORLD_HELLO)->nlink, 2);
    assert_int_equal(ask(&world, UNLINK, .node = 1, .name = text("hello.txt")), 0);
    assert_int_equal(getattr(WORLD_HELLO)->nlink, 1);
    assert_int_equal(ask(&world, UNLINK, .node = 1, .name = text("d")), V86FS_EISDIR);
    assert_int_equal(ask(&world, UNLINK, .node = WORLD_SUBDIR, .name = text("again"),
                         .flags = V86FS_REMOVEDIR),
                     V86FS_ENOTDIR);
    assert_int_equal(ask(&world, UNLINK, .node = 1, .name = text("d"), .flags = 1),
                     V86FS_EINVAL);
    assert_int_equal(
        ask(&world, UNLINK, .node = 1, .name = text("d"), .flags = V86FS_REMOVEDIR), 0);
    assert_int_equal(ask(&world, UNLINK, .node = WORLD_SUBDIR, .name = text("again")),
                     0);
    assert_int_equal(ask(&world, GETATTR, .node = WORLD_HELLO), V86FS_ESTALE);
}

static void test_mounts(void **unused)
{
    (void)unused;
    uint64_t next = world.ids.next;
    assert_int_equal(ask(&world, MOUNT, .name = text("none")), 0);
    uint64_t nowhere = world.answer.attr.node;
    assert_int_equal(nowhere, next);
    assert_int_equal(world.answer.attr.mode, 0040555);
    assert_int_equal(ask(&world, MOUNT, .name = text("other")), 0);
    assert_int_equal(world.answer.attr.node, nowhere);
    assert_int_equal(ask(&world, READDIR, .node = nowhere), 0);
    assert_int_equal(world.answer.count, 0);
    assert_int_equal(ask(&world, LOOKUP, .node = nowhere, .name = text("x")),
                     V86FS_ENOENT);
    assert_int_equal(ask(&world, CREATE, .node = nowhere, .name = text("x")),
                     V86FS_EROFS);
    assert_int_equal(getattr(nowhere)->mtime.s, world.now_ns / SECOND);
    world_features(&world, V86FS_F5_RMDIR);
    assert_int_equal(ask(&world, MOUNT, .name = text("none")), V86FS_ENOENT);
    struct v86fs_tree tree = v86fs_mem_tree(world.mem);
    assert_int_equal(v86fs_server_export(world.server, text(""), tree, 1, false),
                     ERR_usage);
    assert_int_equal(v86fs_server_export(world.server, text("x"), tree, 1, true),
                     ERR_usage);
    assert_int_equal(v86fs_server_export(world.server, text("x"), tree, 77, true),
                     ERR_usage);
    struct v86fs_tree_ops holes = *tree.ops;
    holes.rename = NULL;
    tree.ops = &holes;
    assert_string_equal(v86fs_tree_missing(&holes), "rename");
    assert_int_equal(v86fs_server_export(world.server, text("x"), tree, 1, false),
                     ERR_usage);
}

/* ---- a tree that answers later ---- */

struct later {
    struct v86fs_tree tree;
    uint64_t token[8];
    unsigned count, cancelled;
};

static uint32_t later_lookup(void *self, struct v86fs_call *call)
{
    struct later *later = self;
    if (!call->token)
        return later->tree.ops->lookup(later->tree.self, call);
    later->token[later->count++] = call->token;
    return V86FS_PENDING;
}

static void later_cancel(void *self, uint64_t token)
{
    struct later *later = self;
    for (unsigned i = 0; i < later->count; i++)
        later->cancelled += later->token[i] == token;
}

#define FORWARD(name)                                                                  \
    static uint32_t forward_##name(void *self, struct v86fs_call *call)                \
    {                                                                                  \
        struct later *later = self;                                                    \
        return later->tree.ops->name(later->tree.self, call);                          \
    }
#define OP(name, changes, text) FORWARD(name)
#include "v86fs/ops.def"

static const struct v86fs_tree_ops later_ops_template = {
#define OP(name, changes, text) .name = forward_##name,
#include "v86fs/ops.def"
    .cancel = later_cancel,
};

static const struct v86fs_dirent entries[] = {
    {.cookie = 1,
     .node = 7,
     .mode = V86FS_REGULAR,
     .name = {(const uint8_t *)"one", 3}},
    {.cookie = 2,
     .node = 8,
     .mode = V86FS_SYMLINK,
     .name = {(const uint8_t *)"two", 3}},
};

/* A server over a tree that answers `op`s later. */
static struct later *later_init(struct v86fs_tree_ops *ops)
{
    static struct later later;
    struct v86fs_server_options options;
    uint64_t root;
    v86fs_server_options_init(&options);
    options.pending_count_max = 3;
    options.pending_frame_max = 8192;
    world_fini(&world);
    world_init(&world, NULL, &options);
    assert_int_equal(v86fs_mem_root(world.mem, 0700, 0, &root), ERR_ok);
    later = (struct later){.tree = v86fs_mem_tree(world.mem)};
    *ops = later_ops_template;
    struct v86fs_tree tree = {.ops = ops, .self = &later};
    assert_int_equal(v86fs_server_export(world.server, text("late"), tree, root, false),
                     ERR_ok);
    world.answer.attr.node = root;
    return &later;
}

static enum err answer_late(uint64_t token, uint32_t status, const char *data)
{
    return v86fs_server_answer(world.server, token, status,
                               &(struct v86fs_answer){.attr.node = 9}, text(data),
                               entries, countof(entries));
}

static void test_late_answers(void **unused)
{
    (void)unused;
    struct v86fs_tree_ops ops;
    struct later *later = later_init(&ops);
    uint64_t root = world.answer.attr.node, token[3];
    uint8_t reply[8192];
    size_t size = 0;
    ops.lookup = ops.readdir = ops.open = later_lookup;
    world.capacity = 8192;
    assert_int_equal(ask(&world, LOOKUP, .node = root, .name = text("x")), UINT32_MAX);
    token[0] = world.token;
    assert_int_equal(ask(&world, READDIR, .node = root), UINT32_MAX);
    token[1] = world.token;
    assert_int_equal(ask(&world, OPEN, .node = root, .flags = V86FS_OPEN_DIRECTORY),
                     UINT32_MAX);
    token[2] = world.token;
    assert_int_equal(later->count, 3);
    /* No free slot: this one has to be answered at once. */
    assert_int_equal(ask(&world, LOOKUP, .node = root, .name = text("x")),
                     V86FS_ENOENT);
    assert_false(v86fs_server_take(world.server, token[1], reply, 8192, &size));
    assert_int_equal(answer_late(token[1], 0, ""), ERR_ok);
    assert_int_equal(answer_late(token[1], 0, ""), ERR_exists);
    assert_true(v86fs_server_take(world.server, token[1], reply, 8192, &size));
    assert_int_equal(size, 15 + 2 * 14);
    assert_int_equal(v86fs_load(reply + 11, 4), 2);
    assert_false(v86fs_server_take(world.server, token[1], reply, 8192, &size));
    assert_int_equal(answer_late(token[1], 0, ""), ERR_not_found);
    assert_int_equal(answer_late(token[0], 9999, ""), ERR_ok);
    assert_true(v86fs_server_take(world.server, token[0], reply, 8192, &size));
    assert_int_equal(size, 31);
    assert_int_equal(v86fs_load(reply + 7, 4), V86FS_EIO);
    assert_int_equal(v86fs_server_handle_count(world.server), 0);
    assert_int_equal(answer_late(token[2], 0, ""), ERR_ok);
    assert_true(v86fs_server_take(world.server, token[2], reply, 8192, &size));
    assert_int_equal(v86fs_load(reply + 11, 8), (UINT64_C(1) << 32) + 1);
    assert_int_equal(v86fs_server_handle_count(world.server), 1);
    /* A handle that is being closed is closed. */
    ops.close = later_lookup;
    uint64_t handle = (UINT64_C(1) << 32) + 1;
    assert_int_equal(ask(&world, CLOSE, .node = handle), UINT32_MAX);
    token[0] = world.token;
    assert_int_equal(ask(&world, CLOSE, .node = handle), V86FS_EBADF);
    assert_int_equal(v86fs_server_handle_count(world.server), 0);
    assert_int_equal(answer_late(token[0], 0, ""), ERR_ok);
    assert_true(v86fs_server_take(world.server, token[0], reply, 8192, &size));
    assert_int_equal(size, 11);
}

static void test_late_cancel(void **unused)
{
    (void)unused;
    struct v86fs_tree_ops ops;
    struct later *later = later_init(&ops);
    uint64_t root = world.answer.attr.node, token[2];
    uint8_t reply[64];
    size_t size = 0;
    ops.lookup = later_lookup;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(ask(&world, LOOKUP, .node = root, .name = text("x")),
                         UINT32_MAX);
        token[i] = world.token;
    }
    assert_int_equal(answer_late(token[0], 0, ""), ERR_ok);
    v86fs_server_reset(world.server);
    assert_int_equal(later->cancelled, 1); /* the other one was answered */
    assert_int_equal(answer_late(token[1], 0, ""), ERR_not_found);
    assert_int_equal(v86fs_server_counters(world.server)->late, 1);
    assert_false(v86fs_server_take(world.server, token[0], reply, 64, &size));
    assert_int_equal(ask(&world, LOOKUP, .node = root, .name = text("x")), UINT32_MAX);
    assert_int_not_equal(world.token, token[0]);
    assert_int_not_equal(world.token, token[1]);
}

static void test_files(void **unused)
{
    (void)unused;
    struct v86fs_tree tree = v86fs_mem_tree(world.mem);
    struct v86fs_tree_file file;
    uint32_t flags = 2 | V86FS_OPEN_CREATE | V86FS_OPEN_EXCLUSIVE, size;
    uint64_t at;
    char data[16] = "";
    struct bytes name = text("new");
    assert_int_equal(v86fs_tree_file_open(tree, 1, name, flags, 0640, 5, &file), 0);
    assert_int_equal(v86fs_tree_file_write(&file, text("0123456789"), 5, &size), 0);
    assert_int_equal(v86fs_tree_file_seek(&file, -4, 2, &at), 0);
    assert_int_equal(at, 6);
    assert_int_equal(v86fs_tree_file_read(&file, data, 2, &size), 0);
    assert_int_equal(v86fs_tree_file_read(&file, data + 2, 8, &size), 0);
    assert_string_equal(data, "6789");
    assert_int_equal(v86fs_tree_file_seek(&file, -11, 1, &at), V86FS_EINVAL);
    assert_int_equal(v86fs_tree_file_seek(&file, INT64_MAX, 1, &at), V86FS_EINVAL);
    assert_int_equal(v86fs_tree_file_seek(&file, 0, 3, &at), V86FS_EINVAL);
    v86fs_tree_file_close(&file);
    assert_int_equal(v86fs_tree_file_open(tree, 1, name, flags, 0640, 5, &file),
                     V86FS_EEXIST);
    flags = 1 | V86FS_OPEN_APPEND;
    assert_int_equal(v86fs_tree_file_open(tree, 1, name, flags, 0, 5, &file), 0);
    assert_int_equal(v86fs_tree_file_write(&file, text("ab"), 5, &size), 0);
    assert_int_equal(file.offset, 12);
    assert_int_equal(v86fs_tree_file_read(&file, data, 2, &size), V86FS_EBADF);
    v86fs_tree_file_close(&file);
    flags = 2 | V86FS_OPEN_TRUNCATE;
    assert_int_equal(v86fs_tree_file_open(tree, 1, name, flags, 0, 5, &file), 0);
    assert_int_equal(getattr(file.node)->size, 0);
    assert_int_equal(ask(&world, UNLINK, .node = 1, .name = name), 0);
    assert_int_equal(v86fs_tree_file_write(&file, text("x"), 5, &size), 0);
    uint64_t node = file.node;
    v86fs_tree_file_close(&file);
    assert_int_equal(ask(&world, GETATTR, .node = node), V86FS_ESTALE);
    assert_int_equal(v86fs_tree_file_open(tree, 1, text("subdir"), 2, 0, 5, &file),
                     V86FS_EISDIR);
    assert_int_equal(v86fs_tree_file_open(tree, 1, text(".."), 0, 0, 5, &file),
                     V86FS_ENOENT);
}

/* Creation with every amount of memory from 0: ERR_nomem until it works. */
static void test_every_arena(void **unused)
{
    (void)unused;
    struct v86fs_mem_options mem = {.node_count_max = 2, .quota = 8192};
    struct v86fs_server_options options = {.handle_count_max = 2,
                                           .export_count_max = 1,
                                           .pending_count_max = 1,
                                           .pending_frame_max = 64};
    enum err err = ERR_nomem;
    size_t limit = 0;
    for (; err; limit += 64) {
        struct arena arena;
        struct v86fs_ids ids;
        struct v86fs_mem *tree;
        struct v86fs_server *server;
        struct v86fs_notes *notes;
        assert_true(limit < 1 << 20);
        assert_int_equal(err, ERR_nomem);
        arena_init(&arena, limit);
        v86fs_ids_init(&ids);
        err = v86fs_mem_create(&arena, &mem, &ids, &tree);
        if (!err)
            err = v86fs_server_create(&arena, &options, &ids, &server);
        if (!err)
            err = v86fs_notes_create(&arena, 4, &notes);
        arena_fini(&arena);
    }
    assert_true(limit > 8192);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(unlinked_open_file),
        TEST(reset),
        TEST(removed_open_directory),
        TEST(times),
        TEST(setattr_times),
        TEST(cookies),
        TEST(link_counts),
        TEST(mounts),
        TEST(late_answers),
        TEST(late_cancel),
        TEST(files),
        TEST(every_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
