/* SPDX-License-Identifier: MIT
 *
 * v86fs/v86fs.h - the v86fs file server, without a transport, and its native trees.
 *
 * A server turns one request frame into one reply frame.  It knows the layout
 * (v86fs/proto.h), the exports and the open handles; it knows nothing of virtqueues,
 * guest memory or files.  A tree (v86fs/tree.h) answers behind it.
 *
 * Determinism: no clock, no randomness; the same requests at the same virtual times
 * against the same trees give byte-identical replies.
 *
 * Limits: every table is sized at creation and lives in the caller's arena; a full
 * table is a status for the guest.  Not thread safe.
 */
#ifndef V86FS_V86FS_H
#define V86FS_V86FS_H

#include "base/arena.h"
#include "base/hash.h"
#include "v86fs/proto.h"
#include "v86fs/tree.h"

/* ---- ids: one rising counter for all trees of a server (D4) ---- */

#define V86FS_ID_MAX UINT32_C(0xfffffffe)

struct v86fs_ids {
    uint64_t next;          /* the id that comes next */
    uint64_t preload_end;   /* ids below were handed out before the guest ran ... */
    uint64_t first_dynamic; /* ... then from here; those between never were */
};

static inline void v86fs_ids_init(struct v86fs_ids *ids)
{
    *ids = (struct v86fs_ids){.next = 1};
}

/* Preloading is over: raise the counter to `first_dynamic` if it is lower. */
void v86fs_ids_start(struct v86fs_ids *ids, uint64_t first_dynamic);

/* ESTALE if `id` was handed out once, else ENOENT (D23). */
uint32_t v86fs_ids_status(const struct v86fs_ids *ids, uint64_t id);

/* The next id, or 0 when the counter has ended. */
uint64_t v86fs_ids_take(struct v86fs_ids *ids);

/* ---- mem: a tree in memory; image and overlay are the same with a lower tree ---- */

struct v86fs_mem;

struct v86fs_mem_options {
    uint32_t node_count_max;
    uint64_t quota; /* bytes of pages, and of names and targets in units of 64 */
    uint64_t file_size_max; /* EFBIG above */
    bool statfs_fixed;      /* answer `statfs`, else what quota and limits say */
    struct v86fs_statfs statfs;
};

/* Defaults of v86fs.md 3.8: 1,048,576 nodes, 1 GiB, 2^44. */
void v86fs_mem_options_init(struct v86fs_mem_options *options);

/* Create an empty store without roots.  `ids` is borrowed and shared with the server.
 * All memory is taken here (about twice the quota of address space, of which only what
 * is used becomes resident).  ERR_nomem; ERR_usage for limits of 0 or beyond 2^30. */
ERR_MUST_CHECK enum err v86fs_mem_create(struct arena *arena,
                                         const struct v86fs_mem_options *options,
                                         struct v86fs_ids *ids,
                                         struct v86fs_mem **ret_mem);

/* The store as a tree.  Borrowed. */
struct v86fs_tree v86fs_mem_tree(struct v86fs_mem *mem);

/* Add a root directory with permissions `mode`.  ERR_limit if ids or nodes are used
 * up. */
ERR_MUST_CHECK enum err v86fs_mem_root(struct v86fs_mem *mem, uint32_t mode,
                                       uint64_t now_ns, uint64_t *ret_root);

/*
 * Add a root whose content is read from the directory `lower_root` of another tree
 * until it is changed here (v86fs.md 4.5).  A directory is read when it is first
 * mentioned in a call, in bytewise order.  `lower` is borrowed and never changed.
 * All overlays of a store share one lower tree (ERR_usage).  ERR_io if the lower root
 * does not answer, ERR_limit as above.
 */
ERR_MUST_CHECK enum err v86fs_mem_overlay(struct v86fs_mem *mem,
                                          struct v86fs_tree lower, uint64_t lower_root,
                                          uint64_t *ret_root);

/* Lower files found changed behind the overlay's back so far. */
uint64_t v86fs_mem_lower_changed(const struct v86fs_mem *mem);

/* Bytes of the quota in use. */
uint64_t v86fs_mem_used(const struct v86fs_mem *mem);

/*
 * The store as bytes, and back (v86fs.md 8): all that calls can see, in the order of
 * ids, numbers and offsets, so that equal stores give equal bytes.  `scratch` lends
 * memory for the time of the call; about 16 bytes for each node or page.
 *
 * Load into a store that was created with the same options and, before that, the same
 * lower tree; the ids (v86fs_server_load) come first.  The bytes are hostile:
 * ERR_v86fs_state for what no calls could have made or what does not fit the limits,
 * and then the store is empty and of no use.  ERR_nomem; ERR_limit of `buf`.
 */
ERR_MUST_CHECK enum err v86fs_mem_save(const struct v86fs_mem *mem,
                                       struct arena *scratch, struct buf *buf);
ERR_MUST_CHECK enum err v86fs_mem_load(struct v86fs_mem *mem, struct arena *scratch,
                                       struct bytes state);

/* ---- image: a read-only snapshot with a digest (v86fs.md 4.3) ---- */

struct v86fs_image_entry {
    struct bytes path; /* without '/' at its ends; empty: the root itself */
    uint32_t mode;     /* type and permissions */
    struct v86fs_time mtime;
    struct bytes data; /* of a file; target of a link; else empty */
};

/*
 * Load a canonical list below a new root: depth-first, children in bytewise order of
 * their names, a directory before what is in it; the root may be its first entry (else
 * it is 0755 at time 0).  All three times of a node are its mtime, and ids are given
 * in list order.  Export the root read-only.  Everything is copied.
 *
 * ERR_v86fs_image: out of order, twice there, below a non-directory, a bad name, type
 * or target, deeper than 256.  ERR_limit: nodes, quota, or file size; ERR_nomem.  After
 * an error the store is of no use.
 */
ERR_MUST_CHECK enum err v86fs_image_load(struct v86fs_mem *mem,
                                         const struct v86fs_image_entry *entries,
                                         size_t count, uint64_t *ret_root,
                                         struct hash256 *ret_digest);

/* ---- server ---- */

struct v86fs_server;

enum v86fs_mount_errors {
    V86FS_MOUNT_ERRORS_AUTO, /* ENOENT only to drivers that negotiated an extension */
    V86FS_MOUNT_ERRORS_ALWAYS,
    V86FS_MOUNT_ERRORS_NEVER,
};

/* Told after the reply is built; may not change anything.  NULL entries are fine. */
struct v86fs_observer {
    void *self;
    void (*mount)(void *self, struct bytes name);
    void (*open)(void *self, uint64_t ino);
    void (*close)(void *self, uint64_t handle);
    void (*read)(void *self, uint64_t handle, uint64_t ino, uint64_t offset,
                 uint32_t size);
};

struct v86fs_server_options {
    uint32_t handle_count_max;
    uint32_t export_count_max;
    uint32_t pending_count_max; /* late answers; 0: a tree must answer at once */
    uint32_t pending_frame_max; /* longest reply of a late answer, else EIO */
    enum v86fs_mount_errors mount_errors;
    struct v86fs_observer observer;
};

/* 65,536 handles, 16 exports, no late answers. */
void v86fs_server_options_init(struct v86fs_server_options *options);

/* Diagnostics; not part of the machine's state. */
struct v86fs_counters {
    uint64_t malformed; /* X1 */
    uint64_t no_room;   /* X3 */
    uint64_t truncated; /* READDIR without F0 that did not list all */
    uint64_t late;      /* answers after a reset, dropped */
};

/* Create a server that dies with `arena`.  `ids` is borrowed.  Only ERR_nomem. */
ERR_MUST_CHECK enum err v86fs_server_create(struct arena *arena,
                                            const struct v86fs_server_options *options,
                                            struct v86fs_ids *ids,
                                            struct v86fs_server **ret_server);

/*
 * Serve the tree below `root` under `name` ("" is the default export; the first one
 * answers STATFS).  Several names may share a root.  `name` is copied.  ERR_usage: a
 * row of the table is missing, the name is taken or longer than 255, the root does not
 * exist, or is served with another `read_only`; ERR_limit: no more exports; ERR_nomem.
 */
ERR_MUST_CHECK enum err v86fs_server_export(struct v86fs_server *server,
                                            struct bytes name, struct v86fs_tree tree,
                                            uint64_t root, bool read_only);

/* The guest knows ids and handles of a server before this one: new ids begin at
 * `id_first` and all below are stale, but for those of the exports' roots; new handles
 * are above all old ones.  Before the first request. */
void v86fs_server_take_over(struct v86fs_server *server, uint64_t id_first);

/* Extensions for all following requests: FEATURES_OK, or 0. */
void v86fs_server_negotiate(struct v86fs_server *server, uint32_t features);

/* Device reset (D17): handles are closed, pending calls cancelled, features 0; nodes
 * and counters stay. */
void v86fs_server_reset(struct v86fs_server *server);

/*
 * Serve one request (borrowed during the call) at virtual time `now_ns` into `reply`,
 * which has room for `reply_size_max` bytes (more than V86FS_FRAME_MAX are not used).
 *
 *   *ret_size        bytes of the reply; 0 = none (X1, X3)
 *   *ret_token       0, or the call is answered later: *ret_size is 0, and
 *                    v86fs_server_take() gives the reply
 *
 * What the guest does wrong is a status in the reply; so is a failure of the world.
 */
void v86fs_server_serve(struct v86fs_server *server, uint64_t now_ns,
                        struct bytes request, uint8_t *reply, size_t reply_size_max,
                        size_t *ret_size, uint64_t *ret_token);

/*
 * Answer a pending call, once.  `tail` holds data or target, `entries` what readdir
 * lists; both are copied.  ERR_exists: answered before; nothing changes.
 * ERR_not_found: unknown or cancelled; dropped and counted.
 */
ERR_MUST_CHECK enum err
v86fs_server_answer(struct v86fs_server *server, uint64_t token, uint32_t status,
                    const struct v86fs_answer *answer, struct bytes tail,
                    const struct v86fs_dirent *entries, size_t entry_count);

/* Is the reply of a pending call there? */
bool v86fs_server_answered(const struct v86fs_server *server, uint64_t token);

/* Fetch the reply of a pending call and forget the call; false while there is none.
 * `reply_size_max` is what serve() was told, or more. */
bool v86fs_server_take(struct v86fs_server *server, uint64_t token, uint8_t *reply,
                       size_t reply_size_max, size_t *ret_size);

/*
 * Features, ids, exports and handles as bytes, and back (v86fs.md 8).  Load into a
 * server with the same exports; it forgets its handles without closing them, since the
 * trees are loaded too.  ERR_v86fs_state: other exports, or malformed; then the server
 * has no handles, and ids and features are as before.  ERR_limit, ERR_nomem of `buf`.
 */
ERR_MUST_CHECK enum err v86fs_server_save(const struct v86fs_server *server,
                                          struct buf *buf);
ERR_MUST_CHECK enum err v86fs_server_load(struct v86fs_server *server,
                                          struct bytes state);

/* Is there a node with this id, and of which type?  Ids end at v86fs_ids.next. */
bool v86fs_server_node(const struct v86fs_server *server, uint64_t id,
                       uint32_t *ret_mode);

const struct v86fs_counters *v86fs_server_counters(const struct v86fs_server *server);
uint32_t v86fs_server_handle_count(const struct v86fs_server *server);

/* ---- notifications: an ordered queue of frames to the driver (chapter 7) ---- */

struct v86fs_notes;

enum { V86FS_NOTE_SIZE_MAX = 512 };

/* What a notification says. */
struct v86fs_note {
    uint8_t type; /* V86FS_MSG_INVALIDATE, ... */
    uint64_t ino, offset, size;
    struct bytes name, path; /* in the frame */
};

/* False: not one of the four, malformed, or with a name that is not allowed. */
bool v86fs_note_decode(struct bytes frame, struct v86fs_note *ret_note);
bool v86fs_note_is_mount(const struct v86fs_note *note); /* or unmount */

/* Room for `count_max` frames, in `arena`.  Only ERR_nomem. */
ERR_MUST_CHECK enum err v86fs_notes_create(struct arena *arena, uint32_t count_max,
                                           struct v86fs_notes **ret_notes);

/* A driver is listening; frames of up to `size_max` bytes (256 or 512) are accepted. */
void v86fs_notes_start(struct v86fs_notes *notes, uint32_t size_max);

/* No driver: empty the queue (reset, ring error). */
void v86fs_notes_stop(struct v86fs_notes *notes);

enum v86fs_note_result {
    V86FS_NOTE_QUEUED,
    V86FS_NOTE_NO_DRIVER, /* ENOTCONN */
    V86FS_NOTE_TOO_LONG,  /* E2BIG */
    V86FS_NOTE_FULL,      /* ENOBUFS */
    V86FS_NOTE_INVALID,   /* EINVAL: a bad name, a relative path, a malformed frame */
};

/* Queue one.  Equal or covered invalidations are dropped as done; when the queue is
 * full, the ranges of one file collapse into one frame (v86fs.md 7). */
enum v86fs_note_result v86fs_notes_invalidate(struct v86fs_notes *notes, uint64_t ino,
                                              uint64_t offset, uint64_t size);
enum v86fs_note_result v86fs_notes_invalidate_dir(struct v86fs_notes *notes,
                                                  uint64_t ino);
enum v86fs_note_result v86fs_notes_mount(struct v86fs_notes *notes, struct bytes name,
                                         struct bytes path);
enum v86fs_note_result v86fs_notes_umount(struct v86fs_notes *notes, struct bytes path);

/* Queue a frame as one of the calls above encodes it; INVALID for any other. */
enum v86fs_note_result v86fs_notes_frame(struct v86fs_notes *notes, struct bytes frame);

/* The queued frames as bytes, oldest first, nothing when there are none; and back into
 * a queue that v86fs_notes_start() has made ready, or not.  False: malformed, and the
 * queue is empty. */
void v86fs_notes_save(const struct v86fs_notes *notes, struct buf *buf);
bool v86fs_notes_load(struct v86fs_notes *notes, struct bytes state);

/* The oldest frame, borrowed until the next call; size 0 if there is none. */
struct bytes v86fs_notes_first(const struct v86fs_notes *notes);
void v86fs_notes_drop_first(struct v86fs_notes *notes);
uint32_t v86fs_notes_count(const struct v86fs_notes *notes);

#endif
