/* SPDX-License-Identifier: MIT
 *
 * pvm/recomp_cache.h - the cache of native code, seen by the recompiler [10.5].
 * Private to pvm/; pvm.h says what it is for.
 */
#ifndef PVM_RECOMP_CACHE_H
#define PVM_RECOMP_CACHE_H

#include "pvm/engine.h"

struct recomp_entry;

/* What a program is made of, all borrowed.  The sandbox that it runs in is none of it,
 * only whether it runs in one. */
struct recomp_key {
    const struct pvm_code *code;
    const struct pvm_config *config;
    enum pvm_gas_log log;
    const struct pvm_recomp_options *options;
};

/* Compile, without a cache.  As pvm_program_recompile(). */
ERR_MUST_CHECK enum err pvm_recomp_make(struct arena *arena,
                                        const struct recomp_key *key,
                                        struct pvm_program **ret_program);

/* A program in `arena` that shares what the cache has, or has from now on; from
 * options->cache, which is not NULL.  As pvm_program_recompile(). */
ERR_MUST_CHECK enum err pvm_recomp_cache_take(struct arena *arena,
                                              const struct recomp_key *key,
                                              struct pvm_program **ret_program);

/* Have faults answered where code compiled with these options makes some. */
ERR_MUST_CHECK enum err
pvm_recomp_take_faults(const struct pvm_recomp_options *options);

/* A program that shared this one is closed. */
void pvm_recomp_cache_give(struct recomp_entry *entry);

#endif
