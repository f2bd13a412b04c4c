/* SPDX-License-Identifier: MIT
 *
 * hostfs/remote.h - the parts of hostfs_remote (remote.c, remote_ops.c).
 */
#ifndef HOSTFS_REMOTE_H
#define HOSTFS_REMOTE_H

#include "hostfs/bridge.h"
#include "hostfs/hostfs.h"
#include "v86fs/table.h"

enum {
    HOSTFS_REMOTE_ROOT = 1, /* slot */
    HOSTFS_REMOTE_LISTING_COUNT = 4,
    HOSTFS_REMOTE_LISTING_MAX = 64 << 20,
    LATE_COUNT_MAX = 16,
};

struct hostfs_remote_node {
    uint64_t id;
    uint64_t key; /* what the other side calls it */
    uint32_t type;
    uint32_t open_count;
};

/* A directory as it was listed last, entries as in READDIR replies. */
struct hostfs_remote_listing {
    uint32_t slot; /* 0: free */
    uint64_t used;
    struct buf entries;
};

struct hostfs_remote {
    struct hostfs_remote_options options;
    struct v86fs_ids *ids;
    struct hostfs_channel channel;
    int process;
    enum err err; /* it is dead */
    uint32_t features;
    uint32_t root_mode;
    uint64_t seq;
    unsigned timeouts_in_a_row;
    uint64_t late[LATE_COUNT_MAX];
    size_t late_count;
    struct buf request;
    struct hostfs_remote_node *nodes;
    struct v86fs_pool pool;
    struct v86fs_table id_table, key_table; /* key + 1 to slot */
    struct hostfs_remote_listing listing[HOSTFS_REMOTE_LISTING_COUNT];
    uint64_t listing_clock;
    const char *attachment;
    unsigned restart_count;
    bool reviving; /* or starting: dying now is no news */
    struct hostfs_remote_counters counters;
};

/* One request and its reply: a status, EIO when there is none. */
uint32_t hostfs_remote_ask(struct hostfs_remote *remote, uint8_t type, uint8_t flags,
                           const struct v86fs_ask *ask, uint32_t capacity,
                           struct v86fs_answer *ret_answer, struct bytes *ret_tail);

/* The slot of an id, or 0.  The node of a key: a status. */
uint32_t hostfs_remote_slot(const struct hostfs_remote *remote, uint64_t id);
uint32_t hostfs_remote_intern(struct hostfs_remote *remote, uint64_t key, uint32_t mode,
                              uint32_t *ret_slot);

/* The other side says that it is gone; an open one is kept. */
void hostfs_remote_forget(struct hostfs_remote *remote, uint32_t slot);

/* A new other side: forget all nodes but the root; its key.  False: no id is left. */
void hostfs_remote_forget_all(struct hostfs_remote *remote);
bool hostfs_remote_take_root(struct hostfs_remote *remote, uint64_t key);

/* If it is dead, do what `on_death` says before keys are looked up. */
void hostfs_remote_revive(struct hostfs_remote *remote);

extern const struct v86fs_tree_ops hostfs_remote_ops;

#endif
