/* SPDX-License-Identifier: MIT
 *
 * cli/fs_record.h - serving file trees to a client, with or without a trace.
 */
#ifndef CLI_FS_RECORD_H
#define CLI_FS_RECORD_H

#include "cli/fs_news.h"
#include "cli/fs_service.h"
#include "replay/sink_file.h"

struct cli_fs_record_options {
    const char *path; /* of the trace; NULL: none */
    const char *clock;
    bool digests; /* of requests only */
    bool replies; /* store them, also derived ones */
    enum cli_fs_confine confine;
};

/* Rows of an option table; `type` has a member `fs_record`. */
#define CLI_FS_RECORD_OPTIONS(type)                                                    \
    CLI_STRING(type, fs_record.clock, "fs-clock", 0, "NS",                             \
               "a clock from NS since 1970 on, 1 ms a request (default: real)"),       \
        CLI_FLAG(type, fs_record.digests, "digests-only", 0,                           \
                 "store no requests: a replay needs the client"),                      \
        CLI_FLAG(type, fs_record.replies, "log-replies", 0,                            \
                 "store all replies, also those that can be computed again"),          \
        CLI_WORD(type, fs_record.confine, "confine", 0, cli_fs_confine_word,           \
                 "keep no files but the served ones: auto (default), "                 \
                 "always, never")

enum { CLI_FS_DEATH_COUNT_MAX = 16 };

/* A server of files was lost, or came back, before this event. */
struct cli_fs_death {
    uint64_t seq, tick;
    enum err err;
};

/* A server with a clock and perhaps a trace. */
struct cli_fs_session {
    struct cli *cli;
    struct cli_fs fs;
    const char *path;
    struct replay_fs_setup setup;
    struct arena arena;
    struct replay_sink_file file;
    struct trace_writer *writer;
    struct trace *trace;
    struct replay_fs *replay;
    bool stepping;
    uint64_t tick;
    uint64_t request_count;
    enum err err; /* of the trace: told once, the session goes on */
    struct cli_fs_death death[CLI_FS_DEATH_COUNT_MAX]; /* the first ones */
    size_t death_count;
    struct cli_fs_news news;
};

/* Open trees and trace.  CLI_YES, or a status after a message; close in either case. */
int cli_fs_session_open(struct cli *cli, const struct cli_list *specs,
                        const struct cli_fs_record_options *options, uint32_t features,
                        unsigned zstd_level, struct cli_fs_session *session);

/* The same over the trees that a recorded session left behind (of the trace `from`; it
 * has to be derived).  All its handles are closed. */
int cli_fs_session_resume(struct cli *cli, const char *from,
                          const struct cli_fs_record_options *options,
                          uint32_t features, struct cli_fs_session *session);

/* Serving it: requests now, and what others change meanwhile.  Both are recorded. */
struct cli_fs_service cli_fs_session_service(struct cli_fs_session *session);

/* Finish the trace; `status` or what went wrong.  Prints what was recorded. */
int cli_fs_session_close(struct cli_fs_session *session, int status);

#endif
