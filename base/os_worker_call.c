/* SPDX-License-Identifier: MIT
 *
 * The parent's side: commands, and the handoff through the shared page.
 */
#define _GNU_SOURCE
#include "base/os.h"
#include "base/os_private.h"
#include "base/os_worker_private.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- the handoff ---- */

static void cpu_relax(void)
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

static uint32_t reply_read(const struct os_worker *worker)
{
    return __atomic_load_n(&worker->page->reply, __ATOMIC_SEQ_CST);
}

/* Dead or stopped: either way it will not answer. */
static bool is_gone(const struct os_worker *worker)
{
    siginfo_t info = {0};
    int result = waitid(P_PIDFD, (id_t)worker->pidfd, &info,
                        WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL);
    return result == 0 ? info.si_pid != 0 : errno != EINTR;
}

static bool spin(struct os_worker *worker, uint32_t before)
{
    for (unsigned i = 0; i < worker->spin_limit; i++) {
        if (reply_read(worker) != before) {
            worker->spin_limit += (worker->spin_max - worker->spin_limit) / 8;
            return true;
        }
        cpu_relax();
    }
    if (worker->spin_max)
        worker->spin_limit -= (worker->spin_limit - WORKER_SPIN_MIN) / 4;
    return false;
}

/* Sleep until the reply differs from `before`, but at most `duration_ns`. */
static void sleep_once(struct os_worker *worker, uint32_t before, uint64_t duration_ns)
{
    struct timespec duration = {.tv_sec = (time_t)(duration_ns / 1000000000u),
                                .tv_nsec = (long)(duration_ns % 1000000000u)};
    __atomic_store_n(&worker->page->parent_sleeps, 1, __ATOMIC_SEQ_CST);
    if (reply_read(worker) == before)
        (void)syscall(SYS_futex, &worker->page->reply, FUTEX_WAIT, before, &duration,
                      NULL, 0);
    __atomic_store_n(&worker->page->parent_sleeps, 0, __ATOMIC_RELAXED);
}

/* Nobody wakes us when the worker dies, so look now and then: soon at first, as most
 * workers die of what they were just asked. */
static enum err await_change(struct os_worker *worker, uint32_t before,
                             uint64_t timeout_ns)
{
    enum { SLICE_MIN_NS = 1000000, SLICE_MAX_NS = 50000000 };
    if (spin(worker, before))
        return ERR_ok;
    uint64_t end_ns = timeout_ns ? os_clock_monotonic_ns() + timeout_ns : UINT64_MAX;
    uint64_t slice_ns = SLICE_MIN_NS;
    while (reply_read(worker) == before) {
        uint64_t now_ns = timeout_ns ? os_clock_monotonic_ns() : 0;
        if (now_ns >= end_ns)
            return ERR_worker_timeout;
        uint64_t left_ns = end_ns - now_ns;
        sleep_once(worker, before, left_ns < slice_ns ? left_ns : slice_ns);
        if (reply_read(worker) == before && is_gone(worker))
            return reply_read(worker) == before ? ERR_worker_lost : ERR_ok;
        slice_ns = slice_ns * 2 < SLICE_MAX_NS ? slice_ns * 2 : SLICE_MAX_NS;
    }
    return ERR_ok;
}

enum err os_worker_await(struct os_worker *worker, uint64_t timeout_ns)
{
    enum err err = await_change(worker, worker->request - 1, timeout_ns);
    if (!err && reply_read(worker) != worker->request)
        err = ERR_worker_lost; /* it counts as no worker of ours does */
    if (err)
        os_worker_kill(worker);
    return err;
}

enum err os_worker_ask(struct os_worker *worker, uint64_t timeout_ns)
{
    if (!worker->alive)
        return ERR_worker_lost;
    if (reply_read(worker) != worker->request) { /* answered without being asked */
        os_worker_kill(worker);
        return ERR_worker_lost;
    }
    struct worker_page *page = worker->page;
    worker->request++;
    __atomic_store_n(&page->request, worker->request, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&page->worker_sleeps, __ATOMIC_SEQ_CST))
        (void)syscall(SYS_futex, &page->request, FUTEX_WAKE, 1, NULL, NULL, 0);
    TRY(os_worker_await(worker, timeout_ns));
    switch (-__atomic_load_n(&page->error, __ATOMIC_RELAXED)) {
    case 0:
        return ERR_ok;
    case EEXIST:
        return ERR_exists;
    case ENOMEM:
        return ERR_nomem;
    default:
        return ERR_io;
    }
}

/* ---- commands ---- */

/* Mapping takes microseconds; a worker that needs seconds has another reason. */
#define COMMAND_TIMEOUT_NS UINT64_C(30000000000)

static uint32_t host_protection(enum os_worker_access access)
{
    static const uint32_t protection[] = {
        [OS_WORKER_NONE] = PROT_NONE,
        [OS_WORKER_R] = PROT_READ,
        [OS_WORKER_RW] = PROT_READ | PROT_WRITE,
        [OS_WORKER_RX] = PROT_READ | PROT_EXEC,
    };
    return protection[access];
}

/* Into the channel, where the worker finds it with the command. */
static enum err object_send(struct os_worker *worker, int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof fd),
                            .cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS}};
    char byte = 0;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    if (sendmsg(worker->channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
        return os_fail();
    return ERR_ok;
}

enum err os_worker_map(struct os_worker *worker,
                       const struct os_worker_mapping *mapping)
{
    if (!worker->alive)
        return ERR_worker_lost;
    if (worker->locked)
        return ERR_usage;
    TRY(object_send(worker, mapping->fd));
    struct worker_page *page = worker->page;
    page->command = WORKER_MAP;
    page->map_address = (uint64_t)mapping->address;
    page->map_size = mapping->size;
    page->map_offset = mapping->offset;
    page->map_protection = host_protection(mapping->access);
    return os_worker_ask(worker, COMMAND_TIMEOUT_NS);
}

enum err os_worker_unmap(struct os_worker *worker, void *address, size_t size)
{
    if (!worker->alive)
        return ERR_worker_lost;
    if (worker->locked)
        return ERR_usage;
    worker->page->command = WORKER_UNMAP;
    worker->page->map_address = (uint64_t)address;
    worker->page->map_size = size;
    return os_worker_ask(worker, COMMAND_TIMEOUT_NS);
}

enum err os_worker_lock(struct os_worker *worker)
{
    if (!worker->alive)
        return ERR_worker_lost;
    if (worker->locked)
        return ERR_usage;
    worker->page->command = WORKER_LOCK;
    TRY(os_worker_ask(worker, COMMAND_TIMEOUT_NS));
    worker->locked = true;
    return ERR_ok;
}

enum err os_worker_call(struct os_worker *worker, const struct os_worker_call *call,
                        struct os_worker_result *ret_result)
{
    if (!worker->alive)
        return ERR_worker_lost;
    check(call->range_count <= OS_WORKER_RANGE_COUNT_MAX);
    struct worker_page *page = worker->page;
    page->command = WORKER_CALL;
    page->range_count = (uint32_t)call->range_count;
    for (size_t i = 0; i < call->range_count; i++) {
        check(call->ranges[i].access != OS_WORKER_RX);
        page->ranges[i].address = (uint64_t)call->ranges[i].address;
        page->ranges[i].size = call->ranges[i].size;
        page->ranges[i].protection = host_protection(call->ranges[i].access);
    }
    page->entry = call->entry;
    memcpy(page->args, call->args, sizeof page->args);
    page->gs_base = (uint64_t)call->gs_base;
    page->fault_start = call->fault_start;
    page->fault_size = call->fault_size;
    page->fault_resume = call->fault_resume;
    TRY(os_worker_ask(worker, call->timeout_ns));
    *ret_result = (struct os_worker_result){
        .value = __atomic_load_n(&page->value, __ATOMIC_RELAXED),
        .signal = __atomic_load_n(&page->fault_signal, __ATOMIC_RELAXED),
        .fault_ip = __atomic_load_n(&page->fault_ip, __ATOMIC_RELAXED),
        .fault_address = __atomic_load_n(&page->fault_address, __ATOMIC_RELAXED),
    };
    return ERR_ok;
}
