/* SPDX-License-Identifier: MIT
 *
 * Task state segments and task switches (SDM 3A chapter 7).
 *
 * All of both TSS is read or probed before anything changes.  Faults of the segment
 * loads behind that point belong to the new task.
 */
#include "emu/engine.h"

enum { TSS_SIZE_32 = 104, TSS_SIZE_16 = 44, TSS_BUSY = 2 };

/* Where the fields are. */
enum {
    TSS32_CR3 = 0x1c,
    TSS32_EIP = 0x20,
    TSS32_FLAGS = 0x24,
    TSS32_REGISTERS = 0x28,
    TSS32_SEGMENTS = 0x48,
    TSS32_LDT = 0x60,
    TSS16_IP = 0x0e,
    TSS16_FLAGS = 0x10,
    TSS16_REGISTERS = 0x12,
    TSS16_SEGMENTS = 0x22,
    TSS16_LDT = 0x2a,
};

/* The contents of a TSS in either format. */
struct task {
    uint32_t cr3, eip, flags, reg[8];
    uint16_t segment[6], ldt;
};

static bool is_wide(const struct emu_segment *tr)
{
    return tr->attributes & 8;
}

bool emu_task_stack(struct emu_cpu *cpu, unsigned privilege, uint16_t *ret_ss,
                    uint32_t *ret_esp)
{
    const struct emu_segment *tr = &cpu->segment[EMU_TR];
    unsigned size = is_wide(tr) ? 4 : 2;
    uint32_t at = is_wide(tr) ? 4 + 8 * privilege : 2 + 4 * privilege;
    *ret_esp = 0;
    if (at + size + 1 > tr->limit)
        return emu_fault(cpu, EMU_VECTOR_TS, tr->selector & 0xfffcu);
    return emu_read_system(cpu, tr->base + at, ret_esp, size) &&
           emu_read_system(cpu, tr->base + at + size, ret_ss, 2);
}

static void parse_task(const uint8_t *tss, bool wide, struct task *t)
{
    unsigned size = wide ? 4 : 2;
    t->cr3 = wide ? emu_get(tss + TSS32_CR3, 4) : 0;
    t->eip = emu_get(tss + (wide ? TSS32_EIP : TSS16_IP), size);
    t->flags = emu_get(tss + (wide ? TSS32_FLAGS : TSS16_FLAGS), size);
    for (unsigned i = 0; i < 8; i++)
        t->reg[i] =
            emu_get(tss + (wide ? TSS32_REGISTERS : TSS16_REGISTERS) + i * size, size);
    for (unsigned i = 0; i < (wide ? 6 : 4); i++)
        t->segment[i] = (uint16_t)emu_get(
            tss + (wide ? TSS32_SEGMENTS : TSS16_SEGMENTS) + i * size, 2);
    t->ldt = (uint16_t)emu_get(tss + (wide ? TSS32_LDT : TSS16_LDT), 2);
}

/* Save the running task into its TSS, whose bytes are probed. */
static bool save_task(struct emu_cpu *cpu, uint32_t flags)
{
    const struct emu_segment *tr = &cpu->segment[EMU_TR];
    bool wide = is_wide(tr);
    unsigned size = wide ? 4 : 2, n = 0;
    uint8_t bytes[16 * 4];
    memset(bytes, 0, sizeof bytes);
    emu_put(bytes + size * n++, size, cpu->eip);
    emu_put(bytes + size * n++, size, flags);
    for (unsigned i = 0; i < 8; i++)
        emu_put(bytes + size * n++, size, cpu->reg[i]);
    for (unsigned i = 0; i < (wide ? 6u : 4u); i++)
        emu_put(bytes + size * n++, size, cpu->segment[i].selector);
    return emu_write_system(cpu, tr->base + (wide ? TSS32_EIP : TSS16_IP), bytes,
                            size * n);
}

static bool set_busy(struct emu_cpu *cpu, uint32_t address, bool busy)
{
    uint8_t type;
    if (!emu_read_system(cpu, address + 5, &type, 1))
        return false;
    type = (uint8_t)(busy ? type | TSS_BUSY : type & ~TSS_BUSY);
    return emu_write_system(cpu, address + 5, &type, 1);
}

static uint32_t current_descriptor(const struct emu_cpu *cpu)
{
    return cpu->gdtr.base + (cpu->segment[EMU_TR].selector & 0xfff8u);
}

/* Everything that the switch will touch, before it changes anything. */
static bool probe(struct emu_cpu *cpu, const struct emu_descriptor *tss,
                  const struct emu_segment *new_tr, uint8_t *ret_bytes)
{
    const struct emu_segment *tr = &cpu->segment[EMU_TR];
    unsigned size = is_wide(new_tr) ? TSS_SIZE_32 : TSS_SIZE_16;
    if (new_tr->limit < size - 1)
        return emu_fault(cpu, EMU_VECTOR_TS, tss->selector & 0xfffcu);
    return emu_read_system(cpu, new_tr->base, ret_bytes, size) &&
           emu_probe_write(cpu, new_tr->base, 2, false) &&
           emu_probe_write(cpu, tr->base, is_wide(tr) ? TSS_SIZE_32 : TSS_SIZE_16,
                           false) &&
           emu_probe_write(cpu, tss->address + 5, 1, false) &&
           emu_probe_write(cpu, current_descriptor(cpu) + 5, 1, false);
}

static bool load_ldt(struct emu_cpu *cpu, uint16_t selector)
{
    struct emu_segment ldt = {.selector = selector};
    emu_install_segment(cpu, EMU_LDTR, &ldt);
    uint32_t error = selector & 0xfffcu;
    if (!error)
        return true;
    struct emu_descriptor d;
    if (selector & 4)
        return emu_fault(cpu, EMU_VECTOR_TS, error);
    if (!emu_read_descriptor(cpu, selector, EMU_VECTOR_TS, &d, NULL))
        return false;
    if (emu_descriptor_type(&d) != 2 || !emu_descriptor_present(&d))
        return emu_fault(cpu, EMU_VECTOR_TS, error);
    ldt = emu_segment_of(&d, selector);
    emu_install_segment(cpu, EMU_LDTR, &ldt);
    return true;
}

static bool load_code(struct emu_cpu *cpu, uint16_t selector)
{
    struct emu_descriptor d;
    uint32_t error = selector & 0xfffcu;
    if (!error)
        return emu_fault(cpu, EMU_VECTOR_TS, 0);
    if (!emu_read_descriptor(cpu, selector, EMU_VECTOR_TS, &d, NULL))
        return false;
    unsigned dpl = emu_descriptor_dpl(&d), rpl = selector & 3;
    bool conforming = emu_descriptor_type(&d) & EMU_ATTRIBUTE_CONFORMING;
    if (!emu_descriptor_is_code(&d) || (conforming ? dpl > rpl : dpl != rpl))
        return emu_fault(cpu, EMU_VECTOR_TS, error);
    if (!emu_descriptor_present(&d))
        return emu_fault(cpu, EMU_VECTOR_NP, error);
    if (!emu_mark_accessed(cpu, &d))
        return false;
    struct emu_segment cs = emu_segment_of(&d, selector);
    emu_install_segment(cpu, EMU_CS, &cs);
    return true;
}

static bool load_stack(struct emu_cpu *cpu, uint16_t selector)
{
    struct emu_descriptor d;
    unsigned privilege = cpu->segment[EMU_CS].selector & 3;
    if (!emu_check_stack_segment(cpu, selector, privilege, EMU_VECTOR_TS, &d) ||
        !emu_mark_accessed(cpu, &d))
        return false;
    struct emu_segment ss = emu_segment_of(&d, selector);
    emu_install_segment(cpu, EMU_SS, &ss);
    return true;
}

/* The segments of the new task, with selectors in place already. */
static bool load_segments(struct emu_cpu *cpu, const struct task *t)
{
    static const uint8_t data[] = {EMU_ES, EMU_DS, EMU_FS, EMU_GS};
    if (cpu->eflags & EMU_FLAG_VM) {
        for (unsigned i = 0; i < 6; i++) {
            struct emu_segment s = emu_real_segment(cpu, i, t->segment[i]);
            emu_install_segment(cpu, i, &s);
        }
        return load_ldt(cpu, t->ldt);
    }
    if (!load_ldt(cpu, t->ldt) || !load_code(cpu, t->segment[EMU_CS]) ||
        !load_stack(cpu, t->segment[EMU_SS]))
        return false;
    for (unsigned i = 0; i < countof(data); i++)
        if (!emu_load_segment(cpu, data[i], t->segment[data[i]])) {
            if (cpu->engine->fault.vector == EMU_VECTOR_GP)
                cpu->engine->fault.vector = EMU_VECTOR_TS;
            return false;
        }
    return emu_check_offset(cpu, &cpu->segment[EMU_CS], cpu->eip);
}

/* Registers, flags and CR3 of the new task. */
static void load_registers(struct emu_cpu *cpu, const struct task *t, bool wide,
                           bool nested)
{
    cpu->cr0 |= EMU_CR0_TS;
    if (wide && (cpu->cr0 & EMU_CR0_PG)) {
        cpu->cr3 = t->cr3;
        emu_tlb_flush(cpu, false);
    }
    for (unsigned i = 0; i < 8; i++)
        cpu->reg[i] = wide ? t->reg[i] : t->reg[i] | 0xffff0000;
    cpu->eip = t->eip;
    uint32_t flags = (t->flags | (nested ? EMU_FLAG_NT : 0)) & 0x0037ffd7;
    emu_set_flags(cpu, flags, 0x0037ffff);
    for (unsigned i = 0; i < 6; i++)
        emu_install_segment(
            cpu, i,
            &(struct emu_segment){.selector = t->segment[i],
                                  .attributes = i == EMU_SS ? 0x60 : 0});
    /* Until SS is loaded the privilege is that of the new CS. */
    cpu->segment[EMU_SS].attributes = (uint16_t)((t->segment[EMU_CS] & 3u) << 5);
    emu_mode_changed(cpu);
}

bool emu_task_switch(struct emu_cpu *cpu, const struct emu_descriptor *tss,
                     enum emu_task_cause cause)
{
    struct emu_segment new_tr = emu_segment_of(tss, tss->selector);
    uint16_t old = cpu->segment[EMU_TR].selector;
    uint32_t old_descriptor = current_descriptor(cpu), flags = emu_flags(cpu);
    uint8_t bytes[TSS_SIZE_32] = {0};
    struct task task = {0};
    bool wide = is_wide(&new_tr);
    if (!probe(cpu, tss, &new_tr, bytes))
        return false;
    parse_task(bytes, wide, &task);
    if (cause == EMU_TASK_RETURN)
        flags &= ~EMU_FLAG_NT;
    /* Probed: these fail only if a TSS lies over the page tables. */
    bool ok = save_task(cpu, flags);
    if (cause != EMU_TASK_CALL)
        ok = ok && set_busy(cpu, old_descriptor, false);
    if (cause == EMU_TASK_CALL)
        ok = ok && emu_write_system(cpu, new_tr.base, &old, 2);
    if (cause != EMU_TASK_RETURN)
        ok = ok && set_busy(cpu, tss->address, true);
    if (!ok)
        return false;
    new_tr.attributes |= TSS_BUSY;
    emu_install_segment(cpu, EMU_TR, &new_tr);
    load_registers(cpu, &task, wide, cause == EMU_TASK_CALL);
    cpu->engine->keep_eip = true;
    return load_segments(cpu, &task);
}
