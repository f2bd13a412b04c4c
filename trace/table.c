/* SPDX-License-Identifier: MIT
 *
 * Where the chunks of events are: what an index would say, rebuilt from the headers
 * themselves, so that a lying index cannot mislead anybody (1 GiB is about 4,096
 * header reads).
 */
#include "trace/internal.h"

enum { REF_COUNT_MAX = 1 << 17 };

size_t trace_table_size(const struct chunk_table *table)
{
    return table->refs.size / sizeof(struct chunk_ref);
}

const struct chunk_ref *trace_table_at(const struct chunk_table *table, size_t index)
{
    return (const struct chunk_ref *)(const void *)table->refs.data + index;
}

/* Drop every other entry. */
static void thin_out(struct chunk_table *table)
{
    struct chunk_ref *ref = (struct chunk_ref *)(void *)table->refs.data;
    size_t size = trace_table_size(table);
    for (size_t i = 0; 2 * i < size; i++)
        ref[i] = ref[2 * i];
    table->refs.size = (size + 1) / 2 * sizeof *ref;
    table->stride *= 2;
}

enum err trace_table_note(struct chunk_table *table, const struct trace_chunk *chunk,
                          const struct hash256 *chain_before, bool tail)
{
    size_t size = trace_table_size(table);
    bool events = chunk->kind == TRACE_CHUNK_EVENTS;
    if (chunk->offset < table->hop_offset)
        return ERR_ok;
    if (!tail) {
        table->hop_offset = chunk_end(chunk);
        table->hop_chain = chunk->chain;
    }
    if (!events || (size && trace_table_at(table, size - 1)->offset == chunk->offset))
        return ERR_ok; /* the tail, seen open before */
    table->epoch += chunk->flags & TRACE_CHUNK_EPOCH ? 1 : 0;
    if (table->count++ % table->stride)
        return ERR_ok;
    const struct chunk_ref ref = {
        .offset = chunk->offset,
        .at = {.seq = chunk->seq0,
               .clock = {.icount = chunk->icount0, .gas = chunk->gas0},
               .blob_count = chunk->blob0,
               .chain = *chain_before},
        .epoch = table->epoch,
        .restarts = chunk->flags & TRACE_CHUNK_EPOCH,
    };
    buf_put(&table->refs, &ref, sizeof ref);
    if (trace_table_size(table) >= REF_COUNT_MAX)
        thin_out(table);
    return table->refs.err ? ERR_nomem : ERR_ok;
}

enum err trace_table_extend(struct trace_reader *reader,
                            bool (*enough)(const struct chunk_ref *last, uint64_t key),
                            uint64_t key)
{
    struct chunk_table *table = &reader->table;
    for (;;) {
        struct trace_chunk chunk;
        bool absent;
        size_t size = trace_table_size(table);
        if (size && enough(trace_table_at(table, size - 1), key))
            return ERR_ok;
        enum err err =
            trace_walk_read_header(&reader->walk, table->hop_offset, &chunk, &absent);
        if (err && !err_is_damage(err))
            return err;
        if (err || chunk.kind == TRACE_CHUNK_INDEX)
            return ERR_ok; /* reading will find out what is there */
        struct hash256 chain_before = table->hop_chain;
        TRY(trace_table_note(table, &chunk, &chain_before, false));
    }
}
