/* SPDX-License-Identifier: MIT
 *
 * Hostile traces: whatever the bytes say, a replay ends, within its memory and gas, and
 * with a verdict.  The first byte chooses the form of the rest:
 *
 *   even   a trace file
 *   odd    records, put into the open tail of a file whose checksums are right
 */
#include "replay/replay.h"

#include "base/hash.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { GAS_MAX = 1 << 20, MEMORY_MAX = 64 << 20, FILE_MAX = 8 << 20 };
enum { COMMIT_WORD = 104, RECORDS = 112, CAPACITY = 524288 }; /* trace-replay.md 2.6 */

static void put64(uint8_t *at, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

/* A file with nothing but header, schema and an empty open tail. */
static void make_template(struct trace_memory *memory)
{
    const struct trace_writer_options options = {.guest = TRACE_GUEST_PVM};
    struct arena arena;
    struct trace_writer *writer;
    arena_init(&arena, 1 << 24);
    trace_memory_init(memory, FILE_MAX);
    struct trace_sink sink = trace_memory_sink(memory);
    check(!trace_writer_create(&arena, &sink, &options, &writer));
    trace_memory_flush(memory);
    trace_writer_abandon(writer);
    arena_fini(&arena);
}

static struct bytes wrap(struct bytes records)
{
    static struct trace_memory memory;
    static uint64_t window;
    if (!memory.file.data) {
        make_template(&memory);
        window = memory.window_offset;
    }
    if (records.size > CAPACITY - RECORDS)
        records.size = CAPACITY - RECORDS;
    uint8_t *tail = memory.file.data + window;
    uint64_t crc = hash_crc32c(0, records.data, records.size);
    put64(tail + COMMIT_WORD, crc << 32 | records.size);
    if (records.size)
        memcpy(tail + RECORDS, records.data, records.size);
    return buf_bytes(&memory.file);
}

static void replay(struct bytes file, bool locate)
{
    const struct replay_options options = {
        .gas_max = GAS_MAX, .memory_max = MEMORY_MAX, .locate = locate};
    struct replay_report report;
    struct trace_source source = trace_bytes_source(&file);
    replay_trace(&source, &options, &report);
    check(report.class == REPLAY_DIVERGED || !report.diverged);
    check((report.class == REPLAY_SAME) <= report.finished);
    check(memchr(report.detail, 0, sizeof report.detail));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct bytes rest = bytes_of(data + 1, size - 1);
    replay(data[0] & 1 ? wrap(rest) : rest, data[0] & 2);
    return 0;
}
