/* SPDX-License-Identifier: MIT
 *
 * replay/branch.h - branches: replay a trace to a place, then go on with a live host
 * and record a child (trace-replay.md 11).
 *
 * The child names its parent by identity and has the parent's numbers and clocks.  A
 * standalone child holds the events that set the guest up and its state at the branch
 * as BASE checkpoint, and replays alone.  Else it holds a BASE checkpoint without a
 * state, only its hash: it is joined with the parent before it is replayed, and what
 * comes of that is a trace like a standalone one.
 */
#ifndef REPLAY_BRANCH_H
#define REPLAY_BRANCH_H

#include "replay/pc.h"

/* The live side of a pc.  `open` is called when `session` stands at the branch.  Where
 * replies came from the trace it has to give a server, else NULL. */
struct replay_branch_pc {
    void *self;
    enum err (*open)(void *self, struct replay_pc *session,
                     const struct replay_pc_setup *setup, struct emu_host *ret_host,
                     struct v86fs_server **ret_server);
    uint64_t insns_max; /* end behind so many steps since the parent's start */
};

/* The live host of a kernel: its requests from the branch on, when the invocation that
 * was under way there is over; NULL: none. */
struct replay_kernel;
struct replay_branch_kernel {
    void *self;
    enum err (*run)(void *self, struct replay_kernel *session);
};

struct replay_branch_options {
    struct replay_position at;
    bool standalone;
    unsigned zstd_level; /* 0 stores raw */
    enum trace_sync sync;
    bool (*interrupted)(void);
    /* A PVM program, from the branch on. */
    const struct replay_host *host;
    struct replay_engine engine;
    /* A pc: how to replay the parent, and who answers then. */
    const struct replay_pc_follow_options *pc;
    struct replay_branch_pc live;
    struct replay_branch_kernel kernel;
};

struct replay_branch_report {
    enum replay_class class; /* REPLAY_SAME: recorded; else why not */
    enum err err;
    char detail[160];
    struct hash256 parent, identity;
    uint64_t parent_seq;     /* parent events in front of the branch */
    struct trace_clock from; /* of the guest at the branch */
    uint64_t event_count;    /* of the child's own */
    struct trace_clock end;
    /* A PVM program; of a kernel clock and ecalls: */
    struct replay_result result;
    struct pvm_state state; /* at the end; `mem` is NULL */
    /* A pc: */
    enum emu_pc_status status;
    enum emu_reset_cause cause;
    uint32_t code;
};

/*
 * Branch a finished trace: of a PVM program or a kernel at the last place at or before
 * `at` where a run can be taken up (as for replay_cut), and files that the program had
 * open there are closed to it; of a pc exactly there.  After an error the sink holds
 * nothing of use, or, if the guest has run, what a killed recorder leaves.
 */
void replay_branch(const struct trace_source *source, const struct trace_sink *sink,
                   const struct replay_branch_options *options,
                   struct replay_branch_report *ret_report);

/* Is it a child that needs its parent?  Then *ret_parent is the parent's identity. */
bool replay_branch_is_child(const struct trace_source *source,
                            struct hash256 *ret_parent);

struct replay_join_options {
    bool (*interrupted)(void);
    const struct replay_pc_follow_options *pc; /* how to replay a pc */
};

/* Write a child and what it needs of its parent as one trace.  The parent is replayed
 * to the branch.  The reason of an error is in `ret_detail`, which has 160 bytes. */
ERR_MUST_CHECK enum err replay_branch_join(const struct trace_source *parent,
                                           const struct trace_source *child,
                                           const struct trace_sink *sink,
                                           const struct replay_join_options *options,
                                           char *ret_detail);

#endif
