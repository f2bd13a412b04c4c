/* SPDX-License-Identifier: MIT
 *
 * The tree is cut in the middle: 1024 groups of 1024 pages, each with its own small
 * tree that is allocated when it is needed, and one tree over the groups.  A smaller
 * tree is the left corner of the whole one.  Nodes are numbered as in a heap: 1 is the
 * root, 2n and 2n+1 are the children of n, leaves are 1024..2047.
 */
#include "base/hash_tree.h"

#include <stdbool.h>
#include <string.h>

enum {
    HALF_LEVELS = HASH256_TREE_LEVELS_MAX / 2,
    HALF_LEAVES = HASH256_TREE_GROUP,
    HALF_NODES = 2 * HALF_LEAVES,
};

_Static_assert(HALF_LEAVES == 1 << HALF_LEVELS, "a group is a half");

struct half_tree {
    struct hash256 node[HALF_NODES];
    uint8_t stale[HALF_NODES]; /* an inner node whose leaves changed */
};

struct hash256_tree {
    struct arena *arena;
    unsigned levels;
    struct hash256 zero[2 * HALF_LEVELS + 1]; /* subtree of zero pages by height */
    struct half_tree top;
    struct half_tree *group[HALF_LEAVES];
    bool group_stale[HALF_LEAVES];
};

static struct hash256 hash_pair(const struct hash256 *left, const struct hash256 *right)
{
    uint8_t both[2 * HASH256_SIZE];
    memcpy(both, left->byte, HASH256_SIZE);
    memcpy(both + HASH256_SIZE, right->byte, HASH256_SIZE);
    return hash256_of(both, sizeof both);
}

/* A tree over zero pages whose leaves stand at `height` above the pages. */
static void half_init(struct half_tree *half, const struct hash256 *zero,
                      unsigned height)
{
    for (unsigned n = 1; n < HALF_NODES; n++) {
        unsigned depth = 31u - (unsigned)__builtin_clz(n);
        half->node[n] = zero[height + HALF_LEVELS - depth];
    }
}

static void half_set(struct half_tree *half, unsigned leaf, const struct hash256 *hash)
{
    unsigned n = HALF_LEAVES + leaf;
    half->node[n] = *hash;
    for (n /= 2; n && !half->stale[n]; n /= 2)
        half->stale[n] = 1;
}

/* Hash the stale nodes again, level by level from the leaves up to node `root` at the
 * left edge, many at a time: the two children of a node stand side by side and are its
 * message. */
static const struct hash256 *half_root(struct half_tree *half, unsigned root)
{
    const uint8_t *message[HALF_LEAVES / 2];
    struct hash256 hash[HALF_LEAVES / 2];
    unsigned node[HALF_LEAVES / 2];
    bool stale = half->stale[root];
    for (unsigned first = HALF_LEAVES / 2; stale && first >= root; first /= 2) {
        size_t count = 0;
        for (unsigned n = first; n < 2 * first; n++) {
            if (!half->stale[n])
                continue;
            half->stale[n] = 0;
            message[count] = half->node[2 * n].byte;
            node[count++] = n;
        }
        hash256_of_many(message, count, 2 * HASH256_SIZE, hash);
        for (size_t k = 0; k < count; k++)
            half->node[node[k]] = hash[k];
    }
    return &half->node[root];
}

enum err hash256_tree_create(struct arena *arena, unsigned levels,
                             struct hash256_tree **ret_tree)
{
    static const uint8_t zero_page[HASH256_TREE_PAGE_SIZE];
    struct hash256_tree *tree = arena_new(arena, struct hash256_tree);
    if (!tree)
        return ERR_nomem;
    tree->arena = arena;
    tree->levels = levels;
    tree->zero[0] = hash256_of(zero_page, sizeof zero_page);
    for (unsigned i = 1; i < countof(tree->zero); i++)
        tree->zero[i] = hash_pair(&tree->zero[i - 1], &tree->zero[i - 1]);
    half_init(&tree->top, tree->zero, HALF_LEVELS);
    *ret_tree = tree;
    return ERR_ok;
}

enum err hash256_tree_reserve(struct hash256_tree *tree, uint32_t page)
{
    struct half_tree **group = &tree->group[page / HALF_LEAVES];
    if (*group)
        return ERR_ok;
    struct half_tree *half = arena_new(tree->arena, struct half_tree);
    if (!half)
        return ERR_nomem;
    half_init(half, tree->zero, 0);
    *group = half;
    return ERR_ok;
}

const struct hash256 *hash256_tree_zero(const struct hash256_tree *tree)
{
    return &tree->zero[0];
}

const struct hash256 *hash256_tree_get(const struct hash256_tree *tree, uint32_t page)
{
    const struct half_tree *half = tree->group[page / HALF_LEAVES];
    return &half->node[HALF_LEAVES + page % HALF_LEAVES];
}

void hash256_tree_set(struct hash256_tree *tree, uint32_t page,
                      const struct hash256 *hash)
{
    unsigned g = page / HALF_LEAVES;
    half_set(tree->group[g], page % HALF_LEAVES, hash);
    tree->group_stale[g] = true;
}

struct hash256 hash256_tree_root(struct hash256_tree *tree)
{
    bool small = tree->levels < HALF_LEVELS;
    if (small && !tree->group[0])
        return tree->zero[tree->levels];
    if (small)
        return *half_root(tree->group[0], 1u << (HALF_LEVELS - tree->levels));
    unsigned group_levels = tree->levels - HALF_LEVELS;
    for (unsigned g = 0; g < 1u << group_levels; g++) {
        if (!tree->group_stale[g])
            continue;
        tree->group_stale[g] = false;
        half_set(&tree->top, g, half_root(tree->group[g], 1));
    }
    return *half_root(&tree->top, 1u << (HALF_LEVELS - group_levels));
}

struct hash256 hash256_of_state(const struct hash256 *registers,
                                const struct hash256 *memory,
                                const struct hash256 *access,
                                const struct hash256 *devices)
{
    static const char label[] = "lockstep.state.1";
    const struct bytes piece[] = {
        bytes_of(label, sizeof label - 1),     bytes_of(registers->byte, HASH256_SIZE),
        bytes_of(memory->byte, HASH256_SIZE),  bytes_of(access->byte, HASH256_SIZE),
        bytes_of(devices->byte, HASH256_SIZE),
    };
    return hash256_of_pieces(piece, countof(piece));
}
