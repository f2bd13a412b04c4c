/* SPDX-License-Identifier: MIT
 *
 * The two-operand and one-operand arithmetic in all shapes, and MOV, which has the same
 * shapes.
 */
#include "emu/exec.h"

/* E = E op G, G = G op E and E = E op immediate, in registers and in memory. */
#define DEFINE_STORING(name, bits)                                                     \
    HANDLER(name##_EG_r##bits)                                                         \
    {                                                                                  \
        REG_##bits(op->d) = (uint##bits##_t)emu_do_##name(                             \
            cpu, bits, REG_##bits(op->d), REG_##bits(op->s));                          \
        NEXT_FAST;                                                                     \
    }                                                                                  \
    HANDLER(name##_GE_r##bits)                                                         \
    {                                                                                  \
        REG_##bits(op->d) = (uint##bits##_t)emu_do_##name(                             \
            cpu, bits, REG_##bits(op->d), REG_##bits(op->s));                          \
        NEXT_FAST;                                                                     \
    }                                                                                  \
    HANDLER(name##_EI_r##bits)                                                         \
    {                                                                                  \
        REG_##bits(op->d) = (uint##bits##_t)emu_do_##name(                             \
            cpu, bits, REG_##bits(op->d), (uint##bits##_t)op->immediate);              \
        NEXT_FAST;                                                                     \
    }                                                                                  \
    CHANGING(name##_EG_m##bits, bits,                                                  \
             emu_do_##name(cpu, bits, value, REG_##bits(op->s)))                       \
    CHANGING(name##_EI_m##bits, bits,                                                  \
             emu_do_##name(cpu, bits, value, (uint##bits##_t)op->immediate))           \
    READING(name##_GE_m##bits, bits,                                                   \
            REG_##bits(op->d) =                                                        \
                (uint##bits##_t)emu_do_##name(cpu, bits, REG_##bits(op->d), value))

/* CMP and TEST, by the operation whose result they drop. */
#define DEFINE_COMPARING(name, operation, bits)                                        \
    HANDLER(name##_EG_r##bits)                                                         \
    {                                                                                  \
        (void)emu_do_##operation(cpu, bits, REG_##bits(op->d), REG_##bits(op->s));     \
        NEXT_FAST;                                                                     \
    }                                                                                  \
    HANDLER(name##_EI_r##bits)                                                         \
    {                                                                                  \
        (void)emu_do_##operation(cpu, bits, REG_##bits(op->d),                         \
                                 (uint##bits##_t)op->immediate);                       \
        NEXT_FAST;                                                                     \
    }                                                                                  \
    READING(name##_EG_m##bits, bits,                                                   \
            (void)emu_do_##operation(cpu, bits, value, REG_##bits(op->s)))             \
    READING(name##_EI_m##bits, bits,                                                   \
            (void)emu_do_##operation(cpu, bits, value, (uint##bits##_t)op->immediate))

#define DEFINE_COMPARING_GE(name, operation, bits)                                     \
    HANDLER(name##_GE_r##bits)                                                         \
    {                                                                                  \
        (void)emu_do_##operation(cpu, bits, REG_##bits(op->d), REG_##bits(op->s));     \
        NEXT_FAST;                                                                     \
    }                                                                                  \
    READING(name##_GE_m##bits, bits,                                                   \
            (void)emu_do_##operation(cpu, bits, REG_##bits(op->d), value))

#define DEFINE_UNARY(name, bits)                                                       \
    HANDLER(name##_r##bits)                                                            \
    {                                                                                  \
        REG_##bits(op->d) =                                                            \
            (uint##bits##_t)emu_do_##name(cpu, bits, REG_##bits(op->d));               \
        NEXT_FAST;                                                                     \
    }                                                                                  \
    CHANGING(name##_m##bits, bits, emu_do_##name(cpu, bits, value))

#define DEFINE_MOV(bits)                                                               \
    HANDLER(mov_EG_r##bits)                                                            \
    {                                                                                  \
        REG_##bits(op->d) = REG_##bits(op->s);                                         \
        NEXT_FAST;                                                                     \
    }                                                                                  \
    HANDLER(mov_GE_r##bits)                                                            \
    {                                                                                  \
        REG_##bits(op->d) = REG_##bits(op->s);                                         \
        NEXT_FAST;                                                                     \
    }                                                                                  \
    HANDLER(mov_EI_r##bits)                                                            \
    {                                                                                  \
        REG_##bits(op->d) = (uint##bits##_t)op->immediate;                             \
        NEXT_FAST;                                                                     \
    }                                                                                  \
    WRITING(mov_EG_m##bits, bits, REG_##bits(op->s))                                   \
    WRITING(mov_EI_m##bits, bits, (uint##bits##_t)op->immediate)                       \
    READING(mov_GE_m##bits, bits, REG_##bits(op->d) = value)

/* MOVZX and MOVSX: `type` is what the source is extended as. */
#define DEFINE_EXTEND(name, type, from, to)                                            \
    HANDLER(name##_r##to)                                                              \
    {                                                                                  \
        REG_##to(op->d) = (uint##to##_t)(type)REG_##from(op->s);                       \
        NEXT_FAST;                                                                     \
    }                                                                                  \
    READING(name##_m##to, from, REG_##to(op->d) = (uint##to##_t)(type)value)

#define DEFINE_SIZE(bits)                                                              \
    DEFINE_STORING(add, bits)                                                          \
    DEFINE_STORING(or, bits)                                                           \
    DEFINE_STORING(adc, bits)                                                          \
    DEFINE_STORING(sbb, bits)                                                          \
    DEFINE_STORING(and, bits)                                                          \
    DEFINE_STORING(sub, bits)                                                          \
    DEFINE_STORING(xor, bits)                                                          \
    DEFINE_COMPARING(cmp, sub, bits)                                                   \
    DEFINE_COMPARING_GE(cmp, sub, bits)                                                \
    DEFINE_COMPARING(test, and, bits)                                                  \
    DEFINE_UNARY(inc, bits)                                                            \
    DEFINE_UNARY(dec, bits)                                                            \
    DEFINE_UNARY(not, bits)                                                            \
    DEFINE_UNARY(neg, bits)                                                            \
    DEFINE_MOV(bits)

DEFINE_SIZE(8)
DEFINE_SIZE(16)
DEFINE_SIZE(32)
DEFINE_EXTEND(movzxb, uint8_t, 8, 16)
DEFINE_EXTEND(movzxb, uint8_t, 8, 32)
DEFINE_EXTEND(movsxb, int8_t, 8, 16)
DEFINE_EXTEND(movsxb, int8_t, 8, 32)
DEFINE_EXTEND(movzxw, uint16_t, 16, 16)
DEFINE_EXTEND(movzxw, uint16_t, 16, 32)
DEFINE_EXTEND(movsxw, int16_t, 16, 16)
DEFINE_EXTEND(movsxw, int16_t, 16, 32)
