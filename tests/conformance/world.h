/* SPDX-License-Identifier: MIT
 *
 * tests/conformance/world.h - a clock and randomness that are the same every time, for
 * comparing a program's native run with its run in an engine.  They are those of the
 * live host (replay/host.h) with a fixed clock and seed 0.
 */
#ifndef TESTS_CONFORMANCE_WORLD_H
#define TESTS_CONFORMANCE_WORLD_H

#include <stddef.h>
#include <stdint.h>

struct world {
    uint64_t elapsed_ns;
    uint64_t random;
};

/* From 2000-01-01 (id 0) or 0 (id 1) on; each question takes a microsecond. */
static inline uint64_t world_clock(struct world *world, uint64_t id)
{
    world->elapsed_ns += 1000;
    return (id == 0 ? UINT64_C(946684800000000000) : 0) + world->elapsed_ns;
}

/* SplitMix64, eight bytes a step, lowest first; a new step for each question. */
static inline void world_random(struct world *world, uint8_t *ret_bytes, size_t size)
{
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++, number >>= 8) {
        if (i % 8 == 0) {
            uint64_t z = (world->random += UINT64_C(0x9e3779b97f4a7c15));
            z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
            z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
            number = z ^ (z >> 31);
        }
        ret_bytes[i] = (uint8_t)number;
    }
}

#endif
