/* SPDX-License-Identifier: MIT */
#include "cli/linux_names.h"

#include "base/os.h"
#include "cli/cli.h"
#include "cli/debug_symbols.h"

#include <stdlib.h>
#include <string.h>

/* A list of modules, and what has to be looked at for it. */
#define LIST_SIZE_MAX ((size_t)64 << 20)

enum { COMPLAINTS_SIZE_MAX = 1 << 20, NAME_SIZE_MAX = 1024 };

void cli_linux_names_init(struct cli_linux_names *n)
{
    *n = (struct cli_linux_names){.timeline = NULL};
    cli_names_init(&n->kernel);
    buf_init(&n->complaints, COMPLAINTS_SIZE_MAX);
}

void cli_linux_names_free(struct cli_linux_names *n)
{
    for (size_t i = 0; i < n->own_count; i++)
        cli_names_free(&n->own[i]);
    free(n->own);
    cli_modules_close(&n->modules);
    cli_names_free(&n->kernel);
    buf_fini(&n->complaints);
    *n = (struct cli_linux_names){.timeline = NULL};
}

/* ---- the kernel ---- */

/* One that has more names than we hold has none. */
static enum err take_kernel(void *self, const struct replay_symbol_list *list)
{
    struct cli_linux_names *n = self;
    if (cli_names_add_kernel(&n->kernel, list)) {
        cli_names_free(&n->kernel);
        cli_names_init(&n->kernel);
    }
    return ERR_ok;
}

enum err cli_linux_names_open(struct cli_linux_names *n,
                              struct replay_timeline *timeline, const char *folder,
                              bool wants_kernel)
{
    const struct replay_guest_ops *ops = replay_timeline_guest(timeline)->ops;
    if ((folder && !ops->modules) || (!wants_kernel && !ops->symbols))
        return ERR_unsupported;
    n->timeline = timeline;
    n->wants_kernel = wants_kernel && ops->symbols;
    if (folder) {
        TRY(cli_modules_open(folder, &n->modules));
        n->own = calloc(REPLAY_MODULE_MAX, sizeof *n->own);
        if (!n->own)
            return ERR_nomem;
        n->has_folder = true;
    }
    if (!n->wants_kernel)
        return ERR_ok;
    return cli_symbols_find(timeline, take_kernel, n, &n->has_kernel);
}

/* ---- modules ---- */

static enum err add_module(void *self, const struct replay_module_list *list,
                           size_t index, const char *path)
{
    struct cli_linux_names *n = self;
    struct cli_names *own = &n->own[n->own_count];
    struct buf elf;
    if (n->own_count == REPLAY_MODULE_MAX)
        return ERR_ok;
    n->changed = true;
    buf_init(&elf, CLI_MODULE_FILE_SIZE_MAX);
    cli_names_init(own);
    if (!os_file_read(path, &elf) &&
        !cli_names_add_module(own, list, index, buf_bytes(&elf)))
        n->own_count++;
    else
        cli_names_free(own);
    buf_fini(&elf);
    return ERR_ok;
}

static void drop_module(void *self, const struct cli_module *module)
{
    struct cli_linux_names *n = self;
    size_t kept = 0;
    n->changed = true;
    for (size_t i = 0; i < n->own_count; i++) {
        if (strcmp(n->own[i].module, module->name) == 0)
            cli_names_free(&n->own[i]);
        else
            n->own[kept++] = n->own[i];
    }
    n->own_count = kept;
}

static bool look_for_modules(struct cli_linux_names *n)
{
    const struct replay_guest *guest = replay_timeline_guest(n->timeline);
    const struct cli_module_sink sink = {add_module, drop_module, n};
    struct replay_module_list list;
    struct arena arena;
    n->changed = false;
    arena_init(&arena, LIST_SIZE_MAX);
    if (!guest->ops->modules(guest->self, &arena, &list))
        (void)!cli_modules_update(&n->modules, guest, &list, &sink, &n->complaints);
    arena_fini(&arena);
    return n->changed;
}

bool cli_linux_names_look(struct cli_linux_names *n, bool again)
{
    bool changed = false;
    if (!n->timeline)
        return false;
    if (again && n->wants_kernel && !n->has_kernel &&
        replay_timeline_guest(n->timeline)->symbols_after) {
        (void)!cli_symbols_look(replay_timeline_guest(n->timeline), take_kernel, n,
                                &n->has_kernel);
        changed = n->has_kernel;
    }
    struct replay_time now = replay_timeline_now(n->timeline);
    if (!n->has_folder || (n->has_looked && replay_time_compare(now, n->looked) == 0))
        return changed;
    n->has_looked = true;
    n->looked = now;
    return look_for_modules(n) || changed;
}

/* ---- looking up ---- */

/* The kernel is number 0. */
static const struct cli_names *table_at(const struct cli_linux_names *n, size_t index)
{
    if (!index)
        return &n->kernel;
    return index <= n->own_count ? &n->own[index - 1] : NULL;
}

bool cli_linux_names_put(const struct cli_linux_names *n, uint64_t pc, bool is_caller,
                         struct buf *text)
{
    const struct cli_names *table;
    for (size_t i = 0; (table = table_at(n, i)); i++) {
        if (cli_names_put(table, pc, is_caller, text))
            return true;
    }
    return false;
}

bool cli_linux_names_start(const struct cli_linux_names *n, uint64_t pc,
                           uint64_t *ret_start)
{
    const struct cli_names *table;
    for (size_t i = 0; (table = table_at(n, i)); i++) {
        if (cli_names_start(table, pc, ret_start))
            return true;
    }
    return false;
}

/* Is the module that a name begins with this one?  *name goes behind it. */
static bool is_in(const struct cli_names *table, const char **name)
{
    const char *colon = strchr(*name, ':');
    size_t size = strlen(table->module);
    if (!colon)
        return true;
    if (!size || (size_t)(colon - *name) != size || memcmp(*name, table->module, size))
        return false;
    *name = colon + 1;
    return true;
}

bool cli_linux_names_find(const struct cli_linux_names *n, const char *name,
                          struct cli_linux_place *place, uint64_t *ret_address)
{
    const struct cli_names *table;
    for (; (table = table_at(n, place->table)); place->table++, place->at = 0) {
        const char *own = name;
        if (is_in(table, &own) && cli_names_find(table, own, &place->at, ret_address))
            return true;
    }
    return false;
}

bool cli_linux_names_address(const struct cli_linux_names *n, const char *text,
                             uint64_t *ret_address)
{
    char name[NAME_SIZE_MAX];
    struct cli_linux_place place = {0};
    uint64_t offset = 0, address;
    text += *text == '&';
    const char *plus = strchr(text, '+');
    size_t size = plus ? (size_t)(plus - text) : strlen(text);
    if (!size || size >= sizeof name || (plus && !cli_number(plus + 1, &offset)))
        return false;
    memcpy(name, text, size);
    name[size] = 0;
    if (!cli_linux_names_find(n, name, &place, &address))
        return false;
    *ret_address = address + offset;
    return true;
}
