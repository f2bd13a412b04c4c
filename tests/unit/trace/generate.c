/* SPDX-License-Identifier: MIT */
#include "tests/unit/trace/generate.h"

#include "tests/test.h"

#include <string.h>

struct any_list {
    const void *item;
    size_t count;
};

/* Numbers around the borders of the wire forms. */
static uint64_t number(uint64_t *random)
{
    static const unsigned border[] = {0, 5, 7, 8, 15, 16, 31, 32, 63};
    uint64_t bits = test_random(random);
    uint64_t base = (uint64_t)1 << border[bits % countof(border)];
    switch (bits >> 8 & 7) {
    case 0:
    case 1:
        return 0;
    case 2:
        return base;
    case 3:
        return base - 1;
    case 4:
        return 0 - base;
    case 5:
        return bits >> 16 & 0xff;
    default:
        return test_random(random);
    }
}

static struct bytes some_bytes(struct arena *arena, uint64_t *random, size_t size)
{
    uint8_t *data = arena_alloc(arena, size + 1, 1);
    assert_non_null(data);
    /* Few different contents, so that equal ones meet. */
    uint64_t content = test_random(random) % 8;
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 7 + content * 31 + (i >> 8));
    return bytes_of(data, size);
}

static size_t wide_size(uint64_t *random, size_t wide_max)
{
    static const size_t border[] = {0,     1,     511,   512,    513,   4096,
                                    65535, 65536, 65537, 131072, 131073};
    size_t size = test_random(random) % 4
                      ? border[test_random(random) % 6]
                      : border[test_random(random) % countof(border)];
    return size < wide_max ? size : wide_max;
}

static void value(struct arena *arena, uint64_t *random, char letter, size_t wide_max,
                  void *ret_value)
{
    static const char *const text[] = {NULL,
                                       "",
                                       "a",
                                       "gas",
                                       "log.bytes",
                                       "caf\xc3\xa9",
                                       "this text is longer than thirty-one bytes",
                                       "\xf0\x9f\x90\xa2"};
    uint64_t bits = test_random(random);
    switch (letter) {
    case 'b':
        *(struct bytes *)ret_value =
            some_bytes(arena, random, bits % 3 ? bits % 40 : bits % 700);
        break;
    case 'w':
        *(struct bytes *)ret_value =
            some_bytes(arena, random, wide_size(random, wide_max));
        break;
    case 'h': {
        struct bytes content = some_bytes(arena, random, bits % 5);
        *(struct trace_hash *)ret_value =
            bits % 3 ? trace_hash_of(hash256_of(content.data, content.size))
                     : (struct trace_hash){0};
        break;
    }
    case 's':
        *(const char **)ret_value = text[bits % countof(text)];
        break;
    default:
        *(uint64_t *)ret_value = number(random);
        break;
    }
}

void generate_event(struct arena *arena, uint64_t *random,
                    const struct trace_kind *kind, size_t wide_max,
                    union generated *event)
{
    memset(event, 0, sizeof *event);
    uint32_t used = kind->field_count;
    if (test_random(random) % 2)
        used = (uint32_t)(test_random(random) % (used + 1)); /* trailing defaults */
    for (uint32_t i = 0; i < used; i++) {
        const struct trace_field *field = &kind->field[i];
        uint8_t *at = (uint8_t *)event + field->offset;
        if (!field->list) {
            value(arena, random, field->letters[0], wide_max, at);
            continue;
        }
        size_t count = test_random(random) % 3 ? test_random(random) % 4
                                               : test_random(random) % 20;
        uint8_t *item = arena_alloc(arena, count * field->stride + 1, 8);
        assert_non_null(item);
        struct any_list list = {item, count};
        memcpy(at, &list, sizeof list);
        for (size_t k = 0; k < count * field->letter_count; k++)
            value(arena, random, field->letters[k % field->letter_count], wide_max,
                  item + k / field->letter_count * field->stride +
                      field->member[k % field->letter_count]);
    }
}

const struct trace_kind *generate_kind(uint64_t *random, enum trace_guest guest)
{
    for (;;) {
        size_t count = 0;
        while (trace_kind_at(count))
            count++;
        const struct trace_kind *kind = trace_kind_at(test_random(random) % count);
        bool event = kind->id != TRACE_ID_blob && kind->id != TRACE_ID_note &&
                     kind->id != TRACE_ID_bookmark && kind->id != TRACE_ID_volatile &&
                     kind->id != TRACE_ID_session_end;
        if (event && (kind->guests & guest))
            return kind;
    }
}

void generate_forget_inputs(const struct trace_kind *kind, union generated *event)
{
    for (uint32_t i = 0; i < kind->field_count; i++) {
        const struct trace_field *field = &kind->field[i];
        static const size_t size[128] = {['u'] = 8,
                                         ['i'] = 8,
                                         ['d'] = 8,
                                         ['s'] = sizeof(char *),
                                         ['b'] = sizeof(struct bytes),
                                         ['w'] = sizeof(struct bytes),
                                         ['h'] = sizeof(struct trace_hash)};
        if (field->role != TRACE_ROLE_I && field->role != TRACE_ROLE_N)
            continue;
        memset((uint8_t *)event + field->offset, 0,
               field->list ? sizeof(struct any_list) : size[(int)field->letters[0]]);
    }
}

static bool value_equal(char letter, const void *a, const void *b)
{
    switch (letter) {
    case 'b':
    case 'w': {
        const struct bytes *x = a, *y = b;
        return x->size == y->size && (!x->size || !memcmp(x->data, y->data, x->size));
    }
    case 'h': {
        const struct trace_hash *x = a, *y = b;
        return x->present == y->present &&
               (!x->present || hash256_equal(&x->hash, &y->hash));
    }
    case 's': {
        const char *x = *(const char *const *)a, *y = *(const char *const *)b;
        return !strcmp(x ? x : "", y ? y : "");
    }
    default:
        return *(const uint64_t *)a == *(const uint64_t *)b;
    }
}

static bool field_equal(const struct trace_field *field, const union generated *a,
                        const union generated *b)
{
    const uint8_t *x = (const uint8_t *)a + field->offset;
    const uint8_t *y = (const uint8_t *)b + field->offset;
    struct any_list xs, ys;
    if (!field->list)
        return value_equal(field->letters[0], x, y);
    memcpy(&xs, x, sizeof xs);
    memcpy(&ys, y, sizeof ys);
    if (xs.count != ys.count)
        return false;
    for (size_t i = 0; i < xs.count * field->letter_count; i++) {
        size_t at = i / field->letter_count * field->stride +
                    field->member[i % field->letter_count];
        if (!value_equal(field->letters[i % field->letter_count],
                         (const uint8_t *)xs.item + at, (const uint8_t *)ys.item + at))
            return false;
    }
    return true;
}

bool generated_equal(const struct trace_kind *kind, const union generated *a,
                     const union generated *b)
{
    for (uint32_t i = 0; i < kind->field_count; i++) {
        if (!field_equal(&kind->field[i], a, b))
            return false;
    }
    return true;
}
