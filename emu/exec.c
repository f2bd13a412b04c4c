/* SPDX-License-Identifier: MIT
 *
 * The run loop: boundaries, budgets, faults (machine.md 4.2, 5.1, 5.3).
 *
 * Between two steps there is a boundary, where traps and interrupts are delivered.
 * Blocks of decoded code run when nothing can happen inside them; otherwise single
 * instructions are decoded, executed by the same handlers, and forgotten.
 */
#include "emu/engine.h"

enum { YIELD_ITERATIONS = 65536 };
#define DR6_BS 0x4000u
#define DR7_GD 0x2000u

const struct emu_op *emu_abandon(struct emu_cpu *cpu, const struct emu_op *op)
{
    cpu->budget += cpu->block->steps - op->number;
    if (!cpu->engine->keep_eip)
        cpu->eip = emu_op_eip(cpu, op);
    return NULL;
}

const struct emu_op *emu_leave(struct emu_cpu *cpu, const struct emu_op *op,
                               uint32_t eip)
{
    cpu->budget += cpu->block->steps - op->number - 1u;
    cpu->eip = eip;
    return NULL;
}

static void run_ops(struct emu_cpu *cpu, const struct emu_op *op)
{
    while (op)
        op = op->run(cpu, op);
    cpu->icount = cpu->engine->limit_icount - cpu->budget;
}

/* ---- one instruction from its bytes ---- */

/* How many bytes CS lets be fetched at `eip`, at most 15; 0 is a fault. */
static unsigned fetchable(const struct emu_cpu *cpu)
{
    uint64_t limit = cpu->segment[EMU_CS].limit;
    if (cpu->eip > limit)
        return 0;
    uint64_t left = limit - cpu->eip + 1;
    return left < EMU_INSN_SIZE_MAX ? (unsigned)left : EMU_INSN_SIZE_MAX;
}

/* Fetch and decode; the second page is touched only if the instruction reaches it. */
static bool fetch_insn(struct emu_cpu *cpu, struct emu_insn *ret_insn)
{
    uint8_t bytes[EMU_INSN_SIZE_MAX];
    uint32_t linear = cpu->segment[EMU_CS].base + cpu->eip, physical;
    unsigned limit = fetchable(cpu);
    unsigned rest = EMU_PAGE_SIZE - linear % EMU_PAGE_SIZE;
    unsigned size = limit < rest ? limit : rest;
    if (!limit)
        return emu_fault(cpu, EMU_VECTOR_GP, 0);
    if (!emu_fetch_page(cpu, linear, &physical))
        return false;
    bool code32 = cpu->code_mode & EMU_MODE_CODE32;
    emu_ram_read(cpu->ram, physical, bytes, size);
    enum emu_decoded result = emu_decode(bytes, size, code32, ret_insn);
    if (result == EMU_DECODE_MORE && size < limit) {
        if (!emu_fetch_page(cpu, linear + size, &physical))
            return false;
        emu_ram_read(cpu->ram, physical, bytes + size, limit - size);
        result = emu_decode(bytes, limit, code32, ret_insn);
    }
    if (result == EMU_DECODE_UNDEFINED)
        return emu_fault(cpu, EMU_VECTOR_UD, 0);
    return result == EMU_DECODED || emu_fault(cpu, EMU_VECTOR_GP, 0);
}

/* Execute one instruction, or one part of a `rep`. */
static void run_single(struct emu_cpu *cpu)
{
    struct emu_insn insn;
    struct emu_block *block = cpu->engine->scratch;
    if (!fetch_insn(cpu, &insn))
        return;
    emu_translate(&insn, &block->ops[0]);
    emu_end_block(&block->ops[1], insn.length, 1);
    block->next[0] = block->next[1] = NULL;
    block->steps = block->cost = 1;
    /* The budget is used up, so no other block can be entered. */
    cpu->engine->limit_icount = cpu->icount + 1;
    cpu->budget = 1;
    run_ops(cpu, emu_enter(cpu, block, cpu->eip));
}

/* One instruction around which something has to be done. */
static void run_watched(struct emu_cpu *cpu)
{
    struct emu_engine *e = cpu->engine;
    bool trap = cpu->eflags & EMU_FLAG_TF;
    uint64_t rep_budget = e->rep_budget;
    bool yield = e->yield;
    cpu->shadow = 0;
    cpu->eflags &= ~EMU_FLAG_RF;
    e->delivered = false;
    if (trap)
        e->rep_budget = 1;
    run_single(cpu);
    if (!trap)
        return;
    e->rep_budget = rep_budget;
    e->yield = yield;
    if (e->fault.vector != EMU_VECTOR_NONE || e->delivered)
        return;
    cpu->dr[6] |= DR6_BS;
    if (!(cpu->shadow & EMU_SHADOW_DEBUG))
        cpu->shadow |= EMU_SHADOW_TRAP;
}

/* ---- blocks ---- */

static bool is_breakpoint(const struct emu_cpu *cpu, uint32_t linear, uint32_t size)
{
    const struct emu_engine *e = cpu->engine;
    for (size_t i = 0; i < e->breakpoint_count; i++)
        if (e->breakpoints[i] - linear < size)
            return true;
    return false;
}

/* From the block at EIP on, as far as the budget goes. */
static void run_blocks(struct emu_cpu *cpu)
{
    struct emu_engine *e = cpu->engine;
    const struct emu_segment *cs = &cpu->segment[EMU_CS];
    uint32_t physical, linear = cs->base + cpu->eip;
    if (cpu->eip > cs->limit) {
        (void)emu_fault(cpu, EMU_VECTOR_GP, 0);
        return;
    }
    if (!emu_fetch_page(cpu, linear, &physical))
        return;
    e->limit_icount = e->limit.icount;
    cpu->budget = e->limit.icount - cpu->icount;
    struct emu_block *block = emu_cache_get(cpu, physical, cpu->code_mode);
    if (!block || block->cost > cpu->budget ||
        (uint64_t)cpu->eip + block->size - 1 > cs->limit ||
        is_breakpoint(cpu, linear + 1, block->size)) {
        run_watched(cpu);
        return;
    }
    if (e->breakpoint_count) {
        cpu->budget = block->cost;
        e->limit_icount = cpu->icount + block->cost;
    }
    run_ops(cpu, emu_enter(cpu, block, cpu->eip));
}

/* ---- boundaries ---- */

/* The first encodings that were undefined, for people (B6). */
static void note_undefined(struct emu_cpu *cpu)
{
    struct emu_undefined *u = &cpu->engine->undefined;
    uint8_t bytes[4] = {0};
    (void)emu_cpu_peek(cpu, cpu->segment[EMU_CS].base + cpu->eip, bytes, sizeof bytes);
    u->count++;
    for (unsigned i = 0; i < u->kinds; i++)
        if (!memcmp(u->bytes[i], bytes, sizeof bytes))
            return;
    if (u->kinds < EMU_UNDEFINED_MAX)
        memcpy(u->bytes[u->kinds++], bytes, sizeof bytes);
}

/* A delivery is a step, whatever it became.  False: triple fault. */
static bool finish_delivery(struct emu_cpu *cpu, bool delivered)
{
    struct emu_engine *e = cpu->engine;
    if (!delivered) {
        if (e->fault.vector == EMU_VECTOR_UD)
            note_undefined(cpu);
        if (!emu_deliver_fault(cpu))
            return false;
    }
    e->keep_eip = false;
    cpu->halted = false;
    cpu->shadow = 0;
    cpu->sub = 0;
    cpu->icount++;
    return true;
}

static bool can_interrupt(const struct emu_cpu *cpu)
{
    return cpu->intr && (cpu->eflags & EMU_FLAG_IF) && !(cpu->shadow & EMU_SHADOW_INTR);
}

/* Deliver what waits at this boundary. */
static bool deliver_waiting(struct emu_cpu *cpu)
{
    struct emu_event event = {.resume = cpu->sub != 0 && !cpu->halted};
    if (cpu->shadow & EMU_SHADOW_TRAP) {
        event.vector = EMU_VECTOR_DB;
        cpu->dr[7] &= ~DR7_GD;
    } else {
        event.vector = cpu->bus.acknowledge(cpu->bus.context);
    }
    return finish_delivery(cpu, emu_deliver(cpu, &event));
}

static bool is_at_limit(const struct emu_cpu *cpu)
{
    const struct emu_place *limit = &cpu->engine->limit;
    return cpu->icount > limit->icount ||
           (cpu->icount == limit->icount && cpu->sub >= limit->sub);
}

static void run_some(struct emu_cpu *cpu)
{
    struct emu_engine *e = cpu->engine;
    e->dropped = 0;
    if (cpu->icount == e->limit.icount) {
        uint64_t left = e->limit.sub - cpu->sub;
        if (left < e->rep_budget)
            e->rep_budget = left;
        run_watched(cpu);
    } else if (e->one_by_one || cpu->shadow ||
               (cpu->eflags & (EMU_FLAG_TF | EMU_FLAG_RF))) {
        run_watched(cpu);
    } else {
        run_blocks(cpu);
    }
}

static enum emu_run_reason run(struct emu_cpu *cpu)
{
    struct emu_engine *e = cpu->engine;
    for (bool first = true;; first = false) {
        if (cpu->stop)
            return EMU_RUN_STOPPED;
        if (is_at_limit(cpu))
            return EMU_RUN_LIMIT;
        if (e->yield)
            return EMU_RUN_YIELD;
        if ((cpu->shadow & EMU_SHADOW_TRAP) || can_interrupt(cpu)) {
            if (!deliver_waiting(cpu))
                return EMU_RUN_TRIPLE_FAULT;
            continue;
        }
        if (cpu->halted)
            return EMU_RUN_HALTED;
        if (!first && e->breakpoint_count &&
            is_breakpoint(cpu, cpu->segment[EMU_CS].base + cpu->eip, 1))
            return EMU_RUN_BREAKPOINT;
        run_some(cpu);
        if (unlikely(e->fault.vector != EMU_VECTOR_NONE) &&
            !finish_delivery(cpu, false))
            return EMU_RUN_TRIPLE_FAULT;
        e->keep_eip = false;
    }
}

static enum emu_run_reason run_with(struct emu_cpu *cpu, struct emu_place limit,
                                    uint64_t rep_budget)
{
    struct emu_engine *e = cpu->engine;
    if (e->ram_epoch != cpu->ram->epoch) {
        e->ram_epoch = cpu->ram->epoch;
        emu_views_drop_writes(cpu);
    }
    e->limit = limit;
    e->rep_budget = rep_budget;
    e->yield = cpu->stop = false;
    e->fault.vector = EMU_VECTOR_NONE;
    emu_set_arithmetic(cpu, cpu->eflags);
    enum emu_run_reason reason = run(cpu);
    cpu->eflags = emu_flags(cpu);
    return reason;
}

enum emu_run_reason emu_cpu_run_to(struct emu_cpu *cpu, struct emu_place limit)
{
    return run_with(cpu, limit, YIELD_ITERATIONS);
}

enum emu_run_reason emu_cpu_run(struct emu_cpu *cpu, uint64_t limit_icount)
{
    return emu_cpu_run_to(cpu, (struct emu_place){.icount = limit_icount});
}

enum emu_run_reason emu_cpu_step(struct emu_cpu *cpu)
{
    struct emu_place next = {.icount = cpu->icount + 1};
    enum emu_run_reason reason = run_with(cpu, next, 1);
    return reason == EMU_RUN_YIELD ? EMU_RUN_LIMIT : reason;
}
