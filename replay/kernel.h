/* SPDX-License-Identifier: MIT
 *
 * replay/kernel.h - record and replay a capability kernel.
 *
 * A session is a kernel and the requests of its host, in order.  Recording writes each
 * request with all that follows from it (trace-replay.md 4.3, pvm-kernel.md 10); a
 * replay takes the requests from the trace and compares everything else: responses,
 * segments, ecalls, assist calls, published caps, outcomes, and the state at the end.
 *
 * Determinism: the events depend on the configuration and the requests alone.
 *
 * Threads: a session belongs to one.
 */
#ifndef REPLAY_KERNEL_H
#define REPLAY_KERNEL_H

#include "kernel/kernel.h"
#include "replay/replay.h"

struct replay_kernel_setup {
    struct kernel_config config; /* `engine` is not part of a trace */
    enum pvm_gas_log gas_log;    /* LEDGER, EACH or SUMMARY; NONE without a trace */
    bool log_reads, log_writes, log_caps;
};

/* The default configuration and a ledger. */
struct replay_kernel_setup replay_kernel_setup_default(void);

struct checkpoint;

struct replay_kernel_options {
    struct trace *trace; /* recording, replaying, or NULL: off.  Borrowed */
    struct trace *copy;  /* recording, takes what a replay produces; NULL */
    /* The file, for the checkpoints of a part of a trace; NULL: a replay stops there.
     */
    const struct trace_source *source;
    /* Recording: go on in the state of the checkpoint in front of event `resume_seq` of
     * `source`; nothing is written of the setup.  0: from the start. */
    uint64_t resume_seq;
    /* Replay: begin with checkpoint `start_index` of this list; NULL: at the start. */
    const struct trace_checkpoint_list *start;
    size_t start_index;
    /* Taken inside of invocations: behind ecalls and splits, and before a frame runs.
     */
    struct replay_checkpoints checkpoints;
    /* Replay: stop in front of event `take_seq`, where replay_kernel_find_place() says
     * that it can be taken up, with the state in `take`; 0: do not. */
    uint64_t take_seq;
    struct checkpoint *take;
    struct replay_engine engine;
    uint64_t gas_max; /* ERR_limit before more than that could be spent; 0: none */
    uint64_t seq_max; /* replay: stop in front of this event of a request; 0: do not */
    bool (*interrupted)(void); /* polled; NULL: never */
};

struct replay_kernel;

/* A fresh kernel, and the events in front of the first request.  Everything is borrowed
 * for the life of the session, which lives in `arena` and memory of its own.  ERR_usage
 * for a bad configuration, ERR_unsupported, ERR_nomem, and errors of the trace. */
ERR_MUST_CHECK enum err
replay_kernel_create(struct arena *arena, const struct replay_kernel_setup *setup,
                     const struct replay_kernel_options *options,
                     struct replay_kernel **ret_session);

/* NULL is fine. */
void replay_kernel_close(struct replay_kernel *session);

/* The kernel, to look at; requests go through this header. */
struct kernel *replay_kernel_of(struct replay_kernel *session);

/* What the requests answer is as kernel.h says.  The error is that of the trace
 * (ERR_trace_diverged in a replay), or an external abort. */
ERR_MUST_CHECK enum err replay_kernel_put(struct replay_kernel *session,
                                          struct bytes wire,
                                          enum kernel_status *ret_status,
                                          struct hash256 *ret_hash);

struct replay_kernel_invocation {
    struct hash256 instance;
    uint32_t endpoint;
    uint32_t pad; /* of the packet */
    uint64_t args[4];
    uint64_t gas;
};
ERR_MUST_CHECK enum err
replay_kernel_invoke(struct replay_kernel *session,
                     const struct replay_kernel_invocation *invocation,
                     struct kernel_result *ret_result);

/* `scratch` may be NULL; with `drop` the rest is not looked at. */
ERR_MUST_CHECK enum err replay_kernel_resume(struct replay_kernel *session, bool drop,
                                             const struct hash256 *scratch,
                                             uint64_t topup,
                                             struct kernel_result *ret_result);

/* The other requests that change a kernel, by their number (pvm-kernel.md 9.2). */
enum replay_kernel_fn {
    REPLAY_KERNEL_SEED_FILE = 18,
    REPLAY_KERNEL_SEED_QUOTA = 19,
    REPLAY_KERNEL_ADD_CATCHER = 20,
    REPLAY_KERNEL_NEW_CATCHER = 22,
    REPLAY_KERNEL_RESET_BLOCK = 23,
};
enum { REPLAY_KERNEL_REQUEST_MAX = 72, REPLAY_KERNEL_ANSWER_MAX = 32 };

struct replay_kernel_answer {
    enum kernel_status status;
    uint8_t bytes[REPLAY_KERNEL_ANSWER_MAX];
    size_t size;
};

/* `payload` as in the packet; one that is malformed or too long is MALFORMED. */
ERR_MUST_CHECK enum err replay_kernel_request(struct replay_kernel *session,
                                              enum replay_kernel_fn fn,
                                              struct bytes payload,
                                              struct replay_kernel_answer *ret_answer);

/* The same for a kernel without session. */
void replay_kernel_serve(struct kernel *kernel, uint32_t fn, struct bytes payload,
                         struct replay_kernel_answer *ret_answer);

/* After a start with `resume_seq`: the rest of the invocation that was under way, with
 * its outcome; nothing, when there was none. */
ERR_MUST_CHECK enum err replay_kernel_go_on(struct replay_kernel *session);

/* The events behind the last request: the state, and session.end with this reason
 * (trace-replay.md 4.1; only 0 has the state). */
ERR_MUST_CHECK enum err replay_kernel_finish(struct replay_kernel *session,
                                             uint64_t reason);

/* Replay: do all that the trace asks for, up to its end; or to the event at which it is
 * to stop, if that is in front of the end: *ret_stopped. */
ERR_MUST_CHECK enum err replay_kernel_follow(struct replay_kernel *session,
                                             bool *ret_stopped);

struct replay_kernel_totals {
    struct trace_clock clock;
    uint64_t ecall_count, invoke_count;
    uint64_t
        gap_size; /* events that the trace has left out, or that were passed over */
};
struct replay_kernel_totals replay_kernel_totals(const struct replay_kernel *session);

/* After ERR_trace_diverged, where the trace's own words are missing. */
const struct trace_divergence *
replay_kernel_divergence(const struct replay_kernel *session);

/* Recording into a ring: give the state behind the event that is being written to
 * `put`, or do nothing where a session cannot be taken up, or is too large to be
 * (trace-replay.md 2.8).  NULL is fine. */
ERR_MUST_CHECK enum err replay_kernel_checkpoint(struct replay_kernel *session,
                                                 trace_ring_put_fn *put, void *to);

/* The last place at or before a position where a session can be taken up: *ret_seq is
 * the event that comes next there.  `icount` and `seq_max` are where the position is.
 * `reader` stands at its beginning.  What the reader answers. */
ERR_MUST_CHECK enum err replay_kernel_find_place(struct trace_reader *reader,
                                                 uint64_t icount, uint64_t seq_max,
                                                 uint64_t *ret_seq);

/* Does this trace hold a kernel's session?  False also for what cannot be read. */
bool replay_kernel_is(const struct trace_source *source);

/* The setup in a trace; ERR_trace_event with *ret_refusal filled, and what the reader
 * answers. */
ERR_MUST_CHECK enum err replay_kernel_setup_read(struct arena *arena,
                                                 struct trace_reader *reader,
                                                 struct replay_kernel_setup *ret_setup,
                                                 struct replay_refusal *ret_refusal);

#endif
