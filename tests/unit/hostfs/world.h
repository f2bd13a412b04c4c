/* SPDX-License-Identifier: MIT
 *
 * What the tests of hostfs share: a fresh folder with `root`, which is exported, and
 * `outside`, which nobody must reach; a server in front of it; requests in one line.
 */
#ifndef TESTS_UNIT_HOSTFS_WORLD_H
#define TESTS_UNIT_HOSTFS_WORLD_H

#include "hostfs/hostfs.h"

#include "tests/test.h"

#define WORLD_NOW UINT64_C(1700000000123456789)

struct world {
    struct arena arena;
    struct v86fs_ids ids;
    struct hostfs_dir *dir;
    struct v86fs_server *server;
    uint64_t now_ns;
    uint64_t root;
    char folder[64]; /* absolute */
    uint8_t reply[V86FS_FRAME_MAX];
    /* of the last ask */
    struct v86fs_answer answer;
    struct bytes tail;
};

/* Options may be NULL: the defaults. */
void world_init(struct world *world, const struct hostfs_dir_options *options);
void world_fini(struct world *world);

/* Run a shell command in the folder; it must succeed. */
void world_shell(struct world *world, const char *command);

/* Serve a request through frames, all extensions on: the status. */
uint32_t world_ask(struct world *world, uint8_t type, const struct v86fs_ask *ask);

struct bytes text(const char *string);

#define ask(world, type, ...)                                                          \
    world_ask((world), V86FS_MSG_##type, &(struct v86fs_ask){__VA_ARGS__})

/* The node of a path below the root; every part must be found. */
uint64_t world_node(struct world *world, const char *path);

/* Names of a directory in order, with spaces between them. */
const char *world_list(struct world *world, uint64_t node, uint64_t cookie);

/* The content of a file of the folder, "" if there is none.  Static storage. */
const char *world_content(struct world *world, const char *path);

#endif
