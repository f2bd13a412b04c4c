/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/os_jobs.h"

#include "base/os.h"
#include "base/os_private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { POLL_NS = 200000 };

enum err os_shared_create(size_t size, void **ret_data)
{
    void *data = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED)
        return os_fail();
    *ret_data = data;
    return ERR_ok;
}

struct start {
    int (*work)(void *self);
    void *self;
    bool quiet;
    int output;
    pid_t parent;
};

_Noreturn static void run_job(const struct start *start)
{
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != start->parent)
        _exit(0);
    if (start->output >= 0)
        (void)dup2(start->output, STDOUT_FILENO);
    int null = start->quiet ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;
    if (null >= 0)
        (void)dup2(null, STDERR_FILENO);
    _exit(start->work(start->self));
}

enum err os_scratch_open(int *ret_fd)
{
    int fd = memfd_create("lockstep", MFD_CLOEXEC);
    if (fd < 0)
        return os_fail();
    *ret_fd = fd;
    return ERR_ok;
}

enum err os_job_start(struct os_job *job, int (*work)(void *self), void *self,
                      bool quiet, int output)
{
    const struct start start = {work, self, quiet, output, getpid()};
    pid_t pid = fork();
    if (pid < 0)
        return os_fail();
    if (pid == 0)
        run_job(&start);
    /* Without a descriptor for it os_job_wait() looks now and then. */
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    *job = (struct os_job){.state = OS_JOB_RUNS, .pid = pid, .pidfd = pidfd};
    return ERR_ok;
}

static void reap(struct os_job *job, int flags)
{
    int status;
    pid_t pid;
    do
        pid = waitpid(job->pid, &status, flags);
    while (pid < 0 && errno == EINTR);
    if (pid != job->pid)
        return;
    job->state = WIFSIGNALED(status) ? OS_JOB_DIED : OS_JOB_ENDED;
    job->status = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    if (job->pidfd >= 0)
        (void)close(job->pidfd);
    job->pidfd = -1;
}

static void wait_pidfd(int pidfd, uint64_t timeout_ns)
{
    struct pollfd look = {.fd = pidfd, .events = POLLIN};
    const struct timespec time = {(time_t)(timeout_ns / 1000000000),
                                  (long)(timeout_ns % 1000000000)};
    (void)ppoll(&look, 1, &time, NULL);
}

enum os_job_state os_job_wait(struct os_job *job, uint64_t timeout_ns)
{
    uint64_t start = os_clock_monotonic_ns(), left = timeout_ns;
    while (job->state == OS_JOB_RUNS) {
        if (left && job->pidfd >= 0)
            wait_pidfd(job->pidfd, left);
        else if (left)
            os_sleep_ns(left < POLL_NS ? left : POLL_NS);
        reap(job, WNOHANG);
        uint64_t gone = os_clock_monotonic_ns() - start;
        if (gone >= timeout_ns || os_interrupted())
            break;
        left = timeout_ns - gone;
    }
    return job->state;
}

void os_job_close(struct os_job *job)
{
    if (job->state == OS_JOB_RUNS) {
        (void)kill(job->pid, SIGKILL);
        reap(job, 0);
    }
    if (job->state != OS_JOB_NONE && job->pidfd >= 0)
        (void)close(job->pidfd);
    *job = (struct os_job){.pidfd = -1};
}

const char *os_signal_text(int signal)
{
    const char *text = sigdescr_np(signal);
    return text ? text : "unknown signal";
}
