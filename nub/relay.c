/* SPDX-License-Identifier: MIT
 *
 * Many clients, one kernel.  Nothing here waits but for the next event, and for the
 * kernel's answer.
 */
#include "nub/relay.h"

#include "base/os.h"
#include "base/os_stream.h"

struct client {
    int stream;    /* -1: no client */
    struct buf in; /* the request, as far as it has come */
    size_t want;   /* bytes until more is known: the header, then the frame */
    struct nub_header header;
    bool descriptors;
    uint64_t deadline_ns; /* of the frame or its answer; OS_STREAM_NEVER else */
    struct buf out;       /* the answer, and how much of it has gone */
    size_t out_at;
};

struct relay {
    int listener;
    struct nub *nub;
    const struct nub_relay_options *options;
    struct nub_relay_counts *counts;
    struct client client[NUB_RELAY_CLIENTS_MAX];
};

static void tell(struct relay *relay, enum nub_relay_event event, enum err err)
{
    relay->counts->events[event]++;
    if (relay->options->tell)
        relay->options->tell(relay->options->self, event, err);
}

/* ---- clients ---- */

static void client_expect_header(struct client *client)
{
    buf_clear(&client->in);
    client->want = NUB_HEADER_SIZE;
    client->descriptors = false;
    client->deadline_ns = OS_STREAM_NEVER;
}

static void client_close(struct client *client)
{
    os_close(client->stream);
    client->stream = -1;
    buf_fini(&client->in);
    buf_fini(&client->out);
}

static void client_open(struct client *client, int stream)
{
    *client = (struct client){.stream = stream};
    buf_init(&client->in, NUB_FRAME_MAX);
    buf_init(&client->out, NUB_FRAME_MAX);
    client_expect_header(client);
}

static void client_disconnect(struct relay *relay, struct client *client, enum err err)
{
    tell(relay, NUB_RELAY_BAD, err);
    client_close(client);
}

static bool is_answered(const struct client *client)
{
    return client->out_at == client->out.size;
}

/* ---- requests ---- */

/* The answer goes out under the client's number. */
static void client_answer(struct client *client, uint32_t status, struct bytes payload)
{
    const struct nub_header header = {.fn = client->header.fn,
                                      .seq = client->header.seq,
                                      .status = status,
                                      .size = (uint32_t)payload.size};
    buf_clear(&client->out);
    client->out_at = 0;
    uint8_t *head = buf_extend(&client->out, NUB_HEADER_SIZE);
    if (head)
        nub_header_encode(&header, head);
    buf_put(&client->out, payload.data, payload.size);
}

static enum err serve_lost(struct relay *relay, struct client *client, enum err err)
{
    client_close(client);
    if (err == ERR_interrupted)
        return err;
    tell(relay, NUB_RELAY_LOST, err);
    TRY(nub_recover(relay->nub));
    tell(relay, NUB_RELAY_RECOVERED, ERR_ok);
    return ERR_ok;
}

static enum err serve(struct relay *relay, struct client *client)
{
    struct bytes frame = buf_bytes(&client->in), answer;
    relay->counts->requests++;
    if (client->descriptors) {
        uint8_t refusal[NUB_REFUSAL_MAX];
        size_t size = nub_refusal_encode(client->header.fn, refusal);
        client_answer(client, KERNEL_STATUS_MALFORMED, bytes_of(refusal, size));
    } else {
        enum err err = nub_call_as(
            relay->nub, &client->header,
            bytes_of(frame.data + NUB_HEADER_SIZE, client->header.size), &answer);
        if (err)
            return serve_lost(relay, client, err);
        client_answer(client, (uint32_t)nub_status(relay->nub), answer);
    }
    client_expect_header(client);
    client->deadline_ns = os_stream_deadline(relay->options->frame_timeout_ns);
    if (client->out.err)
        client_disconnect(relay, client, client->out.err);
    return ERR_ok;
}

/* False: the client is gone. */
static bool client_receive(struct relay *relay, struct client *client)
{
    enum { PART = 64 << 10 };
    uint8_t part[PART];
    size_t left = client->want - client->in.size, got = 0;
    bool descriptors = false;
    enum err err = os_stream_receive_some(
        client->stream, part, left < PART ? left : PART, &got, &descriptors);
    if (err == ERR_closed && client->in.size == 0) {
        client_close(client); /* between two requests: it is done */
        return false;
    }
    if (!err)
        buf_put(&client->in, part, got);
    if (!err)
        err = client->in.err;
    if (err) {
        client_disconnect(relay, client, err);
        return false;
    }
    client->descriptors = client->descriptors || descriptors;
    if (got && client->deadline_ns == OS_STREAM_NEVER)
        client->deadline_ns = os_stream_deadline(relay->options->frame_timeout_ns);
    return true;
}

static enum err client_read(struct relay *relay, struct client *client)
{
    if (!client_receive(relay, client) || client->in.size < client->want)
        return ERR_ok;
    if (client->want == NUB_HEADER_SIZE) {
        if (!nub_header_decode(client->in.data, &client->header)) {
            client_disconnect(relay, client, ERR_nub_protocol);
            return ERR_ok;
        }
        client->want += client->header.size;
    }
    return client->in.size < client->want ? ERR_ok : serve(relay, client);
}

static void client_write(struct relay *relay, struct client *client)
{
    size_t sent = 0;
    enum err err =
        os_stream_send_some(client->stream, client->out.data + client->out_at,
                            client->out.size - client->out_at, &sent);
    client->out_at += sent;
    if (is_answered(client))
        client->deadline_ns = OS_STREAM_NEVER;
    if (err)
        client_disconnect(relay, client, err);
}

/* ---- the loop ---- */

static enum err accept_one(struct relay *relay)
{
    int stream;
    TRY(os_stream_accept(relay->listener, 0, &stream));
    if (stream < 0)
        return ERR_ok;
    for (unsigned i = 0; i < NUB_RELAY_CLIENTS_MAX; i++) {
        if (relay->client[i].stream < 0) {
            client_open(&relay->client[i], stream);
            tell(relay, NUB_RELAY_CLIENT, ERR_ok);
            return ERR_ok;
        }
    }
    os_close(stream);
    tell(relay, NUB_RELAY_REFUSED, ERR_limit);
    return ERR_ok;
}

/* The next time at which somebody is late. */
static uint64_t next_deadline(const struct relay *relay)
{
    uint64_t next = OS_STREAM_NEVER;
    for (unsigned i = 0; i < NUB_RELAY_CLIENTS_MAX; i++) {
        const struct client *client = &relay->client[i];
        if (client->stream >= 0 && client->deadline_ns < next)
            next = client->deadline_ns;
    }
    return next;
}

static void disconnect_late(struct relay *relay)
{
    uint64_t now = os_clock_monotonic_ns();
    for (unsigned i = 0; i < NUB_RELAY_CLIENTS_MAX; i++) {
        struct client *client = &relay->client[i];
        if (client->stream >= 0 && client->deadline_ns <= now)
            client_disconnect(relay, client, ERR_timeout);
    }
}

static enum err turn(struct relay *relay)
{
    struct os_stream_event event[NUB_RELAY_CLIENTS_MAX + 1];
    for (unsigned i = 0; i < NUB_RELAY_CLIENTS_MAX; i++) {
        struct client *client = &relay->client[i];
        bool writes = client->stream >= 0 && !is_answered(client);
        event[i] = (struct os_stream_event){
            .fd = client->stream, .wants_read = !writes, .wants_write = writes};
    }
    event[NUB_RELAY_CLIENTS_MAX] =
        (struct os_stream_event){.fd = relay->listener, .wants_read = true};
    enum err err = os_stream_wait(event, countof(event), next_deadline(relay));
    if (err != ERR_timeout)
        TRY(err);
    for (unsigned i = 0; i < NUB_RELAY_CLIENTS_MAX && !err; i++) {
        if (!event[i].ready)
            continue;
        if (event[i].wants_write)
            client_write(relay, &relay->client[i]);
        else
            TRY(client_read(relay, &relay->client[i]));
    }
    if (!err && event[NUB_RELAY_CLIENTS_MAX].ready)
        TRY(accept_one(relay));
    disconnect_late(relay);
    return ERR_ok;
}

enum err nub_relay_run(int listener, struct nub *nub,
                       const struct nub_relay_options *options,
                       struct nub_relay_counts *ret_counts)
{
    struct relay relay = {
        .listener = listener, .nub = nub, .options = options, .counts = ret_counts};
    enum err err = ERR_ok;
    *ret_counts = (struct nub_relay_counts){.requests = 0};
    for (unsigned i = 0; i < NUB_RELAY_CLIENTS_MAX; i++)
        relay.client[i].stream = -1;
    while (!err)
        err = turn(&relay);
    for (unsigned i = 0; i < NUB_RELAY_CLIENTS_MAX; i++) {
        if (relay.client[i].stream >= 0)
            client_close(&relay.client[i]);
    }
    return err == ERR_interrupted ? ERR_ok : err;
}
