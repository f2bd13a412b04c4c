/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "tests/unit/hostfs/other.h"

#include "base/os.h"
#include "base/os_stream.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

bool other_shared;

int other_with_socket(void **state)
{
    (void)state;
    other_shared = false;
    return 0;
}

int other_with_memory(void **state)
{
    (void)state;
    other_shared = true;
    return 0;
}

/* Short where nothing comes; long where a busy machine must not be taken for that. */
static unsigned deadline_ms(enum other_wrong wrong)
{
    bool never = wrong == OTHER_SILENT || wrong == OTHER_STOPPED ||
                 wrong == OTHER_FLOOD || wrong == OTHER_RING_HEAD ||
                 wrong == OTHER_RING_EVENT;
    return never ? 60 : wrong == OTHER_LATE ? 250 : 10000;
}

void other_server(struct other *o)
{
    struct v86fs_mem_options mem;
    struct v86fs_server_options options;
    struct v86fs_mem *store;
    uint64_t root;
    v86fs_mem_options_init(&mem);
    mem.node_count_max = 1000;
    mem.quota = 8 << 20;
    v86fs_server_options_init(&options);
    arena_init(&o->arena, 1 << 28);
    v86fs_ids_init(&o->ids);
    check(!v86fs_mem_create(&o->arena, &mem, &o->ids, &store));
    check(!v86fs_mem_root(store, 0755, 5000000007, &root));
    check(!v86fs_server_create(&o->arena, &options, &o->ids, &o->server));
    check(!v86fs_server_export(o->server, bytes_of("", 0), v86fs_mem_tree(store), root,
                               false));
    o->channel.in = arena_alloc(&o->arena, HOSTFS_ENVELOPE_SIZE + V86FS_FRAME_MAX, 8);
    o->channel.out = arena_alloc(&o->arena, HOSTFS_ENVELOPE_SIZE + V86FS_FRAME_MAX, 8);
}

static void send_note(struct other *o, size_t size)
{
    uint8_t frame[31];
    (void)v86fs_invalidate_encode(1, 0, 0, frame, sizeof frame);
    const struct hostfs_envelope note = {.kind = HOSTFS_NOTIFY,
                                         .payload = bytes_of(frame, size)};
    (void)!hostfs_channel_send(&o->channel, &note, OTHER_NEVER);
}

/* The same in the shared memory, where everything can be written at any time. */
static bool spoil_ring(struct other *o)
{
    struct hostfs_ring *ring = &o->channel.ring_out;
    uint8_t *record = ring->data + (ring->at & (ring->size - 1));
    if (o->wrong == OTHER_RING_EVENT) {
        for (;;) {
            os_event_signal(o->channel.tell);
            os_sleep_ns(100000);
        }
    }
    if (o->wrong == OTHER_RING_HEAD) {
        *o->channel.ring_in.head += 8;
        return false;
    }
    v86fs_store(record, 4, o->wrong == OTHER_RING_SHORT ? 16 : 4096);
    record[4] = HOSTFS_REP;
    *ring->tail += o->wrong == OTHER_RING_TAIL ? ring->size + 8 : 32;
    os_event_signal(o->channel.tell);
    return false;
}

/* Spoil a good reply; false: send nothing. */
static bool spoil(struct other *o, struct hostfs_envelope *answer, uint8_t *reply)
{
    switch (o->wrong) {
    case OTHER_DIES:
        _exit(0);
    case OTHER_SILENT:
        return false;
    case OTHER_LATE:
        os_sleep_ns(deadline_ms(OTHER_LATE) * UINT64_C(1500000));
        o->wrong = OTHER_GOOD;
        break;
    case OTHER_WRONG_SEQ:
        answer->seq++;
        break;
    case OTHER_WRONG_TAG:
        reply[5] ^= 1;
        break;
    case OTHER_WRONG_TYPE:
        reply[4] ^= 3;
        break;
    case OTHER_WRONG_LENGTH:
        reply[0]++;
        break;
    case OTHER_TRUNCATED:
        answer->payload.size--;
        break;
    case OTHER_GARBAGE:
        (void)!write(o->channel.fd, "garbage, and enough of it for an envelope", 41);
        return false;
    case OTHER_HUGE_ENVELOPE:
        (void)!write(o->channel.fd,
                     "\xff\xff\xff\x7f\4\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
        return false;
    case OTHER_TWICE:
        (void)!hostfs_channel_send(&o->channel, answer, OTHER_NEVER);
        break;
    case OTHER_BAD_STATUS:
        v86fs_store(reply + 7, 4, 5000);
        break;
    case OTHER_BAD_MODE:
        if (reply[4] == (V86FS_MSG_LOOKUP | V86FS_REPLY))
            v86fs_store(reply + 19, 4, 0020666);
        break;
    case OTHER_BAD_NAMES:
        if (reply[4] == (V86FS_MSG_READDIR | V86FS_REPLY))
            reply[answer->payload.size - 1] = '/';
        break;
    case OTHER_TOO_MUCH_DATA:
        if (reply[4] == (V86FS_MSG_READ | V86FS_REPLY)) {
            v86fs_store(reply, 4, answer->payload.size + 1);
            v86fs_store(reply + 11, 4, answer->payload.size + 1 - 15);
            answer->payload.size++;
        }
        break;
    case OTHER_NOTES:
        send_note(o, 31);
        break;
    case OTHER_BAD_NOTE:
        send_note(o, 30);
        break;
    case OTHER_KILLED:
        (void)raise(SIGKILL);
        break;
    case OTHER_STOPPED:
        (void)raise(SIGSTOP);
        break;
    case OTHER_FLOOD:
        for (;;)
            send_note(o, 31);
    case OTHER_RING_TAIL:
    case OTHER_RING_LENGTH:
    case OTHER_RING_SHORT:
    case OTHER_RING_HEAD:
    case OTHER_RING_EVENT:
        return spoil_ring(o);
    case OTHER_GOOD:
    case OTHER_MORE_FEATURES:
        break;
    }
    return true;
}

_Noreturn void other_run(struct other *o)
{
    static uint8_t reply[V86FS_FRAME_MAX + 1];
    struct hostfs_envelope envelope;
    struct hostfs_hello hello;
    other_server(o);
    if (o->wrong == OTHER_MORE_FEATURES) {
        (void)!hostfs_channel_receive(&o->channel, OTHER_NEVER, &envelope);
        o->channel.in[HOSTFS_ENVELOPE_SIZE + (other_shared ? 20 : 15)] = 0x80;
        envelope.kind = HOSTFS_HELLO_R;
        (void)!hostfs_channel_send(&o->channel, &envelope, OTHER_NEVER);
        pause();
    }
    check(!hostfs_channel_welcome(&o->channel, o->features, OTHER_NEVER, &hello));
    v86fs_server_negotiate(o->server, hello.features);
    for (unsigned count = 1;
         !hostfs_channel_receive(&o->channel, OTHER_NEVER, &envelope); count++) {
        size_t size;
        uint64_t token;
        if (envelope.kind == HOSTFS_BYE)
            break;
        if (envelope.kind != HOSTFS_REQ)
            continue;
        v86fs_server_serve(o->server, 5000000007, envelope.payload, reply,
                           envelope.capacity, &size, &token);
        struct hostfs_envelope answer = {
            .kind = HOSTFS_REP, .seq = envelope.seq, .payload = bytes_of(reply, size)};
        if (count < o->at || spoil(o, &answer, reply))
            (void)!hostfs_channel_send(&o->channel, &answer, OTHER_NEVER);
    }
    _exit(0);
}

static enum err open_once(struct ours *w, struct other other)
{
    int pair[2];
    char attachment[20];
    struct hostfs_remote_options options;
    memset(w, 0, sizeof *w);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    w->process = fork();
    assert_true(w->process >= 0);
    if (!w->process) {
        (void)close(pair[0]);
        other.channel.fd = pair[1];
        other_run(&other);
    }
    (void)close(pair[1]);
    (void)snprintf(attachment, sizeof attachment, "fd:%d", pair[0]);
    hostfs_remote_options_init(&options);
    options.node_count_max = 500;
    options.request_ns = deadline_ms(other.wrong) * UINT64_C(1000000);
    options.shared = other_shared;
    arena_init(&w->arena, 1 << 28);
    v86fs_ids_init(&w->ids);
    enum err err =
        hostfs_remote_open(&w->arena, &options, attachment, &w->ids, &w->remote);
    if (!err) {
        w->tree = hostfs_remote_tree(w->remote);
        w->root = hostfs_remote_root(w->remote);
    }
    return err;
}

void ours_close(struct ours *w)
{
    hostfs_remote_close(w->remote);
    arena_fini(&w->arena);
    (void)kill(w->process, SIGKILL);
    assert_int_equal(waitpid(w->process, NULL, 0), w->process);
}

/* A busy machine may miss a short deadline where nothing is wrong yet: once more. */
enum err ours_open(struct ours *w, struct other other)
{
    enum err err = open_once(w, other);
    for (unsigned tries = 0; err == ERR_timeout && other.at > 1 && tries < 100;
         tries++) {
        ours_close(w);
        err = open_once(w, other);
    }
    return err;
}

struct bytes text(const char *string)
{
    return bytes_of(string, strlen(string));
}
