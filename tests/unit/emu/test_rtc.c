/* SPDX-License-Identifier: MIT
 *
 * The clock against dates known elsewhere, its formats and interrupts (machine.md 2.7).
 */
#include "tests/test.h"

#include "emu/pit.h"
#include "emu/rtc.h"

#include <time.h>

#define NS UINT64_C(1000000000)

static struct emu_rtc rtc;
static uint64_t seed;

static int setup(void **state)
{
    (void)state;
    emu_rtc_reset(&rtc, 1700000000 * NS); /* Tuesday, 2023-11-14 22:13:20 */
    return 0;
}

static uint8_t get(uint8_t index, uint64_t vns)
{
    emu_rtc_write(&rtc, 0x70, index, vns);
    return emu_rtc_read(&rtc, 0x71, vns);
}

static void put(uint8_t index, uint8_t value, uint64_t vns)
{
    emu_rtc_write(&rtc, 0x70, index, vns);
    emu_rtc_write(&rtc, 0x71, value, vns);
}

static void expect_time(const uint8_t want[8], uint64_t vns)
{
    static const uint8_t index[8] = {0x32, 9, 8, 7, 6, 4, 2, 0};
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(get(index[i], vns), want[i]);
}

static void shows_the_epoch(void **state)
{
    (void)state;
    expect_time((const uint8_t[8]){0x20, 0x23, 0x11, 0x14, 3, 0x22, 0x13, 0x20}, 0);
    expect_time((const uint8_t[8]){0x20, 0x23, 0x11, 0x14, 3, 0x22, 0x13, 0x21}, NS);
    expect_time((const uint8_t[8]){0x20, 0x23, 0x11, 0x15, 4, 0x00, 0x00, 0x00},
                6400 * NS);
    assert_int_equal(get(0x0a, 0), 0x26);
    assert_int_equal(get(0x0b, 0), 0x02);
    assert_int_equal(get(0x0d, 0), 0x80);
    assert_int_equal(get(0x80, 0), 0x20); /* bit 7 of the index is no index */
}

static void formats_follow_register_b(void **state)
{
    (void)state;
    put(0x0b, 0x06, 0); /* binary */
    expect_time((const uint8_t[8]){20, 23, 11, 14, 3, 22, 13, 20}, 0);
    put(0x0b, 0x00, 0); /* 12 hours, BCD */
    assert_int_equal(get(4, 0), 0x90);
    assert_int_equal(get(4, 6400 * NS), 0x12);              /* midnight */
    assert_int_equal(get(4, 6400 * NS + 43200 * NS), 0x92); /* noon */
}

/* The C library of the host as a second opinion, over leap years and centuries. */
static void dates_agree_with_the_host(void **state)
{
    (void)state;
    for (int i = 0; i < 2000; i++) {
        time_t when = (time_t)(test_random(&seed) % UINT64_C(8000000000));
        struct tm tm;
        gmtime_r(&when, &tm);
        emu_rtc_reset(&rtc, (uint64_t)when * NS);
        put(0x0b, 0x06, 0);
        int year = tm.tm_year + 1900;
        expect_time((const uint8_t[8]){(uint8_t)(year / 100), (uint8_t)(year % 100),
                                       (uint8_t)(tm.tm_mon + 1), (uint8_t)tm.tm_mday,
                                       (uint8_t)(tm.tm_wday + 1), (uint8_t)tm.tm_hour,
                                       (uint8_t)tm.tm_min, (uint8_t)tm.tm_sec},
                    0);
    }
}

static void setting_changes_an_offset(void **state)
{
    (void)state;
    put(0x0b, 0x82, 5 * NS);
    static const uint8_t index[] = {0x32, 9, 8, 7, 4, 2, 0};
    static const uint8_t value[] = {0x20, 0x24, 0x02, 0x29, 0x12, 0x00, 0x00};
    for (unsigned i = 0; i < 7; i++)
        put(index[i], value[i], 5 * NS);
    assert_int_equal(get(0, 9 * NS), 0x00); /* stands still while SET */
    put(0x0b, 0x02, 9 * NS);
    expect_time((const uint8_t[8]){0x20, 0x24, 0x02, 0x29, 5, 0x12, 0x00, 0x01},
                10 * NS);
    put(2, 0x30, 10 * NS); /* without SET */
    expect_time((const uint8_t[8]){0x20, 0x24, 0x02, 0x29, 5, 0x12, 0x30, 0x01},
                10 * NS);
    assert_int_equal(rtc.epoch, 1700000000 * NS);
}

static void memory_is_kept(void **state)
{
    (void)state;
    put(0x40, 0xa5, 0);
    assert_int_equal(get(0x40, 100 * NS), 0xa5);
    put(0x0d, 0x00, 0);
    assert_int_equal(get(0x0d, 0), 0x80);
}

static void update_interrupt(void **state)
{
    (void)state;
    emu_rtc_reset(&rtc, 1700000000 * NS + NS / 4);
    assert_int_equal(emu_rtc_deadline(&rtc, 0), EMU_NEVER);
    put(0x0b, 0x12, 0);
    assert_int_equal(emu_rtc_deadline(&rtc, 0), 3 * NS / 4);
    emu_rtc_update(&rtc, 3 * NS / 4 - 1);
    assert_false(emu_rtc_line(&rtc));
    emu_rtc_update(&rtc, 3 * NS / 4);
    assert_true(emu_rtc_line(&rtc));
    assert_int_equal(emu_rtc_deadline(&rtc, 3 * NS / 4), EMU_NEVER); /* flag is set */
    assert_int_equal(get(0x0c, NS) & 0xb0, 0x90); /* bit 6: beats go on */
    assert_false(emu_rtc_line(&rtc));
    assert_int_equal(get(0x0c, NS), 0x00); /* reading cleared it */
    assert_int_equal(emu_rtc_deadline(&rtc, NS), 7 * NS / 4);
}

static void alarm_interrupt(void **state)
{
    (void)state;
    put(0x01, 0x23, 0);
    put(0x03, 0xff, 0);
    put(0x05, 0x22, 0);
    put(0x0b, 0x22, 0);
    unsigned fired = 0;
    for (uint64_t t = 0; fired == 0 && t < 60; t++) {
        uint64_t deadline = emu_rtc_deadline(&rtc, t * NS);
        assert_int_equal(deadline, (t + 1) * NS);
        emu_rtc_update(&rtc, deadline);
        fired = emu_rtc_line(&rtc) ? (unsigned)t + 1 : 0;
    }
    assert_int_equal(fired, 3); /* at 22:13:23 */
    assert_int_equal(get(0x0c, 3 * NS) & 0xb0, 0xb0);
}

static void periodic_interrupt(void **state)
{
    (void)state;
    put(0x0b, 0x42, 0);
    uint64_t now = 0;
    for (unsigned i = 1; i <= 1024; i++) { /* rate 6: 1024 Hz */
        now = emu_rtc_deadline(&rtc, now);
        emu_rtc_update(&rtc, now);
        assert_true(emu_rtc_line(&rtc));
        assert_true(get(0x0c, now) & 0x40);
    }
    assert_int_equal(now, NS);
    put(0x0a, 0x20, now);
    assert_int_equal(emu_rtc_deadline(&rtc, now), EMU_NEVER);
}

int main(void)
{
    seed = test_seed(2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(shows_the_epoch, setup),
        cmocka_unit_test_setup(formats_follow_register_b, setup),
        cmocka_unit_test_setup(dates_agree_with_the_host, setup),
        cmocka_unit_test_setup(setting_changes_an_offset, setup),
        cmocka_unit_test_setup(memory_is_kept, setup),
        cmocka_unit_test_setup(update_interrupt, setup),
        cmocka_unit_test_setup(alarm_interrupt, setup),
        cmocka_unit_test_setup(periodic_interrupt, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
