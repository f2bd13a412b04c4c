/* SPDX-License-Identifier: MIT
 *
 * Running a pc up to a position, a breakpoint or a watchpoint.
 *
 * The machine asks its host for input at each boundary between two slices, and goes no
 * further than where the host says that something is to come; there we stop it.  A
 * watchpoint is noticed behind the access: then we go back to a snapshot from the
 * beginning of the run, step over the slice at hand to learn which step it was, and run
 * once more to the place in front of that.
 */
#include "replay/debug_pc.h"

#include <stdlib.h>
#include <string.h>

enum { STRETCH = 1024 }; /* instructions */

static bool before(struct replay_time a, struct replay_time b)
{
    return replay_time_compare(a, b) < 0;
}

struct replay_time replay_debug_pc_time(void *self)
{
    const struct debug_pc *g = self;
    return (struct replay_time){g->pc->cpu->icount, g->pc->cpu->sub};
}

void replay_debug_pc_note(struct debug_pc *g, enum err err)
{
    if (!err || g->err)
        return;
    g->err = err;
    g->err_time = replay_debug_pc_time(g);
    emu_pc_stop(g->pc);
}

/* ---- the host ---- */

static void console_out(void *self, uint32_t dev, uint8_t byte)
{
    struct debug_pc *g = self;
    if (!g->err && !replay_debug_pc_fits_output(g, dev, byte))
        replay_debug_pc_note(g, ERR_trace_diverged);
}

static bool idle(void *self, uint64_t now, uint64_t deadline, uint64_t *ret_vns)
{
    (void)self, (void)now;
    *ret_vns = deadline;
    return deadline != EMU_NEVER;
}

static void event(void *self, const struct emu_event *e)
{
    struct debug_pc *g = self;
    if (e->type == EMU_EVENT_virtio_complete)
        replay_debug_pc_completed(g, e);
    if (!g->err && !replay_debug_pc_fits(g, e))
        replay_debug_pc_note(g, ERR_trace_diverged);
}

/* Does the processor take an interrupt here, instead of an instruction? */
static bool delivers(const struct emu_cpu *cpu)
{
    bool interrupt =
        cpu->intr && (cpu->eflags & EMU_FLAG_IF) && !(cpu->shadow & EMU_SHADOW_INTR);
    return interrupt || (cpu->shadow & EMU_SHADOW_TRAP);
}

static int compare_linear(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static bool breaks_here(const struct debug_pc *g, struct replay_time here)
{
    const struct emu_cpu *cpu = g->pc->cpu;
    uint32_t linear = cpu->segment[EMU_CS].base + cpu->eip;
    if (!g->heeds_breaks || here.sub || cpu->halted || delivers(cpu) ||
        (g->until->pass_break && replay_time_compare(here, g->started) == 0))
        return false;
    return g->break_count && bsearch(&linear, g->break_linear, g->break_count,
                                     sizeof *g->break_linear, compare_linear) != NULL;
}

/* Is the run over at this boundary? */
static bool arrived(struct debug_pc *g, struct replay_time here)
{
    g->hit = emu_cpu_take_watch_hit(g->pc->cpu);
    g->kind = REPLAY_STOP_WATCH;
    if (g->hit.met || g->err)
        return true;
    g->kind = REPLAY_STOP_TIME;
    if (!before(here, g->target))
        return true;
    g->kind = REPLAY_STOP_BREAK;
    if (breaks_here(g, here))
        return true;
    g->kind = REPLAY_STOP_INTERRUPT;
    return g->polls && g->until->interrupted &&
           g->until->interrupted(g->until->interrupted_self);
}

static void sooner(struct emu_place *next, struct replay_time time)
{
    struct emu_place place = {.icount = time.icount, .sub = time.sub};
    if (emu_place_before(place, *next))
        *next = place;
}

static bool input_at(void *self, struct emu_place place, struct emu_place *ret_next,
                     struct emu_input *ret_input)
{
    struct debug_pc *g = self;
    const struct emu_cpu *cpu = g->pc->cpu;
    struct replay_time here = {place.icount, place.sub};
    bool more = g->input_next < g->input_count;
    const struct debug_pc_input *input = more ? &g->input[g->input_next] : NULL;
    if (input && !before(here, input->time) && input->id != TRACE_ID_pc_input) {
        *ret_input = replay_debug_pc_fs_input(g);
        return !g->err;
    }
    if (input && !before(here, input->time)) {
        g->input_next++;
        *ret_input = (struct emu_input){.kind = EMU_INPUT_CONSOLE,
                                        .dev = (uint32_t)input->dev,
                                        .data = input->data};
        return true;
    }
    if (arrived(g, here)) {
        emu_pc_stop(g->pc);
        return false;
    }
    g->boundary = here;
    if (input)
        sooner(ret_next, input->time);
    if (before(here, g->end))
        sooner(ret_next, g->end);
    /* A sleep is not cut short, or the positions in it would depend on the way. */
    if (!cpu->halted || delivers(cpu) || g->target.icount != here.icount)
        sooner(ret_next, g->target);
    return false;
}

enum err replay_debug_pc_create(struct debug_pc *g,
                                struct emu_boot_problem *ret_problem)
{
    const struct emu_host host = {g, console_out, input_at, idle, event};
    struct emu_pc_config config = g->setup.config;
    struct arena unpacked;
    config.fs_count = g->setup.has_fs;
    if (config.fs_count) {
        emu_virtio_pci_options_init(&config.fs[0], 0);
        config.fs[0].features = g->setup.fs.features;
    }
    TRY(emu_pc_create(&g->arena, &config, &host, &g->pc));
    g->pc->log_ports = g->setup.log_ports;
    if (config.fs_count)
        TRY(replay_debug_pc_connect(g));
    arena_init(&unpacked, (size_t)512 << 20);
    enum err err =
        emu_boot_load(&unpacked, &g->setup.boot, g->pc, &g->boot_kind, ret_problem);
    arena_fini(&unpacked);
    return err;
}

/* ---- stops ---- */

static void take_watches(struct debug_pc *g, const struct replay_watch *watch,
                         size_t count)
{
    g->watch_count = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t last = watch[i].address + (watch[i].size - 1);
        if (!watch[i].size || watch[i].address > UINT32_MAX)
            continue;
        if (last < watch[i].address || last > UINT32_MAX)
            last = UINT32_MAX;
        g->watch[g->watch_count] = (struct emu_watch){
            .first = (uint32_t)watch[i].address,
            .last = (uint32_t)last,
            .read = watch[i].access & REPLAY_WATCH_READ,
            .write = watch[i].access & REPLAY_WATCH_WRITE,
        };
        g->watch_access[g->watch_count++] = watch[i].access;
    }
}

/* Room for other stops; the machine forgets the old ones. */
static enum err make_room(struct debug_pc *g, size_t break_count, size_t watch_count)
{
    uint32_t *linear = malloc((break_count + 1) * sizeof *linear);
    struct emu_watch *watch = malloc((watch_count + 1) * sizeof *watch);
    unsigned *access = malloc((watch_count + 1) * sizeof *access);
    if (!linear || !watch || !access) {
        free(linear);
        free(watch);
        free(access);
        return ERR_nomem;
    }
    emu_cpu_set_breakpoints(g->pc->cpu, NULL, 0);
    emu_cpu_set_watches(g->pc->cpu, NULL, 0);
    free(g->break_linear);
    free(g->watch);
    free(g->watch_access);
    g->break_linear = linear;
    g->watch = watch;
    g->watch_access = access;
    return ERR_ok;
}

enum err replay_debug_pc_set_stops(void *self, const uint64_t *break_address,
                                   size_t break_count, const struct replay_watch *watch,
                                   size_t watch_count)
{
    struct debug_pc *g = self;
    if (break_count > DEBUG_PC_STOP_MAX || watch_count > DEBUG_PC_STOP_MAX)
        return ERR_limit;
    TRY(make_room(g, break_count, watch_count));
    g->break_count = 0;
    for (size_t i = 0; i < break_count; i++) {
        if (break_address[i] <= UINT32_MAX)
            g->break_linear[g->break_count++] = (uint32_t)break_address[i];
    }
    if (g->break_count)
        qsort(g->break_linear, g->break_count, sizeof *g->break_linear, compare_linear);
    take_watches(g, watch, watch_count);
    return ERR_ok;
}

/* ---- running ---- */

/* Run to a boundary at or behind `target`, or to what is to be heeded. */
static void go(struct debug_pc *g, struct replay_time target, bool breaks, bool watches)
{
    g->target = target;
    g->heeds_breaks = breaks;
    emu_cpu_set_breakpoints(g->pc->cpu, g->break_linear, breaks ? g->break_count : 0);
    emu_cpu_set_watches(g->pc->cpu, g->watch, watches ? g->watch_count : 0);
    enum emu_pc_status status = emu_pc_run(g->pc, UINT64_MAX);
    if (status == EMU_PC_STOPPED)
        return;
    /* The guest has ended: where the trace says, or it is not this one's trace. */
    struct replay_time now = replay_debug_pc_time(g);
    g->hit = emu_cpu_take_watch_hit(g->pc->cpu);
    g->kind = g->hit.met ? REPLAY_STOP_WATCH : REPLAY_STOP_TIME;
    if (!g->err && before(now, target) && before(now, g->end)) {
        g->err = ERR_trace_diverged;
        g->err_time = now;
    }
}

/* Go back to the beginning of the run, and to `time` heeding nothing.  False: it was
 * interrupted on the way. */
static bool go_again(struct debug_pc *g, const struct replay_snapshot *from,
                     struct replay_time time)
{
    replay_debug_pc_load(g, from);
    g->err = ERR_ok;
    g->polls = false;
    if (!before(replay_debug_pc_time(g), time))
        return true;
    g->polls = true;
    go(g, time, false, false);
    g->polls = false;
    return g->kind != REPLAY_STOP_INTERRUPT;
}

/* An access was met in the slice behind `boundary`: to the place in front of it, which
 * is looked for in stretches and then in steps. */
static void find_access(struct debug_pc *g, const struct replay_snapshot *from,
                        struct replay_stop *stop)
{
    static const uint64_t width[] = {STRETCH, 0};
    struct replay_time now = g->boundary;
    bool there = true;
    for (size_t i = 0; there && i < countof(width); i++) {
        there = go_again(g, from, now);
        while (there) {
            now = replay_debug_pc_time(g);
            go(g, (struct replay_time){now.icount + width[i], now.sub + 1}, false,
               true);
            if (g->hit.met || g->err)
                break;
        }
        check(!there || g->hit.met);
    }
    struct emu_watch_hit hit = g->hit;
    there = there && go_again(g, from, now);
    stop->kind = there ? REPLAY_STOP_WATCH : REPLAY_STOP_INTERRUPT;
    if (there) {
        stop->address = hit.address;
        stop->access = g->watch_access[hit.index];
    }
}

static enum err run_from(struct debug_pc *g, const struct replay_until *until,
                         const struct replay_snapshot *from, struct replay_stop *stop)
{
    bool watches = until->stops && g->watch_count;
    struct replay_time now = replay_debug_pc_time(g);
    bool passed = watches && until->pass_watch;
    if (passed)
        go(g, (struct replay_time){now.icount, now.sub + 1}, false, false);
    if (!g->err && (!passed || before(replay_debug_pc_time(g), until->time)))
        go(g, until->time, until->stops, watches);
    stop->kind = g->kind;
    if (g->hit.met) {
        find_access(g, from, stop);
        return ERR_ok;
    }
    enum err err = g->err;
    if (err) {
        struct replay_time time = g->err_time;
        (void)go_again(g, from, time);
    }
    return err;
}

enum err replay_debug_pc_run(void *self, const struct replay_until *until,
                             struct replay_stop *ret_stop)
{
    struct debug_pc *g = self;
    struct replay_snapshot *from = NULL;
    struct replay_page_list written;
    enum err err = ERR_ok;
    *ret_stop = (struct replay_stop){.kind = REPLAY_STOP_TIME};
    g->until = until;
    g->err = ERR_ok;
    g->hit.met = false;
    g->polls = true;
    g->started = replay_debug_pc_time(g);
    if (before(g->started, until->time)) {
        err = replay_debug_pc_save(g, &from, &written);
        if (!err)
            err = run_from(g, until, from, ret_stop);
        if (from)
            replay_debug_pc_drop(g, from);
    }
    ret_stop->time = replay_debug_pc_time(g);
    return err;
}
