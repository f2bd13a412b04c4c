/* SPDX-License-Identifier: MIT */
#include "cli/fs_serve.h"

#include "base/os.h"
#include "base/os_stream.h"

#define HELLO_NS UINT64_C(5000000000)

static void stop_listening(struct cli_fs_peer *peer)
{
    os_close(peer->listen_fd);
    peer->listen_fd = -1;
    if (peer->listen_path)
        (void)!os_unlink(peer->listen_path);
    peer->listen_path = NULL;
}

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
        stop_listening(peer); /* later we may have no right to remove it */
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

/* Pass on what others have changed. */
static enum err send_notes(struct cli_fs_peer *peer,
                           const struct cli_fs_service *service)
{
    struct bytes frame;
    while ((frame = service->note(service->self)).size) {
        const struct hostfs_envelope envelope = {.kind = HOSTFS_NOTIFY,
                                                 .payload = frame};
        struct v86fs_note note;
        if (v86fs_note_decode(frame, &note) && !v86fs_note_is_mount(&note))
            TRY(hostfs_channel_send(&peer->channel, &envelope, UINT64_MAX));
        service->note_taken(service->self);
    }
    return ERR_ok;
}

/* Wait for the client, and pass notifications on meanwhile. */
static enum err wait_for_request(struct cli_fs_peer *peer,
                                 const struct cli_fs_service *service)
{
    int fds[CLI_FS_WAIT_MAX];
    TRY(send_notes(peer, service));
    while (service->descriptors && !hostfs_channel_ready(&peer->channel)) {
        struct os_stream_event event[CLI_FS_WAIT_MAX + 2] = {
            {.fd = peer->channel.fd, .wants_read = true},
            {.fd = peer->channel.shared ? peer->channel.told : -1, .wants_read = true}};
        size_t count = service->descriptors(service->self, fds);
        for (size_t i = 0; i < count; i++)
            event[i + 2] = (struct os_stream_event){.fd = fds[i], .wants_read = true};
        TRY(os_stream_wait(event, count + 2, OS_STREAM_NEVER));
        TRY(send_notes(peer, service));
    }
    return ERR_ok;
}

/* One request of the client, and its reply.  *ret_end: it has left. */
static enum err serve_one(struct cli_fs_peer *peer,
                          const struct cli_fs_service *service, uint64_t *seq,
                          bool *ret_end)
{
    static uint8_t reply[V86FS_FRAME_MAX];
    struct hostfs_envelope envelope;
    TRY(wait_for_request(peer, service));
    TRY(hostfs_channel_receive(&peer->channel, UINT64_MAX, &envelope));
    *ret_end = envelope.kind == HOSTFS_BYE;
    if (*ret_end || envelope.kind == HOSTFS_CANCEL || envelope.kind == HOSTFS_MARK)
        return ERR_ok; /* everything was answered already */
    if (envelope.kind != HOSTFS_REQ || envelope.seq != *seq + 1)
        return ERR_v86fs_bridge;
    *seq = envelope.seq;
    size_t capacity =
        envelope.capacity < sizeof reply ? envelope.capacity : sizeof reply;
    size_t size = service->serve(service->self, envelope.payload, reply, capacity);
    const struct hostfs_envelope answer = {
        .kind = HOSTFS_REP, .seq = *seq, .payload = bytes_of(reply, size)};
    return hostfs_channel_send(&peer->channel, &answer, UINT64_MAX);
}

enum err cli_fs_peer_serve(struct cli_fs_peer *peer,
                           const struct cli_fs_service *service)
{
    uint64_t seq = 0;
    bool end = false;
    enum err err = ERR_ok;
    while (!err && !end)
        err = serve_one(peer, service, &seq, &end);
    return err == ERR_closed ? ERR_ok : err; /* to be gone is its right */
}

void cli_fs_peer_close(struct cli_fs_peer *peer)
{
    hostfs_channel_fini(&peer->channel);
    os_close(peer->channel.fd);
    stop_listening(peer);
}
