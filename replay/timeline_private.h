/* SPDX-License-Identifier: MIT
 *
 * replay/timeline_private.h - the inside of a time line.  Private to replay/.
 */
#ifndef REPLAY_TIMELINE_PRIVATE_H
#define REPLAY_TIMELINE_PRIVATE_H

#include "replay/timeline.h"

/* Who goes backwards finds a snapshot so many instructions before. */
enum { TIMELINE_NEAR = 4096 };

/* Pages, ascending, in memory of malloc(). */
struct timeline_pages {
    uint32_t *page;
    size_t count;
    bool known;
};

struct checkpoint {
    struct replay_time time;
    struct replay_snapshot *snapshot;
    /* Between the checkpoint before and this one; maybe more than that. */
    struct timeline_pages written;
    bool kept;
};

struct replay_timeline {
    struct replay_guest guest;
    struct replay_time end;
    uint64_t memory_max, spacing;
    bool (*interrupted)(void *self);
    void *interrupted_self;
    struct checkpoint *list; /* in order of time; the first is the start */
    size_t count, capacity;
    struct replay_time tracked_from; /* what the guest has written is since then */
    size_t break_count;
    struct replay_watch *watch;
    size_t watch_count;
    struct replay_timeline_stats stats;
};

struct replay_time replay_tl_now(const struct replay_timeline *t);
size_t replay_tl_find(const struct replay_timeline *t, struct replay_time time);
ERR_MUST_CHECK enum err replay_tl_save(struct replay_timeline *t);
void replay_tl_load(struct replay_timeline *t, size_t index);
ERR_MUST_CHECK enum err replay_tl_approach(struct replay_timeline *t,
                                           struct replay_time to);

/* Run forwards, with snapshots where they are due. */
ERR_MUST_CHECK enum err replay_tl_run(struct replay_timeline *t,
                                      const struct replay_until *until,
                                      struct replay_stop *ret_stop);

#endif
