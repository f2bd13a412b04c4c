/* SPDX-License-Identifier: MIT
 *
 * hostfs/hostfs.h - file trees (v86fs/tree.h) that lie outside this process.
 *
 *   hostfs_dir      a directory of the host, passed through (v86fs.md 4.4)
 *   hostfs_image    an archive or a directory, read once (4.3)
 *   hostfs_remote   another process behind a socket (4.6)
 *
 * The guest is not trusted, and neither is what the host does with the directory
 * meanwhile, nor the process behind the socket.
 *
 * Determinism: none for hostfs_dir and hostfs_remote; what they answer is recorded.
 * Limits are options.  Not thread safe.
 */
#ifndef HOSTFS_HOSTFS_H
#define HOSTFS_HOSTFS_H

#include "base/arena.h"
#include "v86fs/v86fs.h"

/* ---- a directory of the host ---- */

struct hostfs_dir;

struct hostfs_dir_options {
    uint32_t node_count_max;  /* names that the guest has heard of; else ENFILE */
    uint32_t fd_count_max;    /* descriptors in use; 0: half of what we may have */
    uint32_t entry_count_max; /* of one directory; ENFILE above */
    uint32_t umask_bits;      /* for all that is created */
    bool allow_special_bits;  /* setuid, setgid, sticky; else they are masked */
    bool trust_host;          /* nobody moves directories out of the root */
    bool safe_symlinks;       /* EPERM for targets that are absolute or have ".." */
    bool refuse_links;        /* EPERM for writes to files with several names */
    bool host_times;          /* leave mtime to the host, not the virtual clock */
    bool no_fsync;            /* FSYNC is answered and not done */
    bool no_openat2;          /* as on kernels before 5.6 */
    /* Tell of what others change: a notification, a whole frame; `lost`: it is not
     * known what has changed.  Called by hostfs_dir_poll() and by calls that change
     * something; must ask nothing. */
    bool watch;
    void (*note)(void *self, struct bytes frame);
    void (*lost)(void *self);
    void *self;
};

/* 1,048,576 nodes, 1,048,576 entries, umask 022, the rest 0. */
void hostfs_dir_options_init(struct hostfs_dir_options *options);

/*
 * Open the directory `path`, which becomes the root.  `ids` is borrowed and shared with
 * the server.  Sets the umask of this process and ignores SIGXFSZ.
 * ERR_not_found, ERR_access, ERR_io: of the path.  ERR_unsupported: no /proc.
 * ERR_nomem; ERR_usage for limits of 0; ERR_limit: ids are used up.
 */
ERR_MUST_CHECK enum err hostfs_dir_open(struct arena *arena,
                                        const struct hostfs_dir_options *options,
                                        const char *path, struct v86fs_ids *ids,
                                        struct hostfs_dir **ret_dir);

/* Close every descriptor; the memory is the arena's.  NULL is fine. */
void hostfs_dir_close(struct hostfs_dir *dir);

/* The directory as a tree, and its root.  Borrowed. */
struct v86fs_tree hostfs_dir_tree(struct hostfs_dir *dir);
uint64_t hostfs_dir_root(const struct hostfs_dir *dir);

/* Tell what has been noticed; waits for nothing.  The descriptor becomes readable when
 * there is something, -1 without `watch`. */
void hostfs_dir_poll(struct hostfs_dir *dir);
int hostfs_dir_watch_fd(const struct hostfs_dir *dir);

/* The descriptor of the root, borrowed. */
int hostfs_dir_root_fd(const struct hostfs_dir *dir);

/* Descriptors in use, for tests. */
uint32_t hostfs_dir_fd_count(const struct hostfs_dir *dir);

/* ---- images: what v86fs_image_load() takes, from archives and directories ---- */

struct hostfs_image_options {
    uint64_t size_max;        /* bytes of all contents, names and targets */
    uint32_t entry_count_max; /* members, and directories that are only implied */
    bool set_mtime;           /* every time is `mtime`, else what the source says */
    int64_t mtime;            /* seconds */
};

/* 1 GiB, 1,048,576 entries, times as they are. */
void hostfs_image_options_init(struct hostfs_image_options *options);

/* A canonical list (v86fs.md 4.3).  It lies in the arena of the call that made it, and
 * its contents in the archive or there. */
struct hostfs_image {
    struct v86fs_image_entry *entry;
    size_t count;
    uint64_t size; /* quota that v86fs_mem needs for it */
};

/*
 * Read tar (ustar, pax, long names of GNU), cpio (newc) or what hostfs_image_put()
 * wrote.  `archive` is borrowed by the image.  Directories that members imply are
 * added with mode 0755 at time 0; hard links become files of their own.
 *
 * ERR_v86fs_image: malformed; an absolute path, "..", or an empty part; twice the same
 * path; a member below a file; a device, sparse file or other type; a hard link to
 * what has not come yet.  ERR_limit: options.  ERR_nomem.
 */
ERR_MUST_CHECK enum err hostfs_archive_read(struct arena *arena, struct bytes archive,
                                            const struct hostfs_image_options *options,
                                            struct hostfs_image *ret_image);

/* The same of a directory of the host, walked once by the rules of 4.4; devices, FIFOs
 * and mount points are left out.  ERR_io also when a file changes while it is read. */
ERR_MUST_CHECK enum err hostfs_walk(struct arena *arena, const char *path,
                                    const struct hostfs_image_options *options,
                                    struct hostfs_image *ret_image);

/* Append the list in a form of our own, which keeps everything. */
void hostfs_image_put(const struct hostfs_image *image, struct buf *buf);

/* ---- another process: the sync bridge ---- */

struct hostfs_remote;

enum hostfs_death {
    HOSTFS_DEATH_FAIL,    /* every further request is EIO */
    HOSTFS_DEATH_PAUSE,   /* the next request waits until a server is there again */
    HOSTFS_DEATH_RESTART, /* the next request attaches again, three times in all */
};

struct hostfs_remote_options {
    const char *export;      /* what the other side is asked to mount */
    uint32_t node_count_max; /* keys that it has named; else ENFILE */
    uint64_t hello_ns;       /* to connect and say hello */
    uint64_t request_ns;     /* for each answer; then EIO */
    enum hostfs_death on_death;
    bool shared; /* offer shared memory */
    bool mounts; /* MOUNT_NOTIFY and UMOUNT_NOTIFY are allowed */
    /* Told of each notification, a frame with ids of ours, also while a request waits;
     * must ask nothing. */
    void (*note)(void *self, struct bytes frame);
    /* Told why the other side is lost, and ERR_ok when there is another one. */
    void (*told)(void *self, enum err err);
    void *self;
};

/* The default export, 1,048,576 nodes, 5 and 30 seconds; nobody is told. */
void hostfs_remote_options_init(struct hostfs_remote_options *options);

/*
 * Attach to a server of files: "fd:N" (inherited), "unix:PATH" (we connect) or
 * "exec:COMMAND" (run by the shell with the socket as its descriptor 3).  Mounts the
 * export.  `ids` and `attachment` are borrowed.  ERR_usage: `attachment` is none of
 * these, or is inherited and cannot be attached again as `on_death` says;
 * ERR_v86fs_bridge: the other side breaks the protocol or refuses; ERR_timeout,
 * ERR_closed, ERR_io, ERR_not_found, ERR_limit, ERR_nomem.
 *
 * When the other side dies later (end of file, a broken envelope, three timeouts in a
 * row), the request that waits is answered EIO, and what follows is up to `on_death`.
 * Another server's keys are others: all nodes but the root are ESTALE then, and what
 * was open reads as EIO.
 */
ERR_MUST_CHECK enum err hostfs_remote_open(struct arena *arena,
                                           const struct hostfs_remote_options *options,
                                           const char *attachment,
                                           struct v86fs_ids *ids,
                                           struct hostfs_remote **ret_remote);

/* Descriptors that become readable when notes come, or -1. */
void hostfs_remote_descriptors(const struct hostfs_remote *remote, int ret_fds[2]);

/* Hand on the notes that have come; waits for nothing. */
void hostfs_remote_poll(struct hostfs_remote *remote);

/* Say goodbye, close, wait for the process.  NULL is fine. */
void hostfs_remote_close(struct hostfs_remote *remote);

struct v86fs_tree hostfs_remote_tree(struct hostfs_remote *remote);
uint64_t hostfs_remote_root(const struct hostfs_remote *remote);

/* Do frames go through shared memory? */
bool hostfs_remote_shared(const struct hostfs_remote *remote);

/* Why it died; ERR_ok while it lives. */
enum err hostfs_remote_error(const struct hostfs_remote *remote);

struct hostfs_remote_counters {
    uint64_t timeouts;
    uint64_t late;  /* replies to cancelled requests, dropped */
    uint64_t names; /* bad names in listings, skipped */
    uint64_t notes; /* notifications of nodes that we know, and of mounts */
    uint64_t restarts;
};
const struct hostfs_remote_counters *
hostfs_remote_counters(const struct hostfs_remote *remote);

#endif
