/* SPDX-License-Identifier: MIT
 *
 * Dispatch of the x87 instructions, the register stack, exceptions.
 */
#include "emu/fpu.h"
#include "emu/fpu_private.h"

/* By opcode and /reg. */
static const struct emu_fpu_row memory_row[8][8] = {
#define MEM(opcode, reg, name, format, kind, handler)                                  \
    [(opcode)&7][reg] = {emu_fpu_##handler, EMU_FPU_##format, EMU_FPU_##kind},
#define REG(opcode, reg, name, kind, handler)
#define ONE(opcode, modrm, name, kind, handler)
#include "emu/fpu.def"
};

/* By opcode and the low six bits of the ModRM byte. */
static const struct emu_fpu_row register_row[8][64] = {
#define ROW(opcode, modrm, kind, handler)                                              \
    [(opcode)&7][(modrm)&63] = {emu_fpu_##handler, EMU_FPU_NONE, EMU_FPU_##kind},
#define MEM(opcode, reg, name, format, kind, handler)
#define REG(opcode, reg, name, kind, handler)                                          \
    ROW(opcode, 8 * (reg) + 0, kind, handler)                                          \
    ROW(opcode, 8 * (reg) + 1, kind, handler)                                          \
    ROW(opcode, 8 * (reg) + 2, kind, handler)                                          \
    ROW(opcode, 8 * (reg) + 3, kind, handler)                                          \
    ROW(opcode, 8 * (reg) + 4, kind, handler)                                          \
    ROW(opcode, 8 * (reg) + 5, kind, handler)                                          \
    ROW(opcode, 8 * (reg) + 6, kind, handler)                                          \
    ROW(opcode, 8 * (reg) + 7, kind, handler)
#define ONE(opcode, modrm, name, kind, handler) ROW(opcode, modrm, kind, handler)
#include "emu/fpu.def"
#undef ROW
};

static const struct emu_fpu_row *find_row(uint8_t opcode, uint8_t modrm)
{
    return modrm < 0xc0 ? &memory_row[opcode & 7][modrm >> 3 & 7]
                        : &register_row[opcode & 7][modrm & 63];
}

struct emu_fpu_access emu_fpu_access(uint8_t opcode, uint8_t modrm, bool operand16)
{
    static const uint8_t size[] = {
        [EMU_FPU_R_F32] = 4,  [EMU_FPU_R_F64] = 8,  [EMU_FPU_R_F80] = 10,
        [EMU_FPU_R_I16] = 2,  [EMU_FPU_R_I32] = 4,  [EMU_FPU_R_I64] = 8,
        [EMU_FPU_R_D80] = 10, [EMU_FPU_R_ENV] = 28, [EMU_FPU_R_STATE] = 108,
        [EMU_FPU_W_F32] = 4,  [EMU_FPU_W_F64] = 8,  [EMU_FPU_W_F80] = 10,
        [EMU_FPU_W_I16] = 2,  [EMU_FPU_W_I32] = 4,  [EMU_FPU_W_I64] = 8,
        [EMU_FPU_W_D80] = 10, [EMU_FPU_W_ENV] = 28, [EMU_FPU_W_STATE] = 108,
    };
    enum emu_fpu_format format = find_row(opcode, modrm)->format;
    struct emu_fpu_access access = {size[format], false, false};
    if (operand16 && access.size >= 28)
        access.size -= 14;
    access.writes = format >= EMU_FPU_W_F32;
    access.reads = access.size && !access.writes;
    return access;
}

void emu_fpu_init(struct emu_fpu *fpu)
{
    *fpu = (struct emu_fpu){.control = 0x0040, .tags = 0xff};
}

void emu_fpu_pop(struct emu_fpu *fpu)
{
    emu_fpu_set_empty(fpu, 0);
    emu_fpu_set_top(fpu, emu_fpu_top(fpu) + 1);
}

void emu_fpu_underflow_stack(struct emu_fpu_step *step)
{
    step->env.raised |= EMU_F80_INVALID | EMU_FPU_STACK_FAULT;
}

/* Faults: they keep the result from being stored, the others are traps (SDM 1 8.5). */
enum { FAULTS = EMU_F80_INVALID | EMU_F80_DENORMAL | EMU_F80_ZERODIVIDE };

bool emu_fpu_commit(struct emu_fpu_step *step)
{
    unsigned raised = step->env.raised, unmasked = raised & ~(unsigned)step->env.masked;
    bool faults = unmasked & FAULTS;
    if (faults) /* it never came to rounding */
        raised &= FAULTS | EMU_FPU_STACK_FAULT |
                  (raised & EMU_FPU_STACK_FAULT ? EMU_FPU_C1 : 0);
    emu_fpu_set_status(step->fpu, EMU_FPU_C1, raised);
    step->env.raised = 0;
    if (unmasked & EMU_FPU_EXCEPTIONS) {
        step->fpu->status |= EMU_FPU_SUMMARY | EMU_FPU_BUSY;
        step->unmasked = true;
    }
    return !faults;
}

void emu_fpu_update_summary(struct emu_fpu *fpu)
{
    bool waits = fpu->status & ~fpu->control & EMU_FPU_EXCEPTIONS;
    emu_fpu_set_status(fpu, EMU_FPU_SUMMARY | EMU_FPU_BUSY,
                       waits ? EMU_FPU_SUMMARY | EMU_FPU_BUSY : 0);
}

static struct emu_f80_env environment(uint16_t control)
{
    /* Precision control 1 is reserved; hardware computes with all bits. */
    static const uint8_t precision[4] = {24, 64, 53, 64};
    return (struct emu_f80_env){
        .precision = precision[control >> 8 & 3],
        .rounding = control >> 10 & 3,
        .masked = control & EMU_FPU_EXCEPTIONS,
    };
}

static void set_pointers(struct emu_fpu_step *step)
{
    const struct emu_fpu_insn *insn = step->insn;
    step->fpu->ip = insn->ip;
    if (!step->unmasked)
        return;
    step->fpu->opcode = (uint16_t)((insn->opcode & 7) << 8 | insn->modrm);
    if (insn->modrm < 0xc0)
        step->fpu->dp = insn->address;
}

enum emu_fpu_outcome emu_fpu_execute(struct emu_fpu *fpu, struct emu_fpu_insn *insn,
                                     uint8_t *memory)
{
    const struct emu_fpu_row *row = find_row(insn->opcode, insn->modrm);
    insn->ax = 0;
    insn->writes_ax = false;
    insn->stores = false;
    if (!row->handler)
        return EMU_FPU_UNDEFINED;
    if (row->kind != EMU_FPU_nowait && emu_fpu_pending(fpu))
        return EMU_FPU_PENDING;
    struct emu_fpu_step step = {
        .fpu = fpu,
        .insn = insn,
        .memory = memory,
        .format = row->format,
        .env = environment(fpu->control),
    };
    row->handler(&step);
    if (row->kind == EMU_FPU_operate)
        set_pointers(&step);
    return EMU_FPU_DONE;
}
