/* SPDX-License-Identifier: MIT
 *
 * Calls and returns of recompiled programs, which are the host's own where the guest
 * behaves: deeper than the stack, to other places than behind the call, from an empty
 * stack, and across a host that runs another program on the same memory.
 */
#include "tests/unit/pvm/machine.h"

enum { STACK_PAGES = 400, STACK_END = 0x200000, A0 = 7, A1 = 8, SP = 1 };

/* a1 = calls and returns of a function that calls itself a0 times. */
static const char deep[] = "load_imm_jump ra, 2, enter\n"
                           "end: trap\n"
                           "enter:\n"
                           "add_imm_64 sp, sp, -8\n"
                           "store_ind_u64 ra, [sp]\n"
                           "branch_eq_imm a0, 0, leave\n"
                           "add_imm_64 a0, a0, -1\n"
                           "load_imm_jump ra, 4, enter\n"
                           "back: add_imm_64 a1, a1, 1\n"
                           "fallthrough\n"
                           "leave:\n"
                           "load_ind_u64 ra, [sp]\n"
                           "add_imm_64 sp, sp, 8\n"
                           "jump_ind ra, 0\n"
                           ".jump end, back\n";

/* Each call comes back to the next of three places; by a register, too. */
static const char astray[] = "again:\n"
                             "branch_eq_imm a0, 0, end\n"
                             "add_imm_64 a0, a0, -1\n"
                             "load_imm s0, 8\n"
                             "load_imm_jump ra, 2, callee\n"
                             "one: add_imm_64 a1, a1, 1\n"
                             "load_imm_jump_ind ra, s0, 4, 0\n"
                             "two: add_imm_64 a1, a1, 100\n"
                             "load_imm_jump ra, 6, callee\n"
                             "three: add_imm_64 a1, a1, 10000\n"
                             "jump again\n"
                             "callee:\n"
                             "add_imm_64 a2, a2, 1\n"
                             "and_imm a3, a2, 7\n"
                             "branch_ne_imm a3, 0, behind\n"
                             "load_imm ra, 6\n"
                             "jump behind\n"
                             "behind:\n"
                             "jump_ind ra, 0\n"
                             "end: jump_ind ra, 1\n"
                             ".jump one, two, three, callee\n";

/* A host call inside two calls; the host runs `deep` on the same memory. */
static const char nested[] = "load_imm_jump ra, 2, outer\n"
                             "end: trap\n"
                             "outer:\n"
                             "move_reg s0, ra\n"
                             "load_imm_jump ra, 4, inner\n"
                             "back: add_imm_64 a1, a1, 1\n"
                             "move_reg ra, s0\n"
                             "jump_ind ra, 0\n"
                             "inner:\n"
                             "ecalli 5\n"
                             "jump_ind ra, 0\n"
                             ".jump end, back\n";

struct way {
    bool native, sandbox;
    enum pvm_gas_log log;
    uint32_t page_gas;
};

struct guest {
    struct machine m;
    struct pvm_sandbox *sandbox;
};

static void choose(struct guest *g, const struct way *way)
{
    struct machine *m = &g->m;
    g->sandbox = NULL;
    if (!way->native)
        return;
    if (way->sandbox)
        assert_int_equal(pvm_sandbox_create(&m->arena, NULL, &g->sandbox), ERR_ok);
    const struct pvm_recomp_options options = {.sandbox = g->sandbox};
    assert_int_equal(pvm_program_recompile(&m->arena, &m->code, &m->config, way->log,
                                           &options, &m->program),
                     ERR_ok);
}

static void begin(struct guest *g, const char *text, const struct way *way)
{
    struct machine *m = &g->m;
    machine_init(m, PVM_PROFILE_JAVM, way->page_gas, way->log, text);
    machine_map(m, STACK_END - STACK_PAGES * PVM_PAGE_SIZE, STACK_PAGES, PVM_ACCESS_RW);
    choose(g, way);
    m->state.gas = (uint64_t)1 << 40;
    m->state.reg[SP] = STACK_END;
}

static void end(struct guest *g, const struct way *way)
{
    if (way->native)
        pvm_program_close(g->m.program);
    pvm_sandbox_close(g->sandbox);
    machine_fini(&g->m);
}

/* The inner machine has its own engine and program, and the memory of the outer one. */
static enum pvm_answer run_inner(void *self, struct pvm_state *state,
                                 enum pvm_exit kind, uint64_t number, uint32_t pc,
                                 struct pvm_outcome *ret_outcome)
{
    struct machine *inner = self;
    (void)kind, (void)number, (void)pc, (void)ret_outcome;
    inner->state = (struct pvm_state){
        .gas = (uint64_t)1 << 40, .mem = state->mem, .reg = {[SP] = STACK_END}};
    inner->state.reg[A0] = 50;
    (void)pvm_run(inner->engine, inner->program, &inner->state, NULL, NULL);
    state->reg[A1] += inner->state.reg[A1];
    return PVM_ANSWER_CONTINUE;
}

static struct pvm_state run(const char *text, uint64_t a0, const struct way *way,
                            struct pvm_outcome *ret_outcome)
{
    struct guest outer, inner;
    struct machine *m = &outer.m;
    begin(&outer, text, way);
    begin(&inner, deep, way);
    m->state.reg[A0] = a0;
    const struct pvm_host host = {.ecall = run_inner, .self = &inner.m};
    *ret_outcome = pvm_run(m->engine, m->program, &m->state, &host, NULL);
    struct pvm_state state = m->state;
    end(&inner, way);
    end(&outer, way);
    return state;
}

static void compare(const char *text, uint64_t a0, uint64_t want_a1)
{
    if (!pvm_recomp_available())
        skip();
    for (unsigned k = 0; k < 8; k++) {
        static const enum pvm_gas_log logs[] = {PVM_GAS_LOG_NONE, PVM_GAS_LOG_SUMMARY};
        struct way way = {.log = logs[k % 2], .page_gas = k / 2 % 2};
        struct pvm_outcome want_outcome, outcome;
        struct pvm_state want = run(text, a0, &way, &want_outcome);
        assert_int_equal(want.reg[A1], want_a1);
        way.native = true;
        way.sandbox = k / 4;
        struct pvm_state got = run(text, a0, &way, &outcome);
        assert_int_equal(outcome.exit, want_outcome.exit);
        assert_int_equal(got.pc, want.pc);
        assert_int_equal(got.gas, want.gas);
        assert_int_equal(got.icount, want.icount);
        assert_memory_equal(got.reg, want.reg, sizeof got.reg);
    }
}

static void test_deep(void **state)
{
    (void)state;
    compare(deep, 3, 3);
    compare(deep, 30000, 30000);
}

static void test_astray(void **state)
{
    (void)state;
    compare(astray, 1, 10101);
    compare(astray, 1000, 10067700); /* each eighth call comes back to `three` */
}

static void test_nested(void **state)
{
    (void)state;
    compare(nested, 0, 51);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_astray),
        cmocka_unit_test(test_nested),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
