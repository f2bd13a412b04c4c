/* SPDX-License-Identifier: MIT
 *
 * Assembly text to items; the grammar is in asm.h.
 */
#include "pvm/asm.h"

#include <string.h>

enum err pvm_asm_fail(struct pvm_asm *a, uint32_t line, const char *message,
                      struct bytes detail)
{
    struct pvm_asm_error *error = a->error;
    size_t size = strlen(message), shown = detail.size < 40 ? detail.size : 40;
    check(size + shown + 4 <= sizeof error->message);
    memset(error->message, 0, sizeof error->message);
    memcpy(error->message, message, size);
    error->line = line;
    if (!detail.size)
        return ERR_pvm_asm;
    memcpy(error->message + size, " '", 2);
    for (size_t i = 0; i < shown; i++) {
        uint8_t byte = detail.data[i];
        error->message[size + 2 + i] = byte >= 0x20 && byte < 0x7f ? (char)byte : '?';
    }
    error->message[size + 2 + shown] = '\'';
    return ERR_pvm_asm;
}

/* ---- one line ----------------------------------------------------------------------
 */

struct cursor {
    struct pvm_asm *a;
    const uint8_t *at;
    const uint8_t *end;
};

static enum err fail(struct cursor *c, const char *message)
{
    struct bytes rest = bytes_of(c->at, (size_t)(c->end - c->at));
    return pvm_asm_fail(c->a, c->a->line, message,
                        rest.size ? rest : bytes_of("end of line", 11));
}

static void skip_space(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t'))
        c->at++;
}

/* Take `byte` and the space around it, if it comes next. */
static bool take_byte(struct cursor *c, char byte)
{
    skip_space(c);
    if (c->at == c->end || *c->at != (uint8_t)byte)
        return false;
    c->at++;
    skip_space(c);
    return true;
}

static enum err need_byte(struct cursor *c, char byte, const char *message)
{
    return take_byte(c, byte) ? ERR_ok : fail(c, message);
}

/* A name, or nothing. */
static struct bytes take_name(struct cursor *c)
{
    const uint8_t *start = c->at;
    while (c->at < c->end && pvm_asm_name_byte(*c->at, c->at > start))
        c->at++;
    return bytes_of(start, (size_t)(c->at - start));
}

static int digit_of(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : 16;
}

/* A number, decimal or 0x hex: its sign and size. */
static enum err take_magnitude(struct cursor *c, uint64_t *ret_value)
{
    unsigned base = 10;
    uint64_t value = 0;
    if (c->end - c->at >= 2 && c->at[0] == '0' && (c->at[1] | 0x20) == 'x') {
        base = 16;
        c->at += 2;
    }
    const uint8_t *start = c->at;
    while (c->at < c->end && (unsigned)digit_of(*c->at) < base) {
        unsigned digit = (unsigned)digit_of(*c->at);
        if (value > (UINT64_MAX - digit) / base)
            return fail(c, "the number does not fit 64 bits");
        value = value * base + digit;
        c->at++;
    }
    if (c->at == start || (c->at < c->end && pvm_asm_name_byte(*c->at, true)))
        return fail(c, "a number is expected here:");
    *ret_value = value;
    return ERR_ok;
}

/* A number from -min_magnitude to max, as its 64 bits. */
static enum err take_number(struct cursor *c, uint64_t min_magnitude, uint64_t max,
                            int64_t *ret_value)
{
    skip_space(c);
    struct cursor start = *c;
    uint64_t value;
    bool minus = take_byte(c, '-');
    TRY(take_magnitude(c, &value));
    if (value > (minus ? min_magnitude : max))
        return fail(&start, "the number does not fit:");
    *ret_value = (int64_t)(minus ? -value : value);
    return ERR_ok;
}

#define IMM_MIN ((uint64_t)1 << 31)
#define IMM_MAX (((uint64_t)1 << 31) - 1)

/* ":n" behind an immediate. */
static enum err take_size(struct cursor *c, int64_t value, uint8_t *ret_size)
{
    int64_t size = pvm_imm_size(value);
    if (take_byte(c, ':')) {
        struct cursor start = *c;
        TRY(take_number(c, 0, 4, &size));
        if ((int64_t)pvm_imm_size(value) > size)
            return fail(&start, "the value does not fit as many bytes:");
    }
    *ret_size = (uint8_t)size;
    return ERR_ok;
}

static enum err take_imm(struct cursor *c, uint64_t max, int64_t *ret_value,
                         uint8_t *ret_size)
{
    int64_t value;
    TRY(take_number(c, IMM_MIN, max, &value));
    if (value > (int64_t)IMM_MAX) /* an address: the same modulo 2^32 */
        value -= (int64_t)1 << 32;
    *ret_value = value;
    return take_size(c, value, ret_size);
}

static enum err take_reg(struct cursor *c, uint8_t *ret_reg)
{
    skip_space(c);
    struct cursor start = *c;
    struct bytes name = take_name(c);
    for (uint8_t i = 0; i < PVM_REG_COUNT; i++) {
        if (name.size == 2 && !memcmp(name.data, pvm_reg_name[i], 2)) {
            *ret_reg = i;
            return ERR_ok;
        }
    }
    return fail(&start, "a register is expected here:");
}

/* "[reg + x]", "[reg - x]", "[reg]". */
static enum err take_indirect(struct cursor *c, uint8_t *ret_reg,
                              struct pvm_asm_item *item)
{
    TRY(need_byte(c, '[', "'[' is expected here:"));
    TRY(take_reg(c, ret_reg));
    bool minus = take_byte(c, '-');
    if (minus || take_byte(c, '+')) {
        uint64_t value;
        struct cursor start = *c;
        TRY(take_magnitude(c, &value));
        if (value > (minus ? IMM_MIN : IMM_MAX))
            return fail(&start, "the number does not fit:");
        item->x = minus ? -(int64_t)value : (int64_t)value;
    }
    TRY(take_size(c, item->x, &item->x_size));
    return need_byte(c, ']', "']' is expected here:");
}

static enum err take_direct(struct cursor *c, struct pvm_asm_item *item)
{
    TRY(need_byte(c, '[', "'[' is expected here:"));
    TRY(take_imm(c, UINT32_MAX, &item->x, &item->x_size));
    return need_byte(c, ']', "']' is expected here:");
}

static struct pvm_asm_name name_of(struct cursor *c, struct bytes name)
{
    return (struct pvm_asm_name){.at = (uint32_t)(name.data - c->a->text.data),
                                 .size = (uint32_t)name.size};
}

/* "@24", "@-3" or a label; a size may follow. */
static enum err take_target(struct cursor *c, struct pvm_asm_item *item)
{
    const struct pvm_format_info *format = pvm_format_of(item->op);
    uint8_t *ret_size = format->has_y ? &item->y_size : &item->x_size;
    skip_space(c);
    if (take_byte(c, '@')) {
        /* any offset from any position */
        TRY(take_number(c, IMM_MIN, IMM_MAX + PVM_CODE_SIZE_MAX, &item->y));
    } else {
        struct cursor start = *c;
        struct bytes name = take_name(c);
        if (!name.size)
            return fail(&start, "a target is expected here:");
        item->to_label = true;
        item->name = name_of(c, name);
    }
    item->auto_size = !take_byte(c, ':');
    int64_t size = 0;
    if (!item->auto_size)
        TRY(take_number(c, 0, 4, &size));
    *ret_size = (uint8_t)size;
    return ERR_ok;
}

static enum err take_operand(struct cursor *c, char kind, struct pvm_asm_item *item)
{
    switch (kind) {
    case 'a':
        return take_reg(c, &item->a);
    case 'b':
        return take_reg(c, &item->b);
    case 'd':
        return take_reg(c, &item->d);
    case 'x':
        return take_imm(c, IMM_MAX, &item->x, &item->x_size);
    case 'y':
        return take_imm(c, IMM_MAX, &item->y, &item->y_size);
    case 'w':
        item->x_size = 8;
        return take_number(c, (uint64_t)1 << 63, UINT64_MAX, &item->x);
    case 't':
        return take_target(c, item);
    case 'M':
        return take_direct(c, item);
    case 'I':
        return take_indirect(c, &item->a, item);
    default:
        return take_indirect(c, &item->b, item);
    }
}

/* ---- statements --------------------------------------------------------------------
 */

static void put_item(struct cursor *c, struct pvm_asm_item *item)
{
    item->line = c->a->line;
    buf_put(&c->a->item, item, sizeof *item);
}

static int compare_names(struct bytes name, const char *other)
{
    size_t size = strlen(other), least = size < name.size ? size : name.size;
    int order = memcmp(name.data, other, least);
    return order ? order : (name.size > size) - (name.size < size);
}

/* The opcode of this name, or -1. */
static int find_op(const struct pvm_asm *a, struct bytes name)
{
    unsigned low = 0, high = a->name_count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        int order = compare_names(name, pvm_op_info[a->by_name[middle]].name);
        if (!order)
            return a->by_name[middle];
        *(order < 0 ? &high : &low) = order < 0 ? middle : middle + 1;
    }
    return -1;
}

static enum err parse_insn(struct cursor *c, uint8_t op)
{
    struct pvm_asm_item item = {.kind = PVM_ASM_INSN, .op = op};
    const char *operands = pvm_op_operands(op);
    for (const char *kind = operands; *kind; kind++) {
        if (kind > operands)
            TRY(need_byte(c, ',', "',' is expected here:"));
        TRY(take_operand(c, *kind, &item));
    }
    put_item(c, &item);
    return ERR_ok;
}

/* Pairs of hex digits. */
static enum err parse_bytes(struct cursor *c, bool marked)
{
    struct buf *raw = &c->a->raw;
    struct pvm_asm_item item = {.kind = PVM_ASM_BYTES, .marked = marked};
    item.raw.at = (uint32_t)raw->size;
    for (skip_space(c); c->at < c->end; skip_space(c)) {
        int high = digit_of(c->at[0]);
        int low = c->end - c->at > 1 ? digit_of(c->at[1]) : 16;
        if (high > 15 || low > 15)
            return fail(c, "two hex digits are expected here:");
        buf_byte(raw, (uint8_t)(high << 4 | low));
        c->at += 2;
    }
    item.raw.size = (uint32_t)raw->size - item.raw.at;
    if (!item.raw.size && !raw->err)
        return fail(c, "there are no bytes");
    put_item(c, &item);
    return ERR_ok;
}

static enum err parse_jumps(struct cursor *c)
{
    do {
        struct pvm_asm_jump jump = {.line = c->a->line};
        skip_space(c);
        if (take_byte(c, '@')) {
            int64_t value;
            TRY(take_number(c, 0, UINT64_MAX, &value));
            jump.value = (uint64_t)value;
        } else {
            struct cursor start = *c;
            jump.name = name_of(c, take_name(c));
            if (!jump.name.size)
                return fail(&start, "a target is expected here:");
        }
        buf_put(&c->a->jump, &jump, sizeof jump);
    } while (take_byte(c, ','));
    return ERR_ok;
}

static enum err parse_jump_width(struct cursor *c)
{
    int64_t width;
    if (c->a->jump_width != PVM_ASM_SIZE_AUTO)
        return fail(c, "the width was given before");
    TRY(take_number(c, 0, 8, &width));
    c->a->jump_width = (unsigned)width;
    return ERR_ok;
}

/* The statement that begins with `word`. */
static enum err parse_statement(struct cursor *c, struct bytes word)
{
    if (!compare_names(word, ".insn"))
        return parse_bytes(c, true);
    if (!compare_names(word, ".data"))
        return parse_bytes(c, false);
    if (!compare_names(word, ".jump"))
        return parse_jumps(c);
    if (!compare_names(word, ".jump_width"))
        return parse_jump_width(c);
    int op = find_op(c->a, word);
    if (op < 0)
        return pvm_asm_fail(c->a, c->a->line, "unknown instruction", word);
    return parse_insn(c, (uint8_t)op);
}

static enum err parse_claim(struct cursor *c)
{
    struct pvm_asm_item item = {.kind = PVM_ASM_CLAIM};
    TRY(take_number(c, 0, PVM_CODE_SIZE_MAX, &item.y));
    put_item(c, &item);
    return need_byte(c, ':', "':' is expected here:");
}

static enum err parse_line(struct cursor *c)
{
    for (;;) {
        skip_space(c);
        if (c->at == c->end)
            return ERR_ok;
        if (take_byte(c, '@')) {
            TRY(parse_claim(c));
            continue;
        }
        struct cursor start = *c;
        struct bytes word = take_name(c);
        if (!word.size)
            return fail(&start, "an instruction or a label is expected here:");
        if (!take_byte(c, ':')) {
            TRY(parse_statement(c, word));
            break;
        }
        struct pvm_asm_item item = {.kind = PVM_ASM_LABEL, .name = name_of(c, word)};
        put_item(c, &item);
    }
    skip_space(c);
    return c->at == c->end ? ERR_ok : fail(c, "unexpected at the end of the line:");
}

/* Sort the opcodes by name, once: insertion, there are fewer than 256. */
static void sort_names(struct pvm_asm *a)
{
    for (unsigned op = 0; op < 256; op++) {
        const char *name = pvm_op_info[op].name;
        if (!name)
            continue;
        unsigned at = a->name_count++;
        for (; at && strcmp(pvm_op_info[a->by_name[at - 1]].name, name) > 0; at--)
            a->by_name[at] = a->by_name[at - 1];
        a->by_name[at] = (uint8_t)op;
    }
}

enum err pvm_asm_parse(struct pvm_asm *a)
{
    sort_names(a);
    const uint8_t *at = a->text.data, *end = a->text.size ? at + a->text.size : at;
    while (at < end && !a->item.err && !a->jump.err && !a->raw.err) {
        const uint8_t *stop = memchr(at, '\n', (size_t)(end - at));
        const uint8_t *next = stop ? stop + 1 : end;
        stop = stop ? stop : end;
        const uint8_t *comment = memchr(at, ';', (size_t)(stop - at));
        stop = comment ? comment : stop;
        if (stop > at && stop[-1] == '\r')
            stop--;
        a->line++;
        TRY(parse_line(&(struct cursor){.a = a, .at = at, .end = stop}));
        at = next;
    }
    return ERR_ok;
}
