/* SPDX-License-Identifier: MIT
 *
 * replay/gdb_private.h - the inside of the stub.  Private to replay/.
 */
#ifndef REPLAY_GDB_PRIVATE_H
#define REPLAY_GDB_PRIVATE_H

#include "replay/gdb.h"
#include "replay/gdb_packet.h"

enum {
    GDB_STOP_MAX = 65536, /* breakpoints and watchpoints */
    GDB_CONDITION_SIZE_MAX = 4096,
    GDB_ICOUNT_MAX = 1000,
    GDB_VISIT_MAX = 100,
    GDB_PATTERN_SIZE = 40,
};

/* One Z packet. */
struct gdb_stop {
    unsigned type; /* 0..4 */
    uint64_t address, size;
    uint8_t *condition; /* each as u32 size and bytecode; NULL: none */
    size_t condition_size;
};

struct replay_gdb {
    struct replay_query *query;
    struct replay_timeline *timeline;
    const struct replay_guest *guest;
    struct replay_gdb_options options;
    struct gdb_parser parser;
    struct buf out;  /* to be sent; the caller's for the time of a call */
    struct buf last; /* the last packet, to be sent again */
    struct buf answer;
    uint64_t packet_count;
    bool no_ack, closed;
    bool swbreak, hwbreak; /* gdb understands these stop reasons */

    struct gdb_stop *stop;
    size_t stop_count;
    bool stops_stale; /* the time line does not have them */

    struct replay_stop reported; /* where and why the guest stopped last */
    enum replay_end_kind reported_end;
    bool backward; /* it went there backwards */

    /* Of monitor commands. */
    uint64_t icount[GDB_ICOUNT_MAX]; /* ibreak */
    size_t icount_count;
    char pattern[GDB_PATTERN_SIZE]; /* ebreak; "": none */
    struct replay_time fence;
    struct replay_time visit[GDB_VISIT_MAX]; /* positions jumped from */
    size_t visit_count, visit_at;
};

/* Append one packet to the output. */
void replay_gdb_send(struct replay_gdb *gdb, struct bytes data);
void replay_gdb_send_text(struct replay_gdb *gdb, const char *text);
/* As output of the target on gdb's console. */
void replay_gdb_say(struct replay_gdb *gdb, const char *text);

/* Breakpoints and watchpoints (gdb_stop.c): the packets Z and z, and none at all. */
void replay_gdb_stop_packet(struct replay_gdb *gdb, const char *packet, size_t size);
void replay_gdb_stop_clear(struct replay_gdb *gdb);

/* Running (gdb_run.c): step or continue, and the stop reply. */
void replay_gdb_resume(struct replay_gdb *gdb, bool step, bool backward);
/* Step as long as pc is in [first, end). */
void replay_gdb_resume_range(struct replay_gdb *gdb, uint64_t first, uint64_t end);
void replay_gdb_send_stop(struct replay_gdb *gdb);
/* Go to a position in text, if it is one: what is wrong with it, `monitor check` says.
 */
void replay_gdb_go(struct replay_gdb *gdb, const char *position);

/* monitor commands (gdb_monitor.c), as text. */
void replay_gdb_monitor(struct replay_gdb *gdb, const char *command, struct buf *text);

/* `monitor modules [NAME | load]` (gdb_modules.c). */
ERR_MUST_CHECK enum err replay_gdb_put_modules(struct replay_gdb *gdb, const char *word,
                                               struct buf *text);

/* `monitor kallsyms [NAME | load]` (gdb_symbols.c). */
ERR_MUST_CHECK enum err replay_gdb_put_symbols(struct replay_gdb *gdb, const char *word,
                                               struct buf *text);

#endif
