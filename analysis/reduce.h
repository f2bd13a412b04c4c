/* SPDX-License-Identifier: MIT
 *
 * analysis/reduce.h - make a case small that shows a difference (trace-replay.md 13,
 * pvm-exec.md 11.2): drop instructions (delta debugging), then whatever else it does
 * without: runs, calls, tables, registers, memory, operands, gas.
 *
 * A smaller case counts when its verdict is of the same group.
 */
#ifndef ANALYSIS_REDUCE_H
#define ANALYSIS_REDUCE_H

#include "analysis/trial.h"

struct analysis_reduce_setup {
    const struct analysis_case *start;
    struct analysis_trial *trial; /* judges; each case in a process of its own */
    uint64_t time_ns;             /* 0: no limit; then what there is, is the result */
    bool (*interrupted)(void);    /* NULL: never; the same */
    /* Told now and then; NULL: nobody is. */
    void (*progress)(void *self, uint64_t attempts, uint32_t insn_count);
    void *self;
};

struct analysis_reduce_report {
    struct analysis_verdict verdict; /* of the result; SAME: the start shows nothing */
    uint64_t attempts;
    uint32_t insn_count[2]; /* of the start, of the result */
    bool complete;          /* nothing more could be dropped; else the time was up */
};

/* Reduce.  ERR_nomem, ERR_io. */
ERR_MUST_CHECK enum err analysis_reduce(const struct analysis_reduce_setup *setup,
                                        struct analysis_case *ret_case,
                                        struct analysis_reduce_report *ret_report);

#endif
