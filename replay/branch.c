/* SPDX-License-Identifier: MIT
 *
 * Branches.  The state of a PVM program goes into a trace in memory first, from where
 * the live session takes it as a replay of a cut trace would; a pc goes on in the
 * session that has replayed it.
 */
#include "replay/branch.h"

#include "replay/kernel.h"
#include "replay/pc_follow.h"
#include "replay/slice.h"

#include <stdio.h>
#include <string.h>

#define PREFIX_SIZE_MAX ((size_t)8 << 30)

struct branch {
    const struct trace_source *source;
    const struct trace_sink *sink;
    const struct replay_branch_options *options;
    struct replay_branch_report *report;
    struct arena arena;
    struct slice slice;
    struct trace_writer *writer;
    struct trace *trace;
    /* PVM */
    struct replay_setup setup;
    struct trace_memory prefix; /* setup and state */
    struct replay_session *session;
};

static void say(struct branch *b, enum replay_class class, const char *text)
{
    struct replay_branch_report *report = b->report;
    if (report->detail[0])
        return;
    report->class = class ? class : REPLAY_FAILED;
    (void)snprintf(report->detail, sizeof report->detail, "%.159s", text);
}

/* ---- the child ---- */

/* Write what comes before the child's own events. */
static enum err put_start(struct branch *b, struct trace_writer *writer, bool whole)
{
    struct trace_reader *reader;
    TRY(trace_reader_open(&b->arena, b->source, NULL, NULL, &reader));
    enum err err = replay_slice_put_setup(&b->slice, reader, whole ? writer : NULL);
    trace_reader_close(reader);
    TRY(err);
    return whole ? replay_slice_put_base(&b->slice, writer)
                 : replay_slice_put_reference(&b->slice, writer);
}

static struct trace_writer_options writer_options(const struct branch *b)
{
    return (struct trace_writer_options){
        .guest = b->slice.guest,
        .zstd_level = b->options->zstd_level,
        .sync = b->options->sync,
        .parent = trace_hash_of(b->report->parent),
        .parent_seq = b->slice.first_seq,
        .cut = true,
    };
}

static enum err create_child(struct branch *b)
{
    const struct trace_writer_options options = writer_options(b);
    b->report->parent_seq = b->slice.first_seq;
    b->report->from = b->slice.from;
    TRY(trace_writer_create(&b->arena, b->sink, &options, &b->writer));
    TRY(put_start(b, b->writer, b->options->standalone));
    return trace_record_create(&b->arena, b->writer, true, &b->trace);
}

static enum err finish_child(struct branch *b, enum err err)
{
    if (b->trace && !err)
        b->report->event_count = trace_seq(b->trace) - b->slice.first_seq;
    trace_close(b->trace);
    if (!b->writer || err) {
        trace_writer_abandon(b->writer);
        return err;
    }
    return trace_writer_finish(b->writer, &b->report->identity);
}

/* ---- a PVM program ---- */

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

static enum err put_prefix(struct branch *b)
{
    struct trace_writer_options options = writer_options(b);
    struct trace_sink sink = trace_memory_sink(&b->prefix);
    struct trace_writer *writer;
    options.zstd_level = 0;
    options.sync = TRACE_SYNC_NONE;
    TRY(trace_writer_create(&b->arena, &sink, &options, &writer));
    enum err err = put_start(b, writer, true);
    enum err finished = trace_writer_finish(writer, NULL);
    return err ? err : finished;
}

static enum err run_pvm(struct branch *b)
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
    report->end = report->result.clock;
    return err;
}

static enum err branch_pvm(struct branch *b)
{
    trace_memory_init(&b->prefix, PREFIX_SIZE_MAX);
    enum err err = replay_slice_take(&b->slice, &b->options->at);
    if (err)
        say(b, b->slice.class, b->slice.detail);
    if (!err)
        err = read_setup(b);
    if (!err)
        err = put_prefix(b);
    if (!err)
        err = create_child(b);
    if (!err)
        err = run_pvm(b);
    replay_session_close(b->session);
    trace_memory_fini(&b->prefix);
    return err;
}

/* ---- a kernel ---- */

static enum err read_kernel_setup(struct branch *b, struct replay_kernel_setup *setup)
{
    struct trace_reader *reader;
    struct replay_refusal refusal = {0};
    TRY(trace_reader_open(&b->arena, b->source, NULL, NULL, &reader));
    enum err err = replay_kernel_setup_read(&b->arena, reader, setup, &refusal);
    trace_reader_close(reader);
    if (refusal.text[0])
        say(b, (enum replay_class)refusal.class, refusal.text);
    return err;
}

static enum err run_kernel(struct branch *b, const struct replay_kernel_setup *setup)
{
    const struct replay_branch_kernel *live = &b->options->kernel;
    struct bytes prefix = buf_bytes(&b->prefix.file);
    const struct trace_source source = trace_bytes_source(&prefix);
    const struct replay_kernel_options how = {.trace = b->trace,
                                              .source = &source,
                                              .resume_seq = b->slice.first_seq,
                                              .engine = b->options->engine,
                                              .interrupted = b->options->interrupted};
    struct replay_kernel *session;
    TRY(replay_kernel_create(&b->arena, setup, &how, &session));
    enum err err = replay_kernel_go_on(session);
    if (!err && live->run)
        err = live->run(live->self, session);
    if (!err)
        err = replay_kernel_finish(session, 0);
    struct replay_kernel_totals totals = replay_kernel_totals(session);
    b->report->result.clock = b->report->end = totals.clock;
    b->report->result.ecall_count = totals.ecall_count;
    replay_kernel_close(session);
    return err;
}

static enum err branch_kernel(struct branch *b)
{
    struct replay_kernel_setup setup;
    trace_memory_init(&b->prefix, PREFIX_SIZE_MAX);
    b->slice.engine = b->options->engine;
    enum err err = replay_slice_take(&b->slice, &b->options->at);
    if (err)
        say(b, b->slice.class, b->slice.detail);
    if (!err)
        err = read_kernel_setup(b, &setup);
    if (!err)
        err = put_prefix(b);
    if (!err)
        err = create_child(b);
    if (!err)
        err = run_kernel(b, &setup);
    trace_memory_fini(&b->prefix);
    return err;
}

/* ---- a pc ---- */

/* What is printed and no event yet is the child's. */
static enum err pass_console(struct branch *b, struct trace *parent)
{
    const struct trace_console_rest rest = trace_console_rest(parent);
    b->trace->clock = rest.clock;
    return trace_console(b->trace, rest.dev, rest.data);
}

static enum err go_live(struct branch *b, struct pc_follow *f)
{
    const struct replay_branch_pc *live = &b->options->live;
    struct v86fs_server *server = NULL;
    TRY(pass_console(b, f->trace));
    TRY(live->open(live->self, f->session, &f->setup, &f->host, &server));
    replay_pc_go_live(f->session, b->trace, &f->host, server);
    return replay_pc_error(f->session);
}

static enum err run_pc(struct branch *b, struct pc_follow *f)
{
    struct replay_branch_report *report = b->report;
    uint64_t limit = b->options->live.insns_max;
    report->status = replay_pc_run(f->session, limit ? limit : UINT64_MAX);
    TRY(replay_pc_error(f->session));
    TRY(replay_pc_end(f->session, report->status));
    const struct emu_pc *pc = replay_pc_machine(f->session);
    report->cause = pc->cause;
    report->code = replay_pc_code(f->session, report->status);
    report->end = (struct trace_clock){.icount = pc->cpu->icount, .sub = pc->cpu->sub};
    return ERR_ok;
}

static enum err branch_pc(struct branch *b)
{
    struct replay_pc_report replayed = {0};
    struct replay_pc_follow_options options = *b->options->pc;
    struct pc_follow f = {
        .source = b->source, .options = &options, .report = &replayed};
    options.to = b->options->at;
    options.interrupted = b->options->interrupted;
    b->slice.guest = TRACE_GUEST_PC;
    enum err err = replay_pc_follow_open(&f);
    if (err)
        say(b, replayed.class, replayed.detail[0] ? replayed.detail : err_text(err));
    if (!err) {
        err = replay_slice_take_pc(&b->slice, &f);
        if (err)
            say(b, b->slice.class,
                b->slice.detail[0] ? b->slice.detail : err_text(err));
    }
    if (!err)
        err = create_child(b);
    if (!err)
        err = go_live(b, &f);
    if (!err)
        err = run_pc(b, &f);
    replay_pc_follow_close(&f);
    return err;
}

/* ---- all ---- */

void replay_branch(const struct trace_source *source, const struct trace_sink *sink,
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
    enum err err = trace_identity(source, &ret_report->parent);
    if (err == ERR_trace_truncated)
        say(&b, REPLAY_OPEN, "the trace is not finished; recover it first");
    bool pc = !err && options->pc && replay_pc_is_session(source);
    bool kernel = !err && !pc && replay_kernel_is(source);
    if (!err)
        err = pc ? branch_pc(&b) : kernel ? branch_kernel(&b) : branch_pvm(&b);
    err = finish_child(&b, err);
    ret_report->err = err;
    if (err)
        say(&b, REPLAY_FAILED, err_text(err));
    replay_slice_fini(&b.slice);
    arena_fini(&b.arena);
}

/* ---- a child and its parent ---- */

/* Its first event is none that sets a guest up, and it names a parent. */
static bool read_child(struct arena *arena, const struct trace_source *source,
                       struct trace_header *ret_header)
{
    struct trace_reader *reader;
    struct trace_record record;
    bool end;
    if (trace_reader_open(arena, source, NULL, NULL, &reader))
        return false;
    *ret_header = *trace_reader_header(reader);
    bool child = ret_header->parent.present && (ret_header->flags & TRACE_HEADER_CUT) &&
                 !trace_reader_next(reader, &record, &end) && !end &&
                 record.kind->id != TRACE_ID_session_begin;
    trace_reader_close(reader);
    return child;
}

bool replay_branch_is_child(const struct trace_source *source,
                            struct hash256 *ret_parent)
{
    struct arena arena;
    struct trace_header header;
    arena_init(&arena, SLICE_MEMORY);
    bool child = read_child(&arena, source, &header);
    arena_fini(&arena);
    if (child)
        *ret_parent = header.parent.hash;
    return child;
}

struct join {
    const struct trace_source *parent, *child;
    struct arena arena;
    struct trace_header header;
    struct trace_checkpoint base;
    struct slice slice;
    char *detail;
};

static enum err refuse(struct join *j, enum err err, const char *text)
{
    if (!j->detail[0])
        (void)snprintf(j->detail, 160, "%.159s", text);
    return err;
}

static enum err no_pages(void *self, uint64_t first_page, struct bytes bytes)
{
    (void)self, (void)first_page, (void)bytes;
    return ERR_trace_event;
}

/* Is that its parent, and where do they part? */
static enum err check_family(struct join *j)
{
    struct hash256 identity;
    enum err err = trace_identity(j->parent, &identity);
    if (err)
        return refuse(j, err, "its parent is not finished; recover it first");
    if (!read_child(&j->arena, j->child, &j->header))
        return refuse(j, ERR_usage, "it is no child that needs a parent");
    if (!hash256_equal(&identity, &j->header.parent.hash))
        return refuse(j, ERR_usage, "that is not its parent, by its identity");
    err = trace_checkpoint_read(&j->arena, j->child, j->header.parent_seq, &j->base,
                                no_pages, NULL);
    return err ? refuse(j, err, "it does not tell where it leaves its parent") : ERR_ok;
}

static enum err take_parent(struct join *j)
{
    struct replay_position at = {.kind = REPLAY_AT_EVENT,
                                 .value = j->header.parent_seq};
    if (j->header.guest == TRACE_GUEST_PC)
        at = (struct replay_position){.kind = REPLAY_AT_ICOUNT,
                                      .value = j->base.clock.icount,
                                      .sub = j->base.clock.sub};
    enum err err = replay_slice_take(&j->slice, &at);
    if (err)
        return refuse(j, err, j->slice.detail);
    if (j->slice.first_seq != j->header.parent_seq ||
        !hash256_equal(&j->slice.checkpoint.state_hash, &j->base.state_hash))
        return refuse(j, ERR_trace_event, "its parent comes to another state there");
    return ERR_ok;
}

static enum err copy_events(struct join *j, struct trace_writer *writer)
{
    struct trace_reader *reader;
    struct trace_record record;
    bool end = false;
    TRY(trace_reader_open(&j->arena, j->parent, NULL, NULL, &reader));
    enum err err = replay_slice_put_setup(&j->slice, reader, writer);
    trace_reader_close(reader);
    TRY(err);
    TRY(replay_slice_put_base(&j->slice, writer));
    TRY(trace_reader_open(&j->arena, j->child, NULL, NULL, &reader));
    while (!err && !end) {
        err = trace_reader_next(reader, &record, &end);
        if (!err && !end)
            err = replay_slice_copy_event(reader, &record, writer);
    }
    trace_reader_close(reader);
    return err;
}

static enum err write_joined(struct join *j, const struct trace_sink *sink)
{
    const struct trace_writer_options options = {
        .guest = j->header.guest,
        .parent = j->header.parent,
        .parent_seq = j->header.parent_seq,
        .cut = true,
    };
    struct trace_writer *writer;
    TRY(trace_writer_create(&j->arena, sink, &options, &writer));
    enum err err = copy_events(j, writer);
    enum err finished = trace_writer_finish(writer, NULL);
    return err ? err : finished;
}

enum err replay_branch_join(const struct trace_source *parent,
                            const struct trace_source *child,
                            const struct trace_sink *sink,
                            const struct replay_join_options *options, char *ret_detail)
{
    struct join j = {.parent = parent,
                     .child = child,
                     .slice = {.source = parent,
                               .interrupted = options->interrupted,
                               .pc = options->pc},
                     .detail = ret_detail};
    ret_detail[0] = 0;
    arena_init(&j.arena, SLICE_MEMORY);
    enum err err = check_family(&j);
    if (!err)
        err = take_parent(&j);
    if (!err)
        err = write_joined(&j, sink);
    if (err)
        (void)refuse(&j, err, err_text(err));
    replay_slice_fini(&j.slice);
    arena_fini(&j.arena);
    return err;
}
