/* SPDX-License-Identifier: MIT
 *
 * The fuzzer finds what is wrong: with a mistake switched on it comes to a difference,
 * a crash or a hang, hands the case over, goes on behind it, and the case alone shows
 * it and can be reduced.
 */
#include "analysis/fuzz.h"
#include "analysis/reduce.h"
#include "pvm/mutant.h"

#include "tests/test.h"

#include <signal.h>
#include <string.h>

enum pvm_mutant pvm_mutant;
uint64_t pvm_mutant_reached;

#define MILLISECOND UINT64_C(1000000)
enum { FINDINGS = 3, FINDINGS_HANG = 2 };

/* Long enough for a busy machine, but for the test that waits for it. */
static uint64_t hang_ns = 20000 * MILLISECOND;

static struct found {
    struct analysis_case c[FINDINGS];
    enum analysis_group group[FINDINGS];
    uint64_t number[FINDINGS];
    unsigned count, wanted;
    enum analysis_group only; /* others do not count; ANALYSIS_SAME: all do */
} found;

static bool on_finding(void *self, const struct analysis_finding *finding)
{
    (void)self;
    assert_true(finding->verdict->text[0]);
    if (found.only && finding->verdict->group != found.only)
        return true;
    found.c[found.count] = *finding->c;
    found.group[found.count] = finding->verdict->group;
    found.number[found.count] = finding->number;
    found.count++;
    return found.count < found.wanted;
}

static void search_group(enum pvm_mutant mutant, bool exhaustive, unsigned op,
                         unsigned count, enum analysis_group only)
{
    const struct analysis_fuzz_setup setup = {
        .engine = {ANALYSIS_ENGINE_INTERP, ANALYSIS_ENGINE_RECOMP},
        .seed = test_seed(1),
        .count = 100000,
        .jobs = 1,
        .shard_count = 1,
        .exhaustive = exhaustive,
        .op = op,
        .hang_ns = hang_ns,
        .finding = on_finding,
    };
    struct analysis_fuzz_counts counts;
    memset(&found, 0, sizeof found);
    found.wanted = count;
    found.only = only;
    (void)signal(SIGFPE, SIG_DFL); /* cmocka's handlers would go on in the job */
    (void)signal(SIGSEGV, SIG_DFL);
    pvm_mutant = mutant;
    assert_int_equal(analysis_fuzz(&setup, &counts), ERR_ok);
    assert_int_equal(found.count, count);
    if (!only)
        assert_int_equal(counts.differences, count);
    for (unsigned i = 1; i < count; i++) /* behind it, not again */
        assert_true(found.number[i] > found.number[i - 1]);
}

static void search(enum pvm_mutant mutant, bool exhaustive, unsigned op, unsigned count)
{
    search_group(mutant, exhaustive, op, count, ANALYSIS_SAME);
}

/* The first one alone: made small, within `insn_max` instructions. */
static void reduce(enum analysis_group group, uint32_t insn_max, uint64_t time_ms)
{
    const enum analysis_engine engine[2] = {ANALYSIS_ENGINE_INTERP,
                                            ANALYSIS_ENGINE_RECOMP};
    static struct analysis_case small;
    struct analysis_trial trial = {
        .judge = analysis_pair_judge, .timeout_ns = hang_ns, .quiet = true};
    struct analysis_pair *pair;
    struct analysis_reduce_report report;
    struct arena arena;
    arena_init(&arena, 64 << 20);
    assert_int_equal(analysis_pair_create(&arena, engine, &pair), ERR_ok);
    trial.self = pair;
    assert_int_equal(analysis_trial_open(&trial), ERR_ok);
    const struct analysis_reduce_setup setup = {
        .start = &found.c[0], .trial = &trial, .time_ns = time_ms * MILLISECOND};
    assert_int_equal(analysis_reduce(&setup, &small, &report), ERR_ok);
    assert_int_equal(report.verdict.group, group);
    assert_in_range(report.insn_count[1], 0, insn_max);
    analysis_trial_close(&trial);
    analysis_pair_close(pair);
    arena_fini(&arena);
}

static void test_value(void **unused)
{
    (void)unused;
    search(PVM_MUTANT_native_cmov_32, false, 0, FINDINGS);
    reduce(found.group[0], 8, 0);
}

static void test_gas(void **unused)
{
    (void)unused;
    search(PVM_MUTANT_native_cost_less, false, 0, FINDINGS);
    reduce(found.group[0], 8, 0);
}

static void test_crash(void **unused)
{
    (void)unused;
    search(PVM_MUTANT_starts_sticky, false, 0, FINDINGS);
    bool crashes = false;
    for (unsigned i = 0; i < FINDINGS; i++)
        crashes |= found.group[i] == ANALYSIS_CRASH;
    assert_true(crashes);
    reduce(found.group[0], 8, 0);
}

static void test_hang(void **unused)
{
    (void)unused;
    hang_ns = 1000 * MILLISECOND;
    search_group(PVM_MUTANT_native_back_free, false, 0, FINDINGS_HANG, ANALYSIS_HANG);
    reduce(ANALYSIS_HANG, 400, 1); /* no time: that it shows alone is what counts */
}

static void test_exhaustive(void **unused)
{
    (void)unused;
    search(PVM_MUTANT_native_div_no_minus, true, PVM_OP_div_s_64,
           1);                                        /* all aliases are one case */
    assert_int_equal(found.group[0], ANALYSIS_CRASH); /* the CPU's own exception */
    reduce(ANALYSIS_CRASH, 8, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value), cmocka_unit_test(test_gas),
        cmocka_unit_test(test_crash), cmocka_unit_test(test_exhaustive),
        cmocka_unit_test(test_hang),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
