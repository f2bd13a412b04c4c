/* SPDX-License-Identifier: MIT
 *
 * The bridge with a good process on its other side, and with one that dies, waits, lies
 * or talks nonsense at every point.
 */
#define _GNU_SOURCE
#include "hostfs/bridge.h"
#include "hostfs/hostfs.h"

#include "base/os.h"
#include "base/os_stream.h"
#include "tests/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the other side does wrong, from request `at` on (1 is the MOUNT). */
enum wrong {
    GOOD,
    DIES,
    SILENT,
    LATE, /* answers one request after its deadline, the others in time */
    WRONG_SEQ,
    WRONG_TAG,
    WRONG_TYPE,
    WRONG_LENGTH,
    TRUNCATED,
    GARBAGE,
    HUGE_ENVELOPE,
    TWICE,
    BAD_STATUS,
    BAD_MODE,
    BAD_NAMES,
    TOO_MUCH_DATA,
    NOTES,
    BAD_NOTE,
    MORE_FEATURES,
    KILLED,
    STOPPED,
    FLOOD,       /* notes and no answer, for ever */
    RING_TAIL,   /* more bytes than the ring has */
    RING_LENGTH, /* a record that is longer than what is there */
    RING_SHORT,  /* a record that is shorter than an envelope */
    RING_HEAD,   /* takes more than was sent, so that there is no room */
    RING_EVENT,  /* tells of records that are not there */
};

/* Every test runs over the socket alone and with shared memory. */
static bool shared;

struct other {
    enum wrong wrong;
    unsigned at;
    uint32_t features;
    struct hostfs_channel channel;
    struct v86fs_server *server;
    struct arena arena;
    struct v86fs_ids ids;
};

/* Short where nothing comes; long where a busy machine must not be taken for that. */
static unsigned deadline_ms(enum wrong wrong)
{
    bool never = wrong == SILENT || wrong == STOPPED || wrong == FLOOD ||
                 wrong == RING_HEAD || wrong == RING_EVENT;
    return never ? 60 : wrong == LATE ? 250 : 10000;
}

#define NEVER UINT64_MAX

static void other_server(struct other *o)
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
    (void)!hostfs_channel_send(&o->channel, &note, NEVER);
}

/* The same in the shared memory, where everything can be written at any time. */
static bool spoil_ring(struct other *o)
{
    struct hostfs_ring *ring = &o->channel.ring_out;
    uint8_t *record = ring->data + (ring->at & (ring->size - 1));
    if (o->wrong == RING_EVENT) {
        for (;;) {
            os_event_signal(o->channel.tell);
            os_sleep_ns(100000);
        }
    }
    if (o->wrong == RING_HEAD) {
        *o->channel.ring_in.head += 8;
        return false;
    }
    v86fs_store(record, 4, o->wrong == RING_SHORT ? 16 : 4096);
    record[4] = HOSTFS_REP;
    *ring->tail += o->wrong == RING_TAIL ? ring->size + 8 : 32;
    os_event_signal(o->channel.tell);
    return false;
}

/* Spoil a good reply; false: send nothing. */
static bool spoil(struct other *o, struct hostfs_envelope *answer, uint8_t *reply)
{
    switch (o->wrong) {
    case DIES:
        _exit(0);
    case SILENT:
        return false;
    case LATE:
        os_sleep_ns(deadline_ms(LATE) * UINT64_C(1500000));
        o->wrong = GOOD;
        break;
    case WRONG_SEQ:
        answer->seq++;
        break;
    case WRONG_TAG:
        reply[5] ^= 1;
        break;
    case WRONG_TYPE:
        reply[4] ^= 3;
        break;
    case WRONG_LENGTH:
        reply[0]++;
        break;
    case TRUNCATED:
        answer->payload.size--;
        break;
    case GARBAGE:
        (void)!write(o->channel.fd, "garbage, and enough of it for an envelope", 41);
        return false;
    case HUGE_ENVELOPE:
        (void)!write(o->channel.fd,
                     "\xff\xff\xff\x7f\4\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
        return false;
    case TWICE:
        (void)!hostfs_channel_send(&o->channel, answer, NEVER);
        break;
    case BAD_STATUS:
        v86fs_store(reply + 7, 4, 5000);
        break;
    case BAD_MODE:
        if (reply[4] == (V86FS_MSG_LOOKUP | V86FS_REPLY))
            v86fs_store(reply + 19, 4, 0020666);
        break;
    case BAD_NAMES:
        if (reply[4] == (V86FS_MSG_READDIR | V86FS_REPLY))
            reply[answer->payload.size - 1] = '/';
        break;
    case TOO_MUCH_DATA:
        if (reply[4] == (V86FS_MSG_READ | V86FS_REPLY)) {
            v86fs_store(reply, 4, answer->payload.size + 1);
            v86fs_store(reply + 11, 4, answer->payload.size + 1 - 15);
            answer->payload.size++;
        }
        break;
    case NOTES:
        send_note(o, 31);
        break;
    case BAD_NOTE:
        send_note(o, 30);
        break;
    case KILLED:
        (void)raise(SIGKILL);
        break;
    case STOPPED:
        (void)raise(SIGSTOP);
        break;
    case FLOOD:
        for (;;)
            send_note(o, 31);
    case RING_TAIL:
    case RING_LENGTH:
    case RING_SHORT:
    case RING_HEAD:
    case RING_EVENT:
        return spoil_ring(o);
    case GOOD:
    case MORE_FEATURES:
        break;
    }
    return true;
}

static void other_run(struct other *o)
{
    static uint8_t reply[V86FS_FRAME_MAX + 1];
    struct hostfs_envelope envelope;
    struct hostfs_hello hello;
    other_server(o);
    if (o->wrong == MORE_FEATURES) {
        (void)!hostfs_channel_receive(&o->channel, NEVER, &envelope);
        o->channel.in[HOSTFS_ENVELOPE_SIZE + (shared ? 20 : 15)] = 0x80;
        envelope.kind = HOSTFS_HELLO_R;
        (void)!hostfs_channel_send(&o->channel, &envelope, NEVER);
        pause();
    }
    check(!hostfs_channel_welcome(&o->channel, o->features, NEVER, &hello));
    v86fs_server_negotiate(o->server, hello.features);
    for (unsigned count = 1; !hostfs_channel_receive(&o->channel, NEVER, &envelope);
         count++) {
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
            (void)!hostfs_channel_send(&o->channel, &answer, NEVER);
    }
    _exit(0);
}

/* ---- our side ---- */

struct world {
    struct arena arena;
    struct v86fs_ids ids;
    struct hostfs_remote *remote;
    struct v86fs_tree tree;
    struct v86fs_call call;
    uint8_t data[100];
    pid_t process;
    uint64_t root;
    unsigned listed;
};

static enum err world_open_once(struct world *w, struct other other)
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
    options.shared = shared;
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

static void world_close(struct world *w)
{
    hostfs_remote_close(w->remote);
    arena_fini(&w->arena);
    (void)kill(w->process, SIGKILL);
    assert_int_equal(waitpid(w->process, NULL, 0), w->process);
}

/* A busy machine may miss a short deadline where nothing is wrong yet: once more. */
static enum err world_open(struct world *w, struct other other)
{
    enum err err = world_open_once(w, other);
    for (unsigned tries = 0; err == ERR_timeout && other.at > 1 && tries < 100;
         tries++) {
        world_close(w);
        err = world_open_once(w, other);
    }
    return err;
}

static struct bytes text(const char *string)
{
    return bytes_of(string, strlen(string));
}

#define CALL(w, op, ...)                                                               \
    ((w)->call = (struct v86fs_call){.in = {__VA_ARGS__},                              \
                                     .data = (w)->data,                                \
                                     .data_size_max = sizeof(w)->data},                \
     (w)->tree.ops->op((w)->tree.self, &(w)->call))

static bool count_entry(struct v86fs_call *call, const struct v86fs_dirent *entry)
{
    struct world *w = call->entry_self;
    w->listed++;
    return entry->name.size > 0;
}

static uint32_t list(struct world *w, uint64_t node)
{
    w->listed = 0;
    w->call = (struct v86fs_call){
        .in = {.node = node}, .entry = count_entry, .entry_self = w};
    return w->tree.ops->readdir(w->tree.self, &w->call);
}

/* Every operation, with all extensions and with none. */
static void test_operations(void **state)
{
    (void)state;
    for (unsigned all = 0; all < 2; all++) {
        struct world world, *w = &world;
        assert_int_equal(
            world_open(w, (struct other){.features = all ? V86FS_FEATURES : 0}),
            ERR_ok);
        assert_int_equal(
            CALL(w, create, .node = w->root, .name = text("f"), .mode = 0644), 0);
        uint64_t f = w->call.out.attr.node;
        assert_int_equal(CALL(w, write, .node = f, .count = 5, .data = text("hello")),
                         0);
        assert_int_equal(CALL(w, read, .node = f, .offset = 1, .count = 50), 0);
        assert_int_equal(w->call.out.count, 4);
        assert_memory_equal(w->data, "ello", 4);
        assert_int_equal(CALL(w, open, .node = f), 0);
        uint64_t opaque = w->call.out.opaque;
        assert_int_equal(CALL(w, read, .node = f, .opaque = opaque, .count = 2), 0);
        assert_int_equal(w->call.out.count, 2);
        assert_int_equal(CALL(w, getattr, .node = f), 0);
        assert_int_equal(w->call.out.attr.size, 5);
        assert_int_equal(w->call.out.attr.mtime.s, 5);
        assert_int_equal(w->call.out.attr.ctime.ns, 7);
        assert_int_equal(w->call.out.attr.nlink, 1);
        assert_int_equal(CALL(w, mkdir, .node = w->root, .name = text("d")), 0);
        uint64_t d = w->call.out.attr.node;
        assert_int_equal(
            CALL(w, symlink, .node = d, .name = text("l"), .target = text("../f")), 0);
        assert_int_equal(CALL(w, readlink, .node = w->call.out.attr.node), 0);
        assert_memory_equal(w->data, "../f", 4);
        assert_int_equal(list(w, w->root), 0);
        assert_int_equal(w->listed, 2);
        assert_int_equal(CALL(w, rename, .node = w->root, .name = text("f"),
                              .new_parent = d, .new_name = text("g")),
                         0);
        assert_int_equal(CALL(w, rename, .node = d, .name = text("g"),
                              .new_parent = w->root, .new_name = text("d"),
                              .flags = V86FS_RENAME_NOREPLACE),
                         all ? V86FS_EEXIST : V86FS_EINVAL);
        assert_int_equal(CALL(w, unlink, .node = w->root, .name = text("d"),
                              .flags = V86FS_UNLINK_FILE),
                         V86FS_EISDIR);
        assert_int_equal(CALL(w, unlink, .node = d, .name = text("g"),
                              .flags = V86FS_UNLINK_DIRECTORY),
                         V86FS_ENOTDIR);
        assert_int_equal(CALL(w, unlink, .node = d, .name = text("g")), 0);
        assert_int_equal(CALL(w, close, .node = f, .opaque = opaque), 0);
        assert_int_equal(CALL(w, getattr, .node = f), V86FS_ESTALE);
        assert_int_equal(CALL(w, statfs, .node = 0), 0);
        assert_int_equal(hostfs_remote_error(w->remote), ERR_ok);
        world_close(w);
    }
}

/* A protocol error is the end; whatever is asked then is EIO. */
static void test_broken(void **state)
{
    static const enum wrong kinds[] = {
        DIES,      WRONG_SEQ, WRONG_TAG,     WRONG_TYPE, WRONG_LENGTH,
        TRUNCATED, GARBAGE,   HUGE_ENVELOPE, BAD_STATUS, BAD_NOTE,
        KILLED,    RING_TAIL, RING_LENGTH,   RING_SHORT};
    (void)state;
    for (unsigned i = 0; i < countof(kinds); i++) {
        struct world world, *w = &world;
        if (!shared && kinds[i] >= RING_TAIL)
            continue;
        struct other other = {.wrong = kinds[i], .at = 1, .features = V86FS_FEATURES};
        assert_int_not_equal(world_open(w, other), ERR_ok); /* in the MOUNT */
        world_close(w);
        other.at = 2;
        assert_int_equal(world_open(w, other), ERR_ok);
        assert_int_equal(CALL(w, lookup, .node = w->root, .name = text("x")),
                         V86FS_EIO);
        assert_int_not_equal(hostfs_remote_error(w->remote), ERR_ok);
        assert_int_equal(CALL(w, getattr, .node = w->root), V86FS_EIO);
        world_close(w);
    }
    struct world world;
    assert_int_equal(world_open(&world, (struct other){.wrong = MORE_FEATURES}),
                     ERR_v86fs_bridge);
    world_close(&world);
}

/* One answer too late is EIO once; three in a row are the end. */
static void test_timeouts(void **state)
{
    (void)state;
    struct world world, *w = &world;
    assert_int_equal(
        world_open(w, (struct other){.wrong = LATE, .at = 2, .features = 1}), ERR_ok);
    assert_int_equal(CALL(w, getattr, .node = w->root), V86FS_EIO);
    assert_int_equal(CALL(w, getattr, .node = w->root), 0);
    assert_int_equal(hostfs_remote_counters(w->remote)->timeouts, 1);
    assert_int_equal(hostfs_remote_counters(w->remote)->late, 1);
    world_close(w);
    assert_int_equal(
        world_open(w, (struct other){.wrong = SILENT, .at = 2, .features = 1}), ERR_ok);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(hostfs_remote_error(w->remote), ERR_ok);
        assert_int_equal(CALL(w, getattr, .node = w->root), V86FS_EIO);
    }
    assert_int_equal(hostfs_remote_error(w->remote), ERR_timeout);
    world_close(w);
}

/* No way of not answering holds us longer than the deadline. */
static void test_stalling(void **state)
{
    static const enum wrong kinds[] = {STOPPED, FLOOD, RING_HEAD, RING_EVENT};
    (void)state;
    for (unsigned i = 0; i < countof(kinds); i++) {
        struct world world, *w = &world;
        if (!shared && kinds[i] >= RING_TAIL)
            continue;
        const struct other other = {.wrong = kinds[i], .at = 2};
        assert_int_equal(world_open(w, other), ERR_ok);
        uint64_t start = os_clock_monotonic_ns();
        for (unsigned k = 0; k < 3; k++)
            assert_int_equal(CALL(w, getattr, .node = w->root), V86FS_EIO);
        assert_int_not_equal(hostfs_remote_error(w->remote), ERR_ok);
        /* Three deadlines and as many to say that it is late; and a loaded machine. */
        assert_true(os_clock_monotonic_ns() - start < 6000000000);
        world_close(w);
    }
}

/* Well-formed frames that say what cannot be. */
static void test_lies(void **state)
{
    (void)state;
    struct world world, *w = &world;
    static const struct {
        enum wrong wrong;
        bool dies;
    } rows[] = {{BAD_MODE, true},
                {TOO_MUCH_DATA, true},
                {BAD_NAMES, false},
                {NOTES, false},
                {TWICE, true}};
    for (unsigned i = 0; i < countof(rows); i++) {
        const struct other other = {
            .wrong = rows[i].wrong, .at = 4, .features = V86FS_FEATURES};
        assert_int_equal(world_open(w, other), ERR_ok);
        assert_int_equal(CALL(w, create, .node = w->root, .name = text("f")), 0);
        uint64_t f = w->call.out.attr.node;
        assert_int_equal(CALL(w, write, .node = f, .count = 5, .data = text("hello")),
                         0);
        uint32_t status = CALL(w, lookup, .node = w->root, .name = text("f"));
        if (rows[i].wrong == BAD_MODE)
            assert_int_equal(status, V86FS_EIO);
        status = CALL(w, read, .node = f, .count = 5);
        if (rows[i].wrong == TOO_MUCH_DATA)
            assert_int_equal(status, V86FS_EIO);
        (void)list(w, w->root);
        if (rows[i].wrong == BAD_NAMES) {
            assert_int_equal(w->listed, 0);
            assert_int_equal(hostfs_remote_counters(w->remote)->names, 1);
        }
        if (rows[i].wrong == NOTES)
            assert_true(hostfs_remote_counters(w->remote)->notes >= 3);
        assert_int_equal(hostfs_remote_error(w->remote) != ERR_ok, rows[i].dies);
        world_close(w);
    }
}

static struct v86fs_note last_note;
static unsigned note_count;

static void keep_note(void *self, struct bytes frame)
{
    (void)self;
    assert_true(v86fs_note_decode(frame, &last_note));
    note_count++;
}

/* Notes name our nodes, whether somebody waits for a reply or not. */
static void test_notes(void **state)
{
    (void)state;
    int pair[2];
    char attachment[20];
    struct arena arena;
    struct v86fs_ids ids;
    struct hostfs_remote *remote;
    struct hostfs_remote_options options;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    struct other other = {.channel.fd = pair[1]};
    static const uint8_t hello[HOSTFS_HELLO_SIZE] = "v86fsbr1\1";
    static const uint8_t mount[] = {23, 0, 0, 0, 0x80, 1, 0, 0,    0,    0, 0, 77,
                                    0,  0, 0, 0, 0,    0, 0, 0xed, 0x41, 0, 0};
    other_server(&other);
    const struct hostfs_envelope start[] = {
        {.kind = HOSTFS_HELLO_R, .payload = bytes_of(hello, sizeof hello)},
        {.kind = HOSTFS_REP, .seq = 1, .payload = bytes_of(mount, sizeof mount)}};
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(hostfs_channel_send(&other.channel, &start[i], NEVER), ERR_ok);
    hostfs_remote_options_init(&options);
    options.node_count_max = 10;
    options.note = keep_note;
    arena_init(&arena, 1 << 28);
    v86fs_ids_init(&ids);
    (void)snprintf(attachment, sizeof attachment, "fd:%d", pair[0]);
    assert_int_equal(hostfs_remote_open(&arena, &options, attachment, &ids, &remote),
                     ERR_ok);
    hostfs_remote_poll(remote);
    assert_int_equal(note_count, 0);
    uint8_t frame[31];
    struct hostfs_envelope note = {.kind = HOSTFS_NOTIFY};
    note.payload =
        bytes_of(frame, v86fs_invalidate_encode(77, 4096, 10, frame, sizeof frame));
    assert_int_equal(hostfs_channel_send(&other.channel, &note, NEVER), ERR_ok);
    hostfs_remote_poll(remote);
    assert_int_equal(note_count, 1);
    assert_int_equal(last_note.ino, hostfs_remote_root(remote));
    assert_int_equal(last_note.offset, 4096);
    assert_int_equal(last_note.size, 10);
    note.payload =
        bytes_of(frame, v86fs_invalidate_dir_encode(77, frame, sizeof frame));
    assert_int_equal(hostfs_channel_send(&other.channel, &note, NEVER), ERR_ok);
    note.payload = bytes_of(frame, v86fs_invalidate_dir_encode(5, frame, sizeof frame));
    assert_int_equal(hostfs_channel_send(&other.channel, &note, NEVER), ERR_ok);
    hostfs_remote_poll(remote);
    assert_int_equal(note_count, 2); /* 5 is nobody we know */
    assert_int_equal(last_note.type, V86FS_MSG_INVALIDATE_DIR);
    assert_int_equal(hostfs_remote_error(remote), ERR_ok);
    note.kind = HOSTFS_HELLO;
    assert_int_equal(hostfs_channel_send(&other.channel, &note, NEVER), ERR_ok);
    hostfs_remote_poll(remote);
    assert_int_equal(hostfs_remote_error(remote), ERR_v86fs_bridge);
    hostfs_remote_close(remote);
    arena_fini(&arena);
    arena_fini(&other.arena);
    (void)close(pair[1]);
}

/* Mounts are asked for by those who may, and are as they should be. */
static void test_mount_notes(void **state)
{
    static const struct {
        const char *name, *path;
        bool may, good;
    } rows[] = {{"tools", "/opt", true, true},
                {"tools", "opt", true, false},
                {"to\0ls", "/opt", true, false},
                {"tools", "/opt", false, false}};
    (void)state;
    for (unsigned i = 0; i < countof(rows); i++) {
        uint8_t frame[64];
        struct bytes name = bytes_of(rows[i].name, i == 2 ? 5 : strlen(rows[i].name));
        struct other other = {.features = V86FS_FEATURES};
        struct world w = {0};
        int pair[2];
        char attachment[20];
        struct hostfs_remote_options options;
        assert_int_equal(os_stream_pair(pair), ERR_ok);
        w.process = fork();
        if (!w.process) {
            struct hostfs_envelope note = {.kind = HOSTFS_NOTIFY};
            struct hostfs_hello hello;
            other_server(&other);
            other.channel.fd = pair[1];
            note.payload =
                bytes_of(frame, v86fs_mount_notify_encode(name, text(rows[i].path),
                                                          frame, sizeof frame));
            check(!hostfs_channel_welcome(&other.channel, 0, NEVER, &hello));
            struct hostfs_envelope request;
            (void)!hostfs_channel_receive(&other.channel, NEVER, &request);
            (void)!hostfs_channel_send(&other.channel, &note, NEVER);
            _exit(0);
        }
        os_close(pair[1]);
        (void)snprintf(attachment, sizeof attachment, "fd:%d", pair[0]);
        hostfs_remote_options_init(&options);
        options.node_count_max = 10;
        options.note = keep_note;
        options.mounts = rows[i].may;
        note_count = 0;
        arena_init(&w.arena, 1 << 28);
        v86fs_ids_init(&w.ids);
        /* It dies before it answers the MOUNT; what it said first counts. */
        enum err err =
            hostfs_remote_open(&w.arena, &options, attachment, &w.ids, &w.remote);
        assert_int_equal(err, rows[i].good ? ERR_closed : ERR_v86fs_bridge);
        assert_int_equal(note_count, rows[i].good);
        arena_fini(&w.arena);
        assert_int_equal(waitpid(w.process, NULL, 0), w.process);
    }
    assert_int_equal(last_note.type, V86FS_MSG_MOUNT_NOTIFY);
}

static void test_attachments(void **state)
{
    static const char *const bad[] = {"",      "fd:",   "fd:x", "fd:1x", "fd:99999999",
                                      "exec:", "tcp:1", "unix", "fd:-1"};
    (void)state;
    struct arena arena;
    struct v86fs_ids ids;
    struct hostfs_remote *remote;
    struct hostfs_remote_options options;
    hostfs_remote_options_init(&options);
    options.node_count_max = 10;
    options.hello_ns = UINT64_C(60000000000); /* a busy machine is no timeout */
    arena_init(&arena, 1 << 28);
    v86fs_ids_init(&ids);
    for (unsigned i = 0; i < countof(bad); i++)
        assert_int_equal(hostfs_remote_open(&arena, &options, bad[i], &ids, &remote),
                         ERR_usage);
    assert_int_equal(
        hostfs_remote_open(&arena, &options, "unix:/nowhere/socket", &ids, &remote),
        ERR_not_found);
    assert_int_equal(hostfs_remote_open(&arena, &options, "exec:exit 1", &ids, &remote),
                     ERR_closed);
    options.hello_ns = 30000000;
    assert_int_equal(
        hostfs_remote_open(&arena, &options, "exec:exec sleep 5", &ids, &remote),
        ERR_timeout);
    arena_fini(&arena);
}

/* ---- after its death ---- */

static enum err last_told;
static unsigned told_count;

static void keep_told(void *self, enum err err)
{
    (void)self;
    last_told = err;
    told_count++;
}

static void world_attach(struct world *w, const char *attachment,
                         enum hostfs_death on_death)
{
    struct hostfs_remote_options options;
    memset(w, 0, sizeof *w);
    hostfs_remote_options_init(&options);
    options.node_count_max = 50;
    options.request_ns = UINT64_C(5000000000);
    options.shared = shared;
    options.on_death = on_death;
    options.told = keep_told;
    told_count = 0;
    arena_init(&w->arena, 1 << 28);
    v86fs_ids_init(&w->ids);
    assert_int_equal(
        hostfs_remote_open(&w->arena, &options, attachment, &w->ids, &w->remote),
        ERR_ok);
    w->tree = hostfs_remote_tree(w->remote);
    w->root = hostfs_remote_root(w->remote);
}

static void world_detach(struct world *w)
{
    hostfs_remote_close(w->remote);
    arena_fini(&w->arena);
}

/* This program as a server, started by the bridge: "serve WRONG AT". */
_Noreturn static void serve_on_3(char **argv)
{
    struct other other = {.wrong = (enum wrong)atoi(argv[2]),
                          .at = (unsigned)atoi(argv[3]),
                          .features = V86FS_FEATURES,
                          .channel.fd = 3};
    other_run(&other);
    _exit(0);
}

/* Another server has another tree: what the guest knew of the old one is stale. */
static void test_restart(void **state)
{
    struct world world, *w = &world;
    char self[400], attachment[500];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    (void)state;
    assert_true(size > 0);
    self[size] = 0;
    (void)snprintf(attachment, sizeof attachment, "exec:exec '%s' serve %d 4", self,
                   KILLED);
    world_attach(w, attachment, HOSTFS_DEATH_RESTART);
    assert_int_equal(CALL(w, create, .node = w->root, .name = text("f")), 0);
    uint64_t f = w->call.out.attr.node;
    assert_int_equal(CALL(w, open, .node = f), 0);
    uint64_t opaque = w->call.out.opaque;
    assert_int_equal(CALL(w, getattr, .node = f), V86FS_EIO); /* the fourth: it dies */
    assert_int_equal(told_count, 1);
    assert_int_equal(last_told, ERR_closed);
    assert_int_equal(CALL(w, getattr, .node = f), V86FS_ESTALE);
    assert_int_equal(told_count, 2);
    assert_int_equal(last_told, ERR_ok);
    assert_int_equal(CALL(w, read, .node = f, .opaque = opaque, .count = 1), V86FS_EIO);
    assert_int_equal(CALL(w, close, .node = f, .opaque = opaque), 0);
    assert_int_equal(hostfs_remote_root(w->remote), w->root);
    assert_int_equal(CALL(w, lookup, .node = w->root, .name = text("f")), V86FS_ENOENT);
    assert_int_equal(CALL(w, create, .node = w->root, .name = text("f")), 0);
    assert_true(w->call.out.attr.node > f); /* never the same id again */
    for (unsigned i = 1; i < 3; i++) {
        assert_int_equal(hostfs_remote_counters(w->remote)->restarts, i);
        assert_int_equal(CALL(w, getattr, .node = w->root), V86FS_EIO);
        assert_int_equal(CALL(w, getattr, .node = w->root), 0);
        assert_int_equal(CALL(w, getattr, .node = w->root), 0);
    }
    assert_int_equal(CALL(w, getattr, .node = w->root), V86FS_EIO);
    assert_int_equal(CALL(w, getattr, .node = w->root), V86FS_EIO);
    assert_int_equal(hostfs_remote_counters(w->remote)->restarts, 3);
    world_detach(w);
}

/* A server behind a path, from `delay_ms` on, that dies of its third request. */
static pid_t serve_path(const char *path, unsigned delay_ms)
{
    pid_t process = fork();
    assert_true(process >= 0);
    if (process)
        return process;
    struct other other = {.wrong = KILLED, .at = 3, .features = V86FS_FEATURES};
    int listener;
    os_sleep_ns(delay_ms * UINT64_C(1000000));
    check(!os_stream_listen(path, &listener));
    check(!os_stream_accept(listener, OS_STREAM_NEVER, &other.channel.fd));
    other_run(&other);
    _exit(0);
}

/* The next request waits for a server to be there again. */
static void test_pause(void **state)
{
    struct world world, *w = &world;
    char folder[] = "/tmp/lockstep-test-XXXXXX", path[60], attachment[80];
    (void)state;
    assert_int_equal(os_folder_create_private(folder), ERR_ok);
    (void)snprintf(path, sizeof path, "%s/s", folder);
    (void)snprintf(attachment, sizeof attachment, "unix:%s", path);
    pid_t first = serve_path(path, 0);
    world_attach(w, attachment, HOSTFS_DEATH_PAUSE);
    assert_int_equal(CALL(w, getattr, .node = w->root), 0);
    assert_int_equal(CALL(w, getattr, .node = w->root), V86FS_EIO);
    assert_int_equal(waitpid(first, NULL, 0), first);
    uint64_t start = os_clock_monotonic_ns();
    pid_t second = serve_path(path, 100);
    assert_int_equal(CALL(w, getattr, .node = w->root), 0);
    assert_true(os_clock_monotonic_ns() - start >= 100000000);
    assert_int_equal(told_count, 2);
    world_detach(w);
    assert_int_equal(waitpid(second, NULL, 0), second);
    assert_int_equal(os_unlink(path), ERR_ok);
    assert_int_equal(os_folder_remove(folder), ERR_ok);
}

/* More bytes than the ring has go through it, in records that wrap. */
static void test_wrap(void **state)
{
    enum { ROUNDS = 24, SIZE = 700001 };
    struct world world, *w = &world;
    uint8_t *out = malloc(SIZE), *in = malloc(SIZE);
    (void)state;
    assert_non_null(out);
    assert_non_null(in);
    assert_int_equal(world_open(w, (struct other){.features = V86FS_FEATURES}), ERR_ok);
    assert_int_equal(CALL(w, create, .node = w->root, .name = text("f")), 0);
    uint64_t f = w->call.out.attr.node;
    for (unsigned i = 0; i < ROUNDS; i++) {
        for (unsigned k = 0; k < SIZE; k++)
            out[k] = (uint8_t)(k * 31 + i + (k >> 8));
        assert_int_equal(
            CALL(w, write, .node = f, .count = SIZE, .data = bytes_of(out, SIZE)), 0);
        w->call = (struct v86fs_call){
            .in = {.node = f, .count = SIZE}, .data = in, .data_size_max = SIZE};
        assert_int_equal(w->tree.ops->read(w->tree.self, &w->call), 0);
        assert_int_equal(w->call.out.count, SIZE);
        assert_memory_equal(in, out, SIZE);
    }
    assert_int_equal(hostfs_remote_shared(w->remote), shared);
    world_close(w);
    free(out);
    free(in);
}

static int with_socket(void **state)
{
    (void)state;
    shared = false;
    return 0;
}

static int with_memory(void **state)
{
    (void)state;
    shared = true;
    return 0;
}

int main(int argc, char **argv)
{
#define BOTH(test)                                                                     \
    cmocka_unit_test_setup(test, with_socket), cmocka_unit_test_setup(test, with_memory)
    const struct CMUnitTest tests[] = {
        BOTH(test_operations),
        BOTH(test_broken),
        BOTH(test_timeouts),
        BOTH(test_stalling),
        BOTH(test_lies),
        BOTH(test_restart),
        BOTH(test_pause),
        BOTH(test_wrap),
        cmocka_unit_test_setup(test_notes, with_socket),
        cmocka_unit_test_setup(test_mount_notes, with_socket),
        cmocka_unit_test_setup(test_attachments, with_socket),
    };
    if (argc == 4 && strcmp(argv[1], "serve") == 0)
        serve_on_3(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
