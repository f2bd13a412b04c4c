/* SPDX-License-Identifier: MIT
 *
 * Instructions and programs as text.  Formats and names come from the opcode table;
 * what the assembler would encode otherwise is written as bytes, so that a listing
 * always assembles to the program it was made from.
 */
#include "pvm/pvm.h"

#include "pvm/format.h"

#include <inttypes.h>
#include <string.h>

enum {
    DATA_PER_LINE = 16,
    JUMPS_PER_LINE = 8,
    POSITION_WIDTH = 8, /* "@24:    " */
};

/* Sizes of the immediates to be named where they are not the least; unknown when an
 * instruction is shown without its bytes. */
struct sizes {
    bool known;
    unsigned x, y;
};

static void put_size(bool known, unsigned size, int64_t value, struct buf *buf)
{
    if (known && size != pvm_imm_size(value))
        buf_printf(buf, ":%u", size);
}

static void put_magnitude(uint64_t value, struct buf *buf)
{
    buf_printf(buf, value < 256 ? "%" PRIu64 : "0x%" PRIx64, value);
}

static void put_signed(int64_t value, struct buf *buf)
{
    buf_text(buf, value < 0 ? "-" : "");
    put_magnitude(value < 0 ? -(uint64_t)value : (uint64_t)value, buf);
}

static void put_reg(uint8_t reg, struct buf *buf)
{
    buf_text(buf, reg < PVM_REG_COUNT ? pvm_reg_name[reg] : "?");
}

/* "[sp + 8]", "[sp]"; a zero that occupies bytes is written out. */
static void put_indirect(uint8_t reg, int64_t x, const struct sizes *sizes,
                         struct buf *buf)
{
    buf_byte(buf, '[');
    put_reg(reg, buf);
    if (x || (sizes->known && sizes->x)) {
        buf_text(buf, x < 0 ? " - " : " + ");
        put_magnitude(x < 0 ? -(uint64_t)x : (uint64_t)x, buf);
        put_size(sizes->known, sizes->x, x, buf);
    }
    buf_byte(buf, ']');
}

static void put_target(const struct pvm_insn *insn, const struct sizes *sizes,
                       struct buf *buf)
{
    unsigned size = pvm_format_of(insn->op)->has_y ? sizes->y : sizes->x;
    buf_byte(buf, '@');
    buf_printf(buf, "%" PRId64, insn->target);
    put_size(sizes->known, size, insn->target - (int64_t)insn->pc, buf);
}

static void put_operand(char kind, const struct pvm_insn *insn,
                        const struct sizes *sizes, struct buf *buf)
{
    switch (kind) {
    case 'a':
        put_reg(insn->a, buf);
        break;
    case 'b':
        put_reg(insn->b, buf);
        break;
    case 'd':
        put_reg(insn->d, buf);
        break;
    case 'x':
        put_signed(insn->x, buf);
        put_size(sizes->known, sizes->x, insn->x, buf);
        break;
    case 'y':
        put_signed(insn->y, buf);
        put_size(sizes->known, sizes->y, insn->y, buf);
        break;
    case 'w':
        put_magnitude((uint64_t)insn->x, buf);
        break;
    case 't':
        put_target(insn, sizes, buf);
        break;
    case 'M': /* an address: the low 32 bits say it all */
        buf_byte(buf, '[');
        put_magnitude((uint32_t)insn->x, buf);
        put_size(sizes->known, sizes->x, insn->x, buf);
        buf_byte(buf, ']');
        break;
    case 'I':
        put_indirect(insn->a, insn->x, sizes, buf);
        break;
    case 'J':
        put_indirect(insn->b, insn->x, sizes, buf);
        break;
    default:
        check(false); /* the syntax table has no other letter */
    }
}

static void put_insn(const struct pvm_insn *insn, const struct sizes *sizes,
                     struct buf *buf)
{
    const char *name = pvm_op_info[insn->op].name;
    if (!name) {
        buf_printf(buf, "opcode_%u", insn->op);
        return;
    }
    buf_text(buf, name);
    const char *between = " ";
    for (const char *kind = pvm_op_operands(insn->op); *kind; kind++) {
        buf_text(buf, between);
        put_operand(*kind, insn, sizes, buf);
        between = ", ";
    }
}

void pvm_insn_put_text(const struct pvm_insn *insn, struct buf *buf)
{
    put_insn(insn, &(struct sizes){.known = false}, buf);
}

/* ---- lines -------------------------------------------------------------------------
 */

/* Would the assembler write the instruction's very bytes, given these sizes? */
static bool is_canonical(const struct pvm_code *code, const struct pvm_insn *insn,
                         struct sizes *ret_sizes)
{
    const uint8_t *bytes = code->code.data + insn->pc;
    size_t size = insn->size, left = code->code.size - insn->pc;
    uint8_t written[PVM_INSN_SIZE_MAX];
    struct sizes sizes = {.known = true};
    pvm_insn_sizes(pvm_format_of(insn->op), (uint32_t)size - 1, left > 1 ? bytes[1] : 0,
                   left > 2 ? bytes[2] : 0, &sizes.x, &sizes.y);
    *ret_sizes = sizes;
    return size <= left && pvm_insn_encode(insn, sizes.x, sizes.y, written) == size &&
           !memcmp(written, bytes, size);
}

static void put_position(uint32_t pc, struct buf *buf)
{
    char text[16];
    size_t size = sizeof text;
    text[--size] = ':';
    do {
        text[--size] = (char)('0' + pc % 10);
        pc /= 10;
    } while (pc);
    text[--size] = '@';
    buf_put(buf, text + size, sizeof text - size);
    buf_byte(buf, ' ');
    for (size_t i = sizeof text - size + 1; i < POSITION_WIDTH; i++)
        buf_byte(buf, ' ');
}

static void put_bytes(const char *directive, struct bytes bytes, struct buf *buf)
{
    static const char digit[] = "0123456789abcdef";
    buf_text(buf, directive);
    for (size_t i = 0; i < bytes.size; i++) {
        char text[3] = {' ', digit[bytes.data[i] >> 4], digit[bytes.data[i] & 15]};
        buf_put(buf, text, sizeof text);
    }
}

/* The position behind the line at `pc`. */
static uint32_t line_end(const struct pvm_code *code, uint32_t pc)
{
    if (pvm_code_marked(code, pc))
        return pc + 1 + pvm_code_skip(code, pc);
    uint32_t end = pc + 1;
    while (end < code->code.size && end - pc < DATA_PER_LINE &&
           !pvm_code_marked(code, end))
        end++;
    return end;
}

uint32_t pvm_disasm_line(const struct pvm_code *code, enum pvm_profile profile,
                         uint32_t pc, struct buf *buf)
{
    uint32_t end = line_end(code, pc);
    struct bytes bytes = bytes_of(code->code.data + pc, end - pc);
    struct pvm_insn insn;
    struct sizes sizes;
    bool known = pvm_insn_decode(code, profile, pc, &insn);
    put_position(pc, buf);
    if (!pvm_code_marked(code, pc)) {
        put_bytes(".data", bytes, buf);
    } else if (known && is_canonical(code, &insn, &sizes)) {
        put_insn(&insn, &sizes, buf);
    } else {
        put_bytes(".insn", bytes, buf);
        buf_text(buf, " ; ");
        if (known)
            pvm_insn_put_text(&insn, buf);
        else
            buf_printf(buf, "opcode %u is not assigned", bytes.data[0]);
    }
    buf_byte(buf, '\n');
    return end;
}

/* ---- programs ----------------------------------------------------------------------
 */

static void put_jumps(const struct pvm_code *code, struct buf *buf)
{
    if (code->jump_count || code->jump_width)
        buf_printf(buf, ".jump_width %u\n", code->jump_width);
    for (uint32_t i = 0; i < code->jump_count; i++) {
        bool first = i % JUMPS_PER_LINE == 0;
        bool last = i % JUMPS_PER_LINE == JUMPS_PER_LINE - 1;
        buf_printf(buf, first ? ".jump @%" PRIu64 : ", @%" PRIu64,
                   pvm_code_jump(code, i));
        if (last || i + 1 == code->jump_count)
            buf_byte(buf, '\n');
    }
}

static bool is_name(struct bytes name)
{
    for (size_t i = 0; i < name.size; i++)
        if (!pvm_asm_name_byte(name.data[i], i > 0))
            return false;
    return name.size > 0;
}

/* A label, or what may stand for it in a comment: printable ASCII. */
static void put_label(const struct pvm_export *label, bool here, struct buf *buf)
{
    bool defines = here && is_name(label->name);
    if (!defines)
        buf_printf(buf, "; @%" PRIu32 " is ", label->pc);
    for (size_t i = 0; i < label->name.size; i++) {
        uint8_t byte = label->name.data[i];
        buf_byte(buf, byte >= 0x20 && byte < 0x7f ? byte : '?');
    }
    buf_text(buf, defines ? ":\n" : "\n");
}

void pvm_disasm_labels(const struct pvm_code *code, enum pvm_profile profile,
                       const struct pvm_export *label, uint32_t label_count,
                       struct buf *buf)
{
    uint32_t next = 0;
    put_jumps(code, buf);
    for (uint32_t pc = 0; pc < code->code.size && !buf->err;) {
        uint32_t end = line_end(code, pc);
        for (; next < label_count && label[next].pc < end; next++)
            put_label(&label[next], label[next].pc == pc, buf);
        pc = pvm_disasm_line(code, profile, pc, buf);
    }
    for (; next < label_count; next++)
        put_label(&label[next], label[next].pc == code->code.size, buf);
}

void pvm_disasm(const struct pvm_code *code, enum pvm_profile profile, struct buf *buf)
{
    pvm_disasm_labels(code, profile, NULL, 0, buf);
}
