/* SPDX-License-Identifier: MIT
 *
 * The native store as bytes and back (v86fs.md 8): nodes by id, then the entries of
 * each directory by number, then the pages of each file by index.  Equal stores give
 * equal bytes, whatever their slots are.
 *
 * Loading trusts nothing: what comes in may lead to any tree that calls could have
 * made, and to no other.
 */
#include "v86fs/mem.h"
#include "v86fs/state.h"

#include <string.h>

enum { VERSION = 1 };
static const char magic[8] = "V86FSMEM";

/* ---- saving ---- */

/* All nodes by id, in `arena`; NULL without memory. */
static struct v86fs_item *sorted_nodes(const struct v86fs_mem *mem, struct arena *arena)
{
    uint32_t count = 0;
    struct v86fs_item *items =
        arena_new_array(arena, struct v86fs_item, (size_t)mem->node_pool.used + 1);
    if (!items)
        return NULL;
    for (uint32_t slot = 1; slot < mem->node_pool.fresh; slot++) {
        if (mem->nodes[slot].id)
            items[count++] = (struct v86fs_item){mem->nodes[slot].id, slot};
    }
    check(count == mem->node_pool.used);
    v86fs_items_sort(items, count);
    return items;
}

static void save_text(const struct v86fs_mem *mem, struct buf *buf,
                      struct v86fs_text text)
{
    v86fs_put(buf, 2, text.size);
    uint8_t *data = buf_extend(buf, text.size);
    if (data)
        v86fs_mem_text_copy(mem, text, data);
}

static uint64_t id_of(const struct v86fs_mem *mem, uint32_t slot)
{
    return slot ? mem->nodes[slot].id : 0;
}

static void save_lower(struct buf *buf, const struct v86fs_lower *lower)
{
    v86fs_put(buf, 8, lower->node);
    v86fs_put(buf, 8, lower->limit);
    v86fs_put(buf, 8, lower->size);
    v86fs_put_time(buf, lower->mtime);
    v86fs_put_time(buf, lower->ctime);
}

static void save_node(const struct v86fs_mem *mem, struct buf *buf,
                      const struct v86fs_node *node)
{
    v86fs_put(buf, 8, node->id);
    v86fs_put(buf, 4, node->mode);
    v86fs_put(buf, 4, node->uid);
    v86fs_put(buf, 4, node->gid);
    v86fs_put(buf, 4, node->open_count);
    v86fs_put(buf, 8, node->size);
    v86fs_put_time(buf, node->atime);
    v86fs_put_time(buf, node->mtime);
    v86fs_put_time(buf, node->ctime);
    v86fs_put(buf, 8, id_of(mem, node->root));
    v86fs_put(buf, 8, v86fs_mem_is_dir(node) ? id_of(mem, node->parent) : 0);
    v86fs_put(buf, 8, node->entry_number);
    save_text(mem, buf, node->target);
    save_lower(buf, &node->lower);
    v86fs_put(buf, 1, node->unread);
}

static void save_entries(const struct v86fs_mem *mem, struct buf *buf,
                         const struct v86fs_node *node)
{
    for (uint32_t slot = node->first_entry; slot; slot = mem->entries[slot].newer) {
        const struct v86fs_entry *entry = &mem->entries[slot];
        v86fs_put(buf, 8, entry->number);
        v86fs_put(buf, 8, mem->nodes[entry->node].id);
        save_text(mem, buf, entry->name);
    }
    v86fs_put(buf, 8, 0); /* no entry has this number */
}

static bool save_pages(const struct v86fs_mem *mem, struct buf *buf,
                       const struct v86fs_node *node, struct arena *arena)
{
    uint32_t count = 0;
    struct v86fs_item *items =
        arena_new_array(arena, struct v86fs_item, (size_t)node->page_count + 1);
    if (!items)
        return false;
    for (uint32_t page = node->first_page; page; page = mem->pages[page].following)
        items[count++] = (struct v86fs_item){mem->pages[page].index, page};
    v86fs_items_sort(items, count);
    v86fs_put(buf, 4, count);
    for (uint32_t k = 0; k < count; k++) {
        v86fs_put(buf, 8, items[k].key);
        buf_put(buf, mem->page_data + (size_t)items[k].slot * V86FS_PAGE_SIZE,
                V86FS_PAGE_SIZE);
    }
    return true;
}

enum err v86fs_mem_save(const struct v86fs_mem *mem, struct arena *scratch,
                        struct buf *buf)
{
    uint32_t count = mem->node_pool.used;
    const struct v86fs_item *items = sorted_nodes(mem, scratch);
    if (!items)
        return ERR_nomem;
    buf_put(buf, magic, sizeof magic);
    v86fs_put(buf, 4, VERSION);
    v86fs_put(buf, 4, count);
    for (uint32_t k = 0; k < count; k++)
        save_node(mem, buf, &mem->nodes[items[k].slot]);
    for (uint32_t k = 0; k < count; k++) {
        if (v86fs_mem_is_dir(&mem->nodes[items[k].slot]))
            save_entries(mem, buf, &mem->nodes[items[k].slot]);
    }
    for (uint32_t k = 0; k < count; k++) {
        const struct v86fs_node *node = &mem->nodes[items[k].slot];
        if ((node->mode & V86FS_TYPE_MASK) == V86FS_REGULAR &&
            !save_pages(mem, buf, node, scratch))
            return ERR_nomem;
    }
    return buf->err;
}

/* ---- loading ---- */

static void pool_clear(struct v86fs_pool *pool)
{
    pool->free = pool->used = 0;
    pool->fresh = 1;
}

/* As after creation; slots that were in use read as unused. */
static void clear(struct v86fs_mem *mem)
{
    size_t buckets = (size_t)mem->entry_mask + 1;
    for (uint32_t slot = 1; slot < mem->node_pool.fresh; slot++) {
        v86fs_table_remove(&mem->node_table, mem->nodes[slot].id);
        mem->nodes[slot].id = 0;
    }
    memset(mem->name_bucket, 0, buckets * sizeof *mem->name_bucket);
    memset(mem->number_bucket, 0, buckets * sizeof *mem->number_bucket);
    memset(mem->page_bucket, 0,
           ((size_t)mem->page_mask + 1) * sizeof *mem->page_bucket);
    pool_clear(&mem->node_pool);
    pool_clear(&mem->entry_pool);
    pool_clear(&mem->page_pool);
    pool_clear(&mem->cell_pool);
    mem->used = 0;
}

static bool type_known(uint32_t mode)
{
    uint32_t type = mode & V86FS_TYPE_MASK;
    return !(mode & ~(uint32_t)(V86FS_TYPE_MASK | V86FS_PERMISSIONS)) &&
           (type == V86FS_DIRECTORY || type == V86FS_REGULAR || type == V86FS_SYMLINK);
}

static void load_target(struct v86fs_mem *mem, struct v86fs_take *take,
                        struct v86fs_node *node)
{
    struct bytes target = v86fs_take_text(take);
    bool is_link = (node->mode & V86FS_TYPE_MASK) == V86FS_SYMLINK;
    /* A link of a lower tree keeps its target there. */
    bool good = !target.size || (is_link && !v86fs_tree_target_status(target) &&
                                 v86fs_mem_room(mem, v86fs_mem_cells(target.size), 0));
    v86fs_take_demand(take, good);
    if (!take->failed)
        node->target = v86fs_mem_text_add(mem, target);
}

static void load_lower(const struct v86fs_mem *mem, struct v86fs_take *take,
                       struct v86fs_node *node)
{
    struct v86fs_lower *lower = &node->lower;
    lower->node = v86fs_take(take, 8);
    lower->limit = v86fs_take(take, 8);
    lower->size = v86fs_take(take, 8);
    lower->mtime = v86fs_take_time(take);
    lower->ctime = v86fs_take_time(take);
    node->unread = v86fs_take_upto(take, 1, 1) != 0;
    v86fs_take_demand(take, mem->lower.ops ? lower->limit <= lower->size
                                           : !lower->node && !lower->limit);
    v86fs_take_demand(take, !node->unread || (lower->node && v86fs_mem_is_dir(node)));
}

/* Root and parent are ids until all nodes are there: in these two lists. */
struct ids_read {
    uint64_t root, parent;
};

static void load_node(struct v86fs_mem *mem, struct v86fs_take *take, uint64_t above,
                      struct ids_read *ret_ids)
{
    struct v86fs_node node = {.id = v86fs_take_upto(take, 8, V86FS_ID_MAX)};
    node.mode = (uint32_t)v86fs_take(take, 4);
    node.uid = (uint32_t)v86fs_take(take, 4);
    node.gid = (uint32_t)v86fs_take(take, 4);
    node.open_count = (uint32_t)v86fs_take(take, 4);
    node.size = v86fs_take_upto(take, 8, INT64_MAX);
    node.atime = v86fs_take_time(take);
    node.mtime = v86fs_take_time(take);
    node.ctime = v86fs_take_time(take);
    ret_ids->root = v86fs_take(take, 8);
    ret_ids->parent = v86fs_take(take, 8);
    node.entry_number = v86fs_take(take, 8);
    v86fs_take_demand(take, node.id > above && type_known(node.mode) &&
                                node.id < mem->ids->next);
    load_target(mem, take, &node);
    load_lower(mem, take, &node);
    if (take->failed)
        return;
    uint32_t slot = v86fs_pool_take(&mem->node_pool);
    mem->nodes[slot] = node;
    v86fs_table_put(&mem->node_table, node.id, slot);
}

/* Fill in the slots that `ids` name: a root is its own root and parent. */
static void link_nodes(struct v86fs_mem *mem, struct v86fs_take *take,
                       const struct ids_read *ids)
{
    for (uint32_t slot = 1; slot < mem->node_pool.fresh && !take->failed; slot++) {
        struct v86fs_node *node = &mem->nodes[slot];
        uint32_t root = v86fs_mem_slot(mem, ids[slot].root);
        uint32_t parent = v86fs_mem_slot(mem, ids[slot].parent);
        bool is_dir = v86fs_mem_is_dir(node);
        v86fs_take_demand(take, root && v86fs_mem_is_dir(&mem->nodes[root]) &&
                                    ids[root].root == ids[slot].root);
        v86fs_take_demand(take, is_dir ? parent != 0 : !ids[slot].parent);
        node->root = root;
        node->parent = parent;
        if (root == slot) {
            v86fs_take_demand(take, parent == slot);
            node->links = 1; /* never lost */
        }
    }
}

/* A name for a node, as a call could have given it. */
static bool entry_possible(const struct v86fs_mem *mem, uint32_t parent, uint32_t node,
                           struct bytes name)
{
    if (!node || v86fs_tree_name_status(name, V86FS_EINVAL, V86FS_EINVAL) ||
        v86fs_mem_entry_find(mem, parent, name) ||
        !v86fs_mem_room(mem, v86fs_mem_cells(name.size), 0) ||
        mem->entry_pool.used == mem->entry_pool.limit)
        return false;
    const struct v86fs_node *child = &mem->nodes[node];
    return child->root == mem->nodes[parent].root && child->root != node &&
           (!v86fs_mem_is_dir(child) || (!child->links && child->parent == parent));
}

static void load_entries(struct v86fs_mem *mem, struct v86fs_take *take, uint32_t slot)
{
    struct v86fs_node *dir = &mem->nodes[slot];
    uint64_t last = dir->entry_number;
    dir->entry_number = 0;
    while (!take->failed) {
        uint64_t number = v86fs_take_upto(take, 8, last);
        if (!number)
            break;
        uint32_t node = v86fs_mem_slot(mem, v86fs_take(take, 8));
        struct bytes name = v86fs_take_text(take);
        v86fs_take_demand(take, number > dir->entry_number && !dir->unread &&
                                    entry_possible(mem, slot, node, name));
        if (take->failed)
            return;
        dir->entry_number = number - 1; /* the entry takes the next one */
        v86fs_mem_entry_add(mem, slot, name, node);
    }
    dir->entry_number = last;
}

static void load_pages(struct v86fs_mem *mem, struct v86fs_take *take, uint32_t slot)
{
    struct v86fs_node *node = &mem->nodes[slot];
    uint64_t size = node->size, above = 0;
    uint32_t count = (uint32_t)v86fs_take(take, 4);
    for (uint32_t k = 0; k < count && !take->failed; k++) {
        uint64_t index = v86fs_take_upto(take, 8, INT64_MAX / V86FS_PAGE_SIZE);
        struct bytes page = v86fs_take_bytes(take, V86FS_PAGE_SIZE);
        uint64_t offset = index * V86FS_PAGE_SIZE;
        v86fs_take_demand(take, (!k || index > above) && offset < size &&
                                    v86fs_mem_room(mem, 0, 1));
        if (take->failed)
            return;
        v86fs_mem_data_place(mem, slot, index, page.data);
        above = index;
    }
}

/* Every node has what it lives by, and every directory leads up to its root. */
static void check_nodes(const struct v86fs_mem *mem, struct v86fs_take *take)
{
    for (uint32_t slot = 1; slot < mem->node_pool.fresh && !take->failed; slot++) {
        const struct v86fs_node *node = &mem->nodes[slot];
        bool is_dir = v86fs_mem_is_dir(node);
        uint32_t up = slot, steps = 0;
        while (is_dir && up != node->root && steps++ < mem->node_pool.used)
            up = mem->nodes[up].parent;
        v86fs_take_demand(take, node->links || (node->open_count && !is_dir));
        v86fs_take_demand(take, !is_dir || up == node->root);
    }
}

static void load_all(struct v86fs_mem *mem, struct v86fs_take *take,
                     struct ids_read *ids, uint32_t count)
{
    for (uint32_t slot = 1; slot <= count && !take->failed; slot++)
        load_node(mem, take, id_of(mem, slot - 1), &ids[slot]);
    link_nodes(mem, take, ids);
    for (uint32_t slot = 1; slot <= count && !take->failed; slot++) {
        if (v86fs_mem_is_dir(&mem->nodes[slot]))
            load_entries(mem, take, slot);
    }
    for (uint32_t slot = 1; slot <= count && !take->failed; slot++) {
        if ((mem->nodes[slot].mode & V86FS_TYPE_MASK) == V86FS_REGULAR)
            load_pages(mem, take, slot);
    }
    if (!take->failed)
        check_nodes(mem, take);
    v86fs_take_demand(take, !take->rest.size);
}

enum err v86fs_mem_load(struct v86fs_mem *mem, struct arena *scratch,
                        struct bytes state)
{
    struct v86fs_take take = {.rest = state};
    struct bytes start = v86fs_take_bytes(&take, sizeof magic);
    v86fs_take_demand(&take, start.data && !memcmp(start.data, magic, sizeof magic));
    v86fs_take_demand(&take, v86fs_take(&take, 4) == VERSION);
    uint32_t count = (uint32_t)v86fs_take_upto(&take, 4, mem->node_pool.limit);
    clear(mem);
    if (take.failed)
        return ERR_v86fs_state;
    struct ids_read *ids = arena_new_array(scratch, struct ids_read, (size_t)count + 1);
    if (!ids)
        return ERR_nomem;
    load_all(mem, &take, ids, count);
    if (!take.failed)
        return ERR_ok;
    clear(mem);
    return ERR_v86fs_state;
}
