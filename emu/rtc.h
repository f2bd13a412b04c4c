/* SPDX-License-Identifier: MIT
 *
 * emu/rtc.h - CMOS memory and the MC146818 real-time clock (machine.md 2.7).
 *
 * The time shown is epoch + vns + an offset that the guest changes by setting the
 * clock.  There is no update in progress at any time: register A bit 7 reads 0.
 * Source of the rules: Motorola MC146818 data sheet; the century at 32.
 *
 * `vns` is virtual time in ns since step 0, never smaller than at an earlier call.
 */
#ifndef EMU_RTC_H
#define EMU_RTC_H

#include <stdbool.h>
#include <stdint.h>

enum { EMU_CMOS_SIZE = 128 };

struct emu_rtc {
    uint8_t cmos[EMU_CMOS_SIZE]; /* 0a 0b 0c 0d are the registers A to D */
    uint8_t index;               /* port 70 without bit 7 */
    uint64_t epoch;              /* ns since 1970 at step 0; configuration */
    int64_t offset;              /* seconds that the guest added */
    uint64_t second;             /* last second whose update was seen */
    uint64_t beat;               /* last period of the periodic flag that was seen */
};

/* Power-on state: 24 h, BCD, no interrupts. */
void emu_rtc_reset(struct emu_rtc *rtc, uint64_t epoch);

/* Ports 70 and 71. */
uint8_t emu_rtc_read(struct emu_rtc *rtc, uint16_t port, uint64_t vns);
void emu_rtc_write(struct emu_rtc *rtc, uint16_t port, uint8_t value, uint64_t vns);

/* Bring the flags of register C up to now. */
void emu_rtc_update(struct emu_rtc *rtc, uint64_t vns);

/* The level of IRQ 8. */
bool emu_rtc_line(const struct emu_rtc *rtc);

/* When an enabled flag may be set next, or EMU_NEVER (emu/pit.h). */
uint64_t emu_rtc_deadline(const struct emu_rtc *rtc, uint64_t vns);

#endif
