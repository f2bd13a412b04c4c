/* SPDX-License-Identifier: MIT
 *
 * lockstep dap: the Debug Adapter Protocol on standard input and output, for editors.
 */
#include "cli/dap.h"

#include "base/os.h"

struct options {
    const char *parent;
    const char *modules;
    bool no_kallsyms;
};

static const struct options defaults;

static const struct cli_option option[] = {
    CLI_STRING(struct options, parent, "parent", 'p', "FILE",
               "the trace that a child branches from (default: in its folder)"),
    CLI_STRING(struct options, modules, "modules", 0, "FOLDER",
               "a pc that runs Linux: names of its modules, from *.ko below a folder"),
    CLI_FLAG(struct options, no_kallsyms, "no-kallsyms", 0,
             "a pc that runs Linux: not the names that its kernel has itself"),
    CLI_END,
};

const struct cli_spec cli_spec_dap = {
    .option = option,
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .positional = {{"TRACE", 0, 1, "trace to debug (default: the client says which)"}},
    .example = {{"lockstep dap", "as an editor starts it"},
                {"lockstep dap run.lks", "where the editor cannot name the trace"}},
    .about =
        "Speaks the Debug Adapter Protocol on standard input and output: step and step "
        "back, continue in both directions, breakpoints on lines, functions, "
        "instructions and "
        "data, registers, memory, disassembly.  The client's launch request names the "
        "trace with \"trace\": FILE, unless the command line does, and with "
        "\"symbols\": OUT.dbg of lockstep link -g the lines of the source.  "
        "\"parent\": FILE is --parent, \"modules\": FOLDER is --modules, and "
        "\"kallsyms\": false is --no-kallsyms.\n\n"
        "In the debug console: a register ($a0), *ADDRESS for eight bytes, a symbol or "
        "SYMBOL+N for its address, an address for the function that is there, and seek "
        "POSITION (N, g:N, N%, start, end, +N, -N).",
    .exit_yes = "the client has left",
};

int cmd_dap(struct cli *cli, int argc, char **argv)
{
    os_catch_interrupts(); /* and a client that is gone is an error, no signal */
    const struct options *options = cli->options;
    const struct dap_start start = {.trace = argc > 0 ? argv[0] : NULL,
                                    .parent = options->parent,
                                    .modules = options->modules,
                                    .no_kallsyms = options->no_kallsyms};
    return dap_run(cli, &start, 0, 1);
}
