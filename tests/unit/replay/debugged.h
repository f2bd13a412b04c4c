/* SPDX-License-Identifier: MIT
 *
 * tests/unit/replay/debugged.h - a trace under the debugger: its guest and time line;
 * and lines, of which two can be compared.
 */
#ifndef TESTS_UNIT_REPLAY_DEBUGGED_H
#define TESTS_UNIT_REPLAY_DEBUGGED_H

#include "tests/test.h"

#include "replay/timeline.h"

/* Open what `source` has, which outlives it. */
void debugged_open(const struct trace_source *source,
                   const struct replay_timeline_options *how,
                   struct replay_debug *ret_debug,
                   struct replay_timeline **ret_timeline);
void debugged_close(struct replay_debug *debug, struct replay_timeline *timeline);

/* Run to the next stop or the end, in one direction; which of them it was. */
enum replay_end_kind debugged_run(struct replay_timeline *timeline, bool forward,
                                  bool pass_watch);

/* A time line with all that it needs. */
struct line {
    struct bytes file;
    struct trace_source source;
    struct replay_debug debug;
    struct replay_timeline *timeline;
};

/* `file` is borrowed. */
void open_line(struct line *line, struct bytes file, uint64_t spacing);
void close_line(struct line *line);

/* They stand at the same position, in the same state. */
void compare_lines(const struct line *a, const struct line *b);

#endif
