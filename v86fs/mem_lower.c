/* SPDX-License-Identifier: MIT
 *
 * The lower tree of an overlay (v86fs.md 4.5).  It is only read; a node remembers what
 * its counterpart looked like and refuses a changed one.
 */
#include "v86fs/mem.h"

#include <string.h>

static uint32_t lower_getattr(struct v86fs_mem *mem, uint64_t node,
                              struct v86fs_attr *ret_attr)
{
    struct v86fs_call call = {.in = {.node = node}};
    uint32_t status = mem->lower.ops->getattr(mem->lower.self, &call);
    if (!status)
        *ret_attr = call.out.attr;
    return status ? V86FS_EIO : 0;
}

static bool time_equal(struct v86fs_time a, struct v86fs_time b)
{
    return a.s == b.s && a.ns == b.ns;
}

/* EIO if the lower file is not what it was. */
static uint32_t check_unchanged(struct v86fs_mem *mem, const struct v86fs_lower *lower)
{
    struct v86fs_attr attr;
    if (lower_getattr(mem, lower->node, &attr) || attr.size != lower->size ||
        !time_equal(attr.mtime, lower->mtime) ||
        !time_equal(attr.ctime, lower->ctime)) {
        mem->lower_changed++;
        return V86FS_EIO;
    }
    return 0;
}

uint32_t v86fs_mem_lower_read(struct v86fs_mem *mem, uint32_t slot, uint64_t offset,
                              uint8_t *data, size_t size)
{
    const struct v86fs_lower *lower = &mem->nodes[slot].lower;
    uint32_t status = check_unchanged(mem, lower);
    if (status)
        return status;
    memset(data, 0, size);
    if (size > lower->limit - offset)
        size = (size_t)(lower->limit - offset);
    struct v86fs_call call = {
        .in = {.node = lower->node, .offset = offset, .count = (uint32_t)size},
        .data = data,
        .data_size_max = (uint32_t)size};
    status = mem->lower.ops->read(mem->lower.self, &call);
    return status || call.out.count != size ? V86FS_EIO : 0;
}

uint32_t v86fs_mem_lower_readlink(struct v86fs_mem *mem, uint32_t slot,
                                  struct v86fs_call *call)
{
    uint64_t node = call->in.node;
    call->in.node = mem->nodes[slot].lower.node;
    uint32_t status = mem->lower.ops->readlink(mem->lower.self, call);
    call->in.node = node;
    return status;
}

/* ---- listing ---- */

struct listing {
    struct v86fs_mem *mem;
    uint32_t slot;
    uint32_t count;
    uint32_t cells;
    bool failed;
};

/* First pass: what will it cost?  A tree below is not trusted to have good names. */
static bool count_entry(struct v86fs_call *call, const struct v86fs_dirent *entry)
{
    struct listing *listing = call->entry_self;
    if (v86fs_tree_name_status(entry->name, V86FS_EINVAL, V86FS_EINVAL))
        listing->failed = true;
    listing->count++;
    listing->cells += v86fs_mem_cells(entry->name.size);
    return listing->count <= listing->mem->node_pool.limit && !listing->failed;
}

/* Second pass: make the nodes. */
static bool add_entry(struct v86fs_call *call, const struct v86fs_dirent *entry)
{
    struct listing *listing = call->entry_self;
    struct v86fs_mem *mem = listing->mem;
    struct v86fs_attr attr;
    uint32_t cells = v86fs_mem_cells(entry->name.size);
    /* A live directory may have grown since the first pass. */
    listing->failed = !listing->count || cells > listing->cells ||
                      v86fs_tree_name_status(entry->name, V86FS_EINVAL, V86FS_EINVAL) ||
                      v86fs_mem_entry_find(mem, listing->slot, entry->name) ||
                      lower_getattr(mem, entry->node, &attr);
    if (listing->failed)
        return false;
    listing->count--;
    listing->cells -= cells;
    uint32_t slot =
        v86fs_mem_node_add(mem, attr.mode, mem->nodes[listing->slot].root, attr.mtime);
    struct v86fs_node *node = &mem->nodes[slot];
    node->uid = attr.uid;
    node->gid = attr.gid;
    node->atime = attr.atime;
    node->ctime = attr.ctime;
    node->unread = v86fs_mem_is_dir(node);
    node->size = node->unread ? 0 : attr.size;
    node->lower = (struct v86fs_lower){.node = entry->node,
                                       .limit = node->size,
                                       .size = attr.size,
                                       .mtime = attr.mtime,
                                       .ctime = attr.ctime};
    v86fs_mem_entry_insert(mem, listing->slot, entry->name, slot);
    return true;
}

static uint32_t list_pass(struct listing *listing,
                          bool (*entry)(struct v86fs_call *,
                                        const struct v86fs_dirent *))
{
    struct v86fs_mem *mem = listing->mem;
    struct v86fs_call call = {.in = {.node = mem->nodes[listing->slot].lower.node},
                              .entry = entry,
                              .entry_self = listing};
    uint32_t status = mem->lower.ops->readdir(mem->lower.self, &call);
    return status || listing->failed ? V86FS_EIO : 0;
}

uint32_t v86fs_mem_lower_list(struct v86fs_mem *mem, uint32_t slot)
{
    struct v86fs_node *node = &mem->nodes[slot];
    struct listing listing = {.mem = mem, .slot = slot};
    if (!node->unread)
        return 0;
    uint32_t status = list_pass(&listing, count_entry);
    if (status)
        return status;
    if (listing.count > mem->node_pool.limit - mem->node_pool.used ||
        listing.count > mem->entry_pool.limit - mem->entry_pool.used ||
        listing.count > (uint64_t)V86FS_ID_MAX - mem->ids->next ||
        !v86fs_mem_room(mem, listing.cells, 0))
        return V86FS_ENFILE;
    status = list_pass(&listing, add_entry);
    if (status) {
        while (node->first_entry) {
            uint32_t child = mem->entries[node->first_entry].node;
            v86fs_mem_entry_remove(mem, node->first_entry);
            v86fs_mem_node_drop(mem, child);
        }
        return status;
    }
    v86fs_mem_entries_number(mem, slot);
    node->unread = false;
    return 0;
}
