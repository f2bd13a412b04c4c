/* SPDX-License-Identifier: MIT
 *
 * WireCap [2.7]: decoding, and the rules of instances, data and cnodes.
 *
 * The encoding is canonical: what decodes here is the only encoding of its cap, so caps
 * are kept, hashed and sent as they came.
 */
#include "kernel/cap.h"

enum {
    INSTANCE_SIZE = 224,
    INSTANCE_OVERLAYS_AT = 96,
    INSTANCE_REGS_AT = 104,
    OVERLAY_HEAD_SIZE = 8,
};

enum kernel_status kernel_wire_split(struct bytes body, const size_t *offset_at,
                                     size_t count, size_t fixed, struct bytes *ret_part)
{
    if (body.size < fixed || kernel_u32(body.data + offset_at[0]) != fixed)
        return KERNEL_STATUS_BAD_LAYOUT;
    for (size_t i = 0; i < count; i++) {
        size_t begin = kernel_u32(body.data + offset_at[i]);
        size_t end =
            i + 1 < count ? kernel_u32(body.data + offset_at[i + 1]) : body.size;
        if (begin > end || end > body.size)
            return KERNEL_STATUS_BAD_LAYOUT;
        ret_part[i] = bytes_of(body.data + begin, end - begin);
    }
    return KERNEL_STATUS_OK;
}

/* ---- instance ---- */

struct kernel_overlay kernel_instance_overlay(const struct kernel_instance *instance,
                                              uint32_t i)
{
    struct bytes list = instance->overlays;
    uint32_t begin = kernel_u32(list.data + 4 * (size_t)i);
    size_t end = i + 1 < instance->overlay_count
                     ? kernel_u32(list.data + 4 * (size_t)(i + 1))
                     : list.size;
    return (struct kernel_overlay){.start = kernel_u32(list.data + begin),
                                   .bytes =
                                       bytes_of(list.data + begin + OVERLAY_HEAD_SIZE,
                                                end - begin - OVERLAY_HEAD_SIZE)};
}

static enum kernel_status decode_overlays(struct kernel_instance *instance)
{
    struct bytes list = instance->overlays;
    if (!list.size)
        return KERNEL_STATUS_OK;
    uint32_t table = list.size >= 4 ? kernel_u32(list.data) : 0;
    if (!table || table % 4 || table > list.size)
        return KERNEL_STATUS_BAD_LAYOUT;
    instance->overlay_count = table / 4;
    for (uint32_t i = 0; i < instance->overlay_count; i++) {
        size_t begin = kernel_u32(list.data + 4 * (size_t)i), end = list.size;
        if (i + 1 < instance->overlay_count)
            end = kernel_u32(list.data + 4 * (size_t)(i + 1));
        if (begin > end || end > list.size || end - begin < OVERLAY_HEAD_SIZE)
            return KERNEL_STATUS_BAD_LAYOUT;
        if (kernel_u32(list.data + begin + 4) != OVERLAY_HEAD_SIZE)
            return KERNEL_STATUS_BAD_LAYOUT;
    }
    return KERNEL_STATUS_OK;
}

static enum kernel_status decode_instance(struct bytes body,
                                          struct kernel_instance *ret_instance)
{
    static const size_t offset_at[] = {INSTANCE_OVERLAYS_AT};
    struct bytes overlays;
    enum kernel_status status =
        kernel_wire_split(body, offset_at, 1, INSTANCE_SIZE, &overlays);
    if (status)
        return status;
    const uint8_t *p = body.data;
    *ret_instance = (struct kernel_instance){.chain = kernel_hash_at(p),
                                             .image = kernel_hash_at(p + 32),
                                             .root_cnode = kernel_hash_at(p + 64),
                                             .overlays = overlays,
                                             .mem_size = kernel_u32(p + 100),
                                             .reg = p + INSTANCE_REGS_AT,
                                             .pc = kernel_u64(p + 208),
                                             .gas = kernel_u64(p + 216)};
    return decode_overlays(ret_instance);
}

static uint64_t page_round(uint64_t size)
{
    return (size + PVM_PAGE_SIZE - 1) / PVM_PAGE_SIZE * PVM_PAGE_SIZE;
}

static enum kernel_status instance_check(const struct kernel_instance *instance,
                                         uint64_t max_frame_mem)
{
    uint64_t total = 0;
    bool bad = false;
    for (uint32_t i = 0; i < instance->overlay_count; i++) {
        struct kernel_overlay overlay = kernel_instance_overlay(instance, i);
        total += page_round(overlay.bytes.size);
        bad |= overlay.start % PVM_PAGE_SIZE != 0;
        bad |= overlay.start + (uint64_t)overlay.bytes.size > (uint64_t)1 << 32;
    }
    if (instance->mem_size > max_frame_mem || total > max_frame_mem)
        return KERNEL_STATUS_LIMIT;
    return bad ? KERNEL_STATUS_BAD_VALUE : KERNEL_STATUS_OK;
}

/* ---- data, cnode, type ---- */

static enum kernel_status decode_data(struct bytes body, struct bytes *ret_data)
{
    static const size_t offset_at[] = {0};
    return kernel_wire_split(body, offset_at, 1, 4, ret_data);
}

static enum kernel_status data_check(struct bytes data)
{
    bool good = data.size && data.size % PVM_PAGE_SIZE == 0;
    return good ? KERNEL_STATUS_OK : KERNEL_STATUS_BAD_VALUE;
}

static enum kernel_status decode_cnode(struct bytes body,
                                       struct kernel_cnode *ret_cnode)
{
    static const size_t offset_at[] = {1};
    struct bytes entries;
    enum kernel_status status = kernel_wire_split(body, offset_at, 1, 5, &entries);
    if (status)
        return status;
    if (entries.size % KERNEL_ENTRY_SIZE ||
        entries.size / KERNEL_ENTRY_SIZE > UINT32_MAX)
        return KERNEL_STATUS_BAD_LAYOUT;
    *ret_cnode = (struct kernel_cnode){
        .size_log = body.data[0],
        .entries = {entries.data, (uint32_t)(entries.size / KERNEL_ENTRY_SIZE)}};
    return KERNEL_STATUS_OK;
}

static enum kernel_status cnode_check(const struct kernel_cnode *cnode)
{
    if (cnode->size_log > KERNEL_CNODE_LOG_MAX)
        return KERNEL_STATUS_BAD_VALUE;
    uint64_t least = 0;
    for (uint32_t i = 0; i < cnode->entries.count; i++) {
        uint32_t slot = kernel_entry_slot(cnode->entries, i);
        if (slot < least || slot >> cnode->size_log)
            return KERNEL_STATUS_BAD_VALUE;
        least = (uint64_t)slot + 1;
    }
    return KERNEL_STATUS_OK;
}

static enum kernel_status decode_type(struct bytes body, struct hash256 *ret_type)
{
    if (body.size != HASH256_SIZE)
        return KERNEL_STATUS_BAD_LAYOUT;
    *ret_type = kernel_hash_at(body.data);
    return KERNEL_STATUS_OK;
}

/* ---- any cap ---- */

enum kernel_status kernel_wire_decode(struct bytes wire, struct kernel_cap *ret_cap)
{
    if (!wire.size)
        return KERNEL_STATUS_BAD_LAYOUT;
    if (wire.data[0] > KERNEL_KIND_TYPE)
        return KERNEL_STATUS_BAD_KIND;
    /* Offsets have 32 bits. */
    if (wire.size > UINT32_MAX)
        return KERNEL_STATUS_BAD_LAYOUT;
    struct bytes body = bytes_of(wire.data + 1, wire.size - 1);
    *ret_cap = (struct kernel_cap){.kind = (enum kernel_kind)wire.data[0]};
    switch (ret_cap->kind) {
    case KERNEL_KIND_INSTANCE:
        return decode_instance(body, &ret_cap->instance);
    case KERNEL_KIND_IMAGE:
        return kernel_wire_decode_image(body, &ret_cap->image);
    case KERNEL_KIND_DATA:
        return decode_data(body, &ret_cap->data);
    case KERNEL_KIND_CNODE:
        return decode_cnode(body, &ret_cap->cnode);
    case KERNEL_KIND_TYPE:
        return decode_type(body, &ret_cap->type);
    }
    return KERNEL_STATUS_BAD_KIND;
}

enum kernel_status kernel_cap_check(const struct kernel_cap *cap,
                                    const struct kernel_config *config)
{
    switch (cap->kind) {
    case KERNEL_KIND_INSTANCE:
        return instance_check(&cap->instance, config->max_frame_mem);
    case KERNEL_KIND_IMAGE:
        return kernel_image_check(&cap->image);
    case KERNEL_KIND_DATA:
        return data_check(cap->data);
    case KERNEL_KIND_CNODE:
        return cnode_check(&cap->cnode);
    case KERNEL_KIND_TYPE:
        return KERNEL_STATUS_OK;
    }
    return KERNEL_STATUS_BAD_KIND;
}
