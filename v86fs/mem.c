/* SPDX-License-Identifier: MIT
 *
 * The native store: its pools, text cells, and the life of a node.
 */
#include "v86fs/mem.h"

#include <string.h>

enum { LIMIT_MAX = 1 << 30 };

void v86fs_mem_options_init(struct v86fs_mem_options *options)
{
    *options = (struct v86fs_mem_options){.node_count_max = 1048576,
                                          .quota = (uint64_t)1 << 30,
                                          .file_size_max = (uint64_t)1 << 44};
}

static bool entries_create(struct v86fs_mem *mem, struct arena *arena, uint32_t count)
{
    uint32_t buckets = v86fs_buckets_for(count);
    mem->entry_mask = buckets - 1;
    mem->entries = arena_new_array(arena, struct v86fs_entry, (size_t)count + 1);
    mem->name_bucket = arena_new_array(arena, uint32_t, buckets);
    mem->number_bucket = arena_new_array(arena, uint32_t, buckets);
    return mem->entries && mem->name_bucket && mem->number_bucket &&
           v86fs_pool_init(&mem->entry_pool, arena, count);
}

static bool pages_create(struct v86fs_mem *mem, struct arena *arena, uint32_t count)
{
    uint32_t buckets = v86fs_buckets_for(count);
    mem->page_mask = buckets - 1;
    mem->pages = arena_new_array(arena, struct v86fs_page, (size_t)count + 1);
    mem->page_data =
        arena_alloc_array(arena, (size_t)count + 1, V86FS_PAGE_SIZE, V86FS_CELL_SIZE);
    mem->page_bucket = arena_new_array(arena, uint32_t, buckets);
    return mem->pages && mem->page_data && mem->page_bucket &&
           v86fs_pool_init(&mem->page_pool, arena, count);
}

enum err v86fs_mem_create(struct arena *arena, const struct v86fs_mem_options *options,
                          struct v86fs_ids *ids, struct v86fs_mem **ret_mem)
{
    uint64_t cells = options->quota / V86FS_CELL_SIZE;
    uint32_t count = options->node_count_max;
    if (!count || count > LIMIT_MAX || cells > LIMIT_MAX ||
        options->file_size_max > INT64_MAX)
        return ERR_usage;
    struct v86fs_mem *mem = arena_new(arena, struct v86fs_mem);
    if (!mem)
        return ERR_nomem;
    mem->options = *options;
    mem->ids = ids;
    mem->nodes = arena_new_array(arena, struct v86fs_node, (size_t)count + 1);
    mem->cells =
        arena_alloc_array(arena, (size_t)cells + 1, V86FS_CELL_SIZE, V86FS_CELL_SIZE);
    if (!mem->nodes || !mem->cells || !v86fs_pool_init(&mem->node_pool, arena, count) ||
        !v86fs_table_init(&mem->node_table, arena, count) ||
        !v86fs_pool_init(&mem->cell_pool, arena, (uint32_t)cells) ||
        !entries_create(mem, arena, count) ||
        !pages_create(mem, arena, (uint32_t)(options->quota / V86FS_PAGE_SIZE)))
        return ERR_nomem;
    *ret_mem = mem;
    return ERR_ok;
}

struct v86fs_tree v86fs_mem_tree(struct v86fs_mem *mem)
{
    return (struct v86fs_tree){.ops = &v86fs_mem_ops, .self = mem};
}

uint64_t v86fs_mem_used(const struct v86fs_mem *mem)
{
    return mem->used;
}

uint64_t v86fs_mem_lower_changed(const struct v86fs_mem *mem)
{
    return mem->lower_changed;
}

enum err v86fs_mem_root(struct v86fs_mem *mem, uint32_t mode, uint64_t now_ns,
                        uint64_t *ret_root)
{
    uint32_t slot = v86fs_mem_node_add(
        mem, V86FS_DIRECTORY | (mode & V86FS_PERMISSIONS), 0, v86fs_time_of_ns(now_ns));
    if (!slot)
        return ERR_limit;
    mem->nodes[slot].root = slot;
    mem->nodes[slot].parent = slot;
    mem->nodes[slot].links = 1; /* never lost: a root stays */
    *ret_root = mem->nodes[slot].id;
    return ERR_ok;
}

enum err v86fs_mem_overlay(struct v86fs_mem *mem, struct v86fs_tree lower,
                           uint64_t lower_root, uint64_t *ret_root)
{
    struct v86fs_call call = {.in = {.node = lower_root}};
    if (lower.ops->getattr(lower.self, &call) ||
        (call.out.attr.mode & V86FS_TYPE_MASK) != V86FS_DIRECTORY)
        return ERR_io;
    if (mem->lower.ops && mem->lower.self != lower.self)
        return ERR_usage;
    uint64_t root;
    TRY(v86fs_mem_root(mem, call.out.attr.mode, 0, &root));
    struct v86fs_node *node = &mem->nodes[v86fs_mem_slot(mem, root)];
    mem->lower = lower;
    node->uid = call.out.attr.uid;
    node->gid = call.out.attr.gid;
    node->atime = call.out.attr.atime;
    node->mtime = call.out.attr.mtime;
    node->ctime = call.out.attr.ctime;
    node->lower.node = lower_root;
    node->unread = true;
    *ret_root = root;
    return ERR_ok;
}

/* ---- text ---- */

bool v86fs_mem_room(const struct v86fs_mem *mem, uint32_t cells, uint64_t pages)
{
    uint64_t left = mem->options.quota - mem->used;
    uint64_t names = (uint64_t)cells * V86FS_CELL_SIZE;
    return names <= left && pages <= (left - names) / V86FS_PAGE_SIZE;
}

static uint8_t *cell_data(const struct v86fs_mem *mem, uint32_t cell)
{
    return mem->cells + (size_t)cell * V86FS_CELL_SIZE;
}

/* How much of a text of `size` bytes is in its first cell. */
static size_t cell_part(size_t size)
{
    return size < V86FS_CELL_SIZE ? size : V86FS_CELL_SIZE;
}

struct v86fs_text v86fs_mem_text_add(struct v86fs_mem *mem, struct bytes text)
{
    struct v86fs_text added = {.size = (uint32_t)text.size};
    uint32_t *link = &added.cell;
    while (text.size) {
        size_t part = cell_part(text.size);
        uint32_t cell = v86fs_pool_take(&mem->cell_pool);
        check(cell);
        mem->used += V86FS_CELL_SIZE;
        memcpy(cell_data(mem, cell), text.data, part);
        text = bytes_of(text.data + part, text.size - part);
        *link = cell;
        link = &mem->cell_pool.next[cell];
    }
    return added;
}

void v86fs_mem_text_remove(struct v86fs_mem *mem, struct v86fs_text text)
{
    for (uint32_t cell = text.cell; cell;) {
        uint32_t next = mem->cell_pool.next[cell];
        v86fs_pool_give(&mem->cell_pool, cell);
        mem->used -= V86FS_CELL_SIZE;
        cell = next;
    }
}

bool v86fs_mem_text_equal(const struct v86fs_mem *mem, struct v86fs_text text,
                          struct bytes other)
{
    if (text.size != other.size)
        return false;
    for (uint32_t cell = text.cell; cell; cell = mem->cell_pool.next[cell]) {
        size_t part = cell_part(other.size);
        if (memcmp(cell_data(mem, cell), other.data, part) != 0)
            return false;
        other = bytes_of(other.data + part, other.size - part);
    }
    return true;
}

void v86fs_mem_text_copy(const struct v86fs_mem *mem, struct v86fs_text text,
                         uint8_t *data)
{
    for (uint32_t cell = text.cell; cell; cell = mem->cell_pool.next[cell]) {
        size_t part = cell_part(text.size);
        memcpy(data, cell_data(mem, cell), part);
        data += part;
        text.size -= (uint32_t)part;
    }
}

/* ---- nodes ---- */

uint32_t v86fs_mem_node_add(struct v86fs_mem *mem, uint32_t mode, uint32_t root,
                            struct v86fs_time now)
{
    if (mem->node_pool.used == mem->node_pool.limit || mem->ids->next > V86FS_ID_MAX)
        return 0;
    uint32_t slot = v86fs_pool_take(&mem->node_pool);
    mem->nodes[slot] = (struct v86fs_node){.id = v86fs_ids_take(mem->ids),
                                           .mode = mode,
                                           .atime = now,
                                           .mtime = now,
                                           .ctime = now,
                                           .root = root};
    v86fs_table_put(&mem->node_table, mem->nodes[slot].id, slot);
    return slot;
}

void v86fs_mem_node_drop(struct v86fs_mem *mem, uint32_t slot)
{
    struct v86fs_node *node = &mem->nodes[slot];
    if (node->links || (node->open_count && !v86fs_mem_is_dir(node)))
        return;
    v86fs_mem_data_clear(mem, slot);
    v86fs_mem_text_remove(mem, node->target);
    v86fs_table_remove(&mem->node_table, node->id);
    node->id = 0; /* the slot is not in use */
    v86fs_pool_give(&mem->node_pool, slot);
}
