/* SPDX-License-Identifier: MIT
 *
 * Running a program, whatever engine executes it: block entries with their charges,
 * deadlines, exits, and the caller's calls [1.3, 7.4, 8, 9].
 */
#include "pvm/engine.h"
#include "pvm/gas.h"
#include "pvm/mutant.h"

/* ---- ends ---- */

const struct record *pvm_engine_exit(struct pvm_engine *e, const struct record *ip,
                                     enum pvm_exit exit, uint64_t arg, bool retired)
{
    e->outcome = (struct pvm_outcome){.exit = exit, .arg = arg};
    e->exit_ip = ip;
    e->exit_retired = retired;
    return NULL;
}

/* ---- block entry ---- */

void pvm_gas_show(struct pvm_engine *e, uint64_t gas)
{
    /* Shown gas is used up exactly when the true value has passed the deadline. */
    uint64_t shown = gas;
    if (e->armed)
        shown = gas > e->gas_stop ? MUTANT(deadline_shown, gas - e->gas_stop + 1,
                                           gas - e->gas_stop - 1)
                                  : 0;
    e->gas_shown = shown < GAS_SHOWN_MAX ? shown : GAS_SHOWN_MAX;
    e->gas_hidden = gas - e->gas_shown;
}

static void arm(struct pvm_engine *e, int64_t gas_stop)
{
    e->armed = gas_stop >= 0;
    e->gas_stop = (uint64_t)gas_stop;
}

/* Let the caller's state be looked at, and changed, by a callback. */
static void state_out(struct pvm_engine *e)
{
    state_copy(e->caller, &e->state);
}

/* Tell the observer about a deadline that has come; false if it ends the run. */
static bool deadlines(struct pvm_engine *e)
{
    while (e->armed && MUTANT(deadline_late, e->state.gas < e->gas_stop,
                              e->state.gas <= e->gas_stop)) {
        int64_t next = PVM_GAS_STOP_NEVER;
        e->state.charged = false;
        state_out(e);
        if (!e->observer->deadline(e->observer->self, e->caller, &next))
            return false;
        check(next < 0 || (uint64_t)next < e->gas_stop); /* or this would not end */
        arm(e, next);
    }
    return true;
}

void pvm_log_charge(struct pvm_engine *e, enum pvm_charge_kind kind, uint32_t where,
                    uint64_t cost)
{
    if (e->program->log == PVM_GAS_LOG_SUMMARY)
        e->acc = summary_step(e->acc, summary_term(kind, where, cost));
    if (e->program->log == PVM_GAS_LOG_EACH && e->observer && e->observer->charge) {
        state_out(e);
        e->observer->charge(e->observer->self, e->caller, kind, where, cost);
    }
}

struct block_entry pvm_block_entry(const struct pvm_program *program, uint32_t block,
                                   uint64_t visit_count)
{
    struct pvm_walk walk = pvm_code_walk(program->code, &program->config, block);
    return (struct block_entry){
        .block = block,
        .visit_count = visit_count,
        .need = walk.need,
        .need_reserve = walk.need + pvm_gas_reserve(&program->config, walk.store_count),
    };
}

bool pvm_pay_block(struct pvm_engine *e, const struct block_entry *entry, uint32_t pc)
{
    struct pvm_state *s = &e->state;
    ticks_fold(e);
    s->gas = gas_true(e);
    s->pc = MUTANT(gas_stop_pc, entry->block, pc);
    if (e->segment.full) {
        pvm_segment_finish(e, PVM_SEGMENT_SPLIT_BLOCK, pc);
        pvm_segment_begin(e, pc, false, s->gas);
    }
    if (!deadlines(e)) {
        e->gas_hidden -= MUTANT(deadline_costs, 1, 0);
        pvm_engine_exit(e, NULL, PVM_EXIT_STOPPED, 0, false);
        return false;
    }
    uint64_t wanted = MUTANT(reserve_missing, entry->need, entry->need_reserve);
    if (MUTANT(gas_at_cost, s->gas <= wanted,
               MUTANT(gas_signed, (int64_t)s->gas < (int64_t)wanted,
                      MUTANT(gas_32, (uint32_t)s->gas < (uint32_t)wanted,
                             s->gas < wanted)))) {
        pvm_engine_exit(e, NULL, PVM_EXIT_OUT_OF_GAS, 0, false);
        return false;
    }
    s->gas -= MUTANT(reserve_debited, entry->need_reserve, entry->need);
    s->charged = true;
    e->segment.n++;
    pvm_log_charge(e, PVM_CHARGE_BLOCK, entry->block, entry->need);
    s->icount += entry->visit_count;
    pvm_gas_show(e, s->gas);
    return true;
}

const struct record *pvm_enter_block(struct pvm_engine *e, const struct record *h)
{
    struct block_entry entry = {
        .block = h->pc,
        .visit_count = h->tick & TICK_INSNS,
        .need = h->need,
        .need_reserve = h->need_reserve,
    };
    if (h->need_reserve == NEED_ASK)
        entry = pvm_block_entry(e->program, h->pc, h->tick & TICK_INSNS);
    return pvm_pay_block(e, &entry, h->pc) ? h + 1 : NULL;
}

/* ---- instructions without a record ---- */

uint64_t pvm_unretired(const struct pvm_engine *e, const struct record *ip)
{
    if (ip == &e->step[0])
        return e->step_left;
    const struct record *h = pvm_program_header_of(e->program, ip);
    return (h->tick & TICK_INSNS) - (uint64_t)(ip - h - MUTANT(unretired_off, 0, 1));
}

void pvm_step_decode(struct pvm_engine *e, uint32_t pc, uint64_t left)
{
    const struct pvm_program *program = e->program;
    struct pvm_insn insn = {.pc = pc, .op = PVM_OP_trap, .size = 1};
    (void)pvm_insn_decode(program->code, program->config.profile, pc, &insn);
    e->step_left = left;
    e->step[0] = (struct record){
        .x = (uint64_t)insn.x,
        .y = (uint64_t)insn.y,
        .a = (uint8_t)(insn.a * 8),
        .b = (uint8_t)(insn.b * 8),
        .d = (uint8_t)(insn.d * 8),
        .op = insn.op,
        .pc = pc,
    };
    e->step[1] = (struct record){.op = RECORD_HEADER, .pc = pc + insn.size};
    e->step[2] = (struct record){.op = RECORD_HEADER};
    if (!(pvm_op_info[insn.op].flags & (PVM_OP_COND | PVM_OP_JUMP)))
        return;
    e->step[0].target = NULL;
    if (insn.target < 0 || insn.target > UINT32_MAX ||
        !pvm_program_block_start(program, (uint32_t)insn.target))
        return;
    e->step[2].pc = (uint32_t)insn.target;
    e->step[0].target = &e->step[2];
}

uint64_t pvm_visits_from(const struct pvm_program *program, uint32_t pc)
{
    return pvm_code_walk(program->code, &program->config, pc).visit_count;
}

bool pvm_step_resume(struct pvm_engine *e)
{
    struct pvm_state *s = &e->state;
    uint64_t left = pvm_visits_from(e->program, s->pc);
    if (s->charged &&
        MUTANT(step_start_pays, !pvm_program_block_start(e->program, s->pc), true)) {
        s->icount += left;
    } else {
        uint32_t block = pvm_program_block_of(e->program, s->pc);
        struct block_entry entry =
            pvm_block_entry(e->program, MUTANT(step_pays_rest, s->pc, block), left);
        if (!pvm_pay_block(e, &entry, s->pc))
            return false;
    }
    pvm_step_decode(e, s->pc, left);
    return true;
}

/* ---- running ---- */

enum err pvm_engine_create(struct arena *arena, struct pvm_engine **ret_engine)
{
    struct pvm_engine *engine = arena_new(arena, struct pvm_engine);
    if (!engine)
        return ERR_nomem;
    *ret_engine = engine;
    return ERR_ok;
}

void pvm_engine_set_dispatch(struct pvm_engine *engine, enum pvm_dispatch dispatch)
{
    engine->dispatch = dispatch;
}

/* A run that begins in the middle of a straight run pays for the block around pc
 * [4.3]; what is behind pc already must not count as instructions. */
static bool pay_inside(struct pvm_engine *e, const struct record *ip)
{
    uint32_t pc = e->state.pc, block = pvm_program_block_of(e->program, pc);
    struct block_entry entry = pvm_block_entry(
        e->program, MUTANT(inside_pays_rest, pc, block), ip ? pvm_unretired(e, ip) : 1);
    return pvm_pay_block(e, &entry, pc);
}

/* The record to go on with at the state's pc, its block paid; NULL at an exit. */
static const struct record *resume(struct pvm_engine *e)
{
    struct pvm_state *s = &e->state;
    const struct record *ip = pvm_program_record_at(e->program, s->pc);
    if (s->charged &&
        MUTANT(resume_start_pays, !pvm_program_block_start(e->program, s->pc), true)) {
        s->icount += ip ? pvm_unretired(e, ip) : 1;
    } else if (ip && pvm_program_block_start(e->program, s->pc)) {
        return pvm_enter_block(e, ip - 1);
    } else if (!pay_inside(e, ip)) {
        return NULL;
    }
    if (ip)
        return ip;
    pvm_step_decode(e, s->pc, 1);
    return pvm_engine_exit(e, &e->step[0], PVM_EXIT_TRAP, 0, false);
}

/* Make the state complete after an exit; true if the exit was an ecall or ecalli. */
static bool complete(struct pvm_engine *e)
{
    struct pvm_state *s = &e->state;
    const struct record *ip = e->exit_ip;
    ticks_fold(e);
    s->gas = MUTANT(gas_stop_zero, ip ? gas_true(e) : 0, gas_true(e));
    if (!ip) { /* at an unpaid block entry */
        s->charged = false;
        return false;
    }
    bool call =
        e->outcome.exit == PVM_EXIT_HOST_CALL || e->outcome.exit == PVM_EXIT_ECALL;
    bool ends = pvm_op_terminates(e->program->config.profile, ip->op);
    if (!(ends && e->exit_retired))
        s->icount -=
            pvm_unretired(e, ip) - MUTANT(exit_not_retired, false, e->exit_retired);
    s->pc = ip->pc;
    if (call && ip == &e->step[0])
        s->pc = MUTANT(native_call_own_pc, ip->pc, e->step[1].pc);
    else if (call)
        s->pc += MUTANT(call_own_pc, 0, 1 + pvm_code_skip(e->program->code, ip->pc));
    s->charged =
        MUTANT(call_stays_charged, true,
               MUTANT(call_uncharged, !call,
                      MUTANT(fault_uncharged, call && !ends, !(call && ends))));
    return call;
}

static enum pvm_segment_end segment_end_of(enum pvm_exit exit)
{
    switch (exit) {
    case PVM_EXIT_HALT:
        return PVM_SEGMENT_HALT;
    case PVM_EXIT_PANIC:
        return PVM_SEGMENT_PANIC;
    case PVM_EXIT_OUT_OF_GAS:
        return PVM_SEGMENT_OUT_OF_GAS;
    case PVM_EXIT_PAGE_FAULT:
        return PVM_SEGMENT_PAGE_FAULT;
    case PVM_EXIT_HOST_CALL:
    case PVM_EXIT_ECALL:
        return PVM_SEGMENT_ECALL;
    case PVM_EXIT_STOPPED:
        return PVM_SEGMENT_STOPPED;
    case PVM_EXIT_LOST:  /* ends no segment */
    case PVM_EXIT_BREAK: /* nor does this */
    case PVM_EXIT_TRAP:
    default:
        return PVM_SEGMENT_TRAP;
    }
}

static void dispatch(const struct record *ip, struct pvm_engine *e)
{
    if (ip->threaded && e->dispatch != PVM_DISPATCH_LOOP) {
        pvm_threaded_run(ip, e);
        return;
    }
    while (ip && !(e->program->break_at && pvm_program_breaks(e->program, ip)))
        ip = pvm_loop_handler[ip->op](ip, e);
    if (ip)
        pvm_engine_exit(e, ip, PVM_EXIT_BREAK, 0, false);
}

/* Take over the caller's state and begin a segment. */
static void begin(struct pvm_engine *e)
{
    state_copy(&e->state, e->caller);
    e->ticks = 0;
    pvm_gas_show(e, e->state.gas);
    pvm_segment_begin(e, e->state.pc, e->state.charged, e->state.gas);
}

static void attach(struct pvm_engine *e, const struct pvm_program *program,
                   struct pvm_state *state, const struct pvm_observer *observer)
{
    e->caller = state;
    e->program = program;
    e->observer = observer;
    e->jump = program->jump;
    e->jump_count = program->code->jump_count;
    e->site_next = MUTANT(native_site_kept, e->site_next, 0);
    e->armed = false;
    if (observer && observer->deadline)
        arm(e, observer->gas_stop);
    begin(e);
}

/* After the handler of an ecall at `ip` said to continue: where to. */
static const struct record *resume_behind(struct pvm_engine *e, const struct record *ip,
                                          uint32_t next_pc)
{
    if (e->state.pc != next_pc || e->state.charged)
        return resume(e);
    return pvm_enter_block(e,
                           ip + 1); /* a header follows each terminator that flows on */
}

/* What an exit asks for: report the segment, and let the host answer a call.  True: go
 * on; else *ret_outcome is how the run ends. */
static bool answered(struct pvm_engine *e, const struct pvm_host *host,
                     struct pvm_outcome *ret_outcome)
{
    const struct record *ip = e->exit_ip;
    bool call = complete(e);
    e->call_charged = e->state.charged;
    uint32_t pc = ip ? ip->pc : e->state.pc;
    pvm_segment_finish(e, segment_end_of(e->outcome.exit), pc);
    state_out(e);
    *ret_outcome = e->outcome;
    if (!call || !host || !host->ecall)
        return false;
    return host->ecall(host->self, e->caller, e->outcome.exit, e->outcome.arg, pc,
                       ret_outcome) == PVM_ANSWER_CONTINUE;
}

static struct pvm_outcome run_records(struct pvm_engine *e, const struct pvm_host *host)
{
    const struct record *ip = resume(e);
    struct pvm_outcome outcome;
    for (;;) {
        if (ip)
            dispatch(ip, e);
        ip = e->exit_ip;
        if (!answered(e, host, &outcome))
            return outcome;
        uint32_t next_pc = e->state.pc;
        begin(e);
        ip = resume_behind(e, ip, next_pc);
    }
}

static struct pvm_outcome run_native(struct pvm_engine *e, const struct pvm_host *host)
{
    struct native_session session;
    struct pvm_outcome outcome;
    pvm_native_begin(&session, e->observer || !host || !host->ecall ? NULL : host);
    for (;;) {
        enum native_result result = pvm_native_run(e, &session);
        outcome = result == NATIVE_ENDED ? session.outcome : e->outcome;
        if (result == NATIVE_ENDED || outcome.exit == PVM_EXIT_LOST)
            break;
        if (result == NATIVE_EXIT && !answered(e, host, &outcome))
            break;
        begin(e);
    }
    pvm_native_end(&session);
    return outcome;
}

struct pvm_outcome pvm_run(struct pvm_engine *e, const struct pvm_program *program,
                           struct pvm_state *state, const struct pvm_host *host,
                           const struct pvm_observer *observer)
{
    attach(e, program, state, observer);
    return program->unit ? run_native(e, host) : run_records(e, host);
}

/* After an instruction that has retired: undo what its block has counted ahead. */
static void complete_step(struct pvm_engine *e, const struct record *ip,
                          const struct record *next)
{
    struct pvm_state *s = &e->state;
    bool ends = pvm_op_terminates(e->program->config.profile, ip->op);
    if (!ends && e->program->unit)
        s->icount -= e->step_left - 1;
    else if (!ends)
        s->icount -= pvm_unretired(e, next);
    s->gas = gas_true(e);
    s->pc = next->pc;
    s->charged = MUTANT(step_stays_charged, true, !ends);
}

bool pvm_step(struct pvm_engine *e, const struct pvm_program *program,
              struct pvm_state *state, struct pvm_outcome *ret_outcome)
{
    attach(e, program, state, NULL);
    const struct record *ip = NULL, *next = NULL;
    if (!program->unit)
        ip = resume(e);
    else if (pvm_step_resume(e))
        ip = &e->step[0];
    if (ip)
        next = pvm_loop_handler[ip->op](ip, e);
    if (next)
        complete_step(e, ip, next);
    else
        (void)complete(e);
    state_out(e);
    if (!next)
        *ret_outcome = e->outcome;
    return next != NULL;
}

const char *pvm_exit_name(enum pvm_exit exit)
{
    switch (exit) {
    case PVM_EXIT_HALT:
        return "halt";
    case PVM_EXIT_PANIC:
        return "panic";
    case PVM_EXIT_OUT_OF_GAS:
        return "out-of-gas";
    case PVM_EXIT_PAGE_FAULT:
        return "page-fault";
    case PVM_EXIT_HOST_CALL:
        return "host-call";
    case PVM_EXIT_ECALL:
        return "ecall";
    case PVM_EXIT_TRAP:
        return "trap";
    case PVM_EXIT_STOPPED:
        return "stopped";
    case PVM_EXIT_BREAK:
        return "break";
    case PVM_EXIT_LOST:
        return "lost";
    default:
        return "?";
    }
}
