/* SPDX-License-Identifier: MIT
 *
 * What the tests of v86fs share: the fixture of the vectors (v86fs.md appendix C) with
 * a server in front of it, and requests in one line.
 */
#ifndef TESTS_UNIT_V86FS_WORLD_H
#define TESTS_UNIT_V86FS_WORLD_H

#include "v86fs/v86fs.h"

#include "tests/test.h"

enum { WORLD_ROOT = 1, WORLD_HELLO = 2, WORLD_SUBDIR = 3 };

struct world {
    struct arena arena;
    struct v86fs_ids ids;
    struct v86fs_mem *mem;
    struct v86fs_server *server;
    uint64_t now_ns;
    uint32_t features;
    size_t capacity; /* of replies */
    uint8_t reply[V86FS_FRAME_MAX];
    size_t reply_size;
    uint64_t token;
    /* of the last world_ask */
    struct v86fs_answer answer;
    struct bytes tail;
};

/* The fixture; NULL options are the defaults with few nodes and a small quota. */
void world_init(struct world *world, const struct v86fs_mem_options *mem,
                const struct v86fs_server_options *server);
void world_fini(struct world *world);

/* Negotiate. */
void world_features(struct world *world, uint32_t features);

/* Serve raw bytes; the reply is in world->reply. */
void world_serve(struct world *world, struct bytes request);

/* Serve a request that is made of `ask` and decode the reply: the status. */
uint32_t world_ask(struct world *world, uint8_t type, const struct v86fs_ask *ask);

/* The status of a frame that is malformed on purpose; 0xffffffff for no reply. */
uint32_t world_status(const struct world *world);

/* A C string as bytes. */
struct bytes text(const char *string);

#define ask(world, type, ...)                                                          \
    world_ask((world), V86FS_MSG_##type, &(struct v86fs_ask){__VA_ARGS__})

#endif
