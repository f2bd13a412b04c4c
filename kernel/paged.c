/* SPDX-License-Identifier: MIT
 *
 * Paged data [2.3], its hash [3.3] and its form in the directory.
 */
#include "kernel/paged.h"

#include "kernel/internal.h"
#include "kernel/ssz.h"

#include <string.h>

enum { DEPTH_LIST = 32, ZERO_PAGE_DEPTH = 7, SLOT_HEAD_SIZE = 37, SLOT_OFFSET = 36 };

static bool all_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i])
            return false;
    }
    return true;
}

/* ---- making ---- */

static enum kernel_error make_loaded(struct arena *arena,
                                     const struct kernel_page_given *given,
                                     struct kernel_page *page)
{
    struct bytes content = given->content;
    if (content.size > PVM_PAGE_SIZE)
        return KERNEL_ERROR_BadCap;
    struct hash256 hash = kernel_page_hash(content.data, content.size);
    if (given->hash_given && !hash256_equal(&hash, &given->hash))
        return KERNEL_ERROR_HashMismatch;
    if (all_zero(content.data, content.size)) {
        *page = (struct kernel_page){.state = KERNEL_PAGE_EMPTY};
        return KERNEL_ERROR_None;
    }
    uint8_t *bytes = arena_alloc(arena, PVM_PAGE_SIZE, 8);
    if (!bytes)
        return KERNEL_ERROR_Internal;
    memcpy(bytes, content.data, content.size);
    *page =
        (struct kernel_page){.state = KERNEL_PAGE_LOADED, .hash = hash, .bytes = bytes};
    return KERNEL_ERROR_None;
}

static enum kernel_error make_missing(const struct hash256 *hash,
                                      struct kernel_page *page)
{
    struct hash256 none = {{0}}, zeros = kernel_zero_hash(ZERO_PAGE_DEPTH);
    if (hash256_equal(hash, &none))
        return KERNEL_ERROR_BadCap;
    bool empty = hash256_equal(hash, &zeros);
    *page =
        (struct kernel_page){.state = empty ? KERNEL_PAGE_EMPTY : KERNEL_PAGE_MISSING,
                             .hash = empty ? none : *hash};
    return KERNEL_ERROR_None;
}

static enum kernel_error make_page(struct arena *arena,
                                   const struct kernel_page_given *given,
                                   struct kernel_page *page)
{
    switch (given->state) {
    case KERNEL_PAGE_EMPTY:
        *page = (struct kernel_page){.state = KERNEL_PAGE_EMPTY};
        return KERNEL_ERROR_None;
    case KERNEL_PAGE_LOADED:
        return make_loaded(arena, given, page);
    case KERNEL_PAGE_MISSING:
        return make_missing(&given->hash, page);
    case KERNEL_PAGE_DIRTY:
        break;
    }
    return KERNEL_ERROR_BadCap;
}

enum kernel_error kernel_paged_make(struct arena *arena, uint32_t page_size,
                                    const struct kernel_page_given *given,
                                    uint32_t count, struct kernel_paged *ret_paged)
{
    if (page_size < 1 || page_size > PVM_PAGE_SIZE || count > KERNEL_PAGE_COUNT_MAX)
        return KERNEL_ERROR_BadCap;
    struct kernel_page *page = arena_new_array(arena, struct kernel_page, count);
    if (!page)
        return KERNEL_ERROR_Internal;
    for (uint32_t i = 0; i < count; i++) {
        enum kernel_error error = make_page(arena, &given[i], &page[i]);
        if (error)
            return error;
    }
    *ret_paged = (struct kernel_paged){page_size, count, page};
    return KERNEL_ERROR_None;
}

enum kernel_error kernel_paged_copy(struct arena *arena,
                                    const struct kernel_paged *paged,
                                    struct kernel_paged *ret_paged)
{
    struct kernel_page *page = arena_new_array(arena, struct kernel_page, paged->count);
    if (!page)
        return KERNEL_ERROR_Internal;
    if (paged->count)
        memcpy(page, paged->page, paged->count * sizeof *page);
    *ret_paged = (struct kernel_paged){paged->page_size, paged->count, page};
    return KERNEL_ERROR_None;
}

/* ---- bytes ---- */

/* The part of [offset, end) that lies in page `i`. */
struct part {
    uint32_t at;
    uint64_t offset, size;
};

static struct part part_of(const struct kernel_paged *paged, uint64_t offset,
                           uint64_t end)
{
    struct part part = {.at = (uint32_t)(offset / paged->page_size),
                        .offset = offset % paged->page_size};
    part.size = paged->page_size - part.offset;
    if (part.size > end - offset)
        part.size = end - offset;
    return part;
}

/* Own bytes for a page that is about to change. */
static bool page_own(struct arena *arena, const struct kernel_paged *paged,
                     const struct part *part)
{
    struct kernel_page *page = &paged->page[part->at];
    uint8_t *bytes = arena_alloc(arena, PVM_PAGE_SIZE, 8);
    if (!bytes)
        return false;
    if (page->bytes)
        memcpy(bytes, page->bytes, PVM_PAGE_SIZE);
    *page = (struct kernel_page){.state = KERNEL_PAGE_DIRTY, .bytes = bytes};
    return true;
}

static enum kernel_error write_check(const struct kernel_paged *paged, uint64_t offset,
                                     uint64_t size)
{
    uint64_t whole = kernel_paged_size(paged);
    if (offset > whole || size > whole - offset)
        return KERNEL_ERROR_BadCap;
    for (uint64_t at = offset; at < offset + size;) {
        struct part part = part_of(paged, at, offset + size);
        bool missing = paged->page[part.at].state == KERNEL_PAGE_MISSING;
        if (missing && part.size < paged->page_size)
            return KERNEL_ERROR_PageMissing;
        at += part.size;
    }
    return KERNEL_ERROR_None;
}

enum kernel_error kernel_paged_write(struct arena *arena, struct kernel_paged *paged,
                                     uint64_t offset, struct bytes bytes)
{
    enum kernel_error error = write_check(paged, offset, bytes.size);
    const uint8_t *from = bytes.data;
    for (uint64_t at = offset; !error && at < offset + bytes.size;) {
        struct part part = part_of(paged, at, offset + bytes.size);
        if (!page_own(arena, paged, &part))
            return KERNEL_ERROR_Internal;
        memcpy((uint8_t *)paged->page[part.at].bytes + part.offset, from, part.size);
        from += part.size;
        at += part.size;
    }
    return error;
}

/* ---- hashes ---- */

void kernel_paged_flush(struct kernel_paged *paged)
{
    for (uint32_t i = 0; i < paged->count; i++) {
        struct kernel_page *page = &paged->page[i];
        if (page->state != KERNEL_PAGE_DIRTY)
            continue;
        if (all_zero(page->bytes, PVM_PAGE_SIZE)) {
            *page = (struct kernel_page){.state = KERNEL_PAGE_EMPTY};
        } else {
            page->state = KERNEL_PAGE_LOADED;
            page->hash = kernel_page_hash(page->bytes, PVM_PAGE_SIZE);
        }
    }
}

enum kernel_error kernel_paged_hash(const struct kernel_paged *paged,
                                    struct hash256 *ret_hash)
{
    struct ssz_tree tree;
    struct hash256 none = kernel_zero_hash(0);
    kernel_tree_init(&tree);
    for (uint32_t i = 0; i < paged->count; i++) {
        const struct kernel_page *page = &paged->page[i];
        if (page->state == KERNEL_PAGE_DIRTY)
            return KERNEL_ERROR_DirtyPages;
        kernel_tree_push(&tree, page->state == KERNEL_PAGE_EMPTY ? &none : &page->hash);
    }
    struct hash256 list = kernel_tree_finish(&tree, DEPTH_LIST);
    const struct hash256 field[] = {kernel_le(paged->page_size),
                                    kernel_mix(&list, tree.count)};
    struct hash256 root = kernel_container(field, countof(field));
    root = kernel_mix(&root, 1);
    *ret_hash = kernel_mix(&root, KERNEL_KIND_DATA);
    return KERNEL_ERROR_None;
}

/* ---- page slots ---- */

size_t kernel_page_slot_put(const struct kernel_page *page,
                            uint8_t ret_bytes[KERNEL_PAGE_SLOT_MAX])
{
    if (page->state == KERNEL_PAGE_DIRTY)
        return 0;
    ret_bytes[0] = (uint8_t)page->state;
    if (page->state == KERNEL_PAGE_EMPTY)
        return 1;
    memcpy(ret_bytes + 1, page->hash.byte, HASH256_SIZE);
    if (page->state == KERNEL_PAGE_MISSING)
        return 1 + HASH256_SIZE;
    kernel_u32_put(ret_bytes + 1 + HASH256_SIZE, SLOT_OFFSET);
    memcpy(ret_bytes + SLOT_HEAD_SIZE, page->bytes, PVM_PAGE_SIZE);
    return KERNEL_PAGE_SLOT_MAX;
}

/* What the constructor would not have left as it is, is no page. */
static enum kernel_error slot_loaded(struct bytes bytes, struct kernel_page *ret_page)
{
    const uint8_t *content = bytes.data + SLOT_HEAD_SIZE;
    if (bytes.size != KERNEL_PAGE_SLOT_MAX ||
        kernel_u32(bytes.data + 1 + HASH256_SIZE) != SLOT_OFFSET ||
        all_zero(content, PVM_PAGE_SIZE))
        return KERNEL_ERROR_BadCap;
    struct hash256 hash = kernel_page_hash(content, PVM_PAGE_SIZE);
    struct hash256 given = kernel_hash_at(bytes.data + 1);
    if (!hash256_equal(&hash, &given))
        return KERNEL_ERROR_HashMismatch;
    *ret_page = (struct kernel_page){KERNEL_PAGE_LOADED, hash, content};
    return KERNEL_ERROR_None;
}

enum kernel_error kernel_page_slot_get(struct bytes bytes, struct kernel_page *ret_page)
{
    if (bytes.size == 1 && bytes.data[0] == KERNEL_PAGE_EMPTY) {
        *ret_page = (struct kernel_page){.state = KERNEL_PAGE_EMPTY};
        return KERNEL_ERROR_None;
    }
    if (bytes.size == 1 + HASH256_SIZE && bytes.data[0] == KERNEL_PAGE_MISSING) {
        struct hash256 hash = kernel_hash_at(bytes.data + 1);
        struct kernel_page page;
        enum kernel_error error = make_missing(&hash, &page);
        if (!error && page.state == KERNEL_PAGE_EMPTY)
            error = KERNEL_ERROR_BadCap;
        if (!error)
            *ret_page = page;
        return error;
    }
    if (bytes.size > 1 && bytes.data[0] == KERNEL_PAGE_LOADED)
        return slot_loaded(bytes, ret_page);
    return KERNEL_ERROR_BadCap;
}

/* ---- in the directory ----
 * A head of 64 bytes, a row of 40 per page, then the bytes of Loaded pages in order:
 * the sizes that a paged cap costs [2.6]. */

enum { STORED_HEAD_SIZE = 64, STORED_ROW_SIZE = 40, STORED_HASH_AT = 8 };

bool kernel_stored_paged(struct bytes stored)
{
    return stored.data[0] == KERNEL_STORED_PAGED;
}

struct kernel_pages kernel_stored_pages(struct bytes stored)
{
    return (struct kernel_pages){.page_size = kernel_u32(stored.data + 4),
                                 .count = kernel_u32(stored.data + 8),
                                 .row = stored.data + STORED_HEAD_SIZE};
}

struct kernel_page kernel_pages_at(const struct kernel_pages *pages, uint32_t i)
{
    if (pages->paged)
        return pages->paged->page[i];
    const uint8_t *row = pages->row + (size_t)i * STORED_ROW_SIZE;
    const uint8_t *content = pages->row + (size_t)pages->count * STORED_ROW_SIZE;
    bool loaded = row[0] == KERNEL_PAGE_LOADED;
    return (struct kernel_page){
        .state = (enum kernel_page_state)row[0],
        .hash = kernel_hash_at(row + STORED_HASH_AT),
        .bytes = loaded ? content + (size_t)kernel_u32(row + 4) * PVM_PAGE_SIZE : NULL};
}

static size_t stored_size(const struct kernel_paged *paged)
{
    size_t size = STORED_HEAD_SIZE + (size_t)paged->count * STORED_ROW_SIZE;
    for (uint32_t i = 0; i < paged->count; i++) {
        if (paged->page[i].state == KERNEL_PAGE_LOADED)
            size += PVM_PAGE_SIZE;
    }
    return size;
}

static void stored_put(const struct kernel_paged *paged, uint8_t *at)
{
    uint8_t *row = at + STORED_HEAD_SIZE;
    uint8_t *content = row + (size_t)paged->count * STORED_ROW_SIZE;
    uint32_t loaded = 0;
    memset(at, 0, (size_t)(content - at));
    at[0] = KERNEL_STORED_PAGED;
    kernel_u32_put(at + 4, paged->page_size);
    kernel_u32_put(at + 8, paged->count);
    for (uint32_t i = 0; i < paged->count; i++, row += STORED_ROW_SIZE) {
        const struct kernel_page *page = &paged->page[i];
        row[0] = (uint8_t)page->state;
        memcpy(row + STORED_HASH_AT, page->hash.byte, HASH256_SIZE);
        if (page->state != KERNEL_PAGE_LOADED)
            continue;
        kernel_u32_put(row + 4, loaded);
        memcpy(content + (size_t)loaded++ * PVM_PAGE_SIZE, page->bytes, PVM_PAGE_SIZE);
    }
}

enum kernel_error kernel_put_paged(struct kernel *kernel,
                                   const struct kernel_paged *paged,
                                   struct hash256 *ret_hash)
{
    struct directory *d = &kernel->directory;
    struct draft draft = {.wire = bytes_of(directory_end(d), stored_size(paged))};
    enum kernel_error error = kernel_paged_hash(paged, &draft.hash);
    if (error)
        return error;
    if (!kernel_directory_fits(d, &draft, 1))
        return KERNEL_ERROR_DirectoryFull;
    if (!kernel_directory_find(d, &draft.hash)) {
        stored_put(paged, directory_end(d));
        (void)kernel_directory_insert(d, &draft);
    }
    *ret_hash = draft.hash;
    return KERNEL_ERROR_None;
}
