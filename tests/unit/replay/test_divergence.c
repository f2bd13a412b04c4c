/* SPDX-License-Identifier: MIT
 *
 * Traces that were changed and written again: what the guest derives is compared and
 * the field is named; what it takes from the trace changes the run.  And traces that
 * make no sense: refused, with the right class.
 */
#include "tests/unit/replay/run.h"

#include "base/os.h"

#include <string.h>

/* ---- a recording as a list of events that can be changed ---- */

struct event {
    uint32_t id;
    struct trace_clock clock;
    void *data;
};

struct events {
    struct arena arena;
    struct event *item;
    size_t count;
};

static void *copy(struct arena *arena, const void *data, size_t size)
{
    void *bytes = arena_alloc(arena, size, 16);
    assert_non_null(bytes);
    return size ? memcpy(bytes, data, size) : bytes;
}

/* Bytes that point into the record die with it. */
static void keep_bytes(struct arena *arena, const struct trace_kind *kind, void *event)
{
    for (uint32_t i = 0; i < kind->field_count; i++) {
        const struct trace_field *field = &kind->field[i];
        struct bytes *bytes = (void *)((char *)event + field->offset);
        if (field->list) { /* {item, count} */
            struct trace_list_u *list = (void *)bytes;
            char *item = copy(arena, list->item, list->count * field->stride);
            list->item = (void *)item;
            for (size_t k = 0; k < list->count; k++)
                for (unsigned m = 0; m < field->letter_count; m++) {
                    struct bytes *part =
                        (void *)(item + k * field->stride + field->member[m]);
                    if (field->letters[m] == 'b' || field->letters[m] == 'w')
                        part->data = copy(arena, part->data, part->size);
                }
        } else if (field->letters[0] == 'b' || field->letters[0] == 'w') {
            bytes->data = copy(arena, bytes->data, bytes->size);
        } else if (field->letters[0] == 's' && *(char **)(void *)bytes) {
            char **text = (void *)bytes;
            *text = copy(arena, *text, strlen(*text) + 1);
        }
    }
}

static struct events events_of(struct bytes file)
{
    enum { EVENT_COUNT_MAX = 1000 };
    struct events events = {0};
    struct trace_source source = trace_bytes_source(&file);
    struct trace_reader *reader;
    arena_init(&events.arena, (size_t)1 << 28);
    events.item = arena_new_array(&events.arena, struct event, EVENT_COUNT_MAX);
    assert_int_equal(trace_reader_open(&events.arena, &source, NULL, NULL, &reader),
                     ERR_ok);
    for (;;) {
        struct trace_record record;
        bool end;
        assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
        if (end)
            break;
        const struct trace_kind *kind = trace_kind_of(record.kind->id);
        assert_true(events.count < EVENT_COUNT_MAX);
        struct event *event = &events.item[events.count++];
        event->id = kind->id;
        event->clock = record.clock;
        event->data = arena_alloc(&events.arena, kind->struct_size, 16);
        assert_int_equal(trace_decode(reader, &record, (enum trace_id)kind->id,
                                      &events.arena, event->data),
                         ERR_ok);
        keep_bytes(&events.arena, kind, event->data);
    }
    trace_reader_close(reader);
    return events;
}

/* Write the events; false when the writer refuses them. */
static bool write_events(const struct events *events, struct trace_memory *memory)
{
    const struct trace_writer_options options = {.guest = TRACE_GUEST_PVM};
    struct arena arena;
    struct trace_writer *writer;
    arena_init(&arena, (size_t)1 << 28);
    trace_memory_init(memory, (size_t)64 << 20);
    struct trace_sink sink = trace_memory_sink(memory);
    assert_int_equal(trace_writer_create(&arena, &sink, &options, &writer), ERR_ok);
    for (size_t i = 0; i < events->count; i++)
        trace_writer_put(writer, (enum trace_id)events->item[i].id,
                         &events->item[i].clock, events->item[i].data);
    bool written = !trace_writer_finish(writer, NULL);
    arena_fini(&arena);
    return written;
}

static struct replay_report replay_events(const struct events *events,
                                          bool *ret_written)
{
    struct trace_memory memory;
    struct replay_report report = {0};
    const struct replay_options options = {.locate = true, .gas_max = 100000000};
    *ret_written = write_events(events, &memory);
    if (*ret_written)
        report = replay_bytes(buf_bytes(&memory.file), &options);
    trace_memory_fini(&memory);
    return report;
}

/* ---- changing one field ---- */

/* Change one value; the old contents come back by undo(). */
struct change {
    void *at;
    size_t size;
    uint8_t old[64];
};

static void change_at(struct change *change, void *at, size_t size)
{
    assert_true(size <= sizeof change->old);
    change->at = at;
    change->size = size;
    memcpy(change->old, at, size);
}

static void undo(const struct change *change)
{
    memcpy(change->at, change->old, change->size);
}

static void change_bytes(struct arena *arena, struct bytes *bytes)
{
    uint8_t *data = arena_alloc(arena, bytes->size + 1, 1);
    if (bytes->size)
        memcpy(data, bytes->data, bytes->size);
    else
        bytes->size = 1;
    data[bytes->size / 2] ^= 1;
    bytes->data = data;
}

static void change_value(struct arena *arena, char letter, void *value)
{
    struct trace_hash *hash = value;
    switch (letter) {
    case 'b':
    case 'w':
        change_bytes(arena, value);
        break;
    case 'h':
        hash->present = true;
        hash->hash.byte[5] ^= 1;
        break;
    case 's':
        *(const char **)value = "other";
        break;
    default:
        *(uint64_t *)value ^= 1;
        break;
    }
}

/* Change field `index` of the event: a scalar, the first value of a list's first item,
 * or an empty list gets an item. */
static void change_field(struct arena *arena, const struct event *event, uint32_t index,
                         struct change *change)
{
    const struct trace_field *field = &trace_kind_of(event->id)->field[index];
    char *value = (char *)event->data + field->offset;
    struct trace_list_u *list = (void *)value;
    if (!field->list) {
        change_at(change, value,
                  field->letters[0] == 'h'                               ? 33
                  : field->letters[0] == 'b' || field->letters[0] == 'w' ? 16
                                                                         : 8);
        change_value(arena, field->letters[0], value);
        return;
    }
    change_at(change, list, sizeof *list);
    char *item = arena_alloc(arena, (list->count + 1) * field->stride, 16);
    if (list->count)
        memcpy(item, list->item, list->count * field->stride);
    change_value(arena, field->letters[0], item + field->member[0]);
    list->item = (void *)item;
    list->count += !list->count;
}

/* ---- what must come of it ---- */

static bool is_input(const struct event *event, const struct trace_field *field)
{
    if (field->role == TRACE_ROLE_I || field->role == TRACE_ROLE_N)
        return true;
    if (field->role == TRACE_ROLE_O)
        return false;
    if (event->id == TRACE_ID_session_end)
        return true;
    return ((const struct trace_pvm_ecall *)event->data)->origin != 0;
}

static void check_output(const struct replay_report *report, size_t seq,
                         const struct trace_kind *kind, const struct trace_field *field)
{
    size_t size = strlen(field->name);
    if (report->class != REPLAY_DIVERGED)
        fail_msg("event %zu %s.%s: %s %s", seq, kind->wire, field->name,
                 replay_class_name(report->class), report->detail);
    assert_int_equal(report->divergence.seq, seq);
    assert_string_equal(report->divergence.recorded_name, kind->wire);
    assert_string_equal(report->divergence.produced_name, kind->wire);
    if (strncmp(report->divergence.field, field->name, size) != 0)
        fail_msg("event %zu %s.%s: the report names %s", seq, kind->wire, field->name,
                 report->divergence.field);
    assert_string_not_equal(report->divergence.recorded, report->divergence.produced);
}

/* Another input: the run is another one, or the trace makes no sense any more. */
static void check_input(const struct replay_report *report, size_t seq,
                        const struct trace_kind *kind, const struct trace_field *field)
{
    if (report->class == REPLAY_FAILED)
        fail_msg("event %zu %s.%s: %s", seq, kind->wire, field->name, report->detail);
    if (report->class == REPLAY_DIVERGED)
        assert_true(report->divergence.seq >= seq ||
                    kind->id == TRACE_ID_session_config ||
                    kind->id == TRACE_ID_session_begin || seq < 8);
}

static void change_everything(const struct recording *r)
{
    struct events events = events_of(recording_bytes(r));
    for (size_t i = 0; i < events.count; i++) {
        const struct event *event = &events.item[i];
        const struct trace_kind *kind = trace_kind_of(event->id);
        for (uint32_t k = 0; k < kind->field_count; k++) {
            struct change change;
            bool written;
            change_field(&events.arena, event, k, &change);
            struct replay_report report = replay_events(&events, &written);
            if (!written)
                ; /* such as bits without their number */
            else if (is_input(event, &kind->field[k]))
                check_input(&report, i, kind, &kind->field[k]);
            else
                check_output(&report, i, kind, &kind->field[k]);
            undo(&change);
        }
    }
    /* Undone: it is as it was. */
    bool written;
    struct replay_report report = replay_events(&events, &written);
    assert_true(written);
    assert_int_equal(report.class, REPLAY_SAME);
    arena_fini(&events.arena);
}

static void record_upcase(struct arena *arena, struct recording *r,
                          enum pvm_gas_log gas_log)
{
    struct script script = {.input = "one\ntwo\n", .clock = 77};
    struct replay_host host = script_host(&script);
    struct replay_setup setup = setup_program(arena, "upcase", NULL, 0);
    setup.digest_every = 2;
    setup.hash_every = 1000;
    setup.gas_log = gas_log;
    record(r, &setup, &host, false);
    buf_fini(&script.output);
}

static void test_every_field(void **state)
{
    (void)state;
    for (int log = PVM_GAS_LOG_LEDGER; log <= PVM_GAS_LOG_SUMMARY; log++) {
        struct arena arena;
        struct recording r;
        arena_init(&arena, (size_t)1 << 26);
        if (log == PVM_GAS_LOG_EACH)
            continue; /* thousands of events; the charge itself is tried below */
        record_upcase(&arena, &r, (enum pvm_gas_log)log);
        change_everything(&r);
        recording_fini(&r);
        arena_fini(&arena);
    }
}

static void test_charges(void **state)
{
    (void)state;
    struct arena arena;
    struct recording r;
    arena_init(&arena, (size_t)1 << 26);
    struct replay_setup setup = setup_of(
        assemble(&arena, "load_imm a0, 2\nfallthrough\nloop:\nadd_imm_64 a0, a0, -1\n"
                         "branch_ne_imm a0, 0, loop\ntrap\n"),
        PVM_PROFILE_VECTORS);
    setup.gas_log = PVM_GAS_LOG_EACH;
    record(&r, &setup, NULL, false);
    change_everything(&r);
    recording_fini(&r);
    arena_fini(&arena);
}

/* Another clock at each event that may have one. */
static void test_clocks(void **state)
{
    (void)state;
    struct arena arena;
    struct recording r;
    unsigned tried = 0;
    arena_init(&arena, (size_t)1 << 26);
    record_upcase(&arena, &r, PVM_GAS_LOG_LEDGER);
    struct events events = events_of(recording_bytes(&r));
    for (size_t i = 0; i < events.count; i++) {
        for (int gas = 0; gas < 2; gas++) {
            uint64_t *clock =
                gas ? &events.item[i].clock.gas : &events.item[i].clock.icount;
            bool written;
            ++*clock;
            struct replay_report report = replay_events(&events, &written);
            --*clock;
            if (!written)
                continue;
            tried++;
            assert_int_equal(report.class, REPLAY_DIVERGED);
            assert_int_equal(report.divergence.seq, i);
            assert_string_equal(report.divergence.field, gas ? "gas" : "icount");
        }
    }
    assert_true(tried > 5);
    arena_fini(&events.arena);
    recording_fini(&r);
    arena_fini(&arena);
}

/* ---- events that are gone, twice there, or foreign ---- */

static struct replay_report replay_without(const struct events *events, size_t gone)
{
    struct events less = *events;
    struct event item[1000];
    bool written;
    less.item = item;
    less.count = 0;
    for (size_t i = 0; i < events->count; i++) {
        if (i != gone)
            item[less.count++] = events->item[i];
    }
    struct replay_report report = replay_events(&less, &written);
    assert_true(written);
    return report;
}

static void test_missing_events(void **state)
{
    (void)state;
    struct arena arena;
    struct recording r;
    arena_init(&arena, (size_t)1 << 26);
    record_upcase(&arena, &r, PVM_GAS_LOG_LEDGER);
    struct events events = events_of(recording_bytes(&r));
    for (size_t i = 0; i < events.count; i++) {
        struct replay_report report = replay_without(&events, i);
        if (i == events.count - 1) {
            /* As a recovered file is: closed, without an end. */
            assert_int_equal(report.class, REPLAY_OPEN);
            assert_false(report.finished);
        } else if (i && events.item[i].id == TRACE_ID_session_config) {
            assert_true(report.class == REPLAY_DIVERGED || report.class == REPLAY_SAME);
        } else if (events.item[i].id == TRACE_ID_session_begin ||
                   events.item[i].id == TRACE_ID_pvm_program ||
                   events.item[i].id == TRACE_ID_pvm_start) {
            assert_int_equal(report.class, REPLAY_DAMAGED);
        } else {
            assert_int_equal(report.class, REPLAY_DIVERGED);
            assert_int_equal(report.divergence.seq, i);
        }
    }
    arena_fini(&events.arena);
    recording_fini(&r);
    arena_fini(&arena);
}

static struct replay_report replay_config(const char *key, const char *value)
{
    struct arena arena;
    struct recording r;
    bool written;
    arena_init(&arena, (size_t)1 << 26);
    record_upcase(&arena, &r, PVM_GAS_LOG_LEDGER);
    struct events events = events_of(recording_bytes(&r));
    assert_int_equal(events.item[1].id, TRACE_ID_session_config);
    *(struct trace_session_config *)events.item[1].data =
        (struct trace_session_config){.key = key, .value = value};
    struct replay_report report = replay_events(&events, &written);
    assert_true(written);
    arena_fini(&events.arena);
    recording_fini(&r);
    arena_fini(&arena);
    return report;
}

static void test_configuration(void **state)
{
    (void)state;
    assert_int_equal(replay_config("digest.every", "2").class, REPLAY_SAME);
    assert_int_equal(replay_config("digest.every", "3").class, REPLAY_DIVERGED);
    assert_int_equal(replay_config("digest.every", "0").class,
                     REPLAY_OTHER_CONFIGURATION);
    assert_int_equal(replay_config("digest.every", "02").class,
                     REPLAY_OTHER_CONFIGURATION);
    assert_int_equal(replay_config("digest.every", "-2").class,
                     REPLAY_OTHER_CONFIGURATION);
    assert_int_equal(replay_config("digest.every", "18446744073709551616").class,
                     REPLAY_OTHER_CONFIGURATION);
    assert_int_equal(replay_config("digest.every", "").class,
                     REPLAY_OTHER_CONFIGURATION);
    struct replay_report report = replay_config("dig", "2");
    assert_int_equal(report.class, REPLAY_OTHER_CONFIGURATION);
    assert_non_null(strstr(report.detail, "key dig"));
    assert_int_equal(replay_config("zzz", "2").class, REPLAY_OTHER_CONFIGURATION);
    /* Behind the keys that follow. */
    assert_int_equal(replay_config("log.reads", "1").class, REPLAY_DAMAGED);
}

static void test_program(void **state)
{
    (void)state;
    struct arena arena;
    struct recording r;
    bool written;
    arena_init(&arena, (size_t)1 << 26);
    record_upcase(&arena, &r, PVM_GAS_LOG_LEDGER);
    struct events events = events_of(recording_bytes(&r));
    for (size_t i = 0; i < events.count; i++) {
        struct trace_pvm_program *program = events.item[i].data;
        if (events.item[i].id != TRACE_ID_pvm_program)
            continue;
        struct bytes code = program->code;
        change_bytes(&events.arena, &program->code);
        assert_int_equal(replay_events(&events, &written).class, REPLAY_OTHER_PROGRAM);
        program->code = bytes_of("\x00\x00", 2);
        program->hash = trace_hash_of(hash256_of("\x00\x00", 2));
        assert_int_equal(replay_events(&events, &written).class, REPLAY_OTHER_PROGRAM);
        program->code = code;
        program->hash = trace_hash_of(hash256_of(code.data, code.size));
        program->model = 3;
        assert_int_equal(replay_events(&events, &written).class,
                         REPLAY_OTHER_CONFIGURATION);
        program->model = 0;
        assert_int_equal(replay_events(&events, &written).class, REPLAY_SAME);
    }
    arena_fini(&events.arena);
    recording_fini(&r);
    arena_fini(&arena);
}

static void test_version(void **state)
{
    (void)state;
    struct arena arena;
    struct recording r;
    bool written;
    arena_init(&arena, (size_t)1 << 26);
    record_upcase(&arena, &r, PVM_GAS_LOG_LEDGER);
    struct events events = events_of(recording_bytes(&r));
    struct trace_session_begin *begin = events.item[0].data;
    begin->spec = 2;
    struct replay_report report = replay_events(&events, &written);
    assert_int_equal(report.class, REPLAY_OTHER_VERSION);
    assert_string_equal(report.detail, "event specification 2, this version knows 1");
    /* A newer file format. */
    struct buf file;
    buf_init(&file, (size_t)1 << 26);
    struct bytes bytes = recording_bytes(&r);
    buf_put(&file, bytes.data, bytes.size);
    file.data[8] = 2;
    report = replay_bytes(buf_bytes(&file), NULL);
    assert_int_equal(report.class, REPLAY_OTHER_VERSION);
    assert_non_null(strstr(report.detail, "2.0"));
    buf_fini(&file);
    arena_fini(&events.arena);
    recording_fini(&r);
    arena_fini(&arena);
}

/* ---- hostile answers ---- */

static struct trace_pvm_ecall *find_ecall(struct events *events, uint64_t op)
{
    for (size_t i = 0; i < events->count; i++) {
        struct trace_pvm_ecall *ecall = events->item[i].data;
        if (events->item[i].id == TRACE_ID_pvm_ecall && ecall->op == op)
            return ecall;
    }
    fail_msg("no ecall %llu", (unsigned long long)op);
    return NULL;
}

static void expect_refused(struct events *events, const char *what)
{
    bool written;
    struct replay_report report = replay_events(events, &written);
    if (!written || report.class != REPLAY_DAMAGED)
        fail_msg("%s: %s %s", what, replay_class_name(report.class), report.detail);
}

static void test_hostile_answers(void **state)
{
    (void)state;
    struct arena arena;
    struct recording r;
    arena_init(&arena, (size_t)1 << 26);
    record_upcase(&arena, &r, PVM_GAS_LOG_LEDGER);
    struct events events = events_of(recording_bytes(&r));
    struct trace_pvm_ecall *ecall = find_ecall(&events, REPLAY_CALL_read);
    const struct trace_pvm_ecall good = *ecall;
    struct trace_uu range = good.writes.item[0];
    ecall->writes.item = &range;
    const uint64_t bad[][2] = {
        {0, 8},
        {0x10000, 8},
        {0xfffffffc, 8},
        {UINT64_MAX, 8},
        {range.a, 9},
        {range.a, 7},
        {range.a, UINT64_MAX},
        {range.a, 1 << 30},
        {(uint64_t)1 << 32, 8},
        {range.a, 0},
    };
    for (size_t i = 0; i < countof(bad); i++) {
        range = (struct trace_uu){bad[i][0], bad[i][1]};
        expect_refused(&events, "a range of memory");
    }
    *ecall = good;
    struct trace_uu out = {13, 0};
    ecall->out = (struct trace_list_uu){&out, 1};
    expect_refused(&events, "register 13");
    out.a = UINT64_MAX;
    expect_refused(&events, "register 2^64 - 1");
    *ecall = good;
    ecall->outcome = 2;
    expect_refused(&events, "outcome 2");
    *ecall = good;
    ecall->wdig ^= 1;
    expect_refused(&events, "the digest");
    *ecall = good;
    static const struct trace_uuu charge = {4, 67, 1};
    ecall->charges = (struct trace_list_uuu){&charge, 1};
    expect_refused(&events, "a charge");
    *ecall = good;
    arena_fini(&events.arena);
    recording_fini(&r);
    arena_fini(&arena);
}

/* ---- the first bad instruction ---- */

/* A branch that depends on an input: with another input the path parts there. */
static void test_located(void **state)
{
    (void)state;
    static const char text[] = "    load_imm a0, 1\n"
                               "    ecalli 72\n"
                               "    load_imm a1, 3\n"
                               "    fallthrough\n"
                               "loop:\n"
                               "    add_imm_64 a1, a1, -1\n"
                               "    branch_ne_imm a1, 0, loop\n"
                               "    and_imm a0, a0, 1\n"
                               "    branch_eq_imm a0, 0, even\n"
                               "    load_imm a2, 5\n"
                               "    fallthrough\n"
                               "even:\n"
                               "    trap\n";
    struct arena arena;
    struct recording r;
    struct script script = {.clock = 10}; /* answers 12 */
    struct replay_host host = script_host(&script);
    struct pvm_code code;
    struct pvm_insn insn;
    bool written;
    arena_init(&arena, (size_t)1 << 26);
    struct replay_setup setup = setup_of(assemble(&arena, text), PVM_PROFILE_VECTORS);
    record(&r, &setup, &host, false);
    struct events events = events_of(recording_bytes(&r));
    struct trace_pvm_ecall *ecall = find_ecall(&events, REPLAY_CALL_clock);
    struct trace_uu out = {7, 13};
    ecall->out.item = &out;
    struct replay_report report = replay_events(&events, &written);
    assert_int_equal(report.class, REPLAY_DIVERGED);
    assert_string_equal(report.divergence.produced_name, "pvm.segment");
    assert_true(report.place.present);
    assert_true(report.place.exact);
    assert_int_equal(pvm_code_parse(setup.code, &code), ERR_ok);
    assert_true(pvm_insn_decode(&code, PVM_PROFILE_VECTORS, report.place.pc, &insn));
    assert_int_equal(insn.op, PVM_OP_branch_eq_imm);
    assert_int_equal(report.place.clock.icount, 11);
    assert_int_equal(report.place.reg[7], 1);
    assert_string_equal(report.place.what,
                        "branch 3: recorded taken, replayed not taken");
    assert_true(report.place.listing_count >= 3);
    bool listed = false;
    for (uint32_t i = 0; i < report.place.listing_count; i++)
        listed |= report.place.listing_pc[i] == report.place.pc;
    assert_true(listed);
    buf_fini(&script.output);
    arena_fini(&events.arena);
    recording_fini(&r);
    arena_fini(&arena);
}

/* ---- damage ---- */

static void test_damage(void **state)
{
    (void)state;
    struct arena arena;
    struct recording r;
    struct buf file;
    uint64_t seed = test_seed(7), random = seed;
    arena_init(&arena, (size_t)1 << 26);
    record_upcase(&arena, &r, PVM_GAS_LOG_LEDGER);
    struct bytes bytes = recording_bytes(&r);
    for (int i = 0; i < 400; i++) {
        buf_init(&file, (size_t)1 << 26);
        buf_put(&file, bytes.data, bytes.size);
        size_t at = (size_t)(test_random(&random) % file.size);
        file.data[at] ^= (uint8_t)(1u << (test_random(&random) & 7));
        struct replay_report report = replay_bytes(buf_bytes(&file), NULL);
        /* Padding and the index are not the guest's; nothing wrong is accepted. */
        if (report.class != REPLAY_DAMAGED && report.class != REPLAY_OPEN &&
            report.class != REPLAY_OTHER_VERSION) {
            test_reproduce("replay_divergence", seed);
            assert_int_equal(report.class, REPLAY_SAME);
            assert_memory_equal(&report.identity, &r.identity, sizeof r.identity);
        }
        buf_fini(&file);
    }
    for (size_t size = 0; size < bytes.size; size++) {
        struct replay_report report = replay_bytes(bytes_of(bytes.data, size), NULL);
        assert_true(report.class == REPLAY_DAMAGED || report.class == REPLAY_OPEN);
    }
    recording_fini(&r);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field),   cmocka_unit_test(test_charges),
        cmocka_unit_test(test_clocks),        cmocka_unit_test(test_missing_events),
        cmocka_unit_test(test_configuration), cmocka_unit_test(test_program),
        cmocka_unit_test(test_version),       cmocka_unit_test(test_hostile_answers),
        cmocka_unit_test(test_located),       cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
