/* SPDX-License-Identifier: MIT
 *
 * trace/checkpoint.h - checkpoints of a pvm guest (trace-replay.md 2.9): where a cut
 * trace, or what is left of a ring, begins.
 */
#ifndef TRACE_CHECKPOINT_H
#define TRACE_CHECKPOINT_H

#include "trace/trace.h"

/* Where a replay goes on, but for memory and for what the events before the first
 * instruction tell. */
struct trace_pvm_checkpoint {
    struct trace_clock clock;
    struct hash256 state_hash; /* of the whole machine [7.2] */
    struct bytes registers;    /* 120 bytes [7.2] */
    struct bytes access;       /* runs of pages [7.2] */
    uint64_t charged;          /* 1: the block around pc is paid for */
    uint64_t hash_at;          /* gas clock of the next whole-machine hash */
    uint64_t digest_count;     /* events since the last register digest */
};

/* Append one canonical record each: the first record, whole pages.  Pages ascend. */
void trace_checkpoint_put(struct buf *payload,
                          const struct trace_pvm_checkpoint *checkpoint);
void trace_checkpoint_put_pages(struct buf *payload, uint64_t first_page,
                                struct bytes bytes);

/* One chunk of a BASE checkpoint: at most 32 MiB; only the first has the first
 * record. */
struct trace_base_part {
    struct bytes payload;
    uint32_t record_count;
};

/* The events that follow begin with number `seq` at `clock`, in the state that the
 * checkpoint tells.  Errors are sticky. */
void trace_writer_base(struct trace_writer *writer, uint64_t seq,
                       const struct trace_clock *clock,
                       const struct trace_base_part *part, size_t part_count);

/* Find the checkpoint in front of event `seq` and decode it; `pages` is called for its
 * memory, in order.  The bytes of *ret_checkpoint live in `arena`, those of a page
 * during the call.  ERR_not_found, ERR_trace_canonical, what `pages` answers. */
ERR_MUST_CHECK enum err trace_checkpoint_read(
    struct arena *arena, const struct trace_source *source, uint64_t seq,
    struct trace_pvm_checkpoint *ret_checkpoint,
    enum err (*pages)(void *self, uint64_t first_page, struct bytes bytes), void *self);

#endif
