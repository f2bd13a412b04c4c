/* SPDX-License-Identifier: MIT
 *
 * cli/linux_names.h - the names in a Linux guest: those that its kernel has for itself
 * (replay/linux_symbols.h), and those of the modules that it has loaded, from files.
 *
 * Names stay as cli/modules.h says.  One table for `dap` and `query`; gdb has its own,
 * which `debug` makes from the same sources.
 */
#ifndef CLI_LINUX_NAMES_H
#define CLI_LINUX_NAMES_H

#include "cli/modules.h"
#include "cli/names.h"
#include "replay/timeline.h"

struct cli_linux_names {
    struct replay_timeline *timeline; /* NULL: there are no names */
    bool wants_kernel, has_kernel, has_folder, has_looked, changed;
    struct replay_time looked; /* where modules were looked for last */
    struct cli_names kernel;
    struct cli_modules modules;
    struct cli_names *own; /* of each module with a file */
    size_t own_count;
    struct buf complaints; /* lines about files that are of another build */
};

/* Start without any. */
void cli_linux_names_init(struct cli_linux_names *names);
void cli_linux_names_free(struct cli_linux_names *names);

/* Look for the kernel's names as cli_symbols_find() does, if they are wanted, and for
 * files of modules below `folder` (NULL: none).  The time line is borrowed.
 * ERR_unsupported: this guest has no modules, or no symbols that could be unwanted;
 * errors of the folder and of the guest. */
ERR_MUST_CHECK enum err cli_linux_names_open(struct cli_linux_names *names,
                                             struct replay_timeline *timeline,
                                             const char *folder, bool wants_kernel);

/* Look for modules where the guest stands now, once for each place; `again`: for the
 * kernel as well, if it was not found.  True: there are other names than before. */
bool cli_linux_names_look(struct cli_linux_names *names, bool again);

/* As the functions of cli/names.h, over all of them.  A name may be MODULE:NAME. */
bool cli_linux_names_put(const struct cli_linux_names *names, uint64_t pc,
                         bool is_caller, struct buf *text);
bool cli_linux_names_start(const struct cli_linux_names *names, uint64_t pc,
                           uint64_t *ret_start);

struct cli_linux_place {
    size_t table, at; /* 0, 0 to begin with */
};
bool cli_linux_names_find(const struct cli_linux_names *names, const char *name,
                          struct cli_linux_place *place, uint64_t *ret_address);

/* NAME, NAME+OFFSET, and both with & in front: the first address; false: there is none.
 */
bool cli_linux_names_address(const struct cli_linux_names *names, const char *text,
                             uint64_t *ret_address);

#endif
