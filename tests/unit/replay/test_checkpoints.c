/* SPDX-License-Identifier: MIT
 *
 * Checkpoints in a trace: a replay that starts from one comes to the same state as one
 * from the start; one that lies is found out.
 */
#include "tests/unit/replay/debugged.h"
#include "tests/unit/replay/run.h"

#include "trace/checkpoint.h"

#include <string.h>

/* Host calls, and stores into more and more pages; each 16th lap one page is cleared.
 */
static const char text[] = "    load_imm s1, 40\n"
                           "    load_imm t0, 0x20000\n"
                           "    fallthrough\n"
                           "again:\n"
                           "    load_imm a0, 0\n"
                           "    load_imm a1, 0x40000\n"
                           "    load_imm a2, 4\n"
                           "    ecalli 67\n"
                           "    load_u32 a3, [0x40000]\n"
                           "    store_ind_u32 a3, [t0 + 8]\n"
                           "    add_imm_64 t0, t0, 0x800\n"
                           "    load_imm a5, 50\n"
                           "    fallthrough\n"
                           "wait:\n"
                           "    store_ind_u32 a5, [t0 + 4]\n"
                           "    add_imm_64 a5, a5, -1\n"
                           "    store_u32 a5, [0x41000]\n"
                           "    branch_ne_imm a5, 0, wait\n"
                           "    store_u32 a5, [0x20008]\n"
                           "    add_imm_64 s1, s1, -1\n"
                           "    branch_ne_imm s1, 0, again\n"
                           "    trap\n";

struct world {
    struct arena arena;
    struct recording r;
    struct trace_memory with; /* checkpoints */
    struct replay_add_report report;
};

static void add(struct world *w, struct bytes file, uint64_t every)
{
    struct trace_source source = trace_bytes_source(&file);
    const struct replay_add_options options = {.every = every};
    trace_memory_init(&w->with, (size_t)64 << 20);
    struct trace_sink sink = trace_memory_sink(&w->with);
    replay_add_checkpoints(&source, &sink, &options, &w->report);
    if (w->report.replay.class != REPLAY_SAME)
        fail_msg("%s", w->report.replay.detail);
}

static void create(struct world *w, enum pvm_gas_log log)
{
    static const struct trace_uuu map[] = {{0x20000, 0x16000, PVM_ACCESS_RW},
                                           {0x40000, 0x2000, PVM_ACCESS_RW},
                                           {0x50000, 0x1000, PVM_ACCESS_R}};
    static const struct trace_uw mem[] = {{0x20800, {(const uint8_t *)"initial", 7}},
                                          {0x50003, {(const uint8_t *)"constant", 8}}};
    struct script script = {.input = "one, two, three, four, five, six, seven, eight"};
    struct replay_host host = script_host(&script);
    memset(w, 0, sizeof *w);
    arena_init(&w->arena, (size_t)1 << 26);
    struct replay_setup setup = setup_of(assemble(&w->arena, text), PVM_PROFILE_JAVM);
    setup.maps = (struct trace_list_uuu){map, countof(map)};
    setup.mem = (struct trace_list_uw){mem, countof(mem)};
    setup.gas_log = log;
    setup.hash_every = 997;
    setup.digest_every = 3;
    record(&w->r, &setup, &host, false);
    assert_int_equal(w->r.result.outcome.exit, PVM_EXIT_TRAP);
    buf_fini(&script.output);
}

static void world_fini(struct world *w)
{
    trace_memory_fini(&w->with);
    recording_fini(&w->r);
    arena_fini(&w->arena);
}

/* Did the quick one start late? */
static bool compare_at(struct bytes file, struct replay_position to)
{
    const struct replay_options from_start = {.to = to, .from_start = true};
    const struct replay_options quick = {.to = to};
    struct replay_report a = replay_bytes(file, &from_start);
    struct replay_report b = replay_bytes(file, &quick);
    assert_false(a.started_late);
    assert_int_equal(a.class, b.class);
    assert_int_equal(a.state.icount, b.state.icount);
    assert_int_equal(a.state.gas, b.state.gas);
    assert_int_equal(a.state.pc, b.state.pc);
    assert_memory_equal(a.state.reg, b.state.reg, sizeof a.state.reg);
    assert_int_equal(b.started_late, b.event_count < a.event_count);
    return b.started_late;
}

static void test_every_position(void **state)
{
    (void)state;
    for (int log = PVM_GAS_LOG_LEDGER; log <= PVM_GAS_LOG_SUMMARY; log++) {
        struct world w;
        create(&w, (enum pvm_gas_log)log);
        add(&w, recording_bytes(&w.r), 500);
        struct bytes file = buf_bytes(&w.with.file);
        assert_true(w.report.checkpoint_count >= 10);
        struct replay_report whole = replay_bytes(file, NULL);
        assert_int_equal(whole.class, REPLAY_SAME);
        assert_memory_equal(&whole.identity, &w.r.identity, sizeof whole.identity);
        unsigned late = 0, count = 0;
        for (uint64_t icount = 0; icount < w.r.state.icount; icount += 331, count++)
            late += compare_at(file, (struct replay_position){.kind = REPLAY_AT_ICOUNT,
                                                              .value = icount});
        assert_true(late >= count - 5);
        assert_true(compare_at(
            file, (struct replay_position){.kind = REPLAY_AT_PERCENT, .value = 70}));
        assert_true(
            compare_at(file, (struct replay_position){.kind = REPLAY_AT_EVENT,
                                                      .value = w.r.event_count - 5}));
        world_fini(&w);
    }
}

/* Checkpoints added again take the place of the old ones; without any it is the first
 * file. */
static void test_replaced(void **state)
{
    (void)state;
    struct world w, again;
    create(&w, PVM_GAS_LOG_LEDGER);
    add(&w, recording_bytes(&w.r), 500);
    add(&again, buf_bytes(&w.with.file), 1000);
    assert_true(again.report.checkpoint_count < w.report.checkpoint_count);
    struct trace_memory more = again.with;
    add(&again, buf_bytes(&more.file), 0);
    assert_int_equal(again.report.checkpoint_count, 0);
    assert_int_equal(again.with.file.size, w.r.memory.file.size);
    assert_memory_equal(again.with.file.data, w.r.memory.file.data,
                        w.r.memory.file.size);
    trace_memory_fini(&more);
    trace_memory_fini(&again.with);
    world_fini(&w);
}

/* ---- forgeries ---- */

static enum err ignore(void *self, uint64_t first_page, struct bytes bytes)
{
    (void)self, (void)first_page, (void)bytes;
    return ERR_ok;
}

/* One checkpoint with right checksums and a wrong content. */
static bool forge(struct world *w, const struct trace_checkpoint_list *list, size_t at,
                  struct trace_memory *forged)
{
    struct bytes file = buf_bytes(&w->with.file);
    struct trace_source source = trace_bytes_source(&file);
    struct trace_checkpoint checkpoint;
    struct trace_copier *copier;
    struct buf payload;
    struct arena arena;
    arena_init(&arena, (size_t)16 << 20);
    buf_init(&payload, (size_t)1 << 20);
    assert_int_equal(
        trace_checkpoint_load(&arena, &source, list, 5, &checkpoint, ignore, NULL),
        ERR_ok);
    checkpoint.full = true; /* and no pages */
    trace_checkpoint_put(&payload, &checkpoint);
    bool inside = at < payload.size;
    if (inside)
        payload.data[at] ^= 1;
    trace_memory_init(forged, (size_t)16 << 20);
    struct trace_sink sink = trace_memory_sink(forged);
    const struct trace_base_part part = {buf_bytes(&payload), 1};
    assert_int_equal(trace_copier_open(&arena, &source, &sink, &copier), ERR_ok);
    assert_int_equal(
        trace_copier_put(copier, checkpoint.seq, &checkpoint.clock, &part, 1), ERR_ok);
    assert_int_equal(trace_copier_finish(copier), ERR_ok);
    trace_copier_close(copier);
    buf_fini(&payload);
    arena_fini(&arena);
    return inside;
}

/* A checkpoint whose content is not its hash's, or makes no sense, is not used. */
static void test_forgeries(void **state)
{
    (void)state;
    struct world w;
    struct trace_memory forged;
    struct trace_checkpoint_list list;
    create(&w, PVM_GAS_LOG_LEDGER);
    add(&w, recording_bytes(&w.r), 500);
    struct bytes file = buf_bytes(&w.with.file);
    struct trace_source source = trace_bytes_source(&file);
    assert_int_equal(trace_checkpoint_list(&w.arena, &source, &list), ERR_ok);
    bool more = true;
    for (size_t at = 0; more; at += 5) {
        const struct replay_position to = {.kind = REPLAY_AT_PERCENT, .value = 90};
        const struct replay_options quick = {.to = to};
        more = forge(&w, &list, at, &forged);
        struct replay_report report = replay_bytes(buf_bytes(&forged.file), &quick);
        assert_int_equal(report.class, REPLAY_STOPPED);
        assert_false(report.started_late);
        trace_memory_fini(&forged);
    }
    world_fini(&w);
}

/* ---- the debugger ---- */

/* Seeks from anywhere to anywhere, of which the first ones start from checkpoints. */
static void seek_both(struct line *a, struct line *b, uint64_t random)
{
    uint64_t end = replay_timeline_end(a->timeline).icount;
    for (unsigned i = 0; i < 40; i++) {
        const struct replay_time to = {.icount = test_random(&random) % (end + 1)};
        assert_int_equal(replay_timeline_seek(a->timeline, to), ERR_ok);
        assert_int_equal(replay_timeline_seek(b->timeline, to), ERR_ok);
        compare_lines(a, b);
    }
    for (uint64_t gas = 77; gas < end; gas += end / 7) {
        assert_int_equal(replay_timeline_seek_gas(a->timeline, gas), ERR_ok);
        assert_int_equal(replay_timeline_seek_gas(b->timeline, gas), ERR_ok);
        assert_int_equal(replay_timeline_now(a->timeline).icount,
                         replay_timeline_now(b->timeline).icount);
    }
}

static void test_debugger(void **state)
{
    (void)state;
    for (int log = PVM_GAS_LOG_LEDGER; log <= PVM_GAS_LOG_SUMMARY; log++) {
        struct world w;
        struct line with, without;
        create(&w, (enum pvm_gas_log)log);
        add(&w, recording_bytes(&w.r), 500);
        for (uint64_t seed = 1; seed < 4; seed++) {
            open_line(&with, buf_bytes(&w.with.file), 100);
            open_line(&without, recording_bytes(&w.r), 100);
            seek_both(&with, &without, seed);
            assert_true(replay_timeline_stats(with.timeline).stored_count > 0);
            assert_true(replay_timeline_stats(with.timeline).instruction_count <
                        replay_timeline_stats(without.timeline).instruction_count);
            close_line(&with);
            close_line(&without);
        }
        world_fini(&w);
    }
}

/* One that lies is not used by the debugger either. */
static void test_debugger_forgeries(void **state)
{
    (void)state;
    struct world w;
    struct trace_memory forged;
    struct trace_checkpoint_list list;
    struct line with, without;
    create(&w, PVM_GAS_LOG_LEDGER);
    add(&w, recording_bytes(&w.r), 500);
    struct bytes file = buf_bytes(&w.with.file);
    struct trace_source source = trace_bytes_source(&file);
    assert_int_equal(trace_checkpoint_list(&w.arena, &source, &list), ERR_ok);
    for (size_t at = 0; at < 250; at += 10) {
        (void)forge(&w, &list, at, &forged);
        open_line(&with, buf_bytes(&forged.file), 100);
        open_line(&without, recording_bytes(&w.r), 100);
        seek_both(&with, &without, at);
        assert_true(replay_timeline_stats(with.timeline).stored_count <= 1);
        close_line(&with);
        close_line(&without);
        trace_memory_fini(&forged);
    }
    world_fini(&w);
}

static void test_refusals(void **state)
{
    (void)state;
    struct world w;
    create(&w, PVM_GAS_LOG_LEDGER);
    struct bytes whole = recording_bytes(&w.r);
    struct bytes bad[] = {bytes_of(whole.data, whole.size - 100),
                          bytes_of(whole.data, 30), bytes_of("no trace", 8)};
    for (size_t i = 0; i < countof(bad); i++) {
        const struct replay_add_options options = {.every = 100};
        struct trace_source source = trace_bytes_source(&bad[i]);
        trace_memory_init(&w.with, (size_t)64 << 20);
        struct trace_sink sink = trace_memory_sink(&w.with);
        replay_add_checkpoints(&source, &sink, &options, &w.report);
        assert_int_equal(w.report.replay.class, REPLAY_FAILED);
        assert_true(w.report.replay.detail[0]);
        trace_memory_fini(&w.with);
    }
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_position),     cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_forgeries),          cmocka_unit_test(test_debugger),
        cmocka_unit_test(test_debugger_forgeries), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
