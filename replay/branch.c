/* SPDX-License-Identifier: MIT
 *
 * Branches of PVM programs.  The state at the branch goes into a trace in memory first,
 * from where the live session takes it as a replay of a cut trace would.
 */
#include "replay/branch.h"

#include "replay/slice.h"

#include <stdio.h>

#define PREFIX_SIZE_MAX ((size_t)8 << 30)

struct branch {
    const struct trace_source *source;
    const struct trace_sink *sink;
    const struct replay_branch_options *options;
    struct replay_branch_report *report;
    struct arena arena;
    struct slice slice;
    struct replay_setup setup;
    struct trace_memory prefix; /* setup and state */
    struct trace_writer *writer;
    struct trace *trace;
    struct replay_session *session;
};

static void say(struct branch *b, enum replay_class class, const char *text)
{
    struct replay_branch_report *report = b->report;
    if (report->detail[0])
        return;
    report->class = class ? class : REPLAY_FAILED;
    (void)snprintf(report->detail, sizeof report->detail, "%s", text);
}

static enum err open_parent(struct branch *b)
{
    enum err err = trace_identity(b->source, &b->report->parent);
    if (err == ERR_trace_truncated)
        say(b, REPLAY_OPEN, "the trace is not finished; recover it first");
    TRY(err);
    err = replay_slice_take(&b->slice, &b->options->at);
    if (err)
        say(b, b->slice.class, b->slice.detail);
    b->report->parent_seq = b->slice.first_seq;
    b->report->from = b->slice.from;
    return err;
}

static enum err read_setup(struct branch *b)
{
    struct trace_reader *reader;
    struct replay_refusal refusal = {0};
    TRY(trace_reader_open(&b->arena, b->source, NULL, NULL, &reader));
    enum err err = replay_setup_read(&b->arena, reader, &b->setup, &refusal);
    trace_reader_close(reader);
    if (refusal.text[0])
        say(b, (enum replay_class)refusal.class, refusal.text);
    return err;
}

/* Write what comes before the child's own events. */
static enum err put_start(struct branch *b, struct trace_writer *writer)
{
    struct trace_reader *reader;
    TRY(trace_reader_open(&b->arena, b->source, NULL, NULL, &reader));
    enum err err = replay_slice_put_setup(&b->slice, reader, writer);
    trace_reader_close(reader);
    if (!err)
        replay_slice_put_base(&b->slice, writer);
    return err ? err : trace_writer_error(writer);
}

static struct trace_writer_options writer_options(const struct branch *b)
{
    return (struct trace_writer_options){
        .guest = TRACE_GUEST_PVM,
        .zstd_level = b->options->zstd_level,
        .sync = b->options->sync,
        .parent = trace_hash_of(b->report->parent),
        .parent_seq = b->slice.first_seq,
        .cut = true,
    };
}

static enum err put_prefix(struct branch *b)
{
    struct trace_writer_options options = writer_options(b);
    struct trace_sink sink = trace_memory_sink(&b->prefix);
    struct trace_writer *writer;
    options.zstd_level = 0;
    options.sync = TRACE_SYNC_NONE;
    TRY(trace_writer_create(&b->arena, &sink, &options, &writer));
    enum err err = put_start(b, writer);
    enum err finished = trace_writer_finish(writer, NULL);
    return err ? err : finished;
}

static enum err create_child(struct branch *b)
{
    const struct trace_writer_options options = writer_options(b);
    TRY(trace_writer_create(&b->arena, b->sink, &options, &b->writer));
    TRY(put_start(b, b->writer));
    return trace_record_create(&b->arena, b->writer, true, &b->trace);
}

/* Go on with the live host. */
static enum err run(struct branch *b)
{
    struct replay_branch_report *report = b->report;
    struct bytes prefix = buf_bytes(&b->prefix.file);
    const struct trace_source source = trace_bytes_source(&prefix);
    const struct replay_session_options how = {.trace = b->trace,
                                               .host = b->options->host,
                                               .source = &source,
                                               .resume_seq = b->slice.first_seq,
                                               .limit = REPLAY_NO_LIMIT,
                                               .engine = b->options->engine,
                                               .interrupted = b->options->interrupted};
    TRY(replay_session_create(&b->arena, &b->setup, &how, &b->session));
    enum err err = replay_session_run(b->session, &report->result);
    report->state = *replay_session_state(b->session);
    report->state.mem = NULL;
    report->event_count = trace_seq(b->trace) - b->slice.first_seq;
    return err;
}

static enum err finish(struct branch *b, enum err err)
{
    replay_session_close(b->session);
    trace_close(b->trace);
    if (!b->writer || err) {
        trace_writer_abandon(b->writer);
        return err;
    }
    return trace_writer_finish(b->writer, &b->report->identity);
}

void replay_branch_pvm(const struct trace_source *source, const struct trace_sink *sink,
                       const struct replay_branch_options *options,
                       struct replay_branch_report *ret_report)
{
    struct branch b = {
        .source = source,
        .sink = sink,
        .options = options,
        .report = ret_report,
        .slice = {.source = source, .interrupted = options->interrupted}};
    *ret_report = (struct replay_branch_report){0};
    arena_init(&b.arena, SLICE_MEMORY);
    trace_memory_init(&b.prefix, PREFIX_SIZE_MAX);
    enum err err = open_parent(&b);
    if (!err)
        err = read_setup(&b);
    if (!err)
        err = put_prefix(&b);
    if (!err)
        err = create_child(&b);
    if (!err)
        err = run(&b);
    err = finish(&b, err);
    ret_report->err = err;
    if (err)
        say(&b, REPLAY_FAILED, err_text(err));
    replay_slice_fini(&b.slice);
    trace_memory_fini(&b.prefix);
    arena_fini(&b.arena);
}
