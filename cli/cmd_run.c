/* SPDX-License-Identifier: MIT
 *
 * lockstep run: run a guest without a trace.
 */
#include "cli/engine.h"
#include "cli/guest.h"
#include "cli/pc_guest.h"

#include "base/os.h"

#include <inttypes.h>
#include <string.h>

struct options {
    struct cli_guest_options guest;
    struct cli_engine_options engine;
    struct cli_pc_options pc;
    struct cli_list fs;
};

static const struct options defaults = {
    .guest = CLI_GUEST_DEFAULTS, .engine = CLI_ENGINE_DEFAULTS, .pc = CLI_PC_DEFAULTS};

static const struct cli_option option[] = {
    CLI_GUEST_OPTIONS(struct options),
    CLI_ENGINE_OPTIONS(struct options),
    CLI_PC_OPTIONS(struct options),
    CLI_FS_OPTION(struct options),
    CLI_END,
};

const struct cli_spec cli_spec_run = {
    .option = option,
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .positional = {{"GUEST", 1, 1, "pvm or pc"},
                   {"PROGRAM", 0, 1,
                    "pvm: a raw blob, a standard program or a .polkavm"},
                   {"ARG", 0, CLI_MANY, "arguments for the guest"}},
    .example = {{"lockstep run pvm corpus/pvm/bin/wc.pvm --dir . -- -l README.md",
                 "run a program that reads a file"},
                {"lockstep run -v pvm corpus/pvm/bin/fib.pvm --reg a0=20",
                 "run a function and see its result"}},
    .exclude = {{"one-by-one", "engine-stress"}},
    .guests = "pvm kernel pc v86fs",
    .about =
        "The guest reaches the world through the calls of pvm/hostcalls.def only: "
        "arguments, standard input and output, files below --dir, clock and random "
        "numbers.",
    .exit_yes = "the guest has halted",
    .exit_other =
        "the guest's own status when it calls exit; 134 when it ends in a panic, "
        "trap or fault or runs out of gas; 130 after Ctrl-C",
};

int cmd_run(struct cli *cli, int argc, char **argv)
{
    const struct options *options = cli->options;
    struct cli_guest guest;
    struct replay_session *session = NULL;
    struct replay_result result;
    struct replay_engine engine;
    int status;
    if (strcmp(argv[0], "pc") == 0) {
        if (argc > 1)
            return ui_usage(cli, "a pc takes --kernel, not '%s'", argv[1]);
        return cli_pc_run(cli, &options->pc, &options->guest, &options->fs,
                          &(struct cli_pc_record){0});
    }
    status = cli_engine_read(cli, &options->engine, &engine);
    if (status)
        return status;
    status = cli_guest_open(cli, &options->guest, argc, argv, &guest);
    if (!status) {
        os_catch_interrupts();
        const struct replay_session_options how = {.host = &guest.host,
                                                   .engine = engine,
                                                   .limit = REPLAY_NO_LIMIT,
                                                   .interrupted = os_interrupted};
        enum err err =
            replay_session_create(&guest.arena, &guest.setup, &how, &session);
        if (!err)
            err = replay_session_run(session, &result);
        if (err) {
            status = ui_fail(cli, err, guest.path);
        } else {
            char words[80];
            const struct pvm_state *state = replay_session_state(session);
            status = cli_guest_status(&result, state, words);
            bool fault = !result.exited && result.outcome.exit != PVM_EXIT_HALT;
            (fault ? ui_note : ui_verbose)(
                cli, "%s: %s, %" PRIu64 " instructions, %" PRIu64 " gas", guest.path,
                words, result.clock.icount, result.clock.gas);
        }
    }
    replay_session_close(session);
    cli_guest_close(&guest);
    return status;
}
