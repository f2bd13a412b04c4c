/* SPDX-License-Identifier: MIT
 *
 * Every row of i386.def against the host's processor (machine.md 8.2).
 *
 *   test_diff_i386 ORACLE32 [ENCODINGS [CASES]]
 *
 * A fixed slice; `./dev fuzz i386` runs as many cases as one likes.
 */
#include "tests/test.h"

#include "tests/diff/i386_host.h"

/* What fits into some seconds: 10,000 plain cases of each row, and 200 single steps,
 * which cost a signal each. */
#ifdef __OPTIMIZE__
static unsigned encodings = 40, step_encodings = 4;
#else
static unsigned encodings = 4, step_encodings = 2;
#endif
static unsigned cases = 250, step_cases = 50;
static const char *oracle_path;

static void check_rows(bool stepped)
{
    uint64_t seed = test_seed(0x1386);
    unsigned bad = 0;
    bool has_steps;
    struct i386_host *host = i386_host_start(oracle_path, &has_steps);
    if (!host || (stepped && !has_steps)) {
        print_message(host ? "skipped: no modify_ldt\n" : "skipped: no 32-bit mode\n");
        if (host)
            i386_host_stop(host);
        skip();
    }
    for (unsigned i = 0; i < emu_row_count; i++) {
        const struct emu_row *row = &emu_rows[i];
        if (!i386_host_has(row) || (!stepped && !i386_host_calls(row)))
            continue;
        bool ok = true;
        for (unsigned k = 0; k < (stepped ? step_encodings : encodings) && ok; k++)
            ok = i386_host_check(host, row, test_random(&seed),
                                 stepped ? step_cases : cases, stepped) == I386_SAME;
        bad += !ok;
    }
    i386_host_stop(host);
    if (bad) {
        test_reproduce("diff_i386", test_seed(0x1386));
        fail_msg("%u rows differ from the host", bad);
    }
}

static void test_calls(void **unused)
{
    (void)unused;
    check_rows(false);
}

static void test_steps(void **unused)
{
    (void)unused;
    check_rows(true);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s ORACLE32 [ENCODINGS [CASES]]\n", argv[0]);
        return 2;
    }
    oracle_path = argv[1];
    if (argc > 2)
        encodings = step_encodings = (unsigned)strtoul(argv[2], NULL, 0);
    if (argc > 3)
        cases = step_cases = (unsigned)strtoul(argv[3], NULL, 0);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_calls),
                                       cmocka_unit_test(test_steps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
