/* SPDX-License-Identifier: MIT
 *
 * The longest valid prefix as a clean file [2.12], ring segments as one [2.8], and a
 * trace with other checkpoints [2.9].
 */
#include "trace/checkpoint.h"
#include "trace/internal.h"

struct copy {
    struct walk walk;
    struct tail tail;
    struct position position; /* behind what was copied */
    struct buf stored;
    bool tail_copied;
    bool drops_extra; /* leave checkpoints out */
};

static enum err read_exactly(const struct trace_source *source, uint64_t offset,
                             struct buf *buf, size_t size)
{
    size_t got;
    buf_clear(buf);
    uint8_t *at = buf_extend(buf, size);
    if (!at)
        return ERR_nomem;
    TRY(source->read(source->self, offset, at, size, &got));
    return got == size ? ERR_ok : ERR_trace_truncated;
}

static enum err copy_header(struct copy *copy)
{
    const struct trace_header *header = &copy->walk.header;
    const struct trace_sink *sink = &copy->tail.sink;
    TRY(read_exactly(&copy->walk.source, 0, &copy->stored, header->size));
    copy->tail.chain_init = header->chain_init;
    copy->tail.end = header->size;
    return sink->write(sink->self, 0, copy->stored.data, copy->stored.size);
}

static enum err copy_chunk(struct copy *copy)
{
    const struct trace_chunk *chunk = &copy->walk.chunk;
    TRY(read_exactly(&copy->walk.source, chunk->offset + CHUNK_HEADER_SIZE,
                     &copy->stored, chunk->stored_size));
    TRY(trace_tail_copy_chunk(&copy->tail, *chunk, buf_bytes(&copy->stored)));
    copy->position = copy->walk.expect;
    return ERR_ok;
}

/* The open window becomes the last chunk. */
static enum err copy_tail(struct copy *copy)
{
    const struct walk *walk = &copy->walk;
    const struct payload_totals *totals = &walk->totals;
    struct trace_chunk chunk = walk->chunk;
    struct position *position = &copy->position;
    copy->tail_copied = true;
    if (!walk->payload.size)
        return ERR_ok;
    chunk.flags &= (uint16_t)~TRACE_CHUNK_OPEN;
    *position = walk->expect;
    TRY(trace_tail_put_chunk(&copy->tail, &chunk, walk->payload, &position->chain));
    position->seq += totals->event_count;
    position->clock.icount = chunk.icount1;
    if (walk->header.guest != TRACE_GUEST_PC)
        position->clock.gas += totals->gas;
    position->blob_count = chunk.blob0 + (uint32_t)totals->blob_count;
    return ERR_ok;
}

/* Copy what is good up to the end, an index, or damage; *ret_damage says which. */
static enum err copy_chunks(struct copy *copy, struct trace_fault *ret_damage)
{
    struct walk *walk = &copy->walk;
    bool end = false;
    *ret_damage = (struct trace_fault){0};
    while (!copy->tail_copied) {
        enum err err = trace_walk_next(walk, &end);
        if (err && err_is_damage(err)) {
            *ret_damage = walk->fault;
            return ERR_ok;
        }
        TRY(err);
        if (end && walk->state == TRACE_READER_OPEN)
            *ret_damage = (struct trace_fault){ERR_trace_truncated, walk->next, 0};
        if (end)
            return ERR_ok;
        if (walk->tail)
            TRY(copy_tail(copy));
        else if (walk->chunk.kind != TRACE_CHUNK_INDEX &&
                 !(copy->drops_extra && trace_chunk_extra(&walk->chunk)))
            TRY(copy_chunk(copy));
    }
    *ret_damage = (struct trace_fault){ERR_trace_truncated, walk->next, 0};
    return ERR_ok;
}

static enum err copy_begin(struct copy *copy, struct arena *arena,
                           const struct trace_source *source,
                           const struct trace_sink *sink, struct trace_fault *fault)
{
    struct trace_fault ignored;
    trace_tail_init(&copy->tail, sink, TRACE_SYNC_NONE, 0);
    buf_init(&copy->stored, RAW_SIZE_MAX + STORED_EXTRA_MAX);
    TRY(trace_walk_open(&copy->walk, arena, source, fault ? fault : &ignored));
    /* The codec of the recording, so that an undisturbed copy is the same file. */
    copy->tail.zstd_level = copy->walk.chunk.codec == TRACE_CODEC_ZSTD ? 1 : 0;
    TRY(copy_header(copy));
    return copy_chunk(copy); /* the schema */
}

static void copy_fini(struct copy *copy)
{
    trace_walk_fini(&copy->walk);
    trace_tail_fini(&copy->tail);
    buf_fini(&copy->stored);
}

enum err trace_recover(struct arena *arena, const struct trace_source *source,
                       const struct trace_sink *sink, struct trace_fault *fault,
                       struct hash256 *ret_identity)
{
    struct trace_fault damage;
    struct copy copy = {0};
    enum err err = copy_begin(&copy, arena, source, sink, fault);
    if (!err)
        err = copy_chunks(&copy, &damage);
    if (!err)
        err = trace_tail_finish(&copy.tail, &copy.position, true);
    if (!err && fault)
        *fault = damage;
    if (!err && ret_identity)
        *ret_identity = copy.position.chain;
    copy_fini(&copy);
    return err;
}

enum err trace_join(struct arena *arena, const struct trace_source *source,
                    size_t source_count, const struct trace_sink *sink,
                    struct hash256 *ret_identity)
{
    struct trace_fault damage;
    struct copy copy = {0};
    enum err err = copy_begin(&copy, arena, source, sink, NULL);
    if (!err && !(copy.walk.header.flags & TRACE_HEADER_RING))
        err = ERR_usage;
    if (!err)
        err = copy_chunks(&copy, &damage);
    /* Later segments begin with a checkpoint chunk at 0.  A segment that ended in its
     * open tail was the last one written. */
    for (size_t i = 1; !err && i < source_count && !copy.tail_copied; i++) {
        struct position position = copy.walk.expect;
        copy.walk.source = source[i];
        trace_walk_go(&copy.walk, 0, &position);
        err = copy_chunks(&copy, &damage);
    }
    if (!err)
        err = trace_tail_finish(&copy.tail, &copy.position, true);
    if (!err && ret_identity)
        *ret_identity = copy.position.chain;
    copy_fini(&copy);
    return err;
}

/* ---- other checkpoints ---- */

struct trace_copier {
    struct copy copy;
    uint64_t next_icount;
};

enum err trace_copier_open(struct arena *arena, const struct trace_source *source,
                           const struct trace_sink *sink,
                           struct trace_copier **ret_copier)
{
    struct trace_fault damage;
    struct trace_copier *copier = arena_new(arena, struct trace_copier);
    if (!copier)
        return ERR_nomem;
    struct copy *copy = &copier->copy;
    copy->drops_extra = true;
    enum err err = copy_begin(copy, arena, source, sink, NULL);
    if (!err && copy->walk.header.flags & TRACE_HEADER_RING)
        err = ERR_unsupported;
    if (!err)
        err = copy_chunks(copy, &damage);
    if (!err)
        err = damage.err;
    if (err)
        trace_copier_close(copier);
    else
        *ret_copier = copier;
    return err;
}

enum err trace_copier_put(struct trace_copier *copier, uint64_t seq,
                          const struct trace_clock *clock,
                          const struct trace_base_part *part, size_t part_count)
{
    struct position *position = &copier->copy.position;
    check(clock->icount >= copier->next_icount);
    copier->next_icount = clock->icount + 1;
    for (size_t i = 0; i < part_count; i++) {
        struct trace_chunk chunk = {
            .kind = TRACE_CHUNK_CHECKPOINT,
            .seq0 = seq,
            .icount0 = clock->icount,
            .icount1 = clock->icount,
            .gas0 = clock->gas,
            .record_count = part[i].record_count,
            .blob0 = position->blob_count,
        };
        TRY(trace_tail_put_chunk(&copier->copy.tail, &chunk, part[i].payload,
                                 &position->chain));
    }
    return ERR_ok;
}

enum err trace_copier_finish(struct trace_copier *copier)
{
    return trace_tail_finish(&copier->copy.tail, &copier->copy.position, true);
}

void trace_copier_close(struct trace_copier *copier)
{
    if (copier)
        copy_fini(&copier->copy);
}
