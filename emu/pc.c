/* SPDX-License-Identifier: MIT
 *
 * The run loop: due timers, due input, then the processor up to the next thing that is
 * due (machine.md 5.3), or time jumps while it sleeps (5.4).
 */
#include "emu/pc.h"

#include <string.h>

enum { SLICE_MAX = 65536 }; /* steps between two looks at the host (5.5) */
enum { IRQ_TIMER = 0, IRQ_COM1 = 4, IRQ_RTC = 8, IRQ_FPU = 13 };

#define CACHE_SIZE ((size_t)64 << 20)
#define EPOCH UINT64_C(1700000000000000000)

void emu_pc_config_init(struct emu_pc_config *config)
{
    *config = (struct emu_pc_config){.ram_size = 128u << 20,
                                     .ns_per_insn = 10,
                                     .cpu = EMU_FEATURES_ALL,
                                     .epoch = EPOCH,
                                     .cache_size = CACHE_SIZE};
}

struct emu_place emu_pc_place(const struct emu_pc *pc)
{
    return (struct emu_place){.icount = pc->cpu->icount, .sub = pc->cpu->sub};
}

struct emu_place emu_pc_place_at(const struct emu_pc *pc, uint64_t vns)
{
    uint64_t left = vns - emu_cpu_vns(pc->cpu), ns = pc->config.ns_per_insn;
    if (pc->cpu->halted)
        return (struct emu_place){pc->cpu->icount, pc->cpu->sub + left};
    return (struct emu_place){pc->cpu->icount + left / ns + (left % ns != 0), 0};
}

uint64_t emu_pc_now_ns(void *self)
{
    const struct emu_pc *pc = self;
    return pc->config.epoch + emu_cpu_vns(pc->cpu);
}

/* ---- interrupts ---- */

void emu_pc_update_lines(struct emu_pc *pc)
{
    uint16_t pci = emu_pci_lines(&pc->pci);
    emu_pics_set_line(&pc->pics, IRQ_COM1, emu_uart_line(&pc->uart));
    emu_pics_set_line(&pc->pics, IRQ_RTC, emu_rtc_line(&pc->rtc));
    emu_pics_set_line(&pc->pics, 10, pci >> 10 & 1);
    emu_pics_set_line(&pc->pics, 11, pci >> 11 & 1);
    emu_pics_set_line(&pc->pics, IRQ_FPU, pc->system.fpu_error);
    emu_cpu_set_intr(pc->cpu, emu_pics_intr(&pc->pics));
}

static void lines_changed(void *self)
{
    emu_pc_update_lines(self);
}

static uint8_t acknowledge(void *self)
{
    struct emu_pc *pc = self;
    unsigned irq;
    uint8_t vector = emu_pics_acknowledge(&pc->pics, &irq);
    emu_cpu_set_intr(pc->cpu, emu_pics_intr(&pc->pics));
    pc->host.event(
        pc->host.self,
        &(struct emu_event){.type = EMU_EVENT_irq, .line = irq, .vector = vector});
    return vector;
}

static void fpu_error(void *self)
{
    struct emu_pc *pc = self;
    pc->system.fpu_error = true;
    emu_pc_update_lines(pc);
}

void emu_pc_end(struct emu_pc *pc, enum emu_reset_cause cause, uint32_t code)
{
    pc->cause = cause;
    pc->code = code;
    pc->host.event(pc->host.self,
                   &(struct emu_event){.type = EMU_EVENT_reset, .cause = cause});
    emu_cpu_stop(pc->cpu);
}

void emu_pc_stop(struct emu_pc *pc)
{
    pc->stop = true;
    emu_cpu_stop(pc->cpu);
}

/* ---- time ---- */

static uint64_t deadline(const struct emu_pc *pc)
{
    return pc->pit_deadline < pc->rtc_deadline ? pc->pit_deadline : pc->rtc_deadline;
}

void emu_pc_update_deadlines(struct emu_pc *pc)
{
    pc->pit_deadline = emu_pit_deadline(&pc->pit);
    pc->rtc_deadline = emu_rtc_deadline(&pc->rtc, emu_cpu_vns(pc->cpu));
    if (deadline(pc) < pc->slice_end)
        emu_cpu_stop(pc->cpu);
}

/* What is due at this boundary, in device order (T4). */
static void fire_timers(struct emu_pc *pc)
{
    uint64_t vns = emu_cpu_vns(pc->cpu);
    if (vns < deadline(pc))
        return;
    if (emu_pit_take_edge(&pc->pit, vns)) {
        emu_pics_set_line(&pc->pics, IRQ_TIMER, false);
        emu_pics_set_line(&pc->pics, IRQ_TIMER, true);
    }
    if (vns >= pc->rtc_deadline)
        emu_rtc_update(&pc->rtc, vns);
    emu_pc_update_lines(pc);
    pc->slice_end = 0;
    emu_pc_update_deadlines(pc);
}

/* Apply what the host has; *ret_next is where it knows more (UINT64_MAX: nowhere). */
static void take_inputs(struct emu_pc *pc, struct emu_place *ret_next)
{
    struct emu_input input;
    for (;;) {
        ret_next->icount = ret_next->sub = UINT64_MAX;
        if (!pc->host.input_at(pc->host.self, emu_pc_place(pc), ret_next, &input))
            return;
        if (input.kind == EMU_INPUT_CONSOLE && input.dev == 0)
            (void)emu_uart_receive(&pc->uart, input.data.data, input.data.size);
        else if (input.kind == EMU_INPUT_CALL)
            input.call(input.call_self);
        emu_pc_update_lines(pc);
    }
}

/* Let virtual time jump to `vns`; the processor sleeps. */
static void skip_to(struct emu_pc *pc, uint64_t vns)
{
    uint64_t jump = vns - emu_cpu_vns(pc->cpu);
    pc->cpu->halted_ns += jump;
    pc->cpu->sub += jump;
}

/* The next deadline whose interrupt the controllers would let through.  While the
 * processor sleeps nobody opens a mask, so the others cannot end the sleep; they are
 * caught up with afterwards. */
static uint64_t alarm(const struct emu_pc *pc)
{
    const struct emu_pic *master = &pc->pics.master, *slave = &pc->pics.slave;
    bool timer = !((master->imr | master->isr) & 1);
    bool clock = !((master->imr | master->isr) & 4) && !((slave->imr | slave->isr) & 1);
    uint64_t pit = timer ? pc->pit_deadline : EMU_NEVER;
    uint64_t rtc = clock ? pc->rtc_deadline : EMU_NEVER;
    return pit < rtc ? pit : rtc;
}

/* Sleep; false if nothing is left to wait for. */
static bool sleep_on(struct emu_pc *pc, struct emu_place next)
{
    uint64_t now = emu_cpu_vns(pc->cpu), until = alarm(pc), vns;
    if (next.icount == pc->cpu->icount && next.sub > pc->cpu->sub &&
        next.sub - pc->cpu->sub < until - now)
        until = now + (next.sub - pc->cpu->sub);
    if (!pc->host.idle(pc->host.self, now, until, &vns))
        return false;
    check(vns >= now && vns <= until);
    skip_to(pc, vns);
    return true;
}

/* ---- the loop ---- */

/* Where the processor has to stop next. */
static struct emu_place slice(struct emu_pc *pc, uint64_t limit, struct emu_place next)
{
    uint64_t vns = emu_cpu_vns(pc->cpu), icount = pc->cpu->icount, due = deadline(pc);
    struct emu_place end = {.icount = limit, .sub = 0};
    if (end.icount - icount > SLICE_MAX)
        end.icount = icount + SLICE_MAX;
    if (due != EMU_NEVER) {
        uint64_t ns = pc->config.ns_per_insn, steps = (due - vns + ns - 1) / ns;
        if (end.icount - icount > steps)
            end.icount = icount + steps;
    }
    if (emu_place_before(next, end))
        end = next;
    pc->slice_end = vns + (end.icount - icount) * pc->config.ns_per_insn;
    return end;
}

static bool can_wake(const struct emu_pc *pc)
{
    return pc->cpu->intr && pc->cpu->eflags & EMU_FLAG_IF;
}

/* No room for another slice on the virtual clock (B16). */
static bool clock_ends(const struct emu_pc *pc)
{
    uint64_t room = (uint64_t)SLICE_MAX * pc->config.ns_per_insn;
    return emu_cpu_vns(pc->cpu) > UINT64_MAX - pc->config.epoch - room;
}

static void run_slice(struct emu_pc *pc, struct emu_place end)
{
    enum emu_run_reason reason = emu_cpu_run_to(pc->cpu, end);
    pc->slice_end = 0;
    if (reason == EMU_RUN_TRIPLE_FAULT)
        emu_pc_end(pc, EMU_RESET_TRIPLE_FAULT, 255);
}

enum emu_pc_status emu_pc_run(struct emu_pc *pc, uint64_t limit)
{
    struct emu_place next;
    pc->stop = false;
    for (;;) {
        if (pc->cause != EMU_RESET_NONE)
            return EMU_PC_ENDED;
        fire_timers(pc);
        take_inputs(pc, &next);
        if (pc->stop)
            return EMU_PC_STOPPED;
        if (pc->cpu->icount >= limit)
            return EMU_PC_LIMIT;
        if (clock_ends(pc))
            return EMU_PC_CLOCK;
        if (!pc->cpu->halted || can_wake(pc))
            run_slice(pc, slice(pc, limit, next));
        else if (!(pc->cpu->eflags & EMU_FLAG_IF))
            emu_pc_end(pc, EMU_RESET_POWER_OFF, 0);
        else if (!sleep_on(pc, next))
            return EMU_PC_IDLE;
    }
}

/* ---- creation ---- */

static bool dma_in_ram(void *self, uint64_t pa, uint64_t size)
{
    const struct emu_ram *ram = ((const struct emu_pc *)self)->ram;
    if (size > ram->size || pa > ram->size - size)
        return false;
    return pa + size <= EMU_RAM_HOLE || pa >= EMU_RAM_HOLE_END;
}

static void dma_read(void *self, uint32_t pa, void *to, size_t size)
{
    emu_ram_read(((const struct emu_pc *)self)->ram, pa, to, size);
}

static void dma_write(void *self, uint32_t pa, const void *from, size_t size)
{
    struct emu_pc *pc = self;
    emu_ram_write(pc->ram, pa, from, size);
    emu_cpu_note_device_write(pc->cpu, pa, size);
}

static void virtio_event(void *self, const struct emu_event *event)
{
    struct emu_pc *pc = self;
    pc->host.event(pc->host.self, event);
}

static bool config_good(const struct emu_pc_config *config)
{
    return config->ram_size % (1u << 20) == 0 && config->ram_size >= EMU_RAM_SIZE_MIN &&
           config->ram_size <= EMU_RAM_SIZE_MAX && config->ns_per_insn >= 1 &&
           config->ns_per_insn <= 1000 && !(config->cpu & ~EMU_FEATURES_ALL) &&
           config->fs_count <= EMU_PC_FS_MAX;
}

static void reset(struct emu_pc *pc)
{
    emu_pics_reset(&pc->pics);
    emu_pit_reset(&pc->pit);
    /* OUT is high from the start: the first edge is the end of the first count. */
    emu_pics_set_line(&pc->pics, IRQ_TIMER, emu_pit_line(&pc->pit, 0));
    emu_rtc_reset(&pc->rtc, pc->config.epoch);
    emu_uart_reset(&pc->uart);
    emu_pci_init(&pc->pci);
    for (uint32_t i = 0; i < pc->config.fs_count; i++) {
        struct emu_virtio_pci *fs = &pc->fs[i];
        emu_virtio_pci_init(fs, &pc->pci, &pc->config.fs[i]);
        fs->virtio.dma = (struct emu_dma){pc, dma_in_ram, dma_read, dma_write};
        fs->virtio.event = virtio_event;
        fs->virtio.event_self = pc;
        fs->lines_changed = lines_changed;
        fs->lines_self = pc;
    }
}

void emu_pc_loaded(struct emu_pc *pc)
{
    emu_cpu_loaded(pc->cpu);
    for (uint32_t i = 0; i < pc->config.fs_count; i++)
        emu_virtio_pci_update(&pc->fs[i]);
    emu_pc_update_lines(pc);
    pc->slice_end = 0;
    emu_pc_update_deadlines(pc);
}

enum err emu_pc_create(struct arena *arena, const struct emu_pc_config *config,
                       const struct emu_host *host, struct emu_pc **ret_pc)
{
    if (!config_good(config))
        return ERR_usage;
    struct emu_pc *pc = arena_new(arena, struct emu_pc);
    if (!pc)
        return ERR_nomem;
    pc->config = *config;
    pc->host = *host;
    TRY(emu_ram_create(arena, config->ram_size, &pc->ram));
    const struct emu_cpu_config cpu = {.ns_per_insn = config->ns_per_insn,
                                       .features = config->cpu};
    const struct emu_cpu_bus bus = {pc, emu_pc_port_read, emu_pc_port_write,
                                    acknowledge, fpu_error};
    TRY(emu_cpu_create(arena, &cpu, pc->ram, &bus, config->cache_size, &pc->cpu));
    reset(pc);
    emu_pc_loaded(pc);
    *ret_pc = pc;
    return ERR_ok;
}
