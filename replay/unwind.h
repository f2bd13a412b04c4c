/* SPDX-License-Identifier: MIT
 *
 * replay/unwind.h - the callers of a function in a PVM program.
 *
 * A return address is an index of the jump table, on the stack where the function has
 * put it; neither frame pointers nor, without -g, any tables tell where.  But the way
 * out of a function is in its code: from where it stands we follow the instructions to
 * its return (`jump_ind ra, 0`), with what is known of registers and stack, and see
 * what ra and sp are there.  Calls on the way are passed over: they keep sp, s0 and s1,
 * and lose the rest, ra as well.  A way on which ra was lost is none, so those that
 * cannot be gone (behind a call that never returns) do not deceive.
 *
 * Pure: no guest is run.  The program and its memory are hostile; time is bounded.
 */
#ifndef REPLAY_UNWIND_H
#define REPLAY_UNWIND_H

#include "pvm/pvm.h"
#include "replay/debug.h"

#include <stdbool.h>
#include <stdint.h>

struct replay_unwind {
    const struct pvm_code *code;
    enum pvm_profile profile;
    const struct pvm_mem *mem; /* NULL: there is none */
    uint32_t pc;
    uint64_t reg[PVM_REG_COUNT];
    uint32_t known; /* bit i: reg[i] is what the function has, or had, there */
};

/* Begin at the innermost function, where all registers are known.  Everything is
 * borrowed. */
void replay_unwind_begin(struct replay_unwind *unwind, const struct pvm_code *code,
                         enum pvm_profile profile, const struct pvm_state *state);

/* To the caller: pc behind the call, sp as it is there.  False, and as before: there is
 * none, or it cannot be seen. */
bool replay_unwind_next(struct replay_unwind *unwind);

/* The functions that are under way in a program, the innermost first, of which `at` has
 * the place; answers how many, at least 1 and at most `max`.  The entry of one is known
 * if its caller names it in the call; a call at the end of a function keeps the entry
 * of that. */
size_t replay_unwind_list(const struct pvm_code *code, enum pvm_profile profile,
                          const struct pvm_state *state, struct replay_frame at,
                          struct replay_frame *ret_frame, size_t max);

#endif
