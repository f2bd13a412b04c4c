/* SPDX-License-Identifier: MIT
 *
 * kernel/ssz.h - Merkle trees of SHA-256 [3.2].  Private to kernel/.
 *
 * A tree takes its leaves from left to right and keeps one node per level, so that no
 * empty subtree and no list of nodes is ever made.
 */
#ifndef KERNEL_SSZ_H
#define KERNEL_SSZ_H

#include "kernel/cap.h"

enum { SSZ_DEPTH_MAX = 32 };

struct ssz_tree {
    uint64_t count;
    struct hash256 level[SSZ_DEPTH_MAX + 1];
};

void kernel_tree_init(struct ssz_tree *tree);
void kernel_tree_push(struct ssz_tree *tree, const struct hash256 *leaf);

/* Push `count` zero leaves, in about log2(count) steps. */
void kernel_tree_push_zeros(struct ssz_tree *tree, uint64_t count);

/* tree(L, depth); at most 2^depth leaves. */
struct hash256 kernel_tree_finish(const struct ssz_tree *tree, unsigned depth);

/* le(n), pack-and-tree of bytes, mix(r, n). */
struct hash256 kernel_le(uint64_t n);
struct hash256 kernel_tree_bytes(const uint8_t *data, size_t size, unsigned depth);
struct hash256 kernel_mix(const struct hash256 *root, uint64_t n);

/* C(r0..rn-1), n >= 1. */
struct hash256 kernel_container(const struct hash256 *root, unsigned count);

#endif
