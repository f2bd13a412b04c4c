/* SPDX-License-Identifier: MIT
 *
 * lockstep cut: a part of a trace as a trace of its own.
 */
#include "cli/guest.h"
#include "cli/pc_guest.h"

#include "base/os.h"
#include "replay/sink_file.h"

#include <inttypes.h>

struct options {
    const char *output;
    uint64_t zstd_level;
    bool raw;
};

static const struct options defaults = {.zstd_level = 1};

static const struct cli_option option[] = {
    CLI_STRING(struct options, output, "output", 'o', "FILE", "trace to write"),
    CLI_U64(struct options, zstd_level, "zstd", 0, "N", 1, 9,
            "compression level (default 1)"),
    CLI_FLAG(struct options, raw, "raw", 0, "do not compress"),
    CLI_END,
};

const struct cli_spec cli_spec_cut = {
    .option = option,
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .positional = {{"TRACE", 1, 1, "a finished trace"},
                   {"FROM..TO", 1, 1, "positions; the second is not included"}},
    .example = {{"lockstep cut run.lks 50%.. -o second-half.lks",
                 "keep the second half"},
                {"lockstep cut run.lks e:1000..+500000 -o part.lks",
                 "keep half a million instructions from event 1000 on"}},
    .exclude = {{"raw", "zstd"}},
    .about =
        "The part begins with the state of the guest at FROM, or at the last place "
        "before it where a run can be taken up, so it replays without what was "
        "before.  Events keep their numbers; the file names the trace that it was "
        "cut from by its identity.\n\n"
        "A position is N (instructions), e:N (event), g:N (gas), N%, start, end, or, "
        "for TO, +N.",
    .exit_yes = "the part was written",
    .prints_json = true,
};

static void print(struct cli *cli, const char *path,
                  const struct replay_cut_report *report)
{
    char id[CLI_HASH_TEXT_SIZE];
    cli_hash_text(&report->identity, id);
    if (!cli->json) {
        ui_note(cli,
                "%s: events %" PRIu64 " to %" PRIu64 ", instructions %" PRIu64
                " to %" PRIu64 ", id %s",
                path, report->first_seq, report->first_seq + report->event_count,
                report->from.icount, report->to.icount, id);
        return;
    }
    ui_json_begin(cli);
    ui_json_text(cli, "file", path);
    ui_json_u64(cli, "first_event", report->first_seq);
    ui_json_u64(cli, "events", report->event_count);
    ui_json_u64(cli, "from_icount", report->from.icount);
    ui_json_u64(cli, "to_icount", report->to.icount);
    ui_json_hex(cli, "parent", bytes_of(report->parent.byte, HASH256_SIZE));
    ui_json_hex(cli, "identity", bytes_of(report->identity.byte, HASH256_SIZE));
    ui_json_end(cli);
}

static int cut(struct cli *cli, const char *from, const char *to,
               struct replay_cut_options *how)
{
    struct cli_fs fs = {0};
    const struct replay_pc_follow_options pc = cli_pc_follow(&fs);
    how->pc = &pc;
    struct replay_source_file in;
    struct replay_sink_file out;
    struct replay_cut_report report;
    enum err err = replay_source_file_open(&in, from);
    if (err)
        return ui_fail(cli, err, from);
    err = replay_sink_file_open(&out, to, false);
    if (err) {
        replay_source_file_close(&in);
        return ui_fail(cli, err, to);
    }
    struct trace_source source = replay_source_file(&in);
    struct trace_sink sink = replay_sink_file(&out);
    os_catch_interrupts();
    replay_cut(&source, &sink, how, &report);
    cli_fs_close(&fs);
    replay_sink_file_close(&out);
    replay_source_file_close(&in);
    if (report.err) {
        ui_error(cli, "%s: %s", from, report.detail);
        (void)!os_unlink(to); /* nothing that could be taken for a trace stays */
        return CLI_UNKNOWN;
    }
    print(cli, to, &report);
    return CLI_YES;
}

int cmd_cut(struct cli *cli, int argc, char **argv)
{
    const struct options *options = cli->options;
    struct replay_cut_options how = {
        .zstd_level = options->raw ? 0 : (unsigned)options->zstd_level,
        .interrupted = os_interrupted,
    };
    (void)argc;
    if (!options->output)
        return ui_usage(cli, "-o FILE is needed");
    if (!replay_range_parse(argv[1], &how.from, &how.to) ||
        how.from.kind == REPLAY_AT_FORWARD || how.from.kind == REPLAY_AT_BACKWARD)
        return ui_usage(cli, "'%s' is no range such as 1000..2000, e:5.. or 50%%..end",
                        argv[1]);
    if (os_file_same(argv[0], options->output))
        return ui_usage(cli, "-o would overwrite %s", argv[0]);
    int status = cli_output_check(cli, options->output);
    return status ? status : cut(cli, argv[0], options->output, &how);
}
