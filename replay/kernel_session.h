/* SPDX-License-Identifier: MIT
 *
 * replay/kernel_session.h - the inside of a kernel's session.  Private to replay/.
 */
#ifndef REPLAY_KERNEL_SESSION_H
#define REPLAY_KERNEL_SESSION_H

#include "replay/kernel.h"
#include "replay/kernel_checkpoint.h"

enum {
    KERNEL_EXTRA_MAX = 2048, /* page charges of one segment (trace-replay.md 5.3) */
    KERNEL_TEXT_SIZE = 24,   /* a value of session.config */
};

struct replay_kernel {
    struct arena *arena;
    struct replay_kernel_setup setup;
    struct replay_kernel_options options;
    struct trace *trace;
    struct kernel *kernel;
    void *memory;
    size_t memory_size;
    struct pvm_sandbox *sandbox;
    struct kernel_observer observer;

    struct buf images; /* hashes of the programs, by number */
    uint32_t prog;     /* that runs now */
    uint32_t frame;
    uint64_t gas_clock, gas_last; /* spent so far; what was left then */
    struct trace_uuuuu *extra;
    struct buf scratch, written; /* bytes of guest memory, of caps */

    enum err err; /* the first one; nothing is emitted after it */
    bool stopped; /* where it was to: that is no error, but err is set */
    /* While an event is written behind which a run can be taken up: the state there. */
    const struct pvm_state *safe;
    bool idle;   /* the same behind a request that has been served */
    bool begins; /* the frame that runs next is an invocation's first, or resumed */
    bool inside; /* an invocation is under way, which a checkpoint has brought */
    uint64_t begin_count;     /* invocations and resumptions that have run, */
    struct trace_clock begun; /* and the last one's icount and sub */
    struct checkpoint_series series;
    struct replay_kernel_totals totals;
    struct trace_divergence divergence;
};

/* Write or compare one event at (icount, gas clock); false once there is an error. */
bool replay_kernel_emit(struct replay_kernel *s, uint64_t icount, enum trace_id id,
                        void *event);

/* The state behind an event, or before a frame's run, from which the session can be
 * taken up: a checkpoint may be due.  `running` is NULL between invocations. */
void replay_kernel_passed(struct replay_kernel *s, const struct pvm_state *running);

/* ---- kernel_resume.c: sessions that do not begin at the start ---- */

/* Begin as the options say.  Errors stick to the session. */
void replay_kernel_start(struct replay_kernel *s);

/* Replay: where the next event is behind a gap, go on from the checkpoint there. */
bool replay_kernel_cross_gap(struct replay_kernel *s);

/* Replay: the next event is a program that a part of a trace begins with. */
void replay_kernel_take_program(struct replay_kernel *s);

/* The table of callbacks for the kernel (kernel_events.c). */
void replay_kernel_observe(struct replay_kernel *s);

/* What LAST_OUTCOME says, behind an invocation. */
void replay_kernel_emit_outcome(struct replay_kernel *s);

/* Rows of session.config, as replay/setup.h has them for programs. */
bool replay_kernel_config_get(const struct replay_kernel_setup *setup, unsigned index,
                              const char **ret_key, char ret_value[KERNEL_TEXT_SIZE]);
bool replay_kernel_config_set(struct replay_kernel_setup *setup, const char *key,
                              const char *value);

#endif
