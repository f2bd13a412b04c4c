/* SPDX-License-Identifier: MIT
 *
 * The engines against each other: both dispatch loops, single steps, recompiled code
 * in each of its ways, every gas log, and the ledger's expansion against the charges as
 * they were made.
 */
#include "analysis/progen.h"

#include "base/os.h"
#include "trace/ledger.h"
#include "trace/trace.h"
#include "tests/test.h"

#include <string.h>

enum { CHARGE_MAX = 200000, RESUME_MAX = 6 };

struct charge {
    uint64_t kind, where, cost;
};

/* Everything that one run shows. */
struct shown {
    struct pvm_outcome outcome[RESUME_MAX];
    struct pvm_state state[RESUME_MAX];
    unsigned count;
    struct hash256 memory;
    struct charge charge[CHARGE_MAX];
    size_t charge_count;
    uint64_t segment_n, segment_gas, segment_hash; /* sums; hash of the last segment */
};

struct bench {
    struct arena arena;
    struct pvm_mem *mem;
    void *reservation;
    struct pvm_engine *engine;
    struct analysis_case c;
    struct pvm_code code; /* of the case */
    struct trace_pvm_ledger ledger;
    struct arena scratch;
    struct shown *shown;
    const char *bad;
    enum pvm_exit first_exit; /* of the present program */
    struct pvm_sandbox *sandbox;
    struct pvm_recomp_cache *cache; /* a small one: programs come and go */
};

static struct bench bench;

static void see_charge(struct shown *shown, uint64_t kind, uint64_t where,
                       uint64_t cost)
{
    if (shown->charge_count < CHARGE_MAX)
        shown->charge[shown->charge_count] = (struct charge){kind, where, cost};
    shown->charge_count++;
}

static void on_charge(void *self, const struct pvm_state *state,
                      enum pvm_charge_kind kind, uint32_t where, uint64_t cost)
{
    (void)state;
    see_charge(((struct bench *)self)->shown, kind, where, cost);
}

static bool on_expanded(void *self, const struct trace_charge *charge)
{
    see_charge(((struct bench *)self)->shown, charge->kind, charge->where,
               charge->cost);
    return true;
}

static void on_segment(void *self, const struct pvm_state *state,
                       const struct pvm_segment *s)
{
    struct bench *b = self;
    struct trace_uuuuu extra[2048];
    (void)state;
    b->shown->segment_n += s->n;
    b->shown->segment_gas += s->gas;
    b->shown->segment_hash = s->hash;
    if (!b->ledger.blocks.count)
        return; /* a summary */
    for (uint32_t i = 0; i < s->extra_count; i++)
        extra[i] =
            (struct trace_uuuuu){s->extra[i].dn, s->extra[i].dpc, s->extra[i].kind,
                                 s->extra[i].where, s->extra[i].cost};
    struct trace_pvm_segment segment = {
        .pc = s->pc,
        .start = s->start,
        .n = s->n,
        .gas = s->gas,
        .end = s->end,
        .end_pc = s->end_pc,
        .nbits = s->nbits,
        .bits = s->bits,
        .targets = s->targets,
        .extra = {extra, s->extra_count},
    };
    struct trace_ledger_fault fault = {0};
    if (trace_ledger_expand(&b->ledger, &segment, on_expanded, b, &fault))
        b->bad = fault.text;
}

/* The memory as a digest, so that runs can be compared. */
static struct hash256 memory_hash(void)
{
    struct pvm_digest *digest;
    struct pvm_state none = {.mem = bench.mem};
    struct hash256 hash;
    struct arena arena;
    arena_init(&arena, 256 << 20);
    check(!pvm_digest_create(&arena, bench.mem, &digest));
    check(!pvm_digest_machine(digest, &none, &hash));
    arena_fini(&arena);
    return hash;
}

static void make_ledger(const struct pvm_program *program)
{
    struct buf table;
    buf_init(&table, 1 << 20);
    pvm_program_put_blocks(program, bench.c.pc, &table);
    check(!table.err);
    check(!trace_blocks_parse(&bench.scratch, buf_bytes(&table), &bench.ledger.blocks));
    buf_fini(&table);
    uint64_t *jump = arena_new_array(&bench.scratch, uint64_t, ANALYSIS_CASE_JUMP_MAX);
    check(jump);
    for (uint32_t i = 0; i < bench.code.jump_count; i++)
        jump[i] = pvm_code_jump(&bench.code, i);
    bench.ledger.jump = jump;
    bench.ledger.jump_count = bench.code.jump_count;
}

/* After an exit that can be resumed: a change that a host might make. */
static bool mend(struct pvm_state *state, struct pvm_outcome outcome, unsigned round)
{
    switch (outcome.exit) {
    case PVM_EXIT_HOST_CALL:
    case PVM_EXIT_ECALL:
        state->reg[7] += round;
        return true;
    case PVM_EXIT_OUT_OF_GAS:
        state->gas += 500;
        return true;
    case PVM_EXIT_PAGE_FAULT:
        return pvm_mem_access(bench.mem, (uint32_t)outcome.arg / PVM_PAGE_SIZE) ==
                   PVM_ACCESS_NONE &&
               !pvm_mem_map(bench.mem, (uint32_t)outcome.arg, PVM_PAGE_SIZE,
                            PVM_ACCESS_RW, (struct bytes){0});
    case PVM_EXIT_HALT:
    case PVM_EXIT_PANIC:
    case PVM_EXIT_TRAP:
    case PVM_EXIT_STOPPED:
    case PVM_EXIT_LOST:
    case PVM_EXIT_BREAK:
    default:
        return false;
    }
}

/* How a program is executed. */
struct mode {
    const char *name;
    enum pvm_dispatch dispatch;
    bool steps;
    bool answers; /* calls have a host, and nobody observes */
    bool native;
    struct pvm_recomp_options options;
    bool sandboxed;
};

static struct pvm_program *make_program(const struct mode *mode, enum pvm_gas_log log)
{
    struct pvm_program *program = NULL;
    struct pvm_recomp_options options = mode->options;
    options.sandbox = mode->sandboxed ? bench.sandbox : NULL;
    options.cache = bench.cache;
    if (mode->native)
        check(!pvm_program_recompile(&bench.scratch, &bench.code, &bench.c.config, log,
                                     &options, &program));
    else
        check(!pvm_program_create(&bench.scratch, &bench.code, &bench.c.config, log,
                                  &program));
    return program;
}

/* A host that answers calls, now and then in an unusual way. */
static enum pvm_answer on_ecall(void *self, struct pvm_state *state, enum pvm_exit kind,
                                uint64_t number, uint32_t pc,
                                struct pvm_outcome *ret_outcome)
{
    unsigned *count = self;
    state->reg[7] += number + pc + (uint64_t)kind + state->icount;
    switch (++*count % 8) {
    case 3: /* a debit */
        state->gas -= state->gas < 7 ? 0 : 7;
        return PVM_ANSWER_CONTINUE;
    case 5: /* go on elsewhere */
        state->pc = 0;
        state->charged = false;
        return PVM_ANSWER_CONTINUE;
    case 0:
        *ret_outcome = (struct pvm_outcome){PVM_EXIT_HALT, 0};
        return PVM_ANSWER_EXIT;
    default:
        return PVM_ANSWER_CONTINUE;
    }
}

static void run(enum pvm_gas_log log, const struct mode *mode, struct shown *shown)
{
    arena_init(&bench.scratch, 64 << 20);
    struct pvm_program *program = make_program(mode, log);
    analysis_case_map(&bench.c, bench.mem);
    memset(shown, 0, offsetof(struct shown, charge));
    shown->charge_count = 0;
    shown->segment_n = shown->segment_gas = shown->segment_hash = 0;
    bench.shown = shown;
    bench.ledger = (struct trace_pvm_ledger){0};
    if (log == PVM_GAS_LOG_LEDGER)
        make_ledger(program);
    struct pvm_observer observer = {
        .self = &bench, .segment = on_segment, .charge = on_charge, .gas_stop = -1};
    unsigned call_count = 0;
    const struct pvm_host host = {.ecall = on_ecall, .self = &call_count};
    pvm_engine_set_dispatch(bench.engine, mode->dispatch);
    struct pvm_state state = {.gas = bench.c.gas, .pc = bench.c.pc};
    memcpy(state.reg, bench.c.reg, sizeof state.reg);
    state.mem = bench.mem;
    for (unsigned i = 0; i < RESUME_MAX; i++) {
        struct pvm_outcome outcome;
        if (mode->steps)
            while (pvm_step(bench.engine, program, &state, &outcome))
                ;
        else if (mode->answers)
            outcome = pvm_run(bench.engine, program, &state, &host, NULL);
        else
            outcome = pvm_run(bench.engine, program, &state, NULL, &observer);
        shown->outcome[i] = outcome;
        shown->state[i] = state;
        shown->count = i + 1;
        if (!mend(&state, outcome, i))
            break;
    }
    shown->memory = memory_hash();
    pvm_program_close(program);
    arena_fini(&bench.scratch);
}

static bool equal(const struct shown *a, const struct shown *b)
{
    if (a->count != b->count || !hash256_equal(&a->memory, &b->memory))
        return false;
    for (unsigned i = 0; i < a->count; i++) {
        const struct pvm_state *s = &a->state[i], *t = &b->state[i];
        if (a->outcome[i].exit != b->outcome[i].exit ||
            a->outcome[i].arg != b->outcome[i].arg || s->gas != t->gas ||
            s->pc != t->pc || s->icount != t->icount || s->charged != t->charged ||
            memcmp(s->reg, t->reg, sizeof s->reg) != 0)
            return false;
    }
    return true;
}

/* The summary of a run in one segment is the sum of its charges. */
static const char *compare_sums(const struct shown *want, const struct shown *got)
{
    uint64_t hash = 0, gas = 0, n = 0;
    for (size_t i = 0; i < want->charge_count; i++) {
        const struct charge *c = &want->charge[i];
        hash = trace_ledger_hash(hash, c->kind, c->where, c->cost);
        gas += c->cost;
        n += c->kind == PVM_CHARGE_BLOCK;
    }
    if (n != got->segment_n || gas != got->segment_gas)
        return "summary sums";
    return want->count == 1 && hash != got->segment_hash ? "summary hash" : NULL;
}

static const char *compare_charges(const struct shown *want, const struct shown *got)
{
    return want->charge_count == got->charge_count &&
                   memcmp(want->charge, got->charge,
                          sizeof *want->charge * want->charge_count) == 0
               ? NULL
               : "charges";
}

/* Run in one mode under a gas log and compare all that the log allows. */
static const char *compare_log(struct shown *want, struct shown *got,
                               const struct mode *mode, enum pvm_gas_log log)
{
    bench.bad = NULL;
    run(log, mode, got);
    if (bench.bad)
        return bench.bad;
    if (!equal(want, got))
        return "state";
    if (log == PVM_GAS_LOG_SUMMARY)
        return compare_sums(want, got);
    return log == PVM_GAS_LOG_NONE ? NULL : compare_charges(want, got);
}

static const struct mode loop = {.name = "loop", .dispatch = PVM_DISPATCH_LOOP};
static const struct mode steps = {
    .name = "steps", .dispatch = PVM_DISPATCH_LOOP, .steps = true};
static const struct mode modes[] = {
    {.name = "loop", .dispatch = PVM_DISPATCH_LOOP},
    {.name = "threaded", .dispatch = PVM_DISPATCH_THREADED},
    {.name = "native", .native = true},
    {.name = "native with checks",
     .native = true,
     .options = {.explicit_checks = true}},
    {.name = "sandboxed", .native = true, .sandboxed = true},
    {.name = "sandboxed with checks",
     .native = true,
     .sandboxed = true,
     .options = {.explicit_checks = true}},
    {.name = "native, all holes",
     .native = true,
     .options = {.interp_only = {~0ull, ~0ull, ~0ull, ~0ull}}},
};
static const struct mode native_steps = {
    .name = "native steps", .native = true, .steps = true};

/* A process takes its time: it gets every 16th program. */
static bool wants(const struct mode *mode, uint64_t i)
{
    return !mode->native ||
           (pvm_recomp_available() && (!mode->sandboxed || i % 16 == 0));
}

static const struct mode answering = {.name = "loop with a host", .answers = true};
static const struct mode native_answering[] = {
    {.name = "native with a host", .answers = true, .native = true},
    {.name = "native with a host and checks",
     .answers = true,
     .native = true,
     .options = {.explicit_checks = true}},
};

static const char *compare_answering(struct shown *want, struct shown *got,
                                     const char **ret_mode)
{
    const char *what = NULL;
    run(PVM_GAS_LOG_NONE, &answering, want);
    for (unsigned m = 0; m < countof(native_answering) && !what; m++) {
        *ret_mode = native_answering[m].name;
        what = compare_log(want, got, &native_answering[m], PVM_GAS_LOG_NONE);
    }
    return what;
}

/* NULL, or what differs, with the mode in *ret_mode and the log in *ret_log. */
static const char *compare_all(uint64_t i, struct shown *want, struct shown *got,
                               const char **ret_mode, unsigned *ret_log)
{
    const char *what = NULL;
    run(PVM_GAS_LOG_EACH, &loop, want);
    bench.first_exit = want->outcome[0].exit;
    *ret_log = PVM_GAS_LOG_NONE;
    *ret_mode = steps.name;
    what = compare_log(want, got, &steps, PVM_GAS_LOG_NONE);
    for (unsigned m = 0; m < sizeof modes / sizeof modes[0] && !what; m++) {
        if (!wants(&modes[m], i))
            continue;
        for (unsigned log = PVM_GAS_LOG_NONE; log <= PVM_GAS_LOG_SUMMARY && !what;
             log++) {
            *ret_mode = modes[m].name;
            *ret_log = log;
            what = compare_log(want, got, &modes[m], (enum pvm_gas_log)log);
        }
    }
    if (what || !pvm_recomp_available())
        return what;
    *ret_mode = native_steps.name;
    *ret_log = PVM_GAS_LOG_NONE;
    what = compare_log(want, got, &native_steps, PVM_GAS_LOG_NONE);
    return what ? what : compare_answering(want, got, ret_mode);
}

static void test_random_programs(void **unused)
{
    (void)unused;
    struct shown *want = calloc(1, sizeof *want), *got = calloc(1, sizeof *got);
    uint64_t seed = test_seed(1), count = getenv("LOCKSTEP_SEED") ? 1 : 4000;
    unsigned ends[17] = {0};
    for (uint64_t i = 0; i < count; i++) {
        analysis_progen_make(&bench.c, seed + i);
        bench.code = analysis_case_code(&bench.c);
        const char *mode = "";
        unsigned log = 0;
        const char *what = compare_all(i, want, got, &mode, &log);
        if (what) {
            test_reproduce("diff_engines", seed + i);
            fail_msg("engines differ: %s, gas log %u: %s", mode, log, what);
        }
        ends[bench.first_exit]++;
    }
    if (count > 1) /* the generator must reach every kind of end */
        for (unsigned e = 0; e < 8; e++)
            if (e != 5 && !ends[e])
                fail_msg("no program ended in %s", pvm_exit_name((enum pvm_exit)e));
    free(want);
    free(got);
}

static int setup(void **unused)
{
    (void)unused;
    arena_init(&bench.arena, 64 << 20);
    check(!os_reserve(PVM_MEM_RESERVE_SIZE, &bench.reservation));
    bench.mem = pvm_mem_init(bench.reservation);
    check(!pvm_engine_create(&bench.arena, &bench.engine));
    check(!pvm_recomp_cache_create(&bench.arena, 1 << 18, &bench.cache));
    if (pvm_recomp_available())
        check(!pvm_sandbox_create(&bench.arena, NULL, &bench.sandbox));
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    os_release(bench.reservation, PVM_MEM_RESERVE_SIZE);
    pvm_recomp_cache_close(bench.cache);
    pvm_sandbox_close(bench.sandbox);
    arena_fini(&bench.arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_programs)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
