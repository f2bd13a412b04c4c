/* SPDX-License-Identifier: MIT
 *
 * Hostile requests to a small server.  The input is a script: a byte that chooses, then
 * what it needs.  Requests are either raw bytes or made well-formed from the next ones,
 * so that the fuzzer gets behind the checks of shape at once.
 *
 * Whatever comes: one reply at most, its length field is its size and within the
 * capacity, its type belongs to the request, a client can decode it, and a reset leaves
 * no handle.
 */
#include "v86fs/v86fs.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 200, REPLY_MAX = 9000 };

struct script {
    struct bytes left;
    struct arena arena;
    struct v86fs_ids ids;
    struct v86fs_server *server;
    uint32_t features;
};

static uint64_t take(struct script *script, unsigned size)
{
    uint8_t number[8] = {0};
    size_t there = script->left.size < size ? script->left.size : size;
    if (there)
        memcpy(number, script->left.data, there);
    script->left = bytes_of(script->left.data + there, script->left.size - there);
    return v86fs_load(number, 8);
}

static struct bytes take_bytes(struct script *script, size_t size)
{
    struct bytes taken = script->left;
    if (taken.size > size)
        taken.size = size;
    script->left =
        bytes_of(script->left.data + taken.size, script->left.size - taken.size);
    return taken;
}

static void script_init(struct script *script)
{
    struct v86fs_mem_options mem = {
        .node_count_max = 30, .quota = 1 << 16, .file_size_max = (uint64_t)1 << 40};
    struct v86fs_server_options options;
    struct v86fs_mem *tree;
    uint64_t root, other;
    v86fs_server_options_init(&options);
    options.handle_count_max = 5;
    arena_init(&script->arena, 1 << 22);
    v86fs_ids_init(&script->ids);
    check(v86fs_mem_create(&script->arena, &mem, &script->ids, &tree) == ERR_ok);
    check(v86fs_mem_root(tree, 0755, 0, &root) == ERR_ok);
    check(v86fs_mem_root(tree, 0755, 0, &other) == ERR_ok);
    v86fs_ids_start(&script->ids, 16);
    check(v86fs_server_create(&script->arena, &options, &script->ids,
                              &script->server) == ERR_ok);
    check(v86fs_server_export(script->server, bytes_of("", 0), v86fs_mem_tree(tree),
                              root, false) == ERR_ok);
    check(v86fs_server_export(script->server, bytes_of("ro", 2), v86fs_mem_tree(tree),
                              other, true) == ERR_ok);
}

/* Names of one letter meet again; longer ones are raw. */
static struct bytes take_name(struct script *script)
{
    static const char letters[] = "abcdefgh";
    uint64_t choice = take(script, 1);
    if (choice < 200)
        return bytes_of(&letters[choice % 8], 1);
    return take_bytes(script, (size_t)take(script, 2) % 300);
}

static uint64_t take_node(struct script *script)
{
    uint64_t choice = take(script, 1);
    if (choice < 128)
        return choice % 48;
    return choice < 200 ? ((uint64_t)1 << 32) + choice % 16 : take(script, 8);
}

static void make_request(struct script *script, const struct v86fs_message *message,
                         struct buf *frame)
{
    struct v86fs_ask in = {.node = take_node(script)};
    for (const struct v86fs_field *field = message->request; field->type; field++) {
        if (field->type == V86FS_FIELD_name && !in.name.data)
            in.name = take_name(script);
        else if (field->type == V86FS_FIELD_name)
            in.new_name = take_name(script);
    }
    in.new_parent = message->code == V86FS_MSG_RENAME ? take_node(script) : 0;
    in.offset = take(script, (unsigned)take(script, 1) % 9);
    in.size = in.offset;
    in.cookie = in.offset;
    in.flags = (uint32_t)take(script, 4);
    in.valid = in.flags;
    in.mode = in.flags;
    in.count = (uint32_t)take(script, 2);
    if (message->code == V86FS_MSG_WRITE) {
        in.data = take_bytes(script, in.count);
        in.count = (uint32_t)in.data.size;
    }
    if (message->code == V86FS_MSG_SYMLINK)
        in.target = take_bytes(script, in.count % 100);
    v86fs_request_encode(message, script->features, (uint16_t)in.count, &in, frame);
}

static void check_reply(const struct script *script, struct bytes request,
                        struct bytes reply, size_t capacity)
{
    if (!reply.size)
        return;
    check(reply.size <= capacity && reply.size >= V86FS_ERROR_SIZE);
    check(v86fs_load(reply.data, 4) == reply.size);
    const struct v86fs_message *message = v86fs_message_of(request.data[4]);
    if (!message) {
        check(reply.data[4] == V86FS_ERROR_R && reply.size == V86FS_ERROR_SIZE);
        return;
    }
    uint32_t status;
    struct v86fs_answer answer;
    struct bytes tail;
    check(v86fs_reply_decode(message, script->features,
                             (uint16_t)v86fs_load(request.data + 5, 2), reply, &status,
                             &answer, &tail));
}

static void serve(struct script *script, struct bytes request)
{
    size_t capacity = (size_t)take(script, 2) % REPLY_MAX, size;
    uint64_t token;
    /* An exact allocation: a sanitizer sees one byte too many. */
    uint8_t *reply = malloc(capacity ? capacity : 1);
    check(reply);
    v86fs_server_serve(script->server, take(script, 1), request, reply, capacity, &size,
                       &token);
    check(!token);
    check_reply(script, request, bytes_of(reply, size), capacity);
    free(reply);
}

static void step(struct script *script)
{
    struct buf frame;
    uint64_t choice = take(script, 1);
    buf_init(&frame, 1 << 17);
    if (choice == 255) {
        v86fs_server_reset(script->server);
        check(v86fs_server_handle_count(script->server) == 0);
        script->features = (uint32_t)take(script, 1) & V86FS_FEATURES;
        v86fs_server_negotiate(script->server, script->features);
    } else if (choice >= 240) {
        serve(script, take_bytes(script, (size_t)take(script, 1)));
    } else {
        make_request(script, v86fs_message_of((uint8_t)(choice % V86FS_TYPE_COUNT)),
                     &frame);
        check(!frame.err);
        serve(script, buf_bytes(&frame));
    }
    buf_fini(&frame);
}

/* A client meets hostile replies too. */
static void decode_as_reply(const uint8_t *data, size_t size)
{
    for (uint8_t type = 0; size > 6 && type < V86FS_TYPE_COUNT; type++) {
        uint32_t status;
        struct v86fs_answer answer;
        struct bytes tail;
        (void)v86fs_reply_decode(v86fs_message_of(type), data[0] & V86FS_FEATURES,
                                 (uint16_t)v86fs_load(data + 5, 2),
                                 bytes_of(data, size), &status, &answer, &tail);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {.left = bytes_of(data, size)};
    script_init(&script);
    for (unsigned i = 0; i < STEPS_MAX && script.left.size; i++)
        step(&script);
    arena_fini(&script.arena);
    decode_as_reply(data, size);
    return 0;
}
