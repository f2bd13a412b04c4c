/* SPDX-License-Identifier: MIT */
#include "base/hash.h"

#include "base/err.h"
#include "base/hash_single.h"

#include <blake2.h>
#include <openssl/evp.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static struct hash256 libb2_of_pieces(const struct bytes *piece, size_t piece_count)
{
    struct hash256 hash;
    blake2b_state state;
    check(blake2b_init(&state, HASH256_SIZE) == 0);
    for (size_t i = 0; i < piece_count; i++) {
        if (piece[i].size)
            check(blake2b_update(&state, piece[i].data, piece[i].size) == 0);
    }
    check(blake2b_final(&state, hash.byte, HASH256_SIZE) == 0);
    return hash;
}

struct hash256 hash256_of_pieces(const struct bytes *piece, size_t piece_count)
{
    struct hash256 hash;
    if (hash_single(piece, piece_count, &hash))
        return hash;
    return libb2_of_pieces(piece, piece_count);
}

struct hash256 hash256_of(const void *data, size_t size)
{
    const struct bytes piece = bytes_of(data, size);
    return hash256_of_pieces(&piece, 1);
}

/* One context per thread, made on its first use: almost all messages have 64 bytes, and
 * looking the algorithm up costs more than hashing them. */
static EVP_MD_CTX *sha256_context(void)
{
    static _Thread_local EVP_MD_CTX *context;
    if (!context) {
        context = EVP_MD_CTX_new();
        check(context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1);
    }
    return context;
}

struct hash256 hash_sha256(const void *data, size_t size)
{
    EVP_MD_CTX *context = sha256_context();
    struct hash256 hash;
    check(EVP_DigestInit_ex(context, NULL, NULL) == 1);
    check(EVP_DigestUpdate(context, data, size) == 1);
    check(EVP_DigestFinal_ex(context, hash.byte, NULL) == 1);
    return hash;
}

struct hash256 hash_sha256_pair(const struct hash256 *a, const struct hash256 *b)
{
    uint8_t both[2 * HASH256_SIZE];
    memcpy(both, a->byte, HASH256_SIZE);
    memcpy(both + HASH256_SIZE, b->byte, HASH256_SIZE);
    return hash_sha256(both, sizeof both);
}

uint64_t hash_xxh3(const void *data, size_t size)
{
    return size ? XXH3_64bits(data, size) : 0;
}

uint64_t hash_xxh3_of_pieces(const struct bytes *piece, size_t piece_count)
{
    XXH3_state_t state;
    size_t size = 0;
    XXH3_INITSTATE(&state);
    check(XXH3_64bits_reset(&state) == XXH_OK);
    for (size_t i = 0; i < piece_count; i++) {
        size += piece[i].size;
        if (piece[i].size)
            check(XXH3_64bits_update(&state, piece[i].data, piece[i].size) == XXH_OK);
    }
    return size ? XXH3_64bits_digest(&state) : 0;
}

/* No small crc32c library in Debian 12: a table, and instructions where the CPU has
 * them. */

static uint32_t table[256];

__attribute__((constructor)) static void table_init(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1)));
        table[i] = crc;
    }
}

static uint32_t crc32c_table(uint32_t crc, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        crc = (crc >> 8) ^ table[(crc ^ data[i]) & 0xff];
    return crc;
}

#if defined(__x86_64__)
/* The instruction takes three cycles and begins in each: three lanes side by side,
 * joined like this.  A crc behind n zero bytes is its product with x^8n; the product of
 * two reflected words comes one bit low, and the instruction multiplies by x^32, so the
 * factors are x^(8n - 33) for one lane and for two. */
enum { LANE_SIZE = 256 };
static const uint32_t lane_factor = 0xb9e02b86u, two_lanes_factor = 0xdd7e3b0cu;

__attribute__((target("sse4.2,pclmul"))) static inline uint64_t shifted(uint64_t crc,
                                                                        uint32_t factor)
{
    return (uint64_t)_mm_cvtsi128_si64(_mm_clmulepi64_si128(
        _mm_cvtsi64_si128((int64_t)crc), _mm_cvtsi32_si128((int)factor), 0));
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t
crc32c_sse42(uint32_t crc, const uint8_t *data, size_t size)
{
    uint64_t wide = crc;
    for (; size >= 3 * LANE_SIZE; data += 3 * LANE_SIZE, size -= 3 * LANE_SIZE) {
        uint64_t second = 0, third = 0;
        for (const uint8_t *at = data; at < data + LANE_SIZE; at += 8) {
            wide = _mm_crc32_u64(wide, hash_word_at(at));
            second = _mm_crc32_u64(second, hash_word_at(at + LANE_SIZE));
            third = _mm_crc32_u64(third, hash_word_at(at + 2 * LANE_SIZE));
        }
        uint64_t both = shifted(wide, two_lanes_factor) ^ shifted(second, lane_factor);
        wide = _mm_crc32_u64(0, both) ^ third;
    }
    for (; size >= 8; data += 8, size -= 8)
        wide = _mm_crc32_u64(wide, hash_word_at(data));
    crc = (uint32_t)wide;
    while (size--)
        crc = _mm_crc32_u8(crc, *data++);
    return crc;
}
#endif

uint32_t hash_crc32c(uint32_t crc, const void *data, size_t size)
{
    crc = ~crc;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"))
        return ~crc32c_sse42(crc, data, size);
#endif
    return ~crc32c_table(crc, data, size);
}
