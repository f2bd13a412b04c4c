/* SPDX-License-Identifier: MIT
 *
 * nub/server.h - the worker's side: one kernel that answers request frames.
 *
 * nub_server_serve() is the in-process transport and what a worker process runs: the
 * same bytes in, the same bytes out.  The answers are a function of the configuration
 * and of the requests so far; nothing here knows sockets.  One thread.
 */
#ifndef NUB_SERVER_H
#define NUB_SERVER_H

#include "nub/packet.h"

struct nub_server;

/* A fresh kernel.  ERR_usage for a configuration that kernel_config_check() refuses,
 * ERR_nomem. */
ERR_MUST_CHECK enum err nub_server_open(const struct kernel_config *config,
                                        struct nub_server **ret_server);

/* NULL is fine. */
void nub_server_close(struct nub_server *server);

/*
 * Answer one request frame.  `descriptors`: some came with it, which no request may
 * bring.  The response frame is borrowed until the next call.
 *
 *   what the request asks for cannot be    a status, or a result, in the response
 *   the stream is of no more use [12]      ERR_nub_protocol, no response
 *   the machine could not go on [10]       ERR_nomem and others, no response: an
 *                                          external abort, the server is useless now
 */
ERR_MUST_CHECK enum err nub_server_serve(struct nub_server *server,
                                         struct bytes request, bool descriptors,
                                         struct bytes *ret_response);

#endif
