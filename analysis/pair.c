/* SPDX-License-Identifier: MIT
 *
 * Two engines on one case.
 */
#include "analysis/pair.h"

#include "base/hash.h"
#include "base/os.h"

#include <string.h>

#define ARENA_MAX ((size_t)1 << 28)
enum { REG_A0 = 7, GAS_MORE = 500, CASES_PER_MEMORY = 1 << 15 };

struct side {
    enum analysis_engine kind;
    struct analysis_pair *pair;
    struct arena arena; /* the program's */
    struct pvm_engine *engine;
    struct pvm_program *program;
    struct pvm_recomp_workspace *workspace;
    void *reservation;
    struct pvm_state state;
    struct pvm_outcome outcome;
    uint64_t charges; /* hashes over what was reported */
    uint64_t calls;
    uint64_t stops;
    uint64_t call_count;
    uint64_t case_count; /* of all cases */
    int64_t gas_stop;
    bool first; /* collects blocks */
};

struct analysis_pair {
    struct side side[2];
    const struct analysis_case *c;
    struct pvm_code code;
    uint32_t block[ANALYSIS_CASE_CODE_MAX + 1];
    uint32_t block_count;
    uint8_t is_block[ANALYSIS_CASE_CODE_MAX + 1];
};

const char *const analysis_engine_name[ANALYSIS_ENGINE_COUNT] = {
    [ANALYSIS_ENGINE_INTERP] = "interp",
    [ANALYSIS_ENGINE_RECOMP] = "recomp",
    [ANALYSIS_ENGINE_OTHER] = "other",
};

/* ---- what engines report ---- */

static uint64_t fold(uint64_t hash, const void *data, size_t size)
{
    const uint64_t pair[2] = {hash, hash_xxh3(data, size)};
    return hash_xxh3(pair, sizeof pair);
}

/* All of a state but its memory. */
static uint64_t fold_state(uint64_t hash, const struct pvm_state *state)
{
    uint64_t words[PVM_REG_COUNT + 4] = {state->gas, state->icount, state->pc,
                                         state->charged};
    memcpy(words + 4, state->reg, sizeof state->reg);
    return fold(hash, words, sizeof words);
}

static void on_segment(void *self, const struct pvm_state *state,
                       const struct pvm_segment *s)
{
    struct side *side = self;
    const uint64_t words[] = {s->pc,     s->start,      s->n,           s->gas,
                              s->end,    s->end_pc,     s->nbits,       state->gas,
                              state->pc, state->icount, s->extra_count, s->hash};
    side->charges = fold(side->charges, words, sizeof words);
    side->charges = fold(side->charges, s->bits.data, s->bits.size);
    side->charges = fold(side->charges, s->targets.data, s->targets.size);
    for (uint32_t i = 0; i < s->extra_count; i++) {
        const struct pvm_extra *extra = &s->extra[i];
        const uint64_t row[] = {extra->dn, extra->dpc, extra->kind, extra->where,
                                extra->cost};
        side->charges = fold(side->charges, row, sizeof row);
    }
}

static void see_block(struct analysis_pair *pair, uint32_t pc)
{
    if (pc >= countof(pair->block) || pair->is_block[pc])
        return;
    pair->is_block[pc] = 1;
    pair->block[pair->block_count++] = pc;
}

static void on_charge(void *self, const struct pvm_state *state,
                      enum pvm_charge_kind kind, uint32_t where, uint64_t cost)
{
    struct side *side = self;
    const uint64_t words[] = {kind,      where,         cost,         state->gas,
                              state->pc, state->icount, side->charges};
    side->charges = hash_xxh3(words, sizeof words);
    if (side->first && kind == PVM_CHARGE_BLOCK)
        see_block(side->pair, where);
}

/* Every other stop ends the run for a moment. */
static bool on_deadline(void *self, struct pvm_state *state, int64_t *ret_gas_stop)
{
    struct side *side = self;
    int64_t step = side->pair->c->deadline, gas = (int64_t)state->gas;
    side->stops = fold_state(side->stops, state);
    side->gas_stop = gas > step ? gas - step : PVM_GAS_STOP_NEVER;
    *ret_gas_stop = side->gas_stop;
    return state->gas & 1;
}

/* A host that answers, now and then in an unusual way.  It depends on what the engine
 * shows it alone. */
static enum pvm_answer on_ecall(void *self, struct pvm_state *state, enum pvm_exit kind,
                                uint64_t number, uint32_t pc,
                                struct pvm_outcome *ret_outcome)
{
    struct side *side = self;
    const uint64_t words[] = {kind, number, pc};
    side->calls = fold_state(fold(side->calls, words, sizeof words), state);
    state->reg[REG_A0] += number + pc + state->icount;
    switch (++side->call_count % 8) {
    case 3: /* a debit */
        (void)pvm_state_debit(state, 7);
        return PVM_ANSWER_CONTINUE;
    case 5: /* go on elsewhere */
        state->pc = 0;
        state->charged = false;
        return PVM_ANSWER_CONTINUE;
    case 6: /* write where the guest may */
        (void)!pvm_mem_write(state->mem, (uint32_t)state->reg[REG_A0 + 1], &state->gas,
                             sizeof state->gas, NULL);
        return PVM_ANSWER_CONTINUE;
    case 0:
        *ret_outcome = (struct pvm_outcome){PVM_EXIT_HALT, number};
        return PVM_ANSWER_EXIT;
    default:
        return PVM_ANSWER_CONTINUE;
    }
}

/* ---- one engine ---- */

static enum err make_program(struct side *side)
{
    const struct analysis_case *c = side->pair->c;
    const struct pvm_code *code = &side->pair->code;
    pvm_program_close(side->program);
    side->program = NULL;
    arena_clear(&side->arena);
    if (side->kind == ANALYSIS_ENGINE_RECOMP) {
        struct pvm_recomp_options options = {.explicit_checks = c->way.explicit_checks,
                                             .workspace = side->workspace};
        memcpy(options.interp_only, c->way.interp_only, sizeof options.interp_only);
        return pvm_program_recompile(&side->arena, code, &c->config, c->way.log,
                                     &options, &side->program);
    }
    bool loops = c->way.dispatch == PVM_DISPATCH_LOOP;
    bool other = side->kind == ANALYSIS_ENGINE_OTHER;
    pvm_engine_set_dispatch(side->engine,
                            loops != other ? PVM_DISPATCH_LOOP : PVM_DISPATCH_THREADED);
    return pvm_program_create(&side->arena, code, &c->config, c->way.log,
                              &side->program);
}

/* Pages that cases have touched stay resident: give them back now and then, or a long
 * campaign ends up with all of two address spaces. */
static struct pvm_mem *memory_of(struct side *side)
{
    if (++side->case_count % CASES_PER_MEMORY == 0) {
        os_discard(side->reservation, PVM_MEM_RESERVE_SIZE);
        side->state.mem = pvm_mem_init(side->reservation);
    }
    return side->state.mem;
}

static enum err begin_side(struct side *side)
{
    const struct analysis_case *c = side->pair->c;
    struct pvm_mem *mem = memory_of(side);
    analysis_case_map(c, mem);
    side->state = (struct pvm_state){.gas = c->gas, .pc = c->pc, .mem = mem};
    memcpy(side->state.reg, c->reg, sizeof c->reg);
    side->charges = side->calls = side->stops = side->call_count = 0;
    return make_program(side);
}

static void run_side(struct side *side)
{
    const struct analysis_case *c = side->pair->c;
    const struct pvm_host host = {.ecall = on_ecall, .self = side};
    struct pvm_observer observer = {.self = side,
                                    .segment = on_segment,
                                    .charge = on_charge,
                                    .gas_stop = PVM_GAS_STOP_NEVER};
    bool stops = c->deadline && side->state.gas <= INT64_MAX;
    bool observed = stops || c->way.log != PVM_GAS_LOG_NONE;
    side->gas_stop = PVM_GAS_STOP_NEVER;
    if (stops) {
        observer.deadline = on_deadline;
        side->gas_stop = (int64_t)(side->state.gas - side->state.gas % c->deadline);
    }
    do {
        observer.gas_stop = side->gas_stop;
        side->outcome = pvm_run(side->engine, side->program, &side->state,
                                c->answers ? &host : NULL, observed ? &observer : NULL);
    } while (side->outcome.exit == PVM_EXIT_STOPPED);
}

/* What a host does between two runs; false: there is no further one. */
static bool mend(struct side *side, uint32_t run)
{
    struct pvm_state *state = &side->state;
    uint32_t at = (uint32_t)side->outcome.arg;
    switch (side->outcome.exit) {
    case PVM_EXIT_HOST_CALL:
    case PVM_EXIT_ECALL:
        state->reg[REG_A0] += run;
        return true;
    case PVM_EXIT_OUT_OF_GAS:
        state->gas += GAS_MORE;
        return true;
    case PVM_EXIT_PAGE_FAULT:
        return pvm_mem_access(state->mem, at / PVM_PAGE_SIZE) == PVM_ACCESS_NONE &&
               !pvm_mem_map(state->mem, at, PVM_PAGE_SIZE, PVM_ACCESS_RW,
                            (struct bytes){0});
    case PVM_EXIT_HALT:
    case PVM_EXIT_PANIC:
    case PVM_EXIT_TRAP:
    case PVM_EXIT_STOPPED:
    case PVM_EXIT_BREAK:
    case PVM_EXIT_LOST:
    default:
        return false;
    }
}

/* ---- comparison ---- */

static bool differ(struct analysis_pair_report *report, const char *field,
                   uint64_t where, uint64_t a, uint64_t b)
{
    if (a == b)
        return false;
    report->field = field;
    report->where = where;
    report->value[0] = a;
    report->value[1] = b;
    return true;
}

static bool state_differs(const struct side *a, const struct side *b,
                          struct analysis_pair_report *report)
{
    const struct pvm_state *x = &a->state, *y = &b->state;
    if (differ(report, "exit", 0, a->outcome.exit, b->outcome.exit) ||
        differ(report, "arg", 0, a->outcome.arg, b->outcome.arg) ||
        differ(report, "pc", 0, x->pc, y->pc) ||
        differ(report, "icount", 0, x->icount, y->icount))
        return true;
    for (unsigned r = 0; r < PVM_REG_COUNT; r++) {
        if (differ(report, pvm_reg_name[r], 0, x->reg[r], y->reg[r]))
            return true;
    }
    return differ(report, "gas", 0, x->gas, y->gas) ||
           differ(report, "charged", 0, x->charged, y->charged) ||
           differ(report, "ecall count", 0, a->call_count, b->call_count) ||
           differ(report, "ecall", 0, a->calls, b->calls) ||
           differ(report, "deadline", 0, a->stops, b->stops);
}

static bool page_differs(const struct side *a, const struct side *b, uint32_t page,
                         struct analysis_pair_report *report)
{
    const struct pvm_mem *x = a->state.mem, *y = b->state.mem;
    uint64_t address = (uint64_t)page * PVM_PAGE_SIZE;
    if (differ(report, "page rights", address, pvm_mem_access(x, page),
               pvm_mem_access(y, page)) ||
        differ(report, "page state", address, pvm_mem_written(x, page),
               pvm_mem_written(y, page)))
        return true;
    const uint8_t *p = pvm_mem_page(x, page), *q = pvm_mem_page(y, page);
    if (p == q || memcmp(p, q, PVM_PAGE_SIZE) == 0)
        return false;
    size_t at = 0;
    while (p[at] == q[at])
        at++;
    return differ(report, "memory", address + at, p[at], q[at]);
}

static bool memory_differs(const struct side *a, const struct side *b,
                           struct analysis_pair_report *report)
{
    uint32_t page = 0;
    for (;;) {
        uint32_t x = pvm_mem_next_page(a->state.mem, page);
        uint32_t y = pvm_mem_next_page(b->state.mem, page);
        page = x < y ? x : y;
        if (page >= PVM_PAGE_COUNT)
            return false;
        if (page_differs(a, b, page, report))
            return true;
        page++;
    }
}

/* ---- all of it ---- */

enum err analysis_pair_create(struct arena *arena, const enum analysis_engine engine[2],
                              struct analysis_pair **ret_pair)
{
    struct analysis_pair *pair = arena_new(arena, struct analysis_pair);
    if (!pair)
        return ERR_nomem;
    enum err err = ERR_ok;
    for (unsigned i = 0; i < 2 && !err; i++) {
        struct side *side = &pair->side[i];
        *side = (struct side){.kind = engine[i], .pair = pair, .first = i == 0};
        arena_init(&side->arena, ARENA_MAX);
        if (engine[i] == ANALYSIS_ENGINE_RECOMP && !pvm_recomp_available())
            err = ERR_unsupported;
        if (!err)
            err = pvm_engine_create(arena, &side->engine);
        if (!err)
            err = pvm_recomp_workspace_create(arena, &side->workspace);
        if (!err)
            err = os_reserve(PVM_MEM_RESERVE_SIZE, &side->reservation);
        if (!err)
            side->state.mem = pvm_mem_init(side->reservation);
    }
    if (err) {
        analysis_pair_close(pair);
        return err;
    }
    *ret_pair = pair;
    return ERR_ok;
}

void analysis_pair_close(struct analysis_pair *pair)
{
    for (unsigned i = 0; pair && i < 2; i++) {
        struct side *side = &pair->side[i];
        pvm_program_close(side->program);
        side->program = NULL;
        pvm_recomp_workspace_close(side->workspace);
        os_release(side->reservation, PVM_MEM_RESERVE_SIZE);
        side->reservation = NULL;
        arena_fini(&side->arena);
    }
}

enum err analysis_pair_run(struct analysis_pair *pair, const struct analysis_case *c,
                           struct analysis_pair_report *ret_report)
{
    struct side *a = &pair->side[0], *b = &pair->side[1];
    struct analysis_pair_report report = {0};
    for (uint32_t i = 0; i < pair->block_count; i++)
        pair->is_block[pair->block[i]] = 0;
    pair->block_count = 0;
    pair->c = c;
    pair->code = analysis_case_code(c);
    TRY(begin_side(a));
    TRY(begin_side(b));
    bool goes_on = true;
    for (uint32_t run = 0; goes_on && run < c->run_count; run++) {
        report.run = run;
        run_side(a);
        run_side(b);
        goes_on = !state_differs(a, b, &report) && !memory_differs(a, b, &report) &&
                  !differ(&report, "ledger", 0, a->charges, b->charges);
        report.outcome = a->outcome;
        report.pc = a->state.pc;
        /* Both are equal here, so both answer the same. */
        goes_on = goes_on && mend(a, run) && mend(b, run);
    }
    report.icount = a->state.icount;
    *ret_report = report;
    return ERR_ok;
}

const uint32_t *analysis_pair_blocks(const struct analysis_pair *pair,
                                     uint32_t *ret_count)
{
    *ret_count = pair->block_count;
    return pair->block;
}
