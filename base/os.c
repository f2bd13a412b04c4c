/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/os.h"

#include "base/os_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static _Thread_local int last_errno;

const char *os_error_text(void)
{
    return last_errno ? strerror(last_errno) : "";
}

/* The error for the current errno, remembered for os_error_text(). */
static enum err fail(void)
{
    last_errno = errno;
    switch (errno) {
    case ENOENT:
    case ENOTDIR:
        return ERR_not_found;
    case EEXIST:
        return ERR_exists;
    case EACCES:
    case EPERM:
    case EROFS:
    case EXDEV: /* openat2: the path leaves the folder */
    case ELOOP:
        return ERR_access;
    case ENOMEM:
        return ERR_nomem;
    case EINTR:
        return ERR_interrupted;
    default:
        return ERR_io;
    }
}

enum err os_fail(void)
{
    return fail();
}

/* ---- whole files ---- */

enum err os_file_read(const char *path, struct buf *buf)
{
    int fd;
    TRY(os_open(path, OS_OPEN_READ, &fd));
    enum err err = ERR_ok;
    for (;;) {
        size_t room = buf->size_max - buf->size;
        size_t want = room < 65536 ? room + 1 : 65536;
        uint8_t chunk[65536];
        size_t size = 0;
        err = os_read(fd, chunk, want > sizeof chunk ? sizeof chunk : want, &size);
        if (err || !size)
            break;
        buf_put(buf, chunk, size);
        if (buf->err) {
            err = buf->err;
            break;
        }
    }
    os_close(fd);
    return err;
}

static bool is_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

enum err os_file_write(const char *path, struct bytes content)
{
    char temporary[4096];
    int fd;
    bool direct = is_special(path);
    int size = snprintf(temporary, sizeof temporary, "%s.tmp%ld", path, (long)getpid());
    if (size < 0 || (size_t)size >= sizeof temporary)
        return ERR_limit;
    if (direct) {
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
            return fail();
    } else {
        TRY(os_open(temporary, OS_OPEN_CREATE, &fd));
    }
    enum err err = os_write_all(fd, content.data, content.size);
    os_close(fd);
    if (direct)
        return err;
    if (!err)
        err = os_rename(temporary, path);
    if (err)
        (void)unlink(temporary);
    return err;
}

bool os_file_is_regular(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

bool os_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool os_file_same(const char *a, const char *b)
{
    struct stat st_a, st_b;
    return stat(a, &st_a) == 0 && stat(b, &st_b) == 0 && st_a.st_dev == st_b.st_dev &&
           st_a.st_ino == st_b.st_ino;
}

bool os_folder_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

enum err os_folder_create_private(char *pattern)
{
    return mkdtemp(pattern) ? ERR_ok : os_fail();
}

enum err os_folder_remove(const char *path)
{
    return rmdir(path) == 0 ? ERR_ok : os_fail();
}

enum err os_folder_create(const char *path)
{
    if (mkdir(path, 0777) != 0 && !(errno == EEXIST && os_folder_exists(path)))
        return fail();
    return ERR_ok;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names as read, each with the '/' of a folder and a NUL. */
static enum err list_unsorted(DIR *dir, struct buf *names)
{
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry)
            return errno ? fail() : names->err;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        struct stat st;
        bool folder =
            fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode);
        buf_text(names, entry->d_name);
        buf_text(names, folder ? "/" : "");
        buf_byte(names, 0);
    }
}

static enum err put_sorted(struct buf *unsorted, struct buf *names)
{
    size_t count = 0;
    for (size_t i = 0; i < unsorted->size; i++)
        count += !unsorted->data[i];
    char **name = calloc(count + 1, sizeof *name);
    if (!name)
        return ERR_nomem;
    char *at = (char *)unsorted->data;
    for (size_t i = 0; i < count; i++, at += strlen(at) + 1)
        name[i] = at;
    qsort(name, count, sizeof *name, by_name);
    for (size_t i = 0; i < count; i++)
        buf_put(names, name[i], strlen(name[i]) + 1);
    free(name);
    return names->err;
}

enum err os_folder_list(const char *path, struct buf *names)
{
    DIR *dir = opendir(path);
    if (!dir)
        return fail();
    struct buf unsorted;
    buf_init(&unsorted, names->size_max);
    enum err err = list_unsorted(dir, &unsorted);
    (void)closedir(dir);
    if (!err)
        err = put_sorted(&unsorted, names);
    buf_fini(&unsorted);
    return err;
}

/* ---- files by descriptor ---- */

static int open_flags(enum os_open_mode mode)
{
    switch (mode) {
    case OS_OPEN_CREATE:
        return O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC;
    case OS_OPEN_UPDATE:
        return O_RDWR | O_CLOEXEC;
    case OS_OPEN_READ:
    default:
        return O_RDONLY | O_CLOEXEC;
    }
}

static enum err refuse_directory(int fd)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        close(fd);
        errno = EISDIR;
        return fail();
    }
    return ERR_ok;
}

enum err os_open(const char *path, enum os_open_mode mode, int *ret_fd)
{
    int fd = open(path, open_flags(mode), 0666);
    if (fd < 0)
        return fail();
    TRY(refuse_directory(fd));
    *ret_fd = fd;
    return ERR_ok;
}

enum err os_open_beneath(int dir_fd, const char *path, enum os_open_mode mode,
                         int *ret_fd)
{
    struct open_how how = {
        /* O_NONBLOCK: a FIFO must not hang us before it is refused. */
        .flags = (unsigned)((open_flags(mode) & ~O_TRUNC) | O_NONBLOCK),
        .mode = mode == OS_OPEN_CREATE ? 0666 : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof how);
    if (fd < 0)
        return fail();
    struct stat st;
    if (fstat((int)fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close((int)fd);
        errno = EACCES;
        return fail();
    }
    if (mode == OS_OPEN_CREATE && ftruncate((int)fd, 0) != 0) {
        enum err err = fail();
        close((int)fd);
        return err;
    }
    *ret_fd = (int)fd;
    return ERR_ok;
}

enum err os_open_dir(const char *path, int *ret_fd)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail();
    *ret_fd = fd;
    return ERR_ok;
}

void os_close(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

enum err os_pread(int fd, uint64_t offset, void *data, size_t size, size_t *ret_size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n =
            pread(fd, (uint8_t *)data + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail();
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *ret_size = done;
    return ERR_ok;
}

enum err os_pwrite(int fd, uint64_t offset, const void *data, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = pwrite(fd, (const uint8_t *)data + done, size - done,
                           (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EIO; /* not even one byte: do not ask for ever */
        if (n <= 0)
            return fail();
        done += (size_t)n;
    }
    return ERR_ok;
}

enum err os_read(int fd, void *data, size_t size, size_t *ret_size)
{
    for (;;) {
        ssize_t n = read(fd, data, size);
        if (n >= 0) {
            *ret_size = (size_t)n;
            return ERR_ok;
        }
        if (errno != EINTR || os_interrupted())
            return fail();
    }
}

enum err os_write_all(int fd, const void *data, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = write(fd, (const uint8_t *)data + done, size - done);
        if (n < 0 && errno == EINTR && !os_interrupted())
            continue;
        if (n == 0)
            errno = EIO;
        if (n <= 0)
            return fail();
        done += (size_t)n;
    }
    return ERR_ok;
}

enum err os_seek(int fd, int64_t offset, int whence, uint64_t *ret_offset)
{
    static const int host_whence[] = {SEEK_SET, SEEK_CUR, SEEK_END};
    check(whence >= 0 && whence <= 2);
    off_t at = lseek(fd, (off_t)offset, host_whence[whence]);
    if (at < 0)
        return fail();
    *ret_offset = (uint64_t)at;
    return ERR_ok;
}

enum err os_size(int fd, uint64_t *ret_size)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fail();
    *ret_size = (uint64_t)st.st_size;
    return ERR_ok;
}

enum err os_truncate(int fd, uint64_t size)
{
    return ftruncate(fd, (off_t)size) == 0 ? ERR_ok : fail();
}

enum err os_allocate(int fd, uint64_t offset, uint64_t size)
{
    int error = posix_fallocate(fd, (off_t)offset, (off_t)size);
    if (!error)
        return ERR_ok;
    errno = error;
    return fail();
}

bool os_readable(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) > 0;
}

enum err os_datasync(int fd)
{
    return fdatasync(fd) == 0 ? ERR_ok : fail();
}

enum err os_unlink(const char *path)
{
    return unlink(path) == 0 ? ERR_ok : fail();
}

enum err os_rename(const char *from, const char *to)
{
    return rename(from, to) == 0 ? ERR_ok : fail();
}

enum err os_map_shared(int fd, uint64_t offset, size_t size, void **ret_data)
{
    void *data =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
    if (data == MAP_FAILED)
        return fail();
    /* A store needs its own page only; read-ahead would fill holes around it. */
    (void)madvise(data, size, MADV_RANDOM);
    *ret_data = data;
    return ERR_ok;
}

void os_map_prepare(int fd, uint64_t offset, void *data, size_t size)
{
    static const uint8_t zero[OS_PREPARE_MAX];
    check(size <= sizeof zero);
    if (!os_pwrite(fd, offset, zero, size))
        (void)madvise(data, size, MADV_POPULATE_WRITE);
}

enum err os_map_sync(void *data, size_t size)
{
    return msync(data, size, MS_SYNC) == 0 ? ERR_ok : fail();
}

void os_unmap(void *data, size_t size)
{
    if (data)
        (void)munmap(data, size);
}

/* ---- memory ---- */

void os_advise_dense(void *data, size_t size)
{
    uintptr_t page = os_page_round(1),
              first = ((uintptr_t)data + page - 1) & ~(page - 1);
    uintptr_t end = ((uintptr_t)data + size) & ~(page - 1);
    if (first < end)
        (void)madvise((uint8_t *)data + (first - (uintptr_t)data), end - first,
                      MADV_HUGEPAGE);
}

enum err os_reserve(size_t size, void **ret_data)
{
    void *data = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED)
        return fail();
    /* No huge pages: one touched byte must not commit 2 MiB. */
    (void)madvise(data, size, MADV_NOHUGEPAGE);
    *ret_data = data;
    return ERR_ok;
}

void os_release(void *data, size_t size)
{
    if (data)
        (void)munmap(data, size);
}

void os_discard(void *data, size_t size)
{
    /* A new mapping over the old one: open for all access, whatever that was. */
    void *fresh = mmap(data, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    check(fresh == data);
}

/* ---- the world's inputs ---- */

static uint64_t clock_read_ns(clockid_t clock)
{
    struct timespec now;
    check(clock_gettime(clock, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t os_clock_realtime_ns(void)
{
    return clock_read_ns(CLOCK_REALTIME);
}

uint64_t os_clock_monotonic_ns(void)
{
    return clock_read_ns(CLOCK_MONOTONIC);
}

uint64_t os_clock_cpu_ns(void)
{
    return clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void os_sleep_ns(uint64_t duration_ns)
{
    struct timespec left = {.tv_sec = (time_t)(duration_ns / 1000000000u),
                            .tv_nsec = (long)(duration_ns % 1000000000u)};
    (void)nanosleep(&left, NULL);
}

void os_random(void *data, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = getrandom((uint8_t *)data + done, size - done, 0);
        if (n < 0 && errno == EINTR)
            continue;
        check(n > 0);
        done += (size_t)n;
    }
}

unsigned os_cpu_count(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (unsigned)count : 1;
}

bool os_is_terminal(int fd)
{
    return isatty(fd) == 1;
}

bool os_wait_readable(int fd, uint64_t timeout_ns)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000),
                               .tv_nsec = (long)(timeout_ns % 1000000000)};
    return ppoll(&poll_fd, 1, &timeout, NULL) > 0;
}

void os_terminal_raw(int fd, bool on)
{
    static struct termios before;
    static bool changed;
    struct termios raw;
    if (on && !changed && tcgetattr(fd, &before) == 0) {
        raw = before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        changed = tcsetattr(fd, TCSANOW, &raw) == 0;
    } else if (!on && changed) {
        (void)tcsetattr(fd, TCSANOW, &before);
        changed = false;
    }
}

/* ---- other programs ---- */

extern char **environ;

enum err os_run(const char *const *argv, int *ret_status)
{
    pid_t pid;
    int status;
    errno = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ);
    if (errno)
        return fail();
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return fail();
    }
    *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return ERR_ok;
}

/* ---- threads ---- */

enum { THREAD_COUNT_MAX = 256 };

struct thread_work {
    void (*work)(void *self);
    void *self;
};

static void *thread_main(void *argument)
{
    const struct thread_work *work = argument;
    work->work(work->self);
    return NULL;
}

void os_threads_run(unsigned thread_count, void (*work)(void *self), void *self)
{
    pthread_t thread[THREAD_COUNT_MAX];
    struct thread_work shared = {.work = work, .self = self};
    unsigned started = 0;
    while (started + 1 < thread_count && started < THREAD_COUNT_MAX &&
           pthread_create(&thread[started], NULL, thread_main, &shared) == 0)
        started++;
    work(self);
    for (unsigned i = 0; i < started; i++)
        check(pthread_join(thread[i], NULL) == 0);
}

/* ---- signals ---- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    if (interrupted)
        _exit(130);
    interrupted = 1;
}

void os_catch_interrupts(void)
{
    struct sigaction action = {.sa_handler =
                                   on_interrupt}; /* no SA_RESTART: reads end */
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    struct sigaction before; /* nohup ignores hangups for us */
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler == SIG_DFL)
        (void)sigaction(SIGHUP, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

bool os_interrupted(void)
{
    return interrupted != 0;
}
