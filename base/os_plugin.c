/* SPDX-License-Identifier: MIT */
#include "base/os_plugin.h"

#include <dlfcn.h>
#include <string.h>

enum err os_plugin_open(const char *path, const char *name, void (**ret_function)(void),
                        const char **ret_text)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        *ret_text = dlerror();
        return ERR_io;
    }
    void *symbol = dlsym(handle, name);
    if (!symbol) {
        *ret_text = dlerror(); /* closing it would change the words */
        return ERR_unsupported;
    }
    /* ISO C has no way from an object pointer to a function. */
    void (*function)(void);
    memcpy(&function, &symbol, sizeof function);
    *ret_function = function;
    return ERR_ok;
}
