/* SPDX-License-Identifier: MIT
 *
 * replay/linux_symbols.h - the names that a Linux kernel for i386 has for its own
 * functions (CONFIG_KALLSYMS), found in its memory.
 *
 * No address is known of the kernel: the tables that scripts/kallsyms.c of its source
 * writes are found by their shape.  The table of 256 tokens has the digits one behind
 * the other, and the table of their offsets lies behind it; in front are the names,
 * their number, and where each 256th begins, each of which must agree with the others.
 * Addresses are words, or offsets from a base of a whole page; they lie in front of the
 * names, or since 6.4 behind the tokens.
 *
 * The memory is hostile: tables that lie cost bounded time and room.
 */
#ifndef REPLAY_LINUX_SYMBOLS_H
#define REPLAY_LINUX_SYMBOLS_H

#include "replay/linux_modules.h"

enum { REPLAY_SYMBOL_MAX = 1 << 20, REPLAY_SYMBOL_NAME_SIZE = 512 };

struct replay_symbol {
    const char *name; /* one to 511 printable bytes without blanks */
    uint32_t address; /* linear */
    char type;        /* of nm(1): 'T' and 't' are functions */
};

struct replay_symbol_list {
    const struct replay_symbol *item; /* by ascending address */
    size_t count;
    uint32_t tokens; /* where the table of tokens is */
};

/* The symbols, in `arena`; none if the guest is no Linux, has no such table, or has not
 * come so far that its memory is mapped.  They stay the same while a kernel runs.
 * ERR_nomem. */
ERR_MUST_CHECK enum err replay_linux_symbols(const struct replay_linux_memory *memory,
                                             struct arena *arena,
                                             struct replay_symbol_list *ret_list);

#endif
