/* SPDX-License-Identifier: MIT
 *
 * Kicks to requests, replies to used elements (v86fs.md 6.8, 7 and 9.4).
 *
 * A reply that has to wait for an earlier one is written into its buffers at once but
 * not published: until then they belong to the device.
 */
#include "v86fs/virtio_v86fs.h"

#include "emu/virtio.h"
#include "v86fs/state.h"

#include <string.h>

enum { NOTIFY_QUEUE = 2, NO_TYPE = 256 };
enum { NOTE_SIZE_BASE = 256, NOTE_SIZE_EXTENDED = 512 };

/* A head is in flight once, so this is room for all. */
enum { PENDING_MAX = NOTIFY_QUEUE * EMU_VIRTQ_SIZE_MAX };

/* A request that the guest waits for. */
struct pending {
    struct emu_chain chain;
    uint64_t token; /* 0: answered, waits for an earlier one */
    uint64_t order;
    uint32_t size;    /* of the answer */
    uint8_t *request; /* late_request_max bytes, for a state */
    uint32_t request_size;
    uint8_t queue;
    bool used;
};

struct v86fs_virtio {
    struct v86fs_virtio_options options;
    struct emu_virtio *virtio;
    struct v86fs_notes *notes;
    struct pending *pending;
    uint32_t pending_max; /* 0: no answer is late */
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

static size_t reply_room(const struct emu_chain *chain)
{
    return chain->write_size < V86FS_FRAME_MAX ? (size_t)chain->write_size
                                               : V86FS_FRAME_MAX;
}

/* The oldest request of the queue that is not released, or NULL. */
static struct pending *oldest(const struct v86fs_virtio *device, unsigned queue)
{
    struct pending *found = NULL;
    for (uint32_t i = 0; i < device->pending_max; i++) {
        struct pending *p = &device->pending[i];
        if (p->used && p->queue == queue && (!found || p->order < found->order))
            found = p;
    }
    return found;
}

/* Keep the chain at hand, in which `request` waits, or (token 0) an answer of `size`
 * bytes is already. */
static void keep(struct v86fs_virtio *device, unsigned queue, uint64_t token,
                 struct bytes request, size_t size)
{
    uint32_t i = 0;
    while (i < device->pending_max && device->pending[i].used)
        i++;
    check(i < device->pending_max && request.size <= device->options.late_request_max);
    struct pending *p = &device->pending[i];
    *p = (struct pending){.chain = device->chain,
                          .token = token,
                          .order = device->order_next++,
                          .size = (uint32_t)size,
                          .request = p->request,
                          .request_size = (uint32_t)request.size,
                          .queue = (uint8_t)queue,
                          .used = true};
    if (request.size)
        memcpy(p->request, request.data, request.size);
    emu_virtio_hold(device->virtio, queue, p->chain.head);
}

uint32_t v86fs_virtio_pending(const struct v86fs_virtio *device)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < device->pending_max; i++)
        count += device->pending[i].used;
    return count;
}

/* Release the request if its answer is there. */
static bool release(struct v86fs_virtio *device, struct pending *p)
{
    const struct v86fs_virtio_backend *backend = &device->options.backend;
    size_t size = p->size;
    bool late = p->token != 0;
    if (late && !backend->due(backend->self, p->token))
        return false;
    p->used = false;
    emit(device, &(struct emu_event){.type = EMU_EVENT_virtio_complete,
                                     .queue = p->queue,
                                     .head = p->chain.head});
    if (late) {
        size_t room = reply_room(&p->chain);
        if (!backend->take(backend->self, p->token, device->reply, room, &size))
            size = 0;
        check(size <= room);
        emu_virtio_scatter(device->virtio, &p->chain, bytes_of(device->reply, size));
        emit_reply(device, p->queue, p->chain.head, bytes_of(device->reply, size));
    }
    emu_virtio_push(device->virtio, p->queue, p->chain.head, (uint32_t)size);
    return true;
}

void v86fs_virtio_adopt(struct v86fs_virtio *device)
{
    const struct v86fs_virtio_backend *backend = &device->options.backend;
    for (uint32_t i = 0; i < device->pending_max; i++) {
        struct pending *p = &device->pending[i];
        if (p->used && p->token)
            p->token = backend->adopt(backend->self, p->queue, p->chain.head,
                                      bytes_of(p->request, p->request_size),
                                      reply_room(&p->chain));
    }
}

bool v86fs_virtio_due(const struct v86fs_virtio *device)
{
    const struct v86fs_virtio_backend *backend = &device->options.backend;
    for (unsigned queue = 0; queue < NOTIFY_QUEUE; queue++) {
        const struct pending *p = oldest(device, queue);
        if (p && emu_virtio_usable(device->virtio, queue) &&
            (!p->token || backend->due(backend->self, p->token)))
            return true;
    }
    return false;
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
    size_t room = reply_room(chain);
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
        keep(device, queue, token, request, 0);
        return;
    }
    emu_virtio_scatter(device->virtio, chain, bytes_of(device->reply, size));
    emit_reply(device, queue, chain->head, bytes_of(device->reply, size));
    /* Replies leave a queue in the order of its requests. */
    if (oldest(device, queue))
        keep(device, queue, 0, (struct bytes){0}, size);
    else
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

static bool has_driver(const struct v86fs_virtio *device)
{
    return device->virtio->status & EMU_VIRTIO_DRIVER_OK;
}

enum v86fs_note_result v86fs_virtio_notify(struct v86fs_virtio *device,
                                           struct bytes frame)
{
    if (!has_driver(device) || device->virtio->status & EMU_VIRTIO_NEEDS_RESET)
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

static void start_notes(struct v86fs_virtio *device)
{
    v86fs_notes_start(device->notes, device->virtio->driver_feature[0]
                                         ? NOTE_SIZE_EXTENDED
                                         : NOTE_SIZE_BASE);
}

static void on_ready(void *self)
{
    start_notes(self);
}

static void on_reset(void *self)
{
    struct v86fs_virtio *device = self;
    v86fs_notes_stop(device->notes);
    for (uint32_t i = 0; i < device->pending_max; i++)
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

/* ---- the state: requests in their order, then the queued notifications ---- */

static void save_pending(const struct pending *p, struct buf *buf)
{
    const struct emu_chain_part *segment = p->chain.segment + p->chain.read_count;
    v86fs_put(buf, 1, p->queue);
    v86fs_put(buf, 2, p->chain.head);
    v86fs_put(buf, 1, p->token != 0);
    v86fs_put(buf, 4, p->size);
    v86fs_put(buf, 2, p->chain.write_count);
    for (unsigned i = 0; i < p->chain.write_count; i++) {
        v86fs_put(buf, 4, segment[i].address);
        v86fs_put(buf, 4, segment[i].size);
    }
    v86fs_put(buf, 4, p->request_size);
    buf_put(buf, p->request, p->request_size);
}

/* The one behind `order`, whatever its queue. */
static const struct pending *next_pending(const struct v86fs_virtio *device,
                                          uint64_t from_order)
{
    const struct pending *found = NULL;
    for (uint32_t i = 0; i < device->pending_max; i++) {
        const struct pending *p = &device->pending[i];
        if (p->used && p->order >= from_order && (!found || p->order < found->order))
            found = p;
    }
    return found;
}

static void on_save(void *self, struct buf *buf)
{
    const struct v86fs_virtio *device = self;
    uint32_t count = v86fs_virtio_pending(device);
    if (!count && !v86fs_notes_count(device->notes))
        return;
    v86fs_put(buf, 2, count);
    for (uint64_t order = 0; count; count--) {
        const struct pending *p = next_pending(device, order);
        save_pending(p, buf);
        order = p->order + 1;
    }
    v86fs_notes_save(device->notes, buf);
}

static void load_segments(struct v86fs_virtio *device, struct v86fs_take *take)
{
    const struct emu_dma *dma = &device->virtio->dma;
    struct emu_chain *chain = &device->chain;
    chain->read_count = 0;
    chain->read_size = chain->write_size = 0;
    chain->write_count = (uint16_t)v86fs_take_upto(take, 2, EMU_VIRTQ_SIZE_MAX);
    for (unsigned i = 0; i < chain->write_count && !take->failed; i++) {
        uint32_t address = (uint32_t)v86fs_take(take, 4);
        uint32_t size = (uint32_t)v86fs_take(take, 4);
        v86fs_take_demand(take, !size || dma->in_ram(dma->self, address, size));
        chain->segment[i] = (struct emu_chain_part){address, size};
        chain->write_size += size;
    }
}

static void load_pending(struct v86fs_virtio *device, struct v86fs_take *take)
{
    const struct v86fs_virtio_backend *backend = &device->options.backend;
    struct emu_chain *chain = &device->chain;
    unsigned queue = (unsigned)v86fs_take_upto(take, 1, NOTIFY_QUEUE - 1);
    const struct emu_virtq *q = &device->virtio->queue[queue];
    chain->head = (uint16_t)v86fs_take_upto(take, 2, q->size - 1u);
    bool late = v86fs_take_upto(take, 1, 1);
    uint64_t size = v86fs_take_upto(take, 4, V86FS_FRAME_MAX);
    load_segments(device, take);
    struct bytes request = v86fs_take_bytes(
        take, (size_t)v86fs_take_upto(take, 4, device->options.late_request_max));
    v86fs_take_demand(take, late ? !size : !request.size && size <= chain->write_size);
    /* An answer that waits does so for a late one of its queue. */
    v86fs_take_demand(take,
                      late ? backend->adopt != NULL : oldest(device, queue) != NULL);
    for (uint32_t i = 0; i < device->pending_max; i++) {
        const struct pending *p = &device->pending[i];
        v86fs_take_demand(take, !p->used || p->queue != queue ||
                                    p->chain.head != chain->head);
    }
    if (take->failed)
        return;
    uint64_t token = late ? backend->adopt(backend->self, queue, chain->head, request,
                                           reply_room(chain))
                          : 0;
    check(!late || token);
    keep(device, queue, token, request, (size_t)size);
}

/* Held heads are those of pending requests and no others. */
static bool held_fit(const struct v86fs_virtio *device)
{
    uint64_t held[EMU_VIRTQ_COUNT][EMU_VIRTQ_SIZE_MAX / 64] = {{0}};
    for (uint32_t i = 0; i < device->pending_max; i++) {
        const struct pending *p = &device->pending[i];
        if (p->used)
            held[p->queue][p->chain.head / 64] |= UINT64_C(1) << p->chain.head % 64;
    }
    for (unsigned i = 0; i < EMU_VIRTQ_COUNT; i++) {
        const struct emu_virtq *q = &device->virtio->queue[i];
        if (memcmp(held[i], q->held, sizeof held[i]) != 0)
            return false;
    }
    return true;
}

static bool on_load(void *self, struct bytes state)
{
    struct v86fs_virtio *device = self;
    uint64_t held[EMU_VIRTQ_COUNT][EMU_VIRTQ_SIZE_MAX / 64];
    struct v86fs_take take = {.rest = state};
    for (unsigned i = 0; i < EMU_VIRTQ_COUNT; i++)
        memcpy(held[i], device->virtio->queue[i].held, sizeof held[i]);
    for (uint32_t i = 0; i < device->pending_max; i++)
        device->pending[i].used = false;
    v86fs_notes_stop(device->notes);
    if (has_driver(device))
        start_notes(device);
    uint64_t count = state.size ? v86fs_take_upto(&take, 2, device->pending_max) : 0;
    for (; count && !take.failed; count--)
        load_pending(device, &take);
    v86fs_take_demand(&take, v86fs_notes_load(device->notes, take.rest));
    for (unsigned i = 0; i < EMU_VIRTQ_COUNT; i++)
        memcpy(device->virtio->queue[i].held, held[i], sizeof held[i]);
    return !take.failed && held_fit(device);
}

static const struct emu_virtio_ops virtio_ops = {on_features, on_ready, on_reset,
                                                 on_kick,     on_save,  on_load};

static bool create_pending(struct arena *arena, struct v86fs_virtio *device)
{
    uint32_t size = device->options.late_request_max;
    uint8_t *requests = arena_alloc_array(arena, PENDING_MAX, size, 1);
    device->pending_max = PENDING_MAX;
    device->pending = arena_new_array(arena, struct pending, PENDING_MAX);
    for (uint32_t i = 0; device->pending && i < PENDING_MAX; i++)
        device->pending[i].request = requests + (size_t)i * size;
    return requests && device->pending;
}

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
    if (!device->request || !device->reply)
        return ERR_nomem;
    if (options->late_request_max && !create_pending(arena, device))
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

static bool server_due(void *self, uint64_t token)
{
    return v86fs_server_answered(((struct v86fs_virtio_clock *)self)->server, token);
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
                                         .reset = server_reset,
                                         .due = server_due};
}
