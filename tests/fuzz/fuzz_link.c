/* SPDX-License-Identifier: MIT
 *
 * Hostile objects: the first byte chooses format and profile, the rest is an object,
 * linked with everything that can be asked for.  Whatever it is, the linker answers; a
 * program that it makes passes the strict check (the linker asserts that itself).
 */
#include "link/link.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct arena arena;
    struct link_options options;
    struct link_problems problems;
    struct link_result result;
    struct link_input input = {.name = "x.o", .content = bytes_of(data + 1, size - 1)};
    arena_init(&arena, (size_t)1 << 28);
    link_options_init(&options);
    options.format = (enum link_format)(data[0] % 3);
    options.json = options.format == LINK_FORMAT_RAW && (data[0] & 64);
    options.map = true;
    options.debug = true;
    if (options.format == LINK_FORMAT_RAW && (data[0] & 128))
        options.profile = PVM_PROFILE_JAVM;
    enum err err = link_objects(&arena, &input, 1, &options, &problems, &result);
    check(err == ERR_ok || err == ERR_nomem || problems.count > 0);
    if (err == ERR_ok)
        check(pvm_code_valid(&result.code, options.profile));
    arena_fini(&arena);
    return 0;
}
