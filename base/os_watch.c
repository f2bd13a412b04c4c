/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/os_watch.h"

#include "base/os_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

static const uint32_t names = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;

enum err os_watch_open(int *ret_fd)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0)
        return os_fail();
    *ret_fd = fd;
    return ERR_ok;
}

enum err os_watch_add(int fd, int folder_fd, int *ret_number)
{
    char path[40];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", folder_fd);
    int number =
        inotify_add_watch(fd, path, names | IN_MODIFY | IN_ATTRIB | IN_ONLYDIR);
    if (number < 0) {
        enum err err = os_fail();
        return errno == ENOSPC ? ERR_limit : err;
    }
    *ret_number = number;
    return ERR_ok;
}

void os_watch_remove(int fd, int number)
{
    (void)inotify_rm_watch(fd, number);
}

static unsigned what_of(uint32_t mask)
{
    return (mask & IN_MODIFY ? OS_WATCH_DATA : 0u) |
           (mask & IN_ATTRIB ? OS_WATCH_ATTR : 0u) |
           (mask & names ? OS_WATCH_NAMES : 0u) |
           (mask & IN_IGNORED ? OS_WATCH_ENDED : 0u) |
           (mask & IN_Q_OVERFLOW ? OS_WATCH_LOST : 0u);
}

void os_watch_read(int fd, void (*tell)(void *self, const struct os_watch_event *event),
                   void *self)
{
    _Alignas(struct inotify_event) char bytes[16384];
    ssize_t size;
    while ((size = read(fd, bytes, sizeof bytes)) > 0 || (size < 0 && errno == EINTR)) {
        for (ssize_t at = 0; at < size;) {
            struct inotify_event head;
            memcpy(&head, bytes + at, sizeof head);
            const struct os_watch_event event = {
                .folder = head.wd,
                .what = what_of(head.mask),
                .name = head.len ? bytes + at + sizeof head : ""};
            at += (ssize_t)(sizeof head + head.len);
            if (event.what)
                tell(self, &event);
        }
    }
}
