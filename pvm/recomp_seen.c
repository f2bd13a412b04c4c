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

/* Extend by what an access touches. */
static inline void extend(struct native_reach *reach, const struct native_insn *i)
{
    int64_t low = i->x, end = i->x + native_role(i)->access_size;
    reach->low = low < reach->low ? low : reach->low;
    reach->end = end > reach->end ? end : reach->end;
}

static inline void extend_known(struct native_reach *reach, const struct native_insn *i)
{
    extend(reach, i);
    if (MUTANT(fuse_reach_wide, false, reach->end - reach->low > PVM_PAGE_SIZE)) {
        *reach = NATIVE_NOWHERE;
        extend(reach, i);
    }
}

/* Of an instruction with sp among its registers. */
static inline void note(struct native_compiler *c, const struct native_insn *i)
{
    if (native_address(i) == SP) {
        extend_known(&c->readable, i);
        if (MUTANT(fuse_reach_reads, true, is_store(i)))
            extend_known(&c->writable, i);
    }
    if (MUTANT(fuse_reach_moved, false, native_written(i) == SP))
        c->readable = c->writable = NATIVE_NOWHERE;
}

void pvm_native_note(struct native_compiler *c, const struct native_insn *end)
{
    const struct native_insn *i = c->noted;
    for (; i < end; i++) {
        if (native_names(i, SP))
            note(c, i);
    }
    c->noted = i;
}

/* ---- looking ahead ---- */

static bool holds(const struct native_reach *known, const struct native_reach *reach)
{
    return reach->low >= known->low && reach->end <= known->end;
}

/* Of `count` instructions of which all accesses behind the first `first` ones are by
 * sp: is all of that there, by what is known before them? */
static bool is_there(struct native_compiler *c, const struct native_insn *i,
                     uint32_t first, uint32_t count)
{
    struct native_reach read = NATIVE_NOWHERE, written = NATIVE_NOWHERE;
    bool sp_stays = true;
    for (uint32_t k = 0; k < count; k++) {
        if (k >= first && is_access(&i[k])) {
            if (!sp_stays)
                return false;
            extend(is_store(&i[k]) ? &written : &read, &i[k]);
        }
        if (native_names(&i[k], SP) && native_written(&i[k]) == SP)
            sp_stays = false;
    }
    pvm_native_note(c, i);
    return holds(&c->readable, &read) && holds(&c->writable, &written);
}

bool pvm_native_is_dead(struct native_compiler *c, unsigned r,
                        const struct native_insn *i, uint32_t first, uint32_t count)
{
    enum { LOOK_MAX = 16 };
    const unsigned leaves =
        PVM_OP_T | PVM_OP_TJ | PVM_OP_LOAD | PVM_OP_STORE | PVM_OP_CALL;
    uint32_t end = count < first + LOOK_MAX ? count : first + LOOK_MAX;
    bool stays = true; /* nothing leaves the code, whatever the stack is */
    for (uint32_t k = first; k < end && !native_is_hole(c, i[k].op); k++) {
        if (native_role(&i[k])->flags & MUTANT(fuse_dead_leaves, PVM_OP_T, leaves)) {
            if (native_address(&i[k]) != SP)
                break;
            stays = false;
        }
        if (!native_names(&i[k], r))
            continue; /* most of them */
        if (native_reads(&i[k], r))
            return false;
        if (native_written(&i[k]) == r)
            return stays || is_there(c, i, first, k + 1);
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
