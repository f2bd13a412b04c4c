/* SPDX-License-Identifier: MIT */
#include "emu/wide.h"

struct emu_wide emu_wide_make(bool sign, int32_t exponent, emu_u128 sig)
{
    if (!sig)
        return (struct emu_wide){sign, 0, 0};
    uint64_t high = (uint64_t)(sig >> 64);
    int shift = high ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)sig);
    return (struct emu_wide){sign, exponent + 127 - shift, sig << shift};
}

struct emu_wide emu_wide_from_int(int32_t value)
{
    return emu_wide_make(value < 0, 0,
                         value < 0 ? 0 - (uint32_t)value : (uint32_t)value);
}

struct emu_wide emu_wide_from_f80(struct emu_f80 a)
{
    if (emu_f80_is_zero(a))
        return emu_wide_make(emu_f80_sign(a), 0, 0);
    struct emu_f80_parts x = emu_f80_unpack(a);
    return emu_wide_make(x.sign, x.exponent - EMU_F80_BIAS - 63, x.sig);
}

struct emu_wide emu_wide_negate(struct emu_wide a)
{
    a.sign = !a.sign;
    return a;
}

/* The upper half of a 256-bit product. */
static emu_u128 multiply_high(emu_u128 a, emu_u128 b)
{
    uint64_t a1 = (uint64_t)(a >> 64), a0 = (uint64_t)a;
    uint64_t b1 = (uint64_t)(b >> 64), b0 = (uint64_t)b;
    emu_u128 low = (emu_u128)a0 * b0, middle = (emu_u128)a1 * b0;
    emu_u128 other = (emu_u128)a0 * b1;
    emu_u128 carry = (low >> 64) + (uint64_t)middle + (uint64_t)other;
    return (emu_u128)a1 * b1 + (middle >> 64) + (other >> 64) + (carry >> 64);
}

struct emu_wide emu_wide_mul(struct emu_wide a, struct emu_wide b)
{
    return emu_wide_make(a.sign != b.sign, a.exponent + b.exponent - 126,
                         multiply_high(a.sig, b.sig));
}

struct emu_wide emu_wide_add(struct emu_wide a, struct emu_wide b)
{
    if (!a.sig || !b.sig)
        return a.sig ? a : b;
    if (a.exponent < b.exponent || (a.exponent == b.exponent && a.sig < b.sig)) {
        struct emu_wide swap = a;
        a = b;
        b = swap;
    }
    uint32_t distance = (uint32_t)(a.exponent - b.exponent);
    if (a.sign != b.sign)
        return emu_wide_make(a.sign, a.exponent - 127,
                             a.sig - emu_f80_shift_jam(b.sig, distance));
    emu_u128 sum = (a.sig >> 1) + emu_f80_shift_jam(b.sig, distance + 1);
    return emu_wide_make(a.sign, a.exponent - 126, sum);
}

struct emu_wide emu_wide_div(struct emu_wide a, struct emu_wide b)
{
    emu_u128 rest = a.sig, quotient = 0;
    for (unsigned i = 0; i < 128; i++) {
        /* `rest` is below twice the divisor and may not fit after the shift. */
        quotient <<= 1;
        bool over = i && rest >> 127;
        if (i)
            rest <<= 1;
        if (over || rest >= b.sig) {
            rest -= b.sig;
            quotient |= 1;
        }
    }
    return emu_wide_make(a.sign != b.sign, a.exponent - b.exponent - 127, quotient);
}

struct emu_wide emu_wide_div_int(struct emu_wide a, uint32_t divisor)
{
    return emu_wide_make(a.sign, a.exponent - 127, a.sig / divisor);
}

struct emu_f80 emu_wide_pack(struct emu_f80_env *env, struct emu_wide a, bool exact)
{
    if (!a.sig)
        return emu_f80_zero(a.sign);
    struct emu_f80_env full = *env;
    full.precision = 64;
    struct emu_f80 result = emu_f80_pack(&full, a.sign, a.exponent + EMU_F80_BIAS,
                                         exact ? a.sig : a.sig | 1);
    env->raised = full.raised;
    return result;
}
