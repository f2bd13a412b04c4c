/* SPDX-License-Identifier: MIT
 *
 * From a request frame to a response frame [9.1 to 9.3].
 */
#include "nub/internal.h"

#include <string.h>

enum { REQUEST_ANY = -1, REQUEST_OWN = -2 };
#define ANY REQUEST_ANY
#define OWN REQUEST_OWN

struct function {
    uint32_t fn;
    int64_t request_size;
    bool is_free;
    nub_handler_fn *serve;
};

enum { FREE = true, WORK = false };

static const struct function functions[] = {
#define NUB_FN(id, name, request, opens, text) {id, request, opens, nub_serve_##name},
#include "nub/functions.def"
};

static const struct function *function_find(uint32_t fn)
{
    for (size_t i = 0; i < countof(functions); i++) {
        if (functions[i].fn == fn)
            return &functions[i];
    }
    return NULL;
}

/* CONFIGURE decides for itself: a query is free, too. */
static void close_configuration(struct nub_server *server, uint32_t fn,
                                const struct function *function)
{
    if (fn != NUB_FN_configure && !(function && function->is_free))
        server->configurable = false;
}

static enum err answer(struct nub_server *server, const struct nub_header *header,
                       struct bytes payload, bool descriptors, struct nub_reply *reply)
{
    const struct function *function = function_find(header->fn);
    enum kernel_status status = KERNEL_STATUS_OK;
    if (header->status || header->flags || descriptors)
        status = KERNEL_STATUS_MALFORMED;
    else if (!function)
        status = KERNEL_STATUS_UNKNOWN_FN;
    else if (function->request_size >= 0 &&
             payload.size != (uint64_t)function->request_size)
        status = KERNEL_STATUS_MALFORMED;
    close_configuration(server, header->fn, function);
    if (!status) {
        TRY(function->serve(server, payload, reply));
        status = reply->status;
    }
    reply->status = status;
    if (status)
        reply->size = (uint32_t)nub_refusal_encode(header->fn, reply->payload);
    return ERR_ok;
}

enum err nub_server_serve(struct nub_server *server, struct bytes request,
                          bool descriptors, struct bytes *ret_response)
{
    struct nub_header header;
    if (server->abort)
        return server->abort;
    if (request.size < NUB_HEADER_SIZE || !nub_header_decode(request.data, &header) ||
        request.size - NUB_HEADER_SIZE != header.size)
        return ERR_nub_protocol;
    struct nub_reply reply = {.payload = server->response + NUB_HEADER_SIZE};
    struct bytes payload = bytes_of(request.data + NUB_HEADER_SIZE, header.size);
    server->abort = answer(server, &header, payload, descriptors, &reply);
    if (server->abort)
        return server->abort;
    header = (struct nub_header){.fn = header.fn,
                                 .seq = header.seq,
                                 .status = (uint32_t)reply.status,
                                 .size = reply.size};
    nub_header_encode(&header, server->response);
    *ret_response = bytes_of(server->response, NUB_HEADER_SIZE + (size_t)reply.size);
    return ERR_ok;
}

/* ---- handlers ---- */

static enum err say_hash(struct nub_reply *reply, const struct hash256 *hash)
{
    memcpy(reply->payload, hash->byte, HASH256_SIZE);
    reply->size = HASH256_SIZE;
    return ERR_ok;
}

static enum err say_u32(struct nub_reply *reply, uint32_t value)
{
    kernel_u32_put(reply->payload, value);
    reply->size = 4;
    return ERR_ok;
}

static enum err say_u64(struct nub_reply *reply, uint64_t value)
{
    kernel_u64_put(reply->payload, value);
    reply->size = 8;
    return ERR_ok;
}

static enum err say_status(struct nub_reply *reply, enum kernel_status status)
{
    reply->status = status;
    return ERR_ok;
}

enum { SMOKE_ANSWER = 42 };

enum err nub_serve_smoke(struct nub_server *server, struct bytes payload,
                         struct nub_reply *reply)
{
    (void)server, (void)payload;
    return say_u64(reply, SMOKE_ANSWER);
}

enum err nub_serve_get_boot_info(struct nub_server *server, struct bytes payload,
                                 struct nub_reply *reply)
{
    (void)server, (void)payload;
    nub_boot_info_encode(reply->payload);
    reply->size = NUB_BOOT_INFO_SIZE;
    return ERR_ok;
}

static enum err say_result(struct nub_reply *reply, const struct kernel_result *result)
{
    nub_result_encode(result, reply->payload);
    reply->size = NUB_RESULT_SIZE;
    return ERR_ok;
}

static enum err say_bad_packet(struct nub_server *server, struct nub_reply *reply)
{
    struct kernel_result result;
    kernel_refuse(server->kernel, KERNEL_ERROR_BadPacket, &result);
    return say_result(reply, &result);
}

enum err nub_serve_invoke(struct nub_server *server, struct bytes payload,
                          struct nub_reply *reply)
{
    struct nub_invoke invoke;
    struct kernel_result result;
    if (!nub_invoke_decode(payload, &invoke))
        return say_bad_packet(server, reply);
    TRY(kernel_invoke(server->kernel, &invoke.instance, invoke.endpoint, invoke.args,
                      invoke.gas, &result));
    return say_result(reply, &result);
}

enum err nub_serve_resume(struct nub_server *server, struct bytes payload,
                          struct nub_reply *reply)
{
    struct nub_resume resume;
    struct kernel_result result;
    if (!nub_resume_decode(payload, &resume))
        return say_bad_packet(server, reply);
    TRY(kernel_resume(server->kernel, resume.flags, &resume.scratch, resume.topup,
                      &result));
    return say_result(reply, &result);
}

enum err nub_serve_last_outcome(struct nub_server *server, struct bytes payload,
                                struct nub_reply *reply)
{
    (void)payload;
    nub_outcome_encode(kernel_last_outcome(server->kernel), reply->payload);
    reply->size = NUB_OUTCOME_SIZE;
    return ERR_ok;
}

/* ---- caps ---- */

enum err nub_serve_put_cap(struct nub_server *server, struct bytes payload,
                           struct nub_reply *reply)
{
    struct hash256 hash;
    enum kernel_status status = kernel_put(server->kernel, payload, &hash);
    return status ? say_status(reply, status) : say_hash(reply, &hash);
}

enum err nub_serve_get_cap(struct nub_server *server, struct bytes payload,
                           struct nub_reply *reply)
{
    const uint8_t *p = payload.data;
    struct hash256 hash = kernel_hash_at(p);
    uint64_t offset = kernel_u64(p + 32), size = kernel_u32(p + 40);
    struct bytes wire;
    if (kernel_u32(p + 44))
        return say_status(reply, KERNEL_STATUS_MALFORMED);
    enum kernel_status status = kernel_get(server->kernel, &hash, &wire);
    if (status)
        return say_status(reply, status);
    if (offset > wire.size)
        return say_status(reply, KERNEL_STATUS_BAD_VALUE);
    if (size > wire.size - offset)
        size = wire.size - offset;
    if (size > NUB_PAYLOAD_MAX - NUB_CAP_PART_HEADER)
        size = NUB_PAYLOAD_MAX - NUB_CAP_PART_HEADER;
    kernel_u64_put(reply->payload, wire.size);
    kernel_u64_put(reply->payload + 8, offset);
    memcpy(reply->payload + NUB_CAP_PART_HEADER, wire.data + offset, size);
    reply->size = (uint32_t)(NUB_CAP_PART_HEADER + size);
    return ERR_ok;
}

/* ---- assist ---- */

enum err nub_serve_seed_file(struct nub_server *server, struct bytes payload,
                             struct nub_reply *reply)
{
    struct hash256 hash = kernel_hash_at(payload.data + 8);
    uint64_t next;
    enum kernel_status status =
        kernel_file_seed(server->kernel, kernel_u64(payload.data), &hash, &next);
    return status ? say_status(reply, status) : say_u64(reply, next);
}

enum err nub_serve_seed_quota(struct nub_server *server, struct bytes payload,
                              struct nub_reply *reply)
{
    const uint8_t *p = payload.data;
    uint64_t id = kernel_u64(p + 8), value = kernel_u64(p + 16), previous;
    enum kernel_status status;
    if (kernel_u32(p + 4))
        status = KERNEL_STATUS_MALFORMED;
    else if (kernel_u32(p) == 0)
        status = kernel_quota_seed(server->kernel, id, value, &previous);
    else if (kernel_u32(p) == 1)
        status = kernel_meter_seed(server->kernel, id, value, &previous);
    else
        status = KERNEL_STATUS_BAD_VALUE;
    return status ? say_status(reply, status) : say_u64(reply, previous);
}

enum err nub_serve_add_catcher(struct nub_server *server, struct bytes payload,
                               struct nub_reply *reply)
{
    const uint8_t *p = payload.data;
    struct hash256 catcher = kernel_hash_at(p + 8), marker = kernel_hash_at(p + 40);
    enum kernel_status status;
    uint32_t count;
    if (kernel_u32(p + 4))
        status = KERNEL_STATUS_MALFORMED;
    else if (kernel_u32(p) == 0)
        status = kernel_catcher_add(server->kernel, &catcher, &marker, &count);
    else if (kernel_u32(p) == 1)
        status = kernel_catcher_remove(server->kernel, &catcher, &marker, &count);
    else
        status = KERNEL_STATUS_BAD_VALUE;
    return status ? say_status(reply, status) : say_u32(reply, count);
}

enum err nub_serve_new_catcher(struct nub_server *server, struct bytes payload,
                               struct nub_reply *reply)
{
    struct hash256 id;
    (void)payload;
    enum kernel_status status = kernel_catcher_new(server->kernel, &id);
    return status ? say_status(reply, status) : say_hash(reply, &id);
}

enum err nub_serve_reset_block(struct nub_server *server, struct bytes payload,
                               struct nub_reply *reply)
{
    (void)payload, (void)reply;
    kernel_block_reset(server->kernel);
    return ERR_ok;
}

/* ---- trace and state [9.8, 9.9] ---- */

/* Memory that runs out is no answer; a state larger than a payload is. */
static enum err say_text(struct nub_server *server, struct nub_reply *reply)
{
    const struct buf *text = &server->text;
    if (text->err == ERR_limit)
        return say_status(reply, KERNEL_STATUS_LIMIT);
    if (text->err)
        return text->err;
    memcpy(reply->payload, text->data, text->size);
    reply->size = (uint32_t)text->size;
    return ERR_ok;
}

enum err nub_serve_drain_trace(struct nub_server *server, struct bytes payload,
                               struct nub_reply *reply)
{
    uint32_t size = kernel_u32(payload.data);
    if (kernel_u32(payload.data + 4))
        return say_status(reply, KERNEL_STATUS_MALFORMED);
    if (size > NUB_PAYLOAD_MAX - NUB_TRACE_HEADER)
        size = NUB_PAYLOAD_MAX - NUB_TRACE_HEADER;
    buf_clear(&server->text);
    kernel_trace_drain(server->kernel, size, &server->text);
    return say_text(server, reply);
}

enum err nub_serve_dump_state(struct nub_server *server, struct bytes payload,
                              struct nub_reply *reply)
{
    (void)payload;
    buf_clear(&server->text);
    kernel_state_dump(server->kernel, &server->text);
    return say_text(server, reply);
}

/* ---- configuration [9.6] ---- */

static enum kernel_status configure_check(struct nub_server *server,
                                          struct bytes payload,
                                          struct kernel_config *ret_config)
{
    bool was_configurable = server->configurable;
    server->configurable = false;
    if (payload.size != NUB_CONFIG_SIZE ||
        kernel_u64(payload.data + NUB_CONFIG_SIZE - 8))
        return KERNEL_STATUS_MALFORMED;
    if (!was_configurable)
        return KERNEL_STATUS_STATE;
    if (!nub_config_decode(payload, ret_config))
        return KERNEL_STATUS_BAD_VALUE;
    return kernel_config_check(ret_config);
}

enum err nub_serve_configure(struct nub_server *server, struct bytes payload,
                             struct nub_reply *reply)
{
    struct kernel_config config;
    if (payload.size) {
        enum kernel_status status = configure_check(server, payload, &config);
        if (status)
            return say_status(reply, status);
        TRY(nub_server_configure(server, &config));
    }
    nub_config_encode(&server->config, reply->payload);
    reply->size = NUB_CONFIG_SIZE;
    return ERR_ok;
}
