/* SPDX-License-Identifier: MIT
 *
 * bench/plugin.h - the side of bench/engine.h that loads engines and runs programs.
 */
#ifndef BENCH_PLUGIN_H
#define BENCH_PLUGIN_H

#include "bench/engine.h"
#include "pvm/pvm.h"

/* What the program hostcall asks for: a0 plus one. */
enum { BENCH_CALL_ADD_ONE = 100 };

/* Load an engine.  ERR_io, ERR_unsupported (it is none, or of another version), with
 * words in *ret_text. */
ERR_MUST_CHECK enum err bench_plugin_open(const char *path,
                                          const struct bench_engine **ret_engine,
                                          const char **ret_text);

/* A program on an engine; `container` is borrowed.  ERR_unsupported: it cannot take it.
 */
struct bench_plugin_machine {
    const struct bench_engine *engine;
    const struct pvm_container *container;
    void *loaded;
};
ERR_MUST_CHECK enum err bench_plugin_load(const struct bench_engine *engine,
                                          const struct pvm_container *container,
                                          struct bench_plugin_machine *ret_machine);
void bench_plugin_unload(struct bench_plugin_machine *machine);

/* Run it afresh with `n` in a0, and if it halts once more in the same memory; answers
 * enum bench_engine_exit.  The result is a0 at the end, the time that of the last run
 * alone. */
int bench_plugin_run(const struct bench_plugin_machine *machine, uint64_t n,
                     uint64_t *ret_result, uint64_t *ret_ns);

#endif
