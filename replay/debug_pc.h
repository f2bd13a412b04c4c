/* SPDX-License-Identifier: MIT
 *
 * replay/debug_pc.h - a pc under the debugger.  Private to replay/.
 *
 * The machine runs on what the trace holds: console input and the replies of file
 * trees.  What it derives is held against the trace, but for its state hashes.
 *
 * A position lies between two steps or two iterations of a `rep`.  While the guest
 * sleeps the positions are where something happens, not each nanosecond.  The state at
 * one is that behind all that is due there: timers, then input.
 */
#ifndef REPLAY_DEBUG_PC_H
#define REPLAY_DEBUG_PC_H

#include "emu/pc.h"
#include "emu/save.h"
#include "replay/debug.h"
#include "replay/pages.h"
#include "replay/pc.h"
#include "replay/timeline.h"

enum { DEBUG_PC_STOP_MAX = 1 << 16 };

/* What comes from outside, by its place: console bytes, a notification, or a request
 * that completes now. */
struct debug_pc_input {
    struct replay_time time;
    enum trace_id id;
    struct bytes data;
    uint64_t dev;
    uint64_t queue, head; /* complete */
};

struct debug_pc_reply {
    struct replay_time time;
    uint64_t seq;
    uint64_t queue, head;
};

/* An event that the machine derives (debug_pc_check.c). */
struct debug_pc_derived {
    uint64_t icount, digest;
};

struct debug_pc {
    struct arena arena; /* setup, machine, reader, inputs */
    struct arena event; /* the event that is being read */
    const struct trace_source *source;
    struct trace_reader *reader;
    uint64_t reader_seq; /* it delivers this event next; UINT64_MAX: not known */
    struct replay_pc_setup setup;
    enum emu_boot_kind boot_kind; /* as found by the content */
    struct emu_pc *pc;
    struct v86fs_virtio *fs;
    struct replay_time end;
    uint64_t setup_end; /* number of the event behind the setup, if none is missing */
    uint64_t gap_seq;   /* first event behind a gap; 0: none is missing */
    struct buf scratch;

    struct debug_pc_input *input;
    size_t input_count, input_capacity;
    struct debug_pc_reply *reply;
    size_t reply_count, reply_capacity;
    struct debug_pc_derived *derived;
    size_t derived_count, derived_capacity;
    struct buf output; /* console bytes, each behind its device */
    bool finished;     /* the trace ends where the recording did */
    /* State: how many of them are behind. */
    size_t input_next, reply_next, derived_next, output_next;

    uint32_t *break_linear; /* ascending */
    size_t break_count;
    struct emu_watch *watch;
    unsigned *watch_access; /* as they were asked for */
    size_t watch_count;

    /* The run that is under way. */
    const struct replay_until *until;
    struct replay_time target, started;
    struct replay_time boundary; /* the last one that was passed */
    bool heeds_breaks, polls;
    struct emu_watch_hit hit;
    enum replay_stop_kind kind;
    enum err err;
    struct replay_time err_time; /* in front of what cannot be replayed */

    /* Memory as of the last save or load. */
    struct pages_image live;
    uint64_t memory;
};

/* As replay_debug_open() and _close(), for a trace of guest pc. */
ERR_MUST_CHECK enum err replay_debug_pc_open(const struct trace_source *source,
                                             struct replay_debug *debug, char *message);
void replay_debug_pc_close(void *self);

/* ---- debug_pc_state.c: members of the table ---- */

enum err replay_debug_pc_save(void *self, struct replay_snapshot **ret_snapshot,
                              struct replay_page_list *ret_written);
void replay_debug_pc_load(void *self, const struct replay_snapshot *snapshot);
void replay_debug_pc_drop(void *self, struct replay_snapshot *snapshot);
enum err replay_debug_pc_hash(void *self, uint8_t ret_hash[32]);

/* The state in front of event `gap_seq`, from its checkpoint.  ERR_trace_event when it
 * makes no sense, and trace_checkpoint_read's. */
ERR_MUST_CHECK enum err replay_debug_pc_cross_gap(struct debug_pc *g);

/* ---- debug_pc_fs.c ---- */

ERR_MUST_CHECK enum err replay_debug_pc_connect(struct debug_pc *g);

/* The input that comes next, which is none of the console, at its boundary. */
struct emu_input replay_debug_pc_fs_input(struct debug_pc *g);

/* Has the device released the request that this input is about? */
void replay_debug_pc_completed(struct debug_pc *g, const struct emu_event *e);

/* The first error counts. */
void replay_debug_pc_note(struct debug_pc *g, enum err err);

/* ---- debug_pc_check.c ---- */

/* Note a recorded event.  ERR_nomem, reader errors. */
ERR_MUST_CHECK enum err replay_debug_pc_expect(struct debug_pc *g,
                                               const struct trace_record *record);
/* Is this what was recorded next?  Then it is behind. */
bool replay_debug_pc_fits(struct debug_pc *g, const struct emu_event *event);
bool replay_debug_pc_fits_output(struct debug_pc *g, uint32_t dev, uint8_t byte);

/* ---- debug_pc_run.c ---- */

/* Create the machine of `g->setup` with what answers from the trace. */
ERR_MUST_CHECK enum err replay_debug_pc_create(struct debug_pc *g,
                                               struct emu_boot_problem *ret_problem);
struct replay_time replay_debug_pc_time(void *self);
enum err replay_debug_pc_set_stops(void *self, const uint64_t *break_address,
                                   size_t break_count, const struct replay_watch *watch,
                                   size_t watch_count);
enum err replay_debug_pc_run(void *self, const struct replay_until *until,
                             struct replay_stop *ret_stop);

#endif
