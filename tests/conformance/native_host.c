/* SPDX-License-Identifier: MIT
 *
 * tests/conformance/native_host.c - runs a corpus program natively, to compare with.
 *
 * Linked with one program (NATIVE_PROGRAM is its name) into native_NAME:
 *
 *   native_NAME [n [repeats]]   a benchmark: prints "NAME n result", and for each of
 *                               `repeats` further calls "NAME n ns CPU-time"
 *   native_NAME [argument]...   a program with host calls: real stdin, stdout and files
 *                               of the current folder
 *
 * In the environment, LOCKSTEP_FIXED_WORLD=1 gives it the clock and randomness of
 * world.h, LOCKSTEP_RESULT=1 prints "NAME 0 result" in the end.  The host calls are
 * those of pvm/hostcalls.def.
 */
#define _GNU_SOURCE
#include "corpus/pvm/lib/host.h"
#include "tests/conformance/world.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    MOVE_MAX = 1 << 20,
    FD_COUNT = 3 + 64,
    HEAP_SIZE = 16 * 4096,
    PATH_SIZE_MAX = 4096
};
enum { ADD_ONE = 100 /* what the program hostcall calls */ };

/* ---- what the linker defines for a guest ---- */

uint8_t native_heap[HEAP_SIZE] __attribute__((aligned(4096)));
__asm__(".globl __pvm_heap_start\n.set __pvm_heap_start, native_heap\n"
        ".globl __pvm_heap_end\n.set __pvm_heap_end, native_heap + 65536\n");
_Static_assert(HEAP_SIZE == 65536, "the size stands in the assembly, too");

extern const struct pvm_export __start_pvm_exports[], __stop_pvm_exports[];

enum program_kind { KIND_bench, KIND_main };
struct program {
    const char *name;
    enum program_kind kind;
    uint64_t n_test;
};
static const struct program program_list[] = {
#define PROGRAM(name, kind, n_test, n_bench, expected, text)                           \
    {#name, KIND_##kind, n_test},
#include "corpus/pvm/programs.def"
};

/* ---- the host ---- */

static int fd_of[FD_COUNT] = {0, 1, 2};
static unsigned fd_used = 7; /* of the first three */
static bool fixed_world;
static struct world world;
static struct timespec run_start;
static int probe[2];
static uint8_t args[1 << 16];
static uint64_t args_used;

static int64_t error_of(int number)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        return -HOST_ERR_noent;
    case EACCES:
    case EPERM:
    case EXDEV:
    case ELOOP:
    case EROFS:
        return -HOST_ERR_access;
    case EINVAL:
    case ESPIPE:
    case EISDIR:
    case ENAMETOOLONG:
        return -HOST_ERR_inval;
    default:
        return -HOST_ERR_io;
    }
}

/* Ask the kernel, page by page, whether the program could read (write) these bytes. */
static bool accessible(uint64_t address, uint64_t size, bool write_too)
{
    for (uint64_t done = 0; done < size;) {
        void *at = (void *)(uintptr_t)(address + done);
        if (write(probe[1], at, 1) != 1)
            return false;
        uint8_t byte;
        if (read(probe[0], write_too ? at : &byte, 1) != 1) {
            if (read(probe[0], &byte, 1) != 1)
                abort();
            return false;
        }
        uint64_t page_rest = 4096 - ((address + done) & 4095);
        done += size - done < page_rest ? size - done : page_rest;
    }
    return size == 0 || address + size > address;
}

static bool fd_open(uint64_t fd)
{
    return fd < FD_COUNT && (fd < 3 ? (fd_used >> fd & 1) : fd_of[fd] != 0);
}

static int64_t host_move(uint64_t fd, uint64_t address, uint64_t size, bool in)
{
    if (size > MOVE_MAX)
        size = MOVE_MAX;
    if (!accessible(address, size, in))
        return -HOST_ERR_fault;
    if (!fd_open(fd) || (fd < 3 && in != (fd == 0)))
        return -HOST_ERR_badf;
    void *at = (void *)(uintptr_t)address;
    ssize_t n = in ? read(fd_of[fd], at, size) : write(fd_of[fd], at, size);
    if (n < 0)
        return errno == EBADF ? -HOST_ERR_badf : error_of(errno);
    return n;
}

/* Only below the current folder, as `--dir .` would have it. */
static int64_t host_open_beneath(uint64_t address, uint64_t size, uint64_t flags)
{
    static const uint64_t mode[3] = {O_RDONLY, O_RDWR | O_CREAT | O_TRUNC, O_RDWR};
    char path[PATH_SIZE_MAX];
    if (flags > 2 || size == 0 || size >= sizeof path)
        return -HOST_ERR_inval;
    if (!accessible(address, size, false))
        return -HOST_ERR_fault;
    memcpy(path, (const void *)(uintptr_t)address, size);
    path[size] = 0;
    if (strlen(path) != size)
        return -HOST_ERR_inval;
    unsigned fd = 3;
    while (fd < FD_COUNT && fd_of[fd] != 0)
        fd++;
    if (fd == FD_COUNT)
        return -HOST_ERR_mfile;
    struct open_how how = {.flags = mode[flags] | O_CLOEXEC,
                           .mode = flags == 1 ? 0666 : 0,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    long file = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
    struct stat stat;
    if (file < 0)
        return error_of(errno);
    if (fstat((int)file, &stat) != 0 || !S_ISREG(stat.st_mode)) {
        close((int)file);
        return -HOST_ERR_access;
    }
    fd_of[fd] = (int)file;
    return fd;
}

static int64_t host_close_fd(uint64_t fd)
{
    if (!fd_open(fd))
        return -HOST_ERR_badf;
    if (fd < 3) {
        fd_used &= ~(1u << fd);
        return 0;
    }
    close(fd_of[fd]);
    fd_of[fd] = 0;
    return 0;
}

static int64_t host_seek_fd(uint64_t fd, int64_t offset, uint64_t whence)
{
    static const int how[3] = {SEEK_SET, SEEK_CUR, SEEK_END};
    if (whence > 2)
        return -HOST_ERR_inval;
    if (fd < 3 || !fd_open(fd))
        return -HOST_ERR_badf;
    off_t position = lseek(fd_of[fd], offset, how[whence]);
    return position < 0 ? error_of(errno) : position;
}

static int64_t host_now(uint64_t id)
{
    struct timespec now;
    if (id > 1)
        return -HOST_ERR_inval;
    if (fixed_world)
        return (int64_t)world_clock(&world, id);
    clock_gettime(id == 0 ? CLOCK_REALTIME : CLOCK_MONOTONIC, &now);
    int64_t ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    return id == 0 ? ns
                   : ns - (int64_t)run_start.tv_sec * 1000000000 - run_start.tv_nsec;
}

static int64_t host_random_bytes(uint64_t address, uint64_t size)
{
    if (size > MOVE_MAX)
        size = MOVE_MAX;
    if (!accessible(address, size, true))
        return -HOST_ERR_fault;
    uint8_t *at = (uint8_t *)(uintptr_t)address;
    if (fixed_world) {
        world_random(&world, at, size);
        return (int64_t)size;
    }
    ssize_t n = getrandom(at, size, 0);
    return n < 0 ? -HOST_ERR_io : n;
}

static int64_t host_put_args(uint64_t address, uint64_t size)
{
    if (size < args_used)
        return -HOST_ERR_range;
    if (!accessible(address, args_used, true))
        return -HOST_ERR_fault;
    if (args_used > 0)
        memcpy((void *)(uintptr_t)address, args, args_used);
    return (int64_t)args_used;
}

/* End with `status`.  Whoever compares asks for the result to be printed, too. */
static _Noreturn void finish(uint64_t result, int status)
{
    if (getenv("LOCKSTEP_RESULT") != NULL)
        printf("%s 0 %" PRIu64 "\n", NATIVE_PROGRAM, result);
    exit(status);
}

struct pvm_answer pvm_native_ecall(const uint64_t call[7])
{
    const uint64_t *x = call + 1;
    int64_t answer = -HOST_ERR_nosys;
    switch (call[0]) {
    case HOST_exit:
        finish((uint32_t)x[0], (int)(uint32_t)x[0]);
    case HOST_args_size:
        answer = (int64_t)args_used;
        break;
    case HOST_args:
        answer = host_put_args(x[0], x[1]);
        break;
    case HOST_read:
    case HOST_write:
        answer = host_move(x[0], x[1], x[2], call[0] == HOST_read);
        break;
    case HOST_open:
        answer = host_open_beneath(x[0], x[1], x[2]);
        break;
    case HOST_close:
        answer = host_close_fd(x[0]);
        break;
    case HOST_seek:
        answer = host_seek_fd(x[0], (int64_t)x[1], x[2]);
        break;
    case HOST_clock:
        answer = host_now(x[0]);
        break;
    case HOST_random:
        answer = host_random_bytes(x[0], x[1]);
        break;
    case ADD_ONE:
        answer = (int64_t)(x[0] + 1);
        break;
    default:
        break;
    }
    return (struct pvm_answer){(uint64_t)answer, x[1]};
}

/* ---- running ---- */

static const struct pvm_export *export_0(void)
{
    const struct pvm_export *e = __start_pvm_exports;
    while (e != __stop_pvm_exports && e->number != 0)
        e++;
    if (e == __stop_pvm_exports) {
        fprintf(stderr, "native_%s: no export 0\n", NATIVE_PROGRAM);
        exit(125);
    }
    return e;
}

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int run_bench(const struct program *program, int argc, char **argv)
{
    uint64_t (*bench)(uint64_t) = (uint64_t(*)(uint64_t))export_0()->function;
    uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 0) : program->n_test;
    uint64_t repeats = argc > 2 ? strtoull(argv[2], NULL, 0) : 0;
    uint64_t result = bench(n);
    printf("%s %" PRIu64 " %" PRIu64 "\n", program->name, n, result);
    for (uint64_t i = 0; i < repeats; i++) {
        uint64_t start = cpu_ns();
        uint64_t again = bench(n);
        uint64_t end = cpu_ns();
        if (again != result) {
            fprintf(stderr, "native_%s: another result: %" PRIu64 "\n", program->name,
                    again);
            return 1;
        }
        printf("%s %" PRIu64 " ns %" PRIu64 "\n", program->name, n, end - start);
    }
    return 0;
}

static _Noreturn void run_main(int argc, char **argv)
{
    uint64_t (*main_)(void) = (uint64_t(*)(void))export_0()->function;
    for (int i = 1; i < argc; i++) {
        size_t size = strlen(argv[i]) + 1;
        if (size > sizeof args - args_used) {
            fprintf(stderr, "native_%s: too many arguments\n", NATIVE_PROGRAM);
            exit(125);
        }
        memcpy(args + args_used, argv[i], size);
        args_used += size;
    }
    finish(main_(), 0);
}

int main(int argc, char **argv)
{
    fixed_world = getenv("LOCKSTEP_FIXED_WORLD") != NULL;
    clock_gettime(CLOCK_MONOTONIC, &run_start);
    if (pipe(probe) != 0)
        return 125;
    for (size_t i = 0; i < sizeof program_list / sizeof program_list[0]; i++) {
        const struct program *program = &program_list[i];
        if (strcmp(program->name, NATIVE_PROGRAM) != 0)
            continue;
        if (program->kind == KIND_bench)
            return run_bench(program, argc, argv);
        run_main(argc, argv);
    }
    fprintf(stderr, "native_%s: not in programs.def\n", NATIVE_PROGRAM);
    return 125;
}
