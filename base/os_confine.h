/* SPDX-License-Identifier: MIT
 *
 * base/os_confine.h - a process that gives up the files it does not need (Landlock).
 */
#ifndef BASE_OS_CONFINE_H
#define BASE_OS_CONFINE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Can os_confine_files() do it here? */
bool os_confine_available(void);

/*
 * From now on this process, and whoever it starts, can open, make, move and remove
 * files below these folders (descriptors, references will do) and nowhere else, can
 * execute none, make no device, socket or FIFO, mount nothing and gain no privilege.
 * What is open stays so.  It cannot be undone.
 *
 * ERR_unsupported, and nothing has changed: the system has no Landlock, has it switched
 * off, or one that forbids to move files between folders (before Linux 5.19).
 */
ERR_MUST_CHECK enum err os_confine_files(const int *folders, size_t count);

#endif
