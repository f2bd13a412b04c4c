/* SPDX-License-Identifier: MIT
 *
 * The parent's side: start, end, and what is known of a worker.
 */
#define _GNU_SOURCE
#include "base/os_worker.h"

#include "base/os.h"
#include "base/os_private.h"
#include "base/os_worker_private.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined __has_include
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#define HAVE_RSEQ 1
#endif
#endif

const char *os_worker_wall_name(enum os_worker_wall wall)
{
    static const char *const names[] = {"user", "pid",    "net",  "ipc",    "mount",
                                        "uts",  "cgroup", "root", "memory", "seccomp"};
    for (unsigned i = 0; i < countof(names); i++) {
        if ((unsigned)wall == 1u << i)
            return names[i];
    }
    return "?";
}

unsigned os_worker_walls(const struct os_worker *worker)
{
    return worker->walls;
}

int os_worker_pid(const struct os_worker *worker)
{
    return worker->pid;
}

int os_worker_end(const struct os_worker *worker)
{
    return worker->alive ? -1 : worker->end;
}

#ifdef __x86_64__

/* ---- what the worker gets ---- */

enum { GUARD_SIZE = 4096, SIGNAL_STACK_ROOM = 65536, STACK_SIZE = 256 * 1024 };

/* Guard, stack, guard, signal stack.  The pages are the worker's alone: here they are
 * only an address range that nobody else may take. */
static enum err stacks_create(struct os_worker *worker, size_t stack_size)
{
    long frame = sysconf(_SC_MINSIGSTKSZ);
    size_t stack = os_page_round(stack_size ? stack_size : STACK_SIZE);
    size_t signal =
        os_page_round((frame > 0 ? (size_t)frame : 4096) + SIGNAL_STACK_ROOM);
    if (!stack || stack > (size_t)1 << 32)
        return ERR_nomem;
    size_t size = 2 * GUARD_SIZE + stack + signal;
    char *stacks =
        mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stacks == MAP_FAILED)
        return os_fail();
    worker->stacks = stacks;
    worker->stacks_size = size;
    char *stack_end = stacks + GUARD_SIZE + stack,
         *signal_start = stack_end + GUARD_SIZE;
    if (mprotect(stacks + GUARD_SIZE, stack, PROT_READ | PROT_WRITE) != 0 ||
        mprotect(signal_start, signal, PROT_READ | PROT_WRITE) != 0)
        return os_fail();
    worker->page->stack_top = (uint64_t)stack_end;
    worker->page->signal_stack = (uint64_t)signal_start;
    worker->page->signal_stack_size = signal;
    return ERR_ok;
}

static enum err page_create(struct os_worker *worker)
{
    int fd;
    void *page;
    TRY(os_object_create(sizeof *worker->page, &fd));
    enum err err =
        os_object_map(fd, 0, os_page_round(sizeof *worker->page), NULL, &page);
    os_close(fd);
    if (!err)
        worker->page = page;
    return err;
}

/* On the thread that will fork. */
static void find_rseq(struct worker_page *page)
{
#ifdef HAVE_RSEQ
    if (__rseq_size) {
        page->rseq = (uint64_t)__builtin_thread_pointer() + (uint64_t)__rseq_offset;
        page->rseq_size = __rseq_size;
    }
#else
    (void)page;
#endif
}

static int by_start(const void *a, const void *b)
{
    const struct worker_keep *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

static void page_fill(struct os_worker *worker, const struct os_worker_options *options)
{
    struct worker_page *page = worker->page;
    struct rlimit descriptors = {.rlim_cur = 1024};
    (void)getrlimit(RLIMIT_NOFILE, &descriptors);
    page->self = page;
    page->keep[0] = os_worker_text();
    page->keep[1] = (struct worker_keep){
        (uint64_t)worker->stacks, (uint64_t)worker->stacks + worker->stacks_size};
    page->keep[2] = (struct worker_keep){(uint64_t)page,
                                         (uint64_t)page + os_page_round(sizeof *page)};
    qsort(page->keep, WORKER_KEEP_COUNT, sizeof page->keep[0], by_start);
    page->address_space_max =
        options->address_space_max ? options->address_space_max : (uint64_t)64 << 30;
    page->walls_wanted = OS_WORKER_WALLS & ~options->without;
    page->spin_max = worker->spin_max;
    page->has_fsgsbase = os_cpu_features() & OS_CPU_FSGSBASE;
    page->descriptor_limit =
        descriptors.rlim_cur < 1 << 20 ? (uint32_t)descriptors.rlim_cur : 1 << 20;
    static const char empty_root[] = "/proc/self/fdinfo";
    memcpy(page->empty_root, empty_root, sizeof empty_root);
    page->slash[0] = '/';
    page->request = worker->request = 1; /* its first answer is that it is ready */
}

/* Spinning makes sense only if the other side can run meanwhile. */
static unsigned spin_max(void)
{
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
        return CPU_COUNT(&cpus) > 1 ? WORKER_SPIN_MAX : 0;
    return os_cpu_count() > 1 ? WORKER_SPIN_MAX : 0;
}

/* ---- birth ---- */

/* fork() without what the C library does around it, into a new user and pid namespace
 * where that is allowed.  The child tells nobody when it dies (exit signal 0): a host
 * that waits for its own children does not see it. */
static enum err fork_child(void *self)
{
    struct os_worker *worker = self;
    static const struct {
        unsigned long flags;
        unsigned walls;
    } ways[] = {
        {CLONE_NEWUSER | CLONE_NEWPID, OS_WORKER_USER | OS_WORKER_PID},
        {CLONE_NEWUSER, OS_WORKER_USER},
        {CLONE_NEWPID, OS_WORKER_PID},
        {0, 0},
    };
    find_rseq(worker->page);
    for (unsigned i = 0; i < countof(ways); i++) {
        if (ways[i].walls & ~worker->page->walls_wanted)
            continue;
        worker->page->walls = ways[i].walls;
        long pid = syscall(SYS_clone, ways[i].flags | CLONE_PIDFD, NULL, &worker->pidfd,
                           NULL, 0);
        if (pid == 0)
            os_worker_child(worker->page);
        if (pid > 0) {
            worker->pid = (pid_t)pid;
            worker->alive = true;
            return ERR_ok;
        }
    }
    worker->pidfd = -1;
    return os_fail();
}

static enum err start(struct os_worker *worker, const struct os_worker_options *options)
{
    enum { START_TIMEOUT_S = 30 };
    const struct worker_filter *filters;
    int ends[2];
    TRY(os_worker_filters(&filters));
    TRY(page_create(worker));
    memcpy(worker->page->filter, filters, sizeof worker->page->filter);
    TRY(stacks_create(worker, options->stack_size));
    page_fill(worker, options);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return os_fail();
    worker->channel = ends[0];
    worker->page->channel = ends[1];
    enum err err = os_worker_keeper_run(fork_child, worker);
    (void)close(ends[1]);
    TRY(err);
    (void)mprotect(worker->stacks, worker->stacks_size, PROT_NONE);
    TRY(os_worker_await(worker, START_TIMEOUT_S * UINT64_C(1000000000)));
    worker->walls = __atomic_load_n(&worker->page->walls, __ATOMIC_RELAXED);
    return options->require & ~worker->walls ? ERR_unsupported : ERR_ok;
}

enum err os_worker_open(const struct os_worker_options *options,
                        struct os_worker **ret_worker)
{
    static const struct os_worker_options defaults;
    struct os_worker *worker = calloc(1, sizeof *worker);
    if (!worker)
        return ERR_nomem;
    worker->channel = worker->pidfd = -1;
    worker->spin_max = worker->spin_limit = spin_max();
    enum err err = start(worker, options ? options : &defaults);
    if (err) {
        os_worker_close(worker);
        return err;
    }
    *ret_worker = worker;
    return ERR_ok;
}

/* ---- death ---- */

void os_worker_kill(struct os_worker *worker)
{
    if (!worker->alive)
        return;
    siginfo_t info = {0};
    int waited;
    (void)syscall(SYS_pidfd_send_signal, worker->pidfd, SIGKILL, NULL, 0);
    do
        waited = waitid(P_PIDFD, (id_t)worker->pidfd, &info, WEXITED | __WALL);
    while (waited != 0 && errno == EINTR);
    worker->alive = false;
    worker->end = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    os_close(worker->pidfd);
    os_close(worker->channel);
    worker->pidfd = worker->channel = -1;
}

void os_worker_close(struct os_worker *worker)
{
    if (!worker)
        return;
    os_worker_kill(worker);
    os_close(worker->channel);
    os_unmap(worker->page, os_page_round(sizeof *worker->page));
    os_unmap(worker->stacks, worker->stacks_size);
    free(worker);
}

#else

enum err os_worker_open(const struct os_worker_options *options,
                        struct os_worker **ret_worker)
{
    (void)options, (void)ret_worker;
    return ERR_unsupported;
}

void os_worker_close(struct os_worker *worker)
{
    check(!worker); /* there are none */
}

#endif
