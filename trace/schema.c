/* SPDX-License-Identifier: MIT
 *
 * The event table as data, the schema chunk written from it, and the schema that a
 * file brings along.
 */
#include "trace/internal.h"

/* ---- the built-in table ---- */

/* Layouts of the tuples, by letters. */
#define TUPLE1(type) .stride = sizeof(type)
#define TUPLE2(type)                                                                   \
    .stride = sizeof(type), .member = {offsetof(type, a), offsetof(type, b)}
#define TUPLE3(type)                                                                   \
    .stride = sizeof(type),                                                            \
    .member = {offsetof(type, a), offsetof(type, b), offsetof(type, c)}
#define TUPLE5(type)                                                                   \
    .stride = sizeof(type),                                                            \
    .member = {offsetof(type, a), offsetof(type, b), offsetof(type, c),                \
               offsetof(type, d), offsetof(type, e)}
#define TUPLE_u TUPLE1(uint64_t)
#define TUPLE_b TUPLE1(struct bytes)
#define TUPLE_h TUPLE1(struct trace_hash)
#define TUPLE_uu TUPLE2(struct trace_uu)
#define TUPLE_uw TUPLE2(struct trace_uw)
#define TUPLE_uuu TUPLE3(struct trace_uuu)
#define TUPLE_uuh TUPLE3(struct trace_uuh)
#define TUPLE_uuuuu TUPLE5(struct trace_uuuuu)

/* What the letters mean: numbers only, or something that may be blobs. */
enum {
    LETTERS_OTHER,
    LETTERS_PLAIN,
    LETTERS_WIDE,
    CLASS_u = LETTERS_PLAIN,
    CLASS_d = LETTERS_PLAIN,
    CLASS_i = LETTERS_OTHER,
    CLASS_s = LETTERS_OTHER,
    CLASS_b = LETTERS_OTHER,
    CLASS_h = LETTERS_OTHER,
    CLASS_w = LETTERS_WIDE,
    CLASS_uu = LETTERS_PLAIN,
    CLASS_uuu = LETTERS_PLAIN,
    CLASS_uuuuu = LETTERS_PLAIN,
    CLASS_uw = LETTERS_WIDE,
    CLASS_uuh = LETTERS_OTHER,
};

/* The rows' braces do not balance. */
/* clang-format off */

/* WIDE_name: how many fields of the row may be blobs. */
#define EVENT(id, name, wire, guests, text) enum { WIDE_##name = 0
#define FIELD(type, name, role, show, text) + (CLASS_##type == LETTERS_WIDE)
#define LIST(letters, name, role, show, text) + (CLASS_##letters == LETTERS_WIDE)
#define END(name) };
#include "trace/events.def"

/* One function per kind, because FIELD does not know whose it is: `row` is. */
#define EVENT(id_, name_, wire_, guests_, text_)                                       \
    static const struct trace_kind *kind_##name_(void)                                 \
    {                                                                                  \
        typedef struct trace_##name_ row;                                              \
        enum { ID = id_, GUESTS = guests_ };                                           \
        static const char wire_name[] = wire_, about[] = text_;                        \
        static const struct trace_field fields[] = {
#define ANY(letters_, name_, role_, show_, text_)                                      \
            .name = #name_, .letters = #letters_, .show = #show_, .text = text_,       \
            .role = TRACE_ROLE_##role_, .letter_count = sizeof(#letters_) - 1,         \
            .wide = CLASS_##letters_ == LETTERS_WIDE,                                  \
            .plain = CLASS_##letters_ == LETTERS_PLAIN, .offset = offsetof(row, name_)
#define FIELD(type_, name_, role_, show_, text_)                                       \
            {ANY(type_, name_, role_, show_, text_)},
#define LIST(letters_, name_, role_, show_, text_)                                     \
            {ANY(letters_, name_, role_, show_, text_), .list = true, TUPLE_##letters_},
#define END(name_)                                                                     \
        };                                                                             \
        static const struct trace_kind kind = {                                        \
            .id = ID, .guests = GUESTS, .wire = wire_name, .text = about,              \
            .field = fields, .field_count = countof(fields),                           \
            .struct_size = sizeof(row), .wide = WIDE_##name_ != 0};                    \
        return &kind;                                                                  \
    }
#include "trace/events.def"
/* clang-format on */

const struct trace_kind *trace_kind_at(size_t index)
{
    static const struct trace_kind *(*const kind[])(void) = {
#define EVENT(id, name, wire, guests, text) kind_##name,
#include "trace/events.def"
    };
    return index < countof(kind) ? kind[index]() : NULL;
}

/* A switch: two rows with one id do not compile. */
const struct trace_kind *trace_kind_of(uint64_t id)
{
    switch (id) {
#define EVENT(id, name, wire, guests, text)                                            \
    case id:                                                                           \
        return kind_##name();
#include "trace/events.def"
    default:
        return NULL;
    }
}

const struct trace_kind *trace_kind_named(const char *wire)
{
    const struct trace_kind *kind;
    for (size_t i = 0; (kind = trace_kind_at(i)); i++) {
        if (strcmp(kind->wire, wire) == 0)
            return kind;
    }
    return NULL;
}

const char *trace_guest_name(enum trace_guest guest)
{
    switch (guest) {
    case TRACE_GUEST_PC:
        return "pc";
    case TRACE_GUEST_PVM:
        return "pvm";
    case TRACE_GUEST_WASI:
        return "wasi";
    case TRACE_GUEST_ALL:
    default:
        return "?";
    }
}

/* ---- writing the schema chunk ---- */

static const char role_letter[] = {[TRACE_ROLE_I] = 'i',
                                   [TRACE_ROLE_O] = 'o',
                                   [TRACE_ROLE_X] = 'x',
                                   [TRACE_ROLE_N] = 'n'};

/* "frame:u:o out:uu[]:x" */
static void put_fields(struct buf *text, const struct trace_kind *kind)
{
    for (uint32_t i = 0; i < kind->field_count; i++) {
        const struct trace_field *field = &kind->field[i];
        if (i)
            buf_byte(text, ' ');
        buf_text(text, field->name);
        buf_byte(text, ':');
        buf_text(text, field->letters);
        buf_text(text, field->list ? "[]:" : ":");
        buf_byte(text, (uint8_t)role_letter[field->role]);
    }
}

static bool row_put(struct buf *payload, const struct trace_kind *kind)
{
    struct buf fields;
    buf_init(&fields, BLOB_SIZE_MAX);
    put_fields(&fields, kind);
    size_t size_max = fields.size + strlen(kind->wire) + 32;
    size_t size_before = payload->size;
    uint8_t *at = buf_extend(payload, size_max);
    if (at && !fields.err) {
        struct packer packer = {.at = at, .end = at + size_max};
        trace_pack_array(&packer, 3);
        trace_pack_uint(&packer, kind->id);
        trace_pack_str(&packer, kind->wire);
        trace_pack_str(&packer, buf_string(&fields));
        payload->size = size_before + (size_t)(packer.at - at);
    }
    bool ok = at && !fields.err;
    buf_fini(&fields);
    return ok;
}

uint32_t trace_schema_put(struct buf *payload, enum trace_guest guest,
                          const enum trace_id *ids, size_t id_count)
{
    uint32_t count = 0;
    const struct trace_kind *kind;
    for (size_t i = 0; ids && i < id_count; i++, count++) {
        kind = trace_kind_of(ids[i]);
        if (!kind || (i && ids[i] <= ids[i - 1]) || !row_put(payload, kind))
            return 0;
    }
    for (size_t i = 0; !ids && (kind = trace_kind_at(i)); i++) {
        if (!(kind->guests & guest))
            continue;
        if (!row_put(payload, kind))
            return 0;
        count++;
    }
    return count;
}

/* ---- reading a schema chunk ---- */

static bool role_of(char letter, enum trace_role *ret_role)
{
    for (unsigned i = 0; i < countof(role_letter); i++) {
        if (role_letter[i] == letter) {
            *ret_role = (enum trace_role)i;
            return true;
        }
    }
    return false;
}

/* Bytes before `stop`, or all of them, taken off the front of *text. */
static struct bytes word(struct bytes *text, char stop)
{
    size_t size = 0;
    while (size < text->size && text->data[size] != (uint8_t)stop)
        size++;
    struct bytes front = bytes_of(text->data, size);
    size_t skip = size < text->size ? size + 1 : size;
    *text = bytes_of(text->data + skip, text->size - skip);
    return front;
}

static const char *copy_text(struct arena *arena, struct bytes text)
{
    char *copy = arena_alloc(arena, text.size + 1, 1);
    if (copy && text.size)
        memcpy(copy, text.data, text.size);
    return copy;
}

/* "name:type:role" */
static enum err field_parse(struct arena *arena, struct bytes text,
                            struct trace_field *ret_field)
{
    struct bytes name = word(&text, ':');
    struct bytes type = word(&text, ':');
    struct trace_field field = {0};
    if (!name.size || text.size != 1 || !role_of((char)text.data[0], &field.role))
        return ERR_trace_schema;
    if (type.size > 2 && memcmp(type.data + type.size - 2, "[]", 2) == 0) {
        field.list = true;
        type.size -= 2;
    }
    if (!type.size || type.size > 8 || (type.size > 1 && !field.list))
        return ERR_trace_schema;
    field.plain = true;
    for (size_t i = 0; i < type.size; i++) {
        if (!type.data[i] || !strchr("uibwhdsf", type.data[i]))
            return ERR_trace_schema;
        field.plain &= type.data[i] == 'u' || type.data[i] == 'd';
        field.wide |= type.data[i] == 'w';
    }
    field.letter_count = (uint8_t)type.size;
    field.name = copy_text(arena, name);
    field.letters = copy_text(arena, type);
    if (!field.name || !field.letters)
        return ERR_nomem;
    *ret_field = field;
    return ERR_ok;
}

static enum err fields_parse(struct arena *arena, struct bytes text,
                             struct trace_kind *kind)
{
    size_t count = text.size ? 1 : 0;
    for (size_t i = 0; i < text.size; i++)
        count += text.data[i] == ' ';
    if (count > SCHEMA_FIELD_MAX)
        return ERR_limit;
    struct trace_field *field = arena_new_array(arena, struct trace_field, count);
    if (!field)
        return ERR_nomem;
    for (size_t i = 0; i < count; i++)
        TRY(field_parse(arena, word(&text, ' '), &field[i]));
    if (text.size) /* a blank at the end */
        return ERR_trace_schema;
    kind->field = field;
    kind->field_count = (uint32_t)count;
    return ERR_ok;
}

static enum err row_parse(struct arena *arena, struct wire *wire,
                          struct trace_kind *ret_kind)
{
    struct wire_item wire_name, fields;
    uint64_t count, id;
    struct trace_kind kind = {.guests = TRACE_GUEST_ALL};
    if (!wire_array(wire, &count) || count != 3 || !wire_uint(wire, &id) ||
        !wire_next(wire, &wire_name) || wire_name.class != WIRE_STR ||
        !wire_next(wire, &fields) || fields.class != WIRE_STR ||
        !trace_wire_text_valid(wire_name.bytes) || !trace_wire_text_valid(fields.bytes))
        return ERR_trace_canonical;
    if (id > UINT32_MAX || !wire_name.bytes.size)
        return ERR_trace_schema;
    kind.id = (uint32_t)id;
    kind.wire = copy_text(arena, wire_name.bytes);
    if (!kind.wire)
        return ERR_nomem;
    TRY(fields_parse(arena, fields.bytes, &kind));
    if (!trace_schema_row_fits(&kind))
        return ERR_trace_schema;
    *ret_kind = kind;
    return ERR_ok;
}

enum err trace_schema_parse(struct arena *arena, struct bytes payload,
                            uint32_t record_count, size_t *fault_offset,
                            struct trace_schema *ret_schema)
{
    *fault_offset = 0;
    if (record_count > SCHEMA_ROW_MAX || payload.size > SCHEMA_SIZE_MAX)
        return ERR_limit;
    struct trace_kind *kind = arena_new_array(arena, struct trace_kind, record_count);
    if (!kind)
        return ERR_nomem;
    struct wire wire = wire_of(payload);
    for (uint32_t i = 0; i < record_count; i++) {
        *fault_offset = (size_t)(wire.at - payload.data);
        TRY(row_parse(arena, &wire, &kind[i]));
        if (i && kind[i].id <= kind[i - 1].id)
            return ERR_trace_schema;
    }
    *fault_offset = (size_t)(wire.at - payload.data);
    if (wire_left(&wire))
        return ERR_trace_canonical;
    struct trace_schema schema = {.kind = kind, .count = record_count};
    for (uint32_t i = 0; i < record_count && i < UINT8_MAX; i++) {
        if (kind[i].id < countof(schema.row))
            schema.row[kind[i].id] = (uint8_t)(i + 1);
    }
    *ret_schema = schema;
    return ERR_ok;
}

bool trace_schema_row_fits(const struct trace_kind *row)
{
    const struct trace_kind *own = trace_kind_of(row->id);
    if (!own)
        return true;
    if (strcmp(own->wire, row->wire) != 0)
        return false;
    for (uint32_t i = 0; i < own->field_count && i < row->field_count; i++) {
        const struct trace_field *a = &own->field[i], *b = &row->field[i];
        if (strcmp(a->name, b->name) != 0 || strcmp(a->letters, b->letters) != 0 ||
            a->list != b->list || a->role != b->role)
            return false;
    }
    return true;
}

const struct trace_kind *trace_schema_kind(const struct trace_schema *schema,
                                           uint64_t id)
{
    if (id < countof(schema->row) && schema->row[id])
        return &schema->kind[schema->row[id] - 1];
    size_t low = 0, high = schema->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (schema->kind[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < schema->count && schema->kind[low].id == id)
        return &schema->kind[low];
    /* The container's own kinds are read without a row. */
    return trace_id_is_event(id) ? NULL : trace_kind_of(id);
}
