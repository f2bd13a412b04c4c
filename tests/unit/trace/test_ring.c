/* SPDX-License-Identifier: MIT
 *
 * Ring segments, joining them, recovering, notes in a finished file.
 */
#include "tests/test.h"
#include "tests/unit/trace/craft.h"
#include "trace/checkpoint.h"

#include <string.h>

enum { SEGMENT_COUNT_MAX = 200, RING_SIZE = 1 << 20 };

struct world {
    struct arena arena;
    struct trace_memory segment[SEGMENT_COUNT_MAX];
    bool there[SEGMENT_COUNT_MAX];
    uint32_t segment_count;
    uint64_t checkpoint_seq; /* events before the last checkpoint */
    struct trace_writer *writer;
    struct trace_clock clock;
    uint64_t seq;
    bool refuse; /* no checkpoint now */
};

static enum err open_segment(void *self, uint32_t number, struct trace_sink *ret_sink)
{
    struct world *world = self;
    assert_true(number < SEGMENT_COUNT_MAX);
    assert_int_equal(number, world->segment_count);
    trace_memory_init(&world->segment[number], 64 << 20);
    world->there[number] = true;
    world->segment_count++;
    *ret_sink = trace_memory_sink(&world->segment[number]);
    return ERR_ok;
}

static enum err drop_segment(void *self, uint32_t number)
{
    struct world *world = self;
    assert_true(number > 0 && world->there[number]);
    trace_memory_fini(&world->segment[number]);
    world->there[number] = false;
    return ERR_ok;
}

/* One canonical record: the number of events before it. */
static enum err checkpoint(void *self, trace_ring_put_fn *put, void *to)
{
    struct world *world = self;
    uint8_t record[16];
    struct packer packer = {record, record + sizeof record, false};
    if (world->refuse)
        return ERR_ok;
    trace_pack_array(&packer, 1);
    trace_pack_uint(&packer, world->seq);
    world->checkpoint_seq = world->seq;
    const struct trace_base_part part = {bytes_of(record, (size_t)(packer.at - record)),
                                         1};
    return put(to, &part, 1);
}

static void put_event(struct world *world)
{
    uint8_t data[700];
    uint64_t random = world->seq;
    for (size_t i = 0; i < sizeof data; i += 8) {
        uint64_t bits = test_random(&random);
        memcpy(data + i, &bits, sizeof data - i < 8 ? sizeof data - i : 8);
    }
    /* Every tenth content comes again and again: blobs from older segments. */
    if (world->seq % 10 == 0)
        memset(data, 7, sizeof data);
    struct trace_console_out out = {.dev = world->seq,
                                    .data = bytes_of(data, sizeof data)};
    world->clock.icount += 10;
    world->clock.gas += 3;
    world->seq++; /* the checkpoint is taken behind this event */
    trace_put_console_out(world->writer, &world->clock, &out);
}

static void record(struct world *world, uint64_t event_count, bool refuse)
{
    memset(world, 0, sizeof *world);
    arena_init(&world->arena, 64 << 20);
    world->refuse = refuse;
    struct trace_ring ring = {.self = world,
                              .size_max = RING_SIZE,
                              .open_segment = open_segment,
                              .drop_segment = drop_segment,
                              .checkpoint = checkpoint};
    struct trace_writer_options options = {.guest = TRACE_GUEST_PVM, .ring = &ring};
    struct trace_sink sink;
    assert_int_equal(open_segment(world, 0, &sink), ERR_ok);
    assert_int_equal(
        trace_writer_create(&world->arena, &sink, &options, &world->writer), ERR_ok);
    struct trace_session_begin begin = {.spec = TRACE_SPEC};
    world->seq = 1;
    trace_put_session_begin(world->writer, &world->clock, &begin);
    while (world->seq < event_count)
        put_event(world);
}

static void world_fini(struct world *world)
{
    for (uint32_t i = 0; i < world->segment_count; i++) {
        if (world->there[i])
            trace_memory_fini(&world->segment[i]);
    }
    arena_fini(&world->arena);
}

/* Join what is there; the events of the joined file. */
struct joined {
    struct trace_memory memory;
    struct hash256 identity;
    uint64_t first_count; /* events in front of the gap */
    uint64_t gap_seq;     /* the first event behind it; 0: no gap */
    uint64_t event_count;
    uint64_t last_seq;
};

static void join(struct world *world, struct joined *joined)
{
    struct bytes bytes[SEGMENT_COUNT_MAX];
    struct trace_source source[SEGMENT_COUNT_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < world->segment_count; i++) {
        if (!world->there[i])
            continue;
        bytes[count] = buf_bytes(&world->segment[i].file);
        source[count] = trace_bytes_source(&bytes[count]);
        count++;
    }
    memset(joined, 0, sizeof *joined);
    trace_memory_init(&joined->memory, 64 << 20);
    struct trace_sink sink = trace_memory_sink(&joined->memory);
    assert_int_equal(trace_join(&world->arena, source, count, &sink, &joined->identity),
                     ERR_ok);
}

static void read_joined(struct world *world, struct joined *joined)
{
    struct bytes bytes = buf_bytes(&joined->memory.file);
    struct trace_source source = trace_bytes_source(&bytes);
    struct trace_reader *reader;
    struct trace_record record;
    struct trace_summary summary;
    bool end;
    assert_int_equal(trace_verify(&world->arena, &source, NULL, NULL, NULL, &summary),
                     ERR_ok);
    assert_int_equal(summary.defect_count, 0);
    assert_true(hash256_equal(&summary.identity, &joined->identity));
    assert_int_equal(trace_reader_open(&world->arena, &source, NULL, NULL, &reader),
                     ERR_ok);
    uint64_t seq = 0;
    for (;; seq++) {
        struct trace_console_out out;
        struct arena arena;
        assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
        if (end)
            break;
        if (record.seq != seq) {
            assert_int_equal(joined->gap_seq, 0); /* one gap at most */
            joined->first_count = seq;
            joined->gap_seq = seq = record.seq;
        }
        joined->event_count++;
        joined->last_seq = seq;
        if (!seq)
            continue;
        arena_init(&arena, 1 << 20);
        assert_int_equal(record.clock.icount, seq * 10);
        assert_int_equal(trace_decode_console_out(reader, &record, &arena, &out),
                         ERR_ok);
        assert_int_equal(out.dev, seq);
        assert_int_equal(out.data.size, 700);
        if (seq % 10 == 0)
            assert_int_equal(out.data.data[699], 7);
        arena_fini(&arena);
    }
    assert_int_equal(trace_reader_state(reader), TRACE_READER_CLOSED);
    trace_reader_close(reader);
}

static void joined_fini(struct joined *joined)
{
    trace_memory_fini(&joined->memory);
}

/* Old segments are dropped, the newest events and the beginning stay. */
static void test_ring(void **state)
{
    (void)state;
    struct world world;
    struct joined joined;
    record(&world, 12000, false);
    assert_int_equal(trace_writer_finish(world.writer, NULL), ERR_ok);
    assert_true(world.segment_count > 10);
    assert_true(world.there[0]);
    assert_false(world.there[1]);
    uint64_t size = 0;
    for (uint32_t i = 0; i < world.segment_count; i++)
        size += world.there[i] ? world.segment[i].file.size : 0;
    assert_true(size < RING_SIZE + RING_SIZE / 2);
    join(&world, &joined);
    read_joined(&world, &joined);
    assert_int_equal(joined.last_seq, 11999);
    assert_true(joined.first_count > 0);
    assert_true(joined.gap_seq > joined.first_count);
    joined_fini(&joined);
    world_fini(&world);
}

/* The same ring twice: the same bytes, segment by segment. */
static void test_ring_is_deterministic(void **state)
{
    (void)state;
    struct world a, b;
    record(&a, 5000, false);
    record(&b, 5000, false);
    assert_int_equal(trace_writer_finish(a.writer, NULL), ERR_ok);
    assert_int_equal(trace_writer_finish(b.writer, NULL), ERR_ok);
    assert_int_equal(a.segment_count, b.segment_count);
    for (uint32_t i = 0; i < a.segment_count; i++) {
        assert_int_equal(a.there[i], b.there[i]);
        if (!a.there[i])
            continue;
        assert_int_equal(a.segment[i].file.size, b.segment[i].file.size);
        assert_memory_equal(a.segment[i].file.data, b.segment[i].file.data,
                            a.segment[i].file.size);
    }
    world_fini(&a);
    world_fini(&b);
}

/* Killed in the middle: the open tail of the last segment is joined, too. */
static void test_ring_killed(void **state)
{
    (void)state;
    for (uint64_t count = 2; count < 4000; count += 333) {
        struct world world;
        struct joined joined;
        record(&world, count, false);
        trace_writer_abandon(world.writer);
        join(&world, &joined);
        read_joined(&world, &joined);
        assert_int_equal(joined.last_seq, count - 1);
        joined_fini(&joined);
        world_fini(&world);
    }
}

/* A guest that can give no checkpoint: one segment, nothing lost. */
static void test_ring_without_checkpoints(void **state)
{
    (void)state;
    struct world world;
    struct joined joined;
    record(&world, 3000, true);
    assert_int_equal(trace_writer_finish(world.writer, NULL), ERR_ok);
    assert_int_equal(world.segment_count, 1);
    join(&world, &joined);
    read_joined(&world, &joined);
    assert_int_equal(joined.event_count, 3000);
    joined_fini(&joined);
    world_fini(&world);
}

/* ---- recover ---- */

/* Without damage the copy is the same file; without index it gets one. */
static void test_recover_whole(void **state)
{
    (void)state;
    for (unsigned cut = 0; cut < 2; cut++) {
        struct world world;
        struct joined joined;
        struct trace_memory out;
        struct trace_fault fault;
        struct hash256 identity;
        record(&world, 1000, true);
        assert_int_equal(trace_writer_finish(world.writer, NULL), ERR_ok);
        join(&world, &joined);
        struct bytes bytes = buf_bytes(&joined.memory.file);
        if (cut)
            bytes.size -= 49;
        struct trace_source source = trace_bytes_source(&bytes);
        trace_memory_init(&out, 64 << 20);
        struct trace_sink sink = trace_memory_sink(&out);
        assert_int_equal(trace_recover(&world.arena, &source, &sink, &fault, &identity),
                         ERR_ok);
        assert_int_equal(fault.err, cut ? ERR_trace_truncated : ERR_ok);
        assert_true(hash256_equal(&identity, &joined.identity));
        assert_int_equal(out.file.size, joined.memory.file.size);
        assert_memory_equal(out.file.data, joined.memory.file.data, out.file.size);
        trace_memory_fini(&out);
        joined_fini(&joined);
        world_fini(&world);
    }
}

/* ---- annotations [2.10] ---- */

struct notes {
    unsigned count;
    char text[4][16];
};

static void on_note(void *self, const struct trace_chunk *chunk,
                    const struct trace_record *record)
{
    struct notes *notes = self;
    struct trace_values values;
    struct trace_value value;
    assert_int_equal(chunk->kind, TRACE_CHUNK_ANNOTATIONS);
    values = trace_record_values(record, 3); /* note.text, bookmark.name */
    assert_true(trace_values_next(&values, &value));
    assert_true(notes->count < 4 && value.bytes.size < 16);
    memcpy(notes->text[notes->count++], value.bytes.data, value.bytes.size);
}

static void test_annotate(void **state)
{
    (void)state;
    struct world world;
    struct joined joined;
    struct hash256 identity;
    struct notes notes = {0};
    struct trace_summary summary;
    struct trace_reader *reader;
    record(&world, 1000, true);
    assert_int_equal(trace_writer_finish(world.writer, NULL), ERR_ok);
    join(&world, &joined);
    struct trace_sink sink = trace_memory_sink(&joined.memory);
    for (unsigned i = 0; i < 2; i++) {
        struct bytes bytes = buf_bytes(&joined.memory.file);
        struct trace_source source = trace_bytes_source(&bytes);
        struct trace_note note = {.seq = 5, .who = "me", .text = i ? "third" : "first"};
        struct trace_bookmark mark = {.seq = 6, .name = "second"};
        assert_int_equal(trace_annotate(&source, &sink, &note, i ? NULL : &mark),
                         ERR_ok);
    }
    struct bytes bytes = buf_bytes(&joined.memory.file);
    struct trace_source source = trace_bytes_source(&bytes);
    assert_int_equal(trace_identity(&source, &identity), ERR_ok);
    assert_true(hash256_equal(&identity, &joined.identity));
    assert_int_equal(trace_verify(&world.arena, &source, NULL, NULL, NULL, &summary),
                     ERR_ok);
    assert_int_equal(summary.defect_count, 0);
    assert_int_equal(summary.chunk_kind_count[TRACE_CHUNK_ANNOTATIONS], 2);
    assert_int_equal(trace_reader_open(&world.arena, &source, NULL, NULL, &reader),
                     ERR_ok);
    assert_int_equal(trace_annotations(reader, on_note, &notes), ERR_ok);
    assert_int_equal(notes.count, 3);
    assert_string_equal(notes.text[0], "first");
    assert_string_equal(notes.text[1], "second");
    assert_string_equal(notes.text[2], "third");
    trace_reader_close(reader);
    /* Not in an unfinished file. */
    bytes.size -= 8;
    struct trace_note note = {.text = "x"};
    assert_int_equal(trace_annotate(&source, &sink, &note, NULL), ERR_trace_truncated);
    joined_fini(&joined);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_ring_is_deterministic),
        cmocka_unit_test(test_ring_killed),
        cmocka_unit_test(test_ring_without_checkpoints),
        cmocka_unit_test(test_recover_whole),
        cmocka_unit_test(test_annotate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
