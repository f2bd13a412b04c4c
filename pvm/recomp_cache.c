/* SPDX-License-Identifier: MIT
 *
 * The cache of native code [10.5]: an entry is a program like any other, compiled from
 * copies of what it borrows, and those that are handed out share its tables.
 *
 * The key is all that decides what the code looks like and can differ within a process:
 * version and CPU are the same for all entries.  A hash finds an entry, and comparing
 * every byte confirms it, so no program can be taken for another, whoever made it.
 */
#include "pvm/recomp_cache.h"

#include "base/hash.h"
#include "pvm/native.h"

#include <string.h>

enum { ENTRY_COUNT = 256 };

struct recomp_entry {
    struct pvm_recomp_cache *cache;
    struct arena arena;          /* of the program and the copies */
    struct pvm_program *program; /* NULL: a free place */
    struct pvm_code code;        /* copies */
    struct pvm_recomp_options options;
    uint64_t hash;
    uint64_t stamp; /* of the last use */
    size_t size;    /* bytes, of all */
    uint32_t use_count;
};

struct pvm_recomp_cache {
    size_t size_max;
    uint64_t clock;
    struct pvm_recomp_cache_counts counts;
    struct recomp_entry entry[ENTRY_COUNT];
};

enum err pvm_recomp_cache_create(struct arena *arena, size_t size_max,
                                 struct pvm_recomp_cache **ret_cache)
{
    struct pvm_recomp_cache *cache = arena_new(arena, struct pvm_recomp_cache);
    if (!cache)
        return ERR_nomem;
    cache->size_max = size_max;
    *ret_cache = cache;
    return ERR_ok;
}

struct pvm_recomp_cache_counts
pvm_recomp_cache_counts(const struct pvm_recomp_cache *cache)
{
    return cache->counts;
}

/* ---- keys ---- */

static size_t mask_size(const struct pvm_code *code)
{
    return (code->code.size + 7) / 8;
}

static size_t jump_size(const struct pvm_code *code)
{
    return (size_t)code->jump_count * code->jump_width;
}

static uint64_t hash_of(const struct pvm_code *code)
{
    const struct bytes piece[] = {
        code->code,
        bytes_of(code->bitmask, mask_size(code)),
        bytes_of(code->jump, MUTANT(cache_no_table, 0, jump_size(code))),
    };
    return hash_xxh3_of_pieces(piece, sizeof piece / sizeof piece[0]);
}

static bool same_bytes(const void *a, const void *b, size_t size)
{
    return size == 0 || memcmp(a, b, size) == 0;
}

static bool same_code(const struct pvm_code *a, const struct pvm_code *b)
{
    return a->code.size == b->code.size && a->jump_count == b->jump_count &&
           a->jump_width == b->jump_width &&
           same_bytes(a->code.data, b->code.data, a->code.size) &&
           same_bytes(a->bitmask, b->bitmask, mask_size(a)) &&
           MUTANT(cache_no_table, true, same_bytes(a->jump, b->jump, jump_size(a)));
}

static bool same_config(const struct pvm_config *a, const struct pvm_config *b)
{
    return a->profile == b->profile &&
           MUTANT(cache_no_model, true, a->model == b->model) &&
           MUTANT(cache_no_cycles, true, a->mem_cycles == b->mem_cycles);
}

static bool same_options(const struct pvm_recomp_options *a,
                         const struct pvm_recomp_options *b)
{
    return same_bytes(a->interp_only, b->interp_only, sizeof a->interp_only) &&
           a->explicit_checks == b->explicit_checks && a->unmetered == b->unmetered &&
           a->keep_map == b->keep_map && a->interpret_first == b->interpret_first &&
           !a->sandbox == !b->sandbox;
}

static struct recomp_entry *find(struct pvm_recomp_cache *cache, uint64_t hash,
                                 const struct recomp_key *key)
{
    for (unsigned k = 0; k < ENTRY_COUNT; k++) {
        struct recomp_entry *entry = &cache->entry[k];
        if (entry->program && entry->hash == hash && entry->program->log == key->log &&
            same_config(&entry->program->config, key->config) &&
            same_options(&entry->options, key->options) &&
            same_code(&entry->code, key->code))
            return entry;
    }
    return NULL;
}

/* ---- entries ---- */

static void drop(struct pvm_recomp_cache *cache, struct recomp_entry *entry)
{
    if (entry->program) {
        cache->counts.size -= entry->size;
        cache->counts.count--;
    }
    pvm_program_close(entry->program);
    arena_fini(&entry->arena);
    *entry = (struct recomp_entry){.program = NULL};
}

/* The one that was not used for the longest time and is not in use; a free place before
 * all others. */
static struct recomp_entry *oldest(struct pvm_recomp_cache *cache, bool empty)
{
    struct recomp_entry *found = NULL;
    for (unsigned k = 0; k < ENTRY_COUNT; k++) {
        struct recomp_entry *entry = &cache->entry[k];
        if (MUTANT(cache_evicts_used, 0, entry->use_count) ||
            (!empty && !entry->program))
            continue;
        if (!found || entry->stamp < found->stamp)
            found = entry;
    }
    return found;
}

static void trim(struct pvm_recomp_cache *cache)
{
    struct recomp_entry *old;
    while (cache->counts.size > cache->size_max && (old = oldest(cache, false))) {
        drop(cache, old);
        cache->counts.evictions++;
    }
}

static void *copy(struct arena *arena, const void *data, size_t size)
{
    return size ? arena_copy(arena, data, size) : arena_alloc(arena, 1, 1);
}

static enum err fill(struct recomp_entry *entry, const struct recomp_key *key)
{
    const struct pvm_code *code = key->code;
    /* Block starts take a bit of each byte, a program some hundred bytes. */
    arena_init(&entry->arena,
               ((size_t)1 << 16) + 2 * (code->code.size + jump_size(code)));
    void *bytes = copy(&entry->arena, code->code.data, code->code.size);
    entry->code = (struct pvm_code){
        .code = bytes_of(bytes, code->code.size),
        .bitmask = copy(&entry->arena, code->bitmask, mask_size(code)),
        .jump = copy(&entry->arena, code->jump, jump_size(code)),
        .jump_count = code->jump_count,
        .jump_width = code->jump_width,
    };
    if (!bytes || !entry->code.bitmask || !entry->code.jump)
        return ERR_nomem;
    entry->options = *key->options;
    entry->options.workspace = NULL;
    const struct recomp_key own = {&entry->code, key->config, key->log,
                                   &entry->options};
    TRY(pvm_recomp_make(&entry->arena, &own, &entry->program));
    entry->size = entry->arena.used + pvm_native_bytes(entry->program->unit);
    return ERR_ok;
}

/* A new entry, others having gone for it; *ret_entry is NULL if there is no room beside
 * those in use.  The error of compiling, which the program would have without a cache,
 * too. */
static enum err add(struct pvm_recomp_cache *cache, const struct recomp_key *key,
                    uint64_t hash, struct recomp_entry **ret_entry)
{
    struct recomp_entry *entry = oldest(cache, true);
    *ret_entry = NULL;
    if (!entry)
        return ERR_ok;
    cache->counts.evictions += entry->program != NULL;
    drop(cache, entry);
    enum err err = fill(entry, key);
    if (err) {
        drop(cache, entry);
        return err;
    }
    entry->cache = cache;
    entry->hash = hash;
    entry->use_count = 1; /* so that it does not go now */
    cache->counts.size += entry->size;
    cache->counts.count++;
    trim(cache);
    entry->use_count = 0;
    *ret_entry = entry;
    return ERR_ok;
}

/* ---- use ---- */

enum err pvm_recomp_cache_take(struct arena *arena, const struct recomp_key *key,
                               struct pvm_program **ret_program)
{
    struct pvm_recomp_cache *cache = key->options->cache;
    uint64_t hash = hash_of(key->code);
    struct recomp_entry *entry = find(cache, hash, key);
    cache->counts.hits += entry != NULL;
    cache->counts.misses += entry == NULL;
    if (!entry)
        TRY(add(cache, key, hash, &entry));
    if (!entry)
        return pvm_recomp_make(arena, key, ret_program);
    TRY(pvm_recomp_take_faults(key->options));
    struct pvm_program *program = arena_new(arena, struct pvm_program);
    if (!program)
        return ERR_nomem;
    entry->stamp = ++cache->clock;
    entry->use_count++;
    *program = *entry->program;
    program->code = key->code;
    program->sandbox = key->options->sandbox;
    program->shared = entry;
    *ret_program = program;
    return ERR_ok;
}

void pvm_recomp_cache_give(struct recomp_entry *entry)
{
    check(entry->use_count);
    entry->use_count--;
    trim(entry->cache);
}

void pvm_recomp_cache_close(struct pvm_recomp_cache *cache)
{
    for (unsigned k = 0; cache && k < ENTRY_COUNT; k++) {
        check(!cache->entry[k].use_count);
        drop(cache, &cache->entry[k]);
    }
}
