/* SPDX-License-Identifier: MIT
 *
 * The stack in a register [10.4, 10.9].
 *
 * In a block with many accesses near sp, r15 is where sp points to in host memory, so
 * that they need neither gs, which is slow, nor an instruction for the address.  From
 * the first such access on what r15 is elsewhere waits in xmm3; where code may be left
 * on purpose, it is back.  So only faults see that, and behind them the interpreter
 * goes on to the end of the block.
 *
 * sp + x may pass 4 GiB where guest addresses wrap: there the guard behind guest memory
 * stops the access, and the interpreter does it.
 */
#include "pvm/recomp_role.h"

/* Every other one is looked at.  What has sp as its B is hardly anything else than an
 * access.  Going there and back takes five instructions and seven cycles; and where
 * accesses are few, their time is hidden anyway. */
bool pvm_native_is_stacked(const struct native_insn *i, uint32_t count)
{
    enum { PERCENT_MIN = 30 };
    uint32_t accesses = 0;
    for (uint32_t k = 1; k < count; k += 2)
        accesses += i[k].b == SP;
    return 200 * accesses >= PERCENT_MIN * count;
}

void pvm_native_stack_take(struct native_compiler *c)
{
    if (c->stack == STACK_AWAY) {
        pvm_native_park(c);
        c->stack_site = native_site_number(c, c->site);
    }
    pvm_native_point(c);
    c->stack = STACK_HERE;
}

void pvm_native_stack_leave(struct native_compiler *c)
{
    if (c->stack == STACK_AWAY)
        return;
    for (struct native_site *site = c->unit->site + c->stack_site; site < c->site;
         site++)
        site->parked = MUTANT(native_stack_unmarked, 0, 1);
    if (MUTANT(native_stack_late, false, true))
        pvm_native_unpark(c);
    c->stack = STACK_AWAY;
}
