/* SPDX-License-Identifier: MIT
 *
 * Checkpoints in the container: between chunks of events while recording, in a copy
 * afterwards; finding and loading them; files that lie about them.
 */
#include "tests/test.h"
#include "trace/checkpoint.h"
#include "trace/internal.h"

#include <string.h>

enum { EVENT_COUNT = 3000, STEP = 20000, EVERY = 250, PAGE_COUNT = 8 };

/* ---- a guest that is nothing but its memory ---- */

struct world {
    struct arena arena;
    struct trace_memory memory;
    struct hash256 identity;
    uint64_t checkpoint_count;
};

/* Page `page` as of checkpoint `number`: page 0 never changes, page k each k-th time.
 */
static uint8_t content(uint64_t number, uint32_t page)
{
    return (uint8_t)(page ? 16 * page + number / page % 16 : 1);
}

/* Every fourth is full. */
static void checkpoint_payload(uint64_t number, const struct trace_clock *clock,
                               struct buf *payload, uint32_t *ret_record_count)
{
    uint8_t bytes[TRACE_PAGE_SIZE];
    struct buf machine;
    const struct trace_pc_machine m = {.state = bytes_of("state", 5),
                                       .hash_at = number};
    buf_init(&machine, 4096);
    trace_pc_machine_put(&machine, &m);
    const struct trace_checkpoint head = {
        .clock = *clock, .full = number % 4 == 0, .machine = buf_bytes(&machine)};
    trace_checkpoint_put(payload, &head);
    *ret_record_count = 1;
    for (uint32_t page = 0; page < PAGE_COUNT; page++) {
        if (!head.full && content(number, page) == content(number - 1, page))
            continue;
        memset(bytes, content(number, page), sizeof bytes);
        trace_checkpoint_put_pages(payload, page, bytes_of(bytes, sizeof bytes));
        ++*ret_record_count;
    }
    buf_fini(&machine);
}

/* The clock of a checkpoint lies behind that of the event. */
static struct trace_clock clock_of(uint64_t seq)
{
    return (struct trace_clock){.icount = seq * STEP + 1};
}

static void put_checkpoint(struct world *world, struct trace_writer *writer,
                           struct trace_copier *copier, uint64_t seq)
{
    const struct trace_clock clock = clock_of(seq);
    struct buf payload;
    uint32_t record_count;
    buf_init(&payload, 1 << 20);
    checkpoint_payload(world->checkpoint_count++, &clock, &payload, &record_count);
    const struct trace_base_part part = {buf_bytes(&payload), record_count};
    if (writer)
        trace_writer_checkpoint(writer, &clock, &part, 1);
    else
        assert_int_equal(trace_copier_put(copier, seq, &clock, &part, 1), ERR_ok);
    buf_fini(&payload);
}

static void record(struct world *world, bool checkpoints)
{
    struct trace_writer *writer;
    const struct trace_writer_options options = {.guest = TRACE_GUEST_PVM,
                                                 .zstd_level = 1};
    memset(world, 0, sizeof *world);
    arena_init(&world->arena, 64 << 20);
    trace_memory_init(&world->memory, 64 << 20);
    struct trace_sink sink = trace_memory_sink(&world->memory);
    assert_int_equal(trace_writer_create(&world->arena, &sink, &options, &writer),
                     ERR_ok);
    for (uint64_t seq = 0; seq < EVENT_COUNT; seq++) {
        struct trace_clock clock = {.icount = seq * STEP};
        struct trace_session_begin begin = {.spec = TRACE_SPEC};
        struct trace_console_out event = {.dev = seq, .data = bytes_of("event", 5)};
        if (seq)
            trace_put_console_out(writer, &clock, &event);
        else
            trace_put_session_begin(writer, &clock, &begin);
        if (checkpoints && seq % EVERY == EVERY - 1)
            put_checkpoint(world, writer, NULL, seq + 1);
    }
    assert_int_equal(trace_writer_finish(writer, &world->identity), ERR_ok);
}

static void world_fini(struct world *world)
{
    trace_memory_fini(&world->memory);
    arena_fini(&world->arena);
}

static void check_whole(struct world *world)
{
    struct bytes file = buf_bytes(&world->memory.file);
    struct trace_source source = trace_bytes_source(&file);
    struct trace_summary summary;
    assert_int_equal(trace_verify(&world->arena, &source, NULL, NULL, NULL, &summary),
                     ERR_ok);
    assert_int_equal(summary.defect_count, 0);
    assert_int_equal(summary.event_count, EVENT_COUNT);
    assert_int_equal(summary.chunk_kind_count[TRACE_CHUNK_CHECKPOINT],
                     world->checkpoint_count);
    assert_memory_equal(&summary.identity, &world->identity, sizeof world->identity);
}

/* ---- loading ---- */

struct loaded {
    uint8_t page[PAGE_COUNT];
};

static enum err take_pages(void *self, uint64_t first_page, struct bytes bytes)
{
    struct loaded *loaded = self;
    for (size_t i = 0; i < bytes.size / TRACE_PAGE_SIZE; i++) {
        assert_true(first_page + i < PAGE_COUNT);
        loaded->page[first_page + i] = bytes.data[i * TRACE_PAGE_SIZE];
    }
    return ERR_ok;
}

static void check_loading(struct world *world)
{
    struct bytes file = buf_bytes(&world->memory.file);
    struct trace_source source = trace_bytes_source(&file);
    struct trace_checkpoint_list list;
    assert_int_equal(trace_checkpoint_list(&world->arena, &source, &list), ERR_ok);
    assert_int_equal(list.count, world->checkpoint_count);
    for (size_t i = 0; i < list.count; i++) {
        struct loaded loaded = {{0}};
        struct trace_checkpoint checkpoint;
        struct trace_pc_machine machine;
        uint64_t seq = (i + 1) * EVERY;
        assert_int_equal(trace_checkpoint_load(&world->arena, &source, &list, i,
                                               &checkpoint, take_pages, &loaded),
                         ERR_ok);
        for (uint32_t page = 0; page < PAGE_COUNT; page++)
            assert_int_equal(loaded.page[page], content(i, page));
        assert_int_equal(checkpoint.seq, seq);
        assert_int_equal(checkpoint.clock.icount, clock_of(seq).icount);
        assert_int_equal(checkpoint.clock.gas, clock_of(seq).gas);
        assert_int_equal(trace_pc_machine_get(checkpoint.machine, &machine), ERR_ok);
        assert_int_equal(machine.hash_at, i);
        assert_memory_equal(machine.state.data, "state", 5);
        assert_int_equal(trace_checkpoint_find(&list, clock_of(seq).icount), i);
        assert_int_equal(trace_checkpoint_find(&list, clock_of(seq).icount - 1),
                         i ? i - 1 : SIZE_MAX);
    }
    assert_int_equal(trace_checkpoint_find(&list, UINT64_MAX), list.count - 1);
}

/* ---- tests ---- */

static void test_while_recording(void **state)
{
    (void)state;
    struct world with, without;
    record(&with, true);
    record(&without, false);
    assert_int_equal(with.checkpoint_count, EVENT_COUNT / EVERY);
    assert_memory_equal(&with.identity, &without.identity, sizeof with.identity);
    check_whole(&with);
    check_loading(&with);
    world_fini(&with);
    world_fini(&without);
}

/* A copy with other checkpoints; a copy of that without any is the first file again. */
static void test_copies(void **state)
{
    (void)state;
    struct world first, second;
    record(&first, true);
    check_whole(&first);
    for (unsigned round = 0; round < 2; round++) {
        struct bytes file = buf_bytes(&first.memory.file);
        struct trace_source source = trace_bytes_source(&file);
        struct trace_copier *copier;
        memset(&second, 0, sizeof second);
        arena_init(&second.arena, 64 << 20);
        trace_memory_init(&second.memory, 64 << 20);
        struct trace_sink sink = trace_memory_sink(&second.memory);
        assert_int_equal(trace_copier_open(&second.arena, &source, &sink, &copier),
                         ERR_ok);
        for (uint64_t seq = EVERY; !round && seq <= EVENT_COUNT; seq += EVERY)
            put_checkpoint(&second, NULL, copier, seq);
        assert_int_equal(trace_copier_finish(copier), ERR_ok);
        trace_copier_close(copier);
        second.identity = first.identity;
        check_whole(&second);
        if (!round)
            check_loading(&second);
        world_fini(&first);
        first = second;
    }
    record(&second, false);
    assert_int_equal(first.memory.file.size, second.memory.file.size);
    assert_memory_equal(first.memory.file.data, second.memory.file.data,
                        second.memory.file.size);
    world_fini(&first);
    world_fini(&second);
}

static enum err ignore_pages(void *self, uint64_t first_page, struct bytes bytes)
{
    (void)self, (void)first_page, (void)bytes;
    return ERR_ok;
}

/* Any byte changed: nothing is read beyond the file, and nothing wrong accepted. */
static void test_damage(void **state)
{
    (void)state;
    struct world world;
    record(&world, true);
    struct bytes file = buf_bytes(&world.memory.file);
    for (size_t at = 0; at < file.size; at += 13) {
        struct arena arena;
        struct trace_source source = trace_bytes_source(&file);
        struct trace_checkpoint_list list = {0};
        arena_init(&arena, 8 << 20);
        world.memory.file.data[at] ^= 0x20;
        if (!trace_checkpoint_list(&arena, &source, &list)) {
            for (size_t i = 0; i < list.count; i++) {
                struct trace_checkpoint checkpoint;
                struct trace_pc_machine machine;
                if (trace_checkpoint_load(&arena, &source, &list, i, &checkpoint,
                                          ignore_pages, NULL))
                    continue;
                assert_int_equal(trace_pc_machine_get(checkpoint.machine, &machine),
                                 ERR_ok);
                assert_int_equal(machine.hash_at, i);
            }
        }
        world.memory.file.data[at] ^= 0x20;
        arena_fini(&arena);
    }
    world_fini(&world);
}

/* Every start of the file: events before the end are all there, and the list is empty.
 */
static void test_truncation(void **state)
{
    (void)state;
    struct world world;
    record(&world, true);
    for (size_t size = 0; size < world.memory.file.size; size += 101) {
        struct arena arena;
        struct bytes file = bytes_of(world.memory.file.data, size);
        struct trace_source source = trace_bytes_source(&file);
        struct trace_checkpoint_list list = {0};
        arena_init(&arena, 8 << 20);
        enum err err = trace_checkpoint_list(&arena, &source, &list);
        assert_true(err || !list.count);
        arena_fini(&arena);
    }
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_while_recording),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_truncation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
