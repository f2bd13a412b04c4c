/* SPDX-License-Identifier: MIT
 *
 * replay/fs.h - sessions of the file server without a guest (v86fs.md chapter 9).
 *
 * Who asks is a program behind a socket or a mount; its requests are what the trace
 * begins with, one after the other.  Each becomes virtio.request and virtio.reply of
 * device 0, queue 1, what others change in a tree virtio.notify.  icount counts ticks
 * of `tick_ns` since `epoch_ns`, so the time of a request is its place in the trace.
 *
 * A session is derived when every tree is a function of the requests (memory, images);
 * then its replies are computed again and compared.  Otherwise they are in the trace.
 *
 * Knows frames by their length and type alone.  Limits: REPLAY_FS_EXPORT_MAX trees.
 */
#ifndef REPLAY_FS_H
#define REPLAY_FS_H

#include "replay/replay.h"
#include "v86fs/v86fs.h"

enum {
    REPLAY_FS_EXPORT_MAX = 16,
    REPLAY_FS_REQUEST_SHOWN = 1024,
    REPLAY_FS_NOTE_COUNT_MAX = 1024,
};

/* One tree as the trace describes it.  Texts are the command line's; bytes borrowed. */
struct replay_fs_export {
    const char *name;
    const char *spec; /* kind and options, no path */
    bool has_digest;
    struct hash256 digest; /* of the image */
    struct bytes image;    /* the image itself */
};

struct replay_fs_setup {
    uint64_t epoch_ns; /* wall clock at icount 0 */
    uint64_t tick_ns;  /* of one icount, not 0 */
    uint32_t features; /* negotiated from the start */
    uint32_t handle_count_max;
    bool derived;
    bool requests;  /* the trace holds the requests, not only their digests */
    bool log_bytes; /* and the replies, also those that are derived */
    struct replay_fs_export export[REPLAY_FS_EXPORT_MAX];
    size_t export_count;
};

/* ---- record ---- */

struct replay_fs;

/*
 * Begin a session: everything up to virtio.ready is written or, while replaying,
 * compared.  A NULL trace is off.  Everything is borrowed.  `server` is NULL where
 * replies come from the trace.  ERR_nomem, and what the trace answers.
 */
ERR_MUST_CHECK enum err replay_fs_create(struct arena *arena,
                                         const struct replay_fs_setup *setup,
                                         struct v86fs_server *server,
                                         struct trace *trace,
                                         struct replay_fs **ret_fs);

/* Serve one request at a tick, which must not fall.  *ret_size 0: no reply.  The error
 * is the trace's; while recording the reply is there all the same. */
ERR_MUST_CHECK enum err replay_fs_serve(struct replay_fs *fs, uint64_t tick,
                                        struct bytes request, uint8_t *reply,
                                        size_t reply_size_max, size_t *ret_size);

/* A notification, a whole frame: emitted at a tick between two requests, and queued for
 * whoever takes it; what the queue says is *ret_result. */
ERR_MUST_CHECK enum err replay_fs_notify(struct replay_fs *fs, uint64_t tick,
                                         struct bytes frame,
                                         enum v86fs_note_result *ret_result);

/* How many more are sure of a place. */
uint32_t replay_fs_note_room(const struct replay_fs *fs);

/* The oldest that waits, borrowed until the next call; size 0: none.  It was taken. */
struct bytes replay_fs_note(const struct replay_fs *fs);
void replay_fs_note_taken(struct replay_fs *fs);

/* The end of a recording: `reason` of session.end. */
ERR_MUST_CHECK enum err replay_fs_end(struct replay_fs *fs, uint64_t reason);

/* ---- replay ---- */

/* Is this the trace of such a session?  Looks at its first events. */
bool replay_fs_is_session(const struct trace_source *source);

struct replay_fs_options {
    bool exec; /* refuse replies from the trace */
    /* Build the trees of a derived session.  `ret_detail` says what is wrong. */
    enum err (*open)(void *self, const struct replay_fs_setup *setup,
                     struct v86fs_server **ret_server, char ret_detail[120]);
    void *self;
    bool (*interrupted)(void);
};

struct replay_fs_report {
    enum replay_class class;
    enum err err;
    char detail[160];
    bool finished;
    struct hash256 identity;
    uint64_t event_count;
    uint64_t request_count;
    uint64_t note_count; /* notifications */
    bool derived;
    bool diverged;
    struct trace_divergence divergence;
    struct trace_fault fault;
    uint32_t features;
    /* The request at hand when it diverged, its first bytes. */
    uint8_t request[REPLAY_FS_REQUEST_SHOWN];
    size_t request_size;
};

/* Replay all of `source`, which holds its requests. */
void replay_fs_trace(const struct trace_source *source,
                     const struct replay_fs_options *options,
                     struct replay_fs_report *ret_report);

/* The same with a client that makes the requests again. */
struct replay_fs_player;

/* After an error *ret_report says all, and there is no player. */
ERR_MUST_CHECK enum err replay_fs_play(const struct trace_source *source,
                                       const struct replay_fs_options *options,
                                       struct replay_fs_report *report,
                                       struct replay_fs_player **ret_player);

/* The features that the client has to use, and its requests. */
const struct replay_fs_setup *replay_fs_player_setup(const struct replay_fs_player *p);
ERR_MUST_CHECK enum err replay_fs_player_serve(struct replay_fs_player *player,
                                               struct bytes request, uint8_t *reply,
                                               size_t reply_size_max, size_t *ret_size);

/* The notification that the client was told next at this place of the session; size 0:
 * the next thing is a request.  It was taken. */
struct bytes replay_fs_player_note(struct replay_fs_player *player);
void replay_fs_player_note_taken(struct replay_fs_player *player);

/* The client is done; fills the report. */
void replay_fs_player_close(struct replay_fs_player *player);

#endif
