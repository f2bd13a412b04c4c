/* SPDX-License-Identifier: MIT
 *
 * cli/family.h - a trace that branches from another one, and the way back to its
 * parent.
 */
#ifndef CLI_FAMILY_H
#define CLI_FAMILY_H

#include "trace/trace.h"

enum { CLI_FAMILY_DETAIL_SIZE = 160 };

/* A child joined with its parent, in memory. */
struct cli_family {
    struct trace_memory memory;
    struct bytes bytes;
    struct hash256 identity; /* the child's own */
    bool joined;
};

/*
 * If `source`, the file at `path`, is a child that needs its parent, join them and put
 * a source for that in its place.  The parent is `parent_path`, or, NULL, the trace in
 * the child's folder with the right identity.  Prints nothing: the reason of an error
 * is in `ret_detail`.  Close in either case.
 */
ERR_MUST_CHECK enum err cli_family_open(const char *path, const char *parent_path,
                                        struct trace_source *source,
                                        struct cli_family *family,
                                        char ret_detail[CLI_FAMILY_DETAIL_SIZE]);
void cli_family_close(struct cli_family *family);

#endif
