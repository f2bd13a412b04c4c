/* SPDX-License-Identifier: MIT
 *
 * Dispatch, and the ecalls that move slots [8.1, 8.2].
 */
#include "kernel/internal.h"

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

enum pvm_answer kernel_dispatch(void *self, struct pvm_state *state, enum pvm_exit kind,
                                uint64_t number, uint32_t pc,
                                struct pvm_outcome *ret_outcome)
{
    struct kernel *kernel = self;
    uint32_t op = (uint32_t)number;
    (void)pc;
    if (op >= CALL_USER_MIN) {
        if (!kernel->host.user)
            return PVM_ANSWER_CONTINUE;
        return kernel->host.user(kernel->host.self, state, kind, op, ret_outcome);
    }
    struct call call = {.kernel = kernel,
                        .frame = kernel->stack_size ? kernel_top(kernel) : NULL,
                        .state = state};
    enum kernel_error error = call_run(&call, op);
    if (error) {
        kernel->trap_error = error;
        call_exit(&call, PVM_EXIT_TRAP, 0);
    }
    if (!call.exits)
        return PVM_ANSWER_CONTINUE;
    *ret_outcome = call.outcome;
    return PVM_ANSWER_EXIT;
}

/* ---- checks and acts ---- */

static struct slot *slot_of(const struct call *call, uint64_t reg)
{
    return &call->frame->cnode.slot[reg & 0xff];
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
    *ret_hash = slot->hash;
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
    *slot_of(call, reg) = (struct slot){.used = true, .hash = *hash};
}

void kernel_call_clear(struct call *call, uint64_t reg)
{
    *slot_of(call, reg) = (struct slot){.used = false};
}

enum kernel_error kernel_call_find(const struct call *call, const struct hash256 *hash,
                                   enum kernel_kind kind, enum kernel_error absent,
                                   enum kernel_error other, struct kernel_cap *ret_cap)
{
    if (!kernel_find(call->kernel, hash, ret_cap))
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
    *slot_of(call, target) = *slot_of(call, source);
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
    *slot_of(call, target) = slot;
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
    *slot_of(call, a) = *slot_of(call, b);
    *slot_of(call, b) = slot;
    return KERNEL_ERROR_None;
}

enum kernel_error kernel_call_same_type(struct call *call)
{
    uint64_t *reg = call->state->reg;
    struct hash256 a, b;
    enum kernel_error error = kernel_call_held(call, reg[7], &a);
    if (!error)
        error = kernel_call_held(call, reg[8], &b);
    if (!error)
        reg[7] = (uint64_t)hash256_equal(&a, &b);
    return error;
}
