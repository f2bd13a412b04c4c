/* SPDX-License-Identifier: MIT
 *
 * Flags, ports, control registers, MSRs, CPUID: whatever concerns the processor itself.
 */
#include "emu/exec.h"

#define REQUIRE_CPL0                                                                   \
    do {                                                                               \
        if (cpu->privilege != 0)                                                       \
            return emu_raise(cpu, op, EMU_VECTOR_GP, 0);                               \
    } while (0)
#define REQUIRE_PROTECTED                                                              \
    do {                                                                               \
        if (!(cpu->cr0 & EMU_CR0_PE))                                                  \
            return emu_raise(cpu, op, EMU_VECTOR_GP, 0);                               \
    } while (0)
#define LEAVE return emu_leave(cpu, op, emu_next_eip(cpu, op))

/* ---- flags ---- */

HANDLER(cmc)
{
    emu_set_flags_co(cpu, !emu_flag_c(cpu), emu_flag_o(cpu));
    NEXT;
}

HANDLER(clc)
{
    emu_set_flags_co(cpu, false, emu_flag_o(cpu));
    NEXT;
}

HANDLER(stc)
{
    emu_set_flags_co(cpu, true, emu_flag_o(cpu));
    NEXT;
}

HANDLER(cld)
{
    cpu->eflags &= ~EMU_FLAG_DF;
    NEXT;
}

HANDLER(std)
{
    cpu->eflags |= EMU_FLAG_DF;
    NEXT;
}

/* In v86 mode IOPL alone decides about these (SDM 3A 20.2.7). */
static bool may_change_if(const struct emu_cpu *cpu)
{
    return !(cpu->cr0 & EMU_CR0_PE) || cpu->privilege <= (cpu->eflags >> 12 & 3);
}

static bool v86_without_iopl(const struct emu_cpu *cpu)
{
    return (cpu->eflags & EMU_FLAG_VM) &&
           (cpu->eflags & EMU_FLAG_IOPL) != EMU_FLAG_IOPL;
}

HANDLER(cli)
{
    if (!may_change_if(cpu))
        return emu_raise(cpu, op, EMU_VECTOR_GP, 0);
    cpu->eflags &= ~EMU_FLAG_IF;
    LEAVE;
}

HANDLER(sti)
{
    if (!may_change_if(cpu))
        return emu_raise(cpu, op, EMU_VECTOR_GP, 0);
    if (!(cpu->eflags & EMU_FLAG_IF))
        cpu->shadow = EMU_SHADOW_INTR;
    cpu->eflags |= EMU_FLAG_IF;
    LEAVE;
}

HANDLER(pushf)
{
    uint32_t esp = cpu->reg[EMU_ESP];
    if (v86_without_iopl(cpu))
        return emu_raise(cpu, op, EMU_VECTOR_GP, 0);
    if (!emu_push_at(cpu, &esp, op->size,
                     emu_flags(cpu) & ~(EMU_FLAG_VM | EMU_FLAG_RF)))
        FAULT;
    cpu->reg[EMU_ESP] = esp;
    NEXT;
}

HANDLER(popf)
{
    uint32_t flags, esp = cpu->reg[EMU_ESP];
    if (v86_without_iopl(cpu))
        return emu_raise(cpu, op, EMU_VECTOR_GP, 0);
    if (!emu_pop_at(cpu, &esp, op->size, &flags))
        FAULT;
    uint32_t mask = EMU_FLAGS_ARITH | EMU_FLAG_TF | EMU_FLAG_DF | EMU_FLAG_NT;
    if (op->size == 4)
        mask |= EMU_FLAG_AC | EMU_FLAG_ID;
    if (may_change_if(cpu))
        mask |= EMU_FLAG_IF;
    if (cpu->privilege == 0)
        mask |= EMU_FLAG_IOPL;
    cpu->reg[EMU_ESP] = esp;
    emu_set_flags(cpu, flags, mask);
    LEAVE;
}

HANDLER(hlt)
{
    REQUIRE_CPL0;
    cpu->halted = true;
    LEAVE;
}

HANDLER(cache)
{
    REQUIRE_CPL0;
    NEXT;
}

/* ---- ports ---- */

static uint16_t port_of(const struct emu_cpu *cpu, const struct emu_op *op)
{
    return op->flags & EMU_OP_IMPLICIT ? cpu->half[EMU_EDX * 2]
                                       : (uint16_t)op->immediate;
}

HANDLER(in)
{
    uint16_t port = port_of(cpu, op);
    if (!emu_check_io(cpu, port, op->size))
        FAULT;
    emu_sync_clock(cpu, op);
    uint32_t value = cpu->bus.port_read(cpu->bus.context, port, op->size);
    emu_put_register(cpu, EMU_EAX, op->size, value);
    LEAVE;
}

HANDLER(out)
{
    uint16_t port = port_of(cpu, op);
    if (!emu_check_io(cpu, port, op->size))
        FAULT;
    emu_sync_clock(cpu, op);
    cpu->bus.port_write(cpu->bus.context, port,
                        emu_get_register(cpu, EMU_EAX, op->size), op->size);
    LEAVE;
}

/* ---- control and debug registers ---- */

static const struct emu_op *load_cr0(struct emu_cpu *cpu, const struct emu_op *op,
                                     uint32_t value)
{
    const uint32_t nw = 0x20000000, cd = 0x40000000;
    value = (value & 0xe005003f) | EMU_CR0_ET;
    if (((value & EMU_CR0_PG) && !(value & EMU_CR0_PE)) ||
        ((value & nw) && !(value & cd)))
        return emu_raise(cpu, op, EMU_VECTOR_GP, 0);
    uint32_t changed = value ^ cpu->cr0;
    cpu->cr0 = value;
    if (changed & (EMU_CR0_PE | EMU_CR0_PG | EMU_CR0_WP))
        emu_tlb_flush(cpu, true);
    emu_mode_changed(cpu);
    LEAVE;
}

static const struct emu_op *load_cr4(struct emu_cpu *cpu, const struct emu_op *op,
                                     uint32_t value)
{
    uint32_t features = cpu->config.features;
    uint32_t offered = (features & EMU_FEATURE_TSC ? EMU_CR4_TSD : 0) |
                       (features & EMU_FEATURE_PSE ? EMU_CR4_PSE : 0) |
                       (features & EMU_FEATURE_PGE ? EMU_CR4_PGE : 0);
    if (value & ~offered)
        return emu_raise(cpu, op, EMU_VECTOR_GP, 0);
    uint32_t changed = value ^ cpu->cr4;
    cpu->cr4 = value;
    if (changed & (EMU_CR4_PSE | EMU_CR4_PGE))
        emu_tlb_flush(cpu, true);
    LEAVE;
}

HANDLER(mov_to_cr)
{
    REQUIRE_CPL0;
    uint32_t value = cpu->reg[op->s];
    switch (op->d) {
    case 0:
        return load_cr0(cpu, op, value);
    case 2:
        cpu->cr2 = value;
        break;
    case 3:
        cpu->cr3 = value;
        emu_tlb_flush(cpu, false);
        break;
    default:
        return load_cr4(cpu, op, value);
    }
    LEAVE;
}

HANDLER(mov_from_cr)
{
    REQUIRE_CPL0;
    cpu->reg[op->d] = op->s == 0   ? cpu->cr0
                      : op->s == 2 ? cpu->cr2
                      : op->s == 3 ? cpu->cr3
                                   : cpu->cr4;
    NEXT;
}

HANDLER(clts)
{
    REQUIRE_CPL0;
    cpu->cr0 &= ~EMU_CR0_TS;
    LEAVE;
}

HANDLER(smsw)
{
    unsigned size = op->flags & EMU_OP_MEMORY ? 2 : op->size;
    if (!emu_write_operand(cpu, op, op->d, size, cpu->cr0))
        FAULT;
    NEXT;
}

/* LMSW sets PE but never clears it. */
HANDLER(lmsw)
{
    uint32_t value;
    REQUIRE_CPL0;
    if (!emu_read_operand(cpu, op, op->d, 2, &value))
        FAULT;
    return load_cr0(cpu, op, (cpu->cr0 & ~0xeu) | (value & 0xf));
}

HANDLER(invlpg)
{
    REQUIRE_CPL0;
    emu_tlb_drop(cpu, cpu->segment[op->segment].base + emu_address(cpu, op));
    LEAVE;
}

#define DR6_BD 0x2000u
#define DR7_GD 0x2000u

/* 4 and 5 are other names of 6 and 7 without CR4.DE. */
static unsigned debug_register(unsigned number)
{
    return number == 4 || number == 5 ? number + 2 : number;
}

static bool debug_is_guarded(struct emu_cpu *cpu)
{
    if (!(cpu->dr[7] & DR7_GD))
        return false;
    cpu->dr[7] &= ~DR7_GD;
    cpu->dr[6] |= DR6_BD;
    return true;
}

HANDLER(mov_from_dr)
{
    REQUIRE_CPL0;
    if (debug_is_guarded(cpu))
        return emu_raise(cpu, op, EMU_VECTOR_DB, 0);
    cpu->reg[op->d] = cpu->dr[debug_register(op->s)];
    LEAVE;
}

HANDLER(mov_to_dr)
{
    REQUIRE_CPL0;
    if (debug_is_guarded(cpu))
        return emu_raise(cpu, op, EMU_VECTOR_DB, 0);
    unsigned number = debug_register(op->d);
    uint32_t value = cpu->reg[op->s];
    if (number == 6)
        value = (value & 0xe00f) | 0xffff0ff0;
    else if (number == 7)
        value = (value & 0xffff23ff) | 0x400;
    cpu->dr[number] = value;
    LEAVE;
}

/* ---- descriptor table registers ---- */

static const struct emu_op *store_table(struct emu_cpu *cpu, const struct emu_op *op,
                                        const struct emu_table *table)
{
    uint8_t bytes[6];
    uint32_t linear;
    emu_put(bytes, 2, table->limit);
    emu_put(bytes + 2, 4, table->base);
    if (!emu_linear(cpu, op->segment, emu_address(cpu, op), 6, EMU_ACCESS_WRITE,
                    &linear) ||
        !emu_write_slow(cpu, linear, bytes, 6, emu_is_user(cpu)))
        FAULT;
    NEXT;
}

HANDLER(sgdt)
{
    return store_table(cpu, op, &cpu->gdtr);
}

HANDLER(sidt)
{
    return store_table(cpu, op, &cpu->idtr);
}

static const struct emu_op *load_table(struct emu_cpu *cpu, const struct emu_op *op,
                                       struct emu_table *table)
{
    uint8_t bytes[6];
    uint32_t linear;
    REQUIRE_CPL0;
    if (!emu_linear(cpu, op->segment, emu_address(cpu, op), 6, EMU_ACCESS_READ,
                    &linear) ||
        !emu_read_slow(cpu, linear, bytes, 6, false))
        FAULT;
    table->limit = (uint16_t)emu_get(bytes, 2);
    table->base = emu_get(bytes + 2, op->size == 4 ? 4 : 3);
    LEAVE;
}

HANDLER(lgdt)
{
    return load_table(cpu, op, &cpu->gdtr);
}

HANDLER(lidt)
{
    return load_table(cpu, op, &cpu->idtr);
}

/* ---- identification, time, MSRs (machine.md 2.3) ---- */

HANDLER(cpuid)
{
    uint32_t a = 0, b = 0, c = 0, d = 0;
    switch (cpu->reg[EMU_EAX]) {
    case 0: /* "LockstepI386" */
        a = 1;
        b = 0x6b636f4c;
        c = 0x36383349;
        d = 0x70657473;
        break;
    case 1:
        a = 0x633;
        d = cpu->config.features;
        break;
    default:
        break;
    }
    cpu->reg[EMU_EAX] = a;
    cpu->reg[EMU_EBX] = b;
    cpu->reg[EMU_ECX] = c;
    cpu->reg[EMU_EDX] = d;
    NEXT;
}

static void put_edx_eax(struct emu_cpu *cpu, uint64_t value)
{
    cpu->reg[EMU_EAX] = (uint32_t)value;
    cpu->reg[EMU_EDX] = (uint32_t)(value >> 32);
}

HANDLER(rdtsc)
{
    if ((cpu->cr4 & EMU_CR4_TSD) && cpu->privilege != 0)
        return emu_raise(cpu, op, EMU_VECTOR_GP, 0);
    emu_sync_clock(cpu, op);
    put_edx_eax(cpu, emu_cpu_vns(cpu) + cpu->tsc_offset);
    LEAVE;
}

enum { MSR_TSC = 0x10, MSR_SYSENTER_CS = 0x174, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP };

HANDLER(rdmsr)
{
    REQUIRE_CPL0;
    emu_sync_clock(cpu, op);
    switch (cpu->reg[EMU_ECX]) {
    case MSR_TSC:
        put_edx_eax(cpu, emu_cpu_vns(cpu) + cpu->tsc_offset);
        break;
    case MSR_SYSENTER_CS:
        put_edx_eax(cpu, cpu->sysenter_cs);
        break;
    case MSR_SYSENTER_ESP:
        put_edx_eax(cpu, cpu->sysenter_esp);
        break;
    case MSR_SYSENTER_EIP:
        put_edx_eax(cpu, cpu->sysenter_eip);
        break;
    default:
        return emu_raise(cpu, op, EMU_VECTOR_GP, 0);
    }
    LEAVE;
}

HANDLER(wrmsr)
{
    REQUIRE_CPL0;
    emu_sync_clock(cpu, op);
    uint32_t low = cpu->reg[EMU_EAX];
    switch (cpu->reg[EMU_ECX]) {
    case MSR_TSC:
        cpu->tsc_offset = ((uint64_t)cpu->reg[EMU_EDX] << 32 | low) - emu_cpu_vns(cpu);
        break;
    case MSR_SYSENTER_CS:
        cpu->sysenter_cs = low;
        break;
    case MSR_SYSENTER_ESP:
        cpu->sysenter_esp = low;
        break;
    case MSR_SYSENTER_EIP:
        cpu->sysenter_eip = low;
        break;
    default:
        return emu_raise(cpu, op, EMU_VECTOR_GP, 0);
    }
    LEAVE;
}

/* ---- fast system calls ---- */

/* Flat segments of a privilege; nothing is read from the tables. */
static void enter_flat(struct emu_cpu *cpu, uint16_t code, unsigned privilege)
{
    uint16_t dpl = (uint16_t)(privilege << 5);
    emu_cpu_set_segment(cpu, EMU_CS, (uint16_t)((code & ~3u) | privilege), 0,
                        UINT32_MAX, 0xc09b | dpl);
    emu_cpu_set_segment(cpu, EMU_SS, (uint16_t)(((code & ~3u) + 8) | privilege), 0,
                        UINT32_MAX, 0xc093 | dpl);
}

HANDLER(sysenter)
{
    REQUIRE_PROTECTED;
    if (!(cpu->sysenter_cs & 0xfffc))
        return emu_raise(cpu, op, EMU_VECTOR_GP, 0);
    emu_set_flags(cpu, 0, EMU_FLAG_VM | EMU_FLAG_IF | EMU_FLAG_RF);
    enter_flat(cpu, (uint16_t)cpu->sysenter_cs, 0);
    cpu->reg[EMU_ESP] = cpu->sysenter_esp;
    return emu_leave(cpu, op, cpu->sysenter_eip);
}

HANDLER(sysexit)
{
    REQUIRE_PROTECTED;
    REQUIRE_CPL0;
    if (!(cpu->sysenter_cs & 0xfffc))
        return emu_raise(cpu, op, EMU_VECTOR_GP, 0);
    enter_flat(cpu, (uint16_t)(cpu->sysenter_cs + 16), 3);
    cpu->reg[EMU_ESP] = cpu->reg[EMU_ECX];
    return emu_leave(cpu, op, cpu->reg[EMU_EDX]);
}
