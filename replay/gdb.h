/* SPDX-License-Identifier: MIT
 *
 * replay/gdb.h - a replayed guest as a remote target of gdb (trace-replay.md 9).
 *
 * Bytes in, bytes out: the stub knows no socket.  It serves what stock gdb 13 sends,
 * with reverse execution; a replay is read-only.  The client is hostile: it can make
 * the stub run the guest, and nothing else.
 *
 * Threads: a stub belongs to one.
 */
#ifndef REPLAY_GDB_H
#define REPLAY_GDB_H

#include "replay/query.h"

struct replay_gdb;

struct replay_gdb_options {
    /* Save a bookmark in the trace; NULL: bookmarks live as long as the stub. */
    enum err (*save_bookmark)(void *self, const struct trace_bookmark *bookmark);
    /* Append the host's code for an instruction; NULL: there is none. */
    bool (*native)(void *self, uint64_t pc, struct buf *text);
    /* Append the function that a frame is in, "name+0x12"; `pc` is behind a call if it
     * is a caller's.  False, and nothing: none is known.  NULL: there are no symbols.
     */
    bool (*name)(void *self, uint64_t pc, bool is_caller, struct buf *text);
    /* Compare with another trace; NULL: monitor diff is not there.  `path` is the
     * client's: the caller decides what may be opened. */
    enum err (*diff)(void *self, const char *path, struct buf *text);
    /* Go live from here and record a child; NULL: monitor branch is not there.  The
     * guest that is debugged stays where it is. */
    enum err (*branch)(void *self, uint64_t icount, const char *path, struct buf *text);
    /* Make gdb's symbols fit the modules that are loaded now: write what it is to do
     * into the file that the caller has told it of, and append a word to people.
     * NULL: no modules were given. */
    enum err (*load_modules)(void *self, const struct replay_module_list *list,
                             struct buf *text);
    /* Let gdb know the kernel's own symbols, in the same way.  NULL: it is not there.
     */
    enum err (*load_symbols)(void *self, const struct replay_symbol_list *list,
                             struct buf *text);
    void *self;
};

/* `query` and its time line are borrowed. */
ERR_MUST_CHECK enum err replay_gdb_create(struct replay_query *query,
                                          const struct replay_gdb_options *options,
                                          struct replay_gdb **ret_gdb);
void replay_gdb_close(struct replay_gdb *gdb);

/* Serve what a client has sent; the answers are appended to `out`, which the caller
 * sends and clears.  False: the client has ended the session.  While the guest runs,
 * the time line's `interrupted` is asked. */
bool replay_gdb_input(struct replay_gdb *gdb, struct bytes input, struct buf *out);

/* Packets taken so far, whatever was in them. */
uint64_t replay_gdb_packet_count(const struct replay_gdb *gdb);

/* A new client: no acknowledgements, features or stops are left of the one before. */
void replay_gdb_connect(struct replay_gdb *gdb);

#endif
