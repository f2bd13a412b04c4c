/* SPDX-License-Identifier: MIT
 *
 * replay/pc_private.h - the inside of a session of the pc guest.  Private to replay/.
 */
#ifndef REPLAY_PC_PRIVATE_H
#define REPLAY_PC_PRIVATE_H

#include "emu/save.h"
#include "replay/checkpoint_parts.h"
#include "replay/pc.h"
#include "v86fs/virtio_v86fs.h"

enum { PC_STATE_SIZE_MAX = 8 << 20 };

#define PC_HASH_EVERY (UINT64_C(1) << 24) /* trace-replay.md 7.1, L3 */

/* Requests that are answered later, and the longest of them. */
enum { PC_LATE_MAX = 64, PC_LATE_REQUEST_MAX = 8192 };

enum { PC_NOTE_SIZE_MAX = 65536 }; /* frames that are longer are no guest's */

/* A request in flight.  The server is asked at once, so that what the guest sees later
 * is what was true then; only the answer waits. */
struct pc_late {
    bool used;
    bool answered; /* `reply` is there: not while it comes from the trace */
    uint16_t head;
    uint8_t queue;
    uint64_t due_vns; /* live */
    struct buf reply;
};

struct replay_pc {
    const struct replay_pc_setup *setup;
    struct replay_pc_options options;
    struct emu_pc *pc;
    struct v86fs_virtio *fs;
    struct emu_ram_hash *ram_hash;
    struct buf scratch;
    uint64_t hash_at; /* step of the next state.hash */
    bool at_mark;     /* at a boundary, writing the state.hash that was due there */
    struct checkpoint_series series;
    enum err err;
    /* Replay: the next input, or the place where the recording was stopped. */
    struct trace_record ahead;
    bool ahead_ended;
    /* Stop the run at this place, or at the first boundary behind it. */
    struct emu_place stop_at;
    bool stops, stopped_there;
    /* The file device. */
    struct pc_late late[PC_LATE_MAX];
    uint64_t delay_ns; /* live: of replies from now on */
    struct buf note;   /* replay: the notification at hand */
};

static inline bool pc_replays(const struct replay_pc *s)
{
    return s->options.trace && s->options.trace->replaying;
}

/* Keep the first error and leave the run. */
void replay_pc_note(struct replay_pc *s, enum err err);

/* Write or compare an event at the machine's place. */
void replay_pc_emit(struct replay_pc *s, enum trace_id id, void *event);

/* ---- pc_fs.c: who answers the file device ---- */

ERR_MUST_CHECK enum err replay_pc_fs_connect(struct arena *arena, struct replay_pc *s);
void replay_pc_fs_fini(struct replay_pc *s);

/* Live: is a late reply due?  Else the time of the next one, EMU_NEVER: there is
 * none. */
bool replay_pc_fs_due(const struct replay_pc *s, uint64_t *ret_next_vns);

/* This server answers from now on; NULL: as before. */
void replay_pc_fs_go_live(struct replay_pc *s, struct v86fs_server *server);

/* At a boundary: give the guest what is due. */
void replay_pc_fs_complete(void *self);

/* Replay, at a boundary: the recorded virtio.notify that comes next. */
void replay_pc_fs_notify_recorded(void *self);

/* The replies in flight as bytes, and back; before the machine's state is loaded.
 * False: malformed. */
void replay_pc_fs_save(const struct replay_pc *s, struct buf *buf);
bool replay_pc_fs_load(struct replay_pc *s, struct bytes *state);

/* ---- pc_checkpoint.c ---- */

/* The state at this boundary.  ERR_limit, ERR_nomem, what the trees answer. */
ERR_MUST_CHECK enum err replay_pc_checkpoint_take(struct replay_pc *s,
                                                  struct checkpoint *ret);

/* Take over the state in front of event `seq`, behind which events go on; behind
 * trace_resume().  ERR_trace_event when it makes no sense, and trace_checkpoint_read's.
 */
ERR_MUST_CHECK enum err replay_pc_checkpoint_restore(struct replay_pc *s,
                                                     const struct trace_source *source,
                                                     uint64_t seq);

/* The next one of the session's series is due: take it and hand it over. */
ERR_MUST_CHECK enum err replay_pc_checkpoint_next(struct replay_pc *s);

/* Take over the state of checkpoint `index` of a trace, behind trace_skip().  As
 * replay_pc_checkpoint_restore(). */
ERR_MUST_CHECK enum err
replay_pc_checkpoint_start(struct replay_pc *s, const struct trace_source *source,
                           const struct trace_checkpoint_list *list, size_t index);

/* The pages of a checkpoint on their way: into RAM, which is cleared first, and what is
 * around the machine. */
struct pc_pages {
    struct emu_ram *ram;
    struct buf around;
};
void replay_pc_pages_init(struct pc_pages *pages, struct emu_ram *ram);
void replay_pc_pages_fini(struct pc_pages *pages);
enum err replay_pc_pages_take(void *pages, uint64_t first, struct bytes bytes);

/* What is around the machine, borrowed from both; false: it is not all there. */
bool replay_pc_pages_around(const struct pc_pages *pages,
                            const struct trace_pc_machine *machine,
                            struct bytes *ret_around);

/* ---- pc_state.c ---- */

/* What the guest had printed that was no event yet; it comes first of what
 * replay_pc_save() puts around the machine.  False: malformed. */
struct pc_console_rest {
    uint64_t dev, icount, sub; /* of the last byte */
    struct bytes data;         /* borrowed; may be empty */
};
bool replay_pc_take_console(struct bytes *around, struct pc_console_rest *ret);

void replay_pc_put(struct buf *buf, uint64_t value, unsigned size);
bool replay_pc_take(struct bytes *from, unsigned size, uint64_t *ret);

#endif
