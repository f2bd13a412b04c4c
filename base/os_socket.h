/* SPDX-License-Identifier: MIT
 *
 * base/os_socket.h - stream sockets of this machine, and programs that run beside us.
 *
 * Part of the only door to the operating system; errors as in base/os.h.
 */
#ifndef BASE_OS_SOCKET_H
#define BASE_OS_SOCKET_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Listen at a path that does not exist yet, for this user only; or at a TCP port of
 * 127.0.0.1, port 0 being any.  ERR_exists, ERR_access, ERR_usage for a path that is
 * too long, ERR_io. */
ERR_MUST_CHECK enum err os_listen_unix(const char *path, int *ret_fd);
ERR_MUST_CHECK enum err os_listen_tcp(uint16_t port, int *ret_fd, uint16_t *ret_port);

/* Wait up to `timeout_ms` for a connection; *ret_fd is -1 if there was none. */
ERR_MUST_CHECK enum err os_accept(int fd, int timeout_ms, int *ret_fd);

/* Wait up to `timeout_ms` (-1: for ever) for bytes.  *ret_size 0: none came.
 * ERR_interrupted by a signal, ERR_io also when the other side has closed. */
ERR_MUST_CHECK enum err os_receive(int fd, int timeout_ms, void *data, size_t size,
                                   size_t *ret_size);
/* Send all of it; a closed connection is ERR_io, never a signal. */
ERR_MUST_CHECK enum err os_send(int fd, const void *data, size_t size);

/* A new folder for this user only: `pattern` ends in "XXXXXX", which is replaced. */
ERR_MUST_CHECK enum err os_folder_create_private(char *pattern);
ERR_MUST_CHECK enum err os_folder_remove(const char *path);

/* Start a program found through PATH, with our standard streams, and go on.  Signals
 * have their default meaning for it.  `argv` ends with NULL.  ERR_not_found. */
ERR_MUST_CHECK enum err os_start(const char *const *argv, int *ret_pid);
/* Has it ended?  *ret_status as that of os_run(). */
ERR_MUST_CHECK enum err os_ended(int pid, bool *ret_ended, int *ret_status);

/* Ctrl-C is for the program beside us. */
void os_ignore_interrupts(void);

#endif
