/* SPDX-License-Identifier: MIT
 *
 * From an instance to a stack entry: build_entry [5.3].
 */
#include "kernel/internal.h"

#include <string.h>

enum { REG_ARGS = 7 };

struct plan {
    struct slot target; /* called */
    struct kernel_instance instance;
    struct kernel_image image;
    struct kernel_cap cnode;
    uint32_t endpoint;
    const uint64_t *args; /* 4 */
};

static enum kernel_error find_caps(const struct kernel *kernel, struct plan *plan)
{
    struct kernel_cap cap;
    if (!kernel_find_target(kernel, &plan->target, &cap))
        return KERNEL_ERROR_InstanceNotFound;
    if (cap.kind != KERNEL_KIND_INSTANCE)
        return KERNEL_ERROR_NotAnInstance;
    plan->instance = cap.instance;
    const struct slot root = {
        .used = true, .hash = cap.instance.root_cnode, .ref = cap.root_ref};
    if (!kernel_find(kernel, &plan->instance.image, &cap))
        return KERNEL_ERROR_ImageNotFound;
    if (cap.kind != KERNEL_KIND_IMAGE)
        return KERNEL_ERROR_NotAnImage;
    plan->image = cap.image;
    if (!kernel_find_target(kernel, &root, &plan->cnode))
        return KERNEL_ERROR_CNodeNotFound;
    if (plan->cnode.kind != KERNEL_KIND_CNODE)
        return KERNEL_ERROR_NotACNode;
    if (plan->endpoint >= plan->image.endpoint_count)
        return KERNEL_ERROR_EndpointOutOfRange;
    return KERNEL_ERROR_None;
}

/* ---- memory ---- */

static uint64_t overlay_total(const struct kernel_instance *instance)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < instance->overlay_count; i++)
        total += pages_round(kernel_instance_overlay(instance, i).bytes.size);
    return total;
}

/* Map pages in place of what is there; answers how many bytes are mapped more. */
static enum err map_over(struct pvm_mem *mem, uint32_t start, struct bytes bytes,
                         uint64_t *mapped)
{
    uint64_t size = pages_round(bytes.size);
    uint32_t first = start / PVM_PAGE_SIZE;
    for (uint64_t i = 0; i < size / PVM_PAGE_SIZE; i++)
        *mapped += pvm_mem_access(mem, first + (uint32_t)i) ? 0 : PVM_PAGE_SIZE;
    TRY(pvm_mem_unmap(mem, start, size));
    return pvm_mem_map(mem, start, size, PVM_ACCESS_RW, bytes);
}

static enum err map_all(struct frame *frame, const struct kernel_instance *instance)
{
    struct pvm_mem *mem = frame->state.mem;
    frame->mapped_size = pages_round(instance->mem_size);
    if (frame->mapped_size)
        TRY(pvm_mem_map(mem, 0, frame->mapped_size, PVM_ACCESS_RW, bytes_of(NULL, 0)));
    for (uint32_t i = 0; i < instance->overlay_count; i++) {
        struct kernel_overlay overlay = kernel_instance_overlay(instance, i);
        if (overlay.bytes.size)
            TRY(map_over(mem, overlay.start, overlay.bytes, &frame->mapped_size));
    }
    return ERR_ok;
}

static bool pins(const struct kernel_image *image, uint32_t slot)
{
    for (uint32_t i = 0; i < image->pinned.count; i++) {
        if (kernel_entry_slot(image->pinned, i) == slot)
            return true;
    }
    return false;
}

/* What the image maps from a pinned slot, the guest may only read. */
static void protect_pinned(struct frame *frame, const struct kernel_image *image)
{
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        struct kernel_mapping m = kernel_image_mapping(image, i);
        if (!pins(image, m.path[0]))
            continue;
        uint32_t end = (uint32_t)((m.start + m.size) / PVM_PAGE_SIZE);
        uint32_t page =
            pvm_mem_next_page(frame->state.mem, (uint32_t)(m.start / PVM_PAGE_SIZE));
        for (; page < end; page = pvm_mem_next_page(frame->state.mem, page + 1))
            check(pvm_mem_protect(frame->state.mem, page * PVM_PAGE_SIZE, PVM_PAGE_SIZE,
                                  PVM_ACCESS_R) == ERR_ok);
    }
}

static enum kernel_error build_memory(struct kernel *kernel, struct frame *frame,
                                      const struct kernel_instance *instance)
{
    const struct kernel_config *config = &kernel->config;
    uint64_t total = overlay_total(instance);
    if (instance->mem_size > config->max_frame_mem || total > config->max_frame_mem)
        return KERNEL_ERROR_LimitExceeded;
    if (!instance->mem_size && !total)
        return KERNEL_ERROR_None;
    frame->state.mem = kernel_space_take(kernel);
    if (!frame->state.mem) {
        kernel->abort = ERR_nomem;
        return KERNEL_ERROR_Internal;
    }
    if (map_all(frame, instance))
        return KERNEL_ERROR_MapRegion;
    if (frame->mapped_size > config->max_stack_mem ||
        kernel->stack_mapped > config->max_stack_mem - frame->mapped_size)
        return KERNEL_ERROR_LimitExceeded;
    return KERNEL_ERROR_None;
}

/* ---- the entry ---- */

static void build_registers(struct pvm_state *state, const struct plan *plan)
{
    const uint8_t *endpoint =
        plan->image.endpoint + (size_t)plan->endpoint * KERNEL_ENDPOINT_SIZE;
    for (int i = 0; i < PVM_REG_COUNT; i++) {
        uint64_t value = kernel_u64(plan->instance.reg + 8 * i);
        state->reg[i] = value ? value : kernel_u64(endpoint + 21 + 8 * i);
    }
    for (int i = 0; i < 4; i++)
        state->reg[REG_ARGS + i] = plan->args[i];
}

static void build_undo(struct kernel *kernel, struct frame *frame)
{
    kernel_program_give(frame->program);
    kernel_space_give(kernel, frame->state.mem);
}

/* An entry_pc that does not fit a pc is no instruction start either. */
static uint32_t entry_pc(const struct plan *plan)
{
    uint64_t pc = kernel_u64(plan->image.endpoint +
                             (size_t)plan->endpoint * KERNEL_ENDPOINT_SIZE);
    return pc > UINT32_MAX ? UINT32_MAX : (uint32_t)pc;
}

enum kernel_error kernel_build(struct kernel *kernel, const struct slot *target,
                               uint32_t endpoint, const uint64_t args[4],
                               struct frame **ret_frame)
{
    struct plan plan = {.target = *target, .endpoint = endpoint, .args = args};
    enum kernel_error error = find_caps(kernel, &plan);
    if (error)
        return error;
    check(kernel->stack_size < kernel->config.max_depth);
    struct frame *frame = &kernel->stack[kernel->stack_size];
    *frame = (struct frame){.called = plan.target, .call_slot = NO_SLOT};
    struct program *program;
    enum err err =
        kernel_program_take(kernel, &plan.instance.image, &plan.image, &program);
    if (err) {
        kernel->abort = err;
        return KERNEL_ERROR_Internal;
    }
    kernel_frame_set_image(frame, &plan.instance.image, &plan.image, program);
    error = build_memory(kernel, frame, &plan.instance);
    if (error) {
        build_undo(kernel, frame);
        return error;
    }
    protect_pinned(frame, &plan.image);
    frame->chain = plan.instance.chain;
    kernel_slots_load(&plan.cnode, &frame->cnode);
    build_registers(&frame->state, &plan);
    frame->state.pc = entry_pc(&plan);
    *ret_frame = frame;
    return KERNEL_ERROR_None;
}

enum kernel_error kernel_rebuild_memory(struct kernel *kernel, struct frame *frame)
{
    struct plan plan = {.target = frame->called};
    enum kernel_error error = find_caps(kernel, &plan);
    frame->state.mem = NULL;
    if (error)
        return error;
    error = build_memory(kernel, frame, &plan.instance);
    if (!error)
        protect_pinned(frame, &plan.image);
    else
        kernel_space_give(kernel, frame->state.mem);
    return error;
}
