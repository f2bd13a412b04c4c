/* SPDX-License-Identifier: MIT
 *
 * Nodes of a host directory and their descriptors.
 */
#include "hostfs/dir.h"

#include "base/os.h"

#include <string.h>

/* ---- by identity ---- */

static uint32_t bucket_of(const struct hostfs_dir *dir, uint64_t dev, uint64_t ino)
{
    return (uint32_t)v86fs_mix(dev * 31 + ino) & dir->key_mask;
}

static bool same_file(const struct hostfs_node *node, const struct os_dir_stat *stat)
{
    return node->dev == stat->dev && node->ino == stat->ino &&
           node->born.s == stat->born.s && node->born.ns == stat->born.ns &&
           node->type == (stat->mode & V86FS_TYPE_MASK);
}

uint32_t hostfs_dir_known(const struct hostfs_dir *dir, const struct os_dir_stat *stat)
{
    uint32_t slot = dir->key_bucket[bucket_of(dir, stat->dev, stat->ino)];
    while (slot && !same_file(&dir->nodes[slot], stat))
        slot = dir->nodes[slot].key_next;
    return slot;
}

static void key_remove(struct hostfs_dir *dir, uint32_t slot)
{
    const struct hostfs_node *node = &dir->nodes[slot];
    uint32_t *link = &dir->key_bucket[bucket_of(dir, node->dev, node->ino)];
    while (*link != slot)
        link = &dir->nodes[*link].key_next;
    *link = node->key_next;
}

uint32_t hostfs_dir_slot(const struct hostfs_dir *dir, uint64_t id)
{
    return v86fs_table_get(&dir->node_table, id);
}

bool hostfs_dir_visible(const struct hostfs_dir *dir, const struct os_dir_stat *stat)
{
    uint32_t type = stat->mode & V86FS_TYPE_MASK;
    return (type == V86FS_DIRECTORY || type == V86FS_REGULAR ||
            type == V86FS_SYMLINK) &&
           !stat->mount_root && stat->dev == dir->nodes[HOSTFS_DIR_ROOT].dev;
}

/* ---- descriptors ---- */

static void list_remove(struct hostfs_dir *dir, uint32_t slot)
{
    struct hostfs_node *node = &dir->nodes[slot];
    if (!node->in_list)
        return;
    if (node->older)
        dir->nodes[node->older].newer = node->newer;
    else
        dir->oldest = node->newer;
    if (node->newer)
        dir->nodes[node->newer].older = node->older;
    else
        dir->newest = node->older;
    node->older = node->newer = 0;
    node->in_list = false;
}

/* To the young end of the list.  What is held is not in it. */
static void list_touch(struct hostfs_dir *dir, uint32_t slot)
{
    struct hostfs_node *node = &dir->nodes[slot];
    if (slot == HOSTFS_DIR_ROOT || slot == dir->newest || node->open_count)
        return;
    list_remove(dir, slot);
    node->older = dir->newest;
    if (dir->newest)
        dir->nodes[dir->newest].newer = slot;
    else
        dir->oldest = slot;
    dir->newest = slot;
    node->in_list = true;
}

static void close_one(struct hostfs_dir *dir, int *fd)
{
    if (*fd < 0)
        return;
    os_close(*fd);
    *fd = -1;
    dir->fd_count--;
}

static void close_node(struct hostfs_dir *dir, uint32_t slot)
{
    struct hostfs_node *node = &dir->nodes[slot];
    close_one(dir, &node->data);
    close_one(dir, &node->reference);
    list_remove(dir, slot);
}

/* Free a node that nothing needs any more, and parents that were kept for it. */
static void node_free(struct hostfs_dir *dir, uint32_t slot)
{
    while (slot > HOSTFS_DIR_ROOT) {
        struct hostfs_node *node = &dir->nodes[slot];
        uint32_t parent = node->parent;
        if (node->id) {
            v86fs_table_remove(&dir->node_table, node->id);
            key_remove(dir, slot);
            close_node(dir, slot);
            hostfs_dir_unwatch(dir, slot);
            node->id = 0;
        }
        if (node->child_count)
            return; /* dead, and its slot must not be used for something else */
        v86fs_pool_give(&dir->node_pool, slot);
        if (!parent || --dir->nodes[parent].child_count || dir->nodes[parent].id)
            return;
        slot = parent;
    }
}

/* Make room for one more descriptor.  Nodes with opens keep theirs. */
static uint32_t fd_room(struct hostfs_dir *dir, uint32_t keep)
{
    uint32_t slot = dir->oldest;
    while (slot && dir->fd_count >= dir->options.fd_count_max) {
        uint32_t newer = dir->nodes[slot].newer;
        if (slot != keep) {
            close_node(dir, slot);
            if (!dir->nodes[slot].parent)
                node_free(dir, slot); /* it could not be found again */
        }
        slot = newer;
    }
    return dir->fd_count < dir->options.fd_count_max ? 0 : V86FS_ENFILE;
}

/* ---- nodes ---- */

void hostfs_dir_rename_node(struct hostfs_dir *dir, uint32_t slot, uint32_t parent,
                            const char *name)
{
    struct hostfs_node *node = &dir->nodes[slot];
    uint32_t before = node->parent;
    if (slot == HOSTFS_DIR_ROOT)
        return;
    strcpy(dir->names[slot], name);
    if (before == parent)
        return;
    dir->nodes[parent].child_count++;
    node->parent = parent;
    if (before && !--dir->nodes[before].child_count && !dir->nodes[before].id)
        node_free(dir, before);
}

uint32_t hostfs_dir_intern(struct hostfs_dir *dir, uint32_t parent, const char *name,
                           const struct os_dir_stat *stat)
{
    uint32_t slot = hostfs_dir_known(dir, stat);
    if (slot) {
        hostfs_dir_rename_node(dir, slot, parent, name);
        return slot;
    }
    uint64_t id =
        dir->node_pool.used < dir->node_pool.limit ? v86fs_ids_take(dir->ids) : 0;
    if (!id)
        return 0;
    slot = v86fs_pool_take(&dir->node_pool);
    uint32_t *bucket = &dir->key_bucket[bucket_of(dir, stat->dev, stat->ino)];
    dir->nodes[slot] = (struct hostfs_node){.id = id,
                                            .dev = stat->dev,
                                            .ino = stat->ino,
                                            .born = stat->born,
                                            .type = stat->mode & V86FS_TYPE_MASK,
                                            .key_next = *bucket,
                                            .reference = -1,
                                            .data = -1};
    *bucket = slot;
    v86fs_table_put(&dir->node_table, id, slot);
    if (parent) {
        dir->nodes[slot].parent = parent;
        dir->nodes[parent].child_count++;
        strcpy(dir->names[slot], name);
    }
    return slot;
}

uint32_t hostfs_dir_lost(struct hostfs_dir *dir, uint32_t slot)
{
    if (slot > HOSTFS_DIR_ROOT && dir->nodes[slot].id && !dir->nodes[slot].open_count)
        node_free(dir, slot);
    return V86FS_ESTALE;
}

void hostfs_dir_unname(struct hostfs_dir *dir, uint32_t slot, bool removed)
{
    struct hostfs_node *node = &dir->nodes[slot];
    uint32_t parent = node->parent;
    if (removed && !node->open_count) {
        node_free(dir, slot);
        return;
    }
    node->parent = 0;
    if (parent && !--dir->nodes[parent].child_count && !dir->nodes[parent].id)
        node_free(dir, parent);
    if (node->reference < 0 && node->data < 0)
        node_free(dir, slot);
}

void hostfs_dir_hold(struct hostfs_dir *dir, uint32_t slot)
{
    dir->nodes[slot].open_count++;
    list_remove(dir, slot);
}

void hostfs_dir_let_go(struct hostfs_dir *dir, uint32_t slot)
{
    struct hostfs_node *node = &dir->nodes[slot];
    struct os_dir_stat stat;
    int fd = node->reference >= 0 ? node->reference : node->data;
    if (!node->open_count || --node->open_count)
        return;
    if (fd >= 0)
        list_touch(dir, slot);
    if (!node->parent && slot != HOSTFS_DIR_ROOT &&
        (fd < 0 || os_dir_stat(fd, &stat) || !stat.nlink))
        node_free(dir, slot);
}

/* ---- from a node to the host ---- */

/* Open what the parent has under the node's name, if it is still the node. */
static uint32_t open_from_parent(struct hostfs_dir *dir, uint32_t slot)
{
    struct hostfs_node *node = &dir->nodes[slot];
    struct os_dir_stat stat;
    int fd;
    uint32_t status = fd_room(dir, node->parent);
    if (status)
        return status;
    int failed = os_dir_open(dir->nodes[node->parent].reference, dir->names[slot],
                             dir->openat2, &fd);
    if (failed == V86FS_ENOENT || failed == V86FS_ENOTDIR)
        return V86FS_ESTALE;
    if (failed)
        return (uint32_t)failed;
    if (os_dir_stat(fd, &stat) || !same_file(node, &stat)) {
        os_close(fd);
        return V86FS_ESTALE;
    }
    node->reference = fd;
    dir->fd_count++;
    list_touch(dir, slot);
    return 0;
}

uint32_t hostfs_dir_reference(struct hostfs_dir *dir, uint32_t slot, int *ret_fd)
{
    uint32_t up = slot, status = 0;
    if (dir->nodes[slot].reference < 0 && dir->nodes[slot].data >= 0) {
        list_touch(dir, slot); /* as good, and it may have no name any more */
        *ret_fd = dir->nodes[slot].data;
        return 0;
    }
    buf_clear(&dir->path);
    while (dir->nodes[up].reference < 0) {
        buf_put(&dir->path, &up, sizeof up);
        up = dir->nodes[up].parent;
        if (!up || !dir->nodes[up].id)
            return hostfs_dir_lost(dir, slot);
    }
    if (dir->path.err)
        return V86FS_ENFILE;
    list_touch(dir, up);
    for (size_t at = dir->path.size; at && !status; at -= sizeof up) {
        memcpy(&up, dir->path.data + at - sizeof up, sizeof up);
        status = open_from_parent(dir, up);
    }
    if (status == V86FS_ESTALE)
        return hostfs_dir_lost(dir, slot);
    if (!status)
        *ret_fd = dir->nodes[slot].reference;
    return status;
}

uint32_t hostfs_dir_references(struct hostfs_dir *dir, uint32_t a, uint32_t b,
                               int *ret_a, int *ret_b)
{
    uint32_t status = hostfs_dir_reference(dir, a, ret_a);
    if (status || a == b) {
        *ret_b = *ret_a;
        return status;
    }
    hostfs_dir_hold(dir, a);
    status = hostfs_dir_reference(dir, b, ret_b);
    hostfs_dir_let_go(dir, a);
    return status;
}

void hostfs_dir_give_data(struct hostfs_dir *dir, uint32_t slot, int fd)
{
    struct hostfs_node *node = &dir->nodes[slot];
    close_one(dir, &node->data);
    node->data = fd;
    node->data_writable = true;
    dir->fd_count++;
    list_touch(dir, slot);
    (void)fd_room(dir, slot);
}

uint32_t hostfs_dir_data(struct hostfs_dir *dir, uint32_t slot, bool writable,
                         int *ret_fd)
{
    struct hostfs_node *node = &dir->nodes[slot];
    int reference, fd;
    if (node->data >= 0 && (node->data_writable || !writable)) {
        list_touch(dir, slot);
        *ret_fd = node->data;
        return 0;
    }
    uint32_t status = hostfs_dir_reference(dir, slot, &reference);
    if (!status)
        status = fd_room(dir, slot);
    if (!status)
        status = (uint32_t)os_dir_open_data(reference, writable, &fd);
    if (status)
        return status;
    hostfs_dir_give_data(dir, slot, fd);
    node->data_writable = writable;
    *ret_fd = fd;
    return 0;
}
