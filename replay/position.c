/* SPDX-License-Identifier: MIT */
#include "replay/position.h"

#include "trace/trace.h"

#include <string.h>

/* ---- text ---- */

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 16;
}

/* A number of `size` characters, decimal or 0x hex. */
static bool parse_number(const char *text, size_t size, uint64_t *ret_value)
{
    uint64_t base = 10, value = 0;
    if (size > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
        size -= 2;
    }
    if (!size)
        return false;
    for (size_t i = 0; i < size; i++) {
        uint64_t digit = (uint64_t)digit_of(text[i]);
        if (digit >= base || __builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *ret_value = value;
    return true;
}

static bool is_word(const char *text, size_t size, const char *word)
{
    return strlen(word) == size && memcmp(text, word, size) == 0;
}

static bool parse(const char *text, size_t size, struct replay_position *ret_position)
{
    static const struct {
        const char *prefix;
        enum replay_position_kind kind;
    } form[] = {
        {"e:", REPLAY_AT_EVENT},   {"g:", REPLAY_AT_GAS},  {"+", REPLAY_AT_FORWARD},
        {"-", REPLAY_AT_BACKWARD}, {"", REPLAY_AT_ICOUNT},
    };
    struct replay_position position = {0};
    if (is_word(text, size, "start") || is_word(text, size, "end")) {
        position.kind = text[0] == 's' ? REPLAY_AT_START : REPLAY_AT_END;
        *ret_position = position;
        return true;
    }
    size_t i = 0, used;
    for (;; i++) {
        used = strlen(form[i].prefix);
        if (used <= size && memcmp(text, form[i].prefix, used) == 0)
            break;
    }
    position.kind = form[i].kind;
    if (position.kind == REPLAY_AT_ICOUNT && size && text[size - 1] == '%') {
        position.kind = REPLAY_AT_PERCENT;
        size--;
    }
    const char *plus = position.kind == REPLAY_AT_ICOUNT && size
                           ? memchr(text + 1, '+', size - 1)
                           : NULL;
    if (plus) {
        size_t behind = (size_t)(text + size - (plus + 1));
        if (!parse_number(plus + 1, behind, &position.sub))
            return false;
        size = (size_t)(plus - text);
    }
    if (!parse_number(text + used, size - used, &position.value))
        return false;
    if (position.kind == REPLAY_AT_PERCENT && position.value > 100)
        return false;
    *ret_position = position;
    return true;
}

bool replay_position_parse(const char *text, struct replay_position *ret_position)
{
    return parse(text, strlen(text), ret_position);
}

bool replay_range_parse(const char *text, struct replay_position *ret_from,
                        struct replay_position *ret_to)
{
    const char *dots = strstr(text, "..");
    struct replay_position from = {.kind = REPLAY_AT_START};
    struct replay_position to = {.kind = REPLAY_AT_END};
    if (!dots)
        return false;
    if (dots != text && !parse(text, (size_t)(dots - text), &from))
        return false;
    if (dots[2] && !parse(dots + 2, strlen(dots + 2), &to))
        return false;
    *ret_from = from;
    *ret_to = to;
    return true;
}

/* ---- in a trace ---- */

static uint64_t add(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* The instruction count that a position in instructions means; needs `last` for N%. */
static uint64_t icount_of(const struct replay_position *position, uint64_t base,
                          uint64_t last)
{
    switch (position->kind) {
    case REPLAY_AT_FORWARD:
        return add(base, position->value);
    case REPLAY_AT_BACKWARD:
        return base > position->value ? base - position->value : 0;
    case REPLAY_AT_PERCENT:
        return last / 100 * position->value + last % 100 * position->value / 100;
    case REPLAY_AT_ICOUNT:
        return position->value;
    case REPLAY_AT_END:
    case REPLAY_AT_START:
    case REPLAY_AT_EVENT:
    case REPLAY_AT_GAS:
    default:
        return 0;
    }
}

static bool reached(const struct trace_record *record,
                    const struct replay_position *position, uint64_t icount)
{
    switch (position->kind) {
    case REPLAY_AT_END:
        return false;
    case REPLAY_AT_START:
        return true;
    case REPLAY_AT_EVENT:
        return record->seq >= position->value;
    case REPLAY_AT_GAS:
        return record->clock.gas >= position->value;
    case REPLAY_AT_ICOUNT:
    case REPLAY_AT_PERCENT:
    case REPLAY_AT_FORWARD:
    case REPLAY_AT_BACKWARD:
    default:
        return record->clock.icount >= icount;
    }
}

/* Read on to the first record at the position, or to the end. */
static enum err scan(struct trace_reader *reader,
                     const struct replay_position *position, uint64_t icount,
                     uint64_t *ret_seq, struct trace_clock *ret_clock)
{
    for (;;) {
        struct trace_record record;
        bool end;
        TRY(trace_reader_next(reader, &record, &end));
        if (end)
            return ERR_ok;
        *ret_seq = record.seq + 1;
        *ret_clock = record.clock;
        if (reached(&record, position, icount)) {
            *ret_seq = record.seq;
            return ERR_ok;
        }
    }
}

enum err replay_position_find(struct trace_reader *reader,
                              const struct replay_position *position, uint64_t base,
                              uint64_t *ret_seq, struct trace_clock *ret_clock)
{
    uint64_t seq = 0;
    struct trace_clock clock = {0};
    uint64_t last = 0;
    if (position->kind == REPLAY_AT_PERCENT) {
        const struct replay_position end = {.kind = REPLAY_AT_END};
        TRY(scan(reader, &end, 0, &seq, &clock));
        last = clock.icount;
        TRY(trace_reader_seek_seq(reader, 0));
    }
    TRY(scan(reader, position, icount_of(position, base, last), &seq, &clock));
    *ret_seq = seq;
    *ret_clock = clock;
    return ERR_ok;
}
