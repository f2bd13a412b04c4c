/* SPDX-License-Identifier: MIT
 *
 * Hostile traces for the reader, the validator, the decoder, verify, recover and the
 * ledger.  The first byte says what the rest is:
 *
 *   0   a file as it is
 *   1   the raw payload of a chunk of events, in a file that is right otherwise
 *   2   a schema chunk (u16 size in front), then events by that schema
 *   3   a block table (u16 size), a jump table (u8 count, u16 each), then the fields of
 *       a pvm.segment record
 *   4   like 1, cut into chunks of 64 bytes of records
 *
 * What the validator accepts is canonical: decoded and written again it is the same
 * bytes.  What recover writes is whole.
 */
#include "trace/internal.h"
#include "trace/ledger.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_MAX = 8 << 20, MEMORY_MAX = 16 << 20, ROW_COUNT_GUESS = 65535 };

/* ---- files with right checksums ---- */

struct made {
    struct trace_memory memory;
    struct tail tail;
    struct position position;
};

static uint32_t count_items(struct bytes payload)
{
    struct wire wire = wire_of(payload);
    uint32_t count = 0;
    while (wire_left(&wire) && trace_wire_skip(&wire))
        count++;
    return count ? count : 1;
}

static void make_begin(struct made *made, struct bytes schema)
{
    struct trace_header header = {.guest = TRACE_GUEST_PVM};
    struct trace_chunk chunk = {.kind = TRACE_CHUNK_SCHEMA};
    struct buf rows;
    *made = (struct made){0};
    buf_init(&rows, 1 << 20);
    trace_memory_init(&made->memory, FILE_MAX);
    struct trace_sink sink = trace_memory_sink(&made->memory);
    trace_tail_init(&made->tail, &sink, TRACE_SYNC_NONE, 0);
    check(!trace_tail_put_header(&made->tail, &header));
    made->position.chain = header.chain_init;
    if (!schema.data) {
        chunk.record_count = trace_schema_put(&rows, TRACE_GUEST_PVM, NULL, 0);
        schema = buf_bytes(&rows);
    } else {
        chunk.record_count = count_items(schema);
    }
    check(!trace_tail_put_chunk(&made->tail, &chunk, schema, &made->position.chain));
    buf_fini(&rows);
}

/* A chunk that claims what its records add up to, as far as they can be read. */
static void make_events(struct made *made, struct bytes payload)
{
    struct position *position = &made->position;
    struct trace_chunk chunk = {
        .kind = TRACE_CHUNK_EVENTS,
        .seq0 = position->seq,
        .icount0 = position->clock.icount,
        .gas0 = position->clock.gas,
        .blob0 = position->blob_count,
        .record_count = count_items(payload),
    };
    struct wire wire = wire_of(payload);
    while (wire_left(&wire)) {
        struct wire head = wire;
        uint64_t count, id, dt, dx;
        if (!trace_wire_skip(&wire) || !wire_array(&head, &count) ||
            !wire_uint(&head, &id) || !wire_uint(&head, &dt) || !wire_uint(&head, &dx))
            break;
        position->seq += id != TRACE_ID_blob;
        position->blob_count += id == TRACE_ID_blob;
        position->clock.icount += dt;
        position->clock.gas += dx;
    }
    chunk.icount1 = position->clock.icount;
    check(!trace_tail_put_chunk(&made->tail, &chunk, payload, &position->chain));
}

static void make_end(struct made *made)
{
    check(!trace_tail_finish(&made->tail, &made->position, true));
}

static void make_fini(struct made *made)
{
    trace_tail_fini(&made->tail);
    trace_memory_fini(&made->memory);
}

/* ---- what is done with a file ---- */

/* Every value of a record, one by one, as dump does. */
static void visit(struct trace_reader *reader, const struct trace_record *record)
{
    struct buf text;
    buf_init(&text, 4 << 20);
    for (uint32_t i = 0; i < record->kind->field_count; i++) {
        struct trace_values values = trace_record_values(record, i);
        struct trace_value value;
        while (trace_values_next(&values, &value)) {
            uint8_t some[16];
            size_t size = value.size < sizeof some ? (size_t)value.size : sizeof some;
            trace_value_text(&value, &text);
            if (value.blob_count)
                (void)!trace_value_read(reader, &value, value.size - size, some, size);
        }
        buf_clear(&text);
    }
    buf_fini(&text);
}

/* Decoded and packed again: the same bytes. */
static void check_canonical(const struct trace_record *record, const void *event,
                            const struct trace_clock *before, struct arena *arena)
{
    const struct trace_kind *kind = trace_kind_of(record->kind->id);
    struct encoding encoding = {.kind = kind,
                                .field_count = kind->field_count,
                                .before = *before,
                                .now = record->clock};
    for (uint32_t i = 0; i < kind->field_count; i++) {
        if (kind->field[i].wide) /* blob numbers are not in the struct */
            return;
    }
    uint8_t *room = arena_alloc(arena, RECORD_SIZE_MAX, 1);
    if (!room)
        return;
    struct packer packer = {.at = room, .end = room + RECORD_SIZE_MAX};
    check(!trace_encode_event(&packer, &encoding, event));
    check((size_t)(packer.at - room) == record->wire.size);
    check(!memcmp(room, record->wire.data, record->wire.size));
}

static uint64_t read_events(const struct trace_source *source, bool salvage, bool full)
{
    struct trace_reader_options options = {.salvage = salvage};
    struct trace_reader *reader;
    struct trace_record record;
    struct trace_fault fault;
    struct arena arena, event_arena;
    struct trace_clock before = {0};
    uint64_t count = 0;
    bool end = false;
    arena_init(&arena, MEMORY_MAX);
    arena_init(&event_arena, MEMORY_MAX);
    if (trace_reader_open(&arena, source, &options, &fault, &reader)) {
        arena_fini(&arena);
        return 0;
    }
    while (!trace_reader_next(reader, &record, &end) && !end) {
        union any_event event;
        check(salvage || record.seq == count || count == 0 ||
              trace_reader_gap_count(reader));
        count++;
        if (!full)
            continue;
        visit(reader, &record);
        arena_clear(&event_arena);
        if (trace_kind_of(record.kind->id) &&
            record.kind->field_count == trace_kind_of(record.kind->id)->field_count &&
            !trace_decode(reader, &record, (enum trace_id)record.kind->id, &event_arena,
                          &event) &&
            !salvage)
            check_canonical(&record, &event, &before, &event_arena);
        before = record.clock;
    }
    if (full) {
        (void)!trace_reader_seek_icount(reader, before.icount / 2);
        (void)!trace_reader_next(reader, &record, &end);
        (void)!trace_reader_seek_seq(reader, count / 2);
        (void)!trace_reader_next(reader, &record, &end);
    }
    trace_reader_close(reader);
    arena_fini(&event_arena);
    arena_fini(&arena);
    return count;
}

static void try_recover(const struct trace_source *source, uint64_t count)
{
    struct trace_memory memory;
    struct arena arena;
    struct trace_summary summary;
    struct trace_fault fault;
    trace_memory_init(&memory, FILE_MAX);
    arena_init(&arena, MEMORY_MAX);
    struct trace_sink sink = trace_memory_sink(&memory);
    if (!trace_recover(&arena, source, &sink, &fault, NULL)) {
        struct bytes bytes = buf_bytes(&memory.file);
        struct trace_source again = trace_bytes_source(&bytes);
        check(read_events(&again, false, false) == count);
        check(!trace_verify(&arena, &again, NULL, NULL, NULL, &summary));
        check(summary.state == TRACE_READER_CLOSED || summary.defect_count);
    }
    arena_fini(&arena);
    trace_memory_fini(&memory);
}

static void use_file(struct bytes file)
{
    struct trace_source source = trace_bytes_source(&file);
    struct trace_summary summary;
    struct arena arena;
    uint64_t count = read_events(&source, false, true);
    (void)read_events(&source, true, true);
    arena_init(&arena, MEMORY_MAX);
    (void)!trace_verify(&arena, &source, NULL, NULL, NULL, &summary);
    arena_fini(&arena);
    try_recover(&source, count);
}

/* ---- the ledger ---- */

static struct bytes take(struct bytes *input, size_t size)
{
    if (size > input->size)
        size = input->size;
    struct bytes front = bytes_of(input->data, size);
    *input = bytes_of(input->data + size, input->size - size);
    return front;
}

static size_t take_u16(struct bytes *input)
{
    struct bytes number = take(input, 2);
    return number.size == 2 ? get16(number.data) : 0;
}

static bool sum_charge(void *self, const struct trace_charge *charge)
{
    uint64_t *left = self;
    (void)charge;
    return (*left)-- > 1;
}

static void use_ledger(struct bytes input)
{
    struct arena arena;
    struct trace_pvm_ledger ledger = {0};
    struct trace_ledger_fault fault;
    uint64_t jump[255], left = 100000;
    struct bytes table = take(&input, take_u16(&input));
    struct bytes count = take(&input, 1);
    for (size_t i = 0; count.size && i < count.data[0]; i++)
        jump[ledger.jump_count++] = take_u16(&input);
    ledger.jump = jump;
    arena_init(&arena, MEMORY_MAX);
    struct made made;
    struct trace_pvm_segment segment;
    struct trace_reader *reader;
    struct trace_record record;
    bool end = true;
    make_begin(&made, (struct bytes){0});
    make_events(&made, input);
    make_end(&made);
    struct bytes file = buf_bytes(&made.memory.file);
    struct trace_source source = trace_bytes_source(&file);
    if (!trace_blocks_parse(&arena, table, &ledger.blocks) &&
        !trace_reader_open(&arena, &source, NULL, NULL, &reader)) {
        if (!trace_reader_next(reader, &record, &end) && !end &&
            !trace_decode_pvm_segment(reader, &record, &arena, &segment)) {
            enum err quiet = trace_ledger_expand(&ledger, &segment, NULL, NULL, &fault);
            enum err loud =
                trace_ledger_expand(&ledger, &segment, sum_charge, &left, &fault);
            check(loud == ERR_interrupted || loud == quiet);
        }
        trace_reader_close(reader);
    }
    make_fini(&made);
    arena_fini(&arena);
}

/* ---- */

static void use_events(struct bytes schema, struct bytes payload, size_t step)
{
    struct made made;
    if (payload.size >= EVENTS_SIZE_MAX)
        return;
    make_begin(&made, schema);
    struct wire wire = wire_of(payload);
    const uint8_t *start = payload.data;
    while (step && wire_left(&wire) && trace_wire_skip(&wire)) {
        if ((size_t)(wire.at - start) < step)
            continue;
        make_events(&made, bytes_of(start, (size_t)(wire.at - start)));
        start = wire.at;
    }
    size_t rest = payload.size - (size_t)(start - payload.data);
    if (rest)
        make_events(&made, bytes_of(start, rest));
    make_end(&made);
    use_file(buf_bytes(&made.memory.file));
    make_fini(&made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_of(data, size);
    struct bytes mode = take(&input, 1), schema;
    if (!mode.size || !input.size)
        return 0;
    switch (mode.data[0]) {
    case 0:
        use_file(input);
        break;
    case 1:
        use_events((struct bytes){0}, input, 0);
        break;
    case 2:
        schema = take(&input, take_u16(&input));
        if (schema.size)
            use_events(schema, input, 0);
        break;
    case 3:
        use_ledger(input);
        break;
    case 4:
        use_events((struct bytes){0}, input, 64);
        break;
    default:
        break;
    }
    return 0;
}
