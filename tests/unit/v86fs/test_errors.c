/* SPDX-License-Identifier: MIT
 *
 * The table of bad input (v86fs.md 3.6), one test for each row.
 */
#include "tests/unit/v86fs/world.h"

#include <string.h>

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

/* A frame by hand: header with its true length, then `size` bytes of body. */
static void serve_frame(uint8_t type, const void *body, size_t size)
{
    uint8_t frame[512] = {0};
    v86fs_store(frame, 4, V86FS_HEADER_SIZE + size);
    frame[4] = type;
    v86fs_store(frame + 5, 2, 0x1234);
    memcpy(frame + V86FS_HEADER_SIZE, body, size);
    world_serve(&world, bytes_of(frame, V86FS_HEADER_SIZE + size));
}

static uint64_t make(uint8_t type, const char *name)
{
    struct v86fs_ask in = {.node = 1,
                           .name = text(name),
                           .new_name = text("x"),
                           .target = text("target"),
                           .mode = 0644};
    assert_int_equal(world_ask(&world, type, &in), 0);
    return world.answer.attr.node;
}

static uint64_t size_of(uint64_t node)
{
    assert_int_equal(ask(&world, GETATTR, .node = node), 0);
    return world.answer.attr.size;
}

/* Every type with this name, as its first name. */
static void check_names(struct bytes name, uint32_t finder, uint32_t remover,
                        uint32_t maker, uint32_t target)
{
    assert_int_equal(ask(&world, LOOKUP, .node = 1, .name = name), finder);
    assert_int_equal(ask(&world, UNLINK, .node = 1, .name = name), remover);
    assert_int_equal(ask(&world, CREATE, .node = 1, .name = name), maker);
    assert_int_equal(ask(&world, MKDIR, .node = 1, .name = name), maker);
    assert_int_equal(ask(&world, SYMLINK, .node = 1, .name = name, .target = text("t")),
                     maker);
    assert_int_equal(ask(&world, RENAME, .node = 1, .name = name, .new_parent = 1,
                         .new_name = text("new")),
                     remover);
    assert_int_equal(ask(&world, RENAME, .node = 1, .name = text("hello.txt"),
                         .new_parent = 1, .new_name = name),
                     target);
    assert_int_equal(ask(&world, READDIR, .node = 1), 0);
    assert_int_equal(world.answer.count, 2); /* nothing came or went */
}

static void test_x1_short(void **unused)
{
    (void)unused;
    uint8_t frame[7] = {7};
    for (size_t size = 0; size < 7; size++) {
        world_serve(&world, bytes_of(frame, size));
        assert_int_equal(world.reply_size, 0);
        assert_int_equal(v86fs_server_counters(world.server)->malformed, size + 1);
    }
}

static void test_x2_unknown_type(void **unused)
{
    (void)unused;
    for (unsigned type = 0x11; type < 0x100; type++) {
        serve_frame((uint8_t)type, "", 0);
        assert_int_equal(world.reply_size, V86FS_ERROR_SIZE);
        assert_int_equal(world.reply[4], V86FS_ERROR_R);
        assert_int_equal(v86fs_load(world.reply + 5, 2), 0x1234);
        assert_int_equal(world_status(&world), V86FS_ENOSYS);
    }
    world.capacity = 10;
    serve_frame(0x11, "", 0);
    assert_int_equal(world.reply_size, 0);
}

/* With one byte less than the minimum nothing happens, with it the request runs. */
static void test_x3_capacity(void **unused)
{
    (void)unused;
    for (uint32_t features = 0; features <= V86FS_FEATURES; features++) {
        if (features & ~(uint32_t)V86FS_FEATURES)
            continue;
        for (uint8_t type = 0; type < V86FS_TYPE_COUNT; type++) {
            const struct v86fs_message *message = v86fs_message_of(type);
            world_features(&world, features);
            world.capacity = v86fs_reply_size_min(message, features) - 1;
            struct v86fs_ask in = {.node = 999,
                                   .new_parent = 999,
                                   .name = text("n"),
                                   .new_name = text("m"),
                                   .target = text("t")};
            assert_int_equal(world_ask(&world, type, &in), UINT32_MAX);
            world.capacity++;
            assert_int_not_equal(world_ask(&world, type, &in), UINT32_MAX);
        }
    }
    world.capacity = 22;
    world_features(&world, 0);
    assert_int_equal(ask(&world, CREATE, .node = 1, .name = text("n")), UINT32_MAX);
    world.capacity = V86FS_FRAME_MAX;
    assert_int_equal(ask(&world, LOOKUP, .node = 1, .name = text("n")), V86FS_ENOENT);
    assert_true(v86fs_server_counters(world.server)->no_room > 0);
}

static void test_x4_length_field(void **unused)
{
    (void)unused;
    uint8_t frame[15] = {15, 0, 0, 0, V86FS_MSG_GETATTR, 0, 0, 1};
    world_serve(&world, bytes_of(frame, sizeof frame));
    assert_int_equal(world_status(&world), 0);
    for (unsigned length = 0; length < 256; length++) {
        frame[0] = (uint8_t)length;
        world_serve(&world, bytes_of(frame, sizeof frame));
        assert_int_equal(world.reply_size, 35);
        assert_int_equal(world_status(&world), length == 15 ? 0 : V86FS_EINVAL);
    }
}

/* Each type and feature set: every shorter body and one byte more are refused. */
static void test_x5_shape(void **unused)
{
    (void)unused;
    struct v86fs_ask in = {.node = 1,
                           .new_parent = 1,
                           .name = text("name"),
                           .new_name = text("other"),
                           .target = text("target"),
                           .data = text("data"),
                           .count = 4};
    for (uint32_t features = 0; features <= V86FS_FEATURES; features++) {
        world_features(&world, features & V86FS_FEATURES);
        for (uint8_t type = 0; type < V86FS_TYPE_COUNT; type++) {
            struct buf frame;
            buf_init(&frame, 4096);
            v86fs_request_encode(v86fs_message_of(type), world.features, 1, &in,
                                 &frame);
            size_t whole = frame.size;
            buf_byte(&frame, 0);
            for (size_t size = V86FS_HEADER_SIZE; size <= whole + 1; size++) {
                if (size == whole)
                    continue;
                serve_frame(type, frame.data + 7, size - 7);
                assert_int_equal(world_status(&world), V86FS_EINVAL);
                assert_int_equal(
                    world.reply_size,
                    v86fs_reply_size_min(v86fs_message_of(type), world.features));
            }
            buf_fini(&frame);
        }
    }
}

static void test_x6_empty_name(void **unused)
{
    (void)unused;
    check_names(text(""), V86FS_ENOENT, V86FS_ENOENT, V86FS_EINVAL, V86FS_EINVAL);
}

static void test_x7_long_name(void **unused)
{
    (void)unused;
    char name[300];
    memset(name, 'n', sizeof name);
    struct bytes longest = bytes_of(name, 255), longer = bytes_of(name, 256);
    check_names(longer, V86FS_ENAMETOOLONG, V86FS_ENAMETOOLONG, V86FS_ENAMETOOLONG,
                V86FS_ENAMETOOLONG);
    assert_int_equal(ask(&world, MOUNT, .name = longer), V86FS_ENAMETOOLONG);
    assert_int_equal(ask(&world, MOUNT, .name = longest), 0);
    assert_int_equal(ask(&world, CREATE, .node = 1, .name = longest), 0);
    assert_int_equal(ask(&world, LOOKUP, .node = 1, .name = longest), 0);
}

static void test_x8_slash_and_nul(void **unused)
{
    (void)unused;
    check_names(text("a/b"), V86FS_EINVAL, V86FS_EINVAL, V86FS_EINVAL, V86FS_EINVAL);
    check_names(text("/"), V86FS_EINVAL, V86FS_EINVAL, V86FS_EINVAL, V86FS_EINVAL);
    check_names(bytes_of("a\0b", 3), V86FS_EINVAL, V86FS_EINVAL, V86FS_EINVAL,
                V86FS_EINVAL);
    assert_int_equal(ask(&world, MOUNT, .name = bytes_of("\0", 1)), V86FS_EINVAL);
    assert_int_equal(ask(&world, MOUNT, .name = text("a/b")), 0);
}

static void test_x9_dots(void **unused)
{
    (void)unused;
    check_names(text("."), V86FS_ENOENT, V86FS_EINVAL, V86FS_EEXIST, V86FS_EINVAL);
    check_names(text(".."), V86FS_ENOENT, V86FS_EINVAL, V86FS_EEXIST, V86FS_EINVAL);
    make(V86FS_MSG_CREATE, "...");
    make(V86FS_MSG_CREATE, ".a");
}

static void test_x10_target(void **unused)
{
    (void)unused;
    char target[4097];
    memset(target, 't', sizeof target);
    struct v86fs_ask in = {.node = 1, .name = text("l")};
    assert_int_equal(world_ask(&world, V86FS_MSG_SYMLINK, &in), V86FS_ENOENT);
    in.target = bytes_of("a\0b", 3);
    assert_int_equal(world_ask(&world, V86FS_MSG_SYMLINK, &in), V86FS_EINVAL);
    in.target = bytes_of(target, 4096);
    assert_int_equal(world_ask(&world, V86FS_MSG_SYMLINK, &in), V86FS_ENAMETOOLONG);
    in.target.size = 4095;
    assert_int_equal(world_ask(&world, V86FS_MSG_SYMLINK, &in), 0);
    assert_int_equal(ask(&world, READLINK, .node = world.answer.attr.node), 0);
    assert_int_equal(world.tail.size, 4095);
    assert_memory_equal(world.tail.data, target, 4095);
}

static void check_unknown(uint64_t id, uint32_t status, uint32_t read)
{
    struct v86fs_ask in = {.node = id,
                           .new_parent = 1,
                           .name = text("n"),
                           .new_name = text("m"),
                           .target = text("t")};
    for (uint8_t type = 1; type < V86FS_MSG_STATFS; type++) {
        uint32_t want = type == V86FS_MSG_READ    ? read
                        : type == V86FS_MSG_CLOSE ? V86FS_EBADF
                                                  : status;
        assert_int_equal(world_ask(&world, type, &in), want);
    }
    in.node = 1;
    in.new_parent = id;
    assert_int_equal(world_ask(&world, V86FS_MSG_RENAME, &in), status);
}

static void test_x11_unknown_ids(void **unused)
{
    (void)unused;
    uint64_t gone = make(V86FS_MSG_CREATE, "gone");
    assert_int_equal(gone, 100);
    check_unknown(0, V86FS_ENOENT, V86FS_EBADF);
    check_unknown(4, V86FS_ENOENT, V86FS_EBADF); /* between preloaded and dynamic */
    check_unknown(99, V86FS_ENOENT, V86FS_EBADF);
    check_unknown(101, V86FS_ENOENT, V86FS_EBADF);
    check_unknown(0xffffffff, V86FS_ENOENT, V86FS_EBADF);
    check_unknown(UINT64_C(0x100000001), V86FS_ENOENT, V86FS_EBADF);
    check_unknown(UINT64_MAX, V86FS_ENOENT, V86FS_EBADF);
    assert_int_equal(ask(&world, UNLINK, .node = 1, .name = text("gone")), 0);
    check_unknown(gone, V86FS_ESTALE, V86FS_ESTALE);
}

static void test_x12_not_a_directory(void **unused)
{
    (void)unused;
    static const uint8_t types[] = {
        V86FS_MSG_LOOKUP,  V86FS_MSG_READDIR, V86FS_MSG_CREATE, V86FS_MSG_MKDIR,
        V86FS_MSG_SYMLINK, V86FS_MSG_UNLINK,  V86FS_MSG_RENAME};
    struct v86fs_ask in = {.node = WORLD_HELLO,
                           .new_parent = 1,
                           .name = text("n"),
                           .new_name = text("m"),
                           .target = text("t")};
    for (size_t i = 0; i < countof(types); i++)
        assert_int_equal(world_ask(&world, types[i], &in), V86FS_ENOTDIR);
    in.node = 1;
    in.new_parent = WORLD_HELLO;
    assert_int_equal(world_ask(&world, V86FS_MSG_RENAME, &in), V86FS_ENOTDIR);
}

static void test_x13_read_range(void **unused)
{
    (void)unused;
    struct v86fs_ask in = {.node = WORLD_HELLO, .count = 0};
    assert_int_equal(world_ask(&world, V86FS_MSG_READ, &in), 0);
    assert_int_equal(world.answer.count, 0);
    in.count = UINT32_MAX;
    for (in.offset = 0; in.offset < 14; in.offset++) {
        assert_int_equal(world_ask(&world, V86FS_MSG_READ, &in), 0);
        assert_int_equal(world.answer.count, in.offset < 12 ? 12 - in.offset : 0);
    }
    in.offset = INT64_MAX;
    assert_int_equal(world_ask(&world, V86FS_MSG_READ, &in), 0);
    assert_int_equal(world.answer.count, 0);
    in.offset++;
    assert_int_equal(world_ask(&world, V86FS_MSG_READ, &in), V86FS_EINVAL);
    in.offset = 2;
    for (world.capacity = 15; world.capacity < 30; world.capacity++) {
        assert_int_equal(world_ask(&world, V86FS_MSG_READ, &in), 0);
        assert_int_equal(world.answer.count,
                         world.capacity < 25 ? world.capacity - 15 : 10);
        assert_memory_equal(world.tail.data, "llo world\n", world.answer.count);
    }
}

static void test_x14_x15_read_write_type(void **unused)
{
    (void)unused;
    uint64_t link = make(V86FS_MSG_SYMLINK, "l");
    assert_int_equal(ask(&world, READ, .node = 1), V86FS_EISDIR);
    assert_int_equal(ask(&world, READ, .node = link), V86FS_EINVAL);
    assert_int_equal(ask(&world, WRITE, .node = 1), V86FS_EISDIR);
    assert_int_equal(ask(&world, WRITE, .node = link), V86FS_EINVAL);
    assert_int_equal(ask(&world, OPEN, .node = 1, .flags = V86FS_OPEN_DIRECTORY), 0);
    assert_int_equal(ask(&world, READ, .node = world.answer.opaque), V86FS_EISDIR);
}

static void test_x16_file_size(void **unused)
{
    (void)unused;
    uint64_t limit = UINT64_C(1) << 44;
    struct v86fs_ask in = {.node = WORLD_HELLO, .count = 4, .data = text("last")};
    in.offset = limit - 3;
    assert_int_equal(world_ask(&world, V86FS_MSG_WRITE, &in), V86FS_EFBIG);
    in.offset = UINT64_MAX - 1;
    assert_int_equal(world_ask(&world, V86FS_MSG_WRITE, &in), V86FS_EFBIG);
    assert_int_equal(size_of(WORLD_HELLO), 12);
    in.offset = limit - 4;
    assert_int_equal(world_ask(&world, V86FS_MSG_WRITE, &in), 0);
    assert_int_equal(size_of(WORLD_HELLO), limit);
    in.valid = V86FS_SET_SIZE;
    in.size = limit + 1;
    assert_int_equal(world_ask(&world, V86FS_MSG_SETATTR, &in), V86FS_EFBIG);
    in.size = UINT64_MAX;
    assert_int_equal(world_ask(&world, V86FS_MSG_SETATTR, &in), V86FS_EFBIG);
    in.size = limit;
    assert_int_equal(world_ask(&world, V86FS_MSG_SETATTR, &in), 0);
}

static void test_x17_quota(void **unused)
{
    (void)unused;
    struct v86fs_mem_options options;
    v86fs_mem_options_init(&options);
    options.node_count_max = 6;
    options.quota = 5 * 4096; /* one page and 2 names are taken by the fixture */
    world_fini(&world);
    world_init(&world, &options, NULL);
    static const uint8_t zeros[5 * 4096];
    struct v86fs_ask in = {.node = WORLD_HELLO, .offset = 100, .count = 4 * 4096};
    in.data = bytes_of(zeros, in.count);
    uint64_t used = v86fs_mem_used(world.mem);
    assert_int_equal(used, 4096 + 2 * 64);
    assert_int_equal(world_ask(&world, V86FS_MSG_WRITE, &in), V86FS_ENOSPC);
    assert_int_equal(size_of(WORLD_HELLO), 12);
    assert_int_equal(v86fs_mem_used(world.mem), used);
    in.data.size = in.count = 2 * 4096;
    assert_int_equal(world_ask(&world, V86FS_MSG_WRITE, &in), 0);
    assert_int_equal(v86fs_mem_used(world.mem), used + 2 * 4096);
    in.offset = 1 << 20;
    assert_int_equal(world_ask(&world, V86FS_MSG_WRITE, &in), V86FS_ENOSPC);
    char name[255];
    memset(name, 'n', sizeof name);
    for (uint64_t i = 0; i < 3; i++) { /* 6 nodes: root, two, these */
        name[0] = (char)('a' + i);
        assert_int_equal(ask(&world, CREATE, .node = 1, .name = bytes_of(name, 255)),
                         0);
    }
    assert_int_equal(ask(&world, CREATE, .node = 1, .name = text("x")), V86FS_ENOSPC);
    world_features(&world, 0);
    assert_int_equal(ask(&world, STATFS, .node = 0), 0);
    assert_int_equal(world.answer.statfs.blocks, 5);
    assert_int_equal(world.answer.statfs.bfree, 1);
    assert_int_equal(world.answer.statfs.files, 6);
    assert_int_equal(world.answer.statfs.ffree, 0);
    assert_int_equal(ask(&world, UNLINK, .node = 1, .name = text("hello.txt")), 0);
    assert_int_equal(v86fs_mem_used(world.mem), 64 + 3 * 256);
}

static void test_x18_write_nothing(void **unused)
{
    (void)unused;
    assert_int_equal(ask(&world, WRITE, .node = WORLD_HELLO, .offset = UINT64_MAX), 0);
    assert_int_equal(world.answer.count, 0);
    assert_int_equal(ask(&world, GETATTR, .node = WORLD_HELLO), 0);
    assert_int_equal(world.answer.attr.mtime.s, 1711500000);
}

static void test_x19_size_type(void **unused)
{
    (void)unused;
    uint64_t link = make(V86FS_MSG_SYMLINK, "l");
    struct v86fs_ask in = {.node = 1, .valid = V86FS_SET_SIZE};
    assert_int_equal(world_ask(&world, V86FS_MSG_SETATTR, &in), V86FS_EISDIR);
    in.node = link;
    assert_int_equal(world_ask(&world, V86FS_MSG_SETATTR, &in), V86FS_EINVAL);
    in.valid = V86FS_SET_MODE;
    assert_int_equal(world_ask(&world, V86FS_MSG_SETATTR, &in), V86FS_EOPNOTSUPP);
    in.valid = 0xfffffe00; /* unknown bits alone: success, nothing changes */
    assert_int_equal(world_ask(&world, V86FS_MSG_SETATTR, &in), 0);
}

static void test_x20_open_type(void **unused)
{
    (void)unused;
    uint64_t link = make(V86FS_MSG_SYMLINK, "l");
    assert_int_equal(ask(&world, OPEN, .node = 1), V86FS_EISDIR);
    assert_int_equal(ask(&world, OPEN, .node = link), V86FS_ELOOP);
    assert_int_equal(ask(&world, OPEN, .node = 1, .flags = V86FS_OPEN_DIRECTORY), 0);
}

static void test_x21_handles(void **unused)
{
    (void)unused;
    struct v86fs_server_options options;
    v86fs_server_options_init(&options);
    options.handle_count_max = 3;
    world_fini(&world);
    world_init(&world, NULL, &options);
    for (uint64_t k = 1; k <= 3; k++) {
        assert_int_equal(ask(&world, OPEN, .node = WORLD_HELLO), 0);
        assert_int_equal(world.answer.opaque, (UINT64_C(1) << 32) + k);
    }
    assert_int_equal(ask(&world, OPEN, .node = WORLD_HELLO), V86FS_ENFILE);
    assert_int_equal(ask(&world, CLOSE, .node = (UINT64_C(1) << 32) + 2), 0);
    assert_int_equal(ask(&world, CLOSE, .node = (UINT64_C(1) << 32) + 2), V86FS_EBADF);
    assert_int_equal(ask(&world, OPEN, .node = WORLD_HELLO), 0);
    assert_int_equal(world.answer.opaque, (UINT64_C(1) << 32) + 4); /* never again */
}

static uint32_t rename_in_root(const char *from, const char *to, uint32_t flags)
{
    return ask(&world, RENAME, .node = 1, .name = text(from), .new_parent = 1,
               .new_name = text(to), .flags = flags);
}

static void test_x22_rename(void **unused)
{
    (void)unused;
    uint64_t d = make(V86FS_MSG_MKDIR, "d");
    assert_int_equal(ask(&world, MKDIR, .node = d, .name = text("e")), 0);
    uint64_t e = world.answer.attr.node;
    assert_int_equal(ask(&world, RENAME, .node = 1, .name = text("d"), .new_parent = d,
                         .new_name = text("x")),
                     V86FS_EINVAL);
    assert_int_equal(ask(&world, RENAME, .node = 1, .name = text("d"), .new_parent = e,
                         .new_name = text("x")),
                     V86FS_EINVAL);
    assert_int_equal(rename_in_root("none", "x", 0), V86FS_ENOENT);
    assert_int_equal(rename_in_root("d", "hello.txt", 0), V86FS_ENOTDIR);
    assert_int_equal(rename_in_root("hello.txt", "d", 0), V86FS_EISDIR);
    assert_int_equal(rename_in_root("subdir", "d", 0), V86FS_ENOTEMPTY);
    assert_int_equal(rename_in_root("d", "d", 0), 0);
    assert_int_equal(rename_in_root("d", "subdir", 0), 0);
    assert_int_equal(ask(&world, GETATTR, .node = WORLD_SUBDIR), V86FS_ESTALE);
    world_features(&world, V86FS_F4_RENAME_FLAGS);
    assert_int_equal(rename_in_root("subdir", "hello.txt", 1), V86FS_EEXIST);
    assert_int_equal(rename_in_root("subdir", "hello.txt", 3), V86FS_EINVAL);
    assert_int_equal(rename_in_root("subdir", "hello.txt", 4), V86FS_EINVAL);
    assert_int_equal(rename_in_root("subdir", "none", 2), V86FS_ENOENT);
    assert_int_equal(rename_in_root("subdir", "hello.txt", 2), 0);
    assert_int_equal(ask(&world, LOOKUP, .node = 1, .name = text("hello.txt")), 0);
    assert_int_equal(world.answer.attr.node, d);
    /* An exchange may not put a directory below itself either. */
    assert_int_equal(ask(&world, RENAME, .node = 1, .name = text("hello.txt"),
                         .new_parent = d, .new_name = text("e"), .flags = 2),
                     V86FS_EINVAL);
    assert_int_equal(ask(&world, RENAME, .node = d, .name = text("e"), .new_parent = 1,
                         .new_name = text("hello.txt"), .flags = 2),
                     V86FS_EINVAL);
}

static void test_x23_read_only(void **unused)
{
    (void)unused;
    uint64_t root;
    struct v86fs_tree tree = v86fs_mem_tree(world.mem);
    assert_int_equal(v86fs_mem_root(world.mem, 0755, 0, &root), ERR_ok);
    struct v86fs_call call = {.in = {.node = root, .name = text("f")}};
    assert_int_equal(tree.ops->create(tree.self, &call), 0);
    uint64_t file = call.out.attr.node;
    assert_int_equal(v86fs_server_export(world.server, text("ro"), tree, root, true),
                     ERR_ok);
    struct v86fs_ask in = {.node = root,
                           .new_parent = root,
                           .name = text("f"),
                           .new_name = text("m"),
                           .target = text("t")};
    static const uint8_t types[] = {V86FS_MSG_CREATE,  V86FS_MSG_MKDIR,
                                    V86FS_MSG_SYMLINK, V86FS_MSG_UNLINK,
                                    V86FS_MSG_RENAME,  V86FS_MSG_SETATTR};
    for (size_t i = 0; i < countof(types); i++)
        assert_int_equal(world_ask(&world, types[i], &in), V86FS_EROFS);
    in.node = file;
    assert_int_equal(world_ask(&world, V86FS_MSG_WRITE, &in), V86FS_EROFS);
    assert_int_equal(world_ask(&world, V86FS_MSG_OPEN, &in), 0);
    in.flags = 1;
    assert_int_equal(world_ask(&world, V86FS_MSG_OPEN, &in), V86FS_EROFS);
    assert_int_equal(ask(&world, RENAME, .node = 1, .name = text("hello.txt"),
                         .new_parent = root, .new_name = text("h")),
                     V86FS_EROFS);
    assert_int_equal(ask(&world, FSYNC, .node = file), 0);
}

static void test_x24_huge_frame(void **unused)
{
    (void)unused;
    static uint8_t frame[V86FS_FRAME_MAX + 1];
    v86fs_store(frame, 4, sizeof frame);
    frame[4] = V86FS_MSG_WRITE;
    v86fs_store(frame + 7, 8, WORLD_HELLO);
    v86fs_store(frame + 23, 4, sizeof frame - 27);
    world_serve(&world, bytes_of(frame, sizeof frame));
    assert_int_equal(world_status(&world), V86FS_EINVAL);
    assert_int_equal(size_of(WORLD_HELLO), 12);
}

static void test_x25_readlink(void **unused)
{
    (void)unused;
    uint64_t link = make(V86FS_MSG_SYMLINK, "l");
    assert_int_equal(ask(&world, READLINK, .node = WORLD_HELLO), V86FS_ENOENT);
    assert_int_equal(world.reply_size, 11);
    assert_int_equal(ask(&world, READLINK, .node = 1), V86FS_ENOENT);
    for (world.capacity = 11; world.capacity < 21; world.capacity++) {
        bool fits = world.capacity >= 13 + 6;
        assert_int_equal(ask(&world, READLINK, .node = link),
                         fits ? 0 : V86FS_ENAMETOOLONG);
        assert_int_equal(world.reply_size, fits ? 19 : 11);
    }
}

static void test_x26_exports(void **unused)
{
    (void)unused;
    uint64_t root;
    struct v86fs_tree tree = v86fs_mem_tree(world.mem);
    assert_int_equal(v86fs_mem_root(world.mem, 0755, 0, &root), ERR_ok);
    assert_int_equal(v86fs_server_export(world.server, text("two"), tree, root, false),
                     ERR_ok);
    assert_int_equal(ask(&world, MOUNT, .name = text("two")), 0);
    assert_int_equal(world.answer.attr.node, root);
    assert_int_equal(ask(&world, RENAME, .node = 1, .name = text("none"),
                         .new_parent = root, .new_name = text("h")),
                     V86FS_EXDEV);
    assert_int_equal(ask(&world, RENAME, .node = 1, .name = text("hello.txt"),
                         .new_parent = root, .new_name = text("h")),
                     V86FS_EXDEV);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(x1_short),          TEST(x2_unknown_type),
        TEST(x3_capacity),       TEST(x4_length_field),
        TEST(x5_shape),          TEST(x6_empty_name),
        TEST(x7_long_name),      TEST(x8_slash_and_nul),
        TEST(x9_dots),           TEST(x10_target),
        TEST(x11_unknown_ids),   TEST(x12_not_a_directory),
        TEST(x13_read_range),    TEST(x14_x15_read_write_type),
        TEST(x16_file_size),     TEST(x17_quota),
        TEST(x18_write_nothing), TEST(x19_size_type),
        TEST(x20_open_type),     TEST(x21_handles),
        TEST(x22_rename),        TEST(x23_read_only),
        TEST(x24_huge_frame),    TEST(x25_readlink),
        TEST(x26_exports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
