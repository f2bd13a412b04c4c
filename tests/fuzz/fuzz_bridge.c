/* SPDX-License-Identifier: MIT
 *
 * A hostile process behind the bridge.  Everything that it will ever say is in the
 * socket before it is asked: a good hello and MOUNT, then replies from the input, whose
 * envelope and header are mostly put right, so that the bodies are looked at.
 */
#define _GNU_SOURCE
#include "hostfs/bridge.h"
#include "hostfs/hostfs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is asked, in this order and again. */
static const uint8_t types[] = {V86FS_MSG_LOOKUP, V86FS_MSG_GETATTR,  V86FS_MSG_READDIR,
                                V86FS_MSG_READ,   V86FS_MSG_READLINK, V86FS_MSG_OPEN,
                                V86FS_MSG_CREATE, V86FS_MSG_STATFS};

enum { ROUNDS = 24 };

static void put_envelope(int fd, uint8_t kind, uint64_t seq, struct bytes payload)
{
    uint8_t head[HOSTFS_ENVELOPE_SIZE] = {0};
    v86fs_store(head, 4, sizeof head + payload.size);
    head[4] = kind;
    v86fs_store(head + 8, 8, seq);
    (void)!write(fd, head, sizeof head);
    (void)!write(fd, payload.data, payload.size);
}

static void put_start(int fd)
{
    static const uint8_t hello[HOSTFS_HELLO_SIZE] = "v86fsbr1\1\0\0\0\x33";
    static const uint8_t mount[] = {23, 0, 0, 0, 0x80, 1, 0, 0,    0,    0, 0, 1,
                                    0,  0, 0, 0, 0,    0, 0, 0xed, 0x41, 0, 0};
    put_envelope(fd, HOSTFS_HELLO_R, 0, bytes_of(hello, sizeof hello));
    put_envelope(fd, HOSTFS_REP, 1, bytes_of(mount, sizeof mount));
}

/* One reply: a byte that says what is left wrong, one of length, the body. */
static struct bytes put_reply(int fd, uint64_t seq, struct bytes script)
{
    uint8_t frame[V86FS_HEADER_SIZE + 255];
    if (script.size < 2)
        return (struct bytes){0};
    uint8_t wrong = script.data[0];
    size_t size = script.data[1];
    script = bytes_of(script.data + 2, script.size - 2);
    if (size > script.size)
        size = script.size;
    if (size)
        memcpy(frame + V86FS_HEADER_SIZE, script.data, size);
    v86fs_store(frame, 4, V86FS_HEADER_SIZE + size + (wrong == 1));
    frame[4] = types[(seq - 2) % countof(types)] | V86FS_REPLY;
    v86fs_store(frame + 5, 2, seq);
    if (wrong == 2)
        frame[4] = V86FS_ERROR_R;
    if (wrong == 3) { /* a notification, of each type in turn */
        frame[4] = (uint8_t)(V86FS_MSG_INVALIDATE + seq % 4);
        v86fs_store(frame + 5, 2, 0);
    }
    put_envelope(fd, wrong == 3 ? HOSTFS_NOTIFY : HOSTFS_REP,
                 wrong == 3 || wrong == 4 ? 0 : seq,
                 bytes_of(frame, V86FS_HEADER_SIZE + size));
    return bytes_of(script.data + size, script.size - size);
}

static bool any_entry(struct v86fs_call *call, const struct v86fs_dirent *entry)
{
    (void)call;
    check(!v86fs_tree_name_status(entry->name, V86FS_EINVAL, V86FS_EINVAL));
    check(entry->node && entry->node <= V86FS_ID_MAX);
    return true;
}

static void check_note(void *self, struct bytes frame)
{
    struct v86fs_note note;
    (void)self;
    check(v86fs_note_decode(frame, &note));
    check(v86fs_note_is_mount(&note) || (note.ino && note.ino <= V86FS_ID_MAX));
}

static void ask_all(struct v86fs_tree tree, uint64_t root)
{
    static const enum v86fs_op ops[] = {
        V86FS_OP_lookup,   V86FS_OP_getattr, V86FS_OP_readdir, V86FS_OP_read,
        V86FS_OP_readlink, V86FS_OP_open,    V86FS_OP_create,  V86FS_OP_statfs};
    uint8_t data[64];
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct v86fs_call call = {
            .in = {.node = root, .count = sizeof data, .name = bytes_of("n", 1)},
            .data = data,
            .data_size_max = sizeof data,
            .entry = any_entry};
        enum v86fs_op op = ops[i % countof(ops)];
        uint32_t status = v86fs_tree_call(tree, op, &call);
        check(status <= 4095);
        if (!status && (op == V86FS_OP_read || op == V86FS_OP_readlink))
            check(call.out.count <= sizeof data);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2];
    char attachment[16];
    struct arena arena;
    struct v86fs_ids ids;
    struct hostfs_remote *remote;
    struct hostfs_remote_options options;
    struct bytes script = bytes_of(data, size < 8192 ? size : 8192);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return 0;
    (void)fcntl(pair[1], F_SETFL, O_NONBLOCK);
    put_start(pair[1]);
    for (uint64_t seq = 2; script.size && seq < 2 + ROUNDS; seq++)
        script = put_reply(pair[1], seq, script);
    if (script.size)
        (void)!write(pair[1], script.data, script.size);
    (void)shutdown(pair[1], SHUT_WR);
    hostfs_remote_options_init(&options);
    options.node_count_max = 50;
    options.request_ns = 1000000000;
    options.mounts = true;
    options.note = check_note;
    arena_init(&arena, 1 << 24);
    v86fs_ids_init(&ids);
    (void)snprintf(attachment, sizeof attachment, "fd:%d", pair[0]);
    check(!hostfs_remote_open(&arena, &options, attachment, &ids, &remote));
    ask_all(hostfs_remote_tree(remote), hostfs_remote_root(remote));
    hostfs_remote_close(remote);
    (void)close(pair[1]);
    arena_fini(&arena);
    return 0;
}
