/* SPDX-License-Identifier: MIT
 *
 * What the tests of bridges share: another process that serves files, well or badly,
 * and our side of the bridge to it.
 */
#ifndef TESTS_UNIT_HOSTFS_OTHER_H
#define TESTS_UNIT_HOSTFS_OTHER_H

#include "hostfs/bridge.h"
#include "hostfs/hostfs.h"
#include "tests/test.h"

#include <sys/types.h>

/* What the other side does wrong, from request `at` on (1 is the MOUNT). */
enum other_wrong {
    OTHER_GOOD,
    OTHER_DIES,
    OTHER_SILENT,
    OTHER_LATE, /* answers one request after its deadline, the others in time */
    OTHER_WRONG_SEQ,
    OTHER_WRONG_TAG,
    OTHER_WRONG_TYPE,
    OTHER_WRONG_LENGTH,
    OTHER_TRUNCATED,
    OTHER_GARBAGE,
    OTHER_HUGE_ENVELOPE,
    OTHER_TWICE,
    OTHER_BAD_STATUS,
    OTHER_BAD_MODE,
    OTHER_BAD_NAMES,
    OTHER_TOO_MUCH_DATA,
    OTHER_NOTES,
    OTHER_BAD_NOTE,
    OTHER_MORE_FEATURES,
    OTHER_KILLED,
    OTHER_STOPPED,
    OTHER_FLOOD,       /* notes and no answer, for ever */
    OTHER_RING_TAIL,   /* more bytes than the ring has */
    OTHER_RING_LENGTH, /* a record that is longer than what is there */
    OTHER_RING_SHORT,  /* a record that is shorter than an envelope */
    OTHER_RING_HEAD,   /* takes more than was sent, so that there is no room */
    OTHER_RING_EVENT,  /* tells of records that are not there */
};

/* Every test runs over the socket alone and with shared memory. */
extern bool other_shared;
int other_with_socket(void **state);
int other_with_memory(void **state);

struct other {
    enum other_wrong wrong;
    unsigned at;
    uint32_t features;
    struct hostfs_channel channel;
    struct v86fs_server *server;
    struct arena arena;
    struct v86fs_ids ids;
};

/* No deadline. */
#define OTHER_NEVER UINT64_MAX

/* A tree in memory and a server for it, and the buffers of the channel. */
void other_server(struct other *other);

/* Serve at other->channel.fd; does not come back. */
_Noreturn void other_run(struct other *other);

/* ---- our side ---- */

struct ours {
    struct arena arena;
    struct v86fs_ids ids;
    struct hostfs_remote *remote;
    struct v86fs_tree tree;
    struct v86fs_call call;
    uint8_t data[100];
    pid_t process;
    uint64_t root;
    unsigned listed;
};

/* Start the other side and attach; waits as long as `other` needs. */
enum err ours_open(struct ours *ours, struct other other);
void ours_close(struct ours *ours);

struct bytes text(const char *string);

/* Call an operation of the tree of `w`: its status. */
#define CALL(w, op, ...)                                                               \
    ((w)->call = (struct v86fs_call){.in = {__VA_ARGS__},                              \
                                     .data = (w)->data,                                \
                                     .data_size_max = sizeof(w)->data},                \
     (w)->tree.ops->op((w)->tree.self, &(w)->call))

#endif
