/* SPDX-License-Identifier: MIT
 *
 * Time lines: the state at a position is the same whatever way leads there, and going
 * backwards finds what stepping over the whole run finds.
 */
#include "tests/unit/replay/debugged.h"
#include "tests/unit/replay/run.h"

#include <string.h>

/* ---- a recording under the debugger ---- */

struct bench {
    struct arena arena;
    struct script script;
    struct recording recording;
    struct bytes file;
    struct trace_source source;
    struct replay_debug debug;
    struct replay_timeline *timeline;
    uint64_t seed;
};

static void open_timeline(struct bench *b, const struct replay_timeline_options *how)
{
    debugged_open(&b->source, how, &b->debug, &b->timeline);
}

static void close_timeline(struct bench *b)
{
    debugged_close(&b->debug, b->timeline);
}

static void begin(struct bench *b, const struct replay_setup *setup)
{
    struct replay_host host = script_host(&b->script);
    record(&b->recording, setup, &host, false);
    b->file = recording_bytes(&b->recording);
    b->source = trace_bytes_source(&b->file);
    b->seed = test_seed(7);
}

static void end(struct bench *b)
{
    recording_fini(&b->recording);
    buf_fini(&b->script.output);
    arena_fini(&b->arena);
}

static const struct bench bench_new = {.arena = {.size_max = (size_t)1 << 28}};

/* calc reads lines, computes and prints: calls, memory, branches. */
static struct replay_setup calc_setup(struct bench *b)
{
    b->script.input = "a = 17\nb = a * 3 - 4\nprint (a + b) / 7\nc = b % 5\n1/0\n"
                      "(c + 3) * (a - 1)\n";
    b->script.piece = 13;
    struct replay_setup setup = setup_program(&b->arena, "calc", NULL, 0);
    setup.gas = 100000000;
    setup.gas_log = PVM_GAS_LOG_LEDGER;
    setup.hash_every = 5000;
    setup.digest_every = 4;
    return setup;
}

/* ---- the machine as numbers ---- */

struct picture {
    uint8_t reg[18 * 8];
    uint64_t icount, gas;
    uint8_t hash[32];
};

static struct picture take_picture(const struct bench *b, bool whole)
{
    struct picture p = {0};
    const struct replay_guest *guest = &b->debug.guest;
    for (unsigned i = 0; i < guest->ops->reg_count; i++)
        guest->ops->register_get(guest->self, i, p.reg + 8 * i);
    p.icount = guest->ops->time(guest->self).icount;
    p.gas = guest->ops->gas(guest->self);
    if (whole)
        assert_int_equal(guest->ops->hash(guest->self, p.hash), ERR_ok);
    return p;
}

static void check_picture(struct bench *b, const struct picture *want, bool whole)
{
    struct picture got = take_picture(b, whole);
    if (!whole)
        memcpy(got.hash, want->hash, sizeof got.hash);
    if (memcmp(&got, want, sizeof got) == 0)
        return;
    test_reproduce("replay_timeline", b->seed);
    fail_msg("icount %llu: the state differs (got icount %llu, gas %llu, want %llu)",
             (unsigned long long)want->icount, (unsigned long long)got.icount,
             (unsigned long long)got.gas, (unsigned long long)want->gas);
}

/* All states of a run, by stepping from its start; every 256th with its hash. */
static struct picture *take_all(struct bench *b, size_t *ret_count)
{
    const struct replay_timeline_options plain = {.spacing = UINT64_MAX};
    open_timeline(b, &plain);
    size_t count = (size_t)(b->debug.guest.end.icount + 1);
    struct picture *all = arena_new_array(&b->arena, struct picture, count);
    assert_non_null(all);
    for (size_t i = 0; i < count; i++) {
        bool moved;
        all[i] = take_picture(b, i % 256 == 0 || i + 1 == count);
        assert_int_equal(all[i].icount, i);
        assert_int_equal(replay_timeline_step(b->timeline, &moved), ERR_ok);
        assert_int_equal(moved, i + 1 < count);
    }
    close_timeline(b);
    *ret_count = count;
    return all;
}

static void seek(struct bench *b, uint64_t icount)
{
    const struct replay_time to = {.icount = icount};
    assert_int_equal(replay_timeline_seek(b->timeline, to), ERR_ok);
}

/* ---- positions ---- */

/* Stepping agrees with the replayer that compares every event. */
static void test_against_replay(void **state)
{
    struct bench b = bench_new;
    size_t count;
    (void)state;
    struct replay_setup setup = calc_setup(&b);
    begin(&b, &setup);
    struct picture *all = take_all(&b, &count);
    assert_int_equal(count, b.recording.state.icount + 1);
    for (size_t i = 0; i < count; i += count / 60) {
        const struct replay_options options = {
            .to = {.kind = REPLAY_AT_ICOUNT, .value = i}};
        struct replay_report report = replay_bytes(b.file, &options);
        assert_int_equal(report.state.icount, i);
        uint64_t a0, pc;
        memcpy(&a0, all[i].reg + 8 * 10, 8);
        memcpy(&pc, all[i].reg + 8 * 16, 8);
        assert_int_equal(report.state.reg[7], a0);
        assert_int_equal(report.state.pc, (uint32_t)pc);
        if (!report.state.charged)
            assert_int_equal(setup.gas - report.state.gas, all[i].gas);
    }
    /* The trace ends with the machine's hash. */
    assert_true(b.recording.result.hash.present);
    end(&b);
}

static void random_walk(struct bench *b, const struct picture *all, size_t count,
                        unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t r = test_random(&b->seed), at = (r >> 8) % count;
        uint64_t now = replay_timeline_now(b->timeline).icount;
        bool moved;
        switch (r % 5) {
        case 0:
            assert_int_equal(replay_timeline_step_back(b->timeline, &moved), ERR_ok);
            at = now ? now - 1 : 0;
            break;
        case 1:
            assert_int_equal(replay_timeline_step(b->timeline, &moved), ERR_ok);
            at = now + 1 < count ? now + 1 : now;
            break;
        case 2:
            at = at / 256 * 256;
            seek(b, at);
            break;
        default:
            seek(b, at);
        }
        assert_int_equal(replay_timeline_now(b->timeline).icount, at);
        check_picture(b, &all[at], at % 256 == 0);
    }
}

static void test_every_way(void **state)
{
    static const struct replay_timeline_options how[] = {
        {.spacing = 1000},
        {.spacing = 37, .memory_max = 300000}, /* thins all the time */
        {.spacing = UINT64_MAX},
        {.spacing = 1, .memory_max = 1},
    };
    struct bench b = bench_new;
    size_t count;
    (void)state;
    struct replay_setup setup = calc_setup(&b);
    begin(&b, &setup);
    struct picture *all = take_all(&b, &count);
    for (size_t i = 0; i < countof(how); i++) {
        open_timeline(&b, &how[i]);
        random_walk(&b, all, count, i == 3 ? 40 : 150);
        seek(&b, UINT64_MAX);
        check_picture(&b, &all[count - 1], true);
        struct replay_timeline_stats stats = replay_timeline_stats(b.timeline);
        if (how[i].memory_max > 1) {
            assert_true(stats.dropped_count > 0);
            /* The image of the present is not thinned. */
            assert_true(stats.snapshot_memory <= how[i].memory_max + 65536);
        }
        close_timeline(&b);
    }
    end(&b);
}

static void test_gas(void **state)
{
    struct bench b = bench_new;
    size_t count;
    (void)state;
    struct replay_setup setup = calc_setup(&b);
    begin(&b, &setup);
    struct picture *all = take_all(&b, &count);
    open_timeline(&b, &(struct replay_timeline_options){.spacing = 500});
    for (unsigned i = 0; i < 100; i++) {
        uint64_t gas = test_random(&b.seed) % all[count - 1].gas;
        assert_int_equal(replay_timeline_seek_gas(b.timeline, gas), ERR_ok);
        uint64_t at = replay_timeline_now(b.timeline).icount;
        assert_true(all[at].gas >= gas);
        check_picture(&b, &all[at], false);
        /* The block entry before had less. */
        uint64_t before = at;
        while (before && all[before - 1].gas == all[at].gas)
            before--;
        assert_true(!before || all[before - 1].gas < gas);
    }
    close_timeline(&b);
    end(&b);
}

/* ---- stops ---- */

/* What a stop is, by looking at the state in front of each instruction. */
struct stops {
    uint64_t pc[2];
    struct replay_watch watch[2];
    size_t pc_count, watch_count;
};

/* Does the instruction change a watched byte?  (The tests choose words that are only
 * stored with new values.) */
static uint64_t word_at(const struct bench *b, uint64_t address)
{
    uint64_t value = 0;
    const struct replay_guest *guest = &b->debug.guest;
    (void)guest->ops->memory_read(guest->self, address, (uint8_t *)&value, 4);
    return value;
}

static const char counter_text[] = "load_imm a0, 0\n"
                                   "load_imm t0, 0x20000\n"
                                   "fallthrough\n"
                                   "loop:\n"
                                   "add_imm_64 a0, a0, 1\n"
                                   "store_ind_u32 a0, [t0 + 64]\n"
                                   "and_imm a1, a0, 7\n"
                                   "branch_ne_imm a1, 3, next\n"
                                   "store_ind_u32 a0, [t0 + 0x1ffc]\n"
                                   "load_ind_u32 a2, [t0 + 64]\n"
                                   "fallthrough\n"
                                   "next:\n"
                                   "branch_lt_u_imm a0, 1200, loop\n"
                                   "trap\n";

static struct replay_setup counter_setup(struct bench *b)
{
    static const struct trace_uuu map = {0x20000, 0x4000, PVM_ACCESS_RW};
    struct replay_setup setup =
        setup_of(assemble(&b->arena, counter_text), PVM_PROFILE_JAVM);
    setup.gas = 100000000;
    setup.maps = (struct trace_list_uuu){&map, 1};
    return setup;
}

/* Positions at which a breakpoint or a watchpoint is reported, ascending. */
static size_t list_stops(struct bench *b, const struct picture *all, size_t count,
                         const struct stops *stops, uint64_t *ret_position)
{
    size_t found = 0;
    uint64_t value[2] = {0};
    open_timeline(b, &(struct replay_timeline_options){0});
    for (size_t i = 0; i < count; i++) {
        uint64_t pc;
        bool moved, hit = false;
        memcpy(&pc, all[i].reg + 8 * 16, 8);
        for (size_t k = 0; k < stops->watch_count; k++) {
            uint64_t now = word_at(b, stops->watch[k].address);
            hit |= i && now != value[k];
            value[k] = now;
        }
        for (size_t k = 0; k < stops->pc_count; k++)
            hit |= pc == stops->pc[k];
        if (hit)
            ret_position[found++] = i;
        assert_int_equal(replay_timeline_step(b->timeline, &moved), ERR_ok);
    }
    close_timeline(b);
    return found;
}

static void set_stops(struct bench *b, const struct stops *stops)
{
    assert_int_equal(replay_timeline_set_stops(b->timeline, stops->pc, stops->pc_count,
                                               stops->watch, stops->watch_count),
                     ERR_ok);
}

/* Go backwards over all stops from the end. */
static void check_backwards(struct bench *b, const struct stops *stops,
                            const uint64_t *position, size_t count)
{
    struct replay_run run = {0};
    struct replay_stop stop;
    enum replay_end_kind kind;
    set_stops(b, stops);
    seek(b, UINT64_MAX);
    for (size_t i = count; i-- > 0;) {
        assert_int_equal(replay_timeline_backward(b->timeline, &run, &kind, &stop),
                         ERR_ok);
        assert_int_equal(kind, REPLAY_AT_STOP);
        assert_int_equal(stop.time.icount, position[i]);
        assert_int_equal(replay_timeline_now(b->timeline).icount, position[i]);
        run.pass_watch = stop.kind == REPLAY_STOP_WATCH;
    }
    assert_int_equal(replay_timeline_backward(b->timeline, &run, &kind, &stop), ERR_ok);
    assert_int_equal(kind, REPLAY_AT_EDGE);
    assert_int_equal(replay_timeline_now(b->timeline).icount, 0);
}

/* Forwards: a watchpoint is reported in front of the store. */
static void check_forwards(struct bench *b, const struct stops *stops,
                           const uint64_t *position, size_t count)
{
    struct replay_run run = {.limit = REPLAY_TIME_NEVER};
    struct replay_stop stop;
    enum replay_end_kind kind;
    set_stops(b, stops);
    seek(b, 0);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(replay_timeline_forward(b->timeline, &run, &kind, &stop),
                         ERR_ok);
        assert_int_equal(kind, REPLAY_AT_STOP);
        run.pass_watch = stop.kind == REPLAY_STOP_WATCH;
        assert_int_equal(stop.time.icount + run.pass_watch, position[i]);
    }
    assert_int_equal(replay_timeline_forward(b->timeline, &run, &kind, &stop), ERR_ok);
    assert_int_equal(kind, REPLAY_AT_EDGE);
    assert_int_equal(replay_timeline_now(b->timeline).icount,
                     b->debug.guest.end.icount);
}

static void test_stops(void **state)
{
    const uint64_t base = (uint64_t)1 << 32;
    static const struct replay_timeline_options how[] = {
        {.spacing = 3000},
        {.spacing = 100},
        {.spacing = 50, .memory_max = 200000}, /* lists of pages are merged */
    };
    static const struct replay_watch rare = {0x21ffc, 4, REPLAY_WATCH_WRITE};
    static const struct replay_watch often = {0x20040, 4, REPLAY_WATCH_WRITE};
    struct bench b = bench_new;
    size_t count;
    (void)state;
    struct replay_setup setup = counter_setup(&b);
    begin(&b, &setup);
    struct picture *all = take_all(&b, &count);
    uint64_t *position = arena_new_array(&b.arena, uint64_t, count);
    uint64_t pc_of_store;
    memcpy(&pc_of_store, all[4].reg + 8 * 16, 8); /* store_ind of the first lap */
    const struct stops set[] = {
        {.watch = {rare}, .watch_count = 1},
        {.watch = {often}, .watch_count = 1},
        {.watch = {often, rare}, .watch_count = 2},
        {.pc = {base}, .pc_count = 1},
        {.pc = {pc_of_store}, .pc_count = 1},
        {.pc = {base, pc_of_store}, .pc_count = 2, .watch = {rare}, .watch_count = 1},
    };
    for (size_t i = 0; i < countof(set); i++) {
        size_t found = list_stops(&b, all, count, &set[i], position);
        assert_true(found > 0);
        /* A breakpoint at the very first instruction is behind nobody. */
        bool first = position[0] == 0;
        for (size_t k = 0; k < countof(how); k++) {
            open_timeline(&b, &how[k]);
            check_backwards(&b, &set[i], position, found);
            check_forwards(&b, &set[i], position + first, found - first);
            close_timeline(&b);
        }
    }
    end(&b);
}

/* Stores that reach a watched byte from the line, or the page, before. */
static void test_straddling(void **state)
{
    static const char text[] = "load_imm t0, 0x20000\nload_imm_64 a0, 0x7000000000\n"
                               "fallthrough\nloop:\nadd_imm_64 a1, a1, 1\n"
                               "add_64 a0, a0, a0\nadd_imm_64 a0, a0, 1\n"
                               "store_ind_u64 a0, [t0 + 60]\n"
                               "store_ind_u64 a0, [t0 + 0xffc]\n"
                               "store_ind_u8 a1, [t0 + 127]\n"
                               "branch_lt_u_imm a1, 20, loop\ntrap\n";
    static const struct trace_uuu map = {0x20000, 0x4000, PVM_ACCESS_RW};
    static const struct replay_watch watch[] = {
        {0x20040, 4, REPLAY_WATCH_WRITE},
        {0x21000, 4, REPLAY_WATCH_WRITE},
        {0x2007f, 1, REPLAY_WATCH_WRITE},
    };
    struct bench b = bench_new;
    size_t count;
    (void)state;
    struct replay_setup setup = setup_of(assemble(&b.arena, text), PVM_PROFILE_JAVM);
    setup.gas = 100000000;
    setup.maps = (struct trace_list_uuu){&map, 1};
    begin(&b, &setup);
    struct picture *all = take_all(&b, &count);
    uint64_t *position = arena_new_array(&b.arena, uint64_t, count);
    for (size_t i = 0; i < countof(watch); i++) {
        const struct stops stops = {.watch = {watch[i]}, .watch_count = 1};
        size_t found = list_stops(&b, all, count, &stops, position);
        assert_int_equal(found, 20);
        open_timeline(&b, &(struct replay_timeline_options){.spacing = 30});
        check_backwards(&b, &stops, position, found);
        check_forwards(&b, &stops, position, found);
        close_timeline(&b);
    }
    end(&b);
}

/* Whole intervals whose pages are known are passed over. */
static void test_skips(void **state)
{
    static const struct replay_watch never = {0x23000, 8, REPLAY_WATCH_WRITE};
    const struct stops stops = {.watch = {never}, .watch_count = 1};
    struct bench b = bench_new;
    (void)state;
    struct replay_setup setup = counter_setup(&b);
    begin(&b, &setup);
    open_timeline(&b, &(struct replay_timeline_options){.spacing = 150});
    seek(&b, UINT64_MAX);
    uint64_t before = replay_timeline_stats(b.timeline).instruction_count;
    check_backwards(&b, &stops, NULL, 0);
    struct replay_timeline_stats stats = replay_timeline_stats(b.timeline);
    assert_true(stats.skipped_count > 20);
    assert_true(stats.instruction_count - before < 2000);
    close_timeline(&b);
    end(&b);
}

/* ---- calls: their reads and writes are accesses too ---- */

static void test_watch_of_calls(void **state)
{
    struct bench b = bench_new;
    (void)state;
    struct replay_setup setup = calc_setup(&b);
    begin(&b, &setup);
    open_timeline(&b, &(struct replay_timeline_options){0});
    /* The whole address space: the first access of all, and the last. */
    const struct stops all = {
        .watch = {{0, UINT64_C(1) << 32, REPLAY_WATCH_READ | REPLAY_WATCH_WRITE}},
        .watch_count = 1};
    struct replay_run run = {.limit = REPLAY_TIME_NEVER};
    struct replay_stop stop;
    enum replay_end_kind kind;
    set_stops(&b, &all);
    assert_int_equal(replay_timeline_forward(b.timeline, &run, &kind, &stop), ERR_ok);
    assert_int_equal(stop.kind, REPLAY_STOP_WATCH);
    seek(&b, UINT64_MAX);
    run = (struct replay_run){0};
    assert_int_equal(replay_timeline_backward(b.timeline, &run, &kind, &stop), ERR_ok);
    assert_int_equal(stop.kind, REPLAY_STOP_WATCH);
    assert_true(stop.time.icount > b.debug.guest.end.icount - 300);
    close_timeline(&b);
    end(&b);
}

/* ---- damage and strange traces ---- */

static void test_cut_off(void **state)
{
    struct bench b = bench_new;
    (void)state;
    struct replay_setup setup = calc_setup(&b);
    begin(&b, &setup);
    struct bytes whole = b.file;
    for (unsigned i = 1; i < 60; i++) {
        char message[REPLAY_DEBUG_MESSAGE_SIZE];
        b.file.size = whole.size * i / 60;
        if (replay_debug_open(&b.source, &b.debug, message)) {
            assert_true(message[0]);
            continue;
        }
        assert_int_equal(replay_timeline_create(&b.debug.guest,
                                                &(struct replay_timeline_options){0},
                                                &b.timeline),
                         ERR_ok);
        seek(&b, UINT64_MAX);
        bool moved;
        assert_int_equal(replay_timeline_step_back(b.timeline, &moved), ERR_ok);
        close_timeline(&b);
    }
    end(&b);
}

/* ---- a user who interrupts ---- */

struct listener {
    struct bench *bench;
    uint64_t polls, last, most_between;
};

/* Notes how far the guest goes between two questions. */
static bool listen_in(void *self)
{
    struct listener *l = self;
    uint64_t now = l->bench->debug.guest.ops->time(l->bench->debug.guest.self).icount;
    if (l->polls++ && now > l->last && now - l->last > l->most_between)
        l->most_between = now - l->last;
    l->last = now;
    return false;
}

/* Whatever is looked for, in whatever direction, the guest asks often enough; what that
 * is in milliseconds, the bench says. */
static void test_interrupts(void **state)
{
    (void)state;
    static const char text[] = "load_imm t0, 0x20000\nfallthrough\nloop:\n"
                               "add_imm_64 a0, a0, 1\nstore_ind_u32 a0, [t0 + 64]\n"
                               "branch_lt_u_imm a0, 700000, loop\ntrap\n";
    static const struct trace_uuu map = {0x20000, 0x2000, PVM_ACCESS_RW};
    static const uint64_t never = ((uint64_t)1 << 32);
    static const struct replay_watch watch = {0x21000, 4, REPLAY_WATCH_WRITE};
    struct bench b = bench_new;
    struct listener listener = {.bench = &b};
    const struct replay_timeline_options how = {.interrupted = listen_in,
                                                .interrupted_self = &listener};
    struct replay_setup setup = setup_of(assemble(&b.arena, text), PVM_PROFILE_VECTORS);
    setup.gas = 100000000;
    setup.maps = (struct trace_list_uuu){&map, 1};
    begin(&b, &setup);
    open_timeline(&b, &how);
    for (unsigned way = 0; way < 8; way++) {
        const struct replay_run run = {.limit = way & 1 ? (struct replay_time){0}
                                                        : REPLAY_TIME_NEVER};
        enum replay_end_kind how_ended;
        struct replay_stop stop;
        listener = (struct listener){.bench = &b};
        assert_int_equal(replay_timeline_set_stops(b.timeline, &never, way >> 1 & 1,
                                                   &watch, way >> 2),
                         ERR_ok);
        assert_int_equal((way & 1 ? replay_timeline_backward : replay_timeline_forward)(
                             b.timeline, &run, &how_ended, &stop),
                         ERR_ok);
        assert_true(listener.most_between <= REPLAY_INTERRUPT_EVERY);
        assert_true(way || listener.polls > 8);
    }
    close_timeline(&b);
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_replay),
        cmocka_unit_test(test_every_way),
        cmocka_unit_test(test_gas),
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_skips),
        cmocka_unit_test(test_straddling),
        cmocka_unit_test(test_watch_of_calls),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_interrupts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
