/* SPDX-License-Identifier: MIT
 *
 * Events to canonical bytes, driven by the table.  The only file that calls
 * msgpack-c; what may be called is in trace-replay.md 3.6.
 */
#include "trace/internal.h"

#include <msgpack/pack.h>

/* ---- one item ---- */

static int packer_write(void *self, const char *data, size_t size)
{
    struct packer *packer = self;
    if (size > (size_t)(packer->end - packer->at)) {
        packer->full = true;
        return -1;
    }
    memcpy(packer->at, data, size);
    packer->at += size;
    return 0;
}

static inline msgpack_packer sink_of(struct packer *packer)
{
    return (msgpack_packer){.data = packer, .callback = packer_write};
}

/* Numbers below 128 are most of a trace: one byte, without the way through msgpack-c.
 */
static inline void put_uint(struct packer *packer, uint64_t number)
{
    if (number < 0x80 && packer->at < packer->end) {
        *packer->at++ = (uint8_t)number;
        return;
    }
    msgpack_packer sink = sink_of(packer);
    (void)msgpack_pack_uint64(&sink, number);
}

void trace_pack_uint(struct packer *packer, uint64_t number)
{
    put_uint(packer, number);
}

static void pack_int(struct packer *packer, int64_t number)
{
    msgpack_packer sink = sink_of(packer);
    (void)msgpack_pack_int64(&sink, number);
}

void trace_pack_array(struct packer *packer, size_t count)
{
    msgpack_packer sink = sink_of(packer);
    (void)msgpack_pack_array(&sink, count);
}

void trace_pack_bin(struct packer *packer, struct bytes bytes)
{
    msgpack_packer sink = sink_of(packer);
    (void)msgpack_pack_bin(&sink, bytes.size);
    if (bytes.size)
        (void)msgpack_pack_bin_body(&sink, bytes.data, bytes.size);
}

void trace_pack_str(struct packer *packer, const char *text)
{
    msgpack_packer sink = sink_of(packer);
    size_t size = text ? strlen(text) : 0;
    (void)msgpack_pack_str(&sink, size);
    if (size)
        (void)msgpack_pack_str_body(&sink, text, size);
}

static void pack_raw(struct packer *packer, struct bytes wire)
{
    (void)packer_write(packer, (const char *)wire.data, wire.size);
}

/* ---- one value ---- */

static size_t piece_count(size_t size)
{
    return (size + BLOB_SIZE_MAX - 1) / BLOB_SIZE_MAX;
}

static enum err encode_wide(struct packer *packer, struct encoding *encoding,
                            struct bytes value)
{
    if (value.size <= WIDE_INLINE_MAX) {
        trace_pack_bin(packer, value);
        return ERR_ok;
    }
    if (value.size > WIDE_SIZE_MAX)
        return ERR_limit;
    size_t count = piece_count(value.size);
    trace_pack_array(packer, 1 + count);
    trace_pack_uint(packer, value.size);
    for (size_t i = 0; i < count; i++)
        trace_pack_uint(packer, *encoding->blob++);
    return ERR_ok;
}

static enum err encode_value(struct packer *packer, struct encoding *encoding,
                             char letter, const void *value)
{
    switch (letter) {
    case 'u':
    case 'd':
        put_uint(packer, *(const uint64_t *)value);
        return ERR_ok;
    case 'i':
        pack_int(packer, *(const int64_t *)value);
        return ERR_ok;
    case 'w':
        return encode_wide(packer, encoding, *(const struct bytes *)value);
    case 'b':
        if (((const struct bytes *)value)->size > BYTES_SIZE_MAX)
            return ERR_limit;
        trace_pack_bin(packer, *(const struct bytes *)value);
        return ERR_ok;
    case 'h': {
        const struct trace_hash *hash = value;
        trace_pack_bin(packer,
                       bytes_of(hash->hash.byte, hash->present ? HASH256_SIZE : 0));
        return ERR_ok;
    }
    case 's': {
        const char *text = *(const char *const *)value;
        if (text && !trace_wire_text_valid(bytes_of(text, strlen(text))))
            return ERR_trace_canonical;
        trace_pack_str(packer, text);
        return ERR_ok;
    }
    default:
        check(false);
        return ERR_trace_schema;
    }
}

/* ---- one field ---- */

enum err trace_encode_field(struct packer *packer, struct encoding *encoding,
                            const struct trace_field *field, const void *event)
{
    const void *value = (const uint8_t *)event + field->offset;
    if (!field->list && field->plain) {
        put_uint(packer, *(const uint64_t *)value);
        return ERR_ok;
    }
    if (!field->list)
        return encode_value(packer, encoding, field->letters[0], value);
    const struct any_list *list = value;
    size_t letter_count = field->letter_count;
    if (list->count > RECORD_SIZE_MAX)
        return ERR_limit;
    trace_pack_array(packer, list->count * letter_count);
    if (field->plain) { /* tuples of numbers are an array of numbers */
        const uint64_t *number = list->item;
        for (size_t i = 0; i < list->count * letter_count; i++)
            put_uint(packer, number[i]);
        return ERR_ok;
    }
    const uint8_t *item = list->item;
    for (size_t i = 0; i < list->count; i++, item += field->stride) {
        for (size_t k = 0; k < letter_count; k++)
            TRY(encode_value(packer, encoding, field->letters[k],
                             item + field->member[k]));
    }
    return ERR_ok;
}

static inline bool is_default(const struct trace_field *field, const void *event)
{
    const void *value = (const uint8_t *)event + field->offset;
    if (field->list)
        return ((const struct any_list *)value)->count == 0;
    if (field->plain)
        return *(const uint64_t *)value == 0;
    switch (field->letters[0]) {
    case 'b':
    case 'w':
        return ((const struct bytes *)value)->size == 0;
    case 'h':
        return !((const struct trace_hash *)value)->present;
    case 's': {
        const char *text = *(const char *const *)value;
        return !text || !*text;
    }
    default:
        return *(const uint64_t *)value == 0;
    }
}

bool trace_field_is_default(const struct trace_field *field, const void *event)
{
    return is_default(field, event);
}

/* Most fields of most events: a number of one byte.  False: nothing was put. */
static inline bool put_short(struct packer *packer, const struct trace_field *field,
                             const void *event)
{
    const void *value = (const uint8_t *)event + field->offset;
    if (field->list || !field->plain || packer->at == packer->end)
        return false;
    uint64_t number = *(const uint64_t *)value;
    if (number >= 0x80)
        return false;
    *packer->at++ = (uint8_t)number;
    return true;
}

/* NULL: the field is encoded from the struct. */
static inline const struct bytes *taken(const struct encoding *encoding, uint32_t index)
{
    bool is =
        encoding->taken && index < encoding->taken_count && encoding->taken[index].data;
    return is ? &encoding->taken[index] : NULL;
}

/* How many fields are left when trailing defaults are gone. */
static uint32_t field_count(const struct encoding *encoding, const uint8_t *event)
{
    uint32_t count = encoding->field_count;
    if (encoding->taken && encoding->taken_count > count)
        count = encoding->taken_count;
    for (; count; count--) {
        const struct bytes *wire = taken(encoding, count - 1);
        if (wire ? !wire_default(*wire)
                 : count <= encoding->field_count &&
                       !is_default(&encoding->kind->field[count - 1], event))
            break;
    }
    return count;
}

enum err trace_encode_event(struct packer *packer, struct encoding *encoding,
                            const void *event)
{
    const struct trace_clock *now = &encoding->now, *before = &encoding->before;
    if (now->icount < before->icount || (!encoding->pc && now->gas < before->gas))
        return ERR_trace_sequence;
    uint32_t count = field_count(encoding, event);
    trace_pack_array(packer, 3 + count);
    trace_pack_uint(packer, encoding->kind->id);
    trace_pack_uint(packer, now->icount - before->icount);
    trace_pack_uint(packer, encoding->pc ? now->sub : now->gas - before->gas);
    const struct trace_field *field = encoding->kind->field;
    bool mixed = encoding->taken != NULL;
    for (uint32_t i = 0; i < count; i++) {
        const struct bytes *wire = mixed ? taken(encoding, i) : NULL;
        if (wire)
            pack_raw(packer, *wire);
        else if (!put_short(packer, &field[i], event))
            TRY(trace_encode_field(packer, encoding, &field[i], event));
    }
    return packer->full ? ERR_limit : ERR_ok;
}

/* ---- pieces of w values ---- */

static enum err each_piece(struct bytes value,
                           enum err (*each)(void *self, struct bytes piece), void *self)
{
    if (value.size <= WIDE_INLINE_MAX)
        return ERR_ok;
    if (value.size > WIDE_SIZE_MAX)
        return ERR_limit;
    for (size_t at = 0; at < value.size; at += BLOB_SIZE_MAX) {
        size_t left = value.size - at;
        TRY(each(self, bytes_of(value.data + at,
                                left < BLOB_SIZE_MAX ? left : BLOB_SIZE_MAX)));
    }
    return ERR_ok;
}

static enum err list_pieces(const struct trace_field *field,
                            const struct any_list *list,
                            enum err (*each)(void *self, struct bytes piece),
                            void *self)
{
    const uint8_t *item = list->item;
    for (size_t i = 0; i < list->count; i++, item += field->stride) {
        for (size_t k = 0; k < field->letter_count; k++) {
            const void *value = item + field->member[k];
            if (field->letters[k] == 'w')
                TRY(each_piece(*(const struct bytes *)value, each, self));
        }
    }
    return ERR_ok;
}

enum err trace_encode_pieces(const struct encoding *encoding, const void *event,
                             enum err (*each)(void *self, struct bytes piece),
                             void *self)
{
    const struct trace_kind *kind = encoding->kind;
    const struct trace_field *end = kind->field + encoding->field_count;
    if (!kind->wide)
        return ERR_ok;
    for (const struct trace_field *field = kind->field; field < end; field++) {
        if (!field->wide)
            continue;
        const void *value = (const uint8_t *)event + field->offset;
        if (taken(encoding, (uint32_t)(field - kind->field)))
            continue;
        if (field->list)
            TRY(list_pieces(field, value, each, self));
        else if (((const struct bytes *)value)->size > WIDE_INLINE_MAX)
            TRY(each_piece(*(const struct bytes *)value, each, self));
    }
    return ERR_ok;
}
