/* SPDX-License-Identifier: MIT */
#include "replay/linux_symbols.h"

#include <stdbool.h>
#include <string.h>

enum {
    PAGE = 4096,
    TOKEN_COUNT = 256,
    TOKEN_SIZE_MAX = 128,
    TOKENS_SIZE_MAX = 1 << 16, /* their offsets have 16 bits */
    INDEX_SIZE = TOKEN_COUNT * 2,
    DIGITS_SIZE = 20,
    SUSPECT_MAX = 4096, /* places with ten digits that are looked at */
    TABLE_MAX = 4,      /* tables of tokens whose neighbours are looked at */
    BLOCK = 256,        /* names from one marker to the next */
    BLOCK_SIZE_MIN = 2 * BLOCK,
    BLOCK_SIZE_MAX = (2 + REPLAY_SYMBOL_NAME_SIZE) * BLOCK,
    MARKER_MAX = REPLAY_SYMBOL_MAX / BLOCK,
    /* What follows the markers may look like one more. */
    MARKER_DOUBT = 3,
    WINDOW_SIZE_MAX = 24 << 20, /* in front of the tokens */
    TEXT_SIZE_MAX = 64 << 20,
    STEP_MAX = 1 << 24, /* names, and places for them, in one search */
};

struct search {
    const struct replay_linux_memory *memory;
    struct arena *arena;

    uint8_t token[TOKENS_SIZE_MAX];
    uint32_t token_offset[TOKEN_COUNT + 1];
    uint32_t tokens, behind; /* addresses: of the tokens, and behind their offsets */

    /* The memory in front of the tokens, up to them, in whole words.  Offsets are
     * within it. */
    uint8_t *window;
    size_t window_size, window_room;
    size_t names;
    uint32_t count;
    size_t text_size;
    uint32_t steps;

    uint32_t *address;
};

/* ---- reading ---- */

static bool read_all(const struct search *s, uint32_t address, void *data, size_t size)
{
    return s->memory->read(s->memory->self, address, data, size) == size;
}

static uint32_t word_at(const struct search *s, size_t offset)
{
    return replay_linux_word(s->window + offset);
}

/* ---- tokens ---- */

/* The size of the tokens from '0' on, up to the last; 0: these are none. */
static uint32_t tail_size(const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    for (unsigned i = '0'; i < TOKEN_COUNT; i++) {
        size_t room = size - at < TOKEN_SIZE_MAX ? size - at : TOKEN_SIZE_MAX;
        size_t length = strnlen((const char *)bytes + at, room);
        if (length == room)
            return 0;
        at += length + 1;
    }
    return (uint32_t)at;
}

/* Do the offsets that were read say where each token begins? */
static bool check_tokens(struct search *s, const uint8_t *index, uint32_t size)
{
    uint32_t at = 0;
    for (unsigned i = 0; i < TOKEN_COUNT; i++) {
        if (at >= size ||
            ((uint32_t)index[2 * i] | (uint32_t)index[2 * i + 1] << 8) != at)
            return false;
        s->token_offset[i] = at;
        for (; at < size && s->token[at]; at++) {
            if (s->token[at] <= ' ' || s->token[at] > '~')
                return false;
        }
        at++;
    }
    s->token_offset[TOKEN_COUNT] = at;
    return at == size;
}

/* Is there a table of tokens whose digits are at `digits`? */
static bool read_tokens(struct search *s, uint32_t digits)
{
    uint8_t index[INDEX_SIZE];
    size_t there = s->memory->read(s->memory->self, digits, s->token, sizeof s->token);
    uint32_t tail = tail_size(s->token, there);
    uint32_t at = (digits + tail + 3) & ~3u;
    if (!tail || at < digits || at > UINT32_MAX - INDEX_SIZE ||
        !read_all(s, at, index, sizeof index))
        return false;
    uint32_t head = (uint32_t)index[2 * '0'] | (uint32_t)index[2 * '0' + 1] << 8;
    s->tokens = digits - head;
    s->behind = at + INDEX_SIZE;
    return head < digits && s->tokens % 4 == 0 && head + tail <= sizeof s->token &&
           read_all(s, s->tokens, s->token, head + tail) &&
           check_tokens(s, index, head + tail);
}

/* ---- names ---- */

/* Bytes that can be read in front of the tokens, by whole pages. */
static size_t measure_window(const struct search *s)
{
    uint32_t start = s->tokens & ~(uint32_t)(PAGE - 1);
    uint8_t byte;
    while (start >= s->memory->first + PAGE &&
           s->tokens - start <= WINDOW_SIZE_MAX - PAGE &&
           read_all(s, start - PAGE, &byte, 1))
        start -= PAGE;
    return s->tokens - start;
}

static enum err read_window(struct search *s)
{
    size_t size = measure_window(s);
    if (size > s->window_room) {
        s->window = arena_alloc(s->arena, size, 1);
        s->window_room = s->window ? size : 0;
    }
    bool there = size <= s->window_room &&
                 read_all(s, s->tokens - (uint32_t)size, s->window, size);
    s->window_size = there ? size : 0;
    return size <= s->window_room ? ERR_ok : ERR_nomem;
}

/* The length of the name at `*at`, which goes behind that; 0: it does not end in the
 * window.  Since 6.1 a length of 128 or more has two bytes. */
static uint32_t name_length(const struct search *s, size_t *at)
{
    if (s->window_size - *at < 2)
        return 0;
    uint32_t length = s->window[(*at)++];
    if (length & 0x80)
        length = (length & 0x7f) | (uint32_t)s->window[(*at)++] << 7;
    return length <= s->window_size - *at ? length : 0;
}

/* The letter for the type and the name, with a NUL; 0: it is too short or too long.
 * `ret_text` has room for one byte more than a name, or is NULL. */
static size_t expand(const struct search *s, size_t at, uint32_t length, char *ret_text)
{
    size_t size = 0;
    for (uint32_t i = 0; i < length; i++) {
        uint8_t token = s->window[at + i];
        uint32_t from = s->token_offset[token];
        uint32_t part = s->token_offset[token + 1] - from - 1;
        if (size + part > REPLAY_SYMBOL_NAME_SIZE)
            return 0;
        if (ret_text)
            memcpy(ret_text + size, s->token + from, part);
        size += part;
    }
    if (ret_text)
        ret_text[size] = 0;
    return size >= 2 ? size + 1 : 0;
}

/* Do `count` names from `names` on end at the markers, and does each marker point to
 * its name? */
static bool check_names(struct search *s, size_t names, uint32_t count, size_t markers)
{
    size_t at = names;
    s->text_size = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i % BLOCK == 0 && word_at(s, markers + 4 * (i / BLOCK)) != at - names)
            return false;
        uint32_t length = name_length(s, &at);
        size_t size = length && s->steps ? expand(s, at, length, NULL) : 0;
        at += length;
        if (!size || at > markers)
            return false;
        s->steps--;
        s->text_size += size;
    }
    return markers - at < 4 && s->text_size <= TEXT_SIZE_MAX;
}

/* The names in front of `markers`: they begin behind their number. */
static bool find_names(struct search *s, size_t markers, uint32_t marker_count)
{
    uint32_t last = word_at(s, markers + 4 * (size_t)(marker_count - 1));
    if (last > markers)
        return false;
    size_t top = (markers - last) & ~(size_t)3;
    size_t bottom = top > BLOCK_SIZE_MAX ? top - BLOCK_SIZE_MAX : 0;
    for (size_t at = top; at >= bottom + 4 && s->steps; at -= 4) {
        s->steps--;
        uint32_t count = word_at(s, at - 4);
        if (count > REPLAY_SYMBOL_MAX || (count + BLOCK - 1) / BLOCK != marker_count ||
            !check_names(s, at, count, markers))
            continue;
        s->names = at;
        s->count = count;
        return true;
    }
    return false;
}

/* How many words from `at` on can be markers. */
static uint32_t count_markers(const struct search *s, size_t at)
{
    uint32_t count = 1, before = 0;
    for (at += 4; at + 4 <= s->window_size && count < MARKER_MAX; at += 4, count++) {
        uint32_t word = word_at(s, at);
        if (word < before || word - before < BLOCK_SIZE_MIN ||
            word - before > BLOCK_SIZE_MAX)
            break;
        before = word;
    }
    return count;
}

/* The markers are in front of the tokens; kernels since 6.2 have the order of the names
 * in between, three bytes each. */
static bool find_table(struct search *s)
{
    size_t most = (size_t)3 * REPLAY_SYMBOL_MAX + (size_t)4 * MARKER_MAX;
    size_t bottom = s->window_size > most ? s->window_size - most : 0;
    for (size_t at = s->window_size; at >= bottom + 4 && s->steps;) {
        at -= 4;
        if (word_at(s, at))
            continue;
        uint32_t count = count_markers(s, at);
        for (unsigned i = 0; i < MARKER_DOUBT && count >= 2; i++, count--) {
            if (find_names(s, at, count))
                return true;
        }
    }
    return false;
}

/* ---- addresses ---- */

static bool read_addresses(struct search *s, uint32_t at)
{
    size_t size = (size_t)s->count * 4;
    if (at < s->memory->first || !read_all(s, at, s->address, size))
        return false;
    const uint8_t *bytes = (const uint8_t *)s->address;
    for (uint32_t i = 0; i < s->count; i++) {
        s->address[i] = replay_linux_word(bytes + (size_t)i * 4);
        if (i && s->address[i] < s->address[i - 1])
            return false;
    }
    return s->address[s->count - 1] > s->address[0];
}

static bool read_words(struct search *s, uint32_t at)
{
    return read_addresses(s, at) && s->address[s->count - 1] >= s->memory->first;
}

/* Offsets from a base, which is at `base_at`. */
static bool read_offsets(struct search *s, uint32_t at, uint32_t base_at)
{
    uint8_t bytes[4];
    if (!read_all(s, base_at, bytes, sizeof bytes))
        return false;
    uint32_t base = replay_linux_word(bytes);
    if (base % PAGE || base < s->memory->first || !read_addresses(s, at) ||
        s->address[s->count - 1] > UINT32_MAX - base)
        return false;
    for (uint32_t i = 0; i < s->count; i++)
        s->address[i] += base;
    return true;
}

/* The kernel's first symbol. */
static bool has_start(const struct replay_symbol_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->item[i].name, "_text") == 0 ||
            strcmp(list->item[i].name, "_stext") == 0)
            return true;
    }
    return false;
}

/* ---- the list ---- */

/* Below the kernel there are only numbers that the linker has given a name. */
static enum err make_list(struct search *s, struct replay_symbol_list *ret_list)
{
    char *text = arena_alloc(s->arena, s->text_size, 1);
    struct replay_symbol *item =
        arena_new_array(s->arena, struct replay_symbol, s->count);
    size_t at = s->names, count = 0;
    if (!text || !item)
        return ERR_nomem;
    for (uint32_t i = 0; i < s->count; i++) {
        char expanded[REPLAY_SYMBOL_NAME_SIZE + 1];
        uint32_t length = name_length(s, &at);
        size_t size = expand(s, at, length, expanded);
        at += length;
        if (s->address[i] < s->memory->first)
            continue;
        memcpy(text, expanded + 1, size - 1);
        item[count++] = (struct replay_symbol){text, s->address[i], expanded[0]};
        text += size - 1;
    }
    *ret_list = (struct replay_symbol_list){item, count, s->tokens};
    return ERR_ok;
}

/* Where the addresses may be, the likely places first. */
static bool find_addresses(struct search *s, unsigned layout)
{
    uint32_t names = s->tokens - (uint32_t)(s->window_size - s->names);
    uint32_t size = s->count * 4;
    if (names < size + 8 || s->behind > UINT32_MAX - size - 4)
        return false;
    switch (layout) {
    case 0:
        return read_offsets(s, names - 8 - size, names - 8);
    case 1:
        return read_offsets(s, s->behind, s->behind + size);
    case 2:
        return read_words(s, names - 4 - size);
    default:
        return read_words(s, s->behind);
    }
}

static enum err list_symbols(struct search *s, struct replay_symbol_list *ret_list)
{
    s->address = arena_new_array(s->arena, uint32_t, s->count);
    if (!s->address)
        return ERR_nomem;
    for (unsigned layout = 0; layout < 4; layout++) {
        struct replay_symbol_list list;
        if (!find_addresses(s, layout))
            continue;
        TRY(make_list(s, &list));
        if (has_start(&list))
            *ret_list = list;
        return ERR_ok;
    }
    return ERR_ok;
}

/* ---- the search ---- */

/* What is around the tokens whose digits are at `digits`, if they are tokens. */
static enum err look(struct search *s, uint32_t digits, unsigned *tables,
                     struct replay_symbol_list *ret_list)
{
    if (!read_tokens(s, digits))
        return ERR_ok;
    ++*tables;
    TRY(read_window(s));
    return find_table(s) ? list_symbols(s, ret_list) : ERR_ok;
}

static enum err find(struct search *s, struct replay_symbol_list *ret_list)
{
    static const uint8_t digits[DIGITS_SIZE] =
        "0\0001\0002\0003\0004\0005\0006\0007\000"
        "8\0009";
    uint8_t page[PAGE + DIGITS_SIZE - 1];
    unsigned suspects = 0, tables = 0;
    for (uint64_t base = s->memory->first; base <= UINT32_MAX; base += PAGE) {
        size_t size = s->memory->read(s->memory->self, base, page, sizeof page);
        for (size_t at = 0; at + DIGITS_SIZE <= size; at++) {
            const uint8_t *zero = memchr(page + at, '0', size - at - (DIGITS_SIZE - 1));
            if (!zero)
                break;
            at = (size_t)(zero - page);
            if (memcmp(zero, digits, DIGITS_SIZE) != 0)
                continue;
            TRY(look(s, (uint32_t)base + (uint32_t)at, &tables, ret_list));
            if (ret_list->count || ++suspects == SUSPECT_MAX || tables == TABLE_MAX)
                return ERR_ok;
        }
    }
    return ERR_ok;
}

enum err replay_linux_symbols(const struct replay_linux_memory *memory,
                              struct arena *arena, struct replay_symbol_list *ret_list)
{
    struct search *s = arena_new(arena, struct search);
    if (!s)
        return ERR_nomem;
    s->memory = memory;
    s->arena = arena;
    s->window = NULL;
    s->window_room = 0;
    s->steps = STEP_MAX;
    *ret_list = (struct replay_symbol_list){0};
    return find(s, ret_list);
}
