/* SPDX-License-Identifier: MIT
 *
 * The bridge with a good process on its other side, and with one that dies, waits, lies
 * or talks nonsense at every point.
 */
#include "tests/unit/hostfs/other.h"

#include "base/os.h"
#include "base/os_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static bool count_entry(struct v86fs_call *call, const struct v86fs_dirent *entry)
{
    struct ours *w = call->entry_self;
    w->listed++;
    return entry->name.size > 0;
}

static uint32_t list(struct ours *w, uint64_t node)
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
        struct ours ours, *w = &ours;
        assert_int_equal(
            ours_open(w, (struct other){.features = all ? V86FS_FEATURES : 0}), ERR_ok);
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
        ours_close(w);
    }
}

/* A protocol error is the end; whatever is asked then is EIO. */
static void test_broken(void **state)
{
    static const enum other_wrong kinds[] = {
        OTHER_DIES,         OTHER_WRONG_SEQ, OTHER_WRONG_TAG, OTHER_WRONG_TYPE,
        OTHER_WRONG_LENGTH, OTHER_TRUNCATED, OTHER_GARBAGE,   OTHER_HUGE_ENVELOPE,
        OTHER_BAD_STATUS,   OTHER_BAD_NOTE,  OTHER_KILLED,    OTHER_RING_TAIL,
        OTHER_RING_LENGTH,  OTHER_RING_SHORT};
    (void)state;
    for (unsigned i = 0; i < countof(kinds); i++) {
        struct ours ours, *w = &ours;
        if (!other_shared && kinds[i] >= OTHER_RING_TAIL)
            continue;
        struct other other = {.wrong = kinds[i], .at = 1, .features = V86FS_FEATURES};
        assert_int_not_equal(ours_open(w, other), ERR_ok); /* in the MOUNT */
        ours_close(w);
        other.at = 2;
        assert_int_equal(ours_open(w, other), ERR_ok);
        assert_int_equal(CALL(w, lookup, .node = w->root, .name = text("x")),
                         V86FS_EIO);
        assert_int_not_equal(hostfs_remote_error(w->remote), ERR_ok);
        assert_int_equal(CALL(w, getattr, .node = w->root), V86FS_EIO);
        ours_close(w);
    }
    struct ours world;
    assert_int_equal(ours_open(&world, (struct other){.wrong = OTHER_MORE_FEATURES}),
                     ERR_v86fs_bridge);
    ours_close(&world);
}

/* One answer too late is EIO once; three in a row are the end. */
static void test_timeouts(void **state)
{
    (void)state;
    struct ours ours, *w = &ours;
    assert_int_equal(
        ours_open(w, (struct other){.wrong = OTHER_LATE, .at = 2, .features = 1}),
        ERR_ok);
    assert_int_equal(CALL(w, getattr, .node = w->root), V86FS_EIO);
    assert_int_equal(CALL(w, getattr, .node = w->root), 0);
    assert_int_equal(hostfs_remote_counters(w->remote)->timeouts, 1);
    assert_int_equal(hostfs_remote_counters(w->remote)->late, 1);
    ours_close(w);
    assert_int_equal(
        ours_open(w, (struct other){.wrong = OTHER_SILENT, .at = 2, .features = 1}),
        ERR_ok);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(hostfs_remote_error(w->remote), ERR_ok);
        assert_int_equal(CALL(w, getattr, .node = w->root), V86FS_EIO);
    }
    assert_int_equal(hostfs_remote_error(w->remote), ERR_timeout);
    ours_close(w);
}

/* No way of not answering holds us longer than the deadline. */
static void test_stalling(void **state)
{
    static const enum other_wrong kinds[] = {OTHER_STOPPED, OTHER_FLOOD,
                                             OTHER_RING_HEAD, OTHER_RING_EVENT};
    (void)state;
    for (unsigned i = 0; i < countof(kinds); i++) {
        struct ours ours, *w = &ours;
        if (!other_shared && kinds[i] >= OTHER_RING_TAIL)
            continue;
        const struct other other = {.wrong = kinds[i], .at = 2};
        assert_int_equal(ours_open(w, other), ERR_ok);
        uint64_t start = os_clock_monotonic_ns();
        for (unsigned k = 0; k < 3; k++)
            assert_int_equal(CALL(w, getattr, .node = w->root), V86FS_EIO);
        assert_int_not_equal(hostfs_remote_error(w->remote), ERR_ok);
        /* Three deadlines and as many to say that it is late; and a loaded machine. */
        assert_true(os_clock_monotonic_ns() - start < 6000000000);
        ours_close(w);
    }
}

/* Well-formed frames that say what cannot be. */
static void test_lies(void **state)
{
    (void)state;
    struct ours ours, *w = &ours;
    static const struct {
        enum other_wrong wrong;
        bool dies;
    } rows[] = {{OTHER_BAD_MODE, true},
                {OTHER_TOO_MUCH_DATA, true},
                {OTHER_BAD_NAMES, false},
                {OTHER_NOTES, false},
                {OTHER_TWICE, true}};
    for (unsigned i = 0; i < countof(rows); i++) {
        const struct other other = {
            .wrong = rows[i].wrong, .at = 4, .features = V86FS_FEATURES};
        assert_int_equal(ours_open(w, other), ERR_ok);
        assert_int_equal(CALL(w, create, .node = w->root, .name = text("f")), 0);
        uint64_t f = w->call.out.attr.node;
        assert_int_equal(CALL(w, write, .node = f, .count = 5, .data = text("hello")),
                         0);
        uint32_t status = CALL(w, lookup, .node = w->root, .name = text("f"));
        if (rows[i].wrong == OTHER_BAD_MODE)
            assert_int_equal(status, V86FS_EIO);
        status = CALL(w, read, .node = f, .count = 5);
        if (rows[i].wrong == OTHER_TOO_MUCH_DATA)
            assert_int_equal(status, V86FS_EIO);
        (void)list(w, w->root);
        if (rows[i].wrong == OTHER_BAD_NAMES) {
            assert_int_equal(w->listed, 0);
            assert_int_equal(hostfs_remote_counters(w->remote)->names, 1);
        }
        if (rows[i].wrong == OTHER_NOTES)
            assert_true(hostfs_remote_counters(w->remote)->notes >= 3);
        assert_int_equal(hostfs_remote_error(w->remote) != ERR_ok, rows[i].dies);
        ours_close(w);
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
        assert_int_equal(hostfs_channel_send(&other.channel, &start[i], OTHER_NEVER),
                         ERR_ok);
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
    assert_int_equal(hostfs_channel_send(&other.channel, &note, OTHER_NEVER), ERR_ok);
    hostfs_remote_poll(remote);
    assert_int_equal(note_count, 1);
    assert_int_equal(last_note.ino, hostfs_remote_root(remote));
    assert_int_equal(last_note.offset, 4096);
    assert_int_equal(last_note.size, 10);
    note.payload =
        bytes_of(frame, v86fs_invalidate_dir_encode(77, frame, sizeof frame));
    assert_int_equal(hostfs_channel_send(&other.channel, &note, OTHER_NEVER), ERR_ok);
    note.payload = bytes_of(frame, v86fs_invalidate_dir_encode(5, frame, sizeof frame));
    assert_int_equal(hostfs_channel_send(&other.channel, &note, OTHER_NEVER), ERR_ok);
    hostfs_remote_poll(remote);
    assert_int_equal(note_count, 2); /* 5 is nobody we know */
    assert_int_equal(last_note.type, V86FS_MSG_INVALIDATE_DIR);
    assert_int_equal(hostfs_remote_error(remote), ERR_ok);
    note.kind = HOSTFS_HELLO;
    assert_int_equal(hostfs_channel_send(&other.channel, &note, OTHER_NEVER), ERR_ok);
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
        struct ours w = {0};
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
            check(!hostfs_channel_welcome(&other.channel, 0, OTHER_NEVER, &hello));
            struct hostfs_envelope request;
            (void)!hostfs_channel_receive(&other.channel, OTHER_NEVER, &request);
            (void)!hostfs_channel_send(&other.channel, &note, OTHER_NEVER);
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

/* More bytes than the ring has go through it, in records that wrap. */
static void test_wrap(void **state)
{
    enum { ROUNDS = 24, SIZE = 700001 };
    struct ours ours, *w = &ours;
    uint8_t *out = malloc(SIZE), *in = malloc(SIZE);
    (void)state;
    assert_non_null(out);
    assert_non_null(in);
    assert_int_equal(ours_open(w, (struct other){.features = V86FS_FEATURES}), ERR_ok);
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
    assert_int_equal(hostfs_remote_shared(w->remote), other_shared);
    ours_close(w);
    free(out);
    free(in);
}

int main(void)
{
#define BOTH(test)                                                                     \
    cmocka_unit_test_setup(test, other_with_socket),                                   \
        cmocka_unit_test_setup(test, other_with_memory)
    const struct CMUnitTest tests[] = {
        BOTH(test_operations),
        BOTH(test_broken),
        BOTH(test_timeouts),
        BOTH(test_stalling),
        BOTH(test_lies),
        BOTH(test_wrap),
        cmocka_unit_test_setup(test_notes, other_with_socket),
        cmocka_unit_test_setup(test_mount_notes, other_with_socket),
        cmocka_unit_test_setup(test_attachments, other_with_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
