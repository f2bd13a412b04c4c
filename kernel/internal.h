/* SPDX-License-Identifier: MIT
 *
 * kernel/internal.h - the inside of a kernel.  Private to kernel/.
 */
#ifndef KERNEL_INTERNAL_H
#define KERNEL_INTERNAL_H

#include "kernel/cap.h"

/* ---- directory [4.1] ---- */

struct blob {
    struct hash256 hash;
    struct bytes wire;
};

/* Insert-only.  Content lies one cap after the other; behind its end is room for the
 * caps that an operation is making, whose hashes decide whether they stay. */
struct directory {
    uint32_t *index; /* open addressing: blob number + 1, or 0 */
    uint32_t index_mask;
    struct blob *blob;
    uint32_t count, count_max;
    uint8_t *content;
    uint64_t used, used_max;
};

/* A cap that is not in the directory yet. */
struct draft {
    struct hash256 hash;
    struct bytes wire;
};

const struct blob *kernel_directory_find(const struct directory *directory,
                                         const struct hash256 *hash);

/* Room for the drafts that are absent? */
bool kernel_directory_fits(const struct directory *directory, const struct draft *draft,
                           unsigned count);

/* Insert if absent, which it answers; kernel_directory_fits() was true. */
bool kernel_directory_insert(struct directory *directory, const struct draft *draft);

/* The same by an operation whose record lists what is new. */
void kernel_publish(struct kernel *kernel, const struct draft *draft);

/* Forget all caps but the first `count`. */
void kernel_directory_truncate(struct directory *directory, uint32_t count);

/* Where the next draft is written. */
static inline uint8_t *directory_end(const struct directory *directory)
{
    return directory->content + directory->used;
}

/* Paged data in the directory: no encoding, but a form of its own. */
enum { KERNEL_STORED_PAGED = 0x82 };
bool kernel_stored_paged(struct bytes stored);
struct kernel_pages kernel_stored_pages(struct bytes stored);
struct kernel_page kernel_pages_at(const struct kernel_pages *pages, uint32_t i);

/* The cap named `hash`; false when it is absent. */
bool kernel_find(const struct kernel *kernel, const struct hash256 *hash,
                 struct kernel_cap *ret_cap);

/* ---- working entries [4.2] ---- */

void kernel_work_init(struct kernel *kernel);
void kernel_work_close(struct kernel *kernel);

/* The cap of an entry; false when there is none, or its blob is gone. */
bool kernel_work_find(const struct kernel *kernel, uint64_t id,
                      struct kernel_cap *ret_cap);

/* ---- assist [7] ---- */

struct amount {
    uint64_t id, value;
};

struct file {
    uint64_t id;
    struct hash256 hash;
};

struct marker {
    struct hash256 catcher, marker;
    uint64_t order; /* of insertion */
};

/* Every table is sorted by its key. */
struct assist {
    uint32_t count_max; /* of each table */
    struct amount *quota, *meter;
    uint32_t quota_count, meter_count;
    struct file *file;
    uint32_t file_count;
    uint64_t file_next;
    struct hash256 *catcher;
    uint32_t catcher_count;
    uint64_t catcher_nonce;
    struct marker *marker;
    uint32_t marker_count;
    uint64_t marker_next;
};

bool kernel_assist_catches(const struct assist *assist, const struct hash256 *catcher,
                           const struct hash256 *marker);
bool kernel_assist_is_catcher(const struct assist *assist, const struct hash256 *hash);

/* Check what file_save() needs; then do it: answers the id. */
enum kernel_error kernel_assist_save_check(const struct assist *assist, uint64_t quota,
                                           uint64_t size);
uint64_t kernel_assist_save(struct assist *assist, const struct hash256 *hash,
                            uint64_t quota, uint64_t size);

/* ---- programs ---- */

struct program {
    struct hash256 image;
    struct arena arena;
    struct pvm_code code;
    struct pvm_program *program;
    uint32_t use_count; /* frames that run it */
    uint64_t stamp;     /* of its last use */
    uint64_t serial;    /* of its making */
};

/* The program of an image that stays in the directory, predecoded now or before;
 * counts a use.  ERR_nomem, ERR_unsupported. */
ERR_MUST_CHECK enum err kernel_program_take(struct kernel *kernel,
                                            const struct hash256 *hash,
                                            const struct kernel_image *image,
                                            struct program **ret_program);
void kernel_program_give(struct program *program);
ERR_MUST_CHECK enum err kernel_programs_begin(struct kernel *kernel,
                                              struct arena *arena);
void kernel_programs_close(struct kernel *kernel);

/* ---- trace records [9.8] ---- */

/* What the operation at hand has done so far. */
enum { JOURNAL_SLOT_MAX = 8, JOURNAL_PUBLISHED_MAX = 1024 };
struct journal {
    struct kernel_slot_change slot[JOURNAL_SLOT_MAX];
    uint32_t slot_count;
    struct hash256 published[JOURNAL_PUBLISHED_MAX];
    uint32_t published_count;
    struct kernel_assist_call *assist; /* assist_max of them */
    uint32_t assist_count, assist_max;
    struct kernel_range read, written;
};

/* Records that nobody has fetched yet, one behind the other. */
struct trace_store {
    uint8_t *record;
    uint64_t size, size_max;
    uint32_t count, count_max;
    uint64_t dropped;
    uint64_t seq; /* of the next record */
    struct hash256 digest;
    uint8_t *scratch; /* a digest, and the largest record behind it */
};

/* Bytes of the largest record. */
uint64_t kernel_record_size_max(uint32_t assist_max);

/* Forget what the journal has.  A slot is about to change: its old content. */
void kernel_journal_begin(struct kernel *kernel);
void kernel_journal_slot(struct kernel *kernel, uint32_t frame, uint32_t slot);
void kernel_journal_published(struct kernel *kernel, const struct hash256 *hash);
struct kernel_assist_call *kernel_journal_assist(struct kernel *kernel,
                                                 enum kernel_assist_method method);

/* Write the record of an event whose lists are the journal's, and show it. */
void kernel_journal_commit(struct kernel *kernel, const struct pvm_state *state,
                           struct kernel_event *event);

/* ---- frames [5.1] ---- */

struct slot {
    bool used;
    struct hash256 hash;
    uint64_t ref; /* of a working entry, then there is no hash; 0: none */
};

/* A slot table at work.  Nobody can name a slot above 255, so those stay as the cap has
 * them: `high`, in the directory. */
struct slots {
    uint8_t size_log;
    struct slot slot[KERNEL_SLOT_COUNT];
    struct kernel_entries high;
};

void kernel_slots_load(const struct kernel_cap *cnode, struct slots *ret_slots);

/* Any slot; false when it is empty or out of range. */
bool kernel_slots_get(const struct slots *slots, uint32_t slot,
                      struct hash256 *ret_hash);

static inline bool slots_in_range(const struct slots *slots, uint32_t slot)
{
    return !(slot >> slots->size_log);
}

enum { NO_SLOT = -1 };

struct frame {
    bool reference;     /* else an instance */
    uint32_t target;    /* of a reference */
    struct slot called; /* the target */
    struct hash256 chain, image_hash;
    struct kernel_image image; /* in the directory */
    bool pinned[KERNEL_SLOT_COUNT];
    struct program *program;
    struct slots cnode;
    struct pvm_state state; /* its memory, or NULL, from kernel_space_take() */
    uint64_t mapped_size;
    int32_t call_slot;
};

/* As many as a worker keeps mapped; each holds at most what pvm_mem_reset() takes. */
enum { SPARE_SPACE_MAX = 8 };

struct kernel {
    struct kernel_config config;
    struct pvm_config pvm_config;
    struct kernel_host host;
    struct directory directory;
    struct assist assist;
    struct hash256 id[KERNEL_ID_COUNT];
    struct hash256 oog_marker;
    struct program *program;
    uint32_t program_count;
    struct pvm_recomp_cache *code_cache; /* images with the same code share it */
    uint64_t program_stamp;
    struct pvm_engine *engine;
    struct frame *stack; /* max_depth */
    uint32_t stack_size;
    uint64_t stack_mapped;                  /* bytes over all frames */
    struct pvm_mem *spare[SPARE_SPACE_MAX]; /* empty */
    uint32_t spare_count;
    uint64_t gas; /* of the invocation, between runs */
    /* What the segment has to report. */
    uint64_t segment_gas;
    enum kernel_error trap_error;
    struct hash256 marker;
    enum err abort; /* the machine could not go on */
    struct kernel_outcome outcome;
    uint64_t icount;
    struct journal journal;
    struct trace_store trace;
    struct buf work, work_retired; /* of pointers to entries */
    uint64_t work_last;
    bool detached; /* [8.3] */
};

static inline bool kernel_traces(const struct kernel *kernel)
{
    return kernel->config.flags & KERNEL_TRACE;
}

static inline struct frame *kernel_top(struct kernel *kernel)
{
    return &kernel->stack[kernel->stack_size - 1];
}

enum kernel_error kernel_push_reference(struct kernel *kernel, uint32_t target);
enum kernel_error kernel_pop(struct kernel *kernel);

/* The frame that catches `marker` of the top [6.1]; false when none does. */
bool kernel_find_catcher(struct kernel *kernel, const struct hash256 *marker,
                         uint32_t *ret_position);

/* Build the entry above the top without pushing it [5.3].  Internal, with kernel->abort
 * set, when the machine could not. */
enum kernel_error kernel_build(struct kernel *kernel, const struct slot *target,
                               uint32_t endpoint, const uint64_t args[4],
                               struct frame **ret_frame);

/* An empty address space; NULL: the machine has no more.  Give it back: NULL is fine.
 */
struct pvm_mem *kernel_space_take(struct kernel *kernel);
void kernel_space_give(struct kernel *kernel, struct pvm_mem *mem);
void kernel_spaces_close(struct kernel *kernel);

/* Give a frame whose target and caps are as they were when it was built its memory
 * anew, with the content that it began with.  Internal as above. */
enum kernel_error kernel_rebuild_memory(struct kernel *kernel, struct frame *frame);

/* Push what kernel_build() made. */
void kernel_push_built(struct kernel *kernel, struct frame *frame);

/* Change what a frame takes from its image: pins, yield slot, program. */
void kernel_frame_set_image(struct frame *frame, const struct hash256 *hash,
                            const struct kernel_image *image, struct program *program);

/* ---- new caps ---- */

struct overlay_part {
    uint32_t start;
    uint64_t size;
    const uint8_t *bytes; /* NULL: from the memory */
};

struct instance_parts {
    const struct hash256 *chain, *image, *root_cnode;
    const struct overlay_part *overlay;
    uint32_t overlay_count;
    struct pvm_mem *mem;
    uint32_t mem_size;
    const uint64_t *reg; /* NULL: zeros */
    uint64_t pc, gas;
};

/* Write a cap at `at` and hash it. */
struct draft kernel_draft_cnode(const struct slots *slots, uint8_t *at);
struct draft kernel_draft_instance(const struct instance_parts *parts, uint8_t *at);
struct draft kernel_draft_data(struct pvm_mem *mem, uint32_t address, uint64_t size,
                               uint64_t padded_size, uint8_t *at);
struct draft kernel_draft_type(const struct hash256 *chain, uint8_t *at);

/* Publish cnode and instance of a frame [5.6]; slot 0 has been taken. */
enum kernel_error kernel_settle(struct kernel *kernel, struct frame *frame,
                                struct hash256 *ret_hash);

/* Zeros while a Ref is among the slots. */
struct hash256 kernel_slots_hash(const struct kernel *kernel,
                                 const struct slots *slots);
struct hash256 kernel_mem_digest(struct kernel *kernel, const struct frame *frame);

/* Split `size` in pages: bytes of whole pages that hold it. */
static inline uint64_t pages_round(uint64_t size)
{
    return (size + PVM_PAGE_SIZE - 1) / PVM_PAGE_SIZE * PVM_PAGE_SIZE;
}

/* ---- ecalls [8] ---- */

/* One ecall: the top frame, the live state, and how the run goes on. */
struct call {
    struct kernel *kernel;
    struct frame *frame; /* NULL: the stack is empty */
    struct pvm_state *state;
    bool exits;
    struct pvm_outcome outcome;
};

/* Checks everything, then acts; an error has changed nothing. */
typedef enum kernel_error call_fn(struct call *call);
#define KCALL(op, name, needs, text) call_fn kernel_call_##name;
#include "kernel/ecalls.def"

/* Checks of 8.1 over the low 8 bits of a register. */
enum kernel_error kernel_call_held(const struct call *call, uint64_t reg,
                                   struct hash256 *ret_hash);
enum kernel_error kernel_call_writable(const struct call *call, uint64_t reg);
void kernel_call_set(struct call *call, uint64_t reg, const struct hash256 *hash);
void kernel_call_clear(struct call *call, uint64_t reg);

/* A slot that holds anything: T(s). */
enum kernel_error kernel_call_target(const struct call *call, uint64_t reg,
                                     struct slot *ret_target);

/* The cap that a target names; false when it is absent. */
bool kernel_find_target(const struct kernel *kernel, const struct slot *target,
                        struct kernel_cap *ret_cap);

/* A cap of one kind, or `absent`, or `other`. */
enum kernel_error kernel_call_find(const struct call *call, const struct slot *target,
                                   enum kernel_kind kind, enum kernel_error absent,
                                   enum kernel_error other, struct kernel_cap *ret_cap);

static inline struct slot slot_of_hash(const struct hash256 *hash)
{
    return (struct slot){.used = true, .hash = *hash};
}

/* Settle a target in place. */
enum kernel_error kernel_slot_settle(struct kernel *kernel, struct slot *slot);

/* The handler that the engine calls; `self` is the kernel. */
enum pvm_answer kernel_dispatch(void *self, struct pvm_state *state, enum pvm_exit kind,
                                uint64_t number, uint32_t pc,
                                struct pvm_outcome *ret_outcome);

/* Leave a call's exit. */
static inline void call_exit(struct call *call, enum pvm_exit exit, uint64_t arg)
{
    call->exits = true;
    call->outcome = (struct pvm_outcome){.exit = exit, .arg = arg};
}

#endif
