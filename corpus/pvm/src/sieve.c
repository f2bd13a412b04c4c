/* SPDX-License-Identifier: MIT
 *
 * sieve - the primes up to n, one byte a number: stores with a stride, short loops.
 */
#include "bench.h"

enum { SIEVE_MAX = 5000000 };

static uint8_t composite[SIEVE_MAX + 1];

/* The number of primes in the upper half, the last prime in the lower. */
uint64_t bench(uint64_t n)
{
    if (n > SIEVE_MAX)
        pvm_panic();
    memset(composite, 0, n + 1);
    for (uint64_t i = 2; i * i <= n; i++) {
        if (composite[i])
            continue;
        for (uint64_t j = i * i; j <= n; j += i)
            composite[j] = 1;
    }
    uint64_t count = 0, last = 0;
    for (uint64_t i = 2; i <= n; i++) {
        if (!composite[i]) {
            count++;
            last = i;
        }
    }
    return count << 32 | last;
}

PVM_EXPORT(0, bench);
