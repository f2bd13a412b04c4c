/* SPDX-License-Identifier: MIT
 *
 * replay/replay.h - run, record and replay a PVM program.
 *
 * One session object runs a program in all three ways; what differs is the trace it
 * talks to (recording, replaying, none) and whether there is a host to ask
 * (replay/host.h).  Specification: trace-replay.md 4, 6 and 7.
 *
 * Determinism: the events depend on the setup and the host's answers alone.
 *
 * Limits: a setup from a trace is hostile; it is checked before anything is mapped,
 * and memory is bounded by the arena and by what the program's page map allows.
 *
 * Threads: a session belongs to one.
 */
#ifndef REPLAY_REPLAY_H
#define REPLAY_REPLAY_H

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "pvm/pvm.h"
#include "replay/host.h"
#include "replay/position.h"
#include "trace/trace.h"

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_GAS_DEFAULT UINT64_C(1000000000000000) /* 10^15 */
#define REPLAY_GAS_MAX (UINT64_MAX >> 1)              /* pvm-exec.md 1.1 */
#define REPLAY_HASH_EVERY UINT64_C(16777216)          /* 2^24 gas (7.1, L3) */
#define REPLAY_DIGEST_EVERY UINT64_C(16)              /* events (7.1, L1) */

/* A recording is stopped from outside only at the first block entry whose gas clock has
 * reached a multiple of this (or inside an ecall): there a replay looks whether it was.
 * Part of the format: other values make other traces. */
#define REPLAY_POLL_EVERY (UINT64_C(1) << 22)

/* ---- setup: all that a run depends on, but for the host's answers -------------------
 */

struct replay_setup {
    struct pvm_config config;
    struct bytes code; /* raw blob (pvm-exec.md 6.2) */
    uint32_t pc;
    uint64_t gas;
    uint64_t reg[PVM_REG_COUNT];
    struct trace_list_uuu maps; /* start, size, enum pvm_access */
    struct trace_list_uw mem;   /* address, bytes: ascending, each within one map */
    struct trace_list_b argv;
    uint64_t epoch_ns; /* session.begin: wall clock shown to the guest, or 0 */

    /* What the trace holds: the keys of session.config. */
    enum pvm_gas_log gas_log; /* NONE: nothing to record */
    uint64_t hash_every;      /* gas between machine hashes; 0: none at all */
    uint64_t digest_every;    /* events between register digests; 0: none */
    bool log_reads;
    bool log_writes;
};

/* From a loaded container.  `args` is as for replay_args_join(); a standard program
 * has been loaded with it.  Everything stays borrowed. */
ERR_MUST_CHECK enum err replay_setup_container(struct arena *arena,
                                               const struct pvm_container *container,
                                               struct replay_setup *ret_setup);

/* The arguments one behind another, each ended by NUL: what the guest is given. */
ERR_MUST_CHECK enum err replay_args_join(struct arena *arena,
                                         const struct trace_list_b *argv,
                                         struct bytes *ret_args);

/* What a setup cannot be replayed for, said by class (below). */
struct replay_refusal {
    uint8_t class;  /* enum replay_class */
    char text[120]; /* "key log.paths is not known to this version" */
};

/* Read the setup of a trace: all events up to pvm.start.  `reader` stands at its
 * beginning; afterwards it stands behind pvm.start.  Copied into `arena`.
 * ERR_trace_event with *ret_refusal filled, ERR_trace_end when the trace ends before
 * pvm.start, ERR_nomem, and what the reader answers. */
ERR_MUST_CHECK enum err replay_setup_read(struct arena *arena,
                                          struct trace_reader *reader,
                                          struct replay_setup *ret_setup,
                                          struct replay_refusal *ret_refusal);

/* Map all regions of the setup with their bytes.  Checks everything: ERR_usage for
 * bytes out of order or outside the maps, and the errors of pvm_mem_map(). */
ERR_MUST_CHECK enum err replay_setup_map(const struct replay_setup *setup,
                                         struct arena *arena, struct pvm_mem *mem);

/* ---- engine ---- */

/* What executes the guest.  No event depends on it (pvm-exec.md 10.1). */
enum replay_engine_kind {
    REPLAY_ENGINE_INTERP,
    REPLAY_ENGINE_RECOMP, /* ERR_unsupported where there is none */
    REPLAY_ENGINE_AUTO,   /* the recompiler where there is one and the gas log is not
                             EACH, for which it stops at every block */
};
struct replay_engine {
    enum replay_engine_kind kind;
    struct pvm_recomp_options recomp;
    /* A session runs native code in a sandbox of its own (docs/sandbox.md), unless this
     * is set.  AUTO interprets where there is no sandbox. */
    bool in_process;
};

/* Predecode or recompile for an engine; pvm_program_close() is the caller's.  As
 * pvm_program_create() and pvm_program_recompile(). */
ERR_MUST_CHECK enum err
replay_program_create(struct arena *arena, const struct replay_engine *engine,
                      const struct pvm_code *code, const struct pvm_config *config,
                      enum pvm_gas_log log, struct pvm_program **ret_program);

/* ---- session
 * ------------------------------------------------------------------------- */

/* Stop before the guest goes on past a place; UINT64_MAX: do not.  A stop is at a block
 * entry or behind an ecall. */
struct replay_limit {
    uint64_t gas; /* gas clock */
    uint64_t seq; /* replay: number of the next event, looked at behind ecalls and at
                     stops by gas */
};
#define REPLAY_NO_LIMIT ((struct replay_limit){UINT64_MAX, UINT64_MAX})

/* Checkpoints along a run (2.9), handed over as they are taken: `seq` is the number of
 * the event that comes next, and `clock` that of the state.  Parts live during the
 * call.  An error ends the run. */
struct trace_base_part;
struct trace_checkpoint_list;
struct replay_checkpoints {
    uint64_t every; /* instructions between two of them; 0: none */
    enum err (*put)(void *self, uint64_t seq, const struct trace_clock *clock,
                    const struct trace_base_part *part, size_t part_count);
    void *self;
};

struct replay_session_options {
    struct trace *trace;            /* recording, replaying, or NULL: off.  Borrowed */
    struct trace *copy;             /* recording, takes what a replay produces; NULL */
    const struct replay_host *host; /* NULL: a replay */
    /* Replay: the file, for the checkpoints of a part of a trace; NULL: stop there. */
    const struct trace_source *source;
    /* Recording: go on in the state of the checkpoint in front of event `resume_seq` of
     * `source`; nothing is written of the setup.  0: from the start. */
    uint64_t resume_seq;
    /* Replay: begin with checkpoint `start_index` of this list; NULL: at the start. */
    const struct trace_checkpoint_list *start;
    size_t start_index;
    struct replay_checkpoints checkpoints;
    struct replay_limit limit;
    struct replay_engine engine;
    enum pvm_dispatch dispatch; /* of the interpreter */
    bool (*interrupted)(void);  /* polled; NULL: never */
    /* What the guest writes to descriptors 1 and 2 (console devices 33, 34). */
    void (*output)(void *self, uint64_t dev, struct bytes data);
    void *output_self;
};

enum replay_end {
    REPLAY_END_GUEST,   /* the guest has finished */
    REPLAY_END_STOPPED, /* by the limit, or as the recording was */
    REPLAY_END_USER,    /* by `interrupted` */
    REPLAY_END_TRACE,   /* the trace holds no more: an open tail, or an abort */
    REPLAY_END_ERROR,   /* see the error that replay_session_run() answered */
};

/* A state digest that was written, or compared and equal. */
struct replay_hash_place {
    bool present;
    uint64_t seq;
    struct trace_clock clock;
};

struct replay_result {
    enum replay_end end;
    struct pvm_outcome outcome; /* END_GUEST: HALT also for exit() and reply */
    bool exited;                /* by exit() */
    uint32_t status;            /* its operand */
    uint64_t reason;            /* of session.end */
    struct trace_clock clock;
    uint64_t ecall_count;
    uint64_t gap_size; /* events that the trace has left out */
    struct replay_hash_place hash;
};

struct replay_session;

/* Predecode and map.  Everything is borrowed for the life of the session, which lives
 * in `arena` and in an address space of its own.  ERR_nomem; the errors of
 * pvm_code_parse, pvm_config_check and pvm_mem_map; ERR_usage. */
ERR_MUST_CHECK enum err
replay_session_create(struct arena *arena, const struct replay_setup *setup,
                      const struct replay_session_options *options,
                      struct replay_session **ret_session);

/* Run to the end.  With a trace every event is written or compared; the error is that
 * of the trace, and ERR_trace_diverged when the guest behaves differently.  An end
 * without error is in *ret_result, which is filled in any case. */
ERR_MUST_CHECK enum err replay_session_run(struct replay_session *session,
                                           struct replay_result *ret_result);

/* Where the guest stands. */
const struct pvm_state *replay_session_state(const struct replay_session *session);
const struct pvm_program *replay_session_program(const struct replay_session *session);

/* After a stop: execute one instruction, as pvm_step().  An ecall ends it (false). */
bool replay_session_step(struct replay_session *session,
                         struct pvm_outcome *ret_outcome);

/* Recording into a ring: give the state behind the event that is being written to
 * `put`, or do nothing where a run cannot be taken up (trace-replay.md 2.8).  NULL is
 * fine. */
ERR_MUST_CHECK enum err replay_session_checkpoint(struct replay_session *session,
                                                  trace_ring_put_fn *put, void *to);

/* Unmap, close the program.  NULL is fine. */
void replay_session_close(struct replay_session *session);

/* ---- replay a trace and say how it went
 * ------------------------------------------------ */

enum replay_class {
    REPLAY_SAME,          /* every event is equal, to the end of the trace */
    REPLAY_STOPPED,       /* equal up to the position that was asked for */
    REPLAY_OPEN,          /* equal as far as the unfinished trace goes */
    REPLAY_DIVERGED,      /* the guest behaved differently */
    REPLAY_DAMAGED,       /* the file: crc, chain, form */
    REPLAY_OTHER_PROGRAM, /* the program is not the one that the trace names */
    REPLAY_OTHER_CONFIGURATION,
    REPLAY_OTHER_VERSION,
    REPLAY_FAILED, /* could not be done: err */
};

/* "same", "diverged", "other program", … */
const char *replay_class_name(enum replay_class class);

struct replay_options {
    struct replay_position to; /* END: all of it */
    bool from_start; /* with `to`: do not begin at a checkpoint that is in the trace */
    struct trace_writer *copy; /* record what the replay produces; NULL */
    bool locate;               /* after a divergence, look for its first instruction */
    struct replay_engine engine;
    enum pvm_dispatch dispatch; /* of the interpreter */
    size_t memory_max;          /* for program, arguments and events; 0: 1 GiB */
    uint64_t gas_max;           /* stop there with REPLAY_FAILED, ERR_limit; 0: none */
    bool (*interrupted)(void);
    void (*output)(void *self, uint64_t dev, struct bytes data);
    void *output_self;
};

enum { REPLAY_LISTING_MAX = 5, REPLAY_LINE_SIZE = 72 };

/* Where a divergence is found: the first instruction that went another way, or (not
 * `exact`) the one where the difference is seen. */
struct replay_place {
    bool present;
    bool exact;
    struct trace_clock clock; /* before it */
    uint32_t pc;
    uint32_t block;
    uint64_t reg[PVM_REG_COUNT]; /* before it, as replayed */
    char what[120];              /* "branch outcome 17: recorded taken, replayed not" */
    uint64_t step_count;         /* instructions stepped in search of it */
    uint32_t listing_count;
    uint32_t listing_pc[REPLAY_LISTING_MAX];
    char listing[REPLAY_LISTING_MAX][REPLAY_LINE_SIZE];
};

struct replay_report {
    enum replay_class class;
    enum err err;
    char detail[160];        /* one line for people; "" when there is nothing to say */
    bool finished;           /* the trace has its session.end and index */
    struct hash256 identity; /* chain over what was read; the identity if finished */
    uint64_t event_count;    /* equal ones that are in the trace */
    bool started_late;       /* at a checkpoint: */
    uint64_t start_icount;
    struct replay_result result;
    struct pvm_state state; /* at the end; `mem` is NULL */
    /* REPLAY_DIVERGED: the trace's words */
    bool diverged;
    struct trace_divergence divergence;
    struct replay_place place;
    /* REPLAY_DAMAGED: where */
    struct trace_fault fault;
};

/* Replay all of `source` (twice, when asked to locate a divergence). */
void replay_trace(const struct trace_source *source,
                  const struct replay_options *options,
                  struct replay_report *ret_report);

/* ---- checkpoints in a trace
 * ----------------------------------------------------------------------- */

struct replay_pc_follow_options; /* replay/pc.h */

struct replay_add_options {
    const struct replay_pc_follow_options *pc; /* as for replay_cut() */
    uint64_t every; /* instructions between two checkpoints; 0: remove all */
    struct replay_engine engine;
    bool (*interrupted)(void);
};

struct replay_add_report {
    struct replay_report replay; /* not SAME, nor OPEN with reason: nothing was done */
    uint64_t checkpoint_count;
};

/*
 * Write a copy of a finished trace with checkpoints taken by replaying it.  Those that
 * it had are left out; the identity stays.  Only a replay that is equal to its end
 * makes checkpoints; otherwise the sink's bytes are of no use.
 */
void replay_add_checkpoints(const struct trace_source *source,
                            const struct trace_sink *sink,
                            const struct replay_add_options *options,
                            struct replay_add_report *ret_report);

/* ---- cut a trace
 * ----------------------------------------------------------------------- */

struct replay_cut_options {
    struct replay_position from, to; /* `to` may be relative to `from` */
    /* Of a pc: how to build its trees again; NULL: its traces are refused. */
    const struct replay_pc_follow_options *pc;
    unsigned zstd_level; /* 0 stores raw */
    bool (*interrupted)(void);
};

struct replay_cut_report {
    enum replay_class class; /* REPLAY_SAME: cut; else why not */
    enum err err;
    char detail[160];
    struct hash256 parent, identity;
    uint64_t first_seq;   /* of the slice, in the parent's numbers */
    uint64_t event_count; /* of the slice */
    struct trace_clock from, to;
};

/*
 * Write the events from the last place at or before `from` where a run can be taken up
 * (a block entry that a segment ended at, or behind an ecall) up to `to`, not included:
 * a trace of its own, with the events that set the guest up, the state there as BASE
 * checkpoint, and the parent's numbers.  The parent is replayed up to there.
 */
void replay_cut(const struct trace_source *source, const struct trace_sink *sink,
                const struct replay_cut_options *options,
                struct replay_cut_report *ret_report);

#endif
