/* SPDX-License-Identifier: MIT
 *
 * base/os.h - the only door to the operating system.
 *
 * Everything that a pure folder must not do is done here: files, mappings, time,
 * randomness.  errno ends here; callers see `enum err`.  Paths are C strings, "-"
 * means nothing special.  Linux.
 */
#ifndef BASE_OS_H
#define BASE_OS_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Text of the last failure of this thread, for one-line messages ("No space left on
 * device"); "" if nothing failed yet.  Static storage. */
const char *os_error_text(void);

/* ---- whole files ---- */

/* Append the whole file to `buf`, whose size_max bounds it.  "/dev/stdin" works.
 * ERR_not_found, ERR_access, ERR_io, ERR_limit, ERR_nomem. */
ERR_MUST_CHECK enum err os_file_read(const char *path, struct buf *buf);

/* Write through a temporary file in the same folder and rename: readers see the old
 * or the new content.  Plain write where `path` is no regular file. */
ERR_MUST_CHECK enum err os_file_write(const char *path, struct bytes content);

bool os_file_exists(const char *path);

/* Is it, or does it lead to, a regular file?  Reading one does not wait. */
bool os_file_is_regular(const char *path);

/* Do both paths lead to one existing file? */
bool os_file_same(const char *a, const char *b);

/* True for a folder (or a link to one). */
bool os_folder_exists(const char *path);

/* Make a folder; its parent must be there, and it may be there itself. */
ERR_MUST_CHECK enum err os_folder_create(const char *path);

/* A new folder for this user only: `pattern` ends in "XXXXXX", which is replaced. */
ERR_MUST_CHECK enum err os_folder_create_private(char *pattern);
ERR_MUST_CHECK enum err os_folder_remove(const char *path);

/* Append the names in a folder in bytewise order, each with a NUL behind it and, for a
 * folder, a '/' before that.  "." and ".." are left out. */
ERR_MUST_CHECK enum err os_folder_list(const char *path, struct buf *names);

/* ---- files by descriptor; fd -1 is "none" and fine to close ---- */

enum os_open_mode {
    OS_OPEN_READ,
    OS_OPEN_CREATE, /* read and write, truncated */
    OS_OPEN_UPDATE, /* read and write, must exist */
};
ERR_MUST_CHECK enum err os_open(const char *path, enum os_open_mode mode, int *ret_fd);

/* Open `path` below the folder `dir_fd`, never outside it (openat2 with
 * RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS).  Regular files only. */
ERR_MUST_CHECK enum err os_open_beneath(int dir_fd, const char *path,
                                        enum os_open_mode mode, int *ret_fd);
ERR_MUST_CHECK enum err os_open_dir(const char *path, int *ret_fd);
void os_close(int fd);

/* Move exactly `size` bytes at `offset`; a short file is ERR_io for writes.  Reads
 * return how much there was. */
ERR_MUST_CHECK enum err os_pread(int fd, uint64_t offset, void *data, size_t size,
                                 size_t *ret_size);
ERR_MUST_CHECK enum err os_pwrite(int fd, uint64_t offset, const void *data,
                                  size_t size);

/* One read or write at the file's own position; may be short; 0 is the end. */
ERR_MUST_CHECK enum err os_read(int fd, void *data, size_t size, size_t *ret_size);
ERR_MUST_CHECK enum err os_write_all(int fd, const void *data, size_t size);

/* Would a read answer at once (bytes, the end, or an error)? */
bool os_readable(int fd);

/* whence: 0 start, 1 current, 2 end. */
ERR_MUST_CHECK enum err os_seek(int fd, int64_t offset, int whence,
                                uint64_t *ret_offset);
ERR_MUST_CHECK enum err os_size(int fd, uint64_t *ret_size);
ERR_MUST_CHECK enum err os_truncate(int fd, uint64_t size);
ERR_MUST_CHECK enum err os_allocate(int fd, uint64_t offset, uint64_t size);
ERR_MUST_CHECK enum err os_datasync(int fd);
ERR_MUST_CHECK enum err os_unlink(const char *path);
ERR_MUST_CHECK enum err os_rename(const char *from, const char *to);

/* Map part of a file for reading and writing, shared; offset is page aligned. */
ERR_MUST_CHECK enum err os_map_shared(int fd, uint64_t offset, size_t size,
                                      void **ret_data);
/* Write zeros to [offset, offset + size) of the file, which is mapped at `data` and
 * holds nothing that counts, to make the first stores there cheap: what is written at
 * once lies in a few large pages, and needs no fault for each of 4096 bytes.  Where
 * that fails it does not matter. */
enum { OS_PREPARE_MAX = 65536 };
void os_map_prepare(int fd, uint64_t offset, void *data, size_t size);
ERR_MUST_CHECK enum err os_map_sync(void *data, size_t size);
void os_unmap(void *data, size_t size);

/* ---- memory ---- */

/* Most of this memory will be used soon, at random places: it may have huge pages where
 * the system has some.  Changes no content; failures do not matter. */
void os_advise_dense(void *data, size_t size);

/* Zeroed, lazily committed address space (MAP_NORESERVE); pages cost nothing until
 * touched.  ERR_nomem. */
ERR_MUST_CHECK enum err os_reserve(size_t size, void **ret_data);
void os_release(void *data, size_t size);

/* Give the pages of a reservation back: they read as zero again, and have no page
 * protection. */
void os_discard(void *data, size_t size);

/* ---- the world's inputs ---- */

uint64_t os_clock_realtime_ns(void);
uint64_t os_clock_monotonic_ns(void);
uint64_t os_clock_cpu_ns(void); /* CPU time of this process */
void os_sleep_ns(uint64_t duration_ns);
void os_random(void *data, size_t size);
unsigned os_cpu_count(void);

/* True for a terminal. */
bool os_is_terminal(int fd);

/* Wait until `fd` can be read (data or its end) or the time is over; true if it can.
 * An interrupt ends the wait. */
bool os_wait_readable(int fd, uint64_t timeout_ns);

/* Give keys as they are typed, without echo; Ctrl-C still interrupts.  `on` false
 * restores what was there before.  Nothing happens if `fd` is no terminal. */
void os_terminal_raw(int fd, bool on);

/* Run another program, found through PATH, with our standard streams, and wait for it.
 * `argv` ends with NULL.  *ret_status is its exit status, 128 + n after signal n.
 * ERR_not_found when there is no such program. */
ERR_MUST_CHECK enum err os_run(const char *const *argv, int *ret_status);

/* Run `work` on `thread_count` threads, the caller's included, and wait for all of
 * them.  Where there are no more threads, fewer do it: `work` must take its tasks from
 * a common place. */
void os_threads_run(unsigned thread_count, void (*work)(void *self), void *self);

/* Ctrl-C, SIGTERM and a hangup set a flag instead of ending the process; a second
 * signal ends it.  os_interrupted() reads the flag.  Writing to a closed pipe becomes
 * ERR_io. */
void os_catch_interrupts(void);
bool os_interrupted(void);

#endif
