/* SPDX-License-Identifier: MIT
 *
 * lockstep replay: reproduce recorded runs and compare every event.
 */
#include "cli/checkpoint.h"
#include "cli/engine.h"
#include "cli/guest.h"

#include "base/os.h"
#include "cli/fs_replay.h"
#include "cli/family.h"
#include "cli/pc_guest.h"
#include "cli/fs_serve.h"
#include "cli/replay_print.h"
#include "replay/sink_file.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

struct options {
    struct cli_engine_options engine;
    const char *to;
    const char *parent;
    const char *record;
    uint64_t zstd_level;
    bool raw;
    bool output;
    uint64_t jobs; /* 0: as many as there are CPUs */
    uint32_t mode; /* of mode_word */
    const char *listen, *connect;
    uint64_t add_checkpoints;
    bool from_start;
};

enum { MODE_LOG, MODE_EXEC };
static const char *const mode_word[] = {"log", "exec", NULL};

static const struct options defaults = {.engine = CLI_ENGINE_DEFAULTS, .zstd_level = 1};

static const struct cli_option option[] = {
    CLI_STRING(struct options, to, "to", 't', "POSITION",
               "stop there and show the registers"),
    CLI_STRING(struct options, parent, "parent", 'p', "FILE",
               "the trace that a child branches from (default: in its folder)"),
    CLI_FLAG(struct options, output, "output", 'O',
             "print what the guest wrote to its standard output and error"),
    CLI_STRING(struct options, record, "record", 0, "FILE",
               "write what the replay produces as a trace of its own"),
    CLI_U64(struct options, zstd_level, "zstd", 0, "N", 1, 9,
            "with --record: compression level (default 1)"),
    CLI_FLAG(struct options, raw, "raw", 0, "with --record: do not compress"),
    CLI_U64(struct options, jobs, "jobs", 'j', "N", 1, 64,
            "replay so many files at a time (default: one per CPU)"),
    CLI_WORD(struct options, mode, "mode", 0, mode_word,
             "file server: replies from outside come from the trace, or are refused"),
    CLI_STRING(struct options, listen, "listen", 0, "SOCKET",
               "file server: wait there for the client, who asks again"),
    CLI_STRING(struct options, connect, "connect", 0, "SOCKET",
               "file server: the client waits there"),
    CLI_U64(struct options, add_checkpoints, "add-checkpoints", 0, "N", 1, UINT64_MAX,
            "store the state every N instructions, as lockstep checkpoint"),
    CLI_FLAG(struct options, from_start, "from-start", 0,
             "with --to: compare all events before, also where there is a checkpoint"),
    CLI_ENGINE_OPTIONS(struct options),
    CLI_END,
};

const struct cli_spec cli_spec_replay = {
    .option = option,
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .positional = {{"TRACE", 1, CLI_MANY, "traces to replay"}},
    .example = {{"lockstep replay run.lks", "is it still what was recorded?"},
                {"lockstep replay --to e:12 run.lks",
                 "show the machine before event 12"}},
    .exclude = {{"raw", "zstd"},
                {"listen", "connect to from-start output record jobs add-checkpoints"},
                {"connect", "to from-start output record jobs add-checkpoints"},
                {"add-checkpoints", "to from-start output record"}},
    .about =
        "A replay needs the trace and nothing else: no program, input file, clock or "
        "terminal.  A trace that is still being written, or whose recorder was "
        "killed, is replayed as far as it goes.\n\n"
        "A POSITION is N (instructions), N+S (of a pc: S iterations or nanoseconds of "
        "sleep later), e:N (event), g:N (gas), N%, start or end.",
    .exit_yes = "every event was reproduced",
    .exit_no = "a run diverged: the report says where",
    .prints_json = true,
};

/* ---- one file ---- */

struct job {
    const char *path;
    enum err open_err; /* the file could not be read */
    bool is_fs;        /* a session of the file server: `fs_report` */
    bool is_pc;        /* a pc: `pc_report` */
    struct replay_report report;
    struct replay_fs_report fs_report;
    struct replay_pc_report pc_report;
};

struct jobs {
    struct cli *cli;
    struct replay_options how;
    const char *parent;
    bool exec;
    struct job *job;
    size_t count;
    atomic_size_t next;
};

static void print_output(void *self, uint64_t dev, struct bytes data)
{
    (void)self;
    /* As the guest did: at once, and where it did. */
    (void)!os_write_all(dev == 33 || dev == 0 ? 1 : 2, data.data, data.size);
}

static void run_fs(const struct jobs *jobs, const struct trace_source *source,
                   struct replay_fs_report *report)
{
    struct cli_fs fs = {0};
    const struct replay_fs_options how = {.exec = jobs->exec,
                                          .open = cli_fs_replay_open,
                                          .self = &fs,
                                          .interrupted = os_interrupted};
    replay_fs_trace(source, &how, report);
    cli_fs_close(&fs);
}

static void run_pc(const struct jobs *jobs, const struct trace_source *source,
                   struct replay_pc_report *report)
{
    struct cli_fs fs = {0};
    const struct replay_pc_follow_options how = {.to = jobs->how.to,
                                                 .exec = jobs->exec,
                                                 .open = cli_fs_replay_open,
                                                 .open_self = &fs,
                                                 .save = cli_fs_save,
                                                 .load = cli_fs_load,
                                                 .interrupted = os_interrupted,
                                                 .output = jobs->how.output,
                                                 .copy = jobs->how.copy};
    replay_pc_trace(source, &how, report);
    cli_fs_close(&fs);
}

/* ---- a session with its client ---- */

static size_t serve_client(void *self, struct bytes request, uint8_t *reply,
                           size_t reply_size_max)
{
    size_t size;
    /* After a difference the client gets nothing more; the report says why. */
    return replay_fs_player_serve(self, request, reply, reply_size_max, &size) ? 0
                                                                               : size;
}

static struct bytes note(void *self)
{
    return replay_fs_player_note(self);
}

static void note_taken(void *self)
{
    replay_fs_player_note_taken(self);
}

static int serve_player(struct cli *cli, const struct options *options,
                        struct replay_fs_player *player)
{
    uint32_t features = replay_fs_player_setup(player)->features;
    const char *path = options->listen ? options->listen : options->connect;
    struct cli_fs_peer peer;
    int status =
        cli_fs_peer_open(cli, options->listen, options->connect, features, &peer);
    if (!status && peer.hello.features != features) {
        ui_error(cli, "%s: the client does not know the extensions of the trace", path);
        status = CLI_UNKNOWN;
    }
    const struct cli_fs_service service = {
        .self = player, .serve = serve_client, .note = note, .note_taken = note_taken};
    enum err err = status ? ERR_ok : cli_fs_peer_serve(&peer, &service);
    if (err)
        status = ui_fail(cli, err, path);
    cli_fs_peer_close(&peer);
    return status;
}

static int replay_with_client(struct cli *cli, const struct options *options,
                              const char *path)
{
    struct replay_source_file file;
    struct replay_fs_report report;
    struct replay_fs_player *player = NULL;
    struct cli_fs fs = {0};
    const struct replay_fs_options how = {
        .exec = options->mode == MODE_EXEC, .open = cli_fs_replay_open, .self = &fs};
    enum err err = replay_source_file_open(&file, path);
    if (err)
        return ui_fail(cli, err, path);
    struct trace_source source = replay_source_file(&file);
    int status = CLI_YES;
    if (!replay_fs_play(&source, &how, &report, &player)) {
        status = serve_player(cli, options, player);
        replay_fs_player_close(player);
    }
    if (!status)
        status = cli_fs_replay_print(cli, path, &report);
    cli_fs_close(&fs);
    replay_source_file_close(&file);
    return status;
}

static void replay_job(struct jobs *jobs, struct job *job,
                       const struct trace_source *source)
{
    job->is_fs = replay_fs_is_session(source);
    job->is_pc = replay_pc_is_session(source);
    if (job->is_pc)
        run_pc(jobs, source, &job->pc_report);
    else if (job->is_fs)
        run_fs(jobs, source, &job->fs_report);
    else
        replay_trace(source, &jobs->how, &job->report);
}

static void refuse_job(struct job *job, enum err err, const char *detail)
{
    job->report.class = REPLAY_FAILED;
    job->report.err = err;
    (void)snprintf(job->report.detail, sizeof job->report.detail, "%s", detail);
}

static void run_job(struct jobs *jobs, struct job *job)
{
    struct replay_source_file file;
    job->open_err = replay_source_file_open(&file, job->path);
    if (job->open_err)
        return;
    struct trace_source source = replay_source_file(&file);
    struct cli_family family;
    char detail[CLI_FAMILY_DETAIL_SIZE];
    enum err err = cli_family_open(job->path, jobs->parent, &source, &family, detail);
    if (err)
        refuse_job(job, err, detail);
    else
        replay_job(jobs, job, &source);
    if (family.joined) { /* its name is not that of what was put together */
        job->report.identity = family.identity;
        job->pc_report.identity = family.identity;
    }
    cli_family_close(&family);
    replay_source_file_close(&file);
}

static void work(void *self)
{
    struct jobs *jobs = self;
    for (;;) {
        size_t index = atomic_fetch_add(&jobs->next, 1);
        if (index >= jobs->count)
            return;
        run_job(jobs, &jobs->job[index]);
    }
}

/* ---- the copy ---- */

struct copy {
    struct arena arena;
    struct replay_sink_file file;
    struct trace_writer *writer;
};

/* Is it the trace of a pc? */
static bool is_pc(const char *path)
{
    struct replay_source_file file;
    bool is = false;
    if (!replay_source_file_open(&file, path)) {
        struct trace_source source = replay_source_file(&file);
        is = replay_pc_is_session(&source);
        replay_source_file_close(&file);
    }
    return is;
}

static int open_copy(struct cli *cli, const struct options *options, const char *from,
                     struct copy *copy)
{
    const struct trace_writer_options how = {
        .guest = is_pc(from) ? TRACE_GUEST_PC : TRACE_GUEST_PVM,
        .zstd_level = options->raw ? 0 : (unsigned)options->zstd_level,
    };
    *copy = (struct copy){.file = {.fd = -1}};
    arena_init(&copy->arena, (size_t)256 << 20);
    if (os_file_same(from, options->record))
        return ui_usage(cli, "--record would overwrite %s", from);
    int status = cli_output_check(cli, options->record);
    if (status)
        return status;
    enum err err = replay_sink_file_open(&copy->file, options->record, false);
    if (!err) {
        struct trace_sink sink = replay_sink_file(&copy->file);
        err = trace_writer_create(&copy->arena, &sink, &how, &copy->writer);
    }
    return err ? ui_fail(cli, err, options->record) : CLI_YES;
}

static int close_copy(struct cli *cli, const struct options *options, struct copy *copy,
                      int status)
{
    if (copy->writer) {
        enum err err = trace_writer_finish(copy->writer, NULL);
        if (err)
            status = ui_fail(cli, err, options->record);
    }
    replay_sink_file_close(&copy->file);
    arena_fini(&copy->arena);
    return status;
}

/* ---- the command ---- */

static int check_options(struct cli *cli, const struct options *options, int argc,
                         struct replay_options *how)
{
    if (options->to && !replay_position_parse(options->to, &how->to))
        return ui_usage(cli, "--to takes N, e:N, g:N, N%%, start or end, not '%s'",
                        options->to);
    if (argc > 1 && (options->listen || options->connect))
        return ui_usage(cli, "a client replays one trace");
    if (options->add_checkpoints && (options->to || options->output || options->record))
        return ui_usage(cli, "--add-checkpoints replays all of each trace and nothing "
                             "else");
    how->from_start = options->from_start;
    if (argc > 1 && (options->output || options->record))
        return ui_usage(cli, "--%s takes one trace",
                        options->output ? "output" : "record");
    return cli_engine_read(cli, &options->engine, &how->engine);
}

static int print_job(struct cli *cli, const struct job *job, bool talk)
{
    if (job->is_pc)
        return cli_pc_replay_print(cli, job->path, &job->pc_report);
    if (job->is_fs)
        return cli_fs_replay_print(cli, job->path, &job->fs_report);
    return cli_replay_print(cli, job->path, job->open_err, &job->report, talk);
}

/* 1 beats 125: a divergence is a result whatever the other files are. */
static int worse(int a, int b)
{
    if (a == CLI_NO || b == CLI_NO)
        return CLI_NO;
    return a ? a : b;
}

static int add_checkpoints(struct cli *cli, uint64_t every,
                           const struct replay_engine *engine, int argc, char **argv)
{
    const struct replay_add_options how = {
        .every = every, .engine = *engine, .interrupted = os_interrupted};
    int status = CLI_YES;
    for (int i = 0; i < argc; i++)
        status = worse(status, cli_checkpoint(cli, argv[i], NULL, &how));
    return status;
}

int cmd_replay(struct cli *cli, int argc, char **argv)
{
    const struct options *options = cli->options;
    struct jobs jobs = {.cli = cli, .count = (size_t)argc};
    struct copy copy = {.file = {.fd = -1}};
    jobs.how = (struct replay_options){.locate = true, .interrupted = os_interrupted};
    jobs.exec = options->mode == MODE_EXEC;
    jobs.parent = options->parent;
    int status = check_options(cli, options, argc, &jobs.how);
    if (!status && (options->listen || options->connect))
        return replay_with_client(cli, options, argv[0]);
    if (!status && options->add_checkpoints)
        return add_checkpoints(cli, options->add_checkpoints, &jobs.how.engine, argc,
                               argv);
    if (!status && options->record) {
        status = open_copy(cli, options, argv[0], &copy);
        jobs.how.copy = copy.writer;
    }
    if (!status) {
        jobs.job = arena_new_array(&cli->arena, struct job, jobs.count);
        check(jobs.job);
        for (size_t i = 0; i < jobs.count; i++)
            jobs.job[i].path = argv[i];
        if (options->output)
            jobs.how.output = print_output;
        uint64_t threads = options->jobs ? options->jobs : os_cpu_count();
        os_catch_interrupts();
        os_threads_run((unsigned)(threads < jobs.count ? threads : jobs.count), work,
                       &jobs);
        for (size_t i = 0; i < jobs.count; i++)
            status = worse(status, print_job(cli, &jobs.job[i], options->output));
    }
    return close_copy(cli, options, &copy, status);
}
