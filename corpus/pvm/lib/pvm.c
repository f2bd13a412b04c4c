/* SPDX-License-Identifier: MIT
 *
 * pvm.c - the functions that compilers call: memory, 128-bit numbers, atomics.
 *
 * Compiled with -ffreestanding -fno-builtin, or memcpy would be compiled to a call of
 * memcpy.  The PVM has no alignment rule and moves eight bytes as fast as one, so every
 * loop moves words, and a rest is one more piece that overlaps the last one.  No
 * function touches a byte outside its operands, but strlen, which stays inside the word
 * that the text ends in.
 */
#include "pvm.h"

typedef uint64_t word __attribute__((aligned(1), may_alias));
typedef uint32_t half __attribute__((aligned(1), may_alias));
typedef uint16_t quarter __attribute__((aligned(1), may_alias));

/* ---- memory ---- */

static inline uint64_t get8(const uint8_t *at)
{
    return *(const word *)at;
}

static inline void put8(uint8_t *at, uint64_t value)
{
    *(word *)at = value;
}

/* Up to seven bytes that may overlap: all reads come before the writes. */
static inline void copy_short(uint8_t *to, const uint8_t *from, size_t size)
{
    if (size >= 4) {
        uint32_t head = *(const half *)from;
        uint32_t tail = *(const half *)(from + size - 4);
        *(half *)to = head;
        *(half *)(to + size - 4) = tail;
    } else if (size >= 2) {
        uint16_t head = *(const quarter *)from;
        uint8_t tail = from[size - 1];
        *(quarter *)to = head;
        to[size - 1] = tail;
    } else if (size == 1) {
        *to = *from;
    }
}

/* Two words at a time: four need registers that would have to be saved first. */
static inline void copy_pair(uint8_t *to, const uint8_t *from)
{
    uint64_t a = get8(from), b = get8(from + 8);
    put8(to, a);
    put8(to + 8, b);
}

static inline void copy_32(uint8_t *to, const uint8_t *from)
{
    copy_pair(to, from);
    copy_pair(to + 16, from + 16);
}

static inline void copy_64(uint8_t *to, const uint8_t *from)
{
    copy_32(to, from);
    copy_32(to + 32, from + 32);
}

/* Eight bytes and more that do not overlap: a first and a last piece, which may share
 * bytes, so that there is one branch for each doubling of the size. */
static inline void copy_apart(uint8_t *to, const uint8_t *from, size_t size)
{
    if (size <= 16) {
        put8(to, get8(from));
        put8(to + size - 8, get8(from + size - 8));
    } else if (size <= 32) {
        copy_pair(to, from);
        copy_pair(to + size - 16, from + size - 16);
    } else if (size <= 64) {
        copy_32(to, from);
        copy_32(to + size - 32, from + size - 32);
    } else {
        const uint8_t *last = from + size - 64;
        uint8_t *to_last = to + size - 64;
        do {
            copy_64(to, from);
            from += 64;
            to += 64;
        } while (from < last);
        copy_64(to_last, last);
    }
}

/* Right for `to` below `from`, too.  The last word is read first, since by the end it
 * may have been overwritten. */
static inline void copy_up(uint8_t *to, const uint8_t *from, size_t size)
{
    uint64_t tail = get8(from + size - 8);
    uint8_t *last = to + size - 8;
    for (; size >= 32; size -= 32, from += 32, to += 32)
        copy_32(to, from);
    for (; size > 8; size -= 8, from += 8, to += 8)
        put8(to, get8(from));
    put8(last, tail);
}

static inline void copy_down(uint8_t *to, const uint8_t *from, size_t size)
{
    uint64_t head = get8(from);
    while (size >= 32) {
        size -= 32;
        copy_pair(to + size + 16, from + size + 16);
        copy_pair(to + size, from + size);
    }
    while (size > 8) {
        size -= 8;
        put8(to + size, get8(from + size));
    }
    put8(to, head);
}

/* Without `restrict`, or the two pairs of copy_32 become one group of four. */
void *memcpy(void *to, const void *from, size_t size)
{
    if (size >= 8)
        copy_apart(to, from, size);
    else
        copy_short(to, from, size);
    return to;
}

void *memmove(void *to, const void *from, size_t size)
{
    uint64_t up = pvm_address(from) - pvm_address(to), down = -up;
    if (up >= size && down >= size)
        return memcpy(to, from, size);
    if (size < 8)
        copy_short(to, from, size);
    else if (down >= size)
        copy_up(to, from, size);
    else
        copy_down(to, from, size);
    return to;
}

static inline void set_pair(uint8_t *to, uint64_t value)
{
    put8(to, value);
    put8(to + 8, value);
}

static inline void set_32(uint8_t *to, uint64_t value)
{
    set_pair(to, value);
    set_pair(to + 16, value);
}

static inline void set_64(uint8_t *to, uint64_t value)
{
    set_32(to, value);
    set_32(to + 32, value);
}

/* Eight bytes and more, in pieces as in copy_apart(). */
static inline void set_long(uint8_t *to, uint64_t value, size_t size)
{
    if (size <= 16) {
        put8(to, value);
        put8(to + size - 8, value);
    } else if (size <= 32) {
        set_pair(to, value);
        set_pair(to + size - 16, value);
    } else if (size <= 64) {
        set_32(to, value);
        set_32(to + size - 32, value);
    } else {
        uint8_t *last = to + size - 64;
        do {
            set_64(to, value);
            to += 64;
        } while (to < last);
        set_64(last, value);
    }
}

void *memset(void *to, int byte, size_t size)
{
    uint64_t value = (uint8_t)byte * 0x0101010101010101u;
    uint8_t *at = to;
    if (size >= 8) {
        set_long(to, value, size);
        return to;
    }
    while (size-- > 0)
        *at++ = (uint8_t)value;
    return to;
}

/* The first byte in memory decides, and that is the lowest of a word. */
static inline int order(uint64_t a, uint64_t b)
{
    a = __builtin_bswap64(a);
    b = __builtin_bswap64(b);
    return a < b ? -1 : a > b;
}

/* Where two words differ. */
static inline uint64_t differ(const uint8_t *p, const uint8_t *q)
{
    return get8(p) ^ get8(q);
}

/* If the compiler saw through this, it would branch at each word, or load so many at
 * once that registers have to be saved. */
static inline uint64_t differ_32(const uint8_t *p, const uint8_t *q)
{
    uint64_t any = differ(p, q);
    for (unsigned i = 8; i < 32; i += 8) {
        __asm__ volatile("" : "+r"(any));
        any |= differ(p + i, q + i);
    }
    __asm__ volatile("" : "+r"(any));
    return any;
}

/* Of at most seven bytes. */
static inline int order_short(const uint8_t *p, const uint8_t *q, size_t size)
{
    for (; size > 0; size--, p++, q++) {
        if (*p != *q)
            return *p - *q;
    }
    return 0;
}

/* One branch for 32 bytes; where something differs, words find out where.  The last
 * word may overlap the one before, which is equal. */
int memcmp(const void *a, const void *b, size_t size)
{
    const uint8_t *p = a, *q = b;
    if (size < 8)
        return order_short(p, q, size);
    const uint8_t *last = p + size - 8, *end = p + (size & ~(size_t)31);
    for (; p != end && differ_32(p, q) == 0; p += 32, q += 32)
        continue;
    for (; p < last; p += 8, q += 8) {
        if (differ(p, q) != 0)
            return order(get8(p), get8(q));
    }
    return order(get8(last), get8(q - (p - last)));
}

int bcmp(const void *a, const void *b, size_t size);
int bcmp(const void *a, const void *b, size_t size)
{
    return memcmp(a, b, size);
}

/* Reads whole aligned words: they lie in one page with the byte that is asked for.  The
 * attribute, and no get8() here, are for native tests. */
__attribute__((no_sanitize("address"))) size_t strlen(const char *text)
{
    const uint64_t low = 0x0101010101010101u, high = 0x8080808080808080u;
    const uint64_t skip = pvm_address(text) & 7;
    const uint8_t *at = (const uint8_t *)text - skip;
    /* Bytes in front of the text become nonzero. */
    uint64_t chunk = *(const word *)at | ((1ull << skip * 8) - 1), zero;
    while ((zero = (chunk - low) & ~chunk & high) == 0) {
        at += 8;
        chunk = *(const word *)at;
    }
    return (size_t)(at - (const uint8_t *)text) + (unsigned)__builtin_ctzll(zero) / 8;
}

/* ---- 128-bit division ---- */

typedef unsigned __int128 u128;
typedef __int128 i128;

u128 __udivti3(u128 a, u128 b);
u128 __umodti3(u128 a, u128 b);
i128 __divti3(i128 a, i128 b);
i128 __modti3(i128 a, i128 b);

/* One digit of base 2^32 of the quotient: (high:digit) / b for a normalised b and
 * high < b.  The estimate from the upper half of b is at most two too large. */
static uint64_t quotient_digit(uint64_t high, uint64_t digit, uint64_t b,
                               uint64_t *ret_rest)
{
    uint64_t b1 = b >> 32, b0 = (uint32_t)b;
    uint64_t q = high / b1, rest = high % b1;
    while (q >> 32 != 0 || q * b0 > (rest << 32 | digit)) {
        q--;
        rest += b1;
        if (rest >> 32 != 0)
            break;
    }
    *ret_rest = (high << 32 | digit) - q * b;
    return q;
}

/* (high:low) / b for high < b: the quotient fits 64 bits (Knuth 4.3.1, algorithm D). */
static uint64_t divide_word(uint64_t high, uint64_t low, uint64_t b, uint64_t *ret_rest)
{
    unsigned shift = (unsigned)__builtin_clzll(b);
    b <<= shift;
    if (shift != 0)
        high = high << shift | low >> (64 - shift);
    low <<= shift;
    uint64_t rest;
    uint64_t q1 = quotient_digit(high, low >> 32, b, &rest);
    uint64_t q0 = quotient_digit(rest, (uint32_t)low, b, &rest);
    *ret_rest = rest >> shift;
    return q1 << 32 | q0;
}

/* By zero: all ones and the dividend, as the machine's own division answers. */
static u128 divide(u128 a, u128 b, u128 *ret_rest)
{
    uint64_t a1 = (uint64_t)(a >> 64), a0 = (uint64_t)a;
    uint64_t b1 = (uint64_t)(b >> 64), b0 = (uint64_t)b;
    if (b == 0) {
        *ret_rest = a;
        return ~(u128)0;
    }
    if (b1 == 0) {
        uint64_t rest;
        uint64_t q1 = a1 / b0;
        uint64_t q0 = divide_word(a1 % b0, a0, b0, &rest);
        *ret_rest = rest;
        return (u128)q1 << 64 | q0;
    }
    /* b has at least 65 bits.  Divide by its upper 64 bits; the estimate, made from
     * a / 2 so that it fits, is the quotient or one more. */
    unsigned shift = (unsigned)__builtin_clzll(b1);
    uint64_t upper = (uint64_t)((b << shift) >> 64), unused;
    uint64_t q = divide_word(a1 >> 1, (uint64_t)(a >> 1), upper, &unused);
    q >>= 63 - shift;
    if (q != 0)
        q--;
    u128 rest = a - (u128)q * b;
    if (rest >= b) {
        rest -= b;
        q++;
    }
    *ret_rest = rest;
    return q;
}

u128 __udivti3(u128 a, u128 b)
{
    u128 rest;
    return divide(a, b, &rest);
}

u128 __umodti3(u128 a, u128 b)
{
    u128 rest;
    divide(a, b, &rest);
    return rest;
}

static u128 magnitude(i128 a)
{
    return a < 0 ? -(u128)a : (u128)a;
}

i128 __divti3(i128 a, i128 b)
{
    u128 rest, q = divide(magnitude(a), magnitude(b), &rest);
    return (i128)((a < 0) != (b < 0) ? -q : q);
}

i128 __modti3(i128 a, i128 b)
{
    u128 rest;
    divide(magnitude(a), magnitude(b), &rest);
    return (i128)(a < 0 ? -rest : rest);
}

/* ---- 128-bit shifts, which -Oz calls.  From halves, or they would call themselves
 * ---- */

u128 __ashlti3(u128 a, int n);
u128 __lshrti3(u128 a, int n);
i128 __ashrti3(i128 a, int n);

union halves {
    u128 whole;
    struct {
        uint64_t low, high;
    } half;
};

u128 __ashlti3(u128 a, int n)
{
    union halves x = {.whole = a};
    if (n >= 64) {
        x.half.high = x.half.low << (n - 64);
        x.half.low = 0;
    } else if (n > 0) {
        x.half.high = x.half.high << n | x.half.low >> (64 - n);
        x.half.low <<= n;
    }
    return x.whole;
}

u128 __lshrti3(u128 a, int n)
{
    union halves x = {.whole = a};
    if (n >= 64) {
        x.half.low = x.half.high >> (n - 64);
        x.half.high = 0;
    } else if (n > 0) {
        x.half.low = x.half.low >> n | x.half.high << (64 - n);
        x.half.high >>= n;
    }
    return x.whole;
}

i128 __ashrti3(i128 a, int n)
{
    union halves x = {.whole = (u128)a};
    if (n >= 64) {
        x.half.low = (uint64_t)((int64_t)x.half.high >> (n - 64));
        x.half.high = (uint64_t)((int64_t)x.half.high >> 63);
    } else if (n > 0) {
        x.half.low = x.half.low >> n | x.half.high << (64 - n);
        x.half.high = (uint64_t)((int64_t)x.half.high >> n);
    }
    return (i128)x.whole;
}

/* ---- atomics: one thread, so plain code does ---- */

/* A native test gives them other names, since gcc takes these for its own. */
#ifndef ATOMIC
#define ATOMIC(name, size) __atomic_##name##_##size
#endif

#define ATOMICS(size, type)                                                            \
    type ATOMIC(load, size)(const volatile void *at, int model);                       \
    type ATOMIC(load, size)(const volatile void *at, int model)                        \
    {                                                                                  \
        (void)model;                                                                   \
        return *(const volatile type *)at;                                             \
    }                                                                                  \
    void ATOMIC(store, size)(volatile void *at, type value, int model);                \
    void ATOMIC(store, size)(volatile void *at, type value, int model)                 \
    {                                                                                  \
        (void)model;                                                                   \
        *(volatile type *)at = value;                                                  \
    }                                                                                  \
    bool ATOMIC(compare_exchange, size)(volatile void *at, void *expected,             \
                                        type desired, int success, int failure);       \
    bool ATOMIC(compare_exchange, size)(volatile void *at, void *expected,             \
                                        type desired, int success, int failure)        \
    {                                                                                  \
        (void)success;                                                                 \
        (void)failure;                                                                 \
        type old = *(volatile type *)at;                                               \
        if (old == *(type *)expected) {                                                \
            *(volatile type *)at = desired;                                            \
            return true;                                                               \
        }                                                                              \
        *(type *)expected = old;                                                       \
        return false;                                                                  \
    }                                                                                  \
    UPDATE(exchange, size, type, value)                                                \
    UPDATE(fetch_add, size, type, old + value)                                         \
    UPDATE(fetch_sub, size, type, old - value)                                         \
    UPDATE(fetch_and, size, type, old &value)                                          \
    UPDATE(fetch_or, size, type, old | value)                                          \
    UPDATE(fetch_xor, size, type, old ^ value)                                         \
    UPDATE(fetch_nand, size, type, ~(old & value))

/* Answers what was there before. */
#define UPDATE(name, size, type, result)                                               \
    type ATOMIC(name, size)(volatile void *at, type value, int model);                 \
    type ATOMIC(name, size)(volatile void *at, type value, int model)                  \
    {                                                                                  \
        (void)model;                                                                   \
        type old = *(volatile type *)at;                                               \
        *(volatile type *)at = (type)(result);                                         \
        return old;                                                                    \
    }

ATOMICS(1, uint8_t)
ATOMICS(2, uint16_t)
ATOMICS(4, uint32_t)
ATOMICS(8, uint64_t)
