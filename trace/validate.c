/* SPDX-License-Identifier: MIT
 *
 * The bounded validator [3.7]: one forward pass over a payload, no recursion, no
 * allocation.  What passes may be read without further checks.
 *
 * Nesting needs no stack of its own here: a record of these types is at most three
 * arrays deep (record, list, w).  Payloads without a schema (checkpoints) go through
 * trace_wire_skip(), which has the stack of 8 counters.
 */
#include "trace/internal.h"

struct check_state {
    struct wire wire;
    const struct trace_schema *schema;
    uint64_t blob_count; /* defined so far */
    const uint8_t *fault;
};

static enum err fail_at(struct check_state *state, const uint8_t *at, enum err err)
{
    state->fault = at;
    return err;
}

static inline enum err next(struct check_state *state, struct wire_item *ret_item)
{
    if (!wire_next(&state->wire, ret_item))
        return fail_at(state, state->wire.at, ERR_trace_canonical);
    return ERR_ok;
}

static inline enum err next_uint(struct check_state *state, uint64_t *ret_number)
{
    const uint8_t *at = state->wire.at;
    struct wire_item item;
    if (wire_uint(&state->wire, ret_number))
        return ERR_ok;
    TRY(next(state, &item)); /* why not? */
    return fail_at(state, at, ERR_trace_schema);
}

/* `item` is the header of [length, n0, n1, ...]. */
static enum err check_wide(struct check_state *state, const uint8_t *at,
                           const struct wire_item *item)
{
    uint64_t size, number;
    if (item->number < 2)
        return fail_at(state, at, ERR_trace_schema);
    TRY(next_uint(state, &size));
    if (size > WIDE_SIZE_MAX)
        return fail_at(state, at, ERR_limit);
    if (size <= WIDE_INLINE_MAX)
        return fail_at(state, at, ERR_trace_canonical);
    if (item->number - 1 != (size + BLOB_SIZE_MAX - 1) / BLOB_SIZE_MAX)
        return fail_at(state, at, ERR_trace_schema);
    for (uint64_t i = 1; i < item->number; i++) {
        const uint8_t *number_at = state->wire.at;
        TRY(next_uint(state, &number));
        if (number >= state->blob_count)
            return fail_at(state, number_at, ERR_trace_blob);
    }
    return ERR_ok;
}

/* Does an item, not the array form of w, fit the letter? */
static enum err fits(char letter, const struct wire_item *item)
{
    bool bin = item->class == WIRE_BIN;
    size_t size = item->bytes.size;
    switch (letter) {
    case 'u':
    case 'd':
        return item->class == WIRE_UINT ? ERR_ok : ERR_trace_schema;
    case 'i':
        return item->class == WIRE_INT ||
                       (item->class == WIRE_UINT && item->number <= INT64_MAX)
                   ? ERR_ok
                   : ERR_trace_schema;
    case 'b':
        return !bin ? ERR_trace_schema : size > BYTES_SIZE_MAX ? ERR_limit : ERR_ok;
    case 'w':
        return !bin                     ? ERR_trace_schema
               : size > WIDE_INLINE_MAX ? ERR_trace_canonical
                                        : ERR_ok;
    case 'h':
        return bin && (!size || size == HASH256_SIZE) ? ERR_ok : ERR_trace_schema;
    case 'f':
        return bin && (!size || size == 8) ? ERR_ok : ERR_trace_schema;
    case 's':
        return item->class != WIRE_STR               ? ERR_trace_schema
               : !trace_wire_text_valid(item->bytes) ? ERR_trace_canonical
                                                     : ERR_ok;
    default:
        return ERR_trace_schema;
    }
}

static enum err check_value(struct check_state *state, char letter)
{
    const uint8_t *at = state->wire.at;
    uint64_t number;
    if ((letter == 'u' || letter == 'd') && wire_uint(&state->wire, &number))
        return ERR_ok;
    struct wire_item item;
    TRY(next(state, &item));
    if (letter == 'w' && item.class == WIRE_ARRAY)
        return check_wide(state, at, &item);
    enum err err = fits(letter, &item);
    return err ? fail_at(state, at, err) : ERR_ok;
}

static enum err check_field(struct check_state *state, const struct trace_field *field)
{
    if (!field->list)
        return check_value(state, field->letters[0]);
    const uint8_t *at = state->wire.at;
    struct wire_item item;
    TRY(next(state, &item));
    if (item.class != WIRE_ARRAY || item.number % field->letter_count)
        return fail_at(state, at, ERR_trace_schema);
    for (uint64_t i = 0, number; i < item.number; i++) {
        if (!field->plain || !wire_uint(&state->wire, &number))
            TRY(check_value(state, field->letters[i % field->letter_count]));
    }
    return ERR_ok;
}

/* The blob record [1, 0, 0, bytes]. */
static enum err check_blob(struct check_state *state, const uint8_t *at, uint64_t count,
                           const struct payload_totals *step)
{
    struct wire_item item;
    if (count != 4 || step->icount || step->gas)
        return fail_at(state, at, ERR_trace_schema);
    const uint8_t *body = state->wire.at;
    TRY(next(state, &item));
    if (item.class != WIRE_BIN || !item.bytes.size)
        return fail_at(state, body, ERR_trace_schema);
    if (item.bytes.size > BLOB_SIZE_MAX)
        return fail_at(state, body, ERR_limit);
    state->blob_count++;
    return ERR_ok;
}

static enum err check_fields(struct check_state *state, const struct trace_kind *kind,
                             uint64_t count)
{
    const uint8_t *last = NULL;
    for (uint64_t i = 0; i < count; i++) {
        const struct trace_field *field = &kind->field[i];
        last = state->wire.at;
        /* Small numbers are most of a trace. */
        if (field->plain && !field->list && last < state->wire.end && *last < 0x80)
            state->wire.at++;
        else
            TRY(check_field(state, field));
    }
    if (last && wire_default(bytes_of(last, (size_t)(state->wire.at - last))))
        return fail_at(state, last, ERR_trace_canonical);
    return ERR_ok;
}

static enum err check_record(struct check_state *state, uint8_t chunk_kind,
                             struct payload_totals *step)
{
    const uint8_t *at = state->wire.at;
    struct wire_item item;
    uint64_t id;
    TRY(next(state, &item));
    if (item.class != WIRE_ARRAY)
        return fail_at(state, at, ERR_trace_schema);
    if (item.number < 3)
        return fail_at(state, at, ERR_trace_canonical);
    TRY(next_uint(state, &id));
    TRY(next_uint(state, &step->icount));
    TRY(next_uint(state, &step->gas));
    bool in_events = chunk_kind == TRACE_CHUNK_EVENTS;
    bool fits_chunk = in_events ? trace_id_is_event(id) || id == TRACE_ID_blob
                                : !trace_id_is_event(id) && id != TRACE_ID_blob;
    if (!fits_chunk)
        return fail_at(state, at, ERR_trace_event);
    if (id == TRACE_ID_blob) {
        step->blob_count = 1;
        TRY(check_blob(state, at, item.number, step));
    } else {
        const struct trace_kind *kind = trace_schema_kind(state->schema, id);
        step->event_count = 1;
        if (!kind)
            return fail_at(state, at, ERR_trace_event);
        if (item.number - 3 > kind->field_count)
            return fail_at(state, at, ERR_trace_schema);
        TRY(check_fields(state, kind, item.number - 3));
    }
    if (state->wire.at - at > RECORD_SIZE_MAX)
        return fail_at(state, at, ERR_limit);
    return ERR_ok;
}

enum err trace_payload_validate(struct bytes payload, uint8_t chunk_kind,
                                const struct trace_schema *schema,
                                uint32_t record_count, uint64_t blob0, struct buf *ends,
                                size_t *fault_offset, struct payload_totals *ret_totals)
{
    struct check_state state = {
        .wire = wire_of(payload), .schema = schema, .blob_count = blob0};
    struct payload_totals totals = {0};
    enum err err = ERR_ok;
    bool counted = record_count != RECORD_COUNT_UNKNOWN;
    uint32_t end[64]; /* not yet in `ends`: a call for each costs as much as a check */
    size_t end_count = 0;
    for (uint32_t i = 0; counted ? i < record_count : wire_left(&state.wire) > 0; i++) {
        struct payload_totals step = {0};
        const uint8_t *at = state.wire.at;
        err = check_record(&state, chunk_kind, &step);
        totals.event_count += step.event_count;
        totals.blob_count += step.blob_count;
        totals.gas_overflow |=
            __builtin_add_overflow(totals.gas, step.gas, &totals.gas);
        if (__builtin_add_overflow(totals.icount, step.icount, &totals.icount) && !err)
            err = fail_at(&state, at, ERR_trace_sequence);
        if (err)
            break;
        if (ends) {
            end[end_count++] = (uint32_t)(state.wire.at - payload.data);
            if (end_count == countof(end)) {
                buf_put(ends, end, sizeof end);
                end_count = 0;
            }
        }
    }
    if (ends)
        buf_put(ends, end, end_count * sizeof *end);
    if (!err && ends && ends->err)
        return ends->err;
    if (!err && wire_left(&state.wire)) /* more records than announced */
        err = fail_at(&state, state.wire.at, ERR_trace_chunk);
    if (err)
        *fault_offset = (size_t)(state.fault - payload.data);
    else
        *ret_totals = totals;
    return err;
}

enum err trace_validate(struct bytes payload, enum trace_chunk_kind chunk_kind,
                        const struct trace_schema *schema, uint32_t record_count,
                        uint64_t blob0, size_t *fault_offset)
{
    struct payload_totals totals;
    return trace_payload_validate(payload, (uint8_t)chunk_kind, schema, record_count,
                                  blob0, NULL, fault_offset, &totals);
}
