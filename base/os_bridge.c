/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/os_bridge.h"

#include "base/os.h"
#include "base/os_private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RETRY_NS = 10000000, END_NS = 1000000000 };

/* ---- making connections ---- */

static enum err address_of(const char *path, struct sockaddr_un *ret_address)
{
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (!*path || strlen(path) >= sizeof ret_address->sun_path)
        return ERR_limit;
    strcpy(ret_address->sun_path, path);
    return ERR_ok;
}

static enum err make_socket(int *ret_fd)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return os_fail();
    *ret_fd = fd;
    return ERR_ok;
}

enum err os_bridge_connect(const char *path, uint64_t deadline_ns, int *ret_fd)
{
    struct sockaddr_un address;
    int fd = -1;
    TRY(address_of(path, &address));
    TRY(make_socket(&fd));
    while (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        bool again = errno == ECONNREFUSED || errno == EINTR || errno == ENOENT;
        if (!again || os_clock_monotonic_ns() >= deadline_ns || os_interrupted()) {
            enum err err = os_fail();
            (void)close(fd);
            return err;
        }
        os_sleep_ns(RETRY_NS);
    }
    *ret_fd = fd;
    return ERR_ok;
}

enum err os_bridge_listen(const char *path, int *ret_fd)
{
    struct sockaddr_un address;
    int fd = -1;
    TRY(address_of(path, &address));
    TRY(make_socket(&fd));
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, 1) != 0) {
        enum err err = errno == EADDRINUSE ? ERR_exists : os_fail();
        (void)close(fd);
        return err;
    }
    *ret_fd = fd;
    return ERR_ok;
}

/* Wait until a descriptor is ready. */
static enum err wait_for(int fd, short events, uint64_t deadline_ns)
{
    for (;;) {
        struct pollfd poll_fd = {.fd = fd, .events = events};
        uint64_t now = os_clock_monotonic_ns();
        int timeout_ms = -1;
        if (deadline_ns != UINT64_MAX)
            timeout_ms = now >= deadline_ns
                             ? 0
                             : (int)((deadline_ns - now) / 1000000 % 1000000) + 1;
        if (os_interrupted())
            return ERR_interrupted;
        int ready = poll(&poll_fd, 1, timeout_ms);
        if (ready > 0)
            return ERR_ok;
        if (ready < 0 && errno != EINTR)
            return os_fail();
        if (!ready && os_clock_monotonic_ns() >= deadline_ns)
            return ERR_timeout;
    }
}

enum err os_bridge_accept(int fd, int *ret_fd)
{
    TRY(wait_for(fd, POLLIN, UINT64_MAX));
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0)
        return os_fail();
    *ret_fd = client;
    return ERR_ok;
}

/* ---- processes ---- */

static enum err spawn_with(const char *command, int fd, int *ret_process)
{
    static char shell[] = "sh", dash_c[] = "-c";
    posix_spawn_file_actions_t actions;
    pid_t process;
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
        failed = posix_spawn(&process, "/bin/sh", &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (failed) {
        errno = failed;
        return os_fail();
    }
    *ret_process = process;
    return ERR_ok;
}

enum err os_bridge_spawn(const char *command, int *ret_fd, int *ret_process)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return os_fail();
    enum err err = spawn_with(command, pair[1], ret_process);
    (void)close(pair[1]);
    if (err)
        (void)close(pair[0]);
    else
        *ret_fd = pair[0];
    return err;
}

void os_bridge_end(int process)
{
    uint64_t deadline_ns = os_clock_monotonic_ns() + END_NS;
    if (process <= 0)
        return;
    while (waitpid(process, NULL, WNOHANG) == 0) {
        if (os_clock_monotonic_ns() >= deadline_ns) {
            (void)kill(process, SIGKILL);
            (void)waitpid(process, NULL, 0);
            return;
        }
        os_sleep_ns(RETRY_NS / 10);
    }
}

/* ---- bytes ---- */

enum err os_bridge_send(int fd, const void *data, size_t size, uint64_t deadline_ns)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = send(fd, (const uint8_t *)data + done, size - done,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            TRY(wait_for(fd, POLLOUT, deadline_ns));
            continue;
        }
        if (n < 0) {
            (void)os_fail();
            return ERR_io;
        }
        done += (size_t)n;
    }
    return ERR_ok;
}

enum err os_bridge_receive(int fd, void *data, size_t size, uint64_t deadline_ns)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = recv(fd, (uint8_t *)data + done, size - done, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            TRY(wait_for(fd, POLLIN, deadline_ns));
            continue;
        }
        if (n <= 0)
            return ERR_io;
        done += (size_t)n;
    }
    return ERR_ok;
}

bool os_bridge_readable(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) > 0;
}
