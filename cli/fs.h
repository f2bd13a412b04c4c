/* SPDX-License-Identifier: MIT
 *
 * cli/fs.h - `--fs NAME=SPEC`: file trees for whoever serves them.
 *
 *   SPEC = mem | dir:PATH | image:PATH | overlay:PATH | overlay:dir:PATH |
 *          remote:unix:PATH | remote:exec:COMMAND | remote:fd:N, and options
 *          behind commas: "mem,quota=64M"; "\," in a path is a comma
 *
 * A spec is parsed without touching anything; opening builds the trees, in the order of
 * the specs but the default export first, and a server that exports them.
 */
#ifndef CLI_FS_H
#define CLI_FS_H

#include "cli/cli.h"
#include "hostfs/hostfs.h"
#include "replay/fs.h"

enum { CLI_FS_EXPORT_MAX = 16, CLI_FS_ERROR_SIZE = 160 };

enum cli_fs_kind {
    CLI_FS_MEM,
    CLI_FS_DIR,
    CLI_FS_IMAGE,
    CLI_FS_OVERLAY,     /* over an image of the path */
    CLI_FS_OVERLAY_DIR, /* over the directory as it is */
    CLI_FS_REMOTE,      /* another process */
};

struct cli_fs_spec {
    const char *name; /* of the export; "" is the default */
    enum cli_fs_kind kind;
    const char *path; /* "" for mem; of remote: unix:, exec: or fd: and the rest */
    bool read_only;
    uint64_t quota, node_count_max; /* of what is written in memory */
    struct hostfs_image_options image;
    struct hostfs_dir_options dir;
    uint64_t timeout_s; /* for an answer of remote */
    uint64_t hello_s;   /* to reach it and be greeted */
    enum hostfs_death on_death;
    bool shared, mounts; /* of remote */
};

/* The rows of help for an option table; `type` has a struct cli_list `fs`. */
#define CLI_FS_OPTION(type)                                                            \
    CLI_LIST(type, fs, "fs", 0, "[NAME=]SPEC",                                         \
             "a file tree: mem, dir:PATH, image:PATH, ...; see lockstep mount --help")

/* More for the manual of a command with --fs. */
#define CLI_FS_ABOUT                                                                   \
    "A SPEC is mem, dir:PATH (a directory as it is), image:PATH (a tar or cpio "       \
    "archive or a directory, read once), overlay:PATH (writes in memory over such an " \
    "image), overlay:dir:PATH (over a directory as it is), or another process that "   \
    "serves files: remote:unix:SOCKET, remote:exec:COMMAND, remote:fd:N.  NAME is "    \
    "what the guest mounts; without one it is the default.  Options follow behind "    \
    "commas: ro; quota=SIZE, nodes=N for memory; mtime=keep, zero or seconds for "     \
    "images; for directories umask=OCTAL, names=N, entries=N, host-times, "            \
    "special-bits, trust-host, safe-symlinks, refuse-links, no-fsync, and for dir: "   \
    "watch (tell of changes that others make); for other processes "                   \
    "timeout=SECONDS, hello=SECONDS, on-death=fail, pause or restart, shm (offer "     \
    "shared memory), "                                                                 \
    "mounts (let it ask for mounts).  In a path, \\, is a comma.\n\n"                  \
    "Where the system has Landlock (Linux 5.19), a process that serves directories "   \
    "gives up all other files first; see --confine."

/* Parse "[NAME=]SPEC" into `arena`.  False with the reason in `ret_error`. */
bool cli_fs_parse(struct arena *arena, const char *text, struct cli_fs_spec *ret_spec,
                  char ret_error[CLI_FS_ERROR_SIZE]);

/* Append the options that make a tree what it is, without its name and path, so that
 * parsing them again (with a path of "x" where there is one) gives the same. */
void cli_fs_put(const struct cli_fs_spec *spec, struct buf *buf);

struct cli_fs_export {
    struct cli_fs_spec spec;
    struct v86fs_tree tree;
    uint64_t root;
    bool derived; /* a function of requests and image */
    bool has_image;
    struct hash256 digest;     /* of the image */
    struct hostfs_image image; /* kept for embedding; borrowed from `archive` */
    struct buf archive;
    struct v86fs_mem *mem; /* what is written in memory */
    struct hostfs_dir *dir;
    struct hostfs_remote *remote;
    struct v86fs_ids lower_ids;
};

struct cli_fs {
    struct cli *cli;                              /* NULL: print nothing */
    void (*note)(void *self, struct bytes frame); /* a size of 0: some were lost */
    void *note_self;
    /* NULL, or told why a server of files is lost; ERR_ok: there is another one. */
    void (*death)(void *self, enum err err);
    void *death_self;
    struct arena arena;
    struct v86fs_ids ids;
    struct v86fs_server *server;
    struct cli_fs_export export[CLI_FS_EXPORT_MAX];
    size_t export_count;
    bool derived; /* all of them */
};

/* Descriptors that somebody waits for on behalf of all trees. */
enum { CLI_FS_WAIT_MAX = 2 * CLI_FS_EXPORT_MAX };

/* Open all specs and serve them; an empty list is one `mem`.  Roots in memory are made
 * at `now_ns`.  CLI_YES, or the status after a message.  Close in either case. */
int cli_fs_open(struct cli *cli, const struct cli_list *specs, uint64_t now_ns,
                struct cli_fs *fs);
void cli_fs_close(struct cli_fs *fs);

/* From now on tell of what others change in the trees: notifications, whole frames, or
 * one of size 0 when it is not known what has changed.  `note` is called by
 * cli_fs_poll() and by requests, and must ask nothing. */
void cli_fs_listen(struct cli_fs *fs, void (*note)(void *self, struct bytes frame),
                   void *self);

/* Descriptors that become readable when there is something to tell; their number.  They
 * may be others after a request. */
size_t cli_fs_descriptors(const struct cli_fs *fs, int ret_fds[CLI_FS_WAIT_MAX]);

/* Tell what there is to tell; waits for nothing. */
void cli_fs_poll(struct cli_fs *fs);

enum cli_fs_confine {
    CLI_FS_CONFINE_AUTO, /* where the system can */
    CLI_FS_CONFINE_ALWAYS,
    CLI_FS_CONFINE_NEVER,
};
extern const char *const cli_fs_confine_word[];

/* Is there something to confine this process to: directories, and no other process that
 * might have to be started? */
bool cli_fs_confinable(const struct cli_fs *fs, enum cli_fs_confine confine);

/* Can it be done as the user wants it?  CLI_YES, or a status after a message. */
int cli_fs_confine_check(const struct cli_fs *fs, enum cli_fs_confine confine);

/* Give up all files but those directories.  CLI_YES, or a status after a message. */
int cli_fs_confine(struct cli_fs *fs, enum cli_fs_confine confine);

/* The id of "[EXPORT:]/path"; a number is one.  False: there is no such file. */
bool cli_fs_find(void *fs, struct bytes path, uint64_t now_ns, uint64_t *ret_ino);

/* What a trace holds of the trees; texts and images in the arena of `fs`. */
ERR_MUST_CHECK enum err cli_fs_describe(struct cli_fs *fs,
                                        struct replay_fs_setup *setup);

/* The state of a derived session's server and trees as bytes, and back into one that
 * cli_fs_restore() has built. */
ERR_MUST_CHECK enum err cli_fs_save(void *fs, struct buf *buf);
ERR_MUST_CHECK enum err cli_fs_load(void *fs, struct bytes state);

/* Build the trees of a derived session again.  Opens no path, prints nothing: what is
 * wrong is in `ret_error`.  Close in either case. */
ERR_MUST_CHECK enum err cli_fs_restore(const struct replay_fs_setup *setup,
                                       struct cli_fs *fs,
                                       char ret_error[CLI_FS_ERROR_SIZE]);

#endif
