/* SPDX-License-Identifier: MIT
 *
 * One ecall: serve it, write or compare its event, and only then let the guest see the
 * answer.  In a replay the answer of a call that asked the outside is the trace's.
 */
#include "replay/host_calls.h"
#include "replay/session.h"

#include "base/hash.h"

#include <string.h>

/* Operands that an event shows: phi7..phi12. */
enum { IN_FIRST = 7, IN_COUNT = 6, A0 = 7, CONSOLE_SIZE_MAX = 256 };

enum { OUTCOME_CONTINUE = 0, OUTCOME_REPLY = 1 };

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

static void fill_in(struct replay_ecall *e, const struct pvm_state *state)
{
    size_t count = 0;
    for (size_t i = 0; i < IN_COUNT; i++) {
        e->in[i] = state->reg[IN_FIRST + i];
        if (e->in[i])
            count = i + 1;
    }
    e->event.in = (struct trace_list_u){e->in, count};
}

static void fill_ranges(const struct replay_session *s, struct replay_ecall *e,
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

static void fill(const struct replay_session *s, struct replay_ecall *e,
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
        if (!range.b)
            continue;
        TRY(pvm_mem_write(state->mem, (uint32_t)range.a, written.data, (size_t)range.b,
                          NULL));
        written = bytes_of(written.data + range.b, written.size - (size_t)range.b);
    }
    return ERR_ok;
}

/* The bytes that make one console.out: up to a newline, or 256. */
static struct bytes next_piece(struct bytes data)
{
    struct bytes piece = data;
    if (piece.size > CONSOLE_SIZE_MAX)
        piece.size = CONSOLE_SIZE_MAX;
    const uint8_t *newline = memchr(piece.data, '\n', piece.size);
    if (newline)
        piece.size = (size_t)(newline - piece.data) + 1;
    return piece;
}

static void put_console(struct replay_session *s, uint64_t dev, struct bytes data,
                        bool goes_on)
{
    while (data.size && !s->err) {
        struct bytes piece = next_piece(data);
        bool whole =
            piece.size == CONSOLE_SIZE_MAX || piece.data[piece.size - 1] == '\n';
        data = bytes_of(data.data + piece.size, data.size - piece.size);
        s->safe = goes_on && whole && !data.size ? &s->state : NULL;
        s->err = trace_console(s->trace, dev, piece);
        if (!s->err && s->options.copy)
            s->err = trace_console(s->options.copy, dev, piece);
        s->safe = NULL;
    }
}

/* What this call makes leave the guest through its standard output or error. */
static struct bytes console_bytes(const struct replay_session *s,
                                  const struct replay_ecall *e,
                                  const struct host_call *call)
{
    int64_t count = (int64_t)s->state.reg[A0];
    bool is_console = call->op == REPLAY_CALL_write &&
                      (call->operand[0] == 1 || call->operand[0] == 2);
    if (!is_console || !e->event.out.count || count <= 0)
        return (struct bytes){0};
    struct bytes data = call->read_bytes;
    if ((uint64_t)count < data.size)
        data.size = (size_t)count;
    return data;
}

static void console(struct replay_session *s, const struct replay_ecall *e,
                    const struct host_call *call)
{
    struct bytes data = console_bytes(s, e, call);
    uint64_t dev = call->operand[0] == 1 ? 33 : 34;
    if (!data.size || s->err)
        return;
    if (s->options.output)
        s->options.output(s->options.output_self, dev, data);
    if (s->trace)
        put_console(s, dev, data, e->event.outcome == OUTCOME_CONTINUE);
}

/* ---- once more, without a session ---- */

static bool same_ranges(const struct trace_list_uu *a, const struct trace_list_uu *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (a->item[i].a != b->item[i].a || a->item[i].b != b->item[i].b)
            return false;
    }
    return true;
}

/* Did the guest make this call, with these bytes? */
static bool same_call(const struct trace_pvm_ecall *a, const struct trace_pvm_ecall *b)
{
    if (a->pc != b->pc || a->op != b->op || a->in.count != b->in.count ||
        a->origin != b->origin || a->rdig != b->rdig ||
        !same_ranges(&a->reads, &b->reads))
        return false;
    for (size_t i = 0; i < a->in.count; i++) {
        if (a->in.item[i] != b->in.item[i])
            return false;
    }
    return true;
}

static bool same_answer(const struct trace_pvm_ecall *a,
                        const struct trace_pvm_ecall *b)
{
    return a->outcome == b->outcome && a->arg == b->arg && a->wdig == b->wdig &&
           same_ranges(&a->out, &b->out) && same_ranges(&a->writes, &b->writes);
}

enum err replay_ecall_redo(struct replay_session *s, const struct pvm_state *state,
                           uint64_t number, uint32_t pc,
                           const struct trace_pvm_ecall *recorded,
                           struct replay_ecall *ret_ecall)
{
    struct host_call call = begin(s, state, (uint32_t)number);
    struct replay_ecall *e = ret_ecall;
    call.host = NULL;
    replay_host_serve(&call);
    *e = (struct replay_ecall){0};
    fill(s, e, &call, state, pc);
    e->event.rdig = hash_xxh3(call.read_bytes.data, call.read_bytes.size);
    e->event.wdig = hash_xxh3(call.write_bytes.data, call.write_bytes.size);
    e->written = call.write_bytes;
    if (!same_call(&e->event, recorded))
        return ERR_trace_diverged;
    if (!e->event.origin)
        return same_answer(&e->event, recorded) ? ERR_ok : ERR_trace_diverged;
    if (!is_sane(recorded, state->mem))
        return ERR_trace_event;
    e->event = *recorded;
    e->written = recorded->wbytes;
    return ERR_ok;
}

enum err replay_ecall_apply(const struct replay_ecall *ecall, struct pvm_state *state)
{
    return apply(&ecall->event, ecall->written, state);
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

/* Write the event.  The guest has its answer already, so that the state is the one
 * behind the call. */
static enum err record(struct replay_session *s, struct replay_ecall *e,
                       const struct host_call *call, struct pvm_state *state,
                       const struct hash256 *digest)
{
    TRY(apply(&e->event, call->write_bytes, state));
    bool goes_on = e->event.outcome == OUTCOME_CONTINUE;
    bool quiet = goes_on && !console_bytes(s, e, call).size;
    s->safe = quiet && !digest ? state : NULL;
    bool written = replay_session_emit(s, TRACE_ID_pvm_ecall, &e->event);
    s->safe = quiet ? state : NULL;
    if (written && digest)
        replay_session_digest(s, *digest);
    s->safe = NULL;
    return s->err;
}

/* Compare the event, and take the answer of a call that asked the outside from it. */
static enum err replay(struct replay_session *s, struct replay_ecall *e,
                       const struct host_call *call, struct pvm_state *state,
                       const struct hash256 *digest)
{
    if (!replay_session_emit(s, TRACE_ID_pvm_ecall, &e->event))
        return s->err;
    bool outside = e->event.origin;
    if (outside && !is_sane(&e->event, state->mem))
        return ERR_trace_event;
    /* What the trace has filled in is gone after the next event. */
    TRY(apply(&e->event, outside ? e->event.wbytes : call->write_bytes, state));
    bool quiet =
        e->event.outcome == OUTCOME_CONTINUE && !console_bytes(s, e, call).size;
    if (digest)
        replay_session_digest(s, *digest);
    if (quiet)
        replay_session_passed(s, state);
    return s->err;
}

static enum err settle(struct replay_session *s, struct replay_ecall *e,
                       const struct host_call *call, struct pvm_state *state,
                       uint32_t pc)
{
    struct hash256 digest;
    fill(s, e, call, state, pc);
    if (!s->trace)
        return apply(&e->event, call->write_bytes, state);
    bool due = replay_session_digest_due(s);
    if (due) { /* as of the event's clock: the call is the next instruction */
        struct pvm_state calling = *state;
        calling.pc = pc;
        pvm_state_digest_registers(&calling, &digest);
    }
    return (session_replays(s) ? replay : record)(s, e, call, state,
                                                  due ? &digest : NULL);
}

enum pvm_answer replay_session_ecall(void *self, struct pvm_state *state,
                                     enum pvm_exit kind, uint64_t number, uint32_t pc,
                                     struct pvm_outcome *ret_outcome)
{
    struct replay_session *s = self;
    struct host_call call = begin(s, state, (uint32_t)number);
    struct replay_ecall e = {0};
    (void)kind; /* ecall and ecalli share their numbers (pvm-exec.md 9.3) */
    if (s->err)
        return stop(s, REPLAY_END_ERROR);
    replay_session_clock(s, state->icount - 1, state->gas);
    replay_host_serve(&call);
    if (call.interrupted)
        return stop(s, REPLAY_END_USER);
    s->err = settle(s, &e, &call, state, pc);
    console(s, &e, &call);
    s->result.ecall_count++;
    if (s->err || e.event.outcome == OUTCOME_CONTINUE)
        return proceed(s);
    s->result.exited = call.op == REPLAY_CALL_exit || e.event.origin;
    s->result.status = (uint32_t)e.event.arg;
    *ret_outcome = (struct pvm_outcome){.exit = PVM_EXIT_HALT};
    return PVM_ANSWER_EXIT;
}
