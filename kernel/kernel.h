/* SPDX-License-Identifier: MIT
 *
 * kernel/kernel.h - the capability kernel: caps, directory, call stack, ecalls.
 *
 * Source of every rule: pvm-kernel.md ("[4.1]" names its section).  The kernel is a
 * function of the bytes that it is given: no clock, file, thread or randomness.  It
 * does not know how requests arrive, nor traces.
 *
 * Memory: everything that can grow lives in the reservation that the caller gives at
 * creation; the address space of a frame and the predecoded program of an image come
 * when the image is first called.  One thread.
 */
#ifndef KERNEL_KERNEL_H
#define KERNEL_KERNEL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "pvm/pvm.h"

enum kernel_error {
#define KERROR(number, name, code) KERNEL_ERROR_##name = number,
#include "kernel/errors.def"
};

enum kernel_status {
#define KSTATUS(number, name) KERNEL_STATUS_##name = number,
#include "kernel/statuses.def"
};

enum kernel_kind {
    KERNEL_KIND_INSTANCE = 0,
    KERNEL_KIND_IMAGE = 1,
    KERNEL_KIND_DATA = 2,
    KERNEL_KIND_CNODE = 3,
    KERNEL_KIND_TYPE = 4,
};

/* The row's name, "?" for a number without a row. */
const char *kernel_error_name(enum kernel_error error);
const char *kernel_status_name(enum kernel_status status);

/* exit_arg of an invocation that ends with this error [9.4]. */
uint32_t kernel_error_code(enum kernel_error error);

/* ---- configuration [9.6] ------------------------------------------------------------
 */

enum kernel_flag {
    KERNEL_STATEFUL_CHILDREN = 1 << 0,
    KERNEL_STRICT_RETURN = 1 << 1,
    KERNEL_TRACE = 1 << 2,
    KERNEL_MEM_DIGEST = 1 << 3,
    KERNEL_FLAGS_ALL = 15,
};

enum kernel_engine { KERNEL_ENGINE_INTERP = 0, KERNEL_ENGINE_RECOMP = 1 };

struct kernel_config {
    uint32_t flags;
    uint32_t max_depth;
    uint32_t gas_table_id; /* gas model + 256 * page-gas model */
    uint64_t max_frame_mem;
    uint64_t max_stack_mem;
    uint64_t max_dir_bytes;
    uint32_t max_dir_caps;
    uint32_t max_assist_entries;
    enum kernel_engine engine; /* never changes a result */
};

struct kernel_config kernel_config_default(void);

/* Everything in range?  BAD_VALUE or OK. */
enum kernel_status kernel_config_check(const struct kernel_config *config);

/* ---- life ---------------------------------------------------------------------------
 */

/* What the kernel asks of its embedder. */
struct kernel_host {
    void *self;
    /* PVM_MEM_RESERVE_SIZE zeroed bytes for the memory of one frame; NULL: the machine
     * has no more, which is an external abort and no result of the guest. */
    void *(*space_take)(void *self);
    /* Take a space back. */
    void (*space_give)(void *self, void *space);
    /* Ops from 64 up [8.1]; NULL: they do nothing. */
    enum pvm_answer (*user)(void *self, struct pvm_state *state, enum pvm_exit kind,
                            uint32_t op, struct pvm_outcome *ret_outcome);
};

struct kernel;

/* Bytes of address space that a kernel of this configuration needs: reserved, zeroed,
 * committed as they are touched (base/os.h: os_reserve). */
size_t kernel_memory_size(const struct kernel_config *config);

/*
 * Create a kernel in `arena`, which gets the call stack and an engine, a few MiB, and
 * nothing later.  `memory` (kernel_memory_size() bytes) and `host` are borrowed for the
 * life of the kernel.  ERR_usage for a bad configuration, ERR_nomem.
 */
ERR_MUST_CHECK enum err kernel_create(struct arena *arena,
                                      const struct kernel_config *config, void *memory,
                                      const struct kernel_host *host,
                                      struct kernel **ret_kernel);

/* Drop the call stack and the predecoded programs; NULL is fine. */
void kernel_close(struct kernel *kernel);

/* ---- directory [4.1] ----------------------------------------------------------------
 */

/* Put a cap in wire encoding [2.7]: decode, limits, rules, children, capacity, insert.
 * `wire` is copied.  *ret_hash is set when the status is OK. */
enum kernel_status kernel_put(struct kernel *kernel, struct bytes wire,
                              struct hash256 *ret_hash);

/* The same, and the hash must be `hash`: HashMismatch, else as kernel_put says by
 * *ret_status. */
enum kernel_error kernel_put_with_hash(struct kernel *kernel,
                                       const struct hash256 *hash, struct bytes wire,
                                       enum kernel_status *ret_status);

/* The wire encoding, borrowed for the life of the kernel; NOT_FOUND, or NOT_ENCODABLE
 * for paged data. */
enum kernel_status kernel_get(const struct kernel *kernel, const struct hash256 *hash,
                              struct bytes *ret_wire);

uint32_t kernel_cap_count(const struct kernel *kernel);

/* ---- assist [7] ---------------------------------------------------------------------
 */

/* Set an entry, answering its previous value.  LIMIT when the table is full. */
enum kernel_status kernel_quota_seed(struct kernel *kernel, uint64_t id, uint64_t value,
                                     uint64_t *ret_previous);
enum kernel_status kernel_meter_seed(struct kernel *kernel, uint64_t id, uint64_t value,
                                     uint64_t *ret_previous);
uint64_t kernel_quota(const struct kernel *kernel, uint64_t id);

/* Insert or overwrite; BAD_VALUE for id 2^64-1, LIMIT when the table is full. */
enum kernel_status kernel_file_seed(struct kernel *kernel, uint64_t id,
                                    const struct hash256 *hash, uint64_t *ret_next_id);

/* The file's hash, or NULL; borrowed until the next change. */
const struct hash256 *kernel_file(const struct kernel *kernel, uint64_t id);

/* A new catcher; LIMIT. */
enum kernel_status kernel_catcher_new(struct kernel *kernel, struct hash256 *ret_id);

/* Add or remove a marker; *ret_count is how many markers the catcher holds then. */
enum kernel_status kernel_catcher_add(struct kernel *kernel,
                                      const struct hash256 *catcher,
                                      const struct hash256 *marker,
                                      uint32_t *ret_count);
enum kernel_status kernel_catcher_remove(struct kernel *kernel,
                                         const struct hash256 *catcher,
                                         const struct hash256 *marker,
                                         uint32_t *ret_count);

/* Clear meters, quotas and catchers; keeps files and nonces. */
void kernel_block_reset(struct kernel *kernel);

/* ---- invocations [5, 6] -------------------------------------------------------------
 */

enum kernel_exit {
    KERNEL_EXIT_HALT = 0,
    KERNEL_EXIT_PANIC = 1,
    KERNEL_EXIT_OUT_OF_GAS = 2,
    KERNEL_EXIT_PAGE_FAULT = 3,
    KERNEL_EXIT_TRAP = 7,
    KERNEL_EXIT_PAUSED = 8,
    KERNEL_EXIT_DROPPED = 9,
    KERNEL_EXIT_ERROR = -1, /* FFFFFFFF on the wire */
};

enum kernel_variant {
    KERNEL_VARIANT_NONE,
    KERNEL_VARIANT_HALT,
    KERNEL_VARIANT_FAULTED,
    KERNEL_VARIANT_PAUSED,
    KERNEL_VARIANT_ERROR,
    KERNEL_VARIANT_DROPPED,
};

enum kernel_cause {
    KERNEL_CAUSE_NONE,
    KERNEL_CAUSE_YIELD,
    KERNEL_CAUSE_OUT_OF_GAS,
};

/* What an invocation answers [9.4]. */
struct kernel_result {
    uint32_t exit_reason; /* enum kernel_exit */
    uint32_t exit_arg;
    uint64_t return_value;
    uint64_t gas_remaining;
};

/* How the last segment ended [9.5]; absent hashes are zero. */
struct kernel_outcome {
    enum kernel_variant variant;
    struct kernel_result result;
    uint64_t gas_used;
    enum kernel_error error;
    enum kernel_cause cause;
    uint32_t stack_size; /* entries after the segment */
    uint32_t frame;      /* position of the frame that ended it, F */
    uint64_t pc;
    uint64_t reg[PVM_REG_COUNT];
    bool has_post_instance, has_slot0, has_marker;
    struct hash256 post_instance, slot0, marker;
    struct hash256 chain; /* of F */
    struct hash256 cnode; /* F's as it is now */
    struct hash256 mem_digest;
};

/*
 * Run an instance until it ends or pauses.  What the guest did wrong, and a request
 * that cannot be served, is in the result; ERR_nomem and ERR_unsupported mean that the
 * machine could not go on (an external abort [10]): the kernel is of no more use then.
 */
ERR_MUST_CHECK enum err kernel_invoke(struct kernel *kernel,
                                      const struct hash256 *instance, uint32_t endpoint,
                                      const uint64_t args[4], uint64_t gas,
                                      struct kernel_result *ret_result);

enum { KERNEL_RESUME_SCRATCH = 1, KERNEL_RESUME_DROP = 2 };

/* Go on with a paused invocation [6.3].  `scratch` is read when the flag says so. */
ERR_MUST_CHECK enum err kernel_resume(struct kernel *kernel, uint32_t flags,
                                      const struct hash256 *scratch, uint64_t topup,
                                      struct kernel_result *ret_result);

/* Answer an invocation that is malformed before it gets here [9.4]: nothing changes but
 * the last outcome. */
void kernel_refuse(struct kernel *kernel, enum kernel_error error,
                   struct kernel_result *ret_result);

/* The last segment's outcome, borrowed until the next. */
const struct kernel_outcome *kernel_last_outcome(const struct kernel *kernel);

/* Entries on the call stack. */
uint32_t kernel_stack_size(const struct kernel *kernel);

#endif
