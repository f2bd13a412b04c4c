/* SPDX-License-Identifier: MIT
 *
 * A debugged kernel in the state of a checkpoint: one that spares a seek the way from
 * the start, or the one that a part of a trace begins with.
 */
#include "replay/debug_kernel.h"

#include <string.h>

/* Frames that were called before the checkpoint: when, it does not tell.  A name that
 * no other frame has. */
static struct replay_time unknown_time(struct debug_kernel *g)
{
    return (struct replay_time){.icount = UINT64_MAX, .sub = ++g->unknown_count};
}

/* Caps have numbers, by which snapshots know them: the same ones on every way. */
static enum err check_caps(const struct debug_kernel *g)
{
    for (uint32_t i = 0; i < g->cap_count && i < kernel_cap_count(g->kernel); i++) {
        struct hash256 hash;
        struct bytes stored;
        kernel_cap_at(g->kernel, i, &hash, &stored);
        if (!hash256_equal(&hash, &g->cap[i].hash))
            return ERR_trace_event;
    }
    return ERR_ok;
}

/* The first request that is still to be served. */
static uint64_t request_behind(const struct debug_kernel *g, uint64_t seq)
{
    uint64_t i = 0;
    while (i < g->request_count && g->request[i].seq < seq)
        i++;
    return i;
}

/* Is that the invocation which the trace has there?  A part of a trace may begin within
 * it, and does not hold its request then. */
static bool begun_matches(const struct debug_kernel *g)
{
    const struct debug_kernel_request *request =
        g->place.request_next ? &g->request[g->place.request_next - 1] : NULL;
    return !request ||
           (request->begins && replay_time_compare(request->time, g->place.begun) == 0);
}

enum err replay_debug_kernel_take(struct debug_kernel *g,
                                  const struct kernel_checkpoint_ref *ref,
                                  struct kernel_stand *ret_stand)
{
    struct kernel_stand stand;
    replay_debug_kernel_leave(g, 0);
    while (g->frame_count)
        replay_debug_kernel_frame_end(g, &g->frame[--g->frame_count]);
    arena_clear(&g->event);
    enum err err = replay_kernel_checkpoint_restore(&g->event, g->kernel,
                                                    &g->setup.config, ref, &stand);
    if (!err)
        err = check_caps(g);
    if (err)
        return err;
    const struct trace_kernel_machine *m = &stand.machine;
    g->place = (struct debug_kernel_place){
        .mode = m->inside ? DEBUG_KERNEL_RUNS : DEBUG_KERNEL_IDLE,
        .request_next = request_behind(g, ref->seq),
        .begun = {m->begin_icount, m->begin_sub},
        .gas_sum = stand.clock.gas + kernel_gas(g->kernel)};
    replay_debug_kernel_follow(g);
    for (uint32_t i = 0; i < g->frame_count; i++) {
        g->frame[i].pushed = unknown_time(g);
        TRY(replay_debug_kernel_read_written(g, i));
    }
    kernel_charge_undo(g->kernel);
    *ret_stand = stand;
    return ERR_ok;
}

enum err replay_debug_kernel_stored(void *self, size_t index,
                                    struct replay_snapshot **ret_snapshot,
                                    struct replay_time *ret_time)
{
    struct debug_kernel *g = self;
    const struct kernel_checkpoint_ref ref = {.source = g->source,
                                              .list = &g->stored,
                                              .index = index,
                                              .seq = g->stored.ref[index].seq};
    struct kernel_stand stand;
    struct replay_page_list written;
    enum err err = replay_debug_kernel_take(g, &ref, &stand);
    if (!err && (!stand.machine.inside || !begun_matches(g)))
        err = ERR_trace_event;
    if (!err)
        err = replay_debug_kernel_save(g, ret_snapshot, &written);
    if (!err)
        *ret_time = replay_debug_kernel_time(g);
    return err;
}
