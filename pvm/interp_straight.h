/* SPDX-License-Identifier: MIT
 *
 * pvm/interp_straight.h - straight code of the threaded loop, alone and in pairs,
 * included once per operand variant by interp_variants.h (so it has no guard).  In:
 * NAME, A, B.  Out: NAME(straight) by opcode, NAME(fused) by pair and variant of the
 * second.
 */
#define STRAIGHT(name)                                                                 \
    static void NAME(name)(PARAMETERS)                                                 \
    {                                                                                  \
        if (unlikely(!step_##name(i, e, mem, A, B, &last)))                            \
            TAIL rare(i, e, mem, gas, acc, last);                                      \
        NEXT(i + 1);                                                                   \
    }
#define EFFECT(name, dest, value) STRAIGHT(name)
#define LOAD_(name, type, address) STRAIGHT(name)
#define STORE_(name, type, address, value) STRAIGHT(name)
#include "pvm/effects.def"
#undef STRAIGHT

static threaded_fn *const NAME(straight)[256] = {
#define EFFECT(name, dest, value) [PVM_OP_##name] = NAME(name),
#define LOAD_(name, type, address) [PVM_OP_##name] = NAME(name),
#define STORE_(name, type, address, value) [PVM_OP_##name] = NAME(name),
#include "pvm/effects.def"
};

#define PAIR(first, second, variant, a2, b2)                                           \
    static void NAME(first##_##second##_##variant)(PARAMETERS)                         \
    {                                                                                  \
        if (unlikely(!step_##first(i, e, mem, A, B, &last)))                           \
            TAIL rare(i, e, mem, gas, acc, last);                                      \
        i++;                                                                           \
        if (unlikely(!step_##second(i, e, mem, a2, b2, &last)))                        \
            TAIL rare(i, e, mem, gas, acc, last);                                      \
        NEXT(i + 1);                                                                   \
    }
#define FUSE(first, second)                                                            \
    PAIR(first, second, rr, OPERAND(a), OPERAND(b))                                    \
    PAIR(first, second, lr, last, OPERAND(b))                                          \
    PAIR(first, second, rl, OPERAND(a), last)                                          \
    PAIR(first, second, ll, last, last)
#include "pvm/fuse.def"
#undef PAIR

static threaded_fn *const NAME(fused)[][4] = {
#define FUSE(first, second)                                                            \
    {NAME(first##_##second##_rr), NAME(first##_##second##_lr),                         \
     NAME(first##_##second##_rl), NAME(first##_##second##_ll)},
#include "pvm/fuse.def"
};
