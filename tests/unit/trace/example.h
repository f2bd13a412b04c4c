/* SPDX-License-Identifier: MIT
 *
 * tests/unit/trace/example.h - the worked example of trace-replay.md 16, as events.
 */
#ifndef TESTS_UNIT_TRACE_EXAMPLE_H
#define TESTS_UNIT_TRACE_EXAMPLE_H

#include "trace/trace.h"

enum { EXAMPLE_FILE_SIZE = 1296, EXAMPLE_EVENT_COUNT = 8 };

/* The rows of its schema chunk. */
extern const enum trace_id example_kinds[EXAMPLE_EVENT_COUNT];

/* The program as a raw blob and its block table. */
extern const struct bytes example_code;
extern const struct bytes example_blocks;

/* Make the calls of the guest; stops at the first error. */
enum err example_run(struct trace *trace);

/* Options that give the file of the chapter: raw, only the kinds in use. */
struct trace_writer_options example_options(void);

/* Record it. */
enum err example_record(struct arena *arena, const struct trace_sink *sink,
                        const struct trace_writer_options *options,
                        struct hash256 *ret_identity);

#endif
