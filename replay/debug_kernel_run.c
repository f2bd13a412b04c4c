/* SPDX-License-Identifier: MIT
 *
 * Running a kernel up to a position, a breakpoint or a watchpoint.
 *
 * As for a single program (debug_pvm_run.c) an engine runs for as much gas as cannot
 * pass the position, and the last instructions are single steps.  Here every frame has
 * its own program and memory, so that stops are set in those when they run.
 */
#include "replay/debug_kernel.h"
#include "replay/debug_pvm.h"

#include "trace/ledger.h"
#include "trace/trace.h"

#include <stdlib.h>
#include <string.h>

/* Gas of one run of the engine: between two of them we look for an interrupt. */
enum { SLICE_GAS = 1 << 20, STEPS_PER_POLL = 4096, RATIO_ONE = 16, PREFIX_MIN = 4 };

/* ---- which instances stops are for ---- */

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool begins_with(const struct hash256 *hash, const char *digits)
{
    for (size_t i = 0; digits[i]; i++) {
        unsigned nibble = i % 2 ? hash->byte[i / 2] & 15u : hash->byte[i / 2] >> 4;
        if (digit_of(digits[i]) != (int)nibble)
            return false;
    }
    return true;
}

static bool is_meant(const struct debug_kernel *g, const struct kernel_frame_view *view,
                     uint32_t depth)
{
    switch (g->only) {
    case DEBUG_KERNEL_PROGRAM:
        return g->frame[depth].prog == g->only_number;
    case DEBUG_KERNEL_DEPTH:
        return depth == g->only_number;
    case DEBUG_KERNEL_HASH:
        return begins_with(&view->called, g->only_text) ||
               begins_with(&view->chain, g->only_text) ||
               begins_with(&view->image, g->only_text);
    case DEBUG_KERNEL_ANY:
    default:
        return true;
    }
}

static bool number_of(const char *text, uint64_t *ret_number)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    *ret_number = strtoull(text, &end, 0);
    return !*end;
}

static bool is_prefix(const char *text)
{
    size_t size = 0;
    while (digit_of(text[size]) >= 0)
        size++;
    return !text[size] && size >= PREFIX_MIN && size <= 2 * (size_t)HASH256_SIZE;
}

bool replay_debug_kernel_restrict(void *self, const char *text)
{
    static const char program[] = "program:", depth[] = "depth:";
    struct debug_kernel *g = self;
    uint64_t number = 0;
    if (strcmp(text, "any") == 0)
        g->only = DEBUG_KERNEL_ANY;
    else if (strncmp(text, program, strlen(program)) == 0 &&
             number_of(text + strlen(program), &number))
        g->only = DEBUG_KERNEL_PROGRAM;
    else if (strncmp(text, depth, strlen(depth)) == 0 &&
             number_of(text + strlen(depth), &number))
        g->only = DEBUG_KERNEL_DEPTH;
    else if (is_prefix(text))
        g->only = DEBUG_KERNEL_HASH;
    else
        return false;
    g->only_number = number;
    memset(g->only_text, 0, sizeof g->only_text);
    memcpy(g->only_text, text, strlen(text) < sizeof g->only_text ? strlen(text) : 0);
    return true;
}

/* ---- stops ---- */

static int compare_break(const void *a, const void *b)
{
    const struct debug_break *x = a, *y = b;
    if (x->prog != y->prog)
        return x->prog < y->prog ? -1 : 1;
    return (x->pc > y->pc) - (x->pc < y->pc);
}

static bool breaks_at(const struct debug_kernel *g, uint32_t prog, uint32_t pc)
{
    const struct debug_break key = {prog, pc};
    return g->break_count &&
           bsearch(&key, g->brk, g->break_count, sizeof *g->brk, compare_break) != NULL;
}

/* Set the breakpoints of a program, or clear them. */
static void break_all(const struct debug_kernel *g, uint32_t prog,
                      const struct kernel_frame_view *view, bool on)
{
    size_t low = 0, high = g->break_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (g->brk[middle].prog < prog)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < g->break_count && g->brk[low].prog == prog; low++) {
        /* What is no instruction is never reached. */
        (void)!pvm_program_break(view->program, view->program_arena, g->brk[low].pc,
                                 on);
    }
}

static void arm_program(struct debug_kernel *g, uint32_t prog,
                        const struct kernel_frame_view *view, uint32_t generation)
{
    struct debug_kernel_program *p = &g->program[prog];
    if (p->serial != view->program_serial) {
        p->serial = view->program_serial;
        p->armed = 0;
    }
    if (p->armed == generation)
        return;
    break_all(g, prog, view, generation != 0);
    p->armed = generation;
}

/* Make the frame that runs next heed the stops, or forget them. */
static bool arm(struct debug_kernel *g, const struct kernel_frame_view *view,
                uint32_t depth)
{
    struct debug_kernel_frame *frame = &g->frame[depth];
    bool on = g->until->stops && is_meant(g, view, depth);
    uint32_t generation = on ? g->generation : 0;
    arm_program(g, frame->prog, view, generation);
    if (frame->armed != generation && view->state->mem)
        pvm_mem_watch(view->state->mem, on ? g->watch : NULL, on ? g->watch_count : 0);
    frame->armed = generation;
    return on;
}

/* Forget all stops wherever they are set. */
static void disarm(struct debug_kernel *g)
{
    struct kernel_frame_view view;
    for (uint32_t i = 0; i < g->frame_count; i++) {
        (void)kernel_frame_look(g->kernel, i, &view);
        if (g->frame[i].armed && view.state->mem)
            pvm_mem_watch(view.state->mem, NULL, 0);
        g->frame[i].armed = 0;
    }
    for (size_t i = 0; i < g->program_count; i++) {
        struct debug_kernel_program *p = &g->program[i];
        if (p->armed && kernel_program_look(g->kernel, &p->image, &view) &&
            view.program_serial == p->serial)
            break_all(g, (uint32_t)i, &view, false);
        p->armed = 0;
    }
}

enum err replay_debug_kernel_set_stops(void *self, const uint64_t *break_address,
                                       size_t break_count,
                                       const struct replay_watch *watches,
                                       size_t watch_count)
{
    struct debug_kernel *g = self;
    if (break_count > DEBUG_KERNEL_BREAK_MAX || watch_count > DEBUG_KERNEL_WATCH_MAX)
        return ERR_limit;
    struct debug_break *brk = malloc((break_count + 1) * sizeof *brk);
    struct pvm_watch *own = malloc((watch_count + 1) * sizeof *own);
    if (!brk || !own) {
        free(brk);
        free(own);
        return ERR_nomem;
    }
    disarm(g);
    free(g->brk);
    free(g->watch);
    g->brk = brk;
    g->watch = own;
    g->break_count = g->watch_count = 0;
    for (size_t i = 0; i < break_count; i++) {
        uint64_t prog = break_address[i] / DEBUG_KERNEL_CODE_BASE - 1;
        if (prog < g->program_count)
            brk[g->break_count++] =
                (struct debug_break){(uint32_t)prog, (uint32_t)break_address[i]};
    }
    if (g->break_count)
        qsort(brk, g->break_count, sizeof *brk, compare_break);
    for (size_t i = 0; i < watch_count; i++)
        g->watch_count += replay_debug_pvm_watch(&watches[i], &own[g->watch_count]);
    g->generation++;
    return ERR_ok;
}

/* ---- ecalls ---- */

static bool meets(struct debug_kernel *g, const struct pvm_state *state,
                  struct kernel_range range, unsigned access)
{
    if (!range.size)
        return false;
    const struct pvm_watch *hit =
        pvm_mem_watched(state->mem, range.address, range.size, access);
    if (!hit)
        return false;
    g->stop.address = range.address > hit->first ? range.address : hit->first;
    g->stop.access = hit->access;
    return true;
}

static enum pvm_answer on_ecall(void *self, struct pvm_state *state, enum pvm_exit kind,
                                uint64_t number, uint32_t pc,
                                struct pvm_outcome *ret_outcome)
{
    struct debug_kernel *g = self;
    struct kernel_touch touch = {.read = {0, 0}};
    g->served = g->watched = false;
    if (g->testing)
        touch = kernel_ecall_touches(g->kernel, state, number);
    if (meets(g, state, touch.read, PVM_WATCH_LOAD) ||
        meets(g, state, touch.written, PVM_WATCH_STORE)) {
        g->watched = true;
        kernel_ecall_undo(g->kernel, state, pc);
        *ret_outcome = (struct pvm_outcome){.exit = PVM_EXIT_STOPPED};
        return PVM_ANSWER_EXIT;
    }
    enum pvm_answer answer =
        kernel_serve(g->kernel, state, kind, number, pc, ret_outcome);
    g->served = answer == PVM_ANSWER_EXIT;
    g->err = g->failed = kernel_aborted(g->kernel);
    return answer;
}

static bool on_deadline(void *self, struct pvm_state *state, int64_t *ret_gas_stop)
{
    (void)self;
    (void)state;
    (void)ret_gas_stop;
    return false;
}

/* ---- exits ---- */

/* What a BREAK exit stands for: by a breakpoint, or by the access. */
static void name_stop(struct debug_kernel *g, const struct kernel_frame_view *view,
                      uint32_t depth, bool pass_break)
{
    if (!pass_break && breaks_at(g, g->frame[depth].prog, view->state->pc))
        g->stop.kind = REPLAY_STOP_BREAK;
    else
        replay_debug_pvm_watch_met(view->program, view->state, &g->stop);
}

/* The invocation is over, or pauses.  True: the run ends here, in front of what did
 * that or behind it. */
static bool invocation_exit(struct debug_kernel *g, struct pvm_outcome exit)
{
    bool retired = g->served || exit.exit == PVM_EXIT_HALT;
    if (retired) { /* a position of its own, with all that the frame holds */
        g->place.mode = DEBUG_KERNEL_PENDING;
        g->place.exit = exit;
        replay_debug_kernel_follow(g); /* a yield has pushed a reference */
        return false;
    }
    if (!debug_kernel_ahead(g)) {
        struct replay_time now = replay_debug_kernel_time(g);
        g->stop.kind = REPLAY_STOP_TIME;
        if (replay_time_compare(now, g->until->time) < 0 &&
            replay_time_compare(g->until->time, g->end) <= 0)
            g->err = ERR_trace_diverged;
        return true;
    }
    g->place.mode = DEBUG_KERNEL_PENDING;
    g->place.exit = exit;
    g->err = replay_debug_kernel_next(g);
    if (g->err && g->place.mode == DEBUG_KERNEL_PENDING)
        g->place.mode = DEBUG_KERNEL_RUNS;
    return g->err != ERR_ok;
}

/* A frame has left its run; what comes next is another frame's. */
static bool frame_exit(struct debug_kernel *g, struct pvm_outcome exit, uint32_t depth)
{
    if (kernel_exit_ends(g->kernel, exit))
        return invocation_exit(g, exit);
    if (exit.exit == PVM_EXIT_HALT)
        replay_debug_kernel_leave(g, depth);
    if (!kernel_exit_act(g->kernel, exit))
        g->place.mode = DEBUG_KERNEL_IDLE;
    replay_debug_kernel_follow(g);
    return false;
}

/* True: stopped; else go on. */
static bool stopped(struct debug_kernel *g, const struct kernel_frame_view *view,
                    uint32_t depth, struct pvm_outcome exit, bool pass_break)
{
    if (g->watched) {
        g->stop.kind = REPLAY_STOP_WATCH;
        return true;
    }
    if (g->err)
        return true;
    if (exit.exit == PVM_EXIT_BREAK) {
        name_stop(g, view, depth, pass_break);
        return true;
    }
    if (exit.exit == PVM_EXIT_STOPPED)
        return false;
    return frame_exit(g, exit, depth);
}

/* ---- one stretch ---- */

struct pass {
    bool stop_break, watch; /* not to be heeded by the first instruction */
};

/* One instruction.  True: stopped, in front of it or because of it. */
static bool step(struct debug_kernel *g, const struct kernel_frame_view *view,
                 uint32_t depth, struct pass pass)
{
    struct pvm_outcome exit = {.exit = PVM_EXIT_STOPPED};
    struct pvm_state *state = view->state;
    uint32_t pc = state->pc;
    bool armed = arm(g, view, depth);
    bool unwatch = pass.watch && armed && g->watch_count && state->mem;
    if (armed && !pass.stop_break && breaks_at(g, g->frame[depth].prog, pc)) {
        g->stop.kind = REPLAY_STOP_BREAK;
        return true;
    }
    g->testing = armed && !pass.watch;
    g->watched = g->served = false;
    if (unwatch)
        pvm_mem_watch(state->mem, NULL, 0);
    bool goes_on = kernel_step_piece(g->kernel, &exit);
    bool ecall = exit.exit == PVM_EXIT_HOST_CALL || exit.exit == PVM_EXIT_ECALL;
    if (!goes_on && ecall)
        goes_on =
            on_ecall(g, state, exit.exit, exit.arg, pc, &exit) == PVM_ANSWER_CONTINUE &&
            !g->err;
    if (unwatch)
        pvm_mem_watch(state->mem, g->watch, g->watch_count);
    return !goes_on && stopped(g, view, depth, exit, true);
}

static bool run_slice(struct debug_kernel *g, const struct kernel_frame_view *view,
                      uint32_t depth, uint64_t gas)
{
    const struct pvm_host host = {.ecall = on_ecall, .self = g};
    uint64_t clock = debug_kernel_clock(g), left = kernel_gas(g->kernel);
    uint64_t ahead = g->until->gas > clock ? g->until->gas - clock : 0;
    gas = gas < ahead ? gas : ahead;
    struct pvm_observer observer = {
        .self = g,
        .deadline = on_deadline,
        .gas_stop = gas > left ? PVM_GAS_STOP_NEVER : (int64_t)(left - gas),
    };
    g->testing = arm(g, view, depth);
    g->watched = g->served = false;
    struct pvm_outcome exit = kernel_run_piece(g->kernel, &host, &observer);
    return stopped(g, view, depth, exit, false);
}

/* Work out how instructions relate to gas in a program. */
static enum err measure(struct debug_kernel_program *p, const struct pvm_program *from)
{
    struct buf table;
    struct arena arena;
    struct trace_blocks blocks;
    buf_init(&table, (size_t)1 << 30);
    arena_init(&arena, (size_t)2 << 30);
    pvm_program_put_blocks(from, 0, &table);
    enum err err = table.err;
    if (!err)
        err = trace_blocks_parse(&arena, buf_bytes(&table), &blocks);
    uint64_t most = RATIO_ONE, longest = 1;
    for (size_t i = 0; !err && i < blocks.count; i++) {
        const struct trace_block *block = &blocks.block[i];
        uint64_t ratio = UINT64_MAX / RATIO_ONE; /* free: single steps */
        if (block->cost)
            ratio = ((uint64_t)block->insn_count * RATIO_ONE + block->cost - 1) /
                    block->cost;
        most = ratio > most ? ratio : most;
        longest = block->insn_count > longest ? block->insn_count : longest;
    }
    arena_fini(&arena);
    buf_fini(&table);
    if (err)
        return err;
    p->insns_per_gas_16 = most;
    p->insns_max = longest;
    return ERR_ok;
}

/* Gas that can be spent without passing the position; 0: step.  Paid for already is
 * what is left of a block, and the last block that is entered may be the longest.  A
 * run that enters a block in its middle has been measured by nobody. */
static uint64_t gas_before(const struct debug_kernel *g,
                           const struct kernel_frame_view *view,
                           const struct debug_kernel_program *p)
{
    const struct pvm_state *state = view->state;
    uint64_t left = g->until->time.icount - kernel_icount(g->kernel);
    uint64_t over = p->insns_max * (state->charged ? 2 : 1);
    if (left <= over || kernel_gas(g->kernel) > INT64_MAX ||
        (!state->charged && !pvm_program_block_start(view->program, state->pc)))
        return 0;
    left -= over;
    uint64_t gas = left > UINT64_MAX / RATIO_ONE
                       ? SLICE_GAS
                       : left * RATIO_ONE / p->insns_per_gas_16;
    return gas < SLICE_GAS ? gas : SLICE_GAS;
}

/* Run the frame for a while.  True: stopped. */
static bool run_frame(struct debug_kernel *g, struct pass pass, bool *ret_stepped)
{
    struct kernel_frame_view view;
    uint32_t depth;
    const struct debug_kernel_frame *frame =
        replay_debug_kernel_shown(g, &view, &depth);
    if (!frame || frame->prog == DEBUG_KERNEL_NO_PROGRAM) {
        g->err = ERR_trace_diverged;
        return true;
    }
    struct debug_kernel_program *p = &g->program[frame->prog];
    if (!p->insns_max)
        g->err = measure(p, view.program);
    if (g->err)
        return true;
    uint64_t gas = pass.stop_break || pass.watch ? 0 : gas_before(g, &view, p);
    *ret_stepped = !gas;
    return gas ? run_slice(g, &view, depth, gas) : step(g, &view, depth, pass);
}

/* Nothing runs between two invocations.  True: there is no other one. */
static bool run_next(struct debug_kernel *g)
{
    if (!debug_kernel_ahead(g)) {
        g->stop.kind = REPLAY_STOP_TIME;
        if (replay_time_compare(replay_debug_kernel_time(g), g->end) < 0)
            g->err = ERR_trace_diverged;
        return true;
    }
    g->err = replay_debug_kernel_next(g);
    return g->err != ERR_ok;
}

/* Is the run over here? */
static bool arrived(struct debug_kernel *g, bool poll)
{
    const struct replay_until *until = g->until;
    struct kernel_frame_view view;
    uint32_t depth;
    g->stop.kind = REPLAY_STOP_TIME;
    if (replay_time_compare(replay_debug_kernel_time(g), until->time) >= 0)
        return true;
    kernel_charge_undo(g->kernel);
    bool inside = replay_debug_kernel_shown(g, &view, &depth) && view.state->charged;
    if (!inside && debug_kernel_clock(g) >= until->gas)
        return true;
    g->stop.kind = REPLAY_STOP_INTERRUPT;
    return poll && until->interrupted && until->interrupted(until->interrupted_self);
}

enum err replay_debug_kernel_run(void *self, const struct replay_until *until,
                                 struct replay_stop *ret_stop)
{
    struct debug_kernel *g = self;
    struct pass pass = {until->pass_break, until->pass_watch};
    unsigned steps = 0;
    bool over = false, stepped = false;
    g->until = until;
    g->stop = (struct replay_stop){0};
    g->err = g->failed;
    while (!g->err && !over && !arrived(g, steps % STEPS_PER_POLL == 0)) {
        bool runs = g->place.mode == DEBUG_KERNEL_RUNS;
        over = runs ? run_frame(g, pass, &stepped) : run_next(g);
        steps = runs && stepped ? steps + 1 : 0;
        pass = (struct pass){false, false};
    }
    kernel_charge_undo(g->kernel);
    g->stop.time = replay_debug_kernel_time(g);
    *ret_stop = g->stop;
    return g->err;
}
