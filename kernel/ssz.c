/* SPDX-License-Identifier: MIT
 *
 * Merkle trees of SHA-256 [3.2].
 */
#include "kernel/ssz.h"

#include <string.h>

void kernel_tree_init(struct ssz_tree *tree)
{
    tree->count = 0;
}

/* Put a finished node of 2^level leaves behind what is there; count is a multiple of
 * 2^level. */
static void push_node(struct ssz_tree *tree, struct hash256 node, unsigned level)
{
    uint64_t rest = tree->count >> level;
    tree->count += (uint64_t)1 << level;
    for (; rest & 1; rest >>= 1, level++)
        node = hash_sha256_pair(&tree->level[level], &node);
    tree->level[level] = node;
}

void kernel_tree_push(struct ssz_tree *tree, const struct hash256 *leaf)
{
    push_node(tree, *leaf, 0);
}

void kernel_tree_push_zeros(struct ssz_tree *tree, uint64_t count)
{
    while (count) {
        unsigned level = 0;
        while (level < SSZ_DEPTH_MAX - 1 && count >> (level + 1) &&
               !(tree->count >> level & 1))
            level++;
        push_node(tree, kernel_zero_hash(level), level);
        count -= (uint64_t)1 << level;
    }
}

struct hash256 kernel_tree_finish(const struct ssz_tree *tree, unsigned depth)
{
    check(depth <= SSZ_DEPTH_MAX && tree->count <= (uint64_t)1 << depth);
    if (tree->count == (uint64_t)1 << depth)
        return tree->level[depth];
    struct hash256 node = kernel_zero_hash(0);
    for (unsigned level = 0; level < depth; level++) {
        if (tree->count >> level & 1) {
            /* Nothing to the right yet: `node` is Z(level) then. */
            node = hash_sha256_pair(&tree->level[level], &node);
        } else {
            bool empty = !(tree->count & (((uint64_t)1 << level) - 1));
            struct hash256 zero = kernel_zero_hash(level);
            node = empty ? kernel_zero_hash(level + 1) : hash_sha256_pair(&node, &zero);
        }
    }
    return node;
}

struct hash256 kernel_zero_hash(unsigned depth)
{
    static _Thread_local struct hash256 zero[SSZ_DEPTH_MAX + 1];
    static _Thread_local bool made;
    check(depth <= SSZ_DEPTH_MAX);
    if (!made) {
        for (unsigned i = 0; i < SSZ_DEPTH_MAX; i++)
            zero[i + 1] = hash_sha256_pair(&zero[i], &zero[i]);
        made = true;
    }
    return zero[depth];
}

struct hash256 kernel_le(uint64_t n)
{
    struct hash256 hash = {{0}};
    kernel_u64_put(hash.byte, n);
    return hash;
}

struct hash256 kernel_tree_bytes(const uint8_t *data, size_t size, unsigned depth)
{
    struct ssz_tree tree;
    kernel_tree_init(&tree);
    for (size_t at = 0; at < size; at += HASH256_SIZE) {
        struct hash256 leaf = {{0}};
        size_t part = size - at < HASH256_SIZE ? size - at : HASH256_SIZE;
        memcpy(leaf.byte, data + at, part);
        kernel_tree_push(&tree, &leaf);
    }
    return kernel_tree_finish(&tree, depth);
}

struct hash256 kernel_mix(const struct hash256 *root, uint64_t n)
{
    struct hash256 length = kernel_le(n);
    return hash_sha256_pair(root, &length);
}

struct hash256 kernel_container(const struct hash256 *root, unsigned count)
{
    struct ssz_tree tree;
    unsigned depth = 0;
    while (1u << depth < count)
        depth++;
    kernel_tree_init(&tree);
    for (unsigned i = 0; i < count; i++)
        kernel_tree_push(&tree, &root[i]);
    return kernel_tree_finish(&tree, depth);
}
