/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include "tests/test.h"

#include <string.h>

static void test_append(void **unused)
{
    (void)unused;
    struct buf buf;
    buf_init(&buf, 100);
    assert_string_equal(buf_string(&buf), "");
    buf_text(&buf, "ab");
    buf_byte(&buf, 'c');
    buf_put(&buf, "\0d", 2);
    buf_put(&buf, NULL, 0);
    buf_printf(&buf, "%d-%s", 42, "x");
    assert_int_equal(buf.err, ERR_ok);
    assert_int_equal(buf.size, 9);
    assert_memory_equal(buf.data, "abc\0d42-x", 10); /* NUL behind the end */
    struct bytes bytes = buf_bytes(&buf);
    assert_ptr_equal(bytes.data, buf.data);
    assert_int_equal(bytes.size, 9);
    uint8_t *zero = buf_extend(&buf, 5);
    assert_memory_equal(zero, "\0\0\0\0\0", 6);
    buf_fini(&buf);
}

/* The first error stays; nothing is appended behind it; clear forgets it. */
static void test_sticky(void **unused)
{
    (void)unused;
    struct buf buf;
    buf_init(&buf, 4);
    buf_text(&buf, "abc");
    buf_text(&buf, "de");
    assert_int_equal(buf.err, ERR_limit);
    buf_byte(&buf, 'd'); /* would fit */
    buf_printf(&buf, "%d", 1);
    assert_null(buf_extend(&buf, 0));
    assert_string_equal(buf_string(&buf), "abc");
    assert_int_equal(buf.err, ERR_limit);
    buf_clear(&buf);
    assert_int_equal(buf.err, ERR_ok);
    assert_string_equal(buf_string(&buf), "");
    buf_text(&buf, "wxyz");
    assert_int_equal(buf.err, ERR_ok);
    assert_string_equal(buf_string(&buf), "wxyz");
    buf_fini(&buf);
    buf_fini(&buf);
    buf_byte(&buf, 1);
    assert_int_equal(buf.err, ERR_limit);
}

static void test_every_limit(void **unused)
{
    (void)unused;
    for (size_t limit = 0; limit < 700; limit++) {
        struct buf buf;
        buf_init(&buf, limit);
        while (!buf.err)
            buf_put(&buf, "abc", 3);
        assert_int_equal(buf.err, ERR_limit);
        assert_int_equal(buf.size, limit / 3 * 3);
        buf_fini(&buf);
    }
}

/* Longer than the stack buffer of buf_printf, and exactly at its edge. */
static void test_printf_long(void **unused)
{
    (void)unused;
    for (int width = 500; width < 530; width++) {
        struct buf buf;
        buf_init(&buf, 4096);
        buf_printf(&buf, "<%*d>", width, 7);
        assert_int_equal(buf.err, ERR_ok);
        assert_int_equal(buf.size, (size_t)width + 2);
        assert_int_equal(buf.data[width], '7');
        assert_int_equal(buf.data[width + 1], '>');
        assert_int_equal(buf.data[width + 2], 0);
        buf_fini(&buf);
    }
    struct buf small;
    buf_init(&small, 520);
    buf_printf(&small, "%*d", 521, 7);
    assert_int_equal(small.err, ERR_limit);
    assert_int_equal(small.size, 0);
    buf_fini(&small);
}

static void test_unlimited_does_not_wrap(void **unused)
{
    (void)unused;
    struct buf buf;
    buf_init(&buf, SIZE_MAX);
    buf_text(&buf, "a");
    assert_null(buf_extend(&buf, SIZE_MAX - 1));
    assert_int_equal(buf.err, ERR_nomem);
    assert_string_equal(buf_string(&buf), "a");
    buf_clear(&buf);
    assert_null(buf_extend(&buf, SIZE_MAX / 2 + 2));
    assert_int_equal(buf.err, ERR_nomem);
    buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_sticky),
        cmocka_unit_test(test_every_limit),
        cmocka_unit_test(test_printf_long),
        cmocka_unit_test(test_unlimited_does_not_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
