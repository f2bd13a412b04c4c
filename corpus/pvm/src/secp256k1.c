/* SPDX-License-Identifier: MIT
 *
 * secp256k1.c - benchmark: one round makes a signature and recovers the public key from
 * it.
 *
 * The curve is SEC 2's secp256k1, recovery is SEC 1 4.1.6.  Everything here is public
 * data, so all of it takes the short path.  What makes it fast:
 *
 *   - both scalars of u1·G + u2·R are split in two halves of 128 bits with the curve's
 *     endomorphism (Gallant, Lambert, Vanstone 2001), so that 128 doublings suffice;
 *   - the four halves share those doublings (Strauss), as signed digits with tables of
 * odd multiples (wNAF);
 *   - inverses are found by Bernstein and Yang's division steps (safegcd, 2019).
 *
 * The signer is no example: its nonces and keys form doubling chains, which makes a
 * fresh valid signature for the price of one inversion.
 */
#include "bench.h"

__extension__ typedef unsigned __int128 uint128;
__extension__ typedef __int128 int128;

static uint128 wide_product(uint64_t a, uint64_t b)
{
    return (uint128)a * b;
}

/* ---- Integers of 256 bits: four words, lowest first ---- */

static bool words_are_zero(const uint64_t a[4])
{
    return (a[0] | a[1] | a[2] | a[3]) == 0;
}

static bool words_less(const uint64_t a[4], const uint64_t b[4])
{
    for (size_t i = 4; i-- > 0;) {
        if (a[i] != b[i])
            return a[i] < b[i];
    }
    return false;
}

/* r = a + b; the carry. */
static uint64_t words_add(uint64_t r[4], const uint64_t a[4], const uint64_t b[4])
{
    uint64_t carry = 0;
    for (size_t i = 0; i < 4; i++) {
        uint64_t sum = a[i] + b[i];
        uint64_t next = (sum < b[i]);
        r[i] = sum + carry;
        carry = next | (r[i] < carry);
    }
    return carry;
}

/* r = a - b; the borrow. */
static uint64_t words_sub(uint64_t r[4], const uint64_t a[4], const uint64_t b[4])
{
    uint64_t borrow = 0;
    for (size_t i = 0; i < 4; i++) {
        uint64_t difference = a[i] - b[i];
        uint64_t next = (a[i] < b[i]) | (difference < borrow);
        r[i] = difference - borrow;
        borrow = next;
    }
    return borrow;
}

/* r = a·b, of a_count + b_count words. */
static void words_mul(uint64_t *r, const uint64_t *a, size_t a_count, const uint64_t *b,
                      size_t b_count)
{
    memset(r, 0, (a_count + b_count) * sizeof *r);
    for (size_t i = 0; i < a_count; i++) {
        uint128 sum = 0;
        for (size_t j = 0; j < b_count; j++) {
            sum += wide_product(a[i], b[j]) + r[i + j];
            r[i + j] = (uint64_t)sum;
            sum >>= 64;
        }
        r[i + b_count] = (uint64_t)sum;
    }
}

static void words_from_bytes(uint64_t r[4], const uint8_t bytes[32])
{
    memcpy(r, bytes, 32);
    uint64_t low = r[0], next = r[1];
    r[0] = __builtin_bswap64(r[3]);
    r[1] = __builtin_bswap64(r[2]);
    r[2] = __builtin_bswap64(next);
    r[3] = __builtin_bswap64(low);
}

static void words_to_bytes(uint8_t bytes[32], const uint64_t a[4])
{
    uint64_t turned[4];
    for (size_t i = 0; i < 4; i++)
        turned[i] = __builtin_bswap64(a[3 - i]);
    memcpy(bytes, turned, 32);
}

/* ---- Inverses modulo an odd prime ----
 *
 * Division steps turn (f, g) = (m, x) into (±1, 0).  62 of them at a time are found
 * from the low words alone, as a matrix, which is then applied to f and g and to the d
 * and e that keep f = d·x and g = e·x modulo m.
 */

/* Words of 62 bits, of which the last one has the sign. */
struct signed62 {
    int64_t v[5];
};

#define MASK62 ((uint64_t)INT64_MAX >> 1)

struct modulus {
    uint64_t words[4];
    struct signed62 limbs;
    uint64_t inverse62; /* 1/m modulo 2^62 */
};

static const struct modulus prime = {
    {0xfffffffefffffc2f, 0xffffffffffffffff, 0xffffffffffffffff, 0xffffffffffffffff},
    {{0x3ffffffefffffc2f, 0x3fffffffffffffff, 0x3fffffffffffffff, 0x3fffffffffffffff,
      0xff}},
    0x27c7f6e22ddacacf};

static const struct modulus order = {
    {0xbfd25e8cd0364141, 0xbaaedce6af48a03b, 0xfffffffffffffffe, 0xffffffffffffffff},
    {{0x3fd25e8cd0364141, 0x2abb739abd2280ee, 0x3fffffffffffffeb, 0x3fffffffffffffff,
      0xff}},
    0x34f20099aa774ec1};

/* 2^62·(f', g') = (u·f + v·g, q·f + r·g). */
struct steps {
    int64_t u, v, q, r;
};

/*
 * 62 division steps on the low bits of f and g; the new delta.  One step is, for odd g
 * and delta > 0: (1 - delta, g, (g - f)/2), otherwise (1 + delta, f, (g + (g mod
 * 2)·f)/2). Instead of halving g's row of the matrix, f's is doubled.
 */
static int64_t steps_62(struct steps *ret_steps, int64_t delta, uint64_t f, uint64_t g)
{
    uint64_t u = 1, v = 0, q = 0, r = 1, swap;
    unsigned left = 62;
    for (;;) {
        /* All steps in which g is even; the bit on top ends the count. */
        unsigned zeros = (unsigned)__builtin_ctzll(g | (uint64_t)1 << left);
        g >>= zeros, u <<= zeros, v <<= zeros;
        delta += zeros;
        left -= zeros;
        if (!left)
            break;
        if (delta > 0) {
            delta = -delta;
            swap = f, f = g, g = 0 - swap;
            swap = u, u = q, q = 0 - swap;
            swap = v, v = r, r = 0 - swap;
        }
        /* For 1 - delta steps f stays: add what clears as many low bits of g. */
        uint64_t limit = (uint64_t)(1 - delta);
        limit = limit < left ? limit : left;
        limit = limit < 6 ? limit : 6;
        /* f·(2 - f²) is 1/f modulo 64. */
        uint64_t factor = g * f * (f * f - 2) & (((uint64_t)1 << limit) - 1);
        g += factor * f, q += factor * u, r += factor * v;
    }
    *ret_steps = (struct steps){(int64_t)u, (int64_t)v, (int64_t)q, (int64_t)r};
    return delta;
}

static void steps_apply(struct signed62 *f, struct signed62 *g, const struct steps *t)
{
    int128 next_f = 0, next_g = 0;
    for (size_t i = 0; i < 5; i++) {
        next_f += (int128)t->u * f->v[i] + (int128)t->v * g->v[i];
        next_g += (int128)t->q * f->v[i] + (int128)t->r * g->v[i];
        if (i > 0) {
            f->v[i - 1] = (int64_t)((uint64_t)next_f & MASK62);
            g->v[i - 1] = (int64_t)((uint64_t)next_g & MASK62);
        }
        next_f >>= 62;
        next_g >>= 62;
    }
    f->v[4] = (int64_t)next_f;
    g->v[4] = (int64_t)next_g;
}

/* The multiple of m, centred, that makes the low 62 bits of `value` plus it zero. */
static int64_t modulus_cancel(const struct modulus *m, int128 value)
{
    uint64_t factor = (0 - (uint64_t)value * m->inverse62) << 2;
    return (int64_t)factor >> 2;
}

/*
 * As steps_apply, but modulo m: instead of being exact already, the division by 2^62 is
 * made so by adding a multiple of m.  Each time |d| and |e| grow by at most m/2, and
 * there are at most 12 times, so five words hold them.
 */
static void steps_apply_modulo(struct signed62 *d, struct signed62 *e,
                               const struct steps *t, const struct modulus *m)
{
    int128 next_d = (int128)t->u * d->v[0] + (int128)t->v * e->v[0];
    int128 next_e = (int128)t->q * d->v[0] + (int128)t->r * e->v[0];
    int64_t m_d = modulus_cancel(m, next_d), m_e = modulus_cancel(m, next_e);
    next_d = (next_d + (int128)m_d * m->limbs.v[0]) >> 62;
    next_e = (next_e + (int128)m_e * m->limbs.v[0]) >> 62;
    for (size_t i = 1; i < 5; i++) {
        next_d += (int128)t->u * d->v[i] + (int128)t->v * e->v[i] +
                  (int128)m_d * m->limbs.v[i];
        next_e += (int128)t->q * d->v[i] + (int128)t->r * e->v[i] +
                  (int128)m_e * m->limbs.v[i];
        d->v[i - 1] = (int64_t)((uint64_t)next_d & MASK62);
        e->v[i - 1] = (int64_t)((uint64_t)next_e & MASK62);
        next_d >>= 62;
        next_e >>= 62;
    }
    d->v[4] = (int64_t)next_d;
    e->v[4] = (int64_t)next_e;
}

/* a += factor·m, with carries. */
static void signed62_add(struct signed62 *a, int64_t factor, const struct modulus *m)
{
    int64_t carry = 0;
    for (size_t i = 0; i < 4; i++) {
        carry += a->v[i] + factor * m->limbs.v[i];
        a->v[i] = (int64_t)((uint64_t)carry & MASK62);
        carry >>= 62;
    }
    a->v[4] += carry + factor * m->limbs.v[4];
}

/* r = 1/x modulo m, for x < m; 0 for 0. */
static void modulus_invert(uint64_t ret_inverse[4], const uint64_t x[4],
                           const struct modulus *m)
{
    struct signed62 f = m->limbs, d = {{0}}, e = {{1}};
    struct signed62 g = {
        {(int64_t)(x[0] & MASK62), (int64_t)((x[0] >> 62 | x[1] << 2) & MASK62),
         (int64_t)((x[1] >> 60 | x[2] << 4) & MASK62),
         (int64_t)((x[2] >> 58 | x[3] << 6) & MASK62), (int64_t)(x[3] >> 56)}};
    struct steps t;
    int64_t delta = 1;
    while (g.v[0] | g.v[1] | g.v[2] | g.v[3] | g.v[4]) {
        delta = steps_62(&t, delta, (uint64_t)f.v[0], (uint64_t)g.v[0]);
        steps_apply(&f, &g, &t);
        steps_apply_modulo(&d, &e, &t, m);
    }
    /* f is 1 or -1, and so is the sign of d. */
    if (f.v[4] < 0) {
        for (size_t i = 0; i < 5; i++)
            d.v[i] = -d.v[i];
        signed62_add(&d, 0, m);
    }
    while (d.v[4] < 0)
        signed62_add(&d, 1, m);
    struct signed62 less = d;
    for (signed62_add(&less, -1, m); less.v[4] >= 0; signed62_add(&less, -1, m))
        d = less;
    const uint64_t v[5] = {(uint64_t)d.v[0], (uint64_t)d.v[1], (uint64_t)d.v[2],
                           (uint64_t)d.v[3], (uint64_t)d.v[4]};
    ret_inverse[0] = v[0] | v[1] << 62;
    ret_inverse[1] = v[1] >> 2 | v[2] << 60;
    ret_inverse[2] = v[2] >> 4 | v[3] << 58;
    ret_inverse[3] = v[3] >> 6 | v[4] << 56;
}

/* ---- Integers modulo p = 2^256 - FP_FOLD, the field of the coordinates ----
 *
 * Any value below 2^256 may stand for its residue; fp_normalize makes it unique.
 */
struct fp {
    uint64_t v[4];
};

#define FP_FOLD ((uint64_t)0x1000003d1)

static const struct fp fp_one = {{1}};
static const struct fp fp_seven = {{7}};

/* The sum of products of one column, and what it carries. */
struct column {
    uint64_t w0, w1, w2;
};

static inline void column_sum(struct column *c, uint128 product)
{
    uint64_t low = (uint64_t)product, high = (uint64_t)(product >> 64);
    c->w0 += low;
    high += c->w0 < low; /* cannot overflow: high is at most 2^64 - 2 */
    c->w1 += high;
    c->w2 += c->w1 < high;
}

static inline void column_add(struct column *c, uint64_t a, uint64_t b)
{
    column_sum(c, wide_product(a, b));
}

static inline void column_add_twice(struct column *c, uint64_t a, uint64_t b)
{
    uint128 product = wide_product(a, b);
    column_sum(c, product);
    column_sum(c, product);
}

static inline uint64_t column_end(struct column *c)
{
    uint64_t word = c->w0;
    *c = (struct column){c->w1, c->w2, 0};
    return word;
}

/* r = high·2^256 + low: 2^256 counts as FP_FOLD, twice, very rarely a third time. */
static inline void fp_fold(struct fp *r, const uint64_t low[4], const uint64_t high[4])
{
    uint128 sum = wide_product(high[0], FP_FOLD) + low[0];
    uint64_t r0 = (uint64_t)sum;
    sum = (sum >> 64) + wide_product(high[1], FP_FOLD) + low[1];
    uint64_t r1 = (uint64_t)sum;
    sum = (sum >> 64) + wide_product(high[2], FP_FOLD) + low[2];
    uint64_t r2 = (uint64_t)sum;
    sum = (sum >> 64) + wide_product(high[3], FP_FOLD) + low[3];
    uint64_t r3 = (uint64_t)sum;
    sum = wide_product((uint64_t)(sum >> 64), FP_FOLD) + r0;
    r0 = (uint64_t)sum;
    sum = (sum >> 64) + r1;
    r1 = (uint64_t)sum;
    uint64_t carry = (uint64_t)(sum >> 64);
    r2 += carry;
    carry = r2 < carry;
    r3 += carry;
    if (__builtin_expect(r3 < carry, 0)) {
        sum = (uint128)r0 + FP_FOLD;
        r0 = (uint64_t)sum;
        r1 += (uint64_t)(sum >> 64);
    }
    *r = (struct fp){{r0, r1, r2, r3}};
}

static void fp_mul(struct fp *r, const struct fp *a, const struct fp *b)
{
    uint64_t a0 = a->v[0], a1 = a->v[1], a2 = a->v[2], a3 = a->v[3];
    uint64_t low[4], high[4];
    struct column c = {0, 0, 0};
    column_add(&c, a0, b->v[0]);
    low[0] = column_end(&c);
    column_add(&c, a0, b->v[1]);
    column_add(&c, a1, b->v[0]);
    low[1] = column_end(&c);
    column_add(&c, a0, b->v[2]);
    column_add(&c, a1, b->v[1]);
    column_add(&c, a2, b->v[0]);
    low[2] = column_end(&c);
    column_add(&c, a0, b->v[3]);
    column_add(&c, a1, b->v[2]);
    column_add(&c, a2, b->v[1]);
    column_add(&c, a3, b->v[0]);
    low[3] = column_end(&c);
    column_add(&c, a1, b->v[3]);
    column_add(&c, a2, b->v[2]);
    column_add(&c, a3, b->v[1]);
    high[0] = column_end(&c);
    column_add(&c, a2, b->v[3]);
    column_add(&c, a3, b->v[2]);
    high[1] = column_end(&c);
    column_add(&c, a3, b->v[3]);
    high[2] = column_end(&c);
    high[3] = column_end(&c);
    fp_fold(r, low, high);
}

static void fp_square(struct fp *r, const struct fp *a)
{
    uint64_t a0 = a->v[0], a1 = a->v[1], a2 = a->v[2], a3 = a->v[3];
    uint64_t low[4], high[4];
    struct column c = {0, 0, 0};
    column_add(&c, a0, a0);
    low[0] = column_end(&c);
    column_add_twice(&c, a0, a1);
    low[1] = column_end(&c);
    column_add_twice(&c, a0, a2);
    column_add(&c, a1, a1);
    low[2] = column_end(&c);
    column_add_twice(&c, a0, a3);
    column_add_twice(&c, a1, a2);
    low[3] = column_end(&c);
    column_add_twice(&c, a1, a3);
    column_add(&c, a2, a2);
    high[0] = column_end(&c);
    column_add_twice(&c, a2, a3);
    high[1] = column_end(&c);
    column_add(&c, a3, a3);
    high[2] = column_end(&c);
    high[3] = column_end(&c);
    fp_fold(r, low, high);
}

/* Two sums of 2^256 and more in a row need operands that are p or more: rare, not
 * never. */
static void fp_add(struct fp *r, const struct fp *a, const struct fp *b)
{
    struct fp t;
    uint64_t carry = FP_FOLD & (0 - words_add(t.v, a->v, b->v));
    for (size_t i = 0; i < 4; i++) {
        t.v[i] += carry;
        carry = t.v[i] < carry;
    }
    if (__builtin_expect(carry != 0, 0))
        t.v[0] += FP_FOLD;
    *r = t;
}

static void fp_sub(struct fp *r, const struct fp *a, const struct fp *b)
{
    struct fp t;
    uint64_t borrow = FP_FOLD & (0 - words_sub(t.v, a->v, b->v));
    for (size_t i = 0; i < 4; i++) {
        uint64_t word = t.v[i];
        t.v[i] = word - borrow;
        borrow = word < borrow;
    }
    if (__builtin_expect(borrow != 0, 0))
        t.v[0] -= FP_FOLD;
    *r = t;
}

static void fp_double(struct fp *r, const struct fp *a)
{
    fp_add(r, a, a);
}

static void fp_normalize(struct fp *r)
{
    if (!words_less(r->v, prime.words))
        (void)words_sub(r->v, r->v, prime.words);
}

static void fp_negate(struct fp *r, const struct fp *a)
{
    static const struct fp zero;
    fp_sub(r, &zero, a);
}

static bool fp_is_zero(const struct fp *a)
{
    const uint64_t *v = a->v;
    return (v[0] | v[1] | v[2] | v[3]) == 0 ||
           ((v[0] ^ prime.words[0]) | ~(v[1] & v[2] & v[3])) == 0;
}

static bool fp_equal(const struct fp *a, const struct fp *b)
{
    struct fp difference;
    fp_sub(&difference, a, b);
    return fp_is_zero(&difference);
}

static void fp_invert(struct fp *r, const struct fp *a)
{
    struct fp t = *a;
    fp_normalize(&t);
    modulus_invert(r->v, t.v, &prime);
}

/* r = a^(2^count)·b: appends the exponent of b to that of a. */
static void fp_append(struct fp *r, const struct fp *a, unsigned count,
                      const struct fp *b)
{
    struct fp t = *a;
    while (count--)
        fp_square(&t, &t);
    fp_mul(r, &t, b);
}

/*
 * A square root of a, if there is one: a^((p + 1)/4).  The exponent is, from the top,
 * 223 ones, a zero, 22 ones, 4 zeros, 2 ones and 2 zeros; xN is a to the power of N
 * ones.
 */
static bool fp_sqrt(struct fp *r, const struct fp *a)
{
    struct fp x2, x3, x6, x11, x22, x44, x88, t;
    fp_append(&x2, a, 1, a);
    fp_append(&x3, &x2, 1, a);
    fp_append(&x6, &x3, 3, &x3);
    fp_append(&t, &x6, 3, &x3);
    fp_append(&x11, &t, 2, &x2);
    fp_append(&x22, &x11, 11, &x11);
    fp_append(&x44, &x22, 22, &x22);
    fp_append(&x88, &x44, 44, &x44);
    fp_append(&t, &x88, 88, &x88);
    fp_append(&t, &t, 44, &x44);
    fp_append(&t, &t, 3, &x3);
    fp_append(&t, &t, 23, &x22);
    fp_append(&t, &t, 6, &x2);
    fp_square(&t, &t);
    fp_square(&t, &t);
    fp_square(&x2, &t);
    bool found = fp_equal(&x2, a);
    *r = t;
    return found;
}

/* ---- Integers modulo n, the order of G: always below n ---- */

/* Barrett: the quotient by mu = ⌊2^512 / n⌋ is at most two too small. */
static void scalar_mul(uint64_t r[4], const uint64_t a[4], const uint64_t b[4])
{
    static const uint64_t mu[5] = {0x402da1732fc9bec0, 0x4551231950b75fc4, 1, 0, 1};
    uint64_t product[8], quotient[10], multiple[9];
    words_mul(product, a, 4, b, 4);
    words_mul(quotient, product + 3, 5, mu, 5);
    words_mul(multiple, quotient + 5, 5, order.words, 4);
    uint64_t borrow = words_sub(r, product, multiple);
    uint64_t top = product[4] - multiple[4] - borrow;
    while (top || !words_less(r, order.words))
        top -= words_sub(r, r, order.words);
}

static void scalar_add(uint64_t r[4], const uint64_t a[4], const uint64_t b[4])
{
    if (words_add(r, a, b) || !words_less(r, order.words))
        (void)words_sub(r, r, order.words);
}

static void scalar_negate(uint64_t r[4], const uint64_t a[4])
{
    if (words_are_zero(a))
        memset(r, 0, 32);
    else
        (void)words_sub(r, order.words, a);
}

/* ---- Points of y² = x³ + 7 ---- */

struct affine {
    struct fp x, y;
};

/* x = X/Z², y = Y/Z³; Z = 0 at infinity. */
struct jacobian {
    struct fp x, y, z;
};

static const struct affine generator = {
    {{0x59f2815b16f81798, 0x029bfcdb2dce28d9, 0x55a06295ce870b07, 0x79be667ef9dcbbac}},
    {{0x9c47d08ffb10d4b8, 0xfd17b448a6855419, 0x5da4fbfc0e1108a8, 0x483ada7726a3c465}}};

/* beta³ = 1 modulo p: (beta·x, y) is lambda times (x, y), and lambda³ = 1 modulo n. */
static const struct fp beta = {
    {0xc1396c28719501ee, 0x9cf0497512f58995, 0x6e64479eac3434e9, 0x7ae96a2b657c0710}};

/* No point has y = 0, so only infinity doubles to infinity, without a special case. */
static void jacobian_double(struct jacobian *r, const struct jacobian *p)
{
    struct fp m, s, t;
    fp_mul(&r->z, &p->y, &p->z);
    fp_double(&r->z, &r->z);
    fp_square(&m, &p->x);
    fp_double(&t, &m);
    fp_add(&m, &m, &t); /* 3x² */
    fp_square(&t, &p->y);
    fp_double(&t, &t); /* 2y² */
    fp_mul(&s, &p->x, &t);
    fp_double(&s, &s); /* 4xy² */
    fp_square(&t, &t);
    fp_double(&t, &t); /* 8y⁴ */
    fp_square(&r->x, &m);
    fp_sub(&r->x, &r->x, &s);
    fp_sub(&r->x, &r->x, &s);
    fp_sub(&s, &s, &r->x);
    fp_mul(&r->y, &m, &s);
    fp_sub(&r->y, &r->y, &t);
}

/* r += (x, y). */
static void jacobian_add(struct jacobian *r, const struct fp *x, const struct fp *y)
{
    struct fp zz, h, hh, slope, v;
    if (fp_is_zero(&r->z)) {
        *r = (struct jacobian){*x, *y, fp_one};
        return;
    }
    fp_square(&zz, &r->z);
    fp_mul(&h, x, &zz);
    fp_sub(&h, &h, &r->x);
    fp_mul(&slope, y, &zz);
    fp_mul(&slope, &slope, &r->z);
    fp_sub(&slope, &slope, &r->y);
    if (fp_is_zero(&h)) { /* the same point, or its negative */
        if (fp_is_zero(&slope))
            jacobian_double(r, r);
        else
            memset(r, 0, sizeof *r);
        return;
    }
    fp_mul(&r->z, &r->z, &h);
    fp_square(&hh, &h);
    fp_mul(&v, &r->x, &hh);
    fp_mul(&hh, &hh, &h);
    fp_square(&r->x, &slope);
    fp_sub(&r->x, &r->x, &hh);
    fp_sub(&r->x, &r->x, &v);
    fp_sub(&r->x, &r->x, &v);
    fp_mul(&hh, &hh, &r->y);
    fp_sub(&v, &v, &r->x);
    fp_mul(&r->y, &slope, &v);
    fp_sub(&r->y, &r->y, &hh);
}

/* The affine point, given 1/Z. */
static void jacobian_scale(struct affine *r, const struct jacobian *p,
                           const struct fp *z_inverse)
{
    struct fp zz;
    fp_square(&zz, z_inverse);
    fp_mul(&r->x, &p->x, &zz);
    fp_mul(&zz, &zz, z_inverse);
    fp_mul(&r->y, &p->y, &zz);
    fp_normalize(&r->x);
    fp_normalize(&r->y);
}

static void jacobian_to_affine(struct affine *r, const struct jacobian *p)
{
    struct fp z_inverse;
    fp_invert(&z_inverse, &p->z);
    jacobian_scale(r, p, &z_inverse);
}

/* y² = x³ + 7 for one of the two y; false if there is none. */
static bool affine_lift(struct affine *r, const struct fp *x, bool odd)
{
    struct fp square;
    fp_square(&square, x);
    fp_mul(&square, &square, x);
    fp_add(&square, &square, &fp_seven);
    if (!fp_sqrt(&r->y, &square))
        return false;
    fp_normalize(&r->y);
    if ((r->y.v[0] & 1) != odd)
        (void)words_sub(r->y.v, prime.words, r->y.v);
    r->x = *x;
    return true;
}

/* ---- u1·G + u2·R ---- */

/* An odd multiple of a point, and (beta_x, y), the same of lambda times the point. */
struct multiple {
    struct fp x, beta_x, y;
};

#define G_WINDOW 8
#define G_COUNT (1 << (G_WINDOW - 2))
static struct multiple g_odd[G_COUNT]; /* G, 3G … 127G */

#define R_WINDOW 5
#define R_COUNT (1 << (R_WINDOW - 2))

/* All inverses of `z` for one: divide the inverse of the product by all but one. */
static void fp_invert_all(struct fp *inverse, const struct fp *z, size_t count)
{
    struct fp rest;
    inverse[0] = z[0];
    for (size_t i = 1; i < count; i++)
        fp_mul(&inverse[i], &inverse[i - 1], &z[i]);
    fp_invert(&rest, &inverse[count - 1]);
    for (size_t i = count; --i > 0;) {
        fp_mul(&inverse[i], &inverse[i - 1], &rest);
        fp_mul(&rest, &rest, &z[i]);
    }
    inverse[0] = rest;
}

/*
 * p, 3p, 5p …  With c the Z of 2p, (x, y) → (c²·x, c³·y) maps to a curve on which the
 * same formulas hold and on which 2p is affine, so the cheaper addition serves.
 */
static void multiples_make(struct multiple *ret_table, size_t count,
                           const struct affine *p)
{
    struct fp z[G_COUNT], inverse[G_COUNT], c_power;
    struct jacobian twice, sum = {p->x, p->y, fp_one};
    jacobian_double(&twice, &sum);
    fp_square(&c_power, &twice.z);
    fp_mul(&sum.x, &sum.x, &c_power);
    fp_mul(&c_power, &c_power, &twice.z);
    fp_mul(&sum.y, &sum.y, &c_power);
    for (size_t i = 0;;) {
        ret_table[i].x = sum.x;
        ret_table[i].y = sum.y;
        fp_mul(&z[i], &sum.z, &twice.z);
        if (++i == count)
            break;
        jacobian_add(&sum, &twice.x, &twice.y);
    }
    fp_invert_all(inverse, z, count);
    for (size_t i = 0; i < count; i++) {
        struct jacobian scaled = {ret_table[i].x, ret_table[i].y, z[i]};
        struct affine a;
        jacobian_scale(&a, &scaled, &inverse[i]);
        ret_table[i].x = a.x;
        ret_table[i].y = a.y;
        fp_mul(&ret_table[i].beta_x, &a.x, &beta);
    }
}

/* A half of a scalar: its size is below 2^128. */
struct half {
    uint64_t size[4];
    bool negative;
};

static void half_set(struct half *r, const uint64_t value[4])
{
    static const uint64_t zero[4];
    r->negative = value[3] >> 63;
    memcpy(r->size, value, 32);
    if (r->negative)
        (void)words_sub(r->size, zero, value);
}

/* ret_c = k·f/2^384, rounded. */
static void multiply_round(uint64_t ret_c[2], const uint64_t k[4], const uint64_t f[4])
{
    uint64_t product[8];
    words_mul(product, k, 4, f, 4);
    uint64_t round = product[5] >> 63;
    ret_c[0] = product[6] + round;
    ret_c[1] = product[7] + (ret_c[0] < round);
}

/*
 * k = k1 + k2·lambda modulo n.  The (a, b) with a + b·lambda = 0 form a lattice; (a1,
 * -b1) and (a2, a1) are its short vectors.  The point of it nearest to (k, 0) is
 * c1·(a1, -b1) + c2·(a2, a1) with c1 = k·a1/n and c2 = k·b1/n, rounded; (k1, k2) is
 * what is left, so both are below 0.64·2^128.  Four words are enough for all that.
 */
static void scalar_split(struct half *ret_k1, struct half *ret_k2, const uint64_t k[4])
{
    static const uint64_t a1[2] = {0xe86c90e49284eb15, 0x3086d221a7d46bcd};
    static const uint64_t b1[2] = {0x6f547fa90abfe4c3, 0xe4437ed6010e8828};
    static const uint64_t a2[3] = {0x57c1108d9d44cfd8, 0x14ca50f7a8e2f3f6, 1};
    /* 2^384·a1/n and 2^384·b1/n. */
    static const uint64_t a1_over_n[4] = {0xe893209a45dbb031, 0x3daa8a1471e8ca7f,
                                          0xe86c90e49284eb15, 0x3086d221a7d46bcd};
    static const uint64_t b1_over_n[4] = {0x1571b4ae8ac47f71, 0x221208ac9df506c6,
                                          0x6f547fa90abfe4c4, 0xe4437ed6010e8828};
    uint64_t c1[2], c2[2], rest[4], t[5];
    multiply_round(c1, k, a1_over_n);
    multiply_round(c2, k, b1_over_n);
    words_mul(t, c1, 2, a1, 2);
    (void)words_sub(rest, k, t);
    words_mul(t, c2, 2, a2, 3);
    (void)words_sub(rest, rest, t);
    half_set(ret_k1, rest);
    words_mul(rest, c1, 2, b1, 2);
    words_mul(t, c2, 2, a1, 2);
    (void)words_sub(rest, rest, t);
    half_set(ret_k2, rest);
}

#define DIGIT_COUNT 129

/* Signed odd digits with at least `window` - 1 zeros between them. */
static void half_slide(int8_t digit[DIGIT_COUNT], const struct half *k, unsigned window)
{
    uint64_t carry = 0;
    memset(digit, 0, DIGIT_COUNT);
    for (unsigned i = 0; i < DIGIT_COUNT;) {
        uint64_t word = k->size[i / 64] >> (i % 64);
        if ((word & 1) == carry) {
            i++;
            continue;
        }
        if (i % 64 > 64 - window)
            word |= k->size[i / 64 + 1] << (64 - i % 64);
        word = (word & (((uint64_t)1 << window) - 1)) + carry;
        carry = word >> (window - 1);
        int value = (int)word - ((int)carry << window);
        digit[i] = (int8_t)(k->negative ? -value : value);
        i += window;
    }
}

/* r += digit·p, or digit·lambda·p, from p's odd multiples. */
static void digit_add(struct jacobian *r, const struct multiple *odd, int digit,
                      bool lambda)
{
    const struct multiple *m = &odd[(digit < 0 ? -digit : digit) / 2];
    const struct fp *x = lambda ? &m->beta_x : &m->x;
    struct fp minus_y;
    if (digit < 0)
        fp_negate(&minus_y, &m->y);
    jacobian_add(r, x, digit < 0 ? &minus_y : &m->y);
}

/* r = a·G + b·p. */
static void strauss(struct jacobian *r, const uint64_t a[4], const uint64_t b[4],
                    const struct affine *p)
{
    int8_t a_digit[2][DIGIT_COUNT], b_digit[2][DIGIT_COUNT];
    struct multiple r_odd[R_COUNT];
    struct half half[2];
    scalar_split(&half[0], &half[1], a);
    for (size_t j = 0; j < 2; j++)
        half_slide(a_digit[j], &half[j], G_WINDOW);
    scalar_split(&half[0], &half[1], b);
    for (size_t j = 0; j < 2; j++)
        half_slide(b_digit[j], &half[j], R_WINDOW);
    multiples_make(r_odd, R_COUNT, p);
    memset(r, 0, sizeof *r);
    for (size_t i = DIGIT_COUNT; i-- > 0;) {
        jacobian_double(r, r);
        for (size_t j = 0; j < 2; j++) {
            if (a_digit[j][i])
                digit_add(r, g_odd, a_digit[j][i], j);
            if (b_digit[j][i])
                digit_add(r, r_odd, b_digit[j][i], j);
        }
    }
}

/* ---- ECDSA ---- */

/*
 * The key that signed `hash`, as x and y.  A signature is r, s and a byte v: bit 0 is
 * the parity of the nonce point's y, bit 1 says that its x was n too large to be r.
 * False if there is no such key.
 */
static bool ecdsa_recover(uint8_t ret_key[64], const uint8_t hash[32],
                          const uint8_t signature[65])
{
    uint64_t r[4], s[4], z[4], u1[4], u2[4];
    struct affine p;
    struct jacobian sum;
    struct fp x;
    uint8_t v = signature[64];
    words_from_bytes(r, signature);
    words_from_bytes(s, signature + 32);
    words_from_bytes(z, hash);
    if (v > 3 || words_are_zero(r) || !words_less(r, order.words) ||
        words_are_zero(s) || !words_less(s, order.words))
        return false;
    if (!words_less(z, order.words))
        (void)words_sub(z, z, order.words);
    memcpy(x.v, r, sizeof x.v);
    if ((v & 2) && (words_add(x.v, r, order.words) || !words_less(x.v, prime.words)))
        return false;
    if (!affine_lift(&p, &x, v & 1))
        return false;

    /* s·R = z·G + r·Q, hence Q = (s/r)·R - (z/r)·G. */
    modulus_invert(u1, r, &order);
    scalar_mul(u2, u1, s);
    scalar_mul(u1, u1, z);
    scalar_negate(u1, u1);
    strauss(&sum, u1, u2, &p);
    if (fp_is_zero(&sum.z))
        return false;
    jacobian_to_affine(&p, &sum);
    words_to_bytes(ret_key, p.x.v);
    words_to_bytes(ret_key + 32, p.y.v);
    return true;
}

/* ---- The benchmark ---- */

/* A nonce k with k·G, and a secret with its public key; each round doubles them all. */
struct signer {
    uint64_t k_inverse[4], secret[4];
    struct jacobian k_point, key;
};

static void random_scalar(uint64_t r[4], uint64_t *random)
{
    bench_fill(r, 32, random);
    r[3] >>= 1; /* so it is below n */
}

static void signer_init(struct signer *signer, uint64_t *random)
{
    static const uint64_t zero[4];
    random_scalar(signer->secret, random);
    random_scalar(signer->k_inverse, random);
    strauss(&signer->k_point, signer->k_inverse, zero, &generator);
    strauss(&signer->key, signer->secret, zero, &generator);
    modulus_invert(signer->k_inverse, signer->k_inverse, &order);
}

static void signer_step(struct signer *signer)
{
    uint64_t *k = signer->k_inverse, carry = 0;
    if (k[0] & 1)
        carry = words_add(k, k, order.words);
    for (size_t i = 0; i < 4; i++)
        k[i] = k[i] >> 1 | (i < 3 ? k[i + 1] : carry) << 63;
    scalar_add(signer->secret, signer->secret, signer->secret);
    jacobian_double(&signer->k_point, &signer->k_point);
    jacobian_double(&signer->key, &signer->key);
}

/* SEC 1 4.1.3; s is the lower of the two that do, as Bitcoin and Ethereum demand. */
static void signer_sign(const struct signer *signer, uint8_t ret_signature[65],
                        const uint64_t z[4])
{
    struct affine p;
    uint64_t *r = p.x.v, s[4], other[4];
    jacobian_to_affine(&p, &signer->k_point);
    uint8_t v = p.y.v[0] & 1;
    if (!words_less(r, order.words)) {
        (void)words_sub(r, r, order.words);
        v |= 2;
    }
    scalar_mul(s, r, signer->secret);
    scalar_add(s, s, z);
    scalar_mul(s, s, signer->k_inverse);
    scalar_negate(other, s);
    if (words_less(other, s)) {
        memcpy(s, other, sizeof s);
        v ^= 1;
    }
    words_to_bytes(ret_signature, r);
    words_to_bytes(ret_signature + 32, s);
    ret_signature[64] = v;
}

/* Without an inversion: X = x·Z², Y = y·Z³. */
static bool key_is(const uint8_t key[64], const struct jacobian *p)
{
    struct fp x, y, power;
    words_from_bytes(x.v, key);
    words_from_bytes(y.v, key + 32);
    fp_square(&power, &p->z);
    fp_mul(&x, &x, &power);
    fp_mul(&power, &power, &p->z);
    fp_mul(&y, &y, &power);
    return fp_equal(&x, &p->x) && fp_equal(&y, &p->y);
}

uint64_t bench(uint64_t n)
{
    struct signer signer;
    uint64_t random = BENCH_SEED, digest = 0;
    multiples_make(g_odd, G_COUNT, &generator);
    signer_init(&signer, &random);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t z[4];
        uint8_t hash[32], signature[65], key[64];
        random_scalar(z, &random);
        words_to_bytes(hash, z);
        signer_sign(&signer, signature, z);
        if (!ecdsa_recover(key, hash, signature) || !key_is(key, &signer.key))
            pvm_panic();
        digest = bench_mix(digest, bench_digest(signature, 64));
        digest = bench_mix(digest, bench_digest(key, sizeof key));
        signer_step(&signer);
    }
    return digest;
}

PVM_EXPORT(0, bench);
