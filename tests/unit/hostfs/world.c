/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "tests/unit/hostfs/world.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct bytes text(const char *string)
{
    return bytes_of(string, strlen(string));
}

void world_shell(struct world *world, const char *command)
{
    char line[4096];
    (void)snprintf(line, sizeof line, "cd '%s' && { %s\n}", world->folder, command);
    if (system(line) != 0)
        fail_msg("shell: %s", command);
}

void world_init(struct world *world, const struct hostfs_dir_options *options)
{
    struct hostfs_dir_options usual;
    struct v86fs_server_options server;
    char path[80];
    memset(world, 0, sizeof *world);
    const char *base = getenv("TMPDIR");
    (void)snprintf(world->folder, sizeof world->folder, "%s/lockstep-fs-XXXXXX",
                   base && strlen(base) < 40 ? base : "/tmp");
    assert_non_null(mkdtemp(world->folder));
    world_shell(world, "mkdir root outside; echo secret >outside/secret");
    hostfs_dir_options_init(&usual);
    usual.node_count_max = 20000;
    arena_init(&world->arena, (size_t)8 << 30);
    v86fs_ids_init(&world->ids);
    (void)snprintf(path, sizeof path, "%s/root", world->folder);
    assert_int_equal(hostfs_dir_open(&world->arena, options ? options : &usual, path,
                                     &world->ids, &world->dir),
                     ERR_ok);
    world->root = hostfs_dir_root(world->dir);
    v86fs_server_options_init(&server);
    assert_int_equal(
        v86fs_server_create(&world->arena, &server, &world->ids, &world->server),
        ERR_ok);
    assert_int_equal(v86fs_server_export(world->server, text(""),
                                         hostfs_dir_tree(world->dir), world->root,
                                         false),
                     ERR_ok);
    v86fs_server_negotiate(world->server, V86FS_FEATURES);
    world->now_ns = WORLD_NOW;
}

void world_fini(struct world *world)
{
    char line[128];
    hostfs_dir_close(world->dir);
    arena_fini(&world->arena);
    (void)snprintf(line, sizeof line, "rm -rf '%s'", world->folder);
    assert_int_equal(system(line), 0);
}

uint32_t world_ask(struct world *world, uint8_t type, const struct v86fs_ask *ask)
{
    const struct v86fs_message *message = v86fs_message_of(type);
    struct buf frame;
    uint32_t status;
    uint64_t token;
    size_t size;
    buf_init(&frame, V86FS_FRAME_MAX);
    v86fs_request_encode(message, V86FS_FEATURES, 7, ask, &frame);
    assert_int_equal(frame.err, ERR_ok);
    v86fs_server_serve(world->server, world->now_ns, buf_bytes(&frame), world->reply,
                       sizeof world->reply, &size, &token);
    buf_fini(&frame);
    assert_true(v86fs_reply_decode(message, V86FS_FEATURES, 7,
                                   bytes_of(world->reply, size), &status,
                                   &world->answer, &world->tail));
    return status;
}

uint64_t world_node(struct world *world, const char *path)
{
    uint64_t node = world->root;
    while (*path) {
        size_t size = strcspn(path, "/");
        uint32_t status =
            ask(world, LOOKUP, .node = node, .name = bytes_of(path, size));
        if (status)
            fail_msg("%s: %s", path, v86fs_tree_status_name(status));
        node = world->answer.attr.node;
        path += size + (path[size] == '/');
    }
    return node;
}

const char *world_list(struct world *world, uint64_t node, uint64_t cookie)
{
    static char names[8192];
    struct v86fs_dirent entry;
    size_t at = 0;
    assert_int_equal(ask(world, READDIR, .node = node, .cookie = cookie), 0);
    struct bytes entries = world->tail;
    while (v86fs_dirent_decode(&entries, &entry) &&
           at + entry.name.size + 2 < sizeof names) {
        memcpy(names + at, entry.name.data, entry.name.size);
        at += entry.name.size;
        names[at++] = ' ';
    }
    names[at ? at - 1 : 0] = 0;
    return names;
}

const char *world_content(struct world *world, const char *path)
{
    static char content[4096];
    char full[512];
    (void)snprintf(full, sizeof full, "%s/%s", world->folder, path);
    FILE *file = fopen(full, "r");
    size_t size = file ? fread(content, 1, sizeof content - 1, file) : 0;
    content[size] = 0;
    if (file)
        fclose(file);
    return content;
}
