/* SPDX-License-Identifier: MIT
 *
 * Snapshots along a time line, and going to a position.
 *
 * The list of checkpoints is in order of time; each knows the pages that were written
 * between the one before and itself, if that stretch has been run at a time.  When
 * memory is short, the checkpoint goes whose absence is felt least: the stretch that it
 * leaves, divided by its distance from here.
 */
#include "replay/timeline_private.h"

#include <stdlib.h>
#include <string.h>

#define MEMORY_DEFAULT ((uint64_t)512 << 20)
#define SPACING_DEFAULT UINT64_C(2000000)

/* ---- the list ---- */

static bool before(struct replay_time a, struct replay_time b)
{
    return replay_time_compare(a, b) < 0;
}

struct replay_time replay_tl_now(const struct replay_timeline *t)
{
    return t->guest.ops->time(t->guest.self);
}

/* The last checkpoint at or before a time; there always is the first. */
size_t replay_tl_find(const struct replay_timeline *t, struct replay_time time)
{
    size_t low = 0, high = t->count; /* list[low] <= time */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (before(time, t->list[middle].time))
            high = middle;
        else
            low = middle;
    }
    return low;
}

static enum err pages_copy(struct timeline_pages *to,
                           const struct replay_page_list *from)
{
    to->page = malloc((from->count + 1) * sizeof *to->page);
    if (!to->page)
        return ERR_nomem;
    if (from->count)
        memcpy(to->page, from->page, from->count * sizeof *to->page);
    to->count = from->count;
    to->known = true;
    return ERR_ok;
}

static void pages_fini(struct timeline_pages *pages)
{
    free(pages->page);
    *pages = (struct timeline_pages){0};
}

/* `into` becomes the union; not known if that is too much. */
static void pages_merge(struct timeline_pages *into, struct timeline_pages *from)
{
    size_t a = 0, b = 0, count = 0;
    uint32_t *page = NULL;
    if (into->known && from->known)
        page = malloc((into->count + from->count + 1) * sizeof *page);
    while (page && (a < into->count || b < from->count)) {
        bool take_a =
            b == from->count || (a < into->count && into->page[a] <= from->page[b]);
        uint32_t next = take_a ? into->page[a++] : from->page[b++];
        if (!count || page[count - 1] != next)
            page[count++] = next;
    }
    pages_fini(into);
    *into = (struct timeline_pages){page, count, page != NULL};
}

static void remove_at(struct replay_timeline *t, size_t index)
{
    struct checkpoint *c = &t->list[index];
    if (index + 1 < t->count)
        pages_merge(&c[1].written, &c->written);
    pages_fini(&c->written);
    t->guest.ops->drop(t->guest.self, c->snapshot);
    memmove(c, c + 1, (t->count - index - 1) * sizeof *c);
    t->count--;
}

static uint64_t distance(struct replay_time a, struct replay_time b)
{
    return a.icount > b.icount ? a.icount - b.icount : b.icount - a.icount;
}

/* Drop checkpoints until they fit, never the first nor a kept one. */
static void thin(struct replay_timeline *t)
{
    struct replay_time now = replay_tl_now(t);
    while (t->guest.ops->snapshot_memory(t->guest.self) > t->memory_max) {
        size_t victim = 0;
        double least = 0;
        for (size_t i = 1; i < t->count; i++) {
            const struct checkpoint *c = &t->list[i];
            struct replay_time next = i + 1 < t->count ? c[1].time : t->end;
            double felt = (double)distance(next, c[-1].time) /
                          ((double)distance(now, c->time) + (double)t->spacing);
            if (!c->kept && (!victim || felt < least)) {
                victim = i;
                least = felt;
            }
        }
        if (!victim)
            return;
        remove_at(t, victim);
        t->stats.dropped_count++;
    }
}

static enum err insert(struct replay_timeline *t, size_t index,
                       const struct checkpoint *c)
{
    if (t->count == t->capacity) {
        size_t capacity = t->capacity ? 2 * t->capacity : 64;
        struct checkpoint *list = realloc(t->list, capacity * sizeof *list);
        if (!list)
            return ERR_nomem;
        t->list = list;
        t->capacity = capacity;
    }
    memmove(&t->list[index + 1], &t->list[index],
            (t->count - index) * sizeof t->list[0]);
    t->list[index] = *c;
    t->count++;
    return ERR_ok;
}

enum err replay_tl_save(struct replay_timeline *t)
{
    struct checkpoint c = {.time = replay_tl_now(t)};
    struct replay_page_list written;
    size_t at = t->count ? replay_tl_find(t, c.time) : 0;
    bool exists = t->count && replay_time_compare(t->list[at].time, c.time) == 0;
    if (exists && (t->list[at].written.known || at == 0))
        return ERR_ok;
    /* Pages written since the checkpoint before this place, or more. */
    size_t previous = exists ? at - 1 : at;
    bool known = t->count && !before(t->list[previous].time, t->tracked_from);
    TRY(t->guest.ops->save(t->guest.self, &c.snapshot, &written));
    t->tracked_from = c.time;
    if (known && pages_copy(&c.written, &written))
        c.written = (struct timeline_pages){0};
    if (exists) {
        t->list[at].written = c.written;
        t->guest.ops->drop(t->guest.self, c.snapshot);
        return ERR_ok;
    }
    enum err err = insert(t, t->count ? at + 1 : 0, &c);
    if (err) {
        pages_fini(&c.written);
        t->guest.ops->drop(t->guest.self, c.snapshot);
        return err;
    }
    thin(t);
    return ERR_ok;
}

void replay_tl_load(struct replay_timeline *t, size_t index)
{
    t->guest.ops->load(t->guest.self, t->list[index].snapshot);
    t->tracked_from = t->list[index].time;
    t->stats.load_count++;
}

/* ---- running ---- */

/* Where the next snapshot is due, or one may learn what was written. */
static struct replay_time boundary(const struct replay_timeline *t,
                                   struct replay_time now)
{
    size_t index = replay_tl_find(t, now);
    struct replay_time at = {.icount = t->list[index].time.icount + t->spacing};
    if (!before(now, at) || at.icount < t->spacing)
        at = (struct replay_time){.icount = now.icount + 1};
    if (index + 1 < t->count && before(t->list[index + 1].time, at))
        at = t->list[index + 1].time;
    return at;
}

enum err replay_tl_run(struct replay_timeline *t, const struct replay_until *until,
                       struct replay_stop *ret_stop)
{
    struct replay_until part = *until;
    part.interrupted = t->interrupted;
    part.interrupted_self = t->interrupted_self;
    for (;;) {
        struct replay_time now = replay_tl_now(t), at = boundary(t, now);
        part.time = before(at, until->time) ? at : until->time;
        enum err err = t->guest.ops->run(t->guest.self, &part, ret_stop);
        t->stats.instruction_count += ret_stop->time.icount - now.icount;
        if (err) { /* the trace cannot be followed any further */
            t->end = ret_stop->time;
            return err;
        }
        bool there = replay_time_compare(ret_stop->time, part.time) >= 0;
        if (there && replay_time_compare(part.time, at) == 0)
            TRY(replay_tl_save(t));
        if (ret_stop->kind != REPLAY_STOP_TIME || !there ||
            replay_time_compare(ret_stop->time, until->time) >= 0)
            return ERR_ok;
        part.pass_break = part.pass_watch = false;
    }
}

/* Take the last stored checkpoint at or before `to` into the list, if it saves more
 * than the way between two snapshots.  `from`: where the guest could start now. */
static enum err use_stored(struct replay_timeline *t, struct replay_time from,
                           struct replay_time to)
{
    struct trace_checkpoint_list *stored = &t->guest.stored;
    struct checkpoint c = {0};
    uint64_t last = to.icount - (t->guest.ops->has_sub && to.icount);
    size_t index = trace_checkpoint_find(stored, last);
    if (index == SIZE_MAX || stored->ref[index].clock.icount < from.icount ||
        stored->ref[index].clock.icount - from.icount <= t->spacing)
        return ERR_ok;
    t->stats.stored_count++;
    enum err err = t->guest.ops->stored(t->guest.self, index, &c.snapshot, &c.time);
    if (err) { /* it was only to save time; the guest stands nowhere now */
        stored->count = index;
        replay_tl_load(t, replay_tl_find(t, to));
        return err == ERR_nomem ? err : ERR_ok;
    }
    t->tracked_from = c.time;
    err = insert(t, replay_tl_find(t, c.time) + 1, &c);
    if (err)
        t->guest.ops->drop(t->guest.self, c.snapshot);
    else
        thin(t);
    return err;
}

static struct replay_time clamp(const struct replay_timeline *t, struct replay_time to)
{
    if (before(to, t->guest.start))
        return t->guest.start;
    return before(t->end, to) ? t->end : to;
}

enum err replay_timeline_seek(struct replay_timeline *t, struct replay_time to)
{
    struct replay_time now = replay_tl_now(t);
    struct replay_stop stop;
    to = clamp(t, to);
    size_t index = replay_tl_find(t, to);
    bool loads = before(to, now) || before(now, t->list[index].time);
    t->stats.seek_count++;
    if (loads)
        replay_tl_load(t, index);
    TRY(use_stored(t, replay_tl_now(t), to));
    if (!before(replay_tl_now(t), to))
        return ERR_ok;
    const struct replay_until until = {.time = to, .gas = UINT64_MAX};
    TRY(replay_tl_run(t, &until, &stop));
    return stop.kind == REPLAY_STOP_INTERRUPT ? ERR_interrupted : ERR_ok;
}

enum err replay_timeline_seek_gas(struct replay_timeline *t, uint64_t gas)
{
    const struct replay_until until = {.time = t->end, .gas = gas};
    struct replay_stop stop;
    size_t stored = t->guest.stored.count;
    while (stored && t->guest.stored.ref[stored - 1].clock.gas > gas)
        stored--;
    if (stored)
        TRY(replay_timeline_seek(
            t, (struct replay_time){t->guest.stored.ref[stored - 1].clock.icount, 0}));
    /* From the last checkpoint that has not passed it. */
    size_t index = t->count - 1;
    replay_tl_load(t, index);
    while (index && t->guest.ops->gas(t->guest.self) > gas)
        replay_tl_load(t, --index);
    t->stats.seek_count++;
    if (!before(replay_tl_now(t), t->end))
        return ERR_ok;
    TRY(replay_tl_run(t, &until, &stop));
    return stop.kind == REPLAY_STOP_INTERRUPT ? ERR_interrupted : ERR_ok;
}

enum err replay_timeline_step(struct replay_timeline *t, bool *ret_moved)
{
    struct replay_time now = replay_tl_now(t);
    struct replay_stop stop;
    *ret_moved = before(now, t->end);
    if (!*ret_moved)
        return ERR_ok;
    struct replay_until until = {.time = {.icount = now.icount + 1}, .gas = UINT64_MAX};
    if (t->guest.ops->has_sub)
        until.time = (struct replay_time){now.icount, now.sub + 1};
    TRY(replay_tl_run(t, &until, &stop));
    return stop.kind == REPLAY_STOP_INTERRUPT ? ERR_interrupted : ERR_ok;
}

/* Run from the position to the last one before `now`. */
static enum err run_to_last_before(struct replay_timeline *t, struct replay_time from,
                                   struct replay_time now)
{
    uint64_t steps = 0;
    bool moved = true;
    if (now.sub) { /* inside a `rep`, of maybe millions of iterations */
        TRY(replay_timeline_seek(t, (struct replay_time){now.icount, now.sub - 1}));
        if (before(replay_tl_now(t), now))
            return ERR_ok;
    }
    TRY(replay_timeline_seek(t, from));
    /* A guest with positions inside instructions may have several on the way. */
    while (before(replay_tl_now(t), now) && moved) {
        TRY(replay_timeline_step(t, &moved));
        steps++;
    }
    TRY(replay_timeline_seek(t, from));
    for (; steps > 1; steps--)
        TRY(replay_timeline_step(t, &moved));
    return ERR_ok;
}

/* Snapshots on the way to a place, closer and closer, for who goes on backwards. */
enum err replay_tl_approach(struct replay_timeline *t, struct replay_time to)
{
    static const uint64_t near[] = {TIMELINE_NEAR * 16, TIMELINE_NEAR};
    for (size_t i = 0; i < countof(near); i++) {
        struct replay_time from = t->list[replay_tl_find(t, to)].time;
        if (to.icount - from.icount <= 2 * near[i])
            continue;
        TRY(replay_timeline_seek(t,
                                 (struct replay_time){.icount = to.icount - near[i]}));
        TRY(replay_tl_save(t));
    }
    return ERR_ok;
}

enum err replay_timeline_step_back(struct replay_timeline *t, bool *ret_moved)
{
    struct replay_time now = replay_tl_now(t), from = {.icount = now.icount};
    *ret_moved = before(t->guest.start, now);
    if (!*ret_moved)
        return ERR_ok;
    if (!now.sub)
        from.icount--;
    TRY(replay_tl_approach(t, from));
    if (now.sub || t->guest.ops->has_sub)
        return run_to_last_before(t, from, now);
    return replay_timeline_seek(t, from);
}

enum err replay_timeline_keep(struct replay_timeline *t)
{
    TRY(replay_tl_save(t));
    t->list[replay_tl_find(t, replay_tl_now(t))].kept = true;
    return ERR_ok;
}

enum err replay_timeline_mark(struct replay_timeline *t)
{
    return replay_tl_save(t);
}

enum err replay_timeline_return(struct replay_timeline *t, struct replay_time to)
{
    bool (*interrupted)(void *self) = t->interrupted;
    t->interrupted = NULL;
    enum err err = replay_timeline_seek(t, to);
    t->interrupted = interrupted;
    return err;
}

bool replay_timeline_interrupted(const struct replay_timeline *t)
{
    return t->interrupted && t->interrupted(t->interrupted_self);
}

/* ---- questions and life ---- */

const struct replay_guest *replay_timeline_guest(const struct replay_timeline *t)
{
    return &t->guest;
}

struct replay_time replay_timeline_now(const struct replay_timeline *t)
{
    return replay_tl_now(t);
}

struct replay_time replay_timeline_end(const struct replay_timeline *t)
{
    return t->end;
}

struct replay_timeline_stats replay_timeline_stats(const struct replay_timeline *t)
{
    struct replay_timeline_stats stats = t->stats;
    stats.snapshot_count = t->count;
    stats.snapshot_memory = t->guest.ops->snapshot_memory(t->guest.self);
    return stats;
}

enum err replay_timeline_create(const struct replay_guest *guest,
                                const struct replay_timeline_options *options,
                                struct replay_timeline **ret_timeline)
{
    struct replay_timeline *t = calloc(1, sizeof *t);
    if (!t)
        return ERR_nomem;
    t->guest = *guest;
    t->end = guest->end;
    t->memory_max = options->memory_max ? options->memory_max : MEMORY_DEFAULT;
    t->spacing = options->spacing ? options->spacing : SPACING_DEFAULT;
    t->interrupted = options->interrupted;
    t->interrupted_self = options->interrupted_self;
    t->tracked_from = REPLAY_TIME_NEVER;
    enum err err = replay_tl_save(t);
    if (err) {
        replay_timeline_close(t);
        return err;
    }
    *ret_timeline = t;
    return ERR_ok;
}

void replay_timeline_close(struct replay_timeline *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++) {
        pages_fini(&t->list[i].written);
        t->guest.ops->drop(t->guest.self, t->list[i].snapshot);
    }
    free(t->list);
    free(t->watch);
    free(t);
}
