/* SPDX-License-Identifier: MIT
 *
 * Checkpoints of a kernel's session, and sessions that begin with one.
 */
#include "replay/kernel_session.h"

#include "kernel/debug.h"
#include "kernel/saved.h"
#include "replay/session.h"

#include <stdlib.h>
#include <string.h>

#define MACHINE_MEMORY ((size_t)256 << 20)

/* ---- take ---- */

static struct kernel_stand stand_of(struct replay_kernel *s,
                                    const struct pvm_state *running)
{
    return (struct kernel_stand){
        .kernel = s->kernel,
        .running = running,
        .clock = {.icount = running ? running->icount : kernel_icount(s->kernel),
                  .gas = s->gas_clock},
        .machine = {.images = buf_bytes(&s->images),
                    .inside = running != NULL,
                    .begin_count = s->begin_count,
                    .begin_icount = s->begun.icount,
                    .begin_sub = s->begun.sub,
                    .ecall_count = s->totals.ecall_count,
                    .invoke_count = s->totals.invoke_count}};
}

void replay_kernel_passed(struct replay_kernel *s, const struct pvm_state *running)
{
    uint64_t take_seq = s->options.take_seq;
    if (s->err || !s->trace)
        return;
    const struct kernel_stand stand = stand_of(s, running);
    if (running && running->icount >= s->series.next)
        s->err = replay_kernel_checkpoint_next(&stand, &s->series, trace_seq(s->trace));
    if (s->err || !take_seq || trace_seq(s->trace) != take_seq)
        return;
    s->err = replay_kernel_checkpoint_take(&stand, s->options.take);
    if (!s->err) {
        s->totals.clock = stand.clock;
        s->stopped = true;
        s->err = ERR_interrupted;
    }
}

enum err replay_kernel_checkpoint(struct replay_kernel *s, trace_ring_put_fn *put,
                                  void *to)
{
    if (!s || (!s->safe && !s->idle))
        return ERR_ok;
    struct checkpoint *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_nomem;
    const struct kernel_stand stand = stand_of(s, s->safe);
    enum err err = replay_kernel_checkpoint_take(&stand, c);
    bool cannot = err == ERR_unsupported || err == ERR_limit;
    if (!err)
        err = replay_checkpoint_give(c, put, to);
    replay_checkpoint_fini(c);
    free(c);
    return cannot ? ERR_ok : err;
}

/* ---- restore ---- */

/* What the trace has told of programs so far must be what the checkpoint says. */
static enum err take_images(struct replay_kernel *s, struct bytes images)
{
    if (images.size < s->images.size ||
        (s->images.size && memcmp(images.data, s->images.data, s->images.size) != 0))
        return ERR_trace_event;
    buf_clear(&s->images);
    if (images.size)
        buf_put(&s->images, images.data, images.size);
    return s->images.err;
}

static enum err restore(struct replay_kernel *s,
                        const struct kernel_checkpoint_ref *ref)
{
    struct arena arena;
    struct kernel_stand stand;
    arena_init(&arena, MACHINE_MEMORY);
    enum err err = replay_kernel_checkpoint_restore(&arena, s->kernel, &s->setup.config,
                                                    ref, &stand);
    if (!err)
        err = take_images(s, stand.machine.images);
    if (!err) {
        s->gas_clock = stand.clock.gas;
        s->gas_last = kernel_gas(s->kernel);
        s->inside = stand.machine.inside;
        s->begins = false;
        s->begin_count = stand.machine.begin_count;
        s->begun = (struct trace_clock){.icount = stand.machine.begin_icount,
                                        .sub = stand.machine.begin_sub};
        s->totals.ecall_count = stand.machine.ecall_count;
        s->totals.invoke_count = stand.machine.invoke_count;
        s->totals.clock = stand.clock;
    }
    arena_fini(&arena);
    return err;
}

void replay_kernel_start(struct replay_kernel *s)
{
    const struct replay_kernel_options *o = &s->options;
    const struct kernel_checkpoint_ref ref = {.source = o->source,
                                              .list = o->start,
                                              .index = o->start_index,
                                              .seq = o->resume_seq};
    if (s->err || (!o->start && !o->resume_seq))
        return;
    uint64_t seq = trace_seq(s->trace);
    s->err = restore(s, &ref);
    if (s->err || o->resume_seq)
        return;
    s->err = trace_skip(s->trace, o->start->ref[o->start_index].seq);
    s->totals.gap_size = o->start->ref[o->start_index].seq - seq;
}

bool replay_kernel_cross_gap(struct replay_kernel *s)
{
    uint64_t seq;
    if (!s->options.source || !trace_gap(s->trace, &seq))
        return false;
    const struct kernel_checkpoint_ref ref = {.source = s->options.source, .seq = seq};
    s->err = restore(s, &ref);
    if (s->err)
        return false;
    s->totals.gap_size += seq - trace_seq(s->trace);
    trace_resume(s->trace);
    return true;
}

static struct bytes keep(struct buf *own, struct bytes bytes)
{
    buf_clear(own);
    if (bytes.size)
        buf_put(own, bytes.data, bytes.size);
    return buf_bytes(own);
}

void replay_kernel_take_program(struct replay_kernel *s)
{
    struct trace_pvm_program event;
    struct trace_clock clock = trace_peek(s->trace)->clock;
    s->err = trace_peek_decode(s->trace, TRACE_ID_pvm_program, &event);
    if (s->err)
        return;
    /* Only in front of everything that happens. */
    if (kernel_cap_count(s->kernel) || s->totals.invoke_count || !event.hash.present ||
        event.prog != s->images.size / HASH256_SIZE) {
        s->err = ERR_trace_event;
        return;
    }
    buf_put(&s->images, event.hash.hash.byte, HASH256_SIZE);
    /* The reader may overwrite them when it goes on. */
    event.code = keep(&s->scratch, event.code);
    event.blocks = keep(&s->written, event.blocks);
    s->trace->clock = clock;
    s->err = s->images.err    ? s->images.err
             : s->scratch.err ? s->scratch.err
                              : s->written.err;
    if (!s->err)
        s->err = trace_event(s->trace, TRACE_ID_pvm_program, &event);
}

enum err replay_kernel_go_on(struct replay_kernel *s)
{
    struct kernel_result result;
    if (s->err || !s->inside)
        return s->err;
    s->inside = false;
    enum err err = kernel_go_on(s->kernel, &result);
    s->err = s->err ? s->err : err;
    replay_kernel_emit_outcome(s);
    return s->err;
}

/* ---- where ---- */

enum { ECALL_FIELD_OUTCOME = 5 };

static bool is_request(uint32_t id)
{
    return id == TRACE_ID_pvm_put || id == TRACE_ID_pvm_request ||
           id == TRACE_ID_pvm_invoke || id == TRACE_ID_pvm_resume ||
           id == TRACE_ID_pvm_state;
}

/* Does an ecall's program go on behind it? */
static bool goes_on(const struct trace_record *record)
{
    struct trace_values values = trace_record_values(record, ECALL_FIELD_OUTCOME);
    struct trace_value outcome = {0};
    return trace_values_next(&values, &outcome) && !outcome.number;
}

/* A place behind this record, or 0. */
static uint64_t place_behind(const struct trace_record *record, uint64_t icount,
                             uint64_t seq_max)
{
    bool ecall = record->kind->id == TRACE_ID_pvm_ecall &&
                 record->clock.icount < icount && goes_on(record);
    bool split = replay_session_segment_end(record) == PVM_SEGMENT_SPLIT_BLOCK &&
                 record->kind->id == TRACE_ID_pvm_segment;
    return record->seq < seq_max && (ecall || split) ? record->seq + 1 : 0;
}

struct places {
    uint64_t next_seq;
    bool begins; /* the record before asks for an invocation */
    uint64_t found;
};

static void look(struct places *p, const struct trace_record *record, uint64_t icount,
                 uint64_t seq_max)
{
    uint32_t id = record->kind->id;
    uint64_t seq = record->seq, behind = place_behind(record, icount, seq_max);
    bool program = id == TRACE_ID_pvm_program;
    bool gap = seq != p->next_seq;
    if (p->begins && id != TRACE_ID_pvm_outcome && id != TRACE_ID_pvm_exit &&
        seq + program <= seq_max)
        p->found = seq + program;
    if (gap || is_request(id))
        p->found = seq;
    if (behind)
        p->found = behind;
    p->begins = id == TRACE_ID_pvm_invoke || id == TRACE_ID_pvm_resume;
    p->next_seq = seq + 1;
}

enum err replay_kernel_find_place(struct trace_reader *reader, uint64_t icount,
                                  uint64_t seq_max, uint64_t *ret_seq)
{
    struct places p = {.next_seq = 0};
    struct trace_record record;
    bool end = false;
    for (;;) {
        TRY(trace_reader_next(reader, &record, &end));
        /* The first request is a place for whatever is in front of it. */
        if (end || (p.found && (record.clock.icount > icount || record.seq > seq_max)))
            break;
        look(&p, &record, icount, seq_max);
    }
    *ret_seq = p.found;
    return p.found ? ERR_ok : ERR_trace_end;
}
