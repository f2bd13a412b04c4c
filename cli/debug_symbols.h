/* SPDX-License-Identifier: MIT
 *
 * cli/debug_symbols.h - gdb's symbols of a Linux guest's kernel, from the kernel's own
 * table (replay/linux_symbols.h).
 */
#ifndef CLI_DEBUG_SYMBOLS_H
#define CLI_DEBUG_SYMBOLS_H

#include "base/buf.h"
#include "replay/timeline.h"

/* Linux has two ranges of code: what stays, and what only the start needs. */
struct cli_symbol_ranges {
    struct {
        uint32_t first, end; /* end 0: there is none */
    } range[2];
};
struct cli_symbol_ranges cli_symbols_ranges(const struct replay_symbol_list *list);

/* Is symbol `index` code in one of the ranges?  Then *ret_size is up to the next one,
 * and answers which range, from 1; else it is 0. */
unsigned cli_symbols_code(const struct replay_symbol_list *list, size_t index,
                          const struct cli_symbol_ranges *ranges, uint32_t *ret_size);

/* Append an ELF file that has the symbols and no code.  ERR_nomem, ERR_limit. */
ERR_MUST_CHECK enum err cli_symbols_put(const struct replay_symbol_list *list,
                                        struct buf *elf);

/* Who takes the symbols that are found; they are there during the call. */
typedef enum err cli_symbols_take(void *self, const struct replay_symbol_list *list);

/* Look for the table here, and give it to `take`, if there is one. */
ERR_MUST_CHECK enum err cli_symbols_look(const struct replay_guest *guest,
                                         cli_symbols_take *take, void *self,
                                         bool *ret_found);

/* May cli_symbols_find() take seconds from here? */
bool cli_symbols_far(const struct replay_timeline *timeline);

/* The same, and then, because a kernel unpacks itself first, at later and later places
 * from the start of the time line on, up to guest.symbols_after.  It stands where it
 * stood afterwards.  Errors of `take`, and of the guest on the way back. */
ERR_MUST_CHECK enum err cli_symbols_find(struct replay_timeline *timeline,
                                         cli_symbols_take *take, void *self,
                                         bool *ret_found);

#endif
