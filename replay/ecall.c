/* SPDX-License-Identifier: MIT
 *
 * One ecall: serve it, write or compare its event, and only then let the guest see the
 * answer.  In a replay the answer of a call that asked the outside is the trace's.
 */
#include "replay/host_calls.h"
#include "replay/session.h"

#include "base/hash.h"

/* Operands that an event shows: phi7..phi12. */
enum { IN_FIRST = 7, IN_COUNT = 6, A0 = 7 };

enum { OUTCOME_CONTINUE = 0, OUTCOME_REPLY = 1 };

/* The event and what its lists point to. */
struct ecall {
    struct trace_pvm_ecall event;
    uint64_t in[IN_COUNT];
    struct trace_uu out, read, write;
};

static struct host_call begin(struct replay_session *s, const struct pvm_state *state,
                              uint32_t op)
{
    return (struct host_call){
        .op = op,
        .operand = {state->reg[A0], state->reg[A0 + 1], state->reg[A0 + 2],
                    state->reg[A0 + 3]},
        .host = session_replays(s) ? NULL : s->options.host,
        .mem = state->mem,
        .args = s->args,
        .scratch = s->scratch,
    };
}

static void fill_in(struct ecall *e, const struct pvm_state *state)
{
    size_t count = 0;
    for (size_t i = 0; i < IN_COUNT; i++) {
        e->in[i] = state->reg[IN_FIRST + i];
        if (e->in[i])
            count = i + 1;
    }
    e->event.in = (struct trace_list_u){e->in, count};
}

static void fill_ranges(const struct replay_session *s, struct ecall *e,
                        const struct host_call *call)
{
    struct trace_pvm_ecall *event = &e->event;
    if (call->read.size) {
        e->read = (struct trace_uu){call->read.address, call->read.size};
        event->reads = (struct trace_list_uu){&e->read, 1};
        if (s->trace)
            event->rdig = hash_xxh3(call->read_bytes.data, call->read_bytes.size);
        if (s->setup->log_reads)
            event->rbytes = call->read_bytes;
    }
    if (call->write.size) {
        e->write = (struct trace_uu){call->write.address, call->write.size};
        event->writes = (struct trace_list_uu){&e->write, 1};
        if (s->trace)
            event->wdig = hash_xxh3(call->write_bytes.data, call->write_bytes.size);
        if (s->setup->log_writes || call->outside)
            event->wbytes = call->write_bytes;
    }
}

static void fill(const struct replay_session *s, struct ecall *e,
                 const struct host_call *call, const struct pvm_state *state,
                 uint32_t pc)
{
    struct trace_pvm_ecall *event = &e->event;
    event->pc = pc;
    event->op = call->op;
    event->origin = call->outside;
    fill_in(e, state);
    if (call->ends) {
        event->outcome = OUTCOME_REPLY;
        event->arg = call->status;
    }
    if (call->answers) {
        e->out = (struct trace_uu){A0, (uint64_t)call->answer};
        event->out = (struct trace_list_uu){&e->out, 1};
    }
    fill_ranges(s, e, call);
}

/* ---- the answer ---- */

/* The x-fields of an event whose answer is the trace's: hostile. */
static bool is_sane(const struct trace_pvm_ecall *event, struct pvm_mem *mem)
{
    uint64_t size = 0;
    if (event->outcome > OUTCOME_REPLY || event->charges.count || event->slots.count)
        return false;
    for (size_t i = 0; i < event->out.count; i++) {
        if (event->out.item[i].a >= PVM_REG_COUNT)
            return false;
    }
    for (size_t i = 0; i < event->writes.count; i++) {
        struct trace_uu range = event->writes.item[i];
        if (range.a > UINT32_MAX || range.b > event->wbytes.size - size ||
            !pvm_mem_accessible(mem, (uint32_t)range.a, range.b, PVM_ACCESS_RW))
            return false;
        size += range.b;
    }
    return size == event->wbytes.size &&
           event->wdig == hash_xxh3(event->wbytes.data, event->wbytes.size);
}

/* Registers and memory as the guest finds them after the call. */
static enum err apply(const struct trace_pvm_ecall *event, struct bytes written,
                      struct pvm_state *state)
{
    for (size_t i = 0; i < event->out.count; i++)
        state->reg[event->out.item[i].a] = event->out.item[i].b;
    for (size_t i = 0; i < event->writes.count; i++) {
        struct trace_uu range = event->writes.item[i];
        TRY(pvm_mem_write(state->mem, (uint32_t)range.a, written.data, (size_t)range.b,
                          NULL));
        written = bytes_of(written.data + range.b, written.size - (size_t)range.b);
    }
    return ERR_ok;
}

/* What the guest has written to its standard output or error leaves it now. */
static void console(struct replay_session *s, const struct ecall *e,
                    const struct host_call *call)
{
    uint64_t fd = call->operand[0], dev = fd == 1 ? 33 : 34;
    if (call->op != REPLAY_CALL_write || (fd != 1 && fd != 2) || !e->event.out.count)
        return;
    int64_t count = (int64_t)s->state.reg[A0];
    if (count <= 0 || s->err)
        return;
    struct bytes data = call->read_bytes;
    if ((uint64_t)count < data.size)
        data.size = (size_t)count;
    if (s->options.output)
        s->options.output(s->options.output_self, dev, data);
    if (s->trace)
        s->err = trace_console(s->trace, dev, data);
    if (!s->err && s->options.copy)
        s->err = trace_console(s->options.copy, dev, data);
}

/* ---- the handler ---- */

static enum pvm_answer stop(struct replay_session *s, enum replay_end end)
{
    s->end = end;
    return PVM_ANSWER_EXIT;
}

/* Does the run have to stop behind this call? */
static enum pvm_answer proceed(struct replay_session *s)
{
    if (s->err)
        return stop(s, REPLAY_END_ERROR);
    if (s->options.limit.seq == UINT64_MAX || !session_replays(s))
        return PVM_ANSWER_CONTINUE;
    const struct trace_record *next = trace_peek(s->trace);
    if (next && next->seq < s->options.limit.seq)
        return PVM_ANSWER_CONTINUE;
    s->muted = true;
    return stop(s, REPLAY_END_STOPPED);
}

/* With a trace: the event, and the answer that holds. */
static enum err record(struct replay_session *s, struct ecall *e,
                       const struct host_call *call, struct pvm_state *state,
                       uint32_t pc)
{
    fill(s, e, call, state, pc);
    if (!s->trace)
        return apply(&e->event, call->write_bytes, state);
    struct hash256 before;
    bool digest = replay_session_digest_due(s);
    if (digest) { /* as of the event's clock: the call is the next instruction */
        struct pvm_state calling = *state;
        calling.pc = pc;
        pvm_state_digest_registers(&calling, &before);
    }
    if (!replay_session_emit(s, TRACE_ID_pvm_ecall, &e->event))
        return s->err;
    bool outside = e->event.origin;
    if (outside && session_replays(s) && !is_sane(&e->event, state->mem))
        return ERR_trace_event;
    /* What a replay has filled in is gone after the next event. */
    TRY(apply(&e->event, outside ? e->event.wbytes : call->write_bytes, state));
    if (digest)
        replay_session_digest(s, before);
    return s->err;
}

enum pvm_answer replay_session_ecall(void *self, struct pvm_state *state,
                                     enum pvm_exit kind, uint64_t number, uint32_t pc,
                                     struct pvm_outcome *ret_outcome)
{
    struct replay_session *s = self;
    struct host_call call = begin(s, state, (uint32_t)number);
    struct ecall e = {0};
    (void)kind; /* ecall and ecalli share their numbers (pvm-exec.md 9.3) */
    if (s->err)
        return stop(s, REPLAY_END_ERROR);
    replay_session_clock(s, state->icount - 1, state->gas);
    replay_host_serve(&call);
    if (call.interrupted)
        return stop(s, REPLAY_END_USER);
    s->err = record(s, &e, &call, state, pc);
    console(s, &e, &call);
    s->result.ecall_count++;
    if (s->err || e.event.outcome == OUTCOME_CONTINUE)
        return proceed(s);
    s->result.exited = call.op == REPLAY_CALL_exit || e.event.origin;
    s->result.status = (uint32_t)e.event.arg;
    *ret_outcome = (struct pvm_outcome){.exit = PVM_EXIT_HALT};
    return PVM_ANSWER_EXIT;
}
