/* SPDX-License-Identifier: MIT
 *
 * tests/bench/bench.h - the median of nine CPU times.
 */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include "base/os.h"

#include <stdint.h>
#include <stdlib.h>

enum { BENCH_ROUNDS = 9 };

static inline int bench_by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* CPU nanoseconds of one call of `body`, the median after one call to warm up. */
static inline uint64_t bench_ns(void (*body)(void *self), void *self)
{
    uint64_t taken[BENCH_ROUNDS];
    body(self);
    for (unsigned i = 0; i < BENCH_ROUNDS; i++) {
        uint64_t start = os_clock_cpu_ns();
        body(self);
        taken[i] = os_clock_cpu_ns() - start;
    }
    qsort(taken, BENCH_ROUNDS, sizeof taken[0], bench_by_value);
    return taken[BENCH_ROUNDS / 2];
}

#endif
