/* SPDX-License-Identifier: MIT
 *
 * fsx PATH [OPERATIONS [SEED]]: random operations on one file, and after each of them
 * the file has to be what a copy in memory is: reads and writes, through descriptors
 * and through mappings, truncation both ways, holes, appends, closing and opening
 * again.
 *
 * The idea is that of the program fsx of many test suites; the code is not.
 */
#define _GNU_SOURCE
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIZE_MAX_FILE = 200000, STEP_MAX = 66000 };

static struct {
    const char *path;
    uint64_t seed, random, operation;
    int fd;
    size_t size;
    uint8_t model[SIZE_MAX_FILE];
    uint8_t data[SIZE_MAX_FILE];
} fsx;

static void die(const char *what)
{
    (void)fprintf(stderr, "fsx: operation %llu: %s: %s\n",
                  (unsigned long long)fsx.operation, what, strerror(errno));
    (void)fprintf(stderr, "reproduce: fsx %s %llu 0x%llx\n", fsx.path,
                  (unsigned long long)fsx.operation + 1, (unsigned long long)fsx.seed);
    exit(1);
}

static size_t below(size_t limit)
{
    return limit ? (size_t)(test_random(&fsx.random) % limit) : 0;
}

static void compare(const uint8_t *data, size_t at, size_t size, const char *what)
{
    errno = 0;
    if (size && memcmp(data, fsx.model + at, size) != 0)
        die(what);
}

static void open_file(int flags)
{
    fsx.fd = open(fsx.path, O_RDWR | flags, 0644);
    if (fsx.fd < 0)
        die("open");
}

static void fill(size_t size)
{
    for (size_t i = 0; i < size; i++)
        fsx.data[i] = (uint8_t)test_random(&fsx.random);
}

/* A range; where it begins may lie behind the end. */
static size_t choose(size_t limit, size_t *ret_size)
{
    size_t at = below(limit);
    size_t size = 1 + below(below(4) ? 5000 : STEP_MAX);
    *ret_size = size < limit - at ? size : limit - at;
    return at;
}

static void grow_model(size_t size)
{
    if (size > fsx.size)
        fsx.size = size; /* the model is zero behind its end */
}

static void do_read(void)
{
    size_t size, at = choose(SIZE_MAX_FILE, &size);
    ssize_t got = pread(fsx.fd, fsx.data, size, (off_t)at);
    size_t want = at >= fsx.size ? 0 : size < fsx.size - at ? size : fsx.size - at;
    if (got < 0 || (size_t)got != want)
        die("read: wrong size");
    compare(fsx.data, at, want, "read: wrong bytes");
}

static void do_write(void)
{
    size_t size, at = choose(SIZE_MAX_FILE, &size);
    fill(size);
    if (pwrite(fsx.fd, fsx.data, size, (off_t)at) != (ssize_t)size)
        die("write");
    memcpy(fsx.model + at, fsx.data, size);
    grow_model(at + size);
}

static void do_append(void)
{
    size_t size = 1 + below(3000);
    if (size > SIZE_MAX_FILE - fsx.size)
        return;
    int fd = open(fsx.path, O_WRONLY | O_APPEND);
    fill(size);
    if (fd < 0 || write(fd, fsx.data, size) != (ssize_t)size || close(fd) != 0)
        die("append");
    memcpy(fsx.model + fsx.size, fsx.data, size);
    fsx.size += size;
}

static void do_truncate(void)
{
    size_t size = below(4) ? below(SIZE_MAX_FILE) : below(fsx.size + 1);
    bool by_path = below(2);
    if ((by_path ? truncate(fsx.path, (off_t)size) : ftruncate(fsx.fd, (off_t)size)) !=
        0)
        die("truncate");
    if (size < fsx.size)
        memset(fsx.model + size, 0, fsx.size - size);
    fsx.size = size;
}

static void do_map(bool writes)
{
    if (!fsx.size)
        return;
    size_t size, at = choose(fsx.size, &size);
    size_t page = at & ~(size_t)4095;
    uint8_t *map = mmap(NULL, at - page + size, PROT_READ | (writes ? PROT_WRITE : 0),
                        MAP_SHARED, fsx.fd, (off_t)page);
    if (map == MAP_FAILED)
        die("mmap");
    compare(map + (at - page), at, size, "mapping: wrong bytes");
    if (writes) {
        fill(size);
        memcpy(map + (at - page), fsx.data, size);
        memcpy(fsx.model + at, fsx.data, size);
        if (below(2) && msync(map, at - page + size, MS_SYNC) != 0)
            die("msync");
    }
    if (munmap(map, at - page + size) != 0)
        die("munmap");
}

static void do_reopen(void)
{
    if (close(fsx.fd) != 0)
        die("close");
    open_file(0);
}

static void do_sync(void)
{
    if (fsync(fsx.fd) != 0)
        die("fsync");
    /* What is read next comes from the server. */
    (void)posix_fadvise(fsx.fd, 0, 0, POSIX_FADV_DONTNEED);
}

static void check_size(void)
{
    struct stat stat;
    errno = 0;
    if (fstat(fsx.fd, &stat) != 0 || (size_t)stat.st_size != fsx.size)
        die("wrong size");
}

static void check_all(void)
{
    ssize_t got = pread(fsx.fd, fsx.data, sizeof fsx.data, 0);
    if (got < 0 || (size_t)got != fsx.size)
        die("whole file: wrong size");
    compare(fsx.data, 0, fsx.size, "whole file: wrong bytes");
}

static void step(void)
{
    switch (below(12)) {
    case 0:
    case 1:
    case 2:
        do_read();
        break;
    case 3:
    case 4:
    case 5:
        do_write();
        break;
    case 6:
        do_append();
        break;
    case 7:
        do_truncate();
        break;
    case 8:
        do_map(false);
        break;
    case 9:
        do_map(true);
        break;
    case 10:
        do_reopen();
        break;
    default:
        do_sync();
    }
    check_size();
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 129;
    fsx.path = argv[1];
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 0) : 100000;
    fsx.seed = fsx.random = argc > 3 ? strtoull(argv[3], NULL, 0) : test_seed(1);
    open_file(O_CREAT | O_TRUNC);
    for (; fsx.operation < count; fsx.operation++) {
        step();
        if (fsx.operation % 100 == 99)
            check_all();
    }
    do_reopen();
    check_all();
    (void)printf("fsx: %llu operations on %s\n", (unsigned long long)count, fsx.path);
    return close(fsx.fd) == 0 ? 0 : 1;
}
