/* SPDX-License-Identifier: MIT
 *
 * One call per event for record and replay [4, 7.1].
 */
#include "trace/checkpoint.h"
#include "trace/internal.h"

enum {
    CONSOLE_SIZE_MAX = 256, /* [4.1] */
    REPLAY_MEMORY_MAX = 32 << 20,
    KIND_ID_MAX = 127, /* of the built-in table */
    NO_FIELD = 255,
};

/* What a kind's roles mean for replay. */
struct kind_roles {
    bool inputs;    /* has i-fields: the guest cannot know all of it */
    uint8_t origin; /* index of the field `origin`, or NO_FIELD */
};

struct session {
    struct trace head;
    enum err err; /* sticky */
    /* console.out being collected */
    uint8_t console[CONSOLE_SIZE_MAX];
    size_t console_size;
    uint64_t console_dev;
    struct trace_clock console_clock; /* of the last byte */
    /* recording */
    struct trace_writer *writer;
    bool require;
    /* replay */
    struct trace_reader *reader;
    struct trace_replay_options options;
    struct arena scratch;     /* what one event was decoded into */
    struct trace_record next; /* the recorded event at the cursor */
    bool has_next;
    bool begun;                /* `seq` and `before` are known */
    uint64_t seq;              /* of the next event */
    struct trace_clock before; /* of the previous event */
    uint8_t *produced;         /* RECORD_SIZE_MAX bytes */
    struct blob_table blobs;   /* contents of the trace's blobs, read when needed */
    uint32_t blobs_epoch;
    struct buf numbers;
    struct trace_divergence divergence;
    bool diverged;
    struct kind_roles roles[KIND_ID_MAX + 1];
};

static struct session *session_of(struct trace *trace)
{
    return (struct session *)trace;
}

/* ---- recording ---- */

static enum err record_event(struct session *session, enum trace_id id,
                             const struct trace_clock *clock, const void *event)
{
    trace_writer_put(session->writer, id, clock, event);
    return session->require ? trace_writer_error(session->writer) : ERR_ok;
}

enum err trace_record_create(struct arena *arena, struct trace_writer *writer,
                             bool require, struct trace **ret_trace)
{
    struct session *session = arena_new(arena, struct session);
    if (!session)
        return ERR_nomem;
    session->writer = writer;
    session->require = require;
    *ret_trace = &session->head;
    return ERR_ok;
}

/* ---- replay: the recorded side ---- */

static void note_roles(struct session *session)
{
    const struct trace_kind *kind;
    for (size_t k = 0; (kind = trace_kind_at(k)) != NULL; k++) {
        check(kind->id <= KIND_ID_MAX);
        struct kind_roles *roles = &session->roles[kind->id];
        roles->origin = NO_FIELD;
        for (uint32_t i = 0; i < kind->field_count; i++) {
            roles->inputs |= kind->field[i].role == TRACE_ROLE_I;
            if (strcmp(kind->field[i].name, "origin") == 0)
                roles->origin = (uint8_t)i;
        }
    }
}

enum err trace_replay_create(struct arena *arena, struct trace_reader *reader,
                             const struct trace_replay_options *options,
                             struct trace **ret_trace)
{
    struct session *session = arena_new(arena, struct session);
    uint8_t *produced = arena_alloc(arena, RECORD_SIZE_MAX, 1);
    if (!session || !produced)
        return ERR_nomem;
    session->head.replaying = true;
    session->reader = reader;
    if (options)
        session->options = *options;
    session->produced = produced;
    note_roles(session);
    arena_init(&session->scratch, session->options.memory_max
                                      ? session->options.memory_max
                                      : REPLAY_MEMORY_MAX);
    trace_blob_table_init(&session->blobs);
    buf_init(&session->numbers, 4 * RECORD_SIZE_MAX);
    *ret_trace = &session->head;
    return ERR_ok;
}

/* Bring the next recorded event to the cursor; trace_end when there is none. */
static enum err fetch(struct session *session)
{
    bool end;
    if (session->has_next)
        return ERR_ok;
    TRY(trace_reader_next(session->reader, &session->next, &end));
    if (end)
        return ERR_trace_end;
    session->has_next = true;
    return ERR_ok;
}

/* Like fetch(), but an event behind a dropped ring segment counts as none. */
static enum err fetch_in_order(struct session *session)
{
    TRY(fetch(session));
    return session->begun && session->next.seq != session->seq ? ERR_trace_end : ERR_ok;
}

static enum err stick(struct session *session, enum err err)
{
    if (err && err != ERR_trace_end && !session->err)
        session->err = err;
    return err;
}

static enum err diverge(struct session *session)
{
    session->divergence.chunk_offset = trace_reader_chunk(session->reader).offset;
    session->diverged = true;
    return ERR_trace_diverged;
}

/* Is the recorded event a session.end that stops the replay [4.1]? */
static bool stops_here(const struct trace_record *record)
{
    struct trace_value reason;
    struct trace_values values;
    if (record->kind->id != TRACE_ID_session_end)
        return false;
    values = trace_record_values(record, 0);
    return trace_values_next(&values, &reason) && reason.number != 0;
}

/* ---- replay: which fields come from the trace ---- */

struct split {
    struct bytes wire[SCHEMA_FIELD_MAX];  /* of the recorded event */
    struct bytes taken[SCHEMA_FIELD_MAX]; /* the same, or nothing: to be compared */
    uint32_t count;
};

static struct bytes default_wire(const struct trace_field *field)
{
    static const uint8_t zero[] = {0x00}, bin[] = {0xc4, 0x00}, str[] = {0xa0},
                         array[] = {0x90};
    if (field->list)
        return bytes_of(array, 1);
    switch (field->letters[0]) {
    case 'b':
    case 'w':
    case 'h':
        return bytes_of(bin, 2);
    case 's':
        return bytes_of(str, 1);
    default:
        return bytes_of(zero, 1);
    }
}

/* The rule of an x-field: the event's origin, else its own value [4]. */
static bool from_outside(const struct session *session, const struct trace_kind *kind,
                         const struct split *split, uint32_t index)
{
    uint64_t number = 0;
    uint8_t origin = session->roles[kind->id].origin;
    uint32_t rule = origin == NO_FIELD ? index : origin;
    struct wire wire = wire_of(split->wire[rule]);
    bool external = wire_uint(&wire, &number) && number != 0;
    return external && (rule == index || !session->options.compare_all);
}

static void split_fields(const struct session *session, const struct trace_kind *kind,
                         struct split *split)
{
    split->count = trace_record_split(&session->next, split->wire, SCHEMA_FIELD_MAX);
    for (uint32_t i = split->count; i < kind->field_count; i++)
        split->wire[i] = default_wire(&kind->field[i]);
    if (split->count < kind->field_count)
        split->count = kind->field_count;
    for (uint32_t i = 0; i < split->count; i++) {
        bool known = i < kind->field_count;
        enum trace_role role = known ? kind->field[i].role : TRACE_ROLE_N;
        bool take = role == TRACE_ROLE_I || role == TRACE_ROLE_N ||
                    (role == TRACE_ROLE_X && from_outside(session, kind, split, i));
        split->taken[i] = take ? split->wire[i] : (struct bytes){0};
    }
}

/* Give the guest what comes from the trace. */
static enum err fill_in(struct session *session, const struct trace_kind *kind,
                        const struct split *split, void *event)
{
    for (uint32_t i = 0; i < kind->field_count; i++) {
        if (split->taken[i].data)
            TRY(trace_decode_field(session->reader, &kind->field[i], split->taken[i],
                                   &session->scratch, event));
    }
    return ERR_ok;
}

/* ---- replay: the produced side ---- */

/* Know the contents of all blobs up to the recorded event. */
static enum err read_blobs(struct session *session)
{
    struct trace_reader *reader = session->reader;
    if (session->blobs_epoch != reader->epoch)
        trace_blob_table_clear(&session->blobs);
    session->blobs_epoch = reader->epoch;
    while (session->blobs.count < reader_blob_count(reader)) {
        struct bytes content;
        TRY(trace_reader_blob(reader, session->blobs.count, &content));
        struct hash256 hash = hash256_of(content.data, content.size);
        TRY(trace_blob_table_add(&session->blobs, &hash));
    }
    return ERR_ok;
}

static enum err number_piece(void *self, struct bytes piece)
{
    struct session *session = self;
    struct hash256 hash = hash256_of(piece.data, piece.size);
    uint32_t number = BLOB_NUMBER_UNKNOWN;
    TRY(read_blobs(session));
    (void)trace_blob_table_find(&session->blobs, &hash, &number);
    buf_put(&session->numbers, &number, sizeof number);
    return session->numbers.err;
}

/* Encode what the guest produced, with the taken fields in place. */
static enum err encode_produced(struct session *session, const struct trace_kind *kind,
                                const struct trace_clock *clock,
                                const struct split *split, const void *event,
                                struct trace_record *ret_record)
{
    const struct trace_kind *row = session->next.kind;
    struct encoding encoding = {
        .kind = kind,
        .field_count =
            kind->field_count < row->field_count ? kind->field_count : row->field_count,
        .pc = session->reader->walk.header.guest == TRACE_GUEST_PC,
        .before = session->before,
        .now = *clock,
        .taken = split->taken,
        .taken_count =
            split->count < row->field_count ? split->count : row->field_count,
    };
    struct packer packer = {.at = session->produced,
                            .end = session->produced + RECORD_SIZE_MAX};
    buf_clear(&session->numbers);
    TRY(trace_encode_pieces(&encoding, event, number_piece, session));
    encoding.blob = (const uint32_t *)(const void *)session->numbers.data;
    TRY(trace_encode_event(&packer, &encoding, event));
    struct bytes wire =
        bytes_of(session->produced, (size_t)(packer.at - session->produced));
    struct wire head = wire_of(wire);
    uint64_t count, skipped;
    check(wire_array(&head, &count) && wire_uint(&head, &skipped) &&
          wire_uint(&head, &skipped) && wire_uint(&head, &skipped));
    *ret_record = (struct trace_record){.clock = *clock,
                                        .kind = row,
                                        .wire = wire,
                                        .fields = bytes_of(head.at, wire_left(&head)),
                                        .field_count = (uint32_t)count - 3};
    return ERR_ok;
}

/* Nothing of this event needs to come from the trace, as far as the guest knows. */
static bool is_derived(const struct session *session, const struct trace_kind *kind,
                       const void *event)
{
    const struct kind_roles *roles = &session->roles[kind->id];
    if (roles->inputs || session->next.kind->field_count != kind->field_count)
        return false;
    if (roles->origin == NO_FIELD)
        return true;
    const char *origin = (const char *)event + kind->field[roles->origin].offset;
    return *(const uint64_t *)(const void *)origin == 0;
}

static void set_default(const struct trace_field *field, void *event)
{
    static const char *const no_text = "";
    void *value = (uint8_t *)event + field->offset;
    if (field->list || field->letters[0] == 'b' || field->letters[0] == 'w')
        memset(value, 0, sizeof(struct bytes));
    else if (field->letters[0] == 'h')
        memset(value, 0, sizeof(struct trace_hash));
    else if (field->letters[0] == 's')
        memcpy(value, &no_text, sizeof no_text);
    else
        memset(value, 0, sizeof(uint64_t));
}

/* Tuples of numbers are an array of numbers. */
static bool numbers_fit(const struct any_list *list, size_t letter_count,
                        struct wire *wire)
{
    const uint64_t *produced = list->item;
    uint64_t count, number;
    if (!wire_array(wire, &count) || count % letter_count ||
        count / letter_count != list->count)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        if (!wire_uint(wire, &number) || number != produced[i])
            return false;
    }
    return true;
}

static bool bytes_fit(const struct bytes *bytes, struct wire *wire)
{
    struct wire_item item;
    return wire_next(wire, &item) && item.class == WIRE_BIN &&
           item.bytes.size == bytes->size &&
           (!bytes->size || memcmp(item.bytes.data, bytes->data, bytes->size) == 0);
}

/* The value of an output field is that at `wire`?  Moves on.  The recorded bytes are
 * canonical, so that equal values are equal bytes. */
static bool output_fits(struct session *session, const struct trace_field *field,
                        const void *event, struct wire *wire)
{
    const void *value = (const uint8_t *)event + field->offset;
    uint64_t number;
    if (field->plain && !field->list)
        return wire_uint(wire, &number) && number == *(const uint64_t *)value;
    if (field->plain)
        return numbers_fit(value, field->letter_count, wire);
    if (!field->list && (field->letters[0] == 'b' || field->letters[0] == 'w'))
        return bytes_fit(value, wire); /* not if in blobs: the long way */
    if (field->wide)
        return false;
    struct encoding none = {0};
    struct packer packer = {.at = session->produced,
                            .end = session->produced + RECORD_SIZE_MAX};
    if (trace_encode_field(&packer, &none, field, event) || packer.full)
        return false;
    size_t size = (size_t)(packer.at - session->produced);
    if (size > wire_left(wire) || memcmp(session->produced, wire->at, size) != 0)
        return false;
    wire->at += size;
    return true;
}

static bool field_fits(struct session *session, const struct trace_field *field,
                       bool output, bool there, void *event, struct wire *wire)
{
    if (output && there)
        return output_fits(session, field, event, wire);
    if (output)
        return trace_field_is_default(field, event);
    if (there && field->plain && !field->list)
        return wire_uint(wire, (uint64_t *)(void *)((uint8_t *)event + field->offset));
    if (there)
        return !trace_decode_next(session->reader, field, wire, &session->scratch,
                                  event);
    set_default(field, event);
    return true;
}

static bool clock_fits(const struct session *session, const struct trace_clock *clock)
{
    const struct trace_clock *recorded = &session->next.clock;
    bool pc = session->reader->walk.header.guest == TRACE_GUEST_PC;
    return recorded->icount == clock->icount &&
           (pc ? recorded->sub == clock->sub : recorded->gas == clock->gas);
}

/* May the fields be taken by an event that the guest knows to be answered outside? */
static bool may_take(const struct session *session, const struct trace_kind *kind)
{
    const struct kind_roles *roles = &session->roles[kind->id];
    return roles->origin != NO_FIELD && !roles->inputs &&
           !session->options.compare_all && session->next.field_count > roles->origin;
}

/* The short way, for most events, in one walk along the record.  Of a derived event all
 * is compared; what is equal is so whatever the roles.  Of one that is answered outside
 * outputs are compared, and all else is taken.  False: look closer. */
static bool is_same(struct session *session, const struct trace_kind *kind,
                    const struct trace_clock *clock, void *event)
{
    const struct trace_record *next = &session->next;
    struct wire wire = wire_of(next->fields);
    bool derived = is_derived(session, kind, event);
    uint8_t origin = session->roles[kind->id].origin;
    if (next->kind->field_count != kind->field_count || !clock_fits(session, clock) ||
        (!derived && !may_take(session, kind)))
        return false;
    for (uint32_t i = 0; i < kind->field_count; i++) {
        const struct trace_field *field = &kind->field[i];
        bool output = derived || field->role == TRACE_ROLE_O;
        if (!derived && i == origin && wire.at < wire.end && *wire.at == 0)
            return false;
        if (!field_fits(session, field, output, i < next->field_count, event, &wire))
            return false;
    }
    return true;
}

static enum err compare_produced(struct session *session, const struct trace_kind *kind,
                                 const struct trace_clock *clock,
                                 const struct split *split, const void *event)
{
    struct trace_record produced;
    const struct trace_record *recorded = &session->next;
    enum err err = encode_produced(session, kind, clock, split, event, &produced);
    if (err == ERR_trace_sequence) { /* a clock behind the previous event's */
        produced = *recorded;
        produced.clock = *clock;
    } else if (err) {
        return err;
    } else if (produced.wire.size == recorded->wire.size &&
               memcmp(produced.wire.data, recorded->wire.data, produced.wire.size) ==
                   0) {
        return ERR_ok;
    }
    /* Canonical: other bytes are another value.  Should a file manage otherwise, the
     * kinds are all there is to say. */
    if (trace_record_equal(recorded, &produced, &session->divergence))
        trace_compare_ends(recorded, kind->wire, clock, &session->divergence);
    return diverge(session);
}

static enum err replay_event(struct session *session, enum trace_id id,
                             const struct trace_clock *clock, void *event)
{
    const struct trace_kind *kind = trace_kind_of(id);
    struct split split;
    check(kind);
    TRY(session->err);
    if (session->scratch.used)
        arena_clear(&session->scratch);
    enum err err = fetch_in_order(session);
    bool closed = trace_reader_state(session->reader) == TRACE_READER_CLOSED;
    if (err == ERR_trace_end && !session->has_next && closed) {
        trace_compare_ends(NULL, kind->wire, clock, &session->divergence);
        session->divergence.seq = session->seq;
        return diverge(session);
    }
    TRY(err);
    if (session->next.kind->id != (uint32_t)id) {
        if (stops_here(&session->next))
            return ERR_trace_end;
        trace_compare_ends(&session->next, kind->wire, clock, &session->divergence);
        return diverge(session);
    }
    if (!session->begun)
        session->before = trace_reader_clock_before(session->reader);
    if (!is_same(session, kind, clock, event)) {
        split_fields(session, kind, &split);
        TRY(fill_in(session, kind, &split, event));
        TRY(compare_produced(session, kind, clock, &split, event));
    }
    session->has_next = false;
    session->begun = true;
    session->before = *clock;
    session->seq = session->next.seq + 1;
    return ERR_ok;
}

/* ---- console [4.1] ---- */

static enum err put_event(struct session *session, enum trace_id id,
                          const struct trace_clock *clock, void *event)
{
    return session->head.replaying ? replay_event(session, id, clock, event)
                                   : record_event(session, id, clock, event);
}

static enum err flush_console(struct session *session)
{
    struct trace_console_out event = {
        .dev = session->console_dev,
        .data = bytes_of(session->console, session->console_size)};
    if (!session->console_size)
        return ERR_ok;
    session->console_size = 0;
    return put_event(session, TRACE_ID_console_out, &session->console_clock, &event);
}

enum err trace_console(struct trace *trace, uint64_t dev, struct bytes data)
{
    struct session *session = session_of(trace);
    if (!trace)
        return ERR_ok;
    if (session->console_dev != dev)
        TRY(stick(session, flush_console(session)));
    session->console_dev = dev;
    for (size_t i = 0; i < data.size; i++) {
        session->console[session->console_size++] = data.data[i];
        session->console_clock = trace->clock;
        if (data.data[i] == '\n' || session->console_size == CONSOLE_SIZE_MAX)
            TRY(stick(session, flush_console(session)));
    }
    return ERR_ok;
}

enum err trace_console_end(struct trace *trace)
{
    struct session *session = session_of(trace);
    if (!trace)
        return ERR_ok;
    enum err err = flush_console(session);
    return trace->replaying ? stick(session, err) : err;
}

struct trace_console_rest trace_console_rest(const struct trace *trace)
{
    const struct session *session = (const struct session *)trace;
    if (!trace)
        return (struct trace_console_rest){0};
    return (struct trace_console_rest){
        .dev = session->console_dev,
        .clock = session->console_clock,
        .data = bytes_of(session->console, session->console_size)};
}

/* Has everything collected left as the recorded event at the cursor says?  Then it
 * left: recording had stopped collecting exactly here. */
static bool console_complete(const struct session *session)
{
    struct trace_console_out event = {0};
    struct arena none;
    arena_init(&none, 0);
    return session->console_size && session->has_next &&
           session->next.clock.icount == session->console_clock.icount &&
           session->next.clock.sub == session->console_clock.sub &&
           session->next.clock.gas == session->console_clock.gas &&
           !trace_decode_console_out(session->reader, &session->next, &none, &event) &&
           event.dev == session->console_dev &&
           event.data.size == session->console_size &&
           memcmp(event.data.data, session->console, event.data.size) == 0;
}

/* ---- the calls ---- */

enum err trace_event(struct trace *trace, enum trace_id id, void *event)
{
    struct session *session = session_of(trace);
    enum err err = flush_console(session);
    if (!err)
        err = put_event(session, id, &trace->clock, event);
    return trace->replaying ? stick(session, err) : err;
}

const struct trace_record *trace_peek(struct trace *trace)
{
    struct session *session = session_of(trace);
    if (!trace || !trace->replaying || session->err ||
        stick(session, fetch_in_order(session)))
        return NULL;
    if (console_complete(session)) {
        if (stick(session, flush_console(session)) ||
            stick(session, fetch_in_order(session)))
            return NULL;
    }
    return &session->next;
}

enum err trace_peek_decode(struct trace *trace, enum trace_id id, void *ret_event)
{
    struct session *session = session_of(trace);
    const struct trace_record *record = trace_peek(trace);
    if (!record)
        return session->err ? session->err : ERR_trace_end;
    arena_clear(&session->scratch);
    return trace_decode(session->reader, record, id, &session->scratch, ret_event);
}

bool trace_gap(struct trace *trace, uint64_t *ret_seq)
{
    struct session *session = session_of(trace);
    if (!trace || !trace->replaying || session->err || !session->begun ||
        stick(session, fetch(session)) || session->next.seq == session->seq)
        return false;
    *ret_seq = session->next.seq;
    return true;
}

void trace_resume(struct trace *trace)
{
    struct session *session = session_of(trace);
    check(session->has_next);
    session->seq = session->next.seq;
    session->before = trace_reader_clock_before(session->reader);
    session->console_size = 0;
}

enum err trace_skip(struct trace *trace, uint64_t seq)
{
    struct session *session = session_of(trace);
    session->has_next = false;
    TRY(stick(session, trace_reader_seek_seq(session->reader, seq)));
    enum err err = fetch(session);
    if (err && err != ERR_trace_end)
        return stick(session, err);
    if (!err && session->next.seq != seq)
        return stick(session, ERR_trace_sequence);
    session->begun = true;
    session->seq = seq;
    session->before = trace_reader_clock_before(session->reader);
    session->console_size = 0;
    return ERR_ok;
}

enum err trace_expect_end(struct trace *trace)
{
    struct session *session = session_of(trace);
    if (!trace || !trace->replaying)
        return ERR_ok;
    TRY(session->err);
    TRY(stick(session, flush_console(session)));
    enum err err = fetch(session);
    if (err == ERR_trace_end)
        return trace_reader_state(session->reader) == TRACE_READER_CLOSED
                   ? ERR_ok
                   : ERR_trace_end;
    TRY(stick(session, err));
    trace_compare_ends(&session->next, NULL, &trace->clock, &session->divergence);
    return stick(session, diverge(session));
}

enum err trace_error(const struct trace *trace)
{
    const struct session *session = (const struct session *)trace;
    if (!trace)
        return ERR_ok;
    return trace->replaying ? session->err : trace_writer_error(session->writer);
}

uint64_t trace_seq(const struct trace *trace)
{
    const struct session *session = (const struct session *)trace;
    if (!trace)
        return 0;
    return trace->replaying ? session->seq : trace_writer_seq(session->writer);
}

const struct trace_divergence *trace_divergence(const struct trace *trace)
{
    const struct session *session = (const struct session *)trace;
    return trace && session->diverged ? &session->divergence : NULL;
}

void trace_close(struct trace *trace)
{
    struct session *session = session_of(trace);
    if (!trace)
        return;
    if (!trace->replaying)
        (void)flush_console(session); /* an error stays with the writer */
    arena_fini(&session->scratch);
    trace_blob_table_fini(&session->blobs);
    buf_fini(&session->numbers);
}
