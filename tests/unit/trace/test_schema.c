/* SPDX-License-Identifier: MIT
 *
 * The event table is for ever: tests/unit/trace/events.snapshot is what was published,
 * and rows may only be appended to it, fields only appended to rows.
 *
 * LOCKSTEP_BLESS=1 writes the snapshot anew, after the same check.
 */
#include "tests/test.h"
#include "trace/internal.h"

#include "base/os.h"

#include <string.h>

static const char snapshot_path[] = "tests/unit/trace/events.snapshot";

/* "53 pvm.segment pvm,wasi frame:u:o prog:u:o ..." */
static void put_line(struct buf *text, const struct trace_kind *kind)
{
    static const char role[] = {'i', 'o', 'x', 'n'};
    const char *comma = "";
    buf_printf(text, "%u %s ", (unsigned)kind->id, kind->wire);
    for (unsigned guest = 1; guest < TRACE_GUEST_ALL; guest <<= 1) {
        if (!(kind->guests & guest))
            continue;
        buf_printf(text, "%s%s", comma, trace_guest_name((enum trace_guest)guest));
        comma = ",";
    }
    for (uint32_t i = 0; i < kind->field_count; i++) {
        const struct trace_field *field = &kind->field[i];
        buf_printf(text, " %s:%s%s:%c", field->name, field->letters,
                   field->list ? "[]" : "", role[field->role]);
    }
    buf_byte(text, '\n');
}

static struct buf current(void)
{
    struct buf text;
    const struct trace_kind *kind;
    buf_init(&text, 1 << 20);
    for (size_t i = 0; (kind = trace_kind_at(i)); i++)
        put_line(&text, kind);
    return text;
}

/* Is each published line the beginning of a line of today, in the same order? */
static void check_append_only(const char *published, const char *today)
{
    while (*published) {
        const char *end = strchr(published, '\n');
        assert_non_null(end);
        size_t size = (size_t)(end - published);
        while (strncmp(today, published, size) != 0) {
            const char *next = strchr(today, '\n');
            if (!next || !next[1]) {
                print_message("not there any more, or changed: %.*s\n", (int)size,
                              published);
                fail();
            }
            today = next + 1;
        }
        assert_true(today[size] == '\n' || today[size] == ' ');
        published = end + 1;
    }
}

static void test_snapshot(void **state)
{
    (void)state;
    struct buf published, today = current();
    buf_init(&published, 1 << 20);
    assert_int_equal(os_file_read(snapshot_path, &published), ERR_ok);
    check_append_only(buf_string(&published), buf_string(&today));
    if (getenv("LOCKSTEP_BLESS"))
        assert_int_equal(os_file_write(snapshot_path, buf_bytes(&today)), ERR_ok);
    else if (strcmp(buf_string(&published), buf_string(&today)) != 0) {
        print_message(
            "the table has grown: LOCKSTEP_BLESS=1 ./dev test trace_schema\n");
        fail();
    }
    buf_fini(&published);
    buf_fini(&today);
}

/* The rows say what they must: order, names, roles, one letter to show per letter. */
static void test_rows(void **state)
{
    (void)state;
    const struct trace_kind *kind, *before = NULL;
    for (size_t i = 0; (kind = trace_kind_at(i)); before = kind, i++) {
        assert_true(!before || kind->id > before->id);
        assert_ptr_equal(trace_kind_of(kind->id), kind);
        assert_ptr_equal(trace_kind_named(kind->wire), kind);
        assert_true(kind->field_count > 0 && kind->field_count <= SCHEMA_FIELD_MAX);
        assert_true(kind->text[0] != 0);
        for (uint32_t k = 0; k < kind->field_count; k++) {
            const struct trace_field *field = &kind->field[k];
            assert_int_equal(strlen(field->letters), field->letter_count);
            assert_int_equal(strlen(field->show), field->letter_count);
            assert_int_equal(strspn(field->show, "dx"), field->letter_count);
            assert_int_equal(strspn(field->letters, "uibwhds"), field->letter_count);
            assert_int_equal(field->wide, strchr(field->letters, 'w') != NULL);
            assert_int_equal(field->plain,
                             strspn(field->letters, "ud") == field->letter_count);
            assert_true(field->text[0] != 0);
            for (uint32_t m = 0; m < k; m++)
                assert_string_not_equal(field->name, kind->field[m].name);
        }
    }
    assert_null(trace_kind_of(0));
    assert_null(trace_kind_of(UINT64_MAX));
    assert_null(trace_kind_named("no.such"));
}

/* What the writer puts into a schema chunk, the reader reads. */
static void test_schema_chunk(void **state)
{
    (void)state;
    static const enum trace_guest guest[] = {TRACE_GUEST_PC, TRACE_GUEST_PVM,
                                             TRACE_GUEST_WASI};
    for (size_t g = 0; g < countof(guest); g++) {
        struct buf payload;
        struct arena arena;
        struct trace_schema schema;
        size_t fault;
        arena_init(&arena, 1 << 20);
        buf_init(&payload, 1 << 20);
        uint32_t count = trace_schema_put(&payload, guest[g], NULL, 0);
        assert_true(count > 0);
        assert_int_equal(
            trace_schema_parse(&arena, buf_bytes(&payload), count, &fault, &schema),
            ERR_ok);
        assert_int_equal(schema.count, count);
        for (size_t i = 0; i < count; i++) {
            const struct trace_kind *own = trace_kind_of(schema.kind[i].id);
            assert_true(own->guests & guest[g]);
            assert_int_equal(own->field_count, schema.kind[i].field_count);
            assert_ptr_equal(trace_schema_kind(&schema, own->id), &schema.kind[i]);
        }
        assert_null(trace_schema_kind(&schema, 255));
        buf_fini(&payload);
        arena_fini(&arena);
    }
}

/* An array cannot have more items than there are bytes behind its header, whichever of
 * the two readers meets it. */
static void test_array_header(void **state)
{
    (void)state;
    static const uint8_t pair[] = {0x92, 1, 2};
    for (size_t size = 0; size <= sizeof pair; size++) {
        struct wire wire = wire_of(bytes_of(pair, size));
        struct wire again = wire;
        struct wire_item item;
        uint64_t count = 77;
        bool whole = size == sizeof pair;
        assert_int_equal(wire_array(&wire, &count), whole);
        assert_int_equal(count, whole ? 2 : 77);
        assert_int_equal(wire_left(&wire), whole ? 2 : size);
        assert_int_equal(wire_next(&again, &item), whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshot),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_schema_chunk),
        cmocka_unit_test(test_array_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
