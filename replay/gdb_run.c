/* SPDX-License-Identifier: MIT
 *
 * Resuming the guest for gdb, and how it tells where it stopped (trace-replay.md 9.2,
 * 9.3).
 */
#include "replay/gdb_agent.h"
#include "replay/gdb_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- stops ---- */

/* Types 2, 3 and 4 are watchpoints. */
static unsigned access_of(unsigned type)
{
    return (type != 3 ? REPLAY_WATCH_WRITE : 0u) | (type != 2 ? REPLAY_WATCH_READ : 0u);
}

/* Give the time line the stops that gdb has set. */
static enum err set_stops(struct replay_gdb *gdb)
{
    if (!gdb->stops_stale)
        return ERR_ok;
    size_t breaks = 0, watches = 0;
    uint64_t *address = malloc((gdb->stop_count + 1) * sizeof *address);
    struct replay_watch *watch = malloc((gdb->stop_count + 1) * sizeof *watch);
    for (size_t i = 0; address && watch && i < gdb->stop_count; i++) {
        const struct gdb_stop *stop = &gdb->stop[i];
        if (stop->type < 2)
            address[breaks++] = stop->address;
        else
            watch[watches++] =
                (struct replay_watch){stop->address, stop->size, access_of(stop->type)};
    }
    enum err err = ERR_nomem;
    if (address && watch)
        err = replay_timeline_set_stops(gdb->timeline, address, breaks, watch, watches);
    free(address);
    free(watch);
    gdb->stops_stale = err != ERR_ok;
    return err;
}

static uint64_t register_value(const struct replay_gdb *gdb, unsigned index)
{
    uint8_t bytes[16] = {0};
    uint64_t value = 0;
    gdb->guest->ops->register_get(gdb->guest->self, index, bytes);
    for (unsigned i = gdb->guest->ops->reg[index].size; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

/* Do all conditions of this breakpoint say no? */
static bool is_refused(const struct replay_gdb *gdb, const struct gdb_stop *stop)
{
    if (!stop->condition)
        return false;
    for (size_t at = 0; at + 4 <= stop->condition_size;) {
        uint32_t size;
        memcpy(&size, stop->condition + at, sizeof size);
        at += sizeof size;
        if (!replay_gdb_agent_false(gdb->guest, bytes_of(stop->condition + at, size)))
            return false;
        at += size;
    }
    return true;
}

static bool accept(void *self, const struct replay_stop *reached)
{
    const struct replay_gdb *gdb = self;
    uint64_t pc = register_value(gdb, gdb->guest->ops->code_reg);
    (void)reached;
    for (size_t i = 0; i < gdb->stop_count; i++) {
        const struct gdb_stop *stop = &gdb->stop[i];
        if (stop->type < 2 && stop->address == pc && !is_refused(gdb, stop))
            return true;
    }
    return false;
}

/* ---- stop replies ---- */

/* "swbreak:;" and so on; "" for a plain SIGTRAP. */
static void put_reason(struct replay_gdb *gdb, uint64_t pc, struct buf *text)
{
    const struct replay_stop *stop = &gdb->reported;
    if (gdb->reported_end == REPLAY_AT_EDGE) {
        buf_text(text, gdb->backward ? "replaylog:begin;" : "replaylog:end;");
        return;
    }
    if (gdb->reported_end != REPLAY_AT_STOP)
        return;
    if (stop->kind == REPLAY_STOP_WATCH) {
        const char *word = "watch";
        if (stop->access == REPLAY_WATCH_READ)
            word = "rwatch";
        else if (stop->access != REPLAY_WATCH_WRITE)
            word = "awatch";
        buf_printf(text, "%s:%" PRIx64 ";", word, stop->address);
        return;
    }
    bool hardware = false;
    for (size_t i = 0; i < gdb->stop_count; i++)
        hardware |= gdb->stop[i].type == 1 && gdb->stop[i].address == pc;
    if (hardware ? gdb->hwbreak : gdb->swbreak)
        buf_text(text, hardware ? "hwbreak:;" : "swbreak:;");
}

void replay_gdb_send_stop(struct replay_gdb *gdb)
{
    const struct replay_guest_ops *ops = gdb->guest->ops;
    const unsigned shown[2] = {ops->sp_reg, ops->pc_reg};
    uint64_t pc = register_value(gdb, ops->code_reg);
    struct buf text;
    buf_init(&text, 512);
    buf_printf(&text, "T%02x", gdb->reported_end == REPLAY_AT_BROKEN ? 2u : 5u);
    for (unsigned i = 0; i < countof(shown); i++) {
        uint8_t bytes[16] = {0};
        ops->register_get(gdb->guest->self, shown[i], bytes);
        buf_printf(&text, "%02x:", shown[i]);
        replay_gdb_put_hex(&text, bytes, ops->reg[shown[i]].size);
        buf_byte(&text, ';');
    }
    put_reason(gdb, pc, &text);
    buf_text(&text, "thread:01;");
    replay_gdb_send(gdb, buf_bytes(&text));
    buf_fini(&text);
}

/* ---- running ---- */

/* Bring `limit` to a place that a run must not pass, if that is closer. */
static void bound(struct replay_time now, uint64_t icount, bool backward,
                  struct replay_time *limit)
{
    struct replay_time at = {.icount = icount};
    int behind = replay_time_compare(at, now);
    int closer = replay_time_compare(at, *limit);
    if (backward ? behind < 0 && closer > 0 : behind > 0 && closer < 0)
        *limit = at;
}

/* The nearest ibreak or event, or `limit`.  ERR_interrupted: long traces are searched.
 */
static enum err find_nearest(struct replay_gdb *gdb, bool backward,
                             struct replay_time *limit)
{
    struct replay_time now = replay_timeline_now(gdb->timeline);
    uint64_t event;
    for (size_t i = 0; i < gdb->icount_count; i++)
        bound(now, gdb->icount[i], backward, limit);
    if (!gdb->pattern[0])
        return ERR_ok;
    enum err err =
        replay_query_next(gdb->query, now.icount, backward, gdb->pattern, &event);
    if (!err)
        bound(now, event, backward, limit);
    return err == ERR_interrupted ? err : ERR_ok;
}

/* Does gdb have to hear of accesses in single steps?  It keeps the value that it saw
 * last; where an access stops in front, gdb steps over it itself. */
static bool steps_watched(const struct replay_gdb *gdb)
{
    bool watches = false;
    for (size_t i = 0; i < gdb->stop_count; i++)
        watches |= gdb->stop[i].type >= 2;
    return watches && !gdb->guest->ops->watch_before;
}

/* A step forwards that heeds watchpoints. */
static enum err step_over(struct replay_gdb *gdb)
{
    struct replay_time now = replay_timeline_now(gdb->timeline);
    const struct replay_run how = {
        .limit = {now.icount, now.sub + 1}, .accept = accept, .accept_self = gdb};
    TRY(set_stops(gdb));
    TRY(replay_timeline_forward(gdb->timeline, &how, &gdb->reported_end,
                                &gdb->reported));
    if (gdb->reported_end == REPLAY_AT_EDGE &&
        replay_time_compare(now, replay_timeline_now(gdb->timeline)) != 0)
        gdb->reported_end = REPLAY_AT_LIMIT;
    return ERR_ok;
}

static enum err step(struct replay_gdb *gdb, bool backward)
{
    bool moved;
    bool fenced =
        backward &&
        replay_time_compare(replay_timeline_now(gdb->timeline), gdb->fence) <= 0 &&
        gdb->fence.icount;
    if (fenced) {
        gdb->reported_end = REPLAY_AT_EDGE;
        return ERR_ok;
    }
    if (!backward && steps_watched(gdb))
        return step_over(gdb);
    TRY((backward ? replay_timeline_step_back : replay_timeline_step)(gdb->timeline,
                                                                      &moved));
    gdb->reported_end = moved ? REPLAY_AT_LIMIT : REPLAY_AT_EDGE;
    if (!moved || !steps_watched(gdb))
        return ERR_ok;
    /* What does the step do that has been taken back? */
    struct replay_time here = replay_timeline_now(gdb->timeline);
    TRY(step_over(gdb));
    gdb->reported.time = here;
    return replay_timeline_seek(gdb->timeline, here);
}

static enum err run(struct replay_gdb *gdb, bool backward)
{
    struct replay_time now = replay_timeline_now(gdb->timeline);
    /* Only a guest that stops in front would meet the same access again. */
    bool accessed =
        gdb->guest->ops->watch_before && gdb->reported_end == REPLAY_AT_STOP &&
        gdb->reported.kind == REPLAY_STOP_WATCH &&
        replay_time_compare(gdb->reported.time, now) == 0 && gdb->backward == backward;
    struct replay_time edge = backward ? gdb->fence : REPLAY_TIME_NEVER;
    struct replay_run how = {
        .limit = edge,
        .pass_watch = accessed,
        .accept = accept,
        .accept_self = gdb,
    };
    TRY(find_nearest(gdb, backward, &how.limit));
    TRY(set_stops(gdb));
    TRY((backward ? replay_timeline_backward : replay_timeline_forward)(
        gdb->timeline, &how, &gdb->reported_end, &gdb->reported));
    if (gdb->reported_end == REPLAY_AT_LIMIT && backward &&
        replay_time_compare(how.limit, gdb->fence) == 0)
        gdb->reported_end = REPLAY_AT_EDGE;
    return ERR_ok;
}

/* Step as long as pc is in [first, end): what gdb's `next` does, without asking it. */
static enum err step_range(struct replay_gdb *gdb, uint64_t first, uint64_t end)
{
    struct replay_run how = {.accept = accept, .accept_self = gdb};
    uint64_t pc;
    TRY(set_stops(gdb));
    /* An access that gdb has been told of is passed; it steps over it, then. */
    how.pass_watch = gdb->guest->ops->watch_before &&
                     gdb->reported_end == REPLAY_AT_STOP &&
                     gdb->reported.kind == REPLAY_STOP_WATCH;
    do {
        struct replay_time now = replay_timeline_now(gdb->timeline);
        how.limit = (struct replay_time){.icount = now.icount + 1};
        TRY(replay_timeline_forward(gdb->timeline, &how, &gdb->reported_end,
                                    &gdb->reported));
        how.pass_watch = false;
        pc = register_value(gdb, gdb->guest->ops->pc_reg);
    } while (gdb->reported_end == REPLAY_AT_LIMIT && pc >= first && pc < end);
    return ERR_ok;
}

/* What cannot be replayed ends the session's time there.  `speaks`: this is an answer
 * to a resumption, in front of which there may be output. */
static void say_error(struct replay_gdb *gdb, enum err err, bool speaks)
{
    char text[200];
    (void)snprintf(text, sizeof text, "lockstep: at icount %" PRIu64 ": %s\n",
                   replay_timeline_now(gdb->timeline).icount, err_text(err));
    if (speaks)
        replay_gdb_say(gdb, text);
    gdb->reported_end = err == ERR_interrupted ? REPLAY_AT_BROKEN : REPLAY_AT_EDGE;
}

void replay_gdb_resume(struct replay_gdb *gdb, bool is_step, bool backward)
{
    enum err err = (is_step ? step : run)(gdb, backward);
    gdb->backward = backward;
    if (err)
        say_error(gdb, err, true);
    gdb->reported.time = replay_timeline_now(gdb->timeline);
    replay_gdb_send_stop(gdb);
}

void replay_gdb_resume_range(struct replay_gdb *gdb, uint64_t first, uint64_t end)
{
    enum err err = step_range(gdb, first, end);
    gdb->backward = false;
    if (err)
        say_error(gdb, err, true);
    gdb->reported.time = replay_timeline_now(gdb->timeline);
    replay_gdb_send_stop(gdb);
}

/* ---- seeking ---- */

static void visit(struct replay_gdb *gdb, struct replay_time from)
{
    if (gdb->visit_at == GDB_VISIT_MAX) {
        memmove(gdb->visit, gdb->visit + 1, sizeof gdb->visit - sizeof gdb->visit[0]);
        gdb->visit_at--;
    }
    gdb->visit[gdb->visit_at++] = from;
    gdb->visit_count = gdb->visit_at;
}

void replay_gdb_go(struct replay_gdb *gdb, const char *position)
{
    struct replay_time from = replay_timeline_now(gdb->timeline);
    enum err err = replay_query_go(gdb->query, position);
    gdb->backward = false;
    gdb->reported_end = REPLAY_AT_LIMIT;
    gdb->reported = (struct replay_stop){.time = replay_timeline_now(gdb->timeline)};
    if (!err)
        visit(gdb, from);
    else if (err != ERR_usage && err != ERR_not_found)
        say_error(gdb, err, false);
}
