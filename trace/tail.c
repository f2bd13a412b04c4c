/* SPDX-License-Identifier: MIT
 *
 * Chunks going out, and the open tail [2.6].  At every instant either the closed chunk
 * or the window holds every completed record.
 */
#include "trace/internal.h"

void trace_tail_init(struct tail *tail, const struct trace_sink *sink,
                     enum trace_sync sync, unsigned zstd_level)
{
    *tail = (struct tail){.sink = *sink, .sync = sync, .zstd_level = zstd_level};
    buf_init(&tail->stored, 2 * (size_t)RAW_SIZE_MAX);
    buf_init(&tail->index, RAW_SIZE_MAX);
}

void trace_tail_unmap(struct tail *tail)
{
    if (tail->window)
        tail->sink.unmap(tail->sink.self, tail->window, WINDOW_SIZE);
    tail->window = NULL;
}

void trace_tail_fini(struct tail *tail)
{
    trace_tail_unmap(tail);
    trace_codec_fini(&tail->codec);
    buf_fini(&tail->stored);
    buf_fini(&tail->index);
}

enum err trace_tail_put_header(struct tail *tail, struct trace_header *header)
{
    buf_clear(&tail->stored);
    trace_header_put(&tail->stored, header);
    TRY(tail->stored.err);
    tail->chain_init = header->chain_init;
    tail->end = tail->stored.size;
    return tail->sink.write(tail->sink.self, 0, tail->stored.data, tail->stored.size);
}

/* ---- closed chunks ---- */

void trace_pack_index_row(struct packer *packer, const struct trace_chunk *chunk)
{
    const uint64_t item[] = {chunk->kind,         chunk->offset,  chunk->seq0,
                             chunk->icount0,      chunk->icount1, chunk->gas0,
                             chunk->record_count, chunk->blob0};
    trace_pack_array(packer, countof(item));
    for (size_t i = 0; i < countof(item); i++)
        trace_pack_uint(packer, item[i]);
}

enum err trace_tail_add_row(struct tail *tail, const struct trace_chunk *chunk)
{
    uint8_t row[INDEX_ROW_SIZE_MAX];
    struct packer packer = {.at = row, .end = row + sizeof row};
    trace_pack_index_row(&packer, chunk);
    buf_put(&tail->index, row, (size_t)(packer.at - row));
    tail->index_count++;
    return tail->index.err == ERR_limit ? ERR_trace_full : tail->index.err;
}

/* Header last: until it is there, a reader goes on with the window.  That of a
 * checkpoint comes first: it says what is being written over the old window, behind
 * which nothing is open. */
static enum err write_chunk(struct tail *tail, const struct trace_chunk *chunk,
                            struct bytes stored)
{
    static const uint8_t zero[CHUNK_ALIGN];
    const struct trace_sink *sink = &tail->sink;
    uint8_t header[CHUNK_HEADER_SIZE];
    uint64_t at = chunk->offset + CHUNK_HEADER_SIZE;
    size_t padding = (size_t)(chunk_end(chunk) - at - stored.size);
    if (chunk->offset > UINT64_MAX / 4)
        return ERR_trace_full;
    trace_chunk_header_put(chunk, &tail->chain_init, header);
    if (trace_chunk_extra(chunk))
        TRY(sink->write(sink->self, chunk->offset, header, sizeof header));
    if (stored.size)
        TRY(sink->write(sink->self, at, stored.data, stored.size));
    if (padding)
        TRY(sink->write(sink->self, at + stored.size, zero, padding));
    if (!trace_chunk_extra(chunk))
        TRY(sink->write(sink->self, chunk->offset, header, sizeof header));
    TRY(trace_tail_add_row(tail, chunk));
    tail->end = chunk_end(chunk);
    return tail->sync == TRACE_SYNC_NONE ? ERR_ok : sink->sync(sink->self);
}

enum err trace_tail_put_chunk(struct tail *tail, struct trace_chunk *chunk,
                              struct bytes raw, struct hash256 *chain)
{
    if (raw.size > RAW_SIZE_MAX)
        return ERR_limit;
    struct bytes stored = raw;
    chunk->offset = tail->end;
    chunk->codec = TRACE_CODEC_NONE;
    chunk->raw_size = (uint32_t)raw.size;
    if (tail->zstd_level && raw.size) {
        buf_clear(&tail->stored);
        size_t size =
            trace_codec_compress(&tail->codec, tail->zstd_level, raw, &tail->stored);
        TRY(tail->stored.err);
        if (size) {
            chunk->codec = TRACE_CODEC_ZSTD;
            stored = buf_bytes(&tail->stored);
        }
    }
    chunk->stored_size = (uint32_t)stored.size;
    chunk->payload_crc = hash_crc32c(0, stored.data, stored.size);
    if (trace_chunk_chained(chunk))
        *chain = trace_chunk_chain(chain, chunk, raw);
    chunk->chain = *chain;
    return write_chunk(tail, chunk, stored);
}

enum err trace_tail_copy_chunk(struct tail *tail, struct trace_chunk chunk,
                               struct bytes stored)
{
    chunk.offset = tail->end;
    return write_chunk(tail, &chunk, stored);
}

/* ---- the open window ---- */

enum { PREPARE_AHEAD = 16384 }; /* a record of a full gas segment, and more */

/* Records go on at `from`. */
static void prepare(struct tail *tail, size_t from)
{
    tail->prepared = WINDOW_SIZE;
    if (tail->sink.prepare)
        tail->prepared = tail->sink.prepare(tail->sink.self, tail->window, from);
}

/* Store length and checksum of the records at once, in file order. */
static void publish(struct tail *tail)
{
    uint64_t word = (uint64_t)tail->raw_crc << 32 | tail->raw_size;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    uint64_t *commit = (uint64_t *)(void *)(tail->window + CHUNK_HEADER_SIZE);
    __atomic_store_n(commit, word, __ATOMIC_RELEASE);
}

static enum err map_window(struct tail *tail)
{
    uint64_t at = window_offset(tail->end);
    if (tail->window && at == tail->window_at)
        return ERR_ok;
    trace_tail_unmap(tail);
    uint8_t *window;
    TRY(tail->sink.map(tail->sink.self, at, WINDOW_SIZE, &window));
    tail->window = window;
    tail->window_at = at;
    return ERR_ok;
}

enum err trace_tail_open(struct tail *tail, const struct position *position,
                         uint16_t flags)
{
    uint8_t header[CHUNK_HEADER_SIZE];
    tail->at = (struct trace_chunk){
        .kind = TRACE_CHUNK_EVENTS,
        .flags = flags,
        .seq0 = position->seq,
        .icount0 = position->clock.icount,
        .icount1 = position->clock.icount,
        .gas0 = position->clock.gas,
        .blob0 = position->blob_count,
        .chain = position->chain,
    };
    struct trace_chunk open = tail->at;
    open.flags |= TRACE_CHUNK_OPEN;
    open.stored_size = WINDOW_CAPACITY;
    trace_chunk_header_put(&open, &tail->chain_init, header);
    TRY(map_window(tail));
    tail->prepared = 0;
    /* Commit word, fields, magic: in this order for a reader of the same memory.  No
     * magic before: where the old window was, it must not pair with the new word. */
    memset(tail->window, 0, 4);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    tail->raw_size = tail->raw_crc = tail->record_count = 0;
    publish(tail);
    memcpy(tail->window + 4, header + 4, sizeof header - 4);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    memcpy(tail->window, header, 4);
    if (tail->sync != TRACE_SYNC_EVENT)
        return ERR_ok;
    return tail->sink.sync_window(tail->sink.self, tail->window, WINDOW_SIZE);
}

struct packer trace_tail_packer(struct tail *tail)
{
    size_t from = WINDOW_RECORDS + tail->raw_size;
    if (from + PREPARE_AHEAD > tail->prepared)
        prepare(tail, from);
    uint8_t *at = tail->window + from;
    return (struct packer){.at = at, .end = at + RECORD_SIZE_MAX};
}

enum err trace_tail_commit(struct tail *tail, const struct packer *packer)
{
    uint8_t *start = tail->window + WINDOW_RECORDS + tail->raw_size;
    size_t size = (size_t)(packer->at - start);
    tail->raw_crc = hash_crc32c(tail->raw_crc, start, size);
    tail->raw_size += (uint32_t)size;
    tail->record_count++;
    publish(tail);
    if (tail->sync != TRACE_SYNC_EVENT)
        return ERR_ok;
    return tail->sink.sync_window(tail->sink.self, tail->window, WINDOW_SIZE);
}

enum err trace_tail_close(struct tail *tail, struct position *position)
{
    if (!tail->record_count)
        return ERR_ok;
    tail->at.icount1 = position->clock.icount;
    tail->at.record_count = tail->record_count;
    struct bytes raw = bytes_of(tail->window + WINDOW_RECORDS, tail->raw_size);
    TRY(trace_tail_put_chunk(tail, &tail->at, raw, &position->chain));
    tail->record_count = 0;
    return ERR_ok;
}

/* ---- the end ---- */

/* Index and trailer in one write. */
static enum err put_index(struct tail *tail, const struct position *position)
{
    uint8_t trailer[TRAILER_SIZE];
    struct trace_chunk chunk = {
        .kind = TRACE_CHUNK_INDEX,
        .seq0 = position->seq,
        .icount0 = position->clock.icount,
        .icount1 = position->clock.icount,
        .gas0 = position->clock.gas,
        .record_count = tail->index_count,
        .blob0 = position->blob_count,
    };
    struct buf index = tail->index; /* putting the chunk adds a row for itself */
    uint64_t at = tail->end;
    struct hash256 chain = position->chain;
    buf_init(&tail->index, RAW_SIZE_MAX);
    enum err err = trace_tail_put_chunk(tail, &chunk, buf_bytes(&index), &chain);
    buf_fini(&index);
    TRY(err);
    memcpy(trailer, chain.byte, HASH256_SIZE);
    put64(trailer + 32, at);
    put32(trailer + 40, hash_crc32c(0, trailer, 40));
    memcpy(trailer + 44, TRAILER_MAGIC, 4);
    TRY(tail->sink.write(tail->sink.self, tail->end, trailer, sizeof trailer));
    tail->end += sizeof trailer;
    return ERR_ok;
}

enum err trace_tail_finish(struct tail *tail, const struct position *position,
                           bool index)
{
    trace_tail_unmap(tail);
    TRY(tail->sink.truncate(tail->sink.self, tail->end));
    if (index)
        TRY(put_index(tail, position));
    return tail->sync == TRACE_SYNC_NONE ? ERR_ok : tail->sink.sync(tail->sink.self);
}
