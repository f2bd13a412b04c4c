/* SPDX-License-Identifier: MIT
 *
 * The thread that starts workers.  PR_SET_PDEATHSIG speaks of the thread that forked,
 * not of its process; so workers are forked by a thread that ends with the process.
 */
#define _GNU_SOURCE
#include "base/os_private.h"
#include "base/os_worker_private.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

static struct {
    pthread_mutex_t lock; /* one request at a time */
    bool running;
    sem_t wanted, done;
    enum err (*start)(void *self);
    void *self;
    enum err err;
} keeper = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        check(errno == EINTR);
}

_Noreturn static void *keeper_main(void *unused)
{
    (void)unused;
    for (;;) {
        wait_for(&keeper.wanted);
        keeper.err = keeper.start(keeper.self);
        (void)sem_post(&keeper.done);
    }
}

/* No signal of the host's is handled on our thread. */
static enum err keeper_start(void)
{
    sigset_t all, old;
    pthread_t thread;
    check(sem_init(&keeper.wanted, 0, 0) == 0 && sem_init(&keeper.done, 0, 0) == 0);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    errno = pthread_create(&thread, NULL, keeper_main, NULL);
    int error = errno;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = error;
    if (error)
        return os_fail();
    (void)pthread_detach(thread);
    keeper.running = true;
    return ERR_ok;
}

/* A forked copy of this process has no keeper. */
static void before_fork(void)
{
    (void)pthread_mutex_lock(&keeper.lock);
}

static void after_fork(void)
{
    (void)pthread_mutex_unlock(&keeper.lock);
}

static void after_fork_in_child(void)
{
    keeper.running = false;
    (void)pthread_mutex_unlock(&keeper.lock);
}

static void watch_forks(void)
{
    check(pthread_atfork(before_fork, after_fork, after_fork_in_child) == 0);
}

static enum err run_locked(enum err (*start)(void *self), void *self)
{
    if (!keeper.running)
        TRY(keeper_start());
    keeper.start = start;
    keeper.self = self;
    (void)sem_post(&keeper.wanted);
    wait_for(&keeper.done);
    return keeper.err;
}

enum err os_worker_keeper_run(enum err (*start)(void *self), void *self)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, watch_forks);
    (void)pthread_mutex_lock(&keeper.lock);
    enum err err = run_locked(start, self);
    (void)pthread_mutex_unlock(&keeper.lock);
    return err;
}
