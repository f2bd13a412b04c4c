/* SPDX-License-Identifier: MIT
 *
 * A pc under the debugger: the state at a position is the same whatever way leads
 * there, and breakpoints and watchpoints are found where stepping finds them.
 *
 * The guest is a small real-mode program that is fed with keys (pc_world.h).
 */
#include "tests/unit/replay/debugged.h"
#include "tests/unit/replay/pc_world.h"

#include <string.h>

enum { POSITIONS_MAX = 4000, COPIED = 40 };
enum { ESI = 6, LINEAR_PC = 34 };

static uint64_t seed;
static struct pc_world world;
static struct bytes file;
static struct trace_source source;
static struct replay_debug debug;
static struct replay_timeline *timeline;

/* ---- a recording ---- */

/* Of the program, or of other code. */
static void record(const struct bytes *code, uint64_t limit)
{
    struct replay_pc_setup setup;
    pc_world_setup(COPIED, &setup);
    if (code)
        setup.boot.kernel = *code;
    (void)pc_world_record(&world, &setup, limit, true);
    file = buf_bytes(&world.memory.file);
    source = trace_bytes_source(&file);
}

/* Keys in the code, inside a `rep` and in sleep; the last one ends the run. */
static int setup_world(void **state)
{
    (void)state;
    seed = test_seed(7);
    pc_world_init(&world);
    world.place[0] = (struct emu_place){100, test_random(&seed) % 40};
    world.place[1] =
        (struct emu_place){200 + test_random(&seed) % 30, test_random(&seed) % 900000};
    world.place[2].icount = 400;
    record(NULL, 100000);
    return 0;
}

static int teardown_world(void **state)
{
    (void)state;
    pc_world_fini(&world);
    return 0;
}

static void open_timeline(uint64_t spacing)
{
    const struct replay_timeline_options how = {.spacing = spacing,
                                                .memory_max = 256 << 10};
    debugged_open(&source, &how, &debug, &timeline);
}

static void close_timeline(void)
{
    debugged_close(&debug, timeline);
}

/* ---- all positions, by stepping ---- */

struct picture {
    struct replay_time time;
    uint32_t pc, esi;
    uint16_t counter;
    uint8_t hash[32];
};
/* Without what pads its end; there is no padding inside. */
enum { PICTURE_SIZE = offsetof(struct picture, hash) + 32 };
static struct picture all[POSITIONS_MAX];
static size_t count;

static uint32_t register_of(unsigned index)
{
    uint8_t bytes[16];
    uint32_t value;
    debug.guest.ops->register_get(debug.guest.self, index, bytes);
    memcpy(&value, bytes, sizeof value);
    return value;
}

static struct picture take_picture(void)
{
    struct picture p = {.time = replay_timeline_now(timeline),
                        .pc = register_of(LINEAR_PC),
                        .esi = register_of(ESI)};
    assert_int_equal(debug.guest.ops->memory_read(debug.guest.self, PC_WORLD_COUNTER,
                                                  (uint8_t *)&p.counter, 2),
                     2);
    assert_int_equal(debug.guest.ops->hash(debug.guest.self, p.hash), ERR_ok);
    return p;
}

static void check_picture(size_t index)
{
    struct picture p = take_picture();
    if (memcmp(&p, &all[index], PICTURE_SIZE) == 0)
        return;
    test_reproduce("replay_debug_pc", test_seed(7));
    fail_msg("position %zu (%llu, %llu): another state, at (%llu, %llu)", index,
             (unsigned long long)all[index].time.icount,
             (unsigned long long)all[index].time.sub, (unsigned long long)p.time.icount,
             (unsigned long long)p.time.sub);
}

static void take_all(void)
{
    bool moved = true;
    open_timeline(UINT64_MAX);
    memset(all, 0, sizeof all);
    for (count = 0; moved; count++) {
        assert_true(count < POSITIONS_MAX);
        struct picture p = take_picture();
        memcpy(&all[count], &p, sizeof p);
        assert_int_equal(replay_timeline_step(timeline, &moved), ERR_ok);
    }
    close_timeline();
    assert_true(count > 800);
}

/* The digest that the recording ends with. */
static void recorded_hash(struct hash256 *ret_hash)
{
    struct trace_reader *reader;
    struct trace_record record;
    struct trace_state_hash event;
    bool end = false;
    assert_int_equal(trace_reader_open(&world.arena, &source, NULL, NULL, &reader),
                     ERR_ok);
    while (!trace_reader_next(reader, &record, &end) && !end) {
        if (record.kind->id != TRACE_ID_state_hash)
            continue;
        assert_int_equal(trace_decode_state_hash(reader, &record, &world.arena, &event),
                         ERR_ok);
        *ret_hash = event.hash.hash;
    }
    trace_reader_close(reader);
}

static void every_way_leads_to_the_same_state(void **state)
{
    (void)state;
    struct hash256 last = {0};
    bool moved;
    take_all();
    recorded_hash(&last);
    assert_memory_equal(all[count - 1].hash, last.byte, sizeof last.byte);
    open_timeline(50);
    assert_int_equal(replay_timeline_seek(timeline, REPLAY_TIME_NEVER), ERR_ok);
    for (size_t i = count; i-- > 0;) {
        check_picture(i);
        assert_int_equal(replay_timeline_step_back(timeline, &moved), ERR_ok);
        assert_int_equal(moved, i != 0);
    }
    for (unsigned i = 0; i < 500; i++) {
        size_t index = test_random(&seed) % count;
        assert_int_equal(replay_timeline_seek(timeline, all[index].time), ERR_ok);
        check_picture(index);
    }
    assert_true(replay_timeline_stats(timeline).load_count > 100);
    close_timeline();
}

/* ---- stops ---- */

static void expect(bool forward, size_t index)
{
    assert_int_equal(debugged_run(timeline, forward, false),
                     index < count ? REPLAY_AT_STOP : REPLAY_AT_EDGE);
    if (index == count)
        index = forward ? count - 1 : 0;
    check_picture(index);
}

/* Stops at position i, as all pictures tell; `behind`: forwards at the next one. */
static void expect_all(bool (*stops)(size_t index), size_t behind)
{
    size_t found = 0;
    for (size_t i = 0; i + 1 < count; i++) {
        if (!stops(i))
            continue;
        expect(true, i + behind);
        found++;
    }
    assert_true(found >= 2);
    expect(true, count);
    for (size_t i = count - 1; i-- > 0;) {
        if (stops(i))
            expect(false, i);
    }
    expect(false, count);
}

static bool is_timer(size_t index)
{
    return all[index].pc == PC_WORLD_TIMER;
}

static bool is_counted(size_t index)
{
    return all[index].counter != all[index + 1].counter;
}

static bool is_read(size_t index)
{
    return all[index].pc == PC_WORLD_REP && all[index].esi == 0x11 &&
           all[index + 1].esi == 0x12;
}

/* A thousand of stops that are not met, and one that is. */
static void expect_among_many(void)
{
    enum { MANY = 1000 };
    static uint64_t breaks[MANY];
    static struct replay_watch watches[MANY];
    for (size_t i = 0; i < MANY; i++) {
        breaks[i] = 0xfff00000 - 8 * i;
        watches[i] = (struct replay_watch){0x20000 + 16 * i, 4, REPLAY_WATCH_WRITE};
    }
    breaks[MANY / 2] = PC_WORLD_TIMER;
    watches[MANY / 2] =
        (struct replay_watch){PC_WORLD_COUNTER + 1, 1, REPLAY_WATCH_WRITE};
    assert_int_equal(replay_timeline_set_stops(timeline, breaks, MANY, NULL, 0),
                     ERR_ok);
    expect_all(is_timer, 0);
    assert_int_equal(replay_timeline_set_stops(timeline, NULL, 0, watches, MANY),
                     ERR_ok);
    expect_all(is_counted, 1);
}

static void stops_are_found(void **state)
{
    (void)state;
    const uint64_t timer = PC_WORLD_TIMER;
    const struct replay_watch writes = {PC_WORLD_COUNTER + 1, 1, REPLAY_WATCH_WRITE};
    const struct replay_watch reads = {0x11, 1, REPLAY_WATCH_READ};
    take_all();
    open_timeline(100);
    assert_int_equal(replay_timeline_set_stops(timeline, &timer, 1, NULL, 0), ERR_ok);
    expect_all(is_timer, 0);
    assert_int_equal(replay_timeline_set_stops(timeline, NULL, 0, &writes, 1), ERR_ok);
    expect_all(is_counted, 1);
    assert_int_equal(replay_timeline_set_stops(timeline, NULL, 0, &reads, 1), ERR_ok);
    expect_all(is_read, 1);
    expect_among_many();
    close_timeline();
}

/* ---- traces that are not this machine's ---- */

/* The trace with event `change` of kind `id` (0, 1, ...) other than it was; its clock.
 */
static bool forge(enum trace_id id, unsigned change, struct trace_memory *forged,
                  struct trace_clock *ret_clock)
{
    const struct trace_writer_options how = {.guest = TRACE_GUEST_PC, .zstd_level = 1};
    struct trace_sink sink;
    struct trace_reader *reader;
    struct trace_writer *writer;
    struct trace_record record;
    bool end = false, found = false;
    unsigned seen = 0;
    static uint64_t event[64];
    trace_memory_init(forged, 64 << 20);
    sink = trace_memory_sink(forged);
    assert_int_equal(trace_reader_open(&world.arena, &source, NULL, NULL, &reader),
                     ERR_ok);
    assert_int_equal(trace_writer_create(&world.arena, &sink, &how, &writer), ERR_ok);
    while (!trace_reader_next(reader, &record, &end) && !end) {
        enum trace_id kind = (enum trace_id)record.kind->id;
        assert_int_equal(trace_decode(reader, &record, kind, &world.arena, event),
                         ERR_ok);
        if (kind == id && seen++ == change) {
            found = true;
            *ret_clock = record.clock;
            if (id == TRACE_ID_pc_irq)
                ((struct trace_pc_irq *)(void *)event)->line ^= 1;
            else
                ((struct trace_console_out *)(void *)event)->data = bytes_of("?", 1);
        }
        trace_writer_put(writer, kind, &record.clock, event);
    }
    trace_reader_close(reader);
    assert_int_equal(trace_writer_finish(writer, NULL), ERR_ok);
    trace_memory_flush(forged);
    return found;
}

/* The time line ends in front of what is not as recorded, however one comes there. */
static void check_forged(struct trace_memory *forged, struct trace_clock clock)
{
    struct bytes whole = file;
    enum replay_end_kind end;
    struct replay_stop stop;
    const struct replay_run run = {.limit = REPLAY_TIME_NEVER};
    file = buf_bytes(&forged->file);
    for (unsigned way = 0; way < 2; way++) {
        open_timeline(60);
        enum err err = way ? replay_timeline_forward(timeline, &run, &end, &stop)
                           : replay_timeline_seek(timeline, REPLAY_TIME_NEVER);
        assert_int_equal(err, ERR_trace_diverged);
        assert_true(replay_timeline_now(timeline).icount <= clock.icount);
        assert_int_equal(replay_timeline_end(timeline).icount,
                         replay_timeline_now(timeline).icount);
        assert_int_equal(replay_timeline_seek(timeline, (struct replay_time){5, 0}),
                         ERR_ok);
        assert_int_equal(replay_timeline_seek(timeline, REPLAY_TIME_NEVER), ERR_ok);
        assert_true(replay_timeline_now(timeline).icount <= clock.icount);
        close_timeline();
    }
    file = whole;
}

static void divergence_is_reported(void **state)
{
    static const enum trace_id id[] = {TRACE_ID_pc_irq, TRACE_ID_console_out};
    (void)state;
    for (size_t i = 0; i < countof(id); i++) {
        bool more = true;
        for (unsigned change = 0; more; change += 4) {
            struct trace_memory forged;
            struct trace_clock clock = {0};
            more = forge(id[i], change, &forged, &clock);
            assert_true(more || change > 2);
            if (more)
                check_forged(&forged, clock);
            trace_memory_fini(&forged);
        }
    }
}

/* ---- a user who interrupts ---- */

static uint64_t polls, last_poll, most_between;

/* Notes how far the guest goes between two questions. */
static bool interrupted(void *self)
{
    (void)self;
    uint64_t now = debug.guest.ops->time(debug.guest.self).icount;
    if (polls++ && now > last_poll && now - last_poll > most_between)
        most_between = now - last_poll;
    last_poll = now;
    return false;
}

/* A program that is never done: inc word [9000]; jmp. */
static const uint8_t endless[] = {0xff, 0x06, 0x00, 0x90, 0xeb, 0xfa};

static void run_counted(bool forward)
{
    polls = most_between = 0;
    assert_int_equal(debugged_run(timeline, forward, false), REPLAY_AT_EDGE);
    assert_true(polls > 10);
    assert_true(most_between <= REPLAY_INTERRUPT_EVERY);
}

/* Whatever is looked for, the guest asks often enough. */
static void interrupts_are_heard_soon(void **state)
{
    enum { LENGTH = 3000000 };
    const struct bytes code = bytes_of(endless, sizeof endless);
    static const uint64_t never_there = 0xf000;
    static const struct replay_watch watch = {0xa000, 4, REPLAY_WATCH_WRITE};
    const struct replay_timeline_options how = {.interrupted = interrupted};
    (void)state;
    trace_memory_fini(&world.memory);
    trace_memory_init(&world.memory, 64 << 20);
    world.next = PC_WORLD_INPUTS;
    record(&code, LENGTH);
    debugged_open(&source, &how, &debug, &timeline);
    for (unsigned stops = 0; stops < 4; stops++) {
        assert_int_equal(replay_timeline_set_stops(timeline, &never_there, stops & 1,
                                                   &watch, stops >> 1),
                         ERR_ok);
        run_counted(true);
        if (stops)
            run_counted(false);
        else
            assert_int_equal(replay_timeline_seek(timeline, (struct replay_time){0}),
                             ERR_ok);
    }
    close_timeline();
}

/* Yes from question number `polls_left` on; 0: never. */
static uint64_t polls_left;
static bool asked_enough(void *self)
{
    (void)self;
    if (!polls_left)
        return false;
    if (polls_left > 1)
        polls_left--;
    return polls_left == 1;
}

static struct replay_time last_count(bool *ret_broken)
{
    const struct replay_run run = {0};
    enum replay_end_kind end;
    struct replay_stop stop;
    assert_int_equal(replay_timeline_backward(timeline, &run, &end, &stop), ERR_ok);
    *ret_broken = end == REPLAY_AT_BROKEN;
    assert_true(*ret_broken || end == REPLAY_AT_STOP);
    return stop.time;
}

/* Wherever the search for an access is cut short, the next one finds it. */
static void interrupted_searches_do_no_harm(void **state)
{
    static const struct replay_watch watch = {PC_WORLD_COUNTER, 1, REPLAY_WATCH_WRITE};
    const struct replay_timeline_options how = {.interrupted = asked_enough,
                                                .spacing = 200};
    struct replay_time want = {0};
    bool broken = true, moved;
    unsigned cut = 0;
    (void)state;
    for (uint64_t at = 0; broken || at < 2; at += 1 + at / 2) {
        debugged_open(&source, &how, &debug, &timeline);
        polls_left = 0;
        assert_int_equal(replay_timeline_seek(timeline, REPLAY_TIME_NEVER), ERR_ok);
        assert_int_equal(replay_timeline_set_stops(timeline, NULL, 0, &watch, 1),
                         ERR_ok);
        polls_left = at;
        struct replay_time got = last_count(&broken);
        cut += broken;
        assert_true(!broken ||
                    replay_timeline_step(timeline, &moved) == ERR_interrupted);
        polls_left = 0;
        assert_int_equal(replay_timeline_seek(timeline, REPLAY_TIME_NEVER), ERR_ok);
        if (broken)
            got = last_count(&moved);
        want = at ? want : got;
        assert_int_equal(replay_time_compare(got, want), 0);
        close_timeline();
    }
    assert_true(cut > 3);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup_world, teardown_world)
    const struct CMUnitTest tests[] = {
        T(every_way_leads_to_the_same_state),
        T(stops_are_found),
        T(divergence_is_reported),
        T(interrupts_are_heard_soon),
        T(interrupted_searches_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
