/* SPDX-License-Identifier: MIT
 *
 * The reader: chunks to events, following a live file, seeking.
 */
#include "trace/internal.h"

/* ---- opening ---- */

static void init_buffers(struct trace_reader *reader)
{
    buf_init(&reader->table.refs, (size_t)64 << 20);
    buf_init(&reader->bodies, EVENTS_SIZE_MAX);
    for (size_t i = 0; i < BLOB_SLOT_COUNT; i++) {
        buf_init(&reader->slot[i].raw, EVENTS_SIZE_MAX + STORED_EXTRA_MAX);
        buf_init(&reader->slot[i].bodies, EVENTS_SIZE_MAX);
    }
}

enum err trace_reader_open(struct arena *arena, const struct trace_source *source,
                           const struct trace_reader_options *options,
                           struct trace_fault *fault, struct trace_reader **ret_reader)
{
    struct trace_fault ignored;
    struct trace_reader *reader = arena_new(arena, struct trace_reader);
    if (!reader)
        return ERR_nomem;
    if (options)
        reader->options = *options;
    init_buffers(reader);
    enum err err =
        trace_walk_open(&reader->walk, arena, source, fault ? fault : &ignored);
    if (err) {
        trace_reader_close(reader);
        return err;
    }
    reader->walk.salvage = reader->options.salvage;
    reader->table.stride = 1;
    reader->table.hop_offset = reader->walk.next;
    reader->table.hop_chain = reader->walk.header.chain_init;
    reader->clock = (struct trace_clock){0};
    *ret_reader = reader;
    return ERR_ok;
}

void trace_reader_close(struct trace_reader *reader)
{
    if (!reader)
        return;
    trace_walk_fini(&reader->walk);
    buf_fini(&reader->table.refs);
    buf_fini(&reader->bodies);
    for (size_t i = 0; i < BLOB_SLOT_COUNT; i++) {
        buf_fini(&reader->slot[i].raw);
        buf_fini(&reader->slot[i].bodies);
    }
}

const struct trace_header *trace_reader_header(const struct trace_reader *reader)
{
    return &reader->walk.header;
}

const struct trace_schema *trace_reader_schema(const struct trace_reader *reader)
{
    return &reader->walk.schema;
}

enum trace_reader_state trace_reader_state(const struct trace_reader *reader)
{
    enum trace_reader_state state = reader->walk.state;
    bool broken = state == TRACE_READER_BROKEN;
    return reader->at_end || broken ? state : TRACE_READER_MORE;
}

struct trace_fault trace_reader_fault(const struct trace_reader *reader)
{
    return reader->walk.fault;
}

uint64_t trace_reader_gap_count(const struct trace_reader *reader)
{
    return reader->walk.gap_count;
}

struct hash256 trace_reader_chain(const struct trace_reader *reader)
{
    return reader->walk.expect.chain;
}

struct trace_chunk trace_reader_chunk(const struct trace_reader *reader)
{
    return reader->record_chunk;
}

struct trace_clock trace_reader_clock_before(const struct trace_reader *reader)
{
    return reader->clock_before;
}

/* ---- one event after the other ---- */

/* Where record `index` of the payload ends; index -1 is its start. */
static size_t record_end(const struct trace_reader *reader, size_t index)
{
    const struct buf *ends = &reader->walk.ends;
    return index == SIZE_MAX ? 0 : ((const uint32_t *)(const void *)ends->data)[index];
}

/* A new chunk of events, or the open tail with more records in it. */
static enum err enter_chunk(struct trace_reader *reader)
{
    const struct trace_chunk *chunk = &reader->walk.chunk;
    bool same = reader->in_chunk && chunk->offset == reader->chunk_offset &&
                chunk->seq0 == reader->chunk_seq0;
    TRY(trace_table_note(&reader->table, chunk, &reader->walk.chain_before,
                         reader->walk.tail));
    if (same) /* completed records never change: go on where we were */
        return reader->record <= reader->walk.ends.size / sizeof(uint32_t) &&
                       record_end(reader, reader->record - 1) == reader->consumed
                   ? ERR_ok
                   : ERR_trace_sequence;
    reader->in_chunk = true;
    reader->chunk_offset = chunk->offset;
    reader->chunk_seq0 = chunk->seq0;
    reader->blob0 = chunk->blob0;
    reader->epoch += chunk->flags & TRACE_CHUNK_EPOCH ? 1 : 0;
    reader->consumed = reader->record = 0;
    reader->seq = chunk->seq0;
    reader->clock = (struct trace_clock){.icount = chunk->icount0, .gas = chunk->gas0};
    buf_clear(&reader->bodies);
    return ERR_ok;
}

/* Load the next chunk with events. */
static enum err advance(struct trace_reader *reader, bool *ret_end)
{
    struct walk *walk = &reader->walk;
    for (;;) {
        bool end;
        TRY(trace_walk_next(walk, &end));
        if (end) {
            reader->at_end = true;
            *ret_end = true;
            return ERR_ok;
        }
        reader->at_end = false;
        if (walk->chunk.kind == TRACE_CHUNK_EVENTS) {
            *ret_end = false;
            return enter_chunk(reader);
        }
        TRY(trace_table_note(&reader->table, &walk->chunk, &walk->chain_before, false));
    }
}

/* Take the record at `consumed`, which is validated; false: it was a blob. */
static enum err take_record(struct trace_reader *reader,
                            struct trace_record *ret_record, bool *ret_event)
{
    struct bytes payload = reader->walk.payload;
    const uint8_t *start = payload.data + reader->consumed;
    size_t end = record_end(reader, reader->record++);
    struct wire wire = {start, payload.data + end};
    uint64_t count, id, dt, dx;
    if (!wire_array(&wire, &count) || !wire_uint(&wire, &id) ||
        !wire_uint(&wire, &dt) || !wire_uint(&wire, &dx))
        return ERR_trace_canonical;
    reader->consumed = end;
    *ret_event = id != TRACE_ID_blob;
    if (!*ret_event) {
        uint32_t at = (uint32_t)(wire.at - payload.data);
        buf_put(&reader->bodies, &at, sizeof at);
        return reader->bodies.err;
    }
    reader->clock_before = reader->clock;
    reader->clock.icount += dt;
    if (reader->walk.header.guest == TRACE_GUEST_PC)
        reader->clock.sub = dx;
    else
        reader->clock.gas += dx;
    reader->record_chunk = reader->walk.chunk;
    *ret_record = (struct trace_record){
        .seq = reader->seq++,
        .clock = reader->clock,
        .kind = trace_schema_kind(&reader->walk.schema, id),
        .wire = bytes_of(start, (size_t)(wire.end - start)),
        .fields = bytes_of(wire.at, wire_left(&wire)),
        .field_count = (uint32_t)count - 3,
    };
    return ERR_ok;
}

enum err trace_reader_next(struct trace_reader *reader, struct trace_record *ret_record,
                           bool *ret_end)
{
    if (reader->has_pending) {
        reader->has_pending = false;
        *ret_record = reader->pending;
        *ret_end = false;
        return ERR_ok;
    }
    for (;;) {
        bool found;
        if (reader->in_chunk && reader->consumed < reader->walk.payload.size) {
            TRY(take_record(reader, ret_record, &found));
            if (found) {
                *ret_end = false;
                return ERR_ok;
            }
            continue;
        }
        TRY(advance(reader, &found));
        if (found) {
            *ret_end = true;
            return ERR_ok;
        }
    }
}

/* ---- seeking ---- */

/* What to seek by: a chunk starts too late, a record is far enough. */
struct key {
    bool (*chunk_beyond)(const struct chunk_ref *ref, uint64_t key);
    bool (*record_reached)(const struct trace_record *record, uint64_t key);
};

static bool seq_beyond(const struct chunk_ref *ref, uint64_t key)
{
    return ref->at.seq > key;
}

static bool seq_reached(const struct trace_record *record, uint64_t key)
{
    return record->seq >= key;
}

/* An event with the clock looked for may be the last of the chunk before. */
static bool icount_beyond(const struct chunk_ref *ref, uint64_t key)
{
    return ref->at.clock.icount >= key;
}

static bool icount_reached(const struct trace_record *record, uint64_t key)
{
    return record->clock.icount >= key;
}

static bool gas_beyond(const struct chunk_ref *ref, uint64_t key)
{
    return ref->at.clock.gas >= key;
}

static bool gas_reached(const struct trace_record *record, uint64_t key)
{
    return record->clock.gas >= key;
}

/* Stand before the first record of `ref`. */
static void go_to(struct trace_reader *reader, const struct chunk_ref *ref)
{
    trace_walk_go(&reader->walk, ref->offset, &ref->at);
    reader->in_chunk = false;
    reader->at_end = false;
    reader->epoch = ref->epoch - ref->restarts; /* entering it counts its restart */
}

static enum err seek(struct trace_reader *reader, const struct key *key, uint64_t value)
{
    const struct chunk_table *table = &reader->table;
    reader->has_pending = false;
    TRY(trace_table_extend(reader, key->chunk_beyond, value));
    size_t low = 0, high = trace_table_size(table);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (key->chunk_beyond(trace_table_at(table, middle), value))
            high = middle;
        else
            low = middle + 1;
    }
    if (trace_table_size(table))
        go_to(reader, trace_table_at(table, low ? low - 1 : 0));
    bool end = false;
    while (!end) {
        TRY(trace_reader_next(reader, &reader->pending, &end));
        if (!end && key->record_reached(&reader->pending, value)) {
            reader->has_pending = true;
            return ERR_ok;
        }
    }
    return ERR_ok;
}

enum err trace_reader_seek_seq(struct trace_reader *reader, uint64_t seq)
{
    static const struct key key = {seq_beyond, seq_reached};
    return seek(reader, &key, seq);
}

enum err trace_reader_seek_icount(struct trace_reader *reader, uint64_t icount)
{
    static const struct key key = {icount_beyond, icount_reached};
    return seek(reader, &key, icount);
}

enum err trace_reader_seek_gas(struct trace_reader *reader, uint64_t gas)
{
    static const struct key key = {gas_beyond, gas_reached};
    return seek(reader, &key, gas);
}
