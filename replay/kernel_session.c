/* SPDX-License-Identifier: MIT
 *
 * A kernel's session: requests, and the trace's in a replay.
 */
#include "replay/kernel_session.h"

#include "base/os.h"
#include "kernel/cap.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BYTES_MAX ((size_t)1 << 32)

/* ---- events ---- */

/* The kernel is interrupted as soon as it asks. */
static bool stops_here(struct replay_kernel *s)
{
    uint64_t max = s->options.seq_max;
    if (max && !s->err && s->kernel && s->trace && trace_seq(s->trace) >= max) {
        s->stopped = true;
        s->err = ERR_interrupted;
    }
    return s->stopped;
}

bool replay_kernel_emit(struct replay_kernel *s, uint64_t icount, enum trace_id id,
                        void *event)
{
    if (stops_here(s))
        return false;
    s->totals.clock = (struct trace_clock){.icount = icount, .gas = s->gas_clock};
    if (s->err || !s->trace)
        return !s->err;
    s->trace->clock = s->totals.clock;
    s->err = trace_event(s->trace, id, event);
    if (!s->err && s->options.copy) {
        s->options.copy->clock = s->totals.clock;
        s->err = trace_event(s->options.copy, id, event);
    }
    return !s->err;
}

static bool emit(struct replay_kernel *s, enum trace_id id, void *event)
{
    return replay_kernel_emit(s, kernel_icount(s->kernel), id, event);
}

/* A request that has been served. */
static bool emit_served(struct replay_kernel *s, enum trace_id id, void *event)
{
    s->idle = true;
    bool emitted = emit(s, id, event);
    s->idle = false;
    return emitted;
}

static enum err emit_begin(struct replay_kernel *s)
{
    struct trace_session_begin begin = {.spec = TRACE_SPEC};
    const char *key;
    char value[KERNEL_TEXT_SIZE];
    (void)emit(s, TRACE_ID_session_begin, &begin);
    for (unsigned i = 0; replay_kernel_config_get(&s->setup, i, &key, value); i++) {
        struct trace_session_config event = {.key = key, .value = value};
        if (value[0])
            (void)emit(s, TRACE_ID_session_config, &event);
    }
    return s->err;
}

/* ---- requests ---- */

/* Replay: what only we know to be different; `seq` is the event's. */
static void diverge(struct replay_kernel *s, uint64_t seq, const char *name,
                    const char *field)
{
    s->divergence = (struct trace_divergence){.seq = seq,
                                              .recorded_name = name,
                                              .produced_name = name,
                                              .recorded_clock = s->totals.clock,
                                              .produced_clock = s->totals.clock};
    (void)snprintf(s->divergence.field, sizeof s->divergence.field, "%s", field);
    s->err = ERR_trace_diverged;
}

static void hash_text(const struct trace_hash *hash, char *ret_text, size_t size)
{
    (void)snprintf(ret_text, size, "-");
    for (size_t i = 0; hash->present && i < HASH256_SIZE && 2 * i + 3 <= size; i++)
        (void)snprintf(ret_text + 2 * i, 3, "%02x", hash->hash.byte[i]);
}

enum err replay_kernel_put(struct replay_kernel *s, struct bytes wire,
                           enum kernel_status *ret_status, struct hash256 *ret_hash)
{
    struct hash256 hash = {{0}};
    *ret_status = kernel_put(s->kernel, wire, &hash);
    struct trace_hash put = {.hash = hash, .present = !*ret_status};
    struct trace_pvm_put event = {.hash = put,
                                  .kind = wire.size ? wire.data[0] : 0,
                                  .body = wire,
                                  .status = *ret_status};
    if (emit_served(s, TRACE_ID_pvm_put, &event) && !trace_live(s->trace) &&
        (event.hash.present != put.present ||
         (put.present && !hash256_equal(&event.hash.hash, &hash)))) {
        diverge(s, trace_seq(s->trace) - 1, "pvm.put", "hash");
        hash_text(&event.hash, s->divergence.recorded, sizeof s->divergence.recorded);
        hash_text(&put, s->divergence.produced, sizeof s->divergence.produced);
    }
    if (!*ret_status)
        *ret_hash = hash;
    return s->err;
}

/* Does the limit allow that all this is spent, and what is left of before? */
static bool affords(struct replay_kernel *s, uint64_t gas)
{
    uint64_t max = s->options.gas_max;
    uint64_t left = kernel_stack_size(s->kernel) ? s->gas_last : 0;
    if (max && (s->gas_clock > max || left > max - s->gas_clock ||
                gas > max - s->gas_clock - left))
        s->err = ERR_limit;
    return !s->err;
}

enum err replay_kernel_invoke(struct replay_kernel *s,
                              const struct replay_kernel_invocation *invocation,
                              struct kernel_result *ret_result)
{
    struct replay_kernel_invocation own = *invocation;
    struct trace_pvm_invoke event = {.target = trace_hash_of(own.instance),
                                     .endpoint = own.endpoint,
                                     .args = {own.args, 0},
                                     .gas = own.gas,
                                     .pad = own.pad};
    for (size_t i = 0; i < countof(own.args); i++) {
        if (own.args[i])
            event.args.count = i + 1;
    }
    if (!emit(s, TRACE_ID_pvm_invoke, &event) || !affords(s, own.gas))
        return s->err;
    if (!kernel_stack_size(s->kernel)) /* else it is refused */
        s->gas_last = own.gas;
    s->begins = true;
    enum err err = kernel_invoke(s->kernel, &own.instance, own.endpoint, own.args,
                                 own.gas, ret_result);
    s->totals.invoke_count++;
    s->err = s->err ? s->err : err;
    replay_kernel_emit_outcome(s);
    return s->err;
}

enum err replay_kernel_resume(struct replay_kernel *s, bool drop,
                              const struct hash256 *scratch, uint64_t topup,
                              struct kernel_result *ret_result)
{
    struct hash256 own = scratch ? *scratch : (struct hash256){{0}};
    struct trace_pvm_resume event = {
        .slot0 = {.hash = own, .present = scratch != NULL}, .gas = topup, .drop = drop};
    if (!emit(s, TRACE_ID_pvm_resume, &event) || (!drop && !affords(s, topup)))
        return s->err;
    uint32_t flags = (scratch ? KERNEL_RESUME_SCRATCH : 0u) |
                     (drop ? (uint32_t)KERNEL_RESUME_DROP : 0u);
    if (!drop)
        s->gas_last += topup;
    s->begins = !drop;
    enum err err = kernel_resume(s->kernel, flags, &own, topup, ret_result);
    if (!drop && ret_result->exit_reason == (uint32_t)KERNEL_EXIT_ERROR)
        s->gas_last -= topup; /* refused: nothing was added */
    s->err = s->err ? s->err : err;
    replay_kernel_emit_outcome(s);
    return s->err;
}

/* ---- other requests [9.2] ---- */

static void answer_u64(struct replay_kernel_answer *answer, uint64_t value, size_t size)
{
    uint8_t bytes[8];
    kernel_u64_put(bytes, value);
    memcpy(answer->bytes, bytes, size);
    answer->size = size;
}

static void seed_file(struct kernel *kernel, const uint8_t *p,
                      struct replay_kernel_answer *answer)
{
    struct hash256 hash = kernel_hash_at(p + 8);
    uint64_t next = 0;
    answer->status = kernel_file_seed(kernel, kernel_u64(p), &hash, &next);
    answer_u64(answer, next, 8);
}

static void seed_quota(struct kernel *kernel, const uint8_t *p,
                       struct replay_kernel_answer *answer)
{
    uint64_t id = kernel_u64(p + 8), value = kernel_u64(p + 16), previous = 0;
    if (kernel_u32(p + 4))
        answer->status = KERNEL_STATUS_MALFORMED;
    else if (kernel_u32(p) > 1)
        answer->status = KERNEL_STATUS_BAD_VALUE;
    else
        answer->status = (kernel_u32(p) ? kernel_meter_seed : kernel_quota_seed)(
            kernel, id, value, &previous);
    answer_u64(answer, previous, 8);
}

static void add_catcher(struct kernel *kernel, const uint8_t *p,
                        struct replay_kernel_answer *answer)
{
    struct hash256 catcher = kernel_hash_at(p + 8), marker = kernel_hash_at(p + 40);
    uint32_t count = 0;
    if (kernel_u32(p + 4))
        answer->status = KERNEL_STATUS_MALFORMED;
    else if (kernel_u32(p) > 1)
        answer->status = KERNEL_STATUS_BAD_VALUE;
    else
        answer->status = (kernel_u32(p) ? kernel_catcher_remove : kernel_catcher_add)(
            kernel, &catcher, &marker, &count);
    answer_u64(answer, count, 4);
}

static void new_catcher(struct kernel *kernel, const uint8_t *p,
                        struct replay_kernel_answer *answer)
{
    struct hash256 id = {{0}};
    (void)p;
    answer->status = kernel_catcher_new(kernel, &id);
    memcpy(answer->bytes, id.byte, HASH256_SIZE);
    answer->size = HASH256_SIZE;
}

static void reset_block(struct kernel *kernel, const uint8_t *p,
                        struct replay_kernel_answer *answer)
{
    (void)p, (void)answer;
    kernel_block_reset(kernel);
}

static const struct request {
    uint32_t fn;
    size_t size;
    void (*serve)(struct kernel *kernel, const uint8_t *payload,
                  struct replay_kernel_answer *answer);
} requests[] = {
    {REPLAY_KERNEL_SEED_FILE, 40, seed_file},
    {REPLAY_KERNEL_SEED_QUOTA, 24, seed_quota},
    {REPLAY_KERNEL_ADD_CATCHER, 72, add_catcher},
    {REPLAY_KERNEL_NEW_CATCHER, 0, new_catcher},
    {REPLAY_KERNEL_RESET_BLOCK, 0, reset_block},
};

void replay_kernel_serve(struct kernel *kernel, uint32_t fn, struct bytes payload,
                         struct replay_kernel_answer *answer)
{
    const struct request *request = NULL;
    *answer = (struct replay_kernel_answer){.status = KERNEL_STATUS_OK};
    for (size_t i = 0; i < countof(requests); i++) {
        if (requests[i].fn == fn)
            request = &requests[i];
    }
    if (!request)
        answer->status = KERNEL_STATUS_UNKNOWN_FN;
    else if (payload.size != request->size)
        answer->status = KERNEL_STATUS_MALFORMED;
    else
        request->serve(kernel, payload.data, answer);
    if (answer->status)
        answer->size = 0;
}

enum err replay_kernel_request(struct replay_kernel *s, enum replay_kernel_fn fn,
                               struct bytes payload,
                               struct replay_kernel_answer *ret_answer)
{
    uint8_t own[REPLAY_KERNEL_REQUEST_MAX];
    struct replay_kernel_answer answer = {.status = KERNEL_STATUS_MALFORMED};
    if (payload.size <= sizeof own) {
        if (payload.size)
            memcpy(own, payload.data, payload.size);
        replay_kernel_serve(s->kernel, (uint32_t)fn, bytes_of(own, payload.size),
                            &answer);
    }
    struct trace_pvm_request event = {.fn = (uint32_t)fn,
                                      .payload = payload,
                                      .status = answer.status,
                                      .answer = bytes_of(answer.bytes, answer.size)};
    if (payload.size <= sizeof own)
        event.payload = bytes_of(own, payload.size);
    (void)emit_served(s, TRACE_ID_pvm_request, &event);
    *ret_answer = answer;
    return s->err;
}

/* ---- the end ---- */

enum err replay_kernel_finish(struct replay_kernel *s, uint64_t reason)
{
    if (!reason && s->trace) {
        struct buf dump;
        buf_init(&dump, BYTES_MAX);
        kernel_state_dump(s->kernel, &dump);
        struct trace_pvm_state event = {.dump = buf_bytes(&dump)};
        s->err = s->err ? s->err : dump.err;
        (void)emit(s, TRACE_ID_pvm_state, &event);
        buf_fini(&dump);
    }
    struct trace_session_end end = {.reason = reason};
    (void)emit(s, TRACE_ID_session_end, &end);
    if (!s->err && s->trace && !trace_live(s->trace))
        s->err = trace_expect_end(s->trace);
    return s->err;
}

/* ---- a replay ---- */

/* A body that the trace's next call may overwrite. */
static enum err keep(struct replay_kernel *s, struct bytes *bytes)
{
    buf_clear(&s->scratch);
    buf_put(&s->scratch, bytes->data, bytes->size);
    *bytes = buf_bytes(&s->scratch);
    return s->scratch.err;
}

static enum err follow_put(struct replay_kernel *s)
{
    struct trace_pvm_put event;
    enum kernel_status status;
    struct hash256 hash;
    TRY(trace_peek_decode(s->trace, TRACE_ID_pvm_put, &event));
    TRY(keep(s, &event.body));
    return replay_kernel_put(s, event.body, &status, &hash);
}

static enum err follow_invoke(struct replay_kernel *s)
{
    struct trace_pvm_invoke event;
    struct replay_kernel_invocation invocation = {.endpoint = 0};
    struct kernel_result result;
    TRY(trace_peek_decode(s->trace, TRACE_ID_pvm_invoke, &event));
    if (event.args.count > countof(invocation.args) || event.endpoint > UINT32_MAX ||
        event.pad > UINT32_MAX || !event.target.present)
        return ERR_trace_event;
    invocation.instance = event.target.hash;
    invocation.endpoint = (uint32_t)event.endpoint;
    invocation.pad = (uint32_t)event.pad;
    invocation.gas = event.gas;
    for (size_t i = 0; i < event.args.count; i++)
        invocation.args[i] = event.args.item[i];
    return replay_kernel_invoke(s, &invocation, &result);
}

static enum err follow_resume(struct replay_kernel *s)
{
    struct trace_pvm_resume event;
    struct kernel_result result;
    TRY(trace_peek_decode(s->trace, TRACE_ID_pvm_resume, &event));
    struct hash256 scratch = event.slot0.hash;
    return replay_kernel_resume(s, event.drop, event.slot0.present ? &scratch : NULL,
                                event.gas, &result);
}

static enum err follow_request(struct replay_kernel *s)
{
    struct trace_pvm_request event;
    struct replay_kernel_answer answer;
    TRY(trace_peek_decode(s->trace, TRACE_ID_pvm_request, &event));
    TRY(keep(s, &event.payload));
    return replay_kernel_request(s, (enum replay_kernel_fn)(uint32_t)event.fn,
                                 event.payload, &answer);
}

/* Do what the next event asks for; *ret_more: another one may follow. */
static enum err follow_one(struct replay_kernel *s, const struct trace_record *next,
                           bool *ret_more)
{
    switch (next->kind->id) {
    case TRACE_ID_pvm_put:
        return follow_put(s);
    case TRACE_ID_pvm_invoke:
        return follow_invoke(s);
    case TRACE_ID_pvm_resume:
        return follow_resume(s);
    case TRACE_ID_pvm_request:
        return follow_request(s);
    case TRACE_ID_pvm_program:
        replay_kernel_take_program(s);
        return s->err;
    case TRACE_ID_pvm_state:
    case TRACE_ID_session_end:
        *ret_more = false;
        return replay_kernel_finish(s, 0);
    default:
        diverge(s, next->seq, next->kind->wire, "kind");
        s->divergence.produced_name = NULL;
        return s->err;
    }
}

enum err replay_kernel_follow(struct replay_kernel *s, bool *ret_stopped)
{
    bool more = true;
    while (more && (!s->err || s->err == ERR_trace_end) && !stops_here(s)) {
        if (!replay_kernel_cross_gap(s) && s->err)
            break;
        if (s->inside)
            s->err = replay_kernel_go_on(s);
        else
            replay_kernel_passed(s, NULL);
        if (s->err)
            continue;
        const struct trace_record *next = trace_peek(s->trace);
        if (!next)
            s->err = trace_error(s->trace) ? trace_error(s->trace) : ERR_trace_end;
        else if (s->options.interrupted && s->options.interrupted())
            s->err = ERR_interrupted;
        else
            s->err = follow_one(s, next, &more);
    }
    *ret_stopped = s->stopped;
    return s->stopped ? ERR_ok : s->err;
}

/* ---- life ---- */

static void *space_take(void *self)
{
    void *space = NULL;
    (void)self;
    return os_reserve(PVM_MEM_RESERVE_SIZE, &space) ? NULL : space;
}

static void space_give(void *self, void *space)
{
    (void)self;
    os_release(space, PVM_MEM_RESERVE_SIZE);
}

static bool interrupted(void *self)
{
    struct replay_kernel *s = self;
    return s->err || (s->options.interrupted && s->options.interrupted());
}

static enum err choose_engine(struct replay_kernel *s, struct kernel_host *host)
{
    const struct replay_engine *engine = &s->options.engine;
    bool native = engine->kind == REPLAY_ENGINE_RECOMP ||
                  (engine->kind == REPLAY_ENGINE_AUTO && pvm_recomp_available() &&
                   s->setup.gas_log != PVM_GAS_LOG_EACH);
    enum err err = ERR_ok;
    s->setup.config.engine = KERNEL_ENGINE_INTERP;
    if (!native)
        return ERR_ok;
    if (!pvm_recomp_available())
        return ERR_unsupported;
    if (!engine->in_process)
        err = pvm_sandbox_create(s->arena, NULL, &s->sandbox);
    if (err && engine->kind == REPLAY_ENGINE_AUTO)
        return ERR_ok;
    s->setup.config.engine = KERNEL_ENGINE_RECOMP;
    host->recomp = engine->recomp;
    host->recomp.sandbox = s->sandbox;
    return err;
}

static enum err open(struct replay_kernel *s)
{
    struct kernel_host host = {.self = s,
                               .space_take = space_take,
                               .space_give = space_give,
                               .interrupted = interrupted,
                               .observer = &s->observer};
    if (kernel_config_check(&s->setup.config))
        return ERR_usage;
    TRY(choose_engine(s, &host));
    replay_kernel_observe(s);
    s->extra = arena_new_array(s->arena, struct trace_uuuuu, KERNEL_EXTRA_MAX);
    if (!s->extra)
        return ERR_nomem;
    s->memory_size = kernel_memory_size(&s->setup.config);
    TRY(os_reserve(s->memory_size, &s->memory));
    TRY(kernel_create(s->arena, &s->setup.config, s->memory, &host, &s->kernel));
    if (!s->options.resume_seq)
        TRY(emit_begin(s));
    replay_kernel_start(s);
    return s->err;
}

enum err replay_kernel_create(struct arena *arena,
                              const struct replay_kernel_setup *setup,
                              const struct replay_kernel_options *options,
                              struct replay_kernel **ret_session)
{
    struct replay_kernel *s = arena_new(arena, struct replay_kernel);
    if (!s)
        return ERR_nomem;
    s->arena = arena;
    s->setup = *setup;
    s->options = *options;
    s->trace = options->trace;
    buf_init(&s->images, BYTES_MAX);
    buf_init(&s->scratch, BYTES_MAX);
    buf_init(&s->written, BYTES_MAX);
    replay_series_init(&s->series, &options->checkpoints);
    enum err err = open(s);
    if (err)
        replay_kernel_close(s);
    else
        *ret_session = s;
    return err;
}

void replay_kernel_close(struct replay_kernel *session)
{
    if (!session)
        return;
    kernel_close(session->kernel);
    pvm_sandbox_close(session->sandbox);
    if (session->memory)
        os_release(session->memory, session->memory_size);
    session->kernel = NULL;
    session->sandbox = NULL;
    session->memory = NULL;
    buf_fini(&session->images);
    buf_fini(&session->scratch);
    buf_fini(&session->written);
    replay_series_fini(&session->series);
}

struct kernel *replay_kernel_of(struct replay_kernel *session)
{
    return session->kernel;
}

struct replay_kernel_totals replay_kernel_totals(const struct replay_kernel *session)
{
    return session->totals;
}

const struct trace_divergence *
replay_kernel_divergence(const struct replay_kernel *session)
{
    return session->divergence.recorded_name ? &session->divergence : NULL;
}
