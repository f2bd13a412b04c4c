/* SPDX-License-Identifier: MIT
 *
 * ed25519.c - benchmark: one round signs a message, verifies the signature, verifies a
 * corrupted one, agrees on a key with X25519 and seals and opens 1 KiB with it.
 *
 * RFC 8032 (Ed25519), RFC 7748 (X25519), RFC 8439 (ChaCha20-Poly1305), FIPS 180-4
 * (SHA-512).  What touches a secret takes the same path for every value; verification
 * sees only public data and takes the short one.
 *
 * Little-endian, as the PVM and x86-64 are.
 */
#include "bench.h"

__extension__ typedef unsigned __int128 uint128;

static uint64_t load64(const uint8_t *from)
{
    uint64_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

static void store64(uint8_t *to, uint64_t word)
{
    memcpy(to, &word, sizeof word);
}

/* ---- SHA-512 ---- */

struct sha512 {
    uint64_t state[8];
    uint8_t block[128];
    uint64_t size; /* bytes so far */
};

static const uint64_t sha512_round[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

static uint64_t rotr64(uint64_t x, unsigned count)
{
    return x >> count | x << (64 - count);
}

static void sha512_block(uint64_t state[8], const uint8_t *block)
{
    uint64_t w[16];
    uint64_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint64_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (size_t i = 0; i < 16; i++)
        w[i] = __builtin_bswap64(load64(block + 8 * i));
    for (size_t i = 0; i < 80; i++) {
        if (i >= 16) { /* the schedule needs the last 16 words only */
            uint64_t w15 = w[(i + 1) % 16], w2 = w[(i + 14) % 16];
            w[i % 16] += (rotr64(w15, 1) ^ rotr64(w15, 8) ^ w15 >> 7) +
                         w[(i + 9) % 16] + (rotr64(w2, 19) ^ rotr64(w2, 61) ^ w2 >> 6);
        }
        uint64_t t1 = h + (rotr64(e, 14) ^ rotr64(e, 18) ^ rotr64(e, 41)) +
                      ((e & f) ^ (~e & g)) + sha512_round[i] + w[i % 16];
        uint64_t t2 = (rotr64(a, 28) ^ rotr64(a, 34) ^ rotr64(a, 39)) +
                      ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + t1;
        d = c, c = b, b = a, a = t1 + t2;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

static void sha512_init(struct sha512 *sha)
{
    static const uint64_t start[8] = {
        0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
        0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
    };
    memcpy(sha->state, start, sizeof start);
    sha->size = 0;
}

static void sha512_update(struct sha512 *sha, const uint8_t *data, size_t size)
{
    while (size) {
        size_t used = sha->size % 128, part = 128 - used;
        if (part > size)
            part = size;
        memcpy(sha->block + used, data, part);
        data += part;
        size -= part;
        sha->size += part;
        if (used + part == 128)
            sha512_block(sha->state, sha->block);
    }
}

static void sha512_final(struct sha512 *sha, uint8_t ret_hash[64])
{
    static const uint8_t padding[128] = {0x80};
    uint8_t size_field[16] = {0};
    uint64_t used = sha->size % 128;
    store64(size_field + 8, __builtin_bswap64(sha->size * 8));
    sha512_update(sha, padding, (used < 112 ? 112 : 240) - used);
    sha512_update(sha, size_field, sizeof size_field);
    for (size_t i = 0; i < 8; i++)
        store64(ret_hash + 8 * i, __builtin_bswap64(sha->state[i]));
}

/* ---- Integers modulo p = 2^255 - 19 ----
 *
 * Five limbs of 51 bits.  A product leaves "tight" limbs, below 2^51 + 2^13; fe_mul and
 * fe_square take limbs below 2^54.  So sums and differences of tight values need no
 * carries; fe_sub's second operand has limbs below 4p's, that is at least 2^53 - 76.
 */
struct fe {
    uint64_t v[5];
};

#define FE_BITS 51
#define FE_MASK (((uint64_t)1 << FE_BITS) - 1)

static const struct fe fe_zero = {{0}};
static const struct fe fe_one = {{1}};

static void fe_add(struct fe *r, const struct fe *a, const struct fe *b)
{
    for (size_t i = 0; i < 5; i++)
        r->v[i] = a->v[i] + b->v[i];
}

static void fe_sub(struct fe *r, const struct fe *a, const struct fe *b)
{
    r->v[0] = a->v[0] + (4 * FE_MASK - 72) - b->v[0];
    for (size_t i = 1; i < 5; i++)
        r->v[i] = a->v[i] + 4 * FE_MASK - b->v[i];
}

/* What is left over above the top limb counts 19 times at the bottom. */
static void fe_wrap(struct fe *r, uint64_t r0, uint64_t r1, uint64_t over)
{
    r0 += 19 * over;
    r->v[0] = r0 & FE_MASK;
    r->v[1] = r1 + (r0 >> FE_BITS);
}

static uint128 wide(uint64_t a, uint64_t b)
{
    return (uint128)a * b;
}

static void fe_mul(struct fe *r, const struct fe *a, const struct fe *b)
{
    uint64_t a0 = a->v[0], a1 = a->v[1], a2 = a->v[2], a3 = a->v[3], a4 = a->v[4];
    uint64_t b0 = b->v[0], b1 = b->v[1], b2 = b->v[2], b3 = b->v[3], b4 = b->v[4];
    uint64_t a1_19 = 19 * a1, a2_19 = 19 * a2, a3_19 = 19 * a3, a4_19 = 19 * a4;
    uint128 sum;

    sum = wide(a0, b0) + wide(a1_19, b4) + wide(a2_19, b3) + wide(a3_19, b2) +
          wide(a4_19, b1);
    uint64_t r0 = (uint64_t)sum & FE_MASK;
    sum = (sum >> FE_BITS) + wide(a0, b1) + wide(a1, b0) + wide(a2_19, b4) +
          wide(a3_19, b3) + wide(a4_19, b2);
    uint64_t r1 = (uint64_t)sum & FE_MASK;
    sum = (sum >> FE_BITS) + wide(a0, b2) + wide(a1, b1) + wide(a2, b0) +
          wide(a3_19, b4) + wide(a4_19, b3);
    uint64_t r2 = (uint64_t)sum & FE_MASK;
    sum = (sum >> FE_BITS) + wide(a0, b3) + wide(a1, b2) + wide(a2, b1) + wide(a3, b0) +
          wide(a4_19, b4);
    uint64_t r3 = (uint64_t)sum & FE_MASK;
    sum = (sum >> FE_BITS) + wide(a0, b4) + wide(a1, b3) + wide(a2, b2) + wide(a3, b1) +
          wide(a4, b0);
    r->v[2] = r2;
    r->v[3] = r3;
    r->v[4] = (uint64_t)sum & FE_MASK;
    fe_wrap(r, r0, r1, (uint64_t)(sum >> FE_BITS));
}

static void fe_square(struct fe *r, const struct fe *a)
{
    uint64_t a0 = a->v[0], a1 = a->v[1], a2 = a->v[2], a3 = a->v[3], a4 = a->v[4];
    uint64_t a0_2 = 2 * a0, a1_2 = 2 * a1, a3_19 = 19 * a3, a4_19 = 19 * a4;
    uint128 sum;

    sum = wide(a0, a0) + 2 * (wide(a1, a4_19) + wide(a2, a3_19));
    uint64_t r0 = (uint64_t)sum & FE_MASK;
    sum = (sum >> FE_BITS) + wide(a0_2, a1) + 2 * wide(a2, a4_19) + wide(a3, a3_19);
    uint64_t r1 = (uint64_t)sum & FE_MASK;
    sum = (sum >> FE_BITS) + wide(a0_2, a2) + wide(a1, a1) + 2 * wide(a3, a4_19);
    uint64_t r2 = (uint64_t)sum & FE_MASK;
    sum = (sum >> FE_BITS) + wide(a0_2, a3) + wide(a1_2, a2) + wide(a4, a4_19);
    uint64_t r3 = (uint64_t)sum & FE_MASK;
    sum = (sum >> FE_BITS) + wide(a0_2, a4) + wide(a1_2, a3) + wide(a2, a2);
    r->v[2] = r2;
    r->v[3] = r3;
    r->v[4] = (uint64_t)sum & FE_MASK;
    fe_wrap(r, r0, r1, (uint64_t)(sum >> FE_BITS));
}

static void fe_mul_small(struct fe *r, const struct fe *a, uint64_t factor)
{
    uint128 sum = 0;
    for (size_t i = 0; i < 5; i++) {
        sum = (sum >> FE_BITS) + wide(a->v[i], factor);
        r->v[i] = (uint64_t)sum & FE_MASK;
    }
    fe_wrap(r, r->v[0], r->v[1], (uint64_t)(sum >> FE_BITS));
}

static void fe_square_times(struct fe *r, const struct fe *a, unsigned count)
{
    fe_square(r, a);
    while (--count)
        fe_square(r, r);
}

/* r = a^(2^250 - 1) and a^11, from which both exponents below are a few steps away. */
static void fe_pow_2_250_1(struct fe *r, struct fe *ret_a11, const struct fe *a)
{
    struct fe t, x5, x10, x20, x50, x100;
    fe_square(&t, a);
    fe_square_times(&x5, &t, 2);
    fe_mul(&x5, &x5, a);      /* a^9 */
    fe_mul(ret_a11, &x5, &t); /* a^11 */
    fe_square(&t, ret_a11);   /* a^22 */
    fe_mul(&x5, &t, &x5);     /* a^31 = a^(2^5 - 1); xN is a^(2^N - 1) */
    fe_square_times(&t, &x5, 5);
    fe_mul(&x10, &t, &x5);
    fe_square_times(&t, &x10, 10);
    fe_mul(&x20, &t, &x10);
    fe_square_times(&t, &x20, 20);
    fe_mul(&t, &t, &x20);
    fe_square_times(&t, &t, 10);
    fe_mul(&x50, &t, &x10);
    fe_square_times(&t, &x50, 50);
    fe_mul(&x100, &t, &x50);
    fe_square_times(&t, &x100, 100);
    fe_mul(&t, &t, &x100);
    fe_square_times(&t, &t, 50);
    fe_mul(r, &t, &x50);
}

/* r = 1/a = a^(p - 2), p - 2 = (2^250 - 1)·2^5 + 11; 0 for a = 0. */
static void fe_invert(struct fe *r, const struct fe *a)
{
    struct fe t, a11;
    fe_pow_2_250_1(&t, &a11, a);
    fe_square_times(&t, &t, 5);
    fe_mul(r, &t, &a11);
}

/* The top bit is ignored, as RFC 7748 wants it; values from p on are accepted. */
static void fe_from_bytes(struct fe *r, const uint8_t bytes[32])
{
    r->v[0] = load64(bytes) & FE_MASK;
    r->v[1] = load64(bytes + 6) >> 3 & FE_MASK;
    r->v[2] = load64(bytes + 12) >> 6 & FE_MASK;
    r->v[3] = load64(bytes + 19) >> 1 & FE_MASK;
    r->v[4] = load64(bytes + 24) >> 12 & FE_MASK;
}

/* The unique value below p.  Takes limbs below 2^54. */
static void fe_to_bytes(uint8_t bytes[32], const struct fe *a)
{
    struct fe t;
    fe_mul_small(&t, a, 1);
    /* Now a < 2p: it is at least p exactly if a + 19 reaches bit 255. */
    uint64_t carry = 19;
    for (size_t i = 0; i < 5; i++)
        carry = (t.v[i] + carry) >> FE_BITS;
    carry *= 19;
    for (size_t i = 0; i < 5; i++) {
        carry += t.v[i];
        t.v[i] = carry & FE_MASK;
        carry >>= FE_BITS;
    }
    store64(bytes, t.v[0] | t.v[1] << 51);
    store64(bytes + 8, t.v[1] >> 13 | t.v[2] << 38);
    store64(bytes + 16, t.v[2] >> 26 | t.v[3] << 25);
    store64(bytes + 24, t.v[3] >> 39 | t.v[4] << 12);
}

static bool fe_equal(const struct fe *a, const struct fe *b)
{
    uint8_t a_bytes[32], b_bytes[32];
    fe_to_bytes(a_bytes, a);
    fe_to_bytes(b_bytes, b);
    return memcmp(a_bytes, b_bytes, 32) == 0;
}

/* ---- Points of -x² + y² = 1 + d·x²·y² ----
 *
 * Extended coordinates: x = X/Z, y = Y/Z, T = X·Y/Z.  T is what only additions read, so
 * operations that a doubling follows leave it out.
 */
struct point {
    struct fe x, y, z, t;
};

/* A point ready to be added. */
struct addend {
    struct fe y_plus_x, y_minus_x, z, t_2d;
};

static const struct fe curve_d = {{0x34dca135978a3, 0x1a8283b156ebd, 0x5e7a26001c029,
                                   0x739c663a03cbb, 0x52036cee2b6ff}};
static const struct fe curve_2d = {{0x69b9426b2f159, 0x35050762add7a, 0x3cf44c0038052,
                                    0x6738cc7407977, 0x2406d9dc56dff}};
static const struct fe sqrt_minus_1 = {{0x61b274a0ea0b0, 0x0d5a5fc8f189d,
                                        0x7ef5e9cbd0c60, 0x78595a6804c9e,
                                        0x2b8324804fc1d}};

static const struct point point_zero = {{{0}}, {{1}}, {{1}}, {{0}}};
static const struct point point_base = {
    {{0x62d608f25d51a, 0x412a4b4f6592a, 0x75b7171a4b31d, 0x1ff60527118fe,
      0x216936d3cd6e5}},
    {{0x6666666666658, 0x4cccccccccccc, 0x1999999999999, 0x3333333333333,
      0x6666666666666}},
    {{1}},
    {{0x68ab3a5b7dda3, 0x00eea2a5eadbb, 0x2af8df483c27e, 0x332b375274732,
      0x67875f0fd78b7}},
};

/* The end both operations share: four factors, three or four products. */
static void point_finish(struct point *r, const struct fe *e, const struct fe *f,
                         const struct fe *g, const struct fe *h, bool want_t)
{
    fe_mul(&r->x, e, f);
    fe_mul(&r->y, g, h);
    fe_mul(&r->z, f, g);
    if (want_t)
        fe_mul(&r->t, e, h);
}

/* RFC 8032 5.1.4. */
static void point_double(struct point *r, const struct point *p, bool want_t)
{
    struct fe a, b, e, f, g, h;
    fe_square(&a, &p->x);
    fe_square(&b, &p->y);
    fe_add(&h, &a, &b);
    fe_add(&e, &p->x, &p->y);
    fe_square(&e, &e);
    fe_sub(&e, &h, &e);
    fe_sub(&g, &a, &b);
    fe_square(&f, &p->z);
    fe_add(&f, &f, &f);
    /* G's limbs reach 2^53 + 2^51 and F's two more, so F is still below 2^54. */
    fe_add(&f, &f, &g);
    point_finish(r, &e, &f, &g, &h, want_t);
}

/* r = p + q, or p - q.  The formulas are complete: no case is special. */
static void point_add(struct point *r, const struct point *p, const struct addend *q,
                      bool negative, bool want_t)
{
    struct fe a, b, c, d, e, f, g, h;
    fe_sub(&a, &p->y, &p->x);
    fe_mul(&a, &a, negative ? &q->y_plus_x : &q->y_minus_x);
    fe_add(&b, &p->y, &p->x);
    fe_mul(&b, &b, negative ? &q->y_minus_x : &q->y_plus_x);
    fe_mul(&c, &p->t, &q->t_2d);
    fe_mul(&d, &p->z, &q->z);
    fe_add(&d, &d, &d);
    fe_sub(&e, &b, &a);
    fe_add(&h, &b, &a);
    fe_sub(negative ? &g : &f, &d, &c);
    fe_add(negative ? &f : &g, &d, &c);
    point_finish(r, &e, &f, &g, &h, want_t);
}

static void addend_from_point(struct addend *r, const struct point *p)
{
    fe_add(&r->y_plus_x, &p->y, &p->x);
    fe_sub(&r->y_minus_x, &p->y, &p->x);
    r->z = p->z;
    fe_mul(&r->t_2d, &p->t, &curve_2d);
}

static void point_to_bytes(uint8_t bytes[32], const struct point *p)
{
    struct fe x, y, z_inverse;
    uint8_t x_bytes[32];
    fe_invert(&z_inverse, &p->z);
    fe_mul(&x, &p->x, &z_inverse);
    fe_mul(&y, &p->y, &z_inverse);
    fe_to_bytes(bytes, &y);
    fe_to_bytes(x_bytes, &x);
    bytes[31] = (uint8_t)(bytes[31] | x_bytes[0] << 7);
}

/* RFC 8032 5.1.3: x² = u/v, u = y² - 1, v = d·y² + 1; x = u·v³·(u·v⁷)^((p-5)/8). */
static bool point_from_bytes(struct point *r, const uint8_t bytes[32])
{
    struct fe u, v, v3, t, unused;
    uint8_t check[32];
    fe_from_bytes(&r->y, bytes);
    fe_to_bytes(check, &r->y);
    check[31] |= bytes[31] & 0x80;
    if (memcmp(check, bytes, 32) != 0)
        return false; /* y is not below p */
    fe_square(&t, &r->y);
    fe_sub(&u, &t, &fe_one);
    fe_mul(&v, &t, &curve_d);
    fe_add(&v, &v, &fe_one);
    fe_square(&v3, &v);
    fe_mul(&v3, &v3, &v);
    fe_square(&t, &v3);
    fe_mul(&t, &t, &v);
    fe_mul(&t, &t, &u);
    fe_pow_2_250_1(&r->x, &unused, &t);
    fe_square_times(&r->x, &r->x, 2);
    fe_mul(&r->x, &r->x, &t);
    fe_mul(&r->x, &r->x, &v3);
    fe_mul(&r->x, &r->x, &u);

    fe_square(&t, &r->x);
    fe_mul(&t, &t, &v);
    if (!fe_equal(&t, &u)) {
        fe_mul(&r->x, &r->x, &sqrt_minus_1);
        fe_add(&t, &t, &u);
        if (!fe_equal(&t, &fe_zero))
            return false; /* neither u nor -u: not a square */
    }
    fe_to_bytes(check, &r->x);
    if ((check[0] & 1) != bytes[31] >> 7) {
        if (fe_equal(&r->x, &fe_zero))
            return false;
        fe_sub(&r->x, &fe_zero, &r->x);
    }
    r->z = fe_one;
    fe_mul(&r->t, &r->x, &r->y);
    return true;
}

/* ---- Integers modulo L = 2^252 + 2774…, the order of the base point ---- */

static const uint64_t group_order[5] = {0x5812631a5cf5d3ed, 0x14def9dea2f79cd6, 0,
                                        0x1000000000000000, 0};

/* r += a·b, for an r of a_count + b_count words that is 0 from word b_count on. */
static void limbs_mul_add(uint64_t *r, const uint64_t *a, size_t a_count,
                          const uint64_t *b, size_t b_count)
{
    for (size_t i = 0; i < a_count; i++) {
        uint128 sum = 0;
        for (size_t j = 0; j < b_count; j++) {
            sum += wide(a[i], b[j]) + r[i + j];
            r[i + j] = (uint64_t)sum;
            sum >>= 64;
        }
        r[i + b_count] = (uint64_t)sum;
    }
}

/* r = a - b; true if that borrows. */
static bool limbs_sub(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t count)
{
    uint64_t borrow = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t difference = a[i] - b[i];
        uint64_t next = (a[i] < b[i]) | (difference < borrow);
        r[i] = difference - borrow;
        borrow = next;
    }
    return borrow;
}

/* Barrett: the quotient by mu = ⌊2^512 / L⌋ is at most two too small. */
static void scalar_reduce(uint64_t r[4], const uint64_t wide_value[8])
{
    static const uint64_t mu[5] = {0xed9ce5a30a2c131b, 0x2106215d086329a7,
                                   0xffffffffffffffeb, 0xffffffffffffffff, 0xf};
    uint64_t quotient[10] = {0}, product[9] = {0}, rest[5], less[5];
    limbs_mul_add(quotient, wide_value + 3, 5, mu, 5);
    limbs_mul_add(product, quotient + 5, 5, group_order, 4);
    (void)limbs_sub(rest, wide_value, product, 5);
    for (int i = 0; i < 2; i++) {
        uint64_t keep = limbs_sub(less, rest, group_order, 5) ? UINT64_MAX : 0;
        for (size_t j = 0; j < 5; j++)
            rest[j] = (rest[j] & keep) | (less[j] & ~keep);
    }
    memcpy(r, rest, 32);
}

static void scalar_from_hash(uint64_t r[4], const uint8_t hash[64])
{
    uint64_t words[8];
    memcpy(words, hash, 64);
    scalar_reduce(r, words);
}

/* r = a·b + c modulo L, for any a and b, and c < L. */
static void scalar_mul_add(uint64_t r[4], const uint64_t a[4], const uint64_t b[4],
                           const uint64_t c[4])
{
    uint64_t sum[8] = {c[0], c[1], c[2], c[3]};
    limbs_mul_add(sum, a, 4, b, 4);
    scalar_reduce(r, sum);
}

/* ---- Multiples of points ---- */

/*
 * Multiples of the base point B for secret scalars: a comb with four teeth, 64 bits
 * apart, where a bit means +1 or -1.  comb[m] = 2^192·B ± 2^128·B ± 2^64·B ± B by the
 * bits of m; the other eight sums are their negatives.
 */
static struct addend comb[8];

/* Odd multiples of B for verification: B, 3B … 63B. */
#define BASE_WINDOW 7
#define BASE_COUNT (1 << (BASE_WINDOW - 2))
static struct addend base_odd[BASE_COUNT];

#define POINT_WINDOW 5
#define POINT_COUNT (1 << (POINT_WINDOW - 2))

static void odd_multiples(struct addend *table, size_t count, const struct point *p)
{
    struct point sum = *p, twice;
    struct addend step;
    point_double(&twice, p, true);
    addend_from_point(&step, &twice);
    addend_from_point(&table[0], p);
    for (size_t i = 1; i < count; i++) {
        point_add(&sum, &sum, &step, false, true);
        addend_from_point(&table[i], &sum);
    }
}

static void base_tables_make(void)
{
    struct addend tooth[4];
    struct point p = point_base;
    odd_multiples(base_odd, BASE_COUNT, &p);
    for (size_t i = 0; i < 3; i++) {
        addend_from_point(&tooth[i], &p);
        for (size_t j = 0; j < 64; j++)
            point_double(&p, &p, j == 63);
    }
    for (size_t m = 0; m < 8; m++) {
        struct point sum = p;
        for (size_t i = 0; i < 3; i++)
            point_add(&sum, &sum, &tooth[i], !(m >> i & 1), true);
        addend_from_point(&comb[m], &sum);
    }
}

static void addend_blend(struct addend *r, const struct addend *a, uint64_t mask)
{
    for (size_t i = 0; i < 5; i++) {
        r->y_plus_x.v[i] |= a->y_plus_x.v[i] & mask;
        r->y_minus_x.v[i] |= a->y_minus_x.v[i] & mask;
        r->z.v[i] |= a->z.v[i] & mask;
        r->t_2d.v[i] |= a->t_2d.v[i] & mask;
    }
}

/* Read the whole comb, so that memory accesses say nothing about the index. */
static void comb_select(struct addend *r, uint64_t index, uint64_t negative)
{
    struct fe minus_t;
    uint64_t mask = 0 - negative;
    memset(r, 0, sizeof *r);
    for (uint64_t m = 0; m < 8; m++)
        addend_blend(r, &comb[m], 0 - (((m ^ index) - 1) >> 63));
    fe_sub(&minus_t, &fe_zero, &r->t_2d);
    for (size_t i = 0; i < 5; i++) {
        uint64_t swap = (r->y_plus_x.v[i] ^ r->y_minus_x.v[i]) & mask;
        r->y_plus_x.v[i] ^= swap;
        r->y_minus_x.v[i] ^= swap;
        r->t_2d.v[i] ^= (r->t_2d.v[i] ^ minus_t.v[i]) & mask;
    }
}

/*
 * r = s·B for a secret s < 2^255.  An odd s equals the sum of ±2^i over i < 256, where
 * the signs are the bits of (s >> 1) + 2^255; an even s is made odd by adding L.
 */
static void base_mul(struct point *r, const uint64_t s[4])
{
    uint64_t bits[4], carry = 0, even = (s[0] & 1) - 1;
    struct addend term;
    for (size_t i = 0; i < 4; i++) {
        uint128 sum = (uint128)s[i] + (group_order[i] & even) + carry;
        bits[i] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
    for (size_t i = 0; i < 3; i++)
        bits[i] = bits[i] >> 1 | bits[i + 1] << 63;
    bits[3] = bits[3] >> 1 | (uint64_t)1 << 63;

    *r = point_zero;
    for (unsigned i = 64; i-- > 0;) {
        uint64_t index =
            (bits[0] >> i & 1) | (bits[1] >> i & 1) << 1 | (bits[2] >> i & 1) << 2;
        uint64_t negative = ~bits[3] >> i & 1;
        point_double(r, r, true);
        comb_select(&term, index ^ (7 & (0 - negative)), negative);
        point_add(r, r, &term, false, false);
    }
}

/* Signed odd digits with at least `window` - 1 zeros between them, for s < 2^255. */
static void scalar_slide(int8_t digit[256], const uint64_t s[4], unsigned window)
{
    uint64_t carry = 0;
    memset(digit, 0, 256);
    for (unsigned i = 0; i < 256;) {
        uint64_t word = s[i / 64] >> (i % 64);
        if ((word & 1) == carry) {
            i++;
            continue;
        }
        if (i % 64 > 64 - window && i < 192)
            word |= s[i / 64 + 1] << (64 - i % 64);
        word = (word & (((uint64_t)1 << window) - 1)) + carry;
        carry = word >> (window - 1);
        digit[i] = (int8_t)((int)word - ((int)carry << window));
        i += window;
    }
}

static void slide_add(struct point *r, const struct addend *odd, int digit, bool want_t)
{
    if (digit > 0)
        point_add(r, r, &odd[digit / 2], false, want_t);
    else
        point_add(r, r, &odd[-digit / 2], true, want_t);
}

/* r = a·p + b·B, for public scalars. */
static void double_mul(struct point *r, const uint64_t a[4], const struct point *p,
                       const uint64_t b[4])
{
    int8_t a_digit[256], b_digit[256];
    struct addend p_odd[POINT_COUNT];
    scalar_slide(a_digit, a, POINT_WINDOW);
    scalar_slide(b_digit, b, BASE_WINDOW);
    odd_multiples(p_odd, POINT_COUNT, p);
    *r = point_zero;
    unsigned i = 256;
    while (i > 0 && !a_digit[i - 1] && !b_digit[i - 1])
        i--;
    while (i-- > 0) {
        point_double(r, r, a_digit[i] || b_digit[i]);
        if (a_digit[i])
            slide_add(r, p_odd, a_digit[i], b_digit[i]);
        if (b_digit[i])
            slide_add(r, base_odd, b_digit[i], false);
    }
}

/* ---- Ed25519 ---- */

/* The secret scalar of RFC 8032 5.1.5, also X25519's. */
static void clamp(uint8_t scalar[32])
{
    scalar[0] &= 0xf8;
    scalar[31] = (uint8_t)((scalar[31] & 0x7f) | 0x40);
}

struct ed25519_key {
    uint64_t scalar[4];
    uint8_t prefix[32];
    uint8_t public[32];
};

static void ed25519_key_make(struct ed25519_key *ret_key, const uint8_t seed[32])
{
    struct sha512 sha;
    uint8_t hash[64];
    struct point p;
    sha512_init(&sha);
    sha512_update(&sha, seed, 32);
    sha512_final(&sha, hash);
    clamp(hash);
    memcpy(ret_key->scalar, hash, 32);
    memcpy(ret_key->prefix, hash + 32, 32);
    base_mul(&p, ret_key->scalar);
    point_to_bytes(ret_key->public, &p);
}

/* The challenge: SHA-512(R, A, message) modulo L. */
static void ed25519_challenge(uint64_t ret_scalar[4], const uint8_t r[32],
                              const uint8_t public[32], const uint8_t *message,
                              size_t size)
{
    struct sha512 sha;
    uint8_t hash[64];
    sha512_init(&sha);
    sha512_update(&sha, r, 32);
    sha512_update(&sha, public, 32);
    sha512_update(&sha, message, size);
    sha512_final(&sha, hash);
    scalar_from_hash(ret_scalar, hash);
}

static void ed25519_sign(uint8_t ret_signature[64], const struct ed25519_key *key,
                         const uint8_t *message, size_t size)
{
    struct sha512 sha;
    uint8_t hash[64];
    uint64_t nonce[4], challenge[4], s[4];
    struct point p;
    sha512_init(&sha);
    sha512_update(&sha, key->prefix, 32);
    sha512_update(&sha, message, size);
    sha512_final(&sha, hash);
    scalar_from_hash(nonce, hash);
    base_mul(&p, nonce);
    point_to_bytes(ret_signature, &p);
    ed25519_challenge(challenge, ret_signature, key->public, message, size);
    scalar_mul_add(s, challenge, key->scalar, nonce);
    memcpy(ret_signature + 32, s, 32);
}

static bool ed25519_verify(const uint8_t signature[64], const uint8_t public[32],
                           const uint8_t *message, size_t size)
{
    uint64_t s[4], challenge[4], unused[4];
    uint8_t r[32];
    struct point p;
    memcpy(s, signature + 32, 32);
    if (!limbs_sub(unused, s, group_order, 4) || !point_from_bytes(&p, public))
        return false;
    fe_sub(&p.x, &fe_zero, &p.x);
    fe_mul_small(&p.x, &p.x, 1);
    fe_sub(&p.t, &fe_zero, &p.t);
    ed25519_challenge(challenge, signature, public, message, size);
    double_mul(&p, challenge, &p, s);
    point_to_bytes(r, &p);
    return memcmp(r, signature, 32) == 0;
}

/* ---- X25519, RFC 7748 section 5 ---- */

static void fe_swap_if(uint64_t mask, struct fe *a, struct fe *b)
{
    for (size_t i = 0; i < 5; i++) {
        uint64_t swap = (a->v[i] ^ b->v[i]) & mask;
        a->v[i] ^= swap;
        b->v[i] ^= swap;
    }
}

/* One step of the ladder: 2 becomes its double, 3 their sum; 1 is their difference. */
static void ladder_step(const struct fe *x1, struct fe *x2, struct fe *z2,
                        struct fe *x3, struct fe *z3)
{
    struct fe a, aa, b, bb, e, da, cb;
    fe_add(&a, x2, z2);
    fe_sub(&b, x2, z2);
    fe_add(&cb, x3, z3);
    fe_sub(&da, x3, z3);
    fe_mul(&da, &da, &a);
    fe_mul(&cb, &cb, &b);
    fe_square(&aa, &a);
    fe_square(&bb, &b);
    fe_sub(&e, &aa, &bb);
    fe_add(x3, &da, &cb);
    fe_square(x3, x3);
    fe_sub(z3, &da, &cb);
    fe_square(z3, z3);
    fe_mul(z3, z3, x1);
    fe_mul(x2, &aa, &bb);
    fe_mul_small(z2, &e, 121665);
    fe_add(z2, z2, &aa);
    fe_mul(z2, z2, &e);
}

static void x25519(uint8_t ret_shared[32], const uint8_t secret[32],
                   const uint8_t u[32])
{
    uint8_t scalar[32];
    struct fe x1, x2 = fe_one, z2 = fe_zero, x3, z3 = fe_one;
    uint64_t swapped = 0;
    memcpy(scalar, secret, 32);
    clamp(scalar);
    fe_from_bytes(&x1, u);
    x3 = x1;
    for (unsigned i = 255; i-- > 0;) {
        uint64_t bit = scalar[i / 8] >> (i % 8) & 1;
        fe_swap_if(0 - (bit ^ swapped), &x2, &x3);
        fe_swap_if(0 - (bit ^ swapped), &z2, &z3);
        swapped = bit;
        ladder_step(&x1, &x2, &z2, &x3, &z3);
    }
    /* The scalar's lowest bits are 0, so nothing is left swapped. */
    fe_invert(&z2, &z2);
    fe_mul(&x2, &x2, &z2);
    fe_to_bytes(ret_shared, &x2);
}

/*
 * x25519() of u = 9, from the base point of the other curve: that is the same point, at
 * u = (1 + y)/(1 - y), and multiplying it takes a third of the time.
 */
static void x25519_public(uint8_t ret_public[32], const uint8_t secret[32])
{
    uint64_t scalar[4];
    uint8_t clamped[32];
    struct point p;
    struct fe over, under;
    memcpy(clamped, secret, 32);
    clamp(clamped);
    memcpy(scalar, clamped, 32);
    base_mul(&p, scalar);
    fe_add(&over, &p.z, &p.y);
    fe_sub(&under, &p.z, &p.y);
    fe_invert(&under, &under);
    fe_mul(&over, &over, &under);
    fe_to_bytes(ret_public, &over);
}

/* ---- ChaCha20-Poly1305, RFC 8439 ---- */

static uint32_t rotl32(uint32_t x, unsigned count)
{
    return x << count | x >> (32 - count);
}

static void quarter_round(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
    *a += *b, *d = rotl32(*d ^ *a, 16);
    *c += *d, *b = rotl32(*b ^ *c, 12);
    *a += *b, *d = rotl32(*d ^ *a, 8);
    *c += *d, *b = rotl32(*b ^ *c, 7);
}

static void chacha20_block(uint32_t ret_block[16], const uint8_t key[32],
                           uint32_t counter, const uint8_t nonce[12])
{
    uint32_t start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    uint32_t x[16];
    memcpy(start + 4, key, 32);
    start[12] = counter;
    memcpy(start + 13, nonce, 12);
    memcpy(x, start, sizeof x);
    for (int i = 0; i < 10; i++) {
        quarter_round(&x[0], &x[4], &x[8], &x[12]);
        quarter_round(&x[1], &x[5], &x[9], &x[13]);
        quarter_round(&x[2], &x[6], &x[10], &x[14]);
        quarter_round(&x[3], &x[7], &x[11], &x[15]);
        quarter_round(&x[0], &x[5], &x[10], &x[15]);
        quarter_round(&x[1], &x[6], &x[11], &x[12]);
        quarter_round(&x[2], &x[7], &x[8], &x[13]);
        quarter_round(&x[3], &x[4], &x[9], &x[14]);
    }
    for (size_t i = 0; i < 16; i++)
        ret_block[i] = x[i] + start[i];
}

/* Encrypt or decrypt in place; counts from block 1, as the AEAD does. */
static void chacha20_xor(uint8_t *data, size_t size, const uint8_t key[32],
                         const uint8_t nonce[12])
{
    for (uint32_t counter = 1; size; counter++) {
        uint32_t block[16];
        size_t part = size < 64 ? size : 64;
        chacha20_block(block, key, counter, nonce);
        for (size_t i = 0; i + 8 <= part; i += 8)
            store64(data + i, load64(data + i) ^ load64((const uint8_t *)block + i));
        for (size_t i = part & ~(size_t)7; i < part; i++)
            data[i] ^= ((const uint8_t *)block)[i];
        data += part;
        size -= part;
    }
}

/*
 * Modulo 2^130 - 5, in words of 64, 64 and a few bits.  r is clamped: below 2^124, and
 * r1 a multiple of 4, so that r1·2^128 = (r1/4)·2^130 ≡ (r1/4)·5 is a whole number.
 */
struct poly1305 {
    uint64_t h0, h1, h2, r0, r1, s0, s1;
};

static void poly1305_init(struct poly1305 *poly, const uint8_t key[32])
{
    poly->r0 = load64(key) & 0x0ffffffc0fffffff;
    poly->r1 = load64(key + 8) & 0x0ffffffc0ffffffc;
    poly->s0 = load64(key + 16);
    poly->s1 = load64(key + 24);
    poly->h0 = poly->h1 = poly->h2 = 0;
}

/* h = (h + block + 2^128)·r, left below 2^131. */
static void poly1305_block(struct poly1305 *poly, uint64_t b0, uint64_t b1)
{
    uint64_t r0 = poly->r0, r1 = poly->r1, r1_5 = r1 + (r1 >> 2);
    uint128 sum = (uint128)poly->h0 + b0;
    uint64_t h0 = (uint64_t)sum;
    sum = (sum >> 64) + poly->h1 + b1;
    uint64_t h1 = (uint64_t)sum;
    uint64_t h2 = poly->h2 + (uint64_t)(sum >> 64) + 1;

    uint128 low = wide(h0, r0) + wide(h1, r1_5);
    uint128 high = wide(h0, r1) + wide(h1, r0) + h2 * r1_5 + (low >> 64);
    uint64_t top = h2 * r0 + (uint64_t)(high >> 64);

    /* top·2^128: its lowest two bits stay, the others come back five times. */
    sum = (uint128)(uint64_t)low + (top >> 2) + (top & ~(uint64_t)3);
    poly->h0 = (uint64_t)sum;
    sum = (sum >> 64) + (uint64_t)high;
    poly->h1 = (uint64_t)sum;
    poly->h2 = (top & 3) + (uint64_t)(sum >> 64);
}

/* Data padded with zeros to whole blocks, as the AEAD wants it. */
static void poly1305_update_padded(struct poly1305 *poly, const uint8_t *data,
                                   size_t size)
{
    for (; size >= 16; data += 16, size -= 16)
        poly1305_block(poly, load64(data), load64(data + 8));
    if (size) {
        uint8_t last[16] = {0};
        memcpy(last, data, size);
        poly1305_block(poly, load64(last), load64(last + 8));
    }
}

static void poly1305_final(struct poly1305 *poly, uint8_t ret_tag[16])
{
    /* h < 2p: it is at least p exactly if h + 5 reaches bit 130. */
    uint128 sum = (uint128)poly->h0 + 5;
    sum = (sum >> 64) + poly->h1;
    uint64_t reduce = (poly->h2 + (uint64_t)(sum >> 64)) >> 2;
    sum = (uint128)poly->h0 + 5 * reduce;
    uint64_t h0 = (uint64_t)sum;
    uint64_t h1 = poly->h1 + (uint64_t)(sum >> 64);
    sum = (uint128)h0 + poly->s0;
    store64(ret_tag, (uint64_t)sum);
    store64(ret_tag + 8, h1 + poly->s1 + (uint64_t)(sum >> 64));
}

static void aead_tag(uint8_t ret_tag[16], const uint8_t *text, size_t size,
                     const uint8_t *extra, size_t extra_size, const uint8_t key[32],
                     const uint8_t nonce[12])
{
    struct poly1305 poly;
    uint32_t block[16];
    chacha20_block(block, key, 0, nonce);
    poly1305_init(&poly, (const uint8_t *)block);
    poly1305_update_padded(&poly, extra, extra_size);
    poly1305_update_padded(&poly, text, size);
    poly1305_block(&poly, extra_size, size);
    poly1305_final(&poly, ret_tag);
}

/* Encrypt `text` in place. */
static void aead_seal(uint8_t ret_tag[16], uint8_t *text, size_t size,
                      const uint8_t *extra, size_t extra_size, const uint8_t key[32],
                      const uint8_t nonce[12])
{
    chacha20_xor(text, size, key, nonce);
    aead_tag(ret_tag, text, size, extra, extra_size, key, nonce);
}

/* Decrypt `text` in place, or leave it alone if the tag is wrong. */
static bool aead_open(const uint8_t tag[16], uint8_t *text, size_t size,
                      const uint8_t *extra, size_t extra_size, const uint8_t key[32],
                      const uint8_t nonce[12])
{
    uint8_t want[16];
    aead_tag(want, text, size, extra, extra_size, key, nonce);
    if ((load64(want) ^ load64(tag)) | (load64(want + 8) ^ load64(tag + 8)))
        return false;
    chacha20_xor(text, size, key, nonce);
    return true;
}

/* ---- The benchmark ---- */

static uint64_t mix(uint64_t digest, const void *data, size_t size)
{
    return bench_mix(digest, bench_digest(data, size));
}

static uint8_t plain[1024], sealed[1024];

static uint64_t sign_and_verify(uint64_t digest, const struct ed25519_key *key,
                                uint64_t *random)
{
    uint8_t message[64], signature[64];
    bench_fill(message, sizeof message, random);
    ed25519_sign(signature, key, message, sizeof message);
    if (!ed25519_verify(signature, key->public, message, sizeof message))
        pvm_panic();
    digest = mix(digest, signature, sizeof signature);
    /* A flipped bit of R is noticed at the very end, so this costs as much. */
    uint64_t bit = bench_random(random) % 256;
    signature[bit / 8] = (uint8_t)(signature[bit / 8] ^ 1 << bit % 8);
    if (ed25519_verify(signature, key->public, message, sizeof message))
        pvm_panic();
    return digest;
}

/* Both sides of an agreement come to the same key. */
static uint64_t agree(uint64_t digest, uint8_t ret_shared[32], const uint8_t secret[32],
                      const uint8_t public[32], uint64_t *random)
{
    uint8_t other_secret[32], other_public[32], other_shared[32];
    bench_fill(other_secret, sizeof other_secret, random);
    x25519_public(other_public, other_secret);
    x25519(other_shared, other_secret, public);
    x25519(ret_shared, secret, other_public);
    if (memcmp(ret_shared, other_shared, 32) != 0)
        pvm_panic();
    return mix(digest, ret_shared, 32);
}

static uint64_t seal_and_open(uint64_t digest, const uint8_t key[32], uint64_t *random)
{
    uint8_t nonce[16], tag[16];
    bench_fill(nonce, sizeof nonce, random);
    memcpy(sealed, plain, sizeof sealed);
    aead_seal(tag, sealed, sizeof sealed, nonce, sizeof nonce, key, nonce);
    digest = mix(digest, sealed, sizeof sealed);
    digest = mix(digest, tag, sizeof tag);
    if (!aead_open(tag, sealed, sizeof sealed, nonce, sizeof nonce, key, nonce) ||
        memcmp(sealed, plain, sizeof sealed) != 0)
        pvm_panic();
    return digest;
}

uint64_t bench(uint64_t n)
{
    struct ed25519_key key;
    uint8_t seed[32], secret[32], public[32], shared[32];
    uint64_t random = BENCH_SEED, digest = 0;
    base_tables_make();
    bench_fill(seed, sizeof seed, &random);
    bench_fill(secret, sizeof secret, &random);
    bench_fill(plain, sizeof plain, &random);
    ed25519_key_make(&key, seed);
    x25519_public(public, secret);
    digest = mix(digest, key.public, sizeof key.public);
    for (uint64_t i = 0; i < n; i++) {
        digest = sign_and_verify(digest, &key, &random);
        digest = agree(digest, shared, secret, public, &random);
        digest = seal_and_open(digest, shared, &random);
    }
    return digest;
}

PVM_EXPORT(0, bench);
