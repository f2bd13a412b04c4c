/* SPDX-License-Identifier: MIT
 *
 * A program of a trace, ready to be asked: where is its code, which block is it in.
 */
#include "analysis/internal.h"
#include "trace/ledger.h"

#include <string.h>

enum { RANK_BITS = 512 };

/* The number of instruction starts in bitmask bytes [first, last). */
static uint32_t count_bits(const uint8_t *bitmask, size_t first, size_t last)
{
    uint32_t count = 0;
    for (; last - first >= 8; first += 8) {
        uint64_t word;
        memcpy(&word, bitmask + first, sizeof word);
        count += (uint32_t)__builtin_popcountll(word);
    }
    for (; first < last; first++)
        count += (uint32_t)__builtin_popcount(bitmask[first]);
    return count;
}

uint32_t analysis_program_rank(const struct analysis_program *program, uint64_t pc)
{
    const struct pvm_code *code = &program->code;
    size_t at = pc < code->code.size ? (size_t)pc : code->code.size;
    size_t group = at / RANK_BITS;
    uint32_t count = program->rank[group];
    count += count_bits(code->bitmask, group * (RANK_BITS / 8), at / 8);
    unsigned rest = at % 8 ? code->bitmask[at / 8] & ((1u << (at % 8)) - 1) : 0;
    return count + (uint32_t)__builtin_popcount(rest);
}

static enum err make_rank(struct arena *arena, struct analysis_program *program)
{
    size_t group_count = program->code.code.size / RANK_BITS + 1;
    uint32_t *rank = arena_new_array(arena, uint32_t, group_count);
    if (!rank)
        return ERR_nomem;
    for (size_t i = 1; i < group_count; i++)
        rank[i] =
            rank[i - 1] + count_bits(program->code.bitmask, (i - 1) * (RANK_BITS / 8),
                                     i * (RANK_BITS / 8));
    program->rank = rank;
    return ERR_ok;
}

uint32_t analysis_program_row(const struct analysis_program *program, uint64_t pc)
{
    if (pc <= program->code.code.size)
        return program->row_at[pc];
    /* A run may begin anywhere, even where there is no code. */
    const struct trace_block *block =
        trace_blocks_containing(&program->ledger.blocks, pc);
    return block ? (uint32_t)(block - program->ledger.blocks.block) : ANALYSIS_NO_ROW;
}

static enum err make_row_at(struct arena *arena, struct analysis_program *program)
{
    const struct trace_blocks *blocks = &program->ledger.blocks;
    size_t size = program->code.code.size + 1;
    uint32_t *row_at = arena_new_array(arena, uint32_t, size);
    if (!row_at)
        return ERR_nomem;
    uint32_t next = 0;
    for (size_t pc = 0; pc < size; pc++) {
        while (next < blocks->count && blocks->block[next].pc <= pc)
            next++;
        row_at[pc] = next ? next - 1 : ANALYSIS_NO_ROW;
    }
    program->row_at = row_at;
    return ERR_ok;
}

static enum err make_jump(struct arena *arena, struct analysis_program *program)
{
    uint64_t *jump = arena_new_array(arena, uint64_t, program->code.jump_count);
    if (!jump)
        return ERR_nomem;
    for (uint32_t i = 0; i < program->code.jump_count; i++)
        jump[i] = pvm_code_jump(&program->code, i);
    program->ledger.jump = jump;
    program->ledger.jump_count = program->code.jump_count;
    return ERR_ok;
}

enum err analysis_program_create(struct arena *arena,
                                 const struct trace_pvm_program *event, uint32_t index,
                                 struct analysis_program **ret_program)
{
    if (event->kind > 1 || event->profile > PVM_PROFILE_JAVM ||
        event->model > UINT32_MAX || event->mem_cycles > UINT32_MAX)
        return ERR_unsupported;
    struct analysis_program *program = arena_new(arena, struct analysis_program);
    if (!program)
        return ERR_nomem;
    program->number = event->prog;
    program->index = index;
    program->config = (struct pvm_config){.profile = (enum pvm_profile)event->profile,
                                          .model = (uint32_t)event->model,
                                          .mem_cycles = (uint32_t)event->mem_cycles};
    program->raw = event->code;
    program->table = event->blocks;
    TRY(pvm_code_parse(event->code, &program->code));
    if (program->code.code.size > PVM_CODE_SIZE_MAX)
        return ERR_pvm_limit;
    TRY(trace_blocks_parse(arena, event->blocks, &program->ledger.blocks));
    if (program->ledger.blocks.count >= ANALYSIS_NO_ROW)
        return ERR_trace_ledger;
    TRY(make_jump(arena, program));
    TRY(make_row_at(arena, program));
    TRY(make_rank(arena, program));
    *ret_program = program;
    return ERR_ok;
}

enum err analysis_program_check_table(const struct analysis_program *program,
                                      uint32_t start_pc, struct arena *arena,
                                      size_t *ret_offset)
{
    struct pvm_program *predecoded;
    TRY(pvm_program_create(arena, &program->code, &program->config, PVM_GAS_LOG_NONE,
                           &predecoded));
    struct buf table;
    buf_init(&table, arena->size_max);
    pvm_program_put_blocks(predecoded, start_pc, &table);
    enum err err = table.err;
    size_t size = table.size < program->table.size ? table.size : program->table.size;
    size_t same = 0;
    while (same < size && table.data[same] == program->table.data[same])
        same++;
    if (!err && (same < table.size || same < program->table.size)) {
        *ret_offset = same;
        err = ERR_trace_ledger;
    }
    buf_fini(&table);
    return err;
}
