/* SPDX-License-Identifier: MIT
 *
 * The wrapped host table of a pc.  The code is the same for recording and for replay;
 * where input comes from, and replies of outside trees, differs.
 */
#include "replay/pc_private.h"

#include "replay/pc_setup.h"

enum { REASON_GUEST, REASON_LIMIT, REASON_ABORTED, REASON_HOST };
static void set_clock(struct replay_pc *s)
{
    if (!s->options.trace)
        return;
    struct emu_place place = emu_pc_place(s->pc);
    s->options.trace->clock.icount = place.icount;
    s->options.trace->clock.sub = place.sub;
}

void replay_pc_note(struct replay_pc *s, enum err err)
{
    if (!err)
        return;
    if (!s->err)
        s->err = err;
    emu_pc_stop(s->pc);
}

void replay_pc_emit(struct replay_pc *s, enum trace_id id, void *event)
{
    if (!s->options.trace || s->err)
        return;
    set_clock(s);
    enum err err = trace_event(s->options.trace, id, event);
    if (s->options.copy && (!err || err == ERR_trace_end)) {
        s->options.copy->clock = s->options.trace->clock;
        replay_pc_note(s, trace_event(s->options.copy, id, event));
    }
    replay_pc_note(s, err);
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
    replay_pc_note(s, trace_console(s->options.trace, dev, bytes_of(&byte, 1)));
    if (s->options.copy && !s->err) {
        s->options.copy->clock = s->options.trace->clock;
        replay_pc_note(s, trace_console(s->options.copy, dev, bytes_of(&byte, 1)));
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
    replay_pc_emit(s, TRACE_ID_virtio_request, &event);
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
    replay_pc_emit(s, TRACE_ID_virtio_reply, &event);
}

static void virtio_ready(struct replay_pc *s, const struct emu_event *e)
{
    uint64_t size[3] = {e->queue_size[0], e->queue_size[1], e->queue_size[2]};
    struct trace_virtio_ready event = {
        .dev = e->dev, .features = e->features, .queues = {size, 3}};
    replay_pc_emit(s, TRACE_ID_virtio_ready, &event);
}

static void virtio_flush(struct replay_pc *s, const struct emu_event *e)
{
    struct trace_virtio_flush event = {.dev = e->dev,
                                       .queue = e->queue,
                                       .count = e->count,
                                       .used_idx = e->used_index,
                                       .isr = e->isr};
    replay_pc_emit(s, TRACE_ID_virtio_flush, &event);
}

static void port(struct replay_pc *s, const struct emu_event *e)
{
    struct trace_pc_port event = {
        .dir = e->out, .addr = e->port, .width = e->width, .value = e->value};
    replay_pc_emit(s, TRACE_ID_pc_port, &event);
}

/* While replaying, the trace has said that it happens; the rest follows from that. */
static void virtio_complete(struct replay_pc *s, const struct emu_event *e)
{
    struct trace_virtio_complete event = {
        .dev = e->dev, .queue = e->queue, .head = e->head};
    replay_pc_emit(s, TRACE_ID_virtio_complete, &event);
    if (event.dev != e->dev || event.queue != e->queue || event.head != e->head)
        replay_pc_note(s, ERR_trace_event);
}

static void virtio_notify(struct replay_pc *s, const struct emu_event *e)
{
    struct trace_virtio_notify event = {
        .dev = e->dev, .queue = e->queue, .data = e->data};
    replay_pc_emit(s, TRACE_ID_virtio_notify, &event);
}

static void event(void *self, const struct emu_event *e)
{
    struct replay_pc *s = self;
    switch (e->type) {
    case EMU_EVENT_irq:
        replay_pc_emit(s, TRACE_ID_pc_irq,
                       &(struct trace_pc_irq){.vector = e->vector, .line = e->line});
        break;
    case EMU_EVENT_reset:
        replay_pc_emit(s, TRACE_ID_pc_reset,
                       &(struct trace_pc_reset){.cause = e->cause});
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
        replay_pc_emit(s, TRACE_ID_virtio_reset,
                       &(struct trace_virtio_reset){.dev = e->dev});
        break;
    case EMU_EVENT_virtio_error:
        replay_pc_emit(s, TRACE_ID_virtio_error,
                       &(struct trace_virtio_error){.dev = e->dev, .cause = e->cause});
        break;
    case EMU_EVENT_virtio_complete:
        virtio_complete(s, e);
        break;
    case EMU_EVENT_virtio_notify:
        virtio_notify(s, e);
        break;
    }
}

/* ---- input ---- */

static bool is_input(uint32_t id)
{
    return id == TRACE_ID_pc_input || id == TRACE_ID_virtio_complete ||
           id == TRACE_ID_virtio_notify || id == TRACE_ID_session_end;
}

/* Go to the next event of the trace that stops the machine at its place.  What the
 * session has passed already came with another one. */
static void look_ahead(struct replay_pc *s)
{
    while (!s->ahead_ended && (s->ahead.seq < trace_seq(s->options.trace) ||
                               !is_input(s->ahead.kind->id))) {
        if (trace_reader_next(s->options.ahead, &s->ahead, &s->ahead_ended))
            s->ahead_ended = true; /* the session's reader finds the damage too */
    }
}

/* Where the machine has to stop for what comes.  A guest that ends itself may still
 * have to do so there, in a step that is not counted; one step later it has not. */
static struct emu_place stop_for(const struct trace_record *record)
{
    struct emu_place place = {record->clock.icount, record->clock.sub};
    struct trace_values values = trace_record_values(record, 0);
    struct trace_value reason = {0};
    bool by_itself = record->kind->id == TRACE_ID_session_end &&
                     trace_values_next(&values, &reason) &&
                     reason.number == REASON_GUEST;
    return by_itself ? (struct emu_place){place.icount + 1, 0} : place;
}

/* Is that what comes next?  If not, the guest has gone another way. */
static bool comes_next(struct replay_pc *s, enum trace_id id, void *event)
{
    const struct trace_record *next = s->err ? NULL : trace_peek(s->options.trace);
    if (next && next->kind->id == id)
        return true;
    replay_pc_emit(s, id, event);
    return false;
}

/* An input that is more than bytes, at its boundary. */
static void apply_complete(void *self)
{
    struct replay_pc *s = self;
    struct trace_virtio_complete event = {0};
    uint64_t seq = trace_seq(s->options.trace);
    if (!comes_next(s, TRACE_ID_virtio_complete, &event))
        return;
    if (s->fs)
        replay_pc_fs_complete(s);
    if (trace_seq(s->options.trace) == seq)
        replay_pc_note(s, ERR_trace_event); /* nothing is in flight */
}

static void apply_notify(void *self)
{
    struct replay_pc *s = self;
    struct trace_virtio_notify event = {0};
    if (comes_next(s, TRACE_ID_virtio_notify, &event))
        replay_pc_fs_notify_recorded(s);
}

static struct emu_input call_input(struct replay_pc *s, void (*call)(void *self))
{
    return (struct emu_input){.kind = EMU_INPUT_CALL, .call = call, .call_self = s};
}

static bool recorded_bytes(struct replay_pc *s, struct emu_input *ret_input)
{
    struct trace_pc_input input = {0};
    replay_pc_emit(s, TRACE_ID_pc_input, &input);
    if (s->err)
        return false;
    *ret_input = (struct emu_input){
        .kind = EMU_INPUT_CONSOLE, .dev = (uint32_t)input.dev, .data = input.data};
    return true;
}

static bool recorded_input(struct replay_pc *s, struct emu_place here,
                           struct emu_place *ret_next, struct emu_input *ret_input)
{
    look_ahead(s);
    if (s->ahead_ended || s->err)
        return false;
    struct emu_place place = stop_for(&s->ahead);
    if (emu_place_before(here, place)) {
        *ret_next = place;
        return false;
    }
    switch (s->ahead.kind->id) {
    case TRACE_ID_session_end:
        emu_pc_stop(s->pc); /* it was stopped here, or should have ended itself */
        return false;
    case TRACE_ID_virtio_complete:
        *ret_input = call_input(s, apply_complete);
        return true;
    case TRACE_ID_virtio_notify:
        *ret_input = call_input(s, apply_notify);
        return true;
    default:
        return recorded_bytes(s, ret_input);
    }
}

static void sooner(struct emu_place *next, struct emu_place place)
{
    if (emu_place_before(place, *next))
        *next = place;
}

static bool live_input(struct replay_pc *s, struct emu_place here,
                       struct emu_place *ret_next, struct emu_input *ret_input)
{
    const struct emu_host *host = s->options.host;
    size_t room = EMU_UART_QUEUE_SIZE - s->pc->uart.queue_count;
    uint64_t due_vns;
    if (replay_pc_fs_due(s, &due_vns)) {
        *ret_input = call_input(s, replay_pc_fs_complete);
        return true;
    }
    if (!host->input_at(host->self, here, ret_next, ret_input)) {
        if (due_vns != EMU_NEVER)
            sooner(ret_next, emu_pc_place_at(s->pc, due_vns));
        return false;
    }
    if (ret_input->kind != EMU_INPUT_CONSOLE)
        return true;
    /* What does not fit is refused before it is recorded (machine.md 2.8). */
    if (ret_input->data.size > room)
        ret_input->data.size = room;
    struct trace_pc_input input = {.dev = ret_input->dev, .data = ret_input->data};
    if (input.data.size)
        replay_pc_emit(s, TRACE_ID_pc_input, &input);
    return true;
}

static bool next_input(struct replay_pc *s, struct emu_place here,
                       struct emu_place *ret_next, struct emu_input *ret_input)
{
    if (pc_replays(s)) {
        const struct emu_host *host = s->options.host;
        struct emu_input none;
        struct emu_place unknown;
        if (host) /* it may stop the run, and says nothing */
            (void)host->input_at(host->self, here, &unknown, &none);
        return recorded_input(s, here, ret_next, ret_input);
    }
    return live_input(s, here, ret_next, ret_input);
}

static bool input_at(void *self, struct emu_place here, struct emu_place *ret_next,
                     struct emu_input *ret_input)
{
    struct replay_pc *s = self;
    if (next_input(s, here, ret_next, ret_input))
        return true;
    if (!s->stops)
        return false;
    s->stopped_there = !emu_place_before(here, s->stop_at);
    if (s->stopped_there)
        emu_pc_stop(s->pc);
    else
        sooner(ret_next, s->stop_at);
    return false;
}

static bool idle(void *self, uint64_t now, uint64_t deadline, uint64_t *ret_vns)
{
    struct replay_pc *s = self;
    const struct emu_host *host = s->options.host;
    if (!pc_replays(s))
        return host->idle(host->self, now, deadline, ret_vns);
    *ret_vns = deadline;
    return deadline != EMU_NEVER;
}

/* ---- session ---- */

static void emit_hash(struct replay_pc *s)
{
    if (!s->options.trace || !s->options.hashes || s->err)
        return;
    struct trace_state_hash event = {
        .hash = trace_hash_of(emu_pc_hash(s->pc, s->ram_hash, &s->scratch))};
    replay_pc_emit(s, TRACE_ID_state_hash, &event);
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
    return s->setup->has_fs ? replay_pc_fs_connect(arena, s) : ERR_ok;
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
    s->hash_at = PC_HASH_EVERY;
    replay_series_init(&s->series, &options->checkpoints);
    buf_init(&s->scratch, PC_STATE_SIZE_MAX);
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

/* What the guest has printed becomes an event of its own. */
static void end_console(struct replay_pc *s)
{
    if (s->options.trace && !s->err)
        replay_pc_note(s, trace_console_end(s->options.trace));
    if (s->options.copy && !s->err)
        replay_pc_note(s, trace_console_end(s->options.copy));
}

/* What is due at this boundary: the hash first, which a checkpoint counts as done. */
static void take_marks(struct replay_pc *s)
{
    uint64_t icount = s->pc->cpu->icount;
    if (s->options.hashes && icount >= s->hash_at) {
        s->hash_at = (icount / PC_HASH_EVERY + 1) * PC_HASH_EVERY;
        end_console(s);
        s->at_mark = true; /* a ring may begin behind this event */
        emit_hash(s);
        s->at_mark = false;
    }
    if (icount >= s->series.next && !s->err)
        replay_pc_note(s, replay_pc_checkpoint_next(s));
}

enum emu_pc_status replay_pc_run(struct replay_pc *s, uint64_t limit)
{
    for (;;) {
        uint64_t mark = UINT64_MAX;
        if (s->options.trace && s->options.hashes)
            mark = s->hash_at;
        if (s->options.trace && s->series.next < mark)
            mark = s->series.next;
        enum emu_pc_status status = emu_pc_run(s->pc, mark < limit ? mark : limit);
        if (status != EMU_PC_LIMIT || s->pc->cpu->icount < mark)
            return status;
        take_marks(s);
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
    replay_pc_emit(s, TRACE_ID_session_end, &end);
    return s->err;
}

enum err replay_pc_error(const struct replay_pc *session)
{
    return session->err;
}

void replay_pc_stop_at(struct replay_pc *s, struct emu_place place)
{
    s->stops = true;
    s->stop_at = place;
}

bool replay_pc_stopped_there(const struct replay_pc *session)
{
    return session->stopped_there;
}

void replay_pc_go_live(struct replay_pc *s, struct trace *trace,
                       const struct emu_host *host, struct v86fs_server *server)
{
    s->options.trace = trace;
    s->options.copy = NULL;
    s->options.host = host;
    s->options.ahead = NULL;
    s->ahead_ended = true;
    s->stops = s->stopped_there = false;
    replay_pc_fs_go_live(s, server);
}

void replay_pc_close(struct replay_pc *session)
{
    if (!session)
        return;
    replay_pc_fs_fini(session);
    replay_series_fini(&session->series);
    buf_fini(&session->scratch);
}
