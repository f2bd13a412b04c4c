/* SPDX-License-Identifier: MIT
 *
 * bench.h - what the benchmark programs share: fixed data and digests.
 *
 * A benchmark is one function, `uint64_t bench(uint64_t n)`, export 0.  It makes no
 * host call, starts from the same data every time, and answers a digest of its result,
 * so that a wrong engine cannot be a fast one.
 */
#ifndef PVM_LIB_BENCH_H
#define PVM_LIB_BENCH_H

#include "pvm.h"

/* Marsaglia's xorshift64 (13, 7, 17); the state starts at BENCH_SEED. */
#define BENCH_SEED 0x9e3779b97f4a7c15u

static inline uint64_t bench_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

/* Fill with random bytes; size is a multiple of 8. */
static inline void bench_fill(void *data, uint64_t size, uint64_t *state)
{
    uint8_t *at = data;
    for (uint64_t i = 0; i < size; i += 8) {
        uint64_t x = bench_random(state);
        memcpy(at + i, &x, 8);
    }
}

/* The digest of `value` after those that gave `digest`; start with 0. */
static inline uint64_t bench_mix(uint64_t digest, uint64_t value)
{
    digest = (digest ^ value) * 0xff51afd7ed558ccdu;
    return digest ^ digest >> 32;
}

/* bench_mix() over little-endian words; size is a multiple of 8. */
static inline uint64_t bench_digest(const void *data, uint64_t size)
{
    const uint8_t *at = data;
    uint64_t digest = 0;
    for (uint64_t i = 0; i < size; i += 8) {
        uint64_t x;
        memcpy(&x, at + i, 8);
        digest = bench_mix(digest, x);
    }
    return digest;
}

#endif
