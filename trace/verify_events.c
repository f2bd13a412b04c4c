/* SPDX-License-Identifier: MIT
 *
 * `verify`, second pass: rules between events, blobs, lists, and the gas ledger.
 */
#include "trace/ledger.h"
#include "trace/verify.h"

enum {
    DEDUP_COUNT_MAX = 1 << 19,      /* blobs whose contents are compared */
    PROGRAM_COUNT_MAX = 1024,       /* programs whose segments are expanded */
    PROGRAM_MEMORY_MAX = 256 << 20, /* their block and jump tables */
    EVENT_MEMORY_MAX = 64 << 20,    /* one decoded event */
};

enum gas_mode { GAS_OTHER, GAS_LEDGER, GAS_EACH, GAS_SUMMARY };

struct program {
    bool expandable;
    struct trace_pvm_ledger ledger;
};

struct events {
    struct verify *verify;
    struct trace_reader *reader;
    const struct trace_record *record;
    struct arena event;    /* cleared for each */
    struct arena programs; /* lives for the pass */
    struct program *program;
    uint64_t program_count;
    struct blob_table blobs;
    uint32_t blobs_epoch;
    uint32_t blobs_seen;   /* defined before the event at hand */
    uint32_t blobs_passed; /* of those, not compared */
    uint32_t blobs_next;   /* the next one that must be used for the first time */
    char *config_key;      /* of the previous session.config */
    enum gas_mode mode;
    uint64_t next_seq;
    uint64_t gap_gas; /* that a cut has left out */
    bool ended;       /* session.end was there */
    bool charges_overflow;
};

static void defect(struct events *events, enum err err, const char *text)
{
    struct trace_chunk chunk = trace_reader_chunk(events->reader);
    struct bytes payload = events->reader->walk.payload;
    uintptr_t at = (uintptr_t)events->record->wire.data - (uintptr_t)payload.data;
    trace_verify_defect(events->verify, err, chunk.offset, at < payload.size ? at : 0,
                        text);
}

/* A limit that the caller may lower. */
static uint32_t limit(uint32_t wanted, uint32_t most)
{
    return wanted && wanted < most ? wanted : most;
}

/* ---- blobs [3.4] ---- */

/* Read the blobs defined since the last event; each content once in an epoch. */
static enum err pass_blobs(struct events *events)
{
    struct trace_reader *reader = events->reader;
    if (events->blobs_epoch != reader->epoch) {
        trace_blob_table_clear(&events->blobs);
        events->blobs_seen = 0;
        events->blobs_passed = 0;
    }
    events->blobs_epoch = reader->epoch;
    events->blobs_next = events->blobs_seen;
    uint32_t most = limit(events->verify->options->blob_count_max, DEDUP_COUNT_MAX);
    while (events->blobs.count < most &&
           events->blobs.count < reader_blob_count(reader)) {
        struct bytes content;
        uint32_t number;
        TRY(trace_reader_blob(reader, events->blobs.count, &content));
        struct hash256 hash = hash256_of(content.data, content.size);
        if (trace_blob_table_find(&events->blobs, &hash, &number))
            defect(events, ERR_trace_blob, "blob is stored twice");
        TRY(trace_blob_table_add(&events->blobs, &hash));
    }
    uint32_t passed = reader_blob_count(reader) - events->blobs.count;
    events->verify->summary->uncompared_count += passed - events->blobs_passed;
    events->blobs_passed = passed;
    return ERR_ok;
}

/* The pieces of a w value: there, of the right sizes, new ones in order. */
static enum err check_wide(struct events *events, const struct trace_value *value)
{
    struct wire wire = wire_of(value->blob);
    uint64_t left = value->size, number;
    while (value->blob_count && wire_uint(&wire, &number)) {
        struct bytes piece;
        uint64_t want = left < BLOB_SIZE_MAX ? left : BLOB_SIZE_MAX;
        TRY(trace_reader_blob(events->reader, number, &piece));
        if (piece.size != want)
            defect(events, ERR_trace_blob, "blob has the wrong size for its place");
        if (number > events->blobs_next)
            defect(events, ERR_trace_blob, "blobs are used out of order");
        if (number >= events->blobs_next)
            events->blobs_next = (uint32_t)number + 1;
        left -= want;
    }
    return ERR_ok;
}

static enum err check_wides(struct events *events)
{
    const struct trace_record *record = events->record;
    struct wire wire = wire_of(record->fields);
    for (uint32_t i = 0; i < record->field_count; i++) {
        const struct trace_field *field = &record->kind->field[i];
        struct trace_values values =
            trace_values_of(field, bytes_of(wire.at, wire_left(&wire)));
        struct trace_value value;
        if (!trace_wire_skip(&wire))
            return ERR_trace_canonical;
        if (!field->wide)
            continue;
        while (trace_values_next(&values, &value)) {
            if (value.type == 'w')
                TRY(check_wide(events, &value));
        }
    }
    events->blobs_seen = reader_blob_count(events->reader);
    if (events->blobs_next != events->blobs_seen)
        defect(events, ERR_trace_blob, "blob is not used by the event behind it");
    return ERR_ok;
}

/* ---- lists that are sets, lists without trailing zeros [3.3, 4.3] ---- */

static void check_registers_set(struct events *events, const struct trace_list_uu *list)
{
    for (size_t i = 1; i < list->count; i++) {
        if (list->item[i - 1].a >= list->item[i].a) {
            defect(events, ERR_trace_canonical, "registers are out of order");
            return;
        }
    }
}

static void check_slots(struct events *events, const struct trace_list_uuh *list)
{
    for (size_t i = 1; i < list->count; i++) {
        const struct trace_uuh *a = &list->item[i - 1], *b = &list->item[i];
        if (a->a > b->a || (a->a == b->a && a->b >= b->b)) {
            defect(events, ERR_trace_canonical, "slots are out of order");
            return;
        }
    }
}

static void check_ranges(struct events *events, const struct trace_list_uu *list)
{
    for (size_t i = 1; i < list->count; i++) {
        const struct trace_uu *a = &list->item[i - 1], *b = &list->item[i];
        if (a->a >= b->a || b->a - a->a < a->b) {
            defect(events, ERR_trace_canonical, "memory ranges are out of order");
            return;
        }
    }
}

static void check_registers(struct events *events, const struct trace_list_u *list)
{
    if (list->count && !list->item[list->count - 1])
        defect(events, ERR_trace_canonical, "a register list ends in zeros");
}

/* ---- gas [5] ---- */

static void add_charge(struct events *events, uint64_t kind, uint64_t cost)
{
    struct trace_summary *summary = events->verify->summary;
    if (kind > 7)
        defect(events, ERR_trace_ledger, "a charge has an unknown kind");
    if (kind >= 7) /* credits are not part of the gas clock */
        return;
    summary->charge_count++;
    events->charges_overflow |=
        __builtin_add_overflow(summary->charge_sum, cost, &summary->charge_sum);
}

static void add_charges(struct events *events, const struct trace_list_uuu *charges)
{
    for (size_t i = 0; i < charges->count; i++)
        add_charge(events, charges->item[i].a, charges->item[i].c);
}

static void add_segment(struct events *events, uint64_t n, uint64_t gas, size_t pages)
{
    struct trace_summary *summary = events->verify->summary;
    summary->charge_count += n + pages;
    events->charges_overflow |=
        __builtin_add_overflow(summary->charge_sum, gas, &summary->charge_sum);
}

/* A branch that goes on with the guest of another trace. */
static bool is_child(const struct events *events)
{
    const struct trace_header *header = trace_reader_header(events->reader);
    return header->parent.present && (header->flags & TRACE_HEADER_CUT) &&
           !events->program_count;
}

static void on_segment(struct events *events, const struct trace_pvm_segment *segment)
{
    struct trace_ledger_fault fault;
    if (segment->prog >= events->program_count && is_child(events)) {
        events->verify->summary->unexpanded_count++; /* its parent has the program */
        return;
    }
    if (segment->prog >= events->program_count) {
        defect(events, ERR_trace_event, "segment of a program that is not there");
        return;
    }
    const struct program *program = NULL;
    if (segment->prog <
        limit(events->verify->options->program_count_max, PROGRAM_COUNT_MAX))
        program = &events->program[segment->prog];
    if (!program || !program->expandable) {
        events->verify->summary->unexpanded_count++;
        return;
    }
    if (trace_ledger_expand(&program->ledger, segment, NULL, NULL, &fault)) {
        struct buf text;
        buf_init(&text, 256);
        buf_printf(&text, "ledger inconsistent at bit %llu: %s",
                   (unsigned long long)fault.bit, fault.text);
        defect(events, ERR_trace_ledger, buf_string(&text));
        buf_fini(&text);
    }
}

static void on_program(struct events *events, const struct trace_pvm_program *event)
{
    const struct trace_verify_options *options = events->verify->options;
    struct hash256 hash = hash256_of(event->code.data, event->code.size);
    uint64_t number = events->program_count++;
    if (event->prog != number)
        defect(events, ERR_trace_event, "programs are not numbered 0, 1, ...");
    if (event->kind == 0 &&
        (!event->hash.present || !hash256_equal(&hash, &event->hash.hash)))
        defect(events, ERR_trace_event, "program hash is not that of its code");
    if (number >= limit(options->program_count_max, PROGRAM_COUNT_MAX) ||
        options->quick)
        return;
    struct program *program = &events->program[number];
    struct trace_pvm_ledger *ledger = &program->ledger;
    enum err err =
        trace_blocks_parse(&events->programs, event->blocks, &ledger->blocks);
    if (err == ERR_trace_ledger)
        defect(events, err, "block table is malformed");
    if (!err && options->jump_table)
        program->expandable =
            !options->jump_table(options->self, event, &events->programs, &ledger->jump,
                                 &ledger->jump_count);
}

/* At the end Σ cost of kinds 0-6 is the gas clock [5.1]. */
static void check_sum(struct events *events)
{
    const struct trace_summary *summary = events->verify->summary;
    if (events->mode == GAS_OTHER)
        return;
    if (events->charges_overflow ||
        summary->charge_sum != summary->end.gas - events->gap_gas)
        defect(events, ERR_trace_ledger, "charges do not add up to the gas clock");
}

/* ---- one event ---- */

static void on_config(struct events *events, const struct trace_session_config *event)
{
    size_t size = strlen(event->key) + 1;
    if (events->config_key && strcmp(events->config_key, event->key) >= 0)
        defect(events, ERR_trace_event, "options are not sorted, or there twice");
    events->config_key = arena_copy(&events->programs, event->key, size);
    if (strcmp(event->key, "gas") != 0)
        return;
    events->mode = strcmp(event->value, "ledger") == 0    ? GAS_LEDGER
                   : strcmp(event->value, "each") == 0    ? GAS_EACH
                   : strcmp(event->value, "summary") == 0 ? GAS_SUMMARY
                                                          : GAS_OTHER;
}

static void on_ecall(struct events *events, const struct trace_pvm_ecall *event)
{
    add_charges(events, &event->charges);
    check_registers(events, &event->in);
    check_ranges(events, &event->reads);
    check_ranges(events, &event->writes);
    check_registers_set(events, &event->out);
    check_slots(events, &event->slots);
}

static void on_event(struct events *events, const union any_event *event)
{
    switch (events->record->kind->id) {
    case TRACE_ID_session_config:
        on_config(events, &event->as_session_config);
        break;
    case TRACE_ID_session_end:
        events->ended = true;
        break;
    case TRACE_ID_pvm_program:
        on_program(events, &event->as_pvm_program);
        break;
    case TRACE_ID_pvm_start:
        check_registers(events, &event->as_pvm_start.regs);
        add_charges(events, &event->as_pvm_start.charges);
        break;
    case TRACE_ID_pvm_segment:
        add_segment(events, event->as_pvm_segment.n, event->as_pvm_segment.gas,
                    event->as_pvm_segment.extra.count);
        if (!events->verify->options->quick)
            on_segment(events, &event->as_pvm_segment);
        break;
    case TRACE_ID_pvm_summary:
        add_segment(events, event->as_pvm_summary.n, event->as_pvm_summary.gas, 0);
        break;
    case TRACE_ID_pvm_charge:
        add_charge(events, event->as_pvm_charge.kind, event->as_pvm_charge.cost);
        break;
    case TRACE_ID_pvm_ecall:
        on_ecall(events, &event->as_pvm_ecall);
        break;
    default:
        break;
    }
}

static enum err check_event(struct events *events)
{
    const struct trace_record *record = events->record;
    struct trace_summary *summary = events->verify->summary;
    const struct trace_header *header = trace_reader_header(events->reader);
    uint32_t id = record->kind->id;
    if (events->ended)
        defect(events, ERR_trace_event, "events behind session.end");
    if (!summary->event_count && !(header->flags & TRACE_HEADER_CUT) &&
        id != TRACE_ID_session_begin)
        defect(events, ERR_trace_event, "first event is not session.begin");
    if (record->seq != events->next_seq)
        events->gap_gas +=
            trace_reader_clock_before(events->reader).gas - summary->end.gas;
    events->next_seq = record->seq + 1;
    summary->event_count++;
    summary->kind_count[id < countof(summary->kind_count) ? id : 0]++;
    summary->end = record->clock;
    TRY(pass_blobs(events));
    TRY(check_wides(events));
    if (!trace_kind_of(id))
        return ERR_ok;
    union any_event event;
    arena_clear(&events->event);
    enum err err =
        trace_decode(events->reader, record, (enum trace_id)id, &events->event, &event);
    if (err == ERR_nomem) { /* a value larger than this pass keeps in memory */
        summary->unexpanded_count++;
        return ERR_ok;
    }
    TRY(err);
    on_event(events, &event);
    return ERR_ok;
}

static enum err walk_events(struct events *events)
{
    struct trace_record record;
    bool end;
    for (;;) {
        enum err err = trace_reader_next(events->reader, &record, &end);
        if (err && err_is_damage(err))
            return ERR_ok; /* reported by the first pass */
        TRY(err);
        if (end)
            break;
        events->record = &record;
        err = check_event(events);
        if (err && !err_is_damage(err))
            return err;
        if (err)
            defect(events, err, err_text(err));
    }
    if (events->ended && trace_reader_gap_count(events->reader) == 0)
        check_sum(events);
    return ERR_ok;
}

enum err trace_verify_events(struct arena *arena, const struct trace_source *source,
                             struct verify *verify)
{
    struct events events = {.verify = verify};
    arena_init(&events.event, EVENT_MEMORY_MAX);
    arena_init(&events.programs, PROGRAM_MEMORY_MAX);
    trace_blob_table_init(&events.blobs);
    events.program =
        arena_new_array(&events.programs, struct program, PROGRAM_COUNT_MAX);
    enum err err = events.program ? ERR_ok : ERR_nomem;
    if (!err)
        err = trace_reader_open(arena, source, NULL, NULL, &events.reader);
    if (!err)
        err = walk_events(&events);
    trace_reader_close(events.reader);
    trace_blob_table_fini(&events.blobs);
    arena_fini(&events.event);
    arena_fini(&events.programs);
    return err;
}
