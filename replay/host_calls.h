/* SPDX-License-Identifier: MIT
 *
 * replay/host_calls.h - serve one host call.  For replay/ and
 * lockstep check, whose engines share one host.
 */
#ifndef REPLAY_HOST_CALLS_H
#define REPLAY_HOST_CALLS_H

#include "pvm/pvm.h"
#include "replay/host.h"

/* A range of guest memory; size 0: none. */
struct host_range {
    uint64_t address;
    uint64_t size;
};

struct host_call {
    /* What the call is. */
    uint32_t op;
    uint64_t operand[4];
    const struct replay_host *host; /* NULL: a replay, nobody is there to ask */
    struct pvm_mem *mem;
    struct bytes args; /* each ended by NUL */
    uint8_t *scratch;  /* REPLAY_CALL_SIZE_MAX bytes; read_bytes or write_bytes */

    /* What came of it. */
    bool outside;     /* only the host could know: in a replay the rest is unanswered */
    bool interrupted; /* the run stops before this call */
    bool ends;        /* the call ends the run */
    uint32_t status;
    bool answers; /* a0 becomes `answer` */
    int64_t answer;
    struct host_range read, write; /* guest memory that the call reads, writes */
    struct bytes read_bytes, write_bytes;
};

/* Check operands and guest ranges, then ask the host if there is one.  The fields of
 * the second half are zero before.  Guest registers and memory stay as they are. */
void replay_host_serve(struct host_call *call);

#endif
