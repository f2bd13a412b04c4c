/* SPDX-License-Identifier: MIT
 *
 * Far jumps, calls and returns, IRET, call gates (SDM 3A chapter 5, volume 2).
 */
#include "emu/engine.h"

enum { TSS16 = 1, GATE_CALL16 = 4, GATE_TASK = 5, TSS32 = 9, GATE_CALL32 = 12 };

bool emu_check_offset(struct emu_cpu *cpu, const struct emu_segment *cs,
                      uint32_t offset)
{
    return offset <= cs->limit || emu_fault(cpu, EMU_VECTOR_GP, 0);
}

static bool real_transfer(struct emu_cpu *cpu, uint16_t selector, uint32_t offset)
{
    struct emu_segment cs = emu_real_segment(cpu, EMU_CS, selector);
    if (!emu_check_offset(cpu, &cs, offset))
        return false;
    emu_install_segment(cpu, EMU_CS, &cs);
    cpu->eip = offset;
    return true;
}

static void enter_code(struct emu_cpu *cpu, struct emu_segment *cs, unsigned privilege,
                       uint32_t offset)
{
    cs->selector = (uint16_t)((cs->selector & ~3u) | privilege);
    emu_install_segment(cpu, EMU_CS, cs);
    cpu->eip = offset;
}

/* A code segment that a jump or call without a gate may enter. */
static bool check_direct(struct emu_cpu *cpu, const struct emu_descriptor *d)
{
    unsigned dpl = emu_descriptor_dpl(d), rpl = d->selector & 3;
    uint32_t error = d->selector & 0xfffcu;
    bool conforming = emu_descriptor_type(d) & EMU_ATTRIBUTE_CONFORMING;
    bool ok = conforming ? dpl <= cpu->privilege
                         : dpl == cpu->privilege && rpl <= cpu->privilege;
    if (!ok)
        return emu_fault(cpu, EMU_VECTOR_GP, error);
    return emu_descriptor_present(d) || emu_fault(cpu, EMU_VECTOR_NP, error);
}

/* A task state segment or gate: its own privilege and presence. */
static bool check_system(struct emu_cpu *cpu, const struct emu_descriptor *d)
{
    unsigned dpl = emu_descriptor_dpl(d), rpl = d->selector & 3;
    uint32_t error = d->selector & 0xfffcu;
    if (dpl < cpu->privilege || dpl < rpl)
        return emu_fault(cpu, EMU_VECTOR_GP, error);
    return emu_descriptor_present(d) || emu_fault(cpu, EMU_VECTOR_NP, error);
}

static bool far_to_task(struct emu_cpu *cpu, const struct emu_descriptor *d,
                        enum emu_task_cause cause, uint32_t next_eip)
{
    struct emu_descriptor tss = *d;
    if (emu_descriptor_type(d) == GATE_TASK) {
        uint16_t selector = (uint16_t)(d->low >> 16);
        uint32_t error = selector & 0xfffcu;
        if ((selector & 4) || !error)
            return emu_fault(cpu, EMU_VECTOR_GP, error);
        if (!emu_read_descriptor(cpu, selector, EMU_VECTOR_GP, &tss, NULL))
            return false;
        if (emu_descriptor_type(&tss) != TSS16 && emu_descriptor_type(&tss) != TSS32)
            return emu_fault(cpu, EMU_VECTOR_GP, error);
        if (!emu_descriptor_present(&tss))
            return emu_fault(cpu, EMU_VECTOR_NP, error);
    } else if (tss.selector & 4) {
        return emu_fault(cpu, EMU_VECTOR_GP, tss.selector & 0xfffcu); /* only the GDT */
    }
    cpu->eip = next_eip;
    return emu_task_switch(cpu, &tss, cause);
}

struct call_gate {
    uint32_t offset;
    unsigned size, parameters;
    struct emu_descriptor code;
};

static bool read_call_gate(struct emu_cpu *cpu, const struct emu_descriptor *d,
                           struct call_gate *ret_gate)
{
    bool wide = emu_descriptor_type(d) == GATE_CALL32;
    uint16_t selector = (uint16_t)(d->low >> 16);
    uint32_t error = selector & 0xfffcu;
    ret_gate->size = wide ? 4 : 2;
    ret_gate->parameters = d->high & 31;
    ret_gate->offset = (d->low & 0xffff) | (wide ? d->high & 0xffff0000 : 0);
    if (!error)
        return emu_fault(cpu, EMU_VECTOR_GP, 0);
    if (!emu_read_descriptor(cpu, selector, EMU_VECTOR_GP, &ret_gate->code, NULL))
        return false;
    if (!emu_descriptor_is_code(&ret_gate->code) ||
        emu_descriptor_dpl(&ret_gate->code) > cpu->privilege)
        return emu_fault(cpu, EMU_VECTOR_GP, error);
    return emu_descriptor_present(&ret_gate->code) ||
           emu_fault(cpu, EMU_VECTOR_NP, error);
}

static bool gate_is_inner(const struct emu_cpu *cpu, const struct call_gate *gate)
{
    return !(emu_descriptor_type(&gate->code) & EMU_ATTRIBUTE_CONFORMING) &&
           emu_descriptor_dpl(&gate->code) < cpu->privilege;
}

bool emu_far_jump(struct emu_cpu *cpu, uint16_t selector, uint32_t offset,
                  uint32_t next_eip)
{
    if (!emu_is_protected(cpu))
        return real_transfer(cpu, selector, offset);
    struct emu_descriptor d;
    uint32_t error = selector & 0xfffcu;
    if (!error)
        return emu_fault(cpu, EMU_VECTOR_GP, 0);
    if (!emu_read_descriptor(cpu, selector, EMU_VECTOR_GP, &d, NULL))
        return false;
    unsigned type = emu_descriptor_type(&d);
    if (emu_descriptor_is_code(&d)) {
        if (!check_direct(cpu, &d))
            return false;
    } else if (type == TSS16 || type == TSS32 || type == GATE_TASK) {
        return check_system(cpu, &d) && far_to_task(cpu, &d, EMU_TASK_JUMP, next_eip);
    } else if (type == GATE_CALL16 || type == GATE_CALL32) {
        struct call_gate gate;
        if (!check_system(cpu, &d) || !read_call_gate(cpu, &d, &gate))
            return false;
        if (gate_is_inner(cpu, &gate))
            return emu_fault(cpu, EMU_VECTOR_GP, gate.code.selector & 0xfffcu);
        d = gate.code;
        offset = gate.offset;
    } else {
        return emu_fault(cpu, EMU_VECTOR_GP, error);
    }
    struct emu_segment cs = emu_segment_of(&d, d.selector);
    if (!emu_check_offset(cpu, &cs, offset) || !emu_mark_accessed(cpu, &d))
        return false;
    cs.attributes |= EMU_ATTRIBUTE_ACCESSED;
    enter_code(cpu, &cs, cpu->privilege, offset);
    return true;
}

/* Push CS and EIP on the current stack and go.  The limit of the target is looked at
 * last (measured). */
static bool call_same(struct emu_cpu *cpu, struct emu_descriptor *d, uint32_t offset,
                      unsigned size, uint32_t next_eip)
{
    struct emu_segment cs = emu_segment_of(d, d->selector);
    uint32_t values[] = {cpu->segment[EMU_CS].selector, next_eip};
    uint32_t esp = cpu->reg[EMU_ESP];
    if (!emu_check_frame(cpu, &cpu->segment[EMU_SS], emu_is_user(cpu), esp, size, 2,
                         0) ||
        !emu_check_offset(cpu, &cs, offset) || !emu_mark_accessed(cpu, d) ||
        !emu_push_frame(cpu, &cpu->segment[EMU_SS], emu_is_user(cpu), &esp, size,
                        values, 2, 0))
        return false;
    cs.attributes |= EMU_ATTRIBUTE_ACCESSED;
    cpu->reg[EMU_ESP] = esp;
    enter_code(cpu, &cs, cpu->privilege, offset);
    return true;
}

/* Through a call gate to an inner privilege: a new stack with copied parameters. */
static bool call_inner(struct emu_cpu *cpu, struct call_gate *gate, uint32_t next_eip)
{
    unsigned dpl = emu_descriptor_dpl(&gate->code), n = 0;
    struct emu_descriptor stack;
    uint16_t selector;
    uint32_t esp, from = cpu->reg[EMU_ESP], frame[36];
    if (!emu_task_stack(cpu, dpl, &selector, &esp) ||
        !emu_check_stack_segment(cpu, selector, dpl, EMU_VECTOR_TS, &stack))
        return false;
    struct emu_segment ss = emu_segment_of(&stack, selector);
    struct emu_segment cs = emu_segment_of(&gate->code, gate->code.selector);
    frame[n++] = cpu->segment[EMU_SS].selector;
    frame[n++] = from;
    for (unsigned i = gate->parameters; i-- > 0;)
        if (!emu_load(cpu, EMU_SS, (from + i * gate->size) & cpu->stack_mask,
                      gate->size, &frame[n++]))
            return false;
    frame[n++] = cpu->segment[EMU_CS].selector;
    frame[n++] = next_eip;
    uint32_t error = selector & 0xfffcu;
    if (!emu_check_frame(cpu, &ss, false, esp, gate->size, n, error) ||
        !emu_check_offset(cpu, &cs, gate->offset) || !emu_mark_accessed(cpu, &stack) ||
        !emu_mark_accessed(cpu, &gate->code) ||
        !emu_push_frame(cpu, &ss, false, &esp, gate->size, frame, n, error))
        return false;
    ss.attributes |= EMU_ATTRIBUTE_ACCESSED;
    cs.attributes |= EMU_ATTRIBUTE_ACCESSED;
    emu_install_segment(cpu, EMU_SS, &ss);
    cpu->reg[EMU_ESP] = esp;
    enter_code(cpu, &cs, dpl, gate->offset);
    return true;
}

static bool call_real(struct emu_cpu *cpu, uint16_t selector, uint32_t offset,
                      unsigned size, uint32_t next_eip)
{
    uint32_t values[] = {cpu->segment[EMU_CS].selector, next_eip};
    uint32_t esp = cpu->reg[EMU_ESP];
    if (!emu_check_frame(cpu, &cpu->segment[EMU_SS], emu_is_user(cpu), esp, size, 2,
                         0) ||
        !emu_check_offset(cpu, &cpu->segment[EMU_CS], offset) ||
        !emu_push_frame(cpu, &cpu->segment[EMU_SS], emu_is_user(cpu), &esp, size,
                        values, 2, 0) ||
        !real_transfer(cpu, selector, offset))
        return false;
    cpu->reg[EMU_ESP] = esp;
    return true;
}

bool emu_far_call(struct emu_cpu *cpu, uint16_t selector, uint32_t offset,
                  unsigned size, uint32_t next_eip)
{
    if (!emu_is_protected(cpu))
        return call_real(cpu, selector, offset, size, next_eip);
    struct emu_descriptor d;
    uint32_t error = selector & 0xfffcu;
    if (!error)
        return emu_fault(cpu, EMU_VECTOR_GP, 0);
    if (!emu_read_descriptor(cpu, selector, EMU_VECTOR_GP, &d, NULL))
        return false;
    unsigned type = emu_descriptor_type(&d);
    if (emu_descriptor_is_code(&d))
        return check_direct(cpu, &d) && call_same(cpu, &d, offset, size, next_eip);
    if (type == TSS16 || type == TSS32 || type == GATE_TASK)
        return check_system(cpu, &d) && far_to_task(cpu, &d, EMU_TASK_CALL, next_eip);
    if (type != GATE_CALL16 && type != GATE_CALL32)
        return emu_fault(cpu, EMU_VECTOR_GP, error);
    struct call_gate gate;
    if (!check_system(cpu, &d) || !read_call_gate(cpu, &d, &gate))
        return false;
    if (gate_is_inner(cpu, &gate))
        return call_inner(cpu, &gate, next_eip);
    return call_same(cpu, &gate.code, gate.offset, gate.size, next_eip);
}

/* ---- returns ---- */

/* What RETF and IRET pop, and where ESP is then. */
struct frame {
    uint32_t eip, cs, flags, esp;
};

/* The flags that IRET may change at this privilege. */
static uint32_t return_flags_mask(const struct emu_cpu *cpu, unsigned size)
{
    uint32_t mask = EMU_FLAGS_ARITH | EMU_FLAG_TF | EMU_FLAG_DF | EMU_FLAG_NT;
    bool real = !(cpu->cr0 & EMU_CR0_PE);
    if (real || cpu->privilege <= (cpu->eflags >> 12 & 3))
        mask |= EMU_FLAG_IF;
    if (cpu->privilege == 0)
        mask |= EMU_FLAG_IOPL;
    if (size == 4)
        mask |= EMU_FLAG_RF | EMU_FLAG_AC | EMU_FLAG_ID;
    return mask;
}

static bool check_return_code(struct emu_cpu *cpu, uint16_t selector,
                              struct emu_descriptor *ret_code)
{
    unsigned rpl = selector & 3;
    uint32_t error = selector & 0xfffcu;
    if (!error)
        return emu_fault(cpu, EMU_VECTOR_GP, 0);
    if (!emu_read_descriptor(cpu, selector, EMU_VECTOR_GP, ret_code, NULL))
        return false;
    unsigned dpl = emu_descriptor_dpl(ret_code);
    bool conforming = emu_descriptor_type(ret_code) & EMU_ATTRIBUTE_CONFORMING;
    if (!emu_descriptor_is_code(ret_code) || rpl < cpu->privilege ||
        (conforming ? dpl > rpl : dpl != rpl))
        return emu_fault(cpu, EMU_VECTOR_GP, error);
    return emu_descriptor_present(ret_code) || emu_fault(cpu, EMU_VECTOR_NP, error);
}

/* Return in protected mode.  `mask` says which flags of the frame to take. */
static bool return_protected(struct emu_cpu *cpu, struct frame *f, unsigned size,
                             uint32_t release, uint32_t mask)
{
    struct emu_descriptor code, stack;
    unsigned rpl = f->cs & 3;
    uint32_t new_esp = 0, new_ss = 0;
    bool outer = rpl > cpu->privilege;
    if (!check_return_code(cpu, (uint16_t)f->cs, &code))
        return false;
    f->esp = emu_stack_move(cpu, f->esp, release);
    if (outer &&
        (!emu_pop_at(cpu, &f->esp, size, &new_esp) ||
         !emu_pop_at(cpu, &f->esp, size, &new_ss) ||
         !emu_check_stack_segment(cpu, (uint16_t)new_ss, rpl, EMU_VECTOR_GP, &stack) ||
         !emu_mark_accessed(cpu, &stack)))
        return false;
    struct emu_segment cs = emu_segment_of(&code, (uint16_t)f->cs);
    if (!emu_check_offset(cpu, &cs, f->eip) || !emu_mark_accessed(cpu, &code))
        return false;
    cs.attributes |= EMU_ATTRIBUTE_ACCESSED;
    emu_set_flags(cpu, f->flags, mask);
    emu_install_segment(cpu, EMU_CS, &cs);
    cpu->eip = f->eip;
    if (!outer) {
        cpu->reg[EMU_ESP] = f->esp;
        return true;
    }
    struct emu_segment ss = emu_segment_of(&stack, (uint16_t)new_ss);
    emu_install_segment(cpu, EMU_SS, &ss);
    new_esp += release;
    cpu->reg[EMU_ESP] =
        (cpu->reg[EMU_ESP] & ~cpu->stack_mask) | (new_esp & cpu->stack_mask);
    emu_drop_inner_segments(cpu);
    return true;
}

/* The upper value comes first: that says which page is missing (measured). */
static bool pop_target(struct emu_cpu *cpu, struct frame *f, unsigned size)
{
    uint32_t above = emu_stack_move(cpu, f->esp, size);
    if (!emu_pop_at(cpu, &above, size, &f->cs) ||
        !emu_pop_at(cpu, &f->esp, size, &f->eip))
        return false;
    f->esp = above;
    return true;
}

bool emu_far_return(struct emu_cpu *cpu, unsigned size, uint32_t release)
{
    struct frame f = {.esp = cpu->reg[EMU_ESP]};
    if (!pop_target(cpu, &f, size))
        return false;
    if (emu_is_protected(cpu))
        return return_protected(cpu, &f, size, release, 0);
    if (!real_transfer(cpu, (uint16_t)f.cs, f.eip))
        return false;
    cpu->reg[EMU_ESP] = emu_stack_move(cpu, f.esp, release);
    return true;
}

/* IRET from the kernel into v86 mode: nine values on the stack. */
static bool return_to_v86(struct emu_cpu *cpu, struct frame *f)
{
    static const uint8_t order[] = {EMU_SS, EMU_ES, EMU_DS, EMU_FS, EMU_GS};
    uint32_t esp, selector[countof(order)];
    if (!emu_pop_at(cpu, &f->esp, 4, &esp))
        return false;
    for (unsigned i = 0; i < countof(order); i++)
        if (!emu_pop_at(cpu, &f->esp, 4, &selector[i]))
            return false;
    if (f->eip > 0xffff)
        return emu_fault(cpu, EMU_VECTOR_GP, 0);
    emu_set_flags(cpu, f->flags, return_flags_mask(cpu, 4) | EMU_FLAG_VM | EMU_FLAG_IF);
    struct emu_segment s = emu_real_segment(cpu, EMU_CS, (uint16_t)f->cs);
    emu_install_segment(cpu, EMU_CS, &s);
    for (unsigned i = 0; i < countof(order); i++) {
        s = emu_real_segment(cpu, order[i], (uint16_t)selector[i]);
        emu_install_segment(cpu, order[i], &s);
    }
    cpu->reg[EMU_ESP] = esp;
    cpu->eip = f->eip;
    return true;
}

static bool return_from_task(struct emu_cpu *cpu, uint32_t next_eip)
{
    uint16_t link;
    struct emu_descriptor tss;
    if (!emu_read_system(cpu, cpu->segment[EMU_TR].base, &link, 2))
        return false;
    uint32_t error = link & 0xfffcu;
    if ((link & 4) || !error)
        return emu_fault(cpu, EMU_VECTOR_TS, error);
    if (!emu_read_descriptor(cpu, link, EMU_VECTOR_TS, &tss, NULL))
        return false;
    unsigned type = emu_descriptor_type(&tss);
    if (type != (TSS16 | 2) && type != (TSS32 | 2))
        return emu_fault(cpu, EMU_VECTOR_TS, error);
    if (!emu_descriptor_present(&tss))
        return emu_fault(cpu, EMU_VECTOR_NP, error);
    cpu->eip = next_eip;
    return emu_task_switch(cpu, &tss, EMU_TASK_RETURN);
}

static bool return_real(struct emu_cpu *cpu, const struct frame *f, unsigned size)
{
    uint32_t mask = return_flags_mask(cpu, size);
    if (!real_transfer(cpu, (uint16_t)f->cs, f->eip))
        return false;
    emu_set_flags(cpu, f->flags, mask);
    cpu->reg[EMU_ESP] = f->esp;
    return true;
}

bool emu_interrupt_return(struct emu_cpu *cpu, unsigned size, uint32_t next_eip)
{
    bool v86 = (cpu->cr0 & EMU_CR0_PE) && (cpu->eflags & EMU_FLAG_VM);
    if (v86 && (cpu->eflags & EMU_FLAG_IOPL) != EMU_FLAG_IOPL)
        return emu_fault(cpu, EMU_VECTOR_GP, 0);
    if (emu_is_protected(cpu) && (cpu->eflags & EMU_FLAG_NT))
        return return_from_task(cpu, next_eip);
    struct frame f = {.esp = cpu->reg[EMU_ESP]};
    uint32_t above = emu_stack_move(cpu, f.esp, 2 * size);
    if (!emu_pop_at(cpu, &above, size, &f.flags) || !pop_target(cpu, &f, size))
        return false;
    f.esp = above;
    if (!emu_is_protected(cpu))
        return return_real(cpu, &f, size);
    if (size == 4 && (f.flags & EMU_FLAG_VM) && cpu->privilege == 0)
        return return_to_v86(cpu, &f);
    return return_protected(cpu, &f, size, 0, return_flags_mask(cpu, size));
}
