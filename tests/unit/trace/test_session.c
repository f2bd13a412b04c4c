/* SPDX-License-Identifier: MIT
 *
 * Sessions: what replay fills in, what it compares, and what it says when that differs.
 */
#include "tests/test.h"
#include "tests/unit/trace/example.h"

#include <string.h>

struct world {
    struct arena arena;
    struct trace_memory memory;
    struct bytes bytes;
    struct trace_source source;
    struct trace_writer *writer;
    struct trace_reader *reader;
    struct trace *trace;
};

static void record_begin(struct world *world)
{
    struct trace_writer_options options = {.guest = TRACE_GUEST_PVM};
    memset(world, 0, sizeof *world);
    arena_init(&world->arena, 64 << 20);
    trace_memory_init(&world->memory, 64 << 20);
    struct trace_sink sink = trace_memory_sink(&world->memory);
    assert_int_equal(
        trace_writer_create(&world->arena, &sink, &options, &world->writer), ERR_ok);
    assert_int_equal(
        trace_record_create(&world->arena, world->writer, true, &world->trace), ERR_ok);
    assert_true(trace_live(world->trace));
    assert_null(trace_peek(world->trace));
}

static void replay_begin(struct world *world,
                         const struct trace_replay_options *options)
{
    trace_close(world->trace);
    if (world->reader)
        trace_reader_close(world->reader);
    else
        assert_int_equal(trace_writer_finish(world->writer, NULL), ERR_ok);
    world->bytes = buf_bytes(&world->memory.file);
    world->source = trace_bytes_source(&world->bytes);
    assert_int_equal(
        trace_reader_open(&world->arena, &world->source, NULL, NULL, &world->reader),
        ERR_ok);
    assert_int_equal(
        trace_replay_create(&world->arena, world->reader, options, &world->trace),
        ERR_ok);
    assert_false(trace_live(world->trace));
}

static void world_fini(struct world *world)
{
    trace_close(world->trace);
    trace_reader_close(world->reader);
    trace_memory_fini(&world->memory);
    arena_fini(&world->arena);
}

static void expect_divergence(struct world *world, enum err err, const char *field,
                              const char *recorded, const char *produced)
{
    assert_int_equal(err, ERR_trace_diverged);
    const struct trace_divergence *d = trace_divergence(world->trace);
    assert_non_null(d);
    assert_string_equal(d->field, field);
    assert_string_equal(d->recorded, recorded);
    assert_string_equal(d->produced, produced);
    /* It sticks. */
    struct trace_chaos chaos = {0};
    assert_int_equal(trace_chaos(world->trace, &chaos), ERR_trace_diverged);
    assert_int_equal(trace_error(world->trace), ERR_trace_diverged);
    assert_int_equal(trace_expect_end(world->trace), ERR_trace_diverged);
}

/* Off is a NULL session: everything succeeds, nothing happens. */
static void test_off(void **state)
{
    (void)state;
    struct trace_pvm_ecall ecall = {.op = 7};
    assert_true(trace_live(NULL));
    assert_int_equal(trace_pvm_ecall(NULL, &ecall), ERR_ok);
    assert_int_equal(trace_console(NULL, 33, bytes_of("x", 1)), ERR_ok);
    assert_int_equal(trace_expect_end(NULL), ERR_ok);
    assert_null(trace_peek(NULL));
    assert_null(trace_divergence(NULL));
    assert_int_equal(trace_error(NULL), ERR_ok);
    assert_int_equal(ecall.op, 7);
    trace_close(NULL);
}

/* ---- fields of a pvm.ecall, one by one ---- */

static const uint64_t in[] = {0xfefe0120, 5};
static const struct trace_uu out[] = {{7, 99}, {8, 1}};
static const struct trace_uu ranges[] = {{0x1000, 16}, {0x3000, 4}};
static const struct trace_uuu charges[] = {{4, 0, 10}, {6, 0, 20}};
static uint8_t long_bytes[5000];

static struct trace_pvm_ecall ecall_of(uint64_t origin)
{
    return (struct trace_pvm_ecall){
        .pc = 0x1a3c,
        .op = 2,
        .in = {in, 2},
        .origin = origin,
        .out = {out, 2},
        .reads = {ranges, 1},
        .rdig = 0x1234,
        .writes = {ranges, 2},
        .wdig = 0x5678,
        .wbytes = bytes_of(long_bytes, sizeof long_bytes),
        .charges = {charges, 2},
    };
}

static void record_ecall(struct world *world, uint64_t origin)
{
    struct trace_pvm_ecall ecall = ecall_of(origin);
    record_begin(world);
    world->trace->clock = (struct trace_clock){.icount = 100, .gas = 1000};
    assert_int_equal(trace_pvm_ecall(world->trace, &ecall), ERR_ok);
}

static enum err replay_ecall(struct world *world, struct trace_pvm_ecall *ecall)
{
    replay_begin(world, NULL);
    world->trace->clock = (struct trace_clock){.icount = 100, .gas = 1000};
    return trace_pvm_ecall(world->trace, ecall);
}

static void test_origin_outside(void **state)
{
    (void)state;
    struct world world;
    memset(long_bytes, 0x77, sizeof long_bytes);
    record_ecall(&world, 1);
    /* The host is not there: only what the guest did is known. */
    struct trace_pvm_ecall ecall = {
        .pc = 0x1a3c, .op = 2, .in = {in, 2}, .reads = {ranges, 1}, .rdig = 0x1234};
    assert_int_equal(replay_ecall(&world, &ecall), ERR_ok);
    assert_int_equal(ecall.origin, 1);
    assert_int_equal(ecall.out.count, 2);
    assert_int_equal(ecall.out.item[0].b, 99);
    assert_int_equal(ecall.writes.count, 2);
    assert_int_equal(ecall.wbytes.size, sizeof long_bytes);
    assert_memory_equal(ecall.wbytes.data, long_bytes, sizeof long_bytes);
    assert_int_equal(ecall.charges.item[1].c, 20);
    assert_int_equal(trace_expect_end(world.trace), ERR_ok);
    /* --mode=exec: the host answered again, everything is compared. */
    struct trace_replay_options exec = {.compare_all = true};
    replay_begin(&world, &exec);
    world.trace->clock = (struct trace_clock){.icount = 100, .gas = 1000};
    ecall = ecall_of(1);
    assert_int_equal(trace_pvm_ecall(world.trace, &ecall), ERR_ok);
    replay_begin(&world, &exec);
    world.trace->clock = (struct trace_clock){.icount = 100, .gas = 1000};
    ecall = ecall_of(1);
    ecall.outcome = 2;
    enum err err = trace_pvm_ecall(world.trace, &ecall);
    expect_divergence(&world, err, "outcome", "0", "2");
    world_fini(&world);
}

static void test_first_differing_field(void **state)
{
    (void)state;
    const uint64_t other_in[] = {0xfefe0120, 6};
    const struct trace_uu other_out[] = {{7, 99}, {9, 1}};
    struct trace_uuu other_charges[] = {{4, 0, 10}, {6, 0, 21}};
    static uint8_t other_bytes[5000];
    memset(other_bytes, 0x77, sizeof other_bytes);
    other_bytes[4999] = 0;
    struct {
        struct trace_pvm_ecall ecall;
        const char *field, *recorded, *produced;
    } row[] = {
        {ecall_of(0), "op", "2", "3"},
        {ecall_of(0), "in[1]", "0x5", "0x6"},
        {ecall_of(0), "in[1]", "0x5", "-"},
        {ecall_of(0), "out[1].a", "8", "9"},
        {ecall_of(0), "outcome", "0", "1"},
        {ecall_of(0), "charges[1].c", "20", "21"},
        {ecall_of(0), "rdig", "0x1234", "0x1235"},
        {ecall_of(0), "wbytes", "<5000 bytes: blob 0>", "<5000 bytes: other content>"},
        {ecall_of(0), "wbytes", "<5000 bytes: blob 0>", "-"},
        {ecall_of(0), "slots[0].a", "-", "0"},
    };
    const struct trace_uuh slot = {0};
    row[0].ecall.op = 3;
    row[1].ecall.in.item = other_in;
    row[2].ecall.in.count = 1;
    row[3].ecall.out.item = other_out;
    row[4].ecall.outcome = 1;
    row[5].ecall.charges.item = other_charges;
    row[6].ecall.rdig = 0x1235;
    row[7].ecall.wbytes = bytes_of(other_bytes, sizeof other_bytes);
    row[8].ecall.wbytes.size = 0;
    row[9].ecall.slots.item = &slot;
    row[9].ecall.slots.count = 1;
    for (size_t i = 0; i < countof(row); i++) {
        struct world world;
        record_ecall(&world, 0);
        enum err err = replay_ecall(&world, &row[i].ecall);
        expect_divergence(&world, err, row[i].field, row[i].recorded, row[i].produced);
        assert_int_equal(trace_divergence(world.trace)->seq, 0);
        world_fini(&world);
    }
}

static void test_bytes_are_not_dumped(void **state)
{
    (void)state;
    static uint8_t a[300], b[300];
    struct world world;
    b[200] = 0xff;
    struct trace_console_out event = {.dev = 1, .data = bytes_of(a, sizeof a)};
    record_begin(&world);
    assert_int_equal(trace_console_out(world.trace, &event), ERR_ok);
    replay_begin(&world, NULL);
    event.data = bytes_of(b, sizeof b);
    enum err err = trace_console_out(world.trace, &event);
    expect_divergence(&world, err, "data",
                      "300 bytes, at 200: 00000000000000000000000000000000",
                      "300 bytes, at 200: ff000000000000000000000000000000");
    world_fini(&world);
}

/* ---- kind, clock, ends ---- */

static void test_kind_and_clock(void **state)
{
    (void)state;
    struct world world;
    struct trace_pvm_ecall ecall = ecall_of(0);
    struct trace_pvm_exit frame_exit = {0};
    record_ecall(&world, 0);
    replay_begin(&world, NULL);
    world.trace->clock = (struct trace_clock){.icount = 100, .gas = 1000};
    enum err err = trace_pvm_exit(world.trace, &frame_exit);
    expect_divergence(&world, err, "kind", "pvm.ecall", "pvm.exit");
    replay_begin(&world, NULL);
    world.trace->clock = (struct trace_clock){.icount = 101, .gas = 1000};
    err = trace_pvm_ecall(world.trace, &ecall);
    expect_divergence(&world, err, "icount", "100", "101");
    ecall = ecall_of(0);
    replay_begin(&world, NULL);
    world.trace->clock = (struct trace_clock){.icount = 100, .gas = 999};
    err = trace_pvm_ecall(world.trace, &ecall);
    expect_divergence(&world, err, "gas", "1000", "999");
    /* The guest goes on where the trace is over; or stops too early. */
    ecall = ecall_of(0);
    assert_int_equal(replay_ecall(&world, &ecall), ERR_ok);
    assert_int_equal(trace_seq(world.trace), 1);
    err = trace_pvm_exit(world.trace, &frame_exit);
    expect_divergence(&world, err, "kind", "-", "pvm.exit");
    replay_begin(&world, NULL);
    err = trace_expect_end(world.trace);
    assert_int_equal(err, ERR_trace_diverged);
    assert_string_equal(trace_divergence(world.trace)->recorded, "pvm.ecall");
    assert_string_equal(trace_divergence(world.trace)->produced, "-");
    world_fini(&world);
}

/* A clock behind the previous event's cannot even be encoded; it is a divergence. */
static void test_clock_falls(void **state)
{
    (void)state;
    struct world world;
    struct trace_chaos chaos = {0};
    record_begin(&world);
    for (unsigned i = 1; i <= 2; i++) {
        world.trace->clock.icount = i * 10;
        assert_int_equal(trace_chaos(world.trace, &chaos), ERR_ok);
    }
    replay_begin(&world, NULL);
    world.trace->clock.icount = 10;
    assert_int_equal(trace_chaos(world.trace, &chaos), ERR_ok);
    world.trace->clock.icount = 9;
    enum err err = trace_chaos(world.trace, &chaos);
    expect_divergence(&world, err, "icount", "20", "9");
    world_fini(&world);
}

/* session.end with a reason from outside stops the replay, and is no divergence. */
static void test_stopped(void **state)
{
    (void)state;
    for (uint64_t reason = 0; reason <= 3; reason++) {
        struct world world;
        struct trace_session_end end = {.reason = reason};
        struct trace_chaos chaos = {0};
        record_begin(&world);
        world.trace->clock.icount = 50;
        assert_int_equal(trace_session_end(world.trace, &end), ERR_ok);
        replay_begin(&world, NULL);
        world.trace->clock.icount = 60;
        assert_int_equal(trace_chaos(world.trace, &chaos),
                         reason ? ERR_trace_end : ERR_trace_diverged);
        replay_begin(&world, NULL);
        world.trace->clock.icount = 50;
        struct trace_session_end produced = {0};
        assert_int_equal(trace_session_end(world.trace, &produced), ERR_ok);
        assert_int_equal(produced.reason, reason);
        assert_int_equal(trace_expect_end(world.trace), ERR_ok);
        world_fini(&world);
    }
}

/* An unfinished trace ends the replay; that is no divergence either. */
static void test_open_end(void **state)
{
    (void)state;
    struct world world;
    struct trace_chaos chaos = {0};
    record_begin(&world);
    assert_int_equal(trace_chaos(world.trace, &chaos), ERR_ok);
    trace_memory_flush(&world.memory);
    struct bytes bytes = buf_bytes(&world.memory.file);
    struct trace_source source = trace_bytes_source(&bytes);
    struct trace_reader *reader;
    struct trace *trace;
    assert_int_equal(trace_reader_open(&world.arena, &source, NULL, NULL, &reader),
                     ERR_ok);
    assert_int_equal(trace_replay_create(&world.arena, reader, NULL, &trace), ERR_ok);
    assert_int_equal(trace_chaos(trace, &chaos), ERR_ok);
    assert_int_equal(trace_chaos(trace, &chaos), ERR_trace_end);
    assert_int_equal(trace_error(trace), ERR_ok);
    /* More is recorded: it goes on. */
    assert_int_equal(trace_chaos(world.trace, &chaos), ERR_ok);
    trace_memory_flush(&world.memory);
    assert_int_equal(trace_chaos(trace, &chaos), ERR_ok);
    assert_int_equal(trace_expect_end(trace), ERR_trace_end);
    trace_close(trace);
    trace_reader_close(reader);
    trace_close(world.trace);
    trace_writer_abandon(world.writer);
    trace_memory_fini(&world.memory);
    arena_fini(&world.arena);
}

static void test_console_replay(void **state)
{
    (void)state;
    struct world world;
    struct trace_chaos chaos = {0};
    record_begin(&world);
    assert_int_equal(trace_console(world.trace, 33, bytes_of("ab", 2)), ERR_ok);
    world.trace->clock.icount = 5;
    assert_int_equal(trace_chaos(world.trace, &chaos), ERR_ok);
    assert_int_equal(trace_console(world.trace, 33, bytes_of("line\nx", 6)), ERR_ok);
    replay_begin(&world, NULL);
    assert_int_equal(trace_console(world.trace, 33, bytes_of("a", 1)), ERR_ok);
    assert_int_equal(trace_peek(world.trace)->kind->id, TRACE_ID_console_out);
    assert_int_equal(trace_console(world.trace, 33, bytes_of("b", 1)), ERR_ok);
    /* The console event is complete now, and what comes next can be seen. */
    assert_int_equal(trace_peek(world.trace)->kind->id, TRACE_ID_chaos);
    struct trace_chaos seen;
    assert_int_equal(trace_peek_decode(world.trace, TRACE_ID_chaos, &seen), ERR_ok);
    world.trace->clock.icount = 5;
    assert_int_equal(trace_chaos(world.trace, &chaos), ERR_ok);
    assert_int_equal(trace_console(world.trace, 33, bytes_of("line\nx", 6)), ERR_ok);
    assert_int_equal(trace_expect_end(world.trace), ERR_ok);
    replay_begin(&world, NULL);
    assert_int_equal(trace_console(world.trace, 33, bytes_of("ac", 2)), ERR_ok);
    world.trace->clock.icount = 5;
    enum err err = trace_chaos(world.trace, &chaos);
    expect_divergence(&world, err, "data", "6162", "6163");
    world_fini(&world);
}

/* A session begins where its reader stands. */
static void test_from_the_middle(void **state)
{
    (void)state;
    struct world world;
    struct trace_chaos chaos = {0};
    record_begin(&world);
    for (unsigned i = 1; i <= 5; i++) {
        world.trace->clock = (struct trace_clock){.icount = i * 10, .gas = i * 3};
        chaos.site = i;
        assert_int_equal(trace_chaos(world.trace, &chaos), ERR_ok);
    }
    replay_begin(&world, NULL);
    assert_int_equal(trace_reader_seek_icount(world.reader, 31), ERR_ok);
    for (unsigned i = 4; i <= 5; i++) {
        world.trace->clock = (struct trace_clock){.icount = i * 10, .gas = i * 3};
        chaos = (struct trace_chaos){0};
        assert_int_equal(trace_chaos(world.trace, &chaos), ERR_ok);
        assert_int_equal(chaos.site, i);
    }
    assert_int_equal(trace_expect_end(world.trace), ERR_ok);
    world_fini(&world);
}

/* Without `require` the guest never learns that its recorder failed. */
static void test_writer_error_stays_away(void **state)
{
    (void)state;
    struct world world;
    struct trace *trace;
    struct trace_chaos chaos = {0};
    record_begin(&world);
    assert_int_equal(trace_record_create(&world.arena, world.writer, false, &trace),
                     ERR_ok);
    trace->clock.icount = 5;
    assert_int_equal(trace_chaos(trace, &chaos), ERR_ok);
    trace->clock.icount = 4;
    assert_int_equal(trace_chaos(trace, &chaos), ERR_ok);
    assert_int_equal(trace_error(trace), ERR_trace_sequence);
    assert_int_equal(trace_chaos(world.trace, &chaos), ERR_trace_sequence);
    trace_close(trace);
    trace_close(world.trace);
    assert_int_equal(trace_writer_finish(world.writer, NULL), ERR_trace_sequence);
    trace_memory_fini(&world.memory);
    arena_fini(&world.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_off),
        cmocka_unit_test(test_origin_outside),
        cmocka_unit_test(test_first_differing_field),
        cmocka_unit_test(test_bytes_are_not_dumped),
        cmocka_unit_test(test_kind_and_clock),
        cmocka_unit_test(test_clock_falls),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_open_end),
        cmocka_unit_test(test_console_replay),
        cmocka_unit_test(test_from_the_middle),
        cmocka_unit_test(test_writer_error_stays_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
