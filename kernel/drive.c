/* SPDX-License-Identifier: MIT
 *
 * Invocations: invoke, drive, resume [5.4, 5.5, 6.3].
 */
#include "kernel/debug.h"
#include "kernel/internal.h"
#include "kernel/saved.h"

#include <string.h>

enum { CALL_YIELD = 16, CALL_SET_IMAGE = 17, CALL_HOST_CALL = 26 };

static void pop_all(struct kernel *kernel)
{
    while (kernel->stack_size)
        (void)kernel_pop(kernel);
}

static void take_slot0(struct frame *frame, struct slot *ret_slot)
{
    *ret_slot = frame->cnode.slot[0];
    frame->cnode.slot[0] = (struct slot){.used = false};
}

/* ---- outcomes ---- */

/* Records so far; part of every outcome, whatever it is. */
static void outcome_trace(struct kernel *kernel)
{
    kernel->outcome.trace_count = kernel_trace_count(kernel);
    kernel->outcome.trace_digest = kernel_trace_digest(kernel);
}

static void outcome_begin(struct kernel *kernel)
{
    kernel->trap_error = KERNEL_ERROR_None;
    kernel->segment_gas = kernel->gas;
    kernel->outcome = (struct kernel_outcome){.variant = KERNEL_VARIANT_NONE};
}

/* What the outcome tells of the frame that ends the segment. */
static void outcome_frame(struct kernel *kernel, uint32_t position)
{
    const struct frame *frame = &kernel->stack[position];
    struct kernel_outcome *o = &kernel->outcome;
    o->frame = position;
    o->pc = frame->state.pc;
    for (int i = 0; i < PVM_REG_COUNT; i++)
        o->reg[i] = frame->state.reg[i];
    o->chain = frame->chain;
    o->cnode = kernel_slots_hash(kernel, &frame->cnode);
    if (kernel->config.flags & KERNEL_MEM_DIGEST)
        o->mem_digest = kernel_mem_digest(kernel, frame);
}

static void outcome_slot0(struct kernel *kernel, const struct slot *slot)
{
    kernel->outcome.has_slot0 = slot->used;
    if (slot->used)
        kernel->outcome.slot0 = slot->hash;
}

static void outcome_finish(struct kernel *kernel, enum kernel_variant variant,
                           enum kernel_exit reason, uint32_t arg, uint64_t value)
{
    struct kernel_outcome *o = &kernel->outcome;
    o->variant = variant;
    o->error = kernel->trap_error;
    o->gas_used = kernel->segment_gas - kernel->gas;
    o->stack_size = kernel->stack_size;
    o->result = (struct kernel_result){.exit_reason = (uint32_t)reason,
                                       .exit_arg = arg,
                                       .return_value = value,
                                       .gas_remaining = kernel->gas};
    outcome_trace(kernel);
}

static void outcome_error(struct kernel *kernel, enum kernel_error error)
{
    kernel->outcome =
        (struct kernel_outcome){.variant = KERNEL_VARIANT_ERROR,
                                .error = error,
                                .stack_size = kernel->stack_size,
                                .result = {.exit_reason = (uint32_t)KERNEL_EXIT_ERROR,
                                           .exit_arg = kernel_error_code(error)}};
    outcome_trace(kernel);
}

/* ---- for the observer ---- */

static void show_end(struct kernel *kernel, struct kernel_frame_end end)
{
    const struct kernel_observer *observer = kernel->host.observer;
    end.gas = end.reason == KERNEL_EXIT_ERROR ? 0 : kernel->gas;
    end.published = kernel->journal.published;
    end.published_count = kernel->journal.published_count;
    if (observer && observer->frame_end)
        observer->frame_end(observer->self, &end);
}

/* The end of a frame below which others go on. */
static void show_frame(struct kernel *kernel, const struct frame *frame,
                       enum kernel_exit reason, uint64_t arg, const struct slot *slot0,
                       const struct hash256 *settled)
{
    struct kernel_frame_end end = {.frame = (uint32_t)(frame - kernel->stack),
                                   .reason = reason,
                                   .arg = arg,
                                   .pc = frame->state.pc,
                                   .value = frame->state.reg[7],
                                   .has_slot0 = slot0->used && !slot0->ref,
                                   .slot0 = slot0->hash,
                                   .has_post = settled != NULL};
    if (settled)
        end.post = *settled;
    show_end(kernel, end);
}

/* The end of the invocation, or a pause of it. */
static void show_invocation(struct kernel *kernel)
{
    const struct kernel_outcome *o = &kernel->outcome;
    show_end(kernel, (struct kernel_frame_end){
                         .reason = (enum kernel_exit)o->result.exit_reason,
                         .arg = o->result.exit_arg,
                         .pc = o->pc,
                         .value = o->reg[7],
                         .has_post = o->has_post_instance,
                         .post = o->post_instance,
                         .has_slot0 = o->has_slot0,
                         .slot0 = o->slot0,
                         .has_marker = o->has_marker,
                         .marker = o->marker});
}

/* ---- drive ---- */

/* What the caller gets: the call slot names the settled child, slot 0 and registers. */
static void return_values(struct kernel *kernel, const struct hash256 *settled,
                          const struct slot *called, uint32_t slot,
                          const struct slot *slot0, uint64_t value)
{
    struct frame *parent = kernel_top(kernel);
    uint32_t position = kernel->stack_size - 1;
    struct slot *call_slot = &parent->cnode.slot[slot];
    kernel_journal_slot(kernel, position, slot);
    if (settled && call_slot->used && !parent->pinned[slot] &&
        call_slot->ref == called->ref && hash256_equal(&call_slot->hash, &called->hash))
        *call_slot = slot_of_hash(settled);
    kernel_journal_slot(kernel, position, 0);
    if (slot0->used)
        parent->cnode.slot[0] = *slot0;
    if (!(kernel->config.flags & KERNEL_STRICT_RETURN)) {
        parent->state.reg[7] = value;
        parent->state.reg[8] = 0;
    }
}

/* D5, D6: each answers true when the segment goes on. */
static bool return_nested(struct kernel *kernel)
{
    struct frame *child = kernel_top(kernel);
    const struct pvm_state *state = &child[-1].state;
    bool stateful = kernel->config.flags & KERNEL_STATEFUL_CHILDREN;
    uint32_t slot = (uint32_t)child->call_slot;
    uint64_t value = child->state.reg[7];
    struct hash256 settled;
    struct slot slot0, called = child->called;
    kernel_journal_begin(kernel);
    take_slot0(child, &slot0);
    if (stateful) {
        enum kernel_error error = kernel_settle(kernel, child, &settled);
        if (error) {
            pop_all(kernel);
            outcome_error(kernel, error);
            return false;
        }
    }
    show_frame(kernel, child, KERNEL_EXIT_HALT, 0, &slot0, stateful ? &settled : NULL);
    (void)kernel_pop(kernel);
    struct kernel_event event = {.kind = KERNEL_EVENT_RETURN,
                                 .frame = kernel->stack_size - 1,
                                 .pc = state->pc,
                                 .gas = kernel->gas};
    memcpy(event.before, state->reg, sizeof event.before);
    return_values(kernel, stateful ? &settled : NULL, &called, slot, &slot0, value);
    kernel_journal_commit(kernel, state, &event);
    return true;
}

static void return_base(struct kernel *kernel)
{
    struct frame *frame = kernel_top(kernel);
    uint64_t value = frame->state.reg[7];
    struct hash256 settled;
    struct slot slot0;
    kernel_journal_begin(kernel);
    take_slot0(frame, &slot0);
    enum kernel_error error = kernel_slot_settle(kernel, &slot0);
    if (!error)
        error = kernel_settle(kernel, frame, &settled);
    if (error) {
        pop_all(kernel);
        outcome_error(kernel, error);
        return;
    }
    outcome_frame(kernel, 0);
    outcome_slot0(kernel, &slot0);
    kernel->outcome.has_post_instance = true;
    kernel->outcome.post_instance = settled;
    (void)kernel_pop(kernel);
    outcome_finish(kernel, KERNEL_VARIANT_HALT, KERNEL_EXIT_HALT, 0, value);
}

/* D8. */
static void fault(struct kernel *kernel, enum kernel_exit reason, uint32_t arg)
{
    struct slot slot0;
    kernel_journal_begin(kernel);
    take_slot0(kernel_top(kernel), &slot0);
    if (kernel_slot_settle(kernel, &slot0)) /* it cannot leave */
        slot0 = (struct slot){.used = false};
    outcome_frame(kernel, kernel->stack_size - 1);
    outcome_slot0(kernel, &slot0);
    if (kernel->stack_size > 1)
        show_frame(kernel, kernel_top(kernel), reason, arg, &slot0, NULL);
    pop_all(kernel);
    outcome_finish(kernel, KERNEL_VARIANT_FAULTED, reason, arg, 0);
}

/* D9: the top is the reference that was just pushed, the yielder below it. */
static void pause(struct kernel *kernel, const struct hash256 *marker,
                  enum kernel_cause cause)
{
    outcome_frame(kernel, kernel->stack_size - 2);
    kernel->outcome.has_marker = true;
    kernel->outcome.marker = *marker;
    kernel->outcome.cause = cause;
    outcome_finish(kernel, KERNEL_VARIANT_PAUSED, KERNEL_EXIT_PAUSED,
                   kernel_top(kernel)->target, 0);
}

/* D7. */
static void out_of_gas(struct kernel *kernel)
{
    uint32_t position;
    kernel_journal_begin(kernel);
    if (kernel_find_catcher(kernel, &kernel->oog_marker, &position) &&
        !kernel_push_reference(kernel, position))
        pause(kernel, &kernel->oog_marker, KERNEL_CAUSE_OUT_OF_GAS);
    else
        fault(kernel, KERNEL_EXIT_OUT_OF_GAS, 0);
}

/* D3: true when the new image has an instruction where the frame goes on. */
static bool image_continues(const struct frame *frame)
{
    return pvm_code_marked(&frame->program->code, frame->state.pc);
}

/* D2, D3, D4. */
static bool after_host_call(struct kernel *kernel, uint64_t call)
{
    if (call == CALL_HOST_CALL)
        return true;
    if (call == CALL_SET_IMAGE) {
        if (image_continues(kernel_top(kernel)))
            return true;
        fault(kernel, KERNEL_EXIT_PANIC, 0);
        return false;
    }
    check(call == CALL_YIELD);
    pause(kernel, &kernel->marker, KERNEL_CAUSE_YIELD);
    return false;
}

bool kernel_exit_act(struct kernel *kernel, struct pvm_outcome exit)
{
    switch (exit.exit) {
    case PVM_EXIT_HALT:
        if (kernel->stack_size > 1)
            return return_nested(kernel);
        return_base(kernel);
        return false;
    case PVM_EXIT_HOST_CALL:
        return after_host_call(kernel, exit.arg);
    case PVM_EXIT_OUT_OF_GAS:
        out_of_gas(kernel);
        return false;
    case PVM_EXIT_PAGE_FAULT:
        fault(kernel, KERNEL_EXIT_PAGE_FAULT, (uint32_t)exit.arg);
        return false;
    case PVM_EXIT_TRAP:
        fault(kernel, KERNEL_EXIT_TRAP, 0);
        return false;
    case PVM_EXIT_PANIC:
        fault(kernel, KERNEL_EXIT_PANIC, 0);
        return false;
    case PVM_EXIT_ECALL:
    case PVM_EXIT_STOPPED:
    case PVM_EXIT_LOST:  /* drive() has returned these */
    case PVM_EXIT_BREAK: /* a debugger's own business */
        break;
    }
    pop_all(kernel);
    outcome_error(kernel, KERNEL_ERROR_Internal);
    return false;
}

/* ---- runs ---- */

#define POLL_GAS ((uint64_t)1 << 24)

static void watch_segment(void *self, const struct pvm_state *state,
                          const struct pvm_segment *segment)
{
    const struct kernel_observer *observer = ((struct kernel *)self)->host.observer;
    observer->segment(observer->self, state, segment);
}

static void watch_charge(void *self, const struct pvm_state *state,
                         enum pvm_charge_kind kind, uint32_t where, uint64_t cost)
{
    const struct kernel_observer *observer = ((struct kernel *)self)->host.observer;
    observer->charge(observer->self, state, kind, where, cost);
}

/* Where to ask again, as the engine wants it. */
static int64_t next_poll(uint64_t gas)
{
    if (gas < POLL_GAS)
        return PVM_GAS_STOP_NEVER;
    uint64_t at = gas - POLL_GAS;
    return at > INT64_MAX ? INT64_MAX : (int64_t)at;
}

static bool watch_deadline(void *self, struct pvm_state *state, int64_t *ret_gas_stop)
{
    struct kernel *kernel = self;
    *ret_gas_stop = next_poll(state->gas);
    return !kernel->host.interrupted(kernel->host.self);
}

static struct pvm_observer watch_of(struct kernel *kernel, uint64_t gas)
{
    const struct kernel_observer *observer = kernel->host.observer;
    struct pvm_observer watch = {.self = kernel, .gas_stop = PVM_GAS_STOP_NEVER};
    if (observer && observer->segment)
        watch.segment = watch_segment;
    if (observer && observer->charge)
        watch.charge = watch_charge;
    if (kernel->host.interrupted) {
        watch.deadline = watch_deadline;
        watch.gas_stop = next_poll(gas);
    }
    return watch;
}

/* Run the top frame once. */
static struct pvm_outcome run(struct kernel *kernel)
{
    const struct pvm_host host = {.ecall = kernel_dispatch, .self = kernel};
    const struct kernel_observer *observer = kernel->host.observer;
    struct frame *frame = kernel_top(kernel);
    frame->state.gas = kernel->gas;
    frame->state.icount = kernel->icount;
    if (observer && observer->run)
        observer->run(observer->self, kernel->stack_size - 1, &frame->image_hash,
                      frame->program->program, &frame->state);
    struct pvm_observer watch = watch_of(kernel, kernel->gas);
    bool watched = observer || kernel->host.interrupted;
    struct pvm_outcome exit = pvm_run(kernel->engine, frame->program->program,
                                      &frame->state, &host, watched ? &watch : NULL);
    kernel->gas = frame->state.gas;
    kernel->icount = frame->state.icount;
    if (exit.exit == PVM_EXIT_LOST)
        kernel->abort = pvm_sandbox_err(kernel->host.recomp.sandbox);
    if (exit.exit == PVM_EXIT_STOPPED)
        kernel->abort = ERR_interrupted;
    return exit;
}

/* A guest that calls and calls is asked here. */
static bool is_interrupted(const struct kernel *kernel)
{
    return kernel->host.interrupted && kernel->host.interrupted(kernel->host.self);
}

static enum err drive(struct kernel *kernel)
{
    bool more = true;
    while (more) {
        if (is_interrupted(kernel))
            return kernel->abort = ERR_interrupted;
        struct pvm_outcome exit = run(kernel);
        if (kernel->abort)
            return kernel->abort;
        more = kernel_exit_act(kernel, exit);
    }
    return ERR_ok;
}

/* ---- invoke and resume ---- */

static bool is_paused(const struct kernel *kernel)
{
    return kernel->stack_size && kernel->stack[kernel->stack_size - 1].reference;
}

enum err kernel_invoke_begin(struct kernel *kernel, const struct hash256 *instance,
                             uint32_t endpoint, const uint64_t args[4], uint64_t gas,
                             bool *ret_runs)
{
    enum kernel_error error = KERNEL_ERROR_PausedOutstanding;
    const struct slot target = slot_of_hash(instance);
    struct frame *frame;
    kernel_journal_begin(kernel);
    if (!is_paused(kernel))
        error = kernel_build(kernel, &target, endpoint, args, &frame);
    if (kernel->abort)
        return kernel->abort;
    *ret_runs = !error;
    if (error) {
        outcome_error(kernel, error);
        return ERR_ok;
    }
    kernel_push_built(kernel, frame);
    kernel->gas = gas;
    outcome_begin(kernel);
    return ERR_ok;
}

/* The rest of an invocation. */
static enum err finish(struct kernel *kernel, bool runs,
                       struct kernel_result *ret_result)
{
    if (runs)
        TRY(drive(kernel));
    show_invocation(kernel);
    *ret_result = kernel->outcome.result;
    return ERR_ok;
}

enum err kernel_invoke(struct kernel *kernel, const struct hash256 *instance,
                       uint32_t endpoint, const uint64_t args[4], uint64_t gas,
                       struct kernel_result *ret_result)
{
    bool runs;
    TRY(kernel_invoke_begin(kernel, instance, endpoint, args, gas, &runs));
    return finish(kernel, runs, ret_result);
}

enum err kernel_go_on(struct kernel *kernel, struct kernel_result *ret_result)
{
    check(kernel->stack_size && !is_paused(kernel));
    return finish(kernel, true, ret_result);
}

static enum kernel_error resume_check(const struct kernel *kernel, uint32_t flags,
                                      uint64_t topup)
{
    if (!is_paused(kernel))
        return KERNEL_ERROR_NotPaused;
    if (!(flags & KERNEL_RESUME_DROP) && topup > UINT64_MAX - kernel->gas)
        return KERNEL_ERROR_GasOverflow;
    return KERNEL_ERROR_None;
}

enum err kernel_resume_begin(struct kernel *kernel, uint32_t flags,
                             const struct hash256 *scratch, uint64_t topup,
                             bool *ret_runs)
{
    enum kernel_error error = resume_check(kernel, flags, topup);
    bool drops = flags & KERNEL_RESUME_DROP;
    kernel_journal_begin(kernel);
    *ret_runs = !error && !drops;
    if (error) {
        outcome_error(kernel, error);
    } else if (drops) {
        pop_all(kernel);
        outcome_begin(kernel);
        outcome_finish(kernel, KERNEL_VARIANT_DROPPED, KERNEL_EXIT_DROPPED, 0, 0);
    } else {
        (void)kernel_pop(kernel);
        if (flags & KERNEL_RESUME_SCRATCH)
            kernel_top(kernel)->cnode.slot[0] = slot_of_hash(scratch);
        kernel->gas += topup;
        outcome_begin(kernel);
    }
    return ERR_ok;
}

enum err kernel_resume(struct kernel *kernel, uint32_t flags,
                       const struct hash256 *scratch, uint64_t topup,
                       struct kernel_result *ret_result)
{
    bool runs;
    TRY(kernel_resume_begin(kernel, flags, scratch, topup, &runs));
    return finish(kernel, runs, ret_result);
}

void kernel_refuse(struct kernel *kernel, enum kernel_error error,
                   struct kernel_result *ret_result)
{
    outcome_error(kernel, error);
    *ret_result = kernel->outcome.result;
}
