/* SPDX-License-Identifier: MIT
 *
 * The rings of a bridge, whose memory another process writes as it likes.  The input is
 * a place to start, a script of records, and of what the other side does to counters
 * and bytes.  As long as it does nothing, what is put in comes out.
 */
#include "hostfs/ring.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SCRIPT_MAX = 64, SMALL_MAX = 500, COUNTERS_AT = 64, COUNTER_STEP = 64 };

struct world {
    uint8_t *memory;
    struct hostfs_ring from_us, to_them; /* one ring, seen from both sides */
    uint8_t record[HOSTFS_RECORD_MAX], got[HOSTFS_RECORD_MAX];
    uint32_t put, taken; /* records */
    bool spoilt;
};

/* All bytes of a record are its number, and the last one is its size. */
static void fill(struct world *w, size_t size)
{
    memset(w->record, (int)(w->put & 0xff), size);
    w->record[size - 1] = (uint8_t)size;
    v86fs_store(w->record, 4, size);
}

static void put(struct world *w, uint32_t value)
{
    bool large = value >> 24 == 0xff;
    size_t size =
        HOSTFS_ENVELOPE_SIZE + value % (large ? V86FS_FRAME_MAX + 1 : SMALL_MAX);
    fill(w, size);
    uint32_t before = w->from_us.at;
    if (hostfs_ring_put(&w->from_us, bytes_of(w->record, size)))
        w->put++;
    else
        check(w->from_us.at == before && (w->spoilt || w->put > w->taken));
}

static void take(struct world *w)
{
    size_t size;
    uint32_t there = *w->to_them.tail - w->to_them.at;
    bool wrong = there > w->to_them.size || (there && there < HOSTFS_ENVELOPE_SIZE);
    enum err err = hostfs_ring_take(&w->to_them, w->got, &size);
    check(!err || (w->spoilt && err == ERR_v86fs_bridge));
    check(size <= HOSTFS_RECORD_MAX && (err || !wrong));
    if (w->spoilt)
        return;
    check(!size == (w->taken == w->put));
    for (size_t i = 4; i + 1 < size; i += size < SMALL_MAX ? 1 : 61)
        check(w->got[i] == (uint8_t)w->taken);
    check(!size || w->got[size - 1] == (uint8_t)size);
    w->taken += size != 0;
}

static void spoil(struct world *w, unsigned what, uint32_t value)
{
    w->spoilt = true;
    if (what < 4)
        v86fs_store(w->memory + COUNTERS_AT + what * COUNTER_STEP, 4, value);
    else if (what == 4) /* a tail that is near */
        *w->to_them.tail = w->to_them.at + (value & 0xffff);
    else /* the length of the record that is next */
        v86fs_store(w->to_them.data + (w->to_them.at & (w->to_them.size - 1) & ~7u), 4,
                    value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world world;
    struct world *w = &world;
    struct hostfs_ring unused;
    if (!w->memory)
        w->memory = malloc(HOSTFS_SHARED_SIZE);
    check(w->memory);
    memset(w->memory, 0, 4096);
    hostfs_rings_init(w->memory);
    if (size >= 8 && data[0] == 0xff) { /* other beginnings */
        memcpy(w->memory, data, 8);
        if (!hostfs_rings_open(w->memory, HOSTFS_SHARED_SIZE, true, &unused,
                               &w->from_us))
            return 0;
    }
    check(hostfs_rings_open(w->memory, HOSTFS_SHARED_SIZE, true, &unused, &w->from_us));
    check(
        hostfs_rings_open(w->memory, HOSTFS_SHARED_SIZE, false, &w->to_them, &unused));
    w->put = w->taken = 0;
    w->spoilt = false;
    if (size >= 4) /* somewhere in the ring, near the end of the counters perhaps */
        *w->from_us.head = *w->from_us.tail = w->from_us.at = w->to_them.at =
            (uint32_t)v86fs_load(data, 4) & ~7u;
    for (size_t at = 4; at + 5 <= size && at < 5 * SCRIPT_MAX; at += 5) {
        uint32_t value = (uint32_t)v86fs_load(data + at + 1, 4);
        unsigned op = data[at] % 16;
        if (op < 5)
            put(w, value);
        else if (op < 10)
            take(w);
        else
            spoil(w, op - 10, value);
    }
    return 0;
}
