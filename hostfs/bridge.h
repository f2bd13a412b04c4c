/* SPDX-License-Identifier: MIT
 *
 * hostfs/bridge.h - the envelopes in which two processes pass frames (v86fs.md 4.6).
 *
 * One side asks ("emulator"), the other serves ("remote"); either may be ours, and
 * neither trusts the other.
 */
#ifndef HOSTFS_BRIDGE_H
#define HOSTFS_BRIDGE_H

#include "v86fs/proto.h"

enum hostfs_kind {
    HOSTFS_HELLO = 1,
    HOSTFS_HELLO_R = 2,
    HOSTFS_REQ = 3,
    HOSTFS_REP = 4,
    HOSTFS_NOTIFY = 5,
    HOSTFS_CANCEL = 6,
    HOSTFS_MARK = 7,
    HOSTFS_BYE = 8,
};

enum {
    HOSTFS_ENVELOPE_SIZE = 24,
    HOSTFS_HELLO_SIZE = 32,
    HOSTFS_RECORD_MAX = HOSTFS_ENVELOPE_SIZE + V86FS_FRAME_MAX,
    HOSTFS_SHARED = 1, /* flag of a HELLO */
    HOSTFS_BRIDGE_VERSION = 1,
    HOSTFS_BY_HANDLE = 1, /* flag of a READ REQ: its first field is a handle */
    HOSTFS_NOTE_MAX = 512,
};

struct hostfs_envelope {
    uint8_t kind, flags;
    uint64_t seq;
    uint32_t capacity;
    struct bytes payload; /* in the channel, until the next receive */
};

/* Shared memory in one direction (hostfs/ring.h). */
struct hostfs_ring {
    uint32_t *head, *tail; /* shared */
    uint8_t *data;
    uint32_t size;
    uint32_t at; /* our own count: of `head` where we read, else of `tail` */
};

/* A stream socket with one buffer each way, and perhaps shared memory, which then takes
 * every envelope behind the hellos. */
struct hostfs_channel {
    int fd;            /* borrowed */
    uint8_t *in, *out; /* HOSTFS_RECORD_MAX each, borrowed */
    bool shared;       /* the rest means something */
    void *memory;
    uint64_t memory_size;
    struct hostfs_ring ring_in, ring_out;
    int told, tell;  /* event descriptors */
    unsigned sleeps; /* that are due without looking at the ring first */
};

/* What a HELLO or its answer says. */
struct hostfs_hello {
    uint32_t features;
    uint32_t frame_size_max;
    uint32_t flags;
};

/* Deadlines are monotonic ns.  ERR_closed: the other side is gone; ERR_timeout;
 * ERR_v86fs_bridge: it broke the protocol. */
ERR_MUST_CHECK enum err hostfs_channel_send(struct hostfs_channel *channel,
                                            const struct hostfs_envelope *envelope,
                                            uint64_t deadline_ns);
ERR_MUST_CHECK enum err hostfs_channel_receive(struct hostfs_channel *channel,
                                               uint64_t deadline_ns,
                                               struct hostfs_envelope *ret_envelope);

/* Has something come (an envelope, the end)?  Does not wait. */
bool hostfs_channel_ready(struct hostfs_channel *channel);

/* Ask and be told: the features that both know.  `share`: offer shared memory, which
 * the other side may decline. */
ERR_MUST_CHECK enum err hostfs_channel_hello(struct hostfs_channel *channel,
                                             uint32_t features, bool share,
                                             uint64_t deadline_ns,
                                             struct hostfs_hello *ret_hello);

/* The other side of that: wait for a HELLO and answer it.  Shared memory is taken where
 * it is offered and sealed against shrinking. */
ERR_MUST_CHECK enum err hostfs_channel_welcome(struct hostfs_channel *channel,
                                               uint32_t features, uint64_t deadline_ns,
                                               struct hostfs_hello *ret_hello);

/* Give the shared memory back; the socket stays open. */
void hostfs_channel_fini(struct hostfs_channel *channel);

#endif
