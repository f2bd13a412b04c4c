/* SPDX-License-Identifier: MIT
 *
 * Problems as one line each (guest-toolchain.md chapter 10).
 */
#include "link/internal.h"

#include <inttypes.h>
#include <string.h>

bool link_problems_full(const struct link *link)
{
    return link->problems->count >= LINK_PROBLEM_COUNT_MAX;
}

void link_clean(struct buf *buf, size_t from)
{
    for (size_t i = from; i < buf->size; i++) {
        if (buf->data[i] < 0x20 || buf->data[i] > 0x7e)
            buf->data[i] = '?';
    }
}

/* A label is better than nothing, a function better than a label, and of two
 * functions the one that starts later. */
static bool better(const struct link_symbol *symbol, const struct link_symbol *best)
{
    if (!best)
        return true;
    bool function = symbol->type == LINK_TYPE_FUNC;
    if (function != (best->type == LINK_TYPE_FUNC))
        return function;
    if (symbol->value != best->value)
        return symbol->value > best->value;
    return symbol->bind != LINK_BIND_LOCAL && best->bind == LINK_BIND_LOCAL;
}

const struct link_symbol *link_symbol_at(const struct link_section *section,
                                         uint64_t offset)
{
    const struct link_object *object = section->object;
    const struct link_symbol *best = NULL;
    for (uint32_t i = 0; i < object->symbol_count; i++) {
        const struct link_symbol *symbol = &object->symbol[i];
        if (symbol->place != LINK_PLACE_SECTION || symbol->section != section ||
            symbol->value > offset || !symbol->name[0])
            continue;
        bool function = symbol->type == LINK_TYPE_FUNC;
        if (function && symbol->size && offset - symbol->value >= symbol->size)
            continue;
        bool local_label = symbol->name[0] == '.' || symbol->name[0] == '$';
        if (symbol->type > LINK_TYPE_FUNC || (!function && local_label))
            continue;
        if (better(symbol, best))
            best = symbol;
    }
    return best;
}

struct buf *link_problem_open(struct link *link, const struct link_object *object,
                              const struct link_section *section, uint64_t offset)
{
    struct buf *text = &link->text;
    buf_clear(text);
    if (object)
        buf_printf(text, "%.200s: ", object->name);
    if (section) {
        buf_printf(text, "%.200s+0x%" PRIx64, section->name, offset);
        if (section->kind == LINK_SECTION_CODE) {
            const struct link_symbol *symbol = link_symbol_at(section, offset);
            if (symbol)
                buf_printf(text, " (%.200s)", symbol->name);
        }
        buf_text(text, ": ");
    }
    return text;
}

static void close_line(struct link *link, enum err err, struct link_problem *list,
                       uint32_t *count)
{
    struct buf *text = &link->text;
    if (*count >= LINK_PROBLEM_COUNT_MAX)
        return;
    link_clean(text, 0);
    const char *line = arena_copy(link->arena, buf_string(text), text->size + 1);
    list[(*count)++] =
        (struct link_problem){.err = err, .text = line ? line : err_text(ERR_nomem)};
}

void link_problem_close(struct link *link, enum err err)
{
    close_line(link, err, link->problems->list, &link->problems->count);
}

void link_warning_close(struct link *link)
{
    close_line(link, ERR_ok, link->problems->warning_list,
               &link->problems->warning_count);
}
