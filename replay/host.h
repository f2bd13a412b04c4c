/* SPDX-License-Identifier: MIT
 *
 * replay/host.h - what the small host (pvm/hostcalls.def) asks of the world.
 *
 * The calls themselves, with their checks of operands and guest memory, are the same
 * for record and replay (host_calls.c).  Only what they cannot know comes through this
 * table; a replay has none.  The live host answers from the operating system.
 */
#ifndef REPLAY_HOST_H
#define REPLAY_HOST_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum replay_host_error {
#define HOSTERR(number, name, text) REPLAY_HOST_##name = number,
#include "pvm/hostcalls.def"
};

enum replay_host_call {
#define HOSTCALL(number, name, signature, text) REPLAY_CALL_##name = number,
#include "pvm/hostcalls.def"
};

enum {
    REPLAY_CALL_REPLY = 0,          /* ends the run (pvm-exec.md 9.3) */
    REPLAY_CALL_SIZE_MAX = 1 << 20, /* bytes that one call moves */
    REPLAY_PATH_SIZE_MAX = 4095,
    REPLAY_OPEN_MAX = 64,
};

/* The answer of a call that Ctrl-C has ended: the run stops before it. */
#define REPLAY_HOST_INTERRUPTED INT64_MIN

/* Every answer is >= 0, minus a replay_host_error, or REPLAY_HOST_INTERRUPTED. */
struct replay_host {
    void *self;
    int64_t (*read)(void *self, uint64_t fd, void *data, size_t size);
    int64_t (*write)(void *self, uint64_t fd, const void *data, size_t size);
    int64_t (*open)(void *self, const char *path, uint64_t flags);
    int64_t (*close)(void *self, uint64_t fd);
    int64_t (*seek)(void *self, uint64_t fd, int64_t offset, uint64_t whence);
    int64_t (*clock)(void *self, uint64_t id);
    int64_t (*random)(void *self, void *data, size_t size);
};

/* ---- the live host -----------------------------------------------------------------
 */

struct replay_live_options {
    int stdin_fd; /* descriptors of the process; -1: closed to the guest */
    int stdout_fd;
    int stderr_fd;
    const char *dir; /* files below this folder; NULL: none */
    bool write;      /* files may be created and changed */
    bool clock_fixed;
    uint64_t clock_ns; /* where a fixed clock begins; each question moves it by 1 us */
    bool random_fixed;
    uint64_t seed; /* of a fixed random sequence (SplitMix64) */
};

struct replay_live;

/* ERR_nomem; not_found or access for the folder. */
ERR_MUST_CHECK enum err replay_live_create(struct arena *arena,
                                           const struct replay_live_options *options,
                                           struct replay_live **ret_live);

/* Close the guest's files.  NULL is fine. */
void replay_live_close(struct replay_live *live);

/* The table; borrows `live`. */
struct replay_host replay_live_host(struct replay_live *live);

#endif
