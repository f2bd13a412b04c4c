/* SPDX-License-Identifier: MIT
 *
 * The wrapped host table of a pc.  The code is the same for recording and for replay;
 * where input comes from, and replies of outside trees, differs.
 */
#include "replay/pc.h"

#include "emu/save.h"
#include "replay/pc_setup.h"
#include "v86fs/virtio_v86fs.h"

#include <string.h>

#define HASH_EVERY (UINT64_C(1) << 24)
enum { REASON_GUEST, REASON_LIMIT, REASON_ABORTED, REASON_HOST };
enum { STATE_SIZE_MAX = 4 << 20, HANDLES = 65536, NOTES = 1024 };

struct replay_pc {
    const struct replay_pc_setup *setup;
    struct replay_pc_options options;
    struct emu_pc *pc;
    struct v86fs_virtio *fs;
    struct v86fs_virtio_clock clock;
    struct emu_ram_hash *ram_hash;
    struct buf scratch;
    enum err err;
    /* Replay: the next input, or the place where the recording was stopped. */
    struct trace_record ahead;
    bool ahead_ended;
};

static bool replays(const struct replay_pc *s)
{
    return s->options.trace && s->options.trace->replaying;
}

static void set_clock(struct replay_pc *s)
{
    if (!s->options.trace)
        return;
    struct emu_place place = emu_pc_place(s->pc);
    s->options.trace->clock.icount = place.icount;
    s->options.trace->clock.sub = place.sub;
}

/* Keep the first error and leave the run. */
static void note(struct replay_pc *s, enum err err)
{
    if (!err)
        return;
    if (!s->err)
        s->err = err;
    emu_pc_stop(s->pc);
}

static void emit(struct replay_pc *s, enum trace_id id, void *event)
{
    if (!s->options.trace || s->err)
        return;
    set_clock(s);
    enum err err = trace_event(s->options.trace, id, event);
    if (s->options.copy && (!err || err == ERR_trace_end)) {
        s->options.copy->clock = s->options.trace->clock;
        note(s, trace_event(s->options.copy, id, event));
    }
    note(s, err);
}

/* ---- what the machine tells ---- */

static void console_out(void *self, uint32_t dev, uint8_t byte)
{
    struct replay_pc *s = self;
    const struct emu_host *host = s->options.host;
    if (host)
        host->console_out(host->self, dev, byte);
    if (!s->options.trace || s->err)
        return;
    set_clock(s);
    note(s, trace_console(s->options.trace, dev, bytes_of(&byte, 1)));
    if (s->options.copy && !s->err) {
        s->options.copy->clock = s->options.trace->clock;
        note(s, trace_console(s->options.copy, dev, bytes_of(&byte, 1)));
    }
}

static void virtio_request(struct replay_pc *s, const struct emu_event *e)
{
    struct trace_virtio_request event = {
        .dev = e->dev,
        .queue = e->queue,
        .head = e->head,
        .rlen = e->read_size,
        .wcap = e->write_size,
        .digest = hash_xxh3(e->data.data, e->data.size),
        .op = e->op,
    };
    if (s->setup->fs.log_bytes)
        event.data = e->data;
    emit(s, TRACE_ID_virtio_request, &event);
}

static void virtio_reply(struct replay_pc *s, const struct emu_event *e)
{
    struct trace_virtio_reply event = {
        .dev = e->dev,
        .queue = e->queue,
        .head = e->head,
        .origin = e->origin,
        .used = e->data.size,
        .digest = hash_xxh3(e->data.data, e->data.size),
    };
    if (e->origin || s->setup->fs.log_bytes)
        event.data = e->data;
    emit(s, TRACE_ID_virtio_reply, &event);
}

static void virtio_ready(struct replay_pc *s, const struct emu_event *e)
{
    uint64_t size[3] = {e->queue_size[0], e->queue_size[1], e->queue_size[2]};
    struct trace_virtio_ready event = {
        .dev = e->dev, .features = e->features, .queues = {size, 3}};
    emit(s, TRACE_ID_virtio_ready, &event);
}

static void virtio_flush(struct replay_pc *s, const struct emu_event *e)
{
    struct trace_virtio_flush event = {.dev = e->dev,
                                       .queue = e->queue,
                                       .count = e->count,
                                       .used_idx = e->used_index,
                                       .isr = e->isr};
    emit(s, TRACE_ID_virtio_flush, &event);
}

static void port(struct replay_pc *s, const struct emu_event *e)
{
    struct trace_pc_port event = {
        .dir = e->out, .addr = e->port, .width = e->width, .value = e->value};
    emit(s, TRACE_ID_pc_port, &event);
}

/* virtio.complete and virtio.notify do not happen: trees answer at once, and nobody
 * outside tells the guest of changes. */
static void event(void *self, const struct emu_event *e)
{
    struct replay_pc *s = self;
    switch (e->type) {
    case EMU_EVENT_irq:
        emit(s, TRACE_ID_pc_irq,
             &(struct trace_pc_irq){.vector = e->vector, .line = e->line});
        break;
    case EMU_EVENT_reset:
        emit(s, TRACE_ID_pc_reset, &(struct trace_pc_reset){.cause = e->cause});
        break;
    case EMU_EVENT_port:
        port(s, e);
        break;
    case EMU_EVENT_virtio_ready:
        virtio_ready(s, e);
        break;
    case EMU_EVENT_virtio_request:
        virtio_request(s, e);
        break;
    case EMU_EVENT_virtio_reply:
        virtio_reply(s, e);
        break;
    case EMU_EVENT_virtio_flush:
        virtio_flush(s, e);
        break;
    case EMU_EVENT_virtio_reset:
        emit(s, TRACE_ID_virtio_reset, &(struct trace_virtio_reset){.dev = e->dev});
        break;
    case EMU_EVENT_virtio_error:
        emit(s, TRACE_ID_virtio_error,
             &(struct trace_virtio_error){.dev = e->dev, .cause = e->cause});
        break;
    case EMU_EVENT_virtio_complete:
    case EMU_EVENT_virtio_notify:
        break;
    }
}

/* ---- input ---- */

/* Go to the next event of the trace that stops the machine at its place. */
static void look_ahead(struct replay_pc *s)
{
    while (!s->ahead_ended && s->ahead.kind->id != TRACE_ID_pc_input &&
           s->ahead.kind->id != TRACE_ID_session_end) {
        if (trace_reader_next(s->options.ahead, &s->ahead, &s->ahead_ended))
            s->ahead_ended = true; /* the session's reader finds the damage too */
    }
}

static bool recorded_input(struct replay_pc *s, struct emu_place here,
                           struct emu_place *ret_next, struct emu_input *ret_input)
{
    look_ahead(s);
    if (s->ahead_ended || s->err)
        return false;
    struct emu_place place = {.icount = s->ahead.clock.icount,
                              .sub = s->ahead.clock.sub};
    if (emu_place_before(here, place)) {
        *ret_next = place;
        return false;
    }
    if (s->ahead.kind->id == TRACE_ID_session_end) {
        emu_pc_stop(s->pc); /* the guest ends itself before, or was stopped here */
        return false;
    }
    struct trace_pc_input input = {0};
    emit(s, TRACE_ID_pc_input, &input);
    if (s->err)
        return false;
    *ret_input = (struct emu_input){
        .kind = EMU_INPUT_CONSOLE, .dev = (uint32_t)input.dev, .data = input.data};
    if (trace_reader_next(s->options.ahead, &s->ahead, &s->ahead_ended))
        s->ahead_ended = true;
    return true;
}

static bool live_input(struct replay_pc *s, struct emu_place here,
                       struct emu_place *ret_next, struct emu_input *ret_input)
{
    const struct emu_host *host = s->options.host;
    size_t room = EMU_UART_QUEUE_SIZE - s->pc->uart.queue_count;
    if (!host->input_at(host->self, here, ret_next, ret_input))
        return false;
    /* What does not fit is refused before it is recorded (machine.md 2.8). */
    if (ret_input->data.size > room)
        ret_input->data.size = room;
    struct trace_pc_input input = {.dev = ret_input->dev, .data = ret_input->data};
    if (input.data.size)
        emit(s, TRACE_ID_pc_input, &input);
    return true;
}

static bool input_at(void *self, struct emu_place here, struct emu_place *ret_next,
                     struct emu_input *ret_input)
{
    struct replay_pc *s = self;
    if (replays(s)) {
        const struct emu_host *host = s->options.host;
        struct emu_input none;
        struct emu_place unknown;
        if (host) /* it may stop the run, and says nothing */
            (void)host->input_at(host->self, here, &unknown, &none);
        return recorded_input(s, here, ret_next, ret_input);
    }
    return live_input(s, here, ret_next, ret_input);
}

static bool idle(void *self, uint64_t now, uint64_t deadline, uint64_t *ret_vns)
{
    struct replay_pc *s = self;
    const struct emu_host *host = s->options.host;
    if (!replays(s))
        return host->idle(host->self, now, deadline, ret_vns);
    *ret_vns = deadline;
    return deadline != EMU_NEVER;
}

/* ---- the file server ---- */

/* The reply that was recorded; without one the event that is emitted next says so. */
static void recorded_serve(void *self, unsigned queue, unsigned head,
                           struct bytes request, uint8_t *reply, size_t reply_size_max,
                           size_t *ret_size, uint64_t *ret_token)
{
    struct replay_pc *s = self;
    struct trace_virtio_reply event;
    const struct trace_record *next = s->err ? NULL : trace_peek(s->options.trace);
    (void)queue;
    (void)head;
    (void)request;
    *ret_size = 0;
    *ret_token = 0;
    if (!next || next->kind->id != TRACE_ID_virtio_reply)
        return;
    enum err err = trace_peek_decode(s->options.trace, TRACE_ID_virtio_reply, &event);
    if (!err && (event.data.size > reply_size_max || event.data.size != event.used))
        err = ERR_trace_event;
    note(s, err);
    if (err || !event.data.size)
        return;
    memcpy(reply, event.data.data, event.data.size);
    *ret_size = event.data.size;
}

static bool never_take(void *self, uint64_t token, uint8_t *reply,
                       size_t reply_size_max, size_t *ret_size)
{
    (void)self;
    (void)token;
    (void)reply;
    (void)reply_size_max;
    (void)ret_size;
    return false;
}

static void ignore_features(void *self, uint32_t features)
{
    (void)self;
    (void)features;
}

static void ignore_reset(void *self)
{
    (void)self;
}

static enum err connect_fs(struct arena *arena, struct replay_pc *s)
{
    struct v86fs_virtio_options options;
    v86fs_virtio_options_init(&options);
    options.origin = !s->setup->fs.derived;
    s->clock = (struct v86fs_virtio_clock){
        .server = s->options.server, .self = s->pc, .now_ns = emu_pc_now_ns};
    options.backend = s->options.server
                          ? v86fs_virtio_server(&s->clock)
                          : (struct v86fs_virtio_backend){.self = s,
                                                          .serve = recorded_serve,
                                                          .take = never_take,
                                                          .negotiate = ignore_features,
                                                          .reset = ignore_reset};
    return v86fs_virtio_create(arena, &options, &s->pc->fs[0].virtio, &s->fs);
}

/* ---- session ---- */

static void emit_hash(struct replay_pc *s)
{
    if (!s->options.trace || !s->options.hashes || s->err)
        return;
    struct trace_state_hash event = {
        .hash = trace_hash_of(emu_pc_hash(s->pc, s->ram_hash, &s->scratch))};
    emit(s, TRACE_ID_state_hash, &event);
}

static enum err create_machine(struct arena *arena, struct replay_pc *s)
{
    struct emu_pc_config config = s->setup->config;
    const struct emu_host host = {s, console_out, input_at, idle, event};
    config.fs_count = s->setup->has_fs;
    if (config.fs_count) {
        emu_virtio_pci_options_init(&config.fs[0], 0);
        config.fs[0].features = s->setup->fs.features;
    }
    TRY(emu_pc_create(arena, &config, &host, &s->pc));
    s->pc->log_ports = s->setup->log_ports;
    TRY(emu_ram_hash_create(arena, s->pc->ram, &s->ram_hash));
    return s->setup->has_fs ? connect_fs(arena, s) : ERR_ok;
}

enum err replay_pc_create(struct arena *arena, const struct replay_pc_setup *setup,
                          const struct replay_pc_options *options,
                          struct replay_pc **ret_session,
                          struct emu_boot_problem *ret_problem)
{
    struct replay_pc *s = arena_new(arena, struct replay_pc);
    struct arena unpacked;
    enum emu_boot_kind kind;
    *ret_problem = (struct emu_boot_problem){0};
    if (!s)
        return ERR_nomem;
    s->setup = setup;
    s->options = *options;
    if (options->ahead_next)
        s->ahead = *options->ahead_next;
    else
        s->ahead_ended = true;
    buf_init(&s->scratch, STATE_SIZE_MAX);
    TRY(create_machine(arena, s));
    arena_init(&unpacked, (size_t)512 << 20);
    enum err err = emu_boot_load(&unpacked, &setup->boot, s->pc, &kind, ret_problem);
    arena_fini(&unpacked);
    if (!err && options->trace)
        err = replay_pc_setup_emit(setup, options->trace);
    if (!err && options->copy)
        err = replay_pc_setup_emit(setup, options->copy);
    *ret_session = s;
    return err;
}

struct emu_pc *replay_pc_machine(const struct replay_pc *session)
{
    return session->pc;
}

enum emu_pc_status replay_pc_run(struct replay_pc *s, uint64_t limit)
{
    for (;;) {
        uint64_t icount = s->pc->cpu->icount;
        uint64_t mark = (icount / HASH_EVERY + 1) * HASH_EVERY;
        bool hashes = s->options.trace && s->options.hashes && mark <= limit;
        enum emu_pc_status status = emu_pc_run(s->pc, hashes ? mark : limit);
        if (status != EMU_PC_LIMIT || !hashes)
            return status;
        emit_hash(s);
        if (s->err)
            return EMU_PC_STOPPED;
        if (s->pc->cpu->icount >= limit)
            return EMU_PC_LIMIT;
    }
}

uint32_t replay_pc_code(const struct replay_pc *s, enum emu_pc_status status)
{
    if (status != EMU_PC_ENDED)
        return 0;
    bool fine = s->pc->cause == EMU_RESET_TRIPLE_FAULT && s->setup->triple_fault_ok;
    return fine ? 0 : s->pc->code;
}

enum err replay_pc_end(struct replay_pc *s, enum emu_pc_status status)
{
    struct trace_session_end end = {
        .reason = status == EMU_PC_ENDED   ? REASON_GUEST
                  : status == EMU_PC_CLOCK ? REASON_HOST
                                           : REASON_LIMIT,
        .code = replay_pc_code(s, status),
    };
    emit_hash(s);
    emit(s, TRACE_ID_session_end, &end);
    buf_fini(&s->scratch);
    return s->err;
}

enum err replay_pc_error(const struct replay_pc *session)
{
    return session->err;
}
