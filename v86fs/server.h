/* SPDX-License-Identifier: MIT
 *
 * v86fs/server.h - what the files of the server share.
 */
#ifndef V86FS_SERVER_H
#define V86FS_SERVER_H

#include "v86fs/table.h"
#include "v86fs/v86fs.h"

/* Handles lie above all ids of nodes (Q10). */
#define V86FS_HANDLE_BASE ((uint64_t)1 << 32)

struct v86fs_export {
    struct bytes name;
    struct v86fs_tree tree;
    uint64_t root;
    bool read_only;
};

struct v86fs_handle {
    uint64_t number; /* 2^32 + k */
    uint64_t node;
    uint64_t opaque; /* the tree's */
    const struct v86fs_export *export;
    uint32_t older, newer; /* in the order of opening */
};

/* A request on its way. */
struct v86fs_job {
    const struct v86fs_message *message;
    const struct v86fs_export *export;
    struct v86fs_call call;
    uint64_t handle;   /* READ, CLOSE: 0 = by node */
    uint64_t cookie;   /* READDIR: of the last entry written */
    size_t tail_size;  /* bytes behind the fixed part */
    uint32_t features; /* negotiated when it came */
    uint32_t entry_count;
    uint16_t tag;
};

enum v86fs_pending_state {
    V86FS_PENDING_FREE,
    V86FS_PENDING_ASKED,
    V86FS_PENDING_ANSWERED,
};

struct v86fs_pending {
    enum v86fs_pending_state state;
    uint64_t token;
    struct v86fs_job job;
    uint8_t *frame;
    size_t frame_size;
    size_t frame_size_max;
};

struct v86fs_server {
    struct arena *arena;
    struct v86fs_server_options options;
    struct v86fs_ids *ids;
    uint32_t features;
    struct v86fs_export *exports;
    uint32_t export_count;
    struct v86fs_export nowhere; /* root 0 until an unknown name is mounted */
    uint64_t nowhere_ns;         /* its times */
    struct v86fs_handle *handles;
    struct v86fs_pool handle_pool;
    struct v86fs_table handle_table;
    uint64_t handle_next; /* the one given last */
    uint32_t handle_oldest, handle_newest;
    struct v86fs_pending *pending;
    uint64_t token_next;
    uint32_t pending_opens; /* handles that late answers will need */
    struct v86fs_counters counters;
};

/* nowhere.c: the empty directory behind unknown mount names.  `_root` makes it on
 * first need; false when ids are used up. */
void v86fs_nowhere_init(struct v86fs_server *server);
bool v86fs_nowhere_root(struct v86fs_server *server, uint64_t now_ns);

/* pending.c: calls that are answered later.  `_token` is 0 when no slot is free, and
 * then the tree must answer at once. */
bool v86fs_pending_init(struct v86fs_server *server);
uint64_t v86fs_pending_token(struct v86fs_server *server);
uint64_t v86fs_pending_add(struct v86fs_server *server, const struct v86fs_job *job,
                           size_t reply_size_max);
void v86fs_pending_cancel(struct v86fs_server *server);

/* server.c: a handle with a number above all others; and drop all without a word to
 * their trees. */
void v86fs_handle_put(struct v86fs_server *server, uint64_t number, uint64_t node,
                      uint64_t opaque, const struct v86fs_export *export);
void v86fs_handles_forget(struct v86fs_server *server);

/* server.c: the sink of readdir; build the reply of a job. */
bool v86fs_job_entry(struct v86fs_call *call, const struct v86fs_dirent *entry);
size_t v86fs_job_reply(struct v86fs_server *server, struct v86fs_job *job,
                       uint32_t status, uint8_t *reply);

#endif
