/* SPDX-License-Identifier: MIT
 *
 * replay/sink_file.h - traces in files: the sink and source of trace/ over base/os.h,
 * and ring segments NAME.000, NAME.001, ... [trace-replay.md 2.6-2.8].
 */
#ifndef REPLAY_SINK_FILE_H
#define REPLAY_SINK_FILE_H

#include "trace/trace.h"

/* A file being written.  `fd` stays open until close; the writer goes first. */
struct replay_sink_file {
    int fd;
    uint8_t *span; /* mapped from span_at on, or NULL */
    uint64_t span_at;
    uint64_t reserved; /* up to here, from the first window on */
    uint64_t prepared; /* up to here there is nothing to prepare */
};

/* Create or truncate `path`, or open it to be changed (annotations).  "-" means nothing
 * special: a trace needs a file that can be mapped.  What os_open() answers. */
ERR_MUST_CHECK enum err replay_sink_file_open(struct replay_sink_file *file,
                                              const char *path, bool update);
struct trace_sink replay_sink_file(struct replay_sink_file *file);
void replay_sink_file_close(struct replay_sink_file *file);

/* A file being read; it may be growing. */
struct replay_source_file {
    int fd;
};
ERR_MUST_CHECK enum err replay_source_file_open(struct replay_source_file *file,
                                                const char *path);
struct trace_source replay_source_file(struct replay_source_file *file);
void replay_source_file_close(struct replay_source_file *file);

enum { REPLAY_SEGMENT_COUNT_MAX = 1000 };

/* Path of ring segment `number` into `path`, which the caller inits. */
void replay_segment_path(struct buf *path, const char *name, uint32_t number);

/* The segments of a ring recording: files NAME.000 and so on. */
struct replay_ring_files {
    const char *name;             /* borrowed */
    struct replay_sink_file file; /* of the current segment */
};

/* Begin with segment 000. */
ERR_MUST_CHECK enum err replay_ring_files_open(struct replay_ring_files *ring,
                                               const char *name);
/* Members for struct trace_ring; `self` is the struct replay_ring_files. */
enum err replay_ring_open_segment(void *self, uint32_t number,
                                  struct trace_sink *ret_sink);
enum err replay_ring_drop_segment(void *self, uint32_t number);
void replay_ring_files_close(struct replay_ring_files *ring);

/* Join the segments of `name` that exist into the file `name` and remove them.
 * ERR_not_found without segment 000; what trace_join() answers: then they stay. */
ERR_MUST_CHECK enum err replay_ring_join(struct arena *arena, const char *name,
                                         struct hash256 *ret_identity);

#endif
