/* SPDX-License-Identifier: MIT
 *
 * replay/linux_modules.h - the modules that a Linux kernel for i386 has loaded, found
 * in its memory.
 *
 * Nothing is known of the kernel but what has been so in all its versions: a struct
 * module begins with its state, its links in the list of modules and its name
 * (include/linux/module.h), and lies in the module's own section
 * .gnu.linkonce.this_module.  A place in memory is taken for a module if its neighbours
 * in the list point back, and if something that it points to is a table of sections
 * (struct module_sect_attrs, what /sys/module/NAME/sections shows) that has this very
 * section at this very place.  So neither symbols nor BTF nor offsets are needed.
 *
 * The memory is hostile: a table or list that lies costs bounded time and room.
 */
#ifndef REPLAY_LINUX_MODULES_H
#define REPLAY_LINUX_MODULES_H

#include "base/arena.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { REPLAY_MODULE_NAME_SIZE = 60, REPLAY_SECTION_NAME_SIZE = 48 };
enum { REPLAY_MODULE_MAX = 1024, REPLAY_SECTION_MAX = 256 };

struct replay_module_section {
    char name[REPLAY_SECTION_NAME_SIZE]; /* letters, digits, '.', '_', '-', '$' */
    uint32_t address;
};

struct replay_module {
    char name[REPLAY_MODULE_NAME_SIZE]; /* letters, digits, '_', '-' */
    unsigned state;                     /* 0 live, 1 coming, 2 going, 3 unformed */
    uint32_t address;                   /* of its struct module */
    /* The allocation that holds its struct module, with its code in kernels before 6.4;
     * 0, 0: not found. */
    uint32_t base, size;
    const struct replay_module_section *section;
    size_t section_count;
};

struct replay_module_list {
    const struct replay_module *item; /* the one that was loaded last comes first */
    size_t count;
};

/* Linear memory: the bytes that can be read from `address` on, up to `size`. */
struct replay_linux_memory {
    size_t (*read)(void *self, uint64_t address, uint8_t *ret_data, size_t size);
    void *self;
    uint32_t first; /* where the kernel begins at the lowest; of a page */
};
#define REPLAY_LINUX_FIRST UINT32_C(0x80000000) /* of all ways to split the space */

/* A word of the guest's. */
static inline uint32_t replay_linux_word(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

/* The modules at this moment, in `arena`; none if the guest is no Linux or has not come
 * so far.  A module whose sections the kernel does not show yet is left out.
 * ERR_nomem. */
ERR_MUST_CHECK enum err replay_linux_modules(const struct replay_linux_memory *memory,
                                             struct arena *arena,
                                             struct replay_module_list *ret_list);

#endif
