/* SPDX-License-Identifier: MIT
 *
 * The kernel's state as bytes: DUMP_STATE [9.9].
 */
#include "kernel/internal.h"

#include <string.h>

enum { ENTRY_SIZE = 256 };

/* ---- sorting: heap sort of items of one size, by memcmp of their first bytes ---- */

enum { SORT_ITEM_MAX = 40 };

struct sort {
    uint8_t *item;
    size_t size, key_size;
};

static void sort_swap(const struct sort *s, size_t a, size_t b)
{
    uint8_t spare[SORT_ITEM_MAX];
    memcpy(spare, s->item + a * s->size, s->size);
    memcpy(s->item + a * s->size, s->item + b * s->size, s->size);
    memcpy(s->item + b * s->size, spare, s->size);
}

static bool sort_less(const struct sort *s, size_t a, size_t b)
{
    return memcmp(s->item + a * s->size, s->item + b * s->size, s->key_size) < 0;
}

static void sort_sink(const struct sort *s, size_t at, size_t count)
{
    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && sort_less(s, child, child + 1))
            child++;
        if (!sort_less(s, at, child))
            return;
        sort_swap(s, at, child);
        at = child;
    }
}

static void sort_run(const struct sort *s, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sort_sink(s, i, count);
    for (size_t end = count; end-- > 1;) {
        sort_swap(s, 0, end);
        sort_sink(s, 0, end);
    }
}

/* ---- tables ---- */

static void put_amounts(struct buf *ret, const struct amount *list, uint32_t count)
{
    kernel_put_u32(ret, count);
    for (uint32_t i = 0; i < count; i++) {
        kernel_put_u64(ret, list[i].id);
        kernel_put_u64(ret, list[i].value);
    }
}

static void put_files(struct buf *ret, const struct assist *a)
{
    kernel_put_u32(ret, a->file_count);
    for (uint32_t i = 0; i < a->file_count; i++) {
        kernel_put_u64(ret, a->file[i].id);
        kernel_put_hash(ret, &a->file[i].hash);
    }
}

/* The markers of a catcher in order of insertion.  The table has them by hash. */
static void put_markers(struct buf *ret, const struct marker *marker, uint32_t count)
{
    struct buf list;
    buf_init(&list, SIZE_MAX);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t key[8]; /* big-endian, for memcmp */
        for (int j = 0; j < 8; j++)
            key[j] = (uint8_t)(marker[i].order >> (56 - 8 * j));
        buf_put(&list, key, sizeof key);
        kernel_put_hash(&list, &marker[i].marker);
    }
    const struct sort sort = {list.data, SORT_ITEM_MAX, 8};
    kernel_put_u32(ret, count);
    if (!list.err)
        sort_run(&sort, count);
    for (uint32_t i = 0; i < count && !list.err; i++)
        buf_put(ret, list.data + (size_t)i * SORT_ITEM_MAX + 8, HASH256_SIZE);
    if (list.err && !ret->err)
        ret->err = list.err;
    buf_fini(&list);
}

static void put_catchers(struct buf *ret, const struct assist *a)
{
    uint32_t at = 0;
    kernel_put_u32(ret, a->catcher_count);
    for (uint32_t i = 0; i < a->catcher_count; i++) {
        uint32_t end = at;
        while (end < a->marker_count &&
               hash256_equal(&a->marker[end].catcher, &a->catcher[i]))
            end++;
        kernel_put_hash(ret, &a->catcher[i]);
        put_markers(ret, a->marker + at, end - at);
        at = end;
    }
}

static void put_blobs(struct buf *ret, const struct directory *d)
{
    struct buf list;
    buf_init(&list, SIZE_MAX);
    for (uint32_t i = 0; i < d->count; i++)
        kernel_put_hash(&list, &d->blob[i].hash);
    const struct sort sort = {list.data, HASH256_SIZE, HASH256_SIZE};
    if (list.err && !ret->err)
        ret->err = list.err;
    if (!list.err)
        sort_run(&sort, d->count);
    struct hash256 digest = hash_sha256(list.data, list.size);
    kernel_put_u64(ret, d->count);
    kernel_put_hash(ret, &digest);
    buf_fini(&list);
}

/* ---- stack ---- */

static void entry_put(struct kernel *kernel, const struct frame *frame, bool running,
                      uint8_t *p)
{
    kernel_u32_put(p, frame->reference);
    kernel_u32_put(p + 4, !running);
    kernel_u32_put(p + 12, (uint32_t)frame->call_slot);
    if (frame->reference) {
        kernel_u32_put(p + 8, frame->target);
        return;
    }
    struct hash256 cnode = kernel_slots_hash(kernel, &frame->cnode);
    struct hash256 memory = {{0}};
    if (kernel->config.flags & KERNEL_MEM_DIGEST)
        memory = kernel_mem_digest(kernel, frame);
    memcpy(p + 16, cnode.byte, HASH256_SIZE);
    memcpy(p + 48, frame->chain.byte, HASH256_SIZE);
    memcpy(p + 80, frame->image_hash.byte, HASH256_SIZE);
    kernel_u64_put(p + 112, frame->state.pc);
    for (int i = 0; i < PVM_REG_COUNT; i++)
        kernel_u64_put(p + 120 + 8 * i, frame->state.reg[i]);
    memcpy(p + 224, memory.byte, HASH256_SIZE);
}

void kernel_state_dump(struct kernel *kernel, struct buf *ret)
{
    const struct assist *a = &kernel->assist;
    put_amounts(ret, a->quota, a->quota_count);
    put_amounts(ret, a->meter, a->meter_count);
    put_files(ret, a);
    kernel_put_u64(ret, a->file_next);
    kernel_put_u64(ret, a->catcher_nonce);
    put_catchers(ret, a);
    put_blobs(ret, &kernel->directory);
    kernel_put_u32(ret, kernel->stack_size);
    for (uint32_t i = 0; i < kernel->stack_size; i++) {
        uint8_t entry[ENTRY_SIZE] = {0};
        entry_put(kernel, &kernel->stack[i], i + 1 == kernel->stack_size, entry);
        buf_put(ret, entry, sizeof entry);
    }
}
