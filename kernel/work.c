/* SPDX-License-Identifier: MIT
 *
 * Working entries [4.2].
 */
#include "kernel/work.h"

#include "kernel/internal.h"

#include <string.h>

#define ENTRY_BYTES_MAX ((size_t)1 << 30)

/* An entry lives in its own arena. */
struct work_entry {
    struct arena arena;
    uint64_t id;
    struct bytes wire;
    bool paged, settled, settling;
    struct hash256 hash; /* of a settled one: data or cnode, a blob now */
    struct kernel_paged pages;
    uint64_t root_ref;
    struct kernel_ref *ref;
    uint32_t ref_count;
};

/* ---- the table: pointers, ascending by id ---- */

static struct work_entry **entries(const struct kernel *kernel)
{
    return (struct work_entry **)(void *)kernel->work.data;
}

uint32_t kernel_work_count(const struct kernel *kernel)
{
    return (uint32_t)(kernel->work.size / sizeof(struct work_entry *));
}

static struct work_entry *entry_find(const struct kernel *kernel, uint64_t id)
{
    uint32_t low = 0, high = kernel_work_count(kernel);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (entries(kernel)[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < kernel_work_count(kernel) && entries(kernel)[low]->id == id;
    return found ? entries(kernel)[low] : NULL;
}

static void entry_free(struct work_entry *entry)
{
    struct arena arena = entry->arena; /* which the entry lies in */
    arena_fini(&arena);
}

static void free_all(struct buf *list)
{
    struct work_entry **entry = (struct work_entry **)(void *)list->data;
    for (size_t i = 0; i < list->size / sizeof *entry; i++)
        entry_free(entry[i]);
    buf_clear(list);
}

/* A running frame may look into its bytes: then it goes later. */
static void entry_retire(struct kernel *kernel, struct work_entry *entry)
{
    if (!kernel->stack_size) {
        free_all(&kernel->work_retired);
        entry_free(entry);
        return;
    }
    buf_put(&kernel->work_retired, &entry, sizeof entry);
    check(!kernel->work_retired.err);
}

void kernel_work_init(struct kernel *kernel)
{
    buf_init(&kernel->work, SIZE_MAX);
    buf_init(&kernel->work_retired, SIZE_MAX);
}

void kernel_work_close(struct kernel *kernel)
{
    free_all(&kernel->work);
    free_all(&kernel->work_retired);
    buf_fini(&kernel->work);
    buf_fini(&kernel->work_retired);
}

/* ---- making ---- */

static enum kernel_error cap_check(const struct kernel *kernel,
                                   const struct kernel_work_cap *cap)
{
    struct kernel_cap view;
    uint32_t least = 0;
    if (cap->paged)
        return cap->ref_count || cap->root_ref ? KERNEL_ERROR_BadCap
                                               : KERNEL_ERROR_None;
    if (kernel_wire_decode(cap->wire, &view) ||
        kernel_cap_check(&view, &kernel->config) ||
        (cap->root_ref && view.kind != KERNEL_KIND_INSTANCE) ||
        (cap->ref_count && view.kind != KERNEL_KIND_CNODE))
        return KERNEL_ERROR_BadCap;
    for (uint32_t i = 0; i < cap->ref_count; i++) {
        uint32_t slot = cap->ref[i].slot;
        if (slot < least || slot >= KERNEL_SLOT_COUNT || slot >> view.cnode.size_log ||
            !cap->ref[i].id)
            return KERNEL_ERROR_BadCap;
        least = slot + 1;
    }
    for (uint32_t i = 0, j = 0; i < cap->ref_count; i++) {
        while (j < view.cnode.entries.count &&
               kernel_entry_slot(view.cnode.entries, j) < cap->ref[i].slot)
            j++;
        if (j < view.cnode.entries.count &&
            kernel_entry_slot(view.cnode.entries, j) == cap->ref[i].slot)
            return KERNEL_ERROR_BadCap;
    }
    return KERNEL_ERROR_None;
}

static enum kernel_error entry_fill(struct work_entry *entry,
                                    const struct kernel_work_cap *cap)
{
    entry->root_ref = cap->root_ref;
    entry->ref_count = cap->ref_count;
    entry->ref = arena_new_array(&entry->arena, struct kernel_ref, cap->ref_count);
    if (!entry->ref)
        return KERNEL_ERROR_Internal;
    if (cap->ref_count)
        memcpy(entry->ref, cap->ref, cap->ref_count * sizeof *cap->ref);
    if (!cap->paged) {
        entry->wire = bytes_of(
            arena_copy(&entry->arena, cap->wire.data, cap->wire.size), cap->wire.size);
        return entry->wire.data ? KERNEL_ERROR_None : KERNEL_ERROR_Internal;
    }
    entry->paged = true;
    enum kernel_error error =
        kernel_paged_copy(&entry->arena, cap->paged, &entry->pages);
    for (uint32_t i = 0; i < entry->pages.count && !error; i++) {
        struct kernel_page *page = &entry->pages.page[i];
        if (page->bytes)
            page->bytes = arena_copy(&entry->arena, page->bytes, PVM_PAGE_SIZE);
        if (!page->bytes &&
            (page->state == KERNEL_PAGE_LOADED || page->state == KERNEL_PAGE_DIRTY))
            error = KERNEL_ERROR_Internal;
    }
    return error;
}

static enum kernel_error entry_make(const struct kernel *kernel,
                                    const struct kernel_work_cap *cap,
                                    struct work_entry **ret_entry)
{
    enum kernel_error error = cap_check(kernel, cap);
    if (error)
        return error;
    struct arena arena;
    arena_init(&arena, ENTRY_BYTES_MAX);
    struct work_entry *entry = arena_new(&arena, struct work_entry);
    if (!entry)
        return KERNEL_ERROR_Internal;
    entry->arena = arena;
    error = entry_fill(entry, cap);
    if (error)
        entry_free(entry);
    else
        *ret_entry = entry;
    return error;
}

enum kernel_error kernel_work_new(struct kernel *kernel,
                                  const struct kernel_work_cap *cap, uint64_t *ret_id)
{
    struct work_entry *entry;
    enum kernel_error error = entry_make(kernel, cap, &entry);
    if (error)
        return error;
    entry->id = kernel->work_last + 1;
    buf_put(&kernel->work, &entry, sizeof entry);
    if (kernel->work.err) {
        entry_free(entry);
        return KERNEL_ERROR_Internal;
    }
    *ret_id = ++kernel->work_last;
    return KERNEL_ERROR_None;
}

enum kernel_error kernel_work_promote(struct kernel *kernel, const struct hash256 *hash,
                                      uint64_t *ret_id)
{
    const struct blob *blob = kernel_directory_find(&kernel->directory, hash);
    if (!blob)
        return KERNEL_ERROR_WorkingMissing;
    if (!kernel_stored_paged(blob->wire))
        return kernel_work_new(kernel, &(struct kernel_work_cap){.wire = blob->wire},
                               ret_id);
    struct kernel_pages pages = kernel_stored_pages(blob->wire);
    struct buf list;
    buf_init(&list, SIZE_MAX);
    for (uint32_t i = 0; i < pages.count; i++) {
        struct kernel_page page = kernel_pages_at(&pages, i);
        buf_put(&list, &page, sizeof page);
    }
    const struct kernel_paged paged = {pages.page_size, pages.count,
                                       (struct kernel_page *)(void *)list.data};
    enum kernel_error error = KERNEL_ERROR_Internal;
    if (!list.err)
        error =
            kernel_work_new(kernel, &(struct kernel_work_cap){.paged = &paged}, ret_id);
    buf_fini(&list);
    return error;
}

enum kernel_error kernel_work_replace(struct kernel *kernel, uint64_t id,
                                      const struct kernel_work_cap *cap)
{
    struct work_entry *entry, *old = entry_find(kernel, id);
    if (!old)
        return KERNEL_ERROR_WorkingMissing;
    enum kernel_error error = entry_make(kernel, cap, &entry);
    if (error)
        return error;
    entry->id = id;
    for (uint32_t i = 0; i < kernel_work_count(kernel); i++) {
        if (entries(kernel)[i] == old)
            entries(kernel)[i] = entry;
    }
    entry_retire(kernel, old);
    return KERNEL_ERROR_None;
}

static enum kernel_error find_pages(struct kernel *kernel, uint64_t id,
                                    struct work_entry **ret_entry)
{
    *ret_entry = entry_find(kernel, id);
    if (!*ret_entry)
        return KERNEL_ERROR_WorkingMissing;
    bool writable = (*ret_entry)->paged && !(*ret_entry)->settled;
    return writable ? KERNEL_ERROR_None : KERNEL_ERROR_NotData;
}

enum kernel_error kernel_work_write(struct kernel *kernel, uint64_t id, uint64_t offset,
                                    struct bytes bytes)
{
    struct work_entry *entry;
    enum kernel_error error = find_pages(kernel, id, &entry);
    return error ? error
                 : kernel_paged_write(&entry->arena, &entry->pages, offset, bytes);
}

enum kernel_error kernel_work_flush(struct kernel *kernel, uint64_t id)
{
    struct work_entry *entry;
    enum kernel_error error = find_pages(kernel, id, &entry);
    if (!error)
        kernel_paged_flush(&entry->pages);
    return error;
}

/* ---- looking ---- */

bool kernel_work_find(const struct kernel *kernel, uint64_t id,
                      struct kernel_cap *ret_cap)
{
    const struct work_entry *entry = entry_find(kernel, id);
    if (!entry)
        return false;
    if (entry->settled)
        return kernel_find(kernel, &entry->hash, ret_cap);
    *ret_cap = (struct kernel_cap){.kind = KERNEL_KIND_DATA};
    if (entry->paged) {
        ret_cap->paged = true;
        ret_cap->pages = (struct kernel_pages){.page_size = entry->pages.page_size,
                                               .count = entry->pages.count,
                                               .paged = &entry->pages};
        return true;
    }
    check(kernel_wire_decode(entry->wire, ret_cap) == KERNEL_STATUS_OK);
    ret_cap->root_ref = entry->root_ref;
    ret_cap->ref = entry->ref;
    ret_cap->ref_count = entry->ref_count;
    return true;
}

static enum kernel_error entry_hash(const struct work_entry *entry,
                                    struct hash256 *ret_hash)
{
    struct kernel_cap cap;
    if (entry->settled) {
        *ret_hash = entry->hash;
        return KERNEL_ERROR_None;
    }
    if (entry->paged)
        return kernel_paged_hash(&entry->pages, ret_hash);
    if (entry->root_ref || entry->ref_count)
        return KERNEL_ERROR_Unsettled;
    check(kernel_wire_decode(entry->wire, &cap) == KERNEL_STATUS_OK);
    *ret_hash = kernel_cap_hash(&cap);
    return KERNEL_ERROR_None;
}

enum kernel_error kernel_work_hash(const struct kernel *kernel, uint64_t id,
                                   struct hash256 *ret_hash)
{
    const struct work_entry *entry = entry_find(kernel, id);
    return entry ? entry_hash(entry, ret_hash) : KERNEL_ERROR_WorkingMissing;
}

enum kernel_error kernel_work_give(struct kernel *kernel, uint32_t position,
                                   uint32_t slot, const struct kernel_target *target)
{
    if (position >= kernel->stack_size || kernel->stack[position].reference)
        return KERNEL_ERROR_CallStackEmpty;
    struct slots *slots = &kernel->stack[position].cnode;
    if (slot >= KERNEL_SLOT_COUNT || !slots_in_range(slots, slot))
        return KERNEL_ERROR_SlotOutOfRange;
    slots->slot[slot] = (struct slot){
        .used = target->present, .hash = target->hash, .ref = target->ref};
    return KERNEL_ERROR_None;
}

/* ---- settle ---- */

/* The next entry that this one names; 0: none. */
static uint64_t next_ref(const struct work_entry *entry)
{
    return entry->root_ref ? entry->root_ref : entry->ref_count ? entry->ref[0].id : 0;
}

/* Write the hash of a nested entry in the place of its Ref: the first one. */
static enum kernel_error ref_replace(struct work_entry *entry,
                                     const struct hash256 *hash)
{
    enum { ROOT_AT = 1 + 64 };
    if (entry->root_ref) {
        memcpy((uint8_t *)entry->wire.data + ROOT_AT, hash->byte, HASH256_SIZE);
        entry->root_ref = 0;
        return KERNEL_ERROR_None;
    }
    size_t size = entry->wire.size + KERNEL_ENTRY_SIZE;
    uint8_t *wire = arena_alloc(&entry->arena, size, 1);
    struct kernel_cap cap;
    if (!wire)
        return KERNEL_ERROR_Internal;
    check(kernel_wire_decode(entry->wire, &cap) == KERNEL_STATUS_OK);
    uint32_t before = 0;
    while (before < cap.cnode.entries.count &&
           kernel_entry_slot(cap.cnode.entries, before) < entry->ref[0].slot)
        before++;
    size_t at = (size_t)(cap.cnode.entries.data - entry->wire.data) +
                (size_t)before * KERNEL_ENTRY_SIZE;
    memcpy(wire, entry->wire.data, at);
    kernel_u32_put(wire + at, entry->ref[0].slot);
    memcpy(wire + at + 4, hash->byte, HASH256_SIZE);
    memcpy(wire + at + KERNEL_ENTRY_SIZE, entry->wire.data + at, entry->wire.size - at);
    entry->wire = bytes_of(wire, size);
    entry->ref_count--;
    entry->ref++;
    return KERNEL_ERROR_None;
}

/* Hash an entry that names no other; data and cnodes become blobs. */
static enum kernel_error entry_publish(struct kernel *kernel, struct work_entry *entry,
                                       struct hash256 *ret_hash)
{
    enum kernel_error error = entry_hash(entry, ret_hash);
    if (error || entry->settled)
        return error;
    bool inserted = !kernel_directory_find(&kernel->directory, ret_hash);
    if (entry->paged) {
        error = kernel_put_paged(kernel, &entry->pages, ret_hash);
    } else if (entry->wire.data[0] == KERNEL_KIND_DATA ||
               entry->wire.data[0] == KERNEL_KIND_CNODE) {
        const struct draft draft = {*ret_hash, entry->wire};
        if (!kernel_directory_fits(&kernel->directory, &draft, 1))
            return KERNEL_ERROR_DirectoryFull;
        (void)kernel_directory_insert(&kernel->directory, &draft);
    } else {
        return KERNEL_ERROR_None;
    }
    if (!error && inserted)
        kernel_journal_published(kernel, ret_hash);
    entry->settled = !error;
    entry->hash = *ret_hash;
    return error;
}

/* One step for the entry on top of the list: go down, or finish and go up. */
static enum kernel_error settle_step(struct kernel *kernel, struct buf *path,
                                     struct hash256 *ret_hash)
{
    struct work_entry **list = (struct work_entry **)(void *)path->data;
    size_t depth = path->size / sizeof *list;
    struct work_entry *entry = list[depth - 1];
    uint64_t nested = next_ref(entry);
    if (nested) {
        struct work_entry *child = entry_find(kernel, nested);
        if (!child)
            return KERNEL_ERROR_WorkingMissing;
        if (child->settling)
            return KERNEL_ERROR_RefCycle;
        child->settling = true;
        buf_put(path, &child, sizeof child);
        if (path->err)
            child->settling = false;
        return path->err ? KERNEL_ERROR_Internal : KERNEL_ERROR_None;
    }
    enum kernel_error error = entry_publish(kernel, entry, ret_hash);
    if (error)
        return error;
    entry->settling = false;
    path->size -= sizeof entry;
    return depth > 1 ? ref_replace(list[depth - 2], ret_hash) : KERNEL_ERROR_None;
}

enum kernel_error kernel_work_settle(struct kernel *kernel,
                                     const struct kernel_target *target,
                                     struct hash256 *ret_hash)
{
    if (!target->ref) {
        *ret_hash = target->hash;
        return KERNEL_ERROR_None;
    }
    struct work_entry *entry = entry_find(kernel, target->ref);
    if (!entry)
        return KERNEL_ERROR_WorkingMissing;
    struct buf path;
    buf_init(&path, SIZE_MAX);
    buf_put(&path, &entry, sizeof entry);
    enum kernel_error error = path.err ? KERNEL_ERROR_Internal : KERNEL_ERROR_None;
    entry->settling = true;
    while (!error && path.size)
        error = settle_step(kernel, &path, ret_hash);
    struct work_entry **list = (struct work_entry **)(void *)path.data;
    for (size_t i = 0; i < path.size / sizeof *list; i++)
        list[i]->settling = false;
    entry->settling = false;
    buf_fini(&path);
    return error;
}

/* ---- sweep ---- */

static bool frame_names(const struct frame *frame, uint64_t id)
{
    if (frame->called.ref == id)
        return true;
    for (uint32_t i = 0; i < KERNEL_SLOT_COUNT; i++) {
        if (frame->cnode.slot[i].used && frame->cnode.slot[i].ref == id)
            return true;
    }
    return false;
}

static bool entry_names(const struct work_entry *entry, uint64_t id)
{
    if (entry->settled)
        return false;
    for (uint32_t i = 0; i < entry->ref_count; i++) {
        if (entry->ref[i].id == id)
            return true;
    }
    return entry->root_ref == id;
}

static bool is_named(const struct kernel *kernel, const struct work_entry *entry)
{
    for (uint32_t i = 0; i < kernel->stack_size; i++) {
        if (!kernel->stack[i].reference && frame_names(&kernel->stack[i], entry->id))
            return true;
    }
    for (uint32_t i = 0; i < kernel_work_count(kernel); i++) {
        if (entries(kernel)[i] != entry && entry_names(entries(kernel)[i], entry->id))
            return true;
    }
    return false;
}

void kernel_work_sweep(struct kernel *kernel)
{
    for (uint32_t i = 0; i < kernel_work_count(kernel);) {
        struct work_entry *entry = entries(kernel)[i];
        if (is_named(kernel, entry)) {
            i++;
            continue;
        }
        size_t after = (kernel_work_count(kernel) - i - 1) * sizeof entry;
        memmove(&entries(kernel)[i], &entries(kernel)[i + 1], after);
        kernel->work.size -= sizeof entry;
        entry_retire(kernel, entry);
        i = 0; /* what it named may be free now */
    }
}
