/* SPDX-License-Identifier: MIT
 *
 * lz.c - benchmark: one round compresses 64 KiB of text-like data and expands it again.
 *
 * The format is that of an LZ4 block: a sequence is a token (4 bits literal count, 4
 * bits match size - 4), more bytes for a count of 15 and up, the literals, the match's
 * distance in two bytes, and more bytes for its size.  The last sequence has no match.
 * By the format's rules the last 5 bytes are literals and no match starts in the
 * last 12.
 *
 * The compressor is greedy, with one candidate per hash; it steps faster where nothing
 * matches.  The expander trusts nothing that it reads.
 */
#include "bench.h"

#define LZ_SIZE_MAX 65536 /* positions fit 16 bits, so every distance is allowed */
#define LZ_BOUND(size) ((size) + (size) / 255 + 16)

#define LZ_MATCH_MIN 4
#define LZ_START_LAST 12 /* bytes that follow the start of the last match, at least */
#define LZ_LITERALS_LAST 5

#define LZ_HASH_BITS 13
#define LZ_SKIP_SHIFT 6 /* the step grows by one every 64 misses */

static uint16_t lz_table[1 << LZ_HASH_BITS];

static uint32_t get32(const uint8_t *from)
{
    uint32_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

static uint64_t get64(const uint8_t *from)
{
    uint64_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

/* Copy in pieces of 8; up to 7 bytes past the end are read and written. */
static uint8_t *copy_wide(uint8_t *to, const uint8_t *from, size_t size)
{
    uint8_t *end = to + size;
    while (to < end) {
        memcpy(to, from, 8);
        to += 8;
        from += 8;
    }
    return end;
}

static size_t lz_hash(uint32_t word)
{
    return word * 2654435761u >> (32 - LZ_HASH_BITS);
}

/* How many bytes at a and b are equal, up to `end` behind a. */
static size_t equal_up_to(const uint8_t *a, const uint8_t *b, const uint8_t *end)
{
    const uint8_t *start = a;
    for (; end - a >= 8; a += 8, b += 8) {
        uint64_t difference = get64(a) ^ get64(b);
        if (difference)
            return (size_t)(a - start) + (size_t)__builtin_ctzll(difference) / 8;
    }
    while (a < end && *a == *b)
        a++, b++;
    return (size_t)(a - start);
}

/* What of a count does not fit the token's four bits. */
static uint8_t *count_put(uint8_t *to, size_t count)
{
    if (count < 15)
        return to;
    for (count -= 15; count >= 255; count -= 255)
        *to++ = 255;
    *to++ = (uint8_t)count;
    return to;
}

/* The first position from p to `last` whose four bytes were seen before, or NULL. */
static const uint8_t *find_match(const uint8_t *from, const uint8_t *p,
                                 const uint8_t *last, const uint8_t **ret_candidate)
{
    if (p > last)
        return NULL;
    for (size_t tries = 1 << LZ_SKIP_SHIFT;; tries++) {
        uint32_t word = get32(p);
        uint16_t *slot = &lz_table[lz_hash(word)];
        const uint8_t *candidate = from + *slot;
        *slot = (uint16_t)(p - from);
        if (get32(candidate) == word) {
            *ret_candidate = candidate;
            return p;
        }
        size_t step = tries >> LZ_SKIP_SHIFT;
        if ((size_t)(last - p) < step)
            return NULL;
        p += step;
    }
}

/* A sequence of literals and a match; `match` is its size - 4. */
static uint8_t *sequence_put(uint8_t *to, const uint8_t *literal, size_t literals,
                             size_t distance, size_t match)
{
    *to = (uint8_t)((literals < 15 ? literals : 15) << 4 | (match < 15 ? match : 15));
    to = count_put(to + 1, literals);
    to = copy_wide(to, literal, literals);
    *to++ = (uint8_t)distance;
    *to++ = (uint8_t)(distance >> 8);
    return count_put(to, match);
}

/* Compress up to LZ_SIZE_MAX bytes into LZ_BOUND(size) bytes; the result's size. */
static size_t lz_compress(uint8_t *to, const uint8_t *from, size_t size)
{
    const uint8_t *end = from + size, *anchor = from, *candidate, *p;
    uint8_t *out = to;
    if (size > LZ_START_LAST) {
        /* An empty slot means position 0, which is as good a guess as any. */
        memset(lz_table, 0, sizeof lz_table);
        p = from + 1;
        while ((p = find_match(from, p, end - LZ_START_LAST, &candidate))) {
            size_t match = equal_up_to(p + LZ_MATCH_MIN, candidate + LZ_MATCH_MIN,
                                       end - LZ_LITERALS_LAST);
            const uint8_t *match_end = p + LZ_MATCH_MIN + match;
            while (p > anchor && candidate > from && p[-1] == candidate[-1])
                p--, candidate--, match++;
            out = sequence_put(out, anchor, (size_t)(p - anchor),
                               (size_t)(p - candidate), match);
            anchor = p = match_end;
            lz_table[lz_hash(get32(p - 2))] = (uint16_t)(p - 2 - from);
        }
    }
    size_t literals = (size_t)(end - anchor);
    *out = (uint8_t)((literals < 15 ? literals : 15) << 4);
    out = count_put(out + 1, literals);
    memcpy(out, anchor, literals);
    return (size_t)(out - to) + literals;
}

/* Add the bytes that follow a count of 15; NULL if they end too early. */
static const uint8_t *count_get(const uint8_t *in, const uint8_t *end, size_t *count)
{
    uint8_t byte;
    do {
        if (in == end)
            return NULL;
        byte = *in++;
        *count += byte;
    } while (byte == 255);
    return in;
}

/* Copy what may overlap its own result; `room` is what the buffer has left. */
static uint8_t *copy_match(uint8_t *to, size_t distance, size_t size, size_t room)
{
    const uint8_t *from = to - distance;
    if (distance >= 8 && room >= size + 8)
        return copy_wide(to, from, size);
    for (uint8_t *end = to + size; to < end;)
        *to++ = *from++;
    return to;
}

/* False if the block is malformed or has more than `room` bytes in it. */
static bool lz_expand(uint8_t *to, size_t room, const uint8_t *in, size_t in_size,
                      size_t *ret_size)
{
    const uint8_t *in_end = in + in_size;
    uint8_t *out = to, *out_end = to + room;
    while (in < in_end) {
        uint8_t token = *in++;
        size_t literals = token >> 4, match = token & 15, distance;
        if (literals == 15 && !(in = count_get(in, in_end, &literals)))
            return false;
        size_t in_left = (size_t)(in_end - in), out_left = (size_t)(out_end - out);
        if (literals > in_left || literals > out_left)
            return false;
        if (in_left >= literals + 8 && out_left >= literals + 8)
            copy_wide(out, in, literals);
        else
            memcpy(out, in, literals);
        in += literals;
        out += literals;
        if (in == in_end) {
            *ret_size = (size_t)(out - to);
            return true;
        }
        if (in_end - in < 2)
            return false;
        distance = (size_t)in[0] | (size_t)in[1] << 8;
        in += 2;
        if (distance == 0 || distance > (size_t)(out - to))
            return false;
        if (match == 15 && !(in = count_get(in, in_end, &match)))
            return false;
        match += LZ_MATCH_MIN;
        out_left = (size_t)(out_end - out);
        if (match > out_left)
            return false;
        out = copy_match(out, distance, match, out_left);
    }
    return false; /* the last sequence must end with its literals */
}

/* ---- The benchmark ---- */

#define TEXT_SIZE 131072
#define WORD_COUNT 1024
#define WORD_SIZE_MAX 12

static uint8_t text[TEXT_SIZE];
static uint8_t packed[LZ_BOUND(LZ_SIZE_MAX)];
static uint8_t unpacked[LZ_SIZE_MAX];
static uint8_t word_size[WORD_COUNT];
static uint8_t word_letters[WORD_COUNT][WORD_SIZE_MAX];

/*
 * Words of 2 to 12 letters, as frequent as letters are in English; low word numbers are
 * chosen far more often than high ones; now and then a full stop and a line's end.
 */
static void text_make(void)
{
    uint64_t seed = BENCH_SEED;
    static const char letters[] =
        "eeeeeeeettttttaaaaaooooonnnniiiisssshhhhrrrrdddllluuccmmwwfgypbk";
    for (size_t i = 0; i < WORD_COUNT; i++) {
        uint64_t random = bench_random(&seed);
        word_size[i] =
            (uint8_t)(2 + random % 4 + (random >> 8) % 4 + (random >> 16) % 5);
        for (size_t j = 0; j < word_size[i]; j++)
            word_letters[i][j] = (uint8_t)letters[bench_random(&seed) >> 58];
    }
    for (size_t at = 0; at < TEXT_SIZE;) {
        uint64_t random = bench_random(&seed);
        size_t index = (random >> 10 & 1023) * (random >> 20 & 1023) >> 10;
        for (size_t j = 0; j < word_size[index] && at < TEXT_SIZE; j++)
            text[at++] = word_letters[index][j];
        if (at < TEXT_SIZE && (random >> 30 & 15) == 0)
            text[at++] = '.';
        if (at < TEXT_SIZE)
            text[at++] = (random >> 34 & 15) == 0 ? '\n' : ' ';
    }
}

uint64_t bench(uint64_t n)
{
    uint64_t digest = 0;
    text_make();
    for (uint64_t i = 0; i < n; i++) {
        /* Another window each time, at any alignment. */
        const uint8_t *window = text + i * 7919 % (TEXT_SIZE - LZ_SIZE_MAX + 1);
        size_t packed_size = lz_compress(packed, window, LZ_SIZE_MAX), size = 0;
        size_t words_size = (packed_size + 7) & ~(size_t)7; /* what digests take */
        memset(packed + packed_size, 0, words_size - packed_size);
        digest = bench_mix(digest, packed_size);
        digest = bench_mix(digest, bench_digest(packed, words_size));
        if (!lz_expand(unpacked, sizeof unpacked, packed, packed_size, &size) ||
            size != LZ_SIZE_MAX || memcmp(unpacked, window, size) != 0)
            pvm_panic();
    }
    return digest;
}

PVM_EXPORT(0, bench);
