/* SPDX-License-Identifier: MIT
 *
 * lockstep reduce: a small case of a large one.
 */
#include "cli/case_file.h"

#include "base/os.h"

#include <inttypes.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)
enum { PATH_MAX_SIZE = 4096, TIME_DEFAULT = 60, TIMEOUT_DEFAULT = 5 };

struct options {
    const char *engines;
    const char *out;
    uint64_t time;
    uint64_t timeout;
    bool keep;
};

static const struct options defaults = {.engines = "interp,recomp",
                                        .out = ".",
                                        .time = TIME_DEFAULT,
                                        .timeout = TIMEOUT_DEFAULT};

static const struct cli_option option[] = {
    CLI_ENGINES_OPTION(struct options),
    CLI_STRING(struct options, out, "out", 'o', "FOLDER",
               "where to write the case and its trace (default: here)"),
    CLI_U64(struct options, time, "time", 0, "SECONDS", 1, UINT32_MAX,
            "be content with what there is after that time (default 60)"),
    CLI_U64(struct options, timeout, "timeout", 0, "SECONDS", 1, 3600,
            "a case that runs longer hangs (default 5)"),
    CLI_FLAG(struct options, keep, "keep", 0,
             "where engines do not differ any more: write CASE as it is"),
    CLI_END,
};

const struct cli_spec cli_spec_reduce = {
    .option = option,
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .positional = {{"CASE", 1, 1, "a case file on which engines differ"}},
    .example = {{"lockstep reduce value-1f2e3d4c.case", "write a small one here"},
                {"lockstep reduce -o corpus/regress value-1f2e3d4c.case",
                 "keep it as a regression case"}},
    .about =
        "Instructions are dropped, then runs, calls, the jump table, memory, registers "
        "and operands, as long as the engines still differ in the same kind of thing, "
        "or crash, or hang.  Every attempt runs in a process of its own.  The result "
        "has the name of CASE; nothing is overwritten.  Its trace is what the "
        "interpreter does with it.",
    .exit_yes = "the result was written",
    .exit_no = "the engines do not differ on CASE",
    .prints_json = true,
};

static void on_progress(void *self, uint64_t attempts, uint32_t insn_count)
{
    struct buf text;
    buf_init(&text, 80);
    buf_printf(&text, "%" PRIu32 " instructions left, attempts", insn_count);
    ui_progress(self, buf_string(&text), attempts, 0);
    buf_fini(&text);
}

/* FOLDER/name.case and FOLDER/name.lks for a path that ends in name.case. */
static void name_results(const char *folder, const char *path, struct buf *ret_case,
                         struct buf *ret_trace)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    int stem = (int)(dot && dot != name ? (size_t)(dot - name) : strlen(name));
    buf_printf(ret_case, "%s/%.*s.case", folder, stem, name);
    buf_printf(ret_trace, "%s/%.*s.lks", folder, stem, name);
}

static void print(struct cli *cli, const struct analysis_reduce_report *report,
                  const char *path, const char *trace)
{
    if (cli->json) {
        ui_json_begin(cli);
        ui_json_text(cli, "case", path);
        ui_json_text(cli, "trace", trace);
        ui_json_text(cli, "group", analysis_group_name(report->verdict.group));
        ui_json_text(cli, "difference", report->verdict.text);
        ui_json_u64(cli, "instructions_before", report->insn_count[0]);
        ui_json_u64(cli, "instructions", report->insn_count[1]);
        ui_json_u64(cli, "attempts", report->attempts);
        ui_json_bool(cli, "complete", report->complete);
        ui_json_end(cli);
        return;
    }
    bool differs = report->verdict.group != ANALYSIS_SAME;
    ui_out(cli, "%s: %s%s%s\n", path, analysis_group_name(report->verdict.group),
           differs ? ": " : "", report->verdict.text);
    ui_out(cli, "%" PRIu32 " instructions, of %" PRIu32 "; %" PRIu64 " attempts%s\n",
           report->insn_count[1], report->insn_count[0], report->attempts,
           report->complete ? "" : "; not complete");
    ui_out(cli, "reproduce: lockstep check %s\n", path);
}

static int write_results(struct cli *cli, const struct analysis_case *c,
                         const struct analysis_reduce_report *report, const char *path,
                         const char *trace)
{
    struct buf remark;
    buf_init(&remark, PATH_MAX_SIZE);
    if (report->verdict.group != ANALYSIS_SAME)
        buf_printf(&remark, "%s: %s\n", analysis_group_name(report->verdict.group),
                   report->verdict.text);
    enum err err = cli_case_write(path, c, buf_string(&remark));
    buf_fini(&remark);
    if (err)
        return ui_fail(cli, err, path);
    err = cli_case_record(trace, c);
    if (err && err != ERR_limit)
        return ui_fail(cli, err, trace);
    if (err)
        ui_note(cli, "%s: more gas than a trace can tell; there is no trace", path);
    print(cli, report, path, err ? "" : trace);
    return CLI_YES;
}

static int reduce(struct cli *cli, const struct analysis_case *start,
                  struct analysis_trial *trial, const char *path, const char *trace)
{
    const struct options *options = cli->options;
    struct analysis_reduce_report report;
    struct analysis_case *small = arena_new(&cli->arena, struct analysis_case);
    const struct analysis_reduce_setup setup = {
        .start = start,
        .trial = trial,
        .time_ns = options->time * SECOND,
        .interrupted = os_interrupted,
        .progress = on_progress,
        .self = cli,
    };
    if (!small)
        return ui_fail(cli, ERR_nomem, path);
    enum err err = analysis_reduce(&setup, small, &report);
    if (err)
        return ui_fail(cli, err, path);
    if (report.verdict.group == ANALYSIS_SAME && !options->keep) {
        ui_note(cli, "the engines do not differ");
        return CLI_NO;
    }
    return write_results(cli, small, &report, path, trace);
}

int cmd_reduce(struct cli *cli, int argc, char **argv)
{
    (void)argc;
    const struct options *options = cli->options;
    enum analysis_engine engine[2];
    struct analysis_pair *pair = NULL;
    struct analysis_case *start = arena_new(&cli->arena, struct analysis_case);
    struct analysis_trial trial = {.judge = analysis_pair_judge,
                                   .timeout_ns = options->timeout * SECOND,
                                   .quiet = true};
    struct buf path, trace;
    buf_init(&path, PATH_MAX_SIZE);
    buf_init(&trace, PATH_MAX_SIZE);
    name_results(options->out, argv[0], &path, &trace);
    int status = cli_engines_read(cli, options->engines, engine);
    if (!status && (!start || path.err || trace.err))
        status = ui_fail(cli, ERR_nomem, argv[0]);
    if (!status)
        status = cli_case_read(cli, argv[0], start);
    if (!status && os_file_exists(buf_string(&path)))
        status = ui_fail(cli, ERR_exists, buf_string(&path));
    if (!status && os_file_exists(buf_string(&trace)))
        status = ui_fail(cli, ERR_exists, buf_string(&trace));
    if (!status) {
        enum err err = analysis_pair_create(&cli->arena, engine, &pair);
        trial.self = pair;
        err = err ? err : analysis_trial_open(&trial);
        os_catch_interrupts();
        status =
            err ? ui_fail(cli, err, argv[0])
                : reduce(cli, start, &trial, buf_string(&path), buf_string(&trace));
    }
    analysis_trial_close(&trial);
    analysis_pair_close(pair);
    buf_fini(&path);
    buf_fini(&trace);
    return status;
}
