/* SPDX-License-Identifier: MIT
 *
 * Notes and bookmarks in a finished file, and its trailer [2.10, 2.11].
 */
#include "trace/internal.h"

enum err trace_ending_read(struct walk *walk, const struct trace_source *source,
                           struct trace_ending *ret_ending)
{
    struct trace_fault fault;
    struct trace_ending ending;
    uint8_t trailer[TRAILER_SIZE];
    uint64_t file_size;
    bool absent;
    walk->source = *source;
    TRY(trace_header_read(source, &fault, &walk->header));
    TRY(source->size(source->self, &file_size));
    if (file_size < walk->header.size + CHUNK_HEADER_SIZE + TRAILER_SIZE)
        return ERR_trace_truncated;
    uint64_t at = file_size - TRAILER_SIZE;
    TRY(trace_walk_read(walk, at, trailer, sizeof trailer));
    if (memcmp(trailer + 44, TRAILER_MAGIC, 4) != 0)
        return ERR_trace_truncated;
    if (get32(trailer + 40) != hash_crc32c(0, trailer, 40))
        return ERR_trace_crc;
    TRY(trace_walk_read_header(walk, get64(trailer + 32), &ending.index, &absent));
    memcpy(ending.chain.byte, trailer, HASH256_SIZE);
    if (ending.index.kind != TRACE_CHUNK_INDEX || chunk_end(&ending.index) != at ||
        !hash256_equal(&ending.index.chain, &ending.chain))
        return ERR_trace_chunk;
    ending.header = walk->header;
    *ret_ending = ending;
    return ERR_ok;
}

enum err trace_identity(const struct trace_source *source, struct hash256 *ret_identity)
{
    struct walk walk = {0};
    struct trace_ending ending;
    TRY(trace_ending_read(&walk, source, &ending));
    *ret_identity = ending.chain;
    return ERR_ok;
}

/* ---- adding ---- */

static enum err pack_record(struct buf *payload, enum trace_id id, const void *event)
{
    struct encoding encoding = {.kind = trace_kind_of(id)};
    size_t before = payload->size;
    encoding.field_count = encoding.kind->field_count;
    uint8_t *at = buf_extend(payload, RECORD_SIZE_MAX);
    if (!at)
        return payload->err;
    struct packer packer = {.at = at, .end = at + RECORD_SIZE_MAX};
    enum err err = trace_encode_event(&packer, &encoding, event);
    payload->size = before + (size_t)(packer.at - at);
    return err;
}

/* The rows of all chunks before the index. */
static enum err collect_rows(struct walk *walk, const struct trace_ending *ending,
                             struct tail *tail)
{
    uint64_t at = ending->header.size;
    while (at < ending->index.offset) {
        struct trace_chunk chunk;
        bool absent;
        TRY(trace_walk_read_header(walk, at, &chunk, &absent));
        TRY(trace_tail_add_row(tail, &chunk));
        at = chunk_end(&chunk);
    }
    return at == ending->index.offset ? ERR_ok : ERR_trace_chunk;
}

static enum err append(struct walk *walk, const struct trace_ending *ending,
                       struct tail *tail, struct bytes payload, uint32_t record_count)
{
    const struct trace_chunk *index = &ending->index;
    struct position position = {
        .seq = index->seq0,
        .clock = {.icount = index->icount0, .gas = index->gas0},
        .blob_count = index->blob0,
        .chain = ending->chain,
    };
    struct trace_chunk chunk = {
        .kind = TRACE_CHUNK_ANNOTATIONS,
        .seq0 = index->seq0,
        .icount0 = index->icount0,
        .icount1 = index->icount1,
        .gas0 = index->gas0,
        .record_count = record_count,
        .blob0 = index->blob0,
    };
    TRY(collect_rows(walk, ending, tail));
    tail->chain_init = ending->header.chain_init;
    tail->end = index->offset;
    TRY(tail->sink.truncate(tail->sink.self, tail->end));
    TRY(trace_tail_put_chunk(tail, &chunk, payload, &position.chain));
    return trace_tail_finish(tail, &position, true);
}

enum err trace_annotate(const struct trace_source *source,
                        const struct trace_sink *sink, const struct trace_note *note,
                        const struct trace_bookmark *bookmark)
{
    struct walk walk = {0};
    struct tail tail;
    struct trace_ending ending;
    struct buf payload;
    uint32_t record_count = (note ? 1u : 0u) + (bookmark ? 1u : 0u);
    TRY(trace_ending_read(&walk, source, &ending));
    trace_tail_init(&tail, sink, TRACE_SYNC_NONE, 0);
    buf_init(&payload, 4 * RECORD_SIZE_MAX);
    enum err err = ERR_ok;
    if (note)
        err = pack_record(&payload, TRACE_ID_note, note);
    if (!err && bookmark)
        err = pack_record(&payload, TRACE_ID_bookmark, bookmark);
    if (!err && record_count)
        err = append(&walk, &ending, &tail, buf_bytes(&payload), record_count);
    buf_fini(&payload);
    trace_tail_fini(&tail);
    return err;
}

/* ---- reading ---- */

static void each_record(struct walk *walk,
                        void (*each)(void *self, const struct trace_chunk *chunk,
                                     const struct trace_record *record),
                        void *self)
{
    struct wire wire = wire_of(walk->payload);
    while (wire_left(&wire)) {
        const uint8_t *start = wire.at;
        struct wire head = wire;
        uint64_t count, id, skipped;
        if (!trace_wire_skip(&wire) || !wire_array(&head, &count) ||
            !wire_uint(&head, &id) || !wire_uint(&head, &skipped) ||
            !wire_uint(&head, &skipped))
            return; /* validated before */
        const struct trace_record record = {
            .seq = walk->chunk.seq0,
            .clock = {.icount = walk->chunk.icount0, .gas = walk->chunk.gas0},
            .kind = trace_schema_kind(&walk->schema, id),
            .wire = bytes_of(start, (size_t)(wire.at - start)),
            .fields = bytes_of(head.at, (size_t)(wire.at - head.at)),
            .field_count = (uint32_t)count - 3,
        };
        each(self, &walk->chunk, &record);
    }
}

enum err trace_annotations(struct trace_reader *reader,
                           void (*each)(void *self, const struct trace_chunk *chunk,
                                        const struct trace_record *record),
                           void *self)
{
    struct walk walk = {.source = reader->walk.source,
                        .header = reader->walk.header,
                        .schema = reader->walk.schema,
                        .salvage = reader->walk.salvage,
                        .thorough = true,
                        .next = reader->walk.header.size,
                        .expect = {.chain = reader->walk.header.chain_init}};
    bool end = false;
    enum err err = ERR_ok;
    buf_init(&walk.stored, RAW_SIZE_MAX + STORED_EXTRA_MAX);
    buf_init(&walk.raw, RAW_SIZE_MAX + STORED_EXTRA_MAX);
    buf_init(&walk.ends, RAW_SIZE_MAX);
    while (!err && !end) {
        err = trace_walk_next(&walk, &end);
        if (err || end || walk.tail)
            continue;
        if (walk.chunk.kind == TRACE_CHUNK_ANNOTATIONS ||
            walk.chunk.kind == TRACE_CHUNK_VOLATILE)
            each_record(&walk, each, self);
    }
    trace_walk_fini(&walk);
    return err;
}
