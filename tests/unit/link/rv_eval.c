/* SPDX-License-Identifier: MIT */
#include "tests/unit/link/rv_eval.h"

#include "base/err.h"

#include <stddef.h>

uint8_t *rv_byte(struct rv_memory *memory, uint32_t address)
{
    if (address - RV_LOW < RV_WINDOW_SIZE)
        return &memory->low[address - RV_LOW];
    if (address - RV_MIDDLE < RV_WINDOW_SIZE)
        return &memory->middle[address - RV_MIDDLE];
    if (address - RV_HIGH < RV_WINDOW_SIZE)
        return &memory->high[address - RV_HIGH];
    return NULL;
}

static uint64_t load(struct rv_memory *memory, uint64_t address, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        const uint8_t *byte = rv_byte(memory, (uint32_t)(address + i));
        check(byte);
        value += (uint64_t)*byte << (8 * i);
    }
    return value;
}

static void store(struct rv_memory *memory, uint64_t address, unsigned size,
                  uint64_t value)
{
    for (unsigned i = 0; i < size; i++) {
        uint8_t *byte = rv_byte(memory, (uint32_t)(address + i));
        check(byte);
        *byte = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t sext(uint64_t value, unsigned bits)
{
    uint64_t sign = 1ull << (bits - 1);
    value &= bits == 64 ? ~0ull : (1ull << bits) - 1;
    return (value ^ sign) - sign;
}

static unsigned leading(uint64_t value, unsigned bits)
{
    unsigned count = 0;
    while (count < bits && !(value >> (bits - 1 - count) & 1))
        count++;
    return count;
}

static unsigned trailing(uint64_t value, unsigned bits)
{
    unsigned count = 0;
    while (count < bits && !(value >> count & 1))
        count++;
    return count;
}

static unsigned ones(uint64_t value)
{
    unsigned count = 0;
    for (; value; value &= value - 1)
        count++;
    return count;
}

static uint64_t by_bytes(uint64_t value, bool reverse)
{
    uint64_t result = 0;
    for (unsigned i = 0; i < 8; i++) {
        uint64_t byte = value >> (8 * i) & 255;
        result |= reverse ? byte << (56 - 8 * i) : (byte ? 255ull << (8 * i) : 0);
    }
    return result;
}

static uint64_t rotate(uint64_t value, unsigned right, unsigned bits)
{
    value &= bits == 64 ? ~0ull : (1ull << bits) - 1;
    right %= bits;
    return right ? value >> right | value << (bits - right) : value;
}

/* Division as the M extension defines it. */
static uint64_t divide(unsigned funct3, uint64_t a, uint64_t b, unsigned bits)
{
    bool is_signed = !(funct3 & 1), remainder = funct3 & 2;
    if (is_signed) {
        int64_t x = (int64_t)sext(a, bits), y = (int64_t)sext(b, bits);
        if (y == 0)
            return remainder ? (uint64_t)x : ~0ull;
        if (y == -1)
            return remainder ? 0 : 0 - (uint64_t)x;
        return (uint64_t)(remainder ? x % y : x / y);
    }
    uint64_t mask = bits == 64 ? ~0ull : (1ull << bits) - 1;
    a &= mask;
    b &= mask;
    if (b == 0)
        return remainder ? a : ~0ull;
    return remainder ? a % b : a / b;
}

static uint64_t multiply(unsigned funct3, uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b; /* unsigned; correct the high half for signs */
    uint64_t high = (uint64_t)(product >> 64);
    if (funct3 == 0)
        return a * b;
    if (funct3 != 3 && (int64_t)a < 0)
        high -= b;
    if (funct3 == 1 && (int64_t)b < 0)
        high -= a;
    return high;
}

/* OP and OP-32; the result of OP-32 is extended by the caller. */
static bool register_op(uint32_t word, uint64_t a, uint64_t b, unsigned bits,
                        uint64_t *ret_value)
{
    unsigned funct3 = word >> 12 & 7, funct7 = word >> 25;
    unsigned amount = (unsigned)(b & (bits - 1));
    uint64_t mask = bits == 64 ? ~0ull : 0xffffffffu;
    bool less = (int64_t)a < (int64_t)b;
    switch (funct7 << 4 | funct3) {
    case 0x000:
        *ret_value = a + b;
        return true;
    case 0x200:
        *ret_value = a - b;
        return true;
    case 0x001:
        *ret_value = a << amount;
        return true;
    case 0x002:
        *ret_value = less;
        return bits == 64;
    case 0x003:
        *ret_value = a < b;
        return bits == 64;
    case 0x004:
        *ret_value = a ^ b;
        return bits == 64;
    case 0x005:
        *ret_value = (a & mask) >> amount;
        return true;
    case 0x205:
        *ret_value = (uint64_t)((int64_t)sext(a, bits) >> amount);
        return true;
    case 0x006:
        *ret_value = a | b;
        return bits == 64;
    case 0x007:
        *ret_value = a & b;
        return bits == 64;
    case 0x204:
        *ret_value = ~(a ^ b);
        return bits == 64;
    case 0x206:
        *ret_value = a | ~b;
        return bits == 64;
    case 0x207:
        *ret_value = a & ~b;
        return bits == 64;
    case 0x054:
        *ret_value = less ? a : b;
        return bits == 64;
    case 0x055:
        *ret_value = a < b ? a : b;
        return bits == 64;
    case 0x056:
        *ret_value = less ? b : a;
        return bits == 64;
    case 0x057:
        *ret_value = a < b ? b : a;
        return bits == 64;
    case 0x301:
        *ret_value = rotate(a, bits - amount, bits);
        return true;
    case 0x305:
        *ret_value = rotate(a, amount, bits);
        return true;
    case 0x044:
        *ret_value = a & 0xffff;
        return bits == 32 && (word >> 20 & 31) == 0;
    default:
        break;
    }
    if (funct7 == 1 && funct3 >= 4) {
        *ret_value = divide(funct3, a, b, bits);
        return true;
    }
    if (funct7 == 1 && (bits == 64 || funct3 == 0)) {
        *ret_value = multiply(funct3, a, b);
        return true;
    }
    return false;
}

/* The unary rows of Zbb in OP-IMM and OP-IMM-32, and shifts. */
static bool shift_op(uint32_t word, uint64_t a, unsigned bits, uint64_t *ret_value)
{
    unsigned funct3 = word >> 12 & 7, top = word >> 20;
    unsigned amount = top & (bits - 1);
    uint64_t low = bits == 64 ? a : a & 0xffffffffu;
    if (funct3 == 1) {
        switch (top) {
        case 0x600:
            *ret_value = leading(low, bits);
            return true;
        case 0x601:
            *ret_value = trailing(low, bits);
            return true;
        case 0x602:
            *ret_value = ones(low);
            return true;
        case 0x604:
            *ret_value = sext(a, 8);
            return bits == 64;
        case 0x605:
            *ret_value = sext(a, 16);
            return bits == 64;
        default:
            break;
        }
        *ret_value = a << amount;
        return (top & ~(bits - 1)) == 0;
    }
    switch (top & ~(bits - 1)) {
    case 0x000:
        *ret_value = low >> amount;
        return true;
    case 0x400:
        *ret_value = (uint64_t)((int64_t)sext(a, bits) >> amount);
        return true;
    case 0x600:
        *ret_value = rotate(a, amount, bits);
        return true;
    default:
        break;
    }
    if (top == 0x6b8 || top == 0x287) {
        *ret_value = by_bytes(a, top == 0x6b8);
        return bits == 64;
    }
    return false;
}

static bool immediate_op(uint32_t word, uint64_t a, unsigned bits, uint64_t *ret_value)
{
    uint64_t imm = sext(word >> 20, 12);
    switch (word >> 12 & 7) {
    case 0:
        *ret_value = a + imm;
        return true;
    case 1:
    case 5:
        return shift_op(word, a, bits, ret_value);
    case 2:
        *ret_value = (int64_t)a < (int64_t)imm;
        break;
    case 3:
        *ret_value = a < imm;
        break;
    case 4:
        *ret_value = a ^ imm;
        break;
    case 6:
        *ret_value = a | imm;
        break;
    default:
        *ret_value = a & imm;
        break;
    }
    return bits == 64;
}

static enum rv_next branch(uint32_t word, uint64_t a, uint64_t b)
{
    bool taken = false;
    switch (word >> 12 & 7) {
    case 0:
        taken = a == b;
        break;
    case 1:
        taken = a != b;
        break;
    case 4:
        taken = (int64_t)a < (int64_t)b;
        break;
    case 5:
        taken = (int64_t)a >= (int64_t)b;
        break;
    case 6:
        taken = a < b;
        break;
    case 7:
        taken = a >= b;
        break;
    default:
        return RV_UNKNOWN;
    }
    return taken ? RV_TAKEN : RV_ON;
}

enum rv_next rv_eval(uint32_t word, uint64_t x[32], struct rv_memory *memory)
{
    unsigned rd = word >> 7 & 31, funct3 = word >> 12 & 7;
    uint64_t a = x[word >> 15 & 31], b = x[word >> 20 & 31], value = x[rd];
    uint64_t address = a + sext(word >> 20, 12);
    bool known = true;
    switch (word & 127) {
    case 0x37:
        value = sext(word & 0xfffff000u, 32);
        break;
    case 0x13:
        known = immediate_op(word, a, 64, &value);
        break;
    case 0x1b:
        known = immediate_op(word, a, 32, &value);
        value = sext(value, 32);
        break;
    case 0x33:
        known = register_op(word, a, b, 64, &value);
        break;
    case 0x3b:
        known = register_op(word, a, b, 32, &value);
        value = sext(value, 32);
        break;
    case 0x03:
        known = funct3 != 7;
        value = load(memory, address, 1u << (funct3 & 3));
        if (funct3 < 4)
            value = sext(value, 8u << funct3);
        break;
    case 0x23:
        address = a + sext((word >> 25) << 5 | (word >> 7 & 31), 12);
        store(memory, address, 1u << funct3, b);
        return RV_ON;
    case 0x63:
        return branch(word, a, b);
    case 0x0f:
        return funct3 ? RV_UNKNOWN : RV_ON;
    case 0x0b:
        known = funct3 == 1 && (word >> 26) == 0x10;
        if ((b == 0) == !(word >> 25 & 1))
            value = a;
        break;
    default:
        return RV_UNKNOWN;
    }
    if (rd)
        x[rd] = value;
    return known ? RV_ON : RV_UNKNOWN;
}
