/* SPDX-License-Identifier: MIT
 *
 * task - yields the marker in slot 8 between two halves of its work; what the host has
 * put into the scratch slot meanwhile decides the second half.
 */
#include "jar.h"

enum { MARKER = 8 };

static uint64_t work(uint64_t value)
{
    for (uint64_t i = 0; i < 100; i++)
        value = value * 6364136223846793005u + 1442695040888963407u;
    return value >> 40;
}

static uint64_t run(void)
{
    uint64_t first = work(1), answer = 0;
    jar_yield(MARKER);
    (void)jar_read(JAR_SLOT_SCRATCH, &answer, 2);
    jar_drop(JAR_SLOT_SCRATCH);
    return first + answer;
}

/* Needs more gas than it is given at first. */
static uint64_t dig(void)
{
    uint64_t value = 3;
    for (uint64_t i = 0; i < 100; i++)
        value = work(value);
    return value;
}

PVM_EXPORT(0, run);
PVM_EXPORT(1, dig);
