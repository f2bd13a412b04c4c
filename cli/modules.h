/* SPDX-License-Identifier: MIT
 *
 * cli/modules.h - which files belong to the modules that a Linux guest has loaded.
 *
 * What was found stays known while nothing else is at a module's place, also where the
 * guest has not loaded it yet: so a breakpoint by name is met from there, too.
 */
#ifndef CLI_MODULES_H
#define CLI_MODULES_H

#include "base/buf.h"
#include "replay/debug.h"

enum { CLI_MODULE_FILE_SIZE_MAX = 256 << 20 };

/* A module that has been found, or whose file was refused. */
struct cli_module {
    char name[REPLAY_MODULE_NAME_SIZE];
    const char *path;
    uint32_t address, base, size;
    bool refused;
};

struct cli_modules {
    struct buf files; /* *.ko, each path with a NUL behind it */
    struct cli_module *known;
    size_t known_count;
    unsigned folder_count;
};

/* Look for files below a folder, whose names gdb can take.  ERR_not_found, ERR_access,
 * ERR_io, ERR_nomem; ERR_limit: there are too many.  Close it in any case. */
ERR_MUST_CHECK enum err cli_modules_open(const char *folder,
                                         struct cli_modules *ret_modules);
void cli_modules_close(struct cli_modules *modules);

/* Who wants to know: of a module of the list that has come with its file, and of one
 * that has made way, which comes first. */
struct cli_module_sink {
    enum err (*add)(void *self, const struct replay_module_list *list, size_t index,
                    const char *path);
    void (*drop)(void *self, const struct cli_module *module);
    void *self;
};

/* The guest has these modules here.  Appends a line to `text` for each file that is of
 * another build.  Errors of the sink. */
ERR_MUST_CHECK enum err cli_modules_update(struct cli_modules *modules,
                                           const struct replay_guest *guest,
                                           const struct replay_module_list *list,
                                           const struct cli_module_sink *sink,
                                           struct buf *text);

/* Is this section of a module where the list says?  The kernel's copies of its own
 * names are not, nor what only the start needed and a later module has now. */
bool cli_modules_section(const struct replay_module_list *list, size_t index,
                         size_t section);

#endif
