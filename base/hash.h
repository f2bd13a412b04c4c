/* SPDX-License-Identifier: MIT
 *
 * base/hash.h - the hashes of the project, each called through here only.
 *
 * blake2b-256 proves content (libb2; RFC 7693), sha256 names capabilities (OpenSSL
 * libcrypto; FIPS 180-4), crc32c finds damage (CRC-32C,
 * polynomial 0x1EDC6F41), xxh3 notices divergence (XXH3-64, seed 0; libxxhash).
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/buf.h"

#include <stdint.h>

enum { HASH256_SIZE = 32 };

struct hash256 {
    uint8_t byte[HASH256_SIZE];
};

/* blake2b with 32 bytes of output, no key. */
struct hash256 hash256_of(const void *data, size_t size);

/* The same over several pieces in order. */
struct hash256 hash256_of_pieces(const struct bytes *piece, size_t piece_count);

/* hash256_of() of `count` messages of `size` bytes each, several at a time when size is
 * a multiple of 8 and the CPU has vectors. */
void hash256_of_many(const uint8_t *const *data, size_t count, size_t size,
                     struct hash256 *ret_hashes);

/* SHA-256. */
struct hash256 hash_sha256(const void *data, size_t size);

/* SHA-256 of the 64 bytes of `a` and `b`: the inner node of a Merkle tree. */
struct hash256 hash_sha256_pair(const struct hash256 *a, const struct hash256 *b);

static inline int hash256_equal(const struct hash256 *a, const struct hash256 *b)
{
    unsigned different = 0;
    for (unsigned i = 0; i < HASH256_SIZE; i++)
        different |= (unsigned)(a->byte[i] ^ b->byte[i]);
    return different == 0;
}

/* crc32c of `data` behind what `crc` covers; start with 0.  "123456789" = e3069283. */
uint32_t hash_crc32c(uint32_t crc, const void *data, size_t size);

/* XXH3-64 with seed 0; 0 for no bytes (trace-replay.md 3.2, type d). */
uint64_t hash_xxh3(const void *data, size_t size);

/* XXH3-64 over pieces, as if they were one. */
uint64_t hash_xxh3_of_pieces(const struct bytes *piece, size_t piece_count);

#endif
