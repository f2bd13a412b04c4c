/* SPDX-License-Identifier: MIT
 *
 * base/os_bridge.h - Unix stream sockets to processes that are not trusted.
 *
 * Nothing here waits longer than its deadline (monotonic ns; UINT64_MAX: for ever, but
 * an interrupt ends it).  Descriptors are not inherited by children.
 */
#ifndef BASE_OS_BRIDGE_H
#define BASE_OS_BRIDGE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Connect to a path; tries until the deadline while nobody listens.  ERR_not_found,
 * ERR_access, ERR_limit (path too long), ERR_timeout, ERR_io. */
ERR_MUST_CHECK enum err os_bridge_connect(const char *path, uint64_t deadline_ns,
                                          int *ret_fd);

/* Listen at a path that does not exist yet (ERR_exists). */
ERR_MUST_CHECK enum err os_bridge_listen(const char *path, int *ret_fd);

/* Wait for one client.  ERR_interrupted. */
ERR_MUST_CHECK enum err os_bridge_accept(int fd, int *ret_fd);

/* Run a shell command with one end of a socket pair as its descriptor 3, /dev/null as
 * standard input and no other descriptors but 1 and 2. */
ERR_MUST_CHECK enum err os_bridge_spawn(const char *command, int *ret_fd,
                                        int *ret_process);

/* Wait a second for a process to end by itself, then end it.  0 and less: nothing. */
void os_bridge_end(int process);

/* Move exactly `size` bytes.  ERR_io when the other side is gone, ERR_timeout,
 * ERR_interrupted. */
ERR_MUST_CHECK enum err os_bridge_send(int fd, const void *data, size_t size,
                                       uint64_t deadline_ns);
ERR_MUST_CHECK enum err os_bridge_receive(int fd, void *data, size_t size,
                                          uint64_t deadline_ns);

/* Is there something to read?  Does not wait. */
bool os_bridge_readable(int fd);

#endif
