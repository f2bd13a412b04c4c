/* SPDX-License-Identifier: MIT */
#include "replay/gdb_agent.h"

enum { STACK_SIZE = 100, STEP_COUNT_MAX = 1000 };

enum agent_op {
    AGENT_add = 0x02,
    AGENT_sub = 0x03,
    AGENT_mul = 0x04,
    AGENT_lsh = 0x09,
    AGENT_rsh_signed = 0x0a,
    AGENT_rsh_unsigned = 0x0b,
    AGENT_log_not = 0x0e,
    AGENT_bit_and = 0x0f,
    AGENT_bit_or = 0x10,
    AGENT_bit_xor = 0x11,
    AGENT_bit_not = 0x12,
    AGENT_equal = 0x13,
    AGENT_less_signed = 0x14,
    AGENT_less_unsigned = 0x15,
    AGENT_ext = 0x16,
    AGENT_ref8 = 0x17,
    AGENT_ref16 = 0x18,
    AGENT_ref32 = 0x19,
    AGENT_ref64 = 0x1a,
    AGENT_if_goto = 0x20,
    AGENT_goto = 0x21,
    AGENT_const8 = 0x22,
    AGENT_const16 = 0x23,
    AGENT_const32 = 0x24,
    AGENT_const64 = 0x25,
    AGENT_reg = 0x26,
    AGENT_end = 0x27,
    AGENT_dup = 0x28,
    AGENT_pop = 0x29,
    AGENT_zero_ext = 0x2a,
    AGENT_swap = 0x2b,
};

struct agent {
    const struct replay_guest *guest;
    struct bytes code;
    size_t at;
    uint64_t stack[STACK_SIZE];
    size_t depth;
    bool bad; /* cannot be evaluated */
};

static uint64_t pop(struct agent *a)
{
    a->bad |= !a->depth;
    return a->depth ? a->stack[--a->depth] : 0;
}

static void push(struct agent *a, uint64_t value)
{
    if (a->depth < STACK_SIZE)
        a->stack[a->depth++] = value;
    else
        a->bad = true;
}

/* A big-endian operand. */
static uint64_t operand(struct agent *a, unsigned size)
{
    uint64_t value = 0;
    if (a->code.size - a->at < size) {
        a->bad = true;
        return 0;
    }
    for (unsigned i = 0; i < size; i++)
        value = value << 8 | a->code.data[a->at++];
    return value;
}

static uint64_t extend(uint64_t value, uint64_t bits, bool is_signed)
{
    if (!bits || bits >= 64)
        return value;
    uint64_t mask = ((uint64_t)1 << bits) - 1;
    bool negative = is_signed && (value >> (bits - 1) & 1);
    return negative ? value | ~mask : value & mask;
}

static void load(struct agent *a, unsigned size)
{
    uint8_t bytes[8];
    uint64_t value = 0, address = pop(a);
    const struct replay_guest_ops *ops = a->guest->ops;
    if (ops->memory_read(a->guest->self, address, bytes, size) != size) {
        a->bad = true;
        return;
    }
    for (unsigned i = size; i-- > 0;)
        value = value << 8 | bytes[i];
    push(a, value);
}

static void push_register(struct agent *a, uint64_t index)
{
    uint8_t bytes[16] = {0};
    uint64_t value = 0;
    const struct replay_guest_ops *ops = a->guest->ops;
    if (index >= ops->reg_count || ops->reg[index].size > 8) {
        a->bad = true;
        return;
    }
    ops->register_get(a->guest->self, (unsigned)index, bytes);
    for (unsigned i = ops->reg[index].size; i-- > 0;)
        value = value << 8 | bytes[i];
    push(a, value);
}

static void jump(struct agent *a, bool taken, uint64_t to)
{
    if (taken && to >= a->code.size)
        a->bad = true;
    else if (taken)
        a->at = (size_t)to;
}

/* Two operands, one result. */
static bool binary(struct agent *a, unsigned op)
{
    if (op != AGENT_add && op != AGENT_sub && op != AGENT_mul && op != AGENT_lsh &&
        op != AGENT_rsh_signed && op != AGENT_rsh_unsigned && op != AGENT_bit_and &&
        op != AGENT_bit_or && op != AGENT_bit_xor && op != AGENT_equal &&
        op != AGENT_less_signed && op != AGENT_less_unsigned)
        return false;
    uint64_t y = pop(a), x = pop(a), shift = y & 63;
    switch (op) {
    case AGENT_add:
        push(a, x + y);
        break;
    case AGENT_sub:
        push(a, x - y);
        break;
    case AGENT_mul:
        push(a, x * y);
        break;
    case AGENT_lsh:
        push(a, x << shift);
        break;
    case AGENT_rsh_signed:
        push(a, (uint64_t)((int64_t)x >> shift));
        break;
    case AGENT_rsh_unsigned:
        push(a, x >> shift);
        break;
    case AGENT_bit_and:
        push(a, x & y);
        break;
    case AGENT_bit_or:
        push(a, x | y);
        break;
    case AGENT_bit_xor:
        push(a, x ^ y);
        break;
    case AGENT_equal:
        push(a, x == y);
        break;
    case AGENT_less_signed:
        push(a, (int64_t)x < (int64_t)y);
        break;
    default:
        push(a, x < y);
    }
    return true;
}

static void one_or_none(struct agent *a, unsigned op)
{
    uint64_t x, y;
    switch (op) {
    case AGENT_log_not:
        push(a, !pop(a));
        break;
    case AGENT_bit_not:
        push(a, ~pop(a));
        break;
    case AGENT_ext:
    case AGENT_zero_ext:
        x = operand(a, 1);
        push(a, extend(pop(a), x, op == AGENT_ext));
        break;
    case AGENT_ref8:
    case AGENT_ref16:
    case AGENT_ref32:
    case AGENT_ref64:
        load(a, 1u << (op - AGENT_ref8));
        break;
    case AGENT_if_goto:
        x = operand(a, 2);
        jump(a, pop(a) != 0, x);
        break;
    case AGENT_goto:
        jump(a, true, operand(a, 2));
        break;
    case AGENT_const8:
    case AGENT_const16:
    case AGENT_const32:
    case AGENT_const64:
        push(a, operand(a, 1u << (op - AGENT_const8)));
        break;
    case AGENT_reg:
        push_register(a, operand(a, 2));
        break;
    case AGENT_dup:
        x = pop(a);
        push(a, x);
        push(a, x);
        break;
    case AGENT_pop:
        (void)pop(a);
        break;
    case AGENT_swap:
        y = pop(a);
        x = pop(a);
        push(a, y);
        push(a, x);
        break;
    default:
        a->bad = true;
    }
}

bool replay_gdb_agent_false(const struct replay_guest *guest, struct bytes code)
{
    struct agent a = {.guest = guest, .code = code};
    for (unsigned steps = 0; steps < STEP_COUNT_MAX && a.at < code.size; steps++) {
        unsigned op = code.data[a.at++];
        if (op == AGENT_end) {
            uint64_t value = pop(&a);
            return !a.bad && !value;
        }
        if (!binary(&a, op))
            one_or_none(&a, op);
        if (a.bad)
            return false;
    }
    return false;
}
