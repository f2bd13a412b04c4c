/* SPDX-License-Identifier: MIT
 *
 * A capability kernel under the debugger: the state at a position is the same whatever
 * way leads there, it is the one that was recorded, and stops are found where stepping
 * finds them.
 *
 * The session has calls, yields, an invocation that runs out of gas and is resumed,
 * traps at first instructions, replaced images, refused requests, and ends in a trap.
 */
#include "tests/unit/replay/run.h"

#include "kernel/encode.h"
#include "replay/kernel.h"
#include "replay/timeline.h"

#include <string.h>

enum {
    POSITIONS_MAX = 4000,
    REG_PC = 16,
    REG_A0 = 10,
    QUOTA = 7,
    CHILD_SLOT = 9,
    MARKER_SLOT = 8,
    CATCHER_SLOT = 5,
    STORED = 0x2008, /* by the child, in its own memory */
    MINTED = 0x2000,
    READ_INTO = 0x3000,
};

/* Calls the child three times, mints and reads back what it has, yields, replies. */
static const char parent_text[] = "load_imm s0, 0\nfallthrough\nagain:\n"
                                  "add_imm_64 s0, s0, 1\nstore_u64 s0, [0x2000]\n"
                                  "load_imm a0, 9\nload_imm a1, 0\necalli 26\n"
                                  "store_u64 a0, [0x2010]\nadd_64 s1, s1, a0\n"
                                  "branch_lt_u_imm s0, 3, again\n"
                                  "load_imm a0, 0x2000\nload_imm a1, 16\n"
                                  "load_imm a2, 7\nload_imm a3, 12\necalli 23\n"
                                  "load_imm a0, 12\nload_imm a1, 0x3000\n"
                                  "load_imm a2, 16\necalli 22\nload_u64 a4, [0x3010]\n"
                                  "load_imm a0, 8\necalli 16\nadd_imm_64 a0, s1, 0\n"
                                  "ecalli 0\n";
static const char child_text[] = "load_u64 a1, [0x1000]\nadd_imm_64 a1, a1, 3\n"
                                 "store_u64 a1, [0x1000]\nload_imm s0, 0\nfallthrough\n"
                                 "more:\nadd_imm_64 s0, s0, 1\nstore_u64 s0, [0x2008]\n"
                                 "branch_lt_u_imm s0, 5, more\nadd_64 a0, a1, s0\n"
                                 "ecalli 0\n";
static const char caller_text[] = "load_imm a0, 9\nload_imm a1, 0\necalli 26\n"
                                  "add_imm_64 a0, a0, 1\necalli 0\n";
static const char busy_text[] = "fallthrough\nmore:\nadd_imm_64 s0, s0, 1\n"
                                "store_u64 s0, [0x2008]\n"
                                "branch_lt_u_imm s0, 60, more\necalli 0\n";
static const char trap_text[] = "trap\n";
static const char before_text[] = "load_imm a0, 10\necalli 17\nload_imm a0, 1\n"
                                  "ecalli 0\n";
static const char after_text[] = "load_imm a0, 10\necalli 17\nload_imm a0, 2\n"
                                 "ecalli 0\n";

static uint64_t seed;
static struct arena arena;
static struct trace_memory memory;
static struct bytes file;
static struct trace_source source;
static struct replay_debug debug;
static struct replay_timeline *timeline;

/* ---- a recording ---- */

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

static struct hash256 put_image(struct replay_kernel *s, const char *text,
                                struct buf *wire)
{
    struct pvm_code code;
    const struct kernel_endpoint endpoint = {.entry_pc = 0};
    /* What an instance keeps when it is settled. */
    const struct kernel_mapping all_of_it = {
        .size = 0x4000, .path = {14}, .path_size = 1};
    assert_int_equal(pvm_code_parse(assemble(&arena, text), &code), ERR_ok);
    kernel_encode_image(&(struct kernel_image_parts){.code = &code,
                                                     .endpoint = &endpoint,
                                                     .endpoint_count = 1,
                                                     .mapping = &all_of_it,
                                                     .mapping_count = 1,
                                                     .has_yield_slot = true,
                                                     .yield_slot = CATCHER_SLOT},
                        wire);
    return put(s, wire);
}

static struct hash256 put_instance(struct replay_kernel *s, const char *text,
                                   const struct kernel_entry *entry, uint32_t count,
                                   struct buf *wire)
{
    static const uint8_t content[3] = {100, 1, 0};
    const struct hash256 chain = {{1}};
    const struct kernel_overlay overlay = {0x1000, bytes_of(content, sizeof content)};
    struct hash256 image = put_image(s, text, wire);
    kernel_encode_cnode(4, entry, count, wire);
    struct hash256 cnode = put(s, wire);
    kernel_encode_instance(&(struct kernel_instance_parts){.chain = &chain,
                                                           .image = &image,
                                                           .root_cnode = &cnode,
                                                           .overlay = &overlay,
                                                           .overlay_count = 1,
                                                           .mem_size = 0x4000},
                           wire);
    return put(s, wire);
}

static struct replay_kernel_answer request(struct replay_kernel *s,
                                           enum replay_kernel_fn fn,
                                           const uint8_t *payload, size_t size)
{
    struct replay_kernel_answer answer;
    assert_int_equal(replay_kernel_request(s, fn, bytes_of(payload, size), &answer),
                     ERR_ok);
    assert_int_equal(answer.status, KERNEL_STATUS_OK);
    return answer;
}

/* A catcher of this marker and of want of gas. */
static struct hash256 put_catcher(struct replay_kernel *s, const struct hash256 *marker)
{
    struct hash256 catcher, oog = kernel_id("oog_marker");
    uint8_t packet[72] = {0};
    struct replay_kernel_answer answer = request(s, REPLAY_KERNEL_NEW_CATCHER, NULL, 0);
    memcpy(catcher.byte, answer.bytes, sizeof catcher.byte);
    memcpy(packet + 8, catcher.byte, sizeof catcher.byte);
    memcpy(packet + 40, marker->byte, sizeof marker->byte);
    (void)request(s, REPLAY_KERNEL_ADD_CATCHER, packet, sizeof packet);
    memcpy(packet + 40, oog.byte, sizeof oog.byte);
    (void)request(s, REPLAY_KERNEL_ADD_CATCHER, packet, sizeof packet);
    return catcher;
}

static void seed_quota(struct replay_kernel *s, uint64_t id)
{
    uint8_t packet[24] = {0};
    kernel_u64_put(packet + 8, id);
    kernel_u64_put(packet + 16, 100000);
    (void)request(s, REPLAY_KERNEL_SEED_QUOTA, packet, sizeof packet);
}

static void invoke(struct replay_kernel *s, struct hash256 instance, uint64_t gas,
                   uint32_t want)
{
    struct kernel_result result;
    const struct replay_kernel_invocation invocation = {.instance = instance,
                                                        .gas = gas};
    assert_int_equal(replay_kernel_invoke(s, &invocation, &result), ERR_ok);
    assert_int_equal(result.exit_reason, want);
}

static void resume(struct replay_kernel *s, bool drop, const struct hash256 *scratch,
                   uint64_t gas, uint32_t want)
{
    struct kernel_result result;
    assert_int_equal(replay_kernel_resume(s, drop, scratch, gas, &result), ERR_ok);
    assert_int_equal(result.exit_reason, want);
}

static void invocations(struct replay_kernel *s, const struct hash256 *instance,
                        const struct hash256 *marker)
{
    enum { PARENT, CALLER, TRAP, TRAP_CALLER, REPLACED };
    struct hash256 nobody = {{9}};
    invoke(s, nobody, 5, (uint32_t)KERNEL_EXIT_ERROR);
    invoke(s, instance[TRAP], 1000, KERNEL_EXIT_TRAP);
    invoke(s, instance[PARENT], 100000, KERNEL_EXIT_PAUSED);
    invoke(s, instance[PARENT], 100000, (uint32_t)KERNEL_EXIT_ERROR);
    resume(s, false, marker, 5, KERNEL_EXIT_HALT);
    seed_quota(s, QUOTA + 1);
    (void)put_catcher(s, &nobody);
    invoke(s, instance[TRAP_CALLER], 1000, KERNEL_EXIT_TRAP);
    invoke(s, instance[TRAP], 0, KERNEL_EXIT_OUT_OF_GAS);
    invoke(s, instance[CALLER], 1500, KERNEL_EXIT_PAUSED);
    resume(s, false, NULL, 0, KERNEL_EXIT_PAUSED);
    resume(s, false, NULL, 400, KERNEL_EXIT_PAUSED);
    resume(s, true, NULL, 0, KERNEL_EXIT_DROPPED);
    invoke(s, instance[CALLER], 1500, KERNEL_EXIT_PAUSED);
    resume(s, false, NULL, 1000000, KERNEL_EXIT_HALT);
    invoke(s, instance[REPLACED], 100000, KERNEL_EXIT_HALT);
    invoke(s, instance[PARENT], 100000, KERNEL_EXIT_PAUSED);
    resume(s, false, NULL, 0, KERNEL_EXIT_HALT);
    invoke(s, instance[TRAP_CALLER], 1000, KERNEL_EXIT_TRAP);
}

static void session(struct replay_kernel *s)
{
    struct buf wire;
    const struct hash256 type = {{0xab}};
    buf_init(&wire, 1 << 20);
    kernel_encode_type(&type, &wire);
    struct hash256 marker = put(s, &wire);
    struct hash256 catcher = put_catcher(s, &marker);
    struct hash256 child = put_instance(s, child_text, NULL, 0, &wire);
    struct hash256 busy = put_instance(s, busy_text, NULL, 0, &wire);
    struct hash256 trap = put_instance(s, trap_text, NULL, 0, &wire);
    struct hash256 after = put_image(s, after_text, &wire);
    const struct kernel_entry parents[] = {
        {2, catcher}, {MARKER_SLOT, marker}, {CHILD_SLOT, child}};
    const struct kernel_entry callers[] = {{CATCHER_SLOT, catcher}, {CHILD_SLOT, busy}};
    const struct kernel_entry trapped[] = {{CHILD_SLOT, trap}};
    const struct kernel_entry replaced[] = {{10, after}};
    const struct kernel_entry catching[] = {
        {CATCHER_SLOT, catcher}, {MARKER_SLOT, marker}, {CHILD_SLOT, child}};
    struct hash256 parent = put_instance(s, parent_text, parents, 3, &wire);
    const struct kernel_entry outer[] = {{CATCHER_SLOT, catcher}, {CHILD_SLOT, parent}};
    const struct hash256 instance[] = {
        put_instance(s, caller_text, outer, 2, &wire),
        put_instance(s, caller_text, callers, 2, &wire),
        trap,
        put_instance(s, caller_text, trapped, 1, &wire),
        put_instance(s, before_text, replaced, 1, &wire),
    };
    (void)put_instance(s, parent_text, catching, 3, &wire);
    seed_quota(s, QUOTA);
    invocations(s, instance, &marker);
    buf_fini(&wire);
}

/* More programs than a kernel of this depth keeps predecoded, and a budget that is no
 * signed number. */
enum { PROGRAMS = 80, ROUNDS = 2 };

static void session_of_programs(struct replay_kernel *s)
{
    struct hash256 instance[PROGRAMS];
    struct buf wire;
    char text[80];
    buf_init(&wire, 1 << 20);
    for (unsigned i = 0; i < PROGRAMS; i++) {
        (void)snprintf(text, sizeof text,
                       "load_imm s0, %u\nstore_u64 s0, [0x2008]\necalli 0\n", i);
        instance[i] = put_instance(s, text, NULL, 0, &wire);
    }
    for (unsigned i = 0; i < ROUNDS * PROGRAMS; i++)
        invoke(s, instance[i % PROGRAMS], i % 3 ? UINT64_MAX : 1000, KERNEL_EXIT_HALT);
    invoke(s, put_instance(s, busy_text, NULL, 0, &wire), UINT64_MAX, KERNEL_EXIT_HALT);
    buf_fini(&wire);
}

static void record_session(enum pvm_gas_log log, uint32_t depth,
                           void (*run)(struct replay_kernel *s))
{
    struct replay_kernel_setup setup = replay_kernel_setup_default();
    const struct trace_writer_options how = {.guest = TRACE_GUEST_PVM};
    struct replay_kernel_options options = {.engine = {.kind = REPLAY_ENGINE_INTERP}};
    struct trace_writer *writer;
    struct replay_kernel *s;
    struct trace_sink sink = trace_memory_sink(&memory);
    setup.gas_log = log;
    setup.config.flags |= KERNEL_STATEFUL_CHILDREN;
    setup.config.max_depth = depth;
    assert_int_equal(trace_writer_create(&arena, &sink, &how, &writer), ERR_ok);
    assert_int_equal(trace_record_create(&arena, writer, true, &options.trace), ERR_ok);
    assert_int_equal(replay_kernel_create(&arena, &setup, &options, &s), ERR_ok);
    run(s);
    assert_int_equal(replay_kernel_finish(s, 0), ERR_ok);
    replay_kernel_close(s);
    trace_close(options.trace);
    assert_int_equal(trace_writer_finish(writer, NULL), ERR_ok);
    trace_memory_flush(&memory);
    file = buf_bytes(&memory.file);
    source = trace_bytes_source(&file);
}

static int setup_world(void **state)
{
    (void)state;
    seed = test_seed(11);
    arena_init(&arena, (size_t)1 << 30);
    trace_memory_init(&memory, 64 << 20);
    record_session(PVM_GAS_LOG_LEDGER, 256, session);
    return 0;
}

static int teardown_world(void **state)
{
    (void)state;
    trace_memory_fini(&memory);
    arena_fini(&arena);
    return 0;
}

static void open_timeline(uint64_t spacing, uint64_t memory_max)
{
    const struct replay_timeline_options how = {.spacing = spacing,
                                                .memory_max = memory_max};
    char message[REPLAY_DEBUG_MESSAGE_SIZE];
    if (replay_debug_open(&source, &debug, message))
        fail_msg("%s", message);
    assert_int_equal(replay_timeline_create(&debug.guest, &how, &timeline), ERR_ok);
}

static void close_timeline(void)
{
    replay_timeline_close(timeline);
    replay_debug_close(&debug);
}

/* ---- all positions, by stepping ---- */

struct picture {
    struct replay_time time;
    uint64_t pc, gas, depth, a[6];
    uint8_t hash[32];
};
static struct picture all[POSITIONS_MAX];
static size_t count;

static uint64_t register_of(unsigned index)
{
    uint8_t bytes[8];
    uint64_t value;
    debug.guest.ops->register_get(debug.guest.self, index, bytes);
    memcpy(&value, bytes, sizeof value);
    return value;
}

static struct picture take_picture(void)
{
    const struct replay_guest *guest = &debug.guest;
    struct picture p;
    memset(&p, 0, sizeof p);
    p.time = replay_timeline_now(timeline);
    p.pc = register_of(REG_PC);
    p.gas = guest->ops->gas(guest->self);
    p.depth = guest->ops->stack.depth(guest->self);
    for (unsigned i = 0; i < 6; i++)
        p.a[i] = register_of(REG_A0 + i);
    assert_int_equal(guest->ops->hash(guest->self, p.hash), ERR_ok);
    return p;
}

static void check_picture(size_t index)
{
    struct picture p = take_picture();
    if (memcmp(&p, &all[index], sizeof p) == 0)
        return;
    test_reproduce("replay_debug_kernel", test_seed(11));
    fail_msg(
        "position %zu (%llu+%llu, pc %llx): another state, at (%llu+%llu, pc %llx)",
        index, (unsigned long long)all[index].time.icount,
        (unsigned long long)all[index].time.sub, (unsigned long long)all[index].pc,
        (unsigned long long)p.time.icount, (unsigned long long)p.time.sub,
        (unsigned long long)p.pc);
}

static void take_all(void)
{
    bool moved = true;
    open_timeline(UINT64_MAX, 0);
    for (count = 0; moved; count++) {
        assert_true(count < POSITIONS_MAX);
        all[count] = take_picture();
        assert_true(!count ||
                    replay_time_compare(all[count - 1].time, all[count].time) < 0);
        assert_int_equal(replay_timeline_step(timeline, &moved), ERR_ok);
    }
    struct replay_time end = replay_timeline_end(timeline);
    assert_int_equal(replay_time_compare(all[count - 1].time, end), 0);
    close_timeline();
    assert_true(count > 300);
}

static void every_way_leads_to_the_same_state(void **state)
{
    (void)state;
    bool moved;
    take_all();
    for (unsigned round = 0; round < 2; round++) {
        open_timeline(round ? 1 : 20, round ? 1 << 20 : 0);
        assert_int_equal(replay_timeline_seek(timeline, REPLAY_TIME_NEVER), ERR_ok);
        for (size_t i = count; i-- > 0;) {
            check_picture(i);
            assert_int_equal(replay_timeline_step_back(timeline, &moved), ERR_ok);
            assert_int_equal(moved, i != 0);
        }
        for (unsigned i = 0; i < 300; i++) {
            size_t index = test_random(&seed) % count;
            assert_int_equal(replay_timeline_seek(timeline, all[index].time), ERR_ok);
            check_picture(index);
        }
        assert_true(replay_timeline_stats(timeline).load_count > 100);
        close_timeline();
    }
}

/* ---- against the recording ---- */

static size_t find(struct replay_time time)
{
    for (size_t i = 0; i < count; i++) {
        if (replay_time_compare(all[i].time, time) == 0)
            return i;
    }
    fail_msg("no position %llu+%llu", (unsigned long long)time.icount,
             (unsigned long long)time.sub);
    return 0;
}

static void check_ecall(const struct trace_record *record,
                        const struct trace_pvm_ecall *event)
{
    struct replay_time time = debug.guest.ops->event_time(debug.guest.self, record->seq,
                                                          record->clock.icount);
    const struct picture *p = &all[find(time)];
    assert_int_equal((uint32_t)p->pc, event->pc);
    assert_int_equal(p->depth, event->frame);
    assert_int_equal(p[1].gas, record->clock.gas); /* its block is paid for */
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(p->a[i], i < event->in.count ? event->in.item[i] : 0);
}

/* Each ecall, and the registers at the end of each invocation. */
static void events_stand_where_they_were_recorded(void **state)
{
    (void)state;
    struct trace_reader *reader;
    struct trace_record record;
    struct trace_pvm_ecall ecall;
    struct trace_pvm_outcome outcome;
    unsigned ecalls = 0, outcomes = 0;
    bool end = false;
    take_all();
    open_timeline(0, 0);
    assert_int_equal(trace_reader_open(&arena, &source, NULL, NULL, &reader), ERR_ok);
    while (!trace_reader_next(reader, &record, &end) && !end) {
        if (record.kind->id == TRACE_ID_pvm_ecall) {
            assert_int_equal(trace_decode_pvm_ecall(reader, &record, &arena, &ecall),
                             ERR_ok);
            check_ecall(&record, &ecall);
            ecalls++;
        } else if (record.kind->id == TRACE_ID_pvm_outcome) {
            assert_int_equal(
                trace_decode_pvm_outcome(reader, &record, &arena, &outcome), ERR_ok);
            if (!outcome.regs.count)
                continue;
            struct replay_time time = debug.guest.ops->event_time(
                debug.guest.self, record.seq, record.clock.icount);
            for (size_t i = 7; i < outcome.regs.count; i++)
                assert_int_equal(all[find(time)].a[i - 7], outcome.regs.item[i]);
            outcomes++;
        }
    }
    trace_reader_close(reader);
    close_timeline();
    assert_true(ecalls > 20 && outcomes > 8);
}

/* Whatever the gas log, the positions are the same. */
static void gas_logs_have_the_same_positions(void **state)
{
    (void)state;
    take_all();
    static struct picture ledger[POSITIONS_MAX];
    size_t ledger_count = count;
    memcpy(ledger, all, sizeof ledger);
    static const enum pvm_gas_log log[] = {PVM_GAS_LOG_EACH, PVM_GAS_LOG_SUMMARY};
    for (size_t i = 0; i < countof(log); i++) {
        trace_memory_fini(&memory);
        trace_memory_init(&memory, 64 << 20);
        record_session(log[i], 256, session);
        take_all();
        assert_int_equal(count, ledger_count);
        assert_memory_equal(all, ledger, count * sizeof all[0]);
    }
}

/* ---- stops ---- */

static void expect(bool forward, size_t index)
{
    const struct replay_run run = {.limit = forward ? REPLAY_TIME_NEVER
                                                    : (struct replay_time){0}};
    enum replay_end_kind end;
    struct replay_stop stop;
    assert_int_equal((forward ? replay_timeline_forward
                              : replay_timeline_backward)(timeline, &run, &end, &stop),
                     ERR_ok);
    assert_int_equal(end, index < count ? REPLAY_AT_STOP : REPLAY_AT_EDGE);
    if (index == count)
        index = forward ? count - 1 : 0;
    check_picture(index);
}

/* Stops at position i, as all pictures tell; `behind`: backwards at the next one. */
static size_t expect_all(bool (*stops)(size_t index), size_t behind)
{
    size_t found = 0;
    assert_int_equal(replay_timeline_seek(timeline, all[0].time), ERR_ok);
    for (size_t i = 1; i + 1 < count; i++) {
        if (!stops(i))
            continue;
        const struct replay_run run = {.limit = REPLAY_TIME_NEVER,
                                       .pass_watch = behind && found};
        enum replay_end_kind end;
        struct replay_stop stop;
        assert_int_equal(replay_timeline_forward(timeline, &run, &end, &stop), ERR_ok);
        assert_int_equal(end, REPLAY_AT_STOP);
        check_picture(i);
        found++;
    }
    assert_int_equal(replay_timeline_seek(timeline, all[count - 1].time), ERR_ok);
    for (size_t i = count - 1; i-- > 1;) {
        if (!stops(i))
            continue;
        const struct replay_run run = {.pass_watch = behind != 0};
        enum replay_end_kind end;
        struct replay_stop stop;
        assert_int_equal(replay_timeline_backward(timeline, &run, &end, &stop), ERR_ok);
        assert_int_equal(end, REPLAY_AT_STOP);
        check_picture(i + behind);
    }
    return found;
}

/* Code addresses of instructions, which the test finds by their text. */
static uint64_t store_pc[2], ecall_pc;
static size_t store_count;

static void find_code(void)
{
    struct buf text;
    buf_init(&text, 1000);
    store_count = 0;
    ecall_pc = 0;
    for (size_t i = 0; i < count; i++) {
        buf_clear(&text);
        (void)debug.guest.ops->disassemble(debug.guest.self, all[i].pc, &text);
        buf_byte(&text, 0);
        bool stores = strstr(buf_string(&text), "store_u64 s0, [0x2008]") != NULL;
        if (strstr(buf_string(&text), "ecalli 22"))
            ecall_pc = all[i].pc;
        bool known = (store_count && store_pc[0] == all[i].pc) ||
                     (store_count > 1 && store_pc[1] == all[i].pc);
        if (stores && !known) {
            assert_true(store_count < 2);
            store_pc[store_count++] = all[i].pc;
        }
    }
    buf_fini(&text);
    assert_int_equal(store_count, 2); /* child and busy */
    assert_true(ecall_pc);
}

static bool is_store(size_t index)
{
    return all[index].pc == store_pc[0] || all[index].pc == store_pc[1];
}

static bool is_first_store(size_t index)
{
    return all[index].pc == store_pc[0];
}

static bool is_read(size_t index)
{
    return all[index].pc == ecall_pc;
}

static void breakpoints_are_found_in_every_instance(void **state)
{
    (void)state;
    const struct replay_guest_ops *ops;
    char text[40];
    take_all();
    open_timeline(30, 0);
    ops = debug.guest.ops;
    find_code();
    assert_int_equal(replay_timeline_set_stops(timeline, store_pc, 2, NULL, 0), ERR_ok);
    assert_true(expect_all(is_store, 0) > 100);
    (void)snprintf(text, sizeof text, "program:%u", (unsigned)(store_pc[0] >> 32) - 1);
    assert_true(ops->stack.restrict_stops(debug.guest.self, text));
    assert_int_equal(expect_all(is_first_store, 0), 30);
    assert_true(ops->stack.restrict_stops(debug.guest.self, "depth:7"));
    assert_int_equal(replay_timeline_seek(timeline, all[0].time), ERR_ok);
    expect(true, count);
    assert_false(ops->stack.restrict_stops(debug.guest.self, "depth:"));
    assert_false(ops->stack.restrict_stops(debug.guest.self, "abc"));
    assert_false(ops->stack.restrict_stops(debug.guest.self, "nobody"));
    assert_true(ops->stack.restrict_stops(debug.guest.self, "any"));
    size_t last = count - 1;
    while (!is_store(last))
        last--;
    expect(false, last);
    close_timeline();
}

static void watchpoints_find_stores_and_ecalls(void **state)
{
    (void)state;
    const struct replay_watch writes = {STORED + 1, 1, REPLAY_WATCH_WRITE};
    const struct replay_watch filled = {READ_INTO + 4, 8, REPLAY_WATCH_WRITE};
    take_all();
    open_timeline(30, 0);
    find_code();
    assert_int_equal(replay_timeline_set_stops(timeline, NULL, 0, &writes, 1), ERR_ok);
    assert_true(expect_all(is_store, 1) > 100);
    assert_int_equal(replay_timeline_set_stops(timeline, NULL, 0, &filled, 1), ERR_ok);
    assert_int_equal(expect_all(is_read, 1), 2);
    close_timeline();
}

static bool is_third_program(size_t index)
{
    return all[index].pc == 4 * (UINT64_C(1) << 32);
}

static void programs_come_and_go(void **state)
{
    (void)state;
    const uint64_t third = 4 * (UINT64_C(1) << 32);
    const struct replay_watch writes = {STORED, 8, REPLAY_WATCH_WRITE};
    trace_memory_fini(&memory);
    trace_memory_init(&memory, 64 << 20);
    record_session(PVM_GAS_LOG_LEDGER, 1, session_of_programs);
    take_all();
    assert_true(count > ROUNDS * PROGRAMS * 4 + 150);
    open_timeline(1000, 0);
    for (unsigned i = 0; i < 60; i++) {
        size_t index = test_random(&seed) % count;
        index = i % 2 ? index : count - 1 - index % 150;
        assert_int_equal(replay_timeline_seek(timeline, all[index].time), ERR_ok);
        check_picture(index);
    }
    assert_int_equal(replay_timeline_set_stops(timeline, &third, 1, NULL, 0), ERR_ok);
    assert_int_equal(expect_all(is_third_program, 0), ROUNDS);
    assert_int_equal(replay_timeline_set_stops(timeline, NULL, 0, &writes, 1), ERR_ok);
    assert_int_equal(replay_timeline_seek(timeline, all[count - 1].time), ERR_ok);
    expect(false, count - 3); /* behind the last store: a branch and a reply */
    close_timeline();
}

/* ---- damage ---- */

static void visit_what_there_is(void)
{
    char message[REPLAY_DEBUG_MESSAGE_SIZE];
    bool moved;
    if (replay_debug_open(&source, &debug, message))
        return;
    const struct replay_timeline_options how = {.spacing = 50};
    assert_int_equal(replay_timeline_create(&debug.guest, &how, &timeline), ERR_ok);
    for (unsigned i = 0; i < 3; i++) {
        struct replay_time to = {i == 1 ? test_random(&seed) % 400 : i * 1000u, 0};
        if (!replay_timeline_seek(timeline, to))
            (void)!replay_timeline_step_back(timeline, &moved);
        (void)take_picture();
    }
    close_timeline();
}

/* A trace that was cut off anywhere can be visited up to there. */
static void cut_off_traces_end_early(void **state)
{
    (void)state;
    struct bytes whole = file;
    take_all();
    for (size_t size = whole.size; size > 40; size -= 1 + size / 60) {
        file = bytes_of(whole.data, size);
        source = trace_bytes_source(&file);
        visit_what_there_is();
    }
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup_world, teardown_world)
    const struct CMUnitTest tests[] = {
        T(every_way_leads_to_the_same_state),
        T(events_stand_where_they_were_recorded),
        T(gas_logs_have_the_same_positions),
        T(breakpoints_are_found_in_every_instance),
        T(watchpoints_find_stores_and_ecalls),
        T(programs_come_and_go),
        T(cut_off_traces_end_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
