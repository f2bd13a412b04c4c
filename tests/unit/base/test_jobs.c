/* SPDX-License-Identifier: MIT
 *
 * Jobs: how they end, what they share, and that they can be waited for and killed.
 */
#include "base/os.h"
#include "base/os_jobs.h"

#include "tests/test.h"

#include <signal.h>
#include <unistd.h>

#define LONG_NS UINT64_C(20000000000)

static volatile uint32_t *shared;

static int work_answer(void *self)
{
    *shared = 7;
    return *(const int *)self;
}

static int work_die(void *self)
{
    (void)self;
    *shared = 8;
    (void)raise(SIGABRT);
    return 0;
}

static int work_hang(void *self)
{
    (void)self;
    *shared = 9;
    for (;;)
        (void)pause();
    return 0;
}

static void test_ended(void **unused)
{
    (void)unused;
    struct os_job job;
    int status = 42;
    assert_int_equal(os_job_start(&job, work_answer, &status, true, -1), ERR_ok);
    status = 3; /* the job has its own memory */
    assert_int_equal(os_job_wait(&job, LONG_NS), OS_JOB_ENDED);
    assert_int_equal(job.status, 42);
    assert_int_equal(*shared, 7);
    os_job_close(&job);
    os_job_close(&job);
    assert_int_equal(os_job_wait(&job, LONG_NS), OS_JOB_NONE);
}

static void test_died(void **unused)
{
    (void)unused;
    struct os_job job;
    assert_int_equal(os_job_start(&job, work_die, NULL, true, -1), ERR_ok);
    assert_int_equal(os_job_wait(&job, LONG_NS), OS_JOB_DIED);
    assert_int_equal(job.status, SIGABRT);
    assert_int_equal(*shared, 8);
    os_job_close(&job);
    assert_string_equal(os_signal_text(SIGSEGV), "Segmentation fault");
    assert_string_equal(os_signal_text(1000), "unknown signal");
}

static void test_hangs(void **unused)
{
    (void)unused;
    struct os_job job;
    *shared = 0;
    assert_int_equal(os_job_start(&job, work_hang, NULL, true, -1), ERR_ok);
    while (*shared != 9)
        os_sleep_ns(100000);
    uint64_t start = os_clock_monotonic_ns();
    assert_int_equal(os_job_wait(&job, 30000000), OS_JOB_RUNS);
    assert_true(os_clock_monotonic_ns() - start >= 30000000);
    assert_int_equal(os_job_wait(&job, 0), OS_JOB_RUNS);
    int pid = job.pid;
    os_job_close(&job);
    assert_int_equal(kill(pid, 0), -1); /* gone, and not a zombie */
}

static int work_print(void *self)
{
    (void)self;
    return write(1, "hello", 5) != 5;
}

static void test_output(void **unused)
{
    (void)unused;
    struct os_job job;
    char text[8];
    size_t size;
    int fd;
    assert_int_equal(os_scratch_open(&fd), ERR_ok);
    assert_int_equal(os_job_start(&job, work_print, NULL, false, fd), ERR_ok);
    assert_int_equal(os_job_wait(&job, LONG_NS), OS_JOB_ENDED);
    assert_int_equal(job.status, 0);
    os_job_close(&job);
    assert_int_equal(os_pread(fd, 0, text, sizeof text, &size), ERR_ok);
    assert_int_equal(size, 5);
    assert_memory_equal(text, "hello", 5);
    os_close(fd);
}

static int setup(void **unused)
{
    (void)unused;
    void *data = NULL;
    if (os_shared_create(4096, &data))
        return 1;
    shared = data;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ended),
        cmocka_unit_test(test_died),
        cmocka_unit_test(test_hangs),
        cmocka_unit_test(test_output),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
