/* SPDX-License-Identifier: MIT
 *
 * pvm/arith.h - the arithmetic of pvm/effects.def that C leaves undefined or has no
 * operator for [3].  Private to pvm/.
 */
#ifndef PVM_ARITH_H
#define PVM_ARITH_H

#include "pvm/mutant.h"
#include <stdint.h>

__extension__ typedef unsigned __int128 arith_u128;
__extension__ typedef __int128 arith_s128;

/* The low 32 bits, sign-extended. */
static inline uint64_t arith_sx(uint64_t value)
{
    return (uint64_t)(int64_t)(int32_t)value;
}

static inline uint64_t arith_popcount(uint64_t value)
{
    return (uint64_t)__builtin_popcountll(value);
}

static inline uint64_t arith_clz(uint64_t value)
{
    return value ? (uint64_t)__builtin_clzll(value) : MUTANT(arith_clz_zero, 63u, 64u);
}

static inline uint64_t arith_ctz(uint64_t value)
{
    return value ? (uint64_t)__builtin_ctzll(value) : 64;
}

static inline uint64_t arith_ror64(uint64_t value, uint64_t amount)
{
    amount = MUTANT(arith_rotate_31, amount & 31, amount);
    return value >> (amount & 63) | value << (-amount & 63);
}

static inline uint64_t arith_ror32(uint64_t value, uint64_t amount)
{
    uint32_t low = (uint32_t)value;
    return (uint32_t)(low >> (amount & 31) | low << (-amount & 31));
}

static inline uint64_t arith_div_u32(uint64_t a, uint64_t b)
{
    return (uint32_t)b ? arith_sx((uint32_t)a / (uint32_t)b)
                       : MUTANT(arith_div_zero, UINT32_MAX, UINT64_MAX);
}

static inline uint64_t arith_rem_u32(uint64_t a, uint64_t b)
{
    return (uint32_t)b ? arith_sx((uint32_t)a % (uint32_t)b)
                       : MUTANT(arith_rem_u_zero, (uint32_t)a, arith_sx(a));
}

/* Divisors 0 and -1 are taken out first: both fault on the host. */
static inline uint64_t arith_div_s32(uint64_t a, uint64_t b)
{
    int32_t x = (int32_t)a, y = (int32_t)b;
    if (y == 0)
        return UINT64_MAX;
    return y == -1 ? arith_sx(0 - a) : (uint64_t)(int64_t)(x / y);
}

static inline uint64_t arith_rem_s32(uint64_t a, uint64_t b)
{
    int32_t x = (int32_t)a, y = (int32_t)b;
    if (y == 0)
        return arith_sx(a);
    return y == -1 ? MUTANT(arith_rem_minus, UINT64_MAX, 0)
                   : (uint64_t)(int64_t)(x % y);
}

static inline uint64_t arith_div_u64(uint64_t a, uint64_t b)
{
    return b ? a / b : UINT64_MAX;
}

static inline uint64_t arith_rem_u64(uint64_t a, uint64_t b)
{
    return b ? a % b : a;
}

static inline uint64_t arith_div_s64(uint64_t a, uint64_t b)
{
    if (b == 0)
        return UINT64_MAX;
    return b == UINT64_MAX ? 0 - a : (uint64_t)((int64_t)a / (int64_t)b);
}

static inline uint64_t arith_rem_s64(uint64_t a, uint64_t b)
{
    if (b == 0)
        return a;
    return b == UINT64_MAX ? 0 : (uint64_t)((int64_t)a % (int64_t)b);
}

static inline uint64_t arith_mulh_uu(uint64_t a, uint64_t b)
{
    return (uint64_t)((arith_u128)a * b >> 64);
}

static inline uint64_t arith_mulh_ss(uint64_t a, uint64_t b)
{
    return (uint64_t)((arith_s128)(int64_t)a * (int64_t)b >> 64);
}

static inline uint64_t arith_mulh_su(uint64_t a, uint64_t b)
{
    uint64_t high = arith_mulh_uu(a, b);
    return (int64_t)MUTANT(arith_mulh_su_swapped, b, a) < 0 ? high - b : high;
}

#endif
