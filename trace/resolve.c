/* SPDX-License-Identifier: MIT
 *
 * Blob numbers to bytes, in bounded memory: the chunk that defines a blob is found by
 * the blob counts in the headers and kept decoded in one of a few slots.
 */
#include "trace/internal.h"

static uint32_t body_at(const struct buf *bodies, uint64_t index)
{
    return ((const uint32_t *)(const void *)bodies->data)[index];
}

/* The bytes of the blob record whose body begins at `at`. */
static enum err body(struct bytes payload, uint32_t at, struct bytes *ret_bytes)
{
    struct wire wire = {payload.data + at, payload.data + payload.size};
    struct wire_item item;
    if (at > payload.size || !wire_next(&wire, &item) || item.class != WIRE_BIN)
        return ERR_trace_blob;
    *ret_bytes = item.bytes;
    return ERR_ok;
}

/* Note where the blobs of a validated payload are. */
static enum err index_bodies(struct bytes payload, struct buf *bodies)
{
    struct wire wire = wire_of(payload);
    buf_clear(bodies);
    while (wire_left(&wire)) {
        struct wire record = wire;
        uint64_t count, id;
        if (!trace_wire_skip(&wire))
            return ERR_trace_canonical;
        if (!wire_array(&record, &count) || !wire_uint(&record, &id) ||
            id != TRACE_ID_blob)
            continue;
        uint32_t at = (uint32_t)(record.at - payload.data) + 2; /* dt and dx: 00 00 */
        buf_put(bodies, &at, sizeof at);
    }
    return bodies->err ? ERR_nomem : ERR_ok;
}

static enum err fill_slot(struct trace_reader *reader, const struct trace_chunk *chunk,
                          struct blob_slot *slot)
{
    size_t fault_offset;
    slot->chunk_offset = 0;
    TRY(trace_walk_load(&reader->walk, chunk, &slot->raw));
    TRY(trace_validate(buf_bytes(&slot->raw), TRACE_CHUNK_EVENTS, &reader->walk.schema,
                       chunk->record_count, chunk->blob0, &fault_offset));
    TRY(index_bodies(buf_bytes(&slot->raw), &slot->bodies));
    slot->chunk_offset = chunk->offset;
    slot->blob0 = chunk->blob0;
    return ERR_ok;
}

/* The last chunk of this epoch with blob0 <= number; at or before the current one. */
static enum err find_chunk(struct trace_reader *reader, uint64_t number,
                           struct trace_chunk *ret_chunk)
{
    const struct chunk_table *table = &reader->table;
    struct trace_chunk chunk, found = {0};
    size_t low = 0, high = trace_table_size(table);
    bool absent;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct chunk_ref *ref = trace_table_at(table, middle);
        bool before = ref->epoch < reader->epoch ||
                      (ref->epoch == reader->epoch && ref->at.blob_count <= number);
        if (before && ref->offset <= reader->chunk_offset)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low)
        return ERR_trace_blob;
    uint64_t at = trace_table_at(table, low - 1)->offset;
    /* With a thinned table it may be some chunks further. */
    for (; at <= reader->chunk_offset; at = chunk_end(&chunk)) {
        if (trace_walk_read_header(&reader->walk, at, &chunk, &absent))
            break;
        if (chunk.kind != TRACE_CHUNK_EVENTS)
            continue;
        if (chunk.blob0 > number)
            break;
        found = chunk;
    }
    if (!found.offset)
        return ERR_trace_blob;
    *ret_chunk = found;
    return ERR_ok;
}

static enum err find_slot(struct trace_reader *reader, uint64_t number,
                          struct blob_slot **ret_slot)
{
    struct trace_chunk chunk;
    struct blob_slot *oldest = &reader->slot[0];
    for (size_t i = 0; i < BLOB_SLOT_COUNT; i++) {
        struct blob_slot *slot = &reader->slot[i];
        uint64_t count = slot->bodies.size / sizeof(uint32_t);
        if (slot->chunk_offset && slot->epoch == reader->epoch &&
            number >= slot->blob0 && number - slot->blob0 < count)
            return *ret_slot = slot, ERR_ok;
        if (slot->tick < oldest->tick)
            oldest = slot;
    }
    TRY(find_chunk(reader, number, &chunk));
    TRY(fill_slot(reader, &chunk, oldest));
    oldest->epoch = reader->epoch;
    *ret_slot = oldest;
    return ERR_ok;
}

enum err trace_reader_blob(struct trace_reader *reader, uint64_t number,
                           struct bytes *ret_bytes)
{
    struct blob_slot *slot;
    if (number >= reader_blob_count(reader))
        return ERR_trace_blob;
    if (number >= reader->blob0)
        return body(reader->walk.payload,
                    body_at(&reader->bodies, number - reader->blob0), ret_bytes);
    TRY(find_slot(reader, number, &slot));
    if (number - slot->blob0 >= slot->bodies.size / sizeof(uint32_t))
        return ERR_trace_blob;
    slot->tick = ++reader->tick;
    return body(buf_bytes(&slot->raw), body_at(&slot->bodies, number - slot->blob0),
                ret_bytes);
}
