/* SPDX-License-Identifier: MIT
 *
 * One handler for the signals of native code, in front of whatever was there before.
 */
#define _GNU_SOURCE
#include "base/os_code.h"
#include "base/os_private.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

/* ---- the context ---- */

#ifdef __x86_64__

uint64_t os_fault_ip(const void *ucontext)
{
    return (uint64_t)((const ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP];
}

void os_fault_ip_set(void *ucontext, uint64_t ip)
{
    ((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP] = (greg_t)ip;
}

uint64_t os_fault_address(const void *ucontext)
{
    return (uint64_t)((const ucontext_t *)ucontext)->uc_mcontext.gregs[REG_CR2];
}

static const int register_index[16] = {
    REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
    REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

uint64_t os_fault_register(const void *ucontext, unsigned number)
{
    check(number < 16);
    const ucontext_t *context = ucontext;
    return (uint64_t)context->uc_mcontext.gregs[register_index[number]];
}

void os_fault_register_set(void *ucontext, unsigned number, uint64_t value)
{
    check(number < 16);
    ucontext_t *context = ucontext;
    context->uc_mcontext.gregs[register_index[number]] = (greg_t)value;
}

#else

uint64_t os_fault_ip(const void *ucontext)
{
    (void)ucontext;
    return 0;
}

void os_fault_ip_set(void *ucontext, uint64_t ip)
{
    (void)ucontext, (void)ip;
}

uint64_t os_fault_address(const void *ucontext)
{
    (void)ucontext;
    return 0;
}

uint64_t os_fault_register(const void *ucontext, unsigned number)
{
    (void)ucontext, (void)number;
    return 0;
}

void os_fault_register_set(void *ucontext, unsigned number, uint64_t value)
{
    (void)ucontext, (void)number, (void)value;
}

#endif

/* ---- the handlers ---- */

enum { HANDLER_COUNT_MAX = 16 };

/* A slot keeps its pair for ever: a handler that runs on another thread must never see
 * the function of one pair and the `self` of another. */
struct fault_slot {
    os_fault_fn *fn;
    void *self;
    bool active; /* atomic */
};

static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER;
static struct fault_slot slots[HANDLER_COUNT_MAX];
static unsigned slot_count; /* atomic */

static bool claimed(void *ucontext)
{
    unsigned count = __atomic_load_n(&slot_count, __ATOMIC_ACQUIRE);
    for (unsigned i = 0; i < count; i++) {
        if (__atomic_load_n(&slots[i].active, __ATOMIC_ACQUIRE) &&
            slots[i].fn(slots[i].self, ucontext))
            return true;
    }
    return false;
}

/* ---- what was there before ---- */

static const int fault_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};

enum { SIGNAL_COUNT = countof(fault_signals), PREVIOUS_COUNT = 64 };

/* A handler that somebody put over ours (test frameworks do, for each test) is asked
 * after ours once ours is back.  Its record is not the one that a handler on another
 * thread may just be reading. */
struct previous {
    struct sigaction action[PREVIOUS_COUNT];
    unsigned last; /* atomic */
    bool installed;
};
static struct previous previous[SIGNAL_COUNT];

/* Set while an earlier handler runs, which may know ours as its own earlier one. */
static _Thread_local volatile sig_atomic_t passing_on;

/* What would have happened without us.  A CPU fault comes again when we return, and
 * finds the default action; a signal that somebody sent has to be sent again. */
static void pass_on(int number, siginfo_t *info, void *ucontext,
                    const struct sigaction *action)
{
    bool sent = info->si_code <= 0;
    if (action->sa_flags & SA_SIGINFO) {
        action->sa_sigaction(number, info, ucontext);
    } else if (action->sa_handler == SIG_IGN && sent) {
        return;
    } else if (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN) {
        action->sa_handler(number);
    } else {
        (void)signal(number, SIG_DFL);
        if (sent)
            (void)raise(number); /* is blocked until we return */
    }
}

static void on_signal(int number, siginfo_t *info, void *ucontext)
{
    int saved_errno = errno;
    bool mine = !passing_on && info->si_code > 0 && claimed(ucontext);
    errno = saved_errno;
    if (mine)
        return;
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        if (fault_signals[i] != number)
            continue;
        unsigned last = __atomic_load_n(&previous[i].last, __ATOMIC_ACQUIRE);
        last = passing_on ? 0 : last;
        sig_atomic_t was_passing_on = passing_on;
        passing_on = 1;
        pass_on(number, info, ucontext, &previous[i].action[last]);
        passing_on = was_passing_on;
    }
}

static enum err install(void)
{
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        struct sigaction current;
        if (sigaction(fault_signals[i], NULL, &current) != 0)
            return os_fail();
        if ((current.sa_flags & SA_SIGINFO) && current.sa_sigaction == on_signal)
            continue;
        unsigned next = previous[i].installed ? previous[i].last + 1 : 0;
        if (next == PREVIOUS_COUNT)
            next = 1; /* 0 was there before us, so it cannot lead back to us */
        previous[i].action[next] = current;
        previous[i].installed = true;
        __atomic_store_n(&previous[i].last, next, __ATOMIC_RELEASE);
        struct sigaction action = {.sa_sigaction = on_signal,
                                   .sa_mask = current.sa_mask,
                                   .sa_flags = SA_SIGINFO | SA_ONSTACK};
        if (sigaction(fault_signals[i], &action, NULL) != 0)
            return os_fail();
    }
    return ERR_ok;
}

/* ---- who wants to be asked ---- */

static struct fault_slot *slot_find(os_fault_fn *fn, const void *self)
{
    for (unsigned i = 0; i < slot_count; i++) {
        if (slots[i].fn == fn && slots[i].self == self)
            return &slots[i];
    }
    return NULL;
}

static enum err add_locked(os_fault_fn *fn, void *self)
{
    struct fault_slot *slot = slot_find(fn, self);
    if (!slot) {
        if (slot_count == HANDLER_COUNT_MAX)
            return ERR_limit;
        slot = &slots[slot_count];
        slot->fn = fn;
        slot->self = self;
        __atomic_store_n(&slot_count, slot_count + 1, __ATOMIC_RELEASE);
    }
    passing_on = 0; /* an earlier handler may have jumped out of the signal */
    TRY(install());
    __atomic_store_n(&slot->active, true, __ATOMIC_RELEASE);
    return ERR_ok;
}

enum err os_fault_handler_add(os_fault_fn *fn, void *self)
{
    (void)pthread_mutex_lock(&slots_lock);
    enum err err = add_locked(fn, self);
    (void)pthread_mutex_unlock(&slots_lock);
    return err;
}

void os_fault_handler_remove(os_fault_fn *fn, void *self)
{
    (void)pthread_mutex_lock(&slots_lock);
    struct fault_slot *slot = slot_find(fn, self);
    if (slot)
        __atomic_store_n(&slot->active, false, __ATOMIC_RELEASE);
    (void)pthread_mutex_unlock(&slots_lock);
}

/* ---- the alternate stack ---- */

/* What the kernel writes for one signal, which depends on the CPU's registers. */
static size_t frame_size(void)
{
    long size = sysconf(_SC_MINSIGSTKSZ);
    return size > 0 ? (size_t)size : (size_t)MINSIGSTKSZ;
}

/* One page below the stack stays inaccessible. */
static size_t guard_size(void)
{
    return os_page_round(1);
}

static pthread_once_t stack_once = PTHREAD_ONCE_INIT;
static pthread_key_t stack_key;
static bool stack_key_valid;
static size_t stack_size;

static void stack_free(void *stack)
{
    stack_t current;
    if (sigaltstack(NULL, &current) == 0 && current.ss_sp == stack) {
        stack_t none = {.ss_flags = SS_DISABLE};
        (void)sigaltstack(&none, NULL);
    }
    (void)munmap((char *)stack - guard_size(), guard_size() + stack_size);
}

static void stack_once_init(void)
{
    stack_size = os_page_round(frame_size() + 65536);
    stack_key_valid = pthread_key_create(&stack_key, stack_free) == 0;
}

static enum err stack_create(void)
{
    size_t guard = guard_size();
    char *memory = mmap(NULL, guard + stack_size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return os_fail();
    stack_t stack = {.ss_sp = memory + guard, .ss_size = stack_size};
    if (mprotect(memory, guard, PROT_NONE) != 0 || sigaltstack(&stack, NULL) != 0 ||
        pthread_setspecific(stack_key, stack.ss_sp) != 0) {
        enum err err = os_fail();
        (void)munmap(memory, guard + stack_size);
        return err;
    }
    return ERR_ok;
}

static enum err stack_ensure(void)
{
    (void)pthread_once(&stack_once, stack_once_init);
    if (!stack_key_valid)
        return ERR_nomem;
    stack_t current;
    if (sigaltstack(NULL, &current) != 0)
        return os_fail();
    /* A sanitizer has its own on every thread, which is smaller than ours and does. */
    if (!(current.ss_flags & SS_DISABLE) && current.ss_size >= frame_size() + 16384)
        return ERR_ok;
    if (pthread_getspecific(stack_key)) /* ours was replaced by a smaller one */
        return ERR_unsupported;
    return stack_create();
}

enum err os_fault_stack_ensure(void)
{
    static _Thread_local bool ensured; /* saves a system call for each run of a guest */
    if (!ensured)
        TRY(stack_ensure());
    ensured = true;
    return ERR_ok;
}
