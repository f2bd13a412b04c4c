/* SPDX-License-Identifier: MIT
 *
 * link/lower.h - what lower.c and zero.c share.  Not for other folders.
 */
#ifndef LINK_LOWER_H
#define LINK_LOWER_H

#include "link/internal.h"

/* Append an item; sizes of immediates are set later.  Without memory the link is
 * marked as failed and the result is scratch. */
struct link_item *link_item_put(struct link *link, struct link_item item);

/* PVM register of a RISC-V register that is not zero; 0 for zero. */
static inline uint8_t link_phi(unsigned reg)
{
    return (uint8_t)(reg >= 5 ? reg - 3 : reg ? reg - 1 : 0);
}

/* The action for the `zero` operands that a word has; one source must be zero. */
const struct link_zero *link_zero_of(const struct link_word *word,
                                     const struct link_rv_info *info);

/* Lower a word that computes rd (not zero) with a `zero` source; `x` is its
 * immediate. */
void link_zero_put(struct link *link, const struct link_word *word,
                   const struct link_zero *zero, int64_t x);

/* Spare registers (6.1): the `n`th (0, 1) that the word does not name, its save below
 * sp and its way back. */
uint8_t link_spare(const struct link *link, const struct link_word *word, unsigned n);
void link_spare_save(struct link *link, uint8_t reg, unsigned n);
void link_spare_restore(struct link *link, uint8_t reg, unsigned n);

/* orc.b with a source and a destination (6.1). */
void link_orc_b_put(struct link *link, const struct link_word *word);

#endif
