/* SPDX-License-Identifier: MIT
 *
 * Replay of a pc trace.  Two readers walk over it: one delivers the events that are
 * compared, the other runs ahead and knows where the next input is.
 */
#include "replay/pc.h"

#include "replay/pc_setup.h"
#include "replay/setup.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MEMORY_MAX ((size_t)8 << 30)

struct follow {
    const struct trace_source *source;
    const struct replay_pc_follow_options *options;
    struct replay_pc_report *report;
    struct arena arena;
    struct trace_reader *ahead, *reader;
    struct trace *trace, *copy;
    struct trace_record next;
    struct replay_pc_setup setup;
    struct v86fs_server *server;
    struct replay_pc *session;
    struct emu_host host;
    bool interrupted;
};

__attribute__((format(printf, 3, 4))) static void
say(struct replay_pc_report *report, enum replay_class class, const char *format, ...)
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
    struct follow *f = self;
    if (f->options->output)
        f->options->output(f->options->output_self, dev, bytes_of(&byte, 1));
}

static bool input_at(void *self, struct emu_place here, struct emu_place *ret_next,
                     struct emu_input *ret_input)
{
    struct follow *f = self;
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

static enum err open_reader(struct follow *f, struct trace_reader **ret_reader)
{
    struct trace_fault fault = {0};
    enum err err = trace_reader_open(&f->arena, f->source, NULL, &fault, ret_reader);
    f->report->fault = fault;
    if (err)
        say(f->report, err == ERR_nomem ? REPLAY_FAILED : REPLAY_DAMAGED, "%s",
            err_text(err));
    return err;
}

static enum err read_setup(struct follow *f)
{
    struct replay_refusal refusal = {0};
    TRY(open_reader(f, &f->ahead));
    enum err err =
        replay_pc_setup_read(&f->arena, f->ahead, &f->setup, &f->next, &refusal);
    if (err == ERR_trace_event && refusal.text[0])
        say(f->report, (enum replay_class)refusal.class, "%s", refusal.text);
    else if (err == ERR_trace_end)
        say(f->report, REPLAY_OPEN, "the trace ends before the first instruction");
    else if (err)
        say(f->report, err == ERR_nomem ? REPLAY_FAILED : REPLAY_DAMAGED, "%s",
            err_text(err));
    return err;
}

static enum err open_server(struct follow *f)
{
    char detail[120] = "";
    if (!f->setup.has_fs)
        return ERR_ok;
    if (!f->setup.fs.derived && f->options->exec) {
        say(f->report, REPLAY_OTHER_CONFIGURATION,
            "a tree was not in memory, so it cannot answer again: --mode=log");
        return ERR_unsupported;
    }
    if (!f->setup.fs.derived)
        return ERR_ok;
    enum err err =
        f->options->open(f->options->open_self, &f->setup.fs, &f->server, detail);
    if (err)
        say(f->report, err == ERR_nomem ? REPLAY_FAILED : REPLAY_OTHER_CONFIGURATION,
            "%s", detail[0] ? detail : err_text(err));
    return err;
}

static enum err open_session(struct follow *f)
{
    const struct trace_replay_options how = {.compare_all = f->options->exec};
    struct emu_boot_problem problem = {0};
    f->host =
        (struct emu_host){.self = f, .console_out = console_out, .input_at = input_at};
    TRY(open_reader(f, &f->reader));
    enum err err = trace_replay_create(&f->arena, f->reader, &how, &f->trace);
    if (!err && f->options->copy)
        err = trace_record_create(&f->arena, f->options->copy, true, &f->copy);
    const struct replay_pc_options options = {.host = &f->host,
                                              .trace = f->trace,
                                              .copy = f->copy,
                                              .ahead = f->ahead,
                                              .ahead_next = &f->next,
                                              .server = f->server,
                                              .hashes = true};
    if (!err)
        err = replay_pc_create(&f->arena, &f->setup, &options, &f->session, &problem);
    if (err == ERR_image)
        say(f->report, REPLAY_DAMAGED, "%s %" PRIu64, problem.text, problem.value);
    else if (err)
        say(f->report, err == ERR_nomem ? REPLAY_FAILED : REPLAY_DAMAGED, "%s",
            err_text(err));
    return err;
}

/* ---- judge ---- */

static void tell_divergence(struct follow *f)
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
    say(report, REPLAY_DIVERGED, "%s", "");
}

static void judge(struct follow *f, enum err err)
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
    report->event_count = trace_seq(f->trace);
    report->identity = trace_reader_chain(f->reader);
    if (f->interrupted)
        say(report, REPLAY_FAILED, "%s", err_text(report->err = ERR_interrupted));
    else if (err == ERR_trace_diverged && d && !d->recorded_name && !closed)
        say(report, REPLAY_OPEN, "its recording is not finished");
    else if (err == ERR_trace_diverged)
        tell_divergence(f);
    else if (err == ERR_nomem)
        say(report, REPLAY_FAILED, "%s", err_text(err));
    else if (err && err != ERR_trace_end) {
        report->fault = trace_reader_fault(f->reader);
        say(report, REPLAY_DAMAGED, "%s", err_text(err));
    } else {
        report->err = ERR_ok;
        report->finished = closed;
        report->class = closed ? REPLAY_SAME : REPLAY_OPEN;
    }
}

static void run(struct follow *f)
{
    uint64_t limit = f->options->insns_max ? f->options->insns_max : UINT64_MAX;
    enum emu_pc_status status = replay_pc_run(f->session, limit);
    enum err err = replay_pc_error(f->session);
    if (!err && status == EMU_PC_LIMIT) {
        f->report->err = ERR_limit;
        say(f->report, REPLAY_FAILED, "more than %" PRIu64 " instructions", limit);
        return;
    }
    if (!err && !f->interrupted)
        err = replay_pc_end(f->session, status);
    f->report->place = emu_pc_place(replay_pc_machine(f->session));
    f->report->eip = replay_pc_machine(f->session)->cpu->eip;
    f->report->code = replay_pc_code(f->session, status);
    judge(f, err);
}

void replay_pc_trace(const struct trace_source *source,
                     const struct replay_pc_follow_options *options,
                     struct replay_pc_report *ret_report)
{
    struct follow f = {.source = source, .options = options, .report = ret_report};
    *ret_report = (struct replay_pc_report){0};
    arena_init(&f.arena, MEMORY_MAX);
    enum err err = read_setup(&f);
    if (!err)
        err = open_server(&f);
    if (!err)
        err = open_session(&f);
    ret_report->err = err;
    if (!err)
        run(&f);
    replay_pc_close(f.session);
    trace_close(f.copy);
    trace_close(f.trace);
    trace_reader_close(f.reader);
    trace_reader_close(f.ahead);
    arena_fini(&f.arena);
}

bool replay_pc_is_session(const struct trace_source *source)
{
    return replay_setup_has_key(source, TRACE_GUEST_PC, "pc.model");
}
