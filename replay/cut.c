/* SPDX-License-Identifier: MIT
 *
 * Cut a slice out of a trace (trace-replay.md 2.9, 11).
 */
#include "replay/checkpoint.h"
#include "replay/follow.h"
#include "replay/kernel.h"

#include <stdio.h>

#define EVENT_MEMORY ((size_t)256 << 20)

struct cut {
    const struct trace_source *source;
    const struct trace_sink *sink;
    const struct replay_cut_options *options;
    struct replay_cut_report *report;
    struct arena arena; /* reader, writer and one event at a time */
    struct follow_stop stop;
    uint64_t end_seq;
    struct checkpoint checkpoint;
    struct trace_writer *writer;
    struct trace_clock slice_clock; /* of the event before the slice */
};

/* ---- where ---- */

/* The number and clock of the event at a position; the end: the number of events. */
static enum err locate(struct cut *cut, const struct replay_position *position,
                       uint64_t base, uint64_t *ret_seq, struct trace_clock *ret_clock)
{
    struct trace_reader *reader;
    TRY(trace_reader_open(&cut->arena, cut->source, NULL, NULL, &reader));
    enum err err = replay_position_find(reader, position, base, ret_seq, ret_clock);
    trace_reader_close(reader);
    return err;
}

static enum err find_range(struct cut *cut)
{
    const struct replay_position *from = &cut->options->from;
    uint64_t seq;
    struct trace_clock clock;
    TRY(locate(cut, from, 0, &seq, &clock));
    bool by_icount = from->kind == REPLAY_AT_ICOUNT && from->value > clock.icount;
    uint64_t icount = by_icount ? from->value : clock.icount;
    struct replay_report ignored;
    struct follow f = {.source = cut->source, .report = &ignored};
    arena_init(&f.arena, EVENT_MEMORY);
    enum err err = replay_follow_find_stop(&f, icount, seq, &cut->stop);
    arena_fini(&f.arena);
    TRY(err);
    struct trace_clock ignored_clock;
    return locate(cut, &cut->options->to, icount, &cut->end_seq, &ignored_clock);
}

/* ---- the state there ---- */

static void say(struct cut *cut, const struct replay_report *report, const char *text)
{
    cut->report->class = report->class ? report->class : REPLAY_FAILED;
    (void)snprintf(cut->report->detail, sizeof cut->report->detail, "%s",
                   report->detail[0] ? report->detail : text);
}

static enum err take_state(struct cut *cut, struct follow *f)
{
    struct replay_result result;
    enum err err = replay_session_run(f->session, &result);
    const struct trace_record *next = trace_peek(f->trace);
    if (err || result.end != REPLAY_END_STOPPED || !next) {
        say(cut, f->report,
            err == ERR_trace_diverged ? "the trace diverges before that position"
            : err                     ? err_text(err)
                                      : "nothing is left at that position");
        return err ? err : ERR_trace_end;
    }
    cut->report->first_seq = next->seq;
    cut->report->from = result.clock;
    return replay_checkpoint_take(f->session, replay_session_state(f->session),
                                  &cut->checkpoint);
}

static enum err replay_to_start(struct cut *cut)
{
    struct replay_report report = {0};
    const struct replay_options options = {.interrupted = cut->options->interrupted};
    struct follow f = {.source = cut->source, .options = &options, .report = &report};
    enum err err = replay_follow_open(&f, &cut->stop.limit, true);
    if (err)
        say(cut, &report, err_text(err));
    else
        err = take_state(cut, &f);
    replay_follow_close(&f);
    return err;
}

/* ---- the events ---- */

static enum err copy_event(struct cut *cut, struct trace_reader *reader,
                           const struct trace_record *record)
{
    struct arena arena;
    const struct trace_kind *kind = trace_kind_of(record->kind->id);
    if (!kind)
        return ERR_trace_event;
    arena_init(&arena, EVENT_MEMORY);
    void *event = arena_alloc(&arena, kind->struct_size, 16);
    enum err err =
        event ? trace_decode(reader, record, (enum trace_id)kind->id, &arena, event)
              : ERR_nomem;
    if (!err)
        trace_writer_put(cut->writer, (enum trace_id)kind->id, &record->clock, event);
    arena_fini(&arena);
    return err ? err : trace_writer_error(cut->writer);
}

/* The events that set the guest up, up to pvm.start; then those up to the slice are
 * passed over. */
static enum err copy_setup(struct cut *cut, struct trace_reader *reader)
{
    bool started = false;
    for (;;) {
        struct trace_record record;
        bool end;
        TRY(trace_reader_next(reader, &record, &end));
        if (end)
            return ERR_trace_end;
        if (!started)
            TRY(copy_event(cut, reader, &record));
        started |= record.kind->id == TRACE_ID_pvm_start;
        cut->slice_clock = record.clock;
        if (started && record.seq + 1 >= cut->report->first_seq)
            return ERR_ok;
    }
}

static enum err copy_slice(struct cut *cut, struct trace_reader *reader)
{
    struct replay_cut_report *report = cut->report;
    report->to = report->from;
    while (report->first_seq + report->event_count < cut->end_seq) {
        struct trace_record record;
        bool end;
        TRY(trace_reader_next(reader, &record, &end));
        if (end)
            break;
        TRY(copy_event(cut, reader, &record));
        report->to = record.clock;
        report->event_count++;
    }
    return ERR_ok;
}

static void put_base(struct cut *cut)
{
    struct trace_base_part part[CHECKPOINT_PART_COUNT];
    replay_checkpoint_parts(&cut->checkpoint, part);
    trace_writer_base(cut->writer, cut->report->first_seq, &cut->slice_clock, part,
                      cut->checkpoint.part_count);
}

static enum err write_events(struct cut *cut)
{
    struct trace_reader *reader;
    TRY(trace_reader_open(&cut->arena, cut->source, NULL, NULL, &reader));
    enum err err = copy_setup(cut, reader);
    if (!err) {
        put_base(cut);
        err = copy_slice(cut, reader);
    }
    trace_reader_close(reader);
    return err;
}

static enum err write_file(struct cut *cut)
{
    const struct trace_writer_options options = {
        .guest = TRACE_GUEST_PVM,
        .zstd_level = cut->options->zstd_level,
        .parent = trace_hash_of(cut->report->parent),
        .parent_seq = cut->report->first_seq,
        .cut = true,
    };
    TRY(trace_writer_create(&cut->arena, cut->sink, &options, &cut->writer));
    enum err err = write_events(cut);
    enum err finished = trace_writer_finish(cut->writer, &cut->report->identity);
    return err ? err : finished;
}

void replay_cut(const struct trace_source *source, const struct trace_sink *sink,
                const struct replay_cut_options *options,
                struct replay_cut_report *ret_report)
{
    struct cut cut = {
        .source = source, .sink = sink, .options = options, .report = ret_report};
    *ret_report = (struct replay_cut_report){0};
    arena_init(&cut.arena, (size_t)1 << 30);
    enum err err = trace_identity(source, &ret_report->parent);
    if (err == ERR_trace_truncated) {
        ret_report->class = REPLAY_OPEN;
        (void)snprintf(ret_report->detail, sizeof ret_report->detail,
                       "the trace is not finished; recover it first");
    }
    if (!err && replay_kernel_is(source)) {
        err = ERR_unsupported;
        ret_report->class = REPLAY_FAILED;
        (void)snprintf(ret_report->detail, sizeof ret_report->detail,
                       "a trace of the capability kernel, which has no parts yet");
    }
    if (!err)
        err = find_range(&cut);
    if (!err)
        err = replay_to_start(&cut);
    if (!err)
        err = write_file(&cut);
    ret_report->err = err;
    if (err && !ret_report->detail[0]) {
        ret_report->class = REPLAY_FAILED;
        (void)snprintf(ret_report->detail, sizeof ret_report->detail, "%s",
                       err_text(err));
    }
    replay_checkpoint_fini(&cut.checkpoint);
    arena_fini(&cut.arena);
}
