/* SPDX-License-Identifier: MIT
 *
 * tests/test.h - cmocka, and a seed that every failure can be reproduced with.
 */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* The seed of this run: LOCKSTEP_SEED, else `fixed`. */
static inline uint64_t test_seed(uint64_t fixed)
{
    const char *text = getenv("LOCKSTEP_SEED");
    return text ? strtoull(text, NULL, 0) : fixed;
}

/* SplitMix64: small, and the same everywhere. */
static inline uint64_t test_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* What to type to see this failure again. */
#define test_reproduce(test, seed)                                                     \
    print_message("reproduce: LOCKSTEP_SEED=0x%llx ./dev test %s\n",                   \
                  (unsigned long long)(seed), (test))

#endif
