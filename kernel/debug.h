/* SPDX-License-Identifier: MIT
 *
 * kernel/debug.h - a kernel that somebody else drives: invocations in pieces, frames to
 * look at, and states to keep and go back to (trace-replay.md 8).
 *
 * The caller keeps guest memory itself: it knows the address spaces by
 * kernel_frame_look(), and what they began with by kernel_frame_initial().  Working
 * entries are not part of a state: neither ecalls nor requests make them.
 */
#ifndef KERNEL_DEBUG_H
#define KERNEL_DEBUG_H

#include "kernel/kernel.h"

/* ---- frames ---- */

/* One entry of the call stack. */
struct kernel_frame_view {
    bool reference;                      /* a catcher's; then only `target` */
    uint32_t target;                     /* position of the catcher */
    struct hash256 called, chain, image; /* instance as it was called, type, program */
    int32_t call_slot;                   /* of the caller; -1: the host has called */
    struct pvm_state *state;             /* gas and icount: kernel_gas(), _icount() */
    struct pvm_program *program;
    uint64_t program_serial; /* another one whenever the program was made anew */
    struct arena *program_arena;
};

/* False: there is no such entry. */
bool kernel_frame_look(struct kernel *kernel, uint32_t position,
                       struct kernel_frame_view *ret_view);

/* The program of an image, if it is there: the last three members. */
bool kernel_program_look(struct kernel *kernel, const struct hash256 *image,
                         struct kernel_frame_view *ret_view);

/* The content of a slot below 256: false when it is empty or holds a Ref. */
bool kernel_frame_slot(const struct kernel *kernel, uint32_t position, uint32_t slot,
                       struct hash256 *ret_hash);

/* What a mapped page of the frame held when the frame was made. */
void kernel_frame_initial(struct kernel *kernel, uint32_t position, uint32_t page,
                          uint8_t ret_bytes[PVM_PAGE_SIZE]);

/* Gas that the invocation has left. */
uint64_t kernel_gas(const struct kernel *kernel);

/* ---- invocations in pieces [5.4, 5.5, 6.3] ---- */

/* As kernel_invoke() and kernel_resume() up to the first run.  *ret_runs false: it was
 * refused or is over already, as the last outcome says. */
ERR_MUST_CHECK enum err kernel_invoke_begin(struct kernel *kernel,
                                            const struct hash256 *instance,
                                            uint32_t endpoint, const uint64_t args[4],
                                            uint64_t gas, bool *ret_runs);
ERR_MUST_CHECK enum err kernel_resume_begin(struct kernel *kernel, uint32_t flags,
                                            const struct hash256 *scratch,
                                            uint64_t topup, bool *ret_runs);

/* Run the top frame, an instance, up to an exit, and execute one instruction of it: as
 * pvm_run() and pvm_step().  `host` serves ecalls with kernel_serve(), or does not. */
struct pvm_outcome kernel_run_piece(struct kernel *kernel, const struct pvm_host *host,
                                    const struct pvm_observer *observer);
bool kernel_step_piece(struct kernel *kernel, struct pvm_outcome *ret_outcome);

/* Serve an ecall that the top frame has just made; `state` is the frame's. */
enum pvm_answer kernel_serve(struct kernel *kernel, struct pvm_state *state,
                             enum pvm_exit kind, uint64_t number, uint32_t pc,
                             struct pvm_outcome *ret_outcome);

/* Guest memory that the ecall would read and write if nothing else forbids it. */
struct kernel_touch {
    struct kernel_range read, written; /* size 0: none */
};
struct kernel_touch kernel_ecall_touches(const struct kernel *kernel,
                                         const struct pvm_state *state,
                                         uint64_t number);

/* Take it back instead; its pc is the argument. */
void kernel_ecall_undo(struct kernel *kernel, struct pvm_state *state, uint32_t pc);

/* Why the machine cannot go on: an external abort [10]. */
enum err kernel_aborted(const struct kernel *kernel);

/* The top frame stands in front of a block that is paid for: give the gas back. */
void kernel_charge_undo(struct kernel *kernel);

/* Would acting on this exit end the invocation or pause it?  A nested return whose
 * frame cannot be settled does so unexpectedly. */
bool kernel_exit_ends(struct kernel *kernel, struct pvm_outcome exit);

/* Act on it.  False: the invocation is over or paused, and the last outcome is set. */
bool kernel_exit_act(struct kernel *kernel, struct pvm_outcome exit);

/* ---- states ---- */

/* Append all but frames, memories and caps; the error is sticky in `ret`. */
void kernel_tables_save(const struct kernel *kernel, struct buf *ret);

/* Caps are only ever added: the one with number `i` below kernel_cap_count(), borrowed
 * until the next restoration. */
void kernel_cap_at(const struct kernel *kernel, uint32_t i, struct hash256 *ret_hash,
                   struct bytes *ret_stored);

/* Bytes of a kept frame, and the frame at `position` as such; without pointers that
 * belong to a run. */
size_t kernel_frame_size(void);
void kernel_frame_save(const struct kernel *kernel, uint32_t position, void *ret_frame);

/* What a restoration asks its caller for. */
struct kernel_kept {
    void *self;
    struct bytes tables; /* of kernel_tables_save() */
    uint32_t cap_count;
    void (*cap)(void *self, uint32_t i, struct hash256 *ret_hash,
                struct bytes *ret_stored);
    uint32_t frame_count;
    const void *(*frame)(void *self, uint32_t position);
    /* So many frames from the bottom on are the same activations as now, and keep
     * their memory as it is; the others begin with their first content. */
    uint32_t same_count;
};

/* Go back, or forth, to a state of this kernel's own.  ERR_nomem, ERR_unsupported: the
 * stack is empty then. */
ERR_MUST_CHECK enum err kernel_restore(struct kernel *kernel,
                                       const struct kernel_kept *kept);

#endif
