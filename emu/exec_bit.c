/* SPDX-License-Identifier: MIT
 *
 * Shifts, rotates and single bits.  Where the manual leaves flags undefined they are as
 * in machine.md 4.4; OF is that of the first step whatever the count.
 */
#include "emu/exec.h"

struct shift {
    uint32_t value; /* zero-extended */
    unsigned bits;
    unsigned count; /* 1 to 31 */
    bool immediate; /* not in CL, and the operand is a register */
};

static bool top_bit(const struct shift *s)
{
    return s->value >> (s->bits - 1) & 1;
}

static bool next_bit(const struct shift *s)
{
    return s->value >> (s->bits - 2) & 1;
}

static uint32_t finish_shift(struct emu_cpu *cpu, const struct shift *s,
                             uint32_t result, bool carry, bool overflow)
{
    emu_set_logic(cpu, emu_sign_extend(result, s->bits / 8));
    emu_set_flags_co(cpu, carry, overflow);
    return result;
}

static uint32_t do_shl(struct emu_cpu *cpu, const struct shift *s)
{
    uint64_t wide = (uint64_t)s->value << s->count;
    return finish_shift(cpu, s, (uint32_t)wide, wide >> s->bits & 1,
                        top_bit(s) ^ next_bit(s));
}

static uint32_t do_shr(struct emu_cpu *cpu, const struct shift *s)
{
    return finish_shift(cpu, s, s->value >> s->count, s->value >> (s->count - 1) & 1,
                        top_bit(s));
}

static uint32_t do_sar(struct emu_cpu *cpu, const struct shift *s)
{
    int32_t value = (int32_t)emu_sign_extend(s->value, s->bits / 8);
    return finish_shift(cpu, s, (uint32_t)(value >> s->count),
                        value >> (s->count - 1) & 1, false);
}

static void finish_rotate(struct emu_cpu *cpu, const struct shift *s, bool carry,
                          bool overflow)
{
    if (s->immediate && s->count != 1)
        overflow = emu_flag_o(cpu);
    emu_set_flags_co(cpu, carry, overflow);
}

static uint32_t do_rol(struct emu_cpu *cpu, const struct shift *s)
{
    unsigned count = s->count & (s->bits - 1);
    uint32_t result =
        count ? s->value << count | s->value >> (s->bits - count) : s->value;
    finish_rotate(cpu, s, result & 1, top_bit(s) ^ next_bit(s));
    return result;
}

static uint32_t do_ror(struct emu_cpu *cpu, const struct shift *s)
{
    unsigned count = s->count & (s->bits - 1);
    uint32_t result =
        count ? s->value >> count | s->value << (s->bits - count) : s->value;
    finish_rotate(cpu, s, result >> (s->bits - 1) & 1, top_bit(s) ^ (s->value & 1));
    return result;
}

/* Rotates of width + 1 bits, CF on top. */
static uint32_t do_rcl(struct emu_cpu *cpu, const struct shift *s)
{
    unsigned width = s->bits + 1, count = s->count % width;
    if (!count)
        return s->value;
    uint64_t ring = s->value | (uint64_t)emu_flag_c(cpu) << s->bits;
    ring = ring << count | ring >> (width - count);
    emu_set_flags_co(cpu, ring >> s->bits & 1, top_bit(s) ^ next_bit(s));
    return (uint32_t)ring;
}

static uint32_t do_rcr(struct emu_cpu *cpu, const struct shift *s)
{
    unsigned width = s->bits + 1, count = s->count % width;
    bool carry = emu_flag_c(cpu);
    if (!count)
        return s->value;
    uint64_t ring = s->value | (uint64_t)carry << s->bits;
    ring = ring >> count | ring << (width - count);
    emu_set_flags_co(cpu, ring >> s->bits & 1, top_bit(s) ^ carry);
    return (uint32_t)ring;
}

static const struct emu_op *shift_any(struct emu_cpu *cpu, const struct emu_op *op,
                                      uint32_t (*shift)(struct emu_cpu *,
                                                        const struct shift *))
{
    bool by_cl = op->flags & EMU_OP_IMPLICIT;
    unsigned count = (by_cl ? cpu->byte[EMU_ECX * 4] : op->immediate) & 31;
    uint8_t *at = emu_modify_operand(cpu, op, op->d, op->size);
    if (!at)
        FAULT;
    if (count) {
        struct shift s = {.value = emu_get(at, op->size),
                          .bits = op->size * 8u,
                          .count = count,
                          .immediate = !by_cl && !(op->flags & EMU_OP_MEMORY)};
        emu_put(at, op->size, shift(cpu, &s));
    }
    emu_modified(cpu, at);
    NEXT;
}

/* The common shape: a 32-bit register by an immediate other than 0. */
#define DEFINE_SHIFT(name)                                                             \
    HANDLER(name##_any)                                                                \
    {                                                                                  \
        return shift_any(cpu, op, do_##name);                                          \
    }                                                                                  \
    HANDLER(name##_i32)                                                                \
    {                                                                                  \
        struct shift s = {.value = cpu->reg[op->d],                                    \
                          .bits = 32,                                                  \
                          .count = op->immediate,                                      \
                          .immediate = true};                                          \
        cpu->reg[op->d] = do_##name(cpu, &s);                                          \
        NEXT;                                                                          \
    }
DEFINE_SHIFT(rol)
DEFINE_SHIFT(ror)
DEFINE_SHIFT(rcl)
DEFINE_SHIFT(rcr)
DEFINE_SHIFT(shl)
DEFINE_SHIFT(shr)
DEFINE_SHIFT(sar)

/* SHLD and SHRD: 16-bit forms shift dest:src:dest, which also gives counts over 16. */
static const struct emu_op *shift_double(struct emu_cpu *cpu, const struct emu_op *op,
                                         bool left)
{
    unsigned count =
        (op->flags & EMU_OP_IMPLICIT ? cpu->byte[EMU_ECX * 4] : op->immediate) & 31;
    unsigned bits = op->size * 8u;
    uint8_t *at = emu_modify_operand(cpu, op, op->d, op->size);
    if (!at)
        FAULT;
    if (count) {
        uint64_t dest = emu_get(at, op->size);
        uint64_t source = emu_get_register(cpu, op->s, op->size), result;
        bool top = dest >> (bits - 1) & 1, carry, overflow;
        if (left) {
            uint64_t wide =
                bits == 32 ? dest << 32 | source : dest << 32 | source << 16 | dest;
            unsigned size = bits == 32 ? 64 : 48;
            result = wide << count >> (size - bits);
            carry = wide >> (size - count) & 1;
            overflow = top ^ (dest >> (bits - 2) & 1);
        } else {
            uint64_t wide =
                bits == 32 ? source << 32 | dest : dest << 32 | source << 16 | dest;
            result = wide >> count;
            carry = wide >> (count - 1) & 1;
            overflow = top ^ (source & 1);
        }
        emu_set_logic(cpu, emu_sign_extend((uint32_t)result, op->size));
        emu_set_flags_co(cpu, carry, overflow);
        emu_put(at, op->size, (uint32_t)result);
    }
    emu_modified(cpu, at);
    NEXT;
}

HANDLER(shld)
{
    return shift_double(cpu, op, true);
}

HANDLER(shrd)
{
    return shift_double(cpu, op, false);
}

/* ---- single bits ---- */

enum bit_change { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

/* The operand's bytes: with a register offset, memory is a bit string (SDM 2A 3.1.1.9).
 */
static uint8_t *bit_operand(struct emu_cpu *cpu, const struct emu_op *op,
                            int32_t string_offset, enum bit_change change,
                            uint32_t *ret_value)
{
    struct emu_op moved = *op;
    if (op->flags & EMU_OP_MEMORY) {
        int32_t unit = op->size == 4 ? string_offset >> 5 : string_offset >> 4;
        moved.displacement += (uint32_t)unit * op->size;
    }
    if (change == BIT_TEST)
        return emu_read_operand(cpu, &moved, op->d, op->size, ret_value)
                   ? cpu->engine->bounce.bytes
                   : NULL;
    uint8_t *at = emu_modify_operand(cpu, &moved, op->d, op->size);
    if (at)
        *ret_value = emu_get(at, op->size);
    return at;
}

static const struct emu_op *change_bit(struct emu_cpu *cpu, const struct emu_op *op,
                                       uint32_t number, bool string,
                                       enum bit_change change)
{
    uint32_t value, bit = 1u << (number & (op->size * 8u - 1));
    int32_t offset = string ? (int32_t)emu_sign_extend(number, op->size) : 0;
    uint8_t *at = bit_operand(cpu, op, offset, change, &value);
    if (!at)
        FAULT;
    emu_set_flags_co(cpu, value & bit, emu_flag_o(cpu));
    if (change != BIT_TEST) {
        value = change == BIT_SET     ? value | bit
                : change == BIT_RESET ? value & ~bit
                                      : value ^ bit;
        emu_put(at, op->size, value);
        emu_modified(cpu, at);
    }
    NEXT;
}

#define DEFINE_BIT(name, change)                                                       \
    HANDLER(name)                                                                      \
    {                                                                                  \
        return change_bit(cpu, op, emu_get_register(cpu, op->s, op->size), true,       \
                          change);                                                     \
    }                                                                                  \
    HANDLER(name##_i)                                                                  \
    {                                                                                  \
        return change_bit(cpu, op, op->immediate, false, change);                      \
    }
DEFINE_BIT(bt, BIT_TEST)
DEFINE_BIT(bts, BIT_SET)
DEFINE_BIT(btr, BIT_RESET)
DEFINE_BIT(btc, BIT_COMPLEMENT)

static const struct emu_op *scan_bits(struct emu_cpu *cpu, const struct emu_op *op,
                                      bool reverse)
{
    uint32_t value;
    if (!emu_read_operand(cpu, op, op->s, op->size, &value))
        FAULT;
    if (!value) {
        emu_set_logic(cpu, 0);
        NEXT;
    }
    uint32_t index =
        (uint32_t)(reverse ? 31 - __builtin_clz(value) : __builtin_ctz(value));
    emu_set_logic(cpu, index | 0x100); /* ZF = 0 even for index 0 */
    emu_put_register(cpu, op->d, op->size, index);
    NEXT;
}

HANDLER(bsf)
{
    return scan_bits(cpu, op, false);
}

HANDLER(bsr)
{
    return scan_bits(cpu, op, true);
}

HANDLER(bswap)
{
    if (op->size == 4)
        cpu->reg[op->d] = __builtin_bswap32(cpu->reg[op->d]);
    else
        cpu->half[op->d * 2] = 0;
    NEXT;
}

HANDLER(setcc)
{
    if (!emu_write_operand(cpu, op, op->d, 1, emu_condition(cpu, op->immediate & 15)))
        FAULT;
    NEXT;
}
