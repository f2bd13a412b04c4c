/* SPDX-License-Identifier: MIT
 *
 * lockstep check: two engines on one program, or on one trace.
 */
#include "analysis/check.h"

#include "base/os.h"
#include "base/os_jobs.h"
#include "cli/case_file.h"
#include "cli/check_print.h"
#include "cli/command_line.h"
#include "cli/engine.h"
#include "cli/guest.h"
#include "cli/replay_print.h"
#include "replay/host_calls.h"
#include "replay/sink_file.h"

#include <inttypes.h>
#include <string.h>

#define GAS_DEFAULT UINT64_C(20000000)
#define INTERVAL_DEFAULT UINT64_C(16777216)
#define SECOND UINT64_C(1000000000)
enum {
    LIST_SIZE_MAX = 1 << 26,
    FOLDER_DEPTH_MAX = 32,
    A0 = 7,
    JOBS_MAX = 256,
    CASE_TIMEOUT = 10, /* seconds */
};

struct options {
    struct cli_guest_options guest;
    const char *engines;
    struct cli_engine_options engine;
    uint64_t interval;
    uint64_t jobs;
};

static const struct options defaults = {
    .guest = {.gas = GAS_DEFAULT,
              .profile = PVM_PROFILE_VECTORS,
              .model = CLI_GUEST_DEFAULT,
              .mem_cycles = CLI_GUEST_DEFAULT,
              /* A report shall come again: nothing of the real world. */
              .stdin_path = "/dev/null",
              .clock = "0",
              .discard = true},
    .engines = "interp,recomp",
    .interval = INTERVAL_DEFAULT,
    .jobs = 1,
};

static const struct cli_option option[] = {
    CLI_STRING(struct options, engines, "engines", 0, "A,B",
               "two of interp and recomp; the first asks (default interp,recomp)"),
    CLI_INTERP_ONLY_OPTION(struct options),
    CLI_U64(struct options, interval, "interval", 0, "GAS", 1, REPLAY_GAS_MAX,
            "gas between two comparisons (default 2^24)"),
    CLI_U64(struct options, jobs, "jobs", 'j', "N", 1, JOBS_MAX,
            "processes that check files (default 1)"),
    CLI_GUEST_OPTIONS_OF(struct options, "default: nothing", " (default 0)",
                         "(default 0)", "default 2*10^7"),
    CLI_END,
};

const struct cli_spec cli_spec_check = {
    .option = option,
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .positional =
        {{"FILE", 1, CLI_MANY,
          "program, trace, case, or folder: *.pvm *.polkavm *.lks *.case below"}},
    .example = {{"lockstep check corpus/pvm/bin", "check every program there"},
                {"lockstep check --reg a0=20 corpus/pvm/bin/fib.pvm", "check one"}},
    .about =
        "Both engines run from one gas deadline to the next; there registers, pc, gas, "
        "icount, memory, page rights and states, the calls and the ledger are "
        "compared.  A difference is traced back to its first instruction.  The host "
        "is asked once, both engines get its answer.  What the guest writes is "
        "dropped.  A trace is replayed with each engine.  A case (see lockstep fuzz) "
        "says "
        "itself how it is run.",
    .exit_yes = "all the same",
    .exit_no = "a difference: the report says where",
    .prints_json = true,
};

struct run {
    struct cli *cli;
    struct replay_engine engine[2];
    uint64_t same_count, differ_count;
    bool trouble;
};

/* ---- a program ---- */

struct guest {
    struct cli_guest guest;
    struct bytes args;
    uint8_t *scratch;
};

static enum err make(void *self, struct arena *arena, const struct pvm_code *code,
                     const struct pvm_config *config, enum pvm_gas_log log,
                     struct pvm_program **ret_program)
{
    return replay_program_create(arena, self, code, config, log, ret_program);
}

static enum err map(void *self, struct arena *arena, struct pvm_mem *mem)
{
    struct guest *g = self;
    return replay_setup_map(&g->guest.setup, arena, mem);
}

static void serve(void *self, const struct pvm_state *state, uint64_t number,
                  struct analysis_check_answer *ret_answer)
{
    struct guest *g = self;
    struct host_call call = {
        .op = (uint32_t)number,
        .operand = {state->reg[A0], state->reg[A0 + 1], state->reg[A0 + 2],
                    state->reg[A0 + 3]},
        .host = &g->guest.host,
        .mem = state->mem,
        .args = g->args,
        .scratch = g->scratch,
    };
    replay_host_serve(&call);
    *ret_answer = (struct analysis_check_answer){
        .answer = call.ends || call.interrupted ? PVM_ANSWER_EXIT : PVM_ANSWER_CONTINUE,
        .outcome = {.exit = PVM_EXIT_HALT},
        .has_reg = call.answers,
        .reg = A0,
        .value = (uint64_t)call.answer,
        .address = (uint32_t)call.write.address,
        .bytes = call.write.size ? call.write_bytes : (struct bytes){0},
    };
}

static void print_report(struct run *run, const struct guest *g,
                         const struct analysis_check_report *report)
{
    struct buf command;
    struct cli_check_case it = {.path = g->guest.path,
                                .code = &g->guest.container.code,
                                .config = g->guest.setup.config};
    for (unsigned i = 0; i < 2; i++) {
        it.engine[i] = cli_engine_word[run->engine[i].kind];
        if (run->engine[i].kind == REPLAY_ENGINE_RECOMP)
            it.recomp = &run->engine[i].recomp;
    }
    buf_init(&command, LIST_SIZE_MAX);
    cli_command_put(run->cli->command, run->cli->options, &command);
    cli_command_put_word(g->guest.path, &command);
    it.command = command.err ? "" : buf_string(&command);
    cli_check_print(run->cli, &it, report);
    buf_fini(&command);
}

static enum err check_guest(struct run *run, struct guest *g,
                            struct analysis_check_report *report)
{
    const struct options *options = run->cli->options;
    const struct replay_setup *setup = &g->guest.setup;
    struct analysis_check_setup how = {
        .code = &g->guest.container.code,
        .config = setup->config,
        .start = {.gas = setup->gas, .pc = setup->pc},
        .interval = options->interval,
        .self = g,
        .map = map,
        .ecall = serve,
        .interrupted = os_interrupted,
    };
    for (unsigned i = 0; i < 2; i++)
        how.engine[i] =
            (struct analysis_check_engine){.name = cli_engine_word[run->engine[i].kind],
                                           .self = &run->engine[i],
                                           .make = make};
    memcpy(how.start.reg, setup->reg, sizeof how.start.reg);
    TRY(replay_args_join(&g->guest.arena, &setup->argv, &g->args));
    g->scratch = arena_alloc(&g->guest.arena, REPLAY_CALL_SIZE_MAX, 64);
    return g->scratch ? analysis_check(&how, report) : ERR_nomem;
}

static void check_program(struct run *run, char *path)
{
    struct cli *cli = run->cli;
    const struct options *options = cli->options;
    struct guest g = {0};
    struct analysis_check_report report;
    char guest_word[] = "pvm", *argv[] = {guest_word, path};
    int status = cli_guest_open(cli, &options->guest, 2, argv, &g.guest);
    if (!status) {
        enum err err = check_guest(run, &g, &report);
        if (err)
            status = ui_fail(cli, err, path);
        else
            print_report(run, &g, &report);
    }
    cli_guest_close(&g.guest);
    if (status)
        run->trouble = true;
    else if (report.same)
        run->same_count++;
    else
        run->differ_count++;
}

/* ---- a trace ---- */

static void check_trace(struct run *run, const char *path)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct replay_options how = {
            .locate = true, .engine = run->engine[i], .interrupted = os_interrupted};
        struct replay_report report;
        struct replay_source_file file;
        enum err err = replay_source_file_open(&file, path);
        if (!err) {
            struct trace_source source = replay_source_file(&file);
            replay_trace(&source, &how, &report);
            replay_source_file_close(&file);
        }
        bool same =
            !err && (report.class == REPLAY_SAME || report.class == REPLAY_OPEN);
        if (same && i == 0)
            continue;
        if (!same)
            ui_note(run->cli, "%s: with engine %s:", path,
                    cli_engine_word[run->engine[i].kind]);
        int status =
            same ? CLI_YES : cli_replay_print(run->cli, path, err, &report, false);
        run->same_count += same;
        run->differ_count += status == CLI_NO;
        run->trouble |= status == CLI_UNKNOWN;
        return;
    }
}

/* ---- a case ---- */

/* In a process of its own: what it is about may be a crash. */
static enum err judge_case(struct run *run, const struct analysis_case *c,
                           struct analysis_verdict *ret_verdict)
{
    enum analysis_engine engine[2];
    struct analysis_pair *pair = NULL;
    struct analysis_trial trial = {.judge = analysis_pair_judge,
                                   .timeout_ns = CASE_TIMEOUT * SECOND};
    struct arena arena;
    for (unsigned i = 0; i < 2; i++)
        engine[i] = run->engine[i].kind == REPLAY_ENGINE_RECOMP ? ANALYSIS_ENGINE_RECOMP
                    : i && engine[0] == ANALYSIS_ENGINE_INTERP  ? ANALYSIS_ENGINE_OTHER
                                                               : ANALYSIS_ENGINE_INTERP;
    arena_init(&arena, (size_t)64 << 20);
    enum err err = analysis_pair_create(&arena, engine, &pair);
    trial.self = pair;
    err = err ? err : analysis_trial_open(&trial);
    err = err ? err : analysis_trial_run(&trial, c, ret_verdict);
    analysis_trial_close(&trial);
    analysis_pair_close(pair);
    arena_fini(&arena);
    return err;
}

static void check_case(struct run *run, const char *path)
{
    struct analysis_verdict verdict;
    struct arena arena;
    arena_init(&arena, (size_t)1 << 20);
    struct analysis_case *c = arena_new(&arena, struct analysis_case);
    int status =
        c ? cli_case_read(run->cli, path, c) : ui_fail(run->cli, ERR_nomem, path);
    if (!status) {
        const uint64_t *more = run->engine[1].recomp.interp_only;
        for (unsigned i = 0; i < countof(c->way.interp_only); i++)
            c->way.interp_only[i] |= more[i] | run->engine[0].recomp.interp_only[i];
        enum err err = judge_case(run, c, &verdict);
        if (err)
            status = ui_fail(run->cli, err, path);
        else
            cli_case_print(run->cli, path, c, &verdict);
    }
    arena_fini(&arena);
    if (status)
        run->trouble = true;
    else if (verdict.group == ANALYSIS_SAME)
        run->same_count++;
    else
        run->differ_count++;
}

/* ---- all of them ---- */

static bool ends_in(const char *name, const char *end)
{
    size_t size = strlen(name), end_size = strlen(end);
    return size > end_size && strcmp(name + size - end_size, end) == 0;
}

static bool is_wanted(const char *name)
{
    return ends_in(name, ".pvm") || ends_in(name, ".polkavm") ||
           ends_in(name, ".lks") || ends_in(name, ".case");
}

/* Append the files below `path`, each with its NUL.  Deeper than FOLDER_DEPTH_MAX is
 * only a link that leads back to where it lies. */
static enum err gather(const char *path, unsigned depth, struct buf *list)
{
    struct buf names, full;
    enum err err = ERR_ok;
    if (!os_folder_exists(path)) {
        buf_put(list, path, strlen(path) + 1);
        return list->err;
    }
    buf_init(&names, LIST_SIZE_MAX);
    buf_init(&full, LIST_SIZE_MAX);
    err = os_folder_list(path, &names);
    for (size_t at = 0; !err && at < names.size && !os_interrupted();) {
        const char *name = (const char *)names.data + at;
        size_t size = strlen(name);
        bool folder = ends_in(name, "/");
        at += size + 1;
        if (folder ? depth == FOLDER_DEPTH_MAX : !is_wanted(name))
            continue;
        buf_clear(&full);
        buf_printf(&full, "%s%s%.*s", path, ends_in(path, "/") ? "" : "/",
                   (int)(size - folder), name);
        err = full.err ? full.err : gather(buf_string(&full), depth + 1, list);
    }
    buf_fini(&names);
    buf_fini(&full);
    return err;
}

static void check_file(struct run *run, char *path)
{
    if (ends_in(path, ".lks"))
        check_trace(run, path);
    else if (ends_in(path, ".case"))
        check_case(run, path);
    else
        check_program(run, path);
}

static void check_one_by_one(struct run *run, struct buf *list, uint64_t count)
{
    uint64_t done = 0;
    for (size_t at = 0; at < list->size && !os_interrupted(); done++) {
        char *path = (char *)list->data + at;
        at += strlen(path) + 1;
        if (count > 1)
            ui_progress(run->cli, "checking", done, count);
        check_file(run, path);
    }
}

/* ---- several at once: what they print comes in the order of the files ---- */

/* A file that is being checked, or is done and waits for its turn to be told of. */
struct task {
    struct run run;
    char *path;
    struct os_job job;
    int output;
};

enum { WINDOW = 4 * JOBS_MAX, SAME = 1, DIFFER = 2, TROUBLE = 4 };
#define WAIT_NS UINT64_C(10000000)

static int work(void *self)
{
    struct task *task = self;
    check_file(&task->run, task->path);
    ui_flush(task->run.cli);
    return (task->run.same_count ? SAME : 0) | (task->run.differ_count ? DIFFER : 0) |
           (task->run.trouble ? TROUBLE : 0);
}

static enum err begin_task(struct run *run, struct task *task, char *path)
{
    *task = (struct task){.run = {.cli = run->cli}, .path = path};
    memcpy(task->run.engine, run->engine, sizeof run->engine);
    ui_flush(run->cli);
    TRY(os_scratch_open(&task->output));
    enum err err = os_job_start(&task->job, work, task, false, task->output);
    if (err)
        os_close(task->output);
    return err;
}

/* Tell of a task that is done. */
static void end_task(struct run *run, struct task *task)
{
    struct os_job *job = &task->job;
    uint8_t bytes[4096];
    uint64_t at = 0;
    size_t size = 0;
    while (!os_pread(task->output, at, bytes, sizeof bytes, &size) && size) {
        ui_out_bytes(run->cli, bytes_of(bytes, size));
        at += size;
    }
    bool died = job->state != OS_JOB_ENDED;
    if (died && !os_interrupted())
        ui_error(run->cli, "%s: the process that checked it died: %s", task->path,
                 os_signal_text(job->status));
    run->same_count += !died && job->status & SAME;
    run->differ_count += !died && job->status & DIFFER;
    run->trouble |= died || job->status & TROUBLE;
    os_job_close(job);
    os_close(task->output);
}

static enum err check_at_once(struct run *run, struct buf *list, uint64_t count)
{
    const struct options *options = run->cli->options;
    struct task *task = arena_new_array(&run->cli->arena, struct task, WINDOW);
    uint64_t begun = 0, told = 0;
    enum err err = task ? ERR_ok : ERR_nomem;
    for (size_t at = 0; !err && (told < begun || at < list->size);) {
        uint64_t running = 0;
        for (uint64_t k = told; k < begun; k++)
            running += os_job_wait(&task[k % WINDOW].job, 0) == OS_JOB_RUNS;
        bool more = at < list->size && !os_interrupted();
        if (more && running < options->jobs && begun - told < WINDOW) {
            char *path = (char *)list->data + at;
            at += strlen(path) + 1;
            err = begin_task(run, &task[begun % WINDOW], path);
            begun += !err;
        } else if (told == begun) {
            break; /* interrupted */
        } else if (os_job_wait(&task[told % WINDOW].job, WAIT_NS) != OS_JOB_RUNS) {
            end_task(run, &task[told++ % WINDOW]);
        }
        ui_progress(run->cli, "checking", told, count);
    }
    for (; told < begun; told++)
        end_task(run, &task[told % WINDOW]);
    return err;
}

static void check_all(struct run *run, struct buf *list)
{
    const struct options *options = run->cli->options;
    uint64_t count = 0;
    for (size_t at = 0; at < list->size; at++)
        count += !list->data[at];
    if (options->jobs == 1 || count < 2) {
        check_one_by_one(run, list, count);
        return;
    }
    enum err err = check_at_once(run, list, count);
    if (err) {
        (void)ui_fail(run->cli, err, "job");
        run->trouble = true;
    }
}

static int finish(struct run *run)
{
    struct cli *cli = run->cli;
    if (cli->json) {
        ui_json_begin(cli);
        ui_json_u64(cli, "same_count", run->same_count);
        ui_json_u64(cli, "differ_count", run->differ_count);
        ui_json_end(cli);
    } else {
        ui_out(cli, "%" PRIu64 " same, %" PRIu64 " differ\n", run->same_count,
               run->differ_count);
    }
    if (run->differ_count)
        return CLI_NO;
    return run->trouble || !run->same_count || os_interrupted() ? CLI_UNKNOWN : CLI_YES;
}

/* CLI_YES, or the status after a message. */
static int read_engines(struct run *run)
{
    const struct options *options = run->cli->options;
    const char *at = options->engines;
    bool native = false;
    for (unsigned i = 0; i < 2; i++) {
        struct cli_engine_options how = options->engine;
        const char *word = cli_engine_word[REPLAY_ENGINE_INTERP];
        how.kind = REPLAY_ENGINE_INTERP;
        if (strncmp(at, word, strlen(word)) != 0) {
            word = cli_engine_word[REPLAY_ENGINE_RECOMP];
            how.kind = REPLAY_ENGINE_RECOMP;
        }
        size_t size = strlen(word);
        if (strncmp(at, word, size) != 0 || at[size] != (i ? 0 : ','))
            return ui_usage(run->cli,
                            "--engines takes two of interp and recomp, such as "
                            "interp,recomp, not '%s'",
                            options->engines);
        at += size + 1;
        native |= how.kind == REPLAY_ENGINE_RECOMP;
        if (how.kind == REPLAY_ENGINE_INTERP)
            how.interp_only = NULL;
        int status = cli_engine_read(run->cli, &how, &run->engine[i]);
        if (status)
            return status;
    }
    if (!native && options->engine.interp_only)
        return ui_usage(run->cli,
                        "--interp-only is for the recompiler, not --engines=%s",
                        options->engines);
    return native && !pvm_recomp_available()
               ? ui_fail(run->cli, ERR_unsupported, "recompiler")
               : CLI_YES;
}

int cmd_check(struct cli *cli, int argc, char **argv)
{
    struct run run = {.cli = cli};
    struct buf list;
    int status = read_engines(&run);
    if (status)
        return status;
    os_catch_interrupts();
    buf_init(&list, LIST_SIZE_MAX);
    for (int i = 0; i < argc && !os_interrupted(); i++) {
        enum err err = gather(argv[i], 0, &list);
        if (err) {
            (void)ui_fail(cli, err, argv[i]);
            run.trouble = true;
        }
    }
    check_all(&run, &list);
    buf_fini(&list);
    return finish(&run);
}
