/* SPDX-License-Identifier: MIT
 *
 * Where the memory of a server's kernel comes from.
 */
#include "base/os.h"
#include "nub/internal.h"

#include <stdlib.h>

/* The call stack of the deepest configuration, and an engine. */
#define ARENA_SIZE_MAX ((size_t)1 << 30)

static void *space_take(void *self)
{
    void *space = NULL;
    (void)self;
    return os_reserve(PVM_MEM_RESERVE_SIZE, &space) == ERR_ok ? space : NULL;
}

static void space_give(void *self, void *space)
{
    (void)self;
    os_release(space, PVM_MEM_RESERVE_SIZE);
}

static void kernel_drop(struct nub_server *server)
{
    kernel_close(server->kernel);
    server->kernel = NULL;
    os_release(server->memory, server->memory_size);
    server->memory = NULL;
    arena_fini(&server->arena);
}

enum err nub_server_configure(struct nub_server *server,
                              const struct kernel_config *config)
{
    const struct kernel_host host = {
        .self = server, .space_take = space_take, .space_give = space_give};
    if (kernel_config_check(config))
        return ERR_usage;
    kernel_drop(server);
    server->config = *config;
    server->memory_size = kernel_memory_size(config);
    arena_init(&server->arena, ARENA_SIZE_MAX);
    TRY(os_reserve(server->memory_size, &server->memory));
    return kernel_create(&server->arena, config, server->memory, &host,
                         &server->kernel);
}

enum err nub_server_open(const struct kernel_config *config,
                         struct nub_server **ret_server)
{
    struct nub_server *server = calloc(1, sizeof *server);
    if (!server)
        return ERR_nomem;
    void *response = NULL;
    buf_init(&server->text, NUB_PAYLOAD_MAX);
    enum err err = os_reserve(NUB_FRAME_MAX, &response);
    server->response = response;
    if (!err)
        err = nub_server_configure(server, config);
    if (err) {
        nub_server_close(server);
        return err;
    }
    server->configurable = true;
    *ret_server = server;
    return ERR_ok;
}

void nub_server_close(struct nub_server *server)
{
    if (!server)
        return;
    kernel_drop(server);
    buf_fini(&server->text);
    os_release(server->response, NUB_FRAME_MAX);
    free(server);
}
