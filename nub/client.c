/* SPDX-License-Identifier: MIT
 *
 * One request after the other, whatever carries them.
 */
#include "base/os.h"
#include "nub/client.h"

#include <stdlib.h>
#include <string.h>

/* ---- one request ---- */

static void fail(struct nub *nub, const struct nub_header *header, enum err err)
{
    nub->err = err;
    nub->transport->end(nub);
    if (nub->observer && nub->observer->aborted)
        nub->observer->aborted(nub->observer->self, header->seq, err);
}

/* The frame in nub->request has been built. */
static enum err exchange(struct nub *nub, const struct nub_header *header,
                         struct bytes frame, struct bytes *ret_response)
{
    struct nub_header answer;
    struct bytes response;
    if (nub->observer && nub->observer->request)
        nub->observer->request(nub->observer->self, frame);
    enum err err = nub->transport->exchange(nub, frame, &response);
    if (!err && !nub_response_fits(header, response, &answer))
        err = ERR_nub_protocol;
    if (err) {
        fail(nub, header, err);
        return err;
    }
    nub->status = (enum kernel_status)answer.status;
    nub_journal_add(&nub->journal, frame, response);
    if (nub->observer && nub->observer->response)
        nub->observer->response(nub->observer->self, response);
    *ret_response = response;
    return ERR_ok;
}

bool nub_response_fits(const struct nub_header *request, struct bytes response,
                       struct nub_header *ret_header)
{
    return response.size >= NUB_HEADER_SIZE &&
           nub_header_decode(response.data, ret_header) &&
           nub_header_answers(ret_header, request) &&
           response.size - NUB_HEADER_SIZE == ret_header->size;
}

enum err nub_call_as(struct nub *nub, const struct nub_header *header,
                     struct bytes payload, struct bytes *ret_payload)
{
    struct nub_header sent = *header;
    struct bytes response;
    if (nub->err)
        return nub->err;
    if (payload.size > NUB_PAYLOAD_MAX)
        return ERR_limit;
    sent.seq = ++nub->seq;
    sent.size = (uint32_t)payload.size;
    buf_clear(&nub->request);
    uint8_t *head = buf_extend(&nub->request, NUB_HEADER_SIZE);
    if (head)
        nub_header_encode(&sent, head);
    buf_put(&nub->request, payload.data, payload.size);
    if (nub->request.err)
        return nub->request.err;
    TRY(exchange(nub, &sent, buf_bytes(&nub->request), &response));
    *ret_payload =
        bytes_of(response.data + NUB_HEADER_SIZE, response.size - NUB_HEADER_SIZE);
    return ERR_ok;
}

enum err nub_call(struct nub *nub, uint32_t fn, struct bytes payload,
                  struct bytes *ret_payload)
{
    return nub_call_as(nub, &(struct nub_header){.fn = fn}, payload, ret_payload);
}

enum kernel_status nub_status(const struct nub *nub)
{
    return nub->status;
}

void nub_observe(struct nub *nub, const struct nub_observer *observer)
{
    nub->observer = observer;
}

/* ---- life ---- */

enum err nub_check(struct nub *nub)
{
    struct bytes payload;
    struct nub_boot_info info;
    TRY(nub_call(nub, NUB_FN_smoke, bytes_of("", 0), &payload));
    if (nub->status || payload.size != 8 || kernel_u64(payload.data) != 42)
        return ERR_nub_protocol;
    return nub_boot_info(nub, &info);
}

enum err nub_create(const struct nub_transport *transport,
                    const struct nub_options *options, struct nub **ret_nub)
{
    struct nub *nub = calloc(1, sizeof *nub);
    if (!nub)
        return ERR_nomem;
    nub->transport = transport;
    nub->stream = -1;
    nub->worker_end = -1;
    nub->config = kernel_config_default();
    if (options)
        nub->options = *options;
    if (options && options->config)
        nub->config = *options->config;
    nub->options.config = NULL; /* was the caller's */
    buf_init(&nub->request, NUB_FRAME_MAX);
    buf_init(&nub->response, NUB_FRAME_MAX + 1);
    nub_journal_init(&nub->journal, nub->options.journal_max);
    *ret_nub = nub;
    return ERR_ok;
}

void nub_close(struct nub *nub)
{
    if (!nub)
        return;
    nub->transport->end(nub);
    buf_fini(&nub->request);
    buf_fini(&nub->response);
    nub_journal_fini(&nub->journal);
    free(nub);
}

/* ---- requests with types ---- */

/* The answer to a request that must succeed, of this size. */
static enum err ask(struct nub *nub, uint32_t fn, struct bytes payload, size_t size,
                    struct bytes *ret_payload)
{
    TRY(nub_call(nub, fn, payload, ret_payload));
    if (nub->status)
        return ERR_nub_refused;
    return ret_payload->size == size ? ERR_ok : nub_distrust(nub);
}

enum err nub_distrust(struct nub *nub)
{
    nub->err = ERR_nub_protocol;
    nub->transport->end(nub);
    return nub->err;
}

static enum err ask_hash(struct nub *nub, uint32_t fn, struct bytes payload,
                         struct hash256 *ret_hash)
{
    struct bytes answer;
    TRY(ask(nub, fn, payload, HASH256_SIZE, &answer));
    *ret_hash = kernel_hash_at(answer.data);
    return ERR_ok;
}

static enum err ask_u64(struct nub *nub, uint32_t fn, struct bytes payload,
                        uint64_t *ret_value)
{
    struct bytes answer;
    TRY(ask(nub, fn, payload, 8, &answer));
    *ret_value = kernel_u64(answer.data);
    return ERR_ok;
}

enum err nub_put(struct nub *nub, struct bytes wire, struct hash256 *ret_hash)
{
    return ask_hash(nub, NUB_FN_put_cap, wire, ret_hash);
}

enum err nub_get(struct nub *nub, const struct hash256 *hash, struct buf *ret_wire)
{
    uint8_t request[48] = {0};
    uint64_t at = 0, total = 0;
    memcpy(request, hash->byte, HASH256_SIZE);
    kernel_u32_put(request + 40, UINT32_MAX);
    do {
        struct bytes part;
        kernel_u64_put(request + 32, at);
        TRY(nub_call(nub, NUB_FN_get_cap, bytes_of(request, sizeof request), &part));
        if (nub->status)
            return ERR_nub_refused;
        if (part.size < NUB_CAP_PART_HEADER)
            return nub_distrust(nub);
        uint64_t whole = kernel_u64(part.data), size = part.size - NUB_CAP_PART_HEADER;
        bool fits = kernel_u64(part.data + 8) == at && (at == 0 || whole == total) &&
                    size <= whole - at && (size || whole == at);
        if (!fits)
            return nub_distrust(nub);
        total = whole;
        buf_put(ret_wire, part.data + NUB_CAP_PART_HEADER, size);
        at += size;
    } while (at < total && !ret_wire->err);
    return ret_wire->err;
}

static enum err ask_result(struct nub *nub, uint32_t fn, struct bytes payload,
                           struct kernel_result *ret_result)
{
    struct bytes answer;
    TRY(ask(nub, fn, payload, NUB_RESULT_SIZE, &answer));
    check(nub_result_decode(answer, ret_result));
    return ERR_ok;
}

enum err nub_invoke(struct nub *nub, const struct nub_invoke *invoke,
                    struct kernel_result *ret_result)
{
    uint8_t packet[NUB_INVOKE_SIZE];
    nub_invoke_encode(invoke, packet);
    return ask_result(nub, NUB_FN_invoke, bytes_of(packet, sizeof packet), ret_result);
}

enum err nub_resume(struct nub *nub, const struct nub_resume *resume,
                    struct kernel_result *ret_result)
{
    uint8_t packet[NUB_RESUME_SIZE];
    nub_resume_encode(resume, packet);
    return ask_result(nub, NUB_FN_resume, bytes_of(packet, sizeof packet), ret_result);
}

enum err nub_outcome(struct nub *nub, struct kernel_outcome *ret_outcome)
{
    struct bytes answer;
    TRY(ask(nub, NUB_FN_last_outcome, bytes_of("", 0), NUB_OUTCOME_SIZE, &answer));
    return nub_outcome_decode(answer, ret_outcome) ? ERR_ok : nub_distrust(nub);
}

enum err nub_boot_info(struct nub *nub, struct nub_boot_info *ret_info)
{
    struct bytes answer;
    TRY(ask(nub, NUB_FN_get_boot_info, bytes_of("", 0), NUB_BOOT_INFO_SIZE, &answer));
    return nub_boot_info_decode(answer, ret_info) ? ERR_ok : nub_distrust(nub);
}

static enum err ask_config(struct nub *nub, struct bytes payload,
                           struct kernel_config *ret_config)
{
    struct bytes answer;
    TRY(ask(nub, NUB_FN_configure, payload, NUB_CONFIG_SIZE, &answer));
    return nub_config_decode(answer, ret_config) ? ERR_ok : nub_distrust(nub);
}

enum err nub_config(struct nub *nub, struct kernel_config *ret_config)
{
    return ask_config(nub, bytes_of("", 0), ret_config);
}

enum err nub_configure(struct nub *nub, const struct kernel_config *config,
                       struct kernel_config *ret_config)
{
    uint8_t packet[NUB_CONFIG_SIZE];
    nub_config_encode(config, packet);
    return ask_config(nub, bytes_of(packet, sizeof packet), ret_config);
}

enum err nub_state(struct nub *nub, struct nub_state *ret_state)
{
    struct bytes answer;
    TRY(nub_call(nub, NUB_FN_dump_state, bytes_of("", 0), &answer));
    if (nub->status)
        return ERR_nub_refused;
    return nub_state_decode(answer, ret_state) ? ERR_ok : nub_distrust(nub);
}

enum err nub_seed_file(struct nub *nub, uint64_t id, const struct hash256 *hash,
                       uint64_t *ret_next_id)
{
    uint8_t packet[40];
    kernel_u64_put(packet, id);
    memcpy(packet + 8, hash->byte, HASH256_SIZE);
    return ask_u64(nub, NUB_FN_seed_file, bytes_of(packet, sizeof packet), ret_next_id);
}

enum err nub_seed_quota(struct nub *nub, enum nub_table table, uint64_t id,
                        uint64_t value, uint64_t *ret_previous)
{
    uint8_t packet[24] = {0};
    kernel_u32_put(packet, (uint32_t)table);
    kernel_u64_put(packet + 8, id);
    kernel_u64_put(packet + 16, value);
    return ask_u64(nub, NUB_FN_seed_quota, bytes_of(packet, sizeof packet),
                   ret_previous);
}

enum err nub_new_catcher(struct nub *nub, struct hash256 *ret_id)
{
    return ask_hash(nub, NUB_FN_new_catcher, bytes_of("", 0), ret_id);
}

enum err nub_add_catcher(struct nub *nub, bool remove, const struct hash256 *catcher,
                         const struct hash256 *marker, uint32_t *ret_count)
{
    uint8_t packet[72] = {remove};
    struct bytes answer;
    memcpy(packet + 8, catcher->byte, HASH256_SIZE);
    memcpy(packet + 40, marker->byte, HASH256_SIZE);
    TRY(ask(nub, NUB_FN_add_catcher, bytes_of(packet, sizeof packet), 4, &answer));
    *ret_count = kernel_u32(answer.data);
    return ERR_ok;
}

enum err nub_reset_block(struct nub *nub)
{
    struct bytes answer;
    return ask(nub, NUB_FN_reset_block, bytes_of("", 0), 0, &answer);
}
