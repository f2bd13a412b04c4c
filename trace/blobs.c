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

/* The slot that holds `hash`, or the free one where it belongs. */
static uint32_t *slot_of(const struct blob_table *table, const struct hash256 *hash)
{
    uint32_t *slot = (uint32_t *)(void *)table->slots.data;
    size_t mask = table->slots.size / sizeof *slot - 1;
    size_t at = (size_t)get64(hash->byte) & mask;
    while (slot[at] && !hash256_equal(hash_at(table, slot[at] - 1), hash))
        at = (at + 1) & mask;
    return &slot[at];
}

bool trace_blob_table_find(const struct blob_table *table, const struct hash256 *hash,
                           uint32_t *ret_number)
{
    uint32_t found = table->slots.size ? *slot_of(table, hash) : 0;
    if (found)
        *ret_number = found - 1;
    return found != 0;
}

/* Keep at least half of the slots free. */
static enum err make_room(struct blob_table *table)
{
    size_t slot_count = table->slots.size / sizeof(uint32_t);
    if ((size_t)table->count * 2 < slot_count)
        return ERR_ok;
    size_t wanted = slot_count ? slot_count * 2 : SLOT_COUNT_MIN;
    buf_clear(&table->slots);
    if (!buf_extend(&table->slots, wanted * sizeof(uint32_t)))
        return ERR_nomem;
    for (uint32_t i = 0; i < table->count; i++)
        *slot_of(table, hash_at(table, i)) = i + 1;
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
    uint32_t *slot = slot_of(table, hash);
    table->count++;
    if (!*slot)
        *slot = table->count;
    return ERR_ok;
}
