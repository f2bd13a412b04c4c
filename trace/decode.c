/* SPDX-License-Identifier: MIT
 *
 * Records to structs, and to values one by one.
 */
#include "trace/internal.h"

uint32_t trace_record_split(const struct trace_record *record, struct bytes *ret_wire,
                            uint32_t count_max)
{
    struct wire wire = wire_of(record->fields);
    uint32_t count = 0;
    while (count < record->field_count && count < count_max) {
        const uint8_t *start = wire.at;
        if (!trace_wire_skip(&wire))
            break;
        ret_wire[count++] = bytes_of(start, (size_t)(wire.at - start));
    }
    return record->field_count;
}

/* ---- one value ---- */

/* The numbers of [length, n0, n1, ...], whose header and length are read. */
static enum err copy_blobs(struct trace_reader *reader, struct wire *wire,
                           uint64_t size, uint8_t *at)
{
    for (uint64_t left = size; left;) {
        struct bytes piece;
        uint64_t number, want = left < BLOB_SIZE_MAX ? left : BLOB_SIZE_MAX;
        if (!wire_uint(wire, &number))
            return ERR_trace_canonical;
        TRY(trace_reader_blob(reader, number, &piece));
        if (piece.size != want)
            return ERR_trace_blob;
        memcpy(at, piece.data, piece.size);
        at += piece.size;
        left -= want;
    }
    return ERR_ok;
}

static enum err decode_wide(struct trace_reader *reader, struct wire *wire,
                            struct arena *arena, struct bytes *ret_bytes)
{
    struct wire_item item;
    uint64_t size;
    if (!wire_next(wire, &item))
        return ERR_trace_canonical;
    if (item.class == WIRE_BIN) {
        *ret_bytes = item.bytes;
        return ERR_ok;
    }
    if (item.class != WIRE_ARRAY || !wire_uint(wire, &size) || size > WIDE_SIZE_MAX ||
        item.number - 1 != (size + BLOB_SIZE_MAX - 1) / BLOB_SIZE_MAX)
        return ERR_trace_canonical;
    uint8_t *bytes = arena_alloc(arena, (size_t)size, 1);
    if (!bytes)
        return ERR_nomem;
    TRY(copy_blobs(reader, wire, size, bytes));
    *ret_bytes = bytes_of(bytes, (size_t)size);
    return ERR_ok;
}

static enum err decode_text(struct bytes text, struct arena *arena, const char **ret)
{
    char *copy = arena_alloc(arena, text.size + 1, 1);
    if (!copy)
        return ERR_nomem;
    if (text.size)
        memcpy(copy, text.data, text.size);
    *ret = copy;
    return ERR_ok;
}

static enum err decode_value(struct trace_reader *reader, struct wire *wire,
                             char letter, struct arena *arena, void *ret_value)
{
    struct wire_item item;
    if (letter == 'w')
        return decode_wide(reader, wire, arena, ret_value);
    if (!wire_next(wire, &item))
        return ERR_trace_canonical;
    switch (letter) {
    case 'u':
    case 'd':
    case 'i':
        *(uint64_t *)ret_value = item.number;
        return ERR_ok;
    case 'b':
        *(struct bytes *)ret_value = item.bytes;
        return ERR_ok;
    case 'h': {
        struct trace_hash *hash = ret_value;
        *hash = (struct trace_hash){.present = item.bytes.size == HASH256_SIZE};
        if (hash->present)
            memcpy(hash->hash.byte, item.bytes.data, HASH256_SIZE);
        return ERR_ok;
    }
    case 's':
        return decode_text(item.bytes, arena, ret_value);
    default:
        check(false);
        return ERR_trace_schema;
    }
}

/* ---- one field, one record ---- */

static enum err decode_list(struct trace_reader *reader,
                            const struct trace_field *field, struct wire *wire,
                            struct arena *arena, struct any_list *ret_list)
{
    uint64_t item_count;
    if (!wire_array(wire, &item_count) || item_count % field->letter_count)
        return ERR_trace_canonical;
    uint64_t count = item_count / field->letter_count;
    uint8_t *item = arena_alloc_array(arena, (size_t)count, field->stride, 8);
    if (!item)
        return ERR_nomem;
    *ret_list = (struct any_list){.item = item, .count = (size_t)count};
    if (field->plain) { /* tuples of numbers are an array of numbers */
        uint64_t *number = (uint64_t *)(void *)item;
        for (uint64_t i = 0; i < item_count; i++) {
            if (!wire_uint(wire, &number[i]))
                return ERR_trace_canonical;
        }
        return ERR_ok;
    }
    for (uint64_t i = 0; i < count; i++, item += field->stride) {
        for (size_t k = 0; k < field->letter_count; k++)
            TRY(decode_value(reader, wire, field->letters[k], arena,
                             item + field->member[k]));
    }
    return ERR_ok;
}

enum err trace_decode_next(struct trace_reader *reader, const struct trace_field *field,
                           struct wire *wire, struct arena *arena, void *event)
{
    void *value = (uint8_t *)event + field->offset;
    if (field->plain && !field->list)
        return wire_uint(wire, value) ? ERR_ok : ERR_trace_canonical;
    return field->list ? decode_list(reader, field, wire, arena, value)
                       : decode_value(reader, wire, field->letters[0], arena, value);
}

enum err trace_decode_field(struct trace_reader *reader,
                            const struct trace_field *field, struct bytes bytes,
                            struct arena *arena, void *event)
{
    struct wire wire = wire_of(bytes);
    return trace_decode_next(reader, field, &wire, arena, event);
}

enum err trace_decode(struct trace_reader *reader, const struct trace_record *record,
                      enum trace_id id, struct arena *arena, void *ret_event)
{
    union any_event event;
    const struct trace_kind *kind = trace_kind_of(id);
    struct wire wire = wire_of(record->fields);
    if (!kind || record->kind->id != (uint32_t)id)
        return ERR_trace_event;
    memset(&event, 0, sizeof event);
    for (uint32_t i = record->field_count; i < kind->field_count; i++) {
        const struct trace_field *field = &kind->field[i];
        if (!field->list && field->letters[0] == 's') /* decoded texts are never NULL */
            *(const char **)(void *)((uint8_t *)&event + field->offset) = "";
    }
    for (uint32_t i = 0; i < record->field_count && i < kind->field_count; i++) {
        TRY(trace_decode_next(reader, &kind->field[i], &wire, arena, &event));
    }
    memcpy(ret_event, &event, kind->struct_size);
    return ERR_ok;
}

/* ---- value by value ---- */

struct trace_values trace_values_of(const struct trace_field *field, struct bytes bytes)
{
    static const uint8_t none;
    struct trace_values values = {.field = field, .wire = {&none, 0}};
    struct wire wire = wire_of(bytes);
    struct wire_item item;
    if (!bytes.size) {
        values.left = field->list ? 0 : 1; /* the default */
        return values;
    }
    values.left = 1;
    if (field->list) {
        bool array = wire_next(&wire, &item) && item.class == WIRE_ARRAY;
        values.left = array ? (size_t)item.number : 0;
    }
    values.wire = bytes_of(wire.at, wire_left(&wire));
    return values;
}

struct trace_values trace_record_values(const struct trace_record *record,
                                        uint32_t index)
{
    const struct trace_field *field = &record->kind->field[index];
    const struct trace_kind *own = trace_kind_of(record->kind->id);
    struct wire wire = wire_of(record->fields);
    /* The built-in row knows how to show it. */
    if (own && index < own->field_count)
        field = &own->field[index];
    for (uint32_t i = 0; i < index && i < record->field_count; i++) {
        if (!trace_wire_skip(&wire))
            break;
    }
    return trace_values_of(field, bytes_of(wire.at, wire_left(&wire)));
}

/* [length, n0, n1, ...], whose header is read. */
static bool blob_value(struct wire *wire, uint64_t count, struct trace_value *value)
{
    if (!count || !wire_uint(wire, &value->size))
        return false;
    const uint8_t *start = wire->at;
    for (uint64_t i = 1; i < count; i++) {
        uint64_t number;
        if (!wire_uint(wire, &number))
            return false;
    }
    value->blob_count = (uint32_t)(count - 1);
    value->blob = bytes_of(start, (size_t)(wire->at - start));
    return true;
}

bool trace_values_next(struct trace_values *values, struct trace_value *ret_value)
{
    const struct trace_field *field = values->field;
    struct wire wire = wire_of(values->wire);
    struct wire_item item = {0};
    if (!values->left)
        return false;
    size_t letter = values->index % field->letter_count;
    struct trace_value value = {.type = field->letters[letter],
                                .show = field->show ? field->show[letter] : 'd'};
    if (value.type == 'd')
        value.show = 'x';
    /* A scalar that was left out has no wire form: all is zero. */
    if (values->wire.size) {
        if (!wire_next(&wire, &item))
            return false;
        if (item.class == WIRE_ARRAY) {
            if (!blob_value(&wire, item.number, &value))
                return false;
        } else {
            value.number = item.number;
            value.bytes = item.bytes;
            value.size = item.bytes.size;
        }
        values->wire = bytes_of(wire.at, wire_left(&wire));
    }
    values->left--;
    values->index++;
    *ret_value = value;
    return true;
}

enum err trace_value_read(struct trace_reader *reader, const struct trace_value *value,
                          uint64_t offset, void *data, size_t size)
{
    struct wire wire = wire_of(value->blob);
    uint8_t *to = data;
    if (offset > value->size || size > value->size - offset)
        return ERR_usage;
    if (!value->blob_count) {
        if (size)
            memcpy(to, value->bytes.data + offset, size);
        return ERR_ok;
    }
    for (uint64_t at = 0; size; at += BLOB_SIZE_MAX) {
        struct bytes piece;
        uint64_t number;
        if (!wire_uint(&wire, &number))
            return ERR_trace_blob;
        if (offset >= at + BLOB_SIZE_MAX)
            continue;
        TRY(trace_reader_blob(reader, number, &piece));
        uint64_t want =
            value->size - at < BLOB_SIZE_MAX ? value->size - at : BLOB_SIZE_MAX;
        if (piece.size != want)
            return ERR_trace_blob;
        size_t skip = (size_t)(offset - at);
        size_t part = piece.size - skip < size ? piece.size - skip : size;
        memcpy(to, piece.data + skip, part);
        to += part;
        offset += part;
        size -= part;
    }
    return ERR_ok;
}
