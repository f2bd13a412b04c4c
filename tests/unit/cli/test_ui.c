/* SPDX-License-Identifier: MIT
 *
 * What the ui_ functions write, by running them in a child with pipes for streams.
 */
#include "cli/cli.h"

#include "tests/test.h"
#include "tests/unit/cli/capture.h"

#include <json-c/json.h>
#include <string.h>

static const struct cli_command command = {.name = "test"};

static int say_everything(struct cli *cli)
{
    ui_out(cli, "answer %d\n", 42);
    ui_out_bytes(cli, bytes_of("a\0b\n", 4));
    ui_out_escaped(cli, bytes_of("x\ny\x1b[31m\xff", 9), false);
    ui_out_escaped(cli, bytes_of("\nx\n\r", 4), true);
    ui_out(cli, "%s[%s]\n", ui_color(cli, UI_RED), ui_color(cli, UI_PLAIN));
    ui_error(cli, "bad %s", "na\nme\x1b[0m");
    ui_note(cli, "note");
    ui_verbose(cli, "not shown");
    ui_progress(cli, "not shown", 1, 2);
    return ui_fail(cli, ERR_trace_magic, "x.lks");
}

static void test_streams(void **unused)
{
    (void)unused;
    struct output o;
    capture(&o, &command, say_everything, NULL);
    assert_int_equal(o.status, CLI_UNKNOWN);
    static const char want[] = "answer 42\na\0b\nx\\x0ay\\x1b[31m\\xff\nx\n\\x0d[]\n";
    assert_memory_equal(o.out, want, sizeof want);
    assert_string_equal(o.err, "lockstep test: bad na\\x0ame\\x1b[0m\n"
                               "lockstep test: note\n"
                               "lockstep test: x.lks: not a lockstep trace\n");
}

static int say_quietly(struct cli *cli)
{
    cli->quiet = true;
    cli->verbose = true;
    ui_note(cli, "hidden");
    ui_verbose(cli, "shown");
    return ui_usage(cli, "wrong");
}

static void test_quiet(void **unused)
{
    (void)unused;
    struct output o;
    capture(&o, &command, say_quietly, NULL);
    assert_int_equal(o.status, CLI_USAGE);
    assert_string_equal(o.err, "lockstep test: shown\nlockstep test: wrong\n");
}

/* Small or large: what does not fit on the disk makes the status 125. */
static int say_little(struct cli *cli)
{
    ui_out(cli, "x");
    return CLI_YES;
}

static int say_much(struct cli *cli)
{
    for (unsigned i = 0; i < 100000; i++)
        ui_out(cli, "line %u\n", i);
    return CLI_NO;
}

static void test_full_disk(void **unused)
{
    (void)unused;
    struct output o;
    capture(&o, &command, say_little, "/dev/full");
    assert_int_equal(o.status, CLI_UNKNOWN);
    assert_string_equal(o.err,
                        "lockstep test: standard output: No space left on device\n");
    capture(&o, &command, say_much, "/dev/full");
    assert_int_equal(o.status, CLI_UNKNOWN);
    assert_string_equal(o.err,
                        "lockstep test: standard output: No space left on device\n");
    capture(&o, &command, say_little, NULL);
    assert_int_equal(o.status, CLI_YES);
}

static int say_json(struct cli *cli)
{
    static const uint8_t raw[] = {0xde, 0xad, 0};
    ui_json_begin(cli);
    ui_json_text(cli, "name", "a \"quoted\" path/with\nnewline");
    ui_json_u64(cli, "most", UINT64_MAX);
    ui_json_i64(cli, "least", INT64_MIN);
    ui_json_bool(cli, "yes", true);
    ui_json_null(cli, "none");
    ui_json_hex(cli, "hex", bytes_of(raw, sizeof raw));
    ui_json_hex(cli, "empty", bytes_of(NULL, 0));
    ui_json_array(cli, "list");
    ui_json_u64(cli, NULL, 1);
    ui_json_object(cli, NULL);
    ui_json_text(cli, "in", "object");
    ui_json_close(cli);
    ui_json_null(cli, NULL);
    ui_json_close(cli);
    ui_json_end(cli);
    /* A trace of millions of events is one object each: they need no memory. */
    size_t used = cli->arena.used;
    ui_json_begin(cli);
    ui_json_end(cli);
    return cli->arena.used == used ? CLI_YES : CLI_NO;
}

static void test_json(void **unused)
{
    (void)unused;
    struct output o;
    capture(&o, &command, say_json, NULL);
    assert_int_equal(o.status, CLI_YES);
    assert_string_equal(
        o.out,
        "{\"schema\":\"lockstep.test.1\",\"name\":\"a \\\"quoted\\\" "
        "path/with\\nnewline\","
        "\"most\":18446744073709551615,\"least\":-9223372036854775808,\"yes\":true,"
        "\"none\":null,\"hex\":\"dead00\",\"empty\":\"\","
        "\"list\":[1,{\"in\":\"object\"},null]}\n{\"schema\":\"lockstep.test.1\"}\n");
    assert_string_equal(o.err, "");
}

/* Text of a hostile file: whatever its bytes, the line is JSON and valid UTF-8. */
static uint64_t text_seed;

static int say_hostile(struct cli *cli)
{
    uint8_t text[64];
    uint64_t seed = text_seed;
    size_t size = test_random(&seed) % sizeof text;
    for (size_t i = 0; i < size; i++) {
        uint64_t r = test_random(&seed);
        text[i] = (uint8_t)(r & 0x100 ? 0x80 | (r & 0x7f) : r & 0x7f);
    }
    ui_json_begin(cli);
    ui_json_text_bytes(cli, "text", bytes_of(text, size));
    ui_json_end(cli);
    return CLI_YES;
}

static void test_json_hostile(void **unused)
{
    (void)unused;
    for (text_seed = test_seed(1); text_seed % 300 != 0; text_seed++) {
        struct output o;
        capture(&o, &command, say_hostile, NULL);
        struct json_tokener *tokener = json_tokener_new();
        json_tokener_set_flags(tokener,
                               JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        struct json_object *object =
            json_tokener_parse_ex(tokener, o.out, (int)strlen(o.out) - 1);
        if (!object)
            fail_msg("seed %llu is no JSON: %s", (unsigned long long)text_seed, o.out);
        json_object_put(object);
        json_tokener_free(tokener);
    }
}

static int say_utf8(struct cli *cli)
{
    ui_json_begin(cli);
    ui_json_text(cli, "good", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
    ui_json_text(cli, "bad", "\xc0\xaf|\xed\xa0\x80|\xf4\x90\x80\x80|\xe2\x82");
    ui_json_end(cli);
    return CLI_YES;
}

static void test_utf8(void **unused)
{
    (void)unused;
#define BAD "\xef\xbf\xbd"
    struct output o;
    capture(&o, &command, say_utf8, NULL);
    assert_string_equal(o.out, "{\"schema\":\"lockstep.test.1\","
                               "\"good\":\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\","
                               "\"bad\":\"" BAD BAD "|" BAD BAD BAD "|" BAD BAD BAD BAD
                               "|" BAD BAD "\"}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),      cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_full_disk),    cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_hostile), cmocka_unit_test(test_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
