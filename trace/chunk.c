/* SPDX-License-Identifier: MIT
 *
 * The fixed structures of the container: file header, chunk header, chain [2.1-2.4].
 */
#include "trace/internal.h"

/* ---- file header ---- */

enum { HEADER_FORMAT = 1, HEADER_ITEM_COUNT = 5 };

void trace_header_put(struct buf *file, struct trace_header *header)
{
    uint8_t payload[128], head[FILE_HEADER_SIZE];
    struct packer packer = {.at = payload, .end = payload + sizeof payload};
    trace_pack_array(&packer, HEADER_ITEM_COUNT);
    trace_pack_uint(&packer, HEADER_FORMAT);
    trace_pack_str(&packer, trace_guest_name(header->guest));
    trace_pack_bin(&packer, bytes_of(header->parent.hash.byte,
                                     header->parent.present ? HASH256_SIZE : 0));
    trace_pack_uint(&packer, header->parent_seq);
    trace_pack_uint(&packer, header->flags);
    check(!packer.full);
    size_t size = (size_t)(packer.at - payload);
    memcpy(head, TRACE_MAGIC, 8);
    put16(head + 8, TRACE_MAJOR);
    put16(head + 10, TRACE_MINOR);
    put32(head + 12, (uint32_t)size);
    put32(head + 16, hash_crc32c(hash_crc32c(0, head, 16), payload, size));
    buf_put(file, head, sizeof head);
    buf_put(file, payload, size);
    (void)buf_extend(file, (size_t)align_up(file->size, CHUNK_ALIGN) - file->size);
    header->major = TRACE_MAJOR;
    header->minor = TRACE_MINOR;
    header->chain_init = hash256_of(payload, size);
    header->size = (uint32_t)align_up(sizeof head + size, CHUNK_ALIGN);
}

static bool guest_of(struct bytes text, enum trace_guest *ret_guest)
{
    static const enum trace_guest guest[] = {TRACE_GUEST_PC, TRACE_GUEST_PVM,
                                             TRACE_GUEST_WASI};
    for (size_t i = 0; i < countof(guest); i++) {
        const char *name = trace_guest_name(guest[i]);
        if (text.size == strlen(name) && memcmp(text.data, name, text.size) == 0) {
            *ret_guest = guest[i];
            return true;
        }
    }
    return false;
}

static enum err header_payload_read(struct bytes payload, struct trace_header *header)
{
    struct wire wire = wire_of(payload);
    struct wire_item guest, parent;
    uint64_t count, format;
    if (!wire_array(&wire, &count) || count < HEADER_ITEM_COUNT ||
        (count > HEADER_ITEM_COUNT && header->minor == TRACE_MINOR) ||
        !wire_uint(&wire, &format) || !wire_next(&wire, &guest) ||
        guest.class != WIRE_STR || !wire_next(&wire, &parent) ||
        parent.class != WIRE_BIN || !wire_uint(&wire, &header->parent_seq) ||
        !wire_uint(&wire, &header->flags))
        return ERR_trace_canonical;
    for (uint64_t i = HEADER_ITEM_COUNT; i < count; i++) {
        if (!trace_wire_skip(&wire))
            return ERR_trace_canonical;
    }
    if (wire_left(&wire))
        return ERR_trace_canonical;
    if (format != HEADER_FORMAT || !guest_of(guest.bytes, &header->guest))
        return ERR_unsupported;
    if (parent.bytes.size && parent.bytes.size != HASH256_SIZE)
        return ERR_trace_canonical;
    header->parent = (struct trace_hash){.present = parent.bytes.size != 0};
    if (parent.bytes.size)
        memcpy(header->parent.hash.byte, parent.bytes.data, HASH256_SIZE);
    return ERR_ok;
}

/* Read `size` bytes or fail with trace_truncated. */
static enum err read_exactly(const struct trace_source *source, uint64_t offset,
                             void *data, size_t size)
{
    size_t got;
    TRY(source->read(source->self, offset, data, size, &got));
    return got == size ? ERR_ok : ERR_trace_truncated;
}

enum err trace_file_version(const struct trace_source *source, uint16_t *ret_major,
                            uint16_t *ret_minor)
{
    uint8_t head[12];
    enum err err = read_exactly(source, 0, head, sizeof head);
    if (err == ERR_trace_truncated || (!err && memcmp(head, TRACE_MAGIC, 8) != 0))
        return ERR_trace_magic;
    TRY(err);
    *ret_major = get16(head + 8);
    *ret_minor = get16(head + 10);
    return ERR_ok;
}

static enum err header_body_read(const struct trace_source *source,
                                 const uint8_t head[FILE_HEADER_SIZE],
                                 struct buf *payload, struct trace_header *header)
{
    uint64_t file_size;
    size_t size = get32(head + 12);
    size_t padded = (size_t)align_up(FILE_HEADER_SIZE + size, CHUNK_ALIGN);
    if (size > HEADER_PAYLOAD_MAX)
        return ERR_limit;
    TRY(source->size(source->self, &file_size));
    if (padded > file_size)
        return ERR_trace_truncated;
    uint8_t *at = buf_extend(payload, padded - FILE_HEADER_SIZE);
    if (!at)
        return ERR_nomem;
    TRY(read_exactly(source, FILE_HEADER_SIZE, at, padded - FILE_HEADER_SIZE));
    if (hash_crc32c(hash_crc32c(0, head, 16), at, size) != get32(head + 16))
        return ERR_trace_crc;
    for (size_t i = size; i < payload->size; i++) {
        if (at[i])
            return ERR_trace_canonical;
    }
    TRY(header_payload_read(bytes_of(at, size), header));
    header->chain_init = hash256_of(at, size);
    header->size = (uint32_t)padded;
    return ERR_ok;
}

enum err trace_header_read(const struct trace_source *source, struct trace_fault *fault,
                           struct trace_header *ret_header)
{
    uint8_t head[FILE_HEADER_SIZE];
    struct trace_header header = {0};
    struct buf payload;
    buf_init(&payload, HEADER_PAYLOAD_MAX + CHUNK_ALIGN);
    enum err err = trace_file_version(source, &header.major, &header.minor);
    if (!err && header.major != TRACE_MAJOR)
        err = header.major > TRACE_MAJOR ? ERR_trace_version : ERR_unsupported;
    if (!err)
        err = read_exactly(source, 0, head, sizeof head);
    if (!err)
        err = header_body_read(source, head, &payload, &header);
    buf_fini(&payload);
    if (err)
        *fault = (struct trace_fault){.err = err};
    else
        *ret_header = header;
    return err;
}

/* ---- chunk header ---- */

void trace_chunk_header_put(const struct trace_chunk *chunk,
                            const struct hash256 *chain_init,
                            uint8_t ret_bytes[CHUNK_HEADER_SIZE])
{
    uint8_t *at = ret_bytes;
    memcpy(at, CHUNK_MAGIC, 4);
    at[4] = chunk->kind;
    at[5] = chunk->codec;
    put16(at + 6, chunk->flags);
    memcpy(at + 8, chain_init->byte, 8); /* file_tag */
    put64(at + 16, chunk->seq0);
    put64(at + 24, chunk->icount0);
    put64(at + 32, chunk->icount1);
    put64(at + 40, chunk->gas0);
    put32(at + 48, chunk->record_count);
    put32(at + 52, chunk->raw_size);
    put32(at + 56, chunk->stored_size);
    put32(at + 60, chunk->blob0);
    memcpy(at + 64, chunk->chain.byte, HASH256_SIZE);
    put32(at + 96, chunk->payload_crc);
    put32(at + 100, hash_crc32c(0, at, 100));
}

/* The limits of 2.13, before anything is allocated. */
static bool sizes_allowed(const struct trace_chunk *chunk)
{
    if (chunk->raw_size > RAW_SIZE_MAX ||
        chunk->stored_size > chunk->raw_size + STORED_EXTRA_MAX ||
        chunk->record_count > chunk->raw_size || chunk->icount1 < chunk->icount0)
        return false;
    if (chunk->codec == TRACE_CODEC_NONE && chunk->stored_size != chunk->raw_size)
        return false;
    return chunk->kind != TRACE_CHUNK_EVENTS || chunk->raw_size < EVENTS_SIZE_MAX;
}

enum err trace_chunk_header_get(const uint8_t bytes[CHUNK_HEADER_SIZE],
                                const struct hash256 *chain_init,
                                struct trace_chunk *ret_chunk)
{
    if (memcmp(bytes, CHUNK_MAGIC, 4) != 0)
        return ERR_trace_chunk;
    if (get32(bytes + 100) != hash_crc32c(0, bytes, 100))
        return ERR_trace_crc;
    if (memcmp(bytes + 8, chain_init->byte, 8) != 0)
        return ERR_trace_chunk;
    struct trace_chunk chunk = {
        .kind = bytes[4],
        .codec = bytes[5],
        .flags = get16(bytes + 6),
        .seq0 = get64(bytes + 16),
        .icount0 = get64(bytes + 24),
        .icount1 = get64(bytes + 32),
        .gas0 = get64(bytes + 40),
        .record_count = get32(bytes + 48),
        .raw_size = get32(bytes + 52),
        .stored_size = get32(bytes + 56),
        .blob0 = get32(bytes + 60),
        .payload_crc = get32(bytes + 96),
    };
    memcpy(chunk.chain.byte, bytes + 64, HASH256_SIZE);
    /* An open window announces its capacity, not a payload. */
    if (!(chunk.flags & TRACE_CHUNK_OPEN) && !sizes_allowed(&chunk))
        return ERR_trace_chunk;
    *ret_chunk = chunk;
    return ERR_ok;
}

bool trace_chunk_chained(const struct trace_chunk *chunk)
{
    return chunk->kind == TRACE_CHUNK_EVENTS ||
           (chunk->kind == TRACE_CHUNK_CHECKPOINT && (chunk->flags & TRACE_CHUNK_BASE));
}

bool trace_chunk_extra(const struct trace_chunk *chunk)
{
    return chunk->kind == TRACE_CHUNK_CHECKPOINT && !(chunk->flags & TRACE_CHUNK_BASE);
}

struct hash256 trace_chunk_chain(const struct hash256 *before,
                                 const struct trace_chunk *chunk, struct bytes raw)
{
    uint8_t facts[37];
    facts[0] = chunk->kind;
    put32(facts + 1, chunk->record_count);
    put64(facts + 5, chunk->seq0);
    put64(facts + 13, chunk->icount0);
    put64(facts + 21, chunk->icount1);
    put64(facts + 29, chunk->gas0);
    const struct bytes piece[] = {bytes_of(before->byte, HASH256_SIZE),
                                  bytes_of(facts, sizeof facts), raw};
    return hash256_of_pieces(piece, countof(piece));
}
