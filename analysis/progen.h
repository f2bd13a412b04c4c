/* SPDX-License-Identifier: MIT
 *
 * analysis/progen.h - random PVM programs and machines for differential tests.
 *
 * Most are structured (valid instructions, edge operands, aliased registers, jumps that
 * land on block starts, memory accesses near page edges, what a recompiler emits as
 * one), the rest is damaged or random bytes: engines must agree on all of it.
 */
#ifndef ANALYSIS_PROGEN_H
#define ANALYSIS_PROGEN_H

#include "analysis/case.h"

/* SplitMix64: small, and the same everywhere. */
uint64_t analysis_random(uint64_t *state);

/* Operands at which something changes sides. */
enum { ANALYSIS_EDGE_COUNT = 32 };
extern const uint64_t analysis_edge[ANALYSIS_EDGE_COUNT];

/* Fill a case from a seed; the same on every machine. */
void analysis_progen_make(struct analysis_case *c, uint64_t seed);

#endif
