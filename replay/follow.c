/* SPDX-License-Identifier: MIT
 *
 * Replay a trace file: set up from its first events, run, and say how it went.
 */
#include "replay/follow.h"
#include "replay/kernel.h"
#include "replay/session.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MEMORY_DEFAULT ((size_t)1 << 30)
#define EVENT_MEMORY ((size_t)96 << 20) /* a program's code, data and arguments */

const char *replay_class_name(enum replay_class class)
{
    static const char *const name[] = {
        [REPLAY_SAME] = "same",
        [REPLAY_STOPPED] = "stopped",
        [REPLAY_OPEN] = "open",
        [REPLAY_DIVERGED] = "diverged",
        [REPLAY_DAMAGED] = "damaged",
        [REPLAY_OTHER_PROGRAM] = "other program",
        [REPLAY_OTHER_CONFIGURATION] = "other configuration",
        [REPLAY_OTHER_VERSION] = "other version",
        [REPLAY_FAILED] = "failed",
    };
    return name[class];
}

/* ---- words for an end that is not "same" ---- */

__attribute__((format(printf, 3, 4))) void
replay_follow_say(struct replay_report *report, enum replay_class class,
                  const char *format, ...)
{
    va_list list;
    va_start(list, format);
    report->class = class;
    (void)vsnprintf(report->detail, sizeof report->detail, format, list);
    va_end(list);
}

static bool is_damage(enum err err)
{
    switch ((unsigned)err) {
    case ERR_trace_magic:
    case ERR_trace_truncated:
    case ERR_trace_crc:
    case ERR_trace_chain:
    case ERR_trace_chunk:
    case ERR_trace_codec:
    case ERR_trace_canonical:
    case ERR_trace_schema:
    case ERR_trace_event:
    case ERR_trace_blob:
    case ERR_trace_sequence:
        return true;
    default:
        return false;
    }
}

/* An error of reading the trace, or of what it describes. */
void replay_follow_say_error(struct follow *f, enum err err)
{
    struct replay_report *report = f->report;
    struct trace_fault fault = trace_reader_fault(f->reader);
    if (err == ERR_trace_event && !fault.err) {
        replay_follow_say(report, REPLAY_DAMAGED,
                          "event %" PRIu64 " does not belong here",
                          report->event_count);
    } else if (is_damage(err)) {
        report->fault = fault;
        replay_follow_say(report, REPLAY_DAMAGED, "%s, at offset %" PRIu64,
                          err_text(err), fault.chunk_offset);
    } else {
        replay_follow_say(report, REPLAY_FAILED, "%s", err_text(err));
    }
}

static void say_not_open(struct follow *f, enum err err,
                         const struct trace_fault *fault)
{
    uint16_t major = 0, minor = 0;
    if (err == ERR_trace_version && !trace_file_version(f->source, &major, &minor)) {
        replay_follow_say(f->report, REPLAY_OTHER_VERSION,
                          "trace format %u.%u, this version reads %u.x", major, minor,
                          (unsigned)TRACE_MAJOR);
        return;
    }
    f->report->fault = *fault;
    if (err == ERR_trace_magic)
        replay_follow_say(f->report, REPLAY_DAMAGED, "%s", err_text(err));
    else if (is_damage(err))
        replay_follow_say(f->report, REPLAY_DAMAGED, "%s, at offset %" PRIu64,
                          err_text(err), fault->chunk_offset);
    else
        replay_follow_say(f->report, REPLAY_FAILED, "%s", err_text(err));
}

/* ---- open ---- */

enum err replay_follow_open_reader(struct follow *f, struct trace_reader **ret_reader)
{
    struct trace_fault fault = {0};
    enum err err = trace_reader_open(&f->arena, f->source, NULL, &fault, ret_reader);
    if (err)
        say_not_open(f, err, &fault);
    return err;
}

/* With a reader of its own: the session wants to see these events too. */
static enum err read_setup(struct follow *f)
{
    struct replay_refusal refusal = {0};
    const struct trace_header *header = trace_reader_header(f->reader);
    if (header->guest != TRACE_GUEST_PVM) {
        replay_follow_say(f->report, REPLAY_OTHER_VERSION,
                          "a trace of guest %s, not pvm",
                          trace_guest_name(header->guest));
        return ERR_unsupported;
    }
    enum err err = replay_setup_read(&f->arena, f->reader, &f->setup, &refusal);
    if (err == ERR_trace_event && refusal.text[0])
        replay_follow_say(f->report, (enum replay_class)refusal.class, "%s",
                          refusal.text);
    else if (err == ERR_trace_end)
        replay_follow_say(f->report, REPLAY_OPEN,
                          "the trace ends before the first instruction");
    else if (err)
        replay_follow_say_error(f, err);
    return err;
}

enum err replay_follow_check_copy(struct follow *f)
{
    bool part =
        trace_reader_header(f->reader)->flags & (TRACE_HEADER_CUT | TRACE_HEADER_RING);
    if (!part || !f->options->copy)
        return ERR_ok;
    replay_follow_say(f->report, REPLAY_FAILED,
                      "a part of a trace cannot be recorded again");
    return ERR_unsupported;
}

/* The last checkpoint in front of the limit, if there is one. */
static void choose_start(struct follow *f, const struct replay_limit *limit,
                         struct replay_session_options *options)
{
    struct trace_checkpoint_list *list = &f->stored;
    size_t index = SIZE_MAX;
    if (f->options->from_start || f->copy ||
        trace_checkpoint_list(&f->arena, f->source, list))
        return; /* what is wrong with the file, the replay will say */
    for (size_t i = 0; i < list->count; i++) {
        if (list->ref[i].clock.gas < limit->gas && list->ref[i].seq < limit->seq)
            index = i;
    }
    if (index == SIZE_MAX)
        return;
    options->start = list;
    options->start_index = index;
    f->report->started_late = true;
    f->report->start_icount = list->ref[index].clock.icount;
}

static enum err open_session(struct follow *f, const struct replay_limit *limit,
                             bool quiet)
{
    const struct replay_options *o = f->options;
    struct replay_session_options options = {
        .trace = f->trace,
        .copy = f->copy,
        .source = f->source,
        .checkpoints = f->checkpoints,
        .limit = *limit,
        .engine = o->engine,
        .dispatch = o->dispatch,
        .interrupted = o->interrupted,
        .output = quiet ? NULL : o->output,
        .output_self = o->output_self,
    };
    if (o->gas_max && o->gas_max < limit->gas)
        options.limit.gas = o->gas_max;
    if (!quiet && o->to.kind != REPLAY_AT_END)
        choose_start(f, limit, &options);
    enum err err = replay_session_create(&f->arena, &f->setup, &options, &f->session);
    if (err == ERR_nomem)
        replay_follow_say(f->report, REPLAY_FAILED, "%s", err_text(err));
    else if (err)
        replay_follow_say(f->report, REPLAY_DAMAGED, "pvm.start: %s", err_text(err));
    return err;
}

enum err replay_follow_open(struct follow *f, const struct replay_limit *limit,
                            bool quiet)
{
    const struct trace_replay_options options = {.memory_max = EVENT_MEMORY};
    size_t memory_max = f->options->memory_max;
    arena_init(&f->arena, memory_max ? memory_max : MEMORY_DEFAULT);
    TRY(replay_follow_open_reader(f, &f->reader));
    TRY(read_setup(f));
    if (!quiet)
        TRY(replay_follow_check_copy(f));
    trace_reader_close(f->reader);
    f->reader = NULL;
    TRY(replay_follow_open_reader(f, &f->reader));
    enum err err = trace_replay_create(&f->arena, f->reader, &options, &f->trace);
    if (!err && f->options->copy && !quiet)
        err = trace_record_create(&f->arena, f->options->copy, true, &f->copy);
    if (err) {
        replay_follow_say_error(f, err);
        return err;
    }
    return open_session(f, limit, quiet);
}

void replay_follow_close(struct follow *f)
{
    replay_session_close(f->session);
    trace_close(f->trace);
    trace_close(f->copy);
    trace_reader_close(f->reader);
    arena_fini(&f->arena);
    f->session = NULL;
    f->trace = f->copy = NULL;
    f->reader = NULL;
}

/* ---- where to stop ---- */

/* Behind this record, can a session stop?  At a block entry, whose gas clock finds it
 * again, or behind an ecall. */
static void note_boundary(const struct trace_record *record, uint64_t icount,
                          struct follow_stop *stop)
{
    if (record->kind->id == TRACE_ID_pvm_ecall && record->clock.icount < icount)
        stop->limit = (struct replay_limit){UINT64_MAX, record->seq + 1};
    if (replay_session_segment_end(record) == PVM_SEGMENT_SPLIT_BLOCK)
        stop->limit = (struct replay_limit){record->clock.gas, UINT64_MAX};
}

enum err replay_follow_find_stop(struct follow *f, uint64_t icount, uint64_t seq_max,
                                 struct follow_stop *ret_stop)
{
    struct follow_stop stop = {.limit = {0, UINT64_MAX}, .icount = icount};
    uint64_t next_seq = 0;
    struct trace_reader *reader;
    TRY(replay_follow_open_reader(f, &reader));
    enum err err = ERR_ok;
    for (;;) {
        struct trace_record record;
        bool end;
        err = trace_reader_next(reader, &record, &end);
        if (err || end || record.clock.icount > icount || record.seq >= seq_max)
            break;
        if (record.seq != next_seq) /* behind a gap: from its checkpoint */
            stop.limit = (struct replay_limit){UINT64_MAX, record.seq};
        next_seq = record.seq + 1;
        note_boundary(&record, icount, &stop);
    }
    trace_reader_close(reader);
    if (!err)
        *ret_stop = stop;
    return err;
}

/* The stop that options->to asks for. */
static enum err find_position(struct follow *f, struct follow_stop *ret_stop)
{
    const struct replay_position *to = &f->options->to;
    struct follow_stop stop = {REPLAY_NO_LIMIT, UINT64_MAX};
    struct trace_reader *reader;
    uint64_t seq;
    struct trace_clock clock;
    if (to->sub) {
        replay_follow_say(f->report, REPLAY_FAILED,
                          "only a pc has places inside an instruction");
        return ERR_usage;
    }
    if (to->kind == REPLAY_AT_GAS)
        stop.limit.gas = to->value;
    if (to->kind == REPLAY_AT_END || to->kind == REPLAY_AT_GAS) {
        *ret_stop = stop;
        return ERR_ok;
    }
    TRY(replay_follow_open_reader(f, &reader));
    enum err err = replay_position_find(reader, to, 0, &seq, &clock);
    bool behind_end = trace_reader_state(reader) != TRACE_READER_MORE;
    trace_reader_close(reader);
    if (err || behind_end) { /* all of it */
        *ret_stop = stop;
        return err;
    }
    uint64_t icount = to->kind == REPLAY_AT_ICOUNT || to->kind == REPLAY_AT_FORWARD
                          ? to->value
                          : clock.icount;
    return replay_follow_find_stop(f, icount, UINT64_MAX, ret_stop);
}

/* ---- the run ---- */

static void step_to(struct follow *f, uint64_t icount)
{
    struct pvm_outcome outcome;
    const struct pvm_state *state = replay_session_state(f->session);
    while (state->icount < icount && replay_session_step(f->session, &outcome))
        ;
}

/* The recording was stopped in the middle of an ecall: its last event is still there,
 * and the copy gets it too. */
enum err replay_follow_copy_end(struct follow *f)
{
    const struct trace_record *next = trace_peek(f->trace);
    struct trace_session_end end;
    if (!next || next->kind->id != TRACE_ID_session_end)
        return ERR_trace_end;
    struct trace_clock clock = next->clock;
    TRY(trace_peek_decode(f->trace, TRACE_ID_session_end, &end));
    f->report->result.reason = end.reason;
    f->report->event_count++;
    if (f->copy) {
        f->copy->clock = clock;
        TRY(trace_session_end(f->copy, &end));
    }
    struct trace_record record;
    bool is_end;
    TRY(trace_reader_next(f->reader, &record, &is_end));
    return is_end ? ERR_ok : ERR_trace_event;
}

/* The trace's names die with its reader. */
static const char *static_name(const char *name)
{
    const struct trace_kind *kind = name ? trace_kind_named(name) : NULL;
    return kind ? kind->wire : name ? "unknown" : NULL;
}

void replay_follow_diverged(struct follow *f, const struct trace_divergence *own)
{
    const struct trace_divergence *divergence = trace_divergence(f->trace);
    f->report->class = REPLAY_DIVERGED;
    f->report->diverged = true;
    f->report->divergence = divergence ? *divergence : *own;
    f->report->divergence.recorded_name =
        static_name(f->report->divergence.recorded_name);
    f->report->divergence.produced_name =
        static_name(f->report->divergence.produced_name);
    f->report->event_count = f->report->divergence.seq - f->report->result.gap_size;
}

static void judge(struct follow *f, enum err err)
{
    struct replay_report *report = f->report;
    if (!err && report->result.end == REPLAY_END_TRACE)
        err = replay_follow_copy_end(f);
    if (err == ERR_trace_diverged && trace_divergence(f->trace) &&
        !trace_divergence(f->trace)->recorded_name)
        err = ERR_trace_end; /* a recovered file: closed, but cut off */
    bool closed = trace_reader_state(f->reader) == TRACE_READER_CLOSED;
    report->err = err;
    report->identity = trace_reader_chain(f->reader);
    if (err == ERR_trace_diverged) {
        replay_follow_diverged(f, &f->session->overrun);
    } else if (err == ERR_trace_end) {
        replay_follow_say(report, REPLAY_OPEN, "%s",
                          closed ? "the trace was cut off here"
                                 : "its recording is not finished");
    } else if (err) {
        replay_follow_say_error(f, err);
    } else if (report->result.end == REPLAY_END_USER) {
        report->err = ERR_interrupted;
        replay_follow_say(report, REPLAY_FAILED, "%s", err_text(ERR_interrupted));
    } else if (report->result.end == REPLAY_END_STOPPED && f->session->muted) {
        report->class = REPLAY_STOPPED;
        if (f->options->gas_max && report->result.clock.gas >= f->options->gas_max) {
            report->err = ERR_limit;
            replay_follow_say(report, REPLAY_FAILED,
                              "gas limit of this replay reached");
        }
    } else {
        report->finished = closed;
        report->class = closed ? REPLAY_SAME : REPLAY_OPEN;
    }
}

static void run(struct follow *f, const struct follow_stop *stop)
{
    struct replay_report *report = f->report;
    enum err err = replay_session_run(f->session, &report->result);
    report->event_count = trace_seq(f->trace) - report->result.gap_size;
    if (!err && report->result.end == REPLAY_END_STOPPED && stop->icount != UINT64_MAX)
        step_to(f, stop->icount);
    report->state = *replay_session_state(f->session);
    report->state.mem = NULL;
    judge(f, err);
}

void replay_follow_run(struct follow *f)
{
    const struct follow_stop stop = {REPLAY_NO_LIMIT, UINT64_MAX};
    run(f, &stop);
}

/* One replay up to `stop`. */
static void replay(struct follow *f, const struct follow_stop *stop)
{
    struct replay_report *report = f->report;
    enum err err = replay_follow_open(f, &stop->limit, false);
    if (err)
        report->err = err;
    else
        run(f, stop);
    if (report->class == REPLAY_DIVERGED && f->options->locate && !report->started_late)
        replay_follow_locate(f);
    replay_follow_close(f);
}

void replay_trace(const struct trace_source *source,
                  const struct replay_options *options,
                  struct replay_report *ret_report)
{
    struct follow f = {.source = source, .options = options, .report = ret_report};
    struct follow_stop stop = {REPLAY_NO_LIMIT, UINT64_MAX};
    *ret_report = (struct replay_report){0};
    if (replay_kernel_is(source)) {
        replay_follow_kernel(&f);
        return;
    }
    enum err err = ERR_ok;
    if (options->to.kind != REPLAY_AT_END) {
        arena_init(&f.arena, MEMORY_DEFAULT);
        err = find_position(&f, &stop);
        arena_fini(&f.arena);
        if (err && !ret_report->class)
            replay_follow_say(ret_report, REPLAY_DAMAGED, "%s", err_text(err));
    }
    if (err) {
        ret_report->err = err;
        return;
    }
    replay(&f, &stop);
    /* What a checkpoint leads to is no evidence against the events. */
    if (ret_report->started_late && ret_report->class != REPLAY_STOPPED &&
        ret_report->class != REPLAY_OPEN && ret_report->err != ERR_interrupted) {
        struct replay_options again = *options;
        again.from_start = true;
        *ret_report = (struct replay_report){0};
        f.options = &again;
        replay(&f, &stop);
    }
}
