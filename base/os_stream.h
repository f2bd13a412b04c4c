/* SPDX-License-Identifier: MIT
 *
 * base/os_stream.h - byte streams between processes of this machine, with deadlines.
 *
 * AF_UNIX sockets of type SOCK_STREAM, and TCP of 127.0.0.1.  All are closed on exec,
 * and writing to one that nobody reads is an error, no signal.  Deadlines are times of
 * os_clock_monotonic_ns(); OS_STREAM_NEVER waits as long as it takes and needs no
 * system call but the transfer itself.  Waiting ends early with ERR_interrupted when
 * os_interrupted().  Other errors:
 *
 *   ERR_closed    the other side has closed, or is gone
 *   ERR_timeout   the deadline has passed
 *   ERR_io        the rest
 */
#ifndef BASE_OS_STREAM_H
#define BASE_OS_STREAM_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OS_STREAM_NEVER UINT64_MAX

enum { OS_STREAM_DESCRIPTORS_MAX = 3 };

/* The time `timeout_ns` from now; 0 is OS_STREAM_NEVER. */
uint64_t os_stream_deadline(uint64_t timeout_ns);

/* Two ends of one stream. */
ERR_MUST_CHECK enum err os_stream_pair(int ret_ends[2]);

/* Listen at `path`, for this user only.  A socket that nobody listens at is replaced;
 * ERR_exists for anything else that is there, ERR_limit for a path that is too long
 * for a socket (107 bytes). */
ERR_MUST_CHECK enum err os_stream_listen(const char *path, int *ret_fd);

/* Listen at a TCP port of 127.0.0.1; 0 is any, *ret_port the one.  ERR_exists. */
ERR_MUST_CHECK enum err os_stream_listen_tcp(uint16_t port, int *ret_fd,
                                             uint16_t *ret_port);

/* Take one connection; *ret_fd is -1 if none has come by the deadline, 0: if none is
 * waiting. */
ERR_MUST_CHECK enum err os_stream_accept(int listener, uint64_t deadline_ns,
                                         int *ret_fd);

/* Tries until the deadline while nobody listens there, once if it is 0.  ERR_not_found,
 * ERR_access, ERR_limit; ERR_closed when nobody listens there. */
ERR_MUST_CHECK enum err os_stream_connect(const char *path, uint64_t deadline_ns,
                                          int *ret_fd);

/* Send all of it; receive all of it, or nothing is known of `data`.  Descriptors that
 * come with it are closed unseen. */
ERR_MUST_CHECK enum err os_stream_send(int fd, const void *data, size_t size,
                                       uint64_t deadline_ns);
ERR_MUST_CHECK enum err os_stream_receive_all(int fd, void *data, size_t size,
                                              uint64_t deadline_ns);

/* Take what is there, at least one byte, at most `size`.  Descriptors that came with it
 * are closed unseen; *ret_descriptors says that there were some. */
ERR_MUST_CHECK enum err os_stream_receive(int fd, void *data, size_t size,
                                          uint64_t deadline_ns, size_t *ret_size,
                                          bool *ret_descriptors);

/* Send and receive without waiting; *ret_size may be 0. */
ERR_MUST_CHECK enum err os_stream_send_some(int fd, const void *data, size_t size,
                                            size_t *ret_size);
ERR_MUST_CHECK enum err os_stream_receive_some(int fd, void *data, size_t size,
                                               size_t *ret_size, bool *ret_descriptors);

/* Bytes (few: they go as one) and `count` descriptors with the first of them. */
ERR_MUST_CHECK enum err os_stream_send_fds(int fd, const void *data, size_t size,
                                           const int *fds, size_t count);

/* Receive all of `size` bytes and the descriptors that come with the first of them,
 * which are the caller's: *ret_count of them, at most OS_STREAM_DESCRIPTORS_MAX. */
ERR_MUST_CHECK enum err os_stream_receive_fds(int fd, void *data, size_t size,
                                              uint64_t deadline_ns,
                                              int ret_fds[OS_STREAM_DESCRIPTORS_MAX],
                                              size_t *ret_count);

/* An event descriptor: readable from a signal until it is cleared.  Neither call waits,
 * whoever else has the descriptor. */
ERR_MUST_CHECK enum err os_event_create(int *ret_fd);
void os_event_signal(int fd);
void os_event_clear(int fd);

/* One stream that somebody waits for. */
struct os_stream_event {
    int fd; /* -1: skip this one */
    bool wants_read, wants_write;
    bool ready; /* answer: one of the two can be done, or would fail at once */
};

/* Wait until one is ready.  Any descriptor that can be polled will do.  ERR_timeout,
 * ERR_interrupted. */
ERR_MUST_CHECK enum err os_stream_wait(struct os_stream_event *event, size_t count,
                                       uint64_t deadline_ns);

#endif
