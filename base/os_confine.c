/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/os_confine.h"

#include "base/os.h"
#include "base/os_private.h"

#include <errno.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define LEAK_CHECKED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAK_CHECKED 1
#endif
#endif

#ifdef LEAK_CHECKED
#include <sanitizer/lsan_interface.h>
#else
#define __lsan_do_leak_check() (void)0
#endif

/* Numbers and layouts of <linux/landlock.h>, which older systems have in part. */
enum {
    CREATE_RULESET = 444,
    ADD_RULE = 445,
    RESTRICT_SELF = 446,
    GET_VERSION = 1,
    RULE_PATH_BENEATH = 1,
    VERSION_REFER = 2,
    VERSION_TRUNCATE = 3,
};
enum {
    EXECUTE = 1 << 0,
    MAKE_CHAR = 1 << 6,
    MAKE_SOCK = 1 << 9,
    MAKE_FIFO = 1 << 10,
    MAKE_BLOCK = 1 << 11,
    UP_TO_REFER = (1 << 14) - 1,
    TRUNCATE = 1 << 14,
};

struct ruleset {
    uint64_t handled;
};

struct path_beneath {
    uint64_t allowed;
    int32_t folder;
} __attribute__((packed));

static enum err add_folders(int ruleset, uint64_t allowed, const int *folders,
                            size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct path_beneath rule = {.allowed = allowed, .folder = folders[i]};
        if (syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0) != 0)
            return os_fail();
    }
    return ERR_ok;
}

static long landlock_version(void)
{
    return syscall(CREATE_RULESET, NULL, 0, GET_VERSION);
}

bool os_confine_available(void)
{
    return landlock_version() >= VERSION_REFER;
}

enum err os_confine_files(const int *folders, size_t count)
{
    const uint64_t never = EXECUTE | MAKE_CHAR | MAKE_SOCK | MAKE_FIFO | MAKE_BLOCK;
    long version = landlock_version();
    if (version < VERSION_REFER)
        return ERR_unsupported;
    const struct ruleset rules = {
        .handled = UP_TO_REFER | (version >= VERSION_TRUNCATE ? TRUNCATE : 0u)};
    int ruleset = (int)syscall(CREATE_RULESET, &rules, sizeof rules, 0);
    if (ruleset < 0)
        return ERR_unsupported;
    __lsan_do_leak_check(); /* of sanitized builds; at the end it would need /proc */
    enum err err = add_folders(ruleset, rules.handled & ~never, folders, count);
    if (!err && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
                 syscall(RESTRICT_SELF, ruleset, 0) != 0))
        err = os_fail();
    os_close(ruleset);
    return err;
}
