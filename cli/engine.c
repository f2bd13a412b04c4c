/* SPDX-License-Identifier: MIT */
#include "cli/engine.h"

#include <string.h>

const char *const cli_engine_word[] = {
    [REPLAY_ENGINE_INTERP] = "interp",
    [REPLAY_ENGINE_RECOMP] = "recomp",
    [REPLAY_ENGINE_AUTO] = "auto",
    NULL,
};

/* The opcode of this name, or 256. */
static unsigned op_named(const char *name, size_t size)
{
    for (unsigned op = 0; op < 256; op++) {
        const char *known = pvm_op_info[op].name;
        if (known && strlen(known) == size && memcmp(known, name, size) == 0)
            return op;
    }
    return 256;
}

int cli_engine_read(struct cli *cli, const struct cli_engine_options *options,
                    struct replay_engine *ret_engine)
{
    struct replay_engine engine = {.kind = options->kind,
                                   .in_process = options->in_process,
                                   .recomp = {.interpret_first = true}};
    const char *at = options->interp_only;
    if (at && options->kind == REPLAY_ENGINE_INTERP)
        return ui_usage(cli,
                        "--interp-only is for the recompiler, not --engine=interp");
    while (at) {
        size_t size = strcspn(at, ",");
        unsigned op = op_named(at, size);
        if (op == 256)
            return ui_usage(cli, "--interp-only: '%.*s' is no instruction", (int)size,
                            at);
        engine.recomp.interp_only[op / 64] |= (uint64_t)1 << op % 64;
        at = at[size] ? at + size + 1 : NULL;
    }
    *ret_engine = engine;
    return CLI_YES;
}
