/* SPDX-License-Identifier: MIT
 *
 * Listings of a host directory (v86fs.md 4.4 rule 9).
 *
 * A listing is frozen in bytewise order and its entries are numbered.  When the
 * directory has changed, names that stay keep their numbers and new ones get higher
 * numbers, so that a reader who comes back with a cookie misses nothing that was there
 * all the time and sees nothing twice.
 */
#include "hostfs/dir.h"

#include <stdlib.h>
#include <string.h>

/* A listing that was read to its end is kept for a change of heart, if it is small. */
enum { KEPT_COUNT_MAX = 4096 };

/* Free the memory, keep the limit. */
static void empty(struct buf *buf)
{
    size_t size_max = buf->size_max;
    buf_fini(buf);
    buf_init(buf, size_max);
}

static void forget(struct hostfs_listing *listing)
{
    empty(&listing->names);
    empty(&listing->by_name);
    empty(&listing->by_number);
    listing->slot = 0;
    listing->count = 0;
}

void hostfs_dir_listings_fini(struct hostfs_dir *dir)
{
    for (unsigned i = 0; i < HOSTFS_DIR_LISTING_COUNT; i++)
        forget(&dir->listing[i]);
}

static struct hostfs_dir_entry *entries_of(struct buf *buf)
{
    return (struct hostfs_dir_entry *)(void *)buf->data;
}

static int by_name(const void *a, const void *b)
{
    const struct hostfs_dir_entry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int by_number(const void *a, const void *b)
{
    const struct hostfs_dir_entry *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* The names as entries without numbers, sorted. */
static uint32_t sort_names(struct hostfs_listing *listing)
{
    const char *at = buf_string(&listing->names);
    const char *end = at + listing->names.size;
    listing->count = 0;
    for (; at < end; at += strlen(at) + 1) {
        struct hostfs_dir_entry entry = {.name = at};
        buf_put(&listing->by_name, &entry, sizeof entry);
        listing->count++;
    }
    if (listing->by_name.err)
        return V86FS_ENFILE;
    if (listing->count)
        qsort(listing->by_name.data, listing->count, sizeof(struct hostfs_dir_entry),
              by_name);
    return 0;
}

/* Numbers: those of `old`, a sorted list, where names stay; else new ones. */
static uint32_t number_entries(struct hostfs_listing *listing,
                               const struct hostfs_dir_entry *old, size_t old_count)
{
    struct hostfs_dir_entry *entry = entries_of(&listing->by_name);
    for (size_t i = 0, k = 0; i < listing->count; i++) {
        while (k < old_count && strcmp(old[k].name, entry[i].name) < 0)
            k++;
        bool stays = k < old_count && strcmp(old[k].name, entry[i].name) == 0;
        entry[i].number = stays ? old[k].number : ++listing->number;
    }
    buf_put(&listing->by_number, entry, listing->count * sizeof *entry);
    if (listing->by_number.err)
        return V86FS_ENFILE;
    if (listing->count)
        qsort(listing->by_number.data, listing->count, sizeof *entry, by_number);
    return 0;
}

/* Read the directory anew. */
static uint32_t refresh(struct hostfs_dir *dir, struct hostfs_listing *listing, int fd,
                        const struct os_dir_stat *stat)
{
    struct buf names = listing->names, old = listing->by_name;
    size_t old_count = listing->count;
    buf_init(&listing->names, names.size_max);
    buf_init(&listing->by_name, old.size_max);
    buf_clear(&listing->by_number);
    int failed = os_dir_list(fd, dir->options.entry_count_max, &listing->names);
    uint32_t status = failed == V86FS_EFBIG ? V86FS_ENFILE : (uint32_t)failed;
    if (!status)
        status = sort_names(listing);
    if (!status)
        status = number_entries(listing, entries_of(&old), old_count);
    buf_fini(&names);
    buf_fini(&old);
    listing->mtime = stat->mtime;
    listing->ctime = stat->ctime;
    if (status)
        forget(listing);
    return status;
}

static bool same_time(struct os_dir_time a, struct os_dir_time b)
{
    return a.s == b.s && a.ns == b.ns;
}

/* The listing of a directory, or the one that was not used for longest. */
static struct hostfs_listing *listing_of(struct hostfs_dir *dir, uint32_t slot)
{
    struct hostfs_listing *oldest = &dir->listing[0];
    for (unsigned i = 0; i < HOSTFS_DIR_LISTING_COUNT; i++) {
        struct hostfs_listing *listing = &dir->listing[i];
        if (listing->slot == slot)
            return listing;
        if (!listing->slot || (oldest->slot && listing->used < oldest->used))
            oldest = listing;
    }
    forget(oldest);
    oldest->slot = slot;
    oldest->number = 0;
    return oldest;
}

/* The first entry with a number above the cookie. */
static size_t find_cookie(struct hostfs_listing *listing, uint64_t cookie)
{
    const struct hostfs_dir_entry *entry = entries_of(&listing->by_number);
    size_t low = 0, high = listing->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entry[middle].number <= cookie)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* One entry to the caller; what has gone meanwhile is passed over. */
static uint32_t give_entry(struct hostfs_dir *dir, uint32_t slot, int fd,
                           const struct hostfs_dir_entry *entry,
                           struct v86fs_call *call, bool *ret_full)
{
    struct os_dir_stat stat;
    if (os_dir_stat_at(fd, entry->name, &stat) || !hostfs_dir_visible(dir, &stat))
        return 0;
    uint32_t node = hostfs_dir_intern(dir, slot, entry->name, &stat);
    if (!node)
        return V86FS_ENFILE;
    struct v86fs_dirent dirent = {.cookie = entry->number,
                                  .node = dir->nodes[node].id,
                                  .mode = dir->nodes[node].type,
                                  .name = bytes_of(entry->name, strlen(entry->name))};
    *ret_full = !call->entry(call, &dirent);
    return 0;
}

uint32_t hostfs_dir_readdir(struct hostfs_dir *dir, uint32_t slot,
                            struct v86fs_call *call)
{
    struct os_dir_stat stat;
    int fd;
    uint32_t status = hostfs_dir_reference(dir, slot, &fd);
    if (!status)
        status = (uint32_t)os_dir_stat(fd, &stat);
    if (status)
        return status;
    hostfs_dir_watch(dir, slot, fd);
    struct hostfs_listing *listing = listing_of(dir, slot);
    listing->used = ++dir->listing_clock;
    /* From the start always anew: clocks of file systems are coarse. */
    if (!call->in.cookie || !listing->count || !same_time(listing->mtime, stat.mtime) ||
        !same_time(listing->ctime, stat.ctime))
        status = refresh(dir, listing, fd, &stat);
    if (status)
        return status;
    bool full = false;
    size_t at = find_cookie(listing, call->in.cookie);
    for (; at < listing->count && !status && !full; at++)
        status = give_entry(dir, slot, fd, &entries_of(&listing->by_number)[at], call,
                            &full);
    call->out.more = full;
    if (!full && listing->count > KEPT_COUNT_MAX)
        forget(listing);
    return status;
}
