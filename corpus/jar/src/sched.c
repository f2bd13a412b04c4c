/* SPDX-License-Identifier: MIT
 *
 * sched - calls the tasks in slots 20 and 21 in turn.  Their yields, and their running
 * out of gas, are caught by the catcher in slot 9: the invocation pauses.
 */
#include "jar.h"

enum { TASK = 20, TASK_COUNT = 2 };

static uint64_t run(uint64_t rounds)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < rounds; i++)
        sum += jar_call(TASK + i % TASK_COUNT, 0);
    return sum;
}

static uint64_t dig(void)
{
    return jar_call(TASK, 1);
}

/* Nobody below catches what it yields itself. */
static uint64_t alone(void)
{
    jar_yield(8);
    return 0;
}

PVM_EXPORT(0, run);
PVM_EXPORT(1, dig);
PVM_EXPORT(2, alone);
