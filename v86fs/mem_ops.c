/* SPDX-License-Identifier: MIT
 *
 * The calls of the native store.  Each checks everything first and then cannot fail.
 */
#include "v86fs/mem.h"

#include <string.h>

/* The slot of a node, or ESTALE: the server has checked, other front ends may not. */
static uint32_t node_of(const struct v86fs_mem *mem, uint64_t id, uint32_t *ret_slot)
{
    *ret_slot = v86fs_mem_slot(mem, id);
    return *ret_slot ? 0 : v86fs_ids_status(mem->ids, id);
}

/* The same for a directory, with its listing. */
static uint32_t dir_of(struct v86fs_mem *mem, uint64_t id, uint32_t *ret_slot)
{
    uint32_t status = node_of(mem, id, ret_slot);
    if (status)
        return status;
    if (!v86fs_mem_is_dir(&mem->nodes[*ret_slot]))
        return V86FS_ENOTDIR;
    return v86fs_mem_lower_list(mem, *ret_slot);
}

/* The directory of a call and the entry that it names there. */
static uint32_t entry_of(struct v86fs_mem *mem, const struct v86fs_call *call,
                         uint32_t *ret_parent, uint32_t *ret_entry)
{
    uint32_t status = dir_of(mem, call->in.node, ret_parent);
    if (status)
        return status;
    *ret_entry = v86fs_mem_entry_find(mem, *ret_parent, call->in.name);
    return *ret_entry ? 0 : V86FS_ENOENT;
}

/* The slot of a regular file. */
static uint32_t file_of(const struct v86fs_mem *mem, uint64_t id, uint32_t *ret_slot)
{
    uint32_t status = node_of(mem, id, ret_slot);
    if (status)
        return status;
    switch (mem->nodes[*ret_slot].mode & V86FS_TYPE_MASK) {
    case V86FS_REGULAR:
        return 0;
    case V86FS_DIRECTORY:
        return V86FS_EISDIR;
    default:
        return V86FS_EINVAL;
    }
}

static void touch(struct v86fs_mem *mem, uint32_t slot, uint64_t now_ns)
{
    mem->nodes[slot].mtime = mem->nodes[slot].ctime = v86fs_time_of_ns(now_ns);
}

static uint32_t mem_find(void *self, struct v86fs_call *call)
{
    const struct v86fs_mem *mem = self;
    uint32_t slot = v86fs_mem_slot(mem, call->in.node);
    if (!slot)
        return V86FS_ENOENT;
    const struct v86fs_node *node = &mem->nodes[slot];
    call->out.attr.node = node->id;
    call->out.attr.mode = node->mode;
    call->out.root = mem->nodes[node->root].id;
    return 0;
}

static void answer_attr(const struct v86fs_mem *mem, uint32_t slot,
                        struct v86fs_answer *out)
{
    const struct v86fs_node *node = &mem->nodes[slot];
    bool is_dir = v86fs_mem_is_dir(node);
    out->attr = (struct v86fs_attr){
        .node = node->id,
        .mode = node->mode,
        .nlink = is_dir ? 2 + node->subdir_count : node->links,
        .uid = node->uid,
        .gid = node->gid,
        .size = node->size,
        .blocks = (uint64_t)node->page_count * (V86FS_PAGE_SIZE / 512),
        .atime = node->atime,
        .mtime = node->mtime,
        .ctime = node->ctime};
}

static uint32_t mem_lookup(void *self, struct v86fs_call *call)
{
    struct v86fs_mem *mem = self;
    uint32_t parent, entry;
    uint32_t status = entry_of(mem, call, &parent, &entry);
    if (status)
        return status;
    answer_attr(mem, mem->entries[entry].node, &call->out);
    return 0;
}

static uint32_t mem_getattr(void *self, struct v86fs_call *call)
{
    struct v86fs_mem *mem = self;
    uint32_t slot;
    uint32_t status = node_of(mem, call->in.node, &slot);
    /* The count of subdirectories is known with the listing. */
    if (!status && mem->nodes[slot].unread)
        status = v86fs_mem_lower_list(mem, slot);
    if (!status)
        answer_attr(mem, slot, &call->out);
    return status;
}

static uint32_t mem_readdir(void *self, struct v86fs_call *call)
{
    struct v86fs_mem *mem = self;
    uint32_t slot;
    uint32_t status = dir_of(mem, call->in.node, &slot);
    if (status)
        return status;
    uint32_t entry = v86fs_mem_entry_after(mem, slot, call->in.cookie);
    for (; entry; entry = mem->entries[entry].newer) {
        uint8_t name[V86FS_NAME_MAX];
        const struct v86fs_entry *at = &mem->entries[entry];
        v86fs_mem_text_copy(mem, at->name, name);
        struct v86fs_dirent dirent = {.cookie = at->number,
                                      .node = mem->nodes[at->node].id,
                                      .mode = mem->nodes[at->node].mode,
                                      .name = bytes_of(name, at->name.size)};
        if (!call->entry(call, &dirent))
            break;
    }
    call->out.more = entry != 0;
    return 0;
}

static uint32_t mem_open(void *self, struct v86fs_call *call)
{
    struct v86fs_mem *mem = self;
    uint32_t slot;
    uint32_t status = node_of(mem, call->in.node, &slot);
    if (!status)
        mem->nodes[slot].open_count++;
    return status;
}

static uint32_t mem_close(void *self, struct v86fs_call *call)
{
    struct v86fs_mem *mem = self;
    uint32_t slot = v86fs_mem_slot(mem, call->in.node);
    if (slot && mem->nodes[slot].open_count) { /* else a directory, removed meanwhile */
        mem->nodes[slot].open_count--;
        v86fs_mem_node_drop(mem, slot);
    }
    return 0;
}

static uint32_t mem_read(void *self, struct v86fs_call *call)
{
    struct v86fs_mem *mem = self;
    uint32_t slot, size = call->in.count;
    uint64_t offset = call->in.offset;
    uint32_t status = file_of(mem, call->in.node, &slot);
    if (status)
        return status;
    if (size > call->data_size_max)
        size = call->data_size_max;
    if (offset >= mem->nodes[slot].size)
        size = 0;
    else if (size > mem->nodes[slot].size - offset)
        size = (uint32_t)(mem->nodes[slot].size - offset);
    call->out.count = size;
    return v86fs_mem_data_read(mem, slot, offset, call->data, size);
}

/* ---- creators ---- */

/* May a new entry `name` with `cells` more go into the directory? */
static uint32_t check_new(struct v86fs_mem *mem, uint64_t parent_id, struct bytes name,
                          uint32_t cells, uint32_t *ret_parent)
{
    uint32_t status = dir_of(mem, parent_id, ret_parent);
    if (status)
        return status;
    if (v86fs_mem_entry_find(mem, *ret_parent, name))
        return V86FS_EEXIST;
    if (mem->entry_pool.used == mem->entry_pool.limit ||
        !v86fs_mem_room(mem, v86fs_mem_cells(name.size) + cells, 0))
        return V86FS_ENOSPC;
    return 0;
}

static uint32_t make(struct v86fs_mem *mem, struct v86fs_call *call, uint32_t mode)
{
    uint32_t parent;
    struct bytes target = call->in.target;
    uint32_t status = check_new(mem, call->in.node, call->in.name,
                                v86fs_mem_cells(target.size), &parent);
    if (status)
        return status;
    uint32_t slot = v86fs_mem_node_add(mem, mode, mem->nodes[parent].root,
                                       v86fs_time_of_ns(call->now_ns));
    if (!slot)
        return V86FS_ENOSPC;
    mem->nodes[slot].target = v86fs_mem_text_add(mem, target);
    mem->nodes[slot].size = target.size;
    v86fs_mem_entry_add(mem, parent, call->in.name, slot);
    touch(mem, parent, call->now_ns);
    answer_attr(mem, slot, &call->out);
    return 0;
}

static uint32_t mem_create(void *self, struct v86fs_call *call)
{
    call->in.target = (struct bytes){0};
    return make(self, call, V86FS_REGULAR | (call->in.mode & V86FS_PERMISSIONS));
}

static uint32_t mem_mkdir(void *self, struct v86fs_call *call)
{
    call->in.target = (struct bytes){0};
    return make(self, call, V86FS_DIRECTORY | (call->in.mode & V86FS_PERMISSIONS));
}

static uint32_t mem_symlink(void *self, struct v86fs_call *call)
{
    return make(self, call, V86FS_SYMLINK | 0777);
}

static uint32_t mem_link(void *self, struct v86fs_call *call)
{
    struct v86fs_mem *mem = self;
    uint32_t slot, parent;
    uint32_t status = node_of(mem, call->in.node, &slot);
    if (status)
        return status;
    if (v86fs_mem_is_dir(&mem->nodes[slot]))
        return V86FS_EPERM;
    if (!mem->nodes[slot].links)
        return V86FS_ENOENT; /* as link(2) of an unlinked open file */
    status = check_new(mem, call->in.new_parent, call->in.new_name, 0, &parent);
    if (status)
        return status;
    if (mem->nodes[parent].root != mem->nodes[slot].root)
        return V86FS_EXDEV;
    v86fs_mem_entry_add(mem, parent, call->in.new_name, slot);
    touch(mem, parent, call->now_ns);
    mem->nodes[slot].ctime = v86fs_time_of_ns(call->now_ns);
    answer_attr(mem, slot, &call->out);
    return 0;
}

/* ---- data and attributes ---- */

static uint32_t mem_write(void *self, struct v86fs_call *call)
{
    struct v86fs_mem *mem = self;
    uint32_t slot;
    uint64_t offset = call->in.offset, size_max = mem->options.file_size_max;
    uint32_t status = file_of(mem, call->in.node, &slot);
    call->out.count = call->in.count;
    if (status || !call->in.count)
        return status;
    if (call->in.flags & V86FS_WRITE_APPEND)
        offset = mem->nodes[slot].size;
    if (offset > size_max || call->in.count > size_max - offset)
        return V86FS_EFBIG;
    status = v86fs_mem_data_write(mem, slot, offset, call->in.data);
    if (!status)
        touch(mem, slot, call->now_ns);
    return status;
}

static void set_times(struct v86fs_node *node, const struct v86fs_call *call)
{
    const struct v86fs_ask *in = &call->in;
    struct v86fs_time now = v86fs_time_of_ns(call->now_ns);
    if (in->valid & V86FS_SET_SIZE)
        node->mtime = now;
    if (in->valid & V86FS_SET_ATIME_TO)
        node->atime = in->atime;
    else if (in->valid & V86FS_SET_ATIME)
        node->atime = now;
    if (in->valid & V86FS_SET_MTIME_TO)
        node->mtime = in->mtime;
    else if (in->valid & V86FS_SET_MTIME)
        node->mtime = now;
    if (in->valid & V86FS_SET_KNOWN)
        node->ctime = now;
}

static uint32_t mem_setattr(void *self, struct v86fs_call *call)
{
    struct v86fs_mem *mem = self;
    const struct v86fs_ask *in = &call->in;
    uint32_t slot;
    uint32_t status = in->valid & V86FS_SET_SIZE ? file_of(mem, in->node, &slot)
                                                 : node_of(mem, in->node, &slot);
    if (status)
        return status;
    struct v86fs_node *node = &mem->nodes[slot];
    if ((in->valid & V86FS_SET_MODE) && (node->mode & V86FS_TYPE_MASK) == V86FS_SYMLINK)
        return V86FS_EOPNOTSUPP;
    if ((in->valid & V86FS_SET_SIZE) && in->size > mem->options.file_size_max)
        return V86FS_EFBIG;
    if (in->valid & V86FS_SET_SIZE)
        v86fs_mem_data_resize(mem, slot, in->size);
    if (in->valid & V86FS_SET_MODE)
        node->mode = (node->mode & V86FS_TYPE_MASK) | (in->mode & V86FS_PERMISSIONS);
    if (in->valid & V86FS_SET_UID)
        node->uid = in->uid;
    if (in->valid & V86FS_SET_GID)
        node->gid = in->gid;
    set_times(node, call);
    return 0;
}

static uint32_t mem_fsync(void *self, struct v86fs_call *call)
{
    uint32_t slot;
    return node_of(self, call->in.node, &slot);
}

/* ---- removal and moving ---- */

/* May the node be removed? */
static uint32_t check_empty(struct v86fs_mem *mem, uint32_t slot)
{
    if (!v86fs_mem_is_dir(&mem->nodes[slot]))
        return 0;
    uint32_t status = v86fs_mem_lower_list(mem, slot);
    if (status)
        return status;
    return mem->nodes[slot].first_entry ? V86FS_ENOTEMPTY : 0;
}

static void remove_entry(struct v86fs_mem *mem, uint32_t entry, uint64_t now_ns)
{
    uint32_t slot = mem->entries[entry].node;
    v86fs_mem_entry_remove(mem, entry);
    mem->nodes[slot].ctime = v86fs_time_of_ns(now_ns);
    v86fs_mem_node_drop(mem, slot);
}

static uint32_t mem_unlink(void *self, struct v86fs_call *call)
{
    struct v86fs_mem *mem = self;
    uint32_t parent, entry;
    uint32_t status = entry_of(mem, call, &parent, &entry);
    if (status)
        return status;
    uint32_t slot = mem->entries[entry].node;
    bool is_dir = v86fs_mem_is_dir(&mem->nodes[slot]);
    if (call->in.flags == V86FS_UNLINK_DIRECTORY && !is_dir)
        return V86FS_ENOTDIR;
    if (call->in.flags == V86FS_UNLINK_FILE && is_dir)
        return V86FS_EISDIR;
    status = check_empty(mem, slot);
    if (status)
        return status;
    remove_entry(mem, entry, call->now_ns);
    touch(mem, parent, call->now_ns);
    return 0;
}

/* Is `slot` the directory `above` or below it? */
static bool is_below(const struct v86fs_mem *mem, uint32_t slot, uint32_t above)
{
    while (slot != above && mem->nodes[slot].parent != slot)
        slot = mem->nodes[slot].parent;
    return slot == above;
}

struct move {
    uint32_t from_parent, to_parent; /* nodes */
    uint32_t from, to;               /* entries; `to` may be 0 */
    uint32_t node, target;           /* what they name */
};

static uint32_t check_exchange(const struct v86fs_mem *mem, const struct move *move)
{
    if (!move->to)
        return V86FS_ENOENT;
    bool loop = (v86fs_mem_is_dir(&mem->nodes[move->node]) &&
                 is_below(mem, move->to_parent, move->node)) ||
                (v86fs_mem_is_dir(&mem->nodes[move->target]) &&
                 is_below(mem, move->from_parent, move->target));
    return loop ? V86FS_EINVAL : 0;
}

/* The rest of the checks of RENAME, in the order of v86fs.md 3.4; `*ret_same` if there
 * is nothing to do. */
static uint32_t check_move(struct v86fs_mem *mem, const struct move *move,
                           uint32_t flags, bool *ret_same)
{
    bool is_dir = v86fs_mem_is_dir(&mem->nodes[move->node]);
    if (flags & V86FS_RENAME_EXCHANGE)
        return check_exchange(mem, move);
    if (is_dir && is_below(mem, move->to_parent, move->node))
        return V86FS_EINVAL;
    if (!move->to)
        return 0;
    if (flags & V86FS_RENAME_NOREPLACE)
        return V86FS_EEXIST;
    *ret_same = move->node == move->target;
    bool target_dir = v86fs_mem_is_dir(&mem->nodes[move->target]);
    if (*ret_same || is_dir == target_dir)
        return *ret_same ? 0 : check_empty(mem, move->target);
    return is_dir ? V86FS_ENOTDIR : V86FS_EISDIR;
}

/* Find both ends. */
static uint32_t move_find(struct v86fs_mem *mem, const struct v86fs_ask *in,
                          struct move *move)
{
    uint32_t status = dir_of(mem, in->node, &move->from_parent);
    if (!status)
        status = dir_of(mem, in->new_parent, &move->to_parent);
    if (status)
        return status;
    if (mem->nodes[move->from_parent].root != mem->nodes[move->to_parent].root)
        return V86FS_EXDEV;
    move->from = v86fs_mem_entry_find(mem, move->from_parent, in->name);
    move->to = v86fs_mem_entry_find(mem, move->to_parent, in->new_name);
    if (!move->from)
        return V86FS_ENOENT;
    move->node = mem->entries[move->from].node;
    move->target = move->to ? mem->entries[move->to].node : 0;
    return 0;
}

/* Is there room for the new name when the old one and the replaced one are gone? */
static bool move_fits(const struct v86fs_mem *mem, const struct move *move,
                      struct bytes new_name)
{
    uint32_t need = v86fs_mem_cells(new_name.size);
    uint32_t gone = v86fs_mem_cells(mem->entries[move->from].name.size);
    return move->to || need <= gone || v86fs_mem_room(mem, need - gone, 0);
}

static void move_apply(struct v86fs_mem *mem, const struct move *move,
                       struct bytes new_name, uint64_t now_ns)
{
    mem->nodes[move->node].links++; /* held while it has no name */
    if (move->to)
        remove_entry(mem, move->to, now_ns);
    v86fs_mem_entry_remove(mem, move->from);
    v86fs_mem_entry_add(mem, move->to_parent, new_name, move->node);
    mem->nodes[move->node].links--;
}

static uint32_t mem_rename(void *self, struct v86fs_call *call)
{
    struct v86fs_mem *mem = self;
    const struct v86fs_ask *in = &call->in;
    struct move move;
    bool same = false;
    if (in->flags > V86FS_RENAME_EXCHANGE)
        return V86FS_EINVAL;
    uint32_t status = move_find(mem, in, &move);
    if (!status)
        status = check_move(mem, &move, in->flags, &same);
    if (status)
        return status;
    if (in->flags & V86FS_RENAME_EXCHANGE) {
        if (move.node == move.target)
            return 0;
        v86fs_mem_entry_exchange(mem, move.from, move.to);
        mem->nodes[move.target].ctime = v86fs_time_of_ns(call->now_ns);
    } else {
        if (same)
            return 0;
        if (!move_fits(mem, &move, in->new_name))
            return V86FS_ENOSPC;
        move_apply(mem, &move, in->new_name, call->now_ns);
    }
    mem->nodes[move.node].ctime = v86fs_time_of_ns(call->now_ns);
    touch(mem, move.from_parent, call->now_ns);
    touch(mem, move.to_parent, call->now_ns);
    return 0;
}

static uint32_t mem_readlink(void *self, struct v86fs_call *call)
{
    struct v86fs_mem *mem = self;
    uint32_t slot;
    uint32_t status = node_of(mem, call->in.node, &slot);
    if (status)
        return status;
    const struct v86fs_node *node = &mem->nodes[slot];
    if ((node->mode & V86FS_TYPE_MASK) != V86FS_SYMLINK)
        return V86FS_ENOENT;
    if (!node->target.cell)
        return v86fs_mem_lower_readlink(mem, slot, call);
    if (node->target.size > call->data_size_max)
        return V86FS_ENAMETOOLONG;
    v86fs_mem_text_copy(mem, node->target, call->data);
    call->out.count = node->target.size;
    return 0;
}

static uint32_t mem_statfs(void *self, struct v86fs_call *call)
{
    const struct v86fs_mem *mem = self;
    if (mem->options.statfs_fixed) {
        call->out.statfs = mem->options.statfs;
        return 0;
    }
    uint64_t left = (mem->options.quota - mem->used) / V86FS_PAGE_SIZE;
    call->out.statfs =
        (struct v86fs_statfs){.blocks = mem->options.quota / V86FS_PAGE_SIZE,
                              .bfree = left,
                              .bavail = left,
                              .files = mem->node_pool.limit,
                              .ffree = mem->node_pool.limit - mem->node_pool.used,
                              .bsize = V86FS_PAGE_SIZE};
    return 0;
}

const struct v86fs_tree_ops v86fs_mem_ops = {
#define OP(name, changes, text) .name = mem_##name,
#include "v86fs/ops.def"
};
