/* SPDX-License-Identifier: MIT
 *
 * One closed chunk: its header and its bytes against its checksum.
 */
#include "trace/internal.h"

enum { CRC_BLOCK_SIZE = 65536 };

bool trace_all_zero(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i])
            return false;
    }
    return true;
}

enum err trace_walk_read(const struct walk *walk, uint64_t offset, void *data,
                         size_t size)
{
    size_t got;
    TRY(walk->source.read(walk->source.self, offset, data, size, &got));
    return got == size ? ERR_ok : ERR_trace_truncated;
}

/* ---- one closed chunk ---- */

enum err trace_walk_read_header(struct walk *walk, uint64_t offset,
                                struct trace_chunk *ret_chunk, bool *ret_absent)
{
    uint8_t bytes[CHUNK_HEADER_SIZE];
    size_t got;
    TRY(walk->source.read(walk->source.self, offset, bytes, sizeof bytes, &got));
    *ret_absent = trace_all_zero(bytes, got);
    if (got < sizeof bytes)
        return ERR_trace_truncated;
    TRY(trace_chunk_header_get(bytes, &walk->header.chain_init, ret_chunk));
    ret_chunk->offset = offset;
    return ret_chunk->flags & TRACE_CHUNK_OPEN ? ERR_trace_chunk : ERR_ok;
}

enum err trace_walk_check_bounds(struct walk *walk, const struct trace_chunk *chunk)
{
    uint64_t file_size;
    TRY(walk->source.size(walk->source.self, &file_size));
    return chunk_end(chunk) <= file_size ? ERR_ok : ERR_trace_truncated;
}

enum err trace_walk_check_crc(struct walk *walk, const struct trace_chunk *chunk)
{
    uint8_t block[CRC_BLOCK_SIZE];
    uint32_t crc = 0;
    for (size_t at = 0; at < chunk->stored_size;) {
        size_t size = chunk->stored_size - at;
        if (size > sizeof block)
            size = sizeof block;
        TRY(trace_walk_read(walk, chunk->offset + CHUNK_HEADER_SIZE + at, block, size));
        crc = hash_crc32c(crc, block, size);
        at += size;
    }
    return crc == chunk->payload_crc ? ERR_ok : ERR_trace_crc;
}

enum err trace_walk_check_padding(struct walk *walk, const struct trace_chunk *chunk)
{
    uint8_t padding[CHUNK_ALIGN];
    uint64_t at = chunk->offset + CHUNK_HEADER_SIZE + chunk->stored_size;
    size_t size = (size_t)(chunk_end(chunk) - at);
    TRY(trace_walk_read(walk, at, padding, size));
    return trace_all_zero(padding, size) ? ERR_ok : ERR_trace_chunk;
}

enum err trace_walk_load(struct walk *walk, const struct trace_chunk *chunk,
                         struct buf *raw)
{
    bool plain = chunk->codec == TRACE_CODEC_NONE;
    struct buf *stored = plain ? raw : &walk->stored;
    if (chunk->codec > TRACE_CODEC_ZSTD)
        return ERR_trace_codec;
    TRY(trace_walk_check_bounds(walk, chunk));
    buf_clear(stored);
    uint8_t *at = buf_extend(stored, chunk->stored_size);
    if (!at)
        return ERR_nomem;
    TRY(trace_walk_read(walk, chunk->offset + CHUNK_HEADER_SIZE, at,
                        chunk->stored_size));
    if (hash_crc32c(0, at, chunk->stored_size) != chunk->payload_crc)
        return ERR_trace_crc;
    return plain ? ERR_ok
                 : trace_codec_decompress(&walk->codec, buf_bytes(stored),
                                          chunk->raw_size, raw);
}
