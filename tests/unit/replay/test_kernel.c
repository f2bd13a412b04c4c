/* SPDX-License-Identifier: MIT
 *
 * Kernels recorded and replayed in memory: every engine gives the same events, and what
 * is changed in a trace is found where it was changed (R-05, R-15, R-16 of
 * pvm-kernel.md 11.5).
 */
#include "tests/unit/replay/run.h"

#include "kernel/encode.h"
#include "replay/kernel.h"

#include <string.h>

enum { EVENT_SIZE_MAX = 1024, EVENT_MAX = 200 };

/* ---- a session ---- */

/* phi7 := 42; mint a page; yield the marker in slot 8; reply. */
static const char program[] = "load_imm a0, 0\nload_imm a1, 5\nload_imm a2, 7\n"
                              "load_imm a3, 3\necalli 23\nload_imm a0, 99\n"
                              "ecalli 999\nload_imm a0, 42\necalli 0\n";

static struct hash256 put(struct replay_kernel *s, struct buf *wire)
{
    enum kernel_status status;
    struct hash256 hash = {{0}};
    assert_int_equal(wire->err, ERR_ok);
    assert_int_equal(replay_kernel_put(s, buf_bytes(wire), &status, &hash), ERR_ok);
    assert_int_equal(status, KERNEL_STATUS_OK);
    buf_clear(wire);
    return hash;
}

static void seed(struct replay_kernel *s, uint64_t id, uint64_t value)
{
    uint8_t packet[24] = {0};
    struct replay_kernel_answer answer;
    kernel_u64_put(packet + 8, id);
    kernel_u64_put(packet + 16, value);
    assert_int_equal(replay_kernel_request(s, REPLAY_KERNEL_SEED_QUOTA,
                                           bytes_of(packet, sizeof packet), &answer),
                     ERR_ok);
    assert_int_equal(answer.status, KERNEL_STATUS_OK);
}

static struct hash256 publish(struct replay_kernel *s, struct arena *arena)
{
    struct pvm_code code;
    struct buf wire;
    const struct hash256 chain = {{1}};
    const struct kernel_endpoint endpoint = {.entry_pc = 0};
    assert_int_equal(pvm_code_parse(assemble(arena, program), &code), ERR_ok);
    buf_init(&wire, 1 << 20);
    kernel_encode_image(&(struct kernel_image_parts){.code = &code,
                                                     .endpoint = &endpoint,
                                                     .endpoint_count = 1},
                        &wire);
    struct hash256 image = put(s, &wire);
    kernel_encode_cnode(4, NULL, 0, &wire);
    struct hash256 cnode = put(s, &wire);
    kernel_encode_instance(&(struct kernel_instance_parts){.chain = &chain,
                                                           .image = &image,
                                                           .root_cnode = &cnode,
                                                           .mem_size = PVM_PAGE_SIZE},
                           &wire);
    struct hash256 instance = put(s, &wire);
    buf_fini(&wire);
    return instance;
}

static void refused(struct replay_kernel *s)
{
    enum kernel_status status;
    struct hash256 hash;
    struct replay_kernel_answer answer;
    const uint8_t long_packet[80] = {0};
    assert_int_equal(replay_kernel_put(s, bytes_of("\5", 1), &status, &hash), ERR_ok);
    assert_int_equal(status, KERNEL_STATUS_BAD_KIND);
    assert_int_equal(replay_kernel_request(s, REPLAY_KERNEL_SEED_FILE,
                                           bytes_of(long_packet, 80), &answer),
                     ERR_ok);
    assert_int_equal(answer.status, KERNEL_STATUS_MALFORMED);
    assert_int_equal(
        replay_kernel_request(s, (enum replay_kernel_fn)99, bytes_of(NULL, 0), &answer),
        ERR_ok);
    assert_int_equal(answer.status, KERNEL_STATUS_UNKNOWN_FN);
}

static void session(struct replay_kernel *s, struct arena *arena)
{
    struct kernel_result result;
    struct replay_kernel_invocation invocation = {
        .instance = publish(s, arena), .pad = 0xffffffff, .gas = 100000};
    refused(s);
    seed(s, 7, 4096);
    assert_int_equal(replay_kernel_invoke(s, &invocation, &result), ERR_ok);
    assert_int_equal(result.exit_reason, KERNEL_EXIT_HALT);
    assert_int_equal(result.return_value, 42);
    assert_int_equal(replay_kernel_invoke(s, &invocation, &result), ERR_ok);
    assert_int_equal(result.exit_reason, KERNEL_EXIT_TRAP); /* the quota is gone */
    assert_int_equal(replay_kernel_resume(s, false, NULL, 5, &result), ERR_ok);
    assert_int_equal(result.exit_reason, (uint32_t)KERNEL_EXIT_ERROR);
    struct replay_kernel_totals totals = replay_kernel_totals(s);
    assert_int_equal(totals.invoke_count, 2);
    assert_int_equal(totals.ecall_count, 4);
}

static void record_kernel(struct recording *r, enum replay_engine_kind engine,
                          bool in_process, bool kill)
{
    struct replay_kernel_setup setup = replay_kernel_setup_default();
    const struct trace_writer_options how = {.guest = TRACE_GUEST_PVM};
    struct replay_kernel_options options = {
        .engine = {.kind = engine, .in_process = in_process}};
    struct trace_writer *writer;
    struct trace *trace;
    struct replay_kernel *s;
    *r = (struct recording){.event_count = 0};
    arena_init(&r->arena, (size_t)1 << 30);
    trace_memory_init(&r->memory, 1 << 24);
    setup.log_caps = setup.log_reads = setup.log_writes = true;
    struct trace_sink sink = trace_memory_sink(&r->memory);
    assert_int_equal(trace_writer_create(&r->arena, &sink, &how, &writer), ERR_ok);
    assert_int_equal(trace_record_create(&r->arena, writer, true, &trace), ERR_ok);
    options.trace = trace;
    assert_int_equal(replay_kernel_create(&r->arena, &setup, &options, &s), ERR_ok);
    session(s, &r->arena);
    if (!kill)
        assert_int_equal(replay_kernel_finish(s, 0), ERR_ok);
    r->event_count = trace_seq(trace);
    replay_kernel_close(s);
    trace_close(trace);
    if (kill) {
        trace_memory_flush(&r->memory);
        trace_writer_abandon(writer);
    } else {
        assert_int_equal(trace_writer_finish(writer, &r->identity), ERR_ok);
    }
}

/* ---- engines ---- */

static void test_engines(void **unused)
{
    static const struct {
        enum replay_engine_kind kind;
        bool in_process;
    } way[] = {{REPLAY_ENGINE_INTERP, false},
               {REPLAY_ENGINE_RECOMP, true},
               {REPLAY_ENGINE_RECOMP, false}};
    struct hash256 identity = {{0}};
    size_t count = pvm_recomp_available() ? countof(way) : 1;
    (void)unused;
    for (size_t i = 0; i < count; i++) {
        struct recording r;
        record_kernel(&r, way[i].kind, way[i].in_process, false);
        if (i)
            assert_memory_equal(&r.identity, &identity, sizeof identity);
        identity = r.identity;
        for (size_t j = 0; j < count; j++) {
            const struct replay_options options = {
                .engine = {.kind = way[j].kind, .in_process = way[j].in_process}};
            struct replay_report report = replay_bytes(recording_bytes(&r), &options);
            assert_string_equal(report.detail, "");
            assert_int_equal(report.class, REPLAY_SAME);
            assert_int_equal(report.event_count, r.event_count);
            assert_int_equal(report.result.ecall_count, 4);
        }
        recording_fini(&r);
    }
}

/* What a replay produces is the trace, byte for byte. */
static void test_copy(void **unused)
{
    struct recording r;
    struct trace_memory memory;
    struct arena arena;
    struct trace_writer *writer;
    const struct trace_writer_options how = {.guest = TRACE_GUEST_PVM};
    (void)unused;
    record_kernel(&r, REPLAY_ENGINE_INTERP, false, false);
    arena_init(&arena, (size_t)1 << 28);
    trace_memory_init(&memory, 1 << 24);
    struct trace_sink sink = trace_memory_sink(&memory);
    assert_int_equal(trace_writer_create(&arena, &sink, &how, &writer), ERR_ok);
    const struct replay_options options = {.copy = writer};
    struct replay_report report = replay_bytes(recording_bytes(&r), &options);
    assert_int_equal(report.class, REPLAY_SAME);
    assert_int_equal(trace_writer_finish(writer, NULL), ERR_ok);
    struct bytes want = recording_bytes(&r);
    assert_int_equal(memory.file.size, want.size);
    assert_memory_equal(memory.file.data, want.data, want.size);
    trace_memory_fini(&memory);
    arena_fini(&arena);
    recording_fini(&r);
}

static void test_ends(void **unused)
{
    struct recording r;
    struct replay_options options = {.gas_max = 1000};
    (void)unused;
    record_kernel(&r, REPLAY_ENGINE_INTERP, false, true);
    struct replay_report report =
        replay_bytes(recording_bytes(&r), &(struct replay_options){.gas_max = 0});
    assert_int_equal(report.class, REPLAY_OPEN);
    assert_int_equal(report.event_count, r.event_count);
    report = replay_bytes(recording_bytes(&r), &options);
    assert_int_equal(report.err, ERR_limit);
    options = (struct replay_options){.to = {.kind = REPLAY_AT_EVENT, .value = 3}};
    report = replay_bytes(recording_bytes(&r), &options);
    assert_int_equal(report.class, REPLAY_STOPPED); /* at the first request */
    assert_int_equal(report.state.icount, 0);
    options.to = (struct replay_position){.kind = REPLAY_AT_ICOUNT, .value = 5};
    report = replay_bytes(recording_bytes(&r), &options);
    assert_int_equal(report.class, REPLAY_STOPPED); /* behind the first ecall */
    assert_int_equal(report.state.icount, 5);
    assert_int_equal(report.state.reg[10], 3);
    options.to.value = 1000000;
    report = replay_bytes(recording_bytes(&r), &options);
    assert_int_equal(report.class, REPLAY_OPEN);
    recording_fini(&r);
}

/* ---- changed traces ---- */

/* Change the n-th event of a kind; the others as they are. */
struct change {
    enum trace_id id;
    unsigned number;
    void (*apply)(void *event);
};

static void copy_events(const struct recording *r, const struct change *change,
                        struct trace_memory *memory, uint64_t *ret_seq)
{
    struct arena arena, events;
    struct trace_reader *reader;
    struct trace_writer *writer;
    struct trace_record record;
    const struct trace_writer_options how = {.guest = TRACE_GUEST_PVM};
    struct bytes file = recording_bytes(r);
    struct trace_source source = trace_bytes_source(&file);
    bool end = false;
    unsigned number = 0;
    arena_init(&arena, (size_t)1 << 28);
    arena_init(&events, (size_t)1 << 28);
    trace_memory_init(memory, 1 << 24);
    struct trace_sink sink = trace_memory_sink(memory);
    assert_int_equal(trace_writer_create(&arena, &sink, &how, &writer), ERR_ok);
    assert_int_equal(trace_reader_open(&arena, &source, NULL, NULL, &reader), ERR_ok);
    for (;;) {
        _Alignas(16) uint8_t event[EVENT_SIZE_MAX];
        assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
        if (end)
            break;
        enum trace_id id = (enum trace_id)record.kind->id;
        assert_true(trace_kind_of(id)->struct_size <= sizeof event);
        assert_int_equal(trace_decode(reader, &record, id, &events, event), ERR_ok);
        if (id == change->id && number++ == change->number) {
            change->apply(event);
            *ret_seq = record.seq;
        }
        trace_writer_put(writer, id, &record.clock, event);
    }
    assert_int_equal(trace_writer_finish(writer, NULL), ERR_ok);
    trace_reader_close(reader);
    arena_fini(&events);
    arena_fini(&arena);
}

/* Event structs point into what was decoded: change a copy. */
static struct bytes flipped(struct bytes bytes, size_t at)
{
    static uint8_t copy[1 << 16];
    assert_true(bytes.size <= sizeof copy && at < bytes.size);
    memcpy(copy, bytes.data, bytes.size);
    copy[at] ^= 1;
    return bytes_of(copy, bytes.size);
}

static void change_body(void *event)
{
    struct trace_pvm_put *put_event = event;
    put_event->body = flipped(put_event->body, 1); /* the instance's chain */
}

static void change_quota(void *event)
{
    struct trace_pvm_request *request = event;
    request->payload = flipped(request->payload, 16);
}

static void change_pad(void *event)
{
    ((struct trace_pvm_invoke *)event)->pad = 1;
}

static void change_gas(void *event)
{
    ((struct trace_pvm_invoke *)event)->gas++;
}

static void change_chain(void *event)
{
    ((struct trace_pvm_outcome *)event)->chain.hash.byte[0] ^= 1;
}

static void change_assist(void *event)
{
    ((struct trace_pvm_assist *)event)->num++;
}

static void change_published(void *event)
{
    ((struct trace_pvm_publish *)event)->size++;
}

static void change_dump(void *event)
{
    struct trace_pvm_state *state = event;
    state->dump = flipped(state->dump, state->dump.size - 1);
}

static void change_config(void *event)
{
    ((struct trace_session_config *)event)->value = "7777777";
}

static void test_changes(void **unused)
{
    static const struct {
        struct change change;
        enum replay_class class;
        int later; /* events between the change and where it shows */
        const char *field;
    } row[] = {
        {{TRACE_ID_pvm_put, 2, change_body}, REPLAY_DIVERGED, 0, "hash"},
        {{TRACE_ID_pvm_request, 2, change_quota}, REPLAY_DIVERGED, 4, "num"},
        {{TRACE_ID_pvm_invoke, 0, change_pad}, REPLAY_SAME, 0, NULL},
        {{TRACE_ID_pvm_invoke, 0, change_gas}, REPLAY_DIVERGED, 12, "hash"},
        {{TRACE_ID_pvm_outcome, 0, change_chain}, REPLAY_DIVERGED, 0, "chain"},
        {{TRACE_ID_pvm_assist, 1, change_assist}, REPLAY_DIVERGED, 0, "num"},
        {{TRACE_ID_pvm_publish, 0, change_published}, REPLAY_DIVERGED, 0, "size"},
        {{TRACE_ID_pvm_state, 0, change_dump}, REPLAY_DIVERGED, 0, "dump"},
        {{TRACE_ID_session_config, 5, change_config},
         REPLAY_OTHER_CONFIGURATION,
         0,
         NULL},
    };
    struct recording r;
    (void)unused;
    record_kernel(&r, REPLAY_ENGINE_INTERP, false, false);
    for (size_t i = 0; i < countof(row); i++) {
        struct trace_memory memory;
        uint64_t seq = UINT64_MAX;
        copy_events(&r, &row[i].change, &memory, &seq);
        assert_int_not_equal(seq, UINT64_MAX);
        struct replay_report report = replay_bytes(
            buf_bytes(&memory.file), &(struct replay_options){.gas_max = 0});
        if (report.class != row[i].class)
            fail_msg("change %zu: %s: %s", i, replay_class_name(report.class),
                     report.detail);
        if (row[i].field) {
            assert_string_equal(report.divergence.field, row[i].field);
            assert_int_equal(report.divergence.seq, seq + (uint64_t)row[i].later);
        }
        trace_memory_fini(&memory);
    }
    recording_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_engines),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
