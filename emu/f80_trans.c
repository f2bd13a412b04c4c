/* SPDX-License-Identifier: MIT
 *
 * The transcendental functions, as series on 128-bit numbers: cut errors of some
 * 2^-120 leave the rounding to 64 bits as the only visible one.  Precision control does
 * not matter to them, rounding control does.
 */
#include "emu/wide.h"

static const struct emu_wide pi_wide =
    EMU_WIDE(1, 0xc90fdaa22168c234, 0xc4c6628b80dc1cd1);
static const struct emu_wide ln2_wide =
    EMU_WIDE(-1, 0xb17217f7d1cf79ab, 0xc9e3b39803f2f6af);
static const struct emu_wide log2e_wide =
    EMU_WIDE(0, 0xb8aa3b295c17f0bb, 0xbe87fed0691d3e88);

static struct emu_wide one(void)
{
    return emu_wide_from_int(1);
}

/* `a` as it is, with the exceptions of an inexact result. */
static struct emu_f80 pack_as_inexact(struct emu_f80_env *env, struct emu_wide a)
{
    struct emu_f80 result = emu_wide_pack(env, a, true);
    if (!emu_f80_is_zero(result))
        env->raised |= EMU_F80_INEXACT;
    if (emu_f80_classify(result) == EMU_F80_CLASS_DENORMAL)
        env->raised |= EMU_F80_UNDERFLOW;
    return result;
}

/* pi * numerator / 2^shift */
static struct emu_wide pi_times(int32_t numerator, int32_t shift)
{
    struct emu_wide result = emu_wide_mul(pi_wide, emu_wide_from_int(numerator));
    result.exponent -= shift;
    return result;
}

/* Sum of x^(2n+1) / (2n+1), with alternating signs or not: atan and atanh of |x| up to
 * 0.172, to 2^-100 and better. */
static struct emu_wide odd_series(struct emu_wide x, bool alternates)
{
    enum { TERMS = 22 };
    struct emu_wide square = emu_wide_mul(x, x), sum = emu_wide_from_int(0);
    square.sign = alternates;
    for (uint32_t n = TERMS; n-- > 0;)
        sum =
            emu_wide_add(emu_wide_div_int(one(), 2 * n + 1), emu_wide_mul(sum, square));
    return emu_wide_mul(x, sum);
}

/* 1 - x^2/(first(first+1)) + x^4/(first...(first+3)) - ..., |x| at most pi/4. */
static struct emu_wide circular_series(struct emu_wide x, uint32_t first)
{
    enum { TERMS = 16 };
    struct emu_wide square = emu_wide_mul(x, x), sum = one();
    square.sign = true;
    for (uint32_t n = TERMS; n-- > 0;) {
        uint32_t k = first + 2 * n;
        sum = emu_wide_mul(sum, emu_wide_div_int(square, k * (k + 1)));
        sum = emu_wide_add(one(), sum);
    }
    return sum;
}

/* e^t - 1, |t| at most ln 2. */
static struct emu_wide exponential_less_one(struct emu_wide t)
{
    enum { TERMS = 30 };
    struct emu_wide sum = one();
    for (uint32_t n = TERMS; n > 1; n--)
        sum = emu_wide_add(one(), emu_wide_mul(sum, emu_wide_div_int(t, n)));
    return emu_wide_mul(t, sum);
}

struct emu_f80 emu_f80_exp2m1(struct emu_f80_env *env, struct emu_f80 x)
{
    struct emu_f80 special;
    if (emu_f80_is_special(env, x, x, &special))
        return special;
    if (emu_f80_is_infinity(x))
        return emu_f80_sign(x) ? emu_f80_make(true, EMU_F80_BIAS, (uint64_t)1 << 63)
                               : x;
    emu_f80_note_denormal(env, x);
    if (emu_f80_is_zero(x))
        return x;
    struct emu_wide t = emu_wide_from_f80(x);
    if (t.exponent >= 0) { /* out of range, or 1: 2^1 - 1, 2^-1 - 1 */
        env->raised |= EMU_F80_INEXACT;
        if (t.exponent > 0 || t.sig << 1)
            return x;
        return emu_f80_make(x.sign_exponent >> 15, EMU_F80_BIAS - t.sign,
                            (uint64_t)1 << 63);
    }
    struct emu_wide result = exponential_less_one(emu_wide_mul(t, ln2_wide));
    return emu_wide_pack(env, result, false);
}

/* log2(x) of a positive number; exact of powers of two. */
static struct emu_wide log2_wide(struct emu_wide x, bool *ret_exact)
{
    /* sqrt(2), as far as it takes to keep the series' argument small. */
    const emu_u128 root = (emu_u128)0xb504f333f9de6485 << 64;
    int32_t power = x.exponent + (x.sig >= root);
    x.exponent -= power;
    *ret_exact = !(x.sig << 1);
    if (*ret_exact)
        return emu_wide_from_int(power);
    struct emu_wide minus_one = emu_wide_negate(one());
    struct emu_wide s =
        emu_wide_div(emu_wide_add(x, minus_one), emu_wide_add(x, one()));
    struct emu_wide log = emu_wide_mul(odd_series(s, false), log2e_wide);
    log.exponent += log.sig != 0;
    return emu_wide_add(emu_wide_from_int(power), log);
}

/* y times a logarithm of the sign `log_sign`, where one of them is zero or infinite. */
static struct emu_f80 limit_product(struct emu_f80 y, bool log_sign, bool infinite)
{
    bool sign = emu_f80_sign(y) != log_sign;
    return infinite ? emu_f80_infinity(sign) : emu_f80_zero(sign);
}

struct emu_f80 emu_f80_ylog2x(struct emu_f80_env *env, struct emu_f80 y,
                              struct emu_f80 x)
{
    struct emu_f80 special;
    if (emu_f80_is_special(env, x, y, &special))
        return special;
    if (emu_f80_is_zero(x)) {
        if (emu_f80_is_zero(y))
            return emu_f80_invalid(env);
        if (emu_f80_is_infinity(y))
            return limit_product(y, true, true);
        env->raised |= EMU_F80_ZERODIVIDE;
        return limit_product(y, true, true);
    }
    if (emu_f80_sign(x))
        return emu_f80_invalid(env);
    if (emu_f80_is_infinity(x)) {
        if (emu_f80_is_zero(y))
            return emu_f80_invalid(env);
        emu_f80_note_denormal(env, y);
        return limit_product(y, false, true);
    }
    bool exact;
    struct emu_wide argument = emu_wide_from_f80(x), log = log2_wide(argument, &exact);
    if (!log.sig && emu_f80_is_infinity(y))
        return emu_f80_invalid(env);
    emu_f80_note_denormal(env, x);
    emu_f80_note_denormal(env, y);
    if (emu_f80_is_infinity(y) || emu_f80_is_zero(y))
        return limit_product(y, log.sign, emu_f80_is_infinity(y));
    struct emu_wide result = emu_wide_mul(emu_wide_from_f80(y), log);
    /* Hardware calls every result but zero inexact, also that of 2^k. */
    return exact ? pack_as_inexact(env, result) : emu_wide_pack(env, result, false);
}

/* log2(1 + x), x above -1. */
static struct emu_wide log2_one_plus(struct emu_wide x)
{
    bool exact;
    if (x.exponent >= -2)
        return log2_wide(emu_wide_add(x, one()), &exact);
    struct emu_wide s = emu_wide_div(x, emu_wide_add(x, emu_wide_from_int(2)));
    struct emu_wide log = emu_wide_mul(odd_series(s, false), log2e_wide);
    log.exponent += 1;
    return log;
}

struct emu_f80 emu_f80_ylog2xp1(struct emu_f80_env *env, struct emu_f80 y,
                                struct emu_f80 x)
{
    struct emu_f80 special;
    if (emu_f80_is_special(env, x, y, &special))
        return special;
    bool log_sign = emu_f80_sign(x);
    if (emu_f80_is_infinity(x)) {
        if (log_sign || emu_f80_is_zero(y))
            return emu_f80_invalid(env);
        emu_f80_note_denormal(env, y);
        return limit_product(y, false, true);
    }
    if (emu_f80_is_infinity(y) && emu_f80_is_zero(x))
        return emu_f80_invalid(env);
    struct emu_wide argument = emu_wide_from_f80(x);
    if (argument.sig && argument.sign && argument.exponent >= 0)
        return emu_f80_invalid(env);
    emu_f80_note_denormal(env, x);
    emu_f80_note_denormal(env, y);
    if (emu_f80_is_infinity(y) || emu_f80_is_zero(y) || emu_f80_is_zero(x))
        return limit_product(y, log_sign, emu_f80_is_infinity(y));
    return emu_wide_pack(
        env, emu_wide_mul(emu_wide_from_f80(y), log2_one_plus(argument)), false);
}

/* atan of a positive number, at most 1: atan(c) + atan((x - c) / (1 + x c)), c = i/8.
 */
static struct emu_wide atan_wide(struct emu_wide x)
{
    static const struct emu_wide table[] = {
        {false, 0, 0},
        EMU_WIDE(-4, 0xfeadd4d5617b6e32, 0xc897989f3e888ef7),
        EMU_WIDE(-3, 0xfadbafc96406eb15, 0x6dc79ef5f7a217e5),
        EMU_WIDE(-2, 0xb7b0ca0f26f78473, 0x8aa32122dcfe4483),
        EMU_WIDE(-2, 0xed63382b0dda7b45, 0x6fe445ecbc3a8d03),
        EMU_WIDE(-1, 0x8f005d5ef7f59f9b, 0x5c835e1665c43747),
        EMU_WIDE(-1, 0xa4bc7d1934f70924, 0x19a87f2a457dac9e),
        EMU_WIDE(-1, 0xb8053e2bc2319e73, 0xcb2da55210a4443d),
        EMU_WIDE(-1, 0xc90fdaa22168c234, 0xc4c6628b80dc1cd1),
    };
    unsigned i = 0;
    if (x.exponent >= -4) /* to the nearest eighth */
        i = ((unsigned)(x.sig >> (127 - 4 - x.exponent)) + 1) / 2;
    if (i == 0)
        return odd_series(x, true);
    struct emu_wide c = emu_wide_make(false, -3, i);
    struct emu_wide t = emu_wide_div(emu_wide_add(x, emu_wide_negate(c)),
                                     emu_wide_add(one(), emu_wide_mul(x, c)));
    return emu_wide_add(table[i], odd_series(t, true));
}

/* The angle of two magnitudes other than zero and infinity, the quadrant not yet. */
static struct emu_wide angle_of(struct emu_wide y, struct emu_wide x, bool x_negative)
{
    y.sign = x.sign = false;
    bool steep = y.exponent > x.exponent || (y.exponent == x.exponent && y.sig > x.sig);
    struct emu_wide angle = atan_wide(steep ? emu_wide_div(x, y) : emu_wide_div(y, x));
    if (steep) {
        angle.sign = !x_negative;
        return emu_wide_add(pi_times(1, 1), angle);
    }
    if (!x_negative)
        return angle;
    return emu_wide_add(pi_wide, emu_wide_negate(angle));
}

struct emu_f80 emu_f80_atan2(struct emu_f80_env *env, struct emu_f80 y,
                             struct emu_f80 x)
{
    struct emu_f80 special;
    if (emu_f80_is_special(env, x, y, &special))
        return special;
    emu_f80_note_denormal(env, x);
    emu_f80_note_denormal(env, y);
    bool x_negative = emu_f80_sign(x);
    struct emu_wide angle;
    if (emu_f80_is_infinity(y))
        angle =
            !emu_f80_is_infinity(x) ? pi_times(1, 1) : pi_times(x_negative ? 3 : 1, 2);
    else if (emu_f80_is_zero(y) || emu_f80_is_infinity(x))
        angle = x_negative ? pi_wide : emu_wide_from_int(0);
    else if (emu_f80_is_zero(x))
        angle = pi_times(1, 1);
    else
        angle = angle_of(emu_wide_from_f80(y), emu_wide_from_f80(x), x_negative);
    angle.sign = emu_f80_sign(y);
    return emu_wide_pack(env, angle, false);
}

bool emu_f80_trig_out_of_range(struct emu_f80 x)
{
    return emu_f80_classify(x) == EMU_F80_CLASS_NORMAL &&
           (x.sign_exponent & 0x7fff) >= EMU_F80_BIAS + 63;
}

/* Half of the 66-bit pi in units of 2^-65 (SDM 1 8.3.8). */
#define HALF_PI ((emu_u128)3 << 64 | 0x243f6a8885a308d3)

/* What is left of an angle: |rest| at most pi/4, and the number of right angles. */
struct reduced {
    struct emu_wide rest;
    unsigned quadrant;
};

static struct reduced reduce_angle(struct emu_f80 x)
{
    struct emu_f80_parts parts = emu_f80_unpack(x);
    int32_t shift = parts.exponent - EMU_F80_BIAS + 2;
    if (shift < 1) /* below 1/2 */
        return (struct reduced){emu_wide_from_f80(x), 0};
    emu_u128 rest = parts.sig;
    unsigned quadrant = 0;
    while (shift > 0) { /* rest stays below 2^66, so 30 bits more always fit */
        int32_t step = shift < 30 ? shift : 30;
        rest <<= step;
        quadrant = (quadrant << step) + (unsigned)(rest / HALF_PI);
        rest %= HALF_PI;
        shift -= step;
    }
    bool beyond = rest > HALF_PI / 2;
    if (beyond)
        rest = HALF_PI - rest;
    quadrant += beyond;
    if (parts.sign)
        quadrant = 0 - quadrant;
    return (struct reduced){emu_wide_make(parts.sign != beyond, -65, rest),
                            quadrant & 3};
}

static struct emu_wide sine_series(struct emu_wide x)
{
    return emu_wide_mul(x, circular_series(x, 2));
}

static struct emu_wide cosine_series(struct emu_wide x)
{
    return circular_series(x, 1);
}

/* Sine of an angle `quarters` right angles further on. */
static struct emu_f80 sine_of(struct emu_f80_env *env, struct emu_f80 x,
                              unsigned quarters)
{
    struct reduced r = reduce_angle(x);
    quarters += r.quadrant;
    struct emu_wide result = quarters & 1 ? cosine_series(r.rest) : sine_series(r.rest);
    if (quarters & 2)
        result.sign = !result.sign;
    /* The sine of a tiny angle is the angle, even if the rounding is not to nearest. */
    if (result.exponent < -64) {
        result.sig = r.rest.sig;
        result.exponent = r.rest.exponent;
        return pack_as_inexact(env, result);
    }
    return emu_wide_pack(env, result, false);
}

/* NaN, infinity, denormal; *ret_result is the answer if true. */
static bool is_trig_special(struct emu_f80_env *env, struct emu_f80 x,
                            struct emu_f80 *ret_result)
{
    if (emu_f80_is_special(env, x, x, ret_result))
        return true;
    if (emu_f80_is_infinity(x)) {
        *ret_result = emu_f80_invalid(env);
        return true;
    }
    emu_f80_note_denormal(env, x);
    *ret_result = x;
    return emu_f80_is_zero(x);
}

struct emu_f80 emu_f80_sin(struct emu_f80_env *env, struct emu_f80 x)
{
    struct emu_f80 special;
    return is_trig_special(env, x, &special) ? special : sine_of(env, x, 0);
}

struct emu_f80 emu_f80_cos(struct emu_f80_env *env, struct emu_f80 x)
{
    struct emu_f80 special;
    if (is_trig_special(env, x, &special))
        return emu_f80_is_zero(x) ? emu_f80_from_int(1) : special;
    return sine_of(env, x, 1);
}

struct emu_f80 emu_f80_tan(struct emu_f80_env *env, struct emu_f80 x)
{
    struct emu_f80 special;
    if (is_trig_special(env, x, &special))
        return special;
    struct reduced r = reduce_angle(x);
    struct emu_wide sine = sine_series(r.rest), cosine = cosine_series(r.rest);
    struct emu_wide result = r.quadrant & 1
                                 ? emu_wide_div(emu_wide_negate(cosine), sine)
                                 : emu_wide_div(sine, cosine);
    return emu_wide_pack(env, result, false);
}
