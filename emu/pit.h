/* SPDX-License-Identifier: MIT
 *
 * emu/pit.h - the 8254 interval timer (machine.md 2.6).
 *
 * The input clock of 1,193,182 Hz is a function of virtual time: the phase is global.
 * A channel keeps the tick of its last load; count and output follow from the tick of
 * the access, so nothing is stored that time changes by itself.
 * Source of the rules: Intel 8254 data sheet 231164.
 *
 * `vns` is virtual time in ns since step 0, never smaller than at an earlier call.
 */
#ifndef EMU_PIT_H
#define EMU_PIT_H

#include <stdbool.h>
#include <stdint.h>

#define EMU_PIT_HZ UINT64_C(1193182)
#define EMU_NEVER UINT64_MAX /* a deadline that does not come */

struct emu_pit_channel {
    uint64_t load;   /* tick of the last load, or trigger */
    uint64_t fired;  /* rising edges of OUT reported since then (channel 0) */
    uint64_t frozen; /* ticks counted when the gate fell */
    uint16_t count;  /* reload value as written; 0 is the largest */
    uint16_t latch;  /* latched count */
    uint8_t status;  /* latched status */
    uint8_t mode;    /* 0..5 */
    uint8_t access;  /* 1 low byte, 2 high byte, 3 both */
    uint8_t low;     /* first byte of a write of two */
    uint8_t latched; /* bytes of `latch` that are still to be read */
    bool bcd;
    bool gate;
    bool counting;   /* a count was loaded (modes 1 and 5: and triggered) */
    bool loaded;     /* a count was written since the control word */
    bool write_high; /* the second byte of a write comes next */
    bool read_high;  /* of a read */
    bool status_latched;
};

struct emu_pit {
    struct emu_pit_channel channel[3];
};

/* Power-on state: no channel counts, OUT is high, gates 0 and 1 are high. */
void emu_pit_reset(struct emu_pit *pit);

/* Ports 40..43. */
uint8_t emu_pit_read(struct emu_pit *pit, uint16_t port, uint64_t vns);
void emu_pit_write(struct emu_pit *pit, uint16_t port, uint8_t value, uint64_t vns);

/* Port 61 bit 0: the gate of channel 2. */
void emu_pit_set_gate(struct emu_pit *pit, bool gate, uint64_t vns);

/* The output of a channel. */
bool emu_pit_out(const struct emu_pit *pit, unsigned channel, uint64_t vns);

/* The level of IRQ 0 after a write to channel 0: OUT, but without the low tick that
 * ends a period, whose rising edge emu_pit_take_edge() tells. */
bool emu_pit_line(const struct emu_pit *pit, uint64_t vns);

/* When OUT of channel 0 rises next, or EMU_NEVER. */
uint64_t emu_pit_deadline(const struct emu_pit *pit);

/* Note that the edges of channel 0 up to now were seen; true if there were any. */
bool emu_pit_take_edge(struct emu_pit *pit, uint64_t vns);

/* Ticks of the input clock up to `vns`, and the first instant of a tick. */
uint64_t emu_pit_tick(uint64_t vns);
uint64_t emu_pit_tick_vns(uint64_t tick);

#endif
