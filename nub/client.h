/* SPDX-License-Identifier: MIT
 *
 * nub/client.h - the inside of a connection.  Private to nub/.
 */
#ifndef NUB_CLIENT_H
#define NUB_CLIENT_H

#include "kernel/cap.h"
#include "nub/nub.h"
#include "nub/server.h"

/* Requests that changed a kernel, and a digest of each answer. */
struct nub_journal {
    struct buf entries; /* digest of the response, request frame; one behind another */
    uint64_t size_max;  /* 0: nothing is kept */
    bool begun;         /* a request has ended the time of CONFIGURE */
    bool overflowed;
};

void nub_journal_init(struct nub_journal *journal, uint64_t size_max);
void nub_journal_fini(struct nub_journal *journal);
void nub_journal_add(struct nub_journal *journal, struct bytes request,
                     struct bytes response);

/* The entry at *at, which moves on; false at the end. */
struct nub_journal_entry {
    struct hash256 response;
    struct bytes request;
};
bool nub_journal_next(const struct nub_journal *journal, size_t *at,
                      struct nub_journal_entry *ret_entry);

/* What stands for an answer, without the engine of a configuration. */
struct hash256 nub_journal_digest(struct bytes response);

/* What carries frames. */
struct nub_transport {
    /* Send one frame and wait for one; the response is borrowed until the next. */
    enum err (*exchange)(struct nub *nub, struct bytes request,
                         struct bytes *ret_response);
    void (*end)(struct nub *nub); /* fine twice */
};

struct os_process;

struct nub {
    const struct nub_transport *transport;
    struct nub_options options;
    struct kernel_config config;
    enum err err; /* why the connection has ended */
    uint32_t seq;
    enum kernel_status status;
    struct buf request, response;
    const struct nub_observer *observer;
    struct nub_journal journal;
    struct nub_server *server; /* in process */
    struct os_process *worker;
    int worker_end;
    int stream; /* -1: none; of a worker, it is borrowed */
};

ERR_MUST_CHECK enum err nub_create(const struct nub_transport *transport,
                                   const struct nub_options *options,
                                   struct nub **ret_nub);

/* Is a kernel there? */
ERR_MUST_CHECK enum err nub_check(struct nub *nub);

/* End the connection for an answer that nobody can have meant. */
enum err nub_distrust(struct nub *nub);

/* Is this one frame that answers `request`? */
bool nub_response_fits(const struct nub_header *request, struct bytes response,
                       struct nub_header *ret_header);

/* What a worker process does with its stream until that ends; its exit status. */
int nub_worker_run(struct nub_server *server, int stream);

#endif
