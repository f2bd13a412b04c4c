/* SPDX-License-Identifier: MIT */
#include "v86fs/table.h"

#include "base/err.h"

#include <stddef.h>

bool v86fs_table_init(struct v86fs_table *table, struct arena *arena,
                      uint32_t count_max)
{
    uint32_t size = v86fs_buckets_for(count_max * 2);
    table->key = arena_new_array(arena, uint64_t, size);
    table->slot = arena_new_array(arena, uint32_t, size);
    table->mask = size - 1;
    return table->key && table->slot;
}

static uint32_t home_of(const struct v86fs_table *table, uint64_t key)
{
    return (uint32_t)v86fs_mix(key) & table->mask;
}

/* The cell of `key`, or the free one where it would go. */
static uint32_t cell_of(const struct v86fs_table *table, uint64_t key)
{
    uint32_t cell = home_of(table, key);
    while (table->key[cell] && table->key[cell] != key)
        cell = (cell + 1) & table->mask;
    return cell;
}

uint32_t v86fs_table_get(const struct v86fs_table *table, uint64_t key)
{
    if (!key)
        return 0;
    uint32_t cell = cell_of(table, key);
    return table->key[cell] ? table->slot[cell] : 0;
}

void v86fs_table_put(struct v86fs_table *table, uint64_t key, uint32_t slot)
{
    uint32_t cell = cell_of(table, key);
    check(key && slot && !table->key[cell]);
    table->key[cell] = key;
    table->slot[cell] = slot;
}

void v86fs_table_remove(struct v86fs_table *table, uint64_t key)
{
    uint32_t hole = cell_of(table, key);
    if (!key || !table->key[hole])
        return;
    /* Whoever was pushed past the hole moves back into it. */
    for (uint32_t cell = (hole + 1) & table->mask; table->key[cell];
         cell = (cell + 1) & table->mask) {
        uint32_t home = home_of(table, table->key[cell]);
        if (((cell - home) & table->mask) >= ((cell - hole) & table->mask)) {
            table->key[hole] = table->key[cell];
            table->slot[hole] = table->slot[cell];
            hole = cell;
        }
    }
    table->key[hole] = 0;
}

bool v86fs_pool_init(struct v86fs_pool *pool, struct arena *arena, uint32_t limit)
{
    *pool = (struct v86fs_pool){.limit = limit, .fresh = 1};
    pool->next = arena_new_array(arena, uint32_t, (size_t)limit + 1);
    return pool->next != NULL;
}

uint32_t v86fs_pool_take(struct v86fs_pool *pool)
{
    if (pool->used >= pool->limit)
        return 0;
    uint32_t slot = pool->free;
    if (slot)
        pool->free = pool->next[slot];
    else
        slot = pool->fresh++;
    pool->next[slot] = 0;
    pool->used++;
    return slot;
}

void v86fs_pool_give(struct v86fs_pool *pool, uint32_t slot)
{
    check(slot && slot < pool->fresh && pool->used);
    pool->next[slot] = pool->free;
    pool->free = slot;
    pool->used--;
}
