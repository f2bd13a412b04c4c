/* SPDX-License-Identifier: MIT
 *
 * emu/exec.h - what handlers are written with; private to emu/.
 *
 * HANDLER(name) opens the function of one op; NEXT ends it.  Handlers are called after
 * rows of i386.def and their form: add_EG_r8, add_EG_m8, ... add_EG_m32; daa.
 */
#ifndef EMU_EXEC_H
#define EMU_EXEC_H

#include "emu/engine.h"

#define HANDLER(name)                                                                  \
    const struct emu_op *emu_op_##name(struct emu_cpu *cpu, const struct emu_op *op)
#define NEXT return op + 1
#define FAULT return emu_abandon(cpu, op)

/* A row without its handlers does not compile: all are declared, and named in the table
 * of translate.c. */
#define EMU_HANDLERS_6(name)                                                           \
    emu_run_fn emu_op_##name##_r8, emu_op_##name##_m8, emu_op_##name##_r16,            \
        emu_op_##name##_m16, emu_op_##name##_r32, emu_op_##name##_m32;
#define EMU_HANDLERS_4(name)                                                           \
    emu_run_fn emu_op_##name##_r16, emu_op_##name##_m16, emu_op_##name##_r32,          \
        emu_op_##name##_m32;
#define EMU_DECLARE_EG(name) EMU_HANDLERS_6(name##_EG)
#define EMU_DECLARE_GE(name) EMU_HANDLERS_6(name##_GE)
#define EMU_DECLARE_EI(name) EMU_HANDLERS_6(name##_EI)
#define EMU_DECLARE_ER(name) EMU_HANDLERS_6(name)
#define EMU_DECLARE_GV(name) EMU_HANDLERS_4(name)
#define EMU_DECLARE_RV(name) EMU_HANDLERS_4(name)
#define EMU_DECLARE_ES(name) emu_run_fn emu_op_##name##_any, emu_op_##name##_i32;
#define EMU_DECLARE_X(name) emu_run_fn emu_op_##name;
#define EMU_DECLARE_CC(name)                                                           \
    emu_run_fn emu_op_##name##_16, emu_op_##name##_0, emu_op_##name##_1,               \
        emu_op_##name##_2, emu_op_##name##_3, emu_op_##name##_4, emu_op_##name##_5,    \
        emu_op_##name##_6, emu_op_##name##_7, emu_op_##name##_8, emu_op_##name##_9,    \
        emu_op_##name##_10, emu_op_##name##_11, emu_op_##name##_12,                    \
        emu_op_##name##_13, emu_op_##name##_14, emu_op_##name##_15;
#define INSN(code, name, form, a, b, c, written, undefined, traits)                    \
    EMU_DECLARE_##form(name)
#define INSN_GROUP(code, digit, name, form, a, b, c, written, undefined, traits)       \
    EMU_DECLARE_##form(name)
#include "emu/i386.def"

/* Linear address of the memory operand; on a fault the handler ends. */
#define ADDRESS(linear, bits, access)                                                  \
    uint32_t linear;                                                                   \
    do {                                                                               \
        if (!emu_linear(cpu, op->segment, emu_address(cpu, op), (bits) / 8,            \
                        EMU_ACCESS_##access, &linear))                                 \
            FAULT;                                                                     \
    } while (0)

/* Registers of a width, as lvalues. */
#define REG_8(number) cpu->byte[number]
#define REG_16(number) cpu->half[(number)*2]
#define REG_32(number) cpu->reg[number]

/* ---- arithmetic with flags, at one width ----
 *
 * The carries out of each bit give CF, OF and AF together. */

static inline void emu_set_carries(struct emu_cpu *cpu, unsigned bits, uint32_t result,
                                   uint32_t carries)
{
    cpu->flag_result = emu_sign_extend(result, bits / 8);
    cpu->flag_carries = ((carries << (32 - bits)) & 0xc0000000u) | (carries & 8);
}

static inline uint32_t emu_do_add(struct emu_cpu *cpu, unsigned bits, uint32_t a,
                                  uint32_t b)
{
    uint32_t r = a + b;
    emu_set_carries(cpu, bits, r, (a & b) | ((a | b) & ~r));
    return r;
}

static inline uint32_t emu_do_adc(struct emu_cpu *cpu, unsigned bits, uint32_t a,
                                  uint32_t b)
{
    uint32_t r = a + b + emu_flag_c(cpu);
    emu_set_carries(cpu, bits, r, (a & b) | ((a | b) & ~r));
    return r;
}

static inline uint32_t emu_do_sub(struct emu_cpu *cpu, unsigned bits, uint32_t a,
                                  uint32_t b)
{
    uint32_t r = a - b;
    emu_set_carries(cpu, bits, r, (~a & b) | (~(a ^ b) & r));
    return r;
}

static inline uint32_t emu_do_sbb(struct emu_cpu *cpu, unsigned bits, uint32_t a,
                                  uint32_t b)
{
    uint32_t r = a - b - emu_flag_c(cpu);
    emu_set_carries(cpu, bits, r, (~a & b) | (~(a ^ b) & r));
    return r;
}

static inline uint32_t emu_do_and(struct emu_cpu *cpu, unsigned bits, uint32_t a,
                                  uint32_t b)
{
    emu_set_logic(cpu, emu_sign_extend(a & b, bits / 8));
    return a & b;
}

static inline uint32_t emu_do_or(struct emu_cpu *cpu, unsigned bits, uint32_t a,
                                 uint32_t b)
{
    emu_set_logic(cpu, emu_sign_extend(a | b, bits / 8));
    return a | b;
}

static inline uint32_t emu_do_xor(struct emu_cpu *cpu, unsigned bits, uint32_t a,
                                  uint32_t b)
{
    emu_set_logic(cpu, emu_sign_extend(a ^ b, bits / 8));
    return a ^ b;
}

static inline uint32_t emu_do_inc(struct emu_cpu *cpu, unsigned bits, uint32_t a)
{
    bool c = emu_flag_c(cpu);
    uint32_t r = emu_do_add(cpu, bits, a, 1);
    emu_set_flags_co(cpu, c, emu_flag_o(cpu));
    return r;
}

static inline uint32_t emu_do_dec(struct emu_cpu *cpu, unsigned bits, uint32_t a)
{
    bool c = emu_flag_c(cpu);
    uint32_t r = emu_do_sub(cpu, bits, a, 1);
    emu_set_flags_co(cpu, c, emu_flag_o(cpu));
    return r;
}

static inline uint32_t emu_do_not(struct emu_cpu *cpu, unsigned bits, uint32_t a)
{
    (void)cpu, (void)bits;
    return ~a;
}

static inline uint32_t emu_do_neg(struct emu_cpu *cpu, unsigned bits, uint32_t a)
{
    return emu_do_sub(cpu, bits, 0, a);
}

#endif
