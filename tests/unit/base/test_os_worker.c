/* SPDX-License-Identifier: MIT
 *
 * A worker runs native code, behind walls, and its parent survives whatever it does.
 */
#define _GNU_SOURCE
#include "base/os_worker.h"

#include "base/os.h"
#include "base/os_worker_private.h"
#include "tests/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- native code ---- */

enum gadget {
    ADD = 0x00,     /* (a, b): a + b */
    SYSCALL = 0x20, /* (number, a, b, c, d, e) */
    LOOP = 0x40,
    LOAD = 0x50,    /* (address): the 8 bytes there */
    RESUME = 0x60,  /* 77 */
    STORE = 0x70,   /* (address, value): value */
    GS_LOAD = 0x80, /* 8 bytes at gs:8 */
    UNDEFINED = 0x90,
    FILL = 0xa0,    /* (address, size, byte) */
    FS_LOAD = 0xb0, /* the shared page's address */
    DIVIDE = 0xc0,  /* (, 0): #DE */
    SPOIL = 0xd0,   /* FILL, then LOOP */
    GADGETS_SIZE = 0x100,
};

/* clang-format off */
static const uint8_t gadgets[GADGETS_SIZE] = {
    [ADD] = 0x48, 0x8d, 0x04, 0x37, 0xc3, /* lea rax, [rdi+rsi]; ret */
    /* Each argument moves down by one; rax rdi rsi rdx r10 r8, and r9 = 0. */
    [SYSCALL] = 0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x48, 0x89, 0xca,
        0x4d, 0x89, 0xc2, 0x4d, 0x89, 0xc8, 0x45, 0x31, 0xc9, 0x0f, 0x05, 0xc3,
    [LOOP] = 0xeb, 0xfe,
    [LOAD] = 0x48, 0x8b, 0x07, 0xc3, /* mov rax, [rdi]; ret */
    [RESUME] = 0xb8, 77, 0, 0, 0, 0xc3,
    [STORE] = 0x48, 0x89, 0x37, 0x48, 0x89, 0xf0, 0xc3,
    [GS_LOAD] = 0x65, 0x48, 0x8b, 0x04, 0x25, 8, 0, 0, 0, 0xc3,
    [UNDEFINED] = 0x0f, 0x0b,
    [FILL] = 0x48, 0x89, 0xf1, 0x89, 0xd0, 0xf3, 0xaa, 0xc3, /* rep stosb */
    [FS_LOAD] = 0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0, 0xc3,
    [SPOIL] = 0x48, 0x89, 0xf1, 0x89, 0xd0, 0xf3, 0xaa, 0xeb, 0xfe,
    [DIVIDE] = 0xf7, 0xf6, 0xc3, /* div esi */
};
/* clang-format on */

/* A worker with code and eight pages of memory. */
struct fixture {
    struct os_worker *worker;
    struct os_code code;
    int memory_fd;
    uint64_t *memory;
};

enum { MEMORY_SIZE = 8 * 4096 };

static void need_native(void)
{
#ifndef __x86_64__
    skip();
#endif
}

static void fixture_map(struct fixture *f)
{
    assert_int_equal(os_worker_map(f->worker,
                                   &(struct os_worker_mapping){
                                       .fd = f->code.fd,
                                       .address = f->code.data,
                                       .size = f->code.size,
                                       .access = OS_WORKER_RX,
                                   }),
                     ERR_ok);
    assert_int_equal(os_worker_map(f->worker,
                                   &(struct os_worker_mapping){
                                       .fd = f->memory_fd,
                                       .address = f->memory,
                                       .size = MEMORY_SIZE,
                                       .access = OS_WORKER_RW,
                                   }),
                     ERR_ok);
}

static struct fixture fixture_open_with(const struct os_worker_options *options)
{
    struct fixture f;
    void *memory;
    assert_int_equal(os_code_create(sizeof gadgets, true, &f.code), ERR_ok);
    memcpy(f.code.data, gadgets, sizeof gadgets);
    assert_int_equal(os_code_seal(&f.code, sizeof gadgets), ERR_ok);
    assert_int_equal(os_object_create(MEMORY_SIZE, &f.memory_fd), ERR_ok);
    assert_int_equal(os_object_map(f.memory_fd, 0, MEMORY_SIZE, NULL, &memory), ERR_ok);
    f.memory = memory;
    assert_int_equal(os_worker_open(options, &f.worker), ERR_ok);
    fixture_map(&f);
    return f;
}

static struct fixture fixture_open(void)
{
    return fixture_open_with(NULL);
}

static void fixture_close(struct fixture *f)
{
    os_worker_close(f->worker);
    os_unmap(f->memory, MEMORY_SIZE);
    os_close(f->memory_fd);
    os_code_free(&f->code);
}

/* Twice, in one line: restart. */
static void fixture_restart(struct fixture *f)
{
    os_worker_close(f->worker);
    assert_int_equal(os_worker_open(NULL, &f->worker), ERR_ok);
    fixture_map(f);
}

static struct os_worker_call call_of(const struct fixture *f, enum gadget gadget,
                                     uint64_t a, uint64_t b, uint64_t c)
{
    return (struct os_worker_call){
        .entry = (uint64_t)f->code.data + (unsigned)gadget,
        .args = {a, b, c},
        .fault_start = (uint64_t)f->code.data,
        .fault_size = sizeof gadgets,
        .fault_resume = (uint64_t)f->code.data + RESUME,
    };
}

static enum err try_call(const struct fixture *f, enum gadget gadget, uint64_t a,
                         uint64_t b, uint64_t c, uint64_t *ret_value)
{
    struct os_worker_call call = call_of(f, gadget, a, b, c);
    struct os_worker_result result = {.value = 4711};
    enum err err = os_worker_call(f->worker, &call, &result);
    *ret_value = result.value;
    return err;
}

static uint64_t call_value(const struct fixture *f, enum gadget gadget, uint64_t a,
                           uint64_t b)
{
    uint64_t value;
    assert_int_equal(try_call(f, gadget, a, b, 0, &value), ERR_ok);
    return value;
}

static void expect_works(const struct fixture *f)
{
    assert_int_equal(call_value(f, ADD, 40, 2), 42);
    assert_int_equal(os_worker_end(f->worker), -1);
}

static void expect_lost(const struct fixture *f, int end)
{
    struct os_worker_call call = call_of(f, ADD, 1, 2, 0);
    struct os_worker_result result;
    assert_int_equal(os_worker_end(f->worker), end);
    assert_int_equal(os_worker_call(f->worker, &call, &result), ERR_worker_lost);
    assert_int_equal(os_worker_lock(f->worker), ERR_worker_lost);
    assert_int_equal(os_worker_unmap(f->worker, f->memory, 4096), ERR_worker_lost);
    assert_int_equal(kill(os_worker_pid(f->worker), 0), -1); /* no zombie */
}

/* ---- running ---- */

static void test_round_trips(void **unused)
{
    (void)unused;
    need_native();
    struct fixture f = fixture_open();
    for (uint64_t i = 0; i < 5000; i++)
        assert_int_equal(call_value(&f, ADD, i, 3 * i), 4 * i);
    for (uint64_t i = 0; i < 8; i++) { /* both sides fall asleep in between */
        os_sleep_ns(3000000);
        assert_int_equal(call_value(&f, ADD, i, 1), i + 1);
    }
    assert_int_equal(os_worker_lock(f.worker), ERR_ok);
    expect_works(&f);
    fixture_close(&f);
}

static void test_memory_is_shared(void **unused)
{
    (void)unused;
    need_native();
    struct fixture f = fixture_open();
    f.memory[5] = 1234;
    assert_int_equal(call_value(&f, LOAD, (uint64_t)&f.memory[5], 0), 1234);
    (void)call_value(&f, STORE, (uint64_t)&f.memory[600], 99);
    assert_int_equal(f.memory[600], 99);
    assert_int_equal(os_object_discard(f.memory_fd, 4096, 4096), ERR_ok);
    assert_int_equal(f.memory[600], 0);
    assert_int_equal(call_value(&f, LOAD, (uint64_t)&f.memory[600], 0), 0);
    struct os_worker_call call = call_of(&f, GS_LOAD, 0, 0, 0);
    struct os_worker_result result;
    call.gs_base = &f.memory[4];
    assert_int_equal(os_worker_call(f.worker, &call, &result), ERR_ok);
    assert_int_equal(result.value, 1234);
    fixture_close(&f);
}

static void test_object_keeps_its_size(void **unused)
{
    (void)unused;
    int fd;
    assert_int_equal(os_object_create(0, &fd), ERR_nomem);
    assert_int_equal(os_object_create(SIZE_MAX, &fd), ERR_nomem);
    assert_int_equal(os_object_create(5000, &fd), ERR_ok);
    uint64_t size;
    assert_int_equal(os_size(fd, &size), ERR_ok);
    assert_int_equal(size, 8192);
    assert_int_equal(ftruncate(fd, 4096), -1);
    assert_int_equal(ftruncate(fd, 16384), -1);
    os_close(fd);
}

static void test_faults(void **unused)
{
    (void)unused;
    need_native();
    static const struct {
        enum gadget gadget;
        int signal;
    } rows[] = {{LOAD, SIGSEGV},
                {STORE, SIGSEGV},
                {UNDEFINED, SIGILL},
                {DIVIDE, SIGFPE},
                {LOAD, SIGSEGV}};
    struct fixture f = fixture_open();
    for (unsigned i = 0; i < countof(rows); i++) {
        struct os_worker_call call = call_of(&f, rows[i].gadget, 4096 + i, 0, 0);
        struct os_worker_result result;
        assert_int_equal(os_worker_call(f.worker, &call, &result), ERR_ok);
        assert_int_equal(result.value, 77);
        assert_int_equal(result.signal, rows[i].signal);
        assert_int_equal(result.fault_ip, call.entry);
        if (rows[i].signal == SIGSEGV)
            assert_int_equal(result.fault_address, 4096 + i);
        call = call_of(&f, ADD, 1, 1, 0);
        assert_int_equal(os_worker_call(f.worker, &call, &result), ERR_ok);
        assert_int_equal(result.signal, 0);
    }
    /* A fault elsewhere ends the worker. */
    struct os_worker_call call = call_of(&f, LOAD, 4096, 0, 0);
    struct os_worker_result result;
    call.fault_start = call.entry + 1;
    call.fault_size = 16;
    assert_int_equal(os_worker_call(f.worker, &call, &result), ERR_worker_lost);
    expect_lost(&f, 128 + SIGSEGV);
    fixture_close(&f);
}

static void test_protect(void **unused)
{
    (void)unused;
    need_native();
    struct fixture f = fixture_open();
    static const enum os_worker_access order[] = {OS_WORKER_R, OS_WORKER_NONE,
                                                  OS_WORKER_RW, OS_WORKER_NONE};
    for (unsigned i = 0; i < countof(order); i++) {
        /* Pages 1 and 3; page 2 stays writable. */
        struct os_worker_range ranges[] = {
            {(char *)f.memory + 4096, 4096, order[i]},
            {(char *)f.memory + 3 * 4096, 4096, order[i]},
        };
        struct os_worker_result result;
        for (uint64_t page = 1; page <= 3; page++) {
            uint64_t at = (uint64_t)f.memory + page * 4096;
            bool open = page == 2 || order[i] == OS_WORKER_RW;
            struct os_worker_call call = call_of(&f, STORE, at, 5, 0);
            call.ranges = ranges;
            call.range_count = countof(ranges);
            assert_int_equal(os_worker_call(f.worker, &call, &result), ERR_ok);
            assert_int_equal(result.value, open ? 5 : 77);
            call = call_of(&f, LOAD, at, 0, 0);
            assert_int_equal(os_worker_call(f.worker, &call, &result), ERR_ok);
            assert_int_equal(result.signal == 0, open || order[i] == OS_WORKER_R);
        }
    }
    /* Rights that cannot be given: nothing is called. */
    struct os_worker_range bad = {(void *)4096, 4096, OS_WORKER_RW};
    struct os_worker_call call = call_of(&f, STORE, (uint64_t)f.memory, 8, 0);
    struct os_worker_result result;
    call.ranges = &bad;
    call.range_count = 1;
    assert_int_equal(os_worker_call(f.worker, &call, &result), ERR_nomem);
    assert_int_equal(f.memory[0], 0);
    expect_works(&f);
    fixture_close(&f);
}

static void test_map_errors(void **unused)
{
    (void)unused;
    need_native();
    struct os_worker_options options = {.address_space_max = 16 << 20};
    struct fixture f = fixture_open_with(&options);
    struct os_worker_mapping mapping = {
        .fd = f.memory_fd, .address = f.memory, .size = 4096, .access = OS_WORKER_R};
    assert_int_equal(os_worker_map(f.worker, &mapping), ERR_exists);
    mapping.address = (char *)f.memory + 1;
    assert_int_equal(os_worker_map(f.worker, &mapping), ERR_io);
    mapping.address = (void *)((uintptr_t)1 << 32);
    mapping.size = 32 << 20; /* more than the worker may have */
    assert_int_equal(os_worker_map(f.worker, &mapping), ERR_nomem);
    mapping.fd = -1;
    assert_int_equal(os_worker_map(f.worker, &mapping), ERR_io);
    assert_int_equal(os_worker_unmap(f.worker, f.memory, MEMORY_SIZE), ERR_ok);
    assert_int_equal(call_value(&f, LOAD, (uint64_t)f.memory, 0), 77);
    mapping =
        (struct os_worker_mapping){f.memory_fd, 4096, f.memory, 4096, OS_WORKER_R};
    f.memory[512] = 7;
    assert_int_equal(os_worker_map(f.worker, &mapping), ERR_ok);
    assert_int_equal(call_value(&f, LOAD, (uint64_t)f.memory, 0), 7);
    assert_int_equal(os_worker_lock(f.worker), ERR_ok);
    assert_int_equal(os_worker_lock(f.worker), ERR_usage);
    assert_int_equal(os_worker_map(f.worker, &mapping), ERR_usage);
    assert_int_equal(os_worker_unmap(f.worker, f.memory, 4096), ERR_usage);
    expect_works(&f);
    fixture_close(&f);
}

/* ---- walls ---- */

static void test_walls(void **unused)
{
    (void)unused;
    need_native();
    struct fixture f = fixture_open();
    unsigned always = OS_WORKER_MEMORY | OS_WORKER_SECCOMP;
    assert_int_equal(os_worker_walls(f.worker) & always, always);
    fixture_close(&f);
    struct os_worker_options options = {.without = OS_WORKER_WALLS & ~always};
    f = fixture_open_with(&options);
    assert_int_equal(os_worker_walls(f.worker), always);
    expect_works(&f);
    fixture_close(&f);
    options.require = OS_WORKER_NET;
    struct os_worker *none = NULL;
    assert_int_equal(os_worker_open(&options, &none), ERR_unsupported);
    assert_null(none);
    /* With all of a parent's memory, a sanitizer's shadow too. */
    options = (struct os_worker_options){.without = OS_WORKER_WALLS,
                                         .address_space_max = UINT64_MAX};
    f = fixture_open_with(&options);
    assert_int_equal(os_worker_walls(f.worker), 0);
    assert_int_equal(os_worker_lock(f.worker), ERR_ok);
    expect_works(&f);
    fixture_close(&f);
    assert_string_equal(os_worker_wall_name(OS_WORKER_USER), "user");
    assert_string_equal(os_worker_wall_name(OS_WORKER_SECCOMP), "seccomp");
    assert_string_equal(os_worker_wall_name((enum os_worker_wall)3), "?");
}

static void proc_path(const struct fixture *f, const char *name, char *ret_path,
                      size_t size)
{
    (void)snprintf(ret_path, size, "/proc/%d/%s", os_worker_pid(f->worker), name);
}

static void test_memory_map(void **unused)
{
    (void)unused;
    need_native();
    struct fixture f = fixture_open();
    assert_int_equal(os_worker_lock(f.worker), ERR_ok);
    char path[64], line[512];
    proc_path(&f, "maps", path, sizeof path);
    FILE *file = fopen(path, "r");
    unsigned count = 0;
    if (!file)
        skip(); /* only root may look */
    while (fgets(line, sizeof line, file)) {
        char access[8] = "";
        assert_int_equal(sscanf(line, "%*x-%*x %4s", access), 1);
        assert_false(strchr(access, 'w') && strchr(access, 'x'));
        assert_null(strstr(line, "[heap]"));
        assert_null(strstr(line, "[stack]"));
        assert_null(strstr(line, ".so"));
        count++;
    }
    (void)fclose(file);
    /* Text, four parts of stacks, shared page, code, memory, vsyscall. */
    assert_in_range(count, 6, 9);
    fixture_close(&f);
}

static void test_descriptors(void **unused)
{
    (void)unused;
    need_native();
    int extra = open("/dev/null", O_RDONLY); /* not close-on-exec */
    struct fixture f = fixture_open();
    char path[64];
    proc_path(&f, "fd", path, sizeof path);
    DIR *dir = opendir(path);
    unsigned count = 0;
    if (!dir)
        skip();
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] != '.') {
            assert_string_equal(entry->d_name, "0");
            count++;
        }
    }
    (void)closedir(dir);
    assert_int_equal(count, 1);
    fixture_close(&f);
    (void)close(extra);
}

static void test_status(void **unused)
{
    (void)unused;
    need_native();
    struct fixture f = fixture_open();
    char path[64];
    proc_path(&f, "status", path, sizeof path);
    struct buf text;
    buf_init(&text, 1 << 16);
    assert_int_equal(os_file_read(path, &text), ERR_ok);
    const char *status = buf_string(&text);
    assert_non_null(strstr(status, "NoNewPrivs:\t1\n"));
    assert_non_null(strstr(status, "Seccomp:\t2\n"));
    assert_non_null(strstr(status, "CapPrm:\t0000000000000000\n"));
    assert_non_null(strstr(status, "CapEff:\t0000000000000000\n"));
    assert_non_null(strstr(status, "SigBlk:\t0000000000000000\n"));
    buf_fini(&text);
    assert_int_not_equal(getsid(os_worker_pid(f.worker)), getsid(0));
    fixture_close(&f);
}

struct forbidden {
    bool locked; /* allowed before */
    long number;
    uint64_t args[5];
};

static void expect_forbidden(const struct forbidden *row)
{
    struct fixture f = fixture_open();
    struct os_worker_call call = call_of(&f, SYSCALL, 0, 0, 0);
    struct os_worker_result result;
    call.args[0] = (uint64_t)row->number;
    memcpy(call.args + 1, row->args, sizeof row->args);
    if (row->locked) {
        assert_int_equal(os_worker_call(f.worker, &call, &result), ERR_ok);
        assert_int_equal(os_worker_lock(f.worker), ERR_ok);
    }
    enum err err = os_worker_call(f.worker, &call, &result);
    if (err != ERR_worker_lost)
        print_message("system call %ld went through\n", row->number);
    assert_int_equal(err, ERR_worker_lost);
    expect_lost(&f, 128 + SIGSYS);
    fixture_close(&f);
}

static void test_forbidden_calls(void **unused)
{
    (void)unused;
    need_native();
    const uint64_t self = (uint64_t)getpid();
    const uint64_t anywhere = (uint64_t)3 << 32;
    const struct forbidden rows[] = {
        {false, SYS_open, {4096, O_RDONLY}},
        {false, SYS_openat, {(uint64_t)AT_FDCWD, 4096}},
        {false, SYS_read, {0, 4096, 0}},
        {false, SYS_write, {0, 4096, 0}},
        {false, SYS_socket, {1, 1, 0}},
        {false, SYS_fork, {0}},
        {false, SYS_clone, {0}},
        {false, SYS_execve, {4096}},
        {false, SYS_ptrace, {0}},
        {false, SYS_kill, {self, SIGTERM}},
        {false, SYS_prctl, {PR_SET_DUMPABLE, 1}},
        {false, SYS_mmap, {anywhere, 4096, 7, 0x22, (uint64_t)-1}},
        {false, SYS_mmap, {anywhere, 4096, 5, 0x22, (uint64_t)-1}},
        {false, SYS_mmap, {anywhere, 4096, 3, 0x22, (uint64_t)-1}},
        {false, SYS_mmap, {anywhere, 4096, 7, WORKER_MAP_FLAGS, 1}},
        {false, SYS_mprotect, {anywhere, 4096, 4}},
        {false, SYS_mprotect, {anywhere, 4096, 5}},
        {false, SYS_mprotect, {anywhere, 4096, 7}},
        {false, SYS_arch_prctl, {0x1002}},
        {false, SYS_recvmsg, {1, 4096, 0}},
        {false, SYS_close, {0}},
        {true, SYS_mmap, {anywhere, 4096, 1, WORKER_MAP_FLAGS, 1}},
        {true, SYS_munmap, {anywhere, 4096}},
        {true, SYS_close, {1}},
        {true, SYS_recvmsg, {0, 4096, 0x40}},
        {true, SYS_seccomp, {SECCOMP_SET_MODE_FILTER, 0, 4096}},
    };
    for (unsigned i = 0; i < countof(rows); i++)
        expect_forbidden(&rows[i]);
    int status;
    assert_int_equal(waitpid(-1, &status, __WALL | WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

/* Code is never writable: not by another right, not under another address. */
static void test_code_stays_code(void **unused)
{
    (void)unused;
    need_native();
    struct fixture f = fixture_open();
    struct os_worker_range range = {f.code.data, 4096, OS_WORKER_RW};
    struct os_worker_call call = call_of(&f, ADD, 1, 2, 0);
    struct os_worker_result result;
    call.ranges = &range;
    call.range_count = 1;
    assert_int_equal(os_worker_call(f.worker, &call, &result), ERR_io);
    struct os_worker_mapping mapping = {f.code.fd, 0, (void *)((uintptr_t)1 << 32),
                                        4096, OS_WORKER_RW};
    assert_int_equal(os_worker_map(f.worker, &mapping), ERR_io);
    expect_works(&f);
    fixture_close(&f);
}

/* ---- ends ---- */

/* Send a signal and wait until it has done its work: a worker that is just looking for
 * a command on another CPU could answer one before that. */
static void hit(const struct fixture *f, int number)
{
    siginfo_t info;
    id_t pid = (id_t)os_worker_pid(f->worker);
    assert_int_equal(kill((pid_t)pid, number), 0);
    assert_int_equal(waitid(P_PID, pid, &info, WEXITED | WSTOPPED | WNOWAIT | __WALL),
                     0);
}

static void test_killed(void **unused)
{
    (void)unused;
    need_native();
    struct fixture f = fixture_open();
    uint64_t value;
    hit(&f, SIGKILL);
    assert_int_equal(try_call(&f, ADD, 1, 2, 0, &value), ERR_worker_lost);
    assert_int_equal(value, 4711); /* untouched */
    expect_lost(&f, 128 + SIGKILL);
    fixture_restart(&f);
    expect_works(&f);
    fixture_close(&f);
}

static void *kill_later(void *worker)
{
    os_sleep_ns(20000000);
    (void)kill(os_worker_pid(worker), SIGKILL);
    return NULL;
}

static void test_killed_while_busy(void **unused)
{
    (void)unused;
    need_native();
    struct fixture f = fixture_open();
    pthread_t thread;
    uint64_t value;
    assert_int_equal(pthread_create(&thread, NULL, kill_later, f.worker), 0);
    assert_int_equal(try_call(&f, LOOP, 0, 0, 0, &value), ERR_worker_lost);
    assert_int_equal(pthread_join(thread, NULL), 0);
    fixture_close(&f);
}

static void test_stopped(void **unused)
{
    (void)unused;
    need_native();
    struct fixture f = fixture_open();
    uint64_t value;
    hit(&f, SIGSTOP);
    assert_int_equal(try_call(&f, ADD, 1, 2, 0, &value), ERR_worker_lost);
    expect_lost(&f, 128 + SIGKILL);
    fixture_restart(&f);
    expect_works(&f);
    fixture_close(&f);
}

static void test_exits(void **unused)
{
    (void)unused;
    need_native();
    struct fixture f = fixture_open();
    uint64_t value;
    assert_int_equal(try_call(&f, SYSCALL, SYS_exit_group, 9, 0, &value),
                     ERR_worker_lost);
    expect_lost(&f, 9);
    fixture_close(&f);
}

static void test_timeout(void **unused)
{
    (void)unused;
    need_native();
    struct fixture f = fixture_open();
    struct os_worker_call call = call_of(&f, LOOP, 0, 0, 0);
    struct os_worker_result result;
    call.timeout_ns = 20000000;
    uint64_t start = os_clock_monotonic_ns();
    assert_int_equal(os_worker_call(f.worker, &call, &result), ERR_worker_timeout);
    assert_true(os_clock_monotonic_ns() - start >= 20000000);
    expect_lost(&f, 128 + SIGKILL);
    fixture_restart(&f);
    expect_works(&f);
    fixture_close(&f);
}

/* The worker's code overwrites what it shares with us, in several ways. */
static void test_garbage(void **unused)
{
    (void)unused;
    need_native();
    static const uint8_t bytes[] = {0x00, 0x01, 0x7f, 0xff};
    const size_t handoff = offsetof(struct worker_page, request);
    const size_t answer = offsetof(struct worker_page, value);
    struct fixture f = fixture_open();
    uint64_t value;
    for (unsigned i = 0; i < countof(bytes); i++) {
        uint64_t page = call_value(&f, FS_LOAD, 0, 0);
        assert_int_equal(page, (uint64_t)f.worker->page);
        /* Everything behind the setup part; then the reply is none we expect. */
        assert_int_equal(try_call(&f, SPOIL, page + handoff,
                                  sizeof(struct worker_page) - handoff, bytes[i],
                                  &value),
                         ERR_worker_lost);
        fixture_restart(&f);
        /* The answer alone is rewritten by the worker's own code, or is just wrong. */
        page = call_value(&f, FS_LOAD, 0, 0);
        enum err err = try_call(&f, FILL, page + answer,
                                sizeof(struct worker_page) - answer, bytes[i], &value);
        assert_int_equal(err, ERR_ok);
        expect_works(&f);
    }
    /* An answer without a question. */
    uint64_t page = call_value(&f, FS_LOAD, 0, 0);
    f.worker->page->reply = 77;
    assert_true(page != 0);
    assert_int_equal(try_call(&f, ADD, 1, 2, 0, &value), ERR_worker_lost);
    fixture_close(&f);
}

static unsigned count_entries(const char *path)
{
    unsigned count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    (void)closedir(dir);
    return count;
}

static unsigned count_mappings(void)
{
    FILE *file = fopen("/proc/self/maps", "r");
    unsigned count = 0;
    assert_non_null(file);
    for (int c; (c = fgetc(file)) != EOF;)
        count += c == '\n';
    (void)fclose(file);
    return count;
}

static void test_many_starts(void **unused)
{
    (void)unused;
    need_native();
    const char *text = getenv("LOCKSTEP_WORKER_STARTS");
    unsigned long starts = text ? strtoul(text, NULL, 10) : 200;
    unsigned descriptors = 0, mappings = 0;
    for (unsigned long i = 0; i < starts; i++) {
        struct os_worker *worker;
        assert_int_equal(os_worker_open(NULL, &worker), ERR_ok);
        os_worker_close(worker);
        if (i == 20) {
            descriptors = count_entries("/proc/self/fd");
            mappings = count_mappings();
        }
    }
    assert_int_equal(count_entries("/proc/self/fd"), descriptors);
    assert_in_range(count_mappings(), 0, mappings + 4);
    int status;
    assert_int_equal(waitpid(-1, &status, __WALL | WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void test_several(void **unused)
{
    (void)unused;
    need_native();
    struct fixture a = fixture_open(), b = fixture_open();
    assert_int_not_equal(os_worker_pid(a.worker), os_worker_pid(b.worker));
    expect_works(&a);
    expect_works(&b);
    assert_int_equal(kill(os_worker_pid(a.worker), SIGKILL), 0);
    fixture_close(&a);
    expect_works(&b);
    fixture_close(&b);
    os_worker_close(NULL);
}

/* ---- the host around it ---- */

static void *open_on_thread(void *ret_fixture)
{
    *(struct fixture *)ret_fixture = fixture_open();
    return NULL;
}

static void test_outlives_its_thread(void **unused)
{
    (void)unused;
    need_native();
    struct fixture f;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, open_on_thread, &f), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    os_sleep_ns(20000000);
    expect_works(&f);
    fixture_close(&f);
}

static volatile sig_atomic_t child_signals;

static void on_child(int number)
{
    (void)number;
    child_signals++;
}

static void test_host_does_not_see_it(void **unused)
{
    (void)unused;
    need_native();
    (void)signal(SIGCHLD, on_child);
    struct fixture f = fixture_open();
    int status;
    assert_int_equal(waitpid(-1, &status, WNOHANG), -1); /* no child of the host's */
    assert_int_equal(kill(os_worker_pid(f.worker), SIGKILL), 0);
    os_sleep_ns(5000000);
    fixture_close(&f);
    (void)signal(SIGCHLD, SIG_DFL);
    assert_int_equal(child_signals, 0);
}

/* In a forked host: the worker's number goes to the parent, the host to its death. */
static void host_with_worker(int out, bool busy)
{
    struct fixture f = fixture_open();
    expect_works(&f);
    int pid = os_worker_pid(f.worker);
    if (write(out, &pid, sizeof pid) != sizeof pid)
        _exit(1);
    uint64_t value;
    if (busy)
        (void)try_call(&f, LOOP, 0, 0, 0, &value);
    for (;;)
        (void)pause();
}

static void expect_no_orphan(bool busy)
{
    int ends[2], pid, status;
    assert_int_equal(pipe(ends), 0);
    pid_t host = fork();
    assert_true(host >= 0);
    if (host == 0)
        host_with_worker(ends[1], busy);
    assert_int_equal(read(ends[0], &pid, sizeof pid), sizeof pid);
    if (busy)
        os_sleep_ns(5000000);
    assert_int_equal(kill(host, SIGKILL), 0);
    assert_int_equal(waitpid(host, &status, 0), host);
    /* We are its reaper; it must come without being asked. */
    pid_t got = 0;
    for (unsigned i = 0; i < 2000 && got == 0; i++) {
        os_sleep_ns(1000000);
        got = waitpid(pid, &status, __WALL | WNOHANG);
    }
    assert_int_equal(got, pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void test_no_orphan(void **unused)
{
    (void)unused;
    need_native();
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    expect_no_orphan(false);
    expect_no_orphan(true);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

/* Run `work` in a forked process; it says 0 by returning. */
static void in_child(void (*work)(void))
{
    pid_t pid = fork();
    int status;
    assert_true(pid >= 0);
    if (pid == 0) {
        work();
        _exit(50);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 50);
}

static void work_here(void)
{
    struct fixture f = fixture_open();
    for (uint64_t i = 0; i < 200; i++) {
        if (call_value(&f, ADD, i, 1) != i + 1)
            _exit(1);
    }
    fixture_close(&f);
}

static void work_on_one_cpu(void)
{
    cpu_set_t one;
    if (sched_getaffinity(0, sizeof one, &one) != 0)
        _exit(2);
    size_t first = 0;
    while (!CPU_ISSET(first, &one))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0)
        _exit(3);
    work_here();
}

/* As in a container: no new namespaces, and no chroot. */
static void work_without_namespaces(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    const uint64_t flags = CLONE_NEWUSER | CLONE_NEWPID;
    (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 0);
    (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(chroot), 0);
    for (uint64_t flag = 1; flag; flag <<= 1) {
        if (flags & flag)
            (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                   SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag));
    }
    if (seccomp_load(filter) != 0)
        _exit(4);
    seccomp_release(filter);
    struct fixture f = fixture_open();
    if (os_worker_walls(f.worker) != (OS_WORKER_MEMORY | OS_WORKER_SECCOMP))
        _exit(5);
    expect_works(&f);
    fixture_close(&f);
}

static void test_hosts(void **unused)
{
    (void)unused;
    need_native();
    work_here(); /* so that there is a keeper that the children do not have */
    in_child(work_here);
    in_child(work_on_one_cpu);
    in_child(work_without_namespaces);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_memory_is_shared),
        cmocka_unit_test(test_object_keeps_its_size),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_protect),
        cmocka_unit_test(test_map_errors),
        cmocka_unit_test(test_walls),
        cmocka_unit_test(test_memory_map),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_forbidden_calls),
        cmocka_unit_test(test_code_stays_code),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_killed_while_busy),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_exits),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_many_starts),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_outlives_its_thread),
        cmocka_unit_test(test_host_does_not_see_it),
        cmocka_unit_test(test_no_orphan),
        cmocka_unit_test(test_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
