/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/os_stream.h"

#include "base/os.h"
#include "base/os_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

uint64_t os_stream_deadline(uint64_t timeout_ns)
{
    uint64_t now = os_clock_monotonic_ns();
    return timeout_ns && timeout_ns < OS_STREAM_NEVER - now ? now + timeout_ns
                                                            : OS_STREAM_NEVER;
}

static enum err stream_fail(void)
{
    enum err err = os_fail();
    bool gone = errno == EPIPE || errno == ECONNRESET || errno == ECONNREFUSED ||
                errno == ENOTCONN;
    return gone ? ERR_closed : err;
}

/* ---- waiting ---- */

/* A signal may come between a look at os_interrupted() and poll(): look now and then.
 */
enum { SLICE_MS = 200 };

static int slice_ms(uint64_t deadline_ns)
{
    if (deadline_ns == OS_STREAM_NEVER)
        return SLICE_MS;
    uint64_t now = os_clock_monotonic_ns();
    uint64_t left_ms = deadline_ns > now ? (deadline_ns - now + 999999) / 1000000 : 0;
    return left_ms < SLICE_MS ? (int)left_ms : SLICE_MS;
}

static enum err wait_poll(struct pollfd *poll_fds, size_t count, uint64_t deadline_ns)
{
    for (;;) {
        int slice = slice_ms(deadline_ns);
        int ready = poll(poll_fds, count, slice);
        if (ready > 0)
            return ERR_ok;
        if (ready < 0 && errno != EINTR)
            return os_fail();
        if (os_interrupted())
            return ERR_interrupted;
        if (ready == 0 && slice < SLICE_MS)
            return ERR_timeout;
    }
}

enum err os_stream_wait(struct os_stream_event *event, size_t count,
                        uint64_t deadline_ns)
{
    enum { EVENTS_MAX = 64 };
    struct pollfd poll_fds[EVENTS_MAX];
    check(count <= EVENTS_MAX);
    for (size_t i = 0; i < count; i++)
        poll_fds[i] =
            (struct pollfd){.fd = event[i].fd,
                            .events = (short)((event[i].wants_read ? POLLIN : 0) |
                                              (event[i].wants_write ? POLLOUT : 0))};
    TRY(wait_poll(poll_fds, count, deadline_ns));
    for (size_t i = 0; i < count; i++)
        event[i].ready = poll_fds[i].fd >= 0 && poll_fds[i].revents != 0;
    return ERR_ok;
}

static enum err wait_one(int fd, short events, uint64_t deadline_ns)
{
    struct pollfd one = {.fd = fd, .events = events};
    return wait_poll(&one, 1, deadline_ns);
}

/* ---- making them ---- */

enum err os_stream_pair(int ret_ends[2])
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return os_fail();
    ret_ends[0] = ends[0];
    ret_ends[1] = ends[1];
    return ERR_ok;
}

static enum err address_of(const char *path, struct sockaddr_un *ret_address)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path || !*path) {
        errno = ENAMETOOLONG;
        (void)os_fail();
        return ERR_limit;
    }
    memcpy(address.sun_path, path, strlen(path));
    *ret_address = address;
    return ERR_ok;
}

static int stream_socket(int flags)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
}

static enum err connect_to(const struct sockaddr_un *address, int *ret_fd)
{
    int fd = stream_socket(0);
    if (fd < 0)
        return os_fail();
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) != 0) {
        enum err err = stream_fail();
        (void)close(fd);
        return err;
    }
    *ret_fd = fd;
    return ERR_ok;
}

enum err os_stream_connect(const char *path, uint64_t deadline_ns, int *ret_fd)
{
    enum { RETRY_NS = 10000000 };
    struct sockaddr_un address;
    TRY(address_of(path, &address));
    for (;;) {
        enum err err = connect_to(&address, ret_fd);
        bool absent = err == ERR_closed || err == ERR_not_found;
        if (!absent || os_clock_monotonic_ns() >= deadline_ns)
            return err;
        if (os_interrupted())
            return ERR_interrupted;
        os_sleep_ns(RETRY_NS);
    }
}

/* A socket left behind by a process that is gone. */
static bool is_stale(const char *path, const struct sockaddr_un *address)
{
    struct stat status;
    int fd;
    if (lstat(path, &status) != 0 || !S_ISSOCK(status.st_mode))
        return false;
    if (connect_to(address, &fd) == ERR_closed)
        return true;
    os_close(fd);
    return false;
}

static bool bind_to(int fd, const struct sockaddr_un *address)
{
    return bind(fd, (const struct sockaddr *)address, sizeof *address) == 0;
}

enum err os_stream_listen(const char *path, int *ret_fd)
{
    enum { BACKLOG = 64 };
    struct sockaddr_un address;
    TRY(address_of(path, &address));
    int fd = stream_socket(SOCK_NONBLOCK);
    if (fd < 0)
        return os_fail();
    /* The mode of the socket becomes that of the file, from its first moment on. */
    bool good = fchmod(fd, S_IRUSR | S_IWUSR) == 0;
    if (good && !bind_to(fd, &address)) {
        good = errno == EADDRINUSE && is_stale(path, &address) && unlink(path) == 0 &&
               bind_to(fd, &address);
    }
    if (good && listen(fd, BACKLOG) == 0) {
        *ret_fd = fd;
        return ERR_ok;
    }
    enum err err = os_fail();
    if (os_file_exists(path) && err == ERR_io)
        err = ERR_exists;
    (void)close(fd);
    return err;
}

enum err os_stream_listen_tcp(uint16_t port, int *ret_fd, uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t size = sizeof address;
    const int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return os_fail();
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, 1) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        enum err err = errno == EADDRINUSE ? ERR_exists : os_fail();
        (void)close(fd);
        return err;
    }
    *ret_fd = fd;
    *ret_port = ntohs(address.sin_port);
    return ERR_ok;
}

enum err os_stream_accept(int listener, uint64_t deadline_ns, int *ret_fd)
{
    const int on = 1;
    enum err err = deadline_ns ? wait_one(listener, POLLIN, deadline_ns) : ERR_ok;
    *ret_fd = -1;
    if (err)
        return err == ERR_timeout ? ERR_ok : err;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
        return os_fail();
    if (fd >= 0) /* means nothing to AF_UNIX */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *ret_fd = fd;
    return ERR_ok;
}

/* ---- moving bytes ---- */

static enum err send_part(int fd, const void *data, size_t size, int flags,
                          size_t *ret_size)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t sent = sendmsg(fd, &message, flags | MSG_NOSIGNAL);
    bool again = sent < 0 && (errno == EAGAIN || errno == EINTR);
    if (sent < 0 && !again)
        return stream_fail();
    *ret_size = sent > 0 ? (size_t)sent : 0;
    return ERR_ok;
}

/* Without room for control data the system drops descriptors, and says so. */
static enum err receive_part(int fd, void *data, size_t size, int flags,
                             size_t *ret_size, bool *ret_descriptors)
{
    struct iovec part = {.iov_base = data, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t got = recvmsg(fd, &message, flags);
    bool again = got < 0 && (errno == EAGAIN || errno == EINTR);
    if (got < 0 && !again)
        return stream_fail();
    if (got == 0 && size)
        return ERR_closed;
    *ret_size = got > 0 ? (size_t)got : 0;
    *ret_descriptors = got > 0 && (message.msg_flags & MSG_CTRUNC);
    return ERR_ok;
}

enum err os_stream_send_some(int fd, const void *data, size_t size, size_t *ret_size)
{
    return send_part(fd, data, size, MSG_DONTWAIT, ret_size);
}

enum err os_stream_receive_some(int fd, void *data, size_t size, size_t *ret_size,
                                bool *ret_descriptors)
{
    return receive_part(fd, data, size, MSG_DONTWAIT, ret_size, ret_descriptors);
}

enum err os_stream_send(int fd, const void *data, size_t size, uint64_t deadline_ns)
{
    const uint8_t *at = data;
    int flags = deadline_ns == OS_STREAM_NEVER ? 0 : MSG_DONTWAIT;
    while (size) {
        size_t sent = 0;
        TRY(send_part(fd, at, size, flags, &sent));
        if (!sent && os_interrupted())
            return ERR_interrupted;
        if (!sent && flags)
            TRY(wait_one(fd, POLLOUT, deadline_ns));
        at += sent;
        size -= sent;
    }
    return ERR_ok;
}

enum err os_stream_receive(int fd, void *data, size_t size, uint64_t deadline_ns,
                           size_t *ret_size, bool *ret_descriptors)
{
    int flags = deadline_ns == OS_STREAM_NEVER ? 0 : MSG_DONTWAIT;
    size_t got = 0;
    for (;;) {
        TRY(receive_part(fd, data, size, flags, &got, ret_descriptors));
        if (got || !size)
            break;
        if (os_interrupted())
            return ERR_interrupted;
        if (flags)
            TRY(wait_one(fd, POLLIN, deadline_ns));
    }
    *ret_size = got;
    return ERR_ok;
}

enum err os_stream_receive_all(int fd, void *data, size_t size, uint64_t deadline_ns)
{
    uint8_t *at = data;
    while (size) {
        size_t got;
        bool descriptors;
        TRY(os_stream_receive(fd, at, size, deadline_ns, &got, &descriptors));
        at += got;
        size -= got;
    }
    return ERR_ok;
}

/* ---- descriptors ---- */

union control {
    char bytes[CMSG_SPACE(OS_STREAM_DESCRIPTORS_MAX * sizeof(int))];
    struct cmsghdr align;
};

enum err os_stream_send_fds(int fd, const void *data, size_t size, const int *fds,
                            size_t count)
{
    union control control = {0};
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    check(count && count <= OS_STREAM_DESCRIPTORS_MAX);
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *head = (struct cmsghdr){.cmsg_len = CMSG_LEN(count * sizeof(int)),
                             .cmsg_level = SOL_SOCKET,
                             .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(head), fds, count * sizeof(int));
    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (sent < 0)
        return stream_fail();
    return (size_t)sent == size ? ERR_ok : ERR_io;
}

/* Keep the descriptors of a message, or close those that are too many. */
static void take_fds(struct msghdr *message, int fds[OS_STREAM_DESCRIPTORS_MAX],
                     size_t *count)
{
    struct cmsghdr *head = CMSG_FIRSTHDR(message);
    for (; head; head = CMSG_NXTHDR(message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        const unsigned char *at = CMSG_DATA(head);
        size_t left = head->cmsg_len - CMSG_LEN(0);
        for (; left >= sizeof(int); left -= sizeof(int), at += sizeof(int)) {
            int fd;
            memcpy(&fd, at, sizeof fd);
            if (*count < OS_STREAM_DESCRIPTORS_MAX)
                fds[(*count)++] = fd;
            else
                os_close(fd);
        }
    }
}

enum err os_stream_receive_fds(int fd, void *data, size_t size, uint64_t deadline_ns,
                               int ret_fds[OS_STREAM_DESCRIPTORS_MAX],
                               size_t *ret_count)
{
    union control control;
    struct iovec part = {.iov_base = data, .iov_len = size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control};
    size_t count = 0;
    TRY(wait_one(fd, POLLIN, deadline_ns));
    ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0)
        return stream_fail();
    if (got == 0)
        return ERR_closed;
    take_fds(&message, ret_fds, &count);
    enum err err = os_stream_receive_all(fd, (uint8_t *)data + got, size - (size_t)got,
                                         deadline_ns);
    while (err && count)
        os_close(ret_fds[--count]);
    *ret_count = count;
    return err;
}

/* ---- events ---- */

enum err os_event_create(int *ret_fd)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return os_fail();
    *ret_fd = fd;
    return ERR_ok;
}

/* Another process may have made the descriptor wait, and filled its counter. */
void os_event_signal(int fd)
{
    const uint64_t one = 1;
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    if (poll(&room, 1, 0) > 0 && room.revents & POLLOUT)
        (void)!write(fd, &one, sizeof one);
}

void os_event_clear(int fd)
{
    uint64_t count;
    struct iovec part = {.iov_base = &count, .iov_len = sizeof count};
    (void)!preadv2(fd, &part, 1, -1, RWF_NOWAIT);
}
