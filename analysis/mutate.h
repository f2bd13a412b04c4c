/* SPDX-License-Identifier: MIT
 *
 * analysis/mutate.h - vary cases.  Private to analysis/.
 */
#ifndef ANALYSIS_MUTATE_H
#define ANALYSIS_MUTATE_H

#include "analysis/edit.h"

/* Change `c` in a few places, with instructions of `other` among them.  The result
 * depends on the two and the seed alone.  `edit` is scratch. */
void analysis_mutate(struct analysis_case *c, const struct analysis_case *other,
                     uint64_t seed, struct edit edit[2]);

#endif
