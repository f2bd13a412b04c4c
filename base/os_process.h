/* SPDX-License-Identifier: MIT
 *
 * base/os_process.h - a process of our own that runs C code and has one stream to us.
 *
 * A forked copy of this process that keeps its memory and libraries, and loses what it
 * could do harm with: descriptors, privileges, namespaces, and all system calls but
 * those for memory and for its stream.  base/os_worker.h is for native code that must
 * not even find our memory; this is for code that has to have some.
 *
 * The process ends with the thread that opened it, and must not outlive its stream: it
 * reads the end of it.  Linux.
 */
#ifndef BASE_OS_PROCESS_H
#define BASE_OS_PROCESS_H

#include "base/os_worker.h"

/* The walls that a process can have. */
enum { OS_PROCESS_WALLS = OS_WORKER_WALLS & ~(OS_WORKER_PID | OS_WORKER_MEMORY) };

struct os_process_options {
    unsigned without; /* walls not to build: enum os_worker_wall */
    unsigned require; /* walls without which os_process_open() says ERR_unsupported */
    /* Address space beyond what this process has now; 0: no limit. */
    uint64_t address_space_max;
};

struct os_process;

/*
 * Start a process that calls `run` with the other end of *ret_process's stream, and
 * ends with the status that `run` returns.  `self` is the copy's.  Locks that other
 * threads hold stay locked in the copy, but for those of the allocator.  `options` may
 * be NULL.  ERR_unsupported, ERR_nomem, ERR_io, ERR_worker_lost.
 */
ERR_MUST_CHECK enum err os_process_open(const struct os_process_options *options,
                                        int (*run)(void *self, int stream), void *self,
                                        struct os_process **ret_process);

/* Kill it if it lives, and close the stream.  NULL is fine. */
void os_process_close(struct os_process *process);

/* Our end of the stream (base/os_stream.h), borrowed. */
int os_process_stream(const struct os_process *process);

int os_process_pid(const struct os_process *process);

/* Those of OS_PROCESS_WALLS that stand. */
unsigned os_process_walls(const struct os_process *process);

/* How it ended: its exit status, 128 + n after signal n; -1 while it lives. */
int os_process_end(struct os_process *process);

#endif
