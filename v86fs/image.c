/* SPDX-License-Identifier: MIT
 *
 * A canonical list becomes a tree and a digest.
 *
 * While loading, the directories from the root to the newest entry are on a stack; a
 * new entry belongs to one of them and its name is above that of its last child.  This
 * is the canonical order, and it makes duplicates impossible.
 */
#include "v86fs/mem.h"

#include <string.h>

enum { DEPTH_MAX = 256, PATH_MAX_SIZE = 65535 };

struct level {
    struct bytes path; /* of the directory */
    struct bytes last; /* name of its newest child */
    uint64_t node;
};

struct loader {
    struct v86fs_mem *mem;
    struct level level[DEPTH_MAX];
    unsigned depth;  /* levels in use */
    struct buf list; /* what is hashed */
};

static void put_number(struct buf *buf, unsigned size, uint64_t value)
{
    uint8_t number[8];
    v86fs_store(number, size, value);
    buf_put(buf, number, size);
}

static void hash_entry(struct buf *list, const struct v86fs_image_entry *entry)
{
    uint32_t type = entry->mode & V86FS_TYPE_MASK;
    put_number(list, 1, type >> 12);
    put_number(list, 4, entry->mode);
    put_number(list, 8, (uint64_t)entry->mtime.s);
    put_number(list, 4, entry->mtime.ns);
    put_number(list, 8, entry->data.size);
    put_number(list, 2, entry->path.size);
    buf_put(list, entry->path.data, entry->path.size);
    if (type == V86FS_REGULAR) {
        struct hash256 content = hash256_of(entry->data.data, entry->data.size);
        buf_put(list, content.byte, sizeof content.byte);
    } else if (type == V86FS_SYMLINK) {
        put_number(list, 2, entry->data.size);
        buf_put(list, entry->data.data, entry->data.size);
    }
}

/* What is wrong with an entry by itself? */
static enum err check_entry(const struct v86fs_image_entry *entry)
{
    uint32_t type = entry->mode & V86FS_TYPE_MASK;
    bool known =
        type == V86FS_DIRECTORY || type == V86FS_REGULAR || type == V86FS_SYMLINK;
    if (!known || (entry->mode & ~(uint32_t)(V86FS_TYPE_MASK | V86FS_PERMISSIONS)) ||
        entry->mtime.ns > 999999999 || entry->path.size > PATH_MAX_SIZE)
        return ERR_v86fs_image;
    if (type == V86FS_DIRECTORY && entry->data.size)
        return ERR_v86fs_image;
    if (type == V86FS_SYMLINK && v86fs_tree_target_status(entry->data))
        return ERR_v86fs_image;
    return ERR_ok;
}

static struct bytes behind(struct bytes text, size_t size)
{
    return bytes_of(text.data + size, text.size - size);
}

/* Is `path` in the directory `dir`, or below it?  `ret_rest` is what follows. */
static bool is_in(struct bytes dir, struct bytes path, struct bytes *ret_rest)
{
    *ret_rest = path;
    if (!dir.size)
        return true;
    if (path.size <= dir.size || memcmp(path.data, dir.data, dir.size) != 0 ||
        path.data[dir.size] != '/')
        return false;
    *ret_rest = behind(path, dir.size + 1);
    return true;
}

static bool is_above(struct bytes a, struct bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order > 0 : a.size > b.size;
}

static void set_times(struct v86fs_node *node, struct v86fs_time time)
{
    node->atime = node->mtime = node->ctime = time;
}

static enum err status_to_err(uint32_t status)
{
    switch (status) {
    case 0:
        return ERR_ok;
    case V86FS_ENOSPC:
    case V86FS_EFBIG:
        return ERR_limit;
    default:
        return ERR_v86fs_image;
    }
}

/* Write a file in pieces that a call can say. */
static uint32_t write_data(struct loader *loader, uint64_t node, struct bytes data)
{
    uint32_t status = 0;
    for (uint64_t offset = 0; data.size && !status;) {
        size_t size = data.size < V86FS_TRANSFER_MAX ? data.size : V86FS_TRANSFER_MAX;
        struct v86fs_call call = {.in = {.node = node,
                                         .offset = offset,
                                         .count = (uint32_t)size,
                                         .data = bytes_of(data.data, size)}};
        status = v86fs_mem_ops.write(loader->mem, &call);
        offset += size;
        data = behind(data, size);
    }
    return status;
}

static enum err make_node(struct loader *loader, uint64_t parent, struct bytes name,
                          const struct v86fs_image_entry *entry, uint64_t *ret_node)
{
    static const enum v86fs_op ops[] = {[V86FS_DIRECTORY >> 13] = V86FS_OP_mkdir,
                                        [V86FS_REGULAR >> 13] = V86FS_OP_create,
                                        [V86FS_SYMLINK >> 13] = V86FS_OP_symlink};
    struct v86fs_mem *mem = loader->mem;
    uint32_t type = entry->mode & V86FS_TYPE_MASK;
    struct v86fs_call call = {
        .in = {
            .node = parent, .name = name, .mode = entry->mode, .target = entry->data}};
    struct v86fs_time parent_time = mem->nodes[v86fs_mem_slot(mem, parent)].mtime;
    uint32_t status = v86fs_tree_call(v86fs_mem_tree(mem), ops[type >> 13], &call);
    uint64_t node = call.out.attr.node;
    if (!status && type == V86FS_REGULAR)
        status = write_data(loader, node, entry->data);
    if (status)
        return status_to_err(status);
    set_times(&mem->nodes[v86fs_mem_slot(mem, parent)], parent_time);
    set_times(&mem->nodes[v86fs_mem_slot(mem, node)], entry->mtime);
    *ret_node = node;
    return ERR_ok;
}

static enum err add_entry(struct loader *loader, const struct v86fs_image_entry *entry)
{
    struct bytes name;
    uint64_t node;
    TRY(check_entry(entry));
    while (!is_in(loader->level[loader->depth - 1].path, entry->path, &name))
        loader->depth--;
    struct level *parent = &loader->level[loader->depth - 1];
    if (v86fs_tree_name_status(name, V86FS_EINVAL, V86FS_EINVAL) ||
        !is_above(name, parent->last))
        return ERR_v86fs_image;
    TRY(make_node(loader, parent->node, name, entry, &node));
    parent->last = name;
    if ((entry->mode & V86FS_TYPE_MASK) == V86FS_DIRECTORY) {
        if (loader->depth == DEPTH_MAX)
            return ERR_v86fs_image;
        loader->level[loader->depth++] =
            (struct level){.path = entry->path, .node = node};
    }
    hash_entry(&loader->list, entry);
    return loader->list.err;
}

static enum err add_root(struct loader *loader, const struct v86fs_image_entry *entry)
{
    uint64_t root;
    if (entry) {
        TRY(check_entry(entry));
        if ((entry->mode & V86FS_TYPE_MASK) != V86FS_DIRECTORY)
            return ERR_v86fs_image;
        hash_entry(&loader->list, entry);
    }
    TRY(v86fs_mem_root(loader->mem, entry ? entry->mode : 0755, 0, &root));
    if (entry)
        set_times(&loader->mem->nodes[v86fs_mem_slot(loader->mem, root)], entry->mtime);
    loader->level[loader->depth++] = (struct level){.node = root};
    return ERR_ok;
}

static enum err load(struct loader *loader, const struct v86fs_image_entry *entries,
                     size_t count)
{
    bool has_root = count && !entries[0].path.size;
    TRY(add_root(loader, has_root ? &entries[0] : NULL));
    for (size_t i = has_root; i < count; i++)
        TRY(add_entry(loader, &entries[i]));
    return loader->list.err;
}

enum err v86fs_image_load(struct v86fs_mem *mem,
                          const struct v86fs_image_entry *entries, size_t count,
                          uint64_t *ret_root, struct hash256 *ret_digest)
{
    struct loader loader = {.mem = mem};
    /* More than any list that the node limit lets in. */
    buf_init(&loader.list, (size_t)1 << 40);
    buf_text(&loader.list, "V86FSIMG1\n");
    enum err err = load(&loader, entries, count);
    if (!err) {
        *ret_root = loader.level[0].node;
        *ret_digest = hash256_of(loader.list.data, loader.list.size);
    }
    buf_fini(&loader.list);
    return err;
}
