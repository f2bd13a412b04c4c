/* SPDX-License-Identifier: MIT
 *
 * Sessions of the pc guest with a small real-mode program (pc_world.h).
 */
#include "tests/unit/replay/pc_world.h"

#include <string.h>

enum { STEPS_MAX = 100000, COPIED = 2000 };

static uint64_t seed;
static struct pc_world world;
static struct replay_pc_report report;
static struct buf replayed;

static void output(void *self, uint64_t dev, struct bytes data)
{
    (void)self, (void)dev;
    buf_put(&replayed, data.data, data.size);
}

static struct trace_writer *copy_writer;

static void replay(void)
{
    struct bytes file = buf_bytes(&world.memory.file);
    struct trace_source source = trace_bytes_source(&file);
    const struct replay_pc_follow_options how = {.output = output, .copy = copy_writer};
    buf_clear(&replayed);
    replay_pc_trace(&source, &how, &report);
}

static int setup_world(void **state)
{
    (void)state;
    pc_world_init(&world);
    buf_init(&replayed, 1 << 20);
    world.place[0].icount = 5000;
    world.place[1].icount = 7000;
    world.place[2].icount = 9000;
    return 0;
}

static int teardown_world(void **state)
{
    (void)state;
    pc_world_fini(&world);
    buf_fini(&replayed);
    return 0;
}

static void a_run_comes_back(void **state)
{
    (void)state;
    struct replay_pc_setup setup;
    pc_world_setup(COPIED, &setup);
    assert_int_equal(pc_world_record(&world, &setup, STEPS_MAX, true), EMU_PC_ENDED);
    assert_true(world.out.size > 100);
    assert_int_equal(world.out.data[world.out.size - 1], 'q');
    struct bytes file = buf_bytes(&world.memory.file);
    struct trace_source source = trace_bytes_source(&file);
    assert_true(replay_pc_is_session(&source));
    replay();
    assert_string_equal(report.detail, "");
    assert_int_equal(report.class, REPLAY_SAME);
    assert_int_equal(report.code, 5);
    assert_true(report.finished);
    assert_true(hash256_equal(&report.identity, &world.identity));
    assert_int_equal(replayed.size, world.out.size);
    assert_memory_equal(replayed.data, world.out.data, replayed.size);
}

/* Keys at random places, also inside `rep` and while the guest sleeps. */
static void input_anywhere(void **state)
{
    struct replay_pc_setup setup;
    for (unsigned round = 0; round < 100; round++) {
        teardown_world(state), setup_world(state);
        uint64_t icount = 40, start = seed;
        for (unsigned i = 0; i < PC_WORLD_INPUTS; i++) {
            icount += test_random(&seed) % 60;
            world.place[i].icount = icount;
            uint64_t kind = test_random(&seed) % 3;
            world.place[i].sub = kind == 0   ? 0
                                 : kind == 1 ? test_random(&seed) % 2000
                                             : test_random(&seed) % 900000;
        }
        pc_world_setup(COPIED, &setup);
        assert_int_equal(pc_world_record(&world, &setup, STEPS_MAX, true),
                         EMU_PC_ENDED);
        replay();
        if (report.class != REPLAY_SAME)
            test_reproduce("replay_pc", start);
        assert_int_equal(report.class, REPLAY_SAME);
        assert_true(hash256_equal(&report.identity, &world.identity));
        assert_int_equal(replayed.size, world.out.size);
    }
}

/* Recording the replay gives the trace again. */
static void a_replay_is_recorded(void **state)
{
    (void)state;
    static struct trace_memory copy;
    const struct trace_writer_options how = {.guest = TRACE_GUEST_PC, .zstd_level = 1};
    for (unsigned i = 0; i < 2; i++) {
        struct replay_pc_setup setup;
        struct hash256 again;
        teardown_world(state), setup_world(state);
        pc_world_setup(COPIED, &setup);
        pc_world_record(&world, &setup, i ? 8000 : STEPS_MAX, true);
        trace_memory_init(&copy, 64 << 20);
        struct trace_sink sink = trace_memory_sink(&copy);
        assert_int_equal(trace_writer_create(&world.arena, &sink, &how, &copy_writer),
                         ERR_ok);
        replay();
        assert_int_equal(report.class, REPLAY_SAME);
        assert_int_equal(trace_writer_finish(copy_writer, &again), ERR_ok);
        copy_writer = NULL;
        trace_memory_flush(&copy);
        assert_true(hash256_equal(&again, &world.identity));
        assert_int_equal(copy.file.size, world.memory.file.size);
        assert_memory_equal(copy.file.data, world.memory.file.data, copy.file.size);
        trace_memory_fini(&copy);
    }
}

static void limits_and_port_logs(void **state)
{
    (void)state;
    struct replay_pc_setup setup;
    pc_world_setup(COPIED, &setup);
    setup.log_ports = true;
    assert_int_equal(pc_world_record(&world, &setup, 8000, true), EMU_PC_LIMIT);
    replay();
    assert_int_equal(report.class, REPLAY_SAME);
    assert_int_equal(report.place.icount, 8000);
    assert_true(report.event_count > 1000);
}

static void a_killed_recorder(void **state)
{
    (void)state;
    struct replay_pc_setup setup;
    pc_world_setup(COPIED, &setup);
    assert_int_equal(pc_world_record(&world, &setup, 8000, false), EMU_PC_LIMIT);
    replay();
    assert_int_equal(report.class, REPLAY_OPEN);
    assert_false(report.finished);
    assert_true(report.event_count > 100);
}

static void images_are_checked(void **state)
{
    (void)state;
    struct replay_pc_setup setup;
    pc_world_setup(COPIED, &setup);
    setup.embed = false;
    assert_int_equal(pc_world_record(&world, &setup, 1000, true), EMU_PC_LIMIT);
    replay();
    assert_int_equal(report.class, REPLAY_OTHER_PROGRAM);
    assert_non_null(strstr(report.detail, "no/such/file"));
    teardown_world(state), setup_world(state);
    setup.kernel_name = "LICENSE"; /* there, and another file */
    assert_int_equal(pc_world_record(&world, &setup, 1000, true), EMU_PC_LIMIT);
    replay();
    assert_int_equal(report.class, REPLAY_OTHER_PROGRAM);
    assert_non_null(strstr(report.detail, "LICENSE"));
}

/* ---- divergence ---- */

union any {
    struct trace_pc_irq irq;
    struct trace_pc_input input;
    uint8_t room[1024];
};

/* Copy the trace with the `index`th event of a kind changed. */
static void forge(enum trace_id id, unsigned index, void (*change)(union any *event))
{
    static struct trace_memory copy;
    struct bytes file = buf_bytes(&world.memory.file);
    struct trace_source source = trace_bytes_source(&file);
    const struct trace_writer_options how = {.guest = TRACE_GUEST_PC, .zstd_level = 1};
    trace_memory_init(&copy, 64 << 20);
    struct trace_sink sink = trace_memory_sink(&copy);
    struct trace_reader *reader;
    struct trace_writer *writer;
    struct trace *trace;
    const struct trace_record *next;
    assert_int_equal(trace_reader_open(&world.arena, &source, NULL, NULL, &reader),
                     ERR_ok);
    assert_int_equal(trace_replay_create(&world.arena, reader, NULL, &trace), ERR_ok);
    assert_int_equal(trace_writer_create(&world.arena, &sink, &how, &writer), ERR_ok);
    while ((next = trace_peek(trace))) {
        union any event, same;
        enum trace_id kind = (enum trace_id)next->kind->id;
        struct trace_clock clock = next->clock;
        assert_int_equal(trace_peek_decode(trace, kind, &event), ERR_ok);
        same = event;
        if (kind == id && !index--)
            change(&event);
        trace_writer_put(writer, kind, &clock, &event);
        trace->clock = clock;
        enum err err = trace_event(trace, kind, &same);
        assert_true(err == ERR_ok || err == ERR_trace_end);
    }
    trace_close(trace);
    trace_reader_close(reader);
    assert_int_equal(trace_writer_finish(writer, NULL), ERR_ok);
    trace_memory_flush(&copy);
    trace_memory_fini(&world.memory);
    world.memory = copy;
}

static void another_vector(union any *event)
{
    event->irq.vector ^= 1;
}

static void another_key(union any *event)
{
    event->input.data = bytes_of("z", 1);
}

static void differences_are_found(void **state)
{
    struct replay_pc_setup setup;
    pc_world_setup(COPIED, &setup);
    assert_int_equal(pc_world_record(&world, &setup, STEPS_MAX, true), EMU_PC_ENDED);
    forge(TRACE_ID_pc_irq, 7, another_vector);
    replay();
    assert_int_equal(report.class, REPLAY_DIVERGED);
    assert_string_equal(report.divergence.recorded_name, "pc.irq");
    assert_string_equal(report.divergence.field, "vector");
    assert_int_equal(report.place.icount, report.divergence.recorded_clock.icount + 1);

    teardown_world(state), setup_world(state);
    assert_int_equal(pc_world_record(&world, &setup, STEPS_MAX, true), EMU_PC_ENDED);
    forge(TRACE_ID_pc_input, 0, another_key);
    replay();
    assert_int_equal(report.class, REPLAY_DIVERGED);
    assert_string_equal(report.divergence.recorded_name, "console.out");
}

int main(void)
{
    seed = test_seed(7);
#define T(test) cmocka_unit_test_setup_teardown(test, setup_world, teardown_world)
    const struct CMUnitTest tests[] = {
        T(a_run_comes_back),      T(a_replay_is_recorded), T(input_anywhere),
        T(limits_and_port_logs),  T(a_killed_recorder),    T(images_are_checked),
        T(differences_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
