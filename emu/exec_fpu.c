/* SPDX-License-Identifier: MIT
 *
 * What the processor does around x87 instructions: availability, memory operands, and
 * the two ways to report an exception.
 */
#include "emu/exec.h"

/* An unmasked exception waits (SDM 1 8.7): #MF, or FERR, which raises IRQ 13.  Then the
 * processor freezes before the instruction until an interrupt comes, and tries again
 * behind its handler.  Freezing is a step, as HLT is, so that time goes on. */
static const struct emu_op *report(struct emu_cpu *cpu, const struct emu_op *op)
{
    if (cpu->cr0 & EMU_CR0_NE)
        return emu_raise(cpu, op, EMU_VECTOR_MF, 0);
    emu_sync_clock(cpu, op);
    cpu->bus.fpu_error(cpu->bus.context);
    cpu->halted = true;
    cpu->engine->delivered = true; /* nothing was executed that TF could trap */
    return emu_leave(cpu, op, emu_op_eip(cpu, op));
}

/* Bring the memory operand, and make sure that the result can go back. */
static bool fetch_operand(struct emu_cpu *cpu, const struct emu_op *op,
                          struct emu_fpu_access access, uint32_t *ret_linear,
                          uint8_t *ret_bytes)
{
    unsigned how =
        (access.reads ? EMU_ACCESS_READ : 0u) | (access.writes ? EMU_ACCESS_WRITE : 0u);
    if (!emu_linear(cpu, op->segment, emu_address(cpu, op), access.size, how,
                    ret_linear))
        return false;
    bool user = emu_is_user(cpu);
    if (access.writes && !emu_probe_write(cpu, *ret_linear, access.size, user))
        return false;
    return !access.reads ||
           emu_read_slow(cpu, *ret_linear, ret_bytes, access.size, user);
}

HANDLER(fpu)
{
    if (cpu->cr0 & (EMU_CR0_EM | EMU_CR0_TS))
        return emu_raise(cpu, op, EMU_VECTOR_NM, 0);
    struct emu_fpu_insn insn = {
        .opcode = (uint8_t)op->immediate,
        .modrm = (uint8_t)(op->immediate >> 8),
        .operand16 = op->size == 2,
        .protected_mode = emu_is_protected(cpu),
        .cs = cpu->segment[EMU_CS].selector,
        .ds = cpu->segment[op->segment].selector,
        .ip = emu_op_eip(cpu, op),
        .address = op->flags & EMU_OP_MEMORY ? emu_address(cpu, op) : 0,
        .eflags = emu_flags(cpu),
    };
    struct emu_fpu_access access =
        emu_fpu_access(insn.opcode, insn.modrm, insn.operand16);
    uint8_t bytes[EMU_FPU_OPERAND_SIZE_MAX];
    uint32_t linear = 0, before = insn.eflags;
    if (access.size && !fetch_operand(cpu, op, access, &linear, bytes))
        FAULT;
    enum emu_fpu_outcome outcome =
        emu_fpu_execute(&cpu->fpu, &insn, access.size ? bytes : NULL);
    if (outcome == EMU_FPU_UNDEFINED)
        return emu_raise(cpu, op, EMU_VECTOR_UD, 0);
    if (outcome == EMU_FPU_PENDING)
        return report(cpu, op);
    if (access.writes && insn.stores &&
        !emu_write_slow(cpu, linear, bytes, access.size, emu_is_user(cpu)))
        FAULT;
    if (insn.writes_ax)
        cpu->half[EMU_EAX * 2] = insn.ax;
    if (insn.eflags != before)
        emu_set_arithmetic(cpu, insn.eflags);
    NEXT;
}

HANDLER(wait)
{
    if ((cpu->cr0 & EMU_CR0_MP) && (cpu->cr0 & EMU_CR0_TS))
        return emu_raise(cpu, op, EMU_VECTOR_NM, 0);
    if (emu_fpu_pending(&cpu->fpu))
        return report(cpu, op);
    NEXT;
}
