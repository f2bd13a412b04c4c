/* SPDX-License-Identifier: MIT
 *
 * Many clients of one kernel: each sees what it would see alone, and what one of them
 * does wrong is its own loss.
 */
#define _GNU_SOURCE
#include "base/os.h"
#include "base/os_stream.h"
#include "base/os_worker.h"
#include "kernel/cap.h"
#include "nub/relay.h"
#include "tests/test.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)
static const struct nub_options patient = {.timeout_ns = 20 * SECOND};

struct fixture {
    char folder[32], path[64];
    pid_t pid;
    int worker; /* its process id, told by the relay */
    int pipe;
};

/* What the relay tells the test: the worker's process id, at first and after each loss.
 */
struct told {
    int pipe;
    struct nub *nub;
};

static void tell(void *self, enum nub_relay_event event, enum err err)
{
    struct told *told = self;
    (void)err;
    int pid = nub_worker_pid(told->nub);
    if (event == NUB_RELAY_RECOVERED && write(told->pipe, &pid, sizeof pid) < 0)
        _exit(3);
}

_Noreturn static void relay_main(const char *path, int pipe)
{
    const struct nub_options options = {.timeout_ns = 20 * SECOND,
                                        .journal_max = 1 << 20,
                                        .without_walls = OS_WORKER_WALLS &
                                                         ~(unsigned)OS_WORKER_SECCOMP};
    struct told told = {.pipe = pipe};
    const struct nub_relay_options how = {
        .frame_timeout_ns = SECOND / 10, .tell = tell, .self = &told};
    struct nub_relay_counts counts;
    int listener;
    os_catch_interrupts();
    if (nub_open_worker(&options, &told.nub) || os_stream_listen(path, &listener))
        _exit(1);
    int pid = nub_worker_pid(told.nub);
    if (write(pipe, &pid, sizeof pid) != sizeof pid)
        _exit(2);
    enum err err = nub_relay_run(listener, told.nub, &how, &counts);
    nub_close(told.nub);
    _exit(err ? 4 : 0);
}

static void read_worker(struct fixture *f)
{
    assert_int_equal(read(f->pipe, &f->worker, sizeof f->worker), sizeof f->worker);
}

static int setup(void **state)
{
    static struct fixture f;
    int ends[2];
    f = (struct fixture){.folder = "/tmp/lockstep-XXXXXX"};
    assert_non_null(mkdtemp(f.folder));
    (void)snprintf(f.path, sizeof f.path, "%s/socket", f.folder);
    assert_int_equal(pipe(ends), 0);
    f.pid = fork();
    if (f.pid == 0)
        relay_main(f.path, ends[1]);
    (void)close(ends[1]);
    f.pipe = ends[0];
    read_worker(&f);
    *state = &f;
    return 0;
}

/* A signal ends it, with status 0. */
static int teardown(void **state)
{
    struct fixture *f = *state;
    int status;
    assert_int_equal(kill(f->pid, SIGTERM), 0);
    assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
    assert_int_equal(status, 0);
    (void)close(f->pipe);
    (void)!os_unlink(f->path);
    assert_int_equal(rmdir(f->folder), 0);
    return 0;
}

static struct nub *client(struct fixture *f)
{
    struct nub *nub;
    assert_int_equal(nub_connect(f->path, &patient, &nub), ERR_ok);
    return nub;
}

static int raw_client(struct fixture *f)
{
    int stream;
    assert_int_equal(os_stream_connect(f->path, 0, &stream), ERR_ok);
    return stream;
}

/* The other side has closed. */
static void expect_closed(int stream)
{
    uint8_t byte;
    size_t size;
    bool descriptors;
    assert_int_equal(os_stream_receive(stream, &byte, 1,
                                       os_stream_deadline(20 * SECOND), &size,
                                       &descriptors),
                     ERR_closed);
    os_close(stream);
}

static void test_one_kernel(void **state)
{
    struct fixture *f = *state;
    struct nub *a = client(f), *b = client(f);
    uint64_t previous;
    struct bytes answer;
    assert_int_equal(nub_seed_quota(a, NUB_QUOTA, 1, 5, &previous), ERR_ok);
    assert_int_equal(nub_seed_quota(b, NUB_QUOTA, 1, 6, &previous), ERR_ok);
    assert_int_equal(previous, 5);
    assert_int_equal(nub_call(a, 99, bytes_of("x", 1), &answer), ERR_ok);
    assert_int_equal(nub_status(a), KERNEL_STATUS_UNKNOWN_FN);
    nub_close(b);
    assert_int_equal(nub_seed_quota(a, NUB_QUOTA, 1, 7, &previous), ERR_ok);
    assert_int_equal(previous, 6);
    nub_close(a);
}

/* Bad headers, half frames, silence in the middle of one, and nobody else notices. */
static void test_bad_clients(void **state)
{
    struct fixture *f = *state;
    uint8_t header[NUB_HEADER_SIZE];
    struct nub *good = client(f);
    uint64_t previous;
    int garbage = raw_client(f), large = raw_client(f), late = raw_client(f),
        half = raw_client(f), silent = raw_client(f);
    assert_int_equal(os_stream_send(garbage, "GET / HTTP/1.1\r\nHost: x\r\n", 25, 0),
                     ERR_ok);
    nub_header_encode(&(struct nub_header){.size = NUB_PAYLOAD_MAX + 1}, header);
    assert_int_equal(os_stream_send(large, header, sizeof header, 0), ERR_ok);
    nub_header_encode(&(struct nub_header){.fn = 4, .size = 100}, header);
    assert_int_equal(os_stream_send(late, header, sizeof header, 0), ERR_ok);
    assert_int_equal(os_stream_send(half, header, 11, 0), ERR_ok);
    os_close(half);
    assert_int_equal(nub_seed_quota(good, NUB_QUOTA, 1, 5, &previous), ERR_ok);
    expect_closed(garbage);
    expect_closed(large);
    expect_closed(late);
    assert_int_equal(nub_seed_quota(good, NUB_QUOTA, 1, 6, &previous), ERR_ok);
    assert_int_equal(previous, 5);
    os_close(silent);
    nub_close(good);
}

/* Headers that no client library writes get the kernel's own answer. */
static void test_malformed(void **state)
{
    struct fixture *f = *state;
    struct nub *nub = client(f);
    struct bytes answer;
    const struct nub_header flags = {.fn = NUB_FN_put_cap, .flags = 1};
    const struct nub_header status = {.fn = NUB_FN_smoke, .status = 3};
    assert_int_equal(nub_call_as(nub, &flags, bytes_of("", 0), &answer), ERR_ok);
    assert_int_equal(nub_status(nub), KERNEL_STATUS_MALFORMED);
    assert_int_equal(answer.size, HASH256_SIZE);
    assert_int_equal(nub_call_as(nub, &status, bytes_of("", 0), &answer), ERR_ok);
    assert_int_equal(nub_status(nub), KERNEL_STATUS_MALFORMED);
    assert_int_equal(answer.size, 0);
    nub_close(nub);
}

/* Requests that come before they are due wait their turn. */
static void test_impatient(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 1000 };
    static uint8_t requests[COUNT * NUB_HEADER_SIZE];
    int stream = raw_client(f);
    struct nub *nub = client(f);
    struct bytes answer;
    for (uint32_t i = 0; i < COUNT; i++)
        nub_header_encode(&(struct nub_header){.seq = i}, requests + i * 24);
    assert_int_equal(os_stream_send(stream, requests, sizeof requests, 0), ERR_ok);
    assert_int_equal(nub_call(nub, NUB_FN_smoke, bytes_of("", 0), &answer), ERR_ok);
    for (uint32_t i = 0; i < COUNT; i++) {
        uint8_t bytes[32];
        for (size_t have = 0, got; have < sizeof bytes; have += got) {
            bool descriptors;
            assert_int_equal(
                os_stream_receive(stream, bytes + have, sizeof bytes - have,
                                  os_stream_deadline(20 * SECOND), &got, &descriptors),
                ERR_ok);
        }
        assert_int_equal(kernel_u32(bytes + 12), i);
        assert_int_equal(kernel_u32(bytes + 24), 42);
    }
    os_close(stream);
    nub_close(nub);
}

/* The client whose request meets a dead worker has no answer; the state is there. */
static void test_worker_lost(void **state)
{
    struct fixture *f = *state;
    struct nub *a = client(f), *b = client(f);
    uint64_t previous;
    struct bytes answer;
    assert_int_equal(nub_seed_quota(a, NUB_QUOTA, 1, 5, &previous), ERR_ok);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(kill(f->worker, SIGKILL), 0);
        assert_int_equal(nub_call(a, NUB_FN_smoke, bytes_of("", 0), &answer),
                         ERR_closed);
        nub_close(a);
        read_worker(f);
        a = client(f);
    }
    assert_int_equal(nub_seed_quota(b, NUB_QUOTA, 1, 6, &previous), ERR_ok);
    assert_int_equal(previous, 5);
    nub_close(a);
    nub_close(b);
}

static void test_too_many(void **state)
{
    struct fixture *f = *state;
    int stream[NUB_RELAY_CLIENTS_MAX];
    for (unsigned i = 0; i < NUB_RELAY_CLIENTS_MAX; i++)
        stream[i] = raw_client(f);
    expect_closed(raw_client(f));
    for (unsigned i = 0; i < NUB_RELAY_CLIENTS_MAX; i++)
        os_close(stream[i]);
    struct nub *nub = client(f);
    nub_close(nub);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_kernel), TEST(test_bad_clients), TEST(test_malformed),
        TEST(test_impatient),  TEST(test_worker_lost), TEST(test_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
