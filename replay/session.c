/* SPDX-License-Identifier: MIT
 *
 * A session: the events before the first instruction, the engine with its observer,
 * the events at the end.  The order of events is that of trace-replay.md 4 and 5.
 */
#include "replay/checkpoint.h"
#include "replay/setup.h"

#include "base/hash.h"
#include "base/os.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { STATE_WHOLE = 0, STATE_REGISTERS = 1 };

/* ---- events ---- */

void replay_session_clock(struct replay_session *s, uint64_t icount, uint64_t gas)
{
    s->result.clock =
        (struct trace_clock){.icount = icount, .gas = s->setup->gas - gas};
    if (s->trace)
        s->trace->clock = s->result.clock;
    if (s->options.copy)
        s->options.copy->clock = s->result.clock;
}

bool replay_session_emit(struct replay_session *s, enum trace_id id, void *event)
{
    if (s->err || !s->trace)
        return !s->err;
    s->err = trace_event(s->trace, id, event);
    if (!s->err && s->options.copy)
        s->err = trace_event(s->options.copy, id, event);
    if (s->safe)
        replay_session_passed(s, s->safe);
    return !s->err;
}

void replay_session_passed(struct replay_session *s, const struct pvm_state *state)
{
    if (!s->err && state->icount >= s->series.next)
        s->err = replay_checkpoint_next(s, state);
}

static void emit_hash(struct replay_session *s, uint64_t what, struct hash256 hash)
{
    struct trace_state_hash event = {.what = what, .hash = trace_hash_of(hash)};
    const struct trace_record *next = session_replays(s) ? trace_peek(s->trace) : NULL;
    uint64_t seq = next ? next->seq : 0;
    if (!replay_session_emit(s, TRACE_ID_state_hash, &event))
        return;
    s->result.hash = (struct replay_hash_place){true, seq, s->result.clock};
}

bool replay_session_digest_due(struct replay_session *s)
{
    if (!s->setup->digest_every || ++s->digest_count < s->setup->digest_every)
        return false;
    s->digest_count = 0;
    return true;
}

void replay_session_digest(struct replay_session *s, struct hash256 hash)
{
    emit_hash(s, STATE_REGISTERS, hash);
}

void replay_session_hash(struct replay_session *s, const struct pvm_state *state)
{
    struct hash256 hash;
    if (s->err || !s->trace || !s->setup->hash_every)
        return;
    s->err = pvm_digest_machine(s->digest, state, &hash);
    if (!s->err)
        emit_hash(s, STATE_WHOLE, hash);
}

/* ---- what the engine tells ---- */

static struct trace_list_uuuuu extra_list(struct replay_session *s,
                                          const struct pvm_segment *segment)
{
    check(segment->extra_count <= SESSION_EXTRA_MAX);
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
    struct replay_session *s = self;
    if (s->err || s->muted)
        return;
    /* An ecall begins where the instructions before it have retired. */
    replay_session_clock(s, state->icount - (segment->end == PVM_SEGMENT_ECALL),
                         state->gas);
    if (s->setup->gas_log == PVM_GAS_LOG_SUMMARY) {
        struct trace_pvm_summary event = {
            .pc = segment->pc,
            .start = segment->start,
            .n = segment->n,
            .gas = segment->gas,
            .end = segment->end,
            .end_pc = segment->end_pc,
            .hash = segment->hash,
        };
        (void)replay_session_emit(s, TRACE_ID_pvm_summary, &event);
        return;
    }
    struct pvm_state entry;
    if (segment->end == PVM_SEGMENT_SPLIT_BLOCK) {
        entry = *state;
        entry.charged = false;
        s->safe = &entry;
    }
    struct trace_pvm_segment event = {
        .pc = segment->pc,
        .start = segment->start,
        .n = segment->n,
        .gas = segment->gas,
        .end = segment->end,
        .end_pc = segment->end_pc,
        .nbits = segment->nbits,
        .bits = segment->bits,
        .targets = segment->targets,
        .extra = extra_list(s, segment),
    };
    (void)replay_session_emit(s, TRACE_ID_pvm_segment, &event);
    s->safe = NULL;
}

static void on_charge(void *self, const struct pvm_state *state,
                      enum pvm_charge_kind kind, uint32_t where, uint64_t cost)
{
    struct replay_session *s = self;
    struct trace_pvm_charge event = {
        .kind = kind,
        .where = where,
        .cost = cost,
        .pc = kind == PVM_CHARGE_BLOCK ? where : state->pc,
    };
    if (s->err || s->muted)
        return;
    struct pvm_state paid = *state;
    paid.charged = true;
    s->safe = kind == PVM_CHARGE_BLOCK && state->pc == where ? &paid : NULL;
    replay_session_clock(s, state->icount, state->gas);
    (void)replay_session_emit(s, TRACE_ID_pvm_charge, &event);
    s->safe = NULL;
}

/* ---- deadlines ---- */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The next deadline after gas clock `now` as the engine wants it: gas that is left. */
static int64_t gas_stop(const struct replay_session *s, uint64_t now)
{
    uint64_t poll = (now / REPLAY_POLL_EVERY + 1) * REPLAY_POLL_EVERY;
    uint64_t at = least(poll, least(s->hash_at, s->options.limit.gas));
    return at > s->setup->gas ? PVM_GAS_STOP_NEVER : (int64_t)(s->setup->gas - at);
}

uint64_t replay_session_segment_end(const struct trace_record *record)
{
    enum { FIELD_END = 6 }; /* of pvm.segment and pvm.summary */
    uint32_t id = record->kind->id;
    if (id != TRACE_ID_pvm_segment && id != TRACE_ID_pvm_summary)
        return UINT64_MAX;
    struct trace_values values = trace_record_values(record, FIELD_END);
    struct trace_value end = {0};
    return trace_values_next(&values, &end) ? end.number : UINT64_MAX;
}

/* Does this record say that the recording was stopped at its clock? */
static bool is_stop(const struct trace_record *record)
{
    return record->kind->id == TRACE_ID_session_end ||
           replay_session_segment_end(record) == PVM_SEGMENT_STOPPED;
}

/* Replay: the guest has run past what comes next in the trace.  Nothing that it
 * produces can be equal, and it might never produce anything. */
static void overrun(struct replay_session *s, const struct trace_record *next)
{
    struct trace_divergence *divergence = &s->overrun;
    *divergence = (struct trace_divergence){
        .seq = next->seq,
        .recorded_clock = next->clock,
        .produced_clock = s->result.clock,
        .recorded_name = next->kind->wire,
        .field = "gas",
    };
    (void)snprintf(divergence->recorded, sizeof divergence->recorded, "%" PRIu64,
                   next->clock.gas);
    (void)snprintf(divergence->produced, sizeof divergence->produced,
                   "%" PRIu64 " or more", s->result.clock.gas);
    s->err = ERR_trace_diverged;
}

/* Replay: look at what the trace says next.  True when the run ends here, as the
 * recording did, or has an error. */
static bool follow(struct replay_session *s, uint64_t now, bool *ret_limit)
{
    const struct trace_record *next = trace_peek(s->trace);
    if (!next) {
        s->err = trace_error(s->trace) ? trace_error(s->trace) : ERR_trace_end;
        return true;
    }
    if (next->seq >= s->options.limit.seq) {
        *ret_limit = true;
        return true;
    }
    if (next->clock.gas < now)
        overrun(s, next);
    return s->err || (next->clock.gas == now && is_stop(next));
}

static bool stop(struct replay_session *s, enum replay_end end, bool muted)
{
    s->end = end;
    s->muted = muted;
    return false;
}

static bool on_deadline(void *self, struct pvm_state *state, int64_t *ret_gas_stop)
{
    struct replay_session *s = self;
    uint64_t now = s->setup->gas - state->gas;
    bool replays = session_replays(s), limit = now >= s->options.limit.gas;
    replay_session_clock(s, state->icount, state->gas);
    if (!s->err && now >= s->hash_at) {
        replay_session_hash(s, state);
        s->hash_at = (now / s->setup->hash_every + 1) * s->setup->hash_every;
    }
    if (!s->err && replays && !limit && follow(s, now, &limit) && !s->err && !limit)
        return stop(s, REPLAY_END_STOPPED, false);
    if (s->err)
        return stop(s, REPLAY_END_ERROR, true);
    if (limit)
        return stop(s, REPLAY_END_STOPPED, true);
    if (s->options.interrupted && s->options.interrupted())
        return stop(s, REPLAY_END_USER, replays);
    *ret_gas_stop = gas_stop(s, now);
    return true;
}

/* ---- before the first instruction ---- */

static void emit_config(struct replay_session *s)
{
    const char *key;
    char value[SETUP_TEXT_SIZE];
    for (unsigned i = 0; replay_setup_config_get(s->setup, i, &key, value); i++) {
        struct trace_session_config event = {.key = key, .value = value};
        if (value[0])
            (void)replay_session_emit(s, TRACE_ID_session_config, &event);
    }
}

static void emit_start(struct replay_session *s)
{
    const struct replay_setup *setup = s->setup;
    size_t reg_count = PVM_REG_COUNT;
    while (reg_count && !setup->reg[reg_count - 1])
        reg_count--;
    struct trace_pvm_start event = {
        .pc = setup->pc,
        .gas = setup->gas,
        .regs = {setup->reg, reg_count},
        .maps = setup->maps,
        .mem = setup->mem,
    };
    (void)replay_session_emit(s, TRACE_ID_pvm_start, &event);
}

static void emit_begin(struct replay_session *s)
{
    const struct replay_setup *setup = s->setup;
    struct trace_session_begin begin = {.spec = TRACE_SPEC, .epoch = setup->epoch_ns};
    struct trace_input_args args = {.argv = setup->argv};
    struct trace_pvm_program program = {
        .hash = trace_hash_of(s->code_hash),
        .profile = setup->config.profile,
        .model = setup->config.model,
        .mem_cycles = setup->config.mem_cycles,
        .code = setup->code,
        .blocks = s->blocks,
    };
    (void)replay_session_emit(s, TRACE_ID_session_begin, &begin);
    emit_config(s);
    if (setup->argv.count)
        (void)replay_session_emit(s, TRACE_ID_input_args, &args);
    (void)replay_session_emit(s, TRACE_ID_pvm_program, &program);
    emit_start(s);
}

/* ---- run ---- */

static void emit_exit(struct replay_session *s)
{
    struct trace_pvm_exit event = {
        .reason = s->result.outcome.exit,
        .arg = s->result.outcome.arg,
        .pc = s->state.pc,
        .value = s->state.reg[7],
        .gas = s->state.gas,
    };
    if (!replay_session_emit(s, TRACE_ID_pvm_exit, &event))
        return;
    if (s->trace && replay_session_digest_due(s)) {
        struct hash256 hash;
        pvm_state_digest_registers(&s->state, &hash);
        replay_session_digest(s, hash);
    }
    replay_session_hash(s, &s->state);
}

/* session.end: reason 0 the guest has finished, 1 it was stopped. */
static void emit_end(struct replay_session *s)
{
    bool guest = s->end == REPLAY_END_GUEST;
    bool live_stop = !guest && trace_live(s->trace);
    struct trace_session_end event = {
        .reason = live_stop,
        .code = s->result.exited ? s->result.status : 0,
    };
    (void)replay_session_emit(s, TRACE_ID_session_end, &event);
    s->result.reason = event.reason;
    if (!s->err && session_replays(s))
        s->err = trace_expect_end(s->trace);
}

/* The engine has been left: what now? */
static void finish(struct replay_session *s, struct pvm_outcome outcome)
{
    replay_session_clock(s, s->state.icount, s->state.gas);
    if (s->err)
        return;
    if (s->end == REPLAY_END_GUEST) {
        s->result.outcome = outcome;
        emit_exit(s);
    }
    bool to_limit = s->end == REPLAY_END_STOPPED && s->muted;
    bool user_replay = s->end == REPLAY_END_USER && session_replays(s);
    if (!to_limit && !user_replay)
        emit_end(s);
}

/* Replay: where the next event is behind a gap, go on from the checkpoint there. */
static bool cross_gap(struct replay_session *s)
{
    uint64_t seq;
    if (!s->options.source || !trace_gap(s->trace, &seq))
        return false;
    s->err = replay_checkpoint_restore(s, s->options.source, seq);
    if (s->err)
        return false;
    s->result.gap_size += seq - trace_seq(s->trace);
    trace_resume(s->trace);
    s->muted = seq >= s->options.limit.seq;
    s->end = s->muted ? REPLAY_END_STOPPED : REPLAY_END_GUEST;
    return true;
}

/* Replay: begin with the state of a checkpoint, behind its events. */
static void start_late(struct replay_session *s)
{
    const struct trace_checkpoint_list *list = s->options.start;
    size_t index = s->options.start_index;
    uint64_t seq = trace_seq(s->trace);
    s->err = replay_checkpoint_restore_at(s, s->options.source, list, index);
    if (!s->err)
        s->err = trace_skip(s->trace, list->ref[index].seq);
    s->result.gap_size = list->ref[index].seq - seq;
}

static struct pvm_outcome run(struct replay_session *s)
{
    const struct pvm_host host = {.ecall = replay_session_ecall, .self = s};
    struct pvm_outcome outcome = {0};
    s->end = REPLAY_END_GUEST;
    if (!s->err && s->options.resume_seq)
        s->err = replay_checkpoint_restore(s, s->options.source, s->options.resume_seq);
    if (!s->err && s->options.start)
        start_late(s);
    else
        (void)(!s->err && cross_gap(s));
    while (!s->err && s->end == REPLAY_END_GUEST) {
        s->observer.gas_stop = gas_stop(s, s->setup->gas - s->state.gas);
        outcome = pvm_run(s->engine, s->program, &s->state, &host, &s->observer);
        if (outcome.exit == PVM_EXIT_LOST && !s->err)
            s->err = pvm_sandbox_err(s->sandbox);
        if (s->err != ERR_trace_end || !cross_gap(s))
            break;
    }
    return outcome;
}

enum err replay_session_run(struct replay_session *s, struct replay_result *ret_result)
{
    replay_session_clock(s, 0, s->setup->gas);
    if (s->trace && !s->options.resume_seq)
        emit_begin(s);
    finish(s, run(s));
    if (s->err == ERR_trace_end) {
        s->end = REPLAY_END_TRACE;
        s->err = ERR_ok;
    }
    s->result.end = s->err ? REPLAY_END_ERROR : s->end;
    *ret_result = s->result;
    return s->err;
}

bool replay_session_step(struct replay_session *s, struct pvm_outcome *ret_outcome)
{
    return pvm_step(s->engine, s->program, &s->state, ret_outcome);
}

const struct pvm_state *replay_session_state(const struct replay_session *session)
{
    return &session->state;
}

const struct pvm_program *replay_session_program(const struct replay_session *session)
{
    return session->program;
}

/* ---- life ---- */

static void observe(struct replay_session *s)
{
    s->observer = (struct pvm_observer){
        .self = s,
        .segment = s->trace ? on_segment : NULL,
        .charge = s->trace ? on_charge : NULL,
        .deadline = on_deadline,
    };
    s->hash_at = s->trace && s->setup->hash_every ? s->setup->hash_every : UINT64_MAX;
}

static bool wants_native(const struct replay_engine *engine, enum pvm_gas_log log)
{
    return engine->kind == REPLAY_ENGINE_RECOMP ||
           (engine->kind == REPLAY_ENGINE_AUTO && pvm_recomp_available() &&
            log != PVM_GAS_LOG_EACH);
}

enum err replay_program_create(struct arena *arena, const struct replay_engine *engine,
                               const struct pvm_code *code,
                               const struct pvm_config *config, enum pvm_gas_log log,
                               struct pvm_program **ret_program)
{
    if (wants_native(engine, log))
        return pvm_program_recompile(arena, code, config, log, &engine->recomp,
                                     ret_program);
    return pvm_program_create(arena, code, config, log, ret_program);
}

/* The session's way to execute: with a sandbox, if there is to be one. */
static enum err choose_engine(struct replay_session *s, struct arena *arena,
                              enum pvm_gas_log log, struct replay_engine *ret_engine)
{
    const struct pvm_sandbox_options single = {.single = true};
    struct replay_engine engine = s->options.engine;
    enum err err = ERR_ok;
    if (wants_native(&engine, log) && !engine.in_process && pvm_recomp_available())
        err = pvm_sandbox_create(arena, &single, &s->sandbox);
    if (err && engine.kind == REPLAY_ENGINE_AUTO) {
        engine.kind = REPLAY_ENGINE_INTERP;
        err = ERR_ok;
    }
    engine.recomp.sandbox = s->sandbox;
    *ret_engine = engine;
    return err;
}

static enum err load_program(struct replay_session *s, struct arena *arena)
{
    const struct replay_setup *setup = s->setup;
    enum pvm_gas_log log = s->trace ? setup->gas_log : PVM_GAS_LOG_NONE;
    TRY(pvm_code_parse(setup->code, &s->code));
    TRY(pvm_config_check(&setup->config));
    struct replay_engine engine;
    TRY(choose_engine(s, arena, log, &engine));
    TRY(replay_program_create(arena, &engine, &s->code, &setup->config, log,
                              &s->program));
    TRY(pvm_engine_create(arena, &s->engine));
    pvm_engine_set_dispatch(s->engine, s->options.dispatch);
    if (!s->trace)
        return ERR_ok;
    struct buf blocks;
    buf_init(&blocks, (size_t)1 << 30);
    pvm_program_put_blocks(s->program, setup->pc, &blocks);
    enum err err = blocks.err;
    s->blocks =
        bytes_of(err ? NULL : arena_copy(arena, blocks.data, blocks.size), blocks.size);
    buf_fini(&blocks);
    if (!err && !s->blocks.data)
        err = ERR_nomem;
    s->code_hash = hash256_of(setup->code.data, setup->code.size);
    return err;
}

enum err replay_session_new_memory(struct replay_session *s)
{
    os_release(s->reservation, PVM_MEM_RESERVE_SIZE);
    s->reservation = NULL;
    TRY(os_reserve(PVM_MEM_RESERVE_SIZE, &s->reservation));
    s->state.mem = pvm_mem_init(s->reservation);
    return pvm_digest_create(s->arena, s->state.mem, &s->digest);
}

static enum err load_memory(struct replay_session *s, struct arena *arena)
{
    TRY(replay_session_new_memory(s));
    TRY(replay_setup_map(s->setup, arena, s->state.mem));
    TRY(replay_args_join(arena, &s->setup->argv, &s->args));
    s->scratch = arena_alloc(arena, REPLAY_CALL_SIZE_MAX, 64);
    s->extra = arena_new_array(arena, struct trace_uuuuu, SESSION_EXTRA_MAX);
    if (!s->scratch || !s->extra)
        return ERR_nomem;
    return ERR_ok;
}

enum err replay_session_create(struct arena *arena, const struct replay_setup *setup,
                               const struct replay_session_options *options,
                               struct replay_session **ret_session)
{
    if (setup->gas > REPLAY_GAS_MAX)
        return ERR_usage;
    struct replay_session *s = arena_new(arena, struct replay_session);
    if (!s)
        return ERR_nomem;
    s->setup = setup;
    s->options = *options;
    s->trace = options->trace;
    s->arena = arena;
    replay_series_init(&s->series, &options->checkpoints);
    s->state.gas = setup->gas;
    s->state.pc = setup->pc;
    memcpy(s->state.reg, setup->reg, sizeof setup->reg);
    observe(s);
    enum err err = load_program(s, arena);
    if (!err)
        err = load_memory(s, arena);
    if (err) {
        replay_session_close(s);
        return err;
    }
    *ret_session = s;
    return ERR_ok;
}

void replay_session_close(struct replay_session *session)
{
    if (!session)
        return;
    replay_series_fini(&session->series);
    os_release(session->reservation, PVM_MEM_RESERVE_SIZE);
    session->reservation = NULL;
    pvm_program_close(session->program);
    pvm_sandbox_close(session->sandbox);
    session->program = NULL;
    session->sandbox = NULL;
}
