/* SPDX-License-Identifier: MIT
 *
 * Hostile traces: whatever the bytes say, a replay ends, within its memory and gas, and
 * with a verdict.  The first byte chooses the form of the rest:
 *
 *   even   a trace file
 *   odd    records, put into the open tail of a file whose checksums are right
 *
 * With bit 2 the trace is opened in the debugger too, with bit 3 the replay stops at
 * the percentage that the other four bits are.
 */
#include "replay/query.h"
#include "replay/replay.h"

#include "tests/fuzz/open_tail.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { GAS_MAX = 1 << 20, MEMORY_MAX = 64 << 20 };
enum { POLL_COUNT_MAX = 8 };

static void replay(struct bytes file, bool locate, unsigned percent)
{
    struct replay_options options = {
        .gas_max = GAS_MAX, .memory_max = MEMORY_MAX, .locate = locate};
    if (percent)
        options.to =
            (struct replay_position){.kind = REPLAY_AT_PERCENT, .value = percent};
    struct replay_report report;
    struct trace_source source = trace_bytes_source(&file);
    replay_trace(&source, &options, &report);
    check(report.class == REPLAY_DIVERGED || !report.diverged);
    check((report.class == REPLAY_SAME) <= report.finished);
    check(memchr(report.detail, 0, sizeof report.detail));
}

/* ---- the same under the debugger ---- */

static bool interrupted(void *self)
{
    unsigned *left = self;
    return *left == 0 || --*left == 0;
}

/* Whatever can be visited is: forwards, backwards, to places. */
static void walk(struct replay_query *query, unsigned *polls)
{
    static const char *const position[] = {"end", "50%", "e:7", "g:90", "out:1", "-3"};
    static const struct replay_watch all = {0, (uint64_t)1 << 32,
                                            REPLAY_WATCH_READ | REPLAY_WATCH_WRITE};
    struct replay_timeline *t = query->timeline;
    struct replay_stop stop;
    enum replay_end_kind end;
    struct trace_record record;
    bool moved;
    for (size_t i = 0; i < countof(position); i++) {
        *polls = POLL_COUNT_MAX;
        (void)!replay_query_go(query, position[i]);
        (void)!replay_timeline_step_back(t, &moved);
        check(replay_time_compare(replay_timeline_now(t), replay_timeline_end(t)) <= 0);
    }
    *polls = POLL_COUNT_MAX;
    if (!replay_timeline_set_stops(t, NULL, 0, &all, 1) &&
        !replay_timeline_backward(t, &(struct replay_run){0}, &end, &stop))
        (void)!replay_timeline_forward(
            t, &(struct replay_run){.limit = REPLAY_TIME_NEVER}, &end, &stop);
    (void)!replay_query_event(query, 5, true, &record);
}

static void debug(struct bytes file)
{
    char message[REPLAY_DEBUG_MESSAGE_SIZE];
    struct trace_source source = trace_bytes_source(&file);
    struct replay_debug opened;
    struct replay_timeline *timeline;
    struct replay_query query;
    unsigned polls = POLL_COUNT_MAX;
    const struct replay_timeline_options how = {
        .memory_max = 8 << 20,
        .spacing = 1000,
        .interrupted = interrupted,
        .interrupted_self = &polls,
    };
    if (replay_debug_open(&source, &opened, message)) {
        check(message[0] && memchr(message, 0, sizeof message));
        return;
    }
    if (!replay_timeline_create(&opened.guest, &how, &timeline)) {
        if (!replay_query_init(&query, &source, &opened, timeline)) {
            walk(&query, &polls);
            replay_query_fini(&query);
        }
        replay_timeline_close(timeline);
    }
    replay_debug_close(&opened);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct bytes rest = bytes_of(data + 1, size - 1);
    struct bytes file = data[0] & 1 ? open_tail_of(TRACE_GUEST_PVM, rest) : rest;
    unsigned percent = data[0] & 8 ? (data[0] >> 4) * 6u + 1 : 0;
    replay(file, data[0] & 2, percent);
    if (data[0] & 4)
        debug(file);
    return 0;
}
