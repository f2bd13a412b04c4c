/* SPDX-License-Identifier: MIT
 *
 * Random events of every kind: written, read, packed again, replayed.
 */
#include "tests/test.h"
#include "tests/unit/trace/generate.h"

#include <string.h>

enum { EVENT_COUNT = 3000, WIDE_MAX = 140000 };

struct world {
    struct arena arena;
    struct trace_memory memory;
    uint64_t seed;
    const struct trace_kind *kind[EVENT_COUNT];
    union generated *event[EVENT_COUNT];
    struct trace_clock clock[EVENT_COUNT];
    size_t count;
    struct hash256 identity;
};

static void make_events(struct world *world, enum trace_guest guest, uint64_t seed)
{
    struct trace_clock clock = {0};
    uint64_t random = seed;
    world->seed = seed;
    world->count = EVENT_COUNT;
    for (size_t i = 0; i < EVENT_COUNT; i++) {
        uint64_t bits = test_random(&random);
        clock.icount += bits % 7 ? bits >> 8 & 0xff : bits >> 8 & 0x3fffff;
        if (guest == TRACE_GUEST_PC)
            clock.sub = bits & 3 ? 0 : bits >> 40;
        else
            clock.gas += bits >> 32 & 0xffff;
        world->clock[i] = clock;
        world->kind[i] = generate_kind(&random, guest);
        world->event[i] = arena_new(&world->arena, union generated);
        assert_non_null(world->event[i]);
        generate_event(&world->arena, &random, world->kind[i], WIDE_MAX,
                       world->event[i]);
    }
}

static void write_events(struct world *world, enum trace_guest guest, unsigned level)
{
    struct trace_writer *writer;
    struct trace_writer_options options = {.guest = guest, .zstd_level = level};
    struct trace_sink sink = trace_memory_sink(&world->memory);
    assert_int_equal(trace_writer_create(&world->arena, &sink, &options, &writer),
                     ERR_ok);
    for (size_t i = 0; i < world->count; i++)
        trace_writer_put(writer, (enum trace_id)world->kind[i]->id, &world->clock[i],
                         world->event[i]);
    assert_int_equal(trace_writer_seq(writer), world->count);
    assert_int_equal(trace_writer_finish(writer, &world->identity), ERR_ok);
}

static void world_init(struct world *world, enum trace_guest guest, unsigned level,
                       uint64_t seed)
{
    memset(world, 0, sizeof *world);
    arena_init(&world->arena, (size_t)1 << 30);
    trace_memory_init(&world->memory, (size_t)1 << 30);
    make_events(world, guest, test_seed(seed));
    write_events(world, guest, level);
}

static void world_fini(struct world *world)
{
    trace_memory_fini(&world->memory);
    arena_fini(&world->arena);
}

static void fail_at(const struct world *world, size_t i)
{
    print_message("event %zu, %s\n", i, world->kind[i]->wire);
    test_reproduce("trace_roundtrip", world->seed);
    fail();
}

/* Every event comes back as it was, and packed again gives the same bytes. */
static void check_read(struct world *world, enum trace_guest guest, unsigned level)
{
    struct bytes bytes = buf_bytes(&world->memory.file);
    struct trace_source source = trace_bytes_source(&bytes);
    struct trace_reader *reader;
    struct trace_writer *writer;
    struct trace_record record;
    struct trace_memory again;
    struct arena arena;
    struct hash256 identity;
    bool end;
    struct trace_writer_options options = {.guest = guest, .zstd_level = level};
    trace_memory_init(&again, (size_t)1 << 30);
    arena_init(&arena, (size_t)1 << 30);
    struct trace_sink sink = trace_memory_sink(&again);
    assert_int_equal(trace_reader_open(&world->arena, &source, NULL, NULL, &reader),
                     ERR_ok);
    assert_int_equal(trace_writer_create(&world->arena, &sink, &options, &writer),
                     ERR_ok);
    for (size_t i = 0; i < world->count; i++) {
        union generated event;
        assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
        assert_false(end);
        arena_clear(&arena);
        if (record.seq != i || record.kind->id != world->kind[i]->id ||
            memcmp(&record.clock, &world->clock[i], sizeof record.clock) != 0 ||
            trace_decode(reader, &record, (enum trace_id)record.kind->id, &arena,
                         &event) ||
            !generated_equal(world->kind[i], &event, world->event[i]))
            fail_at(world, i);
        trace_writer_put(writer, (enum trace_id)record.kind->id, &record.clock, &event);
    }
    assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
    assert_true(end);
    assert_int_equal(trace_reader_state(reader), TRACE_READER_CLOSED);
    struct hash256 chain = trace_reader_chain(reader);
    assert_true(hash256_equal(&chain, &world->identity));
    assert_int_equal(trace_writer_finish(writer, &identity), ERR_ok);
    assert_true(hash256_equal(&identity, &world->identity));
    assert_int_equal(again.file.size, world->memory.file.size);
    assert_memory_equal(again.file.data, world->memory.file.data, again.file.size);
    trace_reader_close(reader);
    trace_memory_fini(&again);
    arena_fini(&arena);
}

static void on_defect(void *self, const struct trace_fault *fault, const char *text)
{
    (void)self;
    print_message("defect at %llu+%llu: %s\n", (unsigned long long)fault->chunk_offset,
                  (unsigned long long)fault->payload_offset, text);
}

/* Random events break rules between events (sorted lists, programs), but never those
 * of the container. */
static void check_container(struct world *world)
{
    struct bytes bytes = buf_bytes(&world->memory.file);
    struct trace_source source = trace_bytes_source(&bytes);
    struct trace_summary summary;
    (void)on_defect;
    assert_int_equal(trace_verify(&world->arena, &source, NULL, NULL, NULL, &summary),
                     ERR_ok);
    assert_int_equal(summary.event_count, world->count);
    assert_true(hash256_equal(&summary.identity, &world->identity));
}

static void test_pvm_raw(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, TRACE_GUEST_PVM, 0, 1);
    check_read(&world, TRACE_GUEST_PVM, 0);
    check_container(&world);
    world_fini(&world);
}

static void test_pvm_zstd(void **state)
{
    (void)state;
    struct world raw, packed;
    world_init(&raw, TRACE_GUEST_PVM, 0, 2);
    world_init(&packed, TRACE_GUEST_PVM, 1, 2);
    check_read(&packed, TRACE_GUEST_PVM, 1);
    check_container(&packed);
    assert_true(hash256_equal(&raw.identity, &packed.identity));
    assert_true(packed.memory.file.size < raw.memory.file.size);
    world_fini(&raw);
    world_fini(&packed);
}

static void test_pc(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, TRACE_GUEST_PC, 3, 3);
    check_read(&world, TRACE_GUEST_PC, 3);
    world_fini(&world);
}

/* ---- replay ---- */

static uint64_t origin_of(const struct trace_kind *kind, const union generated *event)
{
    return kind->id == TRACE_ID_pvm_ecall ? event->as_pvm_ecall.origin : 0;
}

/* Inputs forgotten, everything else produced again: equal, and filled in. */
static void test_replay(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, TRACE_GUEST_PVM, 1, 4);
    struct bytes bytes = buf_bytes(&world.memory.file);
    struct trace_source source = trace_bytes_source(&bytes);
    struct trace_reader *reader;
    struct trace *trace;
    assert_int_equal(trace_reader_open(&world.arena, &source, NULL, NULL, &reader),
                     ERR_ok);
    assert_int_equal(trace_replay_create(&world.arena, reader, NULL, &trace), ERR_ok);
    for (size_t i = 0; i < world.count; i++) {
        union generated event = *world.event[i];
        generate_forget_inputs(world.kind[i], &event);
        if (origin_of(world.kind[i], world.event[i])) { /* x-fields come back, too */
            event.as_pvm_ecall.outcome ^= 1;
            event.as_pvm_ecall.out.count = 0;
            event.as_pvm_ecall.wbytes = (struct bytes){0};
        }
        trace->clock = world.clock[i];
        const struct trace_record *next = trace_peek(trace);
        assert_non_null(next);
        assert_int_equal(next->seq, i);
        enum err err = trace_event(trace, (enum trace_id)world.kind[i]->id, &event);
        if (err || !generated_equal(world.kind[i], &event, world.event[i])) {
            const struct trace_divergence *d = trace_divergence(trace);
            if (d)
                print_message("%s: %s / %s\n", d->field, d->recorded, d->produced);
            fail_at(&world, i);
        }
    }
    assert_null(trace_peek(trace));
    assert_int_equal(trace_expect_end(trace), ERR_ok);
    trace_close(trace);
    trace_reader_close(reader);
    world_fini(&world);
}

/* ---- seeking ---- */

static void check_seek(struct world *world, struct trace_reader *reader, size_t i)
{
    struct trace_record record;
    bool end;
    assert_int_equal(trace_reader_seek_seq(reader, i), ERR_ok);
    assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
    assert_false(end);
    assert_int_equal(record.seq, i);
    assert_memory_equal(&record.clock, &world->clock[i], sizeof record.clock);
    union generated event;
    struct arena arena;
    arena_init(&arena, (size_t)1 << 30);
    assert_int_equal(
        trace_decode(reader, &record, (enum trace_id)record.kind->id, &arena, &event),
        ERR_ok);
    assert_true(generated_equal(world->kind[i], &event, world->event[i]));
    arena_fini(&arena);
}

static void test_seek(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, TRACE_GUEST_PVM, 1, 5);
    struct bytes bytes = buf_bytes(&world.memory.file);
    struct trace_source source = trace_bytes_source(&bytes);
    struct trace_reader *reader;
    struct trace_record record;
    bool end;
    uint64_t random = 5;
    assert_int_equal(trace_reader_open(&world.arena, &source, NULL, NULL, &reader),
                     ERR_ok);
    for (unsigned k = 0; k < 300; k++) {
        size_t i = test_random(&random) % world.count;
        check_seek(&world, reader, i);
        uint64_t icount = world.clock[i].icount - test_random(&random) % 2;
        assert_int_equal(trace_reader_seek_icount(reader, icount), ERR_ok);
        assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
        size_t want = 0;
        while (world.clock[want].icount < icount)
            want++;
        assert_int_equal(record.seq, want);
        assert_int_equal(trace_reader_seek_gas(reader, world.clock[i].gas), ERR_ok);
        assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
        for (want = 0; world.clock[want].gas < world.clock[i].gas;)
            want++;
        assert_int_equal(record.seq, want);
    }
    check_seek(&world, reader, 0);
    assert_int_equal(trace_reader_seek_seq(reader, world.count), ERR_ok);
    assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
    assert_true(end);
    trace_reader_close(reader);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pvm_raw), cmocka_unit_test(test_pvm_zstd),
        cmocka_unit_test(test_pc),      cmocka_unit_test(test_replay),
        cmocka_unit_test(test_seek),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
