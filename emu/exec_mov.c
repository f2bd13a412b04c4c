/* SPDX-License-Identifier: MIT
 *
 * Moves of all kinds but plain MOV, exchanges, and the stack.
 */
#include "emu/exec.h"

enum { AL = EMU_EAX * 4, AH = EMU_EAX * 4 + 1 };

/* ---- operands of any size (emu/engine.h) ---- */

bool emu_load(struct emu_cpu *cpu, unsigned segment, uint32_t offset, unsigned size,
              uint32_t *ret_value)
{
    uint32_t linear;
    if (!emu_linear(cpu, segment, offset, size, EMU_ACCESS_READ, &linear))
        return false;
    const uint8_t *host = emu_view_read(cpu, linear, size);
    uint64_t value =
        likely(host) ? emu_get(host, size) : emu_read_value(cpu, linear, size);
    if (value == EMU_VALUE_FAULT)
        return false;
    *ret_value = (uint32_t)value;
    return true;
}

bool emu_store(struct emu_cpu *cpu, unsigned segment, uint32_t offset, unsigned size,
               uint32_t value)
{
    uint32_t linear;
    if (!emu_linear(cpu, segment, offset, size, EMU_ACCESS_WRITE, &linear))
        return false;
    uint8_t *host = emu_view_write(cpu, linear, size);
    if (unlikely(!host))
        return emu_write_value(cpu, linear, value, size);
    emu_put(host, size, value);
    return true;
}

bool emu_read_operand(struct emu_cpu *cpu, const struct emu_op *op, unsigned number,
                      unsigned size, uint32_t *ret_value)
{
    if (op->flags & EMU_OP_MEMORY)
        return emu_load(cpu, op->segment, emu_address(cpu, op), size, ret_value);
    *ret_value = emu_get_register(cpu, number, size);
    return true;
}

bool emu_write_operand(struct emu_cpu *cpu, const struct emu_op *op, unsigned number,
                       unsigned size, uint32_t value)
{
    if (op->flags & EMU_OP_MEMORY)
        return emu_store(cpu, op->segment, emu_address(cpu, op), size, value);
    emu_put_register(cpu, number, size, value);
    return true;
}

uint8_t *emu_modify_operand(struct emu_cpu *cpu, const struct emu_op *op,
                            unsigned number, unsigned size)
{
    uint32_t linear;
    if (!(op->flags & EMU_OP_MEMORY))
        return emu_register(cpu, number, size);
    if (!emu_linear(cpu, op->segment, emu_address(cpu, op), size, EMU_ACCESS_BOTH,
                    &linear))
        return NULL;
    return emu_modify(cpu, linear, size);
}

/* ---- moves ---- */

HANDLER(lea)
{
    emu_put_register(cpu, op->d, op->size, emu_address(cpu, op));
    NEXT_FAST;
}

HANDLER(mov_from_sreg)
{
    uint16_t selector = cpu->segment[op->s].selector;
    unsigned size = op->flags & EMU_OP_MEMORY ? 2 : op->size;
    if (!emu_write_operand(cpu, op, op->d, size, selector))
        FAULT;
    NEXT;
}

/* Loads of SS keep interrupts away from the next instruction, which sets ESP. */
static const struct emu_op *leave_after_load(struct emu_cpu *cpu,
                                             const struct emu_op *op, unsigned segment)
{
    if (segment == EMU_SS)
        cpu->shadow = EMU_SHADOW_INTR | EMU_SHADOW_DEBUG;
    return emu_leave(cpu, op, emu_next_eip(cpu, op));
}

HANDLER(mov_to_sreg)
{
    uint32_t selector;
    if (!emu_read_operand(cpu, op, op->s, 2, &selector) ||
        !emu_load_segment(cpu, op->d, (uint16_t)selector))
        FAULT;
    return leave_after_load(cpu, op, op->d);
}

HANDLER(load_far)
{
    uint32_t offset, selector, at = emu_address(cpu, op);
    if (!emu_load(cpu, op->segment, at, op->size, &offset) ||
        !emu_load(cpu, op->segment, (at + op->size) & op->address_mask, 2, &selector) ||
        !emu_load_segment(cpu, op->s, (uint16_t)selector))
        FAULT;
    emu_put_register(cpu, op->d, op->size, offset);
    return emu_leave(cpu, op, emu_next_eip(cpu, op));
}

HANDLER(xchg)
{
    uint8_t *at = emu_modify_operand(cpu, op, op->d, op->size);
    if (!at)
        FAULT;
    uint32_t old = emu_get(at, op->size);
    emu_put(at, op->size, emu_get_register(cpu, op->s, op->size));
    emu_put_register(cpu, op->s, op->size, old);
    emu_modified(cpu, at);
    NEXT;
}

/* On failure the old value is written back, so that the access is always a write. */
HANDLER(cmpxchg)
{
    uint8_t *at = emu_modify_operand(cpu, op, op->d, op->size);
    if (!at)
        FAULT;
    uint32_t old = emu_get(at, op->size);
    (void)emu_do_sub(cpu, op->size * 8u, emu_get_register(cpu, 0, op->size), old);
    if (emu_flag_z(cpu))
        emu_put(at, op->size, emu_get_register(cpu, op->s, op->size));
    else
        emu_put_register(cpu, 0, op->size, old);
    emu_modified(cpu, at);
    NEXT;
}

HANDLER(xadd)
{
    uint8_t *at = emu_modify_operand(cpu, op, op->d, op->size);
    if (!at)
        FAULT;
    uint32_t old = emu_get(at, op->size);
    uint32_t sum =
        emu_do_add(cpu, op->size * 8u, old, emu_get_register(cpu, op->s, op->size));
    emu_put_register(cpu, op->s, op->size, old);
    emu_put(at, op->size, sum);
    emu_modified(cpu, at);
    NEXT;
}

HANDLER(cmpxchg8b)
{
    uint32_t linear, old[2];
    if (!emu_linear(cpu, op->segment, emu_address(cpu, op), 8, EMU_ACCESS_BOTH,
                    &linear))
        FAULT;
    uint8_t *at = emu_modify(cpu, linear, 8);
    if (!at)
        FAULT;
    memcpy(old, at, 8);
    bool equal = old[0] == cpu->reg[EMU_EAX] && old[1] == cpu->reg[EMU_EDX];
    if (equal) {
        emu_put(at, 4, cpu->reg[EMU_EBX]);
        emu_put(at + 4, 4, cpu->reg[EMU_ECX]);
    } else {
        cpu->reg[EMU_EAX] = old[0];
        cpu->reg[EMU_EDX] = old[1];
    }
    emu_modified(cpu, at);
    uint32_t flags = emu_flags(cpu) & ~EMU_FLAG_ZF;
    emu_set_arithmetic(cpu, flags | (equal ? EMU_FLAG_ZF : 0));
    NEXT;
}

HANDLER(cmovcc)
{
    uint32_t value;
    if (!emu_read_operand(cpu, op, op->s, op->size, &value))
        FAULT;
    if (emu_condition(cpu, op->immediate & 15))
        emu_put_register(cpu, op->d, op->size, value);
    NEXT;
}

HANDLER(xlat)
{
    uint32_t value;
    uint32_t at = (cpu->reg[EMU_EBX] + cpu->byte[AL]) & op->address_mask;
    if (!emu_load(cpu, op->segment, at, 1, &value))
        FAULT;
    cpu->byte[AL] = (uint8_t)value;
    NEXT;
}

HANDLER(salc)
{
    cpu->byte[AL] = emu_flag_c(cpu) ? 0xff : 0;
    NEXT;
}

HANDLER(sahf)
{
    uint32_t mask = EMU_FLAG_SF | EMU_FLAG_ZF | EMU_FLAG_AF | EMU_FLAG_PF | EMU_FLAG_CF;
    emu_set_arithmetic(cpu, (emu_flags(cpu) & ~mask) | (cpu->byte[AH] & mask));
    NEXT;
}

HANDLER(lahf)
{
    cpu->byte[AH] = (uint8_t)((emu_flags(cpu) & 0xd5) | 2);
    NEXT;
}

HANDLER(nop)
{
    (void)cpu;
    NEXT;
}

HANDLER(hint)
{
    (void)cpu;
    NEXT;
}

/* ---- the stack ---- */

bool emu_push_at(struct emu_cpu *cpu, uint32_t *esp, unsigned size, uint32_t value)
{
    uint32_t at = emu_stack_move(cpu, *esp, 0u - size);
    if (!emu_store(cpu, EMU_SS, at & cpu->stack_mask, size, value))
        return false;
    *esp = at;
    return true;
}

bool emu_pop_at(struct emu_cpu *cpu, uint32_t *esp, unsigned size, uint32_t *ret_value)
{
    if (!emu_load(cpu, EMU_SS, *esp & cpu->stack_mask, size, ret_value))
        return false;
    *esp = emu_stack_move(cpu, *esp, size);
    return true;
}

/* Push in a constant width, the frequent case. */
#define DEFINE_PUSH(bits)                                                              \
    static inline bool push_##bits(struct emu_cpu *cpu, uint##bits##_t value)          \
    {                                                                                  \
        uint32_t at = emu_stack_move(cpu, cpu->reg[EMU_ESP], 0u - bits / 8), linear;   \
        if (!emu_linear(cpu, EMU_SS, at & cpu->stack_mask, bits / 8, EMU_ACCESS_WRITE, \
                        &linear) ||                                                    \
            !emu_store_##bits(cpu, linear, value))                                     \
            return false;                                                              \
        cpu->reg[EMU_ESP] = at;                                                        \
        return true;                                                                   \
    }                                                                                  \
    SLOW_HANDLER(push_r##bits)                                                         \
    {                                                                                  \
        if (!push_##bits(cpu, REG_##bits(op->d)))                                      \
            FAULT;                                                                     \
        NEXT;                                                                          \
    }                                                                                  \
    HANDLER(push_r##bits)                                                              \
    {                                                                                  \
        uint32_t at = emu_stack_move(cpu, cpu->reg[EMU_ESP], 0u - bits / 8);           \
        FAST_STACK(host, at, bits, WRITE, slow_push_r##bits);                          \
        memcpy(host, &REG_##bits(op->d), bits / 8);                                    \
        cpu->reg[EMU_ESP] = at;                                                        \
        NEXT_FAST;                                                                     \
    }                                                                                  \
    HANDLER(push_m##bits)                                                              \
    {                                                                                  \
        ADDRESS(linear, bits, READ);                                                   \
        uint##bits##_t value;                                                          \
        if (!emu_load_##bits(cpu, linear, &value) || !push_##bits(cpu, value))         \
            FAULT;                                                                     \
        NEXT;                                                                          \
    }                                                                                  \
    SLOW_HANDLER(pop_r##bits)                                                          \
    {                                                                                  \
        uint32_t esp = cpu->reg[EMU_ESP], value;                                       \
        if (!emu_pop_at(cpu, &esp, bits / 8, &value))                                  \
            FAULT;                                                                     \
        cpu->reg[EMU_ESP] = esp;                                                       \
        REG_##bits(op->d) = (uint##bits##_t)value;                                     \
        NEXT;                                                                          \
    }                                                                                  \
    HANDLER(pop_r##bits)                                                               \
    {                                                                                  \
        uint32_t esp = cpu->reg[EMU_ESP];                                              \
        FAST_STACK(host, esp, bits, READ, slow_pop_r##bits);                           \
        cpu->reg[EMU_ESP] = emu_stack_move(cpu, esp, bits / 8);                        \
        memcpy(&REG_##bits(op->d), host, bits / 8);                                    \
        NEXT_FAST;                                                                     \
    }                                                                                  \
    HANDLER(pop_m##bits)                                                               \
    {                                                                                  \
        uint32_t old = cpu->reg[EMU_ESP], esp = old, value;                            \
        if (!emu_pop_at(cpu, &esp, bits / 8, &value))                                  \
            FAULT;                                                                     \
        /* An address with ESP uses the value after the pop. */                        \
        cpu->reg[EMU_ESP] = esp;                                                       \
        if (!emu_store(cpu, op->segment, emu_address(cpu, op), bits / 8, value)) {     \
            cpu->reg[EMU_ESP] = old;                                                   \
            FAULT;                                                                     \
        }                                                                              \
        NEXT;                                                                          \
    }
DEFINE_PUSH(16)
DEFINE_PUSH(32)

FLAT_HANDLER(push_r32)
{
    uint32_t at = cpu->reg[EMU_ESP] - 4;
    FLAT_VIEW(host, at, 32, WRITE, slow_push_r32);
    memcpy(host, &cpu->reg[op->d], 4);
    cpu->reg[EMU_ESP] = at;
    NEXT_FAST;
}

FLAT_HANDLER(pop_r32)
{
    uint32_t esp = cpu->reg[EMU_ESP];
    FLAT_VIEW(host, esp, 32, READ, slow_pop_r32);
    cpu->reg[EMU_ESP] = esp + 4;
    memcpy(&cpu->reg[op->d], host, 4);
    NEXT_FAST;
}

HANDLER(push_i)
{
    if (!(op->size == 4 ? push_32(cpu, op->immediate)
                        : push_16(cpu, (uint16_t)op->immediate)))
        FAULT;
    NEXT;
}

/* 32-bit pushes of a selector write its two bytes only (4.4). */
HANDLER(push_sreg)
{
    uint32_t at = emu_stack_move(cpu, cpu->reg[EMU_ESP], 0u - op->size);
    if (!emu_store(cpu, EMU_SS, at & cpu->stack_mask, 2, cpu->segment[op->d].selector))
        FAULT;
    cpu->reg[EMU_ESP] = at;
    NEXT;
}

HANDLER(pop_sreg)
{
    uint32_t selector, esp = cpu->reg[EMU_ESP];
    if (!emu_load(cpu, EMU_SS, esp & cpu->stack_mask, 2, &selector))
        FAULT;
    esp = emu_stack_move(cpu, esp, op->size);
    if (!emu_load_segment(cpu, op->d, (uint16_t)selector))
        FAULT;
    cpu->reg[EMU_ESP] = esp;
    return leave_after_load(cpu, op, op->d);
}

HANDLER(pusha)
{
    uint32_t values[8], esp = cpu->reg[EMU_ESP];
    for (unsigned i = 0; i < 8; i++)
        values[i] = cpu->reg[i];
    if (!emu_push_frame(cpu, &cpu->segment[EMU_SS], emu_is_user(cpu), &esp, op->size,
                        values, 8, 0))
        FAULT;
    cpu->reg[EMU_ESP] = esp;
    NEXT;
}

HANDLER(popa)
{
    uint32_t values[8], esp = cpu->reg[EMU_ESP];
    for (unsigned i = 8; i-- > 0;)
        if (!emu_pop_at(cpu, &esp, op->size, &values[i]))
            FAULT;
    for (unsigned i = 0; i < 8; i++)
        if (i != EMU_ESP)
            emu_put_register(cpu, i, op->size, values[i]);
    cpu->reg[EMU_ESP] = esp;
    NEXT;
}

static bool probe_stack(struct emu_cpu *cpu, uint32_t esp, unsigned size)
{
    uint32_t linear;
    return emu_linear(cpu, EMU_SS, esp & cpu->stack_mask, size, EMU_ACCESS_WRITE,
                      &linear) &&
           emu_probe_write(cpu, linear, size, emu_is_user(cpu));
}

/* Push EBP, the frame pointers of the outer levels and the new one.  The pushes may
 * overwrite what is read later.  With `probe` nothing changes. */
static bool enter_frames(struct emu_cpu *cpu, const struct emu_op *op, bool probe,
                         uint32_t *esp)
{
    unsigned level = op->immediate & 31;
    uint32_t ebp = cpu->reg[EMU_EBP], value = ebp;
    uint32_t frame = emu_stack_move(cpu, *esp, 0u - op->size);
    for (unsigned i = 0; i <= level; i++) {
        if (i > 0) {
            ebp = emu_stack_move(cpu, ebp, 0u - op->size);
            value = frame;
        }
        if (i > 0 && i < level &&
            !emu_load(cpu, EMU_SS, ebp & cpu->stack_mask, op->size, &value))
            return false;
        *esp = emu_stack_move(cpu, *esp, 0u - op->size);
        if (!(probe ? probe_stack(cpu, *esp, op->size)
                    : emu_store(cpu, EMU_SS, *esp & cpu->stack_mask, op->size, value)))
            return false;
    }
    return true;
}

/* A write at the new top of the stack must be possible, too. */
HANDLER(enter)
{
    uint32_t esp = cpu->reg[EMU_ESP];
    uint32_t frame = emu_stack_move(cpu, esp, 0u - op->size);
    if (!enter_frames(cpu, op, true, &esp))
        FAULT;
    uint32_t top = emu_stack_move(cpu, esp, 0u - op->displacement);
    esp = cpu->reg[EMU_ESP];
    if (!probe_stack(cpu, top, op->size) || !enter_frames(cpu, op, false, &esp))
        FAULT;
    cpu->reg[EMU_ESP] = top;
    emu_put_register(cpu, EMU_EBP, op->size, frame);
    NEXT;
}

HANDLER(leave)
{
    uint32_t value;
    uint32_t esp =
        (cpu->reg[EMU_ESP] & ~cpu->stack_mask) | (cpu->reg[EMU_EBP] & cpu->stack_mask);
    if (!emu_pop_at(cpu, &esp, op->size, &value))
        FAULT;
    cpu->reg[EMU_ESP] = esp;
    emu_put_register(cpu, EMU_EBP, op->size, value);
    NEXT;
}
