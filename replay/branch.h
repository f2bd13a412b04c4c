/* SPDX-License-Identifier: MIT
 *
 * replay/branch.h - branches: replay a trace to a place, then go on with a live host
 * and record a child (trace-replay.md 11).
 *
 * The child names its parent by identity and has the parent's numbers and clocks.  A
 * standalone child holds the events that set the guest up and its state at the branch
 * as BASE checkpoint, and replays alone.  Else it holds a BASE checkpoint without a
 * state, only its hash: it is joined with the parent before it is replayed.
 */
#ifndef REPLAY_BRANCH_H
#define REPLAY_BRANCH_H

#include "replay/replay.h"

struct replay_branch_options {
    struct replay_position at;
    bool standalone;
    unsigned zstd_level; /* 0 stores raw */
    enum trace_sync sync;
    bool (*interrupted)(void);
    const struct replay_host *host; /* of a PVM program, from the branch on */
    struct replay_engine engine;
};

struct replay_branch_report {
    enum replay_class class; /* REPLAY_SAME: recorded; else why not */
    enum err err;
    char detail[160];
    struct hash256 parent, identity;
    uint64_t parent_seq;     /* parent events in front of the branch */
    struct trace_clock from; /* of the guest at the branch */
    uint64_t event_count;    /* of the child's own */
    struct replay_result result;
    struct pvm_state state; /* at the end; `mem` is NULL */
};

/*
 * Branch a finished trace of a PVM program at the last place at or before `at` where a
 * run can be taken up (as for replay_cut).  Files that the guest had open there are
 * closed to it.  After an error the sink holds nothing of use, or, if the guest has
 * run, what a killed recorder leaves.
 */
void replay_branch_pvm(const struct trace_source *source, const struct trace_sink *sink,
                       const struct replay_branch_options *options,
                       struct replay_branch_report *ret_report);

#endif
