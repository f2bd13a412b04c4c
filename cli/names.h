/* SPDX-License-Identifier: MIT
 *
 * cli/names.h - the functions of PVM programs by name: the symbols of the debug
 * information that `lockstep link -g` writes.
 */
#ifndef CLI_NAMES_H
#define CLI_NAMES_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>

struct cli_names {
    struct arena arena;
    struct buf list; /* functions by address */
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

/* Append the function that a frame is in, and how far: "name+0x12".  `pc` is where the
 * frame goes on, of a caller behind its call, which may be the last instruction.
 * False, and nothing is appended: no name is known. */
bool cli_names_put(const struct cli_names *names, uint64_t pc, bool is_caller,
                   struct buf *text);

#endif
