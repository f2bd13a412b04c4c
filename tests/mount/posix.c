/* SPDX-License-Identifier: MIT
 *
 * posix FOLDER EXPECTED [read-only | full]: what POSIX and Linux say of names, types,
 * times and errors, one check at a time in a folder of its own: functions of this file,
 * and the scripts of calls.def.
 *
 * EXPECTED lists checks that fail on this kind of tree, a name and a reason per line; a
 * check that passes although it is listed fails the test as well.  The subjects are
 * those of pjdfstest; the code is not.
 */
#define _GNU_SOURCE
#include "tests/mount/calls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char why[256]; /* the first wish that was not granted */

static void note(int line, const char *text)
{
    if (!*why)
        (void)snprintf(why, sizeof why, "line %d: %s: %s", line, text, strerror(errno));
}

#define WANT(expr) (errno = 0, (expr) ? (void)0 : note(__LINE__, #expr))
#define FAILS(expr, wanted) WANT((expr) < 0 && errno == (wanted))

static struct stat stat_of(const char *path)
{
    struct stat st = {0};
    WANT(lstat(path, &st) == 0);
    return st;
}

static void make_file(const char *path, const char *text)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
    WANT(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    WANT(close(fd) == 0);
}

static bool later(struct timespec a, struct timespec b)
{
    return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

/* Clocks of file systems are coarse. */
static void wait_a_tick(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 15000000}, NULL);
}

static const char *long_name(size_t size)
{
    static char name[5000];
    memset(name, 'n', size);
    name[size] = 0;
    return name;
}

/* ---- names ---- */

static void check_name_max(void)
{
    make_file(long_name(255), "x");
    WANT(unlink(long_name(255)) == 0);
    FAILS(open(long_name(256), O_CREAT | O_WRONLY, 0644), ENAMETOOLONG);
    FAILS(mkdir(long_name(256), 0755), ENAMETOOLONG);
    FAILS(symlink("x", long_name(256)), ENAMETOOLONG);
    FAILS(unlink(long_name(256)), ENAMETOOLONG);
    FAILS(rename("none", long_name(256)), ENOENT);
    struct statvfs st;
    WANT(statvfs(".", &st) == 0 && st.f_namemax == 255);
}

static void check_name_bytes(void)
{
    static const char *const names[] = {
        "\xff\xfe", "caf\xc3\xa9", "cafe\xcc\x81", " ", "a\nb", "-", "A", "a"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        WANT(mkdir(names[i], 0755) == 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        WANT(rmdir(names[i]) == 0);
}

static void check_not_directory(void)
{
    make_file("f", "x");
    FAILS(open("f/x", O_RDONLY), ENOTDIR);
    FAILS(mkdir("f/x", 0755), ENOTDIR);
    FAILS(unlink("f/x"), ENOTDIR);
    FAILS(rename("f/x", "y"), ENOTDIR);
    FAILS(open("f", O_DIRECTORY), ENOTDIR);
    FAILS(rmdir("f"), ENOTDIR);
}

static void check_dots(void)
{
    WANT(mkdir("d", 0755) == 0);
    FAILS(rmdir("d/."), EINVAL);
    FAILS(rename("d", "d/x"), EINVAL);
    FAILS(mkdir("d/.", 0755), EEXIST);
    WANT(stat_of("d/..").st_ino == stat_of(".").st_ino);
}

/* ---- making and removing ---- */

static void check_exists(void)
{
    make_file("f", "x");
    WANT(mkdir("d", 0755) == 0 && symlink("none", "l") == 0);
    static const char *const names[] = {"f", "d", "l"};
    for (int i = 0; i < 3; i++) {
        FAILS(mkdir(names[i], 0755), EEXIST);
        FAILS(symlink("x", names[i]), EEXIST);
        FAILS(open(names[i], O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
    }
}

static void check_missing(void)
{
    FAILS(open("none", O_RDONLY), ENOENT);
    FAILS(open("none/x", O_CREAT | O_RDWR, 0644), ENOENT);
    FAILS(unlink("none"), ENOENT);
    FAILS(rmdir("none"), ENOENT);
    FAILS(truncate("none", 1), ENOENT);
    FAILS(rename("none", "x"), ENOENT);
    FAILS(chmod("none", 0644), ENOENT);
}

static void check_rmdir(void)
{
    WANT(mkdir("d", 0755) == 0 && mkdir("d/e", 0755) == 0);
    FAILS(rmdir("d"), ENOTEMPTY);
    FAILS(unlink("d"), EISDIR);
    WANT(rmdir("d/e") == 0);
    make_file("d/f", "");
    FAILS(rmdir("d"), ENOTEMPTY);
    WANT(unlink("d/f") == 0 && symlink("x", "d/l") == 0);
    FAILS(rmdir("d"), ENOTEMPTY);
    WANT(unlink("d/l") == 0 && rmdir("d") == 0);
}

static void check_directory_links(void)
{
    WANT(mkdir("d", 0755) == 0);
    WANT(stat_of("d").st_nlink == 2);
    WANT(mkdir("d/e", 0755) == 0 && mkdir("d/f", 0755) == 0);
    WANT(stat_of("d").st_nlink == 4);
    WANT(rename("d/f", "f") == 0);
    WANT(stat_of("d").st_nlink == 3);
    WANT(rmdir("d/e") == 0);
    WANT(stat_of("d").st_nlink == 2);
}

static void check_unlinked_open(void)
{
    make_file("f", "kept");
    int fd = open("f", O_RDWR);
    char data[8];
    WANT(fd >= 0 && unlink("f") == 0);
    FAILS(open("f", O_RDONLY), ENOENT);
    WANT(pwrite(fd, "!", 1, 4) == 1);
    WANT(pread(fd, data, 8, 0) == 5 && memcmp(data, "kept!", 5) == 0);
    struct stat st;
    WANT(fstat(fd, &st) == 0 && st.st_nlink == 0 && st.st_size == 5);
    WANT(ftruncate(fd, 1) == 0 && fchmod(fd, 0600) == 0);
    WANT(fstat(fd, &st) == 0 && st.st_size == 1 && (st.st_mode & 07777) == 0600);
    WANT(close(fd) == 0);
}

static void check_replaced_open(void)
{
    make_file("old", "old");
    make_file("new", "new");
    int fd = open("old", O_RDONLY);
    char data[8];
    WANT(fd >= 0 && rename("new", "old") == 0);
    WANT(read(fd, data, 8) == 3 && memcmp(data, "old", 3) == 0);
    WANT(close(fd) == 0);
}

/* ---- rename ---- */

static void check_rename_types(void)
{
    make_file("f", "f");
    make_file("g", "g");
    WANT(mkdir("d", 0755) == 0 && mkdir("full", 0755) == 0 && symlink("f", "l") == 0);
    make_file("full/x", "");
    FAILS(rename("f", "d"), EISDIR);
    FAILS(rename("l", "d"), EISDIR);
    FAILS(rename("d", "f"), ENOTDIR);
    FAILS(rename("d", "l"), ENOTDIR);
    WANT(rename("d", "full") < 0 && (errno == ENOTEMPTY || errno == EEXIST));
    WANT(rename("full", "d") == 0);
    WANT(rename("f", "g") == 0 && rename("l", "g") == 0);
    WANT(S_ISLNK(stat_of("g").st_mode));
    FAILS(rename("d", "d/sub"), EINVAL);
}

static void check_rename_keeps(void)
{
    make_file("f", "x");
    struct stat before = stat_of("f");
    WANT(mkdir("d", 0755) == 0 && rename("f", "d/g") == 0);
    struct stat after = stat_of("d/g");
    WANT(before.st_ino == after.st_ino && before.st_mode == after.st_mode);
    WANT(rename("d/g", "d/g") == 0);
}

/* renameat2, which not every C library has. */
enum { REFUSE = 1, SWAP = 2 };

static int rename_how(const char *from, const char *to, unsigned how)
{
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, how);
}

static void check_rename_flags(void)
{
    make_file("a", "a");
    WANT(mkdir("d", 0755) == 0);
    FAILS(rename_how("a", "d", REFUSE), EEXIST);
    WANT(rename_how("a", "d", SWAP) == 0);
    WANT(S_ISDIR(stat_of("a").st_mode) && S_ISREG(stat_of("d").st_mode));
    WANT(rename_how("a", "b", REFUSE) == 0);
    FAILS(rename_how("b", "none", SWAP), ENOENT);
}

/* ---- links ---- */

static void check_symlink(void)
{
    char target[5000];
    WANT(symlink("some/where", "l") == 0);
    WANT(readlink("l", target, sizeof target) == 10);
    WANT(stat_of("l").st_size == 10);
    FAILS(symlink("", "e"), ENOENT);
    WANT(symlink(long_name(4095), "m") == 0);
    WANT(readlink("m", target, sizeof target) == 4095);
    FAILS(symlink(long_name(4096), "n"), ENAMETOOLONG);
    make_file("f", "");
    FAILS(readlink("f", target, sizeof target), EINVAL);
}

static void check_symlink_loop(void)
{
    WANT(symlink("b", "a") == 0 && symlink("a", "b") == 0);
    FAILS(open("a", O_RDONLY), ELOOP);
    FAILS(chmod("a", 0644), ELOOP);
    FAILS(open("a", O_RDONLY | O_NOFOLLOW), ELOOP);
}

static void check_hard_link(void)
{
    make_file("f", "x");
    WANT(link("f", "g") == 0);
    WANT(stat_of("f").st_nlink == 2 && stat_of("g").st_ino == stat_of("f").st_ino);
}

static void check_fifo(void)
{
    WANT(mkfifo("p", 0644) == 0);
    WANT(S_ISFIFO(stat_of("p").st_mode));
}

static void check_device(void)
{
    WANT(mknod("n", S_IFCHR | 0644, 0x103) == 0);
}

static void check_mknod_file(void)
{
    WANT(mknod("n", S_IFREG | 0640, 0) == 0);
    WANT(S_ISREG(stat_of("n").st_mode) && (stat_of("n").st_mode & 0777) == 0640);
}

/* ---- bytes ---- */

static void check_truncate(void)
{
    make_file("f", "hello");
    char data[200] = {1};
    WANT(truncate("f", 100) == 0 && stat_of("f").st_size == 100);
    int fd = open("f", O_RDONLY);
    WANT(pread(fd, data, 200, 0) == 100 && data[5] == 0 && data[99] == 0);
    WANT(close(fd) == 0 && truncate("f", 2) == 0 && truncate("f", 5) == 0);
    fd = open("f", O_RDONLY);
    WANT(read(fd, data, 200) == 5 && memcmp(data, "he\0\0\0", 5) == 0);
    WANT(close(fd) == 0);
    WANT(mkdir("d", 0755) == 0);
    FAILS(truncate("d", 0), EISDIR);
    FAILS(truncate("f", -1), EINVAL);
}

static void check_large_offset(void)
{
    int fd = open("f", O_CREAT | O_RDWR, 0644);
    char data[3] = {0};
    const off_t at = (off_t)5 << 32;
    WANT(pwrite(fd, "abc", 3, at) == 3);
    WANT(pread(fd, data, 3, at) == 3 && memcmp(data, "abc", 3) == 0);
    WANT(stat_of("f").st_size == at + 3 && stat_of("f").st_blocks < 100);
    WANT(close(fd) == 0);
}

static void check_append(void)
{
    make_file("f", "one");
    int fd = open("f", O_WRONLY | O_APPEND);
    WANT(write(fd, "two", 3) == 3 && close(fd) == 0 && stat_of("f").st_size == 6);
    fd = open("f", O_WRONLY | O_TRUNC);
    WANT(fd >= 0 && stat_of("f").st_size == 0 && close(fd) == 0);
}

static void check_open_directory(void)
{
    WANT(mkdir("d", 0755) == 0);
    FAILS(open("d", O_WRONLY), EISDIR);
    FAILS(open("d", O_RDWR), EISDIR);
    int fd = open("d", O_RDONLY);
    char data[4];
    FAILS(read(fd, data, 4), EISDIR);
    WANT(fsync(fd) == 0 && close(fd) == 0);
}

/* ---- attributes and times ---- */

static void check_chmod(void)
{
    static const mode_t modes[] = {0644, 0755, 0600, 0777, 0444, 0, 0111};
    make_file("f", "");
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        WANT(chmod("f", modes[i]) == 0 && stat_of("f").st_mode == (S_IFREG | modes[i]));
    WANT(mkdir("d", 0700) == 0 && stat_of("d").st_mode == (S_IFDIR | 0700));
}

static void check_special_bits(void)
{
    make_file("f", "");
    WANT(chmod("f", 06755) == 0 && (stat_of("f").st_mode & 07777) == 06755);
    WANT(mkdir("d", 0755) == 0 && chmod("d", 01777) == 0);
    WANT((stat_of("d").st_mode & 07777) == 01777);
}

static void check_umask(void)
{
    mode_t before = umask(0);
    int fd = open("f", O_CREAT | O_RDWR, 0666);
    WANT(fd >= 0 && close(fd) == 0 && (stat_of("f").st_mode & 0777) == 0666);
    WANT(mkdir("d", 0777) == 0 && (stat_of("d").st_mode & 0777) == 0777);
    (void)umask(027);
    WANT(mkdir("e", 0777) == 0 && (stat_of("e").st_mode & 0777) == 0750);
    (void)umask(before);
}

static void check_chown(void)
{
    make_file("f", "");
    WANT(chown("f", 1000, 1001) == 0);
    WANT(stat_of("f").st_uid == 1000 && stat_of("f").st_gid == 1001);
}

static void check_utimens(void)
{
    make_file("f", "");
    const struct timespec times[2] = {{1000000000, 1}, {1234567890, 999999999}};
    WANT(utimensat(AT_FDCWD, "f", times, 0) == 0);
    struct stat st = stat_of("f");
    WANT(st.st_atim.tv_sec == 1000000000 && st.st_atim.tv_nsec == 1);
    WANT(st.st_mtim.tv_sec == 1234567890 && st.st_mtim.tv_nsec == 999999999);
    const struct timespec now[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
    WANT(utimensat(AT_FDCWD, "f", now, 0) == 0);
    st = stat_of("f");
    WANT(st.st_atim.tv_sec == 1000000000 && st.st_mtim.tv_sec > 1600000000);
    WANT(symlink("f", "l") == 0);
    WANT(utimensat(AT_FDCWD, "l", times, AT_SYMLINK_NOFOLLOW) == 0);
    WANT(stat_of("l").st_mtim.tv_sec == 1234567890);
}

static void check_parent_times(void)
{
    WANT(mkdir("d", 0755) == 0);
    struct timespec before = stat_of("d").st_mtim;
#define MOVES(expr)                                                                    \
    do {                                                                               \
        wait_a_tick();                                                                 \
        WANT(expr);                                                                    \
        struct stat after = stat_of("d");                                              \
        WANT(later(after.st_mtim, before) && later(after.st_ctim, before));            \
        before = after.st_mtim;                                                        \
    } while (0)
    MOVES(mkdir("d/a", 0755) == 0);
    MOVES(symlink("x", "d/l") == 0);
    MOVES(mknod("d/f", S_IFREG | 0644, 0) == 0);
    MOVES(rename("d/f", "d/g") == 0);
    MOVES(unlink("d/g") == 0);
    MOVES(rmdir("d/a") == 0);
    wait_a_tick();
    WANT(mkdir("d/l", 0755) < 0);
    WANT(!later(stat_of("d").st_mtim, before));
}

static void check_file_times(void)
{
    make_file("f", "x");
    struct stat before = stat_of("f");
    wait_a_tick();
    make_file("f", "y");
    WANT(later(stat_of("f").st_mtim, before.st_mtim));
    before = stat_of("f");
    wait_a_tick();
    WANT(truncate("f", 0) == 0);
    WANT(later(stat_of("f").st_mtim, before.st_mtim));
    WANT(later(stat_of("f").st_ctim, before.st_ctim));
    before = stat_of("f");
    wait_a_tick();
    WANT(chmod("f", 0600) == 0);
    WANT(later(stat_of("f").st_ctim, before.st_ctim));
    WANT(!later(stat_of("f").st_mtim, before.st_mtim));
}

/* ---- directories ---- */

static int count_entries(DIR *dir)
{
    int count = 0;
    while (readdir(dir))
        count++;
    return count;
}

static void check_many_entries(void)
{
    char name[32];
    WANT(mkdir("d", 0755) == 0);
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof name, "d/%d", i);
        WANT(mknod(name, S_IFREG | 0644, 0) == 0);
    }
    DIR *dir = opendir("d");
    WANT(count_entries(dir) == 1002);
    rewinddir(dir);
    long at = 0;
    for (int i = 0; i < 500; i++) {
        at = telldir(dir);
        WANT(readdir(dir) != NULL);
    }
    seekdir(dir, at);
    WANT(count_entries(dir) == 1002 - 499);
    rewinddir(dir);
    WANT(count_entries(dir) == 1002);
    (void)closedir(dir);
    /* Removing while reading must not leave any behind. */
    dir = opendir("d");
    for (struct dirent *entry; (entry = readdir(dir));) {
        (void)snprintf(name, sizeof name, "d/%.20s", entry->d_name);
        if (entry->d_name[0] != '.')
            WANT(unlink(name) == 0);
    }
    (void)closedir(dir);
    WANT(rmdir("d") == 0);
}

static void check_deep(void)
{
    int depth = 0;
    for (; depth < 120 && !*why; depth++)
        WANT(mkdir("d", 0755) == 0 && chdir("d") == 0);
    WANT(access(".", R_OK) == 0);
    for (; depth; depth--)
        WANT(chdir("..") == 0 && rmdir("d") == 0);
}

/* ---- programs ---- */

static void copy_file(const char *from, const char *to)
{
    static char data[65536];
    int source = open(from, O_RDONLY), target = open(to, O_CREAT | O_WRONLY, 0755);
    ssize_t size;
    while ((size = read(source, data, sizeof data)) > 0)
        WANT(write(target, data, (size_t)size) == size);
    WANT(size == 0 && close(source) == 0 && close(target) == 0);
}

/* This program again, from the tree: it says that it runs and waits for an answer. */
static int wait_for_parent(void)
{
    char byte = 'x';
    return write(STDOUT_FILENO, &byte, 1) != 1 || read(STDIN_FILENO, &byte, 1) != 1;
}

/* What runs is not written (open/20, truncate/11 of pjdfstest), but can be removed. */
static void check_text_busy(void)
{
    int pair[2], status = -1;
    char byte;
    copy_file("/proc/self/exe", "program");
    WANT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    pid_t child = fork();
    if (child == 0) {
        (void)dup2(pair[1], STDIN_FILENO);
        (void)dup2(pair[1], STDOUT_FILENO);
        (void)execl("program", "program", (char *)NULL);
        _exit(126);
    }
    (void)close(pair[1]);
    WANT(child > 0 && read(pair[0], &byte, 1) == 1);
    FAILS(open("program", O_WRONLY), ETXTBSY);
    FAILS(open("program", O_RDONLY | O_TRUNC), ETXTBSY);
    FAILS(truncate("program", 1), ETXTBSY);
    WANT(unlink("program") == 0 && write(pair[0], "x", 1) == 1);
    WANT(waitpid(child, &status, 0) == child && status == 0);
    WANT(close(pair[0]) == 0);
}

/* open/18 of pjdfstest; Linux has no O_EXLOCK. */
static void check_flock(void)
{
    make_file("f", "");
    int one = open("f", O_RDWR), two = open("f", O_RDWR);
    WANT(flock(one, LOCK_EX) == 0);
    FAILS(flock(two, LOCK_SH | LOCK_NB), EWOULDBLOCK);
    WANT(flock(one, LOCK_UN) == 0 && flock(two, LOCK_SH | LOCK_NB) == 0);
    WANT(close(one) == 0 && close(two) == 0);
}

static const struct check {
    const char *name;
    void (*run)(void);
} checks[] = {
#define CHECK(name)                                                                    \
    {                                                                                  \
#name, check_##name                                                            \
    }
    CHECK(name_max),       CHECK(name_bytes),
    CHECK(not_directory),  CHECK(dots),
    CHECK(exists),         CHECK(missing),
    CHECK(rmdir),          CHECK(directory_links),
    CHECK(unlinked_open),  CHECK(replaced_open),
    CHECK(rename_types),   CHECK(rename_keeps),
    CHECK(rename_flags),   CHECK(symlink),
    CHECK(symlink_loop),   CHECK(hard_link),
    CHECK(fifo),           CHECK(device),
    CHECK(mknod_file),     CHECK(truncate),
    CHECK(large_offset),   CHECK(append),
    CHECK(open_directory), CHECK(chmod),
    CHECK(special_bits),   CHECK(umask),
    CHECK(chown),          CHECK(utimens),
    CHECK(parent_times),   CHECK(file_times),
    CHECK(many_entries),   CHECK(deep),
    CHECK(text_busy),      CHECK(flock),
};

/* Is the name the first word of a line of the list? */
static bool is_expected(const char *list, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = list; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, name, size) == 0 && at[size] == ' ')
            return true;
    }
    return false;
}

/* ---- one after the other ---- */

static unsigned count, failed, skipped;

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)at;
    return kind == FTW_DP || kind == FTW_DNR ? rmdir(path) : unlink(path);
}

static void judge(const char *name, const char *list)
{
    bool passed = !*why, expected = is_expected(list, name);
    count++;
    failed += passed == expected;
    if (passed && expected)
        (void)printf("posix: %s: passes although it is listed\n", name);
    if (!passed && !expected)
        (void)printf("posix: %s: %s\n", name, why);
}

/* A folder for one check; it is emptied whatever came of it. */
static void enter(void)
{
    *why = 0;
    (void)umask(022);
    WANT(mkdir("here", 0755) == 0 && chdir("here") == 0);
}

static void leave(const char *base)
{
    WANT(chdir(base) == 0 && nftw("here", remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
}

static void run_functions(const char *base, const char *list)
{
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        enter();
        checks[i].run();
        leave(base);
        judge(checks[i].name, list);
    }
}

/* The scripts of one kind.  A read-only tree has no folders for them. */
static void run_scripts(char kind, const char *base, const char *list)
{
    for (size_t i = 0; i < calls_count; i++) {
        const struct calls_case *entry = &calls_cases[i];
        char said[200] = {0};
        if (entry->kind != kind)
            continue;
        if (geteuid() != 0 && calls_need_root(entry)) {
            skipped++;
            continue;
        }
        *why = 0;
        if (kind != 'r')
            enter();
        if (!*why && !calls_run(entry, said, sizeof said))
            (void)snprintf(why, sizeof why, "%s", said);
        if (kind != 'r')
            leave(base);
        judge(entry->name, list);
    }
}

int main(int argc, char **argv)
{
    static char list[65536], base[4096];
    if (argc == 1)
        return wait_for_parent();
    if (argc != 3 && argc != 4)
        return 129;
    char kind = argc == 3 ? ' ' : *argv[3];
    FILE *file = fopen(argv[2], "r");
    if (!file || chdir(argv[1]) != 0 || !getcwd(base, sizeof base))
        return 125;
    (void)!fread(list, 1, sizeof list - 1, file);
    (void)fclose(file);
    if (kind == ' ')
        run_functions(base, list);
    run_scripts(kind, base, list);
    (void)printf("posix: %u checks, %u not as expected", count, failed);
    (void)printf(skipped ? ", %u need root\n" : "\n", skipped);
    return failed != 0 || count == 0;
}
