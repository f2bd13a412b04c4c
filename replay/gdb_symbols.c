/* SPDX-License-Identifier: MIT
 *
 * `monitor kallsyms`: the names that a Linux guest's kernel has for its functions.
 */
#include "replay/gdb_private.h"

#include <inttypes.h>
#include <string.h>

/* The list, and what has to be looked at for it. */
#define SYMBOLS_SIZE_MAX ((size_t)512 << 20)

enum { SHOWN_MAX = 100 }; /* symbols of one name: static functions */

static void put_summary(const struct replay_symbol_list *list, struct buf *text)
{
    if (list->count)
        buf_printf(text,
                   "%zu symbols, 0x%" PRIx32 " to 0x%" PRIx32 ", tokens at 0x%" PRIx32
                   "\n",
                   list->count, list->item[0].address,
                   list->item[list->count - 1].address, list->tokens);
    else
        buf_text(text, "no symbols are found here\n");
}

static void put_named(const struct replay_symbol_list *list, const char *name,
                      struct buf *text)
{
    unsigned shown = 0;
    for (size_t i = 0; i < list->count && shown < SHOWN_MAX; i++) {
        const struct replay_symbol *symbol = &list->item[i];
        if (strcmp(symbol->name, name) != 0)
            continue;
        buf_printf(text, "0x%" PRIx32 " %c %s\n", symbol->address, symbol->type, name);
        shown++;
    }
    if (!shown)
        buf_printf(text, "there is no symbol %.60s here\n", name);
}

static enum err put(struct replay_gdb *gdb, const char *word,
                    const struct replay_symbol_list *list, struct buf *text)
{
    if (!word)
        put_summary(list, text);
    else if (strcmp(word, "load") != 0)
        put_named(list, word, text);
    else if (gdb->options.load_symbols)
        return gdb->options.load_symbols(gdb->options.self, list, text);
    else
        buf_text(text, "gdb is not told of the kernel's symbols\n");
    return ERR_ok;
}

enum err replay_gdb_put_symbols(struct replay_gdb *gdb, const char *word,
                                struct buf *text)
{
    const struct replay_guest *guest = gdb->guest;
    struct replay_symbol_list list;
    struct arena arena;
    if (!guest->ops->symbols) {
        buf_text(text, "this guest has no kernel with symbols\n");
        return ERR_ok;
    }
    arena_init(&arena, SYMBOLS_SIZE_MAX);
    enum err err = guest->ops->symbols(guest->self, &arena, &list);
    if (!err)
        err = put(gdb, word, &list, text);
    arena_fini(&arena);
    return err;
}
