/* SPDX-License-Identifier: MIT */
#include "hostfs/ring.h"

#include <string.h>

/* Offsets of the four counters, each in a cache line of its own. */
enum { REQUEST_HEAD = 64, REQUEST_TAIL = 128, REPLY_HEAD = 192, REPLY_TAIL = 256 };
enum { RINGS_AT = 4096, ALIGN = 8, RING_SIZE_MAX = 1 << 30 };

void hostfs_rings_init(uint8_t *memory)
{
    v86fs_store(memory, 4, HOSTFS_SHARED_MAGIC);
    v86fs_store(memory + 4, 4, HOSTFS_RING_SIZE);
}

static uint32_t *counter(uint8_t *memory, size_t at)
{
    return (uint32_t *)(void *)(memory + at);
}

bool hostfs_rings_open(uint8_t *memory, uint64_t size, bool asks,
                       struct hostfs_ring *ret_in, struct hostfs_ring *ret_out)
{
    if (size < RINGS_AT || v86fs_load(memory, 4) != HOSTFS_SHARED_MAGIC)
        return false;
    uint64_t ring_size = v86fs_load(memory + 4, 4);
    if (ring_size < 2 * (uint64_t)HOSTFS_RECORD_MAX || ring_size > RING_SIZE_MAX ||
        (ring_size & (ring_size - 1)) || size - RINGS_AT < 2 * ring_size)
        return false;
    struct hostfs_ring request = {.head = counter(memory, REQUEST_HEAD),
                                  .tail = counter(memory, REQUEST_TAIL),
                                  .data = memory + RINGS_AT,
                                  .size = (uint32_t)ring_size};
    struct hostfs_ring reply = {.head = counter(memory, REPLY_HEAD),
                                .tail = counter(memory, REPLY_TAIL),
                                .data = memory + RINGS_AT + ring_size,
                                .size = (uint32_t)ring_size};
    *ret_in = asks ? reply : request;
    *ret_out = asks ? request : reply;
    return true;
}

static uint32_t padded(size_t size)
{
    return (uint32_t)(size + ALIGN - 1) & ~(uint32_t)(ALIGN - 1);
}

bool hostfs_ring_put(struct hostfs_ring *ring, struct bytes record)
{
    uint32_t used = ring->at - __atomic_load_n(ring->head, __ATOMIC_ACQUIRE);
    uint32_t at = ring->at & (ring->size - 1), first = ring->size - at;
    check(record.size <= HOSTFS_RECORD_MAX);
    if (used > ring->size || ring->size - used < padded(record.size))
        return false;
    if (first > record.size)
        first = (uint32_t)record.size;
    memcpy(ring->data + at, record.data, first);
    memcpy(ring->data, record.data + first, record.size - first);
    ring->at += padded(record.size);
    __atomic_store_n(ring->tail, ring->at, __ATOMIC_RELEASE);
    return true;
}

static void copy_out(const struct hostfs_ring *ring, uint32_t from, uint8_t *to,
                     size_t size)
{
    uint32_t at = from & (ring->size - 1);
    size_t first = ring->size - at;
    if (first > size)
        first = size;
    memcpy(to, ring->data + at, first);
    memcpy(to + first, ring->data, size - first);
}

bool hostfs_ring_ready(const struct hostfs_ring *ring)
{
    return __atomic_load_n(ring->tail, __ATOMIC_ACQUIRE) != ring->at;
}

enum err hostfs_ring_take(struct hostfs_ring *ring, uint8_t *record, size_t *ret_size)
{
    uint32_t there = __atomic_load_n(ring->tail, __ATOMIC_ACQUIRE) - ring->at;
    *ret_size = 0;
    if (!there)
        return ERR_ok;
    if (there > ring->size || there < HOSTFS_ENVELOPE_SIZE)
        return ERR_v86fs_bridge;
    copy_out(ring, ring->at, record, HOSTFS_ENVELOPE_SIZE);
    uint64_t size = v86fs_load(record, 4);
    if (size < HOSTFS_ENVELOPE_SIZE || size > HOSTFS_RECORD_MAX || padded(size) > there)
        return ERR_v86fs_bridge;
    copy_out(ring, ring->at + HOSTFS_ENVELOPE_SIZE, record + HOSTFS_ENVELOPE_SIZE,
             (size_t)size - HOSTFS_ENVELOPE_SIZE);
    ring->at += padded((size_t)size);
    __atomic_store_n(ring->head, ring->at, __ATOMIC_RELEASE);
    *ret_size = (size_t)size;
    return ERR_ok;
}
