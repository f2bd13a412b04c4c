/* SPDX-License-Identifier: MIT
 *
 * emu/fpu_private.h - an x87 instruction under way, and what its handlers share.
 */
#ifndef EMU_FPU_PRIVATE_H
#define EMU_FPU_PRIVATE_H

#include "emu/fpu.h"

/* Bits of the status word beyond those of emu/f80.h. */
enum {
    EMU_FPU_STACK_FAULT = 0x0040,
    EMU_FPU_SUMMARY = 0x0080, /* ES */
    EMU_FPU_C0 = 0x0100,
    EMU_FPU_C1 = 0x0200,
    EMU_FPU_C2 = 0x0400,
    EMU_FPU_TOP_SHIFT = 11,
    EMU_FPU_TOP = 0x3800,
    EMU_FPU_C3 = 0x4000,
    EMU_FPU_BUSY = 0x8000,
    EMU_FPU_EXCEPTIONS = 0x3f,
};

enum emu_fpu_format {
    EMU_FPU_NONE,
    EMU_FPU_R_F32,
    EMU_FPU_R_F64,
    EMU_FPU_R_F80,
    EMU_FPU_R_I16,
    EMU_FPU_R_I32,
    EMU_FPU_R_I64,
    EMU_FPU_R_D80,
    EMU_FPU_R_ENV,
    EMU_FPU_R_STATE,
    EMU_FPU_W_F32,
    EMU_FPU_W_F64,
    EMU_FPU_W_F80,
    EMU_FPU_W_I16,
    EMU_FPU_W_I32,
    EMU_FPU_W_I64,
    EMU_FPU_W_D80,
    EMU_FPU_W_ENV,
    EMU_FPU_W_STATE,
};

enum emu_fpu_kind {
    EMU_FPU_nowait,
    EMU_FPU_wait,
    EMU_FPU_operate,
};

struct emu_fpu_step {
    struct emu_fpu *fpu;
    struct emu_fpu_insn *insn;
    uint8_t *memory;
    enum emu_fpu_format format;
    struct emu_f80_env env;
    bool unmasked; /* an unmasked exception was raised */
};

struct emu_fpu_row {
    void (*handler)(struct emu_fpu_step *step);
    enum emu_fpu_format format;
    enum emu_fpu_kind kind;
};

#define MEM(opcode, reg, name, format, kind, handler)                                  \
    void emu_fpu_##handler(struct emu_fpu_step *step);
#define REG(opcode, reg, name, kind, handler)                                          \
    void emu_fpu_##handler(struct emu_fpu_step *step);
#define ONE(opcode, modrm, name, kind, handler)                                        \
    void emu_fpu_##handler(struct emu_fpu_step *step);
#include "emu/fpu.def"

static inline unsigned emu_fpu_top(const struct emu_fpu *fpu)
{
    return fpu->status >> EMU_FPU_TOP_SHIFT & 7;
}

/* Replace the bits `mask` of the status word. */
static inline void emu_fpu_set_status(struct emu_fpu *fpu, unsigned mask, unsigned bits)
{
    fpu->status = (uint16_t)((fpu->status & ~mask) | bits);
}

static inline void emu_fpu_set_top(struct emu_fpu *fpu, unsigned top)
{
    emu_fpu_set_status(fpu, EMU_FPU_TOP, (top & 7) << EMU_FPU_TOP_SHIFT);
}

/* The physical register of ST(i). */
static inline unsigned emu_fpu_index(const struct emu_fpu *fpu, unsigned i)
{
    return (emu_fpu_top(fpu) + i) & 7;
}

static inline bool emu_fpu_is_empty(const struct emu_fpu *fpu, unsigned i)
{
    return !(fpu->tags >> emu_fpu_index(fpu, i) & 1);
}

static inline struct emu_f80 emu_fpu_get(const struct emu_fpu *fpu, unsigned i)
{
    return fpu->st[emu_fpu_index(fpu, i)];
}

static inline void emu_fpu_set(struct emu_fpu *fpu, unsigned i, struct emu_f80 value)
{
    unsigned index = emu_fpu_index(fpu, i);
    fpu->st[index] = value;
    fpu->tags |= (uint8_t)(1u << index);
}

static inline void emu_fpu_set_empty(struct emu_fpu *fpu, unsigned i)
{
    fpu->tags &= (uint8_t) ~(1u << emu_fpu_index(fpu, i));
}

/* Bits 3-5 of the ModRM byte, and the register operand. */
static inline unsigned emu_fpu_reg(const struct emu_fpu_step *step)
{
    return step->insn->modrm >> 3 & 7;
}

static inline unsigned emu_fpu_rm(const struct emu_fpu_step *step)
{
    return step->insn->modrm & 7;
}

/* Mark ST(0) empty and move TOP. */
void emu_fpu_pop(struct emu_fpu *fpu);

/* An operand is missing: raise invalid and stack fault. */
void emu_fpu_underflow_stack(struct emu_fpu_step *step);

/* Enter what was raised, and C1, into the status word.  May the result be stored? */
bool emu_fpu_commit(struct emu_fpu_step *step);

/* Set ES and B by the exceptions and their masks. */
void emu_fpu_update_summary(struct emu_fpu *fpu);

/* Little-endian bytes. */
uint64_t emu_fpu_get_bytes(const uint8_t *bytes, unsigned size);
void emu_fpu_put_bytes(uint8_t *bytes, unsigned size, uint64_t value);
struct emu_f80 emu_fpu_get_f80(const uint8_t *bytes);
void emu_fpu_put_f80(uint8_t *bytes, struct emu_f80 value);

#endif
