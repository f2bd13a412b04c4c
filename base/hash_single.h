/* SPDX-License-Identifier: MIT
 *
 * base/hash_single.h - blake2b-256 of one message in vector registers.  Private to
 * base/hash.c.
 */
#ifndef BASE_HASH_SINGLE_H
#define BASE_HASH_SINGLE_H

#include "base/hash.h"

#include <stdbool.h>

/* The hash of the pieces in order; false, with nothing done, on a CPU without AVX2. */
bool hash_single(const struct bytes *piece, size_t piece_count,
                 struct hash256 *ret_hash);

#endif
