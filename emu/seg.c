/* SPDX-License-Identifier: MIT
 *
 * Segments: descriptor tables, loads of segment registers, limit and type checks, and
 * what is derived from them (SDM 3A chapters 3 and 5).
 */
#include "emu/engine.h"

bool emu_check_segment(struct emu_cpu *cpu, unsigned segment, uint32_t offset,
                       uint32_t size, unsigned access)
{
    const struct emu_segment *s = &cpu->segment[segment];
    uint8_t vector = segment == EMU_SS ? EMU_VECTOR_SS : EMU_VECTOR_GP;
    unsigned attributes = s->attributes;
    bool code = attributes & EMU_ATTRIBUTE_CODE;
    if (!(attributes & EMU_ATTRIBUTE_PRESENT) || !(attributes & EMU_ATTRIBUTE_S))
        return emu_fault(cpu, vector, 0);
    if ((access & EMU_ACCESS_WRITE) && (code || !(attributes & EMU_ATTRIBUTE_WRITABLE)))
        return emu_fault(cpu, vector, 0);
    if ((access & EMU_ACCESS_READ) && code && !(attributes & EMU_ATTRIBUTE_READABLE))
        return emu_fault(cpu, vector, 0);
    uint64_t last = (uint64_t)offset + size - 1;
    if (!code && (attributes & EMU_ATTRIBUTE_DOWN)) {
        uint32_t top = attributes & EMU_ATTRIBUTE_BIG ? UINT32_MAX : 0xffff;
        if (offset <= s->limit || last > top)
            return emu_fault(cpu, vector, 0);
    } else if (last > s->limit && s->limit != UINT32_MAX) {
        return emu_fault(cpu, vector, 0);
    }
    return true;
}

/* Which accesses need no check: those of whole 4 GiB segments that permit them. */
static uint32_t unchecked_accesses(const struct emu_segment *s)
{
    unsigned attributes = s->attributes;
    if (!(attributes & EMU_ATTRIBUTE_PRESENT) || !(attributes & EMU_ATTRIBUTE_S) ||
        s->limit != UINT32_MAX)
        return 0;
    if (attributes & EMU_ATTRIBUTE_CODE)
        return attributes & EMU_ATTRIBUTE_READABLE ? EMU_ACCESS_READ : 0;
    if (attributes & EMU_ATTRIBUTE_DOWN)
        return 0;
    return EMU_ACCESS_READ |
           (attributes & EMU_ATTRIBUTE_WRITABLE ? EMU_ACCESS_WRITE : 0);
}

void emu_mode_changed(struct emu_cpu *cpu)
{
    const struct emu_segment *ss = &cpu->segment[EMU_SS];
    cpu->stack_mask = ss->attributes & EMU_ATTRIBUTE_BIG ? UINT32_MAX : 0xffff;
    if (!(cpu->cr0 & EMU_CR0_PE))
        cpu->privilege = 0;
    else if (cpu->eflags & EMU_FLAG_VM)
        cpu->privilege = 3;
    else
        cpu->privilege = ss->attributes >> 5 & 3;
    bool user = emu_is_user(cpu);
    bool checked = user && (cpu->cr0 & EMU_CR0_AM) && (cpu->eflags & EMU_FLAG_AC);
    cpu->view = cpu->engine->views[checked ? EMU_VIEW_CHECKED
                                   : user  ? EMU_VIEW_USER
                                           : EMU_VIEW_SUPERVISOR];
    cpu->fetch = cpu->engine->fetches[user];
}

static bool is_flat(const struct emu_segment *s)
{
    return s->unchecked == EMU_ACCESS_BOTH && !s->base;
}

/* EMU_MODE_* of the segments as they are. */
static uint32_t mode_of(const struct emu_cpu *cpu)
{
    const struct emu_segment *s = cpu->segment;
    uint32_t mode = s[EMU_CS].attributes & EMU_ATTRIBUTE_BIG ? EMU_MODE_CODE32 : 0;
    if (s[EMU_CS].limit == UINT32_MAX && !(s[EMU_CS].base & 0xfff))
        mode |= EMU_MODE_PLAIN;
    if ((mode & EMU_MODE_PLAIN) && is_flat(&s[EMU_ES]) && is_flat(&s[EMU_SS]) &&
        is_flat(&s[EMU_DS]) && cpu->stack_mask == UINT32_MAX)
        mode |= EMU_MODE_FLAT;
    return mode;
}

void emu_install_segment(struct emu_cpu *cpu, unsigned number,
                         const struct emu_segment *segment)
{
    cpu->segment[number] = *segment;
    cpu->segment[number].unchecked = unchecked_accesses(segment);
    if (number == EMU_SS)
        emu_mode_changed(cpu);
    cpu->code_mode = mode_of(cpu);
}

void emu_cpu_set_segment(struct emu_cpu *cpu, unsigned segment, uint16_t selector,
                         uint32_t base, uint32_t limit, uint16_t attributes)
{
    struct emu_segment s = {
        .selector = selector, .attributes = attributes, .base = base, .limit = limit};
    emu_install_segment(cpu, segment, &s);
}

void emu_set_flags(struct emu_cpu *cpu, uint32_t flags, uint32_t mask)
{
    uint32_t all = (emu_flags(cpu) & ~mask) | (flags & mask);
    uint32_t changed = all ^ cpu->eflags;
    cpu->eflags = all | 2;
    emu_set_arithmetic(cpu, all);
    if (changed & (EMU_FLAG_VM | EMU_FLAG_AC))
        emu_mode_changed(cpu);
}

/* ---- descriptors ---- */

bool emu_read_descriptor(struct emu_cpu *cpu, uint16_t selector, uint8_t vector,
                         struct emu_descriptor *ret_descriptor, bool *ret_found)
{
    uint32_t base = cpu->gdtr.base, limit = cpu->gdtr.limit;
    bool found = true;
    if (selector & 4) {
        base = cpu->segment[EMU_LDTR].base;
        limit = cpu->segment[EMU_LDTR].limit;
        found = cpu->segment[EMU_LDTR].attributes & EMU_ATTRIBUTE_PRESENT;
    }
    uint32_t offset = selector & 0xfff8u;
    found = found && offset + 7 <= limit;
    if (ret_found)
        *ret_found = found;
    if (!found)
        return ret_found ? true : emu_fault(cpu, vector, selector & 0xfffcu);
    uint32_t words[2];
    if (!emu_read_system(cpu, base + offset, words, sizeof words))
        return false;
    *ret_descriptor = (struct emu_descriptor){.low = words[0],
                                              .high = words[1],
                                              .address = base + offset,
                                              .selector = selector};
    return true;
}

struct emu_segment emu_segment_of(const struct emu_descriptor *descriptor,
                                  uint16_t selector)
{
    uint32_t low = descriptor->low, high = descriptor->high;
    uint32_t limit = (low & 0xffff) | (high & 0xf0000);
    if (high & 0x800000)
        limit = limit << 12 | 0xfff;
    return (struct emu_segment){
        .selector = selector,
        .attributes = (uint16_t)(high >> 8 & 0xf0ff),
        .base = low >> 16 | (high & 0xff) << 16 | (high & 0xff000000),
        .limit = limit,
    };
}

bool emu_mark_accessed(struct emu_cpu *cpu, struct emu_descriptor *descriptor)
{
    if (descriptor->high & 0x100)
        return true;
    uint8_t type = (uint8_t)(descriptor->high >> 8 | 1);
    descriptor->high |= 0x100;
    return emu_write_system(cpu, descriptor->address + 5, &type, 1);
}

struct emu_segment emu_real_segment(const struct emu_cpu *cpu, unsigned number,
                                    uint16_t selector)
{
    struct emu_segment s = cpu->segment[number];
    s.selector = selector;
    s.base = (uint32_t)selector << 4;
    if (cpu->eflags & EMU_FLAG_VM) {
        s.attributes = 0xf3;
        s.limit = 0xffff;
    } else {
        s.attributes = (uint16_t)((s.attributes & 0xff00) | 0x93);
    }
    return s;
}

bool emu_check_stack_segment(struct emu_cpu *cpu, uint16_t selector, unsigned privilege,
                             uint8_t vector, struct emu_descriptor *ret_descriptor)
{
    uint32_t error = selector & 0xfffcu;
    if (!error)
        return emu_fault(cpu, vector, vector == EMU_VECTOR_TS ? error : 0);
    if (!emu_read_descriptor(cpu, selector, vector, ret_descriptor, NULL))
        return false;
    if ((selector & 3u) != privilege || !emu_descriptor_is_data(ret_descriptor) ||
        !(emu_descriptor_type(ret_descriptor) & EMU_ATTRIBUTE_WRITABLE) ||
        emu_descriptor_dpl(ret_descriptor) != privilege)
        return emu_fault(cpu, vector, error);
    if (!emu_descriptor_present(ret_descriptor))
        return emu_fault(cpu, EMU_VECTOR_SS, error);
    return true;
}

static bool check_push(struct emu_cpu *cpu, const struct emu_segment *ss, bool user,
                       uint32_t offset, unsigned size, uint32_t error)
{
    uint64_t last = (uint64_t)offset + size - 1;
    bool down = ss->attributes & EMU_ATTRIBUTE_DOWN;
    uint32_t top = ss->attributes & EMU_ATTRIBUTE_BIG ? UINT32_MAX : 0xffff;
    if (down ? offset <= ss->limit || last > top
             : last > ss->limit && ss->limit != UINT32_MAX)
        return emu_fault(cpu, EMU_VECTOR_SS, error);
    return emu_probe_write(cpu, ss->base + offset, size, user);
}

bool emu_check_frame(struct emu_cpu *cpu, const struct emu_segment *ss, bool user,
                     uint32_t esp, unsigned size, unsigned count, uint32_t error)
{
    uint32_t mask = ss->attributes & EMU_ATTRIBUTE_BIG ? UINT32_MAX : 0xffff;
    for (unsigned i = 0; i < count; i++) {
        esp = (esp & ~mask) | ((esp - size) & mask);
        if (!check_push(cpu, ss, user, esp & mask, size, error))
            return false;
    }
    return true;
}

bool emu_push_frame(struct emu_cpu *cpu, const struct emu_segment *ss, bool user,
                    uint32_t *esp, unsigned size, const uint32_t *values,
                    unsigned count, uint32_t error)
{
    uint32_t mask = ss->attributes & EMU_ATTRIBUTE_BIG ? UINT32_MAX : 0xffff;
    uint32_t at = *esp;
    if (!emu_check_frame(cpu, ss, user, at, size, count, error))
        return false;
    for (unsigned i = 0; i < count; i++) {
        at = (at & ~mask) | ((at - size) & mask);
        if (!emu_write_slow(cpu, ss->base + (at & mask), &values[i], size, user))
            return false;
    }
    *esp = at;
    return true;
}

/* The checks of DS, ES, FS, GS. */
static bool check_data_segment(struct emu_cpu *cpu, uint16_t selector,
                               struct emu_descriptor *ret_descriptor)
{
    uint32_t error = selector & 0xfffcu;
    if (!emu_read_descriptor(cpu, selector, EMU_VECTOR_GP, ret_descriptor, NULL))
        return false;
    unsigned type = emu_descriptor_type(ret_descriptor);
    bool code = emu_descriptor_is_code(ret_descriptor);
    if (!(type & EMU_ATTRIBUTE_S) || (code && !(type & EMU_ATTRIBUTE_READABLE)))
        return emu_fault(cpu, EMU_VECTOR_GP, error);
    unsigned dpl = emu_descriptor_dpl(ret_descriptor);
    if (!(code && (type & EMU_ATTRIBUTE_CONFORMING)) &&
        (dpl < (selector & 3u) || dpl < cpu->privilege))
        return emu_fault(cpu, EMU_VECTOR_GP, error);
    if (!emu_descriptor_present(ret_descriptor))
        return emu_fault(cpu, EMU_VECTOR_NP, error);
    return true;
}

bool emu_load_segment(struct emu_cpu *cpu, unsigned number, uint16_t selector)
{
    struct emu_segment s = {.selector = selector};
    struct emu_descriptor d;
    if (!emu_is_protected(cpu)) {
        s = emu_real_segment(cpu, number, selector);
    } else if (number == EMU_SS || (selector & 0xfffc)) {
        bool ok = number == EMU_SS
                      ? emu_check_stack_segment(cpu, selector, cpu->privilege,
                                                EMU_VECTOR_GP, &d)
                      : check_data_segment(cpu, selector, &d);
        if (!ok || !emu_mark_accessed(cpu, &d))
            return false;
        s = emu_segment_of(&d, selector);
    }
    emu_install_segment(cpu, number, &s);
    return true;
}

void emu_drop_inner_segments(struct emu_cpu *cpu)
{
    static const uint8_t numbers[] = {EMU_ES, EMU_DS, EMU_FS, EMU_GS};
    for (unsigned i = 0; i < countof(numbers); i++) {
        struct emu_segment *s = &cpu->segment[numbers[i]];
        unsigned attributes = s->attributes;
        bool conforming = (attributes & EMU_ATTRIBUTE_CODE) &&
                          (attributes & EMU_ATTRIBUTE_CONFORMING);
        if (!conforming && (attributes >> 5 & 3) < cpu->privilege) {
            *s = (struct emu_segment){0};
        }
    }
}

/* ---- the I/O bitmap (SDM 1 19.5.2) ---- */

bool emu_check_io(struct emu_cpu *cpu, uint16_t port, unsigned size)
{
    unsigned iopl = cpu->eflags >> 12 & 3;
    if (!(cpu->cr0 & EMU_CR0_PE) ||
        (!(cpu->eflags & EMU_FLAG_VM) && cpu->privilege <= iopl))
        return true;
    const struct emu_segment *tr = &cpu->segment[EMU_TR];
    unsigned type = tr->attributes & 0x1f;
    if ((type != 9 && type != 11) || tr->limit < 0x67)
        return emu_fault(cpu, EMU_VECTOR_GP, 0);
    uint16_t start, bits;
    if (!emu_read_system(cpu, tr->base + 0x66, &start, 2))
        return false;
    uint32_t at = (uint32_t)start + port / 8;
    if (at + 1 > tr->limit)
        return emu_fault(cpu, EMU_VECTOR_GP, 0);
    if (!emu_read_system(cpu, tr->base + at, &bits, 2))
        return false;
    if (bits >> (port & 7) & ((1u << size) - 1))
        return emu_fault(cpu, EMU_VECTOR_GP, 0);
    return true;
}
