/* SPDX-License-Identifier: MIT
 *
 * hostfs/dir.h - the parts of hostfs_dir (dir.c, dir_node.c, dir_list.c, dir_ops.c,
 * dir_watch.c).
 *
 * A node is a file that the guest has heard of: an id, the host's (dev, ino, born), and
 * the place where it was seen last.  Slots are numbered; slot 0 is "none", slot 1 the
 * root.  Descriptors are opened when needed, kept in an LRU list, and what is found
 * behind a name must still be that file.
 */
#ifndef HOSTFS_DIR_H
#define HOSTFS_DIR_H

#include "base/os_dir.h"
#include "hostfs/hostfs.h"
#include "v86fs/table.h"

enum { HOSTFS_DIR_ROOT = 1, HOSTFS_DIR_LISTING_COUNT = 16 };

struct hostfs_node {
    uint64_t id; /* 0: the node is dead, but others were seen below it */
    uint64_t dev, ino;
    struct os_dir_time born;
    uint32_t type;        /* V86FS_TYPE_MASK */
    uint32_t parent;      /* 0: of the root, and of what has lost its name */
    uint32_t child_count; /* nodes that have this one as parent */
    uint32_t open_count;
    uint32_t key_next; /* chain of key_bucket */
    uint32_t older, newer;
    int reference; /* O_PATH, or -1 */
    int data;      /* of a regular file, or -1 */
    int watch;     /* number of a watched directory, or 0 */
    bool data_writable;
    bool in_list; /* has descriptors, hence a place in the LRU list */
};

struct hostfs_dir_entry {
    const char *name; /* in `names` */
    uint64_t number;
};

/* A frozen directory: names in bytewise order, and the same in order of numbers. */
struct hostfs_listing {
    uint32_t slot; /* 0: free */
    uint64_t used; /* when, in calls */
    struct os_dir_time mtime, ctime;
    uint64_t number; /* the one given last */
    size_t count;
    struct buf names;
    struct buf by_name, by_number; /* struct hostfs_dir_entry */
};

struct hostfs_dir {
    struct hostfs_dir_options options;
    struct v86fs_ids *ids;
    bool openat2;
    struct hostfs_node *nodes;
    char (*names)[V86FS_NAME_MAX + 1];
    struct v86fs_pool node_pool;
    struct v86fs_table node_table; /* id to slot */
    uint32_t *key_bucket;
    uint32_t key_mask;
    uint32_t oldest, newest; /* nodes with descriptors, but for the root */
    uint32_t fd_count;
    struct buf path; /* slots on the way to a node */
    struct hostfs_listing listing[HOSTFS_DIR_LISTING_COUNT];
    uint64_t listing_clock;
    int watch_fd;                   /* -1: nobody wants to know */
    struct v86fs_table watch_table; /* number to slot */
};

/* ---- dir_node.c ---- */

/* The slot of a living id, or 0. */
uint32_t hostfs_dir_slot(const struct hostfs_dir *dir, uint64_t id);

/* The node of what `stat` found as `name` in `parent`: the known one, moved there, or a
 * new one.  0 when nodes or ids are used up. */
uint32_t hostfs_dir_intern(struct hostfs_dir *dir, uint32_t parent, const char *name,
                           const struct os_dir_stat *stat);

/* The node of a file by its identity, or 0. */
uint32_t hostfs_dir_known(const struct hostfs_dir *dir, const struct os_dir_stat *stat);

/* A reference to the node, valid until the next call that opens one; ESTALE. */
uint32_t hostfs_dir_reference(struct hostfs_dir *dir, uint32_t slot, int *ret_fd);

/* References to two nodes at once. */
uint32_t hostfs_dir_references(struct hostfs_dir *dir, uint32_t a, uint32_t b,
                               int *ret_a, int *ret_b);

/* A descriptor for the bytes of a regular file, as above. */
uint32_t hostfs_dir_data(struct hostfs_dir *dir, uint32_t slot, bool writable,
                         int *ret_fd);

/* The node takes over a descriptor for its bytes. */
void hostfs_dir_give_data(struct hostfs_dir *dir, uint32_t slot, int fd);

/* The node has lost its name; `removed`: the file too. */
void hostfs_dir_unname(struct hostfs_dir *dir, uint32_t slot, bool removed);

/* The node is called otherwise now. */
void hostfs_dir_rename_node(struct hostfs_dir *dir, uint32_t slot, uint32_t parent,
                            const char *name);

/* One open more or less; a nameless node dies with the last. */
void hostfs_dir_hold(struct hostfs_dir *dir, uint32_t slot);
void hostfs_dir_let_go(struct hostfs_dir *dir, uint32_t slot);

/* The host says that the node is gone.  ESTALE. */
uint32_t hostfs_dir_lost(struct hostfs_dir *dir, uint32_t slot);

/* May the guest see it? */
bool hostfs_dir_visible(const struct hostfs_dir *dir, const struct os_dir_stat *stat);

/* ---- dir_list.c ---- */

uint32_t hostfs_dir_readdir(struct hostfs_dir *dir, uint32_t slot,
                            struct v86fs_call *call);
void hostfs_dir_listings_fini(struct hostfs_dir *dir);

/* ---- dir_watch.c ---- */

/* The guest has looked into this directory, whose reference is `fd`: from now on tell
 * of changes in it.  And no more. */
void hostfs_dir_watch(struct hostfs_dir *dir, uint32_t slot, int fd);
void hostfs_dir_unwatch(struct hostfs_dir *dir, uint32_t slot);

/* hostfs_dir_ops, where what they change is told from what others do. */
extern const struct v86fs_tree_ops hostfs_dir_watched_ops;

/* ---- dir_ops.c ---- */

extern const struct v86fs_tree_ops hostfs_dir_ops;

#endif
