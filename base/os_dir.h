/* SPDX-License-Identifier: MIT
 *
 * base/os_dir.h - a host directory for somebody who is not trusted.
 *
 * Every call takes one descriptor and at most one name; nothing here resolves a path
 * of more than one component, follows a symbolic link, crosses a mount point or opens
 * anything but files and directories (v86fs.md 4.4).  Names hold no '/' and no NUL and
 * are not "." or ".."; the caller has checked that and check() holds him to it.
 *
 * Results are 0 or a Linux errno, because they are data here: a file server passes
 * them on to its guest.  Values outside 1..133 come out as EIO.
 */
#ifndef BASE_OS_DIR_H
#define BASE_OS_DIR_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct os_dir_time {
    int64_t s;
    uint32_t ns;
};

/* What there is to know of a file.  (dev, ino, born) name it for ever; `born` is 0 on
 * file systems that do not know it. */
struct os_dir_stat {
    uint64_t dev, ino;
    struct os_dir_time born;
    uint32_t mode; /* type and permissions */
    uint32_t nlink, uid, gid;
    uint64_t size;
    uint64_t blocks; /* of 512 bytes */
    struct os_dir_time atime, mtime, ctime;
    bool mount_root; /* something is mounted here */
};

struct os_dir_space {
    uint64_t blocks, bfree, bavail, files, ffree;
    uint32_t bsize;
};

/* Can this machine do it: is there /proc, and openat2?  ERR_unsupported without /proc.
 * *ret_openat2 false: os_dir_open() is told to do without. */
ERR_MUST_CHECK enum err os_dir_probe(bool *ret_openat2);

/* Half of the descriptors that this process may have. */
unsigned os_dir_fd_count_max(void);

/* Before serving a guest: SIGXFSZ must not end us when its file grows too large, and
 * files are created with this umask. */
void os_dir_prepare(uint32_t umask_bits);

/* Open `name` in the directory as a reference (O_PATH); a symbolic link opens itself.
 * `openat2` as probed; without it the device numbers are compared. */
int os_dir_open(int dir_fd, const char *name, bool openat2, int *ret_fd);

/* Is the directory that root (dev, ino), or below it now?  Asks the host for parents,
 * since names may have changed.  ESTALE if not. */
int os_dir_check_below(int dir_fd, uint64_t root_dev, uint64_t root_ino);

/* Of an open reference; of a name in a directory. */
int os_dir_stat(int fd, struct os_dir_stat *ret_stat);
int os_dir_stat_at(int dir_fd, const char *name, struct os_dir_stat *ret_stat);

/* Open the regular file behind a reference for its bytes.  Anything else is EACCES and
 * is never opened. */
int os_dir_open_data(int fd, bool writable, int *ret_fd);

/* Make things; none of them replaces or follows.  `create` opens the new file for
 * reading and writing. */
int os_dir_create(int dir_fd, const char *name, uint32_t mode, bool openat2,
                  int *ret_fd);
int os_dir_mkdir(int dir_fd, const char *name, uint32_t mode);
int os_dir_symlink(int dir_fd, const char *name, const char *target);
int os_dir_link(int fd, int dir_fd, const char *name); /* of a regular file */

int os_dir_unlink(int dir_fd, const char *name, bool directory);

enum { OS_DIR_NOREPLACE = 1, OS_DIR_EXCHANGE = 2 };
int os_dir_rename(int dir_fd, const char *name, int new_dir_fd, const char *new_name,
                  uint32_t flags);

/* The target of a link behind a reference, without NUL.  ENAMETOOLONG. */
int os_dir_readlink(int fd, void *target, size_t size_max, size_t *ret_size);

/* Change what is behind a reference.  NULL times stay. */
int os_dir_chmod(int fd, uint32_t mode);
int os_dir_truncate(int fd, uint64_t size); /* regular files */
int os_dir_set_times(int fd, const struct os_dir_time *atime,
                     const struct os_dir_time *mtime);

/* Bytes of a file opened for its data; short only at the end of the file. */
int os_dir_read(int fd, uint64_t offset, void *data, size_t size, size_t *ret_size);
int os_dir_write(int fd, uint64_t offset, const void *data, size_t size);
int os_dir_fsync(int fd); /* or of a directory's reference */

/* Append the names in a directory, in no order, each with a NUL behind it.  Those that
 * can only be devices, FIFOs or sockets are left out, and "." and "..".  EFBIG beyond
 * `count_max` names or the limit of `names`. */
int os_dir_list(int dir_fd, size_t count_max, struct buf *names);

int os_dir_space(int fd, struct os_dir_space *ret_space);

#endif
