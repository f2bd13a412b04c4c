/* SPDX-License-Identifier: MIT
 *
 * Hostile traces of file-server sessions.  The input chooses configuration, images,
 * requests and replies; a writer makes a trace of them that is whole, so that replay
 * gets to see them.  It has to say what is wrong and must not crash or grow.
 */
#include "cli/fs_replay.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const keys[] = {
    "fs.0.00.digest", "fs.0.00.name", "fs.0.00.spec",  "fs.0.01.spec",  "fs.0.99.spec",
    "fs.0.features",  "fs.0.handles", "fs.0.origin",   "fs.0.requests", "fs.0.session",
    "fs.0.tick",      "log.bytes",    "unknown.option"};
static const char *const values[] = {"",
                                     "1",
                                     "51",
                                     "65536",
                                     "mem,quota=64K,nodes=20",
                                     "image:x",
                                     "overlay:x,quota=64K,nodes=20",
                                     "dir:/",
                                     "remote:exec:false",
                                     "18446744073709551615"};

/* What a session that works has. */
static const unsigned usual[countof(keys)] = {
    [2] = 4, [5] = 2, [6] = 3, [8] = 1, [9] = 1, [10] = 1};

static uint8_t take(struct bytes *script)
{
    if (!script->size)
        return 0;
    *script = bytes_of(script->data + 1, script->size - 1);
    return script->data[-1];
}

static struct bytes take_bytes(struct bytes *script, size_t size)
{
    struct bytes taken =
        bytes_of(script->data, script->size < size ? script->size : size);
    *script = bytes_of(script->data + taken.size, script->size - taken.size);
    return taken;
}

static void put_config(struct trace *trace, struct bytes *script)
{
    uint8_t changed = take(script), to = take(script);
    for (unsigned i = 0; i < countof(keys); i++) {
        unsigned value = i == changed % 32 ? to % countof(values) : usual[i];
        struct trace_session_config event = {.key = keys[i], .value = values[value]};
        if (values[value][0])
            (void)!trace_session_config(trace, &event);
    }
}

static void put_images(struct trace *trace, struct bytes *script)
{
    for (unsigned count = take(script) % 4; count; count--) {
        uint8_t choice = take(script);
        struct bytes data = take_bytes(script, take(script));
        struct trace_input_file event = {
            .name = bytes_of(choice & 1 ? "fs.0.00" : "fs.0.01", 7),
            .size = choice & 2 ? 1u << (choice >> 3) : data.size,
            .hash = trace_hash_of(hash256_of(data.data, data.size)),
            .offset = choice & 4 ? 1 : 0,
            .data = data};
        (void)!trace_input_file(trace, &event);
    }
}

static void put_messages(struct trace *trace, struct bytes *script)
{
    while (script->size) {
        uint8_t choice = take(script);
        struct bytes data = take_bytes(script, take(script));
        struct trace_virtio_request request = {
            .queue = 1,
            .rlen = choice & 1 ? data.size : data.size + 1,
            .wcap = choice & 2 ? 4096 : UINT64_MAX,
            .digest = hash_xxh3(data.data, data.size),
            .op = data.size > 4 ? data.data[4] : 256,
            .data = data};
        struct trace_virtio_reply reply = {.queue = 1,
                                           .origin = choice >> 2 & 1,
                                           .used = data.size,
                                           .digest = hash_xxh3(data.data, data.size),
                                           .data = data};
        struct trace_virtio_notify note = {.queue = 2, .data = data};
        trace->clock.icount += choice;
        if (choice & 8)
            (void)!trace_virtio_notify(trace, &note);
        (void)!trace_virtio_request(trace, &request);
        if (!(choice & 16))
            (void)!trace_virtio_reply(trace, &reply);
    }
}

static void make_trace(struct trace_memory *memory, struct bytes script)
{
    const struct trace_writer_options how = {.guest = TRACE_GUEST_PC};
    struct trace_session_begin begin = {.spec = 1, .epoch = take(&script)};
    struct trace_virtio_ready ready = {.features = 51};
    struct trace_session_end end = {.reason = take(&script) % 3};
    struct trace_writer *writer;
    struct trace *trace;
    struct arena arena;
    arena_init(&arena, 1 << 26);
    trace_memory_init(memory, 1 << 26);
    struct trace_sink sink = trace_memory_sink(memory);
    check(!trace_writer_create(&arena, &sink, &how, &writer));
    check(!trace_record_create(&arena, writer, false, &trace));
    (void)!trace_session_begin(trace, &begin);
    put_config(trace, &script);
    put_images(trace, &script);
    (void)!trace_virtio_ready(trace, &ready);
    put_messages(trace, &script);
    (void)!trace_session_end(trace, &end);
    trace_close(trace);
    (void)!trace_writer_finish(writer, NULL);
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trace_memory memory;
    struct cli_fs fs = {0};
    const struct replay_fs_options options = {.open = cli_fs_replay_open, .self = &fs};
    struct replay_fs_report report;
    if (size > 4096)
        return 0;
    make_trace(&memory, bytes_of(data, size));
    struct bytes bytes = buf_bytes(&memory.file);
    const struct trace_source source = trace_bytes_source(&bytes);
    replay_fs_trace(&source, &options, &report);
    check(report.class != REPLAY_DIVERGED || report.diverged);
    check(report.class == REPLAY_SAME || report.class == REPLAY_DIVERGED ||
          report.detail[0]);
    cli_fs_close(&fs);
    trace_memory_fini(&memory);
    return 0;
}
