/* SPDX-License-Identifier: MIT
 *
 * analysis/fuzz_private.h - what a fuzzer and its jobs share.  Private to analysis/.
 */
#ifndef ANALYSIS_FUZZ_PRIVATE_H
#define ANALYSIS_FUZZ_PRIVATE_H

#include "analysis/fuzz.h"

/* One job's part of the shared memory; written by the job, but for the first two. */
struct fuzz_slot {
    uint64_t block, index; /* where to begin: a block, and a program in it */
    uint64_t programs, icount;
    uint32_t features, corpus;
    struct analysis_verdict verdict; /* of `now`, when the job ended with FUZZ_FOUND */
    struct analysis_case now;
};

struct fuzz_shared {
    uint64_t next_block; /* to be taken; of this shard */
    uint64_t end_block;
    uint32_t stop;
    struct fuzz_slot slot[];
};

/* How a job ends. */
enum fuzz_end { FUZZ_DONE = 0, FUZZ_FOUND = 10, FUZZ_FAILED = 11 };

struct fuzz_job {
    const struct analysis_fuzz_setup *setup;
    struct fuzz_shared *shared;
    struct fuzz_slot *slot;
};

/* `work` of base/os_jobs.h: run blocks until there are no more; `self` is a fuzz_job.
 */
int analysis_fuzz_work(void *self);

/* The file name of a case in a folder: a hash of its text. */
ERR_MUST_CHECK enum err analysis_case_path(const char *folder,
                                           const struct analysis_case *c,
                                           struct buf *ret_path, struct buf *ret_text);

#endif
