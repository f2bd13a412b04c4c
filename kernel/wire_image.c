/* SPDX-License-Identifier: MIT
 *
 * Images: decoding, limits and rules [2.2, 2.6, 2.7].
 */
#include "kernel/cap.h"

enum {
    IMAGE_FIELD_COUNT = 8,
    ENDPOINT_COUNT_MAX = 64,
    MAPPING_COUNT_MAX = 64,
    ENTRY_COUNT_MAX = 256,
    PATH_SIZE_MAX = 8,
};

static enum kernel_status decode_option(struct bytes option, struct kernel_image *image)
{
    if (option.size == 1 && option.data[0] == 0)
        return KERNEL_STATUS_OK;
    if (option.size != 5 || option.data[0] != 1)
        return KERNEL_STATUS_BAD_LAYOUT;
    image->has_yield_slot = true;
    image->yield_slot = kernel_u32(option.data + 1);
    return KERNEL_STATUS_OK;
}

static struct kernel_entries entries_of(struct bytes part)
{
    return (struct kernel_entries){part.data,
                                   (uint32_t)(part.size / KERNEL_ENTRY_SIZE)};
}

enum kernel_status kernel_wire_decode_image(struct bytes body,
                                            struct kernel_image *ret_image)
{
    static const size_t offset_at[IMAGE_FIELD_COUNT] = {0, 4, 8, 12, 16, 20, 24, 28};
    static const size_t item_size[IMAGE_FIELD_COUNT] = {1,
                                                        1,
                                                        4,
                                                        KERNEL_ENDPOINT_SIZE,
                                                        KERNEL_MAPPING_SIZE,
                                                        KERNEL_ENTRY_SIZE,
                                                        KERNEL_ENTRY_SIZE,
                                                        1};
    struct bytes part[IMAGE_FIELD_COUNT];
    enum kernel_status status = kernel_wire_split(body, offset_at, IMAGE_FIELD_COUNT,
                                                  4 * IMAGE_FIELD_COUNT, part);
    if (status)
        return status;
    for (int i = 0; i < IMAGE_FIELD_COUNT; i++) {
        if (part[i].size % item_size[i])
            return KERNEL_STATUS_BAD_LAYOUT;
    }
    *ret_image = (struct kernel_image){
        .code = part[0],
        .bitmask = part[1],
        .jump = part[2],
        .endpoint = part[3].data,
        .endpoint_count = (uint32_t)(part[3].size / KERNEL_ENDPOINT_SIZE),
        .mapping = part[4].data,
        .mapping_count = (uint32_t)(part[4].size / KERNEL_MAPPING_SIZE),
        .pinned = entries_of(part[5]),
        .initial = entries_of(part[6])};
    return decode_option(part[7], ret_image);
}

struct kernel_mapping kernel_image_mapping(const struct kernel_image *image, uint32_t i)
{
    const uint8_t *p = image->mapping + (size_t)i * KERNEL_MAPPING_SIZE;
    struct kernel_mapping mapping = {
        .start = kernel_u64(p), .size = kernel_u64(p + 8), .path_size = p[48]};
    for (int j = 0; j < PATH_SIZE_MAX; j++)
        mapping.path[j] = kernel_u32(p + 16 + 4 * j);
    return mapping;
}

static bool bitmask_valid(const struct kernel_image *image)
{
    size_t size = image->code.size;
    if (image->bitmask.size != (size + 7) / 8)
        return false;
    if (size % 8 && image->bitmask.data[size / 8] >> size % 8)
        return false;
    return !size || (image->bitmask.data[0] & 1);
}

static bool mapping_valid(const struct kernel_mapping *m)
{
    const uint64_t end = (uint64_t)1 << 32;
    if (m->start % PVM_PAGE_SIZE || m->size % PVM_PAGE_SIZE || !m->size)
        return false;
    if (m->start > end || m->size > end - m->start)
        return false;
    if (m->path_size < 1 || m->path_size > PATH_SIZE_MAX)
        return false;
    for (int i = m->path_size; i < PATH_SIZE_MAX; i++) {
        if (m->path[i])
            return false;
    }
    return true;
}

static bool mappings_valid(const struct kernel_image *image)
{
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        struct kernel_mapping a = kernel_image_mapping(image, i);
        if (!mapping_valid(&a))
            return false;
        for (uint32_t j = 0; j < i; j++) {
            struct kernel_mapping b = kernel_image_mapping(image, j);
            if (a.start < b.start + b.size && b.start < a.start + a.size)
                return false;
        }
    }
    return true;
}

/* Marks the slots in `seen`; false for a slot out of range, out of order, or seen. */
static bool entries_valid(struct kernel_entries list, bool seen[KERNEL_SLOT_COUNT])
{
    uint32_t least = 0;
    for (uint32_t i = 0; i < list.count; i++) {
        uint32_t slot = kernel_entry_slot(list, i);
        if (slot < least || slot >= KERNEL_SLOT_COUNT || seen[slot])
            return false;
        seen[slot] = true;
        least = slot + 1;
    }
    return true;
}

enum kernel_status kernel_image_check(const struct kernel_image *image)
{
    if (image->code.size > PVM_CODE_SIZE_MAX ||
        image->jump.size / 4 > PVM_JUMP_COUNT_MAX ||
        image->endpoint_count > ENDPOINT_COUNT_MAX ||
        image->mapping_count > MAPPING_COUNT_MAX ||
        (uint64_t)image->pinned.count + image->initial.count > ENTRY_COUNT_MAX)
        return KERNEL_STATUS_LIMIT;
    bool seen[KERNEL_SLOT_COUNT] = {false};
    bool valid = bitmask_valid(image) && mappings_valid(image) &&
                 entries_valid(image->pinned, seen) &&
                 entries_valid(image->initial, seen);
    if (image->has_yield_slot && image->yield_slot >= KERNEL_SLOT_COUNT)
        valid = false;
    return valid ? KERNEL_STATUS_OK : KERNEL_STATUS_BAD_VALUE;
}
