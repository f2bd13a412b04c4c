/* SPDX-License-Identifier: MIT
 *
 * The system calls of a worker, by phase, and of a process (base/os_process.h).
 * Everything else ends them at once.
 */
#define _GNU_SOURCE
#include "base/os_private.h"
#include "base/os_worker_private.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <seccomp.h>
#include <string.h>
#include <unistd.h>

enum { SETUP_ONLY = 1 << WORKER_SETUP, ALWAYS = SETUP_ONLY | 1 << WORKER_LOCKED };

struct rule {
    int number;
    unsigned phases;
    unsigned arg_count;
    struct scmp_arg_cmp args[2];
};

#define EQ(index, value)                                                               \
    {                                                                                  \
        (index), SCMP_CMP_EQ, (value), 0                                               \
    }

/* Exact values, so that no other bit of an argument can be set. */
static const struct rule rules[] = {
    {SCMP_SYS(futex), ALWAYS, 1, {EQ(1, FUTEX_WAIT)}},
    {SCMP_SYS(futex), ALWAYS, 1, {EQ(1, FUTEX_WAKE)}},
    {SCMP_SYS(mprotect), ALWAYS, 1, {EQ(2, PROT_NONE)}},
    {SCMP_SYS(mprotect), ALWAYS, 1, {EQ(2, PROT_READ)}},
    {SCMP_SYS(mprotect), ALWAYS, 1, {EQ(2, PROT_READ | PROT_WRITE)}},
    {SCMP_SYS(rt_sigreturn), ALWAYS, 0, {{0}}},
    {SCMP_SYS(exit_group), ALWAYS, 0, {{0}}},
    /* Where the CPU or the system lacks FSGSBASE: gs base by call. */
    {SCMP_SYS(arch_prctl), ALWAYS, 1, {EQ(0, 0x1001 /* ARCH_SET_GS */)}},
    /* Mapping an object: it comes through the channel, is mapped and closed. */
    {SCMP_SYS(recvmsg), SETUP_ONLY, 1, {EQ(0, WORKER_CHANNEL)}},
    {SCMP_SYS(mmap), SETUP_ONLY, 2, {EQ(2, PROT_NONE), EQ(3, WORKER_MAP_FLAGS)}},
    {SCMP_SYS(mmap), SETUP_ONLY, 2, {EQ(2, PROT_READ), EQ(3, WORKER_MAP_FLAGS)}},
    {SCMP_SYS(mmap),
     SETUP_ONLY,
     2,
     {EQ(2, PROT_READ | PROT_WRITE), EQ(3, WORKER_MAP_FLAGS)}},
    {SCMP_SYS(mmap),
     SETUP_ONLY,
     2,
     {EQ(2, PROT_READ | PROT_EXEC), EQ(3, WORKER_MAP_FLAGS)}},
    {SCMP_SYS(close), SETUP_ONLY, 1, {EQ(0, WORKER_OBJECT)}},
    {SCMP_SYS(munmap), SETUP_ONLY, 0, {{0}}},
    /* Going on to the next phase. */
    {SCMP_SYS(seccomp), SETUP_ONLY, 1, {EQ(0, SECCOMP_SET_MODE_FILTER)}},
};

/* libseccomp writes a program to a descriptor only. */
static bool export_program(scmp_filter_ctx context, struct worker_filter *filter)
{
    int fd = memfd_create("lockstep-filter", MFD_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t size = -1;
    if (seccomp_export_bpf(context, fd) == 0)
        size = pread(fd, filter->code, sizeof filter->code, 0);
    char more;
    bool whole = size > 0 && pread(fd, &more, 1, size) == 0;
    (void)close(fd);
    filter->size = whole ? (uint32_t)((size_t)size / sizeof filter->code[0]) : 0;
    return whole;
}

static bool add_rule(scmp_filter_ctx context, const struct rule *rule)
{
    return seccomp_rule_add_array(context, SCMP_ACT_ALLOW, rule->number,
                                  rule->arg_count, rule->args) == 0;
}

static bool build(enum worker_phase phase, struct worker_filter *filter)
{
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_KILL_PROCESS);
    bool good = context != NULL;
    for (size_t i = 0; i < countof(rules) && good; i++) {
        if (rules[i].phases & 1u << phase)
            good = add_rule(context, &rules[i]);
    }
    good = good && export_program(context, filter);
    seccomp_release(context);
    return good;
}

static struct worker_filter filters[WORKER_PHASE_COUNT];
static bool filters_good;

static void build_all(void)
{
    filters_good =
        build(WORKER_SETUP, &filters[0]) && build(WORKER_LOCKED, &filters[1]);
}

enum err os_worker_filters(const struct worker_filter **ret_filters)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, build_all);
    if (!filters_good)
        return ERR_nomem;
    *ret_filters = filters;
    return ERR_ok;
}

/* ---- a process with memory and libraries of its own ---- */

#define STREAM 0

/* Memory is never writable and executable at once.  No descriptor is ever opened. */
static const struct rule process_rules[] = {
    {SCMP_SYS(read), 0, 1, {EQ(0, STREAM)}},
    {SCMP_SYS(write), 0, 1, {EQ(0, STREAM)}},
    {SCMP_SYS(recvmsg), 0, 1, {EQ(0, STREAM)}},
    {SCMP_SYS(sendmsg), 0, 1, {EQ(0, STREAM)}},
    {SCMP_SYS(mmap), 0, 1, {EQ(2, PROT_NONE)}},
    {SCMP_SYS(mmap), 0, 1, {EQ(2, PROT_READ)}},
    {SCMP_SYS(mmap), 0, 1, {EQ(2, PROT_READ | PROT_WRITE)}},
    {SCMP_SYS(mprotect), 0, 1, {EQ(2, PROT_NONE)}},
    {SCMP_SYS(mprotect), 0, 1, {EQ(2, PROT_READ)}},
    {SCMP_SYS(mprotect), 0, 1, {EQ(2, PROT_READ | PROT_WRITE)}},
    {SCMP_SYS(mprotect), 0, 1, {EQ(2, PROT_READ | PROT_EXEC)}},
    {SCMP_SYS(munmap), 0, 0, {{0}}},
    {SCMP_SYS(madvise), 0, 0, {{0}}},
    {SCMP_SYS(brk), 0, 0, {{0}}},
    {SCMP_SYS(futex), 0, 0, {{0}}},
    {SCMP_SYS(sigaltstack), 0, 0, {{0}}},
    {SCMP_SYS(rt_sigaction), 0, 0, {{0}}},
    {SCMP_SYS(rt_sigprocmask), 0, 0, {{0}}},
    {SCMP_SYS(rt_sigreturn), 0, 0, {{0}}},
    {SCMP_SYS(close), 0, 0, {{0}}},
    {SCMP_SYS(exit_group), 0, 0, {{0}}},
    {SCMP_SYS(arch_prctl), 0, 1, {EQ(0, 0x1001 /* ARCH_SET_GS */)}},
    {SCMP_SYS(arch_prctl), 0, 1, {EQ(0, 0x1004 /* ARCH_GET_GS */)}},
};

static struct worker_filter process_filter;
static bool process_filter_good;

/* The allocator tries mremap() first, and does without where there is none. */
static void build_process(void)
{
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_KILL_PROCESS);
    bool good = context != NULL;
    for (size_t i = 0; i < countof(process_rules) && good; i++)
        good = add_rule(context, &process_rules[i]);
    good = good &&
           seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(mremap), 0) == 0;
    process_filter_good = good && export_program(context, &process_filter);
    seccomp_release(context);
}

enum err os_process_filter(const struct worker_filter **ret_filter)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, build_process);
    if (!process_filter_good)
        return ERR_nomem;
    *ret_filter = &process_filter;
    return ERR_ok;
}
