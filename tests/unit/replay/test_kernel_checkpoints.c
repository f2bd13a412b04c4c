/* SPDX-License-Identifier: MIT
 *
 * Checkpoints in the trace of a capability kernel: from each of them a session goes on
 * to the same end, and the debugger comes to the same states; one that lies is found
 * out.
 */
#include "tests/unit/replay/debugged.h"
#include "tests/unit/replay/kernel_world.h"

#include <string.h>

static const enum replay_engine_kind engines[] = {REPLAY_ENGINE_INTERP,
                                                  REPLAY_ENGINE_RECOMP};

static bool has_engine(enum replay_engine_kind kind)
{
    return kind != REPLAY_ENGINE_RECOMP || pvm_recomp_available();
}

static struct kernel_world world_of(enum pvm_gas_log log, uint64_t checkpoint)
{
    return (struct kernel_world){.log = log,
                                 .depth = 256,
                                 .flags = KERNEL_TRACE,
                                 .checkpoint = checkpoint,
                                 .engine = {.kind = REPLAY_ENGINE_INTERP},
                                 .run = kernel_world_session};
}

static struct hash256 record_world(const struct kernel_world *how,
                                   struct trace_memory *memory)
{
    trace_memory_init(memory, (size_t)64 << 20);
    return kernel_world_record(how, memory);
}

/* A copy with checkpoints. */
static uint64_t add(struct bytes file, uint64_t every, enum replay_engine_kind engine,
                    struct trace_memory *ret)
{
    struct trace_source source = trace_bytes_source(&file);
    const struct replay_add_options options = {.every = every, .engine.kind = engine};
    struct replay_add_report report;
    trace_memory_init(ret, (size_t)64 << 20);
    struct trace_sink sink = trace_memory_sink(ret);
    replay_add_checkpoints(&source, &sink, &options, &report);
    if (report.replay.class != REPLAY_SAME)
        fail_msg("%s", report.replay.detail);
    return report.checkpoint_count;
}

/* Checkpoints change nothing of what is recorded, and are the same ones whenever they
 * are taken, and by whatever engine. */
static void test_same_bytes(void **state)
{
    (void)state;
    for (int log = PVM_GAS_LOG_LEDGER; log <= PVM_GAS_LOG_SUMMARY; log++) {
        struct trace_memory plain, at_once, later;
        struct kernel_world how = world_of((enum pvm_gas_log)log, 0);
        struct hash256 identity = record_world(&how, &plain);
        how.checkpoint = 40;
        struct hash256 same = record_world(&how, &at_once);
        assert_memory_equal(&identity, &same, sizeof same);
        for (size_t i = 0; i < countof(engines); i++) {
            if (!has_engine(engines[i]))
                continue;
            assert_true(add(buf_bytes(&plain.file), 40, engines[i], &later) >= 8);
            assert_int_equal(later.file.size, at_once.file.size);
            assert_memory_equal(later.file.data, at_once.file.data, later.file.size);
            trace_memory_fini(&later);
        }
        (void)add(buf_bytes(&at_once.file), 0, REPLAY_ENGINE_INTERP, &later);
        assert_int_equal(later.file.size, plain.file.size);
        trace_memory_fini(&later);
        trace_memory_fini(&at_once);
        trace_memory_fini(&plain);
    }
}

/* ---- sessions ---- */

/* Go on from a checkpoint to the end of the trace, where all of the kernel's state is
 * compared. */
static enum err follow_from(struct trace_source *source,
                            const struct trace_checkpoint_list *list, size_t index,
                            enum replay_engine_kind engine)
{
    struct arena arena;
    struct trace_reader *reader;
    struct replay_kernel_setup setup;
    struct replay_refusal refusal;
    struct replay_kernel *session = NULL;
    struct replay_kernel_options options = {
        .source = source, .start = list, .start_index = index, .engine.kind = engine};
    const struct trace_replay_options how = {.memory_max = (size_t)64 << 20};
    bool stopped;
    arena_init(&arena, (size_t)1 << 30);
    assert_int_equal(trace_reader_open(&arena, source, NULL, NULL, &reader), ERR_ok);
    assert_int_equal(replay_kernel_setup_read(&arena, reader, &setup, &refusal),
                     ERR_ok);
    trace_reader_close(reader);
    assert_int_equal(trace_reader_open(&arena, source, NULL, NULL, &reader), ERR_ok);
    assert_int_equal(trace_replay_create(&arena, reader, &how, &options.trace), ERR_ok);
    enum err err = replay_kernel_create(&arena, &setup, &options, &session);
    if (!err)
        err = replay_kernel_follow(session, &stopped);
    if (!err)
        assert_int_equal(replay_kernel_totals(session).gap_size > 5, true);
    replay_kernel_close(session);
    trace_close(options.trace);
    trace_reader_close(reader);
    arena_fini(&arena);
    return err;
}

static void test_every_checkpoint(void **state)
{
    (void)state;
    for (int log = PVM_GAS_LOG_LEDGER; log <= PVM_GAS_LOG_SUMMARY; log++) {
        struct trace_memory memory;
        struct trace_checkpoint_list list;
        struct arena arena;
        const struct kernel_world how = world_of((enum pvm_gas_log)log, 1);
        (void)record_world(&how, &memory);
        struct bytes file = buf_bytes(&memory.file);
        struct trace_source source = trace_bytes_source(&file);
        arena_init(&arena, (size_t)64 << 20);
        assert_int_equal(trace_checkpoint_list(&arena, &source, &list), ERR_ok);
        bool each = log == PVM_GAS_LOG_EACH; /* a place at every block */
        assert_true(list.count > (each ? 150 : 25));
        for (size_t i = 0; i < list.count; i += each ? 5 : 1) {
            for (size_t e = 0; e < countof(engines); e++) {
                if (has_engine(engines[e]) && (e == 0 || i % 4 == 0))
                    assert_int_equal(follow_from(&source, &list, i, engines[e]),
                                     ERR_ok);
            }
        }
        arena_fini(&arena);
        trace_memory_fini(&memory);
    }
}

/* ---- positions ---- */

static struct replay_report replay_to(struct bytes file, uint64_t seq, bool from_start)
{
    const struct replay_options options = {
        .to = {.kind = REPLAY_AT_EVENT, .value = seq}, .from_start = from_start};
    return replay_bytes(file, &options);
}

static void test_positions(void **state)
{
    (void)state;
    struct trace_memory memory;
    const struct kernel_world how = world_of(PVM_GAS_LOG_LEDGER, 30);
    (void)record_world(&how, &memory);
    struct bytes file = buf_bytes(&memory.file);
    struct replay_report whole = replay_bytes(file, NULL);
    assert_int_equal(whole.class, REPLAY_SAME);
    unsigned late = 0;
    for (uint64_t seq = 50; seq + 1 < whole.event_count; seq += 7) {
        struct replay_report a = replay_to(file, seq, true);
        struct replay_report b = replay_to(file, seq, false);
        assert_int_equal(a.class, REPLAY_STOPPED);
        assert_int_equal(b.class, REPLAY_STOPPED);
        assert_false(a.started_late);
        late += b.started_late;
        assert_int_equal(a.event_count, seq);
        assert_true(b.event_count <= seq);
        assert_memory_equal(&a.state, &b.state, sizeof a.state);
        assert_int_equal(a.result.clock.gas, b.result.clock.gas);
    }
    assert_true(late > 10);
    trace_memory_fini(&memory);
}

/* ---- the debugger ---- */

/* Seeks and steps from anywhere to anywhere. */
static void walk_both(struct line *a, struct line *b, uint64_t random)
{
    struct replay_time end = replay_timeline_end(a->timeline);
    bool moved;
    for (unsigned i = 0; i < 150; i++) {
        const struct replay_time to = {.icount =
                                           test_random(&random) % (end.icount + 1),
                                       .sub = test_random(&random) % 3};
        assert_int_equal(replay_timeline_seek(a->timeline, to), ERR_ok);
        assert_int_equal(replay_timeline_seek(b->timeline, to), ERR_ok);
        compare_lines(a, b);
        if (i % 2) {
            assert_int_equal(replay_timeline_step_back(a->timeline, &moved), ERR_ok);
            assert_int_equal(replay_timeline_step_back(b->timeline, &moved), ERR_ok);
        } else {
            assert_int_equal(replay_timeline_step(a->timeline, &moved), ERR_ok);
            assert_int_equal(replay_timeline_step(b->timeline, &moved), ERR_ok);
        }
        compare_lines(a, b);
    }
}

static void test_debugger(void **state)
{
    (void)state;
    struct trace_memory plain, with;
    struct line a, b;
    struct kernel_world how = world_of(PVM_GAS_LOG_LEDGER, 0);
    (void)record_world(&how, &plain);
    how.checkpoint = 25;
    (void)record_world(&how, &with);
    for (uint64_t spacing = 5; spacing <= 500; spacing *= 10) {
        open_line(&a, buf_bytes(&plain.file), 50);
        open_line(&b, buf_bytes(&with.file), spacing);
        walk_both(&a, &b, test_seed(21) + spacing);
        assert_int_equal(replay_timeline_stats(a.timeline).stored_count, 0);
        if (spacing == 5)
            assert_true(replay_timeline_stats(b.timeline).stored_count > 5);
        assert_true(b.debug.guest.stored.count > 5); /* none has failed */
        close_line(&a);
        close_line(&b);
    }
    trace_memory_fini(&plain);
    trace_memory_fini(&with);
}

/* ---- forgeries ---- */

/* The first checkpoint, which is a full one, with right checksums and one bit flipped
 * at `at`: false when it is not that long. */
static bool forge(struct trace_source *source, const struct trace_checkpoint_list *list,
                  size_t at, struct trace_memory *forged)
{
    struct trace_checkpoint checkpoint;
    struct trace_copier *copier;
    struct buf payload, pages;
    struct arena arena;
    arena_init(&arena, (size_t)16 << 20);
    buf_init(&payload, (size_t)1 << 20);
    buf_init(&pages, (size_t)1 << 20);
    struct kernel_world_pages copy = {.payload = &pages};
    assert_int_equal(trace_checkpoint_load(&arena, source, list, 0, &checkpoint,
                                           kernel_world_copy_pages, &copy),
                     ERR_ok);
    trace_checkpoint_put(&payload, &checkpoint);
    buf_put(&payload, pages.data, pages.size);
    bool inside = at < payload.size;
    if (inside)
        payload.data[at] ^= (uint8_t)(1u << at % 8);
    trace_memory_init(forged, (size_t)16 << 20);
    struct trace_sink sink = trace_memory_sink(forged);
    const struct trace_base_part part = {buf_bytes(&payload), copy.record_count + 1};
    assert_int_equal(trace_copier_open(&arena, source, &sink, &copier), ERR_ok);
    assert_int_equal(
        trace_copier_put(copier, checkpoint.seq, &checkpoint.clock, &part, 1), ERR_ok);
    assert_int_equal(trace_copier_finish(copier), ERR_ok);
    trace_copier_close(copier);
    buf_fini(&payload);
    buf_fini(&pages);
    arena_fini(&arena);
    return inside;
}

/* Nobody is misled: neither a replay nor the debugger uses it. */
static void check_forgery(struct bytes file, const struct replay_report *want,
                          uint64_t seq)
{
    struct replay_report report = replay_to(file, seq, false);
    assert_int_equal(report.class, REPLAY_STOPPED);
    assert_false(report.started_late);
    assert_memory_equal(&report.state, &want->state, sizeof report.state);
}

static void test_forgeries(void **state)
{
    (void)state;
    struct trace_memory memory, forged;
    struct trace_checkpoint_list list;
    struct arena arena;
    const struct kernel_world how = world_of(PVM_GAS_LOG_LEDGER, 150);
    (void)record_world(&how, &memory);
    struct bytes file = buf_bytes(&memory.file);
    struct trace_source source = trace_bytes_source(&file);
    arena_init(&arena, (size_t)64 << 20);
    assert_int_equal(trace_checkpoint_list(&arena, &source, &list), ERR_ok);
    assert_true(list.count > 1);
    uint64_t seq = list.ref[0].seq + 5;
    struct replay_report want = replay_to(file, seq, true);
    bool more = forge(&source, &list, SIZE_MAX, &forged);
    assert_false(more); /* whole, it is used */
    assert_true(replay_to(buf_bytes(&forged.file), seq, false).started_late);
    trace_memory_fini(&forged);
    /* Densely in the state, thinly in the pages behind it, which are mostly zeros. */
    more = true;
    for (size_t at = 0; more; at += at < 2500 ? 17 : 1201) {
        more = forge(&source, &list, at, &forged);
        if (more)
            check_forgery(buf_bytes(&forged.file), &want, seq);
        trace_memory_fini(&forged);
    }
    arena_fini(&arena);
    trace_memory_fini(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bytes), cmocka_unit_test(test_every_checkpoint),
        cmocka_unit_test(test_positions),  cmocka_unit_test(test_debugger),
        cmocka_unit_test(test_forgeries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
