/* SPDX-License-Identifier: MIT */
#include "base/err.h"

#include "tests/test.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Names are unique and lead back to their row; texts are one line without full stop. */
static void test_table(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < ERR_COUNT; i++) {
        enum err err = (enum err)i;
        const char *text = err_text(err);
        assert_int_equal(err_from_name(err_name(err)), err);
        assert_true(strlen(text) > 0 && strlen(text) < 80);
        assert_null(strchr(text, '\n'));
        assert_int_not_equal(text[strlen(text) - 1], '.');
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(text, err_text((enum err)j));
    }
}

static void test_outside(void **unused)
{
    (void)unused;
    assert_string_equal(err_name(ERR_ok), "ok");
    assert_string_equal(err_name(ERR_COUNT), "?");
    assert_string_equal(err_name((enum err)9999), "?");
    assert_string_equal(err_text((enum err)9999), "unknown error");
    assert_int_equal(err_from_name("no such error"), ERR_COUNT);
    assert_int_equal(err_from_name(""), ERR_COUNT);
}

static enum err tried(enum err inner, int *count)
{
    TRY(inner);
    (*count)++;
    return ERR_ok;
}

static void test_try(void **unused)
{
    (void)unused;
    int count = 0;
    assert_int_equal(tried(ERR_limit, &count), ERR_limit);
    assert_int_equal(count, 0);
    assert_int_equal(tried(ERR_ok, &count), ERR_ok);
    assert_int_equal(count, 1);
}

/* check() stops release builds too, and says where. */
static void test_check(void **unused)
{
    (void)unused;
    int fd[2], status;
    char text[200] = "";
    assert_int_equal(pipe(fd), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(fd[1], 2);
        check(1 + 1 == 2);
        check(1 + 1 == 3);
        _exit(0);
    }
    close(fd[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(read(fd[0], text, sizeof text - 1) > 0);
    close(fd[0]);
    assert_true(WIFSIGNALED(status));
    assert_non_null(strstr(text, "check(1 + 1 == 3) failed"));
    assert_non_null(strstr(text, "test_err.c:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_outside),
        cmocka_unit_test(test_try),
        cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
