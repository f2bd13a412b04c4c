/* SPDX-License-Identifier: MIT
 *
 * Making caps: drafts, settling a frame [5.6], digests of a frame [9.5].
 */
#include "kernel/internal.h"

#include <string.h>

enum {
    ZERO_PAGE_DEPTH = 7,
    MAPPING_MAX = 64,
    OVERLAY_HEAD_SIZE = 8,
    INSTANCE_SIZE = 224
};

static struct draft draft_finish(uint8_t *at, const uint8_t *end)
{
    struct kernel_cap cap;
    struct draft draft = {.wire = bytes_of(at, (size_t)(end - at))};
    check(kernel_wire_decode(draft.wire, &cap) == KERNEL_STATUS_OK);
    draft.hash = kernel_cap_hash(&cap);
    return draft;
}

static uint8_t *put_u32(uint8_t *p, uint32_t value)
{
    kernel_u32_put(p, value);
    return p + 4;
}

static uint8_t *put_u64(uint8_t *p, uint64_t value)
{
    kernel_u64_put(p, value);
    return p + 8;
}

static uint8_t *put_bytes(uint8_t *p, const void *bytes, size_t size)
{
    if (size)
        memcpy(p, bytes, size);
    return p + size;
}

struct draft kernel_draft_cnode(const struct slots *slots, uint8_t *at)
{
    uint8_t *p = at;
    *p++ = KERNEL_KIND_CNODE;
    *p++ = slots->size_log;
    p = put_u32(p, 5);
    for (uint32_t slot = 0; slot < KERNEL_SLOT_COUNT; slot++) {
        if (slots->slot[slot].used) {
            p = put_u32(p, slot);
            p = put_bytes(p, slots->slot[slot].hash.byte, HASH256_SIZE);
        }
    }
    p = put_bytes(p, slots->high.data, (size_t)slots->high.count * KERNEL_ENTRY_SIZE);
    return draft_finish(at, p);
}

/* Pages of guest memory, which are all mapped. */
static uint8_t *put_memory(uint8_t *p, struct pvm_mem *mem, uint64_t start,
                           uint64_t size)
{
    for (uint64_t at = 0; at < size; at += PVM_PAGE_SIZE) {
        uint32_t page = (uint32_t)((start + at) / PVM_PAGE_SIZE);
        p = put_bytes(p, pvm_mem_page(mem, page), PVM_PAGE_SIZE);
    }
    return p;
}

struct draft kernel_draft_instance(const struct instance_parts *parts, uint8_t *at)
{
    uint8_t *p = at;
    *p++ = KERNEL_KIND_INSTANCE;
    p = put_bytes(p, parts->chain->byte, HASH256_SIZE);
    p = put_bytes(p, parts->image->byte, HASH256_SIZE);
    p = put_bytes(p, parts->root_cnode->byte, HASH256_SIZE);
    p = put_u32(p, INSTANCE_SIZE);
    p = put_u32(p, parts->mem_size);
    for (int i = 0; i < PVM_REG_COUNT; i++)
        p = put_u64(p, parts->reg ? parts->reg[i] : 0);
    p = put_u64(p, parts->pc);
    p = put_u64(p, parts->gas);
    uint64_t offset = 4 * (uint64_t)parts->overlay_count;
    for (uint32_t i = 0; i < parts->overlay_count; i++) {
        p = put_u32(p, (uint32_t)offset);
        offset += OVERLAY_HEAD_SIZE + parts->overlay[i].size;
    }
    for (uint32_t i = 0; i < parts->overlay_count; i++) {
        const struct overlay_part *overlay = &parts->overlay[i];
        p = put_u32(p, overlay->start);
        p = put_u32(p, OVERLAY_HEAD_SIZE);
        if (overlay->bytes)
            p = put_bytes(p, overlay->bytes, overlay->size);
        else
            p = put_memory(p, parts->mem, overlay->start, overlay->size);
    }
    return draft_finish(at, p);
}

struct draft kernel_draft_data(struct pvm_mem *mem, uint32_t address, uint64_t size,
                               uint64_t padded_size, uint8_t *at)
{
    uint8_t *p = at;
    *p++ = KERNEL_KIND_DATA;
    p = put_u32(p, 4);
    memset(p + size, 0, padded_size - size);
    check(pvm_mem_read(mem, address, size, p) == ERR_ok);
    return draft_finish(at, p + padded_size);
}

struct draft kernel_draft_type(const struct hash256 *chain, uint8_t *at)
{
    at[0] = KERNEL_KIND_TYPE;
    return draft_finish(at, put_bytes(at + 1, chain->byte, HASH256_SIZE));
}

/* ---- settle ---- */

/* The mappings that are mapped whole, in their order; answers how many. */
static uint32_t settle_overlays(const struct frame *frame,
                                struct overlay_part ret_part[MAPPING_MAX],
                                uint64_t *ret_end)
{
    uint32_t count = 0;
    *ret_end = 0;
    for (uint32_t i = 0; i < frame->image.mapping_count; i++) {
        struct kernel_mapping m = kernel_image_mapping(&frame->image, i);
        uint32_t start = (uint32_t)m.start;
        *ret_end = m.start + m.size; /* the last one's, even if it is not the highest */
        if (pvm_mem_accessible(frame->state.mem, start, m.size, PVM_ACCESS_R))
            ret_part[count++] = (struct overlay_part){.start = start, .size = m.size};
    }
    return count;
}

static enum kernel_error settle_refs(struct kernel *kernel, struct frame *frame)
{
    enum kernel_error error = KERNEL_ERROR_None;
    for (uint32_t i = 0; i < KERNEL_SLOT_COUNT && !error; i++)
        error = kernel_slot_settle(kernel, &frame->cnode.slot[i]);
    return error;
}

enum kernel_error kernel_settle(struct kernel *kernel, struct frame *frame,
                                struct hash256 *ret_hash)
{
    struct overlay_part part[MAPPING_MAX];
    uint64_t end;
    uint32_t count = settle_overlays(frame, part, &end);
    if (end > kernel->config.max_frame_mem)
        return KERNEL_ERROR_LimitExceeded;
    enum kernel_error error = settle_refs(kernel, frame);
    if (error)
        return error;
    struct directory *directory = &kernel->directory;
    struct draft draft[2];
    draft[0] = kernel_draft_cnode(&frame->cnode, directory_end(directory));
    draft[1] =
        kernel_draft_instance(&(struct instance_parts){.chain = &frame->chain,
                                                       .image = &frame->image_hash,
                                                       .root_cnode = &draft[0].hash,
                                                       .overlay = part,
                                                       .overlay_count = count,
                                                       .mem = frame->state.mem,
                                                       .mem_size = (uint32_t)end,
                                                       .reg = frame->state.reg,
                                                       .pc = frame->state.pc,
                                                       .gas = kernel->gas},
                              directory_end(directory) + draft[0].wire.size);
    if (!kernel_directory_fits(directory, draft, 2))
        return KERNEL_ERROR_DirectoryFull;
    kernel_publish(kernel, &draft[0]);
    kernel_publish(kernel, &draft[1]);
    *ret_hash = draft[1].hash;
    return KERNEL_ERROR_None;
}

/* ---- digests ---- */

struct hash256 kernel_slots_hash(const struct kernel *kernel, const struct slots *slots)
{
    for (uint32_t i = 0; i < KERNEL_SLOT_COUNT; i++) {
        if (slots->slot[i].used && slots->slot[i].ref)
            return (struct hash256){{0}};
    }
    return kernel_draft_cnode(slots, directory_end(&kernel->directory)).hash;
}

/* Over page number, access and page hash of each mapped page; 37 bytes a page. */
struct hash256 kernel_mem_digest(struct kernel *kernel, const struct frame *frame)
{
    uint8_t *at = directory_end(&kernel->directory), *p = at;
    struct pvm_mem *mem = frame->state.mem;
    for (uint32_t page = pvm_mem_next_page(mem, 0); page < PVM_PAGE_COUNT;
         page = pvm_mem_next_page(mem, page + 1)) {
        const uint8_t *bytes = pvm_mem_page(mem, page);
        bool zero = !bytes[0] && !memcmp(bytes, bytes + 1, PVM_PAGE_SIZE - 1);
        struct hash256 hash = zero ? kernel_zero_hash(ZERO_PAGE_DEPTH)
                                   : kernel_page_hash(bytes, PVM_PAGE_SIZE);
        p = put_u32(p, page);
        *p++ = pvm_mem_access(mem, page) == PVM_ACCESS_RW ? 2 : 1;
        p = put_bytes(p, hash.byte, HASH256_SIZE);
    }
    return hash_sha256(at, (size_t)(p - at));
}
