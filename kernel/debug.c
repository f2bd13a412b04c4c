/* SPDX-License-Identifier: MIT
 *
 * A kernel in pieces, for debuggers: frames and runs.
 */
#include "kernel/debug.h"

#include "kernel/internal.h"

#include <string.h>

enum {
#define KCALL(op, name, needs, text) CALL_##name = op,
#include "kernel/ecalls.def"
};

/* ---- frames ---- */

bool kernel_frame_look(struct kernel *kernel, uint32_t position,
                       struct kernel_frame_view *ret_view)
{
    if (position >= kernel->stack_size)
        return false;
    struct frame *frame = &kernel->stack[position];
    if (frame->reference) {
        *ret_view =
            (struct kernel_frame_view){.reference = true, .target = frame->target};
        return true;
    }
    *ret_view = (struct kernel_frame_view){.called = frame->called.hash,
                                           .chain = frame->chain,
                                           .image = frame->image_hash,
                                           .call_slot = frame->call_slot,
                                           .state = &frame->state,
                                           .program = frame->program->program,
                                           .program_serial = frame->program->serial,
                                           .program_arena = &frame->program->arena};
    return true;
}

bool kernel_program_look(struct kernel *kernel, const struct hash256 *image,
                         struct kernel_frame_view *ret_view)
{
    for (uint32_t i = 0; i < kernel->program_count; i++) {
        struct program *p = &kernel->program[i];
        if (!p->program || !hash256_equal(&p->image, image))
            continue;
        *ret_view = (struct kernel_frame_view){.program = p->program,
                                               .program_serial = p->serial,
                                               .program_arena = &p->arena};
        return true;
    }
    return false;
}

bool kernel_frame_slot(const struct kernel *kernel, uint32_t position, uint32_t slot,
                       struct hash256 *ret_hash)
{
    return position < kernel->stack_size && slot < KERNEL_SLOT_COUNT &&
           !kernel->stack[position].reference &&
           kernel_slots_get(&kernel->stack[position].cnode, slot, ret_hash);
}

void kernel_frame_initial(struct kernel *kernel, uint32_t position, uint32_t page,
                          uint8_t ret_bytes[PVM_PAGE_SIZE])
{
    uint64_t start = (uint64_t)page * PVM_PAGE_SIZE;
    struct kernel_cap cap;
    memset(ret_bytes, 0, PVM_PAGE_SIZE);
    check(kernel_find_target(kernel, &kernel->stack[position].called, &cap));
    for (uint32_t i = 0; i < cap.instance.overlay_count; i++) {
        struct kernel_overlay overlay = kernel_instance_overlay(&cap.instance, i);
        if (start < overlay.start ||
            start - overlay.start >= pages_round(overlay.bytes.size))
            continue;
        /* A later one replaces whole pages. */
        uint64_t offset = start - overlay.start, size = overlay.bytes.size - offset;
        memset(ret_bytes, 0, PVM_PAGE_SIZE);
        memcpy(ret_bytes, overlay.bytes.data + offset,
               size < PVM_PAGE_SIZE ? size : PVM_PAGE_SIZE);
    }
}

uint64_t kernel_gas(const struct kernel *kernel)
{
    return kernel->gas;
}

/* ---- runs ---- */

static struct frame *piece_begin(struct kernel *kernel)
{
    struct frame *frame = kernel_top(kernel);
    frame->state.gas = kernel->gas;
    frame->state.icount = kernel->icount;
    return frame;
}

static void piece_end(struct kernel *kernel, const struct frame *frame)
{
    kernel->gas = frame->state.gas;
    kernel->icount = frame->state.icount;
}

struct pvm_outcome kernel_run_piece(struct kernel *kernel, const struct pvm_host *host,
                                    const struct pvm_observer *observer)
{
    struct frame *frame = piece_begin(kernel);
    struct pvm_outcome exit =
        pvm_run(kernel->engine, frame->program->program, &frame->state, host, observer);
    piece_end(kernel, frame);
    return exit;
}

bool kernel_step_piece(struct kernel *kernel, struct pvm_outcome *ret_outcome)
{
    struct frame *frame = piece_begin(kernel);
    bool goes_on =
        pvm_step(kernel->engine, frame->program->program, &frame->state, ret_outcome);
    piece_end(kernel, frame);
    return goes_on;
}

enum pvm_answer kernel_serve(struct kernel *kernel, struct pvm_state *state,
                             enum pvm_exit kind, uint64_t number, uint32_t pc,
                             struct pvm_outcome *ret_outcome)
{
    enum pvm_answer answer =
        kernel_dispatch(kernel, state, kind, number, pc, ret_outcome);
    kernel->gas = state->gas;
    return answer;
}

void kernel_ecall_undo(struct kernel *kernel, struct pvm_state *state, uint32_t pc)
{
    state->pc = pc;
    state->icount--;
    state->charged = true;
    kernel->icount = state->icount;
}

enum err kernel_aborted(const struct kernel *kernel)
{
    return kernel->abort;
}

/* What READ_DATA_CAP would write: as much of the data as is asked for. */
static struct kernel_range touch_of_read(const struct kernel *kernel,
                                         const struct frame *frame,
                                         const struct pvm_state *state)
{
    const struct slot *slot = &frame->cnode.slot[state->reg[7] & 0xff];
    struct kernel_cap cap;
    if (!slot->used || !kernel_find_target(kernel, slot, &cap) ||
        cap.kind != KERNEL_KIND_DATA)
        return (struct kernel_range){0, 0};
    uint64_t size =
        cap.paged ? (uint64_t)cap.pages.page_size * cap.pages.count : cap.data.size;
    size = state->reg[9] < size ? state->reg[9] : size;
    return (struct kernel_range){(uint32_t)state->reg[8], (uint32_t)size};
}

struct kernel_touch kernel_ecall_touches(const struct kernel *kernel,
                                         const struct pvm_state *state, uint64_t number)
{
    const struct frame *frame = &kernel->stack[kernel->stack_size - 1];
    struct kernel_touch touch = {.read = {0, 0}};
    if ((uint32_t)number == CALL_read_data_cap)
        touch.written = touch_of_read(kernel, frame, state);
    else if ((uint32_t)number == CALL_mint_data_cap &&
             state->reg[8] <= kernel->config.max_frame_mem)
        touch.read =
            (struct kernel_range){(uint32_t)state->reg[7], (uint32_t)state->reg[8]};
    if (!pvm_mem_accessible(state->mem, touch.written.address, touch.written.size,
                            PVM_ACCESS_RW))
        touch.written.size = 0;
    if (!pvm_mem_accessible(state->mem, touch.read.address, touch.read.size,
                            PVM_ACCESS_R))
        touch.read.size = 0;
    return touch;
}

void kernel_charge_undo(struct kernel *kernel)
{
    struct frame *frame = kernel->stack_size ? kernel_top(kernel) : NULL;
    if (!frame || frame->reference || !frame->state.charged ||
        !pvm_program_block_start(frame->program->program, frame->state.pc))
        return;
    kernel->gas +=
        pvm_code_walk(&frame->program->code, &kernel->pvm_config, frame->state.pc).need;
    frame->state.gas = kernel->gas;
    frame->state.charged = false;
}

bool kernel_exit_ends(struct kernel *kernel, struct pvm_outcome exit)
{
    const struct frame *frame = kernel_top(kernel);
    if (exit.exit == PVM_EXIT_HALT)
        return kernel->stack_size == 1;
    if (exit.exit != PVM_EXIT_HOST_CALL || exit.arg == CALL_host_yield)
        return true;
    return exit.arg == CALL_set_image &&
           !pvm_code_marked(&frame->program->code, frame->state.pc);
}
