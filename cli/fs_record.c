/* SPDX-License-Identifier: MIT
 *
 * A file server from its first request to the end of its trace.
 */
#include "cli/fs_record.h"

#include "base/os.h"
#include "cli/fs_replay.h"
#include "cli/guest.h"

#include <inttypes.h>
#include <string.h>

enum { TICK_NS = 1000, STEP_NS = 1000000 };

static int read_clock(struct cli_fs_session *s, const char *clock)
{
    s->setup.epoch_ns = os_clock_realtime_ns();
    s->setup.tick_ns = TICK_NS;
    if (!clock || strcmp(clock, "real") == 0)
        return CLI_YES;
    s->stepping = true;
    s->setup.tick_ns = STEP_NS;
    if (!cli_number(clock, &s->setup.epoch_ns) || s->setup.epoch_ns > INT64_MAX / 2)
        return ui_usage(
            s->cli, "--fs-clock is 'real' or nanoseconds since 1970, not '%s'", clock);
    return CLI_YES;
}

static enum err open_trace(struct cli_fs_session *s, unsigned zstd_level)
{
    const struct trace_writer_options how = {.guest = TRACE_GUEST_PC,
                                             .zstd_level = zstd_level};
    TRY(cli_fs_describe(&s->fs, &s->setup));
    TRY(replay_sink_file_open(&s->file, s->path, false));
    struct trace_sink sink = replay_sink_file(&s->file);
    TRY(trace_writer_create(&s->arena, &sink, &how, &s->writer));
    return trace_record_create(&s->arena, s->writer, false, &s->trace);
}

static void session_init(struct cli *cli, const char *path, struct cli_fs_session *s)
{
    *s = (struct cli_fs_session){.cli = cli, .path = path, .file = {.fd = -1}};
    arena_init(&s->arena, (size_t)256 << 20);
}

int cli_fs_session_open(struct cli *cli, const struct cli_list *specs,
                        const struct cli_fs_record_options *options, uint32_t features,
                        unsigned zstd_level, struct cli_fs_session *s)
{
    session_init(cli, options->path, s);
    s->setup.features = features;
    s->setup.requests = !options->digests;
    s->setup.log_bytes = options->replies;
    int status = read_clock(s, options->clock);
    if (!status && s->path)
        status = cli_output_check(cli, s->path);
    if (status)
        return status;
    status = cli_fs_open(cli, specs, s->setup.epoch_ns, &s->fs);
    if (status)
        return status;
    enum err err = s->path ? open_trace(s, zstd_level) : ERR_ok;
    if (!err)
        err =
            replay_fs_create(&s->arena, &s->setup, s->fs.server, s->trace, &s->replay);
    if (!err)
        err = cli_fs_news_open(&s->arena, &s->fs, &s->news);
    return err ? ui_fail(cli, err, s->path ? s->path : "--fs") : CLI_YES;
}

/* Serve everything that was asked, once more; the trees stay. */
static int replay_into(struct cli_fs_session *s, const char *from)
{
    struct replay_source_file file;
    struct replay_fs_report report;
    const struct replay_fs_options how = {.exec = true,
                                          .open = cli_fs_replay_open,
                                          .self = &s->fs,
                                          .interrupted = os_interrupted};
    enum err err = replay_source_file_open(&file, from);
    if (err)
        return ui_fail(s->cli, err, from);
    struct trace_source source = replay_source_file(&file);
    replay_fs_trace(&source, &how, &report);
    replay_source_file_close(&file);
    if (report.class == REPLAY_SAME || report.class == REPLAY_OPEN)
        return CLI_YES;
    ui_error(s->cli, "%s: %s: %s", from, replay_class_name(report.class),
             report.detail[0] ? report.detail : "see lockstep replay");
    return report.class == REPLAY_DIVERGED ? CLI_NO : CLI_UNKNOWN;
}

int cli_fs_session_resume(struct cli *cli, const char *from,
                          const struct cli_fs_record_options *options,
                          uint32_t features, struct cli_fs_session *s)
{
    session_init(cli, NULL, s);
    s->setup.features = features;
    if (options->path)
        return ui_usage(cli, "the session that goes on from a trace is not recorded");
    int status = read_clock(s, options->clock);
    if (!status)
        status = replay_into(s, from);
    if (status)
        return status;
    s->fs.cli = cli;
    v86fs_server_reset(s->fs.server);
    enum err err =
        replay_fs_create(&s->arena, &s->setup, s->fs.server, NULL, &s->replay);
    if (!err)
        err = cli_fs_news_open(&s->arena, &s->fs, &s->news);
    return err ? ui_fail(cli, err, from) : CLI_YES;
}

/* Clocks of hosts step back; ours does not. */
static void advance(struct cli_fs_session *s)
{
    uint64_t now = os_clock_realtime_ns();
    uint64_t tick =
        now > s->setup.epoch_ns ? (now - s->setup.epoch_ns) / s->setup.tick_ns : 0;
    if (!s->stepping && tick > s->tick)
        s->tick = tick;
}

/* The client must not notice. */
static void keep_err(struct cli_fs_session *s, enum err err)
{
    if (!err && s->writer)
        err = trace_writer_error(s->writer);
    if (err && !s->err) {
        s->err = err;
        (void)ui_fail(s->cli, err, s->path);
    }
}

static size_t serve(void *self, struct bytes request, uint8_t *reply,
                    size_t reply_size_max)
{
    struct cli_fs_session *s = self;
    size_t size = 0;
    if (s->stepping)
        s->tick++;
    advance(s);
    s->request_count++;
    keep_err(
        s, replay_fs_serve(s->replay, s->tick, request, reply, reply_size_max, &size));
    return size;
}

/* ---- notifications ---- */

static void notify(struct cli_fs_session *s, struct bytes frame)
{
    enum v86fs_note_result result = V86FS_NOTE_QUEUED;
    advance(s);
    keep_err(s, replay_fs_notify(s->replay, s->tick, frame, &result));
    s->news.lost |= result == V86FS_NOTE_FULL;
}

/* Told in the middle of a request, perhaps: its place is behind the reply. */
static struct bytes oldest_note(void *self)
{
    struct cli_fs_session *s = self;
    while (replay_fs_note_room(s->replay)) {
        struct bytes frame = cli_fs_news_first(&s->news);
        if (!frame.size)
            break;
        notify(s, frame);
        cli_fs_news_taken(&s->news);
    }
    return replay_fs_note(s->replay);
}

static void note_taken(void *self)
{
    replay_fs_note_taken(((struct cli_fs_session *)self)->replay);
}

static size_t descriptors(void *self, int ret_fds[CLI_FS_WAIT_MAX])
{
    return cli_fs_descriptors(&((struct cli_fs_session *)self)->fs, ret_fds);
}

/* Becomes a note of the trace, beside the replies that tell of it. */
static void on_death(void *self, enum err err)
{
    struct cli_fs_session *s = self;
    if (s->trace && s->death_count < CLI_FS_DEATH_COUNT_MAX)
        s->death[s->death_count++] = (struct cli_fs_death){
            .seq = trace_seq(s->trace), .tick = s->tick, .err = err};
}

struct cli_fs_service cli_fs_session_service(struct cli_fs_session *s)
{
    s->fs.death = on_death;
    s->fs.death_self = s;
    return (struct cli_fs_service){.self = s,
                                   .serve = serve,
                                   .note = oldest_note,
                                   .note_taken = note_taken,
                                   .descriptors = descriptors};
}

/* ---- the end ---- */

static enum err add_notes(struct cli_fs_session *s)
{
    struct replay_source_file file = {.fd = s->file.fd};
    struct trace_source source = replay_source_file(&file);
    struct trace_sink sink = replay_sink_file(&s->file);
    for (size_t i = 0; i < s->death_count; i++) {
        const struct cli_fs_death *death = &s->death[i];
        const struct trace_note note = {
            .seq = death->seq,
            .icount = death->tick,
            .who = "lockstep",
            .text = death->err ? "the server of files is lost"
                               : "there is another server of files"};
        TRY(trace_annotate(&source, &sink, &note, NULL));
    }
    return ERR_ok;
}

static int finish_trace(struct cli_fs_session *s, int status)
{
    struct hash256 identity = {0};
    char text[CLI_HASH_TEXT_SIZE];
    uint64_t size = 0, events = trace_seq(s->trace);
    enum err err = s->err;
    if (s->replay && !err) {
        err = replay_fs_end(s->replay, status ? 2 : 0);
        events = trace_seq(s->trace);
    }
    trace_close(s->trace);
    enum err written = trace_writer_finish(s->writer, &identity);
    if (!err && !written)
        written = add_notes(s);
    if (!err)
        err = written ? written : os_size(s->file.fd, &size);
    if (err)
        return s->err ? CLI_UNKNOWN : ui_fail(s->cli, err, s->path);
    cli_hash_text(&identity, text);
    ui_note(s->cli,
            "%s: %" PRIu64 " requests, %" PRIu64 " events, %" PRIu64 " bytes, id %s",
            s->path, s->request_count, events, size, text);
    return status;
}

int cli_fs_session_close(struct cli_fs_session *s, int status)
{
    if (s->writer)
        status = finish_trace(s, status);
    replay_sink_file_close(&s->file);
    cli_fs_close(&s->fs);
    arena_fini(&s->arena);
    return status;
}
