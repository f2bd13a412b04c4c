/* SPDX-License-Identifier: MIT
 *
 * What a pc derives, against the trace, under the debugger.
 *
 * Positions are visited in any order, so that a cursor in the trace would have to jump
 * with them.  Instead each recorded event leaves 16 bytes when the trace is opened: its
 * clock, and a digest of its place and fields; and the output its bytes.  How many of
 * them are behind is part of the guest's state.
 */
#include "replay/debug_pc.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

enum { FIELD_MAX = 8 };

/* An event as numbers, in the order of its row. */
struct numbers {
    uint64_t kind, icount, sub, field[FIELD_MAX];
};

static struct debug_pc_derived digest_of(const struct numbers *n)
{
    return (struct debug_pc_derived){n->icount, hash_xxh3(n, sizeof *n)};
}

/* ---- recorded ---- */

static enum err add(struct debug_pc *g, const struct numbers *n)
{
    if (g->derived_count == g->derived_capacity) {
        size_t capacity = g->derived_capacity ? 2 * g->derived_capacity : 1024;
        struct debug_pc_derived *list = realloc(g->derived, capacity * sizeof *list);
        if (!list)
            return ERR_nomem;
        g->derived = list;
        g->derived_capacity = capacity;
    }
    g->derived[g->derived_count++] = digest_of(n);
    return ERR_ok;
}

static enum err add_output(struct debug_pc *g, const struct trace_record *record)
{
    struct trace_console_out event;
    TRY(trace_decode_console_out(g->reader, record, &g->event, &event));
    for (size_t i = 0; i < event.data.size; i++) {
        buf_byte(&g->output, (uint8_t)event.dev);
        buf_byte(&g->output, event.data.data[i]);
    }
    return g->output.err;
}

/* Fields that the machine does not derive, or that say the same again, are left out. */
static bool is_compared(uint32_t id, const char *name)
{
    return strcmp(name, "data") != 0 && strcmp(name, "origin") != 0 &&
           !(id == TRACE_ID_pc_port && strcmp(name, "space") == 0);
}

/* The numbers of an event that has no others; a list gives its items. */
static void read_fields(const struct trace_record *record, struct numbers *n)
{
    size_t count = 0;
    for (uint32_t i = 0; i < record->kind->field_count; i++) {
        struct trace_values values = trace_record_values(record, i);
        struct trace_value value;
        while (is_compared(record->kind->id, record->kind->field[i].name) &&
               count < FIELD_MAX && trace_values_next(&values, &value))
            n->field[count++] = value.number;
    }
}

enum err replay_debug_pc_expect(struct debug_pc *g, const struct trace_record *record)
{
    struct numbers n = {.kind = record->kind->id,
                        .icount = record->clock.icount,
                        .sub = record->clock.sub};
    switch (record->kind->id) {
    case TRACE_ID_console_out:
        return add_output(g, record);
    case TRACE_ID_pc_irq:
    case TRACE_ID_pc_reset:
    case TRACE_ID_pc_port:
    case TRACE_ID_virtio_ready:
    case TRACE_ID_virtio_request:
    case TRACE_ID_virtio_reply:
    case TRACE_ID_virtio_flush:
    case TRACE_ID_virtio_reset:
    case TRACE_ID_virtio_error:
        read_fields(record, &n);
        return add(g, &n);
    default:
        return ERR_ok;
    }
}

/* ---- produced ---- */

static struct numbers numbers_of(struct debug_pc *g, const struct emu_event *e)
{
    const struct replay_time now = replay_debug_pc_time(g);
    struct numbers n = {.icount = now.icount, .sub = now.sub};
    const uint64_t digest = hash_xxh3(e->data.data, e->data.size);
#define EVENT_IS(name, ...)                                                            \
    case EMU_EVENT_##name: {                                                           \
        const uint64_t field[] = {__VA_ARGS__};                                        \
        memcpy(n.field, field, sizeof field);                                          \
        break;                                                                         \
    }
    switch (e->type) {
        EVENT_IS(irq, e->vector, e->line)
        EVENT_IS(reset, e->cause)
        EVENT_IS(port, e->out, e->port, e->width, e->value)
        EVENT_IS(virtio_ready, e->dev, e->features, e->queue_size[0], e->queue_size[1],
                 e->queue_size[2])
        EVENT_IS(virtio_request, e->dev, e->queue, e->head, e->read_size, e->write_size,
                 digest, e->op)
        EVENT_IS(virtio_reply, e->dev, e->queue, e->head, e->data.size, digest)
        EVENT_IS(virtio_flush, e->dev, e->queue, e->count, e->used_index, e->isr)
        EVENT_IS(virtio_reset, e->dev)
        EVENT_IS(virtio_error, e->dev, e->cause)
    case EMU_EVENT_virtio_complete:
    case EMU_EVENT_virtio_notify:
    default:
        break;
    }
#undef EVENT_IS
    return n;
}

static uint64_t kind_of(const struct emu_event *e)
{
    switch (e->type) {
    case EMU_EVENT_irq:
        return TRACE_ID_pc_irq;
    case EMU_EVENT_reset:
        return TRACE_ID_pc_reset;
    case EMU_EVENT_port:
        return TRACE_ID_pc_port;
    case EMU_EVENT_virtio_ready:
        return TRACE_ID_virtio_ready;
    case EMU_EVENT_virtio_request:
        return TRACE_ID_virtio_request;
    case EMU_EVENT_virtio_reply:
        return TRACE_ID_virtio_reply;
    case EMU_EVENT_virtio_flush:
        return TRACE_ID_virtio_flush;
    case EMU_EVENT_virtio_reset:
        return TRACE_ID_virtio_reset;
    case EMU_EVENT_virtio_error:
        return TRACE_ID_virtio_error;
    case EMU_EVENT_virtio_complete:
    case EMU_EVENT_virtio_notify:
    default:
        return 0;
    }
}

bool replay_debug_pc_fits(struct debug_pc *g, const struct emu_event *e)
{
    struct numbers n = numbers_of(g, e);
    n.kind = kind_of(e);
    if (!n.kind)
        return true;
    if (g->derived_next == g->derived_count)
        return !g->finished; /* of an open trace we do not know */
    struct debug_pc_derived got = digest_of(&n);
    const struct debug_pc_derived *want = &g->derived[g->derived_next];
    if (got.icount != want->icount || got.digest != want->digest)
        return false;
    g->derived_next++;
    return true;
}

bool replay_debug_pc_fits_output(struct debug_pc *g, uint32_t dev, uint8_t byte)
{
    const uint8_t *want = g->output.data + 2 * g->output_next;
    if (2 * g->output_next == g->output.size)
        return !g->finished;
    if (want[0] != (uint8_t)dev || want[1] != byte)
        return false;
    g->output_next++;
    return true;
}
