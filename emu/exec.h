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
/* The same for blocks of EMU_MODE_FLAT and an address of base and displacement. */
#define FLAT_HANDLER(name)                                                             \
    const struct emu_op *emu_flat_##name(struct emu_cpu *cpu, const struct emu_op *op)
#define NEXT return op + 1
/* The same for handlers that keep everything in registers: where the compiler makes
 * jumps of calls in tail position, the next handler is entered without a return. */
#define GO(next)                                                                       \
    do {                                                                               \
        const struct emu_op *next_ = (next);                                           \
        EMU_GO_ON(next_);                                                              \
    } while (0)
#define NEXT_FAST GO(op + 1)
#define FAULT return emu_abandon(cpu, op)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_UNDEFINED__)
#define EMU_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define EMU_SANITIZED 1
#endif
#endif
#if defined(EMU_SANITIZED) || !defined(__OPTIMIZE__) || !defined(__x86_64__)
#define EMU_GO_ON(next) return next
#elif defined(__clang__)
#define EMU_GO_ON(next) __attribute__((musttail)) return next->run(cpu, next)
#else
#define EMU_GO_ON(next) return next->run(cpu, next)
#endif

/* A row without its handlers does not compile: all are declared, and named in the table
 * of translate.c. */
#define EMU_HANDLERS_6(name)                                                           \
    emu_run_fn emu_op_##name##_r8, emu_op_##name##_m8, emu_op_##name##_r16,            \
        emu_op_##name##_m16, emu_op_##name##_r32, emu_op_##name##_m32,                 \
        emu_flat_##name##_m8, emu_flat_##name##_m16, emu_flat_##name##_m32;
#define EMU_HANDLERS_4(name)                                                           \
    emu_run_fn emu_op_##name##_r16, emu_op_##name##_m16, emu_op_##name##_r32,          \
        emu_op_##name##_m32;
#define EMU_HANDLERS_4_FLAT(name)                                                      \
    EMU_HANDLERS_4(name)                                                               \
    emu_run_fn emu_flat_##name##_m16, emu_flat_##name##_m32;
#define EMU_DECLARE_EG(name) EMU_HANDLERS_6(name##_EG)
#define EMU_DECLARE_GE(name) EMU_HANDLERS_6(name##_GE)
#define EMU_DECLARE_EI(name) EMU_HANDLERS_6(name##_EI)
#define EMU_DECLARE_ER(name) EMU_HANDLERS_6(name)
#define EMU_DECLARE_GV(name) EMU_HANDLERS_4_FLAT(name)
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

emu_run_fn emu_flat_push_r32, emu_flat_pop_r32, emu_flat_call, emu_flat_ret;

/* Linear address of the memory operand; on a fault the handler ends. */
#define ADDRESS(linear, bits, access)                                                  \
    uint32_t linear;                                                                   \
    do {                                                                               \
        if (!emu_linear(cpu, op->segment, emu_address(cpu, op), (bits) / 8,            \
                        EMU_ACCESS_##access, &linear))                                 \
            FAULT;                                                                     \
    } while (0)

/* The way of nearly every access: its segment needs no check, its page has a view.
 * `slow` handles the others; as it is called in tail position, its needs cost nothing
 * here. */
#define FAST_ADDRESS(host, bits, access, slow)                                         \
    uint8_t *host;                                                                     \
    do {                                                                               \
        const struct emu_segment *s_ = &cpu->segment[op->segment];                     \
        uint32_t linear_ = emu_address(cpu, op) + s_->base;                            \
        const struct emu_view *v_ = &cpu->view[linear_ >> 12 & (EMU_DTLB_SIZE - 1)];   \
        if (unlikely((s_->unchecked & EMU_ACCESS_##access) != EMU_ACCESS_##access ||   \
                     ((linear_ + (bits) / 8 - 1) & ~0xfffu) != v_->VIEW_##access))     \
            return slow(cpu, op);                                                      \
        host = (uint8_t *)(v_->addend + linear_);                                      \
    } while (0)
/* The same on the stack, at ESP `at`. */
#define FAST_STACK(host, at, bits, access, slow)                                       \
    uint8_t *host;                                                                     \
    do {                                                                               \
        const struct emu_segment *s_ = &cpu->segment[EMU_SS];                          \
        uint32_t linear_ = ((at)&cpu->stack_mask) + s_->base;                          \
        const struct emu_view *v_ = &cpu->view[linear_ >> 12 & (EMU_DTLB_SIZE - 1)];   \
        if (unlikely((s_->unchecked & EMU_ACCESS_##access) != EMU_ACCESS_##access ||   \
                     ((linear_ + (bits) / 8 - 1) & ~0xfffu) != v_->VIEW_##access))     \
            return slow(cpu, op);                                                      \
        host = (uint8_t *)(v_->addend + linear_);                                      \
    } while (0)
/* The same at a linear address, where segments need no thought: EMU_MODE_FLAT. */
#define FLAT_VIEW(host, linear, bits, access, slow)                                    \
    uint8_t *host;                                                                     \
    do {                                                                               \
        uint32_t linear_ = (linear);                                                   \
        const struct emu_view *v_ = &cpu->view[linear_ >> 12 & (EMU_DTLB_SIZE - 1)];   \
        if (unlikely(((linear_ + (bits) / 8 - 1) & ~0xfffu) != v_->VIEW_##access))     \
            return slow(cpu, op);                                                      \
        host = (uint8_t *)(v_->addend + linear_);                                      \
    } while (0)
#define FLAT_ADDRESS(host, bits, access, slow)                                         \
    FLAT_VIEW(host, cpu->reg[op->base] + op->displacement, bits, access, slow)
#define VIEW_READ read
#define VIEW_WRITE write
#define VIEW_BOTH write

#define SLOW_HANDLER(name)                                                             \
    __attribute__((noinline)) static const struct emu_op *slow_##name(                 \
        struct emu_cpu *cpu, const struct emu_op *op)

/* Handlers with a memory operand, as statements about `value`: one that uses it, one
 * that is an expression to store, one that changes it. */
#define READING(name, bits, ...)                                                       \
    SLOW_HANDLER(name)                                                                 \
    {                                                                                  \
        uint##bits##_t value;                                                          \
        ADDRESS(linear, bits, READ);                                                   \
        if (!emu_load_##bits(cpu, linear, &value))                                     \
            FAULT;                                                                     \
        __VA_ARGS__;                                                                   \
        NEXT;                                                                          \
    }                                                                                  \
    HANDLER(name)                                                                      \
    {                                                                                  \
        uint##bits##_t value;                                                          \
        FAST_ADDRESS(host, bits, READ, slow_##name);                                   \
        memcpy(&value, host, bits / 8);                                                \
        __VA_ARGS__;                                                                   \
        NEXT_FAST;                                                                     \
    }                                                                                  \
    FLAT_HANDLER(name)                                                                 \
    {                                                                                  \
        uint##bits##_t value;                                                          \
        FLAT_ADDRESS(host, bits, READ, slow_##name);                                   \
        memcpy(&value, host, bits / 8);                                                \
        __VA_ARGS__;                                                                   \
        NEXT_FAST;                                                                     \
    }
#define WRITING(name, bits, expression)                                                \
    SLOW_HANDLER(name)                                                                 \
    {                                                                                  \
        ADDRESS(linear, bits, WRITE);                                                  \
        if (!emu_store_##bits(cpu, linear, expression))                                \
            FAULT;                                                                     \
        NEXT;                                                                          \
    }                                                                                  \
    HANDLER(name)                                                                      \
    {                                                                                  \
        FAST_ADDRESS(host, bits, WRITE, slow_##name);                                  \
        uint##bits##_t value = (expression);                                           \
        memcpy(host, &value, bits / 8);                                                \
        NEXT_FAST;                                                                     \
    }                                                                                  \
    FLAT_HANDLER(name)                                                                 \
    {                                                                                  \
        FLAT_ADDRESS(host, bits, WRITE, slow_##name);                                  \
        uint##bits##_t value = (expression);                                           \
        memcpy(host, &value, bits / 8);                                                \
        NEXT_FAST;                                                                     \
    }
#define CHANGING(name, bits, expression)                                               \
    SLOW_HANDLER(name)                                                                 \
    {                                                                                  \
        ADDRESS(linear, bits, BOTH);                                                   \
        uint8_t *at = emu_modify(cpu, linear, bits / 8);                               \
        if (!at)                                                                       \
            FAULT;                                                                     \
        uint32_t value = emu_get(at, bits / 8);                                        \
        emu_put(at, bits / 8, expression);                                             \
        emu_modified(cpu, at);                                                         \
        NEXT;                                                                          \
    }                                                                                  \
    HANDLER(name)                                                                      \
    {                                                                                  \
        FAST_ADDRESS(at, bits, BOTH, slow_##name);                                     \
        uint32_t value = emu_get(at, bits / 8);                                        \
        emu_put(at, bits / 8, expression);                                             \
        NEXT_FAST;                                                                     \
    }                                                                                  \
    FLAT_HANDLER(name)                                                                 \
    {                                                                                  \
        FLAT_ADDRESS(at, bits, BOTH, slow_##name);                                     \
        uint32_t value = emu_get(at, bits / 8);                                        \
        emu_put(at, bits / 8, expression);                                             \
        NEXT_FAST;                                                                     \
    }

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
