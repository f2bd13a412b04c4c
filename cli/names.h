/* SPDX-License-Identifier: MIT
 *
 * cli/names.h - functions by name and by address: of PVM programs, from the symbols of
 * the debug information that `lockstep link -g` writes, of a Linux kernel, from its own
 * table, and of one of its modules, from the module's file.
 */
#ifndef CLI_NAMES_H
#define CLI_NAMES_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "replay/debug.h"

#include <stdbool.h>

struct cli_names {
    struct arena arena;
    struct buf list;                      /* functions by address */
    struct buf data;                      /* what else has a name */
    char module[REPLAY_MODULE_NAME_SIZE]; /* that all of them are in; "": none */
};

/* Start without any. */
void cli_names_init(struct cli_names *names);
void cli_names_free(struct cli_names *names);

/* Add the functions that a file of debug information (ELF64, little endian, as a whole
 * in `elf`) has symbols of, as those of program `program` of the trace.  Names that
 * cannot be printed as they are, or are longer than 1023 bytes, are passed over.
 * ERR_usage: this is no such file; ERR_not_found: it has no symbols; ERR_limit,
 * ERR_nomem.  Nothing of `elf` is kept. */
ERR_MUST_CHECK enum err cli_names_add(struct cli_names *names, struct bytes elf,
                                      uint32_t program);

/* Add the symbols that a kernel has for itself.  ERR_limit, ERR_nomem. */
ERR_MUST_CHECK enum err cli_names_add_kernel(struct cli_names *names,
                                             const struct replay_symbol_list *list);

/* Add those of module `index` of the list, where its sections are, from its file
 * (ELF32).  A file without symbols has none to add.  ERR_limit, ERR_nomem. */
ERR_MUST_CHECK enum err cli_names_add_module(struct cli_names *names,
                                             const struct replay_module_list *list,
                                             size_t index, struct bytes elf);

/* Append the function that a frame is in, and how far: "name+0x12", of a module
 * "name+0x12 [module]".  `pc` is where the frame goes on, of a caller behind its call,
 * which may be the last instruction.  False, and nothing is appended: no name is known.
 */
bool cli_names_put(const struct cli_names *names, uint64_t pc, bool is_caller,
                   struct buf *text);

/* Where the function that holds `pc` begins; false: none is known. */
bool cli_names_start(const struct cli_names *names, uint64_t pc, uint64_t *ret_start);

/* The next address, from number `*at` (0 to begin with) on, of what is called `name`;
 * false: there are no more.  Functions come before data. */
bool cli_names_find(const struct cli_names *names, const char *name, size_t *at,
                    uint64_t *ret_address);

#endif
