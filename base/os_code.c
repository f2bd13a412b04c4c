/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/os_code.h"

#include "base/os.h"
#include "base/os_private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __x86_64__
#include <asm/prctl.h>
#include <cpuid.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#endif

/* Since Linux 6.3: a system that refuses executable objects by default wants to be told
 * that this one is meant; older systems do not know the flag. */
#ifndef MFD_EXEC
#define MFD_EXEC 0x10U
#endif

/* Since Linux 5.14. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#ifndef MAP_32BIT
#define MAP_32BIT 0
#endif

/* ---- the CPU ---- */

#ifdef __x86_64__

enum { HWCAP2_FSGSBASE_BIT = 2 }; /* the kernel has set CR4.FSGSBASE */

/* BMI and ADX work on general registers, so they need no extended state of the system,
 * VEX prefix or not (SDM 2A, exception class 13); FSGSBASE needs its consent. */
static unsigned ask_cpu(void)
{
    unsigned a, b, c, d, features = 0;
    if (__get_cpuid(1, &a, &b, &c, &d))
        features |= c & bit_POPCNT ? OS_CPU_POPCNT : 0u;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        features |= b & bit_BMI ? OS_CPU_BMI1 : 0u;
        features |= b & bit_BMI2 ? OS_CPU_BMI2 : 0u;
        features |= b & bit_ADX ? OS_CPU_ADX : 0u;
    }
    if (__get_cpuid(0x80000001, &a, &b, &c, &d))
        features |= c & bit_LZCNT ? OS_CPU_LZCNT : 0u;
    if (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT)
        features |= OS_CPU_FSGSBASE;
    return features;
}

unsigned os_cpu_features(void)
{
    /* cpuid traps in a virtual machine, which takes as long as a small compile.  Every
     * thread would write the same value. */
    enum { KNOWN = 1 << 30 };
    static unsigned cached;
    unsigned features = __atomic_load_n(&cached, __ATOMIC_RELAXED);
    if (!features) {
        features = ask_cpu() | KNOWN;
        __atomic_store_n(&cached, features, __ATOMIC_RELAXED);
    }
    return features & ~(unsigned)KNOWN;
}

static bool has_fsgsbase(void)
{
    /* -1 unknown; every thread would write the same value. */
    static int cached = -1;
    int known = __atomic_load_n(&cached, __ATOMIC_RELAXED);
    if (known < 0) {
        known = (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT) != 0;
        __atomic_store_n(&cached, known, __ATOMIC_RELAXED);
    }
    return known != 0;
}

void os_gs_base_set(void *base)
{
    if (has_fsgsbase())
        __asm__ volatile("wrgsbase %0" : : "r"(base) : "memory");
    else
        check(syscall(SYS_arch_prctl, ARCH_SET_GS, base) == 0);
}

void *os_gs_base_get(void)
{
    void *base;
    if (has_fsgsbase())
        __asm__ volatile("rdgsbase %0" : "=r"(base));
    else
        check(syscall(SYS_arch_prctl, ARCH_GET_GS, &base) == 0);
    return base;
}

#else

unsigned os_cpu_features(void)
{
    return 0;
}

void os_gs_base_set(void *base)
{
    check(!base); /* there is no gs, so there is no native code to set it for */
}

void *os_gs_base_get(void)
{
    return NULL;
}

#endif

/* ---- memory ---- */

size_t os_page_round(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

enum err os_protect(void *start, size_t size, enum os_protection protection)
{
    static const int host_protection[] = {
        [OS_PROTECT_NONE] = PROT_NONE,
        [OS_PROTECT_R] = PROT_READ,
        [OS_PROTECT_RW] = PROT_READ | PROT_WRITE,
    };
    return mprotect(start, size, host_protection[protection]) == 0 ? ERR_ok : os_fail();
}

void os_populate(void *start, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t before = (uintptr_t)start % page;
    (void)madvise((uint8_t *)start - before, os_page_round(before + size),
                  MADV_POPULATE_WRITE);
}

static int object_create(size_t size)
{
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create("lockstep-code", flags | MFD_EXEC);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("lockstep-code", flags);
    if (fd >= 0 && ftruncate(fd, (off_t)size) != 0) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

enum err os_code_create(size_t size, bool shared, struct os_code *ret_code)
{
    struct os_code code = {.size = os_page_round(size), .fd = -1};
    if (!code.size || code.size > (size_t)1 << 31) {
        errno = ENOMEM;
        return os_fail();
    }
    if (shared && (code.fd = object_create(code.size)) < 0)
        return os_fail();
    int kind = shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    void *data = mmap(NULL, code.size, PROT_READ | PROT_WRITE,
                      kind | MAP_NORESERVE | MAP_32BIT, code.fd, 0);
    if (data == MAP_FAILED) {
        enum err err = os_fail();
        if (shared)
            (void)close(code.fd);
        return err;
    }
    if (shared) /* no business of other workers */
        (void)madvise(data, code.size, MADV_DONTFORK);
    code.data = data;
    *ret_code = code;
    return ERR_ok;
}

/* Seal against writing.  A process that another thread has just forked may still have a
 * copy of a writable view; it is a worker, which drops that at once, so wait. */
static bool seal_writes(int fd)
{
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
    for (unsigned tries = 0; tries < 2000; tries++) {
        if (fcntl(fd, F_ADD_SEALS, seals) == 0)
            return true;
        if (errno != EBUSY)
            return false;
        os_sleep_ns(1000000);
    }
    return false;
}

/* The object is sealed against writing, which wants all writable views gone; its
 * addresses stay reserved meanwhile. */
static enum err seal_shared(struct os_code *code)
{
    if (mmap(code->data, code->size, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
             0) == MAP_FAILED ||
        ftruncate(code->fd, (off_t)code->size) != 0 || !seal_writes(code->fd) ||
        mmap(code->data, code->size, PROT_READ, MAP_SHARED | MAP_FIXED, code->fd, 0) ==
            MAP_FAILED)
        return os_fail();
    return ERR_ok;
}

enum err os_code_seal(struct os_code *code, size_t size_used)
{
    size_t used = os_page_round(size_used ? size_used : 1);
    check(used <= code->size);
    if (used < code->size)
        check(munmap(code->data + used, code->size - used) == 0);
    code->size = used;
    if (code->fd >= 0)
        return seal_shared(code);
    return mprotect(code->data, used, PROT_READ | PROT_EXEC) == 0 ? ERR_ok : os_fail();
}

static enum err protect_front(const struct os_code *code, size_t size_used, int how)
{
    size_t used = os_page_round(size_used ? size_used : 1);
    check(code->fd < 0 && used <= code->size);
    return mprotect(code->data, used, how) == 0 ? ERR_ok : os_fail();
}

enum err os_code_seal_front(const struct os_code *code, size_t size_used)
{
    return protect_front(code, size_used, PROT_READ | PROT_EXEC);
}

enum err os_code_reopen(const struct os_code *code, size_t size_used)
{
    return protect_front(code, size_used, PROT_READ | PROT_WRITE);
}

void os_code_free(struct os_code *code)
{
    if (code->data) {
        (void)munmap(code->data, code->size);
        if (code->fd >= 0)
            (void)close(code->fd);
    }
    *code = (struct os_code){.fd = -1};
}
