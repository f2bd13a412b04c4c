/* SPDX-License-Identifier: MIT
 *
 * analysis/coverage.h - what executed programs have in them, as a set of features: a
 * program that has a new one is worth to be varied.  Private to analysis/.
 *
 * Features: two instructions one behind the other and which result of the first the
 * second takes (what a recompiler may join), an instruction with the kind of its
 * immediate and the equality of its registers, the instruction at an exit and the exit.
 * The first two are of blocks that were entered (analysis_pair_blocks()).
 */
#ifndef ANALYSIS_COVERAGE_H
#define ANALYSIS_COVERAGE_H

#include "analysis/pair.h"

enum { COVERAGE_BITS = 1 << 18 };

struct coverage {
    uint64_t set[COVERAGE_BITS / 64];
    uint32_t count;
};

/* Add what the pair's last run, of `c`, showed; the number of new features. */
uint32_t analysis_coverage_add(struct coverage *coverage,
                               const struct analysis_pair *pair,
                               const struct analysis_case *c,
                               const struct analysis_pair_report *report);

#endif
