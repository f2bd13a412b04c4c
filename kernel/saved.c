/* SPDX-License-Identifier: MIT
 *
 * The state of a kernel as bytes, numbers little-endian:
 *
 *   gas, gas at the segment's start, icount, records, their digest;
 *   next file id, catcher nonce, next marker order;
 *   five tables, each its count and its rows: quotas, meters, files, catchers, markers;
 *   the call stack: its size, and its entries from the bottom on.
 */
#include "kernel/saved.h"

#include "kernel/debug.h"
#include "kernel/internal.h"

#include <string.h>

enum { ENTRY_INSTANCE = 0, ENTRY_REFERENCE = 1 };

/* ---- save ---- */

static void put_amounts(struct buf *ret, const struct amount *list, uint32_t count)
{
    kernel_put_u32(ret, count);
    for (uint32_t i = 0; i < count; i++) {
        kernel_put_u64(ret, list[i].id);
        kernel_put_u64(ret, list[i].value);
    }
}

static void put_assist(struct buf *ret, const struct assist *a)
{
    kernel_put_u64(ret, a->file_next);
    kernel_put_u64(ret, a->catcher_nonce);
    kernel_put_u64(ret, a->marker_next);
    put_amounts(ret, a->quota, a->quota_count);
    put_amounts(ret, a->meter, a->meter_count);
    kernel_put_u32(ret, a->file_count);
    for (uint32_t i = 0; i < a->file_count; i++) {
        kernel_put_u64(ret, a->file[i].id);
        kernel_put_hash(ret, &a->file[i].hash);
    }
    kernel_put_u32(ret, a->catcher_count);
    for (uint32_t i = 0; i < a->catcher_count; i++)
        kernel_put_hash(ret, &a->catcher[i]);
    kernel_put_u32(ret, a->marker_count);
    for (uint32_t i = 0; i < a->marker_count; i++) {
        kernel_put_hash(ret, &a->marker[i].catcher);
        kernel_put_hash(ret, &a->marker[i].marker);
        kernel_put_u64(ret, a->marker[i].order);
    }
}

/* Only slots that an ecall can name ever change; the others are in the cap that the
 * frame was built from. */
static void put_slots(struct buf *ret, const struct slots *slots)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < KERNEL_SLOT_COUNT; i++)
        count += slots->slot[i].used;
    kernel_put_u32(ret, count);
    for (uint32_t i = 0; i < KERNEL_SLOT_COUNT; i++) {
        if (slots->slot[i].used) {
            kernel_put_u32(ret, i);
            kernel_put_hash(ret, &slots->slot[i].hash);
        }
    }
}

/* The next page from `page` on that has been written; PVM_PAGE_COUNT: none. */
static uint32_t next_written(const struct pvm_mem *mem, uint32_t page)
{
    page = mem ? pvm_mem_next_page(mem, page) : PVM_PAGE_COUNT;
    while (page < PVM_PAGE_COUNT && !pvm_mem_written(mem, page))
        page = pvm_mem_next_page(mem, page + 1);
    return page;
}

static void put_page_numbers(struct buf *ret, const struct pvm_mem *mem)
{
    uint32_t count = 0;
    for (uint32_t page = next_written(mem, 0); page < PVM_PAGE_COUNT;
         page = next_written(mem, page + 1))
        count++;
    kernel_put_u32(ret, count);
    for (uint32_t page = next_written(mem, 0); page < PVM_PAGE_COUNT;
         page = next_written(mem, page + 1))
        kernel_put_u32(ret, page);
}

static void put_frame(struct buf *ret, const struct frame *frame,
                      const struct pvm_state *state)
{
    kernel_put_u32(ret, frame->reference ? ENTRY_REFERENCE : ENTRY_INSTANCE);
    if (frame->reference) {
        kernel_put_u32(ret, frame->target);
        return;
    }
    kernel_put_u32(ret, (uint32_t)frame->call_slot);
    kernel_put_hash(ret, &frame->called.hash);
    kernel_put_hash(ret, &frame->chain);
    kernel_put_hash(ret, &frame->image_hash);
    kernel_put_u32(ret, state->pc);
    kernel_put_u32(ret, state->charged);
    for (int i = 0; i < PVM_REG_COUNT; i++)
        kernel_put_u64(ret, state->reg[i]);
    put_slots(ret, &frame->cnode);
    put_page_numbers(ret, state->mem);
}

static bool has_refs(const struct frame *frame)
{
    for (uint32_t i = 0; i < KERNEL_SLOT_COUNT; i++) {
        if (frame->cnode.slot[i].used && frame->cnode.slot[i].ref)
            return true;
    }
    return frame->called.ref != 0;
}

static bool can_save(const struct kernel *kernel)
{
    for (uint32_t i = 0; i < kernel->stack_size; i++) {
        if (has_refs(&kernel->stack[i]))
            return false;
    }
    for (uint32_t i = 0; i < kernel->directory.count; i++) {
        if (kernel_stored_paged(kernel->directory.blob[i].wire))
            return false;
    }
    return !kernel->detached && !kernel->work.size;
}

/* The top frame's state is the engine's while it runs. */
static const struct pvm_state *state_of(const struct kernel *kernel, uint32_t position,
                                        const struct pvm_state *running)
{
    bool top = position + 1 == kernel->stack_size;
    return top && running ? running : &kernel->stack[position].state;
}

enum err kernel_state_save(struct kernel *kernel, const struct pvm_state *running,
                           struct buf *ret)
{
    struct hash256 digest = kernel_trace_digest(kernel);
    if (!can_save(kernel))
        return ERR_unsupported;
    kernel_put_u64(ret, running ? running->gas : kernel->gas);
    kernel_put_u64(ret, kernel->segment_gas);
    kernel_put_u64(ret, running ? running->icount : kernel->icount);
    kernel_put_u64(ret, kernel->trace.seq);
    kernel_put_hash(ret, &digest);
    put_assist(ret, &kernel->assist);
    kernel_put_u32(ret, kernel->stack_size);
    for (uint32_t i = 0; i < kernel->stack_size; i++)
        put_frame(ret, &kernel->stack[i], state_of(kernel, i, running));
    return ret->err;
}

enum err kernel_state_pages(struct kernel *kernel, const struct pvm_state *running,
                            enum err (*page)(void *self, const uint8_t *bytes),
                            void *self)
{
    for (uint32_t i = 0; i < kernel->stack_size; i++) {
        const struct pvm_mem *mem =
            kernel->stack[i].reference ? NULL : state_of(kernel, i, running)->mem;
        for (uint32_t at = next_written(mem, 0); at < PVM_PAGE_COUNT;
             at = next_written(mem, at + 1))
            TRY(page(self, pvm_mem_page(mem, at)));
    }
    return ERR_ok;
}

/* ---- load: hostile ---- */

struct load {
    struct kernel *kernel;
    const uint8_t *at;
    size_t left;
    bool bad;
    const uint8_t *(*page)(void *self, uint64_t index);
    void *self;
    uint64_t page_index;
};

/* The next bytes; zeros once something is wrong. */
static const uint8_t *take(struct load *l, size_t size)
{
    static const uint8_t zeros[HASH256_SIZE];
    if (l->bad || l->left < size) {
        l->bad = true;
        return zeros;
    }
    const uint8_t *at = l->at;
    l->at += size;
    l->left -= size;
    return at;
}

static uint32_t get_u32(struct load *l)
{
    return kernel_u32(take(l, 4));
}

static uint64_t get_u64(struct load *l)
{
    return kernel_u64(take(l, 8));
}

static struct hash256 get_hash(struct load *l)
{
    return kernel_hash_at(take(l, HASH256_SIZE));
}

/* A count of rows, at most `max`; 0 once something is wrong. */
static uint32_t get_count(struct load *l, uint32_t max)
{
    uint32_t count = get_u32(l);
    l->bad |= count > max;
    return l->bad ? 0 : count;
}

static int compare(const struct hash256 *a, const struct hash256 *b)
{
    return memcmp(a->byte, b->byte, HASH256_SIZE);
}

static uint32_t get_amounts(struct load *l, struct amount *list)
{
    uint32_t count = get_count(l, l->kernel->assist.count_max);
    for (uint32_t i = 0; i < count && !l->bad; i++) {
        list[i].id = get_u64(l);
        list[i].value = get_u64(l);
        l->bad |= i && list[i - 1].id >= list[i].id;
    }
    return count;
}

static void get_files(struct load *l, struct assist *a)
{
    a->file_count = get_count(l, a->count_max);
    for (uint32_t i = 0; i < a->file_count && !l->bad; i++) {
        a->file[i].id = get_u64(l);
        a->file[i].hash = get_hash(l);
        l->bad |=
            a->file[i].id == UINT64_MAX || (i && a->file[i - 1].id >= a->file[i].id);
    }
}

static void get_catchers(struct load *l, struct assist *a)
{
    a->catcher_count = get_count(l, a->count_max);
    for (uint32_t i = 0; i < a->catcher_count && !l->bad; i++) {
        a->catcher[i] = get_hash(l);
        l->bad |= i && compare(&a->catcher[i - 1], &a->catcher[i]) >= 0;
    }
}

static bool markers_ascend(const struct marker *a, const struct marker *b)
{
    int order = compare(&a->catcher, &b->catcher);
    return order < 0 || (!order && compare(&a->marker, &b->marker) < 0);
}

static void get_markers(struct load *l, struct assist *a)
{
    a->marker_count = get_count(l, a->count_max);
    for (uint32_t i = 0; i < a->marker_count && !l->bad; i++) {
        struct marker *m = &a->marker[i];
        m->catcher = get_hash(l);
        m->marker = get_hash(l);
        m->order = get_u64(l);
        l->bad |= m->order >= a->marker_next ||
                  !kernel_assist_is_catcher(a, &m->catcher) ||
                  (i && !markers_ascend(m - 1, m));
    }
}

static void get_assist(struct load *l, struct assist *a)
{
    a->file_next = get_u64(l);
    a->catcher_nonce = get_u64(l);
    a->marker_next = get_u64(l);
    a->quota_count = get_amounts(l, a->quota);
    a->meter_count = get_amounts(l, a->meter);
    get_files(l, a);
    get_catchers(l, a);
    get_markers(l, a);
}

static void get_slots(struct load *l, struct slots *slots)
{
    uint32_t count = get_count(l, KERNEL_SLOT_COUNT), next = 0;
    for (uint32_t i = 0; i < KERNEL_SLOT_COUNT; i++)
        slots->slot[i] = (struct slot){.used = false};
    for (uint32_t i = 0; i < count && !l->bad; i++) {
        uint32_t number = get_u32(l);
        struct hash256 hash = get_hash(l);
        l->bad |= number < next || number >= KERNEL_SLOT_COUNT ||
                  !slots_in_range(slots, number);
        if (!l->bad)
            slots->slot[number] = slot_of_hash(&hash);
        next = number + 1;
    }
}

static void get_memory(struct load *l, struct pvm_mem *mem)
{
    uint32_t count = get_count(l, PVM_PAGE_COUNT), next = 0;
    for (uint32_t i = 0; i < count && !l->bad; i++) {
        uint32_t page = get_u32(l);
        l->bad |= !mem || page < next || page >= PVM_PAGE_COUNT ||
                  pvm_mem_access(mem, page) != PVM_ACCESS_RW;
        if (!l->bad)
            pvm_mem_restore(mem, page, l->page(l->self, l->page_index++), true);
        next = page + 1;
    }
}

/* The slot table that the frame began with, and its image as it is now. */
static enum err find_caps(struct load *l, struct frame *frame)
{
    const struct kernel *kernel = l->kernel;
    struct kernel_cap cap, image;
    if (l->bad || !kernel_find(kernel, &frame->called.hash, &cap) ||
        cap.kind != KERNEL_KIND_INSTANCE ||
        !kernel_find(kernel, &frame->image_hash, &image) ||
        image.kind != KERNEL_KIND_IMAGE)
        return ERR_state;
    struct hash256 root = cap.instance.root_cnode;
    if (!kernel_find(kernel, &root, &cap) || cap.kind != KERNEL_KIND_CNODE)
        return ERR_state;
    kernel_slots_load(&cap, &frame->cnode);
    frame->image = image.image;
    return ERR_ok;
}

/* Program and memory; the frame then is on the stack. */
static enum err build(struct load *l, struct frame *frame)
{
    struct kernel *kernel = l->kernel;
    struct hash256 hash = frame->image_hash;
    struct kernel_image image = frame->image;
    struct program *program;
    TRY(kernel_program_take(kernel, &hash, &image, &program));
    enum kernel_error error = kernel_rebuild_memory(kernel, frame);
    enum err err = kernel->abort;
    kernel->abort = ERR_ok;
    if (error) {
        kernel_program_give(program);
        return err ? err : ERR_state;
    }
    kernel_frame_set_image(frame, &hash, &image, program);
    kernel_push_built(kernel, frame);
    return ERR_ok;
}

static enum err get_instance(struct load *l)
{
    struct frame *frame = &l->kernel->stack[l->kernel->stack_size];
    bool base = !l->kernel->stack_size;
    *frame = (struct frame){.call_slot = (int32_t)get_u32(l)};
    l->bad |= base ? frame->call_slot != NO_SLOT
                   : frame->call_slot < 0 || frame->call_slot >= KERNEL_SLOT_COUNT;
    struct hash256 called = get_hash(l);
    frame->called = slot_of_hash(&called);
    frame->chain = get_hash(l);
    frame->image_hash = get_hash(l);
    frame->state.pc = get_u32(l);
    uint32_t charged = get_u32(l);
    l->bad |= charged > 1;
    frame->state.charged = charged;
    for (int i = 0; i < PVM_REG_COUNT; i++)
        frame->state.reg[i] = get_u64(l);
    TRY(find_caps(l, frame));
    get_slots(l, &frame->cnode);
    if (l->bad)
        return ERR_state;
    TRY(build(l, frame));
    get_memory(l, frame->state.mem);
    return l->bad ? ERR_state : ERR_ok;
}

/* A reference is on the stack only while a pause lasts: at its top. */
static enum err get_stack(struct load *l)
{
    struct kernel *kernel = l->kernel;
    uint32_t count = get_count(l, kernel->config.max_depth);
    while (kernel->stack_size < count && !l->bad) {
        uint32_t kind = get_u32(l);
        bool top = kernel->stack_size + 1 == count;
        if (kind == ENTRY_INSTANCE)
            TRY(get_instance(l));
        else
            l->bad |= kind != ENTRY_REFERENCE || !top ||
                      kernel_push_reference(kernel, get_u32(l)) != KERNEL_ERROR_None;
    }
    return l->bad || l->left ? ERR_state : ERR_ok;
}

static void drop_stack(struct kernel *kernel)
{
    while (kernel->stack_size)
        (void)kernel_pop(kernel);
}

static void clear_tables(struct assist *a)
{
    a->quota_count = a->meter_count = a->file_count = 0;
    a->catcher_count = a->marker_count = 0;
}

void kernel_state_clear(struct kernel *kernel)
{
    drop_stack(kernel);
    clear_tables(&kernel->assist);
    kernel_directory_truncate(&kernel->directory, 0);
    kernel->abort = ERR_ok;
}

enum err kernel_state_cap(struct kernel *kernel, struct bytes wire)
{
    struct directory *d = &kernel->directory;
    struct kernel_config config = kernel->config;
    struct kernel_cap cap;
    /* A frame that has been settled may hold its base region and as much again. */
    config.max_frame_mem *= 2;
    if (kernel_wire_decode(wire, &cap) || kernel_cap_check(&cap, &config))
        return ERR_state;
    const struct draft draft = {.hash = kernel_cap_hash(&cap), .wire = wire};
    return kernel_directory_fits(d, &draft, 1) && kernel_directory_insert(d, &draft)
               ? ERR_ok
               : ERR_state;
}

enum err kernel_state_load(struct kernel *kernel, struct bytes state,
                           const uint8_t *(*page)(void *self, uint64_t index),
                           void *self)
{
    struct load l = {.kernel = kernel,
                     .at = state.data,
                     .left = state.size,
                     .page = page,
                     .self = self};
    drop_stack(kernel);
    kernel->gas = get_u64(&l);
    kernel->segment_gas = get_u64(&l);
    kernel->icount = get_u64(&l);
    kernel->trace.seq = get_u64(&l);
    kernel->trace.digest = get_hash(&l);
    kernel->trace.dropped = kernel->trace.seq;
    kernel->trace.size = kernel->trace.count = 0;
    kernel->trap_error = KERNEL_ERROR_None;
    kernel->outcome = (struct kernel_outcome){.variant = KERNEL_VARIANT_NONE};
    kernel_journal_begin(kernel);
    get_assist(&l, &kernel->assist);
    enum err err = l.bad ? ERR_state : get_stack(&l);
    if (err) {
        drop_stack(kernel);
        clear_tables(&kernel->assist);
    }
    return err;
}
