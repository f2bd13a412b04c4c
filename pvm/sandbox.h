/* SPDX-License-Identifier: MIT
 *
 * pvm/sandbox.h - running native code in a worker process.  Private to pvm/.
 *
 * An address space becomes a memory object, from the context of native code to the end
 * of guest memory, which worker and parent map at the same place.  Page protection is
 * the worker's: the parent's view stays open, and each change that mem.c wants goes to
 * the worker with the next call.  The parent never looks at the worker's word for
 * rights or page states, only at its own tables.
 */
#ifndef PVM_SANDBOX_H
#define PVM_SANDBOX_H

#include "pvm/native.h"

/* A number that no other unit or space has had. */
uint64_t pvm_sandbox_new_id(void);

/* See to it that the worker has the unit and the memory, guarded if that is wanted.
 * False: it cannot be; pvm_sandbox_err() tells whether the sandbox is at an end or the
 * memory cannot be guarded. */
bool pvm_sandbox_prepare(struct pvm_sandbox *sandbox, const struct native_unit *unit,
                         struct pvm_mem *mem, bool guarded);

/* Enter native code in the worker: `sent` becomes the context, *ret_seen is what it has
 * become, copied once, and *ret_fault_ip the address of a fault (0: none).  Nothing of
 * it has been checked.  False: the worker is lost. */
bool pvm_sandbox_enter(struct pvm_sandbox *sandbox, const struct native_unit *unit,
                       struct pvm_mem *mem, const struct native_context *sent,
                       struct native_context *ret_seen, uint64_t *ret_fault_ip);

/* What it says is impossible: it is lost from now on. */
void pvm_sandbox_give_up(struct pvm_sandbox *sandbox);

#endif
