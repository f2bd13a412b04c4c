/* SPDX-License-Identifier: MIT
 *
 * replay/session.h - the inside of a session.  Private to replay/.
 */
#ifndef REPLAY_SESSION_H
#define REPLAY_SESSION_H

#include "replay/checkpoint_parts.h"
#include "replay/replay.h"

enum { SESSION_EXTRA_MAX = 2048 }; /* page charges of one segment (5.3) */

struct replay_session {
    const struct replay_setup *setup;
    struct replay_session_options options;
    struct trace *trace; /* == options.trace */
    struct arena *arena;

    struct pvm_code code;
    struct pvm_program *program;
    struct pvm_sandbox *sandbox; /* of the program; NULL: none */
    struct pvm_engine *engine;
    struct pvm_digest *digest;
    void *reservation;
    struct pvm_state state;
    struct pvm_observer observer;
    struct bytes args;
    struct bytes blocks; /* block table */
    struct hash256 code_hash;

    uint8_t *scratch;          /* of host calls */
    struct trace_uuuuu *extra; /* of a segment */

    enum err err;        /* the first error; nothing is emitted after it */
    enum replay_end end; /* why the run stops, when the guest has not finished */
    /* While an event is written behind which a run can be taken up: the state there. */
    const struct pvm_state *safe;
    bool muted;            /* the open segment is not an event: a stop by the limit */
    uint64_t digest_count; /* events since the last register digest */
    uint64_t hash_at;      /* gas clock of the next machine hash */
    struct checkpoint_series series;
    struct replay_result result;
    struct trace_divergence overrun; /* when we noticed it, not the trace; seq is set */
};

static inline bool session_replays(const struct replay_session *s)
{
    return s->trace && s->trace->replaying;
}

/* Why the segment of this record ended; UINT64_MAX: it is none. */
uint64_t replay_session_segment_end(const struct trace_record *record);

/* Write or compare one event at the trace's clock; false once there is an error. */
bool replay_session_emit(struct replay_session *s, enum trace_id id, void *event);

/* The state behind an event, from which a run can be taken up: a checkpoint may be due.
 */
void replay_session_passed(struct replay_session *s, const struct pvm_state *state);

/* The trace's clock. */
void replay_session_clock(struct replay_session *s, uint64_t icount, uint64_t gas);

/* state.hash events: is a register digest due behind the event that comes now (L1),
 * and the digest; a machine hash (L3). */
bool replay_session_digest_due(struct replay_session *s);
void replay_session_digest(struct replay_session *s, struct hash256 hash);
void replay_session_hash(struct replay_session *s, const struct pvm_state *state);

/* An empty address space instead of the present one. */
ERR_MUST_CHECK enum err replay_session_new_memory(struct replay_session *s);

/* One ecall as its event tells it, and what the event's lists point to. */
struct replay_ecall {
    struct trace_pvm_ecall event;
    uint64_t in[6];
    struct trace_uu out, read, write;
    struct bytes written; /* the bytes for event.writes */
};

/*
 * Without a trace session: serve the call that `state` has just made from its recorded
 * event.  The guest stays as it is; *ret_ecall says what replay_ecall_apply() will do
 * to it, and borrows from `recorded` and the session.  ERR_trace_diverged: this is not
 * the call that was recorded; ERR_trace_event: its answer makes no sense.
 */
ERR_MUST_CHECK enum err replay_ecall_redo(struct replay_session *s,
                                          const struct pvm_state *state,
                                          uint64_t number, uint32_t pc,
                                          const struct trace_pvm_ecall *recorded,
                                          struct replay_ecall *ret_ecall);
ERR_MUST_CHECK enum err replay_ecall_apply(const struct replay_ecall *ecall,
                                           struct pvm_state *state);

/* The handler of ecalls (ecall.c). */
enum pvm_answer replay_session_ecall(void *self, struct pvm_state *state,
                                     enum pvm_exit kind, uint64_t number, uint32_t pc,
                                     struct pvm_outcome *ret_outcome);

#endif
