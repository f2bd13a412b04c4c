/* SPDX-License-Identifier: MIT
 *
 * A worker: read a request, answer it, until the stream ends [9.1, 12].
 */
#include "base/os.h"
#include "base/os_stream.h"
#include "nub/client.h"

enum worker_status {
    WORKER_DONE = 0,     /* the stream ended, or was of no more use */
    WORKER_ABORTED = 65, /* the machine could not go on */
};

/* False: the stream ends here. */
static bool receive_all(int stream, uint8_t *at, size_t size, bool *descriptors)
{
    while (size) {
        size_t got = 0;
        bool some = false;
        if (os_stream_receive(stream, at, size, OS_STREAM_NEVER, &got, &some))
            return false;
        *descriptors = *descriptors || some;
        at += got;
        size -= got;
    }
    return true;
}

static bool receive_request(int stream, uint8_t *frame, size_t *ret_size,
                            bool *ret_descriptors)
{
    struct nub_header header;
    *ret_descriptors = false;
    if (!receive_all(stream, frame, NUB_HEADER_SIZE, ret_descriptors) ||
        !nub_header_decode(frame, &header) ||
        !receive_all(stream, frame + NUB_HEADER_SIZE, header.size, ret_descriptors))
        return false;
    *ret_size = NUB_HEADER_SIZE + (size_t)header.size;
    return true;
}

static int serve_all(struct nub_server *server, int stream, uint8_t *frame)
{
    size_t size;
    bool descriptors;
    struct bytes response;
    while (receive_request(stream, frame, &size, &descriptors)) {
        enum err err =
            nub_server_serve(server, bytes_of(frame, size), descriptors, &response);
        if (err)
            return err == ERR_nub_protocol ? WORKER_DONE : WORKER_ABORTED;
        if (os_stream_send(stream, response.data, response.size, OS_STREAM_NEVER))
            return WORKER_DONE;
    }
    return WORKER_DONE;
}

int nub_worker_run(struct nub_server *server, int stream)
{
    void *frame;
    if (os_reserve(NUB_FRAME_MAX, &frame))
        return WORKER_ABORTED;
    return serve_all(server, stream, frame);
}
