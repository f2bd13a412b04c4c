/* SPDX-License-Identifier: MIT
 *
 * analysis/progen_private.h - what the parts of the generator share: progen.c (the
 * machine around a program), progen_code.c (instructions, their bytes, where jumps
 * lead), progen_idiom.c (instructions that belong together).  Private to analysis/.
 */
#ifndef ANALYSIS_PROGEN_PRIVATE_H
#define ANALYSIS_PROGEN_PRIVATE_H

#include "analysis/progen.h"

enum { PROGEN_POOL = 8, PROGEN_PALETTE_MAX = 24, PROGEN_ENTRY_MAX = 16 };
enum { PROGEN_REG_RA = 0, PROGEN_REG_SP = 1, PROGEN_REG_ODD = 12 };

/* A case in the making, and the taste of its program. */
struct progen {
    struct analysis_case *c;
    uint64_t random;
    bool tight; /* few registers, and idioms that a recompiler emits as one */
    bool calm;  /* hardly anything that ends a block or faults */
    bool calls; /* functions */
    bool runs;  /* begins with analysis_progen_run() */
    bool loose; /* bytes that an encoder would write in another way */
    uint8_t pool[PROGEN_POOL]; /* registers of idioms: different ones */
    uint8_t palette[PROGEN_PALETTE_MAX];
    uint32_t palette_count; /* opcodes that it likes; 0: all */
    /* Jumps that lead where they should already, and entries of the table. */
    uint8_t kept[ANALYSIS_CASE_CODE_MAX / 8];
    struct {
        uint32_t index, pc;
    } entry[PROGEN_ENTRY_MAX];
    uint32_t entry_count;
};

static inline uint64_t next(struct progen *p)
{
    return analysis_random(&p->random);
}

static inline uint64_t below(struct progen *p, uint64_t bound)
{
    return next(p) % bound;
}

static inline bool chance(struct progen *p, unsigned percent)
{
    return below(p, 100) < percent;
}

static inline unsigned pick_pool(struct progen *p, unsigned count)
{
    return p->pool[below(p, count)];
}

/* An edge, something next to one, or any number. */
uint64_t analysis_progen_value(struct progen *p);

/* An address in or near a mapped page, mostly near its edges. */
uint64_t analysis_progen_address(struct progen *p);

/* What a table jump wants: mostly of an entry that is there. */
int64_t analysis_progen_table_address(struct progen *p);

/* Any instruction that could stand at `pc`. */
struct pvm_insn analysis_progen_insn(struct progen *p, uint32_t pc);

/* Write an instruction at the end of the code, which is `pc`.  Answers its bytes; 0:
 * there is no room.  Offsets have two bytes and more, so that they can be changed. */
uint32_t analysis_progen_append(struct progen *p, const struct pvm_insn *insn,
                                uint32_t pc);

/* Let the jump at `pc` lead to `target`, as far as its offset can hold that. */
void analysis_progen_aim(struct progen *p, uint32_t pc, int64_t target);

/* The code and the jump table, all but what make_unusual() does to them. */
void analysis_progen_code(struct progen *p);

/* Let some jumps and entries lead where no block starts, or where one nearly does. */
void analysis_progen_astray(struct progen *p);

/* Some instructions that belong together, at `pc`, as analysis_progen_append(): what a
 * recompiler may emit as one, or a function behind a call of it. */
uint32_t analysis_progen_idiom(struct progen *p, uint32_t pc);
uint32_t analysis_progen_function(struct progen *p, uint32_t pc);

/* Likewise many accesses near sp and not much else, a few of them below it, and some so
 * far that they come out above all memory; sp moves now and then. */
uint32_t analysis_progen_run(struct progen *p, uint32_t pc);

#endif
