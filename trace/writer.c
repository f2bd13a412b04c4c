/* SPDX-License-Identifier: MIT
 *
 * The writer: events to records, blobs stored once, chunks cut by the events alone.
 */
#include "trace/checkpoint.h"
#include "trace/internal.h"

enum { RING_SEGMENT_COUNT = 8, RING_KEEP_MAX = 64 };
#define WAITING_SIZE_MAX ((size_t)4 << 30) /* a checkpoint of the largest guest */

struct trace_writer {
    struct trace_writer_options options;
    enum err err; /* sticky */
    struct tail tail;
    struct position position;
    struct blob_table blobs;
    struct buf numbers;       /* u32: blob numbers of the event at hand */
    struct buf volatile_rows; /* payload of the volatile chunk */
    uint32_t volatile_count;
    struct trace_ring ring;
    uint32_t segment;                     /* number of the current one */
    uint32_t segment_oldest;              /* of those that may be dropped */
    uint64_t segment_raw;                 /* raw bytes in the current one */
    uint64_t segment_size[RING_KEEP_MAX]; /* stored, by number mod RING_KEEP_MAX */
    uint64_t ring_size; /* stored bytes of all segments that are there */
    struct buf waiting; /* checkpoints: each a struct waiting and its payload */
};

/* A chunk of a checkpoint that waits for the end of a chunk of events. */
struct waiting {
    uint64_t seq;
    struct trace_clock clock;
    size_t size;
    uint32_t record_count;
};

/* ---- ring [2.8] ---- */

/* End the segment, open the next and drop those that are too many. */
static enum err next_segment(struct trace_writer *writer)
{
    struct tail *tail = &writer->tail;
    struct trace_sink sink;
    TRY(trace_tail_finish(tail, &writer->position, false));
    writer->segment_size[writer->segment % RING_KEEP_MAX] = tail->end;
    writer->ring_size += tail->end;
    TRY(writer->ring.open_segment(writer->ring.self, ++writer->segment, &sink));
    while ((writer->ring_size > writer->ring.size_max &&
            writer->segment_oldest < writer->segment) ||
           writer->segment - writer->segment_oldest >= RING_KEEP_MAX) {
        uint32_t oldest = writer->segment_oldest++;
        writer->ring_size -= writer->segment_size[oldest % RING_KEEP_MAX];
        TRY(writer->ring.drop_segment(writer->ring.self, oldest));
    }
    tail->sink = sink;
    tail->end = 0;
    writer->segment_raw = 0;
    trace_blob_table_clear(&writer->blobs);
    writer->position.blob_count = 0;
    return ERR_ok;
}

/* The guest has given its checkpoint: it begins the next segment. */
static enum err begin_segment(void *self, const struct trace_base_part *part,
                              size_t part_count)
{
    struct trace_writer *writer = self;
    TRY(trace_tail_close(&writer->tail, &writer->position));
    TRY(next_segment(writer));
    for (size_t i = 0; i < part_count; i++) {
        struct trace_chunk chunk = {
            .kind = TRACE_CHUNK_CHECKPOINT,
            .seq0 = writer->position.seq,
            .icount0 = writer->position.clock.icount,
            .icount1 = writer->position.clock.icount,
            .gas0 = writer->position.clock.gas,
            .record_count = part[i].record_count,
        };
        TRY(trace_tail_put_chunk(&writer->tail, &chunk, part[i].payload,
                                 &writer->position.chain));
    }
    return trace_tail_open(&writer->tail, &writer->position, TRACE_CHUNK_EPOCH);
}

/*
 * Is it time for the next segment?  By raw bytes: a function of the events.  Asked
 * behind every event, because a blob belongs to the event that follows, and where a
 * chunk is cut may always be behind a blob; so the segment's last chunk may be short.
 */
static enum err roll_ring(struct trace_writer *writer)
{
    if (writer->segment_raw < writer->ring.size_max / RING_SEGMENT_COUNT)
        return ERR_ok;
    return writer->ring.checkpoint(writer->ring.self, begin_segment, writer);
}

/* ---- checkpoints between chunks of events [2.9] ---- */

static enum err put_waiting(struct trace_writer *writer)
{
    struct buf *list = &writer->waiting;
    struct waiting entry;
    if (list->size)
        trace_tail_unmap(&writer->tail);
    for (size_t at = 0; at < list->size; at += sizeof entry + entry.size) {
        memcpy(&entry, list->data + at, sizeof entry);
        struct trace_chunk chunk = {
            .kind = TRACE_CHUNK_CHECKPOINT,
            .seq0 = entry.seq,
            .icount0 = entry.clock.icount,
            .icount1 = entry.clock.icount,
            .gas0 = entry.clock.gas,
            .record_count = entry.record_count,
            .blob0 = writer->position.blob_count,
        };
        TRY(trace_tail_put_chunk(&writer->tail, &chunk,
                                 bytes_of(list->data + at + sizeof entry, entry.size),
                                 &writer->position.chain));
    }
    buf_clear(list);
    return ERR_ok;
}

void trace_writer_checkpoint(struct trace_writer *writer,
                             const struct trace_clock *clock,
                             const struct trace_base_part *part, size_t part_count)
{
    if (!writer->err && writer->options.ring)
        writer->err = ERR_usage;
    for (size_t i = 0; !writer->err && i < part_count; i++) {
        struct waiting entry = {0};
        entry.seq = writer->position.seq;
        entry.clock = *clock;
        entry.size = part[i].payload.size;
        entry.record_count = part[i].record_count;
        buf_put(&writer->waiting, &entry, sizeof entry);
        buf_put(&writer->waiting, part[i].payload.data, part[i].payload.size);
        writer->err = writer->waiting.err;
    }
}

/* ---- records ---- */

static enum err cut(struct trace_writer *writer)
{
    writer->segment_raw += writer->tail.raw_size;
    TRY(trace_tail_close(&writer->tail, &writer->position));
    TRY(put_waiting(writer));
    return trace_tail_open(&writer->tail, &writer->position, 0);
}

static enum err put_blob(struct trace_writer *writer, struct bytes piece)
{
    struct packer packer = trace_tail_packer(&writer->tail);
    trace_pack_array(&packer, 4);
    trace_pack_uint(&packer, TRACE_ID_blob);
    trace_pack_uint(&packer, 0);
    trace_pack_uint(&packer, 0);
    trace_pack_bin(&packer, piece);
    check(!packer.full);
    TRY(trace_tail_commit(&writer->tail, &packer));
    writer->position.blob_count++;
    return writer->tail.raw_size >= CUT_SIZE ? cut(writer) : ERR_ok;
}

/* Number the piece, writing it if this epoch has not seen it. */
static enum err number_piece(void *self, struct bytes piece)
{
    struct trace_writer *writer = self;
    struct hash256 hash = hash256_of(piece.data, piece.size);
    uint32_t number;
    if (!trace_blob_table_find(&writer->blobs, &hash, &number)) {
        number = writer->blobs.count;
        TRY(trace_blob_table_add(&writer->blobs, &hash));
        TRY(put_blob(writer, piece));
    }
    buf_put(&writer->numbers, &number, sizeof number);
    return writer->numbers.err;
}

static enum err put_event(struct trace_writer *writer, const struct trace_kind *kind,
                          const struct trace_clock *clock, const void *event)
{
    struct tail *tail = &writer->tail;
    struct position *position = &writer->position;
    struct encoding encoding = {
        .kind = kind,
        .field_count = kind->field_count,
        .pc = writer->options.guest == TRACE_GUEST_PC,
        .before = position->clock,
        .now = *clock,
    };
    buf_clear(&writer->numbers);
    TRY(trace_encode_pieces(&encoding, event, number_piece, writer));
    encoding.blob = (const uint32_t *)(const void *)writer->numbers.data;
    struct packer packer = trace_tail_packer(tail);
    TRY(trace_encode_event(&packer, &encoding, event));
    TRY(trace_tail_commit(tail, &packer));
    position->clock = *clock;
    if (encoding.pc)
        position->clock.gas = 0; /* [2.2] */
    position->seq++;
    if (tail->raw_size >= CUT_SIZE ||
        clock->icount >> CUT_ICOUNT_SHIFT != tail->at.icount0 >> CUT_ICOUNT_SHIFT)
        TRY(cut(writer));
    return writer->options.ring ? roll_ring(writer) : ERR_ok;
}

void trace_writer_put(struct trace_writer *writer, enum trace_id id,
                      const struct trace_clock *clock, const void *event)
{
    if (writer->err)
        return;
    const struct trace_kind *kind = trace_kind_of(id);
    check(kind && (kind->guests & writer->options.guest) && trace_id_is_event(id));
    writer->err = put_event(writer, kind, clock, event);
}

/* ---- beginning and end ---- */

static enum err put_schema(struct trace_writer *writer)
{
    const struct trace_writer_options *options = &writer->options;
    struct buf payload;
    buf_init(&payload, SCHEMA_SIZE_MAX);
    struct trace_chunk chunk = {.kind = TRACE_CHUNK_SCHEMA};
    chunk.record_count = trace_schema_put(&payload, options->guest, options->kind_ids,
                                          options->kind_id_count);
    enum err err = payload.err;
    if (!err && !chunk.record_count)
        err = ERR_usage;
    if (!err)
        err = trace_tail_put_chunk(&writer->tail, &chunk, buf_bytes(&payload),
                                   &writer->position.chain);
    buf_fini(&payload);
    return err;
}

static enum err begin(struct trace_writer *writer)
{
    const struct trace_writer_options *options = &writer->options;
    struct trace_header header = {
        .guest = options->guest,
        .parent = options->parent,
        .parent_seq = options->parent_seq,
        .flags = (options->ring ? TRACE_HEADER_RING : 0u) |
                 (options->cut ? TRACE_HEADER_CUT : 0u),
    };
    TRY(trace_tail_put_header(&writer->tail, &header));
    writer->position.chain = header.chain_init;
    TRY(put_schema(writer));
    return trace_tail_open(&writer->tail, &writer->position, 0);
}

enum err trace_writer_create(struct arena *arena, const struct trace_sink *sink,
                             const struct trace_writer_options *options,
                             struct trace_writer **ret_writer)
{
    if (options->zstd_level > 9 || (options->kind_ids && !options->kind_id_count) ||
        strcmp(trace_guest_name(options->guest), "?") == 0)
        return ERR_usage;
    struct trace_writer *writer = arena_new(arena, struct trace_writer);
    if (!writer)
        return ERR_nomem;
    writer->options = *options;
    if (options->ring)
        writer->ring = *options->ring;
    writer->segment_oldest = 1;
    trace_tail_init(&writer->tail, sink, options->sync, options->zstd_level);
    trace_blob_table_init(&writer->blobs);
    buf_init(&writer->numbers, 4 * RECORD_SIZE_MAX);
    buf_init(&writer->volatile_rows, RAW_SIZE_MAX);
    buf_init(&writer->waiting, WAITING_SIZE_MAX);
    enum err err = begin(writer);
    if (err)
        trace_writer_abandon(writer);
    else
        *ret_writer = writer;
    return err;
}

static enum err put_base(struct trace_writer *writer, uint64_t seq,
                         const struct trace_clock *clock,
                         const struct trace_base_part *part, size_t part_count)
{
    TRY(trace_tail_close(&writer->tail, &writer->position));
    TRY(trace_tail_finish(&writer->tail, &writer->position, false));
    writer->position.seq = seq;
    writer->position.clock = *clock;
    writer->position.blob_count = 0;
    trace_blob_table_clear(&writer->blobs);
    for (size_t i = 0; i < part_count; i++) {
        struct trace_chunk chunk = {
            .kind = TRACE_CHUNK_CHECKPOINT,
            .flags = TRACE_CHUNK_BASE,
            .seq0 = seq,
            .icount0 = clock->icount,
            .icount1 = clock->icount,
            .gas0 = clock->gas,
            .record_count = part[i].record_count,
        };
        TRY(trace_tail_put_chunk(&writer->tail, &chunk, part[i].payload,
                                 &writer->position.chain));
    }
    return trace_tail_open(&writer->tail, &writer->position, TRACE_CHUNK_EPOCH);
}

void trace_writer_base(struct trace_writer *writer, uint64_t seq,
                       const struct trace_clock *clock,
                       const struct trace_base_part *part, size_t part_count)
{
    if (!writer->err)
        writer->err = put_base(writer, seq, clock, part, part_count);
}

void trace_writer_add_volatile(struct trace_writer *writer, const char *key,
                               const char *value)
{
    const struct trace_volatile fact = {.key = key, .value = value};
    struct encoding encoding = {.kind = trace_kind_of(TRACE_ID_volatile)};
    encoding.field_count = encoding.kind->field_count;
    size_t room = strlen(key) + strlen(value) + 32;
    size_t before = writer->volatile_rows.size;
    if (writer->err)
        return;
    uint8_t *at = buf_extend(&writer->volatile_rows, room);
    if (!at) {
        writer->err = writer->volatile_rows.err;
        return;
    }
    struct packer packer = {.at = at, .end = at + room};
    writer->err = trace_encode_event(&packer, &encoding, &fact);
    writer->volatile_rows.size = before + (size_t)(packer.at - at);
    writer->volatile_count++;
}

enum err trace_writer_error(const struct trace_writer *writer)
{
    return writer->err;
}

uint64_t trace_writer_seq(const struct trace_writer *writer)
{
    return writer->position.seq;
}

static enum err finish(struct trace_writer *writer)
{
    struct position *position = &writer->position;
    TRY(trace_tail_close(&writer->tail, position));
    TRY(put_waiting(writer));
    if (writer->volatile_count) {
        struct trace_chunk chunk = {
            .kind = TRACE_CHUNK_VOLATILE,
            .seq0 = position->seq,
            .icount0 = position->clock.icount,
            .icount1 = position->clock.icount,
            .gas0 = position->clock.gas,
            .record_count = writer->volatile_count,
            .blob0 = position->blob_count,
        };
        TRY(trace_tail_put_chunk(&writer->tail, &chunk,
                                 buf_bytes(&writer->volatile_rows), &position->chain));
    }
    /* Ring segments are joined into one file by the owner. */
    return trace_tail_finish(&writer->tail, position, !writer->options.ring);
}

enum err trace_writer_finish(struct trace_writer *writer, struct hash256 *ret_identity)
{
    if (!writer->err)
        writer->err = finish(writer);
    enum err err = writer->err;
    if (!err && ret_identity)
        *ret_identity = writer->position.chain;
    trace_writer_abandon(writer);
    return err;
}

void trace_writer_abandon(struct trace_writer *writer)
{
    if (!writer)
        return;
    trace_tail_fini(&writer->tail);
    trace_blob_table_fini(&writer->blobs);
    buf_fini(&writer->numbers);
    buf_fini(&writer->volatile_rows);
    buf_fini(&writer->waiting);
}
