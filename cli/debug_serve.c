/* SPDX-License-Identifier: MIT */
#include "cli/debug_serve.h"

#include "base/os.h"
#include "base/os_stream.h"

#include <string.h>

enum { RECEIVE_SIZE = 65536, PENDING_SIZE_MAX = 1 << 20, OUT_SIZE_MAX = 64 << 20 };
enum { WAIT_NS = 200000000, INTERRUPT = 3 };

/* While the guest runs a client sends the interrupt byte, and maybe more behind it. */
static void take(struct cli_serve *serve, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (!serve->pending.size && data[i] == INTERRUPT)
            serve->interrupted = true;
        else
            buf_byte(&serve->pending, data[i]);
    }
    if (serve->pending.err)
        serve->interrupted = true;
}

bool cli_serve_interrupted(void *self)
{
    struct cli_serve *serve = self;
    uint8_t data[4096];
    size_t size = 0;
    bool descriptors;
    if (serve->fd < 0)
        return serve->stopped && serve->stopped();
    if (os_stream_receive_some(serve->fd, data, sizeof data, &size, &descriptors))
        serve->interrupted = true;
    take(serve, data, size);
    return serve->interrupted || (serve->stopped && serve->stopped());
}

/* The next bytes of the client; false: it has left. */
static bool receive(struct cli_serve *serve, uint8_t *data, size_t *ret_size)
{
    if (serve->pending.size) {
        size_t size = serve->pending.size < RECEIVE_SIZE ? serve->pending.size
                                                         : (size_t)RECEIVE_SIZE;
        memcpy(data, serve->pending.data, size);
        memmove(serve->pending.data, serve->pending.data + size,
                serve->pending.size - size);
        serve->pending.size -= size;
        *ret_size = size;
        return !serve->pending.err;
    }
    for (;;) {
        bool descriptors;
        enum err err =
            os_stream_receive(serve->fd, data, RECEIVE_SIZE,
                              os_stream_deadline(WAIT_NS), ret_size, &descriptors);
        if (!err)
            return true;
        if (err != ERR_timeout && err != ERR_interrupted)
            return false;
        if (serve->stopped && serve->stopped())
            return false;
    }
}

void cli_serve_client(struct cli_serve *serve, int fd, struct replay_gdb *gdb)
{
    uint8_t data[RECEIVE_SIZE];
    size_t size;
    struct buf out;
    bool goes_on = true;
    serve->fd = fd;
    buf_init(&serve->pending, PENDING_SIZE_MAX);
    buf_init(&out, OUT_SIZE_MAX);
    replay_gdb_connect(gdb);
    while (goes_on && receive(serve, data, &size)) {
        serve->interrupted = false;
        goes_on = replay_gdb_input(gdb, bytes_of(data, size), &out);
        if (out.size && os_stream_send(fd, out.data, out.size, OS_STREAM_NEVER))
            goes_on = false;
        buf_clear(&out);
    }
    buf_fini(&out);
    buf_fini(&serve->pending);
    os_close(fd);
    serve->fd = -1;
}
