/* SPDX-License-Identifier: MIT
 *
 * kernel/paged.h - data as pages [2.3]: Empty, Missing, Loaded, Dirty.
 *
 * Pages are shared: a copy of a value copies its table, and a write gives one page of
 * one value new bytes (Dirty).  No page is hashed before kernel_paged_flush().  Bytes
 * live in the arena that they were made in.
 */
#ifndef KERNEL_PAGED_H
#define KERNEL_PAGED_H

#include "kernel/kernel.h"

enum { KERNEL_PAGE_COUNT_MAX = 65536, KERNEL_PAGE_SLOT_MAX = 4133 };

enum kernel_page_state {
    KERNEL_PAGE_EMPTY = 0,
    KERNEL_PAGE_LOADED = 1,
    KERNEL_PAGE_MISSING = 2,
    KERNEL_PAGE_DIRTY = 3, /* written, hash not computed yet */
};

struct kernel_page {
    enum kernel_page_state state;
    struct hash256 hash;  /* Loaded, Missing */
    const uint8_t *bytes; /* PVM_PAGE_SIZE of them: Loaded, Dirty */
};

struct kernel_paged {
    uint32_t page_size, count;
    struct kernel_page *page;
};

/* One page as a caller describes it.  Loaded: `content` up to 4096 bytes, and the hash
 * that it must have unless `hash_given` is false.  Dirty is refused. */
struct kernel_page_given {
    enum kernel_page_state state;
    bool hash_given;
    struct hash256 hash;
    struct bytes content;
};

/* The constructor.  All-zero Loaded pages and Missing(Z(7)) become Empty.  BadCap,
 * HashMismatch; Internal: the arena's limit. */
enum kernel_error kernel_paged_make(struct arena *arena, uint32_t page_size,
                                    const struct kernel_page_given *given,
                                    uint32_t count, struct kernel_paged *ret_paged);

/* A value of its own with the same pages, bytes shared.  Internal: the arena. */
enum kernel_error kernel_paged_copy(struct arena *arena,
                                    const struct kernel_paged *paged,
                                    struct kernel_paged *ret_paged);

static inline uint64_t kernel_paged_size(const struct kernel_paged *paged)
{
    return (uint64_t)paged->page_size * paged->count;
}

/* Write bytes; the touched pages become Dirty.  BadCap beyond the end, PageMissing (a
 * part of a Missing page), and then nothing is written; Internal: the arena. */
enum kernel_error kernel_paged_write(struct arena *arena, struct kernel_paged *paged,
                                     uint64_t offset, struct bytes bytes);

/* Dirty pages become Loaded, or Empty. */
void kernel_paged_flush(struct kernel_paged *paged);

/* The cap hash [3.3]; DirtyPages. */
enum kernel_error kernel_paged_hash(const struct kernel_paged *paged,
                                    struct hash256 *ret_hash);

/* Page slots as bytes, for page stores [2.7]; answers the size.  A Dirty page has no
 * encoding: 0. */
size_t kernel_page_slot_put(const struct kernel_page *page,
                            uint8_t ret_bytes[KERNEL_PAGE_SLOT_MAX]);

/* The page in `bytes`, which it borrows: BadCap, HashMismatch, or not canonical. */
enum kernel_error kernel_page_slot_get(struct bytes bytes,
                                       struct kernel_page *ret_page);

/* Publish paged data.  DirtyPages, DirectoryFull. */
enum kernel_error kernel_put_paged(struct kernel *kernel,
                                   const struct kernel_paged *paged,
                                   struct hash256 *ret_hash);

#endif
