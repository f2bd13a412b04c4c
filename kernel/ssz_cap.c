/* SPDX-License-Identifier: MIT
 *
 * Cap hashes by kind, chains and ids [3.3, 3.5].
 */
#include "kernel/ssz.h"

#include <string.h>

/* Depths of list trees: 2^32 elements of 1, 4 and 32 bytes. */
enum {
    DEPTH_U8 = 27,
    DEPTH_U32 = 29,
    DEPTH_LIST = 32,
    DEPTH_PAGE = 7,
    DEPTH_CNODE = 16
};

static struct hash256 list_u8(struct bytes bytes)
{
    struct hash256 root = kernel_tree_bytes(bytes.data, bytes.size, DEPTH_U8);
    return kernel_mix(&root, bytes.size);
}

static struct hash256 registers(const uint8_t *reg)
{
    return kernel_tree_bytes(reg, 8 * PVM_REG_COUNT, 2);
}

static struct hash256 list_finish(const struct ssz_tree *tree)
{
    struct hash256 root = kernel_tree_finish(tree, DEPTH_LIST);
    return kernel_mix(&root, tree->count);
}

static struct hash256 overlay_list(const struct kernel_instance *instance)
{
    struct ssz_tree tree;
    kernel_tree_init(&tree);
    for (uint32_t i = 0; i < instance->overlay_count; i++) {
        struct kernel_overlay overlay = kernel_instance_overlay(instance, i);
        struct hash256 start = kernel_le(overlay.start), bytes = list_u8(overlay.bytes);
        struct hash256 root = hash_sha256_pair(&start, &bytes);
        kernel_tree_push(&tree, &root);
    }
    return list_finish(&tree);
}

static struct hash256 instance_hash(const struct kernel_instance *i)
{
    const struct hash256 field[] = {i->chain,
                                    i->image,
                                    i->root_cnode,
                                    overlay_list(i),
                                    kernel_le(i->mem_size),
                                    registers(i->reg),
                                    kernel_le(i->pc),
                                    kernel_le(i->gas)};
    return kernel_container(field, countof(field));
}

struct hash256 kernel_endpoint_hash(const uint8_t *endpoint)
{
    const struct hash256 field[] = {kernel_le(kernel_u64(endpoint)),
                                    kernel_le(kernel_u64(endpoint + 8)),
                                    kernel_le(kernel_u32(endpoint + 16)),
                                    kernel_le(endpoint[20]), registers(endpoint + 21)};
    return kernel_container(field, countof(field));
}

static struct hash256 endpoint_list(const struct kernel_image *image)
{
    struct ssz_tree tree;
    kernel_tree_init(&tree);
    for (uint32_t i = 0; i < image->endpoint_count; i++) {
        struct hash256 root =
            kernel_endpoint_hash(image->endpoint + (size_t)i * KERNEL_ENDPOINT_SIZE);
        kernel_tree_push(&tree, &root);
    }
    return list_finish(&tree);
}

static struct hash256 mapping_list(const struct kernel_image *image)
{
    struct ssz_tree tree;
    kernel_tree_init(&tree);
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        const uint8_t *mapping = image->mapping + (size_t)i * KERNEL_MAPPING_SIZE;
        const struct hash256 field[] = {
            kernel_le(kernel_u64(mapping)), kernel_le(kernel_u64(mapping + 8)),
            kernel_hash_at(mapping + 16), kernel_le(mapping[48])};
        struct hash256 root = kernel_container(field, countof(field));
        kernel_tree_push(&tree, &root);
    }
    return list_finish(&tree);
}

static struct hash256 entry_list(struct kernel_entries list)
{
    struct ssz_tree tree;
    kernel_tree_init(&tree);
    for (uint32_t i = 0; i < list.count; i++) {
        struct hash256 slot = kernel_le(kernel_entry_slot(list, i));
        struct hash256 hash = kernel_entry_hash(list, i);
        struct hash256 root = hash_sha256_pair(&slot, &hash);
        kernel_tree_push(&tree, &root);
    }
    return list_finish(&tree);
}

static struct hash256 image_hash(const struct kernel_image *i)
{
    struct hash256 jump = kernel_tree_bytes(i->jump.data, i->jump.size, DEPTH_U32);
    struct hash256 none = kernel_zero_hash(0), some = kernel_le(i->yield_slot);
    const struct hash256 field[] = {list_u8(i->code),
                                    list_u8(i->bitmask),
                                    kernel_mix(&jump, i->jump.size / 4),
                                    endpoint_list(i),
                                    mapping_list(i),
                                    entry_list(i->pinned),
                                    entry_list(i->initial),
                                    i->has_yield_slot ? kernel_mix(&some, 1)
                                                      : kernel_mix(&none, 0)};
    return kernel_container(field, countof(field));
}

/* The length is that of the live slots, whatever the cnode held before. */
static struct hash256 cnode_hash(const struct kernel_cnode *cnode)
{
    struct ssz_tree tree;
    kernel_tree_init(&tree);
    for (uint32_t i = 0; i < cnode->entries.count; i++) {
        struct hash256 hash = kernel_entry_hash(cnode->entries, i);
        kernel_tree_push_zeros(&tree,
                               kernel_entry_slot(cnode->entries, i) - tree.count);
        kernel_tree_push(&tree, &hash);
    }
    struct hash256 root = kernel_tree_finish(&tree, DEPTH_CNODE);
    const struct hash256 field[] = {kernel_le(cnode->size_log),
                                    kernel_mix(&root, tree.count)};
    return kernel_container(field, countof(field));
}

static struct hash256 data_hash(struct bytes data)
{
    struct hash256 root = list_u8(data);
    return kernel_mix(&root, 0);
}

struct hash256 kernel_slab_hash(uint64_t size, const struct hash256 *root,
                                uint32_t count)
{
    struct ssz_tree tree;
    unsigned depth = 0;
    kernel_tree_init(&tree);
    while ((uint64_t)1 << depth < count)
        depth++;
    for (uint32_t i = 0; i < count; i++)
        kernel_tree_push(&tree, &root[i]);
    const struct hash256 field[] = {kernel_le(size), kernel_tree_finish(&tree, depth)};
    struct hash256 container = kernel_container(field, countof(field));
    return kernel_mix(&container, KERNEL_KIND_DATA);
}

struct hash256 kernel_cap_hash(const struct kernel_cap *cap)
{
    struct hash256 root = {{0}};
    switch (cap->kind) {
    case KERNEL_KIND_INSTANCE:
        root = instance_hash(&cap->instance);
        break;
    case KERNEL_KIND_IMAGE:
        root = image_hash(&cap->image);
        break;
    case KERNEL_KIND_DATA:
        root = data_hash(cap->data);
        break;
    case KERNEL_KIND_CNODE:
        root = cnode_hash(&cap->cnode);
        break;
    case KERNEL_KIND_TYPE:
        root = cap->type;
        break;
    }
    return kernel_mix(&root, cap->kind);
}

struct hash256 kernel_page_hash(const uint8_t *data, size_t size)
{
    size_t cut = size < PVM_PAGE_SIZE ? size : PVM_PAGE_SIZE;
    return kernel_tree_bytes(data, cut, DEPTH_PAGE);
}

/* ---- BLAKE2b [3.5] ---- */

struct hash256 kernel_chain_extend(const struct hash256 *chain,
                                   const struct hash256 *image)
{
    const struct bytes piece[] = {bytes_of(chain->byte, HASH256_SIZE),
                                  bytes_of(image->byte, HASH256_SIZE)};
    return hash256_of_pieces(piece, countof(piece));
}

const char *const kernel_id_name[KERNEL_ID_COUNT] = {"gasmeter",
                                                     "storagequota",
                                                     "yieldcatcher",
                                                     "gas",
                                                     "quota",
                                                     "set_gas_meter",
                                                     "set_storage_quota",
                                                     "mint_gas",
                                                     "mint_quota",
                                                     "create_yield_catcher",
                                                     "oog_marker",
                                                     "storage_exhausted_marker",
                                                     "file",
                                                     "host_open",
                                                     "host_save"};

struct hash256 kernel_id(const char *name)
{
    const struct bytes piece[] = {bytes_of("kernel:", 7), bytes_of(name, strlen(name))};
    return hash256_of_pieces(piece, countof(piece));
}

struct hash256 kernel_catcher_id(uint64_t nonce)
{
    uint8_t bytes[8];
    kernel_u64_put(bytes, nonce);
    return hash256_of(bytes, sizeof bytes);
}
