/* SPDX-License-Identifier: MIT */
#include "cli/fs_serve.h"

#include "base/os.h"
#include "base/os_stream.h"

#define HELLO_NS UINT64_C(5000000000)

static int attach(struct cli *cli, const char *listen, const char *connect,
                  struct cli_fs_peer *peer)
{
    const char *path = listen ? listen : connect;
    enum err err;
    if (connect) {
        err = os_stream_connect(connect, os_clock_monotonic_ns() + HELLO_NS,
                                &peer->channel.fd);
        return err ? ui_fail(cli, err, connect) : CLI_YES;
    }
    err = os_stream_listen(listen, &peer->listen_fd);
    if (!err) {
        peer->listen_path = listen;
        ui_note(cli, "listening at %s", listen);
        err = os_stream_accept(peer->listen_fd, OS_STREAM_NEVER, &peer->channel.fd);
    }
    return err ? ui_fail(cli, err, path) : CLI_YES;
}

int cli_fs_peer_open(struct cli *cli, const char *listen, const char *connect,
                     uint32_t features, struct cli_fs_peer *peer)
{
    *peer = (struct cli_fs_peer){.channel.fd = -1, .listen_fd = -1};
    if (!listen == !connect)
        return ui_usage(cli, "a client is needed: one of --listen and --connect");
    os_catch_interrupts();
    size_t size = HOSTFS_ENVELOPE_SIZE + V86FS_FRAME_MAX;
    peer->channel.in = arena_alloc(&cli->arena, size, 8);
    peer->channel.out = arena_alloc(&cli->arena, size, 8);
    check(peer->channel.in && peer->channel.out);
    int status = attach(cli, listen, connect, peer);
    if (status)
        return status;
    enum err err = hostfs_channel_welcome(
        &peer->channel, features, os_clock_monotonic_ns() + HELLO_NS, &peer->hello);
    return err ? ui_fail(cli, err, listen ? listen : connect) : CLI_YES;
}

enum err cli_fs_peer_serve(struct cli_fs_peer *peer,
                           size_t (*serve)(void *self, struct bytes request,
                                           uint8_t *reply, size_t reply_size_max),
                           void *self)
{
    static uint8_t reply[V86FS_FRAME_MAX];
    uint64_t seq = 0;
    for (;;) {
        struct hostfs_envelope envelope;
        enum err err = hostfs_channel_receive(&peer->channel, UINT64_MAX, &envelope);
        if (err == ERR_closed || (!err && envelope.kind == HOSTFS_BYE))
            return ERR_ok; /* it is gone, which is its right */
        if (err)
            return err;
        if (envelope.kind == HOSTFS_CANCEL || envelope.kind == HOSTFS_MARK)
            continue; /* everything was answered already */
        if (envelope.kind != HOSTFS_REQ || envelope.seq != seq + 1)
            return ERR_v86fs_bridge;
        seq = envelope.seq;
        size_t capacity =
            envelope.capacity < sizeof reply ? envelope.capacity : sizeof reply;
        size_t size = serve(self, envelope.payload, reply, capacity);
        const struct hostfs_envelope answer = {
            .kind = HOSTFS_REP, .seq = seq, .payload = bytes_of(reply, size)};
        err = hostfs_channel_send(&peer->channel, &answer, UINT64_MAX);
        if (err)
            return err == ERR_closed ? ERR_ok : err;
    }
}

void cli_fs_peer_close(struct cli_fs_peer *peer)
{
    hostfs_channel_fini(&peer->channel);
    os_close(peer->channel.fd);
    os_close(peer->listen_fd);
    if (peer->listen_path)
        (void)!os_unlink(peer->listen_path);
}
