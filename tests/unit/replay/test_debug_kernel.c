/* SPDX-License-Identifier: MIT
 *
 * A capability kernel under the debugger: the state at a position is the same whatever
 * way leads there, it is the one that was recorded, and stops are found where stepping
 * finds them.
 */
#include "tests/unit/replay/debugged.h"
#include "tests/unit/replay/kernel_world.h"

#include <string.h>

enum {
    POSITIONS_MAX = 4000,
    REG_PC = 16,
    REG_A0 = 10,
};

static uint64_t seed;
static struct arena arena;
static struct trace_memory memory;
static struct bytes file;
static struct trace_source source;
static struct replay_debug debug;
static struct replay_timeline *timeline;

static void record_session(enum pvm_gas_log log, uint32_t depth,
                           void (*run)(struct replay_kernel *s))
{
    const struct kernel_world how = {.log = log,
                                     .depth = depth,
                                     .engine = {.kind = REPLAY_ENGINE_INTERP},
                                     .run = run};
    (void)kernel_world_record(&how, &memory);
    file = buf_bytes(&memory.file);
    source = trace_bytes_source(&file);
}

static int setup_world(void **state)
{
    (void)state;
    seed = test_seed(11);
    arena_init(&arena, (size_t)1 << 30);
    trace_memory_init(&memory, 64 << 20);
    record_session(PVM_GAS_LOG_LEDGER, 256, kernel_world_session);
    return 0;
}

static int teardown_world(void **state)
{
    (void)state;
    trace_memory_fini(&memory);
    arena_fini(&arena);
    return 0;
}

static void open_timeline(uint64_t spacing, uint64_t memory_max)
{
    const struct replay_timeline_options how = {.spacing = spacing,
                                                .memory_max = memory_max};
    debugged_open(&source, &how, &debug, &timeline);
}

static void close_timeline(void)
{
    debugged_close(&debug, timeline);
}

/* ---- all positions, by stepping ---- */

struct picture {
    struct replay_time time;
    uint64_t pc, gas, depth, a[6];
    uint8_t hash[32];
};
static struct picture all[POSITIONS_MAX];
static size_t count;

static uint64_t register_of(unsigned index)
{
    uint8_t bytes[8];
    uint64_t value;
    debug.guest.ops->register_get(debug.guest.self, index, bytes);
    memcpy(&value, bytes, sizeof value);
    return value;
}

static struct picture take_picture(void)
{
    const struct replay_guest *guest = &debug.guest;
    struct picture p;
    memset(&p, 0, sizeof p);
    p.time = replay_timeline_now(timeline);
    p.pc = register_of(REG_PC);
    p.gas = guest->ops->gas(guest->self);
    p.depth = guest->ops->stack.depth(guest->self);
    for (unsigned i = 0; i < 6; i++)
        p.a[i] = register_of(REG_A0 + i);
    assert_int_equal(guest->ops->hash(guest->self, p.hash), ERR_ok);
    return p;
}

static void check_picture(size_t index)
{
    struct picture p = take_picture();
    if (memcmp(&p, &all[index], sizeof p) == 0)
        return;
    test_reproduce("replay_debug_kernel", test_seed(11));
    fail_msg(
        "position %zu (%llu+%llu, pc %llx): another state, at (%llu+%llu, pc %llx)",
        index, (unsigned long long)all[index].time.icount,
        (unsigned long long)all[index].time.sub, (unsigned long long)all[index].pc,
        (unsigned long long)p.time.icount, (unsigned long long)p.time.sub,
        (unsigned long long)p.pc);
}

static void take_all(void)
{
    bool moved = true;
    open_timeline(UINT64_MAX, 0);
    for (count = 0; moved; count++) {
        assert_true(count < POSITIONS_MAX);
        all[count] = take_picture();
        assert_true(!count ||
                    replay_time_compare(all[count - 1].time, all[count].time) < 0);
        assert_int_equal(replay_timeline_step(timeline, &moved), ERR_ok);
    }
    struct replay_time end = replay_timeline_end(timeline);
    assert_int_equal(replay_time_compare(all[count - 1].time, end), 0);
    close_timeline();
    assert_true(count > 300);
}

static void every_way_leads_to_the_same_state(void **state)
{
    (void)state;
    bool moved;
    take_all();
    for (unsigned round = 0; round < 2; round++) {
        open_timeline(round ? 1 : 20, round ? 1 << 20 : 0);
        assert_int_equal(replay_timeline_seek(timeline, REPLAY_TIME_NEVER), ERR_ok);
        for (size_t i = count; i-- > 0;) {
            check_picture(i);
            assert_int_equal(replay_timeline_step_back(timeline, &moved), ERR_ok);
            assert_int_equal(moved, i != 0);
        }
        for (unsigned i = 0; i < 300; i++) {
            size_t index = test_random(&seed) % count;
            assert_int_equal(replay_timeline_seek(timeline, all[index].time), ERR_ok);
            check_picture(index);
        }
        assert_true(replay_timeline_stats(timeline).load_count > 100);
        close_timeline();
    }
}

/* ---- against the recording ---- */

static size_t find(struct replay_time time)
{
    for (size_t i = 0; i < count; i++) {
        if (replay_time_compare(all[i].time, time) == 0)
            return i;
    }
    fail_msg("no position %llu+%llu", (unsigned long long)time.icount,
             (unsigned long long)time.sub);
    return 0;
}

static void check_ecall(const struct trace_record *record,
                        const struct trace_pvm_ecall *event)
{
    struct replay_time time = debug.guest.ops->event_time(debug.guest.self, record->seq,
                                                          record->clock.icount);
    const struct picture *p = &all[find(time)];
    assert_int_equal((uint32_t)p->pc, event->pc);
    assert_int_equal(p->depth, event->frame);
    assert_int_equal(p[1].gas, record->clock.gas); /* its block is paid for */
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(p->a[i], i < event->in.count ? event->in.item[i] : 0);
}

/* Each ecall, and the registers at the end of each invocation. */
static void events_stand_where_they_were_recorded(void **state)
{
    (void)state;
    struct trace_reader *reader;
    struct trace_record record;
    struct trace_pvm_ecall ecall;
    struct trace_pvm_outcome outcome;
    unsigned ecalls = 0, outcomes = 0;
    bool end = false;
    take_all();
    open_timeline(0, 0);
    assert_int_equal(trace_reader_open(&arena, &source, NULL, NULL, &reader), ERR_ok);
    while (!trace_reader_next(reader, &record, &end) && !end) {
        if (record.kind->id == TRACE_ID_pvm_ecall) {
            assert_int_equal(trace_decode_pvm_ecall(reader, &record, &arena, &ecall),
                             ERR_ok);
            check_ecall(&record, &ecall);
            ecalls++;
        } else if (record.kind->id == TRACE_ID_pvm_outcome) {
            assert_int_equal(
                trace_decode_pvm_outcome(reader, &record, &arena, &outcome), ERR_ok);
            if (!outcome.regs.count)
                continue;
            struct replay_time time = debug.guest.ops->event_time(
                debug.guest.self, record.seq, record.clock.icount);
            for (size_t i = 7; i < outcome.regs.count; i++)
                assert_int_equal(all[find(time)].a[i - 7], outcome.regs.item[i]);
            outcomes++;
        }
    }
    trace_reader_close(reader);
    close_timeline();
    assert_true(ecalls > 20 && outcomes > 8);
}

/* Whatever the gas log, the positions are the same. */
static void gas_logs_have_the_same_positions(void **state)
{
    (void)state;
    take_all();
    static struct picture ledger[POSITIONS_MAX];
    size_t ledger_count = count;
    memcpy(ledger, all, sizeof ledger);
    static const enum pvm_gas_log log[] = {PVM_GAS_LOG_EACH, PVM_GAS_LOG_SUMMARY};
    for (size_t i = 0; i < countof(log); i++) {
        trace_memory_fini(&memory);
        trace_memory_init(&memory, 64 << 20);
        record_session(log[i], 256, kernel_world_session);
        take_all();
        assert_int_equal(count, ledger_count);
        assert_memory_equal(all, ledger, count * sizeof all[0]);
    }
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

/* Stops at position i, as all pictures tell; `behind`: backwards at the next one. */
static size_t expect_all(bool (*stops)(size_t index), size_t behind)
{
    size_t found = 0;
    assert_int_equal(replay_timeline_seek(timeline, all[0].time), ERR_ok);
    for (size_t i = 1; i + 1 < count; i++) {
        if (!stops(i))
            continue;
        assert_int_equal(debugged_run(timeline, true, behind && found), REPLAY_AT_STOP);
        check_picture(i);
        found++;
    }
    assert_int_equal(replay_timeline_seek(timeline, all[count - 1].time), ERR_ok);
    for (size_t i = count - 1; i-- > 1;) {
        if (!stops(i))
            continue;
        assert_int_equal(debugged_run(timeline, false, behind != 0), REPLAY_AT_STOP);
        check_picture(i + behind);
    }
    return found;
}

/* Code addresses of instructions, which the test finds by their text. */
static uint64_t store_pc[2], ecall_pc;
static size_t store_count;

static void find_code(void)
{
    struct buf text;
    buf_init(&text, 1000);
    store_count = 0;
    ecall_pc = 0;
    for (size_t i = 0; i < count; i++) {
        buf_clear(&text);
        (void)debug.guest.ops->disassemble(debug.guest.self, all[i].pc, &text);
        buf_byte(&text, 0);
        bool stores = strstr(buf_string(&text), "store_u64 s0, [0x2008]") != NULL;
        if (strstr(buf_string(&text), "ecalli 22"))
            ecall_pc = all[i].pc;
        bool known = (store_count && store_pc[0] == all[i].pc) ||
                     (store_count > 1 && store_pc[1] == all[i].pc);
        if (stores && !known) {
            assert_true(store_count < 2);
            store_pc[store_count++] = all[i].pc;
        }
    }
    buf_fini(&text);
    assert_int_equal(store_count, 2); /* child and busy */
    assert_true(ecall_pc);
}

static bool is_store(size_t index)
{
    return all[index].pc == store_pc[0] || all[index].pc == store_pc[1];
}

static bool is_first_store(size_t index)
{
    return all[index].pc == store_pc[0];
}

static bool is_read(size_t index)
{
    return all[index].pc == ecall_pc;
}

static void breakpoints_are_found_in_every_instance(void **state)
{
    (void)state;
    const struct replay_guest_ops *ops;
    char text[40];
    take_all();
    open_timeline(30, 0);
    ops = debug.guest.ops;
    find_code();
    assert_int_equal(replay_timeline_set_stops(timeline, store_pc, 2, NULL, 0), ERR_ok);
    assert_true(expect_all(is_store, 0) > 100);
    (void)snprintf(text, sizeof text, "program:%u", (unsigned)(store_pc[0] >> 32) - 1);
    assert_true(ops->stack.restrict_stops(debug.guest.self, text));
    assert_int_equal(expect_all(is_first_store, 0), 30);
    assert_true(ops->stack.restrict_stops(debug.guest.self, "depth:7"));
    assert_int_equal(replay_timeline_seek(timeline, all[0].time), ERR_ok);
    expect(true, count);
    assert_false(ops->stack.restrict_stops(debug.guest.self, "depth:"));
    assert_false(ops->stack.restrict_stops(debug.guest.self, "abc"));
    assert_false(ops->stack.restrict_stops(debug.guest.self, "nobody"));
    assert_true(ops->stack.restrict_stops(debug.guest.self, "any"));
    size_t last = count - 1;
    while (!is_store(last))
        last--;
    expect(false, last);
    close_timeline();
}

static void watchpoints_find_stores_and_ecalls(void **state)
{
    (void)state;
    const struct replay_watch writes = {KERNEL_WORLD_STORED + 1, 1, REPLAY_WATCH_WRITE};
    const struct replay_watch filled = {KERNEL_WORLD_READ_INTO + 4, 8,
                                        REPLAY_WATCH_WRITE};
    take_all();
    open_timeline(30, 0);
    find_code();
    assert_int_equal(replay_timeline_set_stops(timeline, NULL, 0, &writes, 1), ERR_ok);
    assert_true(expect_all(is_store, 1) > 100);
    assert_int_equal(replay_timeline_set_stops(timeline, NULL, 0, &filled, 1), ERR_ok);
    assert_int_equal(expect_all(is_read, 1), 2);
    close_timeline();
}

static bool is_third_program(size_t index)
{
    return all[index].pc == 4 * (UINT64_C(1) << 32);
}

static void programs_come_and_go(void **state)
{
    (void)state;
    const uint64_t third = 4 * (UINT64_C(1) << 32);
    const struct replay_watch writes = {KERNEL_WORLD_STORED, 8, REPLAY_WATCH_WRITE};
    trace_memory_fini(&memory);
    trace_memory_init(&memory, 64 << 20);
    record_session(PVM_GAS_LOG_LEDGER, 1, kernel_world_programs);
    take_all();
    assert_true(count > KERNEL_WORLD_RUNS * 4 + 150);
    open_timeline(1000, 0);
    for (unsigned i = 0; i < 60; i++) {
        size_t index = test_random(&seed) % count;
        index = i % 2 ? index : count - 1 - index % 150;
        assert_int_equal(replay_timeline_seek(timeline, all[index].time), ERR_ok);
        check_picture(index);
    }
    assert_int_equal(replay_timeline_set_stops(timeline, &third, 1, NULL, 0), ERR_ok);
    assert_int_equal(expect_all(is_third_program, 0),
                     KERNEL_WORLD_RUNS / KERNEL_WORLD_PROGRAMS);
    assert_int_equal(replay_timeline_set_stops(timeline, NULL, 0, &writes, 1), ERR_ok);
    assert_int_equal(replay_timeline_seek(timeline, all[count - 1].time), ERR_ok);
    expect(false, count - 3); /* behind the last store: a branch and a reply */
    close_timeline();
}

/* ---- damage ---- */

static void visit_what_there_is(void)
{
    char message[REPLAY_DEBUG_MESSAGE_SIZE];
    bool moved;
    if (replay_debug_open(&source, &debug, message))
        return;
    const struct replay_timeline_options how = {.spacing = 50};
    assert_int_equal(replay_timeline_create(&debug.guest, &how, &timeline), ERR_ok);
    for (unsigned i = 0; i < 3; i++) {
        struct replay_time to = {i == 1 ? test_random(&seed) % 400 : i * 1000u, 0};
        if (!replay_timeline_seek(timeline, to))
            (void)!replay_timeline_step_back(timeline, &moved);
        (void)take_picture();
    }
    close_timeline();
}

/* A trace that was cut off anywhere can be visited up to there. */
static void cut_off_traces_end_early(void **state)
{
    (void)state;
    struct bytes whole = file;
    take_all();
    for (size_t size = whole.size; size > 40; size -= 1 + size / 60) {
        file = bytes_of(whole.data, size);
        source = trace_bytes_source(&file);
        visit_what_there_is();
    }
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup_world, teardown_world)
    const struct CMUnitTest tests[] = {
        T(every_way_leads_to_the_same_state),
        T(events_stand_where_they_were_recorded),
        T(gas_logs_have_the_same_positions),
        T(breakpoints_are_found_in_every_instance),
        T(watchpoints_find_stores_and_ecalls),
        T(programs_come_and_go),
        T(cut_off_traces_end_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
