/* SPDX-License-Identifier: MIT
 *
 * base/os_code.h - what native code needs of the operating system and the CPU.
 *
 * Executable memory below 2 GiB that is never writable and executable at once, page
 * protection, the gs base, CPU features, and handlers for the signals that native code
 * raises.  Knows nothing of what is compiled or why.  Linux; the parts that are of
 * x86-64 say ERR_unsupported, or "no feature", elsewhere.
 *
 * Threads: everything may be called from any thread.  The gs base and the alternate
 * signal stack belong to the calling thread.
 */
#ifndef BASE_OS_CODE_H
#define BASE_OS_CODE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- the CPU ---- */

enum os_cpu_feature {
    OS_CPU_BMI1 = 1,
    OS_CPU_BMI2 = 2,
    OS_CPU_LZCNT = 4,
    OS_CPU_POPCNT = 8,
    OS_CPU_ADX = 16,
    OS_CPU_FSGSBASE = 32, /* and the system lets us use it */
};

/* A set of enum os_cpu_feature: what this CPU and this system let a program use. */
unsigned os_cpu_features(void);

/* The calling thread's gs base.  An instruction where OS_CPU_FSGSBASE is set, a system
 * call elsewhere.  Nothing in the C library uses gs. */
void os_gs_base_set(void *base);
void *os_gs_base_get(void);

/* ---- memory ---- */

enum os_protection { OS_PROTECT_NONE, OS_PROTECT_R, OS_PROTECT_RW };

/* Protect whole pages.  ERR_nomem: the limit of mappings (vm.max_map_count); what was
 * asked for may then hold for the first pages only. */
ERR_MUST_CHECK enum err os_protect(void *start, size_t size,
                                   enum os_protection protection);

/* Say that the first bytes of a fresh mapping will be written soon: their pages come at
 * once, not one fault each.  Only a hint, which older systems do not take. */
void os_populate(void *start, size_t size);

/* Code memory, all of it below 2 GiB, so that code reaches it with 32-bit addresses. */
struct os_code {
    uint8_t *data;
    size_t size; /* whole pages */
    int fd;      /* the memory object, for a worker to map; -1: a private mapping */
};

/* Writable, zeroed, lazily committed.  A `shared` one is a memory object.  ERR_nomem:
 * nothing free below 2 GiB. */
ERR_MUST_CHECK enum err os_code_create(size_t size, bool shared,
                                       struct os_code *ret_code);

/* Keep the first `size_used` bytes, rounded up to pages, and make them read-only for
 * good; a private one becomes executable.  A shared one becomes executable in the
 * worker alone; nobody can write to its object from now on.  Not called twice.  After
 * an error only os_code_free() is of use. */
ERR_MUST_CHECK enum err os_code_seal(struct os_code *code, size_t size_used);

/* The same for a private one that is used again: nothing is cut off, and what is behind
 * the used pages stays writable.  os_code_reopen() makes those, which say the same
 * `size_used`, writable and no longer executable.  After an error only os_code_free()
 * is of use. */
ERR_MUST_CHECK enum err os_code_seal_front(const struct os_code *code,
                                           size_t size_used);
ERR_MUST_CHECK enum err os_code_reopen(const struct os_code *code, size_t size_used);

/* Give it back; fine twice, and for {0}. */
void os_code_free(struct os_code *code);

/* ---- faults: SIGSEGV, SIGBUS, SIGILL and SIGFPE of the calling thread ---- */

/* Where the fault happened; valid inside a handler only. */
uint64_t os_fault_ip(const void *ucontext);
void os_fault_ip_set(void *ucontext, uint64_t ip);

/* The address the CPU reported, of a page fault; any byte of the access, and stale for
 * other faults: a hint, no evidence. */
uint64_t os_fault_address(const void *ucontext);

/* A general register by its number in the instruction set (0 rax, 1 rcx, … 15 r15). */
uint64_t os_fault_register(const void *ucontext, unsigned number);
void os_fault_register_set(void *ucontext, unsigned number, uint64_t value);

/* False: "not mine".  True: go on with the (changed) ucontext.  Runs as a signal
 * handler on the alternate stack and may call only what a handler may call. */
typedef bool os_fault_fn(void *self, void *ucontext);

/* Ask `fn` about each fault from now on; `self` is borrowed for ever or until removed.
 * Adding a pair twice is adding it once, but puts our handler back if somebody put
 * another one over it, which is then asked after ours.  A fault that no function claims
 * goes to the handler that was installed before, or ends the process as if we were not
 * here. ERR_limit: more than 16 different pairs since the start. */
ERR_MUST_CHECK enum err os_fault_handler_add(os_fault_fn *fn, void *self);
void os_fault_handler_remove(os_fault_fn *fn, void *self);

/* See to it that the calling thread has an alternate signal stack large enough for the
 * handlers: the one it has, or a new one, which dies with the thread.  Cheap when there
 * is one.  ERR_nomem. */
ERR_MUST_CHECK enum err os_fault_stack_ensure(void);

#endif
