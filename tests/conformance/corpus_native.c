/* SPDX-License-Identifier: MIT
 *
 * The guest library and the hashes of the corpus, checked natively: against the C
 * library, the compiler's __int128, base/hash.h and published vectors.  The programs'
 * sources are included, and they run on pvm.c's memory functions, not on the C
 * library's.
 */
#include "tests/test.h"

#include "base/hash.h"

#include <string.h>

#define memcpy guest_memcpy
#define memmove guest_memmove
#define memset guest_memset
#define memcmp guest_memcmp
#define bcmp guest_bcmp
#define strlen guest_strlen
#define __udivti3 guest_udivti3
#define __umodti3 guest_umodti3
#define __divti3 guest_divti3
#define __modti3 guest_modti3
#define __ashlti3 guest_ashlti3
#define __lshrti3 guest_lshrti3
#define __ashrti3 guest_ashrti3
#define ATOMIC(name, size) guest_atomic_##name##_##size
#include "corpus/pvm/lib/pvm.c"

#define bench bench_sha256
#include "corpus/pvm/src/sha256.c"
#undef bench
#define bench bench_blake2b
#include "corpus/pvm/src/blake2b.c"
#undef bench
#define bench bench_keccak
#include "corpus/pvm/src/keccak.c"
#undef bench
#define data crc32_data
#define bench bench_crc32
#include "corpus/pvm/src/crc32.c"
#undef bench
#undef data

#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef bcmp
#undef strlen

/* host.h is checked here, too; no call of it is made. */
#include "corpus/pvm/lib/host.h"

struct pvm_answer pvm_native_ecall(const uint64_t call[7])
{
    fail_msg("host call %llu", (unsigned long long)call[0]);
    return (struct pvm_answer){0, 0};
}

static void assert_hash(const uint8_t *hash, size_t size, const char *want)
{
    char text[129];
    for (size_t i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", hash[i]);
    assert_string_equal(text, want);
}

/* ---- memory ---- */

enum { AREA = 640, MOVE_MAX = 200 };

static void fill_area(uint8_t *area, uint64_t *seed)
{
    for (size_t i = 0; i < AREA; i++)
        area[i] = (uint8_t)test_random(seed);
}

static void check_moves(size_t to, size_t from, size_t size, const uint8_t *fresh)
{
    uint8_t a[AREA], b[AREA];
    memcpy(a, fresh, AREA);
    memcpy(b, fresh, AREA);
    assert_ptr_equal(guest_memmove(a + to, a + from, size), a + to);
    memmove(b + to, b + from, size);
    assert_memory_equal(a, b, AREA);
    if (to + size <= from || from + size <= to) {
        assert_ptr_equal(guest_memcpy(a + from, a + to, size), a + from);
        memcpy(b + from, b + to, size);
        assert_memory_equal(a, b, AREA);
    }
    assert_ptr_equal(guest_memset(a + to, (int)(size * 77), size), a + to);
    memset(b + to, (int)(size * 77), size);
    assert_memory_equal(a, b, AREA);
}

/* Every size up to three pieces of 64 bytes, at every overlap that a piece can have,
 * and every alignment of both sides apart. */
static void test_moves(void **state)
{
    (void)state;
    uint64_t seed = test_seed(1);
    uint8_t fresh[AREA];
    for (size_t size = 0; size <= MOVE_MAX; size++) {
        fill_area(fresh, &seed);
        for (size_t shift = 0; shift <= 72; shift++) {
            check_moves(240 + shift, 240, size, fresh);
            check_moves(240, 240 + shift, size, fresh);
        }
        for (size_t align = 0; align < 64; align++)
            check_moves(300 + align % 8, 40 + align / 8, size, fresh);
    }
}

static int sign(int x)
{
    return x < 0 ? -1 : x > 0;
}

static void test_compares(void **state)
{
    (void)state;
    uint64_t seed = test_seed(2);
    uint8_t a[AREA], b[AREA];
    fill_area(a, &seed);
    for (size_t size = 0; size <= 110; size++) {
        for (size_t offset = 0; offset < 9; offset++) {
            memcpy(b, a + offset, AREA - offset);
            assert_int_equal(guest_memcmp(a + offset, b, size), 0);
            for (size_t i = 0; i < size; i++) {
                b[i] ^= (uint8_t)(1u << (i % 8));
                if (i + 1 < size)
                    b[i + 1] ^= 0xff;
                int want = sign(memcmp(a + offset, b, size));
                assert_int_equal(sign(guest_memcmp(a + offset, b, size)), want);
                assert_int_equal(guest_bcmp(a + offset, b, size) != 0, 1);
                memcpy(b, a + offset, size);
            }
        }
    }
}

static void test_lengths(void **state)
{
    (void)state;
    for (size_t offset = 0; offset < 16; offset++) {
        for (size_t size = 0; size < 60; size++) {
            char text[96] = {0};
            memset(text + offset, 0x80 | (int)size, size);
            if (size > 0)
                text[offset] = 1;
            assert_int_equal(guest_strlen(text + offset), size);
        }
    }
}

/* ---- division ---- */

static u128 some_number(uint64_t *seed)
{
    static const uint64_t edge[] = {0,
                                    1,
                                    2,
                                    10,
                                    1ull << 31,
                                    1ull << 32,
                                    1ull << 63,
                                    0xffffffff,
                                    UINT64_MAX,
                                    UINT64_MAX - 1,
                                    0xffffffff00000000};
    uint64_t random = test_random(seed);
    uint64_t low = random & 1 ? edge[random >> 8 & 7] : test_random(seed);
    uint64_t high = random & 2 ? edge[(random >> 16) % 11] : test_random(seed);
    return ((u128)high << 64 | low) >> (random & 4 ? random >> 57 : 0);
}

static void test_division(void **state)
{
    (void)state;
    uint64_t start = test_seed(3), seed = start;
    for (unsigned i = 0; i < 300000; i++) {
        u128 a = some_number(&seed), b = some_number(&seed);
        if (b == 0) {
            assert_true(guest_udivti3(a, b) == ~(u128)0);
            assert_true(guest_umodti3(a, b) == a);
            continue;
        }
        bool good = guest_udivti3(a, b) == a / b && guest_umodti3(a, b) == a % b;
        bool defined = (i128)b != -1 || a != (u128)1 << 127;
        if (defined)
            good = good && guest_divti3((i128)a, (i128)b) == (i128)a / (i128)b &&
                   guest_modti3((i128)a, (i128)b) == (i128)a % (i128)b;
        if (!good)
            test_reproduce("corpus_library", start);
        assert_true(good);
    }
}

static void test_shifts(void **state)
{
    (void)state;
    uint64_t seed = test_seed(5);
    for (int n = 0; n < 128; n++) {
        for (unsigned i = 0; i < 20; i++) {
            u128 a = some_number(&seed) ^ some_number(&seed);
            assert_true(guest_ashlti3(a, n) == a << n);
            assert_true(guest_lshrti3(a, n) == a >> n);
            assert_true(guest_ashrti3((i128)a, n) == (i128)a >> n);
        }
    }
}

/* ---- atomics ---- */

#define CHECK_ATOMICS(size, type)                                                      \
    do {                                                                               \
        type x = (type)0x7f6f5f4f3f2f1f0f, old = x, expected = 1;                      \
        assert_true(guest_atomic_load_##size(&x, 5) == old);                           \
        assert_true(guest_atomic_fetch_add_##size(&x, 3, 5) == old);                   \
        assert_true(x == (type)(old + 3));                                             \
        assert_true(guest_atomic_fetch_sub_##size(&x, 3, 5) == (type)(old + 3));       \
        assert_true(x == old);                                                         \
        assert_true(guest_atomic_fetch_and_##size(&x, 0x3c, 5) == old);                \
        assert_true(x == (type)(old & 0x3c));                                          \
        assert_true(guest_atomic_fetch_or_##size(&x, 0x41, 5) == (type)(old & 0x3c));  \
        assert_true(guest_atomic_fetch_xor_##size(&x, 0xff, 5) ==                      \
                    ((old & 0x3c) | 0x41));                                            \
        old = x;                                                                       \
        assert_true(guest_atomic_fetch_nand_##size(&x, 0x18, 5) == old);               \
        assert_true(x == (type) ~(old & 0x18));                                        \
        assert_true(guest_atomic_exchange_##size(&x, 9, 5) == (type) ~(old & 0x18));   \
        assert_false(guest_atomic_compare_exchange_##size(&x, &expected, 7, 5, 5));    \
        assert_true(x == 9 && expected == 9);                                          \
        assert_true(guest_atomic_compare_exchange_##size(&x, &expected, 7, 5, 5));     \
        assert_true(x == 7 && expected == 9);                                          \
        guest_atomic_store_##size(&x, 5, 5);                                           \
        assert_true(x == 5);                                                           \
    } while (0)

static void test_atomics(void **state)
{
    (void)state;
    CHECK_ATOMICS(1, uint8_t);
    CHECK_ATOMICS(2, uint16_t);
    CHECK_ATOMICS(4, uint32_t);
    CHECK_ATOMICS(8, uint64_t);
}

/* ---- arguments and the arena ---- */

static void test_arguments(void **state)
{
    (void)state;
    struct pvm_bytes args = {(const uint8_t *)"one\0\0three\0four", 15};
    assert_string_equal(pvm_args(&args), "one");
    assert_string_equal(pvm_args(&args), "");
    assert_string_equal(pvm_args(&args), "three");
    assert_null(pvm_args(&args));
    assert_null(pvm_args(&args));
}

static void test_numbers(void **state)
{
    (void)state;
    uint64_t value = 77;
    assert_false(host_parse_u64("", UINT64_MAX, &value));
    assert_false(host_parse_u64("12x", UINT64_MAX, &value));
    assert_false(host_parse_u64("-1", UINT64_MAX, &value));
    assert_false(host_parse_u64("18446744073709551616", UINT64_MAX, &value));
    assert_false(host_parse_u64("256", 255, &value));
    assert_false(host_parse_u64("9", 8, &value));
    assert_int_equal(value, 77);
    assert_true(host_parse_u64("18446744073709551615", UINT64_MAX, &value));
    assert_true(value == UINT64_MAX);
    assert_true(host_parse_u64("00255", 255, &value));
    assert_int_equal(value, 255);
    assert_true(host_parse_u64("0", 0, &value));
    assert_int_equal(value, 0);
}

static void test_arena(void **state)
{
    (void)state;
    static uint8_t heap[64] __attribute__((aligned(16)));
    struct pvm_arena arena = {heap, heap + sizeof heap};
    assert_ptr_equal(pvm_alloc(&arena, 1), heap);
    assert_ptr_equal(pvm_alloc(&arena, 17), heap + 16);
    assert_null(pvm_alloc(&arena, 17));
    assert_null(pvm_alloc(&arena, UINT64_MAX));
    assert_ptr_equal(pvm_alloc(&arena, 16), heap + 48);
    assert_ptr_equal(pvm_alloc(&arena, 0), heap + 64);
    assert_null(pvm_alloc(&arena, 1));
}

/* ---- hashes ---- */

static void guest_sha256(const char *text, size_t size, size_t step,
                         uint8_t ret_hash[32])
{
    struct sha256 s;
    sha256_init(&s);
    for (size_t i = 0; i < size; i += step)
        sha256_update(&s, (const uint8_t *)text + i, size - i < step ? size - i : step);
    sha256_final(&s, ret_hash);
}

/* The examples of FIPS 180-4, and every way to cut a message into pieces. */
static void test_sha256(void **state)
{
    (void)state;
    static char million[1000000];
    uint8_t hash[32], whole[32];
    guest_sha256("", 0, 1, hash);
    assert_hash(hash, 32,
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    guest_sha256("abc", 3, 1, hash);
    assert_hash(hash, 32,
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    guest_sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, 9,
                 hash);
    assert_hash(hash, 32,
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    memset(million, 'a', sizeof million);
    guest_sha256(million, sizeof million, 999, hash);
    assert_hash(hash, 32,
                "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    for (size_t size = 0; size < 200; size++) {
        guest_sha256(million, size, 200, whole);
        guest_sha256(million, size, 1 + size % 67, hash);
        assert_memory_equal(hash, whole, 32);
    }
}

static void test_blake2b(void **state)
{
    (void)state;
    uint64_t seed = test_seed(4);
    uint8_t hash[64], data[AREA];
    struct blake2b b;
    blake2b_init(&b, 64);
    blake2b_update(&b, (const uint8_t *)"abc", 3);
    blake2b_final(&b, hash, 64);
    assert_hash(hash, 64,
                "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
                "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923");
    fill_area(data, &seed);
    for (size_t size = 0; size <= AREA; size++) {
        size_t step = 1 + size % 131;
        struct hash256 want = hash256_of(data, size);
        blake2b_init(&b, 32);
        for (size_t i = 0; i < size; i += step)
            blake2b_update(&b, data + i, size - i < step ? size - i : step);
        blake2b_final(&b, hash, 32);
        assert_memory_equal(hash, want.byte, 32);
    }
}

/* SHA3-256 of less than a block, from the permutation. */
static void hash_sha3(const char *text, size_t size, uint8_t ret_hash[32])
{
    uint64_t a[25] = {0};
    uint8_t block[136] = {0};
    memcpy(block, text, size);
    block[size] = 0x06;
    block[135] |= 0x80;
    memcpy(a, block, sizeof block);
    keccak_permute(a);
    memcpy(ret_hash, a, 32);
}

static void test_keccak(void **state)
{
    (void)state;
    uint8_t hash[32];
    uint64_t a[25] = {0};
    keccak_permute(a);
    assert_true(a[0] == 0xf1258f7940e1dde7 && a[1] == 0x84d5ccf933c0478a);
    keccak_permute(a);
    assert_true(a[0] == 0x2d5c954df96ecb3c && a[1] == 0x6a332cd07057b56d);
    hash_sha3("", 0, hash);
    assert_hash(hash, 32,
                "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a");
    hash_sha3("abc", 3, hash);
    assert_hash(hash, 32,
                "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532");
}

static void test_crc32(void **state)
{
    (void)state;
    const uint8_t *digits = (const uint8_t *)"123456789";
    crc32_init();
    assert_true(crc32_update(0, digits, 9) == 0xcbf43926);
    for (size_t cut = 0; cut <= 9; cut++)
        assert_true(crc32_update(crc32_update(0, digits, cut), digits + cut, 9 - cut) ==
                    0xcbf43926);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves),     cmocka_unit_test(test_compares),
        cmocka_unit_test(test_lengths),   cmocka_unit_test(test_division),
        cmocka_unit_test(test_shifts),    cmocka_unit_test(test_atomics),
        cmocka_unit_test(test_arguments), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_arena),     cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_blake2b),   cmocka_unit_test(test_keccak),
        cmocka_unit_test(test_crc32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
