/* SPDX-License-Identifier: MIT
 *
 * Life of a processor: creation, reset, and what is set from outside.
 */
#include "emu/engine.h"

#include "base/err.h"

void emu_cpu_set_intr(struct emu_cpu *cpu, bool raised)
{
    cpu->intr = raised;
}

void emu_cpu_stop(struct emu_cpu *cpu)
{
    cpu->stop = true;
}

uint64_t emu_cpu_vns(const struct emu_cpu *cpu)
{
    return cpu->icount * cpu->config.ns_per_insn + cpu->halted_ns;
}

void emu_cpu_set_breakpoints(struct emu_cpu *cpu, const uint32_t *linear, size_t count)
{
    cpu->engine->breakpoints = linear;
    cpu->engine->breakpoint_count = count;
}

/* Set bits [first, last] modulo their number, a power of two. */
static void set_bits(uint64_t *bits, uint32_t number, uint32_t first, uint32_t last)
{
    uint32_t count = last - first < number ? last - first + 1 : number;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bit = (first + i) & (number - 1);
        bits[bit / 64] |= UINT64_C(1) << bit % 64;
    }
}

void emu_cpu_set_watches(struct emu_cpu *cpu, const struct emu_watch *watch,
                         size_t count)
{
    struct emu_engine *e = cpu->engine;
    if (!count && !e->watch_count)
        return;
    e->watches = watch;
    e->watch_count = count;
    e->watch_hit = (struct emu_watch_hit){0};
    memset(e->watch_lines, 0, sizeof e->watch_lines);
    memset(e->watch_pages, 0, sizeof e->watch_pages);
    for (size_t i = 0; i < count; i++) {
        const uint32_t first = watch[i].first, last = watch[i].last;
        set_bits(e->watch_lines, EMU_WATCH_LINES, first >> EMU_WATCH_LINE_SHIFT,
                 last >> EMU_WATCH_LINE_SHIFT);
        set_bits(e->watch_pages, EMU_WATCH_PAGES, first / EMU_PAGE_SIZE,
                 last / EMU_PAGE_SIZE);
    }
    emu_views_flush(cpu); /* watched pages get none */
}

struct emu_watch_hit emu_cpu_take_watch_hit(struct emu_cpu *cpu)
{
    struct emu_watch_hit hit = cpu->engine->watch_hit;
    cpu->engine->watch_hit = (struct emu_watch_hit){0};
    return hit;
}

void emu_cpu_flush_code(struct emu_cpu *cpu)
{
    emu_cache_flush(cpu);
    memset(cpu->engine->singles, 0, sizeof cpu->engine->singles);
}

void emu_cpu_one_by_one(struct emu_cpu *cpu, bool on)
{
    cpu->engine->one_by_one = on;
}

void emu_cpu_stress(struct emu_cpu *cpu, uint64_t seed)
{
    cpu->engine->stress = seed;
}

const struct emu_undefined *emu_cpu_undefined(const struct emu_cpu *cpu)
{
    return &cpu->engine->undefined;
}

void emu_cpu_loaded(struct emu_cpu *cpu)
{
    cpu->reg[EMU_NO_REGISTER] = 0;
    cpu->eflags |= 2;
    for (unsigned i = 0; i < EMU_SEGMENT_COUNT; i++) {
        struct emu_segment s = cpu->segment[i];
        emu_install_segment(cpu, i, &s);
    }
    emu_mode_changed(cpu);
    emu_tlb_loaded(cpu);
    emu_set_arithmetic(cpu, cpu->eflags);
}

void emu_cpu_reset(struct emu_cpu *cpu)
{
    static const uint8_t data[] = {EMU_ES, EMU_SS, EMU_DS, EMU_FS, EMU_GS};
    memset(cpu->reg, 0, sizeof cpu->reg);
    cpu->reg[EMU_EDX] = 0x633;
    cpu->eip = 0xfff0;
    cpu->eflags = 2;
    cpu->cr0 = EMU_CR0_ET;
    cpu->cr2 = cpu->cr3 = cpu->cr4 = 0;
    memset(cpu->dr, 0, sizeof cpu->dr);
    cpu->dr[6] = 0xffff0ff0;
    cpu->dr[7] = 0x400;
    cpu->gdtr = (struct emu_table){.limit = 0xffff};
    cpu->idtr = (struct emu_table){.limit = 0x3ff};
    cpu->tsc_offset = 0;
    cpu->sysenter_cs = cpu->sysenter_esp = cpu->sysenter_eip = 0;
    cpu->shadow = 0;
    cpu->halted = false;
    cpu->halted_ns = cpu->icount = cpu->sub = 0;
    emu_fpu_init(&cpu->fpu);
    memset(cpu->itlb, 0, sizeof cpu->itlb);
    memset(cpu->dtlb, 0, sizeof cpu->dtlb);
    cpu->intr = false;
    emu_cpu_set_segment(cpu, EMU_CS, 0xf000, 0xf0000, 0xffff, 0x93);
    for (unsigned i = 0; i < countof(data); i++)
        emu_cpu_set_segment(cpu, data[i], 0, 0, 0xffff, 0x93);
    emu_cpu_set_segment(cpu, EMU_LDTR, 0, 0, 0xffff, 0x82);
    emu_cpu_set_segment(cpu, EMU_TR, 0, 0, 0xffff, 0x8b);
    emu_cpu_loaded(cpu);
}

enum err emu_cpu_create(struct arena *arena, const struct emu_cpu_config *config,
                        struct emu_ram *ram, const struct emu_cpu_bus *bus,
                        size_t cache_size, struct emu_cpu **ret_cpu)
{
    if (config->ns_per_insn < 1 || config->ns_per_insn > 1000 ||
        (config->features & ~EMU_FEATURES_ALL))
        return ERR_usage;
    struct emu_cpu *cpu = arena_new(arena, struct emu_cpu);
    struct emu_engine *engine = arena_new(arena, struct emu_engine);
    if (!cpu || !engine)
        return ERR_nomem;
    cpu->config = *config;
    cpu->bus = *bus;
    cpu->ram = ram;
    cpu->engine = engine;
    cpu->engine->fault.vector = EMU_VECTOR_NONE;
    TRY(emu_cache_create(arena, cpu, cache_size));
    emu_cpu_reset(cpu);
    *ret_cpu = cpu;
    return ERR_ok;
}
