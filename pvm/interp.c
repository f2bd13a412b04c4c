/* SPDX-License-Identifier: MIT
 *
 * The interpreter: slow paths, the loop, and running [1.3, 8, 9].
 */
#include "pvm/gas.h"
#include "pvm/interp_ops.h"

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
        shown = gas > e->gas_stop ? gas - e->gas_stop - 1 : 0;
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
    *e->caller = e->state;
}

/* Tell the observer about a deadline that has come; false if it ends the run. */
static bool deadlines(struct pvm_engine *e)
{
    while (e->armed && e->state.gas <= e->gas_stop) {
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

/* Log a charge that has been debited. */
static void log_charge(struct pvm_engine *e, enum pvm_charge_kind kind, uint32_t where,
                       uint64_t cost)
{
    if (e->program->log == PVM_GAS_LOG_SUMMARY)
        e->acc = summary_step(e->acc, summary_term(kind, where, cost));
    if (e->program->log == PVM_GAS_LOG_EACH && e->observer && e->observer->charge) {
        state_out(e);
        e->observer->charge(e->observer->self, e->caller, kind, where, cost);
    }
}

/* What entering a straight run costs and counts. */
struct entry {
    uint32_t block; /* the pc that is charged */
    uint64_t visit_count;
    uint64_t need, need_reserve;
};

static struct entry entry_walk(const struct pvm_program *program, uint32_t block,
                               uint64_t visit_count)
{
    struct pvm_walk walk = pvm_code_walk(program->code, &program->config, block);
    return (struct entry){
        .block = block,
        .visit_count = visit_count,
        .need = walk.need,
        .need_reserve = walk.need + pvm_gas_reserve(&program->config, walk.store_count),
    };
}

/* Pay for an entry at `pc`; the state's pc says where. */
static bool block_pay(struct pvm_engine *e, const struct entry *entry, uint32_t pc)
{
    struct pvm_state *s = &e->state;
    ticks_fold(e);
    s->gas = gas_true(e);
    s->pc = pc;
    if (e->segment.full) {
        pvm_segment_finish(e, PVM_SEGMENT_SPLIT_BLOCK, pc);
        pvm_segment_begin(e, pc, false, s->gas);
    }
    if (!deadlines(e)) {
        pvm_engine_exit(e, NULL, PVM_EXIT_STOPPED, 0, false);
        return false;
    }
    if (s->gas < entry->need_reserve) {
        pvm_engine_exit(e, NULL, PVM_EXIT_OUT_OF_GAS, 0, false);
        return false;
    }
    s->gas -= entry->need;
    s->charged = true;
    e->segment.n++;
    log_charge(e, PVM_CHARGE_BLOCK, entry->block, entry->need);
    s->icount += entry->visit_count;
    pvm_gas_show(e, s->gas);
    return true;
}

const struct record *pvm_enter_block(struct pvm_engine *e, const struct record *h)
{
    struct entry entry = {
        .block = h->pc,
        .visit_count = h->tick & TICK_INSNS,
        .need = h->need,
        .need_reserve = h->need_reserve,
    };
    if (h->need_reserve == NEED_ASK)
        entry = entry_walk(e->program, h->pc, h->tick & TICK_INSNS);
    return block_pay(e, &entry, h->pc) ? h + 1 : NULL;
}

/* ---- memory ---- */

static const struct record *fault(struct pvm_engine *e, const struct record *ip,
                                  struct mem_result result)
{
    if (result.fault == MEM_READ_ONLY &&
        e->program->config.profile == PVM_PROFILE_VECTORS)
        return pvm_engine_exit(e, ip, PVM_EXIT_PANIC, 0, false);
    uint32_t address = result.page * (uint32_t)PVM_PAGE_SIZE;
    return pvm_engine_exit(e, ip, PVM_EXIT_PAGE_FAULT, address, false);
}

const struct record *pvm_load_slow(struct pvm_engine *e, const struct record *ip,
                                   uint32_t address, unsigned size, uint64_t *ret_value)
{
    struct mem_result result = pvm_mem_load(e->state.mem, address, size, ret_value);
    return result.fault ? fault(e, ip, result) : ip;
}

/* Instructions of the current straight run that have not retired before `ip`. */
static uint64_t unretired(const struct pvm_engine *e, const struct record *ip)
{
    if (ip == &e->start_trap)
        return 1;
    const struct record *h = pvm_program_header_of(e->program, ip);
    return (h->tick & TICK_INSNS) - (uint64_t)(ip - h - 1);
}

static void log_page(struct pvm_engine *e, const struct record *ip, uint32_t page)
{
    struct segment *seg = &e->segment;
    seg->extra[seg->extra_count++] = (struct pvm_extra){
        .dn = seg->n - seg->extra_ordinal,
        .dpc = ip->pc - pvm_program_block_of(e->program, ip->pc),
        .kind = PVM_CHARGE_COW,
        .where = page,
        .cost = PVM_GAS_COW,
    };
    seg->extra_ordinal = seg->n;
    if (seg->extra_count == SEGMENT_EXTRA_MAX) {
        pvm_segment_finish(e, PVM_SEGMENT_SPLIT_INSIDE, ip->pc);
        pvm_segment_begin(e, ip->pc, true, e->state.gas);
    }
}

/* Charge the first store into a page: the reserve makes sure that it can be paid. */
static void page_pay(struct pvm_engine *e, const struct record *ip, uint32_t page)
{
    struct pvm_state *s = &e->state;
    if (e->gas_shown < PVM_GAS_COW) {
        check(gas_true(e) >= PVM_GAS_COW);
        e->gas_hidden -= PVM_GAS_COW - e->gas_shown;
        e->gas_shown = PVM_GAS_COW;
    }
    e->gas_shown -= PVM_GAS_COW;
    if (e->program->log == PVM_GAS_LOG_NONE)
        return;
    uint64_t ahead = unretired(e, ip);
    ticks_fold(e);
    s->gas = gas_true(e);
    s->pc = ip->pc;
    s->charged = true;
    s->icount -= ahead; /* exact while an observer looks */
    log_charge(e, PVM_CHARGE_COW, page, PVM_GAS_COW);
    if (e->program->log == PVM_GAS_LOG_LEDGER)
        log_page(e, ip, page);
    s->icount += ahead;
}

const struct record *pvm_store_slow(struct pvm_engine *e, const struct record *ip,
                                    uint32_t address, unsigned size, uint64_t value)
{
    struct pvm_mem *mem = e->state.mem;
    struct mem_result result = pvm_mem_store_check(mem, address, size);
    if (result.fault)
        return fault(e, ip, result);
    bool pays = gas_charges_pages(&e->program->config);
    uint32_t first = address / PVM_PAGE_SIZE;
    uint32_t last = (uint32_t)(address + (size - 1)) / PVM_PAGE_SIZE;
    if (pvm_mem_touch(mem, first) && pays)
        page_pay(e, ip, first);
    if (last != first && pvm_mem_touch(mem, last) && pays)
        page_pay(e, ip, last);
    pvm_mem_store(mem, address, size, value);
    return ip;
}

/* ---- control ---- */

const struct record *pvm_jump_dynamic(struct pvm_engine *e, const struct record *ip,
                                      uint32_t address)
{
    if (address == PVM_HALT_ADDRESS &&
        e->program->config.profile == PVM_PROFILE_VECTORS)
        return pvm_engine_exit(e, ip, PVM_EXIT_HALT, 0, true);
    /* 0 and odd addresses become indices past any table. */
    uint32_t index = (address >> 1 | address << 31) - 1;
    const struct record *h = index < e->jump_count ? e->jump[index] : NULL;
    if (!h)
        return pvm_engine_exit(e, ip, PVM_EXIT_PANIC, 0, false);
    if (e->program->log == PVM_GAS_LOG_LEDGER)
        pvm_segment_target(e, index);
    return h;
}

static const struct record *jump_static(struct pvm_engine *e, const struct record *ip)
{
    return ip->target ? ip->target : pvm_engine_exit(e, ip, PVM_EXIT_PANIC, 0, false);
}

/* ---- the loop's handlers: one per opcode, the definition ---- */

#define A OPERAND(a)
#define B OPERAND(b)
#define HANDLER(name)                                                                  \
    static const struct record *loop_##name(const struct record *i,                    \
                                            struct pvm_engine *e)
#define OP(code, name, format, flags, text) HANDLER(name);
#include "pvm/opcodes.def"

#define UNUSED (void)i, (void)e

#define EFFECT(name, dest, value)                                                      \
    HANDLER(name)                                                                      \
    {                                                                                  \
        OPERAND(dest) = (uint64_t)(value);                                             \
        return i + 1;                                                                  \
    }
#define LOAD_(name, type, address)                                                     \
    HANDLER(name)                                                                      \
    {                                                                                  \
        uint64_t value = 0;                                                            \
        if (!pvm_load_slow(e, i, (uint32_t)(address), sizeof(type), &value))           \
            return NULL;                                                               \
        A = (uint64_t)(type)value;                                                     \
        return i + 1;                                                                  \
    }
#define STORE_(name, type, address, value)                                             \
    HANDLER(name)                                                                      \
    {                                                                                  \
        if (!pvm_store_slow(e, i, (uint32_t)(address), sizeof(type), (value)))         \
            return NULL;                                                               \
        return i + 1;                                                                  \
    }
#define BRANCH(name, condition)                                                        \
    HANDLER(name)                                                                      \
    {                                                                                  \
        bool taken = (condition);                                                      \
        if (e->program->log == PVM_GAS_LOG_LEDGER)                                     \
            pvm_segment_bit(e, taken);                                                 \
        return taken ? jump_static(e, i) : i + 1;                                      \
    }
#include "pvm/effects.def"

HANDLER(trap)
{
    UNUSED;
    return pvm_engine_exit(e, i, PVM_EXIT_TRAP, 0, false);
}

HANDLER(fallthrough)
{
    UNUSED;
    return i + 1;
}

HANDLER(unlikely)
{
    UNUSED;
    return i + 1;
}

HANDLER(ecall)
{
    UNUSED;
    return pvm_engine_exit(e, i, PVM_EXIT_ECALL, (uint32_t)e->state.reg[11], true);
}

HANDLER(ecalli)
{
    UNUSED;
    return pvm_engine_exit(e, i, PVM_EXIT_HOST_CALL, X, true);
}

HANDLER(sbrk)
{
    UNUSED;
    return pvm_engine_exit(e, i, PVM_EXIT_PANIC, 0, false);
}

HANDLER(jump)
{
    UNUSED;
    return jump_static(e, i);
}

HANDLER(load_imm_jump)
{
    UNUSED;
    A = X;
    return jump_static(e, i);
}

HANDLER(jump_ind)
{
    UNUSED;
    return pvm_jump_dynamic(e, i, (uint32_t)(A + X));
}

HANDLER(load_imm_jump_ind)
{
    UNUSED;
    uint32_t address = (uint32_t)(B + Y); /* of the old B: A may be the same register */
    A = X;
    return pvm_jump_dynamic(e, i, address);
}

static const struct record *loop_header(const struct record *i, struct pvm_engine *e)
{
    return pvm_enter_block(e, i);
}

loop_fn *const pvm_loop_handler[256] = {
#define OP(code, name, format, flags, text) [code] = loop_##name,
#include "pvm/opcodes.def"
    [RECORD_HEADER] = loop_header,
};

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
    struct entry entry = entry_walk(e->program, block, ip ? unretired(e, ip) : 1);
    return block_pay(e, &entry, pc);
}

/* The record to go on with at the state's pc, its block paid; NULL at an exit. */
static const struct record *resume(struct pvm_engine *e)
{
    struct pvm_state *s = &e->state;
    const struct record *ip = pvm_program_record_at(e->program, s->pc);
    if (s->charged) {
        s->icount += ip ? unretired(e, ip) : 1;
    } else if (ip && pvm_program_block_start(e->program, s->pc)) {
        return pvm_enter_block(e, ip - 1);
    } else if (!pay_inside(e, ip)) {
        return NULL;
    }
    if (ip)
        return ip;
    e->start_trap = (struct record){.op = PVM_OP_trap, .pc = s->pc};
    return pvm_engine_exit(e, &e->start_trap, PVM_EXIT_TRAP, 0, false);
}

/* Make the state complete after an exit; true if the exit was an ecall or ecalli. */
static bool complete(struct pvm_engine *e)
{
    struct pvm_state *s = &e->state;
    const struct record *ip = e->exit_ip;
    ticks_fold(e);
    s->gas = gas_true(e);
    if (!ip) { /* at an unpaid block entry */
        s->charged = false;
        return false;
    }
    bool call =
        e->outcome.exit == PVM_EXIT_HOST_CALL || e->outcome.exit == PVM_EXIT_ECALL;
    bool ends = pvm_op_terminates(e->program->config.profile, ip->op);
    if (!(ends && e->exit_retired))
        s->icount -= unretired(e, ip) - e->exit_retired;
    s->pc = ip->pc;
    if (call)
        s->pc += 1 + pvm_code_skip(e->program->code, ip->pc);
    s->charged = !(call && ends);
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
    while (ip)
        ip = pvm_loop_handler[ip->op](ip, e);
}

/* Take over the caller's state and begin a segment. */
static void begin(struct pvm_engine *e)
{
    e->state = *e->caller;
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

struct pvm_outcome pvm_run(struct pvm_engine *e, const struct pvm_program *program,
                           struct pvm_state *state, const struct pvm_host *host,
                           const struct pvm_observer *observer)
{
    attach(e, program, state, observer);
    const struct record *ip = resume(e);
    for (;;) {
        if (ip)
            dispatch(ip, e);
        ip = e->exit_ip;
        bool call = complete(e);
        uint32_t next_pc = e->state.pc, pc = ip ? ip->pc : next_pc;
        pvm_segment_finish(e, segment_end_of(e->outcome.exit), pc);
        state_out(e);
        struct pvm_outcome outcome = e->outcome;
        if (!call || !host || !host->ecall ||
            host->ecall(host->self, state, outcome.exit, outcome.arg, pc, &outcome) ==
                PVM_ANSWER_EXIT)
            return outcome;
        begin(e);
        ip = resume_behind(e, ip, next_pc);
    }
}

bool pvm_step(struct pvm_engine *e, const struct pvm_program *program,
              struct pvm_state *state, struct pvm_outcome *ret_outcome)
{
    attach(e, program, state, NULL);
    struct pvm_state *s = &e->state;
    const struct record *ip = resume(e);
    const struct record *next = ip ? pvm_loop_handler[ip->op](ip, e) : NULL;
    if (next) { /* retired: undo what the block has counted ahead */
        bool ends = next->op == RECORD_HEADER;
        s->icount -= ends ? 0 : unretired(e, next);
        s->gas = gas_true(e);
        s->pc = next->pc;
        s->charged = !ends;
    } else {
        (void)complete(e);
    }
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
    default:
        return "?";
    }
}
