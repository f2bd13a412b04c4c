/* SPDX-License-Identifier: MIT
 *
 * Directories: a list of entries in the order of their numbers, and two hash tables
 * over all entries of the store, by name and by number.
 */
#include "v86fs/mem.h"

#include <string.h>

static uint64_t name_hash(const struct v86fs_mem *mem, uint32_t parent,
                          struct bytes name)
{
    return v86fs_mix(hash_xxh3(name.data, name.size) ^ mem->nodes[parent].id);
}

static uint32_t *number_bucket(const struct v86fs_mem *mem, uint32_t parent,
                               uint64_t number)
{
    uint64_t hash = v86fs_mix(mem->nodes[parent].id << 32 ^ number);
    return &mem->number_bucket[hash & mem->entry_mask];
}

static uint32_t find_hashed(const struct v86fs_mem *mem, uint32_t parent,
                            struct bytes name, uint64_t hash)
{
    uint32_t slot = mem->name_bucket[hash & mem->entry_mask];
    for (; slot; slot = mem->entry_pool.next[slot]) {
        const struct v86fs_entry *entry = &mem->entries[slot];
        if (entry->hash == hash && entry->parent == parent &&
            v86fs_mem_text_equal(mem, entry->name, name))
            return slot;
    }
    return 0;
}

uint32_t v86fs_mem_entry_find(const struct v86fs_mem *mem, uint32_t parent,
                              struct bytes name)
{
    return find_hashed(mem, parent, name, name_hash(mem, parent, name));
}

/* A new entry that is in no list yet. */
static uint32_t entry_new(struct v86fs_mem *mem, uint32_t parent, struct bytes name,
                          uint32_t node)
{
    uint32_t slot = v86fs_pool_take(&mem->entry_pool);
    check(slot);
    struct v86fs_entry *entry = &mem->entries[slot];
    *entry = (struct v86fs_entry){.parent = parent,
                                  .node = node,
                                  .hash = name_hash(mem, parent, name),
                                  .name = v86fs_mem_text_add(mem, name)};
    uint32_t *bucket = &mem->name_bucket[entry->hash & mem->entry_mask];
    mem->entry_pool.next[slot] = *bucket;
    *bucket = slot;
    mem->nodes[node].links++;
    if (v86fs_mem_is_dir(&mem->nodes[node])) {
        mem->nodes[node].parent = parent;
        mem->nodes[parent].subdir_count++;
    }
    return slot;
}

/* Put an entry behind `older` (0 = first). */
static void entry_link(struct v86fs_mem *mem, uint32_t slot, uint32_t older)
{
    struct v86fs_entry *entry = &mem->entries[slot];
    struct v86fs_node *parent = &mem->nodes[entry->parent];
    uint32_t *link = older ? &mem->entries[older].newer : &parent->first_entry;
    entry->older = older;
    entry->newer = *link;
    *link = slot;
    if (entry->newer)
        mem->entries[entry->newer].older = slot;
    else
        parent->last_entry = slot;
}

static void entry_number(struct v86fs_mem *mem, uint32_t slot)
{
    struct v86fs_entry *entry = &mem->entries[slot];
    entry->number = ++mem->nodes[entry->parent].entry_number;
    uint32_t *bucket = number_bucket(mem, entry->parent, entry->number);
    entry->number_next = *bucket;
    *bucket = slot;
}

void v86fs_mem_entry_add(struct v86fs_mem *mem, uint32_t parent, struct bytes name,
                         uint32_t node)
{
    uint32_t slot = entry_new(mem, parent, name, node);
    entry_link(mem, slot, mem->nodes[parent].last_entry);
    entry_number(mem, slot);
}

/* Is the name of an entry above `name`? */
static bool entry_above(const struct v86fs_mem *mem, uint32_t slot, struct bytes name)
{
    uint8_t other[V86FS_NAME_MAX];
    struct v86fs_text text = mem->entries[slot].name;
    size_t common = text.size < name.size ? text.size : name.size;
    v86fs_mem_text_copy(mem, text, other);
    int order = memcmp(other, name.data, common);
    return order ? order > 0 : text.size > name.size;
}

void v86fs_mem_entry_insert(struct v86fs_mem *mem, uint32_t parent, struct bytes name,
                            uint32_t node)
{
    uint32_t slot = entry_new(mem, parent, name, node);
    uint32_t older = mem->nodes[parent].last_entry;
    while (older && entry_above(mem, older, name))
        older = mem->entries[older].older;
    entry_link(mem, slot, older);
}

void v86fs_mem_entries_number(struct v86fs_mem *mem, uint32_t parent)
{
    uint32_t slot = mem->nodes[parent].first_entry;
    for (; slot; slot = mem->entries[slot].newer)
        entry_number(mem, slot);
}

static void number_unlink(struct v86fs_mem *mem, uint32_t slot)
{
    const struct v86fs_entry *entry = &mem->entries[slot];
    uint32_t *link = number_bucket(mem, entry->parent, entry->number);
    while (*link && *link != slot)
        link = &mem->entries[*link].number_next;
    if (*link) /* else it has no number yet */
        *link = entry->number_next;
}

void v86fs_mem_entry_remove(struct v86fs_mem *mem, uint32_t slot)
{
    struct v86fs_entry *entry = &mem->entries[slot];
    struct v86fs_node *parent = &mem->nodes[entry->parent];
    uint32_t *link = &mem->name_bucket[entry->hash & mem->entry_mask];
    while (*link != slot)
        link = &mem->entry_pool.next[*link];
    *link = mem->entry_pool.next[slot];
    number_unlink(mem, slot);
    if (entry->older)
        mem->entries[entry->older].newer = entry->newer;
    else
        parent->first_entry = entry->newer;
    if (entry->newer)
        mem->entries[entry->newer].older = entry->older;
    else
        parent->last_entry = entry->older;
    if (v86fs_mem_is_dir(&mem->nodes[entry->node]))
        parent->subdir_count--;
    mem->nodes[entry->node].links--;
    v86fs_mem_text_remove(mem, entry->name);
    v86fs_pool_give(&mem->entry_pool, slot);
}

/* An entry gets another node. */
static void entry_set_node(struct v86fs_mem *mem, uint32_t slot, uint32_t node)
{
    struct v86fs_entry *entry = &mem->entries[slot];
    bool was = v86fs_mem_is_dir(&mem->nodes[entry->node]);
    bool is = v86fs_mem_is_dir(&mem->nodes[node]);
    mem->nodes[entry->parent].subdir_count += (uint32_t)is - (uint32_t)was;
    if (is)
        mem->nodes[node].parent = entry->parent;
    entry->node = node;
}

void v86fs_mem_entry_exchange(struct v86fs_mem *mem, uint32_t a, uint32_t b)
{
    uint32_t node = mem->entries[a].node;
    entry_set_node(mem, a, mem->entries[b].node);
    entry_set_node(mem, b, node);
}

uint32_t v86fs_mem_entry_after(const struct v86fs_mem *mem, uint32_t parent,
                               uint64_t cookie)
{
    uint32_t slot = cookie ? *number_bucket(mem, parent, cookie) : 0;
    for (; slot; slot = mem->entries[slot].number_next) {
        if (mem->entries[slot].parent == parent && mem->entries[slot].number == cookie)
            return mem->entries[slot].newer;
    }
    /* Removed meanwhile: usually so are those before it, and this is short. */
    slot = mem->nodes[parent].first_entry;
    while (slot && mem->entries[slot].number <= cookie)
        slot = mem->entries[slot].newer;
    return slot;
}
