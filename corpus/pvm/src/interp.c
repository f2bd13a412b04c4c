/* SPDX-License-Identifier: MIT
 *
 * interp - an interpreter in the interpreter: a stack machine with 15 opcodes runs the
 * Collatz sequences of 1..n.  One `switch`, so jumps through a table all the way.
 */
#include "bench.h"

/* A code word is an opcode and, above it, an operand. */
enum opcode {
    OP_halt,
    OP_push, /* ( -- operand) */
    OP_get,  /* ( -- local[operand]) */
    OP_set,  /* (x -- ) local[operand] = x */
    OP_dup,  /* (x -- x x) */
    OP_add,  /* (x y -- x+y), and so on */
    OP_sub,
    OP_mul,
    OP_and,
    OP_shr,
    OP_less,
    OP_equal,
    OP_not,    /* (x -- x==0) */
    OP_jump,   /* to word `operand` */
    OP_jump_0, /* (x -- ) if x is 0 */
};
#define I(op, operand) (uint16_t)(OP_##op | (operand) << 4)

enum { INDEX, X, STEPS, TOTAL, LONGEST, LOCAL_COUNT };

/* clang-format off */
static const uint16_t collatz[] = {
    /* next: while i != 0, x = i, steps = 0 */
    /*  0 */ I(get, INDEX), I(jump_0, 46),
    /*  2 */ I(get, INDEX), I(set, X), I(push, 0), I(set, STEPS),
    /* step: while x != 1, steps++ */
    /*  6 */ I(get, X), I(push, 1), I(equal, 0), I(not, 0), I(jump_0, 31),
    /* 11 */ I(get, STEPS), I(push, 1), I(add, 0), I(set, STEPS),
    /* 15 */ I(get, X), I(dup, 0), I(push, 1), I(and, 0), I(jump_0, 27),
    /* odd: x = 3 * x + 1, the x that was left on the stack */
    /* 20 */ I(push, 3), I(mul, 0), I(push, 1), I(add, 0), I(set, X),
    /* 25 */ I(jump, 6), I(halt, 0),
    /* even: x = x >> 1 */
    /* 27 */ I(push, 1), I(shr, 0), I(set, X), I(jump, 6),
    /* done: total += steps, longest = max(longest, steps), i-- */
    /* 31 */ I(get, TOTAL), I(get, STEPS), I(add, 0), I(set, TOTAL),
    /* 35 */ I(get, LONGEST), I(get, STEPS), I(less, 0), I(jump_0, 41),
    /* 39 */ I(get, STEPS), I(set, LONGEST),
    /* 41 */ I(get, INDEX), I(push, 1), I(sub, 0), I(set, INDEX), I(jump, 0),
    /* 46 */ I(halt, 0),
};
/* clang-format on */

/* `top` is the word above the topmost one: top[-1] is y, top[-2] is x. */
static void run(const uint16_t *code, uint64_t local[LOCAL_COUNT])
{
    uint64_t stack[8], *top = stack;
    for (const uint16_t *next = code;;) {
        uint16_t word = *next++;
        unsigned operand = word >> 4;
        switch ((enum opcode)(word & 15)) {
        case OP_halt:
            return;
        case OP_push:
            *top++ = operand;
            break;
        case OP_get:
            *top++ = local[operand];
            break;
        case OP_set:
            local[operand] = *--top;
            break;
        case OP_dup:
            *top = top[-1];
            top++;
            break;
        case OP_add:
            top--;
            top[-1] += top[0];
            break;
        case OP_sub:
            top--;
            top[-1] -= top[0];
            break;
        case OP_mul:
            top--;
            top[-1] *= top[0];
            break;
        case OP_and:
            top--;
            top[-1] &= top[0];
            break;
        case OP_shr:
            top--;
            top[-1] >>= top[0];
            break;
        case OP_less:
            top--;
            top[-1] = top[-1] < top[0];
            break;
        case OP_equal:
            top--;
            top[-1] = top[-1] == top[0];
            break;
        case OP_not:
            top[-1] = top[-1] == 0;
            break;
        case OP_jump:
            next = code + operand;
            break;
        case OP_jump_0:
            if (*--top == 0)
                next = code + operand;
            break;
        default:
            pvm_panic();
        }
    }
}

/* The steps of all sequences above, those of the longest below. */
uint64_t bench(uint64_t n)
{
    uint64_t local[LOCAL_COUNT] = {[INDEX] = n};
    run(collatz, local);
    return local[TOTAL] << 32 | local[LONGEST];
}

PVM_EXPORT(0, bench);
