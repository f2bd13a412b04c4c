/* SPDX-License-Identifier: MIT
 *
 * cli/debug_modules.h - gdb's symbols of the modules that a Linux guest has loaded.
 *
 * gdb without Python cannot ask where a module is; it can run a file of commands, which
 * we write.  Symbols stay while nothing else is at their place, also where the guest
 * has not loaded the module yet: so a breakpoint by name is met from there, too.
 */
#ifndef CLI_DEBUG_MODULES_H
#define CLI_DEBUG_MODULES_H

#include "base/buf.h"
#include "replay/debug.h"

struct cli_modules {
    struct buf files;   /* *.ko, each path with a NUL behind it */
    const char *script; /* the file that gdb runs; borrowed */
    struct cli_module *known;
    size_t known_count;
    unsigned folder_count;
};

/* Look for files below a folder, whose names gdb can take.  ERR_not_found, ERR_access,
 * ERR_io, ERR_nomem; ERR_limit: there are too many.  Close it in any case. */
ERR_MUST_CHECK enum err cli_modules_open(const char *folder,
                                         struct cli_modules *ret_modules);
void cli_modules_close(struct cli_modules *modules);

/* Write what gdb is to do so that its symbols fit `list`; appends to `text` where that
 * cannot be.  ERR_nomem, errors of the file. */
ERR_MUST_CHECK enum err cli_modules_load(struct cli_modules *modules,
                                         const struct replay_guest *guest,
                                         const struct replay_module_list *list,
                                         struct buf *text);

/* A path as gdb's own parser of words takes it. */
void cli_modules_put_path(struct buf *text, const char *path);

#endif
