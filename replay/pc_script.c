/* SPDX-License-Identifier: MIT */
#include "replay/pc_script.h"

#include <string.h>

enum { STEP_COUNT_MAX = 4096 };

static const struct {
    const char *word;
    enum pc_script_verb verb;
    uint8_t number_count; /* that follow the first word; they may be missing */
    bool text;            /* the rest of the line, with escapes */
} verb_row[] = {
    {"expect", PC_SCRIPT_expect, 0, true},
    {"send", PC_SCRIPT_send, 0, true},
    {"type", PC_SCRIPT_type, 0, true},
    {"host", PC_SCRIPT_host, 0, true},
    {"wait", PC_SCRIPT_wait, 1, false},
    {"late", PC_SCRIPT_late, 1, false},
    {"invalidate", PC_SCRIPT_invalidate, 2, false},
    {"invalidate-dir", PC_SCRIPT_invalidate_dir, 0, false},
    {"mount", PC_SCRIPT_mount, 0, false},
    {"umount", PC_SCRIPT_umount, 0, false},
};

static int hex(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \n, \r, \t, \\ and \xNN, in place; false for anything else behind a backslash. */
static bool unescape(uint8_t *text, size_t *size)
{
    size_t out = 0;
    for (size_t i = 0; i < *size; i++) {
        if (text[i] != '\\') {
            text[out++] = text[i];
            continue;
        }
        if (++i == *size)
            return false;
        if (text[i] == 'x' && i + 2 < *size && hex(text[i + 1]) >= 0 &&
            hex(text[i + 2]) >= 0) {
            text[out++] = (uint8_t)(hex(text[i + 1]) << 4 | hex(text[i + 2]));
            i += 2;
            continue;
        }
        static const char from[] = "nrt\\", to[] = "\n\r\t\\";
        const char *found = memchr(from, text[i], 4);
        if (!found)
            return false;
        text[out++] = (uint8_t)to[found - from];
    }
    *size = out;
    return true;
}

/* The next word of a line; size 0: there is none. */
static struct bytes take_word(struct bytes *line)
{
    size_t start = 0, end;
    while (start < line->size && line->data[start] == ' ')
        start++;
    for (end = start; end < line->size && line->data[end] != ' ';)
        end++;
    struct bytes word = bytes_of(line->data + start, end - start);
    *line = bytes_of(line->data + end, line->size - end);
    return word;
}

static bool is_word(struct bytes word, const char *text)
{
    return word.size == strlen(text) && memcmp(word.data, text, word.size) == 0;
}

static bool number_of(struct bytes word, uint64_t *ret)
{
    uint64_t number = 0;
    for (size_t i = 0; i < word.size; i++) {
        uint64_t digit = (uint64_t)(word.data[i] - '0');
        if (digit > 9 || __builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, digit, &number))
            return false;
    }
    *ret = number;
    return word.size != 0;
}

static enum err keep(struct arena *arena, struct bytes from, struct bytes *ret)
{
    uint8_t *copy = arena_alloc(arena, from.size + 2, 1);
    if (!copy)
        return ERR_nomem;
    if (from.size)
        memcpy(copy, from.data, from.size);
    *ret = bytes_of(copy, from.size);
    return ERR_ok;
}

/* The rest of the line behind one space; "send" has a return key at its end. */
static enum err parse_text(struct arena *arena, struct bytes rest,
                           struct pc_script_step *step)
{
    if (!rest.size)
        return ERR_usage;
    TRY(keep(arena, bytes_of(rest.data + 1, rest.size - 1), &step->text));
    uint8_t *text = (uint8_t *)(uintptr_t)step->text.data;
    size_t size = step->text.size;
    if (!unescape(text, &size))
        return ERR_usage;
    if (step->verb == PC_SCRIPT_send)
        text[size++] = '\r';
    text[size] = 0;
    step->text.size = size;
    return ERR_ok;
}

static enum err parse_words(struct arena *arena, struct bytes rest, size_t row,
                            struct pc_script_step *step)
{
    bool time = step->verb == PC_SCRIPT_wait || step->verb == PC_SCRIPT_late;
    if (!time) {
        struct bytes word = take_word(&rest);
        if (!word.size)
            return ERR_usage;
        TRY(keep(arena, word, &step->text));
    }
    if (step->verb == PC_SCRIPT_mount) {
        struct bytes word = take_word(&rest);
        if (!word.size)
            return ERR_usage;
        TRY(keep(arena, word, &step->path));
    }
    for (unsigned i = 0; i < verb_row[row].number_count; i++) {
        struct bytes word = take_word(&rest);
        if ((word.size || time) && !number_of(word, &step->number[i]))
            return ERR_usage;
    }
    return take_word(&rest).size ? ERR_usage : ERR_ok;
}

static enum err parse_line(struct arena *arena, struct bytes line,
                           struct pc_script_step *step)
{
    struct bytes word = take_word(&line);
    for (size_t i = 0; i < countof(verb_row); i++) {
        if (!is_word(word, verb_row[i].word))
            continue;
        step->verb = verb_row[i].verb;
        return verb_row[i].text ? parse_text(arena, line, step)
                                : parse_words(arena, line, i, step);
    }
    return ERR_usage;
}

enum err replay_pc_script_parse(struct arena *arena, struct bytes text,
                                struct pc_script *ret_script, uint32_t *ret_line)
{
    struct pc_script script = {
        .step = arena_new_array(arena, struct pc_script_step, STEP_COUNT_MAX)};
    if (!script.step)
        return ERR_nomem;
    for (*ret_line = 1; text.size; (*ret_line)++) {
        const uint8_t *end = memchr(text.data, '\n', text.size);
        size_t size = end ? (size_t)(end - text.data) : text.size;
        if (size && text.data[0] != '#') {
            if (script.count == STEP_COUNT_MAX)
                return ERR_usage;
            struct pc_script_step *step = &script.step[script.count++];
            step->line = *ret_line;
            TRY(parse_line(arena, bytes_of(text.data, size), step));
        }
        size += end != NULL;
        text = bytes_of(text.data + size, text.size - size);
    }
    *ret_script = script;
    return ERR_ok;
}
