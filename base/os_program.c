/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/os_program.h"

#include "base/os.h"
#include "base/os_private.h"
#include "base/os_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_NS = 1000000, END_NS = 1000000000 };

enum err os_program_start(const char *const *argv, int *ret_pid)
{
    posix_spawnattr_t attributes;
    sigset_t defaults, none;
    pid_t pid;
    (void)sigemptyset(&none);
    (void)sigemptyset(&defaults);
    (void)sigaddset(&defaults, SIGINT);
    (void)sigaddset(&defaults, SIGPIPE);
    (void)sigaddset(&defaults, SIGTERM);
    errno = posix_spawnattr_init(&attributes);
    if (errno)
        return os_fail();
    (void)posix_spawnattr_setsigdefault(&attributes, &defaults);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setflags(&attributes,
                                   POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    errno =
        posix_spawnp(&pid, argv[0], NULL, &attributes, (char *const *)argv, environ);
    enum err err = errno ? os_fail() : ERR_ok;
    (void)posix_spawnattr_destroy(&attributes);
    if (!err)
        *ret_pid = pid;
    return err;
}

enum err os_program_ended(int pid, bool *ret_ended, int *ret_status)
{
    int status;
    pid_t found = waitpid(pid, &status, WNOHANG);
    if (found < 0)
        return os_fail();
    *ret_ended = found == pid;
    if (found == pid)
        *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return ERR_ok;
}

static enum err spawn_with(const char *command, int fd, int *ret_pid)
{
    static char shell[] = "sh", dash_c[] = "-c";
    posix_spawn_file_actions_t actions;
    pid_t pid;
    union {
        const char *in;
        char *out;
    } text = {.in = command};
    char *argv[] = {shell, dash_c, text.out, NULL};
    int failed = posix_spawn_file_actions_init(&actions);
    if (failed)
        return ERR_nomem;
    failed = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (!failed)
        failed = posix_spawn_file_actions_adddup2(&actions, fd, 3);
    if (!failed)
        failed = posix_spawn_file_actions_addclosefrom_np(&actions, 4);
    if (!failed)
        failed = posix_spawn(&pid, "/bin/sh", &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (failed) {
        errno = failed;
        return os_fail();
    }
    *ret_pid = pid;
    return ERR_ok;
}

enum err os_program_shell(const char *command, int *ret_stream, int *ret_pid)
{
    int pair[2];
    TRY(os_stream_pair(pair));
    enum err err = spawn_with(command, pair[1], ret_pid);
    (void)close(pair[1]);
    if (err)
        (void)close(pair[0]);
    else
        *ret_stream = pair[0];
    return err;
}

void os_program_end(int pid)
{
    uint64_t deadline_ns = os_clock_monotonic_ns() + END_NS;
    if (pid <= 0)
        return;
    while (waitpid(pid, NULL, WNOHANG) == 0) {
        if (os_clock_monotonic_ns() >= deadline_ns) {
            (void)kill(pid, SIGKILL);
            (void)waitpid(pid, NULL, 0);
            return;
        }
        os_sleep_ns(LOOK_NS);
    }
}

void os_ignore_interrupts(void)
{
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
}
