/* SPDX-License-Identifier: MIT
 *
 * The GOT, and addresses of data (guest-toolchain.md chapter 8, pvm-exec.md 6.3, 6.4).
 */
#include "link/elf.h"

#include <inttypes.h>

enum { SPI_HEAP_PAGE_MAX = 65535 /* E_2 */ };
#define STACK_HIGH_SPI (0x100000000u - 0x20000u - 0x1000000u)
#define IMAGE_END ((uint64_t)256 << 20) /* what a kernel lets a frame have */
#define STACK_HIGH_POLKAVM 0xfffe0000u

/* ---- GOT ---- */

static int by_key(const void *a, const void *b)
{
    const struct link_slot *x = a, *y = b;
    int64_t x_object = x->symbol->object ? (int64_t)x->symbol->object->index : -1;
    int64_t y_object = y->symbol->object ? (int64_t)y->symbol->object->index : -1;
    if (x_object != y_object)
        return x_object < y_object ? -1 : 1;
    if (x->symbol != y->symbol)
        return x->symbol < y->symbol ? -1 : 1; /* within one array */
    return (x->addend > y->addend) - (x->addend < y->addend);
}

static int by_order(const void *a, const void *b)
{
    const struct link_slot *x = a, *y = b;
    return (x->order > y->order) - (x->order < y->order);
}

static bool uses_slot(const struct link_word *word)
{
    return word->reloc && word->reloc->type == R_RISCV_GOT_HI20;
}

/* One slot per symbol and addend, in order of first use. */
enum err link_collect_slots(struct link *link)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < link->word_count; i++)
        count += uses_slot(&link->word[i]);
    link->slot = arena_new_array(link->arena, struct link_slot, count ? count : 1);
    uint32_t *number = arena_new_array(link->arena, uint32_t, count ? count : 1);
    if (!link->slot || !number)
        return ERR_nomem;
    for (uint32_t i = 0, order = 0; i < link->word_count; i++) {
        struct link_word *word = &link->word[i];
        if (!uses_slot(word))
            continue;
        struct link_symbol *definition = link_definition(word->reloc->symbol);
        link->slot[order] =
            (struct link_slot){.symbol = definition ? definition : word->reloc->symbol,
                               .addend = word->reloc->addend,
                               .word = word,
                               .order = order};
        order++;
    }
    TRY(link_sort(link->arena, link->slot, count, sizeof *link->slot, by_key));
    /* Each word remembers the first use of its slot; then first uses are numbered. */
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || by_key(&link->slot[kept - 1], &link->slot[i]) != 0)
            link->slot[kept++] = link->slot[i];
        link->slot[i].word->got = link->slot[kept - 1].order;
    }
    link->slot_count = kept;
    TRY(link_sort(link->arena, link->slot, kept, sizeof *link->slot, by_order));
    for (uint32_t i = 0; i < kept; i++)
        number[link->slot[i].order] = i;
    for (uint32_t i = 0; i < link->word_count; i++) {
        if (uses_slot(&link->word[i]))
            link->word[i].got = number[link->word[i].got];
    }
    return ERR_ok;
}

/* ---- addresses ---- */

/* Place a section or common symbol at the cursor; false when it ends above `limit`. */
static bool place(struct link *link, const struct link_object *object,
                  const struct link_section *section, const char *name, uint64_t size,
                  uint64_t align, uint64_t limit, uint64_t *cursor,
                  uint64_t *ret_address)
{
    uint64_t address = link_round(*cursor, align);
    if (address > limit || size > limit - address) {
        struct buf *text = link_problem_open(link, object, section, 0);
        const struct link_symbol *symbol = section ? link_symbol_at(section, 0) : NULL;
        if (symbol)
            name = symbol->name;
        if (name)
            buf_printf(text, "%.200s: ", name);
        buf_printf(text,
                   "data ends at 0x%" PRIx64 "; the limit is 0x%" PRIx64
                   ", make it smaller",
                   address + size, limit);
        link_problem_close(link, ERR_link_layout);
        return false;
    }
    *cursor = address + size;
    *ret_address = address;
    return true;
}

static void place_kind(struct link *link, enum link_section_kind kind, uint64_t limit,
                       uint64_t *cursor)
{
    for (uint32_t i = 0; i < link->object_count; i++) {
        struct link_object *object = &link->object[i];
        for (uint32_t s = 1; s < object->section_count; s++) {
            struct link_section *section = &object->section[s];
            if (!section->live || section->kind != kind)
                continue;
            if (!place(link, object, section, NULL, section->size, section->align,
                       limit, cursor, &section->address))
                return;
        }
    }
}

static void place_commons(struct link *link, uint64_t limit, uint64_t *cursor)
{
    for (uint32_t i = 0; i < link->common_count; i++) {
        struct link_symbol *symbol = link->common[i];
        if (symbol->live &&
            !place(link, symbol->object, NULL, symbol->name, symbol->size,
                   symbol->value, limit, cursor, &symbol->address))
            return;
    }
}

/* raw without a case has no memory at all. */
static void refuse_data(struct link *link)
{
    for (uint32_t i = 0; i < link->object_count; i++) {
        struct link_object *object = &link->object[i];
        for (uint32_t s = 1; s < object->section_count; s++) {
            struct link_section *section = &object->section[s];
            if (!section->live || section->kind == LINK_SECTION_CODE || !section->size)
                continue;
            link_problem(link, ERR_link_layout, object, section, 0,
                         "raw has no memory for data; choose -f spi or --json");
            return;
        }
    }
    for (uint32_t i = 0; i < link->common_count; i++) {
        if (!link->common[i]->live)
            continue;
        link_problem(link, ERR_link_layout, link->common[i]->object, NULL, 0,
                     "%.200s: raw has no memory for data; choose -f spi or --json",
                     link->common[i]->name);
        return;
    }
    if (link->slot_count)
        link_problem(link, ERR_link_layout, NULL, NULL, 0,
                     "raw has no memory for a global offset table; choose -f spi or "
                     "compile with -fno-pic -mcmodel=medlow");
}

/* Where the writable region may end at most, heap included. */
static uint64_t region_limit(const struct link *link)
{
    uint64_t limit = LINK_STATIC_END & ~(uint64_t)(PVM_PAGE_SIZE - 1);
    if (link->options->format == LINK_FORMAT_IMAGE)
        return IMAGE_END;
    uint64_t spi = link->layout.rw_base + (uint64_t)SPI_HEAP_PAGE_MAX * PVM_PAGE_SIZE;
    return link->options->format != LINK_FORMAT_POLKAVM && spi < limit ? spi : limit;
}

static void place_heap(struct link *link, bool memory)
{
    struct link_layout *layout = &link->layout;
    uint64_t limit = region_limit(link);
    uint64_t heap = memory ? link->options->heap_size : 0;
    layout->heap_start = link_round(layout->bss_end, 16);
    if (heap > limit || layout->heap_start > limit - heap) {
        link_problem(link, ERR_link_layout, NULL, NULL, 0,
                     "--heap %" PRIu64 ": memory ends at 0x%" PRIx64
                     "; the limit is 0x%" PRIx64,
                     heap, layout->heap_start + heap, limit);
        return;
    }
    layout->heap_end = memory ? link_round(layout->heap_start + heap, PVM_PAGE_SIZE)
                              : layout->heap_start;
    if (layout->bss_end == layout->rw_base && !heap)
        layout->heap_end = layout->rw_base;
}

static void define_own(struct link *link)
{
    const struct link_layout *layout = &link->layout;
    link->own[LINK_OWN_HEAP_START].value = layout->heap_start;
    link->own[LINK_OWN_HEAP_END].value = layout->heap_end;
    link->own[LINK_OWN_STACK_LOW].value = layout->stack_low;
    link->own[LINK_OWN_STACK_HIGH].value = layout->stack_high;
}

enum err link_place(struct link *link)
{
    struct link_layout *layout = &link->layout;
    bool memory = link->options->format != LINK_FORMAT_RAW || link->options->json;
    if (!memory)
        refuse_data(link);
    bool image = link->options->format == LINK_FORMAT_IMAGE;
    uint64_t stack = link_round(link->options->stack_size, PVM_PAGE_SIZE);
    /* The stack of an image lies lowest: it overflows to what is not mapped. */
    layout->ro_base = image ? link_round(stack, LINK_REGION_ALIGN) : LINK_RO_BASE;
    uint64_t cursor = layout->ro_base;
    uint64_t limit = cursor + LINK_DATA_SIZE_MAX;
    place_kind(link, LINK_SECTION_RO, limit, &cursor);
    if (link->slot_count && !link->problems->count &&
        !place(link, NULL, NULL, "global offset table", (uint64_t)link->slot_count * 8,
               8, limit, &cursor, &layout->got))
        return ERR_ok;
    layout->ro_size = cursor - layout->ro_base;
    layout->rw_base = link_round(cursor, LINK_REGION_ALIGN);
    if (!image)
        layout->rw_base += LINK_REGION_ALIGN;
    cursor = layout->rw_base;
    place_kind(link, LINK_SECTION_RW, cursor + LINK_DATA_SIZE_MAX, &cursor);
    layout->rw_size = cursor - layout->rw_base;
    place_kind(link, LINK_SECTION_BSS, region_limit(link), &cursor);
    place_commons(link, region_limit(link), &cursor);
    layout->bss_end = cursor;
    place_heap(link, memory);
    layout->stack_high = link->options->format == LINK_FORMAT_POLKAVM
                             ? STACK_HIGH_POLKAVM
                             : STACK_HIGH_SPI;
    if (image)
        layout->stack_high = stack;
    layout->stack_low = layout->stack_high - stack;
    define_own(link);
    return ERR_ok;
}

uint64_t link_value(const struct link *link, struct link_symbol *symbol, int64_t addend)
{
    const struct link_symbol *definition = link_definition(symbol);
    if (!definition)
        return (uint64_t)addend;
    uint64_t value = definition->value + (uint64_t)addend;
    if (definition->place == LINK_PLACE_COMMON)
        return definition->address + (uint64_t)addend;
    if (definition->place != LINK_PLACE_SECTION)
        return value;
    const struct link_section *section = definition->section;
    if (section->kind != LINK_SECTION_CODE)
        return section->address + value;
    check(value <= section->size);
    const struct link_word *word = &link->word[section->word_start + value / 4];
    check(word->flags & LINK_WORD_ENTRY);
    return 2 * ((uint64_t)word->entry + 1);
}
