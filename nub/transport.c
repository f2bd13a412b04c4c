/* SPDX-License-Identifier: MIT
 *
 * The ways to a kernel: in this process, in a worker, behind a stream.
 */
#include "base/os.h"
#include "base/os_process.h"
#include "base/os_stream.h"
#include "nub/client.h"

#include <string.h>

static enum err finish_open(struct nub *nub, enum err err, struct nub **ret_nub)
{
    if (!err)
        err = nub_check(nub);
    if (err) {
        nub_close(nub);
        return err;
    }
    *ret_nub = nub;
    return ERR_ok;
}

/* ---- in this process ---- */

static enum err local_exchange(struct nub *nub, struct bytes request,
                               struct bytes *ret_response)
{
    return nub_server_serve(nub->server, request, false, ret_response);
}

static void local_end(struct nub *nub)
{
    nub_server_close(nub->server);
    nub->server = NULL;
}

enum err nub_open(const struct nub_options *options, struct nub **ret_nub)
{
    static const struct nub_transport transport = {local_exchange, local_end};
    struct nub *nub;
    TRY(nub_create(&transport, options, &nub));
    return finish_open(nub, nub_server_open(&nub->config, &nub->server), ret_nub);
}

/* ---- a stream ---- */

/* Receive until `nub->response` has `size` bytes.  It asks for one byte more than the
 * frame has: what comes behind it was sent unasked. */
static enum err receive_up_to(struct nub *nub, size_t size, uint64_t deadline_ns)
{
    enum { PART = 64 << 10 };
    struct buf *in = &nub->response;
    while (in->size < size) {
        uint8_t part[PART];
        size_t got, want = size + 1 - in->size;
        bool descriptors;
        TRY(os_stream_receive(nub->stream, part, want < PART ? want : PART, deadline_ns,
                              &got, &descriptors));
        if (descriptors)
            return ERR_nub_protocol;
        buf_put(in, part, got);
        if (in->err)
            return in->err;
    }
    return ERR_ok;
}

/* The header says how much follows, once it is known to be the one that is due. */
static enum err stream_exchange(struct nub *nub, struct bytes request,
                                struct bytes *ret_response)
{
    uint64_t deadline_ns = os_stream_deadline(nub->options.timeout_ns);
    struct nub_header sent, header;
    check(nub_header_decode(request.data, &sent));
    TRY(os_stream_send(nub->stream, request.data, request.size, deadline_ns));
    buf_clear(&nub->response);
    TRY(receive_up_to(nub, NUB_HEADER_SIZE, deadline_ns));
    if (!nub_header_decode(nub->response.data, &header) ||
        !nub_header_answers(&header, &sent))
        return ERR_nub_protocol;
    size_t size = NUB_HEADER_SIZE + (size_t)header.size;
    TRY(receive_up_to(nub, size, deadline_ns));
    if (nub->response.size != size)
        return ERR_nub_protocol;
    *ret_response = buf_bytes(&nub->response);
    return ERR_ok;
}

static void stream_end(struct nub *nub)
{
    os_close(nub->stream);
    nub->stream = -1;
}

enum err nub_attach(int stream, const struct nub_options *options, struct nub **ret_nub)
{
    static const struct nub_transport transport = {stream_exchange, stream_end};
    struct nub *nub;
    enum err err = nub_create(&transport, options, &nub);
    if (err) {
        os_close(stream);
        return err;
    }
    nub->stream = stream;
    return finish_open(nub, ERR_ok, ret_nub);
}

enum err nub_connect(const char *path, const struct nub_options *options,
                     struct nub **ret_nub)
{
    int stream;
    TRY(os_stream_connect(path, 0, &stream));
    return nub_attach(stream, options, ret_nub);
}

/* ---- a worker ---- */

static int worker_main(void *self, int stream)
{
    enum { EXIT_NO_KERNEL = 64 };
    struct nub *nub = self;
    struct nub_server *server;
    if (nub_server_open(&nub->config, &server))
        return EXIT_NO_KERNEL;
    return nub_worker_run(server, stream);
}

/* Every frame that a configuration allows, the directory, and room for programs. */
#define WORKER_ADDRESS_SPACE_MAX ((uint64_t)64 << 40)

static enum err worker_start(struct nub *nub)
{
    const struct os_process_options options = {.without = nub->options.without_walls,
                                               .require = nub->options.require_walls,
                                               .address_space_max =
                                                   WORKER_ADDRESS_SPACE_MAX};
    (void)hash_sha256("", 0); /* the library reads files when it is first used */
    TRY(os_process_open(&options, worker_main, nub, &nub->worker));
    nub->stream = os_process_stream(nub->worker);
    return ERR_ok;
}

/* A worker that closed its stream is about to end, and says then how. */
static void worker_end(struct nub *nub)
{
    enum { GRACE_MS = 50 };
    if (!nub->worker)
        return;
    for (int i = 0; nub->err == ERR_closed && i < GRACE_MS; i++) {
        if (os_process_end(nub->worker) >= 0)
            break;
        os_sleep_ns(1000000);
    }
    nub->worker_end = os_process_end(nub->worker);
    os_process_close(nub->worker);
    nub->worker = NULL;
    nub->stream = -1;
}

static const struct nub_transport worker_transport = {stream_exchange, worker_end};

enum err nub_open_worker(const struct nub_options *options, struct nub **ret_nub)
{
    struct nub *nub;
    if (options && options->config && kernel_config_check(options->config))
        return ERR_usage;
    TRY(nub_create(&worker_transport, options, &nub));
    return finish_open(nub, worker_start(nub), ret_nub);
}

int nub_worker_pid(const struct nub *nub)
{
    return nub->worker ? os_process_pid(nub->worker) : 0;
}

unsigned nub_worker_walls(const struct nub *nub)
{
    return nub->worker ? os_process_walls(nub->worker) : 0;
}

int nub_worker_end(const struct nub *nub)
{
    return nub->worker_end;
}

/* Send what the journal has, and compare the answers. */
static enum err rebuild(struct nub *nub)
{
    struct nub_journal_entry entry;
    struct bytes response;
    for (size_t at = 0; nub_journal_next(&nub->journal, &at, &entry);) {
        TRY(stream_exchange(nub, entry.request, &response));
        struct hash256 digest = nub_journal_digest(response);
        if (!hash256_equal(&digest, &entry.response))
            return ERR_nub_diverged;
    }
    return ERR_ok;
}

enum err nub_recover(struct nub *nub)
{
    if (nub->transport != &worker_transport || !nub->options.journal_max)
        return ERR_unsupported;
    worker_end(nub);
    nub->err = nub->journal.overflowed ? ERR_limit : worker_start(nub);
    if (!nub->err)
        nub->err = rebuild(nub);
    if (nub->err)
        worker_end(nub);
    return nub->err;
}
