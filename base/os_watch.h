/* SPDX-License-Identifier: MIT
 *
 * base/os_watch.h - being told of what happens in folders (inotify).
 *
 * The system keeps events in a queue of its own, of limited size: what is not read in
 * time is lost, and the loss is an event.  It does not say who did something.
 */
#ifndef BASE_OS_WATCH_H
#define BASE_OS_WATCH_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    OS_WATCH_DATA = 1,  /* bytes were written or cut */
    OS_WATCH_ATTR = 2,  /* mode, times, number of names */
    OS_WATCH_NAMES = 4, /* the name is new, gone, or another file's */
    OS_WATCH_ENDED = 8, /* the folder is gone, and its number free */
    OS_WATCH_LOST = 16, /* events were lost, of any folder */
};

struct os_watch_event {
    int folder;       /* number from os_watch_add() */
    unsigned what;    /* OS_WATCH_* */
    const char *name; /* in the folder; "": the folder itself */
};

/* Reading from *ret_fd never waits; it can be polled, and closed with os_close(). */
ERR_MUST_CHECK enum err os_watch_open(int *ret_fd);

/* Watch the folder behind a descriptor (a reference will do): its number, above 0, the
 * same if it is watched already.  ERR_limit: no more watches; ERR_access; ERR_io. */
ERR_MUST_CHECK enum err os_watch_add(int fd, int folder_fd, int *ret_number);
void os_watch_remove(int fd, int number);

/* Tell of what there is; the name lives during the call. */
void os_watch_read(int fd, void (*tell)(void *self, const struct os_watch_event *event),
                   void *self);

#endif
