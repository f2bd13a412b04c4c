/* SPDX-License-Identifier: MIT
 *
 * A host directory from open to close.
 */
#include "hostfs/dir.h"

#include "base/os.h"
#include "base/os_watch.h"

enum { FD_COUNT_MIN = 16 };

void hostfs_dir_options_init(struct hostfs_dir_options *options)
{
    *options = (struct hostfs_dir_options){
        .node_count_max = 1 << 20, .entry_count_max = 1 << 20, .umask_bits = 022};
}

static enum err take_memory(struct arena *arena, struct hostfs_dir *dir)
{
    uint32_t count = dir->options.node_count_max;
    dir->key_mask = v86fs_buckets_for(count) - 1;
    dir->nodes = arena_new_array(arena, struct hostfs_node, (size_t)count + 1);
    dir->names = arena_alloc_array(arena, (size_t)count + 1, sizeof dir->names[0], 1);
    dir->key_bucket = arena_new_array(arena, uint32_t, (size_t)dir->key_mask + 1);
    bool ok = dir->nodes && dir->names && dir->key_bucket &&
              v86fs_pool_init(&dir->node_pool, arena, count) &&
              v86fs_table_init(&dir->node_table, arena, count);
    if (dir->options.watch)
        ok = ok && v86fs_table_init(&dir->watch_table, arena, count);
    buf_init(&dir->path, ((size_t)count + 1) * sizeof(uint32_t));
    for (unsigned i = 0; i < HOSTFS_DIR_LISTING_COUNT; i++) {
        struct hostfs_listing *listing = &dir->listing[i];
        size_t entries = (size_t)dir->options.entry_count_max;
        buf_init(&listing->names, entries * (V86FS_NAME_MAX + 1));
        buf_init(&listing->by_name, entries * sizeof(struct hostfs_dir_entry));
        buf_init(&listing->by_number, entries * sizeof(struct hostfs_dir_entry));
    }
    return ok ? ERR_ok : ERR_nomem;
}

static enum err open_root(struct hostfs_dir *dir, const char *path)
{
    struct os_dir_stat stat;
    int fd;
    TRY(os_open_dir(path, &fd));
    if (os_dir_stat(fd, &stat)) {
        os_close(fd);
        return ERR_io;
    }
    uint32_t slot = hostfs_dir_intern(dir, 0, "", &stat);
    if (slot != HOSTFS_DIR_ROOT) {
        os_close(fd);
        return ERR_limit;
    }
    dir->nodes[slot].reference = fd;
    return ERR_ok;
}

enum err hostfs_dir_open(struct arena *arena, const struct hostfs_dir_options *options,
                         const char *path, struct v86fs_ids *ids,
                         struct hostfs_dir **ret_dir)
{
    if (!options->node_count_max || options->node_count_max > 1 << 30 ||
        !options->entry_count_max ||
        (options->watch && (!options->note || !options->lost)))
        return ERR_usage;
    struct hostfs_dir *dir = arena_new(arena, struct hostfs_dir);
    if (!dir)
        return ERR_nomem;
    dir->options = *options;
    dir->ids = ids;
    dir->watch_fd = -1;
    TRY(os_dir_probe(&dir->openat2));
    if (options->no_openat2)
        dir->openat2 = false;
    if (!options->fd_count_max)
        dir->options.fd_count_max = os_dir_fd_count_max();
    if (dir->options.fd_count_max < FD_COUNT_MIN)
        dir->options.fd_count_max = FD_COUNT_MIN;
    os_dir_prepare(options->umask_bits);
    TRY(take_memory(arena, dir));
    TRY(open_root(dir, path));
    enum err err = options->watch ? os_watch_open(&dir->watch_fd) : ERR_ok;
    if (err)
        hostfs_dir_close(dir);
    else
        *ret_dir = dir;
    return err;
}

void hostfs_dir_close(struct hostfs_dir *dir)
{
    if (!dir)
        return;
    for (uint32_t slot = 1; slot < dir->node_pool.fresh; slot++) {
        struct hostfs_node *node = &dir->nodes[slot];
        if (node->id) {
            os_close(node->data);
            os_close(node->reference);
        }
    }
    dir->fd_count = 0;
    os_close(dir->watch_fd);
    dir->watch_fd = -1;
    hostfs_dir_listings_fini(dir);
    buf_fini(&dir->path);
}

struct v86fs_tree hostfs_dir_tree(struct hostfs_dir *dir)
{
    return (struct v86fs_tree){.ops = dir->watch_fd < 0 ? &hostfs_dir_ops
                                                        : &hostfs_dir_watched_ops,
                               .self = dir};
}

uint64_t hostfs_dir_root(const struct hostfs_dir *dir)
{
    return dir->nodes[HOSTFS_DIR_ROOT].id;
}

int hostfs_dir_root_fd(const struct hostfs_dir *dir)
{
    return dir->nodes[HOSTFS_DIR_ROOT].reference;
}

uint32_t hostfs_dir_fd_count(const struct hostfs_dir *dir)
{
    return dir->fd_count;
}
