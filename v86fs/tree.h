/* SPDX-License-Identifier: MIT
 *
 * v86fs/tree.h - a file tree as the server and other front ends see it.
 *
 * A tree answers calls (v86fs/ops.def).  Nodes are named by u64 ids; the caller knows
 * one root and finds the rest by lookup.  The wire protocol uses a part of this, the
 * WASI shim the rest: hard links, explicit times, rmdir apart from unlink, appending.
 *
 * The tree does not know frames, handles or mounts, and checks no permissions.  Status
 * is 0 or a Linux errno (v86fs.md, introduction) on every host.
 *
 * Determinism: a tree of v86fs/ is a function of its calls; time comes in with each.
 * Limits: a name is 1..255 bytes without '/' and NUL, not "." or "..": the caller has
 * checked that (v86fs_tree_name_status).  Not thread safe.
 * Low: includes base only.
 */
#ifndef V86FS_TREE_H
#define V86FS_TREE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum v86fs_errno {
#define STATUS(name, code) V86FS_##name = code,
#include "v86fs/status.def"
    /* Not an errno: the answer comes later (v86fs_server_answer). */
    V86FS_PENDING = 0xffff,
};

/* "ENOENT"; "?" for a number outside the table, "ok" for 0.  Static storage. */
const char *v86fs_tree_status_name(uint32_t status);

enum {
    V86FS_TYPE_MASK = 0170000,
    V86FS_DIRECTORY = 0040000,
    V86FS_REGULAR = 0100000,
    V86FS_SYMLINK = 0120000,
    V86FS_PERMISSIONS = 07777,
    V86FS_NAME_MAX = 255,
    V86FS_TARGET_MAX = 4095,
};

/* `valid` of setattr: Linux's ia_valid; other bits are ignored. */
enum {
    V86FS_SET_MODE = 0x1,
    V86FS_SET_UID = 0x2,
    V86FS_SET_GID = 0x4,
    V86FS_SET_SIZE = 0x8,
    V86FS_SET_ATIME = 0x10,
    V86FS_SET_MTIME = 0x20,
    V86FS_SET_CTIME = 0x40,
    V86FS_SET_ATIME_TO = 0x80,  /* take in.atime, else now */
    V86FS_SET_MTIME_TO = 0x100, /* take in.mtime, else now */
    V86FS_SET_KNOWN = 0x1ff,
};

/* Flags of open: the guest's f_flags. */
enum {
    V86FS_OPEN_ACCESS = 03, /* 0 read, 1 write, 2 both */
    V86FS_OPEN_CREATE = 0100,
    V86FS_OPEN_EXCLUSIVE = 0200,
    V86FS_OPEN_TRUNCATE = 01000,
    V86FS_OPEN_APPEND = 02000,
    V86FS_OPEN_DIRECTORY = 0200000,
};

enum { V86FS_WRITE_APPEND = 1 }; /* flags of write: in.offset is the end of the file */
enum { V86FS_UNLINK_ANY, V86FS_UNLINK_FILE, V86FS_UNLINK_DIRECTORY }; /* of unlink */
enum { V86FS_RENAME_NOREPLACE = 1, V86FS_RENAME_EXCHANGE = 2 };       /* of rename */

struct v86fs_time {
    int64_t s;
    uint32_t ns;
};

static inline struct v86fs_time v86fs_time_of_ns(uint64_t ns)
{
    return (struct v86fs_time){.s = (int64_t)(ns / 1000000000),
                               .ns = (uint32_t)(ns % 1000000000)};
}

struct v86fs_attr {
    uint64_t node;
    uint32_t mode; /* type and permissions */
    uint32_t nlink;
    uint32_t uid, gid, rdev;
    uint64_t size;
    uint64_t blocks; /* of 512 bytes */
    struct v86fs_time atime, mtime, ctime;
};

struct v86fs_statfs {
    uint64_t blocks, bfree, bavail, files, ffree;
    uint32_t bsize;
};

struct v86fs_dirent {
    uint64_t cookie; /* greater than that of every entry before it */
    uint64_t node;
    uint32_t mode; /* the type bits count */
    struct bytes name;
};

/* What a call asks.  Only the members that the op uses are set; bytes are borrowed
 * during the call. */
struct v86fs_ask {
    uint64_t node;       /* the directory of name, or the node itself */
    uint64_t new_parent; /* rename, link: directory of new_name */
    uint64_t opaque;     /* read, close: what open answered, 0 without an open */
    uint64_t offset;
    uint64_t cookie; /* readdir: behind this; 0 = from the start */
    uint64_t size;   /* setattr */
    uint32_t count;  /* read: bytes wanted; write: bytes given */
    uint32_t flags;
    uint32_t mode;
    uint32_t valid;
    uint32_t uid, gid;
    struct v86fs_time atime, mtime;
    struct bytes name, new_name, target, data;
};

/* What it answers; meaningless unless the status is 0. */
struct v86fs_answer {
    struct v86fs_attr attr; /* lookup, create, mkdir, symlink, link: node, mode, size;
                               getattr: all; find: node, mode */
    uint64_t root;          /* find: the root that the node is below */
    uint64_t opaque;        /* open */
    uint64_t cookie;        /* readdir: set by the server */
    uint32_t count;         /* write: bytes taken; read, readlink: bytes in data */
    bool more;              /* readdir: entries are left that did not fit */
    struct v86fs_statfs statfs;
};

struct v86fs_call {
    uint64_t now_ns; /* virtual clock, ns since 1970 */
    uint64_t token;  /* names the call for a late answer; 0: answer at once */
    struct v86fs_ask in;
    struct v86fs_answer out;

    /* read, readlink: where the bytes go; the caller's memory. */
    uint8_t *data;
    uint32_t data_size_max;

    /* readdir: takes one entry, false if it does not fit (then the tree stops and
     * answers out.more). */
    bool (*entry)(struct v86fs_call *call, const struct v86fs_dirent *entry);
    void *entry_self;
};

enum v86fs_op {
#define OP(name, changes, text) V86FS_OP_##name,
#include "v86fs/ops.def"
    V86FS_OP_COUNT,
};

/* One constant table per kind of tree.  Each function answers a status. */
struct v86fs_tree_ops {
#define OP(name, changes, text) uint32_t (*name)(void *self, struct v86fs_call *call);
#include "v86fs/ops.def"
    /* The rest may be NULL. */
    void (*cancel)(void *self, uint64_t token); /* this answer is not wanted any more */
};

struct v86fs_tree {
    const struct v86fs_tree_ops *ops;
    void *self;
};

/* Ask by number.  A status. */
uint32_t v86fs_tree_call(struct v86fs_tree tree, enum v86fs_op op,
                         struct v86fs_call *call);

/* Does a read-only mount refuse this op? */
bool v86fs_tree_op_changes(enum v86fs_op op);

/* The name of the first row that `ops` leaves NULL; NULL if it is complete. */
const char *v86fs_tree_missing(const struct v86fs_tree_ops *ops);

/* Fillers of rows that a tree cannot serve: EROFS, ENOSYS, or nothing to do. */
uint32_t v86fs_tree_erofs(void *self, struct v86fs_call *call);
uint32_t v86fs_tree_enosys(void *self, struct v86fs_call *call);
uint32_t v86fs_tree_success(void *self, struct v86fs_call *call);

/* Rules for names (X6-X9) with the two statuses that depend on the message: for the
 * empty name and for "." and "..".  0 if the name may reach a tree. */
uint32_t v86fs_tree_name_status(struct bytes name, uint32_t empty, uint32_t dots);

/* Rules for the target of a symbolic link (X10). */
uint32_t v86fs_tree_target_status(struct bytes target);

/* ---- one open file with a position, for front ends without a page cache ---- */

struct v86fs_tree_file {
    struct v86fs_tree tree;
    uint64_t node;
    uint64_t opaque;
    uint64_t offset;
    uint32_t flags;
};

/*
 * Open `name` in `parent` as open(2) does with V86FS_OPEN_* in `flags`: create it with
 * `mode` if asked to, refuse an existing one if exclusive, truncate.  Does not follow
 * symbolic links (ELOOP).  A status; `ret_file` is untouched unless it is 0.
 */
uint32_t v86fs_tree_file_open(struct v86fs_tree tree, uint64_t parent,
                              struct bytes name, uint32_t flags, uint32_t mode,
                              uint64_t now_ns, struct v86fs_tree_file *ret_file);

/* Read or write at the position and move it.  EBADF against the access mode. */
uint32_t v86fs_tree_file_read(struct v86fs_tree_file *file, void *data, uint32_t size,
                              uint32_t *ret_size);
uint32_t v86fs_tree_file_write(struct v86fs_tree_file *file, struct bytes data,
                               uint64_t now_ns, uint32_t *ret_size);

/* whence: 0 start, 1 current, 2 end.  EINVAL before 0 or above 2^63 - 1. */
uint32_t v86fs_tree_file_seek(struct v86fs_tree_file *file, int64_t offset, int whence,
                              uint64_t *ret_offset);

/* Never fails; the node may die with it. */
void v86fs_tree_file_close(struct v86fs_tree_file *file);

#endif
