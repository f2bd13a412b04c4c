/* SPDX-License-Identifier: MIT */
#include "tests/unit/v86fs/world.h"

#include <string.h>

#define SECOND UINT64_C(1000000000)

struct bytes text(const char *string)
{
    return bytes_of(string, strlen(string));
}

static void preload(struct world *world)
{
    struct v86fs_tree tree = v86fs_mem_tree(world->mem);
    struct v86fs_call call = {.now_ns = 1711500000 * SECOND};
    uint64_t root;
    assert_int_equal(v86fs_mem_root(world->mem, 0755, call.now_ns, &root), ERR_ok);
    assert_int_equal(root, WORLD_ROOT);
    call.in = (struct v86fs_ask){.node = root, .name = text("hello.txt"), .mode = 0644};
    assert_int_equal(tree.ops->create(tree.self, &call), 0);
    call.in = (struct v86fs_ask){
        .node = WORLD_HELLO, .count = 12, .data = text("hello world\n")};
    assert_int_equal(tree.ops->write(tree.self, &call), 0);
    call.in = (struct v86fs_ask){.node = root, .name = text("subdir"), .mode = 0755};
    assert_int_equal(tree.ops->mkdir(tree.self, &call), 0);
    v86fs_ids_start(&world->ids, 100);
}

void world_init(struct world *world, const struct v86fs_mem_options *mem,
                const struct v86fs_server_options *server)
{
    struct v86fs_mem_options mem_default;
    struct v86fs_server_options server_default;
    struct v86fs_statfs statfs = {1048576, 524288, 524288, 1048576, 524288, 4096};
    v86fs_mem_options_init(&mem_default);
    mem_default.node_count_max = 5000;
    mem_default.quota = 16 << 20;
    mem_default.statfs_fixed = true;
    mem_default.statfs = statfs;
    v86fs_server_options_init(&server_default);
    memset(world, 0, sizeof *world);
    arena_init(&world->arena, (size_t)8 << 30);
    v86fs_ids_init(&world->ids);
    assert_int_equal(v86fs_mem_create(&world->arena, mem ? mem : &mem_default,
                                      &world->ids, &world->mem),
                     ERR_ok);
    preload(world);
    assert_int_equal(v86fs_server_create(&world->arena,
                                         server ? server : &server_default, &world->ids,
                                         &world->server),
                     ERR_ok);
    struct v86fs_tree tree = v86fs_mem_tree(world->mem);
    assert_int_equal(
        v86fs_server_export(world->server, text(""), tree, WORLD_ROOT, false), ERR_ok);
    assert_int_equal(
        v86fs_server_export(world->server, text("workspace"), tree, WORLD_ROOT, false),
        ERR_ok);
    world->now_ns = 1700000000 * SECOND;
    world->capacity = V86FS_FRAME_MAX;
}

void world_fini(struct world *world)
{
    arena_fini(&world->arena);
}

void world_features(struct world *world, uint32_t features)
{
    world->features = features;
    v86fs_server_negotiate(world->server, features);
}

/* Bytes behind the capacity must survive. */
void world_serve(struct world *world, struct bytes request)
{
    static uint8_t guarded[V86FS_FRAME_MAX + 64];
    assert_true(world->capacity <= V86FS_FRAME_MAX);
    memset(guarded + world->capacity, 0xa5, 64);
    v86fs_server_serve(world->server, world->now_ns, request, guarded, world->capacity,
                       &world->reply_size, &world->token);
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(guarded[world->capacity + i], 0xa5);
    assert_true(world->reply_size <= world->capacity);
    memcpy(world->reply, guarded, world->reply_size);
    if (world->reply_size) {
        assert_true(world->reply_size >= V86FS_ERROR_SIZE);
        assert_int_equal(v86fs_load(world->reply, 4), world->reply_size);
    }
}

uint32_t world_status(const struct world *world)
{
    return world->reply_size ? (uint32_t)v86fs_load(world->reply + 7, 4) : UINT32_MAX;
}

uint32_t world_ask(struct world *world, uint8_t type, const struct v86fs_ask *in)
{
    static uint16_t tag;
    const struct v86fs_message *message = v86fs_message_of(type);
    struct buf frame;
    uint32_t status = UINT32_MAX;
    buf_init(&frame, V86FS_FRAME_MAX + 64);
    v86fs_request_encode(message, world->features, ++tag, in, &frame);
    assert_int_equal(frame.err, ERR_ok);
    world_serve(world, buf_bytes(&frame));
    buf_fini(&frame);
    world->answer = (struct v86fs_answer){0};
    world->tail = (struct bytes){0};
    if (world->reply_size)
        assert_true(v86fs_reply_decode(message, world->features, tag,
                                       bytes_of(world->reply, world->reply_size),
                                       &status, &world->answer, &world->tail));
    return status;
}
