/* SPDX-License-Identifier: MIT
 *
 * A small trace, damaged in every place: never a crash, never taken for whole, nothing
 * wrong delivered, every whole chunk before the damage recovered.
 */
#include "tests/test.h"
#include "tests/unit/trace/generate.h"

#include <string.h>

enum { EVENT_COUNT = 48, CHUNK_COUNT_MAX = 32, FILE_SIZE_MAX = 4 << 20 };

struct world {
    struct arena arena;
    struct buf file;
    struct bytes bytes; /* what the source gives: a damaged copy of `file` */
    struct trace_source source;
    struct buf wire[EVENT_COUNT]; /* every record, as read from the whole file */
    struct trace_clock clock[EVENT_COUNT];
    uint64_t chunk_end[CHUNK_COUNT_MAX]; /* of the chunks of events */
    uint64_t chunk_seq[CHUNK_COUNT_MAX]; /* events up to its end */
    size_t chunk_count;
    uint64_t index_offset;
};

static void write_trace(struct world *world, unsigned level)
{
    struct trace_memory memory;
    struct trace_writer *writer;
    struct trace_writer_options options = {.guest = TRACE_GUEST_PVM,
                                           .zstd_level = level};
    struct trace_clock clock = {0};
    uint64_t random = 11;
    trace_memory_init(&memory, FILE_SIZE_MAX);
    struct trace_sink sink = trace_memory_sink(&memory);
    assert_int_equal(trace_writer_create(&world->arena, &sink, &options, &writer),
                     ERR_ok);
    trace_writer_add_volatile(writer, "host", "here");
    for (unsigned i = 0; i < EVENT_COUNT; i++) {
        /* Kinds that no rule ties to other events: the whole file has no defect. */
        static const enum trace_id free_kind[] = {
            TRACE_ID_input_file, TRACE_ID_chaos, TRACE_ID_state_hash,
            TRACE_ID_console_out, TRACE_ID_pvm_exit};
        const struct trace_kind *kind =
            trace_kind_of(i ? free_kind[test_random(&random) % countof(free_kind)]
                            : TRACE_ID_session_begin);
        union generated event;
        generate_event(&world->arena, &random, kind, i % 8 ? 20 : 600, &event);
        clock.icount += i % 10 == 9 ? 1 << 24 : i; /* several chunks */
        clock.gas += i;
        trace_writer_put(writer, (enum trace_id)kind->id, &clock, &event);
    }
    assert_int_equal(trace_writer_finish(writer, NULL), ERR_ok);
    buf_init(&world->file, FILE_SIZE_MAX);
    buf_put(&world->file, memory.file.data, memory.file.size);
    trace_memory_fini(&memory);
}

static void read_whole(struct world *world)
{
    struct trace_reader *reader;
    struct trace_record record;
    bool end;
    assert_int_equal(
        trace_reader_open(&world->arena, &world->source, NULL, NULL, &reader), ERR_ok);
    for (unsigned i = 0; i < EVENT_COUNT; i++) {
        assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
        assert_false(end);
        buf_init(&world->wire[i], 1 << 20);
        buf_put(&world->wire[i], record.wire.data, record.wire.size);
        world->clock[i] = record.clock;
        struct trace_chunk chunk = trace_reader_chunk(reader);
        uint64_t chunk_end = (chunk.offset + 104 + chunk.stored_size + 7) & ~7ull;
        if (!world->chunk_count ||
            world->chunk_end[world->chunk_count - 1] != chunk_end)
            world->chunk_end[world->chunk_count++] = chunk_end;
        world->chunk_seq[world->chunk_count - 1] = i + 1;
    }
    assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
    assert_true(end);
    assert_int_equal(trace_reader_state(reader), TRACE_READER_CLOSED);
    assert_true(world->chunk_count > 3);
    trace_reader_close(reader);
}

static void world_init(struct world *world, unsigned level)
{
    memset(world, 0, sizeof *world);
    arena_init(&world->arena, (size_t)1 << 30);
    write_trace(world, level);
    world->bytes = buf_bytes(&world->file);
    world->source = trace_bytes_source(&world->bytes);
    read_whole(world);
}

static void world_fini(struct world *world)
{
    for (unsigned i = 0; i < EVENT_COUNT; i++)
        buf_fini(&world->wire[i]);
    buf_fini(&world->file);
    arena_fini(&world->arena);
}

/* How many events end before byte `offset` of the file, in whole chunks. */
static uint64_t events_before(const struct world *world, uint64_t offset)
{
    uint64_t count = 0;
    for (size_t i = 0; i < world->chunk_count && world->chunk_end[i] <= offset; i++)
        count = world->chunk_seq[i];
    return count;
}

/* Read as far as it goes.  What is delivered is a true prefix. */
static uint64_t read_prefix(struct world *world, enum trace_reader_state *ret_state)
{
    struct trace_reader *reader;
    struct trace_record record;
    struct arena arena;
    uint64_t count = 0;
    bool end = false;
    arena_init(&arena, 16 << 20);
    *ret_state = TRACE_READER_BROKEN;
    if (trace_reader_open(&arena, &world->source, NULL, NULL, &reader)) {
        arena_fini(&arena);
        return 0;
    }
    while (!trace_reader_next(reader, &record, &end) && !end) {
        assert_true(count < EVENT_COUNT);
        assert_int_equal(record.seq, count);
        assert_int_equal(record.wire.size, world->wire[count].size);
        assert_memory_equal(record.wire.data, world->wire[count].data,
                            record.wire.size);
        assert_memory_equal(&record.clock, &world->clock[count], sizeof record.clock);
        count++;
    }
    *ret_state = trace_reader_state(reader);
    trace_reader_close(reader);
    arena_fini(&arena);
    return count;
}

/* Salvage delivers true events only, too, though not all of them. */
static uint64_t count_salvaged(struct world *world)
{
    uint64_t count = 0;
    struct trace_reader_options options = {.salvage = true};
    struct trace_reader *reader;
    struct trace_record record;
    struct arena arena;
    bool end = false;
    arena_init(&arena, 16 << 20);
    if (!trace_reader_open(&arena, &world->source, &options, NULL, &reader)) {
        while (!trace_reader_next(reader, &record, &end) && !end) {
            assert_true(record.seq < EVENT_COUNT);
            assert_memory_equal(record.wire.data, world->wire[record.seq].data,
                                record.wire.size);
            count++;
        }
        assert_true(end);
        trace_reader_close(reader);
    }
    arena_fini(&arena);
    return count;
}

static uint64_t count_defects(struct world *world)
{
    struct trace_summary summary;
    struct arena arena;
    arena_init(&arena, 16 << 20);
    enum err err = trace_verify(&arena, &world->source, NULL, NULL, NULL, &summary);
    arena_fini(&arena);
    return err ? 1 : summary.defect_count;
}

/* Recover, and look at what came out. */
static uint64_t recover(struct world *world)
{
    struct trace_memory memory;
    struct arena arena;
    struct trace_summary summary;
    struct trace_fault fault;
    uint64_t count = 0;
    trace_memory_init(&memory, FILE_SIZE_MAX);
    arena_init(&arena, 16 << 20);
    struct trace_sink sink = trace_memory_sink(&memory);
    if (!trace_recover(&arena, &world->source, &sink, &fault, NULL)) {
        struct bytes damaged = world->bytes;
        enum trace_reader_state state;
        world->bytes = buf_bytes(&memory.file);
        count = read_prefix(world, &state);
        assert_int_equal(state, TRACE_READER_CLOSED);
        assert_int_equal(
            trace_verify(&arena, &world->source, NULL, NULL, NULL, &summary), ERR_ok);
        assert_int_equal(summary.event_count, count);
        assert_int_equal(summary.defect_count, 0);
        world->bytes = damaged;
    }
    trace_memory_fini(&memory);
    arena_fini(&arena);
    return count;
}

static void check_damaged(struct world *world, uint64_t offset)
{
    enum trace_reader_state state;
    uint64_t whole = events_before(world, offset);
    uint64_t count = read_prefix(world, &state);
    assert_true(count >= whole);
    assert_int_not_equal(state, TRACE_READER_CLOSED);
    assert_true(count_salvaged(world) >= count);
}

static void flip_every_byte(unsigned level)
{
    struct world world;
    world_init(&world, level);
    assert_int_equal(count_defects(&world), 0);
    for (size_t i = 0; i < world.file.size; i++) {
        uint8_t bit = (uint8_t)(1u << (i * 5 % 8));
        world.file.data[i] ^= bit;
        check_damaged(&world, i);
        if (i % 3 == 0 || i + 400 > world.file.size) {
            assert_true(count_defects(&world) > 0);
            uint64_t whole = events_before(&world, i);
            assert_true(recover(&world) >= whole);
        }
        world.file.data[i] ^= bit;
    }
    assert_int_equal(count_defects(&world), 0);
    world_fini(&world);
}

static void test_flip_raw(void **state)
{
    (void)state;
    flip_every_byte(0);
}

static void test_flip_zstd(void **state)
{
    (void)state;
    flip_every_byte(1);
}

/* Every bit where one byte is the difference between kinds, codecs and lengths. */
static void test_flip_headers(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 1);
    for (size_t chunk = 0; chunk < 2; chunk++) {
        for (size_t i = 0; i < 104; i++) {
            uint8_t *byte = &world.file.data[world.chunk_end[chunk] + i];
            for (unsigned bit = 0; bit < 8; bit++) {
                *byte ^= (uint8_t)(1u << bit);
                check_damaged(&world, world.chunk_end[chunk] + i);
                *byte ^= (uint8_t)(1u << bit);
            }
        }
    }
    world_fini(&world);
}

static void test_truncate(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 1);
    for (size_t size = 0; size < world.file.size; size++) {
        /* A copy of this size exactly, so that a sanitizer sees the end. */
        uint8_t *copy = test_malloc(size ? size : 1);
        memcpy(copy, world.file.data, size);
        world.bytes = bytes_of(copy, size);
        check_damaged(&world, size);
        uint64_t whole = events_before(&world, size);
        assert_true(recover(&world) >= whole);
        if (size % 16 == 0 || size + 400 > world.file.size)
            assert_true(count_defects(&world) > 0);
        test_free(copy);
    }
    world_fini(&world);
}

/* Bytes behind the trailer, and a hole in the middle. */
static void test_surplus(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    size_t size = world.file.size;
    buf_put(&world.file, "12345678", 8);
    world.bytes = buf_bytes(&world.file);
    check_damaged(&world, size);
    assert_true(count_defects(&world) > 0);
    world.file.size = size;
    memset(world.file.data + world.chunk_end[1], 0,
           (size_t)(world.chunk_end[2] - world.chunk_end[1]));
    world.bytes = buf_bytes(&world.file);
    check_damaged(&world, world.chunk_end[1]);
    assert_true(count_defects(&world) > 0);
    assert_int_equal(count_salvaged(&world),
                     EVENT_COUNT - (world.chunk_seq[2] - world.chunk_seq[1]));
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flip_raw),     cmocka_unit_test(test_flip_zstd),
        cmocka_unit_test(test_flip_headers), cmocka_unit_test(test_truncate),
        cmocka_unit_test(test_surplus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
