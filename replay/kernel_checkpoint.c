/* SPDX-License-Identifier: MIT
 *
 * The state of a capability kernel as a checkpoint (trace-replay.md 2.9), and back.
 * Caps come first among its pages: there are only ever more of them, so that most of
 * these pages are as they were in the checkpoint before.
 */
#include "replay/kernel_checkpoint.h"

#include "kernel/debug.h"
#include "kernel/saved.h"

#include <stdlib.h>
#include <string.h>

enum { CAP_HEAD_SIZE = 4, PAGE_END = 1 << 20 };
/* A state that would not fit the first record's chunk. */
#define MACHINE_SIZE_MAX ((size_t)CHECKPOINT_PART_SIZE - 4096)
#define DIGEST_SIZE_MAX ((size_t)1 << 30)
#define LOAD_SLACK ((uint64_t)64 << 20)

/* ---- take ---- */

struct taking {
    const struct kernel_stand *stand;
    struct checkpoint *c;
    struct checkpoint_series *series; /* NULL: all that is not zero */
    bool full;
    uint32_t page; /* the next one */
    uint8_t bytes[PAGES_SIZE];
    size_t fill;
};

static bool is_zero(const uint8_t *bytes)
{
    return !bytes[0] && memcmp(bytes, bytes + 1, PAGES_SIZE - 1) == 0;
}

static enum err put_page(void *self, const uint8_t *bytes)
{
    struct taking *t = self;
    if (t->page >= PAGE_END)
        return ERR_limit;
    uint32_t page = t->page++;
    if (t->series)
        return replay_series_page(t->series, t->c, t->full, page, bytes);
    if (!is_zero(bytes))
        replay_checkpoint_put_page(t->c, page, bytes);
    return ERR_ok;
}

static enum err put_bytes(struct taking *t, const uint8_t *from, size_t size)
{
    while (size) {
        size_t room = PAGES_SIZE - t->fill, count = size < room ? size : room;
        memcpy(t->bytes + t->fill, from, count);
        t->fill += count;
        from += count;
        size -= count;
        if (t->fill == PAGES_SIZE) {
            TRY(put_page(t, t->bytes));
            t->fill = 0;
        }
    }
    return ERR_ok;
}

static enum err put_caps(struct taking *t)
{
    struct kernel *kernel = t->stand->kernel;
    for (uint32_t i = 0; i < kernel_cap_count(kernel); i++) {
        struct hash256 hash;
        struct bytes wire;
        uint8_t head[CAP_HEAD_SIZE];
        kernel_cap_at(kernel, i, &hash, &wire);
        for (unsigned b = 0; b < CAP_HEAD_SIZE; b++)
            head[b] = (uint8_t)(wire.size >> 8 * b);
        TRY(put_bytes(t, head, sizeof head));
        TRY(put_bytes(t, wire.data, wire.size));
    }
    memset(t->bytes + t->fill, 0, PAGES_SIZE - t->fill);
    return t->fill ? put_page(t, t->bytes) : ERR_ok;
}

static enum err put_pages(struct taking *t)
{
    const struct kernel_stand *stand = t->stand;
    TRY(put_caps(t));
    if (t->page > TRACE_KERNEL_FRAMES)
        return ERR_limit;
    t->page = TRACE_KERNEL_FRAMES;
    return kernel_state_pages(stand->kernel, stand->running, put_page, t);
}

static uint64_t caps_size(struct kernel *kernel)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < kernel_cap_count(kernel); i++) {
        struct hash256 hash;
        struct bytes wire;
        kernel_cap_at(kernel, i, &hash, &wire);
        size += CAP_HEAD_SIZE + wire.size;
    }
    return size;
}

static enum err hash_page(void *self, const uint8_t *bytes)
{
    struct hash256 hash = hash256_of(bytes, PAGES_SIZE);
    buf_put(self, hash.byte, HASH256_SIZE);
    return ERR_ok;
}

static enum err hash_state(const struct kernel_stand *stand, struct bytes machine,
                           struct hash256 *ret_hash)
{
    struct buf pieces;
    buf_init(&pieces, DIGEST_SIZE_MAX);
    for (uint32_t i = 0; i < kernel_cap_count(stand->kernel); i++) {
        struct hash256 hash;
        struct bytes wire;
        kernel_cap_at(stand->kernel, i, &hash, &wire);
        buf_put(&pieces, hash.byte, HASH256_SIZE);
    }
    enum err err =
        kernel_state_pages(stand->kernel, stand->running, hash_page, &pieces);
    err = err ? err : pieces.err;
    const struct bytes all[] = {machine, buf_bytes(&pieces)};
    if (!err)
        *ret_hash = hash256_of_pieces(all, countof(all));
    buf_fini(&pieces);
    return err;
}

/* The machine's value and the hash; `machine` is the caller's to end. */
static enum err make_head(const struct kernel_stand *stand, struct buf *machine,
                          struct trace_checkpoint *ret_head)
{
    struct trace_kernel_machine m = stand->machine;
    struct buf state;
    buf_init(&state, MACHINE_SIZE_MAX);
    enum err err = kernel_state_save(stand->kernel, stand->running, &state);
    m.state = buf_bytes(&state);
    m.caps_size = caps_size(stand->kernel);
    if (!err) {
        trace_kernel_machine_put(machine, &m);
        err = machine->err;
    }
    buf_fini(&state);
    *ret_head =
        (struct trace_checkpoint){.clock = stand->clock, .machine = buf_bytes(machine)};
    return err ? err : hash_state(stand, ret_head->machine, &ret_head->state_hash);
}

static enum err take(const struct kernel_stand *stand, struct checkpoint_series *series,
                     bool full, struct checkpoint *c)
{
    struct taking t = {.stand = stand, .c = c, .series = series, .full = full};
    struct trace_checkpoint head;
    struct buf machine;
    buf_init(&machine, MACHINE_SIZE_MAX);
    enum err err = make_head(stand, &machine, &head);
    head.full = full;
    replay_checkpoint_begin(c, &head);
    if (series && full) /* pages that are no more must not be known from before */
        replay_pages_fini(&series->last, &series->memory);
    if (!err)
        err = put_pages(&t);
    enum err ended = replay_checkpoint_end(c);
    err = err ? err : ended;
    buf_fini(&machine);
    if (err)
        replay_checkpoint_fini(c);
    return err;
}

enum err replay_kernel_checkpoint_take(const struct kernel_stand *stand,
                                       struct checkpoint *ret)
{
    return take(stand, NULL, true, ret);
}

enum err replay_kernel_checkpoint_next(const struct kernel_stand *stand,
                                       struct checkpoint_series *series, uint64_t seq)
{
    bool full = !series->full_page_count;
    struct checkpoint *c = malloc(sizeof *c);
    if (!c)
        return ERR_nomem;
    enum err err = take(stand, series, full, c);
    if (!err && !full && replay_series_wants_full(series, c)) {
        replay_checkpoint_fini(c);
        full = true;
        err = take(stand, series, full, c);
    }
    if (!err) {
        err = replay_series_put(series, c, full, seq, &stand->clock);
        replay_checkpoint_fini(c);
    }
    free(c);
    return err;
}

/* ---- restore: hostile ---- */

struct loading {
    struct pages_image image;
    uint64_t memory, memory_max;
    uint64_t cap_size_max;
};

static enum err keep_pages(void *self, uint64_t first_page, struct bytes bytes)
{
    struct loading *l = self;
    for (size_t i = 0; i < bytes.size / PAGES_SIZE; i++) {
        if (l->memory > l->memory_max)
            return ERR_trace_event;
        TRY(replay_pages_set(&l->image, (uint32_t)(first_page + i),
                             bytes.data + i * PAGES_SIZE, 0, &l->memory));
    }
    return ERR_ok;
}

static const uint8_t *frame_page(void *self, uint64_t index)
{
    const struct loading *l = self;
    uint8_t flags;
    return index < PAGE_END - TRACE_KERNEL_FRAMES
               ? replay_pages_get(&l->image, (uint32_t)(TRACE_KERNEL_FRAMES + index),
                                  &flags)
               : NULL;
}

/* Bytes of the caps' part, which has them. */
static void copy_bytes(const struct loading *l, uint64_t at, uint8_t *to, size_t size)
{
    while (size) {
        size_t offset = at % PAGES_SIZE, room = PAGES_SIZE - offset;
        size_t count = size < room ? size : room;
        uint8_t flags;
        const uint8_t *page =
            replay_pages_get(&l->image, (uint32_t)(at / PAGES_SIZE), &flags);
        if (page)
            memcpy(to, page + offset, count);
        else
            memset(to, 0, count);
        at += count;
        to += count;
        size -= count;
    }
}

static enum err load_caps(const struct loading *l, struct kernel *kernel, uint64_t size)
{
    struct buf wire;
    enum err err = ERR_ok;
    uint64_t at = 0;
    if (size > (uint64_t)TRACE_KERNEL_FRAMES * PAGES_SIZE)
        return ERR_trace_event;
    buf_init(&wire, (size_t)1 << 32);
    while (at < size && !err) {
        uint8_t head[CAP_HEAD_SIZE] = {0};
        if (size - at >= CAP_HEAD_SIZE)
            copy_bytes(l, at, head, sizeof head);
        uint32_t cap_size = head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16 |
                            (uint32_t)head[3] << 24;
        at += CAP_HEAD_SIZE;
        if (at > size || cap_size > size - at || cap_size > l->cap_size_max) {
            err = ERR_trace_event;
            break;
        }
        buf_clear(&wire);
        uint8_t *bytes = buf_extend(&wire, cap_size);
        if (bytes)
            copy_bytes(l, at, bytes, cap_size);
        err = bytes ? kernel_state_cap(kernel, buf_bytes(&wire)) : wire.err;
        at += cap_size;
    }
    buf_fini(&wire);
    return err;
}

/* Does the kernel stand where the checkpoint says? */
static enum err check_stand(const struct kernel_stand *stand,
                            const struct trace_checkpoint *head)
{
    struct kernel_frame_view top;
    struct trace_checkpoint made;
    struct buf machine;
    uint32_t size = kernel_stack_size(stand->kernel);
    bool runs =
        size && kernel_frame_look(stand->kernel, size - 1, &top) && !top.reference;
    bool paused = size && !runs;
    if (kernel_icount(stand->kernel) != head->clock.icount ||
        (stand->machine.inside ? !runs : size && !paused))
        return ERR_trace_event;
    buf_init(&machine, MACHINE_SIZE_MAX);
    enum err err = make_head(stand, &machine, &made);
    buf_fini(&machine);
    if (!err && !hash256_equal(&made.state_hash, &head->state_hash))
        err = ERR_trace_event;
    return err;
}

static enum err load(struct loading *l, struct kernel *kernel,
                     const struct trace_checkpoint *head, struct kernel_stand *ret)
{
    struct kernel_stand stand = {.kernel = kernel, .clock = head->clock};
    TRY(trace_kernel_machine_get(head->machine, &stand.machine));
    TRY(load_caps(l, kernel, stand.machine.caps_size));
    TRY(kernel_state_load(kernel, stand.machine.state, frame_page, l));
    TRY(check_stand(&stand, head));
    *ret = stand;
    return ERR_ok;
}

static enum err read_pages(struct arena *arena, const struct kernel_checkpoint_ref *ref,
                           struct loading *l, struct trace_checkpoint *ret_head)
{
    if (ref->list)
        return trace_checkpoint_load(arena, ref->source, ref->list, ref->index,
                                     ret_head, keep_pages, l);
    enum err err =
        trace_checkpoint_read(arena, ref->source, ref->seq, ret_head, keep_pages, l);
    return err == ERR_not_found ? ERR_trace_event : err;
}

enum err replay_kernel_checkpoint_restore(struct arena *arena, struct kernel *kernel,
                                          const struct kernel_config *config,
                                          const struct kernel_checkpoint_ref *ref,
                                          struct kernel_stand *ret)
{
    struct trace_checkpoint head;
    struct loading *l = calloc(1, sizeof *l);
    if (!l)
        return ERR_nomem;
    l->cap_size_max = config->max_dir_bytes;
    l->memory_max = config->max_dir_bytes + config->max_stack_mem + LOAD_SLACK;
    kernel_state_clear(kernel);
    enum err err = read_pages(arena, ref, l, &head);
    if (!err)
        err = load(l, kernel, &head, ret);
    if (err)
        kernel_state_clear(kernel);
    replay_pages_fini(&l->image, &l->memory);
    free(l);
    /* What the kernel refuses is the checkpoint's fault. */
    return err == ERR_state || err == ERR_limit ? ERR_trace_event : err;
}
