/* SPDX-License-Identifier: MIT
 *
 * fsx - random reads, writes, truncations and mappings of one file, against a copy in
 * memory.  For Linux on i386, without a C library: see corpus/linux/build.sh.
 *
 * usage: fsx FILE OPERATIONS SEED [nomap]
 *
 * Exit status 0: all bytes were right.  The last operations are printed before the
 * first wrong byte.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- the kernel ---- */

enum {
    NR_exit = 1,
    NR_write = 4,
    NR_open = 5,
    NR_close = 6,
    NR_unlink = 10,
    NR_munmap = 91,
    NR_fsync = 118,
    NR_msync = 144,
    NR_pread64 = 180,
    NR_pwrite64 = 181,
    NR_mmap2 = 192,
    NR_ftruncate64 = 194,
    NR_fstat64 = 197,
};
enum { O_RDWR = 2, O_CREAT = 0100, O_TRUNC = 01000 };
enum { PROT_READ = 1, PROT_WRITE = 2, MAP_SHARED = 1, MS_SYNC = 4 };

/* Six arguments take %ebp, which C does not give away. */
long kernel(long number, long a, long b, long c, long d, long e, long f);
__asm__(".text\n"
        ".globl kernel\n"
        "kernel:\n"
        "    push %ebx\n    push %esi\n    push %edi\n    push %ebp\n"
        "    mov 20(%esp), %eax\n    mov 24(%esp), %ebx\n    mov 28(%esp), %ecx\n"
        "    mov 32(%esp), %edx\n    mov 36(%esp), %esi\n    mov 40(%esp), %edi\n"
        "    mov 44(%esp), %ebp\n"
        "    int $0x80\n"
        "    pop %ebp\n    pop %edi\n    pop %esi\n    pop %ebx\n"
        "    ret\n"
        ".globl _start\n"
        "_start:\n"
        "    mov %esp, %eax\n"
        "    push %eax\n"
        "    call start\n");

#define K1(n, a) kernel(n, (long)(a), 0, 0, 0, 0, 0)
#define K3(n, a, b, c) kernel(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define K5(n, a, b, c, d, e)                                                           \
    kernel(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

/* What compilers call. */
void *memset(void *to, int byte, size_t size);
void *memset(void *to, int byte, size_t size)
{
    for (uint8_t *at = to; size--;)
        *at++ = (uint8_t)byte;
    return to;
}

void *memcpy(void *to, const void *from, size_t size);
void *memcpy(void *to, const void *from, size_t size)
{
    const uint8_t *source = from;
    for (uint8_t *at = to; size--;)
        *at++ = *source++;
    return to;
}

/* ---- talking ---- */

static void say(const char *text)
{
    size_t size = 0;
    while (text[size])
        size++;
    (void)K3(NR_write, 1, text, size);
}

static void say_number(uint32_t value)
{
    char text[12];
    char *at = text + sizeof text;
    *--at = 0;
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    say(at);
}

__attribute__((noreturn)) static void leave(int status)
{
    for (;;)
        (void)K1(NR_exit, status);
}

/* ---- the file and its copy ---- */

enum { FILE_MAX = 200000, PIECE_MAX = 60000, PAGE = 4096, LOG_SIZE = 20 };

static uint8_t copy[FILE_MAX], piece[PIECE_MAX];
static uint32_t size_now;
static int fd;
static const char *path;
static uint32_t state;

static uint32_t random_below(uint32_t limit)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % limit;
}

enum operation {
    READ,
    WRITE,
    TRUNCATE,
    MAP_READ,
    MAP_WRITE,
    REOPEN,
    SYNC,
    OPERATION_COUNT
};
static const char *const names[] = {"read",      "write",  "truncate", "map read",
                                    "map write", "reopen", "fsync"};

static struct {
    enum operation operation;
    uint32_t offset, size;
} history[LOG_SIZE];
static uint32_t done;

static void note(enum operation operation, uint32_t offset, uint32_t size)
{
    history[done % LOG_SIZE].operation = operation;
    history[done % LOG_SIZE].offset = offset;
    history[done % LOG_SIZE].size = size;
    done++;
}

__attribute__((noreturn)) static void fail(const char *what, uint32_t value)
{
    for (uint32_t i = done > LOG_SIZE ? done - LOG_SIZE : 0; i < done; i++) {
        say_number(i);
        say(": ");
        say(names[history[i % LOG_SIZE].operation]);
        say(" at ");
        say_number(history[i % LOG_SIZE].offset);
        say(" size ");
        say_number(history[i % LOG_SIZE].size);
        say("\n");
    }
    say("fsx: ");
    say(what);
    say(" ");
    say_number(value);
    say("\n");
    leave(1);
}

static void compare(const uint8_t *got, uint32_t offset, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) {
        if (got[i] != copy[offset + i])
            fail("a wrong byte at", offset + i);
    }
}

static void check_size(void)
{
    uint32_t stat[24]; /* struct stat64: st_size at 44 */
    if (K3(NR_fstat64, fd, stat, 0) != 0)
        fail("fstat fails after", done);
    if (stat[11] != size_now || stat[12])
        fail("the size should be", size_now);
}

/* A piece within the file; false if the file is empty. */
static bool some_piece(uint32_t *offset, uint32_t *size)
{
    if (!size_now)
        return false;
    *offset = random_below(size_now);
    uint32_t most = size_now - *offset;
    *size = 1 + random_below(most < PIECE_MAX ? most : PIECE_MAX);
    return true;
}

/* A piece that may make the file longer: a hole before it reads as zeros. */
static void some_room(uint32_t *offset, uint32_t *size)
{
    *offset = random_below(FILE_MAX);
    uint32_t most = FILE_MAX - *offset;
    *size = 1 + random_below(most < PIECE_MAX ? most : PIECE_MAX);
}

static void fill(uint8_t *to, uint32_t size)
{
    uint8_t byte = (uint8_t)(1 + random_below(255));
    for (uint32_t i = 0; i < size; i++)
        to[i] = (uint8_t)(byte + i);
}

static void grow(uint32_t size)
{
    if (size > size_now) {
        memset(copy + size_now, 0, size - size_now);
        size_now = size;
    }
}

/* ---- operations ---- */

static void do_read(void)
{
    uint32_t offset, size;
    if (!some_piece(&offset, &size))
        return;
    note(READ, offset, size);
    long got = K5(NR_pread64, fd, piece, size, offset, 0);
    if (got != (long)size)
        fail("a short read of", (uint32_t)got);
    compare(piece, offset, size);
}

static void do_write(void)
{
    uint32_t offset, size;
    some_room(&offset, &size);
    note(WRITE, offset, size);
    fill(piece, size);
    if (K5(NR_pwrite64, fd, piece, size, offset, 0) != (long)size)
        fail("a short write of", size);
    grow(offset + size);
    memcpy(copy + offset, piece, size);
}

static void do_truncate(void)
{
    uint32_t size = random_below(FILE_MAX);
    note(TRUNCATE, 0, size);
    if (K3(NR_ftruncate64, fd, size, 0) != 0)
        fail("ftruncate fails to", size);
    grow(size);
    size_now = size;
}

/* The pages of a piece; answers where they are mapped. */
static uint8_t *map(uint32_t offset, uint32_t size, int protection, uint32_t *ret_size)
{
    uint32_t start = offset / PAGE;
    *ret_size = offset + size - start * PAGE;
    long at =
        kernel(NR_mmap2, 0, (long)*ret_size, protection, MAP_SHARED, fd, (long)start);
    if (at < 0 && at > -4096)
        fail("mmap fails:", (uint32_t)-at);
    return (uint8_t *)at;
}

static void do_map_read(void)
{
    uint32_t offset, size, mapped;
    if (!some_piece(&offset, &size))
        return;
    note(MAP_READ, offset, size);
    uint8_t *at = map(offset, size, PROT_READ, &mapped);
    compare(at + offset % PAGE, offset, size);
    (void)K3(NR_munmap, at, mapped, 0);
}

static void do_map_write(void)
{
    uint32_t offset, size, mapped;
    some_room(&offset, &size);
    note(MAP_WRITE, offset, size);
    if (offset + size > size_now) {
        if (K3(NR_ftruncate64, fd, offset + size, 0) != 0)
            fail("ftruncate fails to", offset + size);
        grow(offset + size);
    }
    uint8_t *at = map(offset, size, PROT_READ | PROT_WRITE, &mapped);
    fill(at + offset % PAGE, size);
    memcpy(copy + offset, at + offset % PAGE, size);
    if (random_below(2) && K3(NR_msync, at, mapped, MS_SYNC) != 0)
        fail("msync fails of", mapped);
    (void)K3(NR_munmap, at, mapped, 0);
}

static void do_reopen(void)
{
    note(REOPEN, 0, 0);
    if (K1(NR_close, fd) != 0)
        fail("close fails after", done);
    fd = (int)K3(NR_open, path, O_RDWR, 0);
    if (fd < 0)
        fail("open fails:", (uint32_t)-fd);
}

static void do_sync(void)
{
    note(SYNC, 0, 0);
    if (K1(NR_fsync, fd) != 0)
        fail("fsync fails after", done);
}

static void operate(bool maps)
{
    static void (*const operations[OPERATION_COUNT])(void) = {
        [READ] = do_read,         [WRITE] = do_write,         [TRUNCATE] = do_truncate,
        [MAP_READ] = do_map_read, [MAP_WRITE] = do_map_write, [REOPEN] = do_reopen,
        [SYNC] = do_sync,
    };
    /* Of 32: reads and writes are most of it. */
    static const uint8_t choice[] = {READ,     READ,      READ,      WRITE,
                                     WRITE,    WRITE,     TRUNCATE,  MAP_READ,
                                     MAP_READ, MAP_WRITE, MAP_WRITE, READ};
    uint32_t at = random_below(40);
    enum operation operation = at < 36   ? choice[at % sizeof choice]
                               : at < 38 ? REOPEN
                                         : SYNC;
    if (!maps && operation == MAP_READ)
        operation = READ;
    if (!maps && operation == MAP_WRITE)
        operation = WRITE;
    operations[operation]();
    check_size();
}

static uint32_t number(const char *text)
{
    uint32_t value = 0;
    while (*text >= '0' && *text <= '9')
        value = value * 10 + (uint32_t)(*text++ - '0');
    return value;
}

/* The stack as the kernel leaves it: argc, argv. */
__attribute__((noreturn, used)) void start(const long *stack);
void start(const long *stack)
{
    const char *const *argv = (const char *const *)(stack + 1);
    if (stack[0] < 4) {
        say("usage: fsx FILE OPERATIONS SEED [nomap]\n");
        leave(2);
    }
    path = argv[1];
    uint32_t count = number(argv[2]);
    state = number(argv[3]) * 2654435769u | 1;
    fd = (int)K3(NR_open, path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (fd < 0)
        fail("open fails:", (uint32_t)-fd);
    for (uint32_t i = 0; i < count; i++)
        operate(stack[0] < 5);
    (void)K1(NR_close, fd);
    (void)K1(NR_unlink, path);
    say("fsx: ");
    say_number(count);
    say(" operations, all bytes right\n");
    leave(0);
}
