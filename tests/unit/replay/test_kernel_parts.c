/* SPDX-License-Identifier: MIT
 *
 * Parts and branches of the trace of a capability kernel: a cut at every place replays
 * to the same end, a child goes on where it left its parent.
 */
#include "tests/unit/replay/debugged.h"
#include "tests/unit/replay/kernel_world.h"

#include "replay/branch.h"

#include <string.h>

static const enum replay_engine_kind engines[] = {REPLAY_ENGINE_INTERP,
                                                  REPLAY_ENGINE_RECOMP};

static struct trace_memory whole;
static struct hash256 identity;
static uint64_t event_count;

static int record_whole(void **state)
{
    (void)state;
    const struct kernel_world how = {.log = PVM_GAS_LOG_LEDGER,
                                     .depth = 256,
                                     .flags = KERNEL_TRACE | KERNEL_MEM_DIGEST,
                                     .run = kernel_world_session};
    trace_memory_init(&whole, (size_t)64 << 20);
    identity = kernel_world_record(&how, &whole);
    struct replay_report report = replay_bytes(buf_bytes(&whole.file), NULL);
    assert_int_equal(report.class, REPLAY_SAME);
    event_count = report.event_count;
    return 0;
}

static int free_whole(void **state)
{
    (void)state;
    trace_memory_fini(&whole);
    return 0;
}

static struct replay_position at_event(uint64_t seq)
{
    return (struct replay_position){.kind = REPLAY_AT_EVENT, .value = seq};
}

static const struct replay_position at_end = {.kind = REPLAY_AT_END};

/* ---- cuts ---- */

static struct replay_cut_report cut(struct bytes file, struct replay_position from,
                                    struct replay_position to, struct trace_memory *ret)
{
    const struct replay_cut_options options = {.from = from, .to = to};
    struct replay_cut_report report;
    struct trace_source source = trace_bytes_source(&file);
    trace_memory_init(ret, (size_t)64 << 20);
    struct trace_sink sink = trace_memory_sink(ret);
    replay_cut(&source, &sink, &options, &report);
    if (report.err)
        fail_msg("cut: %s", report.detail);
    return report;
}

static struct replay_report replay_with(struct bytes file, enum replay_engine_kind kind)
{
    const struct replay_options options = {.engine.kind = kind};
    return replay_bytes(file, &options);
}

/* The end of a trace is compared whole: DUMP_STATE, with memories and records. */
static void test_cut_everywhere(void **state)
{
    (void)state;
    uint64_t first = 0, last = 0, places = 0;
    for (uint64_t seq = 0; seq < event_count; seq += 2) {
        struct trace_memory part;
        struct replay_cut_report report =
            cut(buf_bytes(&whole.file), at_event(seq), at_end, &part);
        assert_true(report.first_seq >= last);
        first = seq ? first : report.first_seq; /* behind what sets the kernel up */
        assert_true(report.first_seq <= (seq > first ? seq : first));
        places += report.first_seq != last;
        last = report.first_seq;
        assert_int_equal(report.first_seq + report.event_count, event_count);
        assert_memory_equal(&report.parent, &identity, sizeof identity);
        for (size_t i = 0; i < countof(engines); i++) {
            if (engines[i] == REPLAY_ENGINE_RECOMP &&
                (!pvm_recomp_available() || seq % 16))
                continue;
            struct replay_report got = replay_with(buf_bytes(&part.file), engines[i]);
            if (got.class != REPLAY_SAME)
                fail_msg("cut at %llu: %s %s", (unsigned long long)seq,
                         replay_class_name(got.class), got.detail);
            assert_memory_equal(&got.identity, &report.identity, sizeof got.identity);
        }
        trace_memory_fini(&part);
    }
    assert_true(places > 45);
}

static void test_cut_again(void **state)
{
    (void)state;
    struct trace_memory first, second;
    struct replay_cut_report a =
        cut(buf_bytes(&whole.file), at_event(event_count / 3), at_end, &first);
    struct replay_cut_report b =
        cut(buf_bytes(&first.file), at_event(event_count / 2),
            (struct replay_position){.kind = REPLAY_AT_FORWARD, .value = 60}, &second);
    assert_true(b.first_seq > a.first_seq && b.event_count > 0);
    assert_memory_equal(&b.parent, &a.identity, sizeof a.identity);
    struct replay_report report = replay_with(buf_bytes(&second.file), engines[0]);
    assert_int_equal(report.class, REPLAY_OPEN);
    /* The same place of the parent's parent. */
    struct trace_memory direct;
    struct replay_cut_report c =
        cut(buf_bytes(&whole.file), at_event(event_count / 2), at_end, &direct);
    assert_int_equal(c.first_seq, b.first_seq);
    assert_int_equal(c.from.icount, b.from.icount);
    trace_memory_fini(&first);
    trace_memory_fini(&second);
    trace_memory_fini(&direct);
}

/* ---- the debugger in a part ---- */

static void test_debugger(void **state)
{
    (void)state;
    uint64_t random = test_seed(31);
    struct line a, b;
    open_line(&a, buf_bytes(&whole.file), 40);
    for (uint64_t seq = 60; seq < event_count; seq += 45) {
        struct trace_memory part;
        struct replay_cut_report report =
            cut(buf_bytes(&whole.file), at_event(seq), at_end, &part);
        open_line(&b, buf_bytes(&part.file), 40);
        struct replay_time start = b.debug.guest.start;
        assert_true(start.icount >= report.from.icount);
        for (unsigned i = 0; i < 12; i++) {
            uint64_t left = b.debug.guest.end.icount - start.icount;
            struct replay_time to = {.icount = start.icount +
                                               test_random(&random) % (left + 1),
                                     .sub = test_random(&random) % 2};
            to = i ? to : start;
            assert_int_equal(replay_timeline_seek(b.timeline, to), ERR_ok);
            assert_int_equal(
                replay_timeline_seek(a.timeline, replay_timeline_now(b.timeline)),
                ERR_ok);
            compare_lines(&a, &b);
        }
        close_line(&b);
        trace_memory_fini(&part);
    }
    close_line(&a);
}

/* ---- a checkpoint that lies ---- */

/* Write the events of a part again, one bit of whose BASE is flipped. */
static bool forge(struct bytes file, uint64_t seq, size_t at, struct trace_memory *ret)
{
    struct trace_source source = trace_bytes_source(&file);
    struct trace_checkpoint checkpoint;
    struct trace_reader *reader;
    struct trace_writer *writer;
    struct trace_record record;
    struct buf payload, pages;
    struct arena arena;
    bool end, based = false;
    const struct trace_writer_options how = {.guest = TRACE_GUEST_PVM,
                                             .parent = trace_hash_of(identity),
                                             .parent_seq = seq,
                                             .cut = true};
    arena_init(&arena, (size_t)1 << 30);
    buf_init(&payload, (size_t)1 << 20);
    buf_init(&pages, (size_t)1 << 20);
    struct kernel_world_pages copy = {.payload = &pages};
    assert_int_equal(trace_checkpoint_read(&arena, &source, seq, &checkpoint,
                                           kernel_world_copy_pages, &copy),
                     ERR_ok);
    trace_checkpoint_put(&payload, &checkpoint);
    buf_put(&payload, pages.data, pages.size);
    bool inside = at < payload.size;
    if (inside)
        payload.data[at] ^= (uint8_t)(1u << at % 8);
    const struct trace_base_part part = {buf_bytes(&payload), copy.record_count + 1};
    trace_memory_init(ret, (size_t)64 << 20);
    struct trace_sink sink = trace_memory_sink(ret);
    assert_int_equal(trace_reader_open(&arena, &source, NULL, NULL, &reader), ERR_ok);
    assert_int_equal(trace_writer_create(&arena, &sink, &how, &writer), ERR_ok);
    struct trace_clock before = {0};
    while (!trace_reader_next(reader, &record, &end) && !end) {
        const struct trace_kind *kind = trace_kind_of(record.kind->id);
        void *event = arena_alloc(&arena, kind->struct_size, 16);
        if (record.seq == seq && !based) {
            trace_writer_base(writer, seq, &before, &part, 1);
            based = true;
        }
        assert_int_equal(
            trace_decode(reader, &record, (enum trace_id)kind->id, &arena, event),
            ERR_ok);
        trace_writer_put(writer, (enum trace_id)kind->id, &record.clock, event);
        before = record.clock;
    }
    assert_int_equal(trace_writer_finish(writer, NULL), ERR_ok);
    trace_reader_close(reader);
    buf_fini(&payload);
    buf_fini(&pages);
    arena_fini(&arena);
    return inside;
}

static void test_forgeries(void **state)
{
    (void)state;
    struct trace_memory part, forged;
    struct replay_cut_report report =
        cut(buf_bytes(&whole.file), at_event(event_count / 2), at_end, &part);
    struct bytes file = buf_bytes(&part.file);
    bool more = forge(file, report.first_seq, SIZE_MAX, &forged);
    assert_int_equal(replay_with(buf_bytes(&forged.file), engines[0]).class,
                     REPLAY_SAME);
    trace_memory_fini(&forged);
    more = true;
    for (size_t at = 0; more; at += at < 2500 ? 23 : 1201) {
        char message[REPLAY_DEBUG_MESSAGE_SIZE] = "";
        struct replay_debug debug;
        more = forge(file, report.first_seq, at, &forged);
        struct bytes bytes = buf_bytes(&forged.file);
        struct trace_source source = trace_bytes_source(&bytes);
        if (more) {
            enum replay_class class = replay_with(bytes, engines[0]).class;
            assert_true(class == REPLAY_DAMAGED || class == REPLAY_FAILED);
            /* What the container finds wrong ends the trace there. */
            if (replay_debug_open(&source, &debug, message)) {
                assert_true(message[0]);
            } else {
                assert_int_not_equal(debug.damage, ERR_ok);
                replay_debug_close(&debug);
            }
        }
        trace_memory_fini(&forged);
    }
    trace_memory_fini(&part);
}

/* ---- branches ---- */

struct host {
    struct hash256 instance;
    uint32_t exit_reason;
};

static enum err go_on(void *self, struct replay_kernel *session)
{
    struct host *host = self;
    struct kernel_result result = {.exit_reason = 77};
    const struct replay_kernel_invocation invocation = {.instance = host->instance,
                                                        .gas = 100000};
    enum err err = replay_kernel_invoke(session, &invocation, &result);
    host->exit_reason = result.exit_reason;
    return err;
}

/* Some instance that has been called. */
static struct hash256 first_instance(void)
{
    struct bytes file = buf_bytes(&whole.file);
    struct trace_source source = trace_bytes_source(&file);
    struct trace_reader *reader;
    struct trace_record record;
    struct trace_pvm_outcome outcome = {.variant = 0};
    struct trace_pvm_invoke invoke = {.endpoint = 0};
    struct arena arena;
    bool end = false;
    arena_init(&arena, (size_t)64 << 20);
    assert_int_equal(trace_reader_open(&arena, &source, NULL, NULL, &reader), ERR_ok);
    while (outcome.variant != KERNEL_VARIANT_FAULTED) {
        assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
        assert_false(end);
        if (record.kind->id == TRACE_ID_pvm_invoke)
            assert_int_equal(trace_decode_pvm_invoke(reader, &record, &arena, &invoke),
                             ERR_ok);
        if (record.kind->id == TRACE_ID_pvm_outcome)
            assert_int_equal(
                trace_decode_pvm_outcome(reader, &record, &arena, &outcome), ERR_ok);
    }
    trace_reader_close(reader);
    arena_fini(&arena);
    return invoke.target.hash;
}

static struct replay_branch_report branch(uint64_t seq, bool standalone,
                                          enum replay_engine_kind engine,
                                          struct host *host, struct trace_memory *ret)
{
    const struct replay_branch_options options = {.at = at_event(seq),
                                                  .standalone = standalone,
                                                  .engine.kind = engine,
                                                  .kernel = {host, go_on}};
    struct replay_branch_report report;
    struct bytes file = buf_bytes(&whole.file);
    struct trace_source source = trace_bytes_source(&file);
    trace_memory_init(ret, (size_t)64 << 20);
    struct trace_sink sink = trace_memory_sink(ret);
    replay_branch(&source, &sink, &options, &report);
    if (report.err)
        fail_msg("branch at %llu: %s", (unsigned long long)seq, report.detail);
    return report;
}

/* A child that needs its parent, joined with it, replays as the standalone one. */
static void check_joined(const struct trace_memory *child,
                         const struct trace_memory *standalone)
{
    const struct replay_join_options options = {.interrupted = NULL};
    char detail[160] = "";
    struct trace_memory joined;
    struct bytes bytes = buf_bytes(&child->file), parent = buf_bytes(&whole.file);
    struct trace_source source = trace_bytes_source(&bytes);
    struct trace_source parent_source = trace_bytes_source(&parent);
    struct hash256 named;
    assert_true(replay_branch_is_child(&source, &named));
    assert_memory_equal(&named, &identity, sizeof named);
    trace_memory_init(&joined, (size_t)64 << 20);
    struct trace_sink sink = trace_memory_sink(&joined);
    if (replay_branch_join(&parent_source, &source, &sink, &options, detail))
        fail_msg("join: %s", detail);
    assert_int_equal(replay_with(buf_bytes(&joined.file), engines[0]).class,
                     REPLAY_SAME);
    assert_int_equal(joined.file.size, standalone->file.size);
    assert_memory_equal(joined.file.data, standalone->file.data, joined.file.size);
    trace_memory_fini(&joined);
}

static void test_branches(void **state)
{
    (void)state;
    struct host host = {.instance = first_instance()};
    for (uint64_t seq = 40; seq < event_count; seq += 17) {
        struct trace_memory alone, child;
        enum replay_engine_kind engine =
            engines[seq % 2 && pvm_recomp_available() ? 1 : 0];
        struct replay_branch_report report = branch(seq, true, engine, &host, &alone);
        assert_true(report.parent_seq <= seq);
        assert_memory_equal(&report.parent, &identity, sizeof identity);
        assert_int_not_equal(host.exit_reason, 77);
        for (size_t i = 0; i < countof(engines); i++) {
            if (i && !pvm_recomp_available())
                continue;
            struct replay_report got = replay_with(buf_bytes(&alone.file), engines[i]);
            assert_int_equal(got.class, REPLAY_SAME);
            assert_memory_equal(&got.identity, &report.identity, sizeof got.identity);
        }
        struct replay_branch_report second =
            branch(seq, false, REPLAY_ENGINE_INTERP, &host, &child);
        assert_int_equal(second.parent_seq, report.parent_seq);
        assert_int_equal(second.event_count, report.event_count);
        check_joined(&child, &alone);
        trace_memory_fini(&alone);
        trace_memory_fini(&child);
    }
}

/* ---- rings ---- */

/* Segments in memory: one is begun at the second place where that is possible, and the
 * next at a chosen one; the one between is dropped. */
struct ring {
    struct trace_memory segment[3];
    uint32_t count;
    uint64_t asked, chosen;
    struct replay_kernel *session;
};

static enum err open_segment(void *self, uint32_t number, struct trace_sink *ret_sink)
{
    struct ring *ring = self;
    assert_true(number < countof(ring->segment));
    trace_memory_init(&ring->segment[number], (size_t)64 << 20);
    ring->count++;
    *ret_sink = trace_memory_sink(&ring->segment[number]);
    return ERR_ok;
}

static enum err drop_segment(void *self, uint32_t number)
{
    (void)self;
    assert_int_equal(number, 1);
    return ERR_ok;
}

static enum err note(void *self, const struct trace_base_part *part, size_t part_count)
{
    (void)part;
    *(bool *)self = part_count > 0;
    return ERR_ok;
}

static enum err ring_checkpoint(void *self, trace_ring_put_fn *put, void *to)
{
    struct ring *ring = self;
    bool can = false;
    enum err err = replay_kernel_checkpoint(ring->session, note, &can);
    ring->asked += can;
    if (err || !can || (ring->asked != 2 && ring->asked != ring->chosen))
        return err;
    return replay_kernel_checkpoint(ring->session, put, to);
}

/* What is left of it; false: there are not so many places. */
static bool record_ring(uint64_t chosen, struct trace_memory *ret)
{
    struct ring ring = {.count = 1, .chosen = chosen};
    const struct trace_ring how_ring = {.self = &ring,
                                        .size_max = 7, /* a segment whenever it can */
                                        .open_segment = open_segment,
                                        .drop_segment = drop_segment,
                                        .checkpoint = ring_checkpoint};
    const struct kernel_world how = {.log = PVM_GAS_LOG_LEDGER,
                                     .depth = 256,
                                     .flags = KERNEL_TRACE | KERNEL_MEM_DIGEST,
                                     .ring = &how_ring,
                                     .session = &ring.session,
                                     .run = kernel_world_session};
    struct arena arena;
    trace_memory_init(&ring.segment[0], (size_t)64 << 20);
    (void)kernel_world_record(&how, &ring.segment[0]);
    bool there = ring.count == 3;
    if (there) {
        struct bytes bytes[] = {buf_bytes(&ring.segment[0].file),
                                buf_bytes(&ring.segment[2].file)};
        const struct trace_source source[] = {trace_bytes_source(&bytes[0]),
                                              trace_bytes_source(&bytes[1])};
        arena_init(&arena, (size_t)256 << 20);
        trace_memory_init(ret, (size_t)64 << 20);
        struct trace_sink sink = trace_memory_sink(ret);
        assert_int_equal(trace_join(&arena, source, 2, &sink, NULL), ERR_ok);
        arena_fini(&arena);
    }
    for (uint32_t i = 0; i < ring.count; i++)
        trace_memory_fini(&ring.segment[i]);
    return there;
}

static void test_rings(void **state)
{
    (void)state;
    unsigned count = 0;
    struct trace_memory left;
    struct line a, b;
    open_line(&a, buf_bytes(&whole.file), 40);
    for (uint64_t chosen = 3; record_ring(chosen, &left); chosen += 3, count++) {
        struct bytes file = buf_bytes(&left.file);
        for (size_t i = 0; i < countof(engines); i++) {
            if (i && !pvm_recomp_available())
                continue;
            struct replay_report report = replay_with(file, engines[i]);
            if (report.class != REPLAY_SAME)
                fail_msg("ring %llu: %s %s", (unsigned long long)chosen,
                         replay_class_name(report.class), report.detail);
            assert_true(report.event_count < event_count);
        }
        open_line(&b, file, 40);
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(replay_timeline_seek(b.timeline, i ? b.debug.guest.end
                                                                : b.debug.guest.start),
                             ERR_ok);
            assert_int_equal(
                replay_timeline_seek(a.timeline, replay_timeline_now(b.timeline)),
                ERR_ok);
            compare_lines(&a, &b);
        }
        close_line(&b);
        trace_memory_fini(&left);
    }
    close_line(&a);
    assert_true(count > 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_everywhere), cmocka_unit_test(test_cut_again),
        cmocka_unit_test(test_debugger),       cmocka_unit_test(test_forgeries),
        cmocka_unit_test(test_branches),       cmocka_unit_test(test_rings),
    };
    return cmocka_run_group_tests(tests, record_whole, free_whole);
}
