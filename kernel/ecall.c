/* SPDX-License-Identifier: MIT
 *
 * Dispatch, and the ecalls that move slots [8.1, 8.2].
 */
#include "kernel/internal.h"

#include <string.h>

enum needs { NOTHING, FRAME, DIRECTORY };

enum {
    CALL_RESERVED_MAX = 15, /* unknown up to here */
    CALL_MAKE_IMAGE = 19,
    CALL_USER_MIN = 64,
};

static const struct {
    call_fn *handler;
    enum needs needs;
} table[CALL_USER_MIN] = {
#define KCALL(op, name, needs, text) [op] = {kernel_call_##name, needs},
#include "kernel/ecalls.def"
};

static enum kernel_error call_run(struct call *call, uint32_t op)
{
    if (!table[op].handler)
        return op <= CALL_RESERVED_MAX || op == CALL_MAKE_IMAGE ? KERNEL_ERROR_UnknownOp
                                                                : KERNEL_ERROR_None;
    if (table[op].needs != NOTHING && !call->frame)
        return KERNEL_ERROR_CallStackEmpty;
    if (table[op].needs == DIRECTORY && call->kernel->detached)
        return KERNEL_ERROR_NoDirectory;
    return table[op].handler(call);
}

/* Serve the call; an error becomes a trap. */
static void call_serve(struct call *call, enum pvm_exit kind, uint32_t op)
{
    struct kernel *kernel = call->kernel;
    if (op >= CALL_USER_MIN) {
        if (kernel->host.user)
            call->exits = kernel->host.user(kernel->host.self, call->state, kind, op,
                                            &call->outcome) == PVM_ANSWER_EXIT;
        return;
    }
    enum kernel_error error = call_run(call, op);
    if (error) {
        kernel->trap_error = error;
        call_exit(call, PVM_EXIT_TRAP, 0);
    }
}

static enum kernel_event_outcome event_outcome(const struct call *call)
{
    if (!call->exits)
        return KERNEL_EVENT_CONTINUE;
    switch ((unsigned)call->outcome.exit) {
    case PVM_EXIT_HALT:
        return KERNEL_EVENT_HALT;
    case PVM_EXIT_TRAP:
        return KERNEL_EVENT_TRAP;
    default:
        return KERNEL_EVENT_HOST_CALL;
    }
}

static void event_host_call(const struct call *call, struct kernel_event *event)
{
    const struct frame *top = kernel_top(call->kernel);
    if (top->reference)
        event->target = top->target;
    else
        event->image = top->image_hash;
}

enum pvm_answer kernel_dispatch(void *self, struct pvm_state *state, enum pvm_exit kind,
                                uint64_t number, uint32_t pc,
                                struct pvm_outcome *ret_outcome)
{
    struct kernel *kernel = self;
    uint32_t position = kernel->stack_size ? kernel->stack_size - 1 : 0;
    struct call call = {.kernel = kernel,
                        .frame = kernel->stack_size ? kernel_top(kernel) : NULL,
                        .state = state};
    struct kernel_event event = {.kind = kind == PVM_EXIT_ECALL ? KERNEL_EVENT_ECALL
                                                                : KERNEL_EVENT_ECALLI,
                                 .frame = position,
                                 .op = (uint32_t)number,
                                 .pc = state->pc,
                                 .call_pc = pc,
                                 .gas = state->gas,
                                 .mem = state->mem};
    memcpy(event.before, state->reg, sizeof event.before);
    kernel_journal_begin(kernel);
    call_serve(&call, kind, (uint32_t)number);
    if (!kernel->abort) {
        event.outcome = event_outcome(&call);
        event.error =
            event.outcome == KERNEL_EVENT_TRAP ? kernel->trap_error : KERNEL_ERROR_None;
        if (event.outcome == KERNEL_EVENT_HOST_CALL)
            event_host_call(&call, &event);
        kernel_journal_commit(kernel, state, &event);
    }
    if (!call.exits)
        return PVM_ANSWER_CONTINUE;
    *ret_outcome = call.outcome;
    return PVM_ANSWER_EXIT;
}

/* ---- checks and acts ---- */

static const struct slot *slot_of(const struct call *call, uint64_t reg)
{
    return &call->frame->cnode.slot[reg & 0xff];
}

static void slot_set(struct call *call, uint64_t reg, struct slot content)
{
    uint32_t position = (uint32_t)(call->frame - call->kernel->stack);
    kernel_journal_slot(call->kernel, position, reg & 0xff);
    call->frame->cnode.slot[reg & 0xff] = content;
}

static bool is_pinned(const struct call *call, uint64_t reg)
{
    return call->frame->pinned[reg & 0xff];
}

static bool in_range(const struct call *call, uint64_t reg)
{
    return slots_in_range(&call->frame->cnode, (uint32_t)(reg & 0xff));
}

enum kernel_error kernel_call_held(const struct call *call, uint64_t reg,
                                   struct hash256 *ret_hash)
{
    const struct slot *slot = slot_of(call, reg);
    if (!slot->used)
        return KERNEL_ERROR_SlotEmpty;
    if (slot->ref)
        return KERNEL_ERROR_SlotKindMismatch;
    *ret_hash = slot->hash;
    return KERNEL_ERROR_None;
}

enum kernel_error kernel_call_target(const struct call *call, uint64_t reg,
                                     struct slot *ret_target)
{
    const struct slot *slot = slot_of(call, reg);
    if (!slot->used)
        return KERNEL_ERROR_SlotEmpty;
    *ret_target = *slot;
    return KERNEL_ERROR_None;
}

enum kernel_error kernel_call_writable(const struct call *call, uint64_t reg)
{
    if (is_pinned(call, reg))
        return KERNEL_ERROR_SlotPinned;
    return in_range(call, reg) ? KERNEL_ERROR_None : KERNEL_ERROR_SlotOutOfRange;
}

void kernel_call_set(struct call *call, uint64_t reg, const struct hash256 *hash)
{
    slot_set(call, reg, slot_of_hash(hash));
}

void kernel_call_clear(struct call *call, uint64_t reg)
{
    slot_set(call, reg, (struct slot){.used = false});
}

enum kernel_error kernel_call_find(const struct call *call, const struct slot *target,
                                   enum kernel_kind kind, enum kernel_error absent,
                                   enum kernel_error other, struct kernel_cap *ret_cap)
{
    if (!kernel_find_target(call->kernel, target, ret_cap))
        return absent;
    return ret_cap->kind == kind ? KERNEL_ERROR_None : other;
}

/* ---- slots ---- */

enum kernel_error kernel_call_reply(struct call *call)
{
    call_exit(call, PVM_EXIT_HALT, 0);
    return KERNEL_ERROR_None;
}

enum kernel_error kernel_call_copy(struct call *call)
{
    uint64_t source = call->state->reg[7], target = call->state->reg[8];
    if (is_pinned(call, target))
        return KERNEL_ERROR_SlotPinned;
    if (!slot_of(call, source)->used)
        return KERNEL_ERROR_SourceEmpty;
    if (!in_range(call, target))
        return KERNEL_ERROR_SlotOutOfRange;
    slot_set(call, target, *slot_of(call, source));
    return KERNEL_ERROR_None;
}

static enum kernel_error both_writable(const struct call *call, uint64_t a, uint64_t b)
{
    if (is_pinned(call, a) || is_pinned(call, b))
        return KERNEL_ERROR_SlotPinned;
    if (!in_range(call, a) || !in_range(call, b))
        return KERNEL_ERROR_SlotOutOfRange;
    return KERNEL_ERROR_None;
}

enum kernel_error kernel_call_move(struct call *call)
{
    uint64_t source = call->state->reg[7], target = call->state->reg[8];
    enum kernel_error error = both_writable(call, source, target);
    if (error)
        return error;
    if (!slot_of(call, source)->used)
        return KERNEL_ERROR_SourceEmpty;
    struct slot slot = *slot_of(call, source);
    kernel_call_clear(call, source);
    slot_set(call, target, slot);
    return KERNEL_ERROR_None;
}

enum kernel_error kernel_call_drop(struct call *call)
{
    enum kernel_error error = kernel_call_writable(call, call->state->reg[7]);
    if (!error)
        kernel_call_clear(call, call->state->reg[7]);
    return error;
}

enum kernel_error kernel_call_cnode_swap(struct call *call)
{
    uint64_t a = call->state->reg[7], b = call->state->reg[8];
    enum kernel_error error = both_writable(call, a, b);
    if (error)
        return error;
    struct slot slot = *slot_of(call, a);
    slot_set(call, a, *slot_of(call, b));
    slot_set(call, b, slot);
    return KERNEL_ERROR_None;
}

enum kernel_error kernel_call_same_type(struct call *call)
{
    uint64_t *reg = call->state->reg;
    const struct slot *a = slot_of(call, reg[7]), *b = slot_of(call, reg[8]);
    if (!a->used || a->ref || !b->used || b->ref)
        return KERNEL_ERROR_SlotEmpty;
    reg[7] = (uint64_t)hash256_equal(&a->hash, &b->hash);
    return KERNEL_ERROR_None;
}
