/* SPDX-License-Identifier: MIT */
#include "hostfs/bridge.h"

#include "base/os_bridge.h"

#include <string.h>

static const char hello_magic[8] = {'v', '8', '6', 'f', 's', 'b', 'r', '1'};

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
    return os_bridge_send(channel->fd, at, size, deadline_ns);
}

enum err hostfs_channel_receive(struct hostfs_channel *channel, uint64_t deadline_ns,
                                struct hostfs_envelope *ret_envelope)
{
    uint8_t *at = channel->in;
    TRY(os_bridge_receive(channel->fd, at, HOSTFS_ENVELOPE_SIZE, deadline_ns));
    uint64_t size = v86fs_load(at, 4);
    if (size < HOSTFS_ENVELOPE_SIZE || size > HOSTFS_ENVELOPE_SIZE + V86FS_FRAME_MAX ||
        at[4] < HOSTFS_HELLO || at[4] > HOSTFS_BYE || v86fs_load(at + 6, 2) ||
        v86fs_load(at + 20, 4))
        return ERR_v86fs_bridge;
    size -= HOSTFS_ENVELOPE_SIZE;
    TRY(os_bridge_receive(channel->fd, at + HOSTFS_ENVELOPE_SIZE, (size_t)size,
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

static enum err send_hello(struct hostfs_channel *channel, uint8_t kind,
                           uint32_t features, uint64_t deadline_ns)
{
    uint8_t hello[HOSTFS_HELLO_SIZE] = {0};
    memcpy(hello, hello_magic, sizeof hello_magic);
    v86fs_store(hello + 8, 4, HOSTFS_BRIDGE_VERSION);
    v86fs_store(hello + 12, 4, features);
    v86fs_store(hello + 16, 4, V86FS_FRAME_MAX);
    const struct hostfs_envelope envelope = {.kind = kind,
                                             .payload = bytes_of(hello, sizeof hello)};
    return hostfs_channel_send(channel, &envelope, deadline_ns);
}

static enum err receive_hello(struct hostfs_channel *channel, uint8_t kind,
                              uint64_t deadline_ns, struct hostfs_hello *ret_hello)
{
    struct hostfs_envelope envelope;
    TRY(hostfs_channel_receive(channel, deadline_ns, &envelope));
    const uint8_t *hello = envelope.payload.data;
    if (envelope.kind != kind || envelope.payload.size != HOSTFS_HELLO_SIZE ||
        memcmp(hello, hello_magic, sizeof hello_magic) != 0 ||
        v86fs_load(hello + 8, 4) != HOSTFS_BRIDGE_VERSION)
        return ERR_v86fs_bridge;
    *ret_hello =
        (struct hostfs_hello){.features = (uint32_t)v86fs_load(hello + 12, 4),
                              .frame_size_max = (uint32_t)v86fs_load(hello + 16, 4)};
    return ERR_ok;
}

enum err hostfs_channel_hello(struct hostfs_channel *channel, uint32_t features,
                              uint64_t deadline_ns, struct hostfs_hello *ret_hello)
{
    struct hostfs_hello hello;
    TRY(send_hello(channel, HOSTFS_HELLO, features, deadline_ns));
    TRY(receive_hello(channel, HOSTFS_HELLO_R, deadline_ns, &hello));
    if (hello.features & ~features)
        return ERR_v86fs_bridge; /* it takes what was not offered */
    *ret_hello = hello;
    return ERR_ok;
}

enum err hostfs_channel_welcome(struct hostfs_channel *channel, uint32_t features,
                                uint64_t deadline_ns, struct hostfs_hello *ret_hello)
{
    struct hostfs_hello hello;
    TRY(receive_hello(channel, HOSTFS_HELLO, deadline_ns, &hello));
    hello.features &= features;
    TRY(send_hello(channel, HOSTFS_HELLO_R, hello.features, deadline_ns));
    *ret_hello = hello;
    return ERR_ok;
}
