/* SPDX-License-Identifier: MIT
 *
 * Counters without counting: each question is answered from the tick of the last load.
 */
#include "emu/pit.h"

#include <string.h>

#define NS_PER_S 1000000000u

__extension__ typedef unsigned __int128 u128;

uint64_t emu_pit_tick(uint64_t vns)
{
    return (uint64_t)((u128)vns * EMU_PIT_HZ / NS_PER_S);
}

uint64_t emu_pit_tick_vns(uint64_t tick)
{
    u128 vns = ((u128)tick * NS_PER_S + EMU_PIT_HZ - 1) / EMU_PIT_HZ;
    return vns < EMU_NEVER ? (uint64_t)vns : EMU_NEVER;
}

void emu_pit_reset(struct emu_pit *pit)
{
    *pit = (struct emu_pit){0};
    for (unsigned i = 0; i < 3; i++) {
        pit->channel[i].mode = 3; /* with OUT high */
        pit->channel[i].access = 3;
        /* No "null count": Linux without TSC reads channel 0 for randomness before it
         * programs it, and waits for that bit to fall. */
        pit->channel[i].loaded = i == 0;
        pit->channel[i].gate = i != 2;
    }
}

/* ---- count and output ---- */

/* The number of ticks that the reload value stands for. */
static uint64_t length(const struct emu_pit_channel *c)
{
    unsigned n = c->count;
    if (!c->bcd)
        return n ? n : 0x10000;
    unsigned decimal = (n >> 12) * 1000 + (n >> 8 & 15) * 100 + (n >> 4 & 15) * 10;
    decimal += n & 15;
    return decimal ? decimal : 10000;
}

static bool is_periodic(const struct emu_pit_channel *c)
{
    return c->mode == 2 || c->mode == 3;
}

/* Modes 1 and 5 start at a trigger; for the others a low gate stops the count. */
static bool gate_stops(const struct emu_pit_channel *c)
{
    return c->mode != 1 && c->mode != 5;
}

/* Ticks counted since the load. */
static uint64_t elapsed(const struct emu_pit_channel *c, uint64_t tick)
{
    if (!c->counting)
        return 0;
    return !c->gate && gate_stops(c) ? c->frozen : tick - c->load;
}

static bool out(const struct emu_pit_channel *c, uint64_t tick)
{
    if (!c->counting)
        return c->mode != 0;
    uint64_t n = length(c), d = elapsed(c, tick);
    switch (c->mode) {
    case 0:
    case 1:
        return d >= n;
    case 2: /* a low gate sets OUT high */
        return !c->gate || d % n != n - 1 || n == 1;
    case 3:
        return !c->gate || d % n < (n + 1) / 2;
    default: /* 4 and 5: one low tick at the end */
        return d != n;
    }
}

static uint16_t to_bcd(uint64_t n)
{
    n %= 10000;
    return (uint16_t)(n / 1000 << 12 | n / 100 % 10 << 8 | n / 10 % 10 << 4 | n % 10);
}

/* What a read of the counter shows. */
static uint16_t counter(const struct emu_pit_channel *c, uint64_t tick)
{
    uint64_t n = length(c), d = elapsed(c, tick), range = c->bcd ? 10000 : 0x10000;
    uint64_t value;
    if (!c->counting)
        return c->count;
    if (c->mode == 2)
        value = n - d % n;
    else if (c->mode == 3) /* counts by two, twice per period */
        value = n - 2 * (d % n) % n;
    else
        value = (n + range - d % range) % range;
    return c->bcd ? to_bcd(value) : (uint16_t)value;
}

/* ---- control ---- */

static void start(struct emu_pit_channel *c, uint64_t tick)
{
    c->counting = true;
    c->load = tick;
    c->fired = 0;
    c->frozen = 0;
}

static void load(struct emu_pit_channel *c, uint16_t count, uint64_t tick)
{
    c->count = count;
    c->loaded = true;
    if (gate_stops(c))
        start(c, tick);
}

static uint8_t status(const struct emu_pit_channel *c, uint64_t tick)
{
    return (uint8_t)(out(c, tick) << 7 | !c->loaded << 6 | c->access << 4 |
                     c->mode << 1 | c->bcd);
}

static void latch_count(struct emu_pit_channel *c, uint64_t tick)
{
    if (c->latched)
        return; /* until it was read */
    c->latch = counter(c, tick);
    c->latched = c->access;
}

static void latch_status(struct emu_pit_channel *c, uint64_t tick)
{
    if (c->status_latched)
        return;
    c->status = status(c, tick);
    c->status_latched = true;
}

static void read_back(struct emu_pit *pit, uint8_t value, uint64_t tick)
{
    for (unsigned i = 0; i < 3; i++) {
        if (!(value & 2u << i))
            continue;
        if (!(value & 0x20))
            latch_count(&pit->channel[i], tick);
        if (!(value & 0x10))
            latch_status(&pit->channel[i], tick);
    }
}

static void control(struct emu_pit *pit, uint8_t value, uint64_t tick)
{
    if (value >> 6 == 3) {
        read_back(pit, value, tick);
        return;
    }
    struct emu_pit_channel *c = &pit->channel[value >> 6];
    if (!(value & 0x30)) {
        latch_count(c, tick);
        return;
    }
    struct emu_pit_channel fresh = {.gate = c->gate, .count = c->count};
    fresh.access = value >> 4 & 3;
    fresh.mode = value >> 1 & 7;
    if (fresh.mode > 5)
        fresh.mode -= 4; /* 6 and 7 are 2 and 3 */
    fresh.bcd = value & 1;
    *c = fresh;
}

/* ---- ports ---- */

uint8_t emu_pit_read(struct emu_pit *pit, uint16_t port, uint64_t vns)
{
    if ((port & 3) == 3)
        return 0xff; /* the control word cannot be read */
    struct emu_pit_channel *c = &pit->channel[port & 3];
    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    if (c->latched) {
        bool low = c->latched & 1;
        c->latched &= low ? 2 : 0;
        return (uint8_t)(low ? c->latch : c->latch >> 8);
    }
    uint16_t value = counter(c, emu_pit_tick(vns));
    bool high = c->access == 2 || (c->access == 3 && c->read_high);
    if (c->access == 3)
        c->read_high = !c->read_high;
    return (uint8_t)(high ? value >> 8 : value);
}

void emu_pit_write(struct emu_pit *pit, uint16_t port, uint8_t value, uint64_t vns)
{
    uint64_t tick = emu_pit_tick(vns);
    if ((port & 3) == 3) {
        control(pit, value, tick);
        return;
    }
    struct emu_pit_channel *c = &pit->channel[port & 3];
    if (c->access == 1) {
        load(c, value, tick);
    } else if (c->access == 2) {
        load(c, (uint16_t)(value << 8), tick);
    } else if (!c->write_high) {
        c->low = value;
        c->write_high = true;
        if (c->mode == 0)
            c->counting = false; /* the first byte stops mode 0 */
    } else {
        c->write_high = false;
        load(c, (uint16_t)(value << 8 | c->low), tick);
    }
}

void emu_pit_set_gate(struct emu_pit *pit, bool gate, uint64_t vns)
{
    struct emu_pit_channel *c = &pit->channel[2];
    uint64_t tick = emu_pit_tick(vns);
    if (gate == c->gate)
        return;
    c->frozen = elapsed(c, tick);
    c->gate = gate;
    if (!gate || !c->loaded)
        return;
    if (is_periodic(c) || !gate_stops(c))
        start(c, tick); /* a rising gate reloads */
    else
        c->load = tick - c->frozen;
}

bool emu_pit_out(const struct emu_pit *pit, unsigned channel, uint64_t vns)
{
    return out(&pit->channel[channel], emu_pit_tick(vns));
}

/* ---- interrupt ---- */

bool emu_pit_line(const struct emu_pit *pit, uint64_t vns)
{
    return pit->channel[0].mode != 0 || emu_pit_out(pit, 0, vns);
}

uint64_t emu_pit_deadline(const struct emu_pit *pit)
{
    const struct emu_pit_channel *c = &pit->channel[0];
    if (!c->counting || (!is_periodic(c) && c->fired))
        return EMU_NEVER;
    return emu_pit_tick_vns(c->load + (c->fired + 1) * length(c));
}

bool emu_pit_take_edge(struct emu_pit *pit, uint64_t vns)
{
    struct emu_pit_channel *c = &pit->channel[0];
    if (vns < emu_pit_deadline(pit))
        return false;
    c->fired = is_periodic(c) ? (emu_pit_tick(vns) - c->load) / length(c) : 1;
    return true;
}
