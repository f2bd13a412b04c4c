/* SPDX-License-Identifier: MIT
 *
 * One component at a time (v86fs.md 4.4).  What changes or reads the object behind a
 * reference goes through /proc/self/fd/N, which leads to that very object and nowhere
 * else, whatever names do meanwhile.
 */
#define _GNU_SOURCE
#include "base/os_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/os_private.h"

#ifndef STATX_ATTR_MOUNT_ROOT
#define STATX_ATTR_MOUNT_ROOT 0x2000
#endif

enum {
    ERRNO_MAX = 133,
    AGAIN_MAX = 16, /* openat2 answers EAGAIN while something is being renamed */
    FD_PATH_SIZE = 40,
    LIST_SIZE = 32768,
    UP_COUNT_MAX = 1300, /* a path is at most 4096 bytes */
};

static const unsigned long long resolve_flags =
    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;

static int failure(void)
{
    return errno >= 1 && errno <= ERRNO_MAX ? errno : EIO;
}

static void check_name(const char *name)
{
    check(name[0] && !strchr(name, '/') && strcmp(name, ".") != 0 &&
          strcmp(name, "..") != 0);
}

static void fd_path(int fd, char path[FD_PATH_SIZE])
{
    (void)snprintf(path, FD_PATH_SIZE, "/proc/self/fd/%d", fd);
}

/* ---- at the start ---- */

static long call_openat2(int dir_fd, const char *name, int flags, uint32_t mode)
{
    struct open_how how = {
        .flags = (unsigned)(flags | O_CLOEXEC), .mode = mode, .resolve = resolve_flags};
    for (int i = 0; i < AGAIN_MAX; i++) {
        long fd = syscall(SYS_openat2, dir_fd, name, &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            return fd;
    }
    errno = EIO;
    return -1;
}

enum err os_dir_probe(bool *ret_openat2)
{
    if (access("/proc/self/fd", X_OK) != 0)
        return ERR_unsupported;
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return os_fail();
    long fd = call_openat2(root, ".", O_PATH | O_NOFOLLOW, 0);
    *ret_openat2 = fd >= 0 || (errno != ENOSYS && errno != EINVAL && errno != EPERM);
    if (fd >= 0)
        (void)close((int)fd);
    (void)close(root);
    return ERR_ok;
}

unsigned os_dir_fd_count_max(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < 64)
        return 32;
    return limit.rlim_cur > 1 << 20 ? 1 << 19 : (unsigned)limit.rlim_cur / 2;
}

void os_dir_prepare(uint32_t umask_bits)
{
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)umask((mode_t)(umask_bits & 0777));
}

/* ---- looking ---- */

/* The device of an open file, for what openat2 would have told. */
static int same_device(int dir_fd, int fd)
{
    struct stat dir, st;
    if (fstat(dir_fd, &dir) != 0 || fstat(fd, &st) != 0)
        return failure();
    return dir.st_dev == st.st_dev ? 0 : EXDEV;
}

int os_dir_open(int dir_fd, const char *name, bool openat2, int *ret_fd)
{
    check_name(name);
    long fd = openat2 ? call_openat2(dir_fd, name, O_PATH | O_NOFOLLOW, 0)
                      : openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return failure();
    int status = openat2 ? 0 : same_device(dir_fd, (int)fd);
    if (status) {
        (void)close((int)fd);
        return status;
    }
    *ret_fd = (int)fd;
    return 0;
}

static struct os_dir_time time_of(struct statx_timestamp time)
{
    return (struct os_dir_time){.s = time.tv_sec, .ns = time.tv_nsec};
}

static int stat_with(int dir_fd, const char *name, int flags,
                     struct os_dir_stat *ret_stat)
{
    struct statx st;
    if (statx(dir_fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | flags,
              STATX_BASIC_STATS | STATX_BTIME, &st) != 0)
        return failure();
    *ret_stat = (struct os_dir_stat){
        .dev = makedev(st.stx_dev_major, st.stx_dev_minor),
        .ino = st.stx_ino,
        .born =
            st.stx_mask & STATX_BTIME ? time_of(st.stx_btime) : (struct os_dir_time){0},
        .mode = st.stx_mode,
        .nlink = st.stx_nlink,
        .uid = st.stx_uid,
        .gid = st.stx_gid,
        .size = st.stx_size,
        .blocks = st.stx_blocks,
        .atime = time_of(st.stx_atime),
        .mtime = time_of(st.stx_mtime),
        .ctime = time_of(st.stx_ctime),
        .mount_root = st.stx_attributes & STATX_ATTR_MOUNT_ROOT,
    };
    return 0;
}

int os_dir_stat(int fd, struct os_dir_stat *ret_stat)
{
    return stat_with(fd, "", AT_EMPTY_PATH, ret_stat);
}

int os_dir_stat_at(int dir_fd, const char *name, struct os_dir_stat *ret_stat)
{
    check_name(name);
    return stat_with(dir_fd, name, 0, ret_stat);
}

int os_dir_check_below(int dir_fd, uint64_t root_dev, uint64_t root_ino)
{
    char path[3 * UP_COUNT_MAX + 2] = "."; /* "./..", "./../..", ... */
    struct os_dir_stat st, below = {0};
    for (unsigned up = 0; up < UP_COUNT_MAX; up++) {
        int status = stat_with(dir_fd, path, 0, &st);
        if (status)
            return status;
        if (st.dev == root_dev && st.ino == root_ino)
            return 0;
        if (st.dev == below.dev && st.ino == below.ino)
            return ESTALE; /* the root of the host */
        below = st;
        memcpy(path + 1 + 3 * up, "/..", 4);
    }
    return ELOOP;
}

int os_dir_readlink(int fd, void *target, size_t size_max, size_t *ret_size)
{
    char buffer[4097];
    ssize_t size = readlinkat(fd, "", buffer, sizeof buffer);
    if (size < 0)
        return errno == ENOENT ? EINVAL : failure(); /* it is no link */
    if ((size_t)size > size_max || (size_t)size == sizeof buffer)
        return ENAMETOOLONG;
    memcpy(target, buffer, (size_t)size);
    *ret_size = (size_t)size;
    return 0;
}

int os_dir_space(int fd, struct os_dir_space *ret_space)
{
    struct statvfs st;
    if (fstatvfs(fd, &st) != 0)
        return failure();
    *ret_space = (struct os_dir_space){.blocks = st.f_blocks,
                                       .bfree = st.f_bfree,
                                       .bavail = st.f_bavail,
                                       .files = st.f_files,
                                       .ffree = st.f_ffree,
                                       .bsize = (uint32_t)st.f_frsize};
    return 0;
}

/* ---- listing ---- */

struct linux_dirent {
    uint64_t ino;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

/* DT_FIFO, DT_CHR, DT_BLK, DT_SOCK; unknown types are looked at by the caller. */
static bool is_special(uint8_t type)
{
    return type == 1 || type == 2 || type == 6 || type == 12;
}

static int put_names(const uint8_t *data, size_t size, size_t *count_left,
                     struct buf *names)
{
    for (size_t at = 0; at < size;) {
        const struct linux_dirent *entry = (const void *)(data + at);
        at += entry->size;
        if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0 ||
            is_special(entry->type))
            continue;
        if (!*count_left)
            return EFBIG;
        (*count_left)--;
        buf_put(names, entry->name, strlen(entry->name) + 1);
        if (names->err)
            return names->err == ERR_limit ? EFBIG : ENOMEM;
    }
    return 0;
}

int os_dir_list(int dir_fd, size_t count_max, struct buf *names)
{
    _Alignas(struct linux_dirent) uint8_t data[LIST_SIZE];
    /* "." of a directory is itself: a reference becomes readable. */
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOATIME);
    if (fd < 0 && errno == EPERM)
        fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return failure();
    int status = 0;
    while (!status) {
        long size = syscall(SYS_getdents64, fd, data, sizeof data);
        if (size < 0)
            status = failure();
        if (size <= 0)
            break;
        status = put_names(data, (size_t)size, &count_max, names);
    }
    (void)close(fd);
    return status;
}

/* ---- bytes ---- */

int os_dir_open_data(int fd, bool writable, int *ret_fd)
{
    char path[FD_PATH_SIZE];
    struct stat before, after;
    if (fstat(fd, &before) != 0)
        return failure();
    if (!S_ISREG(before.st_mode))
        return EACCES;
    fd_path(fd, path);
    int flags = (writable ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    int data_fd = open(path, flags | O_NOATIME);
    if (data_fd < 0 && errno == EPERM) /* O_NOATIME is for the owner */
        data_fd = open(path, flags);
    if (data_fd < 0)
        return failure();
    if (fstat(data_fd, &after) != 0 || before.st_dev != after.st_dev ||
        before.st_ino != after.st_ino || !S_ISREG(after.st_mode)) {
        (void)close(data_fd);
        return EIO;
    }
    *ret_fd = data_fd;
    return 0;
}

int os_dir_read(int fd, uint64_t offset, void *data, size_t size, size_t *ret_size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n =
            pread(fd, (uint8_t *)data + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failure();
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *ret_size = done;
    return 0;
}

int os_dir_write(int fd, uint64_t offset, const void *data, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = pwrite(fd, (const uint8_t *)data + done, size - done,
                           (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? failure() : EIO;
        done += (size_t)n;
    }
    return 0;
}

int os_dir_fsync(int fd)
{
    if (fsync(fd) == 0)
        return 0;
    if (errno != EBADF) /* a reference: only directories come like this */
        return failure();
    int dir_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return failure();
    int status = fsync(dir_fd) == 0 ? 0 : failure();
    (void)close(dir_fd);
    return status;
}

/* ---- changes ---- */

int os_dir_create(int dir_fd, const char *name, uint32_t mode, bool openat2,
                  int *ret_fd)
{
    int flags = O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_NOCTTY;
    check_name(name);
    long fd = openat2 ? call_openat2(dir_fd, name, flags, mode & 07777)
                      : openat(dir_fd, name, flags | O_CLOEXEC, mode & 07777);
    if (fd < 0)
        return failure();
    *ret_fd = (int)fd;
    return 0;
}

int os_dir_mkdir(int dir_fd, const char *name, uint32_t mode)
{
    check_name(name);
    return mkdirat(dir_fd, name, mode & 07777) == 0 ? 0 : failure();
}

int os_dir_symlink(int dir_fd, const char *name, const char *target)
{
    check_name(name);
    return symlinkat(target, dir_fd, name) == 0 ? 0 : failure();
}

int os_dir_link(int fd, int dir_fd, const char *name)
{
    char path[FD_PATH_SIZE];
    check_name(name);
    fd_path(fd, path);
    return linkat(AT_FDCWD, path, dir_fd, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : failure();
}

int os_dir_unlink(int dir_fd, const char *name, bool directory)
{
    check_name(name);
    return unlinkat(dir_fd, name, directory ? AT_REMOVEDIR : 0) == 0 ? 0 : failure();
}

int os_dir_rename(int dir_fd, const char *name, int new_dir_fd, const char *new_name,
                  uint32_t flags)
{
    check_name(name);
    check_name(new_name);
    int status =
        flags ? (int)syscall(SYS_renameat2, dir_fd, name, new_dir_fd, new_name, flags)
              : renameat(dir_fd, name, new_dir_fd, new_name);
    return status == 0 ? 0 : failure();
}

int os_dir_chmod(int fd, uint32_t mode)
{
    char path[FD_PATH_SIZE];
    fd_path(fd, path);
    return chmod(path, mode & 07777) == 0 ? 0 : failure();
}

int os_dir_truncate(int fd, uint64_t size)
{
    char path[FD_PATH_SIZE];
    fd_path(fd, path);
    if (size > INT64_MAX)
        return EFBIG;
    return truncate(path, (off_t)size) == 0 ? 0 : failure();
}

static struct timespec timespec_of(const struct os_dir_time *time)
{
    if (!time)
        return (struct timespec){.tv_nsec = UTIME_OMIT};
    return (struct timespec){.tv_sec = time->s, .tv_nsec = time->ns};
}

int os_dir_set_times(int fd, const struct os_dir_time *atime,
                     const struct os_dir_time *mtime)
{
    struct timespec times[2] = {timespec_of(atime), timespec_of(mtime)};
    char path[FD_PATH_SIZE];
    if (utimensat(fd, "", times, AT_EMPTY_PATH) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOENT) /* kernels before 5.8 */
        return failure();
    fd_path(fd, path);
    return utimensat(AT_FDCWD, path, times, 0) == 0 ? 0 : failure();
}
