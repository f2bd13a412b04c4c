/* SPDX-License-Identifier: MIT
 *
 * `verify`, first pass: the container.  Chunks are walked like in salvage, so that
 * every defect is told; trace_verify_events.c then looks at what the events mean.
 */
#include "trace/verify.h"

#include <inttypes.h>

enum { INDEX_SIZE_MAX = 32 << 20 };

struct container {
    struct walk walk;
    struct verify *verify;
    struct buf rows; /* what the index should say; overflow: not compared */
    uint32_t row_count;
    bool events_open; /* an events chunk was seen that no cut rule ended */
    uint64_t open_at; /* where */
};

void trace_verify_defect(struct verify *verify, enum err err, uint64_t chunk_offset,
                         uint64_t payload_offset, const char *text)
{
    const struct trace_fault fault = {err, chunk_offset, payload_offset};
    verify->summary->defect_count++;
    if (verify->defect)
        verify->defect(verify->self, &fault, text);
}

static void on_damage(void *self, const struct trace_fault *fault, const char *text)
{
    trace_verify_defect(self, fault->err, fault->chunk_offset, fault->payload_offset,
                        text);
}

/* ---- the cut rule [2.5] ---- */

/* Would a writer have cut behind these records?  `icount` is the last event's. */
static bool must_cut(const struct trace_chunk *chunk, size_t raw_size, bool event,
                     uint64_t icount)
{
    return raw_size >= CUT_SIZE ||
           (event && icount >> CUT_ICOUNT_SHIFT != chunk->icount0 >> CUT_ICOUNT_SHIFT);
}

/* Find the first place where the rule cuts; `size` when there is none. */
static size_t cut_place(const struct trace_chunk *chunk, struct bytes payload,
                        bool *ret_cut)
{
    struct wire wire = wire_of(payload);
    uint64_t icount = chunk->icount0;
    while (wire_left(&wire)) {
        struct wire head = wire;
        uint64_t count, id, dt;
        if (!trace_wire_skip(&wire) || !wire_array(&head, &count) ||
            !wire_uint(&head, &id) || !wire_uint(&head, &dt))
            break; /* validated before */
        icount += dt;
        size_t size = (size_t)(wire.at - payload.data);
        if (must_cut(chunk, size, id != TRACE_ID_blob, icount)) {
            *ret_cut = true;
            return size;
        }
    }
    *ret_cut = false;
    return payload.size;
}

static void check_cut(struct container *container)
{
    const struct walk *walk = &container->walk;
    const struct trace_chunk *chunk = &walk->chunk;
    bool cut;
    size_t size = cut_place(chunk, walk->payload, &cut);
    if (container->events_open)
        trace_verify_defect(container->verify, ERR_trace_chunk, container->open_at, 0,
                            "chunk was cut too early");
    if (size < walk->payload.size)
        trace_verify_defect(container->verify, ERR_trace_chunk, chunk->offset, size,
                            "chunk was cut too late");
    container->events_open = !cut;
    container->open_at = chunk->offset;
}

/* ---- index [2.11] ---- */

static void note_row(struct container *container, const struct trace_chunk *chunk)
{
    uint8_t row[INDEX_ROW_SIZE_MAX];
    struct packer packer = {.at = row, .end = row + sizeof row};
    trace_pack_index_row(&packer, chunk);
    buf_put(&container->rows, row, (size_t)(packer.at - row));
    container->row_count++;
}

static void check_index(struct container *container)
{
    const struct walk *walk = &container->walk;
    const struct buf *rows = &container->rows;
    bool gap = walk->gap_count != 0; /* reported already; rows are missing */
    if (rows->err || gap)
        return;
    if (walk->chunk.record_count != container->row_count ||
        walk->payload.size != rows->size ||
        memcmp(walk->payload.data, buf_string(rows), rows->size) != 0)
        trace_verify_defect(container->verify, ERR_trace_chunk, walk->chunk.offset, 0,
                            "index does not match the chunks");
}

/* Chunks that carry the writer's position [2.2]. */
static void check_position(struct container *container)
{
    const struct trace_chunk *chunk = &container->walk.chunk;
    const struct position *at = &container->walk.expect;
    bool carries = chunk->kind == TRACE_CHUNK_ANNOTATIONS ||
                   chunk->kind == TRACE_CHUNK_VOLATILE ||
                   chunk->kind == TRACE_CHUNK_INDEX;
    if (!carries || container->walk.gap_count)
        return;
    if (chunk->seq0 != at->seq || chunk->icount0 != at->clock.icount ||
        chunk->icount1 != at->clock.icount || chunk->gas0 != at->clock.gas)
        trace_verify_defect(container->verify, ERR_trace_sequence, chunk->offset, 0,
                            "chunk has another position than the events before it");
}

/* ---- the walk ---- */

static void add_chunk(struct container *container)
{
    const struct walk *walk = &container->walk;
    const struct trace_chunk *chunk = &walk->chunk;
    struct trace_summary *summary = container->verify->summary;
    summary->chunk_count++;
    summary->chunk_kind_count[chunk->kind]++;
    summary->raw_size += chunk->raw_size;
    summary->stored_size += chunk->stored_size;
    check_position(container);
    if (chunk->kind == TRACE_CHUNK_EVENTS) {
        summary->blob_count += walk->totals.blob_count;
        if (chunk->flags & TRACE_CHUNK_EPOCH)
            container->events_open = false; /* a ring segment may end anywhere */
        check_cut(container);
    }
    if (chunk->kind == TRACE_CHUNK_INDEX)
        check_index(container);
    else
        note_row(container, chunk);
}

static enum err walk_chunks(struct container *container)
{
    struct walk *walk = &container->walk;
    bool end = false;
    add_chunk(container); /* the schema */
    while (!end) {
        enum err err = trace_walk_next(walk, &end);
        if (err)
            return err;
        if (!end && walk->tail) /* open: it may end anywhere */
            container->verify->summary->blob_count += walk->totals.blob_count;
        else if (!end)
            add_chunk(container);
    }
    return ERR_ok;
}

static void report_end(struct container *container)
{
    const struct walk *walk = &container->walk;
    struct trace_summary *summary = container->verify->summary;
    summary->state = walk->state;
    summary->identity = walk->expect.chain;
    if (walk->state == TRACE_READER_OPEN)
        trace_verify_defect(container->verify, ERR_trace_truncated, walk->next, 0,
                            "trace is not finished: no index and trailer");
    if (walk->state == TRACE_READER_CLOSED && summary->defect_count)
        summary->state = TRACE_READER_BROKEN;
}

static enum err check_container(struct arena *arena, const struct trace_source *source,
                                struct verify *verify)
{
    struct trace_fault fault = {0};
    struct container container = {.verify = verify};
    struct walk *walk = &container.walk;
    buf_init(&container.rows, INDEX_SIZE_MAX);
    enum err err = trace_walk_open(walk, arena, source, &fault);
    walk->salvage = walk->thorough = true;
    walk->defect = on_damage;
    walk->defect_self = verify;
    if (!err)
        err = walk_chunks(&container);
    else if (err_is_damage(err))
        trace_verify_defect(verify, err, fault.chunk_offset, fault.payload_offset,
                            err_text(err));
    if (!err)
        report_end(&container);
    trace_walk_fini(walk);
    buf_fini(&container.rows);
    return err;
}

enum err trace_verify(struct arena *arena, const struct trace_source *source,
                      const struct trace_verify_options *options,
                      trace_defect_fn *defect, void *self,
                      struct trace_summary *ret_summary)
{
    static const struct trace_verify_options none;
    struct trace_summary summary = {0};
    struct verify verify = {.options = options ? options : &none,
                            .defect = defect,
                            .self = self,
                            .summary = &summary};
    enum err err = source->size(source->self, &summary.file_size);
    if (!err)
        err = check_container(arena, source, &verify);
    if (!err)
        err = trace_verify_events(arena, source, &verify);
    *ret_summary = summary; /* on an error too: what was found so far */
    return err;
}
