/* SPDX-License-Identifier: MIT
 *
 * base/os_plugin.h - shared objects that are loaded at run time.
 */
#ifndef BASE_OS_PLUGIN_H
#define BASE_OS_PLUGIN_H

#include "base/err.h"

/* Load the shared object at `path` and find the function `name` in it.  It stays loaded
 * for the life of the process.  ERR_io: it cannot be loaded; ERR_unsupported: it has no
 * such function.  *ret_text is the system's own words then,
 * until the next call. */
ERR_MUST_CHECK enum err os_plugin_open(const char *path, const char *name,
                                       void (**ret_function)(void),
                                       const char **ret_text);

#endif
