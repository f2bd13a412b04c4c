/* SPDX-License-Identifier: MIT
 *
 * lockstep branch: replay to a place, go on live, record a child.
 */
#include "cli/engine.h"
#include "cli/guest.h"
#include "cli/pc_guest.h"
#include "cli/record_kernel.h"

#include "base/os.h"
#include "replay/branch.h"
#include "replay/sink_file.h"

#include <inttypes.h>

struct options {
    struct cli_guest_options guest;
    struct cli_engine_options engine;
    struct cli_pc_options pc;
    struct cli_list fs, invoke;
    const char *manifest;
    const char *output, *at;
    uint64_t zstd_level;
    bool raw;
    bool standalone;
    bool exit_status;
};

static const struct options defaults = {.guest = CLI_GUEST_DEFAULTS,
                                        .engine = CLI_ENGINE_DEFAULTS,
                                        .pc = CLI_PC_DEFAULTS,
                                        .zstd_level = 1};

static const struct cli_option option[] = {
    CLI_STRING(struct options, output, "output", 'o', "FILE", "trace to write"),
    CLI_STRING(struct options, at, "at", 't', "POSITION", "where to leave the trace"),
    CLI_FLAG(struct options, standalone, "standalone", 0,
             "store the state there, so that a replay does not need TRACE"),
    CLI_U64(struct options, zstd_level, "zstd", 0, "N", 1, 9,
            "compression level (default 1)"),
    CLI_FLAG(struct options, raw, "raw", 0, "do not compress"),
    CLI_FLAG(struct options, exit_status, "exit-status", 0,
             "answer with the guest's status, as run does"),
    CLI_GUEST_WORLD_OPTIONS(struct options, "default: ours", "",
                            "instead of real ones"),
    CLI_ENGINE_OPTIONS(struct options),
    CLI_PC_WORLD_OPTIONS(struct options),
    CLI_LIST(struct options, invoke, "invoke", 0, "NAME[:N[:ARG,...]]",
             "kernel: then invoke endpoint N of an instance, by name or 64 digits"),
    CLI_STRING(struct options, manifest, "manifest", 0, "FILE",
               "kernel: publish these caps there, and do the manifest's run"),
    CLI_LIST(struct options, fs, "fs", 0, "[NAME=]SPEC",
             "pc: a tree that was outside of the trace; see lockstep mount --help"),
    CLI_END,
};

const struct cli_spec cli_spec_branch = {
    .option = option,
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .positional = {{"TRACE", 1, 1, "a finished trace: the parent"}},
    .example = {{"lockstep branch run.lks --at e:12 --stdin other.txt -o child.lks",
                 "other input from event 12 on"},
                {"lockstep branch run.lks --at 50% --standalone -o half.lks",
                 "a child that replays without its parent"}},
    .about =
        "The guest is replayed up to POSITION, or the last place before it where a run "
        "can be taken up; from there on the real world answers it, and what it does is "
        "recorded.  The child names its parent by identity and goes on with its "
        "numbers and clocks.  A PVM program finds the files closed that it had open.  "
        "A "
        "pc goes on with trees that were in memory as they were; those that were "
        "outside are given again with --fs, and what is in them is looked up anew.  "
        "A kernel ends the invocation that is under way, and serves new requests: "
        "those of --invoke and --manifest, whose config is not looked at.\n\n"
        "To replay a child that is not standalone the parent has to be at hand, in the "
        "folder of the child or as --parent.\n\n"
        "A POSITION is N (instructions), N+S (of a pc: S iterations or nanoseconds of "
        "sleep later), e:N (event), g:N (gas), N%, start or end.",
    .exit_yes = "the child was recorded, whatever the guest did",
    .exit_no = "kernel: an answer is not what the manifest expects",
    .exit_other = "with --exit-status: the guest's, as for run",
    .prints_json = true,
};

static void print(struct cli *cli, const char *path, const char *words,
                  const struct replay_branch_report *report)
{
    char id[CLI_HASH_TEXT_SIZE];
    cli_hash_text(&report->identity, id);
    if (!cli->json) {
        ui_note(cli,
                "%s: branched at event %" PRIu64 ", %" PRIu64 " instructions; %s; "
                "%" PRIu64 " events, %" PRIu64 " instructions, id %s",
                path, report->parent_seq, report->from.icount, words,
                report->event_count, report->result.clock.icount, id);
        return;
    }
    ui_json_begin(cli);
    ui_json_text(cli, "file", path);
    ui_json_u64(cli, "parent_events", report->parent_seq);
    ui_json_u64(cli, "from_icount", report->from.icount);
    ui_json_u64(cli, "events", report->event_count);
    ui_json_u64(cli, "icount", report->result.clock.icount);
    ui_json_text(cli, "end", words);
    ui_json_hex(cli, "parent", bytes_of(report->parent.byte, HASH256_SIZE));
    ui_json_hex(cli, "identity", bytes_of(report->identity.byte, HASH256_SIZE));
    ui_json_end(cli);
}

static int branch_pvm(struct cli *cli, const struct options *options,
                      const struct trace_source *source, const struct trace_sink *sink,
                      struct replay_branch_options *how)
{
    struct cli_guest guest;
    struct replay_branch_report report;
    char words[80];
    int status = cli_guest_open_host(cli, &options->guest, &guest);
    if (!status) {
        how->host = &guest.host;
        os_catch_interrupts();
        replay_branch(source, sink, how, &report);
        if (report.err) {
            ui_error(cli, "%s: %s", options->output, report.detail);
            status = CLI_UNKNOWN;
        } else {
            int guest_status = cli_guest_status(&report.result, &report.state, words);
            print(cli, options->output, words, &report);
            status = options->exit_status ? guest_status : CLI_YES;
        }
    }
    cli_guest_close(&guest);
    return status;
}

static int branch_kernel(struct cli *cli, const struct options *options,
                         const struct trace_source *source,
                         const struct trace_sink *sink,
                         struct replay_branch_options *how)
{
    const struct cli_branch_kernel kernel = {.manifest = options->manifest,
                                             .invoke = &options->invoke,
                                             .gas = options->guest.gas};
    struct replay_branch_report report = {.err = ERR_usage};
    int status = cli_branch_kernel(cli, &kernel, source, sink, how, &report);
    if (status && status != CLI_NO)
        return status;
    if (report.err) {
        ui_error(cli, "%s: %s", options->output, report.detail);
        return CLI_UNKNOWN;
    }
    print(cli, options->output, "the host's requests are served", &report);
    return status;
}

static int branch(struct cli *cli, const struct options *options, const char *from,
                  struct replay_branch_options *how)
{
    struct replay_source_file in;
    struct replay_sink_file out;
    enum err err = replay_source_file_open(&in, from);
    if (err)
        return ui_fail(cli, err, from);
    err = replay_sink_file_open(&out, options->output, false);
    if (err) {
        replay_source_file_close(&in);
        return ui_fail(cli, err, options->output);
    }
    struct trace_source source = replay_source_file(&in);
    struct trace_sink sink = replay_sink_file(&out);
    bool pc = replay_pc_is_session(&source);
    int status;
    if (pc)
        status = cli_pc_branch(cli, &options->pc, &options->fs, options->exit_status,
                               options->output, &source, &sink, how);
    else if (replay_kernel_is(&source))
        status = branch_kernel(cli, options, &source, &sink, how);
    else
        status = branch_pvm(cli, options, &source, &sink, how);
    uint64_t size = 0;
    (void)!os_size(out.fd, &size);
    replay_sink_file_close(&out);
    replay_source_file_close(&in);
    if (status && !size)
        (void)!os_unlink(options->output); /* the guest has not run */
    return status;
}

int cmd_branch(struct cli *cli, int argc, char **argv)
{
    const struct options *options = cli->options;
    struct replay_branch_options how = {
        .standalone = options->standalone,
        .zstd_level = options->raw ? 0 : (unsigned)options->zstd_level,
        .interrupted = os_interrupted,
    };
    (void)argc;
    if (!options->output || !options->at)
        return ui_usage(cli, "-o FILE and --at POSITION are needed");
    if (!replay_position_parse(options->at, &how.at) ||
        how.at.kind == REPLAY_AT_FORWARD || how.at.kind == REPLAY_AT_BACKWARD)
        return ui_usage(cli, "--at: '%s' is no position", options->at);
    if (os_file_same(argv[0], options->output))
        return ui_usage(cli, "-o would overwrite %s", argv[0]);
    int status = cli_engine_read(cli, &options->engine, &how.engine);
    if (!status)
        status = cli_output_check(cli, options->output);
    return status ? status : branch(cli, options, argv[0], &how);
}
