/* SPDX-License-Identifier: MIT
 *
 * analysis/trial.h - whether engines differ on a case, also where one of them crashes
 * or hangs: the case runs in a process of its own.
 *
 * Who compares is the caller's: a function that fills a verdict.
 */
#ifndef ANALYSIS_TRIAL_H
#define ANALYSIS_TRIAL_H

#include "analysis/pair.h"

/* What a case shows.  Cases that show the same group are one defect, most likely. */
enum analysis_group {
    ANALYSIS_SAME,
    ANALYSIS_VALUE, /* registers, memory */
    ANALYSIS_FLOW,  /* exit, argument, pc, icount */
    ANALYSIS_GAS,   /* gas, paid mark, page states, ledger, deadlines */
    ANALYSIS_CALL,  /* calls of the host */
    ANALYSIS_CRASH, /* the process died */
    ANALYSIS_HANG,
};

/* "same", "value", … */
const char *analysis_group_name(enum analysis_group group);

/* The group of a field of analysis/pair.h; SAME for NULL. */
enum analysis_group analysis_group_of(const char *field);

struct analysis_verdict {
    enum analysis_group group;
    char text[120]; /* "a0: 0x1, 0x2" or "segmentation fault"; "" for SAME */
};

/* Say what engines show on a case.  May crash or hang. */
typedef void analysis_judge_fn(void *self, const struct analysis_case *c,
                               struct analysis_verdict *ret_verdict);

/* The judge for a pair, which is its `self`. */
void analysis_pair_judge(void *pair, const struct analysis_case *c,
                         struct analysis_verdict *ret_verdict);

/* Write what a report says. */
void analysis_verdict_fill(struct analysis_verdict *verdict,
                           const struct analysis_pair_report *report);

struct analysis_trial {
    analysis_judge_fn *judge;
    void *self;
    uint64_t timeout_ns; /* of one case */
    bool quiet;          /* what a failed check() says is lost */
    /* private */
    struct analysis_trial_page *page;
};

/* What trials need; the members above are filled in.  ERR_nomem. */
ERR_MUST_CHECK enum err analysis_trial_open(struct analysis_trial *trial);
void analysis_trial_close(struct analysis_trial *trial);

/* Judge in a process of its own.  ERR_interrupted, ERR_nomem, ERR_io. */
ERR_MUST_CHECK enum err analysis_trial_run(struct analysis_trial *trial,
                                           const struct analysis_case *c,
                                           struct analysis_verdict *ret_verdict);

#endif
