/* SPDX-License-Identifier: MIT
 *
 * What a kernel tells its observer, as events (trace-replay.md 4.3).
 */
#include "replay/kernel_session.h"

#include <string.h>

enum { IN_FIRST = 7, IN_COUNT = 6, A0 = 7 };

/* Outcomes of pvm.ecall. */
enum {
    OUTCOME_CONTINUE = 0,
    OUTCOME_REPLY = 1,
    OUTCOME_TRAP = 2,
    OUTCOME_YIELD = 3,
    OUTCOME_CALL = 4,
    OUTCOME_REPLACE = 5,
};

enum {
    CALL_YIELD = 16,
    CALL_SET_IMAGE = 17,
    CALL_SAME_TYPE = 20,
    CALL_READ = 22,
    CALL_SAVE = 25,
    CALL_USER_MIN = 64,
};

/* ---- programs and segments ---- */

static void spend(struct replay_kernel *s, uint64_t gas)
{
    s->gas_clock += s->gas_last - gas;
    s->gas_last = gas;
}

static uint32_t image_count(const struct replay_kernel *s)
{
    return (uint32_t)(s->images.size / HASH256_SIZE);
}

/* The number of an image's program; image_count(): it has none yet. */
static uint32_t image_find(const struct replay_kernel *s, const struct hash256 *image)
{
    uint32_t i = 0;
    while (i < image_count(s) &&
           memcmp(s->images.data + (size_t)i * HASH256_SIZE, image->byte, HASH256_SIZE))
        i++;
    return i;
}

static void emit_program(struct replay_kernel *s, const struct hash256 *image,
                         const struct pvm_program *program,
                         const struct pvm_state *state)
{
    const struct pvm_config *config = pvm_program_config(program);
    struct buf code, blocks;
    buf_init(&code, (size_t)1 << 26);
    buf_init(&blocks, (size_t)1 << 30);
    pvm_code_put(pvm_program_code(program), &code);
    pvm_program_put_blocks(program, state->pc, &blocks);
    struct trace_pvm_program event = {.prog = s->prog,
                                      .kind = 1,
                                      .hash = trace_hash_of(*image),
                                      .profile = config->profile,
                                      .model = config->model,
                                      .mem_cycles = config->mem_cycles,
                                      .code = buf_bytes(&code),
                                      .blocks = buf_bytes(&blocks)};
    if (!s->err)
        s->err = code.err ? code.err : blocks.err;
    (void)replay_kernel_emit(s, state->icount, TRACE_ID_pvm_program, &event);
    buf_fini(&code);
    buf_fini(&blocks);
}

/* A position of a debugger tells invocations at one icount from each other [ADR 0015].
 */
static void note_begin(struct replay_kernel *s, uint64_t icount)
{
    if (!s->begins)
        return;
    bool again = s->begin_count && s->begun.icount == icount;
    s->begun.sub = again ? s->begun.sub + 1 : s->begin_count != 0;
    s->begun.icount = icount;
    s->begin_count++;
    s->begins = false;
}

static void on_run(void *self, uint32_t frame, const struct hash256 *image,
                   const struct pvm_program *program, const struct pvm_state *state)
{
    struct replay_kernel *s = self;
    s->frame = frame;
    s->prog = image_find(s, image);
    note_begin(s, state->icount);
    if (s->prog == image_count(s) && s->trace) {
        buf_put(&s->images, image->byte, HASH256_SIZE);
        if (s->images.err && !s->err)
            s->err = s->images.err;
        s->safe = state;
        emit_program(s, image, program, state);
        s->safe = NULL;
    }
    replay_kernel_passed(s, state);
}

static struct trace_list_uuuuu extra_list(struct replay_kernel *s,
                                          const struct pvm_segment *segment)
{
    check(segment->extra_count <= KERNEL_EXTRA_MAX);
    for (uint32_t i = 0; i < segment->extra_count; i++) {
        const struct pvm_extra *extra = &segment->extra[i];
        s->extra[i] = (struct trace_uuuuu){extra->dn, extra->dpc, extra->kind,
                                           extra->where, extra->cost};
    }
    return (struct trace_list_uuuuu){s->extra, segment->extra_count};
}

static void on_segment(void *self, const struct pvm_state *state,
                       const struct pvm_segment *segment)
{
    struct replay_kernel *s = self;
    uint64_t icount = state->icount - (segment->end == PVM_SEGMENT_ECALL);
    spend(s, state->gas);
    if (s->setup.gas_log == PVM_GAS_LOG_SUMMARY) {
        struct trace_pvm_summary event = {.frame = s->frame,
                                          .prog = s->prog,
                                          .pc = segment->pc,
                                          .start = segment->start,
                                          .n = segment->n,
                                          .gas = segment->gas,
                                          .end = segment->end,
                                          .end_pc = segment->end_pc,
                                          .hash = segment->hash};
        (void)replay_kernel_emit(s, icount, TRACE_ID_pvm_summary, &event);
        return;
    }
    struct pvm_state entry = *state;
    entry.charged = false;
    bool is_safe = segment->end == PVM_SEGMENT_SPLIT_BLOCK;
    struct trace_pvm_segment event = {.frame = s->frame,
                                      .prog = s->prog,
                                      .pc = segment->pc,
                                      .start = segment->start,
                                      .n = segment->n,
                                      .gas = segment->gas,
                                      .end = segment->end,
                                      .end_pc = segment->end_pc,
                                      .nbits = segment->nbits,
                                      .bits = segment->bits,
                                      .targets = segment->targets,
                                      .extra = extra_list(s, segment)};
    s->safe = is_safe ? &entry : NULL;
    (void)replay_kernel_emit(s, icount, TRACE_ID_pvm_segment, &event);
    s->safe = NULL;
    if (is_safe)
        replay_kernel_passed(s, &entry);
}

static void on_charge(void *self, const struct pvm_state *state,
                      enum pvm_charge_kind kind, uint32_t where, uint64_t cost)
{
    struct replay_kernel *s = self;
    struct trace_pvm_charge event = {.kind = kind,
                                     .where = where,
                                     .cost = cost,
                                     .pc =
                                         kind == PVM_CHARGE_BLOCK ? where : state->pc};
    struct pvm_state paid = *state;
    paid.charged = true;
    bool is_safe = kind == PVM_CHARGE_BLOCK && state->pc == where;
    spend(s, state->gas);
    s->safe = is_safe ? &paid : NULL;
    (void)replay_kernel_emit(s, state->icount, TRACE_ID_pvm_charge, &event);
    s->safe = NULL;
    if (is_safe)
        replay_kernel_passed(s, &paid);
}

/* ---- ecalls ---- */

/* Numbers of pvm.assist. */
static uint64_t assist_method(enum kernel_assist_method method)
{
    static const uint8_t number[] = {[KERNEL_ASSIST_QUOTA_GET] = 3,
                                     [KERNEL_ASSIST_QUOTA_SET] = 4,
                                     [KERNEL_ASSIST_CATCHES] = 5,
                                     [KERNEL_ASSIST_FILE_OPEN] = 9,
                                     [KERNEL_ASSIST_FILE_SAVE] = 10};
    return number[method];
}

static void emit_assist(struct replay_kernel *s, uint64_t icount,
                        const struct kernel_assist_call *call)
{
    struct trace_hash hash = trace_hash_of(call->hash);
    struct trace_pvm_assist event = {
        .method = assist_method(call->method), .ok = call->ok, .num = call->answer};
    switch (call->method) {
    case KERNEL_ASSIST_QUOTA_GET:
        event.nums = (struct trace_list_u){call->arg, 1};
        break;
    case KERNEL_ASSIST_QUOTA_SET:
        event.nums = (struct trace_list_u){call->arg, 2};
        break;
    case KERNEL_ASSIST_CATCHES:
        event.cap = hash;
        break;
    case KERNEL_ASSIST_FILE_OPEN:
        event.nums = (struct trace_list_u){call->arg, 1};
        event.caps = (struct trace_list_h){&hash, call->ok};
        break;
    case KERNEL_ASSIST_FILE_SAVE:
        event.nums = (struct trace_list_u){call->arg, 2};
        event.cap = hash;
        break;
    }
    (void)replay_kernel_emit(s, icount, TRACE_ID_pvm_assist, &event);
}

static void emit_publish(struct replay_kernel *s, uint64_t icount,
                         const struct hash256 *hash)
{
    struct trace_pvm_publish event = {.hash = trace_hash_of(*hash),
                                      .kind = KERNEL_KIND_DATA};
    struct bytes wire;
    if (!kernel_get(s->kernel, hash, &wire)) {
        event.kind = wire.data[0];
        event.size = wire.size;
        if (s->setup.log_caps)
            event.body = wire;
    }
    (void)replay_kernel_emit(s, icount, TRACE_ID_pvm_publish, &event);
}

/* Registers that the handler wrote: one, where it is an answer. */
static bool answers(const struct kernel_event *event)
{
    if (event->outcome != KERNEL_EVENT_CONTINUE)
        return false;
    return event->op == CALL_SAME_TYPE || event->op == CALL_READ ||
           event->op == CALL_SAVE ||
           (event->op >= CALL_USER_MIN && event->before[A0] != event->after[A0]);
}

static void set_outcome(const struct replay_kernel *s, const struct kernel_event *event,
                        struct trace_pvm_ecall *ret)
{
    uint32_t top = kernel_stack_size(s->kernel);
    switch (event->outcome) {
    case KERNEL_EVENT_CONTINUE:
        break;
    case KERNEL_EVENT_HALT:
        ret->outcome = OUTCOME_REPLY;
        break;
    case KERNEL_EVENT_TRAP:
        ret->outcome = OUTCOME_TRAP;
        ret->arg = event->error;
        break;
    case KERNEL_EVENT_HOST_CALL:
        ret->outcome = event->op == CALL_YIELD       ? OUTCOME_YIELD
                       : event->op == CALL_SET_IMAGE ? OUTCOME_REPLACE
                                                     : OUTCOME_CALL;
        ret->arg = event->op == CALL_YIELD       ? event->target
                   : event->op == CALL_SET_IMAGE ? image_find(s, &event->image)
                                                 : top - 1;
        break;
    }
}

/* Bytes of a range, which is mapped. */
static struct bytes range_bytes(struct replay_kernel *s, struct buf *buf,
                                const struct kernel_event *event,
                                struct kernel_range range)
{
    buf_clear(buf);
    uint8_t *bytes = buf_extend(buf, range.size);
    if (!bytes || pvm_mem_read(event->mem, range.address, range.size, bytes)) {
        s->err = s->err ? s->err : ERR_nomem;
        return (struct bytes){NULL, 0};
    }
    return buf_bytes(buf);
}

static void emit_ecall(struct replay_kernel *s, uint64_t icount,
                       const struct kernel_event *event)
{
    enum { SLOT_MAX = 8 };
    struct trace_uuh slot[SLOT_MAX];
    struct trace_uu out, read, write;
    uint64_t in[IN_COUNT];
    struct trace_pvm_ecall ecall = {
        .frame = event->frame, .pc = event->call_pc, .op = event->op};
    for (size_t i = 0; i < IN_COUNT; i++) {
        in[i] = event->before[IN_FIRST + i];
        if (in[i])
            ecall.in.count = i + 1;
    }
    ecall.in.item = in;
    set_outcome(s, event, &ecall);
    if (answers(event)) {
        out = (struct trace_uu){A0, event->after[A0]};
        ecall.out = (struct trace_list_uu){&out, 1};
    }
    if (event->read.size && s->trace) {
        struct bytes bytes = range_bytes(s, &s->scratch, event, event->read);
        read = (struct trace_uu){event->read.address, event->read.size};
        ecall.reads = (struct trace_list_uu){&read, 1};
        ecall.rdig = hash_xxh3(bytes.data, bytes.size);
        if (s->setup.log_reads)
            ecall.rbytes = bytes;
    }
    if (event->written.size && s->trace) {
        struct bytes bytes = range_bytes(s, &s->written, event, event->written);
        write = (struct trace_uu){event->written.address, event->written.size};
        ecall.writes = (struct trace_list_uu){&write, 1};
        ecall.wdig = hash_xxh3(bytes.data, bytes.size);
        if (s->setup.log_writes)
            ecall.wbytes = bytes;
    }
    check(event->slot_count <= SLOT_MAX);
    for (uint32_t i = 0; i < event->slot_count; i++) {
        const struct kernel_slot_change *c = &event->slot[i];
        slot[i] = (struct trace_uuh){c->frame, c->slot, {.present = false}};
        if (c->new_present == 1)
            slot[i].c = trace_hash_of(c->new_hash);
    }
    ecall.slots = (struct trace_list_uuh){slot, event->slot_count};
    (void)replay_kernel_emit(s, icount, TRACE_ID_pvm_ecall, &ecall);
}

static void on_event(void *self, const struct pvm_state *state,
                     const struct kernel_event *event)
{
    struct replay_kernel *s = self;
    bool is_ecall = event->kind != KERNEL_EVENT_RETURN;
    uint64_t icount = is_ecall ? state->icount - 1 : kernel_icount(s->kernel);
    spend(s, event->gas);
    for (uint32_t i = 0; i < event->assist_count; i++)
        emit_assist(s, icount, &event->assist[i]);
    for (uint32_t i = 0; is_ecall && i < event->published_count; i++)
        emit_publish(s, icount, &event->published[i]);
    if (!is_ecall)
        return;
    bool goes_on = event->outcome == KERNEL_EVENT_CONTINUE;
    s->totals.ecall_count++;
    s->safe = goes_on ? state : NULL;
    emit_ecall(s, icount, event);
    s->safe = NULL;
    if (goes_on)
        replay_kernel_passed(s, state);
}

/* ---- ends ---- */

static struct trace_hash hash_if(bool present, const struct hash256 *hash)
{
    return present ? trace_hash_of(*hash) : (struct trace_hash){.present = false};
}

static void on_frame_end(void *self, const struct kernel_frame_end *end)
{
    struct replay_kernel *s = self;
    uint64_t icount = kernel_icount(s->kernel);
    if (end->reason != KERNEL_EXIT_ERROR) /* which has no budget */
        spend(s, end->gas);
    for (uint32_t i = 0; i < end->published_count; i++)
        emit_publish(s, icount, &end->published[i]);
    struct trace_pvm_exit event = {.frame = end->frame,
                                   .reason = (uint32_t)end->reason,
                                   .arg = end->arg,
                                   .pc = end->pc,
                                   .value = end->value,
                                   .gas = end->gas,
                                   .post = hash_if(end->has_post, &end->post),
                                   .slot0 = hash_if(end->has_slot0, &end->slot0),
                                   .marker = hash_if(end->has_marker, &end->marker)};
    (void)replay_kernel_emit(s, icount, TRACE_ID_pvm_exit, &event);
}

void replay_kernel_emit_outcome(struct replay_kernel *s)
{
    const struct kernel_outcome *o = kernel_last_outcome(s->kernel);
    bool frame = o->variant == KERNEL_VARIANT_HALT ||
                 o->variant == KERNEL_VARIANT_FAULTED ||
                 o->variant == KERNEL_VARIANT_PAUSED;
    bool traces = s->setup.config.flags & KERNEL_TRACE;
    struct trace_pvm_outcome event = {
        .variant = o->variant,
        .error = o->error,
        .cause = o->cause,
        .stack = o->stack_size,
        .frame = o->frame,
        .gas_used = o->gas_used,
        .chain = hash_if(frame, &o->chain),
        .cnode = hash_if(frame, &o->cnode),
        .memory = hash_if(frame && (s->setup.config.flags & KERNEL_MEM_DIGEST),
                          &o->mem_digest),
        .records = o->trace_count,
        .digest = hash_if(traces, &o->trace_digest)};
    event.regs.item = o->reg;
    for (size_t i = 0; i < PVM_REG_COUNT; i++) {
        if (o->reg[i])
            event.regs.count = i + 1;
    }
    s->idle = true;
    (void)replay_kernel_emit(s, kernel_icount(s->kernel), TRACE_ID_pvm_outcome, &event);
    s->idle = false;
}

void replay_kernel_observe(struct replay_kernel *s)
{
    s->observer = (struct kernel_observer){.self = s,
                                           .gas_log = s->trace ? s->setup.gas_log
                                                               : PVM_GAS_LOG_NONE,
                                           .run = on_run,
                                           .segment = s->trace ? on_segment : NULL,
                                           .charge = s->trace ? on_charge : NULL,
                                           .event = on_event,
                                           .frame_end = on_frame_end};
}
