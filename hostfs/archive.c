/* SPDX-License-Identifier: MIT
 *
 * Members in any order become a canonical list; and our own form of such a list.
 *
 * Paths are compared with '/' below every other byte, which is depth-first order with
 * the names of each directory in bytewise order.
 */
#include "hostfs/image.h"

#include <stdlib.h>
#include <string.h>

enum {
    PATH_SIZE_MAX = 65535,
    HEADER_SIZE = 27, /* of a member in our own form */
    PAGE = 4096,
    CELL = 64,
    STEP_COUNT_MAX = 1 << 28,
};

static const char own_magic[] = "V86FSIMG1\n";

void hostfs_image_options_init(struct hostfs_image_options *options)
{
    *options = (struct hostfs_image_options){.size_max = UINT64_C(1) << 30,
                                             .entry_count_max = 1 << 20};
}

void hostfs_gather_init(struct hostfs_gather *gather, struct arena *arena,
                        const struct hostfs_image_options *options)
{
    *gather = (struct hostfs_gather){.arena = arena, .options = options};
}

/* ---- one member ---- */

/* Strip "./" in front and '/' behind; every part has to be a name. */
static enum err clean_path(struct bytes path, struct bytes *ret_path)
{
    while (path.size && path.data[path.size - 1] == '/')
        path.size--;
    while (path.size >= 2 && memcmp(path.data, "./", 2) == 0)
        path = hostfs_behind(path, 2);
    if (path.size == 1 && path.data[0] == '.')
        path.size = 0;
    if (path.size > PATH_SIZE_MAX)
        return ERR_v86fs_image;
    *ret_path = path;
    for (struct bytes rest = path; rest.size;) {
        const uint8_t *slash = memchr(rest.data, '/', rest.size);
        struct bytes name =
            bytes_of(rest.data, slash ? (size_t)(slash - rest.data) : rest.size);
        if (v86fs_tree_name_status(name, V86FS_EINVAL, V86FS_EINVAL) ||
            name.size + 1 == rest.size)
            return ERR_v86fs_image;
        rest = hostfs_behind(rest, name.size + (slash ? 1 : 0));
    }
    return ERR_ok;
}

static uint64_t rounded(uint64_t size, uint64_t unit)
{
    return (size + unit - 1) / unit * unit;
}

static enum err make_room(struct hostfs_gather *gather)
{
    if (gather->count >= gather->options->entry_count_max)
        return ERR_limit;
    if (gather->count < gather->capacity)
        return ERR_ok;
    size_t capacity = gather->capacity ? gather->capacity * 2 : 64;
    struct v86fs_image_entry *entry =
        arena_new_array(gather->arena, struct v86fs_image_entry, capacity);
    if (!entry)
        return ERR_nomem;
    if (gather->count)
        memcpy(entry, gather->entry, gather->count * sizeof *entry);
    gather->entry = entry;
    gather->capacity = capacity;
    return ERR_ok;
}

/* What a member takes of the quota of v86fs_mem, or a bit more. */
static uint64_t cost_of(const struct v86fs_image_entry *entry)
{
    bool file = (entry->mode & V86FS_TYPE_MASK) == V86FS_REGULAR;
    return rounded(entry->data.size, file ? PAGE : CELL) +
           rounded(entry->path.size, CELL);
}

enum err hostfs_gather_add(struct hostfs_gather *gather,
                           const struct v86fs_image_entry *entry)
{
    struct v86fs_image_entry added = *entry;
    TRY(clean_path(entry->path, &added.path));
    TRY(make_room(gather));
    uint64_t size = cost_of(&added);
    if (size > gather->options->size_max - gather->size)
        return ERR_limit;
    gather->size += size;
    if (gather->options->set_mtime)
        added.mtime = (struct v86fs_time){.s = gather->options->mtime};
    gather->entry[gather->count++] = added;
    return ERR_ok;
}

struct v86fs_image_entry *hostfs_gather_find(struct hostfs_gather *gather,
                                             struct bytes path)
{
    struct bytes clean;
    if (clean_path(path, &clean))
        return NULL;
    for (size_t i = gather->count; i-- && gather->steps < STEP_COUNT_MAX;) {
        gather->steps++;
        struct v86fs_image_entry *entry = &gather->entry[i];
        if (entry->path.size == clean.size &&
            (!clean.size || memcmp(entry->path.data, clean.data, clean.size) == 0))
            return entry;
    }
    return NULL;
}

/* ---- the list ---- */

static int by_path(const void *a, const void *b)
{
    const struct v86fs_image_entry *x = a, *y = b;
    size_t common = x->path.size < y->path.size ? x->path.size : y->path.size;
    for (size_t i = 0; i < common; i++) {
        unsigned p = x->path.data[i], q = y->path.data[i];
        if (p != q)
            return p == '/' ? -1 : q == '/' ? 1 : p < q ? -1 : 1;
    }
    return x->path.size < y->path.size ? -1 : x->path.size > y->path.size;
}

/* Add the directories between `before` and the member behind it. */
static enum err add_implied(struct hostfs_gather *gather, struct bytes before,
                            struct bytes path)
{
    for (size_t i = 0; i < path.size; i++) {
        if (path.data[i] != '/')
            continue;
        bool known = before.size >= i && memcmp(before.data, path.data, i) == 0 &&
                     (before.size == i || before.data[i] == '/');
        struct v86fs_image_entry implied = {.path = bytes_of(path.data, i),
                                            .mode = V86FS_DIRECTORY | 0755};
        if (!known)
            TRY(hostfs_gather_add(gather, &implied));
    }
    return ERR_ok;
}

static void sort(struct hostfs_gather *gather)
{
    if (gather->count)
        qsort(gather->entry, gather->count, sizeof *gather->entry, by_path);
}

enum err hostfs_gather_finish(struct hostfs_gather *gather,
                              struct hostfs_image *ret_image)
{
    sort(gather);
    struct bytes before = {0};
    for (size_t i = 0, count = gather->count; i < count; i++) {
        struct bytes path = gather->entry[i].path;
        if (i && by_path(&gather->entry[i - 1], &gather->entry[i]) == 0)
            return ERR_v86fs_image;
        TRY(add_implied(gather, before, path));
        before = path;
    }
    sort(gather);
    *ret_image = (struct hostfs_image){.entry = gather->entry, .count = gather->count};
    for (size_t k = 0; k < gather->count; k++)
        ret_image->size += cost_of(&gather->entry[k]);
    return ERR_ok;
}

/* ---- our own form ---- */

static void put_number(struct buf *buf, unsigned size, uint64_t value)
{
    uint8_t number[8];
    v86fs_store(number, size, value);
    buf_put(buf, number, size);
}

void hostfs_image_put(const struct hostfs_image *image, struct buf *buf)
{
    buf_text(buf, own_magic);
    for (size_t i = 0; i < image->count; i++) {
        const struct v86fs_image_entry *entry = &image->entry[i];
        put_number(buf, 1, (entry->mode & V86FS_TYPE_MASK) >> 12);
        put_number(buf, 4, entry->mode);
        put_number(buf, 8, (uint64_t)entry->mtime.s);
        put_number(buf, 4, entry->mtime.ns);
        put_number(buf, 8, entry->data.size);
        put_number(buf, 2, entry->path.size);
        buf_put(buf, entry->path.data, entry->path.size);
        buf_put(buf, entry->data.data, entry->data.size);
    }
}

static enum err own_read(struct hostfs_gather *gather, struct bytes list)
{
    while (list.size) {
        if (list.size < HEADER_SIZE)
            return ERR_v86fs_image;
        const uint8_t *at = list.data;
        uint64_t data_size = v86fs_load(at + 17, 8);
        size_t path_size = (size_t)v86fs_load(at + 25, 2);
        list = hostfs_behind(list, HEADER_SIZE);
        if (path_size > list.size || data_size > list.size - path_size)
            return ERR_v86fs_image;
        struct v86fs_image_entry entry = {
            .path = bytes_of(list.data, path_size),
            .mode = (uint32_t)v86fs_load(at + 1, 4),
            .mtime = {.s = (int64_t)v86fs_load(at + 5, 8),
                      .ns = (uint32_t)v86fs_load(at + 13, 4)},
            .data = bytes_of(list.data + path_size, (size_t)data_size)};
        if (at[0] != (entry.mode & V86FS_TYPE_MASK) >> 12)
            return ERR_v86fs_image;
        TRY(hostfs_gather_add(gather, &entry));
        list = hostfs_behind(list, path_size + (size_t)data_size);
    }
    return ERR_ok;
}

enum err hostfs_archive_read(struct arena *arena, struct bytes archive,
                             const struct hostfs_image_options *options,
                             struct hostfs_image *ret_image)
{
    struct hostfs_gather gather;
    size_t magic_size = sizeof own_magic - 1;
    hostfs_gather_init(&gather, arena, options);
    if (archive.size >= magic_size && memcmp(archive.data, own_magic, magic_size) == 0)
        TRY(own_read(&gather, hostfs_behind(archive, magic_size)));
    else if (archive.size >= 6 && memcmp(archive.data, "07070", 5) == 0)
        TRY(hostfs_cpio_read(&gather, archive));
    else
        TRY(hostfs_tar_read(&gather, archive));
    return hostfs_gather_finish(&gather, ret_image);
}
