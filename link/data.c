/* SPDX-License-Identifier: MIT
 *
 * The bytes of read-only and writable data, relocated (guest-toolchain.md 4.2).
 */
#include "link/elf.h"

#include <inttypes.h>
#include <string.h>

bool link_apply(uint8_t *at, uint32_t type, uint64_t value)
{
    unsigned width = link_reloc_info(type)->width;
    uint64_t old = width ? link_get(at, width) : 0;
    switch (type) {
    case R_RISCV_32:
        link_set(at, 4, value);
        return value <= UINT32_MAX || value >= (uint64_t)INT32_MIN;
    case R_RISCV_64:
    case R_RISCV_SET32:
    case R_RISCV_SET16:
    case R_RISCV_SET8:
        link_set(at, width, value);
        return width == 8 || value >> (8 * width) == 0;
    case R_RISCV_ADD8:
    case R_RISCV_ADD16:
    case R_RISCV_ADD32:
    case R_RISCV_ADD64:
        link_set(at, width, old + value);
        return true;
    case R_RISCV_SUB8:
    case R_RISCV_SUB16:
    case R_RISCV_SUB32:
    case R_RISCV_SUB64:
        link_set(at, width, old - value);
        return true;
    case R_RISCV_SET6:
        link_set(at, 1, (old & 0xc0) | (value & 0x3f));
        return value <= 0x3f;
    case R_RISCV_SUB6:
        link_set(at, 1, (old & 0xc0) | ((old - value) & 0x3f));
        return (old & 0x3f) >= value;
    default:
        return false;
    }
}

static void place_section(struct link *link, struct link_section *section,
                          uint8_t *image)
{
    if (section->content.size)
        memcpy(image, section->content.data, section->content.size);
    for (uint32_t r = 0; r < section->reloc_count && !link_problems_full(link); r++) {
        const struct link_reloc *reloc = &section->reloc[r];
        if (link_reloc_info(reloc->type)->where == LINK_RELOC_NOTE)
            continue;
        uint64_t value = link_value(link, reloc->symbol, reloc->addend);
        if (!link_apply(image + reloc->offset, reloc->type, value))
            link_problem(link, ERR_link_reloc, section->object, section, reloc->offset,
                         "value 0x%" PRIx64 " of %.200s%+" PRId64
                         " does not fit %s; the limit is 0x%" PRIx32,
                         value, reloc->symbol->name, reloc->addend,
                         link_reloc_info(reloc->type)->name, UINT32_MAX);
    }
}

enum err link_data(struct link *link)
{
    struct link_layout *layout = &link->layout;
    /* Whole pages: the overlays of an image are. */
    link->ro = arena_alloc_array(link->arena,
                                 link_round(layout->ro_size + 1, PVM_PAGE_SIZE), 1, 16);
    link->rw = arena_alloc_array(link->arena,
                                 link_round(layout->rw_size + 1, PVM_PAGE_SIZE), 1, 16);
    if (!link->ro || !link->rw)
        return ERR_nomem;
    for (uint32_t i = 0; i < link->object_count; i++) {
        for (uint32_t s = 1; s < link->object[i].section_count; s++) {
            struct link_section *section = &link->object[i].section[s];
            if (section->live && section->kind == LINK_SECTION_RO)
                place_section(link, section,
                              link->ro + (section->address - layout->ro_base));
            else if (section->live && section->kind == LINK_SECTION_RW)
                place_section(link, section,
                              link->rw + (section->address - layout->rw_base));
        }
    }
    for (uint32_t i = 0; i < link->slot_count; i++) {
        const struct link_slot *slot = &link->slot[i];
        link_set(link->ro + (layout->got - layout->ro_base) + 8 * (size_t)i, 8,
                 link_value(link, slot->symbol, slot->addend));
    }
    link->rw_used = layout->rw_size;
    while (link->rw_used && !link->rw[link->rw_used - 1])
        link->rw_used--;
    return ERR_ok;
}
