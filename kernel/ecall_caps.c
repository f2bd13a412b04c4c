/* SPDX-License-Identifier: MIT
 *
 * Ecalls that make caps and change frames [8.2, 8.4, 8.5].
 */
#include "kernel/internal.h"

enum { CALL_YIELD = 16, CALL_SET_IMAGE = 17, CALL_HOST_CALL = 26, MAPPING_MAX = 64 };

/* Room in the directory for what a call is about to publish. */
static enum kernel_error room(const struct call *call, const struct draft *draft,
                              unsigned count)
{
    return kernel_directory_fits(&call->kernel->directory, draft, count)
               ? KERNEL_ERROR_None
               : KERNEL_ERROR_DirectoryFull;
}

enum kernel_error kernel_call_cnode_mint(struct call *call)
{
    struct kernel *kernel = call->kernel;
    uint64_t target = call->state->reg[7];
    struct slots empty = {.size_log = (uint8_t)call->state->reg[8]};
    if (empty.size_log > KERNEL_CNODE_LOG_MAX)
        return KERNEL_ERROR_InvalidCNodeSize;
    enum kernel_error error = kernel_call_writable(call, target);
    if (error)
        return error;
    struct draft draft = kernel_draft_cnode(&empty, directory_end(&kernel->directory));
    if (!kernel->detached) {
        error = room(call, &draft, 1);
        if (error)
            return error;
        kernel_publish(kernel, &draft);
    }
    kernel_call_set(call, target, &draft.hash);
    return KERNEL_ERROR_None;
}

enum kernel_error kernel_call_host_yield(struct call *call)
{
    struct hash256 marker;
    uint32_t position;
    enum kernel_error error = kernel_call_held(call, call->state->reg[7], &marker);
    if (error)
        return error;
    if (!kernel_find_catcher(call->kernel, &marker, &position))
        return KERNEL_ERROR_UnhandledMarker;
    error = kernel_push_reference(call->kernel, position);
    if (error)
        return error;
    call->kernel->marker = marker;
    call_exit(call, PVM_EXIT_HOST_CALL, CALL_YIELD);
    return KERNEL_ERROR_None;
}

/* ---- images ---- */

static enum kernel_error find_image(const struct call *call, uint64_t reg,
                                    struct hash256 *ret_hash,
                                    struct kernel_image *ret_image)
{
    struct kernel_cap cap;
    enum kernel_error error = kernel_call_held(call, reg, ret_hash);
    if (error)
        return error;
    const struct slot target = slot_of_hash(ret_hash);
    error = kernel_call_find(call, &target, KERNEL_KIND_IMAGE,
                             KERNEL_ERROR_ImageNotFound, KERNEL_ERROR_NotAnImage, &cap);
    if (!error)
        *ret_image = cap.image;
    return error;
}

static enum kernel_error set_image_detached(struct call *call)
{
    struct frame *frame = call->frame;
    struct hash256 hash;
    enum kernel_error error = kernel_call_held(call, call->state->reg[7], &hash);
    if (error)
        return error;
    frame->chain = kernel_chain_extend(&frame->chain, &hash);
    frame->image_hash = hash;
    return KERNEL_ERROR_None;
}

enum kernel_error kernel_call_set_image(struct call *call)
{
    struct kernel *kernel = call->kernel;
    struct frame *frame = call->frame;
    struct hash256 hash;
    struct kernel_image image;
    struct program *program;
    if (kernel->detached)
        return set_image_detached(call);
    enum kernel_error error = find_image(call, call->state->reg[7], &hash, &image);
    if (error)
        return error;
    enum err err = kernel_program_take(kernel, &hash, &image, &program);
    if (err) {
        kernel->abort = err;
        return KERNEL_ERROR_Internal;
    }
    frame->chain = kernel_chain_extend(&frame->chain, &hash);
    kernel_frame_set_image(frame, &hash, &image, program);
    call_exit(call, PVM_EXIT_HOST_CALL, CALL_SET_IMAGE);
    return KERNEL_ERROR_None;
}

/* ---- DERIVE_SPAWN ---- */

struct spawn {
    struct hash256 image_hash, chain;
    struct kernel_image image;
    struct slots cnode; /* N */
    struct overlay_part overlay[MAPPING_MAX];
    uint32_t overlay_count;
    uint64_t mem_size;
};

static enum kernel_error spawn_find(const struct call *call, struct spawn *spawn)
{
    const uint64_t *reg = call->state->reg;
    struct hash256 hash;
    struct kernel_cap cap;
    enum kernel_error error = kernel_call_held(call, reg[7], &spawn->image_hash);
    if (!error)
        error = kernel_call_held(call, reg[8], &hash);
    if (!error)
        error = find_image(call, reg[7], &spawn->image_hash, &spawn->image);
    if (error)
        return error;
    const struct slot cnode = slot_of_hash(&hash);
    error = kernel_call_find(call, &cnode, KERNEL_KIND_CNODE,
                             KERNEL_ERROR_CNodeNotFound, KERNEL_ERROR_NotACNode, &cap);
    if (!error)
        kernel_slots_load(&cap, &spawn->cnode);
    return error;
}

/* Pinned entries overwrite, initial ones do not. */
static enum kernel_error spawn_fill(struct spawn *spawn, struct kernel_entries list,
                                    bool overwrite)
{
    for (uint32_t i = 0; i < list.count; i++) {
        uint32_t slot = kernel_entry_slot(list, i);
        if (!slots_in_range(&spawn->cnode, slot))
            return KERNEL_ERROR_SlotOutOfRange;
        if (overwrite || !spawn->cnode.slot[slot].used) {
            struct hash256 hash = kernel_entry_hash(list, i);
            spawn->cnode.slot[slot] = slot_of_hash(&hash);
        }
    }
    return KERNEL_ERROR_None;
}

static enum kernel_error spawn_memory(const struct call *call, struct spawn *spawn)
{
    uint64_t total = 0;
    bool beyond = false;
    for (uint32_t i = 0; i < spawn->image.mapping_count; i++) {
        struct kernel_mapping m = kernel_image_mapping(&spawn->image, i);
        struct hash256 hash;
        struct kernel_cap cap;
        if (m.start + m.size > spawn->mem_size)
            spawn->mem_size = m.start + m.size;
        if (!kernel_slots_get(&spawn->cnode, m.path[0], &hash) ||
            !kernel_find(call->kernel, &hash, &cap) || cap.kind != KERNEL_KIND_DATA ||
            cap.paged)
            continue;
        beyond |= m.start + cap.data.size > (uint64_t)1 << 32;
        total += cap.data.size;
        spawn->overlay[spawn->overlay_count++] = (struct overlay_part){
            .start = (uint32_t)m.start, .size = cap.data.size, .bytes = cap.data.data};
    }
    uint64_t max = call->kernel->config.max_frame_mem;
    return beyond || spawn->mem_size > max || total > max ? KERNEL_ERROR_LimitExceeded
                                                          : KERNEL_ERROR_None;
}

static enum kernel_error spawn_detached(struct call *call)
{
    struct hash256 image;
    enum kernel_error error = kernel_call_held(call, call->state->reg[7], &image);
    if (!error)
        error = kernel_call_writable(call, call->state->reg[8]);
    if (error)
        return error;
    struct hash256 chain = kernel_chain_extend(&call->frame->chain, &image);
    kernel_call_set(call, call->state->reg[8], &chain);
    return KERNEL_ERROR_None;
}

static enum kernel_error spawn_check(const struct call *call, struct spawn *spawn)
{
    enum kernel_error error = spawn_find(call, spawn);
    if (!error)
        error = spawn_fill(spawn, spawn->image.pinned, true);
    if (!error)
        error = spawn_fill(spawn, spawn->image.initial, false);
    if (!error)
        error = spawn_memory(call, spawn);
    if (!error)
        error = kernel_call_writable(call, call->state->reg[9]);
    return error;
}

enum kernel_error kernel_call_derive_spawn(struct call *call)
{
    struct directory *directory = &call->kernel->directory;
    if (call->kernel->detached)
        return spawn_detached(call);
    struct spawn spawn = {.mem_size = 0};
    enum kernel_error error = spawn_check(call, &spawn);
    if (error)
        return error;
    spawn.chain = kernel_chain_extend(&call->frame->chain, &spawn.image_hash);
    struct draft draft[2];
    draft[0] = kernel_draft_cnode(&spawn.cnode, directory_end(directory));
    draft[1] = kernel_draft_instance(
        &(struct instance_parts){.chain = &spawn.chain,
                                 .image = &spawn.image_hash,
                                 .root_cnode = &draft[0].hash,
                                 .overlay = spawn.overlay,
                                 .overlay_count = spawn.overlay_count,
                                 .mem_size = (uint32_t)spawn.mem_size},
        directory_end(directory) + draft[0].wire.size);
    error = room(call, draft, 2);
    if (error)
        return error;
    kernel_publish(call->kernel, &draft[0]);
    kernel_publish(call->kernel, &draft[1]);
    kernel_call_clear(call, call->state->reg[8]);
    kernel_call_set(call, call->state->reg[9], &draft[1].hash);
    return KERNEL_ERROR_None;
}

/* ---- TYPE_OF, HOST_CALL ---- */

enum kernel_error kernel_call_type_of(struct call *call)
{
    struct directory *directory = &call->kernel->directory;
    struct slot target;
    struct kernel_cap cap;
    enum kernel_error error = kernel_call_target(call, call->state->reg[7], &target);
    if (!error)
        error = kernel_call_find(call, &target, KERNEL_KIND_INSTANCE,
                                 KERNEL_ERROR_InstanceNotFound,
                                 KERNEL_ERROR_NotAnInstance, &cap);
    if (!error)
        error = kernel_call_writable(call, call->state->reg[8]);
    if (error)
        return error;
    struct draft draft =
        kernel_draft_type(&cap.instance.chain, directory_end(directory));
    error = room(call, &draft, 1);
    if (error)
        return error;
    kernel_publish(call->kernel, &draft);
    kernel_call_set(call, call->state->reg[8], &draft.hash);
    return KERNEL_ERROR_None;
}

enum kernel_error kernel_call_host_call(struct call *call)
{
    static const uint64_t args[4] = {0, 0, 0, 0};
    struct kernel *kernel = call->kernel;
    const uint64_t *reg = call->state->reg;
    struct slot instance;
    struct frame *child;
    enum kernel_error error = kernel_call_target(call, reg[7], &instance);
    if (error)
        return error;
    if (kernel->stack_size >= kernel->config.max_depth)
        return KERNEL_ERROR_CallStackFull;
    error = kernel_build(kernel, &instance, (uint32_t)(reg[8] & 0xff), args, &child);
    if (error)
        return error;
    struct slot *slot0 = &call->frame->cnode.slot[0];
    child->call_slot = (int32_t)(reg[7] & 0xff);
    kernel_push_built(kernel, child);
    kernel_journal_slot(kernel, kernel->stack_size - 2, 0);
    kernel_journal_slot(kernel, kernel->stack_size - 1, 0);
    if (slot0->used)
        child->cnode.slot[0] = *slot0;
    *slot0 = (struct slot){.used = false};
    call_exit(call, PVM_EXIT_HOST_CALL, CALL_HOST_CALL);
    return KERNEL_ERROR_None;
}
