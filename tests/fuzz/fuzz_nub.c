/* SPDX-License-Identifier: MIT
 *
 * Any stream of requests, to a server with each engine: no crash, a well-formed answer
 * to every frame, and the same one.
 */
#include "kernel/cap.h"
#include "nub/server.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { GAS_MAX = 20000, ENGINE_AT = NUB_HEADER_SIZE + 52 };

static struct nub_server *open_server(enum kernel_engine engine)
{
    struct kernel_config config = kernel_config_default();
    struct nub_server *server;
    config.engine = engine;
    config.max_depth = 4;
    config.max_frame_mem = 1 << 20;
    config.max_stack_mem = 4 << 20;
    config.max_dir_bytes = 1 << 20;
    config.max_dir_caps = 64;
    config.max_assist_entries = 16;
    check(nub_server_open(&config, &server) == ERR_ok);
    return server;
}

/* Guests may loop, but not for ever; and no kernel of many GiB. */
static void tame(const struct nub_header *header, uint8_t *payload)
{
    if (header->fn == NUB_FN_invoke && header->size == NUB_INVOKE_SIZE)
        kernel_u64_put(payload + 72, kernel_u64(payload + 72) % GAS_MAX);
    if (header->fn == NUB_FN_resume && header->size == NUB_RESUME_SIZE)
        kernel_u64_put(payload + 40, kernel_u64(payload + 40) % GAS_MAX);
    if (header->fn != NUB_FN_configure || header->size != NUB_CONFIG_SIZE)
        return;
    kernel_u32_put(payload + 8, kernel_u32(payload + 8) % 8);
    kernel_u64_put(payload + 32, kernel_u64(payload + 32) % (1 << 21));
    kernel_u32_put(payload + 40, kernel_u32(payload + 40) % 256);
    kernel_u32_put(payload + 44, kernel_u32(payload + 44) % 256);
}

static struct bytes serve(struct nub_server *server, struct bytes frame)
{
    struct bytes response;
    struct nub_header request, header;
    check(nub_header_decode(frame.data, &request));
    check(nub_server_serve(server, frame, false, &response) == ERR_ok);
    check(response.size >= NUB_HEADER_SIZE);
    check(nub_header_decode(response.data, &header));
    check(nub_header_answers(&header, &request));
    check(response.size == NUB_HEADER_SIZE + (size_t)header.size);
    return response;
}

/* The engine's number in a configuration is the only thing that may differ. */
static void serve_both(struct nub_server *const server[2], struct bytes frame)
{
    struct bytes a = serve(server[0], frame), b = serve(server[1], frame);
    bool is_config = kernel_u32(frame.data + 8) == NUB_FN_configure &&
                     a.size == NUB_HEADER_SIZE + NUB_CONFIG_SIZE;
    size_t same = is_config ? ENGINE_AT : a.size;
    check(a.size == b.size);
    check(!memcmp(a.data, b.data, same));
}

/* A host reads what a worker sent.  What is read is written as it was. */
static void decode(struct bytes payload)
{
    uint8_t again[NUB_OUTCOME_SIZE];
    struct nub_state state;
    struct kernel_outcome outcome;
    struct kernel_config config;
    struct nub_boot_info info;
    struct kernel_result result;
    if (nub_state_decode(payload, &state))
        check(state.stack.size % NUB_FRAME_STATE_SIZE == 0);
    if (nub_outcome_decode(payload, &outcome)) {
        nub_outcome_encode(&outcome, again);
        check(!memcmp(again, payload.data, sizeof again));
    }
    if (nub_config_decode(payload, &config)) {
        nub_config_encode(&config, again);
        check(!memcmp(again, payload.data, NUB_CONFIG_SIZE));
    }
    if (nub_result_decode(payload, &result)) {
        nub_result_encode(&result, again);
        check(!memcmp(again, payload.data, NUB_RESULT_SIZE));
    }
    (void)nub_boot_info_decode(payload, &info);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nub_server *const server[2] = {open_server(KERNEL_ENGINE_INTERP),
                                          open_server(KERNEL_ENGINE_RECOMP)};
    struct nub_header header;
    uint8_t *copy = malloc(size + 1);
    decode(bytes_of(data, size));
    check(copy);
    if (size)
        memcpy(copy, data, size);
    for (size_t at = 0; size - at >= NUB_HEADER_SIZE;) {
        if (!nub_header_decode(copy + at, &header) ||
            header.size > size - at - NUB_HEADER_SIZE)
            break;
        tame(&header, copy + at + NUB_HEADER_SIZE);
        serve_both(server, bytes_of(copy + at, NUB_HEADER_SIZE + (size_t)header.size));
        at += NUB_HEADER_SIZE + (size_t)header.size;
    }
    free(copy);
    nub_server_close(server[0]);
    nub_server_close(server[1]);
    return 0;
}
