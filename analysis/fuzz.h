/* SPDX-License-Identifier: MIT
 *
 * analysis/fuzz.h - run very many cases on two engines, in processes of their own.
 *
 * Jobs take blocks of program numbers from a common counter.  A job has its present
 * case in memory that we see, so a case that kills or hangs it is not lost.  Number k
 * is the program of seed k, or, every other time, a variation of a program that showed
 * something new (coverage.h).  Shard i of n has every n-th block.
 *
 * With a folder the interesting programs are kept from one call to the next, and so is
 * the place to go on at.  Files in it appear whole or not at all.
 */
#ifndef ANALYSIS_FUZZ_H
#define ANALYSIS_FUZZ_H

#include "analysis/exhaust.h"
#include "analysis/trial.h"

enum {
    ANALYSIS_FUZZ_JOBS_MAX = 256,
    ANALYSIS_FUZZ_BLOCK = 256,       /* programs that a job takes at once */
    ANALYSIS_FUZZ_CORPUS_MAX = 1024, /* programs kept */
    ANALYSIS_FUZZ_PATH_MAX = 4096,
};

struct analysis_fuzz_counts {
    uint64_t programs; /* of this call */
    uint64_t icount;   /* instructions of engine 0 */
    uint64_t total;    /* programs to come in this call and run; 0: no end */
    uint32_t features; /* the most that one job knows */
    uint32_t corpus;   /* programs kept, likewise */
    uint64_t differences;
    uint64_t next; /* number of the block to go on at */
    uint64_t time_ns;
};

/* A case that shows a difference. */
struct analysis_finding {
    const struct analysis_case *c;
    const struct analysis_verdict *verdict;
    uint64_t number; /* of the program */
};

struct analysis_fuzz_setup {
    enum analysis_engine engine[2];
    uint64_t seed;               /* added to program numbers */
    uint64_t count;              /* programs of all jobs; 0: no end */
    uint64_t time_ns;            /* 0: no end */
    uint32_t jobs;               /* 1..JOBS_MAX */
    uint32_t shard, shard_count; /* shard < shard_count */
    const char *corpus;          /* a folder that exists; NULL: nothing is kept */
    bool exhaustive;             /* instead of random programs: exhaust.h */
    unsigned op;                 /* exhaustive: an opcode, or ANALYSIS_EXHAUST_ALL */
    uint64_t hang_ns;            /* without a program done in it: the job hangs */
    void *self;                  /* of the functions below */
    bool (*interrupted)(void);   /* NULL: never */
    void (*progress)(void *self, const struct analysis_fuzz_counts *counts);
    /* Told of each difference; false ends it all. */
    bool (*finding)(void *self, const struct analysis_finding *finding);
};

/* Run.  Ends by count, time, `interrupted` or `finding`; all of it is in *ret_counts.
 * ERR_unsupported: an engine is not there.  ERR_nomem, ERR_io, ERR_case: the folder's
 * files, or the place that it keeps is that of another seed. */
ERR_MUST_CHECK enum err analysis_fuzz(const struct analysis_fuzz_setup *setup,
                                      struct analysis_fuzz_counts *ret_counts);

#endif
