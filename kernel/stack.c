/* SPDX-License-Identifier: MIT
 *
 * The call stack and the slot tables of its frames [5.1, 6.1].
 */
#include "kernel/internal.h"

/* ---- slots ---- */

void kernel_slots_load(const struct kernel_cap *cnode, struct slots *ret_slots)
{
    struct kernel_entries list = cnode->cnode.entries;
    *ret_slots = (struct slots){.size_log = cnode->cnode.size_log};
    for (uint32_t j = 0; j < cnode->ref_count; j++)
        ret_slots->slot[cnode->ref[j].slot] =
            (struct slot){.used = true, .ref = cnode->ref[j].id};
    uint32_t i = 0;
    for (; i < list.count; i++) {
        uint32_t slot = kernel_entry_slot(list, i);
        if (slot >= KERNEL_SLOT_COUNT)
            break;
        ret_slots->slot[slot] =
            (struct slot){.used = true, .hash = kernel_entry_hash(list, i)};
    }
    ret_slots->high = (struct kernel_entries){
        .data = list.data + (size_t)i * KERNEL_ENTRY_SIZE, .count = list.count - i};
}

bool kernel_slots_get(const struct slots *slots, uint32_t slot,
                      struct hash256 *ret_hash)
{
    if (slot < KERNEL_SLOT_COUNT) {
        if (slots->slot[slot].used)
            *ret_hash = slots->slot[slot].hash;
        return slots->slot[slot].used && !slots->slot[slot].ref;
    }
    for (uint32_t i = 0; i < slots->high.count; i++) {
        if (kernel_entry_slot(slots->high, i) == slot) {
            *ret_hash = kernel_entry_hash(slots->high, i);
            return true;
        }
    }
    return false;
}

enum kernel_error kernel_slot_settle(struct kernel *kernel, struct slot *slot)
{
    const struct kernel_target target = {.present = true, .ref = slot->ref};
    if (!slot->used || !slot->ref)
        return KERNEL_ERROR_None;
    struct hash256 hash;
    enum kernel_error error = kernel_work_settle(kernel, &target, &hash);
    if (!error)
        *slot = slot_of_hash(&hash);
    return error;
}

/* ---- entries ---- */

void kernel_frame_set_image(struct frame *frame, const struct hash256 *hash,
                            const struct kernel_image *image, struct program *program)
{
    kernel_program_give(frame->program);
    frame->program = program;
    frame->image_hash = *hash;
    frame->image = *image;
    for (uint32_t slot = 0; slot < KERNEL_SLOT_COUNT; slot++)
        frame->pinned[slot] = false;
    for (uint32_t i = 0; i < image->pinned.count; i++)
        frame->pinned[kernel_entry_slot(image->pinned, i)] = true;
}

void kernel_push_built(struct kernel *kernel, struct frame *frame)
{
    check(frame == &kernel->stack[kernel->stack_size]);
    kernel->stack_mapped += frame->mapped_size;
    kernel->stack_size++;
}

enum kernel_error kernel_push_reference(struct kernel *kernel, uint32_t target)
{
    if (kernel->stack_size >= kernel->config.max_depth)
        return KERNEL_ERROR_CallStackFull;
    if (target >= kernel->stack_size)
        return KERNEL_ERROR_ReferenceOutOfRange;
    if (kernel->stack[target].reference)
        return KERNEL_ERROR_ReferenceNonInstance;
    kernel->stack[kernel->stack_size++] =
        (struct frame){.reference = true, .target = target, .call_slot = NO_SLOT};
    return KERNEL_ERROR_None;
}

enum kernel_error kernel_pop(struct kernel *kernel)
{
    if (!kernel->stack_size)
        return KERNEL_ERROR_CallStackEmpty;
    struct frame *frame = kernel_top(kernel);
    kernel_program_give(frame->program);
    kernel_space_give(kernel, frame->state.mem);
    kernel->stack_mapped -= frame->mapped_size;
    kernel->stack_size--;
    return KERNEL_ERROR_None;
}

static bool catches(struct kernel *kernel, const struct hash256 *catcher,
                    const struct hash256 *marker)
{
    struct kernel_assist_call *note =
        kernel_journal_assist(kernel, KERNEL_ASSIST_CATCHES);
    note->ok = true;
    note->hash = *catcher;
    note->answer = kernel_assist_catches(&kernel->assist, catcher, marker);
    return note->answer;
}

bool kernel_find_catcher(struct kernel *kernel, const struct hash256 *marker,
                         uint32_t *ret_position)
{
    for (uint32_t p = kernel->stack_size - 1; p-- > 0;) {
        const struct frame *frame = &kernel->stack[p];
        if (frame->reference || !frame->image.has_yield_slot)
            continue;
        const struct slot *slot = &frame->cnode.slot[frame->image.yield_slot];
        if (slot->used && !slot->ref && catches(kernel, &slot->hash, marker)) {
            *ret_position = p;
            return true;
        }
    }
    return false;
}
