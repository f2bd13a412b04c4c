/* SPDX-License-Identifier: MIT
 *
 * base/arena.h - memory with one lifetime.
 *
 * Objects are created in an arena and die with it.  The arena grows in blocks up
 * to `size_max` bytes in all, so that hostile input meets a limit and not the
 * machine's.  Not thread safe.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena_block;

struct arena {
    struct arena_block *block; /* newest first */
    size_t used;               /* bytes handed out, padding included */
    size_t size_max;
};

/* Start an empty arena; allocates nothing. */
void arena_init(struct arena *arena, size_t size_max);

/* Free everything.  Fine on a zeroed arena. */
void arena_fini(struct arena *arena);

/* Forget every object but keep one block of memory for the next ones. */
void arena_clear(struct arena *arena);

/* `size` zeroed bytes aligned to `align` (a power of two, at most 64); NULL when
 * size_max or the machine's memory is exhausted. */
void *arena_alloc(struct arena *arena, size_t size, size_t align);

/* The same for `count` items of `size`; NULL also when the product overflows. */
void *arena_alloc_array(struct arena *arena, size_t count, size_t size, size_t align);

/* A copy of `size` bytes; never NULL for size 0 unless memory is exhausted. */
void *arena_copy(struct arena *arena, const void *data, size_t size);

#define arena_new(arena, type)                                                         \
    ((type *)arena_alloc((arena), sizeof(type), _Alignof(type)))
#define arena_new_array(arena, type, count)                                            \
    ((type *)arena_alloc_array((arena), (count), sizeof(type), _Alignof(type)))

#endif
