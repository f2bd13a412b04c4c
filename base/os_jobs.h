/* SPDX-License-Identifier: MIT
 *
 * base/os_jobs.h - copies of this process that do work which may crash or hang.
 *
 * A job is forked: it sees all memory as it was when it started, and shares with us
 * only what os_shared_create() made.  What it writes there before each step tells what
 * it was at when it died.  A job ends when its parent does.
 *
 * Threads: start jobs while no other thread holds a lock that they need.  Linux.
 */
#ifndef BASE_OS_JOBS_H
#define BASE_OS_JOBS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed memory that jobs started from now on share with us; os_unmap() gives it back.
 * ERR_nomem. */
ERR_MUST_CHECK enum err os_shared_create(size_t size, void **ret_data);

/* A file without a name, for what a job prints; os_close() gives it back. */
ERR_MUST_CHECK enum err os_scratch_open(int *ret_fd);

enum os_job_state {
    OS_JOB_NONE, /* never started, or closed */
    OS_JOB_RUNS,
    OS_JOB_ENDED, /* `work` returned, or the process called exit: `status` */
    OS_JOB_DIED,  /* by a signal: `status` is its number */
};

struct os_job {
    enum os_job_state state;
    int status;
    int pid, pidfd;
};

/* Fork, and have the copy end with what `work` answers (0..255).  `quiet`: what it says
 * on stderr is lost.  `output`: a descriptor that is its stdout; -1: ours.  ERR_nomem,
 * ERR_io: no further process. */
ERR_MUST_CHECK enum err os_job_start(struct os_job *job, int (*work)(void *self),
                                     void *self, bool quiet, int output);

/* Wait until it has ended, at most that long (0: only look). */
enum os_job_state os_job_wait(struct os_job *job, uint64_t timeout_ns);

/* Kill it if it runs, and forget it.  Fine for {0} and twice. */
void os_job_close(struct os_job *job);

/* "segmentation fault", the system's words for a signal.  Static storage. */
const char *os_signal_text(int signal);

#endif
