/* SPDX-License-Identifier: MIT
 *
 * emu/wide.h - floating point with 128 bits, for the transcendental functions.
 *
 * Results are cut, not rounded: each operation has a relative error below 2^-126.  The
 * exponents met here are far from the limits of their type.
 */
#ifndef EMU_WIDE_H
#define EMU_WIDE_H

#include "emu/f80_private.h"

/* sig * 2^(exponent - 127); bit 127 of sig is set, or the number is zero. */
struct emu_wide {
    bool sign;
    int32_t exponent;
    emu_u128 sig;
};

/* A constant from its two halves. */
#define EMU_WIDE(exponent, high, low)                                                  \
    {                                                                                  \
        false, exponent, (emu_u128)(high) << 64 | (low)                                \
    }

struct emu_wide emu_wide_from_int(int32_t value);

/* Of a finite number, exact. */
struct emu_wide emu_wide_from_f80(struct emu_f80 a);

/* sig * 2^exponent, any sig. */
struct emu_wide emu_wide_make(bool sign, int32_t exponent, emu_u128 sig);

struct emu_wide emu_wide_negate(struct emu_wide a);
struct emu_wide emu_wide_mul(struct emu_wide a, struct emu_wide b);

/* A summand too small to matter still moves the sum off an exact value. */
struct emu_wide emu_wide_add(struct emu_wide a, struct emu_wide b);

/* `b` is not zero. */
struct emu_wide emu_wide_div(struct emu_wide a, struct emu_wide b);
struct emu_wide emu_wide_div_int(struct emu_wide a, uint32_t divisor);

/* Round to 64 bits.  `exact` says that nothing was cut before. */
struct emu_f80 emu_wide_pack(struct emu_f80_env *env, struct emu_wide a, bool exact);

#endif
