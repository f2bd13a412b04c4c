/* SPDX-License-Identifier: MIT
 *
 * lockstep check: two engines on one program, or on one trace.
 */
#include "analysis/check.h"

#include "base/os.h"
#include "cli/engine.h"
#include "cli/guest.h"
#include "cli/replay_print.h"
#include "replay/host_calls.h"
#include "replay/sink_file.h"

#include <inttypes.h>
#include <string.h>

#define GAS_DEFAULT UINT64_C(20000000)
#define INTERVAL_DEFAULT UINT64_C(16777216)
enum { LIST_SIZE_MAX = 1 << 24, A0 = 7 };

struct options {
    struct cli_guest_options guest;
    struct cli_engine_options engine;
    uint64_t interval;
};

static const struct options defaults = {
    .guest = {.gas = GAS_DEFAULT,
              .profile = PVM_PROFILE_VECTORS,
              .model = CLI_GUEST_DEFAULT,
              .mem_cycles = CLI_GUEST_DEFAULT,
              .seed = CLI_GUEST_DEFAULT},
    .engine = {.kind = REPLAY_ENGINE_RECOMP},
    .interval = INTERVAL_DEFAULT,
};

static const struct cli_option option[] = {
    CLI_WORD(struct options, engine.kind, "against", 0, cli_engine_word,
             "engine that is held against the interpreter (default recomp)"),
    CLI_INTERP_ONLY_OPTION(struct options),
    CLI_U64(struct options, interval, "interval", 0, "GAS", 1, REPLAY_GAS_MAX,
            "gas between two comparisons (default 2^24)"),
    CLI_GUEST_OPTIONS(struct options),
    CLI_END,
};

const struct cli_spec cli_spec_check = {
    .option = option,
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .positional = {{"FILE", 1, CLI_MANY,
                    "a program, a trace, or a folder: its *.pvm and *.lks"}},
    .example = {{"lockstep check corpus/pvm/bin", "check every program there"},
                {"lockstep check --reg a0=20 corpus/pvm/bin/fib.pvm", "check one"}},
    .about =
        "Both engines run from one gas deadline to the next; there registers, pc, gas, "
        "icount, memory, page rights and states, the calls and the ledger are "
        "compared.  A difference is traced back to its first instruction.  The host "
        "is asked once, both engines get its answer.  What the guest writes is "
        "dropped.  Gas is 2*10^7 unless --gas says otherwise.  A trace is replayed "
        "with "
        "each engine.",
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

static void print_place(struct run *run, const struct guest *g,
                        const struct analysis_check_report *report)
{
    struct cli *cli = run->cli;
    const struct pvm_code *code = &g->guest.container.code;
    struct buf line;
    if (!report->found) {
        ui_out(cli, "  the difference did not come again from the last equal place\n");
        return;
    }
    buf_init(&line, 4096);
    ui_out(cli,
           "first bad instruction: icount %" PRIu64 "  pc 0x%" PRIx32
           "  block 0x%" PRIx32 "\n",
           report->icount, report->pc, report->block);
    if (report->pc < code->code.size)
        (void)pvm_disasm_line(code, g->guest.setup.config.profile, report->pc, &line);
    ui_out(cli, "  > ");
    ui_out_bytes(cli, buf_bytes(&line));
    if (!line.size)
        ui_out(cli, "behind the end of the code\n");
    for (unsigned i = 0; i < PVM_REG_COUNT; i++) {
        uint64_t a = report->reg[0][i], b = report->reg[1][i];
        ui_out(cli, "  %-3s 0x%016" PRIx64 "  0x%016" PRIx64 "%s\n", pvm_reg_name[i], a,
               b, a == b ? "" : "  differs");
    }
    buf_fini(&line);
}

static void print_report(struct run *run, const struct guest *g,
                         const struct analysis_check_report *report)
{
    struct cli *cli = run->cli;
    if (cli->json) {
        ui_json_begin(cli);
        ui_json_text(cli, "file", g->guest.path);
        ui_json_bool(cli, "same", report->same);
        ui_json_u64(cli, "icount",
                    report->found ? report->icount : report->state.icount);
        if (!report->same) {
            ui_json_text(cli, "field", report->field);
            ui_json_u64(cli, "where", report->where);
            ui_json_u64(cli, "interp", report->value[0]);
            ui_json_u64(cli, "recomp", report->value[1]);
            ui_json_bool(cli, "found", report->found);
            ui_json_u64(cli, "pc", report->pc);
            ui_json_u64(cli, "block", report->block);
        }
        ui_json_end(cli);
        return;
    }
    if (report->same) {
        ui_verbose(cli, "%s: same: %s, %" PRIu64 " instructions", g->guest.path,
                   pvm_exit_name(report->outcome.exit), report->state.icount);
        return;
    }
    ui_out(cli,
           "%s: engine defect: %s at 0x%" PRIx64 ": %s 0x%" PRIx64 ", %s 0x%" PRIx64
           "\n",
           g->guest.path, report->field, report->where, cli_engine_word[0],
           report->value[0], cli_engine_word[run->engine[1].kind], report->value[1]);
    print_place(run, g, report);
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
    struct options options = *(const struct options *)cli->options;
    struct guest g = {0};
    struct analysis_check_report report;
    char guest_word[] = "pvm", *argv[] = {guest_word, path};
    /* Nobody's terminal is read, and nothing is written. */
    if (!options.guest.stdin_path)
        options.guest.stdin_path = "/dev/null";
    options.guest.discard = true;
    int status = cli_guest_open(cli, &options.guest, 2, argv, &g.guest);
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

static void check_file(struct run *run, char *path)
{
    (ends_in(path, ".lks") ? (void)check_trace(run, path) : check_program(run, path));
}

static void check_path(struct run *run, char *path)
{
    struct buf names, full;
    if (!os_folder_exists(path)) {
        check_file(run, path);
        return;
    }
    buf_init(&names, LIST_SIZE_MAX);
    buf_init(&full, LIST_SIZE_MAX);
    enum err err = os_folder_list(path, &names);
    for (size_t at = 0; !err && at < names.size && !os_interrupted();) {
        const char *name = (const char *)names.data + at;
        at += strlen(name) + 1;
        if (!ends_in(name, ".pvm") && !ends_in(name, ".lks"))
            continue;
        buf_clear(&full);
        buf_printf(&full, "%s/%s", path, name);
        err = full.err;
        if (!err)
            check_file(run, (char *)(uintptr_t)buf_string(&full));
    }
    if (err) {
        (void)ui_fail(run->cli, err, path);
        run->trouble = true;
    }
    buf_fini(&names);
    buf_fini(&full);
}

int cmd_check(struct cli *cli, int argc, char **argv)
{
    const struct options *options = cli->options;
    struct run run = {.cli = cli};
    int status = cli_engine_read(cli, &options->engine, &run.engine[1]);
    if (status)
        return status;
    if (run.engine[1].kind == REPLAY_ENGINE_RECOMP && !pvm_recomp_available())
        return ui_fail(cli, ERR_unsupported, "recompiler");
    os_catch_interrupts();
    for (int i = 0; i < argc && !os_interrupted(); i++)
        check_path(&run, argv[i]);
    if (!cli->json)
        ui_out(cli, "%" PRIu64 " programs same, %" PRIu64 " differ\n", run.same_count,
               run.differ_count);
    if (run.differ_count)
        return CLI_NO;
    return run.trouble || !run.same_count || os_interrupted() ? CLI_UNKNOWN : CLI_YES;
}
