/* SPDX-License-Identifier: MIT
 *
 * sha256 - SHA-256 (FIPS 180-4) over n KiB: 32-bit rotations and additions.
 */
#include "bench.h"

struct sha256 {
    uint32_t state[8];
    uint64_t size;
    uint8_t block[64];
};

static const uint32_t sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
    0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
    0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
    0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
    0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
    0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
    0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
    0xc67178f2};

static inline uint32_t sha256_rotate(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static inline uint32_t sha256_get(const uint8_t *at)
{
    uint32_t x;
    memcpy(&x, at, sizeof x);
    return __builtin_bswap32(x);
}

static inline void sha256_put(uint8_t *at, uint32_t x)
{
    x = __builtin_bswap32(x);
    memcpy(at, &x, sizeof x);
}

static void sha256_schedule(uint32_t w[64], const uint8_t block[64])
{
    for (unsigned i = 0; i < 16; i++)
        w[i] = sha256_get(block + 4 * i);
    for (unsigned i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        a = sha256_rotate(a, 7) ^ sha256_rotate(a, 18) ^ a >> 3;
        b = sha256_rotate(b, 17) ^ sha256_rotate(b, 19) ^ b >> 10;
        w[i] = w[i - 16] + a + w[i - 7] + b;
    }
}

/* One round.  Instead of moving the eight variables along, the caller renames them. */
static inline void sha256_round(uint32_t a, uint32_t b, uint32_t c, uint32_t *d,
                                uint32_t e, uint32_t f, uint32_t g, uint32_t *h,
                                uint32_t wk)
{
    uint32_t t = *h + wk + (g ^ (e & (f ^ g))) +
                 (sha256_rotate(e, 6) ^ sha256_rotate(e, 11) ^ sha256_rotate(e, 25));
    *d += t;
    *h = t + ((a & b) | (c & (a | b))) +
         (sha256_rotate(a, 2) ^ sha256_rotate(a, 13) ^ sha256_rotate(a, 22));
}

static void sha256_compress(uint32_t state[8], const uint8_t block[64])
{
    uint32_t w[64];
    sha256_schedule(w, block);
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (unsigned i = 0; i < 64; i += 4) {
        const uint32_t *k = sha256_k + i, *v = w + i;
        sha256_round(a, b, c, &d, e, f, g, &h, v[0] + k[0]);
        sha256_round(h, a, b, &c, d, e, f, &g, v[1] + k[1]);
        sha256_round(g, h, a, &b, c, d, e, &f, v[2] + k[2]);
        sha256_round(f, g, h, &a, b, c, d, &e, v[3] + k[3]);
        /* Four of the eight renamings: the halves have changed places. */
        uint32_t p = a, q = b, r = c, s = d;
        a = e, b = f, c = g, d = h;
        e = p, f = q, g = r, h = s;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
}

static void sha256_init(struct sha256 *s)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(s->state, start, sizeof start);
    s->size = 0;
}

static void sha256_update(struct sha256 *s, const uint8_t *data, uint64_t size)
{
    uint64_t used = s->size % 64;
    s->size += size;
    while (size > 0) {
        if (used == 0 && size >= 64) {
            sha256_compress(s->state, data);
            data += 64;
            size -= 64;
            continue;
        }
        uint64_t n = size < 64 - used ? size : 64 - used;
        memcpy(s->block + used, data, n);
        data += n;
        size -= n;
        used = (used + n) % 64;
        if (used == 0)
            sha256_compress(s->state, s->block);
    }
}

static void sha256_final(struct sha256 *s, uint8_t ret_hash[32])
{
    static const uint8_t end[64] = {0x80};
    uint8_t bits[8];
    sha256_put(bits, (uint32_t)(s->size >> 29));
    sha256_put(bits + 4, (uint32_t)(s->size << 3));
    sha256_update(s, end, 1 + (119 - s->size % 64) % 64);
    sha256_update(s, bits, sizeof bits);
    for (unsigned i = 0; i < 8; i++)
        sha256_put(ret_hash + 4 * i, s->state[i]);
}

/* The first eight bytes of the hash. */
uint64_t bench(uint64_t n)
{
    static uint8_t data[1024];
    uint64_t seed = BENCH_SEED, first;
    bench_fill(data, sizeof data, &seed);
    struct sha256 s;
    sha256_init(&s);
    for (uint64_t i = 0; i < n; i++)
        sha256_update(&s, data, sizeof data);
    uint8_t hash[32];
    sha256_final(&s, hash);
    memcpy(&first, hash, sizeof first);
    return first;
}

PVM_EXPORT(0, bench);
