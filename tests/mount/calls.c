/* SPDX-License-Identifier: MIT
 *
 * The verbs of scripts of system calls, and the cases of calls.def.
 */
#define _GNU_SOURCE
#include "tests/mount/calls.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

const struct calls_case calls_cases[] = {
#define CASE(name, script) {name, script, ' '},
#define READ_ONLY(name, script) {name, script, 'r'},
#define FULL(name, script) {name, script, 'f'},
#include "tests/mount/calls.def"
};
const size_t calls_count = sizeof calls_cases / sizeof *calls_cases;

enum { WORDS = 6, WORD_SIZE = 8192, MARKS = 4, FILES = 4 };

static char answer[WORD_SIZE]; /* what a verb that reads has read */
static int files[FILES], file_count;
static struct mark {
    char path[32];
    struct stat st;
} marks[MARKS];
static unsigned mark_count;

static int newest(void)
{
    return file_count ? files[file_count - 1] : -1;
}

static mode_t mode_of(const char *word)
{
    return (mode_t)strtoul(word, NULL, 8);
}

/* ---- files ---- */

static int open_flags(const char *letters)
{
    static const struct {
        char letter;
        int flag;
    } flags[] = {{'r', O_RDONLY},  {'w', O_WRONLY},    {'+', O_RDWR},
                 {'c', O_CREAT},   {'x', O_EXCL},      {'t', O_TRUNC},
                 {'a', O_APPEND},  {'d', O_DIRECTORY}, {'n', O_NOFOLLOW},
                 {'k', O_NONBLOCK}};
    int result = 0;
    for (; *letters; letters++)
        for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
            result |= flags[i].letter == *letters ? flags[i].flag : 0;
    return result;
}

static long do_open(char **word)
{
    int fd = open(word[0], open_flags(word[1]), word[2] ? mode_of(word[2]) : 0);
    if (fd >= 0 && file_count < FILES)
        files[file_count++] = fd;
    return fd;
}

static long do_close(char **word)
{
    (void)word;
    long result = 0;
    while (file_count)
        result |= close(files[--file_count]);
    return result;
}

static long do_file(char **word)
{
    int fd = open(word[0], O_CREAT | O_EXCL | O_WRONLY, mode_of(word[1]));
    return fd < 0 ? fd : close(fd);
}

static long do_text(char **word)
{
    int fd = open(word[0], O_CREAT | O_TRUNC | O_WRONLY, 0644);
    if (fd < 0)
        return fd;
    ssize_t size = write(fd, word[1], strlen(word[1]));
    return close(fd) < 0 || size != (ssize_t)strlen(word[1]) ? -1 : 0;
}

static long do_write(char **word)
{
    return write(newest(), word[0], strlen(word[0]));
}

static long do_pread(char **word)
{
    ssize_t size = pread(newest(), answer, sizeof answer - 1, atoi(word[0]));
    if (size >= 0)
        answer[size] = 0;
    return size;
}

static long do_truncate(char **word)
{
    return truncate(word[0], atoll(word[1]));
}
static long do_ftruncate(char **word)
{
    return ftruncate(newest(), atoll(word[0]));
}

/* Write until there is no room. */
static long do_fill(char **word)
{
    static const char page[4096] = {1};
    int fd = open(word[0], O_CREAT | O_WRONLY, 0644);
    ssize_t size = fd < 0 ? fd : (ssize_t)sizeof page;
    for (int i = 0; i < 10000 && size > 0; i++)
        size = write(fd, page, sizeof page);
    int error = errno;
    (void)close(fd);
    errno = error;
    return size;
}

/* Names until there is no room. */
static long do_crowd(char **word)
{
    char path[300];
    for (int i = 0; i < 10000; i++) {
        (void)snprintf(path, sizeof path, "%.20s%d", word[0], i);
        if (mkdir(path, 0755) < 0)
            return -1;
    }
    return 0;
}

/* ---- names ---- */

static long do_mkdir(char **word)
{
    return mkdir(word[0], mode_of(word[1]));
}
static long do_rmdir(char **word)
{
    return rmdir(word[0]);
}
static long do_unlink(char **word)
{
    return unlink(word[0]);
}
static long do_rename(char **word)
{
    return rename(word[0], word[1]);
}
static long do_link(char **word)
{
    return link(word[0], word[1]);
}
static long do_mkfifo(char **word)
{
    return mkfifo(word[0], mode_of(word[1]));
}
static long do_cd(char **word)
{
    return chdir(word[0]);
}

static long do_symlink(char **word)
{
    return symlink(strcmp(word[0], "''") == 0 ? "" : word[0], word[1]);
}

static long do_readlink(char **word)
{
    ssize_t size = readlink(word[0], answer, sizeof answer - 1);
    if (size >= 0)
        answer[size] = 0;
    return size;
}

static long do_mknod(char **word)
{
    mode_t type = *word[1] == 'c' ? S_IFCHR : *word[1] == 'b' ? S_IFBLK : S_IFREG;
    return mknod(word[0], type | 0644, type == S_IFREG ? 0 : 0x102);
}

static long do_bind(char **word)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    (void)snprintf(name.sun_path, sizeof name.sun_path, "%s", word[0]);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    int result = bind(fd, (struct sockaddr *)&name, sizeof name), error = errno;
    (void)close(fd);
    errno = error;
    return result;
}

/* ---- attributes ---- */

static const char *type_name(mode_t mode)
{
    return S_ISREG(mode)    ? "file"
           : S_ISDIR(mode)  ? "dir"
           : S_ISLNK(mode)  ? "link"
           : S_ISFIFO(mode) ? "fifo"
                            : "other";
}

static void show_fields(const struct stat *st, char *fields)
{
    size_t used = 0;
    *answer = 0;
    for (char *at = strtok(fields, ","); at; at = strtok(NULL, ",")) {
        char *to = answer + used + (used ? 1 : 0);
        size_t room = sizeof answer - used - 1;
        if (used)
            answer[used] = ',';
        if (strcmp(at, "type") == 0)
            (void)snprintf(to, room, "%s", type_name(st->st_mode));
        else if (strcmp(at, "mode") == 0)
            (void)snprintf(to, room, "%o", (unsigned)st->st_mode & 07777);
        else
            (void)snprintf(to, room, "%lld",
                           strcmp(at, "size") == 0    ? (long long)st->st_size
                           : strcmp(at, "links") == 0 ? (long long)st->st_nlink
                           : strcmp(at, "uid") == 0   ? (long long)st->st_uid
                           : strcmp(at, "gid") == 0   ? (long long)st->st_gid
                           : strcmp(at, "atime") == 0 ? (long long)st->st_atim.tv_sec
                           : strcmp(at, "mtime") == 0 ? (long long)st->st_mtim.tv_sec
                           : strcmp(at, "mns") == 0   ? (long long)st->st_mtim.tv_nsec
                                                      : -1);
        used = strlen(answer);
    }
}

static long do_stat(char **word)
{
    struct stat st;
    if (stat(word[0], &st) < 0)
        return -1;
    show_fields(&st, word[1]);
    return 0;
}

static long do_lstat(char **word)
{
    struct stat st;
    if (lstat(word[0], &st) < 0)
        return -1;
    show_fields(&st, word[1]);
    return 0;
}

static long do_fstat(char **word)
{
    struct stat st;
    if (fstat(newest(), &st) < 0)
        return -1;
    show_fields(&st, word[0]);
    return 0;
}

static long do_chmod(char **word)
{
    return chmod(word[0], mode_of(word[1]));
}
static long do_fchmod(char **word)
{
    return fchmod(newest(), mode_of(word[0]));
}

static long do_chown(char **word)
{
    return chown(word[0], (uid_t)atol(word[1]), (gid_t)atol(word[2]));
}

static long do_lchown(char **word)
{
    return lchown(word[0], (uid_t)atol(word[1]), (gid_t)atol(word[2]));
}

static long do_fchown(char **word)
{
    return fchown(newest(), (uid_t)atol(word[0]), (gid_t)atol(word[1]));
}

static struct timespec time_word(const char *word)
{
    char *end;
    if (strcmp(word, "now") == 0)
        return (struct timespec){.tv_nsec = UTIME_NOW};
    if (strcmp(word, "omit") == 0)
        return (struct timespec){.tv_nsec = UTIME_OMIT};
    struct timespec time = {.tv_sec = (time_t)strtoll(word, &end, 10)};
    if (*end == '.')
        time.tv_nsec = atol(end + 1);
    return time;
}

static long do_utimens(char **word)
{
    const struct timespec times[2] = {time_word(word[1]), time_word(word[2])};
    return utimensat(AT_FDCWD, word[0], times, 0);
}

static long do_lutimens(char **word)
{
    const struct timespec times[2] = {time_word(word[1]), time_word(word[2])};
    return utimensat(AT_FDCWD, word[0], times, AT_SYMLINK_NOFOLLOW);
}

/* ---- before and after ---- */

/* Remember what lstat says of a path; clocks of file systems are coarse. */
static long do_mark(char **word)
{
    struct mark *mark = &marks[mark_count++ % MARKS];
    (void)snprintf(mark->path, sizeof mark->path, "%s", word[0]);
    long result = lstat(word[0], &mark->st);
    (void)nanosleep(&(struct timespec){.tv_nsec = 15000000}, NULL);
    return result;
}

static int compare(struct timespec a, struct timespec b)
{
    if (a.tv_sec != b.tv_sec)
        return a.tv_sec < b.tv_sec ? -1 : 1;
    return a.tv_nsec < b.tv_nsec ? -1 : a.tv_nsec > b.tv_nsec;
}

/* How many of the fields `letters` of `path` (word 0; its mark has the name of the last
 * word) changed: times by growing, others by being different. */
static int count_changed(char **word, int *ret_fields)
{
    const char *key = word[2] ? word[2] : word[0];
    struct stat now;
    const struct stat *old = NULL;
    for (unsigned i = 0; i < MARKS; i++)
        if (strcmp(marks[i].path, key) == 0)
            old = &marks[i].st;
    if (!old || lstat(word[0], &now) < 0)
        return -1;
    int changed = 0;
    *ret_fields = (int)strlen(word[1]);
    for (const char *at = word[1]; *at; at++)
        changed += *at == 'a'   ? compare(now.st_atim, old->st_atim) > 0
                   : *at == 'm' ? compare(now.st_mtim, old->st_mtim) > 0
                   : *at == 'c' ? compare(now.st_ctim, old->st_ctim) > 0
                   : *at == 'i' ? now.st_ino != old->st_ino
                                : now.st_mode != old->st_mode;
    return changed;
}

static long do_newer(char **word)
{
    int fields = 0, changed = count_changed(word, &fields);
    errno = changed < 0 ? errno : EALREADY; /* nothing else answers that */
    return changed == fields ? 0 : -1;
}

static long do_same(char **word)
{
    int fields = 0, changed = count_changed(word, &fields);
    errno = changed < 0 ? errno : EALREADY;
    return changed == 0 ? 0 : -1;
}

/* ---- who ---- */

static long do_root(char **word)
{
    (void)word;
    return seteuid(0) | setegid(0);
}

static long do_as(char **word)
{
    if (do_root(word) || setgroups(0, NULL))
        return -1;
    return setegid((gid_t)atol(word[1])) | seteuid((uid_t)atol(word[0]));
}

static long do_umask(char **word)
{
    (void)umask(mode_of(word[0]));
    return 0;
}

/* ---- scripts ---- */

static const struct verb {
    const char *name;
    int words; /* at least */
    long (*run)(char **word);
} verbs[] = {
    {"as", 2, do_as},
    {"bind", 1, do_bind},
    {"cd", 1, do_cd},
    {"chmod", 2, do_chmod},
    {"chown", 3, do_chown},
    {"close", 0, do_close},
    {"crowd", 1, do_crowd},
    {"fchmod", 1, do_fchmod},
    {"fchown", 2, do_fchown},
    {"file", 2, do_file},
    {"fill", 1, do_fill},
    {"fstat", 1, do_fstat},
    {"ftruncate", 1, do_ftruncate},
    {"lchown", 3, do_lchown},
    {"link", 2, do_link},
    {"lstat", 2, do_lstat},
    {"lutimens", 3, do_lutimens},
    {"mark", 1, do_mark},
    {"mkdir", 2, do_mkdir},
    {"mkfifo", 2, do_mkfifo},
    {"mknod", 2, do_mknod},
    {"newer", 2, do_newer},
    {"open", 2, do_open},
    {"pread", 1, do_pread},
    {"readlink", 1, do_readlink},
    {"rename", 2, do_rename},
    {"rmdir", 1, do_rmdir},
    {"root", 0, do_root},
    {"same", 2, do_same},
    {"stat", 2, do_stat},
    {"symlink", 2, do_symlink},
    {"text", 2, do_text},
    {"truncate", 2, do_truncate},
    {"umask", 1, do_umask},
    {"unlink", 1, do_unlink},
    {"utimens", 3, do_utimens},
    {"write", 1, do_write},
};

static const char *error_name(int error)
{
    static const struct {
        int number;
        const char *name;
    } names[] = {
#define ERROR(name) {name, #name},
        ERROR(EPERM) ERROR(ENOENT) ERROR(EIO) ERROR(EBADF) ERROR(EACCES) ERROR(EBUSY)
            ERROR(EEXIST) ERROR(EXDEV) ERROR(ENOTDIR) ERROR(EISDIR) ERROR(EINVAL)
                ERROR(EFBIG) ERROR(ENOSPC) ERROR(EROFS) ERROR(EMLINK)
                    ERROR(ENAMETOOLONG) ERROR(ENOTEMPTY) ERROR(ELOOP) ERROR(ENXIO)
                        ERROR(EOPNOTSUPP) ERROR(ESTALE)
#undef ERROR
    };
    static char other[16];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].number == error)
            return names[i].name;
    (void)snprintf(other, sizeof other, "error %d", error);
    return other;
}

/* `%N` and `^N:NAME`, in a buffer of the word's own. */
static char *expand(char *word, unsigned index)
{
    static char text[WORDS][WORD_SIZE];
    char *at = text[index], *end = at + WORD_SIZE - 1, *from = word;
    if (*word == '^') { /* ".////a" is a path to a */
        size_t size = strtoul(word + 1, &from, 10), tail = strlen(++from);
        for (size_t i = 0; i + tail < size && at < end; i++)
            *at++ = i ? '/' : '.';
    }
    for (; *from && at < end; from++) {
        if (*from != '%') {
            *at++ = *from;
            continue;
        }
        for (size_t n = strtoul(from + 1, &from, 10); n && at < end; n--)
            *at++ = 'n';
        from--;
    }
    *at = 0;
    return text[index];
}

/* Is `got` one of the alternatives? */
static bool is_one_of(const char *wanted, const char *got)
{
    size_t size = strlen(got);
    for (const char *at = wanted; at; at = strchr(at, '|')) {
        at += *at == '|';
        if (strncmp(at, got, size) == 0 && (at[size] == 0 || at[size] == '|'))
            return true;
    }
    return false;
}

/* One statement, cut into words in place. */
static bool run_statement(char *statement, char *ret_why, size_t size)
{
    char original[160], *word[WORDS] = {0}, *save;
    const char *wanted = "ok";
    int count = 0;
    (void)snprintf(original, sizeof original, "%s", statement + strspn(statement, " "));
    char *result = strchr(statement, '=');
    if (result) {
        *result = 0;
        wanted = result + 1 + strspn(result + 1, " ");
    }
    for (char *at = strtok_r(statement, " ", &save); at && count < WORDS;
         at = strtok_r(NULL, " ", &save), count++)
        word[count] = count ? expand(at, (unsigned)count) : at;
    for (size_t i = 0; count && i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verbs[i].name, word[0]) != 0 || count - 1 < verbs[i].words)
            continue;
        (void)snprintf(answer, sizeof answer, "ok");
        errno = 0;
        const char *got = verbs[i].run(word + 1) < 0 ? error_name(errno) : answer;
        if (is_one_of(wanted, got))
            return true;
        (void)snprintf(ret_why, size, "%s: got %.60s", original, got);
        return false;
    }
    (void)snprintf(ret_why, size, "%s: no such verb", original);
    return count == 0;
}

bool calls_need_root(const struct calls_case *entry)
{
    return strstr(entry->script, "as ") || strstr(entry->script, "chown ");
}

bool calls_run(const struct calls_case *entry, char *ret_why, size_t size)
{
    char script[2048], *save;
    bool good = true;
    (void)snprintf(script, sizeof script, "%s", entry->script);
    (void)memset(marks, 0, sizeof marks);
    for (char *at = strtok_r(script, ";", &save); at && good;
         at = strtok_r(NULL, ";", &save))
        good = run_statement(at, ret_why, size);
    (void)do_close(NULL);
    if (geteuid() != 0 && calls_need_root(entry))
        (void)do_root(NULL);
    return good;
}
