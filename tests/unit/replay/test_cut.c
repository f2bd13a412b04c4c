/* SPDX-License-Identifier: MIT
 *
 * Parts of traces: a cut at every place replays, and holds the parent's events.
 */
#include "tests/unit/replay/run.h"

#include <string.h>

struct part {
    struct trace_memory memory;
    struct replay_cut_report report;
};

static void cut(struct part *part, struct bytes file, struct replay_position from,
                struct replay_position to)
{
    const struct replay_cut_options options = {.from = from, .to = to};
    struct trace_source source = trace_bytes_source(&file);
    trace_memory_init(&part->memory, (size_t)64 << 20);
    struct trace_sink sink = trace_memory_sink(&part->memory);
    replay_cut(&source, &sink, &options, &part->report);
    if (part->report.err)
        fail_msg("cut: %s", part->report.detail);
}

/* Every event of the part is the parent's event of that number. */
static uint64_t check_events(struct bytes parent, struct bytes part, uint64_t first_seq,
                             uint64_t count)
{
    struct arena arena;
    struct trace_reader *want, *got;
    struct trace_source want_source = trace_bytes_source(&parent);
    struct trace_source got_source = trace_bytes_source(&part);
    struct trace_record a, b;
    bool end;
    uint64_t seen = 0, all = 0;
    arena_init(&arena, (size_t)1 << 28);
    assert_int_equal(trace_reader_open(&arena, &want_source, NULL, NULL, &want),
                     ERR_ok);
    assert_int_equal(trace_reader_open(&arena, &got_source, NULL, NULL, &got), ERR_ok);
    const struct trace_header *header = trace_reader_header(got);
    assert_true(header->flags & TRACE_HEADER_CUT);
    assert_true(header->parent.present);
    assert_int_equal(header->parent_seq, first_seq);
    for (;;) {
        assert_int_equal(trace_reader_next(got, &b, &end), ERR_ok);
        if (end)
            break;
        assert_int_equal(trace_reader_seek_seq(want, b.seq), ERR_ok);
        assert_int_equal(trace_reader_next(want, &a, &end), ERR_ok);
        assert_false(end);
        assert_int_equal(a.seq, b.seq);
        assert_int_equal(a.clock.icount, b.clock.icount);
        assert_int_equal(a.clock.gas, b.clock.gas);
        assert_int_equal(a.fields.size, b.fields.size);
        assert_memory_equal(a.fields.data, b.fields.data, a.fields.size);
        seen += b.seq >= first_seq;
        all++;
    }
    assert_int_equal(seen, count);
    trace_reader_close(want);
    trace_reader_close(got);
    arena_fini(&arena);
    return all;
}

static void check_part(const struct recording *r, const struct part *part, bool whole)
{
    struct bytes file = buf_bytes(&part->memory.file);
    struct replay_report report = replay_bytes(file, NULL);
    assert_int_equal(report.class, whole ? REPLAY_SAME : REPLAY_OPEN);
    if (whole) {
        assert_memory_equal(report.state.reg, r->state.reg, sizeof r->state.reg);
        assert_int_equal(report.state.icount, r->state.icount);
        assert_memory_equal(&report.identity, &part->report.identity,
                            sizeof report.identity);
    }
    assert_memory_equal(&part->report.parent, &r->identity, sizeof r->identity);
    assert_int_equal(report.event_count,
                     check_events(recording_bytes(r), file, part->report.first_seq,
                                  part->report.event_count));
}

static void test_cut_everywhere(void **state)
{
    (void)state;
    for (int profile = 0; profile < 2; profile++) {
        for (int log = PVM_GAS_LOG_LEDGER; log <= PVM_GAS_LOG_SUMMARY; log++) {
            struct arena arena;
            struct recording r;
            unsigned later = 0;
            if (log == PVM_GAS_LOG_EACH && profile)
                continue; /* once will do: an event per charge */
            arena_init(&arena, (size_t)1 << 26);
            record_reader(&arena, &r, (enum pvm_profile)profile, (enum pvm_gas_log)log);
            uint64_t step = r.event_count > 100 ? r.event_count / 20 : 1;
            for (uint64_t seq = 0; seq < r.event_count; seq += step) {
                struct part part;
                cut(&part, recording_bytes(&r),
                    (struct replay_position){.kind = REPLAY_AT_EVENT, .value = seq},
                    (struct replay_position){.kind = REPLAY_AT_END, .value = 0});
                assert_true(part.report.first_seq <= (seq > 6 ? seq : 6));
                later += part.report.first_seq > 6;
                check_part(&r, &part, true);
                trace_memory_fini(&part.memory);
            }
            assert_true(later > 5); /* not all of them begin at the start */
            recording_fini(&r);
            arena_fini(&arena);
        }
    }
}

static void test_cut_both_ends(void **state)
{
    (void)state;
    struct arena arena;
    struct recording r;
    arena_init(&arena, (size_t)1 << 26);
    record_reader(&arena, &r, PVM_PROFILE_JAVM, PVM_GAS_LOG_LEDGER);
    for (unsigned from = 0; from < 90; from += 15) {
        struct part part;
        cut(&part, recording_bytes(&r),
            (struct replay_position){.kind = REPLAY_AT_PERCENT, .value = from},
            (struct replay_position){.kind = REPLAY_AT_FORWARD, .value = 700});
        assert_true(part.report.event_count > 0);
        assert_true(part.report.first_seq + part.report.event_count < r.event_count);
        check_part(&r, &part, false);
        trace_memory_fini(&part.memory);
    }
    recording_fini(&r);
    arena_fini(&arena);
}

/* A part of a part, and a stop inside of one. */
static void test_cut_again(void **state)
{
    (void)state;
    struct arena arena;
    struct recording r;
    struct part first, second;
    arena_init(&arena, (size_t)1 << 26);
    record_reader(&arena, &r, PVM_PROFILE_VECTORS, PVM_GAS_LOG_LEDGER);
    cut(&first, recording_bytes(&r),
        (struct replay_position){.kind = REPLAY_AT_PERCENT, .value = 30},
        (struct replay_position){.kind = REPLAY_AT_END, .value = 0});
    struct bytes file = buf_bytes(&first.memory.file);
    cut(&second, file, (struct replay_position){.kind = REPLAY_AT_PERCENT, .value = 70},
        (struct replay_position){.kind = REPLAY_AT_END, .value = 0});
    assert_true(second.report.first_seq > first.report.first_seq);
    assert_memory_equal(&second.report.parent, &first.report.identity,
                        sizeof second.report.parent);
    struct replay_report report = replay_bytes(buf_bytes(&second.memory.file), NULL);
    assert_int_equal(report.class, REPLAY_SAME);
    assert_memory_equal(report.state.reg, r.state.reg, sizeof r.state.reg);
    uint64_t icount = first.report.from.icount + 400;
    const struct replay_options to = {
        .to = {.kind = REPLAY_AT_ICOUNT, .value = icount}};
    struct replay_report whole = replay_bytes(recording_bytes(&r), &to);
    struct replay_report part = replay_bytes(file, &to);
    assert_int_equal(part.class, REPLAY_STOPPED);
    assert_int_equal(part.state.icount, icount);
    assert_int_equal(part.state.pc, whole.state.pc);
    assert_memory_equal(part.state.reg, whole.state.reg, sizeof part.state.reg);
    trace_memory_fini(&first.memory);
    trace_memory_fini(&second.memory);
    recording_fini(&r);
    arena_fini(&arena);
}

/* Each byte of the checkpoint changed, with its checksums put right again, would be a
 * forgery; a plain flip is damage.  Nothing wrong is accepted. */
static void test_damaged_checkpoint(void **state)
{
    (void)state;
    struct arena arena;
    struct recording r;
    struct part part;
    arena_init(&arena, (size_t)1 << 26);
    record_reader(&arena, &r, PVM_PROFILE_JAVM, PVM_GAS_LOG_LEDGER);
    cut(&part, recording_bytes(&r),
        (struct replay_position){.kind = REPLAY_AT_PERCENT, .value = 50},
        (struct replay_position){.kind = REPLAY_AT_END, .value = 0});
    for (size_t at = 0; at < part.memory.file.size; at += 37) {
        part.memory.file.data[at] ^= 0x10;
        struct replay_report report = replay_bytes(buf_bytes(&part.memory.file), NULL);
        assert_true(report.class == REPLAY_DAMAGED || report.class == REPLAY_OPEN ||
                    report.class == REPLAY_OTHER_VERSION);
        part.memory.file.data[at] ^= 0x10;
    }
    trace_memory_fini(&part.memory);
    recording_fini(&r);
    arena_fini(&arena);
}

/* What cannot be cut says why. */
static void test_refusals(void **state)
{
    (void)state;
    struct arena arena;
    struct recording r;
    struct replay_cut_report report;
    struct trace_memory memory;
    const struct replay_cut_options options = {
        .from = {.kind = REPLAY_AT_START, .value = 0}};
    arena_init(&arena, (size_t)1 << 26);
    record_reader(&arena, &r, PVM_PROFILE_JAVM, PVM_GAS_LOG_LEDGER);
    struct bytes whole = recording_bytes(&r);
    struct bytes bad[] = {bytes_of(whole.data, whole.size - 100),
                          bytes_of(whole.data, 30), bytes_of("no trace", 8)};
    for (size_t i = 0; i < countof(bad); i++) {
        struct trace_source source = trace_bytes_source(&bad[i]);
        trace_memory_init(&memory, (size_t)64 << 20);
        struct trace_sink sink = trace_memory_sink(&memory);
        replay_cut(&source, &sink, &options, &report);
        assert_int_not_equal(report.err, ERR_ok);
        assert_true(report.detail[0]);
        trace_memory_fini(&memory);
    }
    recording_fini(&r);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_everywhere),
        cmocka_unit_test(test_cut_both_ends),
        cmocka_unit_test(test_cut_again),
        cmocka_unit_test(test_damaged_checkpoint),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
