/* SPDX-License-Identifier: MIT
 *
 * pvm/interp_straight.h - straight code of the threaded loop, included once per operand
 * variant by interp_variants.h (so it has no guard).  In: NAME, A, B.  Out:
 * NAME(straight), handlers by opcode.
 */
#define EFFECT(name, dest, value)                                                      \
    static void NAME(name)(PARAMETERS)                                                 \
    {                                                                                  \
        last = (uint64_t)(value);                                                      \
        OPERAND(dest) = last;                                                          \
        NEXT(i + 1);                                                                   \
    }
#define LOAD_(name, type, address)                                                     \
    static void NAME(name)(PARAMETERS)                                                 \
    {                                                                                  \
        uint32_t at = (uint32_t)(address);                                             \
        type value;                                                                    \
        if (unlikely(!access_fast(mem, at, sizeof value, MEM_READ, MEM_READ_ON)))      \
            TAIL rare(i, e, mem, gas, acc, last);                                      \
        memcpy(&value, mem + at, sizeof value);                                        \
        last = (uint64_t)value;                                                        \
        OPERAND(a) = last;                                                             \
        NEXT(i + 1);                                                                   \
    }
#define STORE_(name, type, address, what)                                              \
    static void NAME(name)(PARAMETERS)                                                 \
    {                                                                                  \
        uint32_t at = (uint32_t)(address);                                             \
        type value = (type)(what);                                                     \
        if (unlikely(!access_fast(mem, at, sizeof value, MEM_WRITE, MEM_WRITE_ON)))    \
            TAIL rare(i, e, mem, gas, acc, last);                                      \
        memcpy(mem + at, &value, sizeof value);                                        \
        NEXT(i + 1);                                                                   \
    }
#include "pvm/effects.def"

static threaded_fn *const NAME(straight)[256] = {
#define EFFECT(name, dest, value) [PVM_OP_##name] = NAME(name),
#define LOAD_(name, type, address) [PVM_OP_##name] = NAME(name),
#define STORE_(name, type, address, value) [PVM_OP_##name] = NAME(name),
#include "pvm/effects.def"
};
