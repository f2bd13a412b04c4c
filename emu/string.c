/* SPDX-License-Identifier: MIT
 *
 * String instructions and their `rep` forms (machine.md 4.3).
 *
 * The state is architectural after each iteration, so a `rep` can be left anywhere: at
 * a fault, an interrupt, a trap, a place where the run shall stop.
 */
#include "emu/exec.h"

static uint32_t step_of(const struct emu_cpu *cpu, const struct emu_op *op)
{
    return cpu->eflags & EMU_FLAG_DF ? 0u - op->size : op->size;
}

static uint32_t index_of(const struct emu_cpu *cpu, const struct emu_op *op,
                         unsigned number)
{
    return cpu->reg[number] & op->address_mask;
}

/* Move ESI or EDI in the width of the address. */
static void advance(struct emu_cpu *cpu, const struct emu_op *op, unsigned number)
{
    uint32_t mask = op->address_mask;
    cpu->reg[number] =
        (cpu->reg[number] & ~mask) | ((cpu->reg[number] + step_of(cpu, op)) & mask);
}

/* One iteration of each; false with nothing changed on a fault. */
static inline bool movs_once(struct emu_cpu *cpu, const struct emu_op *op)
{
    uint32_t value;
    if (!emu_load(cpu, op->segment, index_of(cpu, op, EMU_ESI), op->size, &value) ||
        !emu_store(cpu, EMU_ES, index_of(cpu, op, EMU_EDI), op->size, value))
        return false;
    advance(cpu, op, EMU_ESI);
    advance(cpu, op, EMU_EDI);
    return true;
}

static inline bool stos_once(struct emu_cpu *cpu, const struct emu_op *op)
{
    if (!emu_store(cpu, EMU_ES, index_of(cpu, op, EMU_EDI), op->size,
                   cpu->reg[EMU_EAX]))
        return false;
    advance(cpu, op, EMU_EDI);
    return true;
}

static inline bool lods_once(struct emu_cpu *cpu, const struct emu_op *op)
{
    uint32_t value;
    if (!emu_load(cpu, op->segment, index_of(cpu, op, EMU_ESI), op->size, &value))
        return false;
    emu_put_register(cpu, 0, op->size, value);
    advance(cpu, op, EMU_ESI);
    return true;
}

/* [EDI] comes first: that says which operand faults (measured). */
static inline bool cmps_once(struct emu_cpu *cpu, const struct emu_op *op)
{
    uint32_t a, b;
    if (!emu_load(cpu, EMU_ES, index_of(cpu, op, EMU_EDI), op->size, &b) ||
        !emu_load(cpu, op->segment, index_of(cpu, op, EMU_ESI), op->size, &a))
        return false;
    (void)emu_do_sub(cpu, op->size * 8u, a, b);
    advance(cpu, op, EMU_ESI);
    advance(cpu, op, EMU_EDI);
    return true;
}

static inline bool scas_once(struct emu_cpu *cpu, const struct emu_op *op)
{
    uint32_t value;
    if (!emu_load(cpu, EMU_ES, index_of(cpu, op, EMU_EDI), op->size, &value))
        return false;
    (void)emu_do_sub(cpu, op->size * 8u, emu_get_register(cpu, 0, op->size), value);
    advance(cpu, op, EMU_EDI);
    return true;
}

static uint16_t port_of(const struct emu_cpu *cpu)
{
    return cpu->half[EMU_EDX * 2];
}

/* The store is probed before the port is read. */
static bool ins_once(struct emu_cpu *cpu, const struct emu_op *op)
{
    uint32_t linear;
    if (!emu_linear(cpu, EMU_ES, index_of(cpu, op, EMU_EDI), op->size, EMU_ACCESS_WRITE,
                    &linear) ||
        !emu_probe_write(cpu, linear, op->size, emu_is_user(cpu)))
        return false;
    uint32_t value = cpu->bus.port_read(cpu->bus.context, port_of(cpu), op->size);
    if (!emu_write_slow(cpu, linear, &value, op->size, emu_is_user(cpu)))
        return false;
    advance(cpu, op, EMU_EDI);
    return true;
}

static bool outs_once(struct emu_cpu *cpu, const struct emu_op *op)
{
    uint32_t value;
    if (!emu_load(cpu, op->segment, index_of(cpu, op, EMU_ESI), op->size, &value))
        return false;
    cpu->bus.port_write(cpu->bus.context, port_of(cpu), value, op->size);
    advance(cpu, op, EMU_ESI);
    return true;
}

typedef bool once_fn(struct emu_cpu *cpu, const struct emu_op *op);

/* After an iteration that is not the last: must the loop be left here? */
static bool must_leave(struct emu_cpu *cpu)
{
    struct emu_engine *e = cpu->engine;
    bool interrupt =
        cpu->intr && (cpu->eflags & EMU_FLAG_IF) && !(cpu->shadow & EMU_SHADOW_INTR);
    if (--e->rep_budget == 0)
        e->yield = true;
    bool changed = e->dropped || (cpu->block == e->scratch && emu_single_changed(cpu));
    return e->yield || cpu->stop || interrupt || changed;
}

/* Does REPE or REPNE end after this comparison? */
static bool ends_comparison(const struct emu_cpu *cpu, const struct emu_op *op)
{
    bool repne = op->flags & EMU_OP_REPNE;
    return emu_flag_z(cpu) == repne;
}

/* How many iterations may be done at once: those that stay in the page, and leave the
 * place where the loop has to be left to the loop. */
static uint32_t bulk_count(const struct emu_cpu *cpu, const struct emu_op *op,
                           uint32_t linear)
{
    uint32_t count = cpu->reg[EMU_ECX];
    uint32_t in_page = (EMU_PAGE_SIZE - linear % EMU_PAGE_SIZE) / op->size;
    if (count > in_page)
        count = in_page;
    return count < cpu->engine->rep_budget ? count
                                           : (uint32_t)cpu->engine->rep_budget - 1;
}

/* Registers after `count` iterations that moved ESI, if `source`, and EDI. */
static void advance_bulk(struct emu_cpu *cpu, const struct emu_op *op, uint32_t count,
                         bool source)
{
    cpu->reg[EMU_ECX] -= count;
    cpu->reg[EMU_EDI] += count * op->size;
    if (source)
        cpu->reg[EMU_ESI] += count * op->size;
    cpu->sub += count;
    cpu->engine->rep_budget -= count;
}

/* Can iterations go directly to host memory, upwards, with flat 32-bit addresses? */
/* Not for an instruction that runs alone, whose own page may be written. */
static bool bulk_is_possible(const struct emu_cpu *cpu, const struct emu_op *op,
                             unsigned segment, unsigned access)
{
    return cpu->block != cpu->engine->scratch && op->address_mask == UINT32_MAX &&
           !(cpu->eflags & EMU_FLAG_DF) &&
           (cpu->segment[segment].unchecked & access) == access;
}

/* As many iterations of `rep movs` as one page allows; perhaps none. */
static void movs_bulk(struct emu_cpu *cpu, const struct emu_op *op)
{
    if (!bulk_is_possible(cpu, op, EMU_ES, EMU_ACCESS_WRITE) ||
        !bulk_is_possible(cpu, op, op->segment, EMU_ACCESS_READ))
        return;
    uint32_t from = cpu->reg[EMU_ESI] + cpu->segment[op->segment].base;
    uint32_t to = cpu->reg[EMU_EDI] + cpu->segment[EMU_ES].base;
    const uint8_t *source = emu_view_read(cpu, from, op->size);
    uint8_t *target = emu_view_write(cpu, to, op->size);
    if (!source || !target)
        return;
    uint32_t count = bulk_count(cpu, op, from), other = bulk_count(cpu, op, to);
    count = count < other ? count : other;
    size_t size = (size_t)count * op->size;
    /* Upwards into its own source an element repeats: that is for the loop. */
    if ((uintptr_t)target - (uintptr_t)source < size)
        return;
    memmove(target, source, size);
    advance_bulk(cpu, op, count, true);
}

static void stos_bulk(struct emu_cpu *cpu, const struct emu_op *op)
{
    if (!bulk_is_possible(cpu, op, EMU_ES, EMU_ACCESS_WRITE))
        return;
    uint32_t to = cpu->reg[EMU_EDI] + cpu->segment[EMU_ES].base;
    uint8_t *target = emu_view_write(cpu, to, op->size);
    if (!target)
        return;
    uint32_t count = bulk_count(cpu, op, to), value = cpu->reg[EMU_EAX];
    if (op->size == 1)
        memset(target, (int)(value & 0xff), count);
    else
        for (uint32_t i = 0; i < count; i++)
            emu_put(target + (size_t)i * op->size, op->size, value);
    advance_bulk(cpu, op, count, false);
}

typedef void bulk_fn(struct emu_cpu *cpu, const struct emu_op *op);

__attribute__((always_inline)) static inline const struct emu_op *
repeat(struct emu_cpu *cpu, const struct emu_op *op, once_fn *once, bulk_fn *bulk,
       bool compares)
{
    uint32_t mask = op->address_mask;
    if (!(op->flags & EMU_OP_REP)) {
        if (!once(cpu, op))
            FAULT;
        NEXT;
    }
    while (cpu->reg[EMU_ECX] & mask) {
        if (bulk) {
            bulk(cpu, op);
            if (!(cpu->reg[EMU_ECX] & mask))
                break;
        }
        if (!once(cpu, op))
            FAULT;
        uint32_t count = (cpu->reg[EMU_ECX] - 1) & mask;
        cpu->reg[EMU_ECX] = (cpu->reg[EMU_ECX] & ~mask) | count;
        cpu->sub++;
        if (!count || (compares && ends_comparison(cpu, op)))
            break;
        if (must_leave(cpu))
            return emu_abandon(cpu, op);
    }
    cpu->sub = 0;
    NEXT;
}

#define DEFINE_STRING(name, bulk, compares)                                            \
    HANDLER(name)                                                                      \
    {                                                                                  \
        return repeat(cpu, op, name##_once, bulk, compares);                           \
    }
DEFINE_STRING(movs, movs_bulk, false)
DEFINE_STRING(stos, stos_bulk, false)
DEFINE_STRING(lods, NULL, false)
DEFINE_STRING(cmps, NULL, true)
DEFINE_STRING(scas, NULL, true)

static const struct emu_op *repeat_port(struct emu_cpu *cpu, const struct emu_op *op,
                                        once_fn *once)
{
    if (!emu_check_io(cpu, port_of(cpu), op->size))
        FAULT;
    emu_sync_clock(cpu, op);
    const struct emu_op *next = repeat(cpu, op, once, NULL, false);
    return next ? emu_leave(cpu, op, emu_next_eip(cpu, op)) : NULL;
}

HANDLER(ins)
{
    return repeat_port(cpu, op, ins_once);
}

HANDLER(outs)
{
    return repeat_port(cpu, op, outs_once);
}
