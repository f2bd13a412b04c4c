/* SPDX-License-Identifier: MIT
 *
 * Sessions of the pc guest with a small real-mode program: a timer interrupt prints
 * dots, a serial interrupt echoes, in between it copies memory and sleeps.
 */
#include "tests/test.h"

#include "replay/pc.h"

#include <string.h>

static const uint8_t program[] = {
    0xb0, 0x11, 0xe6, 0x20, 0xb0, 0x20, 0xe6, 0x21, /* PIC: vectors 20 .. */
    0xb0, 0x04, 0xe6, 0x21, 0xb0, 0x01, 0xe6, 0x21, /* */
    0xb0, 0xee, 0xe6, 0x21,                         /* IRQ 0 and 4 are open */
    0xc7, 0x06, 0x80, 0x00, 0x53, 0x7c,             /* vector 20: 7c53 */
    0xc7, 0x06, 0x82, 0x00, 0x00, 0x00,             /* */
    0xc7, 0x06, 0x90, 0x00, 0x62, 0x7c,             /* vector 24: 7c62 */
    0xc7, 0x06, 0x92, 0x00, 0x00, 0x00,             /* */
    0xba, 0xf9, 0x03, 0xb0, 0x01, 0xee,             /* UART: IER 1 */
    0xba, 0xfc, 0x03, 0xb0, 0x08, 0xee,             /* MCR 8 */
    0xb0, 0x34, 0xe6, 0x43, 0xb0, 0xa9, 0xe6, 0x40, /* PIT: 1193 ticks */
    0xb0, 0x04, 0xe6, 0x40, 0xfb,                   /* sti */
    0xb9, 0xd0, 0x07, 0xbe, 0x00, 0x00,             /* 7c45: 2000 bytes from 0 */
    0xbf, 0x00, 0x80, 0xf3, 0xa4, 0xf4,             /* to 8000: rep movsb; hlt */
    0xeb, 0xf2,                                     /* jmp 7c45 */
    0x50, 0xb0, 0x2e, 0x52, 0xba, 0xf8, 0x03,       /* 7c53: print a dot */
    0xee, 0x5a, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf, /* EOI; iret */
    0x50, 0x52, 0xba, 0xf8, 0x03, 0xec, 0xee,       /* 7c62: echo */
    0x3c, 0x71, 0x74, 0x07,                         /* 'q' ends: 7c74 */
    0xb0, 0x20, 0xe6, 0x20, 0x5a, 0x58, 0xcf,       /* EOI; iret */
    0xb0, 0x05, 0xe6, 0xf4};                        /* 7c74: exit 5 */

enum { INPUTS = 3, STEPS_MAX = 100000 };

static uint64_t seed;
static struct {
    struct emu_place place[INPUTS];
    const char *text[INPUTS];
    unsigned next;
    struct buf out;
} world;
static struct arena arena;
static struct trace_memory memory;
static struct trace_writer *writer;
static struct hash256 identity;
static struct replay_pc_report report;
static struct buf replayed;

/* ---- the world ---- */

static void console_out(void *self, uint32_t dev, uint8_t byte)
{
    (void)self, (void)dev;
    buf_byte(&world.out, byte);
}

static bool input_at(void *self, struct emu_place here, struct emu_place *ret_next,
                     struct emu_input *ret_input)
{
    (void)self;
    if (world.next == INPUTS)
        return false;
    if (emu_place_before(here, world.place[world.next])) {
        *ret_next = world.place[world.next];
        return false;
    }
    const char *text = world.text[world.next++];
    *ret_input = (struct emu_input){.kind = EMU_INPUT_CONSOLE,
                                    .data = bytes_of(text, strlen(text))};
    return true;
}

static bool idle(void *self, uint64_t now, uint64_t deadline, uint64_t *ret_vns)
{
    (void)self, (void)now;
    *ret_vns = deadline;
    return deadline != EMU_NEVER;
}

static void output(void *self, uint64_t dev, struct bytes data)
{
    (void)self, (void)dev;
    buf_put(&replayed, data.data, data.size);
}

/* ---- record and replay ---- */

static void setup_init(struct replay_pc_setup *setup)
{
    *setup = (struct replay_pc_setup){.kernel_name = "no/such/file", .embed = true};
    emu_pc_config_init(&setup->config);
    setup->config.ram_size = 2u << 20;
    setup->config.cache_size = 1u << 20;
    setup->boot.kind = EMU_BOOT_BOOT16;
    setup->boot.kernel = bytes_of(program, sizeof program);
}

/* Record until `limit` steps.  Without `finish` the recorder is killed. */
static enum emu_pc_status record(const struct replay_pc_setup *setup, uint64_t limit,
                                 bool finish)
{
    const struct trace_writer_options how = {.guest = TRACE_GUEST_PC, .zstd_level = 1};
    const struct emu_host host = {NULL, console_out, input_at, idle, NULL};
    struct trace_sink sink = trace_memory_sink(&memory);
    struct replay_pc_options options = {.host = &host, .hashes = true};
    struct emu_boot_problem problem;
    struct replay_pc *session;
    assert_int_equal(trace_writer_create(&arena, &sink, &how, &writer), ERR_ok);
    assert_int_equal(trace_record_create(&arena, writer, true, &options.trace), ERR_ok);
    assert_int_equal(replay_pc_create(&arena, setup, &options, &session, &problem),
                     ERR_ok);
    enum emu_pc_status status = replay_pc_run(session, limit);
    assert_int_equal(replay_pc_error(session), ERR_ok);
    if (finish)
        assert_int_equal(replay_pc_end(session, status), ERR_ok);
    replay_pc_close(session);
    trace_close(options.trace);
    if (finish)
        assert_int_equal(trace_writer_finish(writer, &identity), ERR_ok);
    else
        trace_writer_abandon(writer);
    trace_memory_flush(&memory);
    return status;
}

static struct trace_writer *copy_writer;

static void replay(void)
{
    struct bytes file = buf_bytes(&memory.file);
    struct trace_source source = trace_bytes_source(&file);
    const struct replay_pc_follow_options how = {.output = output, .copy = copy_writer};
    buf_clear(&replayed);
    replay_pc_trace(&source, &how, &report);
}

static int setup_world(void **state)
{
    (void)state;
    arena_init(&arena, (size_t)1 << 30);
    trace_memory_init(&memory, 64 << 20);
    memset(&world, 0, sizeof world);
    buf_init(&world.out, 1 << 20);
    buf_init(&replayed, 1 << 20);
    world.place[0].icount = 5000;
    world.place[1].icount = 7000;
    world.place[2].icount = 9000;
    world.text[0] = "a";
    world.text[1] = "bcd";
    world.text[2] = "q";
    return 0;
}

static int teardown_world(void **state)
{
    (void)state;
    trace_memory_fini(&memory);
    buf_fini(&world.out);
    buf_fini(&replayed);
    arena_fini(&arena);
    return 0;
}

static void a_run_comes_back(void **state)
{
    (void)state;
    struct replay_pc_setup setup;
    setup_init(&setup);
    assert_int_equal(record(&setup, STEPS_MAX, true), EMU_PC_ENDED);
    assert_true(world.out.size > 100);
    assert_int_equal(world.out.data[world.out.size - 1], 'q');
    struct bytes file = buf_bytes(&memory.file);
    struct trace_source source = trace_bytes_source(&file);
    assert_true(replay_pc_is_session(&source));
    replay();
    assert_string_equal(report.detail, "");
    assert_int_equal(report.class, REPLAY_SAME);
    assert_int_equal(report.code, 5);
    assert_true(report.finished);
    assert_true(hash256_equal(&report.identity, &identity));
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
        for (unsigned i = 0; i < INPUTS; i++) {
            icount += test_random(&seed) % 60;
            world.place[i].icount = icount;
            uint64_t kind = test_random(&seed) % 3;
            world.place[i].sub = kind == 0   ? 0
                                 : kind == 1 ? test_random(&seed) % 2000
                                             : test_random(&seed) % 900000;
        }
        setup_init(&setup);
        assert_int_equal(record(&setup, STEPS_MAX, true), EMU_PC_ENDED);
        replay();
        if (report.class != REPLAY_SAME)
            test_reproduce("replay_pc", start);
        assert_int_equal(report.class, REPLAY_SAME);
        assert_true(hash256_equal(&report.identity, &identity));
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
        setup_init(&setup);
        record(&setup, i ? 8000 : STEPS_MAX, true);
        trace_memory_init(&copy, 64 << 20);
        struct trace_sink sink = trace_memory_sink(&copy);
        assert_int_equal(trace_writer_create(&arena, &sink, &how, &copy_writer),
                         ERR_ok);
        replay();
        assert_int_equal(report.class, REPLAY_SAME);
        assert_int_equal(trace_writer_finish(copy_writer, &again), ERR_ok);
        copy_writer = NULL;
        trace_memory_flush(&copy);
        assert_true(hash256_equal(&again, &identity));
        assert_int_equal(copy.file.size, memory.file.size);
        assert_memory_equal(copy.file.data, memory.file.data, copy.file.size);
        trace_memory_fini(&copy);
    }
}

static void limits_and_port_logs(void **state)
{
    (void)state;
    struct replay_pc_setup setup;
    setup_init(&setup);
    setup.log_ports = true;
    assert_int_equal(record(&setup, 8000, true), EMU_PC_LIMIT);
    replay();
    assert_int_equal(report.class, REPLAY_SAME);
    assert_int_equal(report.place.icount, 8000);
    assert_true(report.event_count > 1000);
}

static void a_killed_recorder(void **state)
{
    (void)state;
    struct replay_pc_setup setup;
    setup_init(&setup);
    assert_int_equal(record(&setup, 8000, false), EMU_PC_LIMIT);
    replay();
    assert_int_equal(report.class, REPLAY_OPEN);
    assert_false(report.finished);
    assert_true(report.event_count > 100);
}

static void images_are_checked(void **state)
{
    (void)state;
    struct replay_pc_setup setup;
    setup_init(&setup);
    setup.embed = false;
    assert_int_equal(record(&setup, 1000, true), EMU_PC_LIMIT);
    replay();
    assert_int_equal(report.class, REPLAY_OTHER_PROGRAM);
    assert_non_null(strstr(report.detail, "no/such/file"));
    teardown_world(state), setup_world(state);
    setup.kernel_name = "LICENSE"; /* there, and another file */
    assert_int_equal(record(&setup, 1000, true), EMU_PC_LIMIT);
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
    struct bytes file = buf_bytes(&memory.file);
    struct trace_source source = trace_bytes_source(&file);
    const struct trace_writer_options how = {.guest = TRACE_GUEST_PC, .zstd_level = 1};
    trace_memory_init(&copy, 64 << 20);
    struct trace_sink sink = trace_memory_sink(&copy);
    struct trace_reader *reader;
    struct trace *trace;
    const struct trace_record *next;
    assert_int_equal(trace_reader_open(&arena, &source, NULL, NULL, &reader), ERR_ok);
    assert_int_equal(trace_replay_create(&arena, reader, NULL, &trace), ERR_ok);
    assert_int_equal(trace_writer_create(&arena, &sink, &how, &writer), ERR_ok);
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
    trace_memory_fini(&memory);
    memory = copy;
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
    setup_init(&setup);
    assert_int_equal(record(&setup, STEPS_MAX, true), EMU_PC_ENDED);
    forge(TRACE_ID_pc_irq, 7, another_vector);
    replay();
    assert_int_equal(report.class, REPLAY_DIVERGED);
    assert_string_equal(report.divergence.recorded_name, "pc.irq");
    assert_string_equal(report.divergence.field, "vector");
    assert_int_equal(report.place.icount, report.divergence.recorded_clock.icount + 1);

    teardown_world(state), setup_world(state);
    assert_int_equal(record(&setup, STEPS_MAX, true), EMU_PC_ENDED);
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
