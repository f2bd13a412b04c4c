/* SPDX-License-Identifier: MIT
 *
 * replay/debug_kernel.h - a capability kernel under the debugger.  Private to replay/.
 *
 * The kernel runs on the requests that the trace holds; what follows from them is not
 * compared, but for when each invocation ends.  What is shown is the instance that
 * runs.
 *
 * A position is an instruction count over all instances, and `sub`: how many
 * invocations have begun since that instruction retired.  So the end of an invocation,
 * and the place where it pauses, is a position with all that the frame held, and the
 * first instruction of the next invocation is another one.
 */
#ifndef REPLAY_DEBUG_KERNEL_H
#define REPLAY_DEBUG_KERNEL_H

#include "kernel/debug.h"
#include "replay/debug.h"
#include "replay/kernel.h"
#include "replay/kernel_checkpoint.h"
#include "replay/pages.h"
#include "replay/timeline.h"

/* Code of program k is at (k + 1) << 32, the memory of the frame at depth d can be read
 * at MEMORY_BASE + (d << 32) while another one runs. */
#define DEBUG_KERNEL_CODE_BASE ((uint64_t)1 << 32)
#define DEBUG_KERNEL_MEMORY_BASE ((uint64_t)1 << 63)
#define DEBUG_KERNEL_NO_PROGRAM UINT32_MAX

enum {
    DEBUG_KERNEL_BREAK_MAX = 1 << 16,
    DEBUG_KERNEL_WATCH_MAX = 4096,
    DEBUG_KERNEL_FILTER_SIZE = 72,
};

/* A request of the host. */
struct debug_kernel_request {
    uint64_t seq;
    enum trace_id id;
    bool begins;             /* an invocation that runs, */
    struct replay_time time; /* from here */
    bool ends;               /* and its outcome is in the trace: */
    struct trace_clock end;
};

/* A program of the trace, by its number. */
struct debug_kernel_program {
    struct hash256 image;
    struct pvm_code code;
    /* How to stop at an icount, when an engine stops at gas: debug_kernel_run.c. */
    uint64_t insns_per_gas_16, insns_max; /* 0: not measured yet */
    uint64_t serial;                      /* of what is armed */
    uint32_t armed;                       /* generation of stops; 0: none */
};

struct debug_kernel_saved;

/* A frame on the stack, for as long as it is there. */
struct debug_kernel_frame {
    struct replay_time pushed; /* with its depth, its name */
    struct hash256 image;
    uint32_t prog;
    uint32_t armed;          /* generation of watchpoints; 0: none */
    struct pages_image live; /* what is not as it was in the beginning */
    bool changed;            /* since it was saved */
    struct debug_kernel_saved *saved;
};

/* Which instances stops are for. */
enum debug_kernel_only {
    DEBUG_KERNEL_ANY,
    DEBUG_KERNEL_PROGRAM,
    DEBUG_KERNEL_DEPTH,
    DEBUG_KERNEL_HASH, /* first digits of instance, type or image */
};

enum debug_kernel_mode {
    DEBUG_KERNEL_IDLE,    /* no invocation has begun, or it has left no frame */
    DEBUG_KERNEL_RUNS,    /* the top frame is an instance */
    DEBUG_KERNEL_PENDING, /* it has left its run; that has not been acted on */
};

/* The state besides that of the kernel. */
struct debug_kernel_place {
    enum debug_kernel_mode mode;
    struct pvm_outcome exit; /* PENDING */
    uint64_t request_next;
    struct replay_time begun; /* the invocation, or where it was resumed */
    uint64_t gas_sum;         /* gas clock and what is left, together */
};

struct debug_break {
    uint32_t prog, pc;
};

struct debug_kernel {
    struct arena arena; /* of setup, kernel, programs and reader */
    struct arena event; /* of the request that is being served */
    const struct trace_source *source;
    struct trace_reader *reader;
    struct replay_kernel_setup setup;
    struct kernel *kernel;
    void *memory;
    size_t memory_size;
    struct replay_time end;
    struct replay_time base; /* of a part of a trace: where it begins, */
    uint64_t base_seq;       /* and its first event there */
    struct trace_checkpoint_list stored;
    uint64_t unknown_count; /* frames whose beginning is not known */

    struct debug_kernel_request *request;
    size_t request_count, request_capacity;
    size_t begin_count; /* all requests that begin something are before it */
    struct debug_kernel_program *program;
    size_t program_count, program_capacity;

    struct debug_kernel_place place;
    struct debug_kernel_frame *frame; /* max_depth of them */
    uint32_t frame_count;

    /* Stops: sorted, and numbered so that it is known where they have been set. */
    struct debug_break *brk;
    size_t break_count;
    struct pvm_watch *watch;
    size_t watch_count;
    uint32_t generation;
    enum debug_kernel_only only;
    uint64_t only_number;
    char only_text[DEBUG_KERNEL_FILTER_SIZE];

    /* The run that is under way. */
    const struct replay_until *until;
    bool testing; /* watchpoints apply to an ecall */
    bool watched; /* one was met by an ecall, which has not been made */
    bool served;  /* the exit came from an ecall, which has been made */
    enum err err;
    enum err failed; /* nothing can be run any more */
    struct replay_stop stop;

    /* Of snapshots: caps by number, pages written since the last one. */
    struct debug_kernel_cap {
        struct hash256 hash;
        struct bytes stored;
    } * cap;
    size_t cap_count, cap_capacity;
    uint64_t *written; /* a bit per page */
    uint64_t memory_held;
    uint32_t *page_list;
    void *frame_scratch;
};

/* As replay_debug_open() and _close(), for a trace of a capability kernel. */
ERR_MUST_CHECK enum err replay_debug_kernel_open(const struct trace_source *source,
                                                 struct replay_debug *debug,
                                                 char *message);
void replay_debug_kernel_close(void *self);

/* ---- debug_kernel_trace.c ---- */

/* Read the whole trace: programs, requests, and where positions begin and end.  Of a
 * trace with gaps what is behind the last one can be visited; the kernel then stands
 * where that begins. */
ERR_MUST_CHECK enum err replay_debug_kernel_survey(struct debug_kernel *g,
                                                   struct replay_debug *debug,
                                                   char *message);

/* Is there an invocation to come? */
static inline bool debug_kernel_ahead(const struct debug_kernel *g)
{
    return g->place.request_next < g->begin_count;
}

/* Act on the exit that ends this invocation, and serve requests until the next one has
 * begun, which is ahead. */
ERR_MUST_CHECK enum err replay_debug_kernel_next(struct debug_kernel *g);

/* The position at which an event stands. */
struct replay_time replay_debug_kernel_event_time(void *self, uint64_t seq,
                                                  uint64_t icount);

/* ---- debug_kernel_run.c ---- */

enum err replay_debug_kernel_run(void *self, const struct replay_until *until,
                                 struct replay_stop *ret_stop);
enum err replay_debug_kernel_set_stops(void *self, const uint64_t *break_address,
                                       size_t break_count,
                                       const struct replay_watch *watch,
                                       size_t watch_count);
bool replay_debug_kernel_restrict(void *self, const char *text);

/* ---- debug_kernel_state.c ---- */

struct replay_time replay_debug_kernel_time(void *self);

static inline uint64_t debug_kernel_clock(const struct debug_kernel *g)
{
    return g->place.gas_sum - kernel_gas(g->kernel);
}

/* The frame that is shown: the top one, or the one that has yielded; and its depth.
 * NULL: there is none. */
struct debug_kernel_frame *replay_debug_kernel_shown(struct debug_kernel *g,
                                                     struct kernel_frame_view *ret_view,
                                                     uint32_t *ret_depth);

/* The number of an image's program; DEBUG_KERNEL_NO_PROGRAM: the trace does not say. */
uint32_t replay_debug_kernel_program_of(const struct debug_kernel *g,
                                        const struct hash256 *image);

/* Follow what the kernel has done to its stack. */
void replay_debug_kernel_follow(struct debug_kernel *g);
/* Forget a frame that is gone. */
void replay_debug_kernel_frame_end(struct debug_kernel *g,
                                   struct debug_kernel_frame *frame);
/* Frames from `depth` on may be about to go: remember what was written there, and let
 * their memory go. */
void replay_debug_kernel_leave(struct debug_kernel *g, uint32_t depth);

enum err replay_debug_kernel_save(void *self, struct replay_snapshot **ret_snapshot,
                                  struct replay_page_list *ret_written);
void replay_debug_kernel_load(void *self, const struct replay_snapshot *snapshot);
void replay_debug_kernel_drop(void *self, struct replay_snapshot *snapshot);
uint64_t replay_debug_kernel_memory(void *self);
enum err replay_debug_kernel_hash(void *self, uint8_t ret_hash[32]);

/* Take the pages that a new frame has written into its image.  ERR_nomem. */
ERR_MUST_CHECK enum err replay_debug_kernel_read_written(struct debug_kernel *g,
                                                         uint32_t depth);

/* ---- debug_kernel_stored.c ---- */

/* Stand where a checkpoint says; `ref->seq` is set in any case.  As
 * replay_kernel_checkpoint_restore(); after an error the kernel stands nowhere until
 * load(). */
ERR_MUST_CHECK enum err
replay_debug_kernel_take(struct debug_kernel *g,
                         const struct kernel_checkpoint_ref *ref,
                         struct kernel_stand *ret_stand);

enum err replay_debug_kernel_stored(void *self, size_t index,
                                    struct replay_snapshot **ret_snapshot,
                                    struct replay_time *ret_time);

/* ---- debug_kernel_text.c ---- */

uint32_t replay_debug_kernel_depth(void *self);
void replay_debug_kernel_put_frames(void *self, struct buf *text);
size_t replay_debug_kernel_list_frames(void *self, struct replay_frame *ret_frame,
                                       size_t max);
void replay_debug_kernel_put_instance(void *self, struct buf *text);

#endif
