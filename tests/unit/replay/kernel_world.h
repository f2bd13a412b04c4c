/* SPDX-License-Identifier: MIT
 *
 * tests/unit/replay/kernel_world.h - a session of a capability kernel that has about
 * everything, in memory: calls, yields, an invocation that runs out of gas and is
 * resumed, traps at first instructions, replaced images, refused requests; it ends in a
 * trap.
 */
#ifndef TESTS_UNIT_REPLAY_KERNEL_WORLD_H
#define TESTS_UNIT_REPLAY_KERNEL_WORLD_H

#include "tests/unit/replay/run.h"

#include "replay/kernel.h"
#include "trace/checkpoint.h"

void kernel_world_session(struct replay_kernel *s);

/* More programs than a kernel of depth 1 keeps predecoded, and a budget that is no
 * signed number. */
enum { KERNEL_WORLD_PROGRAMS = 80, KERNEL_WORLD_RUNS = 160 };
void kernel_world_programs(struct replay_kernel *s);

/* Where the first session stores and reads guest memory. */
enum { KERNEL_WORLD_STORED = 0x2008, KERNEL_WORLD_READ_INTO = 0x3000 };

struct kernel_world {
    enum pvm_gas_log log;
    uint32_t depth, flags; /* of the kernel, besides STATEFUL_CHILDREN */
    struct replay_engine engine;
    uint64_t checkpoint;            /* instructions between two of them; 0: none */
    const struct trace_ring *ring;  /* NULL: one file */
    struct replay_kernel **session; /* gets the session while it runs; NULL */
    void (*run)(struct replay_kernel *s);
};

/* Record into `memory`, which has been initialised; the identity. */
struct hash256 kernel_world_record(const struct kernel_world *how,
                                   struct trace_memory *memory);

/* The pages of a checkpoint, for another one; gets them one by one as `self`. */
struct kernel_world_pages {
    struct buf *payload;
    uint32_t record_count;
};
enum err kernel_world_copy_pages(void *self, uint64_t first_page, struct bytes bytes);

#endif
