/* SPDX-License-Identifier: MIT
 *
 * What can be seen of a register by those who look when code is left [10.1]: results
 * that nobody sees need not be made.
 */
#include "pvm/native.h"

static bool is_cmov(uint8_t op)
{
    return op == PVM_OP_cmov_iz || op == PVM_OP_cmov_nz || op == PVM_OP_cmov_iz_imm ||
           op == PVM_OP_cmov_nz_imm;
}

static bool is_access(const struct native_insn *i)
{
    return pvm_op_info[i->op].flags & (PVM_OP_LOAD | PVM_OP_STORE);
}

static bool is_store(const struct native_insn *i)
{
    return pvm_op_info[i->op].flags & PVM_OP_STORE;
}

unsigned pvm_native_written(const struct native_insn *i)
{
    uint8_t format = pvm_op_info[i->op].format;
    if (is_store(i))
        return NATIVE_NO_REGISTER;
    return format == PVM_FORMAT_D_A || format == PVM_FORMAT_D_A_B ? i->d : i->a;
}

bool pvm_native_reads(const struct native_insn *i, unsigned r)
{
    if (MUTANT(fuse_cmov_reads, false, is_cmov(i->op)) && pvm_native_written(i) == r)
        return true;
    if (MUTANT(fuse_store_reads, false, is_store(i)) && i->a == r)
        return true;
    switch (pvm_op_info[i->op].format) {
    case PVM_FORMAT_D_A:
        return i->a == r;
    case PVM_FORMAT_A_B_X:
        return i->b == r;
    case PVM_FORMAT_D_A_B:
        return i->a == r || i->b == r;
    default:
        return false;
    }
}

/* ---- the stack ----
 *
 * Compilers spill to places near the guest's sp.  Of two accesses of a block by one sp
 * that succeeded and are at most a page apart, all bytes between them are on their two
 * pages: an access there cannot end the run.  (Where the host stops it all the same,
 * because it wraps, the interpreter executes it and the code goes on.)  So nobody looks
 * at registers there.
 */

static unsigned access_size(const struct native_insn *i)
{
    switch (i->op) {
    case PVM_OP_load_ind_u8:
    case PVM_OP_load_ind_i8:
    case PVM_OP_store_ind_u8:
    case PVM_OP_store_imm_ind_u8:
        return 1;
    case PVM_OP_load_ind_u16:
    case PVM_OP_load_ind_i16:
    case PVM_OP_store_ind_u16:
    case PVM_OP_store_imm_ind_u16:
        return 2;
    case PVM_OP_load_ind_u32:
    case PVM_OP_load_ind_i32:
    case PVM_OP_store_ind_u32:
    case PVM_OP_store_imm_ind_u32:
        return 4;
    default:
        return 8;
    }
}

/* The register in the address of an access. */
static unsigned address_of(const struct native_insn *i)
{
    uint8_t format = pvm_op_info[i->op].format;
    return format == PVM_FORMAT_A_B_X   ? i->b
           : format == PVM_FORMAT_A_X_Y ? i->a
                                        : NATIVE_NO_REGISTER;
}

static bool is_by_sp(const struct native_insn *i)
{
    return is_access(i) && address_of(i) == SP;
}

static bool is_within(const struct native_reach *reach, const struct native_insn *i)
{
    return i->x >= reach->low && i->x + access_size(i) <= reach->end;
}

static void extend(struct native_reach *reach, const struct native_insn *i)
{
    int64_t low = i->x, end = i->x + access_size(i);
    if (reach->low < reach->end) {
        low = low < reach->low ? low : reach->low;
        end = end > reach->end ? end : reach->end;
    }
    if (MUTANT(fuse_reach_wide, false, end - low > PVM_PAGE_SIZE)) {
        low = i->x;
        end = i->x + access_size(i);
    }
    *reach = (struct native_reach){low, end};
}

void pvm_native_note(struct native_compiler *c, const struct native_insn *i,
                     uint32_t count)
{
    for (uint32_t k = 0; k < count; k++) {
        unsigned flags = pvm_op_info[i[k].op].flags;
        bool stays = !(flags & (PVM_OP_T | PVM_OP_TJ | PVM_OP_CALL));
        if (stays && i[k].a != SP && i[k].b != SP && i[k].d != SP)
            continue; /* most have nothing to do with it */
        if (is_by_sp(&i[k])) {
            extend(&c->readable, &i[k]);
            if (MUTANT(fuse_reach_reads, true, is_store(&i[k])))
                extend(&c->writable, &i[k]);
        }
        if (MUTANT(fuse_reach_moved, false, pvm_native_written(&i[k]) == SP))
            c->readable = c->writable = (struct native_reach){0, 0};
    }
}

/* Can nothing leave the code at `i`, so that somebody sees registers, and is it
 * emitted?  `sp_stays`: sp is what it was. */
static bool stays(const struct native_compiler *c, const struct native_insn *i,
                  bool sp_stays)
{
    unsigned flags = pvm_op_info[i->op].flags;
    unsigned leaves = PVM_OP_T | PVM_OP_TJ | PVM_OP_LOAD | PVM_OP_STORE | PVM_OP_CALL;
    if (!c->emitter[i->op])
        return false;
    return !(flags & MUTANT(fuse_dead_leaves, PVM_OP_T, leaves)) ||
           (sp_stays && is_by_sp(i) &&
            is_within(is_store(i) ? &c->writable : &c->readable, i));
}

bool pvm_native_is_dead(const struct native_compiler *c, unsigned r,
                        const struct native_insn *i, uint32_t first, uint32_t count)
{
    enum { LOOK_MAX = 16 };
    uint32_t end = count < first + LOOK_MAX ? count : first + LOOK_MAX;
    bool sp_stays = true;
    for (uint32_t k = 0; k < first; k++)
        sp_stays = sp_stays && pvm_native_written(&i[k]) != SP;
    for (uint32_t k = first; k < end && stays(c, &i[k], sp_stays); k++) {
        if (i[k].a != r && i[k].b != r && i[k].d != r && i[k].a != SP && i[k].d != SP)
            continue; /* most of them */
        if (pvm_native_reads(&i[k], r))
            return false;
        if (pvm_native_written(&i[k]) == r)
            return true;
        sp_stays = sp_stays && pvm_native_written(&i[k]) != SP;
    }
    return MUTANT(fuse_dead_at_end, true, false);
}

/* ---- what waits for a load ---- */

bool pvm_native_waits(const struct native_insn *i, uint32_t count)
{
    const struct native_insn *last = &i[count - 1];
    unsigned loaded = 0, stores = 0;
    if (!(pvm_op_info[last->op].flags & PVM_OP_COND) || last->target != i->pc)
        return true;
    for (uint32_t k = 0; k + 1 < count; k++) {
        if (pvm_op_info[i[k].op].flags & PVM_OP_LOAD)
            loaded |= 1u << i[k].a;
        stores += is_store(&i[k]);
    }
    for (uint32_t k = 0; k + 1 < count; k++) {
        if (is_access(&i[k]) && (loaded >> address_of(&i[k]) & 1))
            return true;
        for (unsigned r = 0; r < NATIVE_NO_REGISTER && !is_access(&i[k]); r++) {
            if ((loaded >> r & 1) && pvm_native_reads(&i[k], r))
                loaded |= 1u << pvm_native_written(&i[k]);
        }
    }
    return stores > 1 || (loaded >> last->a & 1) ||
           (pvm_op_info[last->op].format == PVM_FORMAT_A_B_T &&
            (loaded >> last->b & 1));
}
