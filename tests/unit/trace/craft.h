/* SPDX-License-Identifier: MIT
 *
 * tests/unit/trace/craft.h - files made by hand: right in every checksum and chain
 * value, with whatever in them.
 */
#ifndef TESTS_UNIT_TRACE_CRAFT_H
#define TESTS_UNIT_TRACE_CRAFT_H

#include "trace/internal.h"

struct craft {
    struct trace_memory memory;
    struct tail tail;
    struct position position;
    struct bytes bytes; /* of the finished file */
    struct trace_source source;
};

/* Header and schema chunk; `schema` NULL: all built-in kinds of pvm. */
void craft_begin(struct craft *craft, struct bytes schema, uint32_t row_count);

/* A chunk of events at the current position that claims what `claim` says (sizes and
 * chain are filled in); moves the position on by `seq`, `icount`, `gas`, `blobs`. */
void craft_events(struct craft *craft, struct bytes payload, uint32_t record_count,
                  uint64_t seq, uint64_t icount, uint64_t gas, uint32_t blobs);

/* Any other chunk. */
void craft_chunk(struct craft *craft, struct trace_chunk chunk, struct bytes payload);

/* Index and trailer; afterwards `bytes` and `source` are valid. */
void craft_end(struct craft *craft);
void craft_fini(struct craft *craft);

#endif
