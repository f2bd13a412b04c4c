/* SPDX-License-Identifier: MIT
 *
 * The file device of a pc under the debugger: replies and notifications from the trace,
 * at once or later.
 */
#include "replay/debug_pc.h"

#include "replay/pc_private.h"

#include <string.h>

enum { READ_ON_MAX = 4096 }; /* events to read over instead of seeking */

/* ---- replies of file trees ---- */

static enum err read_reply(struct debug_pc *g, uint64_t seq,
                           struct trace_virtio_reply *ret_event)
{
    struct trace_record record;
    bool end = false;
    uint64_t next = g->reader_seq;
    g->reader_seq = UINT64_MAX; /* if it fails */
    if (next > seq || seq - next > READ_ON_MAX)
        TRY(trace_reader_seek_seq(g->reader, seq));
    do {
        TRY(trace_reader_next(g->reader, &record, &end));
        if (end || record.seq > seq)
            return ERR_trace_diverged;
    } while (record.seq < seq);
    g->reader_seq = seq + 1;
    arena_clear(&g->event);
    return trace_decode_virtio_reply(g->reader, &record, &g->event, ret_event);
}

static enum err next_reply(struct debug_pc *g, uint8_t *reply, size_t size_max,
                           size_t *ret_size)
{
    struct trace_virtio_reply event;
    if (g->reply_next == g->reply_count)
        return ERR_trace_diverged;
    const struct debug_pc_reply *recorded = &g->reply[g->reply_next];
    if (replay_time_compare(recorded->time, replay_debug_pc_time(g)) != 0)
        return ERR_trace_diverged;
    TRY(read_reply(g, recorded->seq, &event));
    if (event.data.size > size_max || event.data.size != event.used)
        return ERR_trace_event;
    if (event.data.size)
        memcpy(reply, event.data.data, event.data.size);
    *ret_size = event.data.size;
    g->reply_next++;
    return ERR_ok;
}

/* Does the reply that comes next in the trace answer this request now? */
static bool answers(struct debug_pc *g, unsigned queue, unsigned head)
{
    const struct debug_pc_reply *reply = &g->reply[g->reply_next];
    return g->reply_next < g->reply_count && reply->queue == queue &&
           reply->head == head &&
           replay_time_compare(reply->time, replay_debug_pc_time(g)) == 0;
}

static uint64_t token_of(uint64_t queue, uint64_t head)
{
    return 1 + (queue << 16 | head);
}

static void serve(void *self, unsigned queue, unsigned head, struct bytes request,
                  uint8_t *reply, size_t size_max, size_t *ret_size,
                  uint64_t *ret_token)
{
    struct debug_pc *g = self;
    *ret_size = 0;
    *ret_token = 0;
    if (g->err)
        return;
    if (!answers(g, queue, head) && request.size <= PC_LATE_REQUEST_MAX)
        *ret_token = token_of(queue, head);
    else
        replay_debug_pc_note(g, next_reply(g, reply, size_max, ret_size));
}

/* The input that is to come, if it is the end of a request. */
static const struct debug_pc_input *completion(const struct debug_pc *g)
{
    const struct debug_pc_input *input = &g->input[g->input_next];
    struct replay_time now = {g->pc->cpu->icount, g->pc->cpu->sub};
    bool here = g->input_next < g->input_count &&
                input->id == TRACE_ID_virtio_complete &&
                replay_time_compare(input->time, now) <= 0;
    return here ? input : NULL;
}

static bool due(void *self, uint64_t token)
{
    const struct debug_pc_input *input = completion(self);
    return input && token == token_of(input->queue, input->head);
}

static bool take(void *self, uint64_t token, uint8_t *reply, size_t size_max,
                 size_t *ret_size)
{
    struct debug_pc *g = self;
    (void)token;
    enum err err = g->err ? g->err : next_reply(g, reply, size_max, ret_size);
    replay_debug_pc_note(g, err);
    return !err;
}

static uint64_t adopt(void *self, unsigned queue, unsigned head, struct bytes request,
                      size_t reply_size_max)
{
    (void)self, (void)request, (void)reply_size_max;
    return token_of(queue, head);
}

static void negotiate(void *self, uint32_t features)
{
    (void)self, (void)features;
}

static void reset(void *self)
{
    (void)self;
}

/* ---- at boundaries ---- */

static void complete(void *self)
{
    struct debug_pc *g = self;
    size_t before = g->input_next;
    if (g->fs)
        (void)v86fs_virtio_complete(g->fs);
    if (g->input_next == before)
        replay_debug_pc_note(g, ERR_trace_diverged); /* it is not in flight */
}

static void notify(void *self)
{
    struct debug_pc *g = self;
    const struct debug_pc_input *input = &g->input[g->input_next++];
    if (g->fs)
        (void)v86fs_virtio_notify(g->fs, input->data);
    else
        replay_debug_pc_note(g, ERR_trace_event);
}

struct emu_input replay_debug_pc_fs_input(struct debug_pc *g)
{
    bool completes = g->input[g->input_next].id == TRACE_ID_virtio_complete;
    return (struct emu_input){
        .kind = EMU_INPUT_CALL, .call = completes ? complete : notify, .call_self = g};
}

void replay_debug_pc_completed(struct debug_pc *g, const struct emu_event *e)
{
    const struct debug_pc_input *input = completion(g);
    if (input && input->queue == e->queue && input->head == e->head)
        g->input_next++;
    else
        replay_debug_pc_note(g, ERR_trace_diverged);
}

enum err replay_debug_pc_connect(struct debug_pc *g)
{
    struct v86fs_virtio_options options;
    v86fs_virtio_options_init(&options);
    options.origin = !g->setup.fs.derived;
    options.late_request_max = PC_LATE_REQUEST_MAX;
    options.backend = (struct v86fs_virtio_backend){.self = g,
                                                    .serve = serve,
                                                    .take = take,
                                                    .negotiate = negotiate,
                                                    .reset = reset,
                                                    .due = due,
                                                    .adopt = adopt};
    return v86fs_virtio_create(&g->arena, &options, &g->pc->fs[0].virtio, &g->fs);
}
