/* SPDX-License-Identifier: MIT
 *
 * File-server sessions: recorded and replayed with the tree and without it, and every
 * changed byte is found and named.
 */
#include "replay/fs.h"

#include "tests/test.h"

#include <string.h>

enum { TREE_SIZE_MAX = 64 << 20 };

/* A small tree; built again for each server. */
struct tree {
    struct arena arena;
    struct v86fs_ids ids;
    struct v86fs_server *server;
    bool spoiled; /* not the one that was recorded */
};

static struct v86fs_server *tree_open(struct tree *tree, uint64_t now_ns)
{
    struct v86fs_mem_options mem = {
        .node_count_max = 100, .quota = 1 << 20, .file_size_max = 1 << 20};
    struct v86fs_server_options options;
    struct v86fs_mem *store;
    uint64_t root;
    v86fs_server_options_init(&options);
    arena_init(&tree->arena, TREE_SIZE_MAX);
    v86fs_ids_init(&tree->ids);
    assert_int_equal(v86fs_mem_create(&tree->arena, &mem, &tree->ids, &store), ERR_ok);
    assert_int_equal(v86fs_mem_root(store, tree->spoiled ? 0700 : 0755, now_ns, &root),
                     ERR_ok);
    v86fs_ids_start(&tree->ids, 100);
    assert_int_equal(
        v86fs_server_create(&tree->arena, &options, &tree->ids, &tree->server), ERR_ok);
    assert_int_equal(v86fs_server_export(tree->server, bytes_of("", 0),
                                         v86fs_mem_tree(store), root, false),
                     ERR_ok);
    return tree->server;
}

static enum err reopen(void *self, const struct replay_fs_setup *setup,
                       struct v86fs_server **ret_server, char ret_detail[120])
{
    (void)ret_detail;
    assert_string_equal(setup->export[0].spec, "mem");
    *ret_server = tree_open(self, setup->epoch_ns);
    return ERR_ok;
}

/* ---- recording ---- */

static struct replay_fs_setup setup_of(bool derived)
{
    return (struct replay_fs_setup){.epoch_ns = 1700000000000000000,
                                    .tick_ns = 1000,
                                    .features = V86FS_FEATURES,
                                    .handle_count_max = 65536,
                                    .derived = derived,
                                    .requests = true,
                                    .export = {{.name = "", .spec = "mem"}},
                                    .export_count = 1};
}

static void put_request(struct buf *frame, uint8_t type, const struct v86fs_ask *ask)
{
    buf_clear(frame);
    v86fs_request_encode(v86fs_message_of(type), V86FS_FEATURES, type, ask, frame);
    assert_int_equal(frame->err, ERR_ok);
}

#define REQUEST_COUNT 8

/* Well-formed ones, one that fails, one that is damaged, one that is too short. */
static struct bytes request_at(unsigned index, struct buf *frame)
{
    static const struct bytes name = {(const uint8_t *)"file", 4};
    static const uint8_t data[5000] = {7};
    switch (index) {
    case 0:
        put_request(frame, V86FS_MSG_MOUNT, &(struct v86fs_ask){.name = {0}});
        break;
    case 1:
        put_request(frame, V86FS_MSG_CREATE,
                    &(struct v86fs_ask){.node = 1, .name = name, .mode = 0644});
        break;
    case 2:
        put_request(frame, V86FS_MSG_WRITE,
                    &(struct v86fs_ask){.node = 100,
                                        .count = sizeof data,
                                        .data = bytes_of(data, sizeof data)});
        break;
    case 3:
        put_request(frame, V86FS_MSG_READ,
                    &(struct v86fs_ask){.node = 100, .count = 9000});
        break;
    case 4:
        put_request(frame, V86FS_MSG_GETATTR, &(struct v86fs_ask){.node = 100});
        break;
    case 5:
        put_request(frame, V86FS_MSG_LOOKUP,
                    &(struct v86fs_ask){.node = 77, .name = name});
        break;
    case 6:
        put_request(frame, V86FS_MSG_GETATTR, &(struct v86fs_ask){.node = 1});
        frame->data[0]++;
        break;
    default:
        buf_clear(frame);
        buf_put(frame, "abc", 3);
    }
    return buf_bytes(frame);
}

/* Behind request i come i % 3 notifications, each of another file, then a bad one. */
static bool notes_after;

static struct bytes note_at(unsigned request, unsigned index, uint8_t frame[64])
{
    size_t size =
        index % 2
            ? v86fs_invalidate_dir_encode(1000 + 10 * request + index, frame, 64)
            : v86fs_invalidate_encode(1000 + 10 * request + index, 0, 0, frame, 64);
    return bytes_of(frame, size);
}

static void record_notes(struct replay_fs *fs, unsigned request)
{
    enum v86fs_note_result result;
    uint8_t frame[64];
    for (unsigned k = 0; k < request % 3; k++) {
        assert_int_equal(
            replay_fs_notify(fs, 10 * request + 1, note_at(request, k, frame), &result),
            ERR_ok);
        assert_int_equal(result, V86FS_NOTE_QUEUED);
        assert_true(replay_fs_note(fs).size);
        replay_fs_note_taken(fs);
    }
    assert_int_equal(
        replay_fs_notify(fs, 10 * request + 1, bytes_of("bad", 3), &result), ERR_ok);
    assert_int_equal(result, V86FS_NOTE_INVALID);
    assert_int_equal(replay_fs_note_room(fs), REPLAY_FS_NOTE_COUNT_MAX);
}

static void record(struct trace_memory *memory, const struct replay_fs_setup *setup,
                   uint64_t end_reason)
{
    const struct trace_writer_options how = {.guest = TRACE_GUEST_PC, .zstd_level = 1};
    struct arena arena;
    struct tree tree = {0};
    struct trace_writer *writer;
    struct trace *trace;
    struct replay_fs *fs;
    struct buf frame;
    uint8_t *reply = malloc(V86FS_FRAME_MAX);
    size_t size;
    assert_non_null(reply);
    arena_init(&arena, TREE_SIZE_MAX);
    buf_init(&frame, V86FS_FRAME_MAX);
    trace_memory_init(memory, TREE_SIZE_MAX);
    struct trace_sink sink = trace_memory_sink(memory);
    assert_int_equal(trace_writer_create(&arena, &sink, &how, &writer), ERR_ok);
    assert_int_equal(trace_record_create(&arena, writer, true, &trace), ERR_ok);
    assert_int_equal(
        replay_fs_create(&arena, setup, tree_open(&tree, setup->epoch_ns), trace, &fs),
        ERR_ok);
    for (unsigned i = 0; i < REQUEST_COUNT; i++) {
        assert_int_equal(replay_fs_serve(fs, 10 * i, request_at(i, &frame), reply,
                                         V86FS_FRAME_MAX, &size),
                         ERR_ok);
        if (notes_after)
            record_notes(fs, i);
    }
    assert_int_equal(replay_fs_end(fs, end_reason), ERR_ok);
    trace_close(trace);
    assert_int_equal(trace_writer_finish(writer, NULL), ERR_ok);
    buf_fini(&frame);
    free(reply);
    arena_fini(&tree.arena);
    arena_fini(&arena);
}

static struct replay_fs_report replay(struct trace_memory *memory, bool exec,
                                      bool spoiled)
{
    struct tree tree = {.spoiled = spoiled};
    struct bytes bytes = buf_bytes(&memory->file);
    const struct trace_source source = trace_bytes_source(&bytes);
    const struct replay_fs_options options = {
        .exec = exec, .open = reopen, .self = &tree};
    struct replay_fs_report report;
    assert_true(replay_fs_is_session(&source));
    replay_fs_trace(&source, &options, &report);
    arena_fini(&tree.arena);
    return report;
}

/* ---- tests ---- */

static void test_derived(void **state)
{
    (void)state;
    struct trace_memory memory;
    struct replay_fs_setup setup = setup_of(true);
    record(&memory, &setup, 0);
    for (unsigned exec = 0; exec < 2; exec++) {
        struct replay_fs_report report = replay(&memory, exec, false);
        assert_int_equal(report.class, REPLAY_SAME);
        assert_true(report.finished && report.derived);
        assert_int_equal(report.request_count, REQUEST_COUNT);
    }
    trace_memory_fini(&memory);
}

/* Replies from outside: the trace is enough, and exec says that it cannot. */
static void test_outside(void **state)
{
    (void)state;
    struct trace_memory memory;
    struct replay_fs_setup setup = setup_of(false);
    record(&memory, &setup, 1); /* stopped by the user */
    struct replay_fs_report report = replay(&memory, false, true);
    assert_int_equal(report.class, REPLAY_SAME);
    assert_false(report.derived);
    assert_int_equal(report.request_count, REQUEST_COUNT);
    report = replay(&memory, true, false);
    assert_int_equal(report.class, REPLAY_OTHER_CONFIGURATION);
    trace_memory_fini(&memory);
}

/* Another tree: the report names event, field and request. */
static void test_other_tree(void **state)
{
    (void)state;
    struct trace_memory memory;
    struct replay_fs_setup setup = setup_of(true);
    record(&memory, &setup, 0);
    struct replay_fs_report report = replay(&memory, true, true);
    assert_int_equal(report.class, REPLAY_DIVERGED);
    assert_string_equal(report.divergence.recorded_name, "virtio.reply");
    assert_string_equal(report.divergence.field, "digest");
    assert_int_equal(report.request_count, 0); /* MOUNT shows the mode */
    assert_int_equal(report.request_size, 9);
    assert_int_equal(report.request[4], V86FS_MSG_MOUNT);
    trace_memory_fini(&memory);
}

/* A client that makes the requests again; `changed` of them has another byte. */
static struct replay_fs_report play(struct trace_memory *memory, unsigned changed,
                                    unsigned count)
{
    struct tree tree = {0};
    struct bytes bytes = buf_bytes(&memory->file);
    const struct trace_source source = trace_bytes_source(&bytes);
    const struct replay_fs_options options = {.open = reopen, .self = &tree};
    struct replay_fs_report report;
    struct replay_fs_player *player;
    struct buf frame;
    uint8_t *reply = malloc(V86FS_FRAME_MAX);
    size_t size;
    enum err err = ERR_ok;
    assert_non_null(reply);
    buf_init(&frame, V86FS_FRAME_MAX);
    assert_int_equal(replay_fs_play(&source, &options, &report, &player), ERR_ok);
    for (unsigned i = 0; i < count && !err; i++) {
        struct bytes request = request_at(i, &frame);
        if (i == changed)
            frame.data[frame.size - 1] ^= 1;
        err = replay_fs_player_serve(player, request, reply, V86FS_FRAME_MAX, &size);
    }
    replay_fs_player_close(player);
    buf_fini(&frame);
    free(reply);
    arena_fini(&tree.arena);
    return report;
}

static void test_client(void **state)
{
    (void)state;
    for (unsigned derived = 0; derived < 2; derived++) {
        struct trace_memory memory;
        struct replay_fs_setup setup = setup_of(derived);
        setup.requests = false; /* digests are enough */
        record(&memory, &setup, 0);
        struct replay_fs_report report = play(&memory, UINT32_MAX, REQUEST_COUNT);
        assert_int_equal(report.class, REPLAY_SAME);
        assert_int_equal(report.request_count, REQUEST_COUNT);
        for (unsigned i = 0; i < REQUEST_COUNT; i++) {
            report = play(&memory, i, REQUEST_COUNT);
            assert_int_equal(report.class, REPLAY_DIVERGED);
            assert_string_equal(report.divergence.recorded_name, "virtio.request");
            assert_string_equal(report.divergence.field, "digest");
            assert_int_equal(report.request_count, i);
        }
        report = play(&memory, UINT32_MAX, 3); /* it asks for less */
        assert_int_equal(report.class, REPLAY_DIVERGED);
        assert_string_equal(report.divergence.recorded_name, "virtio.request");
        report = replay(&memory, false, false);
        assert_int_equal(report.class, REPLAY_FAILED);
        trace_memory_fini(&memory);
    }
}

/* A session cut off at any record is the same as far as it goes; a damaged file is
 * damaged. */
static void test_damage(void **state)
{
    (void)state;
    struct trace_memory memory;
    struct replay_fs_setup setup = setup_of(true);
    record(&memory, &setup, 0);
    size_t size = memory.file.size;
    for (size_t at = 0; at < size; at += 7) {
        struct tree tree = {0};
        memory.file.data[at] ^= 0x10;
        struct bytes bytes = buf_bytes(&memory.file);
        const struct trace_source source = trace_bytes_source(&bytes);
        const struct replay_fs_options options = {.open = reopen, .self = &tree};
        struct replay_fs_report report;
        replay_fs_trace(&source, &options, &report);
        assert_true(report.class != REPLAY_DIVERGED);
        memory.file.data[at] ^= 0x10;
        arena_fini(&tree.arena);
    }
    trace_memory_fini(&memory);
}

/* Image bytes come back whole. */
static void test_image(void **state)
{
    (void)state;
    struct trace_memory memory;
    struct replay_fs_setup setup = setup_of(false);
    size_t size = (3 << 20) + 5;
    uint8_t *image = malloc(size);
    assert_non_null(image);
    for (size_t i = 0; i < size; i++)
        image[i] = (uint8_t)(i * i >> 7);
    setup.export[0].image = bytes_of(image, size);
    setup.export[0].has_digest = true;
    setup.export[1] = (struct replay_fs_export){.name = "two", .spec = "image:x"};
    setup.export_count = 2;
    record(&memory, &setup, 0);
    struct bytes bytes = buf_bytes(&memory.file);
    const struct trace_source source = trace_bytes_source(&bytes);
    const struct replay_fs_options options = {0};
    struct replay_fs_report report;
    struct replay_fs_player *player;
    assert_int_equal(replay_fs_play(&source, &options, &report, &player), ERR_ok);
    const struct replay_fs_setup *read = replay_fs_player_setup(player);
    assert_int_equal(read->export_count, 2);
    assert_string_equal(read->export[1].name, "two");
    assert_int_equal(read->export[0].image.size, size);
    assert_memory_equal(read->export[0].image.data, image, size);
    replay_fs_player_close(player);
    free(image);
    trace_memory_fini(&memory);
}

/* Notifications come back in their order, between the same requests, in both modes. */
static void test_notes(void **state)
{
    (void)state;
    for (unsigned derived = 0; derived < 2; derived++) {
        struct trace_memory memory;
        struct replay_fs_setup setup = setup_of(derived);
        notes_after = true;
        record(&memory, &setup, 0);
        notes_after = false;
        for (unsigned exec = 0; exec <= derived; exec++) {
            struct replay_fs_report report = replay(&memory, exec, false);
            assert_int_equal(report.class, REPLAY_SAME);
            assert_int_equal(report.request_count, REQUEST_COUNT);
            assert_int_equal(report.note_count, REQUEST_COUNT + 7);
        }
        struct tree tree = {0};
        struct bytes bytes = buf_bytes(&memory.file);
        const struct trace_source source = trace_bytes_source(&bytes);
        const struct replay_fs_options options = {.open = reopen, .self = &tree};
        struct replay_fs_report report;
        struct replay_fs_player *player;
        struct buf frame;
        uint8_t *reply = malloc(V86FS_FRAME_MAX), want[64];
        size_t size;
        assert_non_null(reply);
        buf_init(&frame, V86FS_FRAME_MAX);
        assert_int_equal(replay_fs_play(&source, &options, &report, &player), ERR_ok);
        for (unsigned i = 0; i < REQUEST_COUNT; i++) {
            assert_int_equal(replay_fs_player_serve(player, request_at(i, &frame),
                                                    reply, V86FS_FRAME_MAX, &size),
                             ERR_ok);
            for (unsigned k = 0; k < i % 3; k++) {
                struct bytes note = replay_fs_player_note(player);
                struct bytes wanted = note_at(i, k, want);
                assert_int_equal(note.size, wanted.size);
                assert_memory_equal(note.data, wanted.data, wanted.size);
                replay_fs_player_note_taken(player);
            }
            assert_int_equal(replay_fs_player_note(player).size, 0);
        }
        replay_fs_player_close(player);
        assert_int_equal(report.class, REPLAY_SAME);
        assert_int_equal(report.note_count, REQUEST_COUNT + 7);
        buf_fini(&frame);
        free(reply);
        arena_fini(&tree.arena);
        trace_memory_fini(&memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_derived),    cmocka_unit_test(test_outside),
        cmocka_unit_test(test_other_tree), cmocka_unit_test(test_notes),
        cmocka_unit_test(test_client),     cmocka_unit_test(test_damage),
        cmocka_unit_test(test_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
