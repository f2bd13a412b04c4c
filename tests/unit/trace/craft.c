/* SPDX-License-Identifier: MIT */
#include "tests/unit/trace/craft.h"

#include "tests/test.h"

void craft_begin(struct craft *craft, struct bytes schema, uint32_t row_count)
{
    struct trace_header header = {.guest = TRACE_GUEST_PVM};
    struct trace_chunk chunk = {.kind = TRACE_CHUNK_SCHEMA, .record_count = row_count};
    struct buf rows;
    *craft = (struct craft){0};
    trace_memory_init(&craft->memory, (size_t)1 << 30);
    struct trace_sink sink = trace_memory_sink(&craft->memory);
    trace_tail_init(&craft->tail, &sink, TRACE_SYNC_NONE, 0);
    assert_int_equal(trace_tail_put_header(&craft->tail, &header), ERR_ok);
    craft->position.chain = header.chain_init;
    buf_init(&rows, 1 << 20);
    if (!schema.data) {
        chunk.record_count = trace_schema_put(&rows, TRACE_GUEST_PVM, NULL, 0);
        schema = buf_bytes(&rows);
    }
    assert_int_equal(
        trace_tail_put_chunk(&craft->tail, &chunk, schema, &craft->position.chain),
        ERR_ok);
    buf_fini(&rows);
}

void craft_events(struct craft *craft, struct bytes payload, uint32_t record_count,
                  uint64_t seq, uint64_t icount, uint64_t gas, uint32_t blobs)
{
    struct position *position = &craft->position;
    struct trace_chunk chunk = {
        .kind = TRACE_CHUNK_EVENTS,
        .seq0 = position->seq,
        .icount0 = position->clock.icount,
        .icount1 = position->clock.icount + icount,
        .gas0 = position->clock.gas,
        .blob0 = position->blob_count,
        .record_count = record_count,
    };
    assert_int_equal(
        trace_tail_put_chunk(&craft->tail, &chunk, payload, &position->chain), ERR_ok);
    position->seq += seq;
    position->clock.icount += icount;
    position->clock.gas += gas;
    position->blob_count += blobs;
}

void craft_chunk(struct craft *craft, struct trace_chunk chunk, struct bytes payload)
{
    assert_int_equal(
        trace_tail_put_chunk(&craft->tail, &chunk, payload, &craft->position.chain),
        ERR_ok);
}

void craft_end(struct craft *craft)
{
    assert_int_equal(trace_tail_finish(&craft->tail, &craft->position, true), ERR_ok);
    craft->bytes = buf_bytes(&craft->memory.file);
    craft->source = trace_bytes_source(&craft->bytes);
}

void craft_fini(struct craft *craft)
{
    trace_tail_fini(&craft->tail);
    trace_memory_fini(&craft->memory);
}
