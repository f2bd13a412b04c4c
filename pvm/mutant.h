/* SPDX-License-Identifier: MIT
 *
 * pvm/mutant.h - places at which a test build can switch one deliberate mistake on.
 * Private to pvm/ and tests/diff/mutants.c.
 *
 * MUTANT(name, wrong, right) is `right`; nothing else is left of it in an ordinary
 * build.  With PVM_MUTANTS it is `wrong` while pvm_mutant is PVM_MUTANT_name.  The rows
 * of pvm/mutants.def say what each of them does.  A program that switches them on
 * measures how good the tests are, so pvm_mutant is the one global variable here.
 */
#ifndef PVM_MUTANT_H
#define PVM_MUTANT_H

#ifdef PVM_MUTANTS

#include <stdbool.h>
#include <stdint.h>

enum pvm_mutant {
    PVM_MUTANT_none,
#define MUTANT_ROW(name, class, text) PVM_MUTANT_##name,
#include "pvm/mutants.def"
    PVM_MUTANT_COUNT
};

/* Of the test program: the one that is on, and how often its place was reached. */
extern enum pvm_mutant pvm_mutant;
extern uint64_t pvm_mutant_reached;

static inline bool pvm_mutant_is(enum pvm_mutant mutant)
{
    bool on = pvm_mutant == mutant;
    pvm_mutant_reached += on;
    return on;
}

#define MUTANT(name, wrong, right)                                                     \
    (pvm_mutant_is(PVM_MUTANT_##name) ? (wrong) : (right))

#else

#define MUTANT(name, wrong, right) (right)

#endif

#endif
