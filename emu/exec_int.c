/* SPDX-License-Identifier: MIT
 *
 * Multiplication, division, decimal arithmetic.
 */
#include "emu/exec.h"

enum { AL = EMU_EAX * 4, AH = EMU_EAX * 4 + 1 };

/* SF and PF of the low half, ZF and AF 0 (4.4). */
static void set_product_flags(struct emu_cpu *cpu, unsigned size, uint32_t low,
                              bool overflow)
{
    uint32_t result = emu_sign_extend(low, size);
    emu_set_logic(cpu, result ? result : 0x100);
    emu_set_flags_co(cpu, overflow, overflow);
}

/* The accumulator pair: AX, DX:AX or EDX:EAX. */
static void put_pair(struct emu_cpu *cpu, unsigned size, uint32_t low, uint32_t high)
{
    if (size == 1) {
        cpu->byte[AL] = (uint8_t)low;
        cpu->byte[AH] = (uint8_t)high;
    } else {
        emu_put_register(cpu, EMU_EAX, size, low);
        emu_put_register(cpu, EMU_EDX, size, high);
    }
}

static uint64_t get_pair(const struct emu_cpu *cpu, unsigned size)
{
    if (size == 1)
        return cpu->half[EMU_EAX * 2];
    if (size == 2)
        return cpu->half[EMU_EAX * 2] | (uint32_t)cpu->half[EMU_EDX * 2] << 16;
    return cpu->reg[EMU_EAX] | (uint64_t)cpu->reg[EMU_EDX] << 32;
}

HANDLER(mul)
{
    uint32_t value;
    if (!emu_read_operand(cpu, op, op->d, op->size, &value))
        FAULT;
    uint64_t product = (uint64_t)value * emu_get_register(cpu, 0, op->size);
    uint32_t high = (uint32_t)(product >> (8 * op->size));
    put_pair(cpu, op->size, (uint32_t)product, high);
    set_product_flags(cpu, op->size, (uint32_t)product, high);
    NEXT;
}

static int64_t extend(uint32_t value, unsigned size)
{
    return (int32_t)emu_sign_extend(value, size);
}

/* Signed product; sets flags. */
static int64_t multiply_signed(struct emu_cpu *cpu, unsigned size, uint32_t a,
                               uint32_t b)
{
    int64_t product = extend(a, size) * extend(b, size);
    set_product_flags(cpu, size, (uint32_t)product,
                      product != extend((uint32_t)product, size));
    return product;
}

HANDLER(imul1)
{
    uint32_t value;
    if (!emu_read_operand(cpu, op, op->d, op->size, &value))
        FAULT;
    int64_t product =
        multiply_signed(cpu, op->size, value, emu_get_register(cpu, 0, op->size));
    put_pair(cpu, op->size, (uint32_t)product,
             (uint32_t)((uint64_t)product >> (8 * op->size)));
    NEXT;
}

HANDLER(imul2)
{
    uint32_t value;
    if (!emu_read_operand(cpu, op, op->s, op->size, &value))
        FAULT;
    int64_t product =
        multiply_signed(cpu, op->size, emu_get_register(cpu, op->d, op->size), value);
    emu_put_register(cpu, op->d, op->size, (uint32_t)product);
    NEXT;
}

HANDLER(imul3)
{
    uint32_t value;
    if (!emu_read_operand(cpu, op, op->s, op->size, &value))
        FAULT;
    int64_t product = multiply_signed(cpu, op->size, value, op->immediate);
    emu_put_register(cpu, op->d, op->size, (uint32_t)product);
    NEXT;
}

HANDLER(div)
{
    uint32_t divisor;
    if (!emu_read_operand(cpu, op, op->d, op->size, &divisor))
        FAULT;
    uint64_t dividend = get_pair(cpu, op->size);
    if (!divisor || dividend / divisor > emu_size_mask(op->size))
        return emu_raise(cpu, op, EMU_VECTOR_DE, 0);
    put_pair(cpu, op->size, (uint32_t)(dividend / divisor),
             (uint32_t)(dividend % divisor));
    NEXT;
}

HANDLER(idiv)
{
    uint32_t value;
    if (!emu_read_operand(cpu, op, op->d, op->size, &value))
        FAULT;
    int64_t divisor = extend(value, op->size);
    uint64_t pair = get_pair(cpu, op->size);
    int64_t dividend = op->size == 4   ? (int64_t)pair
                       : op->size == 2 ? (int32_t)pair
                                       : (int16_t)pair;
    /* -2^63 / -1 overflows in C as it does here. */
    if (!divisor || (dividend == INT64_MIN && divisor == -1))
        return emu_raise(cpu, op, EMU_VECTOR_DE, 0);
    int64_t quotient = dividend / divisor;
    if (quotient != extend((uint32_t)quotient, op->size))
        return emu_raise(cpu, op, EMU_VECTOR_DE, 0);
    put_pair(cpu, op->size, (uint32_t)quotient, (uint32_t)(dividend % divisor));
    NEXT;
}

HANDLER(cbw)
{
    if (op->size == 4)
        cpu->reg[EMU_EAX] = emu_sign_extend(cpu->half[EMU_EAX * 2], 2);
    else
        cpu->half[EMU_EAX * 2] = (uint16_t)(int16_t)(int8_t)cpu->byte[AL];
    NEXT;
}

HANDLER(cwd)
{
    uint32_t value =
        emu_sign_extend(emu_get_register(cpu, EMU_EAX, op->size), op->size);
    emu_put_register(cpu, EMU_EDX, op->size, (uint32_t)((int32_t)value >> 31));
    NEXT;
}

/* ---- decimal ---- */

static void set_decimal_flags(struct emu_cpu *cpu, bool adjust, bool carry)
{
    uint32_t result = (uint32_t)(int32_t)(int8_t)cpu->byte[AL];
    emu_set_logic(cpu, result);
    emu_set_flags_co(cpu, carry, false);
    cpu->flag_carries |= (uint32_t)adjust << 3;
}

static const struct emu_op *adjust_packed(struct emu_cpu *cpu, const struct emu_op *op,
                                          int sign)
{
    uint8_t al = cpu->byte[AL];
    bool old_carry = emu_flag_c(cpu), carry = old_carry;
    bool adjust = (al & 15) > 9 || emu_flag_a(cpu);
    int value = al;
    if (adjust) {
        value += 6 * sign;
        carry = old_carry || value < 0 || value > 0xff;
    }
    if (al > 0x99 || old_carry) {
        value += 0x60 * sign;
        carry = true;
    }
    cpu->byte[AL] = (uint8_t)value;
    set_decimal_flags(cpu, adjust, carry);
    NEXT;
}

HANDLER(daa)
{
    return adjust_packed(cpu, op, 1);
}

HANDLER(das)
{
    return adjust_packed(cpu, op, -1);
}

static const struct emu_op *adjust_unpacked(struct emu_cpu *cpu,
                                            const struct emu_op *op, int sign)
{
    bool adjust = (cpu->byte[AL] & 15) > 9 || emu_flag_a(cpu);
    if (adjust)
        cpu->half[EMU_EAX * 2] = (uint16_t)(cpu->half[EMU_EAX * 2] + 0x106 * sign);
    cpu->byte[AL] &= 15;
    set_decimal_flags(cpu, adjust, adjust);
    NEXT;
}

HANDLER(aaa)
{
    return adjust_unpacked(cpu, op, 1);
}

HANDLER(aas)
{
    return adjust_unpacked(cpu, op, -1);
}

HANDLER(aam)
{
    uint8_t base = (uint8_t)op->immediate, al = cpu->byte[AL];
    if (!base)
        return emu_raise(cpu, op, EMU_VECTOR_DE, 0);
    cpu->byte[AH] = al / base;
    cpu->byte[AL] = al % base;
    set_decimal_flags(cpu, false, false);
    NEXT;
}

HANDLER(aad)
{
    uint8_t product = (uint8_t)(cpu->byte[AH] * op->immediate);
    cpu->byte[AL] = (uint8_t)emu_do_add(cpu, 8, cpu->byte[AL], product);
    cpu->byte[AH] = 0;
    NEXT;
}
