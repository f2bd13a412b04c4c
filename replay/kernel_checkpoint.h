/* SPDX-License-Identifier: MIT
 *
 * replay/kernel_checkpoint.h - the state of a capability kernel as a checkpoint
 * (trace-replay.md 2.9), and back.  Private to replay/.
 *
 * The hash of a state is over the machine's value, the hashes of the caps in order, and
 * the pages that frames have written.
 */
#ifndef REPLAY_KERNEL_CHECKPOINT_H
#define REPLAY_KERNEL_CHECKPOINT_H

#include "kernel/kernel.h"
#include "replay/checkpoint_parts.h"

/* A kernel, and what a session knows of it besides. */
struct kernel_stand {
    struct kernel *kernel;
    const struct pvm_state *running; /* inside of a run: the top frame's; NULL */
    struct trace_clock clock;
    /* All but `state` and `caps_size`, which are the kernel's. */
    struct trace_kernel_machine machine;
};

/* Take it; an error leaves nothing.  ERR_unsupported as kernel_state_save(); ERR_limit:
 * it is too large. */
ERR_MUST_CHECK enum err replay_kernel_checkpoint_take(const struct kernel_stand *stand,
                                                      struct checkpoint *ret);

/* Take the next one of a series and hand it over; `seq` is the number of the event that
 * comes next. */
ERR_MUST_CHECK enum err replay_kernel_checkpoint_next(const struct kernel_stand *stand,
                                                      struct checkpoint_series *series,
                                                      uint64_t seq);

/* Where a checkpoint is: number `index` of a list, or, without one, that in front of
 * event `seq`, behind which events go on. */
struct kernel_checkpoint_ref {
    const struct trace_source *source;
    const struct trace_checkpoint_list *list;
    size_t index;
    uint64_t seq;
};

/* Give a kernel the state; its caps and stack are replaced.  `ret` gets clock and
 * machine, without `state`; what it points to lives in `arena`.  ERR_trace_event: it
 * makes no sense, or has another hash than it says; trace_checkpoint_load's.  After an
 * error the kernel's stack is empty. */
ERR_MUST_CHECK enum err replay_kernel_checkpoint_restore(
    struct arena *arena, struct kernel *kernel, const struct kernel_config *config,
    const struct kernel_checkpoint_ref *ref, struct kernel_stand *ret);

#endif
