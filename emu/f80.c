/* SPDX-License-Identifier: MIT
 *
 * Classes, rounding, and the operations that are correctly rounded.
 */
#include "emu/f80.h"
#include "emu/f80_private.h"

#define TOP_BIT ((uint64_t)1 << 63)
#define QUIET_BIT ((uint64_t)1 << 62)

/* What an unmasked overflow or underflow adds to or takes from the exponent. */
enum { EXPONENT_WRAP = 0x6000 };

enum emu_f80_class emu_f80_classify(struct emu_f80 a)
{
    unsigned exponent = a.sign_exponent & 0x7fff;
    if (exponent == 0)
        return a.mantissa ? EMU_F80_CLASS_DENORMAL : EMU_F80_CLASS_ZERO;
    if (!(a.mantissa & TOP_BIT))
        return EMU_F80_CLASS_UNSUPPORTED;
    if (exponent < 0x7fff)
        return EMU_F80_CLASS_NORMAL;
    return a.mantissa == TOP_BIT ? EMU_F80_CLASS_INFINITY : EMU_F80_CLASS_NAN;
}

struct emu_f80 emu_f80_indefinite(void)
{
    return emu_f80_make(true, 0x7fff, TOP_BIT | QUIET_BIT);
}

struct emu_f80 emu_f80_invalid(struct emu_f80_env *env)
{
    env->raised |= EMU_F80_INVALID;
    return emu_f80_indefinite();
}

void emu_f80_note_denormal(struct emu_f80_env *env, struct emu_f80 a)
{
    if (env->denormal_operand || emu_f80_classify(a) == EMU_F80_CLASS_DENORMAL)
        env->raised |= EMU_F80_DENORMAL;
}

struct emu_f80_parts emu_f80_unpack(struct emu_f80 a)
{
    struct emu_f80_parts parts = {emu_f80_sign(a), a.sign_exponent & 0x7fff,
                                  a.mantissa};
    if (parts.exponent == 0)
        parts.exponent = 1;
    int shift = __builtin_clzll(parts.sig);
    parts.sig <<= shift;
    parts.exponent -= shift;
    return parts;
}

emu_u128 emu_f80_shift_jam(emu_u128 value, uint32_t count)
{
    if (count == 0)
        return value;
    if (count > 127)
        return value != 0;
    return value >> count | (value << (128 - count) != 0);
}

struct emu_f80_rounded emu_f80_round_sig(enum emu_f80_rounding rounding, bool sign,
                                         emu_u128 sig, unsigned bits)
{
    emu_u128 unit = (emu_u128)1 << (128 - bits);
    emu_u128 rest = sig & (unit - 1);
    struct emu_f80_rounded r = {(uint64_t)((sig - rest) >> 64), rest != 0, false,
                                false};
    switch (rounding) {
    case EMU_F80_NEAREST:
        r.up = rest > unit / 2 || (rest == unit / 2 && (sig & unit));
        break;
    case EMU_F80_DOWN:
        r.up = rest && sign;
        break;
    case EMU_F80_UP:
        r.up = rest && !sign;
        break;
    case EMU_F80_CHOP:
        break;
    }
    if (r.up) {
        r.sig += (uint64_t)(unit >> 64);
        r.carry = r.sig == 0;
        if (r.carry)
            r.sig = TOP_BIT;
    }
    return r;
}

void emu_f80_note_rounding(struct emu_f80_env *env, struct emu_f80_rounded r)
{
    if (r.inexact)
        env->raised |= EMU_F80_INEXACT;
    if (r.up)
        env->raised |= EMU_F80_ROUNDED_UP;
}

static struct emu_f80 pack_overflow(struct emu_f80_env *env, bool sign,
                                    int32_t exponent, struct emu_f80_rounded r)
{
    env->raised |= EMU_F80_OVERFLOW;
    if (!(env->masked & EMU_F80_OVERFLOW)) {
        emu_f80_note_rounding(env, r);
        exponent -= EXPONENT_WRAP;
        /* Only FSCALE can exceed the range by more than the wrap brings back. */
        if (exponent > EMU_F80_EXPONENT_MAX) {
            env->raised |= EMU_F80_INEXACT | EMU_F80_ROUNDED_UP;
            return emu_f80_infinity(sign);
        }
        return emu_f80_make(sign, exponent, r.sig);
    }
    env->raised |= EMU_F80_INEXACT;
    if (env->rounding == EMU_F80_CHOP ||
        env->rounding == (sign ? EMU_F80_UP : EMU_F80_DOWN))
        return emu_f80_make(sign, EMU_F80_EXPONENT_MAX,
                            ~(uint64_t)0 << (64 - env->precision));
    env->raised |= EMU_F80_ROUNDED_UP;
    return emu_f80_infinity(sign);
}

/* `r` is `sig` rounded as if the exponent had no limit. */
static struct emu_f80 pack_tiny(struct emu_f80_env *env, bool sign, int32_t exponent,
                                emu_u128 sig, struct emu_f80_rounded r)
{
    if (!(env->masked & EMU_F80_UNDERFLOW)) {
        env->raised |= EMU_F80_UNDERFLOW;
        emu_f80_note_rounding(env, r);
        exponent += EXPONENT_WRAP + r.carry;
        if (exponent < 1) { /* FSCALE again */
            env->raised |= EMU_F80_INEXACT;
            return emu_f80_zero(sign);
        }
        return emu_f80_make(sign, exponent, r.sig);
    }
    sig = emu_f80_shift_jam(sig, (uint32_t)(1 - exponent));
    r = emu_f80_round_sig(env->rounding, sign, sig, env->precision);
    if (r.inexact)
        env->raised |= EMU_F80_UNDERFLOW;
    emu_f80_note_rounding(env, r);
    return emu_f80_make(sign, (int32_t)(r.sig >> 63), r.sig);
}

struct emu_f80 emu_f80_pack(struct emu_f80_env *env, bool sign, int32_t exponent,
                            emu_u128 sig)
{
    struct emu_f80_rounded r =
        emu_f80_round_sig(env->rounding, sign, sig, env->precision);
    if (exponent + r.carry > EMU_F80_EXPONENT_MAX)
        return pack_overflow(env, sign, exponent + r.carry, r);
    if (exponent + r.carry < 1)
        return pack_tiny(env, sign, exponent, sig, r);
    emu_f80_note_rounding(env, r);
    return emu_f80_make(sign, exponent + r.carry, r.sig);
}

static bool is_signaling(struct emu_f80 a)
{
    return emu_f80_classify(a) == EMU_F80_CLASS_NAN && !(a.mantissa & QUIET_BIT);
}

static struct emu_f80 quieted(struct emu_f80 a)
{
    a.mantissa |= QUIET_BIT;
    return a;
}

/* SDM 1 table 4-7: the larger significand, on a tie the positive one; but a quiet NaN
 * goes before a signaling one. */
static struct emu_f80 propagated(struct emu_f80 a, struct emu_f80 b)
{
    if (emu_f80_classify(a) != EMU_F80_CLASS_NAN)
        return quieted(b);
    if (emu_f80_classify(b) != EMU_F80_CLASS_NAN)
        return quieted(a);
    if (is_signaling(a) != is_signaling(b))
        return is_signaling(a) ? b : a;
    if (a.mantissa != b.mantissa)
        return quieted(a.mantissa > b.mantissa ? a : b);
    return quieted(emu_f80_sign(a) ? b : a);
}

bool emu_f80_is_special(struct emu_f80_env *env, struct emu_f80 a, struct emu_f80 b,
                        struct emu_f80 *ret_result)
{
    enum emu_f80_class x = emu_f80_classify(a), y = emu_f80_classify(b);
    if (x == EMU_F80_CLASS_UNSUPPORTED || y == EMU_F80_CLASS_UNSUPPORTED) {
        *ret_result = emu_f80_invalid(env);
        return true;
    }
    if (x != EMU_F80_CLASS_NAN && y != EMU_F80_CLASS_NAN)
        return false;
    if (is_signaling(a) || is_signaling(b))
        env->raised |= EMU_F80_INVALID;
    *ret_result = propagated(a, b);
    return true;
}

bool emu_f80_is_zero(struct emu_f80 a)
{
    return emu_f80_classify(a) == EMU_F80_CLASS_ZERO;
}

bool emu_f80_is_infinity(struct emu_f80 a)
{
    return emu_f80_classify(a) == EMU_F80_CLASS_INFINITY;
}

static struct emu_f80 negated(struct emu_f80 a)
{
    a.sign_exponent ^= 0x8000;
    return a;
}

struct emu_f80 emu_f80_pack_any(struct emu_f80_env *env, bool sign, int32_t exponent,
                                emu_u128 sig)
{
    if (!sig)
        return emu_f80_zero(env->rounding == EMU_F80_DOWN);
    uint64_t high = (uint64_t)(sig >> 64);
    int shift = high ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)sig);
    return emu_f80_pack(env, sign, exponent - shift, sig << shift);
}

/* Both finite and not zero. */
static struct emu_f80 add_finite(struct emu_f80_env *env, struct emu_f80 a,
                                 struct emu_f80 b)
{
    struct emu_f80_parts x = emu_f80_unpack(a), y = emu_f80_unpack(b);
    if (x.exponent < y.exponent || (x.exponent == y.exponent && x.sig < y.sig)) {
        struct emu_f80_parts swap = x;
        x = y;
        y = swap;
    }
    /* One bit of room for the carry; the jammed bit is far below any rounding bit. */
    emu_u128 large = (emu_u128)x.sig << 63;
    emu_u128 small =
        emu_f80_shift_jam((emu_u128)y.sig << 63, (uint32_t)(x.exponent - y.exponent));
    emu_u128 sum = x.sign == y.sign ? large + small : large - small;
    return emu_f80_pack_any(env, x.sign, x.exponent + 1, sum);
}

struct emu_f80 emu_f80_add(struct emu_f80_env *env, struct emu_f80 a, struct emu_f80 b)
{
    struct emu_f80 special;
    if (emu_f80_is_special(env, a, b, &special))
        return special;
    if (emu_f80_is_infinity(a) && emu_f80_is_infinity(b) &&
        emu_f80_sign(a) != emu_f80_sign(b))
        return emu_f80_invalid(env);
    emu_f80_note_denormal(env, a);
    emu_f80_note_denormal(env, b);
    if (emu_f80_is_infinity(a) || emu_f80_is_infinity(b))
        return emu_f80_is_infinity(a) ? a : b;
    if (emu_f80_is_zero(a) && emu_f80_is_zero(b))
        return emu_f80_sign(a) == emu_f80_sign(b)
                   ? a
                   : emu_f80_zero(env->rounding == EMU_F80_DOWN);
    if (emu_f80_is_zero(a) || emu_f80_is_zero(b)) {
        struct emu_f80_parts parts = emu_f80_unpack(emu_f80_is_zero(a) ? b : a);
        return emu_f80_pack(env, parts.sign, parts.exponent, (emu_u128)parts.sig << 64);
    }
    return add_finite(env, a, b);
}

struct emu_f80 emu_f80_sub(struct emu_f80_env *env, struct emu_f80 a, struct emu_f80 b)
{
    /* The sign of a NaN takes no part in the subtraction. */
    struct emu_f80 special;
    if (emu_f80_is_special(env, a, b, &special))
        return special;
    return emu_f80_add(env, a, negated(b));
}

struct emu_f80 emu_f80_mul(struct emu_f80_env *env, struct emu_f80 a, struct emu_f80 b)
{
    struct emu_f80 special;
    bool sign = emu_f80_sign(a) != emu_f80_sign(b);
    if (emu_f80_is_special(env, a, b, &special))
        return special;
    if ((emu_f80_is_infinity(a) && emu_f80_is_zero(b)) ||
        (emu_f80_is_zero(a) && emu_f80_is_infinity(b)))
        return emu_f80_invalid(env);
    emu_f80_note_denormal(env, a);
    emu_f80_note_denormal(env, b);
    if (emu_f80_is_infinity(a) || emu_f80_is_infinity(b))
        return emu_f80_infinity(sign);
    if (emu_f80_is_zero(a) || emu_f80_is_zero(b))
        return emu_f80_zero(sign);
    struct emu_f80_parts x = emu_f80_unpack(a), y = emu_f80_unpack(b);
    return emu_f80_pack_any(env, sign, x.exponent + y.exponent - EMU_F80_BIAS + 1,
                            (emu_u128)x.sig * y.sig);
}

/* 128 bits of x / y with the rest in bit 0; both have bit 63 set. */
static emu_u128 divide_sig(uint64_t x, uint64_t y)
{
    emu_u128 high = ((emu_u128)x << 63) / y;
    emu_u128 rest = ((emu_u128)x << 63) % y;
    emu_u128 low = (rest << 64) / y;
    return high << 64 | low | (((rest << 64) % y) != 0);
}

struct emu_f80 emu_f80_div(struct emu_f80_env *env, struct emu_f80 a, struct emu_f80 b)
{
    struct emu_f80 special;
    bool sign = emu_f80_sign(a) != emu_f80_sign(b);
    if (emu_f80_is_special(env, a, b, &special))
        return special;
    if ((emu_f80_is_infinity(a) && emu_f80_is_infinity(b)) ||
        (emu_f80_is_zero(a) && emu_f80_is_zero(b)))
        return emu_f80_invalid(env);
    if (emu_f80_is_zero(b) && !emu_f80_is_infinity(a)) {
        env->raised |= EMU_F80_ZERODIVIDE;
        return emu_f80_infinity(sign);
    }
    emu_f80_note_denormal(env, a);
    emu_f80_note_denormal(env, b);
    if (emu_f80_is_infinity(a))
        return emu_f80_infinity(sign);
    if (emu_f80_is_zero(a) || emu_f80_is_infinity(b))
        return emu_f80_zero(sign);
    struct emu_f80_parts x = emu_f80_unpack(a), y = emu_f80_unpack(b);
    return emu_f80_pack_any(env, sign, x.exponent - y.exponent + EMU_F80_BIAS,
                            divide_sig(x.sig, y.sig));
}

/* 128 bits of the root of `value` (2^126 or more), the rest in bit 0. */
static emu_u128 root_sig(emu_u128 value)
{
    emu_u128 root = 0, rest = value;
    for (unsigned bit = 64; bit-- > 0;) {
        emu_u128 step = (root << 1 | (emu_u128)1 << bit) << bit;
        if (rest >= step) {
            rest -= step;
            root |= (emu_u128)1 << bit;
        }
    }
    /* The next bit tells which side of the middle; a root never hits the middle. */
    return root << 64 | (emu_u128)(rest > root) << 63 | (rest != 0);
}

struct emu_f80 emu_f80_sqrt(struct emu_f80_env *env, struct emu_f80 a)
{
    struct emu_f80 special;
    if (emu_f80_is_special(env, a, a, &special))
        return special;
    if (emu_f80_is_zero(a))
        return a;
    if (emu_f80_sign(a))
        return emu_f80_invalid(env);
    if (emu_f80_is_infinity(a))
        return a;
    emu_f80_note_denormal(env, a);
    struct emu_f80_parts x = emu_f80_unpack(a);
    int32_t power = x.exponent - EMU_F80_BIAS;
    bool odd = power & 1;
    return emu_f80_pack(env, false, (power - odd) / 2 + EMU_F80_BIAS,
                        root_sig((emu_u128)x.sig << (odd ? 64 : 63)));
}

/* Order of the encodings: unnormals are out, so magnitudes compare as integers. */
static enum emu_f80_relation compare_ordered(struct emu_f80 a, struct emu_f80 b)
{
    if (emu_f80_is_zero(a) && emu_f80_is_zero(b))
        return EMU_F80_EQUAL;
    if (emu_f80_sign(a) != emu_f80_sign(b))
        return emu_f80_sign(a) ? EMU_F80_LESS : EMU_F80_GREATER;
    int32_t x = a.sign_exponent & 0x7fff, y = b.sign_exponent & 0x7fff;
    /* A pseudo-denormal equals the normal number with exponent 1. */
    x += x == 0;
    y += y == 0;
    if (x == y && a.mantissa == b.mantissa)
        return EMU_F80_EQUAL;
    bool less = x != y ? x < y : a.mantissa < b.mantissa;
    return less != emu_f80_sign(a) ? EMU_F80_LESS : EMU_F80_GREATER;
}

enum emu_f80_relation emu_f80_compare(struct emu_f80_env *env, struct emu_f80 a,
                                      struct emu_f80 b, bool quiet)
{
    struct emu_f80 special;
    if (emu_f80_is_special(env, a, b, &special)) {
        if (!quiet)
            env->raised |= EMU_F80_INVALID;
        return EMU_F80_UNORDERED;
    }
    emu_f80_note_denormal(env, a);
    emu_f80_note_denormal(env, b);
    return compare_ordered(a, b);
}
