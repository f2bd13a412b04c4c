/* SPDX-License-Identifier: MIT
 *
 * Names of functions, from the map that `lockstep link --map` writes.  Its lines:
 *
 *   function 0x00000123    456 NAME OBJECT SECTION
 *   export  0 0x00000000 NAME               the jump at 5 * number
 *
 * and others, which are not looked at.
 */
#include "analysis/internal.h"

#include <string.h>

enum { EXPORT_SIZE = 5 };

/* Take the next word of a line; empty at its end. */
static struct bytes take_word(struct bytes *line)
{
    while (line->size && (*line->data == ' ' || *line->data == '\t'))
        *line = bytes_of(line->data + 1, line->size - 1);
    size_t size = 0;
    while (size < line->size && line->data[size] != ' ' && line->data[size] != '\t')
        size++;
    struct bytes word = bytes_of(line->data, size);
    *line = bytes_of(line->data + size, line->size - size);
    return word;
}

static bool is_word(struct bytes word, const char *text)
{
    return word.size == strlen(text) && memcmp(word.data, text, word.size) == 0;
}

static int digit_of(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

/* Decimal, or hex with 0x; 32 bits. */
static bool parse_number(struct bytes word, uint32_t *ret_value)
{
    bool hex = word.size > 2 && word.data[0] == '0' && word.data[1] == 'x';
    uint64_t base = hex ? 16 : 10, value = 0;
    for (size_t i = hex ? 2 : 0; i < word.size; i++) {
        int digit = digit_of(word.data[i]);
        if ((uint64_t)digit >= base)
            return false;
        value = value * base + (uint64_t)digit;
        if (value > UINT32_MAX)
            return false;
    }
    *ret_value = (uint32_t)value;
    return word.size > 0;
}

/* A line of a kind that is not looked at leaves size 0 in the name. */
static enum err parse_line(struct arena *arena, struct bytes line,
                           struct analysis_symbol *ret_symbol)
{
    struct bytes kind = take_word(&line);
    bool is_export = is_word(kind, "export");
    struct analysis_symbol symbol = {.size = EXPORT_SIZE};
    uint32_t number;
    if (is_export) {
        if (!parse_number(take_word(&line), &number) ||
            !parse_number(take_word(&line), &symbol.pc))
            return ERR_usage;
    } else if (is_word(kind, "function")) {
        if (!parse_number(take_word(&line), &symbol.pc) ||
            !parse_number(take_word(&line), &symbol.size))
            return ERR_usage;
    } else {
        *ret_symbol = symbol;
        return ERR_ok;
    }
    struct bytes name = take_word(&line);
    size_t prefix = is_export ? strlen("export:") : 0;
    if (!name.size)
        return ERR_usage;
    uint8_t *copy = arena_alloc(arena, prefix + name.size, 1);
    if (!copy)
        return ERR_nomem;
    memcpy(copy, "export:", prefix);
    for (size_t i = 0; i < name.size; i++) { /* `;` and controls would break lines */
        uint8_t c = name.data[i];
        copy[prefix + i] = c > ' ' && c != ';' && c != 0x7f ? c : '_';
    }
    symbol.name = bytes_of(copy, prefix + name.size);
    *ret_symbol = symbol;
    return ERR_ok;
}

static size_t count_lines(struct bytes text)
{
    size_t count = 1;
    for (size_t i = 0; i < text.size; i++)
        count += text.data[i] == '\n';
    return count;
}

/* Insert behind those with the same pc; maps are sorted but for the exports in front.
 */
static size_t insert(struct analysis_symbol *list, size_t count,
                     struct analysis_symbol symbol)
{
    size_t at = count;
    while (at > 0 && list[at - 1].pc > symbol.pc) {
        list[at] = list[at - 1];
        at--;
    }
    if (at > 0 && list[at - 1].pc == symbol.pc) { /* one name per place: the first */
        memmove(&list[at], &list[at + 1], (count - at) * sizeof *list);
        return count;
    }
    list[at] = symbol;
    return count + 1;
}

enum err analysis_symbols_parse(struct arena *arena, struct bytes map,
                                struct analysis_symbols *ret_symbols,
                                uint32_t *ret_line)
{
    struct analysis_symbol *list =
        arena_new_array(arena, struct analysis_symbol, count_lines(map) + 1);
    if (!list)
        return ERR_nomem;
    size_t count = 0;
    uint32_t line_number = 1;
    for (size_t at = 0; at < map.size; line_number++) {
        size_t size = 0;
        while (at + size < map.size && map.data[at + size] != '\n')
            size++;
        struct analysis_symbol symbol;
        enum err err = parse_line(arena, bytes_of(map.data + at, size), &symbol);
        if (err) {
            *ret_line = line_number;
            return err;
        }
        if (symbol.name.size)
            count = insert(list, count, symbol);
        at += size + 1;
    }
    if (!count) {
        *ret_line = line_number;
        return ERR_usage;
    }
    *ret_symbols = (struct analysis_symbols){.symbol = list, .count = count};
    return ERR_ok;
}

const struct analysis_symbol *analysis_symbol_at(const struct analysis_symbols *symbols,
                                                 uint64_t pc)
{
    size_t low = 0, high = symbols->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (symbols->symbol[middle].pc <= pc)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low)
        return NULL;
    const struct analysis_symbol *symbol = &symbols->symbol[low - 1];
    return pc - symbol->pc < (symbol->size ? symbol->size : 1) ? symbol : NULL;
}
