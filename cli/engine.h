/* SPDX-License-Identifier: MIT
 *
 * cli/engine.h - the options that choose what executes a PVM guest.
 */
#ifndef CLI_ENGINE_H
#define CLI_ENGINE_H

#include "cli/cli.h"
#include "replay/replay.h"

struct cli_engine_options {
    enum replay_engine_kind kind;
    const char *interp_only; /* "add_64,load_u8"; NULL: none */
    bool in_process;
};

#define CLI_ENGINE_DEFAULTS                                                            \
    {                                                                                  \
        .kind = REPLAY_ENGINE_AUTO                                                     \
    }

extern const char *const cli_engine_word[]; /* in order of enum replay_engine_kind */

/* The rows of an option table; `type` has a member `engine`. */
#define CLI_INTERP_ONLY_OPTION(type)                                                   \
    CLI_STRING(type, engine.interp_only, "interp-only", 0, "OP,…",                     \
               "pvm, kernel: the recompiler leaves these to the interpreter")
#define CLI_ENGINE_OPTIONS(type)                                                       \
    CLI_WORD(type, engine.kind, "engine", 0, cli_engine_word,                          \
             "pvm, kernel: what executes (default auto: recomp where it can)"),        \
        CLI_INTERP_ONLY_OPTION(type),                                                  \
        CLI_FLAG(type, engine.in_process, "in-process", 0,                             \
                 "pvm, kernel: run native code in this process, not in a sandbox")

/* Check the options.  CLI_YES, or CLI_USAGE after a message: a word that is no opcode,
 * or opcodes for an engine that has no emitters. */
int cli_engine_read(struct cli *cli, const struct cli_engine_options *options,
                    struct replay_engine *ret_engine);

#endif
