/* SPDX-License-Identifier: MIT
 *
 * store - a service: numbers and caps by key.  What it keeps is in its memory and its
 * slots, so each call is made to the instance that the last one left behind.
 */
#include "jar.h"

enum { ENTRY_COUNT = 64, FIRST_SLOT = 100 };

static struct entry {
    uint64_t key, value;
    bool used, has_cap;
} table[ENTRY_COUNT];

static uint64_t count = 0;

/* The entry of a key, or the first free one on its way. */
static struct entry *find(uint64_t key)
{
    uint64_t at = key * 0x9e3779b97f4a7c15u >> 58;
    for (uint64_t i = 0; i < ENTRY_COUNT; i++) {
        struct entry *e = &table[(at + i) % ENTRY_COUNT];
        if (!e->used || e->key == key)
            return e;
    }
    pvm_panic();
}

static struct entry *make(uint64_t key)
{
    struct entry *e = find(key);
    if (!e->used) {
        *e = (struct entry){.key = key, .used = true};
        count++;
    }
    return e;
}

static uint64_t slot_of(const struct entry *e)
{
    return FIRST_SLOT + (uint64_t)(e - table);
}

/* Answers the old value. */
static uint64_t put(uint64_t key, uint64_t value)
{
    struct entry *e = make(key);
    uint64_t old = e->value;
    e->value = value;
    return old;
}

static uint64_t get(uint64_t key)
{
    return find(key)->value;
}

static uint64_t size(void)
{
    return count;
}

/* Keep the cap in the scratch slot. */
static uint64_t put_cap(uint64_t key)
{
    struct entry *e = make(key);
    jar_move(JAR_SLOT_SCRATCH, slot_of(e));
    e->has_cap = true;
    return count;
}

/* Hand it out; the store keeps it too. */
static uint64_t get_cap(uint64_t key)
{
    struct entry *e = find(key);
    if (!e->has_cap)
        return 0;
    jar_copy(slot_of(e), JAR_SLOT_SCRATCH);
    return 1;
}

/* Make a cap of all values and keep it: endpoint 3 has nothing to take from a host. */
static uint64_t freeze(uint64_t key, uint64_t quota)
{
    static uint64_t values[ENTRY_COUNT];
    for (uint64_t i = 0; i < ENTRY_COUNT; i++)
        values[i] = table[i].value;
    jar_mint(values, sizeof values, quota, JAR_SLOT_SCRATCH);
    return put_cap(key);
}

PVM_EXPORT(0, put);
PVM_EXPORT(1, get);
PVM_EXPORT(2, size);
PVM_EXPORT(3, put_cap);
PVM_EXPORT(4, get_cap);
PVM_EXPORT(5, freeze);
