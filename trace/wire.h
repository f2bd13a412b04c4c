/* SPDX-License-Identifier: MIT
 *
 * trace/wire.h - canonical msgpack as this format has it [3.3], and little-endian
 * integers.  Internal to trace/.
 *
 * wire_next() reads one item and refuses what is not canonical, whatever the bytes
 * are; the validator, the decoder and the dumper share it.
 */
#ifndef TRACE_WIRE_H
#define TRACE_WIRE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum wire_class {
    WIRE_UINT,
    WIRE_INT, /* negative */
    WIRE_BIN,
    WIRE_STR,
    WIRE_ARRAY,
};

/* One item.  Of an array only the header is read. */
struct wire_item {
    enum wire_class class;
    uint64_t number;    /* UINT; INT as two's complement; ARRAY: item count */
    struct bytes bytes; /* BIN, STR: the body */
};

/* Bytes still to be read. */
struct wire {
    const uint8_t *at;
    const uint8_t *end;
};

static inline struct wire wire_of(struct bytes bytes)
{
    static const uint8_t nothing;
    if (!bytes.data) /* NULL + 0 is undefined */
        return (struct wire){&nothing, &nothing};
    return (struct wire){bytes.data, bytes.data + bytes.size};
}

static inline size_t wire_left(const struct wire *wire)
{
    return (size_t)(wire->end - wire->at);
}

/* Read one item and advance; false (and nothing advanced) when the next bytes are no
 * canonical item, or do not fit.  Small numbers, the most frequent, are read here. */
bool trace_wire_next_long(struct wire *wire, struct wire_item *ret_item);
static inline bool wire_next(struct wire *wire, struct wire_item *ret_item)
{
    if (wire->at == wire->end || *wire->at >= 0x80)
        return trace_wire_next_long(wire, ret_item);
    *ret_item = (struct wire_item){.class = WIRE_UINT, .number = *wire->at++};
    return true;
}

/* Read an unsigned integer: a number is most of what there is to read. */
static inline bool wire_uint(struct wire *wire, uint64_t *ret_number)
{
    const uint8_t *at = wire->at;
    size_t left = wire_left(wire), size;
    uint64_t number = 0, least;
    if (!left)
        return false;
    if (*at < 0x80) {
        *ret_number = *at;
        wire->at++;
        return true;
    }
    if (*at < 0xcc || *at > 0xcf)
        return false;
    size = (size_t)1 << (*at - 0xcc);
    least = size == 1 ? 0x80 : (uint64_t)1 << (4 * size);
    if (left <= size)
        return false;
    for (size_t i = 1; i <= size; i++)
        number = number << 8 | at[i];
    if (number < least)
        return false;
    *ret_number = number;
    wire->at += 1 + size;
    return true;
}

/* Read an array header; the short form, the most frequent, is read here. */
static inline bool wire_array(struct wire *wire, uint64_t *ret_count)
{
    struct wire_item item;
    if (wire->at < wire->end && *wire->at >> 4 == 9) {
        uint64_t count = *wire->at & 15u;
        if (count >= wire_left(wire)) /* an item has a byte at least */
            return false;
        wire->at++;
        *ret_count = count;
        return true;
    }
    if (!wire_next(wire, &item) || item.class != WIRE_ARRAY)
        return false;
    *ret_count = item.number;
    return true;
}

/* Skip one whole value, an array with its items; nesting is limited [2.13]. */
bool trace_wire_skip_long(struct wire *wire);
static inline bool trace_wire_skip(struct wire *wire)
{
    if (wire->at < wire->end && *wire->at < 0x80) {
        wire->at++;
        return true;
    }
    return trace_wire_skip_long(wire);
}

/* Is this value's wire form that of a default: 00, c4 00, a0, 90? */
static inline bool wire_default(struct bytes value)
{
    return value.data[0] == 0x00 || value.data[0] == 0xa0 || value.data[0] == 0x90 ||
           (value.data[0] == 0xc4 && value.data[1] == 0);
}

/* Well-formed UTF-8 without NUL? */
bool trace_wire_text_valid(struct bytes text);

/* ---- little-endian integers of the container ---- */

static inline uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
           (uint32_t)at[3] << 24;
}

static inline uint64_t get64(const uint8_t *at)
{
    return get32(at) | (uint64_t)get32(at + 4) << 32;
}

static inline void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static inline void put32(uint8_t *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static inline void put64(uint8_t *at, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

#endif
