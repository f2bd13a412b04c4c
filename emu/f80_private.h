/* SPDX-License-Identifier: MIT
 *
 * emu/f80_private.h - what the files of the soft float share.
 */
#ifndef EMU_F80_PRIVATE_H
#define EMU_F80_PRIVATE_H

#include "emu/f80.h"

__extension__ typedef unsigned __int128 emu_u128;

enum { EMU_F80_BIAS = 0x3fff, EMU_F80_EXPONENT_MAX = 0x7ffe };

/* A finite number other than zero: sig * 2^(exponent - 3fff - 63), bit 63 of sig set.
 * The exponent is that of the encoding if the number is normal, else below 1. */
struct emu_f80_parts {
    bool sign;
    int32_t exponent;
    uint64_t sig;
};

/* The significand cut to a number of bits. */
struct emu_f80_rounded {
    uint64_t sig; /* bit 63 is the top */
    bool inexact;
    bool up;    /* magnitude rounded up */
    bool carry; /* it became the next power of two; sig is 2^63 then */
};

static inline bool emu_f80_sign(struct emu_f80 a)
{
    return a.sign_exponent >> 15;
}

static inline struct emu_f80 emu_f80_make(bool sign, int32_t exponent, uint64_t sig)
{
    return (struct emu_f80){sig, (uint16_t)(sign << 15 | exponent)};
}

static inline struct emu_f80 emu_f80_zero(bool sign)
{
    return emu_f80_make(sign, 0, 0);
}

static inline struct emu_f80 emu_f80_infinity(bool sign)
{
    return emu_f80_make(sign, 0x7fff, (uint64_t)1 << 63);
}

/* Only of normal numbers and denormals. */
struct emu_f80_parts emu_f80_unpack(struct emu_f80 a);

/* Shift right; bits that fall off stay visible as bit 0. */
emu_u128 emu_f80_shift_jam(emu_u128 value, uint32_t count);

/* Keep the top `bits` (1 to 64) of `sig`. */
struct emu_f80_rounded emu_f80_round_sig(enum emu_f80_rounding rounding, bool sign,
                                         emu_u128 sig, unsigned bits);

/* Round, and respond to overflow and underflow.  Bit 127 of `sig` is set; its bit 0
 * stands for all further bits. */
struct emu_f80 emu_f80_pack(struct emu_f80_env *env, bool sign, int32_t exponent,
                            emu_u128 sig);

/* The same of any `sig`; 0 is an exact zero difference. */
struct emu_f80 emu_f80_pack_any(struct emu_f80_env *env, bool sign, int32_t exponent,
                                emu_u128 sig);

/* Raise what the rounding says. */
void emu_f80_note_rounding(struct emu_f80_env *env, struct emu_f80_rounded r);

bool emu_f80_is_zero(struct emu_f80 a);
bool emu_f80_is_infinity(struct emu_f80 a);

/* Is one operand a NaN or unsupported?  Then *ret_result is the answer. */
bool emu_f80_is_special(struct emu_f80_env *env, struct emu_f80 a, struct emu_f80 b,
                        struct emu_f80 *ret_result);

/* Raise invalid; answer the indefinite. */
struct emu_f80 emu_f80_invalid(struct emu_f80_env *env);

/* Raise denormal if `a` is one, or was one in memory. */
void emu_f80_note_denormal(struct emu_f80_env *env, struct emu_f80 a);

#endif
