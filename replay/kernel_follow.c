/* SPDX-License-Identifier: MIT
 *
 * Replay a trace of a kernel and say how it went.
 */
#include "replay/debug_kernel.h"
#include "replay/follow.h"
#include "replay/kernel.h"

#include <inttypes.h>

#define MEMORY_DEFAULT ((size_t)1 << 30)
#define EVENT_MEMORY ((size_t)96 << 20)
/* Instructions that it takes no longer to run than to load a checkpoint. */
#define SPACING ((uint64_t)1 << 20)

struct kernel_follow {
    struct follow *f;
    struct replay_kernel_setup setup;
    uint64_t stop_seq;    /* 0: at the end */
    uint64_t stop_icount; /* of that event */
    uint64_t take_seq;    /* of a slice: take the state there; 0 */
    struct checkpoint *take;
    struct replay_kernel *session;
};

static enum err read_setup(struct kernel_follow *k)
{
    struct follow *f = k->f;
    struct replay_refusal refusal = {0};
    TRY(replay_follow_open_reader(f, &f->reader));
    enum err err = replay_kernel_setup_read(&f->arena, f->reader, &k->setup, &refusal);
    trace_reader_close(f->reader);
    f->reader = NULL;
    if (err == ERR_trace_event && refusal.text[0])
        replay_follow_say(f->report, (enum replay_class)refusal.class, "%s",
                          refusal.text);
    else if (err)
        replay_follow_say(f->report,
                          err == ERR_trace_end ? REPLAY_OPEN : REPLAY_DAMAGED, "%s",
                          err_text(err));
    return err;
}

/* ---- up to a position ---- */

/* The first event that is no setup: in front of it there is nothing to stop at. */
static enum err first_request(struct follow *f, uint64_t *ret_seq)
{
    struct trace_reader *reader;
    struct trace_record record;
    bool end;
    TRY(replay_follow_open_reader(f, &reader));
    enum err err;
    do
        err = trace_reader_next(reader, &record, &end);
    while (!err && !end &&
           (record.kind->id == TRACE_ID_session_begin ||
            record.kind->id == TRACE_ID_session_config ||
            record.kind->id == TRACE_ID_pvm_program)); /* of a part of a trace */
    *ret_seq = err || end ? 0 : record.seq;
    trace_reader_close(reader);
    return err;
}

/* The event behind the request that begins invocation `sub` of those at one icount; 0:
 * there is none. */
static enum err find_begin(struct follow *f, const struct replay_position *to,
                           uint64_t *ret_seq)
{
    const struct replay_time time = {to->value, to->sub};
    struct replay_debug debug;
    char message[REPLAY_DEBUG_MESSAGE_SIZE];
    *ret_seq = 0;
    TRY(replay_debug_open(f->source, &debug, message));
    const struct debug_kernel *g = debug.guest.self;
    for (size_t i = 0; i < g->begin_count; i++) {
        const struct debug_kernel_request *request = &g->request[i];
        if (request->begins && replay_time_compare(request->time, time) == 0)
            *ret_seq = request->seq + 1;
    }
    replay_debug_close(&debug);
    return ERR_ok;
}

/* The event that options->to stops at: events in front of it are compared. */
static enum err find_stop(struct kernel_follow *k)
{
    struct follow *f = k->f;
    const struct replay_position *to = &f->options->to;
    struct trace_reader *reader;
    struct trace_clock clock;
    uint64_t first, seq;
    if (to->kind == REPLAY_AT_END)
        return ERR_ok;
    TRY(first_request(f, &first));
    TRY(replay_follow_open_reader(f, &reader));
    enum err err = replay_position_find(reader, to, 0, &seq, &clock);
    if (!err && trace_reader_state(reader) == TRACE_READER_MORE)
        k->stop_seq = seq > first ? seq : first;
    k->stop_icount = clock.icount;
    trace_reader_close(reader);
    if (!err && k->stop_seq && to->kind == REPLAY_AT_ICOUNT && to->sub) {
        TRY(find_begin(f, to, &seq));
        k->stop_seq = seq > k->stop_seq ? seq : k->stop_seq;
    }
    return err;
}

/* Where that is on the time line; for gas, the run finds it. */
static enum err go_to(const struct kernel_follow *k, struct debug_kernel *g,
                      struct replay_timeline *timeline)
{
    const struct replay_position *to = &k->f->options->to;
    struct replay_time time = {.icount = to->value, .sub = to->sub};
    uint64_t last = g->end.icount;
    if (to->kind == REPLAY_AT_GAS)
        return replay_timeline_seek_gas(timeline, to->value);
    if (to->kind == REPLAY_AT_EVENT)
        time = replay_debug_kernel_event_time(g, to->value, k->stop_icount);
    else if (to->kind == REPLAY_AT_PERCENT)
        time = (struct replay_time){.icount = last / 100 * to->value +
                                              last % 100 * to->value / 100};
    else if (to->kind != REPLAY_AT_ICOUNT && to->kind != REPLAY_AT_FORWARD)
        time.icount = 0;
    return replay_timeline_seek(timeline, time);
}

/* The instance that runs there. */
static void describe(struct kernel_follow *k, struct debug_kernel *g)
{
    struct replay_report *report = k->f->report;
    struct kernel_frame_view view;
    uint32_t depth;
    const struct debug_kernel_frame *frame =
        replay_debug_kernel_shown(g, &view, &depth);
    if (frame) {
        report->state = *view.state;
        replay_follow_say(report, REPLAY_STOPPED, "program %" PRIu32 ", frame %" PRIu32,
                          frame->prog, depth);
    }
    report->state.mem = NULL;
    report->state.gas = kernel_gas(g->kernel);
    report->state.icount = kernel_icount(g->kernel);
    report->result.clock = (struct trace_clock){.icount = kernel_icount(g->kernel),
                                                .gas = debug_kernel_clock(g)};
}

static bool interrupted(void *self)
{
    const struct follow *f = self;
    return f->options->interrupted && f->options->interrupted();
}

/* All events in front of the position are equal: how does the kernel stand there? */
static enum err stand_there(struct kernel_follow *k)
{
    const struct replay_timeline_options how = {
        .spacing = SPACING, .interrupted = interrupted, .interrupted_self = k->f};
    struct replay_debug debug;
    struct replay_timeline *timeline;
    char message[REPLAY_DEBUG_MESSAGE_SIZE];
    TRY(replay_debug_open(k->f->source, &debug, message));
    if (k->f->options->from_start)
        debug.guest.stored.count = 0;
    enum err err = replay_timeline_create(&debug.guest, &how, &timeline);
    if (!err) {
        err = go_to(k, debug.guest.self, timeline);
        describe(k, debug.guest.self);
        replay_timeline_close(timeline);
    }
    replay_debug_close(&debug);
    return err;
}

/* ---- the replay ---- */

/* The last checkpoint in front of the event that is stopped at, if there is one. */
static void choose_start(struct kernel_follow *k, struct replay_kernel_options *options)
{
    struct follow *f = k->f;
    const struct trace_checkpoint_list *list = &f->stored;
    size_t count = 0;
    if (!k->stop_seq || f->options->from_start || f->options->copy ||
        trace_checkpoint_list(&f->arena, f->source, &f->stored))
        return; /* what is wrong with the file, the replay will say */
    while (count < list->count && list->ref[count].seq <= k->stop_seq)
        count++;
    if (!count)
        return;
    options->start = list;
    options->start_index = count - 1;
    f->report->started_late = true;
    f->report->start_icount = list->ref[count - 1].clock.icount;
}

static enum err open(struct kernel_follow *k)
{
    struct follow *f = k->f;
    const struct trace_replay_options how = {.memory_max = EVENT_MEMORY};
    TRY(read_setup(k));
    TRY(replay_follow_open_reader(f, &f->reader));
    enum err err = replay_follow_check_copy(f);
    if (err)
        return err;
    err = trace_replay_create(&f->arena, f->reader, &how, &f->trace);
    if (!err && f->options->copy)
        err = trace_record_create(&f->arena, f->options->copy, true, &f->copy);
    struct replay_kernel_options options = {.trace = f->trace,
                                            .copy = f->copy,
                                            .source = f->source,
                                            .checkpoints = f->checkpoints,
                                            .take_seq = k->take_seq,
                                            .take = k->take,
                                            .engine = f->options->engine,
                                            .gas_max = f->options->gas_max,
                                            .seq_max = k->stop_seq,
                                            .interrupted = f->options->interrupted};
    choose_start(k, &options);
    if (!err)
        err = replay_kernel_create(&f->arena, &k->setup, &options, &k->session);
    if (err)
        replay_follow_say_error(f, err);
    return err;
}

static void judge(struct kernel_follow *k, enum err err)
{
    struct follow *f = k->f;
    struct replay_report *report = f->report;
    if (err == ERR_trace_end)
        err = replay_follow_copy_end(f);
    if (err == ERR_trace_diverged && trace_divergence(f->trace) &&
        !trace_divergence(f->trace)->recorded_name)
        err = ERR_trace_end; /* a recovered file: closed, but cut off */
    bool closed = trace_reader_state(f->reader) == TRACE_READER_CLOSED;
    report->err = err;
    report->identity = trace_reader_chain(f->reader);
    if (err == ERR_trace_diverged) {
        replay_follow_diverged(f, replay_kernel_divergence(k->session));
    } else if (err == ERR_trace_end) {
        replay_follow_say(report, REPLAY_OPEN, "%s",
                          closed ? "the trace was cut off here"
                                 : "its recording is not finished");
    } else if (err) {
        replay_follow_say_error(f, err);
    } else {
        report->finished = closed;
        report->class = closed ? REPLAY_SAME : REPLAY_OPEN;
    }
}

static void run(struct kernel_follow *k)
{
    struct follow *f = k->f;
    struct replay_report *report = f->report;
    bool stopped;
    enum err err = replay_kernel_follow(k->session, &stopped);
    struct replay_kernel_totals totals = replay_kernel_totals(k->session);
    report->event_count = trace_seq(f->trace) - totals.gap_size;
    report->result.clock = totals.clock;
    report->result.ecall_count = totals.ecall_count;
    if (!stopped) {
        judge(k, err);
        return;
    }
    report->class = REPLAY_STOPPED;
    err = k->take ? ERR_ok : stand_there(k);
    if (err)
        replay_follow_say_error(f, err);
    report->err = err;
}

static void follow(struct kernel_follow *k)
{
    struct follow *f = k->f;
    size_t memory_max = f->options->memory_max;
    arena_init(&f->arena, memory_max ? memory_max : MEMORY_DEFAULT);
    enum err err = k->take ? ERR_ok : find_stop(k);
    if (err && !f->report->class)
        replay_follow_say(f->report, REPLAY_DAMAGED, "%s", err_text(err));
    if (!err)
        err = open(k);
    if (err)
        f->report->err = err;
    else
        run(k);
    replay_kernel_close(k->session);
    replay_follow_close(f);
}

void replay_follow_kernel(struct follow *f)
{
    struct kernel_follow k = {.f = f};
    const struct replay_report *report = f->report;
    follow(&k);
    if (!report->started_late || report->class == REPLAY_STOPPED ||
        report->class == REPLAY_OPEN || report->err == ERR_interrupted)
        return;
    /* What a checkpoint leads to is no evidence against the events. */
    const struct replay_options *options = f->options;
    struct replay_options again = *options;
    struct kernel_follow from_start = {.f = f};
    again.from_start = true;
    *f->report = (struct replay_report){0};
    f->options = &again;
    follow(&from_start);
    f->options = options;
}

enum err replay_follow_kernel_take(struct follow *f, uint64_t seq,
                                   struct checkpoint *ret_checkpoint)
{
    struct kernel_follow k = {.f = f, .take_seq = seq, .take = ret_checkpoint};
    follow(&k);
    if (f->report->class == REPLAY_STOPPED)
        return ERR_ok;
    return f->report->err ? f->report->err : ERR_trace_end;
}
