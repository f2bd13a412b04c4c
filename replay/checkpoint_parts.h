/* SPDX-License-Identifier: MIT
 *
 * replay/checkpoint_parts.h - checkpoints of any guest (trace-replay.md 2.9).  Private
 * to replay/.
 */
#ifndef REPLAY_CHECKPOINT_PARTS_H
#define REPLAY_CHECKPOINT_PARTS_H

#include "replay/pages.h"
#include "replay/replay.h"
#include "trace/checkpoint.h"

enum {
    CHECKPOINT_PART_SIZE = 32 << 20,
    CHECKPOINT_PART_COUNT = 256,
    CHECKPOINT_RUN_PAGES = 16,
};

/* The payloads of one, in order. */
struct checkpoint {
    struct buf part[CHECKPOINT_PART_COUNT];
    uint32_t record_count[CHECKPOINT_PART_COUNT];
    size_t part_count;
    /* As its first record has them. */
    struct trace_clock clock;
    struct hash256 state_hash;
    uint64_t page_count;
    /* Pages that become one record. */
    uint32_t run_first, run_count;
    uint8_t run[CHECKPOINT_RUN_PAGES * PAGES_SIZE];
};
/* Put the first record. */
void replay_checkpoint_begin(struct checkpoint *c, const struct trace_checkpoint *head);
/* Put a page; NULL: zeros.  Pages ascend. */
void replay_checkpoint_put_page(struct checkpoint *c, uint32_t page,
                                const uint8_t *bytes);
/* Complete it.  ERR_nomem; ERR_limit: the guest is too large. */
ERR_MUST_CHECK enum err replay_checkpoint_end(struct checkpoint *c);
/* Its parts, borrowed; room for CHECKPOINT_PART_COUNT. */
void replay_checkpoint_parts(const struct checkpoint *c, struct trace_base_part *part);
/* Give them to a ring's writer; what it answers. */
ERR_MUST_CHECK enum err replay_checkpoint_give(const struct checkpoint *c,
                                               trace_ring_put_fn *put, void *to);
void replay_checkpoint_fini(struct checkpoint *c);

/* Checkpoints along one run: a full one, then what differs, as long as all that is not
 * more than the full one. */
struct checkpoint_series {
    struct replay_checkpoints options;
    uint64_t next;            /* icount at which one is due */
    struct pages_image last;  /* memory of the last one */
    uint64_t memory;          /* of the image */
    uint64_t full_page_count; /* 0: the next one is full */
    uint64_t page_count;      /* of all since */
};
void replay_series_init(struct checkpoint_series *series,
                        const struct replay_checkpoints *options);
void replay_series_fini(struct checkpoint_series *series);
/* Put a page, if it belongs to the checkpoint.  ERR_nomem. */
ERR_MUST_CHECK enum err replay_series_page(struct checkpoint_series *series,
                                           struct checkpoint *c, bool full,
                                           uint32_t page, const uint8_t *bytes);
/* A checkpoint of differences has been made: is it a full one that is wanted? */
bool replay_series_wants_full(const struct checkpoint_series *series,
                              const struct checkpoint *c);
/* It is complete: hand it over. */
ERR_MUST_CHECK enum err replay_series_put(struct checkpoint_series *series,
                                          const struct checkpoint *c, bool full,
                                          uint64_t seq,
                                          const struct trace_clock *clock);

#endif
