/* SPDX-License-Identifier: MIT
 *
 * Where two events differ first, for people [7.3].  Never dumps a buffer: long bytes
 * are shown from the first difference on.
 */
#include "trace/internal.h"

#include <inttypes.h>

enum { BYTES_SHOWN_MAX = 16 };

static void copy_text(char *to, size_t room, const char *text)
{
    size_t size = strlen(text);
    if (size >= room)
        size = room - 1;
    memcpy(to, text, size);
    to[size] = 0;
}

static void set_texts(struct trace_divergence *divergence, const char *field,
                      const char *recorded, const char *produced)
{
    copy_text(divergence->field, sizeof divergence->field, field);
    copy_text(divergence->recorded, sizeof divergence->recorded, recorded);
    copy_text(divergence->produced, sizeof divergence->produced, produced);
}

static void set_numbers(struct trace_divergence *divergence, const char *field,
                        uint64_t recorded, uint64_t produced)
{
    struct buf a, b;
    buf_init(&a, 64);
    buf_init(&b, 64);
    buf_printf(&a, "%" PRIu64, recorded);
    buf_printf(&b, "%" PRIu64, produced);
    set_texts(divergence, field, buf_string(&a), buf_string(&b));
    buf_fini(&a);
    buf_fini(&b);
}

/* ---- values ---- */

static bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (!a.size || memcmp(a.data, b.data, a.size) == 0);
}

static bool value_equal(const struct trace_value *a, const struct trace_value *b)
{
    return a->number == b->number && a->size == b->size &&
           a->blob_count == b->blob_count && bytes_equal(a->bytes, b->bytes) &&
           bytes_equal(a->blob, b->blob);
}

static size_t first_difference(struct bytes a, struct bytes b)
{
    size_t at = 0;
    while (at < a.size && at < b.size && a.data[at] == b.data[at])
        at++;
    return at;
}

/* The value, from byte `at` on if it is a long byte string; NULL is "-". */
static void put_value(struct buf *buf, const struct trace_value *value, size_t at)
{
    struct wire wire;
    uint64_t number;
    if (!value) {
        buf_byte(buf, '-');
        return;
    }
    wire = wire_of(value->blob);
    while (value->blob_count && wire_uint(&wire, &number)) {
        if (number == BLOB_NUMBER_UNKNOWN) {
            buf_printf(buf, "<%" PRIu64 " bytes: other content>", value->size);
            return;
        }
    }
    struct trace_value shown = *value;
    bool string = value->bytes.size > BYTES_SHOWN_MAX && value->type != 's';
    if (string && !value->blob_count) {
        size_t left = value->bytes.size - at;
        shown.bytes.data += at;
        shown.bytes.size = left < BYTES_SHOWN_MAX ? left : BYTES_SHOWN_MAX;
        buf_printf(buf, "%zu bytes, at %zu: ", value->bytes.size, at);
    }
    trace_value_text(&shown, buf);
}

static void set_values(struct trace_divergence *divergence, const char *name,
                       const struct trace_value *recorded,
                       const struct trace_value *produced)
{
    size_t at =
        recorded && produced ? first_difference(recorded->bytes, produced->bytes) : 0;
    struct buf a, b;
    buf_init(&a, 4096);
    buf_init(&b, 4096);
    put_value(&a, recorded, at);
    put_value(&b, produced, at);
    set_texts(divergence, name, buf_string(&a), buf_string(&b));
    buf_fini(&a);
    buf_fini(&b);
}

/* "in[1]", "charges[0].c", "op" */
static void put_name(struct buf *buf, const struct trace_field *field, size_t index)
{
    buf_text(buf, field->name);
    if (field->list)
        buf_printf(buf, "[%zu]", index / field->letter_count);
    if (field->letter_count > 1)
        buf_printf(buf, ".%c", (int)('a' + index % field->letter_count));
}

static bool field_equal(const struct trace_record *recorded,
                        const struct trace_record *produced, uint32_t index,
                        struct trace_divergence *divergence)
{
    struct trace_values a = trace_record_values(recorded, index);
    struct trace_values b = trace_record_values(produced, index);
    struct trace_value av, bv;
    for (size_t i = 0;; i++) {
        bool has_a = trace_values_next(&a, &av);
        bool has_b = trace_values_next(&b, &bv);
        if (!has_a && !has_b)
            return true;
        if (has_a && has_b && value_equal(&av, &bv))
            continue;
        struct buf name;
        buf_init(&name, 256);
        put_name(&name, a.field, i);
        set_values(divergence, buf_string(&name), has_a ? &av : NULL,
                   has_b ? &bv : NULL);
        buf_fini(&name);
        return false;
    }
}

/* ---- events ---- */

static bool clocks_equal(const struct trace_clock *recorded,
                         const struct trace_clock *produced,
                         struct trace_divergence *divergence)
{
    if (recorded->icount != produced->icount)
        set_numbers(divergence, "icount", recorded->icount, produced->icount);
    else if (recorded->sub != produced->sub)
        set_numbers(divergence, "sub", recorded->sub, produced->sub);
    else if (recorded->gas != produced->gas)
        set_numbers(divergence, "gas", recorded->gas, produced->gas);
    else
        return true;
    return false;
}

void trace_compare_ends(const struct trace_record *recorded, const char *produced_name,
                        const struct trace_clock *produced_clock,
                        struct trace_divergence *ret_divergence)
{
    struct trace_divergence divergence = {.produced_name = produced_name};
    if (recorded) {
        divergence.seq = recorded->seq;
        divergence.recorded_name = recorded->kind->wire;
        divergence.recorded_clock = recorded->clock;
    }
    divergence.produced_clock = *produced_clock;
    set_texts(&divergence, "kind", recorded ? recorded->kind->wire : "-",
              produced_name ? produced_name : "-");
    *ret_divergence = divergence;
}

bool trace_record_equal(const struct trace_record *recorded,
                        const struct trace_record *produced,
                        struct trace_divergence *ret_divergence)
{
    struct trace_divergence divergence;
    trace_compare_ends(recorded, produced->kind->wire, &produced->clock, &divergence);
    bool equal = recorded->kind->id == produced->kind->id &&
                 clocks_equal(&recorded->clock, &produced->clock, &divergence);
    uint32_t count = recorded->kind->field_count < produced->kind->field_count
                         ? recorded->kind->field_count
                         : produced->kind->field_count;
    for (uint32_t i = 0; equal && i < count; i++)
        equal = field_equal(recorded, produced, i, &divergence);
    if (!equal)
        *ret_divergence = divergence;
    return equal;
}
