/* SPDX-License-Identifier: MIT
 *
 * Published vectors for each hash, and our two crc32c against each other.
 */
#include "base/hash.c" /* its static functions are tested */
#include "base/hash_single.c"

#include "tests/test.h"

static void expect_hash(struct hash256 got, const char *want)
{
    char text[2 * HASH256_SIZE + 1];
    for (unsigned i = 0; i < HASH256_SIZE; i++)
        (void)snprintf(text + (size_t)2 * i, 3, "%02x", got.byte[i]);
    assert_string_equal(text, want);
}

/* RFC 7693 appendix E: a deterministic sequence (Fibonacci generator). */
static void selftest_seq(uint8_t *out, size_t size, uint32_t seed)
{
    uint32_t a = 0xdead4badu * seed, b = 1;
    for (size_t i = 0; i < size; i++) {
        uint32_t t = a + b;
        a = b;
        b = t;
        out[i] = (uint8_t)(t >> 24);
    }
}

/* RFC 7693 appendix E: every size and key, hashed together.  The inner calls go to
 * libb2 directly: its argument order is not that of the RFC's reference code. */
static void test_blake2b_rfc7693(void **unused)
{
    (void)unused;
    static const uint8_t want[32] = {0xc2, 0x3a, 0x78, 0x00, 0xd9, 0x81, 0x23, 0xbd,
                                     0x10, 0xf5, 0x06, 0xc6, 0x1e, 0x29, 0xda, 0x56,
                                     0x03, 0xd7, 0x63, 0xb8, 0xbb, 0xad, 0x2e, 0x73,
                                     0x7f, 0x5e, 0x76, 0x5a, 0x7b, 0xcc, 0xd4, 0x75};
    static const size_t out_size[] = {20, 32, 48, 64};
    static const size_t in_size[] = {0, 3, 128, 129, 255, 1024};
    uint8_t in[1024], key[64], out[64];
    struct buf all;
    buf_init(&all, 1 << 16);
    for (size_t i = 0; i < countof(out_size); i++) {
        for (size_t j = 0; j < countof(in_size); j++) {
            selftest_seq(in, in_size[j], (uint32_t)in_size[j]);
            assert_int_equal(blake2b(out, in, NULL, out_size[i], in_size[j], 0), 0);
            buf_put(&all, out, out_size[i]);
            selftest_seq(key, out_size[i], (uint32_t)out_size[i]);
            assert_int_equal(
                blake2b(out, in, key, out_size[i], in_size[j], out_size[i]), 0);
            buf_put(&all, out, out_size[i]);
        }
    }
    struct hash256 got = hash256_of(all.data, all.size);
    assert_memory_equal(got.byte, want, sizeof want);
    buf_fini(&all);
}

static void test_blake2b_256(void **unused)
{
    (void)unused;
    expect_hash(hash256_of(NULL, 0),
                "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
    expect_hash(hash256_of("abc", 3),
                "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

/* Our compression, each form that this CPU has, against libb2: every size up to a few
 * blocks, a long message, and every place of a cut in two. */
static void expect_single(const uint8_t *data, size_t size, size_t cut)
{
    const struct bytes piece[] = {bytes_of(data, cut),
                                  bytes_of(data + cut, size - cut)};
    struct hash256 want, got = {{0}};
    assert_int_equal(blake2b(want.byte, data, NULL, HASH256_SIZE, size, 0), 0);
    got = libb2_of_pieces(piece, countof(piece));
    assert_true(hash256_equal(&want, &got));
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        hash_with(compress_avx2, piece, countof(piece), &got);
        assert_true(hash256_equal(&want, &got));
    }
    if (compress_of_this_cpu() == compress_avx512) {
        hash_with(compress_avx512, piece, countof(piece), &got);
        assert_true(hash256_equal(&want, &got));
    }
#endif
}

static void test_single(void **unused)
{
    (void)unused;
    static uint8_t data[70000];
    uint64_t seed = test_seed(5);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)test_random(&seed);
    for (size_t size = 0; size <= 520; size++)
        expect_single(data, size, size / 3);
    for (size_t cut = 0; cut <= 520; cut++)
        expect_single(data, 520, cut);
    expect_single(data, sizeof data, 1);
    expect_single(data, sizeof data, 65536);
}

/* However the bytes are cut into pieces, the hashes are those of the whole. */
static void test_pieces(void **unused)
{
    (void)unused;
    uint8_t data[5000];
    uint64_t seed = test_seed(3);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)test_random(&seed);
    for (unsigned round = 0; round < 200; round++) {
        struct bytes piece[8];
        size_t count = 0, at = 0, size = test_random(&seed) % (sizeof data + 1);
        while (count < countof(piece) - 1) {
            size_t take = test_random(&seed) % (size - at + 1);
            piece[count++] = take ? bytes_of(data + at, take) : bytes_of(NULL, 0);
            at += take;
        }
        piece[count++] = bytes_of(data + at, size - at);
        struct hash256 want = hash256_of(data, size);
        struct hash256 got = hash256_of_pieces(piece, count);
        assert_true(hash256_equal(&want, &got));
        assert_true(hash_xxh3(data, size) == hash_xxh3_of_pieces(piece, count));
    }
    struct hash256 empty = hash256_of("", 0), none = hash256_of_pieces(NULL, 0);
    assert_true(hash256_equal(&empty, &none));
    assert_true(hash_xxh3_of_pieces(NULL, 0) == 0);
    none.byte[31] ^= 1;
    assert_false(hash256_equal(&empty, &none));
}

/* The reference vectors of CRC-32C: the check value, and RFC 3720 appendix B.4. */
static void test_crc32c(void **unused)
{
    (void)unused;
    uint8_t data[32];
    assert_int_equal(hash_crc32c(0, "123456789", 9), 0xe3069283u);
    assert_int_equal(hash_crc32c(0, NULL, 0), 0);
    memset(data, 0, sizeof data);
    assert_int_equal(hash_crc32c(0, data, sizeof data), 0x8a9136aau);
    memset(data, 0xff, sizeof data);
    assert_int_equal(hash_crc32c(0, data, sizeof data), 0x62a8ab43u);
    for (unsigned i = 0; i < 32; i++)
        data[i] = (uint8_t)i;
    assert_int_equal(hash_crc32c(0, data, sizeof data), 0x46dd794eu);
    for (unsigned i = 0; i < 32; i++)
        data[i] = (uint8_t)(31 - i);
    assert_int_equal(hash_crc32c(0, data, sizeof data), 0x113fdb5cu);
}

static void test_crc32c_both(void **unused)
{
    (void)unused;
#if defined(__x86_64__)
    uint8_t data[8 * LANE_SIZE];
    uint64_t seed = test_seed(4);
    if (!__builtin_cpu_supports("sse4.2") || !__builtin_cpu_supports("pclmul"))
        skip();
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)test_random(&seed);
    for (unsigned round = 0; round < 5000; round++) {
        size_t start = test_random(&seed) % 16;
        size_t size = test_random(&seed) % (sizeof data - start + 1);
        uint32_t crc = (uint32_t)test_random(&seed);
        assert_int_equal(crc32c_sse42(crc, data + start, size),
                         crc32c_table(crc, data + start, size));
        size_t cut = size ? test_random(&seed) % size : 0;
        uint32_t first = hash_crc32c(0, data + start, cut);
        assert_int_equal(hash_crc32c(first, data + start + cut, size - cut),
                         hash_crc32c(0, data + start, size));
    }
#else
    skip();
#endif
}

/* Vectors of xxhsum's own self test, seed 0; they cover each of XXH3's size classes. */
static void test_xxh3(void **unused)
{
    (void)unused;
    static const struct {
        size_t size;
        uint64_t want;
    } vector[] = {
        {1, 0xc44bdff4074eecdbu},    {6, 0x27b56a84cd2d7325u},
        {12, 0xa713daf0dfbb77e7u},   {24, 0xa3fe70bf9d3510ebu},
        {48, 0x397da259ecba1f11u},   {80, 0xbcdefbbb2c47c90au},
        {195, 0xcd94217ee362ec3au},  {403, 0xcdeb804d65c6dea4u},
        {512, 0x617e49599013cb6bu},  {2048, 0xdd59e2c3a5f038e0u},
        {2240, 0x6e73a90539cf2948u},
    };
    uint8_t data[2240];
    uint64_t generator = 2654435761u;
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(generator >> 56);
        generator *= 11400714785074694797u;
    }
    for (size_t i = 0; i < countof(vector); i++)
        assert_true(hash_xxh3(data, vector[i].size) == vector[i].want);
    assert_true(hash_xxh3(data, 0) == 0);
}

/* Lanes of a vector against libb2: every group size, whole and broken blocks. */
static void test_many(void **unused)
{
    (void)unused;
    enum { MANY = 19 };
    static const size_t sizes[] = {0, 1, 8, 64, 120, 128, 136, 256, 1000, 4096};
    static uint8_t data[MANY][4096];
    const uint8_t *message[MANY];
    struct hash256 hash[MANY];
    for (unsigned k = 0; k < MANY; k++) {
        message[k] = data[k];
        for (size_t i = 0; i < sizeof data[k]; i++)
            data[k][i] = (uint8_t)(i * 31 + k * 97 + (i >> 8));
    }
    for (size_t s = 0; s < countof(sizes); s++) {
        for (size_t count = 0; count <= MANY; count++) {
            memset(hash, 0, sizeof hash);
            hash256_of_many(message, count, sizes[s], hash);
            for (size_t k = 0; k < MANY; k++) {
                struct hash256 want = {{0}};
                if (k < count)
                    want = hash256_of(data[k], sizes[s]);
                assert_memory_equal(hash[k].byte, want.byte, HASH256_SIZE);
            }
        }
    }
}

/* FIPS 180-4: the examples of NIST, and a node of two hashes. */
static void test_sha256(void **unused)
{
    (void)unused;
    static const char two_blocks[] =
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    expect_hash(hash_sha256("", 0), "e3b0c44298fc1c149afbf4c8996fb924"
                                    "27ae41e4649b934ca495991b7852b855");
    expect_hash(hash_sha256("abc", 3), "ba7816bf8f01cfea414140de5dae2223"
                                       "b00361a396177a9cb410ff61f20015ad");
    expect_hash(hash_sha256(two_blocks, strlen(two_blocks)),
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    struct hash256 a = hash_sha256("a", 1), b = hash_sha256("b", 1);
    uint8_t both[2 * HASH256_SIZE];
    memcpy(both, a.byte, HASH256_SIZE);
    memcpy(both + HASH256_SIZE, b.byte, HASH256_SIZE);
    struct hash256 want = hash_sha256(both, sizeof both);
    struct hash256 got = hash_sha256_pair(&a, &b);
    assert_memory_equal(&got, &want, sizeof got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_single),
        cmocka_unit_test(test_blake2b_rfc7693),
        cmocka_unit_test(test_blake2b_256),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_crc32c),
        cmocka_unit_test(test_crc32c_both),
        cmocka_unit_test(test_xxh3),
        cmocka_unit_test(test_sha256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
