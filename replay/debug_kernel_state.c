/* SPDX-License-Identifier: MIT
 *
 * Where a debugged kernel stands, and snapshots of it: tables, caps, and of each frame
 * what differs from the memory that it began with.
 */
#include "replay/debug_kernel.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { FLAG_WRITTEN = 1, FLAG_KNOWN = 2, WRITTEN_WORDS = PVM_PAGE_COUNT / 64 };

/* ---- places ---- */

struct replay_time replay_debug_kernel_time(void *self)
{
    const struct debug_kernel *g = self;
    uint64_t icount = kernel_icount(g->kernel);
    return (struct replay_time){
        icount, icount == g->place.begun.icount ? g->place.begun.sub : 0};
}

uint32_t replay_debug_kernel_program_of(const struct debug_kernel *g,
                                        const struct hash256 *image)
{
    for (size_t i = 0; i < g->program_count; i++) {
        if (hash256_equal(&g->program[i].image, image))
            return (uint32_t)i;
    }
    return DEBUG_KERNEL_NO_PROGRAM;
}

struct debug_kernel_frame *replay_debug_kernel_shown(struct debug_kernel *g,
                                                     struct kernel_frame_view *ret_view,
                                                     uint32_t *ret_depth)
{
    uint32_t depth = g->frame_count;
    while (depth-- > 0) {
        struct debug_kernel_frame *frame = &g->frame[depth];
        if (!kernel_frame_look(g->kernel, depth, ret_view) || ret_view->reference)
            continue;
        *ret_depth = depth;
        if (!hash256_equal(&frame->image, &ret_view->image)) {
            frame->image = ret_view->image;
            frame->prog = replay_debug_kernel_program_of(g, &ret_view->image);
        }
        return frame;
    }
    return NULL;
}

/* ---- frames ---- */

struct debug_kernel_saved {
    uint32_t count; /* of snapshots, and of the frame that is there */
    struct replay_time pushed;
    struct pages_image image;
    uint8_t bytes[]; /* kernel_frame_size() */
};

static void saved_drop(struct debug_kernel *g, struct debug_kernel_saved *saved)
{
    if (!saved || --saved->count)
        return;
    replay_pages_fini(&saved->image, &g->memory_held);
    g->memory_held -= sizeof *saved + kernel_frame_size();
    free(saved);
}

static struct debug_kernel_saved *saved_hold(struct debug_kernel_saved *saved)
{
    saved->count++;
    return saved;
}

static void note_written(struct debug_kernel *g, uint32_t page)
{
    g->written[page / 64] |= (uint64_t)1 << page % 64;
}

/* The address space of a frame; NULL: it has none. */
static struct pvm_mem *mem_of(struct debug_kernel *g, uint32_t depth)
{
    struct kernel_frame_view view;
    return kernel_frame_look(g->kernel, depth, &view) && !view.reference
               ? view.state->mem
               : NULL;
}

static uint32_t next_dirty(struct pvm_mem *mem, uint32_t page)
{
    return mem ? pvm_mem_next_dirty(mem, page) : PVM_PAGE_COUNT;
}

/* Take what was written into the frame's image. */
static enum err sync(struct debug_kernel *g, uint32_t depth)
{
    struct debug_kernel_frame *frame = &g->frame[depth];
    struct pvm_mem *mem = mem_of(g, depth);
    for (uint32_t page = next_dirty(mem, 0); page < PVM_PAGE_COUNT;
         page = next_dirty(mem, page + 1)) {
        unsigned flags = FLAG_KNOWN | (pvm_mem_written(mem, page) ? FLAG_WRITTEN : 0u);
        note_written(g, page);
        TRY(replay_pages_set(&frame->live, page, pvm_mem_page(mem, page),
                             (uint8_t)flags, &g->memory_held));
        pvm_mem_clean(mem, page);
        frame->changed = true;
    }
    return ERR_ok;
}

/* A new frame begins with what its instance has. */
static void frame_begin(struct debug_kernel *g, uint32_t depth)
{
    struct pvm_mem *mem = mem_of(g, depth);
    g->frame[depth] = (struct debug_kernel_frame){.pushed = replay_debug_kernel_time(g),
                                                  .prog = DEBUG_KERNEL_NO_PROGRAM};
    for (uint32_t page = next_dirty(mem, 0); page < PVM_PAGE_COUNT;
         page = next_dirty(mem, page + 1))
        pvm_mem_clean(mem, page);
}

enum err replay_debug_kernel_read_written(struct debug_kernel *g, uint32_t depth)
{
    struct pvm_mem *mem = mem_of(g, depth);
    uint32_t page = mem ? pvm_mem_next_page(mem, 0) : PVM_PAGE_COUNT;
    for (; page < PVM_PAGE_COUNT; page = pvm_mem_next_page(mem, page + 1)) {
        if (!pvm_mem_written(mem, page))
            continue;
        note_written(g, page);
        TRY(replay_pages_set(&g->frame[depth].live, page, pvm_mem_page(mem, page),
                             FLAG_KNOWN | FLAG_WRITTEN, &g->memory_held));
    }
    g->frame[depth].changed = true;
    return ERR_ok;
}

void replay_debug_kernel_frame_end(struct debug_kernel *g,
                                   struct debug_kernel_frame *frame)
{
    replay_pages_fini(&frame->live, &g->memory_held);
    saved_drop(g, frame->saved);
    frame->saved = NULL;
}

/* Watchpoints are ours: memory that goes back to the kernel has none. */
static void unwatch(struct debug_kernel *g, uint32_t depth)
{
    struct pvm_mem *mem = mem_of(g, depth);
    if (g->frame[depth].armed && mem)
        pvm_mem_watch(mem, NULL, 0);
    g->frame[depth].armed = 0;
}

void replay_debug_kernel_follow(struct debug_kernel *g)
{
    uint32_t count = kernel_stack_size(g->kernel);
    while (g->frame_count > count)
        replay_debug_kernel_frame_end(g, &g->frame[--g->frame_count]);
    while (g->frame_count < count)
        frame_begin(g, g->frame_count++);
}

void replay_debug_kernel_leave(struct debug_kernel *g, uint32_t depth)
{
    for (; depth < g->frame_count; depth++) {
        struct pvm_mem *mem = mem_of(g, depth);
        unwatch(g, depth);
        for (uint32_t page = next_dirty(mem, 0); page < PVM_PAGE_COUNT;
             page = next_dirty(mem, page + 1))
            note_written(g, page);
    }
}

/* ---- snapshots ---- */

struct replay_snapshot {
    struct debug_kernel_place place;
    struct buf tables;
    uint32_t cap_count, frame_count;
    struct debug_kernel_saved *frame[];
};

static size_t snapshot_size(const struct replay_snapshot *snapshot)
{
    return sizeof *snapshot + snapshot->frame_count * sizeof snapshot->frame[0] +
           snapshot->tables.size;
}

/* Caps stay for ever, and are the same ones whichever way leads to them, unless a
 * checkpoint of the trace lied. */
static enum err keep_caps(struct debug_kernel *g)
{
    uint32_t count = kernel_cap_count(g->kernel);
    for (uint32_t i = 0; i < count && i < g->cap_count; i++) {
        struct hash256 hash;
        struct bytes stored;
        kernel_cap_at(g->kernel, i, &hash, &stored);
        if (!hash256_equal(&hash, &g->cap[i].hash))
            return ERR_trace_diverged;
    }
    if (count > g->cap_capacity) {
        size_t capacity = count < 64 ? 128 : 2 * (size_t)count;
        struct debug_kernel_cap *list = realloc(g->cap, capacity * sizeof *list);
        if (!list)
            return ERR_nomem;
        g->cap = list;
        g->cap_capacity = capacity;
    }
    for (; g->cap_count < count; g->cap_count++) {
        struct debug_kernel_cap *cap = &g->cap[g->cap_count];
        struct bytes stored;
        kernel_cap_at(g->kernel, (uint32_t)g->cap_count, &cap->hash, &stored);
        uint8_t *own = malloc(stored.size + 1);
        if (!own)
            return ERR_nomem;
        memcpy(own, stored.data, stored.size);
        cap->stored = bytes_of(own, stored.size);
    }
    return ERR_ok;
}

static enum err save_frame(struct debug_kernel *g, uint32_t depth,
                           struct debug_kernel_saved **ret_saved)
{
    struct debug_kernel_frame *frame = &g->frame[depth];
    size_t size = kernel_frame_size();
    TRY(sync(g, depth));
    kernel_frame_save(g->kernel, depth, g->frame_scratch);
    if (!frame->saved || frame->changed ||
        memcmp(frame->saved->bytes, g->frame_scratch, size) != 0) {
        struct debug_kernel_saved *saved = malloc(sizeof *saved + size);
        if (!saved)
            return ERR_nomem;
        *saved = (struct debug_kernel_saved){.count = 1, .pushed = frame->pushed};
        memcpy(saved->bytes, g->frame_scratch, size);
        replay_pages_copy(&saved->image, &frame->live);
        g->memory_held += sizeof *saved + size;
        saved_drop(g, frame->saved);
        frame->saved = saved;
        frame->changed = false;
    }
    *ret_saved = saved_hold(frame->saved);
    return ERR_ok;
}

static struct replay_page_list list_written(struct debug_kernel *g)
{
    size_t count = 0;
    for (uint32_t word = 0; word < WRITTEN_WORDS; word++) {
        for (uint64_t bits = g->written[word]; bits; bits &= bits - 1)
            g->page_list[count++] = word * 64 + (uint32_t)__builtin_ctzll(bits);
        g->written[word] = 0;
    }
    return (struct replay_page_list){g->page_list, count};
}

enum err replay_debug_kernel_save(void *self, struct replay_snapshot **ret_snapshot,
                                  struct replay_page_list *ret_written)
{
    struct debug_kernel *g = self;
    struct replay_snapshot *snapshot =
        calloc(1, sizeof *snapshot + g->frame_count * sizeof snapshot->frame[0]);
    if (!snapshot)
        return ERR_nomem;
    buf_init(&snapshot->tables, SIZE_MAX);
    kernel_tables_save(g->kernel, &snapshot->tables);
    enum err err = snapshot->tables.err ? snapshot->tables.err : keep_caps(g);
    snapshot->place = g->place;
    snapshot->cap_count = kernel_cap_count(g->kernel);
    while (!err && snapshot->frame_count < g->frame_count) {
        uint32_t depth = snapshot->frame_count;
        err = save_frame(g, depth, &snapshot->frame[depth]);
        snapshot->frame_count += !err;
    }
    g->memory_held += snapshot_size(snapshot);
    if (err) {
        replay_debug_kernel_drop(g, snapshot);
        return err;
    }
    *ret_written = list_written(g);
    *ret_snapshot = snapshot;
    return ERR_ok;
}

void replay_debug_kernel_drop(void *self, struct replay_snapshot *snapshot)
{
    struct debug_kernel *g = self;
    g->memory_held -= snapshot_size(snapshot);
    for (uint32_t i = 0; i < snapshot->frame_count; i++)
        saved_drop(g, snapshot->frame[i]);
    buf_fini(&snapshot->tables);
    free(snapshot);
}

uint64_t replay_debug_kernel_memory(void *self)
{
    return ((const struct debug_kernel *)self)->memory_held;
}

/* ---- going there ---- */

struct restore {
    struct debug_kernel *g;
    const struct replay_snapshot *snapshot;
    struct pvm_mem *mem; /* of the frame at hand */
    uint32_t depth;
};

static void give_cap(void *self, uint32_t i, struct hash256 *ret_hash,
                     struct bytes *ret_stored)
{
    const struct debug_kernel *g = ((const struct restore *)self)->g;
    *ret_hash = g->cap[i].hash;
    *ret_stored = g->cap[i].stored;
}

static const void *give_frame(void *self, uint32_t position)
{
    return ((const struct restore *)self)->snapshot->frame[position]->bytes;
}

static void restore_page(void *self, uint32_t page, const uint8_t *bytes, uint8_t flags)
{
    const struct restore *r = self;
    uint8_t initial[PVM_PAGE_SIZE];
    if (!(flags & FLAG_KNOWN)) {
        kernel_frame_initial(r->g->kernel, r->depth, page, initial);
        bytes = initial;
    }
    pvm_mem_restore(r->mem, page, bytes, flags & FLAG_WRITTEN);
}

/* Frames from the bottom on that are there, and are in the snapshot. */
static uint32_t same_frames(const struct debug_kernel *g,
                            const struct replay_snapshot *snapshot)
{
    uint32_t i = 0;
    while (i < g->frame_count && i < snapshot->frame_count &&
           replay_time_compare(g->frame[i].pushed, snapshot->frame[i]->pushed) == 0)
        i++;
    return i;
}

/* Bring the memory of a frame from what it holds to what was saved. */
static void restore_memory(struct restore *r)
{
    struct debug_kernel_frame *frame = &r->g->frame[r->depth];
    struct debug_kernel_saved *saved = r->snapshot->frame[r->depth];
    r->mem = mem_of(r->g, r->depth);
    for (uint32_t page = next_dirty(r->mem, 0); page < PVM_PAGE_COUNT;
         page = next_dirty(r->mem, page + 1)) {
        uint8_t flags;
        const uint8_t *bytes = replay_pages_get(&saved->image, page, &flags);
        restore_page(r, page, bytes, flags);
    }
    replay_pages_diff(&frame->live, &saved->image, restore_page, r);
    replay_pages_fini(&frame->live, &r->g->memory_held);
    replay_pages_copy(&frame->live, &saved->image);
    saved_hold(saved);
    saved_drop(r->g, frame->saved);
    frame->saved = saved;
    frame->changed = false;
}

void replay_debug_kernel_load(void *self, const struct replay_snapshot *snapshot)
{
    struct debug_kernel *g = self;
    struct restore r = {.g = g, .snapshot = snapshot};
    uint32_t same = same_frames(g, snapshot);
    const struct kernel_kept kept = {.self = &r,
                                     .tables = buf_bytes(&snapshot->tables),
                                     .cap_count = snapshot->cap_count,
                                     .cap = give_cap,
                                     .frame_count = snapshot->frame_count,
                                     .frame = give_frame,
                                     .same_count = same};
    while (g->frame_count > same) {
        unwatch(g, g->frame_count - 1);
        replay_debug_kernel_frame_end(g, &g->frame[--g->frame_count]);
    }
    g->failed = kernel_restore(g->kernel, &kept);
    g->place = snapshot->place;
    memset(g->written, 0, WRITTEN_WORDS * sizeof *g->written);
    replay_debug_kernel_follow(g);
    if (g->failed) /* no memory: the stack is gone */
        g->place.mode = DEBUG_KERNEL_IDLE;
    for (r.depth = 0; r.depth < g->frame_count; r.depth++) {
        g->frame[r.depth].pushed = snapshot->frame[r.depth]->pushed;
        restore_memory(&r);
    }
}

/* ---- digest ---- */

/* Of each frame its registers and memory, with their access. */
static enum err hash_frames(struct debug_kernel *g, struct buf *into)
{
    for (uint32_t i = 0; i < g->frame_count; i++) {
        struct kernel_frame_view view;
        struct arena arena;
        struct pvm_digest *digest;
        struct hash256 hash;
        (void)kernel_frame_look(g->kernel, i, &view);
        if (view.reference)
            continue;
        TRY(sync(g, i)); /* the digest cleans pages */
        struct pvm_state state = *view.state;
        bool shown = i + 1 == g->frame_count;
        state.gas = shown ? kernel_gas(g->kernel) : 0; /* of the others: what was */
        arena_init(&arena, (size_t)1 << 30);
        if (state.mem)
            pvm_mem_dirty_all(state.mem);
        enum err err = pvm_digest_create(&arena, state.mem, &digest);
        if (!err)
            err = pvm_digest_machine(digest, &state, &hash);
        arena_fini(&arena);
        TRY(err);
        buf_put(into, hash.byte, sizeof hash.byte);
    }
    return into->err;
}

enum err replay_debug_kernel_hash(void *self, uint8_t ret_hash[32])
{
    static const char name[] = "lockstep.kernel.1";
    struct debug_kernel *g = self;
    struct buf state;
    buf_init(&state, SIZE_MAX);
    buf_put(&state, name, sizeof name);
    kernel_state_dump(g->kernel, &state);
    uint64_t records = kernel_trace_count(g->kernel);
    struct hash256 digest = kernel_trace_digest(g->kernel);
    buf_printf(&state, "%" PRIu64 "\n", records);
    buf_put(&state, digest.byte, sizeof digest.byte);
    enum err err = hash_frames(g, &state);
    if (!err) {
        struct hash256 hash = hash256_of(state.data, state.size);
        memcpy(ret_hash, hash.byte, sizeof hash.byte);
    }
    buf_fini(&state);
    return err;
}
