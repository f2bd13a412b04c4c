/* SPDX-License-Identifier: MIT
 *
 * memcpy - n rounds of moving memory: one large copy, 256 short ones at any alignment,
 * a fill, and a comparison that has to look at everything.
 */
#include "bench.h"

enum { SIZE = 256 << 10, SHORT_MAX = 64, SHORT_COUNT = 256 };

static uint8_t source[SIZE], copy[SIZE];

/* 0..63 bytes from anywhere to anywhere. */
static void copy_short_ones(uint64_t *seed)
{
    for (unsigned i = 0; i < SHORT_COUNT; i++) {
        uint64_t random = bench_random(seed);
        uint64_t from = random % (SIZE - SHORT_MAX);
        uint64_t to = (random >> 24) % (SIZE - SHORT_MAX);
        memcpy(copy + to, source + from, random >> 58);
    }
}

uint64_t bench(uint64_t n)
{
    uint64_t seed = BENCH_SEED, digest = 0;
    bench_fill(source, sizeof source, &seed);
    for (uint64_t i = 0; i < n; i++) {
        memcpy(copy, source, sizeof copy);
        bool equal = memcmp(copy, source, sizeof copy) == 0;
        copy_short_ones(&seed);
        uint64_t at = seed % SIZE & ~(uint64_t)7, word;
        memcpy(&word, copy + at, sizeof word);
        digest = bench_mix(digest, word + equal);
        memset(source + at, (int)i, SIZE - at < 4096 ? SIZE - at : 4096);
    }
    return bench_mix(digest, bench_digest(copy, sizeof copy));
}

PVM_EXPORT(0, bench);
