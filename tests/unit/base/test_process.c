/* SPDX-License-Identifier: MIT
 *
 * A confined process can use its memory and its stream, and nothing else.
 */
#define _GNU_SOURCE
#include "base/os_process.h"

#include "base/os.h"
#include "base/os_stream.h"
#include "tests/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECCOMP_ONLY = OS_WORKER_WALLS & ~(unsigned)OS_WORKER_SECCOMP };

static int end_of(struct os_process *process)
{
    for (unsigned i = 0; i < 20000 && os_process_end(process) < 0; i++)
        os_sleep_ns(1000000);
    return os_process_end(process);
}

/* How a process that does this ends. */
static int end_with(int (*run)(void *self, int stream), unsigned without)
{
    const struct os_process_options options = {.without = without};
    struct os_process *process;
    assert_int_equal(os_process_open(&options, run, NULL, &process), ERR_ok);
    int end = end_of(process);
    os_process_close(process);
    return end;
}

/* ---- what is allowed ---- */

static int echo(void *self, int stream)
{
    uint8_t bytes[16];
    size_t size;
    bool descriptors;
    (void)self;
    while (!os_stream_receive(stream, bytes, sizeof bytes, OS_STREAM_NEVER, &size,
                              &descriptors)) {
        if (os_stream_send(stream, bytes, size, OS_STREAM_NEVER))
            return 1;
    }
    return 7;
}

static void test_echo(void **unused)
{
    (void)unused;
    struct os_process *process;
    char bytes[4];
    size_t size;
    bool descriptors;
    assert_int_equal(os_process_open(NULL, echo, NULL, &process), ERR_ok);
    assert_true(os_process_pid(process) > 0);
    assert_int_equal(os_process_end(process), -1);
    assert_int_equal(os_stream_send(os_process_stream(process), "ping", 4, 0), ERR_ok);
    assert_int_equal(os_stream_receive(os_process_stream(process), bytes, 4,
                                       os_stream_deadline(UINT64_C(10000000000)), &size,
                                       &descriptors),
                     ERR_ok);
    assert_memory_equal(bytes, "ping", size);
    assert_int_equal(shutdown(os_process_stream(process), SHUT_WR), 0);
    assert_int_equal(end_of(process), 7);
    os_process_close(process);
    os_process_close(NULL);
}

/* Large blocks grow, although mremap() is not there. */
static int use_memory(void *self, int stream)
{
    (void)self, (void)stream;
    char *block = NULL;
    for (size_t size = 1000; size < 8 << 20; size *= 2) {
        block = realloc(block, size);
        if (!block)
            return 1;
        memset(block, 1, size);
    }
    free(block);
    void *page =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || mprotect(page, 4096, PROT_READ | PROT_EXEC) != 0)
        return 2;
    return 0;
}

static void test_memory(void **unused)
{
    (void)unused;
    assert_int_equal(end_with(use_memory, SECCOMP_ONLY), 0);
}

/* ---- what is not ---- */

static int open_file(void *self, int stream)
{
    (void)self, (void)stream;
    return open("/dev/null", O_RDONLY) >= 0 ? 1 : 2;
}

static int open_socket(void *self, int stream)
{
    (void)self, (void)stream;
    return socket(AF_UNIX, SOCK_STREAM, 0) >= 0 ? 1 : 2;
}

static int make_writable_code(void *self, int stream)
{
    (void)self, (void)stream;
    (void)mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return 1;
}

static int make_code_writable(void *self, int stream)
{
    (void)self, (void)stream;
    void *page =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
    return 1;
}

static int signal_parent(void *self, int stream)
{
    (void)self, (void)stream;
    return (int)syscall(SYS_kill, getppid(), 0) + 1;
}

static int write_elsewhere(void *self, int stream)
{
    (void)self, (void)stream;
    return write(1, "", 0) == 0 ? 1 : 2;
}

static void test_forbidden(void **unused)
{
    (void)unused;
    int (*const rows[])(void *, int) = {open_file,          open_socket,
                                        make_writable_code, make_code_writable,
                                        signal_parent,      write_elsewhere};
    for (size_t i = 0; i < countof(rows); i++)
        assert_int_equal(end_with(rows[i], SECCOMP_ONLY), 128 + SIGSYS);
}

/* ---- what is there without the filter ---- */

static int look_around(void *self, int stream)
{
    struct rlimit files;
    struct stat status;
    char byte;
    (void)self;
    if (stream != 0 || fstat(0, &status) != 0 || !S_ISSOCK(status.st_mode))
        return 1;
    for (int fd = 1; fd < 256; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            return 2;
    }
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || prctl(PR_GET_DUMPABLE) != 0)
        return 3;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_max != 1)
        return 4;
    if (getrlimit(RLIMIT_NPROC, &files) != 0 || files.rlim_max != 0)
        return 5;
    if (getrlimit(RLIMIT_CORE, &files) != 0 || files.rlim_max != 0)
        return 6;
    struct sigaction action;
    if (sigaction(SIGUSR1, NULL, &action) != 0 || action.sa_handler != SIG_DFL)
        return 7;
    return recv(0, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN ? 0 : 8;
}

static void on_signal(int number)
{
    (void)number;
}

static void test_surroundings(void **unused)
{
    (void)unused;
    (void)signal(SIGUSR1, on_signal);
    assert_int_equal(end_with(look_around, OS_WORKER_WALLS), 0);
    (void)signal(SIGUSR1, SIG_DFL);
}

static void test_walls(void **unused)
{
    (void)unused;
    const struct os_process_options none = {.without = OS_WORKER_WALLS};
    const struct os_process_options memory = {.require = OS_WORKER_MEMORY};
    const struct os_process_options filter = {.require = OS_WORKER_SECCOMP};
    struct os_process *process = NULL;
    assert_int_equal(os_process_open(&none, echo, NULL, &process), ERR_ok);
    assert_int_equal(os_process_walls(process), 0);
    os_process_close(process);
    process = NULL;
    assert_int_equal(os_process_open(&memory, echo, NULL, &process), ERR_unsupported);
    assert_null(process);
    assert_int_equal(os_process_open(&filter, echo, NULL, &process), ERR_ok);
    assert_true(os_process_walls(process) & OS_WORKER_SECCOMP);
    os_process_close(process);
}

static int loop(void *self, int stream)
{
    (void)self, (void)stream;
    for (volatile int i = 0;; i++)
        ;
    return 0;
}

/* One that neither ends nor listens is killed, and reaped. */
static void test_close(void **unused)
{
    (void)unused;
    struct os_process *process;
    assert_int_equal(os_process_open(NULL, loop, NULL, &process), ERR_ok);
    int pid = os_process_pid(process);
    os_process_close(process);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
}

/* A host that waits for all its children may take ours first. */
static void test_reaped_by_others(void **unused)
{
    (void)unused;
    struct os_process *process;
    assert_int_equal(os_process_open(NULL, loop, NULL, &process), ERR_ok);
    assert_int_equal(kill(os_process_pid(process), SIGKILL), 0);
    assert_int_equal(waitpid(-1, NULL, 0), os_process_pid(process));
    assert_int_equal(os_process_end(process), 0);
    os_process_close(process);
}

/* The process that opened it is gone: so is it. */
static void test_orphan(void **unused)
{
    (void)unused;
    int ends[2], status, pid = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t parent = fork();
    if (parent == 0) {
        struct os_process *process;
        if (os_process_open(NULL, loop, NULL, &process))
            _exit(1);
        pid = os_process_pid(process);
        _exit(write(ends[1], &pid, sizeof pid) == sizeof pid ? 0 : 2);
    }
    assert_int_equal(waitpid(parent, &status, 0), parent);
    assert_int_equal(status, 0);
    assert_int_equal(read(ends[0], &pid, sizeof pid), sizeof pid);
    for (unsigned i = 0; i < 10000 && kill(pid, 0) == 0; i++) {
        char path[64], line[256] = "";
        (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
        FILE *file = fopen(path, "r");
        bool zombie = file && fgets(line, sizeof line, file) && strstr(line, ") Z ");
        if (file)
            (void)fclose(file);
        if (zombie) /* whoever adopted it does not wait */
            break;
        os_sleep_ns(1000000);
        assert_true(i < 9999);
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* ---- streams ---- */

static void test_listen(void **unused)
{
    (void)unused;
    char folder[] = "/tmp/lockstep-XXXXXX", path[64], longer[200];
    int listener, other, client, server;
    struct stat status;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/socket", folder);
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    assert_int_equal(os_stream_listen(longer, &listener), ERR_limit);
    assert_int_equal(os_stream_connect(path, 0, &client), ERR_not_found);
    assert_int_equal(os_stream_listen(path, &listener), ERR_ok);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(os_stream_accept(listener, 0, &server), ERR_ok);
    assert_int_equal(server, -1);
    assert_int_equal(os_stream_connect(path, 0, &client), ERR_ok);
    assert_int_equal(os_stream_accept(listener, 0, &server), ERR_ok);
    assert_true(server >= 0);
    os_close(client);
    os_close(server);
    assert_int_equal(os_stream_listen(path, &other), ERR_exists);
    os_close(listener);
    assert_int_equal(os_stream_connect(path, 0, &client), ERR_closed);
    assert_int_equal(os_stream_listen(path, &listener), ERR_ok); /* was left behind */
    os_close(listener);
    assert_int_equal(os_unlink(path), ERR_ok);
    assert_int_equal(os_file_write(path, bytes_of("text", 4)), ERR_ok);
    assert_int_equal(os_stream_listen(path, &listener), ERR_exists);
    assert_int_equal(os_unlink(path), ERR_ok);
    assert_int_equal(rmdir(folder), 0);
}

static void test_deadlines(void **unused)
{
    (void)unused;
    int ends[2];
    uint8_t bytes[4096] = {0};
    size_t size;
    bool descriptors;
    assert_int_equal(os_stream_pair(ends), ERR_ok);
    uint64_t start = os_clock_monotonic_ns();
    assert_int_equal(os_stream_receive(ends[0], bytes, 1, os_stream_deadline(30000000),
                                       &size, &descriptors),
                     ERR_timeout);
    assert_true(os_clock_monotonic_ns() - start >= 30000000);
    enum err err = ERR_ok;
    for (unsigned i = 0; i < 10000 && !err; i++)
        err =
            os_stream_send(ends[0], bytes, sizeof bytes, os_stream_deadline(30000000));
    assert_int_equal(err, ERR_timeout);
    os_close(ends[0]);
    struct os_stream_event event = {.fd = ends[1], .wants_read = true};
    assert_int_equal(os_stream_wait(&event, 1, OS_STREAM_NEVER), ERR_ok);
    assert_true(event.ready);
    assert_int_equal(os_stream_send(ends[1], bytes, 1, OS_STREAM_NEVER), ERR_closed);
    os_close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_forbidden),
        cmocka_unit_test(test_surroundings),
        cmocka_unit_test(test_walls),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_reaped_by_others),
        cmocka_unit_test(test_orphan),
        cmocka_unit_test(test_listen),
        cmocka_unit_test(test_deadlines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
