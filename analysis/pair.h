/* SPDX-License-Identifier: MIT
 *
 * analysis/pair.h - one case on two engines, with everything compared (pvm-exec.md
 * 10.1): after each run exit, argument, pc, registers, gas, icount, the paid mark, the
 * bytes, rights and states of all pages; of each run the calls with the state at each,
 * the stops at deadlines, and the charges as the gas log has them.
 *
 * Made to run very many small programs: nothing is mapped or allocated per case but
 * what an engine itself needs.  (analysis/check.h is for one large program.)
 *
 * Threads: a pair belongs to one.
 */
#ifndef ANALYSIS_PAIR_H
#define ANALYSIS_PAIR_H

#include "analysis/case.h"
#include "base/arena.h"

enum analysis_engine {
    ANALYSIS_ENGINE_INTERP, /* with the case's dispatch */
    ANALYSIS_ENGINE_RECOMP, /* in this process */
    ANALYSIS_ENGINE_OTHER,  /* the interpreter with the dispatch the case has not */
    ANALYSIS_ENGINE_COUNT,
};

/* "interp", "recomp", "other". */
extern const char *const analysis_engine_name[ANALYSIS_ENGINE_COUNT];

struct analysis_pair;

struct analysis_pair_report {
    const char *field; /* NULL: equal; else the first that differs: "a0", "memory" … */
    uint64_t where;    /* address of a byte or page; else 0 */
    uint64_t value[2];          /* by engine */
    uint32_t run;               /* the last one, from 0: where it differs, if it does */
    struct pvm_outcome outcome; /* of engine 0 in it */
    uint32_t pc;                /* of engine 0 behind it */
    uint64_t icount;            /* of engine 0, all runs */
};

/* Reserve what two engines need.  ERR_unsupported: there is no recompiler here;
 * ERR_nomem. */
ERR_MUST_CHECK enum err analysis_pair_create(struct arena *arena,
                                             const enum analysis_engine engine[2],
                                             struct analysis_pair **ret_pair);

/* NULL is fine. */
void analysis_pair_close(struct analysis_pair *pair);

/* Run the case.  A difference is no error; ERR_nomem. */
ERR_MUST_CHECK enum err analysis_pair_run(struct analysis_pair *pair,
                                          const struct analysis_case *c,
                                          struct analysis_pair_report *ret_report);

/* The blocks that were entered in the last case, each once: their first pcs.  Known
 * where the case's gas log is EACH; else there is none.  Until the next run. */
const uint32_t *analysis_pair_blocks(const struct analysis_pair *pair,
                                     uint32_t *ret_count);

#endif
