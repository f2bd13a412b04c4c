/* SPDX-License-Identifier: MIT
 *
 * The clock is a function of virtual time; only flags and what was set are stored.
 *
 * While register B says SET, the time registers are plain memory.  Clearing SET, or
 * writing a time register without it, turns the registers into the offset.
 */
#include "emu/rtc.h"

#include "emu/pit.h"

#include <string.h>

#define NS_PER_S UINT64_C(1000000000)

enum {
    SECOND = 0x00,
    MINUTE = 0x02,
    HOUR = 0x04,
    WEEKDAY = 0x06,
    DAY = 0x07,
    MONTH = 0x08,
    YEAR = 0x09,
    REG_A = 0x0a,
    REG_B = 0x0b,
    REG_C = 0x0c,
    REG_D = 0x0d,
    CENTURY = 0x32,
};

enum { A_DIVIDER = 0x70, A_RUNS = 0x20, A_RATE = 0x0f };
enum { B_SET = 0x80, B_BINARY = 0x04, B_24H = 0x02 };
enum { PERIODIC = 0x40, ALARM = 0x20, UPDATE = 0x10, FLAGS = 0x70, IRQF = 0x80 };

void emu_rtc_reset(struct emu_rtc *rtc, uint64_t epoch)
{
    *rtc = (struct emu_rtc){.epoch = epoch};
    rtc->cmos[REG_A] = 0x26;
    rtc->cmos[REG_B] = B_24H;
    rtc->cmos[REG_D] = 0x80;
    rtc->second = epoch / NS_PER_S;
}

/* ---- calendar ---- */

struct date {
    unsigned year, month, day, hour, minute, second, weekday; /* Sunday is 1 */
};

/* Days since 1970 of a proleptic Gregorian date, counted in years that begin in
 * March, so that the leap day is the last one. */
static int64_t days_of(unsigned year, unsigned month, unsigned day)
{
    int64_t y = (int64_t)year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400, in_era = y - era * 400;
    int64_t in_year = (153 * (int64_t)((month + 9) % 12) + 2) / 5 + (int64_t)day - 1;
    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

static struct date date_of(uint64_t second)
{
    struct date date;
    uint64_t day = second / 86400, in_day = second % 86400;
    date.hour = (unsigned)(in_day / 3600);
    date.minute = (unsigned)(in_day / 60 % 60);
    date.second = (unsigned)(in_day % 60);
    date.weekday = (unsigned)((day + 4) % 7 + 1);
    uint64_t z = day + 719468, era = z / 146097, doe = z % 146097;
    uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    date.day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
    date.month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    date.year = (unsigned)(yoe + era * 400 + (date.month <= 2));
    return date;
}

static uint64_t second_of(const struct emu_rtc *rtc, uint64_t vns)
{
    return (rtc->epoch + vns) / NS_PER_S + (uint64_t)rtc->offset;
}

/* ---- the registers' formats ---- */

static uint8_t encode(const struct emu_rtc *rtc, unsigned value)
{
    if (rtc->cmos[REG_B] & B_BINARY)
        return (uint8_t)value;
    return (uint8_t)(value / 10 % 10 << 4 | value % 10);
}

static unsigned decode(const struct emu_rtc *rtc, uint8_t value)
{
    if (rtc->cmos[REG_B] & B_BINARY)
        return value;
    return (value >> 4) * 10u + (value & 15u);
}

static uint8_t encode_hour(const struct emu_rtc *rtc, unsigned hour)
{
    if (rtc->cmos[REG_B] & B_24H)
        return encode(rtc, hour);
    uint8_t code = encode(rtc, hour % 12 ? hour % 12 : 12);
    return hour >= 12 ? code | 0x80 : code;
}

static unsigned decode_hour(const struct emu_rtc *rtc, uint8_t value)
{
    if (rtc->cmos[REG_B] & B_24H)
        return decode(rtc, value);
    return decode(rtc, value & 0x7f) % 12 + (value & 0x80 ? 12 : 0);
}

/* Write the time of `second` into the registers. */
static void show(struct emu_rtc *rtc, uint64_t second)
{
    struct date date = date_of(second);
    rtc->cmos[SECOND] = encode(rtc, date.second);
    rtc->cmos[MINUTE] = encode(rtc, date.minute);
    rtc->cmos[HOUR] = encode_hour(rtc, date.hour);
    rtc->cmos[WEEKDAY] = encode(rtc, date.weekday);
    rtc->cmos[DAY] = encode(rtc, date.day);
    rtc->cmos[MONTH] = encode(rtc, date.month);
    rtc->cmos[YEAR] = encode(rtc, date.year % 100);
    rtc->cmos[CENTURY] = encode(rtc, date.year / 100 % 100);
}

/* The second that the registers show.  Nonsense counts on: the 31st of February is the
 * 2nd or 3rd of March. */
static uint64_t shown(const struct emu_rtc *rtc)
{
    unsigned year =
        decode(rtc, rtc->cmos[CENTURY]) * 100 + decode(rtc, rtc->cmos[YEAR]);
    unsigned month = (decode(rtc, rtc->cmos[MONTH]) + 11) % 12 + 1;
    int64_t day = days_of(year, month, decode(rtc, rtc->cmos[DAY]));
    return (uint64_t)day * 86400 + decode_hour(rtc, rtc->cmos[HOUR]) * 3600u +
           decode(rtc, rtc->cmos[MINUTE]) * 60u + decode(rtc, rtc->cmos[SECOND]);
}

static bool is_time(unsigned index)
{
    return index == SECOND || index == MINUTE || index == HOUR ||
           (index >= WEEKDAY && index <= YEAR) || index == CENTURY;
}

static void set_from_registers(struct emu_rtc *rtc, uint64_t vns)
{
    rtc->offset = (int64_t)(shown(rtc) - (rtc->epoch + vns) / NS_PER_S);
    rtc->second = second_of(rtc, vns);
}

/* ---- flags ---- */

/* Periods of the periodic flag since step 0; 0 for a rate of none. */
static uint64_t period(const struct emu_rtc *rtc)
{
    unsigned rate = rtc->cmos[REG_A] & A_RATE;
    if (!rate || (rtc->cmos[REG_A] & A_DIVIDER) != A_RUNS)
        return 0;
    if (rate < 3)
        rate += 7; /* with a 32,768 Hz crystal, 1 and 2 are 8 and 9 */
    return (uint64_t)1 << (rate - 1); /* in ticks of 32,768 Hz */
}

/* Virtual time is at most 2^64 ns, so this fits. */
static uint64_t crystal(uint64_t vns)
{
    return vns / NS_PER_S * 32768 + vns % NS_PER_S * 32768 / NS_PER_S;
}

static uint64_t crystal_vns(uint64_t tick)
{
    uint64_t second = tick / 32768;
    if (second >= UINT64_MAX / NS_PER_S - 1)
        return EMU_NEVER;
    return second * NS_PER_S + (tick % 32768 * NS_PER_S + 32767) / 32768;
}

static bool alarm_matches(uint8_t alarm, uint8_t now)
{
    return alarm >= 0xc0 || alarm == now; /* c0..ff: any */
}

static bool alarm_now(const struct emu_rtc *rtc)
{
    struct date date = date_of(rtc->second);
    return alarm_matches(rtc->cmos[SECOND + 1], encode(rtc, date.second)) &&
           alarm_matches(rtc->cmos[MINUTE + 1], encode(rtc, date.minute)) &&
           alarm_matches(rtc->cmos[HOUR + 1], encode_hour(rtc, date.hour));
}

void emu_rtc_update(struct emu_rtc *rtc, uint64_t vns)
{
    uint64_t second = second_of(rtc, vns), step = period(rtc);
    bool runs = !(rtc->cmos[REG_B] & B_SET) && (rtc->cmos[REG_A] & A_DIVIDER) == A_RUNS;
    if (second != rtc->second) {
        rtc->second = second;
        if (runs)
            rtc->cmos[REG_C] |= UPDATE | (alarm_now(rtc) ? ALARM : 0);
    }
    if (step && crystal(vns) / step != rtc->beat) {
        rtc->beat = crystal(vns) / step;
        rtc->cmos[REG_C] |= PERIODIC;
    }
    rtc->cmos[REG_C] &= FLAGS;
    if (rtc->cmos[REG_C] & rtc->cmos[REG_B] & FLAGS)
        rtc->cmos[REG_C] |= IRQF;
}

bool emu_rtc_line(const struct emu_rtc *rtc)
{
    return rtc->cmos[REG_C] & IRQF;
}

/* The alarm is looked at every second; its flag may not be set then. */
uint64_t emu_rtc_deadline(const struct emu_rtc *rtc, uint64_t vns)
{
    uint64_t deadline = EMU_NEVER, enabled = rtc->cmos[REG_B] & FLAGS;
    enabled &= (uint64_t)~rtc->cmos[REG_C];
    if (enabled & (UPDATE | ALARM) && !(rtc->cmos[REG_B] & B_SET))
        deadline = vns + NS_PER_S - (rtc->epoch + vns) % NS_PER_S;
    uint64_t step = period(rtc);
    if (enabled & PERIODIC && step) {
        uint64_t beat = crystal_vns((crystal(vns) / step + 1) * step);
        if (beat < deadline)
            deadline = beat;
    }
    return deadline;
}

/* ---- ports ---- */

uint8_t emu_rtc_read(struct emu_rtc *rtc, uint16_t port, uint64_t vns)
{
    unsigned index = rtc->index;
    if (!(port & 1))
        return 0xff; /* port 70 is write only */
    if (is_time(index) && !(rtc->cmos[REG_B] & B_SET))
        show(rtc, second_of(rtc, vns));
    if (index != REG_C)
        return rtc->cmos[index];
    emu_rtc_update(rtc, vns);
    uint8_t flags = rtc->cmos[REG_C];
    rtc->cmos[REG_C] = 0;
    return flags;
}

static void write_register(struct emu_rtc *rtc, uint8_t value, uint64_t vns)
{
    uint8_t was = rtc->cmos[REG_B];
    switch (rtc->index) {
    case REG_A:
        rtc->cmos[REG_A] = value & 0x7f;
        rtc->beat = period(rtc) ? crystal(vns) / period(rtc) : 0;
        break;
    case REG_B:
        if (value & B_SET && !(was & B_SET))
            show(rtc, second_of(rtc, vns));
        rtc->cmos[REG_B] = value;
        if (!(value & B_SET) && was & B_SET)
            set_from_registers(rtc, vns);
        emu_rtc_update(rtc, vns);
        break;
    default: /* C and D are read only */
        break;
    }
}

void emu_rtc_write(struct emu_rtc *rtc, uint16_t port, uint8_t value, uint64_t vns)
{
    if (!(port & 1)) {
        rtc->index = value & 0x7f;
        return;
    }
    emu_rtc_update(rtc, vns);
    if (rtc->index >= REG_A && rtc->index <= REG_D) {
        write_register(rtc, value, vns);
        return;
    }
    bool sets = is_time(rtc->index) && !(rtc->cmos[REG_B] & B_SET);
    if (sets)
        show(rtc, second_of(rtc, vns));
    rtc->cmos[rtc->index] = value;
    if (sets)
        set_from_registers(rtc, vns);
}
