/* SPDX-License-Identifier: MIT */
#include "trace/wire.h"

enum { NESTING_MAX = 8 }; /* trace-replay.md 2.13 */

static inline uint64_t big_endian(const uint8_t *at, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value = value << 8 | at[i];
    return value;
}

/* An integer of `size` bytes behind the first; it must not fit a shorter form. */
static inline bool take_uint(struct wire *wire, unsigned size, uint64_t number_min,
                             struct wire_item *ret_item)
{
    if (wire_left(wire) <= size)
        return false;
    uint64_t number = big_endian(wire->at + 1, size);
    if (number < number_min)
        return false;
    wire->at += 1 + size;
    *ret_item = (struct wire_item){.class = WIRE_UINT, .number = number};
    return true;
}

/* Negative numbers only; `distance_min` is the least distance below zero. */
static inline bool take_int(struct wire *wire, unsigned size, uint64_t distance_min,
                            struct wire_item *ret_item)
{
    unsigned shift = 64 - 8 * size;
    if (wire_left(wire) <= size)
        return false;
    uint64_t number =
        (uint64_t)((int64_t)(big_endian(wire->at + 1, size) << shift) >> shift);
    if (!(number >> 63) || 0 - number < distance_min)
        return false;
    wire->at += 1 + size;
    *ret_item = (struct wire_item){.class = WIRE_INT, .number = number};
    return true;
}

/* Bytes, text or array: `size` bytes of length, or none and `length` itself. */
static inline bool take_long(struct wire *wire, enum wire_class class, unsigned size,
                             uint64_t length, uint64_t length_min,
                             struct wire_item *ret_item)
{
    size_t left = wire_left(wire);
    if (left <= size)
        return false;
    if (size)
        length = big_endian(wire->at + 1, size);
    left -= 1 + size;
    if (length < length_min || length > left)
        return false;
    wire->at += 1 + size;
    *ret_item = (struct wire_item){.class = class, .number = length};
    if (class != WIRE_ARRAY) {
        ret_item->bytes = bytes_of(wire->at, (size_t)length);
        wire->at += length;
    }
    return true;
}

bool trace_wire_next_long(struct wire *wire, struct wire_item *ret_item)
{
    if (wire->at >= wire->end)
        return false;
    uint8_t byte = *wire->at;
    switch (byte >> 4) {
    case 0x9:
        return take_long(wire, WIRE_ARRAY, 0, byte & 15u, 0, ret_item);
    case 0xa:
    case 0xb:
        return take_long(wire, WIRE_STR, 0, byte & 31u, 0, ret_item);
    case 0xe:
    case 0xf: /* -32 to -1 */
        wire->at++;
        *ret_item = (struct wire_item){.class = WIRE_INT,
                                       .number = (uint64_t)(int64_t)(int8_t)byte};
        return true;
    default:
        break;
    }
    switch (byte) {
    case 0xc4:
        return take_long(wire, WIRE_BIN, 1, 0, 0, ret_item);
    case 0xc5:
        return take_long(wire, WIRE_BIN, 2, 0, 0x100, ret_item);
    case 0xc6:
        return take_long(wire, WIRE_BIN, 4, 0, 0x10000, ret_item);
    case 0xcc:
        return take_uint(wire, 1, 0x80, ret_item);
    case 0xcd:
        return take_uint(wire, 2, 0x100, ret_item);
    case 0xce:
        return take_uint(wire, 4, 0x10000, ret_item);
    case 0xcf:
        return take_uint(wire, 8, 0x100000000, ret_item);
    case 0xd0:
        return take_int(wire, 1, 33, ret_item);
    case 0xd1:
        return take_int(wire, 2, 0x81, ret_item);
    case 0xd2:
        return take_int(wire, 4, 0x8001, ret_item);
    case 0xd3:
        return take_int(wire, 8, 0x80000001, ret_item);
    case 0xd9:
        return take_long(wire, WIRE_STR, 1, 0, 32, ret_item);
    case 0xda:
        return take_long(wire, WIRE_STR, 2, 0, 0x100, ret_item);
    case 0xdb:
        return take_long(wire, WIRE_STR, 4, 0, 0x10000, ret_item);
    case 0xdc:
        return take_long(wire, WIRE_ARRAY, 2, 0, 16, ret_item);
    case 0xdd:
        return take_long(wire, WIRE_ARRAY, 4, 0, 0x10000, ret_item);
    default: /* nil, bool, float, map, ext, and the unused c1 */
        return false;
    }
}

/* Skip `count` items with what is in them. */
static bool skip_items(struct wire *wire, uint64_t count)
{
    uint64_t left[NESTING_MAX];
    unsigned depth = 0;
    struct wire ahead = *wire;
    left[0] = count;
    for (;;) {
        struct wire_item item;
        while (!left[depth]) {
            if (!depth) {
                *wire = ahead;
                return true;
            }
            depth--;
        }
        left[depth]--;
        if (!wire_next(&ahead, &item))
            return false;
        if (item.class != WIRE_ARRAY || !item.number)
            continue;
        if (depth + 1 == NESTING_MAX)
            return false;
        left[++depth] = item.number;
    }
}

bool trace_wire_skip_long(struct wire *wire)
{
    struct wire ahead = *wire;
    struct wire_item item;
    if (!wire_next(&ahead, &item) ||
        (item.class == WIRE_ARRAY && !skip_items(&ahead, item.number)))
        return false;
    *wire = ahead;
    return true;
}

/* Bytes of the UTF-8 sequence at `at`, 0 if it is malformed [RFC 3629]. */
static size_t sequence_size(const uint8_t *at, size_t left)
{
    static const struct {
        uint8_t first, last;         /* of the lead byte */
        uint8_t second, second_last; /* range of the byte behind it */
        uint8_t size;
    } form[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3},
        {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < countof(form); i++) {
        if (at[0] < form[i].first || at[0] > form[i].last)
            continue;
        if (form[i].size > left || at[1] < form[i].second ||
            at[1] > form[i].second_last)
            return 0;
        for (size_t k = 2; k < form[i].size; k++) {
            if ((at[k] & 0xc0) != 0x80)
                return 0;
        }
        return form[i].size;
    }
    return 0;
}

bool trace_wire_text_valid(struct bytes text)
{
    size_t at = 0;
    while (at < text.size) {
        uint8_t byte = text.data[at];
        if (!byte)
            return false;
        size_t size = byte < 0x80 ? 1 : sequence_size(text.data + at, text.size - at);
        if (!size)
            return false;
        at += size;
    }
    return true;
}
