/* SPDX-License-Identifier: MIT
 *
 * pvm/recomp_role.h - what the recompiler asks of an opcode before it emits it: one row
 * each, and the questions that are asked so often that they are inline.
 * Private to pvm/recomp*.c.
 */
#ifndef PVM_RECOMP_ROLE_H
#define PVM_RECOMP_ROLE_H

#include "pvm/native.h"

#include <stddef.h>
#include <string.h>

/* Where a register is in the first four bytes of struct native_insn, as a shift. */
enum { ROLE_A = 8, ROLE_B = 16, ROLE_D = 24 };
enum { READS_A = 1, READS_B = 2, READS_WRITTEN = 4 };

/* Two neighbours that a row of recomp_fuse.c begins with. */
enum native_pair {
    PAIR_LOAD_COMPUTE = 1 << 0,
    PAIR_SHIFT_ADD = 1 << 1,
    PAIR_ADD_LOAD = 1 << 2,
    PAIR_ADD_COMPARE = 1 << 3,
    PAIR_CONSTANT = 1 << 4,
    PAIR_LEFT_RIGHT = 1 << 5,
    PAIR_RIGHT_LEFT = 1 << 6,
    PAIR_LOW_HIGH = 1 << 7,
    PAIR_HIGH_LOW = 1 << 8,
    PAIR_PRODUCT_ADD = 1 << 9,
    PAIR_COMPARE = 1 << 10,
    PAIR_TURN = 1 << 11,
};

struct native_role {
    uint16_t flags;              /* of pvm_op_info */
    uint8_t written, no_written; /* ROLE_*; NATIVE_NO_REGISTER where none is, or 0 */
    uint8_t address, no_address; /* the same of the register in an access's address */
    uint8_t reads;               /* READS_* */
    uint8_t access_size;         /* bytes, of an access by a register */
};
extern const struct native_role pvm_native_role[256];

/* enum native_pair: as the first, as the second. */
extern const uint16_t pvm_native_begins[256], pvm_native_follows[256];

static inline const struct native_role *native_role(const struct native_insn *i)
{
    return &pvm_native_role[i->op];
}

_Static_assert(offsetof(struct native_insn, a) * 8 == ROLE_A, "registers of a role");
_Static_assert(offsetof(struct native_insn, b) * 8 == ROLE_B, "registers of a role");
_Static_assert(offsetof(struct native_insn, d) * 8 == ROLE_D, "registers of a role");

static inline unsigned native_operand(const struct native_insn *i, unsigned role,
                                      unsigned none)
{
    uint32_t word;
    memcpy(&word, i, 4);
    return (word >> role & 255) | none;
}

/* Is r one of its three bytes for registers, which may not all be used?  Then one of
 * them is 0 when r is taken away, and a borrow tells. */
static inline bool native_names(const struct native_insn *i, unsigned r)
{
    enum { ONES = 0x01010100 };
    uint32_t word;
    memcpy(&word, i, 4);
    return ((word ^ r * ONES) - ONES) & 0x80u * ONES;
}

/* Of an instruction that computes or is an access: the register it writes; at least
 * NATIVE_NO_REGISTER for none. */
static inline unsigned native_written(const struct native_insn *i)
{
    const struct native_role *role = native_role(i);
    return native_operand(i, role->written, role->no_written);
}

/* Does it read r? */
static inline bool native_reads(const struct native_insn *i, unsigned r)
{
    const struct native_role *role = native_role(i);
    unsigned is = (unsigned)(i->a == r) | (unsigned)(i->b == r) << 1;
    if (MUTANT(fuse_cmov_reads, false, role->reads & READS_WRITTEN) &&
        native_written(i) == r)
        return true;
    if (MUTANT(fuse_store_reads, false, role->flags & PVM_OP_STORE) && i->a == r)
        return true;
    return role->reads & is;
}

/* The register in the address of an access; at least NATIVE_NO_REGISTER for none, and
 * for what is no access. */
static inline unsigned native_address(const struct native_insn *i)
{
    const struct native_role *role = native_role(i);
    return native_operand(i, role->address, role->no_address);
}

static inline bool native_is_load_ind(const struct native_insn *i)
{
    return i->op >= PVM_OP_load_ind_u8 && i->op <= PVM_OP_load_ind_u64;
}

/* Take note of what emitted instructions before `end`, which is in the window, had to
 * do with sp: when somebody asks, which is seldom, and before the window moves.  A
 * block, what the interpreter executes, and a call begin anew. */
void pvm_native_note(struct native_compiler *c, const struct native_insn *end);

/* Can a row of recomp_fuse.c begin with the two instructions at `i`?  Never if the
 * first one ends its block. */
static inline bool native_may_fuse(const struct native_insn *i)
{
    return pvm_native_begins[i[0].op] & pvm_native_follows[i[1].op];
}

#endif
