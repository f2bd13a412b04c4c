/* SPDX-License-Identifier: MIT
 *
 * Replay of a file-server session: requests out of the trace, or from a client who
 * makes them again.
 */
#include "replay/fs.h"

#include "replay/fs_setup.h"
#include "replay/setup.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_MAX ((size_t)8 << 30)

enum { POLL_EVERY = 256 };

struct replay_fs_player {
    const struct trace_source *source;
    const struct replay_fs_options *options;
    struct replay_fs_report *report;
    struct arena arena;
    struct trace_reader *reader;
    struct trace *trace;
    struct replay_fs_setup setup;
    struct v86fs_server *server;
    struct replay_fs *fs;
    uint8_t *reply;
    enum err err; /* the first of the trace */
    bool ended;   /* session.end was there */
};

__attribute__((format(printf, 3, 4))) static void
say(struct replay_fs_report *report, enum replay_class class, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report->class = class;
    (void)vsnprintf(report->detail, sizeof report->detail, format, args);
    va_end(args);
}

/* ---- open ---- */

static enum err open_reader(struct replay_fs_player *p)
{
    struct trace_fault fault = {0};
    enum err err = trace_reader_open(&p->arena, p->source, NULL, &fault, &p->reader);
    p->report->fault = fault;
    if (err)
        say(p->report, err == ERR_nomem ? REPLAY_FAILED : REPLAY_DAMAGED, "%s",
            err_text(err));
    return err;
}

static enum err read_setup(struct replay_fs_player *p)
{
    struct replay_refusal refusal = {0};
    TRY(open_reader(p));
    enum err err =
        replay_fs_setup_read(&p->arena, p->reader, NULL, &p->setup, NULL, &refusal);
    if (err == ERR_trace_event && refusal.text[0])
        say(p->report, (enum replay_class)refusal.class, "%s", refusal.text);
    else if (err == ERR_trace_end)
        say(p->report, REPLAY_OPEN, "the trace ends before the first request");
    else if (err)
        say(p->report, err == ERR_nomem ? REPLAY_FAILED : REPLAY_DAMAGED, "%s",
            err_text(err));
    trace_reader_close(p->reader);
    p->reader = NULL;
    return err;
}

static enum err open_server(struct replay_fs_player *p)
{
    char detail[120] = "";
    p->report->derived = p->setup.derived;
    p->report->features = p->setup.features;
    if (!p->setup.derived && p->options->exec) {
        say(p->report, REPLAY_OTHER_CONFIGURATION,
            "the tree was not in memory, so nothing can execute again: --mode=log");
        return ERR_unsupported;
    }
    if (!p->setup.derived)
        return ERR_ok;
    enum err err = p->options->open(p->options->self, &p->setup, &p->server, detail);
    if (err)
        say(p->report, err == ERR_nomem ? REPLAY_FAILED : REPLAY_OTHER_CONFIGURATION,
            "%s", detail[0] ? detail : err_text(err));
    return err;
}

static enum err open_trace(struct replay_fs_player *p)
{
    const struct trace_replay_options options = {.compare_all = p->options->exec};
    TRY(open_reader(p));
    enum err err = trace_replay_create(&p->arena, p->reader, &options, &p->trace);
    if (!err)
        err = replay_fs_create(&p->arena, &p->setup, p->server, p->trace, &p->fs);
    p->reply = arena_alloc(&p->arena, V86FS_FRAME_MAX, 8);
    if (!err && !p->reply)
        err = ERR_nomem;
    if (err)
        say(p->report, REPLAY_DAMAGED, "%s", err_text(err));
    return err;
}

static void player_fini(struct replay_fs_player *p)
{
    trace_close(p->trace);
    trace_reader_close(p->reader);
    arena_fini(&p->arena);
    free(p);
}

enum err replay_fs_play(const struct trace_source *source,
                        const struct replay_fs_options *options,
                        struct replay_fs_report *report,
                        struct replay_fs_player **ret_player)
{
    struct replay_fs_player *p = calloc(1, sizeof *p);
    *report = (struct replay_fs_report){0};
    if (!p) {
        say(report, REPLAY_FAILED, "%s", err_text(ERR_nomem));
        return report->err = ERR_nomem;
    }
    *p = (struct replay_fs_player){
        .source = source, .options = options, .report = report};
    arena_init(&p->arena, MEMORY_MAX);
    enum err err = read_setup(p);
    if (!err)
        err = open_server(p);
    if (!err)
        err = open_trace(p);
    report->err = err;
    if (err)
        player_fini(p);
    else
        *ret_player = p;
    return err;
}

const struct replay_fs_setup *replay_fs_player_setup(const struct replay_fs_player *p)
{
    return &p->setup;
}

/* ---- one request ---- */

static void keep_request(struct replay_fs_report *report, struct bytes request)
{
    size_t size = request.size;
    report->request_size =
        size < sizeof report->request ? size : sizeof report->request;
    if (report->request_size)
        memcpy(report->request, request.data, report->request_size);
}

static bool next_is_note(struct replay_fs_player *p)
{
    const struct trace_record *next = trace_peek(p->trace);
    return next && next->kind->id == TRACE_ID_virtio_notify;
}

/* What comes from outside between two requests goes into the queue. */
static enum err follow_notes(struct replay_fs_player *p)
{
    while (next_is_note(p)) {
        enum v86fs_note_result result;
        TRY(replay_fs_notify(p->fs, trace_peek(p->trace)->clock.icount,
                             (struct bytes){0}, &result));
        p->report->note_count++;
    }
    return ERR_ok;
}

struct bytes replay_fs_player_note(struct replay_fs_player *p)
{
    if (!p->err)
        p->err = follow_notes(p);
    return replay_fs_note(p->fs);
}

void replay_fs_player_note_taken(struct replay_fs_player *p)
{
    replay_fs_note_taken(p->fs);
}

enum err replay_fs_player_serve(struct replay_fs_player *p, struct bytes request,
                                uint8_t *reply, size_t reply_size_max, size_t *ret_size)
{
    *ret_size = 0;
    if (p->err)
        return p->err;
    p->err = follow_notes(p);
    const struct trace_record *next = trace_peek(p->trace);
    uint64_t tick = next ? next->clock.icount : p->trace->clock.icount;
    keep_request(p->report, request);
    if (!p->err)
        p->err = replay_fs_serve(p->fs, tick, request, reply, reply_size_max, ret_size);
    if (!p->err)
        p->report->request_count++;
    return p->err;
}

/* The recorded request, served again. */
static enum err serve_recorded(struct replay_fs_player *p)
{
    struct trace_virtio_request event;
    size_t size;
    TRY(trace_peek_decode(p->trace, TRACE_ID_virtio_request, &event));
    if (event.data.size != event.rlen || event.rlen > V86FS_FRAME_MAX + 1 ||
        event.wcap > V86FS_FRAME_MAX)
        return ERR_trace_event;
    /* The event's bytes die with the next event. */
    struct buf request;
    buf_init(&request, V86FS_FRAME_MAX + 1);
    buf_put(&request, event.data.data, event.data.size);
    enum err err = request.err;
    if (!err)
        err = replay_fs_player_serve(p, buf_bytes(&request), p->reply,
                                     (size_t)event.wcap, &size);
    buf_fini(&request);
    return err;
}

/* ---- the end ---- */

static void judge(struct replay_fs_player *p)
{
    struct replay_fs_report *report = p->report;
    enum err err = p->err;
    const struct trace_divergence *divergence = trace_divergence(p->trace);
    bool closed = trace_reader_state(p->reader) == TRACE_READER_CLOSED;
    if (err == ERR_trace_diverged && divergence && !divergence->recorded_name)
        err = ERR_trace_end;
    report->err = err;
    report->event_count = trace_seq(p->trace);
    report->identity = trace_reader_chain(p->reader);
    if (err == ERR_trace_diverged) {
        report->diverged = true;
        report->divergence = *divergence;
        const struct trace_kind *kind = trace_kind_named(divergence->recorded_name);
        report->divergence.recorded_name = kind ? kind->wire : "unknown";
        kind = divergence->produced_name ? trace_kind_named(divergence->produced_name)
                                         : NULL;
        report->divergence.produced_name = kind ? kind->wire : NULL;
        say(report, REPLAY_DIVERGED, "%s", "");
    } else if (err == ERR_trace_end && !p->ended) {
        say(report, REPLAY_OPEN, "%s",
            closed ? "the trace was cut off here" : "its recording is not finished");
    } else if (err == ERR_interrupted || err == ERR_nomem) {
        say(report, REPLAY_FAILED, "%s", err_text(err));
    } else if (err && err != ERR_trace_end) {
        report->fault = trace_reader_fault(p->reader);
        say(report, REPLAY_DAMAGED, "%s", err_text(err));
    } else {
        report->err = ERR_ok;
        report->finished = closed;
        report->class = closed ? REPLAY_SAME : REPLAY_OPEN;
    }
}

/* Behind the last request: session.end and no more. */
static void finish(struct replay_fs_player *p)
{
    struct trace_session_end end = {0};
    if (!p->err)
        p->err = follow_notes(p);
    const struct trace_record *next = p->err ? NULL : trace_peek(p->trace);
    if (next && next->kind->id == TRACE_ID_session_end) {
        p->trace->clock = next->clock;
        p->err = trace_peek_decode(p->trace, TRACE_ID_session_end, &end);
        if (!p->err)
            p->err = trace_session_end(p->trace, &end);
        p->ended = !p->err || p->err == ERR_trace_end;
        struct trace_record record;
        bool is_end;
        if (p->ended && trace_reader_next(p->reader, &record, &is_end) == ERR_ok &&
            !is_end)
            p->err = ERR_trace_event;
    } else if (!p->err) {
        p->err = trace_expect_end(p->trace);
    }
    judge(p);
}

void replay_fs_player_close(struct replay_fs_player *player)
{
    if (!player)
        return;
    finish(player);
    player_fini(player);
}

/* ---- all of it ---- */

static enum err play_all(struct replay_fs_player *p)
{
    for (uint64_t count = 0;; count++) {
        TRY(follow_notes(p));
        while (replay_fs_note(p->fs).size)
            replay_fs_note_taken(p->fs); /* nobody listens */
        const struct trace_record *next = trace_peek(p->trace);
        if (!next || next->kind->id != TRACE_ID_virtio_request)
            return ERR_ok;
        TRY(serve_recorded(p));
        if (count % POLL_EVERY == 0 && p->options->interrupted &&
            p->options->interrupted())
            return ERR_interrupted;
    }
}

void replay_fs_trace(const struct trace_source *source,
                     const struct replay_fs_options *options,
                     struct replay_fs_report *ret_report)
{
    struct replay_fs_player *p;
    if (replay_fs_play(source, options, ret_report, &p))
        return;
    if (!p->setup.requests && !p->setup.log_bytes) {
        say(ret_report, REPLAY_FAILED,
            "the trace has only digests of the requests: replay with the client");
        ret_report->err = ERR_unsupported;
        player_fini(p);
        return;
    }
    enum err err = play_all(p);
    if (!p->err)
        p->err = err;
    replay_fs_player_close(p);
}

bool replay_fs_is_session(const struct trace_source *source)
{
    return replay_setup_has_key(source, TRACE_GUEST_PC, "fs.0.session");
}
