/* SPDX-License-Identifier: MIT
 *
 * Taking programs apart and laying them out again, and reducing with judges that want
 * something small of a case, or crash or hang on it.
 */
#include "analysis/edit.h"
#include "analysis/progen.h"
#include "analysis/reduce.h"

#include "tests/test.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static struct analysis_case made, small;
static struct edit edit;

/* The position of the first instruction with this opcode at or behind `pc`; |c|. */
static uint32_t find_op(const struct analysis_case *c, uint8_t op, uint32_t pc)
{
    const struct pvm_code code = analysis_case_code(c);
    struct pvm_insn insn;
    for (; pc < c->code_size; pc++)
        if (pvm_insn_decode(&code, c->config.profile, pc, &insn) && insn.op == op)
            return pc;
    return c->code_size;
}

/* What is loaded and stored without a change runs as before. */
static void test_layout(void **unused)
{
    (void)unused;
    const enum analysis_engine engine[2] = {ANALYSIS_ENGINE_INTERP,
                                            ANALYSIS_ENGINE_OTHER};
    struct analysis_pair *pair;
    struct arena arena;
    unsigned equal = 0;
    arena_init(&arena, 64 << 20);
    assert_int_equal(analysis_pair_create(&arena, engine, &pair), ERR_ok);
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct analysis_pair_report want, got;
        analysis_progen_make(&made, seed);
        small = made;
        analysis_edit_load(&edit, &made);
        if (!analysis_edit_store(&edit, &small))
            continue;
        equal += !memcmp(made.code, small.code, sizeof made.code) &&
                 !memcmp(made.bitmask, small.bitmask, sizeof made.bitmask);
        made.run_count = small.run_count = 1;
        assert_int_equal(analysis_pair_run(pair, &made, &want), ERR_ok);
        assert_int_equal(analysis_pair_run(pair, &small, &got), ERR_ok);
        if (!memcmp(made.code, small.code, sizeof made.code))
            assert_int_equal(want.icount, got.icount);
    }
    assert_in_range(equal, 200, 300);
    analysis_pair_close(pair);
    arena_fini(&arena);
}

static const char loop_text[] = "lockstep case 1\npc 2\ncode\n"
                                ".jump_width 1\n.jump @0, @7\n"
                                "fallthrough\nfallthrough\n"
                                "add_imm_64 a0, a0, 1\n"
                                "jump @2:2\n"
                                "trap\n";

static void load_loop(void)
{
    struct analysis_case_error error;
    enum err err =
        analysis_case_parse(bytes_of(loop_text, sizeof loop_text - 1), &made, &error);
    if (err)
        fail_msg("line %u: %s", error.line, error.message);
    analysis_edit_load(&edit, &made);
}

/* Targets, table entries and the start follow what they lead to. */
static void test_moves(void **unused)
{
    (void)unused;
    load_loop();
    assert_int_equal(edit.count, 5);
    assert_int_equal(edit.start, 2);
    assert_int_equal(edit.item[3].target, 2);
    analysis_edit_remove(&edit, 0, 1);
    assert_true(analysis_edit_store(&edit, &made));
    assert_int_equal(made.pc, 1);
    const struct pvm_code code = analysis_case_code(&made);
    struct pvm_insn insn;
    assert_true(pvm_insn_decode(&code, PVM_PROFILE_VECTORS,
                                find_op(&made, PVM_OP_jump, 0), &insn));
    assert_int_equal(insn.target, 1);
    assert_int_equal(pvm_code_jump(&code, 0), 0);

    load_loop();
    assert_true(analysis_edit_insert(&edit, 1, 2));
    assert_true(analysis_edit_store(&edit, &made));
    assert_int_equal(made.pc, 4);
    assert_int_equal(made.code[1], PVM_OP_fallthrough);
    const struct pvm_code more = analysis_case_code(&made);
    assert_true(pvm_insn_decode(&more, PVM_PROFILE_VECTORS,
                                find_op(&made, PVM_OP_jump, 0), &insn));
    assert_int_equal(insn.target, 4);
}

/* ---- judges ---- */

static void judge_two(void *self, const struct analysis_case *c,
                      struct analysis_verdict *ret_verdict)
{
    (void)self;
    uint32_t first = find_op(c, PVM_OP_add_64, 0);
    bool shows = find_op(c, PVM_OP_xor, first) < c->code_size && c->reg[7];
    *ret_verdict =
        (struct analysis_verdict){.group = shows ? ANALYSIS_VALUE : ANALYSIS_SAME};
}

static void judge_crash(void *self, const struct analysis_case *c,
                        struct analysis_verdict *ret_verdict)
{
    *ret_verdict = (struct analysis_verdict){.group = ANALYSIS_SAME};
    if (find_op(c, PVM_OP_xor, 0) < c->code_size)
        (void)raise(SIGABRT);
    if (self && c->code_size)
        ret_verdict->group = ANALYSIS_GAS; /* another difference, easily had */
}

static void judge_hang(void *self, const struct analysis_case *c,
                       struct analysis_verdict *ret_verdict)
{
    (void)self;
    *ret_verdict = (struct analysis_verdict){.group = ANALYSIS_SAME};
    while (find_op(c, PVM_OP_xor, 0) < c->code_size)
        (void)pause();
}

/* A generated program that has what the judges look for. */
static void make_start(void)
{
    uint64_t seed = test_seed(1);
    do {
        analysis_progen_make(&made, seed++);
        made.config = pvm_config_default(PVM_PROFILE_VECTORS);
    } while (!made.reg[7] ||
             find_op(&made, PVM_OP_xor, find_op(&made, PVM_OP_add_64, 0)) ==
                 made.code_size);
}

static struct analysis_reduce_report reduce(analysis_judge_fn *judge, void *self,
                                            uint64_t timeout_ns, uint64_t time_ns)
{
    struct analysis_trial trial = {
        .judge = judge, .self = self, .timeout_ns = timeout_ns, .quiet = true};
    struct analysis_reduce_setup setup = {
        .start = &made, .trial = &trial, .time_ns = time_ns};
    struct analysis_reduce_report report;
    assert_int_equal(analysis_trial_open(&trial), ERR_ok);
    assert_int_equal(analysis_reduce(&setup, &small, &report), ERR_ok);
    analysis_trial_close(&trial);
    return report;
}

#define LONG_NS UINT64_C(20000000000)

static void test_reduce_value(void **unused)
{
    (void)unused;
    make_start();
    struct analysis_reduce_report report = reduce(judge_two, NULL, LONG_NS, 0);
    assert_int_equal(report.verdict.group, ANALYSIS_VALUE);
    assert_true(report.complete);
    assert_int_equal(report.insn_count[1], 2);
    assert_int_equal(small.region_count, 0);
    assert_int_equal(small.jump_count, 0);
    assert_int_equal(small.run_count, 1);
    assert_int_equal(small.gas, 100);
    for (unsigned r = 0; r < PVM_REG_COUNT; r++)
        assert_int_equal(small.reg[r], r == 7); /* the least that judge wants */
}

static void test_reduce_crash(void **unused)
{
    (void)unused;
    make_start();
    struct analysis_reduce_report report = reduce(judge_crash, &made, LONG_NS, 0);
    assert_int_equal(report.verdict.group, ANALYSIS_CRASH);
    assert_string_equal(report.verdict.text, "Aborted");
    assert_int_equal(report.insn_count[1], 1);
    assert_int_equal(small.code[0], PVM_OP_xor);
}

static void test_reduce_hang(void **unused)
{
    (void)unused;
    make_start();
    struct analysis_reduce_report report = reduce(judge_hang, NULL, 5000000, 1000000);
    assert_int_equal(report.verdict.group, ANALYSIS_HANG);
    assert_false(report.complete); /* no time at all */
}

static void test_reduce_nothing(void **unused)
{
    (void)unused;
    make_start();
    made.code_size = 0;
    struct analysis_reduce_report report = reduce(judge_two, NULL, LONG_NS, 0);
    assert_int_equal(report.verdict.group, ANALYSIS_SAME);
    assert_int_equal(report.attempts, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),       cmocka_unit_test(test_moves),
        cmocka_unit_test(test_reduce_value), cmocka_unit_test(test_reduce_crash),
        cmocka_unit_test(test_reduce_hang),  cmocka_unit_test(test_reduce_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
