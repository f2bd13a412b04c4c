/* SPDX-License-Identifier: MIT
 *
 * The cap directory [4.1]: hash to cap, insert-only.
 */
#include "kernel/internal.h"

#include <string.h>

static uint32_t hash_start(const struct directory *d, const struct hash256 *hash)
{
    return kernel_u32(hash->byte) & d->index_mask;
}

const struct blob *kernel_directory_find(const struct directory *d,
                                         const struct hash256 *hash)
{
    for (uint32_t i = hash_start(d, hash); d->index[i]; i = (i + 1) & d->index_mask) {
        const struct blob *blob = &d->blob[d->index[i] - 1];
        if (hash256_equal(&blob->hash, hash))
            return blob;
    }
    return NULL;
}

bool kernel_directory_fits(const struct directory *d, const struct draft *draft,
                           unsigned count)
{
    uint64_t bytes = 0, caps = 0;
    for (unsigned i = 0; i < count; i++) {
        if (kernel_directory_find(d, &draft[i].hash))
            continue;
        bytes += draft[i].wire.size;
        caps++;
    }
    return caps <= d->count_max - d->count && bytes <= d->used_max - d->used;
}

bool kernel_directory_insert(struct directory *d, const struct draft *draft)
{
    if (kernel_directory_find(d, &draft->hash))
        return false;
    check(d->count < d->count_max && draft->wire.size <= d->used_max - d->used);
    /* A draft behind one that was present already moves down to the end. */
    uint8_t *end = directory_end(d);
    if (end != draft->wire.data)
        memmove(end, draft->wire.data, draft->wire.size);
    d->blob[d->count] =
        (struct blob){.hash = draft->hash, .wire = bytes_of(end, draft->wire.size)};
    d->used += draft->wire.size;
    uint32_t i = hash_start(d, &draft->hash);
    while (d->index[i])
        i = (i + 1) & d->index_mask;
    d->index[i] = ++d->count;
    return true;
}

void kernel_directory_truncate(struct directory *d, uint32_t count)
{
    while (d->count > count) { /* the last one in has displaced nobody */
        const struct blob *blob = &d->blob[d->count - 1];
        uint32_t i = hash_start(d, &blob->hash);
        while (d->index[i] != d->count)
            i = (i + 1) & d->index_mask;
        d->index[i] = 0;
        d->used -= blob->wire.size;
        d->count--;
    }
}

void kernel_publish(struct kernel *kernel, const struct draft *draft)
{
    if (kernel_directory_insert(&kernel->directory, draft))
        kernel_journal_published(kernel, &draft->hash);
}

bool kernel_find(const struct kernel *kernel, const struct hash256 *hash,
                 struct kernel_cap *ret_cap)
{
    const struct blob *blob = kernel_directory_find(&kernel->directory, hash);
    if (!blob)
        return false;
    if (kernel_stored_paged(blob->wire)) {
        *ret_cap = (struct kernel_cap){.kind = KERNEL_KIND_DATA,
                                       .paged = true,
                                       .pages = kernel_stored_pages(blob->wire)};
        return true;
    }
    check(kernel_wire_decode(blob->wire, ret_cap) == KERNEL_STATUS_OK);
    return true;
}

bool kernel_find_target(const struct kernel *kernel, const struct slot *target,
                        struct kernel_cap *ret_cap)
{
    return target->ref ? kernel_work_find(kernel, target->ref, ret_cap)
                       : kernel_find(kernel, &target->hash, ret_cap);
}

/* ---- put ---- */

static bool is_known(const struct kernel *kernel, const struct hash256 *hash)
{
    for (int i = 0; i < KERNEL_ID_COUNT; i++) {
        if (hash256_equal(&kernel->id[i], hash))
            return true;
    }
    return kernel_directory_find(&kernel->directory, hash) ||
           kernel_assist_is_catcher(&kernel->assist, hash);
}

static enum kernel_status entries_check(const struct kernel *kernel,
                                        struct kernel_entries list)
{
    for (uint32_t i = 0; i < list.count; i++) {
        struct hash256 hash = kernel_entry_hash(list, i);
        if (!is_known(kernel, &hash))
            return KERNEL_STATUS_CHILD_MISSING;
    }
    return KERNEL_STATUS_OK;
}

static enum kernel_status child_check(const struct kernel *kernel,
                                      const struct hash256 *hash, enum kernel_kind kind)
{
    struct kernel_cap cap;
    if (!kernel_find(kernel, hash, &cap))
        return KERNEL_STATUS_CHILD_MISSING;
    return cap.kind == kind ? KERNEL_STATUS_OK : KERNEL_STATUS_CHILD_KIND;
}

static enum kernel_status children_check(const struct kernel *kernel,
                                         const struct kernel_cap *cap)
{
    enum kernel_status status;
    switch (cap->kind) {
    case KERNEL_KIND_INSTANCE:
        status = child_check(kernel, &cap->instance.image, KERNEL_KIND_IMAGE);
        return status
                   ? status
                   : child_check(kernel, &cap->instance.root_cnode, KERNEL_KIND_CNODE);
    case KERNEL_KIND_IMAGE:
        status = entries_check(kernel, cap->image.pinned);
        return status ? status : entries_check(kernel, cap->image.initial);
    case KERNEL_KIND_CNODE:
        return entries_check(kernel, cap->cnode.entries);
    case KERNEL_KIND_DATA:
    case KERNEL_KIND_TYPE:
        break;
    }
    return KERNEL_STATUS_OK;
}

/* `given` NULL: any hash will do. */
static enum kernel_error put(struct kernel *kernel, const struct hash256 *given,
                             struct bytes wire, enum kernel_status *ret_status,
                             struct hash256 *ret_hash)
{
    struct kernel_cap cap;
    enum kernel_status status = kernel_wire_decode(wire, &cap);
    if (!status)
        status = kernel_cap_check(&cap, &kernel->config);
    *ret_status = status;
    if (status)
        return KERNEL_ERROR_None;
    struct draft draft = {.hash = kernel_cap_hash(&cap), .wire = wire};
    if (given && !hash256_equal(given, &draft.hash))
        return KERNEL_ERROR_HashMismatch;
    if (!kernel_directory_find(&kernel->directory, &draft.hash)) {
        status = children_check(kernel, &cap);
        if (!status && !kernel_directory_fits(&kernel->directory, &draft, 1))
            status = KERNEL_STATUS_DIRECTORY_FULL;
        *ret_status = status;
        if (status)
            return KERNEL_ERROR_None;
        (void)kernel_directory_insert(&kernel->directory, &draft);
    }
    *ret_hash = draft.hash;
    return KERNEL_ERROR_None;
}

enum kernel_status kernel_put(struct kernel *kernel, struct bytes wire,
                              struct hash256 *ret_hash)
{
    enum kernel_status status;
    (void)put(kernel, NULL, wire, &status, ret_hash);
    return status;
}

enum kernel_error kernel_put_with_hash(struct kernel *kernel,
                                       const struct hash256 *hash, struct bytes wire,
                                       enum kernel_status *ret_status)
{
    struct hash256 computed;
    return put(kernel, hash, wire, ret_status, &computed);
}

enum kernel_status kernel_get(const struct kernel *kernel, const struct hash256 *hash,
                              struct bytes *ret_wire)
{
    const struct blob *blob = kernel_directory_find(&kernel->directory, hash);
    if (!blob)
        return KERNEL_STATUS_NOT_FOUND;
    if (kernel_stored_paged(blob->wire))
        return KERNEL_STATUS_NOT_ENCODABLE;
    *ret_wire = blob->wire;
    return KERNEL_STATUS_OK;
}

uint32_t kernel_cap_count(const struct kernel *kernel)
{
    return kernel->directory.count;
}
