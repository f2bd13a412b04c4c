/* SPDX-License-Identifier: MIT
 *
 * `monitor modules`: what a Linux guest has loaded, and where.
 */
#include "replay/gdb_private.h"

#include <inttypes.h>
#include <string.h>

/* The list, and what has to be looked at for it. */
#define MODULES_SIZE_MAX ((size_t)64 << 20)

static const char *state_name(unsigned state)
{
    static const char *const name[] = {"live", "coming", "going", "unformed"};
    return state < countof(name) ? name[state] : "?";
}

static void put_list(const struct replay_module_list *list, struct buf *text)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct replay_module *module = &list->item[i];
        buf_printf(text, "%s 0x%" PRIx32 " size %" PRIu32 " %s\n", module->name,
                   module->base, module->size, state_name(module->state));
    }
    if (!list->count)
        buf_text(text, "no modules are found here\n");
}

static void put_sections(const struct replay_module *module, struct buf *text)
{
    for (size_t i = 0; i < module->section_count; i++)
        buf_printf(text, "%-28s 0x%" PRIx32 "\n", module->section[i].name,
                   module->section[i].address);
}

static void put_named(const struct replay_module_list *list, const char *name,
                      struct buf *text)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->item[i].name, name) == 0) {
            put_sections(&list->item[i], text);
            return;
        }
    }
    buf_printf(text, "there is no module %.60s here\n", name);
}

static enum err put(struct replay_gdb *gdb, const char *word,
                    const struct replay_module_list *list, struct buf *text)
{
    if (!word)
        put_list(list, text);
    else if (strcmp(word, "load") != 0)
        put_named(list, word, text);
    else if (gdb->options.load_modules)
        return gdb->options.load_modules(gdb->options.self, list, text);
    else
        buf_text(text, "no folder of modules was given: lockstep debug --modules\n");
    return ERR_ok;
}

enum err replay_gdb_put_modules(struct replay_gdb *gdb, const char *word,
                                struct buf *text)
{
    const struct replay_guest *guest = gdb->guest;
    struct replay_module_list list;
    struct arena arena;
    if (!guest->ops->modules) {
        buf_text(text, "this guest has no modules\n");
        return ERR_ok;
    }
    arena_init(&arena, MODULES_SIZE_MAX);
    enum err err = guest->ops->modules(guest->self, &arena, &list);
    if (!err)
        err = put(gdb, word, &list, text);
    arena_fini(&arena);
    return err;
}
