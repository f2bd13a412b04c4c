/* SPDX-License-Identifier: MIT
 *
 * Every engine against the oracle, on generated programs and on each opcode.
 *
 *   test_diff_oracle [COUNT [FIRST_SEED]]   a campaign; without arguments a short one
 */
#include "tests/diff/oracle_check.h"

#include "pvm/pvm.h"
#include "tests/test.h"

static uint64_t case_count = 3000, first_seed = 1;
static struct analysis_case program;

static void test_generated(void **unused)
{
    (void)unused;
    for (uint64_t i = 0; i < case_count; i++) {
        oracle_check_make(first_seed + i, &program);
        const char *mode = oracle_check_case(&program);
        if (!mode)
            continue;
        print_message("reproduce: test_diff_oracle 1 %llu\n",
                      (unsigned long long)(first_seed + i));
        fail_msg("%s: %s", mode, oracle_check_what());
    }
}

static void test_opcodes(void **unused)
{
    (void)unused;
    for (unsigned op = 0; op < 256; op++)
        for (uint64_t i = 0; pvm_op_info[op].name && i < case_count / 200; i++) {
            oracle_check_make_dense((uint8_t)op, first_seed + i, &program);
            const char *mode = oracle_check_case(&program);
            if (mode)
                fail_msg("op %u, seed %llu: %s: %s", op,
                         (unsigned long long)(first_seed + i), mode,
                         oracle_check_what());
        }
}

static int setup(void **unused)
{
    (void)unused;
    oracle_check_begin();
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    oracle_check_end();
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        case_count = strtoull(argv[1], NULL, 0);
    if (argc > 2)
        first_seed = strtoull(argv[2], NULL, 0);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_generated),
                                       cmocka_unit_test(test_opcodes)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
