/* SPDX-License-Identifier: MIT
 *
 * replay/position.h - places on a guest's time line as people type them
 * (trace-replay.md 1).
 *
 *   N        icount          e:N   event        g:N   gas clock
 *   N+S      inside an instruction or a sleep: of a pc; of a kernel, its S-th
 * invocation at one instruction count N%       of the icount   start, end         +N -N
 * relative, in instructions
 */
#ifndef REPLAY_POSITION_H
#define REPLAY_POSITION_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum replay_position_kind {
    REPLAY_AT_END, /* the zeroed struct */
    REPLAY_AT_START,
    REPLAY_AT_ICOUNT,
    REPLAY_AT_EVENT,
    REPLAY_AT_GAS,
    REPLAY_AT_PERCENT,
    REPLAY_AT_FORWARD, /* relative to another position */
    REPLAY_AT_BACKWARD,
};

struct replay_position {
    enum replay_position_kind kind;
    uint64_t value;
    uint64_t sub; /* ICOUNT */
};

/* The whole text; numbers are decimal or 0x hex.  False: not a position. */
bool replay_position_parse(const char *text, struct replay_position *ret_position);

/* "A..B"; A and B may be missing (start, end). */
bool replay_range_parse(const char *text, struct replay_position *ret_from,
                        struct replay_position *ret_to);

struct trace_reader;
struct trace_clock;

/*
 * The first event at or behind a position, by reading `reader` on from where it stands
 * (its beginning): its number and clock; past the end, the number of events and the
 * clock of the last one.  `base` is the icount that relative positions start from.
 */
ERR_MUST_CHECK enum err replay_position_find(struct trace_reader *reader,
                                             const struct replay_position *position,
                                             uint64_t base, uint64_t *ret_seq,
                                             struct trace_clock *ret_clock);

#endif
