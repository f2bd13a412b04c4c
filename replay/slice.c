/* SPDX-License-Identifier: MIT */
#include "replay/slice.h"

#include "replay/follow.h"
#include "replay/kernel.h"
#include "replay/pc_follow.h"

#include <stdio.h>

void replay_slice_say(struct slice *slice, enum replay_class class, const char *text)
{
    if (slice->detail[0])
        return;
    slice->class = class ? class : REPLAY_FAILED;
    (void)snprintf(slice->detail, sizeof slice->detail, "%.159s", text);
}

void replay_slice_fini(struct slice *slice)
{
    replay_checkpoint_fini(&slice->checkpoint);
}

/* ---- where ---- */

/* The number and clock of the event at a position; the end: the number of events. */
static enum err locate(const struct slice *slice, const struct replay_position *at,
                       uint64_t *ret_seq, struct trace_clock *ret_clock)
{
    struct arena arena;
    struct trace_reader *reader;
    arena_init(&arena, SLICE_MEMORY);
    enum err err = trace_reader_open(&arena, slice->source, NULL, NULL, &reader);
    if (!err) {
        err = replay_position_find(reader, at, 0, ret_seq, ret_clock);
        trace_reader_close(reader);
    }
    arena_fini(&arena);
    return err;
}

static enum err find(struct slice *slice, const struct replay_position *at,
                     struct follow_stop *ret_stop)
{
    uint64_t seq;
    struct trace_clock clock;
    struct replay_report ignored = {0};
    if (at->sub)
        return ERR_usage;
    struct follow f = {.source = slice->source, .report = &ignored};
    TRY(locate(slice, at, &seq, &clock));
    bool ahead = at->kind == REPLAY_AT_ICOUNT && at->value > clock.icount;
    slice->icount = ahead ? at->value : clock.icount;
    arena_init(&f.arena, SLICE_MEMORY);
    enum err err = replay_follow_find_stop(&f, slice->icount, seq, ret_stop);
    arena_fini(&f.arena);
    return err;
}

/* ---- the state there ---- */

static enum err take_state(struct slice *slice, struct follow *f)
{
    struct replay_result result;
    enum err err = replay_session_run(f->session, &result);
    const struct trace_record *next = trace_peek(f->trace);
    if (err || result.end != REPLAY_END_STOPPED || !next) {
        replay_slice_say(slice, f->report->class,
                         f->report->detail[0] ? f->report->detail
                         : err == ERR_trace_diverged
                             ? "the trace diverges before that position"
                         : err ? err_text(err)
                               : "nothing is left at that position");
        return err ? err : ERR_trace_end;
    }
    slice->first_seq = next->seq;
    slice->from = result.clock;
    return replay_checkpoint_take(f->session, replay_session_state(f->session),
                                  &slice->checkpoint);
}

static enum err take_pvm(struct slice *slice, const struct replay_position *at)
{
    struct follow_stop stop;
    struct replay_report report = {0};
    const struct replay_options options = {.interrupted = slice->interrupted};
    struct follow f = {.source = slice->source, .options = &options, .report = &report};
    TRY(find(slice, at, &stop));
    enum err err = replay_follow_open(&f, &stop.limit, true);
    if (err)
        replay_slice_say(slice, report.class,
                         report.detail[0] ? report.detail : err_text(err));
    else
        err = take_state(slice, &f);
    replay_follow_close(&f);
    return err;
}

enum err replay_slice_take_pc(struct slice *slice, struct pc_follow *f)
{
    const struct replay_pc_report *report = f->report;
    replay_pc_follow_run(f);
    if (report->class != REPLAY_STOPPED) {
        bool whole = report->class == REPLAY_SAME || report->class == REPLAY_OPEN;
        replay_slice_say(slice, report->class,
                         whole ? "nothing is left at that position"
                         : report->detail[0]
                             ? report->detail
                             : "the trace diverges before that position");
        return report->err ? report->err : ERR_trace_end;
    }
    slice->first_seq = trace_seq(f->trace);
    slice->icount = report->place.icount;
    slice->from =
        (struct trace_clock){.icount = report->place.icount, .sub = report->place.sub};
    return replay_pc_checkpoint_take(f->session, &slice->checkpoint);
}

static enum err take_pc(struct slice *slice, const struct replay_position *at)
{
    struct replay_pc_report report = {0};
    struct replay_pc_follow_options options = *slice->pc;
    struct pc_follow f = {
        .source = slice->source, .options = &options, .report = &report};
    options.to = *at;
    options.interrupted = slice->interrupted;
    enum err err = replay_pc_follow_open(&f);
    if (err)
        replay_slice_say(slice, report.class,
                         report.detail[0] ? report.detail : err_text(err));
    else
        err = replay_slice_take_pc(slice, &f);
    replay_pc_follow_close(&f);
    return err;
}

/* ---- of a kernel ---- */

static enum err find_place(struct slice *slice, const struct replay_position *at,
                           uint64_t *ret_seq)
{
    struct arena arena;
    struct trace_reader *reader;
    struct trace_clock clock;
    uint64_t seq;
    if (at->sub) {
        replay_slice_say(slice, REPLAY_FAILED,
                         "give an invocation of the kernel by its event, e:N");
        return ERR_usage;
    }
    TRY(locate(slice, at, &seq, &clock));
    bool ahead = at->kind == REPLAY_AT_ICOUNT && at->value > clock.icount;
    slice->icount = ahead ? at->value : clock.icount;
    arena_init(&arena, SLICE_MEMORY);
    enum err err = trace_reader_open(&arena, slice->source, NULL, NULL, &reader);
    if (!err) {
        err = replay_kernel_find_place(reader, slice->icount, seq, ret_seq);
        trace_reader_close(reader);
    }
    arena_fini(&arena);
    return err;
}

static enum err take_kernel(struct slice *slice, const struct replay_position *at)
{
    struct replay_report report = {0};
    const struct replay_options options = {.engine = slice->engine,
                                           .interrupted = slice->interrupted};
    struct follow f = {.source = slice->source, .options = &options, .report = &report};
    TRY(find_place(slice, at, &slice->first_seq));
    enum err err = replay_follow_kernel_take(&f, slice->first_seq, &slice->checkpoint);
    if (err)
        replay_slice_say(slice, report.class,
                         report.detail[0] ? report.detail
                         : err == ERR_trace_diverged
                             ? "the trace diverges before that position"
                             : err_text(err));
    slice->from = report.result.clock;
    return err;
}

enum err replay_slice_take(struct slice *slice, const struct replay_position *at)
{
    bool pc = slice->pc && replay_pc_is_session(slice->source);
    slice->guest = pc ? TRACE_GUEST_PC : TRACE_GUEST_PVM;
    slice->kernel = !pc && replay_kernel_is(slice->source);
    enum err err = pc              ? take_pc(slice, at)
                   : slice->kernel ? take_kernel(slice, at)
                                   : take_pvm(slice, at);
    if (err)
        replay_slice_say(slice, REPLAY_FAILED, err_text(err));
    return err;
}

/* ---- as the beginning of a trace ---- */

enum err replay_slice_copy_event(struct trace_reader *reader,
                                 const struct trace_record *record,
                                 struct trace_writer *writer)
{
    struct arena arena;
    const struct trace_kind *kind = trace_kind_of(record->kind->id);
    if (!kind)
        return ERR_trace_event;
    arena_init(&arena, SLICE_EVENT_MEMORY);
    void *event = arena_alloc(&arena, kind->struct_size, 16);
    enum err err =
        event ? trace_decode(reader, record, (enum trace_id)kind->id, &arena, event)
              : ERR_nomem;
    if (!err)
        trace_writer_put(writer, (enum trace_id)kind->id, &record->clock, event);
    arena_fini(&arena);
    return err ? err : trace_writer_error(writer);
}

/* Does the event tell what the guest is, before it runs? */
static bool sets_up(uint32_t id)
{
    return id == TRACE_ID_session_begin || id == TRACE_ID_session_config ||
           id == TRACE_ID_input_args || id == TRACE_ID_input_file ||
           id == TRACE_ID_pvm_program || id == TRACE_ID_pvm_start;
}

enum err replay_slice_put_setup(struct slice *slice, struct trace_reader *reader,
                                struct trace_writer *writer)
{
    bool started = false;
    do {
        struct trace_record record;
        bool end;
        TRY(trace_reader_next(reader, &record, &end));
        if (end)
            return ERR_trace_end;
        started |= !sets_up(record.kind->id);
        slice->before = record.clock;
        /* Programs of a kernel come when they first run: all that have, in front of
         * what has been charged. */
        bool program = slice->kernel && record.kind->id == TRACE_ID_pvm_program;
        if (program)
            record.clock = (struct trace_clock){.icount = 0};
        if ((!started || program) && writer)
            TRY(replay_slice_copy_event(reader, &record, writer));
        if (record.seq + 1 >= slice->first_seq)
            return ERR_ok;
    } while (true);
}

static enum err put_checkpoint(const struct slice *slice, const struct checkpoint *c,
                               struct trace_writer *writer)
{
    struct trace_base_part part[CHECKPOINT_PART_COUNT];
    replay_checkpoint_parts(c, part);
    trace_writer_base(writer, slice->first_seq, &slice->before, part, c->part_count);
    return trace_writer_error(writer);
}

enum err replay_slice_put_base(const struct slice *slice, struct trace_writer *writer)
{
    return put_checkpoint(slice, &slice->checkpoint, writer);
}

enum err replay_slice_put_reference(const struct slice *slice,
                                    struct trace_writer *writer)
{
    static const uint8_t nothing[] = {0x90}; /* an empty array */
    const struct trace_checkpoint head = {.clock = slice->checkpoint.clock,
                                          .full = true,
                                          .state_hash = slice->checkpoint.state_hash,
                                          .machine = bytes_of(nothing, 1)};
    struct checkpoint c;
    replay_checkpoint_begin(&c, &head);
    enum err err = replay_checkpoint_end(&c);
    if (!err)
        err = put_checkpoint(slice, &c, writer);
    replay_checkpoint_fini(&c);
    return err;
}
