/* SPDX-License-Identifier: MIT
 *
 * Content to blob number [3.4].  Numbers count up in order of appearance; the table
 * holds every blob of the epoch, because which blob is written again must depend on
 * the events alone.
 */
#include "trace/internal.h"

enum { SLOT_COUNT_MIN = 256 };

void trace_blob_table_init(struct blob_table *table)
{
    *table = (struct blob_table){0};
    buf_init(&table->hashes, PTRDIFF_MAX / 2);
    buf_init(&table->slots, PTRDIFF_MAX / 2);
}

void trace_blob_table_fini(struct blob_table *table)
{
    buf_fini(&table->hashes);
    buf_fini(&table->slots);
    *table = (struct blob_table){0};
}

void trace_blob_table_clear(struct blob_table *table)
{
    buf_clear(&table->hashes);
    buf_clear(&table->slots);
    table->count = 0;
}

static const struct hash256 *hash_at(const struct blob_table *table, uint32_t number)
{
    return (const struct hash256 *)(const void *)table->hashes.data + number;
}

/* A slot: number + 1 below, half of the hash's first word above, or 0 when free.  So
 * the hashes, which are in no cache, are looked at only when they are very likely
 * equal.
 */
static uint64_t tag_of(const struct hash256 *hash)
{
    return get64(hash->byte) & UINT64_C(0xffffffff00000000);
}

static uint32_t number_in(uint64_t slot)
{
    return (uint32_t)slot - 1;
}

/* The slot that holds `hash`, or the free one where it belongs. */
static uint64_t *slot_of(const struct blob_table *table, const struct hash256 *hash)
{
    uint64_t *slot = (uint64_t *)(void *)table->slots.data;
    uint64_t tag = tag_of(hash);
    size_t mask = table->slots.size / sizeof *slot - 1;
    size_t at = (size_t)get64(hash->byte) & mask;
    while (slot[at] && ((slot[at] ^ tag) >> 32 ||
                        !hash256_equal(hash_at(table, number_in(slot[at])), hash)))
        at = (at + 1) & mask;
    return &slot[at];
}

bool trace_blob_table_find(const struct blob_table *table, const struct hash256 *hash,
                           uint32_t *ret_number)
{
    uint64_t found = table->slots.size ? *slot_of(table, hash) : 0;
    if (found)
        *ret_number = number_in(found);
    return found != 0;
}

/* Keep at least half of the slots free. */
static enum err make_room(struct blob_table *table)
{
    size_t slot_count = table->slots.size / sizeof(uint64_t);
    if ((size_t)table->count * 2 < slot_count)
        return ERR_ok;
    size_t wanted = slot_count ? slot_count * 2 : SLOT_COUNT_MIN;
    buf_clear(&table->slots);
    if (!buf_extend(&table->slots, wanted * sizeof(uint64_t)))
        return ERR_nomem;
    for (uint32_t i = 0; i < table->count; i++)
        *slot_of(table, hash_at(table, i)) = tag_of(hash_at(table, i)) | (i + 1);
    return ERR_ok;
}

enum err trace_blob_table_add(struct blob_table *table, const struct hash256 *hash)
{
    if (table->count == UINT32_MAX)
        return ERR_trace_full;
    TRY(make_room(table));
    buf_put(&table->hashes, hash, sizeof *hash);
    if (table->hashes.err)
        return ERR_nomem;
    uint64_t *slot = slot_of(table, hash);
    table->count++;
    if (!*slot)
        *slot = tag_of(hash) | table->count;
    return ERR_ok;
}
