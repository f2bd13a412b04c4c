/* SPDX-License-Identifier: MIT
 *
 * tests/conformance/world.h - a clock and randomness that are the same every time, for
 * comparing a program's native run with its run in an engine.
 */
#ifndef TESTS_CONFORMANCE_WORLD_H
#define TESTS_CONFORMANCE_WORLD_H

#include <stddef.h>
#include <stdint.h>

struct world {
    uint64_t tick_count;
    uint64_t random;
};

/* 2000-01-01 for id 0, 0 for id 1; each question takes a millisecond. */
static inline uint64_t world_clock(struct world *world, uint64_t id)
{
    uint64_t start = id == 0 ? UINT64_C(946684800000000000) : 0;
    return start + UINT64_C(1000000) * world->tick_count++;
}

/* SplitMix64, one step a byte. */
static inline void world_random(struct world *world, uint8_t *ret_bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint64_t z = (world->random += UINT64_C(0x9e3779b97f4a7c15));
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        ret_bytes[i] = (uint8_t)(z ^ (z >> 31));
    }
}

#endif
