/* SPDX-License-Identifier: MIT
 *
 * emu/ram.h - the physical memory of the pc guest (machine.md 2.2, 6.3).
 *
 * 0..9ffff, c0000..fffff and 100000..size-1 are RAM; everything else is open bus,
 * which reads all ones and swallows writes.  Every store, by whomever, goes through
 * emu_ram_write or through a host view that the processor made after it: that is how
 * dirty pages and decoded code stay known.  Deterministic; one thread.
 */
#ifndef EMU_RAM_H
#define EMU_RAM_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    EMU_PAGE_SIZE = 4096,
    EMU_GRANULE_SIZE = 64, /* 64 granules a page, one bit each */
    EMU_RAM_HOLE = 0xa0000,
    EMU_RAM_HOLE_END = 0xc0000,
};

#define EMU_RAM_SIZE_MIN ((uint32_t)1 << 20)
#define EMU_RAM_SIZE_MAX ((uint32_t)1 << 31)

struct emu_ram {
    uint8_t *bytes; /* size bytes; those of the hole stay zero and are never used */
    uint32_t size;
    uint8_t *dirty; /* one byte a page: written since emu_ram_clear_dirty */
    uint64_t *code; /* one word a page: which granules hold decoded code */
    uint32_t epoch; /* grows when dirty bits are cleared: write views are stale */
    /* Called before a store to a granule that holds decoded code. */
    void (*code_written)(void *context, uint32_t address, uint32_t size);
    void *context;
};

/* Zeroed RAM of `size` bytes in `arena`, a multiple of 1 MiB between EMU_RAM_SIZE_MIN
 * and _MAX, else ERR_usage; ERR_nomem. */
enum err emu_ram_create(struct arena *arena, uint32_t size,
                        struct emu_ram **ret_ram) ERR_MUST_CHECK;

/* Is the byte at this physical address RAM?  All bytes of a page answer alike. */
static inline bool emu_ram_has(const struct emu_ram *ram, uint32_t address)
{
    return address < ram->size &&
           (address < EMU_RAM_HOLE || address >= EMU_RAM_HOLE_END);
}

/* Copy `size` bytes from physical `address`; open bus gives ff.  Addresses wrap at
 * 4 GiB.  No effect on the guest. */
void emu_ram_read(const struct emu_ram *ram, uint32_t address, void *ret_data,
                  size_t size);

/* Store `size` bytes at physical `address`: marks pages dirty, drops decoded code. */
void emu_ram_write(struct emu_ram *ram, uint32_t address, const void *data,
                   size_t size);

/* Begin a new interval of dirty tracking: no page is dirty. */
void emu_ram_clear_dirty(struct emu_ram *ram);

#endif
