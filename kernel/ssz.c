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

/* The parent of two nodes of `level`.  Most of what guests store is zero: nothing is
 * hashed there. */
static struct hash256 parent_of(const struct hash256 *left, const struct hash256 *right,
                                unsigned level)
{
    struct hash256 zero = kernel_zero_hash(level);
    if (hash256_equal(left, &zero) && hash256_equal(right, &zero))
        return kernel_zero_hash(level + 1);
    return hash_sha256_pair(left, right);
}

/* Put a finished node of 2^level leaves behind what is there; count is a multiple of
 * 2^level. */
static void push_node(struct ssz_tree *tree, struct hash256 node, unsigned level)
{
    uint64_t rest = tree->count >> level;
    tree->count += (uint64_t)1 << level;
    for (; rest & 1; rest >>= 1, level++)
        node = parent_of(&tree->level[level], &node, level);
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

enum { PAIR_SIZE = 2 * HASH256_SIZE, PAGE_LEVEL = 7, PAGE_SIZE = 32 << PAGE_LEVEL };

static bool is_zero(const uint8_t *data, size_t size)
{
    return !data[0] && !memcmp(data, data + 1, size - 1);
}

/* The level of a subtree of zeros that begins here; 0: the next two leaves are none. */
static unsigned zero_level(const uint8_t *data, size_t at, size_t size)
{
    if (at % PAGE_SIZE == 0 && size - at >= PAGE_SIZE && is_zero(data + at, PAGE_SIZE))
        return PAGE_LEVEL;
    return is_zero(data + at, PAIR_SIZE) ? 1 : 0;
}

struct hash256 kernel_tree_bytes(const uint8_t *data, size_t size, unsigned depth)
{
    struct ssz_tree tree;
    size_t at = 0;
    kernel_tree_init(&tree);
    while (size - at >= PAIR_SIZE) {
        unsigned zeros = zero_level(data, at, size);
        if (zeros)
            push_node(&tree, kernel_zero_hash(zeros), zeros);
        else
            push_node(&tree, hash_sha256(data + at, PAIR_SIZE), 1);
        at += (size_t)HASH256_SIZE << (zeros ? zeros : 1);
    }
    for (; at < size; at += HASH256_SIZE) {
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
