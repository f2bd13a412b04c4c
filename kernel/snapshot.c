/* SPDX-License-Identifier: MIT
 *
 * States of a kernel, kept and restored.
 */
#include "kernel/debug.h"

#include "kernel/internal.h"

#include <string.h>

/* ---- tables ---- */

/* What has a fixed size; the assist tables follow it. */
struct tables {
    uint64_t gas, segment_gas, icount;
    enum kernel_error trap_error;
    struct hash256 marker;
    struct kernel_outcome outcome;
    struct assist assist; /* counts; its pointers mean nothing */
    /* Records are only ever added here, so that those of later states still stand
     * behind the end. */
    uint64_t trace_size, trace_dropped, trace_seq;
    uint32_t trace_count;
    struct hash256 trace_digest;
};

static void put_list(struct buf *ret, const void *list, uint32_t count, size_t size)
{
    if (count)
        buf_put(ret, list, count * size);
}

void kernel_tables_save(const struct kernel *kernel, struct buf *ret)
{
    const struct assist *a = &kernel->assist;
    struct tables t;
    memset(&t, 0, sizeof t); /* padding too: equal states are equal bytes */
    t.gas = kernel->gas;
    t.segment_gas = kernel->segment_gas;
    t.icount = kernel->icount;
    t.trap_error = kernel->trap_error;
    t.marker = kernel->marker;
    t.outcome = kernel->outcome;
    t.assist = *a;
    t.trace_size = kernel->trace.size;
    t.trace_dropped = kernel->trace.dropped;
    t.trace_seq = kernel->trace.seq;
    t.trace_count = kernel->trace.count;
    t.trace_digest = kernel->trace.digest;
    buf_put(ret, &t, sizeof t);
    put_list(ret, a->quota, a->quota_count, sizeof *a->quota);
    put_list(ret, a->meter, a->meter_count, sizeof *a->meter);
    put_list(ret, a->file, a->file_count, sizeof *a->file);
    put_list(ret, a->catcher, a->catcher_count, sizeof *a->catcher);
    put_list(ret, a->marker, a->marker_count, sizeof *a->marker);
}

static void take_list(const uint8_t **from, void *list, uint32_t count, size_t size)
{
    if (count)
        memcpy(list, *from, count * size);
    *from += count * size;
}

static void tables_restore(struct kernel *kernel, const uint8_t *from)
{
    struct assist *a = &kernel->assist;
    struct tables t;
    memcpy(&t, from, sizeof t);
    from += sizeof t;
    kernel->gas = t.gas;
    kernel->segment_gas = t.segment_gas;
    kernel->icount = t.icount;
    kernel->trap_error = t.trap_error;
    kernel->marker = t.marker;
    kernel->outcome = t.outcome;
    kernel->trace.size = t.trace_size;
    kernel->trace.dropped = t.trace_dropped;
    kernel->trace.seq = t.trace_seq;
    kernel->trace.count = t.trace_count;
    kernel->trace.digest = t.trace_digest;
    a->quota_count = t.assist.quota_count;
    a->meter_count = t.assist.meter_count;
    a->file_count = t.assist.file_count;
    a->file_next = t.assist.file_next;
    a->catcher_count = t.assist.catcher_count;
    a->catcher_nonce = t.assist.catcher_nonce;
    a->marker_count = t.assist.marker_count;
    a->marker_next = t.assist.marker_next;
    take_list(&from, a->quota, a->quota_count, sizeof *a->quota);
    take_list(&from, a->meter, a->meter_count, sizeof *a->meter);
    take_list(&from, a->file, a->file_count, sizeof *a->file);
    take_list(&from, a->catcher, a->catcher_count, sizeof *a->catcher);
    take_list(&from, a->marker, a->marker_count, sizeof *a->marker);
}

/* ---- caps ---- */

void kernel_cap_at(const struct kernel *kernel, uint32_t i, struct hash256 *ret_hash,
                   struct bytes *ret_stored)
{
    *ret_hash = kernel->directory.blob[i].hash;
    *ret_stored = kernel->directory.blob[i].wire;
}

/* Drafts have been written behind the end of the content since, so that caps that come
 * back are written anew. */
static void directory_restore(struct directory *d, const struct kernel_kept *kept)
{
    kernel_directory_truncate(d, kept->cap_count);
    while (d->count < kept->cap_count) {
        struct draft draft;
        kept->cap(kept->self, d->count, &draft.hash, &draft.wire);
        (void)kernel_directory_insert(d, &draft);
    }
}

/* ---- frames ---- */

size_t kernel_frame_size(void)
{
    return sizeof(struct frame);
}

void kernel_frame_save(const struct kernel *kernel, uint32_t position, void *ret_frame)
{
    struct frame *frame = ret_frame;
    memcpy(frame, &kernel->stack[position], sizeof *frame);
    frame->program = NULL;
    frame->state.mem = NULL;
}

/* Program and memory of a frame whose other members are restored. */
static enum err frame_revive(struct kernel *kernel, struct frame *frame, bool same)
{
    if (frame->reference)
        return ERR_ok;
    TRY(kernel_program_take(kernel, &frame->image_hash, &frame->image,
                            &frame->program));
    if (same || !kernel_rebuild_memory(kernel, frame))
        return ERR_ok;
    kernel_program_give(frame->program);
    enum err err = kernel->abort ? kernel->abort : ERR_nomem;
    kernel->abort = ERR_ok;
    return err;
}

static enum err frame_restore(struct kernel *kernel, uint32_t position,
                              const struct kernel_kept *kept)
{
    struct frame *frame = &kernel->stack[position];
    struct frame old = *frame;
    bool same = position < kept->same_count;
    memcpy(frame, kept->frame(kept->self, position), sizeof *frame);
    if (same)
        frame->state.mem = old.state.mem;
    enum err err = frame_revive(kernel, frame, same);
    if (err) {
        frame->program = same ? old.program : NULL;
        return err;
    }
    if (same) {
        kernel_program_give(old.program);
    } else {
        kernel->stack_mapped += frame->mapped_size;
        kernel->stack_size++;
    }
    return ERR_ok;
}

enum err kernel_restore(struct kernel *kernel, const struct kernel_kept *kept)
{
    enum err err = ERR_ok;
    check(kept->same_count <= kernel->stack_size &&
          kept->same_count <= kept->frame_count);
    while (kernel->stack_size > kept->same_count)
        (void)kernel_pop(kernel);
    directory_restore(&kernel->directory, kept);
    for (uint32_t i = 0; i < kept->frame_count && !err; i++)
        err = frame_restore(kernel, i, kept);
    while (err && kernel->stack_size)
        (void)kernel_pop(kernel);
    tables_restore(kernel, kept->tables.data);
    return err;
}
