/* SPDX-License-Identifier: MIT
 *
 * tests/unit/trace/generate.h - random events of every kind, made from the table.
 */
#ifndef TESTS_UNIT_TRACE_GENERATE_H
#define TESTS_UNIT_TRACE_GENERATE_H

#include "trace/trace.h"

/* Room for any event. */
union generated {
#define EVENT(id, name, wire, guests, text) struct trace_##name as_##name;
#include "trace/events.def"
    uint64_t words[64];
};

/* Fill the struct of `kind`; lists and bytes live in `arena`.  w values are up to
 * `wide_max` bytes, some of them equal to earlier ones. */
void generate_event(struct arena *arena, uint64_t *random,
                    const struct trace_kind *kind, size_t wide_max,
                    union generated *event);

/* A kind of `guest` that may stand between events. */
const struct trace_kind *generate_kind(uint64_t *random, enum trace_guest guest);

/* Set the fields that replay fills in (i and n) to their defaults. */
void generate_forget_inputs(const struct trace_kind *kind, union generated *event);

/* Equal in every field?  Lists by item, texts by content. */
bool generated_equal(const struct trace_kind *kind, const union generated *a,
                     const union generated *b);

#endif
