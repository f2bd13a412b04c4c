/* SPDX-License-Identifier: MIT
 *
 * Memory objects: sealed in size, so that nobody's view of them can be cut off.
 */
#define _GNU_SOURCE
#include "base/os_private.h"
#include "base/os_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Since Linux 6.3; nobody will execute this object. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x8U
#endif

static int object_open(void)
{
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create("lockstep", flags | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("lockstep", flags);
    return fd;
}

enum err os_object_create(size_t size, int *ret_fd)
{
    size_t rounded = os_page_round(size);
    if (!rounded) {
        errno = ENOMEM;
        return os_fail();
    }
    int fd = object_open();
    if (fd < 0)
        return os_fail();
    if (ftruncate(fd, (off_t)rounded) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        enum err err = os_fail();
        (void)close(fd);
        return err;
    }
    *ret_fd = fd;
    return ERR_ok;
}

enum err os_object_size(int fd, uint64_t *ret_size)
{
    struct stat status;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || !(seals & F_SEAL_SHRINK)) {
        errno = EACCES;
        return os_fail();
    }
    if (fstat(fd, &status) != 0)
        return os_fail();
    *ret_size = (uint64_t)status.st_size;
    return ERR_ok;
}

enum err os_object_map(int fd, uint64_t offset, size_t size, void *at, void **ret_data)
{
    int where = at ? MAP_FIXED : 0;
    void *data = mmap(at, size, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_NORESERVE | where, fd, (off_t)offset);
    if (data == MAP_FAILED)
        return os_fail();
    *ret_data = data;
    return ERR_ok;
}

enum err os_object_discard(int fd, uint64_t offset, size_t size)
{
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                     (off_t)size) == 0
               ? ERR_ok
               : os_fail();
}
