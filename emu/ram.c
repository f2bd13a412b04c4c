/* SPDX-License-Identifier: MIT
 *
 * Physical memory, split at pages so that each piece is RAM or open bus as a whole.
 */
#include "emu/ram.h"

#include <string.h>

enum err emu_ram_create(struct arena *arena, uint32_t size, struct emu_ram **ret_ram)
{
    if (size < EMU_RAM_SIZE_MIN || size > EMU_RAM_SIZE_MAX ||
        size % EMU_RAM_SIZE_MIN != 0)
        return ERR_usage;
    size_t pages = size / EMU_PAGE_SIZE;
    struct emu_ram *ram = arena_new(arena, struct emu_ram);
    if (!ram)
        return ERR_nomem;
    ram->size = size;
    ram->bytes = arena_alloc(arena, size, 64);
    ram->dirty = arena_new_array(arena, uint8_t, pages);
    ram->code = arena_new_array(arena, uint64_t, pages);
    if (!ram->bytes || !ram->dirty || !ram->code)
        return ERR_nomem;
    *ret_ram = ram;
    return ERR_ok;
}

/* How much of `size` lies in the page of `address`. */
static uint32_t piece_size(uint32_t address, size_t size)
{
    uint32_t rest = EMU_PAGE_SIZE - address % EMU_PAGE_SIZE;
    return size < rest ? (uint32_t)size : rest;
}

void emu_ram_read(const struct emu_ram *ram, uint32_t address, void *ret_data,
                  size_t size)
{
    uint8_t *to = ret_data;
    while (size) {
        uint32_t piece = piece_size(address, size);
        if (emu_ram_has(ram, address))
            memcpy(to, ram->bytes + address, piece);
        else
            memset(to, 0xff, piece);
        to += piece;
        address += piece;
        size -= piece;
    }
}

/* The bits of the granules that [offset, offset + size) of a page touches. */
static uint64_t granules(uint32_t offset, uint32_t size)
{
    uint32_t first = offset / EMU_GRANULE_SIZE;
    uint32_t last = (offset + size - 1) / EMU_GRANULE_SIZE;
    return (UINT64_MAX << first) & (UINT64_MAX >> (63 - last));
}

static void write_piece(struct emu_ram *ram, uint32_t address, const uint8_t *data,
                        uint32_t size)
{
    uint32_t page = address / EMU_PAGE_SIZE;
    uint64_t code = ram->code[page];
    if (code && (code & granules(address % EMU_PAGE_SIZE, size)))
        ram->code_written(ram->context, address, size);
    ram->dirty[page] = 1;
    memcpy(ram->bytes + address, data, size);
}

void emu_ram_write(struct emu_ram *ram, uint32_t address, const void *data, size_t size)
{
    const uint8_t *from = data;
    while (size) {
        uint32_t piece = piece_size(address, size);
        if (emu_ram_has(ram, address))
            write_piece(ram, address, from, piece);
        from += piece;
        address += piece;
        size -= piece;
    }
}

void emu_ram_clear_dirty(struct emu_ram *ram)
{
    memset(ram->dirty, 0, ram->size / EMU_PAGE_SIZE);
    ram->epoch++;
}
