/* SPDX-License-Identifier: MIT
 *
 * nub/nub.h - the host's side: drive a capability kernel, wherever it runs.
 *
 * A `struct nub` is a connection to one kernel: in this process, in a confined worker
 * process, or behind a socket that `lockstep serve` listens at.  The bytes are the same
 * for all (nub/packet.h, pvm-kernel.md 9).  What a kernel sends is not trusted: an
 * answer that does not fit its request ends the connection.
 *
 * A worker that is lost is no result of the kernel [10]: the call fails, and
 * nub_recover() makes a fresh worker answer as far as the old one had answered, by
 * sending it the same requests again.  One thread.
 */
#ifndef NUB_NUB_H
#define NUB_NUB_H

#include "nub/packet.h"

struct nub;

/* ---- connections ---- */

struct nub_options {
    const struct kernel_config *config; /* of a kernel of ours; NULL: the default */
    uint64_t timeout_ns;                /* for each answer; 0: for ever */
    /* Workers only: bytes of requests to keep for nub_recover(); 0: cannot recover. */
    uint64_t journal_max;
    unsigned without_walls, require_walls; /* enum os_worker_wall */
};

/* All three may have NULL for `options`.  Errors of nub_server_open(); of
 * os_process_open(); of os_stream_connect().  Then the connection is checked: SMOKE and
 * GET_BOOT_INFO have their answers, else ERR_nub_protocol. */
ERR_MUST_CHECK enum err nub_open(const struct nub_options *options,
                                 struct nub **ret_nub);
ERR_MUST_CHECK enum err nub_open_worker(const struct nub_options *options,
                                        struct nub **ret_nub);
ERR_MUST_CHECK enum err nub_connect(const char *path, const struct nub_options *options,
                                    struct nub **ret_nub);

/* Take over a stream that leads to a kernel; closed with the connection. */
ERR_MUST_CHECK enum err nub_attach(int stream, const struct nub_options *options,
                                   struct nub **ret_nub);

/* NULL is fine.  A worker ends. */
void nub_close(struct nub *nub);

/* A worker's process id and walls; 0 for other connections and lost workers. */
int nub_worker_pid(const struct nub *nub);
unsigned nub_worker_walls(const struct nub *nub);

/* How the last worker that was lost ended: its exit status, 128 + n after signal n; -1
 * if none was, or if it lived and we killed it. */
int nub_worker_end(const struct nub *nub);

/*
 * After ERR_closed, ERR_timeout or ERR_nub_protocol of a worker: start another
 * and bring it to where the old one was, by all requests that were answered.
 *   ERR_nub_diverged  an answer is another than the first time
 *   ERR_limit         the journal was too small to keep all of them
 * and those of nub_open_worker().  ERR_unsupported for what is no worker.
 */
ERR_MUST_CHECK enum err nub_recover(struct nub *nub);

/* ---- watching ---- */

/* Told of every frame that crosses, in order: what a recorder needs [10].  Frames are
 * borrowed during the call.  `aborted` says that the request with this number will
 * never be answered.  Requests that nub_recover() sends again are not told. */
struct nub_observer {
    void *self;
    void (*request)(void *self, struct bytes frame);
    void (*response)(void *self, struct bytes frame);
    void (*aborted)(void *self, uint32_t seq, enum err err);
};

/* `observer` is borrowed until the connection ends; NULL: nobody watches. */
void nub_observe(struct nub *nub, const struct nub_observer *observer);

/* ---- requests ----------------------------------------------------------------------
 *
 * All of them, besides the errors they name:
 *   ERR_nub_refused    the kernel said no; nub_status() tells why
 *   ERR_closed, ERR_timeout, ERR_nub_protocol
 *                      the connection has ended, and every call answers so from now on
 *   ERR_interrupted    os_interrupted(); the connection has ended, too
 *   ERR_limit          a payload above NUB_PAYLOAD_MAX; nothing was sent
 */

/* The status of the last answer. */
enum kernel_status nub_status(const struct nub *nub);

/* Any request.  *ret_payload is borrowed until the next call.  A status is no error
 * here. */
ERR_MUST_CHECK enum err nub_call(struct nub *nub, uint32_t fn, struct bytes payload,
                                 struct bytes *ret_payload);

/* The same with a header of the caller's, for passing on what somebody else sent: its
 * flags and status are sent as they are, seq and size are ours. */
ERR_MUST_CHECK enum err nub_call_as(struct nub *nub, const struct nub_header *header,
                                    struct bytes payload, struct bytes *ret_payload);

ERR_MUST_CHECK enum err nub_put(struct nub *nub, struct bytes wire,
                                struct hash256 *ret_hash);

/* Append the whole cap to `ret_wire`, part by part. */
ERR_MUST_CHECK enum err nub_get(struct nub *nub, const struct hash256 *hash,
                                struct buf *ret_wire);

/* What the guest did is in the result, as is a request that could not be served. */
ERR_MUST_CHECK enum err nub_invoke(struct nub *nub, const struct nub_invoke *invoke,
                                   struct kernel_result *ret_result);
ERR_MUST_CHECK enum err nub_resume(struct nub *nub, const struct nub_resume *resume,
                                   struct kernel_result *ret_result);
ERR_MUST_CHECK enum err nub_outcome(struct nub *nub,
                                    struct kernel_outcome *ret_outcome);

ERR_MUST_CHECK enum err nub_boot_info(struct nub *nub, struct nub_boot_info *ret_info);

/* Read the configuration; set it, answering what holds then. */
ERR_MUST_CHECK enum err nub_config(struct nub *nub, struct kernel_config *ret_config);
ERR_MUST_CHECK enum err nub_configure(struct nub *nub,
                                      const struct kernel_config *config,
                                      struct kernel_config *ret_config);

/* DUMP_STATE; its lists are borrowed until the next call. */
ERR_MUST_CHECK enum err nub_state(struct nub *nub, struct nub_state *ret_state);

ERR_MUST_CHECK enum err nub_seed_file(struct nub *nub, uint64_t id,
                                      const struct hash256 *hash,
                                      uint64_t *ret_next_id);
enum nub_table { NUB_QUOTA = 0, NUB_METER = 1 };
ERR_MUST_CHECK enum err nub_seed_quota(struct nub *nub, enum nub_table table,
                                       uint64_t id, uint64_t value,
                                       uint64_t *ret_previous);
ERR_MUST_CHECK enum err nub_new_catcher(struct nub *nub, struct hash256 *ret_id);
ERR_MUST_CHECK enum err nub_add_catcher(struct nub *nub, bool remove,
                                        const struct hash256 *catcher,
                                        const struct hash256 *marker,
                                        uint32_t *ret_count);
ERR_MUST_CHECK enum err nub_reset_block(struct nub *nub);

#endif
