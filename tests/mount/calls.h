/* SPDX-License-Identifier: MIT
 *
 * tests/mount/calls.h - small scripts of system calls, each in a folder of its own.
 *
 * A script is statements with `;` between them.  A statement is a verb, its words and,
 * after `=`, what has to come of it: errors by name, values of fields, alternatives
 * with
 * `|`; nothing means that the call succeeds.  The verbs are a table in calls.c.
 *
 *   mkdir d 0755; rmdir d/. = EINVAL; stat d type,mode = dir,755
 *
 * A word `%N` is a name of N letters, and `^N:NAME` a path of N bytes to NAME.
 * `as UID GID` changes who calls, `root` ends that.
 */
#ifndef TESTS_MOUNT_CALLS_H
#define TESTS_MOUNT_CALLS_H

#include <stdbool.h>
#include <stddef.h>

struct calls_case {
    const char *name;   /* SUBJECT/NN, after the file of pjdfstest of that subject */
    const char *script; /* see above */
    char kind;          /* ' ' any tree, 'r' a read-only one, 'f' a small one */
};

extern const struct calls_case calls_cases[];
extern const size_t calls_count;

/* Does the script need to change users, which only root can? */
bool calls_need_root(const struct calls_case *entry);

/* Run in the working directory.  False: `ret_why` (of `size` bytes) says what failed.
 */
bool calls_run(const struct calls_case *entry, char *ret_why, size_t size);

#endif
