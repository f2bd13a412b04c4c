/* SPDX-License-Identifier: MIT
 *
 * base/os_worker.h - a process of our own that runs native code behind walls.
 *
 * A worker is a copy of this process that has thrown away what a copy inherits: memory,
 * descriptors, privileges, and all system calls but a handful.  It shares a few memory
 * objects with us, at the same addresses as here, and does one thing: it calls a
 * function in one of them when it is told to, and reports what that returned, or how it
 * failed.  docs/sandbox.md tells what stands between it and us.
 *
 * Trust: none.  What a worker writes, into shared objects too, is data from an enemy.
 * Nothing here looks at more of it than a counter and an answer, and copies those once.
 *
 * Threads: one thread at a time uses one worker; different workers know nothing of each
 * other.  A worker does not outlive this process; it does outlive the thread that
 * opened it.  x86-64 Linux; elsewhere os_worker_open() says ERR_unsupported.
 */
#ifndef BASE_OS_WORKER_H
#define BASE_OS_WORKER_H

#include "base/err.h"
#include "base/os_code.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- memory objects: memory that has a descriptor and keeps its size ---- */

/* Zeroed, lazily committed, `size` rounded up to pages; can be mapped readable and
 * writable, as often as wanted.  os_close() gives up the descriptor; the memory lives
 * as long as somebody maps it.  ERR_nomem, ERR_io. */
ERR_MUST_CHECK enum err os_object_create(size_t size, int *ret_fd);

/* The size of an object that somebody else made.  ERR_access unless it is sealed
 * against shrinking, so that touching it is safe. */
ERR_MUST_CHECK enum err os_object_size(int fd, uint64_t *ret_size);

/* Map part of an object for reading and writing: at `at`, over whatever is there (a
 * part of a reservation of the caller's), or anywhere for NULL.  os_unmap() of
 * base/os.h undoes it.  ERR_nomem. */
ERR_MUST_CHECK enum err os_object_map(int fd, uint64_t offset, size_t size, void *at,
                                      void **ret_data);

/* Give the pages back, in every process that maps them; they read as zero again. */
ERR_MUST_CHECK enum err os_object_discard(int fd, uint64_t offset, size_t size);

/* ---- the life of a worker ---- */

/* The walls.  Where the system does not allow one, the worker does without. */
enum os_worker_wall {
    OS_WORKER_USER = 1 << 0,    /* namespaces */
    OS_WORKER_PID = 1 << 1,     /* sees no other process */
    OS_WORKER_NET = 1 << 2,     /* no network interface */
    OS_WORKER_IPC = 1 << 3,     /* no shared memory or queues of System V */
    OS_WORKER_MOUNT = 1 << 4,   /* mounts of its own */
    OS_WORKER_UTS = 1 << 5,     /* host name */
    OS_WORKER_CGROUP = 1 << 6,  /* view of the control groups */
    OS_WORKER_ROOT = 1 << 7,    /* an empty folder is its root */
    OS_WORKER_MEMORY = 1 << 8,  /* nothing of our memory is left in it */
    OS_WORKER_SECCOMP = 1 << 9, /* system calls: base/os_worker_filter.c */
    OS_WORKER_WALLS = (1 << 10) - 1,
};

struct os_worker_options {
    unsigned without;  /* walls not to build, e.g. to see what one costs */
    unsigned require;  /* walls without which os_worker_open() says ERR_unsupported */
    size_t stack_size; /* of native code; 0: 256 KiB */
    /* Memory that may be mapped in the worker, rights or not; 0: 64 GiB. */
    uint64_t address_space_max;
};

struct os_worker;

/* Start a worker and wait until it stands behind its walls.  `options` may be NULL.
 * ERR_unsupported, ERR_nomem, ERR_worker_lost, ERR_io. */
ERR_MUST_CHECK enum err os_worker_open(const struct os_worker_options *options,
                                       struct os_worker **ret_worker);

/* Kill it if it lives; nothing of it remains.  NULL is fine. */
void os_worker_close(struct os_worker *worker);

/* The set of enum os_worker_wall that stand. */
unsigned os_worker_walls(const struct os_worker *worker);

/* The name of one wall, "user"; "?" for a value outside the enum.  Static storage. */
const char *os_worker_wall_name(enum os_worker_wall wall);

int os_worker_pid(const struct os_worker *worker);

/* How it ended: its exit status, 128 + n after signal n; -1 while it lives. */
int os_worker_end(const struct os_worker *worker);

/*
 * The functions below talk to the worker.  All of them return
 *   ERR_worker_lost     it died, was stopped, or answered nonsense, now or before; it
 * is dead by now, and stays so ERR_worker_timeout  it did not answer in time; the same
 * besides the errors they name.
 */

enum os_worker_access {
    OS_WORKER_NONE,
    OS_WORKER_R,
    OS_WORKER_RW,
    OS_WORKER_RX, /* mapped that way for ever: such a page was never writable there */
};

struct os_worker_mapping {
    int fd; /* borrowed during the call */
    uint64_t offset;
    void *address; /* in the worker; nothing may be mapped there */
    size_t size;
    enum os_worker_access access;
};

/* Map part of an object.  ERR_usage after os_worker_lock(); ERR_nomem, ERR_exists. */
ERR_MUST_CHECK enum err os_worker_map(struct os_worker *worker,
                                      const struct os_worker_mapping *mapping);
ERR_MUST_CHECK enum err os_worker_unmap(struct os_worker *worker, void *address,
                                        size_t size);

/* No mapping from now on: the worker gives up the system calls for it.  Once. */
ERR_MUST_CHECK enum err os_worker_lock(struct os_worker *worker);

/* New rights of mapped pages; RX is no such right. */
struct os_worker_range {
    void *address;
    size_t size;
    enum os_worker_access access;
};

enum { OS_WORKER_RANGE_COUNT_MAX = 64, OS_WORKER_ARG_COUNT = 6 };

struct os_worker_call {
    /* First change these rights.  At most OS_WORKER_RANGE_COUNT_MAX. */
    const struct os_worker_range *ranges;
    size_t range_count;
    /* Then set the gs base and call the function at `entry` with these arguments by the
     * C calling convention.  0: do not call. */
    uint64_t entry;
    uint64_t args[OS_WORKER_ARG_COUNT];
    void *gs_base;
    /* SIGSEGV, SIGBUS, SIGILL and SIGFPE with their instruction pointer in these bytes
     * are noted, and execution goes on at `fault_resume` with everything else as it
     * was. Elsewhere they end the worker. */
    uint64_t fault_start, fault_size, fault_resume;
    uint64_t timeout_ns; /* 0: for ever */
};

struct os_worker_result {
    uint64_t value; /* what the function returned */
    /* The last fault of the call; signal 0: none. */
    int signal;
    uint64_t fault_ip, fault_address; /* the latter is a hint, see os_fault_address() */
};

/* ERR_nomem: rights could not be changed (vm.max_map_count), and nothing was called. */
ERR_MUST_CHECK enum err os_worker_call(struct os_worker *worker,
                                       const struct os_worker_call *call,
                                       struct os_worker_result *ret_result);

#endif
