/* SPDX-License-Identifier: MIT */
#include "trace/wire.h"

enum { NESTING_MAX = 8 }; /* trace-replay.md 2.13 */

/* `size` bytes, most significant first. */
static uint64_t big_endian(const uint8_t *at, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | at[i];
    return value;
}

/*
 * What the first byte says: the class, how many bytes of number follow it, the number
 * if there are none, and the least number for which this form is the shortest.
 */
struct head {
    enum wire_class class;
    uint8_t number_size;
    uint64_t number;
    uint64_t number_min;
};

static bool head_of(uint8_t byte, struct head *ret)
{
    if (byte < 0x80) {
        *ret = (struct head){WIRE_UINT, 0, byte, 0};
    } else if (byte >= 0xe0) {
        *ret = (struct head){WIRE_INT, 0, (uint64_t)(int64_t)(int8_t)byte, 0};
    } else if (byte >= 0x90 && byte < 0xa0) {
        *ret = (struct head){WIRE_ARRAY, 0, byte & 15u, 0};
    } else if (byte >= 0xa0 && byte < 0xc0) {
        *ret = (struct head){WIRE_STR, 0, byte & 31u, 0};
    } else {
        switch (byte) {
        case 0xc4:
            *ret = (struct head){WIRE_BIN, 1, 0, 0};
            break;
        case 0xc5:
            *ret = (struct head){WIRE_BIN, 2, 0, 0x100};
            break;
        case 0xc6:
            *ret = (struct head){WIRE_BIN, 4, 0, 0x10000};
            break;
        case 0xcc:
            *ret = (struct head){WIRE_UINT, 1, 0, 0x80};
            break;
        case 0xcd:
            *ret = (struct head){WIRE_UINT, 2, 0, 0x100};
            break;
        case 0xce:
            *ret = (struct head){WIRE_UINT, 4, 0, 0x10000};
            break;
        case 0xcf:
            *ret = (struct head){WIRE_UINT, 8, 0, 0x100000000};
            break;
        case 0xd0:
            *ret = (struct head){WIRE_INT, 1, 0, 33};
            break;
        case 0xd1:
            *ret = (struct head){WIRE_INT, 2, 0, 0x81};
            break;
        case 0xd2:
            *ret = (struct head){WIRE_INT, 4, 0, 0x8001};
            break;
        case 0xd3:
            *ret = (struct head){WIRE_INT, 8, 0, 0x80000001};
            break;
        case 0xd9:
            *ret = (struct head){WIRE_STR, 1, 0, 32};
            break;
        case 0xda:
            *ret = (struct head){WIRE_STR, 2, 0, 0x100};
            break;
        case 0xdb:
            *ret = (struct head){WIRE_STR, 4, 0, 0x10000};
            break;
        case 0xdc:
            *ret = (struct head){WIRE_ARRAY, 2, 0, 16};
            break;
        case 0xdd:
            *ret = (struct head){WIRE_ARRAY, 4, 0, 0x10000};
            break;
        default:
            return false; /* nil, bool, float, map, ext, and the unused c1 */
        }
    }
    return true;
}

bool wire_next_long(struct wire *wire, struct wire_item *ret_item)
{
    struct head head;
    size_t left = wire_left(wire);
    if (!left || !head_of(*wire->at, &head) || head.number_size >= left)
        return false;
    const uint8_t *at = wire->at + 1;
    uint64_t number = head.number;
    if (head.number_size) {
        number = big_endian(at, head.number_size);
        uint64_t size = number;
        if (head.class == WIRE_INT) {
            /* Negative numbers only; `size` is the distance below zero. */
            unsigned shift = 64 - 8u * head.number_size;
            number = (uint64_t)((int64_t)(number << shift) >> shift);
            if (!(number >> 63))
                return false;
            size = 0 - number;
        }
        if (size < head.number_min)
            return false;
        at += head.number_size;
    }
    left = (size_t)(wire->end - at);
    struct wire_item item = {.class = head.class, .number = number};
    if (head.class == WIRE_BIN || head.class == WIRE_STR) {
        if (number > left)
            return false;
        item.bytes = bytes_of(at, (size_t)number);
        at += number;
    } else if (head.class == WIRE_ARRAY && number > left) {
        return false;
    }
    wire->at = at;
    *ret_item = item;
    return true;
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

bool wire_skip(struct wire *wire)
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

bool wire_text_valid(struct bytes text)
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
