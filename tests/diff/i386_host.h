/* SPDX-License-Identifier: MIT
 *
 * tests/diff/i386_host.h - instructions of i386.def against the host's processor
 * (machine.md 8.2).
 *
 * One emulated machine and one process that executes the same cases natively
 * (oracle32/).  Both make the cases from a seed, so only a digest comes back; on a
 * mismatch the cases are run again and the first one that differs is printed.
 */
#ifndef TESTS_DIFF_I386_HOST_H
#define TESTS_DIFF_I386_HOST_H

#include "emu/decode.h"

#include <stdbool.h>
#include <stdint.h>

struct i386_host;

/* Start the machine and `oracle`, the program of oracle32/.  NULL if this host cannot
 * run it; `ret_steps` says whether it also has segments of its own (modify_ldt). */
struct i386_host *i386_host_start(const char *oracle, bool *ret_steps);
void i386_host_stop(struct i386_host *host);

/* Can the row be compared at all, and by plain calls instead of single steps? */
bool i386_host_has(const struct emu_row *row);
bool i386_host_calls(const struct emu_row *row);

enum i386_verdict {
    I386_SAME,
    I386_DIFFERENT, /* said on stdout */
    I386_LOST,      /* an instruction went where the oracle does not come back from */
};

/* One random encoding of `row`, with `count` cases of `seed`; `stepped` for any
 * segments and 16-bit code. */
enum i386_verdict i386_host_check(struct i386_host *host, const struct emu_row *row,
                                  uint64_t seed, uint32_t count, bool stepped);

#endif
