/* SPDX-License-Identifier: MIT
 *
 * blake2b-256 of one message, with a row of the 4x4 state in each of four vectors.
 *
 * The chain of a trace hashes every byte that is recorded, one after the other, so only
 * the latency of a round counts.  b, which is ready last, stays where it is between the
 * columns and the diagonals, and the rows a, c, d turn around it, each while others are
 * still being computed.  That needs the one port for moves between lanes, so nothing
 * else does: words of the message are spread by their loads and blended, and rotations
 * by whole bytes are moves within a lane.  The result is libb2's, which serves CPUs
 * without AVX2 (docs/adr/0005).
 */
#include "base/hash_single.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

typedef uint64_t row __attribute__((vector_size(32)));
typedef uint8_t octets __attribute__((vector_size(32)));

#define TURN(x, i, j, k, l) __builtin_shufflevector(x, x, i, j, k, l)

/* Each word to the right by n bytes; `at` is where a word begins. */
#define OCTETS(at, n)                                                                  \
    (at) + (n), (at) + ((n) + 1) % 8, (at) + ((n) + 2) % 8, (at) + ((n) + 3) % 8,      \
        (at) + ((n) + 4) % 8, (at) + ((n) + 5) % 8, (at) + ((n) + 6) % 8,              \
        (at) + ((n) + 7) % 8
#define ROTATE_BYTES(x, n)                                                             \
    ((row)__builtin_shufflevector((octets)(x), (octets)(x), OCTETS(0, n),              \
                                  OCTETS(8, n), OCTETS(16, n), OCTETS(24, n)))

/* Words of the message, in all lanes each, and one lane of each of four. */
#define SPREAD(i) _mm256_set1_epi64x((int64_t)hash_word_at(block + 8 * (i)))
#define WORDS(i, j, k, l)                                                              \
    ((row)_mm256_blend_epi32(_mm256_blend_epi32(SPREAD(i), SPREAD(j), 0x0c),           \
                             _mm256_blend_epi32(SPREAD(k), SPREAD(l), 0xc0), 0xf0))

/* Four G of RFC 7693 3.1 side by side. */
#define MIX(x, y)                                                                      \
    a += x;                                                                            \
    a += b;                                                                            \
    d = ROTATE_BYTES(d ^ a, 4);                                                        \
    c += d;                                                                            \
    b = ROTATE_BYTES(b ^ c, 3);                                                        \
    a += y;                                                                            \
    a += b;                                                                            \
    d = ROTATE_BYTES(d ^ a, 2);                                                        \
    c += d;                                                                            \
    b = BLAKE2B_ROTATE(b ^ c, 63)

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
    c = TURN(c, 3, 0, 1, 2);

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
        for (; count; count--, block += BLAKE2B_BLOCK_SIZE) {                          \
            done += BLAKE2B_BLOCK_SIZE;                                                \
            row a = h0, b = h1, c = {BLAKE2B_IV_LOW}, d = {BLAKE2B_IV_HIGH};           \
            d ^= (row){done, 0, last, 0};                                              \
            BLAKE2B_ROUNDS(ROUND)                                                      \
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
    uint8_t buffer[BLAKE2B_BLOCK_SIZE];
    size_t used;
};

/* A full buffer stays: only the final call knows which block is the last. */
static void update(struct single *s, const uint8_t *data, size_t size)
{
    size_t room = BLAKE2B_BLOCK_SIZE - s->used, take = size < room ? size : room;
    if (size > room && s->used) {
        memcpy(s->buffer + s->used, data, take);
        s->compress(s->h, s->buffer, 1, s->done, 0);
        s->done += BLAKE2B_BLOCK_SIZE;
        s->used = 0;
        data += take;
        size -= take;
    }
    if (size > BLAKE2B_BLOCK_SIZE) {
        size_t count = (size - 1) / BLAKE2B_BLOCK_SIZE;
        s->compress(s->h, data, count, s->done, 0);
        s->done += count * BLAKE2B_BLOCK_SIZE;
        data += count * BLAKE2B_BLOCK_SIZE;
        size -= count * BLAKE2B_BLOCK_SIZE;
    }
    if (size)
        memcpy(s->buffer + s->used, data, size);
    s->used += size;
}

static void hash_with(compress_fn *compress, const struct bytes *piece,
                      size_t piece_count, struct hash256 *ret_hash)
{
    struct single s = {
        .compress = compress, .h = {BLAKE2B_IV_LOW, BLAKE2B_IV_HIGH}, .done = 0};
    s.h[0] ^= BLAKE2B_PARAMETERS;
    for (size_t i = 0; i < piece_count; i++)
        update(&s, piece[i].data, piece[i].size);
    memset(s.buffer + s.used, 0, BLAKE2B_BLOCK_SIZE - s.used);
    compress(s.h, s.buffer, 1, s.done + s.used - BLAKE2B_BLOCK_SIZE, UINT64_MAX);
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
