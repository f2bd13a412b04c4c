/* SPDX-License-Identifier: MIT
 *
 * Cut a slice out of a trace (trace-replay.md 2.9, 11).
 */
#include "replay/slice.h"

#include <stdio.h>

struct cut {
    const struct trace_source *source;
    const struct trace_sink *sink;
    const struct replay_cut_options *options;
    struct replay_cut_report *report;
    struct arena arena; /* reader and writer */
    struct slice slice;
    uint64_t end_seq;
    struct trace_writer *writer;
};

/* The number of the first event behind the slice. */
static enum err find_end(struct cut *cut)
{
    struct trace_reader *reader;
    struct trace_clock ignored;
    TRY(trace_reader_open(&cut->arena, cut->source, NULL, NULL, &reader));
    enum err err = replay_position_find(reader, &cut->options->to, cut->slice.icount,
                                        &cut->end_seq, &ignored);
    trace_reader_close(reader);
    return err;
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
        TRY(replay_slice_copy_event(reader, &record, cut->writer));
        report->to = record.clock;
        report->event_count++;
    }
    return ERR_ok;
}

static enum err write_events(struct cut *cut)
{
    struct trace_reader *reader;
    TRY(trace_reader_open(&cut->arena, cut->source, NULL, NULL, &reader));
    enum err err = replay_slice_put_setup(&cut->slice, reader, cut->writer);
    if (!err)
        err = replay_slice_put_base(&cut->slice, cut->writer);
    if (!err)
        err = copy_slice(cut, reader);
    trace_reader_close(reader);
    return err;
}

static enum err write_file(struct cut *cut)
{
    const struct trace_writer_options options = {
        .guest = cut->slice.guest,
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

static enum err take(struct cut *cut)
{
    struct replay_cut_report *report = cut->report;
    enum err err = replay_slice_take(&cut->slice, &cut->options->from);
    if (err) {
        report->class = cut->slice.class;
        (void)snprintf(report->detail, sizeof report->detail, "%s", cut->slice.detail);
        return err;
    }
    report->first_seq = cut->slice.first_seq;
    report->from = cut->slice.from;
    return find_end(cut);
}

void replay_cut(const struct trace_source *source, const struct trace_sink *sink,
                const struct replay_cut_options *options,
                struct replay_cut_report *ret_report)
{
    struct cut cut = {.source = source,
                      .sink = sink,
                      .options = options,
                      .report = ret_report,
                      .slice = {.source = source,
                                .interrupted = options->interrupted,
                                .pc = options->pc}};
    *ret_report = (struct replay_cut_report){0};
    arena_init(&cut.arena, SLICE_MEMORY);
    enum err err = trace_identity(source, &ret_report->parent);
    if (err == ERR_trace_truncated) {
        ret_report->class = REPLAY_OPEN;
        (void)snprintf(ret_report->detail, sizeof ret_report->detail,
                       "the trace is not finished; recover it first");
    }
    if (!err)
        err = take(&cut);
    if (!err)
        err = write_file(&cut);
    ret_report->err = err;
    if (err && !ret_report->detail[0]) {
        ret_report->class = REPLAY_FAILED;
        (void)snprintf(ret_report->detail, sizeof ret_report->detail, "%s",
                       err_text(err));
    }
    replay_slice_fini(&cut.slice);
    arena_fini(&cut.arena);
}
