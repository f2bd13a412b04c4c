/* SPDX-License-Identifier: MIT
 *
 * replay/query.h - questions about a replayed session: positions as people type them,
 * events, and who wrote, reads or runs what (trace-replay.md 1, 9.5, 12).
 *
 * A question that has to execute leaves the guest where it was; it replaces the stops
 * of the time line.
 */
#ifndef REPLAY_QUERY_H
#define REPLAY_QUERY_H

#include "replay/timeline.h"

struct replay_query {
    const struct trace_source *source;
    const struct replay_debug *debug;
    struct replay_timeline *timeline;
    struct arena arena;
    struct trace_reader *reader;
    /* Names of positions: "#NAME". */
    struct replay_name {
        char name[40];
        struct replay_time time;
    } * name;
    size_t name_count;
    uint64_t read_count; /* events */
};
enum { REPLAY_NAME_COUNT_MAX = 1000 };

/* Everything is borrowed.  Bookmarks of the trace become names. */
ERR_MUST_CHECK enum err replay_query_init(struct replay_query *query,
                                          const struct trace_source *source,
                                          const struct replay_debug *debug,
                                          struct replay_timeline *timeline);
void replay_query_fini(struct replay_query *query);

/* Give now a name.  ERR_usage: not letters, digits, '-', '_', '.'; ERR_limit. */
ERR_MUST_CHECK enum err replay_query_name(struct replay_query *query, const char *name);

/* A position in text: N, N+S, e:N, out:N, N%, start, end, +N, -N, #NAME; or g:N, which
 * only a run can find: then *ret_gas is not UINT64_MAX.  ERR_usage: it is none,
 * ERR_not_found: no such event, byte or name. */
ERR_MUST_CHECK enum err replay_query_position(struct replay_query *query,
                                              const char *text,
                                              struct replay_time *ret_time,
                                              uint64_t *ret_gas);

/* Go there; as replay_query_position and replay_timeline_seek. */
ERR_MUST_CHECK enum err replay_query_go(struct replay_query *query, const char *text);

/* The first event whose clock is behind (or, `inclusive`, at or behind) `icount`.
 * ERR_not_found. */
ERR_MUST_CHECK enum err replay_query_event(struct replay_query *query, uint64_t icount,
                                           bool inclusive,
                                           struct trace_record *ret_record);

/* "pvm.ecall", "ecall", "ecall:65": kind, and the value of its field op. */
bool replay_query_matches(const struct trace_record *record, const char *pattern);

/* The event that matches nearest behind, or before, `icount`.  ERR_not_found. */
ERR_MUST_CHECK enum err replay_query_next(struct replay_query *query, uint64_t icount,
                                          bool backward, const char *pattern,
                                          uint64_t *ret_icount);

/* Call `each` for up to `count` events from number `seq` on. */
ERR_MUST_CHECK enum err replay_query_events(
    struct replay_query *query, uint64_t seq, uint64_t count, const char *pattern,
    bool (*each)(void *self, const struct trace_record *record), void *self);
/* One line: "e:12 icount 3 gas 40 pvm.ecall frame=0 …", cut. */
void replay_query_put_event(const struct trace_record *record, struct buf *text);

/* ---- questions that execute ---- */

struct replay_answer {
    bool found;
    struct replay_time time; /* in front of the instruction */
    uint64_t gas, pc;
    uint8_t before[16], after[16]; /* the first bytes of the range */
    size_t size;
    char insn[96];
};

/* The last instruction before now that wrote to a range, the first from now on that
 * reads it, and the last before and first from now on at a code address. */
ERR_MUST_CHECK enum err replay_query_last_write(struct replay_query *query,
                                                uint64_t address, uint64_t size,
                                                struct replay_answer *ret_answer);
ERR_MUST_CHECK enum err replay_query_next_read(struct replay_query *query,
                                               uint64_t address, uint64_t size,
                                               struct replay_answer *ret_answer);
ERR_MUST_CHECK enum err replay_query_who(struct replay_query *query, uint64_t pc,
                                         bool backward,
                                         struct replay_answer *ret_answer);

#endif
