/* SPDX-License-Identifier: MIT
 *
 * The conformance data of corpus/vectors through the code that `lockstep vectors`
 * runs, and proof that this code can fail: copies with one value changed must differ
 * in that value, and in nothing else.
 */
#include "base/os.h"
#include "cli/vectors.h"

#include "tests/test.h"

#include <json-c/json.h>
#include <string.h>

#define EDGE "corpus/vectors/pvm-edge.json"
#define GAS "corpus/vectors/pvm-gas-singlepass.json"
#define W3F "corpus/vectors/pvm"

/* What a run said. */
struct heard {
    struct cli_vectors vectors;
    unsigned count;
    bool print;
    char name[64], field[64], expected[64], actual[64];
};

static void hear(void *self, const struct cli_vectors_difference *d)
{
    struct heard *heard = self;
    if (heard->print)
        print_message("%s: %s [%s]: %s: expected %s, got %s\n", d->file, d->name,
                      d->mode, d->field, d->expected, d->actual);
    if (heard->count++)
        return;
    (void)snprintf(heard->name, sizeof heard->name, "%s", d->name);
    (void)snprintf(heard->field, sizeof heard->field, "%s", d->field);
    (void)snprintf(heard->expected, sizeof heard->expected, "%s", d->expected);
    (void)snprintf(heard->actual, sizeof heard->actual, "%s", d->actual);
}

static void heard_init(struct heard *heard)
{
    *heard = (struct heard){.vectors = {.differs = hear, .self = heard}};
    assert_int_equal(cli_vectors_init(&heard->vectors), ERR_ok);
}

static bool run_file(struct heard *heard, const char *path)
{
    struct buf json;
    buf_init(&json, 1 << 24);
    assert_int_equal(os_file_read(path, &json), ERR_ok);
    bool ok = cli_vectors_run(&heard->vectors, path, buf_bytes(&json));
    if (!ok)
        print_message("%s: %s\n", path, heard->vectors.error);
    buf_fini(&json);
    return ok;
}

/* ---- everything passes
 * --------------------------------------------------------------- */

static void expect_passes(const char *path, uint64_t count)
{
    struct heard heard;
    heard_init(&heard);
    heard.print = true;
    assert_true(run_file(&heard, path));
    assert_int_equal(heard.vectors.fail_count, 0);
    assert_int_equal(heard.vectors.pass_count, count);
    cli_vectors_fini(&heard.vectors);
}

static void test_edge(void **state)
{
    (void)state;
    expect_passes(EDGE, 1775 + 91);
}

static void test_gas(void **state)
{
    (void)state;
    expect_passes(GAS, 300);
}

static void test_w3f(void **state)
{
    (void)state;
    struct heard heard;
    heard_init(&heard);
    heard.print = true;
    struct buf names;
    buf_init(&names, 1 << 20);
    assert_int_equal(os_folder_list(W3F, &names), ERR_ok);
    for (size_t at = 0; at < names.size; at += strlen((char *)names.data + at) + 1) {
        const char *name = (char *)names.data + at;
        char path[300];
        (void)snprintf(path, sizeof path, "%s/%s", W3F, name);
        if (strstr(name, ".json"))
            assert_true(run_file(&heard, path));
    }
    buf_fini(&names);
    assert_int_equal(heard.vectors.fail_count, 0);
    assert_int_equal(heard.vectors.pass_count, 208);
    cli_vectors_fini(&heard.vectors);
}

/* ---- a wrong copy fails
 * ---------------------------------------------------------------- */

static struct json_object *get(struct json_object *object, const char *key)
{
    struct json_object *value;
    assert_true(json_object_object_get_ex(object, key, &value));
    return value;
}

/* The case with this name out of a list. */
static struct json_object *find(struct json_object *list, const char *name)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        if (!strcmp(json_object_get_string(get(item, "name")), name))
            return item;
    }
    fail_msg("no case %s", name);
    return NULL;
}

/* A file of `format` with one case in `list`, copied out of `path`. */
static struct json_object *one_case(const char *path, const char *list,
                                    const char *name)
{
    struct json_object *file = json_object_from_file(path);
    assert_non_null(file);
    struct json_object *cases = json_object_new_array();
    json_object_array_add(cases, json_object_get(find(get(file, list), name)));
    struct json_object *copy = json_object_new_object();
    json_object_object_add(copy, "format", json_object_get(get(file, "format")));
    json_object_object_add(copy, "version", json_object_get(get(file, "version")));
    json_object_object_add(copy, list, cases);
    json_object_put(file);
    return copy;
}

static bool run_object(struct heard *heard, struct json_object *object)
{
    const char *text = json_object_to_json_string(object);
    return cli_vectors_run(&heard->vectors, "changed.json",
                           bytes_of(text, strlen(text)));
}

/* Run a changed copy (and free it): it must fail, first in this field. */
static void expect_fails(struct json_object *object, const char *name,
                         const char *field, const char *expected, const char *actual)
{
    struct heard heard;
    heard_init(&heard);
    assert_true(run_object(&heard, object));
    assert_int_equal(heard.vectors.pass_count, 0);
    assert_int_equal(heard.vectors.fail_count, 1);
    assert_int_equal(heard.count, 1);
    assert_string_equal(heard.name, name);
    assert_string_equal(heard.field, field);
    assert_string_equal(heard.expected, expected);
    assert_string_equal(heard.actual, actual);
    cli_vectors_fini(&heard.vectors);
    json_object_put(object);
}

static struct json_object *number(uint64_t value)
{
    return json_object_new_uint64(value);
}

static void test_w3f_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        uint64_t value;
        const char *field, *expected, *actual;
    } row[] = {
        {"expected-pc", 1, "pc", "1", "0"},
        {"expected-gas", 9999, "gas", "9999", "9998"},
        {"expected-page-fault-address", 4096, "address", "0x1000", "0x20000"},
    };
    const char *path = W3F "/inst_load_u8_nok.json";
    const char *name = "inst_load_u8_nok";
    for (size_t i = 0; i < countof(row); i++) {
        struct json_object *object = json_object_from_file(path);
        json_object_object_add(object, row[i].key, number(row[i].value));
        expect_fails(object, name, row[i].field, row[i].expected, row[i].actual);
    }
    struct json_object *object = json_object_from_file(path);
    json_object_object_add(object, "expected-status", json_object_new_string("halt"));
    expect_fails(object, name, "status", "halt", "page-fault");

    object = json_object_from_file(path);
    json_object_array_put_idx(get(object, "expected-regs"), 3, number(UINT64_MAX));
    expect_fails(object, name, "regs[3]", "0xffffffffffffffff", "0x0");

    object = json_object_from_file(path);
    json_object_object_add(object, "expected-memory",
                           json_tokener_parse("[{\"address\":8193,\"contents\":[7]}]"));
    expect_fails(object, name, "memory[0x2001]", "0x07", "not mapped");
}

/* A value that the file does not expect is not compared. */
static void test_w3f_absent(void **state)
{
    (void)state;
    struct json_object *object = json_object_from_file(W3F "/inst_load_u8_nok.json");
    static const char *const key[] = {"expected-pc", "expected-gas", "expected-regs",
                                      "expected-memory", "expected-page-fault-address"};
    json_object_object_add(object, "expected-pc", number(77));
    for (size_t i = 0; i < countof(key); i++)
        json_object_object_del(object, key[i]);
    struct heard heard;
    heard_init(&heard);
    assert_true(run_object(&heard, object));
    assert_int_equal(heard.vectors.pass_count, 1);
    /* but a file that expects nothing at all cannot pass */
    json_object_object_del(object, "expected-status");
    assert_false(run_object(&heard, object));
    assert_non_null(strstr(heard.vectors.error, "nothing is expected"));
    cli_vectors_fini(&heard.vectors);
    json_object_put(object);
}

/* The record of run `run` of the profile. */
static struct json_object *record(struct json_object *file, const char *profile,
                                  size_t run)
{
    struct json_object *item = json_object_array_get_idx(get(file, "cases"), 0);
    struct json_object *list = get(get(item, "expect"), profile);
    assert_true(run < json_object_array_length(list));
    return json_object_array_get_idx(list, run);
}

static void test_edge_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *name, *profile;
        size_t run;
        const char *key, *json;
        const char *field, *expected, *actual;
    } row[] = {
        {"ecalli_5", "vectors", 0, "id", "6", "id", "6", "5"},
        {"ecalli_5", "javm", 0, "id-64", "18446744073709551615", "id-64",
         "0xffffffffffffffff", "0x5"},
        {"ecalli_5", "javm", 0, "charged", "true", "charged", "1", "0"},
        {"ecalli_5", "javm", 1, "icount", "3", "icount", "3", "2"},
        {"ecalli_5", "javm", 1, "gas", "9901", "gas", "9901", "9902"},
        {"ecalli_5", "vectors", 1, "pc", "6", "pc", "6", "5"},
        {"ecalli_5", "vectors", 1, "status", "\"panic\"", "status", "panic", "trap"},
        {"two_pages", "javm", 0, "page-gas", "256", "page-gas", "256", "512"},
        {"two_pages", "javm", 0, "pages-written", "[131072]", "number of pages-written",
         "1", "2"},
        {"two_pages", "javm", 0, "pages-written", "[131072,139264]", "pages-written",
         "0x22000", "0x30000"},
    };
    for (size_t i = 0; i < countof(row); i++) {
        struct json_object *file = one_case(EDGE, "cases", row[i].name);
        json_object_object_add(record(file, row[i].profile, row[i].run), row[i].key,
                               json_tokener_parse(row[i].json));
        expect_fails(file, row[i].name, row[i].field, row[i].expected, row[i].actual);
    }
    struct json_object *file = one_case(EDGE, "cases", "ecalli_5");
    struct json_object *item = json_object_array_get_idx(get(file, "cases"), 0);
    json_object_object_add(get(item, "valid"), "javm", json_object_new_boolean(0));
    expect_fails(file, "ecalli_5", "valid", "0", "1");
    file = one_case(EDGE, "cases", "ecalli_5");
    item = json_object_array_get_idx(get(file, "cases"), 0);
    json_object_object_add(item, "code", json_object_new_string("0a0533010701"));
    expect_fails(file, "ecalli_5", "code", "0a0533010701", "0a0533010700");
}

static void test_loader_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *name, *key, *json, *field, *expected, *actual;
    } row[] = {
        {"varint_128", "value", "129", "value", "129", "128"},
        {"varint_128", "expect", "\"pvm_limit\"", "expect", "pvm_limit", "ok"},
        {"raw_pad_bits", "expect", "\"ok\"", "expect", "ok", "pvm_bitmask_pad"},
        {"raw_ok", "code", "\"33000501\"", "code", "33000501", "33000500"},
        {"raw_ok", "bitmask", "\"1011\"", "bitmask", "1011", "1001"},
        {"raw_ok", "jump-table", "[0,4]", "jump-table[1]", "4", "3"},
        {"raw_ok", "jump-table", "[0]", "jump-table entries", "1", "2"},
        {"polkavm_full", "imports", "[\"abd\"]", "import", "616264", "616263"},
        {"polkavm_full", "exports", "[[0,\"main\"],[2,\"x\"]]", "export pc", "2", "3"},
        {"spi_small", "args", "\"68656c6c6f21\"", "regs[8]", "0x5", "0x6"},
    };
    for (size_t i = 0; i < countof(row); i++) {
        struct json_object *file = one_case(EDGE, "loader", row[i].name);
        struct json_object *item = json_object_array_get_idx(get(file, "loader"), 0);
        json_object_object_add(item, row[i].key, json_tokener_parse(row[i].json));
        if (!strcmp(row[i].name, "spi_small"))
            json_object_object_del(item, "memory");
        expect_fails(file, row[i].name, row[i].field, row[i].expected, row[i].actual);
    }
}

static void test_gas_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        size_t column;
        uint64_t value;
        const char *field, *expected, *actual;
    } row[] = {
        {"blocks", 0, 5, "block start", "5", "6"},
        {"blocks", 1, 24, "cost of block 6", "24", "23"},
        {"blocks", 2, 0, "stores of block 6", "0", "1"},
        {"entries", 1, 16, "block of 17", "16", "17"},
        {"entries", 2, 2, "cost at entry 17", "2", "1"},
    };
    for (size_t i = 0; i < countof(row); i++) {
        struct json_object *file = one_case(GAS, "cases", "g001");
        struct json_object *item = json_object_array_get_idx(get(file, "cases"), 0);
        json_object_array_put_idx(json_object_array_get_idx(get(item, row[i].list), 1),
                                  row[i].column, number(row[i].value));
        expect_fails(file, "g001", row[i].field, row[i].expected, row[i].actual);
    }
    struct json_object *file = one_case(GAS, "cases", "g001");
    struct json_object *item = json_object_array_get_idx(get(file, "cases"), 0);
    json_object_array_del_idx(get(item, "blocks"), 1, 1);
    expect_fails(file, "g001", "end of the last block", "21", "6");
}

/* ---- what is no conformance data
 * -------------------------------------------------------- */

static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *json, *error;
    } row[] = {
        {"", "no JSON"},
        {"{", "no JSON"},
        {"{} x", "no JSON"},
        {"[]", "no JSON object"},
        {"7", "no JSON"},
        {"{}", "not conformance data"},
        {"{\"format\":\"other\",\"version\":1,\"cases\":[]}", "not conformance data"},
        {"{\"format\":1,\"version\":1}", "format is not string"},
        {"{\"format\":\"lockstep-pvm-edge\",\"version\":2}", "version 2"},
        {"{\"format\":\"lockstep-pvm-edge\",\"version\":1}", "no case"},
        {"{\"format\":\"lockstep-pvm-edge\",\"version\":1,\"cases\":[]}", "no case"},
        {"{\"format\":\"lockstep-pvm-edge\",\"version\":1,\"cases\":[null]}", "name"},
        {"{\"format\":\"lockstep-pvm-edge\",\"version\":1,\"cases\":[{\"name\":\"x\"}]"
         "}",
         "case x: program is missing"},
        {"{\"format\":\"lockstep-pvm-edge\",\"version\":18446744073709551616}",
         "above 2^64"},
        {"{\"format\":\"lockstep-pvm-gas-singlepass\",\"version\":1,\"cases\":"
         "[{\"name\":\"x\",\"code\":\"00\",\"bitmask\":\"02\",\"mem-cycles\":25,"
         "\"blocks\":[]}]}",
         "case x: unused bits"},
        {"{\"format\":\"lockstep-pvm-gas-singlepass\",\"version\":1,\"cases\":"
         "[{\"name\":\"x\",\"code\":\"0g\",\"bitmask\":\"02\",\"mem-cycles\":25,"
         "\"blocks\":[]}]}",
         "case x: code is not hex"},
    };
    struct heard heard;
    heard_init(&heard);
    for (size_t i = 0; i < countof(row); i++) {
        bool ok = cli_vectors_run(&heard.vectors, "malformed.json",
                                  bytes_of(row[i].json, strlen(row[i].json)));
        assert_false(ok);
        if (!strstr(heard.vectors.error, row[i].error))
            fail_msg("%s: %s", row[i].json, heard.vectors.error);
    }
    assert_int_equal(heard.vectors.pass_count + heard.vectors.fail_count, 0);
    cli_vectors_fini(&heard.vectors);
}

/* Every field of a program file with a value of the wrong type or range. */
static void test_malformed_fields(void **state)
{
    (void)state;
    static const char *const value[] = {"null", "-1",   "\"x\"", "[]",
                                        "{}",   "[[]]", "1.5",   "[256]"};
    struct heard heard;
    heard_init(&heard);
    unsigned refused = 0;
    struct json_object *object = json_object_from_file(W3F "/inst_load_u8_nok.json");
    json_object_object_foreach(object, key, old)
    {
        (void)old;
        for (size_t i = 0; i < countof(value); i++) {
            struct json_object *copy =
                json_object_from_file(W3F "/inst_load_u8_nok.json");
            json_object_object_add(copy, key, json_tokener_parse(value[i]));
            refused += !run_object(&heard, copy);
            json_object_put(copy);
        }
    }
    json_object_put(object);
    /* What is accepted: a name of "x", and empty lists where lists may be empty. */
    uint64_t accepted = heard.vectors.pass_count + heard.vectors.fail_count;
    assert_int_equal(refused + accepted, 13 * countof(value));
    assert_true(accepted <= 5);
    cli_vectors_fini(&heard.vectors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_w3f),          cmocka_unit_test(test_edge),
        cmocka_unit_test(test_gas),          cmocka_unit_test(test_w3f_wrong),
        cmocka_unit_test(test_w3f_absent),   cmocka_unit_test(test_edge_wrong),
        cmocka_unit_test(test_loader_wrong), cmocka_unit_test(test_gas_wrong),
        cmocka_unit_test(test_malformed),    cmocka_unit_test(test_malformed_fields),
    };
    return cmocka_run_group_tests_name("vectors", tests, NULL, NULL);
}
