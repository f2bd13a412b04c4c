/* SPDX-License-Identifier: MIT
 *
 * Running to breakpoints and watchpoints, forwards and backwards (trace-replay.md 8).
 */
#include "replay/timeline_private.h"

#include <stdlib.h>
#include <string.h>

static bool before(struct replay_time a, struct replay_time b)
{
    return replay_time_compare(a, b) < 0;
}

enum err replay_timeline_set_stops(struct replay_timeline *t,
                                   const uint64_t *break_address, size_t break_count,
                                   const struct replay_watch *watch, size_t watch_count)
{
    struct replay_watch *own = malloc((watch_count + 1) * sizeof *own);
    if (!own)
        return ERR_nomem;
    enum err err = t->guest.ops->set_stops(t->guest.self, break_address, break_count,
                                           watch, watch_count);
    if (err) {
        free(own);
        return err;
    }
    if (watch_count)
        memcpy(own, watch, watch_count * sizeof *own);
    free(t->watch);
    t->watch = own;
    t->watch_count = watch_count;
    t->break_count = break_count;
    return ERR_ok;
}

static bool accepts(const struct replay_run *run, const struct replay_stop *stop)
{
    return stop->kind != REPLAY_STOP_BREAK || !run->accept ||
           run->accept(run->accept_self, stop);
}

/* Execute the access that was met. */
static enum err pass_access(struct replay_timeline *t, struct replay_stop *stop)
{
    bool moved;
    TRY(replay_timeline_step(t, &moved));
    stop->time = replay_tl_now(t);
    return ERR_ok;
}

/* The client wants the run to end, here. */
static enum err break_off(const struct replay_timeline *t,
                          enum replay_end_kind *ret_end, struct replay_stop *ret_stop)
{
    *ret_end = REPLAY_AT_BROKEN;
    *ret_stop =
        (struct replay_stop){.kind = REPLAY_STOP_INTERRUPT, .time = replay_tl_now(t)};
    return ERR_ok;
}

enum err replay_timeline_forward(struct replay_timeline *t,
                                 const struct replay_run *run,
                                 enum replay_end_kind *ret_end,
                                 struct replay_stop *ret_stop)
{
    struct replay_until until = {
        .time = before(run->limit, t->end) ? run->limit : t->end,
        .gas = UINT64_MAX,
        .stops = t->break_count || t->watch_count,
        .pass_break = true,
        .pass_watch = run->pass_watch,
    };
    do {
        TRY(replay_tl_run(t, &until, ret_stop));
        until.pass_break = ret_stop->kind == REPLAY_STOP_BREAK;
        until.pass_watch = false;
    } while (!accepts(run, ret_stop));
    switch (ret_stop->kind) {
    case REPLAY_STOP_INTERRUPT:
        return break_off(t, ret_end, ret_stop);
    case REPLAY_STOP_TIME:
        *ret_end = before(run->limit, t->end) ? REPLAY_AT_LIMIT : REPLAY_AT_EDGE;
        return ERR_ok;
    case REPLAY_STOP_WATCH: {
        *ret_end = REPLAY_AT_STOP;
        enum err err = t->guest.ops->watch_before ? ERR_ok : pass_access(t, ret_stop);
        return err == ERR_interrupted ? break_off(t, ret_end, ret_stop) : err;
    }
    case REPLAY_STOP_BREAK:
    default:
        *ret_end = REPLAY_AT_STOP;
        return ERR_ok;
    }
}

/* ---- backwards ---- */

/* Positions [from, to) as one search. */
struct window {
    struct replay_time from, to;
};

/* Could anything in this stretch be watched?  Only written pages are known. */
static bool may_hit(const struct replay_timeline *t, const struct window *w)
{
    size_t next = replay_tl_find(t, w->from) + 1;
    if (!t->guest.ops->lists_written || t->break_count || next >= t->count ||
        before(t->list[next].time, w->to))
        return true;
    const struct timeline_pages *written = &t->list[next].written;
    if (!written->known)
        return true;
    for (size_t i = 0; i < t->watch_count; i++) {
        const struct replay_watch *watch = &t->watch[i];
        uint64_t first = watch->address / 4096;
        uint64_t last = (watch->address + (watch->size ? watch->size - 1 : 0)) / 4096;
        if (watch->access & REPLAY_WATCH_READ)
            return true;
        size_t low = 0, high = written->count; /* the first page >= first */
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (written->page[middle] < first)
                low = middle + 1;
            else
                high = middle;
        }
        if (low < written->count && written->page[low] <= last)
            return true;
    }
    return false;
}

/* The last stop of a window, at the position where it is reported. */
static enum err scan(struct replay_timeline *t, const struct replay_run *run,
                     const struct window *w, struct replay_time now, bool *ret_found,
                     struct replay_stop *ret_last)
{
    struct replay_until until = {.time = w->to, .gas = UINT64_MAX, .stops = true};
    for (;;) {
        struct replay_stop stop;
        TRY(replay_tl_run(t, &until, &stop));
        if (stop.kind == REPLAY_STOP_INTERRUPT)
            return ERR_interrupted;
        if (stop.kind == REPLAY_STOP_TIME)
            return ERR_ok;
        until.pass_break = true;
        until.pass_watch = stop.kind == REPLAY_STOP_WATCH;
        if (!accepts(run, &stop))
            continue;
        if (stop.kind == REPLAY_STOP_WATCH && t->guest.ops->watch_before) {
            TRY(pass_access(t, &stop));
            until.pass_break = until.pass_watch = false;
            if (run->pass_watch && replay_time_compare(stop.time, now) == 0)
                return ERR_ok; /* reported already, and the last one there can be */
        }
        *ret_found = true;
        *ret_last = stop;
        if (!before(stop.time, w->to))
            return ERR_ok;
    }
}

/* The next window in front of `to`: short ones first, then from snapshot to snapshot.
 */
static struct window window_before(const struct replay_timeline *t,
                                   struct replay_time to, struct replay_time limit,
                                   uint64_t size)
{
    struct replay_time last = {.icount = to.icount - (to.icount && !to.sub)};
    struct window w = {.from = t->list[replay_tl_find(t, last)].time, .to = to};
    if (to.icount - w.from.icount > size)
        w.from = (struct replay_time){.icount = to.icount - size};
    if (before(w.from, limit))
        w.from = limit;
    return w;
}

/* Search window after window. */
static enum err search(struct replay_timeline *t, const struct replay_run *run,
                       struct replay_time now, struct replay_time limit,
                       bool *ret_found, struct replay_stop *ret_stop)
{
    struct replay_time to = now;
    uint64_t size = TIMELINE_NEAR;
    while (!*ret_found && before(limit, to)) {
        struct window w = window_before(t, to, limit, size);
        if (may_hit(t, &w)) {
            TRY(replay_tl_approach(t, w.from));
            TRY(replay_timeline_seek(t, w.from));
            TRY(scan(t, run, &w, now, ret_found, ret_stop));
        } else {
            t->stats.skipped_count++;
        }
        to = w.from;
        size = size > UINT64_MAX / 16 ? UINT64_MAX : size * 16;
        if (t->interrupted && t->interrupted(t->interrupted_self))
            return ERR_interrupted;
    }
    return ERR_ok;
}

enum err replay_timeline_backward(struct replay_timeline *t,
                                  const struct replay_run *run,
                                  enum replay_end_kind *ret_end,
                                  struct replay_stop *ret_stop)
{
    struct replay_time now = replay_tl_now(t), limit = t->guest.start;
    bool found = false, fenced = before(t->guest.start, run->limit);
    if (fenced)
        limit = run->limit;
    if (before(now, limit))
        limit = now;
    enum err err = ERR_ok;
    *ret_stop = (struct replay_stop){0};
    if (t->break_count || t->watch_count)
        err = search(t, run, now, limit, &found, ret_stop);
    if (!err && !found)
        ret_stop->time = limit;
    if (!err)
        err = replay_timeline_seek(t, ret_stop->time);
    if (err == ERR_interrupted)
        return break_off(t, ret_end, ret_stop);
    *ret_end = found ? REPLAY_AT_STOP : fenced ? REPLAY_AT_LIMIT : REPLAY_AT_EDGE;
    return err;
}
