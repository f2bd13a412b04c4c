/* SPDX-License-Identifier: MIT
 *
 * parent - spawns two counters from the image in slot 10 and calls them.
 */
#include "jar.h"

enum { IMAGE = 10, CNODE = 11, CHILD = 20, TYPE = 30, ANSWER = 40, QUOTA = 7 };
enum { CHILD_COUNT = 2, CNODE_SIZE_LOG = 8 };

static void spawn(uint64_t child)
{
    jar_cnode(CNODE, CNODE_SIZE_LOG);
    jar_spawn(IMAGE, CNODE, child);
}

static uint64_t hand(uint64_t child, uint64_t number)
{
    uint64_t sum = 0;
    jar_mint(&number, sizeof number, QUOTA, JAR_SLOT_SCRATCH);
    uint64_t answer = jar_call(child, 0);
    jar_move(JAR_SLOT_SCRATCH, ANSWER);
    (void)jar_read(ANSWER, &sum, sizeof sum);
    if (sum != answer)
        pvm_panic();
    return sum;
}

/* Both children come from one image, and are of one type. */
static uint64_t run(uint64_t rounds)
{
    uint64_t result = 0;
    for (uint64_t i = 0; i < CHILD_COUNT; i++) {
        spawn(CHILD + i);
        jar_type_of(CHILD + i, TYPE + i);
    }
    if (!jar_same(TYPE, TYPE + 1) || !jar_same(CHILD, CHILD + 1))
        pvm_panic();
    for (uint64_t i = 0; i < rounds; i++)
        result = result * 31 + hand(CHILD + i % CHILD_COUNT, i + 1);
    return result;
}

/* What the children have by now, each behind the other. */
static uint64_t totals(void)
{
    return jar_call(CHILD, 1) << 32 | jar_call(CHILD + 1, 1);
}

PVM_EXPORT(0, run);
PVM_EXPORT(1, totals);
