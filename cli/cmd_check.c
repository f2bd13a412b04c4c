/* SPDX-License-Identifier: MIT
 *
 * lockstep check: two engines on one program, or on one trace.
 */
#include "analysis/check.h"

#include "base/os.h"
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
enum { LIST_SIZE_MAX = 1 << 26, FOLDER_DEPTH_MAX = 32, A0 = 7 };

struct options {
    struct cli_guest_options guest;
    const char *engines;
    struct cli_engine_options engine;
    uint64_t interval;
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
};

static const struct cli_option option[] = {
    CLI_STRING(struct options, engines, "engines", 0, "A,B",
               "two of interp and recomp; the first asks (default interp,recomp)"),
    CLI_INTERP_ONLY_OPTION(struct options),
    CLI_U64(struct options, interval, "interval", 0, "GAS", 1, REPLAY_GAS_MAX,
            "gas between two comparisons (default 2^24)"),
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
          "a program, a trace, or a folder: all *.pvm, *.polkavm, *.lks below"}},
    .example = {{"lockstep check corpus/pvm/bin", "check every program there"},
                {"lockstep check --reg a0=20 corpus/pvm/bin/fib.pvm", "check one"}},
    .about =
        "Both engines run from one gas deadline to the next; there registers, pc, gas, "
        "icount, memory, page rights and states, the calls and the ledger are "
        "compared.  A difference is traced back to its first instruction.  The host "
        "is asked once, both engines get its answer.  What the guest writes is "
        "dropped.  A trace is replayed with each engine.",
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

/* ---- all of them ---- */

static bool ends_in(const char *name, const char *end)
{
    size_t size = strlen(name), end_size = strlen(end);
    return size > end_size && strcmp(name + size - end_size, end) == 0;
}

static bool is_wanted(const char *name)
{
    return ends_in(name, ".pvm") || ends_in(name, ".polkavm") || ends_in(name, ".lks");
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

static void check_all(struct run *run, struct buf *list)
{
    uint64_t count = 0, done = 0;
    for (size_t at = 0; at < list->size; at++)
        count += !list->data[at];
    for (size_t at = 0; at < list->size && !os_interrupted(); done++) {
        char *path = (char *)list->data + at;
        at += strlen(path) + 1;
        if (count > 1)
            ui_progress(run->cli, "checking", done, count);
        if (ends_in(path, ".lks"))
            check_trace(run, path);
        else
            check_program(run, path);
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
