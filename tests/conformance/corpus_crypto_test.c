/* SPDX-License-Identifier: MIT
 *
 * The cryptography and compression of corpus/pvm/src against published vectors: a
 * benchmark that computes something else than it says measures nothing.
 *
 * The programs are included, so that their functions can be reached.
 */
#include "tests/test.h"

#include <stdbool.h>
#include <string.h>

#define bench ed25519_bench
uint64_t bench(uint64_t n);
#include "corpus/pvm/src/ed25519.c"
#undef bench

#define bench secp256k1_bench
uint64_t bench(uint64_t n);
#include "corpus/pvm/src/secp256k1.c"
#undef bench

#define bench lz_bench
uint64_t bench(uint64_t n);
#include "corpus/pvm/src/lz.c"
#undef bench

#define bench deflate_bench
uint64_t bench(uint64_t n);
#include "corpus/pvm/src/deflate.c"
#undef bench

/* ---- helpers ---- */

static unsigned nibble(char digit)
{
    return (unsigned)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

static size_t unhex(void *ret_bytes, const char *hex)
{
    uint8_t *bytes = ret_bytes;
    size_t size = strlen(hex) / 2;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
    return size;
}

static void assert_hex(const void *got, const char *want)
{
    uint8_t bytes[2048];
    size_t size = unhex(bytes, want);
    assert_memory_equal(got, bytes, size);
}

/* A copy with nothing behind it, so that sanitizers see every read too far. */
static uint8_t *exact_copy(const void *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, size ? data : "", size);
    return copy;
}

/* Words at the edges of their range, or just anything. */
static uint64_t edge_word(uint64_t *seed)
{
    uint64_t random = test_random(seed);
    switch (random % 6) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
        return UINT64_MAX - (random >> 32) % 0x400;
    case 3:
        return (uint64_t)1 << (random >> 32) % 64;
    default:
        return test_random(seed);
    }
}

static void edge_words(uint64_t r[4], uint64_t *seed)
{
    for (size_t i = 0; i < 4; i++)
        r[i] = edge_word(seed);
}

/* A slow second opinion on arithmetic modulo m: bit by bit, values below m. */
static bool slow_less(const uint64_t a[4], const uint64_t b[4])
{
    for (size_t i = 4; i-- > 0;) {
        if (a[i] != b[i])
            return a[i] < b[i];
    }
    return false;
}

static void slow_subtract(uint64_t r[4], const uint64_t a[4])
{
    __extension__ __int128 sum = 0;
    for (size_t i = 0; i < 4; i++) {
        sum += r[i];
        sum -= a[i];
        r[i] = (uint64_t)sum;
        sum >>= 64;
    }
}

static void slow_add(uint64_t r[4], const uint64_t a[4], const uint64_t m[4])
{
    __extension__ unsigned __int128 sum = 0;
    for (size_t i = 0; i < 4; i++) {
        sum = sum + r[i] + a[i];
        r[i] = (uint64_t)sum;
        sum >>= 64;
    }
    if (sum || !slow_less(r, m))
        slow_subtract(r, m);
}

static void slow_reduce(uint64_t a[4], const uint64_t m[4])
{
    while (!slow_less(a, m))
        slow_subtract(a, m);
}

static void slow_mul(uint64_t r[4], const uint64_t a[4], const uint64_t b[4],
                     const uint64_t m[4])
{
    uint64_t product[4] = {0};
    for (unsigned i = 256; i-- > 0;) {
        slow_add(product, product, m);
        if (b[i / 64] >> (i % 64) & 1)
            slow_add(product, a, m);
    }
    memcpy(r, product, sizeof product);
}

/* ---- SHA-512 (FIPS 180-4; its examples) ---- */

static void sha512_of(uint8_t ret_hash[64], const void *data, size_t size, size_t piece)
{
    struct sha512 sha;
    sha512_init(&sha);
    for (size_t at = 0; at < size; at += piece)
        sha512_update(&sha, (const uint8_t *)data + at,
                      size - at < piece ? size - at : piece);
    sha512_final(&sha, ret_hash);
}

static void test_sha512(void **state)
{
    static const struct {
        const char *message, *hash;
    } example[] = {
        {"", "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
             "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"},
        {"abc", "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmno"
         "ijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
         "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018"
         "501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof example / sizeof *example; i++) {
        uint8_t hash[64];
        size_t size = strlen(example[i].message);
        for (size_t piece = 1; piece <= size + 1; piece++) {
            sha512_of(hash, example[i].message, size, piece);
            assert_hex(hash, example[i].hash);
        }
    }
    /* All ways in which the padding falls on blocks, against one digest of digests
     * (computed with another implementation). */
    uint8_t data[300], hash[64], sum[64] = {0};
    memset(data, 'a', sizeof data);
    for (size_t size = 0; size <= sizeof data; size++) {
        sha512_of(hash, data, size, 300);
        for (size_t i = 0; i < sizeof sum; i++)
            sum[i] ^= hash[i];
    }
    assert_hex(sum, "694b698aa9cff11746757725d7c5ca023aa71edf745a4eed6f5be2f919c06b66"
                    "160ba3a441e7d7a274820c82a86cbbe4b089faa72e8c4655a67ad51c33584d04");
}

/* ---- Arithmetic modulo 2^255 - 19 and L ---- */

static const uint64_t prime25519[4] = {0xffffffffffffffed, UINT64_MAX, UINT64_MAX,
                                       INT64_MAX};

static void fe_from_words(struct fe *r, uint64_t words[4])
{
    words[3] &= INT64_MAX;
    fe_from_bytes(r, (const uint8_t *)words);
    slow_reduce(words, prime25519);
}

static void assert_fe(const struct fe *got, const uint64_t want[4])
{
    uint8_t bytes[32];
    fe_to_bytes(bytes, got);
    assert_memory_equal(bytes, want, 32);
}

static void test_fe(void **state)
{
    uint64_t seed = test_seed(1);
    (void)state;
    test_reproduce("corpus_crypto", seed);
    for (unsigned round = 0; round < 500; round++) {
        uint64_t a_words[4], b_words[4], want[4];
        struct fe a, b, r;
        edge_words(a_words, &seed);
        edge_words(b_words, &seed);
        fe_from_words(&a, a_words);
        fe_from_words(&b, b_words);
        assert_fe(&a, a_words);

        slow_mul(want, a_words, b_words, prime25519);
        fe_mul(&r, &a, &b);
        assert_fe(&r, want);
        slow_mul(want, a_words, a_words, prime25519);
        fe_square(&r, &a);
        assert_fe(&r, want);
        memcpy(want, a_words, sizeof want);
        slow_add(want, b_words, prime25519);
        fe_add(&r, &a, &b);
        assert_fe(&r, want);

        /* The widest operands that are allowed: differences of differences. */
        struct fe d;
        fe_sub(&d, &a, &b);
        fe_sub(&r, &fe_zero, &b);
        fe_add(&r, &r, &a);
        fe_mul(&r, &r, &d);
        fe_square(&d, &d);
        fe_sub(&r, &r, &d);
        assert_true(fe_equal(&r, &fe_zero));

        fe_invert(&r, &a);
        fe_mul(&r, &r, &a);
        assert_true(fe_equal(&r, fe_equal(&a, &fe_zero) ? &fe_zero : &fe_one));
    }
}

static void test_scalar25519(void **state)
{
    uint64_t seed = test_seed(2);
    (void)state;
    test_reproduce("corpus_crypto", seed);
    for (unsigned round = 0; round < 500; round++) {
        uint64_t a[4], b[4], c[4], got[4], want[4], a_low[4], b_low[4];
        edge_words(a, &seed);
        edge_words(b, &seed);
        edge_words(c, &seed);
        memcpy(a_low, a, sizeof a);
        memcpy(b_low, b, sizeof b);
        slow_reduce(a_low, group_order);
        slow_reduce(b_low, group_order);
        slow_reduce(c, group_order);
        slow_mul(want, a_low, b_low, group_order);
        slow_add(want, c, group_order);
        scalar_mul_add(got, a, b, c);
        assert_memory_equal(got, want, sizeof got);
    }
    uint64_t largest[8], got[4], want[4] = {0}, one[4] = {1};
    memset(largest, 0xff, sizeof largest);
    scalar_reduce(got, largest);
    slow_add(want, one, group_order); /* 2^512 - 1 */
    for (unsigned i = 0; i < 512; i++)
        slow_add(want, want, group_order);
    slow_subtract(want, one);
    assert_memory_equal(got, want, sizeof got);
}

/* ---- Ed25519 (RFC 8032 7.1) ---- */

static const struct ed25519_vector {
    const char *seed, *public, *message, *signature;
} ed25519_vector[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
     "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
     "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
     "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
    {"833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
     "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
     "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
     "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
     "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"},
};

static void test_ed25519(void **state)
{
    (void)state;
    base_tables_make();
    for (size_t i = 0; i < sizeof ed25519_vector / sizeof *ed25519_vector; i++) {
        const struct ed25519_vector *v = &ed25519_vector[i];
        uint8_t seed[32], message[64], signature[64];
        struct ed25519_key key;
        unhex(seed, v->seed);
        size_t size = unhex(message, v->message);
        ed25519_key_make(&key, seed);
        assert_hex(key.public, v->public);
        ed25519_sign(signature, &key, message, size);
        assert_hex(signature, v->signature);
        assert_true(ed25519_verify(signature, key.public, message, size));
        for (unsigned bit = 0; bit < 512; bit += 11) {
            signature[bit / 8] = (uint8_t)(signature[bit / 8] ^ 1 << bit % 8);
            assert_false(ed25519_verify(signature, key.public, message, size));
            signature[bit / 8] = (uint8_t)(signature[bit / 8] ^ 1 << bit % 8);
        }
        for (unsigned bit = 0; bit < 256; bit += 11) {
            key.public[bit / 8] = (uint8_t)(key.public[bit / 8] ^ 1 << bit % 8);
            assert_false(ed25519_verify(signature, key.public, message, size));
            key.public[bit / 8] = (uint8_t)(key.public[bit / 8] ^ 1 << bit % 8);
        }
        if (size) {
            message[0] ^= 1;
            assert_false(ed25519_verify(signature, key.public, message, size));
        }
    }
}

/* What RFC 8032 5.1.3 and 5.1.7 want refused. */
static void test_ed25519_refuses(void **state)
{
    uint8_t signature[64], public[32], message[1];
    uint64_t s[4];
    struct point p;
    (void)state;
    base_tables_make();
    unhex(public, ed25519_vector[1].public);
    unhex(message, ed25519_vector[1].message);
    unhex(signature, ed25519_vector[1].signature);
    assert_true(ed25519_verify(signature, public, message, 1));
    memcpy(s, signature + 32, 32);
    uint64_t carry = 0;
    for (size_t i = 0; i < 4; i++) {
        uint128 sum = (uint128)s[i] + group_order[i] + carry;
        s[i] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
    memcpy(signature + 32, s, 32);
    assert_false(ed25519_verify(signature, public, message, 1)); /* s + L */

    uint8_t y[32];
    memset(y, 0xff, 32);
    y[31] = 0x7f;
    for (unsigned low = 0xed; low <= 0xff; low++) {
        y[0] = (uint8_t)low; /* p and more */
        assert_false(point_from_bytes(&p, y));
    }
    y[0] = 0xec; /* y = -1, so x = 0, whose sign is 0 */
    assert_true(point_from_bytes(&p, y));
    y[31] = 0xff;
    assert_false(point_from_bytes(&p, y));
    memset(y, 0, 32);
    y[0] = 2; /* on no point: (y² - 1)/(d·y² + 1) is not a square */
    assert_false(point_from_bytes(&p, y));
    unsigned found = 0;
    for (unsigned low = 0; low < 256; low++) {
        y[0] = (uint8_t)low;
        found += point_from_bytes(&p, y);
    }
    assert_int_equal(found, 128);
}

/* ---- X25519 (RFC 7748 5.2 and 6.1) ---- */

static void test_x25519(void **state)
{
    uint8_t secret[32], u[32], shared[32];
    (void)state;
    unhex(secret, "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
    unhex(u, "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
    x25519(shared, secret, u);
    assert_hex(shared,
               "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
    unhex(secret, "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d");
    unhex(u, "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493");
    x25519(shared, secret, u);
    assert_hex(shared,
               "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");

    memset(secret, 0, 32);
    secret[0] = 9;
    memcpy(u, secret, 32);
    for (unsigned round = 1; round <= 1000; round++) {
        x25519(shared, secret, u);
        memcpy(u, secret, 32);
        memcpy(secret, shared, 32);
        if (round == 1)
            assert_hex(secret, "422c8e7a6227d7bca1350b3e2bb7279f"
                               "7897b87bb6854b783c60e80311ae3079");
    }
    assert_hex(secret,
               "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

static void test_x25519_public(void **state)
{
    static const uint8_t nine[32] = {9};
    uint64_t seed = test_seed(3);
    (void)state;
    test_reproduce("corpus_crypto", seed);
    base_tables_make();
    for (unsigned round = 0; round < 50; round++) {
        uint64_t words[4];
        uint8_t secret[32], want[32], got[32];
        edge_words(words, &seed);
        memcpy(secret, words, sizeof secret);
        x25519(want, secret, nine);
        x25519_public(got, secret);
        assert_memory_equal(got, want, sizeof got);
    }
}

/* ---- ChaCha20-Poly1305 (RFC 8439) ---- */

static void poly1305_of(uint8_t ret_tag[16], const char *key, const char *message)
{
    uint8_t key_bytes[32], bytes[64];
    struct poly1305 poly;
    unhex(key_bytes, key);
    size_t size = unhex(bytes, message);
    poly1305_init(&poly, key_bytes);
    poly1305_update_padded(&poly, bytes, size);
    poly1305_final(&poly, ret_tag);
}

/* 2.3.2, and of A.3 what is whole blocks: the wraps around 2^130 - 5. */
static void test_chacha20_and_poly1305(void **state)
{
    static const char r_2[] = "02000000000000000000000000000000"
                              "00000000000000000000000000000000";
    static const char r_1[] = "01000000000000000000000000000000"
                              "00000000000000000000000000000000";
    uint8_t key[32], nonce[12], tag[16];
    uint32_t block[16];
    (void)state;
    for (size_t i = 0; i < 32; i++)
        key[i] = (uint8_t)i;
    unhex(nonce, "000000090000004a00000000");
    chacha20_block(block, key, 1, nonce);
    assert_hex(block,
               "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
               "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e");

    poly1305_of(tag, r_2, "ffffffffffffffffffffffffffffffff"); /* vector 7 */
    assert_hex(tag, "03000000000000000000000000000000");
    poly1305_of(tag,
                "02000000000000000000000000000000"
                "ffffffffffffffffffffffffffffffff",
                "02000000000000000000000000000000"); /* vector 8 */
    assert_hex(tag, "03000000000000000000000000000000");
    poly1305_of(tag, r_1,
                "fffffffffffffffffffffffffffffffff0ffffffffffffffffffffffffffffff"
                "11000000000000000000000000000000"); /* vector 9 */
    assert_hex(tag, "05000000000000000000000000000000");
    poly1305_of(tag, r_1,
                "fffffffffffffffffffffffffffffffffbfefefefefefefefefefefefefefefe"
                "01010101010101010101010101010101"); /* vector 10 */
    assert_hex(tag, "00000000000000000000000000000000");
    poly1305_of(tag, r_2, "fdffffffffffffffffffffffffffffff"); /* vector 11 */
    assert_hex(tag, "faffffffffffffffffffffffffffffff");
    poly1305_of(tag,
                "01000000000000000400000000000000"
                "00000000000000000000000000000000",
                "e33594d7505e43b900000000000000003394d7505e4379cd0100000000000000"
                "0000000000000000000000000000000001000000000000000000000000000000");
    assert_hex(tag, "14000000000000005500000000000000"); /* vector 12 */
}

static void test_aead(void **state)
{
    static const char message[] = "Ladies and Gentlemen of the class of '99: If I "
                                  "could offer you only one tip for "
                                  "the future, sunscreen would be it.";
    uint8_t key[32], nonce[12], extra[12], tag[16], data[sizeof message];
    size_t size = sizeof message - 1;
    (void)state;
    for (size_t i = 0; i < 32; i++)
        key[i] = (uint8_t)(0x80 + i);
    unhex(nonce, "070000004041424344454647");
    unhex(extra, "50515253c0c1c2c3c4c5c6c7");
    memcpy(data, message, sizeof data);
    aead_seal(tag, data, size, extra, sizeof extra, key, nonce);
    assert_hex(data, "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
                     "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
                     "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
                     "3ff4def08e4b7a9de576d26586cec64b6116");
    assert_hex(tag, "1ae10b594f09e26a7e902ecbd0600691");

    /* One bit anywhere: refused, and the text is as it was. */
    uint8_t sealed_copy[sizeof message];
    memcpy(sealed_copy, data, sizeof data);
    tag[15] ^= 0x80;
    assert_false(aead_open(tag, data, size, extra, sizeof extra, key, nonce));
    tag[15] ^= 0x80;
    extra[11] ^= 1;
    assert_false(aead_open(tag, data, size, extra, sizeof extra, key, nonce));
    extra[11] ^= 1;
    assert_false(aead_open(tag, data, size - 1, extra, sizeof extra, key, nonce));
    assert_memory_equal(data, sealed_copy, sizeof data);
    data[size - 1] ^= 1;
    assert_false(aead_open(tag, data, size, extra, sizeof extra, key, nonce));
    data[size - 1] ^= 1;
    assert_true(aead_open(tag, data, size, extra, sizeof extra, key, nonce));
    assert_memory_equal(data, message, size);
}

/* ---- secp256k1: arithmetic ---- */

static void test_fp(void **state)
{
    uint64_t seed = test_seed(4);
    (void)state;
    test_reproduce("corpus_crypto", seed);
    for (unsigned round = 0; round < 1000; round++) {
        struct fp a, b, r;
        uint64_t a_low[4], b_low[4], want[4];
        edge_words(a.v, &seed); /* p and more are allowed */
        edge_words(b.v, &seed);
        memcpy(a_low, a.v, sizeof a_low);
        memcpy(b_low, b.v, sizeof b_low);
        slow_reduce(a_low, prime.words);
        slow_reduce(b_low, prime.words);

        fp_mul(&r, &a, &b);
        fp_normalize(&r);
        slow_mul(want, a_low, b_low, prime.words);
        assert_memory_equal(r.v, want, sizeof want);
        fp_square(&r, &a);
        fp_normalize(&r);
        slow_mul(want, a_low, a_low, prime.words);
        assert_memory_equal(r.v, want, sizeof want);
        fp_add(&r, &a, &b);
        fp_normalize(&r);
        memcpy(want, a_low, sizeof want);
        slow_add(want, b_low, prime.words);
        assert_memory_equal(r.v, want, sizeof want);
        fp_sub(&r, &r, &b);
        assert_true(fp_equal(&r, &a));
        fp_negate(&r, &a);
        fp_add(&r, &r, &a);
        assert_true(fp_is_zero(&r));

        fp_invert(&r, &a);
        assert_true(slow_less(r.v, prime.words));
        fp_mul(&b, &r, &a);
        assert_true(fp_is_zero(&a) ? words_are_zero(r.v) : fp_equal(&b, &fp_one));

        /* Of a and -a one is a square, as p = 3 modulo 4. */
        bool square = fp_sqrt(&r, &a);
        fp_negate(&b, &a);
        assert_true(fp_sqrt(&b, &b) != square || fp_is_zero(&a));
        fp_square(&r, &r);
        assert_true(fp_equal(&r, &a) == square);
    }
}

/* Sums and differences that wrap twice. */
static void test_fp_wraps(void **state)
{
    struct fp a, b, r;
    (void)state;
    for (uint64_t i = 1; i < 40; i++) {
        for (uint64_t j = 1; j < 40; j++) {
            uint64_t want[4] = {2 * FP_FOLD - i - j}; /* (2^256 - i) + (2^256 - j) */
            memset(&a, 0xff, sizeof a);
            memset(&b, 0xff, sizeof b);
            a.v[0] = 0 - i;
            b.v[0] = 0 - j;
            fp_add(&r, &a, &b);
            fp_normalize(&r);
            assert_memory_equal(r.v, want, sizeof want);
            r = (struct fp){{i}};
            fp_sub(&r, &r, &b); /* i + j - 2^256 */
            fp_add(&r, &r, &b);
            assert_true(fp_equal(&r, &(struct fp){{i}}));
        }
    }
    /* A product whose folding wraps a third time, with a carry out of the lowest word.
     */
    uint64_t q_times_fold = (FP_FOLD - 1) * FP_FOLD;
    uint64_t low[4] = {UINT64_MAX - q_times_fold, UINT64_MAX, UINT64_MAX, FP_FOLD - 1};
    uint64_t high[4] = {0, 0, 0, UINT64_MAX}, want[4], fold[4] = {FP_FOLD};
    fp_fold(&r, low, high);
    fp_normalize(&r);
    slow_mul(want, high, fold, prime.words);
    slow_add(want, low, prime.words);
    assert_memory_equal(r.v, want, sizeof want);
}

static void test_scalar_secp256k1(void **state)
{
    static const uint64_t lambda[4] = {0xdf02967c1b23bd72, 0x122e22ea20816678,
                                       0xa5261c028812645a, 0x5363ad4cc05c30e0};
    uint64_t seed = test_seed(5);
    (void)state;
    test_reproduce("corpus_crypto", seed);
    for (unsigned round = 0; round < 1000; round++) {
        uint64_t a[4], b[4], got[4], want[4];
        edge_words(a, &seed);
        edge_words(b, &seed);
        slow_reduce(a, order.words);
        slow_reduce(b, order.words);
        scalar_mul(got, a, b);
        slow_mul(want, a, b, order.words);
        assert_memory_equal(got, want, sizeof want);
        memcpy(want, a, sizeof want);
        slow_add(want, b, order.words);
        scalar_add(got, a, b);
        assert_memory_equal(got, want, sizeof want);
        scalar_negate(got, a);
        scalar_add(got, got, a);
        assert_true(words_are_zero(got));
        modulus_invert(got, a, &order);
        scalar_mul(want, got, a);
        assert_true(want[0] == !words_are_zero(a) && !(want[1] | want[2] | want[3]));

        /* k = k1 + k2·lambda, both below 2^128. */
        struct half k1, k2;
        scalar_split(&k1, &k2, a);
        assert_true((k1.size[2] | k1.size[3] | k2.size[2] | k2.size[3]) == 0);
        scalar_mul(got, k2.size, lambda);
        if (k2.negative)
            scalar_negate(got, got);
        memcpy(want, k1.size, sizeof want);
        if (k1.negative)
            scalar_negate(want, want);
        scalar_add(got, got, want);
        assert_memory_equal(got, a, sizeof a);
    }
}

/* ---- secp256k1: multiples of G and recovery ---- */

static const struct {
    const char *scalar, *point;
} multiple_vector[] = {
    {"0000000000000000000000000000000000000000000000000000000000000001",
     "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
     "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"},
    {"0000000000000000000000000000000000000000000000000000000000000002",
     "c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"
     "1ae168fea63dc339a3c58419466ceaeef7f632653266d0e1236431a950cfe52a"},
    {"0000000000000000000000000000000000000000000000000000000000000003",
     "f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9"
     "388f7b0f632de8140fe337e62a37f3566500a99934c2231b6cb9fd7584b8e672"},
    {"0000000000000000000000000000000000000000000000000000000000000014",
     "4ce119c96e2fa357200b559b2f7dd5a5f02d5290aff74b03f3e471b273211c97"
     "12ba26dcb10ec1625da61fa10a844c676162948271d96967450288ee9233dc3a"},
    {"000000000000000000000000000000000000000000000000018ebbb95eed0e13",
     "a90cc3d3f3e146daadfc74ca1372207cb4b725ae708cef713a98edd73d99ef29"
     "5a79d6b289610c68bc3b47f3d72f9788a26a06868b4d8e433e1e2ad76fb7dc76"},
    {"0000000000000000000000000000000000159d893d4cdd747246cdca43590e13",
     "e5a2636bcfd412ebf36ec45b19bfb68a1bc5f8632e678132b885f7df99c5e9b3"
     "736c1ce161ae27b405cafd2a7520370153c2c861ac51d6c1d5985d9606b45f39"},
    {"7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0",
     "00000000000000000000003b78ce563f89a0ed9414f5aa28ad0d96d6795f9c63"
     "3f3979bf72ae8202983dc989aec7f2ff2ed91bdd69ce02fc0700ca100e59ddf3"},
    {"7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a1",
     "00000000000000000000003b78ce563f89a0ed9414f5aa28ad0d96d6795f9c63"
     "c0c686408d517dfd67c2367651380d00d126e4229631fd03f8ff35eef1a61e3c"},
    {"fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140",
     "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
     "b7c52588d95c3b9aa25b0403f1eef75702e84bb7597aabe663b82f6f04ef2777"},
};

static void strauss_affine(struct affine *r, const uint64_t a[4], const uint64_t b[4],
                           const struct affine *p)
{
    struct jacobian sum;
    strauss(&sum, a, b, p);
    assert_false(fp_is_zero(&sum.z));
    jacobian_to_affine(r, &sum);
}

static void test_multiples(void **state)
{
    static const uint64_t zero[4];
    (void)state;
    multiples_make(g_odd, G_COUNT, &generator);
    for (size_t i = 0; i < sizeof multiple_vector / sizeof *multiple_vector; i++) {
        uint8_t bytes[32], point[64];
        uint64_t k[4];
        struct affine p;
        unhex(bytes, multiple_vector[i].scalar);
        words_from_bytes(k, bytes);
        for (unsigned way = 0; way < 2; way++) { /* from either table */
            strauss_affine(&p, way ? zero : k, way ? k : zero, &generator);
            words_to_bytes(point, p.x.v);
            words_to_bytes(point + 32, p.y.v);
            assert_hex(point, multiple_vector[i].point);
        }
    }
    /* a·G + b·(c·G) = (a + b·c)·G. */
    uint64_t seed = test_seed(6);
    test_reproduce("corpus_crypto", seed);
    for (unsigned round = 0; round < 200; round++) {
        uint64_t a[4], b[4], c[4];
        struct affine p, got, want;
        edge_words(a, &seed);
        edge_words(b, &seed);
        edge_words(c, &seed);
        slow_reduce(a, order.words);
        slow_reduce(b, order.words);
        slow_reduce(c, order.words);
        if (words_are_zero(c) || round % 4 == 0)
            memcpy(c, (uint64_t[4]){1 + round % 8}, sizeof c);
        strauss_affine(&p, c, zero, &generator);
        uint64_t sum[4];
        scalar_mul(sum, b, c);
        scalar_add(sum, sum, a);
        if (words_are_zero(sum))
            continue;
        strauss_affine(&got, a, b, &p);
        strauss_affine(&want, sum, zero, &generator);
        assert_memory_equal(&got, &want, sizeof got);
    }
    struct jacobian infinity;
    const uint64_t one[4] = {1};
    strauss(&infinity, zero, zero, &generator);
    assert_true(fp_is_zero(&infinity.z));
    uint64_t minus_one[4];
    scalar_negate(minus_one, one);
    strauss(&infinity, one, minus_one, &generator);
    assert_true(fp_is_zero(&infinity.z));
}

/* Where the formula for two different points does not hold. */
static void test_special_additions(void **state)
{
    static const uint64_t zero[4], seven[4] = {7};
    struct jacobian p, sum, twice;
    struct affine a, want, got;
    struct fp minus_y;
    (void)state;
    multiples_make(g_odd, G_COUNT, &generator);
    strauss(&p, seven, zero, &generator); /* with some Z */
    jacobian_to_affine(&a, &p);
    fp_negate(&minus_y, &a.y);
    jacobian_double(&twice, &p);
    jacobian_to_affine(&want, &twice);

    sum = p;
    jacobian_add(&sum, &a.x, &a.y);
    jacobian_to_affine(&got, &sum);
    assert_memory_equal(&got, &want, sizeof got);
    sum = p;
    jacobian_add(&sum, &a.x, &minus_y);
    assert_true(fp_is_zero(&sum.z));
    jacobian_double(&sum, &sum);
    assert_true(fp_is_zero(&sum.z));
    jacobian_add(&sum, &a.x, &a.y);
    jacobian_to_affine(&got, &sum);
    assert_memory_equal(&got, &a, sizeof got);
}

static const struct {
    const char *hash, *signature, *key; /* key NULL: there is none */
} recover_vector[] = {
    /* The example of Ethereum's precompiled contract; the key hashes to the address
     * 7156526fbd7a3c72969b54f64e42c10fbb768c8a. */
    {"456e9aea5e197a1f1af7a3e85a3212fa4049a3ba34c2289b4c860fc0b0c64ef3",
     "9242685bf161793cc25603c231bc2f568eb630ea16aa137d2664ac8038825608"
     "4f8ae3bd7535248d0bd448298cc2e2071e56992d0774dc340c368ae950852ada01",
     "f57c1d4c961024e998eaec4b6bebec90e788ef5ade22e636ce76111b60db107d"
     "4c3404b9908a2f357c84ccb48cf412be41d09574a9291c9c7eb5173ccf2a339f"},
    /* The vector of several Ethereum clients' tests. */
    {"ce0677bb30baa8cf067c88db9811f4333d131bf8bcf12fe7065d211dce971008",
     "90f27b8b488db00b00606796d2987f6a5f59ae62ea05effe84fef5b8b0e54998"
     "4a691139ad57a3f0b906637673aa2f63d1f55cb1a69199d4009eea23ceaddc9301",
     "e32df42865e97135acfb65f3bae71bdc86f4d49150ad6a440b6f15878109880a"
     "0a2b2667f7e725ceea70c673093bf67663e0312623c8e091b13cf2c0f11ef652"},
    /* x = r + n (computed with another implementation). */
    {"0000000000000000000000000000000000000000000000000000000000003039",
     "0000000000000000000000000000000000000000000000000000000000000002"
     "00000000000000000000000000000000000000000000000000000000000a5bfe02",
     "4dc41ca7db7babcff10b80543d94cace817c65851d43e466d16bcc7953017e4d"
     "4731ab201f7665ab6f55493b46e3d4b0e42117935f81abf554e873fd70e0fc69"},
    {"0000000000000000000000000000000000000000000000000000000000003039",
     "0000000000000000000000000000000000000000000000000000000000000002"
     "00000000000000000000000000000000000000000000000000000000000a5bfe03",
     "b31262424486e19908b9f90b1c2d30348fd5c17094c2f58f4bf8578224d76b01"
     "5f659a0630a51894a65e403c1066ad00ae5a79189b1f7ee573b5405eb2c17f0b"},
    /* r + n is p + 1; there is a point at x = 1. */
    {"0000000000000000000000000000000000000000000000000000000000003039",
     "000000000000000000000000000000014551231950b75fc4402da1722fc9baef"
     "00000000000000000000000000000000000000000000000000000000000a5bfe02",
     NULL},
    /* No point has x = 5. */
    {"0000000000000000000000000000000000000000000000000000000000003039",
     "0000000000000000000000000000000000000000000000000000000000000005"
     "00000000000000000000000000000000000000000000000000000000000a5bfe00",
     NULL},
    /* r and s are 0 or n. */
    {"0000000000000000000000000000000000000000000000000000000000003039",
     "0000000000000000000000000000000000000000000000000000000000000000"
     "00000000000000000000000000000000000000000000000000000000000a5bfe00",
     NULL},
    {"0000000000000000000000000000000000000000000000000000000000003039",
     "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
     "00000000000000000000000000000000000000000000000000000000000a5bfe00",
     NULL},
    {"0000000000000000000000000000000000000000000000000000000000003039",
     "0000000000000000000000000000000000000000000000000000000000000001"
     "000000000000000000000000000000000000000000000000000000000000000000",
     NULL},
    {"0000000000000000000000000000000000000000000000000000000000003039",
     "0000000000000000000000000000000000000000000000000000000000000001"
     "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd036414100",
     NULL},
    /* v is 4. */
    {"456e9aea5e197a1f1af7a3e85a3212fa4049a3ba34c2289b4c860fc0b0c64ef3",
     "9242685bf161793cc25603c231bc2f568eb630ea16aa137d2664ac8038825608"
     "4f8ae3bd7535248d0bd448298cc2e2071e56992d0774dc340c368ae950852ada04",
     NULL},
    /* R = 5·G and z = 5·s: the key would be infinity. */
    {"00000000000000000000000000000000000000000000000000000000005e30a3",
     "2f8bde4d1a07209355b4a7250a5c5128e88b84bddc619ab7cba8d569b240efe4"
     "000000000000000000000000000000000000000000000000000000000012d68700",
     NULL},
};

static void test_recover(void **state)
{
    (void)state;
    multiples_make(g_odd, G_COUNT, &generator);
    for (size_t i = 0; i < sizeof recover_vector / sizeof *recover_vector; i++) {
        uint8_t hash[32], signature[65], key[64];
        unhex(hash, recover_vector[i].hash);
        unhex(signature, recover_vector[i].signature);
        bool found = ecdsa_recover(key, hash, signature);
        assert_int_equal(found, recover_vector[i].key != NULL);
        if (found)
            assert_hex(key, recover_vector[i].key);
    }
}

/* ---- Data that compressors find hard ---- */

enum {
    DATA_EQUAL,
    DATA_NOISE,
    DATA_PAIRS, /* the shortest distances */
    DATA_TWO_COPIES,
    DATA_FIBONACCI, /* the longest codes */
    DATA_WORDS,
    DATA_KINDS
};

static void data_make(uint8_t *data, size_t size, unsigned kind, uint64_t *seed)
{
    size_t run = 1, next_run = 1, left = 1, period = 1 + test_random(seed) % 9;
    uint8_t letter = 0;
    for (size_t i = 0; i < size; i++) {
        switch (kind) {
        case DATA_EQUAL:
            data[i] = 0xaa;
            break;
        case DATA_NOISE:
            data[i] = (uint8_t)test_random(seed);
            break;
        case DATA_PAIRS:
            data[i] = (uint8_t)(i < period ? test_random(seed) : data[i - period]);
            break;
        case DATA_TWO_COPIES:
            data[i] = (uint8_t)(i < size / 2 ? test_random(seed) : data[i - size / 2]);
            break;
        case DATA_FIBONACCI:
            data[i] = letter;
            if (--left == 0) {
                size_t sum = run + next_run;
                run = next_run;
                left = next_run = sum;
                letter++;
            }
            break;
        default:
            data[i] = test_random(seed) % 8 ? (uint8_t)("the word "[i % 9])
                                            : (uint8_t)(test_random(seed) % 4);
        }
    }
}

static const size_t data_sizes[] = {0,   1,   2,    3,    4,     5,     8,
                                    11,  12,  13,   14,   17,    64,    255,
                                    270, 271, 4096, 8192, 20000, 40000, 65535};
#define DATA_SIZE_COUNT (sizeof data_sizes / sizeof *data_sizes)

/* ---- LZ ---- */

static void lz_round_trip(const uint8_t *data, size_t size)
{
    uint8_t *input = exact_copy(data, size);
    uint8_t *packed_copy, *output = malloc(size ? size : 1);
    uint8_t *bounded = malloc(LZ_BOUND(size));
    size_t got = SIZE_MAX;
    assert_non_null(output);
    assert_non_null(bounded);
    size_t packed_size = lz_compress(bounded, input, size);
    assert_true(packed_size <= LZ_BOUND(size));
    packed_copy = exact_copy(bounded, packed_size);
    assert_true(lz_expand(output, size, packed_copy, packed_size, &got));
    assert_int_equal(got, size);
    assert_memory_equal(output, input, size);
    if (size) { /* no room for the last byte */
        got = 4711;
        assert_false(lz_expand(output, size - 1, packed_copy, packed_size, &got));
        assert_int_equal(got, 4711);
    }
    free(input);
    free(packed_copy);
    free(output);
    free(bounded);
}

static void test_lz_round_trip(void **state)
{
    static uint8_t data[LZ_SIZE_MAX];
    uint64_t seed = test_seed(7);
    (void)state;
    test_reproduce("corpus_crypto", seed);
    for (unsigned kind = 0; kind < DATA_KINDS; kind++) {
        for (size_t i = 0; i < DATA_SIZE_COUNT; i++) {
            data_make(data, data_sizes[i], kind, &seed);
            lz_round_trip(data, data_sizes[i]);
        }
        data_make(data, LZ_SIZE_MAX, kind, &seed);
        lz_round_trip(data, LZ_SIZE_MAX);
    }
}

/* A block by the LZ4 program, version 1.9.4: "20 bottles of beer on the wall, …". */
static const char lz4_block[] =
    "fe11323020626f74746c6573206f662062656572206f6e207468652077616c6c2c202000"
    "4f3b0a313934000b2f31393400001f3834000c1f383400001f3734000c1f373400001f36"
    "34000c1f363400001f3534000c1f353400001f3434000c1f343400001f3334000c1f3334"
    "00001f3234000c1f323400001f3134000c1f313400000f08020c1f310802000f07020c0f"
    "0602000f05020c0f0402000f03020c0f0202000f01020c0f0002000fff010c0ffe01000f"
    "fd010c0ffc01000ffb010c0ffa01000ff9010c0ff801010fc3010c091f00506565723b0a";

static size_t bottles_make(char text_out[2048])
{
    size_t size = 0;
    for (int i = 20; i > 0; i--)
        size += (size_t)snprintf(
            text_out + size, 2048 - size,
            "%d bottles of beer on the wall, %d bottles of beer;\n", i, i);
    return size;
}

static void test_lz_vector(void **state)
{
    char want[2048];
    uint8_t block[512], got[2048];
    size_t size = 0, want_size = bottles_make(want),
           block_size = unhex(block, lz4_block);
    (void)state;
    uint8_t *copy = exact_copy(block, block_size);
    assert_true(lz_expand(got, want_size, copy, block_size, &size));
    assert_int_equal(size, want_size);
    assert_memory_equal(got, want, size);
    free(copy);
}

/* Rules that other expanders may rely on: 5 literals at the end, 12 after a match. */
static void test_lz_end(void **state)
{
    uint8_t data[64], block[LZ_BOUND(64)];
    (void)state;
    memset(data, 'x', sizeof data);
    for (size_t size = 0; size <= sizeof data; size++) {
        size_t block_size = lz_compress(block, data, size);
        if (size < 13) {
            assert_int_equal(block[0] >> 4, size);
            continue;
        }
        /* One literal, one match, five literals. */
        assert_int_equal(block[0] >> 4, 1);
        assert_int_equal(block[block_size - 6], 5 << 4);
    }
}

static void test_lz_hostile(void **state)
{
    static const char *const bad[] = {
        "",              /* no sequence */
        "10",            /* a literal that is not there */
        "f0",            /* a count that is not there */
        "f0ffff",        /* … nor its end */
        "1061",          /* the last literal is fine … */
        "106100",        /* … but not half a distance */
        "1061000000",    /* distance 0 */
        "1061020000",    /* before the start */
        "1f61010000",    /* ends with a match */
        "1f610100ff",    /* a size without an end */
        "1f610100ffff00" /* more than there is room for */
    };
    uint8_t block[512], out[1100];
    size_t got;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t size = unhex(block, bad[i]);
        uint8_t *copy = exact_copy(block, size);
        bool good = !strcmp(bad[i], "1061");
        assert_int_equal(lz_expand(out, 500, copy, size, &got), good);
        free(copy);
    }
    size_t block_size = unhex(block, lz4_block);
    for (size_t size = 0; size < block_size; size++) {
        uint8_t *copy = exact_copy(block, size);
        got = 0;
        if (lz_expand(out, 1022, copy, size, &got))
            assert_true(got < 1022); /* cut where a sequence's literals end */
        free(copy);
    }
    uint8_t *copy = exact_copy(block, block_size);
    for (size_t at = 0; at < block_size; at++) {
        for (unsigned change = 1; change < 256; change++) {
            copy[at] = (uint8_t)(copy[at] ^ change);
            uint8_t *room = malloc(1022);
            assert_non_null(room);
            if (lz_expand(room, 1022, copy, block_size, &got))
                assert_true(got <= 1022);
            free(room);
            copy[at] = (uint8_t)(copy[at] ^ change);
        }
    }
    free(copy);
}

/* ---- Deflate ---- */

static size_t deflate_round_trip(const uint8_t *data, size_t size)
{
    uint8_t *input = exact_copy(data, size);
    uint8_t *stream, *output = malloc(size ? size : 1);
    uint8_t *bounded = malloc(DEFLATE_BOUND(size));
    size_t got = SIZE_MAX;
    assert_non_null(output);
    assert_non_null(bounded);
    size_t stream_size = deflate(bounded, input, size);
    assert_true(stream_size <= DEFLATE_BOUND(size));
    stream = exact_copy(bounded, stream_size);
    assert_true(inflate(output, size, stream, stream_size, &got));
    assert_int_equal(got, size);
    assert_memory_equal(output, input, size);
    got = 4711;
    if (size)
        assert_false(inflate(output, size - 1, stream, stream_size, &got));
    assert_false(inflate(output, size, stream, stream_size - 1, &got));
    free(stream);
    stream = malloc(stream_size + 1);
    assert_non_null(stream);
    memcpy(stream, bounded, stream_size);
    stream[stream_size] = 0;
    got = 4711;
    (void)inflate(output, size, stream, stream_size + 1, &got);
    free(input);
    free(stream);
    free(output);
    free(bounded);
    return stream_size;
}

static void test_deflate_round_trip(void **state)
{
    static uint8_t data[DEFLATE_SIZE_MAX];
    uint64_t seed = test_seed(8);
    (void)state;
    test_reproduce("corpus_crypto", seed);
    for (unsigned kind = 0; kind < DATA_KINDS; kind++) {
        for (size_t i = 0; i < DATA_SIZE_COUNT; i++) {
            size_t size = data_sizes[i];
            data_make(data, size, kind, &seed);
            size_t deflated_size = deflate_round_trip(data, size);
            if (kind == DATA_EQUAL && size >= 4096)
                assert_true(deflated_size < size / 90);
            if (kind == DATA_NOISE)
                assert_true(deflated_size <= size + 5 * (size / TOKEN_MAX + 1));
            if (kind == DATA_TWO_COPIES && size >= 4096 && size <= 65534)
                assert_true(deflated_size < size * 6 / 10);
        }
    }
}

/* Each kind of block is chosen where it should be. */
static void test_deflate_blocks(void **state)
{
    static uint8_t data[20000], out[DEFLATE_BOUND(20000)];
    uint64_t seed = test_seed(9);
    (void)state;
    test_reproduce("corpus_crypto", seed);
    assert_int_equal(deflate(out, data, 0), 2);
    assert_hex(out, "0300");
    data_make(data, 100, DATA_NOISE, &seed);
    deflate(out, data, 100);
    assert_int_equal(out[0] & 7, 1 | BLOCK_STORED << 1);
    memset(data, 'a', 20);
    deflate(out, data, 20);
    assert_int_equal(out[0] & 7, 1 | BLOCK_FIXED << 1);
    data_make(data, sizeof data, DATA_WORDS, &seed);
    deflate(out, data, 5000);
    assert_int_equal(out[0] & 7, 1 | BLOCK_DYNAMIC << 1);
}

/* Codes are complete, within their limit, and shorter for what is more frequent. */
static void test_huffman(void **state)
{
    static struct code code;
    uint64_t seed = test_seed(10);
    (void)state;
    test_reproduce("corpus_crypto", seed);
    for (unsigned round = 0; round < 600; round++) {
        uint32_t frequency[LITERAL_COUNT] = {0};
        unsigned size_max = round % 3 ? 15 : 7;
        size_t count = size_max == 7 ? ORDER_COUNT : LITERAL_COUNT;
        uint32_t a = 1, b = 1;
        for (size_t i = 0; i < count; i++) {
            uint64_t random = test_random(&seed);
            frequency[i] = (uint32_t)(random % 4 ? random >> 32 & 255 : 0);
            if (round % 5 == 0 && i < 24) { /* Fibonacci: as deep as it gets */
                frequency[i] = a;
                uint32_t sum = a + b;
                a = b;
                b = sum;
            }
            if (round < count) /* few symbols */
                frequency[i] = i == round ? 1 : 0;
        }
        code_make(&code, frequency, count, size_max);
        unsigned taken = 0, used = 0;
        for (size_t i = 0; i < count; i++) {
            unsigned size = code.size[i];
            assert_true(size <= size_max && (size || !frequency[i]));
            taken += size ? 1u << (size_max - size) : 0;
            used += size != 0;
            for (size_t j = 0; j < count; j++)
                assert_true(!(frequency[i] > frequency[j] && frequency[j] &&
                              size > code.size[j]));
        }
        assert_int_equal(taken, 1 << size_max);
        assert_true(used >= 2);
    }
}

/* Which sets of code sizes are codes: complete ones, a single one of a bit, and none.
 */
static void test_decoder(void **state)
{
    static const struct {
        uint8_t size[8];
        bool good;
    } row[] = {
        {{0}, true},
        {{0, 1}, true},
        {{1, 1}, true},
        {{2, 1, 2}, true},
        {{1, 2, 3, 4, 5, 6, 7, 7}, true},
        {{3, 3, 3, 3, 3, 3, 3, 3}, true},
        {{2}, false},
        {{0, 15}, false},
        {{1, 2}, false},
        {{3, 3, 3, 3, 3, 3, 3}, false},
        {{1, 1, 1}, false},
        {{1, 1, 15}, false},
        {{1, 2, 2, 2}, false},
        {{1, 2, 3, 4, 5, 6, 6, 7}, false},
    };
    static struct decoder decoder;
    static struct code code;
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        memcpy(code.size, row[i].size, sizeof row[i].size);
        assert_int_equal(decoder_make(&decoder, &code, sizeof row[i].size),
                         row[i].good);
    }
}

/* Made with zlib 1.2.13, raw, by these strategies. */
static const char stream_stored[] = "010800f7ff6c6f636b73746570";
static const char stream_fixed[] =
    "2b4a4dce2f4ad151284a2dc849ac04d1c87c85c4bc1485b2d4a2"
    "ccb44a00";
static const char stream_overlap[] = "4b4c4a1c85a390eab062148c021a0000";
static const char stream_dynamic[] =
    "85d23b0a80301444d1de55bc055898f8c7d528442c82010db87ded3378ebe154777c635b"
    "ca3986dbd26e5b0897a5d3f211ec5963accd17fb52b9f9df94fb67263093302398519801"
    "cc204c0fa617a603d309d3826985f160bc300e8c13067ee0c40fe006e2057002f101b880"
    "78001c40f487fca23ec417ed21bd280fe1557748588a17";
/* Codes of up to 14 bits. */
static const char stream_long_codes[] =
    "05c1418203310cc3b0b76edb99c496c8ff1f17f8fb7cbfbfdfef799ee779dff77ddff73d"
    "e79c73ce39e79c73efbdf7de7befbdf7de7befbd77666666666666666666666666666666"
    "666677777777777777777777777777777777777777777777777777777793244992244992"
    "2449922449922449922449922449922449922449922449922449d2b66ddbb66ddbb66ddb"
    "b66ddbb66ddbb66ddbb66ddbb66ddbb66ddbb66ddbb66ddbb66ddbb66ddbb66ddbb66ddb"
    "b66ddbb66ddbb66d0b000000000000000000000000000000000000000000000000000000"
    "00000000000000000000000000000000000000000000000000000000000080aaaaaaaaaa"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaff";
/* Flushed after 50 and 120 bytes: fixed and empty stored blocks. */
static const char stream_flushed[] =
    "32325048ca2f29c9492d56c84f53484a4d2d52c8cf5328c94855284fccc9d15130c29007"
    "000000ffffb2e632b4c4af07531ea8c702550c000000ffff4b2d52c8cf5328c94855284f"
    "ccc9d15130b45048ca2f29c9492d56c84f53484a4d2db2e63234471743d383240f00";

static const char *const good_streams[] = {stream_stored,  stream_fixed,
                                           stream_overlap, stream_dynamic,
                                           stream_flushed, stream_long_codes};
#define GOOD_COUNT (sizeof good_streams / sizeof *good_streams)

static void assert_inflates(const char *hex, const void *want, size_t want_size)
{
    uint8_t stream[512], got[2048];
    size_t size = SIZE_MAX, stream_size = unhex(stream, hex);
    uint8_t *copy = exact_copy(stream, stream_size);
    assert_true(inflate(got, sizeof got, copy, stream_size, &size));
    assert_int_equal(size, want_size);
    assert_memory_equal(got, want, size);
    assert_true(
        inflate(got, want_size, copy, stream_size, &size)); /* just enough room */
    if (want_size)
        assert_false(inflate(got, want_size - 1, copy, stream_size, &size));
    free(copy);
}

static void test_inflate_vectors(void **state)
{
    static const char fixed[] = "record, replay, record, replay and verify";
    uint8_t want[2048];
    (void)state;
    assert_inflates(stream_stored, "lockstep", 8);
    assert_inflates("05e085000000000020f85b17", "", 0); /* one code, one distance */
    assert_inflates("edfd81080000000020f85b5f555555555555d55555555555555501", "",
                    0); /* most */
    assert_inflates(stream_fixed, fixed, sizeof fixed - 1);
    for (size_t i = 0; i < 1200; i++)
        want[i] = i >= 600 ? 'x' : i % 2 ? 'b' : 'a';
    assert_inflates(stream_overlap, want, 1200);
    size_t size = bottles_make((char *)want);
    assert_inflates(stream_dynamic, want, size);
    assert_inflates(stream_flushed, want, 200);
    size = 0;
    for (unsigned i = 0, a = 1, b = 1; i < 14; i++) {
        memset(want + size, (int)('a' + i), a);
        size += a;
        unsigned sum = a + b;
        a = b;
        b = sum;
    }
    assert_inflates(stream_long_codes, want, size);
}

static void test_inflate_hostile(void **state)
{
    static const char *const bad[] = {
        "",
        "07",             /* a kind that does not exist */
        "01",             /* stored, and then nothing */
        "010100feff",     /* … nor its byte */
        "010100ffff61",   /* the size and its complement differ */
        "010100feff6162", /* something behind the end */
        "4b04",           /* fixed, without an end */
        "4b043e00",       /* distance 30 */
        "4b044200",       /* before the start */
        "4b1c0300",       /* symbol 286 */
        /* Dynamic: the sizes' code is over-full, or incomplete; */
        "05e001040000004010000000000000000000",
        "05e001080000008020000000000000000000",
        /* 287 literals, 31 distances; */
        "f5e081080000000020f85b5f5555555555555503",
        "05fe81080000000020f85b7f5555555555555501",
        /* nothing to repeat, more than there are, none for the block's end; */
        "05e003000000000010040000000000000000",
        "05e085000000000020f8fb03",
        "05e085000000000020e48f0d0000",
        /* the unused half of a code of one, an over-full code, a match without
           distances. */
        "05e085000000000020f85b570000000000",
        "05e085000000000020f84b57010000000000",
        "0de081080000000020f85b7f010000000000",
    };
    uint8_t stream[512], out[2048];
    size_t got;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t size = unhex(stream, bad[i]);
        uint8_t *copy = exact_copy(stream, size);
        assert_false(inflate(out, sizeof out, copy, size, &got));
        free(copy);
    }
    for (size_t i = 0; i < GOOD_COUNT; i++) {
        size_t stream_size = unhex(stream, good_streams[i]);
        for (size_t size = 0; size < stream_size; size++) {
            uint8_t *copy = exact_copy(stream, size);
            assert_false(inflate(out, sizeof out, copy, size, &got));
            free(copy);
        }
        uint8_t *copy = exact_copy(stream, stream_size);
        uint8_t *room = malloc(1500);
        assert_non_null(room);
        for (size_t bit = 0; bit < 8 * stream_size; bit++) {
            copy[bit / 8] = (uint8_t)(copy[bit / 8] ^ 1 << bit % 8);
            if (inflate(room, 1500, copy, stream_size, &got))
                assert_true(got <= 1500);
            copy[bit / 8] = (uint8_t)(copy[bit / 8] ^ 1 << bit % 8);
        }
        free(room);
        free(copy);
    }
}

static void test_inflate_noise(void **state)
{
    uint64_t seed = test_seed(11);
    (void)state;
    test_reproduce("corpus_crypto", seed);
    for (unsigned round = 0; round < 20000; round++) {
        uint64_t noise[16], size = test_random(&seed) % sizeof noise;
        uint8_t out[200];
        size_t got = 0;
        for (size_t i = 0; i < 16; i++)
            noise[i] = test_random(&seed);
        uint8_t *copy = exact_copy(noise, size);
        if (size)
            copy[0] = (uint8_t)((copy[0] & ~7u) | 1 | round % 3 << 1);
        if (inflate(out, sizeof out, copy, size, &got))
            assert_true(got <= sizeof out);
        free(copy);
    }
}

/* ---- The programs as a whole ---- */

static void test_bench(void **state)
{
    static uint64_t (*const bench_of[])(uint64_t) = {ed25519_bench, secp256k1_bench,
                                                     lz_bench, deflate_bench};
    (void)state;
    for (size_t i = 0; i < sizeof bench_of / sizeof *bench_of; i++) {
        uint64_t first = bench_of[i](2);
        assert_true(bench_of[i](1) != first);
        assert_true(bench_of[i](2) == first); /* nothing is left over from other runs */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha512),
        cmocka_unit_test(test_fe),
        cmocka_unit_test(test_scalar25519),
        cmocka_unit_test(test_ed25519),
        cmocka_unit_test(test_ed25519_refuses),
        cmocka_unit_test(test_x25519),
        cmocka_unit_test(test_x25519_public),
        cmocka_unit_test(test_chacha20_and_poly1305),
        cmocka_unit_test(test_aead),
        cmocka_unit_test(test_fp),
        cmocka_unit_test(test_fp_wraps),
        cmocka_unit_test(test_scalar_secp256k1),
        cmocka_unit_test(test_multiples),
        cmocka_unit_test(test_special_additions),
        cmocka_unit_test(test_recover),
        cmocka_unit_test(test_lz_round_trip),
        cmocka_unit_test(test_lz_vector),
        cmocka_unit_test(test_lz_end),
        cmocka_unit_test(test_lz_hostile),
        cmocka_unit_test(test_deflate_round_trip),
        cmocka_unit_test(test_deflate_blocks),
        cmocka_unit_test(test_huffman),
        cmocka_unit_test(test_decoder),
        cmocka_unit_test(test_inflate_vectors),
        cmocka_unit_test(test_inflate_hostile),
        cmocka_unit_test(test_inflate_noise),
        cmocka_unit_test(test_bench),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
