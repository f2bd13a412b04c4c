/* SPDX-License-Identifier: MIT
 *
 * Lockstep of two engines: intervals, comparison, and the way back to the first
 * instruction that differs.
 */
#include "analysis/check.h"

#include "base/hash.h"
#include "base/os.h"

#include <string.h>

enum { QUEUE_COUNT_MAX = 4096, QUEUE_SIZE_MAX = 1 << 24, BLOCK_INSNS_MAX = 1 << 16 };
#define SHADOW_SIZE ((size_t)1 << 32)
#define ARENA_MAX ((size_t)1 << 30)

/* A call as engine 0 made it, and what it was answered. */
struct call {
    uint64_t hash;
    struct analysis_check_answer answer;
    size_t at; /* of its bytes in the queue's */
};

struct side {
    const struct analysis_check_engine *how;
    struct check *check;
    struct arena program_arena, memory_arena;
    struct pvm_engine *engine;
    struct pvm_program *program;
    void *reservation;
    struct pvm_state state;
    struct pvm_outcome outcome;
    uint64_t ledger;    /* hash over the segments */
    size_t call_count;  /* of this interval */
    uint64_t call_hash; /* of the last call */
};

/* The last place where both were equal. */
struct snapshot {
    struct pvm_state state;
    uint64_t ledger;
    size_t call_count;
    uint8_t *shadow; /* the written pages, each at its address */
    struct buf page; /* their numbers, uint32_t */
    uint8_t *listed; /* by page number */
};

struct check {
    const struct analysis_check_setup *setup;
    struct analysis_check_report *report;
    struct arena arena;
    struct side side[2];
    struct snapshot last;
    struct call *call;
    size_t call_count;
    struct buf bytes; /* that calls wrote */
};

/* ---- one engine ---- */

static uint64_t fold(uint64_t hash, const void *data, size_t size)
{
    uint64_t pair[2] = {hash, hash_xxh3(data, size)};
    return hash_xxh3(pair, sizeof pair);
}

static void on_segment(void *self, const struct pvm_state *state,
                       const struct pvm_segment *s)
{
    struct side *side = self;
    const uint64_t words[] = {s->pc,     s->start,      s->n,          s->gas,
                              s->end,    s->end_pc,     s->nbits,      state->gas,
                              state->pc, state->icount, s->extra_count};
    side->ledger = fold(side->ledger, words, sizeof words);
    side->ledger = fold(side->ledger, s->bits.data, s->bits.size);
    side->ledger = fold(side->ledger, s->targets.data, s->targets.size);
    for (uint32_t i = 0; i < s->extra_count; i++) {
        const struct pvm_extra *extra = &s->extra[i];
        const uint64_t row[] = {extra->dn, extra->dpc, extra->kind, extra->where,
                                extra->cost};
        side->ledger = fold(side->ledger, row, sizeof row);
    }
}

static bool on_deadline(void *self, struct pvm_state *state, int64_t *ret_gas_stop)
{
    (void)self;
    (void)state;
    (void)ret_gas_stop;
    return false;
}

static uint64_t call_hash(const struct pvm_state *state, enum pvm_exit kind,
                          uint64_t number, uint32_t pc)
{
    const uint64_t words[] = {kind,       number,        pc,
                              state->gas, state->icount, state->charged};
    return fold(hash_xxh3(words, sizeof words), state->reg, sizeof state->reg);
}

/* Ask the host and keep its answer. */
static void ask(struct check *c, const struct pvm_state *state, uint64_t number,
                uint64_t hash)
{
    struct call *call = &c->call[c->call_count++];
    *call = (struct call){.hash = hash, .at = c->bytes.size};
    c->setup->ecall(c->setup->self, state, number, &call->answer);
    buf_put(&c->bytes, call->answer.bytes.data, call->answer.bytes.size);
}

static enum pvm_answer on_ecall(void *self, struct pvm_state *state, enum pvm_exit kind,
                                uint64_t number, uint32_t pc,
                                struct pvm_outcome *ret_outcome)
{
    struct side *side = self;
    struct check *c = side->check;
    uint64_t hash = call_hash(state, kind, number, pc);
    size_t index = side->call_count++;
    side->call_hash = hash;
    *ret_outcome = (struct pvm_outcome){.exit = PVM_EXIT_STOPPED};
    if (index == c->call_count && side == &c->side[0] &&
        c->call_count < QUEUE_COUNT_MAX)
        ask(c, state, number, hash);
    if (index >= c->call_count || c->call[index].hash != hash || c->bytes.err)
        return PVM_ANSWER_EXIT; /* what differs is seen by the comparison */
    const struct analysis_check_answer *answer = &c->call[index].answer;
    if (answer->has_reg)
        state->reg[answer->reg] = answer->value;
    if (answer->bytes.size)
        (void)!pvm_mem_write(state->mem, answer->address,
                             c->bytes.data + c->call[index].at, answer->bytes.size,
                             NULL);
    bool full = c->call_count == QUEUE_COUNT_MAX || c->bytes.size > QUEUE_SIZE_MAX / 2;
    if (answer->answer == PVM_ANSWER_EXIT)
        *ret_outcome = answer->outcome;
    else if (!full || side->call_count < c->call_count)
        return PVM_ANSWER_CONTINUE;
    return PVM_ANSWER_EXIT;
}

/* Run to the first block entry with that much gas left, or to an exit. */
static void run_side(struct side *side, int64_t gas_stop)
{
    const struct analysis_check_engine *how = side->how;
    const struct pvm_host host = {.ecall = on_ecall, .self = side};
    const struct pvm_observer observer = {.self = side,
                                          .segment = on_segment,
                                          .deadline = on_deadline,
                                          .gas_stop = gas_stop};
    const struct pvm_host *given = side->check->setup->ecall ? &host : NULL;
    side->outcome =
        how->run ? how->run(how->self, side->engine, side->program, &side->state, given,
                            &observer)
                 : pvm_run(side->engine, side->program, &side->state, given, &observer);
}

static enum err make_side(struct side *side, const struct pvm_code *code)
{
    const struct analysis_check_setup *setup = side->check->setup;
    pvm_program_close(side->program);
    side->program = NULL;
    arena_clear(&side->program_arena);
    return side->how->make(side->how->self, &side->program_arena, code, &setup->config,
                           PVM_GAS_LOG_LEDGER, &side->program);
}

/* ---- comparison ---- */

static bool differ(struct check *c, const char *field, uint64_t where, uint64_t a,
                   uint64_t b)
{
    struct analysis_check_report *report = c->report;
    if (a == b)
        return false;
    report->field = field;
    report->where = where;
    report->value[0] = a;
    report->value[1] = b;
    return true;
}

static bool state_differs(struct check *c)
{
    const struct side *a = &c->side[0], *b = &c->side[1];
    const struct pvm_state *x = &a->state, *y = &b->state;
    for (unsigned i = 0; i < PVM_REG_COUNT; i++) {
        if (differ(c, pvm_reg_name[i], 0, x->reg[i], y->reg[i]))
            return true;
    }
    return differ(c, "pc", 0, x->pc, y->pc) || differ(c, "gas", 0, x->gas, y->gas) ||
           differ(c, "icount", 0, x->icount, y->icount) ||
           differ(c, "charged", 0, x->charged, y->charged) ||
           differ(c, "exit", 0, a->outcome.exit, b->outcome.exit) ||
           differ(c, "arg", 0, a->outcome.arg, b->outcome.arg);
}

static bool page_differs(struct check *c, uint32_t page)
{
    const struct pvm_mem *x = c->side[0].state.mem, *y = c->side[1].state.mem;
    uint64_t address = (uint64_t)page * PVM_PAGE_SIZE;
    if (differ(c, "page rights", address, pvm_mem_access(x, page),
               pvm_mem_access(y, page)) ||
        differ(c, "page state", address, pvm_mem_written(x, page),
               pvm_mem_written(y, page)))
        return true;
    if (!pvm_mem_written(x, page))
        return false;
    const uint8_t *p = pvm_mem_page(x, page), *q = pvm_mem_page(y, page);
    if (memcmp(p, q, PVM_PAGE_SIZE) == 0)
        return false;
    size_t at = 0;
    while (p[at] == q[at])
        at++;
    return differ(c, "memory", address + at, p[at], q[at]);
}

/* What engines show at this place: true and the report's field when it differs. */
static bool sides_differ(struct check *c)
{
    const struct side *a = &c->side[0], *b = &c->side[1];
    if (differ(c, "ecall count", 0, a->call_count, b->call_count) ||
        differ(c, "ecall", a->call_count, a->call_hash, b->call_hash) ||
        state_differs(c))
        return true;
    uint32_t page = 0;
    for (;;) {
        uint32_t x = pvm_mem_next_page(a->state.mem, page);
        uint32_t y = pvm_mem_next_page(b->state.mem, page);
        page = x < y ? x : y;
        if (page >= PVM_PAGE_COUNT)
            break;
        if (page_differs(c, page))
            return true;
        page++;
    }
    return differ(c, "ledger", 0, a->ledger, b->ledger);
}

/* ---- back to the last equal place ---- */

/* Both are equal here: remember it. */
static enum err take(struct check *c)
{
    const struct side *a = &c->side[0];
    struct snapshot *last = &c->last;
    for (uint32_t page = pvm_mem_next_page(a->state.mem, 0); page < PVM_PAGE_COUNT;
         page = pvm_mem_next_page(a->state.mem, page + 1)) {
        if (!pvm_mem_written(a->state.mem, page))
            continue;
        uint8_t *copy = last->shadow + (size_t)page * PVM_PAGE_SIZE;
        const uint8_t *now = pvm_mem_page(a->state.mem, page);
        if (!last->listed[page])
            buf_put(&last->page, &page, sizeof page);
        if (!last->listed[page] || memcmp(copy, now, PVM_PAGE_SIZE) != 0)
            memcpy(copy, now, PVM_PAGE_SIZE);
        last->listed[page] = 1;
    }
    last->state = a->state;
    last->ledger = a->ledger;
    last->call_count = a->call_count;
    return last->page.err;
}

static enum err restore_side(struct check *c, struct side *side)
{
    const struct snapshot *last = &c->last;
    os_discard(side->reservation, PVM_MEM_RESERVE_SIZE);
    arena_clear(&side->memory_arena);
    side->state = last->state;
    side->state.mem = pvm_mem_init(side->reservation);
    side->ledger = last->ledger;
    side->call_count = last->call_count;
    side->call_hash = last->call_count ? c->call[last->call_count - 1].hash : 0;
    TRY(c->setup->map(c->setup->self, &side->memory_arena, side->state.mem));
    for (size_t at = 0; at < last->page.size; at += sizeof(uint32_t)) {
        uint32_t page;
        memcpy(&page, last->page.data + at, sizeof page);
        TRY(pvm_mem_write(side->state.mem, page * PVM_PAGE_SIZE,
                          last->shadow + (size_t)page * PVM_PAGE_SIZE, PVM_PAGE_SIZE,
                          NULL));
    }
    return ERR_ok;
}

/* Run both from the last equal place; *ret_differ says whether they differ there. */
static enum err again(struct check *c, int64_t gas_stop, bool *ret_differ)
{
    if (c->setup->interrupted && c->setup->interrupted())
        return ERR_interrupted;
    for (unsigned i = 0; i < 2; i++) {
        TRY(restore_side(c, &c->side[i]));
        run_side(&c->side[i], gas_stop);
    }
    *ret_differ = sides_differ(c);
    return ERR_ok;
}

/* ---- the first bad instruction ---- */

/* Leave the last equal place at the entry of the block that differs; false: the
 * difference did not come again. */
static enum err find_block(struct check *c, int64_t stop, bool *ret_found)
{
    /* Gas spent: differ, equal.  To the end of the run (-1) is all of it and one. */
    uint64_t high = c->last.state.gas - (uint64_t)stop, low = 0;
    TRY(again(c, stop, ret_found));
    if (!*ret_found)
        return ERR_ok;
    uint64_t begin = c->last.state.gas;
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        bool bad;
        TRY(again(c, (int64_t)(begin - middle), &bad));
        if (bad)
            high = middle;
        else
            low = middle;
    }
    if (!low)
        return ERR_ok;
    bool bad;
    TRY(again(c, (int64_t)(begin - low), &bad));
    return take(c);
}

/* The instructions from the last equal place to the end of its block. */
static size_t list_block(const struct check *c, uint32_t *list)
{
    const struct pvm_code *code = c->setup->code;
    enum pvm_profile profile = c->setup->config.profile;
    size_t count = 0;
    struct pvm_insn insn;
    for (uint32_t pc = c->last.state.pc; count < BLOCK_INSNS_MAX; pc += insn.size) {
        list[count++] = pc;
        if (!pvm_insn_decode(code, profile, pc, &insn) ||
            pvm_op_terminates(profile, insn.op))
            break;
    }
    return count;
}

/* Do they differ when the program traps at `pc`? */
static enum err differ_before(struct check *c, uint8_t *bytes, uint32_t pc,
                              bool *ret_differ)
{
    struct pvm_code code = *c->setup->code;
    code.code = bytes_of(bytes, code.code.size);
    uint8_t op = bytes[pc];
    bytes[pc] = PVM_OP_trap;
    enum err err = make_side(&c->side[0], &code);
    if (!err)
        err = make_side(&c->side[1], &code);
    if (!err)
        err = again(c, PVM_GAS_STOP_NEVER, ret_differ);
    bytes[pc] = op;
    return err;
}

static void report_place(struct check *c, uint32_t pc, size_t index)
{
    struct analysis_check_report *report = c->report;
    report->pc = pc;
    report->icount = c->last.state.icount + index;
    for (unsigned i = 0; i < 2; i++)
        memcpy(report->reg[i], c->side[i].state.reg, sizeof report->reg[i]);
}

static enum err find_instruction(struct check *c)
{
    struct pvm_code code = *c->setup->code;
    uint32_t *list = arena_new_array(&c->arena, uint32_t, BLOCK_INSNS_MAX);
    uint8_t *bytes = arena_copy(&c->arena, code.code.data, code.code.size);
    if (!list || (!bytes && code.code.size))
        return ERR_nomem;
    size_t high = list_block(c, list), low = 0; /* instructions: differ, equal */
    c->report->block = c->last.state.pc;
    struct analysis_check_report seen = *c->report;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        bool bad;
        TRY(differ_before(c, bytes, list[middle], &bad));
        if (bad) {
            high = middle;
            seen = *c->report;
            for (unsigned i = 0; i < 2; i++)
                memcpy(seen.reg[i], c->side[i].state.reg, sizeof seen.reg[i]);
        } else {
            low = middle;
        }
    }
    *c->report = seen;
    c->report->pc = list[low];
    c->report->icount = c->last.state.icount + low;
    return ERR_ok;
}

static enum err locate(struct check *c, int64_t stop)
{
    struct analysis_check_report *report = c->report;
    struct analysis_check_report first = *report;
    TRY(find_block(c, stop, &report->found));
    if (!report->found) {
        *report = first;
        return ERR_ok;
    }
    /* One block more than the equal place: that is the difference to explain. */
    bool bad;
    TRY(again(c, (int64_t)c->last.state.gas - 1, &bad)); /* gas 0: never */
    report_place(c, c->last.state.pc, 0);
    return find_instruction(c);
}

/* ---- all of it ---- */

static enum err open_side(struct check *c, unsigned index)
{
    struct side *side = &c->side[index];
    side->how = &c->setup->engine[index];
    side->check = c;
    TRY(pvm_engine_create(&c->arena, &side->engine));
    TRY(os_reserve(PVM_MEM_RESERVE_SIZE, &side->reservation));
    TRY(make_side(side, c->setup->code));
    return restore_side(c, side);
}

static enum err open_check(struct check *c)
{
    void *shadow = NULL;
    c->call = arena_new_array(&c->arena, struct call, QUEUE_COUNT_MAX);
    c->last.listed = arena_alloc(&c->arena, PVM_PAGE_COUNT, 1);
    if (!c->call || !c->last.listed)
        return ERR_nomem;
    memset(c->last.listed, 0, PVM_PAGE_COUNT);
    TRY(os_reserve(SHADOW_SIZE, &shadow));
    c->last.shadow = shadow;
    c->last.state = c->setup->start;
    TRY(open_side(c, 0));
    return open_side(c, 1);
}

static void close_check(struct check *c)
{
    for (unsigned i = 0; i < 2; i++) {
        pvm_program_close(c->side[i].program);
        os_release(c->side[i].reservation, PVM_MEM_RESERVE_SIZE);
        arena_fini(&c->side[i].program_arena);
        arena_fini(&c->side[i].memory_arena);
    }
    os_release(c->last.shadow, SHADOW_SIZE);
    buf_fini(&c->last.page);
    buf_fini(&c->bytes);
    arena_fini(&c->arena);
}

/* Intervals until the guest ends or a difference. */
static enum err run_check(struct check *c)
{
    struct side *a = &c->side[0], *b = &c->side[1];
    do {
        if (c->setup->interrupted && c->setup->interrupted())
            return ERR_interrupted;
        uint64_t gas = a->state.gas, interval = c->setup->interval;
        int64_t stop = gas > interval ? (int64_t)(gas - interval) : PVM_GAS_STOP_NEVER;
        run_side(a, stop);
        if (c->bytes.err)
            return c->bytes.err;
        run_side(b, stop);
        c->report->same = !sides_differ(c);
        c->report->ecall_count += a->call_count;
        if (!c->report->same)
            return locate(c, stop);
        /* Nothing of what is behind is asked for again. */
        a->call_count = b->call_count = c->call_count = 0;
        a->call_hash = b->call_hash = 0;
        buf_clear(&c->bytes);
        TRY(take(c));
    } while (a->outcome.exit == PVM_EXIT_STOPPED);
    return ERR_ok;
}

enum err analysis_check(const struct analysis_check_setup *setup,
                        struct analysis_check_report *ret_report)
{
    struct check c = {.setup = setup, .report = ret_report};
    *ret_report = (struct analysis_check_report){0};
    if (!setup->interval || setup->start.gas > INT64_MAX)
        return ERR_usage;
    arena_init(&c.arena, ARENA_MAX);
    for (unsigned i = 0; i < 2; i++) {
        arena_init(&c.side[i].program_arena, ARENA_MAX);
        arena_init(&c.side[i].memory_arena, ARENA_MAX);
    }
    buf_init(&c.bytes, QUEUE_SIZE_MAX);
    buf_init(&c.last.page, PVM_PAGE_COUNT * sizeof(uint32_t));
    enum err err = open_check(&c);
    if (!err)
        err = run_check(&c);
    ret_report->outcome = c.side[0].outcome;
    ret_report->state = c.side[0].state;
    ret_report->state.mem = NULL;
    close_check(&c);
    return err;
}
