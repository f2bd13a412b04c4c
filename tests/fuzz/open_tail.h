/* SPDX-License-Identifier: MIT
 *
 * tests/fuzz/open_tail.h - any bytes as the records of an open trace (trace-replay.md
 * 2.6), so that they are not turned away by a checksum.
 */
#ifndef TESTS_FUZZ_OPEN_TAIL_H
#define TESTS_FUZZ_OPEN_TAIL_H

#include "base/hash.h"
#include "trace/trace.h"

#include <string.h>

enum { OPEN_TAIL_COMMIT = 104, OPEN_TAIL_RECORDS = 112, OPEN_TAIL_SIZE = 524288 };

static inline void open_tail_put64(uint8_t *at, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

/* A file with nothing but header, schema and an empty open tail. */
static inline void open_tail_make(enum trace_guest guest, struct trace_memory *memory)
{
    const struct trace_writer_options options = {.guest = guest};
    struct arena arena;
    struct trace_writer *writer;
    arena_init(&arena, 1 << 24);
    trace_memory_init(memory, 8 << 20);
    struct trace_sink sink = trace_memory_sink(memory);
    check(!trace_writer_create(&arena, &sink, &options, &writer));
    trace_memory_flush(memory);
    trace_writer_abandon(writer);
    arena_fini(&arena);
}

/* That file with these records; valid until the next call, which names the same guest.
 */
static inline struct bytes open_tail_of(enum trace_guest guest, struct bytes records)
{
    static struct trace_memory memory;
    static uint64_t window;
    if (!memory.file.data) {
        open_tail_make(guest, &memory);
        window = memory.window_offset;
    }
    if (records.size > OPEN_TAIL_SIZE - OPEN_TAIL_RECORDS)
        records.size = OPEN_TAIL_SIZE - OPEN_TAIL_RECORDS;
    uint8_t *tail = memory.file.data + window;
    uint64_t crc = hash_crc32c(0, records.data, records.size);
    open_tail_put64(tail + OPEN_TAIL_COMMIT, crc << 32 | records.size);
    if (records.size)
        memcpy(tail + OPEN_TAIL_RECORDS, records.data, records.size);
    return buf_bytes(&memory.file);
}

#endif
