/* SPDX-License-Identifier: MIT
 *
 * The worker's side: all code that runs in it.
 *
 * When this code has built its walls, its own section, two stacks and the shared page
 * are the only memory there is; so it makes system calls by itself and has neither
 * library nor static data (see OS_WORKER_CODE).  It trusts the page: who can write
 * there can as well write the native code.
 */
#define _GNU_SOURCE
#include "base/os_worker_private.h"

#ifdef __x86_64__

#include <asm/prctl.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>

/* ---- system calls ---- */

OS_WORKER_CODE static long call6(long number, long a, long b, long c, long d, long e,
                                 long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "+a"(number)
                     : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return number;
}

OS_WORKER_CODE static long call3(long number, long a, long b, long c)
{
    return call6(number, a, b, c, 0, 0, 0);
}

OS_WORKER_CODE _Noreturn static void die(int status)
{
    for (;;)
        (void)call3(SYS_exit_group, status, 0, 0);
}

/* ---- walls ---- */

OS_WORKER_CODE static void close_all_but_channel(const struct worker_page *page)
{
    if (page->channel != WORKER_CHANNEL &&
        call3(SYS_dup2, page->channel, WORKER_CHANNEL, 0) != WORKER_CHANNEL)
        die(WORKER_EXIT_DESCRIPTORS);
    if (call3(SYS_close_range, WORKER_CHANNEL + 1, UINT32_MAX, 0) == 0)
        return;
    for (uint32_t fd = WORKER_CHANNEL + 1; fd < page->descriptor_limit; fd++)
        (void)call3(SYS_close, fd, 0, 0);
}

OS_WORKER_CODE static void leave_namespace(struct worker_page *page,
                                           enum os_worker_wall wall, long flag)
{
    if ((page->walls_wanted & (unsigned)wall) && call3(SYS_unshare, flag, 0, 0) == 0)
        page->walls |= (unsigned)wall;
}

/* User and pid namespace are those it was born in. */
OS_WORKER_CODE static void leave_namespaces(struct worker_page *page)
{
    leave_namespace(page, OS_WORKER_NET, CLONE_NEWNET);
    leave_namespace(page, OS_WORKER_IPC, CLONE_NEWIPC);
    leave_namespace(page, OS_WORKER_MOUNT, CLONE_NEWNS);
    leave_namespace(page, OS_WORKER_UTS, CLONE_NEWUTS);
    leave_namespace(page, OS_WORKER_CGROUP, CLONE_NEWCGROUP);
    if ((page->walls_wanted & OS_WORKER_ROOT) &&
        call3(SYS_chroot, (long)page->empty_root, 0, 0) == 0 &&
        call3(SYS_chdir, (long)page->slash, 0, 0) == 0)
        page->walls |= OS_WORKER_ROOT;
}

OS_WORKER_CODE static bool unmap_between(uint64_t start, uint64_t end)
{
    return start >= end || call3(SYS_munmap, (long)start, (long)(end - start), 0) == 0;
}

/* The kernel writes to the C library's rseq area whenever it schedules us, and kills a
 * process that has unmapped it. */
OS_WORKER_CODE static void drop_memory(struct worker_page *page)
{
    enum { RSEQ_UNREGISTER = 1, RSEQ_SIGNATURE = 0x53053053, RSEQ_SIZE_OLD = 32 };
    if (!(page->walls_wanted & OS_WORKER_MEMORY))
        return;
    if (page->rseq &&
        call6(SYS_rseq, (long)page->rseq, RSEQ_SIZE_OLD, RSEQ_UNREGISTER,
              RSEQ_SIGNATURE, 0, 0) != 0 &&
        call6(SYS_rseq, (long)page->rseq, (long)page->rseq_size, RSEQ_UNREGISTER,
              RSEQ_SIGNATURE, 0, 0) != 0)
        return;
    const uint64_t last_page = 0x7ffffffff000;
    uint64_t start = 0;
    bool good = true;
    for (unsigned i = 0; i < WORKER_KEEP_COUNT; i++) {
        good = unmap_between(start, page->keep[i].start) && good;
        start = page->keep[i].end;
    }
    if (unmap_between(start, last_page) && good)
        page->walls |= OS_WORKER_MEMORY;
}

OS_WORKER_CODE static void limit(int resource, uint64_t value)
{
    struct rlimit both;
    both.rlim_cur = value;
    both.rlim_max = value;
    (void)call3(SYS_setrlimit, resource, (long)&both, 0);
}

OS_WORKER_CODE static void set_limits(const struct worker_page *page)
{
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, WORKER_OBJECT + 1);
    limit(RLIMIT_NPROC, 0);
    limit(RLIMIT_FSIZE, 0);
    limit(RLIMIT_MEMLOCK, 0);
    limit(RLIMIT_MSGQUEUE, 0);
    limit(RLIMIT_AS, page->address_space_max);
}

OS_WORKER_CODE static void drop_privileges(void)
{
    volatile struct __user_cap_header_struct header;
    volatile struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];
    header.version = _LINUX_CAPABILITY_VERSION_3;
    header.pid = 0;
    for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        none[i].effective = 0;
        none[i].permitted = 0;
        none[i].inheritable = 0;
    }
    if (call3(SYS_capset, (long)&header, (long)none, 0) != 0 ||
        call6(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0) != 0 ||
        call6(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0, 0) != 0)
        die(WORKER_EXIT_PRIVILEGES);
}

/* From here on the worker dies with its parent, who may be dead already. */
OS_WORKER_CODE static void die_with_parent(void)
{
    char byte;
    if (call6(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0) != 0 ||
        call6(SYS_recvfrom, WORKER_CHANNEL, (long)&byte, 1, MSG_PEEK | MSG_DONTWAIT, 0,
              0) != -EAGAIN)
        die(WORKER_EXIT_ORPHAN);
}

/* Filters add up: each narrows what the ones before allow.  SPEC_ALLOW: a worker has no
 * secrets to keep from itself, and old kernels would slow down all its stores. */
OS_WORKER_CODE static bool filter_install(struct worker_page *page,
                                          enum worker_phase phase)
{
    struct sock_fprog program;
    program.len = (unsigned short)page->filter[phase].size;
    program.filter = page->filter[phase].code;
    return call3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
                 (long)&program) == 0;
}

/* ---- faults ---- */

/* The kernel's, not the C library's. */
struct kernel_action {
    void (*handler)(int number, siginfo_t *info, void *ucontext);
    uint64_t flags;
    void (*restorer)(void);
    uint64_t mask;
};

enum { KERNEL_SA_RESTORER = 0x04000000 };

void os_worker_restorer(void) __attribute__((visibility("hidden")));
__asm__(".pushsection os_worker_code, \"ax\", @progbits\n"
        ".hidden os_worker_restorer\n"
        ".globl os_worker_restorer\n"
        ".type os_worker_restorer, @function\n"
        "os_worker_restorer:\n"
        "    movl $15, %eax\n" /* rt_sigreturn */
        "    syscall\n"
        ".size os_worker_restorer, . - os_worker_restorer\n"
        ".popsection\n");

OS_WORKER_CODE static struct worker_page *page_get(void)
{
    struct worker_page *page;
    __asm__ volatile("movq %%fs:0, %0" : "=r"(page));
    return page;
}

OS_WORKER_CODE static void on_fault(int number, siginfo_t *info, void *ucontext)
{
    struct worker_page *page = page_get();
    greg_t *registers = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
    uint64_t ip = (uint64_t)registers[REG_RIP];
    (void)info;
    if (ip - page->fault_start >= page->fault_size)
        die(128 + number);
    page->fault_signal = number;
    page->fault_ip = ip;
    page->fault_address = (uint64_t)registers[REG_CR2];
    registers[REG_RIP] = (greg_t)page->fault_resume;
}

OS_WORKER_CODE static long handle(int number)
{
    struct kernel_action action;
    action.handler = on_fault;
    action.flags = SA_SIGINFO | SA_ONSTACK | KERNEL_SA_RESTORER;
    action.restorer = os_worker_restorer;
    action.mask = 0;
    return call6(SYS_rt_sigaction, number, (long)&action, 0, sizeof action.mask, 0, 0);
}

OS_WORKER_CODE static void catch_faults(struct worker_page *page)
{
    stack_t stack;
    stack.ss_sp = (void *)page->signal_stack;
    stack.ss_size = page->signal_stack_size;
    stack.ss_flags = 0;
    uint64_t blocked = 0;
    if (call3(SYS_arch_prctl, ARCH_SET_FS, (long)page, 0) != 0 ||
        call3(SYS_sigaltstack, (long)&stack, 0, 0) != 0 || handle(SIGSEGV) != 0 ||
        handle(SIGBUS) != 0 || handle(SIGILL) != 0 || handle(SIGFPE) != 0 ||
        call6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&blocked, 0, sizeof blocked, 0,
              0) != 0)
        die(WORKER_EXIT_SIGNALS);
}

/* ---- commands ---- */

OS_WORKER_CODE static long protect(const struct worker_page *page)
{
    long error = 0;
    for (uint32_t i = 0; i < page->range_count && !error; i++)
        error = call3(SYS_mprotect, (long)page->ranges[i].address,
                      (long)page->ranges[i].size, (long)page->ranges[i].protection);
    return error;
}

typedef uint64_t native_fn(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                           uint64_t f);

OS_WORKER_CODE static void gs_base_set(const struct worker_page *page)
{
    if (page->has_fsgsbase)
        __asm__ volatile("wrgsbase %0" : : "r"(page->gs_base) : "memory");
    else
        (void)call3(SYS_arch_prctl, ARCH_SET_GS, (long)page->gs_base, 0);
}

OS_WORKER_CODE static long call(struct worker_page *page)
{
    page->fault_signal = 0;
    page->value = 0;
    long error = protect(page);
    if (error || !page->entry)
        return error;
    gs_base_set(page);
    native_fn *fn = (native_fn *)page->entry;
    page->value = fn(page->args[0], page->args[1], page->args[2], page->args[3],
                     page->args[4], page->args[5]);
    return 0;
}

/* Take the one descriptor that waits in the channel. */
OS_WORKER_CODE static bool object_receive(void)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    char byte;
    struct iovec part;
    part.iov_base = &byte;
    part.iov_len = 1;
    struct msghdr message;
    message.msg_name = NULL;
    message.msg_namelen = 0;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    message.msg_flags = 0;
    return call3(SYS_recvmsg, WORKER_CHANNEL, (long)&message, 0) == 1 &&
           message.msg_controllen >= sizeof control.header &&
           *(int *)(void *)CMSG_DATA(&control.header) == WORKER_OBJECT;
}

OS_WORKER_CODE static long map(const struct worker_page *page)
{
    if (!object_receive())
        return -EIO;
    /* What the copy inherited from the parent may still be there. */
    if (!(page->walls & OS_WORKER_MEMORY))
        (void)call3(SYS_munmap, (long)page->map_address, (long)page->map_size, 0);
    long address = call6(SYS_mmap, (long)page->map_address, (long)page->map_size,
                         (long)page->map_protection, WORKER_MAP_FLAGS, WORKER_OBJECT,
                         (long)page->map_offset);
    (void)call3(SYS_close, WORKER_OBJECT, 0, 0);
    /* Before Linux 4.17 the address was a wish. */
    return address < 0 && address > -4096           ? address
           : (uint64_t)address != page->map_address ? -EEXIST
                                                    : 0;
}

OS_WORKER_CODE static long obey(struct worker_page *page)
{
    if (page->command == WORKER_CALL)
        return call(page);
    if (page->command == WORKER_MAP)
        return map(page);
    if (page->command == WORKER_UNMAP)
        return call3(SYS_munmap, (long)page->map_address, (long)page->map_size, 0);
    if (!(page->walls & OS_WORKER_SECCOMP) || filter_install(page, WORKER_LOCKED))
        return 0;
    return -EIO;
}

/* Spin as long as that has paid lately, then sleep.  `worker_sleeps` is set before the
 * last look at `request`, and read by the parent after it has changed it: one of the
 * two sees the other. */
OS_WORKER_CODE static void request_await(struct worker_page *page, uint32_t done,
                                         uint32_t *spin_limit)
{
    for (uint32_t i = 0; i < *spin_limit; i++) {
        if (__atomic_load_n(&page->request, __ATOMIC_ACQUIRE) != done) {
            *spin_limit += (page->spin_max - *spin_limit) / 8;
            return;
        }
        __builtin_ia32_pause();
    }
    if (page->spin_max)
        *spin_limit -= (*spin_limit - WORKER_SPIN_MIN) / 4;
    __atomic_store_n(&page->worker_sleeps, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&page->request, __ATOMIC_SEQ_CST) == done)
        (void)call6(SYS_futex, (long)&page->request, FUTEX_WAIT, done, 0, 0, 0);
    __atomic_store_n(&page->worker_sleeps, 0, __ATOMIC_RELAXED);
}

OS_WORKER_CODE static void answer(struct worker_page *page, uint32_t number)
{
    __atomic_store_n(&page->reply, number, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&page->parent_sleeps, __ATOMIC_SEQ_CST))
        (void)call6(SYS_futex, (long)&page->reply, FUTEX_WAKE, 1, 0, 0, 0);
}

OS_WORKER_CODE __attribute__((used)) _Noreturn static void
worker_main(struct worker_page *page)
{
    close_all_but_channel(page);
    leave_namespaces(page);
    drop_memory(page);
    catch_faults(page);
    (void)call3(SYS_setsid, 0, 0, 0); /* Ctrl-C is for the parent */
    set_limits(page);
    drop_privileges();
    die_with_parent();
    if ((page->walls_wanted & OS_WORKER_SECCOMP) && filter_install(page, WORKER_SETUP))
        page->walls |= OS_WORKER_SECCOMP;
    uint32_t done = 0, spin_limit = page->spin_max;
    for (;;) {
        answer(page, ++done);
        request_await(page, done, &spin_limit);
        page->error = (int32_t)obey(page);
    }
}

OS_WORKER_CODE void os_worker_child(struct worker_page *page)
{
    __asm__ volatile("movq %0, %%rsp\n"
                     "xorl %%ebp, %%ebp\n"
                     "movq %1, %%rdi\n"
                     "call %P2\n"
                     "ud2\n"
                     :
                     : "r"(page->stack_top), "r"(page), "i"(worker_main)
                     : "memory", "rdi");
    __builtin_unreachable();
}

extern const char section_start[] __asm__("__start_os_worker_code")
    __attribute__((visibility("hidden")));
extern const char section_end[] __asm__("__stop_os_worker_code")
    __attribute__((visibility("hidden")));

struct worker_keep os_worker_text(void)
{
    const uint64_t page = 4096;
    struct worker_keep text = {(uint64_t)section_start / page * page,
                               ((uint64_t)section_end + page - 1) / page * page};
    return text;
}

#endif
