/* SPDX-License-Identifier: MIT
 *
 * The timer's modes against virtual time (machine.md 2.6).
 */
#include "tests/test.h"

#include "emu/pit.h"

static struct emu_pit pit;
static uint64_t seed;

static int setup(void **state)
{
    (void)state;
    emu_pit_reset(&pit);
    return 0;
}

/* The first instant of the tick that is `ticks` behind `vns`. */
static uint64_t after(uint64_t vns, uint64_t ticks)
{
    return emu_pit_tick_vns(emu_pit_tick(vns) + ticks);
}

static void load(unsigned channel, uint8_t control, unsigned count, uint64_t vns)
{
    emu_pit_write(&pit, 0x43, (uint8_t)(channel << 6 | 0x30 | control), vns);
    emu_pit_write(&pit, (uint16_t)(0x40 + channel), (uint8_t)count, vns);
    emu_pit_write(&pit, (uint16_t)(0x40 + channel), (uint8_t)(count >> 8), vns);
}

static unsigned read_latched(unsigned channel, uint64_t vns)
{
    emu_pit_write(&pit, 0x43, (uint8_t)(channel << 6), vns);
    unsigned low = emu_pit_read(&pit, (uint16_t)(0x40 + channel), vns + 5000000);
    return low | (unsigned)emu_pit_read(&pit, (uint16_t)(0x40 + channel), vns) << 8;
}

static void ticks_are_rounded_down(void **state)
{
    (void)state;
    assert_int_equal(emu_pit_tick(0), 0);
    assert_int_equal(emu_pit_tick(838), 0);
    assert_int_equal(emu_pit_tick(839), 1);
    assert_int_equal(emu_pit_tick(1000000000), 1193182);
    assert_int_equal(emu_pit_tick(UINT64_C(18000000000000000000)),
                     UINT64_C(18000000000) * 1193182);
    for (int i = 0; i < 10000; i++) {
        uint64_t tick = test_random(&seed) >> 20, vns = emu_pit_tick_vns(tick);
        assert_int_equal(emu_pit_tick(vns), tick);
        if (vns)
            assert_int_equal(emu_pit_tick(vns - 1), tick - 1);
    }
}

static void nothing_counts_after_reset(void **state)
{
    (void)state;
    assert_int_equal(emu_pit_deadline(&pit), EMU_NEVER);
    assert_false(emu_pit_take_edge(&pit, UINT64_C(1) << 60));
    assert_true(emu_pit_out(&pit, 0, 0));
}

static void mode_0_fires_once(void **state)
{
    (void)state;
    uint64_t now = 12345678;
    load(0, 0x00, 1000, now);
    assert_false(emu_pit_out(&pit, 0, now));
    assert_false(emu_pit_line(&pit, now));
    uint64_t end = after(now, 1000);
    assert_int_equal(emu_pit_deadline(&pit), end);
    assert_false(emu_pit_take_edge(&pit, end - 1));
    assert_false(emu_pit_out(&pit, 0, end - 1));
    assert_true(emu_pit_out(&pit, 0, end));
    assert_true(emu_pit_take_edge(&pit, end));
    assert_int_equal(emu_pit_deadline(&pit), EMU_NEVER);
    assert_false(emu_pit_take_edge(&pit, end + 1000000000));
    /* It counts on below zero. */
    assert_int_equal(read_latched(0, after(now, 1003)), 0xfffd);
}

static void the_first_byte_stops_mode_0(void **state)
{
    (void)state;
    load(0, 0x00, 1000, 0);
    emu_pit_write(&pit, 0x40, 5, after(0, 10));
    assert_int_equal(emu_pit_deadline(&pit), EMU_NEVER);
    emu_pit_write(&pit, 0x40, 0, after(0, 20));
    assert_int_equal(emu_pit_deadline(&pit), after(0, 25));
}

static void mode_2_is_periodic(void **state)
{
    (void)state;
    load(0, 0x04, 4773, 0); /* 250 Hz, as Linux asks */
    uint64_t last = 0;
    for (unsigned i = 1; i <= 1000; i++) {
        uint64_t deadline = emu_pit_deadline(&pit);
        assert_int_equal(deadline, emu_pit_tick_vns(i * 4773));
        assert_true(deadline - last >= 4000000 && deadline - last < 4001000);
        assert_false(emu_pit_take_edge(&pit, deadline - 1));
        assert_true(emu_pit_take_edge(&pit, deadline));
        last = deadline;
    }
    assert_int_equal(read_latched(0, last), 4773);
    assert_int_equal(read_latched(0, after(last, 1)), 4772);
    assert_int_equal(read_latched(0, after(last, 4772)), 1);
    assert_false(emu_pit_out(&pit, 0, after(last, 4772)));
    assert_true(emu_pit_out(&pit, 0, after(last, 4773)));
    /* Edges that nobody took count as one. */
    assert_true(emu_pit_take_edge(&pit, after(last, 10 * 4773 + 1)));
    assert_int_equal(emu_pit_deadline(&pit), after(last, 11 * 4773));
}

static void mode_3_is_a_square_wave(void **state)
{
    (void)state;
    load(2, 0x06, 101, 0);
    emu_pit_set_gate(&pit, true, 0);
    assert_true(emu_pit_out(&pit, 2, after(0, 50)));
    assert_false(emu_pit_out(&pit, 2, after(0, 51)));
    assert_false(emu_pit_out(&pit, 2, after(0, 100)));
    assert_true(emu_pit_out(&pit, 2, after(0, 101)));
    load(2, 0x06, 100, 0);
    assert_int_equal(read_latched(2, after(0, 1)), 98);
    assert_int_equal(read_latched(2, after(0, 51)), 98);
}

static void mode_4_is_a_one_shot(void **state)
{
    (void)state;
    load(0, 0x08, 5, 0);
    assert_true(emu_pit_out(&pit, 0, after(0, 4)));
    assert_false(emu_pit_out(&pit, 0, after(0, 5)));
    assert_true(emu_pit_out(&pit, 0, after(0, 6)));
    assert_int_equal(emu_pit_deadline(&pit), after(0, 5));
    assert_true(emu_pit_take_edge(&pit, after(0, 5)));
    assert_int_equal(emu_pit_deadline(&pit), EMU_NEVER);
    /* Loading alone starts it again. */
    emu_pit_write(&pit, 0x40, 7, 1000000);
    emu_pit_write(&pit, 0x40, 0, 1000000);
    assert_int_equal(emu_pit_deadline(&pit), after(1000000, 7));
}

static void modes_1_and_5_wait_for_the_gate(void **state)
{
    (void)state;
    load(2, 0x02, 10, 0);
    assert_true(emu_pit_out(&pit, 2, after(0, 100)));
    emu_pit_set_gate(&pit, true, after(0, 100));
    assert_false(emu_pit_out(&pit, 2, after(0, 109)));
    assert_true(emu_pit_out(&pit, 2, after(0, 110)));
    emu_pit_set_gate(&pit, false, after(0, 200));
    load(2, 0x0a, 10, after(0, 200));
    emu_pit_set_gate(&pit, true, after(0, 300));
    assert_true(emu_pit_out(&pit, 2, after(0, 309)));
    assert_false(emu_pit_out(&pit, 2, after(0, 310)));
    assert_true(emu_pit_out(&pit, 2, after(0, 311)));
}

static void a_low_gate_freezes_channel_2(void **state)
{
    (void)state;
    load(2, 0x00, 1000, 0);
    assert_int_equal(read_latched(2, after(0, 500)), 1000); /* the gate is low */
    emu_pit_set_gate(&pit, true, after(0, 500));
    assert_int_equal(read_latched(2, after(0, 600)), 900);
    emu_pit_set_gate(&pit, false, after(0, 600));
    assert_int_equal(read_latched(2, after(0, 5000)), 900);
    emu_pit_set_gate(&pit, true, after(0, 5000));
    assert_false(emu_pit_out(&pit, 2, after(0, 5899)));
    assert_true(emu_pit_out(&pit, 2, after(0, 5900)));
}

static void read_back_shows_status(void **state)
{
    (void)state;
    emu_pit_write(&pit, 0x43, 0xe2, 0); /* after reset no null count */
    assert_int_equal(emu_pit_read(&pit, 0x40, 0), 0xb6);
    emu_pit_write(&pit, 0x43, 0x34, 0);
    emu_pit_write(&pit, 0x43, 0xe2, 0);                  /* status only, channel 0 */
    assert_int_equal(emu_pit_read(&pit, 0x40, 0), 0xf4); /* OUT, null count, both, 2 */
    emu_pit_write(&pit, 0x40, 0x10, 0);
    emu_pit_write(&pit, 0x40, 0x00, 0);
    emu_pit_write(&pit, 0x43, 0xc2, 0); /* status and count */
    assert_int_equal(emu_pit_read(&pit, 0x40, 900000), 0xb4);
    assert_int_equal(emu_pit_read(&pit, 0x40, 900000), 0x10);
    assert_int_equal(emu_pit_read(&pit, 0x40, 900000), 0x00);
    assert_int_equal(emu_pit_read(&pit, 0x43, 0), 0xff);
}

static void access_modes_and_bcd(void **state)
{
    (void)state;
    emu_pit_write(&pit, 0x43, 0x14, 0); /* low byte */
    emu_pit_write(&pit, 0x40, 0x80, 0);
    assert_int_equal(emu_pit_deadline(&pit), emu_pit_tick_vns(0x80));
    emu_pit_write(&pit, 0x43, 0x24, 0); /* high byte */
    emu_pit_write(&pit, 0x40, 0x80, 0);
    assert_int_equal(emu_pit_deadline(&pit), emu_pit_tick_vns(0x8000));
    assert_int_equal(emu_pit_read(&pit, 0x40, 0), 0x80);
    load(0, 0x05, 0x1234, 0); /* BCD */
    assert_int_equal(emu_pit_deadline(&pit), emu_pit_tick_vns(1234));
    assert_int_equal(read_latched(0, after(0, 5)), 0x1229);
    load(0, 0x00, 0, 0);
    assert_int_equal(emu_pit_deadline(&pit), emu_pit_tick_vns(0x10000));
}

/* Count, output and deadline of any mode agree with counting tick by tick. */
static void deadlines_agree_with_out(void **state)
{
    (void)state;
    static const uint8_t mode[] = {0x00, 0x04, 0x06, 0x08};
    for (int i = 0; i < 200; i++) {
        emu_pit_reset(&pit);
        unsigned count = 2 + (unsigned)(test_random(&seed) % 50);
        uint64_t now = test_random(&seed) >> 24;
        load(0, mode[i % 4], count, now);
        uint64_t deadline = emu_pit_deadline(&pit);
        unsigned ticks = 1;
        bool last = emu_pit_out(&pit, 0, now);
        /* Mode 4 fires at its low tick, one before the edge. */
        for (; ticks < 100; ticks++) {
            bool level = emu_pit_out(&pit, 0, after(now, ticks));
            if (i % 4 == 3 ? !level : level && !last)
                break;
            last = level;
        }
        if (deadline != after(now, ticks))
            test_reproduce("emu_pit", seed);
        assert_int_equal(deadline, after(now, ticks));
    }
}

int main(void)
{
    seed = test_seed(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(ticks_are_rounded_down, setup),
        cmocka_unit_test_setup(nothing_counts_after_reset, setup),
        cmocka_unit_test_setup(mode_0_fires_once, setup),
        cmocka_unit_test_setup(the_first_byte_stops_mode_0, setup),
        cmocka_unit_test_setup(mode_2_is_periodic, setup),
        cmocka_unit_test_setup(mode_3_is_a_square_wave, setup),
        cmocka_unit_test_setup(mode_4_is_a_one_shot, setup),
        cmocka_unit_test_setup(modes_1_and_5_wait_for_the_gate, setup),
        cmocka_unit_test_setup(a_low_gate_freezes_channel_2, setup),
        cmocka_unit_test_setup(read_back_shows_status, setup),
        cmocka_unit_test_setup(access_modes_and_bcd, setup),
        cmocka_unit_test_setup(deadlines_agree_with_out, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
