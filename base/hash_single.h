/* SPDX-License-Identifier: MIT
 *
 * base/hash_single.h - blake2b-256 of one message in vector registers, and what it
 * shares with that of many (hash_pages.c).  Private to base/.
 */
#ifndef BASE_HASH_SINGLE_H
#define BASE_HASH_SINGLE_H

#include "base/hash.h"

#include <stdbool.h>
#include <string.h>

/* RFC 7693 2.6 and 2.7: the initial values, and the words of each round. */
#define BLAKE2B_IV_LOW                                                                 \
    0x6a09e667f3bcc908u, 0xbb67ae8584caa73bu, 0x3c6ef372fe94f82bu, 0xa54ff53a5f1d36f1u
#define BLAKE2B_IV_HIGH                                                                \
    0x510e527fade682d1u, 0x9b05688c2b3e6c1fu, 0x1f83d9abfb41bd6bu, 0x5be0cd19137e2179u
#define BLAKE2B_ROUNDS(ROW)                                                            \
    ROW(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)                          \
    ROW(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)                          \
    ROW(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4)                          \
    ROW(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8)                          \
    ROW(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13)                          \
    ROW(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9)                          \
    ROW(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11)                          \
    ROW(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10)                          \
    ROW(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5)                          \
    ROW(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0)                          \
    ROW(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)                          \
    ROW(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)

/* 32 bytes of output, no key: into the first word of the state (2.5). */
#define BLAKE2B_PARAMETERS (0x01010000u | HASH256_SIZE)

#define BLAKE2B_ROTATE(x, n) ((x) >> (n) | (x) << (64 - (n)))

enum { BLAKE2B_BLOCK_SIZE = 128 };

static inline uint64_t hash_word_at(const uint8_t *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof word);
    return word;
}

/* The hash of the pieces in order; false, with nothing done, on a CPU without AVX2. */
bool hash_single(const struct bytes *piece, size_t piece_count,
                 struct hash256 *ret_hash);

#endif
