/* SPDX-License-Identifier: MIT
 *
 * cli/debug_modules.h - gdb's symbols of the modules that a Linux guest has loaded.
 *
 * gdb without Python cannot ask where a module is; it can run a file of commands, which
 * we write.
 */
#ifndef CLI_DEBUG_MODULES_H
#define CLI_DEBUG_MODULES_H

#include "cli/modules.h"

/* Write into `file` what gdb is to do so that its symbols fit `list`; appends to `text`
 * where that cannot be.  ERR_nomem, errors of the file. */
ERR_MUST_CHECK enum err cli_modules_load(struct cli_modules *modules,
                                         const struct replay_guest *guest,
                                         const struct replay_module_list *list,
                                         const char *file, struct buf *text);

/* A path as gdb's own parser of words takes it. */
void cli_modules_put_path(struct buf *text, const char *path);

#endif
