/* SPDX-License-Identifier: MIT
 *
 * base/os_program.h - programs that run beside us.
 *
 * Part of the only door to the operating system; errors as in base/os.h.
 */
#ifndef BASE_OS_PROGRAM_H
#define BASE_OS_PROGRAM_H

#include "base/err.h"

#include <stdbool.h>

/* Start a program found through PATH, with our standard streams, and go on.  Signals
 * have their default meaning for it.  `argv` ends with NULL.  ERR_not_found. */
ERR_MUST_CHECK enum err os_program_start(const char *const *argv, int *ret_pid);

/* Has it ended?  *ret_status as that of os_run(). */
ERR_MUST_CHECK enum err os_program_ended(int pid, bool *ret_ended, int *ret_status);

/* Run a shell command with one end of a stream (base/os_stream.h) as its descriptor 3,
 * /dev/null as standard input and no other descriptors but 1 and 2. */
ERR_MUST_CHECK enum err os_program_shell(const char *command, int *ret_stream,
                                         int *ret_pid);

/* Wait a second for a program to end by itself, then end it.  0 and less: nothing. */
void os_program_end(int pid);

/* Ctrl-C is for the program beside us. */
void os_ignore_interrupts(void);

#endif
