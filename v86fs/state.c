/* SPDX-License-Identifier: MIT */
#include "v86fs/state.h"

#include "v86fs/proto.h"

/* ---- writing ---- */

void v86fs_put(struct buf *buf, unsigned size, uint64_t value)
{
    uint8_t number[8];
    v86fs_store(number, size, value);
    buf_put(buf, number, size);
}

void v86fs_put_time(struct buf *buf, struct v86fs_time time)
{
    v86fs_put(buf, 8, (uint64_t)time.s);
    v86fs_put(buf, 4, time.ns);
}

void v86fs_put_text(struct buf *buf, struct bytes text)
{
    v86fs_put(buf, 2, text.size);
    buf_put(buf, text.data, text.size);
}

/* ---- reading ---- */

void v86fs_take_demand(struct v86fs_take *take, bool good)
{
    if (good)
        return;
    take->failed = true;
    take->rest.size = 0;
}

struct bytes v86fs_take_bytes(struct v86fs_take *take, size_t size)
{
    v86fs_take_demand(take, size <= take->rest.size);
    if (take->failed)
        return bytes_of(NULL, 0);
    struct bytes taken = bytes_of(take->rest.data, size);
    take->rest = bytes_of(take->rest.data + size, take->rest.size - size);
    return taken;
}

uint64_t v86fs_take(struct v86fs_take *take, unsigned size)
{
    struct bytes number = v86fs_take_bytes(take, size);
    return number.data ? v86fs_load(number.data, size) : 0;
}

uint64_t v86fs_take_upto(struct v86fs_take *take, unsigned size, uint64_t max)
{
    uint64_t value = v86fs_take(take, size);
    v86fs_take_demand(take, value <= max);
    return take->failed ? 0 : value;
}

struct v86fs_time v86fs_take_time(struct v86fs_take *take)
{
    struct v86fs_time time = {.s = (int64_t)v86fs_take(take, 8)};
    time.ns = (uint32_t)v86fs_take_upto(take, 4, 999999999);
    return time;
}

struct bytes v86fs_take_text(struct v86fs_take *take)
{
    return v86fs_take_bytes(take, (size_t)v86fs_take(take, 2));
}

/* ---- order: a heap, for no memory and no bad case ---- */

static void sift(struct v86fs_item *items, uint32_t at, uint32_t count)
{
    struct v86fs_item moved = items[at];
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && items[child + 1].key > items[child].key)
            child++;
        if (items[child].key <= moved.key)
            break;
        items[at] = items[child];
    }
    items[at] = moved;
}

void v86fs_items_sort(struct v86fs_item *items, uint32_t count)
{
    for (uint32_t at = count / 2; at-- > 0;)
        sift(items, at, count);
    for (uint32_t end = count; end-- > 1;) {
        struct v86fs_item last = items[end];
        items[end] = items[0];
        items[0] = last;
        sift(items, 0, end);
    }
}
