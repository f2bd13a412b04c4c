/* SPDX-License-Identifier: MIT
 *
 * The C around running native code [10.3, 10.4].
 *
 * Native code answers every unusual thing by leaving with a complete set of registers
 * before it has begun; what happens then is the interpreter's business, with its
 * handlers, so that there is one definition of everything.
 */
#include "base/os.h"
#include "base/os_code.h"
#include "pvm/gas.h"
#include "pvm/mutant.h"
#include "pvm/sandbox.h"

/* ---- what native code runs on this thread ---- */

struct frame {
    const struct native_unit *unit;
    struct pvm_mem *mem;
};
static _Thread_local struct frame running;

/* Runs of native code that this thread has begun. */
static _Thread_local uint64_t runs_begun;

/* An address space without a page, for states that have no memory. */
static _Thread_local struct pvm_mem *no_memory;

static struct native_context *context_of(uint8_t *base)
{
    return (struct native_context *)(void *)(base + NATIVE_CONTEXT);
}

/* The site of the access at an offset of the code; NULL: none. */
static const struct native_site *site_at(const struct native_unit *unit,
                                         uint64_t offset)
{
    uint32_t low = 0, high = unit->site_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (unit->site[middle].at < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < unit->site_count && unit->site[low].at == offset ? &unit->site[low]
                                                                  : NULL;
}

/* A fault of the running code on its guest memory becomes the question whether the
 * interpreter would please execute this instruction.  Nothing of it has happened. */
static bool on_fault(void *self, void *ucontext)
{
    (void)self;
    const struct native_unit *unit = running.unit;
    if (!unit || unit->options.explicit_checks || unit->sandboxed)
        return false;
    uint64_t offset = os_fault_ip(ucontext) - (uintptr_t)unit->code;
    uint64_t distance = os_fault_address(ucontext) - (uintptr_t)running.mem->base;
    const struct native_site *site = site_at(unit, offset);
    if (!site || distance >= MEM_GUARDED_SIZE)
        return false;
    os_fault_register_set(ucontext, SCRATCH,
                          (uint64_t)EXIT_STEP << EXIT_SHIFT |
                              (uint64_t)(site - unit->site));
    os_fault_ip_set(ucontext,
                    (uintptr_t)unit->code +
                        MUTANT(native_fault_entry, unit->enter, unit->faulted));
    return true;
}

enum err pvm_native_take_faults(void)
{
    return MUTANT(native_fault_alone, ERR_ok, os_fault_handler_add(on_fault, NULL));
}

/* ---- between C and native code ---- */

typedef void enter_fn(void);

static void meter_show(struct pvm_engine *e, struct native_context *context)
{
    bool plain = e->program->unit->plain_meter;
    uint64_t most = plain ? METER_PLAIN_MAX : METER_GAS_MAX;
    uint64_t shown = e->gas_shown < most ? e->gas_shown : most;
    if (e->program->log == PVM_GAS_LOG_EACH)
        shown = 0; /* every block is somebody's business */
    e->gas_hidden += MUTANT(native_hidden_lost, 0, e->gas_shown - shown);
    e->gas_shown = shown;
    context->meter = plain ? shown : shown << METER_GAS_SHIFT | METER_FULL;
    context->path_more = shown == METER_GAS_MAX;
}

static inline void meter_read(struct pvm_engine *e, const struct native_unit *unit,
                              uint64_t meter)
{
    if (unit->plain_meter) {
        e->state.icount += e->gas_shown - meter;
        e->gas_shown = meter;
        return;
    }
    e->gas_shown = native_gas_of(meter);
    e->segment.n += METER_BLOCK_MASK - (meter >> METER_BLOCK_SHIFT & METER_BLOCK_MASK);
    e->state.icount += METER_INSN_MASK - (meter & METER_INSN_MASK);
}

/* What a check that lowers first has taken when it did not pass. */
static uint64_t taken_back(const struct native_unit *unit, uint32_t block)
{
    uint64_t cost = *native_cost(unit, block);
    if (!unit->plain_meter)
        return cost;
    return cost == METER_ASK ? METER_PLAIN_ASK : native_gas_of(cost);
}

/* Outcomes that the segment still takes. */
static uint32_t path_room(const struct pvm_engine *e)
{
    uint32_t used = e->segment.bits_size * 8 + pending_outcomes(e->acc);
    return used < SEGMENT_BITS_MAX ? SEGMENT_BITS_MAX - used : 0;
}

/* The lists that code fills: table jumps, as many as the segment still takes, less the
 * last one, which the interpreter makes, because it ends the segment; and words of
 * branch outcomes.  The first of these is due behind the block in progress where there
 * is little gas; no later than when the segment may be full. */
static void lists_begin(const struct pvm_engine *e, uint8_t *area,
                        struct native_context *context)
{
    const struct segment *seg = &e->segment;
    const struct native_unit *unit = e->program->unit;
    uint32_t room =
        seg->full ? 0 : (uint32_t)SEGMENT_TARGETS_MAX - 1 - seg->target_count;
    context->log_end = (uintptr_t)(area + NATIVE_LOG_OFFSET);
    context->log_start = context->log_end + 8 * (uint64_t)room;
    context->log_rsp = context->log_start;
    context->path = (uintptr_t)(area + NATIVE_PATH_OFFSET);
    context->path_end = (uintptr_t)(area + NATIVE_AREA_SIZE);
    context->path_room = path_room(e);
    context->path_slice = unit->path_slice;
    context->path_low = (uint64_t)unit->path_slice * unit->cost_max;
    context->acc = ACC_EMPTY;
    uint64_t blocks = context->path_room < context->path_slice ? context->path_room
                                                               : context->path_slice;
    if (blocks && e->gas_shown >= context->path_low)
        context->meter += (blocks - 1) << METER_PATH_SHIFT;
}

/* Append the outcomes of some words, in which 0 is taken: not more than there is room
 * for, whoever says. */
static void words_read(struct pvm_engine *e, const uint64_t *word, const uint64_t *end)
{
    uint64_t acc = e->acc;
    uint32_t pending = pending_outcomes(acc), most = path_room(e);
    for (; word < end; word++) {
        uint64_t now = *word;
        uint32_t count = pending_outcomes(now | 1);
        count = count < most ? count : most;
        most -= count;
        uint64_t bits = ~now & (((uint64_t)1 << count) - 1);
        if (pending + count < 64) {
            acc = acc << count | bits;
            pending += count;
            continue;
        }
        uint32_t rest = pending + count - 64;
        /* (By up to 64, in two steps.) */
        pvm_segment_put_bits(e, acc << (63 - pending) << 1 | bits >> rest);
        acc = (uint64_t)1 << rest | (bits & (((uint64_t)1 << rest) - 1));
        pending = rest;
    }
    e->acc = acc;
}

static void lists_read(struct pvm_engine *e, const uint8_t *area,
                       const struct native_context *context)
{
    const uint64_t *word = (const uint64_t *)(const void *)(area + NATIVE_PATH_OFFSET);
    const uint64_t *end = (const uint64_t *)(uintptr_t)context->path;
    pvm_segment_pushed(&e->segment, (const uint64_t *)(uintptr_t)context->log_rsp,
                       (const uint64_t *)(uintptr_t)context->log_start);
    words_read(e, word, end);
    words_read(e, &context->acc, &context->acc + 1);
}

/* An empty stack of calls: at its bottom the address of what returns without a call are
 * for. */
static void stack_begin(const struct native_unit *unit, uint8_t *area,
                        struct native_context *context)
{
    uint8_t *end = unit->sandboxed
                       ? area + NATIVE_AREA_SIZE
                       : running.mem->base + MEM_GUARDED_SIZE + MEM_STACK_SIZE;
    context->log_rsp = (uintptr_t)end - 8;
    if (unit->pairs)
        *(uint64_t *)(void *)(end - 8) = (uintptr_t)unit->code + unit->underflow;
}

/* Fill in the context, which lies in `area` or will be copied there. */
static void context_fill(struct pvm_engine *e, uint8_t *area, const uint8_t *at,
                         struct native_context *context)
{
    meter_show(e, context);
    if (e->program->unit->keeps_path) {
        lists_begin(e, area, context);
    } else {
        stack_begin(e->program->unit, area, context);
        context->acc = e->acc;
    }
    context->resume = (uintptr_t)at;
    context->base = (uintptr_t)running.mem->base;
    context->regs = (uintptr_t)e->state.reg;
    if (e->program->unit->sandboxed) {
        context->regs = (uintptr_t)area; /* `reg` of the worker's context */
        regs_copy(context->reg, e->state.reg);
    }
}

/* Can the lists have been left like this?  Behind a full segment no instruction comes,
 * but the next block entry, which ends it. */
static bool are_possible_lists(const struct pvm_engine *e, uint32_t kind,
                               const struct native_context *sent,
                               const struct native_context *seen)
{
    const struct segment *segment = &e->segment;
    bool was_full = segment->bits_size >= SEGMENT_BITS_MAX / 8 ||
                    segment->target_count >= SEGMENT_TARGETS_MAX;
    if ((was_full && kind != EXIT_GAS) || seen->log_rsp > sent->log_start ||
        seen->log_rsp < sent->log_end || (sent->log_start - seen->log_rsp) % 8 != 0 ||
        seen->path < sent->path || seen->path > sent->path_end ||
        (seen->path - sent->path) % 8 != 0)
        return false;
    return seen->acc != 0; /* its sentinel */
}

/* Could code of ours have left with this?  Whatever a worker says must not lead the C
 * side out of its tables; a wrong but possible answer is a wrong result, no more. */
static bool is_possible(const struct pvm_engine *e, const struct native_context *sent,
                        const struct native_context *seen)
{
    const struct native_unit *unit = e->program->unit;
    uint32_t kind = (uint32_t)seen->exit >> EXIT_SHIFT;
    uint32_t index = (uint32_t)seen->exit & EXIT_INDEX;
    if (kind > EXIT_CALL ||
        index >= (kind == EXIT_GAS ? unit->block_count : unit->site_count) ||
        (kind == EXIT_CALL && !unit->site[index].op))
        return false;
    return !unit->keeps_path || are_possible_lists(e, kind, sent, seen);
}

/* In the worker.  False: it is lost, or might as well be. */
static bool enter_sandbox(struct pvm_engine *e, uint8_t *area, const uint8_t *at,
                          struct native_context *ret_seen)
{
    const struct native_unit *unit = e->program->unit;
    struct native_context sent = {.exit = 0};
    context_fill(e, area, at, &sent);
    uint64_t fault_ip;
    if (!pvm_sandbox_enter(e->program->sandbox, unit, running.mem, &sent, ret_seen,
                           &fault_ip))
        return false;
    if (fault_ip) {
        const struct native_site *site =
            site_at(unit, fault_ip - (uintptr_t)unit->code);
        if (!site)
            return false;
        ret_seen->exit =
            (uint64_t)EXIT_STEP << EXIT_SHIFT | (uint64_t)(site - unit->site);
    }
    if (!is_possible(e, &sent, ret_seen))
        return false;
    ret_seen->log_start = sent.log_start;
    return true;
}

/* Take over what native code has left in the context; answers enum native_exit and
 * index. */
static uint32_t left_with(struct pvm_engine *e, struct native_context *context,
                          const uint8_t *area)
{
    const struct native_unit *unit = e->program->unit;
    uint64_t shown = e->gas_shown;
    uint32_t exit = (uint32_t)context->exit;
    if (unit->sandboxed)
        regs_copy(e->state.reg, context->reg);
    if (exit >> EXIT_SHIFT == EXIT_STEP && unit->site[exit & EXIT_INDEX].parked)
        *(unit->keeps_hash ? &context->acc : &context->meter) = context->parked;
    if (unit->keeps_hash)
        e->acc = context->acc;
    if (unit->options.unmetered)
        return exit;
    if (exit >> EXIT_SHIFT == EXIT_GAS && !unit->pages_cost)
        context->meter +=
            MUTANT(native_gas_taken, 0, taken_back(unit, exit & EXIT_INDEX));
    meter_read(e, unit, context->meter);
    if (e->gas_shown > shown)
        return (uint32_t)EXIT_LOST << EXIT_SHIFT;
    if (unit->keeps_path)
        lists_read(e, area, context);
    return exit;
}

/* Run native code from `at` until it asks; answers as left_with(). */
static uint32_t enter(struct pvm_engine *e, struct native_context *context,
                      const uint8_t *at)
{
    const struct native_unit *unit = e->program->unit;
    uint8_t *area = (uint8_t *)context;
    struct native_context seen;
    if (unit->sandboxed) {
        if (!enter_sandbox(e, area, at, &seen))
            return (uint32_t)EXIT_LOST << EXIT_SHIFT;
        return left_with(e, &seen, area);
    }
    context_fill(e, area, at, context);
    ((enter_fn *)(uintptr_t)(unit->code + unit->enter))();
    return left_with(e, context, area);
}

/* ---- what native code asks: answers the address to go on at, or NULL ---- */

static const uint8_t *bridge(struct pvm_engine *e);

static const uint8_t *lost(struct pvm_engine *e)
{
    pvm_sandbox_give_up(e->program->sandbox);
    pvm_engine_exit(e, NULL, PVM_EXIT_LOST, 0, false);
    return NULL;
}

/* A store relies on the reserve of its block, which a worker may say has been spent. */
static bool is_unpayable(const struct pvm_engine *e, uint8_t op)
{
    const struct native_unit *unit = e->program->unit;
    return unit->sandboxed && unit->pages_cost &&
           (pvm_op_info[op].flags & PVM_OP_STORE) &&
           gas_true(e) < pvm_gas_reserve(&e->program->config, 1);
}

static const uint8_t *arrive(struct pvm_engine *e, uint32_t pc)
{
    const struct native_unit *unit = e->program->unit;
    e->state.pc = pc;
    e->state.charged = false;
    if (MUTANT(arrive_marked, pvm_code_marked(e->program->code, pc),
               pvm_program_block_start(e->program, pc)))
        return unit->code + unit->block[native_block_at(e->program, pc)].label;
    return bridge(e);
}

/* Execute the instruction in e->step; *ret_next is where it flows on to, with NULL
 * answered, unless it jumped or ended. */
static const uint8_t *step(struct pvm_engine *e, uint32_t *ret_next)
{
    uint8_t op = e->step[0].op;
    if (is_unpayable(e, op))
        return lost(e);
    const struct record *next = pvm_loop_handler[op](&e->step[0], e);
    if (!next)
        return NULL;
    if (pvm_op_terminates(e->program->config.profile, op))
        return arrive(e, next->pc);
    *ret_next = next->pc;
    return NULL;
}

/* From the instruction in e->step to the next block start, interpreted. */
static const uint8_t *step_on(struct pvm_engine *e)
{
    e->site_next = 0;
    for (;;) {
        uint32_t next = UINT32_MAX;
        const uint8_t *at = step(e, &next);
        if (next == UINT32_MAX)
            return at;
        pvm_step_decode(e, next, e->step_left - 1);
    }
}

/* The same from a place that native code cannot be entered at (inside a block, or no
 * instruction). */
static const uint8_t *bridge(struct pvm_engine *e)
{
    e->site_next = 0;
    return pvm_step_resume(e) ? step_on(e) : NULL;
}

/* Has the host refused to protect a page, so that native code has come to its end? */
static bool is_open(const struct pvm_engine *e)
{
    const struct native_unit *unit = e->program->unit;
    return running.mem->unguardable && !unit->options.explicit_checks &&
           !unit->sandboxed;
}

/* The address `at` to go on at, in a paid block at `pc`, of which `ahead` instructions
 * have been counted and not executed.  Where native code has come to its end, the state
 * says the same, for bridge(). */
static const uint8_t *go_on(struct pvm_engine *e, const uint8_t *at, uint32_t pc,
                            uint64_t ahead)
{
    if (is_open(e)) {
        e->state.pc = pc;
        e->state.charged = true;
        e->state.icount -= ahead;
    }
    return at;
}

static const uint8_t *pay(struct pvm_engine *e, uint32_t number)
{
    const struct native_unit *unit = e->program->unit;
    const struct native_block *block = &unit->block[number];
    const uint64_t *cost = native_cost(unit, number);
    struct block_entry entry = {
        .block = block->pc,
        .visit_count = cost[0] & METER_INSN_MASK,
        .need = native_gas_of(cost[0]),
        .need_reserve = native_gas_of(cost[0]),
    };
    if (cost[0] == METER_ASK)
        entry = pvm_block_entry(e->program, block->pc,
                                pvm_visits_from(e->program, block->pc));
    else if (unit->pages_cost)
        entry.need_reserve =
            native_gas_of(cost[unit->keeps_path || unit->keeps_hash ? 2 : 1]);
    if (!pvm_pay_block(e, &entry, block->pc))
        return NULL;
    uint32_t behind = MUTANT(native_pays_twice, block->label, block->entry);
    return go_on(e, unit->code + behind, block->pc, entry.visit_count);
}

/* Visits of the site's block from its instruction on. */
static inline uint64_t visits_left(const struct pvm_engine *e,
                                   const struct native_site *site)
{
    const struct native_unit *unit = e->program->unit;
    uint64_t cost = *native_cost(unit, native_site_block(unit, site));
    if (cost == METER_ASK || unit->options.unmetered)
        return pvm_visits_from(e->program, site->pc);
    return (cost & METER_INSN_MASK) - site->index;
}

/* The exit that a call is. */
static struct pvm_outcome call_at(const struct native_unit *unit,
                                  const struct native_site *site, const uint64_t *reg)
{
    int32_t x = unit->call[site->call].x;
    if (site->op == PVM_OP_ecall)
        return (struct pvm_outcome){
            PVM_EXIT_ECALL, MUTANT(native_ecall_wide, reg[11], (uint32_t)reg[11])};
    return (struct pvm_outcome){PVM_EXIT_HOST_CALL,
                                MUTANT(native_ecalli_zero, (uint32_t)x, (uint64_t)x)};
}

static uint32_t behind_call(const struct native_unit *unit,
                            const struct native_site *site)
{
    return site->pc + MUTANT(native_call_size, 1, unit->call[site->call].size);
}

/* End the run at a call; what is left to do with it is what an interpreted one needs.
 */
static const uint8_t *leave_at_call(struct pvm_engine *e,
                                    const struct native_site *site)
{
    const struct native_unit *unit = e->program->unit;
    struct pvm_outcome call = call_at(unit, site, e->state.reg);
    e->step_left = visits_left(e, site);
    e->step[0].op = site->op;
    e->step[0].pc = site->pc;
    e->step[1].pc = behind_call(unit, site);
    e->site_next = native_site_next(site);
    (void)pvm_engine_exit(e, &e->step[0], call.exit, call.arg, true);
    return NULL;
}

static const uint8_t *step_site(struct pvm_engine *e, const struct native_site *site)
{
    const struct native_unit *unit = e->program->unit;
    uint64_t left = visits_left(e, site);
    const uint8_t *at = NULL;
    uint32_t pc = site->pc, next = pc;
    if (site->parked) { /* nobody would put the stack into the register again */
        pvm_step_decode(e, pc, left);
        return step_on(e);
    }
    e->site_next = native_site_next(site);
    for (uint32_t k = 0;
         k < MUTANT(native_step_one, 1, site->count) && next != UINT32_MAX; k++) {
        pc = next;
        next = UINT32_MAX;
        pvm_step_decode(e, pc, left - k);
        at = step(e, &next);
    }
    if (next == UINT32_MAX)
        return at;
    return go_on(e, unit->code + native_site_next(site), next, e->step_left - 1);
}

static const uint8_t *answer(struct pvm_engine *e, uint32_t exit)
{
    const struct native_unit *unit = e->program->unit;
    uint32_t index = exit & EXIT_INDEX;
    switch (exit >> EXIT_SHIFT) {
    case EXIT_GAS:
        return pay(e, index);
    case EXIT_STEP:
        return step_site(e, &unit->site[index]);
    case EXIT_GOTO:
        return arrive(e, unit->site[index].pc);
    case EXIT_CALL:
        return leave_at_call(e, &unit->site[index]);
    case EXIT_LOST:
        return lost(e);
    default:
        check(!"an exit that no stub makes");
        return NULL;
    }
}

/* ---- running ---- */

static bool protect(struct pvm_mem *mem, void *start, size_t size, unsigned host)
{
    (void)mem;
    enum os_protection protection = host == MEM_HOST        ? OS_PROTECT_RW
                                    : host == MEM_HOST_READ ? OS_PROTECT_R
                                                            : OS_PROTECT_NONE;
    return !os_protect(start, size, protection);
}

/* The memory to run on, guarded where the code relies on it; NULL: cannot be. */
static struct pvm_mem *memory_of(struct pvm_engine *e)
{
    struct pvm_mem *mem = e->state.mem;
    if (!mem && !no_memory) {
        void *reservation = NULL;
        if (os_reserve(PVM_MEM_RESERVE_SIZE, &reservation))
            return NULL;
        no_memory = pvm_mem_init(reservation);
    }
    if (!mem)
        mem = no_memory;
    bool explicit_checks = e->program->unit->options.explicit_checks;
    if (e->program->sandbox)
        return pvm_sandbox_prepare(e->program->sandbox, e->program->unit, mem,
                                   !explicit_checks)
                   ? mem
                   : NULL;
    if (explicit_checks)
        return mem;
    if (os_fault_stack_ensure() || !pvm_mem_guard(mem, protect))
        return NULL;
    return mem;
}

/* Without memory that the code can run on: all of it interpreted, block by block. */
static void interpret(struct pvm_engine *e)
{
    while (bridge(e))
        continue;
}

static bool begins_behind_call(const struct pvm_engine *e)
{
    return e->site_next && e->step[1].pc == e->state.pc &&
           e->state.charged == e->call_charged;
}

/* The address to begin at: behind the call that has just been answered, if so. */
static const uint8_t *begin_at(struct pvm_engine *e)
{
    const uint8_t *at = NULL;
    if (begins_behind_call(e) && e->state.charged) {
        e->state.icount += e->step_left - 1;
        at = e->program->unit->code + e->site_next;
    } else if (e->state.charged) {
        at = bridge(e);
    } else {
        at = arrive(e, e->state.pc);
    }
    e->site_next = 0;
    return at;
}

/* Make `mem` what native code on this thread works on. */
static void work_on(const struct native_unit *unit, struct pvm_mem *mem)
{
    running = (struct frame){unit, mem};
    os_gs_base_set(mem->base);
}

void pvm_native_begin(struct native_session *session, const struct pvm_host *host)
{
    runs_begun++;
    session->host = host;
    session->outer_unit = running.unit;
    session->outer_mem = running.mem;
    session->outer_gs = os_gs_base_get();
    session->mem = NULL;
}

void pvm_native_end(const struct native_session *session)
{
    running = (struct frame){session->outer_unit, session->outer_mem};
    os_gs_base_set(session->outer_gs);
}

/* See to the memory, which the host may have exchanged since the last run; false: there
 * is none to run on, and all has been done without. */
static bool take_memory(struct pvm_engine *e, struct native_session *session)
{
    const struct pvm_sandbox *sandbox = e->program->sandbox;
    if (session->mem && session->mem == e->state.mem && !sandbox &&
        !session->mem->unguardable && !session->mem->stale)
        return true;
    struct pvm_mem *mem = memory_of(e);
    session->mem = mem;
    if (mem)
        work_on(e->program->unit, mem);
    else if (sandbox && pvm_sandbox_err(sandbox))
        (void)lost(e);
    else
        interpret(e);
    return mem != NULL;
}

/* At a call that nobody observes: let the host answer it with the caller's state, whose
 * registers native code works on, and go on if it has left pc and memory as they are.
 * The engine's own state stays behind; what counts in it is the instructions. */
static enum native_result ask_host(struct pvm_engine *e, struct native_session *session,
                                   const struct native_site *site,
                                   const struct native_unit *unit,
                                   struct native_context *context)
{
    struct pvm_state *s = e->caller;
    const struct native_call *known = &unit->call[site->call];
    struct pvm_outcome call = call_at(unit, site, s->reg);
    bool ends = known->ends;
    uint64_t left = known->left ? known->left : visits_left(e, site);
    uint64_t ahead = ends ? 0 : left - 1;
    uint32_t next_pc = behind_call(unit, site);
    meter_read(e, unit, context->meter);
    s->gas = gas_true(e);
    s->icount = e->state.icount - ahead;
    s->pc = next_pc;
    s->charged = !ends;
    session->outcome = call;
    if (session->host->ecall(session->host->self, s, call.exit, call.arg, site->pc,
                             &session->outcome) == PVM_ANSWER_EXIT)
        return NATIVE_ENDED;
    if (s->pc != next_pc || s->charged == ends || s->mem != session->mem ||
        session->mem->unguardable || session->mem->stale)
        return NATIVE_MOVED;
    bool same_gas = s->gas == gas_true(e);
    if (!same_gas)
        pvm_gas_show(e, s->gas);
    if (!same_gas || !unit->plain_meter)
        meter_show(e, context);
    context->regs = (uintptr_t)s->reg;
    context->resume = (uintptr_t)unit->code + native_site_next(site);
    return NATIVE_EXIT;
}

/* Run from `at`, and answer calls on the way.  NATIVE_EXIT: *ret_exit is what came up
 * that is no call, and the engine's state is there. */
static enum native_result enter_and_answer(struct pvm_engine *e,
                                           struct native_session *session,
                                           struct native_context *context,
                                           const uint8_t *at, uint32_t *ret_exit)
{
    const struct native_unit *unit = e->program->unit;
    uint8_t *area = (uint8_t *)context;
    context_fill(e, area, at, context);
    context->regs = (uintptr_t)e->caller->reg;
    regs_copy(e->caller->reg, e->state.reg);
    ((enter_fn *)(uintptr_t)(unit->code + unit->enter))();
    while ((uint32_t)context->exit >> EXIT_SHIFT == EXIT_CALL) {
        uint64_t runs = runs_begun;
        enum native_result result =
            ask_host(e, session, &unit->site[(uint32_t)context->exit & EXIT_INDEX],
                     unit, context);
        if (result != NATIVE_EXIT)
            return result;
        if (runs != runs_begun) /* the host has run something, maybe on this memory */
            stack_begin(unit, area, context);
        ((enter_fn *)(uintptr_t)(unit->code + unit->enter))();
    }
    regs_copy(e->state.reg, e->caller->reg);
    *ret_exit = left_with(e, context, area);
    return NATIVE_EXIT;
}

/* A block that is no work to interpret. */
enum { FIRST_BLOCK_COUNT = 8, FIRST_BLOCK_SIZE = 256 };

static bool is_short_block(const struct pvm_engine *e)
{
    const struct native_unit *unit = e->program->unit;
    if (!pvm_program_block_start(e->program, e->state.pc))
        return false;
    uint32_t next = native_block_at(e->program, e->state.pc) + 1;
    size_t end =
        next < unit->block_count ? unit->block[next].pc : e->program->code->code.size;
    return end - e->state.pc <= FIRST_BLOCK_SIZE;
}

/* Before native code meets memory that is new to it, interpret a few blocks: stores to
 * the stack and to the first pages of data then need neither signals nor changes of
 * protection.  False: that was the run. */
static bool interpret_first(struct pvm_engine *e)
{
    const struct pvm_recomp_options *options = &e->program->unit->options;
    const struct pvm_mem *mem = e->state.mem;
    if (!options->interpret_first || options->unmetered || !mem || e->state.charged ||
        (mem->protect && !mem->stale))
        return true;
    for (unsigned k = 0; k < FIRST_BLOCK_COUNT && is_short_block(e); k++) {
        if (!bridge(e))
            return false;
    }
    return true;
}

enum native_result pvm_native_run(struct pvm_engine *e, struct native_session *session)
{
    if (!interpret_first(e) || !take_memory(e, session))
        return NATIVE_EXIT;
    const struct native_unit *unit = e->program->unit;
    struct native_context *context = context_of(session->mem->base);
    bool answers = session->host && !unit->sandboxed && !unit->options.unmetered &&
                   e->program->log == PVM_GAS_LOG_NONE;
    const uint8_t *at = begin_at(e);
    while (at && !is_open(e)) {
        uint32_t exit = 0;
        enum native_result result = NATIVE_EXIT;
        if (answers)
            result = enter_and_answer(e, session, context, at, &exit);
        else
            exit = enter(e, context, at);
        if (result != NATIVE_EXIT)
            return result;
        at = answer(e, exit);
    }
    if (at)
        interpret(e);
    return NATIVE_EXIT;
}
