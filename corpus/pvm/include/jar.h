/* SPDX-License-Identifier: MIT
 *
 * jar.h - the ecalls of the capability kernel as C functions (pvm-kernel.md 8).
 *
 * A slot is a number from 0 to 255 of the instance's root cnode.  Slot 0 is the scratch
 * slot: what a caller leaves there, the callee finds there, and the other way round.
 * A call that may not be traps: it has no answer, and ends the whole invocation.  An
 * exported function is an endpoint; its result is what the caller gets.
 *
 * An image has its read-only data in slot 1 and its writable data in slot 2.
 */
#ifndef PVM_INCLUDE_JAR_H
#define PVM_INCLUDE_JAR_H

#include "pvm.h"

enum {
#define KCALL(op, name, needs, text) JAR_##name = op,
#include "../../../kernel/ecalls.def"
};

enum { JAR_PAGE_SIZE = 4096, JAR_SLOT_SCRATCH = 0 };

static inline void jar_copy(uint64_t from, uint64_t to)
{
    (void)pvm_ecalli(JAR_copy, from, to);
}

static inline void jar_move(uint64_t from, uint64_t to)
{
    (void)pvm_ecalli(JAR_move, from, to);
}

static inline void jar_drop(uint64_t slot)
{
    (void)pvm_ecalli(JAR_drop, slot);
}

static inline void jar_swap(uint64_t a, uint64_t b)
{
    (void)pvm_ecalli(JAR_cnode_swap, a, b);
}

/* An empty cnode of 2^size_log slots. */
static inline void jar_cnode(uint64_t to, uint64_t size_log)
{
    (void)pvm_ecalli(JAR_cnode_mint, to, size_log);
}

/* Yield a marker: the host plays the handler, and lets the instance go on. */
static inline void jar_yield(uint64_t marker)
{
    (void)pvm_ecalli(JAR_host_yield, marker);
}

/* Go on in another image, at the instruction behind this call, whose code has to have
 * one there. */
static inline void jar_set_image(uint64_t image)
{
    (void)pvm_ecalli(JAR_set_image, image);
}

/* An instance of an image; the prepared cnode is consumed. */
static inline void jar_spawn(uint64_t image, uint64_t cnode, uint64_t to)
{
    (void)pvm_ecalli(JAR_derive_spawn, image, cnode, to);
}

/* Do both slots hold the same cap? */
static inline bool jar_same(uint64_t a, uint64_t b)
{
    return pvm_ecalli(JAR_same_type, a, b).a0;
}

static inline void jar_type_of(uint64_t instance, uint64_t to)
{
    (void)pvm_ecalli(JAR_type_of, instance, to);
}

/* The first bytes of a data cap, at most `size`; answers how many. */
static inline uint64_t jar_read(uint64_t data, void *to, uint64_t size)
{
    return pvm_ecalli(JAR_read_data_cap, data, pvm_address(to), size).a0;
}

/* A data cap of these bytes and zeros up to whole pages, paid from a quota. */
static inline void jar_mint(const void *from, uint64_t size, uint64_t quota,
                            uint64_t to)
{
    (void)pvm_ecalli(JAR_mint_data_cap, pvm_address(from), size, quota, to);
}

static inline void jar_open(uint64_t file, uint64_t to)
{
    (void)pvm_ecalli(JAR_host_open, file, to);
}

/* Make a file of a data cap; answers its number. */
static inline uint64_t jar_save(uint64_t data, uint64_t quota)
{
    return pvm_ecalli(JAR_host_save, data, quota).a0;
}

/* Call an endpoint of an instance; answers its result. */
static inline uint64_t jar_call(uint64_t instance, uint64_t endpoint)
{
    return pvm_ecalli(JAR_host_call, instance, endpoint).a0;
}

#endif
