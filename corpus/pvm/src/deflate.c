/* SPDX-License-Identifier: MIT
 *
 * deflate.c - benchmark: one round deflates and inflates 32 KiB of a log.
 *
 * The format is RFC 1951's.  The compressor looks for matches in hash chains, puts a
 * match off if the next position has a longer one, and writes each block in whichever
 * of the three ways is shortest.  The expander trusts nothing that it reads.
 */
#include "bench.h"

#define WINDOW_SIZE 32768
#define MATCH_MIN 3
#define MATCH_MAX 258

#define SIZE_COUNT 29
#define LITERAL_COUNT (257 + SIZE_COUNT) /* bytes, a block's end, sizes of matches */
#define DISTANCE_COUNT 30
#define ORDER_COUNT 19     /* symbols of the code in which codes are written */
#define CODE_COUNT_MAX 288 /* the fixed codes have a few unused ones */
#define BITS_MAX 15
#define BLOCK_END 256

enum block_kind { BLOCK_STORED, BLOCK_FIXED, BLOCK_DYNAMIC };

static const uint16_t size_base[SIZE_COUNT] = {
    3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
    31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
static const uint8_t size_extra[SIZE_COUNT] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1,
                                               1, 1, 2, 2, 2, 2, 3, 3, 3, 3,
                                               4, 4, 4, 4, 5, 5, 5, 5, 0};
static const uint16_t distance_base[DISTANCE_COUNT] = {
    1,    2,    3,    4,    5,    7,    9,    13,    17,    25,
    33,   49,   65,   97,   129,  193,  257,  385,   513,   769,
    1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
static const uint8_t distance_extra[DISTANCE_COUNT] = {
    0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
    6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};

/* In which order the sizes of that code's codes are written. */
static const uint8_t order_of_sizes[ORDER_COUNT] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                    11, 4,  12, 3, 13, 2, 14, 1, 15};

static uint32_t peek16(const uint8_t *from)
{
    uint16_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

static uint32_t peek32(const uint8_t *from)
{
    uint32_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

static uint64_t peek64(const uint8_t *from)
{
    uint64_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

/* ---- Huffman codes ---- */

/* For each symbol its code's size, 0 for none, and the code, first bit lowest. */
struct code {
    uint8_t size[CODE_COUNT_MAX];
    uint16_t bits[CODE_COUNT_MAX];
};

static uint16_t bits_reversed(unsigned bits, unsigned count)
{
    unsigned reversed = 0;
    for (; count; count--, bits >>= 1)
        reversed = reversed << 1 | (bits & 1);
    return (uint16_t)reversed;
}

/* Codes in order of size, then of symbol: RFC 1951 3.2.2. */
static void code_assign(struct code *code, size_t count)
{
    unsigned of_size[BITS_MAX + 1] = {0}, next[BITS_MAX + 1] = {0};
    for (size_t i = 0; i < count; i++)
        of_size[code->size[i]]++;
    of_size[0] = 0;
    for (unsigned size = 1; size <= BITS_MAX; size++)
        next[size] = (next[size - 1] + of_size[size - 1]) << 1;
    for (size_t i = 0; i < count; i++) {
        unsigned size = code->size[i];
        if (size)
            code->bits[i] = bits_reversed(next[size]++, size);
    }
}

static void sizes_fill(struct code *code, size_t from, size_t to, uint8_t size)
{
    memset(code->size + from, size, to - from);
}

/* The codes of RFC 1951 3.2.6. */
static void code_fixed(struct code *ret_literal, struct code *ret_distance)
{
    sizes_fill(ret_literal, 0, 144, 8);
    sizes_fill(ret_literal, 144, 256, 9);
    sizes_fill(ret_literal, 256, 280, 7);
    sizes_fill(ret_literal, 280, 288, 8);
    sizes_fill(ret_distance, 0, 32, 5);
    code_assign(ret_literal, 288);
    code_assign(ret_distance, 32);
}

static void sort(uint32_t *key, size_t count)
{
    for (size_t gap = 121; gap; gap /= 3) { /* Shell's: 121, 40, 13, 4, 1 */
        for (size_t i = gap; i < count; i++) {
            uint32_t moved = key[i];
            size_t j = i;
            for (; j >= gap && key[j - gap] > moved; j -= gap)
                key[j] = key[j - gap];
            key[j] = moved;
        }
    }
}

/*
 * How many codes of each size Huffman's algorithm gives for `count` >= 2 weights in
 * ascending order; what would be longer than `size_max` has that size.
 */
static void huffman_sizes(unsigned of_size[BITS_MAX + 1], const uint32_t *leaf,
                          size_t count, unsigned size_max)
{
    uint32_t weight[2 * CODE_COUNT_MAX];
    uint16_t parent[2 * CODE_COUNT_MAX], depth[2 * CODE_COUNT_MAX];
    size_t next_leaf = 0, next_node = count, root = 2 * count - 2;
    memcpy(weight, leaf, count * sizeof *leaf);
    /* Both the leaves and the nodes made of them come in ascending order. */
    for (size_t node = count; node <= root; node++) {
        weight[node] = 0;
        for (int child = 0; child < 2; child++) {
            size_t least = next_node == node || (next_leaf < count &&
                                                 weight[next_leaf] <= weight[next_node])
                               ? next_leaf++
                               : next_node++;
            weight[node] += weight[least];
            parent[least] = (uint16_t)node;
        }
    }
    memset(of_size, 0, (BITS_MAX + 1) * sizeof *of_size);
    depth[root] = 0;
    for (size_t node = root; node-- > 0;) {
        depth[node] = (uint16_t)(depth[parent[node]] + 1);
        if (node < count)
            of_size[depth[node] < size_max ? depth[node] : size_max]++;
    }
}

/* Make room for the codes that were cut: what all codes take must be exactly 1. */
static void sizes_balance(unsigned of_size[BITS_MAX + 1], unsigned size_max)
{
    unsigned taken = 0;
    for (unsigned size = 1; size <= size_max; size++)
        taken += of_size[size] << (size_max - size);
    for (; taken > 1u << size_max; taken--) {
        /* A shorter code grows by one bit, and one of the longest goes beside it. */
        unsigned size = size_max - 1;
        while (!of_size[size])
            size--;
        of_size[size]--;
        of_size[size + 1] += 2;
        of_size[size_max]--;
    }
}

/*
 * A code for these frequencies.  There are always two codes at least, used or not: a
 * single one would leave half of them undefined, which some expanders refuse.
 */
static void code_make(struct code *code, const uint32_t *frequency, size_t count,
                      unsigned size_max)
{
    uint32_t key[CODE_COUNT_MAX], weight[CODE_COUNT_MAX];
    unsigned of_size[BITS_MAX + 1];
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (frequency[i])
            key[used++] = frequency[i] << 9 | (uint32_t)i;
    }
    for (size_t i = 0; used < 2; i++) {
        if (!frequency[i])
            key[used++] = 1 << 9 | (uint32_t)i;
    }
    sort(key, used);
    for (size_t i = 0; i < used; i++)
        weight[i] = key[i] >> 9;
    huffman_sizes(of_size, weight, used, size_max);
    sizes_balance(of_size, size_max);
    memset(code->size, 0, sizeof code->size);
    size_t rarest = 0;
    for (unsigned size = size_max; size > 0; size--) {
        for (unsigned i = 0; i < of_size[size]; i++)
            code->size[key[rarest++] & 511] = (uint8_t)size;
    }
    code_assign(code, count);
}

/* ---- Deflate ---- */

#define DEFLATE_SIZE_MAX 65535 /* positions + 1 fit 16 bits */
#define TOKEN_MAX 8192         /* per block */
/* A block is never longer than stored; the rest is room for whole words. */
#define DEFLATE_BOUND(size) ((size) + 5 * ((size) / TOKEN_MAX + 1) + 16)

/* How hard to look: between the usual levels 7 and 8. */
#define CHAIN_MAX 512 /* candidates per position */
#define CHAIN_GOOD 32 /* a quarter of them if the match before is that long */
#define LAZY_MAX 64   /* none if it is that long */
#define FAR 4096      /* a match of 3 from beyond is longer than its literals */

#define HASH_BITS 15

static uint16_t chain_head[1 << HASH_BITS]; /* position + 1; 0 ends a chain */
static uint16_t chain_next[WINDOW_SIZE];

/* A literal (distance 0) or a match. */
struct token {
    uint16_t value; /* the byte; the size */
    uint16_t distance;
};

struct deflate {
    uint8_t *out;
    uint64_t bits; /* below 32 of them between two calls */
    unsigned bit_count;
    const uint8_t *data;
    size_t block_start, block_size;
    size_t token_count;
    uint32_t literal_frequency[LITERAL_COUNT];
    uint32_t distance_frequency[DISTANCE_COUNT];
    struct token token[TOKEN_MAX];
};

static void bits_put(struct deflate *d, uint64_t bits, unsigned count)
{
    d->bits |= bits << d->bit_count;
    d->bit_count += count;
    if (d->bit_count >= 32) {
        uint32_t word = (uint32_t)d->bits;
        memcpy(d->out, &word, sizeof word);
        d->out += 4;
        d->bits >>= 32;
        d->bit_count -= 32;
    }
}

/* Fill the last byte with zeros and write all there is. */
static void bits_flush(struct deflate *d)
{
    for (; d->bit_count > 0; d->bits >>= 8) {
        *d->out++ = (uint8_t)d->bits;
        d->bit_count -= d->bit_count < 8 ? d->bit_count : 8;
    }
}

static unsigned bit_width(size_t value)
{
    return 64 - (unsigned)__builtin_clzll(value);
}

/* Which entry of size_base a match's size belongs to. */
static unsigned size_symbol(size_t size)
{
    size_t value = size - MATCH_MIN;
    if (size == MATCH_MAX)
        return 28;
    if (value < 8)
        return (unsigned)value;
    /* From here on there are four entries for each power of two. */
    unsigned extra = bit_width(value) - 3;
    return extra * 4 + (unsigned)(value >> extra);
}

static unsigned distance_symbol(size_t distance)
{
    size_t value = distance - 1;
    if (value < 4)
        return (unsigned)value;
    unsigned extra = bit_width(value) - 2;
    return extra * 2 + (unsigned)(value >> extra);
}

/* The sizes of two codes as they are written: runs are symbols 16, 17 and 18. */
struct code_sizes {
    size_t literal_count, distance_count, run_count;
    struct {
        uint8_t symbol, extra;
    } run[LITERAL_COUNT + DISTANCE_COUNT];
    struct code code;   /* of the symbols of runs */
    size_t order_count; /* how many of that code's sizes are written */
    size_t bits;        /* what all of this takes */
};

static const uint8_t run_extra_bits[ORDER_COUNT] = {[16] = 2, [17] = 3, [18] = 7};

static size_t count_used(const struct code *code, size_t count, size_t least)
{
    while (count > least && code->size[count - 1] == 0)
        count--;
    return count;
}

static void run_push(struct code_sizes *c, unsigned symbol, size_t extra)
{
    c->run[c->run_count].symbol = (uint8_t)symbol;
    c->run[c->run_count++].extra = (uint8_t)extra;
}

/* `count` codes of one size. */
static void runs_push(struct code_sizes *c, unsigned size, size_t count)
{
    while (size == 0 && count >= 3) {
        size_t part = count < 138 ? count : 138;
        run_push(c, part < 11 ? 17 : 18, part - (part < 11 ? 3 : 11));
        count -= part;
    }
    if (count) {
        run_push(c, size, 0);
        count--;
    }
    while (count >= 3) {
        size_t part = count < 6 ? count : 6;
        run_push(c, 16, part - 3);
        count -= part;
    }
    for (; count; count--)
        run_push(c, size, 0);
}

static void code_sizes_make(struct code_sizes *c, const struct code *literal,
                            const struct code *distance)
{
    uint8_t size[LITERAL_COUNT + DISTANCE_COUNT];
    uint32_t frequency[ORDER_COUNT] = {0};
    c->literal_count = count_used(literal, LITERAL_COUNT, 257);
    c->distance_count = count_used(distance, DISTANCE_COUNT, 1);
    c->run_count = 0;
    size_t count = c->literal_count + c->distance_count;
    memcpy(size, literal->size, c->literal_count);
    memcpy(size + c->literal_count, distance->size, c->distance_count);
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && size[end] == size[i];)
            end++;
        runs_push(c, size[i], end - i);
    }
    for (size_t i = 0; i < c->run_count; i++)
        frequency[c->run[i].symbol]++;
    code_make(&c->code, frequency, ORDER_COUNT, 7);
    c->order_count = ORDER_COUNT;
    while (c->order_count > 4 && c->code.size[order_of_sizes[c->order_count - 1]] == 0)
        c->order_count--;
    c->bits = 14 + 3 * c->order_count;
    for (size_t i = 0; i < ORDER_COUNT; i++)
        c->bits += frequency[i] * (size_t)(c->code.size[i] + run_extra_bits[i]);
}

static void code_sizes_put(struct deflate *d, const struct code_sizes *c)
{
    bits_put(d, c->literal_count - 257, 5);
    bits_put(d, c->distance_count - 1, 5);
    bits_put(d, c->order_count - 4, 4);
    for (size_t i = 0; i < c->order_count; i++)
        bits_put(d, c->code.size[order_of_sizes[i]], 3);
    for (size_t i = 0; i < c->run_count; i++) {
        unsigned symbol = c->run[i].symbol;
        bits_put(d, c->code.bits[symbol], c->code.size[symbol]);
        bits_put(d, c->run[i].extra, run_extra_bits[symbol]);
    }
}

/* The bits that the block's tokens take with these codes. */
static size_t tokens_bits(const struct deflate *d, const struct code *literal,
                          const struct code *distance)
{
    size_t bits = 0;
    for (size_t i = 0; i < LITERAL_COUNT; i++) {
        unsigned extra = i > BLOCK_END ? size_extra[i - BLOCK_END - 1] : 0;
        bits += d->literal_frequency[i] * (size_t)(literal->size[i] + extra);
    }
    for (size_t i = 0; i < DISTANCE_COUNT; i++)
        bits +=
            d->distance_frequency[i] * (size_t)(distance->size[i] + distance_extra[i]);
    return bits;
}

static void tokens_put(struct deflate *d, const struct code *literal,
                       const struct code *distance)
{
    for (size_t i = 0; i < d->token_count; i++) {
        struct token t = d->token[i];
        if (!t.distance) {
            bits_put(d, literal->bits[t.value], literal->size[t.value]);
            continue;
        }
        unsigned entry = size_symbol(t.value), symbol = BLOCK_END + 1 + entry;
        uint64_t extra = (uint64_t)t.value - size_base[entry];
        bits_put(d, literal->bits[symbol] | extra << literal->size[symbol],
                 literal->size[symbol] + (unsigned)size_extra[entry]);
        symbol = distance_symbol(t.distance);
        extra = (uint64_t)t.distance - distance_base[symbol];
        bits_put(d, distance->bits[symbol] | extra << distance->size[symbol],
                 distance->size[symbol] + (unsigned)distance_extra[symbol]);
    }
    bits_put(d, literal->bits[BLOCK_END], literal->size[BLOCK_END]);
}

static void stored_put(struct deflate *d)
{
    bits_flush(d);
    bits_put(d, d->block_size | (d->block_size ^ 0xffff) << 16, 32);
    memcpy(d->out, d->data + d->block_start, d->block_size);
    d->out += d->block_size;
}

/* Write the block that was collected, the shortest way, and begin another. */
static void block_put(struct deflate *d, bool last)
{
    static struct code literal, distance, fixed_literal, fixed_distance;
    static struct code_sizes sizes;
    d->literal_frequency[BLOCK_END] = 1;
    code_make(&literal, d->literal_frequency, LITERAL_COUNT, BITS_MAX);
    code_make(&distance, d->distance_frequency, DISTANCE_COUNT, BITS_MAX);
    code_sizes_make(&sizes, &literal, &distance);
    code_fixed(&fixed_literal, &fixed_distance);
    size_t dynamic_bits = sizes.bits + tokens_bits(d, &literal, &distance);
    size_t fixed_bits = tokens_bits(d, &fixed_literal, &fixed_distance);
    size_t stored_bits = 7 + 32 + 8 * d->block_size; /* at worst */
    if (stored_bits <= fixed_bits && stored_bits <= dynamic_bits) {
        bits_put(d, last | BLOCK_STORED << 1, 3);
        stored_put(d);
    } else if (fixed_bits <= dynamic_bits) {
        bits_put(d, last | BLOCK_FIXED << 1, 3);
        tokens_put(d, &fixed_literal, &fixed_distance);
    } else {
        bits_put(d, last | BLOCK_DYNAMIC << 1, 3);
        code_sizes_put(d, &sizes);
        tokens_put(d, &literal, &distance);
    }
    d->block_start += d->block_size;
    d->block_size = d->token_count = 0;
    memset(d->literal_frequency, 0, sizeof d->literal_frequency);
    memset(d->distance_frequency, 0, sizeof d->distance_frequency);
}

static void token_push(struct deflate *d, size_t value, size_t distance)
{
    if (d->token_count == TOKEN_MAX)
        block_put(d, false);
    d->token[d->token_count++] = (struct token){(uint16_t)value, (uint16_t)distance};
    if (distance) {
        d->literal_frequency[BLOCK_END + 1 + size_symbol(value)]++;
        d->distance_frequency[distance_symbol(distance)]++;
        d->block_size += value;
    } else {
        d->literal_frequency[value]++;
        d->block_size++;
    }
}

/* Enter a position, which four bytes follow, into its chain; the one before in it. */
static uint16_t chain_insert(const uint8_t *data, size_t at)
{
    uint32_t three_bytes = peek32(data + at) << 8;
    uint16_t *head = &chain_head[three_bytes * 2654435761u >> (32 - HASH_BITS)];
    uint16_t next = *head;
    chain_next[at % WINDOW_SIZE] = next;
    *head = (uint16_t)(at + 1);
    return next;
}

/* How many bytes at a and b are equal, up to `limit`. */
static size_t equal_size(const uint8_t *a, const uint8_t *b, size_t limit)
{
    size_t size = 0;
    for (; limit - size >= 8; size += 8) {
        uint64_t difference = peek64(a + size) ^ peek64(b + size);
        if (difference)
            return size + (size_t)__builtin_ctzll(difference) / 8;
    }
    while (size < limit && a[size] == b[size])
        size++;
    return size;
}

/*
 * The longest match for data[at] in the chain from `next` on that is longer than
 * `best`; `best` if there is none.  `limit` is the longest that may be.
 */
static size_t chain_search(const uint8_t *data, size_t at, size_t next, size_t limit,
                           size_t best, size_t *ret_distance)
{
    const uint8_t *here = data + at;
    unsigned tries = best >= CHAIN_GOOD ? CHAIN_MAX / 4 : CHAIN_MAX;
    if (best >= limit)
        return best;
    uint32_t start = peek16(here), end = peek16(here + best - 1);
    for (; next && tries; next = chain_next[(next - 1) % WINDOW_SIZE], tries--) {
        size_t distance = at + 1 - next;
        const uint8_t *there = here - distance;
        if (distance >= WINDOW_SIZE)
            break;
        /* Most candidates fail here: a longer match is as long as the best at least. */
        if (peek16(there + best - 1) != end || peek16(there) != start)
            continue;
        size_t size = equal_size(here, there, limit);
        if (size > best) {
            best = size;
            *ret_distance = distance;
            if (best == limit)
                break;
            end = peek16(here + best - 1);
        }
    }
    return best;
}

/* Compress up to DEFLATE_SIZE_MAX bytes into DEFLATE_BOUND(size) bytes; the result's
 * size. */
static size_t deflate(uint8_t *to, const uint8_t *data, size_t size)
{
    static struct deflate d;
    memset(&d, 0, sizeof d);
    memset(chain_head, 0, sizeof chain_head);
    d.out = to;
    d.data = data;
    /* The match found at the position before, if any, or else its literal, waits. */
    size_t waiting_size = 0, waiting_distance = 0, at = 0;
    bool waiting = false;
    while (at < size) {
        size_t left = size - at, found = 0, distance = 0;
        if (left >= 4) {
            uint16_t next = chain_insert(data, at);
            size_t least = waiting_size < MATCH_MIN ? MATCH_MIN - 1 : waiting_size;
            if (waiting_size < LAZY_MAX)
                found =
                    chain_search(data, at, next, left < MATCH_MAX ? left : MATCH_MAX,
                                 least, &distance);
            if (!distance || (found == MATCH_MIN && distance > FAR))
                found = 0;
        }
        if (waiting_size && !found) {
            token_push(&d, waiting_size, waiting_distance);
            for (size_t end = at - 1 + waiting_size; ++at < end;) {
                if (size - at >= 4)
                    (void)chain_insert(data, at);
            }
            waiting_size = 0;
            waiting = false;
        } else {
            if (waiting)
                token_push(&d, data[at - 1], 0);
            waiting = true;
            waiting_size = found;
            waiting_distance = distance;
            at++;
        }
    }
    if (waiting)
        token_push(&d, data[size - 1], 0);
    block_put(&d, true);
    bits_flush(&d);
    return (size_t)(d.out - to);
}

/* ---- Inflate ---- */

#define FAST_BITS 10

/*
 * To decode: by the next FAST_BITS bits the symbol and its size (0: the code is longer
 * or there is none); for longer codes, by size, one more than the last of that size,
 * and where their symbols are.
 */
struct decoder {
    uint16_t fast[1 << FAST_BITS]; /* symbol << 4 | size */
    uint16_t limit[BITS_MAX + 1];
    int16_t offset[BITS_MAX + 1]; /* add the code to get an index into symbol */
    uint16_t symbol[CODE_COUNT_MAX];
};

/* False if the codes are too many for their sizes, or too few and more than one. */
static bool decoder_make(struct decoder *decoder, struct code *code, size_t count)
{
    unsigned of_size[BITS_MAX + 1] = {0}, index[BITS_MAX + 1], first = 0, used = 0;
    for (size_t i = 0; i < count; i++)
        of_size[code->size[i]]++;
    for (unsigned size = 1; size <= BITS_MAX; size++) {
        first <<= 1;
        index[size] = used;
        decoder->offset[size] = (int16_t)((int)used - (int)first);
        first += of_size[size];
        used += of_size[size];
        decoder->limit[size] = (uint16_t)first;
        if (first > 1u << size)
            return false;
    }
    if (first < 1u << BITS_MAX && (used > 1 || of_size[1] != used))
        return false;
    code_assign(code, count);
    memset(decoder->fast, 0, sizeof decoder->fast);
    for (size_t i = 0; i < count; i++) {
        unsigned size = code->size[i];
        if (!size)
            continue;
        decoder->symbol[index[size]++] = (uint16_t)i;
        for (unsigned at = code->bits[i]; size <= FAST_BITS && at < 1 << FAST_BITS;)
            decoder->fast[at] = (uint16_t)(i << 4 | size), at += 1u << size;
    }
    return true;
}

/* Bits past the end read as 0; `count` is negative once such bits were used. */
struct bit_reader {
    const uint8_t *in, *end;
    uint64_t bits;
    int count;
};

/* At least 56 bits, or all there are. */
static inline void bits_fill(struct bit_reader *r)
{
    if (r->end - r->in >= 8) {
        /* Bits above the count may be there already; then they are the same. */
        r->bits |= peek64(r->in) << r->count;
        r->in += (63 - r->count) >> 3;
        r->count |= 56;
        return;
    }
    for (; r->count < 56 && r->in < r->end; r->count += 8)
        r->bits |= (uint64_t)*r->in++ << r->count;
}

static inline unsigned bits_get(struct bit_reader *r, unsigned count)
{
    unsigned value = (unsigned)(r->bits & (((uint64_t)1 << count) - 1));
    r->bits >>= count;
    r->count -= (int)count;
    return value;
}

/* A code longer than FAST_BITS; an impossible one gives a symbol that nobody knows. */
static unsigned symbol_get_long(struct bit_reader *r, const struct decoder *decoder)
{
    unsigned code = 0;
    for (unsigned size = 1; size <= BITS_MAX; size++) {
        code = code << 1 | bits_get(r, 1);
        if (code < decoder->limit[size])
            return decoder->symbol[(int)code + decoder->offset[size]];
    }
    return UINT16_MAX;
}

static inline unsigned symbol_get(struct bit_reader *r, const struct decoder *decoder)
{
    unsigned entry = decoder->fast[r->bits & ((1 << FAST_BITS) - 1)];
    if (!entry)
        return symbol_get_long(r, decoder);
    (void)bits_get(r, entry & 15);
    return entry >> 4;
}

/* What is written so far is [start, at), and there is room up to end. */
struct output {
    uint8_t *start, *at, *end;
};

/* Copy what may overlap its own result. */
static inline uint8_t *match_copy(uint8_t *to, size_t distance, size_t size,
                                  size_t room)
{
    const uint8_t *from = to - distance;
    uint8_t *end = to + size;
    if (distance >= 8 && room >= size + 8) {
        for (; to < end; to += 8, from += 8)
            memcpy(to, from, 8); /* up to 7 bytes too many, to be overwritten */
        return end;
    }
    while (to < end)
        *to++ = *from++;
    return end;
}

static bool block_get(struct bit_reader *reader, struct output *output,
                      const struct decoder *literal, const struct decoder *distance)
{
    struct bit_reader r = *reader;
    struct output o = *output;
    for (;;) {
        bits_fill(&r);
        unsigned symbol = symbol_get(&r, literal);
        if (symbol < BLOCK_END) {
            if (o.at == o.end || r.count < 0)
                return false;
            *o.at++ = (uint8_t)symbol;
            continue;
        }
        if (symbol == BLOCK_END)
            break;
        symbol -= BLOCK_END + 1;
        if (symbol >= SIZE_COUNT)
            return false;
        size_t size = size_base[symbol] + (size_t)bits_get(&r, size_extra[symbol]);
        symbol = symbol_get(&r, distance);
        if (symbol >= DISTANCE_COUNT)
            return false;
        size_t back =
            distance_base[symbol] + (size_t)bits_get(&r, distance_extra[symbol]);
        size_t room = (size_t)(o.end - o.at);
        if (r.count < 0 || back > (size_t)(o.at - o.start) || size > room)
            return false;
        o.at = match_copy(o.at, back, size, room);
    }
    *reader = r;
    *output = o;
    return r.count >= 0;
}

static bool stored_get(struct bit_reader *r, struct output *o)
{
    if (r->count < 0)
        return false;
    /* On to the next byte, and give back the bytes that were read ahead. */
    r->in -= r->count >> 3;
    r->bits = 0;
    r->count = 0;
    if (r->end - r->in < 4)
        return false;
    size_t size = peek16(r->in);
    if ((size ^ peek16(r->in + 2)) != 0xffff)
        return false;
    r->in += 4;
    if (size > (size_t)(r->end - r->in) || size > (size_t)(o->end - o->at))
        return false;
    memcpy(o->at, r->in, size);
    r->in += size;
    o->at += size;
    return true;
}

/* The sizes of `count` codes, in runs. */
static bool sizes_get(struct bit_reader *r, const struct decoder *size_decoder,
                      uint8_t *size, size_t count)
{
    for (size_t i = 0; i < count;) {
        size_t repeat = 1;
        uint8_t value = 0;
        bits_fill(r);
        unsigned symbol = symbol_get(r, size_decoder);
        if (symbol >= ORDER_COUNT)
            return false;
        if (symbol < 16) {
            value = (uint8_t)symbol;
        } else {
            repeat = (symbol == 18 ? 11u : 3u) + bits_get(r, run_extra_bits[symbol]);
            if (symbol == 16) {
                if (i == 0)
                    return false;
                value = size[i - 1];
            }
        }
        if (r->count < 0 || repeat > count - i)
            return false;
        memset(size + i, value, repeat);
        i += repeat;
    }
    return true;
}

/* The codes of a dynamic block. */
static bool codes_get(struct bit_reader *r, struct decoder *literal,
                      struct decoder *distance)
{
    static struct decoder size_decoder;
    static struct code code;
    uint8_t size[LITERAL_COUNT + DISTANCE_COUNT];
    size_t literal_count = bits_get(r, 5) + 257, distance_count = bits_get(r, 5) + 1;
    size_t order_count = bits_get(r, 4) + 4, count = literal_count + distance_count;
    if (r->count < 0 || literal_count > LITERAL_COUNT ||
        distance_count > DISTANCE_COUNT)
        return false;
    memset(code.size, 0, sizeof code.size);
    for (size_t i = 0; i < order_count; i++) {
        bits_fill(r);
        code.size[order_of_sizes[i]] = (uint8_t)bits_get(r, 3);
        if (r->count < 0)
            return false;
    }
    if (!decoder_make(&size_decoder, &code, ORDER_COUNT) ||
        !sizes_get(r, &size_decoder, size, count) || size[BLOCK_END] == 0)
        return false;
    memcpy(code.size, size, literal_count);
    if (!decoder_make(literal, &code, literal_count))
        return false;
    memcpy(code.size, size + literal_count, distance_count);
    return decoder_make(distance, &code, distance_count);
}

/* False if the stream is malformed, has more than `room` bytes in it, or does not end
 * with `in`. */
static bool inflate(uint8_t *to, size_t room, const uint8_t *in, size_t in_size,
                    size_t *ret_size)
{
    static struct decoder literal, distance;
    static struct code fixed_literal, fixed_distance;
    struct bit_reader r = {in, in + in_size, 0, 0};
    struct output o = {to, to, to + room};
    bool last;
    do {
        bits_fill(&r);
        last = bits_get(&r, 1);
        switch (bits_get(&r, 2)) {
        case BLOCK_STORED:
            if (!stored_get(&r, &o))
                return false;
            continue;
        case BLOCK_FIXED:
            code_fixed(&fixed_literal, &fixed_distance);
            if (!decoder_make(&literal, &fixed_literal, 288) ||
                !decoder_make(&distance, &fixed_distance, 32))
                return false;
            break;
        case BLOCK_DYNAMIC:
            if (!codes_get(&r, &literal, &distance))
                return false;
            break;
        default:
            return false;
        }
        if (!block_get(&r, &o, &literal, &distance))
            return false;
    } while (!last);
    *ret_size = (size_t)(o.at - to);
    return r.in - (r.count >> 3) == r.end;
}

/* ---- The benchmark ---- */

#define ROUND_SIZE 32768
#define JOURNAL_SIZE (2 * ROUND_SIZE)

static uint8_t journal[JOURNAL_SIZE];
static uint8_t deflated[DEFLATE_BOUND(ROUND_SIZE)];
static uint8_t inflated[ROUND_SIZE];

static size_t journal_put(size_t at, const char *string)
{
    while (*string && at < JOURNAL_SIZE)
        journal[at++] = (uint8_t)*string++;
    return at;
}

static size_t journal_put_number(size_t at, uint64_t number)
{
    char digits[21];
    size_t first = sizeof digits - 1;
    digits[first] = 0;
    do
        digits[--first] = (char)('0' + number % 10);
    while (number /= 10);
    return journal_put(at, digits + first);
}

/* A log: lines of time, level, part, what happened to what and how long it took. */
static void journal_make(void)
{
    static const char *const level[] = {" info ", " info ", " debug ", " warning "};
    static const char *const part[] = {"disk: ",    "network: ", "kernel: ", "mail: ",
                                       "printer: ", "cache: ",   "clock: ",  "login: "};
    static const char *const verb[] = {"read ",   "wrote ",     "dropped ", "opened ",
                                       "closed ", "looked up ", "lost ",    "found ",
                                       "moved ",  "merged ",    "checked ", "sent ",
                                       "copied ", "locked ",    "refused ", "ended "};
    static const char *const noun[] = {"block ", "packet ",  "page ",  "message ",
                                       "file ",  "request ", "entry ", "session "};
    uint64_t seed = BENCH_SEED, time = 1700000000;
    for (size_t at = 0; at < JOURNAL_SIZE;) {
        uint64_t random = bench_random(&seed);
        time += random >> 60;
        at = journal_put_number(at, time);
        at = journal_put(at, level[random >> 8 & 3]);
        at = journal_put(at, part[random >> 16 & 7]);
        at = journal_put(at, verb[random >> 24 & 15]);
        at = journal_put(at, noun[random >> 32 & 7]);
        at = journal_put_number(at, random >> 40 & 1023);
        if (random >> 50 & 1) {
            at = journal_put(at, " in ");
            at = journal_put_number(at, random >> 51 & 127);
            at = journal_put(at, " ms");
        }
        at = journal_put(at, "\n");
    }
}

uint64_t bench(uint64_t n)
{
    uint64_t digest = 0;
    journal_make();
    for (uint64_t i = 0; i < n; i++) {
        /* Another window each time, at any alignment. */
        const uint8_t *window = journal + i * 7919 % (JOURNAL_SIZE - ROUND_SIZE + 1);
        size_t deflated_size = deflate(deflated, window, ROUND_SIZE), size = 0;
        if (!inflate(inflated, sizeof inflated, deflated, deflated_size, &size) ||
            size != ROUND_SIZE || memcmp(inflated, window, size) != 0)
            pvm_panic();
        size_t words_size = (deflated_size + 7) & ~(size_t)7; /* what digests take */
        memset(deflated + deflated_size, 0, words_size - deflated_size);
        digest = bench_mix(digest, deflated_size);
        digest = bench_mix(digest, bench_digest(deflated, words_size));
    }
    return digest;
}

PVM_EXPORT(0, bench);
