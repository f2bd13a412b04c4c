/* SPDX-License-Identifier: MIT
 *
 * Chunks coming in [2.7, 2.12].  Everything a chunk claims is checked against its
 * bytes and against the chunks before it, before anybody sees a record of it.
 */
#include "trace/internal.h"

enum { TRY_COUNT = 100, SCAN_BLOCK_SIZE = 65536 };

/* Remember damage. */
enum err trace_walk_damaged(struct walk *walk, enum err err, uint64_t chunk_offset,
                            size_t payload_offset)
{
    walk->fault = (struct trace_fault){
        .err = err, .chunk_offset = chunk_offset, .payload_offset = payload_offset};
    return err;
}

/* ---- does it belong here? ---- */

/* Clocks, numbers and blobs go on where the chunk before stopped. */
bool trace_walk_position_fits(const struct walk *walk, const struct trace_chunk *chunk)
{
    const struct position *expect = &walk->expect;
    uint32_t blob0 = chunk->flags & TRACE_CHUNK_EPOCH ? 0 : expect->blob_count;
    return chunk->seq0 == expect->seq && chunk->icount0 == expect->clock.icount &&
           chunk->gas0 == expect->clock.gas && chunk->blob0 == blob0;
}

static void adopt_position(struct walk *walk, const struct trace_chunk *chunk)
{
    walk->expect.seq = chunk->seq0;
    walk->expect.clock =
        (struct trace_clock){.icount = chunk->icount0, .gas = chunk->gas0};
    walk->expect.blob_count = chunk->blob0;
}

enum err trace_walk_pass_events(struct walk *walk, const struct trace_chunk *chunk,
                                bool tail)
{
    const struct payload_totals *totals = &walk->totals;
    struct position after = walk->expect;
    uint64_t blobs = (uint64_t)chunk->blob0 + totals->blob_count;
    bool pc = walk->header.guest == TRACE_GUEST_PC;
    if (__builtin_add_overflow(after.seq, totals->event_count, &after.seq) ||
        __builtin_add_overflow(after.clock.icount, totals->icount,
                               &after.clock.icount) ||
        (!pc &&
         (totals->gas_overflow ||
          __builtin_add_overflow(after.clock.gas, totals->gas, &after.clock.gas))) ||
        blobs > UINT32_MAX)
        return ERR_trace_sequence;
    if (!tail && after.clock.icount != chunk->icount1)
        return ERR_trace_sequence;
    after.blob_count = (uint32_t)blobs;
    if (!tail)
        walk->expect = after;
    return ERR_ok;
}

/* Chunks that only stand there: a checkpoint may restart numbering [2.8]. */
static enum err pass_other(struct walk *walk, const struct trace_chunk *chunk)
{
    bool base = chunk->flags & TRACE_CHUNK_BASE;
    bool ring = walk->header.flags & TRACE_HEADER_RING;
    if (chunk->kind == TRACE_CHUNK_CHECKPOINT && (base || ring)) {
        if (chunk->seq0 < walk->expect.seq)
            return ERR_trace_sequence;
        if (chunk->seq0 > walk->expect.seq && ring)
            walk->gap_count++;
        adopt_position(walk, chunk);
    }
    return ERR_ok;
}

static enum err check_chain(struct walk *walk, const struct trace_chunk *chunk)
{
    struct hash256 want = walk->expect.chain;
    walk->chain_before = want;
    bool ring_start = chunk->kind == TRACE_CHUNK_CHECKPOINT &&
                      (walk->header.flags & TRACE_HEADER_RING) &&
                      chunk->seq0 > walk->expect.seq;
    if (trace_chunk_chained(chunk))
        want = trace_chunk_chain(&walk->expect.chain, chunk, walk->payload);
    if (!walk->adopt && !ring_start && !hash256_equal(&want, &chunk->chain))
        return ERR_trace_chain;
    return ERR_ok;
}

static bool payload_wanted(const struct walk *walk, const struct trace_chunk *chunk)
{
    switch (chunk->kind) {
    case TRACE_CHUNK_SCHEMA:
    case TRACE_CHUNK_EVENTS:
        return true;
    case TRACE_CHUNK_CHECKPOINT:
        return walk->thorough || (chunk->flags & TRACE_CHUNK_BASE);
    case TRACE_CHUNK_ANNOTATIONS:
    case TRACE_CHUNK_VOLATILE:
    case TRACE_CHUNK_INDEX:
        return walk->thorough;
    default:
        return false;
    }
}

/* A payload without schema rows: canonical values, one per record. */
static enum err check_values(struct bytes payload, uint32_t record_count,
                             size_t *fault_offset)
{
    struct wire wire = wire_of(payload);
    for (uint32_t i = 0; i < record_count; i++) {
        *fault_offset = (size_t)(wire.at - payload.data);
        if (!trace_wire_skip(&wire))
            return ERR_trace_canonical;
    }
    *fault_offset = (size_t)(wire.at - payload.data);
    return wire_left(&wire) ? ERR_trace_chunk : ERR_ok;
}

static enum err check_payload(struct walk *walk, const struct trace_chunk *chunk,
                              size_t *fault_offset)
{
    bool events = chunk->kind == TRACE_CHUNK_EVENTS;
    buf_clear(&walk->ends);
    switch (chunk->kind) {
    case TRACE_CHUNK_EVENTS:
    case TRACE_CHUNK_ANNOTATIONS:
    case TRACE_CHUNK_VOLATILE:
        return trace_payload_validate(
            walk->payload, chunk->kind, &walk->schema, chunk->record_count,
            chunk->blob0, events ? &walk->ends : NULL, fault_offset, &walk->totals);
    case TRACE_CHUNK_CHECKPOINT:
    case TRACE_CHUNK_INDEX:
        return check_values(walk->payload, chunk->record_count, fault_offset);
    default:
        return ERR_ok;
    }
}

/* Everything about a closed chunk whose header is good. */
static enum err take_chunk(struct walk *walk, const struct trace_chunk *chunk,
                           size_t *fault_offset)
{
    bool events = chunk->kind == TRACE_CHUNK_EVENTS;
    bool wanted = payload_wanted(walk, chunk);
    walk->payload = (struct bytes){0};
    if (events && walk->adopt)
        adopt_position(walk, chunk);
    if (events && !trace_walk_position_fits(walk, chunk))
        return ERR_trace_sequence;
    TRY(trace_walk_check_bounds(walk, chunk));
    if (wanted) {
        TRY(trace_walk_load(walk, chunk, &walk->raw));
        walk->payload = buf_bytes(&walk->raw);
    } else {
        TRY(trace_walk_check_crc(walk, chunk));
    }
    TRY(trace_walk_check_padding(walk, chunk));
    if (wanted)
        TRY(check_payload(walk, chunk, fault_offset));
    TRY(check_chain(walk, chunk));
    TRY(events ? trace_walk_pass_events(walk, chunk, false) : pass_other(walk, chunk));
    walk->expect.chain = chunk->chain; /* all is well: now, and not before */
    return ERR_ok;
}

/* ---- the end of the file ---- */

/* Behind the index: state CLOSED, or OPEN while the trailer is not there yet. */
static enum err read_trailer(struct walk *walk)
{
    uint8_t trailer[TRAILER_SIZE];
    uint64_t at = walk->next, file_size;
    TRY(walk->source.size(walk->source.self, &file_size));
    if (file_size < at + sizeof trailer) {
        walk->state = TRACE_READER_OPEN;
        return ERR_ok;
    }
    TRY(trace_walk_read(walk, at, trailer, sizeof trailer));
    if (memcmp(trailer + 44, TRAILER_MAGIC, 4) != 0 ||
        get32(trailer + 40) != hash_crc32c(0, trailer, 40))
        return trace_walk_damaged(walk, ERR_trace_crc, at, 0);
    if (memcmp(trailer, walk->expect.chain.byte, HASH256_SIZE) != 0 && !walk->adopt)
        return trace_walk_damaged(walk, ERR_trace_chain, at, 0);
    if (get64(trailer + 32) != walk->index_offset || file_size != at + sizeof trailer)
        return trace_walk_damaged(walk, ERR_trace_chunk, at, 0);
    walk->state = TRACE_READER_CLOSED;
    return ERR_ok;
}

/* The next place with a good header of this file, or `file_size`. */
static enum err scan(struct walk *walk, uint64_t from, uint64_t file_size,
                     uint64_t *ret_offset)
{
    uint8_t block[SCAN_BLOCK_SIZE];
    struct trace_chunk chunk;
    while (from < file_size) {
        size_t got;
        TRY(walk->source.read(walk->source.self, from, block, sizeof block, &got));
        for (size_t i = 0; i + CHUNK_ALIGN <= got; i += CHUNK_ALIGN) {
            bool absent;
            if (memcmp(block + i, CHUNK_MAGIC, 4) != 0)
                continue;
            enum err err = trace_walk_read_header(walk, from + i, &chunk, &absent);
            if (err && !err_is_damage(err))
                return err;
            if (!err)
                return *ret_offset = from + i, ERR_ok;
        }
        from += sizeof block;
    }
    *ret_offset = file_size;
    return ERR_ok;
}

static enum err chunk_behind(struct walk *walk, bool *ret_nothing)
{
    uint64_t file_size, found;
    TRY(walk->source.size(walk->source.self, &file_size));
    TRY(scan(walk, walk->next, file_size, &found));
    *ret_nothing = found >= file_size;
    return ERR_ok;
}

/* Was a checkpoint being written here, or its window still to be opened, when the
 * recorder stopped?  Such a chunk begins with its header and lies over the old window;
 * nothing is behind it. */
static enum err behind_checkpoint(struct walk *walk, const struct trace_chunk *broken,
                                  bool *ret_nothing)
{
    uint64_t file_size, found;
    *ret_nothing = false;
    if (!trace_chunk_extra(broken ? broken : &walk->chunk))
        return ERR_ok;
    TRY(walk->source.size(walk->source.self, &file_size));
    TRY(scan(walk, walk->next + CHUNK_ALIGN, file_size, &found));
    *ret_nothing = found >= file_size;
    return ERR_ok;
}

/* ---- walking ---- */

enum err trace_walk_open(struct walk *walk, struct arena *arena,
                         const struct trace_source *source, struct trace_fault *fault)
{
    struct trace_chunk chunk;
    bool absent;
    size_t fault_offset = 0;
    *walk = (struct walk){.source = *source};
    buf_init(&walk->stored, RAW_SIZE_MAX + STORED_EXTRA_MAX);
    buf_init(&walk->raw, RAW_SIZE_MAX + STORED_EXTRA_MAX);
    buf_init(&walk->ends, RAW_SIZE_MAX);
    TRY(trace_header_read(source, fault, &walk->header));
    walk->next = walk->header.size;
    walk->expect.chain = walk->header.chain_init;
    enum err err = trace_walk_read_header(walk, walk->next, &chunk, &absent);
    if (!err && chunk.kind != TRACE_CHUNK_SCHEMA)
        err = ERR_trace_chunk;
    if (!err && chunk.raw_size > SCHEMA_SIZE_MAX)
        err = ERR_limit;
    if (!err)
        err = take_chunk(walk, &chunk, &fault_offset);
    if (!err)
        err = trace_schema_parse(arena, walk->payload, chunk.record_count,
                                 &fault_offset, &walk->schema);
    if (err) {
        *fault = (struct trace_fault){err, walk->next, fault_offset};
        return err;
    }
    walk->chunk = chunk;
    walk->next = chunk_end(&chunk);
    return ERR_ok;
}

void trace_walk_fini(struct walk *walk)
{
    trace_codec_fini(&walk->codec);
    buf_fini(&walk->stored);
    buf_fini(&walk->raw);
    buf_fini(&walk->ends);
}

void trace_walk_go(struct walk *walk, uint64_t offset, const struct position *position)
{
    walk->next = offset;
    walk->expect = *position;
    walk->adopt = walk->salvage;
    walk->tail = walk->at_trailer = false;
    walk->state = TRACE_READER_MORE;
    walk->payload = (struct bytes){0};
}

/* Accept the closed chunk just checked. */
static void accept(struct walk *walk, const struct trace_chunk *chunk)
{
    walk->chunk = *chunk;
    walk->tail = false;
    walk->state = TRACE_READER_MORE;
    walk->adopt &= chunk->kind != TRACE_CHUNK_EVENTS;
    walk->at_trailer = chunk->kind == TRACE_CHUNK_INDEX;
    walk->index_offset = chunk->offset;
    walk->next = chunk_end(chunk);
}

/* One attempt at `next`, and what it met. */
struct attempt {
    struct trace_chunk chunk; /* the header at `next`, if good */
    bool header_good;
    bool last; /* nothing can be behind the damage: a torn tail, a bad trailer */
    bool end;
};

static enum err attempt_next(struct walk *walk, struct attempt *attempt)
{
    struct trace_chunk open;
    enum window window;
    size_t fault_offset = 0;
    bool absent = false;
    *attempt = (struct attempt){.end = walk->at_trailer, .last = walk->at_trailer};
    if (walk->at_trailer)
        return read_trailer(walk);
    enum err err = trace_walk_read_header(walk, walk->next, &attempt->chunk, &absent);
    attempt->header_good = !err;
    if (!err)
        err = take_chunk(walk, &attempt->chunk, &fault_offset);
    if (!err) {
        accept(walk, &attempt->chunk);
        return ERR_ok;
    }
    if (!err_is_damage(err))
        return err;
    TRY(trace_walk_read_window(walk, &open, &window));
    if (window == WINDOW_TAKEN)
        return trace_walk_take_window(walk, &open);
    bool nothing = window == WINDOW_NONE && absent;
    if (nothing && walk->salvage)
        TRY(chunk_behind(walk, &nothing)); /* a hole, if a chunk is behind it */
    if (window == WINDOW_NONE && !absent)
        TRY(trace_walk_between_windows(walk, &nothing));
    if (window == WINDOW_NONE && !absent && !nothing)
        TRY(behind_checkpoint(walk, attempt->header_good ? &attempt->chunk : NULL,
                              &nothing));
    if (window == WINDOW_SAME || nothing) {
        walk->state = TRACE_READER_OPEN;
        attempt->end = true;
        return ERR_ok;
    }
    attempt->last = window != WINDOW_NONE;
    return attempt->last
               ? trace_walk_damaged(walk, ERR_trace_crc, window_offset(walk->next), 0)
               : trace_walk_damaged(walk, err, walk->next, fault_offset);
}

/* What a writer at work would have changed. */
struct snapshot {
    uint8_t closed[CHUNK_HEADER_SIZE];
    uint8_t window[WINDOW_RECORDS];
    uint64_t file_size;
};

static enum err take_snapshot(struct walk *walk, struct snapshot *ret_snapshot)
{
    const struct trace_source *source = &walk->source;
    size_t got;
    memset(ret_snapshot, 0, sizeof *ret_snapshot);
    TRY(source->size(source->self, &ret_snapshot->file_size));
    TRY(source->read(source->self, walk->next, ret_snapshot->closed,
                     sizeof ret_snapshot->closed, &got));
    return source->read(source->self, window_offset(walk->next), ret_snapshot->window,
                        sizeof ret_snapshot->window, &got);
}

/* Salvage: report the damage and find the place to go on. */
static enum err skip_damage(struct walk *walk, struct attempt *attempt)
{
    uint64_t file_size;
    TRY(walk->source.size(walk->source.self, &file_size));
    walk->gap_count++;
    walk->adopt = true;
    if (walk->defect)
        walk->defect(walk->defect_self, &walk->fault, err_text(walk->fault.err));
    attempt->end = attempt->last;
    if (attempt->last)
        return ERR_ok;
    walk->state = TRACE_READER_MORE;
    if (attempt->header_good && chunk_end(&attempt->chunk) < file_size) {
        walk->next = chunk_end(&attempt->chunk);
        return ERR_ok;
    }
    return scan(walk, walk->next + CHUNK_ALIGN, file_size, &walk->next);
}

enum err trace_walk_next(struct walk *walk, bool *ret_end)
{
    struct attempt attempt = {.end = walk->state == TRACE_READER_CLOSED};
    struct snapshot before, now;
    unsigned tries = 0;
    while (!attempt.end) {
        enum err err = attempt_next(walk, &attempt);
        if (!err)
            break;
        if (!err_is_damage(err))
            return err;
        /* Damage stays; what a writer did between our reads does not. */
        TRY(take_snapshot(walk, &now));
        bool still = tries && memcmp(&before, &now, sizeof now) == 0;
        before = now;
        attempt.end = false;
        if (!still && ++tries < TRY_COUNT)
            continue;
        tries = 0;
        walk->state = TRACE_READER_BROKEN;
        if (!walk->salvage)
            return err;
        TRY(skip_damage(walk, &attempt));
    }
    *ret_end = attempt.end;
    return ERR_ok;
}
