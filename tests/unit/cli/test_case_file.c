/* SPDX-License-Identifier: MIT
 *
 * Case files: written and read again, recorded as a trace, and the report of a
 * difference, which no correct build can make.
 */
#include "cli/case_file.h"

#include "analysis/progen.h"
#include "base/os.h"
#include "tests/test.h"
#include "tests/unit/cli/capture.h"

#include <string.h>
#include <unistd.h>

static const struct cli_command command = {.name = "check", .spec = &cli_spec_check};
static char folder[] = "/tmp/lockstep-case-XXXXXX";
static char path[256];
static struct analysis_case c, back;
static struct analysis_verdict verdict;
static bool as_json;

static const char small[] = "lockstep case 1\ngas 100\ncode\n"
                            "add_64 a0, a1, a2\ntrap\n";

static void load_small(void)
{
    struct analysis_case_error error;
    assert_int_equal(analysis_case_parse(bytes_of(small, sizeof small - 1), &c, &error),
                     ERR_ok);
}

static int print(struct cli *cli)
{
    cli->json = as_json;
    cli_case_print(cli, "x.case", &c, &verdict);
    return CLI_YES;
}

static void test_report(void **unused)
{
    (void)unused;
    struct output o;
    load_small();
    verdict = (struct analysis_verdict){ANALYSIS_VALUE, "a0 in run 1: 0x1, 0x2"};
    as_json = false;
    capture(&o, &command, print, NULL);
    assert_string_equal(o.out, "x.case: engine defect: value: a0 in run 1: 0x1, 0x2\n"
                               "    @0:     add_64 a0, a1, a2\n"
                               "    @3:     trap\n"
                               "reproduce: lockstep check x.case\n");
    as_json = true;
    capture(&o, &command, print, NULL);
    assert_non_null(strstr(o.out, "\"same\":false,\"group\":\"value\","
                                  "\"difference\":\"a0 in run 1: 0x1, 0x2\""));
    verdict = (struct analysis_verdict){.group = ANALYSIS_SAME};
    as_json = false;
    capture(&o, &command, print, NULL);
    assert_string_equal(o.out, "");
    /* A long program is not shown. */
    uint64_t seed = 0;
    do
        analysis_progen_make(&c, seed++);
    while (analysis_case_insn_count(&c) < 30);
    verdict = (struct analysis_verdict){ANALYSIS_HANG, "no end within 1.0 s"};
    capture(&o, &command, print, NULL);
    assert_string_equal(o.out, "x.case: engine defect: hang: no end within 1.0 s\n"
                               "reproduce: lockstep check x.case\n");
}

static int read_back(struct cli *cli)
{
    int status = cli_case_read(cli, path, &back);
    return status ? status : memcmp(&c, &back, sizeof c) ? CLI_NO : CLI_YES;
}

static void test_file(void **unused)
{
    (void)unused;
    struct output o;
    load_small();
    (void)snprintf(path, sizeof path, "%s/a.case", folder);
    assert_int_equal(cli_case_write(path, &c, "one\ntwo\n"), ERR_ok);
    capture(&o, &command, read_back, NULL);
    assert_int_equal(o.status, CLI_YES);
    struct buf text;
    buf_init(&text, 4096);
    assert_int_equal(os_file_read(path, &text), ERR_ok);
    assert_non_null(strstr(buf_string(&text), "\n; one\n; two\n"));
    buf_fini(&text);
    assert_int_equal(unlink(path), 0);
    capture(&o, &command, read_back, NULL);
    assert_int_equal(o.status, CLI_UNKNOWN);
}

static void test_record(void **unused)
{
    (void)unused;
    (void)snprintf(path, sizeof path, "%s/a.lks", folder);
    for (uint64_t seed = 0; seed < 20; seed++) {
        analysis_progen_make(&c, seed);
        assert_int_equal(cli_case_record(path, &c), ERR_ok);
        assert_true(os_file_exists(path));
    }
    assert_int_equal(unlink(path), 0);
    c.gas = UINT64_MAX;
    assert_int_equal(cli_case_record(path, &c), ERR_limit);
    assert_false(os_file_exists(path));
}

static int make_folder(void **unused)
{
    (void)unused;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **unused)
{
    (void)unused;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_record),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
