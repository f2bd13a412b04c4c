/* SPDX-License-Identifier: MIT
 *
 * tests/fuzz/gdb_target.h - a small recorded guest behind the gdb stub.
 */
#ifndef TESTS_FUZZ_GDB_TARGET_H
#define TESTS_FUZZ_GDB_TARGET_H

#include "replay/gdb.h"

struct gdb_target {
    struct arena arena;
    struct trace_memory memory;
    struct bytes file;
    struct trace_source source;
    struct replay_debug debug;
    struct replay_timeline *timeline;
    struct replay_query query;
    struct replay_gdb *gdb;
    unsigned polls; /* set to 0 for each piece of input: a run ends after some */
};

void gdb_target_open(struct gdb_target *t);
void gdb_target_close(struct gdb_target *t);

/* Does a new client find the guest at its start, with its first registers? */
void gdb_target_check_honest(struct gdb_target *t, struct buf *out);

#endif
