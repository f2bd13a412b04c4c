/* SPDX-License-Identifier: MIT
 *
 * blake2b - BLAKE2b-512 (RFC 7693) over n KiB: 64-bit rotations and additions.
 */
#include "bench.h"

struct blake2b {
    uint64_t state[8];
    uint64_t size;
    uint8_t block[128];
};

static const uint64_t blake2b_iv[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

static const uint8_t blake2b_sigma[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

static inline uint64_t blake2b_rotate(uint64_t x, unsigned n)
{
    return x >> n | x << (64 - n);
}

static inline void blake2b_g(uint64_t *v, unsigned a, unsigned b, unsigned c,
                             unsigned d, uint64_t x, uint64_t y)
{
    v[a] += v[b] + x;
    v[d] = blake2b_rotate(v[d] ^ v[a], 32);
    v[c] += v[d];
    v[b] = blake2b_rotate(v[b] ^ v[c], 24);
    v[a] += v[b] + y;
    v[d] = blake2b_rotate(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = blake2b_rotate(v[b] ^ v[c], 63);
}

/* `size` counts this block's bytes, too.  The counter's upper half is always 0 here. */
static void blake2b_compress(uint64_t state[8], const uint8_t block[128], uint64_t size,
                             bool last)
{
    uint64_t v[16], m[16];
    memcpy(m, block, sizeof m);
    memcpy(v, state, 64);
    memcpy(v + 8, blake2b_iv, 64);
    v[12] ^= size;
    v[14] ^= last ? ~(uint64_t)0 : 0;
    for (unsigned round = 0; round < 12; round++) {
        const uint8_t *s = blake2b_sigma[round % 10];
        blake2b_g(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
        blake2b_g(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
        blake2b_g(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
        blake2b_g(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
        blake2b_g(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
        blake2b_g(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
        blake2b_g(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
        blake2b_g(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
    }
    for (unsigned i = 0; i < 8; i++)
        state[i] ^= v[i] ^ v[i + 8];
}

/* No key; `hash_size` is 1..64. */
static void blake2b_init(struct blake2b *b, uint64_t hash_size)
{
    memcpy(b->state, blake2b_iv, sizeof b->state);
    b->state[0] ^= 0x01010000 ^ hash_size;
    b->size = 0;
}

/* A full block is compressed when more follows it, since the last one is special. */
static void blake2b_update(struct blake2b *b, const uint8_t *data, uint64_t size)
{
    uint64_t used = b->size == 0 ? 0 : (b->size - 1) % 128 + 1;
    while (size > 0) {
        if (used == 128) {
            blake2b_compress(b->state, b->block, b->size, false);
            used = 0;
        }
        uint64_t n = size < 128 - used ? size : 128 - used;
        memcpy(b->block + used, data, n);
        data += n;
        size -= n;
        used += n;
        b->size += n;
    }
}

static void blake2b_final(struct blake2b *b, uint8_t *ret_hash, uint64_t hash_size)
{
    uint64_t used = b->size == 0 ? 0 : (b->size - 1) % 128 + 1;
    memset(b->block + used, 0, 128 - used);
    blake2b_compress(b->state, b->block, b->size, true);
    memcpy(ret_hash, b->state, hash_size);
}

/* The first eight bytes of the hash. */
uint64_t bench(uint64_t n)
{
    static uint8_t data[1024];
    uint64_t seed = BENCH_SEED, first;
    bench_fill(data, sizeof data, &seed);
    struct blake2b b;
    blake2b_init(&b, 64);
    for (uint64_t i = 0; i < n; i++)
        blake2b_update(&b, data, sizeof data);
    uint8_t hash[64];
    blake2b_final(&b, hash, sizeof hash);
    memcpy(&first, hash, sizeof first);
    return first;
}

PVM_EXPORT(0, bench);
