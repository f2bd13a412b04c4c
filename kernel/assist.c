/* SPDX-License-Identifier: MIT
 *
 * Kernel assist [7]: quotas, meters, files, catchers.  Sorted arrays: lookups are what
 * guests can cause, insertions come from the host.
 */
#include "kernel/internal.h"

#include <string.h>

/* ---- amounts ---- */

/* Position of the first entry whose id is not below `id`. */
static uint32_t amount_at(const struct amount *list, uint32_t count, uint64_t id)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (list[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint64_t amount_get(const struct amount *list, uint32_t count, uint64_t id)
{
    uint32_t at = amount_at(list, count, id);
    return at < count && list[at].id == id ? list[at].value : 0;
}

static enum kernel_status amount_set(struct amount *list, uint32_t *count,
                                     uint32_t count_max, struct amount entry,
                                     uint64_t *ret_previous)
{
    uint32_t at = amount_at(list, *count, entry.id);
    bool found = at < *count && list[at].id == entry.id;
    uint64_t previous = found ? list[at].value : 0;
    if (found && entry.value) {
        list[at] = entry;
    } else if (found) {
        memmove(list + at, list + at + 1, (*count - at - 1) * sizeof *list);
        --*count;
    } else if (entry.value) {
        if (*count == count_max)
            return KERNEL_STATUS_LIMIT;
        memmove(list + at + 1, list + at, (*count - at) * sizeof *list);
        list[at] = entry;
        ++*count;
    }
    *ret_previous = previous;
    return KERNEL_STATUS_OK;
}

enum kernel_status kernel_quota_seed(struct kernel *kernel, uint64_t id, uint64_t value,
                                     uint64_t *ret_previous)
{
    struct assist *a = &kernel->assist;
    return amount_set(a->quota, &a->quota_count, a->count_max,
                      (struct amount){id, value}, ret_previous);
}

enum kernel_status kernel_meter_seed(struct kernel *kernel, uint64_t id, uint64_t value,
                                     uint64_t *ret_previous)
{
    struct assist *a = &kernel->assist;
    return amount_set(a->meter, &a->meter_count, a->count_max,
                      (struct amount){id, value}, ret_previous);
}

uint64_t kernel_quota(const struct kernel *kernel, uint64_t id)
{
    return amount_get(kernel->assist.quota, kernel->assist.quota_count, id);
}

/* Take `size` from a quota that has it. */
static void quota_debit(struct assist *a, uint64_t quota, uint64_t size)
{
    uint64_t had = amount_get(a->quota, a->quota_count, quota);
    check(had >= size);
    check(amount_set(a->quota, &a->quota_count, a->count_max,
                     (struct amount){quota, had - size}, &had) == KERNEL_STATUS_OK);
}

/* ---- files ---- */

static uint32_t file_at(const struct assist *a, uint64_t id)
{
    uint32_t low = 0, high = a->file_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (a->file[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void file_insert(struct assist *a, uint32_t at, uint64_t id,
                        const struct hash256 *hash)
{
    memmove(a->file + at + 1, a->file + at, (a->file_count - at) * sizeof *a->file);
    a->file[at] = (struct file){.id = id, .hash = *hash};
    a->file_count++;
}

enum kernel_status kernel_file_seed(struct kernel *kernel, uint64_t id,
                                    const struct hash256 *hash, uint64_t *ret_next_id)
{
    struct assist *a = &kernel->assist;
    if (id == UINT64_MAX)
        return KERNEL_STATUS_BAD_VALUE;
    uint32_t at = file_at(a, id);
    if (at < a->file_count && a->file[at].id == id) {
        a->file[at].hash = *hash;
    } else {
        if (a->file_count == a->count_max)
            return KERNEL_STATUS_LIMIT;
        file_insert(a, at, id, hash);
    }
    if (a->file_next <= id)
        a->file_next = id + 1;
    *ret_next_id = a->file_next;
    return KERNEL_STATUS_OK;
}

const struct hash256 *kernel_file(const struct kernel *kernel, uint64_t id)
{
    const struct assist *a = &kernel->assist;
    uint32_t at = file_at(a, id);
    return at < a->file_count && a->file[at].id == id ? &a->file[at].hash : NULL;
}

enum kernel_error kernel_assist_save_check(const struct assist *a, uint64_t quota,
                                           uint64_t size)
{
    if (amount_get(a->quota, a->quota_count, quota) < size)
        return KERNEL_ERROR_QuotaExhausted;
    if (a->file_count == a->count_max || a->file_next == UINT64_MAX)
        return KERNEL_ERROR_AssistRefused;
    return KERNEL_ERROR_None;
}

uint64_t kernel_assist_save(struct assist *a, const struct hash256 *hash,
                            uint64_t quota, uint64_t size)
{
    quota_debit(a, quota, size);
    file_insert(a, a->file_count, a->file_next, hash); /* the greatest id so far */
    return a->file_next++;
}

/* ---- catchers ---- */

static int hash_compare(const struct hash256 *a, const struct hash256 *b)
{
    return memcmp(a->byte, b->byte, HASH256_SIZE);
}

static uint32_t catcher_at(const struct assist *a, const struct hash256 *catcher)
{
    uint32_t low = 0, high = a->catcher_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (hash_compare(&a->catcher[middle], catcher) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool kernel_assist_is_catcher(const struct assist *a, const struct hash256 *hash)
{
    uint32_t at = catcher_at(a, hash);
    return at < a->catcher_count && hash256_equal(&a->catcher[at], hash);
}

static bool pair_equal(const struct marker *pair, const struct hash256 *catcher,
                       const struct hash256 *marker)
{
    return hash256_equal(&pair->catcher, catcher) &&
           hash256_equal(&pair->marker, marker);
}

static uint32_t pair_at(const struct assist *a, const struct hash256 *catcher,
                        const struct hash256 *marker)
{
    uint32_t low = 0, high = a->marker_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = hash_compare(&a->marker[middle].catcher, catcher);
        if (!order)
            order = hash_compare(&a->marker[middle].marker, marker);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool kernel_assist_catches(const struct assist *a, const struct hash256 *catcher,
                           const struct hash256 *marker)
{
    uint32_t at = pair_at(a, catcher, marker);
    return at < a->marker_count && pair_equal(&a->marker[at], catcher, marker);
}

static uint32_t marker_count(const struct assist *a, const struct hash256 *catcher)
{
    const struct hash256 least = {{0}};
    uint32_t at = pair_at(a, catcher, &least), count = 0;
    while (at + count < a->marker_count &&
           hash256_equal(&a->marker[at + count].catcher, catcher))
        count++;
    return count;
}

/* Create the key if needed. */
static void catcher_insert(struct assist *a, const struct hash256 *catcher)
{
    if (kernel_assist_is_catcher(a, catcher))
        return;
    uint32_t at = catcher_at(a, catcher);
    memmove(a->catcher + at + 1, a->catcher + at,
            (a->catcher_count - at) * sizeof *a->catcher);
    a->catcher[at] = *catcher;
    a->catcher_count++;
}

enum kernel_status kernel_catcher_new(struct kernel *kernel, struct hash256 *ret_id)
{
    struct assist *a = &kernel->assist;
    if (a->catcher_count == a->count_max)
        return KERNEL_STATUS_LIMIT;
    *ret_id = kernel_catcher_id(a->catcher_nonce++);
    catcher_insert(a, ret_id);
    return KERNEL_STATUS_OK;
}

enum kernel_status kernel_catcher_add(struct kernel *kernel,
                                      const struct hash256 *catcher,
                                      const struct hash256 *marker, uint32_t *ret_count)
{
    struct assist *a = &kernel->assist;
    bool new_key = !kernel_assist_is_catcher(a, catcher);
    bool new_pair = !kernel_assist_catches(a, catcher, marker);
    if ((new_key && a->catcher_count == a->count_max) ||
        (new_pair && a->marker_count == a->count_max))
        return KERNEL_STATUS_LIMIT;
    catcher_insert(a, catcher);
    if (new_pair) {
        uint32_t at = pair_at(a, catcher, marker);
        memmove(a->marker + at + 1, a->marker + at,
                (a->marker_count - at) * sizeof *a->marker);
        a->marker[at] = (struct marker){*catcher, *marker, a->marker_next++};
        a->marker_count++;
    }
    *ret_count = marker_count(a, catcher);
    return KERNEL_STATUS_OK;
}

enum kernel_status kernel_catcher_remove(struct kernel *kernel,
                                         const struct hash256 *catcher,
                                         const struct hash256 *marker,
                                         uint32_t *ret_count)
{
    struct assist *a = &kernel->assist;
    if (kernel_assist_catches(a, catcher, marker)) {
        uint32_t at = pair_at(a, catcher, marker);
        a->marker_count--;
        memmove(a->marker + at, a->marker + at + 1,
                (a->marker_count - at) * sizeof *a->marker);
    }
    *ret_count = marker_count(a, catcher);
    return KERNEL_STATUS_OK;
}

void kernel_block_reset(struct kernel *kernel)
{
    struct assist *a = &kernel->assist;
    a->quota_count = a->meter_count = a->catcher_count = a->marker_count = 0;
}
