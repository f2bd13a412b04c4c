/* SPDX-License-Identifier: MIT
 *
 * Caps in their encoding [2.7].
 */
#include "kernel/encode.h"

#include <string.h>

enum { IMAGE_FIELD_COUNT = 8, INSTANCE_SIZE = 224, OVERLAY_HEAD_SIZE = 8 };

static void put_entries(struct buf *buf, const struct kernel_entry *entry,
                        uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        kernel_put_u32(buf, entry[i].slot);
        kernel_put_hash(buf, &entry[i].hash);
    }
}

void kernel_encode_data(struct bytes content, struct buf *wire)
{
    size_t size = (content.size + PVM_PAGE_SIZE - 1) / PVM_PAGE_SIZE * PVM_PAGE_SIZE;
    buf_byte(wire, KERNEL_KIND_DATA);
    kernel_put_u32(wire, 4);
    if (content.size)
        buf_put(wire, content.data, content.size);
    if (!size)
        size = PVM_PAGE_SIZE;
    if (size > content.size)
        (void)buf_extend(wire, size - content.size);
}

void kernel_encode_type(const struct hash256 *chain, struct buf *wire)
{
    buf_byte(wire, KERNEL_KIND_TYPE);
    kernel_put_hash(wire, chain);
}

void kernel_encode_cnode(uint8_t size_log, const struct kernel_entry *entry,
                         uint32_t count, struct buf *wire)
{
    buf_byte(wire, KERNEL_KIND_CNODE);
    buf_byte(wire, size_log);
    kernel_put_u32(wire, 5);
    put_entries(wire, entry, count);
}

/* ---- image ---- */

static void put_endpoint(struct buf *wire, const struct kernel_endpoint *endpoint)
{
    kernel_put_u64(wire, endpoint->entry_pc);
    kernel_put_u64(wire, endpoint->stack_top);
    kernel_put_u32(wire, 0);
    buf_byte(wire, 0);
    for (int i = 0; i < PVM_REG_COUNT; i++)
        kernel_put_u64(wire, endpoint->reg[i]);
}

static void put_mapping(struct buf *wire, const struct kernel_mapping *mapping)
{
    kernel_put_u64(wire, mapping->start);
    kernel_put_u64(wire, mapping->size);
    for (int i = 0; i < 8; i++)
        kernel_put_u32(wire, mapping->path[i]);
    buf_byte(wire, mapping->path_size);
}

static void put_field(struct buf *wire, const struct kernel_image_parts *parts,
                      unsigned field)
{
    const struct pvm_code *code = parts->code;
    if (field == 0)
        buf_put(wire, code->code.data, code->code.size);
    if (field == 1)
        buf_put(wire, code->bitmask, (code->code.size + 7) / 8);
    for (uint32_t i = 0; field == 2 && i < code->jump_count; i++)
        kernel_put_u32(wire, (uint32_t)pvm_code_jump(code, i));
    for (uint32_t i = 0; field == 3 && i < parts->endpoint_count; i++)
        put_endpoint(wire, &parts->endpoint[i]);
    for (uint32_t i = 0; field == 4 && i < parts->mapping_count; i++)
        put_mapping(wire, &parts->mapping[i]);
    if (field == 5)
        put_entries(wire, parts->pinned, parts->pinned_count);
    if (field == 6)
        put_entries(wire, parts->initial, parts->initial_count);
    if (field == 7) {
        buf_byte(wire, parts->has_yield_slot);
        if (parts->has_yield_slot)
            kernel_put_u32(wire, parts->yield_slot);
    }
}

void kernel_encode_image(const struct kernel_image_parts *parts, struct buf *wire)
{
    buf_byte(wire, KERNEL_KIND_IMAGE);
    size_t base = wire->size;
    (void)buf_extend(wire, 4 * IMAGE_FIELD_COUNT);
    for (unsigned i = 0; i < IMAGE_FIELD_COUNT && !wire->err; i++) {
        kernel_u32_put(wire->data + base + 4 * (size_t)i,
                       (uint32_t)(wire->size - base));
        put_field(wire, parts, i);
    }
}

/* ---- instance ---- */

void kernel_encode_instance(const struct kernel_instance_parts *parts, struct buf *wire)
{
    buf_byte(wire, KERNEL_KIND_INSTANCE);
    kernel_put_hash(wire, parts->chain);
    kernel_put_hash(wire, parts->image);
    kernel_put_hash(wire, parts->root_cnode);
    kernel_put_u32(wire, INSTANCE_SIZE);
    kernel_put_u32(wire, parts->mem_size);
    for (int i = 0; i < PVM_REG_COUNT; i++)
        kernel_put_u64(wire, parts->reg[i]);
    kernel_put_u64(wire, 0);
    kernel_put_u64(wire, 0);
    uint64_t offset = 4 * (uint64_t)parts->overlay_count;
    for (uint32_t i = 0; i < parts->overlay_count; i++) {
        kernel_put_u32(wire, (uint32_t)offset);
        offset += OVERLAY_HEAD_SIZE + parts->overlay[i].bytes.size;
    }
    for (uint32_t i = 0; i < parts->overlay_count; i++) {
        kernel_put_u32(wire, parts->overlay[i].start);
        kernel_put_u32(wire, OVERLAY_HEAD_SIZE);
        buf_put(wire, parts->overlay[i].bytes.data, parts->overlay[i].bytes.size);
    }
}

struct hash256 kernel_wire_hash(struct bytes wire)
{
    struct kernel_cap cap;
    check(kernel_wire_decode(wire, &cap) == KERNEL_STATUS_OK);
    return kernel_cap_hash(&cap);
}
