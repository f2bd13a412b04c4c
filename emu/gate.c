/* SPDX-License-Identifier: MIT
 *
 * Delivery of interrupts and exceptions through the IDT (SDM 3A chapter 6).
 */
#include "emu/engine.h"

enum {
    GATE_TASK = 5,
    GATE_INTERRUPT16 = 6,
    GATE_TRAP16 = 7,
    GATE_INTERRUPT32 = 14,
    GATE_TRAP32 = 15,
    IDT_ERROR = 2, /* the error code names an IDT entry */
};

bool emu_fault(struct emu_cpu *cpu, uint8_t vector, uint32_t error)
{
    struct emu_engine *e = cpu->engine;
    e->fault.vector = vector;
    e->fault.error = error;
    if (vector >= EMU_VECTOR_TS && vector <= EMU_VECTOR_GP && e->external)
        e->fault.error |= 1;
    return false;
}

static uint32_t pushed_flags(const struct emu_cpu *cpu, const struct emu_event *event)
{
    return emu_flags(cpu) | (event->resume ? EMU_FLAG_RF : 0);
}

static bool deliver_real(struct emu_cpu *cpu, const struct emu_event *event)
{
    uint32_t at = event->vector * 4u;
    if (at + 3 > cpu->idtr.limit)
        return emu_fault(cpu, EMU_VECTOR_GP, at * 2 + IDT_ERROR);
    uint16_t target[2];
    uint32_t esp = cpu->reg[EMU_ESP];
    uint32_t values[] = {pushed_flags(cpu, event), cpu->segment[EMU_CS].selector,
                         cpu->eip};
    if (!emu_read_system(cpu, cpu->idtr.base + at, target, sizeof target) ||
        !emu_push_frame(cpu, &cpu->segment[EMU_SS], false, &esp, 2, values, 3, 0))
        return false;
    struct emu_segment cs = emu_real_segment(cpu, EMU_CS, target[1]);
    emu_install_segment(cpu, EMU_CS, &cs);
    cpu->reg[EMU_ESP] = esp;
    cpu->eip = target[0];
    emu_set_flags(cpu, 0, EMU_FLAG_IF | EMU_FLAG_TF | EMU_FLAG_AC | EMU_FLAG_RF);
    return true;
}

struct gate {
    uint16_t selector;
    uint32_t offset;
    uint8_t type;
    unsigned size; /* of what it pushes */
};

static bool read_gate(struct emu_cpu *cpu, const struct emu_event *event,
                      struct gate *ret_gate)
{
    uint32_t at = event->vector * 8u, error = at + IDT_ERROR;
    uint32_t words[2];
    if (at + 7 > cpu->idtr.limit)
        return emu_fault(cpu, EMU_VECTOR_GP, error);
    if (!emu_read_system(cpu, cpu->idtr.base + at, words, sizeof words))
        return false;
    uint8_t type = words[1] >> 8 & 0x1f;
    if (type != GATE_TASK && (type & 0x17) != GATE_INTERRUPT16 &&
        (type & 0x17) != GATE_TRAP16)
        return emu_fault(cpu, EMU_VECTOR_GP, error);
    if (event->software && (words[1] >> 13 & 3) < cpu->privilege)
        return emu_fault(cpu, EMU_VECTOR_GP, error);
    if (!(words[1] & 0x8000))
        return emu_fault(cpu, EMU_VECTOR_NP, error);
    ret_gate->selector = (uint16_t)(words[0] >> 16);
    ret_gate->type = type;
    ret_gate->size = type & 8 ? 4 : 2;
    ret_gate->offset = words[0] & 0xffff;
    if (type & 8)
        ret_gate->offset |= words[1] & 0xffff0000;
    return true;
}

static bool deliver_to_task(struct emu_cpu *cpu, const struct emu_event *event,
                            uint16_t selector)
{
    struct emu_descriptor tss;
    uint32_t error = selector & 0xfffcu;
    if ((selector & 4) || !error)
        return emu_fault(cpu, EMU_VECTOR_GP, error);
    if (!emu_read_descriptor(cpu, selector, EMU_VECTOR_GP, &tss, NULL))
        return false;
    unsigned type = emu_descriptor_type(&tss);
    if (type != 1 && type != 9)
        return emu_fault(cpu, EMU_VECTOR_GP, error);
    if (!emu_descriptor_present(&tss))
        return emu_fault(cpu, EMU_VECTOR_NP, error);
    if (event->resume)
        emu_set_flags(cpu, EMU_FLAG_RF, EMU_FLAG_RF);
    if (!emu_task_switch(cpu, &tss, EMU_TASK_CALL))
        return false;
    if (!event->has_error)
        return true;
    return emu_push_frame(cpu, &cpu->segment[EMU_SS], emu_is_user(cpu),
                          &cpu->reg[EMU_ESP], type & 8 ? 4 : 2, &event->error, 1, 0);
}

/* The frame, deepest value first; its number of values. */
static unsigned build_frame(const struct emu_cpu *cpu, const struct emu_event *event,
                            bool inner, uint32_t *frame)
{
    unsigned n = 0;
    if (cpu->eflags & EMU_FLAG_VM) {
        frame[n++] = cpu->segment[EMU_GS].selector;
        frame[n++] = cpu->segment[EMU_FS].selector;
        frame[n++] = cpu->segment[EMU_DS].selector;
        frame[n++] = cpu->segment[EMU_ES].selector;
    }
    if (inner) {
        frame[n++] = cpu->segment[EMU_SS].selector;
        frame[n++] = cpu->reg[EMU_ESP];
    }
    frame[n++] = pushed_flags(cpu, event);
    frame[n++] = cpu->segment[EMU_CS].selector;
    frame[n++] = cpu->eip;
    if (event->has_error)
        frame[n++] = event->error;
    return n;
}

/* The code segment behind a gate. */
static bool read_target(struct emu_cpu *cpu, const struct gate *gate,
                        struct emu_descriptor *ret_cs, bool *ret_inner)
{
    uint32_t error = gate->selector & 0xfffcu;
    if (!error)
        return emu_fault(cpu, EMU_VECTOR_GP, 0);
    if (!emu_read_descriptor(cpu, gate->selector, EMU_VECTOR_GP, ret_cs, NULL))
        return false;
    unsigned dpl = emu_descriptor_dpl(ret_cs);
    if (!emu_descriptor_is_code(ret_cs) || dpl > cpu->privilege)
        return emu_fault(cpu, EMU_VECTOR_GP, error);
    if (!emu_descriptor_present(ret_cs))
        return emu_fault(cpu, EMU_VECTOR_NP, error);
    bool conforming = emu_descriptor_type(ret_cs) & EMU_ATTRIBUTE_CONFORMING;
    *ret_inner = !conforming && dpl < cpu->privilege;
    if ((cpu->eflags & EMU_FLAG_VM) && (!*ret_inner || dpl != 0))
        return emu_fault(cpu, EMU_VECTOR_GP, error);
    return true;
}

/* SS and ESP of the handler. */
static bool find_stack(struct emu_cpu *cpu, unsigned dpl, bool inner,
                       struct emu_segment *ret_ss, uint32_t *ret_esp)
{
    *ret_ss = cpu->segment[EMU_SS];
    *ret_esp = cpu->reg[EMU_ESP];
    if (!inner)
        return true;
    struct emu_descriptor ss;
    uint16_t selector;
    if (!emu_task_stack(cpu, dpl, &selector, ret_esp) ||
        !emu_check_stack_segment(cpu, selector, dpl, EMU_VECTOR_TS, &ss) ||
        !emu_mark_accessed(cpu, &ss))
        return false;
    *ret_ss = emu_segment_of(&ss, selector);
    return true;
}

static bool deliver_protected(struct emu_cpu *cpu, const struct emu_event *event)
{
    struct gate gate;
    if (!read_gate(cpu, event, &gate))
        return false;
    if (gate.type == GATE_TASK)
        return deliver_to_task(cpu, event, gate.selector);
    struct emu_descriptor code;
    bool inner;
    struct emu_segment ss;
    uint32_t esp;
    if (!read_target(cpu, &gate, &code, &inner) ||
        !find_stack(cpu, emu_descriptor_dpl(&code), inner, &ss, &esp))
        return false;
    unsigned privilege = inner ? emu_descriptor_dpl(&code) : cpu->privilege;
    struct emu_segment cs =
        emu_segment_of(&code, (uint16_t)((gate.selector & ~3u) | privilege));
    uint32_t frame[10];
    unsigned count = build_frame(cpu, event, inner, frame);
    uint32_t error = inner ? ss.selector & 0xfffcu : 0;
    if (!emu_check_frame(cpu, &ss, privilege == 3, esp, gate.size, count, error) ||
        !emu_check_offset(cpu, &cs, gate.offset) || !emu_mark_accessed(cpu, &code) ||
        !emu_push_frame(cpu, &ss, privilege == 3, &esp, gate.size, frame, count, error))
        return false;
    bool was_v86 = cpu->eflags & EMU_FLAG_VM;
    uint32_t cleared = EMU_FLAG_TF | EMU_FLAG_NT | EMU_FLAG_VM | EMU_FLAG_RF;
    if (gate.type == GATE_INTERRUPT16 || gate.type == GATE_INTERRUPT32)
        cleared |= EMU_FLAG_IF;
    emu_set_flags(cpu, 0, cleared);
    cs.attributes |= EMU_ATTRIBUTE_ACCESSED;
    emu_install_segment(cpu, EMU_CS, &cs);
    if (inner)
        emu_install_segment(cpu, EMU_SS, &ss);
    cpu->reg[EMU_ESP] = esp;
    cpu->eip = gate.offset;
    static const uint8_t data[] = {EMU_ES, EMU_DS, EMU_FS, EMU_GS};
    for (unsigned i = 0; was_v86 && i < countof(data); i++)
        emu_install_segment(cpu, data[i], &(struct emu_segment){0});
    return true;
}

bool emu_deliver(struct emu_cpu *cpu, const struct emu_event *event)
{
    cpu->engine->external = !event->software;
    bool ok = cpu->cr0 & EMU_CR0_PE ? deliver_protected(cpu, event)
                                    : deliver_real(cpu, event);
    cpu->engine->external = false;
    cpu->engine->delivered = ok;
    return ok;
}

/* ---- exceptions ---- */

static bool has_error_code(uint8_t vector)
{
    return vector == EMU_VECTOR_DF || vector == EMU_VECTOR_AC ||
           (vector >= EMU_VECTOR_TS && vector <= EMU_VECTOR_PF);
}

static bool is_contributory(uint8_t vector)
{
    return vector == EMU_VECTOR_DE ||
           (vector >= EMU_VECTOR_TS && vector <= EMU_VECTOR_GP);
}

/* Does `second`, raised while `first` was delivered, make a double fault (SDM table
 * 6-5)? */
static bool is_double(uint8_t first, uint8_t second)
{
    if (first == EMU_VECTOR_PF)
        return second == EMU_VECTOR_PF || is_contributory(second);
    return is_contributory(first) && is_contributory(second);
}

bool emu_deliver_fault(struct emu_cpu *cpu)
{
    struct emu_fault *fault = &cpu->engine->fault;
    uint8_t vector = fault->vector;
    uint32_t error = fault->error;
    for (;;) {
        if (fault->vector == EMU_VECTOR_PF)
            cpu->cr2 = fault->address;
        fault->vector = EMU_VECTOR_NONE;
        bool has_error = has_error_code(vector) && (cpu->cr0 & EMU_CR0_PE);
        struct emu_event event = {.vector = vector,
                                  .has_error = has_error,
                                  .resume = vector != EMU_VECTOR_DF,
                                  .error = error};
        if (emu_deliver(cpu, &event))
            return true;
        if (vector == EMU_VECTOR_DF) {
            fault->vector = EMU_VECTOR_NONE;
            return false;
        }
        if (is_double(vector, fault->vector)) {
            vector = EMU_VECTOR_DF;
            error = 0;
            if (fault->vector != EMU_VECTOR_PF)
                fault->vector = EMU_VECTOR_NONE;
        } else {
            vector = fault->vector;
            error = fault->error;
        }
    }
}
