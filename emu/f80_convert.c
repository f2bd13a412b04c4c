/* SPDX-License-Identifier: MIT
 *
 * Integers, decimals and the shorter formats; the operations on exponents.
 */
#include "emu/f80.h"
#include "emu/f80_private.h"

#define TOP_BIT ((uint64_t)1 << 63)
#define BCD_LIMIT ((uint64_t)1000000000000000000)

struct emu_f80 emu_f80_from_int(int64_t value)
{
    if (value == 0)
        return emu_f80_zero(false);
    uint64_t sig = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    int shift = __builtin_clzll(sig);
    return emu_f80_make(value < 0, EMU_F80_BIAS + 63 - shift, sig << shift);
}

/* A number of a shorter format, its fields apart. */
struct shorter {
    bool sign;
    uint32_t exponent, exponent_max;
    uint64_t fraction; /* at the top of 63 bits */
};

static struct emu_f80 from_shorter(struct emu_f80_env *env, struct shorter s)
{
    int32_t bias = (int32_t)s.exponent_max >> 1;
    if (s.exponent == s.exponent_max)
        return emu_f80_make(s.sign, 0x7fff, TOP_BIT | s.fraction);
    if (s.exponent)
        return emu_f80_make(s.sign, (int32_t)s.exponent - bias + EMU_F80_BIAS,
                            TOP_BIT | s.fraction);
    if (!s.fraction)
        return emu_f80_zero(s.sign);
    env->denormal_operand = true;
    int shift = __builtin_clzll(s.fraction);
    return emu_f80_make(s.sign, 1 - bias + EMU_F80_BIAS - shift, s.fraction << shift);
}

struct emu_f80 emu_f80_load(struct emu_f80_env *env, struct emu_f80 a)
{
    struct emu_f80 special;
    if (emu_f80_is_special(env, a, a, &special))
        return special;
    emu_f80_note_denormal(env, a);
    return a;
}

struct emu_f80 emu_f80_from_f32(struct emu_f80_env *env, uint32_t bits)
{
    return from_shorter(env, (struct shorter){bits >> 31, bits >> 23 & 0xff, 0xff,
                                              (uint64_t)(bits & 0x7fffff) << 40});
}

struct emu_f80 emu_f80_from_f64(struct emu_f80_env *env, uint64_t bits)
{
    return from_shorter(env, (struct shorter){bits >> 63, bits >> 52 & 0x7ff, 0x7ff,
                                              (bits << 12) >> 1});
}

/* To a format of `bits` significand bits whose exponent field is all ones above
 * `exponent_max`: the encoding with the significand's fraction at the bottom. */
static uint64_t to_shorter_finite(struct emu_f80_env *env, struct emu_f80_parts x,
                                  unsigned bits, int32_t exponent_max)
{
    emu_u128 sig = (emu_u128)x.sig << 64;
    int32_t exponent = x.exponent - EMU_F80_BIAS + exponent_max / 2;
    struct emu_f80_rounded r = emu_f80_round_sig(env->rounding, x.sign, sig, bits);
    unsigned field = bits - 1;
    if (exponent + r.carry > exponent_max) {
        env->raised |= EMU_F80_OVERFLOW;
        if (!(env->masked & EMU_F80_OVERFLOW))
            return 0;
        env->raised |= EMU_F80_INEXACT;
        bool finite = env->rounding == EMU_F80_CHOP ||
                      env->rounding == (x.sign ? EMU_F80_UP : EMU_F80_DOWN);
        if (!finite)
            env->raised |= EMU_F80_ROUNDED_UP;
        return ((uint64_t)(exponent_max + 1) << field) - finite;
    }
    if (exponent + r.carry < 1) {
        if (!(env->masked & EMU_F80_UNDERFLOW)) {
            env->raised |= EMU_F80_UNDERFLOW;
            return 0;
        }
        sig = emu_f80_shift_jam(sig, (uint32_t)(1 - exponent));
        r = emu_f80_round_sig(env->rounding, x.sign, sig, bits);
        if (r.inexact)
            env->raised |= EMU_F80_UNDERFLOW;
        emu_f80_note_rounding(env, r);
        /* The integer bit, if rounding made it, is the exponent 1. */
        return r.sig >> (64 - bits);
    }
    emu_f80_note_rounding(env, r);
    return ((uint64_t)(exponent + r.carry - 1) << field) + (r.sig >> (64 - bits));
}

static uint64_t to_shorter(struct emu_f80_env *env, struct emu_f80 a, unsigned bits,
                           int32_t exponent_max)
{
    struct emu_f80 special;
    unsigned field = bits - 1;
    uint64_t infinity = (uint64_t)(exponent_max + 1) << field;
    if (emu_f80_is_special(env, a, a, &special))
        return infinity | (special.mantissa << 1) >> (65 - bits);
    if (emu_f80_is_infinity(a))
        return infinity;
    if (emu_f80_is_zero(a))
        return 0;
    return to_shorter_finite(env, emu_f80_unpack(a), bits, exponent_max);
}

/* The indefinite of an invalid operand is negative whatever the operand's sign. */
static bool stored_sign(struct emu_f80 a)
{
    return emu_f80_classify(a) == EMU_F80_CLASS_UNSUPPORTED || emu_f80_sign(a);
}

uint32_t emu_f80_to_f32(struct emu_f80_env *env, struct emu_f80 a)
{
    return (uint32_t)stored_sign(a) << 31 | (uint32_t)to_shorter(env, a, 24, 0xfe);
}

uint64_t emu_f80_to_f64(struct emu_f80_env *env, struct emu_f80 a)
{
    return (uint64_t)stored_sign(a) << 63 | to_shorter(env, a, 53, 0x7fe);
}

/* |a| below 2^63 rounded to an integer. */
static struct emu_f80_rounded
round_magnitude(struct emu_f80_env *env, struct emu_f80_parts x, uint64_t *ret_integer)
{
    uint32_t drop = (uint32_t)(EMU_F80_BIAS + 63 - x.exponent);
    emu_u128 sig = emu_f80_shift_jam((emu_u128)x.sig << 64, drop);
    struct emu_f80_rounded r = emu_f80_round_sig(env->rounding, x.sign, sig, 64);
    *ret_integer = r.sig;
    return r;
}

/* The magnitude of `a` rounded to an integer of at most `limit`; else invalid. */
static bool to_magnitude(struct emu_f80_env *env, struct emu_f80 a, uint64_t limit,
                         uint64_t *ret_integer)
{
    enum emu_f80_class class = emu_f80_classify(a);
    *ret_integer = 0;
    if (class == EMU_F80_CLASS_ZERO)
        return true;
    struct emu_f80_rounded r = {0};
    bool fits = false;
    if (class == EMU_F80_CLASS_NORMAL || class == EMU_F80_CLASS_DENORMAL) {
        struct emu_f80_parts x = emu_f80_unpack(a);
        if (x.exponent <= EMU_F80_BIAS + 63) {
            r = round_magnitude(env, x, ret_integer);
            fits = *ret_integer <= limit;
        }
    }
    if (fits)
        emu_f80_note_rounding(env, r);
    else
        env->raised |= EMU_F80_INVALID;
    return fits;
}

int64_t emu_f80_to_int(struct emu_f80_env *env, struct emu_f80 a, unsigned bits)
{
    uint64_t least = (uint64_t)1 << (bits - 1), integer;
    if (!to_magnitude(env, a, least - !emu_f80_sign(a), &integer))
        return (int64_t)(0 - least);
    return (int64_t)(emu_f80_sign(a) ? 0 - integer : integer);
}

void emu_f80_to_bcd(struct emu_f80_env *env, struct emu_f80 a, uint8_t ret_bcd[10])
{
    uint64_t integer;
    if (!to_magnitude(env, a, BCD_LIMIT - 1, &integer)) {
        static const uint8_t indefinite[10] = {0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff};
        for (unsigned i = 0; i < 10; i++)
            ret_bcd[i] = indefinite[i];
        return;
    }
    for (unsigned i = 0; i < 9; i++) {
        unsigned pair = (unsigned)(integer % 100);
        ret_bcd[i] = (uint8_t)(pair / 10 << 4 | pair % 10);
        integer /= 100;
    }
    ret_bcd[9] = emu_f80_sign(a) ? 0x80 : 0;
}

struct emu_f80 emu_f80_from_bcd(const uint8_t bcd[10])
{
    uint64_t integer = 0;
    /* Digits above 9 are undefined; they count with their value, as in hardware. */
    for (unsigned i = 9; i-- > 0;)
        integer = integer * 100 + (uint64_t)(bcd[i] >> 4) * 10 + (bcd[i] & 15);
    struct emu_f80 a = emu_f80_from_int((int64_t)integer);
    a.sign_exponent |= (uint16_t)((bcd[9] & 0x80) << 8);
    return a;
}

struct emu_f80 emu_f80_round_int(struct emu_f80_env *env, struct emu_f80 a)
{
    struct emu_f80 special;
    if (emu_f80_is_special(env, a, a, &special))
        return special;
    emu_f80_note_denormal(env, a);
    if (emu_f80_is_zero(a) || emu_f80_is_infinity(a))
        return a;
    struct emu_f80_parts x = emu_f80_unpack(a);
    if (x.exponent >= EMU_F80_BIAS + 63)
        return a;
    uint64_t integer;
    emu_f80_note_rounding(env, round_magnitude(env, x, &integer));
    if (!integer)
        return emu_f80_zero(x.sign);
    int shift = __builtin_clzll(integer);
    return emu_f80_make(x.sign, EMU_F80_BIAS + 63 - shift, integer << shift);
}

/* A pseudo-denormal as the normal number that it is. */
static struct emu_f80 normal_encoding(struct emu_f80 a)
{
    if (a.mantissa >> 63 && !(a.sign_exponent & 0x7fff))
        a.sign_exponent++;
    return a;
}

/* `b` cut to an integer, kept within what moves any exponent out of range. */
static int32_t scale_amount(struct emu_f80 b)
{
    enum { LIMIT = 0x20000 };
    struct emu_f80_parts y = emu_f80_unpack(b);
    int32_t power = y.exponent - EMU_F80_BIAS, amount = LIMIT;
    if (power < 0)
        return 0;
    if (power < 17)
        amount = (int32_t)(y.sig >> (63 - power));
    return y.sign ? -amount : amount;
}

struct emu_f80 emu_f80_scale(struct emu_f80_env *env, struct emu_f80 a,
                             struct emu_f80 b)
{
    struct emu_f80 special;
    if (emu_f80_is_special(env, a, b, &special))
        return special;
    bool to_zero = emu_f80_is_infinity(b) && emu_f80_sign(b);
    bool to_infinity = emu_f80_is_infinity(b) && !emu_f80_sign(b);
    if ((to_zero && emu_f80_is_infinity(a)) || (to_infinity && emu_f80_is_zero(a)))
        return emu_f80_invalid(env);
    emu_f80_note_denormal(env, a);
    emu_f80_note_denormal(env, b);
    if (emu_f80_is_infinity(a) || emu_f80_is_zero(a))
        return a;
    if (to_zero)
        return emu_f80_zero(emu_f80_sign(a));
    if (to_infinity)
        return emu_f80_infinity(emu_f80_sign(a));
    if (emu_f80_is_zero(b)) /* a denormal stays without an underflow */
        return normal_encoding(a);
    struct emu_f80_parts x = emu_f80_unpack(a);
    int32_t amount = scale_amount(b);
    struct emu_f80_env full = *env;
    full.precision = 64;
    struct emu_f80 result =
        emu_f80_pack(&full, x.sign, x.exponent + amount, (emu_u128)x.sig << 64);
    env->raised = full.raised;
    return result;
}

struct emu_f80 emu_f80_extract(struct emu_f80_env *env, struct emu_f80 a,
                               struct emu_f80 *ret_exponent)
{
    struct emu_f80 special;
    if (emu_f80_is_special(env, a, a, &special)) {
        *ret_exponent = special;
        return special;
    }
    if (emu_f80_is_infinity(a)) {
        *ret_exponent = emu_f80_infinity(false);
        return a;
    }
    if (emu_f80_is_zero(a)) {
        env->raised |= EMU_F80_ZERODIVIDE;
        *ret_exponent = emu_f80_infinity(true);
        return a;
    }
    emu_f80_note_denormal(env, a);
    struct emu_f80_parts x = emu_f80_unpack(a);
    *ret_exponent = emu_f80_from_int(x.exponent - EMU_F80_BIAS);
    return emu_f80_make(x.sign, EMU_F80_BIAS, x.sig);
}

/* num / den in units of 2^unit, both integers; the quotient cut or to nearest. */
static struct emu_f80 remainder_of(struct emu_f80_env *env, bool sign, int32_t unit,
                                   emu_u128 num, emu_u128 den, bool nearest,
                                   struct emu_f80_quotient *ret_quotient)
{
    emu_u128 quotient = num / den, rest = num % den;
    if (nearest && (rest > den - rest || (rest == den - rest && (quotient & 1)))) {
        rest = den - rest;
        sign = !sign;
        quotient++;
    }
    ret_quotient->low = quotient & 7;
    if (!rest)
        return emu_f80_zero(sign);
    struct emu_f80_env full = *env;
    full.precision = 64;
    struct emu_f80 result = emu_f80_pack_any(&full, sign, unit + 64, rest);
    env->raised = full.raised;
    return result;
}

struct emu_f80 emu_f80_remainder(struct emu_f80_env *env, struct emu_f80 a,
                                 struct emu_f80 b, bool nearest,
                                 struct emu_f80_quotient *ret_quotient)
{
    struct emu_f80 special;
    *ret_quotient = (struct emu_f80_quotient){0, false};
    if (emu_f80_is_special(env, a, b, &special))
        return special;
    if (emu_f80_is_infinity(a) || emu_f80_is_zero(b))
        return emu_f80_invalid(env);
    emu_f80_note_denormal(env, a);
    emu_f80_note_denormal(env, b);
    if (emu_f80_is_zero(a))
        return a;
    struct emu_f80_parts x = emu_f80_unpack(a);
    if (emu_f80_is_infinity(b))
        return normal_encoding(a);
    struct emu_f80_parts y = emu_f80_unpack(b);
    int32_t distance = x.exponent - y.exponent;
    if (distance < -1) /* a is the remainder itself, normalised */
        return remainder_of(env, x.sign, x.exponent, x.sig, ~(emu_u128)0 >> 1, false,
                            ret_quotient);
    if (distance == -1)
        return remainder_of(env, x.sign, x.exponent, x.sig, (emu_u128)y.sig << 1,
                            nearest, ret_quotient);
    ret_quotient->partial = distance >= 64;
    if (ret_quotient->partial) {
        distance = (distance & 31) | 32;
        nearest = false;
    }
    int32_t unit = x.exponent - distance;
    struct emu_f80 result = remainder_of(env, x.sign, unit, (emu_u128)x.sig << distance,
                                         y.sig, nearest, ret_quotient);
    if (ret_quotient->partial)
        ret_quotient->low = 0;
    return result;
}
