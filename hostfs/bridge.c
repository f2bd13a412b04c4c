/* SPDX-License-Identifier: MIT */
#include "hostfs/bridge.h"

#include "base/os.h"
#include "base/os_stream.h"
#include "base/os_worker.h"
#include "hostfs/ring.h"

#include <string.h>

static const char hello_magic[8] = {'v', '8', '6', 'f', 's', 'b', 'r', '1'};

/* ---- shared memory ---- */

enum {
    LOOK_COUNT = 500,     /* looks at a ring before sleeping: tens of microseconds */
    SLEEP_COUNT = 100,    /* times without a look */
    NO_ROOM_NS = 1000000, /* nobody tells when a ring is emptied */
};

static enum err ring_send(struct hostfs_channel *channel, struct bytes record,
                          uint64_t deadline_ns)
{
    while (!hostfs_ring_put(&channel->ring_out, record)) {
        if (os_readable(channel->fd))
            return ERR_closed;
        if (os_interrupted())
            return ERR_interrupted;
        if (os_clock_monotonic_ns() >= deadline_ns)
            return ERR_timeout;
        os_sleep_ns(NO_ROOM_NS);
    }
    os_event_signal(channel->tell);
    return ERR_ok;
}

/* Where the other side runs on a CPU of its own, most answers come sooner than sleeping
 * takes.  Where it does not, looking keeps it from running: after a vain look sleep at
 * once for a while. */
static bool look(struct hostfs_channel *channel)
{
    if (channel->sleeps) {
        channel->sleeps--;
        return hostfs_ring_ready(&channel->ring_in);
    }
    for (unsigned i = 0; i < LOOK_COUNT; i++) {
        if (hostfs_ring_ready(&channel->ring_in))
            return true;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    channel->sleeps = SLEEP_COUNT;
    return false;
}

/* Wait for a record or the end of the socket, on which nothing else comes. */
static enum err ring_wait(struct hostfs_channel *channel, uint64_t deadline_ns)
{
    struct os_stream_event event[] = {{.fd = channel->told, .wants_read = true},
                                      {.fd = channel->fd, .wants_read = true}};
    if (look(channel))
        return ERR_ok;
    if (deadline_ns != OS_STREAM_NEVER && os_clock_monotonic_ns() >= deadline_ns)
        return ERR_timeout; /* who is told of nothing all the time would wait for ever
                             */
    if (os_interrupted())
        return ERR_interrupted;
    TRY(os_stream_wait(event, countof(event), deadline_ns));
    if (event[0].ready)
        os_event_clear(channel->told);
    return event[1].ready && !hostfs_ring_ready(&channel->ring_in) ? ERR_closed
                                                                   : ERR_ok;
}

static enum err ring_receive(struct hostfs_channel *channel, uint64_t deadline_ns)
{
    for (;;) {
        size_t size;
        TRY(hostfs_ring_take(&channel->ring_in, channel->in, &size));
        if (size)
            return ERR_ok;
        TRY(ring_wait(channel, deadline_ns));
    }
}

/* Take over what was made here or was sent to us; both sides do it. */
static enum err share(struct hostfs_channel *channel, int object, int told, int tell,
                      bool asks)
{
    uint64_t size;
    void *memory;
    TRY(os_object_size(object, &size));
    if (size > (uint64_t)4 << 30)
        return ERR_limit;
    TRY(os_object_map(object, 0, (size_t)size, NULL, &memory));
    if (!hostfs_rings_open(memory, size, asks, &channel->ring_in, &channel->ring_out)) {
        os_unmap(memory, (size_t)size);
        return ERR_v86fs_bridge;
    }
    channel->memory = memory;
    channel->memory_size = size;
    channel->told = told;
    channel->tell = tell;
    return ERR_ok;
}

void hostfs_channel_fini(struct hostfs_channel *channel)
{
    if (!channel->memory)
        return;
    os_unmap(channel->memory, (size_t)channel->memory_size);
    os_close(channel->told);
    os_close(channel->tell);
    channel->memory = NULL;
    channel->shared = false;
}

bool hostfs_channel_ready(struct hostfs_channel *channel)
{
    if (!channel->shared)
        return os_readable(channel->fd);
    os_event_clear(channel->told);
    return hostfs_ring_ready(&channel->ring_in) || os_readable(channel->fd);
}

/* ---- envelopes ---- */

enum err hostfs_channel_send(struct hostfs_channel *channel,
                             const struct hostfs_envelope *envelope,
                             uint64_t deadline_ns)
{
    uint8_t *at = channel->out;
    size_t size = HOSTFS_ENVELOPE_SIZE + envelope->payload.size;
    if (envelope->payload.size > V86FS_FRAME_MAX)
        return ERR_limit;
    memset(at, 0, HOSTFS_ENVELOPE_SIZE);
    v86fs_store(at, 4, size);
    at[4] = envelope->kind;
    at[5] = envelope->flags;
    v86fs_store(at + 8, 8, envelope->seq);
    v86fs_store(at + 16, 4, envelope->capacity);
    if (envelope->payload.size)
        memcpy(at + HOSTFS_ENVELOPE_SIZE, envelope->payload.data,
               envelope->payload.size);
    return channel->shared ? ring_send(channel, bytes_of(at, size), deadline_ns)
                           : os_stream_send(channel->fd, at, size, deadline_ns);
}

enum err hostfs_channel_receive(struct hostfs_channel *channel, uint64_t deadline_ns,
                                struct hostfs_envelope *ret_envelope)
{
    uint8_t *at = channel->in;
    if (channel->shared)
        TRY(ring_receive(channel, deadline_ns));
    else
        TRY(os_stream_receive_all(channel->fd, at, HOSTFS_ENVELOPE_SIZE, deadline_ns));
    uint64_t size = v86fs_load(at, 4);
    if (size < HOSTFS_ENVELOPE_SIZE || size > HOSTFS_RECORD_MAX ||
        at[4] < HOSTFS_HELLO || at[4] > HOSTFS_BYE || v86fs_load(at + 6, 2) ||
        v86fs_load(at + 20, 4))
        return ERR_v86fs_bridge;
    size -= HOSTFS_ENVELOPE_SIZE;
    if (!channel->shared)
        TRY(os_stream_receive_all(channel->fd, at + HOSTFS_ENVELOPE_SIZE, (size_t)size,
                                  deadline_ns));
    *ret_envelope = (struct hostfs_envelope){
        .kind = at[4],
        .flags = at[5],
        .seq = v86fs_load(at + 8, 8),
        .capacity = (uint32_t)v86fs_load(at + 16, 4),
        .payload = bytes_of(at + HOSTFS_ENVELOPE_SIZE, (size_t)size)};
    return ERR_ok;
}

/* ---- HELLO ---- */

static void put_hello(uint8_t record[HOSTFS_ENVELOPE_SIZE + HOSTFS_HELLO_SIZE],
                      uint8_t kind, uint32_t features, bool shared)
{
    uint8_t *hello = record + HOSTFS_ENVELOPE_SIZE;
    memset(record, 0, HOSTFS_ENVELOPE_SIZE + HOSTFS_HELLO_SIZE);
    v86fs_store(record, 4, HOSTFS_ENVELOPE_SIZE + HOSTFS_HELLO_SIZE);
    record[4] = kind;
    memcpy(hello, hello_magic, sizeof hello_magic);
    v86fs_store(hello + 8, 4, HOSTFS_BRIDGE_VERSION);
    v86fs_store(hello + 12, 4, features);
    v86fs_store(hello + 16, 4, V86FS_FRAME_MAX);
    v86fs_store(hello + 20, 4, shared ? HOSTFS_SHARED : 0);
}

/* What `record` says, if it is such a hello. */
static enum err read_hello(const uint8_t *record, uint8_t kind,
                           struct hostfs_hello *ret_hello)
{
    const uint8_t *hello = record + HOSTFS_ENVELOPE_SIZE;
    if (v86fs_load(record, 4) != HOSTFS_ENVELOPE_SIZE + HOSTFS_HELLO_SIZE ||
        record[4] != kind || v86fs_load(record + 6, 2) || v86fs_load(record + 20, 4) ||
        memcmp(hello, hello_magic, sizeof hello_magic) != 0 ||
        v86fs_load(hello + 8, 4) != HOSTFS_BRIDGE_VERSION)
        return ERR_v86fs_bridge;
    *ret_hello =
        (struct hostfs_hello){.features = (uint32_t)v86fs_load(hello + 12, 4),
                              .frame_size_max = (uint32_t)v86fs_load(hello + 16, 4),
                              .flags = (uint32_t)v86fs_load(hello + 20, 4)};
    return ERR_ok;
}

/* The memory and the events: requests first. */
static enum err make_shared(struct hostfs_channel *channel, int ret_fds[3])
{
    int object, request = -1, reply = -1;
    TRY(os_object_create(HOSTFS_SHARED_SIZE, &object));
    enum err err = os_event_create(&request);
    if (!err)
        err = os_event_create(&reply);
    void *memory = NULL;
    if (!err)
        err = os_object_map(object, 0, HOSTFS_SHARED_SIZE, NULL, &memory);
    if (!err) {
        hostfs_rings_init(memory);
        os_unmap(memory, HOSTFS_SHARED_SIZE);
        err = share(channel, object, reply, request, true);
    }
    ret_fds[0] = object;
    ret_fds[1] = request;
    ret_fds[2] = reply;
    if (err) {
        for (unsigned i = 0; i < 3; i++)
            os_close(ret_fds[i]);
    }
    return err;
}

static enum err offer_shared(struct hostfs_channel *channel, const uint8_t *record,
                             size_t size)
{
    int fds[3];
    TRY(make_shared(channel, fds));
    enum err err = os_stream_send_fds(channel->fd, record, size, fds, countof(fds));
    os_close(fds[0]);
    return err;
}

enum err hostfs_channel_hello(struct hostfs_channel *channel, uint32_t features,
                              bool share_memory, uint64_t deadline_ns,
                              struct hostfs_hello *ret_hello)
{
    uint8_t record[HOSTFS_ENVELOPE_SIZE + HOSTFS_HELLO_SIZE];
    struct hostfs_hello hello;
    put_hello(record, HOSTFS_HELLO, features, share_memory);
    if (share_memory)
        TRY(offer_shared(channel, record, sizeof record));
    else
        TRY(os_stream_send(channel->fd, record, sizeof record, deadline_ns));
    TRY(os_stream_receive_all(channel->fd, record, sizeof record, deadline_ns));
    TRY(read_hello(record, HOSTFS_HELLO_R, &hello));
    if (hello.features & ~features ||
        hello.flags & ~(uint32_t)(share_memory ? HOSTFS_SHARED : 0))
        return ERR_v86fs_bridge; /* it takes what was not offered */
    channel->shared = hello.flags & HOSTFS_SHARED;
    *ret_hello = hello;
    return ERR_ok;
}

enum err hostfs_channel_welcome(struct hostfs_channel *channel, uint32_t features,
                                uint64_t deadline_ns, struct hostfs_hello *ret_hello)
{
    uint8_t record[HOSTFS_ENVELOPE_SIZE + HOSTFS_HELLO_SIZE];
    int fds[OS_STREAM_DESCRIPTORS_MAX];
    struct hostfs_hello hello;
    size_t count;
    TRY(os_stream_receive_fds(channel->fd, record, sizeof record, deadline_ns, fds,
                              &count));
    enum err err = read_hello(record, HOSTFS_HELLO, &hello);
    bool shared = !err && hello.flags & HOSTFS_SHARED && count == 3 &&
                  !share(channel, fds[0], fds[1], fds[2], false);
    while (count > (shared ? 3 : 0)) /* the events are the channel's now */
        os_close(fds[--count]);
    if (shared)
        os_close(fds[0]);
    if (err)
        return err;
    hello.features &= features;
    put_hello(record, HOSTFS_HELLO_R, hello.features, shared);
    TRY(os_stream_send(channel->fd, record, sizeof record, deadline_ns));
    channel->shared = shared;
    *ret_hello = hello;
    return ERR_ok;
}
