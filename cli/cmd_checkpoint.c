/* SPDX-License-Identifier: MIT
 *
 * lockstep checkpoint: states of the guest in a trace, from which a seek may start.
 */
#include "cli/checkpoint.h"
#include "cli/pc_guest.h"
#include "cli/engine.h"
#include "cli/guest.h"

#include "base/os.h"
#include "replay/pc.h"
#include "replay/fs.h"
#include "replay/sink_file.h"

#include <inttypes.h>
#include <stdio.h>

struct options {
    const char *output;
    uint64_t every;
    bool remove;
    struct cli_engine_options engine;
};

static const struct options defaults = {.every = CLI_CHECKPOINT_EVERY,
                                        .engine = CLI_ENGINE_DEFAULTS};

static const struct cli_option option[] = {
    CLI_U64(struct options, every, "every", 'n', "N", 1, UINT64_MAX,
            "instructions between two of them (default 50000000)"),
    CLI_FLAG(struct options, remove, "remove", 0, "only take out those that are there"),
    CLI_STRING(struct options, output, "output", 'o', "FILE",
               "write there, and leave TRACE as it is"),
    CLI_ENGINE_OPTIONS(struct options),
    CLI_END,
};

const struct cli_spec cli_spec_checkpoint = {
    .option = option,
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .positional = {{"TRACE", 1, 1, "a finished trace"}},
    .example = {{"lockstep checkpoint run.lks",
                 "make `lockstep debug` jump quickly from the first time on"},
                {"lockstep checkpoint --remove run.lks", "make the file small again"}},
    .exclude = {{"remove", "every"}},
    .about =
        "Replays the trace and stores the state of the guest every N instructions.  "
        "`lockstep debug`, `query` and `replay --to` start from the nearest one "
        "before, instead of from the beginning.  `lockstep record --checkpoint=N` "
        "stores them at once, and `replay --add-checkpoints=N` does the same as "
        "this.\n\n"
        "The identity of the trace stays.  The file is replaced when all is well; a "
        "trace that does not replay gets none.",
    .exit_yes = "done",
    .exit_no = "the run diverged; the trace is as it was",
    .prints_json = true,
};

static int print(struct cli *cli, const char *path,
                 const struct replay_add_report *report, uint64_t before,
                 uint64_t after)
{
    if (cli->json) {
        ui_json_begin(cli);
        ui_json_text(cli, "file", path);
        ui_json_u64(cli, "checkpoints", report->checkpoint_count);
        ui_json_u64(cli, "bytes_before", before);
        ui_json_u64(cli, "bytes", after);
        ui_json_end(cli);
        return CLI_YES;
    }
    ui_note(cli, "%s: %" PRIu64 " checkpoints, %" PRIu64 " bytes (before: %" PRIu64 ")",
            path, report->checkpoint_count, after, before);
    return CLI_YES;
}

/* Copy from one open file to the other; what became of it. */
static int copy(struct cli *cli, const char *path, const char *to,
                struct replay_source_file *in, struct replay_sink_file *out,
                const struct replay_add_options *how)
{
    struct replay_add_report report;
    uint64_t before = 0, after = 0;
    struct trace_source source = replay_source_file(in);
    struct trace_sink sink = replay_sink_file(out);
    if (replay_fs_is_session(&source)) {
        ui_error(cli, "%s: a session of the file server has no checkpoints", path);
        return CLI_UNKNOWN;
    }
    struct cli_fs fs = {0};
    struct replay_pc_follow_options pc = cli_pc_follow(&fs);
    struct replay_add_options options = *how;
    pc.interrupted = how->interrupted;
    options.pc = &pc;
    replay_add_checkpoints(&source, &sink, &options, &report);
    cli_fs_close(&fs);
    if (report.replay.class != REPLAY_SAME) {
        ui_error(cli, "%s: %s%s%s", path, replay_class_name(report.replay.class),
                 report.replay.detail[0] ? ": " : "", report.replay.detail);
        return report.replay.class == REPLAY_DIVERGED ? CLI_NO : CLI_UNKNOWN;
    }
    enum err err = os_size(in->fd, &before);
    if (!err)
        err = os_size(out->fd, &after);
    return err ? ui_fail(cli, err, to) : print(cli, to, &report, before, after);
}

static int to_file(struct cli *cli, const char *path, const char *written,
                   const char *shown, const struct replay_add_options *how)
{
    struct replay_source_file in;
    struct replay_sink_file out;
    enum err err = replay_source_file_open(&in, path);
    if (err)
        return ui_fail(cli, err, path);
    err = replay_sink_file_open(&out, written, false);
    int status = err ? ui_fail(cli, err, written) : CLI_YES;
    if (!status) {
        status = copy(cli, path, shown, &in, &out, how);
        replay_sink_file_close(&out);
        if (status) /* nothing that could be taken for a trace stays */
            (void)!os_unlink(written);
    }
    replay_source_file_close(&in);
    return status;
}

int cli_checkpoint(struct cli *cli, const char *path, const char *output,
                   const struct replay_add_options *how)
{
    struct buf part;
    if (output)
        return to_file(cli, path, output, output, how);
    buf_init(&part, 1 << 16);
    buf_printf(&part, "%s.part", path);
    int status = part.err ? ui_fail(cli, part.err, path) : CLI_YES;
    if (!status && os_file_exists(buf_string(&part)))
        status = ui_usage(cli, "%s is in the way", buf_string(&part));
    if (!status) {
        os_catch_interrupts();
        status = to_file(cli, path, buf_string(&part), path, how);
        enum err err = status ? ERR_ok : os_rename(buf_string(&part), path);
        if (err)
            status = ui_fail(cli, err, path);
    }
    buf_fini(&part);
    return status;
}

int cmd_checkpoint(struct cli *cli, int argc, char **argv)
{
    const struct options *options = cli->options;
    struct replay_add_options how = {
        .every = options->remove ? 0 : options->every,
        .interrupted = os_interrupted,
    };
    (void)argc;
    int status = cli_engine_read(cli, &options->engine, &how.engine);
    if (!status && options->output && os_file_same(argv[0], options->output))
        return ui_usage(cli, "without -o %s is replaced", argv[0]);
    if (!status && options->output)
        status = cli_output_check(cli, options->output);
    return status ? status : cli_checkpoint(cli, argv[0], options->output, &how);
}
