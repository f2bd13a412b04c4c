/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/os_socket.h"

#include "base/os_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Bind and listen, or close. */
static enum err listen_at(int fd, const struct sockaddr *address, socklen_t size)
{
    if (bind(fd, address, size) == 0 && listen(fd, 1) == 0)
        return ERR_ok;
    enum err err = errno == EADDRINUSE ? ERR_exists : os_fail();
    (void)close(fd);
    return err;
}

enum err os_listen_unix(const char *path, int *ret_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path[0] || strlen(path) >= sizeof address.sun_path)
        return ERR_usage;
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return os_fail();
    mode_t mask = umask(077);
    enum err err = listen_at(fd, (const struct sockaddr *)&address, sizeof address);
    (void)umask(mask);
    if (!err)
        *ret_fd = fd;
    return err;
}

enum err os_listen_tcp(uint16_t port, int *ret_fd, uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t size = sizeof address;
    const int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return os_fail();
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    TRY(listen_at(fd, (const struct sockaddr *)&address, sizeof address));
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        enum err err = os_fail();
        (void)close(fd);
        return err;
    }
    *ret_fd = fd;
    *ret_port = ntohs(address.sin_port);
    return ERR_ok;
}

/* Wait until there is something to read. */
static enum err wait_for(int fd, int timeout_ms, bool *ret_ready)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    int count = poll(&poll_fd, 1, timeout_ms);
    if (count < 0)
        return os_fail();
    *ret_ready = count > 0;
    return ERR_ok;
}

enum err os_accept(int fd, int timeout_ms, int *ret_fd)
{
    const int on = 1;
    bool ready = false;
    *ret_fd = -1;
    TRY(wait_for(fd, timeout_ms, &ready));
    if (!ready)
        return ERR_ok;
    int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0)
        return os_fail();
    (void)setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *ret_fd = connection;
    return ERR_ok;
}

enum err os_receive(int fd, int timeout_ms, void *data, size_t size, size_t *ret_size)
{
    bool ready = false;
    *ret_size = 0;
    TRY(wait_for(fd, timeout_ms, &ready));
    if (!ready)
        return ERR_ok;
    ssize_t count = recv(fd, data, size, 0);
    if (count < 0)
        return os_fail();
    if (count == 0)
        return ERR_io;
    *ret_size = (size_t)count;
    return ERR_ok;
}

enum err os_send(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size) {
        ssize_t count = send(fd, at, size, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return os_fail();
        at += count;
        size -= (size_t)count;
    }
    return ERR_ok;
}

enum err os_folder_create_private(char *pattern)
{
    return mkdtemp(pattern) ? ERR_ok : os_fail();
}

enum err os_folder_remove(const char *path)
{
    return rmdir(path) == 0 ? ERR_ok : os_fail();
}

/* ---- programs ---- */

enum err os_start(const char *const *argv, int *ret_pid)
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

enum err os_ended(int pid, bool *ret_ended, int *ret_status)
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

void os_ignore_interrupts(void)
{
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
}
