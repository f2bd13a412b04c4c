/* SPDX-License-Identifier: MIT
 *
 * blake2b-256 of one message, with a row of the 4x4 state in each of four vectors.
 *
 * The chain of a trace hashes every byte that is recorded, one after the other, so only
 * the latency of a round counts.  Two things make this shorter than in libb2: b, which
 * is ready last, stays where it is between the columns and the diagonals, and the rows
 * a, c, d turn around it, each while others are still being computed; and AVX-512
 * rotates in one instruction.  The result is libb2's, which serves CPUs without AVX2
 * (docs/adr/0005).
 */
#include "base/hash_single.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)

enum { BLOCK_SIZE = 128 };

typedef uint64_t row __attribute__((vector_size(32)));

/* RFC 7693 2.6, and the parameters: 32 bytes of output, no key. */
#define IV0 0x6a09e667f3bcc908u, 0xbb67ae8584caa73bu
#define IV1 0x3c6ef372fe94f82bu, 0xa54ff53a5f1d36f1u
#define IV2 0x510e527fade682d1u, 0x9b05688c2b3e6c1fu
#define IV3 0x1f83d9abfb41bd6bu, 0x5be0cd19137e2179u
#define PARAMETERS (0x01010000u | HASH256_SIZE)

#define ROTATE_RIGHT(x, n) ((x) >> (n) | (x) << (64 - (n)))
#define TURN(x, i, j, k, l) __builtin_shufflevector(x, x, i, j, k, l)
#define WORDS(i, j, k, l)                                                              \
    (row)                                                                              \
    {                                                                                  \
        m[i], m[j], m[k], m[l]                                                         \
    }

/* Four G of RFC 7693 3.1 side by side. */
#define MIX(x, y)                                                                      \
    a += x;                                                                            \
    a += b;                                                                            \
    d = ROTATE_RIGHT(d ^ a, 32);                                                       \
    c += d;                                                                            \
    b = ROTATE_RIGHT(b ^ c, 24);                                                       \
    a += y;                                                                            \
    a += b;                                                                            \
    d = ROTATE_RIGHT(d ^ a, 16);                                                       \
    c += d;                                                                            \
    b = ROTATE_RIGHT(b ^ c, 63)

/* The columns, then the diagonals: lane k of a, c and d is then that of column k - 1,
 * so the words of the diagonals come one lane later too. */
#define ROUND(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15)    \
    MIX(WORDS(s0, s2, s4, s6), WORDS(s1, s3, s5, s7));                                 \
    a = TURN(a, 3, 0, 1, 2);                                                           \
    d = TURN(d, 2, 3, 0, 1);                                                           \
    c = TURN(c, 1, 2, 3, 0);                                                           \
    MIX(WORDS(s14, s8, s10, s12), WORDS(s15, s9, s11, s13));                           \
    a = TURN(a, 1, 2, 3, 0);                                                           \
    d = TURN(d, 2, 3, 0, 1);                                                           \
    c = TURN(c, 3, 0, 1, 2)

/* Add `count` blocks at `block`, behind `done` bytes, to the state h; `last` is 0, or
 * all ones for the final block, with `done` so that done + 128 is the message's size.
 */
#define COMPRESS(name, isa)                                                            \
    __attribute__((target(isa))) static void name(                                     \
        uint64_t *h, const uint8_t *block, size_t count, uint64_t done, uint64_t last) \
    {                                                                                  \
        row h0, h1;                                                                    \
        memcpy(&h0, h, sizeof h0);                                                     \
        memcpy(&h1, h + 4, sizeof h1);                                                 \
        for (; count; count--, block += BLOCK_SIZE) {                                  \
            uint64_t m[16];                                                            \
            memcpy(m, block, sizeof m);                                                \
            done += BLOCK_SIZE;                                                        \
            row a = h0, b = h1, c = {IV0, IV1}, d = {IV2, IV3};                        \
            d ^= (row){done, 0, last, 0};                                              \
            ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);               \
            ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3);               \
            ROUND(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4);               \
            ROUND(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8);               \
            ROUND(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13);               \
            ROUND(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9);               \
            ROUND(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11);               \
            ROUND(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10);               \
            ROUND(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5);               \
            ROUND(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0);               \
            ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);               \
            ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3);               \
            h0 ^= a ^ c;                                                               \
            h1 ^= b ^ d;                                                               \
        }                                                                              \
        memcpy(h, &h0, sizeof h0);                                                     \
        memcpy(h + 4, &h1, sizeof h1);                                                 \
    }

COMPRESS(compress_avx512, "avx512f,avx512vl,avx512dq")
COMPRESS(compress_avx2, "avx2")

typedef void compress_fn(uint64_t *h, const uint8_t *block, size_t count, uint64_t done,
                         uint64_t last);

struct single {
    compress_fn *compress;
    uint64_t h[8];
    uint64_t done; /* bytes in h */
    uint8_t buffer[BLOCK_SIZE];
    size_t used;
};

/* A full buffer stays: only the final call knows which block is the last. */
static void update(struct single *s, const uint8_t *data, size_t size)
{
    size_t room = BLOCK_SIZE - s->used, take = size < room ? size : room;
    if (size > room && s->used) {
        memcpy(s->buffer + s->used, data, take);
        s->compress(s->h, s->buffer, 1, s->done, 0);
        s->done += BLOCK_SIZE;
        s->used = 0;
        data += take;
        size -= take;
    }
    if (size > BLOCK_SIZE) {
        size_t count = (size - 1) / BLOCK_SIZE;
        s->compress(s->h, data, count, s->done, 0);
        s->done += count * BLOCK_SIZE;
        data += count * BLOCK_SIZE;
        size -= count * BLOCK_SIZE;
    }
    if (size)
        memcpy(s->buffer + s->used, data, size);
    s->used += size;
}

static void hash_with(compress_fn *compress, const struct bytes *piece,
                      size_t piece_count, struct hash256 *ret_hash)
{
    struct single s = {.compress = compress, .h = {IV0, IV1, IV2, IV3}, .done = 0};
    s.h[0] ^= PARAMETERS;
    for (size_t i = 0; i < piece_count; i++)
        update(&s, piece[i].data, piece[i].size);
    memset(s.buffer + s.used, 0, BLOCK_SIZE - s.used);
    compress(s.h, s.buffer, 1, s.done + s.used - BLOCK_SIZE, UINT64_MAX);
    memcpy(ret_hash->byte, s.h, sizeof ret_hash->byte);
}

static compress_fn *compress_of_this_cpu(void)
{
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq"))
        return compress_avx512;
    return __builtin_cpu_supports("avx2") ? compress_avx2 : NULL;
}

bool hash_single(const struct bytes *piece, size_t piece_count,
                 struct hash256 *ret_hash)
{
    compress_fn *compress = compress_of_this_cpu();
    if (compress)
        hash_with(compress, piece, piece_count, ret_hash);
    return compress != NULL;
}

#else

bool hash_single(const struct bytes *piece, size_t piece_count,
                 struct hash256 *ret_hash)
{
    (void)piece, (void)piece_count, (void)ret_hash;
    return false;
}

#endif
