/* SPDX-License-Identifier: MIT
 *
 * nub/internal.h - the inside of a server.  Private to nub/.
 */
#ifndef NUB_INTERNAL_H
#define NUB_INTERNAL_H

#include "kernel/cap.h"
#include "nub/server.h"

struct nub_server {
    struct kernel_config config;
    bool configurable; /* no request has been served that ends that [9.6] */
    struct kernel *kernel;
    struct arena arena;
    void *memory;
    size_t memory_size;
    uint8_t *response; /* NUB_FRAME_MAX */
    struct buf text;   /* of an answer whose size is not known before */
    enum err abort;    /* the machine could not go on */
};

/* Replace the kernel by a fresh one.  The old one stays after ERR_usage only. */
ERR_MUST_CHECK enum err nub_server_configure(struct nub_server *server,
                                             const struct kernel_config *config);

/* One request: its status, and `size` bytes written to `payload`. */
struct nub_reply {
    enum kernel_status status;
    uint8_t *payload; /* room for NUB_PAYLOAD_MAX */
    uint32_t size;
};

/* A handler finds a payload of the size in its row.  An error is an external abort. */
typedef enum err nub_handler_fn(struct nub_server *server, struct bytes payload,
                                struct nub_reply *reply);
#define NUB_FN(id, name, request, opens, text) nub_handler_fn nub_serve_##name;
#include "nub/functions.def"

#endif
