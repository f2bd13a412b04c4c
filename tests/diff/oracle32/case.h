/* SPDX-License-Identifier: MIT
 *
 * Test cases for single i386 instructions, made alike by the program that runs them on
 * the host's processor (oracle32.c) and by the one that emulates them.
 *
 * A request names an instruction and a seed; a case is its registers and the bytes of
 * an area of memory that pointers lead to.  Freestanding: no library, no 64-bit
 * division.
 */
#ifndef TESTS_DIFF_ORACLE32_CASE_H
#define TESTS_DIFF_ORACLE32_CASE_H

#include <stdint.h>

/* Linear addresses of both sides. */
#define CASE_DATA 0x20000000u /* two pages */
#define CASE_DATA_SIZE 0x2000u
#define CASE_AREA (CASE_DATA + 0x0f00u) /* crosses the boundary of the pages */
#define CASE_AREA_SIZE 0x200u
#define CASE_CODE 0x30000000u /* one page; the instruction is at its start there */

enum { CASE_DIGEST = 1, CASE_RESULTS = 2, CASE_QUIT = 3 };

struct case_request {
    uint32_t kind;
    uint32_t length;
    uint8_t code[16];
    uint64_t seed;
    uint32_t count;
    uint8_t pointers; /* registers that point into the area; ESP always does */
    uint8_t smalls;   /* registers from 0 to 15 */
    uint8_t offsets;  /* registers from -512 to 511: bit offsets */
    uint8_t padding;
};

#define CASE_FLAGS 0x00000cd5u /* arithmetic and DF */

struct case_state {
    uint32_t reg[8];
    uint32_t flags;  /* CASE_FLAGS only */
    uint32_t vector; /* 0xff: it ran; else a fault, with the state before it */
    uint32_t error;
    uint32_t address; /* of a page fault */
};

static inline uint64_t case_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A value near an edge, or any. */
static inline uint32_t case_value(uint64_t *seed)
{
    uint64_t r = case_random(seed);
    uint32_t any = (uint32_t)(r >> 32), bit = (uint32_t)1 << (r >> 8 & 31);
    switch (r & 7) {
    case 0:
        return 0;
    case 1:
        return UINT32_MAX;
    case 2:
        return bit;
    case 3:
        return bit - 1;
    case 4:
        return any & 0xff;
    case 5:
        return 0u - (any & 0xff);
    default:
        return any;
    }
}

static inline void case_make(const struct case_request *request, uint64_t *seed,
                             struct case_state *ret_state, uint8_t *ret_area)
{
    for (unsigned i = 0; i < 8; i++) {
        uint32_t value = case_value(seed);
        if (i == 4 || (request->pointers >> i & 1))
            value = CASE_AREA + 0xc0 + (value & 0x7f);
        else if (request->smalls >> i & 1)
            value &= 15;
        else if (request->offsets >> i & 1)
            value = (value & 1023) - 512;
        ret_state->reg[i] = value;
    }
    ret_state->flags = (uint32_t)case_random(seed) & CASE_FLAGS;
    ret_state->vector = 0xff;
    ret_state->error = ret_state->address = 0;
    for (unsigned i = 0; i < CASE_AREA_SIZE; i += 4) {
        uint32_t value = case_value(seed);
        for (unsigned k = 0; k < 4; k++)
            ret_area[i + k] = (uint8_t)(value >> (8 * k));
    }
}

static inline uint64_t case_mix(uint64_t digest, uint32_t value)
{
    digest = (digest ^ value) * 0x9fb21c651e98df25u;
    return digest ^ digest >> 29;
}

/* Add a result: registers, flags, fault, memory. */
static inline uint64_t case_digest(uint64_t digest, const struct case_state *state,
                                   const uint8_t *area)
{
    for (unsigned i = 0; i < 8; i++)
        digest = case_mix(digest, state->reg[i]);
    digest = case_mix(digest, state->flags);
    digest = case_mix(digest, state->vector);
    digest = case_mix(digest, state->error);
    digest = case_mix(digest, state->address);
    for (unsigned i = 0; i < CASE_AREA_SIZE; i += 4)
        digest = case_mix(digest, (uint32_t)area[i] | (uint32_t)area[i + 1] << 8 |
                                      (uint32_t)area[i + 2] << 16 |
                                      (uint32_t)area[i + 3] << 24);
    return digest;
}

#endif
