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

const struct emu_op *emu_raise(struct emu_cpu *cpu, const struct emu_op *op,
                               uint8_t vector, uint32_t error)
{
    (void)emu_fault(cpu, vector, error);
    return emu_abandon(cpu, op);
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

/* What is fetched of one instruction, with room for what copies take along. */
struct window {
    uint8_t bytes[2 * EMU_SINGLE_BYTES];
    uint32_t linear, physical, second;
    unsigned size, limit; /* bytes so far, bytes that CS allows */
};

/* Code bytes to `to`, which has room for EMU_SINGLE_BYTES: usually all of them. */
static void copy_code(const struct emu_cpu *cpu, uint32_t physical, uint8_t *to,
                      unsigned size)
{
    const struct emu_ram *ram = cpu->ram;
    if (likely(emu_ram_has(ram, physical) && ram->size - physical >= EMU_SINGLE_BYTES))
        memcpy(to, ram->bytes + physical, EMU_SINGLE_BYTES);
    else
        emu_ram_read(ram, physical, to, size);
}

/* The first page of an instruction. */
static bool open_window(struct emu_cpu *cpu, struct window *w)
{
    w->linear = cpu->segment[EMU_CS].base + cpu->eip;
    w->limit = fetchable(cpu);
    unsigned rest = EMU_PAGE_SIZE - w->linear % EMU_PAGE_SIZE;
    w->size = w->limit < rest ? w->limit : rest;
    if (!w->limit)
        return emu_fault(cpu, EMU_VECTOR_GP, 0);
    if (!emu_fetch_page(cpu, w->linear, &w->physical))
        return false;
    copy_code(cpu, w->physical, w->bytes, w->size);
    return true;
}

/* The second page, if the first one does not do. */
static bool widen_window(struct emu_cpu *cpu, struct window *w)
{
    if (w->size == w->limit)
        return true;
    if (!emu_fetch_page(cpu, w->linear + w->size, &w->second))
        return false;
    copy_code(cpu, w->second, w->bytes + w->size, w->limit - w->size);
    w->size = w->limit;
    return true;
}

/* Do the fetched bytes begin as those of `single` do? */
static bool matches(const struct emu_single *single, const struct window *w)
{
    unsigned size = w->size < single->length ? w->size : single->length;
    uint64_t a[2], b[2];
    memcpy(a, single->bytes, sizeof a);
    memcpy(b, w->bytes, sizeof b);
    uint64_t first = size >= 8 ? a[0] ^ b[0] : (a[0] ^ b[0]) << (64 - 8 * size);
    uint64_t second = size <= 8 ? 0 : (a[1] ^ b[1]) << (128 - 8 * size);
    return !(first | second);
}

/* Is the instruction the one in `single`?  The answer is in `ret_known`; false is a
 * fault of the second page, which those bytes need. */
static bool recall(struct emu_cpu *cpu, struct window *w,
                   const struct emu_single *single, bool code32, bool *ret_known)
{
    *ret_known = single->length && single->address == w->physical &&
                 single->code32 == code32 && matches(single, w);
    if (!*ret_known || single->length <= w->size)
        return true;
    if (!widen_window(cpu, w))
        return false;
    *ret_known = single->length <= w->size && matches(single, w);
    return true;
}

/* Fetch and decode; the second page is touched only if the instruction reaches it. */
static bool fetch_op(struct emu_cpu *cpu, struct emu_op *ret_op)
{
    struct window w = {0};
    struct emu_insn insn;
    bool code32 = cpu->code_mode & EMU_MODE_CODE32, known;
    if (!open_window(cpu, &w))
        return false;
    struct emu_single *single = emu_single_at(cpu, w.physical);
    if (!recall(cpu, &w, single, code32, &known))
        return false;
    if (!known) {
        enum emu_decoded result = emu_decode(w.bytes, w.size, code32, &insn);
        if (result == EMU_DECODE_MORE && w.size < w.limit) {
            if (!widen_window(cpu, &w))
                return false;
            result = emu_decode(w.bytes, w.size, code32, &insn);
        }
        if (result == EMU_DECODE_UNDEFINED)
            return emu_fault(cpu, EMU_VECTOR_UD, 0);
        if (result != EMU_DECODED)
            return emu_fault(cpu, EMU_VECTOR_GP, 0);
        *single = (struct emu_single){
            .address = w.physical, .length = insn.length, .code32 = code32};
        memcpy(single->bytes, w.bytes, sizeof single->bytes);
        emu_translate(&insn, false, &single->op);
    }
    *ret_op = single->op;
    cpu->engine->current = single;
    cpu->engine->current_second = w.second;
    return true;
}

bool emu_single_changed(const struct emu_cpu *cpu)
{
    const struct emu_single *single = cpu->engine->current;
    uint8_t bytes[EMU_INSN_SIZE_MAX];
    unsigned rest = EMU_PAGE_SIZE - single->address % EMU_PAGE_SIZE;
    unsigned first = single->length < rest ? single->length : rest;
    emu_ram_read(cpu->ram, single->address, bytes, first);
    if (first < single->length)
        emu_ram_read(cpu->ram, cpu->engine->current_second, bytes + first,
                     single->length - first);
    return memcmp(bytes, single->bytes, single->length) != 0;
}

/* Execute one instruction, or one part of a `rep`. */
static void run_single(struct emu_cpu *cpu)
{
    struct emu_block *block = cpu->engine->scratch;
    if (!fetch_op(cpu, &block->ops[0]))
        return;
    emu_end_block(&block->ops[1], block->ops[0].length, 1);
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

/* ---- stress: everything that may not be visible, at random ---- */

/* The next number; never 0 once it is on. */
static uint64_t stress_random(struct emu_engine *e)
{
    e->stress ^= e->stress << 13;
    e->stress ^= e->stress >> 7;
    e->stress ^= e->stress << 17;
    return e->stress;
}

/* Before a run: state written by somebody else looks like this. */
static void stress_run(struct emu_cpu *cpu)
{
    struct emu_engine *e = cpu->engine;
    uint64_t r = stress_random(e);
    if ((r & 7) == 0)
        emu_cpu_loaded(cpu);
    if ((r >> 8 & 1) && e->rep_budget > 1)
        e->rep_budget = 1 + (r >> 16) % 64;
}

/* Before blocks: true if an instruction shall be executed from its bytes instead. */
static bool stress_blocks(struct emu_cpu *cpu)
{
    struct emu_engine *e = cpu->engine;
    uint64_t r = stress_random(e);
    if ((r & 63) == 0)
        emu_cache_flush(cpu);
    if ((r >> 8 & 31) == 0)
        emu_views_flush(cpu);
    if ((r >> 16 & 31) == 0)
        emu_views_drop_writes(cpu);
    return (r >> 24 & 3) == 0;
}

/* The budget of a piece. */
static uint64_t stress_budget(struct emu_cpu *cpu, uint64_t budget)
{
    uint64_t r = stress_random(cpu->engine), piece = 1 + (r >> 8) % 97;
    return (r & 3) && piece < budget ? piece : budget;
}

/* ---- blocks ---- */

static bool is_breakpoint(const struct emu_cpu *cpu, uint32_t linear, uint32_t size)
{
    const struct emu_engine *e = cpu->engine;
    size_t low = 0, high = e->breakpoint_count; /* the first one that is not below */
    if (!high)
        return false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (e->breakpoints[middle] < linear)
            low = middle + 1;
        else
            high = middle;
    }
    /* Behind the last one addresses begin again. */
    low = low < e->breakpoint_count ? low : 0;
    return e->breakpoints[low] - linear < size;
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
    if (unlikely(e->stress)) {
        cpu->budget = stress_budget(cpu, cpu->budget);
        e->limit_icount = cpu->icount + cpu->budget;
    }
    struct emu_block *block = NULL;
    if (!emu_is_straddler(cpu, physical))
        block = emu_cache_get(cpu, physical, cpu->code_mode);
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
               (cpu->eflags & (EMU_FLAG_TF | EMU_FLAG_RF)) ||
               (e->stress && stress_blocks(cpu))) {
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
    if (unlikely(e->stress))
        stress_run(cpu);
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
