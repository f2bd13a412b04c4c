/* SPDX-License-Identifier: MIT
 *
 * The map and the w3f test case (guest-toolchain.md chapters 8 and 10).
 */
#include "link/internal.h"

#include <inttypes.h>

/* ---- map ---- */

struct function {
    const struct link_symbol *symbol;
    uint32_t pc;
};

static int by_pc(const void *a, const void *b)
{
    const struct function *x = a, *y = b;
    return (x->pc > y->pc) - (x->pc < y->pc);
}

static bool is_function(const struct link_symbol *symbol)
{
    return symbol->place == LINK_PLACE_SECTION && symbol->type == LINK_TYPE_FUNC &&
           symbol->section->kind == LINK_SECTION_CODE && symbol->section->live &&
           symbol->value <= symbol->section->size;
}

static enum err collect_functions(const struct link *link, struct function **ret_list,
                                  uint32_t *ret_count)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < link->object_count; i++) {
        for (uint32_t s = 0; s < link->object[i].symbol_count; s++)
            count += is_function(&link->object[i].symbol[s]);
    }
    struct function *list =
        arena_new_array(link->arena, struct function, count ? count : 1);
    if (!list)
        return ERR_nomem;
    count = 0;
    for (uint32_t i = 0; i < link->object_count; i++) {
        for (uint32_t s = 0; s < link->object[i].symbol_count; s++) {
            const struct link_symbol *symbol = &link->object[i].symbol[s];
            if (is_function(symbol))
                list[count++] = (struct function){
                    .symbol = symbol,
                    .pc = link_pc(link, symbol->section, symbol->value)};
        }
    }
    *ret_list = list;
    *ret_count = count;
    return link_sort(link->arena, list, count, sizeof *list, by_pc);
}

static void put_line(struct buf *buf, size_t from)
{
    link_clean(buf, from);
    buf_byte(buf, '\n');
}

static enum err put_functions(const struct link *link, struct buf *buf)
{
    struct function *list;
    uint32_t count;
    TRY(collect_functions(link, &list, &count));
    for (uint32_t i = 0; i < count; i++) {
        const struct link_symbol *symbol = list[i].symbol;
        uint64_t left = symbol->section->size - symbol->value;
        uint64_t size = symbol->size < left ? symbol->size : left;
        size_t from = buf->size;
        buf_printf(buf, "function 0x%08" PRIx32 " %6" PRIu32 " %.200s %.200s %.200s",
                   list[i].pc,
                   link_pc(link, symbol->section, symbol->value + size) - list[i].pc,
                   symbol->name, symbol->object->name, symbol->section->name);
        put_line(buf, from);
    }
    return ERR_ok;
}

static void put_data(const struct link *link, struct buf *buf,
                     enum link_section_kind kind, const char *word)
{
    for (uint32_t i = 0; i < link->object_count; i++) {
        for (uint32_t s = 1; s < link->object[i].section_count; s++) {
            const struct link_section *section = &link->object[i].section[s];
            size_t from = buf->size;
            if (!section->live || section->kind != kind)
                continue;
            buf_printf(buf, "%s 0x%08" PRIx64 " %6" PRIu64 " %.200s %.200s", word,
                       section->address, section->size, section->object->name,
                       section->name);
            put_line(buf, from);
        }
    }
}

static void put_entries(const struct link *link, struct buf *buf)
{
    for (uint32_t i = 0; i < link->entry_count; i++)
        buf_printf(buf, "entry 0x%08" PRIx32 " 0x%08" PRIx64 "\n", 2 * (i + 1),
                   pvm_code_jump(&link->program, i));
}

enum err link_write_map(const struct link *link, struct buf *buf)
{
    const struct link_layout *layout = &link->layout;
    buf_printf(buf, "code 0x00000000 %6zu\n", link->program.code.size);
    for (uint32_t i = 0; i < link->root_count; i++) {
        size_t from = buf->size;
        buf_printf(buf, "export %2" PRIu32 " 0x%08" PRIx32 " %.200s",
                   link->root[i].number, 5 * link->root[i].number, link->root[i].name);
        put_line(buf, from);
    }
    TRY(put_functions(link, buf));
    put_data(link, buf, LINK_SECTION_RO, "rodata");
    if (link->slot_count)
        buf_printf(buf, "got 0x%08" PRIx64 " %6" PRIu64 "\n", layout->got,
                   8 * (uint64_t)link->slot_count);
    put_data(link, buf, LINK_SECTION_RW, "data");
    put_data(link, buf, LINK_SECTION_BSS, "bss");
    for (uint32_t i = 0; i < link->common_count; i++) {
        size_t from = buf->size;
        if (!link->common[i]->live)
            continue;
        buf_printf(buf, "common 0x%08" PRIx64 " %6" PRIu64 " %.200s %.200s",
                   link->common[i]->address, link->common[i]->size,
                   link->common[i]->object->name, link->common[i]->name);
        put_line(buf, from);
    }
    buf_printf(buf, "heap 0x%08" PRIx64 " %6" PRIu64 "\n", layout->heap_start,
               layout->heap_end - layout->heap_start);
    buf_printf(buf, "stack 0x%08" PRIx64 " %6" PRIu64 "\n", layout->stack_low,
               layout->stack_high - layout->stack_low);
    put_entries(link, buf);
    return buf->err;
}

/* ---- w3f case ---- */

static void put_list(struct buf *buf, const uint8_t *data, uint64_t size)
{
    buf_byte(buf, '[');
    for (uint64_t i = 0; i < size; i++)
        buf_printf(buf, i ? ",%u" : "%u", data[i]);
    buf_byte(buf, ']');
}

/* A name inside quotes: what would need an escape becomes '?'. */
static void put_json_text(struct buf *buf, const char *text)
{
    size_t from = buf->size;
    buf_printf(buf, "%.200s", text);
    link_clean(buf, from);
    for (size_t i = from; i < buf->size; i++) {
        if (buf->data[i] == '"' || buf->data[i] == '\\')
            buf->data[i] = '?';
    }
}

struct page_range {
    uint64_t start, end;
    bool writable;
    const uint8_t *data;
    uint64_t data_size;
};

static void put_pages(const struct page_range *range, size_t count, struct buf *buf)
{
    const char *comma = "";
    buf_text(buf, "  \"initial-page-map\": [");
    for (size_t i = 0; i < count; i++) {
        if (range[i].start == range[i].end)
            continue;
        buf_printf(buf,
                   "%s\n    {\"address\": %" PRIu64 ", \"length\": %" PRIu64
                   ", \"is-writable\": %s}",
                   comma, range[i].start, range[i].end - range[i].start,
                   range[i].writable ? "true" : "false");
        comma = ",";
    }
    buf_text(buf, "],\n  \"initial-memory\": [");
    comma = "";
    for (size_t i = 0; i < count; i++) {
        if (!range[i].data_size)
            continue;
        buf_printf(buf, "%s\n    {\"address\": %" PRIu64 ", \"contents\": ", comma,
                   range[i].start);
        put_list(buf, range[i].data, range[i].data_size);
        buf_text(buf, "}");
        comma = ",";
    }
    buf_text(buf, "],\n");
}

/* The initial half of a case: what is expected is the engine's to say. */
void link_write_json(const struct link *link, struct buf *buf)
{
    const struct link_layout *layout = &link->layout;
    const struct page_range range[] = {
        {.start = layout->ro_base,
         .end = layout->ro_base + link_round(layout->ro_size, PVM_PAGE_SIZE),
         .data = link->ro,
         .data_size = layout->ro_size},
        {.start = layout->rw_base,
         .end = link_round(layout->heap_end, PVM_PAGE_SIZE),
         .writable = true,
         .data = link->rw,
         .data_size = link->rw_used},
        {.start = layout->stack_low, .end = layout->stack_high, .writable = true},
    };
    struct buf program;
    buf_init(&program, buf->size_max);
    pvm_code_put(&link->program, &program);
    buf_text(buf, "{\"name\": \"");
    put_json_text(buf, link->root[0].name);
    buf_text(buf, "\",\n");
    buf_printf(buf, "  \"initial-regs\": [%" PRIu32 ",%" PRIu64, PVM_HALT_ADDRESS,
               layout->stack_high);
    for (unsigned i = 2; i < PVM_REG_COUNT; i++)
        buf_text(buf, ",0");
    buf_printf(buf, "],\n  \"initial-pc\": %" PRIu32 ",\n", 5 * link->root[0].number);
    put_pages(range, countof(range), buf);
    buf_text(buf, "  \"initial-gas\": 1000000000000,\n  \"program\": ");
    put_list(buf, program.data, program.size);
    buf_text(buf, "}\n");
    if (program.err && !buf->err)
        buf->err = program.err;
    buf_fini(&program);
}
