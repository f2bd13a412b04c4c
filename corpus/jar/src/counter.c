/* SPDX-License-Identifier: MIT
 *
 * counter - a child: adds up the numbers that it is handed in data caps, and hands the
 * sum back in another one.  Slot 0 holds the number, and its answer.
 */
#include "jar.h"

enum { QUOTA = 7 };

static const uint64_t factor[4] = {1, 10, 100, 1000};
static uint64_t sum = 5;
static uint64_t calls;

static uint64_t add(void)
{
    uint64_t number = 0;
    (void)jar_read(JAR_SLOT_SCRATCH, &number, sizeof number);
    sum += number * factor[calls++ % 4];
    jar_mint(&sum, sizeof sum, QUOTA, JAR_SLOT_SCRATCH);
    return sum;
}

static uint64_t total(void)
{
    return sum;
}

PVM_EXPORT(0, add);
PVM_EXPORT(1, total);
