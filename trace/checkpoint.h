/* SPDX-License-Identifier: MIT
 *
 * trace/checkpoint.h - checkpoints (trace-replay.md 2.9): the state of a guest, in the
 * trace.
 *
 * With BASE it is where a cut trace begins.  Else it spares a seek the way from the
 * start: it is no part of the identity, and may be added to a trace and removed again.
 * The container knows no guest: what a machine is besides memory is one canonical value
 * of the guest's own.
 */
#ifndef TRACE_CHECKPOINT_H
#define TRACE_CHECKPOINT_H

#include "trace/trace.h"

enum { TRACE_PAGE_SIZE = 4096 };

struct trace_checkpoint {
    uint64_t seq; /* of the event that comes next; the chunk header has it */
    struct trace_clock clock; /* of the state */
    /* Else its pages are those that differ from the checkpoint before. */
    bool full;
    struct hash256 state_hash; /* of the whole machine [7.2] */
    struct bytes machine;      /* one canonical value, below */
};

/* What is no memory of a PVM program: where a replay goes on, but for what the events
 * before the first instruction tell. */
struct trace_pvm_machine {
    struct bytes registers; /* 120 bytes [7.2] */
    struct bytes access;    /* runs of pages [7.2] */
    uint64_t charged;       /* 1: the block around pc is paid for */
    uint64_t hash_at;       /* gas clock of the next whole-machine hash */
    uint64_t digest_count;  /* events since the last register digest */
};

/* That of a pc: the processor with its devices, and what is around them.  That is in
 * pages from TRACE_PC_AROUND on when it is large, filled up with zeros. */
enum { TRACE_PC_AROUND = 1 << 19 };

struct trace_pc_machine {
    struct bytes state;    /* of emu_pc_save() */
    struct bytes fs;       /* what is around it; empty: nothing, or it is in pages */
    uint64_t hash_at;      /* icount of the next whole-machine hash */
    uint64_t digest_count; /* events since the last register digest */
    uint64_t paged;        /* bytes in pages */
};

/* That of a capability kernel.  Its pages are from 0 on the caps, each its size (u32)
 * and its encoding, and from TRACE_KERNEL_FRAMES on those that frames have written. */
enum { TRACE_KERNEL_FRAMES = 1 << 19 };

struct trace_kernel_machine {
    struct bytes state;  /* of kernel_state_save() */
    struct bytes images; /* hashes of the programs so far, by their number */
    uint64_t caps_size;  /* bytes of the caps */
    uint64_t inside;     /* 1: an invocation is under way */
    uint64_t begin_count, begin_icount, begin_sub; /* invocations, and the last one */
    uint64_t ecall_count, invoke_count;
};

/* ---- writing ---- */

/* Append one canonical value each; errors stick to the buffer. */
void trace_pvm_machine_put(struct buf *machine, const struct trace_pvm_machine *m);
void trace_kernel_machine_put(struct buf *machine,
                              const struct trace_kernel_machine *m);
void trace_pc_machine_put(struct buf *machine, const struct trace_pc_machine *m);

/* Append one canonical record each: the first record, whole pages.  Pages ascend. */
void trace_checkpoint_put(struct buf *payload,
                          const struct trace_checkpoint *checkpoint);
void trace_checkpoint_put_pages(struct buf *payload, uint64_t first_page,
                                struct bytes bytes);

/* One chunk of a checkpoint: at most 32 MiB; only the first has the first record. */
struct trace_base_part {
    struct bytes payload;
    uint32_t record_count;
};

/* The events that follow begin with number `seq` at `clock`, in the state that the
 * checkpoint tells.  Errors are sticky. */
void trace_writer_base(struct trace_writer *writer, uint64_t seq,
                       const struct trace_clock *clock,
                       const struct trace_base_part *part, size_t part_count);

/* A checkpoint behind the event written last, `clock` being that of the state.  It is
 * copied, and goes out behind the present chunk of events, which nothing may cut [2.5].
 * Not for rings.  Errors are sticky. */
void trace_writer_checkpoint(struct trace_writer *writer,
                             const struct trace_clock *clock,
                             const struct trace_base_part *part, size_t part_count);

/* A copy of a finished trace with other checkpoints.  None of the source is kept but
 * BASE; of a ring all are needed: ERR_unsupported.  Lives in `arena`; the source's and
 * the sink's `self` are borrowed.  What reading and the sink answer. */
struct trace_copier;
ERR_MUST_CHECK enum err trace_copier_open(struct arena *arena,
                                          const struct trace_source *source,
                                          const struct trace_sink *sink,
                                          struct trace_copier **ret_copier);
/* In ascending order; `seq` is the number of the event that comes next. */
ERR_MUST_CHECK enum err trace_copier_put(struct trace_copier *copier, uint64_t seq,
                                         const struct trace_clock *clock,
                                         const struct trace_base_part *part,
                                         size_t part_count);
/* Index and trailer; the identity is the source's. */
ERR_MUST_CHECK enum err trace_copier_finish(struct trace_copier *copier);
/* NULL is fine. */
void trace_copier_close(struct trace_copier *copier);

/* ---- reading: everything is hostile ---- */

/* ERR_trace_canonical.  Bytes point into `machine`. */
ERR_MUST_CHECK enum err trace_pvm_machine_get(struct bytes machine,
                                              struct trace_pvm_machine *ret);
ERR_MUST_CHECK enum err trace_pc_machine_get(struct bytes machine,
                                             struct trace_pc_machine *ret);
ERR_MUST_CHECK enum err trace_kernel_machine_get(struct bytes machine,
                                                 struct trace_kernel_machine *ret);

/* Called for the memory of a checkpoint; the bytes live during the call. */
typedef enum err trace_pages_fn(void *self, uint64_t first_page, struct bytes bytes);

/* Find the checkpoint in front of event `seq`, behind which events go on (BASE, or a
 * ring's), and decode it; pages come in order.  The bytes of *ret_checkpoint live in
 * `arena`.  ERR_not_found, ERR_trace_canonical, what `pages` answers. */
ERR_MUST_CHECK enum err trace_checkpoint_read(struct arena *arena,
                                              const struct trace_source *source,
                                              uint64_t seq,
                                              struct trace_checkpoint *ret_checkpoint,
                                              trace_pages_fn *pages, void *self);

/* A checkpoint that a seek may start from, as its chunk header tells it. */
struct trace_checkpoint_ref {
    uint64_t offset; /* of its first chunk */
    uint64_t seq;
    struct trace_clock clock; /* no sub */
};

/* Ascending by icount. */
struct trace_checkpoint_list {
    const struct trace_checkpoint_ref *ref;
    size_t count;
};

/* List them from the index of a finished trace; one that is not finished has none that
 * could be found, nor has a ring.  Lives in `arena`. */
ERR_MUST_CHECK enum err trace_checkpoint_list(struct arena *arena,
                                              const struct trace_source *source,
                                              struct trace_checkpoint_list *ret_list);

/* The last one that is not behind `icount`; SIZE_MAX: none. */
size_t trace_checkpoint_find(const struct trace_checkpoint_list *list, uint64_t icount);

/* Decode one.  Pages come as of the last full one first, then what differs, so that a
 * page may come several times, the last being right.  As trace_checkpoint_read(). */
ERR_MUST_CHECK enum err trace_checkpoint_load(struct arena *arena,
                                              const struct trace_source *source,
                                              const struct trace_checkpoint_list *list,
                                              size_t index,
                                              struct trace_checkpoint *ret_checkpoint,
                                              trace_pages_fn *pages, void *self);

/* Replay: pass over the events up to number `seq`, from which on the guest goes on in
 * the state of a checkpoint.  What the reader answers. */
ERR_MUST_CHECK enum err trace_skip(struct trace *trace, uint64_t seq);

#endif
