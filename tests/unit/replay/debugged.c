/* SPDX-License-Identifier: MIT */
#include "tests/unit/replay/debugged.h"

void debugged_open(const struct trace_source *source,
                   const struct replay_timeline_options *how,
                   struct replay_debug *ret_debug,
                   struct replay_timeline **ret_timeline)
{
    char message[REPLAY_DEBUG_MESSAGE_SIZE];
    if (replay_debug_open(source, ret_debug, message))
        fail_msg("%s", message);
    assert_int_equal(replay_timeline_create(&ret_debug->guest, how, ret_timeline),
                     ERR_ok);
}

void debugged_close(struct replay_debug *debug, struct replay_timeline *timeline)
{
    replay_timeline_close(timeline);
    replay_debug_close(debug);
}

enum replay_end_kind debugged_run(struct replay_timeline *timeline, bool forward,
                                  bool pass_watch)
{
    struct replay_run run = {.pass_watch = pass_watch};
    enum replay_end_kind end;
    struct replay_stop stop;
    if (forward)
        run.limit = REPLAY_TIME_NEVER;
    assert_int_equal((forward ? replay_timeline_forward
                              : replay_timeline_backward)(timeline, &run, &end, &stop),
                     ERR_ok);
    return end;
}

void open_line(struct line *line, struct bytes file, uint64_t spacing)
{
    const struct replay_timeline_options how = {.spacing = spacing};
    line->file = file;
    line->source = trace_bytes_source(&line->file);
    debugged_open(&line->source, &how, &line->debug, &line->timeline);
}

void close_line(struct line *line)
{
    debugged_close(&line->debug, line->timeline);
}

void compare_lines(const struct line *a, const struct line *b)
{
    uint8_t want[32], got[32];
    const struct replay_guest *x = &a->debug.guest, *y = &b->debug.guest;
    assert_int_equal(replay_time_compare(replay_timeline_now(a->timeline),
                                         replay_timeline_now(b->timeline)),
                     0);
    assert_int_equal(x->ops->hash(x->self, want), ERR_ok);
    assert_int_equal(y->ops->hash(y->self, got), ERR_ok);
    assert_memory_equal(want, got, sizeof want);
    assert_int_equal(x->ops->gas(x->self), y->ops->gas(y->self));
}
