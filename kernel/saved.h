/* SPDX-License-Identifier: MIT
 *
 * kernel/saved.h - the state of a kernel as bytes that another kernel of the same
 * configuration can go on with, in another process (trace-replay.md 2.9).
 *
 * Caps and pages are the caller's to keep, one by one: both can be much.  What follows
 * from caps (images, pins, first contents of memory) is not saved but found in them.
 * Records that nobody has fetched are not kept, only their number and digest; nor is
 * the last outcome.  Reading is hostile.
 */
#ifndef KERNEL_SAVED_H
#define KERNEL_SAVED_H

#include "kernel/kernel.h"

/* Append all but caps and pages.  `running` is the state of the top frame inside of a
 * run, NULL between runs.  ERR_unsupported: working entries, paged data and detached
 * images have no such form; ERR_nomem. */
ERR_MUST_CHECK enum err kernel_state_save(struct kernel *kernel,
                                          const struct pvm_state *running,
                                          struct buf *ret);

/* Call `page` for all written pages of guest memory, PVM_PAGE_SIZE bytes each, in the
 * order in which kernel_state_load() asks for them. */
ERR_MUST_CHECK enum err
kernel_state_pages(struct kernel *kernel, const struct pvm_state *running,
                   enum err (*page)(void *self, const uint8_t *bytes), void *self);

/* Drop the call stack and all caps; what comes next is loaded. */
void kernel_state_clear(struct kernel *kernel);

/* Add the cap that comes next, in its encoding, which is copied.  Its children need not
 * be there (a scratch cap may have been absent).  ERR_state: it is none, or it is there
 * already, or there is no room. */
ERR_MUST_CHECK enum err kernel_state_cap(struct kernel *kernel, struct bytes wire);

/* Take what kernel_state_save() has written, when all caps are there.  `page` gives
 * page number `index` of kernel_state_pages(), NULL: zeros.  ERR_state, ERR_nomem,
 * ERR_unsupported: the stack is empty then, and the kernel good for another load. */
ERR_MUST_CHECK enum err
kernel_state_load(struct kernel *kernel, struct bytes state,
                  const uint8_t *(*page)(void *self, uint64_t index), void *self);

/* An instance is on top, whose run a load or a stop has left: to the invocation's end,
 * as kernel_invoke(). */
ERR_MUST_CHECK enum err kernel_go_on(struct kernel *kernel,
                                     struct kernel_result *ret_result);

#endif
