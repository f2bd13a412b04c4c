/* SPDX-License-Identifier: MIT
 *
 * How fast the file server answers: frames over a tree in memory.
 */
#include "tests/bench/bench.h"
#include "v86fs/v86fs.h"

#include <stdio.h>

enum { FILES = 100000, LISTED = 1000, TURNS = 20000, PAGE = 4096 };

struct work {
    const char *name;
    uint8_t type;
    struct v86fs_ask ask;
    uint32_t count; /* requests of one call */
    struct v86fs_server *server;
};

static uint8_t page[PAGE];
static uint8_t reply[V86FS_FRAME_MAX];

static void run(void *self)
{
    const struct work *work = self;
    struct buf frame;
    size_t size;
    uint64_t token;
    buf_init(&frame, V86FS_FRAME_MAX);
    v86fs_request_encode(v86fs_message_of(work->type), 0, 1, &work->ask, &frame);
    for (uint32_t i = 0; i < work->count; i++) {
        v86fs_server_serve(work->server, i, buf_bytes(&frame), reply, sizeof reply,
                           &size, &token);
        check(size && v86fs_load(reply + V86FS_HEADER_SIZE, 4) == 0);
    }
    buf_fini(&frame);
}

/* A directory with `count` files; the id of the last one. */
static uint64_t fill(struct v86fs_tree tree, uint64_t dir, uint32_t count)
{
    struct v86fs_call call = {.in = {.node = dir, .mode = 0644}};
    for (uint32_t i = 0; i < count; i++) {
        char name[16];
        int size = snprintf(name, sizeof name, "file%u", i);
        call.in.name = bytes_of(name, (size_t)size);
        check(tree.ops->create(tree.self, &call) == 0);
    }
    return call.out.attr.node;
}

int main(void)
{
    struct arena arena;
    struct v86fs_ids ids;
    struct v86fs_mem_options options;
    struct v86fs_server_options server_options;
    struct v86fs_mem *mem;
    struct v86fs_server *server;
    uint64_t root, small;
    v86fs_mem_options_init(&options);
    v86fs_server_options_init(&server_options);
    arena_init(&arena, (size_t)8 << 30);
    v86fs_ids_init(&ids);
    if (v86fs_mem_create(&arena, &options, &ids, &mem) ||
        v86fs_mem_root(mem, 0755, 0, &root) || v86fs_mem_root(mem, 0755, 0, &small) ||
        v86fs_server_create(&arena, &server_options, &ids, &server) ||
        v86fs_server_export(server, bytes_of("", 0), v86fs_mem_tree(mem), root,
                            false) ||
        v86fs_server_export(server, bytes_of("s", 1), v86fs_mem_tree(mem), small,
                            false))
        return 1;
    uint64_t file = fill(v86fs_mem_tree(mem), root, FILES);
    (void)fill(v86fs_mem_tree(mem), small, LISTED);
    struct bytes name = bytes_of("file77777", 9);
    struct work work[] = {
        {"LOOKUP", V86FS_MSG_LOOKUP, {.node = root, .name = name}, TURNS, server},
        {"GETATTR", V86FS_MSG_GETATTR, {.node = file}, TURNS, server},
        {"WRITE 4 KiB",
         V86FS_MSG_WRITE,
         {.node = file, .count = PAGE, .data = {page, PAGE}},
         TURNS,
         server},
        {"READ 4 KiB", V86FS_MSG_READ, {.node = file, .count = PAGE}, TURNS, server},
        {"READDIR 1000", V86FS_MSG_READDIR, {.node = small}, 100, server},
    };
    printf("%-14s %10s   with %d files\n", "request", "ns", FILES);
    for (size_t i = 0; i < countof(work); i++)
        printf("%-14s %10.0f\n", work[i].name,
               (double)bench_ns(run, &work[i]) / work[i].count);
    arena_fini(&arena);
    return 0;
}
