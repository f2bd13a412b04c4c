/* SPDX-License-Identifier: MIT
 *
 * kernel/work.h - working entries [4.2]: caps that change, for callers in this process.
 *
 * An entry has a number and is what a Ref target names.  No ecall and no request makes
 * one.  Memory comes from the heap and goes with kernel_close().
 */
#ifndef KERNEL_WORK_H
#define KERNEL_WORK_H

#include "kernel/paged.h"

/* What a slot holds: nothing, a hash, or a Ref (`ref` is not 0). */
struct kernel_target {
    bool present;
    struct hash256 hash;
    uint64_t ref;
};

/* A slot of a working cnode that holds a Ref; slots below 256. */
struct kernel_ref {
    uint32_t slot;
    uint64_t id;
};

/* A cap as it goes into an entry; borrowed during the call. */
struct kernel_work_cap {
    struct bytes wire;                /* encoding; Refs are left out or zero in it */
    const struct kernel_paged *paged; /* paged data, instead of `wire` */
    uint64_t root_ref;                /* instance: its root cnode; 0: as in `wire` */
    const struct kernel_ref *ref;     /* cnode: ascending, not in `wire` */
    uint32_t ref_count;
};

/* A new entry.  BadCap for what is no valid cap (a Ref may name what does not exist
 * yet); Internal: no memory. */
enum kernel_error kernel_work_new(struct kernel *kernel,
                                  const struct kernel_work_cap *cap, uint64_t *ret_id);

/* A copy of a blob; WorkingMissing when it is absent. */
enum kernel_error kernel_work_promote(struct kernel *kernel, const struct hash256 *hash,
                                      uint64_t *ret_id);

/* Another cap in an entry: WorkingMissing, and what kernel_work_new() answers. */
enum kernel_error kernel_work_replace(struct kernel *kernel, uint64_t id,
                                      const struct kernel_work_cap *cap);

/* The hash of an entry as it is: WorkingMissing, Unsettled, DirtyPages. */
enum kernel_error kernel_work_hash(const struct kernel *kernel, uint64_t id,
                                   struct hash256 *ret_hash);

/* Write to an entry of paged data; Dirty afterwards.  WorkingMissing, NotData, and what
 * kernel_paged_write() answers.  kernel_work_flush() hashes its pages. */
enum kernel_error kernel_work_write(struct kernel *kernel, uint64_t id, uint64_t offset,
                                    struct bytes bytes);
enum kernel_error kernel_work_flush(struct kernel *kernel, uint64_t id);

/* Settle: a hash stays what it is; an entry is hashed after those that it names, data
 * and cnodes become blobs.  Nested entries may have been settled when an error comes:
 * WorkingMissing, RefCycle, DirtyPages, DirectoryFull. */
enum kernel_error kernel_work_settle(struct kernel *kernel,
                                     const struct kernel_target *target,
                                     struct hash256 *ret_hash);

/* Drop entries that no slot of the stack and no entry names, until none is left. */
void kernel_work_sweep(struct kernel *kernel);

uint32_t kernel_work_count(const struct kernel *kernel);

/* Put a target into slot 0..255 of a stack entry, as a caller in this process may while
 * an invocation is paused: SlotOutOfRange, CallStackEmpty (no such entry). */
enum kernel_error kernel_work_give(struct kernel *kernel, uint32_t position,
                                   uint32_t slot, const struct kernel_target *target);

#endif
