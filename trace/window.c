/* SPDX-License-Identifier: MIT
 *
 * The open window behind the closed chunks, as a reader finds it [2.6, 2.7]: of a
 * recorder at work, or of one that was killed.
 */
#include "trace/internal.h"

/* An open window that continues exactly what was read so far?  The chain value in it
 * cannot be forged by bytes that a guest had recorded. */
static bool window_fits(const struct walk *walk, const uint8_t bytes[CHUNK_HEADER_SIZE],
                        struct trace_chunk *ret_chunk)
{
    struct trace_chunk chunk;
    if (trace_chunk_header_get(bytes, &walk->header.chain_init, &chunk) ||
        !(chunk.flags & TRACE_CHUNK_OPEN) || chunk.kind != TRACE_CHUNK_EVENTS ||
        chunk.codec != TRACE_CODEC_NONE || chunk.stored_size != WINDOW_CAPACITY ||
        chunk.raw_size || chunk.record_count || walk->adopt ||
        !trace_walk_position_fits(walk, &chunk) ||
        !hash256_equal(&chunk.chain, &walk->expect.chain))
        return false;
    *ret_chunk = chunk;
    return true;
}

/* Copy the records that `head`'s commit word announces. */
static enum err copy_window(struct walk *walk, uint64_t at,
                            const uint8_t head[WINDOW_RECORDS], enum window *ret_window)
{
    uint8_t again[CHUNK_HEADER_SIZE];
    uint64_t commit = get64(head + CHUNK_HEADER_SIZE);
    uint32_t size = (uint32_t)commit;
    size_t got;
    if (size >= EVENTS_SIZE_MAX)
        return *ret_window = WINDOW_TORN, ERR_ok;
    buf_clear(&walk->raw);
    uint8_t *data = buf_extend(&walk->raw, size);
    if (!data)
        return ERR_nomem;
    TRY(walk->source.read(walk->source.self, at + WINDOW_RECORDS, data, size, &got));
    bool good = got == size && hash_crc32c(0, data, size) == commit >> 32;
    TRY(walk->source.read(walk->source.self, at, again, sizeof again, &got));
    if (got != sizeof again || memcmp(again, head, sizeof again) != 0)
        *ret_window = WINDOW_MOVED;
    else
        *ret_window = good ? WINDOW_TAKEN : WINDOW_TORN;
    return ERR_ok;
}

enum err trace_walk_read_window(struct walk *walk, struct trace_chunk *ret_chunk,
                                enum window *ret_window)
{
    uint8_t head[WINDOW_RECORDS];
    uint64_t at = window_offset(walk->next);
    size_t got;
    TRY(walk->source.read(walk->source.self, at, head, sizeof head, &got));
    *ret_window = WINDOW_NONE;
    if (got != sizeof head || !window_fits(walk, head, ret_chunk))
        return ERR_ok;
    uint64_t commit = get64(head + CHUNK_HEADER_SIZE);
    if (walk->tail && walk->chunk.offset == walk->next &&
        walk->trace_tail_commit == commit)
        return *ret_window = WINDOW_SAME, ERR_ok;
    TRY(copy_window(walk, at, head, ret_window));
    if (*ret_window == WINDOW_TAKEN) {
        walk->trace_tail_commit = commit;
        ret_chunk->raw_size = ret_chunk->stored_size = (uint32_t)commit;
    }
    return ERR_ok;
}

/*
 * A closed chunk, and no window behind it: did its writer stop (or is it) between
 * writing the one and opening the other?  Then old windows lie about as they were, and
 * what is at `next` is a piece of one.  The window of the closed chunk is still there,
 * or is being turned into the new one; and the file has not grown past the new one.
 */
enum err trace_walk_between_windows(struct walk *walk, bool *ret_between)
{
    const struct trace_chunk *last = &walk->chunk;
    uint64_t file_size, at = window_offset(last->offset);
    uint8_t head[CHUNK_HEADER_SIZE];
    struct trace_chunk old;
    size_t got;
    *ret_between = false;
    if (last->kind != TRACE_CHUNK_EVENTS || chunk_end(last) != walk->next)
        return ERR_ok;
    TRY(walk->source.size(walk->source.self, &file_size));
    TRY(walk->source.read(walk->source.self, at, head, sizeof head, &got));
    if (got != sizeof head || file_size > window_offset(walk->next) + WINDOW_SIZE)
        return ERR_ok;
    if (trace_all_zero(head, 4))
        *ret_between = at == window_offset(walk->next) &&
                       memcmp(head + 8, walk->header.chain_init.byte, 8) == 0;
    else
        *ret_between = !trace_chunk_header_get(head, &walk->header.chain_init, &old) &&
                       (old.flags & TRACE_CHUNK_OPEN) && old.seq0 == last->seq0;
    return ERR_ok;
}

/* Make the copied window the current chunk, placed where it will be closed. */
enum err trace_walk_take_window(struct walk *walk, struct trace_chunk *chunk)
{
    size_t fault_offset = 0;
    uint64_t at = window_offset(walk->next);
    walk->payload = buf_bytes(&walk->raw);
    buf_clear(&walk->ends);
    enum err err = trace_payload_validate(
        walk->payload, TRACE_CHUNK_EVENTS, &walk->schema, RECORD_COUNT_UNKNOWN,
        chunk->blob0, &walk->ends, &fault_offset, &walk->totals);
    if (!err)
        err = trace_walk_pass_events(walk, chunk, true);
    if (err)
        return trace_walk_damaged(walk, err, at, fault_offset);
    walk->tail = true;
    chunk->offset = walk->next;
    chunk->icount1 = chunk->icount0 + walk->totals.icount;
    chunk->record_count =
        (uint32_t)(walk->totals.event_count + walk->totals.blob_count);
    walk->chunk = *chunk;
    walk->chain_before = walk->expect.chain;
    walk->state = TRACE_READER_OPEN;
    return ERR_ok;
}
