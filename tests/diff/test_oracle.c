/* SPDX-License-Identifier: MIT
 *
 * Every engine against the oracle, on generated programs: exits, registers, gas,
 * charges, memory, page states, through resumes.
 *
 *   test_oracle [COUNT [FIRST_SEED]]    a campaign; without arguments a short one
 */
#include "tests/diff/oracle.h"
#include "tests/diff/progen.h"

#include "base/os.h"
#include "tests/test.h"

#include <string.h>

enum { CHARGE_MAX = 20000, RUN_MAX = 6 };

struct charge {
    uint64_t kind, where, cost;
};

struct charges {
    struct charge item[CHARGE_MAX];
    size_t count;
};

static struct {
    struct arena arena, scratch;
    void *reservation;
    struct pvm_mem *mem;
    struct pvm_engine *engine;
    struct progen p;
    struct oracle oracle[RUN_MAX]; /* after each run */
    unsigned run_count;
    struct charges want, got;
    char what[80];
    uint64_t count, seed;
} bench;

/* ---- the oracle's side ---- */

static void charge_put(struct charges *c, uint64_t kind, uint64_t where, uint64_t cost)
{
    if (c->count < CHARGE_MAX)
        c->item[c->count++] = (struct charge){kind, where, cost};
}

static void on_want(void *self, unsigned kind, uint64_t where, uint64_t cost)
{
    charge_put(self, kind, where, cost);
}

static void on_got(void *self, const struct pvm_state *state, enum pvm_charge_kind kind,
                   uint32_t where, uint64_t cost)
{
    (void)state;
    charge_put(self, kind, where, cost);
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

static void oracle_make(struct oracle *o, const struct progen *p)
{
    *o = (struct oracle){
        .code = p->code,
        .mask = p->bitmask,
        .jump = p->jump,
        .size = p->program.code.size,
        .jump_count = p->program.jump_count,
        .jump_width = p->program.jump_width,
        .javm = p->config.profile == PVM_PROFILE_JAVM,
        .single_pass = (p->config.model & 255) == 1,
        .page_gas = p->config.model >> 8 == 1,
        .mem_cycles = p->config.mem_cycles,
        .gas = p->start.gas,
        .pc = p->start.pc,
        .charge = on_want,
        .self = &bench.want,
    };
    memcpy(o->reg, p->start.reg, sizeof o->reg);
    for (uint32_t i = 0; i < p->region_count; i++)
        oracle_map(o, &p->region[i]);
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
    oracle_make(&o, &bench.p);
    for (unsigned i = 0; i < RUN_MAX; i++) {
        oracle_run(&o);
        bench.oracle[i] = o;
        bench.run_count = i + 1;
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

static bool runs_differ(const struct pvm_program *program, bool each)
{
    struct pvm_observer observer = {
        .self = &bench.got, .charge = on_got, .gas_stop = PVM_GAS_STOP_NEVER};
    struct pvm_state state = bench.p.start;
    state.mem = bench.mem;
    bench.got.count = 0;
    progen_map(&bench.p, bench.mem);
    for (unsigned i = 0; i < bench.run_count; i++) {
        struct pvm_outcome outcome =
            pvm_run(bench.engine, program, &state, NULL, &observer);
        if (state_differs(&bench.oracle[i], &state, outcome))
            return true;
        if (i + 1 < bench.run_count)
            host_mend(&state, outcome, i);
    }
    if (!each)
        return false;
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

static bool engine_differs(bool native, const struct pvm_recomp_options *options,
                           enum pvm_dispatch dispatch, enum pvm_gas_log log)
{
    struct pvm_program *program = NULL;
    arena_init(&bench.scratch, 64 << 20);
    pvm_engine_set_dispatch(bench.engine, dispatch);
    if (native)
        check(!pvm_program_recompile(&bench.scratch, &bench.p.program, &bench.p.config,
                                     log, options, &program));
    else
        check(!pvm_program_create(&bench.scratch, &bench.p.program, &bench.p.config,
                                  log, &program));
    bool differs = runs_differ(program, log == PVM_GAS_LOG_EACH);
    pvm_program_close(program);
    arena_fini(&bench.scratch);
    return differs;
}

/* Random bytes with a random mask; or a budget at the edge of the first block. */
static void vary(uint64_t *random)
{
    struct progen *p = &bench.p;
    p->start.gas %= 3000;
    uint64_t kind = test_random(random) % 10, need, reserve;
    if (kind == 0) {
        p->program.code.size = 1 + test_random(random) % 120;
        for (size_t i = 0; i < p->program.code.size; i++)
            p->code[i] = (uint8_t)test_random(random);
        memset(p->bitmask, 0, sizeof p->bitmask);
        for (size_t i = 0; i < p->program.code.size; i++)
            if (test_random(random) % 3 == 0)
                p->bitmask[i / 8] |= (uint8_t)(1u << (i % 8));
        p->bitmask[0] |= 1;
    } else if (kind < 4) {
        oracle_make(&bench.oracle[0], p);
        oracle_price(&bench.oracle[0], oracle_block_of(&bench.oracle[0], p->start.pc),
                     &need, &reserve);
        p->start.gas = need + reserve - (kind == 1);
    }
}

/* The mode in which an engine differs from the oracle on the program, or NULL. */
static const char *case_differs(uint64_t seed, uint64_t *random)
{
    oracle_all();
    enum pvm_gas_log log = (enum pvm_gas_log)(test_random(random) % 4);
    if (engine_differs(false, NULL, PVM_DISPATCH_LOOP, PVM_GAS_LOG_EACH))
        return "loop";
    if (engine_differs(false, NULL, PVM_DISPATCH_THREADED, log))
        return "threaded";
    if (!pvm_recomp_available())
        return NULL;
    struct pvm_recomp_options options = {.explicit_checks = seed & 1};
    if (engine_differs(true, &options, PVM_DISPATCH_AUTO, log))
        return options.explicit_checks ? "native with checks" : "native";
    for (unsigned i = 0; i < 4; i++)
        options.interp_only[i] = test_random(random) & test_random(random);
    if (engine_differs(true, &options, PVM_DISPATCH_AUTO, PVM_GAS_LOG_EACH))
        return "native with holes";
    return NULL;
}

static const char *seed_differs(uint64_t seed)
{
    uint64_t random = seed ^ 0x6f7261636c65;
    progen_make(&bench.p, seed);
    vary(&random);
    return case_differs(seed, &random);
}

static void test_generated(void **unused)
{
    (void)unused;
    for (uint64_t i = 0; i < bench.count; i++) {
        const char *mode = seed_differs(bench.seed + i);
        if (!mode)
            continue;
        print_message("reproduce: test_oracle 1 %llu\n",
                      (unsigned long long)(bench.seed + i));
        fail_msg("%s: %s", mode, bench.what);
    }
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

static uint8_t pick_reg(uint64_t *random)
{
    static const uint8_t regs[] = {0, 10, 11, 12};
    return regs[test_random(random) % 4];
}

static uint64_t pick_edge(uint64_t *random)
{
    return edges[test_random(random) % countof(edges)];
}

/* Append an instruction whose target, if any, is the instruction behind it. */
static void append(uint8_t op, uint64_t *random)
{
    struct progen *p = &bench.p;
    uint32_t pc = (uint32_t)p->program.code.size;
    unsigned format = pvm_op_info[op].format;
    bool wide = format == PVM_FORMAT_A_X64;
    uint64_t x = pick_edge(random), y = pick_edge(random);
    struct pvm_insn insn = {.pc = pc,
                            .op = op,
                            .a = pick_reg(random),
                            .b = pick_reg(random),
                            .d = pick_reg(random),
                            .x = wide ? (int64_t)x : (int32_t)x,
                            .y = (int32_t)y,
                            .target = pc};
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
    memcpy(p->code + pc, bytes, size);
    p->bitmask[pc / 8] |= (uint8_t)(1u << (pc % 8));
    p->program.code.size += size;
}

static void make_dense(uint8_t op, uint64_t seed)
{
    uint64_t random = seed;
    progen_make(&bench.p, seed);
    memset(bench.p.bitmask, 0, sizeof bench.p.bitmask);
    memset(bench.p.code, 0, sizeof bench.p.code);
    bench.p.program.code.size = 0;
    bench.p.start.pc = 0;
    bench.p.start.gas = 100000;
    for (unsigned r = 0; r < PVM_REG_COUNT; r++)
        if (test_random(&random) % 2)
            bench.p.start.reg[r] = pick_edge(&random);
    for (unsigned i = 0; i < 24; i++) {
        uint64_t kind = test_random(&random) % 4;
        append(kind < 2    ? op
               : kind == 2 ? partners[test_random(&random) % countof(partners)]
                           : (uint8_t)PVM_OP_load_imm_64,
               &random);
    }
}

static void test_opcodes(void **unused)
{
    (void)unused;
    for (unsigned op = 0; op < 256; op++)
        for (uint64_t i = 0; pvm_op_info[op].name && i < bench.count / 200; i++) {
            uint64_t seed = bench.seed + i, random = seed;
            make_dense((uint8_t)op, seed);
            const char *mode = case_differs(seed, &random);
            if (mode)
                fail_msg("op %u, seed %llu: %s: %s", op, (unsigned long long)seed, mode,
                         bench.what);
        }
}

static int setup(void **unused)
{
    (void)unused;
    arena_init(&bench.arena, 64 << 20);
    check(!os_reserve(PVM_MEM_RESERVE_SIZE, &bench.reservation));
    bench.mem = pvm_mem_init(bench.reservation);
    check(!pvm_engine_create(&bench.arena, &bench.engine));
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    os_release(bench.reservation, PVM_MEM_RESERVE_SIZE);
    arena_fini(&bench.arena);
    return 0;
}

int main(int argc, char **argv)
{
    bench.count = argc > 1 ? strtoull(argv[1], NULL, 0) : 3000;
    bench.seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_generated),
                                       cmocka_unit_test(test_opcodes)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
