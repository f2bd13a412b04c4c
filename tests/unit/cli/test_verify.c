/* SPDX-License-Identifier: MIT
 *
 * What verify says about a trace with more programs than it looks into.
 */
#include "cli/command_line.h"

#include "replay/sink_file.h"
#include "tests/test.h"
#include "tests/unit/cli/capture.h"
#include "tests/unit/trace/example.h"

#include <stdlib.h>
#include <string.h>

enum { PROGRAM_COUNT_MAX = 1024 };

static const struct cli_command command = {.name = "verify", .spec = &cli_spec_verify};
static char folder[] = "/tmp/lockstep-verify.XXXXXX";
static char path[64];
static bool as_json;

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof path, "%s/x.lks", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

/* One program more than the limit; a segment of program `prog` runs it to its end. */
static void put_events(struct trace_writer *w, uint64_t prog)
{
    static const uint8_t bits = 0xc0;
    const uint64_t regs[] = {0, 0, 0, 0, 0, 0, 0, 42};
    struct trace_clock clock = {0};
    struct trace_session_begin begin = {.spec = TRACE_SPEC};
    struct trace_session_config config = {.key = "gas", .value = "ledger"};
    struct trace_pvm_program program = {
        .hash = trace_hash_of(hash256_of(example_code.data, example_code.size)),
        .profile = 1,
        .model = 1,
        .mem_cycles = 25,
        .code = example_code,
        .blocks = example_blocks,
    };
    struct trace_pvm_start start = {.gas = 1000, .regs = {regs, countof(regs)}};
    struct trace_pvm_segment segment = {.prog = prog,
                                        .n = 5,
                                        .gas = 152,
                                        .end = 2,
                                        .end_pc = 10,
                                        .nbits = 3,
                                        .bits = {&bits, 1}};
    struct trace_session_end end = {0};
    trace_put_session_begin(w, &clock, &begin);
    trace_put_session_config(w, &clock, &config);
    for (program.prog = 0; program.prog <= PROGRAM_COUNT_MAX; program.prog++)
        trace_put_pvm_program(w, &clock, &program);
    trace_put_pvm_start(w, &clock, &start);
    clock = (struct trace_clock){.icount = 8, .gas = segment.gas};
    trace_put_pvm_segment(w, &clock, &segment);
    trace_put_session_end(w, &clock, &end);
}

static void write_trace(uint64_t prog)
{
    struct arena arena;
    struct replay_sink_file file;
    struct trace_writer *w;
    const struct trace_writer_options options = {.guest = TRACE_GUEST_PVM};
    arena_init(&arena, 1 << 20);
    assert_int_equal(replay_sink_file_open(&file, path, false), ERR_ok);
    struct trace_sink sink = replay_sink_file(&file);
    assert_int_equal(trace_writer_create(&arena, &sink, &options, &w), ERR_ok);
    put_events(w, prog);
    assert_int_equal(trace_writer_finish(w, NULL), ERR_ok);
    replay_sink_file_close(&file);
    arena_fini(&arena);
}

static int verify(struct cli *cli)
{
    char *argv[] = {path, NULL};
    cli->json = as_json;
    return cmd_verify(cli, 1, argv);
}

static void expect(bool json, const char *out, const char *err)
{
    struct output o;
    as_json = json;
    capture(&o, &command, verify, NULL);
    assert_int_equal(o.status, CLI_YES);
    assert_non_null(strstr(o.out, out));
    if (err)
        assert_non_null(strstr(o.err, err));
    else
        assert_string_equal(o.err, "");
}

static void test_programs(void **state)
{
    (void)state;
    static const char remark[] =
        "x.lks: 1 charge segments or events were not looked into";
    static const char whole[] = "x.lks: whole: 1030 events, 5 charges, identity ";
    write_trace(PROGRAM_COUNT_MAX - 1); /* the last one that is looked into */
    expect(false, whole, NULL);
    expect(true, "\"not_expanded\":0,\"not_compared\":0,", NULL);
    write_trace(PROGRAM_COUNT_MAX);
    expect(false, whole, remark);
    expect(true, "\"not_expanded\":1,\"not_compared\":0,", remark);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_programs, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
