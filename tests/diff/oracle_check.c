/* SPDX-License-Identifier: MIT
 *
 * One program on the oracle and on every engine: exits, registers, gas, charges,
 * memory, page states, through resumes.
 */
#include "tests/diff/oracle_check.h"

#include "analysis/progen.h"
#include "tests/diff/oracle.h"

#include "base/os.h"
#include "tests/test.h"

#include <string.h>

enum { CHARGE_MAX = 20000, RUN_MAX = 6, CACHE_SIZE = 1 };

struct charge {
    uint64_t kind, where, cost;
    uint64_t gas; /* the oracle's, before a block is paid for */
};

struct charges {
    struct charge item[CHARGE_MAX];
    size_t count;
};

static struct {
    struct arena arena, scratch;
    void *reservation[2];
    struct pvm_mem *memory[2];
    struct pvm_mem *mem; /* of the run that is compared */
    struct pvm_engine *engine;
    struct pvm_recomp_cache *cache;
    struct analysis_case c;
    struct pvm_code code;          /* of the case */
    struct oracle oracle[RUN_MAX]; /* after each run */
    unsigned run_count;
    int64_t gas_stop; /* the next deadline */
    size_t entry;     /* index in `want` of the first entry behind the last deadline */
    bool misses_deadline;
    bool runs_out; /* a run of the oracle ended in OUT_OF_GAS */
    const struct oracle *running;
    size_t want_count[RUN_MAX]; /* before each run */
    struct charges want, got;
    char what[80];
} bench;

/* ---- the oracle's side ---- */

static void charge_put(struct charges *c, struct charge charge)
{
    if (c->count < CHARGE_MAX)
        c->item[c->count++] = charge;
}

static void on_want(void *self, unsigned kind, uint64_t where, uint64_t cost)
{
    charge_put(self, (struct charge){kind, where, cost, bench.running->gas + cost});
}

static void on_got(void *self, const struct pvm_state *state, enum pvm_charge_kind kind,
                   uint32_t where, uint64_t cost)
{
    (void)state;
    charge_put(self, (struct charge){kind, where, cost, 0});
}

static void oracle_map(struct oracle *o, const struct pvm_region *region)
{
    for (uint64_t at = 0; at < region->size; at += 4096) {
        struct oracle_page *page = &o->page[o->page_count++];
        page->number = (uint32_t)((region->start + at) / 4096);
        page->writable = region->access == PVM_ACCESS_RW;
        page->written = false;
        memset(page->byte, 0, sizeof page->byte);
        if (at < region->data.size) {
            uint64_t left = region->data.size - at;
            memcpy(page->byte, region->data.data + at, left < 4096 ? left : 4096);
        }
    }
}

static void oracle_make(struct oracle *o, const struct analysis_case *c)
{
    *o = (struct oracle){
        .code = c->code,
        .mask = c->bitmask,
        .jump = c->jump,
        .size = c->code_size,
        .jump_count = c->jump_count,
        .jump_width = c->jump_width,
        .javm = c->config.profile == PVM_PROFILE_JAVM,
        .single_pass = (c->config.model & 255) == 1,
        .page_gas = c->config.model >> 8 == 1,
        .mem_cycles = c->config.mem_cycles,
        .gas = c->gas,
        .pc = c->pc,
        .charge = on_want,
        .self = &bench.want,
    };
    memcpy(o->reg, c->reg, sizeof o->reg);
    for (uint32_t i = 0; i < c->region_count; i++) {
        struct pvm_region region = analysis_case_region(c, i);
        oracle_map(o, &region);
    }
}

/* What a host does between two runs; false ends the case. */
static bool oracle_mend(struct oracle *o, unsigned round)
{
    if (o->exit == ORACLE_HOST_CALL || o->exit == ORACLE_ECALL)
        o->reg[7] += round;
    else if (o->exit == ORACLE_OUT_OF_GAS)
        o->gas += 500;
    else if (o->exit == ORACLE_PAGE_FAULT &&
             !oracle_page_find(o, (uint32_t)o->arg / 4096))
        oracle_map(o, &(struct pvm_region){.start = (uint32_t)o->arg,
                                           .size = 4096,
                                           .access = PVM_ACCESS_RW});
    else
        return false;
    return true;
}

static void oracle_all(void)
{
    static struct oracle o;
    bench.want.count = 0;
    bench.running = &o;
    bench.runs_out = false;
    oracle_make(&o, &bench.c);
    for (unsigned i = 0; i < RUN_MAX; i++) {
        bench.want_count[i] = bench.want.count;
        oracle_run(&o);
        bench.oracle[i] = o;
        bench.run_count = i + 1;
        bench.runs_out |= o.exit == ORACLE_OUT_OF_GAS;
        if (!oracle_mend(&o, i))
            return;
    }
}

/* ---- the engine's side ---- */

static bool differ(const char *field, uint64_t want, uint64_t got)
{
    if (want == got)
        return false;
    (void)snprintf(bench.what, sizeof bench.what, "%s: want 0x%llx, got 0x%llx", field,
                   (unsigned long long)want, (unsigned long long)got);
    return true;
}

static bool pages_differ(const struct oracle *o)
{
    unsigned count = 0;
    for (uint32_t n = pvm_mem_next_page(bench.mem, 0); n < PVM_PAGE_COUNT;
         n = pvm_mem_next_page(bench.mem, n + 1))
        count++;
    if (differ("mapped pages", o->page_count, count))
        return true;
    for (unsigned i = 0; i < o->page_count; i++) {
        const struct oracle_page *page = &o->page[i];
        enum pvm_access access = page->writable ? PVM_ACCESS_RW : PVM_ACCESS_R;
        if (differ("page mode", access, pvm_mem_access(bench.mem, page->number)) ||
            (o->page_gas && differ("page written", page->written,
                                   pvm_mem_written(bench.mem, page->number))))
            return true;
        const uint8_t *byte = pvm_mem_page(bench.mem, page->number);
        for (unsigned k = 0; k < 4096; k++)
            if (byte[k] != page->byte[k])
                return differ("memory", page->byte[k], byte[k]);
    }
    return false;
}

static bool state_differs(const struct oracle *o, const struct pvm_state *s,
                          struct pvm_outcome outcome)
{
    if (differ("exit", (uint64_t)o->exit, outcome.exit) ||
        differ("arg", o->arg, outcome.arg) || differ("pc", o->pc, s->pc) ||
        differ("gas", o->gas, s->gas) || differ("charged", o->charged, s->charged) ||
        differ("icount", o->icount, s->icount))
        return true;
    for (unsigned r = 0; r < 13; r++)
        if (differ(pvm_reg_name[r], o->reg[r], s->reg[r]))
            return true;
    return pages_differ(o);
}

static void host_mend(struct pvm_state *state, struct pvm_outcome outcome,
                      unsigned round)
{
    if (outcome.exit == PVM_EXIT_OUT_OF_GAS)
        state->gas += 500;
    else if (outcome.exit == PVM_EXIT_PAGE_FAULT)
        check(!pvm_mem_map(bench.mem, (uint32_t)outcome.arg, PVM_PAGE_SIZE,
                           PVM_ACCESS_RW, (struct bytes){0}));
    else
        state->reg[7] += round;
}

/* A deadline comes at the first block entry with that gas or less.  (Entries that
 * cannot be paid for are no charges, so what comes there is not known.) */
static void check_deadline(const struct pvm_state *state)
{
    const struct charges *want = &bench.want;
    size_t k = bench.entry;
    while (k < want->count && (want->item[k].kind != PVM_CHARGE_BLOCK ||
                               want->item[k].gas > (uint64_t)bench.gas_stop))
        k++;
    bench.entry = k;
    if (k < want->count && !bench.runs_out && want->count < CHARGE_MAX)
        bench.misses_deadline |=
            differ("gas at a deadline", want->item[k].gas, state->gas);
}

/* A deadline every now and then; every other one ends the run for a moment. */
static bool on_deadline(void *self, struct pvm_state *state, int64_t *ret_gas_stop)
{
    (void)self;
    check_deadline(state);
    int64_t step = 1 + (int64_t)((state->gas ^ state->icount) % 50);
    bool goes_on = bench.gas_stop & 1;
    bench.gas_stop = bench.gas_stop > step ? bench.gas_stop - step : PVM_GAS_STOP_NEVER;
    *ret_gas_stop = bench.gas_stop;
    return goes_on;
}

/* How an engine is run; all of it must make no difference. */
enum manner { AT_ONCE, WITH_DEADLINES, BY_STEPS };

static struct pvm_outcome run_engine(const struct pvm_program *program,
                                     struct pvm_state *state, enum manner manner)
{
    struct pvm_observer observer = {
        .self = &bench.got, .charge = on_got, .gas_stop = PVM_GAS_STOP_NEVER};
    struct pvm_outcome outcome = {.exit = PVM_EXIT_STOPPED};
    if (manner == BY_STEPS) {
        while (pvm_step(bench.engine, program, state, &outcome))
            continue;
        return outcome;
    }
    if (manner == WITH_DEADLINES && state->gas < INT64_MAX) {
        observer.deadline = on_deadline;
        bench.gas_stop = (int64_t)state->gas - (int64_t)state->gas % 3;
    }
    while (outcome.exit == PVM_EXIT_STOPPED) {
        if (observer.deadline)
            observer.gas_stop = bench.gas_stop;
        outcome = pvm_run(bench.engine, program, state, NULL, &observer);
    }
    return outcome;
}

static bool charges_differ(void)
{
    if (differ("number of charges", bench.want.count, bench.got.count))
        return true;
    for (size_t i = 0; i < bench.want.count; i++) {
        const struct charge *w = &bench.want.item[i], *g = &bench.got.item[i];
        if (differ("charge kind", w->kind, g->kind) ||
            differ("charge where", w->where, g->where) ||
            differ("charge cost", w->cost, g->cost))
            return true;
    }
    return false;
}

static bool runs_differ(const struct pvm_program *program, enum manner manner)
{
    struct pvm_state state = {.gas = bench.c.gas, .pc = bench.c.pc, .mem = bench.mem};
    memcpy(state.reg, bench.c.reg, sizeof state.reg);
    bench.got.count = 0;
    bench.misses_deadline = false;
    analysis_case_map(&bench.c, bench.mem);
    for (unsigned i = 0; i < bench.run_count; i++) {
        bench.entry = bench.want_count[i];
        struct pvm_outcome outcome = run_engine(program, &state, manner);
        if (bench.misses_deadline || state_differs(&bench.oracle[i], &state, outcome))
            return true;
        if (i + 1 < bench.run_count)
            host_mend(&state, outcome, i);
    }
    bool logged = pvm_program_gas_log(program) == PVM_GAS_LOG_EACH;
    return logged && manner != BY_STEPS && charges_differ();
}

static bool engine_differs(bool native, const struct pvm_recomp_options *options,
                           enum pvm_dispatch dispatch, enum pvm_gas_log log,
                           enum manner manner)
{
    struct pvm_program *program = NULL;
    arena_init(&bench.scratch, 64 << 20);
    pvm_engine_set_dispatch(bench.engine, dispatch);
    if (native)
        check(!pvm_program_recompile(&bench.scratch, &bench.code, &bench.c.config, log,
                                     options, &program));
    else
        check(!pvm_program_create(&bench.scratch, &bench.code, &bench.c.config, log,
                                  &program));
    bool differs = runs_differ(program, manner);
    pvm_program_close(program);
    arena_fini(&bench.scratch);
    return differs;
}

/* Put a program into the cache that must not be taken for that of the case: another
 * configuration, or table. */
static struct pvm_program *cache_similar(void)
{
    static struct analysis_case similar;
    const struct pvm_recomp_options options = {.cache = bench.cache};
    struct pvm_program *program;
    similar = bench.c;
    switch (similar.code_size % 3) {
    case 0:
        similar.config.mem_cycles = similar.config.mem_cycles % 100 + 1;
        break;
    case 1:
        similar.config.model ^= 1;
        similar.config.mem_cycles += !similar.config.mem_cycles;
        break;
    default:
        memset(similar.jump, 0, sizeof similar.jump);
    }
    const struct pvm_code code = analysis_case_code(&similar);
    check(!pvm_program_recompile(&bench.scratch, &code, &similar.config,
                                 PVM_GAS_LOG_NONE, &options, &program));
    return program;
}

/* Two machines with native code of their own in turns on one engine, from a cache that
 * has no room but for what is in use. */
static bool turns_differ(void)
{
    struct pvm_program *program[2] = {NULL, NULL};
    struct pvm_state state[2];
    bool differs = false;
    arena_init(&bench.scratch, 64 << 20);
    struct pvm_program *similar = cache_similar();
    for (unsigned k = 0; k < 2; k++) {
        struct pvm_recomp_options options = {.explicit_checks = k == 1,
                                             .cache = bench.cache};
        check(!pvm_program_recompile(&bench.scratch, &bench.code, &bench.c.config,
                                     PVM_GAS_LOG_NONE, &options, &program[k]));
        analysis_case_map(&bench.c, bench.memory[k]);
        state[k] = (struct pvm_state){
            .gas = bench.c.gas, .pc = bench.c.pc, .mem = bench.memory[k]};
        memcpy(state[k].reg, bench.c.reg, sizeof state[k].reg);
    }
    for (unsigned i = 0; i < 2 * bench.run_count && !differs; i++) {
        unsigned k = i % 2;
        bench.mem = bench.memory[k];
        struct pvm_outcome outcome =
            pvm_run(bench.engine, program[k], &state[k], NULL, NULL);
        differs = state_differs(&bench.oracle[i / 2], &state[k], outcome);
        if (i / 2 + 1 < bench.run_count && !differs)
            host_mend(&state[k], outcome, i / 2);
    }
    bench.mem = bench.memory[0];
    pvm_program_close(similar);
    pvm_program_close(program[0]);
    pvm_program_close(program[1]);
    arena_fini(&bench.scratch);
    return differs;
}

/* A budget at the edge of a block, by the oracle's own price. */
static void vary(uint64_t *random)
{
    struct analysis_case *c = &bench.c;
    uint64_t kind = test_random(random) % 10, need, reserve;
    if (kind < 4)
        return;
    oracle_make(&bench.oracle[0], c);
    oracle_price(&bench.oracle[0], oracle_block_of(&bench.oracle[0], c->pc), &need,
                 &reserve);
    if (kind < 7)
        c->gas = need + reserve - (kind == 4);
}

/* If the gas is enough, any more is: give so much that 32 bits or a sign show. */
static void enrich(uint64_t *random)
{
    oracle_all();
    if (bench.runs_out)
        return;
    uint64_t gas = test_random(random) % 50;
    bench.c.gas = gas | (uint64_t)1 << (gas % 2 ? 63 : 32 + gas % 8);
}

/* The mode in which an engine differs from the oracle on bench.c, or NULL.  The oracle
 * has no host to answer calls: cases with one are executed by steps and in turns. */
static const char *case_differs(void)
{
    const struct analysis_way *way = &bench.c.way;
    enum manner manner = bench.c.deadline ? WITH_DEADLINES : AT_ONCE;
    bench.code = analysis_case_code(&bench.c);
    if (oracle_load_differs(&bench.c, bench.what, sizeof bench.what))
        return "loader";
    oracle_all();
    if (engine_differs(false, NULL, PVM_DISPATCH_LOOP, PVM_GAS_LOG_EACH, AT_ONCE))
        return "loop";
    if (engine_differs(false, NULL, PVM_DISPATCH_THREADED, way->log, manner))
        return "threaded";
    if (bench.c.answers &&
        engine_differs(false, NULL, PVM_DISPATCH_LOOP, PVM_GAS_LOG_NONE, BY_STEPS))
        return "steps";
    if (!pvm_recomp_available())
        return NULL;
    struct pvm_recomp_options options = {.explicit_checks = way->explicit_checks};
    if (engine_differs(true, &options, PVM_DISPATCH_AUTO, way->log, manner))
        return options.explicit_checks ? "native with checks" : "native";
    memcpy(options.interp_only, way->interp_only, sizeof options.interp_only);
    if (engine_differs(true, &options, PVM_DISPATCH_AUTO, PVM_GAS_LOG_EACH, AT_ONCE))
        return "native with holes";
    if (bench.c.answers &&
        engine_differs(true, &options, PVM_DISPATCH_AUTO, PVM_GAS_LOG_NONE, BY_STEPS))
        return "native steps";
    return bench.c.answers && turns_differ() ? "native in turns" : NULL;
}

/* How engines run the case. */
static void choose_way(uint64_t seed, uint64_t *random)
{
    struct analysis_case *c = &bench.c;
    c->way = (struct analysis_way){.log = (enum pvm_gas_log)(test_random(random) % 4),
                                   .explicit_checks = seed & 1};
    c->deadline = seed % 3 == 0;
    c->answers = seed % 8 < 2;
    for (unsigned op = 0; op < 256; op++)
        if (pvm_op_info[op].name && test_random(random) % 4 == 0)
            c->way.interp_only[op / 64] |= (uint64_t)1 << op % 64;
}

void oracle_check_make(uint64_t seed, struct analysis_case *ret_case)
{
    uint64_t random = seed ^ 0x6f7261636c65;
    analysis_progen_make(&bench.c, seed);
    vary(&random);
    choose_way(seed, &random);
    if (seed % 4 == 0)
        enrich(&random);
    *ret_case = bench.c;
}

const char *oracle_check_case(const struct analysis_case *c)
{
    bench.c = *c;
    return case_differs();
}

/* ---- each opcode, densely ---- */

static const uint64_t edges[] = {
    0,           1,
    2,           31,
    32,          63,
    64,          0x7f,
    0x80,        0xffff8000,
    0x7fffffff,  0x80000000,
    0xffffffff,  0x100000000,
    0x100000001, -1ull,
    -2ull,       -0x80000000ull,
    1ull << 63,  (1ull << 63) - 1,
};

/* Neighbours that an engine may join with the opcode under test. */
static const uint8_t partners[] = {
    PVM_OP_add_64,     PVM_OP_sub_64,        PVM_OP_set_lt_u,    PVM_OP_mul_64,
    PVM_OP_add_imm_64, PVM_OP_mul_upper_u_u, PVM_OP_move_reg,    PVM_OP_xor,
    PVM_OP_set_lt_s,   PVM_OP_shlo_l_imm_64, PVM_OP_load_ind_u8, PVM_OP_cmov_nz,
};

/* Those of the program: 0 and the last three of the guest's, or any. */
static uint8_t dense_reg[4];

static void choose_regs(uint64_t *random)
{
    static const uint8_t regs[] = {0, 10, 11, 12};
    bool any = test_random(random) % 2;
    for (unsigned k = 0; k < countof(regs); k++)
        dense_reg[k] = any ? (uint8_t)(test_random(random) % PVM_REG_COUNT) : regs[k];
}

static uint8_t pick_reg(uint64_t *random)
{
    return dense_reg[test_random(random) % 4];
}

static uint64_t pick_edge(uint64_t *random)
{
    static const uint64_t sharp[] = {0, 1, -1ull, 1ull << 63, 1ull << 31, -1ull << 31};
    if (test_random(random) % 4 == 0)
        return sharp[test_random(random) % countof(sharp)];
    return edges[test_random(random) % countof(edges)];
}

/* An offset, or an address of the case's memory. */
static uint64_t pick_place(uint64_t *random)
{
    const struct analysis_case *c = &bench.c;
    uint64_t offset = test_random(random) % 64, kind = test_random(random) % 4;
    if (kind > 1)
        return pick_edge(random);
    return kind ? offset
                : c->region[test_random(random) % c->region_count].start + offset;
}

static struct pvm_insn pick_operands(uint8_t op, uint64_t *random)
{
    bool wide = pvm_op_info[op].format == PVM_FORMAT_A_X64;
    bool touches = (pvm_op_info[op].flags & (PVM_OP_LOAD | PVM_OP_STORE)) != 0;
    uint64_t x = touches ? pick_place(random) : pick_edge(random);
    uint64_t y = pick_edge(random);
    return (struct pvm_insn){.op = op,
                             .a = pick_reg(random),
                             .b = pick_reg(random),
                             .d = pick_reg(random),
                             .x = wide ? (int64_t)x : (int32_t)x,
                             .y = (int32_t)y};
}

/* Append an instruction; its target, if any, is the instruction behind it. */
static void append(struct pvm_insn insn)
{
    struct analysis_case *c = &bench.c;
    uint32_t pc = c->code_size;
    unsigned format = pvm_op_info[insn.op].format;
    bool wide = format == PVM_FORMAT_A_X64;
    insn.pc = pc;
    insn.target = pc;
    bool offset_x = format == PVM_FORMAT_T || format == PVM_FORMAT_A_B_T;
    unsigned x_size = wide ? 8 : offset_x ? 2 : pvm_imm_size(insn.x);
    unsigned y_size = format == PVM_FORMAT_A_X_T ? 2 : pvm_imm_size(insn.y);
    uint8_t bytes[PVM_INSN_SIZE_MAX];
    size_t size = 0;
    for (unsigned round = 0; round < 2; round++) {
        size = 0;
        for (unsigned k = 0; !size && k < 4; k++) /* formats without X or Y want 0 */
            size =
                pvm_insn_encode(&insn, k & 1 ? 0 : x_size, k & 2 ? 0 : y_size, bytes);
        insn.target = (int64_t)(pc + size);
    }
    check(size);
    memcpy(c->code + pc, bytes, size);
    c->bitmask[pc / 8] |= (uint8_t)(1u << (pc % 8));
    c->code_size += (uint32_t)size;
}

/* What engines join, with one operand in four another one than it wants. */
static void append_near_idiom(uint64_t *random)
{
    static const uint8_t shifts[] = {1, 2, 3, 32, 48, 56};
    static const uint8_t idiom[][3] = {
        {PVM_OP_add_64, PVM_OP_set_lt_u, PVM_OP_add_64},
        {PVM_OP_set_lt_u, PVM_OP_sub_64},
        {PVM_OP_add_64, PVM_OP_load_ind_u8},
        {PVM_OP_shlo_l_imm_64, PVM_OP_add_64, PVM_OP_load_ind_u8},
        {PVM_OP_shlo_l_imm_64, PVM_OP_shar_r_imm_64},
        {PVM_OP_shlo_l_imm_64, PVM_OP_shlo_r_imm_64},
        {PVM_OP_mul_64, PVM_OP_mul_upper_u_u},
        {PVM_OP_load_imm, PVM_OP_add_imm_32},
    };
    const uint8_t *ops = idiom[test_random(random) % countof(idiom)];
    struct pvm_insn first = pick_operands(ops[0], random);
    first.x = ops[0] == PVM_OP_load_imm ? first.x
                                        : shifts[test_random(random) % countof(shifts)];
    uint8_t result = pvm_op_info[ops[0]].format == PVM_FORMAT_D_A_B ? first.d : first.a;
    append(first);
    for (unsigned n = 1; n < 3 && ops[n]; n++) {
        struct pvm_insn next = pick_operands(ops[n], random);
        bool parallel = ops[1] == PVM_OP_sub_64 || ops[1] == PVM_OP_mul_upper_u_u;
        bool compares = ops[n] == PVM_OP_set_lt_u;
        if (test_random(random) % 4)
            next.a = parallel || !compares ? first.a : result;
        if (test_random(random) % 4)
            next.b = parallel || compares ? first.b : result;
        if (test_random(random) % 4 && ops[n] != PVM_OP_add_imm_32)
            next.x = first.x;
        append(next);
        result = pvm_op_info[ops[n]].format == PVM_FORMAT_D_A_B ? next.d : next.a;
    }
}

static void make_dense(uint8_t op, uint64_t seed)
{
    uint64_t random = seed;
    analysis_progen_make(&bench.c, seed);
    choose_regs(&random);
    memset(bench.c.bitmask, 0, sizeof bench.c.bitmask);
    memset(bench.c.code, 0, sizeof bench.c.code);
    bench.c.code_size = 0;
    bench.c.pc = 0;
    bench.c.gas = 100000;
    for (unsigned r = 0; r < PVM_REG_COUNT; r++)
        if (test_random(&random) % 2)
            bench.c.reg[r] = pick_edge(&random);
    for (unsigned i = 0; i < 24; i++) {
        uint64_t kind = test_random(&random) % 16;
        if (kind == 0)
            append_near_idiom(&random);
        uint8_t partner = partners[test_random(&random) % countof(partners)];
        uint8_t next = kind < 9 ? op : kind < 13 ? partner : PVM_OP_load_imm_64;
        append(pick_operands(next, &random));
    }
}

void oracle_check_make_dense(uint8_t op, uint64_t seed, struct analysis_case *ret_case)
{
    uint64_t random = seed;
    make_dense(op, seed);
    choose_way(seed, &random);
    if (seed % 4 == 0)
        enrich(&random);
    *ret_case = bench.c;
}

/* ---- the bench ---- */

const char *oracle_check_what(void)
{
    return bench.what;
}

enum analysis_group oracle_check_group(void)
{
    static const char *const gas[] = {"number of charges", "charge", "gas", "page wr"};
    for (size_t i = 0; i < countof(gas); i++)
        if (!strncmp(bench.what, gas[i], strlen(gas[i])))
            return ANALYSIS_GAS;
    char field[sizeof bench.what];
    (void)snprintf(field, sizeof field, "%.*s", (int)strcspn(bench.what, ":"),
                   bench.what);
    return analysis_group_of(field);
}

void oracle_check_begin(void)
{
    arena_init(&bench.arena, 64 << 20);
    for (unsigned k = 0; k < 2; k++) {
        check(!os_reserve(PVM_MEM_RESERVE_SIZE, &bench.reservation[k]));
        bench.memory[k] = pvm_mem_init(bench.reservation[k]);
    }
    bench.mem = bench.memory[0];
    check(!pvm_engine_create(&bench.arena, &bench.engine));
    check(!pvm_recomp_cache_create(&bench.arena, CACHE_SIZE, &bench.cache));
}

void oracle_check_end(void)
{
    pvm_recomp_cache_close(bench.cache);
    for (unsigned k = 0; k < 2; k++)
        os_release(bench.reservation[k], PVM_MEM_RESERVE_SIZE);
    arena_fini(&bench.arena);
}
