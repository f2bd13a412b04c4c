/* SPDX-License-Identifier: MIT
 *
 * A file server with a trace around it.  The code is the same for recording and for
 * replay; only where replies come from differs.
 */
#include "replay/fs.h"

#include "replay/fs_setup.h"

#include <string.h>

enum { QUEUE = 1, NOTIFY_QUEUE = 2, OP_NONE = 256 };
enum { NOTE_SIZE_BASE = 256, NOTE_SIZE_EXTENDED = 512 };

struct replay_fs {
    const struct replay_fs_setup *setup;
    struct v86fs_server *server; /* NULL: replies are in the trace */
    struct trace *trace;
    struct v86fs_notes *notes;
};

enum err replay_fs_create(struct arena *arena, const struct replay_fs_setup *setup,
                          struct v86fs_server *server, struct trace *trace,
                          struct replay_fs **ret_fs)
{
    struct replay_fs *fs = arena_new(arena, struct replay_fs);
    if (!fs)
        return ERR_nomem;
    *fs = (struct replay_fs){.setup = setup, .server = server, .trace = trace};
    if (server)
        v86fs_server_negotiate(server, setup->features);
    TRY(v86fs_notes_create(arena, REPLAY_FS_NOTE_COUNT_MAX, &fs->notes));
    v86fs_notes_start(fs->notes, setup->features ? NOTE_SIZE_EXTENDED : NOTE_SIZE_BASE);
    TRY(replay_fs_setup_emit(setup, trace));
    *ret_fs = fs;
    return ERR_ok;
}

static enum err emit_request(struct replay_fs *fs, struct bytes request,
                             size_t reply_size_max)
{
    const struct replay_fs_setup *setup = fs->setup;
    struct trace_virtio_request event = {
        .queue = QUEUE,
        .rlen = request.size,
        .wcap = reply_size_max,
        .digest = hash_xxh3(request.data, request.size),
        .op = request.size < V86FS_HEADER_SIZE ? OP_NONE : request.data[4],
    };
    if (setup->requests || setup->log_bytes)
        event.data = request;
    return trace_virtio_request(fs->trace, &event);
}

static enum err emit_reply(struct replay_fs *fs, struct bytes reply)
{
    const struct replay_fs_setup *setup = fs->setup;
    struct trace_virtio_reply event = {
        .queue = QUEUE,
        .origin = setup->derived ? 0 : 1,
        .used = reply.size,
        .digest = hash_xxh3(reply.data, reply.size),
    };
    if (!setup->derived || setup->log_bytes)
        event.data = reply;
    return trace_virtio_reply(fs->trace, &event);
}

/* The reply that was recorded; without one the event that is emitted next says so. */
static enum err recorded_reply(struct replay_fs *fs, uint8_t *reply,
                               size_t reply_size_max, size_t *ret_size)
{
    const struct trace_record *next = trace_peek(fs->trace);
    struct trace_virtio_reply event;
    *ret_size = 0;
    if (!next || next->kind->id != TRACE_ID_virtio_reply)
        return ERR_ok;
    TRY(trace_peek_decode(fs->trace, TRACE_ID_virtio_reply, &event));
    if (event.data.size > reply_size_max || event.data.size != event.used ||
        event.origin != 1)
        return ERR_trace_event;
    if (event.data.size)
        memcpy(reply, event.data.data, event.data.size);
    *ret_size = event.data.size;
    return ERR_ok;
}

enum err replay_fs_serve(struct replay_fs *fs, uint64_t tick, struct bytes request,
                         uint8_t *reply, size_t reply_size_max, size_t *ret_size)
{
    uint64_t now_ns = fs->setup->epoch_ns + tick * fs->setup->tick_ns, token;
    if (reply_size_max > V86FS_FRAME_MAX)
        reply_size_max = V86FS_FRAME_MAX;
    if (!fs->trace) {
        v86fs_server_serve(fs->server, now_ns, request, reply, reply_size_max, ret_size,
                           &token);
        return ERR_ok;
    }
    fs->trace->clock.icount = tick;
    enum err err = emit_request(fs, request, reply_size_max);
    if (fs->server)
        v86fs_server_serve(fs->server, now_ns, request, reply, reply_size_max, ret_size,
                           &token);
    else if (!err)
        err = recorded_reply(fs, reply, reply_size_max, ret_size);
    if (!err)
        err = emit_reply(fs, bytes_of(reply, *ret_size));
    return err;
}

enum err replay_fs_notify(struct replay_fs *fs, uint64_t tick, struct bytes frame,
                          enum v86fs_note_result *ret_result)
{
    struct trace_virtio_notify event = {.queue = NOTIFY_QUEUE, .data = frame};
    if (fs->trace) {
        fs->trace->clock.icount = tick;
        TRY(trace_virtio_notify(fs->trace, &event));
    }
    *ret_result = v86fs_notes_frame(fs->notes, event.data);
    return ERR_ok;
}

uint32_t replay_fs_note_room(const struct replay_fs *fs)
{
    return REPLAY_FS_NOTE_COUNT_MAX - v86fs_notes_count(fs->notes);
}

struct bytes replay_fs_note(const struct replay_fs *fs)
{
    return v86fs_notes_first(fs->notes);
}

void replay_fs_note_taken(struct replay_fs *fs)
{
    v86fs_notes_drop_first(fs->notes);
}

enum err replay_fs_end(struct replay_fs *fs, uint64_t reason)
{
    struct trace_session_end end = {.reason = reason};
    return trace_session_end(fs->trace, &end);
}
