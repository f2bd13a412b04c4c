/* SPDX-License-Identifier: MIT
 *
 * The worked example of trace-replay.md 16: written byte for byte, read, replayed.
 */
#include "tests/test.h"
#include "tests/unit/trace/example.h"

#include "base/os.h"

#include <string.h>

static const char identity_text[] =
    "37fe39d7c71f67d1bb2ecf2f2c5bfc4b1869d377b86b64775401ac0f1fc79e33";

static void assert_identity(const struct hash256 *hash)
{
    char text[2 * HASH256_SIZE + 1];
    for (unsigned i = 0; i < HASH256_SIZE; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", hash->byte[i]);
    assert_string_equal(text, identity_text);
}

static struct buf golden(void)
{
    struct buf file;
    buf_init(&file, 1 << 20);
    assert_int_equal(os_file_read("corpus/trace/worked-example.lks", &file), ERR_ok);
    assert_int_equal(file.size, EXAMPLE_FILE_SIZE);
    return file;
}

static void test_written_byte_for_byte(void **state)
{
    (void)state;
    struct arena arena;
    struct trace_memory memory;
    struct hash256 identity;
    struct trace_writer_options options = example_options();
    arena_init(&arena, 1 << 20);
    trace_memory_init(&memory, 4 << 20);
    struct trace_sink sink = trace_memory_sink(&memory);
    assert_int_equal(example_record(&arena, &sink, &options, &identity), ERR_ok);
    assert_identity(&identity);
    struct buf want = golden();
    assert_int_equal(memory.file.size, want.size);
    assert_memory_equal(memory.file.data, want.data, want.size);
    buf_fini(&want);
    trace_memory_fini(&memory);
    arena_fini(&arena);
}

/* Chapter 16, last point: the tail just before the recorder closed the file. */
static void test_open_tail(void **state)
{
    (void)state;
    struct arena arena;
    struct trace_memory memory;
    struct trace_writer *writer;
    struct trace *trace;
    struct trace_writer_options options = example_options();
    arena_init(&arena, 1 << 20);
    trace_memory_init(&memory, 4 << 20);
    struct trace_sink sink = trace_memory_sink(&memory);
    assert_int_equal(trace_writer_create(&arena, &sink, &options, &writer), ERR_ok);
    assert_int_equal(trace_record_create(&arena, writer, true, &trace), ERR_ok);
    assert_int_equal(example_run(trace), ERR_ok);
    trace_memory_flush(&memory);
    const uint8_t commit[] = {0xa8, 0x00, 0x00, 0x00, 0xee, 0x86, 0xb4, 0x22};
    const uint8_t *window = memory.file.data + 1052672;
    assert_memory_equal(window, "LKSC", 4);
    assert_memory_equal(window + 104, commit, sizeof commit);
    trace_close(trace);
    trace_writer_abandon(writer);
    trace_memory_fini(&memory);
    arena_fini(&arena);
}

static void test_read(void **state)
{
    (void)state;
    struct buf file = golden();
    struct bytes bytes = buf_bytes(&file);
    struct trace_source source = trace_bytes_source(&bytes);
    struct arena arena;
    struct trace_reader *reader;
    struct trace_record record;
    bool end;
    arena_init(&arena, 1 << 20);
    assert_int_equal(trace_reader_open(&arena, &source, NULL, NULL, &reader), ERR_ok);
    for (unsigned i = 0; i < EXAMPLE_EVENT_COUNT; i++) {
        static const unsigned order[] = {0, 1, 3, 4, 5, 6, 7, 2};
        assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
        assert_false(end);
        assert_int_equal(record.seq, i);
        assert_int_equal(record.kind->id, example_kinds[order[i]]);
        if (record.kind->id == TRACE_ID_pvm_segment) {
            struct trace_pvm_segment segment;
            assert_int_equal(
                trace_decode_pvm_segment(reader, &record, &arena, &segment), ERR_ok);
            assert_int_equal(record.clock.icount, 8);
            assert_int_equal(record.clock.gas, 152);
            assert_int_equal(segment.n, 5);
            assert_int_equal(segment.gas, 152);
            assert_int_equal(segment.nbits, 3);
            assert_int_equal(segment.bits.size, 1);
            assert_int_equal(segment.bits.data[0], 0xc0);
        }
    }
    assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
    assert_true(end);
    assert_int_equal(trace_reader_state(reader), TRACE_READER_CLOSED);
    struct hash256 chain = trace_reader_chain(reader);
    assert_identity(&chain);
    trace_reader_close(reader);
    arena_fini(&arena);
    buf_fini(&file);
}

static void test_replay(void **state)
{
    (void)state;
    struct buf file = golden();
    struct bytes bytes = buf_bytes(&file);
    struct trace_source source = trace_bytes_source(&bytes);
    struct arena arena;
    struct trace_reader *reader;
    struct trace *trace;
    arena_init(&arena, 1 << 20);
    assert_int_equal(trace_reader_open(&arena, &source, NULL, NULL, &reader), ERR_ok);
    assert_int_equal(trace_replay_create(&arena, reader, NULL, &trace), ERR_ok);
    assert_int_equal(example_run(trace), ERR_ok);
    assert_int_equal(trace_expect_end(trace), ERR_ok);
    trace_close(trace);
    trace_reader_close(reader);
    arena_fini(&arena);
    buf_fini(&file);
}

/* The hex dump in docs/format-trace.md is the file. */
static void test_format_document(void **state)
{
    (void)state;
    struct buf text, want = golden(), got;
    buf_init(&text, 1 << 20);
    buf_init(&got, 1 << 20);
    assert_int_equal(os_file_read("docs/format-trace.md", &text), ERR_ok);
    const char *at = strstr(buf_string(&text), "```hex\n");
    assert_non_null(at);
    for (at += 7; *at != '`';) {
        unsigned byte;
        assert_int_equal(sscanf(at, "%2x", &byte), 1);
        buf_byte(&got, (uint8_t)byte);
        at += 2;
        at += *at == '\n';
    }
    assert_int_equal(got.size, want.size);
    assert_memory_equal(got.data, want.data, want.size);
    assert_non_null(strstr(buf_string(&text), identity_text));
    buf_fini(&text);
    buf_fini(&got);
    buf_fini(&want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_byte_for_byte),
        cmocka_unit_test(test_open_tail),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_format_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
