/* SPDX-License-Identifier: MIT
 *
 * What can be seen of a register by those who look when code is left [10.1]: results
 * that nobody sees need not be made.
 */
#include "pvm/recomp_role.h"

static bool is_access(const struct native_insn *i)
{
    return native_role(i)->flags & (PVM_OP_LOAD | PVM_OP_STORE);
}

static bool is_store(const struct native_insn *i)
{
    return native_role(i)->flags & PVM_OP_STORE;
}

/* ---- the stack ----
 *
 * Compilers spill to places near the guest's sp.  Of two accesses of a block by one sp
 * that succeeded and are at most a page apart, all bytes between them are on their two
 * pages: an access there cannot end the run.  (Where the host stops it all the same,
 * because it wraps, the interpreter executes it and the code goes on.)  So nobody looks
 * at registers there.
 */

static bool is_within(const struct native_reach *reach, const struct native_insn *i)
{
    return i->x >= reach->low && i->x + native_role(i)->access_size <= reach->end;
}

static void extend(struct native_reach *reach, const struct native_insn *i)
{
    int64_t low = i->x, end = i->x + native_role(i)->access_size;
    if (reach->low < reach->end) {
        low = low < reach->low ? low : reach->low;
        end = end > reach->end ? end : reach->end;
    }
    if (MUTANT(fuse_reach_wide, false, end - low > PVM_PAGE_SIZE)) {
        low = i->x;
        end = i->x + native_role(i)->access_size;
    }
    *reach = (struct native_reach){low, end};
}

static void note(struct native_compiler *c, const struct native_insn *i)
{
    if (native_address(i) == SP) {
        extend(&c->readable, i);
        if (MUTANT(fuse_reach_reads, true, is_store(i)))
            extend(&c->writable, i);
    }
    if (MUTANT(fuse_reach_moved, false, native_written(i) == SP))
        c->readable = c->writable = (struct native_reach){0, 0};
}

void pvm_native_note(struct native_compiler *c, const struct native_insn *end)
{
    for (; c->noted < end; c->noted++) {
        if (native_meets_sp(c->noted))
            note(c, c->noted);
    }
}

/* Can nothing leave the code at `i`, so that somebody sees registers, and is it
 * emitted?  `sp_stays`: sp is what it was before `first`, up to where the stack is
 * known.
 */
static bool stays(struct native_compiler *c, const struct native_insn *first,
                  const struct native_insn *i, bool sp_stays)
{
    unsigned flags = native_role(i)->flags;
    unsigned leaves = PVM_OP_T | PVM_OP_TJ | PVM_OP_LOAD | PVM_OP_STORE | PVM_OP_CALL;
    if (native_is_hole(c, i->op))
        return false;
    if (!(flags & MUTANT(fuse_dead_leaves, PVM_OP_T, leaves)))
        return true;
    if (!sp_stays || native_address(i) != SP)
        return false;
    pvm_native_note(c, first);
    return is_within(is_store(i) ? &c->writable : &c->readable, i);
}

bool pvm_native_is_dead(struct native_compiler *c, unsigned r,
                        const struct native_insn *i, uint32_t first, uint32_t count)
{
    enum { LOOK_MAX = 16 };
    uint32_t end = count < first + LOOK_MAX ? count : first + LOOK_MAX;
    bool sp_stays = true;
    for (uint32_t k = 0; k < first; k++)
        sp_stays = sp_stays && native_written(&i[k]) != SP;
    for (uint32_t k = first; k < end && stays(c, i, &i[k], sp_stays); k++) {
        if (i[k].a != r && i[k].b != r && i[k].d != r && i[k].a != SP && i[k].d != SP)
            continue; /* most of them */
        if (native_reads(&i[k], r))
            return false;
        if (native_written(&i[k]) == r)
            return true;
        sp_stays = sp_stays && native_written(&i[k]) != SP;
    }
    return MUTANT(fuse_dead_at_end, true, false);
}

/* ---- what waits for a load ---- */

bool pvm_native_waits(const struct native_insn *i, uint32_t count)
{
    const struct native_insn *last = &i[count - 1];
    unsigned loaded = 0, stores = 0;
    if (!(native_role(last)->flags & PVM_OP_COND) || last->target != i->pc)
        return true;
    for (uint32_t k = 0; k + 1 < count; k++) {
        if (native_role(&i[k])->flags & PVM_OP_LOAD)
            loaded |= 1u << i[k].a;
        stores += is_store(&i[k]);
    }
    for (uint32_t k = 0; k + 1 < count; k++) {
        unsigned address = native_address(&i[k]), written = native_written(&i[k]);
        if (address < NATIVE_NO_REGISTER && (loaded >> address & 1))
            return true;
        for (unsigned r = 0; r < NATIVE_NO_REGISTER && !is_access(&i[k]); r++) {
            if ((loaded >> r & 1) && native_reads(&i[k], r) &&
                written < NATIVE_NO_REGISTER)
                loaded |= 1u << written;
        }
    }
    return stores > 1 || (loaded >> last->a & 1) ||
           (pvm_op_info[last->op].format == PVM_FORMAT_A_B_T &&
            (loaded >> last->b & 1));
}
