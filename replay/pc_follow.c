/* SPDX-License-Identifier: MIT
 *
 * Replay of a pc trace.  Two readers walk over it: one delivers the events that are
 * compared, the other runs ahead and knows where the next input is.
 */
#include "replay/pc_follow.h"

#include "replay/pc_setup.h"
#include "replay/setup.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MEMORY_MAX ((size_t)8 << 30)

void replay_pc_follow_say(struct replay_pc_report *report, enum replay_class class,
                          const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report->class = class;
    (void)vsnprintf(report->detail, sizeof report->detail, format, args);
    va_end(args);
}

/* ---- the host of a replay: output and Ctrl-C ---- */

static void console_out(void *self, uint32_t dev, uint8_t byte)
{
    struct pc_follow *f = self;
    if (f->options->output)
        f->options->output(f->options->output_self, dev, bytes_of(&byte, 1));
}

static bool input_at(void *self, struct emu_place here, struct emu_place *ret_next,
                     struct emu_input *ret_input)
{
    struct pc_follow *f = self;
    (void)here;
    (void)ret_next;
    (void)ret_input;
    if (f->options->interrupted && f->options->interrupted()) {
        f->interrupted = true;
        emu_pc_stop(replay_pc_machine(f->session));
    }
    return false;
}

/* ---- open ---- */

static enum err open_reader(struct pc_follow *f, struct trace_reader **ret_reader)
{
    struct trace_fault fault = {0};
    enum err err = trace_reader_open(&f->arena, f->source, NULL, &fault, ret_reader);
    f->report->fault = fault;
    if (err)
        replay_pc_follow_say(f->report,
                             err == ERR_nomem ? REPLAY_FAILED : REPLAY_DAMAGED, "%s",
                             err_text(err));
    return err;
}

static enum err read_setup(struct pc_follow *f)
{
    struct replay_refusal refusal = {0};
    TRY(open_reader(f, &f->ahead));
    enum err err =
        replay_pc_setup_read(&f->arena, f->ahead, &f->setup, &f->next, &refusal);
    if (err == ERR_trace_event && refusal.text[0])
        replay_pc_follow_say(f->report, (enum replay_class)refusal.class, "%s",
                             refusal.text);
    else if (err == ERR_trace_end)
        replay_pc_follow_say(f->report, REPLAY_OPEN,
                             "the trace ends before the first instruction");
    else if (err)
        replay_pc_follow_say(f->report,
                             err == ERR_nomem ? REPLAY_FAILED : REPLAY_DAMAGED, "%s",
                             err_text(err));
    return err;
}

static enum err open_server(struct pc_follow *f)
{
    char detail[120] = "";
    if (!f->setup.has_fs)
        return ERR_ok;
    if (!f->setup.fs.derived && f->options->exec) {
        replay_pc_follow_say(
            f->report, REPLAY_OTHER_CONFIGURATION,
            "a tree was not in memory, so it cannot answer again: --mode=log");
        return ERR_unsupported;
    }
    if (!f->setup.fs.derived)
        return ERR_ok;
    enum err err =
        f->options->open(f->options->open_self, &f->setup.fs, &f->server, detail);
    if (err)
        replay_pc_follow_say(
            f->report, err == ERR_nomem ? REPLAY_FAILED : REPLAY_OTHER_CONFIGURATION,
            "%s", detail[0] ? detail : err_text(err));
    return err;
}

static enum err open_session(struct pc_follow *f)
{
    const struct trace_replay_options how = {.compare_all = f->options->exec};
    struct emu_boot_problem problem = {0};
    f->host =
        (struct emu_host){.self = f, .console_out = console_out, .input_at = input_at};
    if (f->options->cache_size)
        f->setup.config.cache_size = f->options->cache_size;
    TRY(open_reader(f, &f->reader));
    enum err err = trace_replay_create(&f->arena, f->reader, &how, &f->trace);
    if (!err && f->options->copy)
        err = trace_record_create(&f->arena, f->options->copy, true, &f->copy);
    const struct replay_pc_options options = {
        .host = &f->host,
        .trace = f->trace,
        .copy = f->copy,
        .ahead = f->ahead,
        .ahead_next = &f->next,
        .server = f->server,
        .trees = {f->options->open_self, f->options->save, f->options->load},
        .hashes = true,
        .checkpoints = f->options->checkpoints};
    if (!err)
        err = replay_pc_create(&f->arena, &f->setup, &options, &f->session, &problem);
    if (err == ERR_image)
        replay_pc_follow_say(f->report, REPLAY_DAMAGED, "%s %" PRIu64, problem.text,
                             problem.value);
    else if (err)
        replay_pc_follow_say(f->report,
                             err == ERR_nomem ? REPLAY_FAILED : REPLAY_DAMAGED, "%s",
                             err_text(err));
    return err;
}

/* ---- judge ---- */

static void tell_divergence(struct pc_follow *f)
{
    struct replay_pc_report *report = f->report;
    report->diverged = true;
    report->divergence = *trace_divergence(f->trace);
    struct trace_divergence *d = &report->divergence;
    const struct trace_kind *kind =
        d->recorded_name ? trace_kind_named(d->recorded_name) : NULL;
    d->recorded_name = kind ? kind->wire : "no event";
    kind = d->produced_name ? trace_kind_named(d->produced_name) : NULL;
    d->produced_name = kind ? kind->wire : NULL;
    replay_pc_follow_say(report, REPLAY_DIVERGED, "%s", "");
}

static void judge(struct pc_follow *f, enum err err)
{
    struct replay_pc_report *report = f->report;
    struct trace_record record;
    bool end = true;
    const struct trace_divergence *d = trace_divergence(f->trace);
    /* The rest of the trace: nothing, or what is wrong with it. */
    bool over = !err || err == ERR_trace_end;
    if (over && trace_reader_next(f->reader, &record, &end) == ERR_ok && !end)
        err = ERR_trace_event;
    bool closed = trace_reader_state(f->reader) == TRACE_READER_CLOSED;
    report->err = err;
    report->event_count = trace_seq(f->trace) - f->gap_size;
    report->identity = trace_reader_chain(f->reader);
    if (f->interrupted)
        replay_pc_follow_say(report, REPLAY_FAILED, "%s",
                             err_text(report->err = ERR_interrupted));
    else if (err == ERR_trace_diverged && d && !d->recorded_name)
        replay_pc_follow_say(report, REPLAY_OPEN, "%s",
                             closed ? "the trace was cut off here"
                                    : "its recording is not finished");
    else if (err == ERR_trace_diverged)
        tell_divergence(f);
    else if (err == ERR_nomem)
        replay_pc_follow_say(report, REPLAY_FAILED, "%s", err_text(err));
    else if (err && err != ERR_trace_end) {
        report->fault = trace_reader_fault(f->reader);
        replay_pc_follow_say(report, REPLAY_DAMAGED, "%s", err_text(err));
    } else {
        report->err = ERR_ok;
        report->finished = closed;
        report->class = closed ? REPLAY_SAME : REPLAY_OPEN;
    }
}

/* ---- where ---- */

enum err replay_pc_find_place(const struct trace_source *source,
                              const struct replay_position *position,
                              struct emu_place *ret_place, bool *ret_end)
{
    const struct replay_position last = {.kind = REPLAY_AT_END};
    struct arena arena;
    struct trace_reader *reader;
    uint64_t seq = 0;
    struct trace_clock clock = {0}, end = {0};
    if (position->kind == REPLAY_AT_GAS)
        return ERR_usage;
    arena_init(&arena, MEMORY_MAX);
    enum err err = trace_reader_open(&arena, source, NULL, NULL, &reader);
    if (!err) {
        err = replay_position_find(reader, &last, 0, &seq, &end);
        if (!err && position->kind == REPLAY_AT_EVENT)
            err = trace_reader_seek_seq(reader, 0);
        if (!err && position->kind == REPLAY_AT_EVENT)
            err = replay_position_find(reader, position, 0, &seq, &clock);
        trace_reader_close(reader);
    }
    arena_fini(&arena);
    TRY(err);
    *ret_place = (struct emu_place){clock.icount, clock.sub};
    if (position->kind == REPLAY_AT_ICOUNT || position->kind == REPLAY_AT_FORWARD)
        *ret_place = (struct emu_place){position->value, position->sub};
    if (position->kind == REPLAY_AT_PERCENT)
        ret_place->icount = end.icount / 100 * position->value +
                            end.icount % 100 * position->value / 100;
    *ret_end = position->kind == REPLAY_AT_END ||
               emu_place_before((struct emu_place){end.icount, end.sub}, *ret_place);
    return ERR_ok;
}

/* A part of a trace: go on from the checkpoint behind the setup. */
static enum err cross_gap(struct pc_follow *f)
{
    uint64_t seq;
    if (!trace_gap(f->trace, &seq))
        return ERR_ok;
    if (f->copy) {
        replay_pc_follow_say(f->report, REPLAY_FAILED,
                             "a part of a trace cannot be recorded again");
        return ERR_unsupported;
    }
    f->gap_size += seq - trace_seq(f->trace);
    trace_resume(f->trace);
    enum err err = replay_pc_checkpoint_restore(f->session, f->source, seq);
    if (err)
        replay_pc_follow_say(f->report,
                             err == ERR_nomem ? REPLAY_FAILED : REPLAY_DAMAGED,
                             "its checkpoint: %s", err_text(err));
    return err;
}

/* What is left of a ring: go on behind the last gap, which is why it was recorded that
 * way.  *ret_seq 0: nothing is missing. */
static enum err find_ring(struct pc_follow *f, uint64_t *ret_seq)
{
    struct trace_reader *reader;
    struct trace_record record;
    uint64_t next = 0;
    bool end = false;
    *ret_seq = 0;
    if (!(trace_reader_header(f->reader)->flags & TRACE_HEADER_RING))
        return ERR_ok;
    TRY(trace_reader_open(&f->arena, f->source, NULL, NULL, &reader));
    while (!trace_reader_next(reader, &record, &end) && !end) {
        if (record.seq != next)
            *ret_seq = record.seq;
        next = record.seq + 1;
    }
    trace_reader_close(reader);
    return ERR_ok;
}

static enum err cross_ring(struct pc_follow *f)
{
    uint64_t seq;
    TRY(find_ring(f, &seq));
    if (!seq)
        return ERR_ok;
    if (f->copy) {
        replay_pc_follow_say(f->report, REPLAY_FAILED,
                             "what is left of a ring cannot be recorded again");
        return ERR_unsupported;
    }
    f->gap_size += seq - trace_seq(f->trace);
    enum err err = trace_skip(f->trace, seq);
    if (!err)
        err = replay_pc_checkpoint_restore(f->session, f->source, seq);
    if (err)
        replay_pc_follow_say(f->report,
                             err == ERR_nomem ? REPLAY_FAILED : REPLAY_DAMAGED,
                             "its checkpoint: %s", err_text(err));
    return err;
}

/* Begin with the last checkpoint in front of a place, if there is one. */
static enum err start_late(struct pc_follow *f, struct emu_place place)
{
    struct trace_checkpoint_list list;
    uint64_t seq = trace_seq(f->trace);
    if (f->copy || f->options->checkpoints.every || !place.icount ||
        trace_checkpoint_list(&f->arena, f->source, &list))
        return ERR_ok; /* what is wrong with the file, the replay will say */
    size_t index = trace_checkpoint_find(&list, place.icount - 1);
    if (index == SIZE_MAX)
        return ERR_ok;
    enum err err = trace_skip(f->trace, list.ref[index].seq);
    if (!err)
        err = replay_pc_checkpoint_start(f->session, f->source, &list, index);
    f->gap_size += list.ref[index].seq - seq;
    if (err)
        replay_pc_follow_say(f->report,
                             err == ERR_nomem ? REPLAY_FAILED : REPLAY_DAMAGED,
                             "its checkpoint: %s", err_text(err));
    return err;
}

static enum err set_stop(struct pc_follow *f)
{
    const struct emu_place first = emu_pc_place(replay_pc_machine(f->session));
    struct emu_place place;
    bool end;
    if (f->options->to.kind == REPLAY_AT_END)
        return ERR_ok;
    enum err err = replay_pc_find_place(f->source, &f->options->to, &place, &end);
    if (err == ERR_usage)
        replay_pc_follow_say(f->report, REPLAY_FAILED, "a pc has no gas clock");
    else if (err)
        replay_pc_follow_say(f->report, REPLAY_DAMAGED, "%s", err_text(err));
    else if (!end && place.icount && emu_place_before(place, first)) {
        replay_pc_follow_say(f->report, REPLAY_FAILED,
                             "what the trace holds begins at icount %" PRIu64,
                             first.icount);
        return ERR_not_found;
    } else if (!end) {
        replay_pc_stop_at(f->session, place);
        return start_late(f, place);
    }
    return err;
}

/* ---- the run ---- */

static void tell_machine(struct pc_follow *f)
{
    struct replay_pc_report *report = f->report;
    const struct emu_cpu *cpu = replay_pc_machine(f->session)->cpu;
    report->place = emu_pc_place(replay_pc_machine(f->session));
    report->eip = cpu->eip;
    report->eflags = cpu->eflags;
    memcpy(report->reg, cpu->reg, sizeof report->reg);
    for (unsigned i = 0; i < EMU_SEGMENT_COUNT; i++)
        report->selector[i] = cpu->segment[i].selector;
    report->cr[0] = cpu->cr0;
    report->cr[1] = cpu->cr2;
    report->cr[2] = cpu->cr3;
    report->cr[3] = cpu->cr4;
    report->halted = cpu->halted;
}

void replay_pc_follow_run(struct pc_follow *f)
{
    struct replay_pc_report *report = f->report;
    uint64_t limit = f->options->insns_max ? f->options->insns_max : UINT64_MAX;
    enum emu_pc_status status = replay_pc_run(f->session, limit);
    enum err err = replay_pc_error(f->session);
    if (!err && status == EMU_PC_LIMIT) {
        report->err = ERR_limit;
        replay_pc_follow_say(report, REPLAY_FAILED,
                             "more than %" PRIu64 " instructions", limit);
        return;
    }
    tell_machine(f);
    report->event_count = trace_seq(f->trace) - f->gap_size;
    if (!err && !f->interrupted && replay_pc_stopped_there(f->session)) {
        report->class = REPLAY_STOPPED;
        return;
    }
    if (!err && !f->interrupted)
        err = replay_pc_end(f->session, status);
    report->code = replay_pc_code(f->session, status);
    judge(f, err);
}

enum err replay_pc_follow_open(struct pc_follow *f)
{
    arena_init(&f->arena, MEMORY_MAX);
    TRY(read_setup(f));
    TRY(open_server(f));
    TRY(open_session(f));
    TRY(cross_ring(f));
    TRY(cross_gap(f));
    return set_stop(f);
}

void replay_pc_follow_close(struct pc_follow *f)
{
    replay_pc_close(f->session);
    trace_close(f->copy);
    trace_close(f->trace);
    trace_reader_close(f->reader);
    trace_reader_close(f->ahead);
    arena_fini(&f->arena);
}

void replay_pc_trace(const struct trace_source *source,
                     const struct replay_pc_follow_options *options,
                     struct replay_pc_report *ret_report)
{
    struct pc_follow f = {.source = source, .options = options, .report = ret_report};
    *ret_report = (struct replay_pc_report){0};
    enum err err = replay_pc_follow_open(&f);
    ret_report->err = err;
    if (!err)
        replay_pc_follow_run(&f);
    replay_pc_follow_close(&f);
}

bool replay_pc_is_session(const struct trace_source *source)
{
    return replay_setup_has_key(source, TRACE_GUEST_PC, "pc.model");
}
