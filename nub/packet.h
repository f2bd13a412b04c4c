/* SPDX-License-Identifier: MIT
 *
 * nub/packet.h - the packets between the host of a kernel and its worker, as bytes.
 *
 * Source of every offset: pvm-kernel.md 9 ("[9.4]" names a section).  All integers are
 * little-endian.  Decoders read exactly the bytes that they name, keep no pointer, and
 * change nothing when they answer false.  No function here can fail otherwise.
 */
#ifndef NUB_PACKET_H
#define NUB_PACKET_H

#include "kernel/kernel.h"

enum nub_fn {
#define NUB_FN(id, name, request, opens, text) NUB_FN_##name = id,
#include "nub/functions.def"
};

/* "put_cap"; "?" for a number without a row.  Static storage. */
const char *nub_fn_name(uint32_t fn);

/* The function of this name; false: there is none. */
bool nub_fn_find(const char *name, enum nub_fn *ret_fn);

enum {
    NUB_HEADER_SIZE = 24,
    NUB_PAYLOAD_MAX = 16 << 20,
    NUB_FRAME_MAX = NUB_HEADER_SIZE + NUB_PAYLOAD_MAX,
    NUB_INVOKE_SIZE = 80,
    NUB_RESULT_SIZE = 24,
    NUB_RESUME_SIZE = 48,
    NUB_BOOT_INFO_SIZE = 128,
    NUB_OUTCOME_SIZE = 400,
    NUB_CONFIG_SIZE = 64,
    NUB_CAP_PART_HEADER = 16, /* of an answer to GET_CAP: total_len, offset */
    NUB_TRACE_HEADER = 24,    /* to DRAIN_TRACE: first_seq, records_left, dropped */
};

/* ---- frames [9.1] ---- */

struct nub_header {
    uint16_t flags;
    uint32_t fn, seq, status, size; /* of the payload behind it */
};

void nub_header_encode(const struct nub_header *header,
                       uint8_t ret_bytes[NUB_HEADER_SIZE]);

/* False where a stream is of no more use: wrong magic or version, or a size above
 * NUB_PAYLOAD_MAX [12]. */
bool nub_header_decode(const uint8_t bytes[NUB_HEADER_SIZE],
                       struct nub_header *ret_header);

/* May `response` follow `request`?  [9.1] */
bool nub_header_answers(const struct nub_header *response,
                        const struct nub_header *request);

/* The payload of an answer with a status other than OK [9.3]; its size. */
enum { NUB_REFUSAL_MAX = HASH256_SIZE };
size_t nub_refusal_encode(uint32_t fn, uint8_t ret_payload[NUB_REFUSAL_MAX]);

/* ---- packets [9.4] ---- */

struct nub_invoke {
    struct hash256 instance;
    uint32_t endpoint;
    uint32_t pad; /* any value; senders write 0 */
    uint64_t args[4];
    uint64_t gas;
};

void nub_invoke_encode(const struct nub_invoke *invoke,
                       uint8_t ret_bytes[NUB_INVOKE_SIZE]);
bool nub_invoke_decode(struct bytes payload, struct nub_invoke *ret_invoke);

struct nub_resume {
    uint32_t flags;         /* KERNEL_RESUME_* */
    struct hash256 scratch; /* zeros if absent */
    uint64_t topup;
};

void nub_resume_encode(const struct nub_resume *resume,
                       uint8_t ret_bytes[NUB_RESUME_SIZE]);

/* False also for unknown flags and a pad that is not zero. */
bool nub_resume_decode(struct bytes payload, struct nub_resume *ret_resume);

void nub_result_encode(const struct kernel_result *result,
                       uint8_t ret_bytes[NUB_RESULT_SIZE]);
bool nub_result_decode(struct bytes payload, struct kernel_result *ret_result);

struct nub_boot_info {
    uint64_t token, type_id, va_base;
};

void nub_boot_info_encode(uint8_t ret_bytes[NUB_BOOT_INFO_SIZE]);

/* False: not what a host may accept. */
bool nub_boot_info_decode(struct bytes payload, struct nub_boot_info *ret_info);

/* ---- outcome and configuration [9.5, 9.6] ---- */

void nub_outcome_encode(const struct kernel_outcome *outcome,
                        uint8_t ret_bytes[NUB_OUTCOME_SIZE]);

/* False for a wrong size, a variant or a pause cause outside its enum, and flags for
 * hashes that do not exist. */
bool nub_outcome_decode(struct bytes payload, struct kernel_outcome *ret_outcome);

void nub_config_encode(const struct kernel_config *config,
                       uint8_t ret_bytes[NUB_CONFIG_SIZE]);

/* False: wrong size, spec_version, engine or reserved bytes.  Ranges are
 * kernel_config_check()'s. */
bool nub_config_decode(struct bytes payload, struct kernel_config *ret_config);

/* ---- state [9.9] ---- */

enum { NUB_AMOUNT_SIZE = 16, NUB_FILE_SIZE = 40, NUB_FRAME_STATE_SIZE = 256 };

/* What DUMP_STATE says; lists are views into the payload. */
struct nub_state {
    struct bytes quotas, meters; /* {id u64, value u64}, ascending */
    struct bytes files;          /* {id u64, hash}, ascending */
    uint64_t file_next, catcher_nonce;
    uint32_t catcher_count, marker_count;
    uint64_t cap_count;
    struct hash256 caps; /* SHA-256 over all hashes, ascending */
    struct bytes stack;  /* NUB_FRAME_STATE_SIZE each, bottom first */
};

/* False: it is not that. */
bool nub_state_decode(struct bytes payload, struct nub_state *ret_state);

#endif
