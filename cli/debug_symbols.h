/* SPDX-License-Identifier: MIT
 *
 * cli/debug_symbols.h - gdb's symbols of a Linux guest's kernel, from the kernel's own
 * table (replay/linux_symbols.h).
 */
#ifndef CLI_DEBUG_SYMBOLS_H
#define CLI_DEBUG_SYMBOLS_H

#include "base/buf.h"
#include "replay/timeline.h"

/* Append an ELF file that has the symbols and no code.  ERR_nomem, ERR_limit. */
ERR_MUST_CHECK enum err cli_symbols_put(const struct replay_symbol_list *list,
                                        struct buf *elf);

/* Look for the table here, and then, because a kernel unpacks itself first, at later
 * and later places from the start of the time line on, up to guest.symbols_after.  It
 * stands where it stood afterwards.  Appends the ELF file, or nothing.  ERR_nomem,
 * ERR_limit; errors of the guest on the way back. */
ERR_MUST_CHECK enum err cli_symbols_find(struct replay_timeline *timeline,
                                         struct buf *elf);

#endif
