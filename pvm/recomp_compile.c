/* SPDX-License-Identifier: MIT
 *
 * From code bytes to native code, in one pass over the blocks [10.3].
 *
 * Blocks come in order of their pcs, so a block that is flowed into from the one before
 * it stands right behind it.  No walk from a block start runs into the next one: what
 * comes before a start in the code is a terminator (or nothing).
 */
#include "base/os_code.h"
#include "pvm/decode.h"
#include "pvm/gas.h"
#include "pvm/recomp_role.h"

#include <string.h>

/* ---- tables ---- */

enum {
    /* Of a block that the one before it falls through to: compilers' loops begin so,
     * and a loop wants few lines of the CPU's decoded code.  And behind a jump, where
     * functions begin: there it costs no time. */
    LOOP_ALIGNMENT = 32,
    SITES_PER_INSN = 4, /* the most that an emitter makes */
    STUB_SIZE = 15,
    /* Bytes that are appended between two looks at the room: a window of the longest
     * instructions, and its stubs. */
    STEP_NATIVE_MAX = 64 * 256,
    /* Of a block whose accesses go by a register: that makes a load two cycles faster
     * and costs an instruction.  Long blocks are limited by the latter, and so are
     * loops that wait for no load. */
    BASED_INSNS_MAX = 24,
    INSN_NATIVE_USUAL = 48,
    /* Pages that will be written come some at once, which takes a fraction of a fault's
     * time for each; but not for small programs. */
    POPULATE_INSNS_MIN = 1024,
    POPULATE_MANY_INSNS_MIN = 16384,
    POPULATE_SIZE = 16384,
    POPULATE_MANY_SIZE = 65536,
};

/* Hand out parts of a reservation, each aligned to 64 bytes; counts only without one.
 */
struct parts {
    uint8_t *base;
    size_t size;
};

static void *part(struct parts *parts, size_t item_size, size_t count)
{
    size_t at = parts->size;
    parts->size += (item_size * count + 63) / 64 * 64;
    return parts->base ? parts->base + at : NULL;
}

static void fill_rank(const struct pvm_program *program, uint32_t *rank, size_t count)
{
    uint32_t before = 0;
    for (size_t k = 0; k < count; k++) {
        rank[k] = before;
        before += mask_count(program->start[k]);
    }
}

static bool populates(const struct native_compiler *c)
{
    return !c->unit->workspace && c->program->mark_count >= POPULATE_INSNS_MIN;
}

static size_t site_bound(const struct native_compiler *c)
{
    return (size_t)SITES_PER_INSN * c->program->mark_count + 2u * c->unit->block_count;
}

size_t pvm_native_tables(struct native_compiler *c, void *reservation)
{
    struct native_unit *unit = c->unit;
    const struct pvm_program *program = c->program;
    struct parts parts = {.base = reservation};
    unit->block_count = program->start_count;
    size_t sites = site_bound(c);
    size_t words = program->code->code.size / 64 + 1;
    uint32_t *rank = part(&parts, sizeof *rank, words);
    unit->block = part(&parts, sizeof *unit->block, unit->block_count);
    c->stub = part(&parts, sizeof *c->stub, sites);
    unit->site = part(&parts, sizeof *unit->site, sites);
    unit->call = part(&parts, sizeof *unit->call, c->program->mark_count);
    if (unit->options.keep_map)
        unit->place = part(&parts, sizeof *unit->place, c->program->mark_count);
    unit->rank = rank;
    if (!reservation)
        return parts.size;
    if (populates(c))
        os_populate(
            rank, (size_t)((uint8_t *)(c->stub + unit->block_count) - (uint8_t *)rank));
    fill_rank(program, rank, words);
    if (unit->workspace)
        memset(unit->block, 0, unit->block_count * sizeof *unit->block);
    return parts.size;
}

size_t pvm_native_bytes(const struct native_unit *unit)
{
    /* A stub of a block is what is left of compiling. */
    size_t block = sizeof *unit->block + sizeof(struct native_stub);
    return unit->memory->size + block * unit->block_count +
           sizeof *unit->site * unit->site_count +
           sizeof *unit->call * unit->call_count +
           sizeof *unit->place * unit->place_count;
}

static size_t cost_stride(const struct native_unit *unit)
{
    bool logs = unit->keeps_path || unit->keeps_hash;
    return (logs ? 16u : 8u) << unit->pages_cost;
}

size_t pvm_native_code_size(const struct native_compiler *c)
{
    size_t usual = INSN_NATIVE_USUAL + SITES_PER_INSN / 2 * STUB_SIZE;
    return 4096 + cost_stride(c->unit) * c->unit->block_count +
           8 * (size_t)c->program->code->jump_count +
           64 * (size_t)c->unit->block_count + usual * c->program->mark_count +
           STEP_NATIVE_MAX;
}

/* ---- costs ---- */

static uint64_t meter_cost(uint64_t need, uint64_t visits)
{
    if (need > METER_GAS_MAX || visits > FAST_VISITS_MAX)
        return METER_ASK;
    return ((need - MUTANT(native_cost_less, 1, 0)) << METER_GAS_SHIFT) +
           ((uint64_t)1 << METER_BLOCK_SHIFT) + visits;
}

/* What else the meter wants of a block that has a log, or pays for pages. */
static void put_more_costs(struct native_compiler *c, uint64_t *cost, uint64_t need,
                           uint64_t all)
{
    struct native_unit *unit = c->unit;
    bool logs = unit->keeps_path || unit->keeps_hash;
    uint64_t path = unit->keeps_path ? METER_PATH_ONE : 0;
    if (logs)
        cost[1] = summary_term(PVM_CHARGE_BLOCK, unit->block[c->block].pc, need);
    if (unit->pages_cost && all > METER_GAS_MAX)
        cost[0] = METER_ASK; /* then only the slow way tells them apart */
    bool asks = cost[0] == METER_ASK;
    if (unit->pages_cost)
        cost[logs ? 2 : 1] = asks ? METER_ASK : (all << METER_GAS_SHIFT) + path;
    cost[0] += asks ? 0 : path;
}

static void put_cost(struct native_compiler *c, const struct native_window *w)
{
    struct native_unit *unit = c->unit;
    uint64_t *cost = (uint64_t *)(uintptr_t)native_cost(unit, c->block);
    uint64_t need = pvm_gas_meter_need(&w->meter), all = need;
    cost[0] = meter_cost(need, w->meter.visits);
    if (c->check_cost) {
        uint32_t now =
            (uint32_t)(cost[0] == METER_ASK ? METER_PLAIN_ASK
                                            : need + MUTANT(native_plain_more, 1, 0));
        memcpy(c->check_cost, &now, c->check_size);
    }
    if (unit->pages_cost)
        all += pvm_gas_reserve(&c->program->config,
                               MUTANT(native_reserve_missing, 0, w->stores));
    if (unit->cost_stride > sizeof *cost)
        put_more_costs(c, cost, need, all);
    if (cost[0] != METER_ASK && all > unit->cost_max)
        unit->cost_max = (uint32_t)all;
}

/* As many blocks between two words of outcomes as half of the gas that can be shown
 * pays for. */
static uint32_t path_slice(const struct native_unit *unit)
{
    uint32_t most = unit->cost_max ? METER_GAS_MAX / 2 / unit->cost_max : 1;
    most = most ? most : 1;
    return most < PATH_BLOCKS_MAX ? most : PATH_BLOCKS_MAX;
}

/* ---- blocks ---- */

static NATIVE_NOINLINE void put_places(struct native_compiler *c,
                                       const struct native_insn *i, uint32_t count)
{
    struct native_unit *unit = c->unit;
    uint32_t end = (uint32_t)(c->as.at - unit->code);
    uint32_t at = unit->block[c->block].label;
    if (native_index(c, i))
        at = unit->place[unit->place_count - 1].end;
    for (uint32_t k = 0; k < count; k++) {
        unit->place[unit->place_count++] = (struct native_place){i[k].pc, at, end};
        at = end;
    }
}

/* Where control goes that leaves the block at its end without a jump. */
static void flow_off(struct native_compiler *c, const struct native_insn *last)
{
    unsigned flags = pvm_op_info[last->op].flags;
    uint32_t next = last->pc + last->size;
    if (flags & (PVM_OP_SINK | PVM_OP_JUMP | PVM_OP_DYN))
        return;
    if (MUTANT(native_flow_on, false, !pvm_program_block_start(c->program, next)))
        pvm_native_flow_to(c, next);
}

/* See to it that the pages behind `at` are there, up to `limit`.  *ready is where those
 * that are not begin. */
static NATIVE_NOINLINE void populate(const struct native_compiler *c, const void *at,
                                     const void *limit, uint8_t **ready)
{
    size_t behind = (size_t)((const uint8_t *)limit - *ready);
    bool many = c->program->mark_count >= POPULATE_MANY_INSNS_MIN;
    size_t size = many ? POPULATE_MANY_SIZE : POPULATE_SIZE;
    if ((const uint8_t *)at > *ready)
        size += (size_t)((const uint8_t *)at - *ready);
    if (size > behind)
        size = behind;
    if (size && populates(c))
        os_populate(*ready, size);
    *ready += size;
}

static void populate_ahead(struct native_compiler *c)
{
    enum { NEAR = 4096 };
    const uint8_t *site = (const uint8_t *)c->site;
    if (c->code_ready - c->as.at < NEAR)
        populate(c, c->as.at, c->limit, &c->code_ready);
    if (c->site_ready - site < NEAR)
        populate(c, site, c->site_limit, &c->site_ready);
}

static bool has_room(const struct native_compiler *c)
{
    return c->limit - c->as.at >
           (ptrdiff_t)STEP_NATIVE_MAX + (ptrdiff_t)STUB_SIZE * c->stub_count;
}

/* Emit `i`, which others in front of `end` are behind, alone or with some of them;
 * answers how many. */
static inline uint32_t emit_next(struct native_compiler *c, const struct native_insn *i,
                                 const struct native_insn *end, bool keeps_map)
{
    uint32_t count = 1;
    if (native_may_fuse(i))
        count = pvm_native_fuse(c, i, (uint32_t)(end - i));
    if (count == 1)
        c->emitter[i->op](c, i);
    if (keeps_map)
        put_places(c, i, count);
    return count;
}

/* The same until `keep` are left or, if none shall be, what ends the block, which is
 * always alone: where accesses go BY_STACK. */
static NATIVE_NOINLINE const struct native_insn *
emit_stacked(struct native_compiler *c, const struct native_insn *i,
             const struct native_insn *end, uint32_t keep)
{
    bool keeps_map = c->unit->options.keep_map;
    while (i + (keep ? keep : 1) < end) {
        uint32_t count = emit_next(c, i, end, keeps_map);
        for (; count; count--, i++) {
            if (native_names(i, SP) && native_written(i) == SP &&
                MUTANT(native_stack_kept, false, c->stack == STACK_HERE))
                c->stack = STACK_PAST;
        }
    }
    if (!keep)
        pvm_native_stack_leave(c);
    return i;
}

/* Emit all but the last `keep`, which move to the front; false: there is no room. */
static NATIVE_NOINLINE bool window_emit(struct native_compiler *c,
                                        struct native_window *w, uint32_t keep)
{
    if (!has_room(c))
        return false;
    populate_ahead(c);
    const struct native_insn *i = w->insn, *end = w->insn + w->end;
    const struct native_insn *stop = end - keep;
    bool keeps_map = c->unit->options.keep_map;
    if (c->way == BY_STACK)
        i = emit_stacked(c, i, end, keep);
    while (i < stop)
        i += emit_next(c, i, end, keeps_map);
    c->before += (uint32_t)(i - w->insn);
    w->end = (uint32_t)(end - i);
    if (w->end) {
        pvm_native_note(c, i);
        memmove(w->insn, i, w->end * sizeof *w->insn);
        c->noted = w->insn;
    }
    return true;
}

/* Begin the current block with its gas check.  `whole`: all of it is in the window, and
 * known what it costs; the check gets that at the end. */
static void begin_block(struct native_compiler *c, const struct native_window *w,
                        bool whole)
{
    c->way = c->unit->options.explicit_checks ? BY_GS_CHECKED : BY_GS;
    if (c->unit->based && whole && w->end <= BASED_INSNS_MAX &&
        pvm_native_waits(w->insn, w->end))
        c->way = BY_BASE;
    else if (w->end >= NATIVE_STACKED_MIN && c->way == BY_GS &&
             pvm_native_is_stacked(w->insn, w->end))
        c->way = BY_STACK;
    c->check_size = whole && pvm_gas_meter_need(&w->meter) < INT8_MAX ? 1 : 4;
    c->visits = whole ? w->meter.visits : 0;
    if (c->joins || c->parts)
        x64_align(&c->as, LOOP_ALIGNMENT);
    pvm_native_check(c);
}

static bool compile_block(struct native_compiler *c, struct native_window *w,
                          uint32_t pc)
{
    const struct native_insn *last;
    bool ended = false, begun = false;
    c->unit->block[c->block].pc = pc;
    c->before = 0;
    c->flags_at = NULL;
    c->readable = c->writable = NATIVE_NOWHERE;
    c->noted = w->insn;
    native_window_begin(w, &c->program->config);
    while (!ended) {
        ended = pvm_native_window_fill(c, w, pc, !begun);
        last = &w->insn[w->end - 1];
        pc = last->pc + last->size;
        if (!begun)
            begin_block(c, w, ended);
        begun = true;
        if (!window_emit(c, w, ended ? 0 : NATIVE_WINDOW_AHEAD))
            return false;
    }
    flow_off(c, last); /* that an emptied window still has */
    c->joins = last->op == PVM_OP_fallthrough;
    c->parts = last->op == PVM_OP_jump || last->op == PVM_OP_jump_ind;
    put_cost(c, w);
    return true;
}

static bool compile_blocks(struct native_compiler *c)
{
    const struct pvm_program *program = c->program;
    struct native_window window;
    c->block = 0;
    c->first = window.insn;
    for (uint32_t k = 0; k < program->code->code.size / 64 + 1; k++) {
        for (uint64_t word = program->start[k]; word; word &= word - 1) {
            uint32_t pc = k * 64 + (uint32_t)__builtin_ctzll(word);
            if (!compile_block(c, &window, pc))
                return false;
            c->block++;
        }
    }
    return true;
}

/* The ways out, behind all blocks. */
static void put_stubs(struct native_compiler *c)
{
    struct native_unit *unit = c->unit;
    for (uint32_t k = 0; k < c->stub_count; k++) {
        const struct native_stub *stub = &c->stub[k];
        bool flushes = unit->keeps_path && stub->exit >> EXIT_SHIFT == EXIT_GAS;
        x64_patch(unit->code + stub->jump, c->as.at);
        x64_u8(&c->as, 0xb8 | SCRATCH);
        x64_u32(&c->as, stub->exit);
        if (flushes) /* and goes on behind the jump if that returns */
            x64_patch(x64_call(&c->as), unit->code + unit->flush);
        uint32_t back = unit->pages_cost /* where nothing has been lowered yet */
                            ? unit->block[stub->exit & EXIT_INDEX].label
                            : stub->jump + 4;
        x64_patch(x64_jmp(&c->as), unit->code + (flushes ? back : unit->leave));
    }
}

/* Native addresses of table entries; 0: not a block start. */
static void put_jump_table(struct native_compiler *c, uint64_t *table)
{
    const struct pvm_code *code = c->program->code;
    for (uint32_t k = 0; k < code->jump_count; k++) {
        uint64_t target = pvm_code_jump(code, k);
        bool valid = MUTANT(native_entry_32, true, target <= UINT32_MAX) &&
                     pvm_program_block_start(c->program, (uint32_t)target);
        table[k] = 0;
        if (valid)
            table[k] =
                (uintptr_t)c->unit->code +
                c->unit->block[native_block_at(c->program, (uint32_t)target)].label;
    }
}

/* Does an entry lead nowhere?  Known before the code of table jumps is made. */
static bool table_has_holes(const struct pvm_program *program)
{
    for (uint32_t k = 0; k < program->code->jump_count; k++) {
        uint64_t target = pvm_code_jump(program->code, k);
        if (MUTANT(native_entry_32, false, target > UINT32_MAX) ||
            !pvm_program_block_start(program, (uint32_t)target))
            return true;
    }
    return false;
}

bool pvm_native_compile(struct native_compiler *c)
{
    struct native_unit *unit = c->unit;
    unit->cost_stride = (uint32_t)cost_stride(unit);
    uint8_t *at = unit->code + (size_t)unit->cost_stride * unit->block_count;
    uint64_t *table = (uint64_t *)(void *)at, factor = SUMMARY_FACTOR;
    at += 8 * (size_t)c->program->code->jump_count;
    memcpy(at, &factor, 8);
    unit->hash_factor = (const uint64_t *)(void *)at;
    c->as.at = at + 8;
    c->jump_table = (uint32_t)(uintptr_t)table;
    unit->table_has_holes = table_has_holes(c->program);
    if (!has_room(c))
        return false;
    c->code_ready = unit->code;
    c->site = unit->site;
    c->site_ready = (uint8_t *)unit->site;
    c->stack = STACK_AWAY;
    c->site_limit = unit->site + site_bound(c);
    pvm_native_frame(c);
    if (!compile_blocks(c))
        return false;
    unit->path_slice = path_slice(unit);
    put_stubs(c);
    put_jump_table(c, table);
    unit->site_count = native_site_number(c, c->site);
    unit->code_size = (uint32_t)(c->as.at - unit->code);
    return true;
}

void pvm_native_emitters(unsigned features, native_emit_fn *ret_emitter[256])
{
    for (unsigned op = 0; op < 256; op++)
        ret_emitter[op] = pvm_native_ask;
    pvm_native_alu_emitters(features, ret_emitter);
    pvm_native_memory_emitters(ret_emitter);
    pvm_native_control_emitters(ret_emitter);
}
