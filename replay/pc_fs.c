/* SPDX-License-Identifier: MIT
 *
 * Who answers the file device of a pc: a server, or the trace; at once, or later
 * (v86fs.md 5.2, 9).
 */
#include "replay/pc_private.h"

#include <string.h>

/* ---- replies ---- */

/* The reply that was recorded; without one the event that is emitted next says so. */
static void recorded_reply(struct replay_pc *s, uint8_t *reply, size_t reply_size_max,
                           size_t *ret_size)
{
    struct trace_virtio_reply event;
    const struct trace_record *next = s->err ? NULL : trace_peek(s->options.trace);
    *ret_size = 0;
    if (!next || next->kind->id != TRACE_ID_virtio_reply)
        return;
    enum err err = trace_peek_decode(s->options.trace, TRACE_ID_virtio_reply, &event);
    if (!err && (event.data.size > reply_size_max || event.data.size != event.used))
        err = ERR_trace_event;
    replay_pc_note(s, err);
    if (err || !event.data.size)
        return;
    memcpy(reply, event.data.data, event.data.size);
    *ret_size = event.data.size;
}

static void answer(struct replay_pc *s, struct bytes request, uint8_t *reply,
                   size_t reply_size_max, size_t *ret_size)
{
    uint64_t token;
    if (!s->options.server) {
        recorded_reply(s, reply, reply_size_max, ret_size);
        return;
    }
    v86fs_server_serve(s->options.server, emu_pc_now_ns(s->pc), request, reply,
                       reply_size_max, ret_size, &token);
    check(!token); /* our servers are made to answer at once */
}

/* ---- late ones ---- */

static struct pc_late *free_late(struct replay_pc *s)
{
    for (unsigned i = 0; i < PC_LATE_MAX; i++) {
        if (!s->late[i].used)
            return &s->late[i];
    }
    return NULL;
}

static uint64_t token_of(const struct replay_pc *s, const struct pc_late *late)
{
    return (uint64_t)(late - s->late) + 1;
}

/* Does this request wait?  Recording: as the host wants it; replay: unless the reply
 * comes next. */
static bool is_late(struct replay_pc *s)
{
    if (!pc_replays(s))
        return s->delay_ns != 0;
    const struct trace_record *next = s->err ? NULL : trace_peek(s->options.trace);
    return next && next->kind->id != TRACE_ID_virtio_reply;
}

static void serve(void *self, unsigned queue, unsigned head, struct bytes request,
                  uint8_t *reply, size_t reply_size_max, size_t *ret_size,
                  uint64_t *ret_token)
{
    struct replay_pc *s = self;
    bool waits = request.size <= PC_LATE_REQUEST_MAX && is_late(s);
    struct pc_late *late = waits ? free_late(s) : NULL;
    *ret_token = 0;
    if (!late || s->options.server)
        answer(s, request, reply, reply_size_max, ret_size);
    if (!late)
        return;
    late->used = true;
    late->queue = (uint8_t)queue;
    late->head = (uint16_t)head;
    late->answered = s->options.server != NULL;
    late->due_vns = emu_cpu_vns(s->pc->cpu) + s->delay_ns;
    buf_clear(&late->reply);
    if (late->answered)
        buf_put(&late->reply, reply, *ret_size);
    replay_pc_note(s, late->reply.err);
    *ret_size = 0;
    *ret_token = token_of(s, late);
}

/* Replay: the trace says what completes. */
static bool recorded_due(struct replay_pc *s, const struct pc_late *late)
{
    struct trace_virtio_complete event;
    const struct trace_record *next = s->err ? NULL : trace_peek(s->options.trace);
    struct emu_place here = emu_pc_place(s->pc);
    if (!next || next->kind->id != TRACE_ID_virtio_complete ||
        next->clock.icount != here.icount || next->clock.sub != here.sub)
        return false;
    enum err err =
        trace_peek_decode(s->options.trace, TRACE_ID_virtio_complete, &event);
    replay_pc_note(s, err);
    return !err && event.dev == 0 && event.queue == late->queue &&
           event.head == late->head;
}

static bool due(void *self, uint64_t token)
{
    struct replay_pc *s = self;
    const struct pc_late *late = &s->late[token - 1];
    if (pc_replays(s))
        return recorded_due(s, late);
    return emu_cpu_vns(s->pc->cpu) >= late->due_vns;
}

static bool take(void *self, uint64_t token, uint8_t *reply, size_t reply_size_max,
                 size_t *ret_size)
{
    struct replay_pc *s = self;
    struct pc_late *late = &s->late[token - 1];
    size_t size = late->reply.size;
    late->used = false;
    if (!late->answered) {
        recorded_reply(s, reply, reply_size_max, ret_size);
        return true;
    }
    if (size > reply_size_max) {
        replay_pc_note(s, ERR_trace_event); /* of a state from outside */
        return false;
    }
    if (size)
        memcpy(reply, late->reply.data, size);
    *ret_size = size;
    return true;
}

bool replay_pc_fs_due(const struct replay_pc *s, uint64_t *ret_next_vns)
{
    uint64_t now = emu_cpu_vns(s->pc->cpu);
    *ret_next_vns = EMU_NEVER;
    if (!s->fs)
        return false;
    for (unsigned i = 0; i < PC_LATE_MAX; i++) {
        const struct pc_late *late = &s->late[i];
        if (late->used && late->due_vns > now && late->due_vns < *ret_next_vns)
            *ret_next_vns = late->due_vns;
    }
    return v86fs_virtio_due(s->fs);
}

void replay_pc_fs_complete(void *self)
{
    struct replay_pc *s = self;
    (void)v86fs_virtio_complete(s->fs);
}

/* ---- states ---- */

/* Of a server that did not hear the request. */
static void ask_again(struct replay_pc *s, struct pc_late *late, struct bytes request,
                      size_t reply_size_max)
{
    size_t size = 0;
    uint64_t token;
    buf_clear(&late->reply);
    uint8_t *reply = buf_extend(&late->reply, V86FS_FRAME_MAX);
    if (reply)
        v86fs_server_serve(s->options.server, emu_pc_now_ns(s->pc), request, reply,
                           reply_size_max, &size, &token);
    replay_pc_note(s, late->reply.err);
    late->reply.size = size;
    late->answered = true;
    late->due_vns = 0;
}

/* The request was asked before the state was taken: its reply was loaded, or is in the
 * trace. */
static uint64_t adopt(void *self, unsigned queue, unsigned head, struct bytes request,
                      size_t reply_size_max)
{
    struct replay_pc *s = self;
    struct pc_late *late = NULL;
    for (unsigned i = 0; i < PC_LATE_MAX && !late; i++) {
        struct pc_late *at = &s->late[i];
        if (at->used && at->queue == queue && at->head == head)
            late = at;
    }
    if (!late && !s->options.server)
        late = free_late(s);
    if (!late) {
        replay_pc_note(s, ERR_trace_event);
        late = &s->late[0];
    }
    late->used = true;
    late->queue = (uint8_t)queue;
    late->head = (uint16_t)head;
    if (!pc_replays(s) && s->options.server && !late->answered)
        ask_again(s, late, request, reply_size_max);
    return token_of(s, late);
}

void replay_pc_fs_go_live(struct replay_pc *s, struct v86fs_server *server)
{
    if (!s->fs || !server)
        return;
    s->options.server = server;
    v86fs_server_negotiate(server, s->pc->fs[0].virtio.driver_feature[0]);
    v86fs_virtio_adopt(s->fs);
}

/* Replies from outside are in the trace. */
static bool is_kept(const struct replay_pc *s, const struct pc_late *late)
{
    return late->used && late->answered && s->setup->fs.derived;
}

void replay_pc_fs_save(const struct replay_pc *s, struct buf *buf)
{
    unsigned count = 0;
    for (unsigned i = 0; i < PC_LATE_MAX; i++)
        count += is_kept(s, &s->late[i]);
    replay_pc_put(buf, count, 1);
    for (unsigned i = 0; i < PC_LATE_MAX; i++) {
        const struct pc_late *late = &s->late[i];
        if (!is_kept(s, late))
            continue;
        replay_pc_put(buf, late->queue, 1);
        replay_pc_put(buf, late->head, 2);
        replay_pc_put(buf, late->due_vns, 8);
        replay_pc_put(buf, late->reply.size, 4);
        buf_put(buf, late->reply.data, late->reply.size);
    }
}

bool replay_pc_fs_load(struct replay_pc *s, struct bytes *state)
{
    uint64_t count, queue, head, due_vns, size;
    for (unsigned i = 0; i < PC_LATE_MAX; i++)
        s->late[i].used = false;
    if (!replay_pc_take(state, 1, &count) || count > PC_LATE_MAX ||
        (count && !s->options.server))
        return false;
    for (unsigned i = 0; i < count; i++) {
        struct pc_late *late = &s->late[i];
        if (!replay_pc_take(state, 1, &queue) || !replay_pc_take(state, 2, &head) ||
            !replay_pc_take(state, 8, &due_vns) || !replay_pc_take(state, 4, &size) ||
            size > state->size || size > V86FS_FRAME_MAX)
            return false;
        buf_clear(&late->reply);
        buf_put(&late->reply, state->data, (size_t)size);
        *state = bytes_of(state->data + size, state->size - (size_t)size);
        late->used = late->answered = true;
        late->queue = (uint8_t)queue;
        late->head = (uint16_t)head;
        late->due_vns = due_vns;
        replay_pc_note(s, late->reply.err);
    }
    return true;
}

/* ---- the device ---- */

static void negotiate(void *self, uint32_t features)
{
    struct replay_pc *s = self;
    if (s->options.server)
        v86fs_server_negotiate(s->options.server, features);
}

static void reset(void *self)
{
    struct replay_pc *s = self;
    for (unsigned i = 0; i < PC_LATE_MAX; i++)
        s->late[i].used = false;
    if (s->options.server)
        v86fs_server_reset(s->options.server);
}

enum err replay_pc_fs_connect(struct arena *arena, struct replay_pc *s)
{
    struct v86fs_virtio_options options;
    v86fs_virtio_options_init(&options);
    options.origin = !s->setup->fs.derived;
    options.late_request_max = PC_LATE_REQUEST_MAX;
    options.backend = (struct v86fs_virtio_backend){.self = s,
                                                    .serve = serve,
                                                    .take = take,
                                                    .negotiate = negotiate,
                                                    .reset = reset,
                                                    .due = due,
                                                    .adopt = adopt};
    for (unsigned i = 0; i < PC_LATE_MAX; i++)
        buf_init(&s->late[i].reply, V86FS_FRAME_MAX);
    buf_init(&s->note, PC_NOTE_SIZE_MAX);
    return v86fs_virtio_create(arena, &options, &s->pc->fs[0].virtio, &s->fs);
}

void replay_pc_fs_fini(struct replay_pc *s)
{
    for (unsigned i = 0; s->fs && i < PC_LATE_MAX; i++)
        buf_fini(&s->late[i].reply);
    buf_fini(&s->note);
}

/* ---- notifications ---- */

enum v86fs_note_result replay_pc_notify(struct replay_pc *s, struct bytes frame)
{
    return s->fs ? v86fs_virtio_notify(s->fs, frame) : V86FS_NOTE_NO_DRIVER;
}

void replay_pc_delay(struct replay_pc *s, uint64_t ns)
{
    s->delay_ns = ns;
}

void replay_pc_fs_notify_recorded(void *self)
{
    struct replay_pc *s = self;
    struct trace_virtio_notify event;
    enum err err = s->err;
    if (!err)
        err = trace_peek_decode(s->options.trace, TRACE_ID_virtio_notify, &event);
    if (!err && (!s->fs || event.dev || event.queue != 2))
        err = ERR_trace_event;
    buf_clear(&s->note);
    if (!err) {
        buf_put(&s->note, event.data.data, event.data.size);
        err = s->note.err ? ERR_trace_event : ERR_ok;
    }
    replay_pc_note(s, err);
    if (!err)
        (void)v86fs_virtio_notify(s->fs, buf_bytes(&s->note));
}
