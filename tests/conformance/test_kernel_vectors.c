/* SPDX-License-Identifier: MIT
 *
 * The known answers of the capability kernel through the code that `lockstep vectors`
 * runs, and proof that it notices what is wrong.
 */
#include "base/os.h"
#include "cli/vectors.h"

#include "tests/test.h"

#include <string.h>

#define KAT "corpus/kernel/pvm-kernel-kat.json"

/* All 178 but for 5 packets and 8 frames. */
enum { CASE_COUNT = 165, FILE_MAX = 1 << 20 };

static unsigned differences;

static void on_difference(void *self, const struct cli_vectors_difference *d)
{
    (void)self;
    if (!differences++)
        print_message("%s [%s]: %s: expected %s, got %s\n", d->name, d->mode, d->field,
                      d->expected, d->actual);
}

static void run(const char *from, const char *to, struct cli_vectors *v)
{
    struct buf json;
    buf_init(&json, FILE_MAX);
    assert_int_equal(os_file_read(KAT, &json), ERR_ok);
    if (from) { /* the first place where it stands */
        char *at = strstr((char *)json.data, from);
        assert_non_null(at);
        memcpy(at, to, strlen(to));
    }
    differences = 0;
    *v = (struct cli_vectors){.differs = on_difference};
    assert_int_equal(cli_vectors_init(v), ERR_ok);
    (void)cli_vectors_run(v, KAT, buf_bytes(&json));
    cli_vectors_fini(v);
    buf_fini(&json);
}

static void test_all(void **unused)
{
    struct cli_vectors v;
    (void)unused;
    run(NULL, NULL, &v);
    assert_string_equal(v.error, "");
    assert_int_equal(v.fail_count, 0);
    assert_int_equal(v.pass_count, CASE_COUNT);
    assert_int_equal(differences, 0);
}

/* Each change breaks one case, in a way of its own. */
static void test_wrong(void **unused)
{
    static const char *const change[][2] = {
        {"d647eb2598d3", "d647eb2598d4"},                       /* a hash */
        {"\"status\":\"negative\"", "\"status\":\"positive\""}, /* a wrong answer */
        {"\"expected\":\"BAD_KIND\"", "\"expected\":\"BAD_KINX\""},
        {"\"return_value\":42}", "\"return_value\":43}"},
        {"\"variant\":\"paused\"", "\"variant\":\"halted\""},
        {"\"encoding\":\"04aa", "\"encoding\":\"04ab"},
    };
    (void)unused;
    for (size_t i = 0; i < countof(change); i++) {
        struct cli_vectors v;
        run(change[i][0], change[i][1], &v);
        assert_string_equal(v.error, "");
        assert_true(v.fail_count >= 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
