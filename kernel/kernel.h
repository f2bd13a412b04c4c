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
    uint32_t max_trace_records;
    enum kernel_engine engine; /* never changes a result */
};

struct kernel_config kernel_config_default(void);

/* Everything in range?  BAD_VALUE or OK. */
enum kernel_status kernel_config_check(const struct kernel_config *config);

/* ---- life ---------------------------------------------------------------------------
 */

struct kernel_observer;

/* What the kernel asks of its embedder. */
struct kernel_host {
    void *self;
    /* PVM_MEM_RESERVE_SIZE zeroed bytes for the memory of one frame; NULL: the machine
     * has no more, which is an external abort and no result of the guest. */
    void *(*space_take)(void *self);
    /* Take a space back, whatever it holds; the kernel keeps a few until it is closed.
     */
    void (*space_give)(void *self, void *space);
    /* Ops from 64 up [8.1]; NULL: they do nothing. */
    enum pvm_answer (*user)(void *self, struct pvm_state *state, enum pvm_exit kind,
                            uint32_t op, struct pvm_outcome *ret_outcome);
    /* Asked about every 2^24 gas and before a run: true ends the invocation with
     * ERR_interrupted, an external abort.  NULL: never. */
    bool (*interrupted)(void *self);
    struct pvm_recomp_options recomp; /* of the recompiler; its sandbox is borrowed */
    const struct kernel_observer *observer; /* NULL: nobody */
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
    uint64_t trace_count; /* since the kernel started; 0 without KERNEL_TRACE */
    struct hash256 trace_digest;
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

/* ---- trace records and state [9.8, 9.9] ---------------------------------------------
 */

/* Records so far, and the digest over them; both 0 without KERNEL_TRACE. */
uint64_t kernel_trace_count(const struct kernel *kernel);
struct hash256 kernel_trace_digest(const struct kernel *kernel);

/* Append the answer of DRAIN_TRACE: first_seq, records_left, dropped, then the oldest
 * whole records of at most `max_bytes` in all, which leave the kernel's buffer.  When
 * `ret` fails (its sticky error) nothing leaves. */
void kernel_trace_drain(struct kernel *kernel, uint32_t max_bytes, struct buf *ret);

/* Append DUMP_STATE; the error is sticky in `ret`. */
void kernel_state_dump(struct kernel *kernel, struct buf *ret);

enum kernel_event_kind {
    KERNEL_EVENT_ECALLI = 0,
    KERNEL_EVENT_ECALL = 1,
    KERNEL_EVENT_RETURN = 2, /* a nested return; `frame` is the caller */
};

enum kernel_event_outcome {
    KERNEL_EVENT_CONTINUE = 0,
    KERNEL_EVENT_HALT = 1,
    KERNEL_EVENT_HOST_CALL = 2,
    KERNEL_EVENT_TRAP = 3,
};

enum kernel_assist_method {
    KERNEL_ASSIST_QUOTA_GET = 1,
    KERNEL_ASSIST_QUOTA_SET = 2,
    KERNEL_ASSIST_CATCHES = 3, /* hash: the catcher */
    KERNEL_ASSIST_FILE_OPEN = 4,
    KERNEL_ASSIST_FILE_SAVE = 5,
};

struct kernel_assist_call {
    enum kernel_assist_method method;
    bool ok;
    uint64_t arg[2], answer;
    struct hash256 hash;
};

/* A slot whose content is another afterwards: 0 empty, 1 a hash, 2 a Ref. */
struct kernel_slot_change {
    uint32_t frame, slot;
    uint8_t old_present, new_present;
    struct hash256 old_hash, new_hash;
};

/* Guest memory that the kernel read or wrote; size 0: none. */
struct kernel_range {
    uint32_t address;
    uint32_t size;
};

/* What one trace record is made of.  Lists are borrowed during the call. */
struct kernel_event {
    enum kernel_event_kind kind;
    enum kernel_event_outcome outcome;
    uint32_t frame;
    uint32_t op;
    enum kernel_error error;
    uint64_t seq;
    uint64_t pc; /* of the next instruction */
    uint32_t call_pc;
    uint64_t gas;
    uint64_t before[PVM_REG_COUNT], after[PVM_REG_COUNT];
    const struct kernel_slot_change *slot; /* ascending by frame and slot */
    uint32_t slot_count;
    const struct hash256 *published; /* newly inserted, in order */
    uint32_t published_count;
    const struct kernel_assist_call *assist; /* in order */
    uint32_t assist_count;
    struct kernel_range read, written;
    uint32_t target;      /* HOST_CALL 16: position of the catcher */
    struct hash256 image; /* HOST_CALL 17: the new one */
    struct pvm_mem *mem;  /* of the frame; NULL: none */
};

/* A frame has ended, or the invocation as a whole has paused. */
struct kernel_frame_end {
    uint32_t frame;
    enum kernel_exit reason;
    uint64_t arg, pc, value, gas;
    bool has_post, has_slot0, has_marker;
    struct hash256 post, slot0, marker;
    /* Caps newly inserted by settling it, in order; the record of a nested return has
     * them too.  Borrowed during the call. */
    const struct hash256 *published;
    uint32_t published_count;
};

/* What a recorder sees.  Every member may be NULL but `program`, `segment`. */
struct kernel_observer {
    void *self;
    enum pvm_gas_log gas_log;
    /* Frame `frame` is about to run this program; the state is complete. */
    void (*run)(void *self, uint32_t frame, const struct hash256 *image,
                const struct pvm_program *program, const struct pvm_state *state);
    void (*segment)(void *self, const struct pvm_state *state,
                    const struct pvm_segment *segment);
    void (*charge)(void *self, const struct pvm_state *state, enum pvm_charge_kind kind,
                   uint32_t where, uint64_t cost);
    /* Behind an ecall, and behind a nested return. */
    void (*event)(void *self, const struct pvm_state *state,
                  const struct kernel_event *event);
    void (*frame_end)(void *self, const struct kernel_frame_end *end);
};

/* Instructions that all invocations have retired. */
uint64_t kernel_icount(const struct kernel *kernel);

#endif
