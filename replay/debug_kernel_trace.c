/* SPDX-License-Identifier: MIT
 *
 * What the trace of a kernel holds: programs, requests, and the positions at which they
 * are made.
 */
#include "replay/debug_kernel.h"

#include "kernel/cap.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- survey ---- */

struct survey {
    struct debug_kernel *g;
    struct trace_record record;
    size_t open;              /* request that may have begun something, and */
    bool is_open, active;     /* whether it has */
    struct replay_time begun; /* the last invocation */
    bool any;
    uint64_t next_seq;
};

/* Room for one more in a list. */
static enum err grow(void **list, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return ERR_ok;
    size_t more = *capacity ? 2 * *capacity : 64;
    void *larger = realloc(*list, more * size);
    if (!larger)
        return ERR_nomem;
    *list = larger;
    *capacity = more;
    return ERR_ok;
}

static enum err add_program(struct survey *s)
{
    struct debug_kernel *g = s->g;
    struct trace_pvm_program event;
    struct debug_kernel_program program = {.serial = 0};
    TRY(trace_decode_pvm_program(g->reader, &s->record, &g->arena, &event));
    if (event.prog != g->program_count || !event.hash.present)
        return ERR_trace_event;
    /* What is decoded may lie in the reader, which goes on. */
    event.code.data = arena_copy(&g->arena, event.code.data, event.code.size);
    if (!event.code.data)
        return ERR_nomem;
    TRY(pvm_code_parse(event.code, &program.code));
    program.image = event.hash.hash;
    TRY(grow((void **)&g->program, g->program_count, &g->program_capacity,
             sizeof program));
    g->program[g->program_count++] = program;
    return ERR_ok;
}

/* An invocation has begun here; `sub` tells it from the one before. */
static struct replay_time begin_at(struct survey *s, uint64_t icount)
{
    bool again = s->any && s->begun.icount == icount;
    s->begun = (struct replay_time){icount, again ? s->begun.sub + 1 : s->any};
    s->any = true;
    return s->begun;
}

/* The request that is open has begun an invocation, or it has not. */
static void close_request(struct survey *s, const struct trace_clock *end)
{
    struct debug_kernel *g = s->g;
    s->is_open = false;
    if (!s->active)
        return;
    struct debug_kernel_request *request = &g->request[s->open];
    request->begins = true;
    request->time = begin_at(s, request->time.icount);
    g->begin_count = s->open + 1;
    if (end) {
        request->ends = true;
        request->end = *end;
    }
}

static enum err add_request(struct survey *s, bool opens)
{
    struct debug_kernel *g = s->g;
    TRY(grow((void **)&g->request, g->request_count, &g->request_capacity,
             sizeof *g->request));
    g->request[g->request_count] =
        (struct debug_kernel_request){.seq = s->record.seq,
                                      .id = (enum trace_id)s->record.kind->id,
                                      .time.icount = s->record.clock.icount};
    s->open = g->request_count++;
    s->is_open = opens;
    s->active = false;
    return ERR_ok;
}

/* Whoever serves the request later must be able to decode it. */
static enum err take_request(struct survey *s)
{
    struct debug_kernel *g = s->g;
    union {
        struct trace_pvm_put put;
        struct trace_pvm_request request;
        struct trace_pvm_invoke invoke;
        struct trace_pvm_resume resume;
    } event;
    arena_clear(&g->event);
    switch (s->record.kind->id) {
    case TRACE_ID_pvm_put:
        TRY(trace_decode_pvm_put(g->reader, &s->record, &g->event, &event.put));
        return add_request(s, false);
    case TRACE_ID_pvm_request:
        TRY(trace_decode_pvm_request(g->reader, &s->record, &g->event, &event.request));
        return add_request(s, false);
    case TRACE_ID_pvm_resume:
        TRY(trace_decode_pvm_resume(g->reader, &s->record, &g->event, &event.resume));
        return add_request(s, !event.resume.drop);
    default:
        TRY(trace_decode_pvm_invoke(g->reader, &s->record, &g->event, &event.invoke));
        if (!event.invoke.target.present || event.invoke.endpoint > UINT32_MAX ||
            event.invoke.args.count > 4)
            return ERR_trace_event;
        return add_request(s, true);
    }
}

static enum err take_outcome(struct survey *s)
{
    struct trace_pvm_outcome event;
    if (!s->is_open)
        return ERR_ok;
    arena_clear(&s->g->event);
    TRY(trace_decode_pvm_outcome(s->g->reader, &s->record, &s->g->event, &event));
    s->active |= event.variant == KERNEL_VARIANT_HALT ||
                 event.variant == KERNEL_VARIANT_FAULTED ||
                 event.variant == KERNEL_VARIANT_PAUSED;
    close_request(s, &s->record.clock);
    return ERR_ok;
}

static enum err take(struct survey *s)
{
    switch (s->record.kind->id) {
    case TRACE_ID_pvm_put:
    case TRACE_ID_pvm_request:
    case TRACE_ID_pvm_invoke:
    case TRACE_ID_pvm_resume:
        return take_request(s);
    case TRACE_ID_pvm_outcome:
        return take_outcome(s);
    case TRACE_ID_pvm_program:
        s->active = true;
        return add_program(s);
    case TRACE_ID_pvm_exit: /* also of what could not begin */
    case TRACE_ID_pvm_state:
    case TRACE_ID_session_end:
        return ERR_ok;
    default:
        s->active = true;
        return ERR_ok;
    }
}

/* A program of an image that is in the directory. */
static enum err add_image(struct debug_kernel *g, const struct hash256 *image)
{
    struct debug_kernel_program program = {.image = *image};
    struct kernel_cap cap;
    struct bytes wire;
    if (kernel_get(g->kernel, image, &wire) || kernel_wire_decode(wire, &cap) ||
        cap.kind != KERNEL_KIND_IMAGE)
        return ERR_trace_event;
    /* It stays where it is: no state has fewer caps than this one. */
    program.code = kernel_image_code(&cap.image);
    TRY(grow((void **)&g->program, g->program_count, &g->program_capacity,
             sizeof program));
    g->program[g->program_count++] = program;
    return ERR_ok;
}

/* The programs so far, which a ring does not tell any more. */
static enum err add_images(struct debug_kernel *g, struct bytes images)
{
    for (size_t i = 0; i < images.size / HASH256_SIZE; i++) {
        struct hash256 image;
        memcpy(image.byte, images.data + i * HASH256_SIZE, HASH256_SIZE);
        if (i >= g->program_count)
            TRY(add_image(g, &image));
        else if (!hash256_equal(&image, &g->program[i].image))
            return ERR_trace_event;
    }
    return ERR_ok;
}

/* What was before a gap cannot be visited: begin with the checkpoint behind it. */
static enum err cross_gap(struct survey *s, char *message)
{
    struct debug_kernel *g = s->g;
    const struct kernel_checkpoint_ref ref = {.source = g->source,
                                              .seq = s->record.seq};
    struct kernel_stand stand;
    g->request_count = g->begin_count = 0;
    enum err err = replay_debug_kernel_take(g, &ref, &stand);
    if (!err)
        err = add_images(g, stand.machine.images);
    if (err) {
        (void)snprintf(message, REPLAY_DEBUG_MESSAGE_SIZE,
                       "the checkpoint in front of event %" PRIu64 ": %s", ref.seq,
                       err_text(err));
        return err;
    }
    g->base = replay_debug_kernel_time(g);
    g->base_seq = ref.seq;
    s->is_open = s->active = false;
    s->any = stand.machine.begin_count != 0;
    s->begun = g->place.begun;
    return ERR_ok;
}

enum err replay_debug_kernel_survey(struct debug_kernel *g, struct replay_debug *debug,
                                    char *message)
{
    struct survey s = {.g = g};
    bool end = false;
    enum err err;
    TRY(trace_reader_seek_seq(g->reader, 0));
    while (!(err = trace_reader_next(g->reader, &s.record, &end)) && !end) {
        if (s.record.seq != s.next_seq)
            TRY(cross_gap(&s, message));
        s.next_seq = s.record.seq + 1;
        err = take(&s);
        if (err)
            break;
        g->end.icount = s.record.clock.icount;
        debug->last_seq = s.record.seq;
    }
    if (err == ERR_nomem)
        return err;
    if (s.is_open)
        close_request(&s, NULL);
    debug->damage = err; /* what is readable can be debugged */
    debug->finished = !err && trace_reader_state(g->reader) == TRACE_READER_CLOSED;
    g->end.sub = g->end.icount == s.begun.icount ? s.begun.sub : 0;
    return ERR_ok;
}

/* ---- events ---- */

struct replay_time replay_debug_kernel_event_time(void *self, uint64_t seq,
                                                  uint64_t icount)
{
    const struct debug_kernel *g = self;
    struct replay_time time = {.icount = icount};
    size_t low = 0, high = g->request_count;
    while (low < high) { /* the first request behind the event */
        size_t middle = low + (high - low) / 2;
        if (g->request[middle].seq <= seq)
            low = middle + 1;
        else
            high = middle;
    }
    /* A request is made where the invocation before it has ended. */
    while (low-- > 0 && g->request[low].time.icount == icount) {
        if (g->request[low].begins && g->request[low].seq < seq)
            return g->request[low].time;
    }
    return icount == g->base.icount ? g->base : time;
}

/* ---- serving ---- */

static enum err serve_put(struct debug_kernel *g, const struct trace_record *record)
{
    struct trace_pvm_put event;
    struct hash256 hash;
    TRY(trace_decode_pvm_put(g->reader, record, &g->event, &event));
    enum kernel_status status = kernel_put(g->kernel, event.body, &hash);
    return status == event.status ? ERR_ok : ERR_trace_diverged;
}

static enum err serve_other(struct debug_kernel *g, const struct trace_record *record)
{
    struct trace_pvm_request event;
    struct replay_kernel_answer answer;
    TRY(trace_decode_pvm_request(g->reader, record, &g->event, &event));
    replay_kernel_serve(g->kernel, (uint32_t)event.fn, event.payload, &answer);
    return answer.status == event.status ? ERR_ok : ERR_trace_diverged;
}

static enum err serve_invoke(struct debug_kernel *g, const struct trace_record *record,
                             bool *ret_runs)
{
    struct trace_pvm_invoke event;
    uint64_t args[4] = {0};
    TRY(trace_decode_pvm_invoke(g->reader, record, &g->event, &event));
    for (size_t i = 0; i < event.args.count && i < countof(args); i++)
        args[i] = event.args.item[i];
    return kernel_invoke_begin(g->kernel, &event.target.hash, (uint32_t)event.endpoint,
                               args, event.gas, ret_runs);
}

static enum err serve_resume(struct debug_kernel *g, const struct trace_record *record,
                             bool *ret_runs)
{
    struct trace_pvm_resume event;
    TRY(trace_decode_pvm_resume(g->reader, record, &g->event, &event));
    uint32_t flags = (event.slot0.present ? KERNEL_RESUME_SCRATCH : 0u) |
                     (event.drop ? (uint32_t)KERNEL_RESUME_DROP : 0u);
    return kernel_resume_begin(g->kernel, flags, &event.slot0.hash, event.gas,
                               ret_runs);
}

static enum err serve(struct debug_kernel *g,
                      const struct debug_kernel_request *request, bool *ret_runs)
{
    struct trace_record record;
    bool end;
    *ret_runs = false;
    arena_clear(&g->event);
    TRY(trace_reader_seek_seq(g->reader, request->seq));
    TRY(trace_reader_next(g->reader, &record, &end));
    if (end || record.seq != request->seq || record.kind->id != (unsigned)request->id)
        return ERR_trace_event;
    switch ((unsigned)request->id) {
    case TRACE_ID_pvm_put:
        return serve_put(g, &record);
    case TRACE_ID_pvm_request:
        return serve_other(g, &record);
    case TRACE_ID_pvm_resume:
        return serve_resume(g, &record, ret_runs);
    default:
        return serve_invoke(g, &record, ret_runs);
    }
}

/* ---- from one invocation to the next ---- */

/* Is the end of this invocation where the trace has it? */
static enum err check_end(const struct debug_kernel *g)
{
    const struct debug_kernel_request *request =
        g->place.request_next ? &g->request[g->place.request_next - 1] : NULL;
    if (!request || !request->begins || !request->ends)
        return ERR_ok;
    return kernel_icount(g->kernel) == request->end.icount &&
                   debug_kernel_clock(g) == request->end.gas
               ? ERR_ok
               : ERR_trace_diverged;
}

static enum err end_invocation(struct debug_kernel *g)
{
    TRY(check_end(g));
    if (g->place.mode == DEBUG_KERNEL_PENDING) {
        replay_debug_kernel_leave(g, 0);
        if (kernel_exit_act(g->kernel, g->place.exit))
            return ERR_trace_diverged;
        replay_debug_kernel_follow(g);
    }
    g->place.mode = DEBUG_KERNEL_IDLE;
    return ERR_ok;
}

static enum err serve_until_begin(struct debug_kernel *g)
{
    bool runs = false;
    while (!runs) {
        const struct debug_kernel_request *request = &g->request[g->place.request_next];
        TRY(serve(g, request, &runs));
        if (runs != request->begins)
            return ERR_trace_diverged;
        g->place.request_next++;
        if (runs)
            g->place.begun = request->time;
        replay_debug_kernel_follow(g);
    }
    return ERR_ok;
}

enum err replay_debug_kernel_next(struct debug_kernel *g)
{
    check(debug_kernel_ahead(g));
    TRY(end_invocation(g));
    uint64_t clock = debug_kernel_clock(g);
    enum err err = serve_until_begin(g);
    if (err) {
        g->failed = err;
        return err;
    }
    g->place.gas_sum = clock + kernel_gas(g->kernel);
    g->place.mode = DEBUG_KERNEL_RUNS;
    return ERR_ok;
}
