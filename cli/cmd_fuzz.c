/* SPDX-License-Identifier: MIT
 *
 * lockstep fuzz: two engines on programs that nobody wrote.
 */
#include "cli/case_file.h"

#include "analysis/fuzz.h"
#include "base/hash.h"
#include "base/os.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)
enum { PATH_SIZE_MAX = 4096, HANG_DEFAULT = 10, REDUCE_DEFAULT = 10, KEYS_MAX = 1024 };

struct options {
    uint64_t jobs, seed, count, time;
    const char *shard;
    const char *corpus;
    const char *out;
    const char *engines;
    bool exhaustive;
    const char *opcode;
    uint64_t stop_after;
    uint64_t reduce;
    uint64_t hang;
};

static const struct options defaults = {
    .jobs = 1,
    .seed = 1,
    .out = ".",
    .engines = "interp,recomp",
    .stop_after = 10,
    .reduce = REDUCE_DEFAULT,
    .hang = HANG_DEFAULT,
};

static const struct cli_option option[] = {
    CLI_U64(struct options, jobs, "jobs", 'j', "N", 1, ANALYSIS_FUZZ_JOBS_MAX,
            "processes that run programs (default 1)"),
    CLI_U64(struct options, seed, "seed", 0, "S", 0, INT64_MAX,
            "number of the first program (default 1)"),
    CLI_U64(struct options, count, "count", 'n', "N", 1, INT64_MAX,
            "stop after N programs, rounded up to 256 (default: never)"),
    CLI_U64(struct options, time, "time", 0, "SECONDS", 1, UINT32_MAX,
            "stop after that time (default: never)"),
    CLI_STRING(struct options, shard, "shard", 0, "I/N",
               "every N-th block of programs only, beginning with the I-th, from 1"),
    CLI_STRING(struct options, corpus, "corpus", 0, "FOLDER",
               "keep interesting programs and the place to go on at there"),
    CLI_STRING(struct options, out, "out", 'o', "FOLDER",
               "where to write cases that show a difference (default: here)"),
    CLI_ENGINES_OPTION(struct options),
    CLI_FLAG(struct options, exhaustive, "exhaustive", 0,
             "each opcode with all edge operands and register aliases instead"),
    CLI_STRING(struct options, opcode, "opcode", 0, "OP",
               "of --exhaustive only this one"),
    CLI_U64(struct options, stop_after, "stop-after", 0, "N", 1, KEYS_MAX,
            "stop after N different findings (default 10)"),
    CLI_U64(struct options, reduce, "reduce", 0, "SECONDS", 0, 3600,
            "reduce each finding for at most that time (default 10; 0: do not)"),
    CLI_U64(struct options, hang, "hang", 0, "SECONDS", 1, 3600,
            "a program that takes longer hangs (default 10)"),
    CLI_END,
};

const struct cli_spec cli_spec_fuzz = {
    .option = option,
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .positional = {{"WHAT", 1, 1, "pvm"}},
    .example = {{"lockstep fuzz pvm --jobs=4 --corpus=fuzz-corpus",
                 "until Ctrl-C; the same call goes on from there"},
                {"lockstep fuzz pvm --exhaustive --opcode=div_s_32",
                 "all edge cases of one instruction"}},
    .exclude = {{"exhaustive", "seed corpus"}},
    .about =
        "Programs are generated from numbers, or are variations of programs that "
        "showed something new; both engines run them, and everything that they show "
        "is compared.  A difference, a crash and a hang are findings: each is reduced "
        "and written as a case for `lockstep check`, but for those whose reduced case "
        "is like one before.\n\n"
        "The corpus folder lets the next call with the same seed go on; any number of "
        "shards may share it.",
    .exit_yes = "no difference",
    .exit_no = "findings: they are written",
    .prints_json = true,
};

struct run {
    struct cli *cli;
    enum analysis_engine engine[2];
    struct analysis_trial trial;
    struct analysis_case *small;
    uint64_t key[KEYS_MAX]; /* of the findings so far */
    uint32_t key_count;
    uint64_t duplicates;
    bool trouble;
};

/* ---- findings ---- */

/* Findings with one key are one defect, most likely: the group and the opcodes. */
static uint64_t key_of(const struct analysis_case *c, enum analysis_group group)
{
    const struct pvm_code code = analysis_case_code(c);
    uint8_t has[257] = {0};
    struct pvm_insn insn;
    has[256] = (uint8_t)group;
    for (uint32_t pc = 0; pc < c->code_size;) {
        bool good = pvm_insn_decode(&code, c->config.profile, pc, &insn);
        has[good ? insn.op : 255] = 1;
        pc += good ? insn.size : 1;
    }
    return hash_xxh3(has, sizeof has);
}

static bool is_known(struct run *run, uint64_t key)
{
    for (uint32_t i = 0; i < run->key_count; i++) {
        if (run->key[i] == key)
            return true;
    }
    run->key[run->key_count++] = key;
    return false;
}

static void print_finding(struct run *run, const struct analysis_finding *finding,
                          const struct analysis_reduce_report *report, const char *path)
{
    struct cli *cli = run->cli;
    const char *group = analysis_group_name(finding->verdict->group);
    if (cli->json) {
        ui_json_begin(cli);
        ui_json_text(cli, "case", path);
        ui_json_u64(cli, "program", finding->number);
        ui_json_text(cli, "group", group);
        ui_json_text(cli, "difference", finding->verdict->text);
        ui_json_u64(cli, "instructions", report->insn_count[1]);
        ui_json_bool(cli, "comes_again", report->verdict.group != ANALYSIS_SAME);
        ui_json_end(cli);
        return;
    }
    ui_out(cli, "program %" PRIu64 ": %s: %s\n", finding->number, group,
           finding->verdict->text);
    ui_out(cli, "  %" PRIu32 " instructions%s; reproduce: lockstep check %s\n",
           report->insn_count[1], report->complete ? "" : " so far", path);
    if (report->verdict.group == ANALYSIS_SAME)
        ui_out(cli, "  but it did not come again when the program ran alone\n");
    ui_flush(cli);
}

/* Write the case, with the full one beside it when it was reduced. */
static void write_finding(struct run *run, const struct analysis_finding *finding,
                          const struct analysis_reduce_report *report, uint64_t key)
{
    const struct options *options = run->cli->options;
    struct buf path, remark;
    buf_init(&path, PATH_SIZE_MAX);
    buf_init(&remark, PATH_SIZE_MAX);
    buf_printf(&path, "%s/%s-%08" PRIx32 ".case", options->out,
               analysis_group_name(finding->verdict->group), (uint32_t)key);
    buf_printf(&remark, "%s: %s\nfound as program %" PRIu64 "\n",
               analysis_group_name(finding->verdict->group), finding->verdict->text,
               finding->number);
    enum err err = path.err ? path.err : remark.err;
    if (!err)
        err = cli_case_write(buf_string(&path), run->small, buf_string(&remark));
    if (err) {
        (void)ui_fail(run->cli, err, buf_string(&path));
        run->trouble = true;
    } else {
        print_finding(run, finding, report, buf_string(&path));
    }
    buf_fini(&path);
    buf_fini(&remark);
}

static bool on_finding(void *self, const struct analysis_finding *finding)
{
    struct run *run = self;
    const struct options *options = run->cli->options;
    struct analysis_reduce_report report = {.complete = true,
                                            .verdict = *finding->verdict};
    const struct analysis_reduce_setup setup = {
        .start = finding->c,
        .trial = &run->trial,
        .time_ns = options->reduce * SECOND,
        .interrupted = os_interrupted,
    };
    *run->small = *finding->c;
    report.insn_count[1] = analysis_case_insn_count(run->small);
    if (options->reduce && analysis_reduce(&setup, run->small, &report))
        *run->small = *finding->c;
    uint64_t key = key_of(run->small, finding->verdict->group);
    if (is_known(run, key))
        run->duplicates++;
    else
        write_finding(run, finding, &report, key);
    return run->key_count < options->stop_after && !run->trouble;
}

/* ---- talk ---- */

static double rate(const struct analysis_fuzz_counts *counts)
{
    return counts->time_ns ? (double)counts->programs * 1e9 / (double)counts->time_ns
                           : 0;
}

static void on_progress(void *self, const struct analysis_fuzz_counts *counts)
{
    struct run *run = self;
    char what[120];
    (void)snprintf(what, sizeof what,
                   "%.0f programs/s, %" PRIu32 " features, %" PRIu64
                   " differences; programs",
                   rate(counts), counts->features, counts->differences);
    ui_progress(run->cli, what, counts->programs, counts->total);
}

static int finish(struct run *run, const struct analysis_fuzz_counts *counts)
{
    struct cli *cli = run->cli;
    const struct options *options = cli->options;
    if (cli->json) {
        ui_json_begin(cli);
        ui_json_u64(cli, "programs", counts->programs);
        ui_json_u64(cli, "instructions", counts->icount);
        ui_json_double(cli, "seconds", (double)counts->time_ns * 1e-9);
        ui_json_double(cli, "programs_per_second", rate(counts));
        ui_json_u64(cli, "features", counts->features);
        ui_json_u64(cli, "corpus", counts->corpus);
        ui_json_u64(cli, "differences", counts->differences);
        ui_json_u64(cli, "findings", run->key_count);
        ui_json_u64(cli, "seed", options->seed);
        ui_json_u64(cli, "next_block", counts->next);
        ui_json_end(cli);
    } else {
        ui_out(cli,
               "%" PRIu64 " programs, %" PRIu64 " instructions, %.0f programs/s, "
               "%" PRIu32 " features; %" PRIu64 " differences, %" PRIu32 " findings\n",
               counts->programs, counts->icount, rate(counts), counts->features,
               counts->differences, run->key_count);
    }
    if (run->trouble || !counts->programs)
        return CLI_UNKNOWN;
    return counts->differences ? CLI_NO : CLI_YES;
}

/* ---- the command ---- */

static int read_shard(struct cli *cli, struct analysis_fuzz_setup *setup)
{
    const struct options *options = cli->options;
    unsigned shard = 1, count = 1;
    char end;
    if (options->shard &&
        (sscanf(options->shard, "%5u/%5u%c", &shard, &count, &end) != 2 || !shard ||
         shard > count))
        return ui_usage(cli, "--shard is I/N with I from 1 to N, not '%s'",
                        options->shard);
    setup->shard = shard - 1;
    setup->shard_count = count;
    return CLI_YES;
}

static int read_opcode(struct cli *cli, struct analysis_fuzz_setup *setup)
{
    const struct options *options = cli->options;
    setup->op = ANALYSIS_EXHAUST_ALL;
    if (!options->opcode)
        return CLI_YES;
    if (!options->exhaustive)
        return ui_usage(cli, "--opcode needs --exhaustive");
    for (unsigned op = 0; op < 256; op++) {
        if (pvm_op_info[op].name && !strcmp(pvm_op_info[op].name, options->opcode)) {
            setup->op = op;
            return CLI_YES;
        }
    }
    return ui_usage(cli, "--opcode: '%s' is no instruction", options->opcode);
}

static int make_folder(struct cli *cli, const char *path)
{
    enum err err = path ? os_folder_create(path) : ERR_ok;
    return err ? ui_fail(cli, err, path) : CLI_YES;
}

static int run_fuzzer(struct run *run, const struct analysis_fuzz_setup *setup)
{
    struct analysis_fuzz_counts counts;
    struct analysis_pair *pair = NULL;
    const char *corpus = setup->corpus ? setup->corpus : "fuzz";
    run->small = arena_new(&run->cli->arena, struct analysis_case);
    enum err err = run->small
                       ? analysis_pair_create(&run->cli->arena, run->engine, &pair)
                       : ERR_nomem;
    run->trial.self = pair;
    if (!err)
        err = analysis_trial_open(&run->trial);
    os_catch_interrupts();
    if (!err)
        err = analysis_fuzz(setup, &counts);
    int status = CLI_UNKNOWN;
    if (err == ERR_case)
        ui_error(run->cli,
                 "%s keeps the state of another seed: give that, or another "
                 "folder",
                 corpus);
    else if (err)
        status = ui_fail(run->cli, err, corpus);
    else
        status = finish(run, &counts);
    analysis_trial_close(&run->trial);
    analysis_pair_close(pair);
    return status;
}

int cmd_fuzz(struct cli *cli, int argc, char **argv)
{
    (void)argc;
    const struct options *options = cli->options;
    struct run run = {.cli = cli,
                      .trial = {.judge = analysis_pair_judge,
                                .timeout_ns = options->hang * SECOND,
                                .quiet = true}};
    struct analysis_fuzz_setup setup = {
        .seed = options->seed,
        .count = options->count,
        .time_ns = options->time * SECOND,
        .jobs = (uint32_t)options->jobs,
        .corpus = options->corpus,
        .exhaustive = options->exhaustive,
        .hang_ns = options->hang * SECOND,
        .self = &run,
        .interrupted = os_interrupted,
        .progress = on_progress,
        .finding = on_finding,
    };
    int status = CLI_YES;
    if (strcmp(argv[0], "pvm") != 0)
        return ui_usage(cli, "what can be fuzzed is 'pvm', not '%s'", argv[0]);
    if (!status)
        status = read_shard(cli, &setup);
    if (!status)
        status = read_opcode(cli, &setup);
    if (!status)
        status = cli_engines_read(cli, options->engines, run.engine);
    if (!status)
        status = make_folder(cli, options->corpus);
    if (!status)
        status = make_folder(cli, options->out);
    memcpy(setup.engine, run.engine, sizeof setup.engine);
    return status ? status : run_fuzzer(&run, &setup);
}
