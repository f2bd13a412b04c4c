/* SPDX-License-Identifier: MIT
 *
 * features - a walk through what a C program may use: one function per feature, one
 * line of output each, and a digest of everything as the result.
 *
 * Nothing here is for speed.  Values pass through `opaque` so that the compiler cannot
 * do the work itself.
 */
#include "bench.h"
#include "host.h"

#include <stdarg.h>

typedef unsigned __int128 u128;
typedef __int128 i128;

static struct host_out out = {.fd = HOST_STDOUT};

static uint64_t opaque(uint64_t value)
{
    __asm__ volatile("" : "+r"(value));
    return value;
}

static uint64_t mix_128(uint64_t digest, u128 value)
{
    return bench_mix(bench_mix(digest, (uint64_t)value), (uint64_t)(value >> 64));
}

/* ---- arithmetic ---- */

static uint64_t feature_int128(void)
{
    uint64_t digest = 0;
    for (unsigned i = 0; i < 128; i += 5) {
        u128 a = (u128)opaque(0xfedcba9876543210) << 64 | opaque(0x0123456789abcdef);
        u128 b = (u128)opaque(0xc0ffee1234567891) << 64 | opaque(0xf00d) << 32;
        b = b >> opaque(i) | 1;
        digest = mix_128(digest, a * b);
        digest = mix_128(digest, a / b);
        digest = mix_128(digest, a % b);
        digest = mix_128(digest, (u128)((i128)a / (i128)b));
        digest = mix_128(digest, (u128)(-(i128)(a >> 1) % (i128)(b >> 1 | 1)));
        digest = mix_128(digest, (u128)((i128)a >> opaque(i)) + (a << opaque(i)));
    }
    return digest;
}

static uint64_t feature_division(void)
{
    static const int64_t value[] = {1,  -1, 2,       -2,     7,
                                    -7, 10, 1 << 20, -65537, INT64_MAX};
    uint64_t digest = 0;
    for (unsigned i = 0; i < 10; i++) {
        for (unsigned j = 0; j < 10; j++) {
            int64_t a = (int64_t)(opaque((uint64_t)value[i]) * 12345) / 678;
            int64_t b = (int64_t)opaque((uint64_t)value[j]);
            int32_t c = (int32_t)a | 1, d = (int32_t)b | 4;
            digest = bench_mix(digest, (uint64_t)(a / b) ^ (uint64_t)(a % b));
            digest = bench_mix(digest, (uint64_t)a / (uint64_t)b + (uint64_t)a % 10);
            digest = bench_mix(digest, (uint64_t)(c / d + c % d));
            digest = bench_mix(digest, (uint32_t)c / (uint32_t)d + (uint32_t)c % 7);
        }
    }
    return digest;
}

static uint64_t feature_bits(void)
{
    uint64_t digest = 0;
    for (unsigned i = 0; i < 64; i++) {
        uint64_t x = opaque(0x9e3779b97f4a7c15) >> i;
        uint32_t w = (uint32_t)x;
        digest = bench_mix(digest, (x << i | x >> (-i & 63)) ^ __builtin_bswap64(x));
        digest = bench_mix(digest, (w << (i & 31) | w >> (-i & 31)) + (w >> 1));
        digest = bench_mix(digest, (uint64_t)__builtin_popcountll(x) * 64);
        digest = bench_mix(digest,
                           (uint64_t)(__builtin_clzll(x | 1) + __builtin_clz(w | 1)));
        digest = bench_mix(digest, (uint64_t)(__builtin_ctzll(x | 1ull << 63)));
        digest = bench_mix(digest, (uint64_t)(int64_t)(int8_t)x + (uint16_t)(int16_t)x);
        digest = bench_mix(digest, (uint64_t)((int64_t)x >> (i & 7)) ^ ~x);
    }
    return digest;
}

static uint64_t feature_overflow(void)
{
    uint64_t digest = 0;
    for (unsigned i = 0; i < 64; i++) {
        int64_t a = (int64_t)(opaque(0x123456789abcdef1) << i), s;
        uint64_t u;
        int32_t w;
        digest = bench_mix(digest, __builtin_mul_overflow(a, 3, &s) ? 1 : (uint64_t)s);
        digest = bench_mix(digest, __builtin_add_overflow((uint64_t)a, ~0ull >> 1, &u));
        digest = bench_mix(digest, __builtin_sub_overflow((int32_t)a, 77, &w));
        digest = bench_mix(digest, u + (uint32_t)w);
    }
    return digest;
}

/* ---- control ---- */

static uint64_t dense(uint64_t x)
{
    switch (x) {
    case 0:
        return 17;
    case 1:
        return x * 3;
    case 2:
        return x << 40;
    case 3:
        return ~x;
    case 4:
        return 0x1234567890;
    case 5:
        return x * x * x;
    case 6:
    case 7:
        return x - 100;
    default:
        return 1;
    }
}

static const char *sparse(int64_t x)
{
    switch (x) {
    case -1000000:
        return "minus a million";
    case 0:
        return "nothing";
    case 99:
        return "ninety-nine";
    case 1ll << 40:
        return "2^40";
    default:
        return "?";
    }
}

static uint64_t feature_switch(void)
{
    uint64_t digest = 0;
    for (uint64_t i = 0; i < 10; i++)
        digest = bench_mix(digest, dense(opaque(i)));
    const int64_t value[] = {-1000000, 0, 99, 1ll << 40, 1};
    for (unsigned i = 0; i < 5; i++) {
        const char *name = sparse((int64_t)opaque((uint64_t)value[i]));
        digest = bench_mix(digest, strlen(name) << 8 | (uint8_t)name[0]);
    }
    return digest;
}

/* A little language: the labels' addresses are the code. */
static uint64_t feature_goto(void)
{
    static const void *const code[] = {&&load, &&twice, &&add, &&again, &&stop};
    uint64_t x = 0, rounds = opaque(5), i = 0;
    goto *code[i];
load:
    x = opaque(3);
    goto *code[++i];
twice:
    x *= 2;
    goto *code[++i];
add:
    x += rounds;
    goto *code[++i];
again:
    i = --rounds != 0 ? 1 : 4;
    goto *code[i];
stop:
    return x;
}

typedef uint64_t binary(uint64_t a, uint64_t b);

static uint64_t plus(uint64_t a, uint64_t b)
{
    return a + b;
}

static uint64_t times(uint64_t a, uint64_t b)
{
    return a * b;
}

static uint64_t either(uint64_t a, uint64_t b)
{
    return a ^ b;
}

/* An array in read-only data, one in data, comparison of pointers, a tail call. */
static uint64_t feature_pointers(void)
{
    static binary *const fixed[] = {plus, times, either};
    static binary *changing[] = {times, times, plus};
    uint64_t digest = 1;
    for (unsigned i = 0; i < 30; i++) {
        binary *f = fixed[opaque(i) % 3], *g = changing[i % 3];
        digest = f(digest, g(i + 3, 0x10001));
        changing[i % 3] = f;
        digest = bench_mix(digest, f == g);
    }
    return digest;
}

void feature_missing(void) __attribute__((weak));

static uint64_t feature_weak(void)
{
    if (feature_missing != NULL)
        feature_missing();
    return feature_missing == NULL;
}

static uint64_t ackermann(uint64_t m, uint64_t n)
{
    if (m == 0)
        return n + 1;
    return ackermann(m - 1, n == 0 ? 1 : ackermann(m, n - 1));
}

static bool is_odd(uint64_t n);

static __attribute__((noinline)) bool is_even(uint64_t n)
{
    return n == 0 || is_odd(n - 1);
}

static __attribute__((noinline)) bool is_odd(uint64_t n)
{
    return n != 0 && is_even(n - 1);
}

static uint64_t feature_recursion(void)
{
    return ackermann(opaque(2), opaque(9)) << 8 | (uint64_t)is_even(opaque(100)) << 1 |
           is_odd(opaque(8));
}

/* ---- arguments ---- */

/* i: int, l: uint64_t, s: a string. */
static __attribute__((noinline)) uint64_t sum_of(const char *kinds, ...)
{
    va_list list, copy;
    uint64_t sum = 0;
    va_start(list, kinds);
    va_copy(copy, list);
    for (const char *k = kinds; *k != 0; k++) {
        if (*k == 'i')
            sum = bench_mix(sum, (uint64_t)va_arg(list, int));
        else if (*k == 'l')
            sum = bench_mix(sum, va_arg(list, uint64_t));
        else
            sum = bench_mix(sum, strlen(va_arg(list, const char *)));
    }
    sum += (uint64_t)va_arg(copy, int);
    va_end(copy);
    va_end(list);
    return sum;
}

static uint64_t feature_varargs(void)
{
    return sum_of("ilsilsil", -5, opaque(1) << 60, "seven", 'c', opaque(9), "", 1 << 30,
                  ~opaque(0));
}

static __attribute__((noinline)) uint64_t nine(uint64_t a, int8_t b, uint16_t c, bool d,
                                               int32_t e, uint64_t f, uint8_t g,
                                               int64_t h, uint32_t i)
{
    return a + (uint64_t)b * 3 + c * 5u + d * 7u + (uint64_t)e * 11 + f * 13 + g * 17u +
           (uint64_t)h * 19 + i * 23ull;
}

static uint64_t feature_many(void)
{
    uint64_t digest = 0;
    for (uint64_t i = 0; i < 20; i++) {
        uint64_t x = opaque(i * 0x0123456789abcdef);
        digest = bench_mix(digest, nine(x, (int8_t)x, (uint16_t)x, x & 1, (int32_t)x,
                                        ~x, (uint8_t)x, (int64_t)x, (uint32_t)x));
    }
    return digest;
}

/* ---- memory ---- */

static __attribute__((noinline)) uint64_t use_stack(uint64_t size)
{
    uint8_t *block = __builtin_alloca(size);
    uint32_t array[size];
    for (uint64_t i = 0; i < size; i++) {
        block[i] = (uint8_t)(i * 7);
        array[i] = (uint32_t)(i * i);
    }
    uint64_t sum = 0;
    for (uint64_t i = 0; i < size; i++)
        sum = bench_mix(sum, block[size - 1 - i] + array[i]);
    return sum;
}

static uint64_t feature_stack(void)
{
    uint64_t digest = 0;
    for (uint64_t size = 1; size < 1000; size = size * 3 + 1)
        digest = bench_mix(digest, use_stack(opaque(size)));
    return digest;
}

struct fields {
    unsigned a : 3;
    int b : 5;
    uint64_t c : 33;
    int64_t d : 20;
    bool e : 1;
    uint64_t : 0;
    uint16_t f : 9;
};

static uint64_t feature_fields(void)
{
    struct fields x = {0};
    uint64_t digest = 0;
    for (unsigned i = 0; i < 40; i++) {
        x.a = (x.a + i) & 7;
        x.b = (int)((unsigned)(x.b * 3) + i) % 16;
        x.c = (x.c * 5 + opaque(i)) & 0x1ffffffff;
        x.d = (x.d * 7 - (int64_t)i) % 500000;
        x.e = !x.e;
        x.f = (x.f + x.a) & 511;
        digest =
            bench_mix(digest, x.a + (uint64_t)x.b + x.c + (uint64_t)x.d + x.e + x.f);
    }
    return digest;
}

struct large {
    uint64_t number;
    char text[50];
    uint16_t pair[2][3];
};

static __attribute__((noinline)) struct large turn(struct large x)
{
    x.number = ~x.number;
    x.pair[1][2] = (uint16_t)(x.pair[0][1] + 1);
    x.pair[0][1] = x.pair[1][0];
    memmove(x.text + 1, x.text, 20);
    x.text[0] = '<';
    return x;
}

static __attribute__((noinline)) struct pvm_bytes two_words(const char *text)
{
    return (struct pvm_bytes){(const uint8_t *)text, strlen(text)};
}

static uint64_t feature_structs(void)
{
    struct large list[4] = {{.number = opaque(1), .text = "one", .pair = {{1, 2, 3}}}};
    for (unsigned i = 1; i < 4; i++) {
        list[i] = turn(list[i - 1]);
        list[i].pair[1][0] = (uint16_t)(i * 1000);
    }
    struct pvm_bytes text = two_words(list[3].text);
    uint64_t digest = text.size;
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned k = 0; k < 6; k++)
            digest = bench_mix(digest, list[i].pair[k / 3][k % 3]);
        digest = bench_mix(digest, list[i].number + (uint8_t)list[i].text[i]);
    }
    return digest + text.data[0];
}

/* Every size, every offset, forwards and backwards over itself. */
static uint64_t feature_moves(void)
{
    static uint8_t area[256];
    uint64_t digest = 0;
    for (uint64_t size = 0; size < 70; size += 1 + size / 8) {
        for (uint64_t i = 0; i < sizeof area; i++)
            area[i] = (uint8_t)(i * i + i);
        memmove(area + 40 + opaque(size % 9), area + 40, size);
        memmove(area + 40, area + 40 + opaque(size % 7), size);
        memcpy(area + 129 + size % 5, area + 30, opaque(size));
        memset(area + 201, (int)size, opaque(size % 50));
        digest = bench_mix(digest, bench_digest(area, sizeof area));
        int order = memcmp(area, area + 128, opaque(size));
        digest = bench_mix(digest, order < 0 ? 1 : order > 0 ? 2 : 3);
    }
    return digest;
}

static uint64_t feature_unaligned(void)
{
    struct __attribute__((packed)) {
        uint8_t byte;
        uint32_t word;
        uint64_t number;
        int16_t half;
    } x[3] = {{0}};
    uint64_t digest = 0;
    for (unsigned i = 0; i < 30; i++) {
        x[i % 3].byte = (uint8_t)(x[i % 3].byte + i);
        x[i % 3].word += 0x01020304u * i;
        x[i % 3].number ^= opaque(0x1111111111111111) * i;
        x[i % 3].half = (int16_t)(x[i % 3].half - (int)(i * 1000));
        digest = bench_mix(digest, x[0].word + x[1].number + (uint64_t)x[2].half);
    }
    return digest;
}

static uint64_t feature_atomics(void)
{
    static uint64_t number;
    static uint32_t word;
    static uint16_t half;
    static uint8_t byte;
    uint64_t digest = 0;
    for (unsigned i = 1; i < 20; i++) {
        digest += __atomic_fetch_add(&number, opaque(i) << 33, __ATOMIC_SEQ_CST);
        digest += __atomic_exchange_n(&word, i * 3, __ATOMIC_ACQ_REL);
        digest ^= __atomic_fetch_xor(&half, (uint16_t)(i * 77), __ATOMIC_RELAXED);
        digest += __atomic_sub_fetch(&byte, (uint8_t)i, __ATOMIC_RELEASE);
        digest += __atomic_fetch_or(&number, 1, __ATOMIC_SEQ_CST);
        digest += __atomic_fetch_nand(&half, 0xff0, __ATOMIC_SEQ_CST);
        uint32_t expected = i % 2 != 0 ? i * 3 : 5;
        digest += __atomic_compare_exchange_n(&word, &expected, i, false,
                                              __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        digest = bench_mix(digest, expected + __atomic_load_n(&byte, __ATOMIC_ACQUIRE));
        __atomic_store_n(&half, (uint16_t)(half + i), __ATOMIC_SEQ_CST);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
    return bench_mix(digest, number + word + half + byte);
}

/* The heap is zero, 16-aligned, and ends; how large it is, the linker was told. */
static uint64_t feature_heap(void)
{
    struct pvm_arena arena = pvm_heap(), mark = arena;
    uint64_t digest = 0;
    for (uint64_t size = 1; size < 5000; size = size * 5 + 3) {
        uint8_t *block = pvm_alloc(&arena, size);
        if (block == NULL || (pvm_address(block) & 15) != 0 || block[size - 1] != 0)
            return 1;
        memset(block, (int)size, size);
        digest = bench_mix(digest, block[0]);
    }
    return bench_mix(digest, pvm_alloc(&arena, (uint64_t)1 << 62) == NULL &&
                                 pvm_alloc(&mark, 1) == pvm_heap().next);
}

/* ---- all of them ---- */

static const struct {
    const char *name;
    uint64_t (*run)(void);
} feature_list[] = {
    {"int128", feature_int128},       {"division", feature_division},
    {"bits", feature_bits},           {"overflow", feature_overflow},
    {"switch", feature_switch},       {"goto", feature_goto},
    {"pointers", feature_pointers},   {"weak", feature_weak},
    {"recursion", feature_recursion}, {"varargs", feature_varargs},
    {"many", feature_many},           {"stack", feature_stack},
    {"fields", feature_fields},       {"structs", feature_structs},
    {"moves", feature_moves},         {"unaligned", feature_unaligned},
    {"atomics", feature_atomics},     {"heap", feature_heap},
};

uint64_t main_(void)
{
    uint64_t digest = 0;
    for (unsigned i = 0; i < sizeof feature_list / sizeof feature_list[0]; i++) {
        uint64_t result = feature_list[i].run();
        host_put_text(&out, feature_list[i].name);
        host_put_byte(&out, ' ');
        host_put_hex(&out, result, 16);
        host_put_byte(&out, '\n');
        digest = bench_mix(digest, result);
    }
    host_flush(&out);
    return digest;
}

PVM_EXPORT(0, main_);
