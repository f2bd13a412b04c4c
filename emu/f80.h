/* SPDX-License-Identifier: MIT
 *
 * emu/f80.h - arithmetic on 80-bit extended precision numbers, in integers alone.
 *
 * It knows neither registers nor the stack.  Each operation takes an environment
 * (precision, rounding, masks), adds the exceptions it meets to env->raised and answers
 * the value that the masked or unmasked response of the x87 would store (SDM 1 8.5);
 * whether that value is stored at all is the caller's decision.
 *
 * All 2^80 encodings are accepted: pseudo-denormals count as denormals; unnormals,
 * pseudo-infinities and pseudo-NaNs are invalid operands (SDM 1 8.2.2).  No operation
 * allocates, keeps state or uses the host's floating point.
 */
#ifndef EMU_F80_H
#define EMU_F80_H

#include <stdbool.h>
#include <stdint.h>

/* Explicit integer bit in bit 63; exponent biased by 3fff; sign in bit 15. */
struct emu_f80 {
    uint64_t mantissa;
    uint16_t sign_exponent;
};

/* Exceptions, where the status and control words have them; C1 likewise. */
enum {
    EMU_F80_INVALID = 0x01,
    EMU_F80_DENORMAL = 0x02,
    EMU_F80_ZERODIVIDE = 0x04,
    EMU_F80_OVERFLOW = 0x08,
    EMU_F80_UNDERFLOW = 0x10,
    EMU_F80_INEXACT = 0x20,
    EMU_F80_ROUNDED_UP = 0x200, /* the magnitude was rounded up */
};

/* Rounding control (bits 10-11 of the control word). */
enum emu_f80_rounding {
    EMU_F80_NEAREST,
    EMU_F80_DOWN,
    EMU_F80_UP,
    EMU_F80_CHOP,
};

struct emu_f80_env {
    uint8_t precision;     /* bits of the significand: 24, 53 or 64 */
    uint8_t rounding;      /* enum emu_f80_rounding */
    uint8_t masked;        /* EMU_F80_INVALID to EMU_F80_INEXACT: masked exceptions */
    bool denormal_operand; /* an operand was a denormal of a shorter format */
    uint16_t raised;       /* out: exceptions and EMU_F80_ROUNDED_UP, added to */
};

enum emu_f80_relation {
    EMU_F80_LESS,
    EMU_F80_EQUAL,
    EMU_F80_GREATER,
    EMU_F80_UNORDERED,
};

/* What FXAM tells apart; a denormal may be a pseudo-denormal. */
enum emu_f80_class {
    EMU_F80_CLASS_UNSUPPORTED,
    EMU_F80_CLASS_NAN,
    EMU_F80_CLASS_NORMAL,
    EMU_F80_CLASS_INFINITY,
    EMU_F80_CLASS_ZERO,
    EMU_F80_CLASS_DENORMAL,
};

enum emu_f80_class emu_f80_classify(struct emu_f80 a);

/* The real indefinite: the quiet NaN that answers invalid operations. */
struct emu_f80 emu_f80_indefinite(void);

/* Correctly rounded at env->precision.  Subtraction is a - b, division a / b. */
struct emu_f80 emu_f80_add(struct emu_f80_env *env, struct emu_f80 a, struct emu_f80 b);
struct emu_f80 emu_f80_sub(struct emu_f80_env *env, struct emu_f80 a, struct emu_f80 b);
struct emu_f80 emu_f80_mul(struct emu_f80_env *env, struct emu_f80 a, struct emu_f80 b);
struct emu_f80 emu_f80_div(struct emu_f80_env *env, struct emu_f80 a, struct emu_f80 b);
struct emu_f80 emu_f80_sqrt(struct emu_f80_env *env, struct emu_f80 a);

/* `quiet`: a quiet NaN is unordered without an exception (FUCOM). */
enum emu_f80_relation emu_f80_compare(struct emu_f80_env *env, struct emu_f80 a,
                                      struct emu_f80 b, bool quiet);

/* To an integer by env->rounding (FRNDINT). */
struct emu_f80 emu_f80_round_int(struct emu_f80_env *env, struct emu_f80 a);

/* a * 2^b, b cut to an integer (FSCALE). */
struct emu_f80 emu_f80_scale(struct emu_f80_env *env, struct emu_f80 a,
                             struct emu_f80 b);

/* The significand, with the exponent in *ret_exponent (FXTRACT). */
struct emu_f80 emu_f80_extract(struct emu_f80_env *env, struct emu_f80 a,
                               struct emu_f80 *ret_exponent);

/* What a remainder operation tells in C0-C3. */
struct emu_f80_quotient {
    uint8_t low; /* the three low bits of the quotient, if complete */
    bool partial;
};

/* The remainder of a / b, quotient cut (FPREM) or rounded to nearest (FPREM1); if the
 * exponents differ by 64 or more, a partial one that leaves 32 to 63 bits less. */
struct emu_f80 emu_f80_remainder(struct emu_f80_env *env, struct emu_f80 a,
                                 struct emu_f80 b, bool nearest,
                                 struct emu_f80_quotient *ret_quotient);

/* Exact conversions; nothing is raised, but a denormal sets env->denormal_operand, so
 * that the operation that follows can raise it. */
struct emu_f80 emu_f80_from_int(int64_t value);
struct emu_f80 emu_f80_from_f32(struct emu_f80_env *env, uint32_t bits);
struct emu_f80 emu_f80_from_f64(struct emu_f80_env *env, uint64_t bits);
struct emu_f80 emu_f80_from_bcd(const uint8_t bcd[10]);

/* `a` as an operand that is merely loaded (FLD m32, FLD m64): a signaling NaN becomes
 * quiet and is invalid, a denormal is raised. */
struct emu_f80 emu_f80_load(struct emu_f80_env *env, struct emu_f80 a);

/* To a signed integer of `bits` (16, 32, 64) bits.  What does not fit is invalid and
 * gives the integer indefinite, the most negative value. */
int64_t emu_f80_to_int(struct emu_f80_env *env, struct emu_f80 a, unsigned bits);

/* To binary32 and binary64.  After an unmasked overflow or underflow the answer is 0
 * and must not be stored. */
uint32_t emu_f80_to_f32(struct emu_f80_env *env, struct emu_f80 a);
uint64_t emu_f80_to_f64(struct emu_f80_env *env, struct emu_f80 a);

/* To 18 packed decimal digits and a sign; what does not fit is invalid. */
void emu_f80_to_bcd(struct emu_f80_env *env, struct emu_f80 a, uint8_t ret_bcd[10]);

/*
 * Transcendental operations (emu/f80_trans.c): error below 1 ulp, results fixed by
 * model 1 of the machine.  Arguments of sine, cosine and tangent are below 2^63 in
 * magnitude and reduced with a 66-bit pi, as Intel's processors do.
 */
struct emu_f80 emu_f80_exp2m1(struct emu_f80_env *env, struct emu_f80 x);
struct emu_f80 emu_f80_ylog2x(struct emu_f80_env *env, struct emu_f80 y,
                              struct emu_f80 x);
struct emu_f80 emu_f80_ylog2xp1(struct emu_f80_env *env, struct emu_f80 y,
                                struct emu_f80 x);
struct emu_f80 emu_f80_atan2(struct emu_f80_env *env, struct emu_f80 y,
                             struct emu_f80 x);

/* Is the finite number `x` too large for the three below (C2, SDM 1 8.3.8)? */
bool emu_f80_trig_out_of_range(struct emu_f80 x);
struct emu_f80 emu_f80_sin(struct emu_f80_env *env, struct emu_f80 x);
struct emu_f80 emu_f80_cos(struct emu_f80_env *env, struct emu_f80 x);
struct emu_f80 emu_f80_tan(struct emu_f80_env *env, struct emu_f80 x);

#endif
