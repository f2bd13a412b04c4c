/* SPDX-License-Identifier: MIT
 *
 * The report of a difference, which no correct build can make: a constructed one, and
 * the command line in it.
 */
#include "cli/check_print.h"
#include "cli/command_line.h"

#include "tests/test.h"
#include "tests/unit/cli/capture.h"

#include <json-c/json.h>
#include <string.h>

static const char text[] = "load_imm a0, 1\n"      /* 0 */
                           "fallthrough\n"         /* 3 */
                           "load_imm a1, 2\n"      /* 4 */
                           "load_imm a2, 3\n"      /* 7 */
                           "load_imm a3, 4\n"      /* 10 */
                           "load_imm a4, 5\n"      /* 13 */
                           "xor a2, a1, a2\n"      /* 16 */
                           "add_64 a5, a2, a0\n"   /* 19 */
                           "mul_64 a5, a5, a5\n"   /* 22 */
                           "div_u_64 a5, a5, a2\n" /* 25 */
                           "fallthrough\n"         /* 28 */
                           "trap\n";
enum { BLOCK = 4, BAD = 19, EMPTY = 28 };

static const struct cli_command command = {.name = "check", .spec = &cli_spec_check};
static const struct pvm_recomp_options recomp;
static struct buf blob;
static uint32_t bad_pc = BAD;
static bool as_json, is_found, is_same;

static int print(struct cli *cli)
{
    struct pvm_code code;
    struct pvm_asm_error problem;
    buf_init(&blob, 4096);
    assert_int_equal(pvm_asm(bytes_of(text, sizeof text - 1), &blob, &problem), 0);
    assert_int_equal(pvm_code_parse(buf_bytes(&blob), &code), 0);
    const struct cli_check_case it = {
        .path = "x.pvm",
        .code = &code,
        .config = pvm_config_default(PVM_PROFILE_VECTORS),
        .engine = {"interp", "recomp"},
        .recomp = &recomp,
        .command = "lockstep check --gas=5 x.pvm",
    };
    struct analysis_check_report report = {
        .same = is_same,
        .field = "a5",
        .value = {0x10, 0xffffffffffffffff},
        .found = is_found,
        .block = BLOCK,
        .pc = bad_pc,
        .icount = 1007,
        .state = {.icount = 2000},
    };
    report.reg[0][12] = 0x10;
    report.reg[1][12] = 0xffffffffffffffff;
    report.reg[0][7] = report.reg[1][7] = 1;
    cli->json = as_json;
    cli_check_print(cli, &it, &report);
    buf_fini(&blob);
    return CLI_YES;
}

static void run(struct output *o, bool json, bool same, bool found)
{
    as_json = json;
    is_same = same;
    is_found = found;
    capture(o, &command, print, NULL);
    assert_int_equal(o->status, CLI_YES);
    assert_string_equal(o->err, "");
}

static void report_text(void **unused)
{
    (void)unused;
    static const char want[] =
        "x.pvm: engine defect: a5 at 0x0: interp 0x10, recomp 0xffffffffffffffff\n"
        "first bad instruction: icount 1007  pc 19  block 4\n"
        "    @7:     load_imm a2, 3\n"
        "    @10:    load_imm a3, 4\n"
        "    @13:    load_imm a4, 5\n"
        "    @16:    xor a2, a1, a2\n"
        "  > @19:    add_64 a5, a2, a0\n"
        "    @22:    mul_64 a5, a5, a5\n"
        "    @25:    div_u_64 a5, a5, a2\n"
        "  it reads a0, written before the block\n"
        "  it reads a2, last written by @16:    xor a2, a1, a2\n"
        "registers behind it: interp, recomp\n"
        "  ra  0x0000000000000000  0x0000000000000000\n";
    static const char reg[] = "  a0  0x0000000000000001  0x0000000000000001\n";
    static const char bad[] = "  a5  0x0000000000000010  0xffffffffffffffff  differs\n";
    static const char end[] = "reproduce: lockstep check --gas=5 x.pvm\n";
    struct output o;
    run(&o, false, false, true);

    assert_memory_equal(o.out, want, sizeof want - 1);
    assert_non_null(strstr(o.out, reg));
    const char *at = strstr(o.out, bad);
    assert_non_null(at);
    at += sizeof bad - 1;
    if (pvm_recomp_available()) {
        static const char head[] = "native code of @19:\n  +0x";
        assert_memory_equal(at, head, sizeof head - 1);
        at = strstr(at, "reproduce");
        assert_non_null(at);
    }
    assert_string_equal(at, end);
}

static void not_found(void **unused)
{
    (void)unused;
    struct output o;
    run(&o, false, false, false);
    assert_string_equal(
        o.out, "x.pvm: engine defect: a5 at 0x0: interp 0x10, recomp "
               "0xffffffffffffffff\n"
               "  the difference did not come again from the last equal place\n"
               "reproduce: lockstep check --gas=5 x.pvm\n");
    run(&o, false, true, false);
    assert_string_equal(o.out, "");
}

static void no_native_code(void **unused)
{
    (void)unused;
    struct output o;
    if (!pvm_recomp_available())
        skip();
    bad_pc = EMPTY;
    run(&o, false, false, true);
    bad_pc = BAD;
    assert_non_null(strstr(o.out, "native code of @25 (nothing was emitted for the bad "
                                  "one itself):\n  +0x"));
}

static struct json_object *key(struct json_object *object, const char *name)
{
    struct json_object *value = NULL;
    if (!json_object_object_get_ex(object, name, &value))
        fail_msg("no key %s", name);
    return value;
}

static void report_json(void **unused)
{
    (void)unused;
    struct output o;
    run(&o, true, false, true);
    struct json_object *object = json_tokener_parse(o.out);
    assert_non_null(object);
    assert_false(json_object_get_boolean(key(object, "same")));
    assert_string_equal(json_object_get_string(key(object, "field")), "a5");
    assert_int_equal(json_object_get_int(key(object, "pc")), BAD);
    assert_int_equal(json_object_get_int(key(object, "block")), BLOCK);
    assert_int_equal(json_object_array_length(key(object, "listing")), 7);
    struct json_object *reads = key(object, "reads");
    assert_int_equal(json_object_array_length(reads), 2);
    assert_null(key(json_object_array_get_idx(reads, 0), "writer"));
    assert_int_equal(
        json_object_get_int(key(json_object_array_get_idx(reads, 1), "writer")), 16);
    struct json_object *a5 = key(key(object, "reg"), "a5");
    assert_true(json_object_get_uint64(json_object_array_get_idx(a5, 1)) == UINT64_MAX);
    if (pvm_recomp_available()) {
        assert_int_equal(json_object_get_int(key(object, "native_pc")), BAD);
        assert_true(json_object_array_length(key(object, "native")) > 0);
    }
    assert_non_null(
        strstr(json_object_get_string(key(object, "reproduce")), "--gas=5"));
    json_object_put(object);
    run(&o, true, true, false);
    assert_string_equal(o.out, "{\"schema\":\"lockstep.check.1\",\"file\":\"x.pvm\","
                               "\"same\":true,\"engines\":[\"interp\",\"recomp\"],"
                               "\"icount\":2000}\n");
}

/* Parsing what was put gives the same line again. */
static void command_line(void **unused)
{
    (void)unused;
    char line[][40] = {"--interval=77",
                       "--engines=recomp,recomp",
                       "--interp-only=jump",
                       "-r",
                       "a0=1",
                       "--page-gas",
                       "--profile=javm",
                       "--args",
                       "it's $HOME",
                       "--gas=20000000",
                       "x.pvm"};
    char *argv[11];
    int argc = 11, status = 0;
    struct buf buf;
    struct cli cli = {.command = &command};
    for (int i = 0; i < argc; i++)
        argv[i] = line[i];
    arena_init(&cli.arena, 1 << 20);
    buf_init(&buf, 4096);
    assert_true(cli_parse(&cli, &command, &argc, argv, &status));
    assert_int_equal(argc, 1);
    cli_command_put(&command, cli.options, &buf);
    cli_command_put_word(argv[0], &buf);
    assert_string_equal(buf_string(&buf),
                        "lockstep check --engines=recomp,recomp --interp-only=jump "
                        "--interval=77 --args='it'\\''s $HOME' --reg=a0=1 "
                        "--profile=javm --page-gas x.pvm");
    buf_fini(&buf);
    arena_fini(&cli.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(report_text), cmocka_unit_test(not_found),
        cmocka_unit_test(no_native_code), cmocka_unit_test(report_json),
        cmocka_unit_test(command_line)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
