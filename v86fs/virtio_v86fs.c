/* SPDX-License-Identifier: MIT
 *
 * Kicks to requests, replies to used elements (v86fs.md 6.8, 7 and 9.4).
 *
 * A reply that has to wait for an earlier one is written into its buffers at once but
 * not published: until then they belong to the device.
 */
#include "v86fs/virtio_v86fs.h"

#include "emu/virtio.h"

#include <string.h>

enum { NOTIFY_QUEUE = 2, NO_TYPE = 256 };
enum { NOTE_SIZE_BASE = 256, NOTE_SIZE_EXTENDED = 512 };

/* A request that the guest waits for. */
struct pending {
    struct emu_chain chain;
    uint64_t token; /* 0: answered, waits for an earlier one */
    uint64_t order;
    uint32_t size; /* of the answer */
    uint8_t queue;
    bool used;
};

struct v86fs_virtio {
    struct v86fs_virtio_options options;
    struct emu_virtio *virtio;
    struct v86fs_notes *notes;
    struct pending *pending;
    uint64_t order_next;
    bool serving;
    struct v86fs_virtio_counters counters;
    struct emu_chain chain; /* the one being served */
    uint8_t *request, *reply;
};

void v86fs_virtio_options_init(struct v86fs_virtio_options *options)
{
    *options = (struct v86fs_virtio_options){.note_count_max = 1024};
}

/* ---- events ---- */

static void emit(struct v86fs_virtio *device, struct emu_event *event)
{
    event->dev = device->virtio->index;
    device->virtio->event(device->virtio->event_self, event);
}

static void emit_request(struct v86fs_virtio *device, unsigned queue,
                         struct bytes request)
{
    struct emu_event event = {.type = EMU_EVENT_virtio_request, .queue = queue};
    event.head = device->chain.head;
    event.read_size = device->chain.read_size;
    event.write_size = device->chain.write_size;
    event.op = request.size < V86FS_HEADER_SIZE ? NO_TYPE : request.data[4];
    event.data = request;
    emit(device, &event);
}

static void emit_reply(struct v86fs_virtio *device, unsigned queue, unsigned head,
                       struct bytes reply)
{
    struct emu_event event = {.type = EMU_EVENT_virtio_reply, .queue = queue};
    event.head = head;
    event.origin = device->options.origin;
    event.data = reply;
    emit(device, &event);
}

/* ---- late answers ---- */

/* The oldest request of the queue that is not released, or NULL. */
static struct pending *oldest(struct v86fs_virtio *device, unsigned queue)
{
    struct pending *found = NULL;
    for (uint32_t i = 0; i < device->options.pending_count_max; i++) {
        struct pending *p = &device->pending[i];
        if (p->used && p->queue == queue && (!found || p->order < found->order))
            found = p;
    }
    return found;
}

/* Keep the request being served; false if there is no room. */
static bool keep(struct v86fs_virtio *device, unsigned queue, uint64_t token,
                 size_t size)
{
    for (uint32_t i = 0; i < device->options.pending_count_max; i++) {
        struct pending *p = &device->pending[i];
        if (p->used)
            continue;
        *p = (struct pending){.chain = device->chain,
                              .token = token,
                              .order = device->order_next++,
                              .size = (uint32_t)size,
                              .queue = (uint8_t)queue,
                              .used = true};
        emu_virtio_hold(device->virtio, queue, p->chain.head);
        return true;
    }
    return false;
}

/* Release the request if its answer is there. */
static bool release(struct v86fs_virtio *device, struct pending *p)
{
    const struct v86fs_virtio_backend *backend = &device->options.backend;
    size_t size = p->size;
    bool late = p->token != 0;
    if (late &&
        !backend->take(backend->self, p->token, device->reply, V86FS_FRAME_MAX, &size))
        return false;
    p->used = false;
    emit(device, &(struct emu_event){.type = EMU_EVENT_virtio_complete,
                                     .queue = p->queue,
                                     .head = p->chain.head});
    if (late) {
        emu_virtio_scatter(device->virtio, &p->chain, bytes_of(device->reply, size));
        emit_reply(device, p->queue, p->chain.head, bytes_of(device->reply, size));
    }
    emu_virtio_push(device->virtio, p->queue, p->chain.head, (uint32_t)size);
    return true;
}

static void deliver(struct v86fs_virtio *device);

bool v86fs_virtio_complete(struct v86fs_virtio *device)
{
    bool any = false;
    for (unsigned queue = 0; queue < NOTIFY_QUEUE; queue++) {
        struct pending *p = oldest(device, queue);
        if (!p || !emu_virtio_usable(device->virtio, queue))
            continue;
        while (p && release(device, p)) {
            any = true;
            p = oldest(device, queue);
        }
        emu_virtio_flush(device->virtio, queue);
    }
    deliver(device);
    return any;
}

/* ---- requests ---- */

/* Of a request that is too long the server sees a header whose length is wrong (X24).
 */
static struct bytes copy_request(struct v86fs_virtio *device)
{
    const struct emu_chain *chain = &device->chain;
    size_t size = chain->read_size <= V86FS_FRAME_MAX ? (size_t)chain->read_size
                                                      : V86FS_HEADER_SIZE;
    emu_virtio_gather(device->virtio, chain, device->request, size);
    return bytes_of(device->request, size);
}

static void serve_one(struct v86fs_virtio *device, unsigned queue)
{
    const struct v86fs_virtio_backend *backend = &device->options.backend;
    const struct emu_chain *chain = &device->chain;
    size_t room = chain->write_size < V86FS_FRAME_MAX ? (size_t)chain->write_size
                                                      : V86FS_FRAME_MAX;
    size_t size = 0;
    uint64_t token = 0;
    struct bytes request = copy_request(device);
    emit_request(device, queue, request);
    if (chain->read_size > V86FS_FRAME_MAX)
        v86fs_store(device->request, 4, 0);
    backend->serve(backend->self, queue, chain->head, request, device->reply, room,
                   &size, &token);
    check(size <= room);
    if (token) {
        check(keep(device, queue, token, 0));
        return;
    }
    emu_virtio_scatter(device->virtio, chain, bytes_of(device->reply, size));
    emit_reply(device, queue, chain->head, bytes_of(device->reply, size));
    /* Replies leave a queue in the order of its requests; without room for that, the
     * order gives way. */
    if (!oldest(device, queue) || !keep(device, queue, 0, size))
        emu_virtio_push(device->virtio, queue, chain->head, (uint32_t)size);
}

static void serve(struct v86fs_virtio *device, unsigned queue)
{
    unsigned count = emu_virtio_available(device->virtio, queue);
    for (; count; count--) {
        if (!emu_virtio_pop(device->virtio, queue, &device->chain))
            return;
        serve_one(device, queue);
    }
    emu_virtio_flush(device->virtio, queue);
}

/* ---- notifications ---- */

/* Give one frame to one chain; a buffer that is too small goes back empty. */
static void deliver_one(struct v86fs_virtio *device)
{
    struct bytes frame = v86fs_notes_first(device->notes);
    uint32_t size = 0;
    if (device->chain.write_size >= frame.size) {
        emu_virtio_scatter(device->virtio, &device->chain, frame);
        size = (uint32_t)frame.size;
    } else {
        device->counters.notes_dropped++;
    }
    v86fs_notes_drop_first(device->notes);
    emu_virtio_push(device->virtio, NOTIFY_QUEUE, device->chain.head, size);
}

static void deliver(struct v86fs_virtio *device)
{
    if (device->serving || !v86fs_notes_count(device->notes) ||
        !emu_virtio_usable(device->virtio, NOTIFY_QUEUE))
        return;
    unsigned count = emu_virtio_available(device->virtio, NOTIFY_QUEUE);
    for (; count && v86fs_notes_count(device->notes); count--) {
        if (!emu_virtio_pop(device->virtio, NOTIFY_QUEUE, &device->chain))
            return;
        deliver_one(device);
    }
    emu_virtio_flush(device->virtio, NOTIFY_QUEUE);
}

enum v86fs_note_result v86fs_virtio_notify(struct v86fs_virtio *device,
                                           struct bytes frame)
{
    if (device->virtio->status & EMU_VIRTIO_NEEDS_RESET)
        v86fs_notes_stop(device->notes);
    emit(device, &(struct emu_event){.type = EMU_EVENT_virtio_notify,
                                     .queue = NOTIFY_QUEUE,
                                     .data = frame});
    enum v86fs_note_result result = v86fs_notes_frame(device->notes, frame);
    deliver(device);
    return result;
}

/* ---- the device's table ---- */

static void on_features(void *self, uint32_t features)
{
    struct v86fs_virtio *device = self;
    device->options.backend.negotiate(device->options.backend.self, features);
}

static void on_ready(void *self)
{
    struct v86fs_virtio *device = self;
    v86fs_notes_start(device->notes, device->virtio->driver_feature[0]
                                         ? NOTE_SIZE_EXTENDED
                                         : NOTE_SIZE_BASE);
}

static void on_reset(void *self)
{
    struct v86fs_virtio *device = self;
    v86fs_notes_stop(device->notes);
    for (uint32_t i = 0; i < device->options.pending_count_max; i++)
        device->pending[i].used = false;
    device->options.backend.reset(device->options.backend.self);
}

static void on_kick(void *self, unsigned queue)
{
    struct v86fs_virtio *device = self;
    if (queue < NOTIFY_QUEUE) {
        device->serving = true;
        serve(device, queue);
        device->serving = false;
    }
    deliver(device);
}

static const struct emu_virtio_ops virtio_ops = {on_features, on_ready, on_reset,
                                                 on_kick};

enum err v86fs_virtio_create(struct arena *arena,
                             const struct v86fs_virtio_options *options,
                             struct emu_virtio *virtio,
                             struct v86fs_virtio **ret_device)
{
    struct v86fs_virtio *device = arena_new(arena, struct v86fs_virtio);
    if (!device)
        return ERR_nomem;
    device->options = *options;
    device->virtio = virtio;
    device->request = arena_alloc(arena, V86FS_FRAME_MAX, 8);
    device->reply = arena_alloc(arena, V86FS_FRAME_MAX, 8);
    device->pending =
        arena_new_array(arena, struct pending, options->pending_count_max);
    if (!device->request || !device->reply || !device->pending)
        return ERR_nomem;
    TRY(v86fs_notes_create(arena, options->note_count_max, &device->notes));
    virtio->ops = &virtio_ops;
    virtio->ops_self = device;
    *ret_device = device;
    return ERR_ok;
}

const struct v86fs_virtio_counters *
v86fs_virtio_counters(const struct v86fs_virtio *device)
{
    return &device->counters;
}

/* ---- the server as a backend ---- */

static void server_serve(void *self, unsigned queue, unsigned head,
                         struct bytes request, uint8_t *reply, size_t reply_size_max,
                         size_t *ret_size, uint64_t *ret_token)
{
    const struct v86fs_virtio_clock *clock = self;
    (void)queue;
    (void)head;
    v86fs_server_serve(clock->server, clock->now_ns(clock->self), request, reply,
                       reply_size_max, ret_size, ret_token);
}

static bool server_take(void *self, uint64_t token, uint8_t *reply,
                        size_t reply_size_max, size_t *ret_size)
{
    return v86fs_server_take(((struct v86fs_virtio_clock *)self)->server, token, reply,
                             reply_size_max, ret_size);
}

static void server_negotiate(void *self, uint32_t features)
{
    v86fs_server_negotiate(((struct v86fs_virtio_clock *)self)->server, features);
}

static void server_reset(void *self)
{
    v86fs_server_reset(((struct v86fs_virtio_clock *)self)->server);
}

struct v86fs_virtio_backend v86fs_virtio_server(struct v86fs_virtio_clock *clock)
{
    return (struct v86fs_virtio_backend){.self = clock,
                                         .serve = server_serve,
                                         .take = server_take,
                                         .negotiate = server_negotiate,
                                         .reset = server_reset};
}
