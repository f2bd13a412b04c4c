/* SPDX-License-Identifier: MIT
 *
 * Cases: their text, what it refuses, generated programs, and two engines on them.
 */
#include "analysis/case.h"
#include "analysis/pair.h"
#include "analysis/progen.h"

#include "tests/test.h"

#include <string.h>

static struct analysis_case made, read_back;

static void test_text(void **unused)
{
    (void)unused;
    struct analysis_case_error error;
    struct buf text;
    buf_init(&text, ANALYSIS_CASE_TEXT_MAX);
    for (uint64_t seed = 0; seed < 300; seed++) {
        analysis_progen_make(&made, seed);
        buf_clear(&text);
        analysis_case_put(&made, &text);
        assert_int_equal(text.err, ERR_ok);
        enum err err = analysis_case_parse(buf_bytes(&text), &read_back, &error);
        if (err)
            fail_msg("seed %llu: line %u: %s", (unsigned long long)seed, error.line,
                     error.message);
        /* What no region takes of the data, and entries behind the table, are not
         * written. */
        memset(made.data, 0, sizeof made.data);
        memset(read_back.data, 0, sizeof read_back.data);
        size_t table = (size_t)made.jump_count * made.jump_width;
        memset(made.jump + table, 0, sizeof made.jump - table);
        memset(made.code + made.code_size, 0, sizeof made.code - made.code_size);
        assert_memory_equal(&made, &read_back, sizeof made);
    }
    buf_fini(&text);
}

static void test_data(void **unused)
{
    (void)unused;
    struct analysis_case_error error;
    static const char text[] = "lockstep case 1 ; one\nprofile vectors\n"
                               "region 0x10000 1 r 1 2\ndata 0a0b\ndata 0c\ncode\n";
    assert_int_equal(
        analysis_case_parse(bytes_of(text, sizeof text - 1), &read_back, &error),
        ERR_ok);
    struct pvm_region region = analysis_case_region(&read_back, 0);
    assert_int_equal(region.data.size, 2);
    assert_memory_equal(region.data.data, "\x0b\x0c", 2);
    assert_int_equal(read_back.code_size, 0);
    assert_int_equal(read_back.run_count, 1);
}

static const struct refusal {
    const char *text;
    uint32_t line;
    const char *words;
} refusals[] = {
    {"", 0, "no 'lockstep case 1'"},
    {"lockstep case 2\ncode\n", 1, "no 'lockstep case 1'"},
    {"lockstep case 1\n", 1, "no 'code'"},
    {"lockstep case 1\ngas\ncode\n", 2, "gas takes 1 words, not 0"},
    {"lockstep case 1\ngas -1\ncode\n", 2, "'-1' is no number"},
    {"lockstep case 1\npc 4294967296\ncode\n", 2, "is no number from 0 to 4294967295"},
    {"lockstep case 1\nfoo 1\ncode\n", 2, "'foo' is not known"},
    {"lockstep case 1\nreg x9 1\ncode\n", 2, "'x9' is not known"},
    {"lockstep case 1\nregion 0x1001 1 rw 0 0\ncode\n", 2, "no whole pages"},
    {"lockstep case 1\nregion 0xfffff000 2 rw 0 0\ncode\n", 2, "no whole pages"},
    {"lockstep case 1\nregion 0x1000 2 r 0 0\nregion 0x2000 1 r 0 0\ncode\n", 3,
     "overlaps"},
    {"lockstep case 1\nregion 0 1 rw 4000 97\ncode\n", 2, "no number from 0 to 96"},
    {"lockstep case 1\nregion 0 1 rw 0 2\ndata 00\ncode\n", 4, "less than"},
    {"lockstep case 1\ndata 0\ncode\n", 2, "no pairs"},
    {"lockstep case 1\nruns 7\ncode\n", 2, "no number from 0 to 6"},
    {"lockstep case 1\nruns 0\ncode\n", 2, "at least one"},
    {"lockstep case 1\nmodel 2\ncode\n", 3, "do not fit"},
    {"lockstep case 1\ninterp_only nop\ncode\n", 2, "is no instruction"},
    {"lockstep case 1\ncode\ntrap\nnop\n", 4, ""},
    {"lockstep case 1\na b c d e f g\ncode\n", 2, "more or longer words"},
};

static void test_refusals(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < countof(refusals); i++) {
        const struct refusal *r = &refusals[i];
        struct analysis_case_error error = {0};
        enum err err =
            analysis_case_parse(bytes_of(r->text, strlen(r->text)), &read_back, &error);
        if (err != ERR_case || error.line != r->line ||
            !strstr(error.message, r->words) || !error.message[0])
            fail_msg("case %zu: %s, line %u: %s", i, err_name(err), error.line,
                     error.message);
    }
}

static void test_sameness(void **unused)
{
    (void)unused;
    static struct analysis_case other;
    for (uint64_t seed = 0; seed < 50; seed++) {
        analysis_progen_make(&made, seed);
        memset(&other, 0x55, sizeof other);
        analysis_progen_make(&other, seed);
        assert_memory_equal(&made, &other, sizeof made);
    }
}

/* Both engines on generated programs: equal, and ending in every way. */
static void run_pair(enum analysis_engine second, uint64_t count)
{
    const enum analysis_engine engine[2] = {ANALYSIS_ENGINE_INTERP, second};
    struct analysis_pair *pair;
    struct arena arena;
    unsigned ends[PVM_EXIT_TRAP + 1] = {0};
    uint64_t seed = test_seed(1);
    arena_init(&arena, 64 << 20);
    assert_int_equal(analysis_pair_create(&arena, engine, &pair), ERR_ok);
    for (uint64_t i = 0; i < count; i++) {
        struct analysis_pair_report report;
        analysis_progen_make(&made, seed + i);
        assert_int_equal(analysis_pair_run(pair, &made, &report), ERR_ok);
        if (report.field) {
            test_reproduce("unit_analysis_case", seed + i);
            fail_msg("%s at 0x%llx: 0x%llx, 0x%llx", report.field,
                     (unsigned long long)report.where,
                     (unsigned long long)report.value[0],
                     (unsigned long long)report.value[1]);
        }
        ends[report.outcome.exit]++;
    }
    for (unsigned exit = 0; exit <= PVM_EXIT_TRAP; exit++) {
        if (exit != 5 && !ends[exit])
            fail_msg("no program ended with %s", pvm_exit_name((enum pvm_exit)exit));
    }
    analysis_pair_close(pair);
    arena_fini(&arena);
}

static void test_interpreters(void **unused)
{
    (void)unused;
    run_pair(ANALYSIS_ENGINE_OTHER, 3000);
}

static void test_recompiler(void **unused)
{
    (void)unused;
    if (!pvm_recomp_available())
        skip();
    run_pair(ANALYSIS_ENGINE_RECOMP, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),         cmocka_unit_test(test_data),
        cmocka_unit_test(test_refusals),     cmocka_unit_test(test_sameness),
        cmocka_unit_test(test_interpreters), cmocka_unit_test(test_recompiler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
