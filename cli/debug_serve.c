/* SPDX-License-Identifier: MIT */
#include "cli/debug_serve.h"

#include "base/os.h"
#include "base/os_socket.h"

#include <string.h>

enum { RECEIVE_SIZE = 65536, PENDING_SIZE_MAX = 1 << 20, OUT_SIZE_MAX = 64 << 20 };
enum { WAIT_MS = 200, INTERRUPT = 3 };

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
    size_t size;
    if (serve->fd < 0)
        return serve->stopped && serve->stopped();
    enum err err = os_receive(serve->fd, 0, data, sizeof data, &size);
    if (err && err != ERR_interrupted)
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
        enum err err = os_receive(serve->fd, WAIT_MS, data, RECEIVE_SIZE, ret_size);
        if (err && err != ERR_interrupted)
            return false;
        if (*ret_size)
            return true;
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
        if (out.size && os_send(fd, out.data, out.size))
            goes_on = false;
        buf_clear(&out);
    }
    buf_fini(&out);
    buf_fini(&serve->pending);
    os_close(fd);
    serve->fd = -1;
}
