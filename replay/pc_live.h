/* SPDX-License-Identifier: MIT
 *
 * replay/pc_live.h - the real world for the pc guest: its console and the passing of
 * time (machine.md 5.5 and 5.7).
 *
 * The console's input is a file descriptor, a script or nothing.  A script waits for
 * text or time, types, and changes the guest's files from outside; because it is looked
 * at between slices of a fixed length, a run with a script is the same every time.
 */
#ifndef REPLAY_PC_LIVE_H
#define REPLAY_PC_LIVE_H

#include "replay/pc.h"

struct replay_pc_live;

struct replay_pc_live_options {
    /* Takes what the guest prints; false ends the run. */
    bool (*out)(void *self, struct bytes data);
    void *out_self;
    int input_fd;        /* -1: none */
    struct bytes script; /* size 0: none; borrowed */
    struct bytes until;  /* end the run when the guest has printed this; or empty */
    uint64_t output_max; /* end the run behind so many bytes */
    bool pace;           /* while the guest sleeps, virtual time is real time */
    bool (*interrupted)(void); /* asked at slice ends; may be NULL */
    /* The id of a file that a script names, "[EXPORT:]/path"; NULL: none can be. */
    bool (*find)(void *self, struct bytes path, uint64_t now_ns, uint64_t *ret_ino);
    void *find_self;
    /* A notification from whoever serves the files, asked for at slice ends: the size
     * of its frame, 0: none.  May be NULL. */
    size_t (*note)(void *self, uint8_t *frame, size_t frame_size_max);
    void *note_self;
};

/* What ended a run from this side. */
enum replay_pc_stop {
    REPLAY_PC_NOT_STOPPED,
    REPLAY_PC_UNTIL,
    REPLAY_PC_OUTPUT_MAX,
    REPLAY_PC_INTERRUPTED,
    REPLAY_PC_OUT_FAILED,
    REPLAY_PC_SCRIPT_FAILED, /* in replay_pc_live_line() */
};

/* A host in `arena`; options are copied.  ERR_usage: the script is wrong at line
 * *ret_line.  ERR_nomem. */
ERR_MUST_CHECK enum err
replay_pc_live_create(struct arena *arena, const struct replay_pc_live_options *options,
                      struct replay_pc_live **ret_live, uint32_t *ret_line);

/* Its table; events of the machine are ignored. */
struct emu_host replay_pc_live_host(struct replay_pc_live *live);

/* The session that it may stop; before the run. */
void replay_pc_live_attach(struct replay_pc_live *live, struct replay_pc *session);

/* Pass on what was printed last.  After the run. */
void replay_pc_live_flush(struct replay_pc_live *live);

enum replay_pc_stop replay_pc_live_stop(const struct replay_pc_live *live);
uint32_t replay_pc_live_line(const struct replay_pc_live *live);
void replay_pc_live_close(struct replay_pc_live *live);

#endif
