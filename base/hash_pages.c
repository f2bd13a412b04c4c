/* SPDX-License-Identifier: MIT
 *
 * blake2b-256 of many blocks of the same size at once, a vector lane each.
 *
 * Digests of guest memory hash hundreds of pages in a row.  libb2 hashes one message at
 * a time and is bound by the latency of its chain of additions; eight independent
 * messages in the lanes of a vector take about as long as one (docs/adr).  The result
 * is libb2's, and CPUs without AVX2 use libb2.
 */
#include "base/hash_single.h"

#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)

#define ROW(...) {__VA_ARGS__},
static const uint64_t iv[8] = {BLAKE2B_IV_LOW, BLAKE2B_IV_HIGH};
static const uint8_t sigma[12][16] = {BLAKE2B_ROUNDS(ROW)};

#define LANES_WIDE 8
#define LANES_NARROW 4

#define MIX(a, b, c, d, x, y)                                                          \
    do {                                                                               \
        v[a] += v[b] + m[x];                                                           \
        v[d] = BLAKE2B_ROTATE(v[d] ^ v[a], 32);                                        \
        v[c] += v[d];                                                                  \
        v[b] = BLAKE2B_ROTATE(v[b] ^ v[c], 24);                                        \
        v[a] += v[b] + m[y];                                                           \
        v[d] = BLAKE2B_ROTATE(v[d] ^ v[a], 16);                                        \
        v[c] += v[d];                                                                  \
        v[b] = BLAKE2B_ROTATE(v[b] ^ v[c], 63);                                        \
    } while (0)

/* Hash `lanes` messages of `size` bytes (a positive multiple of 8). */
#define HASH_LANES(name, vector, lanes, isa)                                           \
    typedef uint64_t vector __attribute__((vector_size(8 * (lanes))));                 \
    __attribute__((target(isa))) static void name(const uint8_t *const *data,          \
                                                  size_t size, struct hash256 *ret)    \
    {                                                                                  \
        vector h[8], v[16], m[16];                                                     \
        const vector zero = {0};                                                       \
        for (unsigned k = 0; k < 8; k++)                                               \
            h[k] = zero + iv[k];                                                       \
        h[0] ^= zero + BLAKE2B_PARAMETERS;                                             \
        for (size_t at = 0; at < size; at += BLAKE2B_BLOCK_SIZE) {                     \
            bool last = size - at <= BLAKE2B_BLOCK_SIZE;                               \
            size_t words = (last ? size - at : BLAKE2B_BLOCK_SIZE) / 8;                \
            for (size_t k = 0; k < words; k++) {                                       \
                for (unsigned lane = 0; lane < (lanes); lane++) {                      \
                    uint64_t word;                                                     \
                    memcpy(&word, data[lane] + at + 8 * k, 8);                         \
                    m[k][lane] = word;                                                 \
                }                                                                      \
            }                                                                          \
            for (size_t k = words; k < 16; k++)                                        \
                m[k] = zero;                                                           \
            for (unsigned k = 0; k < 8; k++) {                                         \
                v[k] = h[k];                                                           \
                v[k + 8] = zero + iv[k];                                               \
            }                                                                          \
            v[12] ^= zero + (at + 8 * words);                                          \
            if (last)                                                                  \
                v[14] = ~v[14];                                                        \
            for (unsigned round = 0; round < 12; round++) {                            \
                const uint8_t *s = sigma[round];                                       \
                MIX(0, 4, 8, 12, s[0], s[1]);                                          \
                MIX(1, 5, 9, 13, s[2], s[3]);                                          \
                MIX(2, 6, 10, 14, s[4], s[5]);                                         \
                MIX(3, 7, 11, 15, s[6], s[7]);                                         \
                MIX(0, 5, 10, 15, s[8], s[9]);                                         \
                MIX(1, 6, 11, 12, s[10], s[11]);                                       \
                MIX(2, 7, 8, 13, s[12], s[13]);                                        \
                MIX(3, 4, 9, 14, s[14], s[15]);                                        \
            }                                                                          \
            for (unsigned k = 0; k < 8; k++)                                           \
                h[k] ^= v[k] ^ v[k + 8];                                               \
        }                                                                              \
        for (unsigned lane = 0; lane < (lanes); lane++) {                              \
            for (unsigned k = 0; k < 4; k++) {                                         \
                uint64_t word = h[k][lane];                                            \
                memcpy(ret[lane].byte + 8 * (size_t)k, &word, 8);                      \
            }                                                                          \
        }                                                                              \
    }

HASH_LANES(hash_wide, vector_wide, LANES_WIDE, "avx512f,avx512vl,avx512dq")
HASH_LANES(hash_narrow, vector_narrow, LANES_NARROW, "avx2")

static size_t lanes_of_this_cpu(void)
{
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq"))
        return LANES_WIDE;
    return __builtin_cpu_supports("avx2") ? LANES_NARROW : 1;
}

#else

static size_t lanes_of_this_cpu(void)
{
    return 1;
}

static void hash_wide(const uint8_t *const *data, size_t size, struct hash256 *ret)
{
    (void)data, (void)size, (void)ret;
}

static void hash_narrow(const uint8_t *const *data, size_t size, struct hash256 *ret)
{
    (void)data, (void)size, (void)ret;
}

enum { LANES_WIDE = 8 };

#endif

void hash256_of_many(const uint8_t *const *data, size_t count, size_t size,
                     struct hash256 *ret_hashes)
{
    size_t lanes = size && size % 8 == 0 ? lanes_of_this_cpu() : 1, done = 0;
    while (lanes > 1 && count - done > 1) {
        /* A short last group is filled up with its first message. */
        const uint8_t *group[LANES_WIDE];
        struct hash256 hashes[LANES_WIDE];
        size_t used = count - done < lanes ? count - done : lanes;
        for (size_t lane = 0; lane < lanes; lane++)
            group[lane] = data[done + (lane < used ? lane : 0)];
        if (lanes == LANES_WIDE)
            hash_wide(group, size, hashes);
        else
            hash_narrow(group, size, hashes);
        memcpy(ret_hashes + done, hashes, used * sizeof *hashes);
        done += used;
    }
    for (; done < count; done++)
        ret_hashes[done] = hash256_of(data[done], size);
}
