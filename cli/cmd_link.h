/* SPDX-License-Identifier: MIT
 *
 * cli/cmd_link.h - what `lockstep link` and `lockstep cc` share.
 */
#ifndef CLI_CMD_LINK_H
#define CLI_CMD_LINK_H

#include "cli/cli.h"
#include "link/link.h"

enum { CLI_PROBLEMS = 2 /* the input has problems, each of them printed */ };

extern const char *const cli_link_format_word[];
extern const char *const cli_link_profile_word[];

/* The options of linking; the first member of what a command's options fill. */
struct cli_link {
    enum link_format format;
    enum pvm_profile profile;
    const char *output, *map, *json;
    struct cli_list exports, keep;
    uint64_t stack_size, heap_size;
    uint64_t ro_slot, rw_slot, yield_slot;
    bool image; /* instead of `format`, which is not given then */
    bool debug;
};

#define CLI_LINK_NO_SLOT UINT64_MAX

#define CLI_LINK_DEFAULTS                                                              \
    {                                                                                  \
        .format = LINK_FORMAT_RAW, .profile = PVM_PROFILE_VECTORS, .output = "a.pvm",  \
        .stack_size = LINK_STACK_SIZE_DEFAULT, .heap_size = LINK_HEAP_SIZE_DEFAULT,    \
        .ro_slot = 1, .rw_slot = 2, .yield_slot = CLI_LINK_NO_SLOT                     \
    }

/* clang-format off */
#define CLI_LINK_OPTIONS(type)                                                         \
    CLI_WORD(type, format, "format", 'f', cli_link_format_word,                        \
             "container to write (default raw)"),                                      \
    CLI_FLAG(type, image, "image", 0, "the same as --format=image"),                   \
    CLI_STRING(type, output, "output", 'o', "FILE",                                    \
               "program to write (default a.pvm)"),                                    \
    CLI_WORD(type, profile, "profile", 0, cli_link_profile_word,                       \
             "who runs a raw program (default vectors)"),                              \
    CLI_LIST(type, exports, "export", 0, "NAME[=N]",                                   \
             "export a function, as number N (0..63)"),                                \
    CLI_LIST(type, keep, "keep", 0, "NAME", "keep what nothing refers to"),            \
    CLI_SIZE(type, stack_size, "stack", 0, "BYTES", 0, UINT32_MAX,                     \
             "size of the stack (default 64K)"),                                       \
    CLI_SIZE(type, heap_size, "heap", 0, "BYTES", 0, UINT32_MAX,                       \
             "size of the heap behind bss (default 64K)"),                             \
    CLI_U64(type, ro_slot, "ro-slot", 0, "N", 0, 255,                                  \
            "image: slot of read-only data (default 1)"),                              \
    CLI_U64(type, rw_slot, "rw-slot", 0, "N", 0, 255,                                  \
            "image: slot of writable data (default 2)"),                               \
    CLI_U64(type, yield_slot, "yield-slot", 0, "N", 0, 255,                            \
            "image: slot of its catcher (default: it catches nothing)"),               \
    CLI_FLAG(type, debug, "debug", 'g', "write FILE.dbg for gdb"),                     \
    CLI_STRING(type, map, "map", 0, "FILE",                                            \
               "write a list of functions, data and jump-table entries"),              \
    CLI_STRING(type, json, "json", 0, "FILE",                                          \
               "with raw: write a case in the w3f format")
/* clang-format on */

/* Read objects, link, write; answers the exit status. */
int cli_link_files(struct cli *cli, const struct cli_link *options, size_t count,
                   char **path);

#endif
