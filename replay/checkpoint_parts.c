/* SPDX-License-Identifier: MIT
 *
 * Checkpoints of any guest (trace-replay.md 2.9): records into chunks, and a series of
 * them in which most hold only what differs.
 */
#include "replay/checkpoint_parts.h"

#include <string.h>

/* ---- one ---- */

static void begin_part(struct checkpoint *c)
{
    c->record_count[c->part_count] = 0;
    buf_init(&c->part[c->part_count++], CHECKPOINT_PART_SIZE);
}

void replay_checkpoint_begin(struct checkpoint *c, const struct trace_checkpoint *head)
{
    c->part_count = 0;
    c->page_count = 0;
    c->run_count = 0;
    c->clock = head->clock;
    c->state_hash = head->state_hash;
    begin_part(c);
    trace_checkpoint_put(&c->part[0], head);
    c->record_count[0] = 1;
}

/* The pages of a run as one record; in a new part when this one is full. */
static void end_run(struct checkpoint *c)
{
    size_t size = (size_t)c->run_count * PAGES_SIZE;
    if (!size)
        return;
    struct buf *part = &c->part[c->part_count - 1];
    if (part->size + size > CHECKPOINT_PART_SIZE - 512 &&
        c->part_count < CHECKPOINT_PART_COUNT) {
        begin_part(c);
        part = &c->part[c->part_count - 1];
    }
    trace_checkpoint_put_pages(part, c->run_first, bytes_of(c->run, size));
    c->record_count[c->part_count - 1]++;
    c->run_count = 0;
}

void replay_checkpoint_put_page(struct checkpoint *c, uint32_t page,
                                const uint8_t *bytes)
{
    if (page != c->run_first + c->run_count || c->run_count == CHECKPOINT_RUN_PAGES)
        end_run(c);
    if (!c->run_count)
        c->run_first = page;
    uint8_t *to = c->run + (size_t)c->run_count++ * PAGES_SIZE;
    if (bytes)
        memcpy(to, bytes, PAGES_SIZE);
    else
        memset(to, 0, PAGES_SIZE);
    c->page_count++;
}

enum err replay_checkpoint_end(struct checkpoint *c)
{
    end_run(c);
    for (size_t i = 0; i < c->part_count; i++)
        TRY(c->part[i].err);
    return ERR_ok;
}

void replay_checkpoint_parts(const struct checkpoint *c, struct trace_base_part *part)
{
    for (size_t i = 0; i < c->part_count; i++)
        part[i] = (struct trace_base_part){buf_bytes(&c->part[i]), c->record_count[i]};
}

enum err replay_checkpoint_give(const struct checkpoint *c, trace_ring_put_fn *put,
                                void *to)
{
    struct trace_base_part part[CHECKPOINT_PART_COUNT];
    replay_checkpoint_parts(c, part);
    return put(to, part, c->part_count);
}

void replay_checkpoint_fini(struct checkpoint *c)
{
    for (size_t i = 0; i < c->part_count; i++)
        buf_fini(&c->part[i]);
    c->part_count = 0;
}

/* ---- a series ---- */

void replay_series_init(struct checkpoint_series *series,
                        const struct replay_checkpoints *options)
{
    *series = (struct checkpoint_series){.options = *options};
    series->next = options->every ? options->every : UINT64_MAX;
}

void replay_series_fini(struct checkpoint_series *series)
{
    replay_pages_fini(&series->last, &series->memory);
}

enum err replay_series_page(struct checkpoint_series *series, struct checkpoint *c,
                            bool full, uint32_t page, const uint8_t *bytes)
{
    uint8_t flags;
    const uint8_t *before = replay_pages_get(&series->last, page, &flags);
    TRY(replay_pages_set(&series->last, page, bytes, 0, &series->memory));
    const uint8_t *now = replay_pages_get(&series->last, page, &flags);
    if (full ? now != NULL : now != before)
        replay_checkpoint_put_page(c, page, now);
    return ERR_ok;
}

bool replay_series_wants_full(const struct checkpoint_series *series,
                              const struct checkpoint *c)
{
    return series->page_count + c->page_count > series->full_page_count;
}

enum err replay_series_put(struct checkpoint_series *series, const struct checkpoint *c,
                           bool full, uint64_t seq, const struct trace_clock *clock)
{
    struct trace_base_part part[CHECKPOINT_PART_COUNT];
    const struct replay_checkpoints *options = &series->options;
    replay_checkpoint_parts(c, part);
    if (full) {
        series->full_page_count = c->page_count + 1;
        series->page_count = 0;
    } else {
        series->page_count += c->page_count;
    }
    series->next = clock->icount + options->every;
    if (series->next < options->every)
        series->next = UINT64_MAX;
    return options->put(options->self, seq, clock, part, c->part_count);
}
