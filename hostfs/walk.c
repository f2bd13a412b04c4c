/* SPDX-License-Identifier: MIT
 *
 * A directory of the host, read once into an image, by the rules of 4.4: nothing is
 * followed, and what is opened is what was looked at.
 */
#include "hostfs/image.h"

#include "base/os.h"
#include "base/os_dir.h"

#include <string.h>

enum { DEPTH_MAX = 250 };

struct walk {
    struct hostfs_gather gather;
    bool openat2;
    uint64_t dev;
    struct buf path; /* of the directory, with a '/' behind it */
    unsigned depth;
};

static enum err walk_directory(struct walk *walk, int fd);

static bool same(const struct os_dir_stat *a, const struct os_dir_stat *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->mode == b->mode &&
           a->size == b->size && a->mtime.s == b->mtime.s && a->mtime.ns == b->mtime.ns;
}

static enum err read_file(struct walk *walk, int fd, const struct os_dir_stat *stat,
                          struct bytes *ret_data)
{
    struct os_dir_stat after;
    size_t size;
    int data_fd;
    if (stat->size > walk->gather.options->size_max)
        return ERR_limit;
    uint8_t *data = arena_alloc(walk->gather.arena, (size_t)stat->size + 1, 1);
    if (!data)
        return ERR_nomem;
    if (os_dir_open_data(fd, false, &data_fd))
        return ERR_access;
    int failed = os_dir_read(data_fd, 0, data, (size_t)stat->size + 1, &size);
    if (!failed)
        failed = os_dir_stat(data_fd, &after);
    os_close(data_fd);
    if (failed || size != stat->size || !same(stat, &after))
        return ERR_io;
    *ret_data = bytes_of(data, size);
    return ERR_ok;
}

static enum err read_link(struct walk *walk, int fd, struct bytes *ret_data)
{
    size_t size;
    uint8_t *target = arena_alloc(walk->gather.arena, V86FS_TARGET_MAX, 1);
    if (!target)
        return ERR_nomem;
    if (os_dir_readlink(fd, target, V86FS_TARGET_MAX, &size))
        return ERR_io;
    *ret_data = bytes_of(target, size);
    return ERR_ok;
}

static enum err add_entry(struct walk *walk, int fd, const char *name,
                          const struct os_dir_stat *stat)
{
    uint32_t type = stat->mode & V86FS_TYPE_MASK;
    size_t path_size = walk->path.size;
    struct v86fs_image_entry entry = {
        .mode = stat->mode & (V86FS_TYPE_MASK | V86FS_PERMISSIONS),
        .mtime = {.s = stat->mtime.s, .ns = stat->mtime.ns}};
    buf_text(&walk->path, name);
    if (walk->path.err)
        return walk->path.err;
    entry.path.size = walk->path.size;
    entry.path.data = arena_copy(walk->gather.arena, walk->path.data, walk->path.size);
    enum err err = entry.path.data ? ERR_ok : ERR_nomem;
    if (!err && type == V86FS_REGULAR)
        err = read_file(walk, fd, stat, &entry.data);
    if (!err && type == V86FS_SYMLINK) {
        entry.mode = V86FS_SYMLINK | 0777;
        err = read_link(walk, fd, &entry.data);
    }
    if (!err)
        err = hostfs_gather_add(&walk->gather, &entry);
    if (!err && type == V86FS_DIRECTORY) {
        if (*name)
            buf_byte(&walk->path, '/');
        err = walk->depth < DEPTH_MAX ? walk_directory(walk, fd) : ERR_limit;
    }
    walk->path.size = path_size;
    return err;
}

/* A name of a listing; what cannot be in an image, or has gone, is left out. */
static enum err visit(struct walk *walk, int dir_fd, const char *name)
{
    struct os_dir_stat stat;
    int fd;
    if (os_dir_open(dir_fd, name, walk->openat2, &fd))
        return ERR_ok;
    enum err err = ERR_ok;
    if (os_dir_stat(fd, &stat)) {
        err = ERR_io;
    } else {
        uint32_t type = stat.mode & V86FS_TYPE_MASK;
        bool known =
            type == V86FS_DIRECTORY || type == V86FS_REGULAR || type == V86FS_SYMLINK;
        if (known && stat.dev == walk->dev)
            err = add_entry(walk, fd, name, &stat);
    }
    os_close(fd);
    return err;
}

static enum err walk_directory(struct walk *walk, int fd)
{
    struct buf names;
    uint32_t left = walk->gather.options->entry_count_max;
    buf_init(&names, (size_t)left * (V86FS_NAME_MAX + 1));
    walk->depth++;
    enum err err = ERR_ok;
    int failed = os_dir_list(fd, left, &names);
    if (failed)
        err = failed == V86FS_EFBIG ? ERR_limit : ERR_io;
    for (size_t at = 0; !err && at < names.size;) {
        const char *name = (const char *)names.data + at;
        err = visit(walk, fd, name);
        at += strlen(name) + 1;
    }
    walk->depth--;
    buf_fini(&names);
    return err;
}

enum err hostfs_walk(struct arena *arena, const char *path,
                     const struct hostfs_image_options *options,
                     struct hostfs_image *ret_image)
{
    struct walk walk = {0};
    struct os_dir_stat stat;
    int fd;
    TRY(os_dir_probe(&walk.openat2));
    TRY(os_open_dir(path, &fd));
    hostfs_gather_init(&walk.gather, arena, options);
    buf_init(&walk.path, 65536);
    enum err err = os_dir_stat(fd, &stat) ? ERR_io : ERR_ok;
    walk.dev = stat.dev;
    if (!err)
        err = add_entry(&walk, fd, "", &stat);
    os_close(fd);
    buf_fini(&walk.path);
    return err ? err : hostfs_gather_finish(&walk.gather, ret_image);
}
