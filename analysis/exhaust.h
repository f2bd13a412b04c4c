/* SPDX-License-Identifier: MIT
 *
 * analysis/exhaust.h - every opcode with every combination of edge operands and of
 * registers that are special to a recompiler (trace-replay.md 13, pvm-exec.md 11.1).
 *
 * Registers are phi0, phi10, phi11 and phi12 in every alias; values are the 32 of
 * analysis_edge, addresses 32 around the edges of pages, of gaps and of 2^32.  What
 * does not end a block comes many times in one case.
 */
#ifndef ANALYSIS_EXHAUST_H
#define ANALYSIS_EXHAUST_H

#include "analysis/case.h"

enum { ANALYSIS_EXHAUST_ALL = 256 };

/* How many cases there are of an opcode, or of ANALYSIS_EXHAUST_ALL; 0: no opcode. */
uint64_t analysis_exhaust_count(unsigned op);

/* Make number `index` of them. */
void analysis_exhaust_make(unsigned op, uint64_t index, struct analysis_case *c);

#endif
