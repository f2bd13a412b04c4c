/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/os_process.h"

#include "base/os.h"
#include "base/os_private.h"
#include "base/os_stream.h"
#include "base/os_worker_private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILD_STREAM = 0, START_TIMEOUT_S = 30 };

struct os_process {
    int stream, pidfd;
    pid_t pid;
    int end; /* -1: alive */
    unsigned walls;
};

/* What the child starts from. */
struct start {
    struct os_process_options options;
    const struct worker_filter *filter;
    int stream;
    int (*run)(void *self, int stream);
    void *self;
};

/* ---- the child: its walls ---- */

static bool close_descriptors(int stream)
{
    if (stream != CHILD_STREAM && dup2(stream, CHILD_STREAM) != CHILD_STREAM)
        return false;
    if (fcntl(CHILD_STREAM, F_SETFD, FD_CLOEXEC) != 0)
        return false;
    if (syscall(SYS_close_range, CHILD_STREAM + 1, UINT32_MAX, 0) == 0)
        return true;
    long limit = sysconf(_SC_OPEN_MAX);
    for (int fd = CHILD_STREAM + 1; fd < limit; fd++)
        (void)close(fd);
    return true;
}

/* Handlers of the host would run host code here. */
static void reset_signals(void)
{
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static unsigned leave_namespaces(unsigned wanted)
{
    static const struct {
        unsigned wall;
        int flag;
    } rows[] = {{OS_WORKER_USER, CLONE_NEWUSER}, {OS_WORKER_NET, CLONE_NEWNET},
                {OS_WORKER_IPC, CLONE_NEWIPC},   {OS_WORKER_MOUNT, CLONE_NEWNS},
                {OS_WORKER_UTS, CLONE_NEWUTS},   {OS_WORKER_CGROUP, CLONE_NEWCGROUP}};
    unsigned walls = 0;
    for (size_t i = 0; i < countof(rows); i++) {
        if ((wanted & rows[i].wall) && unshare(rows[i].flag) == 0)
            walls |= rows[i].wall;
    }
    if ((wanted & OS_WORKER_ROOT) && chroot("/proc/self/fdinfo") == 0 &&
        chdir("/") == 0)
        walls |= OS_WORKER_ROOT;
    return walls;
}

static void limit(int resource, rlim_t value)
{
    const struct rlimit both = {value, value};
    (void)setrlimit((__rlimit_resource_t)resource, &both);
}

/* What is mapped already (with a sanitizer, terabytes) comes on top of the limit. */
static uint64_t mapped_now(void)
{
    char text[64] = "";
    size_t size = 0;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || os_read(fd, text, sizeof text - 1, &size))
        size = 0;
    os_close(fd);
    return size ? strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static void set_limits(uint64_t mapped, uint64_t address_space_max)
{
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, CHILD_STREAM + 1);
    limit(RLIMIT_NPROC, 0);
    limit(RLIMIT_FSIZE, 0);
    limit(RLIMIT_MEMLOCK, 0);
    limit(RLIMIT_MSGQUEUE, 0);
    if (mapped && address_space_max)
        limit(RLIMIT_AS, mapped + address_space_max);
}

static bool drop_privileges(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];
    memset(none, 0, sizeof none);
    return syscall(SYS_capset, &header, none) == 0 &&
           prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
}

static bool filter_install(const struct worker_filter *filter)
{
    const struct sock_fprog program = {.len = (unsigned short)filter->size,
                                       .filter = (struct sock_filter *)filter->code};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
                   &program) == 0;
}

/* The first bytes on the stream are the walls. */
_Noreturn static void child(const struct start *start, pid_t parent)
{
    unsigned wanted = OS_WORKER_WALLS & ~start->options.without;
    uint64_t mapped = mapped_now();
    reset_signals();
    (void)setsid();
    /* Changing credentials forgets the death signal, so it comes after the namespaces;
     * a parent that died before is not ours any more. */
    unsigned walls = leave_namespaces(wanted);
    if (!close_descriptors(start->stream))
        _exit(WORKER_EXIT_DESCRIPTORS);
    if (!drop_privileges())
        _exit(WORKER_EXIT_PRIVILEGES);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != parent)
        _exit(WORKER_EXIT_ORPHAN);
    set_limits(mapped, start->options.address_space_max);
    if ((wanted & OS_WORKER_SECCOMP) && filter_install(start->filter))
        walls |= OS_WORKER_SECCOMP;
    if (os_stream_send(CHILD_STREAM, &walls, sizeof walls, OS_STREAM_NEVER))
        _exit(WORKER_EXIT_ORPHAN);
    _exit(start->run(start->self, CHILD_STREAM));
}

/* ---- the parent ---- */

/* From the moment of the fork on the child is named by a descriptor, which nobody else
 * who waits for children can make a stranger's. */
static enum err fork_child(struct os_process *process, const struct start *start)
{
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        return os_fail();
    if (pid == 0)
        child(start, parent);
    process->pid = pid;
    process->end = -1;
    process->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (process->pidfd >= 0)
        return ERR_ok;
    enum err err = os_fail();
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &process->end, 0);
    return err;
}

static enum err receive_walls(struct os_process *process)
{
    uint8_t bytes[sizeof process->walls];
    size_t have = 0;
    uint64_t deadline = os_stream_deadline(START_TIMEOUT_S * UINT64_C(1000000000));
    while (have < sizeof bytes) {
        size_t got;
        bool descriptors;
        enum err err =
            os_stream_receive(process->stream, bytes + have, sizeof bytes - have,
                              deadline, &got, &descriptors);
        if (err)
            return err == ERR_interrupted ? err : ERR_worker_lost;
        have += got;
    }
    memcpy(&process->walls, bytes, sizeof bytes);
    return ERR_ok;
}

static enum err start_child(struct os_process *process,
                            const struct os_process_options *options,
                            int (*run)(void *self, int stream), void *self)
{
    int ends[2];
    struct start start = {.options = *options, .run = run, .self = self};
    TRY(os_process_filter(&start.filter));
    TRY(os_stream_pair(ends));
    process->stream = ends[0];
    start.stream = ends[1];
    enum err err = fork_child(process, &start);
    os_close(ends[1]);
    TRY(err);
    TRY(receive_walls(process));
    return options->require & ~process->walls ? ERR_unsupported : ERR_ok;
}

enum err os_process_open(const struct os_process_options *options,
                         int (*run)(void *self, int stream), void *self,
                         struct os_process **ret_process)
{
    static const struct os_process_options defaults;
    struct os_process *process = calloc(1, sizeof *process);
    if (!process)
        return ERR_nomem;
    process->stream = process->pidfd = -1;
    enum err err = start_child(process, options ? options : &defaults, run, self);
    if (err) {
        os_process_close(process);
        return err;
    }
    *ret_process = process;
    return ERR_ok;
}

/* Somebody else may have waited for it already: then its end is not known. */
static void reap(struct os_process *process, int flags)
{
    siginfo_t info = {0};
    int waited;
    if (process->end >= 0 || process->pidfd < 0)
        return;
    do
        waited = waitid(P_PIDFD, (id_t)process->pidfd, &info, WEXITED | flags);
    while (waited != 0 && errno == EINTR);
    if (waited != 0)
        process->end = 0;
    else if (info.si_pid)
        process->end =
            info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

void os_process_close(struct os_process *process)
{
    if (!process)
        return;
    if (process->pidfd >= 0 && process->end < 0) {
        (void)syscall(SYS_pidfd_send_signal, process->pidfd, SIGKILL, NULL, 0);
        reap(process, 0);
    }
    os_close(process->pidfd);
    os_close(process->stream);
    free(process);
}

int os_process_stream(const struct os_process *process)
{
    return process->stream;
}

int os_process_pid(const struct os_process *process)
{
    return process->pid;
}

unsigned os_process_walls(const struct os_process *process)
{
    return process->walls;
}

int os_process_end(struct os_process *process)
{
    reap(process, WNOHANG);
    return process->end;
}
