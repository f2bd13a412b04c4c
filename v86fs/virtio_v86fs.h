/* SPDX-License-Identifier: MIT
 *
 * v86fs/virtio_v86fs.h - the file server behind virtqueues (v86fs.md, layer D).
 *
 * Queues 0 and 1 carry requests, queue 2 notifications.  The device knows both guest
 * memory and frames, but of a frame only its type.  Who answers is behind a table, so
 * that a recording can answer in place of the server.
 */
#ifndef V86FS_VIRTIO_V86FS_H
#define V86FS_VIRTIO_V86FS_H

#include "v86fs/v86fs.h"

struct emu_virtio;
struct v86fs_virtio;

/* What answers requests: v86fs_server_serve() and its relatives, or a recording.
 * `queue` and `head` name the request.  A token other than 0 means that the reply comes
 * later: `due` tells when, then `take` gives it.  Only a request of at most
 * `late_request_max` bytes may be answered later. */
struct v86fs_virtio_backend {
    void *self;
    void (*serve)(void *self, unsigned queue, unsigned head, struct bytes request,
                  uint8_t *reply, size_t reply_size_max, size_t *ret_size,
                  uint64_t *ret_token);
    bool (*take)(void *self, uint64_t token, uint8_t *reply, size_t reply_size_max,
                 size_t *ret_size);
    void (*negotiate)(void *self, uint32_t features);
    void (*reset)(void *self);
    /* Both NULL if no answer is late. */
    bool (*due)(void *self, uint64_t token);
    /* A loaded state has this request in flight: its token, not 0. */
    uint64_t (*adopt)(void *self, unsigned queue, unsigned head, struct bytes request,
                      size_t reply_size_max);
};

struct v86fs_virtio_options {
    struct v86fs_virtio_backend backend;
    uint32_t origin;           /* of virtio.reply: 1 if replies come from outside */
    uint32_t note_count_max;   /* notifications that wait for a buffer */
    uint32_t late_request_max; /* 0: no answer is late */
};

/* 1024 notifications, no late answers, origin 0. */
void v86fs_virtio_options_init(struct v86fs_virtio_options *options);

/* A server that is asked at the time of `now_ns` (ns since 1970). */
struct v86fs_virtio_clock {
    struct v86fs_server *server;
    void *self;
    uint64_t (*now_ns)(void *self);
};

/* The table for such a server, borrowed. */
struct v86fs_virtio_backend v86fs_virtio_server(struct v86fs_virtio_clock *clock);

/* Create the device and put it behind `virtio`, which is borrowed.  Only ERR_nomem. */
ERR_MUST_CHECK enum err v86fs_virtio_create(struct arena *arena,
                                            const struct v86fs_virtio_options *options,
                                            struct emu_virtio *virtio,
                                            struct v86fs_virtio **ret_device);

/* Requests that the guest waits for. */
uint32_t v86fs_virtio_pending(const struct v86fs_virtio *device);

/* Ask `adopt` for each late answer again: the backend has changed. */
void v86fs_virtio_adopt(struct v86fs_virtio *device);

/* Would v86fs_virtio_complete() release one of them? */
bool v86fs_virtio_due(const struct v86fs_virtio *device);

/* A chunk boundary: give the guest all late replies that are there, in the order of the
 * requests of each queue.  True if any was. */
bool v86fs_virtio_complete(struct v86fs_virtio *device);

/* Tell the driver something (chapter 7): a frame of v86fs_*_encode().  Delivered at
 * once, or when the driver posts a buffer, or behind the replies of the kick that is
 * being served. */
enum v86fs_note_result v86fs_virtio_notify(struct v86fs_virtio *device,
                                           struct bytes frame);

/* Diagnostics; not part of the machine's state. */
struct v86fs_virtio_counters {
    uint64_t notes_dropped; /* the buffer was smaller than the frame */
};
const struct v86fs_virtio_counters *
v86fs_virtio_counters(const struct v86fs_virtio *device);

#endif
