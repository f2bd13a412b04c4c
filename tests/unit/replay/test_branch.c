/* SPDX-License-Identifier: MIT
 *
 * Branches: with the answers of the recording a child does what its parent did; with
 * others it goes another way; it replays, and names where it comes from.
 */
#include "tests/unit/replay/run.h"

#include "replay/branch.h"

#include <string.h>

static struct arena arena;
static struct recording parent;
static struct trace_memory child;
static struct replay_branch_report report;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, (size_t)1 << 26);
    record_reader(&arena, &parent, PVM_PROFILE_VECTORS, PVM_GAS_LOG_LEDGER);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    recording_fini(&parent);
    arena_fini(&arena);
    return 0;
}

static void branch(struct replay_position at, struct script *script)
{
    struct bytes file = recording_bytes(&parent);
    struct trace_source source = trace_bytes_source(&file);
    struct replay_host host = script_host(script);
    const struct replay_branch_options options = {
        .at = at, .standalone = true, .host = &host};
    trace_memory_init(&child, (size_t)64 << 20);
    struct trace_sink sink = trace_memory_sink(&child);
    replay_branch(&source, &sink, &options, &report);
    buf_fini(&script->output);
}

/* Bytes that reads had taken before the branch. */
static size_t consumed(void)
{
    struct bytes file = recording_bytes(&parent);
    struct trace_source source = trace_bytes_source(&file);
    struct trace_reader *reader;
    struct trace_record record;
    size_t size = 0;
    assert_int_equal(trace_reader_open(&arena, &source, NULL, NULL, &reader), ERR_ok);
    for (;;) {
        struct trace_pvm_ecall event;
        bool end;
        assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
        if (end || record.seq == report.parent_seq)
            break;
        if (record.kind->id != TRACE_ID_pvm_ecall)
            continue;
        assert_int_equal(trace_decode_pvm_ecall(reader, &record, &arena, &event),
                         ERR_ok);
        size += event.op == 67 ? READER_SIZE : 0;
    }
    trace_reader_close(reader);
    return size;
}

/* The child's own events are those that the parent has under these numbers? */
static void check_same_events(void)
{
    struct bytes file[2] = {recording_bytes(&parent), buf_bytes(&child.file)};
    struct trace_source source[2] = {trace_bytes_source(&file[0]),
                                     trace_bytes_source(&file[1])};
    struct trace_reader *reader[2];
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(trace_reader_open(&arena, &source[i], NULL, NULL, &reader[i]),
                         ERR_ok);
        assert_int_equal(trace_reader_seek_seq(reader[i], report.parent_seq), ERR_ok);
    }
    for (;;) {
        struct trace_record record[2];
        bool end[2];
        for (unsigned i = 0; i < 2; i++)
            assert_int_equal(trace_reader_next(reader[i], &record[i], &end[i]), ERR_ok);
        assert_int_equal(end[0], end[1]);
        if (end[0])
            break;
        assert_int_equal(record[0].seq, record[1].seq);
        assert_int_equal(record[0].wire.size, record[1].wire.size);
        assert_memory_equal(record[0].wire.data, record[1].wire.data,
                            record[0].wire.size);
    }
    trace_reader_close(reader[0]);
    trace_reader_close(reader[1]);
}

static void check_child(void)
{
    struct replay_report replayed = replay_bytes(buf_bytes(&child.file), NULL);
    assert_string_equal(replayed.detail, "");
    assert_int_equal(replayed.class, REPLAY_SAME);
    assert_memory_equal(&replayed.identity, &report.identity, HASH256_SIZE);
    assert_memory_equal(&report.parent, &parent.identity, HASH256_SIZE);
    assert_memory_equal(replayed.state.reg, report.state.reg, sizeof report.state.reg);
    assert_int_equal(replayed.state.icount, report.state.icount);
}

static void the_same_answers_give_the_parent_again(void **state)
{
    (void)state;
    uint64_t last = 0;
    unsigned places = 0;
    for (uint64_t seq = 6; seq < parent.event_count; seq++) {
        struct script first = {.input = ""};
        branch((struct replay_position){.kind = REPLAY_AT_EVENT, .value = seq}, &first);
        assert_string_equal(report.detail, "");
        places += report.parent_seq != last;
        last = report.parent_seq;
        struct script script = {.input = reader_input + consumed()};
        trace_memory_fini(&child);
        branch((struct replay_position){.kind = REPLAY_AT_EVENT, .value = seq},
               &script);
        assert_int_equal(report.err, ERR_ok);
        assert_int_equal(report.parent_seq, last);
        check_same_events();
        check_child();
        trace_memory_fini(&child);
    }
    assert_true(places > 10);
}

static void other_answers_go_another_way(void **state)
{
    (void)state;
    struct script script = {.input = "other answers are longer than that"};
    branch((struct replay_position){.kind = REPLAY_AT_PERCENT, .value = 40}, &script);
    assert_int_equal(report.err, ERR_ok);
    assert_true(report.from.icount && report.event_count > 10);
    check_child();
    struct bytes file = buf_bytes(&child.file);
    struct trace_source source = trace_bytes_source(&file);
    struct trace_reader *reader;
    assert_int_equal(trace_reader_open(&arena, &source, NULL, NULL, &reader), ERR_ok);
    const struct trace_header *header = trace_reader_header(reader);
    assert_true(header->parent.present);
    assert_memory_equal(&header->parent.hash, &parent.identity, HASH256_SIZE);
    assert_int_equal(header->parent_seq, report.parent_seq);
    trace_reader_close(reader);
    assert_memory_not_equal(report.state.reg, parent.state.reg,
                            sizeof report.state.reg);
    trace_memory_fini(&child);
}

static void what_cannot_be_branched_says_why(void **state)
{
    (void)state;
    struct script script = {.input = ""};
    branch((struct replay_position){.kind = REPLAY_AT_END, .value = 0}, &script);
    trace_memory_fini(&child); /* the last place where a run can be taken up */
    assert_int_equal(report.err, ERR_ok);
    struct bytes whole = recording_bytes(&parent);
    struct bytes bad[] = {bytes_of(whole.data, whole.size - 100),
                          bytes_of(whole.data, 30), bytes_of("no trace", 8)};
    for (size_t i = 0; i < countof(bad); i++) {
        struct trace_source source = trace_bytes_source(&bad[i]);
        struct replay_host host = script_host(&script);
        const struct replay_branch_options options = {.host = &host};
        trace_memory_init(&child, (size_t)64 << 20);
        struct trace_sink sink = trace_memory_sink(&child);
        replay_branch(&source, &sink, &options, &report);
        assert_int_not_equal(report.err, ERR_ok);
        assert_true(report.detail[0]);
        trace_memory_fini(&child);
    }
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_same_answers_give_the_parent_again),
        T(other_answers_go_another_way),
        T(what_cannot_be_branched_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
