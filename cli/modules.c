/* SPDX-License-Identifier: MIT */
#include "cli/modules.h"

#include "base/os.h"
#include "cli/elf32.h"

#include <stdlib.h>
#include <string.h>

enum {
    DEPTH_MAX = 12,
    FOLDER_COUNT_MAX = 20000,
    FILES_SIZE_MAX = 16 << 20,
    NAMES_SIZE_MAX = 16 << 20,
    ID_SIZE_MAX = 256,
    PAGE = 4096,
};

/* ---- files ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);
    return size > end_size && strcmp(text + size - end_size, end) == 0;
}

static enum err collect(struct cli_modules *m, const char *folder, unsigned depth)
{
    struct buf names, path;
    if (depth > DEPTH_MAX || ++m->folder_count > FOLDER_COUNT_MAX)
        return depth > DEPTH_MAX ? ERR_ok : ERR_limit;
    buf_init(&names, NAMES_SIZE_MAX);
    buf_init(&path, PAGE);
    enum err err = os_folder_list(folder, &names);
    for (size_t at = 0; !err && at < names.size;) {
        const char *name = (const char *)names.data + at;
        at += strlen(name) + 1;
        buf_clear(&path);
        buf_printf(&path, "%s/%s", folder, name);
        if (path.err || strchr(name, '\n'))
            continue;
        if (ends_with(name, "/")) {
            path.data[path.size - 1] = 0;
            enum err below = collect(m, (const char *)path.data, depth + 1);
            err = below == ERR_limit || below == ERR_nomem ? below : ERR_ok;
        } else if (ends_with(name, ".ko")) {
            buf_put(&m->files, path.data, path.size);
            buf_byte(&m->files, 0);
            err = m->files.err;
        }
    }
    buf_fini(&path);
    buf_fini(&names);
    return err;
}

enum err cli_modules_open(const char *folder, struct cli_modules *m)
{
    *m = (struct cli_modules){0};
    buf_init(&m->files, FILES_SIZE_MAX);
    m->known = calloc(REPLAY_MODULE_MAX, sizeof *m->known);
    return m->known ? collect(m, folder, 0) : ERR_nomem;
}

void cli_modules_close(struct cli_modules *m)
{
    buf_fini(&m->files);
    free(m->known);
    *m = (struct cli_modules){0};
}

/* The kernel writes '_' where a file may have '-'. */
static bool is_file_of(const char *path, const char *module)
{
    const char *name = strrchr(path, '/') + 1;
    size_t i = 0;
    for (; module[i]; i++) {
        if (module[i] != (name[i] == '-' ? '_' : name[i]))
            return false;
    }
    return strcmp(name + i, ".ko") == 0;
}

/* ---- is it the same build? ---- */

static uint32_t address_of(const struct replay_module *module, const char *section)
{
    for (size_t i = 0; i < module->section_count; i++) {
        if (strcmp(module->section[i].name, section) == 0)
            return module->section[i].address;
    }
    return 0;
}

/* What a file is good for. */
enum fit { FIT_NONE, FIT_OTHER_BUILD, FIT_NAMES, FIT_LINES };

/* Without a build id in both, which the linker writes, builds cannot be told apart. */
static enum fit fit_of(const struct replay_guest *guest,
                       const struct replay_module *module, const char *path)
{
    static const char name[] = ".note.gnu.build-id";
    uint8_t own[ID_SIZE_MAX];
    uint32_t address = address_of(module, name);
    struct buf file;
    enum fit fit = FIT_NONE;
    buf_init(&file, CLI_MODULE_FILE_SIZE_MAX);
    if (!os_file_read(path, &file)) {
        struct bytes id = cli_elf32_section(buf_bytes(&file), name);
        bool lines = cli_elf32_section(buf_bytes(&file), ".debug_info").size != 0;
        fit = lines ? FIT_LINES : FIT_NAMES;
        if (address && id.size && id.size <= sizeof own &&
            guest->ops->memory_read(guest->self, address, own, id.size) == id.size &&
            memcmp(own, id.data, id.size) != 0)
            fit = FIT_OTHER_BUILD;
    }
    buf_fini(&file);
    return fit;
}

/* The file that fits best; NULL: there is none. */
static const char *file_of(const struct cli_modules *m,
                           const struct replay_guest *guest,
                           const struct replay_module *module, enum fit *ret_fit)
{
    const char *path = (const char *)m->files.data, *best = NULL;
    *ret_fit = FIT_NONE;
    for (size_t at = 0; at < m->files.size; at += strlen(path + at) + 1) {
        enum fit fit = FIT_NONE;
        if (is_file_of(path + at, module->name))
            fit = fit_of(guest, module, path + at);
        if (fit > *ret_fit) {
            best = path + at;
            *ret_fit = fit;
        }
    }
    return best;
}

/* ---- sections ---- */

/* The kernel's copies for its own names, which are no sections for gdb. */
static bool is_copy(const struct replay_module_section *section)
{
    return strcmp(section->name, ".symtab") == 0 ||
           strcmp(section->name, ".strtab") == 0;
}

/* The kernel frees what only the start needs, and gives it to the next module. */
static bool is_taken(const struct replay_module_list *list, size_t index,
                     const struct replay_module_section *section)
{
    if (strncmp(section->name, ".init", 5) != 0)
        return false;
    for (size_t i = 0; i < index; i++) {
        for (size_t k = 0; k < list->item[i].section_count; k++) {
            if (list->item[i].section[k].address / PAGE == section->address / PAGE)
                return true;
        }
    }
    return false;
}

bool cli_modules_section(const struct replay_module_list *list, size_t index,
                         size_t section)
{
    const struct replay_module_section *own = &list->item[index].section[section];
    return !is_copy(own) && !is_taken(list, index, own);
}

/* ---- what is known ---- */

static bool overlap(const struct cli_module *a, const struct replay_module *b)
{
    return a->base < b->base ? b->base - a->base < a->size
                             : a->base - b->base < b->size;
}

/* Is something else where this module was? */
static bool is_over(const struct cli_module *known,
                    const struct replay_module_list *list)
{
    bool over = false;
    for (size_t i = 0; i < list->count; i++) {
        const struct replay_module *module = &list->item[i];
        bool same_name = strcmp(module->name, known->name) == 0;
        if (same_name && module->address == known->address)
            return false;
        over |= same_name || overlap(known, module);
    }
    return over;
}

static void forget(struct cli_modules *m, const struct replay_module_list *list,
                   const struct cli_module_sink *sink)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->known_count; i++) {
        const struct cli_module known = m->known[i];
        if (!is_over(&known, list))
            m->known[kept++] = known;
        else if (!known.refused)
            sink->drop(sink->self, &known);
    }
    m->known_count = kept;
}

static bool is_known(const struct cli_modules *m, const struct replay_module *module)
{
    for (size_t i = 0; i < m->known_count; i++) {
        if (strcmp(m->known[i].name, module->name) == 0)
            return true;
    }
    return false;
}

static enum err add(struct cli_modules *m, const struct replay_guest *guest,
                    const struct replay_module_list *list, size_t index,
                    const struct cli_module_sink *sink, struct buf *text)
{
    const struct replay_module *module = &list->item[index];
    enum fit fit;
    if (is_known(m, module) || m->known_count == REPLAY_MODULE_MAX)
        return ERR_ok;
    const char *path = file_of(m, guest, module, &fit);
    if (!path)
        return ERR_ok;
    struct cli_module known = {.path = path,
                               .address = module->address,
                               .base = module->base,
                               .size = module->size,
                               .refused = fit == FIT_OTHER_BUILD};
    memcpy(known.name, module->name, sizeof known.name);
    m->known[m->known_count++] = known;
    if (!known.refused)
        return sink->add(sink->self, list, index, path);
    buf_printf(text, "%s is not what the guest has loaded: another build\n", path);
    return ERR_ok;
}

enum err cli_modules_update(struct cli_modules *m, const struct replay_guest *guest,
                            const struct replay_module_list *list,
                            const struct cli_module_sink *sink, struct buf *text)
{
    forget(m, list, sink);
    for (size_t i = 0; i < list->count; i++)
        TRY(add(m, guest, list, i, sink, text));
    return ERR_ok;
}
