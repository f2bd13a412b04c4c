/* SPDX-License-Identifier: MIT
 *
 * What an operation has done: the journal, and trace records made of it [9.8].
 */
#include "kernel/internal.h"

#include <string.h>

enum {
    RECORD_HEAD_SIZE = 256,
    RECORD_SLOT_SIZE = 72,
    RECORD_ASSIST_SIZE = 64,
    RECORD_MEMORY_SIZE = 40,
    DRAIN_HEAD_SIZE = 24,
};

#define OP_RETURN 0xffffffffu

/* ---- journal ---- */

void kernel_journal_begin(struct kernel *kernel)
{
    struct journal *j = &kernel->journal;
    j->slot_count = j->published_count = j->assist_count = 0;
    j->read = j->written = (struct kernel_range){0, 0};
}

static uint8_t slot_show(const struct slot *slot, struct hash256 *ret_hash)
{
    *ret_hash = slot->used && !slot->ref ? slot->hash : (struct hash256){{0}};
    return !slot->used ? 0 : slot->ref ? 2 : 1;
}

void kernel_journal_slot(struct kernel *kernel, uint32_t frame, uint32_t slot)
{
    struct journal *j = &kernel->journal;
    uint32_t at = 0;
    while (at < j->slot_count &&
           (j->slot[at].frame < frame ||
            (j->slot[at].frame == frame && j->slot[at].slot < slot)))
        at++;
    if (at < j->slot_count && j->slot[at].frame == frame && j->slot[at].slot == slot)
        return; /* its first content counts */
    check(j->slot_count < JOURNAL_SLOT_MAX);
    memmove(j->slot + at + 1, j->slot + at, (j->slot_count - at) * sizeof *j->slot);
    j->slot[at] = (struct kernel_slot_change){.frame = frame, .slot = slot};
    j->slot[at].old_present =
        slot_show(&kernel->stack[frame].cnode.slot[slot], &j->slot[at].old_hash);
    j->slot_count++;
}

void kernel_journal_published(struct kernel *kernel, const struct hash256 *hash)
{
    struct journal *j = &kernel->journal;
    if (j->published_count < JOURNAL_PUBLISHED_MAX)
        j->published[j->published_count++] = *hash;
}

struct kernel_assist_call *kernel_journal_assist(struct kernel *kernel,
                                                 enum kernel_assist_method method)
{
    struct journal *j = &kernel->journal;
    check(j->assist_count < j->assist_max);
    j->assist[j->assist_count] = (struct kernel_assist_call){.method = method};
    return &j->assist[j->assist_count++];
}

/* Keep the slots whose content is another now. */
static void slots_finish(struct kernel *kernel)
{
    struct journal *j = &kernel->journal;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < j->slot_count; i++) {
        struct kernel_slot_change *c = &j->slot[i];
        c->new_present =
            slot_show(&kernel->stack[c->frame].cnode.slot[c->slot], &c->new_hash);
        if (c->new_present != c->old_present ||
            !hash256_equal(&c->new_hash, &c->old_hash))
            j->slot[kept++] = *c;
    }
    j->slot_count = kept;
}

/* ---- records ---- */

uint64_t kernel_record_size_max(uint32_t assist_max)
{
    return RECORD_HEAD_SIZE + JOURNAL_SLOT_MAX * RECORD_SLOT_SIZE +
           JOURNAL_PUBLISHED_MAX * HASH256_SIZE +
           (uint64_t)assist_max * RECORD_ASSIST_SIZE + RECORD_MEMORY_SIZE;
}

static void u16_put(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

static uint8_t *hash_put(uint8_t *p, const struct hash256 *hash)
{
    memcpy(p, hash->byte, HASH256_SIZE);
    return p + HASH256_SIZE;
}

static uint8_t *slot_put(uint8_t *p, const struct kernel_slot_change *change)
{
    kernel_u32_put(p, change->slot);
    u16_put(p + 4, change->frame);
    p[6] = change->old_present;
    p[7] = change->new_present;
    return hash_put(hash_put(p + 8, &change->old_hash), &change->new_hash);
}

static uint8_t *assist_put(uint8_t *p, const struct kernel_assist_call *call)
{
    u16_put(p, call->method);
    u16_put(p + 2, call->ok);
    kernel_u32_put(p + 4, 0);
    kernel_u64_put(p + 8, call->arg[0]);
    kernel_u64_put(p + 16, call->arg[1]);
    kernel_u64_put(p + 24, call->answer);
    return hash_put(p + 32, &call->hash);
}

/* The range lies in mapped pages; its SHA-256 needs it in one piece: `work`. */
static uint8_t *memory_put(uint8_t *p, const struct kernel_event *event, uint8_t *work)
{
    struct kernel_range range = event->written;
    check(pvm_mem_read(event->mem, range.address, range.size, work) == ERR_ok);
    struct hash256 hash = hash_sha256(work, range.size);
    kernel_u32_put(p, range.address);
    kernel_u32_put(p + 4, range.size);
    return hash_put(p + 8, &hash);
}

static void head_put(uint8_t *p, const struct kernel_event *event)
{
    p[4] = (uint8_t)event->kind;
    p[5] = (uint8_t)event->outcome;
    u16_put(p + 6, event->frame);
    kernel_u32_put(p + 8, event->op);
    kernel_u32_put(p + 12, event->error);
    kernel_u64_put(p + 16, event->seq);
    kernel_u64_put(p + 24, event->pc);
    kernel_u64_put(p + 32, event->gas);
    for (int i = 0; i < PVM_REG_COUNT; i++) {
        kernel_u64_put(p + 40 + 8 * i, event->before[i]);
        kernel_u64_put(p + 144 + 8 * i, event->after[i]);
    }
    u16_put(p + 248, event->slot_count);
    u16_put(p + 250, event->published_count);
    u16_put(p + 252, event->assist_count);
    u16_put(p + 254, event->written.size != 0);
}

static uint64_t record_put(uint8_t *at, const struct kernel_event *event, uint8_t *work)
{
    uint8_t *p = at + RECORD_HEAD_SIZE;
    head_put(at, event);
    for (uint32_t i = 0; i < event->slot_count; i++)
        p = slot_put(p, &event->slot[i]);
    for (uint32_t i = 0; i < event->published_count; i++)
        p = hash_put(p, &event->published[i]);
    for (uint32_t i = 0; i < event->assist_count; i++)
        p = assist_put(p, &event->assist[i]);
    if (event->written.size)
        p = memory_put(p, event, work);
    kernel_u32_put(at, (uint32_t)(p - at));
    return (uint64_t)(p - at);
}

static void record(struct kernel *kernel, const struct kernel_event *event)
{
    struct trace_store *t = &kernel->trace;
    uint8_t *at = t->scratch + HASH256_SIZE;
    uint64_t size = record_put(at, event, directory_end(&kernel->directory));
    (void)hash_put(t->scratch, &t->digest);
    t->digest = hash_sha256(t->scratch, HASH256_SIZE + size);
    if (t->count < t->count_max && size <= t->size_max - t->size) {
        memcpy(t->record + t->size, at, size);
        t->size += size;
        t->count++;
    } else {
        t->dropped++;
    }
}

void kernel_journal_commit(struct kernel *kernel, const struct pvm_state *state,
                           struct kernel_event *event)
{
    const struct kernel_observer *observer = kernel->host.observer;
    struct journal *j = &kernel->journal;
    slots_finish(kernel);
    if (event->kind == KERNEL_EVENT_RETURN)
        event->op = OP_RETURN;
    event->seq = kernel->trace.seq++;
    memcpy(event->after, state->reg, sizeof event->after);
    event->slot = j->slot;
    event->slot_count = j->slot_count;
    event->published = j->published;
    event->published_count = j->published_count;
    event->assist = j->assist;
    event->assist_count = j->assist_count;
    event->read = j->read;
    event->written = j->written;
    if (kernel_traces(kernel))
        record(kernel, event);
    if (observer && observer->event)
        observer->event(observer->self, state, event);
}

/* ---- for the host ---- */

uint64_t kernel_trace_count(const struct kernel *kernel)
{
    return kernel_traces(kernel) ? kernel->trace.seq : 0;
}

struct hash256 kernel_trace_digest(const struct kernel *kernel)
{
    return kernel->trace.digest;
}

void kernel_trace_drain(struct kernel *kernel, uint32_t max_bytes, struct buf *ret)
{
    struct trace_store *t = &kernel->trace;
    uint64_t size = 0;
    uint32_t count = 0;
    while (count < t->count) {
        uint64_t next = kernel_u32(t->record + size);
        if (next > max_bytes - size)
            break;
        size += next;
        count++;
    }
    uint8_t head[DRAIN_HEAD_SIZE];
    kernel_u64_put(head, t->count ? kernel_u64(t->record + 16) : t->seq);
    kernel_u64_put(head + 8, t->count - count);
    kernel_u64_put(head + 16, t->dropped);
    buf_put(ret, head, sizeof head);
    if (size)
        buf_put(ret, t->record, size);
    if (ret->err)
        return;
    memmove(t->record, t->record + size, t->size - size);
    t->size -= size;
    t->count -= count;
}
