/* SPDX-License-Identifier: MIT
 *
 * A capability kernel under the debugger: opening its trace, registers and memory of
 * the instance that runs.
 */
#include "replay/debug_kernel.h"

#include "base/os.h"
#include "replay/debug_pvm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_MAX ((size_t)1 << 30)
#define EVENT_MEMORY ((size_t)96 << 20)

/* ---- registers and memory ---- */

static void register_get(void *self, unsigned index, uint8_t *ret_bytes)
{
    struct debug_kernel *g = self;
    struct kernel_frame_view view;
    uint32_t depth;
    struct pvm_state state = {.pc = 0};
    uint64_t code_base = DEBUG_KERNEL_CODE_BASE;
    const struct debug_kernel_frame *frame =
        replay_debug_kernel_shown(g, &view, &depth);
    if (frame) {
        state = *view.state;
        state.gas = kernel_gas(g->kernel);
        if (frame->prog != DEBUG_KERNEL_NO_PROGRAM)
            code_base *= (uint64_t)frame->prog + 1;
    }
    replay_debug_pvm_register(&state, code_base, index, ret_bytes);
}

/* The program that has code at this address, and the offset there. */
static const struct debug_kernel_program *code_at(const struct debug_kernel *g,
                                                  uint64_t address, uint32_t *ret_pc)
{
    uint64_t number = address / DEBUG_KERNEL_CODE_BASE;
    *ret_pc = (uint32_t)address;
    return number && number <= g->program_count ? &g->program[number - 1] : NULL;
}

static size_t read_code(const struct debug_kernel *g, uint64_t address, uint8_t *data,
                        size_t size)
{
    uint32_t pc;
    const struct debug_kernel_program *program = code_at(g, address, &pc);
    if (!program || pc >= program->code.code.size)
        return 0;
    size_t count = program->code.code.size - pc;
    count = count < size ? count : size;
    memcpy(data, program->code.code.data + pc, count);
    return count;
}

static size_t memory_read(void *self, uint64_t address, uint8_t *data, size_t size)
{
    struct debug_kernel *g = self;
    struct kernel_frame_view view;
    uint32_t depth;
    if (address >= DEBUG_KERNEL_MEMORY_BASE) {
        uint64_t position = (address - DEBUG_KERNEL_MEMORY_BASE) >> 32;
        if (position >= g->frame_count ||
            !kernel_frame_look(g->kernel, (uint32_t)position, &view) || view.reference)
            return 0;
        return replay_debug_pvm_read(view.state->mem, (uint32_t)address, data, size);
    }
    if (address >= DEBUG_KERNEL_CODE_BASE)
        return read_code(g, address, data, size);
    if (!replay_debug_kernel_shown(g, &view, &depth))
        return 0;
    return replay_debug_pvm_read(view.state->mem, address, data, size);
}

static unsigned disassemble(void *self, uint64_t address, struct buf *text)
{
    const struct debug_kernel *g = self;
    uint32_t pc;
    struct pvm_insn insn;
    const struct debug_kernel_program *program = code_at(g, address, &pc);
    if (!program || !pvm_insn_decode(&program->code, PVM_PROFILE_JAVM, pc, &insn))
        return 0;
    pvm_insn_put_text(&insn, text);
    return insn.size;
}

static bool code(void *self, uint32_t number, struct pvm_code *ret_code,
                 enum pvm_profile *ret_profile)
{
    const struct debug_kernel *g = self;
    if (number >= g->program_count)
        return false;
    *ret_code = g->program[number].code;
    *ret_profile = PVM_PROFILE_JAVM;
    return true;
}

static uint64_t gas_of(void *self)
{
    return debug_kernel_clock(self);
}

static const struct replay_guest_ops ops = {
    .name = "kernel",
    .gdb = "gdb-multiarch",
    .lists_written = true,
    .watch_before = true,
    .has_sub = true,
    .has_gas = true,
    .reg = replay_debug_pvm_reg,
    .reg_count = DEBUG_PVM_REG_COUNT,
    .general_count = DEBUG_PVM_REG_GAS,
    .pc_reg = DEBUG_PVM_REG_PC,
    .code_reg = DEBUG_PVM_REG_PC,
    .sp_reg = DEBUG_PVM_REG_SP,
    .description = replay_debug_pvm_description,
    .register_get = register_get,
    .memory_read = memory_read,
    .time = replay_debug_kernel_time,
    .gas = gas_of,
    .disassemble = disassemble,
    .frames = replay_debug_kernel_list_frames,
    .code_base = DEBUG_KERNEL_CODE_BASE,
    .code = code,
    .stack = {.depth = replay_debug_kernel_depth,
              .put_frames = replay_debug_kernel_put_frames,
              .put_instance = replay_debug_kernel_put_instance,
              .restrict_stops = replay_debug_kernel_restrict},
    .event_time = replay_debug_kernel_event_time,
    .set_stops = replay_debug_kernel_set_stops,
    .run = replay_debug_kernel_run,
    .save = replay_debug_kernel_save,
    .load = replay_debug_kernel_load,
    .drop = replay_debug_kernel_drop,
    .snapshot_memory = replay_debug_kernel_memory,
    .stored = replay_debug_kernel_stored,
    .hash = replay_debug_kernel_hash,
};

/* ---- open ---- */

static void *space_take(void *self)
{
    void *space = NULL;
    (void)self;
    return os_reserve(PVM_MEM_RESERVE_SIZE, &space) ? NULL : space;
}

static void space_give(void *self, void *space)
{
    (void)self;
    os_release(space, PVM_MEM_RESERVE_SIZE);
}

static enum err create_kernel(struct debug_kernel *g)
{
    const struct kernel_config *config = &g->setup.config;
    const struct kernel_host host = {
        .self = g, .space_take = space_take, .space_give = space_give};
    g->frame = arena_new_array(&g->arena, struct debug_kernel_frame, config->max_depth);
    g->written = arena_new_array(&g->arena, uint64_t, PVM_PAGE_COUNT / 64);
    g->page_list = arena_new_array(&g->arena, uint32_t, PVM_PAGE_COUNT);
    g->frame_scratch = arena_alloc(&g->arena, kernel_frame_size(), 16);
    if (!g->frame || !g->written || !g->page_list || !g->frame_scratch)
        return ERR_nomem;
    g->memory_size = kernel_memory_size(config);
    TRY(os_reserve(g->memory_size, &g->memory));
    return kernel_create(&g->arena, config, g->memory, &host, &g->kernel);
}

static enum err read_setup(struct debug_kernel *g, char *message)
{
    struct replay_refusal refusal = {0};
    enum err err = replay_kernel_setup_read(&g->arena, g->reader, &g->setup, &refusal);
    if (err)
        (void)snprintf(message, REPLAY_DEBUG_MESSAGE_SIZE, "%s",
                       refusal.text[0] ? refusal.text : err_text(err));
    return err;
}

void replay_debug_kernel_close(void *self)
{
    struct debug_kernel *g = self;
    if (!g)
        return;
    kernel_close(g->kernel);
    g->kernel = NULL;
    while (g->frame_count) {
        struct debug_kernel_frame *frame = &g->frame[--g->frame_count];
        replay_debug_kernel_frame_end(g, frame);
    }
    if (g->memory)
        os_release(g->memory, g->memory_size);
    for (size_t i = 0; i < g->cap_count; i++)
        free((void *)(uintptr_t)g->cap[i].stored.data);
    free(g->cap);
    free(g->request);
    free(g->program);
    free(g->brk);
    free(g->watch);
    trace_reader_close(g->reader);
    arena_fini(&g->event);
    arena_fini(&g->arena);
    free(g);
}

enum err replay_debug_kernel_open(const struct trace_source *source,
                                  struct replay_debug *debug, char *message)
{
    struct trace_fault fault;
    struct debug_kernel *g = calloc(1, sizeof *g);
    if (!g)
        return ERR_nomem;
    debug->guest.self = g;
    debug->guest.ops = &ops;
    g->source = source;
    arena_init(&g->arena, MEMORY_MAX);
    arena_init(&g->event, EVENT_MEMORY);
    TRY(trace_reader_open(&g->arena, source, NULL, &fault, &g->reader));
    TRY(read_setup(g, message));
    TRY(create_kernel(g));
    TRY(replay_debug_kernel_survey(g, debug, message));
    debug->setup_count = debug->last_seq + 1;
    if (g->place.mode == DEBUG_KERNEL_RUNS) { /* a part that begins in an invocation */
        debug->setup_count = g->base_seq;
    } else if (debug_kernel_ahead(g)) { /* to the first instruction */
        TRY(replay_debug_kernel_next(g));
        debug->setup_count = g->request[g->place.request_next - 1].seq + 1;
    }
    if (trace_checkpoint_list(&g->arena, source, &g->stored))
        g->stored = (struct trace_checkpoint_list){0}; /* they only save time */
    debug->guest.stored = g->stored;
    debug->guest.start = replay_debug_kernel_time(g);
    debug->guest.end = g->end;
    return ERR_ok;
}
