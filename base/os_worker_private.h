/* SPDX-License-Identifier: MIT
 *
 * base/os_worker_private.h - what the two sides of a worker share.  Private to base/.
 */
#ifndef BASE_OS_WORKER_PRIVATE_H
#define BASE_OS_WORKER_PRIVATE_H

#include "base/os_worker.h"

#include <linux/filter.h>
#include <sys/mman.h>
#include <sys/types.h>

/* Functions that run in a worker: nothing but their section and a stack is there.  No
 * library, no static data, no constants in memory; tests/meta/symbols.sh looks. */
#define OS_WORKER_CODE __attribute__((section("os_worker_code")))

enum {
    WORKER_CHANNEL = 0, /* the descriptors of a worker: the socket, */
    WORKER_OBJECT = 1,  /* and an object while it is being mapped */
    /* The only way in which a worker can map anything. */
    WORKER_MAP_FLAGS = MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_NORESERVE,
    WORKER_FILTER_MAX = 256,
    WORKER_KEEP_COUNT = 3,
    WORKER_SPIN_MAX = 4000, /* pauses; about 50 us to 150 us */
    WORKER_SPIN_MIN = 50,
};

enum worker_phase { WORKER_SETUP, WORKER_LOCKED, WORKER_PHASE_COUNT };

enum worker_command {
    WORKER_CALL,
    WORKER_MAP,
    WORKER_UNMAP,
    WORKER_LOCK,
};

/* Why a worker gave up before it was ready: its exit status. */
enum worker_exit {
    WORKER_EXIT_DESCRIPTORS = 70,
    WORKER_EXIT_PRIVILEGES,
    WORKER_EXIT_ORPHAN,
    WORKER_EXIT_SIGNALS,
};

struct worker_keep {
    uint64_t start, end;
};

struct worker_range {
    uint64_t address, size;
    uint32_t protection;
};

struct worker_filter {
    uint32_t size;
    struct sock_filter code[WORKER_FILTER_MAX];
};

/* The shared page (it is several).  The first part is written once, before the worker
 * exists.  We read `reply`, `parent_sleeps`, `worker_sleeps` and the answer only. */
struct worker_page {
    struct worker_page *self; /* the worker finds it at fs:0 */
    uint64_t stack_top;
    uint64_t signal_stack, signal_stack_size;
    uint64_t rseq, rseq_size;
    struct worker_keep keep[WORKER_KEEP_COUNT]; /* ascending */
    uint64_t address_space_max;
    uint32_t walls_wanted, spin_max, has_fsgsbase;
    int32_t channel;
    uint32_t descriptor_limit;
    char empty_root[32], slash[2];
    struct worker_filter filter[WORKER_PHASE_COUNT];

    /* The handoff: `request` counts commands, `reply` follows it. */
    _Alignas(64) uint32_t request;
    uint32_t worker_sleeps;
    _Alignas(64) uint32_t reply;
    uint32_t parent_sleeps;

    /* A command. */
    _Alignas(64) uint32_t command;
    uint32_t range_count;
    uint64_t entry, args[OS_WORKER_ARG_COUNT], gs_base;
    uint64_t fault_start, fault_size, fault_resume;
    uint64_t map_address, map_size, map_offset;
    uint32_t map_protection;
    struct worker_range ranges[OS_WORKER_RANGE_COUNT_MAX];

    /* An answer. */
    _Alignas(64) uint64_t value;
    uint64_t fault_ip, fault_address;
    int32_t fault_signal, error;
    uint32_t walls;
};

struct os_worker {
    struct worker_page *page;
    char *stacks; /* address space that the worker's stacks have in the worker */
    size_t stacks_size;
    int channel, pidfd;
    pid_t pid;
    bool alive, locked;
    int end;
    unsigned walls;
    uint32_t request; /* ours; the page's is only for the worker to see */
    unsigned spin_limit, spin_max;
};

/* The child's first function, on the parent's stack still. */
_Noreturn void os_worker_child(struct worker_page *page);

/* The bytes of OS_WORKER_CODE, in whole pages. */
struct worker_keep os_worker_text(void);

/* The two filters, built once.  ERR_nomem. */
ERR_MUST_CHECK enum err os_worker_filters(const struct worker_filter **ret_filters);

/* The filter of base/os_process.h, built once.  ERR_nomem. */
ERR_MUST_CHECK enum err os_process_filter(const struct worker_filter **ret_filter);

/* Run `start` on a thread that lives as long as this process: a worker is told of the
 * death of the thread that started it.  ERR_nomem. */
ERR_MUST_CHECK enum err os_worker_keeper_run(enum err (*start)(void *self), void *self);

/* Give the worker the command in its page and wait for the answer. */
ERR_MUST_CHECK enum err os_worker_ask(struct os_worker *worker, uint64_t timeout_ns);

/* Wait for the answer number worker->request. */
ERR_MUST_CHECK enum err os_worker_await(struct os_worker *worker, uint64_t timeout_ns);

/* Kill and reap it. */
void os_worker_kill(struct os_worker *worker);

#endif
