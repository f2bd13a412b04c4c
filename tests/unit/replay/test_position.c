/* SPDX-License-Identifier: MIT
 *
 * Places on the time line: their text, and replays that stop there.
 */
#include "tests/unit/replay/run.h"

#include <string.h>

static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum replay_position_kind kind;
        uint64_t value;
    } good[] = {
        {"0", REPLAY_AT_ICOUNT, 0},
        {"9417332", REPLAY_AT_ICOUNT, 9417332},
        {"0x1f", REPLAY_AT_ICOUNT, 31},
        {"18446744073709551615", REPLAY_AT_ICOUNT, UINT64_MAX},
        {"0xffffffffffffffff", REPLAY_AT_ICOUNT, UINT64_MAX},
        {"e:12", REPLAY_AT_EVENT, 12},
        {"g:0x10", REPLAY_AT_GAS, 16},
        {"50%", REPLAY_AT_PERCENT, 50},
        {"100%", REPLAY_AT_PERCENT, 100},
        {"start", REPLAY_AT_START, 0},
        {"end", REPLAY_AT_END, 0},
        {"+7", REPLAY_AT_FORWARD, 7},
        {"-0x7", REPLAY_AT_BACKWARD, 7},
        {"12+0", REPLAY_AT_ICOUNT, 12},
    };
    static const char *const bad[] = {
        "",
        "x",
        "0x",
        "1x",
        "e:",
        "e:x",
        "g:-1",
        "101%",
        "%",
        "start1",
        "en",
        "--1",
        "+",
        "1..2",
        " 1",
        "1 ",
        "1e3",
        "e:5%",
        "0xg",
        "+5%",
        "1+",
        "1+2+3",
        "5%+1",
        "e:1+2",
        "18446744073709551616",
        "0x10000000000000000",
    };
    for (size_t i = 0; i < countof(good); i++) {
        struct replay_position position = {.kind = REPLAY_AT_GAS, .value = 99};
        assert_true(replay_position_parse(good[i].text, &position));
        assert_int_equal(position.kind, good[i].kind);
        assert_int_equal(position.value, good[i].value);
    }
    for (size_t i = 0; i < countof(bad); i++) {
        struct replay_position position = {.kind = REPLAY_AT_GAS, .value = 99};
        assert_false(replay_position_parse(bad[i], &position));
        assert_int_equal(position.value, 99);
    }
}

static void test_parse_range(void **state)
{
    (void)state;
    struct replay_position from, to;
    assert_true(replay_range_parse("e:3..+100", &from, &to));
    assert_int_equal(from.kind, REPLAY_AT_EVENT);
    assert_int_equal(to.kind, REPLAY_AT_FORWARD);
    assert_true(replay_range_parse("..", &from, &to));
    assert_int_equal(from.kind, REPLAY_AT_START);
    assert_int_equal(to.kind, REPLAY_AT_END);
    assert_true(replay_range_parse("10%..end", &from, &to));
    assert_int_equal(from.kind, REPLAY_AT_PERCENT);
    assert_false(replay_range_parse("1", &from, &to));
    assert_false(replay_range_parse("1..2..3", &from, &to));
    assert_false(replay_range_parse("a..", &from, &to));
}

/* ---- replays that stop ---- */

/* Reads twice, branches, writes: 5 ecalls between stretches of code. */
static const char text[] = "    load_imm s1, 2\n"
                           "    fallthrough\n"
                           "again:\n"
                           "    load_imm a0, 0\n"
                           "    load_imm a1, 0x20000\n"
                           "    load_imm a2, 4\n"
                           "    ecalli 67\n"
                           "    load_imm a0, 1\n"
                           "    ecalli 68\n"
                           "    load_u32 a3, [0x20000]\n"
                           "    add_imm_64 s1, s1, -1\n"
                           "    branch_ne_imm s1, 0, again\n"
                           "    load_imm a0, 1\n"
                           "    ecalli 72\n"
                           "    add_imm_64 a0, a0, 1\n"
                           "    trap\n";
static const struct trace_uuu map[] = {{0x20000, 0x1000, PVM_ACCESS_RW}};

static void record_text(struct arena *arena, struct recording *r,
                        enum pvm_profile profile, enum pvm_gas_log log)
{
    struct script script = {.input = "read this", .clock = 5};
    struct replay_host host = script_host(&script);
    struct replay_setup setup = setup_of(assemble(arena, text), profile);
    setup.maps = (struct trace_list_uuu){map, 1};
    setup.gas_log = log;
    setup.digest_every = 1;
    setup.hash_every = 7;
    record(r, &setup, &host, false);
    buf_fini(&script.output);
}

static struct replay_report replay_to(const struct recording *r,
                                      enum replay_position_kind kind, uint64_t value)
{
    const struct replay_options options = {.to = {.kind = kind, .value = value}};
    return replay_bytes(recording_bytes(r), &options);
}

static void test_every_icount(void **state)
{
    (void)state;
    for (int profile = 0; profile < 2; profile++) {
        for (int log = PVM_GAS_LOG_LEDGER; log <= PVM_GAS_LOG_SUMMARY; log++) {
            struct arena arena;
            struct recording r;
            arena_init(&arena, (size_t)1 << 26);
            record_text(&arena, &r, (enum pvm_profile)profile, (enum pvm_gas_log)log);
            uint64_t end = r.result.clock.icount, gas = r.state.gas;
            assert_int_equal(r.result.ecall_count, 5);
            for (uint64_t n = 0; n < end; n++) {
                struct replay_report report = replay_to(&r, REPLAY_AT_ICOUNT, n);
                assert_int_equal(report.class, REPLAY_STOPPED);
                assert_int_equal(report.state.icount, n);
                assert_true(report.state.gas >= gas);
            }
            /* The last one: a0 is the clock's answer, the add is next. */
            struct replay_report report = replay_to(&r, REPLAY_AT_ICOUNT, end - 1);
            assert_int_equal(report.state.reg[7] + 1, r.state.reg[7]);
            assert_int_equal(replay_to(&r, REPLAY_AT_ICOUNT, end + 1).class,
                             REPLAY_SAME);
            assert_int_equal(replay_to(&r, REPLAY_AT_START, 0).state.icount, 0);
            assert_int_equal(replay_to(&r, REPLAY_AT_END, 0).class, REPLAY_SAME);
            recording_fini(&r);
            arena_fini(&arena);
        }
    }
}

static void test_every_event(void **state)
{
    (void)state;
    struct arena arena;
    struct recording r;
    uint64_t icount = 0;
    arena_init(&arena, (size_t)1 << 26);
    record_text(&arena, &r, PVM_PROFILE_JAVM, PVM_GAS_LOG_LEDGER);
    for (uint64_t seq = 0; seq < r.event_count; seq++) {
        struct replay_report report = replay_to(&r, REPLAY_AT_EVENT, seq);
        if (report.class == REPLAY_SAME) {
            /* At the end there is nowhere to stop. */
            assert_true(seq + 6 > r.event_count);
            continue;
        }
        assert_int_equal(report.class, REPLAY_STOPPED);
        assert_true(report.state.icount >= icount);
        icount = report.state.icount;
    }
    assert_true(icount > 10);
    recording_fini(&r);
    arena_fini(&arena);
}

static void test_gas_and_percent(void **state)
{
    (void)state;
    struct arena arena;
    struct recording r;
    uint64_t last = 0;
    arena_init(&arena, (size_t)1 << 26);
    record_text(&arena, &r, PVM_PROFILE_VECTORS, PVM_GAS_LOG_LEDGER);
    for (uint64_t gas = 0; gas <= r.result.clock.gas; gas++) {
        struct replay_report report = replay_to(&r, REPLAY_AT_GAS, gas);
        if (report.class == REPLAY_SAME)
            break; /* inside the last block */
        assert_int_equal(report.class, REPLAY_STOPPED);
        assert_true(1000000 - report.state.gas >= gas);
        assert_false(report.state.charged);
    }
    for (unsigned percent = 0; percent < 100; percent += 9) {
        struct replay_report report = replay_to(&r, REPLAY_AT_PERCENT, percent);
        assert_int_equal(report.class, REPLAY_STOPPED);
        assert_true(report.state.icount >= last);
        last = report.state.icount;
    }
    assert_true(last > r.result.clock.icount / 2);
    recording_fini(&r);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),           cmocka_unit_test(test_parse_range),
        cmocka_unit_test(test_every_icount),    cmocka_unit_test(test_every_event),
        cmocka_unit_test(test_gas_and_percent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
