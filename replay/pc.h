/* SPDX-License-Identifier: MIT
 *
 * replay/pc.h - sessions of the pc guest: record and replay (machine.md 7,
 * trace-replay.md 4.2).
 *
 * A session is a machine whose host table is wrapped: recording writes what crosses it,
 * replaying answers from the trace and compares.  Inputs are the images, the
 * configuration, console bytes and the replies of file trees that are no function of
 * the requests; all else is derived.
 *
 * state.hash of the whole machine is written every 2^24 steps and at the end.
 */
#ifndef REPLAY_PC_H
#define REPLAY_PC_H

#include "emu/boot.h"
#include "replay/fs.h"

struct v86fs_virtio;

enum { REPLAY_PC_NAME_MAX = 4096 };

/* All that a run depends on. */
struct replay_pc_setup {
    struct emu_pc_config config; /* fs_count is set by has_fs */
    struct emu_boot boot;
    bool triple_fault_ok;
    const char *kernel_name, *initrd_name; /* as the user gave them */
    bool embed;                            /* the images go into the trace */
    bool log_ports;
    bool has_fs;               /* one v86fs device, */
    struct replay_fs_setup fs; /* which serves these trees */
};

/* The state of the server and its trees as bytes; NULL members: they have none that
 * could be told. */
struct replay_pc_trees {
    void *self;
    enum err (*save)(void *self, struct buf *buf);
    enum err (*load)(void *self, struct bytes state);
};

struct replay_pc_options {
    const struct emu_host *host; /* the world; NULL while replaying */
    struct trace *trace;         /* NULL: off */
    struct trace *copy;          /* replay: record what comes out; NULL */
    /* Replay: a second reader of the trace behind its setup, and the event it read
     * last; it looks for inputs that are to come. */
    struct trace_reader *ahead;
    const struct trace_record *ahead_next;
    struct v86fs_server *server; /* NULL: no device, or replies are in the trace */
    struct replay_pc_trees trees;
    bool hashes; /* write state.hash */
    struct replay_checkpoints checkpoints;
};

struct replay_pc;

/*
 * Create the machine, load the images and write or compare the setup.  Everything is
 * borrowed.  ERR_image with *ret_problem, ERR_usage for the configuration, ERR_nomem,
 * and what the trace answers.
 */
ERR_MUST_CHECK enum err replay_pc_create(struct arena *arena,
                                         const struct replay_pc_setup *setup,
                                         const struct replay_pc_options *options,
                                         struct replay_pc **ret_session,
                                         struct emu_boot_problem *ret_problem);

struct emu_pc *replay_pc_machine(const struct replay_pc *session);

/* Run until `limit` steps; as emu_pc_run().  EMU_PC_STOPPED also after an error of the
 * trace: replay_pc_error(). */
enum emu_pc_status replay_pc_run(struct replay_pc *session, uint64_t limit);

/* Stop the run at this place, behind all that is due there, or at the first boundary
 * behind it: EMU_PC_STOPPED.  Did it come to that? */
void replay_pc_stop_at(struct replay_pc *session, struct emu_place place);
bool replay_pc_stopped_there(const struct replay_pc *session);

/* Recording, at a boundary (emu_input.call): tell the guest's file driver something
 * (v86fs.md 7), a frame of v86fs_*_encode(); and let replies to requests from now on
 * come `ns` of virtual time later. */
enum v86fs_note_result replay_pc_notify(struct replay_pc *session, struct bytes frame);
void replay_pc_delay(struct replay_pc *session, uint64_t ns);

/*
 * A replay becomes a recording, at a boundary: from here on `host` answers, and events
 * go to `trace`.  `server` takes the place of recorded replies: those in flight are
 * asked for again, and the driver's extensions are negotiated; NULL: the one that there
 * is goes on.
 */
void replay_pc_go_live(struct replay_pc *session, struct trace *trace,
                       const struct emu_host *host, struct v86fs_server *server);

/*
 * All of the session but RAM, at a boundary: the machine (emu_pc_save) into `machine`,
 * what is around it (console bytes that are no event yet, replies in flight, the state
 * of derived trees) into `around`; and back, with RAM in place.  The bytes are hostile:
 * ERR_state, ERR_v86fs_state, and then the session is of no use.  ERR_limit, ERR_nomem.
 */
ERR_MUST_CHECK enum err replay_pc_save(struct replay_pc *session, struct buf *machine,
                                       struct buf *around);
ERR_MUST_CHECK enum err replay_pc_load(struct replay_pc *session, struct bytes machine,
                                       struct bytes around);

/* Recording into a ring: give the state behind the event that is being written to
 * `put`. Only a state.hash that was due can be the last event before it: behind all
 * others nothing happens.  NULL is fine. */
ERR_MUST_CHECK enum err replay_pc_ring_checkpoint(struct replay_pc *session,
                                                  trace_ring_put_fn *put, void *to);

/* Write or compare the last hash and session.end for a run that ended with `status`. */
ERR_MUST_CHECK enum err replay_pc_end(struct replay_pc *session,
                                      enum emu_pc_status status);

/* Free what does not live in the arena.  NULL is fine. */
void replay_pc_close(struct replay_pc *session);

/* The first error of the trace. */
enum err replay_pc_error(const struct replay_pc *session);

/* The guest's result: the code of session.end. */
uint32_t replay_pc_code(const struct replay_pc *session, enum emu_pc_status status);

/* ---- replay of a trace ---- */

/* Is this the trace of a pc? */
bool replay_pc_is_session(const struct trace_source *source);

struct replay_pc_follow_options {
    struct replay_position to; /* REPLAY_STOPPED there; END: all of it */
    bool exec; /* compare replies that came from outside: refused if there are any */
    /* Build the trees of a derived device again; as for replay_fs_trace(). */
    enum err (*open)(void *self, const struct replay_fs_setup *setup,
                     struct v86fs_server **ret_server, char ret_detail[120]);
    void *open_self;
    /* Their state, as in struct replay_pc_trees; `open_self` is theirs too. */
    enum err (*save)(void *self, struct buf *buf);
    enum err (*load)(void *self, struct bytes state);
    struct replay_checkpoints checkpoints; /* taken on the way */
    size_t cache_size;                     /* for decoded code; 0: as usual */
    uint64_t insns_max; /* stop there with REPLAY_FAILED, ERR_limit; 0: none */
    bool (*interrupted)(void);
    void (*output)(void *self, uint64_t dev, struct bytes data);
    void *output_self;
    struct trace_writer *copy; /* record what the replay produces; NULL */
};

struct replay_pc_report {
    enum replay_class class;
    enum err err;
    char detail[200];
    bool finished;
    struct hash256 identity;
    uint64_t event_count;
    struct emu_place place;
    uint32_t code;
    bool diverged;
    struct trace_divergence divergence;
    struct trace_fault fault;
    /* The processor at `place`. */
    uint32_t reg[8], eip, eflags;
    uint16_t selector[EMU_SEGMENT_COUNT];
    uint32_t cr[4]; /* 0, 2, 3, 4 */
    bool halted;
};

/* Replay all of `source`.  Images that the trace does not hold are read from the paths
 * it names and must have its hashes. */
void replay_pc_trace(const struct trace_source *source,
                     const struct replay_pc_follow_options *options,
                     struct replay_pc_report *ret_report);

#endif
