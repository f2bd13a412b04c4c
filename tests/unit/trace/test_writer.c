/* SPDX-License-Identifier: MIT
 *
 * Where chunks are cut, blobs stored once, errors that stick, a sink that fails.
 */
#include "tests/test.h"
#include "tests/unit/trace/example.h"

#include <string.h>

enum { FILE_SIZE_MAX = 64 << 20, CHUNK_COUNT_MAX = 64 };

struct world {
    struct arena arena;
    struct trace_memory memory;
    struct trace_sink sink;
    struct trace_writer *writer;
    struct trace_clock clock;
    /* after read_back() */
    struct trace_chunk chunk[CHUNK_COUNT_MAX];
    uint64_t chunk_events[CHUNK_COUNT_MAX];
    size_t chunk_count;
    uint64_t event_count;
    uint64_t blob_count;
};

static void world_init(struct world *world, enum trace_guest guest)
{
    struct trace_writer_options options = {.guest = guest};
    memset(world, 0, sizeof *world);
    arena_init(&world->arena, (size_t)1 << 30);
    trace_memory_init(&world->memory, FILE_SIZE_MAX);
    world->sink = trace_memory_sink(&world->memory);
    assert_int_equal(
        trace_writer_create(&world->arena, &world->sink, &options, &world->writer),
        ERR_ok);
    struct trace_session_begin begin = {.spec = TRACE_SPEC};
    trace_put_session_begin(world->writer, &world->clock, &begin);
}

static void world_fini(struct world *world)
{
    trace_memory_fini(&world->memory);
    arena_fini(&world->arena);
}

static void on_defect(void *self, const struct trace_fault *fault, const char *text)
{
    (void)self;
    print_message("defect at %llu+%llu: %s\n", (unsigned long long)fault->chunk_offset,
                  (unsigned long long)fault->payload_offset, text);
}

/* Finish, verify, and note the chunks of events. */
static void read_back(struct world *world)
{
    struct trace_reader *reader;
    struct trace_record record;
    struct trace_summary summary;
    bool end;
    assert_int_equal(trace_writer_finish(world->writer, NULL), ERR_ok);
    struct bytes bytes = buf_bytes(&world->memory.file);
    struct trace_source source = trace_bytes_source(&bytes);
    assert_int_equal(
        trace_verify(&world->arena, &source, NULL, on_defect, NULL, &summary), ERR_ok);
    assert_int_equal(summary.defect_count, 0);
    assert_int_equal(trace_reader_open(&world->arena, &source, NULL, NULL, &reader),
                     ERR_ok);
    while (!trace_reader_next(reader, &record, &end) && !end) {
        struct trace_chunk chunk = trace_reader_chunk(reader);
        if (!world->chunk_count ||
            world->chunk[world->chunk_count - 1].offset != chunk.offset)
            world->chunk[world->chunk_count++] = chunk;
        world->chunk_events[world->chunk_count - 1]++;
        world->event_count++;
    }
    world->blob_count = summary.blob_count;
    trace_reader_close(reader);
}

static void put_bytes(struct world *world, const void *data, size_t size)
{
    struct trace_console_out event = {.dev = 33, .data = bytes_of(data, size)};
    trace_put_console_out(world->writer, &world->clock, &event);
}

/* ---- the cut rule [2.5] ---- */

/* An event that fills the raw payload to exactly `size` bytes; none is there but
 * session.begin (5 bytes).  Blob records have 4 + 5 bytes of head and no dedup. */
static void fill_to(struct world *world, size_t size)
{
    static uint8_t data[65536];
    size_t raw = 5;
    uint8_t salt = 1;
    while (raw < size) {
        /* console.out: 94 09 00 00 21, then bin of n < 512: c5 n n. */
        size_t left = size - raw;
        size_t n = left > 1000 ? 400 : left > 507 + 8 ? 300 : left - 8;
        assert_true(n >= 256 && n < 512);
        memset(data, salt++, n);
        put_bytes(world, data, n);
        raw += n + 8;
    }
    assert_int_equal(raw, size);
}

static void test_cut_by_size(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, TRACE_GUEST_PVM);
    fill_to(&world, 262143); /* one byte is missing */
    struct trace_chaos chaos = {0};
    trace_put_chaos(world.writer, &world.clock, &chaos);
    trace_put_chaos(world.writer, &world.clock, &chaos);
    read_back(&world);
    assert_int_equal(world.chunk_count, 2);
    assert_int_equal(world.chunk[0].raw_size, 262143 + 4);
    assert_int_equal(world.chunk_events[1], 1);
    world_fini(&world);

    world_init(&world, TRACE_GUEST_PVM);
    fill_to(&world, 262144); /* exactly */
    trace_put_chaos(world.writer, &world.clock, &chaos);
    read_back(&world);
    assert_int_equal(world.chunk_count, 2);
    assert_int_equal(world.chunk[0].raw_size, 262144);
    assert_int_equal(world.chunk_events[1], 1);
    world_fini(&world);
}

static void test_cut_by_icount(void **state)
{
    (void)state;
    struct world world;
    struct trace_chaos chaos = {0};
    world_init(&world, TRACE_GUEST_PVM);
    const uint64_t icount[] = {1,
                               (1 << 24) - 1,
                               1 << 24,
                               (1 << 24) + 1,
                               (2 << 24) - 1,
                               (uint64_t)5 << 24,
                               (uint64_t)5 << 24};
    for (size_t i = 0; i < countof(icount); i++) {
        world.clock.icount = icount[i];
        trace_put_chaos(world.writer, &world.clock, &chaos);
    }
    read_back(&world);
    /* begin, 1, 2^24-1, 2^24 | 2^24+1, 2*2^24-1, 5*2^24 | 5*2^24 */
    assert_int_equal(world.chunk_count, 3);
    assert_int_equal(world.chunk_events[0], 4);
    assert_int_equal(world.chunk_events[1], 3);
    assert_int_equal(world.chunk_events[2], 1);
    assert_int_equal(world.chunk[1].icount0, 1 << 24);
    assert_int_equal(world.chunk[2].icount0, (uint64_t)5 << 24);
    world_fini(&world);
}

/* A blob may be the last record of a chunk; its event starts the next one. */
static void test_cut_behind_blob(void **state)
{
    (void)state;
    static uint8_t data[8 * 65536];
    struct world world;
    world_init(&world, TRACE_GUEST_PVM);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)((i * i >> 7) ^ (i >> 16) * 29);
    put_bytes(&world, data, sizeof data);
    read_back(&world);
    assert_int_equal(world.event_count, 2);
    assert_int_equal(world.blob_count, 8);
    assert_true(world.memory.file.size > sizeof data);
    assert_int_equal(world.chunk_count, 2); /* session.begin, console.out */
    assert_int_equal(world.chunk[1].blob0, 8);
    assert_int_equal(world.chunk[1].record_count, 1);
    world_fini(&world);
}

/* Exactly at the border, and one byte short of it. */
static void test_cut_exactly_behind_blob(void **state)
{
    (void)state;
    static const uint8_t data[600] = {1};
    for (unsigned less = 0; less < 2; less++) {
        struct world world;
        world_init(&world, TRACE_GUEST_PVM);
        fill_to(&world, 262144 - less - (sizeof data + 7)); /* 94 01 00 00 c5 n n */
        put_bytes(&world, data, sizeof data);
        read_back(&world);
        assert_int_equal(world.blob_count, 1);
        assert_int_equal(world.chunk_count, less ? 1 : 2);
        world_fini(&world);
    }
}

/* ---- blobs [3.4] ---- */

static void test_blob_once(void **state)
{
    (void)state;
    static uint8_t data[65536 + 4096];
    struct world world;
    world_init(&world, TRACE_GUEST_PVM);
    memset(data, 0xab, sizeof data);
    put_bytes(&world, data, 511); /* inline */
    put_bytes(&world, data, 512);
    put_bytes(&world, data, 4096);
    put_bytes(&world, data, sizeof data); /* 65,536 and the 4,096 seen before */
    size_t size = world.memory.file.size;
    for (unsigned i = 0; i < 1000; i++)
        put_bytes(&world, data, 4096);
    read_back(&world);
    assert_int_equal(world.blob_count, 3);
    assert_int_equal(world.event_count, 1005);
    (void)size;
    /* The second and later reads of a block cost ten bytes each [15, row 2]. */
    assert_true(world.chunk[world.chunk_count - 1].raw_size <
                511 + 512 + 4096 + 65536 + 200 + 1000 * 11);
    world_fini(&world);
}

/* ---- errors stick ---- */

static void test_clock_must_not_fall(void **state)
{
    (void)state;
    struct world world;
    struct trace_chaos chaos = {0};
    world_init(&world, TRACE_GUEST_PVM);
    world.clock = (struct trace_clock){.icount = 5, .gas = 5};
    trace_put_chaos(world.writer, &world.clock, &chaos);
    world.clock.gas = 4;
    trace_put_chaos(world.writer, &world.clock, &chaos);
    assert_int_equal(trace_writer_error(world.writer), ERR_trace_sequence);
    world.clock.gas = 6;
    trace_put_chaos(world.writer, &world.clock, &chaos);
    assert_int_equal(trace_writer_seq(world.writer), 2);
    assert_int_equal(trace_writer_finish(world.writer, NULL), ERR_trace_sequence);
    world_fini(&world);
}

static void expect_error(enum err want, enum trace_id id, const void *event)
{
    struct world world;
    world_init(&world, TRACE_GUEST_PVM);
    trace_writer_put(world.writer, id, &world.clock, event);
    assert_int_equal(trace_writer_error(world.writer), want);
    trace_writer_abandon(world.writer);
    /* The records before it are there. */
    struct bytes bytes = buf_bytes(&world.memory.file);
    struct trace_source source = trace_bytes_source(&bytes);
    struct trace_reader *reader;
    struct trace_record record;
    bool end;
    assert_int_equal(trace_reader_open(&world.arena, &source, NULL, NULL, &reader),
                     ERR_ok);
    assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
    assert_false(end);
    assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
    assert_true(end);
    assert_int_equal(trace_reader_state(reader), TRACE_READER_OPEN);
    trace_reader_close(reader);
    world_fini(&world);
}

static void test_limits(void **state)
{
    (void)state;
    static uint64_t many[131072];
    static uint8_t bytes[65536];
    memset(many, 0xff, sizeof many);
    struct trace_pvm_start start = {.regs = {many, 14563}};
    expect_error(ERR_limit, TRACE_ID_pvm_start, &start); /* record > 131,072 */
    start.regs.count = countof(many);
    expect_error(ERR_limit, TRACE_ID_pvm_start, &start);
    struct trace_input_file file = {.name = bytes_of(bytes, 65536)};
    expect_error(ERR_limit, TRACE_ID_input_file, &file); /* b > 65,535 */
    struct trace_console_out out = {.data = bytes_of(bytes, ((size_t)1 << 30) + 1)};
    expect_error(ERR_limit, TRACE_ID_console_out, &out); /* w > 1 GiB */
    struct trace_session_config config = {.key = "\xff", .value = "x"};
    expect_error(ERR_trace_canonical, TRACE_ID_session_config, &config);
    config.key = "\xed\xa0\x80"; /* a surrogate */
    expect_error(ERR_trace_canonical, TRACE_ID_session_config, &config);

    /* The longest record that fits. */
    struct world world;
    world_init(&world, TRACE_GUEST_PVM);
    start.regs.count = 14562; /* 3 + 2 zeros + 3 + 14,562 * 9 + 4 */
    trace_put_pvm_start(world.writer, &world.clock, &start);
    read_back(&world);
    assert_int_equal(world.event_count, 2);
    world_fini(&world);
}

static void test_usage(void **state)
{
    (void)state;
    struct arena arena;
    struct trace_memory memory;
    struct trace_writer *writer = NULL;
    arena_init(&arena, 1 << 20);
    trace_memory_init(&memory, FILE_SIZE_MAX);
    struct trace_sink sink = trace_memory_sink(&memory);
    struct trace_writer_options options = {.guest = TRACE_GUEST_PVM, .zstd_level = 10};
    assert_int_equal(trace_writer_create(&arena, &sink, &options, &writer), ERR_usage);
    options = (struct trace_writer_options){.guest = TRACE_GUEST_ALL};
    assert_int_equal(trace_writer_create(&arena, &sink, &options, &writer), ERR_usage);
    const enum trace_id unsorted[] = {TRACE_ID_session_end, TRACE_ID_session_begin};
    options = (struct trace_writer_options){
        .guest = TRACE_GUEST_PVM, .kind_ids = unsorted, .kind_id_count = 2};
    assert_int_equal(trace_writer_create(&arena, &sink, &options, &writer), ERR_usage);
    assert_null(writer);
    trace_memory_fini(&memory);
    arena_fini(&arena);
}

/* Arenas of every size: each failure is ERR_nomem. */
static void test_no_memory(void **state)
{
    (void)state;
    enum err err = ERR_nomem;
    for (size_t size = 0; err; size += 64) {
        struct arena arena;
        struct trace_memory memory;
        struct trace_writer_options options = example_options();
        arena_init(&arena, size);
        trace_memory_init(&memory, FILE_SIZE_MAX);
        struct trace_sink sink = trace_memory_sink(&memory);
        err = example_record(&arena, &sink, &options, NULL);
        assert_true(err == ERR_ok || err == ERR_nomem);
        assert_true(size < 1 << 20);
        trace_memory_fini(&memory);
        arena_fini(&arena);
    }
}

/* ---- a sink that fails ---- */

struct failing {
    struct trace_sink inner;
    unsigned left; /* calls that succeed */
    unsigned failures;
    size_t window_size;
};

static enum err gate(struct failing *failing)
{
    if (failing->left) {
        failing->left--;
        return ERR_ok;
    }
    failing->failures++;
    return ERR_io;
}

static enum err failing_write(void *self, uint64_t offset, const void *data,
                              size_t size)
{
    struct failing *failing = self;
    TRY(gate(failing));
    return failing->inner.write(failing->inner.self, offset, data, size);
}

static enum err failing_map(void *self, uint64_t offset, size_t size, uint8_t **ret)
{
    struct failing *failing = self;
    TRY(gate(failing));
    failing->window_size = size;
    return failing->inner.map(failing->inner.self, offset, size, ret);
}

static void failing_unmap(void *self, uint8_t *window, size_t size)
{
    struct failing *failing = self;
    failing->inner.unmap(failing->inner.self, window, size);
}

/* Whatever was behind the records is lost. */
static size_t failing_prepare(void *self, uint8_t *window, size_t from)
{
    const struct failing *failing = self;
    memset(window + from, 0xaa, failing->window_size - from);
    return from + 1000;
}

static enum err failing_sync(void *self)
{
    return gate(self);
}

static enum err failing_sync_window(void *self, uint8_t *window, size_t size)
{
    struct failing *failing = self;
    TRY(gate(failing));
    return failing->inner.sync_window(failing->inner.self, window, size);
}

static enum err failing_truncate(void *self, uint64_t size)
{
    struct failing *failing = self;
    TRY(gate(failing));
    return failing->inner.truncate(failing->inner.self, size);
}

/* Some chunks with blobs, as a guest would: it never notices. */
static enum err record_long(struct arena *arena, const struct trace_sink *sink,
                            enum trace_sync sync, bool require, uint64_t *ret_done)
{
    static uint8_t data[65536];
    struct trace_writer_options options = {.guest = TRACE_GUEST_PVM, .sync = sync};
    struct trace_writer *writer;
    struct trace *trace;
    enum err err = ERR_ok;
    *ret_done = 0;
    TRY(trace_writer_create(arena, sink, &options, &writer));
    trace_writer_add_volatile(writer, "host", "h");
    assert_int_equal(trace_record_create(arena, writer, require, &trace), ERR_ok);
    for (unsigned i = 0; i < 12 && !err; i++) {
        memset(data, (int)i, sizeof data);
        struct trace_console_out out = {.data = bytes_of(data, sizeof data)};
        trace->clock.icount += i;
        err = trace_console_out(trace, &out);
        if (!require)
            assert_int_equal(err, ERR_ok);
        if (!trace_writer_error(writer))
            ++*ret_done;
    }
    trace_close(trace);
    if (require && err)
        assert_int_equal(err, trace_writer_error(writer));
    return trace_writer_finish(writer, NULL);
}

static void check_failing(enum trace_sync sync, bool require)
{
    for (unsigned n = 0;; n++) {
        struct arena arena;
        struct trace_memory memory;
        uint64_t done;
        arena_init(&arena, 1 << 20);
        trace_memory_init(&memory, FILE_SIZE_MAX);
        struct failing failing = {.inner = trace_memory_sink(&memory), .left = n};
        struct trace_sink sink = {
            &failing,        failing_write, failing_map,         failing_unmap,
            failing_prepare, failing_sync,  failing_sync_window, failing_truncate};
        enum err err = record_long(&arena, &sink, sync, require, &done);
        assert_int_equal(err, failing.failures ? ERR_io : ERR_ok);
        assert_true(failing.failures <= 1); /* nothing is tried after the first */
        assert_true(n < 10000);
        /* Completed records can be read, whatever failed behind them. */
        struct bytes bytes = buf_bytes(&memory.file);
        struct trace_source source = trace_bytes_source(&bytes);
        struct trace_reader *reader;
        if (!trace_reader_open(&arena, &source, NULL, NULL, &reader)) {
            struct trace_record record;
            uint64_t count = 0;
            bool end = false;
            while (!trace_reader_next(reader, &record, &end) && !end)
                count++;
            assert_true(end);
            assert_true(count >= done);
            trace_reader_close(reader);
        } else {
            assert_int_equal(done, 0);
        }
        trace_memory_fini(&memory);
        arena_fini(&arena);
        if (!err)
            break;
    }
}

static void test_failing_sink(void **state)
{
    (void)state;
    check_failing(TRACE_SYNC_NONE, false);
    check_failing(TRACE_SYNC_CHUNK, true);
    check_failing(TRACE_SYNC_EVENT, false);
}

/* ---- console [4.1] ---- */

static void test_console(void **state)
{
    (void)state;
    struct world world;
    struct trace *trace;
    struct trace_reader *reader;
    struct trace_record record;
    static const uint8_t text[600] = {0};
    bool end;
    world_init(&world, TRACE_GUEST_PVM);
    assert_int_equal(trace_record_create(&world.arena, world.writer, true, &trace),
                     ERR_ok);
    static const char line[] = "ab\ncd";
    for (size_t i = 0; i < sizeof line - 1; i++) {
        trace->clock.icount = i + 1;
        assert_int_equal(trace_console(trace, 33, bytes_of(line + i, 1)), ERR_ok);
    }
    trace->clock.icount = 10;
    assert_int_equal(trace_console(trace, 34, bytes_of("x", 1)), ERR_ok);
    struct trace_chaos chaos = {0};
    trace->clock.icount = 11;
    assert_int_equal(trace_chaos(trace, &chaos), ERR_ok);
    assert_int_equal(trace_console(trace, 33, bytes_of(text, sizeof text)), ERR_ok);
    trace_close(trace);
    assert_int_equal(trace_writer_finish(world.writer, NULL), ERR_ok);
    static const struct {
        uint64_t icount, dev;
        size_t size;
    } want[] = {{3, 33, 3},    {5, 33, 2},    {10, 34, 1}, {11, 0, 0},
                {11, 33, 256}, {11, 33, 256}, {11, 33, 88}};
    struct bytes bytes = buf_bytes(&world.memory.file);
    struct trace_source source = trace_bytes_source(&bytes);
    assert_int_equal(trace_reader_open(&world.arena, &source, NULL, NULL, &reader),
                     ERR_ok);
    assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
    for (size_t i = 0; i < countof(want); i++) {
        struct trace_console_out out;
        assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
        assert_false(end);
        assert_int_equal(record.clock.icount, want[i].icount);
        if (i == 3) {
            assert_int_equal(record.kind->id, TRACE_ID_chaos);
            continue;
        }
        assert_int_equal(trace_decode_console_out(reader, &record, &world.arena, &out),
                         ERR_ok);
        assert_int_equal(out.dev, want[i].dev);
        assert_int_equal(out.data.size, want[i].size);
    }
    assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
    assert_true(end);
    trace_reader_close(reader);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_by_size),
        cmocka_unit_test(test_cut_by_icount),
        cmocka_unit_test(test_cut_behind_blob),
        cmocka_unit_test(test_cut_exactly_behind_blob),
        cmocka_unit_test(test_blob_once),
        cmocka_unit_test(test_clock_must_not_fall),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_failing_sink),
        cmocka_unit_test(test_console),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
