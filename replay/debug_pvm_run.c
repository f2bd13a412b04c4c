/* SPDX-License-Identifier: MIT
 *
 * Running a PVM program up to a position, a breakpoint or a watchpoint.
 *
 * An engine stops at a block entry that gas decides, a position is a number of
 * instructions.  From the block table we know how many instructions a unit of gas buys
 * at most, and how many the longest block has; so gas is chosen that cannot pass the
 * position, again and again, and the last instructions are single steps.
 */
#include "replay/debug_pvm.h"

#include "base/hash.h"
#include "trace/ledger.h"

#include <stdlib.h>
#include <string.h>

/* Between two runs of the engine we look for an interrupt. */
enum { STEPS_PER_POLL = 4096, RATIO_ONE = 16 };

void replay_debug_pvm_settle(struct debug_pvm *g)
{
    struct pvm_state *state = &g->session->state;
    if (!state->charged || !pvm_program_block_start(g->program, state->pc))
        return;
    state->gas += pvm_code_walk(pvm_program_code(g->program),
                                pvm_program_config(g->program), state->pc)
                      .need;
    state->charged = false;
}

enum err replay_debug_pvm_measure(struct debug_pvm *g)
{
    struct buf table;
    struct arena arena;
    struct trace_blocks blocks;
    buf_init(&table, (size_t)1 << 30);
    arena_init(&arena, (size_t)2 << 30);
    pvm_program_put_blocks(g->program, g->setup.pc, &table);
    enum err err = table.err;
    if (!err)
        err = trace_blocks_parse(&arena, buf_bytes(&table), &blocks);
    for (size_t i = 0; !err && i < blocks.count; i++) {
        const struct trace_block *block = &blocks.block[i];
        uint64_t ratio = UINT64_MAX / RATIO_ONE; /* free: single steps */
        if (block->cost)
            ratio = ((uint64_t)block->insn_count * RATIO_ONE + block->cost - 1) /
                    block->cost;
        if (ratio > g->insns_per_gas_16)
            g->insns_per_gas_16 = ratio;
        if (block->insn_count > g->insns_max)
            g->insns_max = block->insn_count;
    }
    if (!g->insns_per_gas_16)
        g->insns_per_gas_16 = RATIO_ONE;
    arena_fini(&arena);
    buf_fini(&table);
    return err;
}

/* ---- stops ---- */

static int compare_pc(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static bool breaks_at(const struct debug_pvm *g, uint32_t pc)
{
    return g->break_count && bsearch(&pc, g->break_pc, g->break_count,
                                     sizeof *g->break_pc, compare_pc) != NULL;
}

/* Make the machine heed the stops, or forget them. */
static void arm(struct debug_pvm *g, bool on)
{
    if (g->armed == on)
        return;
    g->armed = on;
    for (size_t i = 0; i < g->break_count; i++) /* its memory is there already */
        (void)!pvm_program_break(g->program, &g->arena, g->break_pc[i], on);
    pvm_mem_watch(g->session->state.mem, on ? g->watch : NULL, on ? g->watch_count : 0);
}

/* Ignore watchpoints for one instruction. */
static void watch(struct debug_pvm *g, bool on)
{
    if (g->armed && g->watch_count)
        pvm_mem_watch(g->session->state.mem, on ? g->watch : NULL,
                      on ? g->watch_count : 0);
}

bool replay_debug_pvm_watch(const struct replay_watch *from, struct pvm_watch *to)
{
    if (!from->size || from->address > UINT32_MAX)
        return false;
    uint64_t last = from->address + (from->size - 1);
    to->first = (uint32_t)from->address;
    to->last = last < from->address || last > UINT32_MAX ? UINT32_MAX : (uint32_t)last;
    to->access = (from->access & REPLAY_WATCH_READ ? PVM_WATCH_LOAD : 0u) |
                 (from->access & REPLAY_WATCH_WRITE ? PVM_WATCH_STORE : 0u);
    return true;
}

static void take_breaks(struct debug_pvm *g, const uint64_t *address, size_t count)
{
    g->break_count = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t pc = address[i] - DEBUG_PVM_CODE_BASE;
        /* What is no instruction is never reached.  This also gets the memory that
         * arm() needs. */
        if (pc <= UINT32_MAX &&
            !pvm_program_break(g->program, &g->arena, (uint32_t)pc, false))
            g->break_pc[g->break_count++] = (uint32_t)pc;
    }
    if (g->break_count)
        qsort(g->break_pc, g->break_count, sizeof *g->break_pc, compare_pc);
}

enum err replay_debug_pvm_set_stops(void *self, const uint64_t *break_address,
                                    size_t break_count,
                                    const struct replay_watch *watches,
                                    size_t watch_count)
{
    struct debug_pvm *g = self;
    if (break_count > DEBUG_PVM_BREAK_MAX || watch_count > DEBUG_PVM_WATCH_MAX)
        return ERR_limit;
    uint32_t *pcs = malloc((break_count + 1) * sizeof *pcs);
    struct pvm_watch *own = malloc((watch_count + 1) * sizeof *own);
    if (!pcs || !own) {
        free(pcs);
        free(own);
        return ERR_nomem;
    }
    arm(g, false);
    free(g->break_pc);
    free(g->watch);
    g->break_pc = pcs;
    g->watch = own;
    take_breaks(g, break_address, break_count);
    g->watch_count = 0;
    for (size_t i = 0; i < watch_count; i++)
        g->watch_count += replay_debug_pvm_watch(&watches[i], &own[g->watch_count]);
    return ERR_ok;
}

/* ---- calls ---- */

/* The recorded call at `icount`. */
static enum err read_call(struct debug_pvm *g, uint64_t icount,
                          struct trace_pvm_ecall *ret_event)
{
    struct trace_record record;
    bool end = false;
    if (g->reader_icount == UINT64_MAX || g->reader_icount > icount) {
        g->reader_icount = UINT64_MAX; /* if it fails */
        TRY(trace_reader_seek_icount(g->reader, icount));
    }
    do {
        TRY(trace_reader_next(g->reader, &record, &end));
        if (end || record.clock.icount > icount) {
            g->reader_icount = UINT64_MAX;
            return ERR_trace_diverged;
        }
    } while (record.clock.icount < icount || record.kind->id != TRACE_ID_pvm_ecall);
    g->reader_icount = icount + 1;
    arena_clear(&g->event);
    return trace_decode_pvm_ecall(g->reader, &record, &g->event, ret_event);
}

/* Does a range list meet a watchpoint? */
static bool meets(struct debug_pvm *g, const struct trace_list_uu *ranges,
                  unsigned access)
{
    for (size_t i = 0; i < ranges->count; i++) {
        uint32_t address = (uint32_t)ranges->item[i].a;
        const struct pvm_watch *hit =
            pvm_mem_watched(g->session->state.mem, address, ranges->item[i].b, access);
        if (!hit)
            continue;
        g->stop.address = address > hit->first ? address : hit->first;
        g->stop.access = hit->access;
        return true;
    }
    return false;
}

/* The call has not been made after all. */
static void undo_call(struct pvm_state *state, uint32_t pc)
{
    state->pc = pc;
    state->icount--;
    state->charged = true;
}

static void serve(struct debug_pvm *g, struct pvm_state *state, uint64_t number,
                  uint32_t pc)
{
    struct trace_pvm_ecall recorded;
    struct replay_ecall e;
    g->call = CALL_NONE;
    g->err = read_call(g, state->icount - 1, &recorded);
    if (!g->err)
        g->err = replay_ecall_redo(g->session, state, number, pc, &recorded, &e);
    if (!g->err && g->testing &&
        (meets(g, &e.event.reads, PVM_WATCH_LOAD) ||
         meets(g, &e.event.writes, PVM_WATCH_STORE))) {
        g->call = CALL_WATCHED;
        undo_call(state, pc);
        return;
    }
    if (!g->err)
        g->err = replay_ecall_apply(&e, state);
    if (g->err) {
        g->call = CALL_FAILED;
        undo_call(state, pc);
        g->reader_icount = UINT64_MAX;
    } else if (e.event.outcome) {
        g->call = CALL_ENDED;
    }
}

static enum pvm_answer on_call(void *self, struct pvm_state *state, enum pvm_exit kind,
                               uint64_t number, uint32_t pc,
                               struct pvm_outcome *ret_outcome)
{
    struct debug_pvm *g = self;
    (void)kind;
    serve(g, state, number, pc);
    if (g->call == CALL_NONE)
        return PVM_ANSWER_CONTINUE;
    *ret_outcome = (struct pvm_outcome){.exit = PVM_EXIT_STOPPED};
    return PVM_ANSWER_EXIT;
}

static bool on_deadline(void *self, struct pvm_state *state, int64_t *ret_gas_stop)
{
    (void)self;
    (void)state;
    (void)ret_gas_stop;
    return false;
}

/* ---- one stretch ---- */

void replay_debug_pvm_watch_met(const struct pvm_program *program,
                                const struct pvm_state *state,
                                struct replay_stop *ret_stop)
{
    struct pvm_insn insn;
    check(pvm_insn_decode(pvm_program_code(program),
                          pvm_program_config(program)->profile, state->pc, &insn));
    struct pvm_insn_access access = pvm_insn_touches(&insn, state->reg);
    const struct pvm_watch *hit =
        pvm_mem_watched(state->mem, access.address, access.size,
                        access.store ? PVM_WATCH_STORE : PVM_WATCH_LOAD);
    check(hit);
    ret_stop->kind = REPLAY_STOP_WATCH;
    ret_stop->access = hit->access;
    /* An access that begins before the range, or wraps, meets its first byte. */
    bool inside = access.address >= hit->first && access.address <= hit->last;
    ret_stop->address = inside ? access.address : hit->first;
}

/* What a BREAK exit stands for: by a breakpoint, or by the access. */
static void name_stop(struct debug_pvm *g, bool pass_break)
{
    const struct pvm_state *state = &g->session->state;
    if (!pass_break && breaks_at(g, state->pc))
        g->stop.kind = REPLAY_STOP_BREAK;
    else
        replay_debug_pvm_watch_met(g->program, state, &g->stop);
}

/* What the machine answered.  True: stopped; else go on. */
static bool stopped(struct debug_pvm *g, struct pvm_outcome outcome, bool pass_break)
{
    if (g->call == CALL_WATCHED) {
        g->stop.kind = REPLAY_STOP_WATCH;
        return true;
    }
    if (g->err)
        return true;
    if (outcome.exit == PVM_EXIT_BREAK) {
        name_stop(g, pass_break);
        return true;
    }
    if (outcome.exit == PVM_EXIT_STOPPED && g->call != CALL_ENDED)
        return false;
    /* The guest has finished: where the trace says, or it diverges. */
    g->stop.kind = REPLAY_STOP_TIME;
    if (g->session->state.icount < g->until->time.icount &&
        g->until->time.icount <= g->end.icount)
        g->err = ERR_trace_diverged;
    return true;
}

/* One instruction.  True: stopped, in front of it or because of it. */
static bool step(struct debug_pvm *g, bool pass_break, bool pass_watch)
{
    struct replay_session *s = g->session;
    struct pvm_outcome outcome = {.exit = PVM_EXIT_STOPPED};
    uint32_t pc = s->state.pc;
    if (g->armed && !pass_break && breaks_at(g, pc)) {
        g->stop.kind = REPLAY_STOP_BREAK;
        return true;
    }
    g->testing = g->armed && !pass_watch;
    if (pass_watch)
        watch(g, false);
    g->call = CALL_NONE;
    bool retired = pvm_step(s->engine, g->program, &s->state, &outcome);
    bool call = outcome.exit == PVM_EXIT_HOST_CALL || outcome.exit == PVM_EXIT_ECALL;
    if (!retired && call) {
        serve(g, &s->state, outcome.arg, pc);
        outcome.exit = PVM_EXIT_STOPPED;
    }
    if (pass_watch)
        watch(g, true);
    return !retired && stopped(g, outcome, true);
}

/* Gas that can be spent without passing the position; 0: step.  Paid for already is
 * what is left of a block, and the last block that is entered may be the longest. */
static uint64_t gas_before(const struct debug_pvm *g)
{
    const struct pvm_state *state = &g->session->state;
    uint64_t left = g->until->time.icount - state->icount;
    uint64_t over = g->insns_max * (state->charged ? 2 : 1);
    if (left <= over)
        return 0;
    left -= over;
    if (left > REPLAY_INTERRUPT_EVERY / 2)
        left = REPLAY_INTERRUPT_EVERY / 2;
    return left * RATIO_ONE / g->insns_per_gas_16;
}

static bool run_slice(struct debug_pvm *g, uint64_t gas)
{
    struct replay_session *s = g->session;
    const struct pvm_host host = {.ecall = on_call, .self = g};
    uint64_t at = debug_pvm_clock(g) + gas;
    at = at < g->until->gas ? at : g->until->gas;
    struct pvm_observer observer = {
        .self = g,
        .deadline = on_deadline,
        .gas_stop =
            at > g->setup.gas ? PVM_GAS_STOP_NEVER : (int64_t)(g->setup.gas - at),
    };
    g->testing = g->armed;
    g->call = CALL_NONE;
    struct pvm_outcome outcome =
        pvm_run(s->engine, g->program, &s->state, &host, &observer);
    return stopped(g, outcome, false);
}

/* Is the run over here? */
static bool arrived(struct debug_pvm *g, bool poll)
{
    const struct replay_until *until = g->until;
    const struct pvm_state *state = &g->session->state;
    g->stop.kind = REPLAY_STOP_TIME;
    if (state->icount >= until->time.icount)
        return true;
    replay_debug_pvm_settle(g);
    if (debug_pvm_clock(g) >= until->gas && !state->charged)
        return true;
    g->stop.kind = REPLAY_STOP_INTERRUPT;
    return poll && until->interrupted && until->interrupted(until->interrupted_self);
}

enum err replay_debug_pvm_run(void *self, const struct replay_until *until,
                              struct replay_stop *ret_stop)
{
    struct debug_pvm *g = self;
    bool pass_break = until->pass_break, pass_watch = until->pass_watch;
    unsigned steps = 0;
    g->until = until;
    g->stop = (struct replay_stop){0};
    g->err = ERR_ok;
    arm(g, until->stops);
    while (!arrived(g, steps % STEPS_PER_POLL == 0)) {
        uint64_t gas = pass_break || pass_watch ? 0 : gas_before(g);
        steps = gas ? 0 : steps + 1;
        if (gas ? run_slice(g, gas) : step(g, pass_break, pass_watch))
            break;
        pass_break = pass_watch = false;
    }
    replay_debug_pvm_settle(g);
    g->stop.time = (struct replay_time){.icount = g->session->state.icount};
    *ret_stop = g->stop;
    return g->err;
}
