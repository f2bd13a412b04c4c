/* SPDX-License-Identifier: MIT
 *
 * The program in its container (guest-toolchain.md chapter 8, pvm-exec.md chapter 6).
 */
#include "link/internal.h"

#include <inttypes.h>
#include <string.h>

enum {
    POLKAVM_ISA_JAM_V1 = 3,
    POLKAVM_IMPORT_COUNT_MAX = 1024,
};
#define POLKAVM_STACK_END 0xfffe0000u

static void put_number(struct buf *buf, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        buf_byte(buf, (uint8_t)(value >> (8 * i)));
}

static void write_spi(const struct link *link, struct buf *buf)
{
    const struct link_layout *layout = &link->layout;
    uint64_t total = layout->heap_end - layout->rw_base;
    uint64_t used = link_round(link->rw_used, PVM_PAGE_SIZE);
    uint64_t pages = total > used ? (total - used) / PVM_PAGE_SIZE : 0;
    put_number(buf, layout->ro_size, 3);
    put_number(buf, link->rw_used, 3);
    put_number(buf, pages, 2);
    put_number(buf, link->options->stack_size, 3);
    buf_put(buf, link->ro, layout->ro_size);
    buf_put(buf, link->rw, link->rw_used);
    size_t at = buf->size;
    put_number(buf, 0, 4);
    pvm_code_put(&link->program, buf);
    for (unsigned i = 0; i < 4 && !buf->err; i++)
        buf->data[at + i] = (uint8_t)((buf->size - at - 4) >> (8 * i));
}

/* ---- .polkavm ---- */

static void put_section(struct buf *buf, uint8_t id, const struct buf *body)
{
    buf_byte(buf, id);
    pvm_varint_put(buf, body->size);
    buf_put(buf, body->data, body->size);
}

/* JamV1 has no sbrk: 102..111 are 101..110 there [6.4]. */
static void put_jam_code(const struct link *link, struct buf *body)
{
    const struct pvm_code *program = &link->program;
    size_t size = program->code.size;
    pvm_varint_put(body, program->jump_count);
    buf_byte(body, program->jump_width);
    pvm_varint_put(body, size);
    buf_put(body, program->jump, (size_t)program->jump_count * program->jump_width);
    size_t start = body->size;
    buf_put(body, program->code.data, size);
    for (uint32_t i = 0; i < link->item_count && !body->err; i++) {
        uint8_t *op = &body->data[start + link->item[i].pc];
        if (*op >= PVM_OP_count_set_bits_64 && *op <= PVM_OP_reverse_bytes)
            --*op;
    }
    buf_put(body, program->bitmask, (size + 7) / 8);
}

static void put_imports(const struct link *link, struct buf *body)
{
    struct buf symbols;
    buf_init(&symbols, body->size_max);
    pvm_varint_put(body, (uint64_t)link->ecalli_max + 1);
    for (int64_t i = 0; i <= link->ecalli_max; i++) {
        put_number(body, symbols.size, 4);
        buf_printf(&symbols, "ecalli_%" PRId64, i);
    }
    buf_put(body, symbols.data, symbols.size);
    if (symbols.err && !body->err)
        body->err = symbols.err;
    buf_fini(&symbols);
}

static void put_exports(const struct link *link, struct buf *body)
{
    pvm_varint_put(body, link->root_count);
    for (uint32_t i = 0; i < link->root_count; i++) {
        const struct link_root *root = &link->root[i];
        pvm_varint_put(body, 5 * (uint64_t)root->number);
        pvm_varint_put(body, strlen(root->name));
        buf_text(body, root->name);
    }
}

static void put_polkavm_sections(const struct link *link, struct buf *buf,
                                 struct buf *body)
{
    const struct link_layout *layout = &link->layout;
    pvm_varint_put(body, layout->ro_size);
    pvm_varint_put(body, layout->heap_end - layout->rw_base);
    pvm_varint_put(body, link->options->stack_size);
    put_section(buf, 1, body);
    buf_clear(body);
    buf_put(body, link->ro, layout->ro_size);
    if (body->size)
        put_section(buf, 2, body);
    buf_clear(body);
    buf_put(body, link->rw, link->rw_used);
    if (body->size)
        put_section(buf, 3, body);
    buf_clear(body);
    if (link->ecalli_max >= 0) {
        put_imports(link, body);
        put_section(buf, 4, body);
        buf_clear(body);
    }
    put_exports(link, body);
    put_section(buf, 5, body);
    buf_clear(body);
    put_jam_code(link, body);
    put_section(buf, 6, body);
}

static void write_polkavm(struct link *link, struct buf *buf)
{
    struct buf body;
    if (link->ecalli_min < 0 || link->ecalli_max >= POLKAVM_IMPORT_COUNT_MAX) {
        bool low = link->ecalli_min < 0;
        link_problem(link, ERR_link_limit, NULL, NULL, 0,
                     "ecalli %" PRId64 ": imports of a .polkavm are 0 to %d",
                     low ? link->ecalli_min : link->ecalli_max,
                     POLKAVM_IMPORT_COUNT_MAX - 1);
        return;
    }
    uint64_t top =
        3 * LINK_REGION_ALIGN + link_round(link->layout.ro_size, LINK_REGION_ALIGN) +
        link_round(link->layout.heap_end - link->layout.rw_base, LINK_REGION_ALIGN);
    uint64_t limit =
        POLKAVM_STACK_END - link_round(link->options->stack_size, LINK_REGION_ALIGN);
    if (top > limit) {
        link_problem(link, ERR_link_layout, NULL, NULL, 0,
                     "memory ends at 0x%" PRIx64 "; the limit is 0x%" PRIx64, top,
                     limit);
        return;
    }
    buf_init(&body, buf->size_max);
    buf_put(buf, "PVM", 4);
    buf_byte(buf, POLKAVM_ISA_JAM_V1);
    size_t at = buf->size;
    put_number(buf, 0, 8);
    put_polkavm_sections(link, buf, &body);
    buf_byte(buf, 0);
    for (unsigned i = 0; i < 8 && !buf->err; i++)
        buf->data[at + i] = (uint8_t)((uint64_t)buf->size >> (8 * i));
    if (body.err && !buf->err)
        buf->err = body.err;
    buf_fini(&body);
}

enum err link_write(struct link *link, struct buf *buf)
{
    switch (link->options->format) {
    case LINK_FORMAT_RAW:
        pvm_code_put(&link->program, buf);
        break;
    case LINK_FORMAT_SPI:
        write_spi(link, buf);
        break;
    case LINK_FORMAT_POLKAVM:
        write_polkavm(link, buf);
        break;
    case LINK_FORMAT_IMAGE:
        link_write_image(link, buf);
        break;
    }
    return buf->err;
}
