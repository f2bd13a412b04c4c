/* SPDX-License-Identifier: MIT
 *
 * pvm/interp_ops.h - operands of a record as C names, for the readers of
 * pvm/effects.def.  Private to pvm/.
 *
 * In the scope of `const struct record *i` and `struct pvm_engine *e`: OPERAND(a) is
 * the register that field a names, X and Y are the immediates.  A and B are the
 * reader's to define.
 */
#ifndef PVM_INTERP_OPS_H
#define PVM_INTERP_OPS_H

#include "pvm/arith.h"
#include "pvm/engine.h"
#include "pvm/mutant.h"

#include <string.h>

/* Register operands are byte offsets, so that an access is one load. */
#define OPERAND(field) (*(uint64_t *)(void *)((char *)e + i->field))
#define D OPERAND(d)
#define X (i->x)
#define Y (i->y)

#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

/* May an access of `size` bytes at `address` go ahead without asking mem.c? */
static inline bool access_fast(const uint8_t *mem, uint32_t address, unsigned size,
                               unsigned within, unsigned onwards)
{
    unsigned rights = mem[(ptrdiff_t)(address / MEM_LINE_SIZE) - MEM_LINE_COUNT];
    if (likely(rights & onwards) || (size == 1 && rights & within))
        return true;
    return (rights & within) &&
           address % PVM_PAGE_SIZE <= PVM_PAGE_SIZE - MUTANT(fast_straddle, 1, size);
}

#endif
