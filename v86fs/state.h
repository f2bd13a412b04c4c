/* SPDX-License-Identifier: MIT
 *
 * v86fs/state.h - what saving and loading share (v86fs.md 8): little-endian numbers of
 * fixed width, and lists in rising order.
 */
#ifndef V86FS_STATE_H
#define V86FS_STATE_H

#include "base/arena.h"
#include "base/buf.h"
#include "v86fs/tree.h"

/* ---- writing ---- */

void v86fs_put(struct buf *buf, unsigned size, uint64_t value);
void v86fs_put_time(struct buf *buf, struct v86fs_time time);

/* u16 count and bytes. */
void v86fs_put_text(struct buf *buf, struct bytes text);

/* ---- reading hostile bytes: after the first failure all answers are 0 ---- */

struct v86fs_take {
    struct bytes rest;
    bool failed;
};

uint64_t v86fs_take(struct v86fs_take *take, unsigned size);

/* At most `max`, or the reader has failed. */
uint64_t v86fs_take_upto(struct v86fs_take *take, unsigned size, uint64_t max);

/* ns below 10^9, or the reader has failed. */
struct v86fs_time v86fs_take_time(struct v86fs_take *take);

/* Borrowed. */
struct bytes v86fs_take_bytes(struct v86fs_take *take, size_t size);
struct bytes v86fs_take_text(struct v86fs_take *take);

/* Fail unless `good`. */
void v86fs_take_demand(struct v86fs_take *take, bool good);

/* ---- order ---- */

struct v86fs_item {
    uint64_t key; /* no two are equal */
    uint32_t slot;
};

/* Into rising keys. */
void v86fs_items_sort(struct v86fs_item *items, uint32_t count);

#endif
