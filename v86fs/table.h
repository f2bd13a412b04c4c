/* SPDX-License-Identifier: MIT
 *
 * v86fs/table.h - numbers that are never 0 to slots of an array, in constant time.
 *
 * Open addressing with backward shift, so removals leave no trace; sized at creation.
 * The order of the cells never shows.
 */
#ifndef V86FS_TABLE_H
#define V86FS_TABLE_H

#include "base/arena.h"

#include <stdbool.h>
#include <stdint.h>

struct v86fs_table {
    uint64_t *key; /* 0 = free */
    uint32_t *slot;
    uint32_t mask;
};

/* Room for `count_max` (1..2^30) keys.  False without memory. */
bool v86fs_table_init(struct v86fs_table *table, struct arena *arena,
                      uint32_t count_max);

/* The slot of `key`, or 0. */
uint32_t v86fs_table_get(const struct v86fs_table *table, uint64_t key);

/* Add a key that is not there; the caller keeps within count_max.  `slot` is not 0. */
void v86fs_table_put(struct v86fs_table *table, uint64_t key, uint32_t slot);

/* Remove a key if it is there. */
void v86fs_table_remove(struct v86fs_table *table, uint64_t key);

/* ---- numbered slots 1..limit with a free list; `next` is the owner's while taken */

struct v86fs_pool {
    uint32_t *next;
    uint32_t free;  /* first of the list, 0 = none */
    uint32_t fresh; /* slots above were never taken */
    uint32_t used;
    uint32_t limit;
};

bool v86fs_pool_init(struct v86fs_pool *pool, struct arena *arena, uint32_t limit);

/* A slot with next 0; 0 when all are taken. */
uint32_t v86fs_pool_take(struct v86fs_pool *pool);
void v86fs_pool_give(struct v86fs_pool *pool, uint32_t slot);

/* A good mix of 64 bits, for hashing. */
static inline uint64_t v86fs_mix(uint64_t value)
{
    value ^= value >> 32;
    value *= 0x9e3779b97f4a7c15;
    value ^= value >> 29;
    value *= 0xbf58476d1ce4e5b9;
    return value ^ value >> 32;
}

/* The power of two at or above `count`, at least 16. */
static inline uint32_t v86fs_buckets_for(uint32_t count)
{
    uint32_t size = 16;
    while (size < count)
        size *= 2;
    return size;
}

#endif
