/* SPDX-License-Identifier: MIT
 *
 * trace/ledger.h - the gas ledger: what a trace tells of charges and of the path
 * (trace-replay.md 5).
 */
#ifndef TRACE_LEDGER_H
#define TRACE_LEDGER_H

#include "trace/trace.h"

enum trace_segment_end {
    TRACE_SEGMENT_SPLIT_BLOCK = 0,
    TRACE_SEGMENT_SPLIT_INSIDE = 1,
    TRACE_SEGMENT_ECALL = 2,
    TRACE_SEGMENT_HALT = 3,
    TRACE_SEGMENT_TRAP = 4,
    TRACE_SEGMENT_PANIC = 5,
    TRACE_SEGMENT_OUT_OF_GAS = 6,
    TRACE_SEGMENT_PAGE_FAULT = 7,
    TRACE_SEGMENT_STOPPED = 8,
};

enum trace_block_kind {
    TRACE_BLOCK_NEXT = 0,
    TRACE_BLOCK_JUMP = 1,
    TRACE_BLOCK_CONDITIONAL = 2,
    TRACE_BLOCK_INDIRECT = 3,
    TRACE_BLOCK_ECALL = 4,
    TRACE_BLOCK_STOP = 5,
    TRACE_BLOCK_BAD_TARGET = 8, /* added when the static target is no block start */
};

/* A row of the block table [5.2]. */
struct trace_block {
    uint32_t pc;
    uint32_t next;
    int64_t target; /* kinds 1 and 2; anything with BAD_TARGET */
    uint64_t cost;
    uint32_t insn_count;
    uint32_t next_row; /* 1 + index of the row that begins at `next`; 0: not known */
    uint32_t target_row;
    uint8_t kind; /* BAD_TARGET included */
};

struct trace_blocks {
    const struct trace_block *block;
    size_t count;
};

/* Parse a block table; ERR_trace_ledger when it is malformed, ERR_nomem. */
ERR_MUST_CHECK enum err trace_blocks_parse(struct arena *arena, struct bytes table,
                                           struct trace_blocks *ret_blocks);

/* The row whose block contains pc, or NULL. */
const struct trace_block *trace_blocks_containing(const struct trace_blocks *blocks,
                                                  uint64_t pc);

/* One charge of a segment, in order. */
struct trace_charge {
    uint64_t n;          /* ordinal of the block in progress; 1 is the first charged */
    uint64_t insn_count; /* instructions of the blocks the segment passed before it */
    uint64_t kind;       /* 5.1 */
    uint64_t where;
    uint64_t cost;
    uint64_t pc; /* block start, or the touching instruction */
};

struct trace_ledger_fault {
    const char *text; /* the requirement that failed */
    uint64_t bit;     /* outcomes used so far */
};

/* A program as the ledger sees it: jump[i] is the pc of jump-table entry i. */
struct trace_pvm_ledger {
    struct trace_blocks blocks;
    const uint64_t *jump;
    size_t jump_count;
};

/* Expand a segment [5.4]: `charge` is called for each charge; false stops the walk,
 * ERR_interrupted.  Without `charge` only the requirements are checked, and laps of a
 * loop without branches are not walked one by one.  ERR_trace_ledger when a requirement
 * fails; then *fault (may be NULL) says which. */
ERR_MUST_CHECK enum err
trace_ledger_expand(const struct trace_pvm_ledger *ledger,
                    const struct trace_pvm_segment *segment,
                    bool (*charge)(void *self, const struct trace_charge *charge),
                    void *self, struct trace_ledger_fault *fault);

/* One step of the rolling hash of `summary` [5.6]; starts from 0. */
static inline uint64_t trace_ledger_hash(uint64_t hash, uint64_t kind, uint64_t where,
                                         uint64_t cost)
{
    uint64_t t = (where + cost * 0x9e3779b1u + kind * 0x85ebca6bu) & 0x7fffffffu;
    return (((hash << 5) | (hash >> 59)) ^ t) * 0x517cc1b727220a95u;
}

#endif
