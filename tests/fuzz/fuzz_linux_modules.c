/* SPDX-License-Identifier: MIT
 *
 * Hostile memory of a guest: the input is a piece of it.  Whatever is taken for a
 * module has names of plain letters, a section that is itself, and a place in its list.
 */
#include "replay/linux_modules.h"

#include "base/err.h"
#include "tests/fuzz/linux_piece.h"

#include <string.h>

#define BASE UINT32_C(0xf8000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const char *name, size_t size)
{
    size_t length = strnlen(name, size);
    check(length && length < size);
    for (size_t i = 0; i < length; i++)
        check(name[i] > ' ' && name[i] <= 'z' && name[i] != '"' && name[i] != '\\');
}

static void look(const struct replay_module *module)
{
    bool own = false;
    check_name(module->name, sizeof module->name);
    check(module->section_count && module->section_count <= REPLAY_SECTION_MAX);
    for (size_t i = 0; i < module->section_count; i++) {
        check_name(module->section[i].name, sizeof module->section[i].name);
        own |= module->section[i].address == module->address;
    }
    check(own);
    check(!module->size || module->address - module->base < module->size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct linux_piece own = {BASE, bytes_of(data, size)};
    const struct replay_linux_memory memory = {linux_piece_read, &own, BASE};
    struct replay_module_list list;
    struct arena arena;
    arena_init(&arena, (size_t)64 << 20);
    if (!replay_linux_modules(&memory, &arena, &list)) {
        check(list.count <= REPLAY_MODULE_MAX);
        for (size_t i = 0; i < list.count; i++)
            look(&list.item[i]);
    }
    arena_fini(&arena);
    return 0;
}
