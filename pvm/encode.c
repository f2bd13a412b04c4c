/* SPDX-License-Identifier: MIT
 *
 * Writing: instructions [2], natural numbers and raw blobs [6.1, 6.2].
 */
#include "pvm/pvm.h"

#include "pvm/format.h"

unsigned pvm_imm_size(int64_t value)
{
    unsigned size = 0;
    if (value == 0)
        return 0;
    for (size = 1; size <= 4; size++) {
        int64_t limit = (int64_t)1 << (8 * size - 1);
        if (value >= -limit && value < limit)
            break;
    }
    return size;
}

static bool role_of(const struct pvm_insn *insn, uint8_t role, uint8_t *ret_reg)
{
    static const uint8_t none = 0;
    const uint8_t *reg = &none;
    switch ((enum pvm_role)role) {
    case PVM_ROLE_NONE:
        break;
    case PVM_ROLE_A:
        reg = &insn->a;
        break;
    case PVM_ROLE_B:
        reg = &insn->b;
        break;
    case PVM_ROLE_D:
        reg = &insn->d;
        break;
    }
    *ret_reg = *reg;
    return *reg < PVM_REG_COUNT;
}

/* Does `size` bytes of immediate exist in this format, and do they hold `value`? */
static bool imm_fits(enum pvm_x_size kind, int64_t value, unsigned size)
{
    if (kind == PVM_X_NONE)
        return size == 0;
    if (kind == PVM_X_FIXED)
        return size == 8;
    return size <= 4 && pvm_imm_size(value) <= size;
}

static size_t put_imm(uint8_t *bytes, size_t at, int64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        bytes[at + i] = (uint8_t)((uint64_t)value >> (8 * i));
    return at + size;
}

size_t pvm_insn_encode(const struct pvm_insn *insn, unsigned x_size, unsigned y_size,
                       uint8_t ret_bytes[PVM_INSN_SIZE_MAX])
{
    if (!pvm_op_info[insn->op].name)
        return 0;
    const struct pvm_format_info *format = pvm_format_of(insn->op);
    enum pvm_x_size kind = (enum pvm_x_size)format->x_size;
    int64_t x = insn->x, y = insn->y;
    if (format->target) {
        int64_t offset;
        if (__builtin_sub_overflow(insn->target, (int64_t)insn->pc, &offset))
            return 0;
        *(format->has_y ? &y : &x) = offset;
    }
    uint8_t low1, high1, byte2;
    if (!role_of(insn, format->low1, &low1) || !role_of(insn, format->high1, &high1) ||
        !role_of(insn, format->byte2, &byte2) || !imm_fits(kind, x, x_size) ||
        !imm_fits(format->has_y ? PVM_X_REST : PVM_X_NONE, y, y_size))
        return 0;

    if (kind == PVM_X_LOW1)
        low1 = (uint8_t)x_size;
    else if (kind == PVM_X_HIGH1)
        high1 = (uint8_t)x_size;
    else if (kind == PVM_X_LOW2)
        byte2 = (uint8_t)x_size;
    uint8_t head[3] = {insn->op, (uint8_t)(low1 | high1 << 4), byte2};
    for (unsigned i = 0; i < format->head_size; i++)
        ret_bytes[i] = head[i];
    size_t size = put_imm(ret_bytes, format->head_size, x, x_size);
    return put_imm(ret_bytes, size, y, y_size);
}

void pvm_varint_put(struct buf *buf, uint64_t value)
{
    unsigned l = 0;
    while (l < 8 && value >> (7 * (l + 1)))
        l++;
    uint8_t bytes[9];
    unsigned head = 0x100u - (0x100u >> l);
    bytes[0] = (uint8_t)(l == 8 ? 0xff : head | (unsigned)(value >> (8 * l)));
    (void)put_imm(bytes, 1, (int64_t)value, l);
    buf_put(buf, bytes, 1 + l);
}

enum err pvm_varint_get(struct bytes *input, uint64_t *ret_value)
{
    if (input->size == 0)
        return ERR_pvm_truncated;
    uint8_t head = input->data[0];
    unsigned l = 0;
    while (l < 8 && (head >> (7 - l) & 1))
        l++;
    if (input->size - 1 < l)
        return ERR_pvm_truncated;
    uint64_t value = 0;
    for (unsigned i = 0; i < l; i++)
        value |= (uint64_t)input->data[1 + i] << (8 * i);
    if (l < 8)
        value |= (uint64_t)(head & (0x7fu >> l)) << (8 * l);
    if (MUTANT(load_longer, 0, l) && value >> (7 * l) == 0)
        return ERR_pvm_varint;
    *input = bytes_of(input->data + 1 + l, input->size - 1 - l);
    *ret_value = value;
    return ERR_ok;
}

void pvm_code_put(const struct pvm_code *code, struct buf *buf)
{
    pvm_varint_put(buf, code->jump_count);
    buf_byte(buf, code->jump_width);
    pvm_varint_put(buf, code->code.size);
    buf_put(buf, code->jump, (size_t)code->jump_count * code->jump_width);
    buf_put(buf, code->code.data, code->code.size);
    buf_put(buf, code->bitmask, (code->code.size + 7) / 8);
}
