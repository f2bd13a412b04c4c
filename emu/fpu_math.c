/* SPDX-License-Identifier: MIT
 *
 * Square root, remainder, scaling and the transcendental instructions.
 */
#include "emu/f80_private.h"
#include "emu/fpu_private.h"

/* Is ST(i) missing?  Then the stack is at fault. */
static bool misses(struct emu_fpu_step *step, unsigned i)
{
    if (!emu_fpu_is_empty(step->fpu, i))
        return false;
    emu_fpu_underflow_stack(step);
    return true;
}

/* F2XM1, FSQRT, FRNDINT: ST(0) = f(ST(0)). */
void emu_fpu_unary(struct emu_fpu_step *step)
{
    struct emu_f80 x = emu_fpu_get(step->fpu, 0), result = emu_f80_indefinite();
    if (!misses(step, 0)) {
        if (step->insn->modrm == 0xf0)
            result = emu_f80_exp2m1(&step->env, x);
        else if (step->insn->modrm == 0xfa)
            result = emu_f80_sqrt(&step->env, x);
        else
            result = emu_f80_round_int(&step->env, x);
    }
    if (emu_fpu_commit(step))
        emu_fpu_set(step->fpu, 0, result);
}

/* FYL2X, FPATAN, FYL2XP1: ST(1) = f(ST(1), ST(0)), pop. */
void emu_fpu_binary_pop(struct emu_fpu_step *step)
{
    struct emu_f80 x = emu_fpu_get(step->fpu, 0), y = emu_fpu_get(step->fpu, 1);
    struct emu_f80 result = emu_f80_indefinite();
    if (!misses(step, 0) && !misses(step, 1)) {
        if (step->insn->modrm == 0xf1)
            result = emu_f80_ylog2x(&step->env, y, x);
        else if (step->insn->modrm == 0xf3)
            result = emu_f80_atan2(&step->env, y, x);
        else
            result = emu_f80_ylog2xp1(&step->env, y, x);
    }
    if (!emu_fpu_commit(step))
        return;
    emu_fpu_set(step->fpu, 1, result);
    emu_fpu_pop(step->fpu);
}

void emu_fpu_scale(struct emu_fpu_step *step)
{
    struct emu_f80 x = emu_fpu_get(step->fpu, 0), y = emu_fpu_get(step->fpu, 1);
    struct emu_f80 result = emu_f80_indefinite();
    if (!misses(step, 0) && !misses(step, 1))
        result = emu_f80_scale(&step->env, x, y);
    if (emu_fpu_commit(step))
        emu_fpu_set(step->fpu, 0, result);
}

static unsigned quotient_conditions(struct emu_f80_quotient quotient)
{
    return (quotient.low & 4 ? EMU_FPU_C0 : 0) | (quotient.low & 2 ? EMU_FPU_C3 : 0) |
           (quotient.low & 1 ? EMU_FPU_C1 : 0) | (quotient.partial ? EMU_FPU_C2 : 0);
}

/* FPREM and FPREM1.  Without a quotient C0 and C3 stay. */
void emu_fpu_remainder(struct emu_fpu_step *step)
{
    struct emu_f80 x = emu_fpu_get(step->fpu, 0), y = emu_fpu_get(step->fpu, 1);
    struct emu_f80 result = emu_f80_indefinite();
    struct emu_f80_quotient quotient = {0, false};
    if (!misses(step, 0) && !misses(step, 1))
        result =
            emu_f80_remainder(&step->env, x, y, step->insn->modrm == 0xf5, &quotient);
    bool numeric = emu_f80_classify(result) != EMU_F80_CLASS_NAN;
    emu_fpu_set_status(step->fpu, EMU_FPU_C2, 0);
    if (!emu_fpu_commit(step))
        return;
    emu_fpu_set(step->fpu, 0, result);
    if (numeric)
        emu_fpu_set_status(step->fpu, EMU_FPU_C0 | EMU_FPU_C1 | EMU_FPU_C2 | EMU_FPU_C3,
                           quotient_conditions(quotient));
}

/* ST(0) = first, then push second; for the three that have two results. */
static void finish_two(struct emu_fpu_step *step, struct emu_f80 first,
                       struct emu_f80 second)
{
    if (!emu_fpu_commit(step))
        return;
    emu_fpu_set(step->fpu, 0, first);
    emu_fpu_set_top(step->fpu, emu_fpu_top(step->fpu) - 1);
    emu_fpu_set(step->fpu, 0, second);
}

/* Can ST(0) be replaced by two results?  Else the stack is at fault. */
static bool has_room(struct emu_fpu_step *step)
{
    if (misses(step, 0))
        return false;
    if (emu_fpu_is_empty(step->fpu, 7))
        return true;
    step->env.raised |= EMU_F80_INVALID | EMU_FPU_STACK_FAULT | EMU_FPU_C1;
    return false;
}

void emu_fpu_extract(struct emu_fpu_step *step)
{
    struct emu_f80 exponent = emu_f80_indefinite(), sig = exponent;
    if (has_room(step))
        sig = emu_f80_extract(&step->env, emu_fpu_get(step->fpu, 0), &exponent);
    finish_two(step, exponent, sig);
}

/* An argument that is too large sets C2 and nothing else happens. */
static bool out_of_range(struct emu_fpu_step *step, struct emu_f80 x)
{
    bool out = emu_f80_trig_out_of_range(x);
    if (out) {
        (void)emu_fpu_commit(step);
        emu_fpu_set_status(step->fpu, EMU_FPU_C2, EMU_FPU_C2);
    }
    return out;
}

/* FSIN and FCOS. */
void emu_fpu_sine(struct emu_fpu_step *step)
{
    struct emu_f80 x = emu_fpu_get(step->fpu, 0), result = emu_f80_indefinite();
    emu_fpu_set_status(step->fpu, EMU_FPU_C2, 0);
    if (!misses(step, 0)) {
        if (out_of_range(step, x))
            return;
        result = step->insn->modrm == 0xfe ? emu_f80_sin(&step->env, x)
                                           : emu_f80_cos(&step->env, x);
    }
    if (emu_fpu_commit(step))
        emu_fpu_set(step->fpu, 0, result);
}

void emu_fpu_sine_cosine(struct emu_fpu_step *step)
{
    struct emu_f80 x = emu_fpu_get(step->fpu, 0);
    struct emu_f80 sine = emu_f80_indefinite(), cosine = sine;
    emu_fpu_set_status(step->fpu, EMU_FPU_C2, 0);
    if (has_room(step)) {
        if (out_of_range(step, x))
            return;
        sine = emu_f80_sin(&step->env, x);
        cosine = emu_f80_cos(&step->env, x);
    }
    finish_two(step, sine, cosine);
}

/* FPTAN pushes 1, or the NaN that is its result. */
void emu_fpu_tangent(struct emu_fpu_step *step)
{
    struct emu_f80 x = emu_fpu_get(step->fpu, 0);
    struct emu_f80 result = emu_f80_indefinite();
    emu_fpu_set_status(step->fpu, EMU_FPU_C2, 0);
    if (has_room(step)) {
        if (out_of_range(step, x))
            return;
        result = emu_f80_tan(&step->env, x);
    }
    bool nan = emu_f80_classify(result) == EMU_F80_CLASS_NAN;
    finish_two(step, result, nan ? result : emu_f80_from_int(1));
}
