/* SPDX-License-Identifier: MIT
 *
 * cli/dap_lines.h - source lines of PVM programs: the line table (DWARF 2 to 4) of the
 * debug information that `lockstep link -g` writes.  The linker takes no other version.
 */
#ifndef CLI_DAP_LINES_H
#define CLI_DAP_LINES_H

#include "base/arena.h"
#include "base/buf.h"

#include <stdbool.h>

/* A source file; `path` is absolute if the compiler, or `root`, was. */
struct dap_file {
    const char *path;
    const char *name; /* as the compiler was told: a tail of path, or all of it */
};

/* A row of the table: code from `address` to `end` (the same: none is left of it). */
struct dap_row {
    uint64_t address, end;
    uint32_t file, line; /* line 0: code of no line */
    uint32_t order;      /* in the table */
    bool statement;      /* a good place to stop */
};

struct dap_lines {
    struct arena arena;
    struct buf files; /* struct dap_file */
    struct buf rows;  /* struct dap_row, by address; those without code left out */
    struct buf marks; /* struct dap_row, by address; places to stop at */
};

/* Start an empty table. */
void dap_lines_init(struct dap_lines *lines);
void dap_lines_free(struct dap_lines *lines);

/* Add what a file of debug information (ELF64, little endian, as a whole in `elf`) says
 * about the code of program `program` of the trace; relative names are below `root`.
 * ERR_usage: this is no such file; ERR_not_found: it has no lines; ERR_limit.  Nothing
 * of `elf` is kept. */
ERR_MUST_CHECK enum err dap_lines_add(struct dap_lines *lines, struct bytes elf,
                                      uint32_t program, const char *root);

/* The row that covers an address; NULL: none. */
const struct dap_row *dap_lines_find(const struct dap_lines *lines, uint64_t address);

/* The file that a client calls `path`: by its whole path, or, for a relative name, by
 * the end of it.  False: none. */
bool dap_lines_file(const struct dap_lines *lines, const char *path,
                    uint32_t *ret_file);
const struct dap_file *dap_lines_file_at(const struct dap_lines *lines, uint32_t file);
uint32_t dap_lines_file_count(const struct dap_lines *lines);

/* The line, or the next one behind it, that has places to stop; 0: none. */
uint32_t dap_lines_next(const struct dap_lines *lines, uint32_t file, uint32_t line);
/* The place to stop at in a line that follows `*at` (0 to begin with), by index; false:
 * there are no more.  One for each time that the line is entered in the code. */
bool dap_lines_mark(const struct dap_lines *lines, uint32_t file, uint32_t line,
                    uint32_t *at, uint64_t *ret_address);

#endif
