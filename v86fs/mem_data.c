/* SPDX-License-Identifier: MIT
 *
 * File data: pages that were written, found by (node, index); what has no page comes
 * from the lower file or is zero.
 */
#include "v86fs/mem.h"

#include <string.h>

static uint32_t *page_bucket(const struct v86fs_mem *mem, uint32_t slot, uint64_t index)
{
    uint64_t hash = v86fs_mix(((uint64_t)slot << 32 | slot) ^ v86fs_mix(index));
    return &mem->page_bucket[hash & mem->page_mask];
}

static uint32_t page_find(const struct v86fs_mem *mem, uint32_t slot, uint64_t index)
{
    uint32_t page = *page_bucket(mem, slot, index);
    while (page && (mem->pages[page].node != slot || mem->pages[page].index != index))
        page = mem->page_pool.next[page];
    return page;
}

static uint8_t *page_data(const struct v86fs_mem *mem, uint32_t page)
{
    return mem->page_data + (size_t)page * V86FS_PAGE_SIZE;
}

/* A new page with old bytes in it; room is there. */
static uint32_t page_add(struct v86fs_mem *mem, uint32_t slot, uint64_t index)
{
    struct v86fs_node *node = &mem->nodes[slot];
    uint32_t *bucket = page_bucket(mem, slot, index);
    uint32_t page = v86fs_pool_take(&mem->page_pool);
    check(page);
    mem->pages[page] = (struct v86fs_page){
        .index = index, .node = slot, .following = node->first_page};
    if (node->first_page)
        mem->pages[node->first_page].previous = page;
    node->first_page = page;
    node->page_count++;
    mem->page_pool.next[page] = *bucket;
    *bucket = page;
    mem->used += V86FS_PAGE_SIZE;
    return page;
}

static void page_remove(struct v86fs_mem *mem, uint32_t page)
{
    const struct v86fs_page *gone = &mem->pages[page];
    struct v86fs_node *node = &mem->nodes[gone->node];
    uint32_t *link = page_bucket(mem, gone->node, gone->index);
    while (*link != page)
        link = &mem->page_pool.next[*link];
    *link = mem->page_pool.next[page];
    if (gone->previous)
        mem->pages[gone->previous].following = gone->following;
    else
        node->first_page = gone->following;
    if (gone->following)
        mem->pages[gone->following].previous = gone->previous;
    node->page_count--;
    mem->used -= V86FS_PAGE_SIZE;
    v86fs_pool_give(&mem->page_pool, page);
}

void v86fs_mem_data_clear(struct v86fs_mem *mem, uint32_t slot)
{
    while (mem->nodes[slot].first_page)
        page_remove(mem, mem->nodes[slot].first_page);
}

/* Bytes from `offset` to the end of its page, at most `size`. */
static size_t page_part(uint64_t offset, size_t size)
{
    size_t left = V86FS_PAGE_SIZE - (size_t)(offset % V86FS_PAGE_SIZE);
    return size < left ? size : left;
}

uint32_t v86fs_mem_data_read(struct v86fs_mem *mem, uint32_t slot, uint64_t offset,
                             uint8_t *data, size_t size)
{
    const struct v86fs_node *node = &mem->nodes[slot];
    while (size) {
        size_t part = page_part(offset, size);
        uint32_t page =
            node->page_count ? page_find(mem, slot, offset / V86FS_PAGE_SIZE) : 0;
        if (page) {
            memcpy(data, page_data(mem, page) + offset % V86FS_PAGE_SIZE, part);
        } else if (offset < node->lower.limit) {
            uint32_t status = v86fs_mem_lower_read(mem, slot, offset, data, part);
            if (status)
                return status;
        } else {
            memset(data, 0, part);
        }
        offset += part;
        data += part;
        size -= part;
    }
    return 0;
}

static uint64_t pages_missing(const struct v86fs_mem *mem, uint32_t slot,
                              uint64_t offset, size_t size)
{
    uint64_t missing = 0, last = (offset + size - 1) / V86FS_PAGE_SIZE;
    for (uint64_t index = offset / V86FS_PAGE_SIZE; index <= last; index++)
        missing += !page_find(mem, slot, index);
    return missing;
}

/* The page at `index`, made with the bytes that are there now.  EIO leaves no page. */
static uint32_t page_fill(struct v86fs_mem *mem, uint32_t slot, uint64_t index,
                          uint32_t *ret_page)
{
    const struct v86fs_node *node = &mem->nodes[slot];
    uint64_t offset = index * V86FS_PAGE_SIZE;
    uint32_t page = page_find(mem, slot, index);
    if (!page) {
        page = page_add(mem, slot, index);
        memset(page_data(mem, page), 0, V86FS_PAGE_SIZE);
        if (offset < node->lower.limit) {
            uint32_t status = v86fs_mem_lower_read(
                mem, slot, offset, page_data(mem, page), V86FS_PAGE_SIZE);
            if (status) {
                page_remove(mem, page);
                return status;
            }
        }
    }
    *ret_page = page;
    return 0;
}

/* Only the first and the last page of a write keep old bytes: make these two before
 * anything changes, so that an error of the lower tree leaves nothing half done. */
static uint32_t fill_ends(struct v86fs_mem *mem, uint32_t slot, uint64_t offset,
                          size_t size)
{
    uint32_t page;
    uint64_t last = (offset + size - 1) / V86FS_PAGE_SIZE;
    uint32_t status = page_fill(mem, slot, offset / V86FS_PAGE_SIZE, &page);
    return status ? status : page_fill(mem, slot, last, &page);
}

uint32_t v86fs_mem_data_write(struct v86fs_mem *mem, uint32_t slot, uint64_t offset,
                              struct bytes data)
{
    struct v86fs_node *node = &mem->nodes[slot];
    if (!v86fs_mem_room(mem, 0, pages_missing(mem, slot, offset, data.size)))
        return V86FS_ENOSPC;
    uint32_t status = fill_ends(mem, slot, offset, data.size);
    if (status)
        return status;
    if (node->size < offset + data.size)
        node->size = offset + data.size;
    while (data.size) {
        size_t part = page_part(offset, data.size);
        uint64_t index = offset / V86FS_PAGE_SIZE;
        uint32_t page = page_find(mem, slot, index);
        if (!page)
            page = page_add(mem, slot, index);
        memcpy(page_data(mem, page) + offset % V86FS_PAGE_SIZE, data.data, part);
        data = bytes_of(data.data + part, data.size - part);
        offset += part;
    }
    return 0;
}

void v86fs_mem_data_place(struct v86fs_mem *mem, uint32_t slot, uint64_t index,
                          const uint8_t *data)
{
    memcpy(page_data(mem, page_add(mem, slot, index)), data, V86FS_PAGE_SIZE);
}

/* Free the pages from `index` on, by the shorter of two ways. */
static void pages_cut(struct v86fs_mem *mem, uint32_t slot, uint64_t index,
                      uint64_t end)
{
    struct v86fs_node *node = &mem->nodes[slot];
    if (end - index < node->page_count) {
        for (; index < end; index++) {
            uint32_t page = page_find(mem, slot, index);
            if (page)
                page_remove(mem, page);
        }
        return;
    }
    for (uint32_t page = node->first_page, next; page; page = next) {
        next = mem->pages[page].following;
        if (mem->pages[page].index >= index)
            page_remove(mem, page);
    }
}

uint32_t v86fs_mem_data_resize(struct v86fs_mem *mem, uint32_t slot, uint64_t size)
{
    struct v86fs_node *node = &mem->nodes[slot];
    if (size < node->size) {
        uint64_t end = (node->size + V86FS_PAGE_SIZE - 1) / V86FS_PAGE_SIZE;
        size_t rest = (size_t)(size % V86FS_PAGE_SIZE);
        uint32_t page = rest ? page_find(mem, slot, size / V86FS_PAGE_SIZE) : 0;
        pages_cut(mem, slot, size / V86FS_PAGE_SIZE + (rest != 0), end);
        if (page)
            memset(page_data(mem, page) + rest, 0, V86FS_PAGE_SIZE - rest);
        if (node->lower.limit > size)
            node->lower.limit = size;
    }
    node->size = size;
    return 0;
}
