/* SPDX-License-Identifier: MIT
 *
 * base/hash_tree.h - the state hash of a machine (trace-replay.md 7.2): a Merkle tree
 * over the pages of its memory, kept up to date, and what is around it.
 *
 * A leaf is the blake2b-256 of a page, a node that of its two children.  Pages that are
 * absent count as zeros, and zeros fill the tree up to a power of two.
 */
#ifndef BASE_HASH_TREE_H
#define BASE_HASH_TREE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"

enum {
    HASH256_TREE_PAGE_SIZE = 4096,
    HASH256_TREE_GROUP = 1024, /* pages that share an allocation */
    HASH256_TREE_LEVELS_MAX = 20,
};

struct hash256_tree;

/* A tree over 2^levels pages of zeros, levels at most HASH256_TREE_LEVELS_MAX, that
 * dies with `arena`.  Only ERR_nomem. */
ERR_MUST_CHECK enum err hash256_tree_create(struct arena *arena, unsigned levels,
                                            struct hash256_tree **ret_tree);

/* Make room for the leaf of `page`, below 2^levels, and of the group it is in.
 * ERR_nomem: unchanged. */
ERR_MUST_CHECK enum err hash256_tree_reserve(struct hash256_tree *tree, uint32_t page);

/* The hash of a page of zeros. */
const struct hash256 *hash256_tree_zero(const struct hash256_tree *tree);

/* The leaf of a page that has been reserved; and another hash for it. */
const struct hash256 *hash256_tree_get(const struct hash256_tree *tree, uint32_t page);
void hash256_tree_set(struct hash256_tree *tree, uint32_t page,
                      const struct hash256 *hash);

/* Its root.  Only nodes above leaves that were set since the last time are hashed. */
struct hash256 hash256_tree_root(struct hash256_tree *tree);

/* The whole machine: over "lockstep.state.1" and the digests of its registers, memory,
 * access runs and devices. */
struct hash256 hash256_of_state(const struct hash256 *registers,
                                const struct hash256 *memory,
                                const struct hash256 *access,
                                const struct hash256 *devices);

#endif
