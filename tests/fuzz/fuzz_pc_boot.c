/* SPDX-License-Identifier: MIT
 *
 * Hostile images for the pc.  The first bytes choose kind and sizes, the rest is the
 * image.  A refused image says why and leaves RAM as it was; an accepted one leaves a
 * machine that can run.
 */
#include "emu/boot.h"
#include "tests/fuzz/silent_host.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_clean(const struct emu_ram *ram)
{
    for (uint32_t i = 0; i < ram->size / EMU_PAGE_SIZE; i++) {
        if (ram->dirty[i])
            return false;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct emu_host host = silent_host();
    struct emu_pc_config config;
    struct emu_boot_problem problem;
    struct arena arena, scratch;
    enum emu_boot_kind kind;
    struct emu_pc *pc;
    if (size < 4)
        return 0;
    arena_init(&arena, (size_t)64 << 20);
    arena_init(&scratch, (size_t)64 << 20);
    emu_pc_config_init(&config);
    config.ram_size = (1u + data[0] % 8) << 20;
    config.cache_size = 1u << 16;
    check(emu_pc_create(&arena, &config, &host, &pc) == ERR_ok);
    struct emu_boot boot = {.kind = (enum emu_boot_kind)(data[1] % 5),
                            .as_bzimage = data[2] & 1,
                            .kernel = bytes_of(data + 4, size - 4),
                            .cmdline = bytes_of("quiet", data[2] & 2 ? 5 : 0),
                            .initrd = bytes_of(data, data[3] % (size + 1))};
    emu_ram_clear_dirty(pc->ram);
    enum err err = emu_boot_load(&scratch, &boot, pc, &kind, &problem);
    if (err) {
        check(err == ERR_image || err == ERR_nomem);
        check(err == ERR_nomem || problem.text);
        check(is_clean(pc->ram));
    } else {
        check(kind != EMU_BOOT_AUTO);
        (void)emu_pc_run(pc, 2000);
    }
    arena_fini(&arena);
    arena_fini(&scratch);
    return 0;
}
