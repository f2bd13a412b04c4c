/* SPDX-License-Identifier: MIT
 *
 * Digests of a machine (trace-replay.md 7.2): a Merkle tree over 2^20 pages of which
 * only dirty paths are hashed again.
 *
 * The tree is cut in the middle: 1024 groups of 1024 pages, each with its own small
 * tree that is allocated when one of its pages first differs from zeros, and one tree
 * over the groups.  Nodes are numbered as in a heap: 1 is the root, 2n and 2n+1 are
 * the children of n, leaves are 1024..2047.
 */
#include "pvm/mem.h"

#include "base/hash.h"

#include <string.h>

enum { HALF_LEVELS = 10, HALF_LEAVES = 1 << HALF_LEVELS, HALF_NODES = 2 * HALF_LEAVES };

struct half_tree {
    struct hash256 node[HALF_NODES];
    uint8_t stale[HALF_NODES]; /* an inner node whose leaves changed */
};

struct pvm_digest {
    struct arena *arena;
    struct pvm_mem *mem;
    struct hash256 zero[2 * HALF_LEVELS + 1]; /* subtree of zero pages by height */
    struct half_tree top;
    struct half_tree *group[MEM_GROUP_COUNT];
};

static struct hash256 hash_pair(const struct hash256 *left, const struct hash256 *right)
{
    uint8_t both[2 * HASH256_SIZE];
    memcpy(both, left->byte, HASH256_SIZE);
    memcpy(both + HASH256_SIZE, right->byte, HASH256_SIZE);
    return hash256_of(both, sizeof both);
}

/* A tree over zero pages whose leaves stand at `height` above the pages. */
static void tree_init(struct half_tree *tree, const struct hash256 *zero,
                      unsigned height)
{
    for (unsigned n = 1; n < HALF_NODES; n++) {
        unsigned depth = 31u - (unsigned)__builtin_clz(n);
        tree->node[n] = zero[height + HALF_LEVELS - depth];
    }
}

static void tree_set(struct half_tree *tree, unsigned leaf, const struct hash256 *hash)
{
    unsigned n = HALF_LEAVES + leaf;
    tree->node[n] = *hash;
    for (n /= 2; n && !tree->stale[n]; n /= 2)
        tree->stale[n] = 1;
}

/* Hash the stale nodes again, level by level from the leaves, many at a time: the two
 * children of a node stand side by side and are its message. */
static const struct hash256 *tree_root(struct half_tree *tree)
{
    const uint8_t *message[HALF_LEAVES / 2];
    struct hash256 hash[HALF_LEAVES / 2];
    unsigned node[HALF_LEAVES / 2];
    for (unsigned first = HALF_LEAVES / 2; first; first /= 2) {
        size_t count = 0;
        for (unsigned n = first; n < 2 * first; n++) {
            if (!tree->stale[n])
                continue;
            tree->stale[n] = 0;
            message[count] = tree->node[2 * n].byte;
            node[count++] = n;
        }
        hash256_of_many(message, count, 2 * HASH256_SIZE, hash);
        for (size_t k = 0; k < count; k++)
            tree->node[node[k]] = hash[k];
    }
    return &tree->node[1];
}

enum err pvm_digest_create(struct arena *arena, struct pvm_mem *mem,
                           struct pvm_digest **ret_digest)
{
    static const uint8_t zero_page[PVM_PAGE_SIZE];
    struct pvm_digest *digest = arena_new(arena, struct pvm_digest);
    if (!digest)
        return ERR_nomem;
    digest->arena = arena;
    digest->mem = mem;
    digest->zero[0] = hash256_of(zero_page, sizeof zero_page);
    for (unsigned i = 1; i < countof(digest->zero); i++)
        digest->zero[i] = hash_pair(&digest->zero[i - 1], &digest->zero[i - 1]);
    tree_init(&digest->top, digest->zero, HALF_LEVELS);
    *ret_digest = digest;
    return ERR_ok;
}

/* Take over the hash of a dirty page.  Where native code runs, the first store to a
 * clean page is a signal, which costs more than a hash: a page that has changed stays
 * dirty, so that only those are cleaned that have rested since the last call. */
static void leaf_refresh(struct pvm_digest *digest, unsigned g, unsigned leaf,
                         const struct hash256 *hash)
{
    struct half_tree *tree = digest->group[g];
    bool rested = hash256_equal(&tree->node[HALF_LEAVES + leaf], hash);
    if (rested || !digest->mem->protect)
        pvm_mem_clean(digest->mem, g * MEM_GROUP_SIZE + leaf);
    else
        digest->mem->group_dirty[g] = true;
    if (!rested)
        tree_set(tree, leaf, hash);
}

static enum err group_refresh(struct pvm_digest *digest, unsigned g)
{
    struct pvm_mem *mem = digest->mem;
    if (!digest->group[g]) {
        digest->group[g] = arena_new(digest->arena, struct half_tree);
        if (!digest->group[g])
            return ERR_nomem;
        tree_init(digest->group[g], digest->zero, 0);
    }
    const uint8_t *bytes[MEM_GROUP_SIZE];
    struct hash256 hash[MEM_GROUP_SIZE];
    unsigned dirty[MEM_GROUP_SIZE];
    size_t count = 0;
    for (unsigned leaf = 0; leaf < MEM_GROUP_SIZE; leaf++) {
        uint32_t page = g * MEM_GROUP_SIZE + leaf;
        if (!(mem->info[page] & MEM_DIRTY))
            continue;
        bytes[count] = pvm_mem_page(mem, page);
        if (bytes[count]) {
            dirty[count++] = leaf;
        } else { /* not mapped any more */
            pvm_mem_clean(mem, page);
            tree_set(digest->group[g], leaf, &digest->zero[0]);
        }
    }
    hash256_of_many(bytes, count, PVM_PAGE_SIZE, hash);
    mem->group_dirty[g] = false;
    for (size_t k = 0; k < count; k++)
        leaf_refresh(digest, g, dirty[k], &hash[k]);
    tree_set(&digest->top, g, tree_root(digest->group[g]));
    return ERR_ok;
}

enum err pvm_digest_memory(struct pvm_digest *digest, struct hash256 *ret_hash)
{
    for (unsigned g = 0; digest->mem && g < MEM_GROUP_COUNT; g++) {
        if (digest->mem->group_dirty[g])
            TRY(group_refresh(digest, g));
    }
    *ret_hash = *tree_root(&digest->top);
    return ERR_ok;
}

static void put_u32(uint8_t *out, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

static void put_u64(uint8_t *out, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

void pvm_state_digest_registers(const struct pvm_state *state, struct hash256 *ret_hash)
{
    uint8_t bytes[8 * (PVM_REG_COUNT + 2)];
    for (unsigned r = 0; r < PVM_REG_COUNT; r++)
        put_u64(bytes + 8 * r, state->reg[r]);
    put_u64(bytes + 8 * PVM_REG_COUNT, state->pc);
    put_u64(bytes + 8 * (PVM_REG_COUNT + 1), state->gas);
    *ret_hash = hash256_of(bytes, sizeof bytes);
}

/* Access mode, and the page state of [7.6], of one page. */
static uint8_t access_byte(const struct pvm_mem *mem, uint32_t page)
{
    return mem->info[page] & (MEM_ACCESS | MEM_WRITTEN);
}

/* Runs of pages with equal mode: first page, count, access. */
static enum err digest_access(const struct pvm_mem *mem, struct hash256 *ret_hash)
{
    struct buf runs;
    buf_init(&runs, (size_t)PVM_PAGE_COUNT * 9);
    uint32_t page = pvm_mem_next_page(mem, 0);
    while (page < PVM_PAGE_COUNT) {
        uint8_t access = access_byte(mem, page), run[9];
        uint32_t first = page;
        while (page < PVM_PAGE_COUNT && access_byte(mem, page) == access)
            page++;
        put_u32(run, first);
        put_u32(run + 4, page - first);
        run[8] = access;
        buf_put(&runs, run, sizeof run);
        page = pvm_mem_next_page(mem, page);
    }
    enum err err = runs.err;
    if (!err)
        *ret_hash = hash256_of(runs.data, runs.size);
    buf_fini(&runs);
    return err;
}

enum err pvm_digest_machine(struct pvm_digest *digest, const struct pvm_state *state,
                            struct hash256 *ret_hash)
{
    static const char label[] = "lockstep.state.1";
    static const uint8_t no_devices[1] = {0x90}; /* an empty msgpack array */
    struct hash256 part[4];
    pvm_state_digest_registers(state, &part[0]);
    TRY(pvm_digest_memory(digest, &part[1]));
    TRY(digest_access(digest->mem, &part[2]));
    part[3] = hash256_of(no_devices, sizeof no_devices);
    struct bytes pieces[] = {
        bytes_of(label, sizeof label - 1),    bytes_of(part[0].byte, HASH256_SIZE),
        bytes_of(part[1].byte, HASH256_SIZE), bytes_of(part[2].byte, HASH256_SIZE),
        bytes_of(part[3].byte, HASH256_SIZE),
    };
    *ret_hash = hash256_of_pieces(pieces, countof(pieces));
    return ERR_ok;
}
