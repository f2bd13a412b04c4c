/* SPDX-License-Identifier: MIT
 *
 * The cache of decoded code (machine.md 6.1 to 6.3).
 *
 * Blocks are carved from a fixed memory that is emptied when full.  A store to decoded
 * bytes kills the blocks over them: each op of a dead block leads back to the run loop,
 * so links to it and the block that is running need no further care.
 */
#include "emu/engine.h"

#include "base/err.h"

enum { PAGE_MASK = EMU_PAGE_SIZE - 1 };

struct emu_cache {
    struct emu_block *table[EMU_BLOCK_TABLE_SIZE];
    struct emu_block **pages; /* blocks of each page of RAM */
    uint8_t *bytes;
    size_t size, used;
    uint32_t generation;
};

static const size_t block_size_max =
    sizeof(struct emu_block) + (EMU_BLOCK_OPS_MAX + 1) * sizeof(struct emu_op);

const struct emu_op *emu_op_stale(struct emu_cpu *cpu, const struct emu_op *op)
{
    return emu_abandon(cpu, op);
}

uint32_t emu_cache_generation(const struct emu_cpu *cpu)
{
    return cpu->engine->cache->generation;
}

void emu_end_block(struct emu_op *op, unsigned offset, unsigned steps)
{
    *op = (struct emu_op){.run = emu_op_fall_through,
                          .offset = (uint16_t)offset,
                          .number = (uint8_t)steps};
}

void emu_cache_flush(struct emu_cpu *cpu)
{
    struct emu_cache *cache = cpu->engine->cache;
    size_t pages = cpu->ram->size / EMU_PAGE_SIZE;
    memset(cache->table, 0, sizeof cache->table);
    memset(cache->pages, 0, pages * sizeof cache->pages[0]);
    memset(cpu->ram->code, 0, pages * sizeof cpu->ram->code[0]);
    memset(cpu->returns, 0, EMU_RETURN_COUNT * sizeof cpu->returns[0]);
    cache->used = 0;
    cache->generation++;
}

/* ---- writes to code ---- */

static void remove_from_table(struct emu_cache *cache, const struct emu_block *block)
{
    struct emu_block **at = &cache->table[emu_block_slot(block->address)];
    while (*at && *at != block)
        at = &(*at)->hash_next;
    if (*at)
        *at = block->hash_next;
}

static void kill_block(struct emu_cpu *cpu, struct emu_block *block)
{
    remove_from_table(cpu->engine->cache, block);
    block->cost = EMU_BLOCK_DEAD;
    for (unsigned i = 0; i <= block->steps; i++)
        block->ops[i].run = emu_op_stale;
    if (block == cpu->block)
        cpu->engine->dropped = 1;
}

static uint64_t granules_of(const struct emu_block *block)
{
    uint32_t first = (block->address & PAGE_MASK) / EMU_GRANULE_SIZE;
    uint32_t last = ((block->address & PAGE_MASK) + block->size - 1) / EMU_GRANULE_SIZE;
    return (UINT64_MAX << first) & (UINT64_MAX >> (63 - last));
}

/* A store to `size` bytes of one page: kill what was decoded from them. */
static void code_written(void *context, uint32_t address, uint32_t size)
{
    struct emu_cpu *cpu = context;
    uint32_t page = address / EMU_PAGE_SIZE;
    struct emu_block **at = &cpu->engine->cache->pages[page];
    uint64_t left = 0;
    while (*at) {
        struct emu_block *block = *at;
        if (address < block->address + block->size && block->address < address + size) {
            *at = block->page_next;
            kill_block(cpu, block);
        } else {
            left |= granules_of(block);
            at = &block->page_next;
        }
    }
    cpu->ram->code[page] = left;
}

/* ---- new blocks ---- */

/* Decode from `offset` of a page; the number of bytes, 0 if nothing was decoded. */
static unsigned decode_line(struct emu_block *block, const uint8_t *page,
                            unsigned offset)
{
    unsigned at = offset, steps = 0;
    while (steps < EMU_BLOCK_OPS_MAX && at < EMU_PAGE_SIZE) {
        struct emu_insn insn;
        if (emu_decode(page + at, EMU_PAGE_SIZE - at, block->mode & EMU_MODE_CODE32,
                       &insn) != EMU_DECODED)
            break;
        struct emu_op *op = &block->ops[steps];
        emu_translate(&insn, block->mode & EMU_MODE_FLAT, op);
        op->offset = (uint16_t)(at - offset);
        op->number = (uint8_t)steps++;
        if (emu_rows[insn.row].form == EMU_FORM_CC && op->size == 4 &&
            op > block->ops) {
            emu_run_fn *fused = emu_fused(op[-1].run, insn.opcode & 15);
            op[-1].run = fused ? fused : op[-1].run;
        }
        at += insn.length;
        if (emu_rows[insn.row].traits & EMU_TRAIT_END)
            break;
    }
    block->steps = block->cost = steps;
    block->size = (uint16_t)(at - offset);
    emu_end_block(&block->ops[steps], at - offset, steps);
    return at - offset;
}

static struct emu_block *build(struct emu_cpu *cpu, uint32_t physical, unsigned mode)
{
    struct emu_cache *cache = cpu->engine->cache;
    uint32_t page = physical / EMU_PAGE_SIZE;
    if (cache->size - cache->used < block_size_max)
        emu_cache_flush(cpu);
    struct emu_block *block = (struct emu_block *)(void *)(cache->bytes + cache->used);
    memset(block, 0, sizeof *block);
    block->address = physical;
    block->mode = (uint8_t)mode;
    if (!decode_line(block, cpu->ram->bytes + (size_t)page * EMU_PAGE_SIZE,
                     physical & PAGE_MASK))
        return NULL;
    size_t size = sizeof *block + (block->steps + 1) * sizeof block->ops[0];
    cache->used += (size + 63) & ~(size_t)63;
    block->page_next = cache->pages[page];
    cache->pages[page] = block;
    if (!cpu->ram->code[page])
        emu_views_drop_page(cpu, physical);
    cpu->ram->code[page] |= granules_of(block);
    return block;
}

struct emu_block *emu_cache_get(struct emu_cpu *cpu, uint32_t physical, unsigned mode)
{
    struct emu_cache *cache = cpu->engine->cache;
    if (!emu_ram_has(cpu->ram, physical))
        return NULL;
    struct emu_block **slot = &cache->table[emu_block_slot(physical)], **at = slot;
    while (*at && ((*at)->address != physical || (*at)->mode != mode))
        at = &(*at)->hash_next;
    struct emu_block *block = *at;
    if (block)
        *at = block->hash_next;
    else
        block = build(cpu, physical, mode);
    if (!block)
        return NULL;
    block->hash_next = *slot;
    *slot = block;
    return block;
}

const struct emu_op *emu_go_slow(struct emu_cpu *cpu, uint32_t eip,
                                 struct emu_block **link)
{
    uint32_t physical;
    cpu->eip = eip;
    if (!cpu->budget || !(cpu->code_mode & EMU_MODE_PLAIN) ||
        !emu_fetch_page(cpu, eip + cpu->segment[EMU_CS].base, &physical) ||
        emu_is_straddler(cpu, physical))
        return NULL;
    uint32_t generation = emu_cache_generation(cpu);
    struct emu_block *block = emu_cache_get(cpu, physical, cpu->code_mode);
    if (!block)
        return NULL;
    if (link && generation == emu_cache_generation(cpu))
        *link = block;
    return block->cost <= cpu->budget ? emu_enter(cpu, block, eip) : NULL;
}

enum err emu_cache_create(struct arena *arena, struct emu_cpu *cpu, size_t size)
{
    struct emu_cache *cache = arena_new(arena, struct emu_cache);
    if (size < 64 * 1024)
        return ERR_usage;
    if (!cache)
        return ERR_nomem;
    cache->size = size;
    cache->bytes = arena_alloc(arena, size, 64);
    cache->pages =
        arena_new_array(arena, struct emu_block *, cpu->ram->size / EMU_PAGE_SIZE);
    cpu->engine->scratch = arena_alloc(arena, block_size_max, 64);
    cpu->returns = arena_new_array(arena, struct emu_return, EMU_RETURN_COUNT);
    if (!cache->bytes || !cache->pages || !cpu->engine->scratch || !cpu->returns)
        return ERR_nomem;
    cpu->engine->cache = cache;
    cpu->blocks = cache->table;
    cpu->ram->code_written = code_written;
    cpu->ram->context = cpu;
    return ERR_ok;
}
