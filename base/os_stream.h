/* SPDX-License-Identifier: MIT
 *
 * base/os_stream.h - byte streams between processes of this machine, with deadlines.
 *
 * AF_UNIX sockets of type SOCK_STREAM.  All are closed on exec, and writing to one that
 * nobody reads is an error, no signal.  Deadlines are times of os_clock_monotonic_ns();
 * OS_STREAM_NEVER waits as long as it takes and needs no system call but the transfer
 * itself.  Waiting ends early with ERR_interrupted when os_interrupted().  Other
 * errors: ERR_nub_lost     the other side has closed, or is gone ERR_timeout  the
 * deadline has passed ERR_io           the rest
 */
#ifndef BASE_OS_STREAM_H
#define BASE_OS_STREAM_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OS_STREAM_NEVER UINT64_MAX

/* The time `timeout_ns` from now; 0 is OS_STREAM_NEVER. */
uint64_t os_stream_deadline(uint64_t timeout_ns);

/* Two ends of one stream. */
ERR_MUST_CHECK enum err os_stream_pair(int ret_ends[2]);

/* Listen at `path`, for this user only.  A socket that nobody listens at is replaced;
 * ERR_exists for anything else that is there, ERR_limit for a path that is too long
 * for a socket (107 bytes).  Accepting never waits. */
ERR_MUST_CHECK enum err os_stream_listen(const char *path, int *ret_fd);

/* Take one connection; *ret_fd is -1 if none is waiting. */
ERR_MUST_CHECK enum err os_stream_accept(int listener, int *ret_fd);

/* ERR_not_found, ERR_access, ERR_limit; ERR_nub_lost when nobody listens there. */
ERR_MUST_CHECK enum err os_stream_connect(const char *path, int *ret_fd);

/* Send all of it. */
ERR_MUST_CHECK enum err os_stream_send(int fd, const void *data, size_t size,
                                       uint64_t deadline_ns);

/* Take what is there, at least one byte, at most `size`.  Descriptors that came with it
 * are closed unseen; *ret_descriptors says that there were some. */
ERR_MUST_CHECK enum err os_stream_receive(int fd, void *data, size_t size,
                                          uint64_t deadline_ns, size_t *ret_size,
                                          bool *ret_descriptors);

/* The same two without waiting; *ret_size may be 0. */
ERR_MUST_CHECK enum err os_stream_send_some(int fd, const void *data, size_t size,
                                            size_t *ret_size);
ERR_MUST_CHECK enum err os_stream_receive_some(int fd, void *data, size_t size,
                                               size_t *ret_size, bool *ret_descriptors);

/* One stream that somebody waits for. */
struct os_stream_event {
    int fd; /* -1: skip this one */
    bool wants_read, wants_write;
    bool ready; /* answer: one of the two can be done, or would fail at once */
};

/* Wait until one is ready.  ERR_timeout, ERR_interrupted. */
ERR_MUST_CHECK enum err os_stream_wait(struct os_stream_event *event, size_t count,
                                       uint64_t deadline_ns);

#endif
