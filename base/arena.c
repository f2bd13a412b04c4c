/* SPDX-License-Identifier: MIT */
#include "base/arena.h"

#include "base/err.h"
#include "base/os.h"

#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_SIZE_MIN = 64 * 1024,
    BLOCK_ALIGN = 64,
    /* Such blocks come as untouched zero pages; the C library zeroes smaller ones, of
     * which little may be used. */
    ZERO_SIZE_MIN = 1 << 20,
    DENSE_SIZE_MIN = 16 << 20,
};

struct arena_block {
    struct arena_block *older;
    size_t size; /* of data */
    size_t used;
    size_t stale; /* from there on, data is zero */
};

static uint8_t *block_data(struct arena_block *block)
{
    return (uint8_t *)block + BLOCK_ALIGN;
}

void arena_init(struct arena *arena, size_t size_max)
{
    *arena = (struct arena){.size_max = size_max};
}

void arena_fini(struct arena *arena)
{
    struct arena_block *block = arena->block;
    while (block) {
        struct arena_block *older = block->older;
        free(block);
        block = older;
    }
    *arena = (struct arena){0};
}

void arena_clear(struct arena *arena)
{
    struct arena_block *block = arena->block;
    size_t size_max = arena->size_max;
    if (!block)
        return;
    struct arena older = {.block = block->older};
    arena_fini(&older);
    block->older = NULL;
    block->stale = block->stale > block->used ? block->stale : block->used;
    block->used = 0;
    *arena = (struct arena){.block = block, .size_max = size_max};
}

static struct arena_block *block_add(struct arena *arena, size_t size_min)
{
    size_t size = size_min < BLOCK_SIZE_MIN ? BLOCK_SIZE_MIN : size_min;
    if (size > PTRDIFF_MAX - 4 * BLOCK_ALIGN) /* no object is larger; sums fit */
        return NULL;
    size = (size + BLOCK_ALIGN - 1) & ~(size_t)(BLOCK_ALIGN - 1);
    bool zero = size >= ZERO_SIZE_MIN;
    struct arena_block *block =
        zero ? calloc(1, size + 2 * BLOCK_ALIGN) : malloc(size + 2 * BLOCK_ALIGN);
    if (!block)
        return NULL;
    /* A guest's RAM, its decoded code: what is touched at random. */
    if (size >= DENSE_SIZE_MIN)
        os_advise_dense(block, size);
    *block = (struct arena_block){
        .older = arena->block, .size = size, .stale = zero ? 0 : size};
    arena->block = block;
    return block;
}

/* Objects begin zeroed. */
static void *zeroed(const struct arena_block *block, uint8_t *data, size_t start,
                    size_t size)
{
    if (start < block->stale)
        memset(data + start, 0,
               size < block->stale - start ? size : block->stale - start);
    return data + start;
}

void *arena_alloc(struct arena *arena, size_t size, size_t align)
{
    check(align && !(align & (align - 1)) && align <= BLOCK_ALIGN);
    struct arena_block *block = arena->block;
    if (block) {
        uintptr_t base = (uintptr_t)block_data(block);
        size_t start = ((base + block->used + align - 1) & ~(align - 1)) - base;
        if (start <= block->size && size <= block->size - start) {
            size_t taken = start + size - block->used;
            if (taken > arena->size_max - arena->used)
                return NULL;
            arena->used += taken;
            block->used = start + size;
            return zeroed(block, block_data(block), start, size);
        }
    }
    if (size > arena->size_max - arena->used)
        return NULL;
    block = block_add(arena, size < SIZE_MAX - align ? size + align : size);
    return block ? arena_alloc(arena, size, align) : NULL;
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t size, size_t align)
{
    if (size && count > SIZE_MAX / size)
        return NULL;
    return arena_alloc(arena, count * size, align);
}

void *arena_copy(struct arena *arena, const void *data, size_t size)
{
    void *copy = arena_alloc(arena, size ? size : 1, 1);
    if (copy && size)
        memcpy(copy, data, size);
    return copy;
}
