/* SPDX-License-Identifier: MIT
 *
 * Record, replay, and record the replay: the worked example, programs of the corpus,
 * every gas log, every end.
 */
#include "tests/unit/replay/run.h"

#include <string.h>

/* ---- the worked example (trace-replay.md 16) ---- */

static const uint8_t example_blob[] = {0x00, 0x00, 0x0c, 0x33, 0x08, 0x03,
                                       0x01, 0x95, 0x88, 0xff, 0x52, 0x08,
                                       0xfd, 0x0a, 0x00, 0x99, 0x04};
static const char example_identity[] =
    "37fe39d7c71f67d1bb2ecf2f2c5bfc4b1869d377b86b64775401ac0f1fc79e33";

static struct replay_setup example_setup(void)
{
    struct replay_setup setup =
        setup_of(bytes_of(example_blob, sizeof example_blob), PVM_PROFILE_JAVM);
    setup.gas = 1000;
    setup.reg[7] = 42;
    return setup;
}

static void test_worked_example(void **state)
{
    (void)state;
    struct recording r;
    struct replay_setup setup = example_setup();
    char text[2 * HASH256_SIZE + 1];
    check_setup(&setup, NULL, &r);
    for (unsigned i = 0; i < HASH256_SIZE; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", r.identity.byte[i]);
    assert_string_equal(text, example_identity);
    assert_int_equal(r.event_count, 8);
    assert_int_equal(r.state.gas, 848);
    recording_fini(&r);
}

static void test_example_in_all_gas_logs(void **state)
{
    (void)state;
    for (int log = PVM_GAS_LOG_NONE; log <= PVM_GAS_LOG_SUMMARY; log++) {
        struct recording r;
        struct replay_setup setup = example_setup();
        setup.gas_log = (enum pvm_gas_log)log;
        setup.hash_every = 50;
        setup.digest_every = 1;
        check_setup(&setup, NULL, &r);
        assert_int_equal(r.state.gas, 848);
        assert_true(r.result.hash.present);
        recording_fini(&r);
    }
}

/* ---- every way a run can end ---- */

struct ending {
    const char *text;
    enum pvm_profile profile;
    uint64_t gas;
    enum pvm_exit exit;
    uint64_t arg;
};

static const struct ending ending[] = {
    {"trap\n", PVM_PROFILE_JAVM, 100, PVM_EXIT_TRAP, 0},
    {"load_imm a0, 1\n", PVM_PROFILE_VECTORS, 100, PVM_EXIT_TRAP, 0},
    {"load_u8 a0, [0x20000]\n", PVM_PROFILE_JAVM, 100, PVM_EXIT_PAGE_FAULT, 0x20000},
    {"sbrk a0, a1\n", PVM_PROFILE_VECTORS, 100, PVM_EXIT_PANIC, 0},
    {"jump_ind a0, 0\n", PVM_PROFILE_VECTORS, 100, PVM_EXIT_PANIC, 0},
    {"load_imm a0, -0x10000\njump_ind a0, 0\n", PVM_PROFILE_VECTORS, 100, PVM_EXIT_HALT,
     0},
    {"loop:\njump loop\n", PVM_PROFILE_VECTORS, 1000, PVM_EXIT_OUT_OF_GAS, 0},
    {"loop:\njump loop\n", PVM_PROFILE_VECTORS, 0, PVM_EXIT_OUT_OF_GAS, 0},
    {"ecalli 0\n", PVM_PROFILE_JAVM, 1000, PVM_EXIT_HALT, 0},
    {"ecalli 64\n", PVM_PROFILE_VECTORS, 1000, PVM_EXIT_HALT, 0},
    {"load_imm a4, 64\necall\n", PVM_PROFILE_JAVM, 1000, PVM_EXIT_HALT, 0},
    {"ecalli 99\ntrap\n", PVM_PROFILE_JAVM, 1000, PVM_EXIT_TRAP, 0},
};

static void test_endings(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(ending); i++) {
        for (int log = PVM_GAS_LOG_LEDGER; log <= PVM_GAS_LOG_SUMMARY; log++) {
            struct arena arena;
            struct recording r;
            struct pvm_state off;
            arena_init(&arena, (size_t)1 << 26);
            struct replay_setup setup =
                setup_of(assemble(&arena, ending[i].text), ending[i].profile);
            setup.gas = ending[i].gas;
            setup.gas_log = (enum pvm_gas_log)log;
            check_setup(&setup, NULL, &r);
            if (r.result.outcome.exit != ending[i].exit)
                fail_msg("program %zu ends in %s", i,
                         pvm_exit_name(r.result.outcome.exit));
            assert_int_equal(r.result.outcome.arg, ending[i].arg);
            /* Recording changes nothing. */
            struct replay_result result = run_only(&setup, NULL, &off);
            assert_int_equal(result.outcome.exit, ending[i].exit);
            assert_memory_equal(off.reg, r.state.reg, sizeof off.reg);
            assert_int_equal(off.gas, r.state.gas);
            assert_int_equal(off.icount, r.state.icount);
            recording_fini(&r);
            arena_fini(&arena);
        }
    }
}

static void test_empty_code(void **state)
{
    (void)state;
    static const uint8_t blob[] = {0, 0, 0};
    struct recording r;
    struct replay_setup setup = setup_of(bytes_of(blob, sizeof blob), PVM_PROFILE_JAVM);
    check_setup(&setup, NULL, &r);
    assert_int_equal(r.result.outcome.exit, PVM_EXIT_TRAP);
    recording_fini(&r);
}

/* A run may begin inside a block, and at a position that is no instruction. */
static void test_start_inside(void **state)
{
    (void)state;
    struct replay_setup setup = example_setup();
    for (setup.pc = 0; setup.pc < 16; setup.pc++) {
        struct recording r;
        check_setup(&setup, NULL, &r);
        recording_fini(&r);
    }
}

/* ---- memory of a setup ---- */

static void test_memory(void **state)
{
    (void)state;
    static const char text[] = "load_u64 a0, [0x20ffc]\n"
                               "store_u8 a0, [0x22fff]\n"
                               "store_u64 a0, [0x21ffc]\n"
                               "ecalli 0\n";
    static const struct trace_uuu map[] = {{0x20000, 0x3000, PVM_ACCESS_RW},
                                           {0x40000, 0x1000, PVM_ACCESS_R}};
    /* Two runs of bytes in one page, one across a border, one in a page of its own. */
    const struct trace_uw mem[] = {
        {0x20ff0, bytes_of("abc", 3)},
        {0x20ffc, bytes_of("01234567", 8)},
        {0x22000, bytes_of("whole", 5)},
        {0x40800, bytes_of("read only", 9)},
    };
    struct arena arena;
    struct recording r;
    arena_init(&arena, (size_t)1 << 26);
    struct replay_setup setup = setup_of(assemble(&arena, text), PVM_PROFILE_JAVM);
    setup.maps = (struct trace_list_uuu){map, countof(map)};
    setup.mem = (struct trace_list_uw){mem, countof(mem)};
    setup.hash_every = 1;
    setup.config.model = 257; /* page gas */
    check_setup(&setup, NULL, &r);
    assert_int_equal(r.state.reg[7], UINT64_C(0x3736353433323130));
    recording_fini(&r);
    arena_fini(&arena);
}

static enum err create_with(struct trace_uuu map, struct trace_uw mem)
{
    struct arena arena;
    struct replay_session *session = NULL;
    struct replay_setup setup = example_setup();
    const struct replay_session_options options = {.limit = REPLAY_NO_LIMIT};
    arena_init(&arena, (size_t)1 << 26);
    setup.maps = (struct trace_list_uuu){&map, 1};
    setup.mem = (struct trace_list_uw){&mem, mem.b.size ? 1 : 0};
    enum err err = replay_session_create(&arena, &setup, &options, &session);
    replay_session_close(session);
    arena_fini(&arena);
    return err;
}

static void test_hostile_memory(void **state)
{
    (void)state;
    const struct trace_uw none = {0}, bytes = {0x20000, bytes_of("bytes", 5)};
    assert_int_equal(create_with((struct trace_uuu){0x20000, 0x1000, 3}, bytes),
                     ERR_ok);
    assert_int_equal(create_with((struct trace_uuu){0x20000, 0x1000, 2}, none),
                     ERR_usage);
    assert_int_equal(create_with((struct trace_uuu){0x20000, 0x1000, 0}, none),
                     ERR_usage);
    assert_int_equal(create_with((struct trace_uuu){0x20001, 0x1000, 1}, none),
                     ERR_pvm_align);
    assert_int_equal(create_with((struct trace_uuu){0x20000, 0x1001, 1}, none),
                     ERR_pvm_align);
    assert_int_equal(create_with((struct trace_uuu){0x20000, 0, 1}, none),
                     ERR_pvm_align);
    assert_int_equal(create_with((struct trace_uuu){0xfffff000, 0x2000, 1}, none),
                     ERR_pvm_limit);
    assert_int_equal(
        create_with((struct trace_uuu){(uint64_t)1 << 32, 0x1000, 1}, none),
        ERR_pvm_limit);
    assert_int_equal(
        create_with((struct trace_uuu){0x1000, UINT64_MAX - 0xfff, 1}, none),
        ERR_pvm_limit);
    /* Bytes outside of the map, before it, across its end. */
    assert_int_equal(create_with((struct trace_uuu){0x30000, 0x1000, 3}, bytes),
                     ERR_usage);
    assert_int_equal(create_with((struct trace_uuu){0x20000, 0x1000, 3},
                                 (struct trace_uw){0x20fff, bytes_of("xy", 2)}),
                     ERR_usage);
    assert_int_equal(create_with((struct trace_uuu){0x20000, 0x1000, 3},
                                 (struct trace_uw){UINT64_MAX, bytes_of("xy", 2)}),
                     ERR_usage);
}

/* ---- programs of the corpus ---- */

struct program {
    const char *name;
    uint64_t a0;
};
static const struct program program[] = {
    {"fib", 18},    {"sieve", 20000}, {"sha256", 4}, {"qsort", 500},
    {"interp", 30}, {"mixed", 1},     {"memcpy", 1}, {"empty", 7}};

static void test_programs(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(program); i++) {
        for (int log = PVM_GAS_LOG_LEDGER; log <= PVM_GAS_LOG_SUMMARY; log++) {
            struct arena arena;
            struct recording r;
            arena_init(&arena, (size_t)1 << 28);
            struct replay_setup setup = setup_program(&arena, program[i].name, NULL, 0);
            setup.reg[7] = program[i].a0;
            setup.gas_log = (enum pvm_gas_log)log;
            setup.hash_every = 100000;
            if (log == PVM_GAS_LOG_EACH)
                setup.gas = 50000; /* one event per block: enough of them */
            check_setup(&setup, NULL, &r);
            recording_fini(&r);
            arena_fini(&arena);
        }
    }
}

/* ---- stopped from outside ---- */

static unsigned poll_count, poll_stop;

static bool interrupted(void)
{
    return ++poll_count == poll_stop;
}

/* Record until the n-th poll says stop. */
static void record_stopped(struct recording *r, const struct replay_setup *setup,
                           unsigned stop)
{
    const struct trace_writer_options how = {.guest = TRACE_GUEST_PVM};
    struct trace_writer *writer;
    struct trace *trace;
    struct replay_session *session;
    *r = (struct recording){0};
    arena_init(&r->arena, (size_t)1 << 30);
    trace_memory_init(&r->memory, (size_t)256 << 20);
    struct trace_sink sink = trace_memory_sink(&r->memory);
    assert_int_equal(trace_writer_create(&r->arena, &sink, &how, &writer), ERR_ok);
    assert_int_equal(trace_record_create(&r->arena, writer, true, &trace), ERR_ok);
    poll_count = 0;
    poll_stop = stop;
    const struct replay_session_options options = {
        .trace = trace, .limit = REPLAY_NO_LIMIT, .interrupted = interrupted};
    assert_int_equal(replay_session_create(&r->arena, setup, &options, &session),
                     ERR_ok);
    assert_int_equal(replay_session_run(session, &r->result), ERR_ok);
    assert_int_equal(r->result.end, REPLAY_END_USER);
    assert_int_equal(r->result.reason, 1);
    replay_session_close(session);
    trace_close(trace);
    assert_int_equal(trace_writer_finish(writer, &r->identity), ERR_ok);
}

static void test_stopped(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, (size_t)1 << 26);
    static const char text[] = "loop:\n"
                               "add_imm_64 a0, a0, 1\n"
                               "branch_ne_imm a0, 0, loop\n"
                               "trap\n";
    static const char endless[] = "loop:\njump loop\n";
    for (int log = PVM_GAS_LOG_LEDGER; log <= PVM_GAS_LOG_SUMMARY; log++) {
        for (int kind = 0; kind < 2; kind++) {
            struct recording r;
            struct replay_setup setup =
                setup_of(assemble(&arena, kind ? endless : text), PVM_PROFILE_VECTORS);
            setup.gas = REPLAY_GAS_MAX;
            setup.gas_log = (enum pvm_gas_log)log;
            setup.hash_every = 1000001;
            setup.digest_every = 1;
            record_stopped(&r, &setup, log == PVM_GAS_LOG_EACH ? 1 : 3);
            struct replay_report report = replay_bytes(recording_bytes(&r), NULL);
            assert_int_equal(report.class, REPLAY_SAME);
            assert_int_equal(report.result.reason, 1);
            assert_memory_equal(&report.identity, &r.identity, sizeof r.identity);
            recording_fini(&r);
            if (log == PVM_GAS_LOG_EACH)
                break;
        }
    }
    arena_fini(&arena);
}

/* A replay does not run for ever where the trace has nothing more to say. */
static void test_no_endless_replay(void **state)
{
    (void)state;
    struct arena arena;
    struct recording r;
    struct replay_report report;
    arena_init(&arena, (size_t)1 << 26);
    struct replay_setup setup =
        setup_of(assemble(&arena, "loop:\njump loop\n"), PVM_PROFILE_VECTORS);
    setup.gas = REPLAY_GAS_MAX;
    record_stopped(&r, &setup, 2);
    /* Without its end: only the start is there. */
    struct bytes file = recording_bytes(&r);
    for (size_t size = file.size; size; size -= 8) {
        report = replay_bytes(bytes_of(file.data, size & ~(size_t)7), NULL);
        if (report.class == REPLAY_OPEN)
            break;
    }
    assert_int_equal(report.class, REPLAY_OPEN);
    recording_fini(&r);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worked_example),
        cmocka_unit_test(test_example_in_all_gas_logs),
        cmocka_unit_test(test_endings),
        cmocka_unit_test(test_empty_code),
        cmocka_unit_test(test_start_inside),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_hostile_memory),
        cmocka_unit_test(test_programs),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_no_endless_replay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
