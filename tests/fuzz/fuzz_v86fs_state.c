/* SPDX-License-Identifier: MIT
 *
 * Hostile saved states.  The input is a u32 size, so many bytes of a server's state,
 * and the rest is a store's.  A state that is taken saves itself as the same bytes, and
 * what was loaded answers every message and can be emptied.
 */
#include "v86fs/v86fs.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REPLY_MAX = 9000, NODE_MAX = 40, SIZE_MAX_SAVED = 1 << 22 };

struct world {
    struct arena arena;
    struct v86fs_ids ids;
    struct v86fs_mem *mem;
    struct v86fs_server *server;
};

static void world_init(struct world *world)
{
    struct v86fs_mem_options mem = {.node_count_max = NODE_MAX,
                                    .quota = 1 << 17,
                                    .file_size_max = (uint64_t)1 << 40};
    struct v86fs_server_options options;
    uint64_t root;
    v86fs_server_options_init(&options);
    options.handle_count_max = 8;
    arena_init(&world->arena, 1 << 24);
    v86fs_ids_init(&world->ids);
    check(v86fs_mem_create(&world->arena, &mem, &world->ids, &world->mem) == ERR_ok);
    check(v86fs_mem_root(world->mem, 0755, 0, &root) == ERR_ok);
    v86fs_ids_start(&world->ids, 100);
    check(v86fs_server_create(&world->arena, &options, &world->ids, &world->server) ==
          ERR_ok);
    check(v86fs_server_export(world->server, bytes_of("", 0),
                              v86fs_mem_tree(world->mem), root, false) == ERR_ok);
}

static void check_same(struct world *world, struct bytes server, struct bytes mem)
{
    struct buf buf;
    buf_init(&buf, SIZE_MAX_SAVED);
    check(v86fs_server_save(world->server, &buf) == ERR_ok);
    check(buf.size == server.size && !memcmp(buf.data, server.data, server.size));
    buf_clear(&buf);
    check(v86fs_mem_save(world->mem, &world->arena, &buf) == ERR_ok);
    check(buf.size == mem.size && !memcmp(buf.data, mem.data, mem.size));
    buf_fini(&buf);
}

/* Each message for each small id: nothing that was loaded leads out of the tables. */
static void use(struct world *world)
{
    static uint8_t reply[REPLY_MAX];
    size_t size;
    uint64_t token;
    struct buf frame;
    buf_init(&frame, 1 << 16);
    for (uint64_t id = 1; id < NODE_MAX + 100; id++) {
        for (unsigned type = V86FS_MSG_LOOKUP; type <= V86FS_MSG_STATFS; type++) {
            struct v86fs_ask ask = {.node = id,
                                    .new_parent = id / 2,
                                    .name = bytes_of("a", 1),
                                    .new_name = bytes_of("b", 1),
                                    .target = bytes_of("t", 1),
                                    .data = bytes_of("data", 4),
                                    .count = 4,
                                    .size = 100,
                                    .valid = V86FS_SET_SIZE};
            buf_clear(&frame);
            v86fs_request_encode(v86fs_message_of((uint8_t)type), 0, 1, &ask, &frame);
            v86fs_server_serve(world->server, 1, buf_bytes(&frame), reply, sizeof reply,
                               &size, &token);
            check(size && v86fs_load(reply, 4) == size);
        }
    }
    buf_fini(&frame);
    v86fs_server_reset(world->server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    size_t cut = (size_t)v86fs_load(data, 4);
    if (cut > size - 4)
        cut = size - 4;
    struct bytes server = bytes_of(data + 4, cut);
    struct bytes mem = bytes_of(data + 4 + cut, size - 4 - cut);
    struct world world;
    world_init(&world);
    enum err err = v86fs_server_load(world.server, server);
    check(!err || err == ERR_v86fs_state);
    if (err)
        world.ids.next = 1000; /* so that the store has a chance, too */
    enum err mem_err = v86fs_mem_load(world.mem, &world.arena, mem);
    check(!mem_err || mem_err == ERR_v86fs_state);
    if (!err && !mem_err) {
        check_same(&world, server, mem);
        use(&world);
    }
    arena_fini(&world.arena);
    return 0;
}
