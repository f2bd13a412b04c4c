/* SPDX-License-Identifier: MIT
 *
 * Loads, stores, moves, comparisons, and the four operations.
 */
#include "emu/f80_private.h"
#include "emu/fpu_private.h"

#include "base/err.h"

#include <string.h>

uint64_t emu_fpu_get_bytes(const uint8_t *bytes, unsigned size)
{
    uint64_t value = 0;
    while (size-- > 0)
        value = value << 8 | bytes[size];
    return value;
}

void emu_fpu_put_bytes(uint8_t *bytes, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++, value >>= 8)
        bytes[i] = (uint8_t)value;
}

struct emu_f80 emu_fpu_get_f80(const uint8_t *bytes)
{
    return (struct emu_f80){emu_fpu_get_bytes(bytes, 8),
                            (uint16_t)emu_fpu_get_bytes(bytes + 8, 2)};
}

void emu_fpu_put_f80(uint8_t *bytes, struct emu_f80 value)
{
    emu_fpu_put_bytes(bytes, 8, value.mantissa);
    emu_fpu_put_bytes(bytes + 8, 2, value.sign_exponent);
}

/* ST(i), or a stack fault and the indefinite. */
static struct emu_f80 operand(struct emu_fpu_step *step, unsigned i)
{
    if (!emu_fpu_is_empty(step->fpu, i))
        return emu_fpu_get(step->fpu, i);
    emu_fpu_underflow_stack(step);
    return emu_f80_indefinite();
}

/* The memory operand as a number, unchanged. */
static struct emu_f80 memory_operand(struct emu_fpu_step *step)
{
    const uint8_t *m = step->memory;
    switch ((int)step->format) {
    case EMU_FPU_R_F32:
        return emu_f80_from_f32(&step->env, (uint32_t)emu_fpu_get_bytes(m, 4));
    case EMU_FPU_R_F64:
        return emu_f80_from_f64(&step->env, emu_fpu_get_bytes(m, 8));
    case EMU_FPU_R_I16:
        return emu_f80_from_int((int16_t)emu_fpu_get_bytes(m, 2));
    case EMU_FPU_R_I32:
        return emu_f80_from_int((int32_t)emu_fpu_get_bytes(m, 4));
    case EMU_FPU_R_I64:
        return emu_f80_from_int((int64_t)emu_fpu_get_bytes(m, 8));
    case EMU_FPU_R_D80:
        return emu_f80_from_bcd(m);
    default:
        return emu_fpu_get_f80(m);
    }
}

/* Push `value`, or the indefinite if that overflows the stack. */
static void push(struct emu_fpu_step *step, struct emu_f80 value)
{
    if (!(step->env.raised & EMU_FPU_STACK_FAULT) && !emu_fpu_is_empty(step->fpu, 7)) {
        step->env.raised = EMU_F80_INVALID | EMU_FPU_STACK_FAULT | EMU_FPU_C1;
        value = emu_f80_indefinite();
    }
    /* A denormal is loaded even if it is unmasked. */
    bool invalid = step->env.raised & EMU_F80_INVALID;
    if (!emu_fpu_commit(step) && invalid)
        return;
    emu_fpu_set_top(step->fpu, emu_fpu_top(step->fpu) - 1);
    emu_fpu_set(step->fpu, 0, value);
}

void emu_fpu_load(struct emu_fpu_step *step)
{
    struct emu_f80 value = memory_operand(step);
    if (step->format == EMU_FPU_R_F32 || step->format == EMU_FPU_R_F64)
        value = emu_f80_load(&step->env, value);
    push(step, value);
}

void emu_fpu_load_reg(struct emu_fpu_step *step)
{
    struct emu_f80 value = operand(step, emu_fpu_rm(step));
    push(step, value);
}

void emu_fpu_load_constant(struct emu_fpu_step *step)
{
    /* 128 bits of log2(10), log2(e), pi, log10(2), ln(2); precision control does not
     * matter, rounding control does, and inexact is never raised (SDM 2, FLD1). */
    static const struct {
        int32_t exponent;
        uint64_t high, low;
    } constant[] = {
        {0x3fff, 0x8000000000000000, 0},
        {0x4000, 0xd49a784bcd1b8afe, 0x492bf6ff4dafdb4c},
        {0x3fff, 0xb8aa3b295c17f0bb, 0xbe87fed0691d3e88},
        {0x4000, 0xc90fdaa22168c234, 0xc4c6628b80dc1cd1},
        {0x3ffd, 0x9a209a84fbcff798, 0x8f8959ac0b7c9178},
        {0x3ffe, 0xb17217f7d1cf79ab, 0xc9e3b39803f2f6af},
    };
    unsigned row = emu_fpu_rm(step);
    if (row >= countof(constant)) { /* FLDZ */
        push(step, emu_f80_zero(false));
        return;
    }
    emu_u128 sig = (emu_u128)constant[row].high << 64 | constant[row].low;
    struct emu_f80_rounded r = emu_f80_round_sig(step->env.rounding, false, sig, 64);
    push(step, emu_f80_make(false, constant[row].exponent, r.sig));
}

/* The bytes of a store; `value` is ST(0). */
static void store_bytes(struct emu_fpu_step *step, struct emu_f80 value,
                        uint8_t bytes[10])
{
    struct emu_f80_env *env = &step->env;
    switch ((int)step->format) {
    case EMU_FPU_W_F32:
        emu_fpu_put_bytes(bytes, 4, emu_f80_to_f32(env, value));
        break;
    case EMU_FPU_W_F64:
        emu_fpu_put_bytes(bytes, 8, emu_f80_to_f64(env, value));
        break;
    case EMU_FPU_W_I16:
        emu_fpu_put_bytes(bytes, 2, (uint64_t)emu_f80_to_int(env, value, 16));
        break;
    case EMU_FPU_W_I32:
        emu_fpu_put_bytes(bytes, 4, (uint64_t)emu_f80_to_int(env, value, 32));
        break;
    case EMU_FPU_W_I64:
        emu_fpu_put_bytes(bytes, 8, (uint64_t)emu_f80_to_int(env, value, 64));
        break;
    case EMU_FPU_W_D80:
        emu_f80_to_bcd(env, value, bytes);
        break;
    default:
        emu_fpu_put_f80(bytes, value);
        break;
    }
}

/* Store ST(0).  Was it stored? */
static bool store(struct emu_fpu_step *step)
{
    uint8_t bytes[10] = {0};
    struct emu_f80 value = operand(step, 0);
    store_bytes(step, value, bytes);
    /* In memory an unmasked overflow or underflow leaves the destination alone. */
    bool traps =
        step->env.raised & ~step->env.masked & (EMU_F80_OVERFLOW | EMU_F80_UNDERFLOW);
    if (!emu_fpu_commit(step) || traps)
        return false;
    struct emu_fpu_access access =
        emu_fpu_access(step->insn->opcode, step->insn->modrm, false);
    memcpy(step->memory, bytes, access.size);
    step->insn->stores = true;
    return true;
}

void emu_fpu_store(struct emu_fpu_step *step)
{
    store(step);
}

void emu_fpu_store_pop(struct emu_fpu_step *step)
{
    if (store(step))
        emu_fpu_pop(step->fpu);
}

static bool copy(struct emu_fpu_step *step)
{
    struct emu_f80 value = operand(step, 0);
    if (!emu_fpu_commit(step))
        return false;
    emu_fpu_set(step->fpu, emu_fpu_rm(step), value);
    return true;
}

void emu_fpu_copy(struct emu_fpu_step *step)
{
    copy(step);
}

void emu_fpu_copy_pop(struct emu_fpu_step *step)
{
    if (copy(step))
        emu_fpu_pop(step->fpu);
}

/* FSTP1 does not look whether ST(0) is there. */
void emu_fpu_copy_pop_any(struct emu_fpu_step *step)
{
    (void)emu_fpu_commit(step);
    if (!emu_fpu_is_empty(step->fpu, 0))
        emu_fpu_set(step->fpu, emu_fpu_rm(step), emu_fpu_get(step->fpu, 0));
    emu_fpu_pop(step->fpu);
}

void emu_fpu_exchange(struct emu_fpu_step *step)
{
    unsigned i = emu_fpu_rm(step);
    struct emu_f80 a = operand(step, 0), b = operand(step, i);
    if (!emu_fpu_commit(step))
        return;
    emu_fpu_set(step->fpu, 0, b);
    emu_fpu_set(step->fpu, i, a);
}

/* The conditions of FCMOVcc and the FCOMI family, as EFLAGS has them. */
enum { CF = 0x001, PF = 0x004, AF = 0x010, ZF = 0x040, SF = 0x080, OF = 0x800 };

void emu_fpu_move_if(struct emu_fpu_step *step)
{
    static const uint32_t flags[4] = {CF, ZF, CF | ZF, PF};
    bool wanted = step->insn->opcode == 0xda;
    bool holds = step->insn->eflags & flags[emu_fpu_reg(step) & 3];
    if (emu_fpu_is_empty(step->fpu, 0) ||
        emu_fpu_is_empty(step->fpu, emu_fpu_rm(step))) {
        emu_fpu_underflow_stack(step);
        if (emu_fpu_commit(step))
            emu_fpu_set(step->fpu, 0, emu_f80_indefinite());
    } else if (holds == wanted) {
        emu_fpu_set(step->fpu, 0, emu_fpu_get(step->fpu, emu_fpu_rm(step)));
    }
}

void emu_fpu_free_reg(struct emu_fpu_step *step)
{
    (void)emu_fpu_commit(step);
    emu_fpu_set_empty(step->fpu, emu_fpu_rm(step));
}

void emu_fpu_free_pop(struct emu_fpu_step *step)
{
    emu_fpu_free_reg(step);
    emu_fpu_pop(step->fpu);
}

/* FINCSTP and FDECSTP. */
void emu_fpu_move_top(struct emu_fpu_step *step)
{
    (void)emu_fpu_commit(step);
    emu_fpu_set_top(step->fpu,
                    emu_fpu_top(step->fpu) + (step->insn->modrm & 1 ? 1 : 7));
}

void emu_fpu_nop(struct emu_fpu_step *step)
{
    (void)step;
}

/* FCHS and FABS: of every encoding, NaNs too. */
void emu_fpu_change_sign(struct emu_fpu_step *step)
{
    bool empty = emu_fpu_is_empty(step->fpu, 0);
    struct emu_f80 value = operand(step, 0);
    if (!emu_fpu_commit(step))
        return;
    if (!empty && step->insn->modrm & 1)
        value.sign_exponent &= 0x7fff;
    else if (!empty)
        value.sign_exponent ^= 0x8000;
    emu_fpu_set(step->fpu, 0, value);
}

/* The operation by /reg; subr and divr exchange the operands. */
static struct emu_f80 calculate(struct emu_fpu_step *step, struct emu_f80 a,
                                struct emu_f80 b)
{
    if (step->env.raised & EMU_FPU_STACK_FAULT)
        return emu_f80_indefinite();
    switch (emu_fpu_reg(step)) {
    case 0:
        return emu_f80_add(&step->env, a, b);
    case 1:
        return emu_f80_mul(&step->env, a, b);
    case 4:
        return emu_f80_sub(&step->env, a, b);
    case 5:
        return emu_f80_sub(&step->env, b, a);
    case 6:
        return emu_f80_div(&step->env, a, b);
    default:
        return emu_f80_div(&step->env, b, a);
    }
}

/* Put the result of ST(0) and `b` into ST(i).  Was it stored? */
static bool arith(struct emu_fpu_step *step, struct emu_f80 b, unsigned i)
{
    struct emu_f80 a = operand(step, 0);
    struct emu_f80 result = calculate(step, a, b);
    if (!emu_fpu_commit(step))
        return false;
    emu_fpu_set(step->fpu, i, result);
    return true;
}

void emu_fpu_arith_mem(struct emu_fpu_step *step)
{
    arith(step, memory_operand(step), 0);
}

void emu_fpu_arith_st0(struct emu_fpu_step *step)
{
    arith(step, operand(step, emu_fpu_rm(step)), 0);
}

void emu_fpu_arith_sti(struct emu_fpu_step *step)
{
    unsigned i = emu_fpu_rm(step);
    arith(step, operand(step, i), i);
}

void emu_fpu_arith_sti_pop(struct emu_fpu_step *step)
{
    unsigned i = emu_fpu_rm(step);
    if (arith(step, operand(step, i), i))
        emu_fpu_pop(step->fpu);
}

static void set_conditions(struct emu_fpu_step *step, unsigned conditions)
{
    emu_fpu_set_status(step->fpu, EMU_FPU_C0 | EMU_FPU_C2 | EMU_FPU_C3, conditions);
}

/* Compare ST(0) with `b`; a missing operand is unordered. */
static enum emu_f80_relation relate(struct emu_fpu_step *step, struct emu_f80 b,
                                    bool quiet)
{
    struct emu_f80 a = operand(step, 0);
    if (step->env.raised & EMU_FPU_STACK_FAULT)
        return EMU_F80_UNORDERED;
    return emu_f80_compare(&step->env, a, b, quiet);
}

static bool compare(struct emu_fpu_step *step, struct emu_f80 b, bool quiet)
{
    static const uint16_t conditions[] = {
        [EMU_F80_LESS] = EMU_FPU_C0,
        [EMU_F80_EQUAL] = EMU_FPU_C3,
        [EMU_F80_GREATER] = 0,
        [EMU_F80_UNORDERED] = EMU_FPU_C0 | EMU_FPU_C2 | EMU_FPU_C3,
    };
    enum emu_f80_relation relation = relate(step, b, quiet);
    set_conditions(step, conditions[relation]);
    return emu_fpu_commit(step);
}

/* FUCOM, FUCOMP, FUCOMPP. */
static bool is_quiet(const struct emu_fpu_step *step)
{
    return step->insn->opcode == 0xdd || step->insn->opcode == 0xda;
}

void emu_fpu_compare_mem(struct emu_fpu_step *step)
{
    if (compare(step, memory_operand(step), false) && emu_fpu_reg(step) == 3)
        emu_fpu_pop(step->fpu);
}

void emu_fpu_compare(struct emu_fpu_step *step)
{
    compare(step, operand(step, emu_fpu_rm(step)), is_quiet(step));
}

void emu_fpu_compare_pop(struct emu_fpu_step *step)
{
    if (compare(step, operand(step, emu_fpu_rm(step)), is_quiet(step)))
        emu_fpu_pop(step->fpu);
}

void emu_fpu_compare_pop_pop(struct emu_fpu_step *step)
{
    if (!compare(step, operand(step, 1), is_quiet(step)))
        return;
    emu_fpu_pop(step->fpu);
    emu_fpu_pop(step->fpu);
}

void emu_fpu_test(struct emu_fpu_step *step)
{
    compare(step, emu_f80_zero(false), false);
}

/* FCOMI and FUCOMI leave C1 alone unless the stack is at fault (spec 4.4). */
static bool compare_flags(struct emu_fpu_step *step)
{
    static const uint32_t flags[] = {
        [EMU_F80_LESS] = CF,
        [EMU_F80_EQUAL] = ZF,
        [EMU_F80_GREATER] = 0,
        [EMU_F80_UNORDERED] = CF | PF | ZF,
    };
    struct emu_f80 b = operand(step, emu_fpu_rm(step));
    enum emu_f80_relation relation = relate(step, b, emu_fpu_reg(step) == 5);
    unsigned c1 = step->fpu->status & EMU_FPU_C1;
    if (step->env.raised & EMU_FPU_STACK_FAULT)
        c1 = 0;
    step->insn->eflags &= ~(uint32_t)(CF | PF | AF | ZF | SF | OF);
    step->insn->eflags |= flags[relation];
    bool completes = emu_fpu_commit(step);
    emu_fpu_set_status(step->fpu, EMU_FPU_C1, c1);
    return completes;
}

void emu_fpu_compare_flags(struct emu_fpu_step *step)
{
    compare_flags(step);
}

void emu_fpu_compare_flags_pop(struct emu_fpu_step *step)
{
    if (compare_flags(step))
        emu_fpu_pop(step->fpu);
}

void emu_fpu_examine(struct emu_fpu_step *step)
{
    static const uint16_t conditions[] = {
        [EMU_F80_CLASS_UNSUPPORTED] = 0,
        [EMU_F80_CLASS_NAN] = EMU_FPU_C0,
        [EMU_F80_CLASS_NORMAL] = EMU_FPU_C2,
        [EMU_F80_CLASS_INFINITY] = EMU_FPU_C2 | EMU_FPU_C0,
        [EMU_F80_CLASS_ZERO] = EMU_FPU_C3,
        [EMU_F80_CLASS_DENORMAL] = EMU_FPU_C3 | EMU_FPU_C2,
    };
    struct emu_f80 value = emu_fpu_get(step->fpu, 0);
    step->env.raised = emu_f80_sign(value) ? EMU_FPU_C1 : 0;
    (void)emu_fpu_commit(step);
    set_conditions(step, emu_fpu_is_empty(step->fpu, 0)
                             ? EMU_FPU_C3 | EMU_FPU_C0
                             : conditions[emu_f80_classify(value)]);
}
