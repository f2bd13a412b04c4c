/* SPDX-License-Identifier: MIT
 *
 * Digests of a machine (trace-replay.md 7.2): a Merkle tree over 2^20 pages of which
 * only dirty paths are hashed again.
 */
#include "pvm/mem.h"

#include "base/hash_tree.h"

#include <string.h>

struct pvm_digest {
    struct pvm_mem *mem;
    struct hash256_tree *tree;
};

enum err pvm_digest_create(struct arena *arena, struct pvm_mem *mem,
                           struct pvm_digest **ret_digest)
{
    struct pvm_digest *digest = arena_new(arena, struct pvm_digest);
    if (!digest)
        return ERR_nomem;
    digest->mem = mem;
    TRY(hash256_tree_create(arena, HASH256_TREE_LEVELS_MAX, &digest->tree));
    *ret_digest = digest;
    return ERR_ok;
}

/* Take over the hash of a dirty page.  Where native code runs, the first store to a
 * clean page is a signal, which costs more than a hash: a page that has changed stays
 * dirty, so that only those are cleaned that have rested since the last call. */
static void leaf_refresh(struct pvm_digest *digest, uint32_t page,
                         const struct hash256 *hash)
{
    bool rested = hash256_equal(hash256_tree_get(digest->tree, page), hash);
    if (rested || !digest->mem->protect)
        pvm_mem_clean(digest->mem, page);
    else
        digest->mem->group_dirty[page / MEM_GROUP_SIZE] = true;
    if (!rested)
        hash256_tree_set(digest->tree, page, hash);
}

static enum err group_refresh(struct pvm_digest *digest, unsigned g)
{
    struct pvm_mem *mem = digest->mem;
    const uint8_t *bytes[MEM_GROUP_SIZE];
    struct hash256 hash[MEM_GROUP_SIZE];
    uint32_t dirty[MEM_GROUP_SIZE], first = g * MEM_GROUP_SIZE;
    size_t count = 0;
    TRY(hash256_tree_reserve(digest->tree, first));
    for (uint32_t page = first; page < first + MEM_GROUP_SIZE; page++) {
        if (!(mem->info[page] & MEM_DIRTY))
            continue;
        bytes[count] = pvm_mem_page(mem, page);
        if (bytes[count]) {
            dirty[count++] = page;
        } else { /* not mapped any more */
            pvm_mem_clean(mem, page);
            hash256_tree_set(digest->tree, page, hash256_tree_zero(digest->tree));
        }
    }
    hash256_of_many(bytes, count, PVM_PAGE_SIZE, hash);
    mem->group_dirty[g] = false;
    for (size_t k = 0; k < count; k++)
        leaf_refresh(digest, dirty[k], &hash[k]);
    return ERR_ok;
}

enum err pvm_digest_memory(struct pvm_digest *digest, struct hash256 *ret_hash)
{
    for (unsigned g = 0; digest->mem && g < MEM_GROUP_COUNT; g++) {
        if (digest->mem->group_dirty[g])
            TRY(group_refresh(digest, g));
    }
    *ret_hash = hash256_tree_root(digest->tree);
    return ERR_ok;
}

_Static_assert((int)MEM_GROUP_SIZE == (int)HASH256_TREE_GROUP,
               "one reservation for a group");

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
    static const uint8_t no_devices[1] = {0x90}; /* an empty msgpack array */
    struct hash256 part[4];
    pvm_state_digest_registers(state, &part[0]);
    TRY(pvm_digest_memory(digest, &part[1]));
    TRY(digest_access(digest->mem, &part[2]));
    part[3] = hash256_of(no_devices, sizeof no_devices);
    *ret_hash = hash256_of_state(&part[0], &part[1], &part[2], &part[3]);
    return ERR_ok;
}
